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
