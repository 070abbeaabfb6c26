//! An LFP cell.
//!
//! Sources: E. Prada et al., "A Simplified Electrochemical and Thermal Aging Model of LiFePO4-Graphite Li-ion Batteries:
//! Power and Capacity Fade Simulations", J. Electrochem. Soc. 160 (2013) A616: the cell and the electrolyte. S. Afshar,
//! K. Morris, A. Khajepour, "Efficient electrochemical model for lithium-ion cells", arXiv:1709.03970 (2017): potential of
//! LFP. A. G. Kashkooli et al., J. Appl. Electrochem. 47 (2017) 281: exchange current of LFP. C.-H. Chen et al. (2020), see
//! [`chen2020`](super::chen2020()): potential and exchange current of graphite.

use super::super::{Arrhenius, Electrode, Electrolyte, OcpHysteresis, PhysicsParameters, Separator};
use super::chen2020::GRAPHITE_OCP_V;
use super::{balanced, formula, rate};
use crate::thermal::Thermal;

/// A123 26650, graphite / LFP, 2.3 Ah, 2.0..3.6 V.
///
/// Values at 25 degC: Prada et al. 2013, completed from Afshar et al. 2017, Kashkooli et al. 2017 and Chen et al. 2020 as
/// PyBaMM does. The following are this crate's assumptions, within what is usual for such cells:
///
/// * activation energies: 35 kJ/mol for both diffusivities and the negative exchange current, 50 kJ/mol for the positive
///   exchange current, 17.1 kJ/mol for the electrolyte's diffusivity and conductivity, about 298.15 K (PyBaMM's file has
///   298 K, and only its exchange currents depend on temperature);
/// * hysteresis of the positive electrode: 10 mV to either side of its potential, vanishing towards both ends, with a
///   decay of 12 per stoichiometry;
/// * heat: 75 J/K (26 mm x 65 mm at 2.2 MJ/(m3 K)) and still air, 10 W/(m2 K) over the whole surface.
pub fn prada2013() -> PhysicsParameters {
    let ocp_v = "3.4077 - 0.020269 * x + 0.5 * exp(-150 * x) - 0.9 * exp(-30 * (1 - x))";
    let gap = "0.01 * (tanh((x - 0.03) / 0.04) + 1) / 2 * (tanh((0.97 - x) / 0.04) + 1) / 2";
    let cell = PhysicsParameters {
        title: "A123 26650, graphite/LFP, 2.3 Ah".into(),
        source: "Prada et al., J. Electrochem. Soc. 160 (2013) A616; potential of LFP: Afshar et al., arXiv:1709.03970; \
                 exchange current of LFP: Kashkooli et al., J. Appl. Electrochem. 47 (2017) 281; graphite: Chen et al., \
                 J. Electrochem. Soc. 167 (2020) 080534. Values at 25 degC as in PyBaMM 26.10; temperature dependence, \
                 hysteresis and heat are assumptions of this library."
            .into(),
        nominal_capacity_ah: 2.3,
        voltage_limits_v: [2.0, 3.6],
        reference_temperature_k: 298.15,
        electrode_area_m2: 0.6 * 0.3,
        electrode_pairs: 1.0,
        negative: Electrode {
            thickness_m: 34e-6,
            porosity: 0.36,
            transport_efficiency: 0.36_f64.powf(1.5),
            conductivity_s_per_m: 215.0 * 0.64_f64.powf(1.5),
            active_fraction: 0.58,
            particle_radius_m: 5e-6,
            max_concentration_mol_per_m3: 30555.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(3e-15, 35e3),
            ocp_v: formula(GRAPHITE_OCP_V),
            entropic_v_per_k: 0.0.into(),
            reaction_rate_mol_per_m2_s: rate(6.48e-7, 30555.0, 1200.0, 35e3),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        separator: Separator { thickness_m: 25e-6, porosity: 0.45, transport_efficiency: 0.45_f64.powf(1.5) },
        positive: Electrode {
            thickness_m: 80e-6,
            porosity: 0.426,
            transport_efficiency: 0.426_f64.powf(1.5),
            conductivity_s_per_m: 0.33795074 * 0.574_f64.powf(1.5),
            active_fraction: 0.374,
            particle_radius_m: 50e-9,
            max_concentration_mol_per_m3: 22806.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(5.9e-18, 35e3),
            ocp_v: formula(ocp_v),
            entropic_v_per_k: 0.0.into(),
            reaction_rate_mol_per_m2_s: rate(6e-7, 22806.0, 1200.0, 50e3),
            reaction_exponent: 0.5,
            hysteresis: Some(OcpHysteresis {
                lithiation_v: formula(&format!("{ocp_v} - {gap}")),
                delithiation_v: formula(&format!("{ocp_v} + {gap}")),
                decay: 12.0,
            }),
        },
        electrolyte: Electrolyte {
            initial_concentration_mol_per_m3: 1200.0,
            transference: 0.36.into(),
            thermodynamic_factor: 1.0.into(),
            diffusivity_m2_per_s: Arrhenius::new(2e-10, 17.1e3),
            conductivity_s_per_m: Arrhenius::new(
                formula(
                    "(4.1253e-4 + 5.007 * (x / 1e6) - 4721.2 * (x / 1e6) ** 2 + 1.5094e6 * (x / 1e6) ** 3 - \
                     1.6018e8 * (x / 1e6) ** 4) * 1e3",
                ),
                17.1e3,
            ),
        },
        contact_resistance_ohm: 0.0,
        thermal: Thermal::lumped(75.0, 10.0 * 0.00637),
        ageing: None,
    };
    balanced(cell, [0.81, 0.0038])
}
