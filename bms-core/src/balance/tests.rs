//! Balancers in closed loop with packs of their own truth (`f64`).

#![allow(clippy::needless_range_loop)] // cells by their number

use super::active::{ActiveBalancer, ActiveLimits, Meet};
use super::passive::{BalanceLimits, Balancer};
use super::*;
use crate::cell::{Age, CellModel};
use crate::example;
use crate::pack::{PackEstimator, PackMeasurement};
use crate::store::Store;
use crate::tuning::Tuning;
use proptest::prelude::*;

/// Steps of a second after which there have been looks enough for a plan.
const SETTLED_S: usize = 1215;

/// Numbers of a standard normal distribution, roughly (sum of twelve), the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f64 / (1u64 << 24) as f64
        };
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    }
}

fn interpolate(table: &[(f64, f64)], z: f64) -> f64 {
    let k = (1..table.len() - 1).find(|k| z < table[*k].0).unwrap_or(table.len() - 1);
    let ((z0, v0), (z1, v1)) = (table[k - 1], table[k]);
    v0 + (v1 - v0) * (z - z0) / (z1 - z0)
}

fn nmc_v(z: f64) -> f64 {
    interpolate(&[(0.0, 3.0), (0.1, 3.45), (0.5, 3.68), (1.0, 4.2)], z)
}

/// 1 mV per point and less on the plateau, 20 mV and more above the knee.
fn lfp_v(z: f64) -> f64 {
    interpolate(
        &[
            (0.0, 2.5),
            (0.1, 3.2),
            (0.3, 3.29),
            (0.6, 3.30),
            (0.7, 3.33),
            (0.95, 3.335),
            (0.98, 3.36),
            (1.0, 3.45),
        ],
        z,
    )
}

struct Pack<const N: usize> {
    capacity_ah: [f64; N],
    soc: [f64; N],
    ocv_v: fn(f64) -> f64,
    offset_v: [f64; N],
    /// Resistance of the cell under bleed current, in ohm.
    r_ohm: f64,
    bleed_ohm: f64,
    efficiency: f64,
    /// Errors and claimed bands of the estimates.
    soc_noise: f64,
    soc_std: f32,
    capacity_std: f32,
    /// How far off the SOC may be at which the slopes are looked up.
    slope_band: f64,
    board_c: f32,
    activity: Activity,
    current_a: f32,
    noise: Noise,
    /// What the channels have moved (Ah) and turned into heat (Wh).
    moved_ah: [f64; N],
    lost_wh: f64,
}

impl<const N: usize> Pack<N> {
    fn new(soc: [f64; N], ocv_v: fn(f64) -> f64) -> Self {
        Self {
            capacity_ah: [5.0; N],
            soc,
            ocv_v,
            offset_v: [0.0; N],
            r_ohm: 0.02,
            bleed_ohm: 33.0,
            efficiency: 0.9,
            soc_noise: 0.0,
            soc_std: 0.002,
            capacity_std: 0.0,
            slope_band: 0.0,
            board_c: 25.0,
            activity: Activity::Resting,
            current_a: 0.0,
            noise: Noise(1),
            moved_ah: [0.0; N],
            lost_wh: 0.0,
        }
    }

    /// The steepest slope within the band.
    fn slope_v(&self, z: f64) -> f64 {
        let at = |z: f64| ((self.ocv_v)(z + 0.005) - (self.ocv_v)(z - 0.005)) / 0.01;
        (-4..=4).map(|k| at(z + self.slope_band * f64::from(k) / 4.0)).fold(0.0, f64::max)
    }

    fn mean_soc(&self) -> f64 {
        self.soc.iter().sum::<f64>() / N as f64
    }

    fn spread(&self) -> f64 {
        let (lo, hi) = self.soc.iter().fold((f64::MAX, f64::MIN), |(l, h), z| (l.min(*z), h.max(*z)));
        hi - lo
    }

    /// Terminal voltage under the current of a channel.
    fn terminal_v(&self, k: usize, current_a: f64) -> f64 {
        (self.ocv_v)(self.soc[k]) - self.r_ohm * current_a
    }

    fn cells(&mut self, current_a: &[f32; N]) -> [BalanceCell; N] {
        core::array::from_fn(|k| {
            let v = self.terminal_v(k, f64::from(current_a[k])) + self.offset_v[k];
            let difference = self.soc[k] - self.mean_soc() + self.soc_noise * self.noise.next();
            BalanceCell {
                voltage_v: Reading::within(v as f32, 0.0, 5.0),
                soc_difference: Estimated { value: difference as f32, std: self.soc_std },
                capacity_ah: Estimated { value: self.capacity_ah[k] as f32, std: self.capacity_std },
                slope_v: self.slope_v(self.soc[k]) as f32,
            }
        })
    }

    fn input<'a>(&self, cells: &'a [BalanceCell; N], dt_s: f32) -> BalanceInput<'a, N> {
        BalanceInput {
            cells,
            soc: Estimated { value: self.mean_soc() as f32, std: 0.02 },
            current_a: Reading::within(self.current_a, -1e3, 1e3),
            board_c: Reading::within(self.board_c, -60.0, 200.0),
            activity: self.activity,
            dt_s,
        }
    }

    /// Holds a command for `dt_s`, but not longer than it may be.
    fn bleed(&mut self, command: &BalanceCommand<N>, dt_s: f64) {
        let t = dt_s.min(f64::from(command.hold_s));
        for k in 0..N {
            if command.current_a[k] > 0.0 {
                let v = self.terminal_v(k, f64::from(command.current_a[k]));
                let ah = v / self.bleed_ohm * t / 3600.0;
                self.soc[k] -= ah / self.capacity_ah[k];
                self.moved_ah[k] += ah;
                self.lost_wh += v * ah;
            }
        }
    }

    /// The same with converters: energy in is energy out less what they burn.
    fn convert(&mut self, command: &BalanceCommand<N>, dt_s: f64) {
        let t = dt_s.min(f64::from(command.hold_s));
        let v: [f64; N] = core::array::from_fn(|k| (self.ocv_v)(self.soc[k]));
        let pack_v: f64 = v.iter().sum();
        let (mut to_pack_w, mut lost_w) = (0.0, 0.0);
        for k in 0..N {
            let w = f64::from(command.current_a[k]) * v[k];
            let arrives_w = if w > 0.0 { w * self.efficiency } else { w / self.efficiency };
            to_pack_w += arrives_w;
            lost_w += w - arrives_w;
        }
        for k in 0..N {
            let i = f64::from(command.current_a[k]) - to_pack_w / pack_v;
            self.soc[k] -= i * t / 3600.0 / self.capacity_ah[k];
            self.moved_ah[k] += i * t / 3600.0;
        }
        self.lost_wh += lost_w * t / 3600.0;
    }
}

struct Run<const N: usize> {
    /// Since charge was moved first.
    seconds: f64,
    /// The first command that moved charge, and the last one.
    first: BalanceCommand<N>,
    last: BalanceCommand<N>,
    booked_ah: [f64; N],
    /// Times that a channel was switched on.
    switched_on: usize,
    hottest_w: f32,
    most_on: usize,
}

/// Steps of a second until nothing is planned, at most for `hours`.
fn run<const N: usize>(pack: &mut Pack<N>, balancer: &mut Balancer<N>, hours: usize) -> Run<N> {
    run_in_steps(pack, balancer, 3600 * hours, 1)
}

fn run_in_steps<const N: usize>(
    pack: &mut Pack<N>,
    balancer: &mut Balancer<N>,
    steps: usize,
    dt_s: u8,
) -> Run<N> {
    let dt_s = f32::from(dt_s);
    let mut command = balancer.state().command([0.0; N], BalanceStatus::Balanced);
    let mut r = Run {
        seconds: 0.0,
        first: command,
        last: command,
        booked_ah: [0.0; N],
        switched_on: 0,
        hottest_w: 0.0,
        most_on: 0,
    };
    for _ in 0..steps {
        let cells = pack.cells(&command.current_a);
        let before = command.on();
        command = balancer.step(&pack.input(&cells, dt_s));
        pack.bleed(&command, f64::from(dt_s));
        r.seconds += if r.first.measuring { 0.0 } else { f64::from(dt_s) };
        r.switched_on += command.on().iter().zip(&before).filter(|(now, then)| **now && !**then).count();
        r.hottest_w = r.hottest_w.max(command.loss_w);
        r.most_on = r.most_on.max(command.on().iter().filter(|on| **on).count());
        for (sum, ah) in r.booked_ah.iter_mut().zip(&command.moved_ah) {
            *sum += f64::from(*ah);
        }
        if r.first.measuring && !command.measuring {
            r.first = command;
        }
        if !r.first.measuring && command.status == BalanceStatus::Balanced {
            break;
        }
    }
    r.last = command;
    r
}

/// 12 cells from 0 to 5 points above the lowest, in no order.
fn five_points(base: f64) -> [f64; 12] {
    core::array::from_fn(|k| base + 0.05 * ((k * 5) % 12) as f64 / 11.0)
}

#[test]
fn five_points_become_one_in_the_time_foretold() {
    let mut pack = Pack::new(five_points(0.80), nmc_v);
    pack.soc_noise = 0.0002;
    let before = pack.soc;
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    let r = run(&mut pack, &mut balancer, 24);
    assert!(pack.spread() <= 0.01, "{}", pack.spread());
    assert!(pack.soc.iter().all(|z| *z >= 0.80 - 1e-9), "the lowest was bled");

    // By hand: what is above 0.3 points, at 5 Ah, 4.0 V, 33 ohm, six at once, 590 s of 600.
    let by_hand_ah: f64 = before.iter().map(|z| (z - 0.80 - 0.003).max(0.0) * 5.0).sum();
    let moved_ah: f64 = pack.moved_ah.iter().sum();
    assert!((moved_ah / by_hand_ah - 1.0).abs() < 0.05, "{moved_ah} {by_hand_ah}");
    // Longer than a sixth of that takes the fullest cell alone: 4.7 points.
    let longest_ah = f64::max(by_hand_ah / 6.0, 0.047 * 5.0);
    let by_hand_s = longest_ah / (4.0 / 33.0) * 3600.0 * 600.0 / 590.0;
    let foretold_s = f64::from(r.first.finish_s.unwrap());
    assert!((foretold_s / by_hand_s - 1.0).abs() < 0.05, "{foretold_s} {by_hand_s}");
    // Choices stand for ten minutes, so up to one period per turn is lost at the end.
    assert!((r.seconds - foretold_s).abs() < 1200.0, "{} {foretold_s}", r.seconds);
    let (lost, foretold) = (f64::from(r.last.lost_wh), f64::from(r.first.to_lose_wh));
    assert!((lost / pack.lost_wh - 1.0).abs() < 0.002, "{lost} {}", pack.lost_wh);
    assert!((lost / foretold - 1.0).abs() < 0.05, "{lost} {foretold}");
    assert!((lost / (by_hand_ah * 4.0) - 1.0).abs() < 0.05, "{lost}");
    assert!(r.most_on == 6 && r.hottest_w < 6.0 * 4.05 * 4.05 / 33.0, "{}", r.hottest_w);
    assert!(r.hottest_w > 6.0 * 3.95 * 3.95 / 33.0, "{}", r.hottest_w);
    for k in 0..12 {
        assert!((r.booked_ah[k] - pack.moved_ah[k]).abs() < 0.002 * 0.25, "cell {k}");
    }
}

#[test]
fn on_the_lfp_plateau_the_estimates_do_it() {
    let mut pack = Pack::new(five_points(0.50), lfp_v);
    pack.offset_v = core::array::from_fn(|k| if k % 2 == 0 { 0.005 } else { -0.005 });
    let mut balancer = Balancer::new(BalanceLimits::LFP).unwrap();
    run(&mut pack, &mut balancer, 24);
    assert!(pack.spread() <= 0.01, "{}", pack.spread());
    assert!(pack.soc.iter().all(|z| *z >= 0.50 - 1e-9));
}

#[test]
fn voltages_on_the_lfp_plateau_bleed_nothing() {
    for base in [0.12, 0.25, 0.5, 0.65, 0.8, 0.94] {
        for std in [0.003, 0.05] {
            let mut pack = Pack::new([base; 12], lfp_v);
            pack.offset_v = core::array::from_fn(|k| if k % 3 == 0 { 0.005 } else { -0.005 });
            (pack.soc_std, pack.slope_band) = (std, 0.02);
            let limits = BalanceLimits::LFP;
            let rules = BalanceRules { least_soc: 0.05, ..limits.rules };
            let mut balancer = Balancer::new(BalanceLimits { rules, ..limits }).unwrap();
            let r = run(&mut pack, &mut balancer, 12);
            assert!(r.first.measuring && r.last.status == BalanceStatus::Balanced, "{base} {std}");
            assert_eq!(pack.moved_ah, [0.0; 12], "{base} {std}");
        }
    }
}

#[test]
fn on_a_slope_voltages_help_out_when_the_estimates_are_unsure() {
    // NMC: 10.4 mV a point above half. LFP: above its knee; the others are still on the plateau.
    type Ocv = fn(f64) -> f64;
    let cases: [(BalanceLimits, Ocv, [f64; 4]); 2] = [
        (BalanceLimits::NMC, nmc_v, [0.80, 0.84, 0.80, 0.83]),
        (BalanceLimits::LFP, lfp_v, [0.93, 0.995, 0.93, 0.95]),
    ];
    for (limits, ocv_v, soc) in cases {
        let mut pack = Pack::new(soc, ocv_v);
        (pack.soc_std, pack.soc_noise) = (0.05, 0.0);
        let mut balancer = Balancer::new(limits).unwrap();
        let r = run(&mut pack, &mut balancer, 48);
        assert!(!r.first.measuring && pack.moved_ah[1] > 0.0);
        assert!(pack.soc[1] > soc[0] && pack.soc[1] < soc[1] - 0.005, "{:?}", pack.soc);
        assert_eq!((pack.moved_ah[0], pack.moved_ah[2]), (0.0, 0.0));
        // Under way the same voltages are not used.
        let mut pack = Pack::new(soc, ocv_v);
        (pack.soc_std, pack.current_a) = (0.05, 5.0);
        let mut balancer = Balancer::new(limits).unwrap();
        run(&mut pack, &mut balancer, 12);
        assert_eq!(pack.moved_ah, [0.0; 4]);
    }
    // A broken input that reads far too little drains nobody: the estimates, sure to half a point, say that all are equal.
    let mut pack = Pack::new([0.8; 4], nmc_v);
    (pack.offset_v[2], pack.soc_std) = (-1.0, 0.005);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    run(&mut pack, &mut balancer, 24);
    assert!(pack.spread() < 0.025, "{:?}", pack.soc);
}

#[test]
fn noise_makes_no_hunting() {
    for seed in 1..=10 {
        let mut pack = Pack::new(five_points(0.80), nmc_v);
        (pack.soc_noise, pack.soc_std, pack.noise) = (0.0014, 0.0014, Noise(seed));
        let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
        let r = run(&mut pack, &mut balancer, 24);
        let periods = r.seconds / 600.0 + 1.0;
        assert!(r.switched_on as f64 <= 6.0 * periods, "{} in {periods} periods", r.switched_on);
        // Every look has noise of its own, so cells between stop and start are found sooner or later; then there is rest.
        let mut day = || {
            let before = pack.soc;
            for _ in 0..24 {
                run_in_steps(&mut pack, &mut balancer, 360, 10);
            }
            (pack.spread(), before.iter().zip(&pack.soc).map(|(a, b)| a - b).sum::<f64>())
        };
        day();
        assert!(day().0 <= 0.01, "seed {seed}");
        let more: f64 = (0..10).map(|_| day().1).sum();
        assert!(more < 12.0 * 0.01, "seed {seed}: a point per cell in ten days: {more}");
    }
}

#[test]
fn capacities_count_up_to_full() {
    // Equal SOC half way, but the small cell will be full first. It alone gives: 0.5 (5.0 - 4.5) Ah less what is uncertain of it:
    // 2 points of the SOC times the difference in capacity, 0.2 points of either cell.
    let mut pack = Pack::new([0.5; 4], nmc_v);
    pack.capacity_ah = [5.0, 5.0, 4.5, 5.0];
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    run(&mut pack, &mut balancer, 24);
    assert!((pack.moved_ah[2] - (0.25 - 0.0168)).abs() < 0.002, "{:?}", pack.moved_ah);
    assert_eq!((pack.moved_ah[0], pack.moved_ah[1], pack.moved_ah[3]), (0.0, 0.0, 0.0));
    // Unsure of the capacities, less is taken: they are 5 % of half the way.
    let mut unsure = Pack::new([0.5; 4], nmc_v);
    (unsure.capacity_ah, unsure.capacity_std) = (pack.capacity_ah, 0.05);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    run(&mut unsure, &mut balancer, 24);
    assert!(unsure.moved_ah[2] > 0.15 && unsure.moved_ah[2] < 0.225, "{:?}", unsure.moved_ah);
}

#[test]
fn neighbours_take_turns() {
    let mut pack = Pack::new([0.85, 0.85, 0.80, 0.85, 0.85, 0.80], nmc_v);
    let limits = BalanceLimits::NMC;
    let rules = BalanceRules { neighbours: false, ..limits.rules };
    let mut balancer = Balancer::new(BalanceLimits { rules, ..limits }).unwrap();
    let r = run(&mut pack, &mut balancer, 24);
    assert!(pack.spread() <= 0.01);
    // Two cells next to one another, 0.235 Ah each, one after the other at 0.121 A.
    let by_hand_s = 2.0 * 0.235 / (4.0 / 33.0) * 3600.0 * 600.0 / 590.0;
    assert!((f64::from(r.first.finish_s.unwrap()) / by_hand_s - 1.0).abs() < 0.02);
    assert!((r.seconds - by_hand_s).abs() < 1200.0);
    assert_eq!(r.most_on, 2);
}

#[test]
fn a_hot_board_cools_down_first() {
    let mut pack = Pack::new(five_points(0.80), nmc_v);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    let mut at = |board_c: f32, seconds: usize| {
        pack.board_c = board_c;
        let mut command = None;
        for _ in 0..seconds {
            let cells = pack.cells(&[0.0; 12]);
            command = Some(balancer.step(&pack.input(&cells, 1.0)));
        }
        command.unwrap()
    };
    let on = |c: &BalanceCommand<12>| c.on().iter().filter(|on| **on).count();
    assert_eq!(on(&at(25.0, SETTLED_S)), 6);
    // Half of 4 W is enough for four of 0.49 W.
    assert_eq!(on(&at(70.0, 1)), 4);
    assert_eq!(on(&at(25.0, 1)), 4, "none is switched on within a period");
    let hot = at(80.0, 1);
    assert_eq!((on(&hot), hot.status, hot.finish_s), (0, BalanceStatus::BoardHot, None));
    assert_eq!(at(61.0, 1200).status, BalanceStatus::BoardHot);
    assert_eq!(at(60.0, 1).status, BalanceStatus::Measuring);
    assert_eq!(on(&at(60.0, 600)), 6);
    pack.activity = Activity::Driving;
    let cells = pack.cells(&[0.0; 12]);
    let driving = balancer.step(&pack.input(&cells, 1.0));
    assert!(driving.measuring && driving.status == BalanceStatus::NotAllowed);
    pack.activity = Activity::Resting;
    let input = BalanceInput { board_c: Reading::MISSING, ..pack.input(&cells, 1.0) };
    assert_eq!(balancer.step(&input).status, BalanceStatus::BoardUnknown);
}

/// Whole hours end in a window of measurements; what goes on behind it?
fn status_behind_window<const N: usize>(pack: &mut Pack<N>, balancer: &mut Balancer<N>) -> BalanceStatus {
    let mut status = BalanceStatus::Measuring;
    for _ in 0..20 {
        let cells = pack.cells(&[0.0; N]);
        status = balancer.step(&pack.input(&cells, 1.0)).status;
    }
    status
}

#[test]
fn a_cell_at_its_limits_gives_nothing() {
    // The band of 2 points has to stay above the least SOC of 15 %.
    for (soc, may) in [(0.165, false), (0.2, true)] {
        let mut pack = Pack::new([soc, soc - 0.05, soc - 0.05], nmc_v);
        let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
        run(&mut pack, &mut balancer, 3);
        assert!(pack.soc[0] >= f64::min(soc, 0.17 - 1e-3), "{:?}", pack.soc);
        assert_eq!(pack.moved_ah[0] > 0.0, may, "{:?}", pack.moved_ah);
        assert_eq!(status_behind_window(&mut pack, &mut balancer), BalanceStatus::Blocked);
    }
    let mut pack = Pack::new([0.85, 0.8], |_| 2.99);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    run(&mut pack, &mut balancer, 2);
    assert_eq!(pack.moved_ah, [0.0; 2]);
    assert_eq!(status_behind_window(&mut pack, &mut balancer), BalanceStatus::Blocked);
}

#[test]
fn a_plan_survives_a_power_off_bit_for_bit() {
    type Kept = Store<BalanceState<12>>;
    let mut pack = Pack::new(five_points(0.80), nmc_v);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    run(&mut pack, &mut balancer, 1);
    let (store, _) = Kept::load(7, &[], &[]);
    let mut bytes = [0; Kept::SLOT_LEN];
    store.save(balancer.state(), &mut bytes).unwrap();
    let (_, loaded) = Kept::load(7, &bytes, &[]);
    let mut restored = Balancer::restore(BalanceLimits::NMC, loaded.value.unwrap()).unwrap();
    assert!(restored == balancer && restored.state().planned());
    for _ in 0..5000 {
        let cells = pack.cells(&[0.0; 12]);
        let input = pack.input(&cells, 1.0);
        assert_eq!(restored.step(&input), balancer.step(&input));
    }
    assert!(restored == balancer);
}

#[test]
fn asleep_the_plan_goes_on() {
    let mut pack = Pack::new(five_points(0.80), nmc_v);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    for _ in 0..SETTLED_S {
        let cells = pack.cells(&[0.0; 12]);
        balancer.step(&pack.input(&cells, 1.0));
    }
    for wakings in 0.. {
        let cells = pack.cells(&[0.0; 12]);
        let command = balancer.sleep(&pack.input(&cells, 1.0), 4.0 * 3600.0);
        if command.measuring {
            assert!((3..12).contains(&wakings), "{wakings}");
            break;
        }
        // Always an hour late: the front end has switched off by then.
        pack.bleed(&command, 1e9);
        let cells = pack.cells(&[0.0; 12]);
        assert!(balancer.step(&pack.input(&cells, command.hold_s + 3600.0)).measuring);
        for _ in 0..20 {
            let cells = pack.cells(&[0.0; 12]);
            balancer.step(&pack.input(&cells, 1.0));
        }
    }
    assert!(pack.spread() <= 0.01, "{}", pack.spread());
    assert!(pack.soc.iter().all(|z| *z >= 0.80));
    let cells = pack.cells(&[0.0; 12]);
    pack.activity = Activity::Driving;
    assert!(balancer.sleep(&pack.input(&cells, 1.0), 60.0).measuring);
}

#[test]
fn after_the_shortest_sleep_a_window_comes_first() {
    let mut pack = Pack::new(five_points(0.80), nmc_v);
    let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
    for _ in 0..SETTLED_S {
        let cells = pack.cells(&[0.0; 12]);
        balancer.step(&pack.input(&cells, 1.0));
    }
    let cells = pack.cells(&[0.0; 12]);
    let input = pack.input(&cells, 1.0);
    assert!(!balancer.sleep(&input, 20.0).measuring);
    for second in 0..10 {
        assert!(balancer.step(&pack.input(&cells, if second == 0 { 20.0 } else { 1.0 })).measuring);
    }
    assert!(!balancer.step(&input).measuring);
}

/// The pack's own estimator, from voltages with offsets and noise: five points become one.
#[test]
fn with_estimates_of_the_pack() {
    let model = CellModel::new(example::NMC_5AH).unwrap();
    let ocv_v = |z: f64| f64::from(model.ocv(25.0, z as f32, &Age::NEW).ocv_v);
    for seed in 1..=3 {
        let mut noise = Noise(seed);
        let mut soc = five_points(0.80);
        let offset_v = soc.map(|_| 0.0015 * noise.next());
        let mut estimator = PackEstimator::<12>::new(&model, &Tuning::NMC, 5.0, 0.82).unwrap();
        let mut balancer = Balancer::<12>::new(BalanceLimits::NMC).unwrap();
        let mut on = [false; 12];
        let (mut moved, mut finish_s, mut seconds) = (false, None, 0.0f32);
        for second in 0..12 * 3600 {
            let voltage_v: [Reading; 12] = core::array::from_fn(|k| {
                Reading::within((ocv_v(soc[k]) + offset_v[k] + 0.001 * noise.next()) as f32, 0.0, 5.0)
            });
            let sample = PackMeasurement {
                cell_voltage_v: core::array::from_fn(|k| if on[k] { Reading::MISSING } else { voltage_v[k] }),
                cell_temperature_c: [Reading::within(25.0, -60.0, 120.0); 12],
                current_a: Reading::within(0.0, -500.0, 500.0),
                mean_current_a: Reading::MISSING,
                contactors_open: true,
            };
            let dt_s = if second == 0 { 0.0 } else { 1.0 };
            let reference = estimator.step(&sample, dt_s).reference.soc;
            let cells: [BalanceCell; 12] = core::array::from_fn(|k| {
                let estimate = estimator.cell(k).unwrap();
                let slope_v = model.ocv_slope(25.0, estimate.soc.value, 0.01, &Age::NEW);
                BalanceCell::new(&estimate, voltage_v[k], slope_v)
            });
            let command = balancer.step(&BalanceInput {
                cells: &cells,
                soc: reference,
                current_a: sample.current_a,
                board_c: Reading::within(30.0, -60.0, 200.0),
                activity: Activity::Resting,
                dt_s,
            });
            on = command.on();
            for k in 0..12 {
                estimator.bleed(k, command.moved_ah[k]).unwrap();
                soc[k] -= f64::from(command.current_a[k]) / 3600.0 / 5.0;
            }
            if !command.measuring && !moved {
                (moved, finish_s) = (true, command.finish_s);
            }
            seconds += if moved { 1.0 } else { 0.0 };
            if moved && command.status == BalanceStatus::Balanced {
                break;
            }
        }
        let spread = Pack::new(soc, nmc_v).spread();
        assert!(spread <= 0.01, "seed {seed}: {spread}");
        assert!(soc.iter().all(|z| *z >= 0.80 - 1e-6), "{soc:?}");
        // A cell that is just over the start may be found under way: three looks and 0.7 points more.
        let late_s = seconds - finish_s.unwrap();
        assert!((-600.0..3600.0).contains(&late_s), "{late_s}");
    }
}

#[test]
fn impossible_limits_are_refused() {
    let good = BalanceLimits::NMC;
    let made = |limits: BalanceLimits| Balancer::<4>::new(limits).map(|_| ());
    let ruled = |rules: BalanceRules| made(BalanceLimits { rules, ..good });
    assert_eq!(made(good), Ok(()));
    assert_eq!(made(BalanceLimits { bleed_ohm: 0.0, ..good }), Err(BalanceError::Channel));
    assert_eq!(made(BalanceLimits { least_slope_v: f32::NAN, ..good }), Err(BalanceError::Limits));
    assert_eq!(ruled(BalanceRules { stop_soc: 0.02, ..good.rules }), Err(BalanceError::Plan));
    assert_eq!(ruled(BalanceRules { window_s: 600.0, ..good.rules }), Err(BalanceError::Windows));
    assert_eq!(ruled(BalanceRules { channels: 0, ..good.rules }), Err(BalanceError::Board));
    assert_eq!(ruled(BalanceRules { least_soc: f32::NAN, ..good.rules }), Err(BalanceError::Limits));
    let active = ActiveLimits { efficiency: 1.0, ..ActiveLimits::TYPICAL };
    assert_eq!(ActiveBalancer::<4>::new(active).map(|_| ()), Err(BalanceError::Channel));
    let active = ActiveLimits { highest_soc: 0.1, ..ActiveLimits::TYPICAL };
    assert_eq!(ActiveBalancer::<4>::new(active).map(|_| ()), Err(BalanceError::Limits));
}

/// Converters for hours; the last command.
fn convert<const N: usize>(
    pack: &mut Pack<N>,
    balancer: &mut ActiveBalancer<N>,
    meet: Meet,
    hours: usize,
) -> (BalanceCommand<N>, [f64; N]) {
    let mut command = balancer.state().command([0.0; N], BalanceStatus::Balanced);
    let mut booked_ah = [0.0; N];
    for _ in 0..3600 * hours {
        let cells = pack.cells(&[0.0; N]);
        command = balancer.step(&pack.input(&cells, 1.0), meet);
        pack.convert(&command, 1.0);
        for (sum, ah) in booked_ah.iter_mut().zip(&command.moved_ah) {
            *sum += f64::from(*ah);
        }
    }
    (command, booked_ah)
}

fn left_ah<const N: usize>(pack: &Pack<N>, k: usize, meet: Meet) -> f64 {
    pack.capacity_ah[k] * if meet == Meet::Full { 1.0 - pack.soc[k] } else { pack.soc[k] }
}

#[test]
fn converters_bring_the_pack_together_and_pay() {
    for meet in [Meet::Full, Meet::Empty] {
        let mut pack = Pack::new(five_points(0.50), lfp_v);
        pack.capacity_ah = core::array::from_fn(|k| if k == 3 { 92.0 } else { 100.0 });
        pack.soc_noise = 0.001;
        let least = |pack: &Pack<12>| (0..12).map(|k| left_ah(pack, k, meet)).fold(f64::MAX, f64::min);
        let most = |pack: &Pack<12>| (0..12).map(|k| left_ah(pack, k, meet)).fold(f64::MIN, f64::max);
        let before = least(&pack);
        let mut balancer = ActiveBalancer::new(ActiveLimits::TYPICAL).unwrap();
        // What is foretold?
        let (mut planned, _) = convert(&mut pack, &mut balancer, meet, 0);
        for _ in 0..SETTLED_S {
            let cells = pack.cells(&[0.0; 12]);
            planned = balancer.step(&pack.input(&cells, 1.0), meet);
        }
        let worth = balancer.worth();
        assert!(worth.gain_wh > 5.0 * worth.loss_wh && worth.loss_wh > 1.0, "{worth:?}");
        let (command, booked_ah) = convert(&mut pack, &mut balancer, meet, 16);
        assert_eq!(command.status, BalanceStatus::Balanced);

        assert!(most(&pack) - least(&pack) < 1.0, "{meet:?} {}", most(&pack) - least(&pack));
        let gain_wh = (least(&pack) - before) * 12.0 * 3.3;
        assert!((gain_wh / f64::from(worth.gain_wh) - 1.0).abs() < 0.1, "{gain_wh} {worth:?}");
        assert!((f64::from(command.lost_wh) / pack.lost_wh - 1.0).abs() < 0.01);
        assert!((pack.lost_wh / f64::from(planned.to_lose_wh) - 1.0).abs() < 0.1, "{}", planned.to_lose_wh);
        for (booked, moved) in booked_ah.iter().zip(&pack.moved_ah) {
            assert!((booked - moved).abs() < 0.02, "{booked} {moved}");
        }
    }
}

#[test]
fn converters_stop_where_it_does_not_pay() {
    // One cell 5 points above the others: what it gives raises all by η/N of it, so the gain is η/(1 - η) = 9 of the loss.
    let mut soc = [0.5; 8];
    soc[6] = 0.55;
    for (least_gain, pays) in [(8.5, true), (9.5, false)] {
        let mut pack = Pack::new(soc, |_| 3.3);
        let limits = ActiveLimits { least_gain, ..ActiveLimits::TYPICAL };
        let mut balancer = ActiveBalancer::new(limits).unwrap();
        let (_, _) = convert(&mut pack, &mut balancer, Meet::Empty, 1);
        assert_eq!(pack.moved_ah[6] > 0.1, pays, "{:?}", pack.moved_ah);
    }
    // Before a charge the same cell limits all, and before a drive it does not: a spread that costs nothing stays when it
    // would cost to remove it.
    let mut pack = Pack::new(soc, |_| 3.3);
    let limits = ActiveLimits { least_gain: 20.0, ..ActiveLimits::TYPICAL };
    let mut balancer = ActiveBalancer::new(limits).unwrap();
    convert(&mut pack, &mut balancer, Meet::Full, 1);
    assert!(pack.moved_ah[6] > 0.1);
}

#[test]
fn a_cell_at_its_upper_limits_is_given_nothing() {
    type Ocv = fn(f64) -> f64;
    let ocv: [(Ocv, bool); 2] = [(|_| 3.5, true), (|_| 3.56, false)];
    for (ocv_v, may) in ocv {
        let mut pack = Pack::new([0.5, 0.45, 0.5, 0.5], ocv_v);
        let mut balancer = ActiveBalancer::new(ActiveLimits::TYPICAL).unwrap();
        convert(&mut pack, &mut balancer, Meet::Empty, 1);
        assert_eq!(pack.moved_ah[1] < -0.1, may, "{:?}", pack.moved_ah);
    }
}

/// Any bits, most of them made plausible: a plan needs many numbers at once.
fn any_number(bits: u32, lo: f32, hi: f32) -> f32 {
    if bits & 31 != 0 {
        lo + (hi - lo) * ((bits >> 8) as f32 / (1u32 << 24) as f32)
    } else {
        f32::from_bits(bits)
    }
}

fn any_cells(bits: &[[u32; 6]; 6]) -> [BalanceCell; 6] {
    bits.map(|[v, d, d_std, q, q_std, slope]| BalanceCell {
        voltage_v: if v & 0xe0 == 0 {
            Reading::MISSING
        } else {
            Reading::within(any_number(v, 2.5, 4.2), -1.0, 10.0)
        },
        soc_difference: Estimated { value: any_number(d, -0.1, 0.1), std: any_number(d_std, 0.0, 0.02) },
        capacity_ah: Estimated { value: any_number(q, 4.0, 6.0), std: any_number(q_std, 0.0, 0.1) },
        slope_v: any_number(slope, 0.0, 10.0),
    })
}

fn any_input<'a>(bits: &[u32; 6], cells: &'a [BalanceCell; 6]) -> BalanceInput<'a, 6> {
    let [soc, std, current, board, activity, dt] = *bits;
    BalanceInput {
        cells,
        soc: Estimated { value: any_number(soc, 0.0, 1.0), std: any_number(std, 0.0, 0.05) },
        current_a: Reading::within(any_number(current, -1.0, 1.0), -1e3, 1e3),
        board_c: Reading::within(any_number(board, 20.0, 82.0), -60.0, 200.0),
        activity: match activity % 8 {
            0 => Activity::Driving,
            1 => Activity::Charging,
            _ => Activity::Resting,
        },
        dt_s: any_number(dt, 0.0, 20.0),
    }
}

/// What holds for every command.
fn sound(
    command: &BalanceCommand<6>,
    input: &BalanceInput<'_, 6>,
    rules: &BalanceRules,
) -> Result<(), TestCaseError> {
    let on = command.on();
    let share = input.board_c.valid().map_or(0.0, |t| (rules.stop_c - t) / (rules.stop_c - rules.derate_c));
    prop_assert!(on.iter().filter(|on| **on).count() <= rules.channels);
    prop_assert!(command.loss_w <= 1.000_1 * rules.power_w * share.clamp(0.0, 1.0), "{}", command.loss_w);
    prop_assert!(rules.neighbours || !on.windows(2).any(|w| w[0] && w[1]));
    prop_assert!(on == [false; 6] || input.activity != Activity::Driving || rules.allowed[2]);
    prop_assert_eq!(command.measuring, on == [false; 6]);
    for (i, cell) in command.current_a.iter().zip(input.cells) {
        if *i > 0.0 {
            prop_assert!(cell.voltage_v.valid().is_some_and(|v| v >= rules.least_voltage_v));
            let lowest = input.soc.value + cell.soc_difference.value - rules.sigmas * cell.soc_difference.std;
            prop_assert!(lowest > rules.least_soc, "{lowest}");
        }
    }
    let numbers = [command.hold_s, command.loss_w, command.lost_wh, command.to_lose_wh];
    prop_assert!(numbers.iter().all(|x| *x >= 0.0 && x.is_finite()), "{numbers:?}");
    prop_assert!(command.moved_ah.iter().chain(&command.current_a).all(|x| x.is_finite()));
    prop_assert!(command.finish_s.is_none_or(|t| t >= 0.0 && t.is_finite()));
    Ok(())
}

proptest! {
    #[test]
    fn no_input_breaks_a_limit(
        samples in prop::collection::vec(any::<([u32; 6], [[u32; 6]; 6])>(), 1..200),
        channels in 1usize..7,
        neighbours in any::<bool>(),
        power_w in 0.3f32..3.0,
    ) {
        let short = BalanceRules { channels, neighbours, power_w, period_s: 60.0, window_s: 5.0, ..BalanceRules::TYPICAL };
        let mut passive = Balancer::<6>::new(BalanceLimits { rules: short, ..BalanceLimits::NMC }).unwrap();
        let active_rules = BalanceRules { allowed: [true; 3], ..short };
        let limits = ActiveLimits { rules: active_rules, ..ActiveLimits::TYPICAL };
        let mut active = ActiveBalancer::<6>::new(limits).unwrap();
        for (bits, cells) in samples {
            let cells = any_cells(&cells);
            let input = any_input(&bits, &cells);
            sound(&passive.step(&input), &input, &short)?;
            if bits[4] & 0xf0 == 0 {
                sound(&passive.sleep(&input, any_number(bits[1], 0.0, 1e4)), &input, &short)?;
            }
            let command = active.step(&input, if neighbours { Meet::Full } else { Meet::Empty });
            sound(&command, &input, &active_rules)?;
            for (i, cell) in command.current_a.iter().zip(input.cells) {
                let v = cell.voltage_v.valid().unwrap_or(f32::MAX);
                prop_assert!(*i >= 0.0 || v <= limits.highest_voltage_v);
            }
            // What comes out can be stored and is taken back.
            for state in [*passive.state(), *active.state()] {
                let (store, _) = Store::<BalanceState<6>>::load(1, &[], &[]);
                let mut bytes = [0; Store::<BalanceState<6>>::SLOT_LEN];
                prop_assert!(store.save(&state, &mut bytes).is_ok(), "{state:?}");
            }
        }
    }

    #[test]
    fn no_sleep_takes_more_than_planned(
        soc in prop::array::uniform6(0.1f64..0.95),
        longest_s in 1f32..1e6,
        late_s in prop::array::uniform8(-1e4f32..1e5),
    ) {
        let mut pack = Pack::new(soc, nmc_v);
        let mut balancer = Balancer::new(BalanceLimits::NMC).unwrap();
        for _ in 0..SETTLED_S {
            let cells = pack.cells(&[0.0; 6]);
            balancer.step(&pack.input(&cells, 1.0));
        }
        let planned: [f32; 6] = core::array::from_fn(|k| balancer.state().remaining_ah(k));
        let mut booked = [0.0; 6];
        for late_s in late_s {
            let cells = pack.cells(&[0.0; 6]);
            balancer.step(&pack.input(&cells, 0.0));
            let command = balancer.sleep(&pack.input(&cells, 0.0), longest_s);
            prop_assert!(command.hold_s <= longest_s);
            let slept_s = (command.hold_s + late_s).max(0.0);
            pack.bleed(&command, f64::from(slept_s));
            let cells = pack.cells(&[0.0; 6]);
            let woken = balancer.step(&pack.input(&cells, slept_s));
            for (sum, ah) in booked.iter_mut().zip(&woken.moved_ah) {
                *sum += ah;
            }
        }
        for k in 0..6 {
            prop_assert!(f64::from(booked[k]) <= f64::from(planned[k]) * 1.0001 + 1e-6);
            prop_assert!(pack.moved_ah[k] <= f64::from(planned[k]) * 1.001 + 1e-6, "{:?} {planned:?}", pack.moved_ah);
            prop_assert!(pack.moved_ah[k] == 0.0 || pack.soc[k] >= f64::from(BalanceRules::TYPICAL.least_soc));
        }
    }
}
