//! Work for an instruction counter, and the memory that an estimator takes.
//!
//! `count_steps sizes` prints bytes; `count_steps CASE STEPS` runs a fixed input. The difference between two lengths is
//! the cost of the steps between them. `benches/instructions.sh` does it all.

use std::hint::black_box;
use std::mem::size_of;
use std::process::ExitCode;

use bms_core::balance::BalanceRules;
use bms_core::balance::passive::BalanceLimits;
use bms_core::bms::{BalanceMeans, Bms, Models, Request, Sample, Settings};
use bms_core::cell::{CellModel, CellTables};
use bms_core::charging::{ChargeMode, ChargePlan, ChargeSettings, ChargerReport, CurrentTable, Stage};
use bms_core::climate::ClimateSettings;
use bms_core::energy;
use bms_core::estimator::CellEstimator;
use bms_core::example;
use bms_core::leak::LeakLimits;
use bms_core::measurement::{Measurement, Reading};
use bms_core::pack::{PackEstimator, PackMeasurement};
use bms_core::predict::{Heat, Hold, PulseModel};
use bms_core::preheat::{self, CoolantHeater, Films, Means, PackFacts, Pulses};
use bms_core::soc::{Estimated, SocEstimator};
use bms_core::sop::{self, Limits};
use bms_core::temperatures::{CellPlace, Layout};
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
         count_steps drive|count_only|look_up|iterated|pack96|bms96|bms96_charge|cell|sop_power|energy_remaining STEPS"
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
    if case == "bms96" || case == "bms96_charge" {
        return whole_pack(steps, case == "bms96_charge");
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

/// Temperature sensors and modules of the pack.
const SENSORS: usize = 24;
const MODULES: usize = 8;

/// Step after step of the whole management of a pack in a drive or a charge.
fn whole_pack(steps: u32, charge: bool) -> bool {
    let (Ok(model), Ok(negative)) = (CellModel::new(example::NMC_5AH), CellModel::new(NEGATIVE)) else {
        return false;
    };
    let places: [CellPlace; CELLS] = std::array::from_fn(|k| CellPlace {
        channel: (k / 12) as u8,
        along: ((k % 12) as f32 + 0.5) / 12.0,
        module: (k / 12) as u8,
        to_coolant_w_per_k: 2.0,
        to_ambient_w_per_k: 0.02,
    });
    let sensor_cells: [u16; SENSORS] = std::array::from_fn(|s| 4 * s as u16 + 1);
    let facts = PackFacts {
        series: CELLS as u16,
        parallel: 1,
        cell_mass_g: 70.0,
        cell_j_per_k: 70.0,
        extra_j_per_k: 10.0,
        loss_w_per_k: 3.0,
        evening_s: 1000.0,
    };
    let means = Means {
        coolant: Some(CoolantHeater { power_w: 6000.0, efficiency: 0.95, loop_j_per_k: 3e4 }),
        films: Some(Films { power_w: 300.0, efficiency: 0.9 }),
        pulses: Some(Pulses { current_a: 20.0, frequency_hz: 50.0, largest_ratio: 1.0, drive_loss: 0.06 }),
    };
    let stages = [Stage { current_a: 5.0, until_soc: 2.0, until_v: 4.2 }];
    let plan = ChargePlan { stages: &stages, voltage_v: 4.2, taper_a: 0.25 };
    let settings = Settings {
        layout: Layout {
            cells: &places,
            sensor_cells: &sensor_cells,
            core_j_per_k: 60.0,
            surface_j_per_k: 10.0,
            core_surface_w_per_k: 1.0,
            neighbour_w_per_k: 0.5,
            coolant_j_per_l_k: 3500.0,
            sensor_offset_std_k: 0.3,
        },
        climate: ClimateSettings { films: MODULES as u8, pack_j_per_k: 96.0 * 80.0, ..ClimateSettings::CAR },
        preheat: Some(preheat::Settings::new(&model, facts, means)),
        charge: ChargeSettings {
            temperature_c: [0.0, 50.0],
            ..ChargeSettings::typical(
                CELLS as u16,
                plan,
                CurrentTable { temperature_c: &[0.0, 20.0], soc: &[0.5], current_a: &[0.0, 5.0] },
            )
        },
        balance: BalanceMeans::Passive(BalanceLimits {
            rules: BalanceRules { channels: 48, power_w: 30.0, ..BalanceRules::TYPICAL },
            ..BalanceLimits::NMC
        }),
        limits: Limits {
            heat: Some(Heat { capacity_j_per_k: 70.0, to_ambient_w_per_k: 0.0, ambient_c: 25.0 }),
            ..Limits::of_cell(&model, 15.0, 7.5)
        },
        leak: Some(LeakLimits::TYPICAL),
        power_every_s: 10.0,
    };
    let models = Models { cell: &model, pulse: PulseModel::from(&model), negative: Some((&negative).into()) };
    let start = Estimated { value: 0.8, std: 0.02 };
    let Ok(mut bms) = Bms::<CELLS, SENSORS, MODULES>::new(models, &Tuning::NMC, &settings, 5.0, start) else {
        return false;
    };
    let reading = |t: f32| Reading::within(t, -60.0, 120.0);
    let request =
        if charge { Request::Charge { mode: ChargeMode::Fast, target_soc: 1.0 } } else { Request::Drive };
    for k in 0..steps {
        let one = if charge {
            Measurement::new(3.95 + 3e-5 * k as f32, -2.0, 24.0).with_mean_current(-2.0)
        } else {
            drive(k)
        };
        let warm_c = 24.0 + (k % 500) as f32 * 0.002;
        let charger = ChargerReport {
            connected: charge,
            heard: charge,
            current_a: Reading::within(2.0, 0.0, 1e3),
            max_a: 16.0,
            max_v: 450.0,
        };
        let sample = Sample {
            cell_voltage_v: [one.voltage_v; CELLS],
            sensors_c: std::array::from_fn(|s| reading(warm_c + 0.02 * s as f32)),
            current_a: one.current_a,
            mean_current_a: one.mean_current_a,
            contactors_open: false,
            inlet_c: reading(22.0),
            outlet_c: reading(23.0),
            ambient_c: reading(20.0),
            board_c: reading(30.0),
            flow_l_per_min: 10.0,
            reverse: k / 60 % 2 == 1,
            film_w: [0.0; MODULES],
            charger,
            external_w: 0.0,
        };
        black_box(bms.step(black_box(&sample), black_box(&request), 1.0));
    }
    black_box(&bms);
    true
}

/// Made-up tables of 2 V less the negative electrode's potential.
const NEGATIVE: CellTables<'static> = CellTables {
    v_min: 0.5,
    v_max: 2.0,
    ocv_v: &[
        1.20, 1.60, 1.78, 1.80, 1.82, 1.84, 1.85, 1.86, 1.87, 1.88, 1.89, 1.90, 1.91, //
        1.20, 1.60, 1.78, 1.80, 1.82, 1.84, 1.85, 1.86, 1.87, 1.88, 1.89, 1.90, 1.91, //
        1.20, 1.60, 1.78, 1.80, 1.82, 1.84, 1.85, 1.86, 1.87, 1.88, 1.89, 1.90, 1.91,
    ],
    hysteresis_v: &[0.002; 39],
    ..example::NMC_5AH
};

/// A fixed drive-like sample; the voltage follows what the tables say well enough not to be refused.
fn drive(k: u32) -> Measurement {
    let current = [8.0, 12.0, 3.0, 0.0, -6.0, 5.0, 2.0, 1.0][(k / 8 % 8) as usize];
    let voltage = 4.0 - 0.02 * current - 3e-5 * k as f32;
    Measurement::new(voltage, current, 24.0 + (k % 500) as f32 * 0.002).with_mean_current(current)
}
