//! What C sees: plain structures, every array with the size that the library was built for.

use crate::sizes::{CELLS, MODULES, SENSORS};

/// What a function says.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum bms_status_t {
    /// It did what was asked.
    BMS_OK = 0,
    /// A pointer is null.
    BMS_NULL = 1,
    /// The memory is too small or not aligned.
    BMS_MEMORY = 2,
    /// The memory does not hold a BMS: `bms_init` has not succeeded with it.
    BMS_NOT_INITIALISED = 3,
    /// The header was compiled for other sizes than the library.
    BMS_OTHER_BUILD = 4,
    /// The parameters do not begin with their mark, are of another version or cut off.
    BMS_NOT_PARAMETERS = 5,
    /// The parameters are damaged: wrong check sum.
    BMS_DAMAGED_PARAMETERS = 6,
    /// The parameters are for a pack with other numbers of cells, sensors or modules.
    BMS_OTHER_PACK = 7,
    /// A parameter is none that the quantity can have.
    BMS_BAD_PARAMETER = 8,
    /// There is no such cell, sensor or diagnosis.
    BMS_NO_SUCH = 9,
    /// The state cannot be saved, or what was read back is not what was written.
    BMS_STORE = 10,
}

/// One partner in communication, as heard since the previous step.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bms_heard_t {
    /// Not 0 if something arrived.
    pub fresh: u8,
    /// Its rolling counter, 0..15.
    pub counter: u8,
    /// Not 0 if its check sum was right.
    pub sound: u8,
}

/// What is asked of the pack.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum bms_wish_t {
    /// Go to sleep.
    BMS_WISH_SLEEP = 0,
    /// Contactors open, awake.
    BMS_WISH_STANDBY = 1,
    /// Power out and in, as the load wants.
    BMS_WISH_DRIVE = 2,
    /// A slow charge.
    BMS_WISH_CHARGE = 3,
    /// A fast charge.
    BMS_WISH_FAST_CHARGE = 4,
    /// Warm the cells.
    BMS_WISH_PREHEAT = 5,
    /// Balance the cells.
    BMS_WISH_BALANCE = 6,
}

/// Everything that is known at a step. Currents are positive on discharge. A number that is not there is NaN.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bms_input_t {
    /// Terminal voltage of every cell in V.
    pub cell_voltage_v: [f32; CELLS],
    /// Not 0 where the front end found a sense wire open.
    pub wire_open: [u8; CELLS],
    /// Every temperature sensor on a cell in degC.
    pub sensor_c: [f32; SENSORS],
    /// Pack current in A, taken with the voltages.
    pub current_a: f32,
    /// Mean pack current since the previous step in A, where the front end integrates.
    pub mean_current_a: f32,
    /// A second, independent current sensor in A.
    pub second_current_a: f32,
    /// Voltage of all cells together in V.
    pub pack_voltage_v: f32,
    /// Voltage between fuse and plus contactor in V.
    pub fused_voltage_v: f32,
    /// Voltage of the DC link in V.
    pub link_voltage_v: f32,
    /// The lower of the two insulation resistances in ohm.
    pub insulation_ohm: f32,
    /// Coolant that enters the pack in degC.
    pub inlet_c: f32,
    /// Coolant that leaves the pack in degC.
    pub outlet_c: f32,
    /// Ambient air in degC.
    pub ambient_c: f32,
    /// Balancing board in degC.
    pub board_c: f32,
    /// Coolant flow in L/min.
    pub flow_l_per_min: f32,
    /// Electric power that the heaters take in W.
    pub heater_w: f32,
    /// Electric power of every module's film in W.
    pub film_w: [f32; MODULES],
    /// Not 0 if the coolant flows in reverse.
    pub reverse: u8,
    /// Not 0 if the interlock is closed.
    pub interlock_closed: u8,
    /// Auxiliary contacts of plus, minus and precharge contactor: 0 open, 1 closed, 2 not there.
    pub contactor_closed: [u8; 3],
    /// Front end of the cells.
    pub front_end: bms_heard_t,
    /// Current sensor.
    pub current_sensor: bms_heard_t,
    /// Insulation monitor.
    pub insulation_monitor: bms_heard_t,
    /// Vehicle, or whatever the pack serves.
    pub vehicle: bms_heard_t,
    /// Charger.
    pub charger: bms_heard_t,
    /// Not 0 if a charger is plugged in.
    pub charger_connected: u8,
    /// What the charger says it gives in A.
    pub charger_current_a: f32,
    /// The most it can give in A.
    pub charger_max_a: f32,
    /// Its highest voltage in V; 0 if not known.
    pub charger_max_v: f32,
    /// Power from outside for heaters in W; 0 if nothing is plugged in.
    pub external_w: f32,
    /// What is asked for: a `bms_wish_t`.
    pub wish: u8,
    /// Where a charge stops (fraction).
    pub target_soc: f32,
    /// Where preheating stops in degC.
    pub target_c: f32,
    /// Time that is left for preheating in s; 0 for as fast as possible.
    pub time_left_s: f32,
    /// Not 0 to keep cells warm after preheating.
    pub hold_warm: u8,
    /// Not 0 if somebody has taken note of the faults.
    pub acknowledge: u8,
    /// A workshop's key; 0 for none.
    pub service_key: u32,
}

/// What to do until the next step, and what is known.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bms_output_t {
    /// 1 to close the plus, minus and precharge contactor.
    pub contactor: [u8; 3],
    /// Operating state: its number in `docs/states.md`.
    pub mode: u8,
    /// Worst level of all faults: 0 none, 1 information, 2 warning, 3 fatal.
    pub level: u8,
    /// 1 in a thermal event: warn everybody.
    pub alarm: u8,
    /// What limits discharge and charge: numbers in `docs/states.md`.
    pub limited_by: [u8; 2],
    /// Largest discharge current in A and power in W to be drawn.
    pub discharge_a: f32,
    /// See `discharge_a`.
    pub discharge_w: f32,
    /// Largest charge current in A and power in W to be fed, both positive.
    pub charge_a: f32,
    /// See `charge_a`.
    pub charge_w: f32,
    /// State of charge of the pack and its standard deviation (fractions).
    pub soc: f32,
    /// See `soc`.
    pub soc_std: f32,
    /// State of charge of the emptiest and of the fullest cell (fractions).
    pub cell_soc: [f32; 2],
    /// Estimated core temperature: coldest, mean, hottest, in degC.
    pub core_c: [f32; 3],
    /// Current in A and pack voltage in V to ask a charger for.
    pub request_a: f32,
    /// See `request_a`.
    pub request_v: f32,
    /// Amplitude in A of the half waves of discharge and of charge, and frequency in Hz, of heating pulses; 0 for none.
    pub pulse_discharge_a: f32,
    /// See `pulse_discharge_a`.
    pub pulse_charge_a: f32,
    /// See `pulse_discharge_a`.
    pub pulse_hz: f32,
    /// Flow of coolant in L/min, and whether in reverse.
    pub flow_l_per_min: f32,
    /// Heat that the chiller takes in W.
    pub chiller_w: f32,
    /// Heat of the coolant heater in W.
    pub heater_w: f32,
    /// Power of every module's film in W.
    pub film_w: [f32; MODULES],
    /// See `flow_l_per_min`.
    pub reverse: u8,
    /// Balancing of every cell: 1 gives charge (its resistor or converter is on), 2 takes charge, 0 nothing.
    pub balance: [u8; CELLS],
}

/// What is known of one cell.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bms_cell_t {
    /// State of charge and its standard deviation (fractions).
    pub soc: f32,
    /// See `soc`.
    pub soc_std: f32,
    /// Capacity in Ah and its standard deviation.
    pub capacity_ah: f32,
    /// See `capacity_ah`.
    pub capacity_std_ah: f32,
    /// Resistance against that of a new cell.
    pub resistance: f32,
    /// Core temperature in degC.
    pub core_c: f32,
}

/// A fault that was detected and has not ended.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bms_detection_t {
    /// Its number in `docs/safety/diagnoses.md`.
    pub id: u8,
    /// 1 information, 2 warning, 3 fatal.
    pub level: u8,
    /// Cell, sensor or part that it is about; 65535 if there is only one.
    pub place: u16,
    /// What was read, and the limit that it did not keep.
    pub value: f32,
    /// See `value`.
    pub limit: f32,
    /// When, in ms of the clock that counts the steps; it wraps.
    pub time_ms: u32,
}
