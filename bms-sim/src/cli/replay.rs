//! `bms replay`.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result};
use bms_core::cell::{Age, CellModel};
use bms_core::soc::Status;
use bms_sim::cell_file::CellFile;
use bms_sim::data::bdf::bdf_from_discharge_positive;
use bms_sim::data::{Run, read_run};
use bms_sim::metrics;
use bms_sim::reference::{self, Reference};
use bms_sim::replay::{Replay, ReplayOptions, replay};
use bms_sim::results::{Score, TARGET_POINTS};
use bms_sim::verify::Progress;
use bms_sim::verify::matrix::{CONVERGENCE_S, EXCLUDED_START_S, declared_convergence_s};
use serde::Serialize;

use super::args::ReplayArgs;
use super::progress::Bar;
use super::{Verdict, make_parent, print_json};

/// A start error below this (fraction) is a right start.
const RIGHT_START: f64 = 0.005;
/// A run that is said to start full should at least look like this by its first voltage (SOC, fraction).
const LOOKS_FULL: f64 = 0.9;

/// No cell carries more than this (C-rate).
const LARGEST_C: f64 = 50.0;
/// Between samples further apart than this the current is not known, in s.
const LONGEST_STEP_S: f64 = 60.0;
/// A charge counter is compared with the current where more than this part of the capacity moved.
const MOVED: f64 = 0.05;
/// A capacity outside this range of the cell file's is worth a word (ratio).
const PLAUSIBLE_CAPACITY: std::ops::RangeInclusive<f64> = 0.5..=1.5;

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    cell: String,
    input: String,
    output: String,
    rows: usize,
    duration_s: f64,
    capacity_ah: f64,
    initial_soc: f64,
    final_soc: f64,
    final_soc_std: f64,
    sensors: &'static str,
    seed: u64,
    current_offset_a: f64,
    /// In words; null where the run has no reference, and then there are no scores.
    reference: Option<String>,
    scores: Option<Scores>,
    warnings: Vec<String>,
}

/// Scores of the core and of the baselines.
#[derive(Serialize)]
struct Scores {
    /// Error of the start SOC in points.
    start_error_points: f64,
    /// Seconds excluded at the start.
    scored_from_s: f64,
    bms: Score,
    coulomb_counter: Score,
    textbook_ekf: Score,
}

pub(super) fn run(args: ReplayArgs, quiet: bool) -> Result<Verdict> {
    let cell = CellFile::load(&args.cell)?;
    make_parent(&args.output)?;
    let bar = Bar::new(quiet);
    bar.stage("reading the run", 1);
    let mut run = read_run(&args.input)?;
    let mut warnings = Vec::new();
    if run.temperature_c.is_none() {
        let assumed = args.temperature_c.unwrap_or(25.0);
        run.temperature_c = Some(vec![assumed; run.len()]);
        if args.temperature_c.is_none() {
            warnings
                .push("the run has no temperature, 25 degC assumed (--temperature-c sets another)".into());
        }
    } else if args.temperature_c.is_some() {
        warnings.push("--temperature-c is not used: the run has its own temperature".into());
    }
    let capacity_ah = args.capacity_ah.unwrap_or(cell.cell.capacity_ah);
    possible(&run, cell.cell.capacity_ah)
        .map_err(|why| anyhow::anyhow!("{}: {why}", args.input.display()))?;
    let share = capacity_ah / cell.cell.capacity_ah;
    if !PLAUSIBLE_CAPACITY.contains(&share) {
        warnings.push(format!(
            "--capacity-ah {capacity_ah} is {:.0} % of the {:.4} Ah in the cell file",
            100.0 * share,
            cell.cell.capacity_ah
        ));
    }
    let reference = reference(&cell, &run, &args, capacity_ah, &mut warnings)?;
    bar.stage("replaying", 1);
    let replayed = replay(
        &cell,
        &run,
        &ReplayOptions {
            initial_soc: args.initial_soc,
            sensors: args.sensors,
            seed: args.seed,
            current_offset_a: args.current_offset_a,
            capacity_ah: args.capacity_ah,
            tuning: None,
            baselines: true,
        },
    )?;
    bar.stage("writing", 1);
    write(&args, &replayed, reference.as_ref())
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    bar.finish();
    // With dt = 0 the counter's first value is what it was started with.
    let initial_soc = replayed.soc_coulomb_counter.first().copied().unwrap_or_default();
    let scores = match &reference {
        Some(reference) => scores(&cell, &run, &replayed, reference, initial_soc, capacity_ah, &mut warnings),
        None => {
            warnings.push("the run has no SOC column and no charge counter: nothing to score against".into());
            None
        }
    };
    let missed = match (args.fail_above, &scores) {
        (Some(limit), Some(scores)) => scores.bms.max_points.is_nan() || scores.bms.max_points > limit,
        (Some(_), None) => {
            anyhow::bail!("--fail-above needs a reference and something to score: {}", warnings.join("; "))
        }
        (None, _) => false,
    };
    let summary = Summary {
        cell: args.cell.display().to_string(),
        input: args.input.display().to_string(),
        output: args.output.display().to_string(),
        rows: replayed.soc.len(),
        duration_s: run.duration_s(),
        capacity_ah,
        initial_soc,
        final_soc: replayed.soc.last().copied().unwrap_or_default(),
        final_soc_std: replayed.soc_std.last().copied().unwrap_or_default(),
        sensors: args.sensors.name(),
        seed: args.seed,
        current_offset_a: args.current_offset_a,
        reference: reference.map(|r| r.basis.to_string()),
        scores,
        warnings,
    };
    if args.json {
        print_json(&summary)?;
    } else if !quiet {
        io::stdout().lock().write_all(text(&summary).as_bytes())?;
    }
    Ok(if missed { Verdict::Missed } else { Verdict::Met })
}

/// Refuses currents that no cell carries and currents that its own charge counter contradicts.
fn possible(run: &Run, capacity_ah: f64) -> Result<(), String> {
    let largest = run.current_a.iter().fold(0.0f64, |m, i| m.max(i.abs()));
    if largest > LARGEST_C * capacity_ah {
        return Err(format!(
            "`Current / A` reaches {largest:.1}, which is {:.0}C for a cell of {capacity_ah:.3} Ah: milliamperes?",
            largest / capacity_ah
        ));
    }
    let Some(net) = &run.net_charge_ah else { return Ok(()) };
    // Where the record has gaps the samples do not tell the current in between: those steps are left out of both sums.
    let (mut counted, mut summed) = (0.0, 0.0);
    for k in 1..run.len() {
        let dt = run.dt_s(k);
        if dt > LONGEST_STEP_S {
            continue;
        }
        let mean = run.mean_current_a.as_ref().map(|m| m[k]);
        let current = mean.unwrap_or(0.5 * (run.current_a[k] + run.current_a[k - 1]));
        counted += net[k - 1] - net[k];
        summed += current * dt / 3600.0;
    }
    if counted.abs().max(summed.abs()) < MOVED * capacity_ah {
        return Ok(());
    }
    let ratio = summed / counted;
    let near = |factor: f64| (0.7..1.4).contains(&(ratio.abs() / factor));
    let why = if (0.5..=2.0).contains(&ratio) {
        return Ok(());
    } else if (-2.0..=-0.5).contains(&ratio) {
        "sign of `Current / A` looks inverted: it is positive on charge"
    } else if near(1e3) {
        "`Current / A` looks like milliamperes or `Test Time / s` like milliseconds"
    } else if near(1e-3) {
        "`Net Capacity / Ah` looks like milliampere hours"
    } else if near(1.0 / 3600.0) {
        "`Net Capacity / Ah` looks like ampere seconds or `Test Time / s` like hours"
    } else if near(1.0 / 60.0) {
        "`Test Time / s` looks like minutes"
    } else {
        "check their units and signs"
    };
    Err(format!(
        "`Current / A` summed over the run gives {:+.4} Ah, `Net Capacity / Ah` changes by {:+.4}: {why}",
        bdf_from_discharge_positive(summed),
        bdf_from_discharge_positive(counted)
    ))
}

/// The reference of the run, if it has one.
fn reference(
    cell: &CellFile,
    run: &Run,
    args: &ReplayArgs,
    capacity_ah: f64,
    warnings: &mut Vec<String>,
) -> Result<Option<Reference>> {
    if run.soc_true.is_none() && run.net_charge_ah.is_none() && args.reference_start.is_none() {
        return Ok(None);
    }
    let start = args.reference_start.unwrap_or(1.0);
    if run.soc_true.is_some() && args.reference_start.is_some() {
        warnings.push("--reference-start is not used: the run has a SOC column".into());
    }
    if run.soc_true.is_none() && args.reference_start.is_none() {
        let tables = cell.core_tables()?;
        let model = CellModel::new(tables.borrow()).map_err(|e| anyhow::anyhow!("{e}"))?;
        let first = |column: &[f64]| column.first().copied().unwrap_or_default();
        let temperature = run.temperature_c.as_deref().map_or(25.0, first);
        // A full cell that starts under load drops by its resistances at once.
        let circuit = model.circuit(temperature as f32, 1.0);
        let at_once = first(&run.current_a) * f64::from(circuit.r0_ohm + circuit.rct_ohm);
        let unloaded = first(&run.voltage_v) + at_once;
        let seen = f64::from(model.soc_from_ocv(temperature as f32, unloaded as f32, &Age::NEW));
        let current = first(&run.current_a);
        if current.abs() >= capacity_ah / 50.0 {
            warnings.push(format!(
                "the reference takes the run to start full, but it starts under load ({:.2} A): give --reference-start if it was not full",
                bdf_from_discharge_positive(current)
            ));
        }
        if seen < LOOKS_FULL {
            warnings.push(format!(
                "the reference takes the run to start full, but its first voltage looks like {:.0} %: give --reference-start",
                100.0 * seen
            ));
        }
    }
    Ok(Some(reference::of_run(run, start, capacity_ah)))
}

fn scores(
    cell: &CellFile,
    run: &Run,
    replayed: &Replay,
    reference: &Reference,
    initial_soc: f64,
    capacity_ah: f64,
    warnings: &mut Vec<String>,
) -> Option<Scores> {
    let start_error = initial_soc - reference.soc.first()?;
    let from_s = if start_error.abs() <= RIGHT_START {
        EXCLUDED_START_S
    } else {
        declared_convergence_s(cell.cell.chemistry, run, &reference.soc, capacity_ah).unwrap_or_else(|| {
            warnings.push(format!(
                "the run neither leaves the plateau for 5 min nor rests for 30 min: a wrong start need not converge; scored from {CONVERGENCE_S:.0} s"
            ));
            CONVERGENCE_S
        })
    };
    let score = |estimate: &[f64], std: Option<&[f64]>| {
        metrics::score(&replayed.time_s, estimate, &reference.soc, std, from_s)
    };
    let all = (
        score(&replayed.soc, Some(&replayed.soc_std)),
        score(&replayed.soc_coulomb_counter, None),
        score(&replayed.soc_textbook_ekf, None),
    );
    let (Some(bms), Some(coulomb_counter), Some(textbook_ekf)) = all else {
        warnings.push(format!("nothing to score: the run ends within the excluded {from_s:.0} s"));
        return None;
    };
    Some(Scores {
        start_error_points: 100.0 * start_error,
        scored_from_s: from_s,
        bms,
        coulomb_counter,
        textbook_ekf,
    })
}

fn text(s: &Summary) -> String {
    let mut out = format!(
        "{}: {} rows, {:.2} h, sensors {}, capacity {:.4} Ah, start {:.1} %, end {:.1} ± {:.1} % (3 sigma)\n",
        s.input,
        s.rows,
        s.duration_s / 3600.0,
        s.sensors,
        s.capacity_ah,
        100.0 * s.initial_soc,
        100.0 * s.final_soc,
        300.0 * s.final_soc_std,
    );
    if let Some(reference) = &s.reference {
        out += &format!("reference: {reference}\n");
    }
    if let Some(scores) = &s.scores {
        out += &format!(
            "start error {:+.1} points, scored from {:.0} s; errors in points of SOC, target: maximum <= {TARGET_POINTS}\n\n",
            scores.start_error_points, scores.scored_from_s
        );
        out += "                   max    p99   RMSE     end  converged  in own band\n";
        for (name, score) in [
            ("bms-core", &scores.bms),
            ("coulomb counter", &scores.coulomb_counter),
            ("textbook EKF", &scores.textbook_ekf),
        ] {
            let converged = score.convergence_s.map_or("never".into(), |s| format!("{s:.0} s"));
            let band = score.coverage.map_or("-".into(), |c| format!("{:.1} %", 100.0 * c));
            out += &format!(
                "{name:16} {:6.2} {:6.2} {:6.2} {:+7.2} {converged:>10} {band:>12}\n",
                score.max_points, score.p99_points, score.rmse_points, score.end_points
            );
        }
    }
    for warning in &s.warnings {
        out += &format!("note: {warning}\n");
    }
    out += &format!("wrote {}\n", s.output);
    out
}

/// Names of the status flags in the CSV file.
const FLAGS: [(Status, &str); 13] = [
    (Status::VOLTAGE_LOST, "voltage_lost"),
    (Status::CURRENT_LOST, "current_lost"),
    (Status::TEMPERATURE_LOST, "temperature_lost"),
    (Status::BAD_TIME_STEP, "bad_time_step"),
    (Status::INNOVATION_REJECTED, "innovation_rejected"),
    (Status::RECOVERED, "recovered"),
    (Status::OUTSIDE_VALIDITY, "outside_validity"),
    (Status::AT_REST, "at_rest"),
    (Status::FULL, "full"),
    (Status::SOC_LIMITED, "soc_limited"),
    (Status::TRANSPORT_LIMITED, "transport_limited"),
    (Status::SAMPLES_LOST, "samples_lost"),
    (Status::VOLTAGE_STUCK, "voltage_stuck"),
];

fn flags(bits: u16) -> String {
    let set = FLAGS.iter().filter(|(flag, _)| bits & flag.bits() != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}

fn write(args: &ReplayArgs, replayed: &Replay, reference: Option<&Reference>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(&args.output)?);
    write!(out, "Test Time / s,soc,soc_std,soc_coulomb_counter,soc_textbook_ekf,")?;
    if reference.is_some() {
        write!(out, "soc_reference,")?;
    }
    writeln!(
        out,
        "Voltage / V,Current / A,Surface Temperature / degC,predicted_voltage_v,model_error_v,hysteresis,resistance_scale,current_bias_a,status"
    )?;
    let seen = &replayed.measured;
    for k in 0..replayed.soc.len() {
        write!(out, "{}", replayed.time_s[k])?;
        for column in
            [&replayed.soc, &replayed.soc_std, &replayed.soc_coulomb_counter, &replayed.soc_textbook_ekf]
        {
            number(&mut out, column[k], 6)?;
        }
        if let Some(reference) = reference {
            number(&mut out, reference.soc[k], 6)?;
        }
        number(&mut out, seen.voltage_v[k], 5)?;
        number(&mut out, bdf_from_discharge_positive(seen.current_a[k]), 5)?;
        number(&mut out, seen.temperature_c.as_ref().map_or(f64::NAN, |t| t[k]), 3)?;
        number(&mut out, replayed.predicted_v[k], 5)?;
        number(&mut out, replayed.model_error_v[k], 6)?;
        number(&mut out, replayed.hysteresis[k], 4)?;
        number(&mut out, replayed.resistance_scale[k], 4)?;
        number(&mut out, replayed.current_bias_a[k], 6)?;
        writeln!(out, ",{}", flags(replayed.status[k]))?;
    }
    out.flush()
}

/// A separator and a number; nothing where there is none.
fn number(out: &mut impl Write, value: f64, decimals: usize) -> io::Result<()> {
    if value.is_finite() { write!(out, ",{value:.decimals$}") } else { write!(out, ",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named() {
        assert_eq!(flags(0), "");
        assert_eq!(flags(Status::AT_REST.bits() | Status::FULL.bits()), "at_rest|full");
    }
}
