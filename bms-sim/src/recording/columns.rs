//! The files of a recording.

use std::path::Path;

use super::{Recording, Row};
use crate::data::bdf::bdf_from_discharge_positive as on_charge;
use crate::data::{DataError, Values, write_parquet};

/// A column with one value for each row.
type Column = (&'static str, fn(&Row) -> f64);

/// Names of the Battery Data Format where it has one. Currents and powers of the pack are positive on charge, as there.
const COLUMNS: [Column; 55] = [
    ("Test Time / s", |r| r.time_s),
    ("Voltage / V", |r| r.values.voltage_v),
    ("Current / A", |r| on_charge(r.values.current_a)),
    ("Power / W", |r| on_charge(r.values.power_w)),
    ("requested_power_w", |r| on_charge(r.values.requested_power_w)),
    ("Ambient Temperature / degC", |r| r.ambient_c),
    ("soc_true", |r| r.soc.mean),
    ("soc_true_min", |r| r.soc.min),
    ("soc_true_max", |r| r.soc.max),
    ("soc_estimated", |r| r.values.estimated_soc),
    ("soc_estimated_min", |r| r.estimated_soc.min),
    ("soc_estimated_mean", |r| r.estimated_soc.mean),
    ("soc_estimated_max", |r| r.estimated_soc.max),
    ("core_min_c", |r| r.core_c.min),
    ("core_mean_c", |r| r.core_c.mean),
    ("core_max_c", |r| r.core_c.max),
    ("core_spread_k", |r| r.core_c.spread()),
    ("estimated_core_min_c", |r| r.values.estimated_core_min_c),
    ("estimated_core_mean_c", |r| r.values.estimated_core_mean_c),
    ("estimated_core_max_c", |r| r.values.estimated_core_max_c),
    ("estimated_core_spread_k", |r| r.values.estimated_core_max_c - r.values.estimated_core_min_c),
    ("min_cell_v", |r| r.values.min_cell_v),
    ("max_cell_v", |r| r.values.max_cell_v),
    ("min_anode_potential_v", |r| r.values.min_anode_v),
    ("cell_heat_w", |r| r.values.cell_heat_w),
    ("coolant_in_c", |r| r.values.coolant_in_c),
    ("coolant_out_c", |r| r.values.coolant_out_c),
    ("flow_l_per_min", |r| r.values.flow_l_per_min),
    ("pump_w", |r| r.values.pump_w),
    ("chiller_w", |r| r.values.chiller_w),
    ("chiller_heat_w", |r| r.values.chiller_heat_w),
    ("heater_w", |r| r.values.heater_w),
    ("film_w", |r| r.values.film_w),
    ("pulse_a", |r| r.values.pulse_a),
    ("pulse_w", |r| r.values.pulse_w),
    ("machines_from_mains", |r| f64::from(u8::from(r.values.from_mains))),
    ("balancing_channels", |r| r.values.balancing_channels),
    ("balancing_w", |r| r.values.balancing_w),
    ("charge_request_a", |r| r.values.charge_request_a),
    ("charge_state", |r| r.values.charge_state),
    ("discharge_limit_w", |r| r.values.discharge_limit_w),
    ("charge_limit_w", |r| r.values.charge_limit_w),
    ("contactors", |r| r.values.contactors),
    ("mode", |r| r.values.mode),
    ("diagnosed", |r| r.values.diagnosed),
    ("alarm", |r| r.values.alarm),
    ("cells_lost", |r| r.values.cells_lost),
    ("drive_wh", |r| r.bill.drive_wh),
    ("charge_wh", |r| r.bill.charge_wh),
    ("pump_wh", |r| r.bill.pump_wh),
    ("chiller_wh", |r| r.bill.chiller_wh),
    ("heater_wh", |r| r.bill.heater_wh),
    ("film_wh", |r| r.bill.film_wh),
    ("pulse_wh", |r| r.bill.pulse_wh),
    ("balancing_wh", |r| r.bill.balancing_wh),
];

impl Recording {
    /// Writes all rows as Parquet: the columns of the Battery Data Format where it has one, `Step Index / 1` for the phase
    /// (from 1), then `soc_000` ... of every group and `core_c_000` ... of every cell in single precision. A null is what is
    /// not known.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_parquet(&self, path: &Path) -> Result<(), DataError> {
        let mut names: Vec<String> = Vec::new();
        let mut values: Vec<Values> = Vec::new();
        for (name, value) in COLUMNS {
            names.push(name.into());
            values.push(Values::Real(self.rows.iter().map(value).collect()));
        }
        names.push("Step Index / 1".into());
        values.push(Values::Whole(self.rows.iter().map(|r| r.phase as i64 + 1).collect()));
        for (prefix, width, cells) in [("soc", self.groups, &self.soc), ("core_c", self.cells, &self.core_c)]
        {
            for k in 0..width {
                names.push(format!("{prefix}_{k:03}"));
                values.push(Values::Single(cells.iter().skip(k).step_by(width).copied().collect()));
            }
        }
        let columns: Vec<(&str, Values)> = names.iter().map(String::as_str).zip(values).collect();
        write_parquet(path, &columns)
    }
}
