//! Every threshold from both sides: at it nothing is found, just beyond it something is. Numbers are such that they are exact.

use super::links::Usable;
use super::runaway::Runaway;
use super::senses::Jump;
use super::senses::current::CurrentSense;
use super::senses::temperature::{TemperatureSense, Warmth};
use super::senses::voltage::{VoltageSense, check_pack, pack_error_v};
use super::{Scene, cells, current, electrics, health, links, runaway, temperature};
use crate::leak::Leaky;
use crate::measurement::Reading;
use crate::safety::frame::{Frame, Heard};
use crate::safety::ledger::{Finding, Ledger, Status};
use crate::safety::settings::{Fitted, Levels, SafetySettings, SensorGrade};
use crate::safety::table::Diagnosis;
use crate::safety::{Context, SensorPlaces};

const N: usize = 8;
const S: usize = 4;

/// Errors of 2 A and of 1/64 V, a range of 1.5 V: no two of them whose product or difference is their quotient.
const SETTINGS: SafetySettings = SafetySettings {
    grade: SensorGrade {
        cell_voltage_v: 1.0 / 64.0,
        pack_voltage_share: 1.0 / 64.0,
        current_share: 1.0 / 32.0,
        current_full_a: 64.0,
        temperature_k: 2.0,
    },
    cell_high_v: Levels::new(4.0, 4.25, 4.5),
    cell_low_v: Levels::new(2.5, 2.25, 2.0),
    deep_discharge_v: 1.0,
    insulation_ohm_per_v: [512.0, 128.0],
    imbalance: [0.125, 0.25],
    ..SafetySettings::EXAMPLE_NMC_5AH
};

/// What came, and what the monitors of a step find in it.
#[derive(Clone, Copy)]
struct Step {
    settings: SafetySettings,
    frame: Frame<N, S>,
    context: Context,
    dt_ms: u16,
}

impl Step {
    const NEW: Self = Self { settings: SETTINGS, frame: Frame::NOTHING, context: Context::QUIET, dt_ms: 100 };

    fn scene(&self) -> Scene<'_, N, S> {
        Scene {
            settings: &self.settings,
            frame: &self.frame,
            context: &self.context,
            dt_ms: self.dt_ms,
            dt_s: 1e-3 * f32::from(self.dt_ms),
            usable: Usable { front_end: true, current_sensor: true, insulation: true },
        }
    }

    /// What is found of one diagnosis when it is looked at for long.
    fn finds(
        &self,
        id: Diagnosis,
        look: impl Fn(&Scene<'_, N, S>, &mut Ledger),
    ) -> Option<(Option<u16>, f32, f32)> {
        let mut ledger = Ledger::new();
        for _ in 0..1200 {
            ledger.advance(self.dt_ms);
            look(&self.scene(), &mut ledger);
        }
        let found = ledger.detection(id).map(|d| d.finding);
        assert_eq!(found.is_some(), ledger.status(id) == Status::Reacting, "{id:?}");
        found.map(|Finding { place, value, limit }| (place, value, limit))
    }
}

fn readings<const K: usize>(values: [f32; K]) -> [Reading; K] {
    values.map(|v| Reading::within(v, -500.0, 500.0))
}

#[test]
fn cell_voltages() {
    let find = |id, v: f32| {
        let mut all = [3.0; N];
        (all[2], all[5]) = (v, v);
        Step::NEW.finds(id, |scene, ledger| cells::check(scene.settings, &readings(all), ledger))
    };
    for (id, limit, by) in [
        (Diagnosis::CellVoltageHighInformation, 4.0, 0.001),
        (Diagnosis::CellVoltageHighFatal, 4.5, 0.001),
        (Diagnosis::CellVoltageLowInformation, 2.5, -0.001),
        (Diagnosis::CellVoltageLowFatal, 2.0, -0.001),
        (Diagnosis::DeepDischarge, 1.0, -0.001),
    ] {
        assert_eq!(find(id, limit), None, "{id:?}");
        // Of cells that are alike the first is named.
        assert_eq!(find(id, limit + by), Some((Some(2), limit + by, limit)), "{id:?}");
    }
}

#[test]
fn pulses_and_lasting_currents() {
    let find = |id, a: f32, least_a: f32| {
        let step = Step::NEW;
        step.finds(id, |scene, ledger| {
            // A mean that has settled.
            let mut limits = current::CurrentLimits::NEW;
            let slow = Scene { dt_s: 1e9, ..*scene };
            limits.step(&slow, (Some(a), None), &mut Ledger::new());
            limits.step(scene, (Some(a), Some([least_a, a])), ledger);
        })
    };
    let s = SETTINGS;
    assert_eq!(find(Diagnosis::DischargePulseFatal, s.pulse_discharge_a, 0.0), None);
    assert!(find(Diagnosis::DischargePulseFatal, s.pulse_discharge_a + 0.01, 0.0).is_some());
    assert_eq!(find(Diagnosis::ChargePulseFatal, 0.0, -s.pulse_charge_a), None);
    assert!(find(Diagnosis::ChargePulseFatal, 0.0, -s.pulse_charge_a - 0.01).is_some());
    assert_eq!(find(Diagnosis::DischargeCurrentInformation, s.discharge_a.information, 0.0), None);
    assert!(find(Diagnosis::DischargeCurrentInformation, s.discharge_a.information + 0.01, 0.0).is_some());
    assert_eq!(find(Diagnosis::ChargeCurrentInformation, -s.charge_a.information, 0.0), None);
    assert!(find(Diagnosis::ChargeCurrentInformation, -s.charge_a.information - 0.01, 0.0).is_some());
}

/// What electrics make of a frame, with a sum of the cells in V and a current in A.
fn electric(
    id: Diagnosis,
    (sum_v, current_a): (f32, f32),
    change: impl Fn(&mut Step),
) -> Option<(Option<u16>, f32, f32)> {
    let mut step = Step::NEW;
    step.frame.interlock_closed = true;
    change(&mut step);
    step.finds(id, |scene, ledger| electrics::check(scene, (Some(sum_v), Some(current_a)), ledger))
}

#[test]
fn insulation_and_fuse() {
    use Diagnosis::{FuseBlown, InsulationFatal, InsulationWarning};
    let insulation = |id, sum_v: f32, ohm: f32| electric(id, (sum_v, 0.0), |s| s.frame.insulation_ohm = ohm);
    for (id, per_v) in [(InsulationWarning, 512.0), (InsulationFatal, 128.0)] {
        assert_eq!(insulation(id, 32.0, 32.0 * per_v), None);
        assert!(insulation(id, 32.0, 31.0 * per_v).is_some());
        assert!(insulation(id, 32.0, 0.0).is_some());
        assert_eq!(insulation(id, 32.0, -1.0), None);
        assert_eq!(insulation(id, 20.0, 0.0), None);
    }
    let fuse =
        |sum_v: f32, fused_v: f32| electric(FuseBlown, (sum_v, 0.0), |s| s.frame.fused_voltage_v = fused_v);
    let edge_v = 0.1_f32 * 32.0;
    assert_eq!(fuse(32.0, 32.0 - 0.99 * edge_v), None);
    assert_eq!(fuse(32.0, 32.0 + 0.99 * edge_v), None);
    // A tenth that is exact.
    assert_eq!((fuse(40.0, 44.0), fuse(40.0, 36.0)), (None, None));
    assert_eq!(fuse(32.0, 28.0), Some((None, 28.0, 32.0)));
    assert_eq!(fuse(32.0, 36.0), Some((None, 36.0, 32.0)));
    assert_eq!(fuse(20.0, 0.0), None);
    let unfitted = |s: &mut Step| {
        s.settings.fitted = Fitted { link_voltage: false, ..s.settings.fitted };
        s.frame.fused_voltage_v = 0.0;
    };
    assert_eq!(electric(FuseBlown, (32.0, 0.0), unfitted), None);
    assert_eq!(electric(FuseBlown, (32.0, 0.0), |s| s.frame.fused_voltage_v = f32::INFINITY), None);
}

#[test]
fn charger_coolant_and_heater() {
    use Diagnosis::{ChargerIgnoresLimit, CoolantLost, HeaterStuck};
    // 20 A and 5 %, and two errors of 2 A.
    let charger = |charging: bool, a: f32| {
        electric(ChargerIgnoresLimit, (32.0, a), |s| {
            (s.context.charging, s.context.asked_charge_a) = (charging, 20.0);
            s.context.allowed_charge_a = 40.0;
        })
    };
    assert_eq!(charger(true, -25.0), None);
    assert_eq!(charger(true, -25.5), Some((None, 25.5, 25.0)));
    assert_eq!(charger(false, -60.0), None);
    assert_eq!(charger(true, 60.0), None);
    let flow = |asked: f32, flows: f32, fitted: bool| {
        electric(CoolantLost, (32.0, 0.0), |s| {
            s.settings.fitted.flow = fitted;
            (s.context.asked_flow_l_per_min, s.frame.flow_l_per_min) = (asked, flows);
        })
    };
    assert_eq!(flow(10.0, 0.3 * 10.0, true), None);
    assert!(flow(10.0, 2.9, true).is_some_and(|(_, _, limit)| (limit - 3.0).abs() < 1e-3));
    assert!(flow(10.0, f32::NAN, true).is_some() && flow(10.0, 0.0, false).is_none());
    assert_eq!(flow(0.5, 0.0, true), None);
    assert!(flow(0.6, 0.0, true).is_some());
    let heater = |asked_w: f32, heats_w: f32, fitted: bool| {
        electric(HeaterStuck, (32.0, 0.0), |s| {
            s.settings.fitted.heater_power = fitted;
            (s.context.asked_heater_w, s.frame.heater_w) = (asked_w, heats_w);
        })
    };
    assert_eq!(heater(1000.0, 1520.0, true), None);
    assert_eq!(heater(1000.0, 1521.0, true), Some((None, 1521.0, 1520.0)));
    assert_eq!(heater(0.0, 20.0, true), None);
    assert!(heater(0.0, 21.0, true).is_some() && heater(-1000.0, 21.0, true).is_some());
    assert!(heater(0.0, 2000.0, false).is_none() && heater(0.0, f32::INFINITY, true).is_none());
}

#[test]
fn time_charge_and_board() {
    use Diagnosis::{
        BoardHot, ImbalanceInformation, ImbalanceWarning, LeakyCell, SocUncertain, TaskLate, TaskOverrun,
    };
    let all = |id, step: Step, spread_v: f32, current_a: f32, board_c: f32| {
        let mut v = [3.0; N];
        v[4] += spread_v;
        let board_c = Reading::within(board_c, -60.0, 150.0);
        step.finds(id, |scene, ledger| {
            health::check(scene, board_c, (&readings(v), Some(current_a)), ledger);
        })
    };
    let late = |id, dt_ms| all(id, Step { dt_ms, ..Step::NEW }, 0.0, 0.0, 25.0);
    assert_eq!(late(TaskLate, 100), None);
    assert!(late(TaskLate, 101).is_some_and(|(_, ms, limit)| (ms - 101.0).abs() < 0.01 && limit == 100.0));
    assert!(late(TaskOverrun, 300).is_none() && late(TaskOverrun, 301).is_some());
    let mut leaks = Step::NEW;
    leaks.context.leaky = Some(Leaky { cell: 3, per_month: 0.5, limit: 0.25 });
    assert_eq!(all(LeakyCell, leaks, 0.0, 0.0, 25.0), Some((Some(3), 0.5, 0.25)));
    // Sure by three standard deviations, seen by three errors of a voltage, without a load.
    let imbalance = |id, spread: f32, std: f32, spread_v: f32, current_a: f32| {
        let mut step = Step::NEW;
        step.context.soc_spread = [spread, std];
        all(id, step, spread_v, current_a, 25.0)
    };
    let shown_v = 3.0 / 64.0;
    for (id, limit) in [(ImbalanceInformation, 0.125), (ImbalanceWarning, 0.25)] {
        assert_eq!(imbalance(id, limit, 0.0, 0.1, 0.0), None);
        assert_eq!(imbalance(id, limit + 0.1875, 0.0625, 0.1, 0.0), None);
        assert_eq!(imbalance(id, limit + 0.25, 0.0625, 0.1, 0.0), Some((None, limit + 0.0625, limit)));
        assert_eq!(imbalance(id, limit + 0.25, 0.0625, shown_v, 0.0), None);
        assert!(imbalance(id, limit + 0.25, 0.0625, 1.01 * shown_v, 0.0).is_some());
        assert_eq!(imbalance(id, limit + 0.25, 0.0625, 0.1, 1.0), None);
        assert!(imbalance(id, limit + 0.25, 0.0625, 0.1, -0.99).is_some());
    }
    let uncertain = |std| {
        let mut step = Step::NEW;
        step.context.soc_std = std;
        all(SocUncertain, step, 0.0, 0.0, 25.0).is_some()
    };
    assert!(!uncertain(0.1) && uncertain(0.101) && uncertain(f32::NAN));
    let hot = SETTINGS.board_hot_c;
    assert_eq!(all(BoardHot, Step::NEW, 0.0, 0.0, hot), None);
    assert_eq!(all(BoardHot, Step::NEW, 0.0, 0.0, hot + 1.0), Some((None, hot + 1.0, hot)));
}

fn warm(c: f32) -> Warmth {
    let reading = Reading::within(c, -50.0, 140.0);
    Warmth { raw_c: c, fast_k_per_s: 0.0, slow_k_per_s: 0.0, at_limits: reading, reading }
}

#[test]
fn temperatures_by_the_direction_of_the_current() {
    use Diagnosis::{
        ChargeColdFatal, ChargeColdInformation, ChargeHotFatal, DischargeColdFatal, DischargeHotFatal,
        DischargeHotInformation, TemperatureRiseFatal, TemperatureRiseWarning, TemperatureSpreadInformation,
    };
    let s = SETTINGS;
    let find = |id, all: [Warmth; S], current_a: Option<f32>, context: Context| {
        Step { context, ..Step::NEW }
            .finds(id, |scene, ledger| temperature::check(scene, &all, current_a, ledger))
    };
    let at = |c: f32| [c, c - 1.0, c, c - 1.0].map(warm);
    let quiet = Context::QUIET;
    let closed = Context { told_closed: [true, true, false], ..quiet };
    let asked = Context { wanted: true, ..quiet };
    // Of sensors that are alike the first is named.
    let over_c = s.discharge_hot_c.information + 1.0;
    assert_eq!(find(DischargeHotInformation, at(s.discharge_hot_c.information), None, quiet), None);
    let found = find(DischargeHotInformation, at(over_c), None, quiet);
    assert_eq!(found, Some((Some(0), over_c, s.discharge_hot_c.information)));
    let under_c = s.charge_cold_c.information - 1.0;
    let found = find(ChargeColdInformation, [9.0, under_c, 9.0, under_c].map(warm), None, quiet);
    assert_eq!(found, Some((Some(1), under_c, s.charge_cold_c.information)));
    assert_eq!(find(ChargeColdInformation, [s.charge_cold_c.information; S].map(warm), None, quiet), None);
    // A current flows beyond 1.25 times its error.
    let hot = at(s.discharge_hot_c.fatal + 1.0);
    assert_eq!(find(DischargeHotFatal, hot, Some(2.5), quiet), None);
    for (current_a, context) in [(2.51, quiet), (0.0, closed), (0.0, asked)] {
        assert!(find(DischargeHotFatal, hot, Some(current_a), context).is_some());
    }
    let hot = at(s.charge_hot_c.fatal + 1.0);
    assert!(find(ChargeHotFatal, hot, Some(-2.5), closed).is_none());
    assert!(find(ChargeHotFatal, hot, Some(-2.51), closed).is_some());
    let charging = |charging, asked_charge_a| {
        let mut context = closed;
        (context.charging, context.asked_charge_a) = (charging, asked_charge_a);
        context
    };
    assert!(find(ChargeHotFatal, hot, Some(0.0), charging(true, 0.0)).is_none());
    assert!(find(ChargeHotFatal, hot, Some(0.0), charging(false, 1.0)).is_none());
    assert!(find(ChargeHotFatal, hot, Some(0.0), charging(true, 1.0)).is_some());
    assert!(
        find(ChargeHotFatal, hot, None, closed).is_some() && find(ChargeHotFatal, hot, None, quiet).is_none()
    );
    for (id, fatal_c, current_a) in
        [(DischargeColdFatal, s.discharge_cold_c.fatal, 4.0), (ChargeColdFatal, s.charge_cold_c.fatal, -4.0)]
    {
        assert!(find(id, [fatal_c; S].map(warm), Some(current_a), closed).is_none());
        assert!(find(id, [fatal_c - 1.0; S].map(warm), Some(current_a), closed).is_some());
        assert!(find(id, [fatal_c - 1.0; S].map(warm), Some(-current_a), closed).is_none());
    }
    let spread =
        |k: f32| find(TemperatureSpreadInformation, [20.0, 20.0 + k, 20.0, 20.0].map(warm), None, quiet);
    assert!(spread(s.spread_k.information).is_none() && spread(s.spread_k.information + 1.0).is_some());
    let rise = |id, slow_k_per_s, fast_k_per_s| {
        let mut all = at(20.0);
        for place in [1, 3] {
            all[place] = Warmth { slow_k_per_s, fast_k_per_s, ..all[place] };
        }
        find(id, all, None, quiet).map(|(place, ..)| place)
    };
    let [warning, fatal] = s.rise_k_per_s;
    assert_eq!(rise(TemperatureRiseWarning, warning, 9.0), None);
    assert_eq!(rise(TemperatureRiseWarning, 1.01 * warning, 0.0), Some(Some(1)));
    assert_eq!(rise(TemperatureRiseFatal, 9.0, fatal), None);
    assert_eq!(rise(TemperatureRiseFatal, 0.0, 1.01 * fatal), Some(Some(1)));
}

#[test]
fn the_pack_voltage_against_the_sum_of_the_cells() {
    use Diagnosis::{PackVoltageDisagrees, PackVoltageLost};
    // 1.5 times an error of 1/64 of 8 cells of 4.5 V and of 1/64 V for each.
    let error_v = pack_error_v(&SETTINGS, 8.0);
    assert_eq!(error_v, 1.5 * (36.0 / 64.0 + 8.0 / 64.0));
    let find = |id, pack_v: f32| {
        let mut step = Step::NEW;
        step.frame.pack_voltage_v = pack_v;
        step.finds(id, |scene, ledger| check_pack(scene, Some(32.0), ledger)).is_some()
    };
    assert!(!find(PackVoltageDisagrees, 32.0 + error_v) && !find(PackVoltageDisagrees, 32.0 - error_v));
    assert!(find(PackVoltageDisagrees, 32.0 + 1.01 * error_v));
    assert!(find(PackVoltageDisagrees, 32.0 - 1.01 * error_v));
    for (pack_v, lost) in [(-36.0, true), (-35.9, false), (71.9, false), (72.0, true), (f32::NAN, true)] {
        assert_eq!(find(PackVoltageLost, pack_v), lost, "{pack_v}");
    }
}

/// A partner tells something new within its time, or its silence is told with the seconds that it lasts.
#[test]
fn silence_is_told_in_seconds() {
    let mut ledger = Ledger::new();
    let mut links = links::Links::NEW;
    let mut step = Step::NEW;
    let mut hear = |fresh, counter| {
        let heard = Heard { fresh, counter, sound: true };
        step.frame.front_end = heard;
        step.frame.current_sensor = heard;
        ledger.advance(100);
        links.step(&step.scene(), &mut ledger).front_end
    };
    // Fifteen is the last number, sixteen none.
    assert!(hear(true, 14) && hear(true, 15) && !hear(true, 16) && hear(true, 0) && !hear(true, 0));
    for _ in 0..20 {
        assert!(!hear(false, 1));
    }
    let found = ledger.detection(Diagnosis::FrontEndLost).expect("silent").finding;
    let debounce_s = 1e-3 * f32::from(Diagnosis::FrontEndLost.entry().debounce_ms);
    assert!((found.value - debounce_s.max(0.1)).abs() <= 0.21 && found.limit == 0.0, "{found:?}");
    assert!(found.value >= 0.1 && found.value < 0.9);
}

/// Rises next to a cell, against that of the others.
#[test]
fn rises_near_a_cell() {
    let places = SensorPlaces { sensor_cells: &[0, 2, 5, 7], sensors: S };
    let rising = |rises: [f32; S], lost: usize| {
        let mut all = rises.map(|slow_k_per_s| Warmth { slow_k_per_s, ..warm(25.0) });
        if lost < S {
            all[lost].raw_c = f32::NAN;
        }
        all
    };
    let near = |rises, lost, cell| runaway::rise_nearby(&places, &rising(rises, lost), 0.25, cell);
    assert_eq!(near([1.0, 2.0, 3.0, 4.0], S, 2), 1.75);
    assert_eq!(near([1.0, 2.0, 3.0, 4.0], S, 6), 3.75);
    assert_eq!(near([1.0, 2.0, 4.0, 3.0], S, 6), 3.75);
    assert_eq!(near([1.0, 2.0, 3.0, 4.0], 1, 2), 0.75);
    assert_eq!(near([4.0, 2.0, 3.0, 1.0], S, 1), 3.75);
    assert_eq!(near([4.0, 2.0, 3.0, 1.0], S, 2), 1.75);
    // The mean without the highest and the lowest, of those that are heard.
    assert_eq!(runaway::typical_rise(&rising([0.0, 0.25, 0.75, 9.0], S)), 0.5);
    assert_eq!(runaway::typical_rise(&rising([0.25, 0.25, 0.25, 9.0], 3)), 0.25);
    let warms = |rise| runaway::warms(&places, &rising([rise, 0.0, 0.0, 0.0], S), 0.0, 0);
    assert!(!warms(0.05) && warms(0.051) && !warms(0.0));
}

/// A cell has collapsed below three quarters of what cells had before. Without a sensor that warms up, its collapse counts
/// if the pack voltage, right within its error, is too low for anything else.
#[test]
fn a_collapse_counts_if_the_pack_voltage_shows_it() {
    let places = SensorPlaces { sensor_cells: &[0, 2, 5, 7], sensors: S };
    let looks = |step: &Step, rise_k_per_s: f32, now: &mut Runaway<N, S>, ledger: &mut Ledger| {
        let mut all = [25.0; S].map(warm);
        all[2].slow_k_per_s = rise_k_per_s;
        now.step(&step.scene(), (&places, &VoltageSense::NEW.see(&step.scene()), &all), ledger);
    };
    // What is found of a cell that had 4 V as the others, and whether it has collapsed.
    let found = |cell_v: f32, pack_v: f32, rise_k_per_s: f32| {
        let mut step = Step::NEW;
        step.frame.cell_voltage_v = [4.0; N];
        let mut before = Runaway::NEW;
        looks(&step, 0.0, &mut before, &mut Ledger::new());
        step.frame.cell_voltage_v[4] = cell_v;
        step.frame.pack_voltage_v = pack_v;
        let after = core::cell::Cell::new(before);
        let found = step.finds(Diagnosis::ThermalRunawayNearby, |_, ledger| {
            let mut now = after.get();
            looks(&step, rise_k_per_s, &mut now, ledger);
            after.set(now);
        });
        (after.get().collapsed[4], found.map(|(place, value, _)| (place, value)))
    };
    // Errors of 1.03125 V: 29 V as the cells say, and less than 32 V by two errors.
    for (pack_v, shown) in
        [(27.9, false), (28.0, true), (29.9, true), (29.9375, false), (29.95, false), (30.1, false)]
    {
        assert_eq!(found(1.0, pack_v, 0.0), (true, shown.then_some((Some(4), 1.0))), "{pack_v}");
    }
    assert_eq!(found(3.0, 29.0, 1.0), (false, None));
    assert_eq!(found(2.99, 29.0, 1.0), (true, Some((Some(4), 1.0))));
    assert_eq!(found(2.99, 32.0, 0.05), (true, None));
    assert_eq!(found(2.99, 32.0, 0.051), (true, Some((Some(4), 0.051))));
}

/// Half the limit, twice the error and a minute, each from both sides.
#[test]
fn a_jump_ends_by_coming_back_or_by_agreement() {
    let jumped = |by: f32| {
        let mut jump = Jump::NONE;
        assert!(!jump.step(0.0, 1.0, 0.25, 0.1));
        (jump.step(by, 1.0, 0.25, 0.1), jump)
    };
    assert!(!jumped(1.0).0 && jumped(1.01).0 && jumped(-1.01).0);
    let (_, far) = jumped(2.0);
    let back = |to: f32| {
        let mut jump = far;
        !jump.step(to, 1.0, 0.25, 0.1)
    };
    assert!(!back(0.5) && back(0.49) && !back(-0.5) && back(-0.49));
    // From somewhere absurd to where the others are: at once. From elsewhere: after a minute.
    let repaired = |from: f32, to: f32, seconds: f32| {
        let mut jump = Jump::NONE;
        jump.step(from, 1.0, 0.25, 0.1);
        jump.step(9.0, 1.0, 0.25, 0.1);
        !jump.step(to, 1.0, 0.25, seconds)
    };
    assert!(repaired(3.01, 0.0, 0.1) && !repaired(3.0, 0.0, 0.1) && repaired(-3.01, 0.0, 0.1));
    assert!(repaired(3.01, 0.49, 0.1) && !repaired(3.01, 0.5, 0.1));
    assert!(repaired(2.0, 0.0, 60.0) && !repaired(2.0, 0.0, 59.9));
}

/// Currents in A that two sensors say for a while, with contactors as told and cells of 3 V that move by so much at once.
fn currents(
    id: Diagnosis,
    step: Step,
    [first, second]: [f32; 2],
    moved_v: f32,
) -> Option<(Option<u16>, f32, f32)> {
    let mut step = step;
    (step.frame.current_a, step.frame.second_current_a) = (first, second);
    let mut sense = CurrentSense::NEW;
    for _ in 0..20 {
        sense.step(&step.scene(), Some(3.0), &mut Ledger::new());
    }
    let ran = core::cell::Cell::new(sense);
    let up = core::cell::Cell::new(false);
    step.finds(id, |scene, ledger| {
        let mut sense = ran.get();
        up.set(!up.get());
        sense.step(scene, Some(if up.get() { 3.0 + moved_v } else { 3.0 }), ledger);
        ran.set(sense);
    })
}

#[test]
fn what_current_sensors_may_say() {
    use Diagnosis::{CurrentDisagrees, CurrentOffset, CurrentRedundancyLost, CurrentStuck, CurrentWhileOpen};
    let mut closed = Step::NEW;
    closed.context.told_closed = [true, true, false];
    // Three errors of 2 A.
    let disagree = |by: f32| currents(CurrentDisagrees, closed, [8.0, 8.0 + by], 0.0);
    assert_eq!(disagree(6.0), None);
    assert_eq!(disagree(6.5), Some((None, 6.5, 6.0)));
    assert_eq!(disagree(-6.5), Some((None, 6.5, 6.0)));
    // Full scale and 5 %: beyond that a reading is none.
    let lost = |a: [f32; 2]| currents(CurrentRedundancyLost, closed, a, 0.0).map(|(place, ..)| place);
    assert_eq!(lost([67.0, 67.0]), None);
    assert_eq!(lost([67.5, 67.0]), Some(Some(0)));
    assert_eq!(lost([-67.0, -67.5]), Some(Some(1)));
    // 9 A that stand still while voltages move by 2/64 V and what 9 A do in a second.
    // (of so small a capacity that this is much)
    closed.settings.capacity_ah = 0.05;
    let stuck = |step: Step, moved_v: f32| currents(CurrentStuck, step, [9.0; 2], moved_v);
    let edge_v = 2.0 / 64.0 + 2.0 * 1.5 * 9.0 / (3600.0 * 0.05);
    assert_eq!(stuck(closed, 0.99 * edge_v), None);
    let (place, value, limit) = stuck(closed, 1.01 * edge_v).unwrap();
    assert!(place == Some(0) && value == 9.0 && (limit - 0.2).abs() < 1e-6);
    // … or by what a tenth of the error does in the resistance, there and back; in longer steps by more.
    let mut resistive = closed;
    resistive.settings.cell_ohm = 1.0;
    let edge_v = 0.4 + 2.0 * 1.5 * 9.0 / (3600.0 * 0.05);
    assert!(stuck(resistive, 0.99 * edge_v).is_none() && stuck(resistive, 1.01 * edge_v).is_some());
    let mut slow = closed;
    slow.dt_ms = 2000;
    let edge_v = 10.0 * 2.0 / 64.0 + 2.0 * 1.5 * 9.0 * 2.0 / (3600.0 * 0.05);
    assert!(stuck(slow, 0.99 * edge_v).is_none() && stuck(slow, 1.01 * edge_v).is_some());
    // Open contactors: what two sensors see beyond 1.25 errors flows, what one alone sees is an offset up to three.
    let open = |id, a: [f32; 2]| currents(id, Step::NEW, a, 0.0).map(|(_, value, limit)| [value, limit]);
    assert_eq!(open(CurrentWhileOpen, [2.5; 2]), None);
    assert_eq!(open(CurrentWhileOpen, [3.0, -4.0]), Some([4.0, 2.5]));
    assert_eq!(open(CurrentOffset, [3.0, 4.0]), None);
    assert_eq!(open(CurrentOffset, [0.0, 2.5]), None);
    assert_eq!(open(CurrentOffset, [0.0, 3.0]), Some([3.0, 2.5]));
    assert_eq!(open(CurrentOffset, [5.8, f32::NAN]), Some([5.8, 2.5]));
    assert_eq!(open(CurrentWhileOpen, [5.8, f32::NAN]), None);
    assert_eq!(open(CurrentWhileOpen, [6.2, f32::NAN]), Some([6.2, 2.5]));
    assert_eq!(open(CurrentWhileOpen, [f32::NAN, -6.2]), Some([6.2, 2.5]));
    assert!(currents(CurrentWhileOpen, closed, [9.0; 2], 0.0).is_none());
}

/// Up to ten times its full scale a current counts as a pulse, up to 1.05 times it is used.
#[test]
fn what_is_used_of_a_current() {
    let mut step = Step::NEW;
    step.settings.fitted.second_current = false;
    let used = |step: &Step, first: f32| {
        let mut step = *step;
        (step.frame.current_a, step.frame.mean_current_a) = (first, first);
        let mut sense = CurrentSense::NEW;
        sense.step(&step.scene(), Some(3.0), &mut Ledger::new())
    };
    assert_eq!(used(&step, 67.0).current_a.valid(), Some(67.0));
    assert_eq!(used(&step, -67.0).mean_current_a.valid(), Some(-67.0));
    assert_eq!(used(&step, 67.0).mean_current_a.valid(), Some(67.0));
    assert_eq!(used(&step, 68.0).mean_current_a.valid(), None);
    assert_eq!(used(&step, 68.0).current_a.valid(), None);
    assert_eq!(used(&step, 640.0).pulse_a, Some([640.0; 2]));
    assert_eq!(used(&step, -640.0).pulse_a, Some([-640.0; 2]));
    assert_eq!(used(&step, 641.0).pulse_a, None);
}

/// Warm sensors at 25 degC for an hour, then so many degC for so many steps; what is found.
fn sensed(id: Diagnosis, then: impl Fn(u32) -> [f32; S], dt_ms: u16) -> Option<(Option<u16>, f32, f32)> {
    let mut step = Step { dt_ms, ..Step::NEW };
    step.settings.spread_k = Levels::new(1.0, 15.0, 25.0);
    step.frame.sensors_c = [25.0; S];
    let mut sense = TemperatureSense::<S>::NEW;
    let mut ledger = Ledger::new();
    let mut run = |c: [f32; S], ledger: &mut Ledger| {
        step.frame.sensors_c = c;
        ledger.advance(dt_ms);
        sense.step(&step.scene(), S, ledger);
    };
    for _ in 0..100 {
        run([25.0; S], &mut ledger);
    }
    let mut found = None;
    for k in 0..400 {
        run(then(k), &mut ledger);
        found = found.or(ledger.detection(id).map(|d| (d.finding.place, d.finding.value, d.finding.limit)));
    }
    found
}

#[test]
fn temperature_sensors_against_one_another() {
    use Diagnosis::{TemperatureDrift, TemperatureJump, TemperatureLost, TemperatureStuck, TemperaturesLost};
    // Errors of 2 K: a jump is more than three of them and 20 K/s.
    let jumps = |by: f32| sensed(TemperatureJump, |_| [25.0, 25.0 + by, 25.0, 25.0], 100);
    assert_eq!(jumps(8.0), None);
    assert_eq!(jumps(8.5), Some((Some(1), 33.5, 8.0)));
    assert!(jumps(-8.5).is_some());
    // A drift is more than three away from what was usual, and two from the others.
    let drifts = |by: f32| {
        sensed(TemperatureDrift, |k| [25.0, 25.0 + by * (0.01 * k as f32).min(1.0), 25.0, 25.0], 100)
            .map(|(place, _, limit)| (place, limit))
    };
    assert_eq!(drifts(6.0), None);
    assert_eq!(drifts(6.6), Some((Some(1), 6.0)));
    assert_eq!(drifts(-6.6), Some((Some(1), 6.0)));
    // Stuck while the others move by more than three errors; a hand's breadth of noise is no movement.
    let stuck = |by: f32, noise: f32| {
        sensed(
            TemperatureStuck,
            |k| {
                let c = 25.0 + by * (0.01 * k as f32).min(1.0);
                [c, 25.0 + if k % 2 == 0 { noise } else { 0.0 }, c, c]
            },
            100,
        )
        .is_some()
    };
    assert!(!stuck(6.0, 0.0) && stuck(6.5, 0.0) && stuck(-6.5, 0.0));
    assert!(stuck(6.5, 0.25) && !stuck(6.5, 0.5));
    // Half of the sensors have to be left.
    let lost =
        |id, n: usize| sensed(id, |_| core::array::from_fn(|k| if k < n { f32::NAN } else { 25.0 }), 100);
    assert!(lost(TemperatureLost, 0).is_none() && lost(TemperatureLost, 1).is_some());
    assert_eq!(lost(TemperaturesLost, 2), None);
    assert_eq!(lost(TemperaturesLost, 3), Some((None, 1.0, 2.0)));
    // The ends of what a sensor can read.
    for (c, place) in [(-50.0, None), (-50.5, Some(Some(1))), (140.0, None), (140.5, Some(Some(1)))] {
        let ends = sensed(TemperatureLost, |_| [25.0, c, 25.0, 25.0], 100);
        assert_eq!(ends.map(|(place, ..)| place), place, "{c}");
        if let Some((_, value, limit)) = ends {
            assert_eq!((value, limit), (c, if c < 0.0 { -50.0 } else { 140.0 }));
        }
    }
}

/// A ramp is seen as what it is, within seconds and within ten; a jump and a step that is too long are no rise.
#[test]
fn rises_are_measured() {
    let rises = |dt_ms: u16, at: fn(f32) -> f32, steps: u32| {
        let mut step = Step { dt_ms, ..Step::NEW };
        let mut sense = TemperatureSense::<S>::NEW;
        let mut last = [warm(25.0); S];
        for k in 0..steps {
            step.frame.sensors_c = [at(1e-3 * f32::from(dt_ms) * k as f32); S];
            last = sense.step(&step.scene(), S, &mut Ledger::new());
        }
        [last[0].fast_k_per_s, last[0].slow_k_per_s]
    };
    for [fast, slow] in [rises(100, |t| 25.0 + 0.5 * t, 1000), rises(2000, |t| 25.0 + 0.5 * t, 60)] {
        assert!((fast - 0.5).abs() < 0.01 && (slow - 0.5).abs() < 0.01, "{fast} {slow}");
    }
    assert_eq!(rises(2001, |t| 25.0 + 0.5 * t, 60), [0.0; 2]);
    let [fast, slow] = rises(100, |t| if t < 50.0 { 25.0 } else { 60.0 }, 502);
    assert!(fast.abs() < 1e-3 && slow.abs() < 1e-3, "{fast} {slow}");
    let [fast, _] = rises(100, |t| if t < 50.0 { 25.0 } else { 32.0 }, 502);
    assert!(fast > 0.5, "{fast}");
    // A fire is followed beyond what a sensor should read.
    let [fast, _] = rises(100, |t| 900.0 + t, 1001);
    assert!(fast > 0.9, "{fast}");
}
