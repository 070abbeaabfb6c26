//! Material functions: a number, a formula or a table.

use std::sync::Arc;

use super::expression::Expression;
use crate::error::ParameterError;
use crate::table::Table1;

/// A property over one variable `x` (stoichiometry, or concentration in mol/m3) and the temperature `T` in K.
///
/// Functions are evaluated when a cell is built, never while it runs: the plant works on tables of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// The same everywhere.
    Constant(f64),
    /// A formula in `x`, and in `T` where the law of temperature is not Arrhenius'.
    Expression(Arc<Expression>),
    /// Piecewise linear, constant beyond its edges.
    Table(Arc<Table1>),
}

impl Function {
    /// Reads a formula such as `"0.0428 * tanh(18.5 * (x - 0.55)) + exp(-x ** 2)"`; see [`Expression`].
    ///
    /// # Errors
    /// When the text is no formula; the message says where.
    pub fn expression(text: &str) -> Result<Self, ParameterError> {
        Expression::parse(text).map(|e| Self::Expression(Arc::new(e)))
    }

    /// A table of `y` over ascending `x`.
    ///
    /// # Errors
    /// As [`Table1::new`].
    pub fn table(x: Vec<f64>, y: Vec<f64>) -> Result<Self, ParameterError> {
        Table1::new(x, y).map(|t| Self::Table(Arc::new(t)))
    }

    /// The value at `x` and `t_kelvin`. Not a number where a formula has none (a logarithm of a negative number).
    pub fn at(&self, x: f64, t_kelvin: f64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Expression(e) => e.at(x, t_kelvin),
            Self::Table(t) => t.at(x),
        }
    }

    /// Whether the temperature appears in it.
    pub fn depends_on_temperature(&self) -> bool {
        matches!(self, Self::Expression(e) if e.uses_temperature())
    }
}

impl From<f64> for Function {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

/// A property with Arrhenius' law: `f(x, T) exp(E / R (1/T_ref - 1/T))`.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrhenius {
    /// The property at the reference temperature.
    pub at_reference: Function,
    /// Activation energy `E` in J/mol; above 0 where the property grows with temperature.
    pub activation_j_per_mol: f64,
}

impl Arrhenius {
    /// `at_reference` with the activation energy in J/mol.
    pub fn new(at_reference: impl Into<Function>, activation_j_per_mol: f64) -> Self {
        Self { at_reference: at_reference.into(), activation_j_per_mol }
    }
}
