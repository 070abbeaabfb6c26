//! What the vehicle asks of the pack (`VehicleCommand`).

use bms_core::charging::ChargeMode;
use bms_core::safety::frame::Heard;
use bms_core::safety::mode::Wish;

use crate::Frame;
use crate::bms::{Messages, VehicleCommand};
use crate::scale::bms as scale;

/// Codes of [`Wish`] on the bus.
const SLEEP: u8 = 0;
const STANDBY: u8 = 1;
const DRIVE: u8 = 2;
const CHARGE: u8 = 3;
const FAST_CHARGE: u8 = 4;
const PREHEAT: u8 = 5;
const BALANCE: u8 = 6;
/// Core temperature in degC that a preheat warms to if none is told.
const PREHEAT_TO_C: f32 = 10.0;

/// The code of a wish.
pub(crate) const fn code(wish: &Wish) -> u8 {
    match wish {
        Wish::Sleep => SLEEP,
        Wish::Standby | Wish::Charge { mode: ChargeMode::Off, .. } => STANDBY,
        Wish::Drive | Wish::Idle => DRIVE,
        Wish::Charge { mode: ChargeMode::Normal, .. } => CHARGE,
        Wish::Charge { mode: ChargeMode::Fast, .. } => FAST_CHARGE,
        Wish::Preheat { .. } => PREHEAT,
        Wish::Balance => BALANCE,
    }
}

/// What the vehicle asks for.
///
/// ```
/// use bms_can::command::Command;
/// use bms_core::charging::ChargeMode;
/// use bms_core::safety::mode::Wish;
///
/// let asked = Command { wish: Wish::Charge { mode: ChargeMode::Fast, target_soc: 0.75 }, acknowledge: false };
/// let frame = asked.frame(3);
/// let (heard, received) = Command::receive(&frame).unwrap();
/// assert!(heard.sound && heard.counter == 3);
/// assert_eq!(received, Some(asked));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Command {
    /// What is asked for.
    pub wish: Wish,
    /// Somebody takes note of a fatal diagnosis.
    pub acknowledge: bool,
}

impl Command {
    /// The vehicle's protected message with this counter (its low four bits).
    #[must_use]
    pub fn frame(&self, counter: u8) -> Frame {
        let (mut percent, mut target_c, mut time_s, mut keeps_warm) = (f32::NAN, f32::NAN, f32::NAN, false);
        match self.wish {
            Wish::Charge { target_soc, .. } => percent = 100.0 * target_soc,
            Wish::Preheat { target_c: to_c, time_left_s, hold } => {
                (target_c, time_s, keeps_warm) = (to_c, time_left_s, hold);
            }
            _ => {}
        }
        let mut m = VehicleCommand::EMPTY;
        m.set_request_raw_val(code(&self.wish));
        m.set_target_soc_raw_val(scale::VEHICLE_COMMAND_TARGET_SOC.raw(percent) as u16);
        m.set_preheat_time_raw_val(scale::VEHICLE_COMMAND_PREHEAT_TIME.raw(time_s) as u16);
        m.set_preheat_hold_raw_val(u8::from(keeps_warm));
        m.set_preheat_target_raw_val(scale::VEHICLE_COMMAND_PREHEAT_TARGET.raw(target_c) as u16);
        m.set_acknowledge_raw_val(u8::from(self.acknowledge));
        let mut frame = Frame::from(m);
        frame.protect(counter);
        frame
    }

    /// Counter and check sum of the vehicle's message, for [`bms_core::safety::frame::Frame::vehicle`], and the command if
    /// its check sum is right; none of any other message. A code that is unknown asks for standby.
    ///
    /// Repeated and lost messages and a vehicle that falls silent are the monitors' to find.
    #[must_use]
    pub fn receive(frame: &Frame) -> Option<(Heard, Option<Self>)> {
        if VehicleCommand::MESSAGE_ID != frame.id().into() {
            return None;
        }
        let heard = frame.heard();
        let command = match Messages::from_can_message(frame.id().into(), frame.data()) {
            Ok(Messages::VehicleCommand(m)) if heard.sound => Some(Self::of(&m)),
            _ => None,
        };
        Some((heard, command))
    }

    fn of(m: &VehicleCommand) -> Self {
        let percent = scale::VEHICLE_COMMAND_TARGET_SOC.value(m.target_soc_raw_val().into());
        let target_soc = percent.unwrap_or(100.0) / 100.0;
        let time_left_s = scale::VEHICLE_COMMAND_PREHEAT_TIME.value(m.preheat_time_raw_val().into());
        let target_c = scale::VEHICLE_COMMAND_PREHEAT_TARGET.value(m.preheat_target_raw_val().into());
        let wish = match m.request_raw_val() {
            SLEEP => Wish::Sleep,
            DRIVE => Wish::Drive,
            CHARGE => Wish::Charge { mode: ChargeMode::Normal, target_soc },
            FAST_CHARGE => Wish::Charge { mode: ChargeMode::Fast, target_soc },
            PREHEAT => Wish::Preheat {
                target_c: target_c.unwrap_or(PREHEAT_TO_C),
                time_left_s: time_left_s.unwrap_or(0.0),
                hold: m.preheat_hold_raw_val() == 1,
            },
            BALANCE => Wish::Balance,
            _ => Wish::Standby,
        };
        Self { wish, acknowledge: m.acknowledge_raw_val() == 1 }
    }
}
