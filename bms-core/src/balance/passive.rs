//! Bleeding with resistors: the cells with the least room give, until all can be full together.
//!
//! Resistors can only take, so the fullest cells come down to the one with the most room and the pack is balanced at the top:
//! there the spread in capacity, which grows over life, costs least, since the smallest cell then gives all it has. (Balanced
//! elsewhere, a dissipative balancer would burn the difference in capacity in every cycle.)
//!
//! # Where voltages count
//! Only where they tell more than the estimates do: at rest, without bleed, and on a slope of at least `least_slope_v`. The
//! charge too much against the lowest voltage is then
//!
//! ```text
//! e_k = (v_k - v_min) / max(OCV'_k, OCV'_min) Q_k
//! ```
//!
//! The steeper of the two slopes makes it a lower bound where the curve bends upwards, as above the knee of LFP. It stays
//! within three standard deviations of what the estimates say, so that a broken input cannot drain the pack. On the
//! plateau of LFP no voltage is used.
//!
//! # With the pack's estimator
//! A bleed current falls off over the sense wires and the cell. Give the estimator only voltages of cells that were off: mark
//! those of cells that are on in the last command as missing, or skip the voltages unless the last command was `measuring`.
//! Book every `moved_ah` with [`crate::pack::PackEstimator::bleed`].

use super::{
    Activity, BalanceCell, BalanceCommand, BalanceError, BalanceInput, BalanceRules, BalanceState,
    BalanceStatus, Excess, Offer, Turn, UC_PER_AH, room_ah,
};
use crate::math::{abs, bound, sqrt};
use crate::soc::Estimated;

/// How far voltages may depart from the estimates (standard deviations).
const FAR: f32 = 3.0;
/// No cell's open-circuit voltage is steeper (V per unit of SOC).
const STEEPEST: f32 = 1e3;

/// What a bleed circuit can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalanceLimits {
    /// What holds for every way of balancing.
    pub rules: BalanceRules,
    /// Bleed resistor with its switch in ohm.
    pub bleed_ohm: f32,
    /// Slope of the open-circuit voltage (V per unit of SOC) from which voltages are used.
    pub least_slope_v: f32,
    /// How exact a cell's voltage at rest is against another's (V): offset of the input, hysteresis.
    pub voltage_error_v: f32,
    /// The pack rests when its current has been below this (A) …
    pub rest_current_a: f32,
    /// … for so long (s).
    pub rest_s: f32,
}

impl BalanceLimits {
    /// 33 ohm: 0.12 A, 0.5 W. Voltages from a slope of 6 mV per point.
    pub const NMC: Self = Self {
        rules: BalanceRules::TYPICAL,
        bleed_ohm: 33.0,
        least_slope_v: 0.6,
        voltage_error_v: 0.003,
        rest_current_a: 0.2,
        rest_s: 1800.0,
    };

    /// The same for LFP: voltages only above the knee, from a slope of 20 mV per point; the steps of the plateau have 5.
    pub const LFP: Self = Self { least_slope_v: 2.0, ..Self::NMC };

    fn check(&self) -> Result<(), BalanceError> {
        self.rules.check()?;
        if !(self.bleed_ohm > 1e-2 && self.bleed_ohm < 1e6) {
            return Err(BalanceError::Channel);
        }
        let positive = |x: f32| x > 0.0 && x < 1e6;
        if ![self.least_slope_v, self.voltage_error_v, self.rest_current_a, self.rest_s]
            .into_iter()
            .all(positive)
        {
            return Err(BalanceError::Limits);
        }
        Ok(())
    }

    /// What the resistor takes from a cell now, if the cell may give.
    fn offer(&self, soc: &Estimated, cell: &BalanceCell, left_uc: i64) -> Option<Offer> {
        let v = cell.voltage_v.valid()?;
        let (z, q) = cell.known(soc)?;
        let lowest = z.value - self.rules.sigmas * sqrt(z.std * z.std + soc.std * soc.std);
        let free = bound(lowest - self.rules.least_soc, 0.0, 1.0);
        if left_uc <= 0 || v < self.rules.least_voltage_v || v > 10.0 || free <= 0.0 {
            return None;
        }
        let current_a = v / self.bleed_ohm;
        Some(Offer { current_a, loss_w: v * current_a, shared_a: 0.0, until_limit_ah: free * q.value })
    }
}

/// Bleeds the cells of a pack with resistors.
///
/// ```
/// use bms_core::balance::passive::{BalanceLimits, Balancer};
/// use bms_core::balance::{Activity, BalanceCell, BalanceInput};
/// use bms_core::{measurement::Reading, soc::Estimated};
///
/// let mut balancer = Balancer::<4>::new(BalanceLimits::LFP)?;
/// let mut cells = [BalanceCell {
///     voltage_v: Reading::within(3.3, 0.0, 5.0),
///     soc_difference: Estimated { value: 0.0, std: 0.001 },
///     capacity_ah: Estimated { value: 5.0, std: 0.0 },
///     slope_v: 0.05, // the plateau of LFP
/// }; 4];
/// cells[2].soc_difference.value = 0.05; // 5 points above the others
/// let input = BalanceInput {
///     cells: &cells,
///     soc: Estimated { value: 0.6, std: 0.02 },
///     current_a: Reading::within(0.0, -500.0, 500.0),
///     board_c: Reading::within(25.0, -60.0, 150.0),
///     activity: Activity::Resting,
///     dt_s: 1.0,
/// };
/// let mut command = balancer.step(&input);
/// while command.measuring {
///     command = balancer.step(&input); // the first window
/// }
/// assert_eq!(command.on(), [false, false, true, false]);
/// // 5 points less the 0.2 that are left: 0.24 Ah at 0.1 A, a little more for the windows.
/// assert!((command.finish_s.unwrap() / 3600.0 - 2.44).abs() < 0.02);
/// # Ok::<(), bms_core::balance::BalanceError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balancer<const N: usize> {
    limits: BalanceLimits,
    state: BalanceState<N>,
}

impl<const N: usize> Balancer<N> {
    /// A balancer without a plan.
    ///
    /// # Errors
    /// [`BalanceError`] when a limit is impossible.
    pub fn new(limits: BalanceLimits) -> Result<Self, BalanceError> {
        limits.check()?;
        Ok(Self { limits, state: BalanceState::new() })
    }

    /// A balancer that goes on where another one was.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn restore(limits: BalanceLimits, state: BalanceState<N>) -> Result<Self, BalanceError> {
        limits.check()?;
        Ok(Self { limits, state })
    }

    /// Plan and counters: what to keep over a sleep.
    #[must_use]
    pub const fn state(&self) -> &BalanceState<N> {
        &self.state
    }

    /// Takes in a sample, which was taken while the previous command was held, and gives the next command.
    ///
    /// Anything that is missing or no number keeps its cell off; a `dt_s` that is negative or no number counts as 0, one
    /// longer than the previous command's `hold_s` books that much only.
    pub fn step(&mut self, input: &BalanceInput<'_, N>) -> BalanceCommand<N> {
        let limits = self.limits;
        let moved_ah = self.state.book(input.dt_s);
        let turn = self.state.turn(input.dt_s, &limits.rules);
        self.rest(input);
        let heat_w = self.state.heat_allowed_w(input, &limits.rules);
        if turn == Turn::Choose {
            self.plan(input);
        }
        let offer = |cell: &BalanceCell, left: i64| limits.offer(&input.soc, cell, left);
        let status = self.state.act(turn, heat_w, input, offer, &limits.rules);
        self.command(input, moved_ah, status, heat_w)
    }

    /// The command to fall asleep with: it may be held for at most `longest_s` (s) and never longer than the plan and the
    /// limits of any cell allow, however late the next step comes. Needs a front end that switches off by itself after
    /// `hold_s`, or a controller that wakes up then; the next [`Self::step`] has the time asleep as its `dt_s`.
    ///
    /// Nothing is bled asleep from a board that is not below `derate_c`, and by a pack that does not rest.
    pub fn sleep(&mut self, input: &BalanceInput<'_, N>, longest_s: f32) -> BalanceCommand<N> {
        let limits = self.limits;
        let mut heat_w = self.state.heat_allowed_w(input, &limits.rules);
        if heat_w.is_ok_and(|w| w < limits.rules.power_w) {
            heat_w = Err(BalanceStatus::BoardHot);
        }
        if input.activity != Activity::Resting {
            heat_w = Err(BalanceStatus::NotAllowed);
        }
        let offer = |cell: &BalanceCell, left: i64| limits.offer(&input.soc, cell, left);
        let status = match heat_w {
            Ok(w) => {
                self.state.choose(input.cells, offer, w, bound(longest_s, 0.0, 1e6), &limits.rules);
                // Awake again, a window comes first.
                self.state.phase_s = limits.rules.period_s;
                BalanceStatus::Blocked
            }
            Err(why) => {
                self.state.off();
                why
            }
        };
        self.command(input, [0.0; N], status, heat_w)
    }

    fn command(
        &self,
        input: &BalanceInput<'_, N>,
        moved_ah: [f32; N],
        status: BalanceStatus,
        heat_w: Result<f32, BalanceStatus>,
    ) -> BalanceCommand<N> {
        let mean_v = super::mean_v(input.cells);
        let current_a = mean_v / self.limits.bleed_ohm;
        let mut command = self.state.command(moved_ah, status);
        if current_a > 0.0 {
            command.finish_s = self.state.finish_s(current_a, mean_v * current_a, heat_w, &self.limits.rules);
        }
        for left in &self.state.remaining_uc {
            command.to_lose_wh += mean_v * left.unsigned_abs() as f32 / UC_PER_AH;
        }
        command
    }

    fn rest(&mut self, input: &BalanceInput<'_, N>) {
        let small = input.current_a.valid().is_some_and(|i| abs(i) <= self.limits.rest_current_a);
        let rest_s = self.state.rest_s + bound(input.dt_s, 0.0, 1e6);
        self.state.rest_s = if small { rest_s.min(1e6) } else { 0.0 };
    }

    /// At the end of a window: what has every cell too much?
    fn plan(&mut self, input: &BalanceInput<'_, N>) {
        let limits = self.limits;
        let sigmas = limits.rules.sigmas;
        // The cell that surely has the most room, and the one with the lowest voltage.
        let mut most: Option<(f32, Estimated, f32)> = None;
        let mut lowest: Option<(f32, f32)> = None;
        for cell in input.cells {
            let Some((z, q)) = cell.known(&input.soc) else { continue };
            let room = room_ah(&z, &q);
            let sure = room.value - sigmas * room.std;
            if most.is_none_or(|(s, ..)| sure > s) {
                most = Some((sure, room, q.value));
            }
            if let Some(v) = cell.voltage_v.valid()
                && lowest.is_none_or(|(l, _)| v < l)
            {
                lowest = Some((v, cell.slope_v));
            }
        }
        let Some((_, most, most_q)) = most else { return };
        let rested = self.state.rest_s >= limits.rest_s;
        self.state.revise(|k| {
            let cell = input.cells.get(k)?;
            let (z, q) = cell.known(&input.soc)?;
            let room = room_ah(&z, &q);
            let by_reference = (most_q - q.value) * input.soc.std;
            let std = sqrt(most.std * most.std + room.std * room.std + by_reference * by_reference);
            let mut excess = Excess::new(most.value - room.value, std, q.value, &limits.rules);
            let v = cell.voltage_v.valid();
            if let (true, Some(v), Some((low_v, low_slope))) = (rested, v, lowest)
                && (limits.least_slope_v..=STEEPEST).contains(&cell.slope_v)
                && low_slope <= STEEPEST
            {
                let slope = cell.slope_v.max(low_slope);
                let v_std = core::f32::consts::SQRT_2 * limits.voltage_error_v * q.value / slope;
                if v_std < std {
                    let by_voltage = (v - low_v) * q.value / slope;
                    let near = bound(by_voltage, excess.charge_ah - FAR * std, excess.charge_ah + FAR * std);
                    excess = Excess::new(near, v_std, q.value, &limits.rules);
                }
            }
            // A resistor cannot give; where there is too little, there is nothing to do.
            excess.charge_ah = excess.charge_ah.max(0.0);
            Some(excess)
        });
    }
}
