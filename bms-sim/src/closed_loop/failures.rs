//! What happens in cells that fail: short circuits inside them, thermal runaway, and charge beyond what a model holds for.

use cell_models::PlantError;
use cell_models::pack::Pack;
use cell_models::runaway::{Runaway, RunawayParameters};

use crate::pack_file::PackFile;
use crate::scenario::Trigger;

/// Fall of the voltage of an empty cell and rise of that of a full one, in V per SOC: about the steepness at the ends of
/// usual curves, 100 and 25 mV per percent.
const BEYOND_V_PER_SOC: [f64; 2] = [10.0, 2.5];
/// Rate in K/s at which the heater that drives a cell into runaway warms it.
const HEATER_K_PER_S: f64 = 1.0;
/// A new current of an internal short circuit counts for so much: the group's voltage answers a step later.
const SHORT_SHARE: f64 = 0.5;
/// Cells with a lower limit than this (V) are of iron phosphate, which runs away later and cooler.
const IRON_PHOSPHATE_V: f64 = 3.9;

/// A short circuit inside a cell.
#[derive(Debug)]
struct Short {
    cell: usize,
    ohm: f64,
    current_a: f64,
}

/// The failing cells of a pack.
#[derive(Debug)]
pub(super) struct Failures {
    parallel: usize,
    shorts: Vec<Short>,
    /// Cell that a heater is put on.
    heated: Option<usize>,
    runaway: Option<Runaway>,
    parameters: RunawayParameters,
    cell_j_per_k: f64,
    /// Voltage per SOC below an empty and above a full cell, for a model that has none.
    beyond_v_per_soc: [f64; 2],
    lost_v: Vec<f64>,
    /// Something is lost at present.
    losing: bool,
    heat_w: Vec<f64>,
}

impl Failures {
    /// None yet; `circuit`: the cells' model has no voltage beyond empty and full.
    pub(super) fn new(file: &PackFile, circuit: bool) -> Self {
        let lfp = file.limits.voltage_v[1] < IRON_PHOSPHATE_V;
        Self {
            parallel: file.layout.parallel,
            shorts: Vec::new(),
            heated: None,
            runaway: None,
            parameters: if lfp { RunawayParameters::LFP } else { RunawayParameters::NMC },
            cell_j_per_k: file.cell.core_j_per_k + file.cell.surface_j_per_k,
            beyond_v_per_soc: if circuit { BEYOND_V_PER_SOC } else { [0.0; 2] },
            lost_v: vec![0.0; file.layout.series],
            losing: false,
            heat_w: vec![0.0; file.layout.cells()],
        }
    }

    /// A resistance joins the poles of a cell from inside, from now on.
    pub(super) fn short(&mut self, cell: usize, ohm: f64) {
        self.shorts.push(Short { cell, ohm, current_a: 0.0 });
    }

    /// Drives a cell into runaway.
    ///
    /// # Errors
    /// When the model refuses its parameters.
    pub(super) fn run_away(
        &mut self,
        cell: usize,
        trigger: Trigger,
    ) -> Result<(), cell_models::ParameterError> {
        match trigger {
            Trigger::Heater => self.heated = Some(cell),
            Trigger::Nail => match &mut self.runaway {
                Some(runaway) => runaway.start(cell),
                None => {
                    let mut runaway = Runaway::new(self.parameters, self.heat_w.len())?;
                    runaway.start(cell);
                    self.runaway = Some(runaway);
                }
            },
        }
        Ok(())
    }

    /// The model of thermal runaway, once a cell has come near it.
    pub(super) const fn runaway(&self) -> Option<&Runaway> {
        self.runaway.as_ref()
    }

    /// What failures do in the `dt_s` seconds to come: currents are added to those that are drawn from the groups, voltages
    /// are lost in the pack; the heat of every cell in W comes back, if there is any.
    ///
    /// # Errors
    /// The plant's own.
    pub(super) fn step(
        &mut self,
        pack: &mut Pack,
        core_c: &[f64],
        group_soc: &[f64],
        extra_a: &mut [f64],
        dt_s: f64,
    ) -> Result<Option<&mut [f64]>, PlantError> {
        let onset_c = self.parameters.onset_c;
        if self.runaway.is_none() && core_c.iter().any(|t| *t > onset_c) {
            self.runaway = Runaway::new(self.parameters, core_c.len()).ok();
        }
        self.lose(pack, group_soc)?;
        if self.runaway.is_none() && self.heated.is_none() && self.shorts.is_empty() {
            return Ok(None);
        }
        self.heat_w.fill(0.0);
        for short in &mut self.shorts {
            let group = short.cell / self.parallel;
            let v = pack.group_voltage_v().get(group).map_or(0.0, |v| v.max(0.0));
            short.current_a += SHORT_SHARE * (v / short.ohm - short.current_a);
            if let (Some(extra), Some(heat)) = (extra_a.get_mut(group), self.heat_w.get_mut(short.cell)) {
                *extra += short.current_a;
                *heat += v * short.current_a;
            }
        }
        if let Some(runaway) = &mut self.runaway {
            runaway.step(core_c, self.cell_j_per_k, dt_s);
            self.heat_w.iter_mut().zip(runaway.heat_w()).for_each(|(all, w)| *all += w);
        }
        if let Some(cell) = self.heated {
            if self.runaway.as_ref().is_some_and(|r| r.is_lost(cell)) {
                self.heated = None;
            } else if let Some(heat) = self.heat_w.get_mut(cell) {
                *heat += HEATER_K_PER_S * self.cell_j_per_k;
            }
        }
        Ok(Some(&mut self.heat_w))
    }

    fn lose(&mut self, pack: &mut Pack, group_soc: &[f64]) -> Result<(), PlantError> {
        let collapsing = self.runaway.as_ref().filter(|r| r.lost() > 0);
        let beyond = |soc: f64| -> f64 {
            let [empty, full] = self.beyond_v_per_soc;
            empty * (-soc).max(0.0) - full * (soc - 1.0).max(0.0)
        };
        if collapsing.is_none() && !self.losing && group_soc.iter().all(|z| (0.0..=1.0).contains(z)) {
            return Ok(());
        }
        let mut losing = false;
        let groups = self.lost_v.iter_mut().zip(pack.group_voltage_v()).zip(group_soc).enumerate();
        for (group, ((lost, v), soc)) in groups {
            let (whole_v, beyond_v) = (v + *lost, beyond(*soc));
            // The others of a group feed the failed cell until nothing is left of them either.
            let share = collapsing.map_or(1.0, |r| {
                let own = r.voltage_share().iter().skip(group * self.parallel).take(self.parallel);
                own.copied().fold(1.0, f64::min)
            });
            *lost = beyond_v + (1.0 - share) * (whole_v - beyond_v);
            losing |= *lost != 0.0;
        }
        self.losing = losing;
        pack.set_lost_v(&self.lost_v)
    }
}
