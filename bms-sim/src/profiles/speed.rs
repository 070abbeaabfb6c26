//! Speed traces of regulations.

/// A driving cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycle {
    /// CLTC-P, as far as it could be had; see [`crate::profiles`].
    CltcP,
    /// WLTC class 3b.
    Wltc3,
    /// US06.
    Us06,
    /// UDDS.
    Udds,
}

impl Cycle {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::CltcP, Self::Wltc3, Self::Us06, Self::Udds];

    /// Its name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CltcP => "CLTC",
            Self::Wltc3 => "WLTC",
            Self::Us06 => "US06",
            Self::Udds => "UDDS",
        }
    }

    /// Speed in m/s, one value a second, from standstill to standstill.
    ///
    /// ```
    /// use bms_sim::profiles::speed::Cycle;
    ///
    /// let metres: f64 = Cycle::Wltc3.speeds_m_per_s().iter().sum();
    /// assert!((metres / 1000.0 - 23.27).abs() < 0.01);
    /// ```
    #[must_use]
    pub fn speeds_m_per_s(self) -> Vec<f64> {
        let text = match self {
            Self::CltcP => include_str!("../../../data/profiles/cltc_p.csv"),
            Self::Wltc3 => include_str!("../../../data/profiles/wltc_3.csv"),
            Self::Us06 => include_str!("../../../data/profiles/us06.csv"),
            Self::Udds => include_str!("../../../data/profiles/udds.csv"),
        };
        // The first line is the heading.
        text.lines().filter_map(|line| line.parse::<f64>().ok()).map(|kmh| kmh / 3.6).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length, distance and top speed as published: dieselnet.com for CLTC-P, FTP-72 and US06, UN GTR 15 for the WLTC.
    #[test]
    fn traces_have_their_published_totals() {
        for (cycle, seconds, km, max_kmh) in [
            (Cycle::CltcP, 1800, 14.48, 114.0),
            (Cycle::Wltc3, 1800, 23.27, 131.3),
            // 8.01 and 7.45 miles.
            (Cycle::Us06, 600, 12.89, 129.2),
            (Cycle::Udds, 1369, 11.99, 91.25),
        ] {
            let speeds = cycle.speeds_m_per_s();
            let (name, distance) = (cycle.name(), speeds.iter().sum::<f64>() / 1000.0);
            assert_eq!(speeds.len(), seconds + 1, "{name}");
            assert!((distance - km).abs() < 0.006, "{name}: {distance} km");
            let top = 3.6 * speeds.iter().copied().fold(0.0, f64::max);
            assert!((top - max_kmh).abs() < 0.05, "{name}: {top} km/h");
            assert!(speeds.first() == Some(&0.0) && speeds.last() == Some(&0.0), "{name}");
            let hardest = speeds.windows(2).map(|v| (v[1] - v[0]).abs()).fold(0.0, f64::max);
            assert!(hardest < 4.0, "{name}: {hardest} m/s2");
        }
    }

    #[test]
    fn the_parts_of_the_chinese_cycle_have_their_published_distance_and_top_speed() {
        let speeds = Cycle::CltcP.speeds_m_per_s();
        for (from, to, km, max_kmh) in
            [(0, 675, 2.45, 48.1), (675, 1368, 5.91, 71.2), (1368, 1801, 6.12, 114.0)]
        {
            let part = &speeds[from..to];
            assert!((part.iter().sum::<f64>() / 1000.0 - km).abs() < 0.006);
            assert!((3.6 * part.iter().copied().fold(0.0, f64::max) - max_kmh).abs() < 1e-9);
            assert!(part.first() == Some(&0.0) && part.last() == Some(&0.0));
        }
        let mean_kmh = 3.6 * speeds.iter().sum::<f64>() / 1800.0;
        assert!((mean_kmh - 28.96).abs() < 0.01, "{mean_kmh}");
    }
}
