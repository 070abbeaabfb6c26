//! The parameters of a pack as the block of words that firmware takes ([`bms_core::parameters`]).

use bms_core::cell::CellModel;
use bms_core::parameters::{self, ParametersError};

use super::{ClosedLoopError, CoreSetup};
use crate::cell_file::Chemistry;

/// Room for a block in words; the largest made so far takes a quarter of it.
const ROOM: usize = 1 << 18;

impl CoreSetup {
    /// Everything that this core is made with, for firmware of the pack's size: what was simulated is what is flashed.
    ///
    /// # Errors
    /// When the pack's cell or a setting cannot be used.
    pub fn block(&self) -> Result<Vec<u32>, ClosedLoopError> {
        let refused = |e| ClosedLoopError::Block(ParametersError::Cell(e));
        let cell = CellModel::new(self.tables.borrow()).map_err(refused)?;
        let mut settings = self.settings(&cell);
        settings.layout.sensor_cells = &settings.layout.sensor_cells[..self.sensors];
        let chemistry = match self.chemistry {
            Chemistry::Nmc => parameters::Chemistry::Nmc,
            Chemistry::Nca => parameters::Chemistry::Nca,
            Chemistry::Lfp => parameters::Chemistry::Lfp,
        };
        let controller = self.controller(settings);
        let modules = self.file.layout.modules as u16;
        self.with_models(&cell, |models| {
            let mut words = vec![0; ROOM];
            let used =
                parameters::write(models, chemistry, &controller, self.capacity_ah, modules, &mut words)
                    .map_err(ClosedLoopError::Block)?;
            words.truncate(used);
            Ok(words)
        })
    }
}
