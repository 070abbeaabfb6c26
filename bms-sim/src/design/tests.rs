use std::path::Path;

use super::life::Bench;
use super::*;

struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: usize) {}
    fn advance(&self, _: usize) {}
}

fn pack(name: &str) -> PackFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs");
    PackFile::load(&folder.join(format!("{name}.toml"))).unwrap()
}

const FEW: Settings = Settings { temperature_c: 25.0, usage: Usage::STANDARD, most_cycles: 2.0 };

#[test]
fn the_ledger_adds_up_by_hand() {
    let car = pack("car_nmc_96s1p");
    let d = design(&car, &FEW, &Silent).unwrap();
    let l = &d.ledger;
    // 96 cells of 2.07 kg, then the file's masses.
    let by_hand = 96.0 * 2.07 + 30.0 + 15.5 + 4.3 + 3.2 + 5.5 + 5.0 + 1.0;
    assert!((l.system_kg - by_hand).abs() < 1e-9, "{}", l.system_kg);
    // 50 A for three hours and a little through the path.
    let path_wh = 50.0 * 50.0 * car.path_ohm() * l.cell_ah / 50.0;
    assert!((l.path_wh - path_wh).abs() < 1e-9 && (l.pack_wh - 96.0 * l.cell_wh + path_wh).abs() < 1e-6);
    assert!((l.system_wh_per_kg - l.pack_wh / by_hand).abs() < 1e-9);
    // A 5 Ah cell gives some 17.5..18.5 Wh at C/3; thirty of them make this one.
    assert!((17.3..18.6).contains(&(l.cell_wh / 30.0)) && (4.75..5.1).contains(&(l.cell_ah / 30.0)), "{l:?}");
    assert!((l.voltage_v[0] - 240.0).abs() < 1e-9 && (l.voltage_v[2] - 403.2).abs() < 1e-9);
    // The weakest of 96: 2.5 standard deviations below the mean.
    assert!((l.weakest - (1.0 - 0.015 * 2.495)).abs() < 1e-4, "{}", l.weakest);
    let warm = l.powers.last().unwrap();
    assert!(warm.discharge_w > 100e3 && l.powers[0].discharge_w < warm.discharge_w, "{:?}", l.powers);
    assert!(d.life.is_some_and(|life| !life.ended && life.points.len() == 3));
    assert_eq!(d.verdicts[1].met, None);
}

/// Tabulated: H. L. Harter, "Expected values of normal order statistics", Biometrika 48 (1961) 151.
#[test]
fn expected_largest_of_normal_numbers() {
    for (n, expected) in [(1, 0.0), (2, 0.56419), (10, 1.53875), (100, 2.50759)] {
        let found = ledger::expected_largest(n);
        assert!((found - expected).abs() < 1e-4, "{n}: {found}");
    }
}

#[test]
fn every_ready_pack_has_a_plausible_ledger() {
    let bands = [
        ("car_nmc_96s1p", (45e3, 56e3), (170.0, 215.0), 380.0),
        ("car_lfp_108s1p", (50e3, 64e3), (115.0, 150.0), 380.0),
        ("storage_lfp_16s", (12.5e3, 15e3), (100.0, 135.0), 60.0),
        ("supercap_string", (30.0, 60.0), (2.0, 5.0), 60.0),
    ];
    for (name, (low_wh, high_wh), (low, high), most_v) in bands {
        let p = pack(name);
        let parameters = p.cell_parameters().unwrap();
        let l = ledger::ledger(&p, &parameters).unwrap();
        assert!((low_wh..high_wh).contains(&l.pack_wh), "{name}: {} Wh", l.pack_wh);
        assert!((low..high).contains(&l.system_wh_per_kg), "{name}: {} Wh/kg", l.system_wh_per_kg);
        assert!(l.usable_wh < l.pack_wh && l.cells_share > 0.5 && l.voltage_v[1] < most_v, "{name}: {l:?}");
    }
}

/// Simulated with ageing forty times as fast, as the table in the documentation of the plant's ageing was, which says
/// 1182 cycles in that table's slightly different cycle; a cooled cell of any size ages as the small one.
#[test]
fn a_life_comes_near_the_plants_own_table() {
    let car = pack("car_nmc_96s1p");
    let Some(CellParameters::Physics(p)) = car.cell_parameters() else { panic!("no physics plant") };
    let settings = Settings { most_cycles: 4000.0, ..FEW };
    let life = Bench::new(&car, &p, &settings).unwrap().live(40.0, |_| ()).unwrap();
    assert!(life.ended && (1000.0..1300.0).contains(&life.cycles), "{}", life.cycles);
    assert!(life.lithium_lost > 0.03 && life.lowest_anode_v > 0.0, "{life:?}");
    assert!(life.points.windows(2).all(|w| w[1].soh < w[0].soh && w[1].cycles > w[0].cycles));
}

#[test]
fn a_small_pack_drives_no_car() {
    let store = pack("storage_lfp_16s");
    let refused = design(&store, &Settings { usage: Usage::Drive, ..FEW }, &Silent).unwrap_err();
    assert!(refused.to_string().contains("no pack for this car"), "{refused}");
}

#[test]
fn plants_without_ageing_have_no_life() {
    let d = design(&pack("supercap_string"), &FEW, &Silent).unwrap();
    assert!(d.life.is_none() && d.verdicts[1].words().contains("not predicted"));
    assert!(!d.meets_all(), "a supercapacitor has no 200 Wh/kg");
    assert!(d.sensitivities.iter().all(|s| s.cycles.is_none()));
}

#[test]
fn verdicts_say_by_how_much() {
    let of = |value, at_least| Verdict::of("x", "cycles", 1200.0, Some(value), at_least);
    assert_eq!(of(1320.0, false).words(), "met: 10.0 % above the target");
    assert_eq!(of(1080.0, false).words(), "missed: 10.0 % below the target");
    assert_eq!(of(1300.0, true).met, Some(true));
    assert_eq!(of(100.0, true).met, None);
}

#[test]
fn the_standard_cycle_keeps_the_packs_limits() {
    assert_eq!(Usage::standard(&pack("car_nmc_96s1p")), Usage::STANDARD);
    let Usage::Cycles { charge_c, discharge_c, .. } = Usage::standard(&pack("storage_lfp_16s")) else {
        panic!("cycles")
    };
    // 200 A of 280 Ah.
    assert!((discharge_c - 200.0 / 280.0).abs() < 1e-12 && charge_c == 1.0 / 3.0, "{charge_c} {discharge_c}");
}
