//! Power profiles as shares of a peak power, positive on discharge, one value a second.

use super::speed::Cycle;
use crate::vehicle::Vehicle;

/// Seconds and share of the peak power of each step of the dynamic stress test, positive on discharge (USABC 1996, 5B).
pub const DST: [(usize, f64); 20] = [
    (16, 0.0),
    (28, 0.125),
    (12, 0.25),
    (8, -0.125),
    (16, 0.0),
    (24, 0.125),
    (12, 0.25),
    (8, -0.125),
    (16, 0.0),
    (24, 0.125),
    (12, 0.25),
    (8, -0.125),
    (16, 0.0),
    (36, 0.125),
    (8, 1.0),
    (24, 0.625),
    (8, -0.25),
    (32, 0.25),
    (8, -0.5),
    (44, 0.0),
];

/// The dynamic stress test, 360 s.
#[must_use]
pub fn dst() -> Vec<f64> {
    DST.iter().flat_map(|(seconds, share)| std::iter::repeat_n(*share, *seconds)).collect()
}

/// The federal urban driving schedule: the UDDS driven by a van without auxiliaries, over its peak power.
///
/// USABC's own table is for its IDSEP van, of which no second-by-second power was at hand; mass and drag of
/// [`Vehicle::VAN`] are assumptions, so that this is like the FUDS, not the table.
#[must_use]
pub fn fuds() -> Vec<f64> {
    // Warm: no power for the cabin.
    let powers = Vehicle::VAN.powers_w(&Cycle::Udds.speeds_m_per_s(), Vehicle::COMFORT_C);
    let peak = powers.iter().copied().fold(0.0, f64::max);
    powers.iter().map(|p| p / peak).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stress_test_has_its_published_length_and_mean() {
        let shares = dst();
        assert_eq!(shares.len(), 360);
        let mean = shares.iter().sum::<f64>() / 360.0;
        // 112 s at 12.5 %, 68 s at 25 %, 8 at 100, 24 at 62.5, less 24 at 12.5, 8 at 25 and 8 at 50.
        let by_hand = (112.0 * 0.125 + 68.0 * 0.25 + 8.0 + 15.0 - 3.0 - 2.0 - 4.0) / 360.0;
        assert!((mean - by_hand).abs() < 1e-12, "{mean} {by_hand}");
    }

    #[test]
    fn the_urban_schedule_peaks_at_one_and_brakes() {
        let shares = fuds();
        assert_eq!(shares.len(), 1369);
        assert!(shares.contains(&1.0) && shares.iter().any(|s| *s < -0.2));
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        // USABC: 79 W/kg peak and about 10 W/kg mean.
        assert!((0.08..0.2).contains(&mean), "{mean}");
    }
}
