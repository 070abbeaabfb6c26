//! How long a step of the plants takes on this machine: `cargo bench -p cell-models`. For ratios against C see
//! `plants_vs_c.sh`.

use std::hint::black_box;

use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell, sets};
use cell_models::{BatchCell, EcmBatch, EcmCell, EcmParameters, Plant};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn one_cell(c: &mut Criterion) {
    let mut group = c.benchmark_group("circuit cell");
    for (name, parameters) in
        [("NMC", EcmParameters::generic_nmc_5ah()), ("LFP", EcmParameters::generic_lfp_2ah3())]
    {
        let mut cell = EcmCell::new(parameters, 0.5, 25.0).expect("the example is usable");
        let mut k = 0_u32;
        group.bench_function(name, |b| {
            b.iter(|| {
                k += 1;
                // As much out as in.
                let current = if (k / 64).is_multiple_of(2) { 4.0 } else { -4.0 };
                cell.ramp_current(black_box(current), 1.0).expect("the current is small");
                cell.voltage_v()
            });
        });
    }
    group.finish();
}

fn many_cells(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of circuit cells");
    for cells in [100_u32, 1000, 10_000] {
        let spread = (0..cells).map(|k| BatchCell {
            capacity: 1.0 + 0.02 * (f64::from(k) / f64::from(cells)),
            resistance: 1.0,
            soc: 0.5,
            temperature_c: 25.0,
        });
        let mut batch =
            EcmBatch::new(EcmParameters::generic_nmc_5ah(), spread).expect("the example is usable");
        let mut k = 0_u32;
        group.throughput(Throughput::Elements(u64::from(cells)));
        group.bench_function(cells.to_string(), |b| {
            b.iter(|| {
                k += 1;
                let current = if (k / 64).is_multiple_of(2) { 4.0 } else { -4.0 };
                batch.step_series(black_box(current), 1.0).expect("the current is small");
            });
        });
    }
    group.finish();
}

fn physics(c: &mut Criterion) {
    let mut group = c.benchmark_group("single particle with electrolyte");
    let load = |k: u32| if (k / 64).is_multiple_of(2) { 4.0 } else { -4.0 };
    for entry in sets::all() {
        let parameters = entry.parameters();
        let nominal = parameters.nominal_capacity_ah;
        let mut cell = SpmeCell::new(parameters, 0.5, 25.0).expect("the set is usable").without_ageing();
        let mut k = 0_u32;
        group.bench_function(entry.name, |b| {
            b.iter(|| {
                k += 1;
                let current = 0.2 * nominal * load(k);
                cell.ramp_current(black_box(current), 1.0).expect("the current is small");
                cell.voltage_v()
            });
        });
    }
    let like = SpmeCell::new(sets::okane2022(), 0.5, 25.0).expect("the set is usable").without_ageing();
    for cells in [8_u32, 96, 1000] {
        let spread = (0..cells).map(|k| SpmeBatchCell {
            size: 1.0 + 0.02 * (f64::from(k) / f64::from(cells)),
            extra_ohm: 0.0,
            soc: 0.5,
            temperature_c: 25.0,
        });
        let mut batch = SpmeBatch::new(&like, spread).expect("the cell is usable");
        let mut k = 0_u32;
        group.throughput(Throughput::Elements(u64::from(cells)));
        group.bench_function(format!("okane2022, {cells} cells"), |b| {
            b.iter(|| {
                k += 1;
                batch.step_series(black_box(load(k)), 1.0).expect("the current is small");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_cell, many_cells, physics);
criterion_main!(benches);
