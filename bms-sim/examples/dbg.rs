//! scratch
use bms_sim::*;
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let cell = cell_file::CellFile::load(Path::new(&a[1])).unwrap();
    let run = data::read_run(Path::new(&a[2])).unwrap();
    let every: usize = a[3].parse().unwrap();
    let q = a.get(4).map_or(cell.cell.capacity_ah, |x| x.parse().unwrap());
    let truth: Vec<f64> =
        run.soc_true.clone().unwrap_or_else(|| run.discharged_ah().iter().map(|x| 1.0 - x / q).collect());
    let r = replay::replay(
        &cell,
        &run,
        &replay::ReplayOptions { initial_soc: Some((truth[0] + a.get(5).map_or(0.0, |x| x.parse::<f64>().unwrap())).clamp(0.0, 1.0)), capacity_ah: Some(q), ..Default::default() },
    )
    .unwrap();
    for k in (0..run.len()).step_by(every) {
        println!(
            "{:8.1} i {:7.3} v {:.3} T {:5.1} | true {:.4} bms {:.4} +- {:.4} ekf {:.4} | pred {:.3} e {:+.4} h {:+.2} b {:+.3} R {:.3} st {:x}",
            run.time_s[k],
            run.current_a[k],
            run.voltage_v[k],
            run.temperature_c.as_ref().map_or(0., |t| t[k]),
            truth[k],
            r.soc[k],
            r.soc_std[k],
            r.soc_textbook_ekf[k],
            r.predicted_v[k],
            r.model_error_v[k],
            r.hysteresis[k],
            r.current_bias_a[k],
            r.resistance_scale[k],
            r.status[k]
        );
    }
}
