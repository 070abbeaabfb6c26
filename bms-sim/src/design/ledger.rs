//! Energy, mass, voltage and power of a new pack.

use cell_models::physics::SpmeCell;
use cell_models::{EcmCell, ParameterError, Plant, SupercapCell};
use serde::Serialize;

use super::DesignError;
use crate::pack_file::{CellParameters, PackFile};

/// Rate of the discharge that measures the energy, in multiples of the nominal capacity per hour.
const ENERGY_C: f64 = 1.0 / 3.0;
/// Its time step in s.
const STEP_S: f64 = 10.0;
/// Temperature at which energy is measured, in degC.
pub(super) const ENERGY_AT_C: f64 = 25.0;
/// Length of a power pulse in s.
const PULSE_S: usize = 10;
/// State of charge of the power pulses.
const PULSE_SOC: f64 = 0.5;
/// Their temperatures in degC.
const PULSE_AT_C: [f64; 3] = [-10.0, 10.0, 25.0];
/// Halvings in the search for the current of a pulse.
const HALVINGS: usize = 14;

/// One item of the mass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MassItem {
    /// What.
    pub name: &'static str,
    /// Mass in kg.
    pub kg: f64,
}

/// What a pack gives and takes for 10 s at 50 % SOC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PulsePower {
    /// Temperature in degC.
    pub temperature_c: f64,
    /// Discharge at the pack's terminals in W, and whether the voltage (not the current) is what ends it.
    pub discharge_w: f64,
    /// Whether the cell's voltage limits it, and not its current.
    pub discharge_by_voltage: bool,
    /// Charge at the pack's terminals in W.
    pub charge_w: f64,
    /// Whether the cell's voltage limits it, and not its current.
    pub charge_by_voltage: bool,
}

/// The new pack in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    /// Number of cells.
    pub cells: usize,
    /// Capacity of a cell in Ah as measured at C/3 and 25 degC.
    pub cell_ah: f64,
    /// Its energy in Wh, measured likewise.
    pub cell_wh: f64,
    /// Its mass in kg.
    pub cell_kg: f64,
    /// Its specific energy in Wh/kg.
    pub cell_wh_per_kg: f64,
    /// Energy of all cells in Wh.
    pub cells_wh: f64,
    /// What busbars, tabs, contactors, fuse and cables take of it in this discharge in Wh.
    pub path_wh: f64,
    /// Nominal energy of the pack in Wh: at its terminals, all cells alike.
    pub pack_wh: f64,
    /// Capacity of the weakest group, expected from the spread, over the usual one's: a string ends with its weakest.
    pub weakest: f64,
    /// SOC window that the user gets, as a share.
    pub window: f64,
    /// Usable energy in Wh: at the terminals, within the window, ended by the weakest group.
    pub usable_wh: f64,
    /// Masses, cells first.
    pub masses: Vec<MassItem>,
    /// Mass of the whole system in kg.
    pub system_kg: f64,
    /// Nominal energy over the mass of the system in Wh/kg.
    pub system_wh_per_kg: f64,
    /// Usable energy over the mass of the system in Wh/kg.
    pub usable_wh_per_kg: f64,
    /// Nominal energy over the volume of the system in Wh/L, if the volume is known.
    pub system_wh_per_l: Option<f64>,
    /// Share of the cells in the mass of the system.
    pub cells_share: f64,
    /// Lowest, mean (at C/3) and highest voltage of the pack in V.
    pub voltage_v: [f64; 3],
    /// Power for 10 s.
    pub powers: Vec<PulsePower>,
}

/// Capacity in Ah and energy in Wh of a discharge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Discharge {
    pub(super) ah: f64,
    pub(super) wh: f64,
}

pub(super) fn ledger(pack: &PackFile, parameters: &CellParameters) -> Result<Ledger, DesignError> {
    let new = discharge(pack, parameters, ENERGY_AT_C)?;
    let layout = pack.layout;
    let cells = layout.cells() as f64;
    let rate_a = ENERGY_C * nominal_ah(parameters)?;
    let pack_a = rate_a * layout.parallel as f64;
    let path_wh = pack_a * pack_a * pack.path_ohm() * new.ah / rate_a;
    let cells_wh = cells * new.wh;
    let pack_wh = cells_wh - path_wh;
    let group_std = pack.spread.capacity_std / (layout.parallel as f64).sqrt();
    let weakest = 1.0 - group_std * expected_largest(layout.series);
    let window = pack.limits.soc[1] - pack.limits.soc[0];
    let usable_wh = pack_wh * weakest * window;
    let cells_kg = cells * pack.cell.mass_kg;
    let rest = pack.mass.items().into_iter().filter(|(_, kg)| *kg > 0.0);
    let masses: Vec<MassItem> =
        [("cells", cells_kg)].into_iter().chain(rest).map(|(name, kg)| MassItem { name, kg }).collect();
    let system_kg = masses.iter().map(|m| m.kg).sum::<f64>();
    let [low, high] = pack.limits.voltage_v;
    let series = layout.series as f64;
    Ok(Ledger {
        cells: layout.cells(),
        cell_ah: new.ah,
        cell_wh: new.wh,
        cell_kg: pack.cell.mass_kg,
        cell_wh_per_kg: new.wh / pack.cell.mass_kg,
        cells_wh,
        path_wh,
        pack_wh,
        weakest,
        window,
        usable_wh,
        system_kg,
        system_wh_per_kg: pack_wh / system_kg,
        usable_wh_per_kg: usable_wh / system_kg,
        system_wh_per_l: pack.mass.volume_l.map(|l| pack_wh / l),
        cells_share: cells_kg / system_kg,
        masses,
        voltage_v: [series * low, series * new.wh / new.ah, series * high],
        powers: PULSE_AT_C
            .iter()
            .map(|&c| with_cell(parameters, PULSE_SOC, c, Pulses { pack, temperature_c: c }))
            .collect::<Result<_, _>>()?,
    })
}

/// The cell's energy by a discharge at C/3 from full, at a temperature in degC.
pub(super) fn discharge(
    pack: &PackFile,
    parameters: &CellParameters,
    temperature_c: f64,
) -> Result<Discharge, DesignError> {
    let rate_a = ENERGY_C * nominal_ah(parameters)?;
    with_cell(parameters, 1.0, temperature_c, Emptying { low_v: pack.limits.voltage_v[0], rate_a })
}

/// What a C-rate refers to.
fn nominal_ah(parameters: &CellParameters) -> Result<f64, ParameterError> {
    Ok(match parameters {
        CellParameters::Physics(p) => p.nominal_capacity_ah,
        CellParameters::Circuit(p) => p.capacity_ah,
        CellParameters::Supercap(p) => SupercapCell::new(p.clone(), 1.0, ENERGY_AT_C)?.capacity_ah(),
    })
}

/// Something that is measured on a plant of any kind.
trait Test {
    type Outcome;
    fn run<P: Plant>(self, cell: P) -> Result<Self::Outcome, DesignError>;
}

/// Runs a test on a new cell, rested after charge.
fn with_cell<T: Test>(
    parameters: &CellParameters,
    soc: f64,
    temperature_c: f64,
    test: T,
) -> Result<T::Outcome, DesignError> {
    match parameters {
        CellParameters::Physics(p) => test
            .run(SpmeCell::new(p.clone(), soc, temperature_c)?.without_ageing().with_hysteresis(-1.0, 1.0)?),
        CellParameters::Circuit(p) => test.run(EcmCell::new(p.clone(), soc, temperature_c)?),
        CellParameters::Supercap(p) => test.run(SupercapCell::new(p.clone(), soc, temperature_c)?),
    }
}

struct Emptying {
    low_v: f64,
    rate_a: f64,
}

impl Test for Emptying {
    type Outcome = Discharge;

    fn run<P: Plant>(self, mut cell: P) -> Result<Discharge, DesignError> {
        let low_v = self.low_v.max(cell.voltage_limits_v()[0]);
        let mut sum = Discharge { ah: 0.0, wh: 0.0 };
        cell.set_current(self.rate_a)?;
        let most = (2.0 * 3600.0 / ENERGY_C / STEP_S) as usize;
        let hours = STEP_S / 3600.0;
        for _ in 0..most {
            let before_v = cell.voltage_v();
            if before_v <= low_v {
                break;
            }
            cell.advance(STEP_S)?;
            // The last step counts up to the limit only.
            let after_v = cell.voltage_v();
            let share = if after_v < low_v { (before_v - low_v) / (before_v - after_v) } else { 1.0 };
            sum.ah += share * hours * self.rate_a;
            sum.wh += share * hours * self.rate_a * 0.5 * (before_v + after_v.max(low_v));
        }
        Ok(sum)
    }
}

struct Pulses<'a> {
    pack: &'a PackFile,
    temperature_c: f64,
}

impl Test for Pulses<'_> {
    type Outcome = PulsePower;

    fn run<P: Plant>(self, cell: P) -> Result<PulsePower, DesignError> {
        let limits = &self.pack.limits;
        let [low_v, high_v] = limits.voltage_v;
        let discharge = strongest(&cell, limits.pulse_discharge_a, low_v)?;
        let charge = strongest(&cell, -limits.pulse_charge_a, high_v)?;
        let (series, parallel) = (self.pack.layout.series as f64, self.pack.layout.parallel as f64);
        let at_terminals = |p: &Strongest| {
            let pack_a = parallel * p.current_a;
            (series * p.voltage_v - pack_a * self.pack.path_ohm()) * pack_a
        };
        Ok(PulsePower {
            temperature_c: self.temperature_c,
            discharge_w: at_terminals(&discharge),
            discharge_by_voltage: discharge.by_voltage,
            charge_w: -at_terminals(&charge),
            charge_by_voltage: charge.by_voltage,
        })
    }
}

struct Strongest {
    current_a: f64,
    voltage_v: f64,
    by_voltage: bool,
}

/// The largest current up to `limit_a` (negative for charge) that stays within a voltage limit for the whole pulse.
fn strongest<P: Plant>(cell: &P, limit_a: f64, limit_v: f64) -> Result<Strongest, DesignError> {
    let after = |current_a: f64| -> Result<Option<f64>, DesignError> {
        let mut trial = cell.clone();
        trial.set_current(current_a)?;
        for _ in 0..PULSE_S {
            // A model driven beyond its bounds has no voltage left, either.
            if trial.advance(1.0).is_err() {
                return Ok(None);
            }
            let voltage_v = trial.voltage_v();
            if (voltage_v - limit_v) * limit_a.signum() < 0.0 {
                return Ok(None);
            }
        }
        Ok(Some(trial.voltage_v()))
    };
    if let Some(voltage_v) = after(limit_a)? {
        return Ok(Strongest { current_a: limit_a, voltage_v, by_voltage: false });
    }
    let mut best = Strongest { current_a: 0.0, voltage_v: cell.voltage_v(), by_voltage: true };
    let mut high = limit_a;
    for _ in 0..HALVINGS {
        let middle = 0.5 * (best.current_a + high);
        match after(middle)? {
            Some(voltage_v) => best = Strongest { current_a: middle, voltage_v, by_voltage: true },
            None => high = middle,
        }
    }
    Ok(best)
}

/// Expected largest of `n` standard normal numbers: the integral of `x n f(x) F(x)^(n-1)`.
pub(super) fn expected_largest(n: usize) -> f64 {
    const STEP: f64 = 1e-3;
    const END: f64 = 8.0;
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    let mut below = 0.0;
    let mut sum = 0.0;
    for k in 0..(2.0 * END / STEP) as usize {
        let x = -END + (k as f64 + 0.5) * STEP;
        let share = density(x) * STEP;
        let n = n.max(1) as f64;
        sum += x * n * share * (below + 0.5 * share).powf(n - 1.0);
        below += share;
    }
    sum
}
