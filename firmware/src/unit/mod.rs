//! What is replayed.

pub mod cell;
pub mod pack;

use crate::record::Record;
use crate::search::Random;

/// Something that takes recorded samples, step by step.
pub trait Unit: Clone {
    /// Name of the program.
    const NAME: &'static str;
    /// Cells in series.
    const CELLS: u32;
    /// Memory of the part of `bms-core` in bytes.
    const RAM: u32;
    /// What it borrows.
    type Models: 'static;

    /// Tables, checked.
    fn models() -> Option<Self::Models>;

    /// At the start of a recording, at a SOC (fraction).
    fn new(models: &'static Self::Models, soc: f32) -> Option<Self>;

    /// Makes the next inputs of a sample: what the drivers of a board would do.
    fn prepare(&mut self, record: &Record);

    /// Disturbs the prepared inputs at random; any bits may come.
    fn disturb(&mut self, random: &mut Random);

    /// The step that is counted.
    fn step(&mut self);

    /// All results of the step; with everything that was learnt if `learnt`.
    fn digest(&self, learnt: bool) -> u32;

    /// SOC (fraction), to be printed.
    fn soc(&self) -> f32;

    /// What the pack is doing (number of its operating state), to be printed; of a single cell nothing.
    fn mode(&self) -> u32 {
        0
    }
}
