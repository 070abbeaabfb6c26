//! Work for an instruction counter, and the memory that an estimator takes.
//!
//! `count_steps sizes` prints bytes; `count_steps CASE STEPS` runs a fixed input. The difference between two lengths is
//! the cost of the steps between them. `benches/instructions.sh` does it all.

use std::hint::black_box;
use std::mem::size_of;
use std::process::ExitCode;

use bms_core::cell::CellModel;
use bms_core::energy;
use bms_core::estimator::CellEstimator;
use bms_core::example;
use bms_core::measurement::{Measurement, Reading};
use bms_core::pack::{PackEstimator, PackMeasurement};
use bms_core::predict::Hold;
use bms_core::soc::SocEstimator;
use bms_core::sop::{self, Limits};
use bms_core::thermal::ThermalParameters;
use bms_core::tuning::Tuning;

const CELLS: usize = 96;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["sizes"] => {
            println!("ram_bytes_one_cell {}", size_of::<SocEstimator<'_>>());
            println!("ram_bytes_cell_estimator {}", size_of::<CellEstimator<'_>>());
            println!("ram_bytes_per_cell_of_96 {}", size_of::<PackEstimator<'_, CELLS>>().div_ceil(CELLS));
            return ExitCode::SUCCESS;
        }
        [case, steps] if steps.parse().is_ok_and(|steps| run(case, steps)) => return ExitCode::SUCCESS,
        _ => {}
    }
    eprintln!(
        "usage: count_steps sizes | \
         count_steps drive|count_only|look_up|iterated|pack96|cell|sop_power|energy_remaining STEPS"
    );
    ExitCode::from(2)
}

fn run(case: &str, steps: u32) -> bool {
    let Ok(model) = CellModel::new(example::NMC_5AH) else { return false };
    let capacity_ah = example::NMC_5AH.capacity_ah;
    if case == "pack96" {
        let Ok(mut pack) = PackEstimator::<CELLS>::new(&model, &Tuning::NMC, capacity_ah, 0.8) else {
            return false;
        };
        for k in 0..steps {
            let one = drive(k);
            let sample = PackMeasurement {
                cell_voltage_v: [one.voltage_v; CELLS],
                cell_temperature_c: [one.temperature_c; CELLS],
                current_a: one.current_a,
                mean_current_a: one.mean_current_a,
                contactors_open: false,
            };
            pack.step(black_box(&sample), 1.0);
        }
        black_box(&pack);
        return true;
    }
    if case == "cell" {
        // SOC, capacity, resistance and core temperature.
        let made = CellEstimator::new(&model, &Tuning::NMC, 0.8).map(|cell| cell.with_core(THERMAL));
        let Ok(Ok(mut cell)) = made else { return false };
        for k in 0..steps {
            let ambient_c = Reading::within(20.0, -60.0, 120.0);
            black_box(cell.step_cooled(black_box(&drive(k)), ambient_c, 1.0));
        }
        black_box(&cell);
        return true;
    }
    let Ok(start) = SocEstimator::new(&model, &Tuning::NMC, capacity_ah, 0.8) else { return false };
    if case == "sop_power" || case == "energy_remaining" {
        let (pulses, from) = ((&model).into(), start.operating_point().into());
        let limits = Limits::of_cell(&model, 15.0, 7.5);
        for _ in 0..steps {
            if case == "sop_power" {
                black_box(sop::power(&pulses, &limits, black_box(&from), None));
            } else {
                black_box(energy::remaining(&pulses, black_box(&from), Hold::Power(10.0), 2.5, 0.0, None));
            }
        }
        return true;
    }
    let mut cell = start;
    for k in 0..steps {
        match case {
            // As in a drive: a sample a second, each with a voltage update.
            "drive" => black_box(cell.step(black_box(&drive(k)), 1.0)),
            // The cheapest step: between two updates only charge, polarisation and hysteresis move on.
            "count_only" => black_box(cell.step(black_box(&drive(k / 100)), if k == 0 { 0.0 } else { 1e-6 })),
            // A new place in the tables at every sample, and an update.
            "look_up" => {
                let temperature_c = Reading::within(20.0 + (k % 2) as f32, -60.0, 120.0);
                black_box(cell.step(black_box(&Measurement { temperature_c, ..drive(k) }), 1.0))
            }
            // The dearest: the voltage moves the SOC so far that the update is done twice. The state is copied back
            // before every step.
            "iterated" => {
                cell = black_box(start);
                black_box(cell.step(black_box(&Measurement::new(3.75, 2.0, 20.0)), 1.0))
            }
            _ => return false,
        };
    }
    black_box(&cell);
    true
}

const THERMAL: ThermalParameters = ThermalParameters {
    core_j_per_k: 60.0,
    surface_j_per_k: 5.0,
    core_surface_k_per_w: 0.8,
    surface_ambient_k_per_w: 4.0,
    core_surface_std: 0.15,
    sensor_std_k: 0.3,
};

/// A fixed drive-like sample; the voltage follows what the tables say well enough not to be refused.
fn drive(k: u32) -> Measurement {
    let current = [8.0, 12.0, 3.0, 0.0, -6.0, 5.0, 2.0, 1.0][(k / 8 % 8) as usize];
    let voltage = 4.0 - 0.02 * current - 3e-5 * k as f32;
    Measurement::new(voltage, current, 24.0 + (k % 500) as f32 * 0.002).with_mean_current(current)
}
