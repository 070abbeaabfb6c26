//! The cells of a pack: circuits or physics, behind one small interface.

use crate::ecm_batch::{EcmBatch, PulseOutcome};
use crate::error::PlantError;
use crate::physics::SpmeBatch;

/// The cells of a [`Pack`](super::Pack), group by group.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a pack holds one of them")]
pub enum Cells {
    /// Equivalent circuits.
    Circuit(EcmBatch),
    /// Single-particle models with electrolyte.
    Physics(SpmeBatch),
}

impl From<EcmBatch> for Cells {
    fn from(batch: EcmBatch) -> Self {
        Self::Circuit(batch)
    }
}

impl From<SpmeBatch> for Cells {
    fn from(batch: SpmeBatch) -> Self {
        Self::Physics(batch)
    }
}

/// Readings of the physics model, which has them only block by block; a circuit's are read where they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings {
    voltage_v: Vec<f64>,
    heat_w: Vec<f64>,
    soc: Vec<f64>,
}

impl Readings {
    pub(super) fn of(cells: &Cells) -> Self {
        let mut readings = match cells {
            Cells::Circuit(_) => Self::default(),
            Cells::Physics(batch) => {
                let zero = vec![0.0; batch.len()];
                Self { voltage_v: zero.clone(), heat_w: zero.clone(), soc: zero }
            }
        };
        readings.update(cells);
        readings
    }

    pub(super) fn update(&mut self, cells: &Cells) {
        if let Cells::Physics(batch) = cells {
            fill(&mut self.voltage_v, batch.voltage_v());
            fill(&mut self.heat_w, batch.step_heat_w());
            fill(&mut self.soc, batch.soc());
        }
    }

    pub(super) fn voltage_v<'a>(&'a self, cells: &'a Cells) -> &'a [f64] {
        match cells {
            Cells::Circuit(batch) => batch.voltage_v(),
            Cells::Physics(_) => &self.voltage_v,
        }
    }

    /// Mean over the last step.
    pub(super) fn heat_w<'a>(&'a self, cells: &'a Cells) -> &'a [f64] {
        match cells {
            Cells::Circuit(batch) => batch.heat_w(),
            Cells::Physics(_) => &self.heat_w,
        }
    }

    pub(super) fn soc<'a>(&'a self, cells: &'a Cells) -> &'a [f64] {
        match cells {
            Cells::Circuit(batch) => batch.soc(),
            Cells::Physics(_) => &self.soc,
        }
    }
}

pub(super) fn fill(into: &mut [f64], from: impl Iterator<Item = f64>) {
    into.iter_mut().zip(from).for_each(|(to, value)| *to = value);
}

impl Cells {
    /// Number of cells, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::Circuit(batch) => batch.len(),
            Self::Physics(batch) => batch.len(),
        }
    }

    pub(super) fn has_anode(&self) -> bool {
        matches!(self, Self::Physics(_))
    }

    pub(super) fn capacity_ah(&self) -> Vec<f64> {
        match self {
            Self::Circuit(batch) => batch.capacity_ah().collect(),
            Self::Physics(batch) => batch.capacity_ah().collect(),
        }
    }

    pub(super) fn anode_potential_v(&self, into: &mut [f64]) {
        if let Self::Physics(batch) = self {
            fill(into, batch.anode_potential_v());
        }
    }

    pub(super) fn core_temperature_c(&self, into: &mut [f64]) {
        match self {
            Self::Circuit(batch) => into.copy_from_slice(batch.core_temperature_c()),
            Self::Physics(batch) => fill(into, batch.core_temperature_c()),
        }
    }

    pub(super) fn set_core_c(&mut self, core_c: &[f64]) -> Result<(), PlantError> {
        match self {
            Self::Circuit(batch) => batch.set_core_c(core_c),
            Self::Physics(batch) => batch.set_core_c(core_c),
        }
    }

    pub(super) fn step(&mut self, current_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        match self {
            // What is out of range here shows as a voltage that is no number.
            Self::Circuit(batch) => batch.step_known(current_a, dt_s),
            Self::Physics(batch) => batch.step_each(current_a, dt_s),
        }
    }

    /// For a step of `dt_s` seconds that starts now: the voltage at its end is about `emf_v - ohm * current` near
    /// `current_a`.
    pub(super) fn linearise(&mut self, current_a: &[f64], dt_s: f64, emf_v: &mut [f64], ohm: &mut [f64]) {
        match self {
            Self::Circuit(batch) => batch.linearise(current_a, dt_s, emf_v, ohm),
            Self::Physics(batch) => batch.linearise(current_a, dt_s, emf_v, ohm),
        }
    }

    /// What a fast square wave around the currents `mean_a` does to each cell.
    pub(super) fn pulse(
        &self,
        mean_a: &[f64],
        amplitude_a: &[f64],
        frequency_hz: f64,
        mut outcome: impl FnMut(usize, PulseOutcome),
    ) {
        match self {
            Self::Circuit(batch) => {
                for (k, (&mean, &amplitude)) in mean_a.iter().zip(amplitude_a).enumerate() {
                    outcome(k, batch.pulse(k, mean, amplitude, frequency_hz));
                }
            }
            Self::Physics(batch) => batch.pulse(mean_a, amplitude_a, outcome),
        }
    }

    pub(super) fn stored_j(&self) -> Option<f64> {
        match self {
            Self::Circuit(batch) => Some(batch.stored_j()),
            Self::Physics(_) => None,
        }
    }
}
