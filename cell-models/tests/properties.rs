//! What holds for any input.

use cell_models::{EcmCell, EcmParameters, Plant};
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
}
