//! What is told of a pack's run.

use serde::{Deserialize, Serialize};

use crate::recording::{PreheatFigures, Summary};

const SECONDS_PER_MINUTE: f64 = 60.0;
const SECONDS_PER_HOUR: f64 = 3600.0;
const MV_PER_V: f64 = 1000.0;
/// Rise in K that the bound of the preheat is over.
const PREHEAT_K: f64 = 30.0;

/// A quantity of a run, from the plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Hottest less coldest core, the largest of all times.
    DeltaT,
    /// Hottest core.
    HottestCore,
    /// Time from 10 to 80 % of the true mean SOC.
    ChargeTime,
    /// Lowest anode potential.
    Anode,
    /// Heating rate of the mean core.
    HeatingRate,
    /// Specific heating rate.
    SpecificHeatingRate,
    /// Heat that warmed the cells over the energy for it.
    HeatingCop,
    /// Mean core at the end of a preheat.
    PreheatedTo,
    /// SOC that a preheat took.
    SocSpent,
    /// Spread of the groups' SOC at the start.
    SpreadAtStart,
    /// The same at the end.
    SpreadAtEnd,
    /// Time until the spread was at most 1 point for good.
    EvenAfter,
    /// Time until the core called the cells balanced, charges between included.
    Duration,
    /// Energy that balancing lost.
    BalancingEnergy,
    /// Largest heat of balancing.
    BalancingPeak,
    /// Lowest cell voltage.
    LowestVoltage,
    /// Largest error of a group's SOC as the core estimates it.
    SocError,
    /// Energy of chiller and pump.
    CoolingEnergy,
    /// Energy of heater, films and pulses.
    HeatingEnergy,
}

/// A name for the figure that must not grow, its unit, and how it follows from the quantity.
pub(super) type Bounded = (&'static str, &'static str, fn(f64) -> f64);

impl Quantity {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 19] = [
        Self::DeltaT,
        Self::SpreadAtEnd,
        Self::SpreadAtStart,
        Self::HottestCore,
        Self::ChargeTime,
        Self::Anode,
        Self::HeatingRate,
        Self::PreheatedTo,
        Self::SpecificHeatingRate,
        Self::HeatingCop,
        Self::SocSpent,
        Self::EvenAfter,
        Self::Duration,
        Self::BalancingEnergy,
        Self::BalancingPeak,
        Self::LowestVoltage,
        Self::SocError,
        Self::CoolingEnergy,
        Self::HeatingEnergy,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeltaT => "ΔT",
            Self::HottestCore => "hottest core",
            Self::ChargeTime => "10–80 %",
            Self::Anode => "lowest anode potential",
            Self::HeatingRate => "heating rate",
            Self::PreheatedTo => "mean core in the end",
            Self::SpecificHeatingRate => "specific heating rate",
            Self::HeatingCop => "heating COP",
            Self::SocSpent => "SOC spent",
            Self::SpreadAtStart => "SOC spread at the start",
            Self::SpreadAtEnd => "SOC spread at the end",
            Self::EvenAfter => "within 1 point after",
            Self::Duration => "whole time",
            Self::BalancingEnergy => "energy bled",
            Self::BalancingPeak => "heat of balancing at most",
            Self::LowestVoltage => "lowest cell voltage",
            Self::SocError => "largest SOC error of a cell",
            Self::CoolingEnergy => "chiller and pump",
            Self::HeatingEnergy => "heater, films, pulses",
        }
    }

    /// Its unit.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::DeltaT => "K",
            Self::HottestCore | Self::PreheatedTo => "°C",
            Self::ChargeTime => "min",
            Self::Anode => "mV",
            Self::HeatingRate => "°C/min",
            Self::SpecificHeatingRate => "°C g/J",
            Self::HeatingCop => "",
            Self::SocSpent | Self::SpreadAtStart | Self::SpreadAtEnd | Self::SocError => "points",
            Self::EvenAfter | Self::Duration => "h",
            Self::BalancingEnergy | Self::CoolingEnergy | Self::HeatingEnergy => "Wh",
            Self::BalancingPeak => "W",
            Self::LowestVoltage => "V",
        }
    }

    /// Decimals that it is shown with.
    #[must_use]
    pub const fn digits(self) -> usize {
        match self {
            Self::CoolingEnergy | Self::HeatingEnergy => 0,
            Self::HottestCore | Self::PreheatedTo | Self::ChargeTime | Self::Anode => 1,
            Self::EvenAfter | Self::Duration | Self::BalancingEnergy | Self::BalancingPeak => 1,
            Self::LowestVoltage => 3,
            _ => 2,
        }
    }

    /// Whether small values are the bad ones.
    #[must_use]
    pub const fn least_counts(self) -> bool {
        matches!(
            self,
            Self::Anode
                | Self::HeatingRate
                | Self::PreheatedTo
                | Self::SpecificHeatingRate
                | Self::HeatingCop
                | Self::LowestVoltage
        )
    }

    /// Whether it says something about a target.
    pub(super) const fn belongs_to(self, target: u32) -> bool {
        match self {
            Self::SpreadAtStart
            | Self::SpreadAtEnd
            | Self::EvenAfter
            | Self::Duration
            | Self::BalancingEnergy
            | Self::BalancingPeak
            | Self::LowestVoltage => target == 8,
            Self::DeltaT | Self::SocError => true,
            _ => target != 8,
        }
    }

    /// From the figures of a run; `None` when it never came to it.
    #[must_use]
    pub fn of(self, s: &Summary) -> Option<f64> {
        let preheat = |f: fn(&PreheatFigures) -> f64| s.phases.iter().find_map(|p| p.preheat.as_ref().map(f));
        match self {
            Self::DeltaT => Some(s.delta_t_max_k),
            Self::HottestCore => Some(s.core_max_c),
            Self::ChargeTime => s.charge_10_80_s.map(|t| t / SECONDS_PER_MINUTE),
            Self::Anode => s.min_anode_v.map(|v| MV_PER_V * v),
            Self::HeatingRate => s.heating_rate_c_per_min,
            Self::PreheatedTo => s.phases.iter().find(|p| p.preheat.is_some()).map(|p| p.core_end_c),
            Self::SpecificHeatingRate => preheat(|p| p.specific_heating_rate_c_g_per_j),
            Self::HeatingCop => preheat(|p| p.cop),
            Self::SocSpent => preheat(|p| p.soc_spent_points),
            Self::SpreadAtStart => Some(s.soc_spread_start_points),
            Self::SpreadAtEnd => Some(s.soc_spread_end_points),
            Self::EvenAfter => s.soc_even_after_s.map(|t| t / SECONDS_PER_HOUR),
            Self::Duration => Some(s.duration_s / SECONDS_PER_HOUR),
            Self::BalancingEnergy => Some(s.bill.balancing_wh),
            Self::BalancingPeak => Some(s.balancing_peak_w),
            Self::LowestVoltage => Some(s.min_cell_v),
            Self::SocError => s.soc_error.map(|e| e.max_points),
            Self::CoolingEnergy => Some(s.bill.chiller_wh + s.bill.pump_wh),
            Self::HeatingEnergy => Some(s.bill.heating_wh() - s.bill.pump_wh),
        }
    }

    /// What of it must not grow, for a scenario of a target. Where small values are bad it is something that grows as they
    /// fall.
    pub(super) const fn bounded(self, target: u32) -> Option<Bounded> {
        Some(match self {
            Self::DeltaT if target != 8 => ("largest ΔT", "K", |k| k),
            Self::ChargeTime => ("slowest charge from 10 to 80 %", "min", |t| t),
            Self::Anode => ("anode below 0 V by", "mV", |v| f64::max(-v, 0.0)),
            Self::HeatingRate => ("slowest warming by 30 K", "min", |rate| PREHEAT_K / f64::max(rate, 1e-3)),
            Self::SpreadAtEnd => ("SOC spread at the end", "points", |p| p),
            Self::BalancingEnergy => ("energy bled", "Wh", |e| e),
            Self::SocError => ("SOC error of a cell", "points", |p| p),
            _ => return None,
        })
    }
}
