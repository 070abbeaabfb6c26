//! The simulated pack: cells, thermal network, devices and balancing hardware as one.

use cell_models::balancing::{
    ActiveBalancer, ActiveParameters, BleedParameters, BleedResistors, SwitchedCapacitorParameters,
    SwitchedCapacitors, Transfer,
};
use cell_models::network::{DeviceCommand, Devices, NetworkLayout, ThermalNetwork};
use cell_models::pack::{
    CellWiring, Cells, Contactor, FuseParameters, Pack, PackLoad, PackParameters, Switchgear,
    SwitchgearParameters,
};
use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell};
use cell_models::{
    BatchCell, EcmBatch, EcmParameters, ParameterError, Plant as _, PlantError, SupercapCell,
    SupercapParameters,
};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::ClosedLoopError;
use super::failures::Failures;
use crate::pack_file::{Balancing, CellParameters, PackFile};
use crate::packs::resistance_ohm;
use crate::scenario::{SocSpread, Trigger};

/// Nobody builds cells into a pack that are further off (standard deviations).
const MOST_SIGMAS: f64 = 3.0;
/// Hysteresis of a board's cut-out in K.
const BOARD_HYSTERESIS_K: f64 = 10.0;
/// Hottest core that electrical models are told, in degC: above it their tables and laws mean nothing.
const HOTTEST_MODEL_C: f64 = 90.0;
/// Resistance in ohm through which the vehicle discharges the link once it is cut off: below 60 V within a second.
const LINK_DISCHARGE_OHM: f64 = 500.0;
/// Any current in A switches a balancing channel on.
const STUCK_A: f64 = 1e-3;

/// The cell that all cells of a pack are like.
#[derive(Debug, Clone)]
pub enum CellKind {
    /// Physics, and its resistance for 10 s at half charge and 25 degC in ohm.
    Physics(Box<SpmeCell>, f64),
    /// Equivalent circuit.
    Circuit(Box<EcmParameters>),
    /// Supercapacitor.
    Supercap(Box<SupercapParameters>),
}

impl CellKind {
    /// The cell of a pack file.
    ///
    /// # Errors
    /// When its parameters are refused, or it has no plant.
    pub fn of(file: &PackFile) -> Result<Self, ClosedLoopError> {
        match file.cell_parameters() {
            Some(CellParameters::Physics(parameters)) => {
                let cell = SpmeCell::new(parameters, 1.0, 25.0)?;
                let ohm = resistance_ohm(&cell)?;
                Ok(Self::Physics(Box::new(cell), ohm))
            }
            Some(CellParameters::Circuit(parameters)) => Ok(Self::Circuit(Box::new(parameters))),
            Some(CellParameters::Supercap(parameters)) => Ok(Self::Supercap(Box::new(parameters))),
            None => Err(ClosedLoopError::Cell { cell: file.cell.name.clone() }),
        }
    }
}

/// How a pack starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StartState {
    /// Mean SOC of the cells, fraction.
    pub soc: f64,
    /// How it differs, if not as in the pack file.
    pub soc_spread: Option<SocSpread>,
    /// Temperature of everything in degC.
    pub temperature_c: f64,
}

/// A cell that is weaker than the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeakCell {
    /// Number of the cell.
    pub cell: usize,
    /// Its capacity as a share of what it would have.
    pub capacity_factor: f64,
    /// Its resistance as a multiple of what it would have.
    pub resistance_factor: f64,
}

/// What the devices are to do, as the core asks for it.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// Flow in L/min, and its direction.
    pub flow_l_per_min: f64,
    /// See [`Self::flow_l_per_min`].
    pub reverse: bool,
    /// Heat for the chiller to take, in W.
    pub chiller_w: f64,
    /// Heat for the heater to give, in W.
    pub heater_w: f64,
    /// Power of each module's film in W.
    pub film_w: Vec<f64>,
    /// Current of each group's balancing channel in A, positive out of the group.
    pub balance_a: Vec<f64>,
}

/// Devices that have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Broken {
    /// The pump stands still.
    pub pump: bool,
    /// The chiller gives nothing.
    pub chiller: bool,
    /// The heater gives nothing.
    pub heater: bool,
}

#[derive(Debug)]
enum BalancingHardware {
    None(Vec<f64>),
    Passive(BleedResistors, Vec<bool>),
    Active(ActiveBalancer, Vec<Transfer>),
    Capacitors(SwitchedCapacitors),
}

/// A pack of a file with its own spread.
#[derive(Debug)]
pub struct PlantPack {
    pack: Pack,
    network: ThermalNetwork,
    devices: Devices,
    balancing: BalancingHardware,
    broken: Broken,
    broken_films: Vec<bool>,
    extra_a: Vec<f64>,
    leak_a: Vec<f64>,
    sensor_cells: Vec<usize>,
    sensed_c: Vec<f64>,
    group_soc: Vec<f64>,
    film_w: Vec<f64>,
    balancing_loss_w: f64,
    failures: Failures,
    /// Core temperatures that the electrical model is told.
    model_c: Vec<f64>,
    /// Power in W of a heater that cannot be switched off, and a balancing channel that cannot.
    stuck_heater_w: f64,
    stuck_channel: Option<usize>,
}

impl PlantPack {
    /// A pack with its contactors open. The same seed gives the same cells.
    ///
    /// # Errors
    /// When the plant refuses a parameter.
    pub fn new(
        file: &PackFile,
        kind: &CellKind,
        start: &StartState,
        weak: &[WeakCell],
        seed: u64,
    ) -> Result<Self, ClosedLoopError> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut normal = |std: f64| -> f64 {
            let x: f64 = StandardNormal.sample(&mut rng);
            std * x.clamp(-MOST_SIGMAS, MOST_SIGMAS)
        };
        let (s, n) = (&file.spread, file.layout.cells());
        let groups = file.layout.series;
        let own = |k: usize, drawn: f64| match start.soc_spread {
            None => drawn,
            Some(SocSpread::Std(_)) => drawn,
            Some(SocSpread::Linear(range)) => {
                let group = k / file.layout.parallel;
                range * (group as f64 / (groups.max(2) - 1) as f64 - 0.5)
            }
        };
        let soc_std = match start.soc_spread {
            Some(SocSpread::Std(std)) => std,
            _ => s.soc_std,
        };
        // In one order for every kind of cell, so that a seed means the same.
        let mut cells = Vec::with_capacity(n);
        let mut wiring = Vec::with_capacity(n);
        let mut cells_c = Vec::with_capacity(n);
        let capacity_ah = match kind {
            CellKind::Physics(cell, _) => cell.parameters().nominal_capacity_ah,
            CellKind::Circuit(p) => p.capacity_ah,
            CellKind::Supercap(p) => SupercapCell::new((**p).clone(), start.soc, 25.0)?.capacity_ah(),
        };
        for k in 0..n {
            let (mut capacity, mut resistance) = (1.0 + normal(s.capacity_std), normal(s.resistance_std));
            for weak in weak.iter().filter(|w| w.cell == k) {
                capacity *= weak.capacity_factor;
                resistance = weak.resistance_factor * (1.0 + resistance) - 1.0;
            }
            let soc = (start.soc + own(k, normal(soc_std))).clamp(0.005, 1.0);
            let temperature_c = start.temperature_c + normal(s.temperature_std_k);
            let leak_a_per_ah = (s.self_discharge_a_per_ah + normal(s.self_discharge_std_a_per_ah)).max(0.0);
            cells.push((capacity, resistance, soc, temperature_c));
            cells_c.push(temperature_c);
            wiring.push(CellWiring {
                connection_ohm: file.electrical.tab_ohm,
                self_discharge_a: leak_a_per_ah * capacity_ah,
            });
        }
        let film_tolerance: Vec<f64> =
            (0..file.layout.modules).map(|_| (1.0 + normal(s.film_std)).max(0.5)).collect();
        let layout = as_built(file, &mut normal);
        let batch: Cells = match kind {
            CellKind::Physics(like, ohm) => {
                let spread = cells.iter().map(|&(size, resistance, soc, temperature_c)| SpmeBatchCell {
                    size,
                    // Contacts can only add: their mean, three standard deviations, is in all cells.
                    extra_ohm: ohm * (MOST_SIGMAS * s.resistance_std + resistance).max(0.0),
                    soc,
                    temperature_c,
                });
                SpmeBatch::new(like, spread)?.into()
            }
            CellKind::Circuit(p) => {
                let spread = cells.iter().map(|&(capacity, resistance, soc, temperature_c)| BatchCell {
                    capacity,
                    resistance: 1.0 + resistance,
                    soc,
                    temperature_c,
                });
                EcmBatch::new((**p).clone(), spread)?.into()
            }
            CellKind::Supercap(p) => cells
                .iter()
                .map(|&(capacity, resistance, soc, temperature_c)| {
                    SupercapCell::new((**p).clone().varied(capacity, 1.0 + resistance), soc, temperature_c)
                })
                .collect::<Result<Vec<_>, ParameterError>>()?
                .into(),
        };
        let e = &file.electrical;
        let parameters = PackParameters {
            parallel: file.layout.parallel,
            busbar_ohm: e.busbar_ohm,
            cable_ohm: e.cable_ohm + e.fuse_ohm,
            switchgear: SwitchgearParameters {
                contactor_ohm: e.contactor_ohm,
                precharge_ohm: e.precharge_ohm,
                link_f: e.link_f,
                fuse: Some(FuseParameters { rated_a: e.fuse_rated_a, melting_a2s: e.fuse_i2t_a2s }),
                isolation_ohm: [e.isolation_positive_ohm, e.isolation_negative_ohm],
                ..SwitchgearParameters::default()
            },
        };
        let mut pack = Pack::new(batch, &parameters, wiring)?;
        let devices = Devices::new(file.device_parameters(film_tolerance), &layout)?;
        let network = ThermalNetwork::new(layout, start.temperature_c)?.with_cells_c(&cells_c)?;
        pack.set_core_c(network.core_c())?;
        let sensor_cells = file.sensed_cells();
        let mut plant = Self {
            pack,
            network,
            devices,
            balancing: hardware(file, start.temperature_c)?,
            broken: Broken::default(),
            broken_films: vec![false; file.layout.modules],
            extra_a: vec![0.0; groups],
            leak_a: vec![0.0; groups],
            sensed_c: vec![start.temperature_c; sensor_cells.len()],
            sensor_cells,
            group_soc: vec![0.0; groups],
            film_w: vec![0.0; file.thermal.films.map_or(0, |_| file.layout.modules)],
            balancing_loss_w: 0.0,
            failures: Failures::new(file, matches!(kind, CellKind::Circuit(_))),
            model_c: cells_c,
            stuck_heater_w: 0.0,
            stuck_channel: None,
        };
        plant.read();
        Ok(plant)
    }

    /// Lets `dt_s` seconds pass. `aux_from_pack` makes pump, chiller and heaters a load of the pack beside `load`.
    ///
    /// # Errors
    /// The plant's own.
    pub fn step(
        &mut self,
        load: PackLoad,
        aux_from_pack: bool,
        command: &Command,
        ambient_c: f64,
        dt_s: f64,
    ) -> Result<(), PlantError> {
        for (k, film) in self.film_w.iter_mut().enumerate() {
            let broken = self.broken_films.get(k).copied().unwrap_or(false);
            *film = if broken { 0.0 } else { command.film_w.get(k).copied().unwrap_or(0.0) };
        }
        let or_nothing = |broken: bool, x: f64| if broken { 0.0 } else { x };
        let asked = DeviceCommand {
            flow_l_per_min: or_nothing(self.broken.pump, command.flow_l_per_min),
            reverse: command.reverse,
            chiller_w: or_nothing(self.broken.chiller, command.chiller_w),
            heater_w: or_nothing(self.broken.heater, command.heater_w).max(self.stuck_heater_w),
            radiator: false,
            film_w: &self.film_w,
        };
        let electric = self.devices.apply(&asked, &self.network, ambient_c, dt_s)?;
        self.balance(command, ambient_c, dt_s)?;
        let aux_w = if aux_from_pack { electric.total() } else { 0.0 };
        let aux_a = aux_w / self.pack.pack_voltage_v().max(1.0);
        let load = match load {
            PackLoad::PowerW(w) => PackLoad::PowerW(w + aux_w),
            // Alone they are a load of known power, whatever the voltage was before.
            PackLoad::CurrentA(0.0) if aux_w > 0.0 => PackLoad::PowerW(aux_w),
            PackLoad::CurrentA(a) => PackLoad::CurrentA(a + aux_a),
            PackLoad::VoltageV(v) => PackLoad::VoltageV(v),
            PackLoad::Pulse { amplitude_a, mean_a, frequency_hz } => {
                PackLoad::Pulse { amplitude_a, mean_a: mean_a + aux_a, frequency_hz }
            }
        };
        let (pack, core_c) = (&mut self.pack, self.network.core_c());
        let extra_w = self.failures.step(pack, core_c, &self.group_soc, &mut self.extra_a, dt_s)?;
        pack.step(load, &self.extra_a, dt_s)?;
        let heat_w = match extra_w {
            Some(all_w) => {
                all_w.iter_mut().zip(pack.heat_w()).for_each(|(all, w)| *all += w);
                all_w
            }
            None => pack.heat_w(),
        };
        self.network.step(heat_w, &self.devices.actuation(), ambient_c, dt_s)?;
        self.model_c.iter_mut().zip(self.network.core_c()).for_each(|(to, t)| *to = t.min(HOTTEST_MODEL_C));
        pack.set_core_c(&self.model_c)?;
        pack.switchgear_mut().discharge_link(LINK_DISCHARGE_OHM, dt_s);
        self.read();
        Ok(())
    }

    fn balance(&mut self, command: &Command, ambient_c: f64, dt_s: f64) -> Result<(), PlantError> {
        let v = self.pack.group_voltage_v();
        let stuck = self.stuck_channel;
        let asked = |k: usize| {
            let asked = command.balance_a.get(k).copied().unwrap_or(0.0);
            if stuck == Some(k) { asked.max(STUCK_A) } else { asked }
        };
        let (drawn, loss_w): (&[f64], f64) = match &mut self.balancing {
            BalancingHardware::None(nothing) => (nothing, 0.0),
            BalancingHardware::Passive(hardware, on) => {
                on.iter_mut().enumerate().for_each(|(k, on)| *on = asked(k) > 0.0);
                hardware.step(on, v, ambient_c, dt_s)?;
                (hardware.group_extra_a(), hardware.heat_w())
            }
            BalancingHardware::Active(hardware, transfers) => {
                for (k, transfer) in transfers.iter_mut().enumerate() {
                    *transfer = match asked(k) {
                        a if a > 0.0 => Transfer::ToPack,
                        a if a < 0.0 => Transfer::FromPack,
                        _ => Transfer::Off,
                    };
                }
                hardware.step(transfers, v, dt_s)?;
                (hardware.group_extra_a(), hardware.loss_w())
            }
            BalancingHardware::Capacitors(hardware) => {
                hardware.step(true, v, dt_s)?;
                (hardware.group_extra_a(), hardware.loss_w())
            }
        };
        self.balancing_loss_w = loss_w;
        for ((extra, drawn), leak) in self.extra_a.iter_mut().zip(drawn).zip(&self.leak_a) {
            *extra = drawn + leak;
        }
        Ok(())
    }

    fn read(&mut self) {
        let surface = self.network.surface_c();
        for (sensed, cell) in self.sensed_c.iter_mut().zip(&self.sensor_cells) {
            *sensed = surface[*cell];
        }
        // Cells of a group differ little; the group's state is that of its charge.
        let parallel = self.pack.parallel();
        let cells = self.pack.soc().chunks(parallel).zip(self.pack.capacity_ah().chunks(parallel));
        for (soc, (z, ah)) in self.group_soc.iter_mut().zip(cells) {
            let charge: f64 = z.iter().zip(ah).map(|(z, q)| z * q).sum();
            *soc = charge / ah.iter().sum::<f64>();
        }
    }

    /// Opens or closes both main contactors; the precharge is taken as done.
    pub fn connect(&mut self, closed: bool) {
        if self.pack.switchgear().is_closed(Contactor::Plus) != closed {
            self.pack.switchgear_mut().set_main(closed);
        }
    }

    /// Tells plus, minus and precharge contactor to close or to open.
    pub fn switch(&mut self, closed: [bool; 3]) {
        let all = [Contactor::Plus, Contactor::Minus, Contactor::Precharge];
        all.into_iter().zip(closed).for_each(|(c, closed)| self.pack.switchgear_mut().set(c, closed));
    }

    /// Contactors, fuse, isolation, to be broken.
    pub const fn switchgear_mut(&mut self) -> &mut Switchgear {
        self.pack.switchgear_mut()
    }

    /// The electrical part.
    #[must_use]
    pub const fn pack(&self) -> &Pack {
        &self.pack
    }

    /// The thermal network.
    #[must_use]
    pub const fn network(&self) -> &ThermalNetwork {
        &self.network
    }

    /// Pump, chiller, heaters.
    #[must_use]
    pub const fn devices(&self) -> &Devices {
        &self.devices
    }

    /// SOC of every group, fraction.
    #[must_use]
    pub fn group_soc(&self) -> &[f64] {
        &self.group_soc
    }

    /// Temperature under every sensor in degC.
    #[must_use]
    pub fn sensed_c(&self) -> &[f64] {
        &self.sensed_c
    }

    /// Hottest balancing board in degC, or the coolant's where there is none.
    #[must_use]
    pub fn board_c(&self) -> f64 {
        match &self.balancing {
            BalancingHardware::Passive(hardware, _) => {
                hardware.board_c().iter().copied().fold(f64::MIN, f64::max)
            }
            _ => self.network.inlet_c(),
        }
    }

    /// Loss of the balancing in the last step in W.
    #[must_use]
    pub const fn balancing_loss_w(&self) -> f64 {
        self.balancing_loss_w
    }

    /// Devices that have failed; to be changed as a scenario's faults ask for.
    pub const fn broken_mut(&mut self) -> &mut Broken {
        &mut self.broken
    }

    /// A module's film gives nothing from now on.
    pub fn break_film(&mut self, module: usize) {
        if let Some(broken) = self.broken_films.get_mut(module) {
            *broken = true;
        }
    }

    /// A current in A discharges a group from inside from now on, on top of what does already.
    pub fn leak(&mut self, group: usize, current_a: f64) {
        if let Some(leak) = self.leak_a.get_mut(group) {
            *leak += current_a;
        }
    }

    /// A resistance in ohm joins the poles of a cell from inside, from now on.
    pub fn short_inside(&mut self, cell: usize, ohm: f64) {
        self.failures.short(cell, ohm);
    }

    /// Drives a cell into thermal runaway.
    ///
    /// # Errors
    /// When the model refuses its parameters.
    pub fn run_away(&mut self, cell: usize, trigger: Trigger) -> Result<(), ClosedLoopError> {
        Ok(self.failures.run_away(cell, trigger)?)
    }

    /// Cells that run away or have.
    #[must_use]
    pub fn cells_lost(&self) -> usize {
        self.failures.runaway().map_or(0, cell_models::runaway::Runaway::lost)
    }

    /// The heater of the coolant gives at least so much from now on, in W.
    pub const fn stick_heater(&mut self, power_w: f64) {
        self.stuck_heater_w = power_w;
    }

    /// A group's balancing channel stays on from now on.
    pub const fn stick_channel(&mut self, group: usize) {
        self.stuck_channel = Some(group);
    }

    /// A channel lets so much less through from now on (share 0..1).
    ///
    /// # Errors
    /// When there is no such channel or share.
    pub fn block_channel(&mut self, channel: usize, share: f64) -> Result<(), ClosedLoopError> {
        Ok(self.network.set_blocked(channel, share)?)
    }
}

/// The thermal network as it was built, which is not quite what the file states.
fn as_built(file: &PackFile, normal: &mut impl FnMut(f64) -> f64) -> NetworkLayout {
    let mut layout = file.network_layout();
    let s = &file.spread;
    let mut factor = |std: f64| (1.0 + normal(std)).max(0.3);
    let [capacity, inner, contact, coolant] = [(); 4].map(|()| factor(s.build_std));
    for cell in &mut layout.cells {
        cell.core_j_per_k *= capacity;
        cell.surface_j_per_k *= capacity;
        cell.core_surface_w_per_k *= inner;
    }
    for link in &mut layout.contacts {
        link.w_per_k *= contact * factor(s.contact_std);
    }
    for channel in &mut layout.channels {
        channel.w_per_k *= coolant;
    }
    layout
}

fn hardware(file: &PackFile, start_c: f64) -> Result<BalancingHardware, ClosedLoopError> {
    let groups = file.layout.series;
    Ok(match file.balancing {
        None => BalancingHardware::None(vec![0.0; groups]),
        Some(Balancing::Passive(p)) => {
            let parameters = BleedParameters {
                resistor_ohm: p.resistor_ohm,
                groups_per_board: file.layout.groups_per_module(),
                max_channels: p.max_channels,
                board_j_per_k: p.board_j_per_k,
                board_to_ambient_w_per_k: p.board_to_ambient_w_per_k,
                cut_out_c: p.board_max_c,
                release_c: p.board_max_c - BOARD_HYSTERESIS_K,
            };
            BalancingHardware::Passive(BleedResistors::new(parameters, groups, start_c)?, vec![false; groups])
        }
        Some(Balancing::Active(a)) => {
            let parameters = ActiveParameters {
                current_a: a.current_a,
                efficiency: a.efficiency,
                max_channels: a.max_channels * file.layout.modules,
                control_w: 0.0,
            };
            BalancingHardware::Active(ActiveBalancer::new(parameters, groups)?, vec![Transfer::Off; groups])
        }
        Some(Balancing::SwitchedCapacitors(c)) => {
            let parameters = SwitchedCapacitorParameters {
                capacitance_f: c.farad,
                frequency_hz: c.hz,
                loop_ohm: c.path_ohm,
            };
            BalancingHardware::Capacitors(SwitchedCapacitors::new(parameters, groups)?)
        }
    })
}
