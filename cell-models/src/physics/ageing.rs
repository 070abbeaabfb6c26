//! How a cell ages: growth of the film on the negative electrode, lithium plating, loss of active material.

use super::PhysicsParameters;
use super::tabulated::{FARADAY, GAS};
use crate::error::{ParameterError, check, check_not_negative, check_positive};

/// Parameters of ageing; each mechanism may be left out.
///
/// # What the typical parameters do
///
/// Printed by `cargo run --release -p cell-models --example ageing_table`; held in bands by `tests/ageing.rs`. Capacity
/// lost in percent in the first year of storage at the SOC given:
///
/// | Cell | 10 degC, 50 % | 25 degC, 50 % | 25 degC, 100 % | 45 degC, 50 % | 45 degC, 100 % |
/// |---|---|---|---|---|---|
/// | `okane2022`, its own ageing | 0.5 | 0.7 | 3.3 | 0.9 | 3.3 |
/// | `okane2022`, NMC | 0.6 | 1.0 | 2.6 | 2.1 | 4.9 |
/// | `mohtat2020`, NMC | 0.9 | 1.8 | 3.3 | 3.7 | 6.3 |
/// | `kim2011`, NCA | 0.0 | 0.0 | 0.1 | 0.0 | 0.2 |
/// | `prada2013`, LFP | 0.8 | 1.4 | 3.5 | 2.7 | 6.0 |
///
/// Full cycles until 80 % of the capacity is left (constant current, then constant voltage down to C/10; ageing run 40
/// times as fast, 10 times at -10 degC, and the count put right):
///
/// | Cell | 1C, 1C, 25 degC | 1C, 1C, 45 degC | C/3 charge, 1C, 25 degC | 1C, 1C, -10 degC |
/// |---|---|---|---|---|
/// | `okane2022`, NMC | 1122 | 1101 | 1182 | 397 |
/// | `mohtat2020`, NMC | 1066 | 997 | 1061 | 247 |
/// | `kim2011`, NCA | 887 | 880 | 887 | 928 |
/// | `prada2013`, LFP | 3887 | 3939 | 4333 | 652 |
///
/// What they were chosen by (all bands from memory, rounded):
///
/// * Storage: about 1..2 % per root of a year for NMC half full at 25 degC, two to three times that when full, and twice
///   as much again at 45 degC; LFP 3..5 % full at 25 degC. P. Keil et al., "Calendar Aging of Lithium-Ion Batteries", J.
///   Electrochem. Soc. 163 (2016) A1872; M. Naumann et al., "Analysis and modeling of calendar aging of a commercial
///   LiFePO4/graphite cell", J. Energy Storage 17 (2018) 153.
/// * Full cycles to 80 % at 25 degC: 800..1500 for NMC (J. Schmalstieg et al., J. Power Sources 257 (2014) 325;
///   N. Kirkaldy et al., "Lithium-ion battery degradation: comprehensive cycle ageing data and analysis for commercial 21700
///   cells", J. Power Sources 603 (2024) 234185), 500..1200 for NCA, 2000..5000 for LFP (M. Naumann et al., J. Power
///   Sources 451 (2020) 227666).
///
/// Where it departs from real cells: `kim2011` holds more lithium than its positive electrode can take, so that what
/// the film takes (3.5 % in a full year at 25 degC) hardly shows in the capacity at first, and its fine particles never
/// plate; cycling wears the material alike at all temperatures, so that warmth hardly shortens the cycle life; storage
/// when nearly empty costs almost nothing. Ageing that knees (after 80 %) is not in these mechanisms.
///
/// The published values of `okane2022` make the film almost stand still under this equation, whose barrier falls with
/// the electrode's potential (the paper's base case limits growth by the solvent instead), and lose the most to
/// lithium plated above 0 V; they stand as published. For a sensible life take `nmc_graphite`.
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
/// negative electrode and electrolyte in V less the film's drop, and `dL/dt = j_sei V / (n F)`. Below -0.15 V film and
/// plating grow as at -0.15 V.
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

impl SeiGrowth {
    /// Volume of the film that 1 A s of lithium makes, in m3.
    #[inline(always)]
    pub(super) fn volume_m3_per_as(&self) -> f64 {
        self.molar_volume_m3_per_mol / (self.lithium_per_formula * FARADAY)
    }
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
    /// Typical ageing of graphite / NMC for the cell given. The results stand in the module's source and come from the example
    /// `ageing_table`.
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
