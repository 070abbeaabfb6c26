//! What inverters expect from a stationary pack: Victron (CAN-bus BMS) and Pylontech, as many inverters read them.
//!
//! | Identifier | Content | Victron | Pylontech |
//! |---|---|---|---|
//! | 0x351 | charge voltage, charge and discharge current, discharge voltage | x | x |
//! | 0x355 | state of charge and health | x | x |
//! | 0x356 | voltage, current (positive on charge), temperature | x | x |
//! | 0x359 | protections and warnings, modules | | x |
//! | 0x35A | alarms and warnings | x | |
//! | 0x35C | charge and discharge enable, forced charge | | x |
//! | 0x35E | maker | x | x |
//! | 0x370, 0x371 | product | x | |
//! | 0x373 | extremes of the cells | x | |
//!
//! All are sent once a second. These messages know no "not available": a message of which a part is unknown is not sent, and
//! the inverter's own time-out stops it. Traps that are kept out of:
//!
//! * a charge voltage of 0, which Victron takes for over-voltage: without a limit above 0 there is no 0x351;
//! * a current limit of 0 that inverters with the Pylontech protocol (Sofar) take for "no limit": they get 0.1 A, with the
//!   enable bits of 0x35C off;
//! * 100 % before the pack is full, at which inverters end the charge: the state of charge is rounded down;
//! * the sign of the current, which is positive on charge here.
//!
//! Sources: frames recorded from products (see the tests) at setfirelabs.com ("Pylontech CAN reading", "Pylontech battery
//! CAN comms v1.2 vs v1.3") and in github.com/dfch/BydCanProtocol (BYD with Victron); the bits of 0x359 and 0x35C as
//! diyBMS has them (`pylon_canbus.cpp`); those of 0x35A as in github.com/AndreasBoehm/PytesCANProtocol.

use bms_core::safety::contactors::Position;

use crate::Frame;
use crate::report::{Extremes, Report};
use crate::scale::inverter as scale;

/// The codec of `inverter.dbc` as `dbc-codegen` makes it; see [`crate::bms`].
#[allow(missing_docs, missing_debug_implementations, warnings, clippy::all, clippy::doc_markdown)]
pub mod codec {
    include!(concat!(env!("OUT_DIR"), "/inverter.rs"));
    include!(concat!(env!("OUT_DIR"), "/inverter_more.rs"));
}

/// Whose messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Victron (Venus OS, CAN-bus BMS).
    #[default]
    Victron,
    /// Pylontech, which most other inverters read.
    Pylontech,
}

/// What of the pack is too high, too low or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alarms {
    /// A cell or the pack is above its voltage.
    pub high_voltage: bool,
    /// A cell or the pack is below its voltage.
    pub low_voltage: bool,
    /// Too hot.
    pub high_temperature: bool,
    /// Too cold.
    pub low_temperature: bool,
    /// Too hot to be charged.
    pub high_charge_temperature: bool,
    /// Too cold to be charged.
    pub low_charge_temperature: bool,
    /// Too much discharge current.
    pub discharge_current: bool,
    /// Too much charge current.
    pub charge_current: bool,
    /// A contactor does not do what it is told.
    pub contactor: bool,
    /// Short circuit.
    pub short_circuit: bool,
    /// A fault of the BMS itself.
    pub internal: bool,
    /// The cells are too far apart.
    pub cell_imbalance: bool,
}

impl Alarms {
    const fn any(&self) -> bool {
        self.high_voltage
            || self.low_voltage
            || self.high_temperature
            || self.low_temperature
            || self.high_charge_temperature
            || self.low_charge_temperature
            || self.discharge_current
            || self.charge_current
            || self.contactor
            || self.short_circuit
            || self.internal
            || self.cell_imbalance
    }
}

/// What the inverter is told beside the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inverter {
    /// Whose messages are sent.
    pub dialect: Dialect,
    /// Maker, ASCII; some inverters only accept those that they know (`*b"PYLON   "`).
    pub maker: [u8; 8],
    /// Product, ASCII.
    pub product: [u8; 16],
    /// Modules in parallel.
    pub modules: u8,
    /// What stops the pack.
    pub alarms: Alarms,
    /// What is near its limit.
    pub warnings: Alarms,
    /// The pack must be charged from the grid before it is empty for good.
    pub force_charge: bool,
    /// A full charge is wanted, to find the state of charge anew.
    pub full_charge: bool,
}

impl Default for Inverter {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            maker: *b"BMS     ",
            product: *b"Battery pack    ",
            modules: 1,
            alarms: Alarms::default(),
            warnings: Alarms::default(),
            force_charge: false,
            full_charge: false,
        }
    }
}

impl Inverter {
    /// Sends all messages of the dialect for a report, once a second.
    ///
    /// ```
    /// use bms_can::inverter::{Dialect, Inverter};
    /// use bms_can::report::Report;
    /// use bms_core::safety::contactors::Position;
    /// use bms_core::safety::limits::{DirectionLimit, PublishedLimits};
    ///
    /// let limit = DirectionLimit { current_a: 370.0, ..DirectionLimit::default() };
    /// let report = Report {
    ///     position: Some(Position::Closed),
    ///     pack_limits_v: [46.0, 53.2],
    ///     limits: Some(PublishedLimits { discharge: limit, charge: limit }),
    ///     ..Report::default()
    /// };
    /// let inverter = Inverter { dialect: Dialect::Pylontech, ..Inverter::default() };
    /// let mut limits = None;
    /// inverter.send(&report, &mut |frame| {
    ///     if frame.id().as_raw() == 0x351 {
    ///         limits = Some(*frame);
    ///     }
    /// });
    /// // As a Pylontech stack sent them: 53.2 V, 370 A, 370 A, 46 V.
    /// assert_eq!(limits.unwrap().data(), [0x14, 0x02, 0x74, 0x0E, 0x74, 0x0E, 0xCC, 0x01]);
    /// ```
    pub fn send(&self, report: &Report<'_>, send: &mut impl FnMut(&Frame)) {
        let r = report;
        let allowed = self.allowed_a(r);
        let victron = self.dialect == Dialect::Victron;
        let frames: [Option<Frame>; 7] = [
            self.limits(r, allowed).map(Frame::from),
            state(r).map(Frame::from),
            values(r).map(Frame::from),
            Some(if victron { self.victron_alarms().into() } else { self.pylontech_alarms().into() }),
            (!victron).then(|| self.request(allowed).into()),
            Some(codec::InverterMaker::from(self.maker).into()),
            if victron { cells(r).map(Frame::from) } else { None },
        ];
        frames.iter().flatten().for_each(&mut *send);
        if victron {
            let [a, b, c, d, e, f, g, h, rest @ ..] = self.product;
            send(&codec::InverterProduct1::from([a, b, c, d, e, f, g, h]).into());
            send(&codec::InverterProduct2::from(rest).into());
        }
    }

    /// Discharge and charge current in A that are allowed: none with an alarm or open contactors.
    fn allowed_a(&self, r: &Report<'_>) -> [f32; 2] {
        let off = self.alarms.any() || r.position != Some(Position::Closed);
        // What is unknown is not allowed.
        let limits = r.limits.unwrap_or_default();
        [limits.discharge, limits.charge].map(|l| if off || !(l.current_a > 0.0) { 0.0 } else { l.current_a })
    }

    fn limits(&self, r: &Report<'_>, allowed_a: [f32; 2]) -> Option<codec::InverterLimits> {
        let [lowest_v, highest_v] = r.pack_limits_v;
        let [discharge_a, charge_a] = allowed_a;
        if !(highest_v > 0.0 && lowest_v >= 0.0) {
            return None;
        }
        let least = if self.dialect == Dialect::Pylontech { 1 } else { 0 };
        let mut m = codec::InverterLimits::EMPTY;
        m.set_charge_voltage_raw_val(scale::INVERTER_LIMITS_CHARGE_VOLTAGE.raw(highest_v) as u16);
        m.set_charge_current_raw_val(scale::INVERTER_LIMITS_CHARGE_CURRENT.raw(charge_a).max(least) as i16);
        m.set_discharge_current_raw_val(
            scale::INVERTER_LIMITS_DISCHARGE_CURRENT.raw(discharge_a).max(least) as i16
        );
        m.set_discharge_voltage_raw_val(scale::INVERTER_LIMITS_DISCHARGE_VOLTAGE.raw(lowest_v) as u16);
        Some(m)
    }

    fn request(&self, allowed_a: [f32; 2]) -> codec::InverterRequest {
        let [discharge, charge] = allowed_a.map(|a| a > 0.0);
        let mut m = codec::InverterRequest::EMPTY;
        m.set_full_charge_raw_val(u8::from(self.full_charge && charge));
        m.set_force_charge1_raw_val(u8::from(self.force_charge && charge));
        m.set_discharge_enable_raw_val(u8::from(discharge));
        m.set_charge_enable_raw_val(u8::from(charge));
        m
    }

    fn pylontech_alarms(&self) -> codec::PylontechAlarms {
        let (a, w) = (&self.alarms, &self.warnings);
        let [hot, cold, broken] = groups(a);
        let [warm, cool, doubtful] = groups(w);
        let mut m = codec::PylontechAlarms::EMPTY;
        m.set_high_voltage_protection_raw_val(u8::from(a.high_voltage));
        m.set_low_voltage_protection_raw_val(u8::from(a.low_voltage));
        m.set_high_temperature_protection_raw_val(u8::from(hot));
        m.set_low_temperature_protection_raw_val(u8::from(cold));
        m.set_discharge_current_protection_raw_val(u8::from(a.discharge_current));
        m.set_charge_current_protection_raw_val(u8::from(a.charge_current));
        m.set_system_protection_raw_val(u8::from(broken));
        m.set_high_voltage_warning_raw_val(u8::from(w.high_voltage));
        m.set_low_voltage_warning_raw_val(u8::from(w.low_voltage));
        m.set_high_temperature_warning_raw_val(u8::from(warm));
        m.set_low_temperature_warning_raw_val(u8::from(cool));
        m.set_discharge_current_warning_raw_val(u8::from(w.discharge_current));
        m.set_charge_current_warning_raw_val(u8::from(w.charge_current));
        m.set_system_warning_raw_val(u8::from(doubtful));
        m.set_modules_raw_val(self.modules);
        m.set_mark_raw_val(u16::from_le_bytes(*b"PN"));
        m
    }

    fn victron_alarms(&self) -> codec::VictronAlarms {
        let (a, w) = (&self.alarms, &self.warnings);
        let set = |is: bool| if is { 1 } else { 2 };
        let mut m = codec::VictronAlarms::EMPTY;
        m.set_general_alarm_raw_val(set(a.any()));
        m.set_high_voltage_alarm_raw_val(set(a.high_voltage));
        m.set_low_voltage_alarm_raw_val(set(a.low_voltage));
        m.set_high_temperature_alarm_raw_val(set(a.high_temperature));
        m.set_low_temperature_alarm_raw_val(set(a.low_temperature));
        m.set_high_charge_temperature_alarm_raw_val(set(a.high_charge_temperature));
        m.set_low_charge_temperature_alarm_raw_val(set(a.low_charge_temperature));
        m.set_discharge_current_alarm_raw_val(set(a.discharge_current));
        m.set_charge_current_alarm_raw_val(set(a.charge_current));
        m.set_contactor_alarm_raw_val(set(a.contactor));
        m.set_short_circuit_alarm_raw_val(set(a.short_circuit));
        m.set_internal_alarm_raw_val(set(a.internal));
        m.set_cell_imbalance_alarm_raw_val(set(a.cell_imbalance));
        m.set_general_warning_raw_val(set(w.any()));
        m.set_high_voltage_warning_raw_val(set(w.high_voltage));
        m.set_low_voltage_warning_raw_val(set(w.low_voltage));
        m.set_high_temperature_warning_raw_val(set(w.high_temperature));
        m.set_low_temperature_warning_raw_val(set(w.low_temperature));
        m.set_high_charge_temperature_warning_raw_val(set(w.high_charge_temperature));
        m.set_low_charge_temperature_warning_raw_val(set(w.low_charge_temperature));
        m.set_discharge_current_warning_raw_val(set(w.discharge_current));
        m.set_charge_current_warning_raw_val(set(w.charge_current));
        m.set_contactor_warning_raw_val(set(w.contactor));
        m.set_short_circuit_warning_raw_val(set(w.short_circuit));
        m.set_internal_warning_raw_val(set(w.internal));
        m.set_cell_imbalance_warning_raw_val(set(w.cell_imbalance));
        m
    }
}

/// Hot, cold and broken, for which Pylontech has one bit each.
const fn groups(a: &Alarms) -> [bool; 3] {
    [
        a.high_temperature || a.high_charge_temperature,
        a.low_temperature || a.low_charge_temperature,
        a.contactor || a.short_circuit || a.internal || a.cell_imbalance,
    ]
}

fn state(r: &Report<'_>) -> Option<codec::InverterState> {
    if r.soc.value.is_nan() {
        return None;
    }
    // Who has not learnt anything yet is as good as new.
    let health = if r.capacity_share.is_nan() { 1.0 } else { r.capacity_share };
    // Rounded down, with room for what arithmetic may lose of a full pack.
    let percent = 100.0 * r.soc.value - 0.49;
    let mut m = codec::InverterState::EMPTY;
    m.set_soc_raw_val(scale::INVERTER_STATE_SOC.raw(percent) as u16);
    m.set_soh_raw_val(scale::INVERTER_STATE_SOH.raw(100.0 * health) as u16);
    Some(m)
}

fn values(r: &Report<'_>) -> Option<codec::InverterValues> {
    let temperature_c =
        if r.core_c.mean.is_nan() { Extremes::of(r.temperature_c).mean } else { r.core_c.mean };
    if r.pack_voltage_v.is_nan() || r.current_a.is_nan() || temperature_c.is_nan() {
        return None;
    }
    let mut m = codec::InverterValues::EMPTY;
    m.set_voltage_raw_val(scale::INVERTER_VALUES_VOLTAGE.raw(r.pack_voltage_v) as i16);
    m.set_current_raw_val(scale::INVERTER_VALUES_CURRENT.raw(-r.current_a) as i16);
    m.set_temperature_raw_val(scale::INVERTER_VALUES_TEMPERATURE.raw(temperature_c) as i16);
    Some(m)
}

fn cells(r: &Report<'_>) -> Option<codec::InverterCells> {
    let v = Extremes::of(r.cell_voltage_v);
    let c = if r.core_c.mean.is_nan() { Extremes::of(r.temperature_c) } else { r.core_c };
    if v.mean.is_nan() || c.mean.is_nan() {
        return None;
    }
    let kelvin = |c: f32| c + 273.15;
    let mut m = codec::InverterCells::EMPTY;
    m.set_min_voltage_raw_val(scale::INVERTER_CELLS_MIN_VOLTAGE.raw(v.min) as u16);
    m.set_max_voltage_raw_val(scale::INVERTER_CELLS_MAX_VOLTAGE.raw(v.max) as u16);
    m.set_min_temperature_raw_val(scale::INVERTER_CELLS_MIN_TEMPERATURE.raw(kelvin(c.min)) as u16);
    m.set_max_temperature_raw_val(scale::INVERTER_CELLS_MAX_TEMPERATURE.raw(kelvin(c.max)) as u16);
    Some(m)
}
