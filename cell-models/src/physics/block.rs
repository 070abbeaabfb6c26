//! The single-particle model with electrolyte, solved for `W` cells at once.
//!
//! Time runs in pieces. A piece takes one step of the two-stage, second-order, L-stable Runge-Kutta method of
//! R. Alexander ("Diagonally implicit Runge-Kutta methods for stiff O.D.E.'s", SIAM J. Numer. Anal. 14, 1977) through
//! the diffusion equations, with the diffusivities of its start; then follow hysteresis, ageing and heat. In space these
//! are linear finite elements with the consistent mass matrix, which lose no lithium. Both stages share one symmetric
//! tridiagonal matrix, which is factorised anew only when it has changed.

use super::ageing::AgeingParameters;
use super::lanes::Lanes;
use super::model::{Model, kelvin};
use super::tabulated::{AtTemperature, FARADAY, GAS, Property};
use crate::thermal::Propagator;

/// Where the first stage lies in the step: 1 - 1/sqrt(2).
const GAMMA: f64 = 1.0 - std::f64::consts::FRAC_1_SQRT_2;
/// Change of temperature in K that calls for new Arrhenius factors, before a piece and after it.
const SAME_TEMPERATURE_K: f64 = 0.02;
const READ_TEMPERATURE_K: f64 = 0.05;
/// Changes that call for diffusivities worked out anew, and with them the factors: of a stoichiometry, and of the
/// electrolyte's concentration as a share of the rested one.
const SAME_STOICHIOMETRY: f64 = 2e-4;
const SAME_CONCENTRATION: f64 = 1e-2;

/// Change of stoichiometry over which the slope of an open-circuit potential is taken.
const SLOPE_REACH: f64 = 1e-3;

/// Potential in V below which side reactions run no faster: far out, their exponentials would run away within a step.
const LOWEST_DRIVING_V: f64 = -0.15;

/// Share of the mean or rested concentration below which the electrolyte counts as exhausted: it conducts badly there,
/// but its logarithm must exist.
const EXHAUSTED: f64 = 1e-3;

/// Values for the negative and for the positive electrode.
type Pair<T> = [T; 2];

/// `W` cells of the same kind with their own states.
#[derive(Debug, Clone)]
pub(super) struct Block<const W: usize> {
    pub(super) state: State<W>,
    /// Current at this instant in A.
    current: Lanes<W>,
    pub(super) ambient_c: Lanes<W>,
    /// Size of each cell against its parameters, and what its contacts add in ohm.
    pub(super) size: Lanes<W>,
    pub(super) extra_ohm: Lanes<W>,
    /// Whether time ages the cells.
    pub(super) ages: bool,
    /// Whether the heat that the particles release while their concentration evens out is counted.
    pub(super) mixes: bool,
    /// What the state and the temperature mean for the terminals.
    terminals: Terminals<W>,
    /// Terminal voltage in V and heat in W per unit of size at the present current, without that of mixing.
    voltage_v: Lanes<W>,
    heat_w: Lanes<W>,
    /// Heat of mixing in W per unit of size.
    mixing_w: Lanes<W>,
    /// Heat released since this was last set to 0, in J.
    pub(super) released_j: Lanes<W>,
    /// Whether the core temperatures come from outside: then the thermal nodes rest.
    imposed: bool,
    laws: Laws<W>,
    particles: Diffusion<[Lanes<W>; 2]>,
    electrolyte: Diffusion<Lanes<W>>,
    /// Lithium from reaction and migration to each node of the electrolyte per A.
    load: Vec<Lanes<W>>,
    /// The thermal nodes' answer to a step, and its length in s.
    heat_step: (f64, Propagator),
}

/// What a cell remembers.
#[derive(Debug, Clone)]
pub(super) struct State<const W: usize> {
    /// Stoichiometries of both particles, node by node from the centre.
    pub(super) particles: Vec<Pair<Lanes<W>>>,
    /// Concentrations in mol/m3 across the cell.
    pub(super) electrolyte: Vec<Lanes<W>>,
    /// Core and surface in degC.
    pub(super) temperature_c: Pair<Lanes<W>>,
    /// State of the open-circuit hysteresis, -1..1.
    pub(super) hysteresis: Pair<Lanes<W>>,
    /// Active material left, 1 when new.
    pub(super) active: Pair<Lanes<W>>,
    /// Thickness of the film in m.
    pub(super) film_m: Lanes<W>,
    /// Lithium in the film beyond the new cell's, on the electrode and without contact, in A s per unit of size.
    pub(super) film_as: Lanes<W>,
    pub(super) plated_as: Lanes<W>,
    pub(super) dead_as: Lanes<W>,
    /// Lithium that went with lost active material, in A s per unit of size.
    pub(super) material_as: Lanes<W>,
}

/// What determines the voltage at any current `I` (A per unit of size):
/// `V = open - I ohm - thermal (asinh(I reaction[0]) + asinh(I reaction[1]))`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminals<const W: usize> {
    /// Open-circuit voltage of the surfaces with the electrolyte's concentration voltage, in V.
    open_v: Lanes<W>,
    /// Open-circuit voltage that counts for the heat: the surfaces', midway between the branches.
    equilibrium_v: Lanes<W>,
    entropic_v_per_k: Lanes<W>,
    ohm: Lanes<W>,
    /// 2 R T / F.
    thermal_v: Lanes<W>,
    /// 1 / (2 exchange current) in 1/A.
    reaction: Pair<Lanes<W>>,
    kelvin: Lanes<W>,
    /// Potential of the negative electrode against the electrolyte at the separator, without overpotential and without
    /// the voltage between the electrolyte there and on average; what that comes from; its ohms.
    anode_open_v: Lanes<W>,
    anode_diffusion_v: Lanes<W>,
    anode_ratio: Lanes<W>,
    anode_ohm: Lanes<W>,
}

/// What a failed step goes back to.
#[derive(Debug, Clone)]
pub(super) struct Memory<const W: usize> {
    state: State<W>,
    laws: Laws<W>,
    current: Lanes<W>,
    mixing_w: Lanes<W>,
}

impl<const W: usize> State<W> {
    /// Mean stoichiometry of the negative (0) or positive (1) electrode.
    pub(super) fn mean_stoichiometry(&self, m: &Model, side: usize) -> Lanes<W> {
        let mut mean = Lanes::ZERO;
        for (x, &share) in self.particles.iter().zip(&m.shell_shares) {
            mean += x[side] * share;
        }
        mean
    }

    /// Takes over another state of the same size without allocating.
    fn copy_from(&mut self, other: &Self) {
        let (mut particles, mut electrolyte) =
            (std::mem::take(&mut self.particles), std::mem::take(&mut self.electrolyte));
        particles.copy_from_slice(&other.particles);
        electrolyte.copy_from_slice(&other.electrolyte);
        let Self {
            temperature_c, hysteresis, active, film_m, film_as, plated_as, dead_as, material_as, ..
        } = *other;
        *self = Self {
            particles,
            electrolyte,
            temperature_c,
            hysteresis,
            active,
            film_m,
            film_as,
            plated_as,
            dead_as,
            material_as,
        };
    }
}

impl<const W: usize> Terminals<W> {
    /// Terminal voltage in V at `i` A per unit of size.
    #[inline(always)]
    fn voltage_v(&self, i: Lanes<W>) -> Lanes<W> {
        let size = i.abs();
        // The two inverse hyperbolic sines share one logarithm.
        let [a, b] = self.reaction.map(|r| {
            let x = size * r;
            x + (x * x + 1.0).sqrt()
        });
        let over = self.thermal_v * (a * b).map(f64::ln);
        self.open_v - i * self.ohm - over.zip(i, f64::copysign)
    }

    /// Voltage in V, and heat in W per unit of size: from what the voltage lacks, and the entropic part.
    #[inline(always)]
    pub(super) fn voltage_and_heat(&self, i: Lanes<W>) -> [Lanes<W>; 2] {
        let voltage = self.voltage_v(i);
        [voltage, i * (self.equilibrium_v - voltage - self.kelvin * self.entropic_v_per_k)]
    }

    /// Potential of the negative electrode against the electrolyte at the separator in V.
    #[inline(always)]
    pub(super) fn anode_v(&self, i: Lanes<W>) -> Lanes<W> {
        let over = self.thermal_v * (i * self.reaction[0]).map(f64::asinh);
        let concentration_v = self.anode_diffusion_v * self.anode_ratio.map(f64::ln);
        self.anode_open_v - concentration_v + over + i * self.anode_ohm
    }
}

/// Temperature-dependent factors at the temperature where they were last worked out.
#[derive(Debug, Clone, Copy)]
struct Laws<const W: usize> {
    kelvin: Lanes<W>,
    diffusivity: Pair<[AtTemperature; W]>,
    /// Twice the exchange current at half-filled particles and rested electrolyte over `sqrt(x (1 - x))`, in A.
    twice_exchange_a: Pair<Lanes<W>>,
    electrolyte_diffusivity: [AtTemperature; W],
    conductivity: [AtTemperature; W],
    transference: [AtTemperature; W],
    factor: [AtTemperature; W],
}

impl<const W: usize> Laws<W> {
    fn new(m: &Model, kelvin: Lanes<W>) -> Self {
        let at = |p: &Property| kelvin.0.map(|t| p.at_temperature(t));
        let s = &m.solution;
        Self {
            kelvin,
            diffusivity: [0, 1].map(|k| at(&m.sides[k].diffusivity)),
            twice_exchange_a: [0, 1].map(|k| {
                let side = &m.sides[k];
                kelvin.map(|t| side.twice_exchange_a * side.rate.at(0.5, side.rate.at_temperature(t)))
            }),
            electrolyte_diffusivity: at(&s.diffusivity_integral),
            conductivity: at(&s.conductivity),
            transference: at(&s.transference),
            factor: at(&s.factor),
        }
    }
}

#[inline(always)]
fn evaluate<const W: usize>(p: &Property, x: Lanes<W>, t: &[AtTemperature; W]) -> Lanes<W> {
    Lanes::from_fn(
        #[inline(always)]
        |w| p.at(x.0[w], t[w]),
    )
}

/// [`Property::mean`] lane by lane.
#[inline(always)]
fn means<const W: usize>(
    integral: &Property,
    [a, b]: [Lanes<W>; 2],
    [at_a, at_b]: [Lanes<W>; 2],
    t: &[AtTemperature; W],
) -> Lanes<W> {
    Lanes::from_fn(
        #[inline(always)]
        |w| integral.mean([a.0[w], b.0[w]], [at_a.0[w], at_b.0[w]], t[w]),
    )
}

/// A factorised diffusion problem and room to solve it; one entry per node (elements: one fewer).
#[derive(Debug, Clone)]
struct Diffusion<T> {
    /// Step in s that the factors hold for; 0 before the first.
    dt_s: f64,
    /// Whether the temperature has moved since the factors were worked out.
    stale: bool,
    /// Concentrations that the factors hold for, and stiffness there, per element.
    values: Vec<T>,
    stiffness: Vec<T>,
    /// Off-diagonal factor per element and inverse pivot per node.
    lower: Vec<T>,
    inverse: Vec<T>,
    /// Rates of the stage at hand.
    rates: Vec<T>,
}

impl<T: Copy> Diffusion<T> {
    fn new(nodes: usize, zero: T) -> Self {
        let (elements, nodes) = (vec![zero; nodes - 1], vec![zero; nodes]);
        Self {
            dt_s: 0.0,
            stale: true,
            values: nodes.clone(),
            stiffness: elements.clone(),
            lower: elements,
            inverse: nodes.clone(),
            rates: nodes,
        }
    }
}

/// Arithmetic that the solver needs, for one chain of nodes or for two side by side.
trait Chain: Copy {
    fn times(self, other: Self) -> Self;
    fn scaled(self, factor: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn inverse(self) -> Self;
    fn constant(value: f64) -> Self;
}

impl<const W: usize> Chain for Lanes<W> {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn scaled(self, factor: f64) -> Self {
        self * factor
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn inverse(self) -> Self {
        1.0 / self
    }
    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self::splat(value)
    }
}

impl<const W: usize> Chain for [Lanes<W>; 2] {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        [self[0] * other[0], self[1] * other[1]]
    }
    #[inline(always)]
    fn scaled(self, factor: f64) -> Self {
        self.map(|v| v * factor)
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        [self[0] + other[0], self[1] + other[1]]
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        [self[0] - other[0], self[1] - other[1]]
    }
    #[inline(always)]
    fn inverse(self) -> Self {
        self.map(|v| 1.0 / v)
    }
    #[inline(always)]
    fn constant(value: f64) -> Self {
        [Lanes::splat(value); 2]
    }
}

impl<T: Chain> Diffusion<T> {
    /// Factorises `mass + gamma dt stiffness` from both ends towards the middle, so that two short chains of operations
    /// run side by side instead of a long one.
    #[inline(always)]
    fn factorise(&mut self, mesh: &super::mesh::Mesh, dt_s: f64) {
        self.dt_s = dt_s;
        self.stale = false;
        let weight = GAMMA * dt_s;
        let n = self.stiffness.len();
        let (diagonal, off) = (&mesh.mass_diagonal[..=n], &mesh.mass_off[..n]);
        let (stiffness, lower, inverse) =
            (&self.stiffness[..n], &mut self.lower[..n], &mut self.inverse[..=n]);
        let middle = n / 2;
        let element = |e: usize| {
            let flow = stiffness[e].scaled(weight);
            (flow, T::constant(off[e]).minus(flow))
        };
        let mut left = T::constant(diagonal[0]);
        for e in 0..middle {
            let (flow, coupling) = element(e);
            inverse[e] = left.plus(flow).inverse();
            lower[e] = coupling.times(inverse[e]);
            left = T::constant(diagonal[e + 1]).plus(flow).minus(coupling.times(lower[e]));
        }
        let mut right = T::constant(diagonal[n]);
        for e in (middle..n).rev() {
            let (flow, coupling) = element(e);
            inverse[e + 1] = right.plus(flow).inverse();
            lower[e] = coupling.times(inverse[e + 1]);
            right = T::constant(diagonal[e]).plus(flow).minus(coupling.times(lower[e]));
        }
        // Both sums hold the middle's own mass.
        inverse[middle] = left.plus(right).minus(T::constant(diagonal[middle])).inverse();
    }

    /// Solves for the rates under the state `values` of a stage, from both ends and back. `source` adds what each node
    /// but the last receives from outside; `last_source` is the last node's.
    #[inline(always)]
    fn solve(&mut self, values: &[T], source: impl Fn(usize, T) -> T, last_source: T) {
        let n = self.stiffness.len();
        let (stiffness, lower, inverse) = (&self.stiffness[..n], &self.lower[..n], &self.inverse[..=n]);
        let (values, rates) = (&values[..=n], &mut self.rates[..=n]);
        let middle = n / 2;
        let flow = |e: usize| stiffness[e].times(values[e + 1].minus(values[e]));
        // The flows into and out of the node at hand, and what was eliminated before it.
        let mut left_flow = flow(0);
        let mut left = source(0, left_flow);
        rates[0] = left;
        let mut right_flow = flow(n - 1);
        let mut right = last_source.minus(right_flow);
        rates[n] = right;
        let mut i = n;
        // An odd number of elements leaves one more node on the right.
        if n % 2 == 1 {
            i -= 1;
            let before = flow(i - 1);
            right = source(i, right_flow.minus(before)).minus(lower[i].times(right));
            right_flow = before;
            rates[i] = right;
        }
        for k in 1..middle {
            let next = flow(k);
            left = source(k, next.minus(left_flow)).minus(lower[k - 1].times(left));
            left_flow = next;
            rates[k] = left;
            i -= 1;
            let before = flow(i - 1);
            right = source(i, right_flow.minus(before)).minus(lower[i].times(right));
            right_flow = before;
            rates[i] = right;
        }
        let eliminated = lower[middle - 1].times(left).plus(lower[middle].times(right));
        left = source(middle, right_flow.minus(left_flow)).minus(eliminated).times(inverse[middle]);
        right = left;
        rates[middle] = left;
        for k in 1..=middle {
            let (l, r) = (middle - k, middle + k);
            left = rates[l].times(inverse[l]).minus(lower[l].times(left));
            rates[l] = left;
            right = rates[r].times(inverse[r]).minus(lower[r - 1].times(right));
            rates[r] = right;
        }
        if n % 2 == 1 {
            rates[n] = rates[n].times(inverse[n]).minus(lower[n - 1].times(right));
        }
    }

    /// One step of `values` with the sources at the two stages; the last node's sources are given on their own.
    #[inline(always)]
    fn step(
        &mut self,
        values: &mut [T],
        first_source: impl Fn(usize, T) -> T,
        second_source: impl Fn(usize, T) -> T,
        last_sources: [T; 2],
    ) {
        self.solve(values, first_source, last_sources[0]);
        // The state of the second stage replaces the old one: only its rate is still to be added.
        let to_stage = (1.0 - GAMMA) * self.dt_s;
        for (value, rate) in values.iter_mut().zip(&self.rates) {
            *value = value.plus(rate.scaled(to_stage));
        }
        self.solve(values, second_source, last_sources[1]);
        let from_stage = GAMMA * self.dt_s;
        for (value, rate) in values.iter_mut().zip(&self.rates) {
            *value = value.plus(rate.scaled(from_stage));
        }
    }
}

impl<const W: usize> Block<W> {
    /// Rested cells at the stoichiometries given for negative and positive electrode and at one temperature each.
    pub(super) fn new(m: &Model, stoichiometry: Pair<Lanes<W>>, temperature_c: Lanes<W>) -> Self {
        let (particle_nodes, electrolyte_nodes) = (m.particle.nodes(), m.solution.mesh.nodes());
        let film_m = m.ageing.as_ref().and_then(|a| a.sei).map_or(0.0, |s| s.initial_thickness_m);
        let state = State {
            particles: vec![stoichiometry; particle_nodes],
            electrolyte: vec![Lanes::splat(m.solution.initial); electrolyte_nodes],
            temperature_c: [temperature_c; 2],
            hysteresis: [Lanes::ZERO; 2],
            active: [Lanes::splat(1.0); 2],
            film_m: Lanes::splat(film_m),
            film_as: Lanes::ZERO,
            plated_as: Lanes::ZERO,
            dead_as: Lanes::ZERO,
            material_as: Lanes::ZERO,
        };
        let laws = Laws::new(m, temperature_c.map(kelvin));
        let mut block = Self {
            current: Lanes::ZERO,
            ambient_c: temperature_c,
            size: Lanes::splat(1.0),
            extra_ohm: Lanes::ZERO,
            ages: m.ageing.is_some(),
            mixes: false,
            terminals: terminals(m, &state, &laws, Lanes::ZERO),
            laws,
            particles: Diffusion::new(particle_nodes, [Lanes::ZERO; 2]),
            electrolyte: Diffusion::new(electrolyte_nodes, Lanes::ZERO),
            load: vec![Lanes::ZERO; electrolyte_nodes],
            heat_step: (0.0, Propagator::default()),
            voltage_v: Lanes::ZERO,
            heat_w: Lanes::ZERO,
            mixing_w: Lanes::ZERO,
            released_j: Lanes::ZERO,
            imposed: false,
            state,
        };
        block.set_load(m);
        block.read();
        block
    }

    /// Current in A.
    pub(super) fn current(&self) -> Lanes<W> {
        self.current
    }

    /// Terminal voltage in V.
    pub(super) fn voltage_v(&self) -> Lanes<W> {
        self.voltage_v
    }

    /// Heat in W.
    pub(super) fn heat_w(&self) -> Lanes<W> {
        (self.heat_w + self.mixing_w) * self.size
    }

    /// Potential of the negative electrode, under its film, against the electrolyte at the separator in V.
    pub(super) fn anode_v(&self) -> Lanes<W> {
        self.terminals.anode_v(self.current / self.size)
    }

    /// Sets the current in A.
    #[inline(always)]
    pub(super) fn set_current(&mut self, current: Lanes<W>) {
        self.current = current;
        self.read();
    }

    #[inline(always)]
    fn read(&mut self) {
        [self.voltage_v, self.heat_w] = self.terminals.voltage_and_heat(self.current / self.size);
    }

    /// Works out anew what the terminals show, after the state was changed from outside.
    pub(super) fn refresh(&mut self, m: &Model) {
        self.laws = Laws::new(m, self.state.temperature_c[0].map(kelvin));
        (self.particles.stale, self.electrolyte.stale) = (true, true);
        self.terminals = terminals(m, &self.state, &self.laws, self.extra_ohm * self.size);
        self.read();
    }

    /// A memory of this moment.
    pub(super) fn memory(&self) -> Memory<W> {
        Memory { state: self.state.clone(), laws: self.laws, current: self.current, mixing_w: self.mixing_w }
    }

    /// Brings `memory` to this moment without allocating.
    #[inline(always)]
    pub(super) fn remember(&self, memory: &mut Memory<W>) {
        memory.state.copy_from(&self.state);
        (memory.laws, memory.current, memory.mixing_w) = (self.laws, self.current, self.mixing_w);
    }

    /// Goes back to the moment of `memory`.
    pub(super) fn go_back(&mut self, m: &Model, memory: &Memory<W>) {
        self.state.copy_from(&memory.state);
        (self.laws, self.current, self.mixing_w) = (memory.laws, memory.current, memory.mixing_w);
        (self.particles.stale, self.electrolyte.stale) = (true, true);
        self.terminals = terminals(m, &self.state, &self.laws, self.extra_ohm * self.size);
        self.read();
    }

    /// One piece of `dt_s` seconds in which the current goes linearly from the present one to `to` (A).
    #[inline(always)]
    pub(super) fn advance_piece(&mut self, m: &Model, to: Lanes<W>, dt_s: f64) {
        let [i0, i1] = [self.current / self.size, to / self.size];
        let (heat_before, mixing_before) = (self.heat_w, self.mixing_w);
        let side_current = match &m.ageing {
            Some(ageing) if self.ages => self.age(m, ageing, i0, i1, dt_s),
            _ => Lanes::ZERO,
        };
        self.follow_temperature(m, SAME_TEMPERATURE_K);
        self.diffuse(m, i0, i1, side_current, dt_s);
        self.follow_hysteresis(m, 0.5 * (i0 + i1), dt_s);
        self.current = to;
        let scaled_ohm = self.extra_ohm * self.size;
        self.terminals = terminals(m, &self.state, &self.laws, scaled_ohm);
        [self.voltage_v, self.heat_w] = self.terminals.voltage_and_heat(i1);
        if self.mixes {
            self.mixing_w = self.mixing_heat(m);
        }
        let mut heat = 0.5 * (heat_before + self.heat_w);
        if (i1 - i0).any(|d| d != 0.0) {
            // Heat goes with the square of the current: Simpson's rule along the ramp.
            let [_, middle] = self.terminals.voltage_and_heat(0.5 * (i0 + i1));
            heat = (heat + 2.0 * middle) * (1.0 / 3.0);
        }
        let heat = heat + 0.5 * (mixing_before + self.mixing_w);
        self.released_j += heat * self.size * dt_s;
        if !self.imposed {
            self.warm(m, heat, dt_s);
        }
        // A temperature that hardly moved may wait for the next piece.
        if self.follow_temperature(m, READ_TEMPERATURE_K) {
            self.terminals = terminals(m, &self.state, &self.laws, scaled_ohm);
            [self.voltage_v, self.heat_w] = self.terminals.voltage_and_heat(i1);
        }
    }

    /// Takes core temperatures in degC from outside, now and from here on.
    pub(super) fn impose(&mut self, m: &Model, core_c: Lanes<W>) {
        self.imposed = true;
        self.state.temperature_c[0] = core_c;
        if self.follow_temperature(m, READ_TEMPERATURE_K) {
            self.terminals = terminals(m, &self.state, &self.laws, self.extra_ohm * self.size);
            self.read();
        }
    }

    /// Voltage in V, heat in W and potential of the negative electrode in V if the current were `i` A at this instant.
    #[inline(always)]
    pub(super) fn at_current(&self, i: Lanes<W>) -> [Lanes<W>; 3] {
        let i = i / self.size;
        let [voltage, heat] = self.terminals.voltage_and_heat(i);
        [voltage, heat * self.size, self.terminals.anode_v(i)]
    }

    /// About the voltage in V that a step of `dt_s` seconds at `i` A would end at, and the resistance `-dV/dI` in ohm there:
    /// ohmic and charge-transfer overpotentials of this instant, and where the particles' surfaces go. Electrolyte and
    /// temperature stay as they are.
    ///
    /// The surface follows the mean under the present current; a flux `f` on top raises the surface of a sphere of radius 1 by
    /// `f / d (2 sqrt(t / pi) + t)` after a short time `t` (in units of 1 / d, with the diffusivity d), and by `f / d (3 t +
    /// 1/5)` after a long one (J. Crank, *The Mathematics of Diffusion*, 1975, chapter 6).
    #[inline(always)]
    pub(super) fn foresee(&self, m: &Model, i: Lanes<W>, dt_s: f64) -> [Lanes<W>; 2] {
        let (i, now) = (i / self.size, self.current / self.size);
        let t = &self.terminals;
        let transfer = |r: Lanes<W>| {
            let x = i * r;
            r / (x * x + 1.0).sqrt()
        };
        let mut voltage = t.voltage_v(i);
        let mut ohm = t.ohm + t.thermal_v * (transfer(t.reaction[0]) + transfer(t.reaction[1]));
        let surface = self.state.particles[self.state.particles.len() - 1];
        for (k, side) in m.sides.iter().enumerate() {
            let x = surface[k];
            let d = evaluate(&side.diffusivity, x, &self.laws.diffusivity[k]) * side.per_radius_squared;
            let rise = (d * dt_s).map(|t| {
                if t < 0.1 { std::f64::consts::FRAC_2_SQRT_PI * t.sqrt() + t } else { 3.0 * t + 0.2 }
            });
            let per_as = 1.0 / (side.capacity_as * self.state.active[k]);
            let per_a = rise / (3.0 * d) * per_as;
            let moved = now * dt_s * per_as + (i - now) * per_a;
            // Discharge fills the positive electrode and empties the negative one, so that both voltages fall.
            let (x_then, sign) = if k == 0 { (x - moved, -1.0) } else { (x + moved, 1.0) };
            let ocp = |x: Lanes<W>| x.map(|x| side.ocp_v.at(x));
            voltage += sign * (ocp(x_then) - ocp(x));
            let fall = ocp(x_then - SLOPE_REACH) - ocp(x_then + SLOPE_REACH);
            // Measured potentials have wiggles, which must not make the resistance negative.
            ohm += (fall * (0.5 / SLOPE_REACH)).at_least(0.0) * per_a;
        }
        [voltage, ohm / self.size]
    }

    /// Works out the Arrhenius factors anew if the temperature has moved by more than `apart` K since; whether it did.
    #[inline(always)]
    fn follow_temperature(&mut self, m: &Model, apart: f64) -> bool {
        let now = self.state.temperature_c[0].map(kelvin);
        let moved = (now - self.laws.kelvin).any(|d| d.abs() > apart || d.is_nan());
        if moved {
            self.laws = Laws::new(m, now);
            (self.particles.stale, self.electrolyte.stale) = (true, true);
        }
        moved
    }

    /// Diffusion in both particles and in the electrolyte.
    #[inline(always)]
    fn diffuse(&mut self, m: &Model, i0: Lanes<W>, i1: Lanes<W>, side_current: Lanes<W>, dt_s: f64) {
        self.set_particle_stiffness(m, dt_s);
        let stage = [i0 + GAMMA * (i1 - i0), i1];
        // Flux through the surface: a third of the rate of the mean stoichiometry (the volume of the mesh).
        let flux = stage.map(|i| {
            let [negative, positive] = [0, 1].map(|k| 3.0 * m.sides[k].capacity_as * self.state.active[k]);
            [-((i + side_current) / negative), i / positive]
        });
        self.particles.step(&mut self.state.particles, |_, flow| flow, |_, flow| flow, flux);

        self.set_electrolyte_stiffness(m, dt_s);
        let load = &self.load[..self.state.electrolyte.len()];
        let last = load[load.len() - 1];
        self.electrolyte.step(
            &mut self.state.electrolyte,
            |i, flow| load[i] * stage[0] + flow,
            |i, flow| load[i] * stage[1] + flow,
            stage.map(|i| last * i),
        );
    }

    #[inline(always)]
    fn set_particle_stiffness(&mut self, m: &Model, dt_s: f64) {
        let solver = &mut self.particles;
        let mut moved = false;
        for k in [0, 1] {
            if m.sides[k].diffusivity.constant().is_none() {
                for (x, used) in self.state.particles.iter().zip(&solver.values) {
                    moved |= (x[k] - used[k]).any(|d| d.abs() > SAME_STOICHIOMETRY);
                }
            }
        }
        if !(moved || solver.stale || solver.dt_s != dt_s) {
            return;
        }
        let x = &self.state.particles;
        for k in [0, 1] {
            let (side, laws) = (&m.sides[k], &self.laws.diffusivity[k]);
            if side.diffusivity.constant().is_some() {
                let d = evaluate(&side.diffusivity, x[0][k], laws) * side.per_radius_squared;
                for (stiffness, &geometry) in solver.stiffness.iter_mut().zip(&m.particle.stiffness) {
                    stiffness[k] = d * geometry;
                }
                continue;
            }
            let integral = &side.diffusivity_integral;
            let mut before = evaluate(integral, x[0][k], laws);
            for (e, (stiffness, &geometry)) in
                solver.stiffness.iter_mut().zip(&m.particle.stiffness).enumerate()
            {
                let after = evaluate(integral, x[e + 1][k], laws);
                let mean = means(integral, [x[e][k], x[e + 1][k]], [before, after], laws);
                stiffness[k] = mean * (side.per_radius_squared * geometry);
                before = after;
            }
        }
        solver.values.copy_from_slice(x);
        solver.factorise(&m.particle, dt_s);
    }

    #[inline(always)]
    fn set_electrolyte_stiffness(&mut self, m: &Model, dt_s: f64) {
        let (solver, s) = (&mut self.electrolyte, &m.solution);
        let same = SAME_CONCENTRATION * s.initial;
        let mut moved = false;
        for (c, used) in self.state.electrolyte.iter().zip(&solver.values) {
            moved |= (*c - *used).any(|d| d.abs() > same);
        }
        if !(moved || solver.stale || solver.dt_s != dt_s) {
            return;
        }
        let c = &self.state.electrolyte;
        let laws = &self.laws.electrolyte_diffusivity;
        let mut before = evaluate(&s.diffusivity_integral, c[0], laws);
        for (e, (stiffness, &geometry)) in solver.stiffness.iter_mut().zip(&s.mesh.stiffness).enumerate() {
            let after = evaluate(&s.diffusivity_integral, c[e + 1], laws);
            *stiffness = means(&s.diffusivity_integral, [c[e], c[e + 1]], [before, after], laws) * geometry;
            before = after;
        }
        solver.values.copy_from_slice(c);
        solver.factorise(&s.mesh, dt_s);
        if s.transference.constant().is_none() {
            self.set_load(m);
        }
    }

    /// Lithium that 1 A brings to each node of the electrolyte by reaction and migration.
    #[inline(always)]
    fn set_load(&mut self, m: &Model) {
        let s = &m.solution;
        for (load, &reaction) in self.load.iter_mut().zip(&s.reaction) {
            *load = Lanes::splat(reaction);
        }
        for (e, &ionic) in s.ionic.iter().enumerate() {
            let c = 0.5 * (self.state.electrolyte[e] + self.state.electrolyte[e + 1]);
            let carried = evaluate(&s.transference, c, &self.laws.transference) * ionic;
            self.load[e] -= carried;
            self.load[e + 1] += carried;
        }
    }

    /// The hysteresis states decay towards the branch that the current leads to.
    #[inline(always)]
    fn follow_hysteresis(&mut self, m: &Model, i: Lanes<W>, dt_s: f64) {
        for k in [0, 1] {
            let Some(branches) = &m.sides[k].hysteresis else { continue };
            let into_delithiation = if k == 0 { i } else { -i };
            let moved = i.abs() * (dt_s / m.sides[k].capacity_as) / self.state.active[k];
            let rest = moved.map(|x| (-0.5 * branches.decay * x).exp());
            let aim = into_delithiation.map(|v| if v == 0.0 { 0.0 } else { v.signum() });
            let h = self.state.hysteresis[k];
            // Without current `moved` is 0, so that the aim does not count.
            self.state.hysteresis[k] = aim + (h - aim) * rest;
        }
    }

    /// What the particles release while their concentration evens out: `-F N integral(D abs(grad c)^2 dU/dc dV)` over
    /// all particles, element by element with the diffusivities of the step.
    fn mixing_heat(&self, m: &Model) -> Lanes<W> {
        let mut heat = Lanes::ZERO;
        for (k, side) in m.sides.iter().enumerate() {
            let ocp = |x: Lanes<W>| x.map(|x| side.ocp_v.at(x));
            let mut sum = Lanes::ZERO;
            let mut inner = ocp(self.state.particles[0][k]);
            for (x, stiffness) in self.state.particles.windows(2).zip(&self.particles.stiffness) {
                let outer = ocp(x[1][k]);
                sum += stiffness[k] * (x[1][k] - x[0][k]) * (inner - outer);
                inner = outer;
            }
            heat += 3.0 * side.capacity_as * self.state.active[k] * sum;
        }
        heat
    }

    #[inline(always)]
    fn warm(&mut self, m: &Model, heat: Lanes<W>, dt_s: f64) {
        if self.heat_step.0 != dt_s {
            self.heat_step = (dt_s, m.parameters.thermal.propagator(dt_s));
        }
        let Propagator { free, forced } = self.heat_step.1;
        let ambient = self.ambient_c;
        let above = self.state.temperature_c.map(|t| t - ambient);
        self.state.temperature_c =
            [0, 1].map(|k| ambient + free[k][0] * above[0] + free[k][1] * above[1] + forced[k] * heat);
    }

    /// Film growth, plating and loss of active material over a piece; the current in A per unit of size that the side
    /// reactions take from the negative particle on top.
    #[inline]
    fn age(
        &mut self,
        m: &Model,
        ageing: &AgeingParameters,
        i0: Lanes<W>,
        i1: Lanes<W>,
        dt_s: f64,
    ) -> Lanes<W> {
        let negative = &m.sides[0];
        let t = self.laws.kelvin;
        let per_volt = FARADAY / GAS / t;
        let warmer = |activation: f64| t.map(|t| (activation / GAS * (1.0 / m.reference_k - 1.0 / t)).exp());
        let surface = negative.surface_m2 * self.state.active[0];
        let mean_i = 0.5 * (i0 + i1);
        let driving_v = self.terminals.anode_v(mean_i).at_least(LOWEST_DRIVING_V);
        let mut side_as = Lanes::ZERO;
        let mut film_ratio = Lanes::splat(1.0);
        if let Some(sei) = ageing.sei {
            film_ratio = sei.initial_thickness_m / self.state.film_m;
            let barrier = (-driving_v * per_volt).map(f64::exp);
            let per_thickness =
                FARADAY * sei.interstitial_mol_per_m_s * warmer(sei.activation_j_per_mol) * barrier;
            // L grows as dL/dt = g / L under a constant g: exactly the root of L^2 + 2 g dt.
            let volume = sei.volume_m3_per_as();
            let film = self.state.film_m;
            let grown = (film * film + 2.0 * dt_s * volume * per_thickness).sqrt();
            let bound = (grown - film) / volume * surface;
            self.state.film_m = grown;
            self.state.film_as += bound;
            side_as += bound;
        }
        if let Some(p) = ageing.plating {
            let eta = driving_v * per_volt;
            let c_e = self.state.electrolyte[m.solution.elements[0]].at_least(0.0);
            let (mut growth, mut solution) =
                (eta.map(|e| (-p.transfer * e).exp()), eta.map(|e| ((1.0 - p.transfer) * e).exp()));
            if p.only_below_zero {
                (growth, solution) = ((growth - solution).at_least(0.0), (solution - growth).at_least(0.0));
            }
            let forward = FARADAY * p.rate_m_per_s * surface * c_e * growth;
            // Concentration of the plated lithium per volume of electrode.
            let back = p.rate_m_per_s * surface / negative.volume_m3 * solution;
            let dying = p.dead_per_s * film_ratio;
            // Implicit in the plated lithium, which stripping may remove within milliseconds.
            let before = self.state.plated_as;
            let after = (before + dt_s * forward) / (1.0 + dt_s * (back + dying));
            let died = dt_s * dying * after;
            self.state.plated_as = after;
            self.state.dead_as += died;
            side_as += after - before + died;
        }
        for (k, loss) in [ageing.negative_loss, ageing.positive_loss].into_iter().enumerate() {
            let Some(loss) = loss else { continue };
            let moved = mean_i.abs() * (dt_s / m.sides[k].capacity_as) / self.state.active[k];
            let lost = loss.per_stoichiometry * moved * warmer(loss.activation_j_per_mol);
            let left = self.state.active[k] * (-lost).map(f64::exp);
            let gone = (self.state.active[k] - left) * m.sides[k].capacity_as;
            self.state.material_as += gone * self.state.mean_stoichiometry(m, k);
            self.state.active[k] = left;
        }
        side_as / dt_s
    }
}

/// Resistance of the film in ohm per unit of size.
#[inline(always)]
pub(super) fn film_ohm<const W: usize>(m: &Model, ageing: &AgeingParameters, state: &State<W>) -> Lanes<W> {
    let Some(sei) = ageing.sei else { return Lanes::ZERO };
    state.film_m * sei.resistivity_ohm_m / (m.sides[0].surface_m2 * state.active[0])
}

/// Mean over an electrode of the electrolyte's concentration, and of the logarithm of concentration over mean. `nodes` are
/// those of the electrode; `order` gives the place of the node that is so many elements away from the current collector.
///
/// The trapezoidal rule with the end correction of Euler and Maclaurin, whose slope is 0 at the current collector.
#[inline(always)]
fn electrode_means<const W: usize>(
    nodes: &[Lanes<W>],
    order: impl Fn(usize) -> usize,
    floor: f64,
) -> [Lanes<W>; 2] {
    let elements = nodes.len() - 1;
    let per_element = 1.0 / elements as f64;
    let [at_collector, at_separator] = [nodes[order(0)], nodes[order(elements)]];
    let slope = 1.5 * at_separator - 2.0 * nodes[order(elements - 1)] + 0.5 * nodes[order(elements - 2)];
    let inside = &nodes[1..elements];
    let mut sum = 0.5 * (at_collector + at_separator) - slope * (1.0 / 12.0);
    for c in inside {
        sum += *c;
    }
    let mean = (sum * per_element).at_least(floor);
    // The logarithm of a product: one logarithm for all nodes.
    let per_mean = 1.0 / mean;
    let ratio = |c: Lanes<W>| (c * per_mean).at_least(EXHAUSTED);
    let end = ratio(at_separator);
    let mut product = (ratio(at_collector) * end).sqrt();
    for c in inside {
        product = product * ratio(*c);
    }
    let end_slope = slope * per_mean / end;
    [mean, (product.map(f64::ln) - end_slope * (1.0 / 12.0)) * per_element]
}

/// What the present state means for the terminals.
#[inline(always)]
fn terminals<const W: usize>(
    m: &Model,
    state: &State<W>,
    laws: &Laws<W>,
    extra_ohm: Lanes<W>,
) -> Terminals<W> {
    let s = &m.solution;
    let t = laws.kelvin;
    let surface = state.particles[state.particles.len() - 1];
    let warmer = t - m.reference_k;

    // Electrolyte: means over the layers.
    let [n, n_s, n_p] = s.elements;
    let c = &state.electrolyte[..=n + n_s + n_p];
    let floor = EXHAUSTED * s.initial;
    let [mean_n, log_n] = electrode_means(&c[..=n], |i| i, floor);
    let [mean_p, log_p] = electrode_means(&c[n + n_s..], |i| n_p - i, floor);
    let mut mean_s = 0.5 * (c[n] + c[n + n_s]);
    for node in &c[n + 1..n + n_s] {
        mean_s += *node;
    }
    let mean_s = (mean_s / n_s as f64).at_least(floor);
    let [w_n, w_s, w_p] = s.width_shares;
    let average = w_n * mean_n + w_s * mean_s + w_p * mean_p;
    let conductivity = evaluate(&s.conductivity, average, &laws.conductivity);
    let transference = evaluate(&s.transference, average, &laws.transference);
    let factor = evaluate(&s.factor, average, &laws.factor);
    let thermal_v = (2.0 * GAS / FARADAY) * t;
    let diffusion_v = thermal_v * (1.0 - transference) * factor;
    let concentration_v = diffusion_v * ((mean_p / mean_n).map(f64::ln) + log_p - log_n);

    // Electrodes.
    let logs = [log_n, log_p];
    let means = [mean_n, mean_p];
    let mut open = [Lanes::ZERO; 2];
    let mut equilibrium = [Lanes::ZERO; 2];
    let mut entropic = [Lanes::ZERO; 2];
    let mut reaction = [Lanes::ZERO; 2];
    for k in [0, 1] {
        let side = &m.sides[k];
        let x = surface[k];
        entropic[k] = x.map(|x| side.entropic_v_per_k.at(x));
        let shift = warmer * entropic[k];
        equilibrium[k] = x.map(|x| side.ocp_v.at(x)) + shift;
        open[k] = match &side.hysteresis {
            None => equilibrium[k],
            Some(b) => {
                let up = 0.5 * (1.0 + state.hysteresis[k]);
                let (upper, lower) = (x.map(|x| b.delithiation_v.at(x)), x.map(|x| b.lithiation_v.at(x)));
                lower + up * (upper - lower) + shift
            }
        };
        // The overpotential averages over the electrode; the logarithmic mean of the concentration stands for that.
        let ratio = means[k] / s.initial * (1.0 + logs[k] + 0.5 * logs[k] * logs[k]);
        let x = x.map(|x| x.clamp(1e-6, 1.0 - 1e-6));
        let shape = if side.exponent == 0.5 {
            (ratio * x * (1.0 - x)).sqrt()
        } else {
            let a = side.exponent;
            (ratio * (1.0 - x)).map(|v| v.powf(1.0 - a)) * x.map(|v| v.powf(a))
        };
        reaction[k] = 1.0 / (laws.twice_exchange_a[k] * shape * state.active[k]);
    }
    let film = m.ageing.as_ref().map_or(Lanes::ZERO, |a| film_ohm(m, a, state));
    let ohm = s.ohm_per_resistivity / conductivity
        + (m.sides[0].solid_ohm + m.sides[1].solid_ohm + m.contact_ohm)
        + film
        + extra_ohm;
    Terminals {
        open_v: open[1] - open[0] + concentration_v,
        equilibrium_v: equilibrium[1] - equilibrium[0],
        entropic_v_per_k: entropic[1] - entropic[0],
        ohm,
        thermal_v,
        reaction,
        kelvin: t,
        anode_open_v: open[0] + diffusion_v * log_n,
        anode_diffusion_v: diffusion_v,
        anode_ratio: (c[n] / mean_n).at_least(EXHAUSTED),
        anode_ohm: s.negative_ohm_per_resistivity / conductivity - 0.5 * m.sides[0].solid_ohm,
    }
}
