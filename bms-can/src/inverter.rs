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
//! Alarms and warnings follow from the report's diagnoses ([`Alarms::of`]); an alarm takes the allowed currents away. Limits
//! are rounded so that nothing is allowed that the pack does not allow.
//!
//! Sources: frames recorded from products (see the tests) at setfirelabs.com ("Pylontech CAN reading", "Pylontech battery
//! CAN comms v1.2 vs v1.3") and in github.com/dfch/BydCanProtocol (BYD with Victron); the bits of 0x359 and 0x35C as
//! diyBMS has them (`pylon_canbus.cpp`); those of 0x35A as in github.com/AndreasBoehm/PytesCANProtocol.

use bms_core::safety::contactors::Position;
use bms_core::safety::ledger::DiagnosisSet;
use bms_core::safety::table::{Diagnosis, Level};

use crate::Frame;
use crate::report::{Extremes, Report};
use crate::scale::{Scale, inverter as scale};

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
    /// Short circuit: the fuse has blown, or a cell has an internal short.
    pub short_circuit: bool,
    /// A fault of the BMS itself.
    pub internal: bool,
    /// The cells are too far apart.
    pub cell_imbalance: bool,
}

impl Alarms {
    /// What the diagnoses of one level mean to an inverter: fatal ones are its alarms, warnings its warnings. What there is
    /// no bit for (sensors, links, memory, insulation, cooling) is internal.
    ///
    /// ```
    /// use bms_can::inverter::Alarms;
    /// use bms_core::safety::ledger::DiagnosisSet;
    /// use bms_core::safety::table::{Diagnosis, Level};
    ///
    /// let mut detected = DiagnosisSet::default();
    /// detected.set(Diagnosis::ChargeColdWarning, true);
    /// let warnings = Alarms::of(&detected, Level::Warning);
    /// assert_eq!(warnings, Alarms { low_charge_temperature: true, ..Alarms::default() });
    /// assert_eq!(Alarms::of(&detected, Level::Fatal), Alarms::default());
    /// ```
    #[must_use]
    pub fn of(diagnoses: &DiagnosisSet, level: Level) -> Self {
        use Diagnosis as D;
        let mut alarms = Self::default();
        for id in diagnoses.iter().filter(|id| id.entry().level == level) {
            *match id {
                D::CellVoltageHighInformation | D::CellVoltageHighWarning | D::CellVoltageHighFatal => {
                    &mut alarms.high_voltage
                }
                D::CellVoltageLowInformation
                | D::CellVoltageLowWarning
                | D::CellVoltageLowFatal
                | D::DeepDischarge => &mut alarms.low_voltage,
                D::DischargeCurrentInformation
                | D::DischargeCurrentWarning
                | D::DischargeCurrentFatal
                | D::DischargePulseFatal => &mut alarms.discharge_current,
                D::ChargeCurrentInformation
                | D::ChargeCurrentWarning
                | D::ChargeCurrentFatal
                | D::ChargePulseFatal
                | D::ChargerIgnoresLimit => &mut alarms.charge_current,
                D::DischargeHotInformation
                | D::DischargeHotWarning
                | D::DischargeHotFatal
                | D::TemperatureRiseWarning
                | D::TemperatureRiseFatal
                | D::ThermalRunaway
                | D::ThermalRunawayNearby => &mut alarms.high_temperature,
                D::DischargeColdInformation | D::DischargeColdWarning | D::DischargeColdFatal => {
                    &mut alarms.low_temperature
                }
                D::ChargeHotInformation | D::ChargeHotWarning | D::ChargeHotFatal => {
                    &mut alarms.high_charge_temperature
                }
                D::ChargeColdInformation | D::ChargeColdWarning | D::ChargeColdFatal => {
                    &mut alarms.low_charge_temperature
                }
                D::PlusWelded
                | D::MinusWelded
                | D::PrechargeWelded
                | D::PlusFailsToClose
                | D::MinusFailsToClose
                | D::PrechargeFailsToClose
                | D::PrechargeFailed
                | D::PrechargeTooOften
                | D::CurrentWhileOpen => &mut alarms.contactor,
                D::FuseBlown | D::InternalShort => &mut alarms.short_circuit,
                D::ImbalanceInformation | D::ImbalanceWarning => &mut alarms.cell_imbalance,
                _ => &mut alarms.internal,
            } = true;
        }
        alarms
    }

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
        let [alarms, warnings] = [Level::Fatal, Level::Warning].map(|level| Alarms::of(&r.diagnoses, level));
        let allowed = allowed(r, &alarms);
        let victron = self.dialect == Dialect::Victron;
        let frames: [Option<Frame>; 7] = [
            self.limits(r, allowed).map(Frame::from),
            state(r).map(Frame::from),
            values(r).map(Frame::from),
            Some(if victron {
                victron_alarms(&alarms, &warnings).into()
            } else {
                self.pylontech_alarms(&alarms, &warnings).into()
            }),
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

    fn limits(&self, r: &Report<'_>, allowed: [i16; 2]) -> Option<codec::InverterLimits> {
        let [lowest_v, highest_v] = r.pack_limits_v;
        let [discharge, charge] = allowed;
        if !(highest_v > 0.0 && lowest_v >= 0.0) {
            return None;
        }
        let least = if self.dialect == Dialect::Pylontech { 1 } else { 0 };
        let mut m = codec::InverterLimits::EMPTY;
        m.set_charge_voltage_raw_val(scale::INVERTER_LIMITS_CHARGE_VOLTAGE.raw_down(highest_v) as u16);
        m.set_charge_current_raw_val(charge.max(least));
        m.set_discharge_current_raw_val(discharge.max(least));
        m.set_discharge_voltage_raw_val(scale::INVERTER_LIMITS_DISCHARGE_VOLTAGE.raw_up(lowest_v) as u16);
        Some(m)
    }

    fn request(&self, allowed: [i16; 2]) -> codec::InverterRequest {
        let [discharge, charge] = allowed.map(|raw| raw > 0);
        let mut m = codec::InverterRequest::EMPTY;
        m.set_full_charge_raw_val(u8::from(self.full_charge && charge));
        m.set_force_charge1_raw_val(u8::from(self.force_charge && charge));
        m.set_discharge_enable_raw_val(u8::from(discharge));
        m.set_charge_enable_raw_val(u8::from(charge));
        m
    }

    fn pylontech_alarms(&self, a: &Alarms, w: &Alarms) -> codec::PylontechAlarms {
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
}

/// Raw values of the discharge and charge current that are allowed: none with an alarm or open contactors.
fn allowed(r: &Report<'_>, alarms: &Alarms) -> [i16; 2] {
    let off = alarms.any() || r.position != Some(Position::Closed);
    // What is unknown is not allowed.
    let limits = r.limits.unwrap_or_default();
    let raw = |scale: &Scale, limit_a: f32| if off { 0 } else { scale.raw_down(limit_a) as i16 };
    [
        raw(&scale::INVERTER_LIMITS_DISCHARGE_CURRENT, limits.discharge.current_a),
        raw(&scale::INVERTER_LIMITS_CHARGE_CURRENT, limits.charge.current_a),
    ]
}

fn victron_alarms(a: &Alarms, w: &Alarms) -> codec::VictronAlarms {
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
