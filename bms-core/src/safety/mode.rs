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
    /// A charge up to a SOC (fraction) of the fullest cell; 1 for a full one.
    Charge {
        /// How.
        mode: ChargeMode,
        /// Where to stop.
        target_soc: f32,
    },
    /// Warm cells in so many seconds; 0 for as fast as possible.
    Preheat {
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
        matches!(self, Self::Drive | Self::Charge { .. } | Self::Preheat { .. })
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
            Wish::Drive => Some(Mode::Drive),
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
            "drive (no charger plugged in), charge or preheating is asked for, anew after a fault",
            |f| f.wanted().is_some() && f.lock == Lock::Free,
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
            |f| !f.broken() && f.position == Position::Open && f.self_test != Some(false),
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
