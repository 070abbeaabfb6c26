//! How a cell ages: growth of the film on the negative electrode, lithium plating, loss of active material.

use super::PhysicsParameters;
use super::tabulated::{FARADAY, GAS};
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
/// Since `c_li` is a concentration, some lithium is plated above 0 V, too, and dies at rest. With
/// [`only_below_zero`](Self::only_below_zero) the plated lithium is a metal instead: it grows below 0 V only and
/// dissolves above, `j_pl = F k c (exp(-a F eta / (R T)) - exp((1 - a) F eta / (R T)))` with `c = c_e` below 0 V and
/// `c = c_li` above.
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
    /// Whether lithium plates below 0 V only.
    pub only_below_zero: bool,
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

/// What makes a typical chemistry age, in terms that do not depend on how its electrodes are built.
struct Typical {
    /// Share of the capacity that the film takes in the first year, stored full at 25 degC.
    year_share: f64,
    activation_j_per_mol: f64,
    /// What the film adds when it has taken a fifth of the capacity, times the area of the electrodes, in ohm m2.
    film_ohm_m2: f64,
    /// Plating as a share of the capacity per second: the factor before the exponentials.
    plating_per_s: f64,
    dead_per_s: f64,
    /// Loss of negative and positive material per stoichiometry.
    loss: [f64; 2],
}

const NMC: Typical = Typical {
    year_share: 0.033,
    activation_j_per_mol: 38e3,
    film_ohm_m2: 2e-3,
    plating_per_s: 1e-5,
    dead_per_s: 1e-4,
    loss: [1.2e-4, 1.2e-4],
};
const NCA: Typical = Typical {
    year_share: 0.035,
    activation_j_per_mol: 38e3,
    film_ohm_m2: 2e-3,
    plating_per_s: 1e-5,
    dead_per_s: 1e-4,
    loss: [1e-4, 2e-4],
};
const LFP: Typical = Typical {
    year_share: 0.035,
    activation_j_per_mol: 32e3,
    film_ohm_m2: 1e-3,
    plating_per_s: 1e-5,
    dead_per_s: 1e-4,
    loss: [4e-5, 2e-5],
};
const YEAR_S: f64 = 365.25 * 86400.0;
const ROOM_K: f64 = 298.15;

impl Typical {
    /// The parameters that do this to the cell.
    fn of(&self, cell: &PhysicsParameters) -> AgeingParameters {
        let n = &cell.negative;
        let area = cell.electrode_area_m2 * cell.electrode_pairs;
        let surface_m2 = 3.0 * n.active_fraction / n.particle_radius_m * n.thickness_m * area;
        let capacity_as_per_m2 = 3600.0 * cell.nominal_capacity_ah / surface_m2;
        let (molar_volume_m3_per_mol, lithium_per_formula) = (9.585e-5, 1.0);
        let metre_per_as_per_m2 = molar_volume_m3_per_mol / (lithium_per_formula * FARADAY);
        let year_m = self.year_share * capacity_as_per_m2 * metre_per_as_per_m2;
        // Thin against what grows, so that the loss goes with the root of time from the first weeks on.
        let initial_thickness_m = 0.05 * year_m;
        let full_v = n.ocp_v.at(n.stoichiometry_window[1], ROOM_K);
        let barrier = (-full_v * FARADAY / (GAS * ROOM_K)).exp();
        // L^2 - L_0^2 = 2 F D c barrier V / (n F) t.
        let grown = (year_m + initial_thickness_m).powi(2) - initial_thickness_m.powi(2);
        let interstitial_mol_per_m_s = grown / (2.0 * metre_per_as_per_m2 * FARADAY * barrier * YEAR_S);
        let worn_m = 0.2 * capacity_as_per_m2 * metre_per_as_per_m2;
        let per_area = surface_m2 / area;
        let loss = |b: f64| Some(ActiveMaterialLoss { per_stoichiometry: b, activation_j_per_mol: 0.0 });
        AgeingParameters {
            sei: Some(SeiGrowth {
                initial_thickness_m,
                interstitial_mol_per_m_s,
                activation_j_per_mol: self.activation_j_per_mol,
                molar_volume_m3_per_mol,
                lithium_per_formula,
                resistivity_ohm_m: self.film_ohm_m2 * per_area / worn_m,
            }),
            plating: Some(LithiumPlating {
                rate_m_per_s: self.plating_per_s * capacity_as_per_m2
                    / (FARADAY * cell.electrolyte.initial_concentration_mol_per_m3),
                transfer: 0.65,
                dead_per_s: self.dead_per_s,
                only_below_zero: true,
            }),
            negative_loss: loss(self.loss[0]),
            positive_loss: loss(self.loss[1]),
        }
    }
}

impl AgeingParameters {
    /// Typical ageing of graphite / NMC for the cell given. See the [results](crate::physics#ageing).
    ///
    /// The film's growth is set per year of storage and its resistance per area of electrode, so that cells with finer
    /// or coarser particles age alike; the rest is the same for all. The numbers are chosen, not measured: they meet the
    /// published figures named in the results. Put it in with [`PhysicsParameters::with_ageing`], which the built-in sets
    /// leave to the user. A cell with numbers out of range gives parameters out of range, which
    /// [`AgeingParameters::validate`] refuses.
    pub fn nmc_graphite(cell: &PhysicsParameters) -> Self {
        NMC.of(cell)
    }

    /// As [`AgeingParameters::nmc_graphite`], for graphite / NCA.
    pub fn nca_graphite(cell: &PhysicsParameters) -> Self {
        NCA.of(cell)
    }

    /// As [`AgeingParameters::nmc_graphite`], for graphite / LFP.
    pub fn lfp_graphite(cell: &PhysicsParameters) -> Self {
        LFP.of(cell)
    }

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
