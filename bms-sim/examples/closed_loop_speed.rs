//! Times the whole closed loop, cells and heat, sensors and core together: up to an hour in steps of 1 s. `benches/plants_vs_c.sh`
//! calls it after `plants_floor`, with the folder of the C floors; a floor that is missing is left out.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bms_sim::closed_loop::{Options, PackType, run};
use bms_sim::pack_file::PackFile;
use bms_sim::scenario::Scenario;

/// Most steps of a run, and how often it is timed, in turns with the floor.
const STEPS: usize = 3600;
const ROUNDS: usize = 5;
const CELLS: usize = 96;

/// Time of the floor for a step of a cell in ns; `None` if it is not there or does not run.
fn floor_ns(folder: &Path) -> Option<f64> {
    let profile = folder.join("profile.txt");
    let steps = STEPS.to_string();
    let mut floor = Command::new(folder.join("S3_floor"));
    let output = floor.args(["96", "1", &steps, "11"]).arg(profile).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.split_whitespace().next()?.parse().ok()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder with the built C floors")?;
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs");
    let path = packs.join("car_nmc_96s1p.toml");
    let text = std::fs::read_to_string(&path)?;
    let circuit = text.replace("model = \"okane2022\"", "circuit = \"generic_nmc_5ah\"");
    for (name, text) in [("SPMe okane2022", text), ("generic NMC cell", circuit)] {
        let pack = PackType::new(PackFile::parse(&text, &path)?)?;
        for (what, phase) in [
            ("drive", "kind = 'drive'\ncycle = 'CLTC-P'\nduration = '1h'"),
            ("charge", "kind = 'charge'\nmode = 'fast'\nduration = '1h'"),
        ] {
            let soc = if what == "drive" { 0.9 } else { 0.1 };
            let scenario = Scenario::parse(&format!(
                "format_version = 1\ntitle = 'speed'\npack = 'car'\nambient_c = 25.0\n\
                 start = {{ soc = {soc} }}\n[[phase]]\n{phase}"
            ))?;
            let (mut ours, mut ratios) = (vec![], vec![]);
            for _ in 0..ROUNDS {
                let floor = floor_ns(Path::new(&folder));
                let clock = Instant::now();
                let recording = run(&scenario, &pack, &Options::default(), &mut |_| ())?;
                let took_ns = clock.elapsed().as_secs_f64() * 1e9;
                // A charge ends when the pack is full.
                let run_s = recording.rows.last().map_or(0.0, |row| row.time_s);
                if run_s < 0.5 * STEPS as f64 {
                    return Err(format!("{name}, {what}: ended after {run_s} s").into());
                }
                let ns = took_ns / (run_s * CELLS as f64);
                ours.push(ns);
                ratios.extend(floor.map(|floor| ns / floor));
            }
            let ns = median(ours).unwrap_or(f64::NAN);
            let ratio = median(ratios).map_or("     -".into(), |r| format!("{r:6.1}"));
            println!(
                "closed loop 96s1p, {name}, {what}: {ns:7.1} ns per cell, {:6.1} us per step, {:6.1} ms per hour, {ratio} times the floor",
                1e-3 * ns * CELLS as f64,
                1e-6 * ns * (CELLS * STEPS) as f64
            );
        }
    }
    Ok(())
}
