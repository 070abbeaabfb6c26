use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::pack_file::PackFile;

const HEAD: &str =
    "format_version = 1\ntitle = \"t\"\npack = \"pack.toml\"\nambient_c = 20.0\nstart = { soc = 0.5 }\n";
const PARK: &str = "[[phase]]\nkind = \"park\"\nduration = \"1h\"\n";

fn facts() -> PackFacts {
    PackFacts {
        series: 96,
        parallel: 2,
        capacity_ah: 100.0,
        energy_wh: 36_000.0,
        cell_limits_v: [2.5, 4.2],
        cells_kg: 160.0,
        heat_capacity_j_per_k: 1.6e5,
        temperature_sensors: 12,
        channels: 6,
        modules: 8,
    }
}

fn parsed(body: &str) -> Scenario {
    Scenario::parse(&format!("{HEAD}{body}")).unwrap()
}

fn refused(body: &str) -> String {
    Scenario::parse(&format!("{HEAD}{body}")).unwrap_err().to_string()
}

fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

#[test]
fn every_ready_scenario_fits_its_pack_and_is_written_as_it_is_read() {
    let files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    assert!(files.len() >= 13, "{}", files.len());
    let mut known = std::collections::BTreeMap::new();
    for path in files {
        let scenario = Scenario::load(&path).unwrap_or_else(|e| panic!("{e}"));
        let facts = known
            .entry(scenario.pack.clone())
            .or_insert_with_key(|pack| PackFacts::of(&PackFile::load(pack).unwrap()).unwrap());
        scenario.check_against(facts).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let again = Scenario::parse(&toml::to_string(&scenario).unwrap()).unwrap();
        assert_eq!(scenario, again, "{}", path.display());
    }
    assert_eq!(known.len(), 7, "every pack has a scenario");
}

#[test]
fn facts_are_those_of_the_pack_file() {
    let pack = PackFile::load(&folder().join("../packs/car_nmc_96s1p.toml")).unwrap();
    let facts = PackFacts::of(&pack).unwrap();
    assert_eq!((facts.series, facts.parallel, facts.channels, facts.modules), (96, 1, 12, 12));
    // 30 cells of 5 Ah; 52 kWh at about 3.65 V.
    assert!((facts.capacity_ah - 150.0).abs() < 1e-9, "{facts:?}");
    assert!((52_000.0..55_000.0).contains(&facts.energy_wh), "{facts:?}");
    assert!((facts.heat_capacity_j_per_k - 192_000.0).abs() < 1e-6, "{facts:?}");
}

#[test]
fn a_file_without_its_pack_and_one_that_is_not_there_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    says(&Scenario::load(&path).unwrap_err().to_string(), &["cannot read", "s.toml"]);
    std::fs::write(&path, format!("{HEAD}{PARK}")).unwrap();
    says(&Scenario::load(&path).unwrap_err().to_string(), &["s.toml", "pack.toml", "is not there"]);
    std::fs::write(dir.path().join("pack.toml"), "").unwrap();
    assert_eq!(Scenario::load(&path).unwrap().pack, dir.path().join("pack.toml"));
    std::fs::write(&path, format!("{HEAD}{PARK}[start2]\n")).unwrap();
    says(&Scenario::load(&path).unwrap_err().to_string(), &["s.toml", "unknown field `start2`"]);
    std::fs::write(&path, format!("{HEAD}[[phase]]\nkind = \"drive\"\ncycle = \"US06\"\nuntil_soc = 20.0\n"))
        .unwrap();
    says(&Scenario::load(&path).unwrap_err().to_string(), &["s.toml, phase 1 (drive)", "0.8 for 80 %"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    says(&refused(""), &["no [[phase]]"]);
    says(&refused("[[phase]]\nkind = \"fly\"\n"), &["line 6", "unknown variant `fly`", "`drive`"]);
    says(&refused("[[phase]]\nkind = \"park\"\nduration = \"-1h\"\n"), &["line 6", "cannot be negative"]);
    says(&refused("[[phase]]\nkind = \"park\"\nduration = \"60\"\n"), &["with its unit", "20min"]);
    says(&refused("[[phase]]\nkind = \"park\"\nduration = \"0s\"\n"), &["phase 1 (park)", "duration is 0"]);
    says(
        &refused("[[phase]]\nkind = \"park\"\nduration = \"1h\"\nspeed_kmh = 3\n"),
        &["unknown field `speed_kmh`"],
    );
    says(&refused(&format!("{PARK}plugged = true\n")), &["phase 1 (park)", "needs awake"]);
    says(&refused(&format!("{PARK}ambient_c = 200\n")), &["phase 1 (park)", "ambient_c = 200"]);
    says(&refused(&format!("{PARK}ambient_c = \"warm\"\n")), &["a temperature in degC or [first, last]"]);
    let constant = "[[phase]]\nkind = \"constant\"\n";
    says(&refused(&format!("{constant}duration = \"1h\"\n")), &["exactly one of", "(0 are given)"]);
    says(&refused(&format!("{constant}c_rate = 1\npower_w = 5\n")), &["exactly one of", "(2 are given)"]);
    says(&refused(&format!("{constant}c_rate = 1\n")), &["nothing ends it"]);
    says(&refused(&format!("{constant}c_rate = nan\nduration = \"1s\"\n")), &["c_rate = NaN", "finite"]);
    says(
        &refused("[[phase]]\nkind = \"motorway\"\nspeed_kmh = 500\nduration = \"1h\"\n"),
        &["phase 1 (motorway)", "at most 200"],
    );
    says(
        &refused("[[phase]]\nkind = \"charge\"\nmode = \"fast\"\nambient_c = [0.0, 5.0]\n"),
        &["phase 1 (charge)", "needs a duration"],
    );
    says(&refused(&format!("{PARK}[control.parts]\nballancing = false\n")), &["unknown field `ballancing`"]);
    says(&refused(&format!("{PARK}[expect]\nmax_delta_t_k = -2.0\n")), &["[expect]", "max_delta_t_k = -2"]);
    says(&refused(&format!("{PARK}[sensors]\ncorner = \"bad\"\n")), &["unknown variant `bad`", "good"]);
    says(
        &refused(&format!(
            "{PARK}[[fault]]\nat = \"1s\"\nkind = \"blocked_channel\"\nchannel = 1\nshare = 2.0\n"
        )),
        &["fault 1 (blocked_channel)", "share = 2"],
    );
    says(
        &refused(&format!("{PARK}[[fault]]\nat = \"1s\"\nkind = \"pump_off\"\nchannel = 1\n")),
        &["unknown field `channel`"],
    );
    let older = format!("{HEAD}{PARK}").replace("format_version = 1", "format_version = 7");
    says(&Scenario::parse(&older).unwrap_err().to_string(), &["format_version = 7", "reads version 1"]);
    let wrong = format!("{HEAD}{PARK}").replace("soc = 0.5", "soc = 50");
    says(&Scenario::parse(&wrong).unwrap_err().to_string(), &["[start]", "soc = 50", "0 to 1"]);
}

#[test]
fn a_fault_on_what_is_not_there_is_refused() {
    let fault = |body: &str| {
        let scenario = parsed(&format!("{PARK}[[fault]]\nat = \"10min\"\n{body}"));
        scenario.check_against(&facts()).map_err(|e| e.to_string())
    };
    let refused = |body: &str| fault(body).unwrap_err();
    // A leak is one of all cells, a voltage one of the groups in series.
    assert_eq!(fault("kind = \"leak\"\ncell = 191\ncurrent_a = 0.1"), Ok(()));
    says(
        &refused("kind = \"leak\"\ncell = 192\ncurrent_a = 0.1"),
        &["fault 1 (leak)", "cell = 192", "0 to 191"],
    );
    says(&refused("kind = \"voltage_lost\"\ncell = 96"), &["fault 1 (voltage_lost)", "0 to 95"]);
    says(&refused("kind = \"temperature_lost\"\nsensor = 12"), &["0 to 11"]);
    says(&refused("kind = \"blocked_channel\"\nchannel = 6\nshare = 0.5"), &["0 to 5"]);
    says(&refused("kind = \"film_off\"\nmodule = 8"), &["0 to 7"]);
    assert_eq!(fault("kind = \"heater_off\""), Ok(()));
    says(&refused("kind = \"bleed_stuck\"\ncell = 96"), &["fault 1 (bleed_stuck)", "0 to 95"]);
    says(&refused("kind = \"internal_short\"\ncell = 192\nohm = 0.01"), &["0 to 191"]);
    let swapped = "kind = \"cell_voltage\"\ncell = 3\nerror = { swapped_with = 96 }";
    says(&refused(swapped), &["fault 1 (cell_voltage)", "error.swapped_with = 96", "0 to 95"]);
    let none = PackFacts { modules: 0, ..facts() };
    let scenario = parsed(&format!("{PARK}[[fault]]\nat = \"1s\"\nkind = \"film_off\"\nmodule = 0"));
    says(&scenario.check_against(&none).unwrap_err().to_string(), &["the pack has none"]);
    let beyond = parsed("[[phase]]\nkind = \"constant\"\nc_rate = -1\nuntil_cell_v = 5.0\n");
    says(&beyond.check_against(&facts()).unwrap_err().to_string(), &["phase 1 (constant)", "2.5 and 4.2 V"]);
}

#[test]
fn errors_of_readings_and_messages_are_read_by_their_names() {
    let what = |body: &str| parsed(&format!("{PARK}[[fault]]\nat = \"1s\"\n{body}")).faults[0].what;
    let drift = what("kind = \"cell_voltage\"\ncell = 3\nerror = { drift = 0.01 }");
    assert_eq!(drift, FaultKind::CellVoltage { cell: 3, error: SignalError::Drift(0.01) });
    let stuck = what("kind = \"current\"\nsensor = \"second\"\nerror = \"stuck\"");
    assert_eq!(stuck, FaultKind::Current { sensor: CurrentSensor::Second, error: SignalError::Stuck });
    let late = what("kind = \"message\"\nfrom = \"front_end\"\nerror = { one_in = 5 }");
    assert_eq!(late, FaultKind::Message { from: Partner::FrontEnd, error: MessageError::OneIn(5) });
    assert_eq!(late.kind(), "message");
    let refused = |body: &str| {
        let text = format!("{HEAD}{PARK}[[fault]]\nat = \"1s\"\n{body}");
        Scenario::parse(&text).unwrap_err().to_string()
    };
    says(&refused("kind = \"external_short\"\nohm = 0.0"), &["fault 1 (external_short)", "above 0"]);
    says(&refused("kind = \"pack_voltage\"\nerror = \"reversed\""), &["only a cell voltage"]);
    says(&refused("kind = \"pack_voltage\"\nerror = { swapped_with = 1 }"), &["none to be swapped with"]);
}

/// Every moment of a scenario while a pack looks the same all the time.
fn moments(scenario: &Scenario, seen: &Observed, dt_s: f64) -> (Vec<Moment>, Vec<End>) {
    let mut timeline = Timeline::new(scenario, &facts());
    let mut moments = Vec::new();
    while let Some(moment) = timeline.moment(seen) {
        timeline.advance(dt_s.min(moment.left_s));
        moments.push(moment);
    }
    (moments, timeline.ends().to_vec())
}

const HALF: Observed = Observed {
    soc: 0.5,
    min_cell_v: 3.6,
    max_cell_v: 3.7,
    coldest_c: 10.0,
    charged: false,
    balanced: false,
    empty: false,
};

#[test]
fn a_drive_is_the_cars_power_scaled_by_the_energy_of_the_pack() {
    let scenario = parsed("[[phase]]\nkind = \"drive\"\ncycle = \"CLTC-P\"\nrepeat = 2\n");
    let (moments, ends) = moments(&scenario, &HALF, 1.0);
    assert_eq!((moments.len(), ends), (3600, vec![End::Time]));
    let speeds = crate::profiles::speed::Cycle::CltcP.speeds_m_per_s();
    let car = crate::vehicle::Vehicle::MIDSIZE.powers_w(&speeds, 20.0);
    for (k, moment) in moments.iter().enumerate() {
        let Demand::Drive { power_w } = moment.demand else { panic!("{moment:?}") };
        // 36 of 60 kWh.
        assert!((power_w - 0.6 * car[k % 1800]).abs() < 1e-9, "{k}");
    }
}

#[test]
fn phases_end_by_what_comes_first() {
    let end = |body: &str, seen: Observed| moments(&parsed(&format!("[[phase]]\n{body}")), &seen, 60.0).1[0];
    let drive = "kind = \"drive\"\ncycle = \"WLTC3\"\n";
    assert_eq!(end(drive, HALF), End::Time);
    assert_eq!(end(&format!("{drive}until_soc = 0.6"), HALF), End::Soc);
    assert_eq!(end(&format!("{drive}until_soc = 0.1"), Observed { empty: true, ..HALF }), End::Empty);
    assert_eq!(end(&format!("{drive}until_soc = 0.1"), HALF), End::GivenUp);
    let out = "kind = \"constant\"\nc_rate = 1.0\n";
    assert_eq!(end(&format!("{out}until_cell_v = 3.6"), HALF), End::Voltage);
    assert_eq!(end(&format!("{out}until_cell_v = 3.5\nduration = \"1h\""), HALF), End::Time);
    let back = "kind = \"constant\"\npower_w = -100.0\n";
    assert_eq!(end(&format!("{back}until_cell_v = 3.7"), HALF), End::Voltage);
    assert_eq!(end(&format!("{back}until_soc = 0.4"), HALF), End::Soc);
    let charge = "kind = \"charge\"\nmode = \"fast\"\n";
    assert_eq!(end(charge, Observed { charged: true, ..HALF }), End::Charged);
    assert_eq!(end(&format!("{charge}until_soc = 0.5"), HALF), End::Soc);
    let preheat = "kind = \"preheat\"\ntime_available = \"20min\"\nplugged = false\n";
    assert_eq!(end(&format!("{preheat}target_c = 10.0"), HALF), End::Warm);
    assert_eq!(end(&format!("{preheat}target_c = 11.0"), HALF), End::Time);
    assert_eq!(end("kind = \"balance\"", Observed { balanced: true, ..HALF }), End::Balanced);
}

proptest! {
    /// However the pack looks and however long the steps are, the ready scenarios come to an end, and so does every phase.
    #[test]
    fn every_walk_ends(soc in 0.0..1.0f64, coldest_c in -30.0..50.0f64, bits in 0u8..8, dt_s in 100.0..4000.0f64) {
        let seen = Observed {
            soc,
            coldest_c,
            charged: bits & 1 > 0,
            balanced: bits & 2 > 0,
            empty: bits & 4 > 0,
            ..HALF
        };
        for text in [include_str!("../../../scenarios/week_mixed.toml"), include_str!("../../../scenarios/winter_morning.toml")] {
            let scenario = Scenario::parse(text).unwrap();
            let mut timeline = Timeline::new(&scenario, &facts());
            let mut done = 0.0;
            while let Some(moment) = timeline.moment(&seen) {
                prop_assert!(moment.left_s > 0.0 && moment.ambient_c.is_finite());
                prop_assert!(timeline.share_done() >= done);
                done = timeline.share_done();
                timeline.advance(dt_s.min(moment.left_s));
            }
            prop_assert_eq!(timeline.ends().len(), scenario.phases.len());
            prop_assert_eq!(timeline.share_done(), 1.0);
        }
    }
}

#[test]
fn the_second_phase_is_the_one_that_is_named() {
    let message = refused(&format!("{PARK}[[phase]]\nkind = \"charge\"\nmode = \"slow\"\n"));
    says(&message, &["line 9", "unknown variant `slow`", "`normal`"]);
}

#[test]
fn surroundings_change_along_a_phase_and_the_charger_has_its_limits() {
    let scenario = parsed(
        "[[phase]]\nkind = \"park\"\nduration = \"2h\"\nambient_c = [10.0, 0.0]\n\
         [[phase]]\nkind = \"charge\"\nmode = \"normal\"\ncharger_kw = 7.0\ncharger_c_rate = 0.5\nduration = \"1h\"\n",
    );
    let (moments, _) = moments(&scenario, &HALF, 3600.0);
    let ambient: Vec<f64> = moments.iter().map(|m| m.ambient_c).collect();
    assert_eq!(ambient, [10.0, 5.0, 20.0]);
    let Demand::Charge(request) = moments[2].demand else { panic!("{moments:?}") };
    assert_eq!((request.charger_a, request.charger_w, request.plugged), (50.0, 7000.0, true));
    assert_eq!(scenario.start_temperature_c(), 10.0);
}
