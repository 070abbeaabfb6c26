//! Cell voltages against their neighbours, against their own past and against the pack voltage.
//!
//! What most cells show (the mean without the highest and the lowest) carries load, temperature and charge; what a cell has
//! of its own moves slowly. So a step or a standstill of one cell alone is its sensor's, whatever the current is.

use super::{Jump, MISSED, Suspicions, ended, note};
use crate::math::{abs, bound};
use crate::measurement::Reading;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::monitors::{Scene, low_pass, share};
use crate::safety::settings::SafetySettings;
use crate::safety::table::Diagnosis;

/// What any cell voltage can be (V).
const CELL_V: [f32; 2] = [-0.5, 6.0];
/// A cell that reads less than this share of the others beside one that reads more than that share of them: the wire
/// between them is open.
const OPEN_LOW: f32 = 0.1;
const OPEN_HIGH: f32 = 1.5;
/// Least allowed error in V that thresholds are made from: an exact front end would leave no room for noise.
const LEAST_ERROR_V: f32 = 1e-3;
/// A cell below minus so many times the allowed error is reversed, or its wires are.
const REVERSED: f32 = 5.0;
/// A step is a jump above this many times the allowed error, this share of the others' step, and this much per s.
const JUMP: f32 = 4.0;
const JUMP_SHARE: f32 = 0.5;
const JUMP_V_PER_S: f32 = 0.02;
/// A voltage that stays within this share of the allowed error while the others move by so many times that is stuck.
const STILL_SHARE: f32 = 0.2;
const STUCK: f32 = 6.0;
/// Time constant in s of what a cell has of its own, in short and in long.
const SHORT_S: f32 = 2.0;
const LONG_S: f32 = 36_000.0;
/// Where the voltage says little of the charge that is missing: this share of the range from empty to full.
const FLAT: [f32; 2] = [0.5, 0.85];
/// Resistances differ by less than this share.
const OHM_SHARE: f32 = 0.5;
/// Resistance by steps of the current: of all cells, against what a step of a moment shows; share of news in a step; a step
/// is one by this many times the current's error.
const LASTING: f32 = 2.0;
const NEWS: f32 = 0.2;
const STEP: f32 = 5.0;
/// Time constant in s with which a load's trace in the voltages fades.
const LOAD_S: f32 = 30.0;
/// Current, in times of the capacity per hour, at which resistances do not matter.
const QUIET_PER_H: f32 = 0.2;
/// A cell has an internal short when it sags by this many times the allowed error and warms up …
const SAG: f32 = 6.0;
/// … or, whatever its temperature, by this many times more.
const SAG_ALONE: f32 = 3.0;
/// Longest list of cells whose surroundings are looked at in one step.
const LOOKED_AT: usize = 4;
/// Sum and pack voltage may differ by this many times what their errors allow.
const DISAGREE: f32 = 1.5;

/// Diagnoses that reject a cell voltage, in the order of their bits.
const REJECTING: [Diagnosis; 6] = [
    Diagnosis::CellWireOpen,
    Diagnosis::CellVoltageStuck,
    Diagnosis::CellVoltageJump,
    Diagnosis::CellVoltageDrift,
    Diagnosis::CellVoltageSwapped,
    Diagnosis::CellVoltageLost,
];

/// What one cell did.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    /// What it has of its own against the typical cell in V, in short and in long; NaN if not known.
    short_v: f32,
    long_v: f32,
    jump: Jump,
    /// Its voltage and the typical one when it moved last.
    anchor_v: f32,
    anchor_typical_v: f32,
    /// Samples in a row that were missing.
    missed: u8,
    held: Suspicions,
}

impl Cell {
    const NEW: Self = Self {
        short_v: f32::NAN,
        long_v: f32::NAN,
        jump: Jump::NONE,
        anchor_v: f32::NAN,
        anchor_typical_v: f32::NAN,
        missed: 0,
        held: Suspicions::NONE,
    };

    /// Stands still while the others move with a load. Without one, a cell on a flat part of its curve may stand still while
    /// others relax.
    fn stuck(&mut self, voltage_v: f32, typical_v: f32, error_v: f32, loaded: bool) -> bool {
        if abs(voltage_v - self.anchor_v) <= STILL_SHARE * error_v {
            if !loaded && self.anchor_typical_v != f32::INFINITY {
                self.anchor_typical_v = typical_v;
            }
            let stuck = abs(typical_v - self.anchor_typical_v) > STUCK * error_v;
            // It stays stuck though the others come back.
            if stuck {
                self.anchor_typical_v = f32::INFINITY;
            }
            stuck
        } else {
            (self.anchor_v, self.anchor_typical_v) = (voltage_v, typical_v);
            false
        }
    }
}

/// All cells as they are seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct VoltageSense<const N: usize> {
    cells: [Cell; N],
    typical_v: f32,
    /// The largest current of late, and the current before, in A.
    load_a: f32,
    before_a: f32,
    /// Resistance of a cell as steps of the current show it, in ohm; NaN until one was seen.
    cell_ohm: f32,
    /// Time since the cells were seen in s.
    unseen_s: f32,
}

/// What a frame says of the cells at first sight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Seen<const N: usize> {
    /// Every voltage that can be.
    pub plausible: [Reading; N],
    /// … but for cells beside an open wire: what the limits apply to.
    pub at_limits: [Reading; N],
    /// What most cells show, from at least three of them; V.
    pub typical_v: Option<f32>,
    /// Sum of all cells in V; those that are not seen count as typical.
    pub sum_v: Option<f32>,
    wires: [Wire; N],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Sound,
    /// It is open, or the next one is.
    Open,
    /// Its cell reads a negative voltage.
    Reversed,
}

/// Mean without the highest and the lowest, and of how many.
pub(in super::super) fn trimmed_mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (mut sum, mut least, mut most, mut count) = (0.0_f32, f32::MAX, f32::MIN, 0.0_f32);
    for v in values {
        sum += v;
        least = least.min(v);
        most = most.max(v);
        count += 1.0;
    }
    if count >= 3.0 { Some((sum - least - most) / (count - 2.0)) } else { None }
}

impl<const N: usize> VoltageSense<N> {
    pub(in super::super) const NEW: Self = Self {
        cells: [Cell::NEW; N],
        typical_v: f32::NAN,
        load_a: 0.0,
        before_a: f32::NAN,
        cell_ohm: f32::NAN,
        unseen_s: 0.0,
    };

    /// First sight, before the current is known.
    pub(in super::super) fn see<const S: usize>(&self, scene: &Scene<'_, N, S>) -> Seen<N> {
        let mut seen = Seen {
            plausible: [Reading::MISSING; N],
            at_limits: [Reading::MISSING; N],
            typical_v: None,
            sum_v: None,
            wires: [Wire::Sound; N],
        };
        if !scene.usable.front_end {
            return seen;
        }
        let raw = &scene.frame.cell_voltage_v;
        let [lo_v, hi_v] = CELL_V;
        seen.plausible = raw.map(|v| Reading::within(v, lo_v, hi_v));
        let sound = |(r, cell): (&Reading, &Cell)| r.valid().filter(|_| !cell.held.any());
        seen.typical_v = trimmed_mean(seen.plausible.iter().zip(&self.cells).filter_map(sound));
        if seen.typical_v.is_none() {
            seen.typical_v = trimmed_mean(seen.plausible.iter().filter_map(|r| r.valid()));
        }

        let typical_v = seen.typical_v.unwrap_or(f32::NAN);
        let reversed_v = -REVERSED * scene.settings.grade.cell_voltage_v.max(LEAST_ERROR_V);
        let next = raw.iter().skip(1).copied().chain(core::iter::once(f32::NAN));
        let (low_v, high_v) = (OPEN_LOW * typical_v, OPEN_HIGH * typical_v);
        let mut previous_v = f32::NAN;
        let mut previous_open = false;
        let wires = seen.wires.iter_mut().zip(&scene.frame.wire_open);
        for ((wire, flag), (v, next_v)) in wires.zip(raw.iter().copied().zip(next)) {
            // Most cells read what the others do.
            let usual = v >= low_v && v <= high_v;
            if *flag {
                *wire = Wire::Open;
            } else if !usual {
                let low = |v: f32| abs(v) < low_v;
                let high = |v: f32| v > high_v;
                let beside = |other: f32| (low(v) && high(other)) || (high(v) && low(other));
                *wire = if beside(next_v) || beside(previous_v) || (previous_open && high(v)) {
                    Wire::Open
                } else if v < reversed_v {
                    Wire::Reversed
                } else {
                    Wire::Sound
                };
            }
            (previous_v, previous_open) = (v, *flag);
        }
        seen.at_limits = seen.plausible;
        for (reading, wire) in seen.at_limits.iter_mut().zip(&seen.wires) {
            if *wire == Wire::Open {
                *reading = Reading::MISSING;
            }
        }
        if let Some(typical_v) = seen.typical_v {
            seen.sum_v = Some(seen.at_limits.iter().map(|r| r.valid().unwrap_or(typical_v)).sum());
        } else if seen.plausible.iter().all(|r| r.valid().is_some()) {
            seen.sum_v = Some(seen.plausible.iter().filter_map(|r| r.valid()).sum());
        }
        seen
    }

    /// Follows the load; resistance in ohm that a typical cell shows to it, at most that of the settings.
    fn load_ohm<const S: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        typical_v: f32,
        current_a: Option<f32>,
    ) -> f32 {
        let most_ohm = scene.settings.cell_ohm;
        let current_a = current_a.unwrap_or(f32::NAN);
        let step_a = abs(current_a - self.before_a);
        let ohm = LASTING * abs(typical_v - self.typical_v) / step_a;
        if step_a > STEP * scene.current_error_a() && !ohm.is_nan() {
            self.cell_ohm += NEWS * (ohm.min(most_ohm) - self.cell_ohm);
        }
        if self.cell_ohm.is_nan() {
            self.cell_ohm = most_ohm;
        }
        self.before_a = current_a;
        // The load of a current that is not known is taken to be what it was.
        let load_a = if current_a.is_nan() { self.load_a } else { abs(current_a) };
        self.load_a = load_a.max(low_pass(self.load_a, 0.0, share(scene.dt_s, LOAD_S)));
        self.cell_ohm
    }

    /// Compares every cell with the others and with its past; `warms` says whether the surroundings of a cell warm up by
    /// themselves. Returns what may be used.
    pub(in super::super) fn step<const S: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        seen: &Seen<N>,
        current_a: Option<f32>,
        warms: impl Fn(u16) -> bool,
        ledger: &mut Ledger,
    ) -> [Reading; N] {
        if !scene.usable.front_end {
            self.unseen_s += scene.dt_s;
            return seen.plausible;
        }
        let elapsed_s = scene.dt_s + self.unseen_s;
        self.unseen_s = 0.0;
        let settings = scene.settings;
        let error_v = settings.grade.cell_voltage_v.max(LEAST_ERROR_V);
        let typical_v = seen.typical_v.unwrap_or(f32::NAN);
        let ohmic_v = OHM_SHARE * self.load_ohm(scene, typical_v, current_a) * self.load_a;
        let flat = is_flat(settings, typical_v);
        let loaded = self.load_a >= QUIET_PER_H * settings.capacity_ah;
        let quiet = flat && !scene.context.balancing && !loaded;
        let spread_v = charge_spread_v(settings);
        let drift_v = 2.0 * error_v + spread_v;
        let sag_v = SAG * error_v + ohmic_v;
        let jump_v = JUMP * error_v + JUMP_V_PER_S * elapsed_s;
        let jump_v = jump_v + JUMP_SHARE * abs(typical_v - self.typical_v).min(1.0);
        self.typical_v = typical_v;

        let (short_share, long_share) = (share(scene.dt_s, SHORT_S), share(scene.dt_s, LONG_S));
        let mut found: [Option<Finding>; 6] = [None; 6];
        let mut short = None;
        let mut looked_at = 0;
        let finished = ended(ledger, REJECTING);
        let mut readings = seen.plausible;
        let all = (0_u16..).zip(&mut self.cells).zip(seen.wires).zip(&scene.frame.cell_voltage_v);
        for ((((place, cell), wire), raw_v), reading) in all.zip(&mut readings) {
            let mut wrong = [false; 6];
            let [open, stuck, jump, drift, swapped, lost] = &mut wrong;
            let value = reading.valid();
            *open = wire == Wire::Open;
            *swapped = wire == Wire::Reversed;
            cell.missed = if value.is_none() { cell.missed.saturating_add(1) } else { 0 };
            *lost = cell.missed >= MISSED && wire == Wire::Sound;
            match value {
                Some(v) if !typical_v.is_nan() && wire == Wire::Sound => {
                    let own_v = v - typical_v;
                    *jump = cell.jump.step(own_v, jump_v, error_v, scene.dt_s);
                    *stuck = cell.stuck(v, typical_v, error_v, loaded);
                    cell.short_v = low_pass(cell.short_v, own_v, short_share);
                    // A sag counts against what is usual; where the charge shows in the voltage, less the spread of it.
                    let usual_v = if cell.long_v.is_nan() { 0.0 } else { cell.long_v };
                    let known = flat && !cell.long_v.is_nan();
                    let limit = if known { sag_v } else { sag_v + spread_v };
                    let value = usual_v - cell.short_v;
                    if short.is_none() && value > limit {
                        looked_at += 1;
                        if value > SAG_ALONE * limit || (looked_at <= LOOKED_AT && warms(place)) {
                            short = Some(Finding { place: Some(place), value, limit });
                        }
                    }
                    if quiet {
                        *drift = abs(cell.short_v - usual_v) > drift_v && known;
                        if !*jump && !*drift {
                            let long_v = low_pass(cell.long_v, cell.short_v, long_share);
                            // No sound cell is usually further away than it may drift.
                            cell.long_v = bound(long_v, -drift_v, drift_v);
                        }
                    }
                }
                _ => cell.jump.miss(),
            }
            if wrong.contains(&true) || cell.held.any() {
                let limits = [typical_v, typical_v, jump_v, drift_v, 0.0, CELL_V[1]];
                note(&mut found, wrong, limits, (place, *raw_v));
                cell.held.update(wrong, finished);
                if let (Some(v), true) = (value, cell.held.any()) {
                    *reading = Reading::rejected(v);
                }
            }
        }
        for (id, finding) in REJECTING.into_iter().zip(found) {
            // Under load nothing can be said of a drift, and what was said stays.
            if quiet || id != Diagnosis::CellVoltageDrift {
                ledger.report(id, finding);
            }
        }
        if current_a.is_some() {
            ledger.report(Diagnosis::InternalShort, short);
        }
        readings
    }
}

/// How far in V the pack voltage and the sum of the cells are apart at most while both are right.
pub(in super::super) fn pack_error_v(settings: &SafetySettings, cells: f32) -> f32 {
    let grade = &settings.grade;
    DISAGREE * (grade.pack_voltage_share * cells * settings.cell_high_v.fatal + grade.cell_voltage_v * cells)
}

/// The pack voltage against the sum of the cells.
pub(in super::super) fn check_pack<const N: usize, const S: usize>(
    scene: &Scene<'_, N, S>,
    sum_v: Option<f32>,
    ledger: &mut Ledger,
) {
    let settings = scene.settings;
    if !settings.fitted.pack_voltage {
        return;
    }
    let cells = scene.cells();
    let full_v = cells * settings.cell_high_v.fatal;
    let pack_v = scene.frame.pack_voltage_v;
    let possible = pack_v.is_finite() && pack_v > -full_v && pack_v < 2.0 * full_v;
    let lost = Finding { place: None, value: pack_v, limit: full_v };
    ledger.report(Diagnosis::PackVoltageLost, (!possible).then_some(lost));
    if let (Some(sum_v), true) = (sum_v, possible) {
        let differs = abs(pack_v - sum_v) > pack_error_v(settings, cells);
        let finding = Finding { place: None, value: pack_v, limit: sum_v };
        ledger.report(Diagnosis::PackVoltageDisagrees, differs.then_some(finding));
    }
}

/// Whether the typical cell is where its voltage hardly depends on charge.
fn is_flat(settings: &SafetySettings, typical_v: f32) -> bool {
    let (empty_v, full_v) = (settings.cell_low_v.information, settings.cell_high_v.information);
    let share = (typical_v - empty_v) / (full_v - empty_v);
    let [lo, hi] = FLAT;
    share > lo && share < hi
}

/// Difference in V that the allowed difference of charge can make, away from empty and full.
fn charge_spread_v(settings: &SafetySettings) -> f32 {
    let [_, most] = settings.imbalance;
    most * (settings.cell_high_v.information - settings.cell_low_v.information)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::Context;
    use crate::safety::frame::Frame;
    use crate::safety::monitors::links::Usable;
    use crate::safety::settings::Levels;

    /// Errors of 2 A and 1/64 V, 3 V from empty to full, at most 1/16 ohm.
    const SETTINGS: SafetySettings = {
        let mut s = SafetySettings::EXAMPLE_NMC_5AH;
        (s.cell_low_v, s.cell_high_v) = (Levels::new(1.0, 0.75, 0.5), Levels::new(4.0, 4.25, 4.5));
        (s.grade.current_share, s.grade.current_full_a, s.grade.cell_voltage_v) = (1.0 / 32.0, 64.0, ERROR_V);
        (s.cell_ohm, s.imbalance, s.capacity_ah) = (0.0625, [0.125, 0.25], 5.0);
        s
    };
    const ERROR_V: f32 = 1.0 / 64.0;
    const N: usize = 12;
    /// On the flat part of the curve.
    const FLAT_V: f32 = 3.25;
    /// What a cell may differ by: two errors and a quarter of the charge.
    const DRIFT_V: f32 = 2.0 * ERROR_V + 0.75;

    /// What cells read, and what is known besides.
    struct Step {
        frame: Frame<N, 1>,
        context: Context,
        dt_s: f32,
        front_end: bool,
    }

    impl Step {
        fn new(cell_voltage_v: [f32; N]) -> Self {
            let frame = Frame { cell_voltage_v, ..Frame::NOTHING };
            Self { frame, context: Context::QUIET, dt_s: 0.1, front_end: true }
        }

        fn scene(&self) -> Scene<'_, N, 1> {
            let usable = Usable { front_end: self.front_end, current_sensor: true, insulation: true };
            let Self { frame, context, dt_s, .. } = self;
            Scene { settings: &SETTINGS, frame, context, dt_ms: 100, dt_s: *dt_s, usable }
        }

        /// One step at this current, with surroundings of some cells that warm up; what there is of an internal short.
        fn run(
            &self,
            sense: &mut VoltageSense<N>,
            current_a: f32,
            warms: fn(u16) -> bool,
        ) -> ([Reading; N], Option<Finding>) {
            let mut ledger = Ledger::new();
            ledger.advance(u16::MAX);
            let scene = self.scene();
            let seen = sense.see(&scene);
            let readings = sense.step(&scene, &seen, Some(current_a), warms, &mut ledger);
            (readings, ledger.detection(Diagnosis::InternalShort).map(|d| d.finding))
        }
    }

    /// All alike but for some.
    fn cells<const K: usize>(typical_v: f32, others: [(usize, f32); K]) -> [f32; N] {
        let mut all = [typical_v; N];
        for (k, v) in others {
            all[k] = v;
        }
        all
    }

    #[test]
    fn the_flat_part_of_a_curve_is_where_it_is() {
        for (v, flat) in [(2.0, false), (2.5, false), (2.51, true), (3.54, true), (3.56, false), (4.5, false)]
        {
            assert_eq!(is_flat(&SETTINGS, v), flat, "{v}");
        }
        assert!(!is_flat(&SETTINGS, f32::NAN));
        assert_eq!(charge_spread_v(&SETTINGS), 0.75);
    }

    /// What cells show without those that something is held against, as long as there are three.
    #[test]
    fn typical_is_what_sound_cells_show() {
        let step = Step::new(cells(3.5, [(0, 3.0), (1, 3.25)]));
        let mut sense = VoltageSense::<N>::NEW;
        let held = |sense: &mut VoltageSense<N>, which: core::ops::Range<usize>| {
            for cell in &mut sense.cells[which] {
                cell.held.update([true], [false]);
            }
            sense.see(&step.scene()).typical_v
        };
        assert_eq!(held(&mut sense, 0..0), Some((3.25 + 9.0 * 3.5) / 10.0));
        assert_eq!(held(&mut sense, 0..1), Some(3.5));
        assert_eq!(held(&mut sense, 3..12), Some((3.25 + 9.0 * 3.5) / 10.0));
    }

    /// A tenth and one and a half of what the others show, beside each other or beside a wire that is known to be open; a
    /// cell is reversed beyond five errors.
    #[test]
    fn wires_show_in_two_neighbours() {
        use Wire::{Open, Reversed, Sound};
        let wires = |v: [f32; N], flag: usize| {
            let mut step = Step::new(v);
            if flag < N {
                step.frame.wire_open[flag] = true;
            }
            VoltageSense::NEW.see(&step.scene()).wires
        };
        for (pair, expected) in [
            ([0.34, 5.3], [Open, Open]),
            ([0.25, 5.26], [Open, Open]),
            ([5.3, 0.3], [Open, Open]),
            ([-0.3, 5.3], [Open, Open]),
            ([0.36, 5.3], [Sound, Sound]),
            ([0.25, 5.25], [Sound, Sound]),
            ([0.3, 5.1], [Sound, Sound]),
            ([0.3, 0.3], [Sound, Sound]),
            ([5.3, 5.3], [Sound, Sound]),
            ([0.05, 3.5], [Sound, Sound]),
            ([3.5, -5.0 * ERROR_V], [Sound, Sound]),
            ([3.5, -5.1 * ERROR_V], [Sound, Reversed]),
        ] {
            let all = wires(cells(3.5, [(5, pair[0]), (6, pair[1])]), N);
            assert_eq!([all[5], all[6]], expected, "{pair:?}");
            assert!(all[..5].iter().chain(&all[7..]).all(|w| *w == Sound));
        }
        let all = wires(cells(3.5, [(6, 5.3)]), 5);
        assert_eq!(all[4..8], [Sound, Open, Open, Sound]);
        assert_eq!(wires(cells(3.5, [(6, 0.3)]), 5)[4..8], [Sound, Open, Sound, Sound]);
    }

    /// Four errors and 0.02 V for every second since the cells were seen, and half of the others' step.
    #[test]
    fn a_jump_may_be_as_large_as_the_time_is_long() {
        let jumps = |by_v: f32, unseen_s: [f32; 2], others_v: f32| {
            let mut sense = VoltageSense::NEW;
            let still = Step::new([FLAT_V; N]);
            still.run(&mut sense, 0.0, |_| false);
            for dt_s in unseen_s.into_iter().filter(|s| *s > 0.0) {
                let unseen = Step { front_end: false, dt_s, ..Step::new([FLAT_V; N]) };
                unseen.run(&mut sense, 0.0, |_| false);
            }
            let typical_v = FLAT_V + others_v;
            let step = Step::new(cells(typical_v, [(3, typical_v + by_v)]));
            let (readings, _) = step.run(&mut sense, 0.0, |_| false);
            assert!(readings.iter().enumerate().all(|(k, r)| k == 3 || r.valid().is_some()));
            readings[3].valid().is_none()
        };
        let edge_v = 4.0 * ERROR_V + 0.02 * 0.1;
        assert!(!jumps(0.99 * edge_v, [0.0; 2], 0.0) && jumps(1.01 * edge_v, [0.0; 2], 0.0));
        assert!(!jumps(-0.99 * edge_v, [0.0; 2], 0.0) && jumps(-1.01 * edge_v, [0.0; 2], 0.0));
        let edge_v = 4.0 * ERROR_V + 0.02 * 10.1;
        assert!(!jumps(0.99 * edge_v, [4.0, 6.0], 0.0) && jumps(1.01 * edge_v, [4.0, 6.0], 0.0));
        for others_v in [0.25, -0.25] {
            let edge_v = 4.0 * ERROR_V + 0.02 * 0.1 + 0.125;
            assert!(!jumps(0.99 * edge_v, [0.0; 2], others_v) && jumps(1.01 * edge_v, [0.0; 2], others_v));
        }
    }

    /// A cell's own is learnt at rest on the flat part alone, and not while it has jumped or drifted away.
    #[test]
    fn what_is_usual_is_learnt_at_rest() {
        let learnt = |typical_v: f32, current_a: f32, balancing: bool| {
            let mut step = Step::new([typical_v; N]);
            step.context.balancing = balancing;
            let mut sense = VoltageSense::NEW;
            step.run(&mut sense, current_a, |_| false);
            !sense.cells[0].long_v.is_nan()
        };
        // Up to a fifth of the capacity per hour: 1 A.
        assert!(learnt(FLAT_V, 0.9, false) && !learnt(FLAT_V, 1.1, false) && !learnt(FLAT_V, -1.1, false));
        assert!(!learnt(2.0, 0.0, false) && !learnt(2.0, 1.1, false) && !learnt(FLAT_V, 0.0, true));
        // Beyond what it may differ by, from what is usual.
        let drifts = |usual_v: f32, own_v: f32| {
            let mut sense = VoltageSense::NEW;
            sense.cells[3].long_v = usual_v;
            let step = Step::new(cells(FLAT_V, [(3, FLAT_V + own_v)]));
            let rejected = step.run(&mut sense, 0.0, |_| false).0[3].valid().is_none();
            let moved = sense.cells[3].long_v != usual_v;
            assert_eq!(rejected, !moved || own_v == usual_v);
            rejected
        };
        assert!(!drifts(0.0, DRIFT_V) && drifts(0.0, DRIFT_V + 0.01) && drifts(0.0, -DRIFT_V - 0.01));
        assert!(!drifts(0.5, -0.25) && !drifts(-0.5, -1.25) && drifts(0.5, -0.3) && drifts(-0.5, -1.3));
        // What has jumped teaches nothing.
        let mut sense = VoltageSense::NEW;
        Step::new([FLAT_V; N]).run(&mut sense, 0.0, |_| false);
        Step::new(cells(FLAT_V, [(3, FLAT_V + 0.25)])).run(&mut sense, 0.0, |_| false);
        assert_eq!(sense.cells[3].long_v, 0.0);
    }

    /// Six errors below what is usual and surroundings that warm up, or three times that alone; where nothing is usual, more
    /// by what charge may make. Of many that sag only the first are looked at closely.
    #[test]
    fn a_cell_that_sags_has_a_short() {
        const SAG_V: f32 = 6.0 * ERROR_V;
        let named = |usual_v: f32, typical_v: f32, below_v: f32, warms: fn(u16) -> bool| {
            let mut sense = VoltageSense::NEW;
            sense.cells[3].long_v = usual_v;
            let step = Step::new(cells(typical_v, [(3, typical_v - below_v)]));
            step.run(&mut sense, 0.0, warms).1.map(|f| (f.place, f.limit))
        };
        let third: fn(u16) -> bool = |k| k == 3;
        let beyond = SAG_V + 1.0 / 256.0;
        assert_eq!(named(0.0, FLAT_V, SAG_V, third), None);
        assert_eq!(named(0.0, FLAT_V, beyond, third), Some((Some(3), SAG_V)));
        assert_eq!(named(0.0, FLAT_V, beyond, |k| k != 3), None);
        assert_eq!(named(0.0, FLAT_V, 3.0 * SAG_V, |_| false), None);
        assert_eq!(named(0.0, FLAT_V, 3.0 * SAG_V + 1.0 / 256.0, |_| false), Some((Some(3), SAG_V)));
        assert_eq!(named(0.0, FLAT_V, -beyond, third), None);
        for (usual_v, typical_v) in [(f32::NAN, FLAT_V), (0.0, 2.25)] {
            assert_eq!(named(usual_v, typical_v, SAG_V + 0.75, third), None);
            assert_eq!(
                named(usual_v, typical_v, beyond + 0.75, third),
                Some((Some(3), SAG_V + 0.75)),
                "{usual_v}"
            );
        }
        // Five cells sag; the fifth alone warms up, or the fourth.
        let mut v = [FLAT_V; N];
        v[2..7].fill(FLAT_V - 0.2);
        let many = |warms| {
            let mut sense = VoltageSense::NEW;
            for cell in &mut sense.cells {
                cell.long_v = 0.0;
            }
            Step::new(v).run(&mut sense, 0.0, warms).1.map(|f| f.place)
        };
        assert_eq!((many(|k| k == 6), many(|k| k == 5)), (None, Some(Some(5))));
        assert_eq!(many(|k| k >= 4), Some(Some(4)));
    }

    /// Steps of the current show the resistance, twice for what lasts; a fifth of the news counts.
    #[test]
    fn the_resistance_follows_steps_of_the_current() {
        let step = Step::new([f32::NAN; N]);
        let scene = step.scene();
        let new =
            || VoltageSense::<N> { typical_v: 3.5, before_a: 10.0, cell_ohm: 0.03125, ..VoltageSense::NEW };
        let after = |typical_v: f32, current_a: Option<f32>| {
            let mut sense = new();
            let ohm = sense.load_ohm(&scene, typical_v, current_a);
            assert_eq!(ohm, sense.cell_ohm);
            ohm
        };
        // 16 A and 0.125 V: 2 * 0.0078125 ohm.
        assert_eq!(after(3.375, Some(26.0)), 0.03125 + 0.2 * (0.015_625 - 0.03125));
        assert_eq!(after(3.625, Some(-6.0)), 0.03125 + 0.2 * (0.015_625 - 0.03125));
        // No more than the settings say.
        assert_eq!(after(2.5, Some(26.0)), 0.03125 + 0.2 * (0.0625 - 0.03125));
        // A step is one beyond five errors, and a voltage that is not known shows nothing.
        assert_eq!(after(3.4375, Some(20.0)), 0.03125);
        assert_ne!(after(3.4375, Some(20.5)), 0.03125);
        assert_eq!(after(f32::NAN, Some(26.0)), 0.03125);
        assert_eq!(after(3.4375, None), 0.03125);
        // Nothing known: the most there can be.
        let mut fresh = VoltageSense::<N>::NEW;
        assert_eq!(fresh.load_ohm(&scene, 3.5, Some(-8.0)), 0.0625);
        assert_eq!((fresh.load_a, fresh.before_a), (8.0, -8.0));
        // The trace of a load fades, and one that is not known is what it was.
        fresh.load_ohm(&scene, 3.5, Some(0.0));
        assert!(fresh.load_a < 8.0 && fresh.load_a > 7.9);
        fresh.load_ohm(&scene, 3.5, None);
        assert!(fresh.load_a > 7.9);
    }

    /// With errors of 1/64 V: still within 0.2 of it, stuck when the others have moved by more than six.
    #[test]
    fn a_cell_is_stuck_beyond_six_errors() {
        let moves = |by_v: f32| {
            let mut cell = Cell::NEW;
            cell.stuck(3.5, 3.5, ERROR_V, true);
            cell.stuck(3.5, 3.5 - by_v, ERROR_V, true)
        };
        assert!(!moves(6.0 * ERROR_V) && moves(6.1 * ERROR_V) && moves(-6.1 * ERROR_V));
        // At rest it is not looked at, and not made up for later; once stuck it stays so.
        let mut cell = Cell::NEW;
        cell.stuck(3.5, 3.5, ERROR_V, true);
        assert!(!cell.stuck(3.5, 3.0, ERROR_V, false) && !cell.stuck(3.5, 3.0, ERROR_V, true));
        assert!(cell.stuck(3.5, 3.5, ERROR_V, true) && cell.stuck(3.5, 3.0, ERROR_V, false));
        assert!(cell.stuck(3.5, 3.5, ERROR_V, false));
        assert!(!cell.stuck(3.6, 3.5, ERROR_V, true));
    }
}
