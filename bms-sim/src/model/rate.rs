//! How fast cells are simulated on this machine: over how finely the equations are solved, and over the number of cells.
//!
//! The unit is the cell-step: one cell for one second of a drive. Times are medians over rounds in which the candidates
//! take turns, so that a busy machine slows all of them. Compare the ratios; the rates are those of this machine.

use std::hint::black_box;
use std::time::Instant;

use cell_models::physics::{PhysicsParameters, Resolution, SpmeBatch, SpmeBatchCell, SpmeCell};
use cell_models::{BatchCell, Drive, EcmBatch, EcmCell, EcmParameters, Plant, PlantError, Step};
use serde::Serialize;

use super::ModelError;
use super::catalog::{Model, Parameters};
use crate::verify::Progress;

/// Peak of the drive in C, and its seed.
const PEAK_C: f64 = 2.0;
const SEED: u64 = 1;
/// SOC and temperature in degC at the start.
const START_SOC: f64 = 0.8;
const TEMPERATURE_C: f64 = 25.0;
/// The reference is so much finer than the default.
const REFERENCE_FINER: usize = 8;
/// A measurement takes at least so many cell-steps.
const LEAST_CELL_STEPS: usize = 20_000;
/// And so many steps.
const LEAST_STEPS: usize = 10;

/// How thoroughly is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Length of the drive in s.
    pub drive_s: usize,
    /// Rounds of which the median counts.
    pub rounds: usize,
    /// Most cells.
    pub most_cells: usize,
}

impl Effort {
    /// Some ten seconds.
    pub const FULL: Self = Self { drive_s: 3600, rounds: 15, most_cells: 100_000 };
    /// Some three seconds, for the report of `bms verify`.
    pub const BRIEF: Self = Self { drive_s: 600, rounds: 5, most_cells: 10_000 };
    /// For a look: a second.
    pub const QUICK: Self = Self { drive_s: 200, rounds: 3, most_cells: 100 };
}

/// One cell at one resolution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneCell {
    /// What is solved how finely.
    pub label: String,
    /// Elements along the radius of a particle.
    pub particle_elements: usize,
    /// Elements across the electrolyte.
    pub electrolyte_elements: usize,
    /// First step after a change of current, in s.
    pub first_step_s: f64,
    /// Whether this is the default.
    pub is_default: bool,
    /// Cell-steps per second.
    pub steps_per_s: f64,
    /// Rate over that of the first row.
    pub relative: f64,
    /// Error of the voltage against the reference solution, RMS, in mV.
    pub rms_error_mv: f64,
    /// Largest error of the voltage in mV.
    pub max_error_mv: f64,
}

/// Many cells stepped in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ManyCells {
    /// How they are stepped.
    pub series: &'static str,
    /// How many.
    pub cells: usize,
    /// Cell-steps per second.
    pub steps_per_s: f64,
    /// Rate over that of the first row, a single physics cell.
    pub relative: f64,
}

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// Name of the physics cell.
    pub cell: String,
    /// Length of the drive in s.
    pub drive_s: usize,
    /// Rounds of which the median counts.
    pub rounds: usize,
    /// Over resolution, coarse to fine.
    pub one_cell: Vec<OneCell>,
    /// Over the number of cells.
    pub many_cells: Vec<ManyCells>,
}

/// A number of cells, all set to the same current and stepped by 1 s.
type Stepper = Box<dyn FnMut(f64) -> Result<(), PlantError>>;

/// A way to step many cells. A batch is one more entry in [`SERIES`].
struct Series {
    name: &'static str,
    /// More cells than this tell nothing new, or take too much memory.
    most_cells: usize,
    /// Current in A that is 1C for its cells.
    one_c_a: fn(&PhysicsParameters) -> f64,
    build: fn(&PhysicsParameters, usize) -> Result<Stepper, ModelError>,
}

/// All ways to step many cells.
const SERIES: &[Series] = &[
    Series {
        name: "physics, one by one",
        most_cells: 1000,
        one_c_a: |p| p.nominal_capacity_ah,
        build: |p, cells| {
            let cell = SpmeCell::new(p.clone(), START_SOC, TEMPERATURE_C)?.without_ageing();
            Ok(one_by_one(cell, cells))
        },
    },
    Series {
        name: "physics, batch",
        most_cells: 100_000,
        one_c_a: |p| p.nominal_capacity_ah,
        build: |p, cells| {
            let cell = SpmeCell::new(p.clone(), START_SOC, TEMPERATURE_C)?.without_ageing();
            let spread = (0..cells).map(|k| SpmeBatchCell {
                size: spread(k),
                extra_ohm: 0.0,
                soc: START_SOC,
                temperature_c: TEMPERATURE_C,
            });
            let mut batch = SpmeBatch::new(&cell, spread)?;
            Ok(Box::new(move |current_a| {
                batch.step_series(current_a, 1.0)?;
                black_box(batch.voltage_v().next());
                Ok(())
            }))
        },
    },
    Series {
        name: "circuit, one by one",
        most_cells: 100_000,
        one_c_a: |_| EcmParameters::generic_nmc_5ah().capacity_ah,
        build: |_, cells| {
            Ok(one_by_one(EcmCell::new(EcmParameters::generic_nmc_5ah(), START_SOC, TEMPERATURE_C)?, cells))
        },
    },
    Series {
        name: "circuit, batch",
        most_cells: 100_000,
        one_c_a: |_| EcmParameters::generic_nmc_5ah().capacity_ah,
        build: |_, cells| {
            let spread = (0..cells).map(|k| BatchCell {
                capacity: spread(k),
                resistance: 1.0,
                soc: START_SOC,
                temperature_c: TEMPERATURE_C,
            });
            let mut batch = EcmBatch::new(EcmParameters::generic_nmc_5ah(), spread)?;
            Ok(Box::new(move |current_a| {
                batch.step_series(current_a, 1.0)?;
                black_box(batch.voltage_v().first());
                Ok(())
            }))
        },
    },
];

/// Sizes of cells, which differ by up to 2 %.
fn spread(cell: usize) -> f64 {
    1.0 - 0.02 * (cell % 97) as f64 / 97.0
}

/// Steps copies of a cell one after another.
fn one_by_one<P: Plant + 'static>(cell: P, cells: usize) -> Stepper {
    let mut all = vec![cell; cells];
    Box::new(move |current_a| {
        for cell in &mut all {
            cell.set_current(current_a)?;
            cell.advance(1.0)?;
        }
        black_box(all.first().map(Plant::voltage_v));
        Ok(())
    })
}

/// The resolutions, coarse to fine.
fn resolutions() -> Vec<(String, Resolution)> {
    let usual = Resolution::default();
    let mut all: Vec<(String, Resolution)> = [6, 9, 12, 18, 27, 40, 60]
        .into_iter()
        .map(|n| {
            let label = format!("{n} particle elements");
            (label, Resolution { particle_elements: n, ..usual })
        })
        .collect();
    all.extend([2, 4].map(|f| (format!("everything {f} times as fine"), usual.refined(f))));
    all
}

/// Measures a physics cell at several resolutions, and many cells of it and of a circuit.
///
/// # Errors
/// When the cell is not a physics one or refuses its parameters or the drive.
pub fn measure(model: &Model, effort: &Effort, progress: &dyn Progress) -> Result<Rates, ModelError> {
    let Parameters::Physics(parameters, _) = &model.parameters else {
        return Err(ModelError::NotForThisCell {
            setting: "a rate over resolutions",
            needs: "a physics model",
            cell: model.name.clone(),
        });
    };
    let one_cell = over_resolution(parameters, effort, progress)?;
    let many_cells = over_cells(parameters, effort, progress)?;
    Ok(Rates {
        cell: model.name.clone(),
        drive_s: effort.drive_s,
        rounds: effort.rounds,
        one_cell,
        many_cells,
    })
}

/// A drive of so many seconds for cells whose 1C is `one_c_a`.
fn drive(one_c_a: f64, drive_s: usize) -> Result<Vec<Step>, ModelError> {
    Ok(Drive::new(SEED, PEAK_C * one_c_a, drive_s as f64, 1.0)?.collect())
}

fn failed(source: PlantError) -> ModelError {
    ModelError::Step { time_s: 0.0, source }
}

fn over_resolution(
    parameters: &PhysicsParameters,
    effort: &Effort,
    progress: &dyn Progress,
) -> Result<Vec<OneCell>, ModelError> {
    let drive = drive(parameters.nominal_capacity_ah, effort.drive_s)?;
    let fresh = |resolution| {
        SpmeCell::with(parameters.clone(), Default::default(), resolution, START_SOC, TEMPERATURE_C)
            .map(SpmeCell::without_ageing)
    };
    let voltages = |cell: &SpmeCell| -> Result<Vec<f64>, ModelError> {
        let mut cell = cell.clone();
        let one = |step: &Step| {
            cell.set_current(step.current_a).map_err(failed)?;
            cell.advance(step.dt_s).map_err(failed)?;
            Ok(cell.voltage_v())
        };
        drive.iter().map(one).collect()
    };
    let all = resolutions();
    progress.stage("over resolution", all.len() * (effort.rounds + 1) + 1);
    let reference = voltages(&fresh(Resolution::default().refined(REFERENCE_FINER))?)?;
    progress.advance(1);
    let mut cells = Vec::with_capacity(all.len());
    let mut errors = Vec::with_capacity(all.len());
    for (_, resolution) in &all {
        let cell = fresh(*resolution)?;
        let off_v: Vec<f64> = voltages(&cell)?.iter().zip(&reference).map(|(v, r)| v - r).collect();
        let rms_v = (off_v.iter().map(|e| e * e).sum::<f64>() / off_v.len().max(1) as f64).sqrt();
        errors.push((1e3 * rms_v, 1e3 * off_v.iter().fold(0.0, |m: f64, e| m.max(e.abs()))));
        cells.push(cell);
        progress.advance(1);
    }
    let mut seconds = vec![Vec::with_capacity(effort.rounds); all.len()];
    for _ in 0..effort.rounds {
        for (cell, seconds) in cells.iter().zip(&mut seconds) {
            let start = Instant::now();
            black_box(voltages(cell)?);
            seconds.push(start.elapsed().as_secs_f64());
            progress.advance(1);
        }
    }
    let mut rows: Vec<OneCell> = Vec::with_capacity(all.len());
    for (((label, r), (rms_error_mv, max_error_mv)), seconds) in all.into_iter().zip(errors).zip(seconds) {
        let steps_per_s = drive.len() as f64 / median(seconds);
        let relative = steps_per_s / rows.first().map_or(steps_per_s, |first| first.steps_per_s);
        rows.push(OneCell {
            is_default: r == Resolution::default(),
            label,
            particle_elements: r.particle_elements,
            electrolyte_elements: r.electrolyte_elements.iter().sum(),
            first_step_s: r.first_step_s,
            steps_per_s,
            relative,
            rms_error_mv,
            max_error_mv,
        });
    }
    Ok(rows)
}

fn over_cells(
    parameters: &PhysicsParameters,
    effort: &Effort,
    progress: &dyn Progress,
) -> Result<Vec<ManyCells>, ModelError> {
    let counts: Vec<usize> = (0..).map(|e| 10usize.pow(e)).take_while(|n| *n <= effort.most_cells).collect();
    progress.stage("over cells", counts.len());
    let mut measured: Vec<(usize, ManyCells)> = Vec::new();
    for &cells in &counts {
        // Few steps of many cells, many of few.
        let steps = LEAST_CELL_STEPS.div_ceil(cells).max(LEAST_STEPS);
        let mut candidates = Vec::with_capacity(SERIES.len());
        for (place, series) in SERIES.iter().enumerate().filter(|(_, s)| cells <= s.most_cells) {
            let drive = drive((series.one_c_a)(parameters), effort.drive_s)?;
            // Without its mean the drive empties no cell, however often it is repeated.
            let mean_a = drive.iter().map(|step| step.current_a).sum::<f64>() / drive.len().max(1) as f64;
            let currents_a: Vec<f64> = drive.iter().map(|step| step.current_a - mean_a).collect();
            candidates.push((place, series, (series.build)(parameters, cells)?, currents_a, Vec::new()));
        }
        // The first round warms up and does not count.
        for round in 0..=effort.rounds {
            for (_, _, step, currents_a, seconds) in &mut candidates {
                // What the candidate before drove out of the caches comes back first.
                step(0.0).map_err(failed)?;
                let start = Instant::now();
                for k in round * steps..(round + 1) * steps {
                    step(currents_a[k % currents_a.len()]).map_err(failed)?;
                }
                if round > 0 {
                    seconds.push(start.elapsed().as_secs_f64());
                }
            }
        }
        for (place, series, _, _, seconds) in candidates {
            let steps_per_s = (steps * cells) as f64 / median(seconds);
            let row = ManyCells { series: series.name, cells, steps_per_s, relative: f64::NAN };
            measured.push((place, row));
        }
        progress.advance(1);
    }
    measured.sort_by_key(|(place, row)| (*place, row.cells));
    let mut rows: Vec<ManyCells> = measured.into_iter().map(|(_, row)| row).collect();
    let first = rows.first().map_or(f64::NAN, |row| row.steps_per_s);
    for row in &mut rows {
        row.relative = row.steps_per_s / first;
    }
    Ok(rows)
}

/// The middle value; of none, not a number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;
    use crate::verify::Silent;

    #[test]
    fn finer_is_more_exact() {
        let effort = Effort { drive_s: 60, rounds: 1, most_cells: 10 };
        let rates = measure(&open("chen2020").unwrap(), &effort, &Silent).unwrap();
        let errors: Vec<f64> = rates.one_cell.iter().map(|r| r.rms_error_mv).collect();
        assert!(errors[0] > 2.0 * errors[errors.len() - 1], "{errors:?}");
        assert_eq!(rates.one_cell.iter().filter(|r| r.is_default).count(), 1);
        assert_eq!(rates.one_cell[0].relative, 1.0);
        assert_eq!(rates.many_cells.len(), 2 * SERIES.len());
        assert!(rates.many_cells.iter().all(|r| r.steps_per_s > 0.0));
    }

    #[test]
    fn a_circuit_has_no_resolution() {
        let refused = measure(&open("generic_nmc_5ah").unwrap(), &Effort::QUICK, &Silent).unwrap_err();
        assert!(refused.to_string().contains("a physics model"), "{refused}");
    }
}
