//! Formulas in text, as the BPX standard has them.

use crate::error::ParameterError;

/// A formula in `x` and `T`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
}

impl Expression {
    /// Reads a formula.
    ///
    /// # Errors
    /// When the text is no formula; the message says where.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        Ok(Self { text: text.into() })
    }

    /// The formula as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `T` appears in it.
    pub fn uses_temperature(&self) -> bool {
        false
    }

    /// Its value at `x` and `t_kelvin`.
    pub fn at(&self, _x: f64, _t_kelvin: f64) -> f64 {
        f64::NAN
    }
}
