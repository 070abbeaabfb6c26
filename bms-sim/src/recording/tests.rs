use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

use super::*;
use crate::scenario::Scenario;

pub(crate) fn facts(series: usize) -> PackFacts {
    PackFacts {
        series,
        parallel: 1,
        capacity_ah: 150.0,
        energy_wh: 540.0 * series as f64,
        cell_limits_v: [2.5, 4.2],
        cells_kg: 2.0 * series as f64,
        heat_capacity_j_per_k: 2000.0 * series as f64,
        temperature_sensors: 1,
        channels: 1,
        modules: 1,
    }
}

fn scenario(body: &str) -> Scenario {
    let head = "format_version = 1\ntitle = \"t\"\npack = \"p\"\nambient_c = 0.0\nstart = { soc = 0.5 }\n";
    Scenario::parse(&format!("{head}{body}")).unwrap()
}

/// A step of a pack of two cells.
fn step<'a>(
    time_s: f64,
    dt_s: f64,
    phase: usize,
    soc: &'a [f64],
    core: &'a [f64],
    values: Values,
) -> Step<'a> {
    Step {
        time_s,
        dt_s,
        phase,
        ambient_c: 0.0,
        group_soc: soc,
        cell_core_c: core,
        estimated_group_soc: &[],
        values,
    }
}

const PREHEAT: &str =
    "[[phase]]\nkind = \"preheat\"\ntarget_c = 10.0\ntime_available = \"10min\"\nplugged = true\n";
const CHARGE: &str = "[[phase]]\nkind = \"charge\"\nmode = \"fast\"\n";

#[test]
fn figures_are_those_of_a_hand_calculation() {
    let scenario = scenario(&format!(
        "{PREHEAT}{CHARGE}[expect]\nmax_delta_t_k = 2.0\nmin_heating_rate_c_per_min = 1.5\nmax_charge_10_80_s = 1800.0\n\
         max_soc_spread_points = 1.5\nmin_anode_v = 0.0\n"
    ));
    let mut recorder = Recorder::new(&scenario, &facts(2), "two", None);
    // Ten minutes: 18 K in the mean, with 200 W of films and 50 W of pump from the mains.
    let heat =
        Values { film_w: 200.0, pump_w: 50.0, from_mains: true, min_anode_v: f64::NAN, ..Values::default() };
    recorder.push(&step(0.0, 0.0, 0, &[0.05, 0.07], &[-20.0, -20.0], heat));
    recorder.push(&step(300.0, 300.0, 0, &[0.05, 0.07], &[-12.5, -10.0], heat));
    recorder.push(&step(600.0, 300.0, 0, &[0.04, 0.06], &[-2.5, -1.5], heat));
    // 0.05 to 0.15 in 100 s, on to 0.85 in 1400 s: past 10 % at 650 s, past 80 % at 2000 s.
    let charge = Values {
        power_w: -900.0,
        chiller_w: 100.0,
        chiller_heat_w: 300.0,
        min_anode_v: -0.01,
        ..Values::default()
    };
    recorder.push(&step(700.0, 100.0, 1, &[0.14, 0.16], &[0.0, 1.0], charge));
    recorder.push(&step(2100.0, 1400.0, 1, &[0.845, 0.855], &[20.0, 21.0], charge));
    let recording = recorder.finish(&[End::Time, End::Charged]);

    let s = &recording.summary;
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
    near(s.delta_t_max_k, 2.5);
    near(s.delta_t_max_at_s, 300.0);
    near(s.heating_rate_c_per_min.unwrap(), 1.8);
    near(s.charge_10_80_s.unwrap(), 1350.0);
    near(s.soc_spread_start_points, 2.0);
    near(s.soc_spread_end_points, 1.0);
    near(s.duration_s, 2100.0);
    assert_eq!(s.min_anode_v, Some(-0.01));
    assert_eq!(s.soc_error, None);

    let [preheat, charge] = s.phases.as_slice() else { panic!("{:?}", s.phases) };
    assert_eq!((preheat.kind, preheat.end, charge.end), ("preheat", Some(End::Time), Some(End::Charged)));
    assert_eq!(preheat.min_anode_v, None);
    let figures = preheat.preheat.unwrap();
    // 250 W for 600 s are 150 kJ; 4000 J/K times 18 K are 72 kJ; 4000 g times 18 K over 150 kJ.
    near(figures.cop, 0.48);
    near(figures.specific_heating_rate_c_g_per_j, 0.48);
    near(figures.soc_spent_points, 1.0);
    near(preheat.bill.film_wh, 200.0 / 6.0);
    near(preheat.bill.mains_wh, 250.0 / 6.0);
    near(preheat.bill.drive_wh, 0.0);
    // The chiller is fed by the pack: 1000 W reach the cells from the charger's side, as 900 are left at the terminals.
    near(charge.bill.charge_wh, 1000.0 * 1500.0 / 3600.0);
    near(charge.bill.mains_wh, 0.0);
    near(charge.start_s, 600.0);
    near(charge.duration_s, 1500.0);
    // Heat over the electrical energy of chiller and pump of the whole run.
    let (chiller_wh, pump_wh) = (100.0 * 1500.0 / 3600.0, 50.0 / 6.0);
    near(s.cooling_cop.unwrap(), 3.0 * chiller_wh / (chiller_wh + pump_wh));

    let verdicts: Vec<_> = s.verdicts.iter().map(|v| (v.name, v.met)).collect();
    assert_eq!(
        verdicts,
        [
            ("max_delta_t_k", false),
            ("min_heating_rate_c_per_min", true),
            ("max_soc_spread_points", true),
            ("max_charge_10_80_s", true),
            ("min_anode_v", false),
        ]
    );
    assert!(!s.met());
}

#[test]
fn what_never_came_misses_its_bound() {
    let scenario = scenario(&format!("{CHARGE}[expect]\nmax_charge_10_80_s = 1800.0\nmin_anode_v = 0.0\n"));
    let mut recorder = Recorder::new(&scenario, &facts(2), "two", None);
    let values = Values { min_anode_v: f64::NAN, ..Values::default() };
    // It begins above 10 %.
    recorder.push(&step(0.0, 0.0, 0, &[0.2, 0.2], &[20.0, 20.0], values));
    recorder.push(&step(900.0, 900.0, 0, &[0.9, 0.9], &[20.0, 20.0], values));
    let summary = recorder.finish(&[]).summary;
    assert!(summary.verdicts.iter().all(|v| !v.met && v.reached.is_none()), "{:?}", summary.verdicts);
}

#[test]
fn errors_count_by_their_time_from_ten_minutes_on() {
    let scenario = scenario("[[phase]]\nkind = \"park\"\nduration = \"1h\"\n");
    let mut recorder = Recorder::new(&scenario, &facts(2), "two", None);
    let mut push = |time_s, dt_s, estimate: &[f64]| {
        let values = Values::default();
        let step = step(time_s, dt_s, 0, &[0.5, 0.5], &[20.0, 20.0], values);
        recorder.push(&Step { estimated_group_soc: estimate, ..step });
    };
    push(0.0, 0.0, &[0.9, 0.9]);
    push(599.0, 599.0, &[0.9, 0.9]);
    // 990 s of 1 point in both cells, then 5 s of 4 points in one and 2 in the other.
    push(1589.0, 990.0, &[0.51, 0.49]);
    push(1594.0, 5.0, &[0.54, 0.48]);
    push(5000.0, 3406.0, &[]);
    let error = recorder.finish(&[]).summary.soc_error.unwrap();
    assert!((error.max_points - 4.0).abs() < 1e-9, "{error:?}");
    assert!((error.p99_points - 1.0).abs() <= 0.0101, "{error:?}");
    let by_hand = ((1980.0 + 5.0 * 16.0 + 5.0 * 4.0) / 1990.0f64).sqrt();
    assert!((error.rmse_points - by_hand).abs() < 1e-9, "{error:?}");
}

#[test]
fn rows_get_coarser_in_long_runs_and_keep_the_last_step() {
    let scenario = scenario("[[phase]]\nkind = \"park\"\nduration = \"1d\"\n");
    let run = |interval_s| {
        let mut recorder = Recorder::new(&scenario, &facts(2), "two", interval_s);
        for k in 0..=50_001 {
            let hot = if k == 777 { 3.0 } else { 0.0 };
            let dt_s = if k == 0 { 0.0 } else { 1.0 };
            let core = [20.0, 20.0 + hot];
            recorder.push(&step(f64::from(k), dt_s, 0, &[0.5, 0.5], &core, Values::default()));
        }
        recorder.finish(&[])
    };
    let coarse = run(None);
    assert_eq!(coarse.interval_s, 4.0);
    assert!(coarse.rows.len() <= MOST_ROWS + 1, "{}", coarse.rows.len());
    assert!(coarse.rows[..coarse.rows.len() - 1].windows(2).all(|w| w[1].time_s - w[0].time_s == 4.0));
    assert_eq!(coarse.rows.last().unwrap().time_s, 50_001.0);
    assert_eq!((coarse.core_c.len(), coarse.soc.len()), (2 * coarse.rows.len(), 2 * coarse.rows.len()));
    // No row has the hot moment; the figures have.
    assert!(coarse.rows.iter().all(|r| r.core_c.spread() == 0.0));
    assert_eq!(coarse.summary.delta_t_max_k, 3.0);
    assert_eq!(run(Some(60.0)).rows.len(), 835);
}

#[test]
fn the_parquet_file_has_everything_with_the_signs_of_the_format() {
    let scenario = scenario("[[phase]]\nkind = \"park\"\nduration = \"1h\"\n");
    let mut recorder = Recorder::new(&scenario, &facts(3), "three", None);
    let values = Values {
        current_a: 10.0,
        voltage_v: 4.0,
        power_w: 110.0,
        min_anode_v: f64::NAN,
        pump_w: 5.0,
        ..Values::default()
    };
    for k in 0..3 {
        let t = f64::from(k);
        recorder.push(&step(t, 1.0, 0, &[0.5, 0.25, 0.125 * t], &[20.0, 21.0, 22.0 + t], values));
    }
    let recording = recorder.finish(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    recording.write_parquet(&path).unwrap();

    // As a measured run, current positive on discharge again.
    let run = crate::data::read_run(&path).unwrap();
    assert_eq!(
        (run.time_s, run.current_a, run.voltage_v),
        (vec![0.0, 1.0, 2.0], vec![10.0; 3], vec![4.0; 3])
    );
    assert_eq!(run.soc_true.unwrap()[2], 1.0 / 3.0);
    assert_eq!(run.step_index.unwrap(), [1, 1, 1]);

    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|c| c.name().to_owned()).collect();
    assert_eq!(names.len(), COLUMN_COUNT + 1 + 3 + 3);
    let last = reader.get_row_iter(None).unwrap().last().unwrap().unwrap();
    let at = |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(last.get_double(at("Power / W")).unwrap(), -110.0);
    assert_eq!(last.get_float(at("core_c_002")).unwrap(), 24.0);
    assert_eq!(last.get_float(at("soc_002")).unwrap(), 0.25);
    assert_eq!(last.get_double(at("core_spread_k")).unwrap(), 4.0);
    assert!((last.get_double(at("pump_wh")).unwrap() - 15.0 / 3600.0).abs() < 1e-12);
    assert!(last.get_double(at("min_anode_potential_v")).is_err(), "null where it is not known");
}

const COLUMN_COUNT: usize = 55;
