//! The single-particle model with electrolyte against closed-form solutions and conservation laws.

use cell_models::physics::{
    ActiveMaterialLoss, PhysicsParameters, Resolution, SpmeBatch, SpmeBatchCell, SpmeCell, Wear, sets,
};
use cell_models::{Load, Plant, PlantError, Thermal};
use proptest::prelude::*;

/// A repeatable sequence of numbers between -1 and 1 (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

fn unaged(mut p: PhysicsParameters) -> PhysicsParameters {
    p.ageing = None;
    p
}

/// The cell at a resolution, kept at one temperature by strong cooling.
fn isothermal(mut p: PhysicsParameters, r: Resolution, soc: f64) -> SpmeCell {
    p.thermal = Thermal::lumped(50.0, 1e4);
    SpmeCell::with(unaged(p), Wear::default(), r, soc, 25.0).unwrap()
}

/// Surface stoichiometry of a sphere under constant flux from a uniform start: H. S. Carslaw, J. C. Jaeger, "Conduction of
/// Heat in Solids" (1959), section 9.7. `tau` is the time over `radius^2 / diffusivity`; the result is in units of the
/// flux times `radius / (diffusivity * largest concentration)`.
fn sphere_surface(tau: f64) -> f64 {
    let mut sum = 0.0;
    for n in 1..=2000 {
        // Roots of tan(l) = l lie just below (n + 1/2) pi.
        let mut l = (f64::from(n) + 0.5) * std::f64::consts::PI;
        l -= 1.0 / l;
        for _ in 0..4 {
            let (s, c) = l.sin_cos();
            l -= (s - l * c) / (l * s);
        }
        sum += (-l * l * tau).exp() / (l * l);
    }
    3.0 * tau + 0.2 - 2.0 * sum
}

/// Errors of the surface stoichiometry at 100, 200, ... 1800 s of 1C, in units of the flux as above.
fn sphere_errors(r: Resolution) -> Vec<f64> {
    let p = sets::chen2020();
    let (radius, d) = (p.negative.particle_radius_m, 3.3e-14);
    let capacity_as = 3600.0 * p.negative_capacity_ah();
    let scale = 5.0 * radius * radius / (3.0 * capacity_as * d);
    let mut cell = isothermal(p, r, 0.95);
    let start = cell.surface_stoichiometry()[0];
    cell.set_current(5.0).unwrap();
    let error = |k| {
        cell.advance(100.0).unwrap();
        let exact = start - scale * sphere_surface(d * 100.0 * f64::from(k) / (radius * radius));
        (cell.surface_stoichiometry()[0] - exact).abs() / scale
    };
    (1..=18).map(error).collect()
}

#[test]
fn diffusion_in_a_sphere_follows_the_closed_form_in_second_order() {
    let fine =
        Resolution { first_step_s: 0.1, growth: 0.02, stoichiometry_step: 2e-4, ..Resolution::default() };
    let largest = |r| sphere_errors(r).into_iter().fold(0.0, f64::max);
    let errors = [8, 16, 32].map(|n| largest(Resolution { particle_elements: n, ..fine }));
    println!("in space: {errors:?}; default {:e}", largest(Resolution::default()));
    assert!(errors[0] / errors[1] > 3.5 && errors[1] / errors[2] > 3.5, "{errors:?}");
    assert!(largest(Resolution::default()) < 2e-4);
    // In time, by equal steps against ever finer ones: after half an hour, when the jump at the start is forgotten.
    let end = |dt: f64| {
        let steps =
            Resolution { first_step_s: dt, growth: 1e-9, stoichiometry_step: 1.0, ..Resolution::default() };
        let mut cell = isothermal(sets::chen2020(), steps, 0.5);
        for k in 0..18 {
            cell.ramp_current(5.0 * (0.3 * f64::from(k)).sin(), 100.0).unwrap();
        }
        cell.surface_stoichiometry()[1]
    };
    let exact = end(0.25);
    let errors = [20.0, 10.0, 5.0].map(|dt| (end(dt) - exact).abs());
    println!("in time: {errors:?}");
    assert!(errors[0] / errors[1] > 3.5 && errors[1] / errors[2] > 3.5, "{errors:?}");
}

#[test]
fn any_number_of_elements_keeps_lithium_and_comes_close() {
    let run = |particle_elements, electrolyte_elements| {
        let r = Resolution { particle_elements, electrolyte_elements, ..Resolution::default() };
        let mut cell = SpmeCell::with(unaged(sets::mohtat2020()), Wear::default(), r, 0.8, 25.0).unwrap();
        let before = [cell.lithium_as(), cell.electrolyte_mol_per_m2()];
        cell.set_current(5.0).unwrap();
        cell.advance(600.0).unwrap();
        assert!((cell.lithium_as() / before[0] - 1.0).abs() < 1e-12);
        assert!((cell.electrolyte_mol_per_m2() / before[1] - 1.0).abs() < 1e-12);
        cell.voltage_v()
    };
    let fine = run(60, [20, 10, 20]);
    for (n, e) in [(2, [2, 2, 2]), (3, [2, 2, 3]), (4, [3, 2, 2]), (5, [3, 3, 3]), (7, [4, 3, 4])] {
        assert!((run(n, e) - fine).abs() < 0.05 / n as f64, "{n} {e:?}: {} {fine}", run(n, e));
    }
}

#[test]
fn resolution_converges_on_a_drive() {
    // Voltages on a made-up drive against the finest; the default is below a millivolt.
    let run = |r: Resolution| {
        let mut cell = SpmeCell::with(unaged(sets::okane2022()), Wear::default(), r, 0.8, 0.0).unwrap();
        let mut noise = Noise(7);
        let mut voltages = vec![];
        for _ in 0..300 {
            cell.ramp_current(2.0 + 5.0 * noise.next(), 1.0).unwrap();
            voltages.push(cell.voltage_v());
        }
        voltages
    };
    let default = Resolution::default();
    let finest = run(default.refined(8));
    let rms = |r| {
        let squares: f64 = run(r).iter().zip(&finest).map(|(a, b)| (a - b) * (a - b)).sum();
        1e3 * (squares / finest.len() as f64).sqrt()
    };
    let errors = [rms(default), rms(default.refined(2)), rms(default.refined(4))];
    println!("mV: {errors:?}");
    assert!(errors[0] < 0.7 && errors[0] / errors[1] > 2.5 && errors[1] / errors[2] > 2.5, "{errors:?}");
}

#[test]
fn lithium_and_heat_are_kept_to_rounding_over_a_thousand_hours() {
    let mut p = unaged(sets::okane2022());
    // Nothing gets out, so that all heat must be found in the temperatures.
    p.thermal = Thermal {
        core_j_per_k: 40.0,
        surface_j_per_k: 4.0,
        core_surface_w_per_k: 0.5,
        surface_ambient_w_per_k: 0.0,
    };
    let stored = |c: &SpmeCell| 40.0 * c.core_temperature_c() + 4.0 * c.surface_temperature_c();
    // Every step in one piece, so that the heat at its ends tells all.
    let whole = Resolution { first_step_s: 4.0, ..Resolution::default() };
    let mut cell = SpmeCell::with(p, Wear::default(), whole, 0.5, 20.0).unwrap();
    let [lithium, electrolyte, energy] = [cell.lithium_as(), cell.electrolyte_mol_per_m2(), stored(&cell)];
    let (mut noise, mut heat, mut carry) = (Noise(3), 0.0, 0.0);
    for hour in 0..1000 {
        for _ in 0..900 {
            // Draws it back to half full, and warms it by no more than a few degrees.
            let drift = 0.5 * (cell.soc() - 0.5);
            cell.set_current(0.08 * noise.next() + drift).unwrap();
            let before = cell.heat_w();
            cell.advance(4.0).unwrap();
            // Kahan's sum: the check must not lose what the plant keeps.
            let term = 4.0 * 0.5 * (before + cell.heat_w()) - carry;
            let sum = heat + term;
            carry = (sum - heat) - term;
            heat = sum;
        }
        assert!((cell.soc() - 0.5).abs() < 0.2, "after {hour} h");
    }
    let warmed = stored(&cell) - energy;
    println!("warmed by {:.3} K, {warmed} J against {heat} J", warmed / 44.0);
    assert!((cell.lithium_as() / lithium - 1.0).abs() < 1e-11);
    assert!((cell.electrolyte_mol_per_m2() / electrolyte - 1.0).abs() < 1e-11);
    assert!(warmed > 10.0 && (warmed - heat).abs() < 1e-7 * heat, "{warmed} {heat}");
}

#[test]
fn chemical_energy_becomes_work_and_heat() {
    // A drive and a long rest at one temperature, no entropy: what the open-circuit voltage gave is work or heat.
    let p = sets::chen2020();
    let lithium = p.lithium_ah();
    let fine = Resolution::default().refined(3);
    let mut cell = isothermal(p.clone(), fine, 0.9).with_heat_of_mixing();
    let start = cell.mean_stoichiometry()[0];
    let (mut noise, mut work, mut heat) = (Noise(11), 0.0, 0.0);
    let mut step = |cell: &mut SpmeCell, current_a: f64, dt_s: f64| {
        cell.set_current(current_a).unwrap();
        let before = [cell.voltage_v() * current_a, cell.heat_w()];
        cell.advance(dt_s).unwrap();
        work += 0.5 * dt_s * (before[0] + cell.voltage_v() * current_a);
        heat += 0.5 * dt_s * (before[1] + cell.heat_w());
    };
    for _ in 0..3600 {
        step(&mut cell, 3.0 + 4.0 * noise.next(), 0.5);
    }
    for _ in 0..4000 {
        step(&mut cell, 0.0, 10.0);
    }
    let end = cell.mean_stoichiometry()[0];
    let capacity_as = 3600.0 * p.negative_capacity_ah();
    let n = 20_000;
    let chemical: f64 = (0..n)
        .map(|k| {
            let x = start + (end - start) * (f64::from(k) + 0.5) / f64::from(n);
            let y = (lithium - x * p.negative_capacity_ah()) / p.positive_capacity_ah();
            p.open_circuit_voltage_v(x, y) * (start - end) / f64::from(n) * capacity_as
        })
        .sum();
    println!("chemical {chemical:.2} J, work {work:.2} J, heat {heat:.2} J");
    assert!(heat > 100.0 && (chemical - work - heat).abs() < 4e-3 * heat, "{}", chemical - work - heat);
}

#[test]
fn a_batch_does_what_its_cells_do() {
    let like = SpmeCell::new(unaged(sets::prada2013()), 0.7, 10.0).unwrap();
    // Eleven cells: one full block of lanes and a part of another.
    let spread: Vec<SpmeBatchCell> = (0..11)
        .map(|k| SpmeBatchCell {
            size: 1.0 + 0.01 * f64::from(k),
            extra_ohm: 1e-4 * f64::from(k),
            soc: 0.6 + 0.02 * f64::from(k),
            temperature_c: 10.0 + f64::from(k),
        })
        .collect();
    let mut batch = SpmeBatch::new(&like, spread.iter().copied()).unwrap();
    let mut singles: Vec<SpmeCell> = spread
        .iter()
        .map(|cell| {
            // A larger cell is one of more electrode pairs, on which its cooling does not depend here.
            let mut p = unaged(sets::prada2013());
            p.electrode_pairs *= cell.size;
            p.contact_resistance_ohm += cell.extra_ohm;
            p.thermal = scaled(p.thermal, cell.size);
            SpmeCell::new(p, cell.soc, cell.temperature_c).unwrap()
        })
        .collect();
    let mut noise = Noise(5);
    for k in 0..400 {
        let current_a = 1.0 + 4.0 * noise.next();
        batch.step_series(current_a, 1.0).unwrap();
        for single in &mut singles {
            single.set_current(current_a).unwrap();
            single.advance(1.0).unwrap();
        }
        for (w, (single, voltage)) in singles.iter().zip(batch.voltage_v()).enumerate() {
            assert!((single.voltage_v() - voltage).abs() < 2e-4, "step {k}, cell {w}");
        }
    }
    for (single, [soc, temperature]) in
        singles.iter().zip(batch.soc().zip(batch.core_temperature_c()).map(|(a, b)| [a, b]))
    {
        // The singles' capacities are measured with their own contacts.
        assert!((single.soc() - soc).abs() < 1e-4, "{} {soc}", single.soc());
        assert!((single.core_temperature_c() - temperature).abs() < 2e-2);
    }
    assert_eq!(batch.step_each(&[1.0; 3], 1.0), Err(PlantError::Length { expected: 11, got: 3 }));
    assert!(batch.step_series(f64::NAN, 1.0).is_err() && batch.step_series(1.0, -1.0).is_err());
    assert!(SpmeBatch::new(&like, []).is_err());
}

#[test]
fn plated_lithium_counts_as_charge_in_a_batch_too() {
    let mut cell = SpmeCell::new(sets::okane2022(), 0.5, -10.0).unwrap();
    let as_batch = |like: &SpmeCell| {
        let one = SpmeBatchCell { size: 1.0, extra_ohm: 0.0, soc: 0.5, temperature_c: -10.0 };
        SpmeBatch::new(like, [one]).unwrap()
    };
    let mut batch = as_batch(&cell);
    for _ in 0..1200 {
        batch.step_series(-5.0, 1.0).unwrap();
        cell.set_current(-5.0).unwrap();
        cell.advance(1.0).unwrap();
    }
    let wear = cell.wear();
    let plated = wear.lithium - wear.film_lithium;
    assert!(plated > 2e-3, "{plated}");
    // The cell measures its capacity anew as it ages; the batch does not.
    let soc = batch.soc().next().unwrap();
    assert!((soc - cell.soc()).abs() < 3e-4, "{soc} {}, {plated} plated", cell.soc());
    // A batch like a cell with plated lithium starts where it is told to.
    assert!((as_batch(&cell).soc().next().unwrap() - 0.5).abs() < 1e-12);
}

#[test]
fn numbers_that_would_give_a_wrong_truth_are_refused() {
    let mut p = sets::okane2022();
    p.nominal_capacity_ah = 1.0;
    let told = SpmeCell::new(p, 1.0, 25.0).unwrap_err().to_string();
    assert!(told.starts_with("nominal capacity in Ah = 1 refused"), "{told}");
    let mut p = sets::okane2022();
    p.ageing.as_mut().unwrap().negative_loss =
        Some(ActiveMaterialLoss { per_stoichiometry: -1e-4, activation_j_per_mol: 0.0 });
    let told = SpmeCell::new(p, 1.0, 25.0).unwrap_err().to_string();
    assert!(told.starts_with("loss of active material per stoichiometry"), "{told}");
}

/// All cells of a batch share the thermal parameters per unit of size.
fn scaled(t: Thermal, size: f64) -> Thermal {
    Thermal {
        core_j_per_k: t.core_j_per_k * size,
        surface_j_per_k: t.surface_j_per_k * size,
        core_surface_w_per_k: t.core_surface_w_per_k * size,
        surface_ambient_w_per_k: t.surface_ambient_w_per_k * size,
    }
}

#[test]
fn power_and_voltage_are_held() {
    let mut cell = SpmeCell::new(unaged(sets::mohtat2020()), 0.5, 25.0).unwrap();
    cell.hold(Load::PowerW(12.0), 1.0).unwrap();
    assert!((cell.current_a() * cell.voltage_v() - 12.0).abs() < 0.05);
    // Charge at constant voltage: the current relaxes.
    let target = cell.voltage_v() + 0.15;
    let mut last = f64::NEG_INFINITY;
    for _ in 0..60 {
        cell.hold(Load::VoltageV(target), 10.0).unwrap();
        assert!((cell.voltage_v() - target).abs() < 1e-5);
        assert!(cell.current_a() < 0.0 && cell.current_a() > last - 1e-3, "{}", cell.current_a());
        last = cell.current_a();
    }
    let before = (cell.voltage_v(), cell.soc());
    assert!(matches!(cell.hold(Load::PowerW(1e9), 1.0), Err(PlantError::LoadOutOfReach { .. })));
    assert!(cell.hold(Load::VoltageV(f64::NAN), 1.0).is_err());
    assert_eq!(before, (cell.voltage_v(), cell.soc()));
}

#[test]
fn refused_calls_leave_the_cell_as_it_was() {
    let mut cell = SpmeCell::new(sets::okane2022(), 0.5, 25.0).unwrap();
    cell.set_current(3.0).unwrap();
    cell.advance(5.0).unwrap();
    let readings = |c: &SpmeCell| (c.voltage_v(), c.soc(), c.core_temperature_c(), c.current_a(), c.wear());
    let before = readings(&cell);
    assert!(cell.set_current(f64::NAN).is_err() && cell.set_ambient_c(-400.0).is_err());
    assert!(cell.advance(f64::INFINITY).is_err() && cell.ramp_current(f64::NAN, 1.0).is_err());
    // A current that no cell survives.
    assert!(matches!(cell.ramp_current(1e6, 3600.0), Err(PlantError::Diverged { .. })));
    assert_eq!(before, readings(&cell));
    cell.advance(1.0).unwrap();
    let message = |change: fn(&mut PhysicsParameters)| {
        let mut p = sets::chen2020();
        change(&mut p);
        SpmeCell::new(p, 0.5, 25.0).unwrap_err().to_string()
    };
    assert!(message(|p| p.negative.thickness_m = 0.0).contains("thickness"));
    assert!(message(|p| p.positive.porosity = 1.5).contains("porosity"));
    assert!(
        message(|p| p.electrolyte.conductivity_s_per_m.at_reference = f64::NAN.into())
            .contains("conductivity")
    );
    assert!(message(|p| p.voltage_limits_v = [4.2, 2.5]).contains("voltage limit"));
    assert!(SpmeCell::new(sets::chen2020(), 1.5, 25.0).is_err());
    assert!(SpmeCell::new(sets::chen2020(), 0.5, f64::NAN).is_err());
    let coarse = Resolution { particle_elements: 1, ..Resolution::default() };
    assert!(SpmeCell::with(sets::chen2020(), Wear::default(), coarse, 0.5, 25.0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn charge_is_counted_and_clones_agree(
        soc in 0.3..0.9_f64,
        temperature in -10.0..45.0_f64,
        loads in prop::collection::vec((-1.0..1.0_f64, 0.1..60.0_f64), 1..20),
    ) {
        for set in [sets::kim2011(), sets::mohtat2020()] {
            let mut cell = SpmeCell::new(unaged(set), soc, temperature).unwrap();
            let nominal = cell.parameters().nominal_capacity_ah;
            let mut charge = 0.0;
            for &(rate, dt) in &loads {
                cell.set_current(rate * nominal).unwrap();
                let mut twin = cell.clone();
                cell.advance(dt).unwrap();
                twin.advance(dt).unwrap();
                prop_assert_eq!(cell.voltage_v().to_bits(), twin.voltage_v().to_bits());
                charge += rate * nominal * dt / 3600.0;
            }
            prop_assert!((cell.soc() - (soc - charge / cell.capacity_ah())).abs() < 1e-9);
            prop_assert!(cell.voltage_v().is_finite());
            for x in cell.surface_stoichiometry() {
                prop_assert!((0.0..=1.0).contains(&x));
            }
        }
    }
}
