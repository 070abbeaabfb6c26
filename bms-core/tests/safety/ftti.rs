//! Fault-tolerant time intervals by physics: how long a fault may last, from assumptions that are written down once.
//!
//! Everything is per ampere-hour and per ampere-hour's heat capacity, so it holds for any size of cell.

use std::fmt::Write as _;

use bms_core::safety::table::{Diagnosis, Entry, TABLE};

macro_rules! assumptions {
    ($($name:ident = $value:literal, $unit:literal, $mark:literal, $meaning:literal;)+) => {
        $(const $name: f64 = $value;)+
        /// Symbol, value, unit, mark, meaning.
        const ASSUMPTIONS: &[(&str, f64, &str, &str, &str)] =
            &[$((stringify!($name), $value, $unit, $mark, $meaning)),+];
    };
}

assumptions! {
    PULSE_CHARGE = 5.0, "1/h", "A", "largest charge current that passes before `ChargePulseFatal`, per capacity (5C)";
    CHARGE = 3.0, "1/h", "A", "largest charge current that a charger goes on with, per capacity (3C)";
    DISCHARGE = 5.0, "1/h", "A", "largest discharge current at low voltage, per capacity (5C)";
    PULSE_DISCHARGE = 10.0, "1/h", "A", "largest discharge current that passes before `DischargePulseFatal`, per capacity (10C)";
    SAFE_OVERCHARGE = 0.15, "", "S", "charge past full, as a share of the capacity, that a cell stands without fire: GB 38031 tests overcharge to 115 % SOC";
    SAFE_OVERVOLTAGE = 1.1, "", "S", "voltage that a cell stands without fire, as a share of its end-of-charge voltage: the same test ends there";
    NMC_FULL_V = 4.2, "V", "A", "end-of-charge voltage, NMC";
    NMC_FATAL_V = 4.25, "V", "S", "fatal limit, NMC (that of the open industrial example)";
    NMC_SLOPE_V = 1.2, "V", "A", "rise of an NMC cell's voltage past full per unit of SOC";
    LFP_FULL_V = 3.65, "V", "A", "end-of-charge voltage, LFP";
    LFP_FATAL_V = 3.75, "V", "A", "fatal limit, LFP";
    LFP_SLOPE_V = 20.0, "V", "A", "rise of an LFP cell's voltage past full per unit of SOC";
    EMPTY_FATAL_V = 2.5, "V", "A", "fatal limit of the lowest cell, NMC";
    COPPER_V = 1.0, "V", "M", "cell voltage below which copper dissolves";
    EMPTY_SLOPE_V = 100.0, "V", "A", "fall of an empty cell's voltage per unit of SOC";
    COPPER_SHARE = 0.01, "", "A", "charge into a cell with dissolved copper, as a share of the capacity, before a shunt of it heats";
    PLATED_SHARE = 0.01, "", "A", "lithium that may plate, as a share of the capacity, if all current plates";
    SHARED_OHM_AH = 0.1, "ohm Ah", "A", "resistance times capacity of a cell (20 mohm at 5 Ah)";
    HEAT_J_PER_K_AH = 14.0, "J/(K Ah)", "A", "heat capacity per capacity of a cell (70 J/K at 5 Ah)";
    HOT_FATAL_C = 60.0, "degC", "A", "fatal limit of the hottest sensor";
    SELF_HEATING_C = 80.0, "degC", "M", "onset of self-heating (decomposition of the SEI)";
    SENSOR_K = 2.0, "K", "M", "error of a temperature sensor (GB/T 38661)";
    CORE_K = 5.0, "K", "A", "core above the sensor";
    WORKING_HOT_C = 50.0, "degC", "A", "highest temperature that is told of (information level)";
    RUNAWAY_C = 600.0, "degC", "M", "temperature of a cell that burns out";
    NEIGHBOUR_C = 40.0, "degC", "A", "its neighbour at that moment";
    PROPAGATION_C = 150.0, "degC", "A", "temperature at which the neighbour follows";
    NEIGHBOUR_S = 350.0, "s", "A", "time constant from cell to cell (70 J/K over 0.2 W/K): to be shown by the pack's maker";
    ALARM_S = 300.0, "s", "S", "GB 38031: alarm within five minutes of the runaway";
    BUSBAR_A_PER_MM2 = 5.0, "A/mm2", "A", "current density of conductors at the continuous limit";
    BUSBAR_K = 40.0, "K", "A", "warming of conductors at the continuous limit, and as much again that they and their insulation stand";
    COPPER_OHM_M = 2.06e-8, "ohm m", "M", "resistivity of copper at 70 degC";
    COPPER_J_PER_K_M3 = 3.45e6, "J/(K m3)", "M", "heat capacity of copper by volume";
    OVERLOAD = 1.5, "", "A", "pulse limit as a multiple of the continuous limit (the example settings: 30 A, 20 A)";
    FUSE_FROM = 8.0, "", "A", "current, as a multiple of the continuous limit, from which the fuse is faster than the core";
    CONTACTOR_S = 0.6, "s", "A", "time for which closed contactors carry that current: to be taken from their data sheet";
    INSULATION_OHM_PER_V = 100.0, "ohm/V", "S", "insulation limit of GB 38031 and ISO 6469";
    LET_GO_A = 0.03, "A", "M", "direct current that a person can still let go";
    INSULATION_HALVES_S = 30.0, "s", "A", "time in which a resistance that falls by wetting halves";
    REACH_S = 2.0, "s", "A", "time from the interlock's opening until a hand reaches a live contact";
    LINK_S = 1.0, "s", "S", "time to discharge the link to 60 V (GB 18384, by a summary)";
    PRECHARGE_V = 400.0, "V", "A", "pack voltage of the example";
    PRECHARGE_OHM = 40.0, "ohm", "A", "precharge resistor of the example";
    PRECHARGE_J = 10e3, "J", "A", "energy that the precharge resistor stands at once";
    SHORT_V = 4.0, "V", "A", "voltage over an internal short";
    SHORT_OHM_AH = 5.0, "ohm Ah", "A", "resistance of the short times capacity (1 ohm at 5 Ah)";
    HEATER_W_PER_AH = 1.0, "W/Ah", "A", "heater per capacity (5 W at a cell of 5 Ah)";
    HEATER_LOCAL = 2.0, "", "A", "hot spot under a heater: rise against the mean";
    HEATED_C = 15.0, "degC", "A", "temperature at which heating ends";
}

const HOUR_S: f64 = 3600.0;

/// Time in s in which a current (per capacity) moves a share of the capacity.
fn moves(share: f64, rate: f64) -> f64 {
    share * HOUR_S / rate
}

/// Between the fatal limit and what the overcharge test has shown to be harmless, whichever end comes first.
fn overcharge_s(full_v: f64, fatal_v: f64, slope_v: f64) -> f64 {
    let by_voltage = (SAFE_OVERVOLTAGE * full_v - fatal_v) / slope_v;
    let by_charge = SAFE_OVERCHARGE - (fatal_v - full_v) / slope_v;
    moves(by_voltage.min(by_charge), PULSE_CHARGE)
}

/// Warming in K/s of a cell with a current (per capacity).
fn cell_k_per_s(rate: f64) -> f64 {
    rate * rate * SHARED_OHM_AH / HEAT_J_PER_K_AH
}

/// Warming that is left at the fatal limit of temperature in K.
fn reserve_k() -> f64 {
    SELF_HEATING_C - HOT_FATAL_C - SENSOR_K - CORE_K
}

/// Warming in K/s of a conductor that carries a multiple of its continuous current, without cooling.
fn busbar_k_per_s(times: f64) -> f64 {
    let a_per_m2 = times * BUSBAR_A_PER_MM2 * 1e6;
    a_per_m2 * a_per_m2 * COPPER_OHM_M / COPPER_J_PER_K_M3
}

/// One way in which a fault becomes harm.
#[derive(Clone, Copy)]
struct Derivation {
    id: &'static str,
    harm: &'static str,
    formula: &'static str,
    time_s: fn() -> f64,
}

const OVERCHARGE: Derivation = Derivation {
    id: "D-1",
    harm: "a cell is charged past what the overcharge test has shown to be harmless",
    formula: "min over NMC, LFP of min((SAFE_OVERVOLTAGE FULL − FATAL)/SLOPE, SAFE_OVERCHARGE − (FATAL − FULL)/SLOPE) / PULSE_CHARGE",
    time_s: || {
        overcharge_s(NMC_FULL_V, NMC_FATAL_V, NMC_SLOPE_V).min(overcharge_s(
            LFP_FULL_V,
            LFP_FATAL_V,
            LFP_SLOPE_V,
        ))
    },
};
const EMPTY: Derivation = Derivation {
    id: "D-2",
    harm: "a cell is emptied until copper dissolves",
    formula: "(EMPTY_FATAL − COPPER)/EMPTY_SLOPE / DISCHARGE",
    time_s: || moves((EMPTY_FATAL_V - COPPER_V) / EMPTY_SLOPE_V, DISCHARGE),
};
const COPPER: Derivation = Derivation {
    id: "D-3",
    harm: "a cell with dissolved copper is charged until a shunt of copper heats",
    formula: "COPPER_SHARE / PULSE_CHARGE",
    time_s: || moves(COPPER_SHARE, PULSE_CHARGE),
};
const OVERLOAD_HEAT: Derivation = Derivation {
    id: "D-4",
    harm: "conductors overheat by a current between the continuous and the pulse limit",
    formula: "−tau ln(1 − 1/(OVERLOAD² − 1)), tau = BUSBAR_K / (BUSBAR² COPPER_OHM_M / COPPER_J)",
    time_s: || {
        // From BUSBAR_K above the surroundings towards OVERLOAD² times that; harm at twice BUSBAR_K.
        let tau_s = BUSBAR_K / busbar_k_per_s(1.0);
        let share = 1.0 / (OVERLOAD * OVERLOAD - 1.0);
        if share < 1.0 { -tau_s * (1.0 - share).ln() } else { f64::INFINITY }
    },
};
const PULSE: Derivation = Derivation {
    id: "D-5",
    harm: "conductors or contactors are damaged by a current that the fuse is too slow for",
    formula: "min(CONTACTOR, BUSBAR_K / ((FUSE_FROM BUSBAR)² COPPER_OHM_M / COPPER_J))",
    time_s: || CONTACTOR_S.min(BUSBAR_K / busbar_k_per_s(FUSE_FROM)),
};
const HOT: Derivation = Derivation {
    id: "D-6",
    harm: "a cell at its highest temperature heats itself from then on",
    formula: "reserve / (PULSE_DISCHARGE² SHARED_OHM_AH / HEAT), reserve = SELF_HEATING − HOT_FATAL − SENSOR − CORE",
    time_s: || reserve_k() / cell_k_per_s(PULSE_DISCHARGE),
};
const PLATING: Derivation = Derivation {
    id: "D-7",
    harm: "lithium plates on a cold cell and grows through the separator",
    formula: "PLATED_SHARE / CHARGE",
    time_s: || moves(PLATED_SHARE, CHARGE),
};
const PROPAGATION: Derivation = Derivation {
    id: "D-8",
    harm: "the neighbour of a burning cell follows before people are warned",
    formula: "min(ALARM, NEIGHBOUR ln((RUNAWAY_C − NEIGHBOUR_C)/(RUNAWAY_C − PROPAGATION_C)))",
    time_s: || ALARM_S.min(NEIGHBOUR_S * ((RUNAWAY_C - NEIGHBOUR_C) / (RUNAWAY_C - PROPAGATION_C)).ln()),
};
const TOUCH: Derivation = Derivation {
    id: "D-9",
    harm: "the current through somebody who touches the pack is more than he can let go",
    formula: "INSULATION_HALVES log2(LET_GO INSULATION_OHM_PER_V)",
    time_s: || INSULATION_HALVES_S * (LET_GO_A * INSULATION_OHM_PER_V).log2(),
};
const INTERLOCK: Derivation = Derivation {
    id: "D-10",
    harm: "a hand reaches live parts behind an opened connector",
    formula: "REACH − LINK",
    time_s: || REACH_S - LINK_S,
};
const RESISTOR: Derivation = Derivation {
    id: "D-11",
    harm: "the precharge resistor burns, since it carries the load or a shorted link",
    formula: "PRECHARGE_J / (PRECHARGE_V² / PRECHARGE_OHM)",
    time_s: || PRECHARGE_J * PRECHARGE_OHM / (PRECHARGE_V * PRECHARGE_V),
};
const INTERNAL_SHORT: Derivation = Derivation {
    id: "D-12",
    harm: "an internal short heats its cell until it heats itself",
    formula: "(reserve + HOT_FATAL − WORKING_HOT) HEAT SHORT_OHM_AH / SHORT_V²",
    time_s: || {
        (reserve_k() + HOT_FATAL_C - WORKING_HOT_C) * HEAT_J_PER_K_AH * SHORT_OHM_AH / (SHORT_V * SHORT_V)
    },
};
const HEATER: Derivation = Derivation {
    id: "D-13",
    harm: "a heater that does not switch off heats a cell to its highest temperature",
    formula: "(HOT_FATAL − HEATED) HEAT / (HEATER HEATER_LOCAL)",
    time_s: || (HOT_FATAL_C - HEATED_C) * HEAT_J_PER_K_AH / (HEATER_W_PER_AH * HEATER_LOCAL),
};

const ALL: [Derivation; 13] = [
    OVERCHARGE,
    EMPTY,
    COPPER,
    OVERLOAD_HEAT,
    PULSE,
    HOT,
    PLATING,
    PROPAGATION,
    TOUCH,
    INTERLOCK,
    RESISTOR,
    INTERNAL_SHORT,
    HEATER,
];

/// What can come of a diagnosis, if nothing is done about it.
fn harms(id: Diagnosis) -> &'static [Derivation] {
    use Diagnosis as D;
    match id {
        D::CellVoltageHighFatal | D::ChargerLost | D::ChargerIgnoresLimit => &[OVERCHARGE],
        D::CellVoltageLowFatal | D::DischargeColdFatal => &[EMPTY],
        D::DeepDischarge => &[COPPER],
        D::DischargeCurrentFatal | D::ChargeCurrentFatal | D::VehicleLost | D::FuseBlown => &[OVERLOAD_HEAT],
        D::CurrentLost | D::CurrentDisagrees | D::CurrentStuck | D::CurrentSensorLost => {
            &[OVERLOAD_HEAT, OVERCHARGE, EMPTY]
        }
        D::DischargePulseFatal | D::ChargePulseFatal => &[PULSE],
        D::DischargeHotFatal | D::ChargeHotFatal | D::TemperatureSpreadFatal => &[HOT],
        D::ChargeColdFatal => &[PLATING],
        D::TemperaturesLost => &[HOT, PLATING],
        D::TemperatureRiseFatal | D::ThermalRunaway | D::ThermalRunawayNearby => &[PROPAGATION],
        D::InsulationFatal => &[TOUCH],
        D::InterlockOpen => &[INTERLOCK],
        D::PlusFailsToClose | D::MinusFailsToClose | D::PrechargeFailsToClose | D::PrechargeFailed => {
            &[RESISTOR]
        }
        D::CellWireOpen
        | D::CellVoltageStuck
        | D::CellVoltageJump
        | D::CellVoltageSwapped
        | D::CellVoltageLost
        | D::PackVoltageDisagrees => &[OVERCHARGE, EMPTY],
        D::FrontEndLost => &[OVERCHARGE, EMPTY, HOT],
        D::TaskOverrun | D::MemoryCorrupt => &[OVERCHARGE, EMPTY, OVERLOAD_HEAT, HOT, INTERLOCK],
        D::InternalShort => &[INTERNAL_SHORT],
        D::HeaterStuck => &[HEATER],
        _ => &[],
    }
}

fn shortest_ms(harms: &[Derivation]) -> f64 {
    harms.iter().map(|d| (d.time_s)() * 1e3).fold(f64::INFINITY, f64::min)
}

/// Rows whose FTTI is longer than physics allows, that have none though harm can come of them, or one without reason.
pub(crate) fn problems(table: &[Entry]) -> Vec<String> {
    let mut problems = Vec::new();
    for e in table {
        let harms = harms(e.id);
        // A whole number in the table for one that floating point may miss by a rounding.
        if (harms.is_empty()) != (e.ftti_ms == 0) {
            problems.push(format!("`{}`: FTTI {} ms with {} derivations", e.name, e.ftti_ms, harms.len()));
        } else if f64::from(e.ftti_ms) > shortest_ms(harms) * (1.0 + 1e-9) {
            let shortest = shortest_ms(harms);
            problems.push(format!("`{}`: FTTI {} ms, harm after {shortest:.0} ms", e.name, e.ftti_ms));
        }
    }
    problems
}

/// The assumptions as a table.
pub(crate) fn assumptions() -> String {
    let mut out = "| Symbol | Value | Unit | Mark | What |\n|---|---|---|---|---|\n".to_owned();
    for (symbol, value, unit, mark, what) in ASSUMPTIONS {
        let value = if value.abs() < 1e-3 { format!("{value:e}") } else { value.to_string() };
        writeln!(out, "| {symbol} | {value} | {unit} | [{mark}] | {what} |").expect("a string takes all");
    }
    out
}

/// The derivations as a table.
pub(crate) fn derivations() -> String {
    let mut out = "| Id | Harm | Time until then | s |\n|---|---|---|---|\n".to_owned();
    for d in ALL {
        writeln!(out, "| {} | {} | {} | {:.3} |", d.id, d.harm, d.formula, (d.time_s)())
            .expect("a string takes all");
    }
    out
}

/// Every diagnosis that has an FTTI, against its derivations and its reaction time.
pub(crate) fn table() -> String {
    let mut out = "| Diagnosis | Harm | Harm not before, ms | FTTI, ms | Reaction at the latest, ms | Left, ms |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for e in TABLE.iter().filter(|e| e.ftti_ms > 0) {
        let harms = harms(e.id);
        let ids: Vec<_> = harms.iter().map(|d| d.id).collect();
        let (shortest, reaction) = (shortest_ms(harms), e.reaction_time_ms());
        writeln!(
            out,
            "| `{}` | {} | {shortest:.0} | {} | {reaction} | {} |",
            e.name,
            ids.join(", "),
            e.ftti_ms,
            i64::from(e.ftti_ms) - i64::from(reaction)
        )
        .expect("a string takes all");
    }
    out
}

/// By hand: 0.265 V at 20 V per unit of SOC is 1.325 % of the capacity, at 5C 9.54 s.
#[test]
fn an_lfp_cell_is_overcharged_as_worked_out_by_hand() {
    assert!((overcharge_s(LFP_FULL_V, LFP_FATAL_V, LFP_SLOPE_V) - 9.54).abs() < 1e-9);
    // NMC ends by charge: 15 % less the 4.17 % up to the fatal limit, at 5C.
    let share = SAFE_OVERCHARGE - 0.05 / 1.2;
    assert!((overcharge_s(NMC_FULL_V, NMC_FATAL_V, NMC_SLOPE_V) - share * 720.0).abs() < 1e-9);
}

/// 10 W/Ah at 14 J/(K Ah) is 0.714 K/s; 10 A/mm2 warms copper by 0.597 K/s; an overload of 1.5 takes 1.609 time constants
/// of 268 s.
#[test]
fn heating_rates_as_worked_out_by_hand() {
    assert!((cell_k_per_s(10.0) - 0.714_286).abs() < 1e-6);
    assert!((busbar_k_per_s(2.0) - 0.597_101).abs() < 1e-6);
    assert!(((OVERLOAD_HEAT.time_s)() - 1.609_438 * 267.961).abs() < 0.1);
}

#[test]
fn a_row_that_is_too_slow_or_without_reason_is_noticed() {
    let mut table = TABLE;
    table[Diagnosis::CellVoltageHighFatal as usize].ftti_ms = 10_000;
    table[Diagnosis::InterlockOpen as usize].ftti_ms = 0;
    table[Diagnosis::SocUncertain as usize].ftti_ms = 1;
    assert_eq!(problems(&table).len(), 3, "{:?}", problems(&table));
}
