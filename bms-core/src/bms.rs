//! The whole pack in one step: readings in, estimates, limits and commands out.
//!
//! ```text
//!            ┌─ temperatures ─► core of every cell ─┬─► climate ──► pump, direction, chiller, heater, films
//! readings ──┤                                      ├─► preheat ──► which heat, pulses of current
//!            └─ pack ─► SOC, capacity, resistance ──┼─► charging ─► charge current and voltage
//!                 ▲                                 ├─► balance ──► bleed resistors or converters
//!                 └── charge that was bled ─────────┴─► sop ──────► power for 2, 10, 30 s
//! ```
//!
//! ```
//! use bms_core::bms::{BalanceMeans, Bms, Models, Request, Sample, Settings};
//! use bms_core::cell::CellModel;
//! use bms_core::charging::{
//!     ChargeMode, ChargePlan, ChargeSettings, ChargeState, ChargerReport, CurrentTable, Stage,
//! };
//! use bms_core::climate::ClimateSettings;
//! use bms_core::leak::LeakLimits;
//! use bms_core::measurement::Reading;
//! use bms_core::soc::Estimated;
//! use bms_core::sop::Limits;
//! use bms_core::temperatures::{CellPlace, Layout};
//! use bms_core::tuning::Tuning;
//!
//! let cell = CellModel::new(bms_core::example::NMC_5AH)?;
//! let place = CellPlace { channel: 0, along: 0.5, module: 0, to_coolant_w_per_k: 1.0, to_ambient_w_per_k: 0.1 };
//! let one_c = ChargePlan {
//!     stages: &[Stage { current_a: 5.0, until_soc: 1.0, until_v: 4.2 }],
//!     voltage_v: 4.2,
//!     taper_a: 0.25,
//! };
//! let limit = CurrentTable { temperature_c: &[0.0, 10.0], soc: &[0.0], current_a: &[0.5, 5.0] };
//! let settings = Settings {
//!     layout: Layout {
//!         cells: &[place; 4],
//!         sensor_cells: &[0],
//!         core_j_per_k: 60.0,
//!         surface_j_per_k: 10.0,
//!         core_surface_w_per_k: 2.0,
//!         neighbour_w_per_k: 0.2,
//!         coolant_j_per_l_k: 3500.0,
//!         sensor_offset_std_k: 0.3,
//!     },
//!     climate: ClimateSettings { pack_j_per_k: 300.0, films: 0, ..ClimateSettings::CAR },
//!     preheat: None,
//!     charge: ChargeSettings::typical(4, one_c, limit),
//!     balance: BalanceMeans::None,
//!     limits: Limits::of_cell(&cell, 20.0, 5.0),
//!     leak: Some(LeakLimits::TYPICAL),
//!     power_every_s: 1.0,
//! };
//! let models = Models { cell: &cell, pulse: (&cell).into(), negative: None };
//! let start = Estimated { value: 0.5, std: 0.05 };
//! // Four cells, one temperature sensor, one module.
//! let mut bms = Bms::<4, 1, 1>::new(models, &Tuning::NMC, &settings, 5.0, start)?;
//!
//! let of = |x| Reading::within(x, -100.0, 100.0);
//! let charger = ChargerReport { connected: true, heard: true, current_a: of(0.0), max_a: 5.0, max_v: 0.0 };
//! let sample = Sample {
//!     cell_voltage_v: [of(3.66); 4],
//!     sensors_c: [of(25.0)],
//!     current_a: of(0.0),
//!     mean_current_a: of(0.0),
//!     contactors_open: false,
//!     inlet_c: of(25.0),
//!     outlet_c: of(25.0),
//!     ambient_c: of(25.0),
//!     board_c: of(25.0),
//!     flow_l_per_min: 0.0,
//!     reverse: false,
//!     film_w: [0.0],
//!     charger,
//!     external_w: 0.0,
//! };
//! let request = Request::Charge { mode: ChargeMode::Normal, target_soc: 1.0 };
//! let mut asked_a = 0.0;
//! for _ in 0..5 {
//!     let out = bms.step(&sample, &request, 1.0);
//!     assert_eq!(out.charge.state, ChargeState::ConstantCurrent(0));
//!     asked_a = out.charge.current_a;
//! }
//! assert!(asked_a > 1.0 && asked_a <= 5.0);
//! // A cell that nobody sees is not charged.
//! let mut blind = sample;
//! blind.cell_voltage_v[2] = Reading::MISSING;
//! assert_eq!(bms.step(&blind, &request, 1.0).charge.current_a, 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Bms`] holds one of each and wires them; every part can be used without it. It opens and closes no contactor: that,
//! and what protects the pack when a reading fails, is not its business.

use crate::balance::active::{ActiveBalancer, ActiveLimits, Meet};
use crate::balance::passive::{BalanceLimits, Balancer};
use crate::balance::{Activity, BalanceCell, BalanceCommand, BalanceError, BalanceInput, BalanceState};
use crate::cell::{CellModel, ParameterError};
use crate::charging::{
    ChargeCommand, ChargeController, ChargeInput, ChargeMemory, ChargeMode, ChargeSettings,
    ChargeSettingsError, ChargeState, ChargerReport,
};
use crate::climate::{
    Climate, ClimateCommand, ClimateError, ClimateInput, ClimateLedger, ClimateSettings, Mode,
};
use crate::leak::{LeakError, LeakLimits, LeakMonitor, LeakWatch, Leaky};
use crate::math::{abs, bound, finite_or};
use crate::measurement::Reading;
use crate::pack::{PackEstimate, PackEstimator, PackMeasurement, PackState};
use crate::predict::{PulseModel, Start};
use crate::preheat::{PreheatCommand, PreheatError, PreheatInput, PreheatState, Preheater};
use crate::preheat::{PreheatReport, Settings as PreheatSettings};
use crate::soc::{Estimated, OperatingPoint};
use crate::sop::{self, Limits, NegativeElectrode, PowerState};
use crate::store::stored;
use crate::temperatures::{
    CellTemperatures, Layout, LayoutError, PackTemperatures, SensorTrims, TemperatureInput,
};
use crate::tuning::Tuning;

/// Time over which the heat of driving is averaged for the climate control (s).
const HEAT_TIME_S: f32 = 180.0;
/// Share of the charge current that the heat to come is reckoned with: it falls during the charge.
const CHARGE_SHARE: f32 = 0.8;

/// While the contactors are open the power is looked at once in so many seconds.
const OPEN_POWER_S: f32 = 600.0;

/// What is asked of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Request {
    /// Nothing: the pack rests, and may be balanced.
    #[default]
    Rest,
    /// Power out and in, as the load wants.
    Drive,
    /// A charge, up to a SOC (fraction) of the fullest cell; 1 for a full one.
    Charge {
        /// How.
        mode: ChargeMode,
        /// Where to stop.
        target_soc: f32,
    },
    /// Warm cells in so many seconds; 0 for as fast as possible.
    Preheat {
        /// Core temperature in degC that the coldest cell is to reach.
        target_c: f32,
        /// Time that is left in s.
        time_left_s: f32,
        /// Keep them warm then.
        hold: bool,
    },
}

/// One sample of a pack of `N` cells or groups in series with `S` temperature sensors and `M` modules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<const N: usize, const S: usize, const M: usize> {
    /// Terminal voltage of every cell in V.
    pub cell_voltage_v: [Reading; N],
    /// Every temperature sensor in degC.
    pub sensors_c: [Reading; S],
    /// Pack current in A, positive on discharge, taken with the voltages.
    pub current_a: Reading,
    /// Mean pack current since the previous sample in A, where the front end integrates.
    pub mean_current_a: Reading,
    /// The contactors are known to be open.
    pub contactors_open: bool,
    /// Coolant that enters the pack, whichever way it flows, and that leaves it, in degC.
    pub inlet_c: Reading,
    /// See [`Self::inlet_c`].
    pub outlet_c: Reading,
    /// Ambient air in degC.
    pub ambient_c: Reading,
    /// Balancing board in degC.
    pub board_c: Reading,
    /// What the devices did since the previous sample: flow in L/min, direction, films in W of every module.
    pub flow_l_per_min: f32,
    /// See [`Self::flow_l_per_min`].
    pub reverse: bool,
    /// See [`Self::flow_l_per_min`].
    pub film_w: [f32; M],
    /// What the charger says.
    pub charger: ChargerReport,
    /// Power from outside for heaters in W; 0 if nothing is plugged in.
    pub external_w: f32,
}

/// How cells are balanced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BalanceMeans {
    /// Not at all.
    None,
    /// With resistors.
    Passive(BalanceLimits),
    /// With converters between cells and pack.
    Active(ActiveLimits),
}

/// Everything that is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings<'a> {
    /// Where cells and sensors sit.
    pub layout: Layout<'a>,
    /// Cooling and heating; [`crate::climate::Parts::trim`] counts for the temperature sensors.
    pub climate: ClimateSettings,
    /// Preheating; `None` without any means.
    pub preheat: Option<PreheatSettings>,
    /// Charging.
    pub charge: ChargeSettings<'a>,
    /// Balancing.
    pub balance: BalanceMeans,
    /// Limits of a cell for its power.
    pub limits: Limits,
    /// When a cell counts as leaky; `None` if nobody is to look.
    pub leak: Option<LeakLimits>,
    /// How often the power is looked at, in s.
    pub power_every_s: f32,
}

/// Why a [`Bms`] cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BmsError {
    /// The start of the estimators.
    Estimator(ParameterError),
    /// The layout.
    Layout(LayoutError),
    /// The climate control's settings.
    Climate(ClimateError),
    /// The preheater's settings.
    Preheat(PreheatError),
    /// The charge control's settings.
    Charge(ChargeSettingsError),
    /// The balancer's settings.
    Balance(BalanceError),
    /// The leak monitor's limits.
    Leak(LeakError),
}

impl core::fmt::Display for BmsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Estimator(e) => e.fmt(f),
            Self::Layout(e) => e.fmt(f),
            Self::Climate(e) => e.fmt(f),
            Self::Preheat(e) => e.fmt(f),
            Self::Charge(e) => e.fmt(f),
            Self::Balance(e) => e.fmt(f),
            Self::Leak(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for BmsError {}

macro_rules! from {
    ($($part:ident($error:ident)),+) => {$(
        impl From<$error> for BmsError {
            fn from(error: $error) -> Self {
                Self::$part(error)
            }
        }
    )+};
}
from!(
    Estimator(ParameterError),
    Layout(LayoutError),
    Climate(ClimateError),
    Preheat(PreheatError),
    Charge(ChargeSettingsError),
    Balance(BalanceError),
    Leak(LeakError)
);

/// The tables that the parts work with.
#[derive(Debug, Clone, Copy)]
pub struct Models<'a> {
    /// Of the estimators.
    pub cell: &'a CellModel<'a>,
    /// For predictions under load ([`crate::predict`]).
    pub pulse: PulseModel<'a>,
    /// The negative electrode as a cell of its own, for the plating limits.
    pub negative: Option<PulseModel<'a>>,
}

/// What to do until the next step, and what is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output<const N: usize, const M: usize> {
    /// Pump, chiller, heater, films.
    pub climate: ClimateCommand<M>,
    /// Pulses of current that heat the cells (and what the preheater is at).
    pub preheat: PreheatCommand,
    /// Charge current and voltage to ask for.
    pub charge: ChargeCommand,
    /// Balancing.
    pub balance: BalanceCommand<N>,
    /// Power and current of one cell in the string ([`crate::sop::PowerLimits::tighter`]).
    pub power: PowerState,
}

/// What to keep over a sleep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BmsState<const N: usize, const S: usize> {
    /// Estimates.
    pub pack: PackState<N>,
    /// Offsets of the temperature sensors.
    pub trims: SensorTrims<S>,
    /// What is still to be balanced.
    pub balance: Option<BalanceState<N>>,
    /// What the charge control remembers.
    pub charge: ChargeMemory,
    /// How the cells discharged themselves.
    pub leak: Option<LeakWatch<N>>,
}

stored!(BmsState[N, S] {
    pack: PackState<N>,
    trims: SensorTrims<S>,
    balance: Option<BalanceState<N>>,
    charge: ChargeMemory,
    leak: Option<LeakWatch<N>>,
});

#[derive(Debug, Clone, Copy, PartialEq)]
enum AnyBalancer<const N: usize> {
    None,
    Passive(Balancer<N>),
    Active(ActiveBalancer<N>),
}

/// The battery management of a pack of `N` cells or groups in series with `S` temperature sensors and `M` modules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bms<'a, const N: usize, const S: usize, const M: usize> {
    pulse: PulseModel<'a>,
    negative: Option<NegativeElectrode<'a>>,
    limits: Limits,
    power_every_s: f32,
    pack: PackEstimator<'a, N>,
    temperatures: CellTemperatures<'a, N, S, M>,
    climate: Climate<M>,
    preheater: Option<Preheater<'a>>,
    charger: ChargeController<'a>,
    balancer: AnyBalancer<N>,
    leak: Option<LeakWatch<N>>,
    leaky: Option<Leaky>,
    since_power_s: f32,
    contactors_open: bool,
    heat_mean_w: f32,
    /// Heat of the pulses that were commanded, in W of the whole pack.
    pulse_heat_w: f32,
    power: PowerState,
    moved_ah: [f32; N],
    /// Channels that have been on since the previous sample.
    bleeding: [bool; N],
}

impl<'a, const N: usize, const S: usize, const M: usize> Bms<'a, N, S, M> {
    /// A pack whose mean SOC (fraction) is known so well, with cells of this capacity in Ah.
    ///
    /// # Errors
    /// [`BmsError`] tells which setting cannot be used.
    pub fn new(
        models: Models<'a>,
        tuning: &'a Tuning,
        settings: &Settings<'a>,
        capacity_ah: f32,
        start: Estimated,
    ) -> Result<Self, BmsError> {
        let trimmed = settings.climate.parts.trim;
        let preheater = match settings.preheat {
            Some(s) => Some(Preheater::new(models.pulse, models.negative, s)?),
            None => None,
        };
        // The large parts are made where they go: a local would be one more copy of them on the stack.
        Ok(Self {
            pulse: models.pulse,
            negative: models.negative.map(NegativeElectrode::new),
            limits: settings.limits,
            power_every_s: bound(settings.power_every_s, 0.0, 1e4),
            pack: PackEstimator::starting_at(models.cell, tuning, capacity_ah, start)?,
            temperatures: CellTemperatures::made(settings.layout, trimmed)?,
            climate: Climate::new(settings.climate)?,
            preheater,
            charger: ChargeController::new(models.cell, settings.charge, models.negative)?,
            balancer: match settings.balance {
                BalanceMeans::None => AnyBalancer::None,
                BalanceMeans::Passive(limits) => AnyBalancer::Passive(Balancer::new(limits)?),
                BalanceMeans::Active(limits) => AnyBalancer::Active(ActiveBalancer::new(limits)?),
            },
            leak: match settings.leak {
                Some(limits) => Some(LeakWatch::new(capacity_ah, limits)?),
                None => None,
            },
            leaky: None,
            since_power_s: f32::MAX,
            contactors_open: false,
            heat_mean_w: 0.0,
            pulse_heat_w: 0.0,
            power: PowerState::default(),
            moved_ah: [0.0; N],
            bleeding: [false; N],
        })
    }

    /// A pack that goes on where another one was, with the same tables, tuning and settings. The temperatures begin anew
    /// from the sensors.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn restore(
        models: Models<'a>,
        tuning: &'a Tuning,
        settings: &Settings<'a>,
        state: BmsState<N, S>,
    ) -> Result<Self, BmsError> {
        let start = Estimated { value: 0.5, std: tuning.initial_soc_std };
        let mut new = Self::new(models, tuning, settings, models.cell.tables().capacity_ah, start)?;
        new.pack = PackEstimator::restore(models.cell, tuning, state.pack);
        if settings.climate.parts.trim {
            new.temperatures = new.temperatures.with_trims(state.trims);
        }
        new.charger = ChargeController::restore(models.cell, settings.charge, models.negative, state.charge)?;
        if let Some(kept) = state.balance {
            new.balancer = match settings.balance {
                BalanceMeans::None => AnyBalancer::None,
                BalanceMeans::Passive(limits) => AnyBalancer::Passive(Balancer::restore(limits, kept)?),
                BalanceMeans::Active(limits) => AnyBalancer::Active(ActiveBalancer::restore(limits, kept)?),
            };
        }
        if let (Some(limits), Some(kept)) = (settings.leak, state.leak) {
            let watch = kept.with_limits(limits)?;
            (new.leaky, new.leak) = (watch.worst(), Some(watch));
        }
        Ok(new)
    }

    /// What to keep over a sleep.
    #[must_use]
    pub fn state(&self) -> BmsState<N, S> {
        BmsState {
            pack: self.pack.state(),
            trims: *self.temperatures.trims(),
            balance: match &self.balancer {
                AnyBalancer::None => None,
                AnyBalancer::Passive(b) => Some(*b.state()),
                AnyBalancer::Active(b) => Some(*b.state()),
            },
            charge: self.charger.memory(),
            leak: self.leak,
        }
    }

    /// The leaky cell that leaks most, if there is one: by the last look at a rested pack.
    #[must_use]
    pub const fn leaky(&self) -> Option<Leaky> {
        self.leaky
    }

    /// What is known of the cells' self-discharge; `None` if nobody looks.
    #[must_use]
    pub const fn leaks(&self) -> Option<&LeakMonitor<N>> {
        match &self.leak {
            Some(watch) => Some(watch.monitor()),
            None => None,
        }
    }

    /// Estimates of the pack.
    #[must_use]
    pub const fn estimate(&self) -> &PackEstimate {
        self.pack.estimate()
    }

    /// The pack's estimator, for what single cells are like.
    #[must_use]
    pub const fn pack(&self) -> &PackEstimator<'a, N> {
        &self.pack
    }

    /// Temperatures of all cells.
    #[must_use]
    pub const fn temperatures(&self) -> &PackTemperatures<N, S, M> {
        self.temperatures.temperatures()
    }

    /// The estimator of the temperatures, for its sensors' offsets and the cooling of single channels.
    #[must_use]
    pub const fn temperature_estimator(&self) -> &CellTemperatures<'a, N, S, M> {
        &self.temperatures
    }

    /// Electricity that cooling and heating took.
    #[must_use]
    pub const fn climate_ledger(&self) -> &ClimateLedger {
        self.climate.ledger()
    }

    /// Account of the present or last preheating.
    #[must_use]
    pub fn preheat_report(&self) -> PreheatReport {
        self.preheater.as_ref().map(Preheater::report).unwrap_or_default()
    }

    /// Takes in a sample and what is asked for, `dt_s` seconds after the previous one; the devices are then to do what
    /// comes out. Any bits are allowed.
    pub fn step(&mut self, sample: &Sample<N, S, M>, request: &Request, dt_s: f32) -> Output<N, M> {
        let dt_s = bound(dt_s, 0.0, 1e6);
        self.step_temperatures(sample, dt_s);
        self.step_pack(sample, dt_s);
        self.step_leak(sample, dt_s);
        let [weakest, fullest] = self.binding();
        let power = self.step_power([&weakest, &fullest], sample.contactors_open, dt_s);
        let charge = self.step_charge(sample, request, fullest, dt_s);
        let preheat = self.step_preheat(sample, request, [weakest, fullest], dt_s);
        let climate = self.step_climate(sample, request, &charge, &preheat, dt_s);
        let balance = self.step_balance(sample, request, dt_s);
        self.moved_ah = balance.moved_ah;
        self.bleeding = balance.on();
        Output { climate, preheat, charge, balance, power }
    }

    fn step_temperatures(&mut self, sample: &Sample<N, S, M>, dt_s: f32) {
        let mean_a = if sample.contactors_open {
            0.0
        } else {
            sample.mean_current_a.valid().or(sample.current_a.valid()).unwrap_or(0.0)
        };
        let mut heat_w = self.pack.losses_w(mean_a);
        // A pack that slept got no pulses.
        if self.pulse_heat_w > 0.0 && !sample.contactors_open {
            // Each cell has its share by its resistance.
            let like_w = self.pack.losses_w(0.3 * self.pack.reference().capacity_ah());
            let all_w: f32 = like_w.iter().sum();
            for (w, like) in heat_w.iter_mut().zip(&like_w) {
                *w += if all_w > 0.0 { self.pulse_heat_w * like / all_w } else { 0.0 };
            }
        }
        let all_w: f32 = heat_w.iter().sum();
        self.heat_mean_w = finite_or(
            self.heat_mean_w + (all_w - self.heat_mean_w) * bound(dt_s / HEAT_TIME_S, 0.0, 1.0),
            0.0,
        );
        let input = TemperatureInput {
            sensors_c: sample.sensors_c,
            inlet_c: sample.inlet_c,
            outlet_c: sample.outlet_c,
            ambient_c: sample.ambient_c,
            flow_l_per_min: sample.flow_l_per_min,
            reverse: sample.reverse,
            heat_w,
            film_w: sample.film_w,
        };
        self.temperatures.step(&input, dt_s);
    }

    fn step_pack(&mut self, sample: &Sample<N, S, M>, dt_s: f32) {
        let t = self.temperatures.temperatures();
        let known = !t.sensors_lost || sample.inlet_c.valid().is_some();
        let core = |c: &f32| if known { Reading::within(*c, -60.0, 150.0) } else { Reading::MISSING };
        let mut cell_temperature_c = [Reading::MISSING; N];
        for (reading, c) in cell_temperature_c.iter_mut().zip(&t.core_c) {
            *reading = core(c);
        }
        for (k, moved) in self.moved_ah.iter().enumerate() {
            if *moved != 0.0 {
                // More than a cell holds is not booked.
                let _ = self.pack.bleed(k, *moved);
                if let Some(watch) = &mut self.leak {
                    watch.bled(k, *moved);
                }
            }
        }
        // A bleed current shows in the wires; the estimator waits for the next window.
        let mut cell_voltage_v = sample.cell_voltage_v;
        for (voltage, bleeding) in cell_voltage_v.iter_mut().zip(&self.bleeding) {
            if *bleeding {
                *voltage = Reading::MISSING;
            }
        }
        let measurement = PackMeasurement {
            cell_voltage_v,
            cell_temperature_c,
            current_a: sample.current_a,
            mean_current_a: sample.mean_current_a,
            contactors_open: sample.contactors_open,
        };
        self.pack.step(&measurement, dt_s);
    }

    fn step_leak(&mut self, sample: &Sample<N, S, M>, dt_s: f32) {
        let Some(watch) = &mut self.leak else { return };
        if watch.step(rests(sample), dt_s) {
            let mut differences = [Estimated::default(); N];
            for (d, cell) in differences.iter_mut().zip(self.pack.cells()) {
                *d = cell.soc_difference;
            }
            watch.look(self.pack.reference().raw_soc(), differences);
            self.leaky = watch.worst();
        }
    }

    /// States of the cells that end a discharge and a charge.
    fn binding(&self) -> [OperatingPoint; 2] {
        let reference = self.pack.reference().operating_point();
        let e = self.pack.estimate();
        [e.weakest, e.fullest].map(|k| self.pack.operating_point(k).unwrap_or(reference))
    }

    fn step_power(
        &mut self,
        [weakest, fullest]: [&OperatingPoint; 2],
        contactors_open: bool,
        dt_s: f32,
    ) -> PowerState {
        self.since_power_s += dt_s;
        // Nobody draws power from open contactors; it is known anew when they close.
        let closes = self.contactors_open && !contactors_open;
        self.contactors_open = contactors_open;
        let every_s = if contactors_open { self.power_every_s.max(OPEN_POWER_S) } else { self.power_every_s };
        if let Some(negative) = &mut self.negative {
            negative.step(fullest, self.pack.estimate().reference.mean_current_a, dt_s);
        }
        if self.since_power_s >= every_s || closes {
            self.since_power_s = 0.0;
            let [weakest, fullest] = [weakest, fullest].map(|at| Start::from(*at));
            self.power =
                sop::power_of_string(&self.pulse, &self.limits, [&weakest, &fullest], self.negative.as_ref());
        }
        self.power
    }

    fn step_charge(
        &mut self,
        sample: &Sample<N, S, M>,
        request: &Request,
        fullest: OperatingPoint,
        dt_s: f32,
    ) -> ChargeCommand {
        let t = self.temperatures.temperatures();
        let std = |k: usize| t.std_k.get(k).copied().unwrap_or(f32::NAN);
        // Without any sensor nobody knows how cold or hot the cells are.
        let seen = |c: f32| if t.sensors_lost { f32::NAN } else { c };
        let mut highest = Reading::MISSING;
        let mut lost = false;
        for v in &sample.cell_voltage_v {
            lost |= v.valid().is_none();
            if v.valid().is_some_and(|v| highest.valid().is_none_or(|h| v > h)) {
                highest = *v;
            }
        }
        let (mode, target_soc) = match request {
            Request::Charge { mode, target_soc } => (*mode, *target_soc),
            _ => (ChargeMode::Off, 1.0),
        };
        self.charger.step(&ChargeInput {
            // A cell that nobody sees may be the highest.
            highest_voltage_v: if lost { Reading::MISSING } else { highest },
            current_a: sample.current_a,
            coldest_c: Estimated { value: seen(t.summary.coldest_c), std: std(t.coldest) },
            hottest_c: Estimated { value: seen(t.summary.hottest_c), std: std(t.hottest) },
            fullest,
            charger: sample.charger,
            mode,
            target_soc,
            dt_s,
        })
    }

    fn step_preheat(
        &mut self,
        sample: &Sample<N, S, M>,
        request: &Request,
        [weakest, fullest]: [OperatingPoint; 2],
        dt_s: f32,
    ) -> PreheatCommand {
        let Some(preheater) = &mut self.preheater else { return PreheatCommand::default() };
        let blind = self.temperatures.temperatures().sensors_lost;
        let (wanted, target_c, time_left_s, hold) = match request {
            Request::Preheat { target_c, time_left_s, hold } if !blind => {
                (true, *target_c, *time_left_s, *hold)
            }
            _ => (false, 0.0, 0.0, false),
        };
        let t = &self.temperatures.temperatures().summary;
        // Nobody asks for it else.
        let [least, most] = if wanted { self.pack.resistance_scales() } else { [1.0; 2] };
        let [_, _, thirty_s] = self.power.safe.discharge;
        let command = preheater.step(&PreheatInput {
            dt_s,
            wanted,
            hold,
            target_c,
            time_left_s,
            coldest_c: t.coldest_c,
            mean_c: t.mean_c,
            hottest_c: t.hottest_c,
            ambient_c: sample.ambient_c.valid().unwrap_or(f32::NAN),
            soc: self.pack.estimate().soc.value,
            lowest: Start::from(weakest),
            highest: Start::from(fullest),
            resistance_spread: 2.0 * (most - least) / (most + least),
            external_w: sample.external_w,
            discharge_w: thirty_s.power_w * N as f32,
            drawn_w: None,
        });
        self.pulse_heat_w = if command.frequency_hz > 0.0 { bound(command.pulse_w, 0.0, 1e7) } else { 0.0 };
        command
    }

    fn step_climate(
        &mut self,
        sample: &Sample<N, S, M>,
        request: &Request,
        charge: &ChargeCommand,
        preheat: &PreheatCommand,
        dt_s: f32,
    ) -> ClimateCommand<M> {
        let heating = matches!(preheat.state, PreheatState::Heating);
        let mode = match request {
            Request::Rest => Mode::Parked,
            Request::Drive => Mode::Driving,
            // What is too cold to be charged is warmed first.
            Request::Charge { .. } if charge.state == ChargeState::TooCold => Mode::Preheat,
            Request::Charge { mode: ChargeMode::Fast, .. } => Mode::FastCharge,
            Request::Charge { .. } => Mode::Charging,
            Request::Preheat { .. } if heating => Mode::Preheat,
            Request::Preheat { .. } => Mode::Parked,
        };
        let mut expected_heat_w = self.heat_mean_w;
        if charge.current_a > 0.0 {
            let coming: f32 = self.pack.losses_w(-CHARGE_SHARE * charge.current_a).iter().sum();
            expected_heat_w = expected_heat_w.max(coming);
        }
        let blind = self.temperatures.temperatures().sensors_lost;
        let granted = match request {
            // Nothing is heated that nobody feels getting hot.
            _ if blind => Some([0.0; 2]),
            Request::Preheat { .. } => Some([preheat.coolant_w, preheat.film_w]),
            _ => None,
        };
        let input = ClimateInput {
            mode,
            temperatures: self.temperatures.temperatures().summary,
            inlet_c: sample.inlet_c,
            outlet_c: sample.outlet_c,
            expected_heat_w,
            granted_w: granted,
        };
        *self.climate.step(&input, dt_s)
    }

    fn step_balance(&mut self, sample: &Sample<N, S, M>, request: &Request, dt_s: f32) -> BalanceCommand<N> {
        let mut cells = [BalanceCell::default(); N];
        let known = self.pack.cells().zip(self.pack.slopes_v()).zip(&sample.cell_voltage_v);
        for (cell, ((estimate, slope_v), voltage_v)) in cells.iter_mut().zip(known) {
            *cell = BalanceCell::new(&estimate, *voltage_v, slope_v);
        }
        let input = BalanceInput {
            cells: &cells,
            soc: self.pack.reference().operating_point().soc,
            current_a: if sample.contactors_open {
                Reading::within(0.0, -1.0, 1.0)
            } else {
                sample.current_a
            },
            board_c: sample.board_c,
            activity: match request {
                Request::Charge { .. } => Activity::Charging,
                Request::Drive => Activity::Driving,
                _ if rests(sample) => Activity::Resting,
                _ => Activity::Driving,
            },
            dt_s,
        };
        match &mut self.balancer {
            AnyBalancer::None => BalanceCommand::default(),
            AnyBalancer::Passive(b) => b.step(&input),
            AnyBalancer::Active(b) => {
                let meet = if input.activity == Activity::Driving { Meet::Empty } else { Meet::Full };
                b.step(&input, meet)
            }
        }
    }
}

/// No current to speak of.
fn rests<const N: usize, const S: usize, const M: usize>(sample: &Sample<N, S, M>) -> bool {
    sample.contactors_open || sample.current_a.valid().is_some_and(|i| abs(i) < 1.0)
}

#[cfg(test)]
pub(crate) mod tests;
