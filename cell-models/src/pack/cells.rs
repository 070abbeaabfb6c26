//! The cells of a pack: circuits, physics or supercapacitors, behind one small interface.

use crate::ecm_batch::{EcmBatch, PulseOutcome};
use crate::error::PlantError;
use crate::physics::SpmeBatch;
use crate::plant::{Plant, check_temperature};
use crate::supercap::SupercapCell;

/// The cells of a [`Pack`](super::Pack), group by group.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a pack holds one of them")]
pub enum Cells {
    /// Equivalent circuits.
    Circuit(EcmBatch),
    /// Single-particle models with electrolyte.
    Physics(SpmeBatch),
    /// Supercapacitors, one by one.
    Supercap(Vec<SupercapCell>),
}

impl From<Vec<SupercapCell>> for Cells {
    fn from(cells: Vec<SupercapCell>) -> Self {
        Self::Supercap(cells)
    }
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

/// Readings of the cells that do not have them side by side; a circuit's are read where they are.
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
            Cells::Physics(_) | Cells::Supercap(_) => {
                let zero = vec![0.0; cells.len()];
                Self { voltage_v: zero.clone(), heat_w: zero.clone(), soc: zero }
            }
        };
        readings.update(cells);
        readings
    }

    pub(super) fn update(&mut self, cells: &Cells) {
        match cells {
            Cells::Circuit(_) => {}
            Cells::Physics(batch) => {
                fill(&mut self.voltage_v, batch.voltage_v());
                fill(&mut self.heat_w, batch.step_heat_w());
                fill(&mut self.soc, batch.soc());
            }
            Cells::Supercap(cells) => {
                fill(&mut self.voltage_v, cells.iter().map(Plant::voltage_v));
                fill(&mut self.heat_w, cells.iter().map(SupercapCell::step_heat_w));
                fill(&mut self.soc, cells.iter().map(Plant::soc));
            }
        }
    }

    pub(super) fn voltage_v<'a>(&'a self, cells: &'a Cells) -> &'a [f64] {
        match cells {
            Cells::Circuit(batch) => batch.voltage_v(),
            Cells::Physics(_) | Cells::Supercap(_) => &self.voltage_v,
        }
    }

    /// Mean over the last step.
    pub(super) fn heat_w<'a>(&'a self, cells: &'a Cells) -> &'a [f64] {
        match cells {
            Cells::Circuit(batch) => batch.heat_w(),
            Cells::Physics(_) | Cells::Supercap(_) => &self.heat_w,
        }
    }

    pub(super) fn soc<'a>(&'a self, cells: &'a Cells) -> &'a [f64] {
        match cells {
            Cells::Circuit(batch) => batch.soc(),
            Cells::Physics(_) | Cells::Supercap(_) => &self.soc,
        }
    }
}

pub(super) fn fill(into: &mut [f64], from: impl Iterator<Item = f64>) {
    into.iter_mut().zip(from).for_each(|(to, value)| *to = value);
}

impl Cells {
    /// Number of cells; those of a [`Pack`](super::Pack) are at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a pack is never empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::Circuit(batch) => batch.len(),
            Self::Physics(batch) => batch.len(),
            Self::Supercap(cells) => cells.len(),
        }
    }

    pub(super) fn has_anode(&self) -> bool {
        matches!(self, Self::Physics(_))
    }

    pub(super) fn capacity_ah(&self) -> Vec<f64> {
        match self {
            Self::Circuit(batch) => batch.capacity_ah().collect(),
            Self::Physics(batch) => batch.capacity_ah().collect(),
            Self::Supercap(cells) => cells.iter().map(Plant::capacity_ah).collect(),
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
            Self::Supercap(cells) => fill(into, cells.iter().map(Plant::core_temperature_c)),
        }
    }

    pub(super) fn set_core_c(&mut self, core_c: &[f64]) -> Result<(), PlantError> {
        match self {
            Self::Circuit(batch) => batch.set_core_c(core_c),
            Self::Physics(batch) => batch.set_core_c(core_c),
            Self::Supercap(cells) => {
                if core_c.len() != cells.len() {
                    return Err(PlantError::Length { expected: cells.len(), got: core_c.len() });
                }
                core_c.iter().try_for_each(|&t| check_temperature(t))?;
                cells.iter_mut().zip(core_c).for_each(|(cell, t)| cell.impose_core_c(*t));
                Ok(())
            }
        }
    }

    pub(super) fn step(&mut self, current_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        match self {
            // What is out of range here shows as a voltage that is no number.
            Self::Circuit(batch) => batch.step_known(current_a, dt_s),
            Self::Physics(batch) => batch.step_each(current_a, dt_s),
            Self::Supercap(cells) => cells.iter_mut().zip(current_a).try_for_each(|(cell, &a)| {
                cell.set_current(a)?;
                cell.advance(dt_s)
            }),
        }
    }

    /// For a step of `dt_s` seconds that starts now: the voltage at its end is about `emf_v - ohm * current` near
    /// `current_a`.
    pub(super) fn linearise(&mut self, current_a: &[f64], dt_s: f64, emf_v: &mut [f64], ohm: &mut [f64]) {
        match self {
            Self::Circuit(batch) => batch.linearise(current_a, dt_s, emf_v, ohm),
            Self::Physics(batch) => batch.linearise(current_a, dt_s, emf_v, ohm),
            Self::Supercap(cells) => {
                let lines = cells.iter().zip(current_a).zip(emf_v.iter_mut().zip(ohm));
                lines.for_each(|((cell, &a), (emf, ohm))| [*emf, *ohm] = cell.linearise(a, dt_s));
            }
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
            Self::Supercap(cells) => {
                for (k, (cell, &amplitude)) in cells.iter().zip(amplitude_a).enumerate() {
                    // A wave that is fast against the main branch's time constant (1 s): a triangle on the capacitance.
                    let [ohm, farad] = cell.fast();
                    let swing_v = amplitude * (ohm + 0.25 / (frequency_hz * farad));
                    outcome(
                        k,
                        PulseOutcome {
                            heat_w: ohm * amplitude * amplitude,
                            highest_v: cell.voltage_v() + swing_v,
                            lowest_v: cell.voltage_v() - swing_v,
                            lowest_anode_v: f64::NAN,
                        },
                    );
                }
            }
        }
    }

    pub(super) fn stored_j(&self) -> Option<f64> {
        match self {
            Self::Circuit(batch) => Some(batch.stored_j()),
            Self::Physics(_) => None,
            Self::Supercap(cells) => Some(cells.iter().map(SupercapCell::stored_energy_j).sum()),
        }
    }
}
