//! Slope of a line through the origin whose points are uncertain in both coordinates: capacity from pairs of change of
//! SOC and charge.
//!
//! Approximate weighted total least squares: the distance of a point from the line is split along both axes. With `K` the
//! scale of the charge and `u = K Q`, the cost of `Q` is
//!
//! ```text
//! J(u) = sum w (K y - u x)² / (1 + u²)² · (u² / σx² + 1 / (K σy)²)
//!      = (c4 u⁴ - 2 c5 u³ + (c1 + c6) u² - 2 c2 u + c3) / (1 + u²)²
//! ```
//!
//! with six sums over all points, so that old points need not be kept and can be forgotten. Plett scales by `K = σx / σy`
//! of the first point, at which the approximation is exact for points of that same ratio. Here the ratio differs widely
//! between windows, so `K = 1 / Q` with the present estimate: at `u = 1` the slope of the approximate weight is that of the
//! true one, `1 / (Q² σx² + σy²)`, whatever the ratio; each point's weight is scaled to agree there as well.
//!
//! Source: Plett (2011), "Recursive approximate weighted total least squares estimation of battery cell total capacity",
//! J. Power Sources 196, 2319.

use crate::math::bound;
use crate::store::stored;

/// Range of the slope.
const LEAST: f32 = 0.3;
const MOST: f32 = 1.3;
/// Newton steps and the longest of them, as a share of the slope: eight reach any slope that a point can mean.
const STEPS: usize = 8;
const LONGEST_STEP: f32 = 0.2;
/// Range of a variance; the least is a standard deviation of 0.01 % of the capacity.
const LEAST_VARIANCE: f32 = 1e-8;
const MOST_VARIANCE: f32 = 1e4;

/// A change of SOC `x` and the charge `y` that made it (over the new cell's capacity), with their variances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub x: f32,
    pub y: f32,
    pub x_variance: f32,
    pub y_variance: f32,
}

impl Point {
    /// Variance of its distance from a line of this slope, along `y`.
    pub(crate) fn variance(&self, slope: f32) -> f32 {
        slope * slope * self.x_variance + self.y_variance
    }
}

/// The sums, and the slope that they mean with its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Awtls {
    /// `c1 … c6` with `K = 1`.
    sums: [f32; 6],
    slope: f32,
    variance: f32,
}

stored!(Awtls {
    sums: [f32; 6] => |a| a.sums.iter().all(|c| c.is_finite()),
    slope: f32 => |a| (LEAST..=MOST).contains(&a.slope),
    variance: f32 => |a| a.variance > 0.0 && a.variance <= 1.0,
});

impl Awtls {
    /// Begins with one point at `x = 1` that means the slope and the standard deviation given.
    pub(crate) fn new(slope: f32, std: f32) -> Self {
        let slope = bound(slope, LEAST, MOST);
        let half = 0.5 * std * std;
        let mut new = Self { sums: [0.0; 6], slope, variance: 1.0 };
        new.take(&Point { x: 1.0, y: slope, x_variance: half / (slope * slope), y_variance: half });
        new
    }

    /// The slope, 0.3..=1.3.
    pub(crate) const fn slope(&self) -> f32 {
        self.slope
    }

    /// Its variance from the curvature of the cost, above 0 and up to 1.
    pub(crate) const fn variance(&self) -> f32 {
        self.variance
    }

    /// Multiplies the weight of all points so far by `share` (0..=1), but not below what a standard deviation of 1 means.
    pub(crate) fn forget(&mut self, share: f32) {
        let share = bound(share, self.variance, 1.0);
        self.variance = bound(self.variance / share, LEAST_VARIANCE, 1.0);
        for c in &mut self.sums {
            *c *= share;
        }
    }

    /// Forgets as much as adds this to the variance: a random walk of the slope.
    pub(crate) fn widen(&mut self, variance: f32) {
        self.forget(self.variance / (self.variance + bound(variance, 0.0, 1.0)));
    }

    /// Takes in one point; one that is no number is ignored.
    pub(crate) fn take(&mut self, point: &Point) {
        let Point { x, y, .. } = *point;
        if !(x.is_finite() && y.is_finite()) {
            return;
        }
        let (x, y) = (bound(x, -2.0, 2.0), bound(y, -2.0, 2.0));
        let vx = bound(point.x_variance, LEAST_VARIANCE, MOST_VARIANCE);
        let vy = bound(point.y_variance / (self.slope * self.slope), LEAST_VARIANCE, MOST_VARIANCE);
        // 1 / σx² and 1 / (K σy)², scaled so that both together weigh 1 / (σx² + (K σy)²) at u = 1.
        let scale = 4.0 / ((vx + vy) * (vx + vy));
        let (along_x, along_y) = (scale * vy, scale * vx);
        let products = [x * x, x * y, y * y];
        let added = products.map(|p| along_y * p).into_iter().chain(products.map(|p| along_x * p));
        for (c, added) in self.sums.iter_mut().zip(added) {
            *c += added;
        }
        self.solve();
    }

    /// Newton's way to the least cost, from the present slope.
    fn solve(&mut self) {
        let k = 1.0 / self.slope;
        let [c1, c2, c3, c4, c5, c6] = self.sums;
        let (c2, c3, c5, c6) = (k * c2, k * k * c3, k * c5, k * k * c6);
        // dJ/du = 2 g(u) / (1 + u²)³ with g(u) = g0 + g1 u + g2 u² + g3 u³ + g4 u⁴.
        let (g0, g1, g2, g3, g4) = (-c2, c1 - 2.0 * c3 + c6, 3.0 * (c2 - c5), 2.0 * c4 - c1 - c6, c5);
        // Points on the line make g' = 2 (c1 + c4) at u = 1; a quarter of it keeps the steps and the variance sane.
        let least = bound(0.5 * (c1 + c4), 1e-6, f32::MAX);
        let mut u = 1.0;
        let mut steepness = least;
        for _ in 0..STEPS {
            let g = g0 + u * (g1 + u * (g2 + u * (g3 + u * g4)));
            steepness = bound(g1 + u * (2.0 * g2 + u * (3.0 * g3 + u * 4.0 * g4)), least, f32::MAX);
            u = bound(u - bound(g / steepness, -LONGEST_STEP, LONGEST_STEP), LEAST * k, MOST * k);
        }
        let round = 1.0 + u * u;
        self.variance =
            bound(self.slope * self.slope * round * round * round / steepness, LEAST_VARIANCE, 1.0);
        self.slope = bound(u * self.slope, LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Uniform numbers from a fixed seed (Marsaglia 2003, "Xorshift RNGs").
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Standard normal: the sum of twelve.
        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }
    }

    /// Mean and root of the mean square of the error in % of the capacity, of total and of plain least squares, while the
    /// capacity fades from 100 % to 80 % in 1200 windows of the depths given; both forget 2 % at each. 400 seeds.
    fn fading(soc_std: f64, [least, most]: [f64; 2]) -> [[f64; 2]; 2] {
        let (updates, seeds, charge_std) = (1200, 400, 0.002);
        let mut sums = [[0.0; 2]; 2];
        for seed in 1..=seeds {
            let mut noise = Noise(seed * 0x9e37_79b9_7f4a_7c15);
            // Both begin with what one window of full depth would say of the new cell.
            let x_variance = 2.0 * soc_std * soc_std;
            let mut total = Awtls::new(1.0, x_variance.sqrt() as f32);
            let mut plain = [1.0; 2];
            for k in 0..updates {
                let q = 1.0 - 0.2 * f64::from(k) / f64::from(updates);
                let depth = least + (most - least) * noise.uniform();
                let x = depth + soc_std * (noise.normal() - noise.normal());
                let y = q * depth + charge_std * noise.normal();
                total.forget(0.98);
                total.take(&Point {
                    x: x as f32,
                    y: y as f32,
                    x_variance: x_variance as f32,
                    y_variance: (charge_std * charge_std) as f32,
                });
                plain = [0.98 * plain[0] + x * x, 0.98 * plain[1] + x * y];
                for (sum, estimate) in sums.iter_mut().zip([f64::from(total.slope()), plain[1] / plain[0]]) {
                    let percent = 100.0 * (estimate / q - 1.0);
                    *sum = [sum[0] + percent, sum[1] + percent * percent];
                }
            }
        }
        let n = f64::from(updates) * seeds as f64;
        sums.map(|[sum, squares]| [sum / n, (squares / n).sqrt()])
    }

    /// Reference: the same experiment with another implementation, recorded before this one was written. Its means are of 20
    /// seeds, and so uncertain by 6 % of the rms.
    #[test]
    fn a_fading_capacity_is_followed_as_the_reference_does_and_plain_least_squares_is_biased() {
        let deep = [0.3, 0.8];
        let shallow = [0.1, 0.3];
        let references = [
            (0.01, deep, [0.86, 0.91], [0.79, 0.84]),
            (0.02, deep, [0.84, 1.0], [0.58, 0.79]),
            (0.03, deep, [0.82, 1.15], [0.25, 0.84]),
            (0.02, shallow, [0.77, 1.65], [-1.08, 1.78]),
            (0.03, shallow, [0.73, 2.3], [-3.3, 3.9]),
        ];
        for (soc_std, depths, total, plain) in references {
            let [got_total, got_plain] = fading(soc_std, depths);
            std::println!("{soc_std} {depths:?}: {got_total:.2?} ({total:?}), {got_plain:.2?} ({plain:?})");
            for (got, [mean, rms]) in [(got_total, total), (got_plain, plain)] {
                let close = |a: f64, b: f64| (a - b).abs() < 0.05 + 0.1 * rms;
                assert!(close(got[0], mean) && close(got[1], rms), "{soc_std} {depths:?}: {got:?}");
            }
            // What is left of the error of total least squares is the lag of forgetting.
            assert!((0.6..1.1).contains(&got_total[0]));
            assert!(depths == deep || got_plain[0] < -0.7);
        }
    }

    #[test]
    fn the_standard_deviation_is_that_of_the_error() {
        for [x_std, y_std] in [[0.02, 0.002], [0.002, 0.02], [0.02, 0.02]] {
            let (mut squares, mut variance, runs) = (0.0, 0.0, 300);
            for run in 1..=runs {
                let mut noise = Noise(run * 0x9e37_79b9_7f4a_7c15);
                let mut fit = Awtls::new(0.9, 1.0);
                for _ in 0..40 {
                    let depth = 0.3 + 0.5 * noise.uniform();
                    fit.take(&Point {
                        x: (depth + x_std * noise.normal()) as f32,
                        y: (0.85 * depth + y_std * noise.normal()) as f32,
                        x_variance: (x_std * x_std) as f32,
                        y_variance: (y_std * y_std) as f32,
                    });
                }
                squares += (f64::from(fit.slope()) - 0.85).powi(2) / runs as f64;
                variance += f64::from(fit.variance()) / runs as f64;
            }
            assert!((squares / variance - 1.0).abs() < 0.25, "{x_std} {y_std}: {squares} for {variance}");
        }
    }

    #[test]
    fn a_first_point_means_what_was_known_and_forgetting_doubts_it() {
        let mut fit = Awtls::new(0.9, 0.03);
        assert!((fit.slope() - 0.9).abs() < 1e-5 && (fit.variance() / 9e-4 - 1.0).abs() < 1e-3, "{fit:?}");
        fit.widen(16e-4);
        assert!((fit.variance() / 25e-4 - 1.0).abs() < 1e-3, "{fit:?}");
        fit.take(&Point { x: 0.0, y: 0.0, x_variance: 1.0, y_variance: 1.0 });
        assert!((fit.slope() - 0.9).abs() < 1e-5 && (fit.variance() / 25e-4 - 1.0).abs() < 1e-3, "{fit:?}");
    }

    proptest! {
        #[test]
        fn any_points_leave_a_slope_and_a_variance_within_bounds(
            points in prop::collection::vec((any::<[f32; 6]>(), prop::array::uniform6(0f32..1.0)), 1..40),
        ) {
            let mut fit = Awtls::new(1.0, 0.05);
            for (any, small) in points {
                for [x, y, x_variance, y_variance, forget, widen] in [any, small] {
                    fit.forget(forget);
                    fit.widen(widen);
                    fit.take(&Point { x, y, x_variance, y_variance });
                    prop_assert!((LEAST..=MOST).contains(&fit.slope()), "{fit:?}");
                    prop_assert!(fit.variance() > 0.0 && fit.variance() <= 1.0, "{fit:?}");
                    prop_assert!(fit.sums.iter().all(|c| c.is_finite()), "{fit:?}");
                }
            }
        }
    }
}
