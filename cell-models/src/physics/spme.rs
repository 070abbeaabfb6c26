//! One cell of the single-particle model with electrolyte, as a [`Plant`].

use std::sync::Arc;

use super::block::{Block, Memory, State, film_ohm};
use super::lanes::Lanes;
use super::mesh::{Pieces, Resolution};
use super::model::Model;
use super::parameters::PhysicsParameters;
use super::wear::{Reference, Wear, WornCell, equilibrium};
use crate::error::{ParameterError, PlantError, check};
use crate::plant::{Plant, check_current, check_temperature, check_time_step};

/// A cell of the single-particle model with electrolyte (SPMe), heat and ageing.
///
/// The [module documentation](crate::physics) gives its equations. Factors that depend on temperature and concentration are
/// kept until these have moved by a trifle, so the voltage may step by some 10 uV between two nearly equal currents, and a
/// cell that refused a step may answer the next one differently in the last digits. Cloning copies a few kilobytes and no tables, so that
/// a caller may try out what a pulse would do.
///
/// ```
/// use cell_models::physics::{SpmeCell, sets};
/// use cell_models::Plant;
///
/// let mut cell = SpmeCell::new(sets::chen2020(), 1.0, 25.0)?;
/// cell.set_current(5.0)?;
/// cell.advance(600.0)?;
/// assert!(cell.voltage_v() > 3.7 && cell.core_temperature_c() > 26.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SpmeCell {
    model: Arc<Model>,
    reference: Reference,
    block: Block<1>,
    /// Time since the current last changed, in s: how far its disturbance has spread.
    settled_s: f64,
    /// What a step that fails goes back to.
    before: Memory<1>,
}

impl SpmeCell {
    /// A rested new cell at the SOC `soc` (0..1), all of it at `temperature_c`, which is also the ambient temperature
    /// (-60..100 degC).
    ///
    /// # Errors
    /// When a parameter, the SOC or the temperature is out of range; the message names it.
    pub fn new(parameters: PhysicsParameters, soc: f64, temperature_c: f64) -> Result<Self, ParameterError> {
        Self::with(parameters, Wear::default(), Resolution::default(), soc, temperature_c)
    }

    /// The same with a cell that has aged and a resolution of choice.
    ///
    /// # Errors
    /// As [`SpmeCell::new`]; also when so worn a cell cannot reach its voltage limits.
    pub fn with(
        parameters: PhysicsParameters,
        wear: Wear,
        resolution: Resolution,
        soc: f64,
        temperature_c: f64,
    ) -> Result<Self, ParameterError> {
        let model = Arc::new(Model::new(parameters, resolution)?);
        Self::of_model(model, wear, soc, temperature_c)
    }

    pub(super) fn of_model(
        model: Arc<Model>,
        wear: Wear,
        soc: f64,
        temperature_c: f64,
    ) -> Result<Self, ParameterError> {
        check_start(soc, temperature_c)?;
        let worn = WornCell::new(&wear, &model)?;
        let mut block = Block::new(&model, worn.full.map(Lanes::splat), Lanes::splat(temperature_c));
        block.state.active = worn.active.map(Lanes::splat);
        block.state.film_m += Lanes::splat(worn.film_growth_m);
        block.state.film_as = Lanes::splat(worn.film_as);
        block.state.material_as = Lanes::splat(worn.material_as);
        block.refresh(&model);
        let before = block.memory();
        let mut cell = Self { model, reference: Reference::default(), block, settled_s: 0.0, before };
        cell.reference = Reference::measure(&cell)?;
        let negative = cell.reference.negative_at(soc);
        cell.rest_at(negative);
        Ok(cell)
    }

    /// The same cell, rested anew with the stoichiometry `negative` in its negative electrode; what lithium that takes
    /// goes to the positive one or comes from it.
    ///
    /// # Errors
    /// When one of the electrodes would be more than full or less than empty.
    pub fn at_stoichiometry(mut self, negative: f64) -> Result<Self, ParameterError> {
        let inside = |v: f64| (0.0..=1.0).contains(&v);
        check("stoichiometry of the negative electrode", negative, "between 0 and 1", inside)?;
        self.rest_at(negative);
        let positive = self.mean_stoichiometry()[1];
        check("stoichiometry of the positive electrode", positive, "between 0 and 1", inside)?;
        Ok(self)
    }

    /// The same cell, which keeps what it has lost but ages no further.
    #[must_use]
    pub fn without_ageing(mut self) -> Self {
        self.block.ages = false;
        self
    }

    /// The same cell with its plated lithium back in the negative electrode; to be rested anew.
    pub(super) fn with_plated_dissolved(mut self) -> Self {
        let plated = self.plated_stoichiometry();
        self.block.state.particles.iter_mut().for_each(|x| x[0] += Lanes::splat(plated));
        self.block.state.plated_as = Lanes::ZERO;
        self
    }

    /// What the plated lithium would add to the stoichiometry of the negative electrode.
    fn plated_stoichiometry(&self) -> f64 {
        self.block.state.plated_as.0[0] / self.electrode_capacity_as()[0]
    }

    /// The same cell with the heat of mixing counted: what the particles release while their concentration evens out, which
    /// is a small part of the whole. Built cells leave it out, as PyBaMM does unless told otherwise.
    #[must_use]
    pub fn with_heat_of_mixing(mut self) -> Self {
        self.block.mixes = true;
        self
    }

    /// Stoichiometries of the rested cell at `soc`; what is plated stays so, and counts as charge.
    pub(super) fn rested_stoichiometry<const W: usize>(&self, soc: Lanes<W>) -> [Lanes<W>; 2] {
        let plated = self.plated_stoichiometry();
        let negative = soc.map(|soc| self.reference.negative_at(soc) - plated);
        [negative, negative.map(|x| self.positive_at(x))]
    }

    /// Stoichiometry of the positive electrode when the negative one has `negative`.
    fn positive_at(&self, negative: f64) -> f64 {
        let [now_n, now_p] = self.mean_stoichiometry();
        let [q_n, q_p] = self.electrode_capacity_as();
        now_p + (now_n - negative) * q_n / q_p
    }

    /// Rests the cell with its lithium shared out so that the negative electrode has the stoichiometry `negative`.
    fn rest_at(&mut self, negative: f64) {
        let positive = self.positive_at(negative);
        let state = &mut self.block.state;
        state.particles.fill([negative, positive].map(Lanes::splat));
        state.electrolyte.fill(Lanes::splat(self.model.solution.initial));
        self.block.set_current(Lanes::ZERO);
        self.block.refresh(&self.model);
    }

    /// Fills the cell: rested at the upper voltage limit, all of it at `temperature_c`.
    pub(super) fn fill(&mut self, temperature_c: f64) -> Result<(), ParameterError> {
        let [x, y] = self.mean_stoichiometry();
        let [q_n, q_p] = self.electrode_capacity_as();
        let [negative, _] =
            equilibrium(&self.model, [q_n, q_p], x * q_n + y * q_p, self.voltage_limits_v()[1])?;
        self.block.ambient_c = Lanes::splat(temperature_c);
        self.block.state.temperature_c = [Lanes::splat(temperature_c); 2];
        self.rest_at(negative);
        Ok(())
    }

    /// The same cell with the hysteresis states of its electrodes set: 1 after a long delithiation (for the negative
    /// electrode: discharge), -1 after a long lithiation. Without branches in the parameters they do nothing.
    ///
    /// # Errors
    /// When a state is not between -1 and 1.
    pub fn with_hysteresis(mut self, negative: f64, positive: f64) -> Result<Self, ParameterError> {
        for h in [negative, positive] {
            check("hysteresis state", h, "between -1 and 1", |v| v.abs() <= 1.0)?;
        }
        self.block.state.hysteresis = [negative, positive].map(Lanes::splat);
        self.block.refresh(&self.model);
        Ok(self)
    }

    /// The parameters of the cell.
    pub fn parameters(&self) -> &PhysicsParameters {
        &self.model.parameters
    }

    /// Mean stoichiometries of negative and positive electrode.
    pub fn mean_stoichiometry(&self) -> [f64; 2] {
        [0, 1].map(|k| self.block.state.mean_stoichiometry(&self.model, k).0[0])
    }

    /// Stoichiometries at the surface of the particles of negative and positive electrode.
    pub fn surface_stoichiometry(&self) -> [f64; 2] {
        self.block.state.particles[self.model.shell_shares.len() - 1].map(|x| x.0[0])
    }

    /// Concentration of the electrolyte in mol/m3 at each node from the negative to the positive current collector.
    pub fn electrolyte_concentration(&self) -> impl Iterator<Item = f64> + '_ {
        self.block.state.electrolyte.iter().map(|c| c.0[0])
    }

    /// What has been lost since the cell was new.
    pub fn wear(&self) -> Wear {
        Wear::of(&self.model, &self.block.state)
    }

    /// Resistance of the film on the negative electrode in ohm.
    pub fn film_resistance_ohm(&self) -> f64 {
        self.model.ageing.as_ref().map_or(0.0, |a| film_ohm(&self.model, a, &self.block.state).0[0])
    }

    /// All lithium outside the electrolyte, in A s: in particles, film and plating, and what went with lost active
    /// material. It never changes.
    pub fn lithium_as(&self) -> f64 {
        let ([x_n, x_p], [q_n, q_p]) = (self.mean_stoichiometry(), self.electrode_capacity_as());
        let s = &self.block.state;
        let lost = [s.film_as, s.plated_as, s.dead_as, s.material_as].map(|lane| lane.0[0]);
        x_n * q_n + x_p * q_p + lost.iter().sum::<f64>()
    }

    /// Lithium in the electrolyte in mol per m2 of electrode.
    pub fn electrolyte_mol_per_m2(&self) -> f64 {
        let volumes = self.model.solution.mesh.node_volumes();
        volumes.iter().zip(self.electrolyte_concentration()).map(|(v, c)| v * c).sum()
    }

    /// Charge in A s that changes the mean stoichiometry of negative and positive electrode by 1.
    pub(super) fn electrode_capacity_as(&self) -> [f64; 2] {
        [0, 1].map(|k| self.model.sides[k].capacity_as * self.block.state.active[k].0[0])
    }

    pub(super) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    pub(super) fn ages_and_mixes(&self) -> (bool, bool) {
        (self.block.ages, self.block.mixes)
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(super) fn state(&self) -> &State<1> {
        &self.block.state
    }

    /// Whether lithium or active material has been lost beyond a trifle since the capacity was measured.
    fn has_aged(&self) -> bool {
        self.block.ages && self.reference.differs_from(&self.block.state)
    }

    /// Lets `dt_s` pass while the current goes linearly to `to_a`, in pieces that follow its disturbance.
    fn pass(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        check_time_step(dt_s)?;
        check_current(to_a)?;
        if dt_s == 0.0 {
            return self.set_current(to_a);
        }
        let from_a = self.block.current().0[0];
        let [q_n, q_p] = self.electrode_capacity_as();
        let rate_per_s = from_a.abs().max(to_a.abs()) / q_n.min(q_p);
        if from_a != to_a {
            self.settled_s = 0.0;
        }
        self.block.remember(&mut self.before);
        let settled_s = self.settled_s;
        let resolution = &self.model.resolution;
        let mut pieces = Pieces::new(resolution, dt_s, self.settled_s, rate_per_s);
        while let Some(piece) = pieces.next(resolution) {
            let to = from_a + (to_a - from_a) * piece.share;
            self.block.advance_piece(&self.model, Lanes::splat(to), piece.dt_s);
        }
        self.settled_s = pieces.settled_s();
        let outcome = self.block.voltage_v().0[0]
            + self.block.state.temperature_c[0].0[0]
            + self.block.state.temperature_c[1].0[0]
            + self.block.state.film_m.0[0];
        if !outcome.is_finite() {
            self.block.go_back(&self.model, &self.before);
            self.settled_s = settled_s;
            return Err(PlantError::Diverged { current_a: to_a, dt_s });
        }
        if self.has_aged() {
            match Reference::measure(self) {
                Ok(reference) => self.reference = reference,
                // A cell worn beyond use keeps the capacity last measured until it has lost as much again.
                Err(_) => self.reference.wait(&self.block.state),
            }
        }
        Ok(())
    }
}

/// The check of how a cell starts: SOC, and temperature in degC.
pub(super) fn check_start(soc: f64, temperature_c: f64) -> Result<(), ParameterError> {
    check("start SOC", soc, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
    check("start temperature", temperature_c, "between -60 and 100 degC", |v| (-60.0..=100.0).contains(&v))
}

impl Plant for SpmeCell {
    fn set_current(&mut self, current_a: f64) -> Result<(), PlantError> {
        check_current(current_a)?;
        if current_a != self.block.current().0[0] {
            self.block.set_current(Lanes::splat(current_a));
            self.settled_s = 0.0;
        }
        Ok(())
    }

    fn set_ambient_c(&mut self, ambient_c: f64) -> Result<(), PlantError> {
        check_temperature(ambient_c)?;
        self.block.ambient_c = Lanes::splat(ambient_c);
        Ok(())
    }

    fn advance(&mut self, dt_s: f64) -> Result<(), PlantError> {
        self.pass(self.block.current().0[0], dt_s)
    }

    fn ramp_current(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        self.pass(to_a, dt_s)
    }

    fn current_a(&self) -> f64 {
        self.block.current().0[0]
    }

    fn voltage_v(&self) -> f64 {
        self.block.voltage_v().0[0]
    }

    fn core_temperature_c(&self) -> f64 {
        self.block.state.temperature_c[0].0[0]
    }

    fn surface_temperature_c(&self) -> f64 {
        self.block.state.temperature_c[1].0[0]
    }

    fn soc(&self) -> f64 {
        // Plated lithium is charge that can be had back.
        self.reference.soc(self.mean_stoichiometry()[0] + self.plated_stoichiometry())
    }

    fn capacity_ah(&self) -> f64 {
        self.reference.capacity_ah
    }

    fn heat_w(&self) -> f64 {
        self.block.heat_w().0[0]
    }

    fn anode_potential_v(&self) -> Option<f64> {
        Some(self.block.anode_v().0[0])
    }

    fn voltage_limits_v(&self) -> [f64; 2] {
        self.model.parameters.voltage_limits_v
    }
}
