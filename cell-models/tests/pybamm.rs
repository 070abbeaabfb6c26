//! The single-particle model with electrolyte against PyBaMM's (`reference/` holds the scripts that made the runs).
//!
//! `BMS_WRITE=1 cargo test --release -p cell-models --test pybamm` writes the table that `ACCURACY.md` holds.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cell_models::physics::{PhysicsParameters, SpmeCell, sets};
use cell_models::{Plant, Thermal};

/// PyBaMM's name of a set and ours.
const SETS: [(&str, &str); 6] = [
    ("Chen2020", "chen2020"),
    ("OKane2022", "okane2022"),
    ("Mohtat2020", "mohtat2020"),
    ("NCA_Kim2011", "kim2011"),
    ("lfp_prada_t", "prada2013"),
    ("ORegan2022", "oregan2022"),
];
const LOADS: [&str; 5] = ["c20", "1c", "2c", "us06", "us06_soc50"];
const AMBIENT_C: [(&str, f64); 3] = [("m10", -10.0), ("p25", 25.0), ("p45", 45.0)];

/// What must hold: root mean square of the voltage in mV, largest temperature difference in K, relative charge.
const LIMITS: [f64; 3] = [2.0, 0.2, 1e-3];
/// The same for the sixth set, whose heat capacity and conductivity depend on temperature in PyBaMM but not here.
const OREGAN_LIMITS: [f64; 3] = [20.0, 1.6, 8e-3];
/// Concentration in mol/m3 below which the electrolyte counts as exhausted. Comparisons end there: the model has no answer
/// beyond, and PyBaMM's goes on to negative concentrations.
const EXHAUSTED: f64 = 50.0;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pybamm")
}

/// A recorded run: columns by name.
struct Run {
    header: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Run {
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        let header = lines.next()?.split(',').map(str::to_owned).collect();
        let number = |s: &str| s.parse().unwrap_or_else(|_| panic!("{}: `{s}` is no number", path.display()));
        Some(Self { header, rows: lines.map(|l| l.split(',').map(number).collect()).collect() })
    }

    fn column(&self, name: &str) -> Vec<f64> {
        let k = self.header.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
        self.rows.iter().map(|r| r[k]).collect()
    }
}

/// How far our run is from theirs.
struct Difference {
    voltage_rms_mv: f64,
    voltage_max_mv: f64,
    temperature_max_k: f64,
    /// Charge until the lower voltage limit, relative; `None` for drives and where the electrolyte is exhausted.
    charge: Option<f64>,
    /// Share of the run that was compared: below 1 where the electrolyte is exhausted.
    compared: f64,
}

/// The parameters as the reference runs have them: no ageing, hysteresis only if asked for.
fn published(ours: &str, hysteresis: bool) -> PhysicsParameters {
    let mut p = sets::by_name(ours).expect("a built-in set");
    p.ageing = None;
    if !hysteresis {
        p.positive.hysteresis = None;
    }
    if ours == "prada2013" {
        // The paper has no thermal data; the reference runs took those of another cell.
        p.thermal = Thermal::lumped(44.806_473_892_215_57, 0.0531);
    }
    p
}

fn start(p: &PhysicsParameters, run: &Run, ambient_c: f64) -> SpmeCell {
    let stoichiometry = run.column("negative_surface_stoichiometry")[0];
    let mut cell = SpmeCell::new(p.clone(), 1.0, ambient_c).unwrap().at_stoichiometry(stoichiometry).unwrap();
    cell.set_current(run.column("current_a")[0]).unwrap();
    cell
}

/// Puts `cell` through the current of `run` and compares; `discharge` if it ends at the lower voltage limit.
fn compare(mut cell: SpmeCell, run: &Run, discharge: bool) -> Difference {
    let (t, i) = (run.column("time_s"), run.column("current_a"));
    let (v, temperature) = (run.column("voltage_v"), run.column("temperature_c"));
    let beginning = cell.clone();
    let (mut squares, mut largest, mut warmest, mut time) = (0.0, 0.0f64, 0.0f64, 0.0);
    for k in 1..t.len() {
        let dt = t[k] - t[k - 1];
        cell.ramp_current(i[k], dt).unwrap();
        if cell.electrolyte_concentration().any(|c| c < EXHAUSTED) {
            break;
        }
        // The very last point of a discharge falls off a cliff: its charge is what is judged. Rows are dense where the
        // voltage moves fast, so they are weighed by time.
        if !discharge || k + 1 < t.len() {
            let error = cell.voltage_v() - v[k];
            squares += error * error * dt;
            largest = largest.max(error.abs());
        }
        time += dt;
        warmest = warmest.max((cell.core_temperature_c() - temperature[k]).abs());
    }
    let end = *t.last().unwrap();
    let compared = time / end;
    let charge = (discharge && compared > 1.0 - 1e-9).then(|| {
        let low = *v.last().unwrap();
        let mut ours = beginning;
        ours.advance(0.98 * end).unwrap();
        let (mut total, step) = (0.98 * end, 2e-5 * end);
        while ours.voltage_v() > low && total < 1.02 * end {
            ours.advance(step).unwrap();
            total += step;
        }
        total / end - 1.0
    });
    Difference {
        voltage_rms_mv: 1e3 * (squares / time).sqrt(),
        voltage_max_mv: 1e3 * largest,
        temperature_max_k: warmest,
        charge,
        compared,
    }
}

impl Difference {
    fn misses(&self, [voltage_mv, temperature_k, charge]: [f64; 3]) -> bool {
        // So that a run of which nothing was compared, whose figures are no numbers, misses too.
        let within = self.voltage_rms_mv <= voltage_mv
            && self.temperature_max_k <= temperature_k
            && self.charge.is_none_or(|c| c.abs() <= charge);
        !within
    }
}

#[test]
fn spme_agrees_with_pybamm() {
    let mut table = String::new();
    let mut misses = vec![];
    let mut runs = 0;
    for (theirs, ours) in SETS {
        let parameters = published(ours, false);
        for load in LOADS {
            for (suffix, ambient_c) in AMBIENT_C {
                let path = |model: &str| folder().join(theirs).join(format!("{model}_{load}_{suffix}.csv"));
                let Some(run) = Run::read(&path("spme")) else { continue };
                runs += 1;
                let discharge = !load.starts_with("us06");
                let d = compare(start(&parameters, &run, ambient_c), &run, discharge);
                let dfn = Run::read(&path("dfn")).map(|fine| {
                    compare(start(&parameters, &run, ambient_c), &fine, discharge).voltage_rms_mv
                });
                let charge = d.charge.map_or("-".into(), |c| format!("{:+.3}", 100.0 * c));
                let compared = match d.compared {
                    share if share < 1.0 - 1e-9 => format!("{:.0} % of it", 100.0 * share),
                    _ => "all".into(),
                };
                let dfn = dfn.map_or("-".into(), |mv| format!("{mv:.1}"));
                writeln!(
                    table,
                    "| {ours} | {load} | {ambient_c} | {compared} | {:.2} | {:.1} | {:.3} | {charge} | {dfn} |",
                    d.voltage_rms_mv, d.voltage_max_mv, d.temperature_max_k
                )
                .unwrap();
                if d.misses(if ours == "oregan2022" { OREGAN_LIMITS } else { LIMITS }) {
                    misses.push(format!("{ours} {load} {ambient_c} degC"));
                }
            }
        }
    }
    print!("{table}");
    assert!(runs >= 70, "only {runs} runs found in {}", folder().display());
    assert!(misses.is_empty(), "beyond the limits:\n{}\n{table}", misses.join("\n"));
    if std::env::var_os("BMS_WRITE").is_some() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ACCURACY.md");
        let text = fs::read_to_string(&page).unwrap();
        let (head, _) = text.split_once("|---|").unwrap();
        fs::write(&page, format!("{head}|---|---|---|---|---|---|---|---|---|\n{table}")).unwrap();
    }
}

#[test]
fn hysteresis_agrees_with_pybamm() {
    let p = published("prada2013", true);
    for name in ["spme_us06_hysteresis_p25", "spme_1c_rest_charge_hysteresis_p25"] {
        let run = Run::read(&folder().join("lfp_prada_t").join(format!("{name}.csv"))).unwrap();
        let d = compare(start(&p, &run, 25.0), &run, false);
        println!(
            "{name}: {:.3} mV rms, {:.2} max, {:.3} K",
            d.voltage_rms_mv, d.voltage_max_mv, d.temperature_max_k
        );
        assert!(!d.misses(LIMITS), "{name}: {:.3} mV, {:.3} K", d.voltage_rms_mv, d.temperature_max_k);
    }
}

#[test]
fn anode_potential_agrees_with_pybamm() {
    let p = published("okane2022", false);
    for (suffix, ambient_c) in AMBIENT_C {
        let run = Run::read(&folder().join("OKane2022").join(format!("spme_us06_{suffix}.csv"))).unwrap();
        let (t, i) = (run.column("time_s"), run.column("current_a"));
        let theirs = run.column("negative_surface_potential_difference");
        let mut cell = start(&p, &run, ambient_c);
        let mut squares = 0.0;
        for k in 1..t.len() {
            cell.ramp_current(i[k], t[k] - t[k - 1]).unwrap();
            squares += (cell.anode_potential_v().unwrap() - theirs[k]).powi(2);
        }
        let rms_mv = 1e3 * (squares / (t.len() - 1) as f64).sqrt();
        println!("{ambient_c} degC: {rms_mv:.3} mV");
        assert!(rms_mv < 1.0, "{ambient_c} degC: {rms_mv} mV");
    }
}

#[test]
fn heat_of_mixing_agrees_with_pybamm() {
    let p = published("okane2022", false);
    let read = |name: &str| Run::read(&folder().join("OKane2022").join(name)).unwrap();
    let run = read("spme_1c_heat_of_mixing_p25.csv");
    let with = compare(start(&p, &run, 25.0).with_heat_of_mixing(), &run, true);
    let without = compare(start(&p, &run, 25.0), &run, true);
    println!("with {:.3} K, without {:.3} K", with.temperature_max_k, without.temperature_max_k);
    assert!(with.temperature_max_k < 0.1 && without.temperature_max_k > 2.0);
}
