//! How a cell ages: growth of the film on the negative electrode, lithium plating, loss of active material.

use crate::error::{ParameterError, check, check_not_negative, check_positive};

/// Parameters of ageing; each mechanism may be left out.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeingParameters {
    /// Growth of the film (SEI) on the negative electrode.
    pub sei: Option<SeiGrowth>,
    /// Plating of lithium on the negative electrode.
    pub plating: Option<LithiumPlating>,
    /// Loss of active material of the negative electrode.
    pub negative_loss: Option<ActiveMaterialLoss>,
    /// Loss of active material of the positive electrode.
    pub positive_loss: Option<ActiveMaterialLoss>,
}

/// Film growth limited by the diffusion of lithium interstitials through the film.
///
/// `j_sei = F D c / L exp(-F dphi / (R T))` in A per m2 of particle surface, with the potential difference `dphi` between
/// negative electrode and electrolyte in V, and `dL/dt = j_sei V / (n F)`.
///
/// Source: F. Single, A. Latz, B. Horstmann, "Identifying the Mechanism of Continued Growth of the Solid-Electrolyte
/// Interphase", ChemSusChem 11 (2018) 1950.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeiGrowth {
    /// Thickness `L` of the new cell's film in m, above 0.
    pub initial_thickness_m: f64,
    /// Diffusivity times concentration of the interstitials `D c` in mol/(m s), not negative.
    pub interstitial_mol_per_m_s: f64,
    /// Activation energy of `D c` in J/mol.
    pub activation_j_per_mol: f64,
    /// Volume `V` of one mole of film in m3/mol.
    pub molar_volume_m3_per_mol: f64,
    /// Lithium atoms `n` bound in one formula unit of film.
    pub lithium_per_formula: f64,
    /// Ionic resistivity of the film in ohm m.
    pub resistivity_ohm_m: f64,
}

/// Partially reversible plating of lithium.
///
/// `j_pl = F k (c_e exp(-a F eta / (R T)) - c_li exp((1 - a) F eta / (R T)))` in A per m2 of particle surface (positive
/// while lithium plates), with `eta` the potential difference between negative electrode and electrolyte at the separator
/// less the film's drop. Plated lithium `c_li` (mol per m3 of electrode) dies at the rate `g L0 / L`.
///
/// Source: S. E. J. O'Kane et al., "Lithium-ion battery degradation: how to model it", Phys. Chem. Chem. Phys. 24 (2022)
/// 7909.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LithiumPlating {
    /// Rate constant `k` in m/s, not negative.
    pub rate_m_per_s: f64,
    /// Transfer coefficient `a` of plating, 0..1.
    pub transfer: f64,
    /// Rate `g` in 1/s at which plated lithium loses contact under a new cell's film.
    pub dead_per_s: f64,
}

/// Loss of active material in proportion to how much lithium moves in and out.
///
/// `d ln(eps)/dt = -b abs(dx/dt) exp(E / R (1/T_ref - 1/T))` with the mean stoichiometry `x`. What is lost takes its
/// lithium along.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveMaterialLoss {
    /// Share `b` lost per unit of stoichiometry moved, not negative: 1e-4 loses about 0.02 % in a full cycle.
    pub per_stoichiometry: f64,
    /// Activation energy `E` in J/mol.
    pub activation_j_per_mol: f64,
}

impl AgeingParameters {
    /// Checks every number.
    ///
    /// # Errors
    /// The first parameter that is out of its documented range.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let activation = |name, value| check(name, value, "finite", |_| true);
        if let Some(sei) = &self.sei {
            check_positive("film: initial thickness in m", sei.initial_thickness_m)?;
            check_not_negative("film: interstitials in mol/(m s)", sei.interstitial_mol_per_m_s)?;
            activation("film: activation energy in J/mol", sei.activation_j_per_mol)?;
            check_positive("film: molar volume in m3/mol", sei.molar_volume_m3_per_mol)?;
            check_positive("film: lithium per formula unit", sei.lithium_per_formula)?;
            check_not_negative("film: resistivity in ohm m", sei.resistivity_ohm_m)?;
        }
        if let Some(plating) = &self.plating {
            check_not_negative("plating: rate constant in m/s", plating.rate_m_per_s)?;
            check("plating: transfer coefficient", plating.transfer, "0..1", |v| (0.0..=1.0).contains(&v))?;
            check_not_negative("plating: rate of dying in 1/s", plating.dead_per_s)?;
        }
        for loss in [&self.negative_loss, &self.positive_loss].into_iter().flatten() {
            check_not_negative("loss of active material per stoichiometry", loss.per_stoichiometry)?;
            activation("loss of active material: activation energy in J/mol", loss.activation_j_per_mol)?;
        }
        Ok(())
    }
}
