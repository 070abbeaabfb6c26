//! What a thermal network consists of: plain numbers, checked when the network is made.

use crate::error::{ParameterError, check, check_not_negative, check_positive};
use crate::thermal::Thermal;

/// Thermal nodes of one cell; the same numbers as [`Thermal`]. Mind that [`Thermal::lumped`] ties the surface to the core
/// only as closely as its own conductance to the surroundings needs: on a plate, give the true conductance.
pub type CellNode = Thermal;

/// Conduction between the surfaces of two cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// One cell, counted from 0.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// Conductance in W/K, not negative.
    pub w_per_k: f64,
}

/// A piece of the cooling plate with one temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlateSegment {
    /// Heat capacity in J/K, above 0.
    pub j_per_k: f64,
    /// Conductance to the surroundings in W/K, not negative.
    pub to_ambient_w_per_k: f64,
}

/// Contact between the surface of a cell and a segment of the plate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contact {
    /// The cell, counted from 0.
    pub cell: usize,
    /// The plate segment, counted from 0.
    pub plate: usize,
    /// Conductance in W/K, not negative.
    pub w_per_k: f64,
}

/// A coolant channel: the plate segments it passes, one volume of coolant under each.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Plate segments in the order of forward flow, at least one. A segment may be visited twice (hairpin).
    pub visits: Vec<usize>,
    /// Conductance between coolant and plate at each visit in W/K at nominal flow, not negative.
    pub w_per_k: f64,
    /// Share of the total flow, 1e-6..1e6, relative to the other channels' (they need not add up to 1).
    pub share: f64,
    /// How much of the channel's flow is blocked, 0..1. The total flow stays: the open channels take it over.
    pub blocked: f64,
}

/// The coolant and its loop. Without a channel only the tank is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coolant {
    /// Heat capacity in J/(L K), above 0: about 3500 for equal parts of water and glycol, so that 10 L/min carry
    /// 0.58 kW per K.
    pub j_per_l_k: f64,
    /// Volume under a plate segment, per visit, in L, above 0.
    pub channel_l: f64,
    /// The rest of the loop (hoses, tank, chiller, heater), well mixed, in L, above 0.
    pub tank_l: f64,
    /// Total flow in L/min at which the channels' conductances hold, 0.001..10000.
    pub nominal_flow_l_per_min: f64,
    /// The conductances go with this power of the flow, 0..1: 0.8 for turbulent flow (Dittus and Boelter), 0 for laminar;
    /// up to ten times the nominal ones.
    pub flow_exponent: f64,
    /// Share of the nominal conductance that is left in still coolant, 0..1; no flow goes below it.
    pub still_share: f64,
    /// Conductance between the tank and the surroundings in W/K, not negative.
    pub tank_to_ambient_w_per_k: f64,
}

/// A heating film on the surfaces of some cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    /// The cells, counted from 0, at least one; each gets the same heat.
    pub cells: Vec<usize>,
    /// Rated heat in W, not negative. The network takes any heat; [`Devices`](super::Devices) keep to it.
    pub max_w: f64,
}

/// Everything that describes a thermal network. [`ThermalNetwork::new`](super::ThermalNetwork::new) checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkLayout {
    /// One per cell, at least one. In a pack of series groups: index = group * parallel + k.
    pub cells: Vec<CellNode>,
    /// Conduction between cells; links of the same two cells add up.
    pub neighbours: Vec<Neighbour>,
    /// Segments of the cooling plates; may be empty.
    pub plates: Vec<PlateSegment>,
    /// Contacts between cells and plates; links of the same pair add up.
    pub contacts: Vec<Contact>,
    /// Coolant channels; may be empty.
    pub channels: Vec<Channel>,
    /// The coolant loop.
    pub coolant: Coolant,
    /// Heating films; may be empty.
    pub films: Vec<Film>,
}

/// Time constants below this are refused, as they would make a step endless.
const SHORTEST_S: f64 = 1e-3;

impl NetworkLayout {
    /// Checks every number; [`ThermalNetwork::new`](super::ThermalNetwork::new) calls it.
    ///
    /// # Errors
    /// The first number that is out of its documented range, or no cell at all. Conductances on a surface or plate node
    /// that would empty it within 1 ms are refused too: their nodes belong together.
    pub fn validate(&self) -> Result<(), ParameterError> {
        if self.cells.is_empty() {
            return Err(ParameterError::Empty("list of cells"));
        }
        let cell = |k: usize| {
            check("cell number", k as f64, "the number of a cell, counted from 0", |_| k < self.cells.len())
        };
        let plate = |k: usize| {
            check("plate number", k as f64, "the number of a plate segment, counted from 0", |_| {
                k < self.plates.len()
            })
        };
        let share = |name, v| check(name, v, "between 0 and 1", |v| (0.0..=1.0).contains(&v));
        self.cells.iter().try_for_each(Thermal::validate)?;
        for link in &self.neighbours {
            cell(link.a)?;
            cell(link.b)?;
            check("neighbour of a cell", link.b as f64, "another cell", |_| link.a != link.b)?;
            check_not_negative("conductance between neighbours", link.w_per_k)?;
        }
        for segment in &self.plates {
            check_positive("heat capacity of a plate segment", segment.j_per_k)?;
            check_not_negative("plate-ambient conductance", segment.to_ambient_w_per_k)?;
        }
        for contact in &self.contacts {
            cell(contact.cell)?;
            plate(contact.plate)?;
            check_not_negative("conductance between cell and plate", contact.w_per_k)?;
        }
        for channel in &self.channels {
            if channel.visits.is_empty() {
                return Err(ParameterError::Empty("a channel's list of plate segments"));
            }
            channel.visits.iter().try_for_each(|&j| plate(j))?;
            check_not_negative("conductance between coolant and plate", channel.w_per_k)?;
            check("share of a channel", channel.share, "between 1e-6 and 1e6", |v| {
                (1e-6..=1e6).contains(&v)
            })?;
            share("blocked share of a channel", channel.blocked)?;
        }
        let c = &self.coolant;
        check_positive("heat capacity of the coolant", c.j_per_l_k)?;
        check_positive("coolant volume per visit", c.channel_l)?;
        check_positive("coolant volume of the tank", c.tank_l)?;
        check("nominal flow in L/min", c.nominal_flow_l_per_min, "between 0.001 and 10000", |v| {
            (1e-3..=1e4).contains(&v)
        })?;
        share("flow exponent", c.flow_exponent)?;
        share("share of the conductance in still coolant", c.still_share)?;
        check_not_negative("tank-ambient conductance", c.tank_to_ambient_w_per_k)?;
        for film in &self.films {
            if film.cells.is_empty() {
                return Err(ParameterError::Empty("a film's list of cells"));
            }
            film.cells.iter().try_for_each(|&k| cell(k))?;
            check_not_negative("rated heat of a film", film.max_w)?;
        }
        let allowed =
            "small enough that the node keeps its heat for 1 ms at least; else join it with the next node";
        let quick = |name, c: f64, g: f64| check(name, g, allowed, |g| g * SHORTEST_S <= c);
        for (node, g) in self.cells.iter().zip(self.surface_w_per_k()) {
            quick("conductance on a surface", node.surface_j_per_k, g)?;
        }
        let mut plate_w_per_k = self.plate_w_per_k();
        for channel in &self.channels {
            channel.visits.iter().for_each(|&j| plate_w_per_k[j] += channel.w_per_k);
        }
        for (node, g) in self.plates.iter().zip(plate_w_per_k) {
            quick("conductance on a plate segment", node.j_per_k, g)?;
        }
        Ok(())
    }

    /// Sum of the conductances in W/K on each surface, but for that to its core.
    pub(super) fn surface_w_per_k(&self) -> Vec<f64> {
        let mut sum: Vec<f64> = self.cells.iter().map(|c| c.surface_ambient_w_per_k).collect();
        for link in &self.neighbours {
            sum[link.a] += link.w_per_k;
            sum[link.b] += link.w_per_k;
        }
        for contact in &self.contacts {
            sum[contact.cell] += contact.w_per_k;
        }
        sum
    }

    /// Sum of the conductances in W/K on each plate segment, but for those to the coolant.
    pub(super) fn plate_w_per_k(&self) -> Vec<f64> {
        let mut sum: Vec<f64> = self.plates.iter().map(|p| p.to_ambient_w_per_k).collect();
        for contact in &self.contacts {
            sum[contact.plate] += contact.w_per_k;
        }
        sum
    }
}
