use super::*;
use crate::balance::BalanceStatus;
use crate::charging::CurrentTable;
use crate::climate::Parts;
use crate::example;
use crate::preheat::{Films, Means, PackFacts, Pulses};
use crate::sop::CurrentLimit;
use crate::store::Store;
use crate::temperatures::CellPlace;
use proptest::prelude::*;
use std::vec;

pub(crate) const N: usize = 4;
pub(crate) const S: usize = 2;
pub(crate) const M: usize = 2;

const PLACES: [CellPlace; N] = [at(0.125, 0), at(0.375, 0), at(0.625, 1), at(0.875, 1)];

const fn at(along: f32, module: u8) -> CellPlace {
    CellPlace { along, module, ..example::PLACE }
}

const CLIMATE: ClimateSettings = ClimateSettings {
    pack_j_per_k: 300.0,
    coolant_l: 0.1,
    min_flow_l_per_min: 0.3,
    max_flow_l_per_min: 1.0,
    min_chiller_w: 5.0,
    max_chiller_w: 60.0,
    max_heater_w: 0.0,
    max_film_w: 20.0,
    films: M as u8,
    pump_w: 2.0,
    parts: Parts::ALL,
    ..ClimateSettings::CAR
};
const FILMS: Films = Films { power_w: 40.0, efficiency: 0.97 };
const PULSES: Pulses = Pulses { current_a: 15.0, frequency_hz: 50.0, largest_ratio: 1.0, drive_loss: 0.05 };
pub(crate) const FACTS: PackFacts = PackFacts {
    series: N as u16,
    parallel: 1,
    cell_mass_g: 70.0,
    cell_j_per_k: 70.0,
    extra_j_per_k: 0.0,
    loss_w_per_k: 0.4,
    evening_s: 300.0,
};
const CHARGE: ChargeSettings<'_> = ChargeSettings {
    plating_horizon_s: 30.0,
    ..ChargeSettings::typical(
        N as u16,
        example::ONE_C,
        CurrentTable {
            temperature_c: &[0.0, 10.0, 50.0, 55.0],
            soc: &[0.0],
            current_a: &[0.5, 5.0, 5.0, 1.0],
        },
    )
};
const BLEED: BalanceLimits = BalanceLimits { bleed_ohm: 12.0, rest_s: 300.0, ..BalanceLimits::NMC };

pub(crate) fn model() -> CellModel<'static> {
    CellModel::new(example::NMC_5AH).unwrap()
}

pub(crate) fn models<'a>(cell: &'a CellModel<'a>) -> Models<'a> {
    Models { cell, pulse: cell.into(), negative: None }
}

pub(crate) fn settings(cell: &CellModel<'_>) -> Settings<'static> {
    let means = Means { coolant: None, films: Some(FILMS), pulses: Some(PULSES) };
    Settings {
        layout: example::layout(&PLACES, &[0, 2]),
        climate: CLIMATE,
        preheat: Some(PreheatSettings::new(cell, FACTS, means)),
        charge: CHARGE,
        balance: BalanceMeans::Passive(BLEED),
        limits: Limits {
            discharge: CurrentLimit::constant(20.0),
            charge: CurrentLimit::constant(10.0),
            ..Limits::of_cell(cell, 20.0, 10.0)
        },
        leak: Some(LeakLimits::TYPICAL),
        power_every_s: 1.0,
    }
}

type Small<'a> = Bms<'a, N, S, M>;

/// Four cells of the tables' own kind that start apart, with one temperature node each.
struct Toy<'a> {
    model: &'a CellModel<'a>,
    soc: [f64; N],
    v1: [f64; N],
    v2: [f64; N],
    temperature_c: [f64; N],
    ambient_c: f64,
    current_a: f64,
    open: bool,
    /// Charge that the resistors took from every cell in Ah.
    bled_ah: [f64; N],
    dt_s: f64,
}

impl<'a> Toy<'a> {
    fn new(model: &'a CellModel<'a>, soc: [f64; N], temperature_c: f64) -> Self {
        let none = [0.0; N];
        Self {
            model,
            soc,
            v1: none,
            v2: none,
            temperature_c: [temperature_c; N],
            ambient_c: temperature_c,
            current_a: 0.0,
            open: false,
            bled_ah: none,
            dt_s: 1.0,
        }
    }

    fn voltage_v(&self, k: usize) -> f64 {
        let (t, z) = (self.temperature_c[k] as f32, self.soc[k] as f32);
        let open = self.model.ocv(t, z, &crate::cell::Age::NEW);
        let c = self.model.circuit(t, z);
        f64::from(open.ocv_v) - f64::from(c.instant_drop(self.current_a as f32).0) - self.v1[k] - self.v2[k]
    }

    /// Passes one step with the current (A, positive on discharge) and what the core has asked for.
    fn pass(&mut self, current_a: f64, asked: &Output<N, M>) {
        self.current_a = if self.open { 0.0 } else { current_a };
        for k in 0..N {
            let c = self.model.circuit(self.temperature_c[k] as f32, self.soc[k] as f32);
            let drop_v = f64::from(c.instant_drop(self.current_a as f32).0) + self.v1[k] + self.v2[k];
            let lag = |tau_s: f32| 1.0 - (-self.dt_s / f64::from(tau_s)).exp();
            self.v1[k] += lag(c.tau1_s) * (f64::from(c.r1_ohm) * self.current_a - self.v1[k]);
            self.v2[k] += lag(c.tau2_s) * (f64::from(c.r2_ohm) * self.current_a - self.v2[k]);
            let bleed_a = f64::from(asked.balance.current_a[k]);
            self.bled_ah[k] += bleed_a * self.dt_s / 3600.0;
            // The charging efficiency is that of the tables.
            let through_a = if self.current_a < 0.0 { 0.999 * self.current_a } else { self.current_a };
            self.soc[k] -= (through_a + bleed_a) * self.dt_s / 3600.0 / 5.0;
            let film_w = f64::from(asked.climate.film_w[k / 2]) / 2.0;
            let pulse_w = f64::from(asked.preheat.pulse_w) / N as f64;
            let gained_w =
                self.current_a * drop_v + film_w + pulse_w - 0.1 * (self.temperature_c[k] - self.ambient_c);
            self.temperature_c[k] += gained_w * self.dt_s / 70.0;
        }
    }

    fn sample(&self, asked: &Output<N, M>, charger: ChargerReport) -> Sample<N, S, M> {
        let sure = |x: f64| Reading::within(x as f32, f32::MIN, f32::MAX);
        let mut cell_voltage_v = [Reading::MISSING; N];
        for (k, v) in cell_voltage_v.iter_mut().enumerate() {
            *v = sure(self.voltage_v(k));
        }
        Sample {
            cell_voltage_v,
            sensors_c: [sure(self.temperature_c[0]), sure(self.temperature_c[2])],
            current_a: sure(self.current_a),
            mean_current_a: sure(self.current_a),
            contactors_open: self.open,
            inlet_c: Reading::MISSING,
            outlet_c: Reading::MISSING,
            ambient_c: sure(self.ambient_c),
            board_c: sure(self.ambient_c),
            flow_l_per_min: 0.0,
            reverse: false,
            film_w: asked.climate.film_w,
            charger,
            external_w: 100.0,
        }
    }
}

/// What comes out before anything went in.
fn nothing(bms: &mut Small<'_>, toy: &Toy<'_>) -> Output<N, M> {
    let off = Output {
        climate: *Climate::new(CLIMATE).unwrap().command(),
        preheat: PreheatCommand::default(),
        charge: ChargeCommand::default(),
        balance: BalanceCommand::default(),
        power: PowerState::default(),
    };
    bms.step(&toy.sample(&off, ChargerReport::default()), &Request::Rest, 0.0)
}

fn start<'a>(cell: &'a CellModel<'a>, soc: f32) -> Small<'a> {
    let known = Estimated { value: soc, std: 0.02 };
    Bms::new(models(cell), &Tuning::NMC, &settings(cell), 5.0, known).unwrap()
}

/// Runs the loop for so many seconds; the load is a current, or what the charger gives.
fn run(
    bms: &mut Small<'_>,
    toy: &mut Toy<'_>,
    out: &mut Output<N, M>,
    request: &Request,
    load_a: f64,
    time_s: f64,
) {
    let charging = matches!(request, Request::Charge { .. });
    for _ in 0..(time_s / toy.dt_s) as usize {
        let load_a = if charging { -f64::from(out.charge.current_a) } else { load_a };
        toy.pass(load_a, out);
        let charger = ChargerReport {
            connected: charging,
            heard: charging,
            current_a: Reading::within(-load_a as f32, -100.0, 100.0),
            max_a: 10.0,
            max_v: 0.0,
        };
        *out = bms.step(&toy.sample(out, charger), request, toy.dt_s as f32);
    }
}

const FAST: Request = Request::Charge { mode: ChargeMode::Fast, target_soc: 1.0 };

#[test]
fn a_drive_is_followed_cell_by_cell() {
    let cell = model();
    let mut toy = Toy::new(&cell, [0.78, 0.80, 0.81, 0.82], 25.0);
    let mut bms = start(&cell, 0.80);
    let mut out = nothing(&mut bms, &toy);
    for k in 0..60 {
        let load_a = if k % 3 == 0 { 8.0 } else { 2.0 };
        run(&mut bms, &mut toy, &mut out, &Request::Drive, load_a, 30.0);
    }
    for (k, true_soc) in toy.soc.iter().enumerate() {
        let soc = bms.pack().cell(k).unwrap().soc.value;
        assert!((f64::from(soc) - true_soc).abs() < 0.015, "cell {k}: {soc} for {true_soc}");
    }
    let [_, ten_s, _] = out.power.safe.discharge;
    assert!(ten_s.power_w > 20.0 && ten_s.current_a <= 20.0, "{ten_s:?}");
    assert_eq!(out.charge.current_a, 0.0);
    let core_c = f64::from(bms.temperatures().summary.mean_c);
    let true_c = toy.temperature_c.iter().sum::<f64>() / N as f64;
    assert!(true_c > 26.0 && (core_c - true_c).abs() < 0.5, "{core_c} for {true_c}");
}

#[test]
fn a_parked_pack_is_balanced_and_the_bled_charge_is_booked() {
    let cell = model();
    let mut toy = Toy::new(&cell, [0.60, 0.60, 0.60, 0.64], 25.0);
    toy.open = true;
    toy.dt_s = 10.0;
    let mut bms = start(&cell, 0.61);
    let mut out = nothing(&mut bms, &toy);
    run(&mut bms, &mut toy, &mut out, &Request::Rest, 0.0, 8.0 * 3600.0);
    let spread = toy.soc.iter().copied().fold(0.0, f64::max) - toy.soc.iter().copied().fold(1.0, f64::min);
    assert!(spread < 0.01, "{:?}", toy.soc);
    assert!(toy.bled_ah[3] > 0.12 && toy.bled_ah[0] < 0.02, "{:?}", toy.bled_ah);
    assert_eq!(out.balance.status, BalanceStatus::Balanced);
    for (k, true_soc) in toy.soc.iter().enumerate() {
        let soc = bms.pack().cell(k).unwrap().soc.value;
        assert!((f64::from(soc) - true_soc).abs() < 0.006, "cell {k}: {soc} for {true_soc}");
    }
}

#[test]
fn a_charge_ends_full_within_the_voltage() {
    let cell = model();
    let mut toy = Toy::new(&cell, [0.69, 0.70, 0.70, 0.71], 25.0);
    let mut bms = start(&cell, 0.70);
    let mut out = nothing(&mut bms, &toy);
    let mut most_v = 0.0_f64;
    let mut full = false;
    for _ in 0..5400 {
        run(&mut bms, &mut toy, &mut out, &FAST, 0.0, 1.0);
        most_v = (0..N).fold(most_v, |most, k| most.max(toy.voltage_v(k)));
        full |= out.charge.full;
    }
    assert!(full && out.charge.state == ChargeState::Full, "{:?}", out.charge);
    assert!(most_v > 4.17 && most_v < 4.21, "{most_v}");
    assert!(toy.soc[3] > 0.98, "{:?}", toy.soc);
}

#[test]
fn a_cold_pack_is_warmed_before_it_is_charged() {
    let cell = model();
    let mut toy = Toy::new(&cell, [0.5; N], -8.0);
    let mut bms = start(&cell, 0.5);
    let mut out = nothing(&mut bms, &toy);
    run(&mut bms, &mut toy, &mut out, &FAST, 0.0, 30.0);
    assert_eq!((out.charge.current_a, out.charge.state), (0.0, ChargeState::TooCold));
    let preheat = Request::Preheat { target_c: 10.0, time_left_s: 0.0, hold: true };
    run(&mut bms, &mut toy, &mut out, &preheat, 0.0, 60.0);
    assert!(out.preheat.frequency_hz > 0.0 || out.climate.film_w.iter().any(|w| *w > 0.0), "{out:?}");
    run(&mut bms, &mut toy, &mut out, &preheat, 0.0, 1500.0);
    assert!(bms.preheat_report().arrived, "{:?}", bms.preheat_report());
    assert!(toy.temperature_c.iter().all(|t| *t > 8.0 && *t < 35.0), "{:?}", toy.temperature_c);
    run(&mut bms, &mut toy, &mut out, &FAST, 0.0, 60.0);
    assert!(out.charge.current_a > 1.0, "{:?}", out.charge);
}

#[test]
fn a_pack_goes_on_after_a_sleep_where_it_was() {
    let cell = model();
    let mut toy = Toy::new(&cell, [0.76, 0.80, 0.80, 0.84], 25.0);
    toy.open = true;
    toy.dt_s = 10.0;
    let mut bms = start(&cell, 0.8);
    let mut out = nothing(&mut bms, &toy);
    run(&mut bms, &mut toy, &mut out, &Request::Rest, 0.0, 4000.0);
    let state = bms.state();
    assert!(state.balance.is_some_and(|b| b.remaining_ah(3) > 0.05), "{state:?}");

    let (mut store, none) = Store::<BmsState<N, S>>::load(7, &[], &[]);
    assert_eq!(none.value, None);
    let mut bytes = vec![0; Store::<BmsState<N, S>>::SLOT_LEN];
    store.save(&state, &mut bytes).unwrap();
    store.confirm(&bytes).unwrap();
    let (_, loaded) = Store::<BmsState<N, S>>::load(7, &bytes, &[]);
    let loaded = loaded.value.unwrap();
    assert_eq!(loaded, state);
    let mut woken = Small::restore(models(&cell), &Tuning::NMC, &settings(&cell), loaded).unwrap();
    assert_eq!(woken.state(), state);

    // The pack is of one temperature, so that nothing is lost where the temperatures begin anew.
    let off = Output { balance: BalanceCommand::default(), ..out };
    toy.pass(0.0, &off);
    let sample = toy.sample(&off, ChargerReport::default());
    let (a, b) = (bms.step(&sample, &Request::Rest, 10.0), woken.step(&sample, &Request::Rest, 10.0));
    assert_eq!((a.balance.status, a.balance.current_a), (b.balance.status, b.balance.current_a));
    for k in 0..N {
        let [a, b] = [&bms, &woken].map(|bms| bms.pack().cell(k).unwrap().soc);
        assert!((a.value - b.value).abs() < 1e-3 && (a.std - b.std).abs() < 1e-3, "{a:?} {b:?}");
    }
}

#[test]
fn a_charge_stops_where_a_sensor_that_it_needs_is_lost_and_estimates_go_on() {
    let cell = model();
    type Loss = fn(&mut Sample<N, S, M>);
    let lost: [(&str, Loss); 3] = [
        ("temperatures", |s| s.sensors_c = [Reading::MISSING; S]),
        ("one voltage", |s| s.cell_voltage_v[1] = Reading::MISSING),
        ("current", |s| (s.current_a, s.mean_current_a) = (Reading::MISSING, Reading::MISSING)),
    ];
    for (what, lose) in lost {
        let mut toy = Toy::new(&cell, [0.5; N], 25.0);
        let mut bms = start(&cell, 0.5);
        let mut out = nothing(&mut bms, &toy);
        run(&mut bms, &mut toy, &mut out, &FAST, 0.0, 60.0);
        assert!(out.charge.current_a > 4.0, "{what}: {:?}", out.charge);
        let charger = ChargerReport {
            connected: true,
            heard: true,
            current_a: Reading::MISSING,
            max_a: 10.0,
            max_v: 0.0,
        };
        for _ in 0..20 {
            toy.pass(-f64::from(out.charge.current_a), &out);
            let mut sample = toy.sample(&out, charger);
            lose(&mut sample);
            out = bms.step(&sample, &FAST, 1.0);
        }
        assert_eq!((out.charge.current_a, out.charge.state), (0.0, ChargeState::Fault), "{what}");
        let soc = bms.estimate().soc.value;
        assert!((f64::from(soc) - toy.soc[0]).abs() < 0.02, "{what}: {soc} for {:?}", toy.soc);
        // Found again, it goes on.
        run(&mut bms, &mut toy, &mut out, &FAST, 0.0, 90.0);
        assert!(out.charge.current_a > 4.0, "{what}: {:?}", out.charge);
    }
}

#[test]
fn nothing_is_heated_without_a_temperature_sensor() {
    let cell = model();
    let toy = Toy::new(&cell, [0.6; N], -10.0);
    let mut bms = start(&cell, 0.6);
    let mut out = nothing(&mut bms, &toy);
    let request = Request::Preheat { target_c: 10.0, time_left_s: 0.0, hold: false };
    let heat = |out: &Output<N, M>| {
        out.climate.heater_w + out.climate.film_w.iter().sum::<f32>() + out.preheat.discharge_a
    };
    for lost in [false, true] {
        for _ in 0..120 {
            let mut sample = toy.sample(&out, ChargerReport::default());
            if lost {
                sample.sensors_c = [Reading::MISSING; S];
            }
            out = bms.step(&sample, &request, 1.0);
        }
        assert_eq!(heat(&out) > 1.0, !lost, "{:?} {:?}", out.climate, out.preheat);
    }
}

/// Numbers that sensors give, and any bits.
struct Anything(u64);

impl Anything {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn number(&mut self, usual: [f32; 2]) -> f32 {
        let bits = self.next();
        match self.next() % 8 {
            0 => f32::from_bits(bits),
            1 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -0.0, 1e-40, 1e30]
                [bits as usize % 8],
            _ => usual[0] + (usual[1] - usual[0]) * (bits as f32 / u32::MAX as f32),
        }
    }

    fn reading(&mut self, usual: [f32; 2]) -> Reading {
        let x = self.number(usual);
        match self.next() % 8 {
            0 => Reading::MISSING,
            1 => Reading::rejected(x),
            _ => Reading::within(x, f32::NEG_INFINITY, f32::INFINITY),
        }
    }

    fn flag(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn sample(&mut self) -> Sample<N, S, M> {
        Sample {
            cell_voltage_v: [(); N].map(|()| self.reading([2.4, 4.3])),
            sensors_c: [(); S].map(|()| self.reading([-30.0, 60.0])),
            current_a: self.reading([-20.0, 20.0]),
            mean_current_a: self.reading([-20.0, 20.0]),
            contactors_open: self.flag(),
            inlet_c: self.reading([-30.0, 60.0]),
            outlet_c: self.reading([-30.0, 60.0]),
            ambient_c: self.reading([-30.0, 60.0]),
            board_c: self.reading([-30.0, 90.0]),
            flow_l_per_min: self.number([0.0, 1.0]),
            reverse: self.flag(),
            film_w: [(); M].map(|()| self.number([0.0, 20.0])),
            charger: ChargerReport {
                connected: self.flag(),
                heard: self.flag(),
                current_a: self.reading([0.0, 10.0]),
                max_a: self.number([0.0, 10.0]),
                max_v: self.number([0.0, 17.0]),
            },
            external_w: self.number([0.0, 100.0]),
        }
    }

    fn request(&mut self) -> Request {
        let mode = [ChargeMode::Off, ChargeMode::Normal, ChargeMode::Fast][self.next() as usize % 3];
        match self.next() % 4 {
            0 => Request::Rest,
            1 => Request::Drive,
            2 => Request::Charge { mode, target_soc: self.number([0.0, 1.0]) },
            _ => Request::Preheat {
                target_c: self.number([-20.0, 40.0]),
                time_left_s: self.number([0.0, 3600.0]),
                hold: self.flag(),
            },
        }
    }
}

fn check(bms: &Small<'_>, out: &Output<N, M>) {
    let within = |what: &str, x: f32, most: f32| assert!((0.0..=most).contains(&x), "{what} {x}: {out:?}");
    within("flow", out.climate.flow_l_per_min, CLIMATE.max_flow_l_per_min);
    within("chiller", out.climate.chiller_w, CLIMATE.max_chiller_w);
    within("heater", out.climate.heater_w, CLIMATE.max_heater_w);
    out.climate.film_w.iter().for_each(|w| within("film", *w, CLIMATE.max_film_w));
    within("charge", out.charge.current_a, 5.0);
    within("pack voltage", out.charge.pack_voltage_limit_v, 4.2 * N as f32);
    out.charge.time_to_end_s.iter().for_each(|s| within("time to end", *s, f32::MAX));
    within("coolant heater", out.preheat.coolant_w, 0.0);
    within("films", out.preheat.film_w, FILMS.power_w);
    within("pulse", out.preheat.discharge_a, PULSES.current_a);
    within("pulse", out.preheat.charge_a, PULSES.current_a);
    within("frequency", out.preheat.frequency_hz, PULSES.frequency_hz);
    within("pulse power", out.preheat.pulse_w, f32::MAX);
    out.balance.current_a.iter().for_each(|i| within("bleed", *i, 5.0 / BLEED.bleed_ohm));
    out.balance.moved_ah.iter().for_each(|q| within("bled", *q, 5.0));
    for limits in [&out.power.best, &out.power.safe] {
        limits.discharge.iter().for_each(|l| within("discharge", l.current_a, 20.0));
        limits.charge.iter().for_each(|l| within("charge", l.current_a, 10.0));
        limits.discharge.iter().chain(&limits.charge).for_each(|l| within("power", l.power_w, 20.0 * 10.0));
    }
    let e = bms.estimate();
    within("SOC", e.soc.value, 1.0);
    within("SOC std", e.soc.std, f32::MAX);
    let t = bms.temperatures();
    assert!(t.core_c.iter().chain(&t.surface_c).chain(&t.std_k).all(|t| t.is_finite()), "{t:?}");
    within("pump", bms.climate_ledger().total_wh(), f32::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_input_gives_commands_that_the_devices_can_take(seed: u64) {
        let cell = model();
        let mut bms = start(&cell, 0.5);
        let mut any = Anything(seed);
        for _ in 0..1500 {
            let (sample, request) = (any.sample(), any.request());
            let dt_s = any.number([0.0, 10.0]);
            let out = bms.step(&sample, &request, dt_s);
            check(&bms, &out);
        }
        let state = bms.state();
        let mut bytes = vec![0; Store::<BmsState<N, S>>::SLOT_LEN];
        let (store, _) = Store::<BmsState<N, S>>::load(0, &[], &[]);
        prop_assert!(store.save(&state, &mut bytes).is_ok(), "what cannot be loaded: {state:?}");
    }
}
