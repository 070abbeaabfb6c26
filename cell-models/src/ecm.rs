//! Equivalent-circuit plant: open-circuit voltage, hysteresis, ohmic and RC drops, two thermal nodes.

use std::sync::Arc;

use crate::error::{ParameterError, PlantError, check, check_not_negative, check_positive};
use crate::plant::{Plant, check_current, check_temperature, check_time_step};
use crate::table::{Table1, Table2};
use crate::thermal::Thermal;

/// Largest number of RC pairs.
pub const MAX_RC_PAIRS: usize = 3;
/// Temperature in degC at which the open-circuit voltage table holds.
pub const REFERENCE_TEMPERATURE_C: f64 = 25.0;

const KELVIN: f64 = 273.15;
/// A step is cut up so that parameters and heat hardly change within a piece.
const MAX_PIECE_S: f64 = 5.0;
const MAX_PIECE_SOC: f64 = 1e-3;
const MAX_PIECES: f64 = 1e5;

/// One resistor-capacitor pair; tables over core temperature in degC (rows) and SOC (columns).
#[derive(Debug, Clone, PartialEq)]
pub struct RcPair {
    /// Resistance in ohm, above 0.
    pub r_ohm: Table2,
    /// Time constant in s, above 0.
    pub tau_s: Table2,
}

/// Everything that describes an equivalent-circuit cell. [`EcmCell::new`] checks it.
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

    /// Checks every number; [`EcmCell::new`] calls it.
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

/// The equivalent-circuit plant. The [crate documentation](crate#equivalent-circuit) gives its equations.
#[derive(Debug, Clone)]
pub struct EcmCell {
    parameters: Arc<EcmParameters>,
    ambient_c: f64,
    current_a: f64,
    soc: f64,
    /// Rounding error carried along by Kahan's summation, so that years of small steps lose no charge.
    soc_carry: f64,
    rc_v: [f64; MAX_RC_PAIRS],
    hysteresis: f64,
    /// Core and surface.
    temperature_c: [f64; 2],
}

impl EcmCell {
    /// A rested cell at the SOC `soc` (0..1), all of it at `temperature_c`, which is also the ambient temperature
    /// (-273.15..1000 degC). The hysteresis state starts at 0, between the branches.
    ///
    /// # Errors
    /// When a parameter, the SOC or the temperature is out of range; the message names it.
    pub fn new(parameters: EcmParameters, soc: f64, temperature_c: f64) -> Result<Self, ParameterError> {
        parameters.validate()?;
        check("start SOC", soc, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
        let allowed = "between -273.15 and 1000 degC";
        check("start temperature", temperature_c, allowed, |v| check_temperature(v).is_ok())?;
        Ok(Self {
            parameters: Arc::new(parameters),
            ambient_c: temperature_c,
            current_a: 0.0,
            soc,
            soc_carry: 0.0,
            rc_v: [0.0; MAX_RC_PAIRS],
            hysteresis: 0.0,
            temperature_c: [temperature_c; 2],
        })
    }

    /// The same cell with its hysteresis state set: -1 after a long discharge, 1 after a long charge.
    ///
    /// # Errors
    /// When the state is not between -1 and 1.
    pub fn with_hysteresis(mut self, state: f64) -> Result<Self, ParameterError> {
        check("hysteresis state", state, "between -1 and 1", |v| v.abs() <= 1.0)?;
        self.hysteresis = state;
        Ok(self)
    }

    /// The parameters of the cell.
    pub fn parameters(&self) -> &EcmParameters {
        &self.parameters
    }

    /// Open-circuit voltage `U` in V at the present SOC and core temperature, without hysteresis.
    pub fn open_circuit_voltage_v(&self) -> f64 {
        let p = &self.parameters;
        p.ocv_v.at(self.soc)
            + (self.temperature_c[0] - REFERENCE_TEMPERATURE_C) * p.entropic_v_per_k.at(self.soc)
    }

    /// Hysteresis state `h`, -1..1.
    pub fn hysteresis_state(&self) -> f64 {
        self.hysteresis
    }

    /// Voltages over the RC pairs in V, positive after discharge, in the order of the parameters.
    pub fn rc_voltages_v(&self) -> &[f64] {
        &self.rc_v[..self.parameters.rc.len()]
    }

    /// `U - V`: what the terminal voltage lacks against the open-circuit voltage, in V.
    fn drop_v(&self) -> f64 {
        let p = &self.parameters;
        let r0 = if self.current_a < 0.0 { &p.r0_charge_ohm } else { &p.r0_discharge_ohm };
        let ohmic = self.current_a * r0.at(self.temperature_c[0], self.soc);
        ohmic + self.rc_v.iter().sum::<f64>() - p.hysteresis_v.at(self.soc) * self.hysteresis
    }

    /// One piece of a step, second order in its length: the circuit exactly under constant current and the parameters
    /// of the middle (where the temperature is predicted), then the thermal nodes exactly under the mean heat.
    fn advance_piece(&mut self, dt_s: f64, soc_change: f64) {
        let p = Arc::clone(&self.parameters);
        let start_c = self.temperature_c;
        let [ambient, heat_at_start] = [self.ambient_c, self.heat_w()];
        self.temperature_c = p.thermal.step(start_c, ambient, heat_at_start, 0.5 * dt_s);
        let heat_before = self.heat_w();
        let (core, soc_middle) = (self.temperature_c[0], self.soc + 0.5 * soc_change);
        for (v, pair) in self.rc_v.iter_mut().zip(&p.rc) {
            let settled = self.current_a * pair.r_ohm.at(core, soc_middle);
            *v = settled + (*v - settled) * (-dt_s / pair.tau_s.at(core, soc_middle)).exp();
        }
        if self.current_a != 0.0 {
            let rate = self.current_a.abs() * p.hysteresis_gamma / (3600.0 * p.capacity_ah);
            let settled = -self.current_a.signum();
            self.hysteresis = settled + (self.hysteresis - settled) * (-rate * dt_s).exp();
        }
        let change = soc_change - self.soc_carry;
        let soc = self.soc + change;
        self.soc_carry = (soc - self.soc) - change;
        self.soc = soc;
        let heat = 0.5 * (heat_before + self.heat_w());
        self.temperature_c = p.thermal.step(start_c, ambient, heat, dt_s);
    }
}

impl Plant for EcmCell {
    fn set_current(&mut self, current_a: f64) -> Result<(), PlantError> {
        check_current(current_a)?;
        self.current_a = current_a;
        Ok(())
    }

    fn set_ambient_c(&mut self, ambient_c: f64) -> Result<(), PlantError> {
        check_temperature(ambient_c)?;
        self.ambient_c = ambient_c;
        Ok(())
    }

    fn advance(&mut self, dt_s: f64) -> Result<(), PlantError> {
        check_time_step(dt_s)?;
        if dt_s == 0.0 {
            return Ok(());
        }
        let p = &self.parameters;
        let stored = if self.current_a < 0.0 { p.coulombic_efficiency } else { 1.0 };
        let soc_change = -stored * self.current_a * dt_s / (3600.0 * p.capacity_ah);
        let pieces = (dt_s / MAX_PIECE_S).max(soc_change.abs() / MAX_PIECE_SOC).ceil().clamp(1.0, MAX_PIECES);
        let mut next = self.clone();
        for _ in 0..pieces as u32 {
            next.advance_piece(dt_s / pieces, soc_change / pieces);
        }
        if !(next.soc + next.voltage_v() + next.heat_w() + next.temperature_c[0] + next.temperature_c[1])
            .is_finite()
        {
            return Err(PlantError::Diverged { current_a: self.current_a, dt_s });
        }
        *self = next;
        Ok(())
    }

    fn current_a(&self) -> f64 {
        self.current_a
    }

    fn voltage_v(&self) -> f64 {
        self.open_circuit_voltage_v() - self.drop_v()
    }

    fn core_temperature_c(&self) -> f64 {
        self.temperature_c[0]
    }

    fn surface_temperature_c(&self) -> f64 {
        self.temperature_c[1]
    }

    fn soc(&self) -> f64 {
        self.soc
    }

    fn capacity_ah(&self) -> f64 {
        self.parameters.capacity_ah
    }

    fn heat_w(&self) -> f64 {
        let kelvin = self.temperature_c[0] + KELVIN;
        let entropic_v = kelvin * self.parameters.entropic_v_per_k.at(self.soc);
        self.current_a * (self.drop_v() - entropic_v)
    }

    fn voltage_limits_v(&self) -> [f64; 2] {
        self.parameters.voltage_limits_v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn refused_calls_leave_the_state_untouched() {
        let mut cell = EcmCell::new(EcmParameters::generic_lfp_2ah3(), 0.5, 25.0).unwrap();
        cell.set_current(1.0).unwrap();
        cell.advance(10.0).unwrap();
        let before = format!("{cell:?}");
        for i in [f64::NAN, f64::INFINITY, -2e6] {
            assert!(cell.set_current(i).unwrap_err().to_string().contains("refused"));
        }
        for dt in [f64::NAN, f64::INFINITY, -1e-9] {
            assert!(matches!(cell.advance(dt), Err(PlantError::TimeStep(_))));
        }
        for t in [f64::NAN, -300.0, 1e4] {
            assert!(matches!(cell.set_ambient_c(t), Err(PlantError::Temperature(_))));
        }
        cell.advance(0.0).unwrap();
        assert_eq!(before, format!("{cell:?}"));
        // An entropic coefficient this large makes the heat feed on itself without bound.
        let mut p = EcmParameters::generic_nmc_5ah();
        p.entropic_v_per_k = Table1::constant(-1.0).unwrap();
        let mut cell = EcmCell::new(p, 0.5, 25.0).unwrap();
        cell.set_current(1e3).unwrap();
        let before = format!("{cell:?}");
        assert!(matches!(cell.advance(1e5), Err(PlantError::Diverged { .. })));
        assert_eq!(before, format!("{cell:?}"));
    }

    #[test]
    fn a_ramp_moves_the_mean_charge_and_a_refused_one_nothing() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.5, 25.0).unwrap();
        cell.set_current(2.0).unwrap();
        cell.ramp_current(4.0, 60.0).unwrap();
        assert_eq!(cell.current_a(), 4.0);
        assert!((cell.soc() - (0.5 - 3.0 * 60.0 / 18e3)).abs() < 1e-15);
        let before = format!("{cell:?}");
        assert!(cell.ramp_current(f64::NAN, 1.0).is_err() && cell.ramp_current(1.0, -1.0).is_err());
        assert_eq!(before, format!("{cell:?}"));
        cell.ramp_current(-1.0, 0.0).unwrap();
        assert_eq!(cell.current_a(), -1.0);
    }

    #[test]
    fn charge_and_discharge_use_their_own_resistance() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.5, 25.0).unwrap();
        let rest = cell.voltage_v();
        cell.set_current(5.0).unwrap();
        assert!((rest - cell.voltage_v() - 5.0 * 0.020).abs() < 1e-12);
        cell.set_current(-5.0).unwrap();
        assert!((cell.voltage_v() - rest - 5.0 * 0.021).abs() < 1e-12);
    }
}
