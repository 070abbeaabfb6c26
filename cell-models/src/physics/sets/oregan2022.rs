//! LG M50T with its temperature dependence.
//!
//! Sources: K. O'Regan, F. Brosa Planella, W. D. Widanage, E. Kendrick, "Thermal-electrochemical parameters of a high
//! energy lithium-ion cylindrical battery", Electrochim. Acta 425 (2022) 140700: the cell. J. Landesfeind, H. A. Gasteiger,
//! "Temperature and Concentration Dependence of the Ionic Transport Properties of Lithium-Ion Battery Electrolytes",
//! J. Electrochem. Soc. 166 (2019) A3079: the electrolyte. *CRC Handbook of Chemistry and Physics*, 2014: collectors.

use super::super::tabulated::{FARADAY, GAS};
use super::super::{Arrhenius, Electrode, Electrolyte, PhysicsParameters, Separator};
use super::chen2020::{GRAPHITE_OCP_V, NMC811_OCP_V};
use super::{balanced, formula, lumped};
use crate::thermal::Thermal;

/// LG M50T, 21700, graphite-SiOx / NMC811, 5 Ah, 2.5..4.2 V.
///
/// Values: O'Regan et al. 2022; electrolyte: Landesfeind & Gasteiger 2019, whose laws mix concentration and temperature, so
/// they are formulas in `x` and `T` without an activation energy. The exchange currents have exponents of their own. The
/// heat capacities and the electronic conductivity of the positive electrode are taken at 298.15 K (the latter would rise
/// with an activation energy of 3.5 kJ/mol). The upper voltage limit is the maker's: PyBaMM's file has 4.4 V, which its
/// potentials never reach (4.24 V when the graphite is full); there a numerical barrier makes up the rest.
pub fn oregan2022() -> PhysicsParameters {
    // Exchange-current density at unit arguments in A/m2.
    let rate = |j0: f64, activation| Arrhenius::new(j0 / FARADAY, activation);
    let cell = PhysicsParameters {
        title: "LG M50T 21700, graphite-SiOx/NMC811, 5 Ah".into(),
        source: "O'Regan et al., Electrochim. Acta 425 (2022) 140700; potentials: Chen et al., J. Electrochem. Soc. 167 \
                 (2020) 080534; electrolyte: Landesfeind and Gasteiger, J. Electrochem. Soc. 166 (2019) A3079. Values as \
                 in PyBaMM 26.10."
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
            max_concentration_mol_per_m3: 29583.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(
                formula(
                    "3.0321 * 10 ** (11.17 * x - 15.11 - 1.553 * exp(-(x - 0.2031) ** 2 / 0.0006091) - \
                     6.136 * exp(-(x - 0.5375) ** 2 / 0.06438) - 9.725 * exp(-(x - 0.9144) ** 2 / 0.0578) + \
                     1.85 * exp(-(x - 0.5953) ** 2 / 0.001356))",
                ),
                2092.0 * GAS,
            ),
            ocp_v: formula(GRAPHITE_OCP_V),
            entropic_v_per_k: formula(
                "(-0.1112 * x + 0.02914 + 0.3561 * exp(-(x - 0.08309) ** 2 / 0.004616)) / 1000",
            ),
            reaction_rate_mol_per_m2_s: rate(2.668, 40e3),
            reaction_exponent: 0.792,
            hysteresis: None,
        },
        separator: Separator { thickness_m: 12e-6, porosity: 0.47, transport_efficiency: 0.47_f64.powf(1.5) },
        positive: Electrode {
            thickness_m: 75.6e-6,
            porosity: 0.335,
            transport_efficiency: 0.335_f64.powf(1.5),
            conductivity_s_per_m: 0.8473,
            active_fraction: 0.665,
            particle_radius_m: 5.22e-6,
            max_concentration_mol_per_m3: 51765.0,
            stoichiometry_window: [0.0, 1.0],
            diffusivity_m2_per_s: Arrhenius::new(
                formula(
                    "2.7 * 10 ** (-13.96 - 0.9231 * exp(-(x - 0.3216) ** 2 / 0.002534) - \
                     0.4066 * exp(-(x - 0.4532) ** 2 / 0.003926) - 0.993 * exp(-(x - 0.8098) ** 2 / 0.09924))",
                ),
                1449.0 * GAS,
            ),
            ocp_v: formula(NMC811_OCP_V),
            entropic_v_per_k: formula(
                "(0.04006 * exp(-(x - 0.2828) ** 2 / 0.0009855) - 0.06656 * exp(-(x - 0.8032) ** 2 / 0.02179)) / 1000",
            ),
            reaction_rate_mol_per_m2_s: rate(5.028, 24.01e3),
            reaction_exponent: 0.43,
            hysteresis: None,
        },
        electrolyte: electrolyte(),
        contact_resistance_ohm: 0.0,
        thermal: thermal(298.15),
        ageing: None,
    };
    balanced(cell, [28866.0 / 29583.0, 13975.0 / 51765.0])
}

/// LiPF6 in EC:EMC 3:7 after Landesfeind and Gasteiger 2019.
fn electrolyte() -> Electrolyte {
    // Two properties share this polynomial of the concentration c in mol/l and of T.
    let polynomial = |p: [&str; 9]| {
        let terms = [
            "1",
            "(x / 1000)",
            "T",
            "(x / 1000) ** 2",
            "(x / 1000) * T",
            "T ** 2",
            "(x / 1000) ** 3",
            "(x / 1000) ** 2 * T",
            "(x / 1000) * T ** 2",
        ];
        let sum: Vec<String> = p.iter().zip(terms).map(|(p, term)| format!("{p} * {term}")).collect();
        formula(&sum.join(" + "))
    };
    Electrolyte {
        initial_concentration_mol_per_m3: 1000.0,
        transference: polynomial([
            "-1.28e1", "-6.12", "8.21e-2", "9.04e-1", "3.18e-2", "-1.27e-4", "1.75e-2", "-3.12e-3",
            "-3.96e-5",
        ]),
        thermodynamic_factor: polynomial([
            "2.57e1", "-4.51e1", "-1.77e-1", "1.94", "2.95e-1", "3.08e-4", "2.59e-1", "-9.46e-3", "-4.54e-4",
        ]),
        diffusivity_m2_per_s: Arrhenius::new(
            formula(
                "1.01e3 * exp(1.01 * (x / 1000)) * exp(-1.56e3 / T) * exp(-4.87e2 * (x / 1000) / T) * 1e-10",
            ),
            0.0,
        ),
        conductivity_s_per_m: Arrhenius::new(
            formula(
                "5.21e-1 * (1 + (T - 2.28e2)) * (x / 1000) * (1 - 1.06 * (x / 1000) ** 0.5 + \
                 3.53e-1 * (1 - 3.59e-3 * exp(1000 / T)) * (x / 1000)) / \
                 (1 + (x / 1000) ** 4 * 1.48e-3 * exp(1000 / T)) / 10",
            ),
            0.0,
        ),
    }
}

/// The layers' heat capacities at temperature `t` in K, electrodes and separator wetted by the electrolyte.
fn thermal(t: f64) -> Thermal {
    let cubic = |a: f64, b: f64, c: f64, d: f64| ((a * t + b) * t + c) * t + d;
    let wet = |dry_density: f64, dry_heat: f64, porosity: f64| {
        let (density, heat) = (1280.0, 229.0);
        (dry_density * dry_heat + density * heat * porosity) / (dry_density + density * porosity)
    };
    let layers = [
        [12e-6, 8933.0, cubic(1.445e-6, -1.946e-3, 0.9633, 236.0)],
        [85.2e-6, 2060.0, wet(1740.0, cubic(4.932e-4, -0.491, 169.4, -1.897e4), 0.25)],
        [12e-6, 1548.0, wet(946.0, cubic(1.494e-3, -1.444, 475.5, -5.13e4), 0.47)],
        [75.6e-6, 3699.0, wet(3270.0, cubic(-8.414e-4, 0.7892, -241.3, 2.508e4), 0.335)],
        [16e-6, 2702.0, cubic(4.503e-6, -6.256e-3, 3.281, 355.7)],
    ];
    lumped(&layers, 2.42e-5, 0.00531, 10.0)
}
