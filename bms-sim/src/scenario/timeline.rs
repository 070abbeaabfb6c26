//! From phases to what is asked of the pack, second by second.

use super::phase::{ChargeMode, Task};
use super::quantity::Ambient;
use super::{PackFacts, Scenario};
use crate::vehicle::Vehicle;

/// Energy of the pack in Wh that [`Vehicle::MIDSIZE`] is made for; powers are scaled by the pack's against it.
const VEHICLE_WH: f64 = 60_000.0;
/// Time in s after which a phase without a duration is given up: no charge or drive takes a week.
const GIVEN_UP_S: f64 = 7.0 * 86_400.0;
const KMH_PER_M_PER_S: f64 = 3.6;

/// What the timeline must see of the pack to know when a phase is over.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observed {
    /// State of charge of the pack, fraction.
    pub soc: f64,
    /// Lowest cell voltage in V.
    pub min_cell_v: f64,
    /// Highest cell voltage in V.
    pub max_cell_v: f64,
    /// Temperature of the coldest cell in degC.
    pub coldest_c: f64,
    /// The core calls the pack fully charged.
    pub charged: bool,
    /// The core has nothing left to balance.
    pub balanced: bool,
    /// The pack cannot give any more power.
    pub empty: bool,
}

/// Why a phase was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its time was up.
    Time,
    /// The state of charge was reached.
    Soc,
    /// A cell was at the voltage.
    Voltage,
    /// The pack was full.
    Charged,
    /// The coldest cell was warm enough.
    Warm,
    /// The cells were balanced.
    Balanced,
    /// The pack could give no more.
    Empty,
    /// None of these within a week.
    GivenUp,
}

impl End {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Time => "time was up",
            Self::Soc => "SOC reached",
            Self::Voltage => "voltage reached",
            Self::Charged => "fully charged",
            Self::Warm => "warm enough",
            Self::Balanced => "balanced",
            Self::Empty => "empty",
            Self::GivenUp => "given up after a week",
        }
    }
}

/// What a charger and the scenario allow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargeRequest {
    /// How it is charged.
    pub mode: ChargeMode,
    /// Largest current of the charger in A, at least 0; infinite without a limit.
    pub charger_a: f64,
    /// Largest power of the charger in W, at least 0; infinite without a limit.
    pub charger_w: f64,
    /// State of charge (fraction) at which it ends, if not by being full.
    pub until_soc: Option<f64>,
    /// Whether the mains feed heater, chiller and pump.
    pub plugged: bool,
}

/// What is asked of the pack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Demand {
    /// A power of the pack in W, positive on discharge, of a car on the road.
    Drive {
        /// Power in W.
        power_w: f64,
    },
    /// A constant power in W, positive on discharge.
    Power {
        /// Power in W.
        power_w: f64,
    },
    /// A constant current in A, positive on discharge.
    Current {
        /// Current in A.
        current_a: f64,
    },
    /// Contactors open.
    Park {
        /// Whether the core is awake.
        awake: bool,
        /// Whether the mains feed heater, chiller and pump.
        plugged: bool,
    },
    /// To be charged as the core asks for.
    Charge(ChargeRequest),
    /// To be warmed up.
    Preheat {
        /// Temperature of the coldest cell to reach in degC.
        target_c: f64,
        /// As fast as may be.
        hurry: bool,
        /// Whether the mains feed heater and pump.
        plugged: bool,
    },
    /// Parked, awake, to be balanced.
    Balance,
}

/// A moment of the scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Number of the phase, from 0.
    pub phase: usize,
    /// Time since the phase began in s.
    pub elapsed_s: f64,
    /// Time until the phase ends in any case, in s.
    pub left_s: f64,
    /// Temperature of the surroundings in degC.
    pub ambient_c: f64,
    /// What is asked of the pack.
    pub demand: Demand,
}

/// Walks through the phases of a scenario.
///
/// ```
/// use bms_sim::scenario::{Demand, Observed, PackFacts, Scenario, Timeline};
///
/// # let text = "format_version = 1\ntitle = 'x'\npack = 'p'\nambient_c = 25.0\nstart = { soc = 1.0 }\n\
/// #   [[phase]]\nkind = 'constant'\nc_rate = 1.0\nduration = '2s'";
/// # let facts = PackFacts { series: 96, parallel: 1, capacity_ah: 150.0, energy_wh: 5.3e4, cell_limits_v: [2.5, 4.2],
/// #   cells_kg: 250.0, heat_capacity_j_per_k: 2.6e5, temperature_sensors: 16, channels: 8, modules: 8 };
/// let scenario = Scenario::parse(text)?;
/// let mut timeline = Timeline::new(&scenario, &facts);
/// let mut seconds = 0;
/// while let Some(moment) = timeline.moment(&Observed { soc: 0.9, ..Observed::default() }) {
///     assert_eq!(moment.demand, Demand::Current { current_a: 150.0 });
///     timeline.advance(1.0);
///     seconds += 1;
/// }
/// assert_eq!(seconds, 2);
/// # Ok::<(), bms_sim::scenario::ScenarioError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Timeline<'a> {
    scenario: &'a Scenario,
    facts: PackFacts,
    phase: usize,
    elapsed_s: f64,
    ends: Vec<End>,
    /// Speed trace of the present phase in m/s.
    speeds: Vec<f64>,
    /// Duration of the present phase in s, if it has one.
    longest_s: Option<f64>,
}

impl<'a> Timeline<'a> {
    /// At the start of a scenario.
    #[must_use]
    pub fn new(scenario: &'a Scenario, facts: &PackFacts) -> Self {
        let mut timeline = Self {
            scenario,
            facts: *facts,
            phase: 0,
            elapsed_s: 0.0,
            ends: Vec::new(),
            speeds: Vec::new(),
            longest_s: None,
        };
        timeline.enter(0);
        timeline
    }

    /// How the phases ended that are over.
    #[must_use]
    pub fn ends(&self) -> &[End] {
        &self.ends
    }

    /// Roughly how much of the scenario is over, 0..=1: every phase counts the same.
    #[must_use]
    pub fn share_done(&self) -> f64 {
        let phases = self.scenario.phases.len().max(1) as f64;
        let of_phase = self.longest_s.map_or(0.0, |d| (self.elapsed_s / d).clamp(0.0, 1.0));
        ((self.phase as f64 + of_phase) / phases).min(1.0)
    }

    /// What is asked now; ends the phases that are over. `None` when all are.
    pub fn moment(&mut self, seen: &Observed) -> Option<Moment> {
        loop {
            let phase = self.scenario.phases.get(self.phase)?;
            let longest_s = self.longest_s;
            if let Some(end) = ended(&phase.task, longest_s, self.elapsed_s, seen) {
                self.ends.push(end);
                self.enter(self.phase + 1);
                continue;
            }
            let ambient = phase.ambient_c.unwrap_or(Ambient::Constant(self.scenario.ambient_c));
            let ambient_c = ambient.at(longest_s.map_or(0.0, |d| self.elapsed_s / d));
            return Some(Moment {
                phase: self.phase,
                elapsed_s: self.elapsed_s,
                left_s: longest_s.unwrap_or(GIVEN_UP_S) - self.elapsed_s,
                ambient_c,
                demand: self.demand(&phase.task, ambient_c),
            });
        }
    }

    /// Lets time pass, in s; not further than [`Moment::left_s`].
    pub fn advance(&mut self, dt_s: f64) {
        self.elapsed_s += dt_s;
    }

    fn enter(&mut self, phase: usize) {
        self.phase = phase;
        self.elapsed_s = 0.0;
        self.longest_s = self.scenario.phases.get(phase).and_then(|p| p.task.duration_s());
        self.speeds = match self.scenario.phases.get(phase).map(|p| &p.task) {
            Some(Task::Drive { cycle, .. }) => cycle.cycle().speeds_m_per_s(),
            Some(Task::Motorway { speed_kmh, .. }) => vec![speed_kmh / KMH_PER_M_PER_S; 2],
            _ => Vec::new(),
        };
    }

    fn demand(&self, task: &Task, ambient_c: f64) -> Demand {
        match *task {
            Task::Drive { .. } | Task::Motorway { .. } => {
                Demand::Drive { power_w: self.drive_power_w(ambient_c) }
            }
            Task::Constant { power_w: Some(power_w), .. } => Demand::Power { power_w },
            Task::Constant { current_a, c_rate, .. } => {
                let by_rate = c_rate.map(|c| c * self.facts.capacity_ah);
                Demand::Current { current_a: current_a.or(by_rate).unwrap_or(0.0) }
            }
            Task::Park { awake, plugged, .. } => Demand::Park { awake, plugged },
            Task::Charge { mode, charger_c_rate, charger_kw, until_soc, plugged, .. } => {
                Demand::Charge(ChargeRequest {
                    mode,
                    charger_a: charger_c_rate.map_or(f64::INFINITY, |c| c * self.facts.capacity_ah),
                    charger_w: charger_kw.map_or(f64::INFINITY, |kw| 1000.0 * kw),
                    until_soc,
                    plugged,
                })
            }
            Task::Preheat { target_c, hurry, plugged, .. } => Demand::Preheat { target_c, hurry, plugged },
            Task::Balance { .. } => Demand::Balance,
        }
    }

    /// Power of the pack in W over the present second of the speed trace, which is driven again and again.
    fn drive_power_w(&self, ambient_c: f64) -> f64 {
        let seconds = self.speeds.len().saturating_sub(1).max(1);
        let now = self.elapsed_s as usize % seconds;
        let speed = |k: usize| self.speeds.get(k).copied().unwrap_or(0.0);
        let power_w = Vehicle::MIDSIZE.battery_power_w(speed(now), speed(now + 1), ambient_c);
        power_w * self.facts.energy_wh / VEHICLE_WH
    }
}

/// Whether and by what a phase is over.
fn ended(task: &Task, longest_s: Option<f64>, elapsed_s: f64, seen: &Observed) -> Option<End> {
    let below = |soc: &Option<f64>| soc.is_some_and(|limit| seen.soc <= limit).then_some(End::Soc);
    let above = |soc: &Option<f64>| soc.is_some_and(|limit| seen.soc >= limit).then_some(End::Soc);
    let when = |happened: bool, end: End| happened.then_some(end);
    let by_state = match task {
        Task::Drive { until_soc, .. } | Task::Motorway { until_soc, .. } => {
            below(until_soc).or(when(seen.empty, End::Empty))
        }
        Task::Constant { until_soc, until_cell_v, .. } => {
            let at_v = |reached: &dyn Fn(f64) -> bool| when(until_cell_v.is_some_and(reached), End::Voltage);
            if task.charges() {
                above(until_soc).or(at_v(&|v| seen.max_cell_v >= v)).or(when(seen.charged, End::Charged))
            } else {
                below(until_soc).or(at_v(&|v| seen.min_cell_v <= v)).or(when(seen.empty, End::Empty))
            }
        }
        Task::Charge { until_soc, .. } => above(until_soc).or(when(seen.charged, End::Charged)),
        Task::Preheat { target_c, .. } => when(seen.coldest_c >= *target_c, End::Warm),
        Task::Balance { .. } => when(seen.balanced, End::Balanced),
        Task::Park { .. } => None,
    };
    // Half a microsecond: a sum of steps does not hit its end exactly.
    let over = |limit_s: f64| elapsed_s + 5e-7 >= limit_s;
    by_state
        .or(when(longest_s.is_some_and(over), End::Time))
        .or(when(longest_s.is_none() && over(GIVEN_UP_S), End::GivenUp))
}
