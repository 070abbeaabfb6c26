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

/// Median of the numbers among `values`, to half of `close` if the outermost are less than 10^7 times that apart. Zero if
/// there is none.
pub(crate) fn median<const N: usize>(values: &[f32; N], close: f32) -> f32 {
    let (mut lo, mut hi, mut count) = (f32::MAX, f32::MIN, 0u32);
    for v in values {
        // Both are false for NaN.
        lo = if *v < lo { *v } else { lo };
        hi = if *v > hi { *v } else { hi };
        count += u32::from(!v.is_nan());
    }
    for _ in 0..24 {
        if hi - lo <= close {
            break;
        }
        let middle = 0.5 * (lo + hi);
        let below: u32 = values.iter().map(|v| u32::from(*v < middle)).sum();
        if 2 * below > count {
            hi = middle;
        } else {
            lo = middle;
        }
    }
    0.5 * (lo + hi)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median::<0>(&[], 0.1), 0.0);
        assert_eq!(median(&[f32::NAN, f32::NAN], 0.1), 0.0);
        assert!((median(&[f32::NAN, 5.0, 1.0, 1.2, -900.0, 1.1], 0.001) - 1.1).abs() < 0.002);
    }
}
