//! `bms identify`.

use std::io::{self, Write};

use anyhow::Result;
use bms_sim::cell_file::{CellFile, CellInfo, Validity};
use bms_sim::identify::identify;
use bms_sim::identify::plan::{Plan, Selection};
use bms_sim::report::identification::write_plots;
use bms_sim::verify::Progress;
use serde::Serialize;

use super::args::IdentifyArgs;
use super::progress::Bar;
use super::{Verdict, make_parent, print_json};

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    cell_file: String,
    plots: Vec<String>,
    cell: &'a CellInfo,
    validity: &'a Validity,
    temperatures: Vec<AtTemperature>,
    files: &'a [String],
    warnings: &'a [String],
}

/// Fit and parameters at one test temperature.
#[derive(Serialize)]
struct AtTemperature {
    temperature_c: f64,
    voltage_rmse_v: f64,
    voltage_max_v: f64,
    pulses: usize,
    tau1_s: f64,
    tau2_s: f64,
    /// Resistances at 50 % SOC.
    r0_ohm: f64,
    rct_ohm: f64,
    r1_ohm: f64,
    r2_ohm: f64,
    hysteresis_v: f64,
}

pub(super) fn run(args: IdentifyArgs, quiet: bool) -> Result<Verdict> {
    make_parent(&args.output)?;
    let bar = Bar::new(quiet);
    bar.stage("reading tests", 2);
    let mut plan = match &args.dataset {
        Some(dir) => {
            let selection = Selection { only: args.only.clone(), exclude: args.exclude.clone() };
            Plan::from_dataset(dir, &selection)?
        }
        None => Plan::from_files(&args.ocv, &args.hppc)?,
    };
    plan.name = args.name.unwrap_or(plan.name);
    plan.chemistry = args.chemistry.or(plan.chemistry);
    plan.nominal_capacity_ah = args.nominal_capacity_ah.or(plan.nominal_capacity_ah);
    plan.voltage_limits_v = args.voltage_limits.or(plan.voltage_limits_v);
    bar.stage("fitting the cell", 2);
    let mut cell = identify(&plan)?;
    if let Some(asked) = args.chemistry.filter(|asked| *asked != cell.cell.chemistry) {
        let found = cell.cell.chemistry.name();
        cell.provenance.warnings.push(format!(
            "--chemistry {} was asked for, but the open-circuit voltage looks like {found}",
            asked.name()
        ));
        cell.cell.chemistry = asked;
    }
    cell.save(&args.output)?;
    let dir = args.output.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let stem = args.output.file_stem().map_or_else(|| "cell".into(), |s| s.to_string_lossy());
    let plots = write_plots(dir, &stem, &cell)?;
    bar.finish();
    let temperatures: Vec<AtTemperature> =
        (0..cell.fit.len()).filter_map(|k| at_temperature(&cell, k)).collect();
    if args.json {
        print_json(&Summary {
            cell_file: args.output.display().to_string(),
            plots: plots.iter().map(|p| p.display().to_string()).collect(),
            cell: &cell.cell,
            validity: &cell.validity,
            temperatures,
            files: &cell.provenance.files,
            warnings: &cell.provenance.warnings,
        })?;
    } else if !quiet {
        let text = text(&cell, &temperatures);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        writeln!(out, "wrote {} and {} plots next to it", args.output.display(), plots.len())?;
    }
    Ok(Verdict::Met)
}

/// What was found at one of the test temperatures.
fn at_temperature(cell: &CellFile, index: usize) -> Option<AtTemperature> {
    let fit = cell.fit.get(index)?;
    let t = &cell.tables;
    let row = t.temperature_c.iter().position(|row| (row - fit.temperature_c).abs() < 0.01)?;
    let half = |table: &[Vec<f64>]| middle(table.get(row)?);
    Some(AtTemperature {
        temperature_c: fit.temperature_c,
        voltage_rmse_v: fit.voltage_rmse_v,
        voltage_max_v: fit.voltage_max_v,
        pulses: fit.pulses.len(),
        tau1_s: half(&t.tau1_s)?,
        tau2_s: half(&t.tau2_s)?,
        r0_ohm: half(&t.r0_ohm)?,
        rct_ohm: half(&t.rct_ohm)?,
        r1_ohm: half(&t.r1_ohm)?,
        r2_ohm: half(&t.r2_ohm)?,
        hysteresis_v: half(&t.hysteresis_v)?,
    })
}

/// The value at 50 % SOC: columns are equal steps from 0 to 1.
fn middle(row: &[f64]) -> Option<f64> {
    let last = row.len().checked_sub(1)?;
    Some(0.5 * (row.get(last / 2)? + row.get(last.div_ceil(2))?))
}

fn text(cell: &CellFile, temperatures: &[AtTemperature]) -> String {
    let (info, valid) = (&cell.cell, &cell.validity);
    let mut out = format!(
        "{}: {}, {:.3} Ah (nominal {:.3} Ah), {:.2} to {:.2} V\n\
         from {} ({} files), valid from {:.0} to {:.0} degC, SOC {:.0} to {:.0} %, {:.1}C discharge, {:.1}C charge\n\n",
        info.name,
        info.chemistry.name(),
        info.capacity_ah,
        info.nominal_capacity_ah,
        info.v_min,
        info.v_max,
        cell.provenance.source,
        cell.provenance.files.len(),
        valid.temperature_c[0],
        valid.temperature_c[1],
        100.0 * valid.soc[0],
        100.0 * valid.soc[1],
        valid.c_rate[0],
        valid.c_rate[1],
    );
    out += "        fit residual, mV  |     at 50 % SOC: resistances in mOhm, hysteresis in mV\n";
    out += "  degC    RMS     max   N |     R0    Rct     R1     R2    sum   tau1/s  tau2/s  hyst\n";
    for t in temperatures {
        let r = [t.r0_ohm, t.rct_ohm, t.r1_ohm, t.r2_ohm].map(|r| 1e3 * r);
        out += &format!(
            "{:6.1} {:6.1} {:7.1} {:3} | {:6.2} {:6.2} {:6.2} {:6.2} {:6.2} {:8.2} {:7.0} {:5.1}\n",
            t.temperature_c,
            1e3 * t.voltage_rmse_v,
            1e3 * t.voltage_max_v,
            t.pulses,
            r[0],
            r[1],
            r[2],
            r[3],
            r.iter().sum::<f64>(),
            t.tau1_s,
            t.tau2_s,
            1e3 * t.hysteresis_v,
        );
    }
    out += "N: pulses of 3 to 60 s; the residual of each is in the cell file.\n\n";
    out += "Not identified, or assumed:\n";
    for warning in &cell.provenance.warnings {
        out += &format!("  - {warning}\n");
    }
    out.push('\n');
    out
}
