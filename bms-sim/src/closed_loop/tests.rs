use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bms_core::cell::{Age, CellModel};
use bms_core::safety::table::Diagnosis;

use super::*;
use crate::recording::Summary;
use crate::scenario::Trigger;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs").join(name)
}

fn car() -> PackFile {
    PackFile::load(&path("car_nmc_96s1p.toml")).unwrap()
}

/// The car's cell, tested once.
fn known() -> &'static KnownCell {
    static KNOWN: OnceLock<KnownCell> = OnceLock::new();
    KNOWN.get_or_init(|| match car().cell.plant() {
        Some(CellPlant::Physics(plant)) => KnownCell::of_plant(plant).unwrap(),
        _ => panic!("the car's cell is a physics plant"),
    })
}

fn half_full(temperature_c: f64) -> StartState {
    StartState { soc: 0.5, soc_spread: None, temperature_c }
}

fn commands(film_w: f64) -> Command {
    Command { film_w: vec![film_w; 12], balance_a: vec![0.0; 96], ..Command::default() }
}

#[test]
fn energy_closes_with_everything_on() {
    let text = std::fs::read_to_string(path("car_nmc_96s1p.toml")).unwrap();
    let text = text.replace("model = \"okane2022\"", "circuit = \"generic_nmc_5ah\"");
    let file = PackFile::parse(&text, &path("x.toml")).unwrap();
    let kind = CellKind::of(&file).unwrap();
    let mut plant = PlantPack::new(&file, &kind, &half_full(5.0), &[], 3).unwrap();
    plant.connect(true);
    plant.leak(7, 0.3);
    let stored_j = plant.pack().stored_j().unwrap();
    let mut through_j = 0.0;
    let wave = PackLoad::Pulse { amplitude_a: 250.0, mean_a: 40.0, frequency_hz: 50.0 };
    for k in 0..3000 {
        let mut command = commands(if k < 1000 { 300.0 } else { 0.0 });
        (command.flow_l_per_min, command.reverse) = (15.0, k / 40 % 2 == 1);
        (command.heater_w, command.chiller_w) = if k < 1000 { (5000.0, 0.0) } else { (0.0, 5000.0) };
        command.balance_a.iter_mut().step_by(5).for_each(|a| *a = 0.1);
        let load = match k {
            0..500 => wave,
            500..1000 => PackLoad::CurrentA(0.0),
            1000..2000 => PackLoad::PowerW(if k % 7 < 4 { 60e3 } else { -20e3 }),
            _ => PackLoad::CurrentA(-200.0),
        };
        plant.step(load, k >= 500, &command, -5.0, 1.0).unwrap();
        through_j += (plant.pack().pack_voltage_v() * plant.pack().current_a()).abs();
    }
    let electrical = *plant.pack().ledger();
    let fell_j = stored_j - plant.pack().stored_j().unwrap();
    assert!((fell_j - electrical.total_j()).abs() < 1e-3 * through_j, "{fell_j} {electrical:?} {through_j}");
    assert!(electrical.balancing_j > 0.0 && electrical.line_j > 0.0, "{electrical:?}");
    let thermal = plant.network().energy();
    assert!(thermal.imbalance_j().abs() < 1e-3 * thermal.throughput_j, "{thermal:?}");
    let heat_j = electrical.cells_j + electrical.connections_j;
    assert!((thermal.from_cells_j - heat_j).abs() < 1e-9 * thermal.throughput_j, "{heat_j} {thermal:?}");
    let took_j = plant.devices().energy_j();
    assert!((thermal.from_films_j - took_j.films).abs() < 1e-9 * thermal.throughput_j);
    assert!((thermal.from_heater_j - 0.97 * took_j.heater).abs() < 1e-9 * thermal.throughput_j);
    assert!(thermal.to_chiller_j > took_j.chiller, "{thermal:?} {took_j:?}");
}

#[test]
fn machines_take_from_a_resting_pack_what_they_are_billed() {
    let file = car();
    let mut plant = PlantPack::new(&file, &CellKind::of(&file).unwrap(), &half_full(10.0), &[], 1).unwrap();
    plant.connect(true);
    // A charge first, so that the voltage falls when it ends.
    for _ in 0..60 {
        plant.step(PackLoad::CurrentA(-250.0), false, &commands(0.0), 10.0, 1.0).unwrap();
    }
    let (before_j, used_j) = (plant.pack().ledger().terminals_j, plant.devices().energy_j().total());
    let command = Command { flow_l_per_min: 10.0, heater_w: 4000.0, ..commands(100.0) };
    for _ in 0..5 {
        plant.step(PackLoad::CurrentA(0.0), true, &command, 10.0, 10.0).unwrap();
    }
    let given_j = plant.pack().ledger().terminals_j - before_j;
    let used_j = plant.devices().energy_j().total() - used_j;
    assert!(used_j > 2e5 && (given_j - used_j).abs() < 5e-3 * used_j, "{given_j} for {used_j}");
}

#[test]
fn charge_that_flowed_is_charge_that_is_missing() {
    let file = car();
    let mut plant = PlantPack::new(&file, &CellKind::of(&file).unwrap(), &half_full(25.0), &[], 2).unwrap();
    plant.connect(true);
    let held_ah = |plant: &PlantPack| -> Vec<f64> {
        plant.group_soc().iter().zip(plant.pack().capacity_ah()).map(|(soc, ah)| soc * ah).collect()
    };
    let before_ah = held_ah(&plant);
    let mut flowed_ah = 0.0;
    for k in 0..600 {
        let load = if k % 60 < 40 { PackLoad::PowerW(80e3) } else { PackLoad::CurrentA(-100.0) };
        plant.step(load, false, &commands(0.0), 25.0, 1.0).unwrap();
        flowed_ah += plant.pack().current_a() / 3600.0;
    }
    assert!(flowed_ah > 10.0);
    for (k, (before, after)) in before_ah.iter().zip(held_ah(&plant)).enumerate() {
        let missing_ah = before - after;
        // Self-discharge and isolation take some 2 mA beside.
        assert!(
            (missing_ah - flowed_ah).abs() < 1e-4 * flowed_ah,
            "group {k}: {missing_ah} Ah for {flowed_ah}"
        );
    }
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse(&format!("format_version = 1\ntitle = 'x'\npack = 'x'\n{text}")).unwrap()
}

/// Runs a scenario on the car; gives the recording with the truth and the estimates at its start.
fn run_car(text: &str) -> (Recording, Vec<f64>, Vec<f64>) {
    let (scenario, pack) = (scenario(text), PackType::with_known(car(), known().clone()).unwrap());
    let setup = CoreSetup::new(&pack.file, &pack.known, &scenario.control, PROTECTION_MS).unwrap();
    let start = Estimated { value: scenario.start.soc as f32, std: 0.02 };
    with_core(&setup, start, |core| {
        let mut watch = |_: &Seen<'_>| ControlFlow::Continue(());
        let mut bench = Bench::new(&scenario, &pack, &setup, core, false, &mut watch)?;
        let (truth, estimate) = (bench.plant.group_soc().to_vec(), bench.core.outcome().group_soc.clone());
        Ok((bench.run(&Options::default(), &mut |_| {})?, truth, estimate))
    })
    .unwrap()
}

#[test]
fn a_rest_before_the_scenario_moves_nothing_and_tells_the_cells_apart() {
    let (_, truth, estimate) = run_car(
        "ambient_c = 25.0\nstart = { soc = 0.6, soc_spread = { linear = 0.06 } }\n\
         [[phase]]\nkind = 'balance'\nduration = '5min'",
    );
    for (k, (truth, estimate)) in truth.iter().zip(&estimate).enumerate() {
        assert!((truth - estimate).abs() < 0.01, "group {k}: {estimate} for {truth}");
    }
}

#[test]
fn pulses_are_billed_with_the_heat_that_they_make() {
    let preheat = "ambient_c = -15.0\nstart = { soc = 0.6 }\ncontrol.preheat = { film = false, coolant = false }\n\
                   [[phase]]\nkind = 'preheat'\ntarget_c = 0.0\ntime_available = '2min'";
    let [mains, own] = ["true", "false"].map(|p| run_car(&format!("{preheat}\nplugged = {p}")).0.summary);
    for bill in [mains.bill, own.bill] {
        assert!(bill.pulse_wh > 10.0, "{bill:?}");
        let share = bill.cell_heat_wh / bill.pulse_wh;
        assert!(share > 0.2 && share < 1.0, "no heat out of nothing: {bill:?}");
    }
    assert!(
        (mains.bill.mains_wh - mains.bill.pulse_wh - mains.bill.pump_wh).abs() < 1e-6 * mains.bill.pulse_wh
    );
    assert!((mains.soc_start - mains.soc_end).abs() < 1e-4, "{} {}", mains.soc_start, mains.soc_end);
    // Nothing is driven, so what the pack gave is the pulses'.
    assert!(own.bill.drive_wh.abs() < 0.05 * own.bill.pulse_wh, "{:?}", own.bill);
    let facts = PackFacts::of(&car()).unwrap();
    let took_wh = (own.soc_start - own.soc_end) * facts.energy_wh;
    assert!((took_wh / own.bill.pulse_wh - 1.0).abs() < 0.15, "{took_wh} {:?}", own.bill);
}

#[test]
fn cells_in_parallel_show_the_same_voltage_under_their_share_of_the_current() {
    let one = &known().circuit;
    let many = known().in_parallel(30.0);
    assert!((many.circuit.cell.capacity_ah - 30.0 * one.cell.capacity_ah).abs() < 1e-9);
    let [one, many] = [one.core_tables().unwrap(), many.circuit.core_tables().unwrap()];
    let [one, many] = [&one, &many].map(|tables| CellModel::new(tables.borrow()).unwrap());
    for (temperature_c, soc) in [(-15.0, 0.2), (10.0, 0.5), (25.0, 0.9)] {
        assert_eq!(one.ocv(temperature_c, soc, &Age::NEW), many.ocv(temperature_c, soc, &Age::NEW));
        let (a, b) = (one.circuit(temperature_c, soc), many.circuit(temperature_c, soc));
        for current_a in [-5.0, 0.1, 15.0] {
            let (v, scaled_v) = (a.instant_drop(current_a).0, b.instant_drop(30.0 * current_a).0);
            assert!((v - scaled_v).abs() < 1e-5 * v.abs() + 1e-7, "{v} {scaled_v}");
        }
        for (ohm, scaled) in [(a.r1_ohm, b.r1_ohm), (a.r2_ohm, b.r2_ohm)] {
            assert!((ohm - 30.0 * scaled).abs() < 1e-4 * ohm, "{ohm} {scaled}");
        }
        assert_eq!((a.tau1_s, a.tau2_s), (b.tau1_s, b.tau2_s));
    }
}

fn circuit_car() -> PackFile {
    PackFile::load(&path("car_circuit_96s1p.toml")).unwrap()
}

fn circuit_pack() -> PlantPack {
    let file = circuit_car();
    PlantPack::new(&file, &CellKind::of(&file).unwrap(), &half_full(25.0), &[], 1).unwrap()
}

/// Ohm's law inside a cell, and its heat: 10 s of V^2 / R into its heat capacity.
#[test]
fn a_short_circuit_inside_a_cell_takes_its_current_and_warms_it() {
    let mut plant = circuit_pack();
    plant.short_inside(7, 0.05);
    let (before_c, before) = (plant.network().core_c()[7], plant.group_soc()[7]);
    for _ in 0..100 {
        plant.step(PackLoad::CurrentA(0.0), false, &commands(0.0), 25.0, 0.1).unwrap();
    }
    let v = plant.pack().group_voltage_v()[7];
    let lost_ah = (before - plant.group_soc()[7]) * plant.pack().capacity_ah()[7];
    assert!((lost_ah - v / 0.05 * 10.0 / 3600.0).abs() < 0.05 * lost_ah, "{lost_ah} Ah at {v} V");
    let heat_j = v * v / 0.05 * 10.0;
    let rise_k = plant.network().core_c()[7] - before_c;
    assert!((0.7..1.2).contains(&(rise_k * 1860.0 / heat_j)), "{rise_k} K for {heat_j} J");
    assert!((plant.network().core_c()[9] - before_c).abs() < 1.0);
}

#[test]
fn a_nail_takes_one_cell_and_its_voltage() {
    let mut plant = circuit_pack();
    plant.run_away(40, Trigger::Nail).unwrap();
    let whole_v = plant.pack().pack_voltage_v();
    for _ in 0..300 {
        plant.step(PackLoad::CurrentA(0.0), false, &commands(0.0), 25.0, 0.1).unwrap();
    }
    assert!(plant.network().core_c()[40] > 300.0 && plant.cells_lost() == 1);
    let v = plant.pack().group_voltage_v();
    assert!(v[40].abs() < 0.01 && v[41] > 3.5, "{} {}", v[40], v[41]);
    assert!((whole_v - plant.pack().pack_voltage_v() - 3.65).abs() < 0.2);
}

/// Beyond full and empty the circuit's table says nothing: the voltage goes on all the same.
#[test]
fn overcharge_and_over_discharge_show_in_the_voltage() {
    let file = circuit_car();
    for (soc, current_a, beyond) in [(0.99, -150.0, 4.3), (0.02, 150.0, 2.0)] {
        let start = StartState { soc, soc_spread: None, temperature_c: 25.0 };
        let mut plant = PlantPack::new(&file, &CellKind::of(&file).unwrap(), &start, &[], 1).unwrap();
        plant.connect(true);
        for _ in 0..300 {
            plant.step(PackLoad::CurrentA(current_a), false, &commands(0.0), 25.0, 1.0).unwrap();
        }
        let v = plant.pack().group_voltage_v();
        assert!(v.iter().any(|v| (*v > beyond) == (current_a < 0.0)), "{v:?}");
    }
}

/// The core's command opens the contactors: what flows ends, and the diagnosis is in the figures.
#[test]
fn an_open_interlock_ends_the_drive() {
    let scenario = scenario(
        "ambient_c = 25.0\nstart = { soc = 0.6 }\nsensors = { corner = 'limit' }\n\
         [[fault]]\nat = '20s'\nkind = 'interlock_open'\n[[phase]]\nkind = 'drive'\ncycle = 'US06'\nduration = '40s'",
    );
    let pack = PackType::new(circuit_car()).unwrap();
    let recording = run(&scenario, &pack, &Options::default(), &mut |_| ()).unwrap();
    let of = |from: f64, to: f64| recording.rows.iter().filter(move |r| (from..to).contains(&r.time_s));
    assert!(of(5.0, 20.0).any(|r| r.values.current_a > 50.0 && r.values.contactors == 3.0));
    assert!(of(21.0, 40.0).all(|r| r.values.current_a == 0.0 && r.values.contactors == 0.0));
    let found = &recording.summary.diagnoses;
    assert!(found.iter().any(|d| d.id == Diagnosis::InterlockOpen && d.reacted_s.is_some()), "{found:?}");
}

/// Runs a scenario on the car, its pack file changed.
fn run_changed(change: impl Fn(&mut PackFile), text: &str) -> Summary {
    let mut file = car();
    change(&mut file);
    let pack = PackType::with_known(file, known().clone()).unwrap();
    run(&scenario(text), &pack, &Options::default(), &mut |_| ()).unwrap().summary
}

#[test]
fn sensors_that_a_pack_has_not_are_missed() {
    let uneven = "ambient_c = 25.0\nstart = { soc = 0.6, soc_spread = { linear = 0.06 } }\n\
                  [[phase]]\nkind = 'park'\nduration = '1h'\nawake = true\n\
                  [[phase]]\nkind = 'balance'\nduration = '1h'";
    // Nobody bleeds over a board whose heat nobody sees.
    assert_eq!(run_changed(|f| f.sensors.board = false, uneven).bill.balancing_wh, 0.0);
    assert!(run_changed(|_| (), uneven).bill.balancing_wh > 1.0);
    // Without the coolant's sensors the pack is cooled less well, but it is cooled.
    let drive = "ambient_c = 40.0\nstart = { soc = 0.9 }\n[[phase]]\nkind = 'constant'\nc_rate = 1.0\nduration = '15min'";
    let [blind, seeing] = [false, true].map(|there| run_changed(|f| f.sensors.coolant = there, drive));
    assert!(blind.bill.chiller_wh > 0.0 && seeing.bill.chiller_wh > 0.0, "{blind:?}");
    assert_ne!(blind.delta_t_max_k, seeing.delta_t_max_k);
}

#[test]
fn the_soc_window_of_a_pack_ends_charge_and_discharge() {
    let window = |f: &mut PackFile| f.limits.soc = [0.3, 0.8];
    let charge = "ambient_c = 25.0\nstart = { soc = 0.77 }\n[[phase]]\nkind = 'charge'\nmode = 'normal'\nduration = '1h'";
    let full = run_changed(window, charge);
    assert!((full.soc_end - 0.8).abs() < 0.02 && full.duration_s < 3000.0, "{full:?}");
    let drive = "ambient_c = 25.0\nstart = { soc = 0.4 }\n[[phase]]\nkind = 'constant'\npower_w = 60e3\nduration = '15min'";
    let low = run_changed(window, drive);
    assert!((0.3..0.38).contains(&low.soc_end), "{low:?}");
    assert!(run_changed(|_| (), drive).soc_end < 0.2);
}

/// A pack that is plugged in though it is full is charged at once; it used to stay plugged in for a week.
#[test]
fn a_charge_of_a_full_pack_ends_at_once() {
    let charge = "[[phase]]\nkind = 'charge'\nmode = 'normal'\n";
    let park = "[[phase]]\nkind = 'park'\nduration = '2h'\n";
    let summary = run_changed(
        |_| (),
        &format!("ambient_c = 25.0\nstart = {{ soc = 0.97 }}\n{charge}{park}{charge}{park}"),
    );
    let lasts: Vec<f64> = summary.phases.iter().map(|p| p.duration_s).collect();
    assert!(lasts[0] > 300.0 && lasts[2] < 60.0, "{lasts:?}");
}

#[test]
fn every_preheat_has_its_own_target() {
    let text = "ambient_c = -10.0\nstart = { soc = 0.6 }\n\
                [[phase]]\nkind = 'preheat'\ntarget_c = -5.0\ntime_available = '20min'\nhurry = true\nplugged = true\n\
                [[phase]]\nkind = 'preheat'\ntarget_c = 5.0\ntime_available = '20min'\nhurry = true\nplugged = true";
    let summary = run_changed(|_| (), text);
    let ends: Vec<f64> = summary.phases.iter().map(|p| p.core_end_c).collect();
    assert!((-5.0..-2.0).contains(&ends[0]) && (5.0..8.0).contains(&ends[1]), "{ends:?}");
    assert!(summary.phases.iter().all(|p| p.duration_s < 1000.0), "both arrive: {summary:?}");
}
