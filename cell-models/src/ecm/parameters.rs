//! What describes an equivalent-circuit cell, and two ready examples.

use super::{KELVIN, MAX_RC_PAIRS, REFERENCE_TEMPERATURE_C};
use crate::error::{ParameterError, check, check_not_negative, check_positive};
use crate::table::{Table1, Table2};
use crate::thermal::Thermal;

/// One resistor-capacitor pair; tables over core temperature in degC (rows) and SOC (columns).
#[derive(Debug, Clone, PartialEq)]
pub struct RcPair {
    /// Resistance in ohm, above 0.
    pub r_ohm: Table2,
    /// Time constant in s, above 0.
    pub tau_s: Table2,
}

/// Everything that describes an equivalent-circuit cell. [`EcmCell::new`](crate::EcmCell::new) checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct EcmParameters {
    /// Capacity `Q` in Ah, above 0.
    pub capacity_ah: f64,
    /// Share of the charging current that is stored, above 0 and at most 1. The lost share leaves no heat.
    pub coulombic_efficiency: f64,
    /// Lower and upper voltage limit in V.
    pub voltage_limits_v: [f64; 2],
    /// Open-circuit voltage in V over SOC at 25 degC; never falls with SOC.
    pub ocv_v: Table1,
    /// Entropic coefficient `dU/dT` in V/K over SOC.
    pub entropic_v_per_k: Table1,
    /// Ohmic resistance in ohm while discharging (and at rest), above 0; over core temperature and SOC.
    pub r0_discharge_ohm: Table2,
    /// Ohmic resistance in ohm while charging, above 0; over core temperature and SOC.
    pub r0_charge_ohm: Table2,
    /// Up to three RC pairs.
    pub rc: Vec<RcPair>,
    /// Largest hysteresis voltage `M` in V over SOC, not negative; half the gap between the branches.
    pub hysteresis_v: Table1,
    /// Rate `gamma` of the hysteresis per capacity of throughput (dimensionless), not negative.
    pub hysteresis_gamma: f64,
    /// Thermal nodes.
    pub thermal: Thermal,
}

impl EcmParameters {
    /// A made-up 5 Ah cell that behaves like NMC on graphite. The numbers illustrate; they are no maker's cell.
    pub fn generic_nmc_5ah() -> Self {
        Self {
            capacity_ah: 5.0,
            coulombic_efficiency: 0.9995,
            voltage_limits_v: [2.5, 4.2],
            ocv_v: Table1 {
                x: vec![0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
                y: vec![2.5, 2.98, 3.22, 3.38, 3.52, 3.6, 3.65, 3.71, 3.81, 3.91, 4.01, 4.08, 4.2],
            },
            entropic_v_per_k: Table1 {
                x: vec![0.0, 0.2, 0.4, 0.6, 1.0],
                y: vec![-3e-4, -1e-4, 1e-4, 2e-5, 1e-4],
            },
            r0_discharge_ohm: arrhenius(0.020, 12e3, [1.4, 1.05, 1.0, 1.0, 1.05]),
            r0_charge_ohm: arrhenius(0.021, 12e3, [1.3, 1.05, 1.0, 1.0, 1.1]),
            rc: vec![
                RcPair {
                    r_ohm: arrhenius(0.010, 30e3, [2.0, 1.3, 1.0, 1.0, 1.2]),
                    tau_s: arrhenius(8.0, 8e3, [1.3, 1.1, 1.0, 1.0, 1.0]),
                },
                RcPair {
                    r_ohm: arrhenius(0.012, 25e3, [3.0, 1.4, 1.0, 1.0, 1.1]),
                    tau_s: arrhenius(180.0, 5e3, [1.5, 1.2, 1.0, 1.0, 1.0]),
                },
            ],
            hysteresis_v: Table1 { x: vec![0.0, 0.3, 1.0], y: vec![0.008, 0.006, 0.002] },
            hysteresis_gamma: 20.0,
            thermal: Thermal {
                core_j_per_k: 60.0,
                surface_j_per_k: 10.0,
                core_surface_w_per_k: 1.0,
                surface_ambient_w_per_k: 0.1,
            },
        }
    }

    /// A made-up 2.3 Ah cell that behaves like LFP on graphite: flat voltage, plain hysteresis. The numbers illustrate;
    /// they are no maker's cell.
    pub fn generic_lfp_2ah3() -> Self {
        Self {
            capacity_ah: 2.3,
            coulombic_efficiency: 0.9995,
            voltage_limits_v: [2.0, 3.6],
            ocv_v: Table1 {
                x: vec![0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.65, 0.7, 0.9, 0.97, 0.99, 1.0],
                y: vec![2.0, 2.75, 3.05, 3.19, 3.24, 3.275, 3.285, 3.292, 3.31, 3.328, 3.332, 3.34, 3.4, 3.6],
            },
            entropic_v_per_k: Table1 {
                x: vec![0.0, 0.2, 0.4, 0.6, 1.0],
                y: vec![-4e-4, -1e-4, 1e-4, -5e-5, 1e-4],
            },
            r0_discharge_ohm: arrhenius(0.012, 14e3, [1.3, 1.05, 1.0, 1.0, 1.05]),
            r0_charge_ohm: arrhenius(0.0125, 14e3, [1.2, 1.05, 1.0, 1.0, 1.15]),
            rc: vec![
                RcPair {
                    r_ohm: arrhenius(0.008, 35e3, [2.0, 1.3, 1.0, 1.0, 1.3]),
                    tau_s: arrhenius(5.0, 8e3, [1.3, 1.1, 1.0, 1.0, 1.1]),
                },
                RcPair {
                    r_ohm: arrhenius(0.015, 25e3, [2.5, 1.3, 1.0, 1.0, 1.3]),
                    tau_s: arrhenius(250.0, 5e3, [1.5, 1.2, 1.0, 1.0, 1.1]),
                },
            ],
            hysteresis_v: Table1 {
                x: vec![0.0, 0.1, 0.5, 0.9, 1.0],
                y: vec![0.03, 0.022, 0.016, 0.014, 0.01],
            },
            hysteresis_gamma: 15.0,
            thermal: Thermal {
                core_j_per_k: 70.0,
                surface_j_per_k: 12.0,
                core_surface_w_per_k: 0.8,
                surface_ambient_w_per_k: 0.12,
            },
        }
    }

    /// The same cell with `size` times the electrode area: capacity grows, resistances fall. The thermal nodes stay.
    ///
    /// ```
    /// let small = cell_models::EcmParameters::generic_nmc_5ah();
    /// let large = small.clone().of_size(10.0);
    /// assert_eq!(large.capacity_ah, 50.0);
    /// assert!((large.r0_charge_ohm.at(25.0, 0.5) - 0.1 * small.r0_charge_ohm.at(25.0, 0.5)).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn of_size(mut self, size: f64) -> Self {
        self.capacity_ah *= size;
        let pairs = self.rc.iter_mut().map(|pair| &mut pair.r_ohm);
        for table in pairs.chain([&mut self.r0_discharge_ohm, &mut self.r0_charge_ohm]) {
            table.values.iter_mut().for_each(|r| *r /= size);
        }
        self
    }

    /// Checks every number; [`EcmCell::new`](crate::EcmCell::new) calls it.
    ///
    /// # Errors
    /// The first parameter that is out of its documented range.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let [low, high] = self.voltage_limits_v;
        check_positive("capacity in Ah", self.capacity_ah)?;
        check("coulombic efficiency", self.coulombic_efficiency, "above 0 and at most 1", |v| {
            v > 0.0 && v <= 1.0
        })?;
        check("lower voltage limit", low, "finite", |_| true)?;
        check("upper voltage limit", high, "finite and above the lower limit", |v| v > low)?;
        if let Some(i) = self.ocv_v.values().windows(2).position(|w| w[1] < w[0]) {
            return Err(ParameterError::NotAscending { name: "open-circuit voltage over SOC", index: i + 1 });
        }
        if self.rc.len() > MAX_RC_PAIRS {
            return Err(ParameterError::TooManyRcPairs(self.rc.len()));
        }
        let positive =
            |name, table: &Table2| table.values().iter().try_for_each(|&v| check_positive(name, v));
        positive("R0 on discharge", &self.r0_discharge_ohm)?;
        positive("R0 on charge", &self.r0_charge_ohm)?;
        for pair in &self.rc {
            positive("resistance of an RC pair", &pair.r_ohm)?;
            positive("time constant of an RC pair", &pair.tau_s)?;
        }
        for &m in self.hysteresis_v.values() {
            check_not_negative("hysteresis voltage", m)?;
        }
        check_not_negative("hysteresis rate gamma", self.hysteresis_gamma)?;
        self.thermal.validate()
    }
}

/// Table of `at_25c * shape(SOC)` that falls with temperature by Arrhenius' law with the activation energy in J/mol.
fn arrhenius(at_25c: f64, activation_j_per_mol: f64, shape: [f64; 5]) -> Table2 {
    const GAS_J_PER_MOL_K: f64 = 8.314_462_618;
    let rows = vec![-20.0, -10.0, 0.0, 10.0, 25.0, 45.0, 60.0];
    let cols = vec![0.0, 0.1, 0.3, 0.8, 1.0];
    let factor = |t: f64| {
        let inverse = 1.0 / (t + KELVIN) - 1.0 / (REFERENCE_TEMPERATURE_C + KELVIN);
        at_25c * (activation_j_per_mol / GAS_J_PER_MOL_K * inverse).exp()
    };
    let values = rows.iter().flat_map(|&t| shape.map(|s| s * factor(t))).collect();
    Table2 { rows, cols, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EcmCell;

    #[test]
    fn example_cells_are_valid_down_to_their_tables() {
        for p in [EcmParameters::generic_nmc_5ah(), EcmParameters::generic_lfp_2ah3()] {
            p.validate().unwrap();
            for t in [&p.ocv_v, &p.entropic_v_per_k, &p.hysteresis_v] {
                Table1::new(t.x.clone(), t.y.clone()).unwrap();
            }
            for t in
                p.rc.iter().flat_map(|r| [&r.r_ohm, &r.tau_s]).chain([&p.r0_discharge_ohm, &p.r0_charge_ohm])
            {
                Table2::new(t.rows.clone(), t.cols.clone(), t.values.clone()).unwrap();
            }
            // SOC 0 and 1 are where the open-circuit voltage meets the limits.
            assert_eq!([p.ocv_v.at(0.0), p.ocv_v.at(1.0)], p.voltage_limits_v);
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        let message = |change: fn(&mut EcmParameters)| {
            let mut p = EcmParameters::generic_nmc_5ah();
            change(&mut p);
            EcmCell::new(p, 0.5, 25.0).unwrap_err().to_string()
        };
        assert!(message(|p| p.capacity_ah = 0.0).contains("capacity"));
        assert!(message(|p| p.coulombic_efficiency = 1.1).contains("coulombic efficiency = 1.1"));
        assert!(message(|p| p.voltage_limits_v = [4.2, 2.5]).contains("upper voltage limit"));
        assert!(message(|p| p.r0_charge_ohm.values[0] = -0.01).contains("R0 on charge = -0.01"));
        assert!(message(|p| p.rc[0].tau_s.values[3] = 0.0).contains("time constant"));
        assert!(message(|p| p.rc = vec![p.rc[0].clone(); 4]).contains("4 RC pairs"));
        assert!(message(|p| p.ocv_v.y[3] = 1.0).contains("open-circuit voltage over SOC must ascend"));
        assert!(message(|p| p.hysteresis_v.y[0] = -1.0).contains("hysteresis voltage"));
        assert!(message(|p| p.hysteresis_gamma = f64::NAN).contains("gamma"));
        assert!(message(|p| p.thermal.core_j_per_k = 0.0).contains("core heat capacity"));
        let p = EcmParameters::generic_nmc_5ah;
        assert!(EcmCell::new(p(), 1.1, 25.0).is_err() && EcmCell::new(p(), 0.5, f64::NAN).is_err());
        assert!(EcmCell::new(p(), 0.5, 25.0).unwrap().with_hysteresis(-1.5).is_err());
    }
}
