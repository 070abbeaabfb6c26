//! A pouch cell with NCA.
//!
//! Source: G.-H. Kim, K. Smith, K.-J. Lee, S. Santhanagopalan, A. Pesaran, "Multi-Domain Modeling of Lithium-Ion Batteries
//! Encompassing Multi-Physics in Varied Length Scales", J. Electrochem. Soc. 158 (2011) A955: its nominal design.

use super::super::tabulated::FARADAY;
use super::super::{Arrhenius, Electrode, Electrolyte, PhysicsParameters, Separator};
use super::{balanced, formula, lumped};

/// Pouch cell, graphite / NCA, 0.43 Ah, 2.7..4.2 V.
///
/// Values: Kim et al. 2011. The electrolyte's laws mix concentration and temperature, so they are formulas in `x` and `T`
/// without an activation energy.
pub fn kim2011() -> PhysicsParameters {
    // Exchange-current density in A/m2, given at one stoichiometry.
    let rate = |j0: f64, x: f64| Arrhenius::new(j0 / (x * (1.0 - x)).sqrt() / FARADAY, 30e3);
    let cell = PhysicsParameters {
        title: "Pouch cell, graphite/NCA, 0.43 Ah".into(),
        source:
            "Kim et al., J. Electrochem. Soc. 158 (2011) A955, nominal design. Values as in PyBaMM 26.10."
                .into(),
        nominal_capacity_ah: 0.43,
        voltage_limits_v: [2.7, 4.2],
        reference_temperature_k: 298.15,
        electrode_area_m2: 0.2 * 0.14,
        electrode_pairs: 1.0,
        negative: Electrode {
            thickness_m: 70e-6,
            porosity: 0.4,
            transport_efficiency: 0.4_f64.powi(2),
            conductivity_s_per_m: 100.0 * 0.6_f64.powi(2),
            active_fraction: 0.51,
            particle_radius_m: 0.5083e-6,
            max_concentration_mol_per_m3: 28700.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(9e-14, 4e3),
            ocp_v: formula(
                "0.124 + 1.5 * exp(-70 * x) - 0.0351 * tanh((x - 0.286) / 0.083) - 0.0045 * tanh((x - 0.9) / 0.119) - \
                 0.035 * tanh((x - 0.99) / 0.05) - 0.0147 * tanh((x - 0.5) / 0.034) - \
                 0.102 * tanh((x - 0.194) / 0.142) - 0.022 * tanh((x - 0.98) / 0.0164) - \
                 0.011 * tanh((x - 0.124) / 0.0226) + 0.0155 * tanh((x - 0.105) / 0.029)",
            ),
            entropic_v_per_k: 0.0.into(),
            reaction_rate_mol_per_m2_s: rate(36.0, 0.36),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        separator: Separator { thickness_m: 25e-6, porosity: 0.4, transport_efficiency: 0.4_f64.powi(2) },
        positive: Electrode {
            thickness_m: 50e-6,
            porosity: 0.4,
            transport_efficiency: 0.4_f64.powi(2),
            conductivity_s_per_m: 10.0 * 0.6_f64.powi(2),
            active_fraction: 0.41,
            particle_radius_m: 1.633e-6,
            max_concentration_mol_per_m3: 49000.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(3e-15, 20e3),
            ocp_v: formula(
                "1.638 * x ** 10 - 2.222 * x ** 9 + 15.056 * x ** 8 - 23.488 * x ** 7 + 81.246 * x ** 6 - \
                 344.566 * x ** 5 + 621.3475 * x ** 4 - 554.774 * x ** 3 + 264.427 * x ** 2 - 66.3691 * x + 11.8058 - \
                 0.61386 * exp(5.8201 * x ** 136.4)",
            ),
            entropic_v_per_k: 0.0.into(),
            reaction_rate_mol_per_m2_s: rate(4.0, 0.41),
            reaction_exponent: 0.5,
            hysteresis: None,
        },
        electrolyte: Electrolyte {
            initial_concentration_mol_per_m3: 1200.0,
            transference: 0.4.into(),
            thermodynamic_factor: 1.0.into(),
            diffusivity_m2_per_s: Arrhenius::new(
                formula(
                    "5.84e-7 * exp(-2870 / T) * (x / 1000) ** 2 - 33.9e-7 * exp(-2920 / T) * (x / 1000) + \
                     129e-7 * exp(-3200 / T)",
                ),
                0.0,
            ),
            conductivity_s_per_m: Arrhenius::new(
                formula(
                    "3.45 * exp(-798 / T) * (x / 1000) ** 3 - 48.5 * exp(-1080 / T) * (x / 1000) ** 2 + \
                     244 * exp(-1440 / T) * (x / 1000)",
                ),
                0.0,
            ),
        },
        contact_resistance_ohm: 0.0,
        thermal: lumped(
            &[
                [10e-6, 11544.75, 385.0],
                [70e-6, 2136.43638, 700.0],
                [25e-6, 511.86798, 700.0],
                [50e-6, 4205.82708, 700.0],
                [10e-6, 3490.24338, 897.0],
            ],
            4.62e-6,
            0.0561,
            25.0,
        ),
        ageing: None,
    };
    balanced(cell, [18081.0 / 28700.0, 20090.0 / 49000.0])
}
