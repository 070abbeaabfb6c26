//! What describes a lithium-ion cell to the physics models.

use super::ageing::AgeingParameters;
use super::function::{Arrhenius, Function};
use crate::thermal::Thermal;

/// Everything that describes a lithium-ion cell to the physics models, in SI units.
///
/// The quantities are those of the BPX standard (Battery Parameter eXchange, Faraday Institution), plus what it has no
/// place for: contact resistance, ageing, two thermal nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicsParameters {
    /// One line: chemistry, size, maker.
    pub title: String,
    /// Where the numbers come from: authors, year, title; what was assumed.
    pub source: String,
    /// Nominal capacity in Ah, above 0: what a C-rate refers to.
    pub nominal_capacity_ah: f64,
    /// Lower and upper voltage limit in V.
    pub voltage_limits_v: [f64; 2],
    /// Temperature in K at which the `at_reference` values hold.
    pub reference_temperature_k: f64,
    /// Area of one electrode pair in m2.
    pub electrode_area_m2: f64,
    /// Number of electrode pairs in parallel in the cell.
    pub electrode_pairs: f64,
    /// Negative electrode (graphite).
    pub negative: Electrode,
    /// Separator.
    pub separator: Separator,
    /// Positive electrode.
    pub positive: Electrode,
    /// Electrolyte.
    pub electrolyte: Electrolyte,
    /// Resistance of tabs, contacts and current collectors in ohm, not negative.
    pub contact_resistance_ohm: f64,
    /// Thermal nodes of the whole cell.
    pub thermal: Thermal,
    /// How the cell ages; `None` for a cell that does not.
    pub ageing: Option<AgeingParameters>,
}

/// A porous electrode with one kind of particle.
#[derive(Debug, Clone, PartialEq)]
pub struct Electrode {
    /// Thickness in m.
    pub thickness_m: f64,
    /// Volume fraction of electrolyte, 0..1.
    pub porosity: f64,
    /// Share of the bulk transport that the pores leave, 0..1 (porosity to the Bruggeman exponent).
    pub transport_efficiency: f64,
    /// Effective electronic conductivity of the electrode in S/m (pores and path already counted).
    pub conductivity_s_per_m: f64,
    /// Volume fraction of active material, 0..1. The surface per volume is `3 active_fraction / radius`.
    pub active_fraction: f64,
    /// Particle radius in m.
    pub particle_radius_m: f64,
    /// Concentration of lithium at stoichiometry 1 in mol/m3.
    pub max_concentration_mol_per_m3: f64,
    /// Stoichiometries at the two voltage limits, the smaller one first. The full cell (negative electrode at its upper
    /// one, positive at its lower one) sets how much lithium the cell holds.
    pub stoichiometry_window: [f64; 2],
    /// Diffusivity of lithium in the particle in m2/s, over stoichiometry.
    pub diffusivity_m2_per_s: Arrhenius,
    /// Open-circuit potential in V against lithium, over stoichiometry, at the reference temperature.
    pub ocp_v: Function,
    /// Entropic coefficient dU/dT in V/K, over stoichiometry.
    pub entropic_v_per_k: Function,
    /// Reaction rate constant `k` in mol/(m2 s) (a number, not a function of `x`).
    ///
    /// The exchange-current density is `j0 = F k (c_e / c_e0)^(1-a) x^a (1 - x)^(1-a)` with the surface stoichiometry `x`
    /// and `a` = [`Electrode::reaction_exponent`].
    pub reaction_rate_mol_per_m2_s: Arrhenius,
    /// Exponent `a` of the exchange-current density, 0.5 in nearly all sets. (The overpotential is symmetric always.)
    pub reaction_exponent: f64,
    /// Branches of the open-circuit potential, where it has hysteresis.
    pub hysteresis: Option<OcpHysteresis>,
}

/// Branches of an open-circuit potential and how fast the material moves between them.
///
/// `U = (1 + h)/2 U_delithiation + (1 - h)/2 U_lithiation` and `dh/dt = d k |x'| (1 -+ h)/2`-like decay towards +1 while
/// lithium leaves the particles and -1 while it enters; the equation stands at
/// `SpmeCell`.
#[derive(Debug, Clone, PartialEq)]
pub struct OcpHysteresis {
    /// Open-circuit potential in V while lithium enters (the lower branch).
    pub lithiation_v: Function,
    /// Open-circuit potential in V while lithium leaves (the upper branch).
    pub delithiation_v: Function,
    /// Decay rate per stoichiometry moved, not negative.
    pub decay: f64,
}

/// The separator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Separator {
    /// Thickness in m.
    pub thickness_m: f64,
    /// Volume fraction of electrolyte, 0..1.
    pub porosity: f64,
    /// Share of the bulk transport that the pores leave, 0..1.
    pub transport_efficiency: f64,
}

/// The electrolyte; functions of its concentration `x` in mol/m3 and of `T`.
#[derive(Debug, Clone, PartialEq)]
pub struct Electrolyte {
    /// Concentration of the rested cell in mol/m3.
    pub initial_concentration_mol_per_m3: f64,
    /// Share of the current that the lithium ions carry.
    pub transference: Function,
    /// Thermodynamic factor, 1 for an ideal solution.
    pub thermodynamic_factor: Function,
    /// Diffusivity in the bulk in m2/s.
    pub diffusivity_m2_per_s: Arrhenius,
    /// Conductivity in the bulk in S/m.
    pub conductivity_s_per_m: Arrhenius,
}
