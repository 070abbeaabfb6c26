//! Ready tables of a made-up cell, for examples, tests and benches.

use crate::bms::{BalanceMeans, Settings};
use crate::cell::{CellModel, CellTables, OcvAgeing};
use crate::charging::{ChargePlan, ChargeSettings, CurrentTable, Stage};
use crate::climate::ClimateSettings;
use crate::leak::LeakLimits;
use crate::safety::settings::{ContactorSettings, Fitted, Levels, SafetySettings, SensorGrade};
use crate::sop::Limits;
use crate::temperatures::{CellPlace, Layout};

/// A made-up 5 Ah NMC cell: plausible numbers, not any maker's cell. Identify your own with `bms identify`.
pub const NMC_5AH: CellTables<'static> = CellTables {
    capacity_ah: 5.0,
    coulombic_efficiency: 0.999,
    v_min: 2.5,
    v_max: 4.2,
    temperature_c: &[-10.0, 25.0, 45.0],
    ocv_v: &[
        2.70, 3.22, 3.40, 3.49, 3.55, 3.60, 3.66, 3.73, 3.82, 3.91, 4.00, 4.08, 4.18, //
        2.70, 3.22, 3.40, 3.49, 3.55, 3.60, 3.66, 3.73, 3.82, 3.91, 4.00, 4.08, 4.18, //
        2.70, 3.22, 3.40, 3.49, 3.55, 3.60, 3.66, 3.73, 3.82, 3.91, 4.00, 4.08, 4.18,
    ],
    hysteresis_v: &[0.006; 39],
    r0_ohm: &[
        0.030, 0.026, 0.025, 0.025, 0.025, 0.014, 0.012, 0.012, 0.012, 0.012, 0.012, 0.011, 0.011, 0.011,
        0.011,
    ],
    rct_ohm: &[0.060, 0.050, 0.045, 0.045, 0.050, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    r1_ohm: &[
        0.020, 0.018, 0.016, 0.016, 0.018, 0.009, 0.008, 0.007, 0.007, 0.008, 0.006, 0.005, 0.005, 0.005,
        0.006,
    ],
    tau1_s: &[20.0; 15],
    r2_ohm: &[
        0.050, 0.035, 0.030, 0.030, 0.035, 0.020, 0.014, 0.012, 0.012, 0.014, 0.014, 0.010, 0.009, 0.009,
        0.010,
    ],
    tau2_s: &[900.0; 15],
    i_ct_a: &[2.0, 5.0, 8.0],
    model_error_v: &[
        0.030, 0.015, 0.015, 0.015, 0.015, 0.020, 0.008, 0.008, 0.008, 0.008, 0.020, 0.008, 0.008, 0.008,
        0.008,
    ],
    hysteresis_gamma: 30.0,
    ageing: OcvAgeing::NONE,
    negative_v: &[],
};

/// Limits of the protection for a small pack of such cells.
pub const SAFETY: SafetySettings = SafetySettings {
    fitted: Fitted {
        second_current: true,
        pack_voltage: true,
        link_voltage: true,
        insulation: true,
        auxiliary_contacts: true,
        vehicle: true,
        flow: false,
        heater_power: false,
    },
    grade: SensorGrade::limit(50.0),
    period_ms: 100,
    cell_high_v: Levels::new(4.18, 4.22, 4.25),
    cell_low_v: Levels::new(3.0, 2.7, 2.4),
    deep_discharge_v: 1.5,
    discharge_a: Levels::new(16.0, 18.0, 20.0),
    pulse_discharge_a: 30.0,
    charge_a: Levels::new(8.0, 9.0, 10.0),
    pulse_charge_a: 15.0,
    discharge_hot_c: Levels::new(50.0, 55.0, 60.0),
    discharge_cold_c: Levels::new(-20.0, -25.0, -30.0),
    charge_hot_c: Levels::new(50.0, 55.0, 60.0),
    charge_cold_c: Levels::new(5.0, 0.0, -25.0),
    spread_k: Levels::new(8.0, 12.0, 20.0),
    rise_k_per_s: [0.3, 1.0],
    highest_working_c: 60.0,
    imbalance: [0.05, 0.1],
    insulation_ohm_per_v: [500.0, 100.0],
    cell_ohm: 0.05,
    capacity_ah: 5.0,
    board_hot_c: 90.0,
    contactors: ContactorSettings {
        breaking_a: 25.0,
        precharged_share: 0.95,
        precharged_a: 0.5,
        precharge_ms: 500,
        travel_ms: 100,
        precharges: 5,
        cool_down_s: 60,
    },
};

/// A cell in the middle of a cooled channel.
pub const PLACE: CellPlace =
    CellPlace { channel: 0, along: 0.5, module: 0, to_coolant_w_per_k: 1.0, to_ambient_w_per_k: 0.1 };

/// Charging such a cell with 1C.
pub const ONE_C: ChargePlan<'static> = ChargePlan {
    stages: &[Stage { current_a: 5.0, until_soc: 1.0, until_v: 4.2 }],
    voltage_v: 4.2,
    taper_a: 0.25,
};

/// Charge currents of such a cell over temperature.
pub const CHARGE_LIMIT: CurrentTable<'static> =
    CurrentTable { temperature_c: &[0.0, 10.0], soc: &[0.0], current_a: &[0.5, 5.0] };

/// Heat of such cells, with sensors on the ones named.
#[must_use]
pub const fn layout<'a>(cells: &'a [CellPlace], sensor_cells: &'a [u16]) -> Layout<'a> {
    Layout {
        cells,
        sensor_cells,
        core_j_per_k: 60.0,
        surface_j_per_k: 10.0,
        core_surface_w_per_k: 2.0,
        neighbour_w_per_k: 0.2,
        coolant_j_per_l_k: 3500.0,
        sensor_offset_std_k: 0.3,
    }
}

/// A pack of such cells in series, as many as places: cooled, charged with 1C, neither heated nor balanced.
#[must_use]
pub fn pack<'a>(cell: &CellModel<'_>, cells: &'a [CellPlace], sensor_cells: &'a [u16]) -> Settings<'a> {
    Settings {
        layout: layout(cells, sensor_cells),
        climate: ClimateSettings {
            pack_j_per_k: 70.0 * cells.len() as f32,
            films: 0,
            ..ClimateSettings::CAR
        },
        preheat: None,
        charge: ChargeSettings::typical(cells.len() as u16, ONE_C, CHARGE_LIMIT),
        balance: BalanceMeans::None,
        limits: Limits::of_cell(cell, 20.0, 5.0),
        leak: Some(LeakLimits::TYPICAL),
        power_every_s: 1.0,
    }
}
