//! Packs of the campaign.

use crate::closed_loop::{ClosedLoopError, PackType};
use crate::known::KnownCell;
use crate::pack_file::{PackFile, circuit};

/// The small pack of NMC cells, the car's of the same cells, and the small pack of LFP cells.
pub const SMALL: usize = 0;
/// See [`SMALL`].
pub const CAR: usize = 1;
/// See [`SMALL`].
pub const LFP: usize = 2;
/// Names of the packs for tables.
pub const NAMES: [&str; 3] = ["NMC 16s", "NMC 96s", "LFP 16s"];

/// Files of the two cars, with the circuits of their cells.
const NMC_CAR: [&str; 3] = [
    include_str!("../../../packs/car_circuit_96s1p.toml"),
    "packs/car_circuit_96s1p.toml",
    "generic_nmc_5ah",
];
const LFP_CAR: [&str; 3] =
    [include_str!("../../../packs/car_lfp_108s1p.toml"), "packs/car_lfp_108s1p.toml", "generic_lfp_2ah3"];
/// Electrode area of the LFP car's cell in multiples of its circuit: 172.5 Ah.
const LFP_SIZE: f64 = 75.0;
/// Groups of the small packs, and their modules.
const SMALL_LAYOUT: [usize; 2] = [16, 2];

/// A sixth of a car's pack ([`SMALL`]), the car's ([`CAR`]), and a seventh of an LFP car's ([`LFP`]): with cells that the
/// laboratory has tested once.
///
/// # Errors
/// When the packs cannot be made.
pub fn packs() -> Result<Vec<PackType>, ClosedLoopError> {
    let [_, _, name] = NMC_CAR;
    let known = KnownCell::of_circuit(circuit(name), name)?;
    let [_, _, lfp_name] = LFP_CAR;
    let lfp_known = KnownCell::of_circuit(circuit(lfp_name), lfp_name)?;
    let (mut small, car, mut lfp) = (parsed(NMC_CAR)?, parsed(NMC_CAR)?, parsed(LFP_CAR)?);
    shrink(&mut small, "Sixth of a car, circuit 16s1p, 150 Ah");
    shrink(&mut lfp, "Seventh of a car, LFP circuit 16s1p, 172 Ah");
    (lfp.cell.model, lfp.cell.circuit, lfp.cell.size) = (None, Some(lfp_name.into()), LFP_SIZE);
    Ok(vec![
        PackType::with_known(small, known.clone())?,
        PackType::with_known(car, known)?,
        PackType::with_known(lfp, lfp_known)?,
    ])
}

fn parsed([text, path, circuit]: [&str; 3]) -> Result<PackFile, ClosedLoopError> {
    PackFile::parse(text, path.as_ref()).map_err(|_| ClosedLoopError::Cell { cell: circuit.into() })
}

/// A part of a car's pack, with machines to match.
fn shrink(file: &mut PackFile, name: &str) {
    let [series, modules] = SMALL_LAYOUT;
    let share = series as f64 / file.layout.series as f64;
    file.name = name.into();
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
