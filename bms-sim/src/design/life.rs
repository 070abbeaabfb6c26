//! The life of the pack's usual cell: cycle after cycle from new to 80 % of its capacity.

use cell_models::physics::{PhysicsParameters, SpmeCell};
use cell_models::{Load, Plant, PlantError};
use serde::Serialize;

use super::{DesignError, END_SOH, Settings};
use crate::lives::faster;
use crate::pack_file::{Arrangement, CellParameters, PackFile};
use crate::plants::road::derated;
use crate::profiles::speed::Cycle;
use crate::vehicle::Vehicle;

/// A full charge ends at this current (C-rate).
const TAPER_C: f64 = 0.05;
/// Time steps of charge, taper, discharge and rest in s.
const CHARGE_STEP_S: f64 = 10.0;
const TAPER_STEP_S: f64 = 60.0;
const DISCHARGE_STEP_S: f64 = 10.0;
const REST_STEP_S: f64 = 600.0;
/// Rest after each charge and discharge in s.
const REST_S: f64 = 1800.0;
/// The longest that a charge or discharge takes in s.
const LONGEST_S: f64 = 48.0 * 3600.0;
/// SOC at which a drive ends.
const DRIVE_TO: f64 = 0.1;
/// Charging rate between drives.
const DRIVE_CHARGE_C: f64 = 1.0 / 3.0;
/// Drives are simulated with ageing so many times as fast: a second-by-second life of 1200 charges would take minutes.
const DRIVE_FASTER: f64 = 10.0;

/// How the cell is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// Charge to full (constant current, then constant voltage down to C/20), discharge, half an hour's rest after each.
    Cycles {
        /// Charging rate in multiples of the nominal capacity per hour.
        charge_c: f64,
        /// Discharging rate.
        discharge_c: f64,
        /// Share of the present capacity that each discharge takes; 1 goes to the lower voltage limit.
        depth: f64,
    },
    /// A mid-size car drives the CLTC-P from full to 10 % and charges at C/3.
    Drive,
}

impl Usage {
    /// C/3 charge and 1C discharge over the whole capacity.
    pub const STANDARD: Self = Self::Cycles { charge_c: 1.0 / 3.0, discharge_c: 1.0, depth: 1.0 };

    /// [`Usage::STANDARD`] with its rates held to what the pack's limits allow for ever.
    #[must_use]
    pub fn standard(pack: &PackFile) -> Self {
        let Some(CellParameters::Physics(p)) = pack.cell_parameters() else { return Self::STANDARD };
        let Self::Cycles { charge_c, discharge_c, depth } = Self::STANDARD else { return Self::STANDARD };
        let nominal_ah = p.nominal_capacity_ah;
        Self::Cycles {
            charge_c: charge_c.min(pack.limits.charge_a / nominal_ah),
            discharge_c: discharge_c.min(pack.limits.discharge_a / nominal_ah),
            depth,
        }
    }

    /// How many times as fast ageing runs in the simulation; the count of cycles is put right.
    #[must_use]
    pub const fn faster(&self) -> f64 {
        match self {
            Self::Cycles { .. } => 1.0,
            Self::Drive => DRIVE_FASTER,
        }
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Cycles { charge_c, discharge_c, depth } => format!(
                "charge {charge_c:.2}C to full, discharge {discharge_c:.2}C over {:.0} % of the capacity",
                100.0 * depth
            ),
            Self::Drive => format!("CLTC-P from full to {:.0} %, charge C/3", 100.0 * DRIVE_TO),
        }
    }
}

/// The cell after one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LifePoint {
    /// Cycles so far, each with the share of the capacity that it takes.
    pub cycles: f64,
    /// Capacity over the new cell's.
    pub soh: f64,
    /// Energy of the last discharge over the first one's.
    pub energy: f64,
}

/// A life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Life {
    /// Cycles at 80 % of the capacity, or when the simulation was stopped.
    pub cycles: f64,
    /// Whether 80 % was reached.
    pub ended: bool,
    /// How many times as fast ageing ran.
    pub faster: f64,
    /// The cell after each simulated cycle, the new one first.
    pub points: Vec<LifePoint>,
    /// Share of the new cell's capacity lost as lithium, to film and plating.
    pub lithium_lost: f64,
    /// Share of the negative and positive material lost.
    pub material_lost: [f64; 2],
    /// Highest core temperature in degC.
    pub hottest_c: f64,
    /// Lowest potential of the negative electrode in V; below 0 lithium plates.
    pub lowest_anode_v: f64,
}

/// A cell on the bench, ready for a life.
pub(super) struct Bench<'a> {
    parameters: PhysicsParameters,
    limits_v: [f64; 2],
    settings: &'a Settings,
    /// Power of one cell over the drive in W, one a second.
    drive_w: Vec<f64>,
}

impl<'a> Bench<'a> {
    /// The pack's cell, cooled as in the pack.
    pub(super) fn new(
        pack: &PackFile,
        parameters: &PhysicsParameters,
        settings: &'a Settings,
    ) -> Result<Self, DesignError> {
        let mut parameters = parameters.clone();
        parameters.thermal.surface_ambient_w_per_k = cooling_w_per_k(pack);
        let [low, high] = parameters.voltage_limits_v;
        let limits = &pack.limits;
        let limits_v = [limits.voltage_v[0].max(low), limits.voltage_v[1].min(high)];
        let drive_w = match settings.usage {
            Usage::Cycles { .. } => Vec::new(),
            Usage::Drive => {
                let cells = pack.layout.cells() as f64;
                let speeds = Cycle::CltcP.speeds_m_per_s();
                let pack_w = Vehicle::MIDSIZE.powers_w(&speeds, settings.temperature_c);
                pack_w.iter().map(|w| w / cells).collect()
            }
        };
        let asked_w = drive_w.iter().copied().fold(0.0, f64::max);
        let given_w = limits.pulse_discharge_a * 0.5 * (limits_v[0] + limits_v[1]);
        if asked_w > given_w {
            return Err(DesignError::TooSmall { asked_w, given_w });
        }
        Ok(Self { parameters, limits_v, settings, drive_w })
    }

    /// Lives until 80 % of the capacity or the most cycles; `lived` is told every cycle's worth.
    pub(super) fn live(&self, times: f64, mut lived: impl FnMut(usize)) -> Result<Life, DesignError> {
        let mut p = self.parameters.clone();
        p.ageing = p.ageing.as_ref().map(|a| faster(a, times));
        let mut cell = SpmeCell::new(p, 0.5, self.settings.temperature_c)?.with_hysteresis(-1.0, 1.0)?;
        let new_ah = cell.capacity_ah();
        let mut points = vec![LifePoint { cycles: 0.0, soh: 1.0, energy: 1.0 }];
        let mut seen = Seen { hottest_c: f64::NEG_INFINITY, lowest_anode_v: f64::INFINITY };
        let (mut cycles, mut first_wh, mut soh) = (0.0, None, 1.0);
        let mut ended = false;
        while cycles < self.settings.most_cycles {
            self.charge(&mut cell, &mut seen)?;
            let wh = self.discharge(&mut cell, &mut seen)?;
            let (before, before_cycles) = (soh, cycles);
            soh = cell.capacity_ah() / new_ah;
            cycles += times * self.depth();
            lived(times as usize);
            let energy = wh / *first_wh.get_or_insert(wh);
            if soh <= END_SOH {
                ended = true;
                cycles = before_cycles + (cycles - before_cycles) * (before - END_SOH) / (before - soh);
                points.push(LifePoint { cycles, soh: END_SOH, energy });
                break;
            }
            points.push(LifePoint { cycles, soh, energy });
        }
        let wear = cell.wear();
        Ok(Life {
            cycles,
            ended,
            faster: times,
            points,
            lithium_lost: wear.lithium,
            material_lost: [wear.negative_material, wear.positive_material],
            hottest_c: seen.hottest_c,
            lowest_anode_v: seen.lowest_anode_v,
        })
    }

    /// Share of the capacity that one cycle takes.
    const fn depth(&self) -> f64 {
        match self.settings.usage {
            Usage::Cycles { depth, .. } => depth,
            Usage::Drive => 1.0 - DRIVE_TO,
        }
    }

    fn charge(&self, cell: &mut SpmeCell, seen: &mut Seen) -> Result<(), PlantError> {
        let rate_c = match self.settings.usage {
            Usage::Cycles { charge_c, .. } => charge_c,
            Usage::Drive => DRIVE_CHARGE_C,
        };
        let nominal_ah = self.parameters.nominal_capacity_ah;
        let full_v = self.limits_v[1];
        cell.set_current(-rate_c * nominal_ah)?;
        let mut left_s = LONGEST_S;
        while cell.voltage_v() < full_v && left_s > 0.0 {
            cell.advance(CHARGE_STEP_S)?;
            left_s -= CHARGE_STEP_S;
            seen.look(cell);
        }
        while cell.current_a() < -TAPER_C * nominal_ah && left_s > 0.0 {
            cell.hold(Load::VoltageV(full_v), TAPER_STEP_S)?;
            left_s -= TAPER_STEP_S;
            seen.look(cell);
        }
        rest(cell)
    }

    /// Gives the energy in Wh.
    fn discharge(&self, cell: &mut SpmeCell, seen: &mut Seen) -> Result<f64, PlantError> {
        let low_v = self.limits_v[0];
        let mut wh = 0.0;
        match self.settings.usage {
            Usage::Cycles { discharge_c, depth, .. } => {
                let to_soc = if depth < 1.0 { 1.0 - depth } else { f64::NEG_INFINITY };
                cell.set_current(discharge_c * self.parameters.nominal_capacity_ah)?;
                let mut left_s = LONGEST_S;
                while cell.voltage_v() > low_v && cell.soc() > to_soc && left_s > 0.0 {
                    let before_v = cell.voltage_v();
                    cell.advance(DISCHARGE_STEP_S)?;
                    left_s -= DISCHARGE_STEP_S;
                    // The last step counts up to the limit only.
                    let after_v = cell.voltage_v();
                    let share = if after_v < low_v { (before_v - low_v) / (before_v - after_v) } else { 1.0 };
                    let mean_v = 0.5 * (before_v + after_v.max(low_v));
                    wh += share * mean_v * cell.current_a() * DISCHARGE_STEP_S / 3600.0;
                    seen.look(cell);
                }
            }
            Usage::Drive => {
                let seconds = self.drive_w.iter().cycle().take(LONGEST_S as usize);
                for power_w in seconds {
                    if cell.soc() <= DRIVE_TO {
                        break;
                    }
                    *cell = derated(cell, power_w / cell.voltage_v())?;
                    wh += cell.voltage_v() * cell.current_a() / 3600.0;
                    seen.look(cell);
                }
            }
        }
        rest(cell)?;
        Ok(wh)
    }
}

/// What is noticed on the way.
struct Seen {
    hottest_c: f64,
    lowest_anode_v: f64,
}

impl Seen {
    fn look(&mut self, cell: &SpmeCell) {
        self.hottest_c = self.hottest_c.max(cell.core_temperature_c());
        self.lowest_anode_v = self.lowest_anode_v.min(cell.anode_potential_v().unwrap_or(f64::INFINITY));
    }
}

fn rest(cell: &mut SpmeCell) -> Result<(), PlantError> {
    cell.set_current(0.0)?;
    for _ in 0..(REST_S / REST_STEP_S) as usize {
        cell.advance(REST_STEP_S)?;
    }
    Ok(())
}

/// From a cell's surface to what cools it, in W/K: through contact and plate to the coolant at nominal flow, and to the air.
fn cooling_w_per_k(pack: &PackFile) -> f64 {
    let air = pack.thermal.surface_to_ambient_w_per_k;
    let Some(plates) = &pack.thermal.plates else { return air };
    let passes = match plates.arrangement {
        Arrangement::Hairpin => 2.0,
        Arrangement::Series | Arrangement::Parallel => 1.0,
    };
    let coolant = passes * plates.coolant_w_per_k / plates.cells_per_segment as f64;
    air + 1.0 / (1.0 / plates.contact_w_per_k + 1.0 / coolant)
}
