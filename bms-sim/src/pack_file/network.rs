//! The pack's thermal network and its devices, as `cell-models` takes them.

use cell_models::Thermal;
use cell_models::network::{
    Channel, Chiller, Contact, Coolant, DeviceParameters, Film, FilmHeaters, Neighbour, NetworkLayout,
    PlateSegment, PtcHeater, Pump,
};

use super::{Arrangement, PackFile, Plates};

/// A tank alone, as a network asks for one: still, insulated, touching nothing.
const NO_COOLANT: Coolant = Coolant {
    j_per_l_k: 3500.0,
    channel_l: 1.0,
    tank_l: 1.0,
    nominal_flow_l_per_min: 1.0,
    flow_exponent: 0.0,
    still_share: 1.0,
    tank_to_ambient_w_per_k: 0.0,
};
/// What a pack file does not say of its devices, all of it typical: the pump's electronics in W, its run-up in s, …
const PUMP_IDLE_W: f64 = 3.0;
const PUMP_RUN_UP_S: f64 = 4.0;
/// … the chiller's share of the Carnot process, temperature difference of its heat exchangers in K, lag in s, …
const CARNOT_SHARE: f64 = 0.4;
const APPROACH_K: f64 = 10.0;
const CHILLER_LAG_S: f64 = 20.0;
/// … the range in K over which the heater limits itself, and where a film's thermostat opens and closes in degC.
const HEATER_RANGE_K: f64 = 10.0;
const FILM_CUT_OUT_C: f64 = 60.0;
const FILM_RELEASE_C: f64 = 45.0;

impl Plates {
    /// The segments that each channel passes, in the order of forward flow, for so many segments.
    fn routes(&self, segments: usize) -> Vec<Vec<usize>> {
        let each = segments / self.channels;
        let route = |k: usize| {
            let forth = k * each..(k + 1) * each;
            match self.arrangement {
                Arrangement::Hairpin => forth.clone().chain(forth.rev()).collect(),
                Arrangement::Series | Arrangement::Parallel => forth.collect(),
            }
        };
        (0..self.channels).map(route).collect()
    }
}

impl PackFile {
    /// The thermal network: the cells stand in one row by index, one film per module heats all its cells, and a hairpin
    /// passes each of its segments twice.
    ///
    /// ```
    /// use bms_sim::pack_file::PackFile;
    /// use cell_models::network::ThermalNetwork;
    ///
    /// # let packs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs");
    /// let pack = PackFile::load(&packs.join("car_nmc_96s1p.toml"))?;
    /// let network = ThermalNetwork::new(pack.network_layout(), 25.0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn network_layout(&self) -> NetworkLayout {
        let (t, layout) = (&self.thermal, &self.layout);
        let (cells, in_module) = (layout.cells(), layout.cells_per_module());
        let at_end = |cell: usize| cell.is_multiple_of(in_module) || cell % in_module == in_module - 1;
        let node = |cell: usize| Thermal {
            core_j_per_k: self.cell.core_j_per_k,
            surface_j_per_k: self.cell.surface_j_per_k,
            core_surface_w_per_k: self.cell.core_surface_w_per_k,
            surface_ambient_w_per_k: t.surface_to_ambient_w_per_k
                + if at_end(cell) { t.end_to_ambient_w_per_k } else { 0.0 },
        };
        let neighbour = |b: usize| {
            let w_per_k =
                if b.is_multiple_of(in_module) { t.module_gap_w_per_k } else { t.neighbour_w_per_k };
            Neighbour { a: b - 1, b, w_per_k }
        };
        let mut network = NetworkLayout {
            cells: (0..cells).map(node).collect(),
            neighbours: (1..cells).map(neighbour).filter(|n| n.w_per_k > 0.0).collect(),
            plates: Vec::new(),
            contacts: Vec::new(),
            channels: Vec::new(),
            coolant: NO_COOLANT,
            films: Vec::new(),
        };
        if let Some(films) = &t.films {
            let film = |m: usize| Film {
                cells: (m * in_module..(m + 1) * in_module).collect(),
                max_w: films.module_max_w,
            };
            network.films = (0..layout.modules).map(film).collect();
        }
        if let (Some(p), Some(c)) = (&t.plates, &t.coolant) {
            let segments = cells / p.cells_per_segment;
            let segment = PlateSegment { j_per_k: p.j_per_k, to_ambient_w_per_k: p.to_ambient_w_per_k };
            network.plates = vec![segment; segments];
            let contact =
                |cell: usize| Contact { cell, plate: cell / p.cells_per_segment, w_per_k: p.contact_w_per_k };
            network.contacts = (0..cells).map(contact).collect();
            let routes = p.routes(segments);
            let visits: usize = routes.iter().map(Vec::len).sum();
            let share = |k: usize| p.shares.get(k).copied().unwrap_or(1.0 / p.channels as f64);
            let channel = |(k, visits): (usize, Vec<usize>)| Channel {
                visits,
                w_per_k: p.coolant_w_per_k,
                share: share(k),
                blocked: 0.0,
            };
            network.channels = routes.into_iter().enumerate().map(channel).collect();
            network.coolant = Coolant {
                j_per_l_k: c.j_per_l_k,
                channel_l: c.channels_l / visits as f64,
                tank_l: c.tank_l,
                nominal_flow_l_per_min: c.nominal_flow_l_per_min,
                flow_exponent: c.flow_exponent,
                still_share: c.still_share,
                tank_to_ambient_w_per_k: c.tank_to_ambient_w_per_k,
            };
        }
        network
    }

    /// The devices on that network. `film_tolerance` has what each module's film gives as a multiple of its command, one
    /// per module (ignored without films); what the file does not say is typical.
    #[must_use]
    pub fn device_parameters(&self, film_tolerance: Vec<f64>) -> DeviceParameters {
        let films = self.thermal.films.map(|_| FilmHeaters {
            tolerance: film_tolerance,
            cut_out_c: FILM_CUT_OUT_C,
            release_c: FILM_RELEASE_C,
        });
        let Some(c) = &self.thermal.coolant else {
            return DeviceParameters { pump: None, chiller: None, heater: None, films, radiator: None };
        };
        DeviceParameters {
            pump: Some(Pump {
                max_flow_l_per_min: c.nominal_flow_l_per_min,
                max_w: c.pump_w,
                idle_w: PUMP_IDLE_W,
                rate_l_per_min_s: c.nominal_flow_l_per_min / PUMP_RUN_UP_S,
            }),
            chiller: (c.chiller_max_w > 0.0).then_some(Chiller {
                max_w: c.chiller_max_w,
                carnot_share: CARNOT_SHARE,
                approach_k: APPROACH_K,
                max_cop: c.chiller_cop,
                min_coolant_c: c.chiller_min_c,
                lag_s: CHILLER_LAG_S,
            }),
            heater: (c.heater_max_w > 0.0).then_some(PtcHeater {
                max_w: c.heater_max_w,
                full_up_to_c: c.heater_max_c - HEATER_RANGE_K,
                zero_from_c: c.heater_max_c,
                efficiency: c.heater_efficiency,
            }),
            films,
            radiator: None,
        }
    }
}
