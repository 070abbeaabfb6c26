//! `bms verify`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bms_sim::model;
use bms_sim::model::rate::{Effort, measure};
use bms_sim::plants::{PLANTS, Plant};
use bms_sim::report::control::control_table;
use bms_sim::report::health::{lives_table, packs_table};
use bms_sim::report::model::write_rate_page;
use bms_sim::report::table::{bounds_table, summary_table};
use bms_sim::report::{RATE_FOLDER, condition, difference, power};
use bms_sim::results::{Case, TARGET_POINTS};
use bms_sim::verify::bounds::{self, Bounds};
use bms_sim::verify::{DataKind, Options, Part, ResultsFile, figures, sets, verify};

use super::args::VerifyArgs;
use super::progress::Bar;
use super::{Verdict, print_json};

/// Folder of the data that are kept in the repository.
const DEFAULT_DATA: &str = "data";
/// File of the recorded bounds in the repository.
const BOUNDS: &str = "bounds.toml";
/// Finished drives of the whole matrix, in the folder of the report.
const FINISHED: &str = "finished.jsonl";
/// Plant whose speed the report shows.
const RATE_CELL: &str = "okane2022";
/// Misses of the target that are listed one by one.
const LISTED: usize = 15;

pub(super) fn run(args: VerifyArgs, quiet: bool) -> Result<Verdict> {
    let root = repository();
    let data = match (&args.data, &root) {
        (Some(data), _) => data.clone(),
        (None, Some(root)) => root.join(DEFAULT_DATA),
        (None, None) => {
            bail!("no default data here: run from the root of the repository, or say --data DIR")
        }
    };
    if !data.is_dir() {
        bail!("--data {}: no such folder", data.display());
    }
    let kind = kind(&data, root.as_deref());
    let plants = plants(&args.plants, kind)?;
    let options = Options {
        data,
        kind,
        plants,
        quick: args.quick,
        full: args.full,
        finished: args.full.then(|| args.report.join(FINISHED)),
        fresh: args.fresh,
        filter: args.filter.clone(),
        only: args.only,
        seed: args.seed,
    };
    let alone = options.only == Some(Part::Control);
    if args.filter.is_some() && options.only.is_some_and(|part| ![Part::Control, Part::Soc].contains(&part)) {
        bail!("--filter chooses drives (--only soc) or scenarios (--only control)");
    }
    if args.update_bounds && !alone && !options.whole() {
        bail!("--update-bounds needs the whole of the repository's data or of the shared folder");
    }
    if args.update_bounds && !alone && !options.plants.is_empty() && !options.whole_plants() {
        bail!("--update-bounds needs all plants or none");
    }
    let bounds_path = args.bounds.clone().or_else(|| root.map(|r| r.join(BOUNDS)));
    let mut recorded = load_bounds(bounds_path.as_deref(), args.bounds.is_some() && !args.update_bounds)?;
    std::fs::create_dir_all(&args.report)
        .with_context(|| format!("cannot make the folder {}", args.report.display()))?;

    let bar = Bar::new(quiet);
    let verified = verify(&options, recorded.as_ref(), &bar);
    bar.finish();
    let mut verified = verified?;
    if args.update_bounds {
        let path = bounds_path.context("no place for the bounds file: say --bounds FILE")?;
        let new = recorded.get_or_insert_default();
        let ResultsFile { results, summary, health, .. } = &mut verified.file;
        let figures = figures(health.as_ref());
        new.record(&results.cases, &summary.weighted, &figures, &options);
        new.save(&path)?;
        results.bounds = new.check(&results.cases, &summary.weighted, &figures, &options).0;
        results.bounds.extend(bounds::against_baselines(&summary.weighted, &options));
        results.notes.retain(|n| !n.starts_with("no bound"));
    }
    measure_rate(
        &args.report,
        options.only.is_none() && options.whole_plants() && !options.plants.is_empty(),
        &bar,
    )?;
    bar.finish();
    verified.write(&args.report)?;

    let file = &verified.file;
    if args.json {
        print_json(file)?;
    } else if !quiet {
        let mut out = io::stdout().lock();
        out.write_all(text(file, args.strict).as_bytes())?;
        writeln!(out, "\nreport: {}", args.report.join("index.html").display())?;
        if kind == DataKind::Default {
            writeln!(
                out,
                "These are the data kept in the repository and simulated plants; --data DIR verifies more, such as ../shared."
            )?;
        }
        out.flush()?;
    }
    let broken = file.results.bounds.iter().any(|b| !b.ok);
    let missed = args.strict && file.summary.within_target < file.summary.cases;
    Ok(if broken || missed { Verdict::Missed } else { Verdict::Met })
}

/// Writes how fast a plant is simulated beside the report, or removes what an earlier one left.
fn measure_rate(report: &Path, wanted: bool, bar: &Bar) -> Result<()> {
    let folder = report.join(RATE_FOLDER);
    if wanted {
        let model = model::open(RATE_CELL)?;
        write_rate_page(&folder, &measure(&model, &Effort::BRIEF, bar)?)?;
    } else if folder.is_dir() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// How many cases of the data sets and of the plants meet the target, where there are both.
fn by_origin(cases: &[Case]) -> String {
    let met = |plant: bool| {
        let of = || cases.iter().filter(move |c| c.plant == plant);
        (of().filter(|c| c.bms.max_points <= TARGET_POINTS).count(), of().count())
    };
    match (met(false), met(true)) {
        ((_, 0), _) | (_, (_, 0)) => String::new(),
        ((sets_met, sets), (plants_met, plants)) => {
            format!(" ({sets_met} of {sets} on data sets, {plants_met} of {plants} on plants)")
        }
    }
}

/// Root of the repository: the working directory if it has data, else where the program was built.
fn repository() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
    let here = std::env::current_dir().ok();
    let is_root = |dir: &PathBuf| dir.join(DEFAULT_DATA).is_dir() && dir.join("bms-sim").is_dir();
    here.into_iter().chain(built).find(is_root)
}

fn kind(data: &Path, root: Option<&Path>) -> DataKind {
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if root.is_some_and(|root| same(data, &root.join(DEFAULT_DATA))) {
        DataKind::Default
    } else if sets::is_shared(data) {
        DataKind::Shared
    } else {
        DataKind::Other
    }
}

/// The plants that were asked for; if none were named, all of them beside the repository's own data.
fn plants(names: &[String], kind: DataKind) -> Result<Vec<Plant>> {
    match names {
        [] if kind == DataKind::Default => Ok(PLANTS.to_vec()),
        [] => Ok(Vec::new()),
        [one] if one == "none" => Ok(Vec::new()),
        [one] if one == "all" => Ok(PLANTS.to_vec()),
        names => PLANTS
            .into_iter()
            .filter_map(|p| names.iter().any(|n| n == p.name).then_some(Ok(p)))
            .chain(names.iter().filter(|n| Plant::by_name(n).is_none()).map(|n| {
                let known: Vec<&str> = PLANTS.iter().map(|p| p.name).collect();
                Err(anyhow!("--plants {n}: give `all`, `none` or names among {}", known.join(", ")))
            }))
            .collect(),
    }
}

/// The bounds; none where there is no file, unless one was asked for by name.
fn load_bounds(path: Option<&Path>, must_exist: bool) -> Result<Option<Bounds>> {
    match path {
        Some(path) if must_exist || path.is_file() => Ok(Some(Bounds::load(path)?)),
        _ => Ok(None),
    }
}

fn text(file: &ResultsFile, strict: bool) -> String {
    let results = &file.results;
    let drives = !results.cases.is_empty();
    let mut out = if drives { drives_text(file) } else { bounds_table(results) };
    if let Some(health) = &file.health {
        out += &power::table(&health.power);
        out += &lives_table(&health.lives);
        out += &packs_table(&health.packs);
        out += &control_table(&health.control);
        if let Some(faults) = &health.faults {
            out += &format!("\nInjected faults\n{}", faults.table);
        }
    }
    if !results.targets.is_empty() {
        out += "\nTargets of the acceptance protocol\n";
    }
    for t in &results.targets {
        let verdict = if t.met { "met   " } else { "MISSED" };
        out += &format!(
            "  {verdict} {:>2}  {}: {:.2} {} (limit {} {})\n             {}\n",
            t.number, t.name, t.measured, t.unit, t.limit, t.unit, t.detail
        );
    }
    if drives {
        out += &misses_text(file, strict);
    }
    if !results.notes.is_empty() {
        out += "\nNotes\n";
        for note in &results.notes {
            out += &format!("  - {note}\n");
        }
    }
    out
}

/// Drives of single cells: a line for every group, and the weighted whole.
fn drives_text(file: &ResultsFile) -> String {
    let summary = &file.summary;
    let mut out = summary_table(&file.results);
    out += "\nWeighted RMSE in points (every condition the same weight, every run within it the same)\n";
    out += "                   cases |    BMS  Coulomb cnt  Textb. EKF   (held out: drives that no constant was tuned on)\n";
    for w in &summary.weighted {
        out += &format!(
            "{:>16} {:>7} | {:6.2} {:12.2} {:11.2}\n",
            w.label(),
            w.cases,
            w.bms_rmse_points,
            w.coulomb_counter_rmse_points,
            w.textbook_ekf_rmse_points
        );
    }
    out
}

/// How many drives keep the target, the worst of the others, and what has changed since the last run.
fn misses_text(file: &ResultsFile, strict: bool) -> String {
    let (summary, results) = (&file.summary, &file.results);
    let mut misses: Vec<&Case> = results
        .cases
        .iter()
        .filter(|c| c.bms.max_points.is_nan() || c.bms.max_points > TARGET_POINTS)
        .collect();
    misses.sort_by(|a, b| b.bms.max_points.total_cmp(&a.bms.max_points));
    let mut out = format!(
        "\nTarget (maximum <= {TARGET_POINTS} points): {} of {} cases within it{}; {} miss it{}\n",
        summary.within_target,
        summary.cases,
        by_origin(&results.cases),
        misses.len(),
        match (misses.is_empty(), strict) {
            (true, _) => ".",
            (false, true) => " and fail this run (--strict).",
            (false, false) => "; only recorded bounds decide the exit code (--strict changes that).",
        }
    );
    for case in misses.iter().take(LISTED) {
        out += &format!(
            "  {:6.2}  {}/{}: {}, start {:+.0}, offset {:+.2} A\n",
            case.bms.max_points,
            case.dataset,
            case.file,
            condition(case).label(),
            case.start_error_points,
            case.current_offset_a
        );
    }
    if misses.len() > LISTED {
        out += &format!("  … and {} more in the report\n", misses.len() - LISTED);
    }
    out += &format!("\n{}\n", difference(&file.summaries()));
    out
}
