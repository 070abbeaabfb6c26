//! Everything that the pack tells, as messages of `bms.dbc`.

use crate::command::Request;
use crate::scale::{Scale, bms as scale};
use crate::{Frame, PROTOCOL_VERSION, bms, e2e};

/// Stands for a code, number of a cell or count that is unknown.
pub const UNKNOWN: u16 = u16::MAX;
/// Cells and temperature sensors that there are messages for; more are left out.
pub const MOST: usize = 256;

/// What the BMS as a whole does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It starts.
    #[default]
    Initialising,
    /// The contactors are open.
    Standby,
    /// The link is charged before the contactors close.
    Precharge,
    /// The contactors are closed.
    Operation,
    /// A fatal fault.
    Error,
}

/// What is read back from the contactors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contactors {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Open.
    Open,
    /// Closed.
    Closed,
    /// Some of them are closed.
    Closing,
}

/// How bad the worst diagnosis entry is that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Severity {
    /// None is set.
    #[default]
    None,
    /// For information.
    Info,
    /// A warning.
    Warning,
    /// The contactors open.
    Fatal,
}

/// Lowest, highest and mean of some cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extremes {
    /// Lowest.
    pub min: f32,
    /// Number of its cell.
    pub min_at: u16,
    /// Highest.
    pub max: f32,
    /// Number of its cell.
    pub max_at: u16,
    /// Mean.
    pub mean: f32,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { min: f32::NAN, min_at: UNKNOWN, max: f32::NAN, max_at: UNKNOWN, mean: f32::NAN }
    }
}

impl Extremes {
    /// Of some values; what is unknown (a NaN) is left out.
    ///
    /// ```
    /// let e = bms_can::report::Extremes::of(&[3.7, f32::NAN, 3.6, 3.8]);
    /// assert_eq!((e.min, e.min_at, e.max, e.max_at), (3.6, 2, 3.8, 3));
    /// ```
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        let mut of = Self::default();
        let (mut sum, mut count) = (0.0, 0.0);
        for (k, value) in (0..UNKNOWN).zip(values).filter(|(_, v)| !v.is_nan()) {
            // A comparison with a NaN is false.
            if !(*value >= of.min) {
                (of.min, of.min_at) = (*value, k);
            }
            if !(*value <= of.max) {
                (of.max, of.max_at) = (*value, k);
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

/// What there is to tell. A NaN and [`UNKNOWN`] are sent as `NotAvailable`; the default knows nothing.
///
/// Codes are those of `bms_core`: `ChargeState::code`, `LimitedBy::code`, `BalanceStatus` and `PreheatState` in the order of
/// their variants, `Binding::code`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report<'a> {
    /// What the BMS does.
    pub state: State,
    /// The request that is carried out.
    pub request: Request,
    /// The contactors.
    pub contactors: Contactors,
    /// Where a charge stands.
    pub charge_state: u16,
    /// What sets the charge current.
    pub charge_limited_by: u16,
    /// What the balancer is about.
    pub balance_status: u16,
    /// What the preheater is at.
    pub preheat_state: u16,
    /// The worst diagnosis entry.
    pub severity: Severity,
    /// The first fatal diagnosis entry, by number.
    pub fatal: Option<u8>,
    /// Diagnosis entries that are set; bit `k` for the entry with number `k`.
    pub diagnosis: u128,

    /// Voltage of the pack in V.
    pub pack_voltage_v: f32,
    /// Current of the pack in A, positive on discharge.
    pub current_a: f32,
    /// Voltage of every cell (or group) in V.
    pub cell_voltage_v: &'a [f32],
    /// Every temperature sensor in degC.
    pub temperature_c: &'a [f32],
    /// Cores of the cells in degC, as estimated.
    pub core_c: Extremes,

    /// Largest currents in A for the next 10 s, discharge and charge; magnitudes.
    pub current_limit_a: [f32; 2],
    /// What they are limited by.
    pub current_limit_by: [u16; 2],
    /// Largest powers in W for the next 2, 10 and 30 s, discharge.
    pub discharge_limit_w: [f32; 3],
    /// The same, charge; magnitudes.
    pub charge_limit_w: [f32; 3],
    /// What the powers for 10 s are limited by, discharge and charge.
    pub power_limit_by: [u16; 2],
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
    /// State of energy (fraction).
    pub soe: f32,
    /// Capacity over that of the new pack (fraction): state of health by capacity.
    pub capacity_share: f32,
    /// Energy in Wh that can still be taken out.
    pub remaining_wh: f32,
    /// Charge in Ah between empty and full.
    pub usable_ah: f32,
    /// Time in s to empty.
    pub time_to_empty_s: f32,
    /// Time in s to full.
    pub time_to_full_s: f32,
    /// Capacity in Ah.
    pub capacity_ah: Learnt,
    /// Resistance over that of the new pack; the state of health by resistance is 1 over it.
    pub resistance_factor: Learnt,
}

impl Default for Report<'_> {
    fn default() -> Self {
        let none = f32::NAN;
        Self {
            state: State::default(),
            request: Request::default(),
            contactors: Contactors::default(),
            charge_state: UNKNOWN,
            charge_limited_by: UNKNOWN,
            balance_status: UNKNOWN,
            preheat_state: UNKNOWN,
            severity: Severity::default(),
            fatal: None,
            diagnosis: 0,
            pack_voltage_v: none,
            current_a: none,
            cell_voltage_v: &[],
            temperature_c: &[],
            core_c: Extremes::default(),
            current_limit_a: [none; 2],
            current_limit_by: [UNKNOWN; 2],
            discharge_limit_w: [none; 3],
            charge_limit_w: [none; 3],
            power_limit_by: [UNKNOWN; 2],
            pack_limits_v: [none; 2],
            cell_limits_v: [none; 2],
            charge_request_a: none,
            charge_request_v: none,
            time_to_end_s: none,
            soc: Learnt::default(),
            soe: none,
            capacity_share: none,
            remaining_wh: none,
            usable_ah: none,
            time_to_empty_s: none,
            time_to_full_s: none,
            capacity_ah: Learnt::default(),
            resistance_factor: Learnt::default(),
        }
    }
}

/// Makes the messages of a report; keeps the counter of the protected ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sender {
    counter: u8,
}

impl Sender {
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
            e2e::protect(frame, self.counter);
            send(frame);
        }
        self.counter = e2e::next(self.counter);
    }

    /// The other messages with what changes slowly, to be sent once a second: all but cells and sensors.
    pub fn slow(&self, report: &Report<'_>, send: &mut impl FnMut(&Frame)) {
        let r = report;
        let [low, high] = [r.diagnosis as u64, (r.diagnosis >> 64) as u64];
        let frames: [Frame; 7] = [
            power_horizons(r).into(),
            energy(r).into(),
            cell_voltage_extremes(r).into(),
            cell_temperature_extremes(r).into(),
            learnt_values(r).into(),
            // One bit for each entry, in their order: what the DBC says, and a test looks at.
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
fn four(scale: &Scale, values: &[f32]) -> [u16; 4] {
    let mut raw = [scale.raw(f32::NAN) as u16; 4];
    raw.iter_mut().zip(values).for_each(|(to, value)| *to = scale.raw(*value) as u16);
    raw
}

fn state(r: &Report<'_>) -> bms::BmsState {
    let mut m = bms::BmsState::EMPTY;
    m.set_state_raw_val(match r.state {
        State::Initialising => 0,
        State::Standby => 1,
        State::Precharge => 2,
        State::Operation => 3,
        State::Error => 4,
    });
    m.set_request_raw_val(r.request.code());
    m.set_contactors_raw_val(match r.contactors {
        Contactors::Open => 0,
        Contactors::Closed => 1,
        Contactors::Closing => 2,
        Contactors::Unknown => 3,
    });
    m.set_severity_raw_val(match r.severity {
        Severity::None => 0,
        Severity::Info => 1,
        Severity::Warning => 2,
        Severity::Fatal => 3,
    });
    let fatal = r.fatal.map_or(0, |number| u16::from(number) + 1);
    m.set_fatal_code_raw_val(scale::BMS_STATE_FATAL_CODE.code(fatal) as u8);
    m.set_charge_state_raw_val(scale::BMS_STATE_CHARGE_STATE.code(r.charge_state) as u8);
    m.set_charge_limited_by_raw_val(scale::BMS_STATE_CHARGE_LIMITED_BY.code(r.charge_limited_by) as u8);
    m.set_balance_status_raw_val(scale::BMS_STATE_BALANCE_STATUS.code(r.balance_status) as u8);
    m.set_preheat_state_raw_val(scale::BMS_STATE_PREHEAT_STATE.code(r.preheat_state) as u8);
    m.set_diagnosis_count_raw_val(r.diagnosis.count_ones() as u8);
    m.set_protocol_version_raw_val(PROTOCOL_VERSION);
    m
}

fn pack_values(r: &Report<'_>) -> bms::PackValues {
    let mut m = bms::PackValues::EMPTY;
    m.set_voltage_raw_val(scale::PACK_VALUES_VOLTAGE.raw(r.pack_voltage_v) as u32);
    m.set_current_raw_val(scale::PACK_VALUES_CURRENT.raw(r.current_a) as u32);
    m
}

fn current_limits(r: &Report<'_>) -> bms::CurrentLimits {
    let ([discharge_a, charge_a], [discharge_by, charge_by]) = (r.current_limit_a, r.current_limit_by);
    let mut m = bms::CurrentLimits::EMPTY;
    m.set_discharge_current_raw_val(scale::CURRENT_LIMITS_DISCHARGE_CURRENT.raw(discharge_a) as u16);
    m.set_charge_current_raw_val(scale::CURRENT_LIMITS_CHARGE_CURRENT.raw(charge_a) as u16);
    m.set_discharge_by_raw_val(scale::CURRENT_LIMITS_DISCHARGE_BY.code(discharge_by) as u8);
    m.set_charge_by_raw_val(scale::CURRENT_LIMITS_CHARGE_BY.code(charge_by) as u8);
    m
}

fn power_limits(r: &Report<'_>) -> bms::PowerLimits {
    let ([_, discharge_w, _], [_, charge_w, _]) = (r.discharge_limit_w, r.charge_limit_w);
    let [discharge_by, charge_by] = r.power_limit_by;
    let mut m = bms::PowerLimits::EMPTY;
    m.set_discharge_power_raw_val(scale::POWER_LIMITS_DISCHARGE_POWER.raw(discharge_w) as u16);
    m.set_charge_power_raw_val(scale::POWER_LIMITS_CHARGE_POWER.raw(charge_w) as u16);
    m.set_discharge_by_raw_val(scale::POWER_LIMITS_DISCHARGE_BY.code(discharge_by) as u8);
    m.set_charge_by_raw_val(scale::POWER_LIMITS_CHARGE_BY.code(charge_by) as u8);
    m
}

fn voltage_limits(r: &Report<'_>) -> bms::VoltageLimits {
    let ([pack_min, pack_max], [cell_min, cell_max]) = (r.pack_limits_v, r.cell_limits_v);
    let mut m = bms::VoltageLimits::EMPTY;
    m.set_pack_min_raw_val(scale::VOLTAGE_LIMITS_PACK_MIN.raw(pack_min) as u16);
    m.set_pack_max_raw_val(scale::VOLTAGE_LIMITS_PACK_MAX.raw(pack_max) as u16);
    m.set_cell_min_raw_val(scale::VOLTAGE_LIMITS_CELL_MIN.raw(cell_min) as u16);
    m.set_cell_max_raw_val(scale::VOLTAGE_LIMITS_CELL_MAX.raw(cell_max) as u16);
    m
}

fn charge_request(r: &Report<'_>) -> bms::ChargeRequest {
    let mut m = bms::ChargeRequest::EMPTY;
    m.set_current_raw_val(scale::CHARGE_REQUEST_CURRENT.raw(r.charge_request_a) as u16);
    m.set_voltage_raw_val(scale::CHARGE_REQUEST_VOLTAGE.raw(r.charge_request_v) as u16);
    m.set_time_to_end_raw_val(scale::CHARGE_REQUEST_TIME_TO_END.raw(minutes(r.time_to_end_s)) as u16);
    m
}

fn state_estimate(r: &Report<'_>) -> bms::StateEstimate {
    let mut m = bms::StateEstimate::EMPTY;
    m.set_soc_raw_val(scale::STATE_ESTIMATE_SOC.raw(100.0 * r.soc.value) as u16);
    m.set_soc_std_raw_val(scale::STATE_ESTIMATE_SOC_STD.raw(100.0 * r.soc.std) as u8);
    m.set_soe_raw_val(scale::STATE_ESTIMATE_SOE.raw(100.0 * r.soe) as u16);
    m.set_soh_capacity_raw_val(scale::STATE_ESTIMATE_SOH_CAPACITY.raw(100.0 * r.capacity_share) as u16);
    let share = 100.0 / r.resistance_factor.value;
    m.set_soh_resistance_raw_val(scale::STATE_ESTIMATE_SOH_RESISTANCE.raw(share) as u16);
    m
}

fn power_horizons(r: &Report<'_>) -> bms::PowerHorizons {
    let ([discharge_2s, _, discharge_30s], [charge_2s, _, charge_30s]) =
        (r.discharge_limit_w, r.charge_limit_w);
    let mut m = bms::PowerHorizons::EMPTY;
    m.set_discharge_power2s_raw_val(scale::POWER_HORIZONS_DISCHARGE_POWER2S.raw(discharge_2s) as u16);
    m.set_charge_power2s_raw_val(scale::POWER_HORIZONS_CHARGE_POWER2S.raw(charge_2s) as u16);
    m.set_discharge_power30s_raw_val(scale::POWER_HORIZONS_DISCHARGE_POWER30S.raw(discharge_30s) as u16);
    m.set_charge_power30s_raw_val(scale::POWER_HORIZONS_CHARGE_POWER30S.raw(charge_30s) as u16);
    m
}

fn energy(r: &Report<'_>) -> bms::Energy {
    let mut m = bms::Energy::EMPTY;
    m.set_remaining_energy_raw_val(scale::ENERGY_REMAINING_ENERGY.raw(r.remaining_wh) as u32);
    m.set_usable_capacity_raw_val(scale::ENERGY_USABLE_CAPACITY.raw(r.usable_ah) as u16);
    m.set_time_to_empty_raw_val(scale::ENERGY_TIME_TO_EMPTY.raw(minutes(r.time_to_empty_s)) as u16);
    m.set_time_to_full_raw_val(scale::ENERGY_TIME_TO_FULL.raw(minutes(r.time_to_full_s)) as u16);
    m
}

fn cell_voltage_extremes(r: &Report<'_>) -> bms::CellVoltageExtremes {
    let e = Extremes::of(r.cell_voltage_v);
    let mut m = bms::CellVoltageExtremes::EMPTY;
    m.set_min_voltage_raw_val(scale::CELL_VOLTAGE_EXTREMES_MIN_VOLTAGE.raw(e.min) as u16);
    m.set_min_cell_raw_val(scale::CELL_VOLTAGE_EXTREMES_MIN_CELL.code(e.min_at) as u16);
    m.set_max_voltage_raw_val(scale::CELL_VOLTAGE_EXTREMES_MAX_VOLTAGE.raw(e.max) as u16);
    m.set_max_cell_raw_val(scale::CELL_VOLTAGE_EXTREMES_MAX_CELL.code(e.max_at) as u16);
    m.set_mean_voltage_raw_val(scale::CELL_VOLTAGE_EXTREMES_MEAN_VOLTAGE.raw(e.mean) as u16);
    m
}

fn cell_temperature_extremes(r: &Report<'_>) -> bms::CellTemperatureExtremes {
    let e = &r.core_c;
    let mut m = bms::CellTemperatureExtremes::EMPTY;
    m.set_min_temperature_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MIN_TEMPERATURE.raw(e.min) as u16);
    m.set_min_cell_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MIN_CELL.code(e.min_at) as u16);
    m.set_max_temperature_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MAX_TEMPERATURE.raw(e.max) as u16);
    m.set_max_cell_raw_val(scale::CELL_TEMPERATURE_EXTREMES_MAX_CELL.code(e.max_at) as u16);
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

fn minutes(time_s: f32) -> f32 {
    time_s / 60.0
}
