//! The whole controller around a small pack: modes, faults, limits, memory, whatever comes in.

use std::sync::LazyLock;

use bms_core::balance::BalanceRules;
use bms_core::balance::passive::BalanceLimits;
use bms_core::bms::{self, BalanceMeans, BmsError, Models};
use bms_core::cell::{Age, CellModel};
use bms_core::charging::{ChargeMode, ChargePlan, ChargeSettings, ChargeState, ChargerReport};
use bms_core::climate::{Band, ClimateSettings};
use bms_core::controller::{
    Controller, ControllerError, ControllerSettings, ControllerState, Input, MemoryPart,
};
use bms_core::example;
use bms_core::leak::{LeakError, LeakLimits};
use bms_core::measurement::Reading;
use bms_core::safety::contactors::{Lock, OpeningRules, Position};
use bms_core::safety::frame::{Frame, Heard};
use bms_core::safety::ledger::Status;
use bms_core::safety::limits::{LimitSettings, LimitedBy};
use bms_core::safety::mode::{Mode, Wish};
use bms_core::safety::settings::SafetySettings;
use bms_core::safety::table::{Diagnosis, Level, Reaction};
use bms_core::soc::Estimated;
use bms_core::sop::Limits;
use bms_core::store::{Store, fingerprint};
use bms_core::tuning::Tuning;
use proptest::prelude::*;

const N: usize = 6;
const S: usize = 3;
const M: usize = 1;
const KEY: u32 = 0xC0DE_2024;

type Small = Controller<'static, N, S, M>;

static MODEL: LazyLock<CellModel<'static>> = LazyLock::new(|| CellModel::new(example::NMC_5AH).unwrap());

/// Well below the limit of the protection.
const GENTLE: ChargePlan<'_> = ChargePlan { voltage_v: 4.18, ..example::ONE_C };
const COLD: Band = Band { heat_below_c: 10.0, cool_above_c: 40.0 };

fn models() -> Models<'static> {
    Models { cell: &MODEL, pulse: (&*MODEL).into(), negative: None }
}

fn settings() -> ControllerSettings<'static> {
    let bms = bms::Settings {
        climate: ClimateSettings {
            driving: COLD,
            pack_j_per_k: 400.0,
            max_heater_w: 0.0,
            max_film_w: 50.0,
            films: 1,
            ..ClimateSettings::CAR
        },
        charge: ChargeSettings::typical(N as u16, GENTLE, example::CHARGE_LIMIT),
        balance: BalanceMeans::Passive(BalanceLimits {
            rest_s: 1.0,
            rules: BalanceRules { period_s: 60.0, window_s: 3.0, ..BalanceRules::TYPICAL },
            ..BalanceLimits::NMC
        }),
        limits: Limits::of_cell(&MODEL, 15.0, 7.5),
        ..example::pack(&MODEL, &[example::PLACE; N], &[0, 2, 4])
    };
    ControllerSettings::new(&example::SAFETY, bms, KEY)
}

fn controller() -> Small {
    let start = Estimated { value: 0.6, std: 0.02 };
    Small::new(models(), &Tuning::NMC, &settings(), 5.0, start).unwrap()
}

type Fault = fn(&mut Frame<N, S>);

/// A small pack of ohmic cells with contactors, a link and a load that obeys.
struct Bench {
    controller: Small,
    soc: [f64; N],
    temperature_c: f64,
    link_v: f64,
    /// What the load would like, positive on discharge.
    load_a: f64,
    /// It takes that whatever the limits say.
    obeys: bool,
    current_a: f64,
    charged_ah: f64,
    wish: Wish,
    plugged_in: bool,
    acknowledge: bool,
    key: Option<u32>,
    fault: Option<Fault>,
    step: u32,
    modes: Vec<Mode>,
}

impl Bench {
    fn new() -> Self {
        Self::with(controller())
    }

    fn with(controller: Small) -> Self {
        Self {
            controller,
            soc: [0.6; N],
            temperature_c: 25.0,
            link_v: 0.0,
            load_a: 0.0,
            obeys: true,
            current_a: 0.0,
            charged_ah: 0.0,
            wish: Wish::Standby,
            plugged_in: false,
            acknowledge: false,
            key: None,
            fault: None,
            step: 0,
            modes: vec![],
        }
    }

    /// In the mode that a wish leads to.
    fn at(wish: Wish) -> Self {
        let mut bench = Self::new();
        bench.plugged_in = matches!(wish, Wish::Charge { .. });
        bench.run(20).ask(wish).run(80);
        bench
    }

    fn driving() -> Self {
        let bench = Self::at(Wish::Drive);
        assert_eq!(bench.mode(), Mode::Drive, "{:?} {:?}", bench.modes, bench.found());
        bench
    }

    fn ask(&mut self, wish: Wish) -> &mut Self {
        self.wish = wish;
        self
    }

    fn run(&mut self, steps: usize) -> &mut Self {
        for _ in 0..steps {
            self.one(100);
        }
        self
    }

    /// A number between -1 and 1 that does not repeat soon.
    fn noise(&self, k: usize) -> f64 {
        let x = (self.step.wrapping_mul(2_654_435_761) ^ (k as u32).wrapping_mul(0x9E37_79B9)) >> 8;
        f64::from(x) / f64::from(1 << 23) - 1.0
    }

    fn one(&mut self, dt_ms: u16) {
        let dt_s = f64::from(dt_ms) / 1000.0;
        let decision = *self.controller.decision();
        let [plus, minus, precharge] = decision.contactors;
        let pack_v: f64 = (0..N).map(|k| self.open_v(k)).sum();
        if plus && minus {
            self.link_v = pack_v;
            let limits = decision.limits;
            let (most, least) = (f64::from(limits.discharge.current_a), -f64::from(limits.charge.current_a));
            self.current_a = if decision.mode == Mode::Charge {
                -f64::from(decision.bms.charge.current_a)
            } else if self.obeys {
                self.load_a.clamp(least, most)
            } else {
                self.load_a
            };
        } else if minus && precharge {
            self.current_a = (pack_v - self.link_v) / 50.0;
            self.link_v += (pack_v - self.link_v) * (1.0 - (-dt_s / 0.05).exp());
        } else {
            self.current_a = 0.0;
            self.link_v *= 0.95;
        }
        for z in &mut self.soc {
            *z -= self.current_a * dt_s / 3600.0 / 5.0;
        }
        self.charged_ah -= self.current_a * dt_s / 3600.0;
        let heard = Heard { fresh: true, counter: (self.step % 16) as u8, sound: true };
        let mut frame = Frame::<N, S>::NOTHING;
        for (k, v) in frame.cell_voltage_v.iter_mut().enumerate() {
            *v = (self.open_v(k) - 0.012 * self.current_a + 0.001 * self.noise(k)) as f32;
        }
        for (k, c) in frame.sensors_c.iter_mut().enumerate() {
            *c = (self.temperature_c + 0.05 * self.noise(20 + k)) as f32;
        }
        let measured_a = (self.current_a + 0.005 * self.noise(40)) as f32;
        let sum_v: f32 = frame.cell_voltage_v.iter().sum();
        frame = Frame {
            current_a: measured_a,
            mean_current_a: self.current_a as f32,
            second_current_a: (self.current_a + 0.005 * self.noise(41)) as f32,
            pack_voltage_v: sum_v,
            fused_voltage_v: sum_v,
            link_voltage_v: self.link_v as f32,
            insulation_ohm: 1e6,
            interlock_closed: true,
            contactor_closed: decision.contactors.map(Some),
            inlet_c: self.temperature_c as f32,
            outlet_c: self.temperature_c as f32,
            ambient_c: 25.0,
            board_c: 30.0,
            front_end: heard,
            current_sensor: heard,
            insulation_monitor: heard,
            vehicle: heard,
            charger: heard,
            ..frame
        };
        if let Some(fault) = self.fault {
            fault(&mut frame);
        }
        let input = Input {
            frame,
            film_w: decision.bms.climate.film_w,
            charger: ChargerReport {
                connected: self.plugged_in,
                heard: true,
                current_a: Reading::within(-measured_a, -1e3, 1e3),
                max_a: 10.0,
                max_v: 0.0,
            },
            wish: self.wish,
            acknowledge: self.acknowledge,
            service_key: self.key,
            ..Input::NOTHING
        };
        self.step += 1;
        let mode = self.controller.step(&input, dt_ms).mode;
        if self.modes.last() != Some(&mode) {
            self.modes.push(mode);
        }
        self.holds();
    }

    fn open_v(&self, k: usize) -> f64 {
        f64::from(MODEL.ocv(self.temperature_c as f32, self.soc[k] as f32, &Age::NEW).ocv_v)
    }

    /// What must be so after every step.
    fn holds(&self) {
        let d = self.controller.decision();
        let l = d.limits;
        let safe = d.bms.power.safe;
        for (limit, safe) in [(l.discharge, safe.discharge[1]), (l.charge, safe.charge[1])] {
            if d.mode == Mode::Charge && limit == l.charge {
                // Charge control leads it.
                continue;
            }
            assert!(limit.current_a >= 0.0 && limit.current_a <= safe.current_a, "{limit:?} {safe:?}");
            assert!(limit.power_w >= 0.0 && limit.power_w <= N as f32 * safe.power_w, "{limit:?} {safe:?}");
        }
        assert!(d.bms.charge.current_a >= 0.0 && d.bms.charge.current_a <= l.charge.current_a);
        if !(d.contactors[0] && d.contactors[1] && d.mode.works()) {
            assert_eq!((l.discharge.current_a, l.charge.current_a), (0.0, 0.0));
        }
        if d.level == Some(Level::Fatal) {
            assert_eq!((l.discharge.current_a, l.charge.power_w, d.bms.charge.current_a), (0.0, 0.0, 0.0));
            assert_eq!(d.bms.balance.on(), [false; N]);
            assert_eq!((d.bms.climate.heater_w, d.bms.climate.film_w), (0.0, [0.0; M]));
        }
    }

    fn mode(&self) -> Mode {
        self.controller.decision().mode
    }

    fn open(&self) -> bool {
        self.controller.decision().contactors == [false; 3]
    }

    fn status(&self, id: Diagnosis) -> Status {
        self.controller.safety().ledger().status(id)
    }

    fn found(&self) -> Vec<Diagnosis> {
        self.controller.safety().ledger().detected().iter().collect()
    }

    fn acknowledge(&mut self) -> &mut Self {
        self.acknowledge = true;
        self.run(1);
        self.acknowledge = false;
        self.run(1)
    }
}

/// A pack that is too hot when power comes back is not connected, not even for the time that the diagnosis takes.
#[test]
fn a_pack_that_is_too_hot_at_the_start_is_never_connected() {
    let mut bench = Bench::new();
    bench.temperature_c = f64::from(example::SAFETY.discharge_hot_c.fatal) + 2.0;
    bench.ask(Wish::Drive);
    for _ in 0..100 {
        bench.run(1);
        assert!(bench.open(), "{:?}", bench.modes);
    }
    assert_eq!(bench.status(Diagnosis::DischargeHotFatal), Status::Reacting);
    assert_eq!(bench.mode(), Mode::Error);
    // Cool again, acknowledged and asked for anew, it drives.
    bench.temperature_c = 25.0;
    bench.run(100).ask(Wish::Standby).run(50).acknowledge().ask(Wish::Drive).run(80);
    assert_eq!(bench.mode(), Mode::Drive, "{:?}", bench.found());
    // One that is hot and that nobody asks for has no fault.
    let mut parked = Bench::new();
    parked.temperature_c = f64::from(example::SAFETY.discharge_hot_c.fatal) + 2.0;
    parked.run(100);
    assert_eq!((parked.mode(), parked.status(Diagnosis::DischargeHotFatal)), (Mode::Standby, Status::Clear));
}

#[test]
fn a_day_from_waking_up_to_sleep() {
    let charge = Wish::Charge { mode: ChargeMode::Normal, target_soc: 0.9 };
    let preheat = Wish::Preheat { target_c: 10.0, time_left_s: 600.0, hold: false };
    let mut bench = Bench::new();
    bench.run(20).ask(preheat).run(40).ask(Wish::Drive).run(100);
    bench.load_a = 4.0;
    bench.run(300);
    assert!(bench.current_a == 4.0);
    bench.plugged_in = true;
    bench.run(30).ask(charge).run(300);
    assert!(bench.current_a < -1.0, "{}", bench.current_a);
    bench.ask(Wish::Balance).run(60).ask(Wish::Sleep).run(10).ask(Wish::Standby).run(20);
    assert_eq!(
        bench.modes,
        [
            Mode::Initialise,
            Mode::SelfTest,
            Mode::Standby,
            Mode::Precharge,
            Mode::Preheat,
            Mode::Drive,
            // Nobody drives with a plug in.
            Mode::Opening,
            Mode::Standby,
            Mode::Precharge,
            Mode::Charge,
            Mode::Opening,
            Mode::Standby,
            Mode::Balance,
            Mode::Standby,
            Mode::Sleep,
            Mode::WakeUp,
            Mode::SelfTest,
            Mode::Standby,
        ]
    );
    assert_eq!(bench.found(), []);
}

/// The state of power, which is a prediction with margins, does not keep a charge from its end.
#[test]
fn a_charge_comes_to_its_end() {
    let start = Estimated { value: 0.9, std: 0.02 };
    let mut bench = Bench::with(Small::new(models(), &Tuning::NMC, &settings(), 5.0, start).unwrap());
    bench.soc = [0.9; N];
    bench.plugged_in = true;
    bench.run(20).ask(Wish::Charge { mode: ChargeMode::Normal, target_soc: 1.0 });
    let full = |b: &mut Bench| b.run(10).controller.decision().bms.charge.state == ChargeState::Full;
    assert!((0..7200).any(|_| full(&mut bench)), "{:?}", bench.controller.decision());
    assert!(bench.soc[0] > 0.98 && bench.controller.bms().estimate().soc.value > 0.97, "{}", bench.soc[0]);
    assert_eq!(bench.found(), []);
    assert_eq!(bench.controller.decision().bms.charge.state, ChargeState::Full);
}

#[test]
fn limits_are_zero_when_a_fault_is_detected_and_contactors_open_when_it_reacts() {
    let mut bench = Bench::driving();
    bench.load_a = 5.0;
    bench.run(20);
    let id = Diagnosis::CellVoltageHighFatal;
    bench.fault = Some(|f| f.cell_voltage_v = f.cell_voltage_v.map(|v| v + 0.6));
    let mut reached = [None; 3];
    for k in 0..30 {
        bench.run(1);
        let d = bench.controller.decision();
        let events =
            [bench.status(id) >= Status::Detected, d.limits.discharge.current_a == 0.0, bench.open()];
        for (at, is) in reached.iter_mut().zip(events) {
            *at = at.or(is.then_some(k));
        }
    }
    let [detected, zero, open] = reached.map(Option::unwrap);
    assert!(zero <= detected && zero <= open, "{reached:?}");
    assert_eq!(bench.mode(), Mode::Error);
    assert_eq!(bench.controller.decision().level, Some(Level::Fatal));
    assert_eq!(bench.controller.decision().limits.charge.by, LimitedBy::Fault);
}

#[test]
fn after_a_fault_the_pack_waits_for_acknowledgement_and_a_new_request() {
    let mut bench = Bench::driving();
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.run(20);
    assert!(bench.open() && bench.mode() == Mode::Error);
    assert_eq!(bench.controller.decision().reason, Some(Diagnosis::InterlockOpen));
    // While it lasts nobody can acknowledge it away.
    bench.acknowledge().run(20);
    assert_eq!(bench.mode(), Mode::Error);
    bench.fault = None;
    bench.run(50);
    assert_eq!((bench.mode(), bench.controller.decision().lock), (Mode::Error, Lock::NeedsAcknowledge));
    bench.acknowledge().run(100);
    assert_eq!((bench.mode(), bench.controller.decision().lock), (Mode::Standby, Lock::NeedsRelease));
    bench.ask(Wish::Standby).run(2).ask(Wish::Drive).run(60);
    assert_eq!(bench.mode(), Mode::Drive);
}

/// A button that is stuck is no acknowledgement.
#[test]
fn only_a_new_acknowledgement_counts() {
    let mut bench = Bench::driving();
    bench.acknowledge = true;
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.run(20).fault = None;
    bench.run(50);
    assert_eq!(bench.controller.decision().lock, Lock::NeedsAcknowledge);
}

#[test]
fn what_a_workshop_has_to_unlock_stays_over_power_loss() {
    let mut bench = Bench::driving();
    bench.fault = Some(|f| f.cell_voltage_v = f.cell_voltage_v.map(|v| v + 0.6));
    bench.run(30).fault = None;
    bench.run(30).acknowledge().run(30);
    let id = Diagnosis::CellVoltageHighFatal;
    assert_eq!((bench.mode(), bench.status(id)), (Mode::Error, Status::Reacting));

    // Power is lost: the record goes through the store.
    type Record = ControllerState<N, S>;
    let print = fingerprint(&MODEL, &Tuning::NMC);
    let mut bytes = [0; Store::<Record>::SLOT_LEN];
    let (store, _) = Store::<Record>::load(print, &[0xff; 8], &[0xff; 8]);
    store.save(&bench.controller.state(), &mut bytes).unwrap();
    let (_, loaded) = Store::<Record>::load(print, &bytes, &[0xff; 8]);
    let state = loaded.value.unwrap();
    assert_eq!(state, bench.controller.state());
    let restored = Small::restore(models(), &Tuning::NMC, &settings(), state).unwrap();
    assert_eq!(restored.bms().estimate(), bench.controller.bms().estimate());

    let mut bench = Bench::with(restored);
    bench.ask(Wish::Drive).run(100);
    assert!(bench.open() && bench.mode() == Mode::Error && bench.status(id) == Status::Reacting);
    for (key, mode) in [(None, Mode::Error), (Some(!KEY), Mode::Error), (Some(KEY), Mode::Standby)] {
        bench.key = key;
        bench.run(50);
        assert_eq!(bench.mode(), mode, "{key:?} {:?}", bench.found());
    }
    bench.key = None;
    bench.ask(Wish::Standby).run(2).ask(Wish::Drive).run(60);
    assert_eq!(bench.mode(), Mode::Drive);
}

/// Nobody unlocks a pack that is connected.
#[test]
fn a_missing_acknowledgement_stays_over_power_loss() {
    let mut bench = Bench::driving();
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.run(20);
    let state = bench.controller.state();
    assert!(state.locked && state.latched.is_empty());
    let restored = Small::restore(models(), &Tuning::NMC, &settings(), state).unwrap();
    let mut bench = Bench::with(restored);
    bench.ask(Wish::Drive).run(100);
    assert_eq!(bench.mode(), Mode::Error);
    bench.acknowledge().ask(Wish::Standby).run(10).ask(Wish::Drive).run(60);
    assert_eq!(bench.mode(), Mode::Drive);
}

#[test]
fn a_start_without_a_sound_record_is_told_and_can_be_acknowledged() {
    let mut bench = Bench::with(controller().with_damaged_store());
    bench.run(30);
    assert_eq!(bench.found(), [Diagnosis::StoreDamaged]);
    assert_eq!(bench.mode(), Mode::Standby);
    bench.acknowledge();
    assert_eq!(bench.found(), []);
}

#[test]
fn memory_that_changes_by_itself_opens_the_contactors() {
    use MemoryPart::{Contactors, Detected, Mode as ModePart, Settings, Tables};
    for part in [Settings, Tables, Contactors, ModePart, Detected] {
        let mut bench = Bench::driving();
        bench.controller.corrupt(part);
        let steps = (1..20).find(|_| bench.run(1).open());
        let most = if part == Tables { 6 } else { 1 };
        assert!(steps.is_some_and(|k| k <= most), "{part:?} {steps:?} {:?}", bench.found());
        assert_eq!(bench.status(Diagnosis::MemoryCorrupt), Status::Reacting, "{part:?}");
        bench.run(20).acknowledge().run(5);
        assert_eq!(bench.mode(), Mode::Error);
        bench.key = Some(KEY);
        bench.run(20);
        // What is in flash cannot be mended by a key.
        assert_eq!(bench.mode() == Mode::Standby, part != Tables, "{part:?} {:?}", bench.found());
    }
}

#[test]
fn a_failed_self_test_keeps_the_pack_open_until_it_passes() {
    let mut bench = Bench::new();
    bench.run(2);
    assert_eq!(bench.mode(), Mode::SelfTest);
    bench.controller.corrupt(MemoryPart::Arithmetic);
    bench.ask(Wish::Drive).run(8);
    assert_eq!((bench.mode(), bench.open()), (Mode::Error, true));
    assert_eq!(bench.status(Diagnosis::SelfTestFailed), Status::Reacting);
    bench.run(60);
    assert_eq!((bench.mode(), bench.open()), (Mode::Error, true));
    // It has passed since, and somebody takes note.
    bench.acknowledge().run(60);
    assert_eq!(bench.mode(), Mode::Drive);
}

#[test]
fn a_self_test_that_a_fault_cuts_short_is_made_up_for() {
    let mut bench = Bench::new();
    bench.run(2);
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.controller.corrupt(MemoryPart::Arithmetic);
    bench.run(3);
    assert_eq!(bench.modes, [Mode::Initialise, Mode::SelfTest, Mode::Error]);
    assert_eq!(bench.status(Diagnosis::SelfTestFailed), Status::Clear);
    bench.fault = None;
    bench.run(5).acknowledge().run(2);
    assert_eq!(bench.found(), [Diagnosis::SelfTestFailed]);
    bench.run(10).acknowledge();
    assert_eq!(bench.mode(), Mode::Standby);
}

#[test]
fn a_thermal_event_warns_and_does_not_sleep() {
    let mut bench = Bench::driving();
    bench.temperature_c = 30.0;
    for _ in 0..80 {
        bench.temperature_c += 0.2;
        bench.run(1);
    }
    assert!(bench.controller.decision().alarm, "{:?}", bench.found());
    assert!(bench.open());
    bench.ask(Wish::Sleep).run(50);
    assert_eq!(bench.mode(), Mode::Error);
    // Heating is off, cooling goes on as the control sees fit.
    assert_eq!(bench.controller.decision().bms.climate.film_w, [0.0; M]);
}

#[test]
fn heating_and_balancing_end_with_a_fault() {
    let mut bench = Bench::driving();
    bench.temperature_c = 7.0;
    bench.load_a = 2.0;
    bench.run(600);
    assert_eq!(bench.found(), []);
    assert!(bench.controller.decision().bms.climate.film_w[0] > 0.0);
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.run(3);
    assert_eq!(bench.controller.decision().bms.climate.film_w, [0.0; M]);

    let mut bench = Bench::new();
    bench.soc[2] = 0.65;
    bench.ask(Wish::Balance);
    let started = (0..20_000).find(|_| bench.run(1).controller.decision().bms.balance.on().contains(&true));
    assert!(started.is_some(), "{:?} {:?}", bench.controller.decision().bms.balance, bench.found());
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.run(3);
    assert_eq!(bench.controller.decision().bms.balance.on(), [false; N]);
    // … and with the mode.
    bench.fault = None;
    bench.run(20).acknowledge();
    assert!((0..2000).any(|_| bench.run(1).controller.decision().bms.balance.on().contains(&true)));
    bench.ask(Wish::Standby).run(2);
    assert_eq!(bench.controller.decision().bms.balance.on(), [false; N]);
}

/// Ten readings between two steps of the estimators: none of the charge between them is lost.
#[test]
fn charge_between_estimates_is_counted() {
    let run = |every_ms: u16, mean: bool| {
        let start = Estimated { value: 0.6, std: 0.001 };
        let settings = ControllerSettings { estimate_every_ms: every_ms, ..settings() };
        let mut bench = Bench::with(Small::new(models(), &Tuning::NMC, &settings, 5.0, start).unwrap());
        bench.run(20).ask(Wish::Drive).run(60);
        if !mean {
            bench.fault = Some(|f| f.mean_current_a = f32::NAN);
        }
        for k in 0..3000 {
            // Never the same at two estimates.
            bench.load_a = if k % 10 == 3 { 10.0 } else { 0.5 };
            bench.run(1);
        }
        assert_eq!(bench.found(), []);
        assert!(bench.soc[0] < 0.576, "{}", bench.soc[0]);
        bench.controller.bms().estimate().reference.soc.value
    };
    let every_time = run(100, true);
    for mean in [true, false] {
        let once_a_second = run(1000, mean);
        assert!((once_a_second - every_time).abs() < 0.002, "{mean} {once_a_second} {every_time}");
    }
}

#[test]
fn a_reading_that_is_missing_for_long_lowers_limits_and_widens_the_band() {
    let cases: [(&str, Fault); 3] = [
        ("cell", |f| f.cell_voltage_v[1] = f32::NAN),
        ("temperatures", |f| f.sensors_c = [f32::NAN; S]),
        ("current", |f| (f.current_a, f.mean_current_a, f.second_current_a) = (f32::NAN, f32::NAN, f32::NAN)),
    ];
    for (name, fault) in cases {
        let mut bench = Bench::driving();
        bench.load_a = 3.0;
        bench.run(200);
        let before = bench.controller.decision().limits;
        let band = |b: &Bench| {
            let bms = b.controller.bms();
            (bms.pack().cell(1).unwrap().soc_difference.std, bms.temperatures().std_k[1])
        };
        let (soc_std, std_k) = band(&bench);
        assert!(before.charge.current_a > 1.0);
        // One sample of it is nothing.
        bench.fault = Some(fault);
        bench.run(1).fault = None;
        bench.run(2);
        let blink = bench.controller.decision().limits;
        assert!(
            blink.charge.current_a > 0.9 * before.charge.current_a,
            "{name} {before:?} {blink:?} {:?}",
            bench.found()
        );
        bench.fault = Some(fault);
        bench.run(4);
        let now = bench.controller.decision().limits;
        assert!(
            now.charge.current_a == 0.0 && now.discharge.current_a <= 0.51 * before.discharge.current_a,
            "{name} {now:?}"
        );
        let by = [LimitedBy::SensorLost, LimitedBy::Fault];
        assert!(by.contains(&now.charge.by), "{name} {now:?}");
        bench.run(100);
        match name {
            "cell" => assert!(band(&bench).0 > soc_std),
            "temperatures" => assert!(band(&bench).1 > 1.2 * std_k),
            // No current can flow soon after.
            _ => {}
        }
        assert!(bench.open(), "{name}");
    }
}

/// Three steps without a cell are nothing, the fourth halves the limits; they wait for two seconds and come back slowly.
#[test]
fn limits_fall_at_once_and_come_back_slowly() {
    let mut bench = Bench::driving();
    bench.run(200);
    let full_a = bench.controller.decision().limits.discharge.current_a;
    bench.fault = Some(|f| f.cell_voltage_v[1] = f32::NAN);
    let mut after = |steps: usize, repaired: bool| {
        if repaired {
            bench.fault = None;
        }
        bench.run(steps);
        let limit = bench.controller.decision().limits.discharge;
        (limit.current_a / full_a, limit.by)
    };
    let (share, by) = after(3, false);
    assert!(share > 0.99 && by != LimitedBy::SensorLost, "{share} {by:?}");
    let (half, by) = after(1, false);
    assert!(half < 0.51 && by == LimitedBy::SensorLost, "{half} {by:?}");
    let (share, _) = after(15, true);
    assert!(share <= half + 0.01, "{share}");
    let (share, by) = after(20, true);
    assert!(share > half + 0.05 && share < 0.9 && by == LimitedBy::Rise, "{share} {by:?}");
}

/// What came in a damaged message is not asked for, and takes nothing away.
#[test]
fn a_damaged_message_changes_no_wish() {
    let mut bench = Bench::driving();
    bench.fault = Some(|f| f.vehicle.sound = false);
    bench.ask(Wish::Standby).run(3);
    assert_eq!(bench.mode(), Mode::Drive);
    bench.fault = None;
    bench.run(1);
    assert_eq!(bench.mode(), Mode::Opening);
    // Nor is a fault acknowledged by one.
    let mut bench = Bench::driving();
    bench.fault = Some(|f| f.interlock_closed = false);
    bench.run(5).fault = None;
    bench.run(20);
    bench.fault = Some(|f| f.vehicle.sound = false);
    bench.acknowledge();
    assert_eq!(bench.controller.decision().lock, Lock::NeedsAcknowledge);
    bench.fault = None;
    bench.run(1).acknowledge();
    assert_eq!(bench.controller.decision().lock, Lock::NeedsRelease);
}

#[test]
fn time_asleep_counts_once() {
    let mut bench = Bench::new();
    bench.run(20).ask(Wish::Sleep).run(5);
    let std = |b: &Bench| b.controller.bms().pack().cell(0).unwrap().soc_difference.std;
    bench.controller.slept(30.0 * 86_400.0);
    let before = std(&bench);
    // The monitors see no voltages in this step, and the estimators count the time.
    bench.ask(Wish::Standby);
    bench.fault = Some(|f| f.cell_voltage_v = [f32::NAN; N]);
    bench.run(1);
    assert!(std(&bench) > before, "{before} {}", std(&bench));
    bench.controller.slept(f32::NAN);
    bench.controller.slept(-5.0);
    bench.fault = None;
    bench.run(30);
    assert_eq!(bench.mode(), Mode::Standby, "{:?}", bench.found());
}

/// Parked every night for two weeks: a cell that loses half a point a night more than the others is found, named and
/// derated for, and is known over a power loss, too; in a pack without one nothing is found.
#[test]
fn a_cell_that_leaks_is_found_over_the_nights() {
    let nights = |lost: f64| {
        let mut bench = Bench::at(Wish::Standby);
        for _ in 0..14 {
            bench.ask(Wish::Sleep).run(20);
            bench.controller.slept(12.0 * 3600.0);
            bench.soc[2] -= lost;
            bench.ask(Wish::Standby).run(20);
        }
        bench
    };
    assert_eq!(nights(0.0).found(), []);
    let mut bench = nights(0.005);
    assert_eq!(bench.status(Diagnosis::LeakyCell), Status::Reacting);
    let found = bench.controller.safety().ledger().detection(Diagnosis::LeakyCell).unwrap().finding;
    assert_eq!((found.place, found.limit), (Some(2), 0.05));
    assert!((found.value - 0.005 * 730.0 / 12.0).abs() < 0.06, "{found:?}");
    // As long as it leaks nothing ends that.
    bench.acknowledge();
    assert_eq!(bench.status(Diagnosis::LeakyCell), Status::Reacting);
    let settings = settings();
    let again = Small::restore(models(), &Tuning::NMC, &settings, bench.controller.state()).unwrap();
    let mut bench = Bench { soc: bench.soc, ..Bench::with(again) };
    bench.run(20);
    assert_eq!(bench.status(Diagnosis::LeakyCell), Status::Reacting);
    // Nobody looks where nobody is to.
    let blind = ControllerSettings { bms: bms::Settings { leak: None, ..settings.bms }, ..settings };
    let again = Small::restore(models(), &Tuning::NMC, &blind, bench.controller.state()).unwrap();
    assert!(again.bms().leaky().is_none() && again.bms().leaks().is_none());
}

/// A parked car that is not switched off: the contactors stay closed until nobody asks for the pack.
#[test]
fn idling_stays_in_drive_until_nobody_asks() {
    let mut bench = Bench::driving();
    bench.ask(Wish::Idle).run(50);
    assert_eq!(bench.mode(), Mode::Drive);
    assert!(!bench.open());
    bench.ask(Wish::Standby).run(1);
    assert!(matches!(bench.mode(), Mode::Opening | Mode::Standby), "{:?}", bench.mode());
}

#[test]
fn a_load_that_ignores_the_limits_is_not_cut_off_by_the_mode() {
    let mut bench = Bench::driving();
    // Above what contactors may break, below what any diagnosis answers at once.
    (bench.load_a, bench.obeys) = (26.0, false);
    bench.ask(Wish::Standby).run(5);
    assert_eq!((bench.mode(), bench.controller.decision().position), (Mode::Opening, Position::Unloading));
    bench.load_a = 0.2;
    bench.run(5);
    assert!(bench.open());
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let start = Estimated { value: 0.6, std: 0.02 };
    let make = |s: &ControllerSettings<'static>| Small::new(models(), &Tuning::NMC, s, 5.0, start).err();
    let good = settings();
    assert_eq!(make(&good), None);
    for opening in [
        OpeningRules { quiet_a: 0.0, ..good.opening },
        OpeningRules { quiet_a: f32::NAN, ..good.opening },
        OpeningRules { quiet_a: 1e3, ..good.opening },
        OpeningRules { unbreakable_a: 1.0, ..good.opening },
        OpeningRules { unbreakable_a: f32::INFINITY, ..good.opening },
    ] {
        assert_eq!(make(&ControllerSettings { opening, ..good }), Some(ControllerError::Opening));
    }
    let l = good.limits;
    for limits in [
        LimitSettings { horizon: 3, ..l },
        LimitSettings { derated_share: 1.1, ..l },
        LimitSettings { soc_std: [0.1, 0.1], ..l },
        LimitSettings { soc_std: [-0.1, 0.1], ..l },
        LimitSettings { soc_std: [0.1, 1.1], ..l },
        LimitSettings { rise_a_per_s: 0.0, ..l },
        LimitSettings { rise_a_per_s: 1e7, ..l },
        LimitSettings { hold_s: -1.0, ..l },
        LimitSettings { dead_band: f32::NAN, ..l },
    ] {
        assert_eq!(make(&ControllerSettings { limits, ..good }), Some(ControllerError::Limits));
    }
    static WRONG: SafetySettings = SafetySettings { capacity_ah: f32::NAN, ..example::SAFETY };
    let error = make(&ControllerSettings { safety: &WRONG, ..good }).unwrap();
    assert!(matches!(error, ControllerError::Safety(_)));
    let error = Small::new(models(), &Tuning::NMC, &good, f32::NAN, start).err().unwrap();
    assert!(matches!(error, ControllerError::Bms(_)));
    let unlooked =
        bms::Settings { leak: Some(LeakLimits { per_month: f32::NAN, ..LeakLimits::TYPICAL }), ..good.bms };
    let error = make(&ControllerSettings { bms: unlooked, ..good });
    assert_eq!(error, Some(ControllerError::Bms(BmsError::Leak(LeakError::Limits))));
    let error = error.unwrap();
    for e in [error, ControllerError::Opening, ControllerError::Limits] {
        assert!(!e.to_string().is_empty());
    }
}

/// Memory that a processor must have for the largest pack of the examples; a guard against growing unseen.
#[test]
fn the_controller_stays_small() {
    let bytes = size_of::<Controller<'static, 96, 24, 12>>();
    println!(
        "{bytes} bytes, of which {} the estimators and controls",
        size_of::<bms::Bms<'static, 96, 24, 12>>()
    );
    assert!(bytes <= 64 * 1024, "{bytes}");
}

/// Any bit pattern, or what a sensor could send.
fn wild(plausible: std::ops::Range<f32>) -> impl Strategy<Value = f32> {
    prop_oneof![
        1 => any::<u32>().prop_map(f32::from_bits),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::MAX, -0.0, 1e-45]),
        12 => plausible,
    ]
}

fn wild_heard() -> impl Strategy<Value = Heard> {
    (any::<u8>(), any::<u8>()).prop_map(|(bits, counter)| Heard {
        fresh: bits & 7 != 0,
        counter,
        sound: bits >> 3 & 7 != 0,
    })
}

fn wild_input() -> impl Strategy<Value = (Input<N, S, M>, u16)> {
    let cells = prop::collection::vec(wild(2.9..4.2), N);
    let sensors = prop::collection::vec(wild(0.0..45.0), S);
    let rest = prop::collection::vec(wild(0.0..30.0), 12);
    let heard = prop::collection::vec(wild_heard(), 5);
    let bits = any::<u32>();
    let dt_ms = prop_oneof![8 => 10..120_u16, 1 => any::<u16>()];
    (cells, sensors, rest, heard, bits, wild(0.0..600.0), dt_ms, any::<u32>()).prop_map(
        |(cells, sensors, rest, heard, bits, number, dt_ms, key)| {
            let bit = |k: u32| bits >> k & 1 == 1;
            let optional = |k: u32| bit(k).then_some(bit(k + 1));
            let mut frame = Frame::<N, S>::NOTHING;
            frame.cell_voltage_v.copy_from_slice(&cells);
            frame.sensors_c.copy_from_slice(&sensors);
            frame.wire_open[0] = bits >> 20 & 15 == 0;
            frame.current_a = rest[0];
            frame.mean_current_a = rest[1];
            frame.second_current_a = if bit(0) { rest[0] } else { rest[2] };
            frame.pack_voltage_v = if bit(1) { cells.iter().sum() } else { rest[3] };
            frame.fused_voltage_v = frame.pack_voltage_v;
            frame.link_voltage_v = if bit(2) { frame.pack_voltage_v } else { rest[4] };
            frame.insulation_ohm = rest[5] * 1e5;
            frame.interlock_closed = bits >> 24 & 7 != 0;
            frame.contactor_closed = [optional(3), optional(4), optional(5)];
            frame.inlet_c = rest[6];
            frame.outlet_c = rest[7];
            frame.ambient_c = rest[8];
            frame.board_c = rest[9];
            frame.flow_l_per_min = rest[10];
            frame.heater_w = rest[11];
            frame.front_end = heard[0];
            frame.current_sensor = heard[1];
            frame.insulation_monitor = heard[2];
            frame.vehicle = heard[3];
            frame.charger = heard[4];
            let wish = match bits >> 8 & 7 {
                0 => Wish::Sleep,
                1 => Wish::Standby,
                2 | 3 => Wish::Drive,
                4 => Wish::Charge { mode: ChargeMode::Normal, target_soc: number },
                5 => Wish::Charge { mode: ChargeMode::Off, target_soc: number },
                6 => Wish::Preheat { target_c: number, time_left_s: number, hold: bit(12) },
                _ => Wish::Balance,
            };
            let input = Input {
                frame,
                film_w: [number; M],
                reverse: bit(13),
                charger: ChargerReport {
                    connected: bit(14),
                    heard: bit(15),
                    current_a: Reading::within(number, f32::NEG_INFINITY, f32::INFINITY),
                    max_a: number,
                    max_v: number,
                },
                external_w: number,
                wish,
                acknowledge: bit(16),
                service_key: bit(17).then_some(if bits >> 28 == 0 { KEY } else { key }),
            };
            (input, dt_ms)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever comes in, in whatever order.
    #[test]
    fn any_bits_leave_the_pack_safe(
        inputs in prop::collection::vec((wild_input(), 1..12_usize), 1..60),
        corrupt in prop::option::of((0..60_usize, 0..5_u8)),
    ) {
        let mut bench = Bench::driving();
        let mut acknowledged_before = false;
        for (k, ((input, dt_ms), times)) in inputs.into_iter().enumerate() {
            if let Some((at, part)) = corrupt && at == k {
                use MemoryPart::{Contactors, Detected, Mode as ModePart, Settings, Tables};
                bench.controller.corrupt([Settings, Tables, Contactors, ModePart, Detected][usize::from(part)]);
            }
            for _ in 0..times {
                let c = &bench.controller;
                let (told, lock, latched) = (c.decision().contactors, c.contactors().lock(), c.safety().ledger().latched());
                let d = *bench.controller.step(&input, dt_ms);
                bench.holds();
                let ledger = bench.controller.safety().ledger();
                let fatal = ledger.reacts(Reaction::Open);
                // Nothing closes while something asks to open, or before somebody has acknowledged.
                let closes = d.contactors.iter().zip(&told).any(|(now, before)| *now && !before);
                prop_assert!(!(closes && fatal), "{:?}", d);
                let heard = input.frame.vehicle.fresh && input.frame.vehicle.sound;
                let fresh = heard && input.acknowledge && !acknowledged_before;
                let unlocked = input.service_key == Some(KEY);
                if closes && told == [false; 3] {
                    prop_assert!(!ledger.reacts(Reaction::StayOpen));
                    prop_assert!(lock == Lock::Free || lock == Lock::NeedsRelease, "{:?}", lock);
                }
                if lock == Lock::NeedsAcknowledge && d.lock != lock {
                    prop_assert!(fresh || unlocked);
                }
                // No latched fault is lost without the key.
                if !unlocked {
                    for id in latched.iter() {
                        prop_assert!(ledger.latched().contains(id), "{:?}", id);
                    }
                }
                acknowledged_before = if heard { input.acknowledge } else { acknowledged_before };
                let sound = |x: f32| x.is_finite();
                prop_assert!(sound(d.bms.charge.pack_voltage_limit_v) && sound(d.bms.climate.flow_l_per_min));
                let e = bench.controller.bms().estimate();
                prop_assert!((0.0..=1.0).contains(&e.soc.value) && e.soc.std.is_finite());
            }
        }
    }
}
