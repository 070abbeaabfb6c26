//! The electrical pack: sharing, loads, switchgear, pulses, energies.

use cell_models::pack::{
    CellWiring, Cells, Contactor, ContactorFault, FuseParameters, Pack, PackLoad, PackParameters,
    SwitchgearParameters,
};
use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell, sets};
use cell_models::{
    BatchCell, EcmBatch, EcmCell, EcmParameters, Load, Plant, PlantError, RcPair, SupercapCell,
    SupercapParameters, Table1, Table2,
};
use proptest::prelude::*;

/// Constant resistances, an open-circuit voltage that is a straight line, no hysteresis and no entropic heat.
fn straight(pairs: &[(f64, f64)]) -> EcmParameters {
    let everywhere = |v| Table2::constant(v).unwrap();
    EcmParameters {
        coulombic_efficiency: 1.0,
        ocv_v: Table1::new(vec![0.0, 1.0], vec![3.0, 4.2]).unwrap(),
        entropic_v_per_k: Table1::constant(0.0).unwrap(),
        r0_discharge_ohm: everywhere(0.02),
        r0_charge_ohm: everywhere(0.02),
        rc: pairs.iter().map(|&(r, tau)| RcPair { r_ohm: everywhere(r), tau_s: everywhere(tau) }).collect(),
        hysteresis_v: Table1::constant(0.0).unwrap(),
        hysteresis_gamma: 0.0,
        ..EcmParameters::generic_nmc_5ah()
    }
}

fn cell(capacity: f64, resistance: f64, soc: f64) -> BatchCell {
    BatchCell { capacity, resistance, soc, temperature_c: 25.0 }
}

fn layout(parallel: usize) -> PackParameters {
    PackParameters {
        parallel,
        busbar_ohm: 1e-4,
        cable_ohm: 1e-3,
        switchgear: SwitchgearParameters::default(),
    }
}

/// A closed pack; every weld has `connection_ohm`.
fn closed(cells: impl Into<Cells>, layout: &PackParameters, connection_ohm: f64) -> Pack {
    let cells = cells.into();
    let wiring = vec![CellWiring { connection_ohm, self_discharge_a: 0.0 }; cells.len()];
    let mut pack = Pack::new(cells, layout, wiring).unwrap();
    pack.switchgear_mut().set_main(true);
    pack
}

/// Physics cells in groups of `parallel` with a spread.
fn physics(count: usize, soc: f64, temperature_c: f64) -> SpmeBatch {
    let like = SpmeCell::new(sets::okane2022(), 1.0, 25.0).unwrap().without_ageing();
    let spread = (0..count).map(|k| SpmeBatchCell {
        size: 1.0 + 0.02 * (k % 3) as f64,
        extra_ohm: 1e-3 * (k % 4) as f64,
        soc,
        temperature_c,
    });
    SpmeBatch::new(&like, spread).unwrap()
}

/// Largest difference in V between the nodes that the cells of a group see.
fn apart_v(pack: &Pack, connection_ohm: f64) -> f64 {
    let nodes: Vec<f64> = pack
        .cell_voltage_v()
        .iter()
        .zip(pack.cell_current_a())
        .map(|(v, i)| v - connection_ohm * i)
        .collect();
    nodes
        .chunks(pack.parallel())
        .map(|own| own.iter().fold(f64::MIN, |m, &v| m.max(v)) - own.iter().fold(f64::MAX, |m, &v| m.min(v)))
        .fold(0.0, f64::max)
}

/// Net and gross currents of a drive, in A per cell.
fn drive(k: u32) -> f64 {
    2.0 + 8.0 * (0.1 * f64::from(k)).sin() + if k % 40 < 4 { 10.0 } else { 0.0 }
}

#[test]
fn a_string_is_its_batch() {
    for pairs in [&[][..], &[(0.01, 8.0), (0.012, 180.0)]] {
        let cells: Vec<BatchCell> =
            (0..70).map(|k| cell(1.0 - 1e-3 * f64::from(k), 1.0 + 1e-3 * f64::from(k), 0.9)).collect();
        let mut batch = EcmBatch::new(straight(pairs), cells.iter().copied()).unwrap();
        let mut pack = closed(batch.clone(), &layout(1), 0.0);
        for k in 0..600 {
            pack.step(PackLoad::CurrentA(drive(k)), &[0.0; 70], 1.0).unwrap();
            batch.step_series(drive(k), 1.0).unwrap();
        }
        assert_eq!(pack.group_voltage_v(), batch.voltage_v());
        assert_eq!(pack.soc(), batch.soc());
        assert_eq!(pack.heat_w(), batch.heat_w());
        assert_eq!(pack.capacity_ah()[1], 5.0 * 0.999);
    }
}

#[test]
fn two_resistances_share_as_they_must() {
    // Equal open-circuit voltages, no time: 20 and 30 mohm, each behind a weld of 1 mohm.
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5), cell(1.0, 1.5, 0.5)]).unwrap();
    let mut pack = closed(batch, &layout(2), 1e-3);
    pack.step(PackLoad::CurrentA(10.0), &[0.0], 0.0).unwrap();
    let [a, b] = [10.0 * 31.0 / 52.0, 10.0 * 21.0 / 52.0];
    assert!((pack.cell_current_a()[0] - a).abs() < 1e-12 && (pack.cell_current_a()[1] - b).abs() < 1e-12);
    assert!((pack.group_voltage_v()[0] - (3.6 - 0.021 * a)).abs() < 1e-12);
    let busbars_and_cable = 1e-4 + 1e-3 + 4e-4;
    assert!((pack.link_voltage_v() - (pack.group_voltage_v()[0] - busbars_and_cable * 10.0)).abs() < 1e-12);
}

#[test]
fn unequal_cells_balance_as_the_exact_solution_says() {
    // 20 and 30 mohm, 5 and 4 Ah, 60 and 40 %: the difference u of the open-circuit voltages drives i = u / (R1 + R2),
    // and du/dt = -slope (1 / Q1 + 1 / Q2) i.
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.6), cell(0.8, 1.5, 0.4)]).unwrap();
    let rate_per_s: f64 = 1.2 * (1.0 / 18000.0 + 1.0 / 14400.0) / 0.05;
    for (dt_s, tolerance) in [(1.0, 3e-3), (0.1, 3e-4)] {
        let mut pack = closed(batch.clone(), &layout(2), 0.0);
        let steps = (300.0_f64 / dt_s).round() as u32;
        for _ in 0..steps {
            pack.step(PackLoad::CurrentA(0.0), &[0.0], dt_s).unwrap();
            assert!(apart_v(&pack, 0.0) < 1e-9);
        }
        let exact_a = 0.24 / 0.05 * (-rate_per_s * 300.0).exp();
        assert!((pack.cell_current_a()[0] - exact_a).abs() < tolerance * 4.8, "{dt_s}");
    }
}

#[test]
fn parallel_circuits_agree_at_the_end_of_every_step() {
    // With RC pairs, even ones that a step outlasts and that dwarf the ohmic resistance.
    let cells = [cell(1.0, 1.0, 0.7), cell(0.9, 1.3, 0.65), cell(1.1, 0.8, 0.72), cell(1.0, 1.0, 0.5)];
    let batch = EcmBatch::new(straight(&[(0.06, 0.3), (0.012, 180.0)]), cells).unwrap();
    let mut pack = closed(batch, &layout(4), 5e-4);
    for k in 0..1000 {
        pack.step(PackLoad::CurrentA(4.0 * drive(k)), &[0.0], 1.0).unwrap();
        assert!(apart_v(&pack, 5e-4) < 1e-9, "step {k}");
    }
    // The tables of the example cell have bends.
    let batch = EcmBatch::new(EcmParameters::generic_nmc_5ah(), cells).unwrap();
    let mut pack = closed(batch, &layout(4), 5e-4);
    let mut worst = 0.0_f64;
    for k in 0..1000 {
        pack.step(PackLoad::CurrentA(4.0 * drive(k)), &[0.0], 1.0).unwrap();
        worst = worst.max(apart_v(&pack, 5e-4));
    }
    println!("generic NMC in a drive: {worst} V apart");
    assert!(worst < 2e-3);
}

#[test]
fn parallel_physics_cells_come_to_agree() {
    let mut pack = closed(physics(4, 0.8, 25.0), &layout(4), 2e-4);
    let mut worst = 0.0_f64;
    for k in 0..600 {
        pack.step(PackLoad::CurrentA(4.0 * drive(k)), &[0.0], 1.0).unwrap();
        worst = worst.max(apart_v(&pack, 2e-4));
        let total: f64 = pack.cell_current_a().iter().sum();
        assert!((total - 4.0 * drive(k)).abs() < 1e-9);
    }
    println!("okane2022 in a drive: {worst} V apart");
    assert!(worst < 8e-3);
    for (steps, limit) in [(10, 3e-4), (600, 5e-5)] {
        for _ in 0..steps {
            pack.step(PackLoad::CurrentA(5.0), &[0.0], 1.0).unwrap();
        }
        println!("after {steps} s of 0.25 C: {} V", apart_v(&pack, 2e-4));
        assert!(apart_v(&pack, 2e-4) < limit);
    }
    for _ in 0..600 {
        pack.step(PackLoad::CurrentA(0.0), &[0.0], 1.0).unwrap();
    }
    println!("after 600 s at rest: {} V", apart_v(&pack, 2e-4));
    assert!(apart_v(&pack, 2e-4) < 2e-5);
}

#[test]
fn sharing_among_physics_cells_is_stable() {
    // Cold, nearly empty or on the flat curve of LFP, in long steps, under a constant current.
    for (set, soc, temperature_c, rate) in
        [("okane2022", 0.15, -10.0, 0.1), ("prada2013", 0.6, 0.0, 0.5), ("chen2020", 0.3, 25.0, 1.0)]
    {
        for dt_s in [1.0, 10.0, 60.0] {
            let like = SpmeCell::new(sets::by_name(set).unwrap(), 1.0, 25.0).unwrap().without_ageing();
            let nominal_ah = like.parameters().nominal_capacity_ah;
            let spread = [(1.0, 0.0), (1.05, 1e-3), (0.95, 3e-3)].map(|(size, extra_ohm)| SpmeBatchCell {
                size,
                extra_ohm,
                soc,
                temperature_c,
            });
            let mut pack = closed(SpmeBatch::new(&like, spread).unwrap(), &layout(3), 1e-4);
            pack.set_core_c(&[temperature_c; 3]).unwrap();
            let (mut turns, mut before, mut last) = (0, 0.0, 0.0);
            let steps = (0.1 * 3600.0 / rate / dt_s) as u32;
            for k in 0..steps {
                pack.step(PackLoad::CurrentA(3.0 * rate * nominal_ah), &[0.0], dt_s).unwrap();
                let change = pack.cell_current_a()[0] - last;
                last = pack.cell_current_a()[0];
                // From one step to the next and back again by more than 2 % of the current.
                turns += u32::from(k > 5 && change * before < 0.0 && change.abs() > 0.02 * rate * nominal_ah);
                before = change;
                let within =
                    pack.cell_current_a().iter().all(|i| (0.3..3.0).contains(&(i / (rate * nominal_ah))));
                assert!(within, "{set}, {dt_s} s: {:?}", pack.cell_current_a());
            }
            println!("{set}, steps of {dt_s} s: {} V apart, {turns} turns in {steps}", apart_v(&pack, 1e-4));
            assert!(turns <= steps / 50 && apart_v(&pack, 1e-4) < 5e-3);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn charge_is_conserved(
        parallel in 1_usize..5,
        series in 1_usize..4,
        spread in prop::collection::vec((0.8..1.2_f64, 0.6..1.6_f64, 0.3..0.8_f64), 16),
        currents in prop::collection::vec(-20.0..20.0_f64, 1..20),
        extra in prop::collection::vec(-1.0..1.0_f64, 4),
        dt_s in 0.01..10.0_f64,
        generic: bool,
    ) {
        let parameters = if generic { EcmParameters::generic_nmc_5ah() } else { straight(&[(0.02, 2.0)]) };
        let cells = spread[..parallel * series].iter().map(|&(q, r, z)| cell(q, r, z));
        let mut pack = closed(EcmBatch::new(parameters, cells).unwrap(), &layout(parallel), 1e-4);
        let efficient = pack.soc().to_vec();
        let mut charge = vec![0.0; efficient.len()];
        for &current in &currents {
            pack.step(PackLoad::CurrentA(current), &extra[..series], dt_s).unwrap();
            for (own, extra) in pack.cell_current_a().chunks(parallel).zip(&extra) {
                let sum: f64 = own.iter().sum();
                prop_assert!((sum - current - extra).abs() < 1e-9 * (1.0 + current.abs()));
            }
            charge.iter_mut().zip(pack.cell_current_a()).for_each(|(q, i)| *q += i * dt_s);
        }
        if !generic {
            for (k, (&before, q)) in efficient.iter().zip(&charge).enumerate() {
                let moved_as = (before - pack.soc()[k]) * 3600.0 * pack.capacity_ah()[k];
                prop_assert!((moved_as - q).abs() < 1e-8 * (1.0 + q.abs()));
            }
        }
    }

    #[test]
    fn loads_are_met(parallel in 1_usize..4, power in -60.0..60.0_f64, volt in 3.4..3.8_f64) {
        let cells = (0..6 * parallel).map(|k| cell(1.0, 1.0 + 0.05 * (k % 3) as f64, 0.5));
        let batch = EcmBatch::new(straight(&[(0.01, 8.0)]), cells).unwrap();
        let mut pack = closed(batch, &layout(parallel), 1e-4);
        for _ in 0..5 {
            pack.step(PackLoad::PowerW(6.0 * power), &[0.0; 6], 1.0).unwrap();
            let got = pack.link_voltage_v() * pack.current_a();
            prop_assert!((got - 6.0 * power).abs() < 1e-9 * 360.0);
            pack.step(PackLoad::VoltageV(6.0 * volt), &[0.0; 6], 1.0).unwrap();
            prop_assert!((pack.link_voltage_v() - 6.0 * volt).abs() < 1e-9);
        }
    }
}

#[test]
fn loads_are_met_by_cells_with_bends() {
    let circuits = EcmBatch::new(EcmParameters::generic_nmc_5ah(), [cell(1.0, 1.0, 0.6); 8]).unwrap();
    for cells in [Cells::from(circuits), physics(8, 0.6, 25.0).into()] {
        let mut pack = closed(cells, &layout(2), 1e-4);
        for k in 0..200 {
            let power = 20.0 * drive(k);
            pack.step(PackLoad::PowerW(power), &[0.0; 4], 1.0).unwrap();
            let got = pack.link_voltage_v() * pack.current_a();
            assert!((got - power).abs() < 2e-3 * 300.0, "step {k}: {got} W instead of {power} W");
            pack.step(PackLoad::VoltageV(4.0 * 3.75), &[0.0; 4], 1.0).unwrap();
            assert!((pack.link_voltage_v() / 4.0 - 3.75).abs() < 8e-3, "step {k}: {}", pack.link_voltage_v());
        }
        // A voltage that is held settles.
        for _ in 0..60 {
            pack.step(PackLoad::VoltageV(4.0 * 3.75), &[0.0; 4], 1.0).unwrap();
        }
        assert!((pack.link_voltage_v() / 4.0 - 3.75).abs() < 1e-4, "{}", pack.link_voltage_v());
        let refused = pack.step(PackLoad::PowerW(1e5), &[0.0; 4], 1.0);
        assert_eq!(refused, Err(PlantError::LoadOutOfReach { load: Load::PowerW(1e5) }));
    }
}

#[test]
fn balancing_and_self_discharge_reach_their_cells_alone() {
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5); 3]).unwrap();
    let wiring =
        [0.0, 0.0, 0.01].map(|self_discharge_a| CellWiring { connection_ohm: 0.0, self_discharge_a });
    let mut pack = Pack::new(batch, &layout(1), wiring).unwrap();
    // Open contactors: whatever the load.
    for load in [PackLoad::CurrentA(50.0), PackLoad::PowerW(1e9), PackLoad::VoltageV(f64::NAN)] {
        pack.step(load, &[0.0, 0.1, 0.0], 3600.0).unwrap();
        assert_eq!((pack.current_a(), pack.link_voltage_v()), (0.0, 0.0));
    }
    let soc = pack.soc();
    assert_eq!(soc[0], 0.5);
    assert!((soc[1] - (0.5 - 0.3 / 5.0)).abs() < 1e-12 && (soc[2] - (0.5 - 0.03 / 5.0)).abs() < 1e-12);
    assert_eq!(pack.cell_current_a(), [0.0, 0.1, 0.0]);
    // What discharges itself becomes heat.
    assert!((pack.heat_w()[2] - 0.01 * (3.6 - 0.006 * 1.2)).abs() < 1e-5);
}

#[test]
fn precharge_is_the_exponential() {
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5); 100]).unwrap();
    let mut pack =
        Pack::new(batch, &layout(1), vec![CellWiring { connection_ohm: 0.0, self_discharge_a: 0.0 }; 100])
            .unwrap();
    let nothing = [0.0; 100];
    let gear = pack.switchgear_mut();
    gear.set(Contactor::Minus, true);
    gear.set(Contactor::Precharge, true);
    let ohm = 100.0 * 0.02 + 100.0 * 1e-4 + 1e-3 + 50.0 + 2e-4;
    let tau_s = ohm * 1e-3;
    for k in 1..=30 {
        pack.step(PackLoad::CurrentA(100.0), &nothing, 0.01).unwrap();
        let exact = 360.0 * (1.0 - (-0.01 * f64::from(k) / tau_s).exp());
        // The cells lose 0.4 A s.
        assert!((pack.link_voltage_v() - exact).abs() < 5e-3, "step {k}");
    }
    // Half the energy stays in the resistances.
    let ledger = *pack.ledger();
    let link_j = 0.5 * 1e-3 * pack.link_voltage_v() * pack.link_voltage_v();
    assert!((ledger.terminals_j / link_j - 1.0).abs() < 1e-3);
    assert!((ledger.line_j * ohm / (ohm - 2.0) / link_j - 1.0).abs() < 0.02);
    assert!((ledger.total_j() - 2.0 * link_j).abs() < 0.01 * link_j);
    // The rest rushes in; from then on the load is served.
    let apart_v = 360.0 - pack.link_voltage_v();
    pack.switchgear_mut().set_main(true);
    pack.step(PackLoad::CurrentA(0.0), &nothing, 1.0).unwrap();
    let line_ohm = 100.0 * (0.02 + 1e-4) + 1e-3 + 4e-4;
    assert!((pack.switchgear().inrush_a() - apart_v / line_ohm).abs() < 0.01);
    pack.step(PackLoad::CurrentA(10.0), &nothing, 1.0).unwrap();
    assert_eq!(pack.current_a(), 10.0);
    // Opened, the link keeps its voltage: no bleed resistor.
    let link_v = pack.link_voltage_v();
    pack.switchgear_mut().set_main(false);
    pack.step(PackLoad::CurrentA(10.0), &nothing, 100.0).unwrap();
    assert_eq!((pack.current_a(), pack.link_voltage_v()), (0.0, link_v));
}

#[test]
fn contactors_weld_and_fail() {
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5)]).unwrap();
    let mut pack = closed(batch, &layout(1), 0.0);
    let current = |pack: &mut Pack| {
        pack.step(PackLoad::CurrentA(1.0), &[0.0], 1.0).unwrap();
        pack.current_a()
    };
    assert_eq!(current(&mut pack), 1.0);
    pack.switchgear_mut().set_fault(Contactor::Plus, Some(ContactorFault::FailsToClose));
    assert_eq!(current(&mut pack), 0.0);
    pack.switchgear_mut().set_fault(Contactor::Plus, Some(ContactorFault::Welded));
    pack.switchgear_mut().set(Contactor::Plus, false);
    assert_eq!(current(&mut pack), 1.0);
    // One welded contactor does not close the circuit.
    pack.switchgear_mut().set(Contactor::Minus, false);
    assert_eq!(current(&mut pack), 0.0);
    pack.switchgear_mut().set_fault(Contactor::Plus, None);
    pack.switchgear_mut().set(Contactor::Minus, true);
    assert_eq!(current(&mut pack), 0.0);
}

#[test]
fn the_fuse_melts_when_its_integral_is_full() {
    let fuse = FuseParameters { rated_a: 10.0, melting_a2s: 3000.0 };
    let mut layout = layout(1);
    layout.switchgear.fuse = Some(fuse);
    // Not even the rush into an empty link.
    layout.switchgear.link_f = 0.0;
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5); 2]).unwrap();
    let mut pack = closed(batch, &layout, 0.0);
    for _ in 0..1000 {
        pack.step(PackLoad::CurrentA(10.0), &[0.0; 2], 1.0).unwrap();
    }
    assert_eq!(pack.switchgear().fuse_used(), 0.0);
    // 400 - 100 A2: full after 10 s, here in the middle of a step.
    let before = pack.soc()[0];
    for _ in 0..4 {
        assert!(!pack.switchgear().fuse_blown());
        pack.step(PackLoad::CurrentA(20.0), &[0.0; 2], 3.0).unwrap();
    }
    assert!(pack.switchgear().fuse_blown() && pack.switchgear().fuse_used() == 1.0);
    assert_eq!(pack.current_a(), 0.0);
    assert!(((before - pack.soc()[0]) * 18000.0 - 200.0).abs() < 1e-9);
    pack.step(PackLoad::CurrentA(1.0), &[0.0; 2], 1.0).unwrap();
    assert_eq!(pack.current_a(), 0.0);
}

#[test]
fn isolation_leaks_over_the_chassis() {
    let batch = EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5); 100]).unwrap();
    let mut layout = layout(1);
    layout.switchgear.isolation_ohm = [1e5, 2.6e5];
    let mut pack = closed(batch, &layout, 0.0);
    pack.step(PackLoad::CurrentA(0.0), &[0.0; 100], 3600.0).unwrap();
    assert!((pack.isolation_current_a() - 1e-3).abs() < 1e-6);
    assert!(((0.5 - pack.soc()[7]) * 5.0 - 1e-3).abs() < 1e-6 && pack.current_a() == 0.0);
    assert!(pack.switchgear_mut().set_isolation_ohm([0.0, 1.0]).is_err());
    assert_eq!(pack.switchgear().isolation_ohm(), [1e5, 2.6e5]);
}

#[test]
fn bad_inputs_are_refused_and_change_nothing() {
    let batch = || EcmBatch::new(straight(&[]), [cell(1.0, 1.0, 0.5); 4]).unwrap();
    let wiring = |ohm| vec![CellWiring { connection_ohm: ohm, self_discharge_a: 0.0 }; 4];
    for parallel in [0, 3] {
        assert!(Pack::new(batch(), &layout(parallel), wiring(0.0)).is_err());
    }
    assert!(Pack::new(batch(), &layout(2), wiring(-1.0)).is_err());
    assert!(Pack::new(batch(), &layout(2), wiring(0.0).into_iter().take(3)).is_err());
    for spoil in [
        (|p| p.busbar_ohm = -1.0) as fn(&mut PackParameters),
        |p| p.cable_ohm = f64::NAN,
        |p| p.switchgear.contactor_ohm = -1.0,
        |p| p.switchgear.precharge_ohm = 0.0,
        |p| p.switchgear.link_f = f64::INFINITY,
        |p| p.switchgear.link_bleed_ohm = 0.0,
        |p| p.switchgear.fuse = Some(FuseParameters { rated_a: 0.0, melting_a2s: 1.0 }),
        |p| p.switchgear.isolation_ohm[1] = f64::NAN,
    ] {
        let mut bad = layout(2);
        spoil(&mut bad);
        assert!(Pack::new(batch(), &bad, wiring(0.0)).is_err(), "{bad:?}");
    }
    let mut pack = closed(batch(), &layout(2), 0.0);
    pack.step(PackLoad::CurrentA(1.0), &[0.0; 2], 1.0).unwrap();
    let before = format!("{:?}", (pack.soc(), pack.cell_current_a(), pack.link_voltage_v(), pack.ledger()));
    for load in [
        PackLoad::CurrentA(f64::NAN),
        PackLoad::PowerW(f64::NAN),
        PackLoad::PowerW(1e6),
        PackLoad::VoltageV(f64::INFINITY),
        PackLoad::Pulse { amplitude_a: -1.0, mean_a: 0.0, frequency_hz: 10.0 },
        PackLoad::Pulse { amplitude_a: 1.0, mean_a: 0.0, frequency_hz: 0.0 },
    ] {
        assert!(pack.step(load, &[0.0; 2], 1.0).is_err(), "{load:?}");
    }
    assert!(pack.step(PackLoad::CurrentA(1.0), &[0.0; 3], 1.0).is_err());
    assert!(pack.step(PackLoad::CurrentA(1.0), &[0.0, f64::NAN], 1.0).is_err());
    assert!(pack.step(PackLoad::CurrentA(1.0), &[0.0; 2], -1.0).is_err());
    assert!(pack.set_core_c(&[20.0; 3]).is_err() && pack.set_core_c(&[f64::NAN; 4]).is_err());
    let after = format!("{:?}", (pack.soc(), pack.cell_current_a(), pack.link_voltage_v(), pack.ledger()));
    assert_eq!(before, after);
}

#[test]
fn energies_add_up() {
    let mut parameters = EcmParameters::generic_nmc_5ah();
    parameters.coulombic_efficiency = 1.0;
    for parallel in [1, 3] {
        let cells = (0..4 * parallel).map(|k| cell(1.0 + 0.02 * k as f64, 1.0 + 0.05 * k as f64, 0.9));
        let batch = EcmBatch::new(parameters.clone(), cells).unwrap();
        let wiring = vec![CellWiring { connection_ohm: 1e-3, self_discharge_a: 1e-3 }; 4 * parallel];
        let mut pack = Pack::new(batch, &layout(parallel), wiring).unwrap();
        pack.switchgear_mut().set_main(true);
        pack.switchgear_mut().set_isolation_ohm([1e3, 1e3]).unwrap();
        let start = pack.stored_j().unwrap();
        for k in 0..3600 {
            let own = parallel as f64 * drive(k) * 0.6;
            pack.step(PackLoad::CurrentA(own), &[0.1, 0.0, -0.05, 0.0], 1.0).unwrap();
        }
        let ledger = *pack.ledger();
        let lost = start - pack.stored_j().unwrap();
        println!("{parallel} parallel: {ledger:?}, {lost} J out of the cells");
        assert!((ledger.total_j() / lost - 1.0).abs() < 1e-3, "{} and {lost}", ledger.total_j());
        for part in
            [ledger.cells_j, ledger.connections_j, ledger.line_j, ledger.balancing_j, ledger.isolation_j]
        {
            assert!(part > 0.0, "{ledger:?}");
        }
    }
}

#[test]
fn pulses_heat_a_circuit_as_its_simulation_says() {
    let parameters = straight(&[(0.01, 0.02), (0.015, 3.0)]);
    for frequency_hz in [1.0, 10.0, 100.0] {
        let batch = EcmBatch::new(parameters.clone(), [cell(1.0, 1.0, 0.5)]).unwrap();
        let mut pack = closed(batch, &layout(1), 0.0);
        pack.step(PackLoad::Pulse { amplitude_a: 20.0, mean_a: 0.0, frequency_hz }, &[0.0], 1.0).unwrap();
        assert_eq!((pack.soc()[0], pack.current_a()), (0.5, 0.0));
        // The same wave, period by period until it has settled.
        let mut single = EcmCell::new(parameters.clone(), 0.5, 25.0).unwrap();
        let parts = 200;
        let dt_s = 0.5 / frequency_hz / f64::from(parts);
        let (mut heat_w, mut highest, mut lowest) = (0.0, f64::MIN, f64::MAX);
        let periods = (40.0 * frequency_hz) as u32;
        for period in 0..periods {
            for half in [20.0, -20.0] {
                single.set_current(half).unwrap();
                for _ in 0..parts {
                    let before = single.heat_w();
                    single.advance(dt_s).unwrap();
                    if period + 1 == periods {
                        heat_w += 0.25 * (before + single.heat_w()) / f64::from(parts);
                        highest = single.voltage_v().max(highest);
                        lowest = single.voltage_v().min(lowest);
                    }
                }
            }
        }
        assert!(
            (pack.heat_w()[0] / heat_w - 1.0).abs() < 1e-3,
            "{frequency_hz} Hz: {}, {heat_w}",
            pack.heat_w()[0]
        );
        let [high, low] = pack.group_extremes_v();
        assert!((high[0] - highest).abs() < 1e-3 && (low[0] - lowest).abs() < 1e-3, "{frequency_hz} Hz");
        // What drives the wave pays for it.
        let ledger = pack.ledger();
        assert!(
            (ledger.terminals_j + ledger.cells_j + ledger.line_j).abs() < 1e-9 && ledger.terminals_j < -7.9
        );
        assert!(pack.busbar_heat_w() > 0.03 && pack.anode_potential_v().is_none());
    }
}

#[test]
fn pulses_heat_a_physics_cell_as_its_simulation_says() {
    for (temperature_c, amplitude_a) in [(25.0, 10.0), (-10.0, 5.0)] {
        let mut single = SpmeCell::new(sets::okane2022(), 0.5, temperature_c).unwrap().without_ageing();
        let like = single.clone();
        let own = SpmeBatchCell { size: 1.0, extra_ohm: 0.0, soc: 0.5, temperature_c };
        let mut pack = closed(SpmeBatch::new(&like, [own]).unwrap(), &layout(1), 0.0);
        pack.set_core_c(&[temperature_c]).unwrap();
        pack.step(PackLoad::Pulse { amplitude_a, mean_a: 0.0, frequency_hz: 10.0 }, &[0.0], 1.0).unwrap();
        let (mut heat_w, mut highest, mut lowest, mut anode) = (0.0, f64::MIN, f64::MAX, f64::MAX);
        for period in 0..10 {
            for half in [amplitude_a, -amplitude_a] {
                single.set_current(half).unwrap();
                for _ in 0..50 {
                    single.advance(1e-3).unwrap();
                    if period == 9 {
                        heat_w += 0.01 * single.heat_w();
                        highest = single.voltage_v().max(highest);
                        lowest = single.voltage_v().min(lowest);
                        anode = single.anode_potential_v().unwrap().min(anode);
                    }
                }
            }
        }
        let [high, low] = pack.group_extremes_v();
        let anode_off = pack.anode_potential_v().unwrap()[0] - anode;
        println!(
            "{temperature_c} degC: {} W and {heat_w} W, {} mV and {} mV, anode {} mV off",
            pack.heat_w()[0],
            1e3 * (high[0] - highest),
            1e3 * (low[0] - lowest),
            1e3 * anode_off
        );
        assert!((pack.heat_w()[0] / heat_w - 1.0).abs() < 0.1);
        assert!(
            (high[0] - highest).abs() < 0.012 && (low[0] - lowest).abs() < 0.012 && anode_off.abs() < 0.005
        );
    }
}

#[test]
fn imposed_temperatures_replace_the_cells_own() {
    // An insulated pair of batches: one warms itself, the other gets its temperatures from the heat that it reports.
    let mut parameters = EcmParameters::generic_nmc_5ah();
    parameters.thermal.surface_ambient_w_per_k = 0.0;
    let mut own = EcmBatch::new(parameters.clone(), [cell(1.0, 1.0, 0.8), cell(1.0, 1.3, 0.8)]).unwrap();
    let mut physics = sets::okane2022();
    physics.thermal.surface_ambient_w_per_k = 0.0;
    let capacity_j_per_k = physics.thermal.core_j_per_k + physics.thermal.surface_j_per_k;
    let like = SpmeCell::new(physics, 1.0, 25.0).unwrap().without_ageing();
    let spread = [1.0, 1.1].map(|size| SpmeBatchCell { size, extra_ohm: 0.0, soc: 0.8, temperature_c: 20.0 });
    let mut spme = SpmeBatch::new(&like, spread).unwrap();
    let mut imposed = spme.clone();
    let (mut heat_j, mut heat_spme_j, mut off_v) = ([0.0; 2], [0.0; 2], 0.0_f64);
    for k in 0..600 {
        own.step_series(drive(k), 1.0).unwrap();
        heat_j.iter_mut().zip(own.heat_w()).for_each(|(sum, w)| *sum += w);
        let core: Vec<f64> = spme.core_temperature_c().collect();
        imposed.set_core_c(&core).unwrap();
        spme.step_series(drive(k), 1.0).unwrap();
        imposed.step_series(drive(k), 1.0).unwrap();
        heat_spme_j.iter_mut().zip(spme.step_heat_w()).for_each(|(sum, w)| *sum += w);
        for (a, b) in spme.voltage_v().zip(imposed.voltage_v()) {
            off_v = off_v.max((a - b).abs());
        }
        assert!(imposed.core_temperature_c().eq(core.iter().copied()));
    }
    let t = parameters.thermal;
    for k in 0..2 {
        let stored = t.core_j_per_k * (own.core_temperature_c()[k] - 25.0)
            + t.surface_j_per_k * (own.surface_temperature_c()[k] - 25.0);
        assert!((stored / heat_j[k] - 1.0).abs() < 1e-9, "{stored} J and {} J", heat_j[k]);
        // All cells have the thermal parameters of one of size 1, and their heat is taken per size there.
        let core = spme.core_temperature_c().nth(k).unwrap() - 20.0;
        let surface = spme.surface_temperature_c().nth(k).unwrap() - 20.0;
        let mean = (like.parameters().thermal.core_j_per_k * core
            + like.parameters().thermal.surface_j_per_k * surface)
            / capacity_j_per_k;
        let size = [1.0, 1.1][k];
        assert!((mean * capacity_j_per_k * size / heat_spme_j[k] - 1.0).abs() < 1e-9);
    }
    // The imposed temperatures are one step behind.
    assert!(off_v < 1e-3, "{off_v} V");
}

/// Supercapacitors in groups of `parallel` with a spread.
fn supercaps(count: usize, soc: f64) -> Vec<SupercapCell> {
    let cell = |k: usize| {
        let own = SupercapParameters::typical_3000f()
            .varied(1.0 + 0.02 * (k % 3) as f64, 1.0 + 0.1 * (k % 4) as f64);
        SupercapCell::new(own, soc, 25.0).unwrap()
    };
    (0..count).map(cell).collect()
}

#[test]
fn a_string_of_supercapacitors_is_its_cells() {
    let mut cells = supercaps(5, 0.8);
    let mut pack = closed(cells.clone(), &layout(1), 0.0);
    pack.set_core_c(&[10.0; 5]).unwrap();
    // The single cells stay at 10 degC in still air of that temperature but for their own heat: 0.3 K.
    cells.iter_mut().enumerate().for_each(|(k, cell)| {
        let own = cell.parameters().clone();
        *cell = SupercapCell::new(own, 0.8, 10.0).unwrap();
        assert_eq!(pack.capacity_ah()[k], cell.capacity_ah());
    });
    for k in 0..120 {
        let current_a = 5.0 * (drive(k) - 3.0);
        pack.step(PackLoad::CurrentA(current_a), &[0.0; 5], 1.0).unwrap();
        for (k, cell) in cells.iter_mut().enumerate() {
            cell.set_current(current_a).unwrap();
            cell.advance(1.0).unwrap();
            assert!((cell.voltage_v() - pack.cell_voltage_v()[k]).abs() < 2e-5);
            assert!((cell.soc() - pack.soc()[k]).abs() < 1e-5);
        }
    }
    let mut core_c = [0.0; 5];
    pack.read_core_c(&mut core_c).unwrap();
    assert_eq!(core_c, [10.0; 5]);
}

#[test]
fn supercapacitors_in_parallel_share_and_keep_their_charge() {
    let mut pack = closed(supercaps(6, 0.7), &layout(3), 1e-4);
    let held_as = |pack: &Pack| -> f64 {
        let Cells::Supercap(cells) = pack.cells() else { panic!("no supercapacitors") };
        cells.iter().map(|c| c.charge_as() + c.leaked_as()).sum()
    };
    let start_as = held_as(&pack);
    let (mut moved_as, mut worst_v) = (0.0, 0.0_f64);
    for k in 0..300 {
        let current_a = 20.0 * (drive(k) - 3.0);
        pack.step(PackLoad::CurrentA(current_a), &[0.5, -0.5], 1.0).unwrap();
        moved_as += 2.0 * current_a;
        for (own, extra) in pack.cell_current_a().chunks(3).zip([0.5, -0.5]) {
            assert!((own.iter().sum::<f64>() - current_a - extra).abs() < 1e-9);
        }
        worst_v = worst_v.max(apart_v(&pack, 1e-4));
    }
    println!("supercapacitors in a drive: {worst_v} V apart");
    assert!(worst_v < 1e-4);
    assert!((start_as - held_as(&pack) - moved_as).abs() < 1e-6 * start_as);
}

#[test]
fn supercapacitors_give_a_power_and_hold_a_voltage() {
    let mut pack = closed(supercaps(12, 0.6), &layout(2), 1e-4);
    for k in 0..200 {
        let power = 30.0 * (drive(k) - 4.0);
        pack.step(PackLoad::PowerW(power), &[0.0; 6], 1.0).unwrap();
        let got = pack.link_voltage_v() * pack.current_a();
        assert!((got - power).abs() < 1e-3 * (1.0 + power.abs()), "step {k}: {got} W instead of {power} W");
    }
    pack.step(PackLoad::VoltageV(6.0 * 2.2), &[0.0; 6], 1.0).unwrap();
    assert!((pack.link_voltage_v() - 13.2).abs() < 1e-3, "{}", pack.link_voltage_v());
    let refused = pack.step(PackLoad::PowerW(1e6), &[0.0; 6], 1.0);
    assert_eq!(refused, Err(PlantError::LoadOutOfReach { load: Load::PowerW(1e6) }));
}

#[test]
fn energies_of_supercapacitors_add_up() {
    for parallel in [1, 2] {
        let wiring = vec![CellWiring { connection_ohm: 1e-4, self_discharge_a: 1e-3 }; 4 * parallel];
        let mut pack = Pack::new(supercaps(4 * parallel, 0.9), &layout(parallel), wiring).unwrap();
        pack.switchgear_mut().set_main(true);
        let start = pack.stored_j().unwrap();
        for k in 0..3000 {
            let own = parallel as f64 * drive(k / 10) * 4.0;
            pack.step(PackLoad::CurrentA(own), &[0.1, 0.0, -0.05, 0.0], 0.1).unwrap();
        }
        let ledger = *pack.ledger();
        let lost = start - pack.stored_j().unwrap();
        println!("{parallel} parallel: {ledger:?}, {lost} J out of the cells");
        assert!((ledger.total_j() / lost - 1.0).abs() < 1e-3, "{} and {lost}", ledger.total_j());
        assert!(ledger.cells_j > 0.0 && ledger.connections_j > 0.0);
    }
}

#[test]
fn pulses_heat_supercapacitors_by_their_resistance() {
    let mut pack = closed(supercaps(3, 0.5), &layout(1), 0.0);
    pack.set_core_c(&[-40.0; 3]).unwrap();
    let pulse = PackLoad::Pulse { amplitude_a: 200.0, mean_a: 0.0, frequency_hz: 50.0 };
    pack.step(pulse, &[0.0; 3], 1.0).unwrap();
    // 0.29 mohm times 1.7, in parallel with the slow branch's 0.6 ohm.
    let ohm = 1.0 / (1.0 / (1.7 * 0.29e-3) + 1.0 / 0.6);
    assert!((pack.heat_w()[0] / (ohm * 200.0 * 200.0) - 1.0).abs() < 1e-3, "{:?}", pack.heat_w());
    let [highest, lowest] = pack.group_extremes_v();
    assert!((highest[0] - lowest[0] - 2.0 * 200.0 * ohm).abs() < 1e-3);
    assert!(pack.anode_potential_v().is_none());
    assert!(Pack::new(Vec::<SupercapCell>::new(), &layout(1), []).is_err());
}

/// A car's pack with a fuse, whose contactors are closed.
fn fused_string() -> Pack {
    let cells =
        (0..96).map(|_| BatchCell { capacity: 30.0, resistance: 1.0 / 30.0, soc: 0.8, temperature_c: 25.0 });
    let cells = EcmBatch::new(EcmParameters::generic_nmc_5ah(), cells).unwrap();
    let fuse = Some(FuseParameters { rated_a: 500.0, melting_a2s: 4e5 });
    let parameters = PackParameters {
        parallel: 1,
        busbar_ohm: 2e-5,
        cable_ohm: 1e-3,
        switchgear: SwitchgearParameters { fuse, ..SwitchgearParameters::default() },
    };
    let wiring = [CellWiring { connection_ohm: 3e-5, self_discharge_a: 0.0 }; 96];
    let mut pack = Pack::new(cells, &parameters, wiring).unwrap();
    pack.switchgear_mut().set_main(true);
    pack
}

/// Ohm's law before the fuse has melted, and I2t for when it does.
#[test]
fn an_external_short_melts_the_fuse() {
    let mut pack = fused_string();
    let nothing = [0.0; 96];
    pack.step(PackLoad::CurrentA(10.0), &nothing, 1.0).unwrap();
    let rest_v = pack.pack_voltage_v();
    pack.switchgear_mut().set_short_ohm(Some(5e-3)).unwrap();
    pack.step(PackLoad::CurrentA(10.0), &nothing, 1e-3).unwrap();
    let short_a = pack.current_a();
    assert!(short_a > 2000.0 && pack.link_voltage_v() < 0.1 * rest_v, "{short_a}");
    assert!((pack.link_voltage_v() - 5e-3 * short_a).abs() < 1e-3 * rest_v);
    let melts_s = 4e5 / (short_a * short_a);
    pack.step(PackLoad::CurrentA(10.0), &nothing, 0.5 * melts_s).unwrap();
    assert!(!pack.switchgear().fuse_blown());
    pack.step(PackLoad::CurrentA(10.0), &nothing, melts_s).unwrap();
    assert!(pack.switchgear().fuse_blown());
    pack.step(PackLoad::CurrentA(10.0), &nothing, 1.0).unwrap();
    assert_eq!(pack.current_a(), 0.0);
}

#[test]
fn a_failed_cell_takes_its_voltage_from_the_pack() {
    let (mut whole, mut failed) = (fused_string(), fused_string());
    let nothing = [0.0; 96];
    let mut lost_v = [0.0; 96];
    lost_v[7] = 3.0;
    failed.set_lost_v(&lost_v).unwrap();
    assert!(failed.set_lost_v(&lost_v[1..]).is_err());
    for pack in [&mut whole, &mut failed] {
        pack.step(PackLoad::CurrentA(100.0), &nothing, 1.0).unwrap();
    }
    let by_v = |f: fn(&Pack) -> f64| f(&whole) - f(&failed);
    assert!((by_v(Pack::pack_voltage_v) - 3.0).abs() < 1e-9);
    assert!((by_v(|p| p.group_voltage_v()[7]) - 3.0).abs() < 1e-9 && by_v(|p| p.group_voltage_v()[8]) == 0.0);
    failed.step(PackLoad::PowerW(20e3), &nothing, 1.0).unwrap();
    assert!((failed.link_voltage_v() * failed.current_a() - 20e3).abs() < 20.0);
}

/// `v = V (1 - exp(-t / RC))`, and nothing through a broken resistor.
#[test]
fn a_broken_precharge_resistor_charges_nothing() {
    for (ohm, share) in [(47.0, 1.0 - (-1.0_f64).exp()), (f64::INFINITY, 0.0)] {
        let mut pack = fused_string();
        pack.switchgear_mut().set_main(false);
        pack.switchgear_mut().set_precharge_ohm(ohm).unwrap();
        pack.switchgear_mut().set(Contactor::Minus, true);
        pack.switchgear_mut().set(Contactor::Precharge, true);
        pack.step(PackLoad::CurrentA(0.0), &[0.0; 96], 47.0 * 1e-3).unwrap();
        let reached = pack.link_voltage_v() / pack.pack_voltage_v();
        assert!((reached - share).abs() < 0.01, "{ohm}: {reached}");
    }
}
