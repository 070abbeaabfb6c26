//! Times the circuit models against the C floors in `benches/c`, side by side; `benches/plants_vs_c.sh` builds those and
//! calls this program.
//!
//! Arguments: the folder with the built floors (those missing are skipped), where `plants.json` and the profile go as
//! well, `--check` to fail when a ratio misses its aim (`--check 1.5`: by more than half), and `--only TEXT` for the rows
//! with this text in their name.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cell_models::network::{
    Actuation, CellNode, Channel, Contact, Coolant, Neighbour, NetworkLayout, PlateSegment, ThermalNetwork,
};
use cell_models::pack::{CellWiring, Cells, Pack, PackLoad, PackParameters, SwitchgearParameters};
use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell, sets};
use cell_models::{
    BatchCell, Drive, EcmBatch, EcmCell, EcmParameters, EcmTrace, Plant, RcPair, Table1, Table2, Thermal,
    Waveform,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const STEPS: usize = 36_000;
const REPEATS: usize = 11;
const ROUNDS: usize = 5;

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

/// A timing: least time of a step (of one cell) in ns, and the voltage in V at the end.
type Timing = (f64, f64);

/// 36 001 currents in A; the drive is shifted so that the cell goes from 95 % SOC to about 10 %.
fn profile() -> Outcome<Vec<f64>> {
    let drive: Vec<f64> = Drive::new(6, 10.0, 600.0, 1.0)?.map(|step| step.current_a).collect();
    let mean = drive.iter().sum::<f64>() / drive.len() as f64;
    Ok(drive.iter().cycle().take(STEPS + 1).map(|i| i - mean + 0.42).collect())
}

fn least(seconds: &[f64], steps: usize) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min) * 1e9 / steps as f64
}

fn cell(parameters: &EcmParameters, run: bool, currents: &[f64]) -> Outcome<Timing> {
    let n = currents.len() - 1;
    let mut start = EcmCell::new(parameters.clone(), 0.95, 25.0)?;
    start.set_current(currents[0])?;
    let [mut voltage, mut soc, mut core, mut surface] = [(); 4].map(|()| vec![0.0; n]);
    let mut seconds = [0.0; REPEATS];
    for second in &mut seconds {
        let mut cell = start.clone();
        let clock = Instant::now();
        if run {
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
        *second = clock.elapsed().as_secs_f64();
        black_box((&voltage, &soc, &core, &surface));
    }
    Ok((least(&seconds, n), voltage[n - 1]))
}

/// Steps of the physics models: an hour.
const PHYSICS_STEPS: usize = 3600;

/// The single-particle model with electrolyte and heat, in a drive of 1 s steps.
fn physics(name: &str, currents: &[f64]) -> Outcome<Timing> {
    let parameters = sets::by_name(name).ok_or("no such set")?;
    let scale = parameters.nominal_capacity_ah / 5.0;
    let start = SpmeCell::new(parameters, 0.95, 25.0)?.without_ageing();
    let mut seconds = [0.0; REPEATS];
    let mut last = 0.0;
    for second in &mut seconds {
        let mut cell = start.clone();
        let clock = Instant::now();
        for &current in black_box(&currents[1..=PHYSICS_STEPS]) {
            cell.ramp_current(scale * current, 1.0)?;
            last = black_box(cell.voltage_v());
        }
        *second = clock.elapsed().as_secs_f64();
    }
    Ok((least(&seconds, PHYSICS_STEPS), last))
}

/// Many such cells.
fn physics_batch(name: &str, cells: usize, currents: &[f64]) -> Outcome<Timing> {
    let parameters = sets::by_name(name).ok_or("no such set")?;
    let scale = parameters.nominal_capacity_ah / 5.0;
    let like = SpmeCell::new(parameters, 0.95, 25.0)?.without_ageing();
    let spread = (0..cells).map(|k| SpmeBatchCell {
        size: 1.0 + 1e-3 * (k % 10) as f64,
        extra_ohm: 0.0,
        soc: 0.95,
        temperature_c: 25.0,
    });
    let start = SpmeBatch::new(&like, spread)?;
    let steps = (PHYSICS_STEPS * 10 / cells).clamp(60, PHYSICS_STEPS);
    let mut seconds = [0.0; 3];
    let mut last = 0.0;
    for second in &mut seconds {
        let mut batch = start.clone();
        let clock = Instant::now();
        for &current in black_box(&currents[1..=steps]) {
            batch.step_series(scale * current, 1.0)?;
        }
        *second = clock.elapsed().as_secs_f64();
        last = black_box(batch.voltage_v().sum::<f64>());
    }
    Ok((least(&seconds, steps * cells), last))
}

/// Cells with the spread of those of `limit.c`.
fn batch(parameters: &EcmParameters, cells: usize, steps: usize, currents: &[f64]) -> Outcome<Timing> {
    let spread = (0..cells).map(|k| {
        let z = (k as f64 * 12.9898).sin() * 43758.5453;
        let z = z - z.floor() - 0.5;
        BatchCell { capacity: 1.0 + 0.02 * z, resistance: 1.0 + 0.1 * z, soc: 0.95, temperature_c: 25.0 }
    });
    let start = EcmBatch::new(parameters.clone(), spread)?;
    let mut batch = start.clone();
    let mut seconds = [0.0; REPEATS];
    for second in &mut seconds {
        batch.clone_from(&start);
        let clock = Instant::now();
        for &current in black_box(&currents[..steps]) {
            batch.step_series(current, 1.0)?;
        }
        *second = clock.elapsed().as_secs_f64();
        black_box(&batch);
    }
    Ok((least(&seconds, steps * cells), batch.voltage_v()[0]))
}

/// A circuit pack with its network against the floor, whose heat is a chain of one node per cell.
const NETWORK_AIM: f64 = 3.0;

/// Other programs, an hour of 1 s steps of 96s1p and 96s4p in ms, by the project's measurements on one machine
/// (`reference/performance.md`, "Packs, 1 h at 1 s"), where the floor took 2.4 and 9.1 ms.
const OTHERS: [(&str, [Option<f64>; 2]); 9] = [
    ("SLIDE ECM, no heat (6.7 to 13 ms; 10 s)", [Some(6.7), Some(10_000.0)]),
    ("SLIDE SPM, isothermal (51 to 66 ms; about 16 s)", [Some(51.0), Some(16_000.0)]),
    ("SLIDE SPM, with heat (121 ms)", [Some(121.0), None]),
    ("liionpack ECM", [Some(138_000.0), Some(641_000.0)]),
    ("liionpack SPM", [Some(165_000.0), Some(618_000.0)]),
    ("liionpack SPMe, with heat", [Some(509_000.0), None]),
    ("PyBaMM, 96 inputs in one solve, no coupling (2.4 to 2.5 s)", [Some(2400.0), None]),
    ("PyBaMM SPMe, one cell, compiled, 96 times", [Some(96.0 * 164.0), None]),
    ("PyBaMM SPM, one cell, compiled, 96 times", [Some(96.0 * 26.0), None]),
];
const OTHERS_FLOOR_MS: [f64; 2] = [2.4, 9.1];

/// An hour of a pack, here and elsewhere, as multiples of the floor on the machine that each was timed on.
fn compare(rows: &[Row]) {
    println!("\n{:<60} {:>17} {:>17}", "an hour at 1 s: ms (times the floor)", "96s1p", "96s4p");
    let show =
        |cell: Option<(f64, f64)>| cell.map_or("-".into(), |(ms, ratio)| format!("{ms:.1} ({ratio:.1})"));
    let of = |parallel: usize, what: &str| {
        let name = format!("pack {SERIES}s{parallel}p, {what}");
        let row = rows.iter().find(|r| r.name == name)?;
        let ms = row.rust_ns * 1e-6 * (row.cells * PACK_STEPS) as f64;
        Some((ms, row.floor.map_or(f64::NAN, |f| f.1)))
    };
    for what in ["constant tables", "generic NMC cell", "SPMe okane2022"] {
        for what in [what.to_owned(), format!("{what}, network")] {
            let [one, four] = [1, 4].map(|parallel| show(of(parallel, &what)));
            println!("{what:<60} {one:>17} {four:>17}");
        }
    }
    for (what, ms) in OTHERS {
        let [one, four] = [0, 1].map(|k| show(ms[k].map(|ms| (ms, ms / OTHERS_FLOOR_MS[k]))));
        println!("{what:<60} {one:>17} {four:>17}");
    }
    println!("(others: timed once on another machine, as reference/performance.md has them)\n");
}

/// Groups in series of the packs, and their steps: an hour.
const SERIES: usize = 96;
const PACK_STEPS: usize = 3600;
/// Steps that are timed together, each piece at its best, so that what else the machine does disturbs little: the floor
/// counts processor time.
const PACK_PIECE: usize = 100;

/// The spread of the cells of `S3_floor.c`: about 0, -0.5..0.5.
fn scatter(k: usize) -> f64 {
    let z = (k as f64 * 12.9898).sin() * 43758.5453;
    z - z.floor() - 0.5
}

fn circuit_cells(parameters: &EcmParameters, count: usize) -> Outcome<Cells> {
    let spread = (0..count).map(|k| BatchCell {
        capacity: 1.0 + 0.02 * scatter(k),
        resistance: 1.0 + 0.2 * scatter(k),
        soc: 0.9,
        temperature_c: 25.0,
    });
    Ok(EcmBatch::new(parameters.clone(), spread)?.into())
}

fn physics_cells(name: &str, count: usize) -> Outcome<Cells> {
    let like = SpmeCell::new(sets::by_name(name).ok_or("no such set")?, 0.95, 25.0)?.without_ageing();
    let spread = (0..count).map(|k| SpmeBatchCell {
        size: 1.0 + 0.02 * scatter(k),
        extra_ohm: 0.0,
        soc: 0.9,
        temperature_c: 25.0,
    });
    Ok(SpmeBatch::new(&like, spread)?.into())
}

/// The heat of a pack: cells in a row, each on a plate segment of its own, eight channels with coolant that flows.
fn network(cells: usize) -> Outcome<ThermalNetwork> {
    let layout = NetworkLayout {
        cells: vec![
            CellNode {
                core_j_per_k: 60.0,
                surface_j_per_k: 10.0,
                core_surface_w_per_k: 1.0,
                surface_ambient_w_per_k: 0.1,
            };
            cells
        ],
        neighbours: (1..cells).map(|b| Neighbour { a: b - 1, b, w_per_k: 0.5 }).collect(),
        plates: vec![PlateSegment { j_per_k: 10.0, to_ambient_w_per_k: 0.01 }; cells],
        contacts: (0..cells).map(|k| Contact { cell: k, plate: k, w_per_k: 0.5 }).collect(),
        channels: (0..8)
            .map(|c| Channel {
                visits: (c * cells / 8..(c + 1) * cells / 8).collect(),
                w_per_k: 1.0,
                share: 1.0,
                blocked: 0.0,
            })
            .collect(),
        coolant: Coolant {
            j_per_l_k: 3500.0,
            channel_l: 0.005,
            tank_l: 2.0,
            nominal_flow_l_per_min: 10.0,
            flow_exponent: 0.8,
            still_share: 0.05,
            tank_to_ambient_w_per_k: 2.0,
        },
        films: vec![],
    };
    Ok(ThermalNetwork::new(layout, 25.0)?)
}

/// A pack under `currents` per cell. Without a `network` every cell warms on its own, by its two thermal nodes.
fn pack(
    cells: Cells,
    network: Option<&ThermalNetwork>,
    parallel: usize,
    repeats: usize,
    currents: &[f64],
) -> Outcome<Timing> {
    let count = cells.len();
    let cooling = Actuation { flow_l_per_min: 10.0, chiller_w: count as f64, ..Actuation::off(&[]) };
    let parameters = PackParameters {
        parallel,
        busbar_ohm: 0.0,
        cable_ohm: 0.0,
        switchgear: SwitchgearParameters { contactor_ohm: 0.0, ..SwitchgearParameters::default() },
    };
    let wiring = vec![CellWiring { connection_ohm: 0.0, self_discharge_a: 0.0 }; count];
    let mut start = Pack::new(cells, &parameters, wiring)?;
    start.switchgear_mut().set_main(true);
    let nothing = vec![0.0; count / parallel];
    let mut seconds = vec![f64::INFINITY; PACK_STEPS / PACK_PIECE];
    let mut pack_v = vec![0.0; PACK_STEPS];
    for _ in 0..repeats {
        let mut pack = start.clone();
        let mut network = network.cloned();
        let pieces = pack_v.chunks_mut(PACK_PIECE).zip(black_box(currents).chunks(PACK_PIECE));
        for (second, (pack_v, currents)) in seconds.iter_mut().zip(pieces) {
            let clock = Instant::now();
            for (voltage, &current) in pack_v.iter_mut().zip(currents) {
                pack.step(PackLoad::CurrentA(parallel as f64 * current), &nothing, 1.0)?;
                if let Some(network) = &mut network {
                    network.step(pack.heat_w(), &cooling, 25.0, 1.0)?;
                    pack.set_core_c(network.core_c())?;
                }
                *voltage = pack.pack_voltage_v();
            }
            *second = second.min(clock.elapsed().as_secs_f64());
        }
        black_box(&pack);
    }
    let all_s: f64 = seconds.iter().sum();
    Ok((all_s * 1e9 / (PACK_STEPS * count) as f64, pack_v[PACK_STEPS - 1]))
}

/// Runs a floor; `None` if it is not there or does not run.
fn floor(program: &Path, arguments: &[&str]) -> Option<Timing> {
    let output = Command::new(program).args(arguments).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Row {
    name: String,
    cells: usize,
    rust_ns: f64,
    /// Time of the floor in ns and the median of the ratios of all rounds.
    floor: Option<(f64, f64)>,
    aim: Option<f64>,
}

/// What is timed, and the part of a name that a row must have.
#[derive(Default)]
struct Table {
    only: String,
    rows: Vec<Row>,
}

impl Table {
    /// Both sides in turns, so that whatever else the machine does hits both alike.
    fn row(
        &mut self,
        name: &str,
        cells: usize,
        aim: Option<f64>,
        ours: impl Fn() -> Outcome<Timing>,
        theirs: impl Fn() -> Option<Timing>,
    ) -> Outcome<()> {
        if !name.contains(&self.only) {
            return Ok(());
        }
        let (mut rust, mut c, mut ratios) = (vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let floor = theirs();
            let (ns, _) = ours()?;
            rust.push(ns);
            if let Some((floor_ns, _)) = floor {
                c.push(floor_ns);
                ratios.push(ns / floor_ns);
            }
        }
        let floor = (!ratios.is_empty()).then(|| (median(c), median(ratios)));
        let row = Row { name: name.into(), cells, rust_ns: median(rust), floor, aim };
        let of_floor =
            row.floor.map_or("       -      -".into(), |(ns, ratio)| format!("{ns:8.2} {ratio:6.2}"));
        let aim = aim.map_or(String::new(), |aim| format!("  (aim {aim})"));
        println!("{:<42} {:>8} {:>9.2} {of_floor}{aim}", row.name, row.cells, row.rust_ns);
        self.rows.push(row);
        Ok(())
    }
}

fn json(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or("null".into(), |v| format!("{v:.4}"));
    let rows: Vec<String> = rows
        .iter()
        .map(|r| {
            format!(
                "  {{\"name\": \"{}\", \"cells\": {}, \"ns_per_cell_step\": {:.4}, \"floor_ns\": {}, \"ratio\": {}, \"aim\": {}}}",
                r.name,
                r.cells,
                r.rust_ns,
                number(r.floor.map(|f| f.0)),
                number(r.floor.map(|f| f.1)),
                number(r.aim)
            )
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().ok_or("give the folder with the built C floors")?);
    // `--check` alone holds the ratios to the aims, `--check 1.5` to half as much again.
    let check = match arguments.iter().position(|a| a == "--check") {
        None => None,
        Some(at) => match arguments.get(at + 1) {
            None => Some(1.0),
            Some(slack) if slack.starts_with("--") => Some(1.0),
            Some(slack) => {
                Some(slack.parse::<f64>().map_err(|_| format!("--check takes a factor, not `{slack}`"))?)
            }
        },
    };
    let only = arguments.iter().position(|a| a == "--only").and_then(|at| arguments.get(at + 1));
    let only = only.cloned().unwrap_or_default();
    std::fs::create_dir_all(folder)?;
    let currents = profile()?;
    let profile_path = folder.join("profile.txt");
    let text: Vec<String> = currents.iter().map(f64::to_string).collect();
    std::fs::write(&profile_path, text.join("\n"))?;
    let profile_path = profile_path.to_str().ok_or("the folder's name is no text")?;
    let (single, many, packs) = (folder.join("S1_floor"), folder.join("limit"), folder.join("S3_floor"));
    for program in [&single, &many, &packs].into_iter().filter(|p| !p.exists()) {
        println!("skipped: no {}", program.display());
    }
    let [repeats, steps] = [REPEATS, STEPS].map(|n| n.to_string());
    let (constant, tables, generic) =
        (floor_cell(false)?, floor_cell(true)?, EcmParameters::generic_nmc_5ah());

    // The same circuit gives the same voltage, or the ratios say nothing.
    if let Some((_, theirs)) = floor(&single, &["const", "1", profile_path, &steps]) {
        let (_, ours) = cell(&constant, true, &currents)?;
        if (theirs - ours).abs() > 1e-8 {
            return Err(format!("the floor ends at {theirs} V, but the model at {ours} V").into());
        }
    }

    println!("{:<42} {:>8} {:>9} {:>8} {:>6}", "", "cells", "Rust ns", "C ns", "ratio");
    let mut table = Table { only, ..Table::default() };
    for (name, parameters, variant, run, aim) in [
        ("constant tables, whole profile", &constant, "const", true, Some(1.4)),
        ("constant tables, step by step", &constant, "const", false, None),
        ("tables, whole profile", &tables, "table", true, Some(1.4)),
        ("tables, step by step", &tables, "table", false, None),
        ("generic NMC cell, whole profile", &generic, "table", true, Some(1.4)),
        ("generic NMC cell, step by step", &generic, "table", false, None),
    ] {
        let theirs = || floor(&single, &[variant, &repeats, profile_path, &steps]);
        table.row(name, 1, aim, || cell(parameters, run, &currents), theirs)?;
    }
    for cells in [1, 10, 100, 1000, 10_000, 100_000, 1_000_000] {
        let steps = (1_000_000 / cells).clamp(4, STEPS);
        let [cells_text, steps_text] = [cells, steps].map(|n: usize| n.to_string());
        let theirs = || floor(&many, &[&cells_text, &steps_text, &repeats, profile_path]);
        let aim = [1000, 10_000].contains(&cells).then_some(1.5);
        table.row(
            "batch, constant tables",
            cells,
            aim,
            || batch(&constant, cells, steps, &currents),
            theirs,
        )?;
        table.row(
            "batch, generic NMC cell",
            cells,
            None,
            || batch(&generic, cells, steps, &currents),
            theirs,
        )?;
    }
    // Half a microsecond a step is 77 times the floor's 6.5 ns on the machine that the aim was set on.
    for (name, aim) in [("okane2022", Some(77.0)), ("prada2013", Some(77.0)), ("oregan2022", None)] {
        let theirs = || floor(&single, &["const", &repeats, profile_path, &steps]);
        table.row(&format!("SPMe {name}"), 1, aim, || physics(name, &currents), theirs)?;
    }
    for cells in [8, 96, 1000, 10_000] {
        let theirs = || floor(&single, &["const", &repeats, profile_path, &steps]);
        table.row(
            "batch, SPMe okane2022",
            cells,
            None,
            || physics_batch("okane2022", cells, &currents),
            theirs,
        )?;
    }
    for parallel in [1, 4] {
        let texts = [SERIES, parallel, PACK_STEPS, REPEATS].map(|n| n.to_string());
        let arguments = [&texts[0], &texts[1], &texts[2], &texts[3], profile_path];
        let theirs = || floor(&packs, &arguments);
        let count = SERIES * parallel;
        let heat = network(count)?;
        // The floor shows the voltage at the start of the last step, the pack that at its end.
        if let Some((_, theirs)) = theirs() {
            for heat in [None, Some(&heat)] {
                let (_, ours) = pack(circuit_cells(&constant, count)?, heat, parallel, 1, &currents)?;
                if (theirs / ours - 1.0).abs() > 2e-3 {
                    return Err(
                        format!("the floor of a pack ends at {theirs} V, but the pack at {ours} V").into()
                    );
                }
            }
        }
        for (name, parameters, aim) in
            [("constant tables", &constant, Some(1.3)), ("generic NMC cell", &generic, None)]
        {
            let cells = circuit_cells(parameters, count)?;
            let ours = || pack(cells.clone(), None, parallel, REPEATS, &currents);
            table.row(&format!("pack {SERIES}s{parallel}p, {name}"), count, aim, ours, theirs)?;
            let ours = || pack(cells.clone(), Some(&heat), parallel, REPEATS, &currents);
            let name = format!("pack {SERIES}s{parallel}p, {name}, network");
            table.row(&name, count, Some(NETWORK_AIM), ours, theirs)?;
        }
        let cells = physics_cells("okane2022", count)?;
        let ours = || pack(cells.clone(), None, parallel, 1, &currents);
        table.row(&format!("pack {SERIES}s{parallel}p, SPMe okane2022"), count, None, ours, theirs)?;
        let ours = || pack(cells.clone(), Some(&heat), parallel, 1, &currents);
        let name = format!("pack {SERIES}s{parallel}p, SPMe okane2022, network");
        table.row(&name, count, None, ours, theirs)?;
    }
    compare(&table.rows);
    let path = folder.join("plants.json");
    std::fs::write(&path, json(&table.rows))?;
    println!("written: {}", path.display());

    let missed: Vec<&str> = table
        .rows
        .iter()
        .filter(|r| {
            let limit = r.aim.zip(check).map(|(aim, slack)| slack * aim);
            r.floor.zip(limit).is_some_and(|((_, ratio), limit)| ratio > limit)
        })
        .map(|r| r.name.as_str())
        .collect();
    if missed.is_empty() { Ok(()) } else { Err(format!("beyond the aim: {}", missed.join("; ")).into()) }
}
