//! What a simulated pack's controller would log over its serial line.

use std::io::{self, Write};

use bms_core::safety::ledger::DiagnosisSet;
use bms_wire::{Diagnosis, Estimates, Learnt, MAX_FRAME, NO_CELL, Record, Start, encode};

use crate::can::report;
use crate::closed_loop::Seen;

/// Time in s between two records of what was learnt.
const LEARNT_S: f64 = 60.0;

/// Writes the records of a run: who sends, the estimates after every step of the core, diagnoses when they are detected and
/// when they have gone, once a minute what was learnt.
#[derive(Debug)]
pub struct WireLog<W> {
    out: W,
    sensors: usize,
    started: bool,
    learnt_s: f64,
    detected: DiagnosisSet,
    failed: Option<io::Error>,
}

impl<W: Write> WireLog<W> {
    /// For a pack with so many temperature sensors.
    pub fn new(out: W, sensors: usize) -> Self {
        let detected = DiagnosisSet::default();
        Self { out, sensors, started: false, learnt_s: f64::NEG_INFINITY, detected, failed: None }
    }

    fn send(&mut self, record: &Record<'_>) {
        let mut buffer = [0; MAX_FRAME];
        let written =
            encode(record, &mut buffer).map_err(io::Error::other).and_then(|f| self.out.write_all(f));
        self.failed = self.failed.take().or(written.err());
    }

    /// Writes the records of a step.
    pub fn step(&mut self, seen: &Seen<'_>) {
        let r = report(seen, self.sensors);
        if !self.started {
            self.started = true;
            let of = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            let (cells, sensors) = (of(r.cell_voltage_v.len()), of(r.temperature_c.len()));
            self.send(&Record::Start(Start {
                firmware: concat!("bms ", env!("CARGO_PKG_VERSION")),
                cells,
                sensors,
            }));
        }
        let time_ms = (1000.0 * seen.time_s).round() as u64;
        let v = bms_can::report::Extremes::of(r.cell_voltage_v);
        let limits = r.limits.unwrap_or_default();
        self.send(&Record::Estimates(Estimates {
            time_ms,
            voltage_v: r.pack_voltage_v,
            current_a: r.current_a,
            soc: r.soc.value,
            soc_std: r.soc.std,
            min_cell_v: v.min,
            max_cell_v: v.max,
            min_core_c: r.core_c.min,
            max_core_c: r.core_c.max,
            discharge_limit_w: limits.discharge.power_w,
            charge_limit_w: limits.charge.power_w,
            charge_request_a: r.charge_request_a,
        }));
        self.diagnoses(seen, time_ms);
        if seen.time_s + 1e-6 >= self.learnt_s + LEARNT_S {
            self.learnt_s = seen.time_s;
            let bias = seen.core.outcome().estimate.reference.current_bias_a;
            self.send(&Record::Learnt(Learnt {
                time_ms,
                capacity_ah: r.capacity_ah.value,
                capacity_std_ah: r.capacity_ah.std,
                resistance_factor: r.resistance_factor.value,
                resistance_factor_std: r.resistance_factor.std,
                current_offset_a: bias.value,
                current_offset_std_a: bias.std,
            }));
        }
    }

    /// Writes what was detected, and what has gone, since the step before.
    fn diagnoses(&mut self, seen: &Seen<'_>, time_ms: u64) {
        let ledger = seen.core.ledger();
        let (before, now) = (self.detected, ledger.detected());
        self.detected = now;
        for d in ledger.detections().filter(|d| !before.contains(d.id)) {
            let f = d.finding;
            let (number, cell) = (d.id as u8, f.place.unwrap_or(NO_CELL));
            let (value, limit) = (f.value, f.limit);
            self.send(&Record::Diagnosis(Diagnosis { time_ms, number, set: true, cell, value, limit }));
        }
        for id in before.iter().filter(|id| !now.contains(*id)) {
            let (number, unknown) = (id as u8, f32::NAN);
            self.send(&Record::Diagnosis(Diagnosis {
                time_ms,
                number,
                set: false,
                cell: NO_CELL,
                value: unknown,
                limit: unknown,
            }));
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
