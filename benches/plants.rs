//! How long a step of the plants takes on this machine: `cargo bench -p cell-models`. For ratios against C see
//! `plants_vs_c.sh`.

use std::hint::black_box;

use cell_models::network::{
    Actuation, CellNode, Channel, Contact, Coolant, Neighbour, NetworkLayout, PlateSegment, ThermalNetwork,
};
use cell_models::pack::{CellWiring, Cells, Pack, PackLoad, PackParameters, SwitchgearParameters};
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

/// Cells in a row, `per_segment` of them on each segment of a plate with eight parallel channels.
fn row_on_plate(cells: usize, per_segment: usize) -> NetworkLayout {
    let segments = cells / per_segment;
    NetworkLayout {
        cells: vec![CellNode::prism(0.027, 0.148, 0.098, 2e6, 0.8, 1.0); cells],
        neighbours: (1..cells).map(|b| Neighbour { a: b - 1, b, w_per_k: 3.0 }).collect(),
        plates: vec![PlateSegment { j_per_k: 75.0 * per_segment as f64, to_ambient_w_per_k: 0.05 }; segments],
        contacts: (0..cells).map(|cell| Contact { cell, plate: cell / per_segment, w_per_k: 4.0 }).collect(),
        channels: (0..8)
            .map(|c| Channel {
                visits: (c * segments / 8..(c + 1) * segments / 8).collect(),
                w_per_k: 15.0 * per_segment as f64,
                share: 1.0,
                blocked: 0.0,
            })
            .collect(),
        coolant: Coolant {
            j_per_l_k: 3500.0,
            channel_l: 0.02 * per_segment as f64,
            tank_l: 4.0,
            nominal_flow_l_per_min: 10.0,
            flow_exponent: 0.8,
            still_share: 0.05,
            tank_to_ambient_w_per_k: 2.0,
        },
        films: vec![],
    }
}

fn thermal_network(c: &mut Criterion) {
    let mut group = c.benchmark_group("thermal network, 1 s");
    for (cells, per_segment) in [(96, 1), (96, 4), (384, 1), (384, 4), (384, 16)] {
        let mut network =
            ThermalNetwork::new(row_on_plate(cells, per_segment), 25.0).expect("the layout is usable");
        let heat_w = vec![6.0; cells];
        let steady = Actuation { flow_l_per_min: 10.0, chiller_w: 6.0 * cells as f64, ..Actuation::off(&[]) };
        group.throughput(Throughput::Elements(cells as u64));
        group.bench_function(format!("{cells} cells, {per_segment} per segment"), |b| {
            b.iter(|| {
                network.step(black_box(&heat_w), &steady, 25.0, 1.0).expect("the heat is small");
            });
        });
        // Between 8 and 9 L/min.
        let mut flow = 8.0;
        group.bench_function(format!("{cells} cells, {per_segment} per segment, changing flow"), |b| {
            b.iter(|| {
                flow = if flow < 9.0 { flow + 0.01 } else { 8.0 };
                let actuation = Actuation { flow_l_per_min: flow, ..steady };
                network.step(black_box(&heat_w), &actuation, 25.0, 1.0).expect("the heat is small");
            });
        });
    }
    group.finish();
}

/// Packs of 96 groups with their thermal network, as they run in closed loop.
fn pack(c: &mut Criterion) {
    let mut group = c.benchmark_group("pack");
    let like = SpmeCell::new(sets::okane2022(), 0.5, 25.0).expect("the set is usable").without_ageing();
    let size = |k: usize| 1.0 + 1e-3 * (k % 10) as f64;
    for parallel in [1_usize, 4] {
        let count = 96 * parallel;
        let circuits = (0..count).map(|k| BatchCell {
            capacity: size(k),
            resistance: 1.0,
            soc: 0.5,
            temperature_c: 25.0,
        });
        let circuits =
            EcmBatch::new(EcmParameters::generic_nmc_5ah(), circuits).expect("the example is usable");
        let physics = (0..count).map(|k| SpmeBatchCell {
            size: size(k),
            extra_ohm: 0.0,
            soc: 0.5,
            temperature_c: 25.0,
        });
        let physics = SpmeBatch::new(&like, physics).expect("the cell is usable");
        for (name, cells) in [("circuit", Cells::from(circuits)), ("okane2022", physics.into())] {
            let parameters = PackParameters {
                parallel,
                busbar_ohm: 1e-5,
                cable_ohm: 1e-3,
                switchgear: SwitchgearParameters::default(),
            };
            let wiring = vec![CellWiring { connection_ohm: 1e-4, self_discharge_a: 0.0 }; count];
            let mut pack = Pack::new(cells, &parameters, wiring).expect("the parameters are usable");
            pack.switchgear_mut().set_main(true);
            let mut network =
                ThermalNetwork::new(row_on_plate(count, 1), 25.0).expect("the layout is usable");
            let steady = Actuation { flow_l_per_min: 10.0, chiller_w: count as f64, ..Actuation::off(&[]) };
            let nothing = [0.0; 96];
            let mut k = 0_u32;
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(format!("96s{parallel}p, {name}, network"), |b| {
                b.iter(|| {
                    k += 1;
                    let each = if (k / 64).is_multiple_of(2) { 4.0 } else { -4.0 };
                    let load = PackLoad::CurrentA(black_box(parallel as f64 * each));
                    pack.step(load, &nothing, 1.0).expect("the current is small");
                    network.step(pack.heat_w(), &steady, 25.0, 1.0).expect("the heat is small");
                    pack.set_core_c(network.core_c()).expect("the temperatures are near 25 degC");
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, one_cell, many_cells, physics, thermal_network, pack);
criterion_main!(benches);
