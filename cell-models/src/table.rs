//! Interpolation tables with clamped edges: a look-up never fails and never extrapolates.

use crate::error::{ParameterError, check};

/// Piecewise linear function of one variable, constant beyond its first and last point.
///
/// ```
/// use cell_models::Table1;
/// let t = Table1::new(vec![0.0, 1.0], vec![3.0, 4.0])?;
/// assert_eq!((t.at(0.25), t.at(7.0)), (3.25, 4.0));
/// # Ok::<(), cell_models::ParameterError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table1 {
    pub(crate) x: Vec<f64>,
    pub(crate) y: Vec<f64>,
}

impl Table1 {
    /// Builds the table from its grid `x` and the values `y` there.
    ///
    /// # Errors
    /// When the grid is empty or does not strictly ascend, the lengths differ or a number is not finite.
    pub fn new(x: Vec<f64>, y: Vec<f64>) -> Result<Self, ParameterError> {
        check_grid("table grid", &x)?;
        check_values(1, x.len(), &y)?;
        Ok(Self { x, y })
    }

    /// The same value everywhere.
    ///
    /// # Errors
    /// When the value is not finite.
    pub fn constant(value: f64) -> Result<Self, ParameterError> {
        Self::new(vec![0.0], vec![value])
    }

    /// Value at `x`; beyond the grid the value at the nearer edge (a NaN counts as below the grid).
    pub fn at(&self, x: f64) -> f64 {
        let (i, j, f) = locate(&self.x, x);
        lerp(self.y[i], self.y[j], f)
    }

    /// The values at the grid points.
    pub fn values(&self) -> &[f64] {
        &self.y
    }

    /// The integral from 0 to `x`.
    pub(crate) fn integral(&self, x: f64) -> f64 {
        let below = |x: f64| {
            let (first, last) = (self.x[0], self.x[self.x.len() - 1]);
            let inside = self.x.windows(2).map(|k| {
                let to = x.clamp(k[0], k[1]);
                0.5 * (self.at(k[0]) + self.at(to)) * (to - k[0])
            });
            let outside = self.y[0] * (x - first).min(0.0) + self.y[self.y.len() - 1] * (x - last).max(0.0);
            inside.sum::<f64>() + outside
        };
        below(x) - below(0.0)
    }
}

/// Bilinear function of two variables, constant beyond its edges.
///
/// In this crate the rows are core temperatures in degC and the columns SOC as a fraction.
#[derive(Debug, Clone, PartialEq)]
pub struct Table2 {
    pub(crate) rows: Vec<f64>,
    pub(crate) cols: Vec<f64>,
    pub(crate) values: Vec<f64>,
}

impl Table2 {
    /// Builds the table from its two grids and the values, row after row.
    ///
    /// # Errors
    /// When a grid is empty or does not strictly ascend, the number of values is not `rows * cols`, or a number is not
    /// finite.
    pub fn new(rows: Vec<f64>, cols: Vec<f64>, values: Vec<f64>) -> Result<Self, ParameterError> {
        check_grid("row grid", &rows)?;
        check_grid("column grid", &cols)?;
        check_values(rows.len(), cols.len(), &values)?;
        Ok(Self { rows, cols, values })
    }

    /// The same value everywhere.
    ///
    /// # Errors
    /// When the value is not finite.
    pub fn constant(value: f64) -> Result<Self, ParameterError> {
        Self::new(vec![0.0], vec![0.0], vec![value])
    }

    /// Value at (`row`, `col`), each clamped to its grid (a NaN counts as below the grid).
    pub fn at(&self, row: f64, col: f64) -> f64 {
        let (i0, i1, fi) = locate(&self.rows, row);
        let (j0, j1, fj) = locate(&self.cols, col);
        let v = |i: usize, j: usize| self.values[i * self.cols.len() + j];
        lerp(lerp(v(i0, j0), v(i0, j1), fj), lerp(v(i1, j0), v(i1, j1), fj), fi)
    }

    /// The value if it is the same everywhere.
    pub(crate) fn everywhere(&self) -> Option<f64> {
        let first = *self.values.first()?;
        self.values.iter().all(|&v| v == first).then_some(first)
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

fn lerp(a: f64, b: f64, f: f64) -> f64 {
    a * (1.0 - f) + b * f
}

/// Neighbours of `x` in the grid and how far (0..1) it lies from the first towards the second.
fn locate(grid: &[f64], x: f64) -> (usize, usize, f64) {
    let hi = grid.partition_point(|&g| g <= x);
    if hi == 0 {
        return (0, 0, 0.0);
    }
    if hi == grid.len() {
        return (hi - 1, hi - 1, 0.0);
    }
    let (a, b) = (grid[hi - 1], grid[hi]);
    // Halved so that the span of even the widest grid stays finite.
    (hi - 1, hi, (0.5 * x - 0.5 * a) / (0.5 * b - 0.5 * a))
}

fn check_grid(name: &'static str, grid: &[f64]) -> Result<(), ParameterError> {
    if grid.is_empty() {
        return Err(ParameterError::Empty(name));
    }
    for &g in grid {
        check(name, g, "finite", |_| true)?;
    }
    match grid.windows(2).position(|w| w[0] >= w[1]) {
        Some(i) => Err(ParameterError::NotAscending { name, index: i + 1 }),
        None => Ok(()),
    }
}

fn check_values(rows: usize, cols: usize, values: &[f64]) -> Result<(), ParameterError> {
    if values.len() != rows * cols {
        return Err(ParameterError::Shape { rows, cols, len: values.len() });
    }
    values.iter().try_for_each(|&v| check("table value", v, "finite", |_| true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_inside_and_clamps_outside() {
        let t = Table2::new(vec![0.0, 10.0], vec![0.0, 1.0], vec![1.0, 2.0, 3.0, 6.0]).unwrap();
        assert_eq!(t.at(0.0, 0.0), 1.0);
        assert_eq!(t.at(5.0, 0.5), 3.0); // mean of the four corners
        assert_eq!(t.at(10.0, 0.5), 4.5);
        assert_eq!(t.at(-99.0, 9.0), 2.0);
        assert_eq!(t.at(f64::INFINITY, f64::NEG_INFINITY), 3.0);
        assert_eq!(t.at(f64::NAN, f64::NAN), 1.0);
        assert_eq!(Table1::new(vec![-f64::MAX, f64::MAX], vec![0.0, 1.0]).unwrap().at(0.0), 0.5);
    }

    #[test]
    fn refuses_bad_tables() {
        use ParameterError as E;
        assert!(matches!(Table1::new(vec![], vec![]), Err(E::Empty(_))));
        assert!(matches!(Table1::new(vec![0.0, 0.0], vec![1.0, 2.0]), Err(E::NotAscending { index: 1, .. })));
        assert!(matches!(Table1::new(vec![0.0], vec![1.0, 2.0]), Err(E::Shape { len: 2, .. })));
        assert!(matches!(Table1::constant(f64::NAN), Err(E::OutOfRange { .. })));
        assert!(matches!(Table2::new(vec![f64::NAN], vec![0.0], vec![1.0]), Err(E::OutOfRange { .. })));
        let message = Table2::new(vec![0.0], vec![0.0, 1.0], vec![1.0]).unwrap_err().to_string();
        assert_eq!(message, "a table of 1 rows and 2 columns needs 2 values, but got 1");
    }
}
