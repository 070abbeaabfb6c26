//! Preheating: warming a cold pack with what there is, as cheaply as the time allows, evenly, and inside all limits.
//!
//! Three means: a heater in the coolant, films on the cells, and current that is sent to and fro through the cells
//! ([`Pulses`]). [`Preheater::plan`] runs 64 mixes of them from the coldest cell's temperature to the target,
//!
//! ```text
//! C dT/dt = η_c P_c + η_f P_f + N q(I, T) - G (T - T_ambient)
//! q = I_d I_c / (I_d + I_c) (ΔU(I_d) + ΔU(I_c)),   ΔU(I) = k (R0 I + Rct i_ct asinh(I / i_ct))
//! ```
//!
//! and takes the one with the least energy among those that arrive in time (energy from the pack itself counts double), the
//! fastest if none does. `C` holds the cells, what warms along with them and, if its heater runs, the coolant. The current's
//! largest amplitudes are found anew in every step ([`PulseLimit`]).
//!
//! Heat by current goes with each cell's resistance, which nobody can trim: when the spread of the cores grows, the pulses
//! are folded back and the other means go on. The plan knows of that, as far as the spread of the resistances is known.
//!
//! Sources: the review "The heating triangle: a quantitative review of self-heating methods" (2023), J. Power Sources 581,
//! 233484 (the three figures of [`PreheatReport`]); Qin et al. (2023), "Temperature consistency-oriented rapid heating
//! strategy combining pulsed operation and external thermal management for lithium-ion batteries", Appl. Energy 335, 120659;
//! "Investigating the effect of different bidirectional pulsed current parameters on the heat generation of lithium-ion
//! battery at low temperatures" (2023), Batteries 9, 457 (uneven pulses heat most).

mod plan;
mod pulses;

#[cfg(test)]
mod tests;

pub use plan::Plan;
pub use pulses::{PulseBounds, PulseLimit, Pulses};

use crate::cell::CellModel;
use crate::math::{abs, bound, finite_or};
use crate::predict::{PulseModel, Start};
use crate::sop::Margin;
use pulses::{Cells, Node};

/// Time after which the mix is thought over (s).
const REPLAN_S: f32 = 60.0;

/// One number per means; what it is, the field that holds it tells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ByMeans {
    /// Heater in the coolant.
    pub coolant: f32,
    /// Heating films.
    pub film: f32,
    /// Current through the cells.
    pub pulse: f32,
}

impl ByMeans {
    /// All together.
    #[must_use]
    pub fn sum(&self) -> f32 {
        self.coolant + self.film + self.pulse
    }

    fn add_times(&self, other: &Self, factor: f32) -> Self {
        self.with(other, |a, b| a + b * factor)
    }

    fn with(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self {
            coolant: f(self.coolant, other.coolant),
            film: f(self.film, other.film),
            pulse: f(self.pulse, other.pulse),
        }
    }
}

/// A heater in the coolant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoolantHeater {
    /// Largest electrical power in W.
    pub power_w: f32,
    /// Share of it that arrives in the cells, the plates and the coolant.
    pub efficiency: f32,
    /// Heat capacity in J/K of coolant and pipes, which warm along when it runs.
    pub loop_j_per_k: f32,
}

/// Films on the cells or modules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Films {
    /// Largest electrical power in W of all films together.
    pub power_w: f32,
    /// Share of it that arrives in the cells and what they touch.
    pub efficiency: f32,
}

/// What there is to heat with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Means {
    /// Heater in the coolant.
    pub coolant: Option<CoolantHeater>,
    /// Heating films.
    pub films: Option<Films>,
    /// Current through the cells.
    pub pulses: Option<Pulses>,
}

/// What is to be warmed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackFacts {
    /// Cells or groups of parallel cells in series.
    pub series: u16,
    /// Cells in parallel, which are taken to share the current evenly.
    pub parallel: u16,
    /// Mass of a cell in g.
    pub cell_mass_g: f32,
    /// Heat capacity of a cell in J/K.
    pub cell_j_per_k: f32,
    /// Heat capacity in J/K per cell of what always warms along: plates, busbars.
    pub extra_j_per_k: f32,
    /// Loss to the surroundings in W/K of the whole pack.
    pub loss_w_per_k: f32,
    /// Time in s in which cells of unlike temperature come closer to one another by the factor e, through plates, coolant
    /// and busbars.
    pub evening_s: f32,
}

/// How to preheat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The pack.
    pub pack: PackFacts,
    /// The means.
    pub means: Means,
    /// Limits of the pulses in the cells.
    pub bounds: PulseBounds,
    /// How far in K the coldest cell may cool again while it is held warm.
    pub hysteresis_k: f32,
    /// Temperature in degC of the hottest cell at which all heating stops.
    pub hottest_c: f32,
    /// SOC that the pack's own energy is not used below (fraction).
    pub reserve_soc: f32,
    /// Spread of the cores in K at which the pulses begin to be folded back, and at which none are left.
    pub spread_k: [f32; 2],
    /// Time in s in which a means goes from nothing to its full power.
    pub ramp_s: f32,
    /// Shortest time in s that heating stays on or off.
    pub minimum_s: f32,
}

impl Settings {
    /// No cell above 30 degC, with a reserve of 20 %, folding the pulses back between 1.2 and 2 K of spread.
    #[must_use]
    pub const fn new(model: &CellModel<'_>, pack: PackFacts, means: Means) -> Self {
        let tables = model.tables();
        Self {
            pack,
            means,
            bounds: PulseBounds {
                voltage_v: [tables.v_min, tables.v_max],
                soc: [0.05, 0.95],
                margin: Margin::DEFAULT,
            },
            hysteresis_k: 3.0,
            hottest_c: 30.0,
            reserve_soc: 0.2,
            spread_k: [1.2, 2.0],
            ramp_s: 10.0,
            minimum_s: 30.0,
        }
    }

    /// What a spread of the cores leaves of the pulses, 0..=1.
    fn fold(&self, spread_k: f32) -> f32 {
        let [fold_k, none_k] = self.spread_k;
        bound((none_k - spread_k) / (none_k - fold_k).max(1e-3), 0.0, 1.0)
    }

    fn check(&self) -> Result<(), PreheatError> {
        let p = &self.pack;
        let m = &self.means;
        let coolant = m.coolant.unwrap_or(CoolantHeater { power_w: 0.0, efficiency: 1.0, loop_j_per_k: 0.0 });
        let films = m.films.unwrap_or(Films { power_w: 0.0, efficiency: 1.0 });
        let pulses = m.pulses.unwrap_or(Pulses {
            current_a: 0.0,
            frequency_hz: 1.0,
            largest_ratio: 1.0,
            drive_loss: 0.0,
        });
        let b = &self.bounds;
        let margin = &b.margin;
        for (name, value, lo, hi) in [
            ("series", f32::from(p.series), 1.0, 65535.0),
            ("parallel", f32::from(p.parallel), 1.0, 65535.0),
            ("cell_mass_g", p.cell_mass_g, 1e-2, 1e6),
            ("cell_j_per_k", p.cell_j_per_k, 1e-2, 1e6),
            ("extra_j_per_k", p.extra_j_per_k, 0.0, 1e6),
            ("loss_w_per_k", p.loss_w_per_k, 0.0, 1e5),
            ("evening_s", p.evening_s, 1.0, 1e9),
            ("coolant.power_w", coolant.power_w, 0.0, 1e6),
            ("coolant.efficiency", coolant.efficiency, 0.01, 1.0),
            ("coolant.loop_j_per_k", coolant.loop_j_per_k, 0.0, 1e8),
            ("films.power_w", films.power_w, 0.0, 1e6),
            ("films.efficiency", films.efficiency, 0.01, 1.0),
            ("pulses.current_a", pulses.current_a, 0.0, 1e5),
            ("pulses.frequency_hz", pulses.frequency_hz, 0.05, 1e6),
            ("pulses.largest_ratio", pulses.largest_ratio, 1.0, 10.0),
            ("pulses.drive_loss", pulses.drive_loss, 0.0, 1.0),
            ("bounds.voltage_v", b.voltage_v[0], 0.0, b.voltage_v[1]),
            ("bounds.voltage_v", b.voltage_v[1], 0.0, 10.0),
            ("bounds.soc", b.soc[0], 0.0, b.soc[1]),
            ("bounds.soc", b.soc[1], 0.0, 1.0),
            ("bounds.margin.sigmas", margin.sigmas, 0.0, 10.0),
            ("bounds.margin.drop_share", margin.drop_share, 0.0, 10.0),
            ("bounds.margin.surface_share", margin.surface_share, 0.0, 10.0),
            ("bounds.margin.voltage_v", margin.voltage_v, 0.0, 1.0),
            ("bounds.margin.error_share", margin.error_share, 0.0, 10.0),
            ("bounds.margin.plating_v", margin.plating_v, 0.0, 1.0),
            ("bounds.margin.temperature_k", margin.temperature_k, 0.0, 30.0),
            ("hysteresis_k", self.hysteresis_k, 0.1, 30.0),
            ("hottest_c", self.hottest_c, -50.0, 80.0),
            ("reserve_soc", self.reserve_soc, 0.0, 1.0),
            ("spread_k", self.spread_k[0], 0.0, self.spread_k[1]),
            ("spread_k", self.spread_k[1], 0.01, 100.0),
            ("ramp_s", self.ramp_s, 0.0, 3600.0),
            ("minimum_s", self.minimum_s, 0.0, 3600.0),
        ] {
            if !(value >= lo && value <= hi) {
                return Err(PreheatError(name));
            }
        }
        Ok(())
    }
}

/// A setting that is no number or outside what it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreheatError(
    /// Name of the field.
    pub &'static str,
);

impl core::fmt::Display for PreheatError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "setting `{}` of the preheater is impossible", self.0)
    }
}

impl core::error::Error for PreheatError {}

/// Why there is no preheating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A temperature, the SOC or a cell's state is no number.
    Reading,
    /// The SOC does not suffice, or is at its reserve, and there is no supply from outside.
    Soc,
    /// Neither the pack nor a supply from outside gives any power.
    Supply,
    /// No mix reaches the target against the loss to the surroundings.
    Unreachable,
    /// A cell is too hot.
    Hot,
}

impl Refusal {
    /// The code as a number for a bus or a log: 1 reading, 2 SOC, 3 supply, 4 unreachable, 5 hot.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Reading => 1,
            Self::Soc => 2,
            Self::Supply => 3,
            Self::Unreachable => 4,
            Self::Hot => 5,
        }
    }
}

/// What the preheater is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreheatState {
    /// Nobody wants it.
    #[default]
    Idle,
    /// Warming.
    Heating,
    /// At the target; warms again when the coldest cell has cooled.
    Holding,
    /// At the target, for good: until it is no longer wanted.
    Done,
    /// Wanted and not possible; tried again after the shortest time off.
    Refused(Refusal),
}

/// What the preheater has to know in each step; any bits are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreheatInput {
    /// Time since the last step in s; what is not in 0..=60 counts as the nearer end.
    pub dt_s: f32,
    /// The pack is to be warm.
    pub wanted: bool,
    /// … and to be kept so.
    pub hold: bool,
    /// Core temperature in degC that the coldest cell is to reach; not above [`Settings::hottest_c`].
    pub target_c: f32,
    /// Time left until then in s; what is no number counts as none: as fast as possible.
    pub time_left_s: f32,
    /// Core temperature of the coldest cell in degC.
    pub coldest_c: f32,
    /// Mean core temperature in degC.
    pub mean_c: f32,
    /// Core temperature of the hottest cell in degC.
    pub hottest_c: f32,
    /// Temperature of the surroundings in degC; without it the coldest cell's counts.
    pub ambient_c: f32,
    /// SOC of the pack (fraction).
    pub soc: f32,
    /// State of the cell with the least voltage under discharge.
    pub lowest: Start,
    /// State of the cell with the most voltage under charge.
    pub highest: Start,
    /// Highest minus lowest resistance of the cells over their mean, as far as it was learnt; what is no number counts as 0.
    pub resistance_spread: f32,
    /// Power from outside in W; 0 if nothing is plugged in.
    pub external_w: f32,
    /// Power in W that the pack may safely give for long in its present state ([`crate::sop`]).
    pub discharge_w: f32,
    /// Electrical power in W that each means really took since the last step, if measured; else the command counts.
    pub drawn_w: Option<ByMeans>,
}

/// What to do until the next step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PreheatCommand {
    /// What the preheater is at.
    pub state: PreheatState,
    /// Power of the heater in the coolant in W.
    pub coolant_w: f32,
    /// Power of all films together in W.
    pub film_w: f32,
    /// Amplitude in A of the half waves of discharge at the pack's terminals, beside the heaters' load.
    pub discharge_a: f32,
    /// Amplitude in A of the half waves of charge (a magnitude).
    pub charge_a: f32,
    /// Frequency of the pulses in Hz; 0 while there are none.
    pub frequency_hz: f32,
    /// What the pulses are expected to take in W: heat in the cells and losses of the drive.
    pub pulse_w: f32,
}

/// What a preheating cost and brought, from its start until the target was first reached.
///
/// Specific heating rate, coefficient of performance and specific temperature difference are the "heating triangle" by
/// which methods are compared (J. Power Sources 581 (2023) 233484).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PreheatReport {
    /// The target was reached.
    pub arrived: bool,
    /// Time of heating in s.
    pub time_s: f32,
    /// Rise of the mean core temperature in K.
    pub rise_k: f32,
    /// Mean heating rate of the coldest core in K/min.
    pub rate_k_per_min: f32,
    /// Electrical energy of each means in Wh.
    pub energy_wh: ByMeans,
    /// SOC spent (fraction).
    pub soc_spent: f32,
    /// Rise of the mean temperature times the mass of the cells over the energy, in K g/J.
    pub specific_heating_rate_k_g_per_j: f32,
    /// Heat stored in the cells over the energy.
    pub cop: f32,
    /// Integral of the spread of the cores over time in K h.
    pub specific_temperature_difference_k_h: f32,
    /// Largest spread of the cores in K.
    pub largest_spread_k: f32,
    /// Energy in Wh that keeping warm has taken since.
    pub holding_wh: f32,
}

/// Inputs that are numbers.
#[derive(Debug, Clone, Copy)]
struct Sane {
    coldest_c: f32,
    mean_c: f32,
    hottest_c: f32,
    ambient_c: f32,
    soc: f32,
    capacity_ah: f32,
    time_left_s: f32,
    external_w: f32,
    pack_w: f32,
    resistance_spread: f32,
    lowest: Start,
    highest: Start,
    target_c: f32,
}

/// The state at the start and at the end of what the report is about.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Ends {
    coldest_c: [f32; 2],
    mean_c: [f32; 2],
    soc: [f32; 2],
}

/// Chooses the means, commands them step by step, and keeps the account.
///
/// ```
/// use bms_core::{cell::CellModel, example, measurement::Measurement, soc::SocEstimator, tuning::Tuning};
/// use bms_core::preheat::{Films, Means, PackFacts, PreheatInput, PreheatState, Preheater, Pulses, Settings};
///
/// let model = CellModel::new(example::NMC_5AH)?;
/// let mut estimator = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.60)?;
/// estimator.step(&Measurement::new(3.70, 0.0, -20.0), 1.0);
/// let cell = estimator.operating_point().into();
///
/// let pack = PackFacts {
///     series: 96,
///     parallel: 1,
///     cell_mass_g: 70.0,
///     cell_j_per_k: 70.0,
///     extra_j_per_k: 10.0,
///     loss_w_per_k: 3.0,
///     evening_s: 1000.0,
/// };
/// let means = Means {
///     films: Some(Films { power_w: 300.0, efficiency: 0.9 }),
///     pulses: Some(Pulses { current_a: 20.0, frequency_hz: 1.0, largest_ratio: 2.0, drive_loss: 0.03 }),
///     coolant: None,
/// };
/// let mut preheater = Preheater::new((&model).into(), None, Settings::new(&model, pack, means)).unwrap();
/// let input = PreheatInput {
///     dt_s: 1.0,
///     wanted: true,
///     hold: false,
///     target_c: 10.0,
///     time_left_s: 3600.0,
///     coldest_c: -20.3,
///     mean_c: -20.0,
///     hottest_c: -19.8,
///     ambient_c: -20.0,
///     soc: 0.6,
///     lowest: cell,
///     highest: cell,
///     resistance_spread: 0.05,
///     external_w: 0.0,
///     discharge_w: 2000.0,
///     drawn_w: None,
/// };
/// let plan = preheater.plan(&input).unwrap();
/// assert!(plan.in_time && plan.soc_spent > 0.0 && plan.soc_spent < 0.2);
/// let command = preheater.step(&input);
/// assert_eq!(command.state, PreheatState::Heating);
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preheater<'a> {
    model: PulseModel<'a>,
    negative: Option<PulseModel<'a>>,
    settings: Settings,
    command: PreheatCommand,
    /// What it plans for (degC).
    target_c: f32,
    mix: Option<u8>,
    plan: Plan,
    level: ByMeans,
    /// Time in the present state and since the last plan (s).
    in_state_s: f32,
    planned_s: f32,
    started: bool,
    ends: Ends,
    report: PreheatReport,
}

impl<'a> Preheater<'a> {
    /// A preheater at rest. `negative` is the negative electrode as a cell of its own, as in
    /// [`crate::sop::NegativeElectrode::new`]; it is taken as rested, since preheating follows a park. Without it only the
    /// voltage limits the half waves of charge.
    ///
    /// # Errors
    /// The name of a setting that is no number or impossible.
    pub fn new(
        model: PulseModel<'a>,
        negative: Option<PulseModel<'a>>,
        settings: Settings,
    ) -> Result<Self, PreheatError> {
        settings.check()?;
        Ok(Self {
            model,
            negative,
            settings,
            command: PreheatCommand::default(),
            mix: None,
            plan: Plan::default(),
            level: ByMeans::default(),
            in_state_s: 0.0,
            planned_s: 0.0,
            target_c: 0.0,
            started: false,
            ends: Ends::default(),
            report: PreheatReport::default(),
        })
    }

    /// The best mix from here to the target, with its time and energy. Bounded time: 12 temperatures of 64 mixes.
    ///
    /// # Errors
    /// Why there is none.
    pub fn plan(&self, input: &PreheatInput) -> Result<Plan, Refusal> {
        let sane = self.sane(input).ok_or(Refusal::Reading)?;
        self.choose(&sane, None).map(|(_, plan)| plan)
    }

    /// Largest amplitudes of the pulses in A per cell, all cells being at a temperature in degC; zeros where there is no
    /// drive for pulses or no usable state.
    #[must_use]
    pub fn pulse_limit(&self, input: &PreheatInput, temperature_c: f32) -> PulseLimit {
        let cells = self.binding_cells(&input.lowest, &input.highest);
        Node::new(&cells, &self.settings.bounds, self.drive(), temperature_c)
            .map_or_else(PulseLimit::default, |node| node.limit)
    }

    /// One step: keeps the account, decides, and says what to do until the next one.
    pub fn step(&mut self, input: &PreheatInput) -> PreheatCommand {
        let dt_s = bound(input.dt_s, 0.0, 60.0);
        let sane = self.sane(input);
        self.account(sane.as_ref(), input.drawn_w, dt_s);
        self.in_state_s = bound(self.in_state_s + dt_s, 0.0, 1e6);
        self.planned_s = bound(self.planned_s + dt_s, 0.0, 1e6);
        let state = self.next_state(input, sane.as_ref());
        if state != self.command.state {
            self.in_state_s = 0.0;
        }
        self.command = PreheatCommand { state, ..PreheatCommand::default() };
        match sane {
            Some(sane) if state == PreheatState::Heating => self.drive_means(&sane, dt_s),
            _ => self.level = ByMeans::default(),
        }
        self.command
    }

    /// What is being done, as of the last time that it was thought over.
    #[must_use]
    pub const fn present_plan(&self) -> Plan {
        self.plan
    }

    /// The account of the present or, if there is none, of the last preheating.
    #[must_use]
    pub fn report(&self) -> PreheatReport {
        let mut report = self.report;
        let pack = &self.settings.pack;
        let rise = |[from, to]: [f32; 2]| to - from;
        report.rise_k = rise(self.ends.mean_c);
        report.soc_spent = -rise(self.ends.soc);
        if report.time_s > 0.0 {
            report.rate_k_per_min = 60.0 * rise(self.ends.coldest_c) / report.time_s;
        }
        let energy_j = 3600.0 * report.energy_wh.sum();
        if energy_j > 1.0 {
            let kelvins_per_j = self.cells() * report.rise_k / energy_j;
            report.specific_heating_rate_k_g_per_j = pack.cell_mass_g * kelvins_per_j;
            report.cop = pack.cell_j_per_k * kelvins_per_j;
        }
        report
    }

    fn cells(&self) -> f32 {
        f32::from(self.settings.pack.series) * f32::from(self.settings.pack.parallel)
    }

    /// The drive with its largest amplitude in A per cell.
    fn drive(&self) -> Option<(Pulses, f32)> {
        self.settings.means.pulses.map(|p| (p, p.current_a / f32::from(self.settings.pack.parallel)))
    }

    fn binding_cells(&self, lowest: &Start, highest: &Start) -> Cells<'a> {
        Cells { model: self.model, negative: self.negative, lowest: *lowest, highest: *highest }
    }

    fn node(&self, sane: &Sane, temperature_c: f32) -> Option<Node<'a>> {
        let cells = self.binding_cells(&sane.lowest, &sane.highest);
        Node::new(&cells, &self.settings.bounds, self.drive(), temperature_c)
    }

    fn sane(&self, input: &PreheatInput) -> Option<Sane> {
        let within = |x: f32, lo: f32, hi: f32| (lo..=hi).contains(&x).then_some(x);
        let temperature = |t: f32| within(t, -100.0, 150.0);
        let coldest_c = temperature(input.coldest_c)?;
        let soc = within(input.soc, -0.1, 1.1)?;
        let capacity_ah = within(input.lowest.at.capacity_ah, 1e-3, 1e6)?;
        let mean_c = temperature(input.mean_c)?;
        let hottest_c = temperature(input.hottest_c)?;
        Some(Sane {
            coldest_c,
            mean_c,
            hottest_c,
            ambient_c: bound(finite_or(input.ambient_c, coldest_c), -100.0, 150.0),
            soc,
            capacity_ah,
            time_left_s: bound(input.time_left_s, 0.0, 1e7),
            external_w: bound(input.external_w, 0.0, 1e7),
            pack_w: if soc > self.settings.reserve_soc { bound(input.discharge_w, 0.0, 1e7) } else { 0.0 },
            resistance_spread: bound(input.resistance_spread, 0.0, 1.0),
            lowest: input.lowest,
            highest: input.highest,
            target_c: temperature(input.target_c)?.min(self.settings.hottest_c),
        })
    }

    fn next_state(&mut self, input: &PreheatInput, sane: Option<&Sane>) -> PreheatState {
        let mut state = self.command.state;
        if !input.wanted {
            (self.started, self.mix) = (false, None);
            return PreheatState::Idle;
        }
        let rested = self.in_state_s >= self.settings.minimum_s;
        let Some(sane) = sane else { return PreheatState::Refused(Refusal::Reading) };
        if sane.hottest_c >= self.settings.hottest_c {
            return PreheatState::Refused(Refusal::Hot);
        }
        if abs(sane.target_c - self.target_c) > self.settings.hysteresis_k {
            self.target_c = sane.target_c;
            // Another target is another wish.
            if matches!(state, PreheatState::Holding | PreheatState::Done) {
                state = PreheatState::Idle;
            }
        }
        let at_target = if input.hold { PreheatState::Holding } else { PreheatState::Done };
        let warm = sane.coldest_c >= sane.target_c;
        match state {
            PreheatState::Idle if warm => at_target,
            PreheatState::Idle => self.begin(sane),
            PreheatState::Refused(_) if !rested => state,
            PreheatState::Refused(_) if warm => at_target,
            PreheatState::Refused(_) => self.begin(sane),
            PreheatState::Heating if warm && rested => {
                self.report.arrived |= self.started;
                at_target
            }
            PreheatState::Heating if self.planned_s >= REPLAN_S && !warm => self.begin(sane),
            PreheatState::Heating => state,
            PreheatState::Holding if !input.hold => PreheatState::Done,
            PreheatState::Holding => {
                let cooled = sane.coldest_c < sane.target_c - self.settings.hysteresis_k;
                if cooled && rested { self.begin(sane) } else { state }
            }
            PreheatState::Done if input.hold => PreheatState::Holding,
            PreheatState::Done => state,
        }
    }

    /// Plans, and opens the account if it is not open yet.
    fn begin(&mut self, sane: &Sane) -> PreheatState {
        self.planned_s = 0.0;
        let (mix, plan) = match self.choose(sane, self.mix) {
            Ok(chosen) => chosen,
            Err(reason) => {
                self.mix = None;
                return PreheatState::Refused(reason);
            }
        };
        (self.mix, self.plan) = (Some(mix), plan);
        if !self.started {
            self.started = true;
            self.report = PreheatReport::default();
            self.ends = Ends { coldest_c: [sane.coldest_c; 2], mean_c: [sane.mean_c; 2], soc: [sane.soc; 2] };
        }
        PreheatState::Heating
    }

    /// Levels follow the mix: up with the ramp, down at once.
    fn drive_means(&mut self, sane: &Sane, dt_s: f32) {
        let mut wanted = self.plan.mix;
        wanted.pulse *= self.settings.fold(sane.hottest_c - sane.coldest_c);
        let rise = if self.settings.ramp_s > 0.0 { dt_s / self.settings.ramp_s } else { 1.0 };
        self.level = self.level.with(&wanted, |level, wanted| bound(level + rise, 0.0, wanted));
        let Some(node) = self.node(sane, sane.coldest_c) else {
            self.command.state = PreheatState::Refused(Refusal::Reading);
            self.level = ByMeans::default();
            return;
        };
        let powers = self.powers(&node, &self.level, sane);
        let parallel = f32::from(self.settings.pack.parallel);
        let c = &mut self.command;
        c.coolant_w = powers.electrical_w.coolant;
        c.film_w = powers.electrical_w.film;
        c.pulse_w = powers.electrical_w.pulse;
        c.discharge_a = parallel * powers.discharge_a;
        c.charge_a = parallel * powers.charge_a;
        if c.discharge_a > 0.0 {
            c.frequency_hz = self.settings.means.pulses.map_or(0.0, |p| p.frequency_hz);
        }
    }

    /// Takes the time since the last step into the account.
    fn account(&mut self, sane: Option<&Sane>, drawn_w: Option<ByMeans>, dt_s: f32) {
        if !self.started || self.command.state != PreheatState::Heating {
            return;
        }
        let c = &self.command;
        let commanded = ByMeans { coolant: c.coolant_w, film: c.film_w, pulse: c.pulse_w };
        let measured = drawn_w.unwrap_or(commanded);
        let drawn =
            measured.with(&commanded, |w, or| if (-1e7..=1e7).contains(&w) { w.max(0.0) } else { or });
        let hours = dt_s / 3600.0;
        let r = &mut self.report;
        if r.arrived {
            r.holding_wh += drawn.sum() * hours;
            return;
        }
        r.energy_wh = r.energy_wh.add_times(&drawn, hours);
        r.time_s += dt_s;
        if let Some(s) = sane {
            let spread_k = (s.hottest_c - s.coldest_c).max(0.0);
            r.specific_temperature_difference_k_h += spread_k * hours;
            r.largest_spread_k = r.largest_spread_k.max(spread_k);
            self.ends.coldest_c[1] = s.coldest_c;
            self.ends.mean_c[1] = s.mean_c;
            self.ends.soc[1] = s.soc;
        }
    }
}
