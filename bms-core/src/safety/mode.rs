//! What the whole pack is doing: operating states and when one follows another.
//!
//! [`TRANSITIONS`] is the machine: in each step the first row of the present mode whose condition holds is gone. The diagram
//! and the table in `docs/states.md` are made from it, which a test checks.

use super::contactors::{Lock, Position};
use crate::charging::ChargeMode;

/// What the vehicle, or whatever the pack serves, asks for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Wish {
    /// To be switched off.
    Sleep,
    /// To be ready, contactors open.
    #[default]
    Standby,
    /// Power out and in.
    Drive,
    /// Connected as in a drive, at standstill: for the pack's own machines and whatever else feeds on it.
    Idle,
    /// A charge up to a SOC (fraction) of the fullest cell; 1 for a full one.
    Charge {
        /// How.
        mode: ChargeMode,
        /// Where to stop.
        target_soc: f32,
    },
    /// Warm cells in so many seconds; 0 for as fast as possible.
    Preheat {
        /// Core temperature in degC that the coldest cell is to reach.
        target_c: f32,
        /// Time that is left in s.
        time_left_s: f32,
        /// Keep them warm then.
        hold: bool,
    },
    /// Balancing with open contactors.
    Balance,
}

impl Wish {
    /// It needs closed contactors.
    #[must_use]
    pub const fn connects(&self) -> bool {
        matches!(self, Self::Drive | Self::Idle | Self::Charge { .. } | Self::Preheat { .. })
    }
}

/// What the pack is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Power has come; nothing is known yet.
    #[default]
    Initialise = 0,
    /// Memory, check sums and contactors are tested.
    SelfTest = 1,
    /// Ready, contactors open.
    Standby = 2,
    /// Contactors close.
    Precharge = 3,
    /// Power out and in.
    Drive = 4,
    /// On a charger.
    Charge = 5,
    /// Warmed with closed contactors.
    Preheat = 6,
    /// Balanced with open contactors.
    Balance = 7,
    /// The current falls and contactors open.
    Opening = 8,
    /// A fatal diagnosis reacts, or has not been acknowledged.
    Error = 9,
    /// Off but for the clock.
    Sleep = 10,
    /// Awake again; the self-test follows.
    WakeUp = 11,
}

impl Mode {
    /// All modes in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Initialise,
        Self::SelfTest,
        Self::Standby,
        Self::Precharge,
        Self::Drive,
        Self::Charge,
        Self::Preheat,
        Self::Balance,
        Self::Opening,
        Self::Error,
        Self::Sleep,
        Self::WakeUp,
    ];

    /// Its number for a bus or a log.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The contactors are to be closed or to stay so.
    #[must_use]
    pub const fn connects(self) -> bool {
        matches!(self, Self::Precharge) || self.works()
    }

    /// Current may flow.
    #[must_use]
    pub const fn works(self) -> bool {
        matches!(self, Self::Drive | Self::Charge | Self::Preheat)
    }
}

/// What decides on the next mode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// What is asked for.
    pub wish: Wish,
    /// A frame has come in.
    pub frame: bool,
    /// How the self-test ended; `None` while it runs.
    pub self_test: Option<bool>,
    /// Where the contactors are.
    pub position: Position,
    /// What keeps them from closing.
    pub lock: Lock,
    /// A fatal diagnosis reacts.
    pub fault: bool,
    /// The condition of a fatal diagnosis holds that does not react yet.
    pub coming: bool,
    /// A thermal event goes on: somebody has to be warned.
    pub alarm: bool,
    /// A charger is plugged in.
    pub plugged_in: bool,
}

impl Facts {
    /// Which working mode the wish leads to; nobody drives off with a plug in.
    const fn wanted(&self) -> Option<Mode> {
        match self.wish {
            Wish::Drive if self.plugged_in => None,
            Wish::Drive | Wish::Idle => Some(Mode::Drive),
            Wish::Charge { .. } => Some(Mode::Charge),
            Wish::Preheat { .. } => Some(Mode::Preheat),
            Wish::Sleep | Wish::Standby | Wish::Balance => None,
        }
    }

    fn wants(&self, mode: Mode) -> bool {
        self.wanted() == Some(mode)
    }

    /// Of the fault, and of what must be done after it.
    fn broken(&self) -> bool {
        self.fault || self.lock == Lock::NeedsAcknowledge
    }
}

/// One row of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Transition {
    /// Mode that is left.
    pub from: Mode,
    /// Mode that follows.
    pub to: Mode,
    /// Condition in words.
    pub when: &'static str,
    holds: fn(&Facts) -> bool,
}

impl Transition {
    const fn new(from: Mode, to: Mode, when: &'static str, holds: fn(&Facts) -> bool) -> Self {
        Self { from, to, when, holds }
    }

    /// Its condition holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts) -> bool {
        (self.holds)(facts)
    }
}

const FAULT: &str = "a fatal diagnosis reacts, or was not acknowledged";
const FAULT_HOLDS: fn(&Facts) -> bool = |f| f.broken();
const UNWANTED: &str = "the pack is no longer asked for";
const UNWANTED_HOLDS: fn(&Facts) -> bool = |f| f.wanted().is_none();
const DRIVE: &str = "drive is asked for, no charger plugged in";
const DRIVE_HOLDS: fn(&Facts) -> bool = |f| f.wants(Mode::Drive);
const CHARGE: &str = "a charge is asked for";
const CHARGE_HOLDS: fn(&Facts) -> bool = |f| f.wants(Mode::Charge);
const PREHEAT: &str = "preheating is asked for";
const PREHEAT_HOLDS: fn(&Facts) -> bool = |f| f.wants(Mode::Preheat);

/// The machine: the first row of the present mode whose condition holds.
pub const TRANSITIONS: [Transition; 33] = {
    use Mode::{
        Balance, Charge, Drive, Error, Initialise, Opening, Precharge, Preheat, SelfTest, Sleep, Standby,
        WakeUp,
    };
    use Transition as T;
    [
        T::new(Initialise, SelfTest, "a frame has come in", |f| f.frame),
        T::new(SelfTest, Error, "the self-test has failed, or a fatal diagnosis reacts", |f| {
            f.self_test == Some(false) || f.broken()
        }),
        T::new(SelfTest, Standby, "the self-test has passed", |f| f.self_test == Some(true)),
        T::new(Standby, Error, FAULT, FAULT_HOLDS),
        T::new(
            Standby,
            Precharge,
            "drive (no charger plugged in), charge or preheating is asked for, anew after a fault; no fatal diagnosis is on its way",
            |f| f.wanted().is_some() && f.lock == Lock::Free && !f.coming,
        ),
        T::new(Standby, Balance, "balancing is asked for", |f| f.wish == Wish::Balance),
        T::new(Standby, Sleep, "sleep is asked for", |f| f.wish == Wish::Sleep),
        T::new(Balance, Error, FAULT, FAULT_HOLDS),
        T::new(Balance, Standby, "balancing is no longer asked for", |f| f.wish != Wish::Balance),
        T::new(Precharge, Error, FAULT, FAULT_HOLDS),
        T::new(Precharge, Opening, UNWANTED, UNWANTED_HOLDS),
        T::new(Precharge, Drive, "contactors closed, drive is asked for", |f| {
            f.position == Position::Closed && f.wants(Drive)
        }),
        T::new(Precharge, Charge, "contactors closed, a charge is asked for", |f| {
            f.position == Position::Closed && f.wants(Charge)
        }),
        T::new(Precharge, Preheat, "contactors closed, preheating is asked for", |f| {
            f.position == Position::Closed && f.wants(Preheat)
        }),
        T::new(Drive, Error, FAULT, FAULT_HOLDS),
        T::new(Drive, Charge, CHARGE, CHARGE_HOLDS),
        T::new(Drive, Preheat, PREHEAT, PREHEAT_HOLDS),
        T::new(Drive, Opening, UNWANTED, UNWANTED_HOLDS),
        T::new(Charge, Error, FAULT, FAULT_HOLDS),
        T::new(Charge, Drive, DRIVE, DRIVE_HOLDS),
        T::new(Charge, Preheat, PREHEAT, PREHEAT_HOLDS),
        T::new(Charge, Opening, UNWANTED, UNWANTED_HOLDS),
        T::new(Preheat, Error, FAULT, FAULT_HOLDS),
        T::new(Preheat, Drive, DRIVE, DRIVE_HOLDS),
        T::new(Preheat, Charge, CHARGE, CHARGE_HOLDS),
        T::new(Preheat, Opening, UNWANTED, UNWANTED_HOLDS),
        T::new(Opening, Error, FAULT, FAULT_HOLDS),
        T::new(Opening, Standby, "contactors open", |f| f.position == Position::Open),
        T::new(
            Error,
            Standby,
            "no fatal diagnosis reacts any more, acknowledged, self-test passed, contactors open",
            |f| !f.broken() && f.position == Position::Open && f.self_test == Some(true),
        ),
        T::new(Error, Sleep, "sleep is asked for, contactors open, no thermal event", |f| {
            f.wish == Wish::Sleep && f.position == Position::Open && !f.alarm
        }),
        T::new(Sleep, WakeUp, "something else than sleep is asked for", |f| f.wish != Wish::Sleep),
        T::new(Sleep, WakeUp, "a thermal event", |f| f.alarm),
        T::new(WakeUp, SelfTest, "at once", |_| true),
    ]
};

/// The mode that follows, if another one does.
///
/// ```
/// use bms_core::safety::contactors::{Lock, Position};
/// use bms_core::safety::mode::{next, Facts, Mode, Wish};
/// let facts = Facts {
///     wish: Wish::Drive,
///     frame: true,
///     self_test: Some(true),
///     position: Position::Open,
///     lock: Lock::Free,
///     fault: false,
///     coming: false,
///     alarm: false,
///     plugged_in: false,
/// };
/// assert_eq!(next(Mode::Standby, &facts), Some(Mode::Precharge));
/// assert_eq!(next(Mode::Precharge, &Facts { position: Position::Closed, ..facts }), Some(Mode::Drive));
/// assert_eq!(next(Mode::Drive, &Facts { fault: true, ..facts }), Some(Mode::Error));
/// ```
#[must_use]
pub fn next(mode: Mode, facts: &Facts) -> Option<Mode> {
    TRANSITIONS.iter().find(|t| t.from == mode && t.holds(facts)).map(|t| t.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    const READY: Facts = Facts {
        wish: Wish::Standby,
        frame: true,
        self_test: Some(true),
        position: Position::Open,
        lock: Lock::Free,
        fault: false,
        coming: false,
        alarm: false,
        plugged_in: false,
    };

    fn wishes() -> [Wish; 6] {
        [
            Wish::Sleep,
            Wish::Standby,
            Wish::Drive,
            Wish::Charge { mode: ChargeMode::Normal, target_soc: 1.0 },
            Wish::Preheat { target_c: 10.0, time_left_s: 0.0, hold: false },
            Wish::Balance,
        ]
    }

    fn all_facts() -> Vec<Facts> {
        let mut all = vec![];
        for wish in wishes() {
            for bits in 0..32_u8 {
                let bit = |k: u8| bits >> k & 1 == 1;
                for self_test in [None, Some(false), Some(true)] {
                    for lock in [Lock::Free, Lock::NeedsAcknowledge, Lock::NeedsRelease] {
                        for position in [Position::Open, Position::Closed, Position::Unloading] {
                            all.push(Facts {
                                wish,
                                frame: bit(0),
                                self_test,
                                position,
                                lock,
                                fault: bit(1),
                                alarm: bit(2),
                                plugged_in: bit(3),
                                coming: bit(4),
                            });
                        }
                    }
                }
            }
        }
        all
    }

    /// As the document shows it.
    fn document() -> String {
        let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Initialise\n");
        let mut drawn = BTreeSet::new();
        for t in &TRANSITIONS {
            if t.to == Mode::Error {
                continue;
            }
            if drawn.insert((t.from, t.to)) {
                text += &format!("    {:?} --> {:?}\n", t.from, t.to);
            }
        }
        let to_error: Vec<_> =
            TRANSITIONS.iter().filter(|t| t.to == Mode::Error).map(|t| format!("{:?}", t.from)).collect();
        text += &format!(
            "    note right of Error : entered from {} when a fatal diagnosis reacts\n```\n\n",
            to_error.join(", ")
        );
        text += "| From | To | When |\n|---|---|---|\n";
        for t in &TRANSITIONS {
            text += &format!("| {:?} | {:?} | {} |\n", t.from, t.to, t.when);
        }
        text
    }

    /// To renew the document, run with `UPDATE_DOCS=1`.
    #[test]
    fn the_document_shows_these_transitions() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/states.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- transitions -->\n", "<!-- end of transitions -->");
        let (before, rest) = text.split_once(begin).unwrap();
        let (shown, after) = rest.split_once(end).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{begin}{}{end}{after}", document())).unwrap();
        } else {
            assert_eq!(shown, document(), "docs/states.md is not what the code does");
        }
    }

    #[test]
    fn every_row_is_gone_and_nothing_else() {
        let mut gone = BTreeSet::new();
        for from in Mode::ALL {
            for facts in all_facts() {
                let to = next(from, &facts);
                let rows = || TRANSITIONS.iter().enumerate().filter(|(_, t)| t.from == from);
                match to {
                    Some(to) => {
                        let (k, row) = rows().find(|(_, t)| t.holds(&facts)).unwrap();
                        assert_eq!(row.to, to);
                        gone.insert(k);
                    }
                    None => assert!(rows().all(|(_, t)| !t.holds(&facts)), "{from:?} {facts:?}"),
                }
            }
        }
        assert_eq!(gone.len(), TRANSITIONS.len(), "a row is never gone");
    }

    /// Whatever is asked for, a fault leads to [`Mode::Error`] from every mode that is awake, in one step.
    #[test]
    fn a_fault_leads_to_error_from_everywhere() {
        for facts in all_facts().into_iter().filter(|f| f.fault || f.lock == Lock::NeedsAcknowledge) {
            for from in Mode::ALL {
                let to = next(from, &facts).unwrap_or(from);
                match from {
                    Mode::Initialise | Mode::Sleep | Mode::WakeUp => assert!(!to.connects()),
                    Mode::Error => assert!(matches!(to, Mode::Error | Mode::Sleep), "{facts:?} {to:?}"),
                    _ => assert_eq!(to, Mode::Error, "{from:?} {facts:?}"),
                }
            }
        }
    }

    /// Contactors are asked to close only by way of Precharge, and only unlocked.
    #[test]
    fn only_standby_leads_to_precharge_and_only_without_a_lock() {
        for facts in all_facts() {
            for from in Mode::ALL.into_iter().filter(|m| !m.connects()) {
                let to = next(from, &facts).unwrap_or(from);
                if to.connects() {
                    assert_eq!((from, to, facts.lock), (Mode::Standby, Mode::Precharge, Lock::Free));
                    assert!(facts.wish.connects() && !facts.fault && !facts.coming);
                    assert!(!(facts.wish == Wish::Drive && facts.plugged_in));
                }
            }
        }
    }

    /// Precharge ends in what is asked for, once the contactors are closed and not before.
    #[test]
    fn the_pack_works_once_its_contactors_are_closed() {
        for facts in all_facts().into_iter().filter(|f| !f.broken() && f.wanted().is_some()) {
            let closed = facts.position == Position::Closed;
            assert_eq!(next(Mode::Precharge, &facts), facts.wanted().filter(|_| closed), "{facts:?}");
        }
    }

    #[test]
    fn a_thermal_event_does_not_fall_asleep() {
        let facts = Facts { wish: Wish::Sleep, alarm: true, fault: true, ..READY };
        assert_eq!(next(Mode::Error, &facts), None);
        assert_eq!(next(Mode::Error, &Facts { alarm: false, ..facts }), Some(Mode::Sleep));
        assert_eq!(next(Mode::Sleep, &facts), Some(Mode::WakeUp));
        assert_eq!(next(Mode::Sleep, &Facts { alarm: false, ..facts }), None);
    }

    #[test]
    fn numbers_are_those_of_the_list() {
        for (k, mode) in Mode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(mode.code()), k);
        }
    }

    proptest! {
        /// From any mode, with no fault and standby asked for, standby is reached in a few steps.
        #[test]
        fn standby_can_always_be_reached(from in prop::sample::select(Mode::ALL.to_vec())) {
            let mut mode = from;
            for _ in 0..4 {
                mode = next(mode, &READY).unwrap_or(mode);
            }
            prop_assert_eq!(mode, Mode::Standby);
        }
    }
}
