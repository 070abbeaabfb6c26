//! The core temperature that `bms-core` estimates, against that of the single-particle plant with two thermal nodes.
//!
//! The estimator knows the cell through the identified tables and thermal parameters that are off by 10 to 15 %; its cooling
//! starts at a third of the true one.

use bms_core::cell::CellModel;
use bms_core::measurement::{Measurement, Reading};
use bms_core::soc::SocEstimator;
use bms_core::thermal::{CoreEstimator, ThermalParameters, loss_w};
use bms_sim::cell_file::CellFile;
use bms_sim::identify::identify;
use bms_sim::identify::plan::{Plan, Selection};
use bms_sim::plants::{Extent, Plant, data_sets};
use cell_models::physics::{PhysicsParameters, SpmeCell, sets};
use cell_models::{Plant as _, Thermal};

/// Offsets of the sensors of surface and coolant in K.
const OFFSETS_K: [f64; 2] = [0.3, -0.2];

fn known() -> CellFile {
    let plant = Plant::by_name("okane2022").expect("a plant of this name");
    let sets = data_sets(&[plant], Extent::Whole, None, || {}).expect("its sets");
    let set = &sets.first().expect("one plant").new;
    identify(&Plan::of_set(set, &Selection::default()).unwrap()).unwrap()
}

fn parameters() -> PhysicsParameters {
    let mut p = sets::okane2022();
    // A 21700 with a fan.
    p.thermal = Thermal::cylinder(0.021, 0.070, 2.3e6, 1.0, 30.0);
    p
}

/// Which sensors there are, over the time in s.
#[derive(Clone, Copy)]
enum Sensors {
    Both,
    NoCoolant,
    NoSurfaceAfter(usize),
}

/// Errors in K: of the estimate, and of the surface taken for the core; the largest rise of the core above the surface;
/// share inside the band.
struct Score {
    max: f64,
    rmse: f64,
    surface_max: f64,
    inside: f64,
}

fn score(file: &CellFile, ambient_c: f64, sensors: Sensors) -> Score {
    let truth = parameters();
    let t = truth.thermal;
    let mut plant = SpmeCell::new(truth, 0.95, ambient_c).unwrap().without_ageing();
    let owned = file.core_tables().unwrap();
    let model = CellModel::new(owned.borrow()).unwrap();
    let tuning = file.cell.chemistry.tuning();
    let mut soc = SocEstimator::new(&model, &tuning, file.cell.capacity_ah as f32, 0.95).unwrap();
    let mut core = CoreEstimator::new(ThermalParameters {
        core_j_per_k: (1.1 * t.core_j_per_k) as f32,
        surface_j_per_k: (0.9 * t.surface_j_per_k) as f32,
        core_surface_k_per_w: (0.87 / t.core_surface_w_per_k) as f32,
        surface_ambient_k_per_w: (3.0 / t.surface_ambient_w_per_k) as f32,
        core_surface_std: 0.15,
        sensor_std_k: 0.3,
    })
    .unwrap();
    let [v_min, v_max] = plant.voltage_limits_v();
    let (mut max, mut squares, mut surface_max, mut inside, mut scored) =
        (0.0f64, 0.0, 0.0f64, 0usize, 0usize);
    for second in 0..3600 {
        // Hard accelerations with some braking: 1.3C on average.
        let wanted = [3.0, 3.0, -1.0, 2.0, 0.0, 4.0, 0.0, -1.0][second / 15 % 8] * 5.0;
        let room = if wanted > 0.0 { plant.voltage_v() - v_min } else { v_max - plant.voltage_v() };
        if plant.soc() < 0.1 {
            break;
        }
        let current = wanted * (room / 0.2).clamp(0.0, 1.0);
        plant.set_current(current).unwrap();
        plant.advance(1.0).unwrap();
        let surface = plant.surface_temperature_c();
        let sample = Measurement::new(plant.voltage_v() as f32, current as f32, surface as f32)
            .with_mean_current(current as f32);
        soc.step(&sample, if second == 0 { 0.0 } else { 1.0 });
        let heat_w = loss_w(&model, &soc.operating_point());
        let read = |x: f64| Reading::within(x as f32, -60.0, 120.0);
        let surface_reading = match sensors {
            Sensors::NoSurfaceAfter(end) if second >= end => Reading::MISSING,
            _ => read(surface + OFFSETS_K[0]),
        };
        let coolant = match sensors {
            Sensors::NoCoolant => Reading::MISSING,
            _ => read(ambient_c + OFFSETS_K[1]),
        };
        let out = core.step(surface_reading, coolant, heat_w, 1.0);
        assert_eq!(out.ambient_lost, matches!(sensors, Sensors::NoCoolant));
        if second >= 60 {
            let off = f64::from(out.core_c.value) - plant.core_temperature_c();
            max = max.max(off.abs());
            squares += off * off;
            surface_max = surface_max.max((surface - plant.core_temperature_c()).abs());
            inside += usize::from(off.abs() <= 3.0 * f64::from(out.core_c.std));
            scored += 1;
        }
    }
    assert!(scored > 1000, "{scored} s");
    Score { max, rmse: (squares / scored as f64).sqrt(), surface_max, inside: inside as f64 / scored as f64 }
}

#[test]
fn the_core_is_known_within_a_kelvin_or_so() {
    let file = known();
    let cases = [
        ("both sensors", Sensors::Both, [0.6, 1.0]),
        // At -20 degC, 10 K outside the tables, the heat is taken for half as much again, and nothing tells.
        ("no coolant", Sensors::NoCoolant, [1.5, 4.0]),
        // 40 minutes of a model alone: the band is what counts.
        ("no surface after 20 min", Sensors::NoSurfaceAfter(1200), [3.0, 12.0]),
    ];
    for (name, sensors, bounds_k) in cases {
        for (ambient_c, bound_k) in [25.0, -20.0].into_iter().zip(bounds_k) {
            let s = score(&file, ambient_c, sensors);
            println!(
                "{ambient_c} degC, {name}: max {:.2} K, rmse {:.2} K (surface as core: max {:.2} K), inside the band {:.4}",
                s.max, s.rmse, s.surface_max, s.inside
            );
            assert!(s.max < bound_k, "{ambient_c} degC, {name}: {} K", s.max);
            if matches!(sensors, Sensors::Both) {
                assert!(s.max < 0.3 * s.surface_max, "the surface does nearly as well");
            }
            assert!(s.inside > 0.99, "{}", s.inside);
        }
    }
}
