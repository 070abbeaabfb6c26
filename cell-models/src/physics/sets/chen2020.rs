//! LG M50 at room temperature.
//!
//! Sources: C.-H. Chen et al., "Development of Experimental Techniques for Parameterization of Multi-scale Lithium-ion
//! Battery Models", J. Electrochem. Soc. 167 (2020) 080534: the cell. A. Nyman, M. Behm, G. Lindbergh, "Electrochemical
//! characterisation and modelling of the mass transport phenomena in LiPF6-EC-EMC electrolyte", Electrochim. Acta 53 (2008)
//! 6356: the electrolyte.

use super::super::{Arrhenius, Electrode, Electrolyte, PhysicsParameters, Separator};
use super::{balanced, formula, lumped, rate};
use crate::thermal::Thermal;

/// Open-circuit potential of graphite-SiOx in V over stoichiometry.
pub(super) const GRAPHITE_OCP_V: &str = "1.9793 * exp(-39.3631 * x) + 0.2482 - 0.0909 * tanh(29.8538 * (x - 0.1234)) - \
     0.04478 * tanh(14.9159 * (x - 0.2769)) - 0.0205 * tanh(30.4444 * (x - 0.6103))";

/// Open-circuit potential of NMC811 in V over stoichiometry.
pub(super) const NMC811_OCP_V: &str = "-0.8090 * x + 4.4875 - 0.0428 * tanh(18.5138 * (x - 0.5542)) - \
     17.7326 * tanh(15.7890 * (x - 0.3117)) + 17.5842 * tanh(15.9308 * (x - 0.3120))";

/// LG M50, 21700, graphite-SiOx / NMC811, 5 Ah, 2.5..4.2 V.
///
/// Measured at 25 degC: only the exchange currents depend on temperature, so use [`okane2022`](super::okane2022) elsewhere.
/// Values: Chen et al. 2020; electrolyte: Nyman et al. 2008.
pub fn chen2020() -> PhysicsParameters {
    let cell = PhysicsParameters {
        title: "LG M50 21700, graphite-SiOx/NMC811, 5 Ah".into(),
        source: "Chen et al., J. Electrochem. Soc. 167 (2020) 080534; electrolyte: Nyman et al., Electrochim. Acta 53 \
                 (2008) 6356. Values as in PyBaMM 26.10."
            .into(),
        nominal_capacity_ah: 5.0,
        voltage_limits_v: [2.5, 4.2],
        reference_temperature_k: 298.15,
        electrode_area_m2: 0.065 * 1.58,
        electrode_pairs: 1.0,
        negative: Electrode {
            thickness_m: 85.2e-6,
            porosity: 0.25,
            transport_efficiency: 0.25_f64.powf(1.5),
            conductivity_s_per_m: 215.0,
            active_fraction: 0.75,
            particle_radius_m: 5.86e-6,
            max_concentration_mol_per_m3: 33133.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(3.3e-14, 0.0),
            ocp_v: formula(GRAPHITE_OCP_V),
            entropic_v_per_k: 0.0.into(),
            reaction_rate_mol_per_m2_s: rate(6.48e-7, 33133.0, 1000.0, 35e3),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        separator: Separator { thickness_m: 12e-6, porosity: 0.47, transport_efficiency: 0.47_f64.powf(1.5) },
        positive: Electrode {
            thickness_m: 75.6e-6,
            porosity: 0.335,
            transport_efficiency: 0.335_f64.powf(1.5),
            conductivity_s_per_m: 0.18,
            active_fraction: 0.665,
            particle_radius_m: 5.22e-6,
            max_concentration_mol_per_m3: 63104.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(4e-15, 0.0),
            ocp_v: formula(NMC811_OCP_V),
            entropic_v_per_k: 0.0.into(),
            reaction_rate_mol_per_m2_s: rate(3.42e-6, 63104.0, 1000.0, 17.8e3),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        electrolyte: electrolyte(0.0),
        contact_resistance_ohm: 0.0,
        thermal: thermal(),
        ageing: None,
    };
    balanced(cell, [29866.0 / 33133.0, 17038.0 / 63104.0])
}

/// LiPF6 in EC:EMC after Nyman et al. 2008, with an activation energy in J/mol for both of its laws.
pub(super) fn electrolyte(activation_j_per_mol: f64) -> Electrolyte {
    let diffusivity = formula("8.794e-11 * (x / 1000) ** 2 - 3.972e-10 * (x / 1000) + 4.862e-10");
    let conductivity = formula("0.1297 * (x / 1000) ** 3 - 2.51 * (x / 1000) ** 1.5 + 3.329 * (x / 1000)");
    Electrolyte {
        initial_concentration_mol_per_m3: 1000.0,
        transference: 0.2594.into(),
        thermodynamic_factor: 1.0.into(),
        diffusivity_m2_per_s: Arrhenius::new(diffusivity, activation_j_per_mol),
        conductivity_s_per_m: Arrhenius::new(conductivity, activation_j_per_mol),
    }
}

/// Collectors, electrodes and separator of the LG M50 in still air.
pub(super) fn thermal() -> Thermal {
    let layers = [
        [12e-6, 8960.0, 385.0],
        [85.2e-6, 1657.0, 700.0],
        [12e-6, 397.0, 700.0],
        [75.6e-6, 3262.0, 700.0],
        [16e-6, 2700.0, 897.0],
    ];
    lumped(&layers, 2.42e-5, 0.00531, 10.0)
}
