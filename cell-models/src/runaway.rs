//! Thermal runaway of cells: what a failing cell adds to the heat of a thermal network, and what is left of its voltage.
//!
//! A cell is described by three temperatures, as calorimeters give them: from `onset_c` on it heats itself, at
//! `trigger_c` by 1 K/s, which nothing stops any more, and all that reacts then is enough for `peak_c`.
//!
//! | Equation | Range |
//! |---|---|
//! | `dT/dt = exp(a (T - T_trigger))`, `a` so that it is 0.02 K/min at the onset | `T_onset <= T < T_trigger` |
//! | `dx/dt = -x / tau`, `q = C (T_peak - T_trigger) x / tau` | from the trigger on, `x` = 1 at first |
//!
//! The straight line in the logarithm stands in for the Arrhenius laws of several reactions. What they have released before
//! the trigger is not taken off the rest: it is 0.1 % of it. The voltage falls with a time constant of its own from the trigger
//! on; a nail starts the release without any temperature.
//!
//! Sources, from memory: X. Feng et al., "Thermal runaway mechanism of lithium ion battery for electric vehicles: a review",
//! *Energy Storage Materials* 10 (2018) 246: the three temperatures and the rate at each; X. Feng et al., "Thermal runaway
//! propagation model for designing a safer battery pack", *Applied Energy* 154 (2015) 74: release over some ten seconds and
//! propagation by conduction.

use crate::error::{ParameterError, check, check_positive};

/// Rate at the onset and at the trigger in K/s.
const ONSET_K_PER_S: f64 = 0.02 / 60.0;
const TRIGGER_K_PER_S: f64 = 1.0;

/// What describes the runaway of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunawayParameters {
    /// Temperature in degC from which on the cell heats itself.
    pub onset_c: f64,
    /// Temperature in degC from which on nothing stops it, above the onset.
    pub trigger_c: f64,
    /// Temperature in degC that the heat of the reactions is enough for, without any loss, above the trigger.
    pub peak_c: f64,
    /// Time constant in s of the release, above 0.
    pub release_s: f64,
    /// Time constant in s of the voltage's fall, above 0.
    pub collapse_s: f64,
}

impl RunawayParameters {
    /// A large prismatic NMC cell, with figures in the range that the sources give for such cells.
    pub const NMC: Self =
        Self { onset_c: 100.0, trigger_c: 180.0, peak_c: 750.0, release_s: 12.0, collapse_s: 2.0 };
    /// A large prismatic LFP cell: later, cooler, slower.
    pub const LFP: Self =
        Self { onset_c: 110.0, trigger_c: 220.0, peak_c: 450.0, release_s: 40.0, collapse_s: 5.0 };
}

/// The cells of a pack, each intact or running away.
///
/// ```
/// use cell_models::runaway::{Runaway, RunawayParameters};
///
/// // A cell of 2000 J/K without any loss, started by a nail.
/// let mut runaway = Runaway::new(RunawayParameters::NMC, 1)?;
/// runaway.start(0);
/// let mut core_c = [25.0];
/// for _ in 0..200 {
///     runaway.step(&core_c, 2000.0, 1.0);
///     core_c[0] += runaway.heat_w()[0] * 1.0 / 2000.0;
/// }
/// assert!((core_c[0] - (25.0 + 750.0 - 180.0)).abs() < 1.0);
/// assert!(runaway.voltage_share()[0] < 1e-6);
/// # Ok::<(), cell_models::ParameterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Runaway {
    parameters: RunawayParameters,
    /// What is left to react, 1 before the trigger; `None` for an intact cell.
    left: Vec<Option<f64>>,
    heat_w: Vec<f64>,
    voltage_share: Vec<f64>,
}

impl Runaway {
    /// So many intact cells.
    ///
    /// # Errors
    /// When temperatures are not in order or a time constant is not above 0.
    pub fn new(parameters: RunawayParameters, cells: usize) -> Result<Self, ParameterError> {
        let p = &parameters;
        check("trigger of a runaway in degC", p.trigger_c, "above its onset", |t| t > p.onset_c)?;
        check("peak of a runaway in degC", p.peak_c, "above its trigger", |t| t > p.trigger_c)?;
        check_positive("time constant of a runaway's heat in s", p.release_s)?;
        check_positive("time constant of a runaway's voltage in s", p.collapse_s)?;
        Ok(Self {
            parameters,
            left: vec![None; cells],
            heat_w: vec![0.0; cells],
            voltage_share: vec![1.0; cells],
        })
    }

    /// Starts the runaway of a cell, as a nail does; a cell that there is not changes nothing.
    pub fn start(&mut self, cell: usize) {
        if let Some(left) = self.left.get_mut(cell) {
            left.get_or_insert(1.0);
        }
    }

    /// Lets `dt_s` seconds pass with these core temperatures (degC) of cells of `j_per_k`.
    pub fn step(&mut self, core_c: &[f64], j_per_k: f64, dt_s: f64) {
        let p = &self.parameters;
        let per_k = (TRIGGER_K_PER_S / ONSET_K_PER_S).ln() / (p.trigger_c - p.onset_c);
        let all_j = j_per_k * (p.peak_c - p.trigger_c);
        let reacted = -(-dt_s / p.release_s).exp_m1();
        let cells = self.left.iter_mut().zip(&mut self.heat_w).zip(&mut self.voltage_share).zip(core_c);
        for (((left, heat_w), share), &core_c) in cells {
            if left.is_none() && core_c >= p.trigger_c {
                *left = Some(1.0);
            }
            *heat_w = match left {
                Some(left) => {
                    *share *= (-dt_s / p.collapse_s).exp();
                    let gone = *left * reacted;
                    *left -= gone;
                    if dt_s > 0.0 { all_j * gone / dt_s } else { 0.0 }
                }
                None if core_c < p.onset_c => 0.0,
                None => j_per_k * TRIGGER_K_PER_S * (per_k * (core_c - p.trigger_c)).exp(),
            };
        }
    }

    /// Heat of every cell in the last step in W.
    #[must_use]
    pub fn heat_w(&self) -> &[f64] {
        &self.heat_w
    }

    /// What is left of every cell's voltage, 0..=1.
    #[must_use]
    pub fn voltage_share(&self) -> &[f64] {
        &self.voltage_share
    }

    /// Cells that run away or have.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.left.iter().flatten().count()
    }

    /// Whether a cell runs away or has.
    #[must_use]
    pub fn is_lost(&self, cell: usize) -> bool {
        matches!(self.left.get(cell), Some(Some(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without loss a cell at the onset reaches the trigger after the time that the rate's law gives in closed form.
    #[test]
    fn self_heating_takes_its_time() {
        let p = RunawayParameters::NMC;
        let mut runaway = Runaway::new(p, 2).unwrap();
        let mut core_c = [p.onset_c, 60.0];
        let mut time_s = 0.0;
        while runaway.lost() == 0 {
            runaway.step(&core_c, 1000.0, 0.5);
            core_c.iter_mut().zip(runaway.heat_w()).for_each(|(t, w)| *t += w * 0.5 / 1000.0);
            time_s += 0.5;
        }
        let per_k = (1.0 / ONSET_K_PER_S).ln() / (p.trigger_c - p.onset_c);
        let exact_s = (1.0 / ONSET_K_PER_S - 1.0) / per_k;
        assert!((time_s - exact_s).abs() < 0.01 * exact_s, "{time_s} {exact_s}");
        assert_eq!((core_c[1], runaway.voltage_share()[1]), (60.0, 1.0));
        assert!(runaway.is_lost(0) && !runaway.is_lost(1) && !runaway.is_lost(2));
    }

    #[test]
    fn impossible_parameters_are_refused() {
        let bad = RunawayParameters { peak_c: 100.0, ..RunawayParameters::NMC };
        assert!(Runaway::new(bad, 1).is_err());
        assert!(Runaway::new(RunawayParameters { release_s: 0.0, ..RunawayParameters::NMC }, 1).is_err());
    }
}
