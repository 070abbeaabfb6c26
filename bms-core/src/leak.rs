//! Self-discharge of every cell against the others, and which one leaks.
//!
//! A cell that discharges itself falls behind the others by a little every day. What is watched is the deficit of cell `k`
//! against the median of the pack, as a share of the capacity, without the charge that balancing took from it:
//!
//! ```text
//! y_k = median(Δ) - Δ_k - bled_k / Q = a_k + c_k (z - 1/2) + noise,      da_k/dt = l_k
//! ```
//!
//! `c_k` holds what a difference in capacity makes of a change in the SOC `z` of the pack, so that a small cell is not taken
//! for a leaky one; `l_k` is the leakage in capacities per hour, a slow random walk. A Kalman filter per cell follows the
//! three. A sample that is further off than three standard deviations loses weight with the square of how far; three such
//! in a row on one side are no outliers but news, and the filter opens itself for them.
//!
//! An estimator's error in `Δ` is much the same from one sample to the next, and changes over days as the estimator learns. That
//! does not average out: a leak is known no better than the uncertainty of the first and of the last `Δ` over the time
//! between them.
//!
//! What all cells lose alike does not show. Samples are worth taking after rests, some hours or days apart.
//!
//! Sources: Harvey (1989), "Forecasting, structural time series models and the Kalman filter", ch. 2 (local linear trend);
//! Hampel, Ronchetti, Rousseeuw, Stahel (1986), "Robust statistics: the approach based on influence functions" (weights that
//! fall towards zero).

#![allow(clippy::needless_range_loop)] // indices read as in the equations

use crate::math::{abs, bound, finite_or, median, sqrt};
use crate::soc::Estimated;
use crate::store::stored;

const DEFICIT: usize = 0;
const LEAK: usize = 1;
const M: usize = 3;

/// Hours in a month.
const MONTH_H: f32 = 730.0;
/// Standard deviations at the start: deficit (share of capacity), leak (shares per hour), difference in capacity (ratio).
const START_STD: [f32; M] = [0.05, 2e-3, 0.03];
/// Variance per hour of the leakage: 2.2 % per month, in a month.
const WALK_PER_H: f32 = 1.25e-12;
/// Noise of the deficit however sure the estimator is of the SOC (share of capacity).
const LEAST_NOISE: f32 = 0.0005;
/// A sample further off than this (standard deviations) loses weight …
const OUTLIER: f32 = 3.0;
/// … and so many in a row on one side are news.
const NEWS: i8 = 3;
/// Samples without news before a cell can be called leaky.
const SETTLED: u8 = 10;
/// Resolution of the median (share of capacity).
const CLOSE: f32 = 1e-5;

/// Hours without current after which a pack has rested …
pub const RESTED_H: f32 = 2.0;
/// … and hours from one look at it to the next.
pub const EVERY_H: f32 = 6.0;

/// When a cell counts as leaky.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakLimits {
    /// Share of the capacity that it loses in a month more than the median.
    pub per_month: f32,
    /// … and by how many standard deviations that differs from nothing.
    pub significance: f32,
    /// Cells whose SOC difference is less certain than this (standard deviation, fraction) are left out of a sample.
    pub largest_soc_std: f32,
}

stored!(LeakLimits {
    per_month: f32 => |l| l.per_month > 0.0,
    significance: f32 => |l| l.significance > 0.0,
    largest_soc_std: f32 => |l| l.largest_soc_std > 0.0,
});

impl LeakLimits {
    /// 5 % per month more than the others, and one false alarm in three million.
    pub const TYPICAL: Self = Self { per_month: 0.05, significance: 5.0, largest_soc_std: 0.02 };

    fn check(&self) -> Result<(), LeakError> {
        let positive = |x: f32| x > 0.0 && x < 1e5;
        let all = [self.per_month, self.significance, self.largest_soc_std];
        if all.into_iter().all(positive) { Ok(()) } else { Err(LeakError::Limits) }
    }
}

/// One look at a pack of `N` cells, best after a rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakSample<const N: usize> {
    /// Time since the previous sample in h (not used for the first).
    pub hours: f32,
    /// SOC of the reference cell (fraction).
    pub soc: f32,
    /// SOC of every cell minus that of the reference cell ([`crate::pack::CellEstimate::soc_difference`]).
    pub soc_difference: [Estimated; N],
    /// Charge in Ah that balancing took from every cell since the previous sample.
    pub bled_charge_ah: [f32; N],
}

/// What is known of one cell's leakage, against the median of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Leak {
    /// Leakage current in A.
    pub current_a: Estimated,
    /// Share of the capacity lost in a month.
    pub per_month: Estimated,
    /// Above the limits.
    pub leaky: bool,
}

/// Why a monitor cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeakError {
    /// The capacity is not a positive number.
    Capacity,
    /// A limit is not a positive number.
    Limits,
}

impl core::fmt::Display for LeakError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Capacity => "the capacity is not a positive number",
            Self::Limits => "a limit of the leak monitor is not a positive number",
        })
    }
}

impl core::error::Error for LeakError {}

/// Trend of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Trend {
    x: [f32; M],
    p: [[f32; M]; M],
    bled: f32,
    /// Outliers in a row, with their sign.
    outliers: i8,
    /// Samples and hours since the start or the last news.
    samples: u8,
    hours: f32,
    /// Variances of the SOC difference in the first of these samples and in the last.
    ends: [f32; 2],
}

stored!(Trend {
    x: [f32; M],
    p: [[f32; M]; M] => |t| (0..M).all(|k| t.p[k][k] > 0.0),
    bled: f32 => |t| abs(t.bled) <= 1e3,
    outliers: i8 => |t| t.outliers > -NEWS && t.outliers < NEWS,
    samples: u8,
    hours: f32 => |t| (0.0..=1e6).contains(&t.hours),
    ends: [f32; 2] => |t| t.ends.iter().all(|v| (0.0..=1e6).contains(v)),
});

impl Trend {
    fn new() -> Self {
        let mut p = [[0.0; M]; M];
        for k in 0..M {
            p[k][k] = START_STD[k] * START_STD[k];
        }
        Self { x: [0.0; M], p, bled: 0.0, outliers: 0, samples: 0, hours: 0.0, ends: [0.0; 2] }
    }

    fn predict(&mut self, hours: f32) {
        self.hours = bound(self.hours + hours, 0.0, 1e6);
        let p = &mut self.p;
        self.x[DEFICIT] += hours * self.x[LEAK];
        for k in 0..M {
            p[DEFICIT][k] += hours * p[LEAK][k];
        }
        for k in 0..M {
            p[k][DEFICIT] += hours * p[k][LEAK];
        }
        let walk = WALK_PER_H * hours;
        p[LEAK][LEAK] += walk;
        p[DEFICIT][DEFICIT] += walk * hours * hours / 3.0;
        p[DEFICIT][LEAK] += 0.5 * walk * hours;
        p[LEAK][DEFICIT] = p[DEFICIT][LEAK];
    }

    fn update(&mut self, y: f32, soc: f32, std: f32) {
        let h = [1.0, 0.0, soc - 0.5];
        let mut f = [0.0; M];
        let mut variance = std * std;
        let mut innovation = y;
        for i in 0..M {
            for j in 0..M {
                f[i] += self.p[i][j] * h[j];
            }
            variance += f[i] * h[i];
            innovation -= self.x[i] * h[i];
        }
        let far = innovation * innovation / (OUTLIER * OUTLIER * variance);
        if far > 1.0 {
            let side = if innovation > 0.0 { 1 } else { -1 };
            self.outliers = if self.outliers * side > 0 { self.outliers + side } else { side };
            if self.outliers * side >= NEWS {
                (self.outliers, self.samples) = (0, 0);
                for k in [DEFICIT, LEAK] {
                    self.p[k][k] += START_STD[k] * START_STD[k];
                }
                return;
            }
            variance *= far;
        } else {
            self.outliers = 0;
        }
        let [first, last] = &mut self.ends;
        *last = bound(std * std, 0.0, 1e6);
        if self.samples == 0 {
            (self.hours, *first) = (0.0, *last);
        }
        self.samples = self.samples.saturating_add(1);
        for i in 0..M {
            let gain = f[i] / variance;
            self.x[i] = finite_or(self.x[i] + gain * innovation, 0.0);
            for j in 0..M {
                self.p[i][j] -= gain * f[j];
            }
        }
        for k in 0..M {
            let largest = START_STD[k] * START_STD[k];
            self.p[k][k] = bound(finite_or(self.p[k][k], largest), 1e-8 * largest, 1e4 * largest);
        }
        for i in 0..M {
            for j in 0..i {
                let limit = 0.9999 * sqrt(self.p[i][i] * self.p[j][j]);
                let c = bound(0.5 * (self.p[i][j] + self.p[j][i]), -limit, limit);
                (self.p[i][j], self.p[j][i]) = (c, c);
            }
        }
    }
}

/// Watches the self-discharge of a pack of `N` cells. A plain value: a copy of it is what to keep over a sleep.
///
/// ```
/// use bms_core::leak::{LeakLimits, LeakMonitor, LeakSample};
/// use bms_core::soc::Estimated;
/// let mut monitor = LeakMonitor::<8>::new(5.0, LeakLimits::TYPICAL)?;
/// for day in 0..20u8 {
///     let mut soc_difference = [Estimated { value: 0.0, std: 0.002 }; 8];
///     soc_difference[2].value = -0.004 * f32::from(day); // 0.4 points a day: 0.83 mA
///     monitor.add(&LeakSample { hours: 24.0, soc: 0.7, soc_difference, bled_charge_ah: [0.0; 8] });
/// }
/// let leak = monitor.cell(2).unwrap_or_default();
/// assert!(leak.leaky && (leak.current_a.value - 0.83e-3).abs() < 0.1e-3);
/// # Ok::<(), bms_core::leak::LeakError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakMonitor<const N: usize> {
    limits: LeakLimits,
    capacity_ah: f32,
    started: bool,
    cells: [Trend; N],
}

stored!(LeakMonitor[N] {
    limits: LeakLimits,
    capacity_ah: f32 => |m| m.capacity_ah > 1e-3 && m.capacity_ah < 1e5,
    started: bool,
    cells: [Trend; N],
});

impl<const N: usize> LeakMonitor<N> {
    /// A monitor of a pack whose cells have `capacity_ah`.
    ///
    /// # Errors
    /// [`LeakError`] when the capacity or a limit is not a positive number.
    pub fn new(capacity_ah: f32, limits: LeakLimits) -> Result<Self, LeakError> {
        if !(capacity_ah > 1e-3 && capacity_ah < 1e5) {
            return Err(LeakError::Capacity);
        }
        limits.check()?;
        Ok(Self { limits, capacity_ah, started: false, cells: [Trend::new(); N] })
    }

    /// Takes in one sample. Cells of which the SOC is unknown or no number are only carried on; a time that is negative or
    /// no number counts as none.
    pub fn add(&mut self, sample: &LeakSample<N>) {
        let hours = if self.started { bound(sample.hours, 0.0, 1e4) } else { 0.0 };
        self.started = true;
        let mut differences = [f32::NAN; N];
        for (d, e) in differences.iter_mut().zip(&sample.soc_difference) {
            let known = abs(e.value) <= 2.0 && e.std >= 0.0 && e.std <= self.limits.largest_soc_std;
            *d = if known { e.value } else { f32::NAN };
        }
        // NaN turns into empty, which is as good as any.
        let soc = bound(sample.soc, 0.0, 1.0);
        let middle = median(&differences, CLOSE);
        let inputs = differences.iter().zip(&sample.soc_difference).zip(&sample.bled_charge_ah);
        for (cell, ((difference, e), bled_ah)) in self.cells.iter_mut().zip(inputs) {
            cell.predict(hours);
            cell.bled = bound(cell.bled + finite_or(*bled_ah / self.capacity_ah, 0.0), -1e3, 1e3);
            if !difference.is_nan() {
                cell.update(
                    middle - difference - cell.bled,
                    soc,
                    sqrt(e.std * e.std + LEAST_NOISE * LEAST_NOISE),
                );
            }
        }
    }

    /// What is known of one cell, `None` for a number that the pack does not have.
    #[must_use]
    pub fn cell(&self, cell: usize) -> Option<Leak> {
        let c = self.cells.get(cell)?;
        let hours = c.hours.max(1.0);
        let slow = (c.ends[0] + c.ends[1]) / (hours * hours);
        let (leak, std) = (c.x[LEAK], sqrt(c.p[LEAK][LEAK] + slow));
        let times = |factor: f32| Estimated { value: factor * leak, std: factor * std };
        Some(Leak {
            current_a: times(self.capacity_ah),
            per_month: times(MONTH_H),
            leaky: c.samples >= SETTLED
                && leak * MONTH_H > self.limits.per_month
                && leak > self.limits.significance * std,
        })
    }

    /// Numbers of the leaky cells.
    pub fn leaky(&self) -> impl Iterator<Item = usize> + '_ {
        (0..N).filter(|k| self.cell(*k).is_some_and(|c| c.leaky))
    }

    /// The leaky cell that leaks most, if there is one.
    fn worst(&self) -> Option<Leaky> {
        let mut worst: Option<Leaky> = None;
        for (cell, number) in (0..N).zip(0_u16..) {
            let Some(leak) = self.cell(cell).filter(|l| l.leaky) else { continue };
            let per_month = leak.per_month.value;
            if worst.is_none_or(|w| per_month > w.per_month) {
                worst = Some(Leaky { cell: number, per_month, limit: self.limits.per_month });
            }
        }
        worst
    }
}

/// A cell that leaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaky {
    /// Its number.
    pub cell: u16,
    /// Share of the capacity that it loses in a month more than the median, and how much it may.
    pub per_month: f32,
    /// See [`Self::per_month`].
    pub limit: f32,
}

/// Looks at a pack whenever it has rested: a [`LeakMonitor`] with the clock and the account of balancing that belong to it.
/// [`crate::bms::Bms`] keeps one.
///
/// A pack has rested after [`RESTED_H`] hours without current, awake or asleep, and is looked at again after
/// [`EVERY_H`] at the earliest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakWatch<const N: usize> {
    monitor: LeakMonitor<N>,
    bled_ah: [f32; N],
    since_h: f32,
    rested_h: f32,
}

stored!(LeakWatch[N] {
    monitor: LeakMonitor<N>,
    bled_ah: [f32; N] => |w| w.bled_ah.iter().all(|q| abs(*q) <= 1e6),
    since_h: f32 => |w| (0.0..=1e4).contains(&w.since_h),
    rested_h: f32 => |w| (0.0..=1e4).contains(&w.rested_h),
});

impl<const N: usize> LeakWatch<N> {
    /// A watch over a pack whose cells have `capacity_ah`.
    ///
    /// # Errors
    /// As [`LeakMonitor::new`].
    pub fn new(capacity_ah: f32, limits: LeakLimits) -> Result<Self, LeakError> {
        let monitor = LeakMonitor::new(capacity_ah, limits)?;
        Ok(Self { monitor, bled_ah: [0.0; N], since_h: 0.0, rested_h: 0.0 })
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// [`LeakError::Limits`].
    pub fn with_limits(mut self, limits: LeakLimits) -> Result<Self, LeakError> {
        limits.check()?;
        self.monitor.limits = limits;
        Ok(self)
    }

    /// Charge in Ah that balancing took from a cell; negative for what it gave.
    pub fn bled(&mut self, cell: usize, charge_ah: f32) {
        if let Some(sum) = self.bled_ah.get_mut(cell) {
            *sum = bound(*sum + finite_or(charge_ah, 0.0), -1e6, 1e6);
        }
    }

    /// Time passes, with a current or at rest; whether the pack is to be looked at now ([`Self::look`]).
    pub fn step(&mut self, resting: bool, dt_s: f32) -> bool {
        let hours = bound(dt_s, 0.0, 1e7) / 3600.0;
        self.since_h = bound(self.since_h + hours, 0.0, 1e4);
        self.rested_h = if resting { bound(self.rested_h + hours, 0.0, 1e4) } else { 0.0 };
        self.rested_h >= RESTED_H && (!self.monitor.started || self.since_h >= EVERY_H)
    }

    /// Takes in what a rested pack is known to be: SOC of the reference cell, and of every cell how far it is from that.
    pub fn look(&mut self, soc: f32, soc_difference: [Estimated; N]) {
        let (hours, bled_charge_ah) = (self.since_h, self.bled_ah);
        self.monitor.add(&LeakSample { hours, soc, soc_difference, bled_charge_ah });
        self.since_h = 0.0;
        self.bled_ah = [0.0; N];
    }

    /// The leaky cell that leaks most, if there is one. Goes through all cells: ask after a look.
    #[must_use]
    pub fn worst(&self) -> Option<Leaky> {
        self.monitor.worst()
    }

    /// What is known of every cell.
    #[must_use]
    pub const fn monitor(&self) -> &LeakMonitor<N> {
        &self.monitor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const N: usize = 24;

    /// Numbers in -1..=1, the same every time.
    struct Scatter(u64);

    impl Scatter {
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        }
    }

    /// Days of a pack with a spread in SOC and capacity; looked at once a day at any SOC. Returns the monitor and the first
    /// day on which each cell was leaky.
    fn watch(
        leak_per_day: f32,
        bled_per_day: f32,
        days: usize,
        seed: u64,
    ) -> (LeakMonitor<N>, [Option<usize>; N]) {
        let mut s = Scatter(seed);
        let start = [(); N].map(|()| 0.02 * s.next());
        let capacity = [(); N].map(|()| 0.04 * s.next());
        let mut monitor = LeakMonitor::<N>::new(5.0, LeakLimits::TYPICAL).unwrap();
        let mut first = [None; N];
        for day in 0..days {
            let soc = 0.55 + 0.4 * s.next();
            let mut sample = LeakSample {
                hours: 24.0,
                soc,
                soc_difference: [Estimated::default(); N],
                bled_charge_ah: [0.0; N],
            };
            for k in 0..N {
                let mut value = start[k] - capacity[k] * (0.9 - soc) + 0.002 * s.next();
                if k == 7 {
                    value -= leak_per_day * day as f32;
                }
                if k == 9 {
                    value -= bled_per_day * day as f32;
                    sample.bled_charge_ah[k] = if day > 0 { 5.0 * bled_per_day } else { 0.0 };
                }
                // Every now and then the estimate of a cell is far off.
                if s.next() > 0.98 {
                    value += 0.05 * s.next();
                }
                sample.soc_difference[k] = Estimated { value, std: 0.002 };
            }
            monitor.add(&sample);
            for k in monitor.leaky() {
                first[k] = first[k].or(Some(day));
            }
        }
        (monitor, first)
    }

    /// A pack that sleeps half of every day and is balanced: the watch finds the rests, and books what was bled.
    #[test]
    fn a_watch_looks_after_rests_and_names_the_worst() {
        let mut watch = LeakWatch::<N>::new(5.0, LeakLimits::TYPICAL).unwrap();
        let mut looks = 0;
        let mut deficit = [0.0_f32; N];
        for half_day in 0..40 {
            for dt_s in [1.0, 4.0 * 3600.0] {
                assert!(!watch.step(false, dt_s), "not while there is a current");
            }
            assert!(!watch.step(true, 3600.0), "an hour is no rest");
            // Bled, not leaked; and two that leak, one of them more.
            watch.bled(5, 5.0 * 0.004);
            for (cell, lost) in [(5, 0.004), (9, 0.002), (11, 0.003)] {
                deficit[cell] += lost;
            }
            if watch.step(true, 7.0 * 3600.0) {
                looks += 1;
                let known = deficit.map(|d| Estimated { value: -d, std: 0.002 });
                watch.look(0.7, known);
            }
            assert!(!watch.step(true, 10.0), "not twice in a rest, {half_day}");
        }
        assert_eq!(looks, 40);
        let worst = watch.worst().unwrap();
        assert_eq!((worst.cell, worst.limit), (11, 0.05));
        // 0.3 points in 12 hours and 11 seconds.
        assert!((worst.per_month - 0.003 * 730.0 / 12.0).abs() < 0.02, "{worst:?}");
        let all: Vec<usize> = watch.monitor().leaky().collect();
        assert_eq!(all, [9, 11]);
        let stricter = LeakLimits { per_month: 0.15, ..LeakLimits::TYPICAL };
        assert_eq!(watch.with_limits(stricter).unwrap().monitor().leaky().collect::<Vec<_>>(), [11]);
        let wrong = LeakLimits { significance: f32::NAN, ..LeakLimits::TYPICAL };
        assert_eq!(watch.with_limits(wrong), Err(LeakError::Limits));
    }

    #[test]
    fn a_leaky_cell_is_found_and_measured() {
        for seed in 1..=20 {
            // 10 % a month.
            let (monitor, first) = watch(0.1 / 30.4, 0.002, 30, seed);
            let found: Vec<usize> = (0..N).filter(|k| first[*k].is_some()).collect();
            assert_eq!(found, [7], "seed {seed}");
            assert!(first[7].unwrap() <= 15, "seed {seed}: {:?} days", first[7]);
            let leak = monitor.cell(7).unwrap();
            assert!((leak.per_month.value - 0.1).abs() < 3.0 * leak.per_month.std.max(0.004), "{leak:?}");
            assert!((leak.current_a.value - 5.0 * 0.1 / 730.0).abs() < 1.2e-4, "{leak:?}");
        }
    }

    #[test]
    fn a_strong_leak_is_found_within_days() {
        // 10 mA of 5 Ah, as soon as there are samples enough.
        let (_, first) = watch(0.048, 0.0, 15, 3);
        assert!(first[7].unwrap() <= usize::from(SETTLED) + 3, "{:?}", first[7]);
    }

    #[test]
    fn spread_in_capacity_and_balancing_raise_no_alarm() {
        for seed in 1..=40 {
            let (monitor, first) = watch(0.0, 0.005, 60, 100 + seed);
            assert!(first.iter().all(Option::is_none), "seed {seed}: {first:?}");
            let inside = (0..N).filter(|k| {
                let l = monitor.cell(*k).unwrap().per_month;
                l.value.abs() < 3.0 * l.std
            });
            assert!(inside.count() >= N - 1);
        }
    }

    #[test]
    fn unknown_cells_are_left_out() {
        let mut monitor = LeakMonitor::<2>::new(5.0, LeakLimits::TYPICAL).unwrap();
        let fresh = monitor.cell(0);
        let unknown = [Estimated { value: 0.1, std: 0.5 }, Estimated { value: f32::NAN, std: 0.001 }];
        monitor.add(&LeakSample { hours: 0.0, soc: 0.5, soc_difference: unknown, bled_charge_ah: [0.0; 2] });
        assert_eq!(monitor.cell(0), fresh);
        assert_eq!(monitor.cell(2), None);
        assert_eq!(LeakMonitor::<2>::new(f32::NAN, LeakLimits::TYPICAL), Err(LeakError::Capacity));
        let limits = LeakLimits { significance: -1.0, ..LeakLimits::TYPICAL };
        assert_eq!(LeakMonitor::<2>::new(5.0, limits), Err(LeakError::Limits));
    }

    proptest! {
        #[test]
        fn any_sample_leaves_sound_numbers(samples in prop::collection::vec(any::<[u32; 8]>(), 1..100)) {
            let mut monitor = LeakMonitor::<2>::new(5.0, LeakLimits::TYPICAL).unwrap();
            for bits in samples {
                let [hours, soc, a, sa, b, sb, ba, bb] = bits.map(f32::from_bits);
                let mild = |x: f32| if bits[1] & 1 == 0 { x % 0.01 } else { x };
                monitor.add(&LeakSample {
                    hours,
                    soc,
                    soc_difference: [
                        Estimated { value: mild(a), std: mild(sa) },
                        Estimated { value: mild(b), std: mild(sb) },
                    ],
                    bled_charge_ah: [ba, bb],
                });
                for k in 0..2 {
                    let leak = monitor.cell(k).unwrap();
                    prop_assert!(leak.current_a.value.is_finite() && leak.current_a.std > 0.0, "{leak:?}");
                    prop_assert!(leak.current_a.std.is_finite());
                }
            }
        }
    }
}
