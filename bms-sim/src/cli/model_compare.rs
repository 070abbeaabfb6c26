//! `bms model compare`.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::{Result, bail};
use bms_sim::model::compare::{Compared, Comparison, Heat, Settings, compare_files, compare_folder};
use bms_sim::model::open;
use bms_sim::verify::Progress;
use serde::Serialize;

use super::args::ModelCompareArgs;
use super::progress::Bar;
use super::{Verdict, print_json};

/// What `compare --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    cell: &'a str,
    #[serde(flatten)]
    compared: &'a Compared,
}

pub(super) fn run(args: &ModelCompareArgs, quiet: bool) -> Result<Verdict> {
    let model = open(&args.cell)?;
    let settings = Settings {
        heat: if args.own_heat { Heat::Own } else { Heat::Measured },
        temperature_c: args.temperature,
    };
    let bar = Bar::new(quiet);
    bar.stage("comparing", 1);
    let compared = match &args.data {
        Some(folder) => compare_folder(&model, folder, &settings)?,
        None => compare_files(&model, &args.runs, &settings)?,
    };
    bar.finish();
    if compared.parts.is_empty() {
        let why = compared.left_out.join("; ");
        bail!(
            "nothing to compare: no run has a part with current that starts at rest{}{why}",
            if why.is_empty() { "" } else { ": " }
        );
    }
    if args.json {
        print_json(&Shown { cell: &model.name, compared: &compared })?;
    } else if !quiet {
        io::stdout().lock().write_all(text(&model.name, &compared)?.as_bytes())?;
    }
    Ok(Verdict::Met)
}

fn text(cell: &str, compared: &Compared) -> Result<String, std::fmt::Error> {
    let mut text = format!("{cell}: model - measured, in mV, while a current flows\n");
    let mut source = "";
    for c in &compared.parts {
        let file = c.source.split(" (part ").next().unwrap_or_default();
        if file != source {
            source = file;
            writeln!(
                text,
                "\n{file}\n{:10} {:>3} {:>6} {:>6} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7}  {:>15} {:>21}",
                "load",
                "n",
                "degC",
                "rest V",
                "C-rate",
                "compared",
                "rms",
                "middle",
                "max",
                "bias",
                "emptied, Ah",
                "10 s resistance, mohm"
            )?;
        }
        writeln!(text, "{}", line(c).trim_end())?;
    }
    text.push('\n');
    for why in &compared.left_out {
        writeln!(text, "note: {why}")?;
    }
    text += "middle: rms over the middle 80 % of the charge; emptied and resistance: measured, model\n";
    Ok(text)
}

fn line(c: &Comparison) -> String {
    let emptied =
        c.emptied_ah.map(|[measured, model]| format!("{measured:.3} {model:.3}")).unwrap_or_default();
    let resistance =
        c.resistance.map(|r| format!("{:.1} {:.1}", r.measured_mohm, r.model_mohm)).unwrap_or_default();
    format!(
        "{:10} {:3} {:6.1} {:6.3} {:6.2} {:6.0} % {:7.1} {:>7} {:7.1} {:+7.1}  {emptied:>15} {resistance:>21}",
        c.kind.name(),
        c.repeats,
        c.temperature_c,
        c.rest_voltage_v,
        c.c_rate,
        100.0 * c.compared,
        c.rms_mv,
        c.middle_rms_mv.map(|rms| format!("{rms:.1}")).unwrap_or_default(),
        c.max_mv,
        c.bias_mv
    )
}
