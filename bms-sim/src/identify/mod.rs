//! From laboratory tests to a cell file.
//!
//! ```text
//! slow tests ──► ocv: mean curve, gap between branches ─┐            (of aged cells ──► ageing: how the curve moves)
//! pulse tests ─► circuit: time constants per temperature ├─► joint fit over all temperatures ─► hysteresis ─► tables
//! ```

mod ageing;
pub mod circuit;
pub mod ocv;
pub mod plan;

use rayon::prelude::*;
use thiserror::Error;

use crate::cell_file::{
    CellFile, CellInfo, Chemistry, FORMAT_VERSION, FitSummary, Provenance, PulseResidual, Tables, Validity,
};
use crate::data::{DataError, Run};
use circuit::{CIRCUIT_COLUMNS, FitRun, Nodes, Shape, Smoothing};
use ocv::{OCV_COLUMNS, OcvCurves};
use plan::{Plan, PulseTest};

/// Why a cell cannot be identified.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentifyError {
    /// A file cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nothing to take the open-circuit voltage from.
    #[error(
        "no open-circuit test: a discharge from full to empty at C/20 or slower is needed (kind `ocv` or `ocv_c20`, or --ocv FILE@T)"
    )]
    NoOcvTest,
    /// The open-circuit test holds no slow discharge.
    #[error("no slow discharge (C/7 or slower) of at least half the nominal capacity in {files}")]
    NoSlowDischarge {
        /// The files looked at.
        files: String,
    },
    /// Tests of several cells cannot be put into one cell file.
    #[error("{set} holds cells {cells}: choose one with --only TEXT")]
    SeveralCells {
        /// Name of the data set.
        set: String,
        /// Their names.
        cells: String,
    },
    /// Nothing to take resistances from.
    #[error(
        "no pulse test: resistances cannot be identified (kind `hppc`, `gitt` or `pulse`, or --hppc FILE@T)"
    )]
    NoPulseTest,
    /// The pulses at a temperature determine nothing.
    #[error("{file}: resistances at {temperature_c} degC cannot be identified: {reason}")]
    Undetermined {
        /// File name.
        file: String,
        /// Test temperature in degC.
        temperature_c: f64,
        /// What is missing.
        reason: String,
    },
    /// A result that no cell has.
    #[error("{what} = {value} is not what a cell can have; check signs and units of {files}")]
    Nonsense {
        /// Quantity with unit.
        what: String,
        /// Value found.
        value: f64,
        /// The files it came from.
        files: String,
    },
}

/// Rate of the hysteresis state: the branch changes within a few percent of SOC.
const HYSTERESIS_GAMMA: f64 = 50.0;

/// Part of the overpotential that may be wrong without counting here: the estimator expects that much under load.
const LOAD_SHARE: f64 = 0.15;

/// Growth of the model error below the lowest pulse, in V per unit of SOC.
const BEYOND_V_PER_SOC: f64 = 1.5;

/// Weight of a full discharge beside a pulse test in judging how wrong the model is.
const DISCHARGE_WEIGHT: f64 = 0.3;

/// No cell is pulsed with more than this (C-rate).
const LARGEST_C: f64 = 30.0;

/// Above this a current counts as a load (C-rate).
const LOAD_C: f64 = 0.04;

/// Below this a cell counts as resting (C-rate).
const REST_C: f64 = 0.02;

/// A pulse test may leave the voltage limits by this much.
const OUTSIDE_V: f64 = 0.5;

/// What a cell may drop at 1C and 50 % SOC.
const DROP_AT_1C_V: std::ops::RangeInclusive<f64> = 1e-3..=3.0;

/// A fit worse than this is worth a word.
const POOR_FIT_V: f64 = 0.015;

/// Every temperature should have pulses down to this SOC.
const LOW_PULSE: f64 = 0.15;

/// Identifies a cell from the runs of a plan.
///
/// # Errors
/// [`IdentifyError`] says which test is missing or which result is impossible.
pub fn identify(plan: &Plan) -> Result<CellFile, IdentifyError> {
    let mut warnings = plan.warnings.clone();
    let reference = plan
        .ocv
        .iter()
        .min_by(|a, b| (a.temperature_c - 25.0).abs().total_cmp(&(b.temperature_c - 25.0).abs()))
        .ok_or(IdentifyError::NoOcvTest)?;
    if plan.pulses.is_empty() {
        return Err(IdentifyError::NoPulseTest);
    }
    let nominal_ah = plan.nominal_capacity_ah.unwrap_or_else(|| largest_throughput(&reference.runs));
    let reference_curves = ocv::curves(reference, nominal_ah, None)?;
    let capacity_ah = reference_curves.capacity_ah;
    let ocv_files = || reference.runs.iter().map(|r| r.source.clone()).collect::<Vec<_>>().join(", ");
    if !(0.3..=1.7).contains(&(capacity_ah / nominal_ah)) {
        return Err(IdentifyError::Nonsense {
            what: "capacity / nominal capacity".into(),
            value: capacity_ah / nominal_ah,
            files: ocv_files(),
        });
    }
    if (reference.temperature_c - 25.0).abs() > 5.0 {
        warnings.push(format!(
            "no open-circuit test near 25 degC: capacity is that at {} degC",
            reference.temperature_c
        ));
    }
    if !reference_curves.both_directions {
        warnings.push(
            "slow test in one direction only: hysteresis set to zero, its mean branch corrected by the fit"
                .into(),
        );
    }
    check_capacity(reference, capacity_ah)?;
    let base = base_curves(plan, nominal_ah, capacity_ah, &reference_curves, &mut warnings);
    let voltage_limits = plan.voltage_limits_v.unwrap_or_else(|| {
        let [lo, hi] = voltage_range(&reference.runs);
        warnings.push(format!(
            "no voltage limits given: {lo:.2} to {hi:.2} V taken from the open-circuit test (--voltage-limits)"
        ));
        [lo, hi]
    });
    check_pulses(plan, nominal_ah, voltage_limits)?;
    let middle = ocv::at(&reference_curves.mean_v, 0.5);
    let span = ocv::at(&reference_curves.mean_v, 0.8) - ocv::at(&reference_curves.mean_v, 0.4);
    let chemistry = if (3.0..3.4).contains(&middle) && span < 0.1 {
        Chemistry::Lfp
    } else {
        plan.chemistry.unwrap_or(Chemistry::Nmc)
    };

    // The gap between the branches is hysteresis plus the drop at the test current: start from a guess, then correct.
    let guess = if chemistry == Chemistry::Lfp { 0.6 } else { 0.0 };
    let mut hysteresis: Vec<Vec<f64>> =
        base.iter().map(|b| b.half_gap_v.iter().map(|g| g * guess).collect()).collect();
    let temperatures = distinct_temperatures(&plan.pulses);
    let smoothing = Smoothing { typical_a: capacity_ah, resistance: 2e-3, delta: 0.01, delta_ridge: 1e-3 };
    let full = ocv::at(&reference_curves.mean_v, 0.9);
    let runs = |hysteresis: &[Vec<f64>]| -> Vec<FitRun> {
        let discharges =
            plan.discharges.iter().filter(|d| d.run.voltage_v.first().is_some_and(|v| *v > full));
        let prepare = |p| prepare(p, &base, hysteresis, capacity_ah, voltage_limits);
        let lasting = discharges.map(|d| lighter(prepare(d), DISCHARGE_WEIGHT));
        plan.pulses.iter().map(prepare).chain(lasting).collect()
    };
    let first = runs(&hysteresis);
    let pulses = plan.pulses.len();
    let fit_shapes = |curved_always: bool| -> Result<Vec<Shape>, IdentifyError> {
        temperatures
            .par_iter()
            .map(|&t| {
                let at_t: Vec<FitRun> = first[..pulses]
                    .iter()
                    .filter(|r| (r.temperature_c - t).abs() < 0.5)
                    .map(|r| near(r, t))
                    .collect();
                let shape = circuit::fit_shape(t, &at_t, &smoothing, capacity_ah, curved_always);
                shape.map(|(s, _)| s).ok_or_else(|| IdentifyError::Undetermined {
                    file: at_t.iter().map(|r| r.source.clone()).collect::<Vec<_>>().join(", "),
                    temperature_c: t,
                    reason: "no usable current steps".into(),
                })
            })
            .collect()
    };
    let mut shapes = fit_shapes(false)?;
    let curved = shapes.iter().filter(|s| s.i_ct_a.is_some()).count();
    if curved > 0 && curved < shapes.len() {
        shapes = fit_shapes(true)?;
    }
    let nodes = Nodes { temperature_c: temperatures.clone(), shape: shapes };
    let undetermined = || IdentifyError::Undetermined {
        file: plan.source.clone(),
        temperature_c: temperatures[0],
        reason: "the joint fit has no solution".into(),
    };
    let tables = circuit::fit_tables(&nodes, &first[..pulses], &smoothing).ok_or_else(undetermined)?;
    for (b, h) in base.iter().zip(&mut hysteresis) {
        let total = total_resistance(&nodes, &tables, b.temperature_c);
        for (k, h) in h.iter_mut().enumerate() {
            let left = b.half_gap_v[k] - b.current_a * ocv::at(&total, ocv::soc(k));
            *h = if b.both_directions { left.max(0.0) } else { 0.0 };
        }
    }
    let prepared = runs(&hysteresis);
    let tables = circuit::fit_tables(&nodes, &prepared[..pulses], &smoothing).ok_or_else(undetermined)?;
    let residuals = circuit::unexplained(&nodes, &prepared, &tables);
    let fit = summaries(&temperatures, &plan.pulses, &prepared, &residuals);
    check_resistances(plan, &nodes, &tables, capacity_ah)?;
    let edges = lowest_pulse(&temperatures, &prepared[..pulses], capacity_ah);
    let mut tables = tables;
    extrapolate_down(&nodes, &mut tables, &edges);
    let error = model_error(&nodes, &prepared, &residuals, &edges);
    let ageing = ageing::tables(plan, nominal_ah, &reference_curves, &mut warnings);
    let cell_tables = assemble(&nodes, &tables, &base, &hysteresis, &error, capacity_ah);
    let instant = cell_tables.r0_ohm.iter().zip(&cell_tables.rct_ohm).zip(&cell_tables.i_ct_a);
    for (((r0, rct), i_ct_a), t) in instant.zip(&cell_tables.temperature_c) {
        let at_1c = (capacity_ah / i_ct_a).asinh() * i_ct_a / capacity_ah;
        let largest = r0.iter().zip(rct).map(|(r0, rct)| r0 + at_1c * rct).fold(0.0, f64::max);
        // A cell that drops more than its whole voltage at 1C is a unit or sign error.
        if largest <= 0.0 || largest * capacity_ah > 4.0 {
            return Err(IdentifyError::Nonsense {
                what: format!("R0 and charge transfer at 1C and {t} degC in ohm"),
                value: largest,
                files: plan.pulses.iter().map(|p| p.run.source.clone()).collect::<Vec<_>>().join(", "),
            });
        }
    }
    let peaks = prepared.iter().flat_map(|r| r.current_a.iter().copied());
    let (lowest, highest) = peaks.fold((0.0f64, 0.0f64), |(lo, hi), i| (lo.min(i), hi.max(i)));
    let (soc_lo, soc_hi) = loaded_soc(&prepared[..pulses], capacity_ah);
    warnings.extend(plan.pulses.iter().filter_map(|p| start_warning(&p.run, &base, capacity_ah)));
    warnings.extend(fit_warnings(&nodes, &fit, &edges));
    warnings.push(format!(
        "coulombic efficiency is taken as 1 and the rate of hysteresis as {HYSTERESIS_GAMMA}: neither is identified"
    ));
    Ok(CellFile {
        format_version: FORMAT_VERSION,
        cell: CellInfo {
            name: plan.name.clone(),
            chemistry,
            nominal_capacity_ah: nominal_ah,
            capacity_ah,
            coulombic_efficiency: 1.0,
            v_min: voltage_limits[0],
            v_max: voltage_limits[1],
        },
        validity: Validity {
            temperature_c: [temperatures[0], temperatures[temperatures.len() - 1]],
            soc: [soc_lo.max(0.0), soc_hi.min(1.0)],
            c_rate: [highest / nominal_ah, -lowest / nominal_ah],
        },
        provenance: Provenance {
            tool: format!("bms {}", env!("CARGO_PKG_VERSION")),
            source: plan.source.clone(),
            files: plan.files.clone(),
            warnings,
        },
        tables: Tables { ageing, ..cell_tables },
        fit,
    })
}

/// File names of the pulse tests that a condition takes.
fn pulse_files(plan: &Plan, takes: impl Fn(&PulseTest) -> bool) -> String {
    let names = plan.pulses.iter().filter(|p| takes(p)).map(|p| p.run.source.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// Refuses a capacity that no single cell has.
fn check_capacity(reference: &ocv::OcvTest, capacity_ah: f64) -> Result<(), IdentifyError> {
    if (0.001..=2000.0).contains(&capacity_ah) {
        return Ok(());
    }
    Err(IdentifyError::Nonsense {
        what: "capacity in Ah".into(),
        value: capacity_ah,
        files: reference.runs.iter().map(|r| r.source.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// Refuses pulse tests whose currents or voltages no cell has, or that hold no current steps.
fn check_pulses(plan: &Plan, nominal_ah: f64, limits: [f64; 2]) -> Result<(), IdentifyError> {
    for test in &plan.pulses {
        let run = &test.run;
        let largest = run.current_a.iter().fold(0.0f64, |m, i| m.max(i.abs())) / nominal_ah;
        if largest > LARGEST_C {
            return Err(IdentifyError::Nonsense {
                what: "largest current in C (mA instead of A?)".into(),
                value: largest.round(),
                files: run.source.clone(),
            });
        }
        let outside = |v: &&f64| **v < limits[0] - OUTSIDE_V || **v > limits[1] + OUTSIDE_V;
        let share = run.voltage_v.iter().filter(outside).count() as f64 / run.len().max(1) as f64;
        if share > 0.5 {
            return Err(IdentifyError::Nonsense {
                what: format!(
                    "share of samples more than {OUTSIDE_V} V outside {:.2} to {:.2} V",
                    limits[0], limits[1]
                ),
                value: round(share, 1e-2),
                files: run.source.clone(),
            });
        }
    }
    for t in distinct_temperatures(&plan.pulses) {
        let at_t = |p: &PulseTest| (p.temperature_c - t).abs() < 0.5;
        let runs = plan.pulses.iter().filter(|p| at_t(p));
        if runs.map(|p| load_steps(&p.run, nominal_ah)).sum::<usize>() < 2 {
            return Err(IdentifyError::Undetermined {
                file: pulse_files(plan, at_t),
                temperature_c: t,
                reason: format!("fewer than two current steps above {LOAD_C}C"),
            });
        }
    }
    Ok(())
}

/// How often the current steps to a load.
fn load_steps(run: &Run, nominal_ah: f64) -> usize {
    let load = LOAD_C * nominal_ah;
    run.current_a.windows(2).filter(|i| i[1].abs() > load && (i[1] - i[0]).abs() > load).count()
}

/// Refuses a voltage drop at 1C that no cell has.
fn check_resistances(
    plan: &Plan,
    nodes: &Nodes,
    tables: &circuit::Tables,
    capacity_ah: f64,
) -> Result<(), IdentifyError> {
    for &t in &nodes.temperature_c {
        let drop_v = ocv::at(&total_resistance(nodes, tables, t), 0.5) * capacity_ah;
        if !DROP_AT_1C_V.contains(&drop_v) {
            return Err(IdentifyError::Nonsense {
                what: format!("voltage drop at 1C, 50 % SOC and {t} degC in V"),
                value: round(drop_v, 1e-5),
                files: pulse_files(plan, |p| (p.temperature_c - t).abs() < 0.5),
            });
        }
    }
    Ok(())
}

/// Lowest and highest SOC with load in any pulse test.
fn loaded_soc(runs: &[FitRun], capacity_ah: f64) -> (f64, f64) {
    let loaded = runs.iter().flat_map(|r| {
        let used = |k: &usize| r.weight[*k] > 0.0 && r.current_a[*k].abs() > LOAD_C * capacity_ah;
        (0..r.soc.len()).filter(used).map(|k| r.soc[k])
    });
    loaded.fold((1.0f64, 0.0f64), |(lo, hi), z| (lo.min(z), hi.max(z)))
}

/// What had to be assumed about the start of a pulse test.
fn start_warning(run: &Run, base: &[OcvCurves], capacity_ah: f64) -> Option<String> {
    let start = start_soc(run, base, capacity_ah);
    let name = &run.source;
    if run.current_a.first().is_some_and(|i| i.abs() >= REST_C * capacity_ah) {
        Some(format!("{name}: starts under load, its start is taken as full"))
    } else if start < 1.0 {
        Some(format!("{name}: does not start full, its start is taken as {:.0} % SOC", 100.0 * start))
    } else {
        None
    }
}

/// Where the fit is poor or rests on an assumption.
fn fit_warnings(nodes: &Nodes, fit: &[FitSummary], edges: &[f64]) -> Vec<String> {
    let mut out = Vec::new();
    for ((&t, shape), (fit, &edge)) in nodes.temperature_c.iter().zip(&nodes.shape).zip(fit.iter().zip(edges))
    {
        if fit.voltage_rmse_v > POOR_FIT_V {
            out.push(format!(
                "the fit at {t} degC leaves {:.1} mV RMS unexplained",
                1e3 * fit.voltage_rmse_v
            ));
        }
        if let Some(words) = circuit::at_bound(shape) {
            out.push(format!("time constants at {t} degC: {words}"));
        }
        if edge > LOW_PULSE {
            out.push(format!(
                "no pulse below {:.0} % SOC at {t} degC: resistances there are extrapolated and the model error is widened",
                100.0 * edge
            ));
        }
    }
    out
}

fn largest_throughput(runs: &[Run]) -> f64 {
    runs.iter()
        .map(|r| {
            let q = r.discharged_ah();
            let (lo, hi) = q.iter().fold((0.0f64, 0.0f64), |(lo, hi), &x| (lo.min(x), hi.max(x)));
            hi - lo
        })
        .fold(1e-6, f64::max)
}

fn voltage_range(runs: &[Run]) -> [f64; 2] {
    let all = runs.iter().flat_map(|r| r.voltage_v.iter().copied());
    let (lo, hi) = all.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
    [(lo * 20.0).round() / 20.0, (hi * 20.0).round() / 20.0]
}

fn distinct_temperatures(pulses: &[PulseTest]) -> Vec<f64> {
    let mut t: Vec<f64> = pulses.iter().map(|p| p.temperature_c).collect();
    t.sort_by(f64::total_cmp);
    t.dedup_by(|a, b| (*a - *b).abs() < 0.5);
    t
}

/// The open-circuit curves to start from: the one at 25 degC where pulse tests with rests correct it at their
/// temperature, else one per temperature.
fn base_curves(
    plan: &Plan,
    nominal_ah: f64,
    capacity_ah: f64,
    reference: &OcvCurves,
    warnings: &mut Vec<String>,
) -> Vec<OcvCurves> {
    if !plan.from_dynamic {
        return vec![reference.clone()];
    }
    let mut all: Vec<OcvCurves> = plan
        .ocv
        .iter()
        .filter_map(|test| match ocv::curves(test, nominal_ah, Some(capacity_ah)) {
            Ok(c) => Some(c),
            Err(e) => {
                warnings.push(e.to_string());
                None
            }
        })
        .collect();
    all.sort_by(|a, b| a.temperature_c.total_cmp(&b.temperature_c));
    all
}

fn over_temperature<'a>(
    at: impl Fn(usize) -> &'a [f64],
    temperatures: &[f64],
    temperature_c: f64,
    soc: f64,
) -> f64 {
    let n = temperatures.len();
    if n == 1 {
        return ocv::at(at(0), soc);
    }
    let k = temperatures.partition_point(|&x| x <= temperature_c).clamp(1, n - 1) - 1;
    let f = ((temperature_c - temperatures[k]) / (temperatures[k + 1] - temperatures[k])).clamp(0.0, 1.0);
    ocv::at(at(k), soc) * (1.0 - f) + ocv::at(at(k + 1), soc) * f
}

/// Turns a run into what the fit works on.
fn prepare(
    test: &PulseTest,
    base: &[OcvCurves],
    hysteresis: &[Vec<f64>],
    capacity_ah: f64,
    voltage_limits: [f64; 2],
) -> FitRun {
    let run = &test.run;
    let n = run.len();
    let base_t: Vec<f64> = base.iter().map(|b| b.temperature_c).collect();
    let removed = run.discharged_ah();
    let start = start_soc(run, base, capacity_ah);
    let mut out =
        FitRun { source: run.source.clone(), temperature_c: test.temperature_c, ..FitRun::default() };
    let mut h = 1.0;
    for k in 0..n {
        let dt = run.dt_s(k);
        let before = k.saturating_sub(1);
        let moved = removed[k] - removed[before];
        let trapezoid = 0.5 * (run.current_a[k] + run.current_a[before]) * dt / 3600.0;
        let gap = (moved - trapezoid).abs() > 0.003 * capacity_ah;
        let mean = if gap && dt > 0.0 {
            moved * 3600.0 / dt
        } else {
            0.5 * (run.current_a[k] + run.current_a[before])
        };
        let soc = start - removed[k] / capacity_ah;
        let throughput = mean.abs() * dt / (3600.0 * capacity_ah);
        let a = (-throughput * HYSTERESIS_GAMMA).exp();
        h = a * h - (1.0 - a) * mean.signum();
        let cell_c = run.temperature_c.as_ref().map_or(test.temperature_c, |t| t[k]);
        let v_oc = over_temperature(|j| &base[j].mean_v, &base_t, cell_c, soc);
        let m = over_temperature(|j| &hysteresis[j], &base_t, cell_c, soc);
        out.dt_s.push(dt);
        out.mean_a.push(mean);
        out.current_a.push(run.current_a[k]);
        out.soc.push(soc);
        out.cell_c.push(cell_c);
        out.drop_v.push(v_oc + m * h - run.voltage_v[k]);
        let usable = (0.01..=1.01).contains(&soc) && run.voltage_v[k] > voltage_limits[0] - 0.05;
        out.weight.push(if usable { dt } else { 0.0 });
        out.gap.push(gap);
    }
    weigh_segments(&mut out, capacity_ah);
    out
}

/// SOC at the first sample: full, unless the voltage clearly says otherwise.
fn start_soc(run: &Run, base: &[OcvCurves], capacity_ah: f64) -> f64 {
    let at_rest = run.current_a.first().is_some_and(|i| i.abs() < REST_C * capacity_ah);
    let curve = &base[0].mean_v;
    let v = run.voltage_v.first().copied().unwrap_or_default();
    let guess = (0..OCV_COLUMNS).find(|&k| curve[k] >= v).map_or(1.0, ocv::soc);
    if at_rest && guess < 0.9 { guess } else { 1.0 }
}

/// Weights so that a segment of constant current counts with the square root of its length: a 10 s pulse is heard
/// beside an hour of rest.
fn weigh_segments(run: &mut FitRun, capacity_ah: f64) {
    let n = run.dt_s.len();
    let step = 0.03 * capacity_ah;
    let mut start = 0;
    let mut total = 0.0;
    for k in 1..=n {
        if k < n && (run.current_a[k] - run.current_a[k - 1]).abs() < step {
            continue;
        }
        let length: f64 = run.dt_s[start..k].iter().sum();
        let loaded = run.current_a[start].abs() > 0.01 * capacity_ah;
        let factor = if loaded { 2.0 } else { 1.0 } / length.max(1.0).sqrt();
        for w in &mut run.weight[start..k] {
            *w *= factor;
            total += *w;
        }
        start = k;
    }
    if total > 0.0 {
        for w in &mut run.weight {
            *w /= total;
        }
    }
}

/// The part of a run near its nominal temperature (the rest keeps its history but no weight).
fn near(run: &FitRun, temperature_c: f64) -> FitRun {
    let mut out = run.clone();
    for (w, &t) in out.weight.iter_mut().zip(&run.cell_c) {
        if (t - temperature_c).abs() > 6.0 {
            *w = 0.0;
        }
    }
    out
}

/// Sum of all resistances at a temperature, over the circuit columns.
fn total_resistance(nodes: &Nodes, tables: &circuit::Tables, temperature_c: f64) -> Vec<f64> {
    (0..CIRCUIT_COLUMNS)
        .map(|s| {
            let z = s as f64 / (CIRCUIT_COLUMNS - 1) as f64;
            tables
                .r_ohm
                .iter()
                .map(|r| over_temperature(|k| &r[k], &nodes.temperature_c, temperature_c, z))
                .sum()
        })
        .collect()
}

fn summaries(
    temperatures: &[f64],
    pulses: &[PulseTest],
    runs: &[FitRun],
    residuals: &[Vec<f64>],
) -> Vec<FitSummary> {
    temperatures
        .iter()
        .map(|&t| {
            let (mut sum, mut weight, mut largest) = (0.0, 0.0, 0.0f64);
            let mut list = Vec::new();
            for ((test, run), residual) in pulses.iter().zip(runs).zip(residuals) {
                if (test.temperature_c - t).abs() >= 0.5 {
                    continue;
                }
                for (r, w) in residual.iter().zip(&run.weight) {
                    sum += w * r * r;
                    weight += w;
                    if *w > 0.0 {
                        largest = largest.max(r.abs());
                    }
                }
                list.extend(pulse_residuals(run, residual));
            }
            FitSummary {
                temperature_c: t,
                voltage_rmse_v: (sum / weight.max(1e-12)).sqrt(),
                voltage_max_v: largest,
                pulses: list,
            }
        })
        .collect()
}

/// Residual of every short constant-current pulse (3 to 60 s).
fn pulse_residuals(run: &FitRun, residual: &[f64]) -> Vec<PulseResidual> {
    let n = residual.len();
    let mut found = Vec::new();
    let mut start = 0;
    for k in 1..=n {
        if k < n && (run.current_a[k] - run.current_a[k - 1]).abs() < 0.03 * run.current_a[k].abs().max(0.05)
        {
            continue;
        }
        let duration: f64 = run.dt_s[start + 1..k].iter().sum();
        let current = run.current_a[start];
        // A row that takes no time, as loggers write at a change, never has weight: the next one tells.
        let first = (start..k).find(|&row| run.dt_s[row] > 0.0).unwrap_or(start);
        if (3.0..=60.0).contains(&duration) && current.abs() > 0.05 && run.weight[first] > 0.0 {
            let r = &residual[first..k];
            found.push(PulseResidual {
                soc: run.soc[start],
                current_a: current,
                duration_s: duration,
                rmse_v: (r.iter().map(|x| x * x).sum::<f64>() / r.len() as f64).sqrt(),
                max_v: r.iter().fold(0.0, |m, x| m.max(x.abs())),
            });
        }
        start = k;
    }
    found
}

/// Rows of the final tables: every test temperature and steps of at most 5 K between them.
fn rows(temperatures: &[f64]) -> Vec<f64> {
    let mut out = vec![temperatures[0]];
    for pair in temperatures.windows(2) {
        let steps = ((pair[1] - pair[0]) / 5.0).ceil().max(1.0);
        for k in 1..=steps as usize {
            out.push(pair[0] + (pair[1] - pair[0]) * k as f64 / steps);
        }
    }
    out
}

fn assemble(
    nodes: &Nodes,
    tables: &circuit::Tables,
    base: &[OcvCurves],
    hysteresis: &[Vec<f64>],
    error: &[Vec<f64>],
    capacity_ah: f64,
) -> Tables {
    let temperature_c = rows(&nodes.temperature_c);
    let base_t: Vec<f64> = base.iter().map(|b| b.temperature_c).collect();
    let bracket = |t: f64| {
        let n = nodes.temperature_c.len();
        if n == 1 {
            return (0, 0, 0.0);
        }
        let k = nodes.temperature_c.partition_point(|&x| x <= t + 1e-9).clamp(1, n - 1) - 1;
        let (a, b) = (nodes.temperature_c[k] + 273.15, nodes.temperature_c[k + 1] + 273.15);
        // Arrhenius: the logarithm is straight over 1/T.
        let f = (1.0 / (t + 273.15) - 1.0 / a) / (1.0 / b - 1.0 / a);
        (k, k + 1, f.clamp(0.0, 1.0))
    };
    let arrhenius =
        |x: f64, y: f64, f: f64, floor: f64| (x.max(floor).ln() * (1.0 - f) + y.max(floor).ln() * f).exp();
    // The whole resistance follows Arrhenius; its parts, which the fit tells apart less surely, share it in proportion.
    let resistance = |kind: usize| -> Vec<Vec<f64>> {
        let of = |node: usize, column: usize| {
            let whole: f64 = tables.r_ohm.iter().map(|r| r[node][column]).sum();
            (whole, tables.r_ohm[kind][node][column] / whole.max(1e-9))
        };
        temperature_c
            .iter()
            .map(|&t| {
                let (a, b, f) = bracket(t);
                (0..CIRCUIT_COLUMNS)
                    .map(|column| {
                        let ((whole_a, share_a), (whole_b, share_b)) = (of(a, column), of(b, column));
                        let whole = arrhenius(whole_a, whole_b, f, 1e-5);
                        round(whole * (share_a * (1.0 - f) + share_b * f), 1e-7)
                    })
                    .collect()
            })
            .collect()
    };
    let tau = |pick: fn(&Shape) -> f64| -> Vec<Vec<f64>> {
        temperature_c
            .iter()
            .map(|&t| {
                let (a, b, f) = bracket(t);
                vec![
                    round(arrhenius(pick(&nodes.shape[a]), pick(&nodes.shape[b]), f, 1e-3), 1e-3);
                    CIRCUIT_COLUMNS
                ]
            })
            .collect()
    };
    let mut ocv_v = Vec::new();
    let mut hysteresis_v = Vec::new();
    for &t in &temperature_c {
        let mut row: Vec<f64> = (0..OCV_COLUMNS)
            .map(|k| {
                let z = ocv::soc(k);
                let delta = over_temperature(|j| &tables.delta_v[j], &nodes.temperature_c, t, z);
                over_temperature(|j| &base[j].mean_v, &base_t, t, z) + delta
            })
            .collect();
        ocv::make_rising(&mut row);
        ocv_v.push(row.iter().map(|v| round(*v, 1e-5)).collect());
        let gap = |k| round(over_temperature(|j| &hysteresis[j], &base_t, t, ocv::soc(k)), 1e-5);
        hysteresis_v.push((0..OCV_COLUMNS).map(gap).collect());
    }
    let per_temperature = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
        temperature_c
            .iter()
            .map(|&t| {
                let (a, b, f) = bracket(t);
                arrhenius(value(a), value(b), f, 1e-5)
            })
            .collect()
    };
    // Without a charge-transfer term the scale has no effect; a neighbour's keeps interpolation sane.
    let any_scale = nodes.shape.iter().find_map(|s| s.i_ct_a).unwrap_or(capacity_ah);
    Tables {
        r0_ohm: resistance(0),
        rct_ohm: resistance(1),
        r1_ohm: resistance(2),
        tau1_s: tau(|s| s.tau1_s),
        r2_ohm: resistance(3),
        tau2_s: tau(|s| s.tau2_s),
        i_ct_a: per_temperature(&|k| nodes.shape[k].i_ct_a.unwrap_or(any_scale))
            .iter()
            .map(|x| round(*x, 1e-4))
            .collect(),
        model_error_v: temperature_c
            .iter()
            .map(|&t| {
                let (a, b, f) = bracket(t);
                error[a].iter().zip(&error[b]).map(|(x, y)| round(x * (1.0 - f) + y * f, 1e-5)).collect()
            })
            .collect(),
        hysteresis_gamma: HYSTERESIS_GAMMA,
        ageing: None,
        negative_v: Vec::new(),
        temperature_c: temperature_c.iter().map(|t| round(*t, 1e-3)).collect(),
        ocv_v,
        hysteresis_v,
    }
}

/// The same run with all weights scaled.
fn lighter(mut run: FitRun, factor: f64) -> FitRun {
    run.weight.iter_mut().for_each(|w| *w *= factor);
    run
}

/// Lowest SOC at which the cell was loaded at each test temperature.
fn lowest_pulse(temperatures: &[f64], runs: &[FitRun], capacity_ah: f64) -> Vec<f64> {
    temperatures
        .iter()
        .map(|&t| {
            let loaded = runs.iter().filter(|r| (r.temperature_c - t).abs() < 0.5).flat_map(|r| {
                let used = |k: &usize| r.weight[*k] > 0.0 && r.current_a[*k].abs() > 0.2 * capacity_ah;
                (0..r.soc.len()).filter(used).map(|k| r.soc[k])
            });
            loaded.fold(1.0f64, f64::min).max(0.0)
        })
        .collect()
}

/// Below the lowest pulse of a temperature, resistances rise as they do at the next warmer one that was tested there.
fn extrapolate_down(nodes: &Nodes, tables: &mut circuit::Tables, edges: &[f64]) {
    let column = |z: f64| ((z * (CIRCUIT_COLUMNS - 1) as f64).ceil() as usize).min(CIRCUIT_COLUMNS - 1);
    for t in (0..nodes.temperature_c.len()).rev() {
        let Some(warm) = (t + 1..nodes.temperature_c.len()).next() else { continue };
        let edge = column(edges[t]);
        if column(edges[warm]) >= edge && edges[warm] >= edges[t] {
            continue;
        }
        let total = |s: usize| tables.r_ohm.iter().map(|r| r[warm][s]).sum::<f64>();
        let ratio: Vec<f64> =
            (0..edge).map(|s| (total(s) / total(edge).max(1e-6)).clamp(1.0, 10.0)).collect();
        for r in &mut tables.r_ohm {
            for s in 0..edge {
                r[t][s] = r[t][edge] * ratio[s];
            }
        }
    }
}

/// How wrong the model is, over temperature and SOC: what it left unexplained in every run that was at hand.
fn model_error(nodes: &Nodes, runs: &[FitRun], residuals: &[Vec<f64>], edges: &[f64]) -> Vec<Vec<f64>> {
    let rows = nodes.temperature_c.len();
    let mut sums = vec![vec![(0.0, 0.0); CIRCUIT_COLUMNS]; rows];
    for (run, residual) in runs.iter().zip(residuals) {
        for (k, r) in residual.iter().enumerate() {
            if run.weight[k] <= 0.0 {
                continue;
            }
            let loaded = LOAD_SHARE * run.drop_v[k];
            let square = (r * r - loaded * loaded).max(0.0);
            for (n, w) in nodes.around(run.cell_c[k], run.soc[k]) {
                let cell = &mut sums[n / CIRCUIT_COLUMNS][n % CIRCUIT_COLUMNS];
                cell.0 += w * run.weight[k] * square;
                cell.1 += w * run.weight[k];
            }
        }
    }
    sums.iter()
        .zip(edges)
        .map(|(row, &edge)| {
            let total: f64 = row.iter().map(|c| c.1).sum();
            let overall = row.iter().map(|c| c.0).sum::<f64>() / total.max(1e-12);
            // A column with little data leans on the row's mean.
            let prior = 0.02 * total.max(1e-12);
            row.iter()
                .enumerate()
                .map(|(s, c)| {
                    let z = s as f64 / (CIRCUIT_COLUMNS - 1) as f64;
                    let inside = ((c.0 + prior * overall) / (c.1 + prior)).sqrt();
                    let beyond = BEYOND_V_PER_SOC * (edge - 0.05 - z).max(0.0);
                    (inside + beyond).clamp(0.002, 0.5)
                })
                .collect()
        })
        .collect()
}

fn round(x: f64, grain: f64) -> f64 {
    // Dividing by the inverse keeps the decimal short in the file.
    let inverse = (1.0 / grain).round();
    (x * inverse).round() / inverse
}
