//! Which diagnoses are pending, detected, reacting or latched, and what each of them saw.

use super::table::{COUNT, Diagnosis, Latch, Level, Reaction, TABLE};
use crate::store::stored;

/// Words of 32 diagnoses.
const WORDS: usize = COUNT.div_ceil(32);

/// What a monitor found wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// Cell, sensor or part that it is about, counted from 0; `None` where there is only one.
    pub place: Option<u16>,
    /// What was read, in the unit of the limit.
    pub value: f32,
    /// What it should have kept.
    pub limit: f32,
}

/// A fault that was detected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Which.
    pub id: Diagnosis,
    /// What was found at the moment of detection.
    pub finding: Finding,
    /// When, in ms of the clock that counts the steps of the ledger; it wraps.
    pub time_ms: u32,
}

/// How far a diagnosis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing is wrong.
    Clear,
    /// Its condition holds, not yet for long enough.
    Pending,
    /// It is certain, the reaction is delayed.
    Detected,
    /// The reaction is on.
    Reacting,
}

/// Bits of all diagnoses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiagnosisSet {
    words: [u32; WORDS],
}

stored!(DiagnosisSet { words: [u32; WORDS] });

impl DiagnosisSet {
    /// Whether a diagnosis is in.
    #[must_use]
    pub fn contains(&self, id: Diagnosis) -> bool {
        self.words.get(id as usize / 32).is_some_and(|w| w & (1 << (id as u32 % 32)) != 0)
    }

    /// Puts a diagnosis in or takes it out.
    pub fn set(&mut self, id: Diagnosis, member: bool) {
        if let Some(word) = self.words.get_mut(id as usize / 32) {
            let bit = 1 << (id as u32 % 32);
            *word = if member { *word | bit } else { *word & !bit };
        }
    }

    /// Whether none is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// All that are in, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Diagnosis> + '_ {
        TABLE.iter().map(|e| e.id).filter(|id| self.contains(*id))
    }
}

/// What is remembered of one diagnosis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Case {
    /// For how long its condition has held, in ms; it falls as fast as it rises, so a fault that flickers counts too.
    held_ms: u16,
    detected: bool,
    reacting: bool,
    active: bool,
    finding: Finding,
    time_ms: u32,
}

const NOTHING: Finding = Finding { place: None, value: 0.0, limit: 0.0 };

/// All diagnoses of a pack.
///
/// Monitors [`report`](Self::report) what they see once a step; a monitor that cannot see does not report, and its
/// diagnosis stays as it is. The table says for how long a condition must hold, what follows and how it ends.
///
/// ```
/// use bms_core::safety::ledger::{Finding, Ledger, Status};
/// use bms_core::safety::table::{Diagnosis, Reaction};
/// let mut ledger = Ledger::new();
/// let high = Finding { place: Some(7), value: 4.31, limit: 4.25 };
/// for _ in 0..8 {
///     ledger.advance(100);
///     ledger.report(Diagnosis::CellVoltageHighFatal, Some(high));
/// }
/// assert_eq!(ledger.status(Diagnosis::CellVoltageHighFatal), Status::Reacting);
/// assert!(ledger.reacts(Reaction::Open));
/// assert_eq!(ledger.detection(Diagnosis::CellVoltageHighFatal).unwrap().finding.place, Some(7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ledger {
    cases: [Case; COUNT],
    now_ms: u32,
    dt_ms: u16,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// Nothing is wrong.
    #[must_use]
    pub const fn new() -> Self {
        let case = Case {
            held_ms: 0,
            detected: false,
            reacting: false,
            active: false,
            finding: NOTHING,
            time_ms: 0,
        };
        Self { cases: [case; COUNT], now_ms: 0, dt_ms: 0 }
    }

    /// Goes on from what was latched for a workshop before a sleep or power loss.
    #[must_use]
    pub fn restore(latched: &DiagnosisSet) -> Self {
        let mut new = Self::new();
        for (case, e) in new.cases.iter_mut().zip(&TABLE) {
            if e.latch == Latch::Service && latched.contains(e.id) {
                (case.detected, case.reacting) = (true, true);
            }
        }
        new
    }

    /// What a workshop has to unlock: to be stored over sleep and power loss.
    #[must_use]
    pub fn latched(&self) -> DiagnosisSet {
        self.collect(|case, latch| case.detected && latch == Latch::Service)
    }

    /// Time passes, before the reports of a step.
    pub const fn advance(&mut self, dt_ms: u16) {
        self.now_ms = self.now_ms.wrapping_add(dt_ms as u32);
        self.dt_ms = dt_ms;
    }

    /// A monitor saw that a condition holds (with what it found) or that it does not (`None`).
    pub fn report(&mut self, id: Diagnosis, finding: Option<Finding>) {
        let (dt_ms, now_ms) = (self.dt_ms, self.now_ms);
        let entry = id.entry();
        let Some(case) = self.cases.get_mut(id as usize) else { return };
        case.active = finding.is_some();
        let whole_ms = entry.debounce_ms.saturating_add(entry.delay_ms);
        let Some(finding) = finding else {
            // What is certain and does not end by itself is answered, even if it hides meanwhile.
            if case.detected && !case.reacting && entry.latch != Latch::None {
                case.held_ms = case.held_ms.saturating_add(dt_ms).min(whole_ms);
                case.reacting = case.held_ms >= whole_ms;
                return;
            }
            case.held_ms = case.held_ms.saturating_sub(dt_ms);
            let ended = case.held_ms == 0 && entry.latch == Latch::None;
            if ended {
                (case.detected, case.reacting) = (false, false);
            }
            return;
        };
        case.held_ms = case.held_ms.saturating_add(dt_ms).min(whole_ms);
        if !case.detected {
            case.finding = finding;
            case.detected = case.held_ms >= entry.debounce_ms;
            case.time_ms = now_ms;
        }
        case.reacting |= case.held_ms >= whole_ms;
    }

    /// How far a diagnosis is.
    #[must_use]
    pub fn status(&self, id: Diagnosis) -> Status {
        self.cases.get(id as usize).map_or(Status::Clear, |case| {
            if case.reacting {
                Status::Reacting
            } else if case.detected {
                Status::Detected
            } else if case.held_ms > 0 || case.active {
                Status::Pending
            } else {
                Status::Clear
            }
        })
    }

    /// A diagnosis of this level is on its way: its condition holds, and it does not react yet.
    #[must_use]
    pub fn coming(&self, level: Level) -> bool {
        self.cases.iter().zip(&TABLE).any(|(case, e)| {
            e.level == level && !case.reacting && (case.detected || case.held_ms > 0 || case.active)
        })
    }

    /// What was found when it was detected.
    #[must_use]
    pub fn detection(&self, id: Diagnosis) -> Option<Detection> {
        let case = self.cases.get(id as usize).filter(|case| case.detected)?;
        Some(Detection { id, finding: case.finding, time_ms: case.time_ms })
    }

    /// All that were detected and not yet ended.
    pub fn detections(&self) -> impl Iterator<Item = Detection> + '_ {
        TABLE.iter().filter_map(|e| self.detection(e.id))
    }

    /// Whether a reaction is asked for by any diagnosis.
    #[must_use]
    pub fn reacts(&self, reaction: Reaction) -> bool {
        self.cases.iter().zip(&TABLE).any(|(case, e)| case.reacting && e.reaction == reaction)
    }

    /// The first diagnosis that asks for a reaction.
    #[must_use]
    pub fn reason(&self, reaction: Reaction) -> Option<Diagnosis> {
        let mut all = self.cases.iter().zip(&TABLE);
        all.find(|(case, e)| case.reacting && e.reaction == reaction).map(|(_, e)| e.id)
    }

    /// The worst level among all that were detected.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.cases.iter().zip(&TABLE).filter(|(case, _)| case.detected).map(|(_, e)| e.level).max()
    }

    /// All that were detected and not yet ended.
    #[must_use]
    pub fn detected(&self) -> DiagnosisSet {
        self.collect(|case, _| case.detected)
    }

    fn collect(&self, member: impl Fn(&Case, Latch) -> bool) -> DiagnosisSet {
        let mut set = DiagnosisSet::default();
        for (case, e) in self.cases.iter().zip(&TABLE) {
            set.set(e.id, member(case, e.latch));
        }
        set
    }

    /// Somebody has taken note: what waits for that and is gone ends.
    pub fn acknowledge(&mut self) {
        self.end(Latch::Acknowledge);
    }

    /// A workshop has repaired the pack: what waits for that and is gone ends.
    pub fn unlock(&mut self) {
        self.end(Latch::Service);
        self.end(Latch::Acknowledge);
    }

    fn end(&mut self, latch: Latch) {
        for (case, e) in self.cases.iter_mut().zip(&TABLE) {
            if e.latch == latch && !case.active && case.held_ms == 0 {
                (case.detected, case.reacting) = (false, false);
            }
        }
    }

    /// Time of its clock in ms.
    #[must_use]
    pub const fn now_ms(&self) -> u32 {
        self.now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Finding = Finding { place: Some(3), value: 1.0, limit: 0.0 };

    fn run(ledger: &mut Ledger, id: Diagnosis, finding: Option<Finding>, steps: usize) {
        for _ in 0..steps {
            ledger.advance(100);
            ledger.report(id, finding);
        }
    }

    #[test]
    fn every_row_goes_through_its_stages_in_its_time_and_ends_as_it_says() {
        for e in &TABLE {
            let mut ledger = Ledger::new();
            let (mut detected_ms, mut reacting_ms) = (None, None);
            for k in 1..=120_u32 {
                run(&mut ledger, e.id, Some(BAD), 1);
                let status = ledger.status(e.id);
                if status >= Status::Detected {
                    detected_ms.get_or_insert(100 * k);
                }
                if status == Status::Reacting {
                    reacting_ms.get_or_insert(100 * k);
                }
            }
            let debounce = u32::from(e.debounce_ms).max(100);
            assert_eq!(detected_ms, Some(debounce), "{}", e.name);
            assert_eq!(reacting_ms, Some(u32::from(e.debounce_ms + e.delay_ms).max(100)), "{}", e.name);
            assert!(ledger.reacts(e.reaction) && ledger.reason(e.reaction) == Some(e.id));
            assert_eq!(ledger.detection(e.id).unwrap().finding, BAD);
            assert_eq!(ledger.level(), Some(e.level));
            // While it lasts nothing ends it.
            ledger.acknowledge();
            ledger.unlock();
            assert_eq!(ledger.status(e.id), Status::Reacting, "{}", e.name);
            run(&mut ledger, e.id, None, 200);
            assert_eq!(ledger.status(e.id) == Status::Clear, e.latch == Latch::None, "{}", e.name);
            ledger.acknowledge();
            assert_eq!(ledger.status(e.id) == Status::Reacting, e.latch == Latch::Service, "{}", e.name);
            assert_eq!(ledger.latched().contains(e.id), e.latch == Latch::Service);
            let kept = Ledger::restore(&ledger.latched());
            assert_eq!(kept.reacts(e.reaction), e.latch == Latch::Service);
            ledger.unlock();
            assert_eq!(ledger.status(e.id), Status::Clear, "{}", e.name);
        }
    }

    #[test]
    fn a_fault_that_flickers_two_thirds_of_the_time_is_detected() {
        let mut ledger = Ledger::new();
        for k in 0..60 {
            run(&mut ledger, Diagnosis::CellVoltageHighFatal, (k % 3 != 0).then_some(BAD), 1);
        }
        assert_eq!(ledger.status(Diagnosis::CellVoltageHighFatal), Status::Reacting);
    }

    /// A current that is stuck agrees again as the true one passes by.
    #[test]
    fn a_latched_fault_that_hides_once_it_is_certain_is_answered() {
        let mut ledger = Ledger::new();
        let id = Diagnosis::CurrentDisagrees;
        let steps = usize::from(id.entry().debounce_ms).div_ceil(100);
        run(&mut ledger, id, Some(BAD), steps);
        assert_eq!(ledger.status(id), Status::Detected);
        run(&mut ledger, id, None, usize::from(id.entry().delay_ms).div_ceil(100));
        assert_eq!(ledger.status(id), Status::Reacting);
        ledger.acknowledge();
        assert_eq!(ledger.status(id), Status::Reacting);
        run(&mut ledger, id, None, 100);
        ledger.acknowledge();
        assert_eq!(ledger.status(id), Status::Clear);
    }

    /// Certain, and over before its delay. Every row with a delay latches (and would be forgotten if it did not).
    #[test]
    fn what_ends_between_detection_and_reaction_is_answered() {
        for e in TABLE.iter().filter(|e| e.delay_ms > 0) {
            assert_ne!(e.latch, Latch::None, "{}", e.name);
            let mut ledger = Ledger::new();
            run(&mut ledger, e.id, Some(BAD), usize::from(e.debounce_ms).div_ceil(100));
            assert_eq!(ledger.status(e.id), Status::Detected, "{}", e.name);
            run(&mut ledger, e.id, None, usize::from(e.delay_ms).div_ceil(100));
            assert_eq!(ledger.status(e.id), Status::Reacting, "{}", e.name);
        }
    }

    #[test]
    fn one_bad_sample_is_not_a_fault() {
        let mut ledger = Ledger::new();
        for k in 0..600 {
            run(&mut ledger, Diagnosis::CellVoltageHighFatal, (k % 10 == 0).then_some(BAD), 1);
            assert!(!ledger.reacts(Reaction::Open) && ledger.level().is_none());
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = DiagnosisSet::default();
        assert!(set.is_empty());
        set.set(Diagnosis::ChargerIgnoresLimit, true);
        set.set(Diagnosis::CellVoltageLowFatal, true);
        set.set(Diagnosis::CellVoltageLowFatal, false);
        assert!(set.iter().eq([Diagnosis::ChargerIgnoresLimit]));
    }

    /// What is on its way has been seen and does not react yet; another level is none of its business.
    #[test]
    fn what_is_on_its_way_is_of_its_level_and_has_not_reacted() {
        let id = Diagnosis::PlusFailsToClose;
        let id = TABLE.iter().find(|e| e.level == Level::Fatal && e.delay_ms > 0).map_or(id, |e| e.id);
        let mut ledger = Ledger::new();
        assert!(!ledger.coming(Level::Fatal) && !ledger.coming(Level::Warning));
        run(&mut ledger, id, Some(BAD), 1);
        assert!(ledger.coming(Level::Fatal) && !ledger.coming(Level::Warning));
        let e = id.entry();
        run(&mut ledger, id, Some(BAD), usize::from(e.debounce_ms + e.delay_ms).div_ceil(100));
        assert_eq!(ledger.status(id), Status::Reacting);
        assert!(!ledger.coming(Level::Fatal));
        // Seen for no time at all it is on its way; seen once and gone it is so until it is forgotten.
        let mut ledger = Ledger::new();
        ledger.report(Diagnosis::CellVoltageHighFatal, Some(BAD));
        assert!(ledger.coming(Level::Fatal), "active alone");
        assert_eq!(ledger.status(Diagnosis::CellVoltageHighFatal), Status::Pending);
        let mut ledger = Ledger::new();
        run(&mut ledger, Diagnosis::CellVoltageHighFatal, Some(BAD), 2);
        run(&mut ledger, Diagnosis::CellVoltageHighFatal, None, 1);
        assert!(ledger.coming(Level::Fatal), "held alone");
        run(&mut ledger, Diagnosis::CellVoltageHighFatal, None, 1);
        assert!(!ledger.coming(Level::Fatal));
        // Detected and hidden it still is.
        let mut ledger = Ledger::new();
        run(&mut ledger, id, Some(BAD), usize::from(e.debounce_ms).div_ceil(100));
        run(&mut ledger, id, None, 1);
        assert!(ledger.coming(Level::Fatal), "detected");
        assert_eq!(ledger.now_ms(), 100 * (u32::from(e.debounce_ms).div_ceil(100) + 1));
    }

    #[test]
    fn a_set_with_something_in_it_is_not_empty() {
        let mut set = DiagnosisSet::default();
        set.set(Diagnosis::LeakyCell, true);
        set.set(Diagnosis::LeakyCell, true);
        assert!(!set.is_empty() && set.contains(Diagnosis::LeakyCell));
        set.set(Diagnosis::LeakyCell, false);
        assert!(set.is_empty());
    }
}
