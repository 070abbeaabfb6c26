//! Between the plain structures of C and those of the core.

use bms_core::charging::{ChargeMode, ChargerReport};
use bms_core::controller::{Decision, Input};
use bms_core::measurement::Reading;
use bms_core::safety::frame::{Frame, Heard};
use bms_core::safety::ledger::Detection;
use bms_core::safety::mode::Wish;
use bms_core::safety::table::Level;

use crate::memory::Core;
use crate::sizes::{CELLS, MODULES, SENSORS};
use crate::types::{bms_cell_t, bms_detection_t, bms_heard_t, bms_input_t, bms_output_t};

/// A charger says nothing beyond this in A.
const CHARGER_A: f32 = 1e4;

fn heard(h: bms_heard_t) -> Heard {
    Heard { fresh: h.fresh != 0, counter: h.counter, sound: h.sound != 0 }
}

/// What is asked for; a number that there is not is a wish to stand by.
fn wish(i: &bms_input_t) -> Wish {
    let charge = |mode| Wish::Charge { mode, target_soc: i.target_soc };
    match i.wish {
        0 => Wish::Sleep,
        2 => Wish::Drive,
        3 => charge(ChargeMode::Normal),
        4 => charge(ChargeMode::Fast),
        5 => Wish::Preheat { target_c: i.target_c, time_left_s: i.time_left_s, hold: i.hold_warm != 0 },
        6 => Wish::Balance,
        _ => Wish::Standby,
    }
}

pub(crate) fn input(i: &bms_input_t) -> Input<CELLS, SENSORS, MODULES> {
    let charger = heard(i.charger);
    Input {
        frame: Frame {
            cell_voltage_v: i.cell_voltage_v,
            wire_open: i.wire_open.map(|open| open != 0),
            sensors_c: i.sensor_c,
            current_a: i.current_a,
            mean_current_a: i.mean_current_a,
            second_current_a: i.second_current_a,
            pack_voltage_v: i.pack_voltage_v,
            fused_voltage_v: i.fused_voltage_v,
            link_voltage_v: i.link_voltage_v,
            insulation_ohm: i.insulation_ohm,
            interlock_closed: i.interlock_closed != 0,
            contactor_closed: i.contactor_closed.map(|c| match c {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            }),
            inlet_c: i.inlet_c,
            outlet_c: i.outlet_c,
            ambient_c: i.ambient_c,
            board_c: i.board_c,
            flow_l_per_min: i.flow_l_per_min,
            heater_w: i.heater_w,
            front_end: heard(i.front_end),
            current_sensor: heard(i.current_sensor),
            insulation_monitor: heard(i.insulation_monitor),
            vehicle: heard(i.vehicle),
            charger,
        },
        film_w: i.film_w,
        reverse: i.reverse != 0,
        charger: ChargerReport {
            connected: i.charger_connected != 0,
            heard: charger.fresh && charger.sound,
            current_a: Reading::within(i.charger_current_a, -CHARGER_A, CHARGER_A),
            max_a: i.charger_max_a,
            max_v: i.charger_max_v,
        },
        external_w: i.external_w,
        wish: wish(i),
        acknowledge: i.acknowledge != 0,
        service_key: (i.service_key != 0).then_some(i.service_key),
    }
}

const fn level(level: Level) -> u8 {
    match level {
        Level::Information => 1,
        Level::Warning => 2,
        Level::Fatal => 3,
    }
}

pub(crate) fn output(d: &Decision<CELLS, MODULES>, core: &Core) -> bms_output_t {
    let out = &d.bms;
    let estimate = core.bms().estimate();
    let t = &core.bms().temperatures().summary;
    let (discharge, charge) = (&d.limits.discharge, &d.limits.charge);
    let (least, most) = estimate.extremes;
    bms_output_t {
        contactor: d.contactors.map(u8::from),
        mode: d.mode as u8,
        level: d.level.map_or(0, level),
        alarm: d.alarm.into(),
        limited_by: [discharge.by.code(), charge.by.code()],
        discharge_a: discharge.current_a,
        discharge_w: discharge.power_w,
        charge_a: charge.current_a,
        charge_w: charge.power_w,
        soc: estimate.soc.value,
        soc_std: estimate.soc.std,
        cell_soc: [least, most],
        core_c: [t.coldest_c, t.mean_c, t.hottest_c],
        request_a: out.charge.current_a,
        request_v: out.charge.pack_voltage_limit_v,
        pulse_discharge_a: out.preheat.discharge_a,
        pulse_charge_a: out.preheat.charge_a,
        pulse_hz: out.preheat.frequency_hz,
        flow_l_per_min: out.climate.flow_l_per_min,
        chiller_w: out.climate.chiller_w,
        heater_w: out.climate.heater_w,
        film_w: out.climate.film_w,
        reverse: out.climate.reverse.into(),
        balance: out.balance.current_a.map(|a| match a {
            a if a > 0.0 => 1,
            a if a < 0.0 => 2,
            _ => 0,
        }),
    }
}

pub(crate) fn cell(core: &Core, number: usize) -> Option<bms_cell_t> {
    let known = core.bms().pack().cell(number)?;
    let core_c = *core.bms().temperatures().core_c.get(number)?;
    Some(bms_cell_t {
        soc: known.soc.value,
        soc_std: known.soc.std,
        capacity_ah: known.capacity_ah.value,
        capacity_std_ah: known.capacity_ah.std,
        resistance: known.resistance_scale.value,
        core_c,
    })
}

pub(crate) fn detection(d: &Detection) -> bms_detection_t {
    bms_detection_t {
        id: d.id as u8,
        level: level(d.id.entry().level),
        place: d.finding.place.unwrap_or(u16::MAX),
        value: d.finding.value,
        limit: d.finding.limit,
        time_ms: d.time_ms,
    }
}
