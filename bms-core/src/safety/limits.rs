//! Current and power that the pack may be loaded with: the smallest of everything that limits it.
//!
//! | Input | What it allows |
//! |---|---|
//! | state of power | its safe value over the horizon of [`LimitSettings::horizon`] |
//! | cell voltages | the whole up to the warning level, nothing at the fatal level, a straight line between |
//! | temperatures | the same, cold and hot, charge and discharge, at the worse end of what is known |
//! | SOC | the whole while it is known, less the less it is known |
//! | cells, temperatures or current not seen | a share for discharge, nothing for charge |
//! | diagnoses that derate | [`LimitSettings::derated_share`]; a current over its warning level: its information level |
//! | charge control | in a charge: what it asks the charger for |
//! | mode, contactors, fatal diagnoses | nothing, at once |
//!
//! What comes out is never above any of these. It falls at once, begins to rise only after all of them have been higher for
//! [`LimitSettings::hold_s`], and rises slowly ([`Publisher`]). The straight lines between warning and fatal are those of
//! foxBMS' state-of-function trapezoid.

use super::settings::{Levels, SafetySettings};
use crate::math::bound;
use crate::sop::{Limit, PowerLimits, Publisher};

/// How limits are derated and published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitSettings {
    /// Which of the horizons of [`crate::sop::HORIZONS_S`] is published: 0, 1 or 2.
    pub horizon: u8,
    /// Share that is left when a diagnosis derates.
    pub derated_share: f32,
    /// Standard deviation of the SOC (fraction) up to which nothing is taken away, and from which on
    /// [`Self::derated_share`] is left.
    pub soc_std: [f32; 2],
    /// Rise in A/s, and in W/s per A/s times the pack's voltage.
    pub rise_a_per_s: f32,
    /// Time in s for which all must allow more before it rises.
    pub hold_s: f32,
    /// What is more by less than this share is not followed.
    pub dead_band: f32,
}

impl LimitSettings {
    /// The ten-second value, rising in about ten seconds to a limit of `largest_a`.
    #[must_use]
    pub const fn typical(largest_a: f32) -> Self {
        Self {
            horizon: 1,
            derated_share: 0.5,
            soc_std: [0.05, 0.2],
            rise_a_per_s: 0.1 * largest_a,
            hold_s: 2.0,
            dead_band: 0.02,
        }
    }

    /// Every number is one that it can have.
    #[must_use]
    pub fn possible(&self) -> bool {
        let [known, unknown] = self.soc_std;
        self.horizon < 3
            && (0.0..=1.0).contains(&self.derated_share)
            && known >= 0.0
            && known < unknown
            && unknown <= 1.0
            && self.rise_a_per_s > 0.0
            && self.rise_a_per_s <= 1e6
            && (0.0..=3600.0).contains(&self.hold_s)
            && (0.0..=1.0).contains(&self.dead_band)
    }
}

/// What sets a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum LimitedBy {
    /// The mode allows no current.
    #[default]
    Mode = 0,
    /// The contactors are not closed.
    Contactors = 1,
    /// A fatal diagnosis was detected.
    Fault = 2,
    /// State of power: cell voltage, current, SOC window, temperature or plating as predicted.
    Power = 3,
    /// A cell voltage between its warning and its fatal level.
    Voltage = 4,
    /// Heat.
    Hot = 5,
    /// Cold.
    Cold = 6,
    /// The state of charge is not known well.
    SocUnknown = 7,
    /// A reading is missing that protects the pack.
    SensorLost = 8,
    /// A diagnosis derates.
    Derated = 9,
    /// The current went over its warning level.
    Overload = 10,
    /// A diagnosis stops this direction.
    Stopped = 11,
    /// Charge control.
    ChargeControl = 12,
    /// Its own slow rise.
    Rise = 13,
}

impl LimitedBy {
    /// Its number for a bus or a log.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Limits of one direction, magnitudes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DirectionLimit {
    /// Current of the pack in A.
    pub current_a: f32,
    /// Power of the pack in W.
    pub power_w: f32,
    /// What sets them.
    pub by: LimitedBy,
}

/// What the load and the charger may do until the next step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PublishedLimits {
    /// Discharge.
    pub discharge: DirectionLimit,
    /// Charge, and what is recovered while driving.
    pub charge: DirectionLimit,
}

/// What diagnoses ask for in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// To derate.
    pub derate: bool,
    /// Not to go on.
    pub stop: bool,
    /// To go back to what can be carried for long.
    pub overload: bool,
}

/// What the limits are made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitInput {
    /// Safe values of one cell in the string.
    pub safe: PowerLimits,
    /// Cells in series.
    pub cells: f32,
    /// Voltage of the pack in V, for the power of a charge current; NaN if not known.
    pub pack_v: f32,
    /// Highest and lowest cell voltage in V; `None` if no cell is seen.
    pub cell_v: Option<[f32; 2]>,
    /// Hottest and coldest place in degC, each at its worse end; `None` if nobody knows.
    pub temperature_c: Option<[f32; 2]>,
    /// Standard deviation of the SOC (fraction).
    pub soc_std: f32,
    /// A cell, all temperatures or the current have not been seen for a while.
    pub blind: bool,
    /// What diagnoses ask for: discharge, charge.
    pub asked: [Asked; 2],
    /// Current in A that charge control allows, in a charge.
    pub charge_control_a: Option<f32>,
    /// The mode allows current.
    pub mode: bool,
    /// The contactors are closed.
    pub connected: bool,
    /// A fatal diagnosis was detected.
    pub fault: bool,
}

/// One direction's limits with their slow rise.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Direction {
    current: Publisher,
    power: Publisher,
    /// What set the limit when it last fell.
    by: LimitedBy,
}

/// The limit arbiter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arbiter {
    settings: LimitSettings,
    discharge: Direction,
    charge: Direction,
}

/// How much is left between two levels, the first harmless: 1 at the warning, 0 at the fatal level. What is no number
/// leaves nothing.
fn ramp(value: f32, levels: Levels) -> f32 {
    let width = levels.fatal - levels.warning;
    if width == 0.0 {
        return f32::from(u8::from(value < levels.fatal));
    }
    bound((levels.fatal - value) / width, 0.0, 1.0)
}

/// The same for levels that fall.
fn falling_ramp(value: f32, levels: Levels) -> f32 {
    ramp(-value, Levels::new(-levels.information, -levels.warning, -levels.fatal))
}

/// The smallest share and what it comes from; the first of equals.
fn least(shares: &[(f32, LimitedBy)]) -> (f32, LimitedBy) {
    let mut least = (1.0, LimitedBy::Power);
    for (share, by) in shares {
        if *share < least.0 {
            least = (*share, *by);
        }
    }
    (bound(least.0, 0.0, 1.0), least.1)
}

impl Arbiter {
    /// Everything at zero.
    #[must_use]
    pub fn new(settings: LimitSettings, cells: f32, cell_v: f32) -> Self {
        let rise_w_per_s = settings.rise_a_per_s * bound(cells * cell_v, 0.0, 1e4);
        let of = |rise| Publisher::new(rise, settings.hold_s, settings.dead_band);
        let direction =
            Direction { current: of(settings.rise_a_per_s), power: of(rise_w_per_s), by: LimitedBy::Mode };
        Self { settings, discharge: direction, charge: direction }
    }

    /// The limits until the next step, `dt_s` seconds after the one before. Any bits are allowed.
    pub fn step(&mut self, safety: &SafetySettings, input: &LimitInput, dt_s: f32) -> PublishedLimits {
        let s = self.settings;
        let pick = |[two_s, ten_s, thirty_s]: [Limit; 3]| match s.horizon {
            0 => two_s,
            1 => ten_s,
            _ => thirty_s,
        };
        let [highest_v, lowest_v] = input.cell_v.unwrap_or([f32::NAN; 2]);
        let [hottest_c, coldest_c] = input.temperature_c.unwrap_or([f32::NAN; 2]);
        let [known, unknown] = s.soc_std;
        // What is no number is not known.
        let doubt = 1.0 - bound((unknown - input.soc_std) / (unknown - known), 0.0, 1.0);
        let soc = (1.0 - doubt * (1.0 - s.derated_share), LimitedBy::SocUnknown);
        let blind = |share: f32| (if input.blind { share } else { 1.0 }, LimitedBy::SensorLost);
        let derated = |asked: &Asked| (if asked.derate { s.derated_share } else { 1.0 }, LimitedBy::Derated);
        let stopped = |asked: &Asked| (if asked.stop { 0.0 } else { 1.0 }, LimitedBy::Stopped);
        let [of_discharge, of_charge] = &input.asked;

        // A direction that nobody can see is not allowed: no temperature or no cell leaves a ramp without a number.
        let discharge_share = least(&[
            stopped(of_discharge),
            blind(s.derated_share),
            (falling_ramp(lowest_v, safety.cell_low_v), LimitedBy::Voltage),
            (ramp(hottest_c, safety.discharge_hot_c), LimitedBy::Hot),
            (falling_ramp(coldest_c, safety.discharge_cold_c), LimitedBy::Cold),
            derated(of_discharge),
            soc,
        ]);
        let charge_share = least(&[
            stopped(of_charge),
            blind(0.0),
            (ramp(highest_v, safety.cell_high_v), LimitedBy::Voltage),
            (ramp(hottest_c, safety.charge_hot_c), LimitedBy::Hot),
            (falling_ramp(coldest_c, safety.charge_cold_c), LimitedBy::Cold),
            derated(of_charge),
            soc,
        ]);
        let most = |asked: &Asked, levels: Levels| if asked.overload { levels.information } else { f32::MAX };
        let discharge = Offer::new(
            pick(input.safe.discharge),
            input.cells,
            discharge_share,
            most(of_discharge, safety.discharge_a),
        );
        let charge =
            Offer::new(pick(input.safe.charge), input.cells, charge_share, most(of_charge, safety.charge_a));
        let mut out = PublishedLimits {
            discharge: self.discharge.step(&discharge, dt_s),
            charge: self.charge.step(&charge, dt_s),
        };
        if let Some(a) = input.charge_control_a {
            // It rises slowly by itself.
            out.charge.cap(bound(a, 0.0, 1e6), input.pack_v, LimitedBy::ChargeControl);
        }
        let nothing = if input.fault {
            Some(LimitedBy::Fault)
        } else if !input.connected {
            Some(LimitedBy::Contactors)
        } else if !input.mode {
            Some(LimitedBy::Mode)
        } else {
            None
        };
        if let Some(by) = nothing {
            let none = DirectionLimit { current_a: 0.0, power_w: 0.0, by };
            out = PublishedLimits { discharge: none, charge: none };
        }
        out
    }
}

impl DirectionLimit {
    /// No more current than this, nor its power.
    fn cap(&mut self, current_a: f32, pack_v: f32, by: LimitedBy) {
        if current_a < self.current_a {
            self.current_a = current_a;
            self.by = by;
        }
        // Without a voltage the power stays as it was, and the current alone tells.
        let power_w = current_a * pack_v;
        if power_w < self.power_w {
            self.power_w = power_w.max(0.0);
        }
    }
}

/// What all inputs together allow in one direction.
struct Offer {
    current_a: f32,
    power_w: f32,
    by: LimitedBy,
}

impl Offer {
    /// `most_a` cuts the current, and the power in proportion.
    fn new(safe: Limit, cells: f32, (share, by): (f32, LimitedBy), most_a: f32) -> Self {
        let safe_a = bound(safe.current_a, 0.0, 1e6);
        let safe_w = bound(safe.power_w * cells, 0.0, 1e9);
        if most_a < share * safe_a {
            return Self { current_a: most_a, power_w: safe_w * (most_a / safe_a), by: LimitedBy::Overload };
        }
        Self { current_a: share * safe_a, power_w: share * safe_w, by }
    }
}

impl Direction {
    fn step(&mut self, offer: &Offer, dt_s: f32) -> DirectionLimit {
        let current_a = self.current.step(offer.current_a, dt_s);
        let power_w = self.power.step(offer.power_w, dt_s);
        // What fell tells why; a limit below everything is on its way up.
        let falls = current_a >= offer.current_a;
        self.by = if falls { offer.by } else { LimitedBy::Rise };
        DirectionLimit { current_a, power_w, by: self.by }
    }
}
