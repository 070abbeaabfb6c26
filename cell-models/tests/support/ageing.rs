//! Storage and cycling of ageing cells, for the tests and for the example `ageing_table`.

use cell_models::physics::{AgeingParameters, PhysicsParameters, SpmeCell, sets};
use cell_models::{Load, Plant, PlantError};

/// Ageing that is `factor` times as fast. Film and active material then lose in a time or in a cycle what they would
/// otherwise lose in `factor` of them; plating keeps its rate and dies faster.
pub fn faster(ageing: &AgeingParameters, factor: f64) -> AgeingParameters {
    let mut a = ageing.clone();
    if let Some(sei) = &mut a.sei {
        sei.interstitial_mol_per_m_s *= factor;
    }
    if let Some(plating) = &mut a.plating {
        plating.dead_per_s *= factor;
    }
    for loss in [&mut a.negative_loss, &mut a.positive_loss].into_iter().flatten() {
        loss.per_stoichiometry *= factor;
    }
    a
}

/// The built-in cells with typical ageing, and the one with published ageing.
pub fn cells() -> [(&'static str, PhysicsParameters); 5] {
    let put = |cell: PhysicsParameters, ageing: fn(&PhysicsParameters) -> AgeingParameters| {
        let ageing = ageing(&cell);
        cell.with_ageing(ageing)
    };
    [
        ("okane2022 as published", sets::okane2022()),
        ("okane2022, typical NMC", put(sets::okane2022(), AgeingParameters::nmc_graphite)),
        ("mohtat2020, typical NMC", put(sets::mohtat2020(), AgeingParameters::nmc_graphite)),
        ("kim2011, typical NCA", put(sets::kim2011(), AgeingParameters::nca_graphite)),
        ("prada2013, typical LFP", put(sets::prada2013(), AgeingParameters::lfp_graphite)),
    ]
}

/// Share of the capacity left after each of `quarters` quarters of a year without current, and the cell.
pub fn store(
    parameters: &PhysicsParameters,
    soc: f64,
    celsius: f64,
    quarters: usize,
) -> (Vec<f64>, SpmeCell) {
    let mut cell = SpmeCell::new(parameters.clone(), soc, celsius).expect("valid parameters");
    let new_ah = cell.capacity_ah();
    let mut left = vec![];
    for _ in 0..quarters {
        for _ in 0..91 * 4 {
            cell.advance(6.0 * 3600.0).expect("a cell at rest runs");
        }
        left.push(cell.capacity_ah() / new_ah);
    }
    (left, cell)
}

/// One full cycle from empty: constant current to the upper limit, constant voltage down to C/10, discharge to the lower
/// limit. Rates in 1/h. Gives the lowest anode potential in V.
pub fn cycle(cell: &mut SpmeCell, charge_rate: f64, discharge_rate: f64) -> Result<f64, PlantError> {
    let nominal_ah = cell.parameters().nominal_capacity_ah;
    let [low_v, high_v] = cell.voltage_limits_v();
    let mut lowest_v = f64::INFINITY;
    cell.set_current(-charge_rate * nominal_ah)?;
    while cell.voltage_v() < high_v {
        cell.advance(10.0)?;
        lowest_v = lowest_v.min(cell.anode_potential_v().unwrap_or(f64::NAN));
    }
    let mut charging_a = charge_rate * nominal_ah;
    while charging_a > 0.1 * nominal_ah {
        cell.hold(Load::VoltageV(high_v), 60.0)?;
        charging_a = -cell.current_a();
    }
    cell.set_current(discharge_rate * nominal_ah)?;
    while cell.voltage_v() > low_v {
        cell.advance(10.0)?;
    }
    Ok(lowest_v)
}

/// Full cycles until the capacity has fallen to `share` of the new one, with ageing `factor` times as fast and the count
/// put right; at most `most` cycles are run. Gives the cycles and the cell.
pub fn cycles_to(
    parameters: &PhysicsParameters,
    [charge_rate, discharge_rate]: [f64; 2],
    celsius: f64,
    share: f64,
    factor: f64,
    most: usize,
) -> Result<(f64, SpmeCell), PlantError> {
    let mut p = parameters.clone();
    p.ageing = p.ageing.as_ref().map(|a| faster(a, factor));
    let mut cell = SpmeCell::new(p, 0.0, celsius).expect("valid parameters");
    let new_ah = cell.capacity_ah();
    let mut before = 1.0;
    for n in 0..most {
        cycle(&mut cell, charge_rate, discharge_rate)?;
        let left = cell.capacity_ah() / new_ah;
        if left <= share {
            return Ok((factor * (n as f64 + (before - share) / (before - left)), cell));
        }
        before = left;
    }
    Ok((f64::INFINITY, cell))
}
