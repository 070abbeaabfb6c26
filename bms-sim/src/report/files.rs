//! The CSV files behind the page.

use std::path::{Component, Path, PathBuf};

use super::aggregate::Estimator;
use super::condition::condition;
use super::traces::chemistry_name;
use super::{ReportError, write_file};
use crate::results::{Ablation, Case, Trace};

/// Where a trace goes, refused when it leads out of the report folder.
pub(super) fn trace_path(dir: &Path, file: &str) -> Result<PathBuf, ReportError> {
    let inside = !file.is_empty()
        && Path::new(file).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if inside { Ok(dir.join(file)) } else { Err(ReportError::OutsideReport(file.into())) }
}

/// Fractions for SOC, SI units else; values that are not finite stay empty.
pub(super) fn write_trace(path: &Path, trace: &Trace) -> Result<(), ReportError> {
    let columns: [(&str, &[f64]); 10] = [
        ("time_s", &trace.time_s),
        ("soc_true_fraction", &trace.soc_true),
        ("soc_bms_fraction", &trace.soc),
        ("soc_bms_std_fraction", &trace.soc_std),
        ("soc_coulomb_counter_fraction", &trace.soc_coulomb_counter),
        ("soc_textbook_ekf_fraction", &trace.soc_textbook_ekf),
        ("voltage_v", &trace.voltage_v),
        ("current_a", &trace.current_a),
        ("temperature_degc", &trace.temperature_c),
        ("current_bias_estimate_a", &trace.current_bias_a),
    ];
    let mut rows = vec![columns.iter().map(|(name, _)| (*name).to_string()).collect()];
    for i in 0..trace.time_s.len() {
        rows.push(
            columns.iter().map(|(_, values)| values.get(i).copied().map(cell).unwrap_or_default()).collect(),
        );
    }
    write_csv(path, &rows)
}

/// One line per run with all scores.
pub(super) fn write_runs(path: &Path, cases: &[Case]) -> Result<(), ReportError> {
    let mut head: Vec<String> = [
        "dataset",
        "chemistry",
        "measured",
        "plant",
        "age",
        "temperature_degc",
        "profile",
        "file",
        "condition",
        "start_error_points",
        "sensors",
        "current_offset_a",
        "capacity_ah",
        "capacity_known",
        "draw",
        "trace_file",
    ]
    .map(String::from)
    .to_vec();
    for name in ["bms", "coulomb_counter", "textbook_ekf"] {
        for score in [
            "max_points",
            "p99_points",
            "rmse_points",
            "end_points",
            "convergence_s",
            "coverage_fraction",
            "scored_h",
        ] {
            head.push(format!("{name}_{score}"));
        }
    }
    let mut rows = vec![head];
    for c in cases {
        let mut row = vec![
            c.dataset.clone(),
            chemistry_name(c).into(),
            c.measured.to_string(),
            c.plant.to_string(),
            c.age.clone(),
            cell(c.temperature_c),
            c.profile.clone(),
            c.file.clone(),
            condition(c).label().into(),
            cell(c.start_error_points),
            c.sensors.clone(),
            cell(c.current_offset_a),
            cell(c.capacity_ah),
            c.capacity_known.to_string(),
            c.draw.to_string(),
            c.trace_file.clone().unwrap_or_default(),
        ];
        for e in Estimator::ALL {
            let s = e.score(c);
            row.extend([s.max_points, s.p99_points, s.rmse_points, s.end_points].map(cell));
            row.extend([s.convergence_s, s.coverage].map(|v| v.map(cell).unwrap_or_default()));
            row.push(cell(s.scored_h));
        }
        rows.push(row);
    }
    write_csv(path, &rows)
}

/// One line per variant and group.
pub(super) fn write_ablations(path: &Path, ablations: &[Ablation]) -> Result<(), ReportError> {
    let head = [
        "group",
        "variant",
        "cases",
        "rmse_points",
        "mean_max_points",
        "worst_max_points",
        "coverage_fraction",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for a in ablations {
        let mut row = vec![a.group.clone(), a.variant.clone(), a.cases.to_string()];
        row.extend([a.rmse_points, a.mean_max_points, a.worst_max_points, a.coverage].map(cell));
        rows.push(row);
    }
    write_csv(path, &rows)
}

/// Six decimals at most, empty when not finite.
fn cell(value: f64) -> String {
    if value.is_finite() { format!("{}", (value * 1e6).round() / 1e6) } else { String::new() }
}

fn write_csv(path: &Path, rows: &[Vec<String>]) -> Result<(), ReportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(|e| ReportError::io(path, e.into()))?;
    }
    let bytes = writer.into_inner().map_err(|e| ReportError::io(path, e.into_error()))?;
    write_file(path, &bytes)
}
