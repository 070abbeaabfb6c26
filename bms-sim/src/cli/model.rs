//! `bms model`.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bms_sim::data::{read_profile, write_run};
use bms_sim::model::rate::{Effort, Rates, measure};
use bms_sim::model::{
    Demand, Family, Model, Parameters, Row, Settings, Summary, curves, describe, known, open, run as simulate,
};
use bms_sim::report::model::{write_curves_plot, write_rate_page, write_run_plot};
use bms_sim::verify::Progress;
use cell_models::physics::{Resolution, WearKind, bpx};
use serde::Serialize;

use super::args::{ModelCommand, ModelRateArgs, ModelRunArgs, ModelShowArgs, ResolutionArg, WearArg};
use super::progress::Bar;
use super::{Verdict, make_parent, print_json};

/// Longest line of a wrapped text.
const WIDTH: usize = 100;

pub(super) fn run(command: ModelCommand, quiet: bool) -> Result<Verdict> {
    match command {
        ModelCommand::List { json } => list(json),
        ModelCommand::Show(args) => show(&args, quiet),
        ModelCommand::Run(args) => run_load(&args, quiet),
        ModelCommand::Compare(args) => super::model_compare::run(&args, quiet),
        ModelCommand::Rate(args) => rate(&args, quiet),
    }
}

/// A cell in the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    title: String,
    family: Family,
    chemistry: String,
    nominal_capacity_ah: f64,
    voltage_limits_v: [f64; 2],
    ages: bool,
    source: String,
}

impl From<&Model> for Listed {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.clone(),
            title: model.title.clone(),
            family: model.family(),
            chemistry: model.chemistry().to_owned(),
            nominal_capacity_ah: model.nominal_capacity_ah(),
            voltage_limits_v: model.voltage_limits_v(),
            ages: model.ages(),
            source: model.source.clone(),
        }
    }
}

fn list(json: bool) -> Result<Verdict> {
    let cells: Vec<Listed> =
        known().iter().filter_map(|k| k.model()).map(|model| Listed::from(&model)).collect();
    if json {
        print_json(&cells)?;
        return Ok(Verdict::Met);
    }
    let mut text = format!("{:17} {:8} {:>6}  {:12} {}\n", "name", "model", "Ah", "limits, V", "cell");
    for c in &cells {
        let [low, high] = c.voltage_limits_v;
        let limits = format!("{low:.2} to {high:.2}");
        writeln!(
            text,
            "{:17} {:8} {:6.2}  {limits:12} {}",
            c.name,
            c.family.name(),
            c.nominal_capacity_ah,
            c.title
        )?;
    }
    text += "\n`bms model show NAME` tells parameters and source, `bms model run NAME --c-rate 1` discharges it.\n";
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Verdict::Met)
}

/// What `show --json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    cell: Listed,
    parameters: Vec<Row>,
    warnings: Vec<String>,
    files: Vec<String>,
}

fn show(args: &ModelShowArgs, quiet: bool) -> Result<Verdict> {
    let model = open(&args.cell)?;
    let parameters = describe(&model)?;
    let mut warnings = model.warnings.clone();
    let mut files = Vec::new();
    if let Some(path) = &args.bpx {
        let text = to_bpx(&model, &mut warnings)?;
        make_parent(path)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path.display().to_string());
    }
    if let Some(path) = &args.plot {
        check_picture(path)?;
        make_parent(path)?;
        write_curves_plot(path, &format!("{}: {}", model.name, model.title), &curves(&model))?;
        files.push(path.display().to_string());
    }
    let shown = Shown { cell: Listed::from(&model), parameters, warnings, files };
    if args.json {
        print_json(&shown)?;
    } else if !quiet {
        io::stdout().lock().write_all(shown_text(&shown).as_bytes())?;
    }
    Ok(Verdict::Met)
}

/// The cell as BPX. What BPX cannot hold is approximated, and the warnings tell.
fn to_bpx(model: &Model, warnings: &mut Vec<String>) -> Result<String> {
    let Parameters::Physics(parameters, extras) = &model.parameters else {
        anyhow::bail!("--bpx needs a physics model: BPX has no place for the circuit {}", model.name);
    };
    let (parameters, replaced) = bpx::arrhenius_approximation(parameters);
    for quantity in replaced {
        warnings.push(format!(
            "BPX has no formulas of temperature: {quantity} became a table with Arrhenius' law"
        ));
    }
    bpx::to_json(&parameters, extras).with_context(|| format!("{} cannot be exported", model.name))
}

fn shown_text(shown: &Shown) -> String {
    let mut text = format!("{} ({}): {}\n", shown.cell.name, shown.cell.family.name(), shown.cell.title);
    if !shown.cell.source.is_empty() {
        text += &wrapped("source: ", &shown.cell.source);
    }
    let mut part = "";
    for row in &shown.parameters {
        if row.part != part {
            part = row.part;
            text += &format!("\n{part}\n");
        }
        let line = format!("  {:38} {} {}", row.quantity, row.value, row.unit);
        text += line.trim_end();
        text.push('\n');
    }
    text.push('\n');
    for warning in &shown.warnings {
        text += &wrapped("note: ", warning);
    }
    for file in &shown.files {
        text += &format!("wrote {file}\n");
    }
    text
}

/// A text in lines of at most [`WIDTH`] characters, indented below its head.
fn wrapped(head: &str, text: &str) -> String {
    let indent = " ".repeat(head.len());
    let (mut out, mut line) = (String::new(), head.to_owned());
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() > WIDTH && line.trim() != head.trim() && line != indent
        {
            out += line.trim_end();
            out.push('\n');
            line.clone_from(&indent);
        }
        line += word;
        line.push(' ');
    }
    out += line.trim_end();
    out.push('\n');
    out
}

/// What `run --json` prints.
#[derive(Serialize)]
struct Ran {
    cell: String,
    load: String,
    output: String,
    plot: String,
    rows: usize,
    #[serde(flatten)]
    summary: Summary,
    warnings: Vec<String>,
}

fn run_load(args: &ModelRunArgs, quiet: bool) -> Result<Verdict> {
    let model = open(&args.cell)?;
    let demand = demand(args)?;
    let load = match &args.profile {
        Some(path) => path.file_name().map_or_else(|| "profile".into(), |n| n.to_string_lossy().into_owned()),
        None => demand.short_name(),
    };
    let stem = args.profile.as_deref().map_or_else(|| load.clone(), bare);
    let output = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}_{stem}.csv", model.name)));
    let plot = args.plot.clone().unwrap_or_else(|| output.with_file_name(format!("{}.svg", bare(&output))));
    anyhow::ensure!(output != plot, "the run and its picture cannot both be {}", output.display());
    check_picture(&plot)?;
    make_parent(&output)?;
    make_parent(&plot)?;
    let settings = Settings {
        soc: args.soc,
        temperature_c: args.temperature,
        ambient_c: args.ambient,
        worn: args.soh.map(|soh| (soh, wear(args.wear))),
        ageing: args.ageing,
        resolution: args.resolution.map(resolution),
        step_s: args.step,
        duration_s: args.duration,
    };
    let bar = Bar::new(quiet);
    let trace = simulate(&model, &demand, &settings, &bar)?;
    bar.stage("writing", 2);
    write_run(&output, &trace.run, &trace.truth())?;
    bar.advance(1);
    let worn = args.soh.map(|soh| format!(", SOH {} %", 100.0 * soh)).unwrap_or_default();
    let ambient_c = settings.ambient_c.unwrap_or(args.temperature);
    let title = format!("{}{worn}, {load}, {ambient_c} °C", model.name);
    write_run_plot(&plot, &title, model.voltage_limits_v(), &trace)?;
    bar.finish();
    let ran = Ran {
        cell: model.name.clone(),
        load,
        output: output.display().to_string(),
        plot: plot.display().to_string(),
        rows: trace.run.len(),
        summary: trace.summary,
        warnings: model.warnings.clone(),
    };
    if args.json {
        print_json(&ran)?;
    } else if !quiet {
        io::stdout().lock().write_all(ran_text(&ran).as_bytes())?;
    }
    Ok(Verdict::Met)
}

/// Refuses a picture whose name promises another format than the one that is written.
fn check_picture(path: &Path) -> Result<()> {
    let is_svg = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg"));
    anyhow::ensure!(is_svg, "--plot {}: pictures are written as SVG, so name it *.svg", path.display());
    Ok(())
}

/// A file's name without folders and the endings of data files.
fn bare(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy().into_owned());
    let mut name = name.as_str();
    for ending in [".gz", ".csv", ".parquet", ".bdf"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    name.into()
}

fn demand(args: &ModelRunArgs) -> Result<Demand> {
    let constant = args.current.map(Demand::CurrentA).or(args.c_rate.map(Demand::CRate));
    let constant = constant.or(args.power.map(Demand::PowerW));
    if let Some(path) = &args.profile {
        return Ok(Demand::Profile(read_profile(path)?));
    }
    let drive = args.drive.map(|peak_c| Demand::Drive { peak_c, seed: args.seed });
    let cycle = args.cycle.map(|hours| Demand::Cycle { hours });
    let cccv = args.cccv.map(|c_rate| Demand::CcCv { c_rate });
    let hppc = args.hppc.then_some(Demand::Hppc);
    constant.or(drive).or(cycle).or(cccv).or(hppc).context("no load given: --c-rate 1, for instance")
}

fn wear(kind: WearArg) -> WearKind {
    match kind {
        WearArg::Lithium => WearKind::Lithium,
        WearArg::Material => WearKind::ActiveMaterial,
        WearArg::Both => WearKind::Both,
    }
}

fn resolution(how: ResolutionArg) -> Resolution {
    let usual = Resolution::default();
    match how {
        ResolutionArg::Coarse => Resolution {
            particle_elements: usual.particle_elements / 2,
            electrolyte_elements: [2; 3],
            ..usual
        },
        ResolutionArg::Default => usual,
        ResolutionArg::Fine => usual.refined(3),
    }
}

fn ran_text(ran: &Ran) -> String {
    let s = &ran.summary;
    let mut text = format!(
        "{}, {}: {} after {}, {} rows\n",
        ran.cell,
        ran.load,
        s.end.words(),
        spoken(s.duration_s),
        ran.rows
    );
    for (what, ah, wh) in
        [("discharged", s.discharged_ah, s.discharged_wh), ("charged", s.charged_ah, s.charged_wh)]
    {
        if ah > 0.0 {
            text += &format!("  {what:20} {ah:.4} Ah, {wh:.3} Wh\n");
        }
    }
    let [from, to] = s.soc.map(|soc| 100.0 * soc);
    let [low, high] = s.voltage_v;
    text += &format!("  SOC                  {from:.1} to {to:.1} %\n");
    text += &format!("  voltage              {low:.4} to {high:.4} V\n");
    text += &format!(
        "  highest temperature  {:.2} degC surface, {:.2} degC core\n",
        s.max_surface_temperature_c, s.max_core_temperature_c
    );
    if let Some(least) = s.min_anode_potential_v {
        let plates = if least < 0.0 { " (below 0: lithium may plate)" } else { "" };
        text += &format!("  lowest anode         {least:.4} V{plates}\n");
    }
    text += &format!("  capacity at the end  {:.4} Ah\n", s.capacity_ah);
    if let Some(lost) = s.lithium_lost {
        text += &format!("  lithium lost         {:.4} %\n", 100.0 * lost);
    }
    if s.charge_refused_s > 0.0 {
        let refused = s.charge_refused_s;
        text +=
            &format!("note: charging refused for {refused:.0} s, as the voltage was at its upper limit\n");
    }
    for warning in &ran.warnings {
        text += &wrapped("note: ", warning);
    }
    text += &format!("wrote {} and {}\n", ran.output, ran.plot);
    text
}

/// A time in the unit that suits it.
fn spoken(seconds: f64) -> String {
    match seconds {
        s if s >= 7200.0 => format!("{:.2} h", s / 3600.0),
        s if s >= 300.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.1} s"),
    }
}

fn rate(args: &ModelRateArgs, quiet: bool) -> Result<Verdict> {
    let model = open(&args.cell)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let bar = Bar::new(quiet);
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let rates = measure(&model, &effort, &bar)?;
    bar.finish();
    write_rate_page(&args.out, &rates)?;
    if args.json {
        print_json(&rates)?;
    } else if !quiet {
        let text = rate_text(&rates) + &format!("wrote {}\n", args.out.join("index.html").display());
        io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(Verdict::Met)
}

fn rate_text(rates: &Rates) -> String {
    let mut text = format!(
        "{}: one cell, {} s of a drive, median of {} rounds\n\n\
         resolution                    cell-steps/s  relative  RMS error, mV  largest, mV\n",
        rates.cell, rates.drive_s, rates.rounds
    );
    for r in &rates.one_cell {
        let name = format!("{}{}", r.label, if r.is_default { " *" } else { "" });
        text += &format!(
            "{name:29} {:>12.0} {:>9.2} {:>14.3} {:>12.2}\n",
            r.steps_per_s, r.relative, r.rms_error_mv, r.max_error_mv
        );
    }
    text += "* the default\n\nmany cells               cells  cell-steps/s  relative to one physics cell\n";
    for r in &rates.many_cells {
        text += &format!("{:22} {:>7} {:>13.0} {:>9.2}\n", r.series, r.cells, r.steps_per_s, r.relative);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_endings_and_texts_wrap() {
        assert_eq!(bare(Path::new("a/b.1C.bdf.parquet")), "b.1C");
        assert_eq!(bare(Path::new("run.csv.gz")), "run");
        let text = wrapped("note: ", &"word ".repeat(60));
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH) && text.lines().count() > 2);
        assert!(text.lines().skip(1).all(|l| l.starts_with("      word")), "{text}");
    }

    #[test]
    fn times_are_spoken_in_fitting_units() {
        assert_eq!([12.0, 600.0, 36_000.0].map(spoken), ["12.0 s", "10.0 min", "10.00 h"]);
    }
}
