//! scratch: open loop residual per SOC decile
use bms_sim::*;
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let filter = a[1].clone();
    for pair in &a[2..] {
        let (c, d) = pair.split_once('=').unwrap();
        let cell = cell_file::CellFile::load(Path::new(c)).unwrap();
        let set = data::Dataset::open(d).unwrap();
        let o = cell.core_tables().unwrap();
        let m = bms_core::cell::CellModel::new(o.borrow()).unwrap();
        for f in &set.files {
            if !matches!(f.kind.as_deref(), Some("drive") | Some("mixed_day") | Some("dynamic"))
                || !f.file.contains(&filter)
            {
                continue;
            }
            let run = data::read_run(&set.path(f)).unwrap();
            let q = set.truth_capacity_ah.unwrap_or(cell.cell.capacity_ah);
            let truth: Vec<f64> = run
                .soc_true
                .clone()
                .unwrap_or_else(|| run.discharged_ah().iter().map(|x| 1.0 - x / q).collect());
            let (mut v1, mut v2, mut h) = (0.0f64, 0.0f64, 0.0f64);
            let mut bins = vec![(0.0, 0.0, 0.0f64, 0.0f64); 10];
            let mut tot = (0., 0.);
            for k in 1..run.len() {
                let dt = run.dt_s(k);
                let t = run.temperature_c.as_ref().map_or(25.0, |t| t[k]);
                let i = run.current_a[k];
                let mean = run.mean_current_a.as_ref().map_or(0.5 * (i + run.current_a[k - 1]), |m| m[k]);
                let p = m.circuit(t as f32, truth[k] as f32);
                let a1 = (-dt / p.tau1_s as f64).exp();
                let a2 = (-dt / p.tau2_s as f64).exp();
                v1 = a1 * v1 + (1.0 - a1) * mean * p.r1_ohm as f64;
                v2 = a2 * v2 + (1.0 - a2) * mean * p.r2_ohm as f64;
                let ah = (-(mean.abs() * dt / 3600.0 / q) * o.borrow().hysteresis_gamma as f64).exp();
                h = ah * h - (1.0 - ah) * mean.signum();
                let oc = m.ocv(t as f32, truth[k] as f32);
                let r = run.voltage_v[k]
                    - (oc.ocv_v as f64 + oc.hysteresis_v as f64 * h
                        - p.instant_drop(i as f32).0 as f64
                        - v1
                        - v2);
                let b = &mut bins[((truth[k] * 10.0) as usize).min(9)];
                b.0 += dt;
                b.1 += r * dt;
                b.2 += r * r * dt;
                b.3 = b.3.max(r.abs());
                tot.0 += dt;
                tot.1 += r * r * dt;
            }
            print!(
                "{:28} rms {:5.1} |",
                f.file.replace(".bdf.parquet", ""),
                (tot.1 / tot.0 as f64).sqrt() * 1e3
            );
            for b in bins.iter().rev() {
                if b.0 > 0.0 {
                    print!(" {:+5.0}/{:3.0}/{:3.0}", b.1 / b.0 * 1e3, (b.2 / b.0).sqrt() * 1e3, b.3 * 1e3);
                }
            }
            println!();
        }
    }
}
