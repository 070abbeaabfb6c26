//! Thermal network of a pack: cells with core and surface, cooling plates, coolant in channels, heaters, surroundings;
//! and the devices between a controller and it.
//!
//! # Equations
//!
//! Temperatures of core `c`, surface `s`, plate segment `p`, coolant under a segment `w`, tank `t`, surroundings `a`;
//! heat of the cell `q`, of a film on its surface `f`; conductances `K`, `G` in W/K, heat capacities `C` in J/K:
//!
//! | Equation | Node |
//! |---|---|
//! | `C_c dc/dt = q - K_cs (c - s)` | core |
//! | `C_s ds/dt = K_cs (c - s) + f + K_sa (a - s) + sum G_n (s_n - s) + sum G_p (p - s)` | surface, with neighbours and plate |
//! | `C_p dp/dt = sum G_p (s - p) + sum G_w (w - p) + K_pa (a - p)` | plate segment |
//! | `C_w dw/dt = m (w_upstream - w) + G_w (p - w)` | coolant of one visit of a channel to a segment; `m` in W/K: heat capacity flow |
//! | `C_t dt/dt = sum m (w_last - t) + (K_ta + K_r) (a - t) + heater - chiller` | tank, from which all channels are fed; `K_r`: radiator |
//!
//! `G_w` goes with the flow `F` in its channel: `G_w = G_nominal max((F / F_nominal)^n, still share)`, at most ten
//! times `G_nominal`.
//!
//! # Time steps
//!
//! A step is cut into equal substeps so short that no node loses more than half of its excess temperature over its
//! explicit conductances (10 s at most). In a substep core and surface of a cell are solved exactly together for
//! constant heat and flows to their other neighbours; coolant and tank are solved implicitly, upwind, in one sweep
//! through the loop, whatever the flow; everything that one node loses another gains. Hence: energy balances to
//! rounding, steady states are exact, without heat no node leaves the range of the temperatures around it, and any flow
//! and step length is stable. It is first order in the substep.
//!
//! Core and surface that level out within 0.1 s ([`Thermal::lumped`](crate::Thermal::lumped)) are one node in effect: each
//! gets half of their heat capacity, as a tiny surface would need tiny steps; the conductance between them stays.
//!
//! # Sources
//!
//! * S. V. Patankar, *Numerical Heat Transfer and Fluid Flow*, Hemisphere, 1980, chapters 4 and 5: balances over control
//!   volumes, positive coefficients, upwind.
//! * M. Hochbruck, A. Ostermann, "Exponential integrators", *Acta Numerica* 19 (2010) 209: the cell's two nodes.
//! * F. W. Dittus, L. M. K. Boelter, *University of California Publications in Engineering* 2 (1930) 443: exponent of the flow.

mod devices;
mod layout;
mod links;
#[cfg(test)]
mod tests;

use pulp::Arch;

use crate::error::{ParameterError, PlantError, check};
use crate::plant::{check_temperature, check_time_step};
pub use devices::{
    Chiller, DeviceCommand, DeviceParameters, Devices, FilmHeaters, PerDevice, PtcHeater, Pump, Radiator,
};
pub use layout::{CellNode, Channel, Contact, Coolant, Film, Neighbour, NetworkLayout, PlateSegment};
use links::Links;

/// Largest heat per cell, film or device that the network takes, in W either way. More is a mistaken unit.
pub const MAX_HEAT_W: f64 = 1e7;
/// Largest flow that the network takes, in L/min.
pub const MAX_FLOW_L_PER_MIN: f64 = 1e4;
/// Longest step in s.
pub const MAX_STEP_S: f64 = 1e6;
/// Longest substep in s.
const MAX_SUBSTEP_S: f64 = 10.0;

/// Core and surface that level out with a shorter time constant in s are one node in effect.
const TIED_S: f64 = 0.1;
/// Largest multiple of a nominal conductance that any flow gives.
const MAX_RISE: f64 = 10.0;

/// What pump, valves, chiller and heaters do during a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Actuation<'a> {
    /// Total flow of coolant in L/min, 0..[`MAX_FLOW_L_PER_MIN`].
    pub flow_l_per_min: f64,
    /// The coolant runs through all channels from their end to their start.
    pub reverse: bool,
    /// Heat taken out of the coolant (in the tank) in W, not negative.
    pub chiller_w: f64,
    /// Heat put into the coolant (in the tank) in W, not negative.
    pub heater_w: f64,
    /// Conductance in W/K between tank and surroundings over a radiator, not negative.
    pub radiator_w_per_k: f64,
    /// Heat of each film in W, not negative; one per film of the layout.
    pub film_w: &'a [f64],
}

impl<'a> Actuation<'a> {
    /// Everything off; `film_w` must still hold one value per film.
    pub fn off(film_w: &'a [f64]) -> Self {
        Self {
            flow_l_per_min: 0.0,
            reverse: false,
            chiller_w: 0.0,
            heater_w: 0.0,
            radiator_w_per_k: 0.0,
            film_w,
        }
    }
}

/// Where the heat came from and where it is, in J since the network was made.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EnergyLedger {
    /// Gained by cores and surfaces of the cells.
    pub stored_cells_j: f64,
    /// Gained by the plates.
    pub stored_plates_j: f64,
    /// Gained by the coolant, tank included.
    pub stored_coolant_j: f64,
    /// Heat released in the cells; entropic cooling counts negative.
    pub from_cells_j: f64,
    /// From heating films.
    pub from_films_j: f64,
    /// From the heater in the coolant.
    pub from_heater_j: f64,
    /// Lost to the surroundings by cells, plates, tank and radiator; negative where they warmed the pack.
    pub to_ambient_j: f64,
    /// Taken out by the chiller.
    pub to_chiller_j: f64,
    /// What has passed through the balance: the absolute values of all gains and losses, added up step by step.
    pub throughput_j: f64,
}

impl EnergyLedger {
    /// What has come in, less what has gone out and what is stored: 0 but for rounding.
    pub fn imbalance_j(&self) -> f64 {
        self.from_cells_j + self.from_films_j + self.from_heater_j
            - self.to_ambient_j
            - self.to_chiller_j
            - self.stored_cells_j
            - self.stored_plates_j
            - self.stored_coolant_j
    }
}

/// Temperatures in degC.
#[derive(Debug, Clone)]
struct State {
    core: Vec<f64>,
    surface: Vec<f64>,
    plate: Vec<f64>,
    /// Under a plate segment, by visit.
    coolant: Vec<f64>,
    tank: f64,
}

/// What a substep does to the two nodes of each cell: rise in K per W into core or surface.
#[derive(Debug, Clone, Default)]
struct CellResponse {
    /// Core per W into the core.
    core: Vec<f64>,
    /// Either per W into the other.
    cross: Vec<f64>,
    /// Surface per W into the surface.
    surface: Vec<f64>,
}

/// The coolant's implicit step: `w = keep w_before + take p + pass w_upstream`.
#[derive(Debug, Clone, Default)]
struct CoolantResponse {
    keep: Vec<f64>,
    take: Vec<f64>,
    pass: Vec<f64>,
    /// Rise of `w` per K of the inlet.
    from_inlet: Vec<f64>,
    /// Conductance to the plate in W/K.
    plate_w_per_k: Vec<f64>,
}

/// A channel's visits as a range of all visits.
#[derive(Debug, Clone)]
struct Route {
    first: usize,
    end: usize,
    w_per_k: f64,
    share: f64,
    open: f64,
    /// Heat capacity flow in W/K.
    flow_w_per_k: f64,
}

/// A thermal network and its temperatures: see the [module](self).
///
/// No step allocates. A clone is an independent network in the same state.
///
/// ```
/// use cell_models::network::{
///     Actuation, CellNode, Channel, Contact, Coolant, NetworkLayout, PlateSegment, ThermalNetwork,
/// };
/// // Two cells on a plate of two segments, cooled by 2 L/min.
/// let layout = NetworkLayout {
///     cells: vec![
///         CellNode {
///             core_j_per_k: 800.0,
///             surface_j_per_k: 60.0,
///             core_surface_w_per_k: 5.0,
///             surface_ambient_w_per_k: 0.1,
///         };
///         2
///     ],
///     neighbours: vec![],
///     plates: vec![PlateSegment { j_per_k: 80.0, to_ambient_w_per_k: 0.0 }; 2],
///     contacts: vec![
///         Contact { cell: 0, plate: 0, w_per_k: 4.0 },
///         Contact { cell: 1, plate: 1, w_per_k: 4.0 },
///     ],
///     channels: vec![Channel { visits: vec![0, 1], w_per_k: 20.0, share: 1.0, blocked: 0.0 }],
///     coolant: Coolant {
///         j_per_l_k: 3500.0,
///         channel_l: 0.02,
///         tank_l: 1.0,
///         nominal_flow_l_per_min: 2.0,
///         flow_exponent: 0.8,
///         still_share: 0.05,
///         tank_to_ambient_w_per_k: 1.0,
///     },
///     films: vec![],
/// };
/// let mut network = ThermalNetwork::new(layout, 25.0)?;
/// let cooling = Actuation { flow_l_per_min: 2.0, chiller_w: 20.0, ..Actuation::off(&[]) };
/// for _ in 0..3600 {
///     network.step(&[10.0, 10.0], &cooling, 25.0, 1.0)?;
/// }
/// // The second cell gets the coolant that the first has warmed: Q / (m c) = 10 W / (117 W/K).
/// assert!((network.core_c()[1] - network.core_c()[0] - 0.086).abs() < 0.01);
/// assert!(network.energy().imbalance_j().abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ThermalNetwork {
    layout: NetworkLayout,
    arch: Arch,
    state: State,
    // The layout as arrays.
    core_surface_w_per_k: Vec<f64>,
    surface_ambient_w_per_k: Vec<f64>,
    plate_ambient_w_per_k: Vec<f64>,
    per_plate_j_per_k: Vec<f64>,
    /// Sum of a plate segment's conductances but for those to the coolant.
    plate_solid_w_per_k: Vec<f64>,
    neighbours: Links,
    contacts: Links,
    routes: Vec<Route>,
    visit_plate: Vec<u32>,
    /// Longest substep in s that the cells allow.
    cell_substep_s: f64,
    // Depend on the last step's length and flow.
    substep_s: f64,
    cell_response: CellResponse,
    coolant_substep_s: f64,
    flow_l_per_min: f64,
    reverse: bool,
    plate_substep_s: f64,
    coolant_response: CoolantResponse,
    /// Heat capacity flow of all channels in W/K.
    loop_w_per_k: f64,
    /// Sum over the channels of heat capacity flow times the outlet's rise per K of the inlet.
    return_w_per_k: f64,
    // Scratch.
    surface_gain_w: Vec<f64>,
    plate_gain_w: Vec<f64>,
    film_cell_w: Vec<f64>,
    films_on: bool,
    ledger: EnergyLedger,
    start: [f64; 3],
}

impl ThermalNetwork {
    /// A network with all temperatures at `start_c` (degC, -273.15..1000).
    ///
    /// # Errors
    /// When a number of the layout or the temperature is out of range; the message names it.
    pub fn new(mut layout: NetworkLayout, start_c: f64) -> Result<Self, ParameterError> {
        layout.validate()?;
        check_start(start_c)?;
        layout.cells.iter_mut().for_each(join_if_tied);
        let mut routes = Vec::new();
        let mut visit_plate = Vec::new();
        for channel in &layout.channels {
            let first = visit_plate.len();
            visit_plate.extend(channel.visits.iter().map(|&j| j as u32));
            routes.push(Route {
                first,
                end: visit_plate.len(),
                w_per_k: channel.w_per_k,
                share: channel.share,
                open: 1.0 - channel.blocked,
                flow_w_per_k: 0.0,
            });
        }
        let surface_w_per_k = layout.surface_w_per_k();
        let (cells, plates, visits) = (layout.cells.len(), layout.plates.len(), visit_plate.len());
        let mut network = Self {
            arch: Arch::new(),
            state: State {
                core: vec![start_c; cells],
                surface: vec![start_c; cells],
                plate: vec![start_c; plates],
                coolant: vec![start_c; visits],
                tank: start_c,
            },
            core_surface_w_per_k: layout.cells.iter().map(|c| c.core_surface_w_per_k).collect(),
            surface_ambient_w_per_k: layout.cells.iter().map(|c| c.surface_ambient_w_per_k).collect(),
            plate_ambient_w_per_k: layout.plates.iter().map(|p| p.to_ambient_w_per_k).collect(),
            per_plate_j_per_k: layout.plates.iter().map(|p| 1.0 / p.j_per_k).collect(),
            plate_solid_w_per_k: layout.plate_w_per_k(),
            neighbours: Links::new(layout.neighbours.iter().map(|l| (l.a.min(l.b), l.a.max(l.b), l.w_per_k))),
            contacts: Links::new(layout.contacts.iter().map(|l| (l.cell, l.plate, l.w_per_k))),
            routes,
            visit_plate,
            cell_substep_s: layout
                .cells
                .iter()
                .zip(surface_w_per_k)
                .map(|(cell, g)| longest_substep_s(cell, g))
                .fold(MAX_SUBSTEP_S, f64::min),
            substep_s: 0.0,
            cell_response: CellResponse {
                core: vec![0.0; cells],
                cross: vec![0.0; cells],
                surface: vec![0.0; cells],
            },
            coolant_substep_s: 0.0,
            flow_l_per_min: 0.0,
            reverse: false,
            plate_substep_s: MAX_SUBSTEP_S,
            coolant_response: CoolantResponse {
                keep: vec![0.0; visits],
                take: vec![0.0; visits],
                pass: vec![0.0; visits],
                from_inlet: vec![0.0; visits],
                plate_w_per_k: vec![0.0; visits],
            },
            loop_w_per_k: 0.0,
            return_w_per_k: 0.0,
            surface_gain_w: vec![0.0; cells],
            plate_gain_w: vec![0.0; plates],
            film_cell_w: vec![0.0; cells],
            films_on: false,
            ledger: EnergyLedger::default(),
            start: [0.0; 3],
            layout,
        };
        network.set_flow(0.0, false);
        network.start = network.stored_j();
        Ok(network)
    }

    /// The same network, but with an own start temperature for each cell in degC.
    ///
    /// # Errors
    /// When the number of temperatures is not that of the cells, or one is out of range (-273.15..1000 degC).
    pub fn with_cells_c(mut self, cells_c: &[f64]) -> Result<Self, ParameterError> {
        let allowed = "one for each cell";
        check("number of temperatures", cells_c.len() as f64, allowed, |_| {
            cells_c.len() == self.layout.cells.len()
        })?;
        cells_c.iter().try_for_each(|&t| check_start(t))?;
        self.state.core.copy_from_slice(cells_c);
        self.state.surface.copy_from_slice(cells_c);
        self.ledger = EnergyLedger::default();
        self.start = self.stored_j();
        Ok(self)
    }

    /// Lets `dt_s` seconds (0..[`MAX_STEP_S`]) pass with constant heat of each cell `heat_w` in W, constant actuation
    /// and surroundings of `ambient_c` degC.
    ///
    /// # Errors
    /// [`PlantError::Length`], [`PlantError::TimeStep`], [`PlantError::Temperature`] or [`PlantError::Input`] for input
    /// out of range; nothing changes then. [`PlantError::Temperature`] also when a node would end below -273.15 or above
    /// 1000 degC; the network is spoiled then.
    pub fn step(
        &mut self,
        heat_w: &[f64],
        actuation: &Actuation,
        ambient_c: f64,
        dt_s: f64,
    ) -> Result<(), PlantError> {
        self.check_input(heat_w, actuation, ambient_c, dt_s)?;
        if dt_s == 0.0 {
            return Ok(());
        }
        if actuation.flow_l_per_min != self.flow_l_per_min || actuation.reverse != self.reverse {
            self.set_flow(actuation.flow_l_per_min, actuation.reverse);
        }
        let substeps = (dt_s / self.cell_substep_s.min(self.plate_substep_s)).ceil();
        let substep_s = dt_s / substeps;
        if substep_s != self.substep_s {
            self.respond_cells(substep_s);
        }
        if substep_s != self.coolant_substep_s {
            self.respond_coolant(substep_s);
        }
        self.set_films(actuation.film_w);
        let arch = self.arch;
        let ambient_out_j = arch.dispatch(|| {
            let mut out_w = 0.0;
            for _ in 0..substeps as u64 {
                out_w += self.substep(heat_w, actuation, ambient_c);
            }
            out_w * substep_s
        });
        let cells_j = dt_s * arch.dispatch(|| sum(heat_w));
        let films_j = dt_s * actuation.film_w.iter().sum::<f64>();
        let heater_j = dt_s * actuation.heater_w;
        let chiller_j = dt_s * actuation.chiller_w;
        let l = &mut self.ledger;
        l.from_cells_j += cells_j;
        l.from_films_j += films_j;
        l.from_heater_j += heater_j;
        l.to_chiller_j += chiller_j;
        l.to_ambient_j += ambient_out_j;
        l.throughput_j += cells_j.abs() + films_j + heater_j + chiller_j + ambient_out_j.abs();
        self.check_state()
    }

    /// Temperature of each cell's core in degC.
    pub fn core_c(&self) -> &[f64] {
        &self.state.core
    }

    /// Temperature of each cell's surface in degC.
    pub fn surface_c(&self) -> &[f64] {
        &self.state.surface
    }

    /// Temperature of each plate segment in degC.
    pub fn plate_c(&self) -> &[f64] {
        &self.state.plate
    }

    /// Temperature of the coolant at each visit in degC, channel after channel, in the order of forward flow.
    pub fn coolant_c(&self) -> &[f64] {
        &self.state.coolant
    }

    /// Temperature in degC with which the coolant enters the channels: that of the tank.
    pub fn inlet_c(&self) -> f64 {
        self.state.tank
    }

    /// Temperature in degC of the coolant as it returns from the channels, mixed by flow (by share while it stands).
    pub fn outlet_c(&self) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for route in &self.routes {
            let weight = if self.loop_w_per_k > 0.0 { route.flow_w_per_k } else { route.share };
            let last = if self.reverse { route.first } else { route.end - 1 };
            sum += weight * self.state.coolant[last];
            weights += weight;
        }
        if weights > 0.0 { sum / weights } else { self.state.tank }
    }

    /// The energy balance since the network was made.
    pub fn energy(&self) -> EnergyLedger {
        let [cells, plates, coolant] = self.stored_j();
        EnergyLedger {
            stored_cells_j: cells - self.start[0],
            stored_plates_j: plates - self.start[1],
            stored_coolant_j: coolant - self.start[2],
            ..self.ledger
        }
    }

    /// The layout, with the present blockages.
    pub fn layout(&self) -> &NetworkLayout {
        &self.layout
    }

    /// Blocks a share (0..1) of the flow through a channel (counted from 0); the other channels take it over.
    ///
    /// # Errors
    /// When there is no such channel or the share is out of range.
    pub fn set_blocked(&mut self, channel: usize, blocked: f64) -> Result<(), ParameterError> {
        let known = channel < self.routes.len();
        check("channel", channel as f64, "the number of a channel, counted from 0", |_| known)?;
        check("blocked share of a channel", blocked, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
        self.routes[channel].open = 1.0 - blocked;
        self.layout.channels[channel].blocked = blocked;
        self.set_flow(self.flow_l_per_min, self.reverse);
        Ok(())
    }

    fn check_input(
        &self,
        heat_w: &[f64],
        actuation: &Actuation,
        ambient_c: f64,
        dt_s: f64,
    ) -> Result<(), PlantError> {
        for (expected, got) in
            [(self.state.core.len(), heat_w.len()), (self.layout.films.len(), actuation.film_w.len())]
        {
            if expected != got {
                return Err(PlantError::Length { expected, got });
            }
        }
        check_time_step(dt_s)?;
        check_temperature(ambient_c)?;
        let refuse = |name, value, allowed, ok: bool| {
            if ok { Ok(()) } else { Err(PlantError::Input { name, value, allowed }) }
        };
        refuse("time step in s", dt_s, "at most 1e6", dt_s <= MAX_STEP_S)?;
        let flow = actuation.flow_l_per_min;
        refuse("flow in L/min", flow, "between 0 and 1e4", (0.0..=MAX_FLOW_L_PER_MIN).contains(&flow))?;
        let range = "between 0 and 1e7";
        for (name, value) in [
            ("heat of the chiller in W", actuation.chiller_w),
            ("heat of the heater in W", actuation.heater_w),
            ("conductance of the radiator in W/K", actuation.radiator_w_per_k),
        ] {
            refuse(name, value, range, (0.0..=MAX_HEAT_W).contains(&value))?;
        }
        for &value in actuation.film_w {
            refuse("heat of a film in W", value, range, (0.0..=MAX_HEAT_W).contains(&value))?;
        }
        let allowed = |q: &f64| q.abs() <= MAX_HEAT_W;
        // All of them without a branch, as this is the long list.
        if !heat_w.iter().fold(true, |ok, q| ok & allowed(q)) {
            let value = heat_w.iter().copied().find(|q| !allowed(q)).unwrap_or(f64::NAN);
            refuse("heat of a cell in W", value, "a number of at most 1e7 either way", false)?;
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), PlantError> {
        let s = &self.state;
        let within = |t: &[f64]| t.iter().fold(true, |ok, &t| ok & (t >= -273.15) & (t <= 1000.0));
        if within(&s.core) & within(&s.surface) & within(&s.plate) & within(&s.coolant) & within(&[s.tank]) {
            return Ok(());
        }
        let nodes = s.core.iter().chain(&s.surface).chain(&s.plate).chain(&s.coolant).chain([&s.tank]);
        nodes.copied().try_for_each(check_temperature)
    }

    /// Spreads the films' heat over the cells.
    fn set_films(&mut self, film_w: &[f64]) {
        let on = film_w.iter().any(|&w| w > 0.0);
        if on || self.films_on {
            self.film_cell_w.fill(0.0);
            for (film, &w) in self.layout.films.iter().zip(film_w) {
                let each = w / film.cells.len() as f64;
                film.cells.iter().for_each(|&k| self.film_cell_w[k] += each);
            }
        }
        self.films_on = on;
    }

    /// Heat capacity flows, conductances to the plates and the longest substep that these allow.
    fn set_flow(&mut self, flow_l_per_min: f64, reverse: bool) {
        self.flow_l_per_min = flow_l_per_min;
        self.reverse = reverse;
        let c = &self.layout.coolant;
        let open: f64 = self.routes.iter().map(|r| r.share * r.open).sum();
        let shares: f64 = self.routes.iter().map(|r| r.share).sum();
        let total_w_per_k = flow_l_per_min / 60.0 * c.j_per_l_k;
        self.plate_gain_w.copy_from_slice(&self.plate_solid_w_per_k);
        self.loop_w_per_k = 0.0;
        for route in &mut self.routes {
            let share = if open > 0.0 { route.share * route.open / open } else { 0.0 };
            route.flow_w_per_k = share * total_w_per_k;
            self.loop_w_per_k += route.flow_w_per_k;
            let relative = flow_l_per_min * share / (c.nominal_flow_l_per_min * route.share / shares);
            let rise = relative.powf(c.flow_exponent).clamp(c.still_share, MAX_RISE);
            let w_per_k = route.w_per_k * rise;
            for v in route.first..route.end {
                self.coolant_response.plate_w_per_k[v] = w_per_k;
                self.plate_gain_w[self.visit_plate[v] as usize] += w_per_k;
            }
        }
        let quickest = self
            .plate_gain_w
            .iter()
            .zip(&self.per_plate_j_per_k)
            .map(|(g, per_c)| g * per_c)
            .fold(0.0, f64::max);
        self.plate_substep_s = (0.5 / quickest).min(MAX_SUBSTEP_S);
        self.coolant_substep_s = 0.0;
    }

    /// The cells' response to a substep of the given length.
    fn respond_cells(&mut self, substep_s: f64) {
        self.substep_s = substep_s;
        for (k, cell) in self.layout.cells.iter().enumerate() {
            let [core, cross, surface] = pair_response(cell, substep_s);
            self.cell_response.core[k] = core;
            self.cell_response.cross[k] = cross;
            self.cell_response.surface[k] = surface;
        }
    }

    /// The coolant's response to a substep of the given length at the present flow.
    fn respond_coolant(&mut self, substep_s: f64) {
        self.coolant_substep_s = substep_s;
        let r = &mut self.coolant_response;
        let c = &self.layout.coolant;
        let hold = c.channel_l * c.j_per_l_k / substep_s;
        self.return_w_per_k = 0.0;
        for route in &self.routes {
            let flow = route.flow_w_per_k;
            for v in route.first..route.end {
                let scale = 1.0 / (hold + flow + r.plate_w_per_k[v]);
                r.keep[v] = hold * scale;
                r.take[v] = r.plate_w_per_k[v] * scale;
                r.pass[v] = flow * scale;
            }
            let mut rise = 1.0;
            for k in 0..route.end - route.first {
                let v = if self.reverse { route.end - 1 - k } else { route.first + k };
                rise *= r.pass[v];
                r.from_inlet[v] = rise;
            }
            self.return_w_per_k += flow * rise;
        }
    }

    /// One substep; gives the power lost to the surroundings in W.
    #[inline(always)]
    fn substep(&mut self, heat_w: &[f64], actuation: &Actuation, ambient_c: f64) -> f64 {
        let State { core, surface, plate, coolant, tank } = &mut self.state;
        let (surface_gain_w, plate_gain_w) = (&mut self.surface_gain_w[..], &mut self.plate_gain_w[..]);
        for ((gain, g), t) in surface_gain_w.iter_mut().zip(&self.surface_ambient_w_per_k).zip(&*surface) {
            *gain = g * (ambient_c - t);
        }
        for ((gain, g), t) in plate_gain_w.iter_mut().zip(&self.plate_ambient_w_per_k).zip(&*plate) {
            *gain = g * (ambient_c - t);
        }
        let mut out_w = -sum(surface_gain_w) - sum(plate_gain_w);
        if self.films_on {
            surface_gain_w.iter_mut().zip(&self.film_cell_w).for_each(|(gain, film)| *gain += film);
        }
        self.neighbours.exchange_within(surface, surface_gain_w);
        self.contacts.exchange(surface, plate, surface_gain_w, plate_gain_w);

        // The coolant as if its inlet were at 0 degC; then what the true inlet adds, which the tank decides.
        let r = &self.coolant_response;
        let terms = r.keep.iter().zip(&r.take).zip(&self.visit_plate);
        for (w, ((keep, take), &j)) in coolant.iter_mut().zip(terms) {
            *w = keep * *w + take * plate[j as usize];
        }
        let mut returned_w = 0.0;
        for route in &self.routes {
            let mut upstream = 0.0;
            let visits = coolant[route.first..route.end].iter_mut().zip(&r.pass[route.first..route.end]);
            let mut advance = |(w, pass): (&mut f64, &f64)| {
                *w += pass * upstream;
                upstream = *w;
            };
            if self.reverse {
                visits.rev().for_each(&mut advance)
            } else {
                visits.for_each(&mut advance)
            }
            returned_w += route.flow_w_per_k * upstream;
        }
        let c = &self.layout.coolant;
        let hold = c.tank_l * c.j_per_l_k / self.coolant_substep_s;
        let to_ambient = c.tank_to_ambient_w_per_k + actuation.radiator_w_per_k;
        let gain_w =
            hold * *tank + returned_w + to_ambient * ambient_c + actuation.heater_w - actuation.chiller_w;
        *tank = gain_w / (hold + (self.loop_w_per_k - self.return_w_per_k) + to_ambient);
        out_w += to_ambient * (*tank - ambient_c);
        let terms = r.from_inlet.iter().zip(&r.plate_w_per_k).zip(&self.visit_plate);
        for (w, ((rise, g), &j)) in coolant.iter_mut().zip(terms) {
            *w += rise * *tank;
            plate_gain_w[j as usize] += g * (*w - plate[j as usize]);
        }

        for ((t, gain), per_c) in plate.iter_mut().zip(&*plate_gain_w).zip(&self.per_plate_j_per_k) {
            *t += self.coolant_substep_s * (gain * per_c);
        }
        let n = core.len();
        let (surface, gain, heat) = (&mut surface[..n], &surface_gain_w[..n], &heat_w[..n]);
        let link = &self.core_surface_w_per_k[..n];
        let own = &self.cell_response.core[..n];
        let cross = &self.cell_response.cross[..n];
        let shell = &self.cell_response.surface[..n];
        for k in 0..n {
            let inner = link[k] * (core[k] - surface[k]);
            let (to_core, to_surface) = (heat[k] - inner, gain[k] + inner);
            core[k] += own[k] * to_core + cross[k] * to_surface;
            surface[k] += cross[k] * to_core + shell[k] * to_surface;
        }
        out_w
    }

    /// Heat above 0 degC in cells, plates and coolant in J.
    fn stored_j(&self) -> [f64; 3] {
        let s = &self.state;
        let cells = self
            .layout
            .cells
            .iter()
            .zip(s.core.iter().zip(&s.surface))
            .map(|(cell, (c, s))| cell.core_j_per_k * c + cell.surface_j_per_k * s);
        let plates = self.layout.plates.iter().zip(&s.plate).map(|(p, t)| p.j_per_k * t);
        let c = &self.layout.coolant;
        let coolant = c.j_per_l_k * (c.channel_l * s.coolant.iter().sum::<f64>() + c.tank_l * s.tank);
        [cells.sum(), plates.sum(), coolant]
    }
}

fn check_start(start_c: f64) -> Result<(), ParameterError> {
    check("start temperature", start_c, "between -273.15 and 1000 degC", |t| check_temperature(t).is_ok())
}

/// The sum, in eight partial sums, so that it runs in vectors.
#[inline(always)]
fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (blocks, rest) = values.as_chunks::<8>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, v)| *lane += v);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest.iter().sum::<f64>()
}

/// Rise in K of a cell's nodes after `dt_s` per W that flowed into them at its start, core and surface exchanging heat:
/// core by core, either by the other, surface by surface.
///
/// The two nodes together warm by `dt / (C_c + C_s)` per W; their difference decays with
/// `l = K (1/C_c + 1/C_s)`, of which `(1 - exp(-l dt)) / l` is left of a constant drive.
fn pair_response(cell: &CellNode, dt_s: f64) -> [f64; 3] {
    let (c, s) = (cell.core_j_per_k, cell.surface_j_per_k);
    let rate = cell.core_surface_w_per_k * (1.0 / c + 1.0 / s);
    let drive_s = -(-rate * dt_s).exp_m1() / rate;
    let whole = c + s;
    [(dt_s + drive_s * s / c) / whole, (dt_s - drive_s) / whole, (dt_s + drive_s * c / s) / whole]
}

/// Shares out the heat capacity evenly where core and surface level out faster than anyone looks.
fn join_if_tied(cell: &mut CellNode) {
    let (c, s) = (cell.core_j_per_k, cell.surface_j_per_k);
    if cell.core_surface_w_per_k * (1.0 / c + 1.0 / s) * TIED_S > 1.0 {
        (cell.core_j_per_k, cell.surface_j_per_k) = (0.5 * (c + s), 0.5 * (c + s));
    }
}

/// Longest substep in s in which conductances of `w_per_k` on a cell's surface keep half of its excess temperature.
///
/// After a substep the surface's own temperature has the weight `1 - (M_ss - M_cs) K - M_ss G` (M: [`pair_response`]);
/// the last term may be half of what the first two leave.
fn longest_substep_s(cell: &CellNode, w_per_k: f64) -> f64 {
    let fits = |dt_s: f64| {
        let [_, cross, surface] = pair_response(cell, dt_s);
        1.0 - (surface - cross) * cell.core_surface_w_per_k >= 2.0 * surface * w_per_k
    };
    if fits(MAX_SUBSTEP_S) {
        return MAX_SUBSTEP_S;
    }
    let (mut low, mut high) = (0.0, MAX_SUBSTEP_S);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
