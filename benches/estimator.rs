//! How long the parts take on this machine: `cargo bench`. For figures that repeat, see `instructions.sh`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use bms_core::cell::CellModel;
use bms_core::energy;
use bms_core::estimator::CellEstimator;
use bms_core::example;
use bms_core::measurement::{Measurement, Reading};
use bms_core::pack::{PackEstimator, PackMeasurement};
use bms_core::predict::Hold;
use bms_core::soc::SocEstimator;
use bms_core::sop::{self, Limits};
use bms_core::tuning::Tuning;
use bms_sim::baselines::TextbookEkf;
use bms_sim::cell_file::CellFile;
use bms_sim::data::{Dataset, Run, read_run};
use bms_sim::identify::identify;
use bms_sim::identify::plan::{Plan, Selection};
use bms_sim::replay::{ReplayOptions, replay};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const CAPACITY_AH: f32 = example::NMC_5AH.capacity_ah;
const CELLS: usize = 96;

static MODEL: LazyLock<CellModel<'static>> =
    LazyLock::new(|| CellModel::new(example::NMC_5AH).expect("the example is usable"));

fn estimator() -> SocEstimator<'static> {
    SocEstimator::new(&MODEL, &Tuning::NMC, CAPACITY_AH, 0.8).expect("the example is usable")
}

/// A fixed drive-like input: voltage and current.
fn sample(k: u32) -> (f32, f32) {
    let current = [8.0, 12.0, 3.0, 0.0, -6.0, 5.0, 2.0, 1.0][(k / 8 % 8) as usize];
    (4.0 - 0.02 * current - 3e-5 * (k % 4096) as f32, current)
}

fn measurement(k: u32) -> Measurement {
    let (v, i) = sample(k);
    Measurement::new(v, i, 25.0).with_mean_current(i)
}

fn one_step(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.bench_function("one cell", |b| {
        let (mut cell, mut k) = (estimator(), 0);
        b.iter(|| {
            k += 1;
            cell.step(black_box(&measurement(k)), 1.0)
        });
    });
    group.bench_function("one cell with capacity and resistance", |b| {
        let mut cell = CellEstimator::new(&MODEL, &Tuning::NMC, 0.8).expect("the example is usable");
        let mut k = 0;
        b.iter(|| {
            k += 1;
            cell.step(black_box(&measurement(k)), 1.0)
        });
    });
    group.bench_function("pack of 96", |b| {
        let mut pack = PackEstimator::<CELLS>::new(&MODEL, &Tuning::NMC, CAPACITY_AH, 0.8)
            .expect("the example is usable");
        let mut k = 0;
        b.iter(|| {
            k += 1;
            let (v, i) = sample(k);
            let sample = PackMeasurement {
                cell_voltage_v: [Reading::within(v, 0.0, 5.0); CELLS],
                cell_temperature_c: [Reading::within(25.0, -60.0, 120.0); CELLS],
                current_a: Reading::within(i, -500.0, 500.0),
                mean_current_a: Reading::MISSING,
                contactors_open: false,
            };
            black_box(pack.step(black_box(&sample), 1.0));
        });
    });
    group.bench_function("textbook filter, double precision", |b| {
        let (mut filter, mut k) = (textbook(), 0);
        b.iter(|| {
            k += 1;
            textbook_step(&mut filter, k)
        });
    });
    group.finish();
    print_ratio();
}

fn textbook() -> TextbookEkf<'static> {
    TextbookEkf::new(*MODEL, 0.8, f64::from(CAPACITY_AH))
}

fn textbook_step(filter: &mut TextbookEkf<'_>, k: u32) -> f64 {
    let (v, i) = black_box(sample(k));
    filter.step(f64::from(v), f64::from(i), f64::from(i), 25.0, 1.0)
}

fn predictions(c: &mut Criterion) {
    let mut group = c.benchmark_group("prediction");
    let (model, start) = ((&*MODEL).into(), estimator().operating_point().into());
    let limits = Limits::of_cell(&MODEL, 15.0, 7.5);
    group.bench_function("power of one cell", |b| {
        b.iter(|| sop::power(&model, &limits, black_box(&start), None));
    });
    group.bench_function("energy left in one cell", |b| {
        b.iter(|| energy::remaining(&model, black_box(&start), Hold::Power(10.0), 2.5, 0.0, None));
    });
    group.finish();
}

/// Both filters in turns, so that whatever else the machine does hits both alike; the median of the ratios.
fn print_ratio() {
    const STEPS: u32 = 10_000;
    let (mut cell, mut filter) = (estimator(), textbook());
    let mut ratios: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            for k in 0..STEPS {
                black_box(cell.step(black_box(&measurement(k)), 1.0));
            }
            let core = start.elapsed();
            let start = Instant::now();
            for k in 0..STEPS {
                black_box(textbook_step(&mut filter, k));
            }
            core.as_secs_f64() / start.elapsed().as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!("step of one cell / step of the textbook filter: {:.2}", ratios[ratios.len() / 2]);
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/nmc_m50/soh100")
}

fn cell_file() -> CellFile {
    let plan = Plan::from_dataset(&data(), &Selection::default()).expect("the default data are complete");
    identify(&plan).expect("the default data are usable")
}

/// The first hour of the US06 drive at 25 degC.
fn hour() -> Run {
    let set = Dataset::open(data()).expect("the default data are complete");
    let drive =
        set.files.iter().find(|f| f.file.contains("p25C_US06")).expect("the default data are complete");
    let run = read_run(&set.path(drive)).expect("the default data are usable");
    let first = run.time_s.first().copied().unwrap_or_default();
    let end = run.time_s.partition_point(|t| *t <= first + 3600.0);
    run.slice(0..end)
}

fn whole_jobs(c: &mut Criterion) {
    let mut group = c.benchmark_group("job");
    group.sample_size(10);
    let (cell, run) = (cell_file(), hour());
    println!("an hour: {} samples over {} s", run.len(), run.duration_s());
    for (name, baselines) in [("replay an hour", false), ("replay an hour with baselines", true)] {
        let options = ReplayOptions { baselines, ..ReplayOptions::default() };
        group.bench_function(name, |b| b.iter(|| replay(&cell, &run, &options).expect("usable")));
    }
    let plan = Plan::from_dataset(&data(), &Selection::default()).expect("the default data are complete");
    group.bench_function("identify the default NMC cell", |b| {
        b.iter_batched(|| plan.clone(), |plan| identify(&plan).expect("usable"), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, one_step, predictions, whole_jobs);
criterion_main!(benches);
