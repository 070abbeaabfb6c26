//! Two lumped thermal nodes, core and surface, cooled by the surroundings.

use std::f64::consts::PI;

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

/// Share of a cell's heat capacity that the constructors by format give to the surface node: about that of the can.
const SURFACE_SHARE: f64 = 0.07;

impl Thermal {
    /// One node in effect: `heat_capacity_j_per_k` with `to_ambient_w_per_k` to the surroundings (0 insulates the cell).
    ///
    /// The surface node takes 0.1 % of the heat capacity and hangs on the core by a thousand times the conductance to the
    /// surroundings (at least by what levels the two within a second), so that both nodes have the same temperature to
    /// 0.1 % of the cell's rise.
    pub fn lumped(heat_capacity_j_per_k: f64, to_ambient_w_per_k: f64) -> Self {
        let surface_j_per_k = 1e-3 * heat_capacity_j_per_k;
        Self {
            core_j_per_k: heat_capacity_j_per_k - surface_j_per_k,
            surface_j_per_k,
            core_surface_w_per_k: (1e3 * to_ambient_w_per_k).max(surface_j_per_k),
            surface_ambient_w_per_k: to_ambient_w_per_k,
        }
    }

    /// A cylinder, heated evenly and cooled over its mantle and both ends.
    ///
    /// The core node is the mean over the cylinder: with even heating its mean is `Q / (8 pi k L)` above its mantle
    /// (`Q` in W, radial conductivity `k` in W/(m K), height `L` in m). The surface holds 7 % of the heat capacity. The
    /// heat transfer coefficient is that to the surroundings: about 5..10 in still air, 20..60 with a fan.
    ///
    /// Source: H. S. Carslaw, J. C. Jaeger, *Conduction of Heat in Solids*, Oxford, 1959, chapter 7 (mean of the parabola
    /// `T(r) = T_s + Q (1 - r^2/R^2) / (4 pi k L)`).
    ///
    /// ```
    /// use cell_models::Thermal;
    /// // 21 mm x 70 mm, 2 MJ/(m3 K), 1 W/(m K) across the winding, still air.
    /// let t = Thermal::cylinder(0.021, 0.070, 2e6, 1.0, 10.0);
    /// assert!((t.core_j_per_k + t.surface_j_per_k - 48.5).abs() < 0.1);
    /// assert!((t.core_surface_w_per_k - 1.76).abs() < 0.01 && (t.surface_ambient_w_per_k - 0.0531).abs() < 1e-4);
    /// ```
    pub fn cylinder(
        diameter_m: f64,
        height_m: f64,
        density_heat_capacity_j_per_m3_k: f64,
        radial_conductivity_w_per_m_k: f64,
        heat_transfer_w_per_m2_k: f64,
    ) -> Self {
        let end = 0.25 * PI * diameter_m * diameter_m;
        Self::from_whole(
            density_heat_capacity_j_per_m3_k * end * height_m,
            8.0 * PI * radial_conductivity_w_per_m_k * height_m,
            heat_transfer_w_per_m2_k * (PI * diameter_m * height_m + 2.0 * end),
        )
    }

    /// A prismatic cell, heated evenly and cooled over all six faces.
    ///
    /// The core node is the mean over the cell, which loses its heat inside through the two large faces: with even heating
    /// the mean of a slab of thickness `d` and face `A` is `Q d / (12 k A)` above its faces (`k`: conductivity across the
    /// layers in W/(m K)). The surface holds 7 % of the heat capacity.
    ///
    /// Source: as [`Thermal::cylinder`], chapter 3 (mean of the parabola across a slab).
    pub fn prism(
        thickness_m: f64,
        width_m: f64,
        height_m: f64,
        density_heat_capacity_j_per_m3_k: f64,
        through_conductivity_w_per_m_k: f64,
        heat_transfer_w_per_m2_k: f64,
    ) -> Self {
        let face = width_m * height_m;
        Self::from_whole(
            density_heat_capacity_j_per_m3_k * face * thickness_m,
            12.0 * through_conductivity_w_per_m_k * face / thickness_m,
            heat_transfer_w_per_m2_k * 2.0 * (face + thickness_m * (width_m + height_m)),
        )
    }

    /// A pouch cell: as [`Thermal::prism`], but cooled over its two large faces only, as its edges are thin.
    pub fn pouch(
        thickness_m: f64,
        width_m: f64,
        height_m: f64,
        density_heat_capacity_j_per_m3_k: f64,
        through_conductivity_w_per_m_k: f64,
        heat_transfer_w_per_m2_k: f64,
    ) -> Self {
        let face = width_m * height_m;
        Self {
            surface_ambient_w_per_k: heat_transfer_w_per_m2_k * 2.0 * face,
            ..Self::prism(
                thickness_m,
                width_m,
                height_m,
                density_heat_capacity_j_per_m3_k,
                through_conductivity_w_per_m_k,
                heat_transfer_w_per_m2_k,
            )
        }
    }

    fn from_whole(
        heat_capacity_j_per_k: f64,
        core_surface_w_per_k: f64,
        surface_ambient_w_per_k: f64,
    ) -> Self {
        Self {
            core_j_per_k: (1.0 - SURFACE_SHARE) * heat_capacity_j_per_k,
            surface_j_per_k: SURFACE_SHARE * heat_capacity_j_per_k,
            core_surface_w_per_k,
            surface_ambient_w_per_k,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ParameterError> {
        check_positive("core heat capacity", self.core_j_per_k)?;
        check_positive("surface heat capacity", self.surface_j_per_k)?;
        check_positive("core-surface conductance", self.core_surface_w_per_k)?;
        check_not_negative("surface-ambient conductance", self.surface_ambient_w_per_k)
    }

    /// Core and surface temperature after `dt_s` seconds of constant heat `q` in W.
    pub(crate) fn step(&self, temperatures: [f64; 2], ambient: f64, q: f64, dt_s: f64) -> [f64; 2] {
        let p = self.propagator(dt_s);
        p.heat(p.cool(temperatures, ambient), q)
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

    #[test]
    fn lumped_cell_behaves_as_one_node() {
        for (k, q) in [(0.05, 1.0), (2.0, 10.0), (0.0, 1.0)] {
            let t = Thermal::lumped(50.0, k);
            t.validate().unwrap();
            for dt in [1.0, 600.0] {
                let [core, surface] = t.propagator(dt).heat([0.0, 0.0], q);
                let one_node = if k > 0.0 { q / k * -(-k * dt / 50.0_f64).exp_m1() } else { q * dt / 50.0 };
                assert!((core - one_node).abs() < 2e-3 * (one_node + 1.0), "{core} {one_node}");
                assert!(dt < 2.0 || (core - surface).abs() < 2e-3 * core + q / 49.0);
            }
        }
    }

    #[test]
    fn formats_conduct_as_their_shape_does() {
        // Numerical mean of the parabolas, and the area by hand.
        let n = 10_000;
        let mean = |power: i32, weight: fn(f64) -> f64| {
            let (mut sum, mut norm) = (0.0, 0.0);
            for k in 0..n {
                let r = (k as f64 + 0.5) / n as f64;
                sum += (1.0 - r.powi(power)) * weight(r);
                norm += weight(r);
            }
            sum / norm
        };
        let c = Thermal::cylinder(0.02, 0.06, 2e6, 0.8, 10.0);
        let rise = mean(2, |r| r) / (4.0 * PI * 0.8 * 0.06);
        assert!((1.0 / c.core_surface_w_per_k - rise).abs() < 1e-6 * rise);
        let p = Thermal::prism(0.02, 0.15, 0.1, 2e6, 0.8, 10.0);
        let rise = mean(2, |_| 1.0) * 0.01 * 0.01 / (2.0 * 0.8) / (0.02 * 0.15 * 0.1);
        assert!((1.0 / p.core_surface_w_per_k - rise).abs() < 1e-6 * rise);
        assert!((p.surface_ambient_w_per_k - 10.0 * 0.04).abs() < 1e-12);
        assert!((p.core_j_per_k + p.surface_j_per_k - 600.0).abs() < 1e-9);
        let pouch = Thermal::pouch(0.02, 0.15, 0.1, 2e6, 0.8, 10.0);
        assert!((pouch.surface_ambient_w_per_k - 0.3).abs() < 1e-12 && pouch.core_j_per_k == p.core_j_per_k);
    }
}
