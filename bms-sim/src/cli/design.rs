//! `bms design`.

use std::io::{self, Write};

use anyhow::{Context, Result};
use bms_sim::design::{Design, Settings, Usage, design};
use bms_sim::pack_file::PackFile;
use bms_sim::report::design::write_design_page;

use super::args::{DesignArgs, DesignProfileArg};
use super::progress::Bar;
use super::{Verdict, print_json};

pub(super) fn run(args: &DesignArgs, quiet: bool) -> Result<Verdict> {
    let pack = PackFile::load(&args.pack)?;
    let out = args.out.clone().unwrap_or_else(|| {
        let stem = args.pack.file_stem().map_or_else(|| "pack".into(), |s| s.to_string_lossy().into_owned());
        format!("design_{stem}").into()
    });
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let usage = match args.profile {
        DesignProfileArg::Cycles => Usage::standard(&pack),
        DesignProfileArg::Drive => Usage::Drive,
    };
    let settings = Settings { temperature_c: args.temperature, usage, most_cycles: args.cycles as f64 };
    let bar = Bar::new(quiet);
    let design = design(&pack, &settings, &bar).with_context(|| format!("{}", args.pack.display()))?;
    bar.finish();
    write_design_page(&out, &design)?;
    if args.json {
        print_json(&design)?;
    } else if !quiet {
        let text = words(&design) + &format!("wrote {}\n", out.join("index.html").display());
        io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(if args.check && !design.meets_all() { Verdict::Missed } else { Verdict::Met })
}

fn words(design: &Design) -> String {
    let l = &design.ledger;
    let mut text = format!("{}: {} cells, {}\n\n", design.pack, l.cells, design.cell);
    let wh = |v: f64| if v < 1000.0 { format!("{v:8.1} Wh") } else { format!("{:8.2} kWh", v / 1000.0) };
    let mut add = |what: &str, value: String| text += &format!("  {what:34} {value}\n");
    add("cell, C/3 at 25 degC", format!("{:8.2} Ah, {:.1} Wh", l.cell_ah, l.cell_wh));
    add("nominal energy at the terminals", wh(l.pack_wh));
    add("usable (weakest group, window)", wh(l.usable_wh));
    let [low, mean, high] = l.voltage_v;
    add("voltage", format!("{low:8.0} to {high:.0} V, mean {mean:.0} V"));
    for p in &l.powers {
        let [out, inn] = [p.discharge_w, p.charge_w].map(|w| w / 1000.0);
        let what = format!("10 s power, 50 % SOC, {:.0} degC", p.temperature_c);
        add(&what, format!("{out:8.1} kW out, {inn:.1} kW in"));
    }
    text.push('\n');
    let mut add = |what: &str, kg: f64| {
        text += &format!("  {what:34} {kg:8.1} kg {:6.1} %\n", 100.0 * kg / l.system_kg);
    };
    for item in &l.masses {
        add(item.name, item.kg);
    }
    add("system", l.system_kg);
    text += &format!("\n  {:34} {:8.1} Wh/kg\n", "specific energy of the cells", l.cell_wh_per_kg);
    text += &format!("  {:34} {:8.1} Wh/kg\n", "system, usable energy", l.usable_wh_per_kg);
    if let Some(per_l) = l.system_wh_per_l {
        text += &format!("  {:34} {per_l:8.1} Wh/L\n", "energy density of the system");
    }
    text += &format!("\n  {:34} {:>9} {:>9}\n", "against the charter", "this pack", "target");
    for v in &design.verdicts {
        let value = v.value.map_or_else(|| "-".into(), |x| format!("{x:.1}"));
        let value = if v.at_least { format!(">{value}") } else { value };
        text += &format!("  {:34} {value:>9} {:>9.0} {:6}  {}\n", v.what, v.target, v.unit, v.words());
    }
    if design.life.is_some() {
        text += &format!(
            "\nLife: {} at {:.0} degC.\nAgeing is typical of the chemistry, not fitted to a product.\n",
            design.settings.usage.words(),
            design.settings.temperature_c
        );
    }
    text
}
