//! The diagnosis table as a document, with the names that foxBMS 2 has for the same.

use std::fmt::Write as _;

use bms_core::safety::table::{Diagnosis, TABLE};

use crate::trace::Trace;

/// Identifiers in `diag_cfg.h` of foxBMS 2 (without `DIAG_ID_`) that look for the same; none where it has none.
fn foxbms(id: Diagnosis) -> &'static [&'static str] {
    use Diagnosis as D;
    match id {
        D::CellVoltageHighInformation => &["CELL_VOLTAGE_OVERVOLTAGE_MOL"],
        D::CellVoltageHighWarning => &["CELL_VOLTAGE_OVERVOLTAGE_RSL"],
        D::CellVoltageHighFatal => &["CELL_VOLTAGE_OVERVOLTAGE_MSL"],
        D::CellVoltageLowInformation => &["CELL_VOLTAGE_UNDERVOLTAGE_MOL"],
        D::CellVoltageLowWarning => &["CELL_VOLTAGE_UNDERVOLTAGE_RSL"],
        D::CellVoltageLowFatal => &["CELL_VOLTAGE_UNDERVOLTAGE_MSL"],
        D::DeepDischarge => &["DEEP_DISCHARGE_DETECTED"],
        D::DischargeCurrentInformation => {
            &["OVERCURRENT_DISCHARGE_CELL_MOL", "STRING_OVERCURRENT_DISCHARGE_MOL"]
        }
        D::DischargeCurrentWarning => &["OVERCURRENT_DISCHARGE_CELL_RSL", "STRING_OVERCURRENT_DISCHARGE_RSL"],
        D::DischargeCurrentFatal => &["OVERCURRENT_DISCHARGE_CELL_MSL", "STRING_OVERCURRENT_DISCHARGE_MSL"],
        D::DischargePulseFatal => &["PACK_OVERCURRENT_DISCHARGE_MSL"],
        D::ChargeCurrentInformation => &["OVERCURRENT_CHARGE_CELL_MOL", "STRING_OVERCURRENT_CHARGE_MOL"],
        D::ChargeCurrentWarning => &["OVERCURRENT_CHARGE_CELL_RSL", "STRING_OVERCURRENT_CHARGE_RSL"],
        D::ChargeCurrentFatal => &["OVERCURRENT_CHARGE_CELL_MSL", "STRING_OVERCURRENT_CHARGE_MSL"],
        D::ChargePulseFatal => &["PACK_OVERCURRENT_CHARGE_MSL"],
        D::DischargeHotInformation => &["TEMP_OVERTEMPERATURE_DISCHARGE_MOL"],
        D::DischargeHotWarning => &["TEMP_OVERTEMPERATURE_DISCHARGE_RSL"],
        D::DischargeHotFatal => &["TEMP_OVERTEMPERATURE_DISCHARGE_MSL"],
        D::DischargeColdInformation => &["TEMP_UNDERTEMPERATURE_DISCHARGE_MOL"],
        D::DischargeColdWarning => &["TEMP_UNDERTEMPERATURE_DISCHARGE_RSL"],
        D::DischargeColdFatal => &["TEMP_UNDERTEMPERATURE_DISCHARGE_MSL"],
        D::ChargeHotInformation => &["TEMP_OVERTEMPERATURE_CHARGE_MOL"],
        D::ChargeHotWarning => &["TEMP_OVERTEMPERATURE_CHARGE_RSL"],
        D::ChargeHotFatal => &["TEMP_OVERTEMPERATURE_CHARGE_MSL"],
        D::ChargeColdInformation => &["TEMP_UNDERTEMPERATURE_CHARGE_MOL"],
        D::ChargeColdWarning => &["TEMP_UNDERTEMPERATURE_CHARGE_RSL"],
        D::ChargeColdFatal => &["TEMP_UNDERTEMPERATURE_CHARGE_MSL"],
        D::TemperatureSpreadWarning => &["PLAUSIBILITY_CELL_TEMPERATURE_SPREAD"],
        D::ImbalanceWarning => &["PLAUSIBILITY_CELL_VOLTAGE_SPREAD"],
        D::InsulationWarning => &["LOW_INSULATION_RESISTANCE_WARNING"],
        D::InsulationFatal => &["LOW_INSULATION_RESISTANCE_ERROR", "INSULATION_GROUND_ERROR"],
        D::InterlockOpen => &["INTERLOCK_FEEDBACK"],
        D::PlusWelded | D::PlusFailsToClose => &["STRING_PLUS_CONTACTOR_FEEDBACK"],
        D::MinusWelded | D::MinusFailsToClose => &["STRING_MINUS_CONTACTOR_FEEDBACK"],
        D::PrechargeWelded | D::PrechargeFailsToClose => &["PRECHARGE_CONTACTOR_FEEDBACK"],
        D::PrechargeFailed => &["PRECHARGE_ABORT_REASON_VOLTAGE", "PRECHARGE_ABORT_REASON_CURRENT"],
        D::CurrentWhileOpen => &["CURRENT_ON_OPEN_STRING"],
        D::CellWireOpen => &["AFE_OPEN_WIRE"],
        D::CellVoltageJump => &["PLAUSIBILITY_CELL_VOLTAGE"],
        D::CellVoltageLost => &["AFE_CELL_VOLTAGE_MEAS_ERROR", "BASE_CELL_VOLTAGE_MEASUREMENT_TIMEOUT"],
        D::PackVoltageDisagrees => &["PLAUSIBILITY_PACK_VOLTAGE"],
        D::PackVoltageLost => &["CURRENT_SENSOR_V1_MEASUREMENT_TIMEOUT"],
        D::TemperatureLost => &["AFE_CELL_TEMPERATURE_MEAS_ERROR"],
        D::TemperaturesLost => &["BASE_CELL_TEMPERATURE_MEASUREMENT_TIMEOUT"],
        D::TemperatureJump => &["PLAUSIBILITY_CELL_TEMP"],
        D::CurrentLost => &["CURRENT_MEASUREMENT_TIMEOUT", "CURRENT_MEASUREMENT_ERROR"],
        D::FrontEndLost => &["AFE_SPI", "AFE_COM_INTEGRITY", "AFE_MUX", "AFE_CONFIG"],
        D::CurrentSensorLost => &["CURRENT_SENSOR_RESPONDING", "CAN_CC_RESPONDING"],
        D::VehicleLost => &["CAN_TIMING"],
        D::InsulationMonitorLost => &["INSULATION_MEASUREMENT_VALID"],
        D::TaskOverrun => &["SYSTEM_MONITORING"],
        D::MemoryCorrupt => &["FLASHCHECKSUM"],
        D::StoreDamaged => &["FRAM_READ_CRC_ERROR"],
        _ => &[],
    }
}

/// The whole table.
pub(crate) fn table(trace: &Trace) -> String {
    let mut out = concat!(
        "| No. | Diagnosis | Condition | Level | Sense + debounce + delay, ms | Reaction | Latch | FTTI, ms | At the latest, ms ",
        "| Requirement | foxBMS 2 |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    .to_owned();
    for e in &TABLE {
        let (ftti, latest) = if e.ftti_ms > 0 {
            (e.ftti_ms.to_string(), e.reaction_time_ms().to_string())
        } else {
            ("–".to_owned(), "–".to_owned())
        };
        writeln!(
            out,
            "| {} | `{}` | {} | {:?} | {} + {} + {} | {:?} | {:?} | {ftti} | {latest} | {} | {} |",
            e.id as u8,
            e.name,
            e.id.condition(),
            e.level,
            e.sense_ms,
            e.debounce_ms,
            e.delay_ms,
            e.reaction,
            e.latch,
            trace.of_diagnosis(e.name).join(", "),
            foxbms(e.id).join(", ")
        )
        .expect("a string takes all");
    }
    out
}
