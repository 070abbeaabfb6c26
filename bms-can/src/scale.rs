//! Numbers with units to raw values of a signal and back; the constants come from the DBC files.

/// What the quotient of two numbers may lack in single precision (a share): 370 A stay 3700 steps of 0.1 A.
const LOST: f32 = 3e-7;

fn floor(steps: f32) -> i32 {
    let cut = steps as i32;
    if cut as f32 > steps { cut.saturating_sub(1) } else { cut }
}

/// How a signal's raw value is read: `value = raw * factor + offset`, between two ends.
///
/// ```
/// use bms_can::scale::bms::STATE_ESTIMATE_SOC as SOC; // 0.1 %, 0..=100 %, 1023 is unknown
///
/// assert_eq!(SOC.raw(55.04), 550);
/// assert_eq!(SOC.raw(140.0), 1000); // the nearest end
/// assert_eq!((SOC.raw_down(55.08), SOC.raw_up(55.01)), (550, 551));
/// assert_eq!(SOC.raw(f32::NAN), 1023);
/// assert_eq!(SOC.value(550), Some(55.0));
/// assert_eq!(SOC.value(1023), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Size of one step.
    pub factor: f32,
    /// Value of the raw value 0.
    pub offset: f32,
    /// Smallest raw value.
    pub min: i32,
    /// Largest raw value.
    pub max: i32,
    /// Raw value of what is unknown; without it a NaN becomes the smallest.
    pub unknown: Option<i32>,
}

impl Scale {
    /// The raw value nearest to a number.
    #[must_use]
    pub fn raw(&self, value: f32) -> i32 {
        // A cast cuts off, and keeps to the ends of its type.
        self.rounded(value, |steps| (steps + if steps < 0.0 { -0.5 } else { 0.5 }) as i32)
    }

    /// The largest raw value that is not above a number: for upper limits.
    #[must_use]
    pub fn raw_down(&self, value: f32) -> i32 {
        self.rounded(value, |steps| floor(steps + LOST * steps.abs()))
    }

    /// The smallest raw value that is not below a number: for lower limits.
    #[must_use]
    pub fn raw_up(&self, value: f32) -> i32 {
        self.rounded(value, |steps| floor(LOST * steps.abs() - steps).saturating_neg())
    }

    fn rounded(&self, value: f32, round: impl Fn(f32) -> i32) -> i32 {
        if value.is_nan() {
            return self.unknown.unwrap_or(self.min);
        }
        // Far beyond all ranges, and so that an infinity does not become a NaN.
        let steps = ((value - self.offset) / self.factor).clamp(-1e12, 1e12);
        round(steps).max(self.min).min(self.max)
    }

    /// The raw value of a code, cell number or count; unknown where it is out of range.
    #[must_use]
    pub fn code(&self, code: u16) -> i32 {
        let code = i32::from(code);
        if code < self.min || code > self.max { self.unknown.unwrap_or(self.max) } else { code }
    }

    /// The number that a raw value stands for; none where it is unknown or not in use.
    #[must_use]
    pub fn value(&self, raw: i32) -> Option<f32> {
        let known = Some(raw) != self.unknown && raw >= self.min && raw <= self.max;
        known.then_some(raw as f32 * self.factor + self.offset)
    }
}

/// Scales of the signals in `bms.dbc`, named after message and signal.
pub mod bms {
    use super::Scale;
    include!(concat!(env!("OUT_DIR"), "/bms_scales.rs"));
}

/// Scales of the signals in `inverter.dbc`, named after message and signal.
pub mod inverter {
    use super::Scale;
    include!(concat!(env!("OUT_DIR"), "/inverter_scales.rs"));
}
