//! The batch of circuit cells against the single cell.

use cell_models::{BatchCell, EcmBatch, EcmCell, EcmParameters, Plant, RcPair, Table1, Table2};
use proptest::prelude::*;

/// Constant resistances and time constants, the rest as the generic NMC cell; `plain`: no hysteresis, no entropic heat.
fn fixed(pairs: usize, plain: bool) -> EcmParameters {
    let mut p = EcmParameters::generic_nmc_5ah();
    let everywhere = |v| Table2::constant(v).unwrap();
    (p.r0_discharge_ohm, p.r0_charge_ohm) = (everywhere(0.02), everywhere(0.021));
    p.rc = [(0.01, 8.0), (0.012, 180.0), (0.004, 1.0)][..pairs]
        .iter()
        .map(|&(r, tau)| RcPair { r_ohm: everywhere(r), tau_s: everywhere(tau) })
        .collect();
    if plain {
        p.hysteresis_gamma = 0.0;
        p.hysteresis_v = Table1::constant(0.0).unwrap();
        p.entropic_v_per_k = Table1::constant(0.0).unwrap();
    }
    p
}

/// The parameters that the batch's `cell` stands for.
fn own(mut p: EcmParameters, cell: &BatchCell) -> EcmParameters {
    let scaled = |t: &Table2, rows: &[f64], cols: &[f64]| {
        let values = rows.iter().flat_map(|&r| cols.iter().map(move |&c| cell.resistance * t.at(r, c)));
        Table2::new(rows.to_vec(), cols.to_vec(), values.collect()).unwrap()
    };
    p.capacity_ah *= cell.capacity;
    // The grids of the example cells.
    let (rows, cols) = ([-20.0, -10.0, 0.0, 10.0, 25.0, 45.0, 60.0], [0.0, 0.1, 0.3, 0.8, 1.0]);
    p.r0_discharge_ohm = scaled(&p.r0_discharge_ohm, &rows, &cols);
    p.r0_charge_ohm = scaled(&p.r0_charge_ohm, &rows, &cols);
    for pair in &mut p.rc {
        pair.r_ohm = scaled(&pair.r_ohm, &rows, &cols);
    }
    p
}

/// Largest difference of voltage, SOC, core and surface temperature over a profile in steps of `dt`.
fn compare(p: &EcmParameters, cells: &[BatchCell], current: &[f64], dt: f64, each: bool) -> [f64; 4] {
    let mut batch = EcmBatch::new(p.clone(), cells.iter().copied()).unwrap();
    let mut single: Vec<EcmCell> =
        cells.iter().map(|c| EcmCell::new(own(p.clone(), c), c.soc, c.temperature_c).unwrap()).collect();
    let mut off = [0.0_f64; 4];
    for (k, &i) in current.iter().enumerate() {
        let own_a: Vec<f64> =
            (0..cells.len()).map(|n| if each && n % 2 == 1 { -0.5 * i } else { i }).collect();
        if each {
            batch.step_each(&own_a, dt).unwrap();
        } else {
            batch.step_series(i, dt).unwrap();
        }
        for (n, cell) in single.iter_mut().enumerate() {
            cell.set_current(own_a[n]).unwrap();
            cell.advance(dt).unwrap();
            let pairs = [
                (batch.voltage_v()[n], cell.voltage_v()),
                (batch.soc()[n], cell.soc()),
                (batch.core_temperature_c()[n], cell.core_temperature_c()),
                (batch.surface_temperature_c()[n], cell.surface_temperature_c()),
            ];
            for (worst, (a, b)) in off.iter_mut().zip(pairs) {
                assert!(a.is_finite(), "step {k}, cell {n}");
                *worst = worst.max((a - b).abs());
            }
        }
    }
    off
}

fn any_cells(soc: std::ops::RangeInclusive<f64>) -> impl Strategy<Value = Vec<BatchCell>> {
    let cell =
        (0.9..1.1, 0.8..1.3, soc, 10.0..40.0).prop_map(|(capacity, resistance, soc, temperature_c)| {
            BatchCell { capacity, resistance, soc, temperature_c }
        });
    // Around a whole block of 64.
    prop::collection::vec(cell, 1..70)
}

/// Phases of 30 s with currents up to 2 C.
fn any_current() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-10.0..10.0, 10)
        .prop_map(|levels| levels.into_iter().flat_map(|i| [i; 30]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Without look-ups in two dimensions: the bounds of the documentation.
    #[test]
    fn fixed_cells_agree(
        cells in any_cells(0.2..=0.8), current in any_current(), pairs in 0..4_usize,
        plain: bool, each: bool,
    ) {
        let [v, soc, core, surface] = compare(&fixed(pairs, plain), &cells, &current, 1.0, each);
        prop_assert!(v < 1e-6 && soc < 1e-12 && core < 5e-3 && surface < 5e-3, "{v:e} {soc:e} {core:e} {surface:e}");
    }

    /// With tables and tolerances as they come.
    #[test]
    fn example_cells_agree(
        cells in any_cells(0.15..=0.85), current in any_current(), nmc: bool, each: bool,
    ) {
        let p = if nmc { EcmParameters::generic_nmc_5ah() } else { EcmParameters::generic_lfp_2ah3() };
        let current: Vec<f64> = current.iter().map(|i| i * p.capacity_ah / 5.0).collect();
        let [v, soc, core, surface] = compare(&p, &cells, &current, 1.0, each);
        prop_assert!(v < 3e-3 && soc < 1e-12 && core < 0.03 && surface < 0.03, "{v:e} {soc:e} {core:e} {surface:e}");
    }
}

/// A tighter tolerance brings the batch nearer to the single cell, down to the error of a step.
#[test]
fn the_tolerance_is_the_error() {
    let p = EcmParameters::generic_nmc_5ah();
    let cell = BatchCell { capacity: 1.0, resistance: 1.0, soc: 0.3, temperature_c: 10.0 };
    let worst = |soc: f64, kelvin: f64| {
        let mut batch = EcmBatch::new(p.clone(), [cell]).unwrap().with_tolerance(soc, kelvin).unwrap();
        let mut single = EcmCell::new(p.clone(), cell.soc, cell.temperature_c).unwrap();
        single.set_current(5.0).unwrap();
        (0..600).fold(0.0_f64, |worst, _| {
            batch.step_series(5.0, 1.0).unwrap();
            single.advance(1.0).unwrap();
            worst.max((batch.voltage_v()[0] - single.voltage_v()).abs())
        })
    };
    let [coarse, fine, each_step] = [worst(2e-2, 2.0), worst(2e-3, 0.2), worst(0.0, 0.0)];
    assert!(coarse > 3.0 * fine && fine > each_step && each_step < 1e-4);
}

/// The first readings are those at rest, and a step of 0 s shows the ohmic drop alone.
#[test]
fn readings_before_and_after_no_time() {
    let p = EcmParameters::generic_lfp_2ah3();
    let cells = [0.2, 0.5].map(|soc| BatchCell { capacity: 1.1, resistance: 0.9, soc, temperature_c: 30.0 });
    let mut batch = EcmBatch::new(p.clone(), cells).unwrap();
    for (n, cell) in cells.iter().enumerate() {
        let mut single = EcmCell::new(own(p.clone(), cell), cell.soc, 30.0).unwrap();
        batch.step_series(0.0, 0.0).unwrap();
        assert!((batch.voltage_v()[n] - single.voltage_v()).abs() < 1e-12);
        single.set_current(-3.0).unwrap();
        batch.step_series(-3.0, 0.0).unwrap();
        assert!((batch.voltage_v()[n] - single.voltage_v()).abs() < 1e-12);
        assert_eq!((batch.soc()[n], batch.core_temperature_c()[n]), (cell.soc, 30.0));
    }
}

#[test]
fn bad_calls_are_refused() {
    let p = EcmParameters::generic_nmc_5ah();
    let cell = BatchCell { capacity: 1.0, resistance: 1.0, soc: 0.5, temperature_c: 25.0 };
    let message = |cells: Vec<BatchCell>| EcmBatch::new(p.clone(), cells).unwrap_err().to_string();
    assert!(message(vec![]).contains("no points"));
    assert!(message(vec![BatchCell { capacity: 0.0, ..cell }]).contains("capacity"));
    assert!(message(vec![BatchCell { resistance: f64::NAN, ..cell }]).contains("resistance"));
    assert!(message(vec![BatchCell { soc: 1.1, ..cell }]).contains("SOC"));
    assert!(message(vec![BatchCell { temperature_c: -300.0, ..cell }]).contains("temperature"));
    let mut batch = EcmBatch::new(p.clone(), [cell; 3]).unwrap();
    let before = batch.voltage_v().to_vec();
    assert!(batch.step_each(&[1.0, 2.0], 1.0).unwrap_err().to_string().contains("3 values expected"));
    assert!(batch.step_each(&[1.0, f64::NAN, 1.0], 1.0).is_err());
    assert!(batch.step_series(f64::INFINITY, 1.0).is_err() && batch.step_series(1.0, -1.0).is_err());
    assert!(batch.set_ambient_c(&[20.0]).is_err() && batch.set_ambient_c(&[20.0, 20.0, 2e3]).is_err());
    assert_eq!(before, batch.voltage_v());
    assert!(batch.clone().with_tolerance(-1.0, 1.0).is_err());
    batch.set_ambient_c(&[20.0, 25.0, 30.0]).unwrap();
    batch.step_series(0.0, 1e4).unwrap();
    let t = batch.surface_temperature_c();
    assert!((t[0] - 20.0).abs() < 0.1 && t[1] == 25.0 && (t[2] - 30.0).abs() < 0.1);
}
