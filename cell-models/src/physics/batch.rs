//! Many cells of the single-particle model with electrolyte at once, as a structure of arrays.

use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};

use super::block::Block;
use super::lanes::Lanes;
use super::mesh::Pieces;
use super::model::Model;
use super::spme::{SpmeCell, check_start};
use super::wear::Reference;
use crate::ecm_batch::PulseOutcome;
use crate::error::{ParameterError, PlantError, check_not_negative, check_positive};
use crate::plant::{check_current, check_temperature, check_time_step};

/// Cells side by side: one vector of the widest instruction set, two of the common one.
const WIDTH: usize = 8;
/// A change of current by less, in electrode capacities per hour, is none to cut steps for: it moves a cell's voltage by
/// some 0.1 mV in all, most of that at once.
const LEAST_CHANGE_PER_H: f64 = 1e-3;

/// How one cell of an [`SpmeBatch`] differs from the cell it is made like, and how it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpmeBatchCell {
    /// Electrode area as a multiple, above 0: capacity goes with it, resistance against it.
    pub size: f64,
    /// Resistance in ohm on top of the cell's own (contacts, welds), not negative.
    pub extra_ohm: f64,
    /// Start SOC, 0..1.
    pub soc: f64,
    /// Start temperature of the cell and its surroundings in degC, -60..100.
    pub temperature_c: f64,
}

/// Many cells of one kind, with own size, contacts, SOC and surroundings; all of them step at once.
///
/// The equations, and but for rounding the numbers, are those of [`SpmeCell`]; eight cells share one pass through them.
/// Steps are cut into the same pieces for all cells, as the largest current and the last change of any by 1/1000 C ask for.
/// All cells share the thermal parameters. SOC refers to the capacity that the cells had when the batch was made, also while they age.
///
/// The kernel is compiled for several instruction sets (AVX-512, AVX2 and the plain one of the target) and chosen when
/// the batch is made. No step allocates.
///
/// ```
/// use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell, sets};
/// let cell = SpmeCell::new(sets::okane2022(), 1.0, 25.0)?;
/// // A string of 96 such cells with a spread in capacity.
/// let spread = (0..96).map(|k| SpmeBatchCell {
///     size: 1.0 - 0.0002 * f64::from(k),
///     extra_ohm: 1e-4,
///     soc: 0.8,
///     temperature_c: 20.0,
/// });
/// let mut string = SpmeBatch::new(&cell, spread)?;
/// for _ in 0..60 {
///     string.step_series(5.0, 1.0)?;
/// }
/// let lowest = string.voltage_v().fold(f64::INFINITY, f64::min);
/// assert!(lowest > 3.5 && lowest < 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SpmeBatch {
    model: Arc<Model>,
    reference: Reference,
    arch: Arch,
    cells: usize,
    blocks: Vec<Block<WIDTH>>,
    settled_s: f64,
    /// Currents of the cells, padded to whole blocks, in A.
    current_a: Vec<f64>,
    /// The same when `settled_s` was last 0.
    changed_to_a: Vec<f64>,
    /// Charge in A s that changes the mean stoichiometry of the smallest electrode by 1.
    smallest_as: f64,
    /// Length of the last step in s.
    dt_s: f64,
}

impl SpmeBatch {
    /// Rested cells like `like` (its parameters, resolution and wear), in the order of `cells`.
    ///
    /// # Errors
    /// When a size, resistance, SOC or temperature is out of range, or there is no cell; the message names it.
    pub fn new(
        like: &SpmeCell,
        cells: impl IntoIterator<Item = SpmeBatchCell>,
    ) -> Result<Self, ParameterError> {
        let mut list: Vec<SpmeBatchCell> = cells.into_iter().collect();
        let last = *list.last().ok_or(ParameterError::Empty("the batch"))?;
        for cell in &list {
            check_positive("size of a cell of the batch", cell.size)?;
            check_not_negative("extra resistance of a cell of the batch in ohm", cell.extra_ohm)?;
            check_start(cell.soc, cell.temperature_c)?;
        }
        let count = list.len();
        // Whole blocks; what follows the cells are copies of the last one that nobody sees.
        list.resize(count.next_multiple_of(WIDTH), last);
        let model = Arc::clone(like.model());
        let reference = *like.reference();
        let electrodes = like.electrode_capacity_as();
        let blocks = list.chunks_exact(WIDTH).map(|chunk| {
            let own = |f: fn(&SpmeBatchCell) -> f64| Lanes::from_fn(|w| f(&chunk[w]));
            let stoichiometry = like.rested_stoichiometry(own(|c| c.soc));
            let mut block = Block::new(&model, stoichiometry, own(|c| c.temperature_c));
            let worn = like.state();
            let state = &mut block.state;
            state.hysteresis = worn.hysteresis.map(|lane| Lanes::splat(lane.0[0]));
            state.active = worn.active.map(|lane| Lanes::splat(lane.0[0]));
            [state.film_m, state.film_as, state.plated_as, state.dead_as, state.material_as] =
                [worn.film_m, worn.film_as, worn.plated_as, worn.dead_as, worn.material_as]
                    .map(|lane| Lanes::splat(lane.0[0]));
            block.size = own(|c| c.size);
            block.extra_ohm = own(|c| c.extra_ohm);
            (block.ages, block.mixes) = like.ages_and_mixes();
            block.refresh(&model);
            block
        });
        let smallest = list.iter().map(|c| c.size).fold(f64::INFINITY, f64::min);
        Ok(Self {
            blocks: blocks.collect(),
            reference,
            arch: Arch::new(),
            cells: count,
            settled_s: 0.0,
            current_a: vec![0.0; list.len()],
            changed_to_a: vec![0.0; list.len()],
            smallest_as: smallest * electrodes[0].min(electrodes[1]),
            dt_s: 0.0,
            model,
        })
    }

    /// Lets `dt_s` seconds pass with the same current (A, positive on discharge) through all cells: a series string.
    /// Afterwards the readings are those of the end of the step, with the current still flowing.
    ///
    /// # Errors
    /// [`PlantError::Current`] and [`PlantError::TimeStep`] for values out of range; nothing changes then.
    /// [`PlantError::Diverged`] when a voltage or temperature is no finite number; the batch is then spoiled.
    pub fn step_series(&mut self, current_a: f64, dt_s: f64) -> Result<(), PlantError> {
        check_current(current_a)?;
        check_time_step(dt_s)?;
        self.current_a.fill(current_a);
        self.settle();
        self.step(current_a.abs(), dt_s)
    }

    /// Lets `dt_s` seconds pass with an own current in A for each cell, otherwise as [`SpmeBatch::step_series`].
    ///
    /// # Errors
    /// [`PlantError::Length`] when there is not one current for each cell, otherwise as [`SpmeBatch::step_series`].
    pub fn step_each(&mut self, current_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        let Some(&last) = current_a.last().filter(|_| current_a.len() == self.cells) else {
            return Err(PlantError::Length { expected: self.cells, got: current_a.len() });
        };
        current_a.iter().try_for_each(|&i| check_current(i))?;
        check_time_step(dt_s)?;
        let (own, padding) = self.current_a.split_at_mut(self.cells);
        own.copy_from_slice(current_a);
        padding.fill(last);
        self.settle();
        self.step(current_a.iter().fold(0.0, |m, i| i.abs().max(m)), dt_s)
    }

    /// Sets the temperature of the surroundings of every cell in degC.
    ///
    /// # Errors
    /// [`PlantError::Temperature`] as for [`Plant::set_ambient_c`](crate::Plant::set_ambient_c), and [`PlantError::Length`] when there is not one
    /// temperature for each cell; nothing changes then.
    pub fn set_ambient_c(&mut self, ambient_c: &[f64]) -> Result<(), PlantError> {
        if ambient_c.len() != self.cells {
            return Err(PlantError::Length { expected: self.cells, got: ambient_c.len() });
        }
        ambient_c.iter().try_for_each(|&t| check_temperature(t))?;
        for (block, own) in self.blocks.iter_mut().zip(ambient_c.chunks(WIDTH)) {
            let last = own[own.len() - 1];
            block.ambient_c = Lanes::from_fn(|w| own.get(w).copied().unwrap_or(last));
        }
        Ok(())
    }

    /// Imposes core temperatures in degC that come from outside, from a thermal network, say. From then on the cells' own
    /// thermal nodes rest: core temperatures change by this call alone, ambient and surface temperatures mean nothing.
    ///
    /// # Errors
    /// As [`SpmeBatch::set_ambient_c`].
    pub fn set_core_c(&mut self, core_c: &[f64]) -> Result<(), PlantError> {
        if core_c.len() != self.cells {
            return Err(PlantError::Length { expected: self.cells, got: core_c.len() });
        }
        core_c.iter().try_for_each(|&t| check_temperature(t))?;
        for (block, own) in self.blocks.iter_mut().zip(core_c.chunks(WIDTH)) {
            block.impose(&self.model, padded(own));
        }
        Ok(())
    }

    /// Number of cells, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.cells
    }

    /// Terminal voltages in V, cell by cell.
    pub fn voltage_v(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| block.voltage_v())
    }

    /// Core temperatures in degC.
    pub fn core_temperature_c(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| block.state.temperature_c[0])
    }

    /// Surface temperatures in degC.
    pub fn surface_temperature_c(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| block.state.temperature_c[1])
    }

    /// Heat released in each cell in W, mean over the last step: what warms the cells.
    pub fn step_heat_w(&self) -> impl Iterator<Item = f64> + '_ {
        let dt_s = self.dt_s;
        self.readings(move |block| if dt_s > 0.0 { block.released_j * (1.0 / dt_s) } else { block.heat_w() })
    }

    /// Heat released in each cell in W at this instant.
    pub fn heat_w(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| block.heat_w())
    }

    /// Potentials of the negative electrodes against the electrolyte at the separator in V.
    pub fn anode_potential_v(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| block.anode_v())
    }

    /// States of charge as fractions of each cell's own capacity; not clamped.
    pub fn soc(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| {
            // Plated lithium is charge that can be had back.
            let state = &block.state;
            let plated = state.plated_as / (self.model.sides[0].capacity_as * state.active[0]);
            (state.mean_stoichiometry(&self.model, 0) + plated).map(|x| self.reference.soc(x))
        })
    }

    /// Capacities in Ah.
    pub fn capacity_ah(&self) -> impl Iterator<Item = f64> + '_ {
        self.readings(|block| block.size * self.reference.capacity_ah)
    }

    /// For a step of `dt_s` seconds that starts now, and each cell: the voltage at its end is about `emf_v - ohm * current`
    /// for currents near `current_a`. What the voltage does within the step on its own account is left out.
    pub(crate) fn linearise(&self, current_a: &[f64], dt_s: f64, emf_v: &mut [f64], ohm: &mut [f64]) {
        self.arch.dispatch(Linearise {
            model: &self.model,
            blocks: &self.blocks,
            current_a,
            dt_s,
            emf_v,
            ohm,
        });
    }

    /// What a square wave of current does to each cell if its half waves are too short for concentrations to follow:
    /// ohmic and charge-transfer overpotentials at `mean_a` plus and minus `amplitude_a`, all in A.
    pub(crate) fn pulse(
        &self,
        mean_a: &[f64],
        amplitude_a: &[f64],
        mut outcome: impl FnMut(usize, PulseOutcome),
    ) {
        let currents = mean_a.chunks(WIDTH).zip(amplitude_a.chunks(WIDTH));
        for (b, (block, (mean, amplitude))) in self.blocks.iter().zip(currents).enumerate() {
            let (mean_a, amplitude_a) = (padded::<WIDTH>(mean), padded::<WIDTH>(amplitude));
            let [_, at_rest_w, _] = block.at_current(mean_a);
            let [highest_v, charging_w, anode_v] = block.at_current(mean_a - amplitude_a);
            let [lowest_v, discharging_w, _] = block.at_current(mean_a + amplitude_a);
            let heat_w = 0.5 * (charging_w + discharging_w) - at_rest_w;
            for w in 0..mean.len() {
                outcome(
                    b * WIDTH + w,
                    PulseOutcome {
                        heat_w: heat_w.0[w],
                        highest_v: highest_v.0[w],
                        lowest_v: lowest_v.0[w],
                        lowest_anode_v: anode_v.0[w],
                    },
                );
            }
        }
    }

    fn readings<'a>(
        &'a self,
        read: impl Fn(&Block<WIDTH>) -> Lanes<WIDTH> + 'a,
    ) -> impl Iterator<Item = f64> + 'a {
        self.blocks.iter().flat_map(move |block| read(block).0).take(self.cells)
    }

    /// Short steps follow a change of current; not one of leakage, which moves no voltage that anybody sees.
    fn settle(&mut self) {
        let least_a = LEAST_CHANGE_PER_H * self.smallest_as / 3600.0;
        let mut both = self.changed_to_a.iter().zip(&self.current_a);
        if both.any(|(then, now)| (then - now).abs() > least_a) {
            self.settled_s = 0.0;
            self.changed_to_a.copy_from_slice(&self.current_a);
        }
    }

    fn step(&mut self, largest_a: f64, dt_s: f64) -> Result<(), PlantError> {
        let pieces = Pieces::new(&self.model.resolution, dt_s, self.settled_s, largest_a / self.smallest_as);
        let Self { model, arch, blocks, current_a, .. } = self;
        let outcome = arch.dispatch(Step { model, blocks, current_a, pieces });
        self.settled_s += dt_s;
        self.dt_s = dt_s;
        if outcome.is_finite() { Ok(()) } else { Err(PlantError::Diverged { current_a: largest_a, dt_s }) }
    }
}

/// The values of a block; what follows the cells are copies of the last one.
#[inline(always)]
fn padded<const W: usize>(own: &[f64]) -> Lanes<W> {
    let last = own.last().copied().unwrap_or_default();
    Lanes::from_fn(|w| own.get(w).copied().unwrap_or(last))
}

/// [`SpmeBatch::linearise`], to be compiled for each instruction set.
struct Linearise<'a> {
    model: &'a Model,
    blocks: &'a [Block<WIDTH>],
    current_a: &'a [f64],
    dt_s: f64,
    emf_v: &'a mut [f64],
    ohm: &'a mut [f64],
}

impl WithSimd for Linearise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let cells =
            self.current_a.chunks(WIDTH).zip(self.emf_v.chunks_mut(WIDTH).zip(self.ohm.chunks_mut(WIDTH)));
        for (block, (own, (emf_v, ohm))) in self.blocks.iter().zip(cells) {
            let at = padded::<WIDTH>(own);
            let [voltage, total] = block.foresee(self.model, at, self.dt_s);
            let emf = voltage + total * at;
            let count = own.len();
            emf_v[..count].copy_from_slice(&emf.0[..count]);
            ohm[..count].copy_from_slice(&total.0[..count]);
        }
    }
}

/// One step of all blocks, to be compiled for each instruction set.
struct Step<'a> {
    model: &'a Model,
    blocks: &'a mut [Block<WIDTH>],
    current_a: &'a [f64],
    pieces: Pieces,
}

impl WithSimd for Step<'_> {
    type Output = f64;

    // Inlined into a function that has the instruction set switched on; the compiler does the rest.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut outcome = 0.0;
        for (block, own) in self.blocks.iter_mut().zip(self.current_a.chunks_exact(WIDTH)) {
            let current = Lanes::from_fn(|w| own[w]);
            block.set_current(current);
            block.released_j = Lanes::ZERO;
            let mut pieces = self.pieces;
            while let Some(piece) = pieces.next(&self.model.resolution) {
                block.advance_piece(self.model, current, piece.dt_s);
            }
            let [core, surface] = block.state.temperature_c;
            let sum = block.voltage_v() + core + surface;
            outcome += sum.0.iter().sum::<f64>();
        }
        outcome
    }
}
