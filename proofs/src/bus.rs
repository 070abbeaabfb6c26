//! Entries for what goes over the bus and the line.

use core::hint::black_box;

use bms_can::command::Command;
use bms_can::inverter::Inverter;
use bms_can::report::{Report, Sender};
use bms_can::{Frame, bms};
use bms_core::controller::Controller;
use bms_wire::{Decoder, Record, encode};
use embedded_can::StandardId;

/// Everything that a caller can hand over.
pub struct Bus<'a> {
    sender: Sender,
    report: Report<'a>,
    command: Command,
    inverter: Inverter,
    id: u16,
    record: Record<'a>,
    decoder: Decoder,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_can(bus: &mut Bus<'_>, bytes: &[u8]) {
    let mut send = |frame: &Frame| {
        black_box((frame.id(), frame.data()));
    };
    bus.report.outlook = bus.report.look_ahead();
    bus.sender.fast(&bus.report, &mut send);
    bus.sender.slow(&bus.report, &mut send);
    bus.sender.cells(&bus.report, &mut send);
    bus.inverter.send(&bus.report, &mut send);
    send(&bus.command.frame(bus.id as u8));
    let Some(frame) = StandardId::new(bus.id).and_then(|id| Frame::new(id, bytes)) else { return };
    black_box(Command::receive(&frame));
    if let Ok(bms::Messages::CellVoltages(m)) =
        bms::Messages::from_can_message(frame.id().into(), frame.data())
    {
        black_box(bms::cell_voltages_raw(m));
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_report<'a>(controller: &'a Controller<'a, 96, 24, 12>, bus: &mut Bus<'a>) {
    bus.report = Report::of(controller, &bus.command.wish);
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_wire(bus: &mut Bus<'_>, bytes: &[u8], buffer: &mut [u8]) {
    black_box(encode(&bus.record, buffer).is_ok());
    for byte in bytes {
        black_box(bus.decoder.push(*byte).is_some_and(|r| black_box(r).is_ok()));
    }
    black_box((bus.decoder.good(), bus.decoder.bad(), bus.decoder.is_within_frame()));
}
