//! Covariance in factored form, `P = U D Uᵀ`.
//!
//! `U` is unit upper triangular and `D` diagonal. As long as every `D` is positive, `P` is positive definite, whatever
//! the rounding: this is what keeps a single-precision filter sound over years of steps.
//!
//! Sources: Bierman (1977), "Factorization Methods for Discrete Sequential Estimation", ch. V (measurement update);
//! Agee and Turner (1972), "Triangular decomposition of a positive definite matrix plus a symmetric dyad" (noise).

#![allow(clippy::needless_range_loop)] // indices read as in the equations

use crate::math::{abs, bound, finite_or};
use crate::store::stored;

/// Number of states.
pub const N: usize = 7;

/// Smallest factor, small beside every real variance here (states are scaled to order one).
const D_MIN: f32 = 1e-12;
/// Largest factor.
const D_MAX: f32 = 1e3;
/// Noise above this is none that a filter could mean, nor are infinity and NaN.
const Q_MAX: f32 = 1e30;
/// Largest element of `U`.
const U_MAX: f32 = 1e4;

/// A covariance of [`N`] states as `U D Uᵀ`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UdCovariance {
    /// Columns of `U` above the diagonal: `u[j][i]` is row `i` of column `j`, `i < j`; the rest stays zero.
    u: [[f32; N]; N],
    d: [f32; N],
}

stored!(UdCovariance {
    u: [[f32; N]; N] => |p| p.u.iter().flatten().all(|u| abs(*u) <= U_MAX),
    d: [f32; N] => |p| p.d.iter().all(|d| *d > 0.0 && *d <= D_MAX),
});

impl UdCovariance {
    /// A diagonal covariance with the given variances.
    #[must_use]
    pub fn diagonal(variances: [f32; N]) -> Self {
        Self { u: [[0.0; N]; N], d: variances.map(|v| bound(v, D_MIN, D_MAX)) }
    }

    /// Variance of state `i` (zero for an index that does not exist).
    #[must_use]
    pub fn variance(&self, i: usize) -> f32 {
        if i >= N {
            return 0.0;
        }
        let mut sum = self.d[i];
        for j in (i + 1)..N {
            sum += self.u[j][i] * self.u[j][i] * self.d[j];
        }
        sum
    }

    /// The factors `D`; `P` is positive definite exactly if all are positive.
    #[must_use]
    pub const fn factors(&self) -> &[f32; N] {
        &self.d
    }

    /// Propagates through `F = diag(decay) + coupling · e_lastᵀ`: every state decays on its own and is driven by the
    /// last one. All of `decay` must be positive; the last must be 1 and the last of `coupling` is not used.
    ///
    /// `F U` is upper triangular again, so that only its columns need scaling: `U'ᵢⱼ = (F U)ᵢⱼ / aⱼ`, `D'ⱼ = aⱼ² Dⱼ`.
    pub fn propagate(&mut self, decay: &[f32; N], coupling: &[f32; N]) {
        for j in 0..N - 1 {
            let a_j = decay[j];
            let inverse = 1.0 / a_j;
            for i in 0..j {
                self.u[j][i] = decay[i] * self.u[j][i] * inverse;
            }
            self.d[j] *= a_j * a_j;
        }
        for i in 0..N - 1 {
            self.u[N - 1][i] = decay[i] * self.u[N - 1][i] + coupling[i];
        }
    }

    /// Adds variance `q >= 0` to state `i`; what is no number below 1e30 adds nothing.
    #[inline(always)]
    pub fn add_noise(&mut self, i: usize, q: f32) {
        if !(q > 0.0 && q < Q_MAX) {
            return;
        }
        // With the state as a constant everything unrolls, and a controller needs a third of the instructions.
        match i {
            0 => self.add_noise_to::<0>(q),
            1 => self.add_noise_to::<1>(q),
            2 => self.add_noise_to::<2>(q),
            3 => self.add_noise_to::<3>(q),
            4 => self.add_noise_to::<4>(q),
            5 => self.add_noise_to::<5>(q),
            6 => self.add_noise_to::<6>(q),
            _ => {}
        }
    }

    /// The columns from the state's own down to the first.
    #[inline(always)]
    fn add_noise_to<const I: usize>(&mut self, q: f32) {
        let mut weight = q;
        let mut a = [0.0f32; N];
        a[I] = 1.0;
        if I >= 6 {
            self.add_noise_in::<6>(&mut weight, &mut a);
        }
        if I >= 5 {
            self.add_noise_in::<5>(&mut weight, &mut a);
        }
        if I >= 4 {
            self.add_noise_in::<4>(&mut weight, &mut a);
        }
        if I >= 3 {
            self.add_noise_in::<3>(&mut weight, &mut a);
        }
        if I >= 2 {
            self.add_noise_in::<2>(&mut weight, &mut a);
        }
        if I >= 1 {
            self.add_noise_in::<1>(&mut weight, &mut a);
        }
        self.add_noise_in::<0>(&mut weight, &mut a);
    }

    /// One column: `weight · a aᵀ` is what is still to be added.
    #[inline(always)]
    fn add_noise_in<const J: usize>(&mut self, weight: &mut f32, a: &mut [f32; N]) {
        let s = a[J];
        let d = self.d[J] + *weight * s * s;
        let inverse = 1.0 / d;
        let b = *weight * s * inverse;
        *weight *= self.d[J] * inverse;
        self.d[J] = d;
        for k in 0..J {
            a[k] -= s * self.u[J][k];
            self.u[J][k] += b * a[k];
        }
    }

    /// Variance of the scalar `hᵀ x` without noise, `hᵀ P h`.
    #[must_use]
    pub fn projected_variance(&self, h: &[f32; N]) -> f32 {
        let mut sum = 0.0;
        for j in 0..N {
            let mut f = h[j];
            for i in 0..j {
                f += self.u[j][i] * h[i];
            }
            sum += f * f * self.d[j];
        }
        sum
    }

    /// Takes in one scalar measurement with sensitivity `h` and noise variance `r > 0`; returns the gain.
    pub fn update(&mut self, h: &[f32; N], r: f32) -> [f32; N] {
        let mut gain = [0.0f32; N];
        let mut alpha = r;
        let mut inverse = 1.0 / r;
        for j in 0..N {
            let mut f = h[j];
            for i in 0..j {
                f += self.u[j][i] * h[i];
            }
            let v = self.d[j] * f;
            let lambda = -f * inverse;
            let alpha_new = alpha + f * v;
            inverse = 1.0 / alpha_new;
            self.d[j] *= alpha * inverse;
            for i in 0..j {
                let u = self.u[j][i];
                self.u[j][i] = u + lambda * gain[i];
                gain[i] += v * u;
            }
            gain[j] = v;
            alpha = alpha_new;
        }
        gain.map(|k| k * inverse)
    }

    /// Keeps every number inside what single precision handles well; a non-finite one is replaced.
    pub fn sanitise(&mut self) {
        for d in &mut self.d {
            *d = bound(finite_or(*d, D_MAX), D_MIN, D_MAX);
        }
        for column in &mut self.u {
            for u in column {
                *u = if abs(*u) <= U_MAX { *u } else { 0.0 };
            }
        }
    }

    /// Limits the variance of the last state, whose factor is its variance.
    pub fn cap_last(&mut self, variance: f32) {
        if self.d[N - 1] > variance {
            self.d[N - 1] = variance;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    type Dense = [[f64; N]; N];

    fn dense(p: &UdCovariance) -> Dense {
        let mut u = [[0.0; N]; N];
        for j in 0..N {
            u[j][j] = 1.0;
            for i in 0..j {
                u[i][j] = f64::from(p.u[j][i]);
            }
        }
        let mut out = [[0.0; N]; N];
        for i in 0..N {
            for j in 0..N {
                out[i][j] = (0..N).map(|k| u[i][k] * f64::from(p.d[k]) * u[j][k]).sum();
            }
        }
        out
    }

    fn close(a: &Dense, b: &Dense) -> bool {
        (0..N).all(|i| (0..N).all(|j| (a[i][j] - b[i][j]).abs() <= 2e-4 * (b[i][i] * b[j][j]).sqrt() + 1e-12))
    }

    fn some_covariance(seed: &[f32]) -> UdCovariance {
        let mut p = UdCovariance::diagonal([0.02, 1e-4, 3e-4, 0.4, 2e-4, 0.05, 1e-3]);
        for (k, s) in seed.iter().enumerate() {
            p.propagate(
                &[1.0, 0.9, 0.99, 0.98, 0.995, 0.999, 1.0],
                &[s * 0.1, 0.01, 0.02, 0.0, 0.0, 0.0, 0.0],
            );
            p.add_noise(k % N, 1e-5);
            p.update(&[0.5 + s, -1.0, -1.0, 0.02, 1.0, s * 0.2, 0.1], 1e-3);
        }
        p
    }

    proptest! {
        /// Reference: the textbook dense equations in double precision.
        #[test]
        fn agrees_with_the_dense_filter(seed in prop::collection::vec(-1.0f32..1.0, 1..20), r in 1e-5f32..1e-1, q in 0.0f32..1e-3, i in 0usize..N) {
            let mut p = some_covariance(&seed);
            let decay = [1.0f32, 0.7, 0.95, 0.9, 0.99, 0.999, 1.0];
            let coupling = [3e-4f32, 0.02, 0.01, 1e-3, 0.0, 0.0, 0.0];
            let mut f = [[0.0f64; N]; N];
            for k in 0..N { f[k][k] = f64::from(decay[k]); if k < N - 1 { f[k][N - 1] = f64::from(coupling[k]); } }
            let before = dense(&p);
            let mut expected = [[0.0; N]; N];
            for a in 0..N { for b in 0..N {
                expected[a][b] = (0..N).map(|k| (0..N).map(|l| f[a][k] * before[k][l] * f[b][l]).sum::<f64>()).sum();
            } }
            expected[i][i] += f64::from(q);
            p.propagate(&decay, &coupling);
            p.add_noise(i, q);
            prop_assert!(close(&dense(&p), &expected));

            let h = [0.8f32, -1.0, -1.0, 0.03, 1.0, -0.1, 0.05];
            let ph: Vec<f64> = (0..N).map(|a| (0..N).map(|b| expected[a][b] * f64::from(h[b])).sum()).collect();
            let s: f64 = (0..N).map(|a| f64::from(h[a]) * ph[a]).sum::<f64>() + f64::from(r);
            let gain = p.update(&h, r);
            let mut posterior = [[0.0; N]; N];
            for a in 0..N {
                prop_assert!((f64::from(gain[a]) - ph[a] / s).abs() < 2e-3 * (expected[a][a] / s).sqrt().max(1e-6));
                for b in 0..N { posterior[a][b] = expected[a][b] - ph[a] * ph[b] / s; }
            }
            let after = dense(&p);
            for a in 0..N { prop_assert!((after[a][a] - posterior[a][a]).abs() < 2e-3 * expected[a][a]); }
        }

        /// Positive definite for anything that comes in.
        #[test]
        fn stays_positive_definite(steps in prop::collection::vec((-1e3f32..1e3, 1e-9f32..1e3, 0.0f32..10.0), 1..200)) {
            let mut p = UdCovariance::diagonal([0.02, 1e-4, 3e-4, 0.4, 2e-4, 0.05, 1e-3]);
            for (h, r, q) in steps {
                p.propagate(&[1.0, 0.001, 0.99, 0.5, 0.995, 0.999, 1.0], &[h * 1e-3, 0.01, 0.02, 0.0, 0.0, 0.0, 0.0]);
                p.add_noise(3, q);
                p.update(&[h, -1.0, -1.0, 0.02, 1.0, h, h], r);
                p.sanitise();
                prop_assert!(p.factors().iter().all(|&d| d > 0.0 && d.is_finite()));
                prop_assert!((0..N).all(|i| p.variance(i) > 0.0 && p.variance(i).is_finite()));
            }
        }
    }
}
