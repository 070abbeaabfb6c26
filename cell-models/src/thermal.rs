//! Two lumped thermal nodes, core and surface, cooled by the surroundings.

use crate::error::{ParameterError, check_not_negative, check_positive};

/// Heat capacities and conductances of a cell with a core and a surface node.
///
/// `C_c dT_c/dt = q - K_cs (T_c - T_s)` and `C_s dT_s/dt = K_cs (T_c - T_s) - K_sa (T_s - T_a)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thermal {
    /// Heat capacity of the core `C_c` in J/K, above 0.
    pub core_j_per_k: f64,
    /// Heat capacity of the surface `C_s` in J/K, above 0.
    pub surface_j_per_k: f64,
    /// Conductance between core and surface `K_cs` in W/K, above 0.
    pub core_surface_w_per_k: f64,
    /// Conductance between surface and surroundings `K_sa` in W/K; 0 insulates the cell.
    pub surface_ambient_w_per_k: f64,
}

impl Thermal {
    pub(crate) fn validate(&self) -> Result<(), ParameterError> {
        check_positive("core heat capacity", self.core_j_per_k)?;
        check_positive("surface heat capacity", self.surface_j_per_k)?;
        check_positive("core-surface conductance", self.core_surface_w_per_k)?;
        check_not_negative("surface-ambient conductance", self.surface_ambient_w_per_k)
    }

    /// What `dt_s` seconds of constant heat do to the temperatures; no step is too long for it.
    ///
    /// This is the exact solution of `x' = A x + b q` (x: temperatures above ambient). A has two distinct real
    /// eigenvalues l1 < l2 <= 0, hence for any function f (Sylvester's formula)
    /// `f(A) = [f(l1) (A - l2) - f(l2) (A - l1)] / (l1 - l2)`.
    pub(crate) fn propagator(&self, dt_s: f64) -> Propagator {
        let (k, k_a) = (self.core_surface_w_per_k, self.surface_ambient_w_per_k);
        let (c_c, c_s) = (self.core_j_per_k, self.surface_j_per_k);
        let a = [[-k / c_c, k / c_c], [k / c_s, -(k + k_a) / c_s]];
        let half_difference = 0.5 * (a[0][0] - a[1][1]);
        let root = (half_difference * half_difference + a[0][1] * a[1][0]).sqrt();
        let l1 = 0.5 * (a[0][0] + a[1][1]) - root;
        let l2 = (k / c_c) * (k_a / c_s) / l1; // determinant over l1: no cancellation
        let growth = |l: f64| (l * dt_s).exp();
        let integral = |l: f64| {
            if l == 0.0 { dt_s } else { (l * dt_s).exp_m1() / l }
        };
        let apply = |f1: f64, f2: f64| {
            let entry = |r: usize, c: usize| {
                let unit = if r == c { 1.0 } else { 0.0 };
                (f1 * (a[r][c] - l2 * unit) - f2 * (a[r][c] - l1 * unit)) / (l1 - l2)
            };
            [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
        };
        let forced = apply(integral(l1), integral(l2));
        Propagator { free: apply(growth(l1), growth(l2)), forced: [forced[0][0] / c_c, forced[1][0] / c_c] }
    }
}

/// Core and surface temperature above ambient after a step: `free * before + forced * heat`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Propagator {
    pub(crate) free: [[f64; 2]; 2],
    /// K per W of heat.
    pub(crate) forced: [f64; 2],
}

impl Propagator {
    /// Temperatures after the step if no heat is released.
    #[inline(always)]
    pub(crate) fn cool(&self, temperatures: [f64; 2], ambient: f64) -> [f64; 2] {
        let [c, s] = temperatures.map(|t| t - ambient);
        self.free.map(|[to_c, to_s]| ambient + (to_c * c + to_s * s))
    }

    /// What a heat of `q` W adds to temperatures from [`Propagator::cool`].
    #[inline(always)]
    pub(crate) fn heat(&self, cooled: [f64; 2], q: f64) -> [f64; 2] {
        [cooled[0] + self.forced[0] * q, cooled[1] + self.forced[1] * q]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insulated_cell_heats_evenly_and_keeps_every_joule() {
        let t = Thermal {
            core_j_per_k: 60.0,
            surface_j_per_k: 10.0,
            core_surface_w_per_k: 1.0,
            surface_ambient_w_per_k: 0.0,
        };
        let p = t.propagator(1e4);
        let [c, s] = p.heat(p.cool([25.0, 25.0], -40.0), 0.7);
        assert!((60.0 * (c - 25.0) + 10.0 * (s - 25.0) - 7000.0).abs() < 1e-8);
        // Steady difference q C_s / ((C_c + C_s) K_cs).
        assert!((c - s - 0.7 * 10.0 / 70.0).abs() < 1e-9);
    }
}
