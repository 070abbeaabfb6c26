//! Wear of a cell, its capacity, and cells that are made worn.

use std::sync::Arc;

use super::balance::bisect;
use super::block::State;
use super::model::Model;
use super::spme::SpmeCell;
use crate::error::{ParameterError, check};
use crate::plant::Plant;

/// What a cell has lost since it was new. Zero throughout for a new cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Wear {
    /// Lithium lost, as a share of the new cell's (0..1).
    pub lithium: f64,
    /// What of it is in the film on the negative electrode, whose resistance has grown with it; the rest was plated or
    /// went with active material.
    pub film_lithium: f64,
    /// Active material of the negative electrode lost, as a share of the new cell's (0..1).
    pub negative_material: f64,
    /// Active material of the positive electrode lost, as a share of the new cell's (0..1).
    pub positive_material: f64,
}

/// What a cell made worn shall have lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WearKind {
    /// Lithium alone: the usual fate of a cell that stands.
    Lithium,
    /// Active material of both electrodes, the positive one twice as much as the negative one; it is lost without
    /// lithium in it.
    ActiveMaterial,
    /// Lithium, and four tenths as much active material of both electrodes.
    Both,
}

/// Of the lithium that a cell made worn has lost, the share in the film that current passes through; the rest is in cracks
/// and dead plating. With it a cell at 80 % of its capacity has 1.2 to 2.3 times the resistance (10 s) of the new one,
/// depending on the set.
const FILM_SHARE: f64 = 0.3;

impl Wear {
    /// The wear of this kind that leaves a cell of these parameters the share `soh` of its new capacity (C/20 at 25
    /// degC), to 0.01 %.
    ///
    /// # Errors
    /// When `soh` is not between 0.5 and 1 or the parameters are refused.
    pub fn to_soh(
        parameters: &super::PhysicsParameters,
        kind: WearKind,
        soh: f64,
    ) -> Result<Self, ParameterError> {
        match kind {
            WearKind::Lithium => Self::mixed_to_soh(parameters, 0.0, soh),
            WearKind::ActiveMaterial => Self::by_share(parameters, soh, |s| Self {
                negative_material: 0.5 * s,
                positive_material: s,
                ..Self::default()
            }),
            WearKind::Both => Self::mixed_to_soh(parameters, 0.4, soh),
        }
    }

    /// The same for lithium and `material` times as much active material of both electrodes.
    ///
    /// # Errors
    /// As [`Self::to_soh`].
    pub fn mixed_to_soh(
        parameters: &super::PhysicsParameters,
        material: f64,
        soh: f64,
    ) -> Result<Self, ParameterError> {
        Self::by_share(parameters, soh, |s| Self {
            lithium: s,
            film_lithium: FILM_SHARE * s,
            negative_material: material * s,
            positive_material: material * s,
        })
    }

    fn by_share(
        parameters: &super::PhysicsParameters,
        soh: f64,
        of_share: impl Fn(f64) -> Self,
    ) -> Result<Self, ParameterError> {
        check("state of health", soh, "between 0.5 and 1", |v| (0.5..=1.0).contains(&v))?;
        let model = Arc::new(Model::new(parameters.clone(), super::Resolution::default())?);
        let capacity = |wear: Self| {
            SpmeCell::of_model(Arc::clone(&model), wear, 1.0, 25.0).map(|cell| cell.capacity_ah())
        };
        let new = capacity(Self::default())?;
        if soh == 1.0 {
            return Ok(Self::default());
        }
        // A cell worn so far that it no longer meets its limits has lost too much.
        let share = bisect([0.0, 0.7], 20, |s| capacity(of_share(s)).is_ok_and(|c| c > soh * new));
        Ok(of_share(share))
    }

    pub(super) fn of(m: &Model, state: &State<1>) -> Self {
        Self {
            lithium: lost_as(state) / new_lithium_as(m),
            film_lithium: state.film_as.0[0] / new_lithium_as(m),
            negative_material: 1.0 - state.active[0].0[0],
            positive_material: 1.0 - state.active[1].0[0],
        }
    }
}

/// Lithium in both electrodes of the new cell in A s.
fn new_lithium_as(m: &Model) -> f64 {
    m.sides.iter().map(|s| s.capacity_as * s.full_empty[0]).sum()
}

/// Lithium that takes no part at present, in A s.
fn lost_as(state: &State<1>) -> f64 {
    lost_for_good_as(state) + state.plated_as.0[0]
}

/// Lithium that will never take part again, in A s: what is plated still dissolves.
fn lost_for_good_as(state: &State<1>) -> f64 {
    [state.film_as, state.dead_as, state.material_as].iter().map(|lane| lane.0[0]).sum()
}

/// The full and rested state of a worn cell.
pub(super) struct WornCell {
    /// Stoichiometries of the full cell.
    pub(super) full: [f64; 2],
    pub(super) active: [f64; 2],
    pub(super) film_growth_m: f64,
    pub(super) film_as: f64,
    pub(super) material_as: f64,
}

impl WornCell {
    pub(super) fn new(wear: &Wear, m: &Model) -> Result<Self, ParameterError> {
        for (name, share) in [
            ("share of lithium lost", wear.lithium),
            ("share of lithium lost to the film", wear.film_lithium),
            ("share of negative material lost", wear.negative_material),
            ("share of positive material lost", wear.positive_material),
        ] {
            check(name, share, "at least 0 and below 1", |v| (0.0..1.0).contains(&v))?;
        }
        check("share of lithium lost to the film", wear.film_lithium, "at most all lithium lost", |v| {
            v <= wear.lithium
        })?;
        let new = new_lithium_as(m);
        let active = [1.0 - wear.negative_material, 1.0 - wear.positive_material];
        let capacity = [0, 1].map(|k| m.sides[k].capacity_as * active[k]);
        let film_as = wear.film_lithium * new;
        let film_growth_m = m
            .ageing
            .as_ref()
            .and_then(|a| a.sei)
            .map_or(0.0, |sei| film_as * sei.volume_m3_per_as() / (m.sides[0].surface_m2 * active[0]));
        let lithium_left = (1.0 - wear.lithium) * new;
        let full = equilibrium(m, capacity, lithium_left, m.parameters.voltage_limits_v[1])?;
        Ok(Self { full, active, film_growth_m, film_as, material_as: wear.lithium * new - film_as })
    }
}

/// Stoichiometries of a rested cell at a voltage, from the capacities of its electrodes and its lithium, all in A s.
pub(super) fn equilibrium(
    m: &Model,
    [q_n, q_p]: [f64; 2],
    lithium_as: f64,
    voltage_v: f64,
) -> Result<[f64; 2], ParameterError> {
    let positive = |x: f64| (lithium_as - x * q_n) / q_p;
    let voltage = |x: f64| m.sides[1].ocp_v.at(positive(x)) - m.sides[0].ocp_v.at(x);
    // The voltage rises with the lithium in the negative electrode.
    let (low, high) = (((lithium_as - q_p) / q_n).max(0.0), (lithium_as / q_n).min(1.0));
    if !(low < high && voltage(low) < voltage_v) {
        return Err(ParameterError::OutOfRange {
            name: "voltage limit of a rested cell with this lithium",
            value: voltage_v,
            allowed: "above the voltage of the empty cell",
        });
    }
    // If even the electrode filled to the brim stays below the voltage, then that is full.
    let x = bisect([low, high], 60, |x| voltage(x) < voltage_v);
    Ok([x, positive(x)])
}

/// What SOC is counted by: the full cell and the present capacity.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reference {
    /// Stoichiometry of the negative electrode in the full, rested cell.
    full_negative: f64,
    /// Stoichiometry per Ah.
    per_ah: f64,
    pub(super) capacity_ah: f64,
    /// Losses for good when this was measured: lithium in A s, active material of both electrodes.
    lost_as: f64,
    active: [f64; 2],
}

impl Reference {
    /// Discharges a copy of the cell from full at C/20 and 25 degC to the lower voltage limit. What is plated counts as
    /// dissolved: it would be long before the end.
    ///
    /// # Errors
    /// When the model cannot be discharged, or holds twice the nominal capacity or more: C/20 would not be C/20.
    pub(super) fn measure(cell: &SpmeCell) -> Result<Self, ParameterError> {
        const LONGEST_S: f64 = 40.0 * 3600.0;
        let mut trial = cell.clone().without_ageing().with_plated_dissolved();
        trial.fill(25.0)?;
        let [full_negative, _] = trial.mean_stoichiometry();
        let [q_n, _] = trial.electrode_capacity_as();
        let p = cell.parameters();
        let current_a = p.nominal_capacity_ah / 20.0;
        let failed = |_| ParameterError::OutOfRange {
            name: "capacity of the cell at C/20 and 25 degC",
            value: f64::NAN,
            allowed: "one that the model can discharge",
        };
        trial.set_current(current_a).map_err(failed)?;
        let low_v = p.voltage_limits_v[0];
        // Steps of 1 % of the nominal capacity, halved again and again at the end.
        let (mut seconds, mut step_s) = (0.0, 720.0);
        while step_s > 0.2 {
            if seconds >= LONGEST_S {
                return Err(ParameterError::OutOfRange {
                    name: "nominal capacity in Ah",
                    value: p.nominal_capacity_ah,
                    allowed: "more than half of what the cell gives at C/20 and 25 degC",
                });
            }
            let mut next = trial.clone();
            next.advance(step_s).map_err(failed)?;
            if next.voltage_v() > low_v {
                trial = next;
                seconds += step_s;
            } else {
                step_s *= 0.5;
            }
        }
        let capacity_ah = seconds * current_a / 3600.0;
        crate::error::check_positive("capacity of the cell at C/20 and 25 degC", capacity_ah)?;
        let state = cell.state();
        Ok(Self {
            full_negative,
            per_ah: 3600.0 / q_n,
            capacity_ah,
            lost_as: lost_for_good_as(state),
            active: state.active.map(|a| a.0[0]),
        })
    }

    /// Stoichiometry of the negative electrode at an SOC.
    pub(super) fn negative_at(&self, soc: f64) -> f64 {
        self.full_negative - (1.0 - soc) * self.capacity_ah * self.per_ah
    }

    pub(super) fn soc(&self, negative: f64) -> f64 {
        1.0 - (self.full_negative - negative) / (self.per_ah * self.capacity_ah)
    }

    /// Counts what has been lost up to now as known, without a new measurement.
    pub(super) fn wait(&mut self, state: &State<1>) {
        (self.lost_as, self.active) = (lost_for_good_as(state), state.active.map(|a| a.0[0]));
    }

    /// Whether for good 0.02 % of the capacity or of the active material has been lost since.
    pub(super) fn differs_from(&self, state: &State<1>) -> bool {
        const TRIFLE: f64 = 2e-4;
        let material = [0, 1].iter().any(|&k| (state.active[k].0[0] - self.active[k]).abs() > TRIFLE);
        material || (lost_for_good_as(state) - self.lost_as).abs() > TRIFLE * 3600.0 * self.capacity_ah
    }
}
