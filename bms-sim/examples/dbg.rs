//! x
use bms_sim::identify::identify;
use bms_sim::metrics;
use bms_sim::reference;
use bms_sim::replay::*;
use bms_sim::verify::sets;
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let f = Some(a[1].as_str());
    let std: Option<f64> = a.get(2).and_then(|x| x.parse().ok());
    let se: f64 = a.get(3).map_or(0.0, |x| x.parse().unwrap());
    let pl = bms_sim::plants::data_sets(&bms_sim::plants::PLANTS, bms_sim::plants::Extent::Subset, f, || ())
        .unwrap();
    let plan = match sets::plan(Path::new(&a[0]), &pl, f) {
        Ok(p) => p,
        Err(e) => {
            println!("{e}");
            return;
        }
    };
    for (k, src) in plan.cells.iter().enumerate() {
        let Ok(cell) = src.plan().and_then(|p| identify(&p)) else {
            println!("no {}", src.label);
            continue;
        };
        for d in plan.drives.iter().filter(|d| d.cell == k) {
            let mut run = d.set.runs(&d.file).unwrap().into_iter().next().unwrap();
            let amb = d.file.ambient_c.unwrap_or(25.0);
            run.temperature_c.get_or_insert_with(|| vec![amb; run.time_s.len()]);
            let present = d.present_capacity_ah.or_else(|| reference::dated_ah(&d.set, &d.file));
            let cap = present.unwrap_or(cell.cell.capacity_ah);
            let full = reference::full_to_empty_ah(&d.set, &d.file).unwrap().unwrap_or(cap);
            let soc = reference::of_run(&run, reference::start_soc(&d.file), full).soc;
            let r = replay(
                &cell,
                &run,
                &ReplayOptions {
                    initial_soc: Some((soc[0] + se).clamp(0.0, 1.0)),
                    initial_soc_std: std,
                    capacity_ah: Some(cap),
                    baselines: false,
                    ..Default::default()
                },
            )
            .unwrap();
            let s = metrics::score(&run.time_s, &r.soc, &soc, Some(&r.soc_std), 600.0).unwrap();
            let n = r.soc.len();
            let q = |v: &Vec<f64>| {
                (1..8).map(|i| format!("{:5.2}", v[i * (n - 1) / 8])).collect::<Vec<_>>().join(" ")
            };
            let err: Vec<f64> = r.soc.iter().zip(&soc).map(|(a, b)| 100.0 * (a - b)).collect();
            let e: Vec<f64> = r.model_error_v.iter().map(|v| v * 1e3).collect();
            let stds: Vec<f64> = r.soc_std.iter().map(|v| v * 1e2).collect();
            if a.len() > 4 {
                println!(
                    "{:8} {:14} {:32} T{:5.1} max {:5.2} rms {:5.2} cov {:.2} rowerr {}",
                    d.set.name.split('/').nth(1).unwrap_or(&d.set.name),
                    d.set.name.split('/').last().unwrap(),
                    d.file.file.split('/').last().unwrap(),
                    amb,
                    s.max_points,
                    s.rmse_points,
                    s.coverage.unwrap(),
                    q(&err)
                );
                continue;
            }
            println!(
                "{:28} {:22} T{:5.1} max {:5.2} rms {:5.2} cov {:.2} cap {:.3}/{:.3}\n   inst {}\n   res  {}\n   err  {}\n   std  {}\n   e_mV {}\n   soc {}",
                d.set.name.split('/').last().unwrap(),
                d.file.file.split('/').last().unwrap(),
                amb,
                s.max_points,
                s.rmse_points,
                s.coverage.unwrap(),
                cap,
                full,
                q(&r.instant_scale),
                q(&r.resistance_scale),
                q(&err),
                q(&stds),
                q(&e),
                q(&soc)
            );
        }
    }
}
