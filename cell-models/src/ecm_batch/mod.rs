//! Many circuit cells at once, as a structure of arrays.

mod kernel;

use pulp::Arch;

use crate::ecm::{EcmParameters, MAX_RC_PAIRS, decay};
use crate::error::{ParameterError, PlantError, check, check_positive};
use crate::piece::Patch;
use crate::plant::{check_current, check_temperature, check_time_step};
use crate::table::Table2;
use crate::thermal::Propagator;
use kernel::{BLOCK, Coefficients, Compare, Curves, Input, Lanes, Linearise, Step};

/// Cells whose number is a multiple of this fill whole blocks.
pub(crate) const WHOLE_BLOCKS: usize = BLOCK;
/// Default of [`EcmBatch::with_tolerance`]: SOC as a fraction.
pub const BATCH_TOLERANCE_SOC: f64 = 2e-3;
/// Default of [`EcmBatch::with_tolerance`]: temperature in K.
pub const BATCH_TOLERANCE_K: f64 = 0.2;

/// How one cell of an [`EcmBatch`] differs from the common parameters, and how it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchCell {
    /// Capacity as a multiple of the common one, above 0.
    pub capacity: f64,
    /// All resistances (ohmic and RC pairs, not the time constants) as a multiple of the common ones, above 0.
    pub resistance: f64,
    /// Start SOC, 0..1.
    pub soc: f64,
    /// Start temperature of the cell and its surroundings in degC, -273.15..1000.
    pub temperature_c: f64,
}

/// Many cells of one type with own capacity, resistance, SOC and surroundings; all of them step at once.
///
/// The equations are those of [`EcmCell`](crate::EcmCell), but for the following, which buy speed:
///
/// * The current is held within a step, and a step is not cut into pieces: steps above 5 s make the heat coarse.
/// * Resistances and time constants are looked up again for a block of 64 cells when one of these has moved by more than
///   a tolerance since ([`EcmBatch::with_tolerance`]), at the temperature and SOC of the end of the step before. Tables
///   that say the same everywhere are looked up once.
/// * The tables over SOC alone are put on a common grid of equal distances, at most 1000 per table: exactly where the
///   points lie on such a grid (multiples of 1 %, say), else with a point moved by at most half a distance.
/// * All cells share the thermal parameters.
///
/// With tables that do not depend on temperature and SOC the voltages agree with `EcmCell` within 1 uV and the
/// temperatures within 5 mK, with the example cells in steps of 1 s within 3 mV and 30 mK: at currents up to 2 C, from
/// 10..40 degC and 15..85 % SOC, over 300 s (`tests/batch.rs`).
///
/// The kernels are compiled for several instruction sets (AVX-512, AVX2 and the plain one of the target) and chosen when
/// the batch is made; none fuses multiplications and additions, so that all give the same bits. No step allocates.
///
/// ```
/// use cell_models::{BatchCell, EcmBatch, EcmParameters};
/// // A string of 96 cells with a spread in capacity.
/// let cells = (0..96).map(|k| BatchCell {
///     capacity: 1.0 - 0.0002 * f64::from(k),
///     resistance: 1.0,
///     soc: 0.8,
///     temperature_c: 20.0,
/// });
/// let mut string = EcmBatch::new(EcmParameters::generic_nmc_5ah(), cells)?;
/// for _ in 0..600 {
///     string.step_series(5.0, 1.0)?;
/// }
/// assert!(string.soc()[95] < string.soc()[0] && string.voltage_v()[0] < 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct EcmBatch {
    parameters: EcmParameters,
    arch: Arch,
    cells: usize,
    curves: Box<Curves>,
    lanes: Lanes,
    coefficients: Coefficients,
    /// The step length that the coefficients hold for.
    dt_s: f64,
    tolerance: [f64; 2],
}

impl EcmBatch {
    /// Rested cells with the common `parameters`, in the order of `cells`.
    ///
    /// # Errors
    /// When a parameter, a multiple, a SOC or a temperature is out of range, or there is no cell; the message names it.
    pub fn new(
        parameters: EcmParameters,
        cells: impl IntoIterator<Item = BatchCell>,
    ) -> Result<Self, ParameterError> {
        parameters.validate()?;
        let mut lanes = Lanes::default();
        let mut count = 0_usize;
        let per_as = 1.0 / (3600.0 * parameters.capacity_ah);
        let mut last = None;
        for cell in cells {
            check_positive("capacity of a cell of the batch", cell.capacity)?;
            check_positive("resistance of a cell of the batch", cell.resistance)?;
            check("start SOC", cell.soc, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
            let allowed = "between -273.15 and 1000 degC";
            check("start temperature", cell.temperature_c, allowed, |v| check_temperature(v).is_ok())?;
            lanes.push(per_as / cell.capacity, cell.resistance, cell.soc, cell.temperature_c);
            count += 1;
            last = Some(cell);
        }
        let last = last.ok_or(ParameterError::Empty("the batch"))?;
        // Whole blocks; what follows the cells are copies of the last one that nobody sees.
        for _ in count..count.next_multiple_of(BLOCK) {
            lanes.push(per_as / last.capacity, last.resistance, last.soc, last.temperature_c);
        }
        let fixed = tables(&parameters).all(|t| t.everywhere().is_some());
        let coefficients =
            if fixed { Coefficients::default() } else { Coefficients::for_blocks(lanes.blocks()) };
        let mut batch = Self {
            arch: Arch::new(),
            cells: count,
            curves: Box::new(Curves::new(&parameters)),
            parameters,
            lanes,
            coefficients,
            dt_s: f64::NAN,
            tolerance: [BATCH_TOLERANCE_SOC, BATCH_TOLERANCE_K],
        };
        batch.rest();
        Ok(batch)
    }

    /// How far SOC (as a fraction) and core temperature (in K) of a cell may move before its resistances and time
    /// constants are looked up again. Halving both halves the error that this makes and doubles its cost; 0 looks up at
    /// every step. The defaults are [`BATCH_TOLERANCE_SOC`] and [`BATCH_TOLERANCE_K`].
    ///
    /// # Errors
    /// When a tolerance is negative or not finite.
    pub fn with_tolerance(mut self, soc: f64, kelvin: f64) -> Result<Self, ParameterError> {
        for (name, value) in [("tolerance of SOC", soc), ("tolerance of temperature in K", kelvin)] {
            check(name, value, "finite and not negative", |v| v >= 0.0)?;
        }
        self.tolerance = [soc, kelvin];
        Ok(self)
    }

    /// Lets `dt_s` seconds pass with the same current through all cells: a series string. Afterwards the readings are
    /// those of the end of the step, with the current still flowing. A step of 0 s shows the voltages under the current.
    ///
    /// # Errors
    /// [`PlantError::Current`] and [`PlantError::TimeStep`] for values out of range; nothing changes then.
    /// [`PlantError::Diverged`] when a voltage or temperature is no finite number; the batch is then spoiled.
    pub fn step_series(&mut self, current_a: f64, dt_s: f64) -> Result<(), PlantError> {
        check_current(current_a)?;
        check_time_step(dt_s)?;
        self.step(None, current_a, dt_s)
    }

    /// Lets `dt_s` seconds pass with an own current in A for each cell, otherwise as [`EcmBatch::step_series`].
    ///
    /// # Errors
    /// [`PlantError::Length`] when there is not one current for each cell, otherwise as [`EcmBatch::step_series`].
    pub fn step_each(&mut self, current_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        if current_a.len() != self.cells {
            return Err(PlantError::Length { expected: self.cells, got: current_a.len() });
        }
        current_a.iter().try_for_each(|&i| check_current(i))?;
        check_time_step(dt_s)?;
        let largest = current_a.iter().fold(0.0_f64, |m, i| m.max(i.abs()));
        self.step(Some(current_a), largest, dt_s)
    }

    /// Imposes core temperatures in degC that come from outside, from a thermal network, say. From then on the cells' own
    /// thermal nodes rest: core temperatures change by this call alone, ambient and surface temperatures mean nothing.
    ///
    /// ```
    /// use cell_models::{BatchCell, EcmBatch, EcmParameters};
    /// let cell = BatchCell { capacity: 1.0, resistance: 1.0, soc: 0.8, temperature_c: 20.0 };
    /// let mut batch = EcmBatch::new(EcmParameters::generic_nmc_5ah(), [cell; 2])?;
    /// batch.set_core_c(&[20.0, -10.0])?;
    /// batch.step_series(5.0, 1.0)?;
    /// // The cold cell has more resistance, so more heat.
    /// assert!(batch.core_temperature_c() == [20.0, -10.0] && batch.heat_w()[1] > 1.5 * batch.heat_w()[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`EcmBatch::set_ambient_c`].
    pub fn set_core_c(&mut self, core_c: &[f64]) -> Result<(), PlantError> {
        if core_c.len() != self.cells {
            return Err(PlantError::Length { expected: self.cells, got: core_c.len() });
        }
        // Without a branch per cell; which one it is is asked for only if there is one.
        if !core_c.iter().fold(true, |ok, &t| ok & check_temperature(t).is_ok()) {
            core_c.iter().try_for_each(|&t| check_temperature(t))?;
        }
        if !self.lanes.imposed {
            self.lanes.imposed = true;
            self.coefficients.thermal = IDLE;
        }
        self.lanes.core[..self.cells].copy_from_slice(core_c);
        // What follows the cells are copies of the last one.
        self.lanes.core[self.cells..].fill(core_c[self.cells - 1]);
        let moved = self.arch.dispatch(Compare {
            core: &self.lanes.core,
            blocks: &mut self.coefficients.blocks,
            tolerance_k: self.tolerance[1],
        });
        if moved {
            self.refresh(false);
        }
        Ok(())
    }

    /// [`EcmBatch::step_each`] for currents that are known to be good: as many as cells, and finite.
    pub(crate) fn step_known(&mut self, current_a: &[f64], dt_s: f64) -> Result<(), PlantError> {
        self.step(Some(current_a), current_a[0], dt_s)
    }

    /// Sets the temperature of the surroundings of every cell in degC.
    ///
    /// # Errors
    /// [`PlantError::Temperature`] as for [`Plant::set_ambient_c`](crate::Plant::set_ambient_c), and
    /// [`PlantError::Length`] when there is not one temperature for each cell; nothing changes then.
    pub fn set_ambient_c(&mut self, ambient_c: &[f64]) -> Result<(), PlantError> {
        if ambient_c.len() != self.cells {
            return Err(PlantError::Length { expected: self.cells, got: ambient_c.len() });
        }
        ambient_c.iter().try_for_each(|&t| check_temperature(t))?;
        self.lanes.set_ambient(ambient_c);
        Ok(())
    }

    /// Number of cells, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.cells
    }

    /// The common parameters.
    pub fn parameters(&self) -> &EcmParameters {
        &self.parameters
    }

    /// Terminal voltages in V after the last step, with its current flowing; before the first one those at rest.
    pub fn voltage_v(&self) -> &[f64] {
        &self.lanes.voltage[..self.cells]
    }

    /// States of charge as fractions of each cell's own capacity; not clamped.
    pub fn soc(&self) -> &[f64] {
        &self.lanes.soc[..self.cells]
    }

    /// Capacities in Ah.
    pub fn capacity_ah(&self) -> impl Iterator<Item = f64> + '_ {
        self.lanes.per_as[..self.cells].iter().map(|per_as| 1.0 / (3600.0 * per_as))
    }

    /// Core temperatures in degC.
    pub fn core_temperature_c(&self) -> &[f64] {
        &self.lanes.core[..self.cells]
    }

    /// Surface temperatures in degC.
    pub fn surface_temperature_c(&self) -> &[f64] {
        &self.lanes.surface[..self.cells]
    }

    /// Heat released in each cell in W, irreversible and entropic, mean over the last step.
    pub fn heat_w(&self) -> &[f64] {
        &self.lanes.heat[..self.cells]
    }

    /// Hysteresis states, -1..1; they start at 0.
    pub fn hysteresis_state(&self) -> &[f64] {
        &self.lanes.hysteresis[..self.cells]
    }

    /// For a step of `dt_s` seconds that starts now, and each cell: the voltage at its end is `emf_v - ohm * current`. But
    /// for bends of the tables and the way of the hysteresis within the step this holds at any current. `ohm` has the ohmic
    /// resistance of the direction of `current_a`, what the RC pairs add within the step, and the fall of the open-circuit
    /// voltage. `emf_v` and `ohm` need room for [`WHOLE_BLOCKS`].
    pub(crate) fn linearise(&mut self, current_a: &[f64], dt_s: f64, emf_v: &mut [f64], ohm: &mut [f64]) {
        if dt_s != self.dt_s {
            self.change_length(dt_s);
        }
        self.arch.dispatch(Linearise {
            parameters: &self.parameters,
            curves: &self.curves,
            lanes: &self.lanes,
            coefficients: &self.coefficients,
            current_a,
            dt_s,
            emf_v,
            ohm,
        });
    }

    /// What a square wave of current around the mean `mean_a` (A) does to cell `k`, once it has settled: heat in W on top
    /// of that of the mean, and the end voltages in V of the charging and the discharging half wave.
    ///
    /// Over half a period `T/2` a pair's voltage runs between `-+R a tanh(y)` with `y = T / (4 tau)`, and releases `R a^2
    /// (1 - tanh(y) / y)`.
    pub(crate) fn pulse(&self, k: usize, mean_a: f64, amplitude_a: f64, frequency_hz: f64) -> PulseOutcome {
        let (p, scale) = (&self.parameters, self.lanes.resistance[k]);
        let (core, soc) = (self.lanes.core[k], self.lanes.soc[k]);
        let [discharge, charge] = [&p.r0_discharge_ohm, &p.r0_charge_ohm].map(|t| scale * t.at(core, soc));
        let ohmic_now = mean_a * if mean_a < 0.0 { charge } else { discharge };
        let (mut pairs_ohm, mut pairs_w) = (0.0, 0.0);
        for pair in &p.rc {
            let y = 0.25 / (frequency_hz * pair.tau_s.at(core, soc));
            let r = scale * pair.r_ohm.at(core, soc);
            pairs_ohm += r * y.tanh();
            pairs_w += r * amplitude_a * amplitude_a * (1.0 - y.tanh() / y);
        }
        let rested = self.lanes.voltage[k] + ohmic_now;
        let ohmic = |i: f64| i * if i < 0.0 { charge } else { discharge };
        let halves = [mean_a - amplitude_a, mean_a + amplitude_a];
        let ohmic_w = 0.5 * halves.iter().map(|&i| i * ohmic(i)).sum::<f64>() - mean_a * ohmic_now;
        PulseOutcome {
            heat_w: ohmic_w + pairs_w,
            highest_v: rested - ohmic(halves[0]) + pairs_ohm * amplitude_a,
            lowest_v: rested - ohmic(halves[1]) - pairs_ohm * amplitude_a,
            lowest_anode_v: f64::NAN,
        }
    }

    /// Energy in J that the cells hold against empty ones at 25 degC: the integral of `U - T dU/dT` (`T` = 298.15 K) over
    /// their charge. What leaves the terminals and what is released as heat comes from it, but for a coulombic efficiency
    /// below 1.
    pub(crate) fn stored_j(&self) -> f64 {
        let p = &self.parameters;
        let kelvin = crate::ecm::REFERENCE_TEMPERATURE_C + crate::ecm::KELVIN;
        let cells = self.soc().iter().zip(&self.lanes.per_as);
        cells
            .map(|(&z, per_as)| (p.ocv_v.integral(z) - kelvin * p.entropic_v_per_k.integral(z)) / per_as)
            .sum()
    }

    /// Fills in the voltages before the first step.
    fn rest(&mut self) {
        // Nothing diverges in no time without a current.
        let _ = self.step(None, 0.0, 0.0);
    }

    fn step(&mut self, own: Option<&[f64]>, current_a: f64, dt_s: f64) -> Result<(), PlantError> {
        if dt_s != self.dt_s {
            self.change_length(dt_s);
        }
        let input = Input { own, shared_a: current_a, dt_s, tolerance: self.tolerance };
        let outcome = self.arch.dispatch(Step {
            parameters: &self.parameters,
            curves: &self.curves,
            lanes: &mut self.lanes,
            coefficients: &mut self.coefficients,
            input,
        });
        if outcome.refresh {
            self.refresh(false);
        }
        if outcome.finite { Ok(()) } else { Err(PlantError::Diverged { current_a, dt_s }) }
    }

    fn change_length(&mut self, dt_s: f64) {
        self.dt_s = dt_s;
        self.coefficients.thermal =
            if self.lanes.imposed { IDLE } else { self.parameters.thermal.propagator(dt_s) };
        if self.coefficients.blocks.is_empty() {
            let value = |t: &Table2| t.everywhere().unwrap_or_default();
            let p = &self.parameters;
            self.coefficients.fixed.r0 = [value(&p.r0_discharge_ohm), value(&p.r0_charge_ohm)];
            for (rc, pair) in self.coefficients.fixed.rc.iter_mut().zip(&p.rc) {
                let decay = decay(dt_s / value(&pair.tau_s));
                *rc = [decay, value(&pair.r_ohm) * (1.0 - decay)];
            }
        } else {
            self.refresh(true);
        }
    }

    /// Looks up the coefficients of the blocks that ask for it, or of all.
    fn refresh(&mut self, all: bool) {
        let (p, dt_s) = (&self.parameters, self.dt_s);
        let mut patch = Patch::<{ 2 + 2 * MAX_RC_PAIRS }>::NONE;
        for (b, block) in self.coefficients.blocks.iter_mut().enumerate() {
            if !(all || block.stale) {
                continue;
            }
            block.stale = false;
            for l in 0..BLOCK {
                let n = b * BLOCK + l;
                let (soc, core, scale) = (self.lanes.soc[n], self.lanes.core[n], self.lanes.resistance[n]);
                (block.soc[l], block.core[l]) = (soc, core);
                patch.follow(|| tables(p), core, soc);
                block.r0[0][l] = scale * patch.at(0, core, soc);
                block.r0[1][l] = scale * patch.at(1, core, soc);
                for (k, rc) in block.rc.iter_mut().enumerate().take(p.rc.len()) {
                    let decay = decay(dt_s / patch.at(3 + 2 * k, core, soc));
                    rc[0][l] = decay;
                    rc[1][l] = scale * patch.at(2 + 2 * k, core, soc) * (1.0 - decay);
                }
            }
        }
    }
}

/// Leaves both thermal nodes as they are.
const IDLE: Propagator = Propagator { free: [[1.0, 0.0], [0.0, 1.0]], forced: [0.0; 2] };

/// What a fast square wave of current does to a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PulseOutcome {
    /// Heat in W on top of that without the wave.
    pub(crate) heat_w: f64,
    /// Voltages in V: highest while the wave charges, lowest while it discharges.
    pub(crate) highest_v: f64,
    pub(crate) lowest_v: f64,
    /// Lowest potential of the negative electrode in V, while the wave charges; NaN where the model has none.
    pub(crate) lowest_anode_v: f64,
}

/// R0 on discharge and charge, then resistance and time constant of each pair.
fn tables(p: &EcmParameters) -> impl Iterator<Item = &Table2> {
    [&p.r0_discharge_ohm, &p.r0_charge_ohm]
        .into_iter()
        .chain(p.rc.iter().flat_map(|pair| [&pair.r_ohm, &pair.tau_s]))
}
