//! What a plant can really give and take: copies of it are loaded until the first limit.

use bms_core::sop::{Binding, HORIZONS_S};
use cell_models::physics::SpmeCell;
use cell_models::{Load, Plant};

/// What must not be exceeded by the plant itself; magnitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueLimits {
    /// Lowest and highest voltage in V.
    pub voltage_v: [f64; 2],
    /// Discharge and charge current in A.
    pub current_a: [f64; 2],
    /// Lowest and highest SOC (fractions).
    pub soc: [f64; 2],
    /// Highest core temperature in degC.
    pub temperature_c: f64,
    /// Most that one load may warm the core in K.
    pub rise_k: f64,
    /// Whether the negative electrode must stay above the potential of lithium while charging.
    pub plating: bool,
}

/// Width of the bracket at which the search ends, as a share of the load.
const EXACT: f64 = 1e-3;
/// Most halvings.
const HALVINGS: usize = 24;
/// Time steps at the start of a hold in s, then the last one on: the power is constant to 0.1 % within each.
const STEPS_S: [f64; 6] = [0.1, 0.1, 0.2, 0.2, 0.4, 0.5];

/// Largest load of one kind and what ends it; a magnitude.
pub type Found = (f64, Binding);

/// The largest constant power (W) and current (A) over each horizon; magnitudes.
#[must_use]
pub fn largest(cell: &SpmeCell, limits: &TrueLimits, discharge: bool) -> [[Found; 2]; 3] {
    let [discharge_a, charge_a] = limits.current_a;
    let (sign, most_a) = if discharge { (1.0, discharge_a) } else { (-1.0, charge_a) };
    HORIZONS_S.map(|horizon_s| {
        let by = |load: Load| first_limit(cell, limits, load, sign, f64::from(horizon_s));
        let current = search(most_a, |i| by(Load::CurrentA(sign * i)));
        let most_v = if discharge { at_rest_v(cell) } else { limits.voltage_v[1] };
        let power = search(1.01 * most_a * most_v, |p| by(Load::PowerW(sign * p)));
        [power, current]
    })
}

fn at_rest_v(cell: &SpmeCell) -> f64 {
    let mut cell = cell.clone();
    if cell.set_current(0.0).is_err() {
        return cell.voltage_v();
    }
    cell.voltage_v()
}

fn search(most: f64, by: impl Fn(f64) -> Option<Binding>) -> Found {
    let Some(mut met) = by(most) else { return (most, Binding::Current) };
    let (mut low, mut high) = (0.0, most);
    for _ in 0..HALVINGS {
        if high - low <= EXACT * low {
            break;
        }
        let middle = 0.5 * (low + high);
        match by(middle) {
            None => low = middle,
            Some(found) => {
                high = middle;
                met = found;
            }
        }
    }
    // In the middle of the bracket the error is half its width.
    (0.5 * (low + high) * f64::from(u8::from(low > 0.0)), met)
}

/// The limit that a plant meets first within the horizon.
fn first_limit(
    cell: &SpmeCell,
    limits: &TrueLimits,
    load: Load,
    sign: f64,
    horizon_s: f64,
) -> Option<Binding> {
    let mut cell = cell.clone();
    let start_c = cell.core_temperature_c();
    // The current that has the load at once, before any time passes.
    if cell.hold(load, 0.0).is_err() {
        return Some(Binding::Voltage);
    }
    if let Some(by) = meets(&cell, limits, sign, start_c) {
        return Some(by);
    }
    let (mut left_s, mut count) = (horizon_s, 0);
    while left_s > 1e-9 {
        let dt_s = STEPS_S[count.min(STEPS_S.len() - 1)].min(left_s);
        count += 1;
        left_s -= dt_s;
        if cell.hold(load, dt_s).is_err() {
            return Some(Binding::Voltage);
        }
        if let Some(by) = meets(&cell, limits, sign, start_c) {
            return Some(by);
        }
    }
    None
}

fn meets(cell: &SpmeCell, limits: &TrueLimits, sign: f64, start_c: f64) -> Option<Binding> {
    let discharging = sign > 0.0;
    let v = cell.voltage_v();
    let voltage = if discharging { v >= limits.voltage_v[0] } else { v <= limits.voltage_v[1] };
    let free = discharging || !limits.plating || cell.anode_potential_v().is_none_or(|p| p >= 0.0);
    let current = sign * cell.current_a() <= limits.current_a[usize::from(!discharging)] * 1.000_01;
    let soc = if discharging { cell.soc() >= limits.soc[0] } else { cell.soc() <= limits.soc[1] };
    let hottest_c = limits.temperature_c.min(start_c + limits.rise_k);
    if !voltage {
        Some(Binding::Voltage)
    } else if !free {
        Some(Binding::Plating)
    } else if !current {
        Some(Binding::Current)
    } else if !soc {
        Some(Binding::Soc)
    } else if cell.core_temperature_c() > hottest_c {
        Some(Binding::Temperature)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use cell_models::physics::sets;

    use super::*;

    /// What was found can be held, 0.3 % more cannot.
    #[test]
    fn the_largest_load_is_the_largest() {
        let cell = SpmeCell::new(sets::mohtat2020(), 0.3, -10.0).unwrap().without_ageing();
        let limits = TrueLimits {
            voltage_v: cell.voltage_limits_v(),
            current_a: [30.0, 15.0],
            soc: [0.0, 1.0],
            temperature_c: 60.0,
            rise_k: 10.0,
            plating: true,
        };
        for (discharge, sign) in [(true, 1.0), (false, -1.0)] {
            let found = largest(&cell, &limits, discharge);
            for (horizon_s, [(power, by), _]) in HORIZONS_S.into_iter().zip(found) {
                let meets =
                    |p: f64| first_limit(&cell, &limits, Load::PowerW(sign * p), sign, f64::from(horizon_s));
                assert!(power > 1.0 && meets(0.999 * power).is_none());
                assert_eq!(meets(1.003 * power), Some(by));
            }
            // The longer, the less.
            assert!(found[0][0].0 >= found[1][0].0 && found[1][0].0 >= found[2][0].0);
        }
        let [[_, (_, by)], ..] = largest(&cell, &limits, false);
        assert_eq!(by, Binding::Plating);
    }
}
