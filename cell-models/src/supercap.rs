//! Supercapacitor plant: a main branch whose capacitance grows with voltage, a slow branch, leakage, two thermal nodes.

use std::sync::Arc;

use crate::error::{ParameterError, PlantError, check, check_not_negative, check_positive};
use crate::load::{self, Load};
use crate::plant::{Plant, check_current, check_temperature, check_time_step};
use crate::table::Table1;
use crate::thermal::Thermal;

/// A step is cut up so that resistance and heat hardly change within a piece.
const MAX_PIECE_S: f64 = 5.0;
const MAX_PIECE_SOC: f64 = 2e-3;
const MAX_PIECES: f64 = 1e5;
/// Pieces that a ramp of the current is cut into at least.
const RAMP_PIECES: f64 = 16.0;
/// Tries to find the end of a piece; each gains two digits or more.
const TRIES: u32 = 20;

/// Everything that describes a supercapacitor cell. [`SupercapCell::new`] checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct SupercapParameters {
    /// Capacitance `C_0` of the main branch at 0 V in F, above 0.
    pub main_f: f64,
    /// What each volt adds to it: `k_v` in F/V, not negative.
    pub main_f_per_v: f64,
    /// Series resistance `R_i` of the main branch in ohm, above 0, over the core temperature in degC: nearly the cell's
    /// ESR.
    pub main_ohm: Table1,
    /// Capacitance `C_d` of the slow branch in F, above 0.
    pub slow_f: f64,
    /// Resistance `R_d` of the slow branch in ohm, above 0.
    pub slow_ohm: f64,
    /// Leakage resistance `R_l` in ohm across the terminals, above 0; infinite for none.
    pub leakage_ohm: f64,
    /// Lower and upper voltage limit in V, not negative.
    pub voltage_limits_v: [f64; 2],
    /// Thermal nodes.
    pub thermal: Thermal,
}

impl SupercapParameters {
    /// A cell like the common ones of 3000 F and 2.7 V with an acetonitrile electrolyte, used from 1.35 V up. The
    /// numbers are typical; they are no maker's cell.
    ///
    /// | Number | Value | From |
    /// |---|---|---|
    /// | capacitance between 2.7 and 1.35 V | 3000 F | rating; its share at 0 V follows the shape in Zubieta & Bonert |
    /// | ESR at 25 degC | 0.29 mOhm | typical data sheet of such a cell |
    /// | ESR at -40, -20, 0, 65 degC | 1.7, 1.3, 1.1, 0.9 times that | typical of such cells, rounded (from memory) |
    /// | leakage | 5.2 mA at 2.7 V (after 72 h) | typical data sheet |
    /// | slow branch | 200 F with 0.6 ohm: two minutes | Zubieta & Bonert's 470 F cell: 100 F with 0.9 ohm |
    /// | heat | 600 J/K, 3.2 K/W from core to still air | typical data sheet |
    pub fn typical_3000f() -> Self {
        const ESR_OHM: f64 = 0.29e-3;
        Self {
            main_f: 2200.0,
            main_f_per_v: 395.0,
            main_ohm: Table1 {
                x: vec![-40.0, -20.0, 0.0, 25.0, 65.0],
                y: [1.7, 1.3, 1.1, 1.0, 0.9].map(|factor| factor * ESR_OHM).to_vec(),
            },
            slow_f: 200.0,
            slow_ohm: 0.6,
            leakage_ohm: 2.7 / 5.2e-3,
            voltage_limits_v: [1.35, 2.7],
            thermal: Thermal {
                core_j_per_k: 540.0,
                surface_j_per_k: 60.0,
                core_surface_w_per_k: 3.0,
                surface_ambient_w_per_k: 0.35,
            },
        }
    }

    /// The same cell with `size` times the electrode area: capacitances grow, resistances fall. The thermal nodes stay.
    ///
    /// ```
    /// let double = cell_models::SupercapParameters::typical_3000f().of_size(2.0);
    /// assert_eq!((double.main_f, double.slow_ohm), (4400.0, 0.3));
    /// ```
    #[must_use]
    pub fn of_size(mut self, size: f64) -> Self {
        self.main_f *= size;
        self.main_f_per_v *= size;
        self.slow_f *= size;
        self.main_ohm.y.iter_mut().for_each(|r| *r /= size);
        self.slow_ohm /= size;
        self.leakage_ohm /= size;
        self
    }

    /// A cell of the same make that came out a little different: capacitances and resistances of both branches as
    /// multiples of these. Leakage and thermal nodes stay.
    ///
    /// ```
    /// let weak = cell_models::SupercapParameters::typical_3000f().varied(0.9, 1.2);
    /// assert!((weak.main_f - 1980.0).abs() < 1e-9 && (weak.slow_ohm - 0.72).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn varied(mut self, capacitance: f64, resistance: f64) -> Self {
        for farad in [&mut self.main_f, &mut self.main_f_per_v, &mut self.slow_f] {
            *farad *= capacitance;
        }
        self.main_ohm.y.iter_mut().for_each(|r| *r *= resistance);
        self.slow_ohm *= resistance;
        self
    }

    /// Checks every number; [`SupercapCell::new`] calls it.
    ///
    /// # Errors
    /// The first parameter that is out of its documented range.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let [low, high] = self.voltage_limits_v;
        check_positive("capacitance at 0 V in F", self.main_f)?;
        check_not_negative("capacitance per volt in F/V", self.main_f_per_v)?;
        self.main_ohm.values().iter().try_for_each(|&r| check_positive("series resistance in ohm", r))?;
        check_positive("capacitance of the slow branch in F", self.slow_f)?;
        check_positive("resistance of the slow branch in ohm", self.slow_ohm)?;
        if self.leakage_ohm != f64::INFINITY {
            check("leakage resistance in ohm", self.leakage_ohm, "above 0", |v| v > 0.0)?;
        }
        check_not_negative("lower voltage limit", low)?;
        check("upper voltage limit", high, "finite and above the lower limit", |v| v > low)?;
        self.thermal.validate()
    }

    /// Charge of the main branch in A s at `v` volt: `C_0 v + k_v v^2 / 2`; odd in the voltage.
    fn main_charge_as(&self, v: f64) -> f64 {
        v * (self.main_f + 0.5 * self.main_f_per_v * v.abs())
    }

    /// Voltage at which capacitance `c0` (F, at 0 V) with this cell's slope holds the charge: the inverse of the above.
    fn voltage_at(&self, c0: f64, charge_as: f64) -> f64 {
        2.0 * charge_as / (c0 + (c0 * c0 + 2.0 * self.main_f_per_v * charge_as.abs()).sqrt())
    }

    /// Charge in A s of the rested cell at `v` volt.
    fn rest_charge_as(&self, v: f64) -> f64 {
        self.main_charge_as(v) + self.slow_f * v
    }

    /// Charge in A s between the voltage limits.
    fn usable_as(&self) -> f64 {
        let [low, high] = self.voltage_limits_v;
        self.rest_charge_as(high) - self.rest_charge_as(low)
    }

    /// Energy of the main branch in J at `v` volt: `C_0 v^2 / 2 + k_v v^3 / 3`.
    fn main_energy_j(&self, v: f64) -> f64 {
        v * v * (0.5 * self.main_f + self.main_f_per_v * v.abs() / 3.0)
    }

    /// Charge over voltage, and energy over charge, on the way from `a` to `b` volt.
    fn secants(&self, a: f64, b: f64) -> [f64; 2] {
        let (c0, k) = (self.main_f, self.main_f_per_v);
        if a * b >= 0.0 {
            // Divided out, so that a short way loses no digits.
            let capacitance = c0 + 0.5 * k * (a + b).abs();
            let energy = 0.5 * c0 * (a + b) + k * (a * a + a * b + b * b) / 3.0 * (a + b).signum();
            [capacitance, energy / capacitance]
        } else {
            let charge = self.main_charge_as(b) - self.main_charge_as(a);
            [charge / (b - a), (self.main_energy_j(b) - self.main_energy_j(a)) / charge]
        }
    }
}

/// A supercapacitor cell: the two branches of Zubieta and Bonert with leakage, and heat.
///
/// With the current `I` (A, positive on discharge), the voltages `v_1`, `v_2` behind the resistances of main and slow
/// branch and the terminal voltage `V` (V):
///
/// | Equation | Meaning |
/// |---|---|
/// | `q_1 = C_0 v_1 + k_v v_1^2 / 2`, `q_2 = C_d v_2` | charges in A s; `C = C_0 + k_v v_1` is `dq_1/dv_1` |
/// | `dq_1/dt = -(v_1 - V) / R_i`, `dq_2/dt = -(v_2 - V) / R_d` | branch currents; `R_i` over core temperature |
/// | `(v_1 - V) / R_i + (v_2 - V) / R_d = I + V / R_l` | what the branches give flows out or leaks |
/// | `q = R_i i_1^2 + R_d i_2^2 + V^2 / R_l` | heat in W, for the thermal nodes as in the [crate](crate#equivalent-circuit) |
///
/// **SOC and capacity**: the usable charge is that of the rested cell, both branches at one voltage, between its voltage
/// limits; SOC is the charge above the lower limit's as a share of it, wherever in the branches it sits. A cell just
/// charged quickly to the upper limit is therefore not quite at SOC 1, and its voltage falls as the slow branch fills;
/// leakage lowers SOC. Energy goes with the square of the voltage, so that half of the charge is more than half of it.
///
/// Time runs in pieces of at most 5 s and 0.2 % of the usable charge (above 100 000 pieces they grow longer). In a
/// piece the main branch is the straight line through its charges at both ends that has the same energy, and the
/// circuit is then solved exactly: no step is too long to be stable, charge and energy balance to round-off, and
/// without voltage dependence the answer is exact. It is second order in the length of the piece.
///
/// Valid within the voltage limits and, for the example, -40..65 degC. Not modelled: the capacitance's change with
/// temperature (a few percent), the third, still slower branch (tens of minutes to hours), growth of leakage with
/// temperature and voltage, wear. Below 0 V the cell behaves as above with the sign changed.
///
/// Source: L. Zubieta, R. Bonert, "Characterization of double-layer capacitors for power electronics applications",
/// IEEE Trans. Ind. Appl. 36 (2000) 199.
///
/// ```
/// use cell_models::{Load, Plant, SupercapCell, SupercapParameters};
///
/// // Half full at -40 degC, then 100 W for 10 s.
/// let mut cell = SupercapCell::new(SupercapParameters::typical_3000f(), 0.5, -40.0)?;
/// for _ in 0..10 {
///     cell.hold(Load::PowerW(100.0), 1.0)?;
/// }
/// assert!(cell.voltage_v() < 2.1 && cell.soc() < 0.4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SupercapCell {
    parameters: Arc<SupercapParameters>,
    ambient_c: f64,
    current_a: f64,
    /// Charge of main and slow branch in A s.
    charge_as: [f64; 2],
    /// Rounding errors carried along by Kahan's summation, so that years of small steps lose no charge.
    carry_as: [f64; 2],
    leaked_as: f64,
    /// Core and surface.
    temperature_c: [f64; 2],
    /// Whether the core's temperature comes from outside.
    imposed: bool,
    /// Mean heat of the last step that took time, in W.
    step_heat_w: f64,
}

/// The resistor network at one temperature, in S.
#[derive(Clone, Copy)]
struct Network {
    main: f64,
    slow: f64,
    leak: f64,
    sum: f64,
}

impl Network {
    /// Currents out of both branches in A from their voltages; no difference of large numbers.
    fn branch_currents(&self, [v_1, v_2]: [f64; 2], current_a: f64) -> [f64; 2] {
        let across = v_1 - v_2;
        [
            self.main / self.sum * (current_a + self.leak * v_1 + self.slow * across),
            self.slow / self.sum * (current_a + self.leak * v_2 - self.main * across),
        ]
    }

    fn terminal_v(&self, [v_1, v_2]: [f64; 2], current_a: f64) -> f64 {
        (self.main * v_1 + self.slow * v_2 - current_a) / self.sum
    }

    /// Changes of the branch voltages over `h` s that start at `start` with constant capacitances (F), and their means:
    /// the exact solution.
    ///
    /// `v' = A v + b` changes by `h f(h A) r` with the rate `r = A v_0 + b` and `f(z) = (exp(z) - 1) / z`; its mean is
    /// `v_0 + h g(h A) r` with `g(z) = (exp(z) - 1 - z) / z^2`. The eigenvalues `l1 < l2 <= 0` of A are real and distinct:
    /// Sylvester's formula, as for the thermal nodes.
    fn solve(&self, start: [f64; 2], capacitance: [f64; 2], current_a: f64, h: f64) -> [[f64; 2]; 2] {
        let [c_1, c_2] = capacitance;
        let [i_1, i_2] = self.branch_currents(start, current_a);
        let coupling = self.main / self.sum * self.slow;
        let a = [
            [-(self.main / self.sum * (self.leak + self.slow)) / c_1, coupling / c_1],
            [coupling / c_2, -(self.slow / self.sum * (self.leak + self.main)) / c_2],
        ];
        let half_difference = 0.5 * (a[0][0] - a[1][1]);
        let root = (half_difference * half_difference + a[0][1] * a[1][0]).sqrt();
        let l1 = 0.5 * (a[0][0] + a[1][1]) - root;
        let l2 = coupling / c_1 * (self.leak / c_2) / l1; // determinant over l1: no cancellation
        let rate = [-i_1 / c_1, -i_2 / c_2];
        let apply = |f: fn(f64) -> f64| {
            let [f1, f2] = [h * f(h * l1), h * f(h * l2)];
            [0, 1].map(|r| {
                let a_rate = a[r][0] * rate[0] + a[r][1] * rate[1];
                (f1 * (a_rate - l2 * rate[r]) - f2 * (a_rate - l1 * rate[r])) / (l1 - l2)
            })
        };
        let above = apply(mean_growth);
        [apply(growth), [start[0] + above[0], start[1] + above[1]]]
    }
}

/// `(exp(z) - 1) / z`.
fn growth(z: f64) -> f64 {
    if z == 0.0 { 1.0 } else { z.exp_m1() / z }
}

/// `(exp(z) - 1 - z) / z^2` for z <= 0.
fn mean_growth(z: f64) -> f64 {
    if z.abs() < 0.05 {
        // Taylor series; the next term is below 1e-16.
        let terms = [40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0];
        terms.iter().fold(1.0 / 362_880.0, |sum, factorial| sum * z + 1.0 / factorial)
    } else {
        (z.exp_m1() - z) / (z * z)
    }
}

impl SupercapCell {
    /// A rested cell at the SOC `soc` (0..1), all of it at `temperature_c`, which is also the ambient temperature
    /// (-273.15..1000 degC). For a start in volts: [`SupercapCell::with_branch_voltages`].
    ///
    /// # Errors
    /// When a parameter, the SOC or the temperature is out of range; the message names it.
    pub fn new(parameters: SupercapParameters, soc: f64, temperature_c: f64) -> Result<Self, ParameterError> {
        parameters.validate()?;
        check("start SOC", soc, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
        let allowed = "between -273.15 and 1000 degC";
        check("start temperature", temperature_c, allowed, |v| check_temperature(v).is_ok())?;
        let p = &parameters;
        let charge_as = p.rest_charge_as(p.voltage_limits_v[0]) + soc * p.usable_as();
        let rest_v = p.voltage_at(p.main_f + p.slow_f, charge_as);
        Ok(Self {
            ambient_c: temperature_c,
            current_a: 0.0,
            charge_as: [p.main_charge_as(rest_v), p.slow_f * rest_v],
            carry_as: [0.0; 2],
            leaked_as: 0.0,
            temperature_c: [temperature_c; 2],
            imposed: false,
            step_heat_w: 0.0,
            parameters: Arc::new(parameters),
        })
    }

    /// The same cell with the voltages of main and slow branch set, in V (0 to the upper limit); equal for a rested cell.
    ///
    /// # Errors
    /// When a voltage is out of range.
    pub fn with_branch_voltages(mut self, main_v: f64, slow_v: f64) -> Result<Self, ParameterError> {
        let high = self.parameters.voltage_limits_v[1];
        for v in [main_v, slow_v] {
            check("voltage of a branch in V", v, "between 0 and the upper limit", |v| {
                (0.0..=high).contains(&v)
            })?;
        }
        self.charge_as = [self.parameters.main_charge_as(main_v), self.parameters.slow_f * slow_v];
        self.carry_as = [0.0; 2];
        Ok(self)
    }

    /// The parameters of the cell.
    pub fn parameters(&self) -> &SupercapParameters {
        &self.parameters
    }

    /// Voltages of main and slow branch behind their resistances in V.
    pub fn branch_voltages_v(&self) -> [f64; 2] {
        let p = &self.parameters;
        [p.voltage_at(p.main_f, self.charge_as[0]), self.charge_as[1] / p.slow_f]
    }

    /// Charge stored in both branches in A s.
    pub fn charge_as(&self) -> f64 {
        self.charge_as[0] + self.charge_as[1]
    }

    /// Charge in A s that has leaked since the cell was made.
    pub fn leaked_as(&self) -> f64 {
        self.leaked_as
    }

    /// Energy stored in both branches in J.
    pub fn stored_energy_j(&self) -> f64 {
        let [v_1, v_2] = self.branch_voltages_v();
        self.parameters.main_energy_j(v_1) + 0.5 * self.parameters.slow_f * v_2 * v_2
    }

    fn network(&self) -> Network {
        let p = &self.parameters;
        let (main, slow) = (1.0 / p.main_ohm.at(self.temperature_c[0]), 1.0 / p.slow_ohm);
        let leak = 1.0 / p.leakage_ohm;
        Network { main, slow, leak, sum: main + slow + leak }
    }

    /// The core's temperature in degC comes from outside from now on; the cell's own thermal nodes rest.
    pub(crate) fn impose_core_c(&mut self, core_c: f64) {
        self.imposed = true;
        self.temperature_c[0] = core_c;
    }

    /// Mean heat of the last step that took time, in W.
    pub(crate) fn step_heat_w(&self) -> f64 {
        self.step_heat_w
    }

    /// For a step of `dt_s` seconds that starts now: voltage `E` in V and resistance `R` in ohm so that the voltage at the
    /// step's end is that of this model at `current_a`, and `E - R i` near it. NaN where the model refuses the step.
    pub(crate) fn linearise(&self, current_a: f64, dt_s: f64) -> [f64; 2] {
        let mut end = self.clone();
        end.current_a = current_a;
        if end.pass(current_a, dt_s).is_err() {
            return [f64::NAN; 2];
        }
        let network = self.network();
        let [capacitance, _] =
            self.parameters.secants(self.branch_voltages_v()[0], end.branch_voltages_v()[0]);
        let [change, _] = network.solve([0.0; 2], [capacitance, self.parameters.slow_f], 1.0, dt_s);
        let ohm = -network.terminal_v(change, 1.0);
        [end.voltage_v() + ohm * current_a, ohm]
    }

    /// Resistance in ohm against a current that changes fast, and the capacitance in F that its charge goes into.
    pub(crate) fn fast(&self) -> [f64; 2] {
        let p = &self.parameters;
        [1.0 / self.network().sum, p.main_f + p.main_f_per_v * self.branch_voltages_v()[0].abs()]
    }

    fn warm(&self, from_c: [f64; 2], heat_w: f64, h: f64) -> [f64; 2] {
        if self.imposed {
            return from_c;
        }
        self.parameters.thermal.step(from_c, self.ambient_c, heat_w, h)
    }

    /// One piece of a step under the present current, with the resistances at the temperature of its middle; its heat in W.
    fn advance_piece(&mut self, h: f64) -> f64 {
        let p = Arc::clone(&self.parameters);
        let (start_c, i) = (self.temperature_c, self.current_a);
        let [v_1, v_2] = self.branch_voltages_v();
        self.temperature_c = self.warm(start_c, self.heat_w(), 0.5 * h);
        let network = self.network();
        let (mut end_v, mut change_as, mut terminal_v) = (v_1, [0.0; 2], 0.0);
        for _ in 0..TRIES {
            let [capacitance, mean_v] = p.secants(v_1, end_v);
            // The straight line of voltage over charge that has the energy of the curve.
            let start = [mean_v - 0.5 * (end_v - v_1), v_2];
            let [change, means] = network.solve(start, [capacitance, p.slow_f], i, h);
            terminal_v = network.terminal_v(means, i);
            let gone = (i + network.leak * terminal_v) * h;
            // The larger branch gives what the smaller one does not.
            let [main, slow] = [capacitance * change[0], p.slow_f * change[1]];
            change_as = if capacitance > p.slow_f { [-gone - slow, slow] } else { [main, -gone - main] };
            let found = p.voltage_at(p.main_f, self.charge_as[0] + change_as[0]);
            let settled = (found - end_v).abs() <= 1e-15 * found.abs();
            end_v = found;
            if settled {
                break;
            }
        }
        for ((charge, carry), change) in self.charge_as.iter_mut().zip(&mut self.carry_as).zip(change_as) {
            let change = change - *carry;
            let sum = *charge + change;
            *carry = (sum - *charge) - change;
            *charge = sum;
        }
        self.leaked_as += network.leak * terminal_v * h;
        // What the branches give and the terminals do not is heat.
        let [_, main_v] = p.secants(v_1, end_v);
        let slow_v = v_2 + 0.5 * change_as[1] / p.slow_f;
        let heat_w = -(main_v * change_as[0] + slow_v * change_as[1]) / h - terminal_v * i;
        self.temperature_c = self.warm(start_c, heat_w, h);
        heat_w
    }

    /// Lets `dt_s` pass while the current goes linearly to `to_a`.
    fn pass(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        check_current(to_a)?;
        check_time_step(dt_s)?;
        let from_a = self.current_a;
        let share = from_a.abs().max(to_a.abs()) * dt_s / self.parameters.usable_as();
        let fewest = if from_a == to_a { 1.0 } else { RAMP_PIECES };
        let pieces = (dt_s / MAX_PIECE_S).max(share / MAX_PIECE_SOC).ceil().clamp(fewest, MAX_PIECES);
        let mut next = self.clone();
        if dt_s > 0.0 {
            let mut heat_w = 0.0;
            for piece in 0..pieces as u32 {
                next.current_a = from_a + (to_a - from_a) * ((f64::from(piece) + 0.5) / pieces);
                heat_w += next.advance_piece(dt_s / pieces);
            }
            next.step_heat_w = heat_w / pieces;
        }
        next.current_a = to_a;
        let outcome = next.voltage_v() + next.heat_w() + next.stored_energy_j() + next.leaked_as;
        if !(outcome + next.temperature_c[0] + next.temperature_c[1]).is_finite() {
            return Err(PlantError::Diverged { current_a: to_a, dt_s });
        }
        *self = next;
        Ok(())
    }
}

impl Plant for SupercapCell {
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
        self.pass(self.current_a, dt_s)
    }

    fn ramp_current(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        self.pass(to_a, dt_s)
    }

    fn hold(&mut self, load: Load, dt_s: f64) -> Result<(), PlantError> {
        // A tenth of what takes the cell from one limit to the other within the step.
        let p = &self.parameters;
        let [low, high] = p.voltage_limits_v;
        let ohm = 1.0 / self.network().main + dt_s.max(0.0) / p.main_f;
        load::hold_scaled(self, load, dt_s, 0.1 * (high - low) / ohm)
    }

    fn current_a(&self) -> f64 {
        self.current_a
    }

    fn voltage_v(&self) -> f64 {
        self.network().terminal_v(self.branch_voltages_v(), self.current_a)
    }

    fn core_temperature_c(&self) -> f64 {
        self.temperature_c[0]
    }

    fn surface_temperature_c(&self) -> f64 {
        self.temperature_c[1]
    }

    fn soc(&self) -> f64 {
        let p = &self.parameters;
        (self.charge_as() - p.rest_charge_as(p.voltage_limits_v[0])) / p.usable_as()
    }

    fn capacity_ah(&self) -> f64 {
        self.parameters.usable_as() / 3600.0
    }

    fn heat_w(&self) -> f64 {
        let (n, v) = (self.network(), self.branch_voltages_v());
        let [i_1, i_2] = n.branch_currents(v, self.current_a);
        let terminal_v = n.terminal_v(v, self.current_a);
        i_1 * i_1 / n.main + i_2 * i_2 / n.slow + n.leak * terminal_v * terminal_v
    }

    fn voltage_limits_v(&self) -> [f64; 2] {
        self.parameters.voltage_limits_v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typical(soc: f64) -> SupercapCell {
        SupercapCell::new(SupercapParameters::typical_3000f(), soc, 25.0).unwrap()
    }

    #[test]
    fn example_is_valid_and_has_its_rating() {
        let p = SupercapParameters::typical_3000f();
        p.validate().unwrap();
        Table1::new(p.main_ohm.x.clone(), p.main_ohm.y.clone()).unwrap();
        let rated = (p.main_charge_as(2.7) - p.main_charge_as(1.35)) / 1.35;
        assert!((rated - 3000.0).abs() < 1.0, "{rated}");
        let full = typical(1.0);
        assert!((full.voltage_v() - 2.7).abs() < 1e-4 && (full.soc() - 1.0).abs() < 1e-12);
        assert!((typical(0.0).voltage_v() - 1.35).abs() < 1e-4);
        assert!((full.voltage_v() / p.leakage_ohm - 5.2e-3).abs() < 1e-6);
        let cold = SupercapCell::new(p, 1.0, -40.0).unwrap();
        assert!((1e3 / cold.network().main - 0.493).abs() < 1e-9);
    }

    #[test]
    fn bad_parameters_are_named() {
        let message = |change: fn(&mut SupercapParameters)| {
            let mut p = SupercapParameters::typical_3000f();
            change(&mut p);
            SupercapCell::new(p, 0.5, 25.0).unwrap_err().to_string()
        };
        assert!(message(|p| p.main_f = 0.0).contains("capacitance at 0 V in F = 0"));
        assert!(message(|p| p.main_f_per_v = -1.0).contains("per volt"));
        assert!(message(|p| p.main_ohm.y[1] = f64::NAN).contains("series resistance"));
        assert!(message(|p| p.slow_f = -1.0).contains("capacitance of the slow branch"));
        assert!(message(|p| p.slow_ohm = 0.0).contains("resistance of the slow branch"));
        assert!(message(|p| p.leakage_ohm = f64::NAN).contains("leakage"));
        assert!(message(|p| p.leakage_ohm = 0.0).contains("leakage"));
        assert!(message(|p| p.voltage_limits_v = [-0.1, 2.7]).contains("lower voltage limit"));
        assert!(message(|p| p.voltage_limits_v = [2.7, 2.7]).contains("upper voltage limit"));
        assert!(message(|p| p.thermal.core_j_per_k = 0.0).contains("core heat capacity"));
        let p = SupercapParameters::typical_3000f;
        assert!(SupercapCell::new(p(), 1.1, 25.0).is_err() && SupercapCell::new(p(), 0.5, -300.0).is_err());
        assert!(typical(0.5).with_branch_voltages(2.8, 1.0).is_err());
        assert!(typical(0.5).with_branch_voltages(2.0, f64::NAN).is_err());
    }

    #[test]
    fn refused_calls_leave_the_state_untouched() {
        let mut cell = typical(0.5);
        cell.set_current(100.0).unwrap();
        cell.advance(3.0).unwrap();
        let before = format!("{cell:?}");
        assert!(cell.set_current(f64::NAN).is_err() && cell.ramp_current(2e6, 1.0).is_err());
        assert!(cell.advance(-1.0).is_err() && cell.ramp_current(1.0, f64::NAN).is_err());
        assert!(cell.set_ambient_c(-300.0).is_err());
        assert!(matches!(cell.advance(1e300), Err(PlantError::Diverged { .. })));
        for load in [Load::PowerW(1e5), Load::PowerW(f64::NAN), Load::VoltageV(f64::INFINITY)] {
            assert!(matches!(cell.hold(load, 1.0), Err(PlantError::LoadOutOfReach { .. })), "{load:?}");
        }
        cell.advance(0.0).unwrap();
        assert_eq!(before, format!("{cell:?}"));
    }

    /// Constant capacitances, no leakage: current `i` from rest at `v0` in closed form.
    #[test]
    fn constant_capacitance_is_exact() {
        let mut p = SupercapParameters::typical_3000f();
        (p.main_f_per_v, p.leakage_ohm, p.main_ohm) = (0.0, f64::INFINITY, Table1::constant(2e-3).unwrap());
        let (c1, c2, r1, r2) = (p.main_f, p.slow_f, 2e-3, p.slow_ohm);
        let tau = (r1 + r2) * c1 * c2 / (c1 + c2);
        // For 1 A: difference of the branch voltages settles at `gap`.
        let gap = tau * (r1 / c2 - r2 / c1) / (r1 + r2);
        for steps in [1, 7, 400] {
            let mut cell = SupercapCell::new(p.clone(), 1.0, 25.0).unwrap();
            cell.set_current(20.0).unwrap();
            let t = 90.0;
            for _ in 0..steps {
                cell.advance(t / f64::from(steps)).unwrap();
            }
            let across = 20.0 * gap * (1.0 - (-t / tau).exp());
            let mean = 2.7 - 20.0 * t / (c1 + c2);
            let (v1, v2) = (mean + across * c2 / (c1 + c2), mean - across * c1 / (c1 + c2));
            let [a, b] = cell.branch_voltages_v();
            assert!((a - v1).abs() < 1e-12 && (b - v2).abs() < 1e-12, "{steps}: {a} {v1}, {b} {v2}");
            let terminal = (v1 / r1 + v2 / r2 - 20.0) / (1.0 / r1 + 1.0 / r2);
            assert!((cell.voltage_v() - terminal).abs() < 1e-12);
        }
    }

    #[test]
    fn error_is_second_order_in_the_step() {
        let mut p = SupercapParameters::typical_3000f();
        (p.slow_ohm, p.slow_f) = (0.02, 1000.0);
        // Straight to the pieces, which `advance` would cut up.
        let run = |pieces: u32| {
            let mut cell = SupercapCell::new(p.clone(), 1.0, -20.0).unwrap();
            cell.set_current(150.0).unwrap();
            for _ in 0..pieces {
                cell.advance_piece(20.0 / f64::from(pieces));
            }
            [cell.voltage_v(), cell.core_temperature_c()]
        };
        let best = run(2048);
        let error = |n: u32| [0, 1].map(|k| (run(n)[k] - best[k]).abs());
        let (coarse, fine) = (error(4), error(16));
        for k in [0, 1] {
            assert!(fine[k] < 0.1 * coarse[k] && fine[k] < 2e-5, "{coarse:?} {fine:?}");
        }
    }

    #[test]
    fn stiff_and_huge_steps_settle() {
        let mut p = SupercapParameters::typical_3000f();
        (p.slow_ohm, p.slow_f) = (1e-6, 1e-3);
        let mut cell = SupercapCell::new(p, 1.0, 25.0).unwrap().with_branch_voltages(2.7, 0.0).unwrap();
        cell.advance(1.0).unwrap();
        let [a, b] = cell.branch_voltages_v();
        assert!((a - b).abs() < 1e-5 && a < 2.7, "{a} {b}");
        // A century: empty.
        cell.advance(3e9).unwrap();
        assert!(cell.voltage_v().abs() < 1e-9);
    }

    #[test]
    fn charge_and_energy_balance_to_round_off() {
        let mut p = SupercapParameters::typical_3000f();
        p.thermal.surface_ambient_w_per_k = 0.0;
        (p.leakage_ohm, p.main_ohm) = (5.0, Table1::constant(3e-3).unwrap());
        let thermal = p.thermal;
        let mut cell = SupercapCell::new(p, 0.9, 25.0).unwrap();
        let heat = |c: &SupercapCell| {
            let [core, surface] = [c.core_temperature_c(), c.surface_temperature_c()];
            thermal.core_j_per_k * (core - 25.0) + thermal.surface_j_per_k * (surface - 25.0)
        };
        let (charge, energy) = (cell.charge_as(), cell.stored_energy_j());
        let (mut out_as, mut out_j, mut loss_j) = (0.0, 0.0, 0.0);
        for k in 0..20_000 {
            // Down through 0 V and up again.
            let current = if k % 2000 < 1000 { 180.0 } else { -170.0 } * f64::from(k % 7) / 3.0;
            cell.set_current(current).unwrap();
            let (dt, leaked, before) = (0.05, cell.leaked_as(), cell.heat_w());
            cell.advance(dt).unwrap();
            out_as += current * dt;
            // The mean terminal voltage of a step is what leaked.
            out_j += current * (cell.leaked_as() - leaked) * 5.0;
            loss_j += 0.5 * (before + cell.heat_w()) * dt;
        }
        assert!((charge - cell.charge_as() - cell.leaked_as() - out_as).abs() < 1e-8);
        let balance = energy - cell.stored_energy_j() - out_j - heat(&cell);
        // The rounding of the thermal nodes' coefficients adds up over the steps.
        assert!(balance.abs() < 1e-10 * energy, "{balance} of {energy} J");
        // The heat is that of the resistances.
        assert!((heat(&cell) - loss_j).abs() < 1e-4 * loss_j, "{} {loss_j}", heat(&cell));
    }

    #[test]
    fn voltage_falls_after_a_quick_charge_and_by_leakage() {
        let mut cell = typical(0.0);
        cell.set_current(-100.0).unwrap();
        while cell.voltage_v() < 2.7 {
            cell.advance(0.1).unwrap();
        }
        let charged = cell.soc();
        cell.set_current(0.0).unwrap();
        cell.advance(1.0).unwrap();
        let at_once = cell.voltage_v();
        cell.advance(600.0).unwrap();
        let later = cell.voltage_v();
        // The slow branch takes its share; the charge stays but for the leakage.
        assert!(at_once - later > 0.03 && charged < 1.0 && charged - cell.soc() < 1e-3);
        // Then 5 mA of 3600 F: hours for a few millivolts, each at the voltage of the moment.
        let [before_v, before_as] = [cell.voltage_v(), cell.charge_as()];
        cell.advance(3600.0).unwrap();
        let lost = before_as - cell.charge_as();
        let mean_v = 0.5 * (before_v + cell.voltage_v());
        assert!((lost - cell.parameters().usable_as() * (charged - cell.soc())).abs() < 10.0);
        assert!((lost * cell.parameters().leakage_ohm / 3600.0 - mean_v).abs() < 1e-3);
    }

    #[test]
    fn holds_power_and_voltage() {
        for power_w in [2000.0, -500.0, 1.0] {
            let mut cell = typical(0.8);
            cell.hold(Load::PowerW(power_w), 0.0).unwrap();
            assert!((cell.current_a() * cell.voltage_v() - power_w).abs() < 1e-5 * power_w.abs());
            let before = cell.stored_energy_j();
            cell.hold(Load::PowerW(power_w), 1.0).unwrap();
            assert!((before - cell.stored_energy_j() - power_w).abs() < 0.2 * power_w.abs());
        }
        for (voltage_v, dt_s) in [(2.7, 1.0), (1.4, 1.0), (2.2, 60.0), (2.0, 0.01)] {
            let mut cell = typical(0.4);
            cell.hold(Load::VoltageV(voltage_v), dt_s).unwrap();
            assert!((cell.voltage_v() - voltage_v).abs() < 1e-5, "{voltage_v} V: {}", cell.voltage_v());
        }
    }

    #[test]
    fn a_ramp_moves_its_charge_and_heats_by_its_square() {
        let mut p = SupercapParameters::typical_3000f();
        p.leakage_ohm = f64::INFINITY;
        p.thermal.surface_ambient_w_per_k = 0.0;
        p.main_ohm = Table1::constant(1e-3).unwrap();
        p.slow_ohm = 1e6;
        let mut cell = SupercapCell::new(p, 1.0, 25.0).unwrap();
        let charge = cell.charge_as();
        cell.ramp_current(300.0, 6.0).unwrap();
        assert_eq!(cell.current_a(), 300.0);
        assert!((charge - cell.charge_as() - 900.0).abs() < 1e-9);
        let heat = 540.0 * (cell.core_temperature_c() - 25.0) + 60.0 * (cell.surface_temperature_c() - 25.0);
        assert!((heat - 1e-3 * 300.0 * 300.0 * 6.0 / 3.0).abs() < 0.3, "{heat}");
        cell.ramp_current(-5.0, 0.0).unwrap();
        assert_eq!(cell.current_a(), -5.0);
    }
}
