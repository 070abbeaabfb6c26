//! The scenarios of the targets, and what of the control is switched off for comparison.

use super::Quantity;
use crate::scenario::{Control, Scenario, ScenarioError};

/// A pack file that is built into the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its path in the repository.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A scenario of a target.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Target of the acceptance protocol.
    pub target: u32,
    /// Name of its file.
    pub name: &'static str,
    /// Text of its file.
    pub text: &'static str,
    /// Its pack.
    pub pack: &'static BuiltIn,
    /// What the target is about.
    pub main: Quantity,
    /// Its limit, inclusive.
    pub limit: f64,
    /// What is run, the whole control first.
    pub variants: &'static [Variant],
}

/// What of the control is on.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// In words.
    pub name: &'static str,
    /// What it does to the settings of the scenario.
    pub change: fn(&mut Control),
}

impl Variant {
    const WHOLE: Self = variant("whole control", |_| ());
    /// The whole control again, over as many packs as are compared.
    pub(super) const SAME_PACKS: Self = variant("whole control, the packs compared", |_| ());
    const PASSIVE: Self = variant("passive: no control of temperatures", |c| c.passive = true);
    const FILMS_ALIKE: Self = variant("passive: films all alike", |c| {
        only(c, |m| m.film = true);
        c.parts.film_zoning = false;
        c.parts.spread_flow = false;
        c.parts.reversal = false;
        c.parts.mixing = false;
        c.parts.trim = false;
    });
    const PASSIVE_CELLS: Self = variant("passive: no balancing", |c| c.parts.balancing = false);
    const FILMS: Self = variant("films alone", |c| only(c, |m| m.film = true));
    const COOLANT: Self = variant("coolant alone", |c| only(c, |m| m.coolant = true));
    const PULSES: Self = variant("pulses alone", |c| only(c, |m| m.pulse = true));
    const NO_MEAN_LOOP: Self = variant("without the loop on the mean", |c| c.parts.mean_loop = false);
    const NO_SPREAD_FLOW: Self = variant("without flow by the spread", |c| c.parts.spread_flow = false);
    const NO_REVERSAL: Self = variant("without reversal", |c| c.parts.reversal = false);
    const NO_FEED_FORWARD: Self = variant("without feed-forward", |c| c.parts.feed_forward = false);
    const NO_ZONING: Self = variant("without films by module", |c| c.parts.film_zoning = false);
    const NO_TRIM: Self = variant("without trim of the sensors", |c| c.parts.trim = false);
    const NO_MIXING: Self = variant("without mixing", |c| c.parts.mixing = false);
    const NO_HOLD_BACK: Self = variant("without holding back the chiller", |c| c.parts.hold_back = false);
    const NO_PLATING_LIMIT: Self = variant("without the plating limit", |c| c.parts.plating_limit = false);
    const NO_BALANCING: Self = variant("without balancing", |c| c.parts.balancing = false);

    /// Whether all of the control is on.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.name == Self::WHOLE.name
    }
}

const fn variant(name: &'static str, change: fn(&mut Control)) -> Variant {
    Variant { name, change }
}

/// Allows only one of the ways to preheat.
fn only(control: &mut Control, allow: fn(&mut crate::scenario::PreheatMeans)) {
    control.preheat = crate::scenario::PreheatMeans { film: false, coolant: false, pulse: false };
    allow(&mut control.preheat);
}

const NMC: BuiltIn =
    BuiltIn { name: "packs/car_nmc_96s1p.toml", text: include_str!("../../../../packs/car_nmc_96s1p.toml") };
const LFP: BuiltIn = BuiltIn {
    name: "packs/car_lfp_108s1p.toml",
    text: include_str!("../../../../packs/car_lfp_108s1p.toml"),
};

/// Limits of the targets.
pub(super) const DELTA_T_K: f64 = 2.0;
pub(super) const SPREAD_POINTS: f64 = 1.0;

/// Every part of the control, switched off.
macro_rules! parts {
    ($($other:ident),+) => {
        &[
            $(Variant::$other,)+
            Variant::NO_MEAN_LOOP,
            Variant::NO_SPREAD_FLOW,
            Variant::NO_REVERSAL,
            Variant::NO_FEED_FORWARD,
            Variant::NO_ZONING,
            Variant::NO_TRIM,
            Variant::NO_MIXING,
            Variant::NO_HOLD_BACK,
            Variant::NO_PLATING_LIMIT,
            Variant::NO_BALANCING,
        ]
    };
}

const TEMPERED: &[Variant] = parts![WHOLE, PASSIVE];
const PREHEATED: &[Variant] = parts![WHOLE, FILMS_ALIKE, FILMS, COOLANT, PULSES];
const BALANCED: &[Variant] = &[Variant::WHOLE, Variant::PASSIVE_CELLS];

macro_rules! case {
    ($target:literal, $name:literal, $pack:ident, $variants:ident) => {
        Case {
            target: $target,
            name: $name,
            text: include_str!(concat!("../../../../scenarios/targets/", $name, ".toml")),
            pack: &$pack,
            main: if $target == 8 { Quantity::SpreadAtEnd } else { Quantity::DeltaT },
            limit: if $target == 8 { SPREAD_POINTS } else { DELTA_T_K },
            variants: $variants,
        }
    };
}

/// Name of the scenario that is reported apart, and of the one in which nothing is to be bled.
pub(super) const APART: &str = "target6_blocked_channel";
pub(super) const EVEN: &str = "target8_even_lfp";

/// The scenarios of targets 6, 7 and 8.
pub const CASES: &[Case] = &[
    case!(6, "target6_cltc_25", NMC, TEMPERED),
    case!(6, "target6_cltc_minus20", NMC, TEMPERED),
    case!(6, "target6_cltc_45", NMC, TEMPERED),
    case!(6, "target6_1c", NMC, TEMPERED),
    case!(6, "target6_fast_charge", NMC, TEMPERED),
    case!(6, "target6_fast_charge_lfp", LFP, TEMPERED),
    case!(6, "target6_blocked_channel", NMC, TEMPERED),
    case!(7, "target7_preheat", NMC, PREHEATED),
    case!(8, "target8_balance_nmc", NMC, BALANCED),
    case!(8, "target8_balance_lfp", LFP, BALANCED),
    case!(8, "target8_even_lfp", LFP, BALANCED),
];

impl Case {
    /// Its scenario.
    ///
    /// # Errors
    /// When the text is none.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        Scenario::parse(self.text)
    }
}
