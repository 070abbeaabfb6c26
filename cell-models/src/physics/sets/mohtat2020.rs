//! A pouch cell with NMC532.
//!
//! Source: P. Mohtat, S. Lee, V. Sulzer, J. B. Siegel, A. G. Stefanopoulou, "Differential Expansion and Voltage Model for
//! Li-ion Batteries at Practical Charging Rates", J. Electrochem. Soc. 167 (2020) 110561. Its entropic coefficients are
//! from K. E. Thomas, J. Newman, J. Power Sources 119 (2003) 844 (graphite) and W. Lu et al., J. Electrochem. Soc. 153
//! (2006) A2147 (positive electrode).

use super::super::{Arrhenius, Electrode, Electrolyte, PhysicsParameters, Separator};
use super::{balanced, formula, lumped, rate};

/// Pouch cell, graphite / NMC532, 5 Ah, 2.8..4.2 V.
///
/// Values: Mohtat et al. 2020. The entropic coefficient of the positive electrode is a polynomial of its potential; as in
/// PyBaMM that potential lacks the term in `x ** 5` there.
pub fn mohtat2020() -> PhysicsParameters {
    let positive_u = "(4.3452 - 1.6518 * x + 1.6225 * x ** 2 - 2.0843 * x ** 3 + 3.5146 * x ** 4 - \
                      0.5623e-4 * exp(109.451 * x - 100.006))";
    let positive_entropic = format!(
        "(-800 + 779 * {u} - 284 * {u} ** 2 + 46 * {u} ** 3 - 2.8 * {u} ** 4) * 1e-3",
        u = positive_u
    );
    let cell = PhysicsParameters {
        title: "Pouch cell, graphite/NMC532, 5 Ah".into(),
        source: "Mohtat et al., J. Electrochem. Soc. 167 (2020) 110561. Values as in PyBaMM 26.10.".into(),
        nominal_capacity_ah: 5.0,
        voltage_limits_v: [2.8, 4.2],
        reference_temperature_k: 298.15,
        electrode_area_m2: 0.205,
        electrode_pairs: 1.0,
        negative: Electrode {
            thickness_m: 62e-6,
            porosity: 0.3,
            transport_efficiency: 0.3_f64.powf(1.5),
            conductivity_s_per_m: 100.0 * 0.7_f64.powf(1.5),
            active_fraction: 0.61,
            particle_radius_m: 2.5e-6,
            max_concentration_mol_per_m3: 28746.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(5e-15, 42770.0),
            ocp_v: formula(
                "0.063 + 0.8 * exp(-75 * (x + 0.001)) - 0.0120 * tanh((x - 0.127) / 0.016) - \
                 0.0118 * tanh((x - 0.155) / 0.016) - 0.0035 * tanh((x - 0.220) / 0.020) - \
                 0.0095 * tanh((x - 0.190) / 0.013) - 0.0145 * tanh((x - 0.490) / 0.020) - \
                 0.0800 * tanh((x - 1.030) / 0.055)",
            ),
            entropic_v_per_k: formula(
                "1e-3 * (0.28 - 1.56 * x - 8.92 * x ** 2 + 57.21 * x ** 3 - 110.7 * x ** 4 + 90.71 * x ** 5 - \
                 27.14 * x ** 6)",
            ),
            reaction_rate_mol_per_m2_s: rate(1.061e-6, 28746.0, 1000.0, 37480.0),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        separator: Separator { thickness_m: 12e-6, porosity: 0.4, transport_efficiency: 0.4_f64.powf(1.5) },
        positive: Electrode {
            thickness_m: 67e-6,
            porosity: 0.3,
            transport_efficiency: 0.3_f64.powf(1.5),
            conductivity_s_per_m: 100.0 * 0.7_f64.powf(1.5),
            active_fraction: 0.445,
            particle_radius_m: 3.5e-6,
            max_concentration_mol_per_m3: 35380.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(8e-15, 18550.0),
            ocp_v: formula(
                "4.3452 - 1.6518 * x + 1.6225 * x ** 2 - 2.0843 * x ** 3 + 3.5146 * x ** 4 - 2.2166 * x ** 5 - \
                 0.5623e-4 * exp(109.451 * x - 100.006)",
            ),
            entropic_v_per_k: formula(&positive_entropic),
            reaction_rate_mol_per_m2_s: rate(4.824e-6, 35380.0, 1000.0, 39570.0),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        electrolyte: Electrolyte {
            initial_concentration_mol_per_m3: 1000.0,
            transference: 0.38.into(),
            thermodynamic_factor: 1.0.into(),
            diffusivity_m2_per_s: Arrhenius::new(5.35e-10, 37040.0),
            conductivity_s_per_m: Arrhenius::new(1.3, 34700.0),
        },
        contact_resistance_ohm: 0.0,
        thermal: lumped(
            &[
                [25e-6, 8954.0, 385.0],
                [62e-6, 3100.0, 1100.0],
                [12e-6, 397.0, 700.0],
                [67e-6, 3100.0, 1100.0],
                [25e-6, 2707.0, 897.0],
            ],
            3.92e-5,
            0.41,
            5.0,
        ),
        ageing: None,
    };
    balanced(cell, [48.8682 / 28746.0, 31513.0 / 35380.0])
}
