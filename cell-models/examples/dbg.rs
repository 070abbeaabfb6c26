#![allow(missing_docs)]
use cell_models::Plant;
use cell_models::physics::*;
use std::time::Instant;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let e: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let us: Vec<f64> = std::fs::read_to_string("cell-models/tests/golden/pybamm/us06_c_rate.csv")
        .unwrap()
        .lines()
        .skip(1)
        .map(|l| l.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    for name in ["chen2020", "okane2022", "prada2013", "oregan2022"] {
        let mut p = sets::by_name(name).unwrap();
        p.ageing = None;
        let q = p.nominal_capacity_ah;
        let r = Resolution {
            particle_elements: n,
            particle_grading: 3.5,
            electrolyte_elements: [e, e / 2, e],
            ..Resolution::default()
        };
        let t = Instant::now();
        let cell = SpmeCell::with(p, Wear::default(), r, 0.9, 25.0).unwrap();
        let build = t.elapsed().as_secs_f64();
        let mut best = f64::MAX;
        let mut v = 0.0;
        for _ in 0..20 {
            let mut c = cell.clone();
            let t = Instant::now();
            for _ in 0..6 {
                for k in 1..600 {
                    c.ramp_current(us[k] * q, 1.0).unwrap();
                    v += c.voltage_v();
                }
            }
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!("{name} build {:.1} ms  {:.0} ns/step ({v:.3})", build * 1e3, best / 3594.0 * 1e9);
    }
}
