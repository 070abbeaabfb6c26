//! Prints what is identified of a plant.
use bms_sim::identify::{
    identify,
    plan::{Plan, Selection},
};
use bms_sim::plants::{self, Plant};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap();
    let plant = Plant::by_name(&name).unwrap();
    let set = plants::data_sets(&[plant], std::path::Path::new("data"), None, || ())?[0].new.clone();
    let plan = Plan::of_set(&set, &Selection::default())?;
    let (cell, _) = plant.cell(1.0)?;
    let neg = bms_sim::sop::lab::negative_plan(&plan, &cell)?;
    let [a, b] = bms_sim::sop::lab::pulse_files(&plan, &neg)?;
    println!("{:?}\n{:?}\n{:?}", a.temperature_c, a.gain, b.gain);
    for f in [identify(&plan)?, a.file, identify(&neg)?, b.file] {
        println!("{}", f.cell.name);
        for w in &f.provenance.warnings {
            println!("  {w}");
        }
        let t = &f.tables;
        for (k, c) in t.temperature_c.iter().enumerate() {
            println!("T {c:6.1} ict {:.3} tau {:.1} {:.1}", t.i_ct_a[k], t.tau1_s[k][0], t.tau2_s[k][0]);
            for (n, r) in
                [("r0", &t.r0_ohm[k]), ("rct", &t.rct_ohm[k]), ("r1", &t.r1_ohm[k]), ("r2", &t.r2_ohm[k])]
            {
                println!(
                    "   {n:4} {}",
                    r.iter().step_by(2).map(|x| format!("{:7.2}", 1e3 * x)).collect::<String>()
                );
            }
        }
        for f in &f.fit {
            println!(
                "fit {:6.1} rmse {:.1} mV max {:.1}",
                f.temperature_c,
                1e3 * f.voltage_rmse_v,
                1e3 * f.voltage_max_v
            );
            for p in f.pulses.iter().filter(|p| p.soc < 0.35 || (p.soc - 0.7).abs() < 0.06) {
                print!(
                    "  [{:.2} {:+.1}A {:.0}s {:.0}/{:.0}]",
                    p.soc,
                    p.current_a,
                    p.duration_s,
                    1e3 * p.rmse_v,
                    1e3 * p.max_v
                );
            }
            println!();
        }
    }
    Ok(())
}
