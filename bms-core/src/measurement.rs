//! What the front end read, each value with its validity.

/// Why a reading may or may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validity {
    /// The value may be used.
    Valid,
    /// No value arrived for this sample.
    #[default]
    Missing,
    /// The value is NaN or infinite.
    NotFinite,
    /// The value is outside what the quantity can be.
    Implausible,
    /// A diagnosis outside this crate rejected it (stuck, open wire, failed check sum).
    Rejected,
}

/// No sensor of a cell or a pack reads more, in any unit; arithmetic on such numbers stays far from overflow.
const LARGEST: f32 = 1e6;

/// One number from a sensor together with its validity; a value that may not be used cannot be read by accident.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    value: f32,
    validity: Validity,
}

impl Reading {
    /// No value arrived.
    pub const MISSING: Self = Self { value: 0.0, validity: Validity::Missing };

    /// A reading that is valid if it is finite, inside `lo..=hi` and at most a million in size.
    #[must_use]
    pub fn within(value: f32, lo: f32, hi: f32) -> Self {
        let validity = if !value.is_finite() {
            Validity::NotFinite
        } else if value < lo || value > hi || value.abs() > LARGEST {
            Validity::Implausible
        } else {
            Validity::Valid
        };
        Self { value, validity }
    }

    /// A reading that a diagnosis rejected.
    #[must_use]
    pub const fn rejected(value: f32) -> Self {
        Self { value, validity: Validity::Rejected }
    }

    /// The value, if it may be used.
    #[must_use]
    pub fn valid(self) -> Option<f32> {
        (self.validity == Validity::Valid).then_some(self.value)
    }

    /// Why it may or may not be used.
    #[must_use]
    pub const fn validity(self) -> Validity {
        self.validity
    }
}

/// Everything one cell estimator needs of one sample.
///
/// ```
/// use bms_core::measurement::{Measurement, Validity};
/// let m = Measurement::new(3.7, -1.0, f32::NAN); // charging with 1 A, temperature sensor lost
/// assert_eq!(m.temperature_c.validity(), Validity::NotFinite);
/// assert_eq!(m.voltage_v.valid(), Some(3.7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measurement {
    /// Terminal voltage of the cell in V, taken at the same instant as `current_a`.
    pub voltage_v: Reading,
    /// Current in A at that instant, positive on discharge.
    pub current_a: Reading,
    /// Mean current in A since the previous sample, positive on discharge, from a front end that integrates; missing
    /// where there is none, and then the mean of the two instantaneous readings is used.
    pub mean_current_a: Reading,
    /// Cell temperature in degC.
    pub temperature_c: Reading,
    /// The contactors are known to be open: no current can flow, and what the current sensor reads is its offset.
    pub contactors_open: bool,
}

impl Measurement {
    /// A sample without a charge reading. Plausible ranges: -1..10 V, +-10 kA, -60..120 degC.
    #[must_use]
    pub fn new(voltage_v: f32, current_a: f32, temperature_c: f32) -> Self {
        Self {
            voltage_v: Reading::within(voltage_v, -1.0, 10.0),
            current_a: Reading::within(current_a, -1e4, 1e4),
            mean_current_a: Reading::MISSING,
            temperature_c: Reading::within(temperature_c, -60.0, 120.0),
            contactors_open: false,
        }
    }

    /// The same sample, taken while the contactors are open.
    #[must_use]
    pub const fn with_contactors_open(mut self, open: bool) -> Self {
        self.contactors_open = open;
        self
    }

    /// The same sample with the mean current since the previous one (A, positive on discharge).
    #[must_use]
    pub fn with_mean_current(mut self, mean_current_a: f32) -> Self {
        self.mean_current_a = Reading::within(mean_current_a, -1e4, 1e4);
        self
    }
}
