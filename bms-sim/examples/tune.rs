//! scratch: random search over the tuning
use bms_core::tuning::Tuning; use bms_sim::*; use rayon::prelude::*; use std::path::Path; use rand::{RngExt, SeedableRng};
struct Job { cell: cell_file::CellFile, run: data::Run, truth: Vec<f64>, q: f64, name: String, w: f64 }
fn thin(run: &data::Run, truth: &[f64]) -> (data::Run, Vec<f64>) {
    if run.dt_s(1) > 0.5 && run.dt_s(2) > 0.5 { return (run.clone(), truth.to_vec()); }
    let mut o = data::Run { source: run.source.clone(), ..Default::default() }; let mut tr = vec![]; let mut mean = vec![]; let mut temp = vec![];
    let (mut acc, mut at) = (0.0, 0.0);
    for k in 0..run.len() { let dt = run.dt_s(k); if k > 0 { acc += dt*0.5*(run.current_a[k]+run.current_a[k-1]); at += dt; }
        if k == 0 || at >= 0.99 { o.time_s.push(run.time_s[k]); o.voltage_v.push(run.voltage_v[k]); o.current_a.push(run.current_a[k]); mean.push(if at > 0.0 { acc/at } else { run.current_a[k] }); temp.push(run.temperature_c.as_ref().map_or(25.0, |t| t[k])); tr.push(truth[k]); acc=0.0; at=0.0; } }
    o.mean_current_a = Some(mean); o.temperature_c = Some(temp); (o, tr)
}
type Get = fn(&mut Tuning) -> &mut f32;
fn params() -> Vec<(&'static str, Get)> { vec![
 ("initial_soc_std", |t| &mut t.initial_soc_std), ("current_bias_std_c", |t| &mut t.current_bias_std_c), ("current_bias_walk_c", |t| &mut t.current_bias_walk_c), ("charge_gain_std", |t| &mut t.charge_gain_std), ("voltage_noise_v", |t| &mut t.voltage_noise_v), ("drop_error", |t| &mut t.drop_error), ("white_interval_s", |t| &mut t.white_interval_s), ("bias_voltage_share", |t| &mut t.bias_voltage_share), ("overpotential_cap", |t| &mut t.overpotential_cap), ("fast_error", |t| &mut t.fast_error), ("slow_error", |t| &mut t.slow_error), ("resistance_std", |t| &mut t.resistance_std), ("resistance_time_s", |t| &mut t.resistance_time_s), ("model_error_scale", |t| &mut t.model_error_scale), ("polarisation_error", |t| &mut t.polarisation_error), ("axis_error_soc", |t| &mut t.axis_error_soc), ("ageing_axis_error", |t| &mut t.ageing_axis_error), ("model_error_time_s", |t| &mut t.model_error_time_s), ("model_error_length_soc", |t| &mut t.model_error_length_soc), ("hysteresis_noise", |t| &mut t.hysteresis_noise), ("collapse_share", |t| &mut t.collapse_share), ("collapse_hold_s", |t| &mut t.collapse_hold_s), ("rest_voltage_std_v", |t| &mut t.rest_voltage_std_v), ("gate_sigma", |t| &mut t.gate_sigma), ("rest_time_s", |t| &mut t.rest_time_s)] }
fn eval(jobs: &[Job], tuning: &Tuning, verbose: bool) -> f64 {
    let cases = [("right",0.,0.,sensors::SensorCorner::Ideal),("+30",0.3,0.,sensors::SensorCorner::Ideal),("-30",-0.3,0.,sensors::SensorCorner::Ideal),("+10",0.1,0.,sensors::SensorCorner::Ideal),("-10",-0.1,0.,sensors::SensorCorner::Ideal),("offs+",0.,1.,sensors::SensorCorner::Ideal),("offs-",0.,-1.,sensors::SensorCorner::Ideal),("good",0.,0.,sensors::SensorCorner::Good),("limit",0.,0.,sensors::SensorCorner::Limit)];
    let all: Vec<(usize, usize)> = (0..jobs.len()).flat_map(|j| (0..cases.len()).map(move |c| (j, c))).collect();
    let out: Vec<(usize, usize, f64, f64, f64, f64)> = all.par_iter().filter_map(|&(j, c)| {
        let job = &jobs[j]; let (_, de, off, s) = cases[c];
        let start = (job.truth[0] + de as f64).clamp(0.0, 1.0); if de != 0.0 && (start - job.truth[0]).abs() < 0.5*(de as f64).abs() { return None; }
        let r = replay::replay(&job.cell, &job.run, &replay::ReplayOptions { initial_soc: Some(start), current_offset_a: off * if job.cell.cell.nominal_capacity_ah <= 4.0 { 0.3 } else { job.cell.cell.nominal_capacity_ah / 15.0 }, sensors: s, capacity_ah: Some(job.q), tuning: Some(*tuning), baselines: false, seed: 7 + j as u64, ..Default::default() }).ok()?;
        let b = metrics::score(&r.time_s, &r.soc, &job.truth, Some(&r.soc_std), if de != 0.0 { 900.0 } else { 600.0 })?;
        let cov = b.coverage.unwrap();
        let lfp_wrong = de != 0.0 && job.cell.cell.chemistry == cell_file::Chemistry::Lfp;
        let cost = if lfp_wrong { 0.3 * b.rmse_points.min(20.0) + 10.0 * (0.99 - cov).max(0.0) } else { 0.0 } + if lfp_wrong { 0.0 } else { 1.0 } * (b.max_points.min(25.0) + b.rmse_points.min(15.0) + 8.0 * (0.99 - cov).max(0.0));
        Some((j, c, cost, b.max_points, b.rmse_points, cov))
    }).collect();
    if verbose {
        for (c, case) in cases.iter().enumerate() { let v: Vec<_> = out.iter().filter(|o| o.1 == c).collect(); let n = v.len().max(1) as f64; println!("  {:6} n {:3} max {:5.2} rmse {:5.2} cov {:.3} met {}", case.0, v.len(), v.iter().map(|o| o.3).sum::<f64>()/n, v.iter().map(|o| o.4).sum::<f64>()/n, v.iter().map(|o| o.5).sum::<f64>()/n, v.iter().filter(|o| o.3 <= 3.0).count()); }
        let mut by: std::collections::BTreeMap<String, (f64,f64,f64,f64,usize)> = Default::default();
        for o in &out { let e = by.entry(jobs[o.0].name.clone()).or_default(); e.0 += 1.0; e.1 += o.3; e.2 += o.4; e.3 += o.5; if o.3 <= 3.0 { e.4 += 1; } }
        for (k, v) in by { println!("  {k:24} max {:5.2} rmse {:5.2} cov {:.3} met {}/{}", v.1/v.0, v.2/v.0, v.3/v.0, v.4, v.0); }
    }
    // soft minimax mix: mean plus rms
    let w: f64 = out.iter().map(|o| jobs[o.0].w).sum();
    out.iter().map(|o| o.2 * jobs[o.0].w).sum::<f64>() / w + 0.5 * (out.iter().map(|o| o.2 * o.2 * jobs[o.0].w).sum::<f64>() / w).sqrt()
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let chem = a[1].as_str(); let secs: u64 = a[2].parse().unwrap(); let skip: Vec<String> = a[3].split(',').map(String::from).collect();
    let mut jobs = vec![];
    for pair in &a[4..] { let mut p = pair.split('='); let (c, d) = (p.next().unwrap(), p.next().unwrap()); let only = p.next().unwrap_or(""); let w: f64 = p.next().map_or(1.0, |x| x.parse().unwrap());
        let cell = cell_file::CellFile::load(Path::new(c)).unwrap(); let set = data::Dataset::open(d).unwrap();
        for f in &set.files { if !matches!(f.kind.as_deref(), Some("drive")|Some("mixed_day")|Some("dynamic")) || !f.file.contains(only) || !bms_sim::verify::split::tuned_on(&set.name, &f.file) || skip.iter().any(|s| !s.is_empty() && f.file.contains(s)) { continue; }
            let run = data::read_run(&set.path(f)).unwrap(); let mut q = set.truth_capacity_ah.unwrap_or(cell.cell.capacity_ah);
            if f.kind.as_deref() == Some("dynamic") { let d1 = *run.discharged_ah().last().unwrap(); let r2 = data::read_run(Path::new(&set.path(f).to_string_lossy().replace("_s1","_s2"))).unwrap(); q = d1 + r2.discharged_ah().last().unwrap(); }
            if set.name.contains("panasonic") { if f.file.contains("/00C") { q = 2.857; } if f.file.contains("/n10C") { q = 2.787; } if f.file.contains("/n20C") { q = 2.70; } }
            let truth: Vec<f64> = run.soc_true.clone().unwrap_or_else(|| run.discharged_ah().iter().map(|x| 1.0 - x / q).collect());
            let (run, truth) = thin(&run, &truth);
            jobs.push(Job { cell: cell.clone(), run, truth, q, name: set.name.replace("physics/","") + " " + &f.file.split('/').last().unwrap()[..4], w }); } }
    let mut best = match chem { "lfp" => Tuning::LFP, _ => Tuning::NMC }; if std::env::var("NOR").is_ok() { best.parts.resistance = false; }
    let t0 = std::time::Instant::now(); let mut cost = eval(&jobs, &best, true); println!("start {cost:.3} in {:?}", t0.elapsed());
    let p = params(); let mut rng = rand_pcg::Pcg64::seed_from_u64(secs); let mut n = 0; let mut sigma = 0.5;
    while t0.elapsed().as_secs() < secs {
        let mut t = best; let k = 1 + (rng.random::<u32>() % 3) as usize;
        for _ in 0..k { let i = rng.random::<u32>() as usize % p.len(); let x = (p[i].1)(&mut t); let g: f64 = rng.random::<f64>()*2.0-1.0; *x = (*x as f64 * (g*sigma*2.0).exp()) as f32; }
        t.bias_voltage_share = t.bias_voltage_share.clamp(0.001, 1.0); t.resistance_std = t.resistance_std.clamp(0.08, 0.6); t.gate_sigma = t.gate_sigma.clamp(4.0, 6.0); t.fast_error = t.fast_error.min(1.0); t.model_error_length_soc = t.model_error_length_soc.max(0.03); t.drop_error = t.drop_error.min(0.8); t.voltage_noise_v = t.voltage_noise_v.clamp(0.001, 0.02); t.white_interval_s = t.white_interval_s.clamp(1.0, 40.0); t.overpotential_cap = t.overpotential_cap.min(6.0); t.slow_error = t.slow_error.max(0.05); t.fast_error = t.fast_error.max(0.05); t.collapse_hold_s = t.collapse_hold_s.clamp(60.0, 900.0); t.initial_soc_std = t.initial_soc_std.clamp(0.12, 0.2); t.rest_voltage_std_v = t.rest_voltage_std_v.max(0.003); t.current_bias_std_c = t.current_bias_std_c.clamp(0.02, 0.05);
        let c = eval(&jobs, &t, false); n += 1;
        if c < cost { cost = c; best = t; } else { sigma = (sigma * 0.995f64).max(0.1); }
    }
    println!("after {n}: {cost:.3}"); eval(&jobs, &best, true);
    for (name, g) in p { println!("        {name}: {:.4},", g(&mut best)); }
}
