//! Parameter tables of one cell type, and the voltage that they predict.
//!
//! Enhanced self-correcting cell model (Plett 2015, "Battery Management Systems, Volume I: Battery Modeling", ch. 2),
//! with a charge-transfer term for cold cells:
//!
//! ```text
//! v = OCV(z, T) + M(z, T) h + e - R0 i - Rct i_ct asinh(i / i_ct) - v1 - v2
//! dz/dt  = -η i / (3600 Q)
//! dvk/dt = -vk / τk + Rk i / τk                              k = 1, 2
//! dh/dt  = -|i| γ / (3600 Q) (h + sign(i))
//! ```
//!
//! | Symbol | Meaning | Unit |
//! |---|---|---|
//! | z | state of charge | 1 |
//! | i | current, positive on discharge | A |
//! | OCV, M | mean of the two open-circuit branches, half their gap | V |
//! | h | hysteresis state, -1 after a long discharge, +1 after a long charge | 1 |
//! | e | slowly varying error of this model (see [`crate::soc`]) | V |
//! | Rct, i_ct | charge-transfer resistance at zero current, current scale of its asinh law (Butler-Volmer) | Ω, A |

use crate::math::{abs, bound, sqrt};
use crate::store::stored;

/// Lowest and highest SOC that the tables are extended to, in a straight line.
pub(crate) const SOC_RANGE: (f32, f32) = (-0.05, 1.05);
/// Range of SOC of the table of the negative electrode.
const NEGATIVE_RANGE: (f32, f32) = (-0.1, 1.1);

/// Tables of one cell type; borrowed, so that they may be `const` in flash or owned by a simulator.
///
/// Two-dimensional tables are row-major: one row per temperature, columns are SOC 0..1 in equal steps. The number of
/// columns is the same for `ocv_v` and `hysteresis_v`, and the same for all resistances and time constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellTables<'a> {
    /// Reference capacity of a new cell in Ah.
    pub capacity_ah: f32,
    /// Charge out over charge in, 0.9..=1.
    pub coulombic_efficiency: f32,
    /// Lower cut-off voltage in V.
    pub v_min: f32,
    /// Upper cut-off voltage in V.
    pub v_max: f32,
    /// Temperatures of the rows in degC, ascending.
    pub temperature_c: &'a [f32],
    /// Mean open-circuit voltage in V, rising with SOC.
    pub ocv_v: &'a [f32],
    /// Half the gap between the open-circuit branches in V.
    pub hysteresis_v: &'a [f32],
    /// Ohmic resistance in ohm.
    pub r0_ohm: &'a [f32],
    /// Charge-transfer resistance at zero current in ohm.
    pub rct_ohm: &'a [f32],
    /// Resistance of the fast RC pair in ohm.
    pub r1_ohm: &'a [f32],
    /// Time constant of the fast RC pair in s.
    pub tau1_s: &'a [f32],
    /// Resistance of the slow RC pair in ohm.
    pub r2_ohm: &'a [f32],
    /// Time constant of the slow RC pair in s.
    pub tau2_s: &'a [f32],
    /// Current scale of the asinh law in A, one per temperature.
    pub i_ct_a: &'a [f32],
    /// Standard deviation of the model's slow voltage error in V (columns as the resistances).
    pub model_error_v: &'a [f32],
    /// Rate of the hysteresis state per full charge throughput.
    pub hysteresis_gamma: f32,
    /// How the open-circuit voltage moves as the cell loses capacity.
    pub ageing: OcvAgeing<'a>,
    /// Potential of the negative electrode against lithium in V over SOC -0.1..=1.1 in equal steps; empty where it was not
    /// measured. Only predictions of power use it.
    pub negative_v: &'a [f32],
}

/// How the open-circuit voltage moves as the cell loses capacity: cells of a life test tell.
///
/// Lost lithium lets the electrodes slide against each other, and the curve over SOC changes its shape (Dubarry,
/// Truchot, Liaw (2012), "Synthesize battery degradation modes via a diagnostic and prognostic model", J. Power
/// Sources 219). How far depends on which electrode limits the cell, which its own curve does not tell: slow tests of
/// aged cells of the same type do. [`OcvAgeing::NONE`] keeps the curve of the new cell at every age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OcvAgeing<'a> {
    /// Shares of the capacity lost, one per row of `shift_v`, ascending from above 0.
    pub fade: &'a [f32],
    /// Open-circuit voltage of the aged cell minus that of the new one in V, both over their own SOC; columns as `ocv_v`.
    pub shift_v: &'a [f32],
}

impl OcvAgeing<'_> {
    /// No ageing of the curve.
    pub const NONE: Self = Self { fade: &[], shift_v: &[] };
}

/// Why a set of tables cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterError {
    /// Capacity is not a positive finite number.
    Capacity,
    /// Coulombic efficiency is outside 0.9..=1.
    CoulombicEfficiency,
    /// The cut-off voltages are not `0 <= v_min < v_max <= 10`.
    VoltageLimits,
    /// No temperature row, or temperatures not ascending.
    Temperatures,
    /// A table has the wrong number of entries; the name of its field follows.
    Shape(&'static str),
    /// A table holds a value that the quantity cannot have; the name of its field follows.
    Value(&'static str),
    /// The open-circuit voltage falls with SOC somewhere.
    OcvNotRising,
    /// The start SOC is not a number in 0..=1.
    InitialSoc,
}

impl core::fmt::Display for ParameterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Capacity => f.write_str("capacity is not a positive number"),
            Self::CoulombicEfficiency => f.write_str("coulombic efficiency is outside 0.9..=1"),
            Self::VoltageLimits => f.write_str("cut-off voltages are not 0 <= v_min < v_max <= 10 V"),
            Self::Temperatures => f.write_str("temperatures are missing or not ascending"),
            Self::Shape(table) => write!(f, "table `{table}` has the wrong number of entries"),
            Self::Value(table) => write!(f, "table `{table}` holds an impossible value"),
            Self::OcvNotRising => f.write_str("table `ocv_v` falls with SOC"),
            Self::InitialSoc => f.write_str("start SOC is not a number in 0..=1"),
        }
    }
}

impl core::error::Error for ParameterError {}

/// A pair of resistor and capacitor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) r_ohm: f32,
    pub(crate) tau_s: f32,
}

/// Place of a temperature and an SOC in the circuit's tables.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    row: Position,
    column: Position,
}

/// Row of a table and how far towards the next one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Position {
    index: usize,
    fraction: f32,
}

/// The equivalent circuit's parameters at one temperature and SOC.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CircuitPoint {
    /// Ohmic resistance in ohm.
    pub r0_ohm: f32,
    /// Charge-transfer resistance at zero current in ohm.
    pub rct_ohm: f32,
    /// Current scale of the asinh law in A.
    pub i_ct_a: f32,
    /// Resistance of the fast pair in ohm.
    pub r1_ohm: f32,
    /// Time constant of the fast pair in s.
    pub tau1_s: f32,
    /// Resistance of the slow pair in ohm.
    pub r2_ohm: f32,
    /// Time constant of the slow pair in s.
    pub tau2_s: f32,
    /// Standard deviation of the model's slow error in V.
    pub model_error_v: f32,
}

impl CircuitPoint {
    /// Voltage drop in V that follows the current without delay, and its slope in ohm.
    #[must_use]
    pub fn instant_drop(&self, current_a: f32) -> (f32, f32) {
        Instant { r0_ohm: self.r0_ohm, rct_ohm: self.rct_ohm, i_ct_a: self.i_ct_a }.drop(current_a)
    }
}

/// The part of a [`CircuitPoint`] that follows the current without delay.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Instant {
    pub(crate) r0_ohm: f32,
    pub(crate) rct_ohm: f32,
    i_ct_a: f32,
}

impl Instant {
    /// See [`CircuitPoint::instant_drop`].
    pub(crate) fn drop(&self, current_a: f32) -> (f32, f32) {
        let mut drop = self.r0_ohm * current_a;
        let mut slope = self.r0_ohm;
        if self.rct_ohm > 0.0 {
            let x = current_a / self.i_ct_a;
            let size = abs(x);
            let root = sqrt(1.0 + x * x);
            // asinh, with the root that the slope needs, too.
            let asinh = libm::log1pf(size + size * (size / (1.0 + root)));
            drop += self.rct_ohm * self.i_ct_a * libm::copysignf(asinh, x);
            slope += self.rct_ohm / root;
        }
        (drop, slope)
    }
}

/// Open-circuit voltage at one temperature and SOC.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OcvPoint {
    /// Mean of the branches in V.
    pub ocv_v: f32,
    /// Half the gap between them in V.
    pub hysteresis_v: f32,
}

/// Place of a cell between the rows of [`OcvAgeing`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Age {
    row: u32,
    /// Weight of the row before `row`.
    before: f32,
    /// Weight of `row`.
    at: f32,
}

stored!(Age {
    row: u32,
    before: f32 => |a| (0.0..=1.0).contains(&a.before),
    at: f32 => |a| (0.0..=2.0).contains(&a.at),
});

impl Age {
    /// A new cell.
    pub const NEW: Self = Self { row: 0, before: 0.0, at: 0.0 };
}

/// Checked [`CellTables`], ready for look-ups that cannot fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellModel<'a> {
    tables: CellTables<'a>,
    ocv_columns: usize,
    circuit_columns: usize,
}

impl<'a> CellModel<'a> {
    /// Checks shapes and values.
    ///
    /// # Errors
    /// [`ParameterError`] names the first table that cannot be used.
    pub fn new(tables: CellTables<'a>) -> Result<Self, ParameterError> {
        let t = &tables;
        if !(t.capacity_ah.is_finite() && t.capacity_ah > 0.0) {
            return Err(ParameterError::Capacity);
        }
        if !(0.9..=1.0).contains(&t.coulombic_efficiency) {
            return Err(ParameterError::CoulombicEfficiency);
        }
        if !(t.v_min >= 0.0 && t.v_min < t.v_max && t.v_max <= 10.0) {
            return Err(ParameterError::VoltageLimits);
        }
        let rows = t.temperature_c.len();
        let ascending = t.temperature_c.iter().zip(t.temperature_c.iter().skip(1)).all(|(a, b)| a < b);
        if rows == 0 || !ascending || !t.temperature_c.iter().all(|x| (-80.0..=150.0).contains(x)) {
            return Err(ParameterError::Temperatures);
        }
        let columns = |name, table: &[f32]| match table.len().checked_div(rows) {
            Some(n) if n >= 2 && n.checked_mul(rows) == Some(table.len()) => Ok(n),
            _ => Err(ParameterError::Shape(name)),
        };
        let ocv_columns = columns("ocv_v", t.ocv_v)?;
        let circuit_columns = columns("r0_ohm", t.r0_ohm)?;
        let check = |name, table: &[f32], n: usize, lo: f32, hi: f32| {
            if Some(table.len()) != n.checked_mul(rows) {
                Err(ParameterError::Shape(name))
            } else if !table.iter().all(|x| (lo..=hi).contains(x)) {
                Err(ParameterError::Value(name))
            } else {
                Ok(())
            }
        };
        check("ocv_v", t.ocv_v, ocv_columns, 0.0, 10.0)?;
        check("hysteresis_v", t.hysteresis_v, ocv_columns, 0.0, 1.0)?;
        check("r0_ohm", t.r0_ohm, circuit_columns, 0.0, 100.0)?;
        check("rct_ohm", t.rct_ohm, circuit_columns, 0.0, 100.0)?;
        check("r1_ohm", t.r1_ohm, circuit_columns, 0.0, 100.0)?;
        check("tau1_s", t.tau1_s, circuit_columns, 0.01, 1e5)?;
        check("r2_ohm", t.r2_ohm, circuit_columns, 0.0, 100.0)?;
        check("tau2_s", t.tau2_s, circuit_columns, 0.01, 1e6)?;
        check("i_ct_a", t.i_ct_a, 1, 1e-4, 1e6)?;
        check("model_error_v", t.model_error_v, circuit_columns, 1e-5, 1.0)?;
        if !(0.0..=1e5).contains(&t.hysteresis_gamma) {
            return Err(ParameterError::Value("hysteresis_gamma"));
        }
        let OcvAgeing { fade, shift_v } = t.ageing;
        if fade.len().checked_mul(ocv_columns) != Some(shift_v.len()) {
            return Err(ParameterError::Shape("ageing"));
        }
        if t.negative_v.len() == 1 {
            return Err(ParameterError::Shape("negative_v"));
        }
        if !t.negative_v.iter().all(|v| (-1.0..=5.0).contains(v)) {
            return Err(ParameterError::Value("negative_v"));
        }
        let in_order = fade.iter().zip(fade.iter().skip(1)).all(|(a, b)| a < b);
        let possible = fade.iter().all(|f| (0.001..=0.9).contains(f))
            && shift_v.iter().all(|v| (-1.0..=1.0).contains(v));
        if !(in_order && possible) {
            return Err(ParameterError::Value("ageing"));
        }
        let rising = |row: &[f32]| row.iter().zip(row.iter().skip(1)).all(|(a, b)| a <= b);
        if !t.ocv_v.chunks(ocv_columns).all(rising) {
            return Err(ParameterError::OcvNotRising);
        }
        Ok(Self { tables, ocv_columns, circuit_columns })
    }

    /// The tables.
    #[must_use]
    pub const fn tables(&self) -> &CellTables<'a> {
        &self.tables
    }

    fn row(&self, temperature_c: f32) -> Position {
        let t = self.tables.temperature_c;
        let mut index = 0;
        while let (Some(_), Some(&upper)) = (t.get(index + 2), t.get(index + 1)) {
            if temperature_c < upper {
                break;
            }
            index += 1;
        }
        match (t.get(index), t.get(index + 1)) {
            (Some(&lo), Some(&hi)) => {
                Position { index, fraction: bound((temperature_c - lo) / (hi - lo), 0.0, 1.0) }
            }
            _ => Position { index, fraction: 0.0 },
        }
    }

    /// Column below `soc`; the fraction leaves 0..1 outside the table, which continues its last step in a straight line.
    fn column(soc: f32, columns: usize) -> Position {
        let last = columns.saturating_sub(2);
        let x = bound(soc, SOC_RANGE.0, SOC_RANGE.1) * columns.saturating_sub(1) as f32;
        let index = (bound(x, 0.0, last as f32) as usize).min(last);
        Position { index, fraction: x - index as f32 }
    }

    #[inline]
    fn bilinear(table: &[f32], columns: usize, row: Position, column: Position) -> f32 {
        let between = |here: &[f32]| {
            let [lo, hi] = match here.first_chunk() {
                Some(pair) => *pair,
                None => [here.first().copied().unwrap_or(0.0); 2],
            };
            lo + (hi - lo) * column.fraction
        };
        // Within the table by construction; `get` would notice if not.
        let start = row.index.wrapping_mul(columns).wrapping_add(column.index);
        let from = table.get(start..).unwrap_or(&[]);
        let lower = between(from);
        if row.fraction == 0.0 {
            return lower;
        }
        let upper = between(from.get(columns..).unwrap_or(&[]));
        lower + (upper - lower) * row.fraction
    }

    fn per_temperature(table: &[f32], row: Position) -> f32 {
        Self::bilinear(table, 1, row, Position::default())
    }

    /// Place of a cell in the ageing tables that has lost a share `fade` of its capacity (0 for a new one).
    ///
    /// Between the rows linear; beyond the last one the shift grows on in proportion, up to twice its size.
    #[must_use]
    pub fn age(&self, fade: f32) -> Age {
        let rows = self.tables.ageing.fade;
        let row = rows.iter().position(|f| *f >= fade).unwrap_or(rows.len().saturating_sub(1));
        let before = row.checked_sub(1).and_then(|k| rows.get(k)).copied().unwrap_or(0.0);
        match rows.get(row) {
            Some(&at) if fade > at => Age { row: row as u32, before: 0.0, at: bound(fade / at, 1.0, 2.0) },
            Some(&at) if fade > 0.0 => {
                let share = (fade - before) / (at - before);
                Age { row: row as u32, before: 1.0 - share, at: share }
            }
            _ => Age::NEW,
        }
    }

    fn mean_ocv_v(&self, row: Position, soc: f32, age: &Age) -> f32 {
        let column = Self::column(soc, self.ocv_columns);
        let new = Self::bilinear(self.tables.ocv_v, self.ocv_columns, row, column);
        if age.at == 0.0 {
            return new;
        }
        let inside = Position { fraction: bound(column.fraction, 0.0, 1.0), ..column };
        let shift = |index| {
            Self::bilinear(
                self.tables.ageing.shift_v,
                self.ocv_columns,
                Position { index, fraction: 0.0 },
                inside,
            )
        };
        let row = age.row as usize;
        let before = row.checked_sub(1).map_or(0.0, |k| age.before * shift(k));
        new + before + age.at * shift(row)
    }

    /// Open-circuit voltage and hysteresis at a temperature in degC and an SOC (fraction) at an age
    /// ([`Self::age`]). Outside the temperature range the nearest row holds; SOC is limited to -0.05..=1.05.
    #[must_use]
    #[inline(always)] // Who wants the voltage alone does not look up the hysteresis.
    pub fn ocv(&self, temperature_c: f32, soc: f32, age: &Age) -> OcvPoint {
        let row = self.row(temperature_c);
        OcvPoint { ocv_v: self.mean_ocv_v(row, soc, age), hysteresis_v: self.hysteresis_v(row, soc) }
    }

    fn hysteresis_v(&self, row: Position, soc: f32) -> f32 {
        let column = Self::column(soc, self.ocv_columns);
        let clamped = Position { fraction: bound(column.fraction, 0.0, 1.0), ..column };
        Self::bilinear(self.tables.hysteresis_v, self.ocv_columns, row, clamped)
    }

    /// The same with the particles' surfaces ahead of their mean: `shift` is what the positive and the negative electrode's
    /// have lost, in SOC. Without a table of the negative electrode the positive one's shift counts alone.
    pub(crate) fn surface_ocv(&self, temperature_c: f32, soc: f32, age: &Age, shift: [f32; 2]) -> OcvPoint {
        self.surface_ocv_in(self.row(temperature_c), soc, age, shift)
    }

    fn surface_ocv_in(&self, row: Position, soc: f32, age: &Age, shift: [f32; 2]) -> OcvPoint {
        let [positive, negative] = shift.map(|s| soc - s);
        let mean_v = self.mean_ocv_v(row, positive, age);
        let ahead_v = if self.tables.negative_v.is_empty() {
            mean_v
        } else {
            mean_v + self.negative_v(positive) - self.negative_v(negative)
        };
        OcvPoint { ocv_v: ahead_v, hysteresis_v: self.hysteresis_v(row, soc) }
    }

    /// Place in the circuit's tables, and [`Self::surface_ocv`] there.
    pub(crate) fn place_and_ocv(
        &self,
        temperature_c: f32,
        soc: f32,
        age: &Age,
        shift: [f32; 2],
    ) -> (Place, OcvPoint) {
        let place = self.place(temperature_c, soc);
        (place, self.surface_ocv_in(place.row, soc, age, shift))
    }

    fn place(&self, temperature_c: f32, soc: f32) -> Place {
        Place {
            row: self.row(temperature_c),
            column: Self::column(bound(soc, 0.0, 1.0), self.circuit_columns),
        }
    }

    fn circuit_table(&self, table: &[f32], place: &Place) -> f32 {
        Self::bilinear(table, self.circuit_columns, place.row, place.column)
    }

    /// The part of [`Self::circuit`] that follows the current without delay.
    pub(crate) fn instant(&self, place: &Place) -> Instant {
        let t = &self.tables;
        Instant {
            r0_ohm: self.circuit_table(t.r0_ohm, place),
            rct_ohm: self.circuit_table(t.rct_ohm, place),
            i_ct_a: Self::per_temperature(t.i_ct_a, place.row),
        }
    }

    /// The fast and the slow pair of [`Self::circuit`].
    pub(crate) fn pairs(&self, place: &Place) -> [Pair; 2] {
        let t = &self.tables;
        [(t.r1_ohm, t.tau1_s), (t.r2_ohm, t.tau2_s)].map(|(r, tau)| Pair {
            r_ohm: self.circuit_table(r, place),
            tau_s: self.circuit_table(tau, place),
        })
    }

    /// Potential of the negative electrode in V, straight on beyond its table; zero without one.
    fn negative_v(&self, soc: f32) -> f32 {
        let table = self.tables.negative_v;
        let (lo, hi) = NEGATIVE_RANGE;
        let last = table.len().saturating_sub(2);
        let x = (bound(soc, -0.3, 1.3) - lo) / (hi - lo) * table.len().saturating_sub(1) as f32;
        let index = (bound(x, 0.0, last as f32) as usize).min(last);
        let column = Position { index, fraction: x - index as f32 };
        Self::bilinear(table, table.len(), Position::default(), column)
    }

    /// Mean slope of the open-circuit voltage in V per unit of SOC over `soc - half_width ..= soc + half_width`.
    ///
    /// Over a width that matches the uncertainty of `soc`, this is the statistically linearised slope: it sees a knee
    /// that the uncertainty reaches.
    #[must_use]
    pub fn ocv_slope(&self, temperature_c: f32, soc: f32, half_width: f32, age: &Age) -> f32 {
        let row = self.row(temperature_c);
        let lo = bound(soc - half_width, SOC_RANGE.0, SOC_RANGE.1);
        let hi = bound(soc + half_width, SOC_RANGE.0, SOC_RANGE.1);
        if hi - lo < 1e-4 {
            return 0.0;
        }
        (self.mean_ocv_v(row, hi, age) - self.mean_ocv_v(row, lo, age)) / (hi - lo)
    }

    /// Equivalent-circuit parameters at a temperature in degC and an SOC (fraction), clamped to the tables.
    #[must_use]
    pub fn circuit(&self, temperature_c: f32, soc: f32) -> CircuitPoint {
        let place = self.place(temperature_c, soc);
        let Instant { r0_ohm, rct_ohm, i_ct_a } = self.instant(&place);
        let [fast, slow] = self.pairs(&place);
        CircuitPoint {
            r0_ohm,
            rct_ohm,
            i_ct_a,
            r1_ohm: fast.r_ohm,
            tau1_s: fast.tau_s,
            r2_ohm: slow.r_ohm,
            tau2_s: slow.tau_s,
            model_error_v: self.circuit_table(self.tables.model_error_v, &place),
        }
    }

    /// SOC (fraction, 0..=1) at which the mean open-circuit voltage equals `ocv_v`, by bisection in bounded time.
    #[must_use]
    pub fn soc_from_ocv(&self, temperature_c: f32, ocv_v: f32, age: &Age) -> f32 {
        let (mut lo, mut hi) = (0.0, 1.0);
        for _ in 0..16 {
            let middle = 0.5 * (lo + hi);
            if self.ocv(temperature_c, middle, age).ocv_v < ocv_v {
                lo = middle;
            } else {
                hi = middle;
            }
        }
        0.5 * (lo + hi)
    }

    /// How far a temperature lies outside the tables' rows, in K; zero inside.
    #[must_use]
    pub fn outside_by_k(&self, temperature_c: f32) -> f32 {
        match (self.tables.temperature_c.first(), self.tables.temperature_c.last()) {
            (Some(lo), Some(hi)) => abs(temperature_c - bound(temperature_c, *lo, *hi)),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use proptest::prelude::*;

    #[test]
    fn nodes_are_met_exactly_and_edges_continue_straight() {
        let m = CellModel::new(example::NMC_5AH).unwrap();
        let t = m.tables();
        let n = t.ocv_v.len() / t.temperature_c.len();
        for (r, &temp) in t.temperature_c.iter().enumerate() {
            for c in 0..n {
                let z = c as f32 / (n - 1) as f32;
                assert!((m.ocv(temp, z, &Age::NEW).ocv_v - t.ocv_v[r * n + c]).abs() < 1e-5);
            }
        }
        let slope = (m.ocv(25.0, 0.05, &Age::NEW).ocv_v - m.ocv(25.0, 0.0, &Age::NEW).ocv_v) / 0.05;
        assert!(
            (m.ocv(25.0, -0.03, &Age::NEW).ocv_v - (m.ocv(25.0, 0.0, &Age::NEW).ocv_v - 0.03 * slope)).abs()
                < 1e-4
        );
    }

    #[test]
    fn refuses_nonsense() {
        let good = example::NMC_5AH;
        let refused = |t: CellTables<'_>| CellModel::new(t).unwrap_err();
        assert_eq!(refused(CellTables { capacity_ah: f32::NAN, ..good }), ParameterError::Capacity);
        assert_eq!(refused(CellTables { v_max: 1.0, ..good }), ParameterError::VoltageLimits);
        assert_eq!(refused(CellTables { temperature_c: &[], ..good }), ParameterError::Temperatures);
        assert_eq!(refused(CellTables { r1_ohm: &[0.1], ..good }), ParameterError::Shape("r1_ohm"));
        assert_eq!(refused(CellTables { i_ct_a: &[0.0; 3], ..good }), ParameterError::Value("i_ct_a"));
        let falling: std::vec::Vec<f32> = good.ocv_v.iter().rev().copied().collect();
        assert_eq!(refused(CellTables { ocv_v: &falling, ..good }), ParameterError::OcvNotRising);
    }

    proptest! {
        #[test]
        fn look_ups_are_total(bits in any::<[u32; 2]>()) {
            let m = CellModel::new(example::NMC_5AH).unwrap();
            let [t, z] = bits.map(f32::from_bits);
            prop_assert!(m.ocv(t, z, &m.age(z)).ocv_v.is_finite());
            prop_assert!(m.ocv_slope(t, z, t, &m.age(t)).is_finite());
            prop_assert!(m.circuit(t, z).r0_ohm > 0.0);
            prop_assert!((0.0..=1.0).contains(&m.soc_from_ocv(t, z, &Age::NEW)));
        }
    }
}
