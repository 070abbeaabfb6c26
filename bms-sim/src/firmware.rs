//! What was identified and simulated, for firmware: `const` tables of a cell, parameters of a pack as a block of words.

use std::fmt::Write as _;
use std::path::Path;

use bms_core::cell::OcvAgeing;

use crate::cell_file::{CellFile, CellFileError, Chemistry};
use crate::pack_file::{PackFile, PackFileError};

/// Rust source with the cell's tables as one constant of type `bms_core::cell::CellTables<'static>`.
///
/// The numbers are the single-precision ones that the simulator uses, printed so that they come back bit for bit: the
/// controller computes with exactly what was verified.
///
/// # Errors
/// If the core refuses the tables.
pub fn rust_tables(cell: &CellFile) -> Result<String, CellFileError> {
    let owned = cell.core_tables()?;
    let t = owned.borrow();
    let mut out = String::new();
    let info = &cell.cell;
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("//! Parameter tables of `{}`, written by `bms export`; do not edit.", info.name));
    line("//!".into());
    line(format!("//! Source: {}; {}.", cell.provenance.source, cell.provenance.tool));
    let v = &cell.validity;
    line(format!(
        "//! Valid from {} to {} degC; pulses from {:.0} to {:.0} % SOC, up to {:.1}C discharge and {:.1}C charge.",
        v.temperature_c[0],
        v.temperature_c[1],
        100.0 * v.soc[0],
        100.0 * v.soc[1],
        v.c_rate[0],
        v.c_rate[1]
    ));
    line(format!("//! Chemistry: use `bms_core::tuning::Tuning::{}`.", info.chemistry.name()));
    line("\nuse bms_core::cell::{CellTables, OcvAgeing};\n".into());
    line("/// Tables over temperature (rows) and SOC 0..=1 in equal steps (columns).".into());
    line("pub const CELL: CellTables<'static> = CellTables {".into());
    for (name, value) in [
        ("capacity_ah", t.capacity_ah),
        ("coulombic_efficiency", t.coulombic_efficiency),
        ("v_min", t.v_min),
        ("v_max", t.v_max),
        ("hysteresis_gamma", t.hysteresis_gamma),
    ] {
        line(format!("    {name}: {value:?},"));
    }
    for (name, table) in [
        ("temperature_c", t.temperature_c),
        ("ocv_v", t.ocv_v),
        ("hysteresis_v", t.hysteresis_v),
        ("r0_ohm", t.r0_ohm),
        ("rct_ohm", t.rct_ohm),
        ("r1_ohm", t.r1_ohm),
        ("tau1_s", t.tau1_s),
        ("r2_ohm", t.r2_ohm),
        ("tau2_s", t.tau2_s),
        ("i_ct_a", t.i_ct_a),
        ("model_error_v", t.model_error_v),
    ] {
        let mut text = String::new();
        let columns = table.len() / t.temperature_c.len();
        let per_line = if columns > 1 { columns } else { table.len() };
        for row in table.chunks(per_line) {
            let numbers: Vec<String> = row.iter().map(|x| format!("{x:?}")).collect();
            // Writing to a string cannot fail.
            let _ = write!(text, "\n        {},", numbers.join(", "));
        }
        line(format!("    {name}: &[{text}\n    ],"));
    }
    let OcvAgeing { fade, shift_v } = t.ageing;
    line(format!("    ageing: OcvAgeing {{ fade: &{fade:?}, shift_v: &{shift_v:?} }},"));
    line(format!("    negative_v: &{:?},", t.negative_v));
    line("};".into());
    Ok(out)
}

/// A pack of one cell with the limits that its file tells, for a block of a cell without a pack file.
///
/// # Errors
/// If the cell's numbers make no pack.
pub fn pack_of_one(cell: &CellFile) -> Result<PackFile, PackFileError> {
    let (info, valid) = (&cell.cell, &cell.validity);
    let ah = info.capacity_ah;
    let [discharge_a, charge_a] = valid.c_rate.map(|c| c * ah);
    let model = if info.chemistry == Chemistry::Lfp { "prada2013" } else { "okane2022" };
    // Some 50 Ah/kg and 1 kJ/(kg K) are usual; a firmware team knows its own cell's.
    let (mass_kg, j_per_k) = (0.02 * ah, 20.0 * ah);
    let text = format!(
        r#"
format_version = 1
name = "one cell: {name}"
[cell]
name = "{name}"
format = "as identified"
model = "{model}"
size = 1.0
mass_kg = {mass_kg:?}
core_j_per_k = {core:?}
surface_j_per_k = {surface:?}
core_surface_w_per_k = {inner:?}
[layout]
series = 1
parallel = 1
modules = 1
[spread]
[electrical]
tab_ohm = 0.0
busbar_ohm = 0.0
cable_ohm = 1e-3
contactor_ohm = 2e-4
precharge_ohm = 22.0
link_f = 1e-3
fuse_rated_a = {fuse_a:?}
fuse_i2t_a2s = 1e5
fuse_ohm = 1e-4
isolation_positive_ohm = 1e7
isolation_negative_ohm = 1e7
[thermal]
neighbour_w_per_k = 0.0
module_gap_w_per_k = 0.0
end_to_ambient_w_per_k = 0.0
surface_to_ambient_w_per_k = {outer:?}
[sensors]
corner = "good"
temperature_cells = [0]
[limits]
voltage_v = [{v_min:?}, {v_max:?}]
discharge_a = {discharge_a:?}
charge_a = {charge_a:?}
pulse_discharge_a = {discharge_a:?}
pulse_charge_a = {charge_a:?}
discharge_temperature_c = [{cold:?}, {hot:?}]
charge_temperature_c = [{charge_cold:?}, {hot:?}]
[mass]
housing_kg = 0.0
cooling_kg = 0.0
coolant_kg = 0.0
bms_kg = 0.0
busbars_kg = 0.0
contactors_kg = 0.0
other_kg = 0.0
"#,
        fuse_a = 1.5 * discharge_a.max(charge_a),
        name = info.name.replace(['"', '\\'], ""),
        core = 0.9 * j_per_k,
        surface = 0.1 * j_per_k,
        inner = 0.05 * j_per_k,
        outer = 0.002 * j_per_k,
        v_min = info.v_min,
        v_max = info.v_max,
        cold = valid.temperature_c[0],
        hot = valid.temperature_c[1].max(45.0),
        charge_cold = valid.temperature_c[0].max(0.0),
    );
    PackFile::parse(&text, Path::new(""))
}

/// The parameters of a pack as bytes of a file, little-endian, to be flashed at an address divisible by four.
#[must_use]
pub fn blob(block: &[u32]) -> Vec<u8> {
    block.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The parameters of a pack as a C header with one constant array.
#[must_use]
pub fn c_header(block: &[u32], file: &PackFile, capacity_ah: f32) -> String {
    let sensors = file.sensed_cells().len();
    let layout = &file.layout;
    let mut out = format!(
        "/* Parameters of `{}`, written by `bms export`; do not edit.\n *\n * For a library built with BMS_CELLS={} \
         BMS_SENSORS={sensors} BMS_MODULES={}. */\n#ifndef BMS_PARAMETERS_H\n#define BMS_PARAMETERS_H\n\n\
         #include <stdint.h>\n\n#if BMS_CELLS != {} || BMS_SENSORS != {sensors} || BMS_MODULES != {}\n\
         #error \"these parameters are for another pack than BMS_CELLS, BMS_SENSORS, BMS_MODULES\"\n#endif\n\n\
         /* Capacity of a new cell or group in Ah. */\n#define BMS_PARAMETERS_CAPACITY_AH {:?}f\n\n\
         static const uint32_t BMS_PARAMETERS[{}] = {{",
        file.name.replace("*/", ""),
        layout.series,
        layout.modules,
        layout.series,
        layout.modules,
        capacity_ah,
        block.len(),
    );
    for (k, word) in block.iter().enumerate() {
        out.push_str(if k % 10 == 0 { "\n    " } else { " " });
        // Writing to a string cannot fail.
        let _ = write!(out, "0x{word:08x},");
    }
    out.push_str("\n};\n\n#endif\n");
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell_file::{CellInfo, Chemistry, Provenance, Tables, Validity};

    pub(crate) fn cell() -> CellFile {
        let row = |x: f64, n: usize| vec![vec![x; n]; 2];
        CellFile {
            format_version: crate::cell_file::FORMAT_VERSION,
            cell: CellInfo {
                name: "test".into(),
                chemistry: Chemistry::Lfp,
                nominal_capacity_ah: 2.0,
                capacity_ah: 1.987_654_3,
                coulombic_efficiency: 1.0,
                v_min: 2.0,
                v_max: 3.65,
            },
            validity: Validity { temperature_c: [0.0, 25.0], soc: [0.05, 1.0], c_rate: [3.0, 2.0] },
            provenance: Provenance {
                tool: "test".into(),
                source: "test".into(),
                files: Vec::new(),
                warnings: Vec::new(),
            },
            tables: Tables {
                temperature_c: vec![0.0, 25.0],
                ocv_v: vec![vec![3.0, 3.3, 3.312_345_67], vec![3.0, 3.29, 3.4]],
                hysteresis_v: row(0.01, 3),
                r0_ohm: row(0.012_345_678_9, 2),
                rct_ohm: row(0.0, 2),
                r1_ohm: row(1e-7, 2),
                tau1_s: row(12.3, 2),
                r2_ohm: row(0.02, 2),
                tau2_s: row(300.0, 2),
                i_ct_a: vec![0.7, 1.1],
                model_error_v: row(0.01, 2),
                hysteresis_gamma: 50.0,
                ageing: None,
                negative_v: Vec::new(),
            },
            fit: Vec::new(),
        }
    }

    #[test]
    fn a_cell_alone_makes_a_pack_of_one() {
        let pack = pack_of_one(&cell()).unwrap();
        assert_eq!((pack.layout.series, pack.sensed_cells().len()), (1, 1));
        assert_eq!(pack.limits.voltage_v, [2.0, 3.65]);
    }

    /// Every number of the source, table by table, is the one that the simulator computes with.
    #[test]
    fn numbers_come_back_bit_for_bit() {
        let source = rust_tables(&cell()).unwrap();
        let owned = cell().core_tables().unwrap();
        let t = owned.borrow();
        let table = |name: &str| -> Vec<f32> {
            let (_, rest) = source.split_once(&format!("    {name}: &[")).unwrap();
            let (list, _) = rest.split_once(']').unwrap();
            list.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect()
        };
        assert_eq!(table("temperature_c"), t.temperature_c);
        assert_eq!(table("ocv_v"), t.ocv_v);
        assert_eq!(table("r0_ohm"), t.r0_ohm);
        assert_eq!(table("r1_ohm"), t.r1_ohm);
        assert_eq!(table("i_ct_a"), t.i_ct_a);
        assert_eq!(table("model_error_v"), t.model_error_v);
        assert!(source.contains(&format!("capacity_ah: {:?},", t.capacity_ah)));
        assert!(source.contains("Tuning::LFP"));
    }
}
