//! The few scalar functions that the crate needs, all total: no input makes them panic.

/// `exp(-x)` for `x >= 0`, floored so that a factor built from it never underflows to zero.
pub(crate) fn decay(x: f32) -> f32 {
    if x < 6.9 { libm::expf(-x) } else { 1e-3 }
}

/// `x` when it is finite, else `fallback`.
pub(crate) fn finite_or(x: f32, fallback: f32) -> f32 {
    if x.is_finite() { x } else { fallback }
}

/// Clamp that also maps NaN to `lo` (unlike `f32::clamp`, it cannot panic).
pub(crate) fn bound(x: f32, lo: f32, hi: f32) -> f32 {
    if x > hi {
        hi
    } else if x >= lo {
        x
    } else {
        lo
    }
}

/// Absolute value.
pub(crate) fn abs(x: f32) -> f32 {
    libm::fabsf(x)
}

/// Square root of a non-negative number, zero for anything else.
pub(crate) fn sqrt(x: f32) -> f32 {
    if x > 0.0 { libm::sqrtf(x) } else { 0.0 }
}
