//! Values that a scenario writes in a way of its own: times with a unit, ambient temperatures that change.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time in s, written with its unit: `"90s"`, `"20min"`, `"1.5h"`, `"2d"`.
///
/// ```
/// use bms_sim::scenario::Seconds;
///
/// assert_eq!("20min".parse::<Seconds>().unwrap().0, 1200.0);
/// assert!("20".parse::<Seconds>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 86_400.0;

impl std::str::FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no time: give a number with its unit, as in 90s, 20min, 1.5h, 2d");
        let units = [("min", MINUTE_S), ("d", DAY_S), ("h", HOUR_S), ("s", 1.0)];
        let (number, unit_s) =
            units.iter().find_map(|(u, s)| Some((text.trim().strip_suffix(u)?, *s))).ok_or_else(wrong)?;
        let value: f64 = number.trim().parse().map_err(|_| wrong())?;
        if !value.is_finite() {
            return Err(wrong());
        }
        if value < 0.0 {
            return Err(format!("`{text}`: a time cannot be negative"));
        }
        Ok(Self(value * unit_s))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}s", self.0))
    }
}

/// Temperature of the surroundings in degC: a number, or `[first, last]` for a straight change over the phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a temperature in degC or [first, last]")]
pub enum Ambient {
    /// The same all the time.
    Constant(f64),
    /// From the first at the start of the phase to the last at its end.
    Ramp([f64; 2]),
}

impl Ambient {
    /// The temperature in degC after a share 0..1 of the phase.
    #[must_use]
    pub fn at(self, share: f64) -> f64 {
        match self {
            Self::Constant(t) => t,
            Self::Ramp([first, last]) => first + (last - first) * share.clamp(0.0, 1.0),
        }
    }

    /// All temperatures that are written.
    pub(super) fn values(self) -> impl Iterator<Item = f64> {
        let ends = match self {
            Self::Constant(t) => [t, t],
            Self::Ramp(ends) => ends,
        };
        ends.into_iter()
    }
}
