//! One or two current sensors against each other, against the cell voltages and against open contactors.

use super::{Suspicions, ended};
use crate::math::abs;
use crate::measurement::Reading;
use crate::safety::ledger::{Finding, Ledger, Status};
use crate::safety::monitors::Scene;
use crate::safety::table::Diagnosis;

/// Sensors that may differ by this many times what is allowed to one of them do not disagree.
const DISAGREE: f32 = 3.0;
/// A current that moves by less than this share of the allowed error stands still …
const STILL_SHARE: f32 = 0.1;
/// … and is stuck if it stood so long (ms) and the voltages move all the same, at once, by this many times their error.
const STILL_MS: u32 = 1000;
const MOVES: f32 = 2.0;
/// In longer steps (s) than this they have to move by as much more.
const AT_ONCE_S: f32 = 0.2;
/// Time in ms after which contactors that were told to open are open and the link no longer feeds anything.
const OPENED_MS: u32 = 1400;
/// Current at open contactors is an offset above this, and flows above that, in times of the allowed error.
const OFFSET: f32 = 1.25;
const FLOWS: f32 = 3.0;
/// Up to this many times its full scale a number is a current that cannot be measured; beyond it is none.
const OVERLOAD: f32 = 10.0;
/// Up to this many times its full scale it is used.
const FULL: f32 = 1.05;

/// What one sensor did.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Still {
    anchor_a: f32,
    still_ms: u32,
    stuck: bool,
    held: Suspicions,
}

impl Still {
    const NEW: Self = Self { anchor_a: f32::NAN, still_ms: 0, stuck: false, held: Suspicions::NONE };

    fn step(&mut self, current_a: Option<f32>, least_a: f32, moved: bool, dt_ms: u16) {
        let Some(current_a) = current_a else {
            *self = Self { held: self.held, ..Self::NEW };
            return;
        };
        if abs(current_a - self.anchor_a) <= least_a {
            self.still_ms = self.still_ms.saturating_add(u32::from(dt_ms));
            self.stuck |= moved && self.still_ms > STILL_MS;
        } else {
            (self.anchor_a, self.still_ms, self.stuck) = (current_a, 0, false);
        }
    }
}

/// What may be used of the current.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Current {
    /// Pack current in A.
    pub current_a: Reading,
    /// Mean since the previous frame in A.
    pub mean_current_a: Reading,
    /// The least and the most that any sensor says.
    pub pulse_a: Option<[f32; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct CurrentSense {
    sensors: [Still; 2],
    typical_v: Option<f32>,
    open_ms: u32,
}

impl CurrentSense {
    pub(in super::super) const NEW: Self = Self { sensors: [Still::NEW; 2], typical_v: None, open_ms: 0 };

    /// `typical_v` is the voltage of most cells.
    pub(in super::super) fn step<const N: usize, const S: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        typical_v: Option<f32>,
        ledger: &mut Ledger,
    ) -> Current {
        let (settings, frame) = (scene.settings, scene.frame);
        let (full_a, error_a) = (settings.grade.current_full_a, scene.current_error_a());
        let raw = [
            if scene.usable.current_sensor { frame.current_a } else { f32::NAN },
            if settings.fitted.second_current { frame.second_current_a } else { f32::NAN },
        ];
        let readings = raw.map(|a| Reading::within(a, -FULL * full_a, FULL * full_a));
        let values = readings.map(Reading::valid);

        let still_a = STILL_SHARE * error_a;
        let moved_v = (MOVES * settings.grade.cell_voltage_v).max(2.0 * still_a * settings.cell_ohm);
        // What the charge that passes in a second (voltages may be so old) moves by itself: nothing in a battery, much in a
        // supercapacitor.
        let largest_a = values.iter().flatten().fold(0.0_f32, |most, a| most.max(abs(*a)));
        let range_v = settings.cell_high_v.information - settings.cell_low_v.information;
        let ramp_v = 2.0 * range_v * largest_a * scene.dt_s.max(1.0) / (3600.0 * settings.capacity_ah);
        let moved = match (typical_v, self.typical_v) {
            (Some(now_v), Some(before_v)) => {
                abs(now_v - before_v) > ramp_v + moved_v * (scene.dt_s / AT_ONCE_S).max(1.0)
            }
            _ => false,
        };
        self.typical_v = typical_v;
        for (sensor, value) in self.sensors.iter_mut().zip(values) {
            sensor.step(value, still_a, moved, scene.dt_ms);
        }
        let stuck = (0_u16..).zip(&self.sensors).find(|(_, sensor)| sensor.stuck);
        let finding = |(place, sensor): (u16, &Still)| Finding {
            place: Some(place),
            value: sensor.anchor_a,
            limit: still_a,
        };
        ledger.report(Diagnosis::CurrentStuck, stuck.map(finding));
        for sensor in &mut self.sensors {
            sensor.held.update([sensor.stuck], ended(ledger, [Diagnosis::CurrentStuck]));
        }

        let lost = Finding { place: None, value: 0.0, limit: full_a };
        ledger.report(Diagnosis::CurrentLost, (values == [None, None]).then_some(lost));
        if settings.fitted.second_current {
            let place = match values {
                [None, Some(_)] => Some(0),
                [Some(_), None] => Some(1),
                _ => None,
            };
            let lost = place.map(|_| Finding { place, ..lost });
            ledger.report(Diagnosis::CurrentRedundancyLost, lost);
            if let [Some(first_a), Some(second_a)] = values {
                let (value, limit) = (abs(first_a - second_a), DISAGREE * error_a);
                let finding = Finding { place: None, value, limit };
                ledger.report(Diagnosis::CurrentDisagrees, (value > limit).then_some(finding));
            }
        }
        self.open(scene, values, ledger);
        self.choose(frame.mean_current_a, readings, full_a, ledger, raw)
    }

    /// What flows or seems to flow while all contactors are open.
    fn open<const N: usize, const S: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        values: [Option<f32>; 2],
        ledger: &mut Ledger,
    ) {
        let told_closed = scene.context.told_closed.contains(&true);
        let dt_ms = u32::from(scene.dt_ms);
        self.open_ms = if told_closed { 0 } else { self.open_ms.saturating_add(dt_ms) };
        let open = self.open_ms > OPENED_MS.saturating_add(u32::from(scene.settings.contactors.travel_ms));
        let (least_a, most_a) = match values {
            // What two sensors agree on flows.
            [Some(first), Some(second)] => {
                let (first, second) = (abs(first), abs(second));
                (first.min(second), first.max(second))
            }
            [Some(only), None] | [None, Some(only)] => (abs(only) * (OFFSET / FLOWS), abs(only)),
            [None, None] => return,
        };
        let limit = OFFSET * scene.current_error_a();
        let finding = Finding { place: None, value: most_a, limit };
        let flows = open && least_a > limit;
        ledger.report(Diagnosis::CurrentWhileOpen, flows.then_some(finding));
        let offset = open && !flows && most_a > limit;
        ledger.report(Diagnosis::CurrentOffset, offset.then_some(finding));
    }

    /// The first sensor if nothing is held against it, else the second.
    fn choose(
        &self,
        mean_a: f32,
        readings: [Reading; 2],
        full_a: f32,
        ledger: &Ledger,
        raw: [f32; 2],
    ) -> Current {
        let [first, second] = readings;
        let [held, second_held] = self.sensors.map(|sensor| sensor.held.any());
        let disagree = ledger.status(Diagnosis::CurrentDisagrees) >= Status::Detected;
        let mean = Reading::within(mean_a, -FULL * full_a, FULL * full_a);
        let (current_a, mean_current_a) = match (first.valid(), second.valid()) {
            (Some(_), None) if !held => (first, mean),
            (Some(_), Some(_)) if !held && (!disagree || second_held) => (first, mean),
            (_, Some(_)) if !second_held && (!disagree || held) => (second, Reading::MISSING),
            (Some(value), _) | (None, Some(value)) => (Reading::rejected(value), Reading::MISSING),
            (None, None) => (first, Reading::MISSING),
        };
        let [first_a, second_a] = raw.map(|a| if abs(a) <= OVERLOAD * full_a { Some(a) } else { None });
        let pulse_a = match (first_a, second_a) {
            (Some(a), Some(b)) => Some([a.min(b), a.max(b)]),
            (Some(a), None) | (None, Some(a)) => Some([a, a]),
            (None, None) => None,
        };
        Current { current_a, mean_current_a, pulse_a }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::Context;
    use crate::safety::frame::Frame;
    use crate::safety::monitors::links::Usable;
    use crate::safety::settings::SafetySettings;

    /// After more than a second without a movement; a moment in which nothing is read starts it anew, and takes nothing back.
    #[test]
    fn a_current_is_stuck_after_a_second() {
        let still = |ms: u16, by_a: f32| {
            let mut sensor = Still::NEW;
            sensor.step(Some(5.0), 0.125, false, 100);
            sensor.step(Some(5.0 + by_a), 0.125, true, ms);
            sensor
        };
        assert!(!still(1000, 0.0).stuck && still(1001, 0.0).stuck);
        assert!(still(1001, 0.125).stuck && still(1001, -0.125).stuck && !still(1001, 0.126).stuck);
        let mut sensor = still(1001, 0.0);
        sensor.held.update([true], [false]);
        sensor.step(None, 0.125, true, 100);
        assert_eq!((sensor.stuck, sensor.still_ms, sensor.held.any()), (false, 0, true));
        sensor.step(Some(5.0), 0.125, true, 2000);
        assert!(!sensor.stuck);
    }

    /// Nothing flows 1.4 s and the contactors' time after they were told to open.
    #[test]
    fn contactors_have_time_to_open() {
        let settings = SafetySettings::EXAMPLE_NMC_5AH;
        let after = |ms: u16| {
            let frame = Frame::<1, 1>::NOTHING;
            let usable = Usable { front_end: true, current_sensor: true, insulation: true };
            let (settings, frame, context) = (&settings, &frame, &Context::QUIET);
            let scene = Scene { settings, frame, context, dt_ms: ms, dt_s: 1e-3 * f32::from(ms), usable };
            let (mut sense, mut ledger) = (CurrentSense::NEW, Ledger::new());
            ledger.advance(ms);
            sense.open(&scene, [Some(9.0); 2], &mut ledger);
            ledger.status(Diagnosis::CurrentWhileOpen) != Status::Clear
        };
        let opened_ms = 1400 + settings.contactors.travel_ms;
        assert!(!after(opened_ms) && after(opened_ms + 1));
    }
}
