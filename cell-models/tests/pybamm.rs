//! The single-particle model with electrolyte against PyBaMM's (`reference/` holds the scripts that made the runs).

use std::fs;
use std::path::{Path, PathBuf};

use cell_models::Plant;
use cell_models::physics::{PhysicsParameters, SpmeCell, sets};

/// PyBaMM's name of a set and ours.
const SETS: [(&str, &str); 6] = [
    ("Chen2020", "chen2020"),
    ("OKane2022", "okane2022"),
    ("Mohtat2020", "mohtat2020"),
    ("NCA_Kim2011", "kim2011"),
    ("ORegan2022", "oregan2022"),
    ("lfp_prada_t", "prada2013"),
];
const AMBIENT_C: [(&str, f64); 3] = [("m10", -10.0), ("p25", 25.0), ("p45", 45.0)];

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
    voltage_rmse_mv: f64,
    voltage_max_mv: f64,
    temperature_max_k: f64,
    /// Charge until the lower voltage limit, relative; `None` for drives.
    charge: Option<f64>,
}

fn compare(parameters: &PhysicsParameters, run: &Run, ambient_c: f64, constant: bool) -> Difference {
    let (t, i) = (run.column("time_s"), run.column("current_a"));
    let (v, temperature) = (run.column("voltage_v"), run.column("temperature_c"));
    let start = run.column("negative_surface_stoichiometry")[0];
    let mut p = parameters.clone();
    p.ageing = None;
    p.positive.hysteresis = None;
    if p.title.contains("A123") {
        p.thermal = cell_models::Thermal::lumped(44.80647389221557, 0.0531);
    }
    let refine = std::env::var("REF").map_or(1, |v| v.parse().unwrap());
    let mut cell = SpmeCell::with(
        p,
        cell_models::physics::Wear::default(),
        {
            let g = |n: &str, d: f64| std::env::var(n).map_or(d, |v| v.parse().unwrap());
            let r = cell_models::physics::Resolution::default().refined(refine);
            cell_models::physics::Resolution {
                particle_elements: g("PE", r.particle_elements as f64) as usize,
                particle_grading: g("PG", r.particle_grading),
                electrolyte_elements: {
                    let f = g("EE", 1.0);
                    r.electrolyte_elements.map(|n| (n as f64 * f) as usize)
                },
                stoichiometry_step: g("SS", r.stoichiometry_step),
                growth: g("GR", r.growth),
                first_step_s: g("FS", 1.0),
            }
        },
        1.0,
        ambient_c,
    )
    .unwrap()
    .at_stoichiometry(start)
    .unwrap();
    cell.set_current(i[0]).unwrap();
    let (mut squares, mut largest, mut warmest) = (0.0, 0.0f64, 0.0f64);
    // Rows are dense where the voltage moves fast: weigh them by time.
    let mut time = 0.0;
    for k in 1..t.len() {
        let dt = t[k] - t[k - 1];
        cell.ramp_current(i[k], dt).unwrap();
        let error = cell.voltage_v() - v[k];
        // The very last point of a discharge falls off a cliff: it is judged by its charge.
        if !constant || k + 1 < t.len() {
            squares += error * error * dt;
            time += dt;
            largest = largest.max(error.abs());
        }
        warmest = warmest.max((cell.core_temperature_c() - temperature[k]).abs());
    }
    let charge = constant.then(|| {
        // On to the limit, or back from it: the voltage falls steeply there.
        let low = *v.last().unwrap();
        let total = *t.last().unwrap();
        let (slope_dt, now) = (0.001 * total, cell.voltage_v());
        if now > low {
            let mut extra = 0.0;
            while cell.voltage_v() > low && extra < 0.01 * total {
                cell.advance(1e-5 * total).unwrap();
                extra += 1e-5 * total;
            }
            extra / total
        } else {
            let mut early = SpmeCell::new(cell.parameters().clone(), 1.0, ambient_c)
                .unwrap()
                .at_stoichiometry(start)
                .unwrap();
            early.set_current(i[0]).unwrap();
            early.advance(total - 10.0 * slope_dt).unwrap();
            let mut missing = 10.0 * slope_dt;
            while early.voltage_v() > low {
                early.advance(1e-5 * total).unwrap();
                missing -= 1e-5 * total;
            }
            -missing / total
        }
    });
    Difference {
        voltage_rmse_mv: 1e3 * (squares / time).sqrt(),
        voltage_max_mv: 1e3 * largest,
        temperature_max_k: warmest,
        charge,
    }
}

#[test]
fn spme_agrees_with_pybamm() {
    let mut runs = 0;
    let mut misses = vec![];
    for (theirs, ours) in SETS {
        let parameters = sets::by_name(ours).expect("a built-in set");
        for load in ["c20", "1c", "2c", "us06", "us06_soc50"] {
            for (suffix, ambient_c) in AMBIENT_C {
                let path = folder().join(theirs).join(format!("spme_{load}_{suffix}.csv"));
                let Some(run) = Run::read(&path) else { continue };
                let d = compare(&parameters, &run, ambient_c, !load.starts_with("us06"));
                runs += 1;
                let case = format!("{ours:10} {load:10} {ambient_c:4} degC");
                println!(
                    "{case}: voltage {:6.3} mV rms, {:7.3} max; temperature {:6.4} K; charge {:>8}",
                    d.voltage_rmse_mv,
                    d.voltage_max_mv,
                    d.temperature_max_k,
                    d.charge.map_or("-".into(), |c| format!("{:+.4} %", 100.0 * c)),
                );
                if d.voltage_rmse_mv > 2.0
                    || d.temperature_max_k > 0.2
                    || d.charge.is_some_and(|c| c.abs() > 1e-3)
                {
                    misses.push(case);
                }
            }
        }
    }
    assert!(runs >= 60, "only {runs} runs found in {}", folder().display());
    assert!(misses.is_empty(), "beyond 2 mV, 0.2 K or 0.1 % of charge:\n{}", misses.join("\n"));
}
