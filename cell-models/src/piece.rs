//! The pieces of tables between grid points, kept from one look-up to the next: few steps leave a piece, so few search.

use crate::table::{Table1, Table2};

/// A straight piece of a [`Table1`], right for `lo <= x < hi`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    lo: f64,
    hi: f64,
    x: f64,
    y: f64,
    slope: f64,
}

impl Line {
    /// Holds nowhere.
    pub(crate) const NONE: Self =
        Self { lo: f64::INFINITY, hi: f64::NEG_INFINITY, x: 0.0, y: 0.0, slope: 0.0 };

    /// Value at `x`; takes over the right piece of `table` first if it is another one.
    #[inline(always)]
    pub(crate) fn follow(&mut self, table: &Table1, x: f64) -> f64 {
        // Half open, so that the piece depends on x alone and not on where x came from.
        if !(self.lo <= x && x < self.hi) {
            *self = Self::find(table, x);
        }
        self.y + (x - self.x) * self.slope
    }

    #[cold]
    fn find(table: &Table1, x: f64) -> Self {
        let [lo, hi] = piece(&table.x, x);
        let [a, b] = corners(lo, hi);
        let y = table.at(a);
        Self { lo, hi, x: a, y, slope: slope(y, table.at(b), b - a) }
    }
}

/// A bilinear piece of up to `N` instances of [`Table2`] at once: the range of rows and columns in which none of them
/// has a grid line, so that one check serves all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patch<const N: usize> {
    rows: [f64; 2],
    cols: [f64; 2],
    row: f64,
    col: f64,
    /// Value, slope along the columns, slope along the rows and mixed slope, at (`row`, `col`).
    terms: [[f64; 4]; N],
}

impl<const N: usize> Patch<N> {
    /// Holds nowhere.
    pub(crate) const NONE: Self = Self {
        rows: [f64::INFINITY, f64::NEG_INFINITY],
        cols: [f64::INFINITY, f64::NEG_INFINITY],
        row: 0.0,
        col: 0.0,
        terms: [[0.0; 4]; N],
    };

    /// Takes over the right piece for (`row`, `col`) if it is another one. Further tables than `N` are left out.
    #[inline(always)]
    pub(crate) fn follow<'a, T>(&mut self, tables: impl Fn() -> T, row: f64, col: f64)
    where
        T: Iterator<Item = &'a Table2>,
    {
        let inside = |[lo, hi]: [f64; 2], x: f64| lo <= x && x < hi;
        if !(inside(self.rows, row) && inside(self.cols, col)) {
            *self = Self::find(tables, row, col);
        }
    }

    #[cold]
    fn find<'a, T>(tables: impl Fn() -> T, row: f64, col: f64) -> Self
    where
        T: Iterator<Item = &'a Table2>,
    {
        let narrow = |[lo, hi]: [f64; 2], [a, b]: [f64; 2]| [a.max(lo), b.min(hi)];
        let all = [f64::NEG_INFINITY, f64::INFINITY];
        let rows = tables().fold(all, |range, t| narrow(range, piece(&t.rows, row)));
        let cols = tables().fold(all, |range, t| narrow(range, piece(&t.cols, col)));
        let ([r0, r1], [c0, c1]) = (corners(rows[0], rows[1]), corners(cols[0], cols[1]));
        let mut patch = Self { rows, cols, row: r0, col: c0, terms: [[0.0; 4]; N] };
        for (terms, t) in patch.terms.iter_mut().zip(tables()) {
            let [v00, v01, v10, v11] = [t.at(r0, c0), t.at(r0, c1), t.at(r1, c0), t.at(r1, c1)];
            let (along0, along1) = (slope(v00, v01, c1 - c0), slope(v10, v11, c1 - c0));
            *terms = [v00, along0, slope(v00, v10, r1 - r0), slope(along0, along1, r1 - r0)];
        }
        patch
    }

    /// Value of table `n` at (`row`, `col`), which the piece must hold.
    #[inline(always)]
    pub(crate) fn at(&self, n: usize, row: f64, col: f64) -> f64 {
        let [value, along_col, along_row, mixed] = self.terms[n];
        let d = col - self.col;
        (value + d * along_col) + (row - self.row) * (along_row + d * mixed)
    }
}

/// The range `lo <= x < hi` without a grid point; infinite beyond the edges. A NaN counts as below the grid.
fn piece(grid: &[f64], x: f64) -> [f64; 2] {
    let hi = grid.partition_point(|&g| g <= x);
    let lo = if hi == 0 { f64::NEG_INFINITY } else { grid[hi - 1] };
    [lo, grid.get(hi).copied().unwrap_or(f64::INFINITY)]
}

/// Two points that give the straight line of a piece; twice the same beyond the edges, where the value is constant.
fn corners(lo: f64, hi: f64) -> [f64; 2] {
    match (lo.is_finite(), hi.is_finite()) {
        (true, true) => [lo, hi],
        (true, false) => [lo, lo],
        (false, true) => [hi, hi],
        (false, false) => [0.0, 0.0],
    }
}

/// 0 where there is no slope to speak of: beyond the edges, and over a span at the limit of the number format.
fn slope(from: f64, to: f64, span: f64) -> f64 {
    let slope = (to - from) / span;
    if slope.is_finite() { slope } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_say_what_the_tables_say() {
        let line_table = Table1::new(vec![0.0, 0.1, 0.4, 1.0], vec![3.0, 3.3, 3.2, 4.2]).unwrap();
        let tables = [
            Table2::new(vec![0.0, 10.0], vec![0.0, 1.0], vec![1.0, 2.0, 3.0, 6.0]).unwrap(),
            Table2::new(vec![-5.0, 5.0, 20.0], vec![0.3], vec![1.0, 2.0, 7.0]).unwrap(),
            Table2::constant(4.0).unwrap(),
        ];
        let (mut line, mut patch) = (Line::NONE, Patch::<4>::NONE);
        for k in 0..400 {
            let (row, col) = (f64::from(k * 37 % 400) * 0.1 - 10.0, f64::from(k * 113 % 400) * 0.005 - 0.5);
            assert!((line.follow(&line_table, col) - line_table.at(col)).abs() < 1e-14);
            patch.follow(|| tables.iter(), row, col);
            for (n, t) in tables.iter().enumerate() {
                assert!((patch.at(n, row, col) - t.at(row, col)).abs() < 1e-13, "table {n} at {row}, {col}");
            }
        }
    }
}
