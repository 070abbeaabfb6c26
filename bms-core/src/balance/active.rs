//! Moving charge between single cells and the whole pack with converters, as far as it pays.
//!
//! A converter that takes the current `i` from cell `k` gives `η i v_k / V` to all cells of the pack (`V`: pack voltage); one
//! that gives `i` to cell `k` takes `i v_k / (η V)` from all. Charge can be moved both ways, so cells are brought to the mean
//! instead of the lowest, and the aim may change with what comes next ([`Meet`]): all full together gets the most into the
//! pack, all empty together the most out of it.
//!
//! # What it is worth
//! With `c_k` the charge that cell `k` has left (or its room), `min c_k` ends the next discharge (or charge). A plan that
//! brings all cells to within `t` of the mean moves
//!
//! ```text
//! m_k = sign(e_k) max(|e_k| - t, 0),     e_k = c_k - mean(c)
//! gain = V (min (c_k after) - min c_k),  loss = Σ_giving m_k v_k (1 - η) + Σ_taking |m_k| v_k (1/η - 1)
//! ```
//!
//! Of some values of `t` the one with the largest `gain - least_gain loss` is taken, if that is above zero. So charge is moved
//! for the cells that limit the pack and not for looks, and moving stops where the next bit would cost more than it brings.
//! The cost is what the converters burn; the gain is counted once, for the discharge or charge that comes next.
//!
//! Source: Cao, Schofield, Emadi (2008), "Battery balancing methods: a comprehensive review", VPPC (cell-to-pack and
//! pack-to-cell converters); for the charge to move see [`super`].

use super::{
    BalanceCell, BalanceCommand, BalanceError, BalanceInput, BalanceRules, BalanceState, Excess, Offer, Turn,
    UC_PER_AH, room_ah,
};
use crate::math::{abs, bound, sqrt};
use crate::soc::Estimated;

/// Values of the spread left that are tried.
const LEVELS: u8 = 8;

/// Where all cells are to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Meet {
    /// All full together: before and during a charge.
    #[default]
    Full,
    /// All empty together: before and during a drive.
    Empty,
}

/// What the converters can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveLimits {
    /// What holds for every way of balancing.
    pub rules: BalanceRules,
    /// Current of a converter at its cell in A.
    pub converter_a: f32,
    /// Share of the energy that arrives, either way.
    pub efficiency: f32,
    /// Energy (Wh) that the pack must gain in the next discharge or charge for every Wh lost.
    pub least_gain: f32,
    /// No cell above this voltage (V) is given charge.
    pub highest_voltage_v: f32,
    /// No cell of which the SOC may be above this (fraction, at the upper end of its band) is given charge.
    pub highest_soc: f32,
}

impl ActiveLimits {
    /// 2 A at 90 %, two converters at once; at least as much gained as lost. For cells of up to 3.6 V (LFP).
    pub const TYPICAL: Self = Self {
        rules: BalanceRules { channels: 2, allowed: [true; 3], ..BalanceRules::TYPICAL },
        converter_a: 2.0,
        efficiency: 0.9,
        least_gain: 1.0,
        highest_voltage_v: 3.55,
        highest_soc: 0.98,
    };

    fn check(&self) -> Result<(), BalanceError> {
        self.rules.check()?;
        let current = self.converter_a > 0.0 && self.converter_a < 1e3;
        if !(current && self.efficiency > 0.1 && self.efficiency < 1.0) {
            return Err(BalanceError::Channel);
        }
        let voltage = self.highest_voltage_v > self.rules.least_voltage_v && self.highest_voltage_v < 10.0;
        let soc = self.highest_soc > self.rules.least_soc && self.highest_soc <= 1.0;
        if !(voltage && soc && self.least_gain >= 0.0 && self.least_gain < 1e6) {
            return Err(BalanceError::Limits);
        }
        Ok(())
    }

    /// What a converter can do for a cell now, in the direction that the plan has for it.
    fn offer(&self, soc: &Estimated, pack_v: f32, cell: &BalanceCell, left_uc: i64) -> Option<Offer> {
        let rules = &self.rules;
        let v = cell.voltage_v.valid()?;
        let (z, q) = cell.known(soc)?;
        let band = rules.sigmas * sqrt(z.std * z.std + soc.std * soc.std);
        let share = v / pack_v;
        if !((0.1..=10.0).contains(&v) && share > 0.0 && share <= 1.0) {
            return None;
        }
        let (i, eta) = (self.converter_a, self.efficiency);
        let (free, offer) = if left_uc > 0 && v >= rules.least_voltage_v {
            let loss_w = i * v * (1.0 - eta);
            let free = z.value - band - rules.least_soc;
            (free, Offer { current_a: i, loss_w, shared_a: -i * eta * share, until_limit_ah: 0.0 })
        } else if left_uc < 0 && v <= self.highest_voltage_v {
            let loss_w = i * v * (1.0 / eta - 1.0);
            let free = self.highest_soc - z.value - band;
            (free, Offer { current_a: -i, loss_w, shared_a: i * share / eta, until_limit_ah: 0.0 })
        } else {
            return None;
        };
        (free > 0.0).then_some(Offer { until_limit_ah: free.min(1.0) * q.value, ..offer })
    }
}

/// What a plan brings and costs in Wh.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Worth {
    /// More energy in the next discharge or charge.
    pub gain_wh: f32,
    /// Lost in the converters.
    pub loss_wh: f32,
}

/// Moves charge between the cells and the pack.
///
/// ```
/// use bms_core::balance::active::{ActiveBalancer, ActiveLimits, Meet};
/// use bms_core::balance::{Activity, BalanceCell, BalanceInput};
/// use bms_core::{measurement::Reading, soc::Estimated};
///
/// let mut balancer = ActiveBalancer::<8>::new(ActiveLimits::TYPICAL)?;
/// let mut cells = [BalanceCell {
///     voltage_v: Reading::within(3.3, 0.0, 5.0),
///     soc_difference: Estimated { value: 0.0, std: 0.002 },
///     capacity_ah: Estimated { value: 100.0, std: 0.0 },
///     slope_v: 0.05,
/// }; 8];
/// cells[5].capacity_ah.value = 90.0; // a weak cell ends every drive
/// let input = BalanceInput {
///     cells: &cells,
///     soc: Estimated { value: 0.8, std: 0.02 },
///     current_a: Reading::within(20.0, -500.0, 500.0),
///     board_c: Reading::within(25.0, -60.0, 150.0),
///     activity: Activity::Driving,
///     dt_s: 1.0,
/// };
/// let mut command = balancer.step(&input, Meet::Empty);
/// while command.measuring {
///     command = balancer.step(&input, Meet::Empty);
/// }
/// assert!(command.current_a[5] < 0.0); // it is given charge by all
/// assert!(balancer.worth().gain_wh > 10.0 * balancer.worth().loss_wh);
/// # Ok::<(), bms_core::balance::BalanceError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveBalancer<const N: usize> {
    limits: ActiveLimits,
    state: BalanceState<N>,
    worth: Worth,
}

impl<const N: usize> ActiveBalancer<N> {
    /// A balancer without a plan.
    ///
    /// # Errors
    /// [`BalanceError`] when a limit is impossible.
    pub fn new(limits: ActiveLimits) -> Result<Self, BalanceError> {
        Self::restore(limits, BalanceState::new())
    }

    /// A balancer that goes on where another one was.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn restore(limits: ActiveLimits, state: BalanceState<N>) -> Result<Self, BalanceError> {
        limits.check()?;
        Ok(Self { limits, state, worth: Worth::default() })
    }

    /// Plan and counters: what to keep over a sleep.
    #[must_use]
    pub const fn state(&self) -> &BalanceState<N> {
        &self.state
    }

    /// What charge that could be moved at the end of the last window was worth; zero where it did not pay.
    #[must_use]
    pub const fn worth(&self) -> Worth {
        self.worth
    }

    /// Takes in a sample, which was taken while the previous command was held, and gives the next command; as
    /// [`super::passive::Balancer::step`].
    pub fn step(&mut self, input: &BalanceInput<'_, N>, meet: Meet) -> BalanceCommand<N> {
        let limits = self.limits;
        let rules = &limits.rules;
        let moved_ah = self.state.book(input.dt_s);
        if self.state.empty != (meet == Meet::Empty) {
            self.state.forget();
            self.state.empty = meet == Meet::Empty;
        }
        let turn = self.state.turn(input.dt_s, rules);
        let heat_w = self.state.heat_allowed_w(input, rules);
        let mean_v = super::mean_v(input.cells);
        let pack_v = mean_v * N as f32;
        if turn == Turn::Choose {
            self.plan(input, meet, pack_v);
        }
        let offer = |cell: &BalanceCell, left: i64| limits.offer(&input.soc, pack_v, cell, left);
        let status = self.state.act(turn, heat_w, input, offer, rules);
        let eta = limits.efficiency;
        let loss_w = limits.converter_a * mean_v * (1.0 / eta - 1.0);
        let mut command = self.state.command(moved_ah, status);
        command.finish_s = self.state.finish_s(limits.converter_a, loss_w, heat_w, rules);
        for left in &self.state.remaining_uc {
            let lost = if *left > 0 { 1.0 - eta } else { 1.0 / eta - 1.0 };
            command.to_lose_wh += mean_v * lost * left.unsigned_abs() as f32 / UC_PER_AH;
        }
        command
    }

    /// At the end of a window: how far does moving charge pay?
    fn plan(&mut self, input: &BalanceInput<'_, N>, meet: Meet, pack_v: f32) {
        let limits = self.limits;
        let mut charge = [None; N];
        let (mut sum, mut sum_q, mut count, mut largest) = (0.0, 0.0, 0.0, 0.0f32);
        for (charge, cell) in charge.iter_mut().zip(input.cells) {
            if let Some(c) = charge_ah(cell, &input.soc, meet) {
                sum += c.value;
                sum_q += cell.capacity_ah.value;
                count += 1.0;
                *charge = Some(c);
            }
        }
        if count == 0.0 {
            return;
        }
        let (mean, mean_q) = (sum / count, sum_q / count);
        for c in charge.iter().flatten() {
            largest = largest.max(abs(c.value - mean));
        }
        // Full: a cell with little room gives. Empty: one with much charge gives.
        let sign = if meet == Meet::Full { -1.0 } else { 1.0 };
        let excess = |k: usize, level: f32| -> Option<Excess> {
            let c: &Estimated = charge.get(k)?.as_ref()?;
            let cell = input.cells.get(k)?;
            let capacity = cell.capacity_ah.value;
            // What all cells share of the uncertainty moves the mean with them.
            let by_reference = (capacity - mean_q) * input.soc.std;
            let std = sqrt(c.std * c.std + by_reference * by_reference);
            // Start and stop are those of the whole spread, half of it on either side of the mean.
            let mut e = Excess::new(sign * (c.value - mean), std, 0.5 * capacity, &limits.rules);
            e.keep_ah = e.keep_ah.max(level);
            Some(e)
        };
        let (mut best, mut score, mut worth) = (None, 0.0, Worth::default());
        for step in 0..LEVELS {
            let level = largest * f32::from(step) / f32::from(LEVELS);
            let w = self.worth_of(&charge, input, sign, pack_v, |k| excess(k, level));
            let s = w.gain_wh - limits.least_gain * w.loss_wh;
            if s > score {
                (best, score, worth) = (Some(level), s, w);
            }
        }
        self.worth = worth;
        match best {
            Some(level) => self.state.revise(|k| excess(k, level)),
            None => self.state.forget(),
        }
    }

    fn worth_of(
        &self,
        charge: &[Option<Estimated>; N],
        input: &BalanceInput<'_, N>,
        sign: f32,
        pack_v: f32,
        excess: impl Fn(usize) -> Option<Excess>,
    ) -> Worth {
        let eta = self.limits.efficiency;
        let (mut given_wh, mut taken_wh) = (0.0, 0.0);
        let (mut before, mut after) = (f32::MAX, f32::MAX);
        for (k, (c, cell)) in charge.iter().zip(input.cells).enumerate() {
            let (Some(c), Some(e)) = (c, excess(k)) else { continue };
            let moved = (abs(e.charge_ah) - e.keep_ah).max(0.0);
            let v = bound(cell.voltage_v.valid().unwrap_or(0.0), 0.0, 10.0);
            // A cell without a voltage takes no part.
            let moved = if v > 0.0 { moved } else { 0.0 };
            let out = if e.charge_ah < 0.0 { -moved } else { moved };
            if out > 0.0 {
                given_wh += moved * v;
            } else {
                taken_wh += moved * v;
            }
            before = before.min(c.value);
            after = after.min(c.value - sign * out);
        }
        if !(pack_v > 0.0 && before < f32::MAX) {
            return Worth::default();
        }
        // What all cells give to the converters, less what they get from them.
        let shared_ah = (taken_wh / eta - given_wh * eta) / pack_v;
        let gain_ah = after - sign * shared_ah - before;
        Worth { gain_wh: gain_ah * pack_v, loss_wh: given_wh * (1.0 - eta) + taken_wh * (1.0 / eta - 1.0) }
    }
}

/// Charge of a cell until it is full or empty, in Ah.
fn charge_ah(cell: &BalanceCell, reference: &Estimated, meet: Meet) -> Option<Estimated> {
    let (z, q) = cell.known(reference)?;
    Some(match meet {
        Meet::Full => room_ah(&z, &q),
        Meet::Empty => room_ah(&Estimated { value: 1.0 - z.value, std: z.std }, &q),
    })
}
