//! What the vehicle asks of the pack (`VehicleCommand`).

use crate::Frame;
use crate::bms::{Messages, VehicleCommand};
use crate::e2e::{self, Checker, E2eError};
use crate::scale::bms as scale;

/// What is asked of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Request {
    /// Nothing.
    #[default]
    Rest,
    /// Power out and in, as the load wants.
    Drive,
    /// A normal charge.
    Charge,
    /// A fast charge.
    FastCharge,
    /// Warm cells.
    Preheat,
    /// Even cells.
    Balance,
}

impl Request {
    /// All of them, in the order of their codes from 0.
    pub const ALL: [Self; 6] =
        [Self::Rest, Self::Drive, Self::Charge, Self::FastCharge, Self::Preheat, Self::Balance];

    /// Its code on the bus.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Rest => 0,
            Self::Drive => 1,
            Self::Charge => 2,
            Self::FastCharge => 3,
            Self::Preheat => 4,
            Self::Balance => 5,
        }
    }

    /// The request of a code; a code that is unknown asks for nothing.
    #[must_use]
    pub fn of_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or_default()
    }
}

/// A request with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Command {
    /// What is asked for.
    pub request: Request,
    /// SOC (fraction) where a charge stops; `None` for a full charge.
    pub target_soc: Option<f32>,
    /// Time in s that is left for preheating; `None` for as fast as possible.
    pub preheat_time_s: Option<f32>,
    /// Keep the cells warm afterwards.
    pub preheat_hold: bool,
}

impl Command {
    /// The protected message of the vehicle with this counter (0..=14).
    #[must_use]
    pub fn frame(&self, counter: u8) -> Frame {
        let mut m = VehicleCommand::EMPTY;
        m.set_request_raw_val(self.request.code());
        let percent = self.target_soc.map_or(f32::NAN, |soc| 100.0 * soc);
        m.set_target_soc_raw_val(scale::VEHICLE_COMMAND_TARGET_SOC.raw(percent) as u16);
        let time_s = self.preheat_time_s.unwrap_or(f32::NAN);
        m.set_preheat_time_raw_val(scale::VEHICLE_COMMAND_PREHEAT_TIME.raw(time_s) as u16);
        m.set_preheat_hold_raw_val(u8::from(self.preheat_hold));
        let mut frame = m.into();
        e2e::protect(&mut frame, counter);
        frame
    }

    /// The command of a message, without a look at counter and CRC; none of another message.
    #[must_use]
    pub fn of(frame: &Frame) -> Option<Self> {
        let m = match Messages::from_can_message(frame.id().into(), frame.data()) {
            Ok(Messages::VehicleCommand(m)) => m,
            _ => return None,
        };
        let percent = scale::VEHICLE_COMMAND_TARGET_SOC.value(m.target_soc_raw_val().into());
        Some(Self {
            request: Request::of_code(m.request_raw_val()),
            target_soc: percent.map(|p| p / 100.0),
            preheat_time_s: scale::VEHICLE_COMMAND_PREHEAT_TIME.value(m.preheat_time_raw_val().into()),
            preheat_hold: m.preheat_hold_raw_val() == 1,
        })
    }
}

/// Receives the vehicle's command.
///
/// ```
/// use bms_can::command::{Command, Receiver, Request};
///
/// let asked = Command { request: Request::Charge, target_soc: Some(0.8), ..Command::default() };
/// let mut receiver = Receiver::default();
/// let received = receiver.receive(&asked.frame(0)).unwrap().unwrap();
/// assert_eq!(received.request, Request::Charge);
/// assert!((received.target_soc.unwrap() - 0.8).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receiver {
    checker: Checker,
}

impl Receiver {
    /// The command of a message; none of any other message. How long ago the last good one came is the caller's to look at.
    ///
    /// # Errors
    /// [`E2eError`]: it is damaged or was received before.
    pub fn receive(&mut self, frame: &Frame) -> Result<Option<Command>, E2eError> {
        if VehicleCommand::MESSAGE_ID != frame.id().into() {
            return Ok(None);
        }
        self.checker.check(frame)?;
        Command::of(frame).map(Some).ok_or(E2eError::Length)
    }
}
