//! N cells in series that share one current sensor: one full filter for what they have in common, and a light one per
//! cell for how it differs.
//!
//! The full filter ([`crate::soc`]) follows a *reference cell*, the mean of the pack. Each cell `k` has four states
//! of its own against it: SOC `Δ`, resistance `r`, capacity `q` (so that its capacity is `Q / (1 + q)`) and a slow
//! voltage error `ε` (offset of its input, and where its own curve departs):
//!
//! ```text
//! z_k = z + Δ_k                                 Δ_k' = Δ_k + q_k dz          (dz: counted SOC of the reference cell)
//! v_k - v = OCV(z_k, T_k) - OCV(z, T) + ε_k - (s + r_k) p_k + s p
//! ```
//!
//! with `p` the polarisation of the reference cell before its resistance scale `s`, and `p_k` the same times the tables'
//! resistances at the cell's own temperature and SOC over those of the reference cell. Errors that all cells share (current offset,
//! model error, its age) drop out of the difference, which is why so small a filter suffices; each cell is linearised at
//! its own SOC. The reference cell's voltage is the mean of all voltages, each brought to the reference cell by its own
//! states, weighted by how well these are known, without those too far from the median. A cell without a usable voltage
//! is predicted only: counting goes on with its own capacity, and its band widens.
//!
//! # Knees and plateaus
//! Where the curve is flat for some cells and steep for others, a filter that is linearised anew with every estimate finds
//! out what the voltages do not tell: `Δ` and `ε` look different along each tangent. Therefore a new slope leaves the sum
//! that was measured, `OCV'(z_k) Δ + ε`, as well known as it was: `ε` takes the change of the slope. Of an `ε` whose variance
//! becomes smaller, the expected share of what remains is kept, and no more.
//!
//! A charge ends with the fullest cell full, not the reference cell: the cell with the highest voltage is set to SOC 1 then,
//! and the reference cell as far below as it is estimated to be.
//!
//! # State of charge of the pack
//! The emptiest cell ends a discharge and the fullest a charge:
//!
//! ```text
//! D = min_k z_k Q_k,   C = min_k (1 - z_k) Q_k,   SOC = D / (D + C),   usable capacity = D + C
//! ```
//!
//! 0 when the emptiest cell is empty, 1 when the fullest is full.
//!
//! Sources: Plett (2009), "Efficient battery pack state estimation using bar-delta filtering", EVS24; Dai, Wei, Sun, Wang,
//! Gu (2012), "Online cell SOC estimation of Li-ion battery packs using a dual time-scale Kalman filtering for EV
//! applications", Applied Energy 95; Huang, Mourikis, Roumeliotis (2010), "Observability-based rules for designing consistent
//! EKF SLAM estimators", Int. J. Robotics Research 29 (what relinearisation must not tell).

#![allow(clippy::needless_range_loop)] // indices read as in the equations

use crate::capacity::CapacityTracker;
use crate::cell::{CellModel, CircuitPoint, ParameterError, SOC_RANGE};
use crate::estimator::NEW_CAPACITY_STD;
use crate::math::{abs, bound, finite_or, median, sqrt};
use crate::measurement::{Measurement, Reading};
use crate::soc::{Estimate, Estimated, Fullest, OperatingPoint, SocEstimator, SocState, Status};
use crate::store::stored;
use crate::tuning::Tuning;

const SOC: usize = 0;
const RES: usize = 1;
const CAP: usize = 2;
const ERR: usize = 3;
/// States of one cell's difference.
const M: usize = 4;
/// Where the element of a symmetric matrix stands among those that are kept.
const AT: [[usize; M]; M] = [[0, 1, 2, 3], [1, 4, 5, 6], [2, 5, 7, 8], [3, 6, 8, 9]];

/// Every cell is looked up anew in one of so many updates …
const TURNS: usize = 16;
/// … and when the SOC has moved by this much since.
const MOVED_SOC: f32 = 0.005;
/// Time (s) over which an input's offset may change.
const OFFSET_TIME_S: f32 = 1e6;
/// Variance per second that a difference in SOC may drift by unseen (self-discharge): 0.3 points in a day.
const DRIFT_PER_S: f32 = 1e-10;
/// Variance per second of the difference in resistance: 2 % in an hour.
const RESISTANCE_WALK_PER_S: f32 = 1.1e-7;
/// No cell is there, so that the first look-up is due.
const NEVER: f32 = -100.0;
/// Variances of the differences in SOC and in capacity per full charge that passes: 0.4 points and 0.4 %.
const SOC_WALK: f32 = 1.6e-5;
const CAPACITY_WALK: f32 = 1.6e-5;
/// Voltages closer together than this (V) need no median.
const CLOSE_V: f32 = 0.005;
/// No cell that is worth a filter differs by more (V); an input that does is broken.
const LARGEST_GAP_V: f32 = 0.5;
/// Weight of a voltage that is used only where there is no better one.
const LAST_RESORT: f32 = 1e-9;

/// One sample of a pack of `N` cells in series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackMeasurement<const N: usize> {
    /// Terminal voltage of every cell in V.
    pub cell_voltage_v: [Reading; N],
    /// Temperature of every cell in degC (repeat the nearest sensor's reading where cells share one).
    pub cell_temperature_c: [Reading; N],
    /// Pack current in A, positive on discharge.
    pub current_a: Reading,
    /// Mean pack current since the previous sample in A, where the front end integrates.
    pub mean_current_a: Reading,
    /// The contactors are known to be open ([`Measurement::contactors_open`]).
    pub contactors_open: bool,
}

/// How much the cells of a pack and its voltage inputs differ. Standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Of the cells' SOC at the start (fraction).
    pub soc_std: f32,
    /// Of their resistance at equal temperature (ratio).
    pub resistance_std: f32,
    /// Of their capacity (ratio).
    pub capacity_std: f32,
    /// Offset of a voltage input against the others in V.
    pub voltage_offset_v: f32,
    /// Noise of a voltage reading in V.
    pub voltage_noise_v: f32,
    /// What of a cell's voltage drop differs from the others' otherwise than in proportion (ratio).
    pub drop_error: f32,
    /// What of a voltage that the model does not explain is a cell's own (ratio).
    pub model_error: f32,
    /// Time over which these two go on (s); readings closer together share it.
    pub drop_error_time_s: f32,
}

impl Spread {
    /// Cells of one delivery behind a good front end (1.2 mV).
    pub const TYPICAL: Self = Self {
        soc_std: 0.03,
        resistance_std: 0.1,
        capacity_std: 0.02,
        voltage_offset_v: 0.0015,
        voltage_noise_v: 0.001,
        drop_error: 0.04,
        model_error: 0.2,
        drop_error_time_s: 60.0,
    };
}

/// Why a charge cannot be booked to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BleedError {
    /// The pack has no cell of this number.
    NoSuchCell,
    /// The charge is not a finite number, or more than the cell's capacity.
    Charge,
}

impl core::fmt::Display for BleedError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSuchCell => "the pack has no cell of this number",
            Self::Charge => "the charge is not a number up to the cell's capacity",
        })
    }
}

impl core::error::Error for BleedError {}

stored!(Spread {
    soc_std: f32 => |s| s.soc_std > 0.0,
    resistance_std: f32 => |s| s.resistance_std > 0.0,
    capacity_std: f32 => |s| s.capacity_std > 0.0,
    voltage_offset_v: f32 => |s| s.voltage_offset_v > 0.0,
    voltage_noise_v: f32 => |s| s.voltage_noise_v > 0.0,
    drop_error: f32 => |s| s.drop_error > 0.0,
    model_error: f32 => |s| s.model_error > 0.0,
    drop_error_time_s: f32 => |s| s.drop_error_time_s > 0.0,
});

/// One cell of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CellEstimate {
    /// State of charge, fraction, limited to 0..=1.
    pub soc: Estimated,
    /// SOC minus that of the reference cell, with its own, smaller band: what [`crate::leak`] watches.
    pub soc_difference: Estimated,
    /// Resistance over the tables' resistance at the cell's temperature.
    pub resistance_scale: Estimated,
    /// Present capacity in Ah; its band is that against the reference cell, whose own is [`PackEstimate::soh_q`].
    pub capacity_ah: Estimated,
    /// What holds for this cell alone: [`Status::VOLTAGE_LOST`], [`Status::TEMPERATURE_LOST`],
    /// [`Status::INNOVATION_REJECTED`], [`Status::RECOVERED`], [`Status::TRANSPORT_LIMITED`].
    pub status: Status,
}

/// What one step tells of the whole pack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PackEstimate {
    /// The reference cell; its current offset and its flags on current, time and rest are those of the pack.
    pub reference: Estimate,
    /// Capacity of the reference cell over the new cell's, as learnt ([`crate::capacity`]).
    pub soh_q: Estimated,
    /// State of charge of the pack, 0..=1: 0 when the emptiest cell is empty, 1 when the fullest is full.
    pub soc: Estimated,
    /// Charge between these two states in Ah.
    pub usable_ah: f32,
    /// Number of the cell that ends a discharge.
    pub weakest: usize,
    /// Number of the cell that ends a charge.
    pub fullest: usize,
    /// SOC of the emptiest cell and of the fullest (fractions, 0..=1).
    pub extremes: (f32, f32),
    /// Cells whose voltage was not used at the last update.
    pub unused_cells: usize,
}

/// How one cell differs from the reference cell.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Difference {
    x: [f32; M],
    /// Covariance, see [`AT`].
    p: [f32; 10],
    /// Difference of the open-circuit voltages is `open_v + slope_v Δ + slope_difference_v (z - at_soc)`.
    open_v: f32,
    slope_v: f32,
    slope_difference_v: f32,
    /// SOC of the reference cell at the last look-up, [`NEVER`] before the first, and the difference then.
    at_soc: f32,
    at_difference: f32,
    /// Tables' resistances over those of the reference cell: ohmic with charge transfer, and of the RC pairs.
    ratios: [f32; 2],
    /// Variance of the table's error that this cell does not share with the reference cell.
    shape_variance: f32,
    temperature_c: f32,
    rejected_s: f32,
    status: Status,
}

// Limits are those that the filter keeps. A difference in SOC is held where the cell's own SOC is possible.
stored!(Difference {
    x: [f32; M] => |d| {
        abs(d.x[SOC]) <= 1.2
            && (-0.8..=5.0).contains(&d.x[RES])
            && (-0.8..=2.0).contains(&d.x[CAP])
            && abs(d.x[ERR]) <= 2.0
    },
    p: [f32; 10] => |d| (0..M).all(|k| d.p[AT[k][k]] >= 0.0) && d.p.iter().all(|p| abs(*p) <= 1e6),
    open_v: f32 => |d| abs(d.open_v) <= 1e3,
    slope_v: f32 => |d| abs(d.slope_v) <= 1e3,
    slope_difference_v: f32 => |d| abs(d.slope_difference_v) <= 1e3,
    at_soc: f32 => |d| d.at_soc >= NEVER && d.at_soc <= 2.0,
    at_difference: f32 => |d| abs(d.at_difference) <= 2.0,
    ratios: [f32; 2] => |d| d.ratios.iter().all(|r| (0.2..=5.0).contains(r)),
    shape_variance: f32 => |d| (0.0..=1e6).contains(&d.shape_variance),
    temperature_c: f32 => |d| abs(d.temperature_c) <= 1e6,
    rejected_s: f32 => |d| d.rejected_s >= 0.0,
    status: Status,
});

stored!(PackEstimate {
    reference: Estimate,
    soh_q: Estimated,
    soc: Estimated,
    usable_ah: f32,
    weakest: usize,
    fullest: usize,
    extremes: (f32, f32),
    unused_cells: usize,
});

/// Everything that a pack's estimator has learnt and counted, and its spread: what to keep over a sleep.
///
/// An estimator restored from it goes on bit for bit ([`PackEstimator::state`], [`PackEstimator::restore`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackState<const N: usize> {
    spread: Spread,
    reference: SocState,
    capacity: CapacityTracker,
    reference_v: Option<f32>,
    cells: [Difference; N],
    pending_soc: f32,
    pending_s: f32,
    turn: usize,
    bled: f32,
    estimate: PackEstimate,
}

stored!(PackState[N] {
    spread: Spread,
    reference: SocState,
    capacity: CapacityTracker,
    reference_v: Option<f32>,
    cells: [Difference; N],
    pending_soc: f32,
    pending_s: f32 => |s| (0.0..=1e6).contains(&s.pending_s),
    turn: usize => |s| s.turn < TURNS,
    bled: f32 => |s| abs(s.bled) <= 1e3,
    estimate: PackEstimate,
});

/// What all cells share in one update.
struct Common {
    point: OperatingPoint,
    soc_variance: f32,
    resistances_ohm: [f32; 2],
    open_v: f32,
    drops_v: [f32; 2],
    /// Variance of a reading.
    noise: f32,
    /// What of the voltage drop differs from the others' in V, and what its variance is multiplied with.
    drop_error_v: f32,
    shared: f32,
    loaded: bool,
    current_known: bool,
    dt_s: f32,
}

/// A capacity that is known as well as that of a new cell.
fn like_new(model: &CellModel<'_>, capacity_ah: f32) -> Result<CapacityTracker, ParameterError> {
    let value = capacity_ah / model.tables().capacity_ah;
    CapacityTracker::new(Estimated { value, std: NEW_CAPACITY_STD })
}

/// Resistance at small currents without delay, and of the RC pairs.
fn resistances_ohm(c: &CircuitPoint) -> [f32; 2] {
    [c.r0_ohm + c.rct_ohm, c.r1_ohm + c.r2_ohm]
}

impl Difference {
    fn new(spread: &Spread, share: f32) -> Self {
        let mut p = [0.0; 10];
        for (k, std) in [spread.soc_std, spread.resistance_std, spread.capacity_std, spread.voltage_offset_v]
            .iter()
            .enumerate()
        {
            p[AT[k][k]] = share * std * std;
        }
        Self {
            x: [0.0; M],
            p,
            open_v: 0.0,
            slope_v: 0.0,
            slope_difference_v: 0.0,
            at_soc: NEVER,
            at_difference: 0.0,
            ratios: [1.0; 2],
            shape_variance: 0.0,
            temperature_c: 25.0,
            rejected_s: 0.0,
            status: Status::default(),
        }
    }

    fn variance(&self, k: usize) -> f32 {
        self.p[AT[k][k]]
    }

    /// Time passes: the count moves the reference cell by `dz` (fraction, negative on discharge).
    fn predict(&mut self, dz: f32, dt_s: f32, spread: &Spread, tuning: &Tuning, share: f32) {
        let [soc, res, cap, err] = [SOC, RES, CAP, ERR];
        self.x[soc] += dz * self.x[cap];
        let p = &mut self.p;
        p[AT[soc][soc]] += dz * (2.0 * p[AT[soc][cap]] + dz * p[AT[cap][cap]])
            + share * (DRIFT_PER_S * dt_s + SOC_WALK * abs(dz));
        p[AT[soc][res]] += dz * p[AT[res][cap]];
        p[AT[soc][cap]] += dz * p[AT[cap][cap]];
        p[AT[soc][err]] += dz * p[AT[cap][err]];
        if p[AT[res][res]] < spread.resistance_std * spread.resistance_std {
            p[AT[res][res]] += share * RESISTANCE_WALK_PER_S * dt_s;
        }
        if p[AT[cap][cap]] < spread.capacity_std * spread.capacity_std {
            p[AT[cap][cap]] += share * CAPACITY_WALK * abs(dz);
        }

        // An input's offset stays for days, an error of the curve for a stretch of it: first order of exp(-x).
        let offset = spread.voltage_offset_v * spread.voltage_offset_v;
        let moved = bound(abs(dz) / tuning.model_error_length_soc, 0.0, 0.2);
        let aged = bound(dt_s / OFFSET_TIME_S, 0.0, 0.2);
        let variance = offset + self.shape_variance;
        let forgotten = (offset * aged + self.shape_variance * moved) / variance;
        let kept = 1.0 - forgotten;
        self.x[err] *= kept;
        for k in [soc, res, cap] {
            p[AT[k][err]] *= kept;
        }
        p[AT[err][err]] = kept * kept * p[AT[err][err]] + share * (1.0 - kept * kept) * variance;
    }

    /// Looks the tables up where this cell is.
    fn look_up(&mut self, model: &CellModel<'_>, tuning: &Tuning, spread: &Spread, common: &Common) {
        let c = &common.point;
        let delta = self.x[SOC];
        let soc = c.soc.value + delta;
        let width = bound(sqrt(self.variance(SOC)), 0.005, 0.1);
        let here = model.ocv(self.temperature_c, soc, &c.age);
        let circuit = model.circuit(self.temperature_c, soc);
        let slope = |temperature_c, soc, width| model.ocv_slope(temperature_c, soc, width, &c.age);
        let slope_v = slope(self.temperature_c, soc, width);
        self.turn_tangent(slope_v);
        self.slope_v = slope_v;
        self.slope_difference_v = self.slope_v - slope(c.temperature_c, c.soc.value, width);
        let open_v = here.ocv_v + here.hysteresis_v * c.hysteresis;
        self.open_v = open_v - common.open_v - self.slope_v * delta;
        self.at_soc = c.soc.value;
        self.at_difference = delta;
        for (ratio, (own, all)) in
            self.ratios.iter_mut().zip(resistances_ohm(&circuit).iter().zip(&common.resistances_ohm))
        {
            *ratio = if *all > 0.0 { bound(own / all, 0.2, 5.0) } else { 1.0 };
        }
        // The nearer the cell to the reference cell, the more of the table's error they share; …
        let apart = bound(2.0 * abs(delta) / tuning.model_error_length_soc, 0.0, 1.0);
        let table = circuit.model_error_v * tuning.model_error_scale;
        // (full and empty define SOC: there the axis is exact)
        let inside = bound(soc, 0.0, 1.0);
        let axis_soc = tuning.axis_error_soc * 4.0 * inside * (1.0 - inside);
        let axis = axis_soc * axis_soc;
        let own = apart * (table * table + axis * self.slope_v * self.slope_v);
        // … where the slope differs, they do not share what the reference cell is off by along the curve; …
        let bent = (axis + common.soc_variance) * self.slope_difference_v * self.slope_difference_v;
        // … and as long as nobody knows where on the curve the pack is, nobody knows the slope.
        let wide = bound(sqrt(common.soc_variance + self.variance(SOC)), 0.005, 0.1);
        let unsure = slope(self.temperature_c, soc, wide) - self.slope_v;
        let shape = own + bent + unsure * unsure * (delta * delta + self.variance(SOC));
        self.reshape(shape, spread);
        self.keep_sound();
    }

    /// Another slope: what the voltages have told of `slope Δ + ε` stays as well known as it was.
    fn turn_tangent(&mut self, slope_v: f32) {
        if self.at_soc <= NEVER {
            return;
        }
        let turned = self.slope_v - slope_v;
        let p = &mut self.p;
        p[AT[ERR][ERR]] += turned * (2.0 * p[AT[SOC][ERR]] + turned * p[AT[SOC][SOC]]);
        for k in [SOC, RES, CAP] {
            p[AT[k][ERR]] += turned * p[AT[k][SOC]];
        }
    }

    /// Another variance of the curve's error: what is more of it is unknown; of what is less, that part of the estimate is
    /// kept that is to be expected of the rest.
    fn reshape(&mut self, shape_variance: f32, spread: &Spread) {
        let offset = spread.voltage_offset_v * spread.voltage_offset_v;
        let before = offset + self.shape_variance;
        let left = (offset + shape_variance) / before;
        if left < 1.0 {
            self.x[ERR] *= left;
            for k in [SOC, RES, CAP] {
                self.p[AT[k][ERR]] *= left;
            }
            self.p[AT[ERR][ERR]] = left * (left * self.p[AT[ERR][ERR]] + (1.0 - left) * before);
        } else {
            self.p[AT[ERR][ERR]] += shape_variance - self.shape_variance;
        }
        self.shape_variance = shape_variance;
    }

    /// Keeps the covariance one, whatever rounding did.
    fn keep_sound(&mut self) {
        const FLOOR: f32 = 1e-12;
        for k in 0..M {
            self.x[k] = finite_or(self.x[k], 0.0);
            let d = &mut self.p[AT[k][k]];
            *d = bound(finite_or(*d, 1.0), FLOOR, 1.0);
        }
        for i in 0..M {
            for j in 0..i {
                let limit = 0.999 * sqrt(self.p[AT[i][i]] * self.p[AT[j][j]]);
                let c = &mut self.p[AT[i][j]];
                *c = bound(finite_or(*c, 0.0), -limit, limit);
            }
        }
    }

    /// The tables' voltage drop at this cell's temperature and SOC.
    fn polarisation_v(&self, common: &Common) -> f32 {
        self.ratios[0] * common.drops_v[0] + self.ratios[1] * common.drops_v[1]
    }

    /// Voltage of this cell minus that of the reference cell, as the states have it.
    fn gap_v(&self, common: &Common) -> f32 {
        let s = common.point.resistance_scale.value;
        self.open_v
            + self.slope_v * self.x[SOC]
            + self.slope_difference_v * (common.point.soc.value - self.at_soc)
            + self.x[ERR]
            - (s + self.x[RES]) * self.polarisation_v(common)
            + s * (common.drops_v[0] + common.drops_v[1])
    }

    /// Covariance times sensitivity, and the variance of the difference in voltage.
    fn project(&self, common: &Common, spread: &Spread) -> ([f32; M], f32) {
        let polarisation_v = self.polarisation_v(common);
        let h = [self.slope_v, -polarisation_v, 0.0, 1.0];
        // The tables tell the share of a difference in temperature and SOC only roughly.
        let own_v = polarisation_v - common.drops_v[0] - common.drops_v[1];
        let drop_v = common.drop_error_v + spread.model_error * abs(own_v);
        let mut f = [0.0; M];
        let mut variance = common.noise + common.shared * drop_v * drop_v;
        for i in 0..M {
            for j in 0..M {
                f[i] += self.p[AT[i][j]] * h[j];
            }
            variance += f[i] * h[i];
        }
        (f, variance)
    }

    fn update(&mut self, innovation_v: f32, common: &Common, spread: &Spread) {
        let (f, variance) = self.project(common, spread);
        self.apply(&f, variance, innovation_v, common.point.soc.value);
    }

    /// The cell is full while the reference cell is at the SOC `z`; `variance` is how far the two may be off.
    fn fill(&mut self, z: f32, variance: f32) {
        let f = [SOC, RES, CAP, ERR].map(|k| self.p[AT[SOC][k]]);
        self.apply(&f, f[SOC] + variance, 1.0 - z - self.x[SOC], z);
    }

    /// Update with covariance times sensitivity, variance of the innovation and the innovation, at an SOC of the reference cell.
    fn apply(&mut self, f: &[f32; M], variance: f32, innovation: f32, z: f32) {
        let inverse = 1.0 / variance;
        for i in 0..M {
            let gain = f[i] * inverse;
            self.x[i] += gain * innovation;
            for j in 0..=i {
                self.p[AT[i][j]] -= gain * f[j];
            }
            self.p[AT[i][i]] = self.p[AT[i][i]].max(1e-12);
        }
        self.x[SOC] = bound(self.x[SOC], SOC_RANGE.0 - z, SOC_RANGE.1 - z);
        self.x[RES] = bound(self.x[RES], -0.6, 4.0);
        self.x[CAP] = bound(self.x[CAP], -0.5, 1.0);
        self.x[ERR] = bound(self.x[ERR], -1.0, 1.0);
    }

    /// The states or the input are wrong for good: forget what was known of them.
    fn widen(&mut self, spread: &Spread, innovation_v: f32) {
        self.p[AT[SOC][SOC]] += spread.soc_std * spread.soc_std;
        self.p[AT[RES][RES]] += spread.resistance_std * spread.resistance_std;
        self.p[AT[ERR][ERR]] += 0.1 * innovation_v * innovation_v;
    }
}

/// Estimators of `N` cells in series; no heap, tables shared.
///
/// ```
/// use bms_core::{cell::CellModel, example, measurement::Reading, pack::{PackEstimator, PackMeasurement}, tuning::Tuning};
/// let model = CellModel::new(example::NMC_5AH)?;
/// let mut pack = PackEstimator::<16>::new(&model, &Tuning::NMC, 5.0, 0.5)?;
/// let mut sample = PackMeasurement {
///     cell_voltage_v: [Reading::within(3.7, 0.0, 5.0); 16],
///     cell_temperature_c: [Reading::within(25.0, -60.0, 120.0); 16],
///     current_a: Reading::within(0.1, -500.0, 500.0),
///     mean_current_a: Reading::MISSING,
///     contactors_open: false,
/// };
/// sample.cell_voltage_v[3] = Reading::within(3.65, 0.0, 5.0);
/// for second in 0..60 {
///     pack.step(&sample, if second == 0 { 0.0 } else { 1.0 });
/// }
/// let estimate = pack.estimate();
/// assert_eq!(estimate.weakest, 3);
/// assert!(pack.cell(3).is_some_and(|c| c.soc.value < pack.cell(4).map_or(0.0, |d| d.soc.value) - 0.02));
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackEstimator<'a, const N: usize> {
    model: &'a CellModel<'a>,
    tuning: &'a Tuning,
    spread: Spread,
    reference: SocEstimator<'a>,
    capacity: CapacityTracker,
    /// Voltage of the reference cell at the last update.
    reference_v: Option<f32>,
    cells: [Difference; N],
    /// Counted SOC of the reference cell and time since the last update.
    pending_soc: f32,
    pending_s: f32,
    turn: usize,
    /// Mean of the differences in SOC: what was booked to single cells.
    bled: f32,
    estimate: PackEstimate,
}

impl<'a, const N: usize> PackEstimator<'a, N> {
    /// Standard deviations against the mean of the pack are smaller than those of cells: none for a single cell.
    const SHARE: f32 = if N == 0 { 0.0 } else { 1.0 - 1.0 / N as f32 };

    /// `N` cells of about the same capacity and start SOC, which are as for [`SocEstimator::new`], with the usual spread.
    ///
    /// # Errors
    /// [`ParameterError`] as for one cell.
    pub fn new(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        capacity_ah: f32,
        initial_soc: f32,
    ) -> Result<Self, ParameterError> {
        let start = Estimated { value: initial_soc, std: tuning.initial_soc_std };
        Self::starting_at(model, tuning, capacity_ah, start)
    }

    /// The same with a mean SOC that is known so well: remembered over a sleep, or read at a full charge.
    ///
    /// # Errors
    /// As [`SocEstimator::starting_at`].
    pub fn starting_at(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        capacity_ah: f32,
        start: Estimated,
    ) -> Result<Self, ParameterError> {
        let spread = Spread::TYPICAL;
        Ok(Self {
            model,
            tuning,
            spread,
            reference: SocEstimator::starting_at(model, tuning, capacity_ah, start)?,
            capacity: like_new(model, capacity_ah)?,
            reference_v: None,
            cells: [Difference::new(&spread, Self::SHARE); N],
            pending_soc: 0.0,
            pending_s: 0.0,
            turn: 0,
            bled: 0.0,
            estimate: PackEstimate::default(),
        })
    }

    /// What to keep over a sleep or a reset of the controller.
    #[must_use]
    pub const fn state(&self) -> PackState<N> {
        PackState {
            spread: self.spread,
            reference: self.reference.state(),
            capacity: self.capacity,
            reference_v: self.reference_v,
            cells: self.cells,
            pending_soc: self.pending_soc,
            pending_s: self.pending_s,
            turn: self.turn,
            bled: self.bled,
            estimate: self.estimate,
        }
    }

    /// An estimator that goes on where another one was. The tables and the tuning must be the ones that it had.
    #[must_use]
    pub const fn restore(model: &'a CellModel<'a>, tuning: &'a Tuning, state: PackState<N>) -> Self {
        Self {
            model,
            tuning,
            spread: state.spread,
            reference: SocEstimator::restore(model, tuning, state.reference),
            capacity: state.capacity,
            reference_v: state.reference_v,
            cells: state.cells,
            pending_soc: state.pending_soc,
            pending_s: state.pending_s,
            turn: state.turn,
            bled: state.bled,
            estimate: state.estimate,
        }
    }

    /// The same with another spread of cells and inputs; to be called before the first step.
    #[must_use]
    pub fn with_spread(mut self, spread: Spread) -> Self {
        // A spread that is no number would come back in every estimate.
        let positive = |x: f32, usual: f32| if x > 0.0 && x < 1e3 { x } else { usual };
        let usual = Spread::TYPICAL;
        self.spread = Spread {
            soc_std: positive(spread.soc_std, usual.soc_std),
            resistance_std: positive(spread.resistance_std, usual.resistance_std),
            capacity_std: positive(spread.capacity_std, usual.capacity_std),
            voltage_offset_v: positive(spread.voltage_offset_v, usual.voltage_offset_v),
            voltage_noise_v: positive(spread.voltage_noise_v, usual.voltage_noise_v),
            drop_error: positive(spread.drop_error, usual.drop_error),
            model_error: positive(spread.model_error, usual.model_error),
            drop_error_time_s: positive(spread.drop_error_time_s, usual.drop_error_time_s),
        };
        self.cells = [Difference::new(&self.spread, Self::SHARE); N];
        self
    }

    /// Takes in one sample of all cells; `dt_s` as for [`SocEstimator::step`].
    ///
    /// A cell whose voltage is missing, has collapsed under load or is too far from the others is predicted only and
    /// flagged. After `gate_recovery_s` of the tuning it is taken in again with a wider band, unless it is more than half a
    /// volt off.
    pub fn step(&mut self, sample: &PackMeasurement<N>, dt_s: f32) -> &PackEstimate {
        let mut one = Measurement {
            voltage_v: Reading::MISSING,
            current_a: sample.current_a,
            mean_current_a: sample.mean_current_a,
            temperature_c: self.take_temperatures(sample),
            contactors_open: sample.contactors_open,
        };
        if let Some(any) = sample.cell_voltage_v.iter().find(|v| v.valid().is_some()) {
            one.voltage_v = *any;
        }
        let ahead = self.reference.advance(&one, dt_s);
        let efficiency = if ahead.mean_a < 0.0 { self.model.tables().coulombic_efficiency } else { 1.0 };
        let dt_s = if dt_s >= 0.0 { dt_s.min(1e6) } else { 0.0 };
        self.pending_soc -= ahead.mean_a * efficiency * dt_s / (3600.0 * self.reference.capacity_ah());
        self.pending_s += dt_s;
        if ahead.due {
            let (dz, dt_s) = (bound(self.pending_soc, -1.1, 1.1), self.pending_s);
            (self.pending_soc, self.pending_s) = (0.0, 0.0);
            for cell in &mut self.cells {
                cell.predict(dz, dt_s, &self.spread, self.tuning, Self::SHARE);
            }
            let common = self.common(ahead.instant_a, dt_s);
            self.look_up(&common);
            let moved_v = self.moved_to_reference(sample, &common);
            one.voltage_v = self.reference_voltage(&moved_v, &common);
            self.reference_v = one.voltage_v.valid();
            let (number, fullest) = self.highest(sample);
            let was_full = self.estimate.reference.status.contains(Status::FULL);
            self.estimate.reference = self.reference.finish(&one, ahead, &fullest);
            self.correct(&moved_v, one.voltage_v, &common);
            if !was_full && self.estimate.reference.status.contains(Status::FULL) {
                let variance = common.soc_variance + self.reference.full_variance();
                if let Some(cell) = self.cells.get_mut(number) {
                    cell.fill(self.reference.raw_soc(), variance);
                }
                self.centre();
            }
        } else {
            let none = Fullest { voltage_v: Reading::MISSING, soc_difference: Estimated::default() };
            self.estimate.reference = self.reference.finish(&one, ahead, &none);
        }
        one.voltage_v = self.reference_v.map_or(Reading::MISSING, |v| Reading::within(v, -1.0, 10.0));
        self.learn_capacity(&one, dt_s);
        self.report();
        &self.estimate
    }

    /// The capacity of the reference cell, from windows between rests. A charge ends with the fullest cell, which says nothing
    /// of where the reference cell is.
    fn learn_capacity(&mut self, one: &Measurement, dt_s: f32) {
        let mut seen = self.estimate.reference;
        seen.status = seen.status.without(Status::FULL);
        self.capacity.step(self.model, self.tuning, one, &seen, dt_s);
        if let Some(capacity_ah) = self.capacity.follow(self.model, self.reference.capacity_ah(), dt_s) {
            // A capacity between two that were accepted is acceptable.
            let _ = self.reference.set_capacity(capacity_ah);
        }
        self.estimate.soh_q = self.capacity.soh_q();
    }

    /// The cell with the highest voltage among those that agree with their estimates; a missing voltage where there is none.
    fn highest(&self, sample: &PackMeasurement<N>) -> (usize, Fullest) {
        let mut highest = Fullest { voltage_v: Reading::MISSING, soc_difference: Estimated::default() };
        let mut number = N;
        for (k, (voltage, cell)) in sample.cell_voltage_v.iter().zip(&self.cells).enumerate() {
            let Some(v) = voltage.valid() else { continue };
            let above = highest.voltage_v.valid().is_none_or(|h| v > h);
            if above && !cell.status.contains(Status::INNOVATION_REJECTED) {
                let soc_difference = Estimated { value: cell.x[SOC], std: sqrt(cell.variance(SOC)) };
                (number, highest) = (k, Fullest { voltage_v: *voltage, soc_difference });
            }
        }
        (number, highest)
    }

    /// The last estimate of the pack.
    #[must_use]
    pub const fn estimate(&self) -> &PackEstimate {
        &self.estimate
    }

    /// The last estimate of one cell, `None` for a number that the pack does not have.
    #[must_use]
    pub fn cell(&self, cell: usize) -> Option<CellEstimate> {
        self.cells.get(cell).map(|c| self.estimate_of(c, &self.reference.resistance_scale()))
    }

    /// The last estimates of all cells in their order.
    pub fn cells(&self) -> impl Iterator<Item = CellEstimate> {
        let scale = self.reference.resistance_scale();
        self.cells.iter().map(move |c| self.estimate_of(c, &scale))
    }

    /// Smallest and largest resistance scale of the cells.
    pub(crate) fn resistance_scales(&self) -> [f32; 2] {
        self.cells()
            .map(|c| c.resistance_scale.value)
            .fold([f32::MAX, 0.0], |[lo, hi], k| [lo.min(k), hi.max(k)])
    }

    // Inlined, so that what a caller does not look at is not worked out.
    #[inline(always)]
    fn estimate_of(&self, c: &Difference, scale: &Estimated) -> CellEstimate {
        let soc = self.soc_of(c);
        let capacity_ah = self.capacity_of(c);
        CellEstimate {
            soc: Estimated { value: bound(soc.value, 0.0, 1.0), std: soc.std },
            soc_difference: Estimated { value: c.x[SOC], std: sqrt(c.variance(SOC)) },
            resistance_scale: Estimated {
                value: scale.value + c.x[RES],
                std: sqrt(scale.std * scale.std + c.variance(RES)),
            },
            capacity_ah: Estimated {
                value: capacity_ah,
                std: capacity_ah * sqrt(c.variance(CAP)) / (1.0 + c.x[CAP]),
            },
            status: c.status,
        }
    }

    /// Where predictions of one cell's voltage, power and energy start; `None` for a number that the pack does not have.
    #[must_use]
    pub fn operating_point(&self, cell: usize) -> Option<OperatingPoint> {
        let c = self.cells.get(cell)?;
        let reference = self.reference.operating_point();
        let square = |x: f32| x * x;
        Some(OperatingPoint {
            soc: self.soc_of(c),
            v1: reference.v1 * c.ratios[1],
            v2: reference.v2 * c.ratios[1],
            error_v: Estimated {
                value: reference.error_v.value + c.x[ERR],
                std: sqrt(square(reference.error_v.std) + c.variance(ERR)),
            },
            resistance_scale: Estimated {
                value: reference.resistance_scale.value + c.x[RES],
                std: sqrt(square(reference.resistance_scale.std) + c.variance(RES)),
            },
            temperature_c: c.temperature_c,
            capacity_ah: self.capacity_of(c),
            ..reference
        })
    }

    /// Slope of a cell's open-circuit voltage in V per unit of SOC, over the width of what is known of its SOC; `None` for a
    /// number that the pack does not have.
    #[must_use]
    pub fn slope_v(&self, cell: usize) -> Option<f32> {
        self.cells.get(cell).map(|c| c.slope_v)
    }

    /// The same of all cells in their order.
    pub fn slopes_v(&self) -> impl Iterator<Item = f32> {
        self.cells.iter().map(|c| c.slope_v)
    }

    /// Heat in W that each cell releases under a current in A: that of the reference cell ([`crate::thermal::loss_w`]) with
    /// each cell's own resistance.
    #[must_use]
    pub fn losses_w(&self, current_a: f32) -> [f32; N] {
        let point = self.reference.operating_point();
        let circuit = self.model.circuit(point.temperature_c, point.soc.value);
        let drops_v = [circuit.instant_drop(current_a).0, point.v1 + point.v2];
        let mut out = [0.0; N];
        for (w, c) in out.iter_mut().zip(&self.cells) {
            let scale = point.resistance_scale.value + c.x[RES];
            let drop_v = drops_v[0] * c.ratios[0] + drops_v[1] * c.ratios[1];
            *w = finite_or(current_a * scale * drop_v, 0.0);
        }
        out
    }

    /// The tables of a new cell that it works with.
    #[must_use]
    pub const fn model(&self) -> &'a CellModel<'a> {
        self.model
    }

    /// The filter of the reference cell.
    #[must_use]
    pub const fn reference(&self) -> &SocEstimator<'a> {
        &self.reference
    }

    /// Takes over a capacity (Ah) of the reference cell that was measured elsewhere, such as in a workshop; the cells'
    /// differences stay.
    ///
    /// # Errors
    /// [`ParameterError::Capacity`] as for [`CapacityTracker::new`]; nothing changes then.
    pub fn set_capacity(&mut self, capacity_ah: f32) -> Result<(), ParameterError> {
        let new = like_new(self.model, capacity_ah)?;
        self.reference.set_capacity(capacity_ah)?;
        self.capacity = new;
        Ok(())
    }

    /// Books a charge (Ah, positive out of the cell) that one cell alone gave or took: balancing.
    ///
    /// # Errors
    /// [`BleedError`] when there is no such cell or the charge is nonsense; nothing changes then.
    pub fn bleed(&mut self, cell: usize, charge_ah: f32) -> Result<(), BleedError> {
        let capacity_ah = self.reference.capacity_ah();
        let c = self.cells.get_mut(cell).ok_or(BleedError::NoSuchCell)?;
        let share = charge_ah * (1.0 + c.x[CAP]) / capacity_ah;
        if share.is_nan() || abs(share) > 1.0 {
            return Err(BleedError::Charge);
        }
        c.x[SOC] -= share;
        self.bled -= share / N as f32;
        // A resistor across a cell is known to a few percent.
        c.p[AT[SOC][SOC]] += 0.0025 * share * share;
        Ok(())
    }

    fn soc_of(&self, c: &Difference) -> Estimated {
        Estimated {
            value: bound(self.reference.raw_soc() + c.x[SOC], SOC_RANGE.0, SOC_RANGE.1),
            std: sqrt(self.estimate.reference.soc.std * self.estimate.reference.soc.std + c.variance(SOC)),
        }
    }

    fn capacity_of(&self, c: &Difference) -> f32 {
        self.reference.capacity_ah() / (1.0 + c.x[CAP])
    }

    /// Keeps the temperatures of the cells and returns their mean; a cell without one has the mean.
    fn take_temperatures(&mut self, sample: &PackMeasurement<N>) -> Reading {
        let (mut sum, mut count) = (0.0, 0.0);
        for t in &sample.cell_temperature_c {
            if let Some(t) = t.valid() {
                sum += t;
                count += 1.0;
            }
        }
        let known = count > 0.0;
        let mean = sum / if known { count } else { 1.0 };
        for (c, t) in self.cells.iter_mut().zip(&sample.cell_temperature_c) {
            c.status = c.status.without(Status::TEMPERATURE_LOST);
            match t.valid() {
                Some(t) => c.temperature_c = t,
                None => {
                    c.status.set(Status::TEMPERATURE_LOST);
                    if known {
                        c.temperature_c = mean;
                    }
                }
            }
        }
        if known { Reading::within(mean, f32::NEG_INFINITY, f32::INFINITY) } else { Reading::MISSING }
    }

    fn common(&self, instant_a: f32, dt_s: f32) -> Common {
        let point = self.reference.operating_point();
        let open = self.model.ocv(point.temperature_c, point.soc.value, &point.age);
        let drops_v = self.reference.drops_v(instant_a);
        let s = &self.spread;
        // Where the model is wrong for all, it is wrong for each in its own way.
        let wrong_v = abs(point.error_v.value) + abs(self.estimate.reference.innovation_v);
        let drop_error_v = s.drop_error * abs(drops_v[0] + drops_v[1]) + s.model_error * wrong_v;
        Common {
            soc_variance: point.soc.std * point.soc.std,
            resistances_ohm: resistances_ohm(&self.model.circuit(point.temperature_c, point.soc.value)),
            open_v: open.ocv_v + open.hysteresis_v * point.hysteresis,
            drops_v,
            noise: s.voltage_noise_v * s.voltage_noise_v,
            drop_error_v,
            shared: bound(s.drop_error_time_s / bound(dt_s, 1.0, 1e6), 1.0, 1e4),
            loaded: instant_a > 0.05 * point.capacity_ah,
            current_known: !self.reference.current_lost(),
            dt_s,
            point,
        }
    }

    fn look_up(&mut self, common: &Common) {
        self.turn = (self.turn + 1) % TURNS;
        let z = common.point.soc.value;
        for (k, cell) in self.cells.iter_mut().enumerate() {
            let moved = abs(z - cell.at_soc) > MOVED_SOC || abs(cell.x[SOC] - cell.at_difference) > MOVED_SOC;
            if k % TURNS == self.turn || moved {
                cell.look_up(self.model, self.tuning, &self.spread, common);
            }
        }
    }

    /// Every cell's voltage as the reference cell would have it; NaN where there is none. Sets the flags on voltages.
    fn moved_to_reference(&mut self, sample: &PackMeasurement<N>, common: &Common) -> [f32; N] {
        let v_min = self.model.tables().v_min;
        let collapsed_v = v_min + self.tuning.collapse_share * (common.open_v - v_min);
        let mut moved_v = [f32::NAN; N];
        for ((cell, voltage), moved) in self.cells.iter_mut().zip(&sample.cell_voltage_v).zip(&mut moved_v) {
            cell.status = cell.status.only(Status::TEMPERATURE_LOST);
            let Some(v) = voltage.valid() else {
                cell.status.set(Status::VOLTAGE_LOST);
                continue;
            };
            if common.loaded && v < collapsed_v {
                cell.status.set(Status::TRANSPORT_LIMITED);
            }
            *moved = v - cell.gap_v(common);
        }
        moved_v
    }

    /// Mean of the voltages that agree with the median, weighted by how well each cell's difference is known.
    fn reference_voltage(&mut self, moved_v: &[f32; N], common: &Common) -> Reading {
        let middle = median(moved_v, CLOSE_V);
        let gate = self.tuning.gate_sigma * self.tuning.gate_sigma;
        let (mut sum, mut weights) = (0.0, 0.0);
        for (cell, moved) in self.cells.iter_mut().zip(moved_v) {
            if moved.is_nan() {
                continue;
            }
            let apart = moved - middle;
            let (_, variance) = cell.project(common, &self.spread);
            let mut weight = 1.0 / variance;
            if apart * apart > gate * variance {
                cell.rejected_s += common.dt_s;
                cell.status.set(Status::INNOVATION_REJECTED);
                if cell.rejected_s >= self.tuning.gate_recovery_s && abs(apart) < LARGEST_GAP_V {
                    cell.status = cell.status.without(Status::INNOVATION_REJECTED);
                    cell.status.set(Status::RECOVERED);
                    cell.widen(&self.spread, apart);
                    cell.rejected_s = 0.0;
                }
                weight = LAST_RESORT;
            } else {
                cell.rejected_s = 0.0;
            }
            if cell.status.contains(Status::TRANSPORT_LIMITED) {
                weight = LAST_RESORT;
            }
            sum += weight * apart;
            weights += weight;
        }
        if weights > 0.0 {
            Reading::within(middle + sum / weights, f32::NEG_INFINITY, f32::INFINITY)
        } else {
            Reading::MISSING
        }
    }

    fn correct(&mut self, moved_v: &[f32; N], reference_v: Reading, common: &Common) {
        self.estimate.unused_cells = 0;
        let blind =
            self.estimate.reference.status.contains(Status::TRANSPORT_LIMITED) || !common.current_known;
        let reference_v = reference_v.valid();
        for (cell, moved) in self.cells.iter_mut().zip(moved_v) {
            let refused =
                Status::INNOVATION_REJECTED.and(Status::TRANSPORT_LIMITED).and(Status::VOLTAGE_LOST);
            match reference_v {
                Some(v) if !blind && !cell.status.intersects(refused) => {
                    cell.update(moved - v, common, &self.spread);
                }
                _ => self.estimate.unused_cells += 1,
            }
        }
        self.centre();
    }

    /// Takes out what the cells would have in common: that is the reference cell's to tell.
    fn centre(&mut self) {
        let mut mean = [0.0; M];
        for cell in &self.cells {
            for k in 0..M {
                mean[k] += cell.x[k];
            }
        }
        let mean = mean.map(|sum| sum / N as f32);
        for cell in &mut self.cells {
            cell.x[SOC] -= mean[SOC] - self.bled;
            for k in [RES, CAP, ERR] {
                cell.x[k] -= mean[k];
            }
        }
    }

    fn report(&mut self) {
        let z = self.reference.raw_soc();
        let (mut dischargeable, mut chargeable) = (f32::MAX, f32::MAX);
        let (mut lowest, mut highest) = (f32::MAX, f32::MIN);
        for (k, c) in self.cells.iter().enumerate() {
            let soc = bound(z + c.x[SOC], 0.0, 1.0);
            let size = 1.0 / (1.0 + c.x[CAP]);
            if soc * size < dischargeable {
                dischargeable = soc * size;
                self.estimate.weakest = k;
            }
            if (1.0 - soc) * size < chargeable {
                chargeable = (1.0 - soc) * size;
                self.estimate.fullest = k;
            }
            (lowest, highest) = (lowest.min(soc), highest.max(soc));
        }
        let usable = dischargeable + chargeable;
        let soc = if usable > 1e-6 { bound(dischargeable / usable, 0.0, 1.0) } else { 0.0 };
        let std = |k: usize| self.cells.get(k).map_or(0.0, |c| self.soc_of(c).std);
        let weak = std(self.estimate.weakest);
        let full = std(self.estimate.fullest);
        self.estimate.extremes = if N == 0 { (0.0, 0.0) } else { (lowest, highest) };
        self.estimate.usable_ah = if N == 0 { 0.0 } else { usable * self.reference.capacity_ah() };
        self.estimate.soc =
            Estimated { value: soc, std: ((1.0 - soc) * weak + soc * full) / bound(usable, 0.05, 2.0) };
    }
}
