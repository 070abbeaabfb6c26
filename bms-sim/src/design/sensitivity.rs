//! What specific energy and cycle life become when one thing changes.

use rayon::prelude::*;
use serde::Serialize;

use super::ledger::{ENERGY_AT_C, Ledger, discharge};
use super::life::{Bench, Life, Usage};
use super::{DesignError, Settings};
use crate::pack_file::{CellParameters, PackFile};

/// Masses and capacity change by so much either way.
const SHARE: f64 = 0.1;
/// Temperatures change by so much either way, in K.
const WARMER_K: f64 = 10.0;
/// Depths of discharge beside the whole capacity.
const DEPTHS: [f64; 2] = [0.6, 0.8];
/// Rates go to half and to twice what they are.
const RATES: [f64; 2] = [0.5, 2.0];
/// These lives are simulated with ageing so many times as fast; what counts is their ratio to the same life without the
/// change.
const FASTER: f64 = 20.0;

/// One thing that changes, first one way, then the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// What changes.
    pub what: String,
    /// To what, either way.
    pub to: [String; 2],
    /// Specific energy of the system in Wh/kg then; none if it does not change.
    pub wh_per_kg: Option<[f64; 2]>,
    /// Cycle life then; none if it does not change or is not known.
    pub cycles: Option<[f64; 2]>,
}

pub(super) fn all(
    pack: &PackFile,
    parameters: &CellParameters,
    settings: &Settings,
    ledger: &Ledger,
    life: Option<&Life>,
) -> Result<Vec<Sensitivity>, DesignError> {
    let signs = [-SHARE, SHARE];
    let both = |what: &str, wh_per_kg: [f64; 2]| Sensitivity {
        what: what.into(),
        to: signs.map(|s| format!("{:+.0} %", 100.0 * s).replace('-', "−")),
        wh_per_kg: Some(wh_per_kg),
        cycles: None,
    };
    let heavier = |kg: f64| signs.map(|s| ledger.pack_wh / (ledger.system_kg + s * kg));
    let kg_of =
        |names: &[&str]| ledger.masses.iter().filter(|m| names.contains(&m.name)).map(|m| m.kg).sum::<f64>();
    let mut rows = vec![
        both("capacity of the cells", signs.map(|s| ledger.system_wh_per_kg * (1.0 + s))),
        both("mass of the cells", heavier(kg_of(&["cells"]))),
    ];
    for (what, names) in [
        ("mass of the housing", &["housing"][..]),
        ("mass of cooling and coolant", &["cooling", "coolant"]),
        ("mass of BMS, busbars, contactors", &["BMS", "busbars", "contactors", "other"]),
    ] {
        if kg_of(names) > 0.0 {
            rows.push(both(what, heavier(kg_of(names))));
        }
    }
    let at_25 = ledger.cell_wh;
    let at = |k: f64| -> Result<f64, DesignError> {
        Ok(ledger.system_wh_per_kg * discharge(pack, parameters, ENERGY_AT_C + k)?.wh / at_25)
    };
    let t = settings.temperature_c;
    rows.push(Sensitivity {
        what: "temperature".into(),
        to: [-WARMER_K, WARMER_K].map(|k| format!("{:+.0} K", k).replace('-', "−")),
        wh_per_kg: Some([at(-WARMER_K)?, at(WARMER_K)?]),
        cycles: None,
    });
    let temperature_row = rows.len() - 1;
    let (CellParameters::Physics(physics), Some(life)) = (parameters, life) else { return Ok(rows) };
    if !life.ended {
        return Ok(rows);
    }
    let fast = |settings: Settings| -> Result<Option<f64>, DesignError> {
        let life = Bench::new(pack, physics, &settings)?.live(FASTER, |_| ())?;
        Ok(life.ended.then_some(life.cycles))
    };
    let long = Settings { most_cycles: 10.0 * settings.most_cycles, ..*settings };
    let mut variants = vec![long];
    variants.extend([-WARMER_K, WARMER_K].map(|k| Settings { temperature_c: t + k, ..long }));
    let mut names: Vec<(String, [String; 2])> = Vec::new();
    if let Usage::Cycles { charge_c, discharge_c, depth } = settings.usage {
        let percent = |d: f64| format!("{:.0} %", 100.0 * d);
        let rate = |c: f64| format!("{c:.2}C");
        names.push(("depth of discharge".into(), DEPTHS.map(|d| percent(d * depth))));
        variants.extend(
            DEPTHS.map(|d| Settings {
                usage: Usage::Cycles { charge_c, discharge_c, depth: d * depth },
                ..long
            }),
        );
        names.push(("charging rate".into(), RATES.map(|f| rate(f * charge_c))));
        variants.extend(RATES.map(|f| Settings {
            usage: Usage::Cycles { charge_c: f * charge_c, discharge_c, depth },
            ..long
        }));
        names.push(("discharging rate".into(), RATES.map(|f| rate(f * discharge_c))));
        variants.extend(RATES.map(|f| Settings {
            usage: Usage::Cycles { charge_c, discharge_c: f * discharge_c, depth },
            ..long
        }));
    }
    let lives: Vec<Option<f64>> = variants.into_par_iter().map(fast).collect::<Result<_, _>>()?;
    let Some(Some(base)) = lives.first().copied() else { return Ok(rows) };
    let put_right = |pair: &[Option<f64>]| match pair {
        [Some(a), Some(b)] => Some([a, b].map(|c| c / base * life.cycles)),
        _ => None,
    };
    let mut pairs = lives[1..].chunks(2).map(put_right);
    rows[temperature_row].cycles = pairs.next().flatten();
    for ((what, to), cycles) in names.into_iter().zip(pairs) {
        let wh_per_kg = (what == "depth of discharge").then(|| DEPTHS.map(|d| d * ledger.system_wh_per_kg));
        rows.push(Sensitivity { what, to, wh_per_kg, cycles });
    }
    Ok(rows)
}
