//! How much lithium a cell holds, and which stoichiometries belong to a voltage.

use super::parameters::{Electrode, PhysicsParameters};
use super::tabulated::FARADAY;
use crate::error::{ParameterError, check_positive};

/// Stoichiometries of both electrodes between two voltages, and the charge between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balance {
    /// Negative electrode: empty and full cell.
    pub negative: [f64; 2],
    /// Positive electrode: full and empty cell.
    pub positive: [f64; 2],
    /// Charge in Ah between them, at rest throughout: the thermodynamic capacity.
    pub capacity_ah: f64,
}

impl PhysicsParameters {
    /// Charge in Ah that would move the negative electrode's stoichiometry from 0 to 1.
    pub fn negative_capacity_ah(&self) -> f64 {
        self.electrode_capacity_ah(&self.negative)
    }

    /// Charge in Ah that would move the positive electrode's stoichiometry from 0 to 1.
    pub fn positive_capacity_ah(&self) -> f64 {
        self.electrode_capacity_ah(&self.positive)
    }

    fn electrode_capacity_ah(&self, e: &Electrode) -> f64 {
        let volume_m3 = e.thickness_m * self.electrode_area_m2 * self.electrode_pairs;
        e.active_fraction * volume_m3 * e.max_concentration_mol_per_m3 * FARADAY / 3600.0
    }

    /// Lithium in the particles of both electrodes of the full cell, in Ah.
    pub fn lithium_ah(&self) -> f64 {
        self.negative_capacity_ah() * self.negative.stoichiometry_window[1]
            + self.positive_capacity_ah() * self.positive.stoichiometry_window[0]
    }

    /// Lithium in the particles in Ah when the two electrodes have these mean stoichiometries.
    pub fn lithium_ah_at(&self, negative_stoichiometry: f64, positive_stoichiometry: f64) -> f64 {
        self.negative_capacity_ah() * negative_stoichiometry
            + self.positive_capacity_ah() * positive_stoichiometry
    }

    /// Open-circuit voltage in V at the reference temperature, for the two stoichiometries; without hysteresis.
    pub fn open_circuit_voltage_v(&self, negative_stoichiometry: f64, positive_stoichiometry: f64) -> f64 {
        let t = self.reference_temperature_k;
        self.positive.ocp_v.at(positive_stoichiometry, t) - self.negative.ocp_v.at(negative_stoichiometry, t)
    }

    /// Stoichiometries (negative, positive) at which a cell with `lithium_ah` in its particles rests at `voltage_v`.
    ///
    /// Found by bisection over all that the lithium allows, at the reference temperature. Where the open-circuit voltage
    /// is not monotonic (measured tables have wiggles) it is one of the answers.
    ///
    /// # Errors
    /// When a number is not finite or not above 0, or no state of charge has this voltage.
    pub fn stoichiometries_at(&self, lithium_ah: f64, voltage_v: f64) -> Result<[f64; 2], ParameterError> {
        let (q_n, q_p) = (self.negative_capacity_ah(), self.positive_capacity_ah());
        check_positive("capacity of the negative electrode in Ah", q_n)?;
        check_positive("capacity of the positive electrode in Ah", q_p)?;
        check_positive("lithium in the particles in Ah", lithium_ah)?;
        let positive = |x: f64| ((lithium_ah - x * q_n) / q_p).clamp(0.0, 1.0);
        let voltage = |x: f64| self.open_circuit_voltage_v(x, positive(x));
        let (low, high) = (((lithium_ah - q_p) / q_n).max(0.0), (lithium_ah / q_n).min(1.0));
        let (lowest_v, highest_v) = (voltage(low), voltage(high));
        // Written so that a voltage that is not a number is refused too.
        if !(low < high && lowest_v <= voltage_v && voltage_v <= highest_v) {
            return Err(ParameterError::Unreachable { voltage_v, lowest_v, highest_v });
        }
        let x = bisect([low, high], 100, |x| voltage(x) < voltage_v);
        Ok([x, positive(x)])
    }

    /// Stoichiometries at the cell's two voltage limits when its particles hold `lithium_ah`, and the capacity between.
    ///
    /// Give [`PhysicsParameters::lithium_ah`] for the cell as it is, or less for one that lost lithium.
    ///
    /// ```
    /// use cell_models::physics::sets;
    /// let cell = sets::chen2020();
    /// let aged = cell.balance(0.95 * cell.lithium_ah())?;
    /// assert!(aged.capacity_ah < cell.balance(cell.lithium_ah())?.capacity_ah);
    /// # Ok::<(), cell_models::ParameterError>(())
    /// ```
    ///
    /// # Errors
    /// As [`PhysicsParameters::stoichiometries_at`], for either limit.
    pub fn balance(&self, lithium_ah: f64) -> Result<Balance, ParameterError> {
        let [lower, upper] = self.voltage_limits_v;
        let [x_empty, y_empty] = self.stoichiometries_at(lithium_ah, lower)?;
        let [x_full, y_full] = self.stoichiometries_at(lithium_ah, upper)?;
        Ok(Balance {
            negative: [x_empty, x_full],
            positive: [y_full, y_empty],
            capacity_ah: (x_full - x_empty) * self.negative_capacity_ah(),
        })
    }

    /// The cell with the stoichiometry windows that `lithium_ah` in its particles and its voltage limits give.
    ///
    /// # Errors
    /// As [`PhysicsParameters::balance`].
    pub fn with_lithium_ah(mut self, lithium_ah: f64) -> Result<Self, ParameterError> {
        let balance = self.balance(lithium_ah)?;
        self.negative.stoichiometry_window = balance.negative;
        self.positive.stoichiometry_window = balance.positive;
        Ok(self)
    }
}

/// Where `before` ceases to hold between `low` and `high`, to a `2^halvings`th of their distance.
pub(super) fn bisect([mut low, mut high]: [f64; 2], halvings: u32, before: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..halvings {
        let middle = 0.5 * (low + high);
        if before(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::super::sets;
    use super::*;

    #[test]
    fn windows_meet_the_voltage_limits_and_hold_the_lithium() {
        for entry in sets::all() {
            let p = entry.parameters();
            let (n, q) = (p.negative.stoichiometry_window, p.positive.stoichiometry_window);
            assert!(
                (p.open_circuit_voltage_v(n[0], q[1]) - p.voltage_limits_v[0]).abs() < 1e-9,
                "{}",
                entry.name
            );
            assert!(
                (p.open_circuit_voltage_v(n[1], q[0]) - p.voltage_limits_v[1]).abs() < 1e-9,
                "{}",
                entry.name
            );
            let empty = p.lithium_ah_at(n[0], q[1]);
            assert!((empty - p.lithium_ah()).abs() < 1e-9 * empty, "{}", entry.name);
            let b = p.balance(p.lithium_ah()).unwrap();
            assert!((b.capacity_ah / p.nominal_capacity_ah - 1.0).abs() < 0.2, "{}: {b:?}", entry.name);
        }
    }

    #[test]
    fn says_which_voltage_is_out_of_reach() {
        let p = sets::chen2020();
        for voltage in [-1.0, 9.0, f64::NAN, f64::INFINITY] {
            let error = p.stoichiometries_at(p.lithium_ah(), voltage).unwrap_err();
            assert!(matches!(error, ParameterError::Unreachable { .. }), "{error}");
        }
        for lithium in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = p.balance(lithium).unwrap_err();
            assert!(matches!(error, ParameterError::OutOfRange { .. }), "{error}");
        }
        // More lithium than both electrodes hold.
        assert!(matches!(p.balance(1e3), Err(ParameterError::Unreachable { .. })));
    }
}
