//! Balancing by the charge that has to be moved, with resistors ([`passive`]) or converters ([`active`]).
//!
//! What counts is charge, not voltage. Cell `k` with SOC `z_k` and capacity `Q_k` has room for `(1 - z_k) Q_k` until it is
//! full; all cells are full together when all have equal room. So much charge has cell `k` too much:
//!
//! ```text
//! e_k = max_j (1 - z_j) Q_j - (1 - z_k) Q_k
//! ```
//!
//! A plan holds what is left of it per cell, from the lower end of its band. It is counted down by the charge that was moved
//! and made anew only by better knowledge, so that it does not follow the noise of the estimates:
//!
//! * what a cell has too much is averaged over looks, one per period: all of the first, then the last eight or so;
//! * nothing planned: after three looks a plan is made when the mean is over `start_soc`, down to `stop_soc` or to what is
//!   uncertain of it;
//! * the band has become clearly narrower (after a rest, near a full charge): averaging and plan begin anew;
//! * the mean is below the plan: the plan is cut to it. It never grows otherwise.
//!
//! Time goes in periods. Each begins with a window in which nothing is moved, for voltages without bleed current; at its end
//! plans are looked at and the cells of this period chosen, those with the most left first, as many as channels and heat
//! allow. They stay on until the period ends, or until a limit or the plan's end switches one off; none is switched on in
//! between.
//!
//! Sources: Plett (2016), "Battery management systems, vol. II", ch. 5 (cell balancing); Barsukov and Qian (2013), "Battery
//! power management for portable devices", ch. 4 (balancing by charge against balancing by voltage).

use crate::math::{abs, bound, sqrt};
use crate::measurement::Reading;
use crate::pack;
use crate::soc::Estimated;
use crate::store::stored;

pub mod active;
pub mod passive;

#[cfg(test)]
mod tests;

/// A band narrower than this share of the plan's makes a new plan.
const NARROWER: f32 = 0.7;
/// Looks before a plan is begun, and over how many the mean goes.
const LEAST_LOOKS: u8 = 3;
const LOOKS: u8 = 8;
/// What a hold time is shortened by, so that rounding cannot take more than is planned.
const ROUNDING: f32 = 1.0 - 1e-5;
const UC_PER_AH: f32 = 3.6e9;

/// What a pack is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Parked or stored.
    #[default]
    Resting,
    /// On a charger.
    Charging,
    /// Delivering power.
    Driving,
}

/// What holds for every way of balancing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalanceRules {
    /// A cell is worth moving charge for from here (SOC, fraction); above `stop_soc`.
    pub start_soc: f32,
    /// … down to here.
    pub stop_soc: f32,
    /// Standard deviations that the plan stays away from the best estimate.
    pub sigmas: f32,
    /// Length of a period in s: how long a choice of cells stays.
    pub period_s: f32,
    /// Its part without bleed current, for measurements, in s.
    pub window_s: f32,
    /// Channels on at once.
    pub channels: usize,
    /// Whether cells next to one another may be on together.
    pub neighbours: bool,
    /// Heat that the board stands in W, up to `derate_c`.
    pub power_w: f32,
    /// Board temperature (degC) from which the heat allowed falls in a straight line …
    pub derate_c: f32,
    /// … to nothing. Once here, the board has to cool down to `derate_c` first.
    pub stop_c: f32,
    /// No cell below this voltage (V) gives charge.
    pub least_voltage_v: f32,
    /// No cell of which the SOC may be below this (fraction, at the lower end of its band) gives charge.
    pub least_soc: f32,
    /// Whether to work while the pack rests, charges, drives.
    pub allowed: [bool; 3],
}

impl BalanceRules {
    /// Six channels of a small board, from 0.5 points down to 0.2, ten minutes at a time.
    pub const TYPICAL: Self = Self {
        start_soc: 0.005,
        stop_soc: 0.002,
        sigmas: 1.0,
        period_s: 600.0,
        window_s: 10.0,
        channels: 6,
        neighbours: true,
        power_w: 4.0,
        derate_c: 60.0,
        stop_c: 80.0,
        least_voltage_v: 3.0,
        least_soc: 0.15,
        allowed: [true, true, false],
    };

    fn check(&self) -> Result<(), BalanceError> {
        let plan = self.stop_soc > 0.0 && self.stop_soc < self.start_soc && self.start_soc < 1.0;
        if !(plan && self.sigmas >= 0.0 && self.sigmas <= 10.0) {
            return Err(BalanceError::Plan);
        }
        if !(self.window_s > 0.0 && self.window_s < self.period_s && self.period_s <= 1e5) {
            return Err(BalanceError::Windows);
        }
        let board = self.power_w > 0.0 && self.power_w < 1e5 && self.channels > 0;
        if !(board && self.derate_c < self.stop_c && self.derate_c > -100.0 && self.stop_c < 1e3) {
            return Err(BalanceError::Board);
        }
        if !(self.least_voltage_v > 0.0
            && self.least_voltage_v < 10.0
            && (0.0..1.0).contains(&self.least_soc))
        {
            return Err(BalanceError::Limits);
        }
        Ok(())
    }

    fn allows(&self, activity: Activity) -> bool {
        let [resting, charging, driving] = self.allowed;
        match activity {
            Activity::Resting => resting,
            Activity::Charging => charging,
            Activity::Driving => driving,
        }
    }
}

/// Why a balancer cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BalanceError {
    /// Start, stop or certainty of plans: 0 < stop < start < 1, certainty 0..=10.
    Plan,
    /// Period and window: 0 < window < period <= 100 000 s.
    Windows,
    /// Heat, channels or temperatures of the board.
    Board,
    /// Limits of a cell's voltage or SOC, or of what a voltage says.
    Limits,
    /// Resistance, current or efficiency of a channel.
    Channel,
}

impl core::fmt::Display for BalanceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Plan => "start, stop or certainty of the balancing plans is impossible",
            Self::Windows => "the measurement window does not fit into the period",
            Self::Board => "heat, channels or temperatures of the balancing board are impossible",
            Self::Limits => "a limit of the cells' voltage or SOC is impossible",
            Self::Channel => "resistance, current or efficiency of a balancing channel is impossible",
        })
    }
}

impl core::error::Error for BalanceError {}

/// What balancing has to know of one cell. Numbers that are none keep the cell out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BalanceCell {
    /// Terminal voltage in V.
    pub voltage_v: Reading,
    /// SOC minus that of the reference cell.
    pub soc_difference: Estimated,
    /// Capacity in Ah.
    pub capacity_ah: Estimated,
    /// Slope of the open-circuit voltage at the cell in V per unit of SOC ([`crate::cell::CellModel::ocv_slope`]). On a curve
    /// with a plateau, take the smaller of the slope at the estimated SOC and at the one that the voltage stands for at rest.
    pub slope_v: f32,
}

impl BalanceCell {
    /// From the pack's estimate of a cell, its voltage and the slope there.
    #[must_use]
    pub const fn new(estimate: &pack::CellEstimate, voltage_v: Reading, slope_v: f32) -> Self {
        Self {
            voltage_v,
            soc_difference: estimate.soc_difference,
            capacity_ah: estimate.capacity_ah,
            slope_v,
        }
    }

    /// SOC (limits not applied) and capacity in Ah with their bands, if all are numbers that a cell can have.
    fn known(&self, reference: &Estimated) -> Option<(Estimated, Estimated)> {
        let possible = |e: &Estimated, lo: f32, hi: f32| {
            e.value >= lo && e.value <= hi && e.std >= 0.0 && e.std <= hi - lo
        };
        let (d, q) = (self.soc_difference, self.capacity_ah);
        let all = possible(reference, -0.3, 1.3) && possible(&d, -1.2, 1.2) && possible(&q, 1e-3, 1e5);
        all.then_some((Estimated { value: reference.value + d.value, std: d.std }, q))
    }
}

/// One step's input of a pack of `N` cells in series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalanceInput<'a, const N: usize> {
    /// Every cell.
    pub cells: &'a [BalanceCell; N],
    /// SOC of the reference cell ([`crate::pack::PackEstimate::reference`]).
    pub soc: Estimated,
    /// Pack current in A, positive on discharge.
    pub current_a: Reading,
    /// Temperature of the balancing board in degC. Nothing is moved while it is unknown.
    pub board_c: Reading,
    /// What the pack is doing.
    pub activity: Activity,
    /// Time since the previous step in s, for which the previous command was held.
    pub dt_s: f32,
}

/// What a balancer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BalanceStatus {
    /// Nothing is planned.
    #[default]
    Balanced,
    /// There is a plan; voltages are being measured, or the next choice of cells is waited for.
    Measuring,
    /// Charge is being moved.
    Moving,
    /// Not while the pack does what it does.
    NotAllowed,
    /// The board has to cool down.
    BoardHot,
    /// The board's temperature is unknown.
    BoardUnknown,
    /// There is a plan, but no cell that may take part: limits, missing voltages, or less heat allowed than one channel makes.
    Blocked,
}

/// What to do until the next step, and when all will be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalanceCommand<const N: usize> {
    /// Current of every cell's channel in A: positive takes charge out, negative puts charge in, 0 is off.
    pub current_a: [f32; N],
    /// All channels have to be off after this time in s, with or without a controller that is awake.
    pub hold_s: f32,
    /// Charge in Ah that every cell gave since the previous step, to book with [`pack::PackEstimator::bleed`] and for
    /// [`crate::leak`].
    pub moved_ah: [f32; N],
    /// All channels are off until the next step: its voltages are free of bleed current.
    pub measuring: bool,
    /// Heat of the command in W.
    pub loss_w: f32,
    /// Time in s until the plan is done, windows included, pauses while not allowed left out; `None` when nothing is planned,
    /// or the board is too hot or of unknown temperature.
    pub finish_s: Option<f32>,
    /// Energy turned into heat so far in Wh, since the state was new …
    pub lost_wh: f32,
    /// … and still to be, by the plan.
    pub to_lose_wh: f32,
    /// What goes on.
    pub status: BalanceStatus,
}

/// Nothing is done and nothing planned.
impl<const N: usize> Default for BalanceCommand<N> {
    fn default() -> Self {
        Self {
            current_a: [0.0; N],
            hold_s: 0.0,
            moved_ah: [0.0; N],
            measuring: true,
            loss_w: 0.0,
            finish_s: None,
            lost_wh: 0.0,
            to_lose_wh: 0.0,
            status: BalanceStatus::Balanced,
        }
    }
}

impl<const N: usize> BalanceCommand<N> {
    /// Which channels are on.
    #[must_use]
    pub fn on(&self) -> [bool; N] {
        self.current_a.map(|i| i != 0.0)
    }
}

/// Plan and counters of a balancer: what to keep over a sleep. A balancer restored from it goes on bit for bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalanceState<const N: usize> {
    /// Charge still to be moved in microcoulombs, positive out of the cell.
    remaining_uc: [i64; N],
    /// Mean of what looks have found too much in Ah, less what was moved since; how many they are.
    excess_ah: [f32; N],
    looks: [u8; N],
    /// How sure that was at the first of them (standard deviation, Ah).
    std_ah: [f32; N],
    /// All cells are to be empty together, not full.
    empty: bool,
    /// The command that is being held: currents of the channels, what all cells give to them, heat, and for how long.
    current_a: [f32; N],
    shared_a: f32,
    loss_w: f32,
    hold_s: f32,
    /// Time since the period began.
    phase_s: f32,
    /// Time since the pack's current became small.
    rest_s: f32,
    hot: bool,
    lost_uj: u64,
}

stored!(BalanceState[N] {
    remaining_uc: [i64; N] => |s| s.remaining_uc.iter().all(|r| r.unsigned_abs() < 1 << 50),
    excess_ah: [f32; N] => |s| s.excess_ah.iter().all(|x| abs(*x) <= 1e6),
    looks: [u8; N] => |s| s.looks.iter().all(|n| *n <= LOOKS),
    std_ah: [f32; N] => |s| s.std_ah.iter().all(|x| (0.0..=1e6).contains(x)),
    empty: bool,
    current_a: [f32; N] => |s| s.current_a.iter().all(|x| abs(*x) <= 1e4),
    shared_a: f32 => |s| abs(s.shared_a) <= 1e4,
    loss_w: f32 => |s| (0.0..=1e6).contains(&s.loss_w),
    hold_s: f32 => |s| (0.0..=1e7).contains(&s.hold_s),
    phase_s: f32 => |s| (0.0..=1e5).contains(&s.phase_s),
    rest_s: f32 => |s| (0.0..=1e7).contains(&s.rest_s),
    hot: bool,
    lost_uj: u64,
});

/// Where in the period a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Window,
    Choose,
    Hold,
}

/// What a channel can do for a cell now.
#[derive(Debug, Clone, Copy)]
struct Offer {
    /// Positive out of the cell.
    current_a: f32,
    loss_w: f32,
    /// What all cells of the pack give meanwhile.
    shared_a: f32,
    /// Charge until the cell is at a limit.
    until_limit_ah: f32,
}

impl<const N: usize> BalanceState<N> {
    const fn new() -> Self {
        Self {
            remaining_uc: [0; N],
            excess_ah: [0.0; N],
            looks: [0; N],
            std_ah: [0.0; N],
            empty: false,
            current_a: [0.0; N],
            shared_a: 0.0,
            loss_w: 0.0,
            hold_s: 0.0,
            phase_s: 0.0,
            rest_s: 0.0,
            hot: false,
            lost_uj: 0,
        }
    }

    /// Charge that the plan has still to take out of a cell in Ah (negative: put in), 0 for a cell that the pack does not have.
    #[must_use]
    pub fn remaining_ah(&self, cell: usize) -> f32 {
        self.remaining_uc.get(cell).map_or(0.0, |r| *r as f32 / UC_PER_AH)
    }

    fn planned(&self) -> bool {
        self.remaining_uc.iter().any(|r| *r != 0)
    }

    /// Counts what the command of the previous step has moved, in Ah per cell.
    fn book(&mut self, dt_s: f32) -> [f32; N] {
        let held_s = bound(dt_s, 0.0, self.hold_s);
        let mut moved_ah = [0.0; N];
        let plans = self.remaining_uc.iter_mut().zip(&mut self.excess_ah);
        for ((moved, i), (left, excess)) in moved_ah.iter_mut().zip(&self.current_a).zip(plans) {
            *moved = (i + self.shared_a) * held_s / 3600.0;
            *excess = bound(*excess - i * held_s / 3600.0, -1e6, 1e6);
            let rest = left.saturating_sub((i * held_s * 1e6) as i64);
            *left = if *left > 0 { rest.max(0) } else { rest.min(0) };
        }
        self.lost_uj = self.lost_uj.saturating_add((self.loss_w * held_s * 1e6) as u64);
        moved_ah
    }

    fn turn(&mut self, dt_s: f32, rules: &BalanceRules) -> Turn {
        let was_in_window = self.phase_s < rules.window_s;
        self.phase_s += bound(dt_s, 0.0, 1e6);
        if self.phase_s >= rules.period_s {
            self.phase_s = 0.0;
        }
        match (self.phase_s < rules.window_s, was_in_window) {
            (true, _) => Turn::Window,
            (false, true) => Turn::Choose,
            (false, false) => Turn::Hold,
        }
    }

    /// Heat that the board may make now in W.
    fn heat_allowed_w(
        &mut self,
        input: &BalanceInput<'_, N>,
        rules: &BalanceRules,
    ) -> Result<f32, BalanceStatus> {
        let board_c = input.board_c.valid().ok_or(BalanceStatus::BoardUnknown)?;
        if board_c >= rules.stop_c {
            self.hot = true;
        } else if board_c <= rules.derate_c {
            self.hot = false;
        }
        if self.hot {
            return Err(BalanceStatus::BoardHot);
        }
        if !rules.allows(input.activity) {
            return Err(BalanceStatus::NotAllowed);
        }
        Ok(rules.power_w * bound((rules.stop_c - board_c) / (rules.stop_c - rules.derate_c), 0.0, 1.0))
    }

    /// Brings the plan of every cell up to date with what it has too much now, where that is known.
    fn revise(&mut self, mut excess: impl FnMut(usize) -> Option<Excess>) {
        let plans = self.remaining_uc.iter_mut().zip(&mut self.std_ah);
        let looks = self.excess_ah.iter_mut().zip(&mut self.looks);
        for (k, ((left, std), (mean, looks))) in plans.zip(looks).enumerate() {
            let Some(e) = excess(k) else { continue };
            let anew = *looks == 0 || e.std_ah < NARROWER * *std;
            *looks = looks.saturating_add(1).min(LOOKS);
            if anew {
                (*mean, *std) = (bound(e.charge_ah, -1e6, 1e6), bound(e.std_ah, 0.0, 1e6));
            } else {
                *mean = bound(*mean + (e.charge_ah - *mean) / f32::from(*looks), -1e6, 1e6);
            }
            let size = bound(abs(*mean) - e.keep_ah, 0.0, 1e5) * UC_PER_AH;
            let sure = if *mean < 0.0 { -(size as i64) } else { size as i64 };
            let best = bound(*mean * UC_PER_AH, -1e15, 1e15) as i64;
            if *left == 0 {
                if *looks >= LEAST_LOOKS && abs(*mean) >= e.start_ah {
                    *left = sure;
                }
            } else if best == 0 || (*left < 0) != (best < 0) {
                *left = 0;
            } else if anew {
                *left = sure;
            } else if left.unsigned_abs() > best.unsigned_abs() {
                *left = best;
            }
        }
    }

    /// Drops plans and what was found for new ones.
    fn forget(&mut self) {
        (self.remaining_uc, self.looks) = ([0; N], [0; N]);
    }

    /// Switches all channels off.
    /// Sets the channels for this place in the period; `heat_w` is the heat that the board may make, or why nothing works.
    fn act(
        &mut self,
        turn: Turn,
        heat_w: Result<f32, BalanceStatus>,
        input: &BalanceInput<'_, N>,
        offer: impl Fn(&BalanceCell, i64) -> Option<Offer> + Copy,
        rules: &BalanceRules,
    ) -> BalanceStatus {
        match (turn, heat_w) {
            (_, Err(why)) => {
                self.off();
                why
            }
            (Turn::Window, Ok(_)) => {
                self.off();
                BalanceStatus::Measuring
            }
            (Turn::Choose, Ok(heat_w)) => {
                self.drop_rests(input.cells, offer, input.dt_s);
                self.choose(input.cells, offer, heat_w, rules.period_s, rules);
                BalanceStatus::Blocked
            }
            (Turn::Hold, Ok(heat_w)) => {
                self.keep(input.cells, offer, heat_w, input.dt_s, rules);
                self.waiting(input.cells, offer)
            }
        }
    }

    fn off(&mut self) {
        self.current_a = [0.0; N];
        (self.shared_a, self.loss_w, self.hold_s) = (0.0, 0.0, 0.0);
    }

    /// Adds a channel to the command if heat, charge left and neighbours let it.
    fn admit(&mut self, k: usize, left_uc: i64, offer: &Offer, heat_w: f32, rules: &BalanceRules) -> bool {
        let on = |k: usize| self.current_a.get(k).is_some_and(|i| *i != 0.0);
        let beside = on(k.wrapping_sub(1)) || on(k.wrapping_add(1));
        let size_a = abs(offer.current_a);
        let lasts_s =
            ROUNDING * (left_uc.unsigned_abs() as f32 * 1e-6).min(3600.0 * offer.until_limit_ah) / size_a;
        let loss_w = self.loss_w + offer.loss_w;
        if !(loss_w <= heat_w && size_a > 0.0 && lasts_s > 0.0) || (beside && !rules.neighbours) {
            return false;
        }
        self.loss_w = loss_w;
        self.shared_a += offer.shared_a;
        self.hold_s = self.hold_s.min(lasts_s);
        if let Some(i) = self.current_a.get_mut(k) {
            *i = offer.current_a;
        }
        true
    }

    /// Chooses the cells of a command that may hold for `longest_s`: most left first.
    fn choose(
        &mut self,
        cells: &[BalanceCell; N],
        offer: impl Fn(&BalanceCell, i64) -> Option<Offer>,
        heat_w: f32,
        longest_s: f32,
        rules: &BalanceRules,
    ) {
        self.off();
        self.hold_s = longest_s;
        let mut open = [true; N];
        let mut count = 0;
        // Every round takes one cell out of those that are open.
        for _ in 0..N {
            let mut most: Option<(usize, i64, &BalanceCell)> = None;
            for (k, ((open, left), cell)) in open.iter().zip(&self.remaining_uc).zip(cells).enumerate() {
                let more = left.unsigned_abs() > most.map_or(0, |(_, m, _)| m.unsigned_abs());
                if *open && more {
                    most = Some((k, *left, cell));
                }
            }
            let Some((k, left, cell)) = most else { break };
            if let Some(open) = open.get_mut(k) {
                *open = false;
            }
            if let Some(o) = offer(cell, left) {
                count += usize::from(self.admit(k, left, &o, heat_w, rules));
            }
            if count >= rules.channels {
                break;
            }
        }
    }

    /// Goes on with the channels that are on, as far as they still may.
    fn keep(
        &mut self,
        cells: &[BalanceCell; N],
        offer: impl Fn(&BalanceCell, i64) -> Option<Offer>,
        heat_w: f32,
        dt_s: f32,
        rules: &BalanceRules,
    ) {
        let before_a = self.current_a;
        self.off();
        self.hold_s = rules.period_s;
        for (k, (cell, i)) in cells.iter().zip(&before_a).enumerate() {
            let left = self.remaining_uc.get(k).copied().unwrap_or(0);
            if *i == 0.0 {
                continue;
            }
            if let Some(o) = offer(cell, left)
                && lasts(left, &o, dt_s)
            {
                self.admit(k, left, &o, heat_w, rules);
            }
        }
    }

    /// Drops what is left of a plan when it would not last for a step.
    fn drop_rests(
        &mut self,
        cells: &[BalanceCell; N],
        offer: impl Fn(&BalanceCell, i64) -> Option<Offer>,
        dt_s: f32,
    ) {
        for (left, cell) in self.remaining_uc.iter_mut().zip(cells) {
            if offer(cell, *left).is_some_and(|o| !lasts(*left, &o, dt_s)) {
                *left = 0;
            }
        }
    }

    /// Whether a cell waits for the next choice, or none may take part.
    fn waiting(
        &self,
        cells: &[BalanceCell; N],
        offer: impl Fn(&BalanceCell, i64) -> Option<Offer>,
    ) -> BalanceStatus {
        let any = self.remaining_uc.iter().zip(cells).any(|(left, cell)| offer(cell, *left).is_some());
        if any { BalanceStatus::Measuring } else { BalanceStatus::Blocked }
    }

    /// Time in s until the plan is done with channels of this current and heat.
    fn finish_s(
        &self,
        current_a: f32,
        loss_w: f32,
        heat_w: Result<f32, BalanceStatus>,
        rules: &BalanceRules,
    ) -> Option<f32> {
        let heat_w = match heat_w {
            Ok(w) => w,
            // The pause is not counted, and nobody knows how warm the board is then.
            Err(BalanceStatus::NotAllowed) => rules.power_w,
            Err(_) => return None,
        };
        let at_once = if rules.neighbours { N } else { N.div_ceil(2) }.min(rules.channels);
        // Whole channels; a heat that allows part of one allows none.
        let by_heat = bound(heat_w / loss_w + 1e-3, 0.0, 1e4) as usize;
        let channels = at_once.min(by_heat);
        if !self.planned() || channels == 0 {
            return None;
        }
        let (mut total, mut longest, mut before) = (0.0f32, 0.0f32, 0.0f32);
        for left in &self.remaining_uc {
            let charge = left.unsigned_abs() as f32 * 1e-6;
            total += charge;
            // Two that exclude one another take turns.
            longest = longest.max(if rules.neighbours { charge } else { charge + before });
            before = charge;
        }
        let duty = 1.0 - rules.window_s / rules.period_s;
        let seconds = (total / channels as f32).max(longest) / (current_a * duty);
        Some(bound(seconds, 0.0, 1e9))
    }

    fn command(&self, moved_ah: [f32; N], status: BalanceStatus) -> BalanceCommand<N> {
        let measuring = self.current_a.iter().all(|i| *i == 0.0);
        let status = match status {
            BalanceStatus::Measuring | BalanceStatus::Blocked if !self.planned() => BalanceStatus::Balanced,
            BalanceStatus::Measuring | BalanceStatus::Blocked if !measuring => BalanceStatus::Moving,
            other => other,
        };
        BalanceCommand {
            current_a: self.current_a,
            hold_s: self.hold_s,
            moved_ah,
            measuring,
            loss_w: self.loss_w,
            finish_s: None,
            lost_wh: self.lost_uj as f32 / 3.6e9,
            to_lose_wh: 0.0,
            status,
        }
    }
}

/// Mean of the valid voltages in V, 0 without any.
fn mean_v<const N: usize>(cells: &[BalanceCell; N]) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for v in cells.iter().filter_map(|c| c.voltage_v.valid()) {
        sum += bound(v, 0.0, 10.0);
        count += 1.0;
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

fn lasts(left_uc: i64, offer: &Offer, dt_s: f32) -> bool {
    left_uc.unsigned_abs() as f32 >= abs(offer.current_a) * bound(dt_s, 0.0, 1e6) * 1e6
}

/// What one cell has too much, and what to make of it; all in Ah.
struct Excess {
    /// Best estimate; negative: too little.
    charge_ah: f32,
    std_ah: f32,
    /// Left where it is.
    keep_ah: f32,
    /// A plan begins from here.
    start_ah: f32,
}

impl Excess {
    /// `capacity_ah` is that to which the shares of the rules refer.
    fn new(charge_ah: f32, std_ah: f32, capacity_ah: f32, rules: &BalanceRules) -> Self {
        Self {
            charge_ah,
            std_ah,
            keep_ah: (rules.stop_soc * capacity_ah).max(rules.sigmas * std_ah),
            start_ah: rules.start_soc * capacity_ah,
        }
    }
}

/// Room of a cell until it is full, in Ah.
fn room_ah(soc: &Estimated, capacity_ah: &Estimated) -> Estimated {
    let room = 1.0 - soc.value;
    let (by_soc, by_capacity) = (capacity_ah.value * soc.std, room * capacity_ah.std);
    Estimated { value: room * capacity_ah.value, std: sqrt(by_soc * by_soc + by_capacity * by_capacity) }
}
