//! scratch
use bms_sim::*;
use rayon::prelude::*;
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    // cell set... : sets given as cell=dir pairs, filter
    let mode = a[1].clone();
    let filter = a[2].clone();
    let mut jobs = vec![];
    for pair in &a[3..] {
        let (c, d) = pair.split_once('=').unwrap();
        let cell = cell_file::CellFile::load(Path::new(c)).unwrap();
        let set = data::Dataset::open(d).unwrap();
        for f in &set.files {
            if !matches!(f.kind.as_deref(), Some("drive") | Some("mixed_day") | Some("dynamic"))
                || !f.file.contains(&filter)
            {
                continue;
            }
            jobs.push((cell.clone(), set.clone(), f.clone()));
        }
    }
    let out: Vec<String> = jobs.par_iter().flat_map(|(cell, set, f)| {
        let run = data::read_run(&set.path(f)).unwrap();
        let q = set.truth_capacity_ah.unwrap_or(cell.cell.capacity_ah);
        let truth: Vec<f64> = run.soc_true.clone().unwrap_or_else(|| run.discharged_ah().iter().map(|x| 1.0 - x / q).collect());
        let qn = cell.cell.nominal_capacity_ah;
        let cases: Vec<(&str, f64, f64, sensors::SensorCorner)> = match mode.as_str() {
            "all" => vec![("right",0.,0.,sensors::SensorCorner::Ideal),("+10",0.1,0.,sensors::SensorCorner::Ideal),("-10",-0.1,0.,sensors::SensorCorner::Ideal),("+30",0.3,0.,sensors::SensorCorner::Ideal),("-30",-0.3,0.,sensors::SensorCorner::Ideal),("offs+",0.,qn/15.,sensors::SensorCorner::Ideal),("offs-",0.,-qn/15.,sensors::SensorCorner::Ideal),("good",0.,0.,sensors::SensorCorner::Good),("limit",0.,0.,sensors::SensorCorner::Limit)],
            _ => vec![("right",0.,0.,sensors::SensorCorner::Ideal)] };
        cases.iter().map(|(n, de, off, s)| {
            let o = replay::ReplayOptions { initial_soc: Some((truth[0] + de).clamp(0., 1.)), current_offset_a: *off, sensors: *s, capacity_ah: Some(q), ..Default::default() };
            let r = replay::replay(cell, &run, &o).unwrap();
            let from = if *de != 0. { 900. } else { 600. };
            let b = metrics::score(&r.time_s, &r.soc, &truth, Some(&r.soc_std), from).unwrap();
            let c = metrics::score(&r.time_s, &r.soc_coulomb_counter, &truth, None, from).unwrap();
            let t = metrics::score(&r.time_s, &r.soc_textbook_ekf, &truth, None, from).unwrap();
            let vr: f64 = { let mut s=0.; for k in 0..r.time_s.len() { s += (run.voltage_v[k]-r.predicted_v[k]).powi(2);} (s/r.time_s.len() as f64).sqrt()*1e3 };
            format!("{:14} {:34} {:6} bms max {:5.2} p99 {:5.2} rmse {:5.2} end {:5.2} cov {:4.2} conv {:>6} | cc {:5.2} {:5.2} | ekf {:5.2} {:5.2} | v {:.1} b {:.3}", set.name.split('/').skip(1).collect::<Vec<_>>().join("/"), f.file.replace(".bdf.parquet",""), n, b.max_points, b.p99_points, b.rmse_points, b.end_points, b.coverage.unwrap(), b.convergence_s.map_or("never".into(), |x| format!("{x:.0}")), c.max_points, c.rmse_points, t.max_points, t.rmse_points, vr, r.current_bias_a.last().unwrap())
        }).collect::<Vec<_>>()
    }).collect();
    for l in &out {
        println!("{l}");
    }
    let get = |key: &str, n: usize| -> f64 {
        let v: Vec<f64> = out
            .iter()
            .map(|l| {
                let p = l.find(key).unwrap() + key.len();
                l[p..].split_whitespace().nth(n).unwrap().parse().unwrap()
            })
            .collect();
        v.iter().sum::<f64>() / v.len() as f64
    };
    println!(
        "MEAN bms max {:.2} rmse {:.2} | cc {:.2} {:.2} | ekf {:.2} {:.2}  cov {:.3} met {}/{}",
        get(" max", 0),
        get("rmse", 0),
        get("| cc", 0),
        get("| cc", 1),
        get("| ekf", 0),
        get("| ekf", 1),
        get("cov", 0),
        out.iter()
            .filter(|l| {
                let p = l.find(" max").unwrap() + 4;
                l[p..].split_whitespace().next().unwrap().parse::<f64>().unwrap() <= 3.0
            })
            .count(),
        out.len()
    );
}
