use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs")
}

const READY: [&str; 7] = [
    "car_nmc_96s1p",
    "car_lfp_108s1p",
    "car_circuit_96s1p",
    "car_circuit_96s4p",
    "storage_lfp_16s",
    "storage_nmc_16s_active",
    "supercap_string",
];

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap()
}

#[test]
fn ready_packs_are_valid_and_survive_writing() {
    for name in READY {
        let pack = PackFile::load(&folder().join(format!("{name}.toml"))).unwrap();
        assert!(pack.cell_parameters().is_some(), "{name}");
        let again = PackFile::parse(&toml::to_string(&pack).unwrap(), &pack.folder.join("x.toml")).unwrap();
        assert_eq!(pack, again);
    }
}

/// A ready pack with one piece of its text replaced, and what the program says to it.
fn message(pack: &str, from: &str, to: &str) -> String {
    let whole = text(pack);
    assert_eq!(whole.matches(from).count(), 1, "`{from}` stands once in {pack}");
    PackFile::parse(&whole.replace(from, to), Path::new("x.toml")).unwrap_err().to_string()
}

#[test]
fn broken_packs_are_refused_in_the_users_terms() {
    let car = "car_nmc_96s1p";
    let cases = [
        (car, "size = 30.0", "size = 30.0\ncolour = 1", "unknown field `colour`"),
        (car, "format_version = 1", "format_version = 2", "format 2, this program reads 1"),
        (car, "format_version = 1", "", "`format_version` is missing"),
        (car, "series = 96", "series = 0", "x.toml: layout.series: 0 is not in 1..=1000"),
        (car, "modules = 12 ", "modules = 7 ", "layout.modules: 7 modules cannot share 96 groups"),
        (
            car,
            "model = \"okane2022\"",
            "model = \"okane\"",
            "cell.model: `okane` is not known; there are kim2011",
        ),
        (car, "model = \"okane2022\"", "", "cell: just one of `model`, `circuit` and `supercap`"),
        (car, "size = 30.0", "circuit = \"generic_nmc_5ah\"\nsize = 30.0", "not 2 of them"),
        (
            car,
            "mass_kg = 2.07",
            "nominal_ah = 0.0\nmass_kg = 2.07",
            "cell.nominal_ah: 0 is no number above 0",
        ),
        (car, "mass_kg = 2.07", "mass_kg = -2.07", "cell.mass_kg: -2.07 is no number above 0"),
        (car, "housing_kg = 30.0", "housing_kg = nan", "mass.housing_kg: NaN is no number from 0 up"),
        (car, "tab_ohm = 3e-5", "tab_ohm = inf", "electrical.tab_ohm: inf"),
        (car, "temperature_every = 4 ", "temperature_cells = [0, 96] ", "cell 96 is not there; the last"),
        (car, "temperature_every = 4 ", "temperature_cells = [3, 3] ", "cell 3 comes after cell 3"),
        (car, "temperature_every = 4 ", "", "no temperature sensor"),
        (car, "temperature_every = 4 ", "temperature_every = 97 ", "97 is not in 1..=96"),
        (car, "cells_per_segment = 1 ", "cells_per_segment = 5 ", "96 cells do not make whole segments of 5"),
        (car, "channels = 12 ", "channels = 7 ", "7 channels cannot share 96 segments"),
        (car, "\"parallel\"", "\"series\"", "12 channels in series are one channel"),
        (car, "\"parallel\"", "\"spiral\"", "unknown variant `spiral`"),
        (car, "channels = 12 ", "shares = [0.5, 0.5]\nchannels = 12 ", "2 shares for 12 channels"),
        (car, "flow_exponent = 0.33 ", "flow_exponent = 1.5 ", "flow_exponent: 1.5 is not in 0..=1"),
        (car, "pulse_charge_a = 375.0", "pulse_charge_a = 100.0", "100 A is less than the 300 A without end"),
        (car, "voltage_v = [2.5, 4.2]", "voltage_v = [4.2, 2.5]", "limits.voltage_v: [4.2, 2.5]"),
        (car, "voltage_v = [2.5, 4.2]", "voltage_v = [2.5, 4.2]\nsoc = [0.0, 1.1]", "limits.soc: [0, 1.1]"),
        (car, "[balancing.passive]", "[balancing.resistors]", "unknown variant `resistors`"),
        (car, "capacity_std = 0.015", "capacity_std = 15.0", "spread.capacity_std: 15 is not in 0..=0.3"),
        ("storage_lfp_16s", "board = true", "board = true\ncoolant = true", "there is no coolant to measure"),
        ("storage_lfp_16s", "efficiency = 0.88", "efficiency = 1.2", "efficiency: 1.2 is not above 0"),
        (
            "supercap_string",
            "farad = 1e-3",
            "farad = 0.0",
            "switched_capacitors.farad: 0 is no number above 0",
        ),
    ];
    for (pack, from, to, expected) in cases {
        let said = message(pack, from, to);
        assert!(said.contains(expected), "`{to}`: {said}");
    }
    let missing = PackFile::load(Path::new("no/such/pack.toml")).unwrap_err().to_string();
    assert!(missing.contains("no/such/pack.toml"), "{missing}");
}

#[test]
fn shares_must_sum_to_one() {
    let twelve = |first: f64| format!("shares = [{first}{}]\nchannels = 12 ", ", 0.08".repeat(11));
    let said = message("car_nmc_96s1p", "channels = 12 ", &twelve(0.2));
    assert!(said.contains("their sum is 1.0"), "{said}");
    let good = text("car_nmc_96s1p").replace("channels = 12 ", &twelve(0.12));
    PackFile::parse(&good, Path::new("x.toml")).unwrap();
}

#[test]
fn sensors_stand_where_the_file_says() {
    let car = PackFile::load(&folder().join("car_nmc_96s1p.toml")).unwrap();
    let sensed = car.sensed_cells();
    assert_eq!((sensed.len(), sensed[0], sensed[1], sensed[23]), (24, 0, 4, 92));
    let store = PackFile::load(&folder().join("storage_lfp_16s.toml")).unwrap();
    assert_eq!(store.sensed_cells(), [0, 4, 7, 8, 12, 15]);
}

#[test]
fn cells_are_counted_group_by_group() {
    let layout = Layout { series: 12, parallel: 4, modules: 3 };
    assert_eq!((layout.cells(), layout.cell(2, 3)), (48, 11));
    assert_eq!((layout.groups_per_module(), layout.cells_per_module()), (4, 16));
}

/// By hand, for the car: 96 tabs, 95 busbars, the cables, two contactors, the fuse.
#[test]
fn resistance_of_the_path_adds_up() {
    let car = PackFile::load(&folder().join("car_nmc_96s1p.toml")).unwrap();
    let by_hand = 96.0 * 3e-5 + 95.0 * 2e-5 + 1e-3 + 2.0 * 2e-4 + 1.5e-4;
    assert!((car.path_ohm() - by_hand).abs() < 1e-15);
}

#[test]
fn parameters_lie_beside_the_pack_file() {
    let with = text("car_nmc_96s1p").replace("size = 30.0", "parameters = \"CELL.toml\"\nsize = 30.0");
    let pack = PackFile::parse(&with, Path::new("some/where/x.toml")).unwrap();
    assert_eq!(pack.parameters_path(), Some(PathBuf::from("some/where/CELL.toml")));
}

#[test]
fn every_ready_pack_makes_a_thermal_network_with_its_devices() {
    use cell_models::network::{Devices, ThermalNetwork};
    for name in READY {
        let pack = PackFile::load(&folder().join(format!("{name}.toml"))).unwrap();
        let layout = pack.network_layout();
        let tolerance = vec![1.0; layout.films.len()];
        Devices::new(pack.device_parameters(tolerance), &layout).unwrap();
        ThermalNetwork::new(layout, 25.0).unwrap();
    }
}

#[test]
fn a_hairpin_passes_its_plates_there_and_back() {
    let hairpin = text("car_nmc_96s1p").replace("\"parallel\"", "\"hairpin\"");
    let n = PackFile::parse(&hairpin, Path::new("x.toml")).unwrap().network_layout();
    assert_eq!(n.channels[1].visits[..], [8, 9, 10, 11, 12, 13, 14, 15, 15, 14, 13, 12, 11, 10, 9, 8]);
    assert!((n.coolant.channel_l * 12.0 * 16.0 - 4.0).abs() < 1e-12, "all channels hold 4 L");
}

#[test]
fn the_cars_network_is_what_the_file_says() {
    let car = PackFile::load(&folder().join("car_nmc_96s1p.toml")).unwrap();
    let n = car.network_layout();
    assert_eq!((n.cells.len(), n.plates.len(), n.contacts.len()), (96, 96, 96));
    assert_eq!((n.channels.len(), n.films.len(), n.neighbours.len()), (12, 12, 95));
    assert_eq!(n.channels[1].visits[..], [8, 9, 10, 11, 12, 13, 14, 15]);
    assert!((n.coolant.channel_l * 12.0 * 8.0 - 4.0).abs() < 1e-12, "all channels hold 4 L");
    let w = |a: usize| n.neighbours[a].w_per_k;
    assert_eq!((w(6), w(7), w(8)), (0.5, 0.1, 0.5));
    let air = |cell: usize| n.cells[cell].surface_ambient_w_per_k;
    assert!((air(0) - 0.21).abs() < 1e-12 && air(7) == air(0) && air(6) == 0.06 && air(8) == air(0));
    assert_eq!(n.films[11].cells[..], [88, 89, 90, 91, 92, 93, 94, 95]);
    // 2 kJ/K in each cell.
    assert!(n.cells.iter().all(|c| c.core_j_per_k + c.surface_j_per_k == 2000.0));
}
