//! What holds for any input.

use cell_models::{EcmCell, EcmParameters, Plant, SupercapCell, SupercapParameters};
use proptest::prelude::*;

fn any_cell() -> impl Strategy<Value = EcmCell> {
    (any::<bool>(), 0.0..=1.0, -40.0..80.0, -1.0..=1.0).prop_map(|(nmc, soc, temperature_c, hysteresis)| {
        let p = if nmc { EcmParameters::generic_nmc_5ah() } else { EcmParameters::generic_lfp_2ah3() };
        EcmCell::new(p, soc, temperature_c).unwrap().with_hysteresis(hysteresis).unwrap()
    })
}

fn readings(c: &EcmCell) -> [f64; 7] {
    let [core, surface] = [c.core_temperature_c(), c.surface_temperature_c()];
    [c.current_a(), c.voltage_v(), core, surface, c.soc(), c.heat_w(), c.hysteresis_state()]
}

fn any_supercap() -> impl Strategy<Value = SupercapCell> {
    let cell = (0.0..=2.7, 0.0..=2.7, -60.0..90.0, 1.0..1e4, 0.0..1e3, 1e-6..1e3, 1e-3..1e4);
    cell.prop_map(|(main_v, slow_v, temperature_c, main_f, main_f_per_v, slow_ohm, slow_f)| {
        let typical = SupercapParameters::typical_3000f();
        let p = SupercapParameters { main_f, main_f_per_v, slow_ohm, slow_f, ..typical };
        SupercapCell::new(p, 0.5, temperature_c).unwrap().with_branch_voltages(main_v, slow_v).unwrap()
    })
}

fn supercap_readings(c: &SupercapCell) -> [f64; 8] {
    let [core, surface] = [c.core_temperature_c(), c.surface_temperature_c()];
    let energy = c.stored_energy_j();
    [c.current_a(), c.voltage_v(), core, surface, c.soc(), c.heat_w(), energy, c.leaked_as()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any numbers at all, NaN and infinity among them: refused or finite, never NaN, never a panic, and refused calls
    /// change nothing.
    #[test]
    fn readings_stay_finite(
        mut cell in any_cell(),
        calls in prop::collection::vec((any::<f64>(), any::<f64>(), -1e6..1e6, 0.0..1e4), 1..10),
    ) {
        for (wild_a, wild_s, current_a, dt_s) in calls {
            for (a, s) in [(wild_a, wild_s.min(1e5)), (current_a, dt_s), (wild_a / 1e300, wild_s / 1e300)] {
                let before = readings(&cell);
                if cell.set_current(a).is_err() {
                    prop_assert_eq!(before, readings(&cell));
                }
                let before = readings(&cell);
                if cell.advance(s).is_err() {
                    prop_assert_eq!(before, readings(&cell));
                }
                prop_assert!(readings(&cell).iter().all(|v| v.is_finite()), "{:?}", cell);
                prop_assert!(cell.hysteresis_state().abs() <= 1.0);
            }
        }
    }

    /// SOC moved = charge counted, whatever the steps.
    #[test]
    fn soc_balances_the_charge(
        mut cell in any_cell(),
        steps in prop::collection::vec((-20.0..20.0, 0.0..2000.0), 1..40),
    ) {
        let (start, p) = (cell.soc(), cell.parameters().clone());
        let mut ah = 0.0;
        for (current, dt) in steps {
            cell.set_current(current).unwrap();
            cell.advance(dt).unwrap();
            ah += current * dt / 3600.0 * if current < 0.0 { p.coulombic_efficiency } else { 1.0 };
        }
        prop_assert!((start - cell.soc() - ah / p.capacity_ah).abs() < 1e-11);
    }

    /// The same calls on a clone give the same bits.
    #[test]
    fn clones_agree(cell in any_cell(), current in -20.0..20.0, dt in 0.0..1000.0) {
        let [mut a, mut b] = [cell.clone(), cell];
        for c in [&mut a, &mut b] {
            c.set_current(current).unwrap();
            c.advance(dt).unwrap();
        }
        prop_assert_eq!(readings(&a).map(f64::to_bits), readings(&b).map(f64::to_bits));
    }

    /// As [`readings_stay_finite`], for supercapacitors of all sizes.
    #[test]
    fn supercap_readings_stay_finite(
        mut cell in any_supercap(),
        calls in prop::collection::vec((any::<f64>(), any::<f64>(), -1e6..1e6, 0.0..1e4), 1..6),
    ) {
        for (wild_a, wild_s, current_a, dt_s) in calls {
            for (a, s) in [(wild_a, wild_s.min(1e5)), (current_a, dt_s), (wild_a / 1e300, wild_s / 1e300)] {
                let before = supercap_readings(&cell);
                if cell.set_current(a).is_err() {
                    prop_assert_eq!(before, supercap_readings(&cell));
                }
                let before = supercap_readings(&cell);
                if cell.advance(s).is_err() {
                    prop_assert_eq!(before, supercap_readings(&cell));
                }
                prop_assert!(supercap_readings(&cell).iter().all(|v| v.is_finite()), "{:?}", cell);
                prop_assert!(cell.heat_w() >= 0.0);
            }
        }
    }

    /// Charge moved = charge counted + charge leaked, whatever the steps; a cell left alone only loses energy.
    #[test]
    fn supercap_balances_the_charge(
        mut cell in any_supercap(),
        steps in prop::collection::vec((-300.0..300.0, 0.0..200.0), 1..20),
    ) {
        let (start, mut out) = (cell.charge_as(), 0.0);
        for (current, dt) in steps {
            cell.ramp_current(current, dt).unwrap();
            cell.set_current(current).unwrap();
            cell.advance(dt).unwrap();
            let energy = cell.stored_energy_j();
            cell.set_current(0.0).unwrap();
            cell.advance(dt).unwrap();
            prop_assert!(cell.stored_energy_j() <= energy * (1.0 + 1e-12));
            out += 1.5 * current * dt;
        }
        let largest = start.abs() + out.abs() + cell.leaked_as().abs() + 1e6;
        prop_assert!((start - cell.charge_as() - cell.leaked_as() - out).abs() < 1e-11 * largest);
    }
}
