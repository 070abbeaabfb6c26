//! What the electronics read, unchecked, as it comes from registers and messages.

/// Contactors, in the order of every array of them.
pub const CONTACTORS: usize = 3;
/// Main contactor at plus, main contactor at minus, precharge contactor beside the one at plus.
pub const PLUS: usize = 0;
/// See [`PLUS`].
pub const MINUS: usize = 1;
/// See [`PLUS`].
pub const PRECHARGE: usize = 2;

/// One partner in communication, as heard since the previous frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Something arrived.
    pub fresh: bool,
    /// Its rolling counter, 0..15.
    pub counter: u8,
    /// Its check sum was right ([`super::link`]).
    pub sound: bool,
}

/// One frame of a pack of `N` cells or groups in series with `S` temperature sensors.
///
/// Every number is what was read, whatever it is; NaN where nothing arrived or the part is not there. Nothing here may
/// reach an estimator: [`super::Safety::step`] turns it into [`Readings`](super::Readings).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame<const N: usize, const S: usize> {
    /// Terminal voltage of every cell in V.
    pub cell_voltage_v: [f32; N],
    /// The front end's own test found this sense wire open.
    pub wire_open: [bool; N],
    /// Every temperature sensor on a cell in degC.
    pub sensors_c: [f32; S],
    /// Pack current in A, positive on discharge, taken with the voltages.
    pub current_a: f32,
    /// Mean pack current since the previous frame in A, where the front end integrates.
    pub mean_current_a: f32,
    /// A second, independent current sensor in A.
    pub second_current_a: f32,
    /// Voltage of all cells together, before fuse and contactors, in V.
    pub pack_voltage_v: f32,
    /// Voltage between fuse and plus contactor in V.
    pub fused_voltage_v: f32,
    /// Voltage of the DC link, after the contactors, in V.
    pub link_voltage_v: f32,
    /// The lower of the two insulation resistances to the chassis in ohm.
    pub insulation_ohm: f32,
    /// The interlock loop is closed.
    pub interlock_closed: bool,
    /// Auxiliary contact of every contactor: closed, open, or not there.
    pub contactor_closed: [Option<bool>; CONTACTORS],
    /// Coolant that enters and leaves the pack, ambient air, balancing board, in degC.
    pub inlet_c: f32,
    /// See [`Self::inlet_c`].
    pub outlet_c: f32,
    /// See [`Self::inlet_c`].
    pub ambient_c: f32,
    /// See [`Self::inlet_c`].
    pub board_c: f32,
    /// Coolant flow in L/min, positive, where it is measured.
    pub flow_l_per_min: f32,
    /// Electric power that the heaters take in W, where it is measured.
    pub heater_w: f32,
    /// Front end of the cells.
    pub front_end: Heard,
    /// Current sensor.
    pub current_sensor: Heard,
    /// Insulation monitor.
    pub insulation_monitor: Heard,
    /// Vehicle, or whatever the pack serves.
    pub vehicle: Heard,
    /// Charger.
    pub charger: Heard,
}

impl<const N: usize, const S: usize> Frame<N, S> {
    /// Nothing arrived.
    pub const NOTHING: Self = Self {
        cell_voltage_v: [f32::NAN; N],
        wire_open: [false; N],
        sensors_c: [f32::NAN; S],
        current_a: f32::NAN,
        mean_current_a: f32::NAN,
        second_current_a: f32::NAN,
        pack_voltage_v: f32::NAN,
        fused_voltage_v: f32::NAN,
        link_voltage_v: f32::NAN,
        insulation_ohm: f32::NAN,
        interlock_closed: false,
        contactor_closed: [None; CONTACTORS],
        inlet_c: f32::NAN,
        outlet_c: f32::NAN,
        ambient_c: f32::NAN,
        board_c: f32::NAN,
        flow_l_per_min: f32::NAN,
        heater_w: f32::NAN,
        front_end: Heard { fresh: false, counter: 0, sound: false },
        current_sensor: Heard { fresh: false, counter: 0, sound: false },
        insulation_monitor: Heard { fresh: false, counter: 0, sound: false },
        vehicle: Heard { fresh: false, counter: 0, sound: false },
        charger: Heard { fresh: false, counter: 0, sound: false },
    };
}
