//! Current and power that the pack may be loaded with: the smallest of everything that limits it.
//!
//! | Input | What it allows |
//! |---|---|
//! | state of power | its safe value over the horizon of [`LimitSettings::horizon`]; not for the charge current of a charge |
//! | charge control | in a charge: what it asks the charger for, instead of the state of power |
//! | cell voltages | the whole up to the warning level, nothing at the fatal level, a straight line between |
//! | temperatures | the same, cold and hot, charge and discharge, at the worse end of what is known |
//! | SOC | the whole while it is known, less the less it is known; not in a charge |
//! | cells, temperatures or current not seen | a share for discharge, nothing for charge |
//! | diagnoses that derate | [`LimitSettings::derated_share`]; a current over its warning level: its information level |
//! | mode, contactors, fatal diagnoses | nothing, at once |
//!
//! What comes out is never above any of these. It falls at once, begins to rise only after all of them have been higher for
//! [`LimitSettings::hold_s`], and rises slowly ([`Publisher`]). A charger is led by charge control alone, which goes by the measured
//! voltages and keeps its own margins: the state of power, a prediction that stays on the safe side, would end every charge
//! before it is full. The straight lines between warning and fatal are those of
//! foxBMS' state-of-function trapezoid.

use super::settings::{Levels, SafetySettings};
use crate::math::bound;
use crate::sop::{Limit, PowerLimits, Publisher};

/// Rise of the share of what charge control asks for, per second.
const SHARE_PER_S: f32 = 0.1;

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
    /// Voltage of the pack in V, for the power of a charge current; what is no number allows no power.
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
    /// Share of what charge control asks for.
    share: Publisher,
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
        let direction = Direction {
            current: of(settings.rise_a_per_s),
            power: of(rise_w_per_s),
            share: of(SHARE_PER_S),
            by: LimitedBy::Mode,
        };
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
        let charging = input.charge_control_a.is_some();
        let charge_share = least(&[
            stopped(of_charge),
            blind(0.0),
            (ramp(highest_v, safety.cell_high_v), LimitedBy::Voltage),
            (ramp(hottest_c, safety.charge_hot_c), LimitedBy::Hot),
            (falling_ramp(coldest_c, safety.charge_cold_c), LimitedBy::Cold),
            derated(of_charge),
            if charging { (1.0, LimitedBy::SocUnknown) } else { soc },
        ]);
        let most = |asked: &Asked, levels: Levels| if asked.overload { levels.information } else { f32::MAX };
        let discharge = Offer::new(
            pick(input.safe.discharge),
            input.cells,
            discharge_share,
            most(of_discharge, safety.discharge_a),
        );
        // In a charge the charge control looks ahead for itself, up to the end of the working range.
        let safe_charge = match input.charge_control_a {
            Some(_) => {
                let current_a = safety.pulse_charge_a;
                Limit { current_a, power_w: current_a * safety.cell_high_v.fatal, ..pick(input.safe.charge) }
            }
            None => pick(input.safe.charge),
        };
        let charge = Offer::new(safe_charge, input.cells, charge_share, most(of_charge, safety.charge_a));
        let mut out = PublishedLimits {
            discharge: self.discharge.step(&discharge, dt_s),
            charge: self.charge.step(&charge, dt_s),
        };
        let risen = self.charge.share.step(charge_share.0, dt_s);
        if let Some(asked_a) = input.charge_control_a {
            let most_a = most(of_charge, safety.charge_a);
            out.charge = DirectionLimit::of_charger(asked_a, risen, charge_share, most_a, input.pack_v);
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
    /// What charge control asks for, times the share that has risen so far of the one there is, but no more than this. It
    /// rises slowly by itself.
    fn of_charger(asked_a: f32, risen: f32, (share, by): (f32, LimitedBy), most_a: f32, pack_v: f32) -> Self {
        let asked_a = risen * bound(asked_a, 0.0, 1e6);
        let current_a = asked_a.min(most_a);
        let by = if current_a < asked_a {
            LimitedBy::Overload
        } else if risen < share {
            LimitedBy::Rise
        } else if share < 1.0 {
            by
        } else {
            LimitedBy::ChargeControl
        };
        Self { current_a, power_w: bound(current_a * pack_v, 0.0, 1e9), by }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::sop::Binding;
    use proptest::prelude::*;

    const SETTINGS: LimitSettings = LimitSettings::typical(16.0);
    const SAFETY: SafetySettings = example::SAFETY;

    fn limit(a: f32) -> Limit {
        Limit { power_w: 3.6 * a, power_by: Binding::Voltage, current_a: a, current_by: Binding::Voltage }
    }

    fn input() -> LimitInput {
        LimitInput {
            safe: PowerLimits {
                discharge: [20.0, 16.0, 12.0].map(limit),
                charge: [9.0, 8.0, 7.0].map(limit),
            },
            cells: 96.0,
            pack_v: 350.0,
            cell_v: Some([3.7, 3.6]),
            temperature_c: Some([30.0, 25.0]),
            soc_std: 0.01,
            blind: false,
            asked: [Asked::default(); 2],
            charge_control_a: None,
            mode: true,
            connected: true,
            fault: false,
        }
    }

    fn once(settings: LimitSettings, input: &LimitInput) -> PublishedLimits {
        Arbiter::new(settings, 96.0, 4.2).step(&SAFETY, input, 0.1)
    }

    #[test]
    fn each_horizon_can_be_published() {
        for (horizon, a) in [(0, 20.0), (1, 16.0), (2, 12.0)] {
            let out = once(LimitSettings { horizon, ..SETTINGS }, &input());
            assert_eq!(out.discharge.current_a, a);
            assert!((out.discharge.power_w / (96.0 * 3.6 * a) - 1.0).abs() < 1e-6);
            assert_eq!(out.discharge.by, LimitedBy::Power);
        }
    }

    /// Half of the way from warning to fatal leaves half.
    #[test]
    fn every_input_limits_its_direction_and_says_so() {
        let middle = |l: Levels| 0.5 * (l.warning + l.fatal);
        let s = &SAFETY;
        let ask = |derate, stop, overload| Asked { derate, stop, overload };
        let none = Asked::default();
        let i = input();
        let (d, c) = (16.0, 8.0);
        use LimitedBy::{
            ChargeControl, Cold, Derated, Hot, Overload, Power, SensorLost, SocUnknown, Stopped, Voltage,
        };
        let cases = [
            (LimitInput { cell_v: Some([middle(s.cell_high_v), 3.6]), ..i }, (d, Power), (0.5 * c, Voltage)),
            (LimitInput { cell_v: Some([3.7, middle(s.cell_low_v)]), ..i }, (0.5 * d, Voltage), (c, Power)),
            (
                LimitInput { temperature_c: Some([30.0, middle(s.discharge_cold_c)]), ..i },
                (0.5 * d, Cold),
                (0.0, Cold),
            ),
            (
                LimitInput { temperature_c: Some([30.0, middle(s.charge_cold_c)]), ..i },
                (d, Power),
                (0.5 * c, Cold),
            ),
            (
                LimitInput { temperature_c: Some([middle(s.discharge_hot_c), 25.0]), ..i },
                (0.5 * d, Hot),
                (0.5 * c, Hot),
            ),
            (LimitInput { temperature_c: Some([s.charge_hot_c.fatal, 25.0]), ..i }, (0.0, Hot), (0.0, Hot)),
            (LimitInput { temperature_c: None, ..i }, (0.0, Hot), (0.0, Hot)),
            (LimitInput { cell_v: None, ..i }, (0.0, Voltage), (0.0, Voltage)),
            (LimitInput { soc_std: 0.125, ..i }, (0.75 * d, SocUnknown), (0.75 * c, SocUnknown)),
            (LimitInput { soc_std: 0.9, ..i }, (0.5 * d, SocUnknown), (0.5 * c, SocUnknown)),
            (LimitInput { soc_std: f32::NAN, ..i }, (0.5 * d, SocUnknown), (0.5 * c, SocUnknown)),
            (LimitInput { blind: true, ..i }, (0.5 * d, SensorLost), (0.0, SensorLost)),
            (LimitInput { asked: [ask(true, false, false), none], ..i }, (0.5 * d, Derated), (c, Power)),
            (LimitInput { asked: [none, ask(true, false, false)], ..i }, (d, Power), (0.5 * c, Derated)),
            (LimitInput { asked: [ask(false, true, false), none], ..i }, (0.0, Stopped), (c, Power)),
            (LimitInput { asked: [none, ask(false, true, false)], ..i }, (d, Power), (0.0, Stopped)),
            (LimitInput { charge_control_a: Some(3.0), ..i }, (d, Power), (3.0, ChargeControl)),
            (LimitInput { charge_control_a: Some(f32::NAN), ..i }, (d, Power), (0.0, ChargeControl)),
            // It has its own margins, …
            (
                LimitInput { charge_control_a: Some(9.0), soc_std: 0.9, ..i },
                (0.5 * d, SocUnknown),
                (9.0, ChargeControl),
            ),
            // … but diagnoses count.
            (
                LimitInput { charge_control_a: Some(4.0), cell_v: Some([middle(s.cell_high_v), 3.6]), ..i },
                (d, Power),
                (2.0, Voltage),
            ),
            (
                LimitInput { charge_control_a: Some(4.0), blind: true, ..i },
                (0.5 * d, SensorLost),
                (0.0, SensorLost),
            ),
        ];
        for (k, (input, discharge, charge)) in cases.into_iter().enumerate() {
            let out = once(SETTINGS, &input);
            for ((a, by), is) in [(discharge, out.discharge), (charge, out.charge)] {
                assert!((is.current_a - a).abs() < 1e-3, "{k} {is:?} {a}");
                assert_eq!(is.by, by, "{k}");
                let most_w = if input.charge_control_a.is_some() { 352.0 * a } else { 96.0 * 3.6 * a };
                assert!(is.power_w <= most_w + 0.1, "{k} {is:?}");
            }
        }
        // A current over its warning level goes back to what is carried for long, if that is less.
        let over = LimitInput { asked: [ask(false, false, true); 2], ..i };
        let safety = SafetySettings { discharge_a: Levels::new(10.0, 12.0, 15.0), ..SAFETY };
        let out = Arbiter::new(SETTINGS, 96.0, 4.2).step(&safety, &over, 0.1);
        assert_eq!((out.discharge.current_a, out.discharge.by), (10.0, Overload));
        assert!((out.discharge.power_w - 96.0 * 36.0).abs() < 0.1);
        assert_eq!((out.charge.current_a, out.charge.by), (c, Power));
        let out = once(SETTINGS, &LimitInput { charge_control_a: Some(12.0), ..over });
        assert_eq!((out.charge.current_a, out.charge.by), (SAFETY.charge_a.information, Overload));
    }

    /// A charge is bounded by the pulse that the cells take, whatever the pack foresees for a drive.
    #[test]
    fn a_charge_looks_ahead_for_itself() {
        let dead = LimitInput { safe: PowerLimits { charge: [limit(0.0); 3], ..input().safe }, ..input() };
        let charge = LimitInput { charge_control_a: Some(5.0), ..dead };
        for (input, current_a) in [(dead, 0.0), (charge, 5.0)] {
            let out = once(SETTINGS, &input).charge;
            assert_eq!((out.current_a, out.power_w), (current_a, current_a * 350.0));
        }
        // Nor has a drive that follows to wait.
        let mut arbiter = Arbiter::new(SETTINGS, 96.0, 4.2);
        arbiter.step(&SAFETY, &charge, 0.1);
        let out = arbiter.step(&SAFETY, &input(), 0.1).charge;
        assert_eq!((out.current_a, out.by), (8.0, LimitedBy::Power));
        assert!((out.power_w / (96.0 * 3.6 * 8.0) - 1.0).abs() < 1e-6);
        let of = |asked_a: f32, pack_v: f32| {
            DirectionLimit::of_charger(asked_a, 1.0, (1.0, LimitedBy::Power), 100.0, pack_v).power_w
        };
        assert_eq!([of(5.0, 8.0), of(5.0, -8.0), of(5.0, f32::NAN)], [40.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_is_allowed_at_once_when_it_must_not_be() {
        let i = input();
        for (input, by) in [
            (LimitInput { fault: true, ..i }, LimitedBy::Fault),
            (LimitInput { connected: false, ..i }, LimitedBy::Contactors),
            (LimitInput { mode: false, ..i }, LimitedBy::Mode),
            (LimitInput { fault: true, connected: false, mode: false, ..i }, LimitedBy::Fault),
        ] {
            let mut arbiter = Arbiter::new(SETTINGS, 96.0, 4.2);
            assert!(arbiter.step(&SAFETY, &i, 0.1).discharge.current_a > 0.0);
            let none = DirectionLimit { current_a: 0.0, power_w: 0.0, by };
            assert_eq!(arbiter.step(&SAFETY, &input, 0.1), PublishedLimits { discharge: none, charge: none });
            // Back as soon as it may be.
            assert_eq!(arbiter.step(&SAFETY, &i, 0.1).discharge.current_a, 16.0);
        }
    }

    #[test]
    fn what_limits_has_the_number_of_its_line() {
        assert_eq!(
            [LimitedBy::Power, LimitedBy::ChargeControl, LimitedBy::Rise].map(LimitedBy::code),
            [3, 12, 13]
        );
    }

    #[test]
    fn a_ramp_without_width_is_a_step() {
        let levels = Levels::new(1.0, 2.0, 2.0);
        assert_eq!([1.9, 2.0, 2.1, f32::NAN].map(|x| ramp(x, levels)), [1.0, 0.0, 0.0, 0.0]);
        let down = Levels::new(3.0, 2.0, 1.0);
        assert_eq!([2.5, 2.0, 1.5, 0.5, f32::NAN].map(|x| falling_ramp(x, down)), [1.0, 1.0, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn a_share_of_the_charge_comes_back_slowly() {
        let mut arbiter = Arbiter::new(SETTINGS, 96.0, 4.2);
        let i = LimitInput { charge_control_a: Some(5.0), ..input() };
        assert_eq!(arbiter.step(&SAFETY, &i, 0.1).charge.current_a, 5.0);
        let hot = LimitInput { temperature_c: Some([0.5 * (55.0 + 60.0), 25.0]), ..i };
        assert!((arbiter.step(&SAFETY, &hot, 0.1).charge.current_a - 2.5).abs() < 1e-3);
        let steps =
            (0..200).take_while(|_| arbiter.step(&SAFETY, &i, 0.1).charge.by == LimitedBy::Rise).count();
        // 2 s, then half at a tenth per second.
        assert!((68..=74).contains(&steps), "{steps}");
    }

    #[test]
    fn it_falls_at_once_and_rises_slowly_after_a_while() {
        let mut arbiter = Arbiter::new(SETTINGS, 96.0, 4.2);
        let i = input();
        arbiter.step(&SAFETY, &i, 0.1);
        let derated = LimitInput { blind: true, ..i };
        assert_eq!(arbiter.step(&SAFETY, &derated, 0.1).discharge.current_a, 8.0);
        let mut back_s = 0.0;
        let mut rise = LimitedBy::Power;
        while arbiter.step(&SAFETY, &i, 0.1).discharge.current_a < 16.0 {
            back_s += 0.1;
            rise = arbiter.discharge.by;
            assert!(back_s < 60.0);
        }
        // 2 s, then 8 A at 1.6 A/s.
        assert!((6.5..=7.5).contains(&back_s), "{back_s}");
        assert_eq!(rise, LimitedBy::Rise);
    }

    fn any_f32() -> impl Strategy<Value = f32> {
        prop_oneof![any::<u32>().prop_map(f32::from_bits), -50.0..400.0_f32]
    }

    prop_compose! {
        fn any_input()(
            x in prop::collection::vec(any_f32(), 12),
            bits: u16,
        ) -> LimitInput {
            let bit = |k: u16| bits >> k & 1 == 1;
            let of = |a: f32, w: f32| Limit { current_a: a, power_w: w, ..Limit::default() };
            LimitInput {
                safe: PowerLimits { discharge: [of(x[0], x[1]); 3], charge: [of(x[2], x[3]); 3] },
                cells: 96.0,
                pack_v: x[4],
                cell_v: bit(0).then_some([x[5], x[6]]),
                temperature_c: bit(1).then_some([x[7], x[8]]),
                soc_std: x[9],
                blind: bit(2),
                asked: [
                    Asked { derate: bit(3), stop: bit(4), overload: bit(5) },
                    Asked { derate: bit(6), stop: bit(7), overload: bit(8) },
                ],
                charge_control_a: bit(9).then_some(x[10]),
                mode: !bit(10),
                connected: !bit(11),
                fault: bit(12),
            }
        }
    }

    proptest! {
        #[test]
        fn never_above_any_input_and_never_no_number(inputs in prop::collection::vec((any_input(), any_f32()), 1..40)) {
            let mut arbiter = Arbiter::new(SETTINGS, 96.0, 4.2);
            for (input, dt_s) in inputs {
                let out = arbiter.step(&SAFETY, &input, dt_s);
                let mut safe = [input.safe.discharge[1], input.safe.charge[1]];
                if let Some(a) = input.charge_control_a {
                    let a = bound(a, 0.0, 1e6);
                    safe[1] = Limit { current_a: a, power_w: bound(a * input.pack_v, 0.0, 1e9) / 95.9, ..safe[1] };
                }
                for (out, safe) in [out.discharge, out.charge].into_iter().zip(safe) {
                    prop_assert!(out.current_a >= 0.0 && out.power_w >= 0.0, "{:?}", out);
                    prop_assert!(out.current_a <= safe.current_a.max(0.0) || safe.current_a.is_nan());
                    prop_assert!(out.current_a == 0.0 || safe.current_a > 0.0);
                    prop_assert!(out.power_w <= bound(safe.power_w * 96.0, 0.0, 1e9));
                    prop_assert!(!(input.fault || !input.mode || !input.connected) || out.current_a + out.power_w == 0.0);
                }
                let [d, c] = input.asked;
                prop_assert!(!d.stop || out.discharge.current_a == 0.0);
                prop_assert!(!(c.stop || input.blind) || out.charge.current_a == 0.0);
            }
        }

        /// Between a fall and the next rise there are at least the hold time, whatever flickers.
        #[test]
        fn it_does_not_toggle_faster_than_its_hold_time(
            flicker in prop::collection::vec((any::<bool>(), any::<bool>(), 0.0..0.2_f32), 50..400),
        ) {
            let mut arbiter = Arbiter::new(SETTINGS, 96.0, 4.2);
            let i = input();
            let mut last = arbiter.step(&SAFETY, &i, 0.1).discharge.current_a;
            let mut since_fall_s = f32::MAX;
            for (blind, derate, soc_std) in flicker {
                let asked = [Asked { derate, ..Asked::default() }; 2];
                let now = arbiter.step(&SAFETY, &LimitInput { blind, asked, soc_std, ..i }, 0.1).discharge.current_a;
                since_fall_s = if now < last { 0.0 } else { since_fall_s + 0.1 };
                prop_assert!(now <= last || since_fall_s >= SETTINGS.hold_s, "{} s", since_fall_s);
                last = now;
            }
        }
    }
}
