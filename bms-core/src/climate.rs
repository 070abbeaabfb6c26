//! Cooling and heating of a pack: one loop for the mean of its cells, one for how far they are apart.
//!
//! **Mean.** Every [`Mode`] has a [`Band`]. Above it the chiller works, below it the heaters, in between nothing. Power is
//! the heat that the pack will release (feed-forward, which also starts the chiller ahead of time) plus a proportional
//! and integral part of the mean's distance from the edge of the band, with the integral held while a limit binds. The
//! coolant that enters is kept within a distance of the cells, since a coolant that is too cold makes them unequal.
//!
//! **Spread.** Flow rises with the power to be carried (so that the coolant does not warm up much on its way) and with the
//! spread; the direction turns as soon as the cells along the channel have become unequal the other way, and at the latest
//! after [`ClimateSettings::reverse_latest_s`] while the coolant's ends differ; a mean within its band and a large spread
//! let the coolant circulate without chiller and heater; the heating films of warmer modules get less power than those of
//! the coldest; cooling that part of the pack does not get is held back from the rest as long as no cell is hot. In
//! [`Mode::Preheat`] all heat is given that keeps the spread low.
//!
//! Chiller, heater, pump and direction have minimum times in each state. No output leaves the limits of its device, and no
//! film is on while the hottest cell is at its limit or no temperature is known.
//!
//! Sources: Åström, Hägglund (2006), "Advanced PID control" (feed-forward, conditional integration); Park, Jung (2013),
//! "Numerical cell temperature prediction and reciprocating cooling flow in a battery pack", and Mahamud, Park (2011),
//! "Reciprocating air flow for Li-ion battery thermal management to improve temperature uniformity", J. Power Sources 196
//! (reversal).

use crate::math::{abs, bound, finite_or};
use crate::measurement::Reading;
use crate::store::stored;
use crate::temperatures::TemperatureSummary;

/// Range in which any temperature of a setting lies (degC).
const RANGE_C: (f32, f32) = (-60.0, 150.0);
/// The coolant's ends differ by more than this (K) before turning the flow can help.
const TURN_RISE_K: f32 = 0.3;
/// The flow does not turn before it has replaced the coolant in the pack so many times.
pub const TURN_VOLUMES: f32 = 1.5;
/// A change of flow below this share of the largest is not worth it.
const FLOW_STEP: f32 = 0.05;
/// Cooling that was held back for the spread comes back within so many kelvins.
const EVEN_RAMP_K: f32 = 2.0;
/// Below this the coolant stands (L/min).
const STANDING_L_PER_MIN: f32 = 0.05;
/// The heaters give at least this share while they preheat, whatever the spread.
const LEAST_PREHEAT: f32 = 0.1;
const LONGEST_S: f32 = 1e5;

/// What the vehicle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Driving.
    Driving,
    /// Charging with high current, or about to.
    FastCharge,
    /// Charging with low current.
    Charging,
    /// At rest.
    #[default]
    Parked,
    /// Warming up as fast as the spread allows.
    Preheat,
}

/// The mean temperature that a mode allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Heat below this (degC).
    pub heat_below_c: f32,
    /// Cool above this (degC).
    pub cool_above_c: f32,
}

/// Parts of the control; each can be switched off to see what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Chiller and heaters at all.
    pub mean_loop: bool,
    /// Flow rises with the spread.
    pub spread_flow: bool,
    /// The flow turns.
    pub reversal: bool,
    /// Heat to come is taken in.
    pub feed_forward: bool,
    /// Films of warmer modules get less.
    pub film_zoning: bool,
    /// Offsets of the sensors are trimmed (for
    /// [`CellTemperatures::without_trim`](crate::temperatures::CellTemperatures::without_trim); this module does not use it).
    pub trim: bool,
    /// Circulation without chiller and heater.
    pub mixing: bool,
    /// Cooling is held back for the spread.
    pub hold_back: bool,
}

impl Parts {
    /// Everything.
    pub const ALL: Self = Self {
        mean_loop: true,
        spread_flow: true,
        reversal: true,
        feed_forward: true,
        film_zoning: true,
        trim: true,
        mixing: true,
        hold_back: true,
    };
}

/// Devices, limits and set points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClimateSettings {
    /// Band while driving.
    pub driving: Band,
    /// Band in a fast charge.
    pub fast_charge: Band,
    /// Band in a slow charge.
    pub charging: Band,
    /// Band while parked; `None` leaves a parked pack alone but for mixing.
    pub parked: Option<Band>,
    /// A parked pack may circulate its coolant against a spread.
    pub mix_parked: bool,
    /// Preheating ends when the mean reaches this (degC), if nobody grants heat ([`ClimateInput::granted_w`]).
    pub preheat_to_c: f32,
    /// Chiller and heaters stop when the mean is this far inside the band (K).
    pub hysteresis_k: f32,
    /// Films and heater are off above this temperature of the hottest core (degC).
    pub largest_heated_c: f32,
    /// So many standard deviations ([`TemperatureSummary::spread_std_k`]) are added to the spread before flow is raised for
    /// it: cells without sensors may be further apart than they are known to be. Preheating goes by the spread alone.
    pub caution: f32,
    /// Cooling is held back for the spread, from 0.8 of the limit on to nothing at 1.2 of it, as long as the hottest core is
    /// below this (degC): where a channel is blocked, chilling the others only leaves its cells behind.
    pub even_up_to_c: f32,
    /// Spread (K) above which flow is raised or the coolant circulates …
    pub spread_on_k: f32,
    /// … below which that ends …
    pub spread_off_k: f32,
    /// … and at which flow is largest and preheating weakest.
    pub spread_limit_k: f32,
    /// Coldest coolant (degC), and the most that it may be below the mean of the cells (K).
    pub coldest_inlet_c: f32,
    /// See [`Self::coldest_inlet_c`].
    pub inlet_below_k: f32,
    /// Hottest coolant (degC), and the most that it may be above the mean of the cells (K).
    pub hottest_inlet_c: f32,
    /// See [`Self::hottest_inlet_c`].
    pub inlet_above_k: f32,
    /// Change of the coolant's temperature through the pack that flow is set for (K).
    pub coolant_rise_k: f32,
    /// How far ahead heat is looked at to start the chiller (s).
    pub horizon_s: f32,
    /// Heat capacity of the pack (J/K).
    pub pack_j_per_k: f32,
    /// Heat capacity of the coolant (J/(L K)).
    pub coolant_j_per_l_k: f32,
    /// Time in which the proportional part takes back a distance of the mean, and time of the integral (s).
    pub response_s: f32,
    /// See [`Self::response_s`].
    pub integral_s: f32,
    /// A module this much above the coldest one gets no film power (K).
    pub zone_k: f32,
    /// Shortest and longest time between two turns of the flow (s): the longest below half of a cell's time constant.
    pub reverse_earliest_s: f32,
    /// See [`Self::reverse_earliest_s`].
    pub reverse_latest_s: f32,
    /// Volume of the coolant inside the pack (L): it is let through [`TURN_VOLUMES`] times before the flow turns again.
    pub coolant_l: f32,
    /// The cells along the channel differ by this much (K, end to end) before the flow turns for it.
    pub reverse_gradient_k: f32,
    /// Shortest time that chiller, heaters and pump stay on, and off (s).
    pub min_on_s: f32,
    /// See [`Self::min_on_s`].
    pub min_off_s: f32,
    /// Smallest and largest flow (L/min).
    pub min_flow_l_per_min: f32,
    /// See [`Self::min_flow_l_per_min`].
    pub max_flow_l_per_min: f32,
    /// Smallest and largest heat that the chiller takes (W).
    pub min_chiller_w: f32,
    /// See [`Self::min_chiller_w`].
    pub max_chiller_w: f32,
    /// Largest heat of the heater in the coolant (W); 0 for none.
    pub max_heater_w: f32,
    /// Largest power of one module's film (W); 0 for none.
    pub max_film_w: f32,
    /// Modules that have a film: the first so many.
    pub films: u8,
    /// Heat that the chiller takes for its electricity.
    pub chiller_cop: f32,
    /// Heat of the coolant heater for its electricity.
    pub heater_efficiency: f32,
    /// Electricity of the pump at the largest flow (W); it goes with the cube of the flow.
    pub pump_w: f32,
    /// What is switched on.
    pub parts: Parts,
}

impl ClimateSettings {
    /// A passenger car's pack of 96 cells of 150 Ah with plates, 5 kW chiller, 6 kW heater and films.
    pub const CAR: Self = Self {
        driving: Band { heat_below_c: 5.0, cool_above_c: 30.0 },
        fast_charge: Band { heat_below_c: 20.0, cool_above_c: 30.0 },
        charging: Band { heat_below_c: 5.0, cool_above_c: 32.0 },
        parked: None,
        mix_parked: false,
        preheat_to_c: 10.0,
        hysteresis_k: 2.0,
        largest_heated_c: 45.0,
        caution: 1.0,
        even_up_to_c: 42.0,
        spread_on_k: 1.2,
        spread_off_k: 0.8,
        spread_limit_k: 1.8,
        coldest_inlet_c: 5.0,
        inlet_below_k: 12.0,
        hottest_inlet_c: 50.0,
        inlet_above_k: 12.0,
        coolant_rise_k: 1.0,
        horizon_s: 600.0,
        pack_j_per_k: 96.0 * 2500.0,
        coolant_j_per_l_k: 3500.0,
        response_s: 300.0,
        integral_s: 900.0,
        zone_k: 1.5,
        reverse_earliest_s: 20.0,
        reverse_latest_s: 60.0,
        coolant_l: 4.0,
        reverse_gradient_k: 0.3,
        min_on_s: 60.0,
        min_off_s: 60.0,
        min_flow_l_per_min: 6.0,
        max_flow_l_per_min: 20.0,
        min_chiller_w: 500.0,
        max_chiller_w: 5000.0,
        max_heater_w: 6000.0,
        max_film_w: 480.0,
        films: 12,
        chiller_cop: 2.5,
        heater_efficiency: 0.95,
        pump_w: 120.0,
        parts: Parts::ALL,
    };

    fn check(&self) -> Result<(), ClimateError> {
        let band = |b: &Band| {
            b.heat_below_c >= RANGE_C.0
                && b.cool_above_c <= RANGE_C.1
                && b.cool_above_c - b.heat_below_c > 2.0 * self.hysteresis_k
        };
        let bands = [Some(self.driving), Some(self.fast_charge), Some(self.charging), self.parked];
        if !bands.iter().flatten().all(band) {
            return Err(ClimateError::Band);
        }
        let positive = [
            self.hysteresis_k,
            self.spread_off_k,
            self.inlet_below_k,
            self.inlet_above_k,
            self.coolant_rise_k,
            self.pack_j_per_k,
            self.coolant_j_per_l_k,
            self.response_s,
            self.integral_s,
            self.zone_k,
            self.reverse_latest_s,
            self.max_flow_l_per_min,
            self.chiller_cop,
            self.heater_efficiency,
        ];
        let not_negative = [
            self.caution,
            self.horizon_s,
            self.reverse_earliest_s,
            self.coolant_l,
            self.reverse_gradient_k,
            self.min_on_s,
            self.min_off_s,
            self.min_flow_l_per_min,
            self.min_chiller_w,
            self.max_chiller_w,
            self.max_heater_w,
            self.max_film_w,
            self.pump_w,
        ];
        let temperatures = [
            self.preheat_to_c,
            self.largest_heated_c,
            self.even_up_to_c,
            self.coldest_inlet_c,
            self.hottest_inlet_c,
        ];
        if !positive.iter().all(|x| (1e-6..=1e9).contains(x))
            || !not_negative.iter().all(|x| (0.0..=1e9).contains(x))
            || !temperatures.iter().all(|t| (RANGE_C.0..=RANGE_C.1).contains(t))
        {
            return Err(ClimateError::Number);
        }
        let ordered = self.spread_off_k < self.spread_on_k
            && self.spread_on_k < self.spread_limit_k
            && self.coldest_inlet_c < self.hottest_inlet_c
            && self.reverse_earliest_s <= self.reverse_latest_s
            && self.min_flow_l_per_min <= self.max_flow_l_per_min
            && self.min_chiller_w <= self.max_chiller_w;
        if ordered { Ok(()) } else { Err(ClimateError::Order) }
    }

    const fn band(&self, mode: Mode) -> Option<Band> {
        match mode {
            Mode::Driving => Some(self.driving),
            Mode::FastCharge => Some(self.fast_charge),
            Mode::Charging => Some(self.charging),
            Mode::Parked => self.parked,
            Mode::Preheat => {
                Some(Band { heat_below_c: self.preheat_to_c, cool_above_c: self.fast_charge.cool_above_c })
            }
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClimateError {
    /// A band is outside -60..150 degC or not wider than twice the hysteresis.
    Band,
    /// A number that must not be negative (or zero, where it divides) is, or a temperature is outside -60..150 degC.
    Number,
    /// Two numbers that belong together are in the wrong order.
    Order,
}

impl core::fmt::Display for ClimateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Band => "a temperature band is not wider than twice the hysteresis",
            Self::Number => "a number of the climate settings is out of range",
            Self::Order => "two limits of the climate settings are in the wrong order",
        })
    }
}

impl core::error::Error for ClimateError {}

/// One sample of a pack with `M` modules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClimateInput<const M: usize> {
    /// What the vehicle does.
    pub mode: Mode,
    /// Temperatures of the cells ([`crate::temperatures::PackTemperatures::summary`]).
    pub temperatures: TemperatureSummary<M>,
    /// Coolant that enters the pack in degC, whichever way it flows.
    pub inlet_c: Reading,
    /// Coolant that leaves the pack in degC.
    pub outlet_c: Reading,
    /// Heat in W that all cells will release on average over the next minutes: from the profile of a fast charge, or the
    /// mean of the last minutes of driving.
    pub expected_heat_w: f32,
    /// Most that coolant heater and films together may give now, in W, where somebody else chooses between them
    /// ([`crate::preheat`]); else their own limits count.
    pub granted_w: Option<[f32; 2]>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Nothing.
    #[default]
    Off,
    /// The chiller works.
    Cooling,
    /// Heater or films work.
    Heating,
    /// The coolant circulates alone.
    Mixing,
}

/// What keeps the control from doing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// Nothing.
    #[default]
    None,
    /// A device gives all it can.
    Device,
    /// The coolant would be too far from the cells.
    Inlet,
    /// Heating or cooling is held back for the spread.
    Spread,
    /// The hottest cell is too hot to heat.
    Hot,
    /// The temperatures are no numbers: everything is off.
    NoTemperature,
}

/// What the devices are to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClimateCommand<const M: usize> {
    /// Flow in L/min; 0 stops the pump.
    pub flow_l_per_min: f32,
    /// Backwards, from `along` = 1 to 0.
    pub reverse: bool,
    /// Heat that the chiller takes from the coolant in W.
    pub chiller_w: f32,
    /// Heat that the heater gives to the coolant in W.
    pub heater_w: f32,
    /// Power of every module's film in W.
    pub film_w: [f32; M],
    /// What this is for.
    pub action: Action,
    /// What keeps it from being more.
    pub limit: Limit,
}

impl<const M: usize> ClimateCommand<M> {
    const OFF: Self = Self {
        flow_l_per_min: 0.0,
        reverse: false,
        chiller_w: 0.0,
        heater_w: 0.0,
        film_w: [0.0; M],
        action: Action::Off,
        limit: Limit::None,
    };
}

/// Electricity used, in Wh, and how often devices were switched on or turned.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClimateLedger {
    /// Pump.
    pub pump_wh: f32,
    /// Chiller.
    pub chiller_wh: f32,
    /// Heater in the coolant.
    pub heater_wh: f32,
    /// All films.
    pub film_wh: f32,
    /// Starts of the chiller.
    pub chiller_starts: u32,
    /// Starts of heater and films.
    pub heating_starts: u32,
    /// Starts of the pump.
    pub pump_starts: u32,
    /// Turns of the flow.
    pub turns: u32,
}

impl ClimateLedger {
    /// All electricity in Wh.
    #[must_use]
    pub fn total_wh(&self) -> f32 {
        self.pump_wh + self.chiller_wh + self.heater_wh + self.film_wh
    }
}

stored!(ClimateLedger {
    pump_wh: f32 => |l| l.pump_wh >= 0.0,
    chiller_wh: f32 => |l| l.chiller_wh >= 0.0,
    heater_wh: f32 => |l| l.heater_wh >= 0.0,
    film_wh: f32 => |l| l.film_wh >= 0.0,
    chiller_starts: u32,
    heating_starts: u32,
    pump_starts: u32,
    turns: u32,
});

/// A device that stays on and off for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Switch {
    on: bool,
    for_s: f32,
}

impl Switch {
    /// Off for so long that it may go on at once.
    const OFF: Self = Self { on: false, for_s: LONGEST_S };

    /// Wanted on, or off, after `dt_s` more seconds; both times must have passed first. Returns whether it went on.
    fn step(&mut self, on: bool, off: bool, min_on_s: f32, min_off_s: f32, dt_s: f32) -> bool {
        self.for_s = bound(self.for_s + dt_s, 0.0, LONGEST_S);
        let change =
            if self.on { off && self.for_s >= min_on_s } else { on && !off && self.for_s >= min_off_s };
        if change {
            *self = Self { on: !self.on, for_s: 0.0 };
        }
        change && self.on
    }
}

/// The control of a pack with `M` modules.
///
/// ```
/// use bms_core::climate::{Action, Climate, ClimateInput, ClimateSettings, Mode};
/// use bms_core::{measurement::Reading, temperatures::TemperatureSummary};
///
/// let mut climate = Climate::<2>::new(ClimateSettings::CAR)?;
/// let mut input = ClimateInput {
///     mode: Mode::FastCharge,
///     temperatures: TemperatureSummary {
///         mean_c: 28.0,
///         hottest_c: 28.5,
///         coldest_c: 27.8,
///         spread_k: 0.7,
///         spread_std_k: 0.2,
///         gradient_k: 0.2,
///         module_c: [27.9, 28.1],
///     },
///     inlet_c: Reading::within(28.0, -60.0, 120.0),
///     outlet_c: Reading::within(28.0, -60.0, 120.0),
///     expected_heat_w: 3300.0,
///     granted_w: None,
/// };
/// // 28 degC is within the band, but not for long: the chiller starts.
/// let command = climate.step(&input, 1.0);
/// assert_eq!(command.action, Action::Cooling);
/// assert!(command.chiller_w > 500.0 && command.flow_l_per_min > 10.0);
///
/// // Parked: off, after the chiller's shortest time on.
/// (input.mode, input.expected_heat_w) = (Mode::Parked, 0.0);
/// for _ in 0..120 {
///     climate.step(&input, 1.0);
/// }
/// assert_eq!(climate.command().action, Action::Off);
/// assert!(climate.ledger().chiller_wh > 0.0);
/// # Ok::<(), bms_core::climate::ClimateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Climate<const M: usize> {
    settings: ClimateSettings,
    cooling: Switch,
    heating: Switch,
    /// The spread is too large.
    apart: bool,
    pump: Switch,
    /// On while the coolant flows backwards.
    backwards: Switch,
    integral_w: f32,
    command: ClimateCommand<M>,
    ledger: ClimateLedger,
}

/// A power for the coolant.
struct Demand {
    power_w: f32,
    limit: Limit,
}

impl<const M: usize> Climate<M> {
    /// Everything off.
    ///
    /// # Errors
    /// [`ClimateError`] when a setting is out of range or two contradict one another.
    pub fn new(settings: ClimateSettings) -> Result<Self, ClimateError> {
        settings.check()?;
        Ok(Self {
            settings,
            cooling: Switch::OFF,
            heating: Switch::OFF,
            apart: false,
            pump: Switch::OFF,
            backwards: Switch::OFF,
            integral_w: 0.0,
            command: ClimateCommand::OFF,
            ledger: ClimateLedger::default(),
        })
    }

    /// The same control with the energy that was counted before a sleep.
    #[must_use]
    pub const fn with_ledger(mut self, ledger: ClimateLedger) -> Self {
        self.ledger = ledger;
        self
    }

    /// Electricity used and switchings up to now.
    #[must_use]
    pub const fn ledger(&self) -> &ClimateLedger {
        &self.ledger
    }

    /// The last command.
    #[must_use]
    pub const fn command(&self) -> &ClimateCommand<M> {
        &self.command
    }

    /// Takes in one sample after `dt_s` seconds, best 1 to 10.
    ///
    /// Temperatures that are no numbers switch everything off; every output is within its device's limits for any bits.
    pub fn step(&mut self, input: &ClimateInput<M>, dt_s: f32) -> &ClimateCommand<M> {
        let dt_s = bound(dt_s, 0.0, LONGEST_S);
        self.count(dt_s);
        let t = &input.temperatures;
        let known = [t.mean_c, t.hottest_c, t.coldest_c].iter().all(|t| (RANGE_C.0..=RANGE_C.1).contains(t))
            && t.spread_k.is_finite();
        if !known {
            let off = Switch { on: false, for_s: 0.0 };
            for switch in [&mut self.cooling, &mut self.heating, &mut self.pump] {
                *switch = if switch.on { off } else { *switch };
            }
            self.integral_w = 0.0;
            self.command = ClimateCommand {
                reverse: self.backwards.on,
                limit: Limit::NoTemperature,
                ..ClimateCommand::OFF
            };
            return &self.command;
        }
        let s = self.settings;
        let parts = s.parts;
        let heat_w =
            if parts.feed_forward { bound(finite_or(input.expected_heat_w, 0.0), 0.0, 1e6) } else { 0.0 };
        let mut band = if parts.mean_loop { s.band(input.mode) } else { None };
        if let (Mode::Preheat, Some(_), Some(band)) = (input.mode, input.granted_w, &mut band) {
            // Who grants the heat ends the preheat.
            band.heat_below_c = s.largest_heated_c;
        }
        self.switch(band, t, heat_w, input.mode, dt_s);
        let cautious_k = t.spread_k + s.caution * bound(t.spread_std_k, 0.0, RANGE_C.1);
        self.apart = cautious_k > if self.apart { s.spread_off_k } else { s.spread_on_k };

        let mut new = ClimateCommand { reverse: self.backwards.on, ..ClimateCommand::OFF };
        let possible = |r: Reading| r.valid().filter(|t| (RANGE_C.0..=RANGE_C.1).contains(t));
        let (inlet, outlet) = (possible(input.inlet_c), possible(input.outlet_c));
        let leaving = outlet.or(inlet).unwrap_or(t.mean_c);

        // 0 at a small spread, 1 at the limit.
        let far = |k: f32| bound((k - s.spread_off_k) / (s.spread_limit_k - s.spread_off_k), 0.0, 1.0);
        let raised = if self.apart && parts.spread_flow {
            s.min_flow_l_per_min + far(cautious_k) * (s.max_flow_l_per_min - s.min_flow_l_per_min)
        } else {
            0.0
        };
        let mut flow = 0.0;
        if self.cooling.on {
            let set = band.map_or(t.mean_c, |b| b.cool_above_c);
            let want = self.power(t.mean_c - set, heat_w, s.min_chiller_w, s.max_chiller_w, dt_s);
            flow = self.flow_for(want.power_w, raised);
            let coldest = (t.mean_c - s.inlet_below_k).max(s.coldest_inlet_c);
            let most = flow * s.coolant_j_per_l_k / 60.0 * (leaving - coldest);
            new.action = Action::Cooling;
            new.limit = if most < want.power_w { Limit::Inlet } else { want.limit };
            let hot = bound((t.hottest_c - s.even_up_to_c) / EVEN_RAMP_K, 0.0, 1.0);
            let hot = if parts.hold_back { hot } else { 1.0 };
            let held = bound(3.0 - t.spread_k / (0.4 * s.spread_limit_k), hot, 1.0);
            if held < 1.0 {
                new.limit = Limit::Spread;
            }
            new.chiller_w = held * bound(most, 0.0, want.power_w);
        } else if self.heating.on {
            new.action = Action::Heating;
            let preheat = input.mode == Mode::Preheat;
            // What is granted counts instead of what there is.
            let most = |granted: f32, there_w: f32| if granted >= 0.0 { granted.min(there_w) } else { 0.0 };
            let films_there_w = f32::from(s.films) * s.max_film_w;
            let [heater_w, films_w] = match input.granted_w {
                Some([heater_w, films_w]) => [most(heater_w, s.max_heater_w), most(films_w, films_there_w)],
                None => [s.max_heater_w, films_there_w],
            };
            let all = heater_w + films_w;
            let want = if preheat {
                Demand { power_w: all, limit: Limit::Device }
            } else {
                let set = band.map_or(t.mean_c, |b| b.heat_below_c + s.hysteresis_k);
                self.power(set - t.mean_c, 0.0, 0.0, all, dt_s)
            };
            // Held back from half of the way to the limit on.
            let back = bound(2.0 - 2.0 * far(t.spread_k), LEAST_PREHEAT, 1.0);
            let share = if all > 0.0 { want.power_w / all } else { 0.0 } * back;
            new.limit = if back < 1.0 { Limit::Spread } else { want.limit };
            let wanted_w = share * heater_w;
            flow = if wanted_w > 0.0 {
                if preheat { s.max_flow_l_per_min } else { self.flow_for(wanted_w, raised) }
            } else {
                // No heater: the coolant would only cool the films' heat away.
                raised
            };
            let hottest = (t.mean_c + s.inlet_above_k).min(s.hottest_inlet_c);
            let most = flow * s.coolant_j_per_l_k / 60.0 * (hottest - leaving);
            if most < wanted_w && new.limit != Limit::Spread {
                new.limit = Limit::Inlet;
            }
            new.heater_w = bound(most, 0.0, wanted_w);
            let film_share = if films_there_w > 0.0 { share * films_w / films_there_w } else { 0.0 };
            self.films(&mut new.film_w, film_share, t);
            if t.hottest_c >= s.largest_heated_c {
                (new.heater_w, new.film_w, new.limit) = (0.0, [0.0; M], Limit::Hot);
            }
        } else if parts.mixing && self.apart && (input.mode != Mode::Parked || s.mix_parked) {
            new.action = Action::Mixing;
            flow = raised.max(s.min_flow_l_per_min);
        }
        new.flow_l_per_min = self.pump(flow, dt_s);
        if new.action == Action::Off && new.flow_l_per_min > 0.0 {
            new.action = Action::Mixing;
        }
        new.reverse = self.turn(new.flow_l_per_min, t.gradient_k, t.mean_c, inlet, outlet, dt_s);
        self.command = new;
        &self.command
    }

    /// Books the last command.
    fn count(&mut self, dt_s: f32) {
        let s = &self.settings;
        let hours = dt_s / 3600.0;
        let c = &self.command;
        let flow = c.flow_l_per_min / s.max_flow_l_per_min;
        let book = |wh: &mut f32, w: f32| *wh = bound(*wh + w * hours, 0.0, 1e12);
        book(&mut self.ledger.pump_wh, s.pump_w * flow * flow * flow);
        book(&mut self.ledger.chiller_wh, c.chiller_w / s.chiller_cop);
        book(&mut self.ledger.heater_wh, c.heater_w / s.heater_efficiency);
        book(&mut self.ledger.film_wh, c.film_w.iter().sum());
    }

    /// Whether to cool or to heat.
    fn switch(&mut self, band: Option<Band>, t: &TemperatureSummary<M>, heat_w: f32, mode: Mode, dt_s: f32) {
        let s = &self.settings;
        let ahead = t.mean_c + heat_w * s.horizon_s / s.pack_j_per_k;
        let preheat = mode == Mode::Preheat;
        let (mut cool, mut no_cool, mut heat, mut no_heat) = (false, true, false, true);
        if let Some(b) = band {
            // Heat to come does not start the chiller in a pack that is far below its band.
            let near = t.mean_c > b.heat_below_c + s.hysteresis_k;
            cool = near && ahead > b.cool_above_c && !preheat;
            no_cool = preheat || ahead < b.cool_above_c - s.hysteresis_k || !near;
            heat = t.mean_c < b.heat_below_c;
            // Preheating ends where it is to end, the others a little above where they begin.
            no_heat = t.mean_c > b.heat_below_c + if preheat { 0.0 } else { s.hysteresis_k };
        }
        let (on, off) = (s.min_on_s, s.min_off_s);
        let cooling = self.cooling.step(cool && !self.heating.on, no_cool, on, off, dt_s);
        let heating = self.heating.step(heat && !self.cooling.on, no_heat, on, off, dt_s);
        self.ledger.chiller_starts = self.ledger.chiller_starts.saturating_add(u32::from(cooling));
        self.ledger.heating_starts = self.ledger.heating_starts.saturating_add(u32::from(heating));
        if cooling || heating {
            self.integral_w = 0.0;
        }
    }

    /// Feed-forward and PI of a distance from the set point, with the integral held while the power is at a limit.
    fn power(&mut self, error_k: f32, ahead_w: f32, least_w: f32, most_w: f32, dt_s: f32) -> Demand {
        let s = &self.settings;
        let gain = s.pack_j_per_k / s.response_s;
        let wanted = ahead_w + gain * error_k + self.integral_w;
        let pushing = (wanted >= most_w && error_k > 0.0) || (wanted <= least_w && error_k < 0.0);
        if !pushing {
            let integral = self.integral_w + gain * error_k * bound(dt_s / s.integral_s, 0.0, 1.0);
            self.integral_w = bound(integral, -most_w, most_w);
        }
        let limit = if wanted >= most_w { Limit::Device } else { Limit::None };
        Demand { power_w: bound(wanted, least_w, most_w), limit }
    }

    /// Flow that carries this power, and at least that for the spread.
    fn flow_for(&self, power_w: f32, raised: f32) -> f32 {
        let s = &self.settings;
        let carried = power_w * 60.0 / (s.coolant_j_per_l_k * s.coolant_rise_k);
        bound(carried.max(raised), s.min_flow_l_per_min, s.max_flow_l_per_min)
    }

    /// Power of the films: all in the coldest module, less in warmer ones.
    fn films(&self, film_w: &mut [f32; M], share: f32, t: &TemperatureSummary<M>) {
        let s = &self.settings;
        let coldest = t.module_c.iter().fold(f32::MAX, |a, b| if *b < a { *b } else { a });
        for (film, module_c) in film_w.iter_mut().zip(&t.module_c).take(usize::from(s.films)) {
            let zone = if s.parts.film_zoning { 1.0 - (module_c - coldest) / s.zone_k } else { 1.0 };
            *film = bound(zone, 0.0, 1.0) * bound(share, 0.0, 1.0) * s.max_film_w;
        }
    }

    /// Flow in steps that are worth it, with the pump's minimum times.
    fn pump(&mut self, flow: f32, dt_s: f32) -> f32 {
        let s = &self.settings;
        let on = flow > STANDING_L_PER_MIN;
        // The chiller and the heater have minimum times of their own and cannot do without flow.
        let needed = self.cooling.on || self.heating.on && on;
        let min_off = if needed { 0.0 } else { s.min_off_s };
        let started = self.pump.step(on, !on, s.min_on_s, min_off, dt_s);
        self.ledger.pump_starts = self.ledger.pump_starts.saturating_add(u32::from(started));
        if !self.pump.on {
            return 0.0;
        }
        let last = self.command.flow_l_per_min;
        let flow = bound(flow, s.min_flow_l_per_min, s.max_flow_l_per_min);
        let small = abs(flow - last) < FLOW_STEP * s.max_flow_l_per_min;
        if small && last > 0.0 && flow < s.max_flow_l_per_min { last } else { flow }
    }

    /// Direction of the flow: the coolant is to enter where it helps.
    fn turn(
        &mut self,
        flow: f32,
        gradient_k: f32,
        mean_c: f32,
        inlet: Option<f32>,
        outlet: Option<f32>,
        dt_s: f32,
    ) -> bool {
        let s = &self.settings;
        let forward = inlet.zip(outlet).map_or(0.0, |(i, o)| o - i);
        // Positive: the coolant takes heat, so that it should enter at the hotter end.
        let takes = if self.cooling.on {
            1.0
        } else if self.heating.on {
            -1.0
        } else {
            inlet.map_or(0.0, |i| if mean_c > i { 1.0 } else { -1.0 })
        };
        let along = if self.backwards.on { -1.0 } else { 1.0 };
        // Positive: the end that the coolant reaches last is too hot (or too cold, when it heats).
        let worse = finite_or(takes * along * gradient_k, 0.0);
        let useful = flow > 0.0 && s.parts.reversal;
        let asked = useful && worse > s.reverse_gradient_k && abs(forward) > TURN_RISE_K;
        let through_s = 60.0 * TURN_VOLUMES * s.coolant_l / bound(flow, 0.1, 1e6);
        let due = useful
            && self.backwards.for_s + dt_s >= s.reverse_latest_s
            && abs(forward) > TURN_RISE_K
            && worse > -s.reverse_gradient_k;
        let wanted = asked || due;
        let before = self.backwards.on;
        let earliest = s.reverse_earliest_s.max(through_s);
        self.backwards.step(wanted && !before, wanted && before, earliest, earliest, dt_s);
        let turned = before != self.backwards.on;
        self.ledger.turns = self.ledger.turns.saturating_add(u32::from(turned));
        self.backwards.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Reader, Stored, Writer};
    use proptest::prelude::*;

    const M: usize = 3;
    const CAR: ClimateSettings = ClimateSettings::CAR;

    fn read(t: f32) -> Reading {
        Reading::within(t, -60.0, 120.0)
    }

    /// A pack at this temperature, all alike, with coolant of the same temperature.
    fn even(mode: Mode, t: f32) -> ClimateInput<M> {
        ClimateInput {
            mode,
            temperatures: TemperatureSummary {
                mean_c: t,
                hottest_c: t + 0.2,
                coldest_c: t - 0.2,
                spread_k: 0.4,
                spread_std_k: 0.1,
                gradient_k: 0.0,
                module_c: [t; M],
            },
            inlet_c: read(t),
            outlet_c: read(t),
            expected_heat_w: 0.0,
            granted_w: None,
        }
    }

    fn apart(mut input: ClimateInput<M>, spread_k: f32, gradient_k: f32) -> ClimateInput<M> {
        let t = &mut input.temperatures;
        (t.spread_k, t.gradient_k) = (spread_k, gradient_k);
        (t.hottest_c, t.coldest_c) = (t.mean_c + 0.5 * spread_k, t.mean_c - 0.5 * spread_k);
        input
    }

    fn climate(settings: ClimateSettings) -> Climate<M> {
        Climate::new(settings).unwrap()
    }

    #[test]
    fn every_mode_keeps_to_its_band() {
        for (mode, t, action) in [
            (Mode::Driving, 20.0, Action::Off),
            (Mode::Driving, 31.0, Action::Cooling),
            (Mode::Driving, 0.0, Action::Heating),
            (Mode::FastCharge, 15.0, Action::Heating),
            (Mode::FastCharge, 31.0, Action::Cooling),
            (Mode::Charging, 31.0, Action::Off),
            (Mode::Charging, 33.0, Action::Cooling),
            (Mode::Parked, 40.0, Action::Off),
            (Mode::Parked, -20.0, Action::Off),
            (Mode::Preheat, -20.0, Action::Heating),
            (Mode::Preheat, 11.0, Action::Off),
            (Mode::Preheat, 40.0, Action::Off),
        ] {
            assert_eq!(climate(CAR).step(&even(mode, t), 1.0).action, action, "{mode:?} at {t}");
        }
        let keep = ClimateSettings { parked: Some(Band { heat_below_c: 0.0, cool_above_c: 40.0 }), ..CAR };
        assert_eq!(climate(keep).step(&even(Mode::Parked, -5.0), 1.0).action, Action::Heating);
        let still = ClimateSettings { parts: Parts { mean_loop: false, ..Parts::ALL }, ..CAR };
        assert_eq!(climate(still).step(&even(Mode::Driving, 40.0), 1.0).action, Action::Off);
    }

    #[test]
    fn heat_to_come_starts_the_chiller() {
        let mut input = even(Mode::FastCharge, 26.0);
        input.expected_heat_w = 3300.0;
        let command = *climate(CAR).step(&input, 1.0);
        assert_eq!(command.action, Action::Cooling);
        // The heat, less what is wanted to bring the pack to its band.
        let gain = CAR.pack_j_per_k / CAR.response_s;
        assert!(
            (command.chiller_w - (3300.0 - 4.0 * gain).max(CAR.min_chiller_w)).abs() < 20.0,
            "{command:?}"
        );
        let without = ClimateSettings { parts: Parts { feed_forward: false, ..Parts::ALL }, ..CAR };
        assert_eq!(climate(without).step(&input, 1.0).action, Action::Off);
    }

    #[test]
    fn the_coolant_stays_near_the_cells() {
        let mut input = even(Mode::Driving, 40.0);
        input.outlet_c = read(29.0);
        let command = *climate(CAR).step(&input, 1.0);
        let w_per_k = command.flow_l_per_min / 60.0 * CAR.coolant_j_per_l_k;
        assert_eq!(command.limit, Limit::Inlet);
        assert!((29.0 - command.chiller_w / w_per_k - 28.0).abs() < 0.01, "{command:?}");
        input.outlet_c = read(27.0);
        assert_eq!(climate(CAR).step(&input, 1.0).chiller_w, 0.0);
        let mut cold = even(Mode::Preheat, -20.0);
        cold.outlet_c = read(-9.0);
        let command = *climate(CAR).step(&cold, 1.0);
        let w_per_k = command.flow_l_per_min / 60.0 * CAR.coolant_j_per_l_k;
        assert!((-9.0 + command.heater_w / w_per_k - -8.0).abs() < 0.01, "{command:?}");
    }

    #[test]
    fn cooling_waits_for_cells_that_it_does_not_reach() {
        let chiller_w = |spread_k, hottest_c, hold_back| {
            let parts = Parts { hold_back, ..Parts::ALL };
            let mut input = apart(even(Mode::FastCharge, 36.0), spread_k, 0.0);
            (input.expected_heat_w, input.temperatures.hottest_c) = (3000.0, hottest_c);
            climate(ClimateSettings { parts, ..CAR }).step(&input, 1.0).chiller_w
        };
        let all = chiller_w(1.0, 38.0, true);
        assert!(all > 3000.0);
        assert!((chiller_w(CAR.spread_limit_k, 38.0, true) - 0.5 * all).abs() < 1.0);
        assert_eq!(chiller_w(3.0, 38.0, true), 0.0);
        assert_eq!(chiller_w(3.0, 38.0, false), all);
        assert_eq!(chiller_w(9.0, 44.0, true), all, "too hot to wait");
    }

    #[test]
    fn films_even_out_the_modules() {
        let mut input = even(Mode::Preheat, -10.0);
        input.temperatures.module_c = [-10.5, -10.0, -8.0];
        let command = *climate(CAR).step(&input, 1.0);
        let third = CAR.max_film_w / CAR.zone_k;
        assert_eq!(command.film_w[0], CAR.max_film_w);
        assert!((command.film_w[1] - (CAR.max_film_w - 0.5 * third)).abs() < 0.1, "{:?}", command.film_w);
        assert_eq!(command.film_w[2], 0.0);
        let all = ClimateSettings { parts: Parts { film_zoning: false, ..Parts::ALL }, ..CAR };
        assert_eq!(climate(all).step(&input, 1.0).film_w, [CAR.max_film_w; M]);
        // Held back at a large spread, off at a hot cell.
        let held = *climate(CAR).step(&apart(even(Mode::Preheat, -10.0), 1.6, 0.0), 1.0);
        assert_eq!(held.limit, Limit::Spread);
        assert!(held.film_w[0] < 0.5 * CAR.max_film_w && held.film_w[0] > 0.0);
        let mut hot = even(Mode::Preheat, 0.0);
        hot.temperatures.hottest_c = 46.0;
        let hot = *climate(CAR).step(&hot, 1.0);
        assert_eq!((hot.film_w, hot.heater_w, hot.limit), ([0.0; M], 0.0, Limit::Hot));
    }

    #[test]
    fn films_alone_are_not_cooled_by_the_coolant() {
        let films = ClimateSettings { max_heater_w: 0.0, ..CAR };
        assert_eq!(climate(films).step(&even(Mode::Preheat, -20.0), 1.0).flow_l_per_min, 0.0);
        let uneven = apart(even(Mode::Preheat, -20.0), 1.7, 0.0);
        assert!(climate(films).step(&uneven, 1.0).flow_l_per_min > 0.0, "it helps evenness");
    }

    #[test]
    fn a_spread_raises_the_flow_or_lets_the_coolant_circulate() {
        let input = apart(even(Mode::Driving, 20.0), 1.5, 0.5);
        let command = *climate(CAR).step(&input, 1.0);
        assert_eq!((command.action, command.chiller_w, command.heater_w), (Action::Mixing, 0.0, 0.0));
        assert!(command.flow_l_per_min > CAR.min_flow_l_per_min);
        let none = ClimateSettings { parts: Parts { mixing: false, ..Parts::ALL }, ..CAR };
        assert_eq!(climate(none).step(&input, 1.0).flow_l_per_min, 0.0);
        assert_eq!(climate(CAR).step(&apart(even(Mode::Parked, 20.0), 1.5, 0.5), 1.0).flow_l_per_min, 0.0);
        let mut warm = even(Mode::Driving, 31.0);
        let small = climate(CAR).step(&warm, 1.0).flow_l_per_min;
        warm = apart(warm, 1.8, 0.0);
        assert_eq!(climate(CAR).step(&warm, 1.0).flow_l_per_min, CAR.max_flow_l_per_min);
        let fixed = ClimateSettings { parts: Parts { spread_flow: false, ..Parts::ALL }, ..CAR };
        assert_eq!(climate(fixed).step(&warm, 1.0).flow_l_per_min, small);
    }

    #[test]
    fn the_coolant_enters_where_it_helps() {
        // Cooling: at the hotter end. Heating: at the colder one.
        for (mode, t, gradient_k, reverse) in [
            (Mode::Driving, 35.0, 1.0, true),
            (Mode::Driving, 35.0, -1.0, false),
            (Mode::Preheat, -10.0, 1.0, false),
            (Mode::Preheat, -10.0, -1.0, true),
        ] {
            let mut input = apart(even(mode, t), 1.0, gradient_k);
            let rise = if mode == Mode::Preheat { -2.0 } else { 2.0 };
            input.outlet_c = read(t + rise);
            let mut climate = climate(CAR);
            climate.step(&input, 1.0);
            for _ in 0..600 {
                climate.step(&input, 1.0);
            }
            assert_eq!(climate.command().reverse, reverse, "{mode:?} {gradient_k}");
            assert!(climate.ledger().turns <= 1);
            let fixed = ClimateSettings { parts: Parts { reversal: false, ..Parts::ALL }, ..CAR };
            assert!(!Climate::<M>::new(fixed).unwrap().step(&input, 1.0).reverse);
        }
        // Without a gradient the flow turns in time, and not before.
        let mut input = even(Mode::Driving, 35.0);
        input.outlet_c = read(37.0);
        let mut climate = climate(CAR);
        for _ in 0..610 {
            climate.step(&input, 1.0);
        }
        assert_eq!(climate.ledger().turns, 11);
    }

    #[test]
    fn noise_does_not_make_it_chatter() {
        let mut climate = climate(CAR);
        let mut x = 1u32;
        for k in 0..7200 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = x as f32 / u32::MAX as f32 - 0.5;
            // Slowly around the edge of the band, with noise of 1 K and heat that comes and goes.
            let t = 30.0 + 1.5 * libm::sinf(k as f32 / 300.0) + noise;
            let mut input = apart(even(Mode::Driving, t), 1.2 + 0.6 * noise, noise);
            input.expected_heat_w = if k % 200 < 60 { 600.0 } else { 0.0 };
            input.outlet_c = read(t + noise);
            climate.step(&input, 1.0);
        }
        let ledger = climate.ledger();
        assert!(ledger.chiller_starts <= 4, "{ledger:?}");
        assert!(ledger.pump_starts <= 60, "{ledger:?}");
        assert!(ledger.turns <= 7200 / 20, "{ledger:?}");
        assert_eq!(ledger.heating_starts, 0);
    }

    #[test]
    fn energy_is_counted() {
        let mut climate = climate(CAR);
        let mut input = even(Mode::Preheat, -20.0);
        (input.inlet_c, input.outlet_c) = (read(-20.0), read(-25.0));
        for _ in 0..=3600 {
            climate.step(&input, 1.0);
        }
        let ledger = *climate.ledger();
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-3 * b, "{a} against {b}");
        close(ledger.film_wh, 3.0 * CAR.max_film_w);
        close(ledger.heater_wh, CAR.max_heater_w / CAR.heater_efficiency);
        close(ledger.pump_wh, CAR.pump_w);
        close(ledger.total_wh(), ledger.film_wh + ledger.heater_wh + ledger.pump_wh);
        let mut bytes = [0; ClimateLedger::ENCODED_LEN];
        ledger.encode(&mut Writer::new(&mut bytes));
        let kept = ClimateLedger::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(*Climate::<M>::new(CAR).unwrap().with_ledger(kept).ledger(), ledger);
    }

    #[test]
    fn settings_that_contradict_are_refused() {
        let made = |s| Climate::<M>::new(s).map(|_| ());
        assert_eq!(made(CAR), Ok(()));
        let narrow = Band { heat_below_c: 20.0, cool_above_c: 23.0 };
        assert_eq!(made(ClimateSettings { driving: narrow, ..CAR }), Err(ClimateError::Band));
        assert_eq!(made(ClimateSettings { chiller_cop: 0.0, ..CAR }), Err(ClimateError::Number));
        assert_eq!(made(ClimateSettings { max_film_w: f32::NAN, ..CAR }), Err(ClimateError::Number));
        assert_eq!(made(ClimateSettings { preheat_to_c: 900.0, ..CAR }), Err(ClimateError::Number));
        assert_eq!(made(ClimateSettings { spread_off_k: 1.3, ..CAR }), Err(ClimateError::Order));
        assert_eq!(made(ClimateSettings { min_flow_l_per_min: 30.0, ..CAR }), Err(ClimateError::Order));
    }

    proptest! {
        #[test]
        fn any_bits_leave_every_device_within_its_limits(
            samples in prop::collection::vec((any::<[u32; 12]>(), 0u8..5), 1..60),
        ) {
            let mut climate = climate(CAR);
            for (bits, mode) in samples {
                let wild = bits[0] % 3 == 0;
                let number = |k: usize, lo: f32, hi: f32| {
                    if wild { f32::from_bits(bits[k]) } else { lo + (hi - lo) * (bits[k] as f32 / u32::MAX as f32) }
                };
                let mode = match mode {
                    0 => Mode::Driving,
                    1 => Mode::FastCharge,
                    2 => Mode::Charging,
                    3 => Mode::Parked,
                    _ => Mode::Preheat,
                };
                let mean_c = number(1, -30.0, 60.0);
                let hottest_c = if wild { number(2, 0.0, 0.0) } else { mean_c + number(2, 0.0, 10.0) };
                let input = ClimateInput {
                    mode,
                    temperatures: TemperatureSummary {
                        mean_c,
                        hottest_c,
                        coldest_c: mean_c - 1.0,
                        spread_k: number(3, 0.0, 4.0),
                        spread_std_k: number(11, 0.0, 4.0),
                        gradient_k: number(4, -3.0, 3.0),
                        module_c: [number(5, -30.0, 60.0), number(6, -30.0, 60.0), mean_c],
                    },
                    inlet_c: read(number(7, -30.0, 60.0)),
                    outlet_c: read(number(8, -30.0, 60.0)),
                    expected_heat_w: number(9, 0.0, 5000.0),
                    granted_w: None,
                };
                let c = *climate.step(&input, number(10, 0.0, 100.0));
                prop_assert!((0.0..=CAR.max_chiller_w).contains(&c.chiller_w), "{c:?}");
                prop_assert!((0.0..=CAR.max_heater_w).contains(&c.heater_w), "{c:?}");
                prop_assert!(c.film_w.iter().all(|w| (0.0..=CAR.max_film_w).contains(w)), "{c:?}");
                let flow = c.flow_l_per_min;
                prop_assert!(flow == 0.0 || (CAR.min_flow_l_per_min..=CAR.max_flow_l_per_min).contains(&flow));
                // Nothing heats or cools coolant that stands, and never both.
                prop_assert!(flow > 0.0 || (c.chiller_w == 0.0 && c.heater_w == 0.0), "{c:?}");
                prop_assert!(c.chiller_w == 0.0 || c.heater_w == 0.0, "{c:?}");
                let film: f32 = c.film_w.iter().sum();
                let cool = hottest_c < CAR.largest_heated_c;
                prop_assert!(cool || (film == 0.0 && c.heater_w == 0.0), "{c:?} at {hottest_c}");
                prop_assert!(climate.ledger().total_wh().is_finite());
            }
        }
    }
}
