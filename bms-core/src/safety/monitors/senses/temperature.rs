//! Temperature sensors against one another and their own past; how fast each of them rises.

use super::voltage::trimmed_mean;
use super::{Jump, MISSED, Suspicions, ended, note};
use crate::math::abs;
use crate::measurement::Reading;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::monitors::{Scene, low_pass, share};
use crate::safety::table::Diagnosis;

/// What a sensor on a cell can read (degC); beyond it, its wire is open or shorted.
const SENSOR_C: [f32; 2] = [-50.0, 140.0];
/// What a rise may be computed from: a cell on fire is hotter than any sensor should ever read.
const FIRE_C: [f32; 2] = [-50.0, 1000.0];
/// A step is a jump above this many times the allowed error and this much per s: no sensor on a cell follows faster.
const JUMP: f32 = 3.0;
const JUMP_K_PER_S: f32 = 20.0;
/// Least allowed error in K that thresholds are made from.
const LEAST_ERROR_K: f32 = 0.5;
/// A sensor that moves less than this share of its allowed error while the others move by so many times that is stuck.
const STILL_SHARE: f32 = 0.15;
const STUCK: f32 = 3.0;
/// A sensor drifts by more than this many times its allowed error, and than the spread that is told.
const DRIFT: f32 = 3.0;
/// Time constants in s of the filters whose differences are the rise, fast and slow.
const FAST_S: f32 = 0.5;
const MIDDLE_S: f32 = 1.5;
const SLOW_S: f32 = 10.0;
/// Longest step in s that a rise can be seen over.
const SEEN_S: f32 = 2.0;
/// Time constant in s of what a sensor has of its own.
const LONG_S: f32 = 3600.0;
/// Share of all sensors that must be left.
const LEFT: f32 = 0.5;

const REJECTING: [Diagnosis; 4] = [
    Diagnosis::TemperatureLost,
    Diagnosis::TemperatureStuck,
    Diagnosis::TemperatureJump,
    Diagnosis::TemperatureDrift,
];

/// What one sensor did.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sensor {
    /// Last reading in degC; NaN if it was lost.
    last_c: f32,
    fast_c: f32,
    middle_c: f32,
    slow_c: f32,
    long_k: f32,
    jump: Jump,
    anchor_c: f32,
    anchor_typical_c: f32,
    /// Samples in a row that were missing or can be none, and that cannot even be followed.
    missed: u8,
    unheard: u8,
    held: Suspicions,
}

impl Sensor {
    const NEW: Self = Self {
        last_c: f32::NAN,
        fast_c: 0.0,
        middle_c: 0.0,
        slow_c: 0.0,
        long_k: f32::NAN,
        jump: Jump::NONE,
        anchor_c: f32::NAN,
        anchor_typical_c: f32::NAN,
        missed: 0,
        unheard: 0,
        held: Suspicions::NONE,
    };

    /// Follows a reading; a jump is carried along, so that it is no rise.
    fn follow(&mut self, raw_c: f32, jump_k: f32, dt_s: f32, [fast, middle, slow]: [f32; 3]) {
        let [lo_c, hi_c] = FIRE_C;
        if !(raw_c >= lo_c && raw_c <= hi_c) {
            self.unheard = self.unheard.saturating_add(1);
            if self.unheard >= MISSED {
                self.last_c = f32::NAN;
            }
            return;
        }
        self.unheard = 0;
        let step_k = raw_c - self.last_c;
        if step_k.is_nan() || dt_s > SEEN_S {
            (self.fast_c, self.middle_c, self.slow_c) = (raw_c, raw_c, raw_c);
        } else if abs(step_k) > jump_k {
            for filter in [&mut self.fast_c, &mut self.middle_c, &mut self.slow_c] {
                *filter += step_k;
            }
        } else {
            self.fast_c = low_pass(self.fast_c, raw_c, fast);
            self.middle_c = low_pass(self.middle_c, raw_c, middle);
            self.slow_c = low_pass(self.slow_c, raw_c, slow);
        }
        self.last_c = raw_c;
    }

    fn stuck(&mut self, now_c: f32, typical_c: f32, error_k: f32) -> bool {
        if abs(now_c - self.anchor_c) > STILL_SHARE * error_k || self.anchor_c.is_nan() {
            (self.anchor_c, self.anchor_typical_c) = (now_c, typical_c);
        }
        abs(typical_c - self.anchor_typical_c) > STUCK * error_k
    }
}

/// What is known of one sensor in this step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Warmth {
    /// What it reads in degC, as far as it can be followed; NaN if it cannot.
    pub raw_c: f32,
    /// How fast it rises in K/s, seen within a few seconds, and more exactly within ten.
    pub fast_k_per_s: f32,
    /// See [`Self::fast_k_per_s`].
    pub slow_k_per_s: f32,
    /// What the limits apply to.
    pub at_limits: Reading,
    /// What may be used.
    pub reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct TemperatureSense<const S: usize> {
    sensors: [Sensor; S],
}

impl<const S: usize> TemperatureSense<S> {
    pub(in super::super) const NEW: Self = Self { sensors: [Sensor::NEW; S] };

    /// Time went by without a step: what changed in it is no rise.
    pub(in super::super) fn slept(&mut self) {
        for sensor in &mut self.sensors {
            sensor.last_c = f32::NAN;
        }
    }

    /// `fitted` sensors are there; nothing is known of the others.
    pub(in super::super) fn step<const N: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        fitted: usize,
        ledger: &mut Ledger,
    ) -> [Warmth; S] {
        let unknown = Warmth {
            raw_c: f32::NAN,
            fast_k_per_s: 0.0,
            slow_k_per_s: 0.0,
            at_limits: Reading::MISSING,
            reading: Reading::MISSING,
        };
        let mut all = [unknown; S];
        if !scene.usable.front_end {
            for sensor in &mut self.sensors {
                sensor.last_c = f32::NAN;
                sensor.jump.miss();
            }
            return all;
        }
        let [lo_c, hi_c] = SENSOR_C;
        let readings = scene.frame.sensors_c.map(|c| Reading::within(c, lo_c, hi_c));
        let sound = |(r, sensor): (&Reading, &Sensor)| r.valid().filter(|_| !sensor.held.any());
        let typical_c = trimmed_mean(readings.iter().zip(&self.sensors).take(fitted).filter_map(sound));
        let typical_c = typical_c.unwrap_or(f32::NAN);

        let error_k = scene.settings.grade.temperature_k.max(LEAST_ERROR_K);
        let jump_k = JUMP * error_k + JUMP_K_PER_S * scene.dt_s;
        let drift_k = (DRIFT * error_k).max(scene.settings.spread_k.information);
        let shares = [FAST_S, MIDDLE_S, SLOW_S].map(|time_s| share(scene.dt_s, time_s));
        let long = share(scene.dt_s, LONG_S);
        let finished = ended(ledger, REJECTING);
        let mut found: [Option<Finding>; 4] = [None; 4];
        let (mut count, mut left) = (0.0_f32, 0.0_f32);
        let each = (0_u16..).zip(&mut self.sensors).zip(readings).zip(&mut all).take(fitted);
        for ((((place, sensor), reading), warmth), raw_c) in each.zip(scene.frame.sensors_c) {
            sensor.follow(raw_c, jump_k, scene.dt_s, shares);
            let mut wrong = [false; 4];
            let [lost, stuck, jump, drift] = &mut wrong;
            let value = reading.valid();
            sensor.missed = if value.is_none() { sensor.missed.saturating_add(1) } else { 0 };
            *lost = sensor.missed >= MISSED;
            match value {
                Some(c) if !typical_c.is_nan() => {
                    let own_k = c - typical_c;
                    *jump = sensor.jump.step(own_k, jump_k, error_k, scene.dt_s);
                    *stuck = sensor.stuck(c, typical_c, error_k);
                    // One that reads as the others do has not drifted, whatever it did before.
                    *drift = abs(own_k - sensor.long_k) > drift_k && abs(own_k) > 2.0 * error_k;
                    if !*jump && !*drift {
                        sensor.long_k = low_pass(sensor.long_k, own_k, long);
                    }
                }
                // Nothing is left to compare with, nor what it jumped from.
                Some(_) => sensor.jump = Jump::NONE,
                None => sensor.jump.miss(),
            }
            let jumped = *jump;
            if wrong.contains(&true) || sensor.held.any() {
                let limits = [if raw_c < lo_c { lo_c } else { hi_c }, typical_c, jump_k, drift_k];
                note(&mut found, wrong, limits, (place, raw_c));
                sensor.held.update(wrong, finished);
            }
            count += 1.0;
            left += if sensor.held.any() { 0.0 } else { 1.0 };
            warmth.raw_c = sensor.last_c;
            warmth.fast_k_per_s = (sensor.fast_c - sensor.middle_c) / (MIDDLE_S - FAST_S);
            warmth.slow_k_per_s = (sensor.middle_c - sensor.slow_c) / (SLOW_S - MIDDLE_S);
            // A cell that drifts away from the others may be what it seems: only a jump is surely none.
            warmth.at_limits = if jumped { Reading::MISSING } else { reading };
            warmth.reading = match value {
                Some(c) if sensor.held.any() => Reading::rejected(c),
                _ => reading,
            };
        }
        for (id, finding) in REJECTING.into_iter().zip(found) {
            ledger.report(id, finding);
        }
        let few = Finding { place: None, value: left, limit: LEFT * count };
        ledger.report(Diagnosis::TemperaturesLost, (left < LEFT * count).then_some(few));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::Context;
    use crate::safety::frame::Frame;
    use crate::safety::monitors::links::Usable;
    use crate::safety::settings::{Levels, SafetySettings};

    /// A pack that cooled down for hours has not done so within a tenth of a second.
    #[test]
    fn what_changed_in_a_sleep_is_no_rise() {
        let mut sense = TemperatureSense::<1>::NEW;
        let shares = [0.2, 0.1, 0.01];
        sense.sensors[0].follow(20.0, 5.0, 0.1, shares);
        sense.slept();
        sense.sensors[0].follow(24.0, 5.0, 0.1, shares);
        let s = &sense.sensors[0];
        assert_eq!((s.fast_c, s.middle_c, s.slow_c), (24.0, 24.0, 24.0));
    }

    const SHARES: [f32; 3] = [0.5, 0.25, 0.125];

    /// A jump is carried along, a step of its size is not; beyond a fire nothing is followed, and after three of those it is
    /// not known any more.
    #[test]
    fn steps_are_followed_jumps_carried_along() {
        let after = |raw_c: &[f32], dt_s: f32| {
            let mut sensor = Sensor::NEW;
            sensor.follow(20.0, 5.0, 0.1, SHARES);
            for c in raw_c {
                sensor.follow(*c, 5.0, dt_s, SHARES);
            }
            [sensor.fast_c, sensor.middle_c, sensor.slow_c, sensor.last_c]
        };
        assert_eq!(after(&[25.0], 0.1), [22.5, 21.25, 20.625, 25.0]);
        assert_eq!(after(&[25.5], 0.1), [25.5, 25.5, 25.5, 25.5]);
        assert_eq!(after(&[25.0], 2.0), [22.5, 21.25, 20.625, 25.0]);
        assert_eq!(after(&[25.0], 2.1), [25.0, 25.0, 25.0, 25.0]);
        for none in [-51.0, 1001.0, f32::NAN] {
            assert_eq!(after(&[none], 0.1), [20.0; 4]);
            assert_eq!(after(&[none, none], 0.1), [20.0; 4]);
            assert!(after(&[none, none, none], 0.1)[3].is_nan());
            assert_eq!(after(&[none, none, 20.0, none, none], 0.1), [20.0; 4]);
        }
        assert_eq!((after(&[-50.0], 0.1)[3], after(&[1000.0], 0.1)[3]), (-50.0, 1000.0));
    }

    /// With an error of 2 K: within 0.3 K of where it was it has not moved.
    #[test]
    fn a_sensor_that_moves_less_than_its_noise_is_stuck() {
        let stuck = |by_k: f32, typical_k: f32| {
            let mut sensor = Sensor::NEW;
            assert!(!sensor.stuck(0.0, 0.0, 2.0));
            sensor.stuck(by_k, typical_k, 2.0)
        };
        assert!(!stuck(0.0, 6.0) && stuck(0.0, 6.5) && stuck(0.0, -6.5));
        assert!(stuck(STILL_SHARE * 2.0, 6.5) && stuck(-0.29, 6.5) && !stuck(0.31, 6.5));
    }

    /// Three errors of 3 K away from what is usual, and two from the others; what has jumped or drifted teaches nothing.
    #[test]
    fn a_sensor_drifts_away_from_the_others_and_from_itself() {
        let own = |usual_k: f32, before_k: f32, own_k: f32| {
            let mut settings = SafetySettings::EXAMPLE_NMC_5AH;
            (settings.grade.temperature_k, settings.spread_k) = (3.0, Levels::new(1.0, 2.0, 3.0));
            let mut sense = TemperatureSense::<4>::NEW;
            let mut frame = Frame::<1, 4>::NOTHING;
            let mut readings = [Reading::MISSING; 4];
            for (k, at_k) in [before_k, own_k].into_iter().enumerate() {
                frame.sensors_c = [25.0, 25.0, 25.0 + at_k, 25.0];
                let usable = Usable { front_end: true, current_sensor: true, insulation: true };
                let (settings, frame, context) = (&settings, &frame, &Context::QUIET);
                let scene = Scene { settings, frame, context, dt_ms: 100, dt_s: 0.1, usable };
                if k == 1 {
                    sense.sensors[2].long_k = usual_k;
                }
                readings = sense.step(&scene, 4, &mut Ledger::new()).map(|w| w.reading);
            }
            assert!(readings[3].valid().is_some());
            (readings[2].valid().is_none(), sense.sensors[2].long_k != usual_k)
        };
        let (kept, rejected) = ((false, true), (true, false));
        assert_eq!(own(0.0, 9.0, 9.0), kept);
        assert_eq!(own(0.0, 9.25, 9.25), rejected);
        assert_eq!(own(0.0, -9.25, -9.25), rejected);
        assert_eq!(own(-4.0, 5.5, 5.5), kept);
        assert_eq!(own(-4.0, 6.0, 6.0), kept);
        assert_eq!(own(-4.0, 6.25, 6.25), rejected);
        assert_eq!(own(4.0, -6.25, -6.25), rejected);
        assert_eq!(own(6.0, -2.75, -2.75), kept);
        // A jump of more than 11 K that ends where it is usual.
        assert_eq!(own(7.0, -5.0, 6.5), rejected);
    }
}
