//! Numbers of several cells side by side, one per lane, so that one instruction works on all of them.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// One number for each of `W` cells. The loops over lanes are what the compiler turns into vector instructions.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(transparent)]
pub(super) struct Lanes<const W: usize>(pub(super) [f64; W]);

impl<const W: usize> Lanes<W> {
    pub(super) const ZERO: Self = Self([0.0; W]);

    #[inline(always)]
    pub(super) fn splat(value: f64) -> Self {
        Self([value; W])
    }

    /// The value of each lane from its index. A plain loop: `array::from_fn` does not always become part of its caller.
    #[inline(always)]
    pub(super) fn from_fn(f: impl Fn(usize) -> f64) -> Self {
        let mut out = [0.0; W];
        let mut w = 0;
        while w < W {
            out[w] = f(w);
            w += 1;
        }
        Self(out)
    }

    #[inline(always)]
    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self::from_fn(|w| f(self.0[w]))
    }

    #[inline(always)]
    pub(super) fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::from_fn(|w| f(self.0[w], other.0[w]))
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        self.map(f64::sqrt)
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        self.map(f64::abs)
    }

    /// The larger of each lane and `floor`; a NaN gives `floor`.
    #[inline(always)]
    pub(super) fn at_least(self, floor: f64) -> Self {
        self.map(|v| if v > floor { v } else { floor })
    }

    /// Whether `test` holds in any lane. Without an early exit, which would hinder vectorising.
    #[inline(always)]
    pub(super) fn any(self, test: impl Fn(f64) -> bool) -> bool {
        self.0.iter().fold(false, |seen, &v| seen | test(v))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:tt) => {
        impl<const W: usize> $trait for Lanes<W> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, |a, b| a $op b)
            }
        }
        impl<const W: usize> $trait<f64> for Lanes<W> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self {
                self.map(|a| a $op other)
            }
        }
        impl<const W: usize> $trait<Lanes<W>> for f64 {
            type Output = Lanes<W>;
            #[inline(always)]
            fn $method(self, other: Lanes<W>) -> Lanes<W> {
                other.map(|b| self $op b)
            }
        }
    };
}
operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);
operator!(Div, div, /);

impl<const W: usize> Neg for Lanes<W> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}

impl<const W: usize> AddAssign for Lanes<W> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const W: usize> SubAssign for Lanes<W> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
