//! The CAN bus of a simulated pack: what its controller would send, and logs of any bus read with their DBC files.

pub mod candump;
pub mod dbc;

use std::io::{self, Write};

use bms_can::Frame;
use bms_can::inverter::Inverter;
use bms_can::report::{Outlook, Report, Sender};

use crate::closed_loop::Seen;

/// Time in s that a frame takes on a bus of 500 kbit/s.
const FRAME_S: f64 = 0.000_26;
/// Time in s between two sendings of what changes slowly.
const SLOW_S: f64 = 1.0;

/// What a pack with so many temperature sensors tells after a step.
#[must_use]
pub fn report<'a>(seen: &Seen<'a>, sensors: usize) -> Report<'a> {
    let all = seen.core.report(&seen.wish);
    // The core has room for more sensors than there are.
    Report { temperature_c: all.temperature_c.get(..sensors).unwrap_or(all.temperature_c), ..all }
}

/// Writes what the pack sends as a candump log, once per step of the simulation: the messages of `bms.dbc`, and those for
/// an inverter if there is one.
#[derive(Debug)]
pub struct CanLog<W> {
    out: W,
    sender: Sender,
    inverter: Option<Inverter>,
    sensors: usize,
    slow_s: f64,
    outlook: Outlook,
    failed: Option<io::Error>,
}

impl<W: Write> CanLog<W> {
    /// For a pack with so many temperature sensors.
    pub fn new(out: W, sensors: usize, inverter: Option<Inverter>) -> Self {
        let (sender, outlook) = (Sender::new(), Outlook::default());
        Self { out, sender, inverter, sensors, slow_s: f64::NEG_INFINITY, outlook, failed: None }
    }

    /// Writes the messages of a step.
    pub fn step(&mut self, seen: &Seen<'_>) {
        let mut report = report(seen, self.sensors);
        // A sum of steps does not hit the time exactly.
        let slow = seen.time_s + 1e-6 >= self.slow_s + SLOW_S;
        if slow {
            self.slow_s = seen.time_s;
            self.outlook = report.look_ahead();
        }
        report.outlook = self.outlook;
        let (out, failed, mut at_s) = (&mut self.out, &mut self.failed, seen.time_s);
        let mut send = |frame: &Frame| {
            if failed.is_none() {
                *failed = candump::write(out, at_s, frame).err();
            }
            at_s += FRAME_S;
        };
        self.sender.fast(&report, &mut send);
        if slow {
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
