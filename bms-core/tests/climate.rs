//! `temperatures` and `climate` in closed loop with a small pack that is described otherwise than they know it: three nodes
//! per cell, plates, coolant that is transported, a tank, actuators with delay; 20 % off in every parameter.

use bms_core::climate::{Climate, ClimateInput, ClimateLedger, ClimateSettings, Mode, Parts};
use bms_core::measurement::Reading;
use bms_core::temperatures::{CellPlace, CellTemperatures, Layout, TemperatureInput};

const N: usize = 24;
const S: usize = 8;
const M: usize = 4;
const CHANNELS: usize = 2;
const PER_CHANNEL: usize = N / CHANNELS;
const SENSORS: [u16; S] = [1, 4, 7, 10, 13, 16, 19, 22];
const PER_MODULE: f64 = (N / M) as f64;

/// Numbers in 0..1, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal, standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// The pack as it is.
#[derive(Clone)]
struct Plant {
    core: [f64; N],
    surface: [f64; N],
    plate: [f64; N],
    /// Coolant beside every cell, in the order of the channels.
    coolant: [f64; N],
    tank: f64,
    resistance: [f64; N],
    contact: [f64; N],
    offset: [f64; S],
    /// Share of its flow that every channel gets.
    open: [f64; CHANNELS],
    /// Power of every module's film against what is commanded.
    film: [f64; M],
    ambient: f64,
    chiller_w: f64,
    heater_w: f64,
    /// Energy put in, J.
    energy_j: f64,
}

const CORE_J: f64 = 2000.0;
const SURFACE_J: f64 = 500.0;
const PLATE_J: f64 = 150.0;
const LITRE_J: f64 = 3500.0;
const SEGMENT_L: f64 = 0.04;
const TANK_L: f64 = 1.0;

impl Plant {
    fn new(seed: u64, start: f64, ambient: f64) -> Self {
        let mut r = Random(seed);
        for _ in 0..8 {
            r.next();
        }
        Self {
            core: [start; N],
            surface: [start; N],
            plate: [start; N],
            coolant: [start; N],
            tank: start,
            resistance: [(); N].map(|()| 1.0 + 0.05 * r.normal()),
            contact: [(); N].map(|()| 1.0 + 0.05 * r.normal()),
            offset: [(); S].map(|()| r.next() - 0.5),
            open: [1.0; CHANNELS],
            film: [1.08, 0.95, 1.0, 0.93],
            ambient,
            chiller_w: 0.0,
            heater_w: 0.0,
            energy_j: 0.0,
        }
    }

    fn heat(&self, nominal_w: f64) -> [f64; N] {
        std::array::from_fn(|k| nominal_w * self.resistance[k] * (-0.015 * (self.core[k] - 25.0)).exp())
    }

    /// One second under a command; returns inlet and outlet.
    fn second(&mut self, nominal_w: f64, flow: f64, reverse: bool, film: &[f32; M]) -> (f64, f64) {
        let h = 0.1;
        let mut out = (self.tank, self.tank);
        for _ in 0..10 {
            let heat = self.heat(nominal_w);
            let whole: f64 = self.open.iter().sum();
            let mut leaving = 0.0;
            let mut taken = [0.0; N];
            for c in 0..CHANNELS {
                let w_per_k = flow / 60.0 * LITRE_J * self.open[c] / whole;
                let mut upstream = self.tank;
                for i in 0..PER_CHANNEL {
                    let k = c * PER_CHANNEL + if reverse { PER_CHANNEL - 1 - i } else { i };
                    // The film of coolant on the wall grows with the flow.
                    let g = if flow > 0.0 { 44.0 * self.open[c].min(1.0).powf(0.8) } else { 2.0 };
                    taken[k] = g * (self.plate[k] - self.coolant[k]);
                    let old = self.coolant[k];
                    self.coolant[k] += h / (SEGMENT_L * LITRE_J) * (taken[k] + w_per_k * (upstream - old));
                    upstream = old;
                }
                leaving += self.open[c] / whole * upstream;
            }
            let w_per_k = flow / 60.0 * LITRE_J;
            let loss = 3.0 * (self.ambient - self.tank);
            let put_in = self.heater_w - self.chiller_w + loss;
            self.tank += h / (TANK_L * LITRE_J) * (w_per_k * (leaving - self.tank) + put_in);
            let mut all = put_in;
            let (surface, plate) = (self.surface, self.plate);
            for k in 0..N {
                let inside = 15.0 * (self.core[k] - surface[k]);
                let down = 25.0 * self.contact[k] * (surface[k] - plate[k]);
                // Cells at the ends of a module lose more.
                let place = k % (N / M);
                let edge = if place == 0 || place == N / M - 1 { 2.0 } else { 1.0 };
                let air = 0.15 * edge * (self.ambient - surface[k]);
                let mut beside = 0.0;
                for n in [k.wrapping_sub(1), k + 1] {
                    if n < N && n / (N / M) == k / (N / M) {
                        beside += 3.0 * (surface[n] - surface[k]);
                    }
                }
                let film_w = self.film[k / (N / M)] * f64::from(film[k / (N / M)]) / PER_MODULE;
                self.core[k] += h / CORE_J * (heat[k] - inside);
                self.surface[k] += h / SURFACE_J * (inside - down + air + beside + film_w);
                self.plate[k] += h / PLATE_J * (down - taken[k]);
                all += heat[k] + air + film_w;
            }
            self.energy_j += h * all;
            out = (self.tank, if flow > 0.0 { leaving } else { self.tank });
        }
        out
    }

    fn content_j(&self) -> f64 {
        let sum = |t: &[f64; N]| t.iter().sum::<f64>();
        CORE_J * sum(&self.core)
            + SURFACE_J * sum(&self.surface)
            + PLATE_J * sum(&self.plate)
            + SEGMENT_L * LITRE_J * sum(&self.coolant)
            + TANK_L * LITRE_J * self.tank
    }

    fn spread(&self) -> f64 {
        self.core.iter().copied().fold(f64::MIN, f64::max)
            - self.core.iter().copied().fold(f64::MAX, f64::min)
    }

    fn mean(&self) -> f64 {
        self.core.iter().sum::<f64>() / N as f64
    }
}

/// The pack as its maker describes it, 20 % off.
fn places() -> [CellPlace; N] {
    std::array::from_fn(|k| CellPlace {
        channel: (k / PER_CHANNEL) as u8,
        along: (k % PER_CHANNEL) as f32 / (PER_CHANNEL - 1) as f32,
        module: (k / (N / M)) as u8,
        to_coolant_w_per_k: 12.7,
        to_ambient_w_per_k: 0.2,
    })
}

fn layout(cells: &[CellPlace]) -> Layout<'_> {
    Layout {
        cells,
        sensor_cells: &SENSORS,
        core_j_per_k: 2200.0,
        surface_j_per_k: 400.0,
        core_surface_w_per_k: 12.5,
        neighbour_w_per_k: 2.5,
        coolant_j_per_l_k: 3500.0,
        sensor_offset_std_k: 0.3,
    }
}

/// A quarter of the passenger car's devices.
fn settings() -> ClimateSettings {
    let s = ClimateSettings::CAR;
    ClimateSettings {
        pack_j_per_k: s.pack_j_per_k / 4.0,
        min_flow_l_per_min: s.min_flow_l_per_min / 4.0,
        max_flow_l_per_min: s.max_flow_l_per_min / 4.0,
        min_chiller_w: s.min_chiller_w / 4.0,
        max_chiller_w: s.max_chiller_w / 4.0,
        max_heater_w: s.max_heater_w / 4.0,
        max_film_w: 360.0,
        pump_w: s.pump_w / 4.0,
        coolant_l: s.coolant_l / 4.0,
        ..s
    }
}

/// What is looked at.
struct Case<'a> {
    seed: u64,
    start_c: f64,
    ambient_c: f64,
    mode: Mode,
    seconds: usize,
    heat_w: &'a dyn Fn(usize) -> f64,
    /// Mean heat that is announced, W per cell.
    expected_w: f64,
    /// Hours of rest before, in which the sensors are trimmed.
    rest_h: usize,
    settings: ClimateSettings,
    blocked: bool,
    lost: &'a [usize],
    until_c: f64,
}

impl Case<'_> {
    const DEFAULT: Case<'static> = Case {
        seed: 1,
        start_c: 25.0,
        ambient_c: 25.0,
        mode: Mode::Driving,
        seconds: 1800,
        heat_w: &|_| 0.0,
        expected_w: 0.0,
        rest_h: 10,
        settings: ClimateSettings::CAR,
        blocked: false,
        lost: &[],
        until_c: 1e3,
    };
}

#[derive(Debug)]
struct Outcome {
    spread_k: f64,
    /// Largest error of a core against the mean error of all, of cells with and without a sensor.
    sensed_error_k: f64,
    unsensed_error_k: f64,
    /// Largest error of the mean.
    mean_error_k: f64,
    /// Largest share of |error| over the reported standard deviation.
    worst_sigma: f64,
    mean_c: f64,
    largest_c: f64,
    seconds: usize,
    ledger: ClimateLedger,
    trim_error_k: f64,
    cooling: [f32; CHANNELS],
    actions: [usize; 4],
}

fn read(t: f64) -> Reading {
    // A converter with 0.1 K.
    Reading::within(((10.0 * t).round() / 10.0) as f32, -60.0, 120.0)
}

fn run(case: &Case<'_>) -> Outcome {
    let cells = places();
    let mut plant = Plant::new(case.seed, case.start_c, case.ambient_c);
    if case.blocked {
        plant.open[1] = 0.03;
    }
    let mut noise = Random(case.seed + 77);
    let mut estimator = CellTemperatures::<N, S, M>::new(layout(&cells)).unwrap();
    let trim = case.settings.parts.trim;
    if !trim {
        estimator = estimator.without_trim();
    }
    let mut climate = Climate::<M>::new(case.settings).unwrap();
    let mut sample =
        |plant: &Plant, inlet: f64, outlet: f64, flow: f32, reverse: bool, heat: f64, film: [f32; M]| {
            let mut sensors_c = [Reading::MISSING; S];
            for (s, cell) in SENSORS.iter().enumerate() {
                if !case.lost.contains(&s) {
                    sensors_c[s] =
                        read(plant.surface[usize::from(*cell)] + plant.offset[s] + 0.05 * noise.normal());
                }
            }
            TemperatureInput {
                sensors_c,
                inlet_c: read(inlet + 0.2),
                outlet_c: read(outlet - 0.2),
                ambient_c: read(plant.ambient + 0.5),
                flow_l_per_min: 1.1 * flow,
                reverse,
                heat_w: [(0.9 * heat) as f32; N],
                film_w: film,
            }
        };
    let at_rest = Plant::new(case.seed, case.ambient_c, case.ambient_c);
    for _ in 0..60 * case.rest_h {
        let input = sample(&at_rest, at_rest.tank, at_rest.tank, 0.0, false, 0.0, [0.0; M]);
        estimator.step(&input, 60.0);
    }
    if case.start_c != case.ambient_c {
        let trims = *estimator.trims();
        estimator = CellTemperatures::new(layout(&cells)).unwrap().with_trims(trims);
    }
    let trims = estimator.trims().sensors;
    let middle = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let left: Vec<f64> = (0..S).map(|s| plant.offset[s] - f64::from(trims[s].offset_k)).collect();
    let trim_error_k = left.iter().map(|e| (e - middle(&left)).abs()).fold(0.0, f64::max);

    let mut outcome = Outcome {
        spread_k: 0.0,
        sensed_error_k: 0.0,
        unsensed_error_k: 0.0,
        mean_error_k: 0.0,
        worst_sigma: 0.0,
        mean_c: 0.0,
        largest_c: -100.0,
        seconds: 0,
        ledger: ClimateLedger::default(),
        trim_error_k,
        cooling: [0.0; CHANNELS],
        actions: [0; 4],
    };
    let (start_j, mut command) = (plant.content_j(), *climate.command());
    for second in 0..case.seconds {
        let nominal = (case.heat_w)(second);
        // The devices follow with a delay.
        plant.chiller_w += (f64::from(command.chiller_w) - plant.chiller_w) / 15.0;
        plant.heater_w += (f64::from(command.heater_w) - plant.heater_w) / 10.0;
        let flow = command.flow_l_per_min;
        if flow == 0.0 {
            (plant.chiller_w, plant.heater_w) = (0.0, 0.0);
        }
        let (inlet, outlet) = plant.second(nominal, f64::from(flow), command.reverse, &command.film_w);
        let heat = middle(&plant.heat(nominal));
        let input = sample(&plant, inlet, outlet, flow, command.reverse, heat, command.film_w);
        let now = *estimator.step(&input, 1.0);
        command = *climate.step(
            &ClimateInput {
                mode: case.mode,
                temperatures: now.summary,
                inlet_c: input.inlet_c,
                outlet_c: input.outlet_c,
                expected_heat_w: (case.expected_w * N as f64) as f32,
                granted_w: None,
            },
            1.0,
        );
        let s = &case.settings;
        assert!(command.chiller_w >= 0.0 && command.chiller_w <= s.max_chiller_w);
        outcome.spread_k = outcome.spread_k.max(plant.spread());
        outcome.largest_c = outcome.largest_c.max(plant.core.iter().copied().fold(f64::MIN, f64::max));
        outcome.actions[command.action as usize] += 1;
        let error: Vec<f64> = (0..N).map(|k| f64::from(now.core_c[k]) - plant.core[k]).collect();
        let common = middle(&error);
        outcome.mean_error_k = outcome.mean_error_k.max(common.abs());
        for k in 0..N {
            let e = (error[k] - common).abs();
            let sensed =
                SENSORS.iter().enumerate().any(|(s, c)| usize::from(*c) == k && !case.lost.contains(&s));
            let worst = if sensed { &mut outcome.sensed_error_k } else { &mut outcome.unsensed_error_k };
            *worst = worst.max(e);
            outcome.worst_sigma = outcome.worst_sigma.max(e / f64::from(now.std_k[k]));
        }
        outcome.seconds = second + 1;
        if plant.mean() >= case.until_c {
            break;
        }
    }
    let change = plant.content_j() - start_j;
    assert!(
        (plant.energy_j - change).abs() < 1e-6 * (plant.energy_j.abs() + 1e6),
        "the plant's energy balance"
    );
    outcome.mean_c = plant.mean();
    outcome.ledger = *climate.ledger();
    outcome.cooling = [0, 1].map(|c| estimator.channel_cooling(c).unwrap());
    outcome
}

#[test]
fn explore() {
    let drive = |t: usize| if t % 200 < 120 { 6.0 + 30.0 * f64::from(u8::from(t % 40 < 12)) } else { 0.0 };
    for seed in [1, 2, 3] {
        for (name, parts) in [
            ("all", Parts::ALL),
            ("no trim", Parts { trim: false, ..Parts::ALL }),
            ("no reversal", Parts { reversal: false, ..Parts::ALL }),
            ("no ff", Parts { feed_forward: false, ..Parts::ALL }),
            ("no flow", Parts { spread_flow: false, ..Parts::ALL }),
            ("no zoning", Parts { film_zoning: false, ..Parts::ALL }),
            ("no mean", Parts { mean_loop: false, ..Parts::ALL }),
            ("no mixing", Parts { mixing: false, ..Parts::ALL }),
        ] {
            let settings = ClimateSettings { parts, ..settings() };
            let base = Case { seed, settings, ..Case::DEFAULT };
            println!("--- {seed} {name}");
            let show = |what: &str, o: Outcome| {
                println!(
                    "{what:6} spread {:5.2} err {:.2} {:.2} mean {:.2} sig {:.1} end {:.1} hot {:.1} {} s trim {:.2} k {:.2?} act {:?} {:?}",
                    o.spread_k,
                    o.sensed_error_k,
                    o.unsensed_error_k,
                    o.mean_error_k,
                    o.worst_sigma,
                    o.mean_c,
                    o.largest_c,
                    o.seconds,
                    o.trim_error_k,
                    o.cooling,
                    o.actions,
                    o.ledger
                );
            };
            show("drive", run(&Case { heat_w: &drive, expected_w: 7.0, seconds: 3600, ..base }));
            show("1C", run(&Case { heat_w: &|_| 16.0, expected_w: 16.0, seconds: 3600, ..base }));
            let fast = Case { mode: Mode::FastCharge, heat_w: &|_| 35.0, expected_w: 35.0, ..base };
            show("fast", run(&fast));
            let cold = Case {
                mode: Mode::Preheat,
                start_c: -20.0,
                ambient_c: -20.0,
                until_c: 10.0,
                seconds: 3600,
                ..base
            };
            show("heat", run(&cold));
            if name == "all" {
                show("fastB", run(&Case { blocked: true, ..fast }));
            }
        }
    }
}
