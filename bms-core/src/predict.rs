//! Voltages ahead: the cell model run forward from an [`OperatingPoint`] under a held current or power.
//!
//! What [`crate::sop`] searches with and [`crate::energy`] integrates. Per stretch of time, with the tables looked up
//! anew in the state reached:
//!
//! ```text
//! v  = OCV(z, T; s) + M h + e - k (R0 i + Rct i_ct asinh(i / i_ct) + v1 + v2)
//! vk <- vk a + Rk i (1 - a),   a = exp(-Δt/τk)        h <- h b - sign(i) (1 - b),   b = exp(-γ |Δz|)
//! Δz = -i Δt / (3600 Q)        ΔT = i (OCV + M h - v) Δt / C
//! ```
//!
//! `s` is how far the surfaces of the particles are ahead of their mean ([`Surface`]): under a load for half a minute they
//! run empty long before the cell does, and its voltage collapses. Tables that were fitted with it hold what resistance is
//! left beside it.
//!
//! The rest of the model and its sources are those of [`crate::cell`]. Within a stretch the current is the mean of those at its ends,
//! which constant power lets rise.

use crate::cell::{Age, CellModel, Instant, Place};
use crate::math::{abs, bound, decay};
use crate::soc::{Estimated, OperatingPoint};

/// What is held; positive while the cell discharges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hold {
    /// Current in A.
    Current(f32),
    /// Power at the terminals in W.
    Power(f32),
}

/// Time constants in s by which the surface follows the current; together they rise with the root of time, as diffusion
/// does, from seconds to some minutes.
pub const SURFACE_S: [f32; 3] = [4.0, 30.0, 225.0];
/// Their square roots.
const SURFACE_ROOT: [f32; 3] = [2.0, 5.477_226, 15.0];

/// How far the surfaces of the particles are ahead of their mean under load.
///
/// ```text
/// s = g(T) (q1 + q2 + q3),   dqk/dt = (√τk i/Q - qk) / τk      τ = 4, 30, 225 s; i/Q in 1/h
/// ```
///
/// A Warburg element (Warburg 1899; a sum of first-order lags for it: Kuhn et al. 2006, "Modelling Ni-MH battery using
/// Cauer and Foster structures", J. Power Sources 158) that acts along the SOC axis of each electrode's open-circuit curve
/// instead of as a voltage. [`Surface::NONE`] leaves it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surface<'a> {
    /// Temperatures of the rows in degC, ascending.
    pub temperature_c: &'a [f32],
    /// `g` of the positive and of the negative electrode in SOC per (1/h √s), one row per temperature. The negative one needs
    /// the negative electrode's potential ([`crate::cell::CellTables::negative_v`]); without it all acts on the cell's curve.
    pub gain: &'a [[f32; 2]],
}

impl Surface<'_> {
    /// No difference between surface and mean.
    pub const NONE: Self = Self { temperature_c: &[], gain: &[] };

    /// Gains at a temperature, straight between the rows, the nearest outside them.
    fn at(&self, temperature_c: f32) -> [f32; 2] {
        let rows = self.temperature_c.iter().zip(self.gain);
        let mut below: Option<(f32, [f32; 2])> = None;
        for (&t, &gain) in rows {
            if t >= temperature_c {
                return match below {
                    Some((t0, g0)) if t > t0 => {
                        let w = bound((temperature_c - t0) / (t - t0), 0.0, 1.0);
                        [g0[0] + (gain[0] - g0[0]) * w, g0[1] + (gain[1] - g0[1]) * w]
                    }
                    _ => gain,
                };
            }
            below = Some((t, gain));
        }
        below.map_or([0.0; 2], |(_, gain)| gain)
    }

    /// What the surfaces have lost, in SOC, in a state of [`follow_surface`].
    pub(crate) fn shift(&self, temperature_c: f32, state: &[f32; 3]) -> [f32; 2] {
        let sum: f32 = state.iter().sum();
        self.at(temperature_c).map(|g| bound(g * sum, -0.5, 0.5))
    }
}

/// The surface's state after `dt_s` seconds at a rate in 1/h.
pub(crate) fn follow_surface(state: &mut [f32; 3], rate_per_h: f32, dt_s: f32) {
    Stretch::new(dt_s).follow_surface(state, rate_per_h);
}

/// A stretch of time, with what of the surfaces' state is left after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    dt_s: f32,
    kept: [f32; 3],
}

impl Stretch {
    pub(crate) fn new(dt_s: f32) -> Self {
        Self { dt_s, kept: SURFACE_S.map(|tau_s| decay(dt_s / tau_s)) }
    }

    fn follow_surface(&self, state: &mut [f32; 3], rate_per_h: f32) {
        for ((q, a), root) in state.iter_mut().zip(self.kept).zip(SURFACE_ROOT) {
            *q = bound(a * *q + (1.0 - a) * root * rate_per_h, -1e4, 1e4);
        }
    }
}

/// A current in A with the terminal voltage in V under it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) current_a: f32,
    pub(crate) voltage_v: f32,
}

/// Tables of a cell for predictions of voltage under load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PulseModel<'a> {
    /// Its circuit and open-circuit voltage.
    pub cell: &'a CellModel<'a>,
    /// Its surfaces.
    pub surface: Surface<'a>,
}

impl<'a> From<&'a CellModel<'a>> for PulseModel<'a> {
    fn from(cell: &'a CellModel<'a>) -> Self {
        Self { cell, surface: Surface::NONE }
    }
}

/// How the cell's own heat warms it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heat {
    /// Heat capacity of the cell in J/K, above 0.
    pub capacity_j_per_k: f32,
    /// Conductance to the surroundings in W/K; 0 keeps all heat in.
    pub to_ambient_w_per_k: f32,
    /// Temperature of the surroundings in degC.
    pub ambient_c: f32,
}

/// Where a prediction starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start {
    /// The cell's state.
    pub at: OperatingPoint,
    /// Factors on the tables' resistances, which stand in for [`OperatingPoint::resistance_scale`]: on what follows the
    /// current at once, on the fast and on the slow pair; the last one is ohmic resistance that has come on top, as a share
    /// of the tables' `R0 + Rct`.
    pub scales: [Estimated; 4],
    /// State of the particles' surfaces; zeros for a rested cell.
    pub surface: [f32; 3],
}

impl From<OperatingPoint> for Start {
    fn from(at: OperatingPoint) -> Self {
        let k = at.resistance_scale;
        Self { at, scales: [k, k, k, Estimated::default()], surface: [0.0; 3] }
    }
}

/// The state of a cell that is run forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ahead<'a> {
    model: PulseModel<'a>,
    age: Age,
    capacity_as: f32,
    heat: Option<Heat>,
    pub(crate) soc: f32,
    pub(crate) v1: f32,
    pub(crate) v2: f32,
    surface: [f32; 3],
    surface_share: f32,
    hysteresis: f32,
    error_v: f32,
    scales: [f32; 4],
    pub(crate) temperature_c: f32,
    place: Place,
    instant: Instant,
    rest_v: f32,
}

/// The smallest factor on the resistances that is believed.
const SMALLEST_SCALE: f32 = 0.2;
/// Newton steps for the current that has a power, and the share of it that the last one may move it by.
const NEWTON_STEPS: usize = 5;
const NEWTON_CLOSE: f32 = 1e-6;

impl<'a> Ahead<'a> {
    /// `None` when the operating point is no state of a cell (NaN, no capacity).
    pub(crate) fn new(model: &PulseModel<'a>, start: &Start, heat: Option<Heat>) -> Option<Self> {
        let at = &start.at;
        let sum = at.soc.value
            + at.v1
            + at.v2
            + at.hysteresis
            + at.error_v.value
            + start.scales.iter().map(|k| k.value).sum::<f32>()
            + start.surface.iter().sum::<f32>()
            + at.temperature_c;
        if !(sum.is_finite() && at.capacity_ah > 1e-3 && at.capacity_ah < 1e6) {
            return None;
        }
        let heat = heat
            .filter(|h| h.capacity_j_per_k > 1e-3 && h.to_ambient_w_per_k >= 0.0 && abs(h.ambient_c) < 1e3);
        let mut ahead = Self {
            model: *model,
            age: at.age,
            capacity_as: 3600.0 * at.capacity_ah,
            heat,
            soc: at.soc.value,
            v1: at.v1,
            v2: at.v2,
            surface: start.surface,
            surface_share: 1.0,
            hysteresis: bound(at.hysteresis, -1.0, 1.0),
            error_v: at.error_v.value,
            scales: {
                let [instant, fast, slow, added] = start.scales.map(|k| k.value);
                let k = |x| bound(x, SMALLEST_SCALE, 10.0);
                [k(instant), k(fast), k(slow), bound(added, -0.5, 10.0)]
            },
            temperature_c: bound(at.temperature_c, -60.0, 150.0),
            place: Place::default(),
            instant: Instant::default(),
            rest_v: 0.0,
        };
        ahead.look_up();
        Some(ahead)
    }

    fn look_up(&mut self) {
        let shift =
            self.model.surface.shift(self.temperature_c, &self.surface).map(|s| s * self.surface_share);
        let (place, open) = self.model.cell.place_and_ocv(self.temperature_c, self.soc, &self.age, shift);
        self.place = place;
        self.instant = self.model.cell.instant(&place);
        self.rest_v = open.ocv_v + open.hysteresis_v * self.hysteresis;
    }

    /// Voltage in V without the drop that follows the current at once.
    fn source_v(&self) -> f32 {
        self.rest_v + self.error_v - self.scales[1] * self.v1 - self.scales[2] * self.v2
    }

    /// Terminal voltage in V under a current in A.
    pub(crate) fn voltage_v(&self, current_a: f32) -> f32 {
        self.source_v() - self.instant_drop(current_a).0
    }

    /// Voltage drop in V that follows the current at once, and its slope in ohm.
    fn instant_drop(&self, current_a: f32) -> (f32, f32) {
        let (drop, slope) = self.instant.drop(current_a);
        let [k, _, _, added] = self.scales;
        let ohm = added * (self.instant.r0_ohm + self.instant.rct_ohm);
        (k * drop + ohm * current_a, k * slope + ohm)
    }

    /// The same with surfaces that are ahead by a multiple.
    pub(crate) fn with_surface(mut self, share: f32) -> Self {
        self.surface_share = bound(share, 0.0, 10.0);
        self.look_up();
        self
    }

    /// The current in A that has a power (W) in this moment; `None` when none has.
    pub(crate) fn current_a(&self, hold: Hold) -> Option<f32> {
        match hold {
            Hold::Current(current_a) => current_a.is_finite().then_some(current_a),
            Hold::Power(_) => self.under(hold, None).map(|load| load.current_a),
        }
    }

    /// The same with its voltage; `near_a` is a current that may be near.
    pub(crate) fn under(&self, hold: Hold, near_a: Option<f32>) -> Option<Load> {
        match hold {
            Hold::Current(current_a) => current_a.is_finite().then(|| self.under_current(current_a)),
            Hold::Power(power_w) => {
                let source_v = self.source_v();
                if source_v < 0.05 || !power_w.is_finite() {
                    return None;
                }
                let near = near_a.and_then(|near_a| self.under_power(power_w, source_v, near_a));
                near.or_else(|| self.under_power(power_w, source_v, power_w / source_v))
            }
        }
    }

    pub(crate) fn under_current(&self, current_a: f32) -> Load {
        Load { current_a, voltage_v: self.voltage_v(current_a) }
    }

    fn under_power(&self, power_w: f32, source_v: f32, near_a: f32) -> Option<Load> {
        // Newton: i v(i) is concave, so from wherever it rises the first step ends short of the root, and all further ones.
        let mut current = near_a;
        let mut settled_v = None;
        for _ in 0..NEWTON_STEPS {
            let (drop, slope) = self.instant_drop(current);
            let v = source_v - drop;
            let rate = v - current * slope;
            if rate < 0.01 * source_v {
                return None;
            }
            let moved = (power_w - current * v) / rate;
            current += moved;
            if abs(moved) <= NEWTON_CLOSE * abs(current) {
                // All further steps stay here.
                settled_v = Some(v - slope * moved);
                break;
            }
        }
        let voltage_v = match settled_v {
            Some(v) => v,
            None => self.voltage_v(current),
        };
        let missing = power_w - current * voltage_v;
        (abs(missing) < 0.01 * abs(power_w) + 1e-3).then_some(Load { current_a: current, voltage_v })
    }

    /// Both pairs over a stretch: what is left of their voltages, and their resistances in ohm.
    fn pairs(&self, stretch: &Stretch) -> [(f32, f32); 2] {
        self.model.cell.pairs(&self.place).map(|pair| (decay(stretch.dt_s / pair.tau_s), pair.r_ohm))
    }

    /// Lets a stretch pass under a current that flows on average.
    fn pass(&mut self, mean: Load, stretch: &Stretch, [(a1, r1_ohm), (a2, r2_ohm)]: [(f32, f32); 2]) {
        let (mean_a, dt_s) = (mean.current_a, stretch.dt_s);
        let heat_w = mean_a * (self.rest_v - mean.voltage_v);
        self.v1 = a1 * self.v1 + (1.0 - a1) * r1_ohm * mean_a;
        self.v2 = a2 * self.v2 + (1.0 - a2) * r2_ohm * mean_a;
        let moved = mean_a * dt_s / self.capacity_as;
        stretch.follow_surface(&mut self.surface, 3600.0 * mean_a / self.capacity_as);
        self.soc -= moved;
        let b = decay(abs(moved) * self.model.cell.tables().hysteresis_gamma);
        self.hysteresis = b * self.hysteresis + (1.0 - b) * if mean_a > 0.0 { -1.0 } else { 1.0 };
        if let Some(heat) = self.heat {
            let loss = decay(dt_s * heat.to_ambient_w_per_k / heat.capacity_j_per_k);
            let gained_k = heat_w * dt_s / heat.capacity_j_per_k;
            let t = heat.ambient_c + (self.temperature_c - heat.ambient_c) * loss + gained_k;
            self.temperature_c = bound(t, -60.0, 150.0);
        }
        self.look_up();
    }

    /// Lets `dt_s` pass from a moment at which `current_a` flows; returns the current at its end, `None` when the cell
    /// cannot give the power.
    pub(crate) fn advance(&mut self, hold: Hold, current_a: f32, dt_s: f32) -> Option<f32> {
        self.advance_by(hold, self.under_current(current_a), &Stretch::new(dt_s)).map(|load| load.current_a)
    }

    /// Lets a stretch pass under a current in A that stays what it is.
    pub(crate) fn pass_mean(&mut self, mean_a: f32, stretch: &Stretch) {
        self.pass_under(self.under_current(mean_a), stretch);
    }

    /// The same with the voltage, where it is known.
    pub(crate) fn pass_under(&mut self, mean: Load, stretch: &Stretch) {
        self.pass(mean, stretch, self.pairs(stretch));
    }

    /// [`Self::advance`] from a load of which the voltage is known.
    pub(crate) fn advance_by(&mut self, hold: Hold, load: Load, stretch: &Stretch) -> Option<Load> {
        let pairs = self.pairs(stretch);
        let mut mean = load;
        if matches!(hold, Hold::Power(_)) {
            let mut trial = *self;
            trial.pass(load, stretch, pairs);
            let end_a = trial.under(hold, Some(load.current_a))?.current_a;
            mean = self.under_current(0.5 * (load.current_a + end_a));
            self.pass(mean, stretch, pairs);
            return self.under(hold, Some(end_a));
        }
        self.pass(mean, stretch, pairs);
        self.under(hold, None)
    }
}
