//! Balancing hardware of a string of series groups: bleed resistors, active balancers, switched capacitors.
//!
//! Each part takes the voltages of the groups and what the controller has switched, and says which current it draws from
//! each group on top of the pack's (`group_extra_a`, A, positive discharges the group), held for the step, and what it
//! turns into heat. What the groups deliver is what becomes heat, to rounding: `sum(extra * voltage) = loss`.

use crate::error::{ParameterError, PlantError, check, check_not_negative, check_positive};
use crate::plant::{check_temperature, check_time_step};

/// Largest voltage of a group that is accepted, in V either way.
const MAX_GROUP_V: f64 = 1e3;
/// A step is cut so short that a board's temperature moves by at most this share of its way.
const BOARD_SHARE: f64 = 0.05;
/// No converter runs from less, in V.
const LOWEST_CONVERTER_V: f64 = 0.5;
/// Pieces of a step at most.
const MAX_PIECES: f64 = 1e5;

fn check_voltages(group_voltage_v: &[f64], groups: usize) -> Result<(), PlantError> {
    if group_voltage_v.len() != groups {
        return Err(PlantError::Length { expected: groups, got: group_voltage_v.len() });
    }
    match group_voltage_v.iter().find(|v| v.is_nan() || v.abs() > MAX_GROUP_V) {
        None => Ok(()),
        Some(&value) => Err(PlantError::Input {
            name: "voltage of a group in V",
            value,
            allowed: "a number of at most 1000 either way",
        }),
    }
}

fn check_groups(groups: usize) -> Result<(), ParameterError> {
    check("number of series groups", groups as f64, "at least 1", |n| n >= 1.0)
}

fn check_temperature_parameter(name: &'static str, celsius: f64) -> Result<(), ParameterError> {
    check(name, celsius, "between -273.15 and 1000 degC", |t| check_temperature(t).is_ok())
}

/// Numbers of [`BleedResistors`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BleedParameters {
    /// Resistance in ohm of a bleed path, switch included; above 0.
    pub resistor_ohm: f64,
    /// Series groups that share a board (its heat, its cut-out, its channel limit), at least 1.
    pub groups_per_board: usize,
    /// Resistors that a board switches on at a time at most.
    pub max_channels: usize,
    /// Heat capacity of a board in J/K, above 0.
    pub board_j_per_k: f64,
    /// Conductance between a board and its surroundings in W/K, above 0.
    pub board_to_ambient_w_per_k: f64,
    /// Board temperature in degC at which all its resistors are switched off.
    pub cut_out_c: f64,
    /// Board temperature in degC below which they work again, at most `cut_out_c`.
    pub release_c: f64,
}

/// Passive balancing: a resistor across each series group, `V / R` while it is on, all of it heat on its board.
///
/// Board temperature: `C dT/dt = heat - G (T - T_ambient)`, exact for constant heat; the cut-out is looked at every 5 %
/// of the time constant. Of more channels than allowed, the first ones of the board (from group 0 up) are switched on.
///
/// ```
/// use cell_models::balancing::{BleedParameters, BleedResistors};
/// let parameters = BleedParameters {
///     resistor_ohm: 40.0,
///     groups_per_board: 12,
///     max_channels: 6,
///     board_j_per_k: 60.0,
///     board_to_ambient_w_per_k: 0.2,
///     cut_out_c: 85.0,
///     release_c: 75.0,
/// };
/// let mut bleed = BleedResistors::new(parameters, 16, 25.0)?;
/// let mut on = [false; 16];
/// on[3] = true;
/// bleed.step(&on, &[4.0; 16], 25.0, 1.0)?;
/// assert_eq!((bleed.group_extra_a()[3], bleed.group_extra_a()[4]), (0.1, 0.0));
/// assert_eq!(bleed.heat_w(), 0.4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BleedResistors {
    parameters: BleedParameters,
    board_c: Vec<f64>,
    cut_out: Vec<bool>,
    group_extra_a: Vec<f64>,
    heat_w: f64,
    heat_j: f64,
    to_ambient_j: f64,
}

impl BleedResistors {
    /// Resistors for `groups` series groups, all off, boards at `start_c` degC.
    ///
    /// # Errors
    /// When a number is out of its documented range.
    pub fn new(parameters: BleedParameters, groups: usize, start_c: f64) -> Result<Self, ParameterError> {
        let p = &parameters;
        check_groups(groups)?;
        check_positive("bleed resistor in ohm", p.resistor_ohm)?;
        check("groups per board", p.groups_per_board as f64, "at least 1", |n| n >= 1.0)?;
        check_positive("heat capacity of the board", p.board_j_per_k)?;
        check_positive("conductance of the board", p.board_to_ambient_w_per_k)?;
        check_temperature_parameter("cut-out temperature of the board", p.cut_out_c)?;
        check_temperature_parameter("release temperature of the board", p.release_c)?;
        check("release temperature of the board", p.release_c, "at most the cut-out", |t| t <= p.cut_out_c)?;
        check_temperature_parameter("start temperature", start_c)?;
        let boards = groups.div_ceil(p.groups_per_board);
        Ok(Self {
            parameters,
            board_c: vec![start_c; boards],
            cut_out: vec![false; boards],
            group_extra_a: vec![0.0; groups],
            heat_w: 0.0,
            heat_j: 0.0,
            to_ambient_j: 0.0,
        })
    }

    /// Lets `dt_s` seconds pass with the resistors of the groups in `on`, at constant voltages and surroundings.
    ///
    /// Currents and heat are means over the step, as a cut-out may open in it.
    ///
    /// # Errors
    /// [`PlantError::Length`], [`PlantError::Input`], [`PlantError::Temperature`] or [`PlantError::TimeStep`]; nothing
    /// changes then.
    pub fn step(
        &mut self,
        on: &[bool],
        group_voltage_v: &[f64],
        ambient_c: f64,
        dt_s: f64,
    ) -> Result<(), PlantError> {
        let groups = self.group_extra_a.len();
        check_voltages(group_voltage_v, groups)?;
        if on.len() != groups {
            return Err(PlantError::Length { expected: groups, got: on.len() });
        }
        check_temperature(ambient_c)?;
        check_time_step(dt_s)?;
        let p = self.parameters;
        let tau_s = p.board_j_per_k / p.board_to_ambient_w_per_k;
        let pieces = (dt_s / (BOARD_SHARE * tau_s)).ceil().clamp(1.0, MAX_PIECES);
        let decay = (-dt_s / pieces / tau_s).exp();
        self.heat_w = 0.0;
        let boards = self.board_c.iter_mut().zip(&mut self.cut_out);
        for (board, (board_c, cut_out)) in boards.enumerate() {
            let first = board * p.groups_per_board;
            let range = first..groups.min(first + p.groups_per_board);
            let mut on_w = 0.0;
            let mut channels = 0;
            for k in range.clone() {
                let switched = on[k] && channels < p.max_channels;
                channels += usize::from(switched);
                self.group_extra_a[k] = if switched { group_voltage_v[k] / p.resistor_ohm } else { 0.0 };
                on_w += self.group_extra_a[k] * group_voltage_v[k];
            }
            let (before_c, mut on_pieces) = (*board_c, 0.0);
            for _ in 0..pieces as u64 {
                if *board_c >= p.cut_out_c {
                    *cut_out = true;
                } else if *board_c < p.release_c {
                    *cut_out = false;
                }
                let heat_w = if *cut_out { 0.0 } else { on_w };
                on_pieces += if *cut_out { 0.0 } else { 1.0 };
                let end_c = ambient_c + heat_w / p.board_to_ambient_w_per_k;
                *board_c = end_c + (*board_c - end_c) * decay;
            }
            let on_share = on_pieces / pieces;
            self.group_extra_a[range].iter_mut().for_each(|a| *a *= on_share);
            self.heat_w += on_w * on_share;
            self.to_ambient_j += on_w * on_share * dt_s - p.board_j_per_k * (*board_c - before_c);
        }
        self.heat_j += self.heat_w * dt_s;
        Ok(())
    }

    /// Current in A drawn from each group in the last step.
    pub fn group_extra_a(&self) -> &[f64] {
        &self.group_extra_a
    }

    /// Heat of all resistors in the last step, in W.
    pub fn heat_w(&self) -> f64 {
        self.heat_w
    }

    /// Heat of all resistors so far, in J.
    pub fn heat_j(&self) -> f64 {
        self.heat_j
    }

    /// Heat that has gone from the boards to the surroundings so far, in J; the rest is in the boards.
    pub fn to_ambient_j(&self) -> f64 {
        self.to_ambient_j
    }

    /// Temperature of each board in degC.
    pub fn board_c(&self) -> &[f64] {
        &self.board_c
    }

    /// Which boards have cut out.
    pub fn cut_out(&self) -> &[bool] {
        &self.cut_out
    }
}

/// What an [`ActiveBalancer`] does with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transfer {
    /// Nothing.
    #[default]
    Off,
    /// Discharges it and charges the whole pack.
    ToPack,
    /// Charges it from the whole pack.
    FromPack,
}

/// Numbers of an [`ActiveBalancer`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveParameters {
    /// Current in A at the group while a channel transfers, above 0.
    pub current_a: f64,
    /// Share of the power that arrives, above 0, at most 1.
    pub efficiency: f64,
    /// Channels that transfer at the same time at most.
    pub max_channels: usize,
    /// Power in W that each working channel takes from the pack for its control, not negative.
    pub control_w: f64,
}

/// Active balancing with an isolated (flyback) converter per group, between the group and the whole pack.
///
/// With the group's voltage `v`, the pack's `V`, current `i` and efficiency `n`: to the pack, the group is discharged with
/// `i` and all groups are charged with `n i v / V`; from the pack, the group is charged with `i` and all groups are
/// discharged with `i v / (n V)`. Of more channels than allowed, the first ones work.
///
/// ```
/// use cell_models::balancing::{ActiveBalancer, ActiveParameters, Transfer};
/// let parameters = ActiveParameters { current_a: 2.0, efficiency: 0.9, max_channels: 4, control_w: 0.0 };
/// let mut balancer = ActiveBalancer::new(parameters, 10)?;
/// let mut transfer = [Transfer::Off; 10];
/// transfer[7] = Transfer::ToPack;
/// balancer.step(&transfer, &[4.0; 10], 1.0)?;
/// // 2 A out, 0.9 * 2 A * 4 V / 40 V = 0.18 A into every group.
/// assert!((balancer.group_extra_a()[7] - 1.82).abs() < 1e-12);
/// assert!((balancer.group_extra_a()[0] + 0.18).abs() < 1e-12);
/// assert!((balancer.loss_w() - 0.8).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ActiveBalancer {
    parameters: ActiveParameters,
    group_extra_a: Vec<f64>,
    loss_w: f64,
    loss_j: f64,
    moved_j: f64,
}

impl ActiveBalancer {
    /// A balancer for `groups` series groups.
    ///
    /// # Errors
    /// When a number is out of its documented range.
    pub fn new(parameters: ActiveParameters, groups: usize) -> Result<Self, ParameterError> {
        check_groups(groups)?;
        check_positive("current of the balancer", parameters.current_a)?;
        check("efficiency of the balancer", parameters.efficiency, "above 0 and at most 1", |v| {
            v > 0.0 && v <= 1.0
        })?;
        check_not_negative("control power of the balancer", parameters.control_w)?;
        let group_extra_a = vec![0.0; groups];
        Ok(Self { parameters, group_extra_a, loss_w: 0.0, loss_j: 0.0, moved_j: 0.0 })
    }

    /// Lets `dt_s` seconds pass with what each group is to do, at constant voltages. A group below 0.5 V, or in a pack
    /// with less voltage than its own, is left alone: the converter has nothing to run from.
    ///
    /// # Errors
    /// [`PlantError::Length`], [`PlantError::Input`] or [`PlantError::TimeStep`]; nothing changes then.
    pub fn step(
        &mut self,
        transfer: &[Transfer],
        group_voltage_v: &[f64],
        dt_s: f64,
    ) -> Result<(), PlantError> {
        let groups = self.group_extra_a.len();
        check_voltages(group_voltage_v, groups)?;
        if transfer.len() != groups {
            return Err(PlantError::Length { expected: groups, got: transfer.len() });
        }
        check_time_step(dt_s)?;
        let p = self.parameters;
        let pack_v: f64 = group_voltage_v.iter().sum();
        self.group_extra_a.fill(0.0);
        let (mut from_pack_w, mut moved_w, mut channels) = (0.0, 0.0, 0);
        for ((extra_a, &way), &v) in self.group_extra_a.iter_mut().zip(transfer).zip(group_voltage_v) {
            if way == Transfer::Off || channels == p.max_channels || v < LOWEST_CONVERTER_V || pack_v < v {
                continue;
            }
            channels += 1;
            moved_w += p.current_a * v;
            from_pack_w += p.control_w;
            if way == Transfer::ToPack {
                *extra_a = p.current_a;
                from_pack_w -= p.current_a * v * p.efficiency;
            } else {
                *extra_a = -p.current_a;
                from_pack_w += p.current_a * v / p.efficiency;
            }
        }
        if channels > 0 {
            let all_a = from_pack_w / pack_v;
            self.group_extra_a.iter_mut().for_each(|a| *a += all_a);
        }
        self.loss_w = self.group_extra_a.iter().zip(group_voltage_v).map(|(a, v)| a * v).sum();
        self.loss_j += self.loss_w * dt_s;
        self.moved_j += moved_w * dt_s;
        Ok(())
    }

    /// Current in A drawn from each group in the last step; negative charges it.
    pub fn group_extra_a(&self) -> &[f64] {
        &self.group_extra_a
    }

    /// What the converters turned into heat in the last step, in W.
    pub fn loss_w(&self) -> f64 {
        self.loss_w
    }

    /// The same so far, in J.
    pub fn loss_j(&self) -> f64 {
        self.loss_j
    }

    /// Energy so far in J that went out of groups to the pack or into groups from the pack, at the group's side.
    pub fn moved_j(&self) -> f64 {
        self.moved_j
    }
}

/// Numbers of [`SwitchedCapacitors`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwitchedCapacitorParameters {
    /// Capacitance in F of each flying capacitor, above 0.
    pub capacitance_f: f64,
    /// Switching frequency in Hz, above 0.
    pub frequency_hz: f64,
    /// Resistance in ohm of a capacitor's loop (switches and capacitor), not negative.
    pub loop_ohm: f64,
}

impl SwitchedCapacitorParameters {
    /// Resistance in ohm that the switched capacitor is like: `1 / (f C tanh(1 / (4 f R C)))`, which is `1 / (f C)` where
    /// the capacitor settles in each half period, and `4 R` at the fastest switching.
    ///
    /// Source: J. W. Kimball, P. T. Krein, K. R. Cahill, "Modeling of capacitor impedance in switching converters", *IEEE
    /// Power Electron. Lett.* 3 (2005) 136; here for a duty of one half.
    ///
    /// ```
    /// use cell_models::balancing::SwitchedCapacitorParameters;
    /// let p = SwitchedCapacitorParameters { capacitance_f: 1e-3, frequency_hz: 1e3, loop_ohm: 0.05 };
    /// assert!((p.equivalent_ohm() - 1.0).abs() < 1e-3);
    /// ```
    pub fn equivalent_ohm(&self) -> f64 {
        let admittance = self.frequency_hz * self.capacitance_f;
        1.0 / (admittance * (0.25 / (admittance * self.loop_ohm)).tanh())
    }
}

/// Switched capacitors between neighbouring groups of a string, as of supercapacitors: charge flows from the group with
/// the higher voltage to its neighbour, `(v_k - v_(k+1)) / R_eq`, without any sensing.
///
/// The current is that of the voltages given, held for the step: keep the step below a tenth of `R_eq` times the
/// groups' capacitance.
///
/// ```
/// use cell_models::balancing::{SwitchedCapacitorParameters, SwitchedCapacitors};
/// let parameters =
///     SwitchedCapacitorParameters { capacitance_f: 1e-3, frequency_hz: 1e3, loop_ohm: 0.05 };
/// let mut balancer = SwitchedCapacitors::new(parameters, 3)?;
/// balancer.step(true, &[2.6, 2.5, 2.5], 1.0)?;
/// assert!((balancer.group_extra_a()[0] - 0.1).abs() < 1e-4);
/// assert_eq!(balancer.group_extra_a()[1], -balancer.group_extra_a()[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SwitchedCapacitors {
    per_ohm: f64,
    group_extra_a: Vec<f64>,
    loss_w: f64,
    loss_j: f64,
}

impl SwitchedCapacitors {
    /// One capacitor between each two neighbours of `groups` series groups.
    ///
    /// # Errors
    /// When a number is out of its documented range.
    pub fn new(parameters: SwitchedCapacitorParameters, groups: usize) -> Result<Self, ParameterError> {
        check_groups(groups)?;
        check_positive("flying capacitor in F", parameters.capacitance_f)?;
        check_positive("switching frequency", parameters.frequency_hz)?;
        check_not_negative("resistance of the capacitor's loop", parameters.loop_ohm)?;
        let ohm = parameters.equivalent_ohm();
        check_positive("resistance that the capacitor is like", ohm)?;
        Ok(Self { per_ohm: 1.0 / ohm, group_extra_a: vec![0.0; groups], loss_w: 0.0, loss_j: 0.0 })
    }

    /// Lets `dt_s` seconds pass with the switches running or not, at constant voltages.
    ///
    /// # Errors
    /// [`PlantError::Length`], [`PlantError::Input`] or [`PlantError::TimeStep`]; nothing changes then.
    pub fn step(&mut self, on: bool, group_voltage_v: &[f64], dt_s: f64) -> Result<(), PlantError> {
        check_voltages(group_voltage_v, self.group_extra_a.len())?;
        check_time_step(dt_s)?;
        self.group_extra_a.fill(0.0);
        self.loss_w = 0.0;
        if on {
            for (k, pair) in group_voltage_v.windows(2).enumerate() {
                let apart_v = pair[0] - pair[1];
                let current_a = apart_v * self.per_ohm;
                self.group_extra_a[k] += current_a;
                self.group_extra_a[k + 1] -= current_a;
                self.loss_w += apart_v * current_a;
            }
        }
        self.loss_j += self.loss_w * dt_s;
        Ok(())
    }

    /// Current in A drawn from each group in the last step; negative charges it.
    pub fn group_extra_a(&self) -> &[f64] {
        &self.group_extra_a
    }

    /// Heat in switches and capacitors in the last step, in W.
    pub fn loss_w(&self) -> f64 {
        self.loss_w
    }

    /// The same so far, in J.
    pub fn loss_j(&self) -> f64 {
        self.loss_j
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLEED: BleedParameters = BleedParameters {
        resistor_ohm: 20.0,
        groups_per_board: 6,
        max_channels: 4,
        board_j_per_k: 50.0,
        board_to_ambient_w_per_k: 0.1,
        cut_out_c: 60.0,
        release_c: 50.0,
    };
    const ACTIVE: ActiveParameters =
        ActiveParameters { current_a: 3.0, efficiency: 0.88, max_channels: 3, control_w: 0.1 };
    const SWITCHED: SwitchedCapacitorParameters =
        SwitchedCapacitorParameters { capacitance_f: 2e-3, frequency_hz: 5e3, loop_ohm: 0.02 };

    #[test]
    fn a_board_warms_as_one_node_and_keeps_to_its_channels() {
        let mut bleed = BleedResistors::new(BLEED, 8, 20.0).unwrap();
        let on = [true, true, true, true, true, true, false, true];
        let v = [4.0; 8];
        bleed.step(&on, &v, 20.0, 100.0).unwrap();
        assert_eq!(bleed.group_extra_a(), [0.2, 0.2, 0.2, 0.2, 0.0, 0.0, 0.0, 0.2]);
        assert!((bleed.heat_w() - 4.0).abs() < 1e-12);
        // 3.2 W over 0.1 W/K with 500 s; the second board has a quarter of it.
        let share = -(-0.2_f64).exp_m1();
        assert!((bleed.board_c()[0] - (20.0 + 32.0 * share)).abs() < 1e-9);
        assert!((bleed.board_c()[1] - (20.0 + 8.0 * share)).abs() < 1e-9);
    }

    #[test]
    fn a_hot_board_cuts_out_and_comes_back() {
        let v = [4.0; 6];
        let mut bleed = BleedResistors::new(BLEED, 6, 25.0).unwrap();
        let mut long = bleed.clone();
        let mut charge_as = 0.0;
        let mut seen = [false; 2];
        for _ in 0..14_400 {
            bleed.step(&[true; 6], &v, 35.0, 1.0).unwrap();
            charge_as += bleed.group_extra_a()[0];
            seen[usize::from(bleed.cut_out()[0])] = true;
            assert!(bleed.board_c()[0] < 60.1);
        }
        assert_eq!(seen, [true, true]);
        // The mean current of a long step is that of the short ones.
        long.step(&[true; 6], &v, 35.0, 14_400.0).unwrap();
        let mean_a = charge_as / 14_400.0;
        assert!((0.1..0.19).contains(&mean_a));
        assert!((long.group_extra_a()[0] - mean_a).abs() < 0.05 * mean_a);
    }

    #[test]
    fn active_balancing_keeps_to_its_channels_and_leaves_dead_groups_alone() {
        let mut balancer = ActiveBalancer::new(ACTIVE, 6).unwrap();
        let all = [Transfer::ToPack; 6];
        balancer.step(&all, &[4.0, 0.0, 4.0, -0.1, 4.0, 4.0], 1.0).unwrap();
        let shared = balancer.group_extra_a()[1];
        assert!(shared < 0.0);
        let own: Vec<f64> = balancer.group_extra_a().iter().map(|a| a - shared).collect();
        assert!(
            own.iter().zip([3.0, 0.0, 3.0, 0.0, 3.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12),
            "{own:?}"
        );
        balancer.step(&all, &[0.0; 6], 1.0).unwrap();
        assert_eq!(balancer.group_extra_a(), [0.0; 6]);
        // From the pack into one: it gains 3 A less its share of what all give.
        let mut one = [Transfer::Off; 6];
        one[2] = Transfer::FromPack;
        balancer.step(&one, &[4.0; 6], 10.0).unwrap();
        let all_a = (3.0 * 4.0 / 0.88 + 0.1) / 24.0;
        assert!((balancer.group_extra_a()[2] - (all_a - 3.0)).abs() < 1e-12);
        assert!((balancer.moved_j() - 3.0 * 12.0 - 120.0).abs() < 1e-9);
    }

    #[test]
    fn switched_capacitors_level_a_string_exponentially() {
        // Slow and fast limits of the equivalent resistance.
        assert!((SWITCHED.equivalent_ohm() - 0.1 / 1.25_f64.tanh()).abs() < 1e-9);
        let fast = SwitchedCapacitorParameters { frequency_hz: 1e9, ..SWITCHED };
        assert!((fast.equivalent_ohm() - 0.08).abs() < 1e-6);
        let ideal = SwitchedCapacitorParameters { loop_ohm: 0.0, ..SWITCHED };
        assert!((ideal.equivalent_ohm() - 0.1).abs() < 1e-12);
        // Two capacitors of 100 F: the difference decays with R C / 2.
        let (mut v, farad) = ([2.7, 2.3], 100.0);
        let mut balancer = SwitchedCapacitors::new(SWITCHED, 2).unwrap();
        let energy_j = |v: [f64; 2]| 0.5 * farad * (v[0] * v[0] + v[1] * v[1]);
        let before_j = energy_j(v);
        for _ in 0..10_000 {
            balancer.step(true, &v, 1e-3).unwrap();
            v = [0, 1].map(|k| v[k] - balancer.group_extra_a()[k] * 1e-3 / farad);
        }
        let left = 0.4 * (-10.0 / (0.5 * farad * SWITCHED.equivalent_ohm())).exp();
        assert!((v[0] - v[1] - left).abs() < 1e-4 && (v[0] + v[1] - 5.0).abs() < 1e-9);
        assert!((before_j - energy_j(v) - balancer.loss_j()).abs() < 1e-3);
        balancer.step(false, &v, 1.0).unwrap();
        assert_eq!((balancer.group_extra_a(), balancer.loss_w()), (&[0.0; 2][..], 0.0));
    }

    #[test]
    fn bad_numbers_are_refused() {
        let nan = f64::NAN;
        for p in [
            BleedParameters { resistor_ohm: 0.0, ..BLEED },
            BleedParameters { groups_per_board: 0, ..BLEED },
            BleedParameters { board_j_per_k: nan, ..BLEED },
            BleedParameters { board_to_ambient_w_per_k: 0.0, ..BLEED },
            BleedParameters { release_c: 61.0, ..BLEED },
        ] {
            assert!(BleedResistors::new(p, 6, 25.0).is_err(), "{p:?}");
        }
        assert!(BleedResistors::new(BLEED, 0, 25.0).is_err() && BleedResistors::new(BLEED, 6, nan).is_err());
        for p in [
            ActiveParameters { current_a: 0.0, ..ACTIVE },
            ActiveParameters { efficiency: 1.1, ..ACTIVE },
            ActiveParameters { control_w: -1.0, ..ACTIVE },
        ] {
            assert!(ActiveBalancer::new(p, 6).is_err(), "{p:?}");
        }
        for p in [
            SwitchedCapacitorParameters { capacitance_f: 0.0, ..SWITCHED },
            SwitchedCapacitorParameters { frequency_hz: f64::INFINITY, ..SWITCHED },
            SwitchedCapacitorParameters { loop_ohm: -0.1, ..SWITCHED },
        ] {
            assert!(SwitchedCapacitors::new(p, 6).is_err(), "{p:?}");
        }
        let mut bleed = BleedResistors::new(BLEED, 2, 25.0).unwrap();
        let before = format!("{bleed:?}");
        assert!(bleed.step(&[true], &[4.0; 2], 25.0, 1.0).is_err());
        assert!(bleed.step(&[true; 2], &[4.0, nan], 25.0, 1.0).is_err());
        assert!(bleed.step(&[true; 2], &[4.0, 1e9], 25.0, 1.0).is_err());
        assert!(bleed.step(&[true; 2], &[4.0; 2], nan, 1.0).is_err());
        assert!(bleed.step(&[true; 2], &[4.0; 2], 25.0, -1.0).is_err());
        assert_eq!(format!("{bleed:?}"), before);
        let mut active = ActiveBalancer::new(ACTIVE, 2).unwrap();
        assert!(active.step(&[Transfer::Off; 3], &[4.0; 2], 1.0).is_err());
        let mut switched = SwitchedCapacitors::new(SWITCHED, 2).unwrap();
        assert!(switched.step(true, &[4.0; 3], 1.0).is_err() && switched.step(true, &[4.0; 2], nan).is_err());
    }

    proptest! {
        #[test]
        fn what_the_groups_give_is_what_is_lost(
            v in prop::collection::vec(0.5..4.5_f64, 9),
            way in prop::collection::vec(0..3_usize, 9),
            dt in 0.01..3000.0_f64,
            steps in 1..5,
        ) {
            let mut bleed = BleedResistors::new(BLEED, 9, 30.0).unwrap();
            let mut active = ActiveBalancer::new(ACTIVE, 9).unwrap();
            let mut switched = SwitchedCapacitors::new(SWITCHED, 9).unwrap();
            let on: Vec<bool> = way.iter().map(|&w| w == 1).collect();
            let transfer: Vec<Transfer> =
                way.iter().map(|&w| [Transfer::Off, Transfer::ToPack, Transfer::FromPack][w]).collect();
            let given_w = |extra_a: &[f64]| -> f64 { extra_a.iter().zip(&v).map(|(a, v)| a * v).sum() };
            for _ in 0..steps {
                bleed.step(&on, &v, 25.0, dt).unwrap();
                active.step(&transfer, &v, dt).unwrap();
                switched.step(true, &v, dt).unwrap();
                prop_assert!((given_w(bleed.group_extra_a()) - bleed.heat_w()).abs() < 1e-9);
                prop_assert!((given_w(switched.group_extra_a()) - switched.loss_w()).abs() < 1e-9);
                // The converters lose 12 % of what comes in, and their control power.
                let loss_w = active.loss_w();
                prop_assert!(loss_w >= -1e-12);
                let channels = way.iter().filter(|&&w| w > 0).count().min(3) as f64;
                let mut expected_w = 0.1 * channels;
                for (w, v) in way.iter().zip(&v).filter(|(w, _)| **w > 0).take(3) {
                    expected_w += 3.0 * v * if *w == 1 { 1.0 - 0.88 } else { 1.0 / 0.88 - 1.0 };
                }
                prop_assert!((loss_w - expected_w).abs() < 1e-9, "{loss_w} {expected_w}");
            }
            let in_boards_j: f64 = bleed.board_c().iter().map(|t| 50.0 * (t - 30.0)).sum();
            let balance_j = bleed.heat_j() - bleed.to_ambient_j() - in_boards_j;
            prop_assert!(balance_j.abs() < 1e-9 * (1.0 + bleed.heat_j()));
        }
    }
}
