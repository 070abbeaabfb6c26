//! Contactors and precharge: in which order they close and open, and what their contacts tell.
//!
//! ```text
//! closing:  minus ─► precharge ─► link at the pack's voltage, current small ─► plus ─► precharge opens
//! opening:  limits at zero ─► current small ─► plus ─► minus
//! ```
//!
//! **Opening under current.** Contactors wear by every arc, weld by a large one, and cannot end one that is larger still:
//!
//! | Current | Asked for by the mode | Asked for by a fatal diagnosis |
//! |---|---|---|
//! | up to [`OpeningRules::quiet_a`] | at once | at once |
//! | up to [`ContactorSettings::breaking_a`] | after [`OpeningRules::unload_ms`] | at once |
//! | up to [`OpeningRules::unbreakable_a`], or unknown | not | when the diagnosis' fault-tolerant time is used up |
//! | above | not | not before [`OpeningRules::fuse_ms`]: the fuse has to work |
//!
//! The last row is foxBMS' rule: above the current that contactors can break at all the fuse ends it, and when that has
//! not happened in its time they open anyhow (foxBMS 2 documentation, "BMS module"; from memory).
//!
//! **After a fatal diagnosis** nothing closes again by itself: the diagnoses must be gone and acknowledged (or unlocked by
//! a workshop), and then the pack must be asked for anew.
//!
//! **Welds** show in the auxiliary contacts at any time. Without these, the link's voltage is watched while only the
//! precharge contactor (is minus welded?) and only the minus contactor (is plus welded?) is closed before a precharge.

use super::frame::{CONTACTORS, MINUS, PLUS, PRECHARGE};
use super::ledger::{Finding, Ledger, Status};
use super::settings::{ContactorSettings, SafetySettings};
use super::table::{Diagnosis, PERIOD_MS, Reaction};
use crate::math::{abs, bound};
use crate::measurement::Reading;

const WELDED: [Diagnosis; CONTACTORS] =
    [Diagnosis::PlusWelded, Diagnosis::MinusWelded, Diagnosis::PrechargeWelded];
const FAILS_TO_CLOSE: [Diagnosis; CONTACTORS] =
    [Diagnosis::PlusFailsToClose, Diagnosis::MinusFailsToClose, Diagnosis::PrechargeFailsToClose];

/// Time in ms for which the link is watched for a welded contactor where there are no auxiliary contacts.
const WELD_TEST_MS: u16 = 500;
/// Share of the pack voltage by which a link must rise to show a welded contactor …
const RISEN_SHARE: f32 = 0.25;
/// … and up to which it may be charged at the start of the test; above it the test tells nothing.
const CHARGED_SHARE: f32 = 0.5;
/// A link below this share of the pack voltage is not connected to the pack.
const CONNECTED_SHARE: f32 = 0.8;

/// When contactors may open ([`super::contactors`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpeningRules {
    /// Current in A that wears no contact.
    pub quiet_a: f32,
    /// Time in ms that a load has to bring the current below [`Self::quiet_a`] before it is cut off.
    pub unload_ms: u16,
    /// Current in A that contactors cannot break, not even once.
    pub unbreakable_a: f32,
    /// Longest time in ms that the fuse takes at such a current.
    pub fuse_ms: u16,
}

impl OpeningRules {
    /// For contactors that break `breaking_a` often and four times as much once, behind a fuse that takes half a second
    /// at that.
    #[must_use]
    pub const fn typical(breaking_a: f32) -> Self {
        Self { quiet_a: 0.05 * breaking_a, unload_ms: 2000, unbreakable_a: 4.0 * breaking_a, fuse_ms: 500 }
    }
}

/// How far closing or opening is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Position {
    /// All are told to be open.
    #[default]
    Open,
    /// The precharge contactor alone is closed: does the link stay where it is? Only without auxiliary contacts.
    Testing,
    /// The minus contactor alone is closed.
    ClosingMinus,
    /// The link is charged through the resistor.
    Precharging,
    /// The plus contactor closes beside the resistor.
    ClosingPlus,
    /// Plus and minus are closed.
    Closed,
    /// Limits are at zero; the current has to fall.
    Unloading,
    /// Plus is open, minus follows.
    OpeningMinus,
}

/// What keeps the contactors from closing again after a fatal diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lock {
    /// Nothing.
    #[default]
    Free,
    /// Nobody has acknowledged yet.
    NeedsAcknowledge,
    /// Acknowledged, but still asked for from before: that has to end first.
    NeedsRelease,
}

/// What the contactors are told in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContactorInput {
    /// The mode wants the pack connected.
    pub close: bool,
    /// The vehicle asks for the pack, whatever the mode.
    pub wanted: bool,
    /// Somebody has acknowledged, or a workshop has unlocked, in this step.
    pub acknowledged: bool,
    /// Auxiliary contacts.
    pub closed: [Option<bool>; CONTACTORS],
    /// Pack current in A.
    pub current_a: Reading,
    /// Voltage before the contactors in V.
    pub pack_v: Reading,
    /// Voltage of the link in V.
    pub link_v: Reading,
}

/// The state machine of the contactors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contactors {
    position: Position,
    told_closed: [bool; CONTACTORS],
    /// Time since each was told something else, and since the position changed, in ms.
    since_ms: [u16; CONTACTORS],
    in_position_ms: u16,
    /// Time in ms for which a fatal diagnosis has waited for the current to fall.
    fatal_ms: u32,
    lock: Lock,
    /// An auxiliary contact is closed, or has not been seen since the last step.
    seen_closed: bool,
    /// Voltage of the link at the start of a test for welds; `None` where it is not known or too high to tell.
    link_before_v: Option<f32>,
    /// Precharges whose heat is still in the resistor.
    precharges: f32,
}

impl Default for Contactors {
    fn default() -> Self {
        Self::new(Lock::Free)
    }
}

impl Contactors {
    /// All open.
    #[must_use]
    pub const fn new(lock: Lock) -> Self {
        Self {
            position: Position::Open,
            told_closed: [false; CONTACTORS],
            since_ms: [0; CONTACTORS],
            in_position_ms: 0,
            fatal_ms: 0,
            lock,
            seen_closed: false,
            link_before_v: None,
            precharges: 0.0,
        }
    }

    /// How far closing or opening is.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// What every contactor is told.
    #[must_use]
    pub const fn told_closed(&self) -> [bool; CONTACTORS] {
        self.told_closed
    }

    /// What keeps them from closing.
    #[must_use]
    pub const fn lock(&self) -> Lock {
        self.lock
    }

    /// All have been told to open for long enough, and no contact says otherwise: no current can flow.
    #[must_use]
    pub fn surely_open(&self, settings: &ContactorSettings, ledger: &Ledger) -> bool {
        let detected = |id: &Diagnosis| ledger.status(*id) >= Status::Detected;
        self.position == Position::Open
            && self.since_ms.iter().all(|ms| *ms >= settings.travel_ms)
            && !self.seen_closed
            && !WELDED.iter().any(detected)
            && !detected(&Diagnosis::CurrentWhileOpen)
    }

    /// One step: looks at the contacts, reports to the ledger, and decides what they are told next.
    pub fn step(
        &mut self,
        settings: &SafetySettings,
        rules: &OpeningRules,
        input: &ContactorInput,
        dt_ms: u16,
        ledger: &mut Ledger,
    ) {
        let c = &settings.contactors;
        for ms in self.since_ms.iter_mut().chain([&mut self.in_position_ms]) {
            *ms = ms.saturating_add(dt_ms);
        }
        let cooled = f32::from(dt_ms) / (1000.0 * f32::from(c.cool_down_s.max(1)));
        self.precharges = bound(self.precharges - cooled, 0.0, 1e3);

        self.look_at_contacts(settings, input, ledger);
        self.look_at_link(settings, input, ledger);
        let budget_ms = budget_ms(ledger);
        self.relock(budget_ms.is_some(), input);
        let may_start = self.lock == Lock::Free && !ledger.reacts(Reaction::StayOpen) && budget_ms.is_none();
        let close = input.close && may_start;
        let cool = self.precharges + 1.0 <= f32::from(c.precharges.max(1));
        let hot = Finding { place: None, value: self.precharges, limit: f32::from(c.precharges) };
        let asks = input.close && self.position == Position::Open && !cool;
        ledger.report(Diagnosis::PrechargeTooOften, asks.then_some(hot));

        let done = self.in_position_ms >= c.travel_ms;
        let mut failed = None;
        match self.position {
            Position::Open if close && cool && done => self.start(settings, input),
            Position::Open => {}
            Position::Testing if !close => self.open_all(),
            Position::Testing => {
                if done && self.in_position_ms >= WELD_TEST_MS {
                    self.go_to(Position::ClosingMinus);
                    self.tell([false, true, false]);
                    self.remember_link(input);
                }
            }
            Position::ClosingMinus if !close => self.open_all(),
            Position::ClosingMinus => {
                let tested = settings.fitted.auxiliary_contacts || self.in_position_ms >= WELD_TEST_MS;
                if done && tested && input.closed[MINUS] != Some(false) {
                    self.go_to(Position::Precharging);
                    self.tell([false, true, true]);
                    self.precharges += 1.0;
                }
            }
            Position::Precharging if !close => self.leave(),
            Position::Precharging => {
                if self.precharged(settings, input) {
                    self.go_to(Position::ClosingPlus);
                    self.tell([true, true, true]);
                } else if self.in_position_ms >= c.precharge_ms {
                    failed = Some(Finding {
                        place: None,
                        value: input.link_v.valid().unwrap_or(0.0),
                        limit: c.precharged_share * input.pack_v.valid().unwrap_or(0.0),
                    });
                    // It may have been a short: the resistor is as hot as it may be.
                    self.precharges = f32::from(c.precharges);
                    self.leave();
                }
            }
            Position::ClosingPlus if !close => self.leave(),
            Position::ClosingPlus => {
                if done && input.closed[PLUS] != Some(false) {
                    self.go_to(Position::Closed);
                    self.tell([true, true, false]);
                }
            }
            // What only keeps open contactors open does not open closed ones.
            Position::Closed if !(input.close && self.lock == Lock::Free) => self.leave(),
            Position::Closed | Position::Unloading => {}
            Position::OpeningMinus => {
                if done {
                    self.open_all();
                }
            }
        }
        ledger.report(Diagnosis::PrechargeFailed, failed);
        if failed.is_some() {
            self.lock = Lock::NeedsAcknowledge;
        }
        self.unload(c, rules, input, budget_ms, dt_ms);
    }

    /// Opens what is still closed, as soon as the current allows.
    fn unload(
        &mut self,
        c: &ContactorSettings,
        rules: &OpeningRules,
        input: &ContactorInput,
        budget_ms: Option<u32>,
        dt_ms: u16,
    ) {
        let current_a = input.current_a.valid().map(abs);
        if let Some(budget_ms) = budget_ms {
            if self.position == Position::Open {
                self.fatal_ms = 0;
                return;
            }
            let next_ms = self.fatal_ms.saturating_add(PERIOD_MS.max(u32::from(dt_ms)));
            // Late steps have used up more than the table counts: one that missed the fault, one that saw it.
            let budget_ms = budget_ms.saturating_sub(2 * u32::from(dt_ms).saturating_sub(PERIOD_MS));
            let opens = match current_a {
                Some(a) if a <= c.breaking_a => true,
                Some(a) if a > rules.unbreakable_a => self.fatal_ms >= u32::from(rules.fuse_ms),
                _ => next_ms > budget_ms,
            };
            if opens {
                self.open_all();
            } else if self.position != Position::Unloading {
                self.leave();
            }
            self.fatal_ms = self.fatal_ms.saturating_add(u32::from(dt_ms));
            return;
        }
        self.fatal_ms = 0;
        if self.position != Position::Unloading {
            return;
        }
        let waited = self.in_position_ms >= rules.unload_ms;
        if current_a.is_some_and(|a| a <= rules.quiet_a || (waited && a <= c.breaking_a)) {
            self.go_to(Position::OpeningMinus);
            self.tell([false, true, false]);
        }
    }

    /// Begins to close.
    fn start(&mut self, settings: &SafetySettings, input: &ContactorInput) {
        if settings.fitted.link_voltage && !settings.fitted.auxiliary_contacts {
            self.go_to(Position::Testing);
            self.tell([false, false, true]);
        } else {
            self.go_to(Position::ClosingMinus);
            self.tell([false, true, false]);
        }
        self.remember_link(input);
    }

    fn remember_link(&mut self, input: &ContactorInput) {
        self.link_before_v = match (input.link_v.valid(), input.pack_v.valid()) {
            (Some(link_v), Some(pack_v)) if link_v <= CHARGED_SHARE * pack_v => Some(link_v),
            _ => None,
        };
    }

    /// The link is charged: by its voltage and the current, or, without a measurement of it, by a current that has ended
    /// after the whole time.
    fn precharged(&self, settings: &SafetySettings, input: &ContactorInput) -> bool {
        let c = &settings.contactors;
        let quiet = input.current_a.valid().is_some_and(|a| abs(a) <= c.precharged_a);
        let closed = self.in_position_ms >= c.travel_ms && input.closed[PRECHARGE] != Some(false);
        let charged = if settings.fitted.link_voltage {
            match (input.link_v.valid(), input.pack_v.valid()) {
                (Some(link_v), Some(pack_v)) => pack_v > 0.0 && link_v >= c.precharged_share * pack_v,
                _ => false,
            }
        } else {
            self.in_position_ms >= c.precharge_ms
        };
        quiet && closed && charged
    }

    /// What the auxiliary contacts say, once they had time.
    fn look_at_contacts(&mut self, settings: &SafetySettings, input: &ContactorInput, ledger: &mut Ledger) {
        self.seen_closed = false;
        if !settings.fitted.auxiliary_contacts {
            return;
        }
        let travel_ms = settings.contactors.travel_ms;
        for (k, ((told, since_ms), closed)) in
            self.told_closed.iter().zip(&self.since_ms).zip(&input.closed).enumerate()
        {
            self.seen_closed |= *closed != Some(false);
            let (Some(closed), true) = (*closed, *since_ms > travel_ms) else { continue };
            let differs =
                Finding { place: None, value: u8::from(closed).into(), limit: u8::from(*told).into() };
            let (Some(welded), Some(fails)) = (WELDED.get(k), FAILS_TO_CLOSE.get(k)) else { continue };
            ledger.report(*welded, (closed && !told).then_some(differs));
            ledger.report(*fails, (!closed && *told).then_some(differs));
        }
    }

    /// What the voltage of the link says where there are no auxiliary contacts, and the current with all of them open.
    fn look_at_link(&mut self, settings: &SafetySettings, input: &ContactorInput, ledger: &mut Ledger) {
        let link = (input.link_v.valid(), input.pack_v.valid());
        if settings.fitted.auxiliary_contacts || !settings.fitted.link_voltage {
            return;
        }
        if let ((Some(link_v), Some(pack_v)), Some(before_v)) = (link, self.link_before_v) {
            let limit = before_v + RISEN_SHARE * pack_v;
            let risen = (link_v > limit).then_some(Finding { place: None, value: link_v, limit });
            match self.position {
                Position::Testing => ledger.report(Diagnosis::MinusWelded, risen),
                Position::ClosingMinus => ledger.report(Diagnosis::PlusWelded, risen),
                _ => {}
            }
        }
        match (self.position, link) {
            (Position::Closed, (Some(link_v), Some(pack_v))) => {
                let limit = CONNECTED_SHARE * pack_v;
                let apart = (link_v < limit).then_some(Finding { place: None, value: link_v, limit });
                ledger.report(Diagnosis::PlusFailsToClose, apart);
            }
            // Nothing is told to be closed that could fail to.
            (Position::Open, _) => ledger.report(Diagnosis::PlusFailsToClose, None),
            _ => {}
        }
    }

    /// After a fatal diagnosis: gone, acknowledged, released.
    fn relock(&mut self, fatal: bool, input: &ContactorInput) {
        self.lock = match self.lock {
            _ if fatal => Lock::NeedsAcknowledge,
            Lock::NeedsAcknowledge if input.acknowledged => Lock::NeedsRelease,
            Lock::NeedsRelease if !input.wanted => Lock::Free,
            other => other,
        };
    }

    /// The way to open begins; what is closed stays so until the current allows.
    fn leave(&mut self) {
        self.go_to(Position::Unloading);
    }

    fn open_all(&mut self) {
        self.go_to(Position::Open);
        self.tell([false; CONTACTORS]);
    }

    const fn go_to(&mut self, position: Position) {
        self.position = position;
        self.in_position_ms = 0;
    }

    fn tell(&mut self, told_closed: [bool; CONTACTORS]) {
        for ((since_ms, old), new) in self.since_ms.iter_mut().zip(&self.told_closed).zip(&told_closed) {
            if old != new {
                *since_ms = 0;
            }
        }
        self.told_closed = told_closed;
    }
}

/// Time in ms that all diagnoses that ask for opening leave for the current to fall; `None` if there are none.
fn budget_ms(ledger: &Ledger) -> Option<u32> {
    let reacting =
        |id: Diagnosis| ledger.status(id) == Status::Reacting && id.entry().reaction == Reaction::Open;
    let left = |id: Diagnosis| id.entry().ftti_ms.saturating_sub(id.entry().reaction_time_ms());
    ledger.detections().filter(|d| reacting(d.id)).map(|d| left(d.id)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::safety::settings::Fitted;
    use crate::safety::table::{ACTUATION_MS, TABLE};
    use proptest::prelude::*;
    use std::vec::Vec;

    const DT_MS: u16 = 100;
    const PACK_V: f32 = 400.0;
    const RULES: OpeningRules =
        OpeningRules { quiet_a: 1.0, unload_ms: 1000, unbreakable_a: 100.0, fuse_ms: 600 };

    fn settings() -> SafetySettings {
        example::SAFETY
    }

    fn without_aux() -> SafetySettings {
        SafetySettings { fitted: Fitted { auxiliary_contacts: false, ..settings().fitted }, ..settings() }
    }

    fn without_link() -> SafetySettings {
        SafetySettings {
            fitted: Fitted { auxiliary_contacts: true, link_voltage: false, ..settings().fitted },
            ..settings()
        }
    }

    /// Contactors that can weld or fail, a link of 1 mF behind 50 ohm, a load that takes `load_a` from a connected link.
    #[derive(Debug, Clone, Copy)]
    struct Plant {
        welded: [bool; 3],
        stuck_open: [bool; 3],
        link_v: f32,
        load_a: f32,
        short: bool,
        current_a: f32,
    }

    impl Plant {
        const SOUND: Self = Self {
            welded: [false; 3],
            stuck_open: [false; 3],
            link_v: 0.0,
            load_a: 0.0,
            short: false,
            current_a: 0.0,
        };

        fn closed(&self, told: [bool; 3]) -> [bool; 3] {
            let mut closed = told;
            for k in 0..3 {
                closed[k] = self.welded[k] || (told[k] && !self.stuck_open[k]);
            }
            closed
        }

        fn step(&mut self, told: [bool; 3]) -> [bool; 3] {
            let closed = self.closed(told);
            let [plus, minus, precharge] = closed;
            if minus && plus {
                self.link_v = PACK_V;
                self.current_a = self.load_a;
            } else if minus && precharge {
                // 50 ms time constant, a step of 100 ms.
                let target_v = if self.short { 0.0 } else { PACK_V };
                self.link_v = target_v + (self.link_v - target_v) * 0.135;
                self.current_a = (PACK_V - self.link_v) / 50.0;
            } else {
                self.link_v *= 0.9;
                self.current_a = 0.0;
            }
            closed
        }
    }

    struct Rig {
        settings: SafetySettings,
        contactors: Contactors,
        ledger: Ledger,
        plant: Plant,
        close: bool,
        wanted: bool,
        acknowledge: bool,
        current_known: bool,
        positions: Vec<Position>,
    }

    impl Rig {
        fn new(settings: SafetySettings, plant: Plant) -> Self {
            Self {
                settings,
                contactors: Contactors::default(),
                ledger: Ledger::new(),
                plant,
                close: false,
                wanted: false,
                acknowledge: false,
                current_known: true,
                positions: Vec::new(),
            }
        }

        fn run(&mut self, steps: usize) -> &mut Self {
            self.run_with(steps, &[])
        }

        /// With these diagnoses found in every step.
        fn run_with(&mut self, steps: usize, found: &[Diagnosis]) -> &mut Self {
            for _ in 0..steps {
                let closed = self.plant.step(self.contactors.told_closed());
                self.ledger.advance(DT_MS);
                let bad = Finding { place: None, value: 1.0, limit: 0.0 };
                for id in found {
                    self.ledger.report(*id, Some(bad));
                }
                let amperes = |a| Reading::within(a, -1e4, 1e4);
                let input = ContactorInput {
                    close: self.close,
                    wanted: self.wanted,
                    acknowledged: self.acknowledge,
                    closed: if self.settings.fitted.auxiliary_contacts {
                        closed.map(Some)
                    } else {
                        [None; 3]
                    },
                    current_a: if self.current_known {
                        amperes(self.plant.current_a)
                    } else {
                        Reading::MISSING
                    },
                    pack_v: amperes(PACK_V),
                    link_v: if self.settings.fitted.link_voltage {
                        amperes(self.plant.link_v)
                    } else {
                        Reading::MISSING
                    },
                };
                self.contactors.step(&self.settings, &RULES, &input, DT_MS, &mut self.ledger);
                let position = self.contactors.position();
                if self.positions.last() != Some(&position) {
                    self.positions.push(position);
                }
            }
            self
        }

        fn ask(&mut self, close: bool) -> &mut Self {
            (self.close, self.wanted) = (close, close);
            self
        }

        fn closed(settings: SafetySettings, plant: Plant) -> Self {
            let mut rig = Self::new(settings, plant);
            rig.run(3).ask(true).run(40);
            assert_eq!(rig.contactors.position(), Position::Closed, "{:?}", rig.positions);
            assert_eq!(rig.contactors.told_closed(), [true, true, false]);
            rig
        }

        fn reacts(&self, id: Diagnosis) -> bool {
            self.ledger.status(id) == Status::Reacting
        }

        /// Steps until all are told to open, with these found.
        fn steps_to_open(&mut self, found: &[Diagnosis], most: usize) -> Option<usize> {
            (0..most).find(|_| self.run_with(1, found).contactors.told_closed() == [false; 3])
        }
    }

    use Position::{Closed, ClosingMinus, ClosingPlus, Open, OpeningMinus, Precharging, Testing, Unloading};

    #[test]
    fn they_close_and_open_in_their_order() {
        for (settings, first) in
            [(settings(), ClosingMinus), (without_aux(), Testing), (without_link(), ClosingMinus)]
        {
            let mut rig = Rig::closed(settings, Plant::SOUND);
            let way: Vec<_> = [Open, Testing, ClosingMinus, Precharging, ClosingPlus, Closed]
                .into_iter()
                .filter(|p| *p != Testing || first == Testing)
                .collect();
            assert_eq!(rig.positions, way);
            assert!(rig.ledger.detections().next().is_none());
            assert!(!rig.contactors.surely_open(&settings.contactors, &rig.ledger));
            rig.positions.clear();
            rig.ask(false).run(10);
            assert_eq!(rig.positions, [OpeningMinus, Open]);
            assert!(rig.contactors.surely_open(&settings.contactors, &rig.ledger));
            assert!(rig.ledger.detections().next().is_none());
        }
    }

    /// Plus never closes on a link that is not charged: with the RC of the plant the inrush stays below 5 % of the voltage.
    #[test]
    fn plus_closes_on_a_charged_link_only() {
        for settings in [settings(), without_aux()] {
            let mut rig = Rig::new(settings, Plant::SOUND);
            rig.run(3).ask(true);
            let closes = (0..60).any(|_| rig.run(1).contactors.told_closed()[PLUS]);
            assert!(closes && rig.plant.link_v >= settings.contactors.precharged_share * PACK_V);
        }
    }

    #[test]
    fn current_decides_when_they_open() {
        let breaking_a = settings().contactors.breaking_a;
        // (load, steps with the mode's wish)
        for (load_a, expected) in [(0.5, Some(1)), (10.0, Some(10)), (breaking_a + 1.0, None), (-200.0, None)]
        {
            let mut rig = Rig::closed(settings(), Plant { load_a, ..Plant::SOUND });
            rig.ask(false);
            let opened = (1..60).find(|_| !rig.run(1).contactors.told_closed()[PLUS]);
            assert_eq!(opened.is_some(), expected.is_some(), "{load_a} A");
            if let (Some(steps), Some(most)) = (opened, expected) {
                assert!(steps <= most + 1, "{load_a} A: {steps}");
            }
            // The load gives in at last.
            rig.plant.load_a = 0.0;
            rig.run(10);
            assert_eq!(rig.contactors.position(), Open);
        }
    }

    #[test]
    fn a_load_that_is_asked_for_again_has_to_wait_for_open_contactors() {
        let mut rig = Rig::closed(settings(), Plant { load_a: 10.0, ..Plant::SOUND });
        rig.ask(false).run(2).ask(true).run(40);
        assert_eq!(rig.contactors.position(), Closed);
        assert!(rig.positions.windows(2).any(|w| w == [OpeningMinus, Open]));
    }

    #[test]
    fn a_fatal_diagnosis_opens_within_its_fault_tolerant_time() {
        // Those of the contactors themselves are seen by the state machine, not injected.
        let own = Diagnosis::PlusWelded as u8..=Diagnosis::PrechargeTooOften as u8;
        for e in TABLE.iter().filter(|e| e.reaction == Reaction::Open && !own.contains(&(e.id as u8))) {
            let id = e.id;
            for (load_a, known) in [(5.0, true), (50.0, true), (50.0, false)] {
                let mut rig = Rig::closed(settings(), Plant { load_a, ..Plant::SOUND });
                rig.current_known = known;
                let mut ms = 0;
                while rig.contactors.told_closed() != [false; 3] {
                    rig.run_with(1, &[id]);
                    ms += u32::from(DT_MS);
                    assert!(ms < 200_000, "{}", e.name);
                }
                // The first sample came up to 100 ms after the fault, the last one opens; then the contactor has to move.
                let reaction_ms = ms + ACTUATION_MS;
                assert!(reaction_ms <= e.ftti_ms, "{}: {reaction_ms} ms at {load_a} A", e.name);
                if load_a < 10.0 {
                    assert!(reaction_ms <= e.reaction_time_ms(), "{}: {reaction_ms} ms", e.name);
                }
                assert_eq!(rig.contactors.position(), Open);
            }
        }
    }

    /// Above what contactors can break the fuse has its time; a fuse that does not work is not waited for for ever.
    #[test]
    fn the_fuse_ends_what_contactors_cannot() {
        let pulse = [Diagnosis::DischargePulseFatal];
        let mut rig = Rig::closed(settings(), Plant { load_a: 150.0, ..Plant::SOUND });
        rig.steps_to_open(&[], 1);
        while !rig.ledger.reacts(Reaction::Open) {
            rig.run_with(1, &pulse);
        }
        let steps = rig.steps_to_open(&pulse, 60).unwrap();
        assert_eq!(steps + 1, usize::from(RULES.fuse_ms / DT_MS), "after the fuse's time");
        // A fuse that works lets them open at once.
        let mut rig = Rig::closed(settings(), Plant { load_a: 150.0, ..Plant::SOUND });
        while !rig.ledger.reacts(Reaction::Open) {
            rig.run_with(1, &pulse);
        }
        assert_eq!(rig.contactors.position(), Unloading);
        rig.plant.load_a = 0.0;
        assert_eq!(rig.steps_to_open(&[], 5), Some(0));
    }

    #[test]
    fn nothing_closes_again_by_itself_after_a_fatal_diagnosis() {
        let fault = [Diagnosis::InterlockOpen];
        let mut rig = Rig::closed(settings(), Plant::SOUND);
        rig.run_with(5, &fault);
        assert_eq!((rig.contactors.position(), rig.contactors.lock()), (Open, Lock::NeedsAcknowledge));
        // The fault goes, the wish stays, and somebody acknowledges: still open.
        let gone = |rig: &mut Rig| {
            for _ in 0..20 {
                rig.ledger.report(Diagnosis::InterlockOpen, None);
                rig.run(1);
            }
        };
        gone(&mut rig);
        rig.ledger.acknowledge();
        rig.acknowledge = true;
        rig.run(1);
        rig.acknowledge = false;
        rig.run(50);
        assert_eq!((rig.contactors.position(), rig.contactors.lock()), (Open, Lock::NeedsRelease));
        // Only a new request closes.
        rig.ask(false).run(1);
        assert_eq!(rig.contactors.lock(), Lock::Free);
        rig.ask(true).run(40);
        assert_eq!(rig.contactors.position(), Closed);
    }

    #[test]
    fn an_acknowledgement_while_the_fault_lasts_is_none() {
        let mut rig = Rig::closed(settings(), Plant::SOUND);
        rig.acknowledge = true;
        rig.run_with(5, &[Diagnosis::InterlockOpen]);
        rig.ask(false).run(3).ask(true).run_with(30, &[Diagnosis::InterlockOpen]);
        assert_eq!((rig.contactors.position(), rig.contactors.lock()), (Open, Lock::NeedsAcknowledge));
    }

    #[test]
    fn welds_are_found_by_auxiliary_contacts() {
        for (k, id) in WELDED.into_iter().enumerate() {
            let mut rig = Rig::closed(settings(), Plant::SOUND);
            rig.plant.welded[k] = true;
            rig.ask(false).run(12);
            assert!(rig.reacts(id), "{id:?}");
            assert!(!rig.contactors.surely_open(&rig.settings.contactors, &rig.ledger));
            rig.ask(true).run(40);
            assert_eq!(rig.contactors.told_closed(), [false; 3]);
        }
    }

    /// Long before a weld is certain, and where a contact is not read at all.
    #[test]
    fn a_contact_that_may_be_closed_is_not_surely_open() {
        let mut rig = Rig::new(settings(), Plant::SOUND);
        rig.run(5);
        assert!(rig.contactors.surely_open(&rig.settings.contactors, &rig.ledger));
        rig.plant.welded[PLUS] = true;
        rig.run(1);
        assert!(rig.ledger.detections().next().is_none());
        assert!(!rig.contactors.surely_open(&rig.settings.contactors, &rig.ledger));
    }

    #[test]
    fn contactors_that_do_not_close_are_found() {
        for (k, id) in FAILS_TO_CLOSE.into_iter().enumerate() {
            let mut rig =
                Rig::new(settings(), Plant { stuck_open: [k == 0, k == 1, k == 2], ..Plant::SOUND });
            rig.run(3).ask(true).run(30);
            assert!(rig.reacts(id), "{id:?} {:?}", rig.positions);
            assert_eq!(rig.contactors.told_closed(), [false; 3]);
            assert!(!rig.positions.contains(&Closed));
            // Gone with the contactor open: an acknowledgement ends it.
            rig.ledger.acknowledge();
            assert!(!rig.reacts(id));
        }
        // One that falls open by itself.
        let mut rig = Rig::closed(settings(), Plant::SOUND);
        rig.plant.stuck_open[MINUS] = true;
        rig.run(10);
        assert!(rig.reacts(Diagnosis::MinusFailsToClose));
    }

    #[test]
    fn welds_are_found_by_the_link_where_there_are_no_auxiliary_contacts() {
        for (k, id) in [
            (PLUS, Diagnosis::PlusWelded),
            (MINUS, Diagnosis::MinusWelded),
            (PRECHARGE, Diagnosis::PlusWelded),
        ] {
            let mut welded = [false; 3];
            welded[k] = true;
            let mut rig = Rig::new(without_aux(), Plant { welded, ..Plant::SOUND });
            rig.run(3).ask(true).run(40);
            assert!(rig.reacts(id), "{k} {:?}", rig.positions);
            assert!(!rig.positions.contains(&Closed) && rig.contactors.position() == Open);
        }
    }

    #[test]
    fn a_plus_contactor_that_stays_open_shows_in_the_link() {
        let mut rig = Rig::new(without_aux(), Plant { stuck_open: [true, false, false], ..Plant::SOUND });
        rig.run(3).ask(true).run(60);
        assert!(rig.reacts(Diagnosis::PlusFailsToClose), "{:?}", rig.positions);
        assert_eq!(rig.contactors.told_closed(), [false; 3]);
        rig.ledger.acknowledge();
        assert!(!rig.reacts(Diagnosis::PlusFailsToClose));
    }

    /// A link that is still charged from before tells nothing about welds, and does not keep the pack from closing.
    #[test]
    fn a_charged_link_is_no_weld() {
        let mut rig = Rig::closed(without_aux(), Plant::SOUND);
        rig.ask(false).run(4).ask(true).run(60);
        assert_eq!(rig.contactors.position(), Closed);
        assert!(rig.ledger.detections().next().is_none());
    }

    #[test]
    fn a_precharge_that_does_not_come_up_fails_and_needs_a_cool_resistor() {
        for (name, plant) in [
            ("short", Plant { short: true, ..Plant::SOUND }),
            ("minus", Plant { stuck_open: [false, true, false], ..Plant::SOUND }),
        ] {
            let mut rig = Rig::new(without_aux(), plant);
            rig.run(3).ask(true).run(60);
            assert!(rig.reacts(Diagnosis::PrechargeFailed), "{name}");
            assert_eq!(rig.contactors.lock(), Lock::NeedsAcknowledge);
            rig.plant = Plant::SOUND;
            rig.ledger.acknowledge();
            rig.acknowledge = true;
            rig.run(1).acknowledge = false;
            rig.ask(false).run(2).ask(true).run(20);
            assert!(rig.reacts(Diagnosis::PrechargeTooOften), "{name}");
            assert_eq!(rig.contactors.position(), Open);
            // One precharge of them is forgotten in `cool_down_s`.
            rig.run(10 * usize::from(rig.settings.contactors.cool_down_s) + 40);
            assert_eq!(rig.contactors.position(), Closed, "{name}");
            assert!(!rig.reacts(Diagnosis::PrechargeTooOften));
        }
    }

    #[test]
    fn precharges_in_a_row_are_counted() {
        let mut rig = Rig::new(settings(), Plant::SOUND);
        rig.run(3);
        let mut closed = 0;
        for _ in 0..20 {
            rig.ask(true).run(20);
            closed += u8::from(rig.contactors.position() == Closed);
            rig.ask(false).run(20);
        }
        // Five, and one more for every minute of the 80 s.
        let precharges = rig.settings.contactors.precharges;
        assert!((precharges..=precharges + 2).contains(&closed), "{closed}");
    }

    #[test]
    fn what_is_no_longer_asked_for_on_the_way_opens_again() {
        for steps in 1..20 {
            for settings in [settings(), without_aux()] {
                let mut rig = Rig::new(settings, Plant::SOUND);
                rig.run(3).ask(true).run(steps).ask(false).run(40);
                assert_eq!(rig.contactors.position(), Open, "{steps}");
                assert!(rig.ledger.detections().next().is_none());
                // … and by a diagnosis that only keeps open what is open.
                let mut rig = Rig::new(settings, Plant::SOUND);
                rig.run(3).ask(true).run(steps);
                let was_closed = rig.contactors.position() == Closed;
                rig.run_with(10, &[Diagnosis::SelfTestFailed]);
                assert_eq!(rig.contactors.position() == Closed, was_closed, "{steps} {:?}", rig.positions);
            }
        }
    }

    #[test]
    fn without_a_measured_link_the_current_has_to_end() {
        let mut rig = Rig::new(without_link(), Plant { short: true, ..Plant::SOUND });
        rig.run(3).ask(true).run(40);
        assert!(rig.reacts(Diagnosis::PrechargeFailed) && !rig.positions.contains(&Closed));
    }

    proptest! {
        /// Any bits: plus and minus are never told to close while a diagnosis asks to open and the current may be broken,
        /// and plus closes only in [`Position::ClosingPlus`].
        #[test]
        fn whatever_is_read_the_order_holds(
            steps in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u16>(), any::<u8>()), 1..200),
            aux: bool, link: bool,
        ) {
            let fitted = Fitted { auxiliary_contacts: aux, link_voltage: link, ..settings().fitted };
            let settings = SafetySettings { fitted, ..settings() };
            let (mut c, mut ledger) = (Contactors::default(), Ledger::new());
            for (bits, i, pack, link, dt_ms, fault) in steps {
                let bit = |k: u8| bits >> k & 1 == 1;
                let read = |x: u32, k: u8| {
                    let x = if bit(k) { f32::from_bits(x) } else { (x % 4000) as f32 / 10.0 };
                    Reading::within(x, -1e3, 1e3)
                };
                let input = ContactorInput {
                    close: bit(0), wanted: bit(1), acknowledged: bit(2),
                    closed: [bit(3).then_some(bit(4)), bit(4).then_some(bit(5)), None],
                    current_a: read(i, 5), pack_v: read(pack, 6), link_v: read(link, 7),
                };
                ledger.advance(dt_ms % 500);
                let bad = (fault % 4 == 0).then_some(Finding { place: None, value: 1.0, limit: 0.0 });
                ledger.report(Diagnosis::InterlockOpen, bad);
                if fault % 5 == 0 {
                    ledger.acknowledge();
                }
                let before = c;
                c.step(&settings, &RULES, &input, dt_ms % 500, &mut ledger);
                let [plus, minus, precharge] = c.told_closed();
                let [was_plus, was_minus, was_precharge] = before.told_closed();
                let fatal = ledger.reacts(Reaction::Open) && !ledger.reacts(Reaction::StayOpen);
                if fatal {
                    // Nothing closes that was open.
                    prop_assert!(plus <= was_plus && minus <= was_minus && precharge <= was_precharge);
                }
                if plus && !was_plus {
                    prop_assert_eq!(before.position(), Position::Precharging);
                }
                if minus && !was_minus || precharge && !was_precharge {
                    prop_assert_eq!(before.lock() == Lock::NeedsAcknowledge && !input.acknowledged, false);
                }
                prop_assert!(c.precharges >= 0.0 && c.precharges <= 1e3);
            }
        }
    }

    /// At a position for so long (ms), seen from inside.
    fn at(position: Position, told_closed: [bool; 3], in_position_ms: u16) -> Contactors {
        Contactors {
            position,
            told_closed,
            in_position_ms,
            since_ms: [1000; 3],
            ..Contactors::new(Lock::Free)
        }
    }

    fn measured(current_a: f32, link_v: f32) -> ContactorInput {
        let volts = |v| Reading::within(v, -1000.0, 1000.0);
        ContactorInput {
            close: true,
            wanted: true,
            acknowledged: false,
            closed: [None; 3],
            current_a: volts(current_a),
            pack_v: volts(PACK_V),
            link_v: volts(link_v),
        }
    }

    /// A ledger in which this diagnosis reacts.
    fn reacting(id: Diagnosis) -> Ledger {
        let mut ledger = Ledger::new();
        for _ in 0..200 {
            ledger.advance(1000);
            ledger.report(id, Some(Finding { place: None, value: 1.0, limit: 0.0 }));
        }
        ledger
    }

    #[test]
    fn typical_rules_are_what_they_say() {
        let rules = OpeningRules { quiet_a: 1.0, unload_ms: 2000, unbreakable_a: 80.0, fuse_ms: 500 };
        assert_eq!(OpeningRules::typical(20.0), rules);
    }

    /// A fatal diagnosis opens at once what the contactors can break, leaves to the fuse what they cannot, and waits for the
    /// rest as long as its time allows; late steps take from that.
    #[test]
    fn a_fatal_fault_opens_by_the_current() {
        let breaking_a = settings().contactors.breaking_a;
        let slow = TABLE
            .iter()
            .filter(|e| e.reaction == Reaction::Open)
            .max_by_key(|e| e.ftti_ms - e.reaction_time_ms());
        let slow = slow.unwrap();
        let left_ms = slow.ftti_ms - slow.reaction_time_ms();
        // What opens in one step of a fault that has lasted for so long.
        let opens = |current_a: f32, fatal_ms: u32, dt_ms: u16| {
            let mut c = Contactors { fatal_ms, ..at(Position::Closed, [true, true, false], 1000) };
            c.step(&settings(), &RULES, &measured(current_a, PACK_V), dt_ms, &mut reacting(slow.id));
            assert!(c.position == Position::Open || c.position == Position::Unloading);
            c.position == Position::Open
        };
        assert!(left_ms > 2000, "{left_ms}");
        assert!(opens(breaking_a, 0, 100) && !opens(1.01 * breaking_a, 0, 100));
        assert!(!opens(100.0, 600, 100) && !opens(-100.0, 600, 100), "the fuse takes more than 100 A");
        assert!(!opens(101.0, 599, 100) && opens(101.0, 600, 100) && opens(-101.0, 600, 100));
        assert!(!opens(50.0, left_ms - 100, 100) && opens(50.0, left_ms - 99, 100));
        // 300 ms instead of 100: 200 ms sooner, twice, and the step itself.
        assert!(!opens(50.0, left_ms - 700, 300) && opens(50.0, left_ms - 699, 300));
        // What unloads already goes on doing so.
        let mut c = Contactors { fatal_ms: 0, ..at(Position::Unloading, [true, true, false], 700) };
        c.step(&settings(), &RULES, &measured(50.0, PACK_V), 100, &mut reacting(slow.id));
        assert_eq!((c.position, c.in_position_ms), (Position::Unloading, 800));
    }

    /// Nobody asks any more: it opens when it is quiet, or when it has waited and the contactors can break it.
    #[test]
    fn a_pack_that_is_not_asked_for_waits_for_the_current() {
        let breaking_a = settings().contactors.breaking_a;
        let opens = |current_a: f32, waited_ms: u16| {
            let mut c = at(Position::Unloading, [true, true, false], waited_ms - 100);
            let input = ContactorInput { close: false, ..measured(current_a, PACK_V) };
            c.step(&settings(), &RULES, &input, 100, &mut Ledger::new());
            c.position == Position::OpeningMinus
        };
        assert!(opens(1.0, 100) && !opens(1.01, 100) && opens(-1.0, 100));
        assert!(!opens(breaking_a, 900) && opens(breaking_a, 1000) && !opens(1.01 * breaking_a, 5000));
    }

    /// Closing is given up as soon as nobody wants it; a failed precharge says what the link should have had.
    #[test]
    fn closing_is_given_up_and_a_failed_precharge_is_told() {
        let mut c = at(Position::ClosingMinus, [false, true, false], 0);
        let input = ContactorInput { close: false, ..measured(0.0, 0.0) };
        c.step(&settings(), &RULES, &input, 100, &mut Ledger::new());
        assert_eq!((c.position, c.told_closed), (Position::Open, [false; 3]));
        // A link that is charged in that moment is not connected any more.
        for told_closed in [[false, true, true], [true, true, true]] {
            let position = if told_closed[PLUS] { Position::ClosingPlus } else { Position::Precharging };
            let mut c = at(position, told_closed, 1000);
            let input = ContactorInput { close: false, ..measured(0.0, PACK_V) };
            c.step(&settings(), &RULES, &input, 100, &mut Ledger::new());
            assert_eq!((c.position, c.told_closed), (Position::OpeningMinus, [false, true, false]));
        }
        let c = settings().contactors;
        let mut ledger = Ledger::new();
        ledger.advance(100);
        at(Position::Precharging, [false, true, true], c.precharge_ms).step(
            &settings(),
            &RULES,
            &measured(2.0 * c.precharged_a, 100.0),
            100,
            &mut ledger,
        );
        let found = ledger.detection(Diagnosis::PrechargeFailed).expect("failed").finding;
        assert_eq!((found.value, found.limit), (100.0, c.precharged_share * PACK_V));
    }

    /// The link counts as charged at its share of the pack voltage, without a current, with time for the contactor; where it
    /// is not measured, after the whole time.
    #[test]
    fn a_link_is_charged_at_its_share() {
        let c = settings().contactors;
        let charged = |settings: &SafetySettings, ms: u16, input: ContactorInput| {
            at(Position::Precharging, [false, true, true], ms).precharged(settings, &input)
        };
        let edge_v = c.precharged_share * PACK_V;
        let aux = settings();
        assert!(charged(&aux, c.travel_ms, measured(0.0, edge_v + 0.1)));
        assert!(!charged(&aux, c.travel_ms, measured(0.0, edge_v - 0.1)));
        assert!(!charged(&aux, c.travel_ms - 1, measured(0.0, edge_v + 0.1)));
        assert!(charged(&aux, c.travel_ms, measured(-c.precharged_a, edge_v + 0.1)));
        assert!(!charged(&aux, c.travel_ms, measured(1.01 * c.precharged_a, edge_v + 0.1)));
        let none = ContactorInput { pack_v: Reading::within(0.0, 0.0, 1.0), ..measured(0.0, 0.0) };
        assert!(!charged(&aux, c.travel_ms, none));
        let blind = without_link();
        assert!(charged(&blind, c.precharge_ms, measured(0.0, f32::NAN)));
        assert!(!charged(&blind, c.precharge_ms - 1, measured(0.0, f32::NAN)));
    }

    /// Without auxiliary contacts a weld shows in a link that rises by a quarter of the pack voltage, if it was at most half full;
    /// a plus contactor that fails shows in a link below 80 %.
    #[test]
    fn the_link_tells_of_welds_and_failures() {
        let s = without_aux();
        let look = |settings: &SafetySettings, position: Position, before_v: f32, link_v: f32| {
            let mut c = at(position, [false; 3], 0);
            c.remember_link(&measured(0.0, before_v));
            let mut ledger = Ledger::new();
            ledger.advance(100);
            c.look_at_link(settings, &measured(0.0, link_v), &mut ledger);
            [Diagnosis::MinusWelded, Diagnosis::PlusWelded, Diagnosis::PlusFailsToClose]
                .map(|id| ledger.status(id) > Status::Clear)
        };
        let none = [false; 3];
        for (position, found) in
            [(Position::Testing, [true, false, false]), (Position::ClosingMinus, [false, true, false])]
        {
            assert_eq!(look(&s, position, 40.0, 140.0), none);
            assert_eq!(look(&s, position, 40.0, 141.0), found);
            assert_eq!(look(&s, position, 200.0, 301.0), found);
            assert_eq!(look(&s, position, 201.0, 400.0), none, "too full to tell");
            assert_eq!(look(&settings(), position, 40.0, 400.0), none, "contacts tell");
            assert_eq!(look(&without_link(), position, 40.0, 400.0), none, "nothing is measured");
        }
        assert_eq!(look(&s, Position::Closed, 0.0, 0.8 * PACK_V), none);
        assert_eq!(look(&s, Position::Closed, 0.0, 319.0), [false, false, true]);
        let mut neither = without_aux();
        neither.fitted.link_voltage = false;
        assert_eq!(look(&neither, Position::Closed, 0.0, 0.0), none);
    }

    /// Contacts are looked at once they had time, counted from the last change of what they were told.
    #[test]
    fn contacts_have_their_time() {
        let travel_ms = settings().contactors.travel_ms;
        let looks = |since_ms: u16| {
            let mut c =
                Contactors { since_ms: [since_ms; 3], ..at(Position::Closed, [true, true, false], 1000) };
            let mut ledger = Ledger::new();
            ledger.advance(100);
            let closed = [Some(false), Some(true), Some(true)];
            c.look_at_contacts(&settings(), &ContactorInput { closed, ..measured(0.0, PACK_V) }, &mut ledger);
            [Diagnosis::PlusFailsToClose, Diagnosis::PrechargeWelded]
                .map(|id| ledger.status(id) > Status::Clear)
        };
        assert_eq!((looks(travel_ms), looks(travel_ms + 1)), ([false; 2], [true; 2]));
        let mut c = Contactors { since_ms: [700, 800, 900], ..at(Position::Closed, [true, true, false], 0) };
        c.tell([true, true, true]);
        assert_eq!(c.since_ms, [700, 800, 0]);
    }
}
