//! Times the circuit models in the same way as the C floors in `benches/c`; `benches/plants_vs_c.sh` runs both in turns.
//!
//! Arguments: `profile N` prints N currents in A; `cell const|table|full run|step REPEATS PROFILE N` and
//! `batch const|full CELLS STEPS REPEATS PROFILE` print the least and the median time of a step (of one cell) in ns, then the last
//! voltage and temperature as a check.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use cell_models::{
    BatchCell, Drive, EcmBatch, EcmCell, EcmParameters, EcmTrace, Plant, RcPair, Table1, Table2, Thermal,
    Waveform,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The cell of `S1_floor.c`: with constants, or with its tables of 21 SOC by 5 temperatures.
fn floor_cell(tables: bool) -> Outcome<EcmParameters> {
    let ocv_v = vec![
        2.900, 3.285, 3.392, 3.450, 3.495, 3.530, 3.557, 3.580, 3.603, 3.628, 3.660, 3.700, 3.745, 3.792,
        3.840, 3.890, 3.940, 3.992, 4.048, 4.108, 4.180,
    ];
    let soc: Vec<f64> = (0..21).map(|k| f64::from(k) / 20.0).collect();
    let table = |value: f64| {
        if !tables {
            return Table2::constant(value);
        }
        let rows: Vec<f64> = (0..5).map(|t| -10.0 + 15.0 * f64::from(t)).collect();
        let values = rows.iter().flat_map(|t| {
            let arrhenius = (2500.0 * (1.0 / (t + 273.15) - 1.0 / 298.15)).exp();
            soc.iter().map(move |z| value * (1.0 + 0.8 * (z - 0.5) * (z - 0.5)) * arrhenius)
        });
        Table2::new(rows.clone(), soc.clone(), values.collect())
    };
    Ok(EcmParameters {
        capacity_ah: 5.0,
        coulombic_efficiency: 1.0,
        voltage_limits_v: [2.5, 4.3],
        ocv_v: Table1::new(soc.clone(), ocv_v)?,
        entropic_v_per_k: Table1::constant(0.0)?,
        r0_discharge_ohm: table(0.020)?,
        r0_charge_ohm: table(0.020)?,
        rc: vec![
            RcPair { r_ohm: table(0.010)?, tau_s: table(20.0)? },
            RcPair { r_ohm: table(0.015)?, tau_s: table(300.0)? },
        ],
        hysteresis_v: Table1::constant(0.0)?,
        hysteresis_gamma: 0.0,
        thermal: Thermal {
            core_j_per_k: 60.0,
            surface_j_per_k: 10.0,
            core_surface_w_per_k: 1.0,
            surface_ambient_w_per_k: 0.1,
        },
    })
}

fn report(mut seconds: Vec<f64>, steps: f64, voltage_v: f64, temperature_c: f64) {
    seconds.sort_by(f64::total_cmp);
    let ns = |s: f64| s * 1e9 / steps;
    println!(
        "{:.5} {:.5} {voltage_v:.9} {:.6}",
        ns(seconds[0]),
        ns(seconds[seconds.len() / 2]),
        temperature_c + 273.15
    );
}

fn read_profile(path: &str, n: usize) -> Outcome<Vec<f64>> {
    let text = std::fs::read_to_string(path)?;
    let current_a = text.lines().take(n).map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    if current_a.len() < n {
        return Err(format!("the profile holds {} currents, but {n} are needed", current_a.len()).into());
    }
    Ok(current_a)
}

fn cell(kind: &str, how: &str, repeats: usize, path: &str, n: usize) -> Outcome<()> {
    let parameters = match kind {
        "const" => floor_cell(false)?,
        "table" => floor_cell(true)?,
        // Hysteresis, entropic heat and a resistance for each direction as well.
        _ => EcmParameters::generic_nmc_5ah(),
    };
    let currents = read_profile(path, n + 1)?;
    let mut start = EcmCell::new(parameters, 0.95, 25.0)?;
    start.set_current(currents[0])?;
    let [mut voltage, mut soc, mut core, mut surface] = [(); 4].map(|()| vec![0.0; n]);
    let mut seconds = Vec::with_capacity(repeats);
    for _ in 0..=repeats {
        let mut cell = start.clone();
        let clock = Instant::now();
        if how == "run" {
            let trace = EcmTrace {
                voltage_v: &mut voltage,
                soc: &mut soc,
                core_temperature_c: &mut core,
                surface_temperature_c: &mut surface,
            };
            cell.run(1.0, black_box(&currents[1..]), Waveform::Linear, trace)?;
        } else {
            for (k, &current) in black_box(&currents[1..]).iter().enumerate() {
                cell.ramp_current(current, 1.0)?;
                (voltage[k], soc[k], core[k]) = (cell.voltage_v(), cell.soc(), cell.core_temperature_c());
            }
        }
        seconds.push(clock.elapsed().as_secs_f64());
        black_box((&voltage, &soc, &core, &surface));
    }
    report(seconds.split_off(1), n as f64, voltage[n - 1], core[n - 1]);
    Ok(())
}

/// The cells of `limit.c`: `tables` puts the generic NMC cell in their place, with look-ups, hysteresis and all.
fn batch(cells: usize, steps: usize, repeats: usize, path: &str, tables: bool) -> Outcome<()> {
    let parameters = if tables { EcmParameters::generic_nmc_5ah() } else { floor_cell(false)? };
    let spread = (0..cells).map(|k| {
        let z = (k as f64 * 12.9898).sin() * 43758.5453;
        let z = z - z.floor() - 0.5;
        BatchCell { capacity: 1.0 + 0.02 * z, resistance: 1.0 + 0.1 * z, soc: 0.95, temperature_c: 25.0 }
    });
    let start = EcmBatch::new(parameters, spread)?;
    let currents = read_profile(path, steps)?;
    let mut seconds = Vec::with_capacity(repeats);
    let mut batch = start.clone();
    for _ in 0..=repeats {
        batch.clone_from(&start);
        let clock = Instant::now();
        for &current in black_box(&currents) {
            batch.step_series(current, 1.0)?;
        }
        seconds.push(clock.elapsed().as_secs_f64());
        black_box(&batch);
    }
    let per_step = (steps * cells) as f64;
    report(seconds.split_off(1), per_step, batch.voltage_v()[0], batch.core_temperature_c()[0]);
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["profile", n] => {
            // Half discharge, so that 36 000 steps take the cell from 95 % to about 10 %.
            let drive: Vec<f64> = Drive::new(6, 10.0, 600.0, 1.0)?.map(|step| step.current_a).collect();
            let mean = drive.iter().sum::<f64>() / drive.len() as f64;
            for current in drive.iter().cycle().take(n.parse()?) {
                println!("{:.6}", current - mean + 0.42);
            }
            Ok(())
        }
        ["cell", kind, how, repeats, path, n] => cell(kind, how, repeats.parse()?, path, n.parse()?),
        ["batch", kind, cells, steps, repeats, path] => {
            batch(cells.parse()?, steps.parse()?, repeats.parse()?, path, kind == "full")
        }
        _ => Err("see the head of this file for its arguments".into()),
    }
}
