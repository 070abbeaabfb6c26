//! Everything that the pack tells, as messages of `bms.dbc`.

use bms_core::balance::BalanceStatus;
use bms_core::cell::CellModel;
use bms_core::charging::{self, ChargeState};
use bms_core::controller::Controller;
use bms_core::energy::{self, End};
use bms_core::measurement::Reading;
use bms_core::predict::{Hold, PulseModel, Start};
use bms_core::preheat::PreheatState;
use bms_core::safety::contactors::Position;
use bms_core::safety::ledger::DiagnosisSet;
use bms_core::safety::limits::PublishedLimits;
use bms_core::safety::mode::{Mode, Wish};
use bms_core::safety::table::{Diagnosis, Level};
use bms_core::soc::OperatingPoint;
use bms_core::sop::PowerLimits;

use crate::scale::{Scale, bms as scale};
use crate::{Frame, PROTOCOL_VERSION, bms, command};

/// Cells and temperature sensors that there are messages for; more are left out.
pub const MOST: usize = 256;
/// Code of what is unknown.
const UNKNOWN: u16 = u16::MAX;

/// Lowest, highest and mean of some cells; NaN where unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extremes {
    /// Lowest.
    pub min: f32,
    /// Number of its cell.
    pub min_at: Option<u16>,
    /// Highest.
    pub max: f32,
    /// Number of its cell.
    pub max_at: Option<u16>,
    /// Mean.
    pub mean: f32,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { min: f32::NAN, min_at: None, max: f32::NAN, max_at: None, mean: f32::NAN }
    }
}

impl Extremes {
    /// Of some readings; those that may not be used are left out.
    ///
    /// ```
    /// use bms_can::report::Extremes;
    /// use bms_core::measurement::Reading;
    ///
    /// let cells = [3.7, f32::NAN, 3.6, 3.8].map(|v| Reading::within(v, 0.0, 5.0));
    /// let e = Extremes::of(&cells);
    /// assert_eq!((e.min, e.min_at, e.max, e.max_at), (3.6, Some(2), 3.8, Some(3)));
    /// ```
    #[must_use]
    pub fn of(readings: &[Reading]) -> Self {
        Self::among(readings.iter().map(|r| r.valid().unwrap_or(f32::NAN)))
    }

    /// Of some numbers; those that are NaN are left out.
    fn among(values: impl Iterator<Item = f32>) -> Self {
        let mut of = Self::default();
        let (mut sum, mut count) = (0.0, 0.0);
        for (k, value) in (0..=u16::MAX).zip(values) {
            if value.is_nan() {
                continue;
            }
            if of.min_at.is_none() || value < of.min {
                (of.min, of.min_at) = (value, Some(k));
            }
            if of.max_at.is_none() || value > of.max {
                (of.max, of.max_at) = (value, Some(k));
            }
            sum += value;
            count += 1.0;
        }
        if count > 0.0 {
            of.mean = sum / count;
        }
        of
    }
}

/// A value that was learnt, with its standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learnt {
    /// Best estimate.
    pub value: f32,
    /// One standard deviation.
    pub std: f32,
}

impl Default for Learnt {
    fn default() -> Self {
        Self { value: f32::NAN, std: f32::NAN }
    }
}

/// Load in C that remaining energy is told for.
const NOMINAL_C: f32 = 1.0 / 3.0;
/// Current in C from which on the pack is being emptied.
const LEAST_C: f32 = 0.01;
/// Current in C at which a charge ends.
const FULL_C: f32 = 0.05;

/// Where predictions of energy and time start: the cells that end a discharge and a charge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead<'a> {
    /// Tables of a new cell.
    pub model: &'a CellModel<'a>,
    /// The cell that ends a discharge.
    pub weakest: OperatingPoint,
    /// The cell that ends a charge.
    pub fullest: OperatingPoint,
    /// Cells in series.
    pub cells: f32,
}

/// What is left, as predicted; NaN where unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// State of energy (fraction): remaining energy over that of the pack when it is full.
    pub soe: f32,
    /// Energy in Wh that can still be taken out at C/3.
    pub remaining_wh: f32,
    /// Time in s to empty at the present current; NaN below C/100.
    pub time_to_empty_s: f32,
    /// Time in s to full at the present current, then at constant voltage down to C/20; NaN below that.
    pub time_to_full_s: f32,
}

impl Default for Outlook {
    fn default() -> Self {
        Self { soe: f32::NAN, remaining_wh: f32::NAN, time_to_empty_s: f32::NAN, time_to_full_s: f32::NAN }
    }
}

/// What there is to tell. `None`, a NaN and a reading that may not be used are sent as `NotAvailable`; the default knows
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report<'a> {
    /// What the pack is doing.
    pub mode: Option<Mode>,
    /// What is asked of it.
    pub wish: Option<Wish>,
    /// How far the contactors are.
    pub position: Option<Position>,
    /// Where a charge stands.
    pub charge_state: Option<ChargeState>,
    /// What sets the charge current.
    pub charge_limited_by: Option<charging::LimitedBy>,
    /// What the balancer is about.
    pub balance: Option<BalanceStatus>,
    /// What the preheater is at.
    pub preheat: Option<PreheatState>,
    /// The worst diagnosis that is detected.
    pub level: Option<Level>,
    /// The first diagnosis that keeps or makes the contactors open.
    pub reason: Option<Diagnosis>,
    /// All that are detected.
    pub diagnoses: DiagnosisSet,
    /// A thermal event.
    pub alarm: bool,

    /// Voltage of the pack in V.
    pub pack_voltage_v: f32,
    /// Current of the pack in A, positive on discharge.
    pub current_a: f32,
    /// Voltage of every cell (or group) in V.
    pub cell_voltage_v: &'a [Reading],
    /// Every temperature sensor in degC.
    pub temperature_c: &'a [Reading],
    /// Cores of the cells in degC, as estimated.
    pub core_c: Extremes,

    /// What load and charger may do.
    pub limits: Option<PublishedLimits>,
    /// Predicted power in W of the pack for the next 2 s, discharge and charge; magnitudes.
    pub power_2s_w: [f32; 2],
    /// The same for 30 s.
    pub power_30s_w: [f32; 2],
    /// Lowest and highest voltage of the pack in V.
    pub pack_limits_v: [f32; 2],
    /// Lowest and highest voltage of a cell in V.
    pub cell_limits_v: [f32; 2],
    /// Charge current in A that the charger is asked for, at least 0.
    pub charge_request_a: f32,
    /// Highest pack voltage in V that it is asked to keep to.
    pub charge_request_v: f32,
    /// Time in s to the end of a charge that runs.
    pub time_to_end_s: f32,

    /// State of charge (fraction).
    pub soc: Learnt,
    /// Charge in Ah between empty and full.
    pub usable_ah: f32,
    /// What is left, as predicted.
    pub outlook: Outlook,
    /// Where such predictions start.
    pub ahead: Option<Ahead<'a>>,
    /// Capacity of the weakest cell over that of a new one (fraction): state of health by capacity.
    pub capacity_share: f32,
    /// Number of that cell.
    pub weakest_at: Option<u16>,
    /// The same of all cells, their mean.
    pub mean_capacity_share: f32,
    /// Capacity in Ah, mean of the cells; its standard deviation is that of one cell against the reference cell.
    pub capacity_ah: Learnt,
    /// Resistance over that of a new cell, mean of the cells, and the standard deviation of one of them; the state of
    /// health by resistance is 1 over it.
    pub resistance_factor: Learnt,
    /// Highest resistance of a cell over that of a new one.
    pub max_resistance_factor: f32,
    /// Number of that cell.
    pub max_resistance_at: Option<u16>,
}

impl Default for Report<'_> {
    fn default() -> Self {
        let none = f32::NAN;
        Self {
            mode: None,
            wish: None,
            position: None,
            charge_state: None,
            charge_limited_by: None,
            balance: None,
            preheat: None,
            level: None,
            reason: None,
            diagnoses: DiagnosisSet::default(),
            alarm: false,
            pack_voltage_v: none,
            current_a: none,
            cell_voltage_v: &[],
            temperature_c: &[],
            core_c: Extremes::default(),
            limits: None,
            power_2s_w: [none; 2],
            power_30s_w: [none; 2],
            pack_limits_v: [none; 2],
            cell_limits_v: [none; 2],
            charge_request_a: none,
            charge_request_v: none,
            time_to_end_s: none,
            soc: Learnt::default(),
            usable_ah: none,
            outlook: Outlook::default(),
            ahead: None,
            capacity_share: none,
            weakest_at: None,
            mean_capacity_share: none,
            capacity_ah: Learnt::default(),
            resistance_factor: Learnt::default(),
            max_resistance_factor: none,
            max_resistance_at: None,
        }
    }
}

impl<'a> Report<'a> {
    /// What a controller knows; [`Self::outlook`] is still to be computed ([`Self::look_ahead`]).
    #[must_use]
    pub fn of<const N: usize, const S: usize, const M: usize>(
        controller: &'a Controller<'_, N, S, M>,
        wish: &Wish,
    ) -> Self {
        let (d, readings) = (controller.decision(), controller.readings());
        let (estimate, t) = (controller.bms().estimate(), controller.bms().temperatures());
        let protection = controller.safety().settings();
        let cell_limits_v = [protection.cell_low_v.warning, protection.cell_high_v.warning];
        let cells = N as f32;
        let pack = controller.bms().pack();
        let model = pack.model();
        let new_ah = model.tables().capacity_ah;
        let capacity_ah = Extremes::among(pack.cells().map(|c| c.capacity_ah.value));
        let resistance = Extremes::among(pack.cells().map(|c| c.resistance_scale.value));
        let ahead = match (pack.operating_point(estimate.weakest), pack.operating_point(estimate.fullest)) {
            (Some(weakest), Some(fullest)) => Some(Ahead { model, weakest, fullest, cells }),
            _ => None,
        };
        Self {
            mode: Some(d.mode),
            wish: Some(*wish),
            position: Some(d.position),
            charge_state: Some(d.bms.charge.state),
            charge_limited_by: Some(d.bms.charge.limited_by),
            balance: Some(d.bms.balance.status),
            preheat: Some(d.bms.preheat.state),
            level: d.level,
            reason: d.reason,
            diagnoses: controller.safety().ledger().detected(),
            alarm: d.alarm,
            pack_voltage_v: sum_v(&readings.cell_voltage_v),
            current_a: readings.current_a.valid().unwrap_or(f32::NAN),
            cell_voltage_v: &readings.cell_voltage_v,
            temperature_c: &readings.sensors_c,
            core_c: if t.sensors_lost {
                Extremes::default()
            } else {
                Extremes {
                    min: t.summary.coldest_c,
                    min_at: u16::try_from(t.coldest).ok(),
                    max: t.summary.hottest_c,
                    max_at: u16::try_from(t.hottest).ok(),
                    mean: t.summary.mean_c,
                }
            },
            limits: Some(d.limits),
            pack_limits_v: cell_limits_v.map(|v| cells * v),
            cell_limits_v,
            charge_request_a: d.bms.charge.current_a,
            charge_request_v: d.bms.charge.pack_voltage_limit_v,
            time_to_end_s: d.bms.charge.time_to_end_s.unwrap_or(f32::NAN),
            soc: Learnt { value: estimate.soc.value, std: estimate.soc.std },
            usable_ah: estimate.usable_ah,
            outlook: Outlook::default(),
            ahead,
            capacity_share: capacity_ah.min / new_ah,
            weakest_at: capacity_ah.min_at,
            mean_capacity_share: capacity_ah.mean / new_ah,
            capacity_ah: Learnt { value: capacity_ah.mean, std: estimate.soh_q.std * new_ah },
            resistance_factor: Learnt {
                value: resistance.mean,
                std: Extremes::among(pack.cells().map(|c| c.resistance_scale.std)).mean,
            },
            max_resistance_factor: resistance.max,
            max_resistance_at: resistance.max_at,
            ..Self::default()
        }
        .with_power(&d.bms.power.safe, cells)
    }

    /// What is left, by running the cell model ahead from [`Self::ahead`] ([`bms_core::energy`]). That takes up to a
    /// thousand steps of the model: for once a second, before the slow messages.
    #[must_use]
    pub fn look_ahead(&self) -> Outlook {
        let Some(Ahead { model, weakest, fullest, cells }) = self.ahead else { return Outlook::default() };
        let pulse = PulseModel::from(model);
        let [v_min, v_max] = self.cell_limits_v;
        // A charger may be asked for less; a NaN counts as no limit.
        let v_max = v_max.min(self.charge_request_v / cells);
        let known = |e: energy::Energy, x: f32| match e.end {
            End::Unknown | End::NotReached => f32::NAN,
            _ => x,
        };
        let left = |from: OperatingPoint, current_a: f32| {
            energy::remaining(&pulse, &Start::from(from), Hold::Current(current_a), v_min, 0.0, None)
        };
        let nominal_a = NOMINAL_C * weakest.capacity_ah;
        let now = left(weakest, nominal_a);
        let missing_ah = (1.0 - self.soc.value) * self.usable_ah;
        let mut full = weakest;
        full.soc.value += missing_ah / full.capacity_ah;
        (full.v1, full.v2) = (0.0, 0.0);
        let full = left(full, nominal_a);
        let share = now.energy_wh / full.energy_wh;
        let soe = if self.usable_ah > 0.0 && full.energy_wh > 0.0 { share.clamp(0.0, 1.0) } else { f32::NAN };
        let empty = left(weakest, self.current_a);
        let emptied = self.current_a >= LEAST_C * weakest.capacity_ah;
        let full_a = FULL_C * fullest.capacity_ah;
        let charged =
            energy::to_full(&pulse, &Start::from(fullest), -self.current_a, full_a, v_max, 1.0, None);
        Outlook {
            soe: known(now, known(full, soe)),
            remaining_wh: known(now, cells * now.energy_wh),
            time_to_empty_s: if emptied { known(empty, empty.time_s) } else { f32::NAN },
            time_to_full_s: known(charged, charged.time_s),
        }
    }

    /// The same with the predicted power of one cell in a string of so many.
    #[must_use]
    pub fn with_power(mut self, safe: &PowerLimits, cells: f32) -> Self {
        let ([out_2s, _, out_30s], [in_2s, _, in_30s]) = (safe.discharge, safe.charge);
        self.power_2s_w = [cells * out_2s.power_w, cells * in_2s.power_w];
        self.power_30s_w = [cells * out_30s.power_w, cells * in_30s.power_w];
        self
    }
}

/// Voltage in V of all cells together; NaN when one is not seen.
#[must_use]
pub fn sum_v(cells: &[Reading]) -> f32 {
    cells.iter().map(|v| v.valid().unwrap_or(f32::NAN)).sum()
}

/// Makes the messages of a report; keeps the counter of the protected ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sender {
    counter: u8,
}

impl Sender {
    /// Begins with the counter 0.
    #[must_use]
    pub const fn new() -> Self {
        Self { counter: 0 }
    }

    /// The protected messages, to be sent every 100 ms.
    pub fn fast(&mut self, report: &Report<'_>, send: &mut impl FnMut(&Frame)) {
        let r = report;
        let mut frames: [Frame; 7] = [
            state(r).into(),
            pack_values(r).into(),
            current_limits(r).into(),
            power_limits(r).into(),
            voltage_limits(r).into(),
            charge_request(r).into(),
            state_estimate(r).into(),
        ];
        for frame in &mut frames {
            frame.protect(self.counter);
            send(frame);
        }
        self.counter = (self.counter + 1) % 16;
    }

    /// The other messages with what changes slowly, to be sent once a second: all but cells and sensors.
    pub fn slow(&self, report: &Report<'_>, send: &mut impl FnMut(&Frame)) {
        let r = report;
        let bits = r.diagnoses.iter().fold(0_u128, |bits, id| bits | 1_u128.wrapping_shl(id as u32));
        let [low, high] = [bits as u64, (bits >> 64) as u64];
        let frames: [Frame; 8] = [
            power_horizons(r).into(),
            energy(r).into(),
            cell_voltage_extremes(r).into(),
            cell_temperature_extremes(r).into(),
            learnt_values(r).into(),
            cell_health(r).into(),
            // One bit for each in the order of their numbers, as the DBC has them and a test looks at.
            bms::DiagnosisLow::from(low.to_le_bytes()).into(),
            bms::DiagnosisHigh::from(high.to_le_bytes()).into(),
        ];
        frames.iter().for_each(send);
    }

    /// All cell voltages and temperature sensors, four in a message, to be sent once a second.
    pub fn cells(&self, report: &Report<'_>, send: &mut impl FnMut(&Frame)) {
        for (group, cells) in (0..64).zip(report.cell_voltage_v.chunks(4)) {
            let raw = four(&scale::CELL_VOLTAGES_CELL_VOLTAGE000, cells);
            if let Some(m) = bms::cell_voltages_of(group, raw) {
                send(&m.into());
            }
        }
        for (group, sensors) in (0..64).zip(report.temperature_c.chunks(4)) {
            let raw = four(&scale::TEMPERATURES_TEMPERATURE000, sensors);
            if let Some(m) = bms::temperatures_of(group, raw) {
                send(&m.into());
            }
        }
    }
}

/// Raw values of up to four cells or sensors.
fn four(scale: &Scale, readings: &[Reading]) -> [u16; 4] {
    let mut raw = [scale.raw(f32::NAN) as u16; 4];
    for (to, reading) in raw.iter_mut().zip(readings) {
        *to = scale.raw(reading.valid().unwrap_or(f32::NAN)) as u16;
    }
    raw
}

fn or_unknown(code: Option<u8>) -> u16 {
    code.map_or(UNKNOWN, u16::from)
}

fn state(r: &Report<'_>) -> bms::BmsState {
    let mode = or_unknown(r.mode.map(Mode::code));
    let request = or_unknown(r.wish.as_ref().map(command::code));
    let position = or_unknown(r.position.map(|p| match p {
        Position::Open => 0,
        Position::Testing => 1,
        Position::ClosingMinus => 2,
        Position::Precharging => 3,
        Position::ClosingPlus => 4,
        Position::Closed => 5,
        Position::Unloading => 6,
        Position::OpeningMinus => 7,
    }));
    let balance = or_unknown(r.balance.map(|b| match b {
        BalanceStatus::Balanced => 0,
        BalanceStatus::Measuring => 1,
        BalanceStatus::Moving => 2,
        BalanceStatus::NotAllowed => 3,
        BalanceStatus::BoardHot => 4,
        BalanceStatus::BoardUnknown => 5,
        BalanceStatus::Blocked => 6,
    }));
    let preheat = or_unknown(r.preheat.map(|p| match p {
        PreheatState::Idle => 0,
        PreheatState::Heating => 1,
        PreheatState::Holding => 2,
        PreheatState::Done => 3,
        PreheatState::Refused(_) => 4,
    }));
    let charge = or_unknown(r.charge_state.map(ChargeState::code));
    let limited_by = or_unknown(r.charge_limited_by.map(charging::LimitedBy::code));
    let fatal = r.reason.map_or(0, |id| id as u16 + 1);
    let mut m = bms::BmsState::EMPTY;
    m.set_mode_raw_val(scale::BMS_STATE_MODE.code(mode) as u8);
    m.set_request_raw_val(scale::BMS_STATE_REQUEST.code(request) as u8);
    m.set_contactors_raw_val(scale::BMS_STATE_CONTACTORS.code(position) as u8);
    m.set_level_raw_val(match r.level {
        None => 0,
        Some(Level::Information) => 1,
        Some(Level::Warning) => 2,
        Some(Level::Fatal) => 3,
    });
    m.set_fatal_code_raw_val(scale::BMS_STATE_FATAL_CODE.code(fatal) as u8);
    m.set_charge_state_raw_val(scale::BMS_STATE_CHARGE_STATE.code(charge) as u8);
    m.set_charge_limited_by_raw_val(scale::BMS_STATE_CHARGE_LIMITED_BY.code(limited_by) as u8);
    m.set_balance_status_raw_val(scale::BMS_STATE_BALANCE_STATUS.code(balance) as u8);
    m.set_preheat_state_raw_val(scale::BMS_STATE_PREHEAT_STATE.code(preheat) as u8);
    m.set_thermal_alarm_raw_val(u8::from(r.alarm));
    m.set_diagnosis_count_raw_val(r.diagnoses.iter().count() as u8);
    m.set_protocol_version_raw_val(PROTOCOL_VERSION);
    m
}

fn pack_values(r: &Report<'_>) -> bms::PackValues {
    let mut m = bms::PackValues::EMPTY;
    m.set_voltage_raw_val(scale::PACK_VALUES_VOLTAGE.raw(r.pack_voltage_v) as u32);
    m.set_current_raw_val(scale::PACK_VALUES_CURRENT.raw(r.current_a) as u32);
    m
}

/// Discharge and charge: what sets the limits, and the limits themselves.
fn limits(r: &Report<'_>) -> [(u16, f32, f32); 2] {
    let unknown = (UNKNOWN, f32::NAN, f32::NAN);
    let limits =
        r.limits.map(|l| [l.discharge, l.charge].map(|d| (d.by.code().into(), d.current_a, d.power_w)));
    limits.unwrap_or([unknown; 2])
}

fn current_limits(r: &Report<'_>) -> bms::CurrentLimits {
    let [(discharge_by, discharge_a, _), (charge_by, charge_a, _)] = limits(r);
    let mut m = bms::CurrentLimits::EMPTY;
    m.set_discharge_current_raw_val(scale::CURRENT_LIMITS_DISCHARGE_CURRENT.raw_down(discharge_a) as u16);
    m.set_charge_current_raw_val(scale::CURRENT_LIMITS_CHARGE_CURRENT.raw_down(charge_a) as u16);
    m.set_discharge_by_raw_val(scale::CURRENT_LIMITS_DISCHARGE_BY.code(discharge_by) as u8);
    m.set_charge_by_raw_val(scale::CURRENT_LIMITS_CHARGE_BY.code(charge_by) as u8);
    m
}

fn power_limits(r: &Report<'_>) -> bms::PowerLimits {
    let [(discharge_by, _, discharge_w), (charge_by, _, charge_w)] = limits(r);
    let mut m = bms::PowerLimits::EMPTY;
    m.set_discharge_power_raw_val(scale::POWER_LIMITS_DISCHARGE_POWER.raw_down(discharge_w) as u16);
    m.set_charge_power_raw_val(scale::POWER_LIMITS_CHARGE_POWER.raw_down(charge_w) as u16);
    m.set_discharge_by_raw_val(scale::POWER_LIMITS_DISCHARGE_BY.code(discharge_by) as u8);
    m.set_charge_by_raw_val(scale::POWER_LIMITS_CHARGE_BY.code(charge_by) as u8);
    m
}

fn voltage_limits(r: &Report<'_>) -> bms::VoltageLimits {
    let ([pack_min, pack_max], [cell_min, cell_max]) = (r.pack_limits_v, r.cell_limits_v);
    let mut m = bms::VoltageLimits::EMPTY;
    m.set_pack_min_raw_val(scale::VOLTAGE_LIMITS_PACK_MIN.raw_up(pack_min) as u16);
    m.set_pack_max_raw_val(scale::VOLTAGE_LIMITS_PACK_MAX.raw_down(pack_max) as u16);
    m.set_cell_min_raw_val(scale::VOLTAGE_LIMITS_CELL_MIN.raw_up(cell_min) as u16);
    m.set_cell_max_raw_val(scale::VOLTAGE_LIMITS_CELL_MAX.raw_down(cell_max) as u16);
    m
}

fn charge_request(r: &Report<'_>) -> bms::ChargeRequest {
    let mut m = bms::ChargeRequest::EMPTY;
    m.set_current_raw_val(scale::CHARGE_REQUEST_CURRENT.raw_down(r.charge_request_a) as u16);
    m.set_voltage_raw_val(scale::CHARGE_REQUEST_VOLTAGE.raw_down(r.charge_request_v) as u16);
    m.set_time_to_end_raw_val(scale::CHARGE_REQUEST_TIME_TO_END.raw(minutes(r.time_to_end_s)) as u16);
    m
}

fn state_estimate(r: &Report<'_>) -> bms::StateEstimate {
    let mut m = bms::StateEstimate::EMPTY;
    m.set_soc_raw_val(scale::STATE_ESTIMATE_SOC.raw(100.0 * r.soc.value) as u16);
    m.set_soc_std_raw_val(scale::STATE_ESTIMATE_SOC_STD.raw(100.0 * r.soc.std) as u8);
    m.set_soe_raw_val(scale::STATE_ESTIMATE_SOE.raw(100.0 * r.outlook.soe) as u16);
    m.set_soh_capacity_raw_val(scale::STATE_ESTIMATE_SOH_CAPACITY.raw(100.0 * r.capacity_share) as u16);
    let share = 100.0 / r.resistance_factor.value;
    m.set_soh_resistance_raw_val(scale::STATE_ESTIMATE_SOH_RESISTANCE.raw(share) as u16);
    m
}

fn power_horizons(r: &Report<'_>) -> bms::PowerHorizons {
    let ([discharge_2s, charge_2s], [discharge_30s, charge_30s]) = (r.power_2s_w, r.power_30s_w);
    let mut m = bms::PowerHorizons::EMPTY;
    m.set_discharge_power2s_raw_val(scale::POWER_HORIZONS_DISCHARGE_POWER2S.raw_down(discharge_2s) as u16);
    m.set_charge_power2s_raw_val(scale::POWER_HORIZONS_CHARGE_POWER2S.raw_down(charge_2s) as u16);
    m.set_discharge_power30s_raw_val(scale::POWER_HORIZONS_DISCHARGE_POWER30S.raw_down(discharge_30s) as u16);
    m.set_charge_power30s_raw_val(scale::POWER_HORIZONS_CHARGE_POWER30S.raw_down(charge_30s) as u16);
    m
}

fn energy(r: &Report<'_>) -> bms::Energy {
    let mut m = bms::Energy::EMPTY;
    m.set_remaining_energy_raw_val(scale::ENERGY_REMAINING_ENERGY.raw_down(r.outlook.remaining_wh) as u32);
    m.set_usable_capacity_raw_val(scale::ENERGY_USABLE_CAPACITY.raw(r.usable_ah) as u16);
    m.set_time_to_empty_raw_val(scale::ENERGY_TIME_TO_EMPTY.raw(minutes(r.outlook.time_to_empty_s)) as u16);
    m.set_time_to_full_raw_val(scale::ENERGY_TIME_TO_FULL.raw(minutes(r.outlook.time_to_full_s)) as u16);
    m
}

fn cell_voltage_extremes(r: &Report<'_>) -> bms::CellVoltageExtremes {
    let e = Extremes::of(r.cell_voltage_v);
    let mut m = bms::CellVoltageExtremes::EMPTY;
    m.set_min_voltage_raw_val(scale::CELL_VOLTAGE_EXTREMES_MIN_VOLTAGE.raw(e.min) as u16);
    m.set_min_cell_raw_val(scale::CELL_VOLTAGE_EXTREMES_MIN_CELL.code(e.min_at.unwrap_or(UNKNOWN)) as u16);
    m.set_max_voltage_raw_val(scale::CELL_VOLTAGE_EXTREMES_MAX_VOLTAGE.raw(e.max) as u16);
    m.set_max_cell_raw_val(scale::CELL_VOLTAGE_EXTREMES_MAX_CELL.code(e.max_at.unwrap_or(UNKNOWN)) as u16);
    m.set_mean_voltage_raw_val(scale::CELL_VOLTAGE_EXTREMES_MEAN_VOLTAGE.raw(e.mean) as u16);
    m
}

fn cell_temperature_extremes(r: &Report<'_>) -> bms::CellTemperatureExtremes {
    let e = &r.core_c;
    let mut m = bms::CellTemperatureExtremes::EMPTY;
    m.set_min_temperature_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MIN_TEMPERATURE.raw(e.min) as u16);
    m.set_min_cell_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MIN_CELL.code(e.min_at.unwrap_or(UNKNOWN)) as u16);
    m.set_max_temperature_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MAX_TEMPERATURE.raw(e.max) as u16);
    m.set_max_cell_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MAX_CELL.code(e.max_at.unwrap_or(UNKNOWN)) as u16);
    m.set_mean_temperature_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MEAN_TEMPERATURE.raw(e.mean) as u16);
    m
}

fn learnt_values(r: &Report<'_>) -> bms::LearntValues {
    let (q, k) = (r.capacity_ah, r.resistance_factor);
    let mut m = bms::LearntValues::EMPTY;
    m.set_capacity_raw_val(scale::LEARNT_VALUES_CAPACITY.raw(q.value) as u32);
    m.set_capacity_std_raw_val(scale::LEARNT_VALUES_CAPACITY_STD.raw(q.std) as u16);
    m.set_resistance_factor_raw_val(scale::LEARNT_VALUES_RESISTANCE_FACTOR.raw(k.value) as u16);
    m.set_resistance_factor_std_raw_val(scale::LEARNT_VALUES_RESISTANCE_FACTOR_STD.raw(k.std) as u16);
    m
}

fn cell_health(r: &Report<'_>) -> bms::CellHealth {
    let mut m = bms::CellHealth::EMPTY;
    let mean = 100.0 * r.mean_capacity_share;
    m.set_mean_soh_capacity_raw_val(scale::CELL_HEALTH_MEAN_SOH_CAPACITY.raw(mean) as u16);
    m.set_weakest_cell_raw_val(scale::CELL_HEALTH_WEAKEST_CELL.code(r.weakest_at.unwrap_or(UNKNOWN)) as u16);
    let most = r.max_resistance_factor;
    m.set_max_resistance_factor_raw_val(scale::CELL_HEALTH_MAX_RESISTANCE_FACTOR.raw(most) as u16);
    let at = r.max_resistance_at.unwrap_or(UNKNOWN);
    m.set_max_resistance_cell_raw_val(scale::CELL_HEALTH_MAX_RESISTANCE_CELL.code(at) as u16);
    m
}

fn minutes(time_s: f32) -> f32 {
    time_s / 60.0
}
