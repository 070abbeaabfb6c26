//! Searches for the estimator's constants, on the drives of `verify::split` and no others.
//!
//! ```text
//! cargo run --release --example tune -- ../shared LFP 240
//! ```
//!
//! takes a folder of data, a chemistry (NMC stands for NCA too) and a number of seconds, starts from the constants in
//! `bms_core::tuning` and prints what it found, to be copied there by hand. A random walk that keeps what is better: the
//! cost has thousands of small steps (gates, anchors), which a gradient would not see.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use bms_core::tuning::Tuning;
use bms_sim::cell_file::{CellFile, Chemistry};
use bms_sim::data::Run;
use bms_sim::identify::identify;
use bms_sim::metrics;
use bms_sim::plants::{self, Extent, PLANTS};
use bms_sim::reference;
use bms_sim::replay::{ReplayOptions, replay};
use bms_sim::sensors::SensorCorner;
use bms_sim::verify::matrix;
use bms_sim::verify::{sets, split};
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

/// One drive with everything that a replay needs.
struct Job {
    cell: CellFile,
    run: Run,
    reference: Vec<f64>,
    capacity_ah: f64,
    /// Declared convergence after a wrong start in s.
    converged: Option<f64>,
}

/// A constant, by name, and the range that makes sense for it.
type Constant = (&'static str, fn(&mut Tuning) -> &mut f32, (f32, f32));

const CONSTANTS: [Constant; 24] = [
    ("initial_soc_std", |t| &mut t.initial_soc_std, (0.12, 0.2)),
    ("current_bias_std_c", |t| &mut t.current_bias_std_c, (0.02, 0.05)),
    ("current_bias_walk_c", |t| &mut t.current_bias_walk_c, (1e-4, 0.01)),
    ("charge_gain_std", |t| &mut t.charge_gain_std, (0.002, 0.1)),
    ("voltage_noise_v", |t| &mut t.voltage_noise_v, (0.001, 0.02)),
    ("drop_error", |t| &mut t.drop_error, (0.02, 0.8)),
    ("white_interval_s", |t| &mut t.white_interval_s, (1.0, 40.0)),
    ("bias_voltage_share", |t| &mut t.bias_voltage_share, (0.001, 1.0)),
    ("overpotential_cap", |t| &mut t.overpotential_cap, (1.0, 6.0)),
    ("fast_error", |t| &mut t.fast_error, (0.05, 1.0)),
    ("slow_error", |t| &mut t.slow_error, (0.05, 1.0)),
    ("resistance_std", |t| &mut t.resistance_std, (0.08, 0.6)),
    ("resistance_time_s", |t| &mut t.resistance_time_s, (300.0, 20_000.0)),
    ("model_error_scale", |t| &mut t.model_error_scale, (0.05, 3.0)),
    ("polarisation_error", |t| &mut t.polarisation_error, (0.005, 0.5)),
    ("axis_error_soc", |t| &mut t.axis_error_soc, (0.001, 0.03)),
    ("ageing_axis_error", |t| &mut t.ageing_axis_error, (0.02, 1.5)),
    ("model_error_time_s", |t| &mut t.model_error_time_s, (300.0, 1e6)),
    ("model_error_length_soc", |t| &mut t.model_error_length_soc, (0.03, 0.5)),
    ("hysteresis_noise", |t| &mut t.hysteresis_noise, (0.01, 3.0)),
    ("collapse_share", |t| &mut t.collapse_share, (0.05, 0.4)),
    ("collapse_hold_s", |t| &mut t.collapse_hold_s, (60.0, 900.0)),
    ("rest_voltage_std_v", |t| &mut t.rest_voltage_std_v, (0.003, 0.02)),
    ("rest_time_s", |t| &mut t.rest_time_s, (600.0, 3600.0)),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, chemistry, seconds] = &arguments[..] else {
        return Err("usage: tune FOLDER NMC|LFP SECONDS".into());
    };
    let lfp = chemistry.eq_ignore_ascii_case("lfp");
    let seconds: u64 = seconds.parse()?;
    let jobs = jobs(Path::new(folder), lfp)?;
    let mut best = if lfp { Tuning::LFP } else { Tuning::NMC };
    let start = Instant::now();
    let mut lowest = cost(&jobs, &best);
    println!("{} drives, cost {lowest:.3}", jobs.len());
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seconds);
    let (mut width, mut tried) = (0.8f32, 0u32);
    while start.elapsed().as_secs() < seconds {
        let mut trial = best;
        for _ in 0..=(rng.random::<u32>() % 3) {
            let (_, constant, (lo, hi)) = CONSTANTS[rng.random::<u32>() as usize % CONSTANTS.len()];
            let value = constant(&mut trial);
            *value = (*value * (width * (2.0 * rng.random::<f32>() - 1.0)).exp()).clamp(lo, hi);
        }
        let c = cost(&jobs, &trial);
        tried += 1;
        if c < lowest {
            (lowest, best) = (c, trial);
        } else {
            width = (width * 0.995).max(0.15);
        }
    }
    println!("{tried} tried, cost {lowest:.3}");
    for (name, constant, _) in CONSTANTS {
        println!("        {name}: {:?},", constant(&mut best));
    }
    Ok(())
}

/// The drives to tune on, each with the cell that `bms verify` would give it.
fn jobs(folder: &Path, lfp: bool) -> Result<Vec<Job>, Box<dyn Error>> {
    let plants = plants::data_sets(&PLANTS, Extent::Whole, None, || ())?;
    let plan = sets::plan(folder, &plants, None)?;
    let mut jobs = Vec::new();
    for (k, source) in plan.cells.iter().enumerate() {
        let drives = plan.drives.iter().filter(|d| d.cell == k && split::tuned_on(&d.set.name, &d.file.file));
        let drives: Vec<_> = drives.collect();
        if drives.is_empty() {
            continue;
        }
        let Ok(cell) = source.plan().and_then(|p| identify(&p)) else {
            continue;
        };
        if (cell.cell.chemistry == Chemistry::Lfp) != lfp {
            continue;
        }
        for drive in drives {
            let parts = drive.set.runs(&drive.file)?;
            let mut run = parts.into_iter().next().ok_or("empty run")?;
            let ambient_c = drive.file.ambient_c.unwrap_or(25.0);
            run.temperature_c.get_or_insert_with(|| vec![ambient_c; run.time_s.len()]);
            let present_ah =
                drive.present_capacity_ah.or_else(|| reference::dated_ah(&drive.set, &drive.file));
            let capacity_ah = present_ah.unwrap_or(cell.cell.capacity_ah);
            let full_ah = reference::full_to_empty_ah(&drive.set, &drive.file)?.unwrap_or(capacity_ah);
            let soc = reference::of_run(&run, reference::start_soc(&drive.file), full_ah).soc;
            let (run, reference) = thinned(&run, &soc);
            let converged =
                matrix::declared_convergence_s(cell.cell.chemistry, &run, &reference, capacity_ah);
            jobs.push(Job { cell: cell.clone(), run, reference, capacity_ah, converged });
        }
    }
    Ok(jobs)
}

/// A run at 1 Hz, with the charge of the samples left out in the mean current.
fn thinned(run: &Run, reference: &[f64]) -> (Run, Vec<f64>) {
    let temperature = run.temperature_c.clone().unwrap_or_default();
    let (mut out, mut soc, mut mean_a, mut temperature_c) =
        (Run::default(), Vec::new(), Vec::new(), Vec::new());
    let (mut charge, mut since) = (0.0, 0.0);
    for k in 0..run.len() {
        let dt = run.dt_s(k);
        let trapezoid = 0.5 * (run.current_a[k] + run.current_a[k.saturating_sub(1)]);
        charge += dt * run.mean_current_a.as_ref().map_or(trapezoid, |mean| mean[k]);
        since += dt;
        if k == 0 || since >= 0.99 {
            out.time_s.push(run.time_s[k]);
            out.voltage_v.push(run.voltage_v[k]);
            out.current_a.push(run.current_a[k]);
            mean_a.push(if since > 0.0 { charge / since } else { run.current_a[k] });
            temperature_c.push(temperature[k]);
            soc.push(reference[k]);
            (charge, since) = (0.0, 0.0);
        }
    }
    out.mean_current_a = Some(mean_a);
    out.temperature_c = Some(temperature_c);
    (out, soc)
}

/// What is tried on every drive: start error, its standard deviation, sensors, current offset in C, and the weight.
const TRIALS: [(f64, Option<f64>, SensorCorner, f64, f64); 7] = [
    (0.0, Some(0.02), SensorCorner::Good, 0.0, 2.0),
    (0.0, None, SensorCorner::Good, 0.0, 1.0),
    (0.1, None, SensorCorner::Good, 0.0, 1.0),
    (-0.1, None, SensorCorner::Good, 0.0, 1.0),
    (-0.3, None, SensorCorner::Good, 0.0, 1.0),
    (0.0, Some(0.02), SensorCorner::Limit, 0.0, 0.5),
    (0.0, Some(0.02), SensorCorner::Ideal, 0.06, 0.5),
];

/// Weighted mean over all cases of the square of the maximum error in targets (3 points), limited, and a penalty for a
/// band that is too narrow. Until a wrong start on LFP can be found, the band counts alone.
fn cost(jobs: &[Job], tuning: &Tuning) -> f64 {
    let cases: Vec<(usize, usize)> =
        (0..jobs.len()).flat_map(|j| (0..TRIALS.len()).map(move |t| (j, t))).collect();
    let costs: Vec<(f64, f64)> = cases
        .par_iter()
        .filter_map(|&(j, t)| {
            let job = &jobs[j];
            let (start_error, std, sensors, offset_c, weight) = TRIALS[t];
            let initial = (job.reference[0] + start_error).clamp(0.0, 1.0);
            if start_error != 0.0 && (initial - job.reference[0]).abs() < 0.5 * start_error.abs() {
                return None;
            }
            let options = ReplayOptions {
                initial_soc: Some(initial),
                initial_soc_std: std,
                sensors,
                seed: 7 + j as u64,
                current_offset_a: offset_c * job.cell.cell.nominal_capacity_ah,
                capacity_ah: Some(job.capacity_ah),
                tuning: Some(*tuning),
                baselines: false,
            };
            let r = replay(&job.cell, &job.run, &options).ok()?;
            let from_s = if std.is_some() { Some(matrix::EXCLUDED_START_S) } else { job.converged };
            let band = metrics::score(&r.time_s, &r.soc, &job.reference, Some(&r.soc_std), 60.0)?;
            let narrow = 8.0 * (0.995 - band.coverage.unwrap_or(0.0)).max(0.0);
            let error = from_s.and_then(|s| metrics::score(&r.time_s, &r.soc, &job.reference, None, s));
            let missed = error.map_or(0.0, |s| (s.max_points / 3.0).powi(2));
            Some((weight * (missed.min(6.0 + 0.1 * missed) + narrow), weight))
        })
        .collect();
    let total: f64 = costs.iter().map(|c| c.1).sum();
    costs.iter().map(|c| c.0).sum::<f64>() / total
}
