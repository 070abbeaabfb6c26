//! The cell file as `const` tables for firmware.

use std::fmt::Write as _;

use bms_core::cell::OcvAgeing;

use crate::cell_file::{CellFile, CellFileError};

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
