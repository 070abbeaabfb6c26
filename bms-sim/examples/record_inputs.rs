//! Writes the runs of data sets as recordings for `firmware/` (its `record` module says what is in them):
//! `record_inputs OUT MINUTES DATASET...`, one file `SET_RUN.rec` for each run, and `SET_RUN_10hz.rec` for its first minutes as a
//! front end that samples ten times a second would see them: of every drive, and of a charge. The charge is a measured
//! discharge at 1C backwards, with the voltage drop on the other side.

use std::error::Error;
use std::path::Path;

use bms_sim::data::{Dataset, Run};

/// Current in A per Ah below which a cell rests.
const REST_C: f64 = 0.005;
/// Ambient temperature in degC below which a drive begins with warming up, for so many samples.
const COLD_C: f64 = 5.0;
const WARMING: usize = 600;

/// What is asked of a pack at a sample; the numbers are those of `firmware::record::Asked`.
fn asked(drive: bool, ambient_c: f64, c_rate: f64, sample: usize) -> u32 {
    match c_rate {
        _ if drive && ambient_c < COLD_C && sample < WARMING => 4,
        _ if drive => 1,
        c if c < -0.9 => 3,
        c if c < -REST_C => 2,
        c if c < REST_C => 0,
        _ => 1,
    }
}

const FAST_HZ: f64 = 10.0;
/// Resistance of a cell in ohm times its capacity in Ah, for the charge that is made from a discharge.
const OHM_AH: f64 = 0.2;

/// A discharge backwards, without its deepest tenth and the rest after it.
fn charge(run: &Run, capacity_ah: f64) -> Run {
    let end_s = run.time_s.last().copied().unwrap_or(0.0);
    let loaded = run.current_a.iter().rposition(|i| *i > 0.5 * capacity_ah).unwrap_or(0);
    let keep = 0..loaded * 9 / 10;
    let backwards = |column: &[f64]| column[keep.clone()].iter().rev().copied().collect::<Vec<f64>>();
    let ohm = OHM_AH / capacity_ah;
    let raised: Vec<f64> = run.voltage_v.iter().zip(&run.current_a).map(|(v, i)| v + 2.0 * ohm * i).collect();
    Run {
        time_s: backwards(&run.time_s).iter().map(|t| end_s - t).collect(),
        voltage_v: backwards(&raised),
        current_a: backwards(&run.current_a).iter().map(|i| -i).collect(),
        temperature_c: run.temperature_c.as_deref().map(backwards),
        ambient_c: run.ambient_c.as_deref().map(backwards),
        soc_true: run.soc_true.as_deref().map(backwards),
        ..Run::default()
    }
}

/// The first minutes of a run, straight lines between its samples.
fn fast(run: &Run, minutes: f64) -> Run {
    let start_s = run.time_s.first().copied().unwrap_or(0.0);
    let steps = (FAST_HZ * (60.0 * minutes).min(run.duration_s())) as usize;
    let time_s: Vec<f64> = (0..steps).map(|k| start_s + k as f64 / FAST_HZ).collect();
    let at = |column: &Vec<f64>| {
        let value = |t: &f64| {
            let after = run.time_s.partition_point(|x| x <= t).clamp(1, run.len() - 1);
            let [t0, t1] = [run.time_s[after - 1], run.time_s[after]];
            column[after - 1]
                + (column[after] - column[after - 1]) * ((t - t0) / (t1 - t0).max(1e-9)).clamp(0.0, 1.0)
        };
        time_s.iter().map(value).collect::<Vec<f64>>()
    };
    Run {
        voltage_v: at(&run.voltage_v),
        current_a: at(&run.current_a),
        temperature_c: run.temperature_c.as_ref().map(at),
        ambient_c: run.ambient_c.as_ref().map(at),
        soc_true: run.soc_true.as_ref().map(at),
        mean_current_a: None,
        time_s: time_s.clone(),
        ..Run::default()
    }
}

fn bytes(run: &Run, drive: bool, ambient_c: f64, capacity_ah: f64) -> Vec<u8> {
    let start_soc = run.soc_true.as_ref().and_then(|soc| soc.first()).map_or(0.5, |soc| soc.clamp(0.0, 1.0));
    let mut out = b"BMSR".to_vec();
    out.extend((run.len() as u32).to_le_bytes());
    out.extend((start_soc as f32).to_le_bytes());
    let of = |column: &Option<Vec<f64>>, k: usize| column.as_ref().and_then(|c| c.get(k)).copied();
    for (k, (v, i)) in run.voltage_v.iter().zip(&run.current_a).enumerate() {
        let around_c = of(&run.ambient_c, k).unwrap_or(ambient_c);
        let numbers = [
            run.dt_s(k),
            *v,
            *i,
            of(&run.mean_current_a, k).unwrap_or(f64::NAN),
            of(&run.temperature_c, k).unwrap_or(around_c),
            around_c,
        ];
        out.extend(numbers.iter().flat_map(|x| (*x as f32).to_le_bytes()));
        out.extend(asked(drive, around_c, i / capacity_ah, k).to_le_bytes());
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, minutes, sets @ ..] = &arguments[..] else {
        return Err("usage: record_inputs OUT MINUTES DATASET...".into());
    };
    let minutes: f64 = minutes.parse()?;
    std::fs::create_dir_all(out)?;
    for set in sets {
        let dataset = Dataset::open(set)?;
        let capacity_ah = dataset.nominal_capacity_ah.unwrap_or(1.0);
        let name = set.trim_end_matches('/').rsplit('/').take(2).collect::<Vec<_>>();
        let name = name.into_iter().rev().collect::<Vec<_>>().join("_");
        for file in dataset.files.iter().filter(|f| f.is_run()) {
            let test = file.file.split('.').next().unwrap_or(&file.file);
            let drive = file.kind.as_deref() == Some("drive");
            let write = |name: String, run: &Run| {
                let path = Path::new(out).join(name);
                println!("{} {} samples", path.display(), run.len());
                std::fs::write(path, bytes(run, drive, file.ambient_c.unwrap_or(25.0), capacity_ah))
            };
            for (k, run) in dataset.runs(file)?.iter().enumerate() {
                write(format!("{name}_{test}_{k}.rec"), run)?;
                if drive {
                    write(format!("{name}_{test}_{k}_10hz.rec"), &fast(run, minutes))?;
                }
                if test == "p25C_CAP" && k == 1 {
                    write(format!("{name}_charge_10hz.rec"), &fast(&charge(run, capacity_ah), minutes))?;
                }
            }
        }
    }
    Ok(())
}
