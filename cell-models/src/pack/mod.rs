//! Batteries: cells in series and parallel with what connects them, and the switchgear between them and the load.
//!
//! A [`Pack`] is `series` groups of `parallel` cells each; cell `k` of group `g` has the index `g * parallel + k`. It is
//! the electrical part alone: it takes the core temperatures of its cells from outside ([`Pack::set_core_c`]) and gives the
//! heat that they release ([`Pack::heat_w`]).
//!
//! ```text
//!        contactor    fuse, cable     busbar        busbar
//!  + ──┬───/ ──────────[====]───────┬─ group ─ ... ─ group ─┐
//!      │  precharge                                          │
//!      ├───/ ──[===]──...                                    │
//!  DC link                                                   │
//!  - ──┴───/ ────────────────────────────────────────────────┘
//! ```
//!
//! # How currents are shared
//!
//! Every cell is a straight line over a step, `V_k = E_k - R_k i_k`: what its voltage will be at the step's end under the
//! current `i_k`. With its connection `r_k` and `g_k = 1 / (R_k + r_k)` Kirchhoff's laws have a closed answer: the group
//! with the current `I` has the voltage `V = (sum E_k g_k - I) / sum g_k`, and `i_k = (E_k - V) g_k`. This is done once
//! per step, without iteration, so that the cells agree at the end of the step and no step is too long to be stable.
//!
//! * A circuit's line is exact but for the bends of its tables: `R` is the ohmic resistance, what the RC pairs add within
//!   the step and the fall of the open-circuit voltage. Without bends parallel cells agree to rounding; the generic NMC cell's
//!   come apart by 2 mV at most in a drive with jumps of 2 C.
//! * The physics model's line is its tangent at the last current plus the cell's part of the change: ohmic resistance, charge
//!   transfer, and how far the particles' surfaces move within the step. That is one Newton step per time step; what is left
//!   shows in the next step's `E_k` and is corrected there. In the same drive the cells come apart by 5 mV at most, 10 s
//!   after it by 0.2 mV, at rest by microvolts (`tests/pack.rs`).
//! * A supercapacitor's line is that of the whole step, found by taking it on a copy; its slope has the capacitance between the
//!   step's ends.
//!
//! Power and voltage loads are solved with the same lines, `V = E - R I` for the whole pack; for physics and supercapacitors
//! in up to six Newton steps. They hold at the end of the step: for circuits exactly but for bends, for the physics model within some
//! mV per cell in the second of a jump. With one cell per group and a current as load nothing is linearised.
//!
//! # Pulses
//!
//! [`PackLoad::Pulse`] heats the cells with a square wave of current whose period is short against the step: no charge moves,
//! but heat is released. For a circuit the answer is exact once the wave has settled. The physics model is evaluated at
//! plus and at minus the amplitude from the present state, with its ohmic and charge-transfer overpotentials: right where the
//! half wave is too short for diffusion to follow, from about 10 Hz on (there at 2 C the heat is right to 0.1 %, the extremes
//! miss 2.5 mV of diffusion, the anode's potential 0.3 mV). The double layer is not in it: in the kilohertz range it carries
//! part of the current past the charge transfer, and heat and voltage swing are overstated. The net energy of a wave without
//! mean comes from whatever drives it, not from the cells, and counts as negative energy at the terminals.
//!
//! # What is left out
//!
//! The charge of the DC link while it hangs on the cells (it follows their voltage at once, see
//! [`Switchgear::inrush_a`] for its first moment), and inductances.

mod cells;
mod sharing;
mod switchgear;

pub use cells::Cells;
pub use switchgear::{Contactor, ContactorFault, FuseParameters, Switchgear, SwitchgearParameters};

use crate::error::{ParameterError, PlantError, check_not_negative};
use crate::load::Load;
use crate::plant::{check_current, check_time_step};
use cells::Readings;
use sharing::{Sharing, Source};
use switchgear::Path;

/// Newton steps for a power or voltage.
const NEWTON_STEPS: usize = 6;
/// Share of the current (and of 1 mA) below which a correction is the last one.
const SETTLED: f64 = 1e-9;

/// How a pack is put together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackParameters {
    /// Cells in parallel in each group, at least 1.
    pub parallel: usize,
    /// Resistance of the busbar that follows each group in ohm, not negative; the last one leads to minus.
    pub busbar_ohm: f64,
    /// Resistance of cables and fuse together in ohm, not negative.
    pub cable_ohm: f64,
    /// Contactors, precharge, DC link, fuse and isolation.
    pub switchgear: SwitchgearParameters,
}

/// What belongs to one cell's place in the pack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellWiring {
    /// Resistance of its weld or tab in series with it inside its group in ohm, not negative.
    pub connection_ohm: f64,
    /// Current in A that discharges it from inside, not negative; it never shows at the terminals.
    pub self_discharge_a: f64,
}

/// What a pack is asked for at its terminals, the DC link; positive while it discharges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PackLoad {
    /// Current in A.
    CurrentA(f64),
    /// Power in W at the end of the step.
    PowerW(f64),
    /// Voltage in V at the end of the step.
    VoltageV(f64),
    /// A square wave of current, fast against the step: heats the cells; only its mean moves charge.
    Pulse {
        /// Current of either half wave beside the mean in A, not negative.
        amplitude_a: f64,
        /// Mean current in A.
        mean_a: f64,
        /// Frequency in Hz, above 0.
        frequency_hz: f64,
    },
}

/// Energies in J since the pack was made. [`Pack::stored_j`] falls by their sum, to 0.1 % in a drive in steps of 1 s
/// (supercapacitors at 50 A in 3000 F: of 0.1 s): voltages are those at the ends of the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EnergyLedger {
    /// Given to the load at the terminals, and to the DC link by precharge.
    pub terminals_j: f64,
    /// Drawn from the groups by the balancer.
    pub balancing_j: f64,
    /// Lost through the isolation.
    pub isolation_j: f64,
    /// Heat of the cells themselves.
    pub cells_j: f64,
    /// Heat of the cells' welds or tabs.
    pub connections_j: f64,
    /// Heat of busbars, cables, contactors and precharge.
    pub line_j: f64,
}

impl EnergyLedger {
    /// The sum: what came out of the cells.
    pub fn total_j(&self) -> f64 {
        self.terminals_j
            + self.balancing_j
            + self.isolation_j
            + self.cells_j
            + self.connections_j
            + self.line_j
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Pulse {
    amplitude_a: f64,
    frequency_hz: f64,
}

/// The extremes that a pulse leads to, group by group; the amplitude of each cell.
#[derive(Debug, Clone)]
struct Swing {
    amplitude_a: Vec<f64>,
    highest_v: Vec<f64>,
    lowest_v: Vec<f64>,
    lowest_anode_v: Vec<f64>,
}

/// A battery; the [module documentation](self) says how it works.
///
/// ```
/// use cell_models::pack::{CellWiring, Pack, PackLoad, PackParameters, SwitchgearParameters};
/// use cell_models::{BatchCell, EcmBatch, EcmParameters};
///
/// // 96 groups of two cells with a spread in capacity.
/// let cells = (0..192).map(|k| BatchCell {
///     capacity: 1.0 - 0.0002 * f64::from(k % 7),
///     resistance: 1.0,
///     soc: 0.8,
///     temperature_c: 20.0,
/// });
/// let cells = EcmBatch::new(EcmParameters::generic_nmc_5ah(), cells)?;
/// let wiring = [CellWiring { connection_ohm: 1e-4, self_discharge_a: 0.0 }; 192];
/// let parameters = PackParameters {
///     parallel: 2,
///     busbar_ohm: 1e-4,
///     cable_ohm: 1e-3,
///     switchgear: SwitchgearParameters::default(),
/// };
/// let mut pack = Pack::new(cells, &parameters, wiring)?;
/// pack.switchgear_mut().set_main(true);
/// let nothing = [0.0; 96];
/// for _ in 0..60 {
///     pack.step(PackLoad::PowerW(2000.0), &nothing, 1.0)?;
/// }
/// assert!((pack.link_voltage_v() * pack.current_a() - 2000.0).abs() < 0.2);
/// assert!(pack.heat_w().iter().sum::<f64>() > 5.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pack {
    parameters: PackParameters,
    cells: Cells,
    readings: Readings,
    switchgear: Switchgear,
    sharing: Sharing,
    capacity_ah: Vec<f64>,
    /// `None` when no cell discharges itself.
    self_discharge_a: Option<Vec<f64>>,
    /// Currents of the last step and those being worked out; each at the cell's terminals, in A.
    cell_current_a: Vec<f64>,
    next_a: Vec<f64>,
    /// Room for one number per cell.
    room: Vec<f64>,
    heat_w: Vec<f64>,
    group_voltage_v: Vec<f64>,
    /// Of each cell, then the lowest of each group; empty where the model has none.
    anode_v: Vec<f64>,
    group_anode_v: Vec<f64>,
    swing: Swing,
    /// Whether the last step was a pulse.
    pulsed: bool,
    current_a: f64,
    pack_v: f64,
    ledger: EnergyLedger,
    /// What failed cells keep from the voltage of their group in V.
    lost_v: Vec<f64>,
    all_lost_v: f64,
}

impl Pack {
    /// A pack of rested cells, group by group, with its contactors open and its link empty.
    ///
    /// # Errors
    /// When a parameter is out of range, or the number of cells is no multiple of `parallel`, or there is not one wiring for
    /// each cell.
    pub fn new(
        cells: impl Into<Cells>,
        parameters: &PackParameters,
        wiring: impl IntoIterator<Item = CellWiring>,
    ) -> Result<Self, ParameterError> {
        let cells = cells.into();
        let (count, parallel) = (cells.len(), parameters.parallel);
        check_not_negative("busbar resistance in ohm", parameters.busbar_ohm)?;
        check_not_negative("cable resistance in ohm", parameters.cable_ohm)?;
        let refused = |name, value: usize, allowed| {
            Err(ParameterError::OutOfRange { name, value: value as f64, allowed })
        };
        if count == 0 {
            return Err(ParameterError::Empty("the cells of the pack"));
        }
        if parallel == 0 || !count.is_multiple_of(parallel) {
            return refused("cells in parallel", parallel, "a divisor of the number of cells");
        }
        let wiring: Vec<CellWiring> = wiring.into_iter().collect();
        if wiring.len() != count {
            return refused("number of wirings", wiring.len(), "the number of cells");
        }
        for cell in &wiring {
            check_not_negative("connection resistance of a cell in ohm", cell.connection_ohm)?;
            check_not_negative("self-discharge current of a cell in A", cell.self_discharge_a)?;
        }
        let series = count / parallel;
        let per_group_with_anode = if cells.has_anode() { series } else { 0 };
        let mut pack = Self {
            parameters: *parameters,
            readings: Readings::of(&cells),
            switchgear: Switchgear::new(parameters.switchgear)?,
            sharing: Sharing::new(parallel, wiring.iter().map(|w| w.connection_ohm).collect()),
            capacity_ah: cells.capacity_ah(),
            self_discharge_a: wiring
                .iter()
                .any(|w| w.self_discharge_a > 0.0)
                .then(|| wiring.iter().map(|w| w.self_discharge_a).collect()),
            cell_current_a: vec![0.0; count],
            next_a: vec![0.0; count],
            room: vec![0.0; count],
            heat_w: vec![0.0; count],
            group_voltage_v: vec![0.0; series],
            anode_v: vec![0.0; if cells.has_anode() { count } else { 0 }],
            group_anode_v: vec![0.0; per_group_with_anode],
            swing: Swing {
                amplitude_a: vec![0.0; count],
                highest_v: vec![0.0; series],
                lowest_v: vec![0.0; series],
                lowest_anode_v: vec![0.0; per_group_with_anode],
            },
            pulsed: false,
            current_a: 0.0,
            pack_v: 0.0,
            ledger: EnergyLedger::default(),
            lost_v: vec![0.0; series],
            all_lost_v: 0.0,
            cells,
        };
        // The weights of the cells' voltages within a group, then the readings at rest.
        pack.sharing.linearise(&mut pack.cells, &pack.cell_current_a, None, 0.0);
        pack.read(0.0);
        Ok(pack)
    }

    /// Imposes the core temperatures of the cells in degC, from now on; without this call ever, the cells warm on their own,
    /// by their own heat alone, without that of connections and pulses.
    ///
    /// # Errors
    /// [`PlantError::Length`] and [`PlantError::Temperature`]; nothing changes then.
    pub fn set_core_c(&mut self, core_c: &[f64]) -> Result<(), PlantError> {
        self.cells.set_core_c(core_c)
    }

    /// From now on each group shows so much less (V) than its cells would: a failed cell, or one beyond what its model
    /// holds for. The energy ledger does not know of it.
    ///
    /// # Errors
    /// [`PlantError::Length`] when there is not one value for each group; nothing changes then.
    pub fn set_lost_v(&mut self, lost_v: &[f64]) -> Result<(), PlantError> {
        if lost_v.len() != self.lost_v.len() {
            return Err(PlantError::Length { expected: self.lost_v.len(), got: lost_v.len() });
        }
        self.lost_v.copy_from_slice(lost_v);
        self.all_lost_v = sum(lost_v);
        Ok(())
    }

    /// Lets `dt_s` seconds pass under a load at the terminals while a balancer draws `group_extra_a` (A, one for each group;
    /// negative ones charge) from the groups on top. Whatever the load: with the contactors open no current flows
    /// through the terminals, and during precharge only that of the link. A fuse that melts cuts the step in two.
    ///
    /// # Errors
    /// [`PlantError::Length`], [`PlantError::Current`], [`PlantError::TimeStep`] and [`PlantError::PulseFrequency`] for bad
    /// inputs, and [`PlantError::LoadOutOfReach`] when no current gives the power or the voltage; nothing changes then.
    /// [`PlantError::Diverged`] when a voltage or temperature is no finite number; the pack is then spoiled.
    pub fn step(&mut self, load: PackLoad, group_extra_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        if group_extra_a.len() != self.series() {
            return Err(PlantError::Length { expected: self.series(), got: group_extra_a.len() });
        }
        group_extra_a.iter().try_for_each(|&i| check_current(i))?;
        check_time_step(dt_s)?;
        let (target, pulse) = match load {
            PackLoad::CurrentA(a) => {
                check_current(a)?;
                (Load::CurrentA(a), None)
            }
            PackLoad::PowerW(w) => (Load::PowerW(w), None),
            PackLoad::VoltageV(v) => (Load::VoltageV(v), None),
            PackLoad::Pulse { amplitude_a, mean_a, frequency_hz } => {
                check_current(amplitude_a)?;
                check_current(mean_a)?;
                if amplitude_a < 0.0 {
                    return Err(PlantError::Current(amplitude_a));
                }
                if !(frequency_hz.is_finite() && frequency_hz > 0.0) {
                    return Err(PlantError::PulseFrequency(frequency_hz));
                }
                (Load::CurrentA(mean_a), Some(Pulse { amplitude_a, frequency_hz }))
            }
        };
        match self.switchgear.path() {
            Path::Open => self.step_open(group_extra_a, dt_s),
            Path::Precharging => self.step_precharging(group_extra_a, dt_s),
            Path::Closed => self.step_closed(target, pulse, group_extra_a, dt_s),
        }
    }

    fn step_open(&mut self, extra_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        self.solve(Load::CurrentA(0.0), extra_a, dt_s)?;
        self.pass(0.0, extra_a, dt_s)?;
        self.switchgear.leave(dt_s);
        self.switchgear.warm_fuse(0.0, dt_s);
        Ok(())
    }

    fn step_precharging(&mut self, extra_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        let source = self.source(extra_a);
        let precharge = self.switchgear.precharge(source, dt_s);
        self.solve(Load::CurrentA(precharge.current_a), extra_a, dt_s)?;
        self.pass(precharge.current_a, extra_a, dt_s)?;
        self.switchgear.leave(0.0);
        self.switchgear.follow(precharge.link_v);
        self.switchgear.warm_fuse(precharge.square_a2, dt_s);
        self.ledger.terminals_j += precharge.link_w * dt_s;
        self.ledger.line_j += (precharge.heat_w + self.inner_line_ohm() * precharge.square_a2) * dt_s;
        Ok(())
    }

    fn step_closed(
        &mut self,
        load: Load,
        pulse: Option<Pulse>,
        extra_a: &[f64],
        dt_s: f64,
    ) -> Result<(), PlantError> {
        // A short circuit takes all there is.
        let load = if self.switchgear.short_ohm().is_some() { Load::VoltageV(0.0) } else { load };
        let rush = self.switchgear.closes_now().then(|| self.source(extra_a));
        let current_a = self.solve(load, extra_a, dt_s)?;
        if let Some(source) = rush {
            self.switchgear.rush(source);
        }
        let amplitude_a = pulse.map_or(0.0, |p| p.amplitude_a);
        let square_a2 = current_a * current_a + amplitude_a * amplitude_a;
        let melts_after_s = self.switchgear.melts_after_s(square_a2).filter(|&s| s < dt_s);
        let flows_s = melts_after_s.unwrap_or(dt_s);
        if melts_after_s.is_some() {
            // The lines of the cells hold for the whole step; they are taken anew for its part.
            self.solve(Load::CurrentA(current_a), extra_a, flows_s)?;
        }
        self.pass(current_a, extra_a, flows_s)?;
        if let Some(pulse) = pulse {
            self.pulse(pulse, flows_s);
        }
        let line_ohm = self.inner_line_ohm() + self.switchgear.line_ohm();
        let outer_ohm = self.parameters.cable_ohm + self.switchgear.line_ohm();
        self.switchgear.follow(self.pack_v - outer_ohm * current_a);
        self.ledger.terminals_j += self.switchgear.link_v() * current_a * flows_s;
        self.ledger.line_j += line_ohm * square_a2 * flows_s;
        if pulse.is_some() {
            self.ledger.terminals_j -= line_ohm * amplitude_a * amplitude_a * flows_s;
        }
        self.switchgear.warm_fuse(square_a2, flows_s);
        if melts_after_s.is_some() {
            self.switchgear.blow();
            self.step_open(extra_a, dt_s - flows_s)?;
        }
        Ok(())
    }

    /// Resistance of busbars and cables in ohm.
    fn inner_line_ohm(&self) -> f64 {
        self.series() as f64 * self.parameters.busbar_ohm + self.parameters.cable_ohm
    }

    fn isolation_leak_a(&self) -> f64 {
        self.switchgear.isolation_leak_a(self.pack_v)
    }

    /// The pack of this instant with all that lies between the cells and the contactors.
    fn source(&mut self, extra_a: &[f64]) -> Source {
        let inner_a = self.self_discharge_a.as_deref();
        let string = self.sharing.linearise(&mut self.cells, &self.cell_current_a, inner_a, 0.0);
        let common_a = self.isolation_leak_a();
        Source {
            emf_v: string.emf_v - self.sharing.drop_v(extra_a, common_a) - self.all_lost_v,
            ohm: string.ohm + self.inner_line_ohm(),
        }
    }

    /// The current in A at the terminals for the next `dt_s` seconds, and in `next_a` that of every cell.
    fn solve(&mut self, load: Load, extra_a: &[f64], dt_s: f64) -> Result<f64, PlantError> {
        let common_a = self.isolation_leak_a();
        let parallel = self.parameters.parallel;
        if let (Load::CurrentA(current_a), 1) = (load, parallel) {
            let string_a = current_a + common_a;
            self.next_a.iter_mut().zip(extra_a).for_each(|(next, extra)| *next = string_a + extra);
            return Ok(current_a);
        }
        self.next_a.copy_from_slice(&self.cell_current_a);
        if let Load::CurrentA(current_a) = load {
            // Near enough to linearise there.
            let each_a = (current_a - self.current_a) / parallel as f64;
            self.next_a.iter_mut().for_each(|next| *next += each_a);
        }
        let line_ohm =
            self.inner_line_ohm() + self.switchgear.line_ohm() + self.switchgear.short_ohm().unwrap_or(0.0);
        let mut before_a = self.current_a;
        for _ in 0..NEWTON_STEPS {
            let inner_a = self.self_discharge_a.as_deref();
            let string = self.sharing.linearise(&mut self.cells, &self.next_a, inner_a, dt_s);
            let emf_v = string.emf_v - self.sharing.drop_v(extra_a, common_a) - self.all_lost_v;
            let ohm = string.ohm + line_ohm;
            let current_a = match load {
                Load::CurrentA(a) => a,
                Load::VoltageV(v) => (emf_v - v) / ohm,
                // The smaller root of R I^2 - E I + P = 0, written without cancellation.
                Load::PowerW(w) => 2.0 * w / (emf_v + (emf_v * emf_v - 4.0 * ohm * w).sqrt()),
            };
            if check_current(current_a).is_err() {
                return Err(PlantError::LoadOutOfReach { load });
            }
            self.sharing.share(current_a + common_a, extra_a, &mut self.next_a);
            let same_line = match &self.cells {
                Cells::Circuit(_) => (current_a < 0.0) == (before_a < 0.0),
                Cells::Physics(_) | Cells::Supercap(_) => {
                    (current_a - before_a).abs() <= SETTLED * (current_a.abs() + 1e-3)
                }
            };
            before_a = current_a;
            if same_line || matches!(load, Load::CurrentA(_)) {
                break;
            }
        }
        Ok(before_a)
    }

    /// Time passes with the currents `next_a`, `current_a` of it at the terminals.
    fn pass(&mut self, current_a: f64, extra_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        let isolation_a = self.isolation_leak_a();
        match &self.self_discharge_a {
            None => self.cells.step(&self.next_a, dt_s)?,
            Some(inner_a) => {
                let both = self.next_a.iter().zip(inner_a).map(|(a, b)| a + b);
                cells::fill(&mut self.room, both);
                self.cells.step(&self.room, dt_s)?;
            }
        }
        std::mem::swap(&mut self.cell_current_a, &mut self.next_a);
        self.current_a = current_a;
        self.read(current_a);
        self.pulsed = false;
        self.ledger.isolation_j += isolation_a * self.pack_v * dt_s;
        self.ledger.balancing_j += dot(extra_a, &self.group_voltage_v) * dt_s;
        self.add_heat(dt_s);
        Ok(())
    }

    /// Takes over what the cells show under `current_a`.
    fn read(&mut self, current_a: f64) {
        self.readings.update(&self.cells);
        let voltage_v = self.readings.voltage_v(&self.cells);
        self.sharing.group_voltage_v(voltage_v, &self.cell_current_a, &mut self.group_voltage_v);
        if self.all_lost_v != 0.0 {
            self.group_voltage_v.iter_mut().zip(&self.lost_v).for_each(|(v, lost)| *v -= lost);
        }
        let busbars_ohm = self.series() as f64 * self.parameters.busbar_ohm;
        self.pack_v = sum(&self.group_voltage_v) - busbars_ohm * current_a;
        if self.cells.has_anode() {
            self.cells.anode_potential_v(&mut self.anode_v);
            let own = self.anode_v.chunks_exact(self.parameters.parallel);
            let lowest = own.map(|own| own.iter().copied().fold(f64::INFINITY, f64::min));
            cells::fill(&mut self.group_anode_v, lowest);
        }
    }

    /// Heats of the last step, of cells, connections and self-discharge.
    fn add_heat(&mut self, dt_s: f64) {
        let own_w = self.readings.heat_w(&self.cells);
        let ohm = self.sharing.connection_ohm();
        let cells = own_w.iter().zip(&self.cell_current_a).zip(ohm);
        cells::fill(&mut self.heat_w, cells.map(|((own, i), ohm)| own + i * i * ohm));
        if let Some(inner_a) = &self.self_discharge_a {
            let voltage_v = self.readings.voltage_v(&self.cells);
            for ((heat, i), v) in self.heat_w.iter_mut().zip(inner_a).zip(voltage_v) {
                *heat += i * v;
            }
        }
        let all_w = sum(&self.heat_w);
        let connections_w = sum_of_squares(&self.cell_current_a, ohm);
        self.ledger.connections_j += connections_w * dt_s;
        self.ledger.cells_j += (all_w - connections_w) * dt_s;
    }

    /// What a pulse adds to the step that has just passed.
    fn pulse(&mut self, pulse: Pulse, dt_s: f64) {
        let Pulse { amplitude_a, frequency_hz } = pulse;
        let parallel = self.parameters.parallel;
        if parallel == 1 {
            self.room.fill(1.0);
        } else {
            // The wave parts by the resistances of an instant.
            let inner_a = self.self_discharge_a.as_deref();
            self.sharing.linearise(&mut self.cells, &self.cell_current_a, inner_a, 0.0);
            self.sharing.shares(&mut self.room);
        }
        let Swing { amplitude_a: own_a, highest_v, lowest_v, lowest_anode_v } = &mut self.swing;
        cells::fill(own_a, self.room.iter().map(|share| share * amplitude_a));
        highest_v.fill(0.0);
        lowest_v.fill(0.0);
        lowest_anode_v.fill(f64::INFINITY);
        let (shares, heat_w, ohm) = (&self.room, &mut self.heat_w, self.sharing.connection_ohm());
        let mean_a = &self.cell_current_a;
        let (mut cells_w, mut connections_w) = (0.0, 0.0);
        self.cells.pulse(mean_a, own_a, frequency_hz, |k, outcome| {
            let (group, own_a) = (k / parallel, shares[k] * amplitude_a);
            let connection_w = own_a * own_a * ohm[k];
            heat_w[k] += outcome.heat_w + connection_w;
            cells_w += outcome.heat_w;
            connections_w += connection_w;
            highest_v[group] += shares[k] * (outcome.highest_v - (mean_a[k] - own_a) * ohm[k]);
            lowest_v[group] += shares[k] * (outcome.lowest_v - (mean_a[k] + own_a) * ohm[k]);
            if let Some(lowest) = lowest_anode_v.get_mut(group) {
                *lowest = lowest.min(outcome.lowest_anode_v);
            }
        });
        self.ledger.cells_j += cells_w * dt_s;
        self.ledger.connections_j += connections_w * dt_s;
        self.ledger.terminals_j -= (cells_w + connections_w) * dt_s;
        self.pulsed = true;
    }

    /// How the pack is put together; the isolation of now is the [`Switchgear`]'s.
    pub fn parameters(&self) -> &PackParameters {
        &self.parameters
    }

    /// Groups in series, at least 1.
    pub fn series(&self) -> usize {
        self.group_voltage_v.len()
    }

    /// Cells in parallel, at least 1.
    pub fn parallel(&self) -> usize {
        self.parameters.parallel
    }

    /// The cells.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Contactors, precharge, DC link, fuse and isolation.
    pub fn switchgear(&self) -> &Switchgear {
        &self.switchgear
    }

    /// The same, to be told to close, to be broken or repaired.
    pub const fn switchgear_mut(&mut self) -> &mut Switchgear {
        &mut self.switchgear
    }

    /// Voltages of the groups in V at the end of the last step, between their nodes, without busbars; under a pulse those
    /// of its mean.
    pub fn group_voltage_v(&self) -> &[f64] {
        &self.group_voltage_v
    }

    /// Highest and lowest voltage of each group in V in the last step: the same, but under a pulse.
    pub fn group_extremes_v(&self) -> [&[f64]; 2] {
        if self.pulsed { [&self.swing.highest_v, &self.swing.lowest_v] } else { [&self.group_voltage_v; 2] }
    }

    /// Voltage of every cell in V at its own terminals, at the end of the last step.
    ///
    /// Those of a group, less `connection_ohm` times their currents, agree but for what the lines of the step did not
    /// foresee; the [module documentation](self) says how far.
    pub fn cell_voltage_v(&self) -> &[f64] {
        self.readings.voltage_v(&self.cells)
    }

    /// Current through the terminals of every cell in A during the last step; under a pulse its mean.
    pub fn cell_current_a(&self) -> &[f64] {
        &self.cell_current_a
    }

    /// Voltage of all groups and busbars in V, between plus and minus before cables and contactors.
    pub fn pack_voltage_v(&self) -> f64 {
        self.pack_v
    }

    /// Voltage of the DC link in V, where the load is.
    pub fn link_voltage_v(&self) -> f64 {
        self.switchgear.link_v()
    }

    /// Current through the terminals in A during the last step.
    pub fn current_a(&self) -> f64 {
        self.current_a
    }

    /// Current in A that leaks from plus to minus over the chassis.
    pub fn isolation_current_a(&self) -> f64 {
        self.isolation_leak_a()
    }

    /// True states of charge as fractions of each cell's own capacity; not clamped.
    pub fn soc(&self) -> &[f64] {
        self.readings.soc(&self.cells)
    }

    /// True capacities of the cells in Ah.
    pub fn capacity_ah(&self) -> &[f64] {
        &self.capacity_ah
    }

    /// Core temperatures of the cells in degC, written to `into`, which has room for all of them.
    ///
    /// # Errors
    /// [`PlantError::Length`] when it has not.
    pub fn read_core_c(&self, into: &mut [f64]) -> Result<(), PlantError> {
        if into.len() != self.cells.len() {
            return Err(PlantError::Length { expected: self.cells.len(), got: into.len() });
        }
        self.cells.core_temperature_c(into);
        Ok(())
    }

    /// Heat of every cell in W, mean over the last step: irreversible and entropic, with that of its connection, of its
    /// self-discharge and of pulses.
    pub fn heat_w(&self) -> &[f64] {
        &self.heat_w
    }

    /// Heat of each of the busbars in W; they are alike, one for each group.
    pub fn busbar_heat_w(&self) -> f64 {
        let amplitude_a = self.pulse_amplitude_a();
        self.parameters.busbar_ohm * (self.current_a * self.current_a + amplitude_a * amplitude_a)
    }

    fn pulse_amplitude_a(&self) -> f64 {
        let p = self.parameters.parallel;
        if self.pulsed { self.swing.amplitude_a[..p].iter().sum() } else { 0.0 }
    }

    /// Lowest potential of a negative electrode against the electrolyte in V, group by group, where the model has
    /// electrodes; under a pulse in its charging half wave. Below 0, lithium plates.
    pub fn anode_potential_v(&self) -> Option<&[f64]> {
        let v = if self.pulsed { &self.swing.lowest_anode_v } else { &self.group_anode_v };
        self.cells.has_anode().then_some(v.as_slice())
    }

    /// Energies since the pack was made.
    pub fn ledger(&self) -> &EnergyLedger {
        &self.ledger
    }

    /// Energy in J that the cells hold against empty ones at 25 degC, where the model knows: for circuits the integral of
    /// `U - T dU/dT` (with `T` = 298.15 K) over their charge, which also counts what they take from their surroundings as
    /// entropic heat; for supercapacitors what is in both branches.
    pub fn stored_j(&self) -> Option<f64> {
        self.cells.stored_j()
    }
}

/// Sum in eight strands, which the processor adds side by side.
fn sum(values: &[f64]) -> f64 {
    let mut strands = [0.0; 8];
    let (whole, rest) = values.as_chunks::<8>();
    for eight in whole {
        strands.iter_mut().zip(eight).for_each(|(strand, v)| *strand += v);
    }
    strands.iter().chain(rest).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut strands = [0.0; 8];
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in whole_a.iter().zip(whole_b) {
        for ((strand, a), b) in strands.iter_mut().zip(a).zip(b) {
            *strand += a * b;
        }
    }
    strands.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// Sum of `current^2 ohm`.
fn sum_of_squares(current_a: &[f64], ohm: &[f64]) -> f64 {
    let mut strands = [0.0; 8];
    let ((whole_i, rest_i), (whole_r, rest_r)) = (current_a.as_chunks::<8>(), ohm.as_chunks::<8>());
    for (i, r) in whole_i.iter().zip(whole_r) {
        for ((strand, i), r) in strands.iter_mut().zip(i).zip(r) {
            *strand += i * i * r;
        }
    }
    strands.iter().sum::<f64>() + rest_i.iter().zip(rest_r).map(|(i, r)| i * i * r).sum::<f64>()
}
