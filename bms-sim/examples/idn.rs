//! scratch: identify
use std::path::Path;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a: Vec<String> = std::env::args().collect();
    let sel = bms_sim::identify::plan::Selection { only: a.get(3).cloned(), exclude: a.iter().skip(4).cloned().collect() };
    let plan = bms_sim::identify::plan::Plan::from_dataset(Path::new(&a[1]), &sel)?;
    let t = std::time::Instant::now();
    let cell = bms_sim::identify::identify(&plan)?;
    cell.save(Path::new(&a[2]))?;
    println!("{:?} {} Ah {:?} {:?}", t.elapsed(), cell.cell.capacity_ah, cell.cell.chemistry, cell.provenance.warnings);
    for f in &cell.fit {
        let k = cell.tables.temperature_c.iter().position(|t| (t - f.temperature_c).abs() < 0.01).unwrap();
        let t = &cell.tables;
        let g = |x: &Vec<Vec<f64>>, s: usize| x[k][s] * 1e3;
        println!("{:6.1} rmse {:.1} mV max {:.1} mV  tau {:.1} {:.0} ict {:.2}", f.temperature_c, f.voltage_rmse_v*1e3, f.voltage_max_v*1e3, t.tau1_s[k][0], t.tau2_s[k][0], t.i_ct_a[k]);
        for s in [0, 2, 4, 10, 16, 19] { print!("   {:.0}%: {:.1} {:.1} {:.1} {:.1} M{:.1} s{:.1}", s as f64 * 5., g(&t.r0_ohm,s), g(&t.rct_ohm,s), g(&t.r1_ohm,s), g(&t.r2_ohm,s), t.hysteresis_v[k][s*5]*1e3, t.model_error_v[k][s]*1e3); }
        println!();
    }
    Ok(())
}
