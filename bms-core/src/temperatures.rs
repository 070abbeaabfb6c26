//! Temperatures of every cell of a pack from a few sensors.
//!
//! Each cell has a core `c` and a surface `s`; the surface meets the coolant, the ambient air and the next cells of its
//! module, `κ` is the cooling against its nominal value:
//!
//! ```text
//! C_c dT_c/dt = q - g (T_c - T_s)
//! C_s dT_s/dt = g (T_c - T_s) - κ G (T_s - T_f) - G_a (T_s - T_a) - G_n Σ (T_s - T_n) + film
//! T_f(x) = T_in + (T_out - T_in) (1 - e^(-n x)) / (1 - e^-n),    n = Σ κ G / (flow c)
//! ```
//!
//! with `x` the place along the channel as the coolant flows now. Without the outlet the coolant goes towards the mean of
//! its channel's surfaces; without the inlet it starts where it must to come out as measured; without both, or without
//! flow, nothing is exchanged with it. Time goes on by the implicit Euler rule, with the neighbours as they were: each new
//! temperature is a mean of old ones plus heat, so no step is too long to be stable.
//!
//! The sensors correct this in two parts. What they have in common (the median of what is left over) moves all cells, fast.
//! What each has of its own goes through a small Kalman filter for its cell, with the states temperature and `κ`, and from
//! there to the cells without a sensor: from the nearest sensors of their channel, else of their module, else of the pack.
//! So a blocked channel shows in its sensed cells and is carried to the others. The offset of a sensor does not average
//! out over time, so its variance counts `2 τ / dt` fold.
//!
//! # Trim of the sensors
//! After hours without heat, flow and film, at the temperature of the surroundings, all cells are equally warm, and what a
//! sensor shows against the median is its offset. It is learnt slowly, with a band, up to [`LARGEST_TRIM_K`], and kept
//! over a sleep ([`SensorTrims`]). What all sensors have in common cannot be seen and does not matter to the spread.
//!
//! Sources: Lin, Perez, Siegel, Stefanopoulou, Li, Castanier (2013), "Online parameterization of lumped thermal dynamics in
//! cylindrical lithium ion batteries for core temperature estimation and health monitoring", IEEE Trans. Control Systems
//! Technology 21 (two nodes); Lin, Stefanopoulou, Perez, Siegel, Li, Anderson (2014), "Temperature estimation in a battery
//! string under frugal sensor allocation", ASME DSCC (few sensors along the flow); Incropera et al. (2007), "Fundamentals of heat
//! and mass transfer" (exponential profile of a coolant).

#![allow(clippy::needless_range_loop)] // indices read as in the equations

use crate::math::{abs, bound, finite_or, median, sqrt};
use crate::measurement::Reading;
use crate::store::stored;

/// Most channels of a pack; cells of further ones share the last.
pub const CHANNELS: usize = 32;
/// No sensor's offset against the others is trimmed by more (K).
pub const LARGEST_TRIM_K: f32 = 1.5;

/// Range in which temperatures are held (degC).
const RANGE_C: (f32, f32) = (-60.0, 150.0);
/// Longest step of the integration (s), and how many there are at most in one step.
const STEP_S: f32 = 10.0;
const STEPS: u32 = 32;
/// Longest time that one step takes in (s).
const LONGEST_S: f32 = 1e5;
/// Below this the coolant stands (L/min).
const STANDING_L_PER_MIN: f32 = 0.2;
/// Heat and film above this is no heat that a sensible pack has (W per cell, W per module).
const LARGEST_W: f32 = 1e5;
/// Resolution of medians (K).
const CLOSE_K: f32 = 0.005;
/// Time in which all cells follow what the sensors have in common (s).
const COMMON_TIME_S: f32 = 20.0;
/// Time over which the errors of a cell's sensor and of its heat last (s).
const OFFSET_TIME_S: f32 = 300.0;
const HEAT_TIME_S: f32 = 300.0;
/// Error of a cell's heat, and of what a film gives it, as a share.
const HEAT_ERROR: f32 = 0.05;
const FILM_ERROR: f32 = 0.1;
/// Variance per second of a cell's temperature for what the model leaves out (K²/s).
const NODE_NOISE_PER_S: f32 = 2e-6;
/// Standard deviation of the cooling factor at the start, and its variance per second: 8 % in ten minutes.
const COOLING_STD: f32 = 0.2;
const COOLING_WALK_PER_S: f32 = 1e-5;
/// Range of the cooling factor.
const COOLING_RANGE: (f32, f32) = (0.02, 3.0);
/// Share of a sensor's correction that goes to the cells around it: the rest is taken for its cell's own.
const SHARED: f32 = 0.7;
/// An innovation beyond so many standard deviations is news: the filter opens itself within this time (s).
const NEWS: f32 = 3.0;
const NEWS_TIME_S: f32 = 60.0;
/// A sensor this far from what the others and the model say (K) for this long (s) is not believed, until it is back
/// within half of it.
const IMPLAUSIBLE_K: f32 = 5.0;
const IMPLAUSIBLE_S: f32 = 120.0;
/// What a cell without a sensor has of its own: at the start (K), share of its heat, of its cooling, of its loss to the
/// ambient. Standard deviations.
const OWN_STD_K: f32 = 0.2;
const OWN_HEAT: f32 = 0.06;
const OWN_COOLING: f32 = 0.1;
const OWN_LOSS: f32 = 0.3;
/// … and how fast it fades without coolant (1/s).
const OWN_RATE_PER_S: f32 = 1e-4;
/// Share of core minus surface that is uncertain.
const INSIDE_ERROR: f32 = 0.15;
/// A pack is isothermal after this time without heat, flow and film (s) …
const ISOTHERMAL_S: f32 = 3.0 * 3600.0;
/// … within this of ambient and coolant (K) …
const ISOTHERMAL_K: f32 = 2.0;
/// … up to this (standard deviation, K), and as much again of the difference to the ambient …
const ISOTHERMAL_STD_K: f32 = 0.1;
const ISOTHERMAL_SHARE: f32 = 0.1;
/// … and what is seen within this time (s) is seen once.
const ISOTHERMAL_TIME_S: f32 = 3600.0;
/// Heat (W) and film power (W) of a pack at rest are below this per cell and module.
const QUIET_W: f32 = 0.3;
/// Drift of an offset (K²/s): 0.1 K in a month.
const OFFSET_WALK_PER_S: f32 = 4e-9;
/// An offset is learnt once its standard deviation is below this (K); a change by more than `JUMP_K` is a fault then.
const LEARNT_STD_K: f32 = 0.12;
const JUMP_K: f32 = 0.5;

/// Where a cell sits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellPlace {
    /// Number of the coolant channel, below [`CHANNELS`].
    pub channel: u8,
    /// Place along the channel, 0 where forward flow enters and 1 where it leaves.
    pub along: f32,
    /// Number of the module, whose film heats it; neighbours in the list and in one module touch.
    pub module: u8,
    /// Conductance from its surface to the coolant in W/K.
    pub to_coolant_w_per_k: f32,
    /// Conductance from its surface to the ambient in W/K.
    pub to_ambient_w_per_k: f32,
}

/// What the maker of a pack knows of its heat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout<'a> {
    /// Place of every cell.
    pub cells: &'a [CellPlace],
    /// Number of the cell under each sensor.
    pub sensor_cells: &'a [u16],
    /// Heat capacity of a cell's core in J/K.
    pub core_j_per_k: f32,
    /// Heat capacity of a cell's surface in J/K.
    pub surface_j_per_k: f32,
    /// Conductance between core and surface in W/K.
    pub core_surface_w_per_k: f32,
    /// Conductance between the surfaces of two cells side by side in one module in W/K; 0 for none.
    pub neighbour_w_per_k: f32,
    /// Heat capacity of the coolant in J/(L K).
    pub coolant_j_per_l_k: f32,
    /// Standard deviation of a sensor's offset before it is trimmed, in K.
    pub sensor_offset_std_k: f32,
}

/// Why a layout cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// There are not as many places as cells.
    Cells,
    /// There are not as many cells under sensors as sensors.
    Sensors,
    /// A sensor is on a cell that the pack does not have.
    NoSuchCell,
    /// A channel or module that the pack does not have.
    NoSuchPlace,
    /// A place along the channel outside 0..=1.
    Along,
    /// A heat capacity, conductance or standard deviation is not a sensible number.
    Number,
}

impl core::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Cells => "the layout has not as many places as there are cells",
            Self::Sensors => "the layout has not as many sensed cells as there are sensors",
            Self::NoSuchCell => "a sensor is on a cell that the pack does not have",
            Self::NoSuchPlace => "a cell is in a channel or module that the pack does not have",
            Self::Along => "a place along a channel is outside 0..=1",
            Self::Number => "a heat capacity, conductance or deviation of the layout is out of range",
        })
    }
}

impl core::error::Error for LayoutError {}

impl Layout<'_> {
    fn check<const N: usize, const S: usize, const M: usize>(&self) -> Result<(), LayoutError> {
        if self.cells.len() != N {
            return Err(LayoutError::Cells);
        }
        if self.sensor_cells.len() != S {
            return Err(LayoutError::Sensors);
        }
        if self.sensor_cells.iter().any(|k| usize::from(*k) >= N) {
            return Err(LayoutError::NoSuchCell);
        }
        let conductance = |g: f32| (0.0..=1e5).contains(&g);
        for cell in self.cells {
            if usize::from(cell.channel) >= CHANNELS || usize::from(cell.module) >= M {
                return Err(LayoutError::NoSuchPlace);
            }
            if !(0.0..=1.0).contains(&cell.along) {
                return Err(LayoutError::Along);
            }
            if !conductance(cell.to_coolant_w_per_k) || !conductance(cell.to_ambient_w_per_k) {
                return Err(LayoutError::Number);
            }
        }
        let positive = |x: f32| (1e-3..=1e7).contains(&x);
        let numbers = [
            self.core_j_per_k,
            self.surface_j_per_k,
            self.core_surface_w_per_k,
            self.coolant_j_per_l_k,
            self.sensor_offset_std_k,
        ];
        if !numbers.into_iter().all(positive) || !conductance(self.neighbour_w_per_k) {
            return Err(LayoutError::Number);
        }
        Ok(())
    }
}

/// One sample of a pack of `N` cells with `S` sensors and `M` modules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TemperatureInput<const N: usize, const S: usize, const M: usize> {
    /// Temperature sensors in degC.
    pub sensors_c: [Reading; S],
    /// Coolant that enters the pack in degC, whichever way it flows.
    pub inlet_c: Reading,
    /// Coolant that leaves the pack in degC.
    pub outlet_c: Reading,
    /// Ambient air in degC.
    pub ambient_c: Reading,
    /// Flow through the whole pack in L/min.
    pub flow_l_per_min: f32,
    /// The coolant flows backwards, from `along` = 1 to 0.
    pub reverse: bool,
    /// Heat that every cell releases in W (mean since the last step).
    pub heat_w: [f32; N],
    /// Power of every module's heating film in W (mean since the last step).
    pub film_w: [f32; M],
}

/// What is made of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SensorStatus {
    /// Used.
    #[default]
    Used,
    /// No valid reading.
    Lost,
    /// Too far from the others and the model for long: not used.
    Implausible,
    /// Its offset is not what was learnt: used with little weight, not learnt.
    Shifted,
}

impl SensorStatus {
    const fn used(self) -> bool {
        matches!(self, Self::Used | Self::Shifted)
    }
}

/// What a controller needs of a pack's temperatures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TemperatureSummary<const M: usize> {
    /// Mean of all cores in degC.
    pub mean_c: f32,
    /// Hottest core in degC.
    pub hottest_c: f32,
    /// Coldest core in degC.
    pub coldest_c: f32,
    /// Hottest minus coldest core in K.
    pub spread_k: f32,
    /// Standard deviation of the spread for what cells without sensors have of their own, in K.
    pub spread_std_k: f32,
    /// Rise of the cells' temperature (core and surface by their heat capacity) from `along` = 0 to 1 in K: the slope of the
    /// regression line through all channels. Positive: hotter where forward flow leaves.
    pub gradient_k: f32,
    /// Mean of every module (core and surface by their heat capacity) in degC; the mean of the pack for an empty module.
    pub module_c: [f32; M],
}

/// Estimated temperatures of all cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackTemperatures<const N: usize, const S: usize, const M: usize> {
    /// Core of every cell in degC.
    pub core_c: [f32; N],
    /// Surface of every cell in degC.
    pub surface_c: [f32; N],
    /// Standard deviation of every core in K, what all sensors have in common left out.
    pub std_k: [f32; N],
    /// Number of the cell with the hottest core.
    pub hottest: usize,
    /// Number of the cell with the coldest core.
    pub coldest: usize,
    /// What a controller needs.
    pub summary: TemperatureSummary<M>,
    /// What is made of every sensor.
    pub sensors: [SensorStatus; S],
    /// There is no sensor to go by: the model alone.
    pub sensors_lost: bool,
}

/// Offset of a sensor against the others.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SensorTrim {
    /// What the sensor shows too much, in K.
    pub offset_k: f32,
    /// Its standard deviation in K.
    pub std_k: f32,
    /// When the pack was last isothermal, the sensor was not where it had been learnt to be.
    pub shifted: bool,
}

stored!(SensorTrim {
    offset_k: f32 => |t| abs(t.offset_k) <= LARGEST_TRIM_K,
    std_k: f32 => |t| t.std_k > 0.0 && t.std_k <= 1e7,
    shifted: bool,
});

/// What is kept over a sleep: the offsets of all `S` sensors and the time since the pack came to rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SensorTrims<const S: usize> {
    /// Every sensor's offset.
    pub sensors: [SensorTrim; S],
    /// Time without heat, flow and film in s.
    pub quiet_s: f32,
}

stored!(SensorTrims[S] {
    sensors: [SensorTrim; S],
    quiet_s: f32 => |t| (0.0..=1e9).contains(&t.quiet_s),
});

/// Filter of one sensor's cell: variance of its temperature, covariance with its cooling, variance of this.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Zone {
    /// Cooling against nominal.
    cooling: f32,
    p: [f32; 3],
    /// Time that the sensor has been far off in s.
    far_s: f32,
}

/// The sensors a cell goes by and how much.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Near {
    sensor: [u16; 2],
    weight: [f32; 2],
    /// The cell has a working sensor of its own.
    own: bool,
}

impl Near {
    /// Weighted sum over the sensors of what `of` says.
    fn sum(&self, of: impl Fn(usize) -> f32) -> f32 {
        let [a, b] = self.sensor;
        self.weight[0] * of(usize::from(a)) + self.weight[1] * of(usize::from(b))
    }
}

/// Estimator of all temperatures of a pack of `N` cells with `S` sensors in `M` modules.
///
/// ```
/// use bms_core::measurement::Reading;
/// use bms_core::temperatures::{CellPlace, CellTemperatures, Layout, TemperatureInput};
///
/// // Eight cells along one channel, sensors on the second and the last but one.
/// let cells = [0.0, 0.14, 0.29, 0.43, 0.57, 0.71, 0.86, 1.0].map(|along| CellPlace {
///     channel: 0,
///     along,
///     module: 0,
///     to_coolant_w_per_k: 12.0,
///     to_ambient_w_per_k: 0.2,
/// });
/// let layout = Layout {
///     cells: &cells,
///     sensor_cells: &[1, 6],
///     core_j_per_k: 2000.0,
///     surface_j_per_k: 500.0,
///     core_surface_w_per_k: 15.0,
///     neighbour_w_per_k: 3.0,
///     coolant_j_per_l_k: 3500.0,
///     sensor_offset_std_k: 0.3,
/// };
/// let mut pack = CellTemperatures::<8, 2, 1>::new(layout)?;
/// let t = |c| Reading::within(c, -60.0, 120.0);
/// let input = TemperatureInput {
///     sensors_c: [t(26.0), t(27.5)],
///     inlet_c: t(23.0),
///     outlet_c: t(26.0),
///     ambient_c: t(25.0),
///     flow_l_per_min: 1.5,
///     reverse: false,
///     heat_w: [30.0; 8],
///     film_w: [0.0],
/// };
/// for _ in 0..1800 {
///     pack.step(&input, 1.0);
/// }
/// let now = pack.temperatures();
/// assert_eq!((now.coldest, now.hottest), (0, 7)); // the coolant warms up on its way
/// assert!(now.core_c[3] > now.surface_c[3] + 1.5); // 30 W through 15 W/K
/// assert!(now.summary.gradient_k > 1.0);
/// # Ok::<(), bms_core::temperatures::LayoutError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellTemperatures<'a, const N: usize, const S: usize, const M: usize> {
    layout: Layout<'a>,
    trims: SensorTrims<S>,
    /// Offsets are learnt.
    learning: bool,
    zones: [Zone; S],
    near: [Near; N],
    /// What every cell has of its own, unseen unless it has a sensor (standard deviation, K).
    own_k: [f32; N],
    /// Nothing was measured yet.
    fresh: bool,
    /// Last known ambient in degC.
    ambient_c: Option<f32>,
    out: PackTemperatures<N, S, M>,
}

impl<'a, const N: usize, const S: usize, const M: usize> CellTemperatures<'a, N, S, M> {
    /// A pack of this layout whose sensors are not trimmed yet.
    ///
    /// # Errors
    /// [`LayoutError`] when the layout does not go with `N`, `S`, `M` or has a number that is out of range.
    pub fn new(layout: Layout<'a>) -> Result<Self, LayoutError> {
        Self::made(layout, true)
    }

    /// As [`Self::new`], or as [`Self::without_trim`] if it does not learn.
    pub(crate) fn made(layout: Layout<'a>, learning: bool) -> Result<Self, LayoutError> {
        layout.check::<N, S, M>()?;
        let trim = SensorTrim { std_k: layout.sensor_offset_std_k, ..SensorTrim::default() };
        let summary = TemperatureSummary {
            mean_c: 25.0,
            hottest_c: 25.0,
            coldest_c: 25.0,
            spread_k: 0.0,
            spread_std_k: 0.0,
            gradient_k: 0.0,
            module_c: [25.0; M],
        };
        let out = PackTemperatures {
            core_c: [25.0; N],
            surface_c: [25.0; N],
            std_k: [10.0; N],
            hottest: 0,
            coldest: 0,
            summary,
            sensors: [SensorStatus::Lost; S],
            sensors_lost: true,
        };
        let zone = Zone { cooling: 1.0, p: [1.0, 0.0, COOLING_STD * COOLING_STD], far_s: 0.0 };
        let mut new = Self {
            layout,
            trims: SensorTrims { sensors: [trim; S], quiet_s: 0.0 },
            learning,
            zones: [zone; S],
            near: [Near::default(); N],
            own_k: [OWN_STD_K; N],
            fresh: true,
            ambient_c: None,
            out,
        };
        new.find_near();
        Ok(new)
    }

    /// The same pack with the offsets of its sensors as they were learnt before.
    #[must_use]
    pub fn with_trims(mut self, trims: SensorTrims<S>) -> Self {
        self.trims = trims;
        for trim in &mut self.trims.sensors {
            trim.offset_k = bound(finite_or(trim.offset_k, 0.0), -LARGEST_TRIM_K, LARGEST_TRIM_K);
            trim.std_k = bound(trim.std_k, 1e-3, self.layout.sensor_offset_std_k);
        }
        self.trims.quiet_s = bound(self.trims.quiet_s, 0.0, 1e9);
        self
    }

    /// The same pack that learns no offsets (and uses none), to see what the trim is worth.
    #[must_use]
    pub fn without_trim(mut self) -> Self {
        self.learning = false;
        for trim in &mut self.trims.sensors {
            *trim = SensorTrim { std_k: self.layout.sensor_offset_std_k, ..SensorTrim::default() };
        }
        self
    }

    /// What to keep over a sleep.
    #[must_use]
    pub const fn trims(&self) -> &SensorTrims<S> {
        &self.trims
    }

    /// The last estimate.
    #[must_use]
    pub const fn temperatures(&self) -> &PackTemperatures<N, S, M> {
        &self.out
    }

    /// Cooling of a channel against nominal (1 as built, near 0 when blocked), from its used sensors: `None` where there
    /// is none. It is known once the cells have been a few kelvins above their coolant for some minutes.
    #[must_use]
    pub fn channel_cooling(&self, channel: u8) -> Option<f32> {
        let (mut sum, mut count) = (0.0, 0.0);
        for ((zone, cell), status) in self.zones.iter().zip(self.layout.sensor_cells).zip(&self.out.sensors) {
            let here = self.layout.cells.get(usize::from(*cell)).is_some_and(|c| c.channel == channel);
            if here && status.used() {
                sum += zone.cooling;
                count += 1.0;
            }
        }
        (count > 0.0).then(|| sum / count)
    }

    /// Takes in one sample after `dt_s` seconds (0 to 100 000; steps up to 300 s are exact to some 0.1 K).
    ///
    /// Inputs that are no number count as no heat, no flow, no time; the estimate stays finite for any bits.
    pub fn step(&mut self, input: &TemperatureInput<N, S, M>, dt_s: f32) -> &PackTemperatures<N, S, M> {
        let dt_s = bound(dt_s, 0.0, LONGEST_S);
        let possible = |r: Reading| r.valid().filter(|t| (RANGE_C.0..=RANGE_C.1).contains(t));
        let inlet = possible(input.inlet_c);
        let outlet = possible(input.outlet_c);
        self.ambient_c = possible(input.ambient_c).or(self.ambient_c);
        let readings = input.sensors_c.map(possible);
        let flow = bound(input.flow_l_per_min, 0.0, 1e4);
        let flow = if flow < STANDING_L_PER_MIN { 0.0 } else { flow };
        if self.fresh {
            self.start(&readings, inlet.or(self.ambient_c));
        }
        let mut coolant = [None; N];
        let pieces = bound(libm::ceilf(dt_s / STEP_S), 1.0, STEPS as f32);
        for k in 0..STEPS {
            if dt_s > 0.0 && (k as f32) < pieces {
                coolant = self.coolant(inlet, outlet, flow, input.reverse);
                self.predict(&coolant, input, dt_s / pieces);
            }
        }
        self.correct(&readings, &coolant, input, dt_s);
        self.grow_apart(&coolant, input, dt_s);
        if self.learning {
            self.trim(&readings, inlet, flow, input, dt_s);
        }
        self.summarise();
        &self.out
    }

    /// All cells as the sensors say, each drawn to the median by how much of the differences their offsets explain
    /// (James and Stein's shrinkage).
    fn start(&mut self, readings: &[Option<f32>; S], otherwise: Option<f32>) {
        let mut shown = [f32::NAN; S];
        for ((t, reading), trim) in shown.iter_mut().zip(readings).zip(&self.trims.sensors) {
            *t = reading.map_or(f32::NAN, |r| r - trim.offset_k);
        }
        let any = shown.iter().any(|t| !t.is_nan());
        let Some(middle) = any.then(|| median(&shown, 0.01)).or(otherwise) else { return };
        self.fresh = false;
        let (mut scatter, mut noise, mut count) = (0.0, 0.0, 0.0);
        for (t, trim) in shown.iter_mut().zip(&self.trims.sensors) {
            *t = if t.is_nan() { 0.0 } else { *t - middle };
            scatter += *t * *t;
            noise += trim.std_k * trim.std_k;
            count += 1.0;
        }
        let keep = if scatter > noise { 1.0 - noise / scatter } else { 0.0 };
        for ((status, reading), zone) in self.out.sensors.iter_mut().zip(readings).zip(&mut self.zones) {
            *status = if reading.is_some() { SensorStatus::Used } else { SensorStatus::Lost };
            zone.p[0] = bound(noise / bound(count, 1.0, 1e5), 0.01, 1.0);
        }
        self.find_near();
        for k in 0..N {
            let t = middle + keep * self.near[k].sum(|s| shown.get(s).copied().unwrap_or(0.0));
            (self.out.core_c[k], self.out.surface_c[k]) = (t, t);
        }
    }

    /// The sensors that every cell goes by.
    fn find_near(&mut self) {
        for (k, (near, place)) in self.near.iter_mut().zip(self.layout.cells).enumerate() {
            // Nearest and second nearest: distance, sensor, channel.
            let mut best = [(f32::MAX, 0u16, u8::MAX); 2];
            let mut own = false;
            let sensed = self.layout.sensor_cells.iter().zip(&self.out.sensors).enumerate();
            for (s, (cell, status)) in sensed {
                let Some(at) = self.layout.cells.get(usize::from(*cell)) else { continue };
                if !status.used() {
                    continue;
                }
                let apart = if usize::from(*cell) == k {
                    own = true;
                    -1.0
                } else if at.channel == place.channel {
                    0.0
                } else if at.module == place.module {
                    0.5
                } else {
                    2.0
                };
                let distance = apart + abs(at.along - place.along);
                let found = (distance, u16::try_from(s).unwrap_or(u16::MAX), at.channel);
                if distance < best[0].0 {
                    best = [found, best[0]];
                } else if distance < best[1].0 {
                    best[1] = found;
                }
            }
            // Another channel has nothing to say where there is a sensor in the cell's own.
            let second = !own && best[1].0 < 1e3 && best[1].2 == best[0].2;
            let mut weight = [0.0; 2];
            if best[0].0 < 1e3 {
                let w = best.map(|b| 1.0 / (b.0 + 0.02));
                weight = if second { [w[0] / (w[0] + w[1]), w[1] / (w[0] + w[1])] } else { [1.0, 0.0] };
            }
            *near = Near { sensor: best.map(|b| b.1), weight, own };
        }
    }

    /// Cooling of a cell against nominal.
    fn cooling(zones: &[Zone; S], near: &Near) -> f32 {
        let factor = 1.0 + near.sum(|s| zones.get(s).map_or(0.0, |z| z.cooling - 1.0));
        bound(factor, COOLING_RANGE.0, COOLING_RANGE.1)
    }

    /// Temperature of the coolant at every cell, `None` where nothing is exchanged.
    fn coolant(&self, inlet: Option<f32>, outlet: Option<f32>, flow: f32, reverse: bool) -> [Option<f32>; N] {
        let mut coolant = [None; N];
        if flow <= 0.0 || (inlet.is_none() && outlet.is_none()) {
            return coolant;
        }
        // Per channel: Σ κ G, Σ κ G T.
        let mut channels = [[0.0f32; 2]; CHANNELS];
        for ((near, place), surface) in self.near.iter().zip(self.layout.cells).zip(&self.out.surface_c) {
            if let Some([g, gt]) = channels.get_mut(usize::from(place.channel)) {
                let own = Self::cooling(&self.zones, near) * place.to_coolant_w_per_k;
                *g += own;
                *gt += own * surface;
            }
        }
        let in_use: f32 = channels.iter().map(|c| if c[0] > 0.0 { 1.0 } else { 0.0 }).sum();
        let w_per_k = flow / 60.0 * self.layout.coolant_j_per_l_k / bound(in_use, 1.0, CHANNELS as f32);
        // Per channel: length, and what is taken over at its end; the same in most.
        let mut last = (f32::NAN, 0.0);
        let ends = channels.map(|c| {
            let length = bound(c[0] / w_per_k, 1e-3, 6.0);
            if length != last.0 {
                last = (length, 1.0 - libm::expf(-length));
            }
            last
        });
        for (t, place) in coolant.iter_mut().zip(self.layout.cells) {
            let at = usize::from(place.channel);
            let (Some((length, whole)), Some([g, gt])) = (ends.get(at), channels.get(at)) else { continue };
            if *g <= 0.0 {
                continue;
            }
            let mean = gt / g;
            let taken = |x: f32| 1.0 - libm::expf(-length * x);
            let x = if reverse { 1.0 - place.along } else { place.along };
            *t = Some(match (inlet, outlet) {
                (Some(inlet), Some(outlet)) => inlet + (outlet - inlet) * taken(x) / whole,
                (Some(inlet), None) => inlet + (mean - inlet) * taken(x),
                (None, Some(outlet)) => {
                    let inlet = mean + bound((outlet - mean) / (1.0 - whole), -20.0, 20.0);
                    inlet + (mean - inlet) * taken(x)
                }
                (None, None) => mean,
            });
        }
        coolant
    }

    /// One step of the model.
    fn predict(&mut self, coolant: &[Option<f32>; N], input: &TemperatureInput<N, S, M>, h: f32) {
        let l = &self.layout;
        let mut in_module = [0.0; M];
        for place in l.cells {
            if let Some(count) = in_module.get_mut(usize::from(place.module)) {
                *count += 1.0;
            }
        }
        let (core, surface, inside) = (l.core_j_per_k / h, l.surface_j_per_k / h, l.core_surface_w_per_k);
        let ambient = self.ambient_c;
        // The cell before: its module and old surface temperature.
        let mut before: Option<(u8, f32)> = None;
        let mut places = l.cells.iter().peekable();
        let mut k = 0;
        while let Some(place) = places.next() {
            if k >= N {
                break;
            }
            let (core_c, surface_c) = (self.out.core_c[k], self.out.surface_c[k]);
            let module = usize::from(place.module);
            let film = input.film_w.get(module).map_or(0.0, |w| bound(*w, 0.0, LARGEST_W));
            let film = film / bound(in_module.get(module).copied().unwrap_or(1.0), 1.0, 1e5);
            let heat = bound(finite_or(input.heat_w[k], 0.0), -LARGEST_W, LARGEST_W);
            let (mut away, mut inflow) = (0.0, film);
            let mut exchange = |g: f32, t: f32| {
                away += g;
                inflow += g * t;
            };
            if let Some(t) = coolant[k] {
                exchange(Self::cooling(&self.zones, &self.near[k]) * place.to_coolant_w_per_k, t);
            }
            if let Some(t) = ambient {
                exchange(place.to_ambient_w_per_k, t);
            }
            if let Some((_, t)) = before.filter(|b| b.0 == place.module) {
                exchange(l.neighbour_w_per_k, t);
            }
            let after = k + 1;
            if after < N && places.peek().is_some_and(|p| p.module == place.module) {
                exchange(l.neighbour_w_per_k, self.out.surface_c[after]);
            }
            // (core + inside) Tc - inside Ts = b0,  -inside Tc + (surface + inside + away) Ts = b1
            let (b0, b1) = (core * core_c + heat, surface * surface_c + inflow);
            let (a0, a1) = (core + inside, surface + inside + away);
            let inverse = 1.0 / (a0 * (surface + away) + core * inside);
            before = Some((place.module, surface_c));
            self.out.core_c[k] = bound((a1 * b0 + inside * b1) * inverse, RANGE_C.0, RANGE_C.1);
            self.out.surface_c[k] = bound((inside * b0 + a0 * b1) * inverse, RANGE_C.0, RANGE_C.1);
            k += 1;
        }
    }

    /// The sensors against the model.
    fn correct(
        &mut self,
        readings: &[Option<f32>; S],
        coolant: &[Option<f32>; N],
        input: &TemperatureInput<N, S, M>,
        dt_s: f32,
    ) {
        let l = &self.layout;
        let capacity = l.core_j_per_k + l.surface_j_per_k;
        let mut innovation = [f32::NAN; S];
        let mut trusted = [f32::NAN; S];
        for (s, cell) in l.sensor_cells.iter().enumerate() {
            let (Some(Some(reading)), Some(surface)) =
                (readings.get(s), self.out.surface_c.get(usize::from(*cell)))
            else {
                continue;
            };
            let (Some(trim), Some(zone), Some(e)) =
                (self.trims.sensors.get(s), self.zones.get(s), innovation.get_mut(s))
            else {
                continue;
            };
            *e = reading - trim.offset_k - surface;
            if let Some(t) = trusted.get_mut(s) {
                *t = if zone.far_s < IMPLAUSIBLE_S && !trim.shifted { *e } else { f32::NAN };
            }
        }
        let seen = |e: &[f32; S]| e.iter().any(|e| !e.is_nan());
        let middle = common_of(if seen(&trusted) { &trusted } else { &innovation });
        let common = middle * (1.0 - libm::expf(-dt_s / COMMON_TIME_S));

        let mut shift = [0.0; S];
        let mut changed = false;
        for (s, (zone, cell)) in self.zones.iter_mut().zip(l.sensor_cells).enumerate() {
            let k = usize::from(*cell);
            let (Some(trim), Some(status), Some(place), Some(surface)) = (
                self.trims.sensors.get(s),
                self.out.sensors.get_mut(s),
                l.cells.get(k),
                self.out.surface_c.get(k),
            ) else {
                continue;
            };
            let heat =
                bound(finite_or(input.heat_w.get(k).copied().unwrap_or(0.0), 0.0), -LARGEST_W, LARGEST_W);
            let film = input.film_w.get(usize::from(place.module)).copied().unwrap_or(0.0);
            let film = bound(film, 0.0, LARGEST_W) * M as f32 / bound(N as f32, 1.0, 1e5);
            let wrong_w = HEAT_ERROR * abs(heat) + FILM_ERROR * film;
            let above = coolant.get(k).copied().flatten().map_or(0.0, |t| bound(surface - t, -50.0, 50.0));
            zone.predict(
                place.to_coolant_w_per_k,
                above,
                wrong_w,
                capacity,
                coolant.get(k).is_some_and(Option::is_some),
                dt_s,
            );
            let e = innovation.get(s).copied().unwrap_or(f32::NAN) - middle;
            let now = if e.is_nan() {
                SensorStatus::Lost
            } else {
                let far = if zone.far_s < IMPLAUSIBLE_S { IMPLAUSIBLE_K } else { 0.5 * IMPLAUSIBLE_K };
                zone.far_s = if abs(e) > far { bound(zone.far_s + dt_s, 0.0, IMPLAUSIBLE_S) } else { 0.0 };
                if zone.far_s >= IMPLAUSIBLE_S {
                    SensorStatus::Implausible
                } else if trim.shifted {
                    SensorStatus::Shifted
                } else {
                    SensorStatus::Used
                }
            };
            changed |= now.used() != status.used();
            *status = now;
            // Cells do not jump: what is that far off is waited for.
            if now.used() && zone.far_s <= 0.0 && dt_s > 0.0 {
                let offset = trim.std_k * trim.std_k + if trim.shifted { 1.0 } else { 0.0 };
                let moved = zone.correct(e, offset, dt_s);
                if let Some(to) = shift.get_mut(s) {
                    *to = moved;
                }
            }
        }
        if changed {
            self.find_near();
        }
        let common = if common.is_nan() { 0.0 } else { common };
        for k in 0..N {
            let near = &self.near[k];
            let share = if near.own { 1.0 } else { SHARED };
            let moved = common + share * near.sum(|s| shift.get(s).copied().unwrap_or(0.0));
            self.out.core_c[k] = bound(self.out.core_c[k] + moved, RANGE_C.0, RANGE_C.1);
            self.out.surface_c[k] = bound(self.out.surface_c[k] + moved, RANGE_C.0, RANGE_C.1);
        }
        self.out.sensors_lost = !self.out.sensors.iter().any(|s| s.used());
    }

    /// Differences in heat and cooling move the cells without sensors apart, unseen; the coolant brings them together.
    fn grow_apart(&mut self, coolant: &[Option<f32>; N], input: &TemperatureInput<N, S, M>, dt_s: f32) {
        let l = &self.layout;
        let capacity = l.core_j_per_k + l.surface_j_per_k;
        let cells = self.own_k.iter_mut().zip(l.cells).zip(&self.near);
        let driven = coolant.iter().zip(&input.heat_w).zip(&self.out.surface_c);
        // Most cells are cooled like the one before.
        let (mut last_rate, mut back) = (f32::NAN, 0.0);
        for (((own, place), near), ((t, heat), surface)) in cells.zip(driven) {
            let mut drive = OWN_HEAT * bound(abs(*heat), 0.0, LARGEST_W);
            if let Some(t) = self.ambient_c {
                drive += OWN_LOSS * place.to_ambient_w_per_k * bound(abs(surface - t), 0.0, 200.0);
            }
            // Neighbours and air bring them together as well, slowly.
            let mut rate = OWN_RATE_PER_S;
            if let Some(t) = t {
                let g = Self::cooling(&self.zones, near) * place.to_coolant_w_per_k;
                drive += OWN_COOLING * g * bound(abs(surface - t), 0.0, 50.0);
                rate += g / capacity;
            }
            if rate != last_rate {
                (last_rate, back) = (rate, 1.0 - libm::expf(-bound(rate * dt_s, 0.0, 20.0)));
            }
            let settled = bound(drive / (capacity * rate), 0.0, 50.0);
            *own = bound(*own + back * (settled - *own), 0.5 * OWN_STD_K, 50.0);
        }
    }

    /// Learns the offsets of an isothermal pack.
    fn trim(
        &mut self,
        readings: &[Option<f32>; S],
        inlet: Option<f32>,
        flow: f32,
        input: &TemperatureInput<N, S, M>,
        dt_s: f32,
    ) {
        // NaN is not quiet.
        let quiet = |w: &f32| abs(*w) <= QUIET_W;
        let rests = flow == 0.0 && input.heat_w.iter().all(quiet) && input.film_w.iter().all(quiet);
        self.trims.quiet_s = if rests { bound(self.trims.quiet_s + dt_s, 0.0, 1e9) } else { 0.0 };
        for trim in &mut self.trims.sensors {
            let variance = trim.std_k * trim.std_k + OFFSET_WALK_PER_S * dt_s;
            trim.std_k = bound(sqrt(variance), 1e-3, self.layout.sensor_offset_std_k);
        }
        let Some(ambient) = self.ambient_c else { return };
        if self.trims.quiet_s < ISOTHERMAL_S || dt_s <= 0.0 {
            return;
        }
        let mut shown = [f32::NAN; S];
        let mut trimmed = [f32::NAN; S];
        for (((t, u), reading), trim) in
            shown.iter_mut().zip(&mut trimmed).zip(readings).zip(&self.trims.sensors)
        {
            *t = reading.unwrap_or(f32::NAN);
            *u = *t - trim.offset_k;
        }
        let (middle, count) = (median(&trimmed, 0.002), trimmed.iter().filter(|t| !t.is_nan()).count());
        let away = abs(middle - ambient);
        let isothermal =
            count >= 3 && away <= ISOTHERMAL_K && inlet.is_none_or(|t| abs(t - middle) <= ISOTHERMAL_K);
        if !isothermal {
            return;
        }
        let noise = ISOTHERMAL_STD_K + ISOTHERMAL_SHARE * away;
        for (t, trim) in shown.iter().zip(&mut self.trims.sensors) {
            let e = *t - middle - trim.offset_k;
            if e.is_nan() {
                continue;
            }
            let learnt = trim.std_k < LEARNT_STD_K;
            trim.shifted = (learnt || trim.shifted) && abs(e) > JUMP_K || abs(*t - middle) > LARGEST_TRIM_K;
            if trim.shifted {
                continue;
            }
            let variance = trim.std_k * trim.std_k;
            let repeated = noise * noise * bound(2.0 * ISOTHERMAL_TIME_S / dt_s, 1.0, 1e6);
            let gain = variance / (variance + repeated);
            trim.offset_k = bound(trim.offset_k + gain * e, -LARGEST_TRIM_K, LARGEST_TRIM_K);
            trim.std_k = bound(sqrt((1.0 - gain) * variance), 0.02, self.layout.sensor_offset_std_k);
        }
    }

    /// Everything that is derived from the temperatures.
    fn summarise(&mut self) {
        let l = &self.layout;
        let inner = l.core_j_per_k / (l.core_j_per_k + l.surface_j_per_k);
        let mut module = [[0.0f32; 2]; M];
        let (mut hottest, mut coldest) = ((0, f32::MIN), (0, f32::MAX));
        let (mut unseen, mut unsensed) = (0.0, 0.0);
        // Sums for the mean and for the regression line: 1, x, x², T, x T.
        let (mut mean, mut n, mut x1, mut x2, mut t1, mut xt) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for (k, place) in l.cells.iter().enumerate() {
            if k >= N {
                break;
            }
            let (core, surface) = (self.out.core_c[k], self.out.surface_c[k]);
            hottest = if core > hottest.1 { (k, core) } else { hottest };
            coldest = if core < coldest.1 { (k, core) } else { coldest };
            let t = surface + inner * (core - surface);
            mean += core;
            n += 1.0;
            x1 += place.along;
            x2 += place.along * place.along;
            t1 += t;
            xt += place.along * t;
            if let Some([sum, count]) = module.get_mut(usize::from(place.module)) {
                *sum += t;
                *count += 1.0;
            }
            let near = &self.near[k];
            let known = near.weight[0] + near.weight[1];
            let zone = near.sum(|s| {
                let offset = self.trims.sensors.get(s).map_or(1.0, |t| t.std_k);
                self.zones.get(s).map_or(1.0, |z| z.p[0] + offset * offset)
            });
            let inside = INSIDE_ERROR * (core - surface);
            let own = if near.own { 0.0 } else { self.own_k[k] };
            unseen += own * own;
            unsensed += if near.own { 0.0 } else { 1.0 };
            let lost = if known > 0.5 { 0.0 } else { 2.0 };
            self.out.std_k[k] = bound(sqrt(zone + inside * inside + own * own + lost * lost), 0.0, 50.0);
        }
        let count = if n > 0.0 { n } else { 1.0 };
        let spread_of_x = x2 - x1 * x1 / count;
        let summary = &mut self.out.summary;
        summary.mean_c = mean / count;
        // Two cells make a spread.
        summary.spread_std_k = if unsensed > 0.0 { sqrt(2.0 * unseen / unsensed) } else { 0.0 };
        summary.gradient_k = if spread_of_x > 1e-3 { (xt - x1 * t1 / count) / spread_of_x } else { 0.0 };
        if n > 0.0 {
            (self.out.hottest, self.out.coldest) = (hottest.0, coldest.0);
            (summary.hottest_c, summary.coldest_c) = (hottest.1, coldest.1);
            summary.spread_k = hottest.1 - coldest.1;
        }
        for (t, [sum, count]) in summary.module_c.iter_mut().zip(module) {
            *t = if count > 0.0 { sum / count } else { summary.mean_c };
        }
    }
}

/// What most of the numbers have in common: their median, and of two halves the one nearer to nothing, so that a half of
/// the pack that is no longer cooled does not take the other with it.
fn common_of<const S: usize>(innovation: &[f32; S]) -> f32 {
    let (upper, lower) = (median(innovation, CLOSE_K), -median(&innovation.map(|e| -e), CLOSE_K));
    if abs(lower) < abs(upper) { lower } else { upper }
}

impl Zone {
    /// Time goes on: what is wrong with the cooling moves the temperature, which goes back to the coolant's.
    fn predict(&mut self, g: f32, above: f32, wrong_w: f32, capacity: f32, cooled: bool, dt_s: f32) {
        let rate = if cooled { self.cooling * g / capacity } else { 0.0 };
        let a = libm::expf(-bound(rate * dt_s, 0.0, 20.0));
        // Exact for constant `above`: (1 - a) / rate tends to dt.
        let time = if rate * dt_s > 1e-4 { (1.0 - a) / rate } else { dt_s };
        let b = if cooled { -above * g / capacity * time } else { 0.0 };
        let [d, c, k] = self.p;
        let rate = wrong_w / capacity;
        let noise = (NODE_NOISE_PER_S + 2.0 * HEAT_TIME_S * rate * rate) * dt_s;
        self.p =
            [a * a * d + 2.0 * a * b * c + b * b * k + noise, a * c + b * k, k + COOLING_WALK_PER_S * dt_s];
        self.keep_sound();
    }

    /// Takes in the innovation `e` of a sensor whose offset has the variance `offset`; returns the shift of the cell.
    fn correct(&mut self, e: f32, offset: f32, dt_s: f32) -> f32 {
        let e = bound(e, -50.0, 50.0);
        let expected = self.p[0] + offset;
        let news = e * e - NEWS * NEWS * expected;
        if news > 0.0 {
            let part = bound(dt_s / NEWS_TIME_S, 0.0, 1.0);
            self.p[0] += part * news;
            self.p[2] += part * 0.25;
        }
        let noise = offset * bound(2.0 * OFFSET_TIME_S / dt_s, 1.0, 1e6);
        let [d, c, k] = self.p;
        let inverse = 1.0 / (d + noise);
        let shift = d * inverse * e;
        self.cooling = bound(self.cooling + c * inverse * e, COOLING_RANGE.0, COOLING_RANGE.1);
        self.p = [d * noise * inverse, c * noise * inverse, k - c * c * inverse];
        self.keep_sound();
        shift
    }

    fn keep_sound(&mut self) {
        let [d, c, k] = self.p;
        let (d, k) = (bound(d, 1e-6, 25.0), bound(k, 1e-6, 1.0));
        let limit = 0.999 * sqrt(d * k);
        self.p = [d, bound(finite_or(c, 0.0), -limit, limit), k];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Reader, Stored, Writer};
    use proptest::prelude::*;

    const N: usize = 8;
    const S: usize = 4;
    const M: usize = 2;

    /// Two channels of four cells each, one module per channel, the second and third of each sensed.
    const CELLS: [CellPlace; N] = {
        let mut cells = [CellPlace {
            channel: 0,
            along: 0.0,
            module: 0,
            to_coolant_w_per_k: 10.0,
            to_ambient_w_per_k: 0.2,
        }; N];
        let along = [0.0, 0.25, 0.75, 1.0];
        let mut k = 0;
        while k < N {
            cells[k].channel = (k / 4) as u8;
            cells[k].module = (k / 4) as u8;
            cells[k].along = along[k % 4];
            k += 1;
        }
        cells
    };
    const LAYOUT: Layout<'_> = Layout {
        cells: &CELLS,
        sensor_cells: &[1, 2, 5, 6],
        core_j_per_k: 2000.0,
        surface_j_per_k: 500.0,
        core_surface_w_per_k: 15.0,
        neighbour_w_per_k: 3.0,
        coolant_j_per_l_k: 3500.0,
        sensor_offset_std_k: 0.3,
    };

    fn read(t: f32) -> Reading {
        Reading::within(t, -60.0, 120.0)
    }

    fn at_rest(t: f32) -> TemperatureInput<N, S, M> {
        TemperatureInput {
            sensors_c: [read(t); S],
            inlet_c: read(t),
            outlet_c: read(t),
            ambient_c: read(t),
            flow_l_per_min: 0.0,
            reverse: false,
            heat_w: [0.0; N],
            film_w: [0.0; M],
        }
    }

    fn pack() -> CellTemperatures<'static, N, S, M> {
        CellTemperatures::new(LAYOUT).unwrap()
    }

    #[test]
    fn the_model_alone_settles_where_heat_and_cooling_balance() {
        // So much flow that the coolant has one temperature; no ambient: T_s = T_f + q / G, T_c = T_s + q / g.
        let mut input = at_rest(25.0);
        input.ambient_c = Reading::MISSING;
        (input.flow_l_per_min, input.heat_w) = (1e4, [30.0; N]);
        for dt_s in [1.0, 30.0, 300.0] {
            let mut pack = pack();
            input.sensors_c = [read(25.0); S];
            pack.step(&input, 0.0);
            input.sensors_c = [Reading::MISSING; S];
            for _ in 0..(7200.0 / dt_s) as u32 {
                pack.step(&input, dt_s);
            }
            let now = pack.temperatures();
            for k in 0..N {
                assert!((now.surface_c[k] - 28.0).abs() < 0.01, "{dt_s} s: {}", now.surface_c[k]);
                assert!((now.core_c[k] - 30.0).abs() < 0.01, "{dt_s} s: {}", now.core_c[k]);
            }
            assert!(now.sensors_lost && now.std_k.iter().all(|s| *s > 1.0), "a wide band");
        }
    }

    #[test]
    fn long_steps_follow_short_ones() {
        let mut input = at_rest(25.0);
        (input.flow_l_per_min, input.heat_w, input.film_w) = (2.0, [20.0; N], [100.0, 0.0]);
        let mut short = pack();
        short.step(&input, 0.0);
        input.sensors_c = [Reading::MISSING; S];
        let mut long = short;
        for _ in 0..3 {
            long.step(&input, 300.0);
            for _ in 0..300 {
                short.step(&input, 1.0);
            }
            for (a, b) in long.temperatures().core_c.iter().zip(short.temperatures().core_c) {
                assert!((a - b).abs() < 0.15, "{a} against {b}");
            }
        }
        let modules = long.temperatures().summary.module_c;
        assert!(modules[0] > modules[1] + 1.0, "the film heats its module alone: {modules:?}");
    }

    #[test]
    fn the_coolant_warms_up_on_its_way_whichever_end_is_measured() {
        let mut input = at_rest(25.0);
        (input.flow_l_per_min, input.heat_w) = (1.0, [20.0; N]);
        // 160 W into 58.3 W/K.
        (input.inlet_c, input.outlet_c) = (read(25.0), read(27.74));
        let mut settled = [[0.0; N]; 3];
        for (to, missing) in settled.iter_mut().zip(0..) {
            let mut pack = pack();
            let mut input = input;
            pack.step(&input, 0.0);
            input.sensors_c = [Reading::MISSING; S];
            match missing {
                1 => input.outlet_c = Reading::MISSING,
                2 => input.inlet_c = Reading::MISSING,
                _ => {}
            }
            for _ in 0..3600 {
                pack.step(&input, 1.0);
            }
            let now = pack.temperatures();
            *to = now.core_c;
            assert!((1.0..4.0).contains(&now.summary.gradient_k), "{}", now.summary.gradient_k);
            assert_eq!((now.coldest % 4, now.hottest % 4), (0, 3));
            input.reverse = true;
            for _ in 0..3600 {
                pack.step(&input, 1.0);
            }
            assert!(pack.temperatures().summary.gradient_k < -1.0, "the flow turned");
        }
        for k in 0..N {
            assert!((settled[0][k] - settled[1][k]).abs() < 0.6, "{settled:?}");
            assert!((settled[0][k] - settled[2][k]).abs() < 0.6, "{settled:?}");
        }
    }

    /// A night at one temperature with these sensor offsets.
    fn night(pack: &mut CellTemperatures<'_, N, S, M>, offset_k: [f32; S], hours: u32) {
        for _ in 0..12 * hours {
            let mut input = at_rest(18.0);
            input.sensors_c = offset_k.map(|o| read(18.0 + o));
            pack.step(&input, 300.0);
        }
    }

    #[test]
    fn a_night_trims_the_sensors() {
        let offset_k = [0.5, -0.4, 0.1, -0.1];
        let mut pack = pack();
        night(&mut pack, offset_k, 2);
        assert!(pack.trims().sensors.iter().all(|t| t.offset_k == 0.0), "two hours are too short");
        night(&mut pack, offset_k, 10);
        let common = pack.trims().sensors[0].offset_k - offset_k[0];
        assert!(common.abs() < 0.15, "against the median: {common}");
        for (trim, offset) in pack.trims().sensors.iter().zip(offset_k) {
            assert!((trim.offset_k - offset - common).abs() < 0.05, "{trim:?} for {offset}");
            assert!(trim.std_k < LEARNT_STD_K && !trim.shifted);
        }
        let mut bytes = [0; SensorTrims::<S>::ENCODED_LEN];
        pack.trims().encode(&mut Writer::new(&mut bytes));
        let kept = SensorTrims::<S>::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(kept, *pack.trims());

        // In the morning the differences between the sensors are not taken for differences between the cells.
        let mut pack = CellTemperatures::<N, S, M>::new(LAYOUT).unwrap().with_trims(kept);
        let mut input = at_rest(20.0);
        input.sensors_c = offset_k.map(|o| read(20.0 + o));
        assert!(pack.step(&input, 1.0).summary.spread_k < 0.1);

        // A sensor that drifts off is flagged and not learnt.
        let mut moved = offset_k;
        moved[2] += 1.0;
        night(&mut pack, moved, 12);
        assert_eq!(pack.temperatures().sensors[2], SensorStatus::Shifted);
        assert!((pack.trims().sensors[2].offset_k - kept.sensors[2].offset_k).abs() < 0.05);
        night(&mut pack, offset_k, 12);
        assert_eq!(pack.temperatures().sensors[2], SensorStatus::Used, "it came back");

        let mut without = CellTemperatures::<N, S, M>::new(LAYOUT).unwrap().without_trim();
        night(&mut without, offset_k, 12);
        assert!(without.trims().sensors.iter().all(|t| t.offset_k == 0.0));
    }

    #[test]
    fn nothing_is_learnt_while_the_pack_is_not_isothermal() {
        let busy: [fn(&mut TemperatureInput<N, S, M>); 5] = [
            |i| i.heat_w[3] = 5.0,
            |i| i.flow_l_per_min = 3.0,
            |i| i.film_w[1] = 20.0,
            |i| i.ambient_c = read(5.0),
            |i| i.heat_w[0] = f32::NAN,
        ];
        for make_busy in busy {
            let mut pack = pack();
            let mut input = at_rest(18.0);
            input.sensors_c[0] = read(18.5);
            make_busy(&mut input);
            for _ in 0..300 {
                pack.step(&input, 300.0);
            }
            assert_eq!(pack.trims().sensors[0].offset_k, 0.0);
        }
    }

    #[test]
    fn a_lost_sensor_is_replaced_by_its_neighbours() {
        let mut input = at_rest(25.0);
        let mut pack = pack();
        pack.step(&input, 1.0);
        // The first channel is 3 K warmer than the second, of which the model knows nothing.
        input.sensors_c = [Reading::MISSING, read(28.0), read(25.0), read(25.0)];
        for _ in 0..1800 {
            pack.step(&input, 1.0);
        }
        let now = pack.temperatures();
        assert_eq!(now.sensors[0], SensorStatus::Lost);
        assert!(!now.sensors_lost);
        assert!(now.std_k[1] > now.std_k[5], "{:?}", now.std_k);
        assert!(now.core_c[1] > 26.3 && now.core_c[5] < 25.7, "{:?}", now.core_c);
    }

    #[test]
    fn an_implausible_sensor_is_not_used() {
        let mut input = at_rest(25.0);
        let mut pack = pack();
        pack.step(&input, 1.0);
        input.sensors_c[1] = read(60.0);
        for _ in 0..600 {
            pack.step(&input, 1.0);
        }
        let now = pack.temperatures();
        assert_eq!(now.sensors[1], SensorStatus::Implausible);
        input.sensors_c[1] = read(25.0);
        for _ in 0..1800 {
            pack.step(&input, 1.0);
        }
        let now = pack.temperatures();
        assert_eq!(now.sensors[1], SensorStatus::Used);
        assert!(now.summary.spread_k < 1.0, "{}", now.summary.spread_k);
    }

    #[test]
    fn layouts_that_do_not_fit_are_refused() {
        fn made(layout: Layout<'_>) -> Result<(), LayoutError> {
            CellTemperatures::<N, S, M>::new(layout).map(|_| ())
        }
        let with = |change: fn(&mut CellPlace)| {
            let mut cells = CELLS;
            change(&mut cells[3]);
            made(Layout { cells: &cells, ..LAYOUT })
        };
        assert_eq!(made(LAYOUT), Ok(()));
        assert_eq!(made(Layout { cells: &CELLS[1..], ..LAYOUT }), Err(LayoutError::Cells));
        assert_eq!(made(Layout { sensor_cells: &[1], ..LAYOUT }), Err(LayoutError::Sensors));
        assert_eq!(made(Layout { sensor_cells: &[1, 2, 3, 8], ..LAYOUT }), Err(LayoutError::NoSuchCell));
        assert_eq!(made(Layout { core_j_per_k: f32::NAN, ..LAYOUT }), Err(LayoutError::Number));
        assert_eq!(made(Layout { neighbour_w_per_k: -1.0, ..LAYOUT }), Err(LayoutError::Number));
        assert_eq!(with(|c| c.module = 2), Err(LayoutError::NoSuchPlace));
        assert_eq!(with(|c| c.channel = 32), Err(LayoutError::NoSuchPlace));
        assert_eq!(with(|c| c.along = 1.5), Err(LayoutError::Along));
        assert_eq!(with(|c| c.to_coolant_w_per_k = f32::INFINITY), Err(LayoutError::Number));
    }

    proptest! {
        #[test]
        fn any_bits_leave_sound_numbers(
            samples in prop::collection::vec((any::<[u32; 20]>(), any::<bool>()), 1..40),
        ) {
            let mut pack = pack();
            for (bits, reverse) in samples {
                // Every other sample is wild, the rest within what a pack can show.
                let wild = bits[0] & 1 == 0;
                let number = |k: usize, lo: f32, hi: f32| {
                    let x = f32::from_bits(bits[k]);
                    if wild { x } else { lo + (hi - lo) * (bits[k] as f32 / u32::MAX as f32) }
                };
                let mut input = at_rest(0.0);
                for (s, r) in input.sensors_c.iter_mut().enumerate() {
                    *r = read(number(1 + s, -40.0, 80.0));
                }
                input.inlet_c = read(number(5, -30.0, 60.0));
                input.outlet_c = read(number(6, -30.0, 60.0));
                input.ambient_c = read(number(7, -30.0, 60.0));
                input.flow_l_per_min = number(8, -1.0, 20.0);
                input.reverse = reverse;
                input.film_w = [number(9, 0.0, 500.0), number(10, 0.0, 500.0)];
                for (k, w) in input.heat_w.iter_mut().enumerate() {
                    *w = number(11 + k, -5.0, 100.0);
                }
                let now = *pack.step(&input, number(19, 0.0, 300.0));
                for k in 0..N {
                    for t in [now.core_c[k], now.surface_c[k]] {
                        prop_assert!((RANGE_C.0..=RANGE_C.1).contains(&t), "{t}");
                    }
                    prop_assert!(now.std_k[k] > 0.0 && now.std_k[k] <= 50.0);
                }
                let s = now.summary;
                prop_assert!(s.gradient_k.is_finite() && s.spread_k >= 0.0 && s.spread_k.is_finite());
                prop_assert!(s.coldest_c <= s.mean_c + 0.01 && s.mean_c <= s.hottest_c + 0.01);
                prop_assert!(now.hottest < N && now.coldest < N);
                for trim in &pack.trims().sensors {
                    prop_assert!(trim.offset_k.abs() <= LARGEST_TRIM_K && trim.std_k > 0.0);
                    prop_assert!(trim.std_k <= LAYOUT.sensor_offset_std_k);
                }
                for channel in [0, 1] {
                    let cooling = pack.channel_cooling(channel).unwrap_or(1.0);
                    prop_assert!((COOLING_RANGE.0..=COOLING_RANGE.1).contains(&cooling));
                }
            }
        }
    }
}
