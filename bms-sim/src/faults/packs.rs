//! Packs of the campaign.

use crate::closed_loop::{ClosedLoopError, PackType};
use crate::known::KnownCell;
use crate::pack_file::{PackFile, circuit};

const CAR: &str = include_str!("../../../packs/car_circuit_96s1p.toml");
const CIRCUIT: &str = "generic_nmc_5ah";
/// Groups of the small pack, and its modules.
const SMALL: [usize; 2] = [16, 2];

/// The small pack, a sixth of the car's, and the car's: with cells that the laboratory has tested once.
///
/// # Errors
/// When the packs cannot be made.
pub fn packs() -> Result<Vec<PackType>, ClosedLoopError> {
    let known = KnownCell::of_circuit(circuit(CIRCUIT), CIRCUIT)?;
    let file = |small: bool| -> Result<PackFile, ClosedLoopError> {
        let mut file = PackFile::parse(CAR, "packs/car_circuit_96s1p.toml".as_ref())
            .map_err(|_| ClosedLoopError::Cell { cell: CIRCUIT.into() })?;
        if small {
            shrink(&mut file);
        }
        Ok(file)
    };
    [true, false].into_iter().map(|small| PackType::with_known(file(small)?, known.clone())).collect()
}

/// A sixth of the car's pack, with machines to match.
fn shrink(file: &mut PackFile) {
    let [series, modules] = SMALL;
    let share = series as f64 / file.layout.series as f64;
    file.name = "Sixth of a car, circuit 16s1p, 150 Ah".into();
    file.layout.series = series;
    file.layout.modules = modules;
    file.electrical.precharge_ohm *= share;
    file.electrical.link_f /= share;
    file.electrical.isolation_positive_ohm *= share;
    file.electrical.isolation_negative_ohm *= share;
    if let Some(plates) = &mut file.thermal.plates {
        plates.channels = modules;
    }
    if let Some(c) = &mut file.thermal.coolant {
        for x in [
            &mut c.channels_l,
            &mut c.tank_l,
            &mut c.nominal_flow_l_per_min,
            &mut c.tank_to_ambient_w_per_k,
            &mut c.pump_w,
            &mut c.chiller_max_w,
            &mut c.heater_max_w,
        ] {
            *x *= share;
        }
    }
}
