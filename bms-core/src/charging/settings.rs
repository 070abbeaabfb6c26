//! What a charge is set by: plans of stages, the table of limits, taper and end.

use crate::math::bound;
use crate::sop::Margin;

/// One stage of constant current.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Charge current in A (a magnitude), above 0.
    pub current_a: f32,
    /// Ends where the fullest cell's SOC (fraction) reaches this …
    pub until_soc: f32,
    /// … or the highest cell voltage in V this, whichever comes first. What ends the last stage is the constant voltage.
    pub until_v: f32,
}

/// Constant current in stages, then constant voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargePlan<'a> {
    /// The stages in their order, at least one. One that is over at the start is skipped; none comes back.
    pub stages: &'a [Stage],
    /// Highest cell voltage in V, which the taper holds.
    pub voltage_v: f32,
    /// Charge current in A (a magnitude) that ends the taper. Not above
    /// [`crate::tuning::Tuning::full_current_c`], so that the estimator takes the end of the charge for full, too.
    pub taper_a: f32,
}

/// Largest charge current over cell temperature and SOC, straight between the points and constant outside them.
///
/// Steps as in JEITA's guideline (JEITA/BAJ (2007), "A Guide to the Safe Use of Secondary Lithium Ion Batteries in
/// Notebook-type Personal Computers") are two temperatures close to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurrentTable<'a> {
    /// Temperatures of the rows in degC, ascending.
    pub temperature_c: &'a [f32],
    /// SOC of the columns (fractions), ascending.
    pub soc: &'a [f32],
    /// Charge current in A (a magnitude), row by row.
    pub current_a: &'a [f32],
}

/// Straight line through points in ascending order of x, constant outside them; 0 without points.
fn line(points: impl Iterator<Item = (f32, f32)>, x: f32) -> f32 {
    let mut below: Option<(f32, f32)> = None;
    for (x1, y1) in points {
        if x1 >= x {
            return match below {
                Some((x0, y0)) if x1 > x0 => y0 + (y1 - y0) * bound((x - x0) / (x1 - x0), 0.0, 1.0),
                _ => y1,
            };
        }
        below = Some((x1, y1));
    }
    below.map_or(0.0, |(_, y)| y)
}

impl CurrentTable<'_> {
    /// Charge current in A at a temperature in degC and an SOC (fraction); 0 for what is no number.
    #[must_use]
    pub fn at(&self, temperature_c: f32, soc: f32) -> f32 {
        if !(temperature_c.is_finite() && soc.is_finite()) {
            return 0.0;
        }
        let rows = self.current_a.chunks(self.soc.len().max(1));
        let at_soc = |row: &[f32]| line(self.soc.iter().copied().zip(row.iter().copied()), soc);
        line(self.temperature_c.iter().copied().zip(rows.map(at_soc)), temperature_c)
    }
}

/// How the voltage is held at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taper {
    /// Time constant in s of the filter on the voltage without its instantaneous drop.
    pub filter_s: f32,
    /// How far ahead in s that voltage is looked: the charger's delay and lag.
    pub ahead_s: f32,
    /// The current rises again only when the voltage is this much (V) below the limit.
    pub band_v: f32,
    /// A voltage this much (V) above the limit cuts the current at once, past the filter.
    pub guard_v: f32,
}

impl Taper {
    /// For voltages with noise of 1 to 2 mV and chargers that follow within some 3 s.
    pub const TYPICAL: Self = Self { filter_s: 5.0, ahead_s: 3.0, band_v: 0.005, guard_v: 0.008 };
}

/// What counts as full: the highest cell voltage near the limit at a small current for a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FullCriterion {
    /// How far (V) below the plan's voltage still counts.
    pub below_v: f32,
    /// For how long in s.
    pub hold_s: f32,
    /// Largest overpotential in V (the tables' whole resistance times the current) at which the voltage still tells that
    /// the cell is full. A cold cell tapers further than to [`ChargePlan::taper_a`] to come down to it.
    pub overpotential_v: f32,
}

impl FullCriterion {
    /// 10 mV, half a minute, 10 mV.
    pub const TYPICAL: Self = Self { below_v: 0.010, hold_s: 30.0, overpotential_v: 0.010 };
}

/// Everything that a charge is set by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargeSettings<'a> {
    /// Cells in series.
    pub cells_in_series: u16,
    /// The plan for [`super::ChargeMode::Normal`].
    pub normal: ChargePlan<'a>,
    /// The plan for [`super::ChargeMode::Fast`].
    pub fast: ChargePlan<'a>,
    /// Largest current over temperature and SOC: the coldest and the hottest cell's and the fullest one's count.
    pub limit: CurrentTable<'a>,
    /// Coldest and hottest cell temperature (degC) at which anything is charged.
    pub temperature_c: [f32; 2],
    /// A charge that stopped for cold or heat goes on when the temperature is this much (K) inside the limit.
    pub hysteresis_k: f32,
    /// How long (s) the present current has to keep the negative electrode from plating.
    pub plating_horizon_s: f32,
    /// What the limits allow for: `sigmas`, `temperature_k`, `drop_share`, `surface_share` and `plating_v` count.
    pub margin: Margin,
    /// How the voltage is held.
    pub taper: Taper,
    /// What counts as full.
    pub full: FullCriterion,
    /// A finished charge begins anew when the SOC (fraction) has fallen by this.
    pub restart_soc: f32,
    /// Fastest rise of the request in A/s. It falls at once.
    pub rise_a_per_s: f32,
    /// It rises when the limits have allowed more for this long (s).
    pub rise_after_s: f32,
    /// Smallest current in A that the charger can give; 0 for any.
    pub charger_min_a: f32,
    /// A charger that is not heard, gives no current, or a current sensor that is silent for this long (s) is lost.
    pub charger_timeout_s: f32,
    /// A charger that gave no current is asked again after this time (s), five times.
    pub retry_s: f32,
}

impl<'a> ChargeSettings<'a> {
    /// One plan for so many cells in series, within the table's currents; the rest as it usually is, from 0 to 55 degC.
    ///
    /// ```
    /// use bms_core::charging::{ChargeController, ChargePlan, ChargeSettings, CurrentTable, Stage};
    /// use bms_core::{cell::CellModel, example};
    ///
    /// let plan = ChargePlan {
    ///     stages: &[Stage { current_a: 2.5, until_soc: 1.0, until_v: 4.2 }],
    ///     voltage_v: 4.2,
    ///     taper_a: 0.25,
    /// };
    /// let limit = CurrentTable { temperature_c: &[0.0, 10.0], soc: &[0.0], current_a: &[0.5, 5.0] };
    /// let settings = ChargeSettings { charger_min_a: 0.1, ..ChargeSettings::typical(96, plan, limit) };
    /// assert!(ChargeController::new(&CellModel::new(example::NMC_5AH)?, settings, None).is_ok());
    /// # Ok::<(), bms_core::cell::ParameterError>(())
    /// ```
    #[must_use]
    pub const fn typical(cells_in_series: u16, plan: ChargePlan<'a>, limit: CurrentTable<'a>) -> Self {
        Self {
            cells_in_series,
            normal: plan,
            fast: plan,
            limit,
            temperature_c: [0.0, 55.0],
            hysteresis_k: 2.0,
            plating_horizon_s: 60.0,
            margin: Margin::DEFAULT,
            taper: Taper::TYPICAL,
            full: FullCriterion::TYPICAL,
            restart_soc: 0.03,
            rise_a_per_s: 0.5,
            rise_after_s: 2.0,
            charger_min_a: 0.0,
            charger_timeout_s: 5.0,
            retry_s: 30.0,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChargeSettingsError {
    /// A plan has no stage, a current that is no number above 0 or less than the charger can give, or a voltage outside
    /// 0..=10 V.
    Plan,
    /// The table has the wrong number of entries, axes that do not ascend, or an entry that is no number from 0.
    Table,
    /// The temperatures are not in order.
    Temperatures,
    /// A number is negative or none; the name of its field follows.
    Value(&'static str),
}

impl core::fmt::Display for ChargeSettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Plan => {
                f.write_str("charge plan without a stage, or with an impossible current or voltage")
            }
            Self::Table => f.write_str("table of charge currents has a wrong shape, order or value"),
            Self::Temperatures => f.write_str("charge temperatures are not in order"),
            Self::Value(name) => write!(f, "charge setting `{name}` is not a possible number"),
        }
    }
}

impl core::error::Error for ChargeSettingsError {}

impl ChargeSettings<'_> {
    pub(super) fn check(&self) -> Result<(), ChargeSettingsError> {
        let current = |x: f32| x > 0.0 && x < 1e5;
        for plan in [&self.normal, &self.fast] {
            let stages = plan.stages.iter().all(|s| {
                current(s.current_a)
                    && s.current_a >= self.charger_min_a
                    && s.until_soc.is_finite()
                    && s.until_v.is_finite()
            });
            if plan.stages.is_empty()
                || !(stages && current(plan.taper_a) && plan.voltage_v > 0.0)
                || plan.voltage_v > 10.0
            {
                return Err(ChargeSettingsError::Plan);
            }
        }
        let t = &self.limit;
        let ascending = |x: &[f32]| x.iter().zip(x.iter().skip(1)).all(|(a, b)| a < b);
        let shape = !t.current_a.is_empty()
            && t.temperature_c.len().checked_mul(t.soc.len()) == Some(t.current_a.len());
        let numbers = t.temperature_c.iter().chain(t.soc).all(|x| x.is_finite())
            && t.current_a.iter().all(|x| (0.0..1e5).contains(x));
        if !(shape && numbers && ascending(t.temperature_c) && ascending(t.soc)) {
            return Err(ChargeSettingsError::Table);
        }
        let [coldest_c, hottest_c] = self.temperature_c;
        if !(coldest_c < hottest_c && coldest_c > -100.0 && hottest_c < 200.0) {
            return Err(ChargeSettingsError::Temperatures);
        }
        let m = &self.margin;
        for (name, value, least, most) in [
            ("cells_in_series", f32::from(self.cells_in_series), 1.0, 1e5),
            ("hysteresis_k", self.hysteresis_k, 0.0, 100.0),
            ("plating_horizon_s", self.plating_horizon_s, 1.0, 3600.0),
            ("margin.sigmas", m.sigmas, 0.0, 10.0),
            ("margin.drop_share", m.drop_share, 0.0, 10.0),
            ("margin.surface_share", m.surface_share, 0.0, 10.0),
            ("margin.plating_v", m.plating_v, 0.0, 2.0),
            ("margin.temperature_k", m.temperature_k, 0.0, 100.0),
            ("taper.filter_s", self.taper.filter_s, 0.0, 1e3),
            ("taper.ahead_s", self.taper.ahead_s, 0.0, 1e3),
            ("taper.band_v", self.taper.band_v, 0.0, 1.0),
            ("taper.guard_v", self.taper.guard_v, 0.0, 1.0),
            ("full.below_v", self.full.below_v, 0.0, 1.0),
            ("full.hold_s", self.full.hold_s, 0.0, 1e5),
            ("full.overpotential_v", self.full.overpotential_v, 1e-4, 10.0),
            ("restart_soc", self.restart_soc, 0.0, 1.0),
            ("rise_a_per_s", self.rise_a_per_s, 1e-6, 1e5),
            ("rise_after_s", self.rise_after_s, 0.0, 1e5),
            ("charger_min_a", self.charger_min_a, 0.0, 1e5),
            ("charger_timeout_s", self.charger_timeout_s, 0.0, 1e5),
            ("retry_s", self.retry_s, 0.0, 1e6),
        ] {
            if !(least..=most).contains(&value) {
                return Err(ChargeSettingsError::Value(name));
            }
        }
        Ok(())
    }
}
