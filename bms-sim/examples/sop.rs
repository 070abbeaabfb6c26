//! Prints the state of power of the plants against the truth.
//!
//! ```text
//! cargo run --release --example sop -- data [PLANT,..] [SOH,..] [DEGC,..] [FLAGS]
//! cargo run --release --example sop -- ../shared/physics - - - tables
//! ```
//!
//! `-` takes all. Flags: `list` prints every power, `tables` scores recorded tables, `ideal` has sensors without errors,
//! `soc` tells the core the true SOC.

use std::error::Error;
use std::path::Path;

use bms_sim::plants::Plant;
use bms_sim::sop::{self, SopCase, SopOptions, figures};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut o = SopOptions::default();
    let list = |k: usize| {
        args.get(k).filter(|a| a.as_str() != "-").map(|a| a.split(',').map(str::to_owned).collect::<Vec<_>>())
    };
    if let Some(names) = list(1) {
        o.plants = names.iter().filter_map(|n| Plant::by_name(n)).collect();
    }
    if let Some(v) = list(2) {
        o.soh = v.iter().map(|x| x.parse()).collect::<Result<_, _>>()?;
    }
    if let Some(v) = list(3) {
        o.ambient_c = v.iter().map(|x| x.parse()).collect::<Result<_, _>>()?;
    }
    let flags = args.get(4).map_or("", String::as_str);
    if flags.contains("ideal") {
        o.sensors = bms_sim::sensors::SensorCorner::Ideal;
    }
    o.told.soc = flags.contains("soc");
    let start = std::time::Instant::now();
    let cases = match flags.contains("tables") {
        true => sop::tables::run(Path::new(&args[0]), o.sensors, o.seed)?,
        false => sop::run(&o, |_, _| ())?,
    };
    eprintln!("{} cases in {:.1} s", cases.len(), start.elapsed().as_secs_f64());
    println!(
        "{:<34} {:>5} {:>6} {:>6} {:>6} {:>6} {:>5} {:>6} {:>4} {:>6}",
        "group", "n", "p99", "max", "rmse", "over", "ov%", "s.over", "s.n", "s.below"
    );
    let show = |label: String, takes: &dyn Fn(&SopCase) -> bool| {
        if let Some(f) = figures(&cases, takes) {
            println!(
                "{label:<34} {:>5} {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>5.1} {:>6.2} {:>4} {:>6.2}",
                f.cases,
                f.p99,
                f.max,
                f.rmse,
                f.over,
                100.0 * f.over_share,
                f.safe_over,
                f.safe_over_cases,
                f.safe_below
            );
        }
    };
    show("all".into(), &|_| true);
    for d in [true, false] {
        let dir = if d { "dis" } else { "chg" };
        for p in [true, false] {
            show(format!("{dir} {}", if p { "power" } else { "current" }), &|c| {
                c.discharge == d && c.power == p
            });
        }
        for r in [true, false] {
            show(format!("{dir} {}", if r { "rested" } else { "drive" }), &|c| {
                c.discharge == d && c.rested == r
            });
        }
        for h in [2.0, 10.0, 30.0] {
            show(format!("{dir} {h} s"), &|c| c.discharge == d && c.horizon_s == h);
        }
        for by in ["voltage", "current", "plating", "soc", "temperature"] {
            show(format!("{dir} truth by {by}"), &|c| c.discharge == d && c.truth_by == by);
        }
        let mut sets: Vec<&str> = cases.iter().map(|c| c.set.as_str()).collect();
        sets.dedup();
        sets.sort_unstable();
        sets.dedup();
        for set in sets {
            show(format!("{dir} {set}"), &|c| c.discharge == d && c.set == set);
            for t in &o.ambient_c {
                for s in &o.soh {
                    show(format!("  {dir} {set} {t} degC {s}"), &|c| {
                        c.discharge == d && c.set == set && c.ambient_c == *t && c.soh == *s
                    });
                }
            }
        }
    }
    if flags.contains("list") {
        for c in cases.iter().filter(|c| c.power) {
            println!(
                "{} {} {} soc {:.3} {} {} {:>2} s truth {:.2} {} best {:.2} {} safe {:.2} err {:+.2} safe {:+.2} dsoc {:+.3} k {:.2}",
                c.set,
                c.soh,
                c.ambient_c,
                c.soc,
                if c.rested { "rest" } else { "drive" },
                if c.discharge { "dis" } else { "chg" },
                c.horizon_s,
                c.truth,
                c.truth_by,
                c.best,
                c.best_by,
                c.safe,
                c.error(),
                c.safe_error(),
                c.soc_error,
                c.resistance_scale
            );
        }
    }
    Ok(())
}
