//! Current profiles that stand alone, and a runner that puts any plant through them.

use std::fmt;

use crate::error::{ParameterError, PlantError, check, check_positive};
use crate::plant::{MAX_CURRENT_A, Plant};

/// What a step of a profile is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// No current.
    Rest,
    /// Short discharge that shows the resistances.
    DischargePulse,
    /// Short charge that shows the resistances.
    ChargePulse,
    /// Discharge to the next SOC of a pulse test.
    SocStep,
    /// Long discharge.
    Discharge,
    /// Long charge.
    Charge,
    /// Part of a drive.
    Drive,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rest => "rest",
            Self::DischargePulse => "discharge pulse",
            Self::ChargePulse => "charge pulse",
            Self::SocStep => "SOC step",
            Self::Discharge => "discharge",
            Self::Charge => "charge",
            Self::Drive => "drive",
        })
    }
}

/// A constant current held for a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// How long in s.
    pub dt_s: f64,
    /// Current in A, positive on discharge.
    pub current_a: f64,
    /// What for.
    pub label: Label,
}

/// `duration_s` of constant current in steps of `dt_s` (the last one may be shorter). A duration or step that is not
/// above 0 gives no steps.
pub fn hold(label: Label, current_a: f64, duration_s: f64, dt_s: f64) -> impl Iterator<Item = Step> + Clone {
    // A remainder of a billionth of a step is rounding, not a step.
    let valid = duration_s > 0.0 && dt_s > 0.0 && duration_s.is_finite();
    let count = if valid { (duration_s / dt_s - 1e-9).ceil().max(1.0) as u64 } else { 0 };
    (0..count).map(move |i| {
        let dt_s = if i + 1 == count { duration_s - i as f64 * dt_s } else { dt_s };
        Step { dt_s, current_a, label }
    })
}

/// Hybrid pulse power characterisation: at each SOC a discharge pulse, a rest and a charge pulse, then a discharge to
/// the next SOC and a long rest.
///
/// [`Hppc::new`] takes its pattern from the *Battery Test Manual For Electric Vehicles* (Idaho National Laboratory, INL/EXT-15-34184).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hppc {
    /// Capacity in Ah that the rates and SOC steps refer to.
    pub capacity_ah: f64,
    /// Discharge pulse in multiples of the capacity per hour.
    pub discharge_pulse_c: f64,
    /// Length of the discharge pulse in s.
    pub discharge_pulse_s: f64,
    /// Rest between the pulses in s.
    pub pulse_rest_s: f64,
    /// Charge pulse in multiples of the capacity per hour (given positive).
    pub charge_pulse_c: f64,
    /// Length of the charge pulse in s.
    pub charge_pulse_s: f64,
    /// Rate of the discharge between the SOC levels in multiples of the capacity per hour.
    pub soc_step_c: f64,
    /// Distance of the SOC levels as a fraction, above 0 and at most 1.
    pub soc_step: f64,
    /// Rest before the first pulse and after each SOC step in s.
    pub rest_s: f64,
    /// Longest time step in s.
    pub dt_s: f64,
}

impl Hppc {
    /// 30 s at 1 C, 40 s rest, 10 s charge at 0.75 C, steps of 10 % at C/3 and rests of 1 h, in time steps of 1 s.
    pub fn new(capacity_ah: f64) -> Self {
        Self {
            capacity_ah,
            discharge_pulse_c: 1.0,
            discharge_pulse_s: 30.0,
            pulse_rest_s: 40.0,
            charge_pulse_c: 0.75,
            charge_pulse_s: 10.0,
            soc_step_c: 1.0 / 3.0,
            soc_step: 0.1,
            rest_s: 3600.0,
            dt_s: 1.0,
        }
    }

    /// The test from full to empty. The discharge to the next SOC allows for the charge that the pulses moved.
    ///
    /// # Errors
    /// When a setting is not finite and above 0, or a SOC step is above 1 or too small for its pulses.
    pub fn steps(&self) -> Result<impl Iterator<Item = Step> + Clone + use<>, ParameterError> {
        let s = *self;
        for (name, value) in [
            ("capacity in Ah", s.capacity_ah),
            ("discharge pulse rate", s.discharge_pulse_c),
            ("discharge pulse length", s.discharge_pulse_s),
            ("pulse rest", s.pulse_rest_s),
            ("charge pulse rate", s.charge_pulse_c),
            ("charge pulse length", s.charge_pulse_s),
            ("SOC step rate", s.soc_step_c),
            ("rest", s.rest_s),
            ("time step", s.dt_s),
        ] {
            check_positive(name, value)?;
        }
        let pulses =
            (s.discharge_pulse_c * s.discharge_pulse_s - s.charge_pulse_c * s.charge_pulse_s) / 3600.0;
        let allowed = "at least 0.001, at most 1 and more than the pulses move";
        check("SOC step", s.soc_step, allowed, |v| (0.001..=1.0).contains(&v) && v > pulses)?;
        let step_s = (s.soc_step - pulses) / s.soc_step_c * 3600.0;
        let levels = (1.0 / s.soc_step + 1e-9).floor() as usize;
        let hold_c =
            move |label, c_rate: f64, duration_s| hold(label, c_rate * s.capacity_ah, duration_s, s.dt_s);
        let level = move |_| {
            hold_c(Label::DischargePulse, s.discharge_pulse_c, s.discharge_pulse_s)
                .chain(hold_c(Label::Rest, 0.0, s.pulse_rest_s))
                .chain(hold_c(Label::ChargePulse, -s.charge_pulse_c, s.charge_pulse_s))
                .chain(hold_c(Label::Rest, 0.0, s.pulse_rest_s))
                .chain(hold_c(Label::SocStep, s.soc_step_c, step_s))
                .chain(hold_c(Label::Rest, 0.0, s.rest_s))
        };
        Ok(hold_c(Label::Rest, 0.0, s.rest_s).chain((0..levels).flat_map(level)))
    }
}

/// Slow discharge to the lower limit, rest and slow charge to the upper limit, each taking about `hours` (20 for C/20).
/// The steps go on for half as long again, so that a cell better than `capacity_ah` reaches its limit, too;
/// [`simulate`] ends each part there.
///
/// # Errors
/// When a setting is not finite and above 0.
pub fn slow_cycle(
    capacity_ah: f64,
    hours: f64,
    rest_s: f64,
    dt_s: f64,
) -> Result<impl Iterator<Item = Step> + Clone, ParameterError> {
    for (name, value) in
        [("capacity in Ah", capacity_ah), ("hours", hours), ("rest", rest_s), ("time step", dt_s)]
    {
        check_positive(name, value)?;
    }
    let (current_a, longest_s) = (capacity_ah / hours, 1.5 * 3600.0 * hours);
    Ok(hold(Label::Discharge, current_a, longest_s, dt_s)
        .chain(hold(Label::Rest, 0.0, rest_s, dt_s))
        .chain(hold(Label::Charge, -current_a, longest_s, dt_s)))
}

/// A made-up drive: accelerate, cruise, brake with regeneration, stand, over and over. The same seed gives the same
/// drive on every machine. On average it discharges at about a sixth of the peak.
#[derive(Debug, Clone)]
pub struct Drive {
    random: XorShift,
    peak_a: f64,
    dt_s: f64,
    steps_left: u64,
    phase: usize,
    phase_left_s: f64,
    target_a: f64,
    current_a: f64,
}

impl Drive {
    /// A drive of `duration_s` in steps of `dt_s` with currents within `-peak_a..=peak_a`.
    ///
    /// # Errors
    /// When a setting is not finite and above 0, or the peak is above 1e6 A.
    pub fn new(seed: u64, peak_a: f64, duration_s: f64, dt_s: f64) -> Result<Self, ParameterError> {
        check("peak current", peak_a, "above 0 and at most 1e6 A", |v| v > 0.0 && v <= MAX_CURRENT_A)?;
        check_positive("duration", duration_s)?;
        check_positive("time step", dt_s)?;
        Ok(Self {
            random: XorShift::new(seed),
            peak_a,
            dt_s,
            steps_left: (duration_s / dt_s - 1e-9).ceil().max(1.0) as u64,
            phase: 3,
            phase_left_s: 0.0,
            target_a: 0.0,
            current_a: 0.0,
        })
    }
}

impl Iterator for Drive {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.steps_left = self.steps_left.checked_sub(1)?;
        if self.phase_left_s <= 0.0 {
            // Range of lengths in s and of levels as a share of the peak: accelerate, cruise, brake, stand.
            const PHASES: [[f64; 4]; 4] = [
                [3.0, 12.0, 0.4, 1.0],
                [10.0, 60.0, 0.05, 0.35],
                [3.0, 8.0, -0.5, -0.1],
                [5.0, 30.0, 0.01, 0.03],
            ];
            self.phase = (self.phase + 1) % PHASES.len();
            let [short, long, low, high] = PHASES[self.phase];
            self.phase_left_s = self.random.between(short, long);
            self.target_a = self.peak_a * self.random.between(low, high);
        }
        self.phase_left_s -= self.dt_s;
        let ripple = 0.02 * self.peak_a * self.random.between(-1.0, 1.0);
        // The current follows within about 1 s; a fraction, since exp may differ between machines.
        let approach = self.dt_s / (1.0 + self.dt_s);
        self.current_a += approach * (self.target_a + ripple - self.current_a);
        self.current_a = self.current_a.clamp(-self.peak_a, self.peak_a);
        Some(Step { dt_s: self.dt_s, current_a: self.current_a, label: Label::Drive })
    }
}

/// Marsaglia's xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
#[derive(Debug, Clone)]
struct XorShift(u64);

impl XorShift {
    fn new(seed: u64) -> Self {
        // Spread near seeds apart (splitmix64's finaliser); the state must not be 0.
        let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((z ^ (z >> 31)).max(1))
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let unit = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64;
        low + (high - low) * unit
    }
}

/// What a plant did under a profile. All columns have one entry per row.
///
/// Row 0 is the start without current. In every later row the current is the one that flowed since the row before, and
/// the other columns are the readings at `time_s` with that current still flowing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Seconds from the start.
    pub time_s: Vec<f64>,
    /// Current in A, positive on discharge.
    pub current_a: Vec<f64>,
    /// Terminal voltage in V.
    pub voltage_v: Vec<f64>,
    /// Surface temperature in degC.
    pub temperature_c: Vec<f64>,
    /// Core temperature in degC.
    pub core_temperature_c: Vec<f64>,
    /// True SOC as a fraction.
    pub soc_true: Vec<f64>,
    /// Heat in W.
    pub heat_w: Vec<f64>,
    /// What the row's step was for.
    pub label: Vec<Label>,
}

impl Recording {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.time_s.len()
    }

    /// True when there are no rows.
    pub fn is_empty(&self) -> bool {
        self.time_s.is_empty()
    }

    fn push(&mut self, plant: &impl Plant, time_s: f64, label: Label) {
        self.time_s.push(time_s);
        self.current_a.push(plant.current_a());
        self.voltage_v.push(plant.voltage_v());
        self.temperature_c.push(plant.surface_temperature_c());
        self.core_temperature_c.push(plant.core_temperature_c());
        self.soc_true.push(plant.soc());
        self.heat_w.push(plant.heat_w());
        self.label.push(label);
    }
}

/// Puts the plant through the profile and records every step.
///
/// A step that would take the voltage beyond the plant's limit (the lower one on discharge, the upper one on charge) is
/// not taken. Then, as a cycler does, the rest of that stage is left out: all directly following steps of the same
/// label. One exception: a charging step of a [`Label::Drive`] is replaced by rest, like a car that refuses to
/// regenerate into a full battery. Steps of zero length are recorded, too. The plant ends as in the last row.
///
/// # Errors
/// The plant's own, for a step that it refuses; the plant then stays as after the last good step.
pub fn simulate<P: Plant>(
    plant: &mut P,
    profile: impl IntoIterator<Item = Step>,
) -> Result<Recording, PlantError> {
    let [v_min, v_max] = plant.voltage_limits_v();
    let mut recording = Recording::default();
    let mut time_s = 0.0;
    let mut ended = None;
    plant.set_current(0.0)?;
    recording.push(plant, time_s, Label::Rest);
    for step in profile {
        if ended == Some(step.label) {
            continue;
        }
        ended = None;
        let beyond = |p: &P| {
            let v = p.voltage_v();
            (step.current_a > 0.0 && v < v_min) || (step.current_a < 0.0 && v > v_max)
        };
        let mut next = plant.clone();
        next.set_current(step.current_a)?;
        let beyond_at_once = beyond(&next);
        next.advance(step.dt_s)?;
        if beyond_at_once || beyond(&next) {
            if step.label != Label::Drive || step.current_a > 0.0 {
                ended = Some(step.label);
                continue;
            }
            next = plant.clone();
            next.set_current(0.0)?;
            next.advance(step.dt_s)?;
        }
        *plant = next;
        time_s += step.dt_s;
        recording.push(plant, time_s, step.label);
    }
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EcmCell, EcmParameters};

    #[test]
    fn hold_lasts_exactly_as_long_as_asked() {
        let dts: Vec<f64> = hold(Label::Rest, 0.0, 2.5, 1.0).map(|s| s.dt_s).collect();
        assert_eq!(dts, [1.0, 1.0, 0.5]);
        assert_eq!(hold(Label::Rest, 0.0, 0.3, 0.1).count(), 3);
        assert_eq!(
            hold(Label::Rest, 0.0, f64::NAN, 1.0).count() + hold(Label::Rest, 0.0, 1.0, -1.0).count(),
            0
        );
    }

    #[test]
    fn hppc_moves_the_whole_capacity_once() {
        let ah: f64 = Hppc::new(5.0).steps().unwrap().map(|s| s.current_a * s.dt_s / 3600.0).sum();
        assert!((ah - 5.0).abs() < 1e-9, "{ah}");
        assert!(Hppc { soc_step: 0.001, ..Hppc::new(5.0) }.steps().is_err());
        assert!(Hppc { dt_s: 0.0, ..Hppc::new(5.0) }.steps().is_err());
        assert!(Hppc::new(f64::NAN).steps().is_err());
    }

    #[test]
    fn drive_depends_on_its_seed_alone_and_keeps_to_its_peak() {
        let drive = |seed| Drive::new(seed, 15.0, 3600.0, 1.0).unwrap();
        assert!(drive(7).eq(drive(7)) && !drive(7).eq(drive(8)) && drive(0).count() == 3600);
        assert!(drive(1).all(|s| s.current_a.abs() <= 15.0) && drive(1).any(|s| s.current_a < -1.0));
        let mean = drive(3).map(|s| s.current_a).sum::<f64>() / 3600.0;
        assert!((1.5..4.0).contains(&mean), "{mean}");
        // Pinned, so that a drive named by its seed in an old report stays that drive.
        let first: Vec<f64> = drive(42).take(3).map(|s| s.current_a).collect();
        assert_eq!(
            first.iter().map(|i| (i * 1e6).round()).collect::<Vec<_>>(),
            [5527675.0, 8227012.0, 9736450.0]
        );
        assert!(Drive::new(1, 2e6, 1.0, 1.0).is_err() && Drive::new(1, 1.0, f64::NAN, 1.0).is_err());
    }

    #[test]
    fn every_profile_keeps_every_cell_within_its_limits() {
        for p in [EcmParameters::generic_nmc_5ah(), EcmParameters::generic_lfp_2ah3()] {
            let q = p.capacity_ah;
            for start_c in [-10.0, 25.0] {
                let full = EcmCell::new(p.clone(), 1.0, start_c).unwrap();
                let within = |r: &Recording| {
                    let [low, high] = p.voltage_limits_v;
                    (1..r.len()).all(|k| {
                        let (i, v) = (r.current_a[k], r.voltage_v[k]);
                        !(i > 0.0 && v < low || i < 0.0 && v > high)
                    })
                };
                let hppc = simulate(&mut full.clone(), Hppc::new(q).steps().unwrap()).unwrap();
                assert!(within(&hppc) && hppc.label.contains(&Label::ChargePulse));
                let slow = simulate(&mut full.clone(), slow_cycle(q, 20.0, 3600.0, 30.0).unwrap()).unwrap();
                let lowest = slow.soc_true.iter().copied().fold(1.0, f64::min);
                assert!(within(&slow) && lowest < 0.05 && slow.soc_true.last().unwrap() > &0.95, "{lowest}");
                // Starts full, so regeneration is refused at first; ends when the cell is empty, not after 24 h.
                let drive =
                    simulate(&mut full.clone(), Drive::new(1, 3.0 * q, 86400.0, 1.0).unwrap()).unwrap();
                assert!(within(&drive) && drive.len() < 40_000 && drive.len() > 100, "{}", drive.len());
            }
        }
    }

    #[test]
    fn a_refused_step_is_an_error_and_names_the_current() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.5, 25.0).unwrap();
        let bad = Step { dt_s: 1.0, current_a: f64::NAN, label: Label::Discharge };
        let message = simulate(&mut cell, [bad]).unwrap_err().to_string();
        assert!(message.starts_with("current of NaN A refused"), "{message}");
    }
}
