//! No step of any plant allocates.

use allocation_counter::measure;
use cell_models::pack::{CellWiring, Cells, Pack, PackLoad, PackParameters, SwitchgearParameters};
use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell, sets};
use cell_models::{BatchCell, EcmBatch, EcmCell, EcmParameters, Plant, SupercapCell, SupercapParameters};

/// A drive, through `step`, after a few steps that may still set things up.
fn steps_allocate_nothing(name: &str, mut step: impl FnMut(f64)) {
    let current = |k: u32| 2.0 * f64::from(k % 7) - 4.0;
    (0..10).for_each(|k| step(current(k)));
    let counted = measure(|| (10..200).for_each(|k| step(current(k))));
    assert_eq!(counted.count_total, 0, "{name}");
}

fn single(name: &str, mut cell: impl Plant) {
    steps_allocate_nothing(name, |i| {
        cell.set_current(i).unwrap();
        cell.advance(1.0).unwrap();
        cell.ramp_current(-i, 0.5).unwrap();
        assert!(cell.voltage_v() > 0.0);
    });
}

#[test]
fn no_step_of_a_pack_allocates() {
    let circuits = (0..30).map(|k| BatchCell {
        capacity: 1.0,
        resistance: 1.0 + 0.01 * f64::from(k),
        soc: 0.5,
        temperature_c: 25.0,
    });
    let physics = (0..30).map(|k| SpmeBatchCell {
        size: 1.0 + 0.01 * f64::from(k),
        extra_ohm: 0.0,
        soc: 0.5,
        temperature_c: 25.0,
    });
    let like = SpmeCell::new(sets::okane2022(), 1.0, 25.0).unwrap().without_ageing();
    let circuits = EcmBatch::new(EcmParameters::generic_nmc_5ah(), circuits).unwrap();
    let physics = SpmeBatch::new(&like, physics).unwrap();
    for parallel in [1, 3] {
        for cells in [Cells::from(circuits.clone()), physics.clone().into()] {
            let parameters = PackParameters {
                parallel,
                busbar_ohm: 1e-4,
                cable_ohm: 1e-3,
                switchgear: SwitchgearParameters::default(),
            };
            let wiring = [CellWiring { connection_ohm: 1e-4, self_discharge_a: 1e-4 }; 30];
            let mut pack = Pack::new(cells, &parameters, wiring).unwrap();
            let extra = vec![0.1; 30 / parallel];
            let core = [24.0; 30];
            let mut closed = false;
            steps_allocate_nothing("pack", |i| {
                let pulse = PackLoad::Pulse { amplitude_a: i.abs(), mean_a: 0.0, frequency_hz: 50.0 };
                closed = !closed;
                pack.switchgear_mut().set_main(closed);
                for load in [
                    PackLoad::CurrentA(i),
                    PackLoad::PowerW(100.0 * i),
                    PackLoad::VoltageV(110.0 / parallel as f64),
                    pulse,
                ] {
                    pack.set_core_c(&core).unwrap();
                    pack.step(load, &extra, 1.0).unwrap();
                }
            });
        }
    }
}

#[test]
fn no_step_allocates() {
    single("circuit", EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.5, 25.0).unwrap());
    for entry in sets::all() {
        let cell = SpmeCell::new(entry.parameters(), 0.5, 25.0).unwrap().without_ageing();
        let scale = cell.parameters().nominal_capacity_ah / 5.0;
        let mut one = cell.clone();
        steps_allocate_nothing(entry.name, |i| {
            one.set_current(scale * i).unwrap();
            one.advance(1.0).unwrap();
        });
        let spread = (0..9).map(|k| SpmeBatchCell {
            size: 1.0 + 0.01 * f64::from(k),
            extra_ohm: 0.0,
            soc: 0.5,
            temperature_c: 25.0,
        });
        let mut batch = SpmeBatch::new(&cell, spread).unwrap();
        steps_allocate_nothing(&format!("batch of {}", entry.name), |i| {
            batch.step_series(scale * i, 1.0).unwrap();
        });
    }
    let spread =
        (0..100).map(|_| BatchCell { capacity: 1.0, resistance: 1.0, soc: 0.5, temperature_c: 25.0 });
    let mut batch = EcmBatch::new(EcmParameters::generic_lfp_2ah3(), spread).unwrap();
    steps_allocate_nothing("batch of circuits", |i| batch.step_series(i, 1.0).unwrap());
    single("supercapacitor", SupercapCell::new(SupercapParameters::typical_3000f(), 0.5, 25.0).unwrap());
}
