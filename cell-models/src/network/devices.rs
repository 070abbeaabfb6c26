//! Pump, valve, chiller, heaters and radiator: what becomes of a controller's command, and what it costs.

use super::{Actuation, ThermalNetwork};
use crate::error::{ParameterError, PlantError, check, check_not_negative, check_positive};
use crate::plant::{check_temperature, check_time_step};

/// A coolant pump. Its power goes with the cube of the flow: `idle + max (F / F_max)^3`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pump {
    /// Largest flow in L/min, above 0.
    pub max_flow_l_per_min: f64,
    /// Electric power in W at the largest flow, without idle power; not negative.
    pub max_w: f64,
    /// Electric power in W of the running pump without flow (electronics); not negative.
    pub idle_w: f64,
    /// By how much the flow rises or falls at most, in L/min per s, above 0. A reversal passes through standstill.
    pub rate_l_per_min_s: f64,
}

/// A vapour-compression chiller on the coolant.
///
/// `COP = carnot_share T_e / (T_c - T_e)`, at most `max_cop`: evaporator at the coolant's temperature less, condenser at
/// that of the surroundings plus `approach_k` (in K).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chiller {
    /// Largest heat taken out of the coolant in W, not negative.
    pub max_w: f64,
    /// Share of the Carnot process' COP that is reached, above 0, at most 1; 0.3..0.5 are usual.
    pub carnot_share: f64,
    /// Temperature difference in K that each heat exchanger needs, not negative; about 10.
    pub approach_k: f64,
    /// Largest COP, above 0.
    pub max_cop: f64,
    /// Temperature in degC below which it does not cool the coolant that passes it.
    pub min_coolant_c: f64,
    /// Time constant of its response in s, not negative.
    pub lag_s: f64,
}

/// A PTC heater in the coolant, which limits itself as it gets warm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PtcHeater {
    /// Largest heat in W, not negative.
    pub max_w: f64,
    /// Coolant temperature in degC up to which it gives that heat.
    pub full_up_to_c: f64,
    /// Coolant temperature in degC from which it gives none, above `full_up_to_c`; linear between. It never heats the
    /// coolant that passes it above this.
    pub zero_from_c: f64,
    /// Heat into the coolant per electric power, above 0, at most 1.
    pub efficiency: f64,
}

/// The heating films: each is switched by its own command.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmHeaters {
    /// What each film gives as a multiple of its command (spread of its resistance), above 0; one per film of the layout.
    pub tolerance: Vec<f64>,
    /// Hottest surface of a film's cells in degC at which its cut-out opens.
    pub cut_out_c: f64,
    /// Temperature in degC of all these surfaces below which it closes again, at most `cut_out_c`.
    pub release_c: f64,
}

/// A radiator that a valve puts into the loop, with a fan. It gives heat to the surroundings, or takes it from there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Radiator {
    /// Conductance in W/K between coolant and surroundings with the fan running, not negative.
    pub w_per_k: f64,
    /// Electric power of the fan in W, not negative.
    pub fan_w: f64,
}

/// All devices of a pack. A part that is missing does nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceParameters {
    /// The pump, with a valve for the direction.
    pub pump: Option<Pump>,
    /// The chiller.
    pub chiller: Option<Chiller>,
    /// The heater in the coolant.
    pub heater: Option<PtcHeater>,
    /// The heating films.
    pub films: Option<FilmHeaters>,
    /// The radiator.
    pub radiator: Option<Radiator>,
}

/// What a controller asks for. Every value is brought into the range of its device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeviceCommand<'a> {
    /// Flow in L/min.
    pub flow_l_per_min: f64,
    /// From the channels' end to their start.
    pub reverse: bool,
    /// Heat for the chiller to take out, in W.
    pub chiller_w: f64,
    /// Heat for the heater to put in, in W.
    pub heater_w: f64,
    /// Coolant through the radiator, and its fan on.
    pub radiator: bool,
    /// Heat of each film in W; one per film.
    pub film_w: &'a [f64],
}

impl<'a> DeviceCommand<'a> {
    /// Everything off; `film_w` must still hold one value per film.
    pub fn off(film_w: &'a [f64]) -> Self {
        Self { flow_l_per_min: 0.0, reverse: false, chiller_w: 0.0, heater_w: 0.0, radiator: false, film_w }
    }
}

/// One number for each device: electric power in W, or energy in J.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PerDevice {
    /// Pump.
    pub pump: f64,
    /// Chiller's compressor.
    pub chiller: f64,
    /// Heater in the coolant.
    pub heater: f64,
    /// All films together.
    pub films: f64,
    /// Fan of the radiator.
    pub fan: f64,
}

impl PerDevice {
    /// Sum over the devices.
    pub fn total(&self) -> f64 {
        self.pump + self.chiller + self.heater + self.films + self.fan
    }
}

/// The devices of a pack in operation: between a controller's command and a [`ThermalNetwork`].
///
/// ```
/// use cell_models::network::{DeviceCommand, DeviceParameters, Devices, PtcHeater, Pump};
/// # use cell_models::network::*;
/// # let layout = NetworkLayout {
/// #     cells: vec![CellNode::prism(0.03, 0.15, 0.1, 2e6, 0.8, 5.0); 4], neighbours: vec![],
/// #     plates: vec![PlateSegment { j_per_k: 300.0, to_ambient_w_per_k: 0.0 }],
/// #     contacts: (0..4).map(|cell| Contact { cell, plate: 0, w_per_k: 4.0 }).collect(),
/// #     channels: vec![Channel { visits: vec![0], w_per_k: 100.0, share: 1.0, blocked: 0.0 }],
/// #     coolant: Coolant { j_per_l_k: 3500.0, channel_l: 0.1, tank_l: 1.0, nominal_flow_l_per_min: 5.0,
/// #         flow_exponent: 0.8, still_share: 0.05, tank_to_ambient_w_per_k: 0.5 },
/// #     films: vec![],
/// # };
/// // `layout`: four cells on a plate. Half an hour of heating at -20 degC.
/// let mut network = ThermalNetwork::new(layout, -20.0)?;
/// let mut devices = Devices::new(
///     DeviceParameters {
///         pump: Some(Pump { max_flow_l_per_min: 5.0, max_w: 40.0, idle_w: 3.0, rate_l_per_min_s: 1.0 }),
///         heater: Some(PtcHeater { max_w: 1500.0, full_up_to_c: 40.0, zero_from_c: 70.0, efficiency: 0.98 }),
///         chiller: None,
///         films: None,
///         radiator: None,
///     },
///     network.layout(),
/// )?;
/// let command = DeviceCommand { flow_l_per_min: 5.0, heater_w: 500.0, ..DeviceCommand::off(&[]) };
/// for _ in 0..1800 {
///     devices.apply(&command, &network, -20.0, 1.0)?;
///     network.step(&[0.0; 4], &devices.actuation(), -20.0, 1.0)?;
/// }
/// assert!(network.core_c()[0] > 20.0);
/// assert!(devices.energy_j().heater > network.energy().from_heater_j);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Devices {
    parameters: DeviceParameters,
    max_film_w: Vec<f64>,
    /// Flow in L/min; negative when reversed.
    flow_l_per_min: f64,
    /// Heat of the chiller in W at the end of the last step, before its limits.
    chiller_w: f64,
    cut_out: Vec<bool>,
    // What the network is to do.
    chilled_w: f64,
    heated_w: f64,
    radiator_w_per_k: f64,
    film_w: Vec<f64>,
    electric_w: PerDevice,
    energy_j: PerDevice,
}

impl Devices {
    /// Devices at rest, for the films of a layout.
    ///
    /// # Errors
    /// When a number is out of range, or there is not one tolerance per film.
    pub fn new(parameters: DeviceParameters, layout: &super::NetworkLayout) -> Result<Self, ParameterError> {
        if let Some(p) = &parameters.pump {
            check_positive("largest flow of the pump", p.max_flow_l_per_min)?;
            check("largest flow of the pump", p.max_flow_l_per_min, "at most 1e4 L/min", |v| {
                v <= super::MAX_FLOW_L_PER_MIN
            })?;
            check_not_negative("power of the pump", p.max_w)?;
            check_not_negative("idle power of the pump", p.idle_w)?;
            check_positive("rate of the pump", p.rate_l_per_min_s)?;
        }
        let heat = |name, w| check(name, w, "between 0 and 1e7", |w| (0.0..=super::MAX_HEAT_W).contains(&w));
        let temperature =
            |name, t| check(name, t, "between -273.15 and 1000 degC", |t| check_temperature(t).is_ok());
        let share = |name, v| check(name, v, "above 0 and at most 1", |v| v > 0.0 && v <= 1.0);
        if let Some(c) = &parameters.chiller {
            heat("heat of the chiller", c.max_w)?;
            share("share of Carnot's COP", c.carnot_share)?;
            check_not_negative("approach of the chiller's heat exchangers", c.approach_k)?;
            check_positive("largest COP", c.max_cop)?;
            temperature("lowest coolant temperature of the chiller", c.min_coolant_c)?;
            check_not_negative("lag of the chiller", c.lag_s)?;
        }
        if let Some(h) = &parameters.heater {
            heat("heat of the heater", h.max_w)?;
            temperature("coolant temperature up to which the heater gives all", h.full_up_to_c)?;
            temperature("coolant temperature from which the heater gives none", h.zero_from_c)?;
            check(
                "coolant temperature from which the heater gives none",
                h.zero_from_c,
                "above the other",
                |t| t > h.full_up_to_c,
            )?;
            share("efficiency of the heater", h.efficiency)?;
        }
        if let Some(f) = &parameters.films {
            let (given, films) = (f.tolerance.len(), layout.films.len());
            check("number of film tolerances", given as f64, "one per film", |_| given == films)?;
            f.tolerance.iter().try_for_each(|&t| check_positive("tolerance of a film", t))?;
            temperature("cut-out temperature of the films", f.cut_out_c)?;
            temperature("release temperature of the films", f.release_c)?;
            check("release temperature of the films", f.release_c, "at most the cut-out", |t| {
                t <= f.cut_out_c
            })?;
        }
        if let Some(r) = &parameters.radiator {
            heat("conductance of the radiator", r.w_per_k)?;
            check_not_negative("power of the fan", r.fan_w)?;
        }
        let films = layout.films.len();
        Ok(Self {
            parameters,
            max_film_w: layout.films.iter().map(|f| f.max_w).collect(),
            flow_l_per_min: 0.0,
            chiller_w: 0.0,
            cut_out: vec![false; films],
            chilled_w: 0.0,
            heated_w: 0.0,
            radiator_w_per_k: 0.0,
            film_w: vec![0.0; films],
            electric_w: PerDevice::default(),
            energy_j: PerDevice::default(),
        })
    }

    /// Works out what the devices do in the next `dt_s` seconds under a command, from the temperatures of the network
    /// now; gives their electric power in W. [`Devices::actuation`] then is for [`ThermalNetwork::step`] with the same
    /// `dt_s`.
    ///
    /// * The flow is that at the end of the pump's ramp in this step.
    /// * The chiller's heat is the mean of its response over the step, and no more than brings the coolant that passes
    ///   down to its lowest temperature: none without flow.
    /// * The heater's is what it gives at the present coolant temperature, and no more than brings the coolant that
    ///   passes up to where it gives none.
    /// * A film above its cut-out stays off until its cells are below the release temperature.
    ///
    /// # Errors
    /// [`PlantError::Length`] unless there is one command per film, [`PlantError::TimeStep`],
    /// [`PlantError::Temperature`], [`PlantError::Input`] for a command that is NaN; nothing changes then.
    pub fn apply(
        &mut self,
        command: &DeviceCommand,
        network: &ThermalNetwork,
        ambient_c: f64,
        dt_s: f64,
    ) -> Result<PerDevice, PlantError> {
        let films = self.film_w.len();
        for got in [command.film_w.len(), network.layout().films.len()] {
            if got != films {
                return Err(PlantError::Length { expected: films, got });
            }
        }
        check_time_step(dt_s)?;
        check_temperature(ambient_c)?;
        let values = [command.flow_l_per_min, command.chiller_w, command.heater_w];
        if let Some(&value) = values.iter().chain(command.film_w).find(|v| v.is_nan()) {
            return Err(PlantError::Input { name: "command of a device", value, allowed: "a number" });
        }
        let coolant_c = network.inlet_c();
        let mut electric_w = PerDevice::default();
        if let Some(pump) = &self.parameters.pump {
            electric_w.pump = pump.run(&mut self.flow_l_per_min, command, dt_s);
        }
        let passing_w_per_k = self.flow_l_per_min.abs() / 60.0 * network.layout().coolant.j_per_l_k;
        if let Some(chiller) = &self.parameters.chiller {
            self.chilled_w = chiller
                .respond(&mut self.chiller_w, command.chiller_w, dt_s)
                .min(passing_w_per_k * (coolant_c - chiller.min_coolant_c).max(0.0));
            electric_w.chiller = self.chilled_w / chiller.cop(coolant_c, ambient_c);
        }
        if let Some(heater) = &self.parameters.heater {
            self.heated_w = command
                .heater_w
                .clamp(0.0, heater.available_w(coolant_c))
                .min(passing_w_per_k * (heater.zero_from_c - coolant_c).max(0.0));
            electric_w.heater = self.heated_w / heater.efficiency;
        }
        if let Some(radiator) = &self.parameters.radiator {
            // Without flow nothing gets there.
            let on = command.radiator && self.flow_l_per_min != 0.0;
            self.radiator_w_per_k = if on { radiator.w_per_k.min(passing_w_per_k) } else { 0.0 };
            electric_w.fan = if command.radiator { radiator.fan_w } else { 0.0 };
        }
        if let Some(heaters) = &self.parameters.films {
            let surface_c = network.surface_c();
            for (k, film) in network.layout().films.iter().enumerate() {
                let hottest_c = film.cells.iter().map(|&cell| surface_c[cell]).fold(f64::MIN, f64::max);
                if hottest_c >= heaters.cut_out_c {
                    self.cut_out[k] = true;
                } else if hottest_c < heaters.release_c {
                    self.cut_out[k] = false;
                }
                let asked_w = command.film_w[k].clamp(0.0, self.max_film_w[k]);
                self.film_w[k] = if self.cut_out[k] { 0.0 } else { asked_w * heaters.tolerance[k] };
                electric_w.films += self.film_w[k];
            }
        }
        self.electric_w = electric_w;
        let energy = &mut self.energy_j;
        energy.pump += electric_w.pump * dt_s;
        energy.chiller += electric_w.chiller * dt_s;
        energy.heater += electric_w.heater * dt_s;
        energy.films += electric_w.films * dt_s;
        energy.fan += electric_w.fan * dt_s;
        Ok(electric_w)
    }

    /// What the network is to do in the step for which [`Devices::apply`] was last called.
    pub fn actuation(&self) -> Actuation<'_> {
        Actuation {
            flow_l_per_min: self.flow_l_per_min.abs(),
            reverse: self.flow_l_per_min < 0.0,
            chiller_w: self.chilled_w,
            heater_w: self.heated_w,
            radiator_w_per_k: self.radiator_w_per_k,
            film_w: &self.film_w,
        }
    }

    /// Electric power in W of the last step.
    pub fn electric_w(&self) -> PerDevice {
        self.electric_w
    }

    /// Electric energy used so far, in J.
    pub fn energy_j(&self) -> PerDevice {
        self.energy_j
    }

    /// Which films' cut-outs are open.
    pub fn films_cut_out(&self) -> &[bool] {
        &self.cut_out
    }
}

impl Pump {
    /// Moves the signed flow towards the command; gives the electric power in W.
    fn run(&self, flow_l_per_min: &mut f64, command: &DeviceCommand, dt_s: f64) -> f64 {
        let asked = command.flow_l_per_min.clamp(0.0, self.max_flow_l_per_min);
        let target = if command.reverse { -asked } else { asked };
        let most = self.rate_l_per_min_s * dt_s;
        *flow_l_per_min += (target - *flow_l_per_min).clamp(-most, most);
        if *flow_l_per_min == 0.0 && asked == 0.0 {
            return 0.0;
        }
        self.idle_w + self.max_w * (flow_l_per_min.abs() / self.max_flow_l_per_min).powi(3)
    }
}

impl Chiller {
    /// COP at a coolant temperature and that of the surroundings in degC.
    pub fn cop(&self, coolant_c: f64, ambient_c: f64) -> f64 {
        let evaporator_k = coolant_c + 273.15 - self.approach_k;
        let lift_k = ambient_c - coolant_c + 2.0 * self.approach_k;
        // Below absolute zero there is no evaporator; a hundredth keeps the power finite.
        let cop = if lift_k > 0.0 { self.carnot_share * evaporator_k / lift_k } else { self.max_cop };
        cop.clamp(0.01_f64.min(self.max_cop), self.max_cop)
    }

    /// First-order response to the command: mean heat in W over the step; `heat_w` is that at its start, then its end.
    fn respond(&self, heat_w: &mut f64, command_w: f64, dt_s: f64) -> f64 {
        let target_w = command_w.clamp(0.0, self.max_w);
        let apart_w = *heat_w - target_w;
        let steps = dt_s / self.lag_s;
        if !(steps > 0.0 && steps < f64::INFINITY) {
            // No lag, or no time to respond in.
            *heat_w = if self.lag_s == 0.0 { target_w } else { *heat_w };
            return *heat_w;
        }
        *heat_w = target_w + apart_w * (-steps).exp();
        target_w + apart_w * -(-steps).exp_m1() / steps
    }
}

impl PtcHeater {
    /// Largest heat in W at a coolant temperature in degC.
    pub fn available_w(&self, coolant_c: f64) -> f64 {
        let share = (self.zero_from_c - coolant_c) / (self.zero_from_c - self.full_up_to_c);
        self.max_w * share.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    const PUMP: Pump = Pump { max_flow_l_per_min: 10.0, max_w: 80.0, idle_w: 4.0, rate_l_per_min_s: 2.0 };
    const CHILLER: Chiller = Chiller {
        max_w: 5000.0,
        carnot_share: 0.4,
        approach_k: 10.0,
        max_cop: 5.0,
        min_coolant_c: 10.0,
        lag_s: 20.0,
    };
    const HEATER: PtcHeater =
        PtcHeater { max_w: 6000.0, full_up_to_c: 40.0, zero_from_c: 60.0, efficiency: 0.95 };

    fn all() -> DeviceParameters {
        DeviceParameters {
            pump: Some(PUMP),
            chiller: Some(CHILLER),
            heater: Some(HEATER),
            films: Some(FilmHeaters { tolerance: vec![0.9], cut_out_c: 45.0, release_c: 35.0 }),
            radiator: Some(Radiator { w_per_k: 200.0, fan_w: 150.0 }),
        }
    }

    fn network(start_c: f64) -> ThermalNetwork {
        ThermalNetwork::new(row(8), start_c).unwrap()
    }

    #[test]
    fn the_flow_ramps_and_reverses_through_standstill() {
        let network = network(25.0);
        let mut devices = Devices::new(all(), network.layout()).unwrap();
        let mut command = DeviceCommand { flow_l_per_min: 50.0, ..DeviceCommand::off(&[0.0]) };
        let mut flows = Vec::new();
        for k in 0..20 {
            command.reverse = k >= 8;
            devices.apply(&command, &network, 25.0, 1.0).unwrap();
            let a = devices.actuation();
            flows.push(if a.reverse { -a.flow_l_per_min } else { a.flow_l_per_min });
        }
        assert_eq!(flows[..8], [2.0, 4.0, 6.0, 8.0, 10.0, 10.0, 10.0, 10.0]);
        assert_eq!(flows[8..14], [8.0, 6.0, 4.0, 2.0, 0.0, -2.0]);
        assert_eq!(flows[19], -10.0);
        // Cube of the flow: half the flow for an eighth of the power.
        assert!((devices.electric_w().pump - 84.0).abs() < 1e-12);
        command.flow_l_per_min = 5.0;
        devices.apply(&command, &network, 25.0, 10.0).unwrap();
        assert!((devices.electric_w().pump - 14.0).abs() < 1e-12);
        devices.apply(&DeviceCommand::off(&[0.0]), &network, 25.0, 10.0).unwrap();
        assert_eq!(devices.electric_w().total(), 0.0);
    }

    #[test]
    fn the_chiller_follows_carnot_lags_and_spares_cold_coolant() {
        // 0.4 (283.15 - 10) / (35 - 10 + 20) = 2.43 at 10 degC coolant in 35 degC; more where the lift is smaller.
        assert!((CHILLER.cop(10.0, 35.0) - 0.4 * 273.15 / 45.0).abs() < 1e-12);
        assert!(CHILLER.cop(20.0, 35.0) > CHILLER.cop(10.0, 35.0));
        assert_eq!(CHILLER.cop(40.0, 0.0), 5.0);
        let mut network = network(30.0);
        let mut devices = Devices::new(all(), network.layout()).unwrap();
        let command = DeviceCommand { flow_l_per_min: 10.0, chiller_w: 3000.0, ..DeviceCommand::off(&[0.0]) };
        let mut heat_j = 0.0;
        for _ in 0..20 {
            devices.apply(&command, &network, 30.0, 1.0).unwrap();
            // No limit yet.
            heat_j += devices.actuation().chiller_w;
        }
        // Integral of 1 - exp(-t / 20 s) over 20 s, but for the first steps with little flow.
        assert!((heat_j - 3000.0 * 20.0 * (-1.0_f64).exp()).abs() < 1.0, "{heat_j}");
        for _ in 0..600 {
            devices.apply(&command, &network, 30.0, 1.0).unwrap();
            network.step(&[0.0; 8], &devices.actuation(), 30.0, 1.0).unwrap();
            assert!(network.inlet_c() > 10.0 - 1e-9);
        }
        assert!(network.inlet_c() < 11.0 && devices.actuation().chiller_w < 1500.0);
        // Without flow it does nothing.
        for _ in 0..10 {
            let off = DeviceCommand { flow_l_per_min: 0.0, ..command };
            devices.apply(&off, &network, 30.0, 1.0).unwrap();
        }
        assert_eq!(devices.actuation().chiller_w, 0.0);
    }

    #[test]
    fn the_ptc_heater_limits_itself() {
        assert_eq!([40.0, 50.0, 60.0, 70.0].map(|t| HEATER.available_w(t)), [6000.0, 3000.0, 0.0, 0.0]);
        let mut network = network(-20.0);
        let mut devices = Devices::new(all(), network.layout()).unwrap();
        let command = DeviceCommand { flow_l_per_min: 10.0, heater_w: 1e5, ..DeviceCommand::off(&[0.0]) };
        for k in 0..3600 {
            let w = devices.apply(&command, &network, -20.0, 1.0).unwrap();
            assert!((0.95 * w.heater - devices.actuation().heater_w).abs() < 1e-9);
            assert!(k != 20 || devices.actuation().heater_w == 6000.0);
            network.step(&[0.0; 8], &devices.actuation(), -20.0, 1.0).unwrap();
            assert!(network.inlet_c() < 60.0);
        }
        assert!(network.inlet_c() > 55.0);
        let used = devices.energy_j();
        assert!((used.heater * 0.95 - network.energy().from_heater_j).abs() < 1e-6 * used.heater);
    }

    #[test]
    fn films_keep_to_their_rating_and_cut_out() {
        let mut network = network(0.0);
        let mut devices = Devices::new(all(), network.layout()).unwrap();
        let command = DeviceCommand { film_w: &[1e4], ..DeviceCommand::off(&[0.0]) };
        let (mut cuts, mut releases, mut was) = (0, 0, false);
        let mut hottest = f64::MIN;
        for _ in 0..60_000 {
            let w = devices.apply(&command, &network, 0.0, 1.0).unwrap();
            let open = devices.films_cut_out()[0];
            assert_eq!(w.films, if open { 0.0 } else { 0.9 * 80.0 });
            cuts += u32::from(open && !was);
            releases += u32::from(!open && was);
            was = open;
            // The cells lose 1 W/K in all over tank and radiator.
            let cooling = Actuation { flow_l_per_min: 1.0, radiator_w_per_k: 1.0, ..devices.actuation() };
            network.step(&[0.0; 8], &cooling, 0.0, 1.0).unwrap();
            hottest = network.surface_c().iter().fold(hottest, |t, &s| t.max(s));
        }
        assert!(cuts > 1 && releases >= cuts - 1 && (45.0..46.0).contains(&hottest), "{cuts} {hottest}");
    }

    #[test]
    fn bad_devices_and_commands_are_refused() {
        let network = network(25.0);
        let cases: [fn(&mut DeviceParameters); 8] = [
            |p| p.pump = Some(Pump { max_flow_l_per_min: 0.0, ..PUMP }),
            |p| p.pump = Some(Pump { rate_l_per_min_s: f64::NAN, ..PUMP }),
            |p| p.chiller = Some(Chiller { carnot_share: 1.5, ..CHILLER }),
            |p| p.chiller = Some(Chiller { lag_s: -1.0, ..CHILLER }),
            |p| p.heater = Some(PtcHeater { zero_from_c: 40.0, ..HEATER }),
            |p| p.films = Some(FilmHeaters { tolerance: vec![], cut_out_c: 45.0, release_c: 35.0 }),
            |p| p.films = Some(FilmHeaters { tolerance: vec![1.0], cut_out_c: 45.0, release_c: 50.0 }),
            |p| p.radiator = Some(Radiator { w_per_k: -1.0, fan_w: 0.0 }),
        ];
        for (k, spoil) in cases.iter().enumerate() {
            let mut parameters = all();
            spoil(&mut parameters);
            assert!(Devices::new(parameters, network.layout()).is_err(), "case {k}");
        }
        let mut devices = Devices::new(all(), network.layout()).unwrap();
        let off = DeviceCommand::off(&[0.0]);
        let nan = f64::NAN;
        assert!(devices.apply(&DeviceCommand { film_w: &[], ..off }, &network, 25.0, 1.0).is_err());
        assert!(devices.apply(&DeviceCommand { heater_w: nan, ..off }, &network, 25.0, 1.0).is_err());
        assert!(devices.apply(&off, &network, nan, 1.0).is_err());
        assert!(devices.apply(&off, &network, 25.0, nan).is_err());
        // Any other number is brought into range.
        let wild = DeviceCommand {
            flow_l_per_min: f64::INFINITY,
            reverse: true,
            chiller_w: -5.0,
            heater_w: 1e300,
            radiator: true,
            film_w: &[f64::INFINITY],
        };
        devices.apply(&wild, &network, 25.0, 100.0).unwrap();
        let a = devices.actuation();
        assert_eq!((a.flow_l_per_min, a.chiller_w, a.heater_w, a.film_w[0]), (10.0, 0.0, 6000.0, 72.0));
        assert!(devices.electric_w().total().is_finite());
    }
}
