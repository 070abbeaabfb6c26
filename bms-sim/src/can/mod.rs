//! The CAN bus of a simulated pack: what its controller would send, and logs of any bus read with their DBC files.

pub mod candump;
pub mod dbc;

use std::io::{self, Write};

use bms_can::Frame;
use bms_can::inverter::Inverter;
use bms_can::report::{Extremes, Learnt, Report, Sender, sum_v};
use bms_core::balance::BalanceStatus;
use bms_core::bms::Request;
use bms_core::charging::ChargeMode;
use bms_core::safety::contactors::Position;
use bms_core::safety::limits::{DirectionLimit, LimitedBy, PublishedLimits};
use bms_core::safety::mode::{Mode, Wish};
use bms_core::sop::Limit;

use crate::closed_loop::Seen;

/// Time in s that a frame takes on a bus of 500 kbit/s.
const FRAME_S: f64 = 0.000_26;
/// Time in s between two sendings of what changes slowly.
const SLOW_S: f64 = 1.0;

/// What the pack tells after a step.
#[must_use]
pub fn report<'a>(seen: &Seen<'a>, cell_limits_v: [f64; 2]) -> Report<'a> {
    let (o, readings) = (seen.outcome, seen.readings);
    let cells = readings.group_voltage_v.len() as f32;
    let mode = match seen.request {
        Request::Rest if o.balance_status == BalanceStatus::Moving => Mode::Balance,
        Request::Rest => Mode::Standby,
        Request::Drive => Mode::Drive,
        Request::Charge { .. } => Mode::Charge,
        Request::Preheat { .. } => Mode::Preheat,
    };
    let wish = match *seen.request {
        Request::Rest => Wish::Standby,
        Request::Drive => Wish::Drive,
        Request::Charge { mode: ChargeMode::Off, .. } => Wish::Standby,
        Request::Charge { mode, target_soc } => Wish::Charge { mode, target_soc },
        Request::Preheat { time_left_s, hold } => Wish::Preheat { time_left_s, hold },
    };
    let limit = |of_cell: &Limit| {
        if seen.contactors_open {
            DirectionLimit { by: LimitedBy::Contactors, ..DirectionLimit::default() }
        } else {
            let power_w = cells * of_cell.power_w;
            DirectionLimit { current_a: of_cell.current_a, power_w, by: LimitedBy::Power }
        }
    };
    let safe = &o.power.safe;
    let [mean, min, max] = o.core_c.map(|c| c as f32);
    let [min_at, max_at] = o.core_at.map(|k| u16::try_from(k).ok());
    let cell_limits_v = cell_limits_v.map(|v| v as f32);
    Report {
        mode: Some(mode),
        wish: Some(wish),
        position: Some(if seen.contactors_open { Position::Open } else { Position::Closed }),
        charge_state: Some(o.charge.state),
        charge_limited_by: Some(o.charge.limited_by),
        balance: Some(o.balance_status),
        preheat: Some(o.preheat.state),
        pack_voltage_v: sum_v(&readings.group_voltage_v),
        current_a: readings.current_a.valid().unwrap_or(f32::NAN),
        cell_voltage_v: &readings.group_voltage_v,
        temperature_c: &readings.sensed_c,
        core_c: Extremes { min, min_at, max, max_at, mean },
        limits: Some(PublishedLimits {
            discharge: limit(&safe.discharge[1]),
            charge: limit(&safe.charge[1]),
        }),
        pack_limits_v: cell_limits_v.map(|v| cells * v),
        cell_limits_v,
        charge_request_a: o.charge.current_a,
        charge_request_v: o.charge.pack_voltage_limit_v,
        time_to_end_s: o.charge.time_to_end_s.unwrap_or(f32::NAN),
        soc: Learnt { value: o.estimate.soc.value, std: o.estimate.soc.std },
        usable_ah: o.estimate.usable_ah,
        ..Report::default()
    }
    .with_power(safe, cells)
}

/// Writes what the pack sends as a candump log, once per step of the simulation: the messages of `bms.dbc`, and those for
/// an inverter if there is one.
#[derive(Debug)]
pub struct CanLog<W> {
    out: W,
    sender: Sender,
    inverter: Option<Inverter>,
    cell_limits_v: [f64; 2],
    slow_s: f64,
    failed: Option<io::Error>,
}

impl<W: Write> CanLog<W> {
    /// For a pack whose cells have these voltage limits in V.
    pub const fn new(out: W, cell_limits_v: [f64; 2], inverter: Option<Inverter>) -> Self {
        let sender = Sender::new();
        Self { out, sender, inverter, cell_limits_v, slow_s: f64::NEG_INFINITY, failed: None }
    }

    /// Writes the messages of a step.
    pub fn step(&mut self, seen: &Seen<'_>) {
        let report = report(seen, self.cell_limits_v);
        let (out, failed, mut at_s) = (&mut self.out, &mut self.failed, seen.time_s);
        let mut send = |frame: &Frame| {
            if failed.is_none() {
                *failed = candump::write(out, at_s, frame).err();
            }
            at_s += FRAME_S;
        };
        self.sender.fast(&report, &mut send);
        // A sum of steps does not hit the time exactly.
        if seen.time_s + 1e-6 >= self.slow_s + SLOW_S {
            self.slow_s = seen.time_s;
            self.sender.slow(&report, &mut send);
            self.sender.cells(&report, &mut send);
            if let Some(inverter) = &self.inverter {
                inverter.send(&report, &mut send);
            }
        }
    }

    /// Ends the log.
    ///
    /// # Errors
    /// The first one in writing.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}
