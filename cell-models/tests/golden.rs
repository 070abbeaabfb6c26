//! The equivalent-circuit plant against solutions in closed form; each test names its reference.

use cell_models::{EcmCell, EcmParameters, EcmTrace, Plant, RcPair, Table1, Table2, Thermal, Waveform};

/// A cell whose parameters are the same at every SOC and temperature, with the given RC pairs (ohm, s).
fn flat(rc: &[(f64, f64)]) -> EcmParameters {
    let everywhere = |v| Table2::constant(v).unwrap();
    EcmParameters {
        capacity_ah: 2.0,
        coulombic_efficiency: 1.0,
        voltage_limits_v: [0.0, 10.0],
        ocv_v: Table1::constant(3.5).unwrap(),
        entropic_v_per_k: Table1::constant(0.0).unwrap(),
        r0_discharge_ohm: everywhere(0.03),
        r0_charge_ohm: everywhere(0.04),
        rc: rc.iter().map(|&(r, tau)| RcPair { r_ohm: everywhere(r), tau_s: everywhere(tau) }).collect(),
        hysteresis_v: Table1::constant(0.0).unwrap(),
        hysteresis_gamma: 0.0,
        thermal: Thermal {
            core_j_per_k: 50.0,
            surface_j_per_k: 8.0,
            core_surface_w_per_k: 1.0,
            surface_ambient_w_per_k: 0.1,
        },
    }
}

fn cell(parameters: EcmParameters) -> EcmCell {
    EcmCell::new(parameters, 0.5, 25.0).unwrap()
}

/// Runs (seconds, ampere) one after the other.
fn run(cell: &mut EcmCell, steps: &[(f64, f64)]) {
    for &(dt, current) in steps {
        cell.set_current(current).unwrap();
        cell.advance(dt).unwrap();
    }
}

#[track_caller]
fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} and {b} differ by {:e}, more than {tolerance:e}", (a - b).abs());
}

/// Reference: step response `R (1 - exp(-t/tau))` of a first-order circuit (Plett 2015, chapter 2).
#[test]
fn rc_step_response() {
    for t in [0.01, 1.0, 7.3, 100.0, 5000.0] {
        let mut c = cell(flat(&[(0.02, 12.0)]));
        run(&mut c, &[(t, 3.0)]);
        close(c.voltage_v(), 3.5 - 3.0 * (0.03 + 0.02 * (1.0 - (-t / 12.0_f64).exp())), 1e-13);
    }
}

/// Reference: superposition of the shifted step responses of a linear circuit with three pairs.
#[test]
fn rc_superposition() {
    let pairs = [(0.02, 3.0), (0.01, 40.0), (0.015, 600.0)];
    let steps = [(17.0, 4.0), (100.0, 0.0), (5.0, -2.5), (33.0, 1.0), (250.0, -1.0)];
    let mut c = cell(flat(&pairs));
    run(&mut c, &steps);
    let end: f64 = steps.iter().map(|s| s.0).sum();
    let (mut start, mut before, mut drop) = (0.0, 0.0, -0.04);
    for (dt, current) in steps {
        for (r, tau) in pairs {
            drop += (current - before) * r * (1.0 - (-(end - start) / tau).exp());
        }
        (start, before) = (start + dt, current);
    }
    close(c.voltage_v(), 3.5 - drop, 1e-13);
}

/// Reference: `h = -sign(I) + (h0 + sign(I)) exp(-gamma |throughput| / Q)` (Plett 2015, chapter 2).
#[test]
fn hysteresis_approach() {
    let mut p = flat(&[]);
    (p.hysteresis_gamma, p.hysteresis_v) = (30.0, Table1::constant(0.02).unwrap());
    let mut c = cell(p);
    run(&mut c, &[(360.0, 1.0)]); // 0.1 Ah out
    let h = -1.0 + (-30.0 * 0.1 / 2.0_f64).exp();
    close(c.hysteresis_state(), h, 1e-13);
    run(&mut c, &[(1e6, 0.0)]);
    close(c.voltage_v(), 3.5 + 0.02 * h, 1e-13); // stays at rest
    run(&mut c, &[(180.0, -2.0)]); // 0.1 Ah in
    close(c.hysteresis_state(), 1.0 + (h - 1.0) * (-30.0 * 0.1 / 2.0_f64).exp(), 1e-13);
    run(&mut c, &[(7200.0, 2.0)]);
    close(c.hysteresis_state(), -1.0, 1e-12);
}

/// Reference: the ramp response of a first-order circuit, `R (a t + (i0 - a tau) (1 - exp(-t/tau)))` for the current
/// `i0 + a t`; charge and throughput from the areas of the two triangles on either side of zero.
#[test]
fn ramp_through_zero() {
    let mut p = flat(&[(0.02, 12.0), (0.01, 300.0)]);
    (p.hysteresis_gamma, p.hysteresis_v) = (30.0, Table1::constant(0.02).unwrap());
    p.coulombic_efficiency = 0.9;
    let (i0, i1, t) = (3.0, -1.0, 4.0_f64);
    let mut c = cell(p);
    c.set_current(i0).unwrap();
    c.ramp_current(i1, t).unwrap();
    let slope = (i1 - i0) / t;
    for (v, (r, tau)) in c.rc_voltages_v().iter().zip([(0.02, 12.0), (0.01, 300.0_f64)]) {
        close(*v, r * (slope * t + (i0 - slope * tau) * (1.0 - (-t / tau).exp())), 1e-14);
    }
    let (out, back) = (0.5 * 3.0 * 3.0 / 7200.0, 0.5 * 1.0 * 1.0 / 7200.0);
    close(c.soc(), 0.5 - out + 0.9 * back, 1e-15);
    let h = -1.0 + (-30.0 * out).exp();
    close(c.hysteresis_state(), 1.0 + (h - 1.0) * (-30.0 * back).exp(), 1e-15);
    close(c.current_a(), i1, 0.0);
}

/// Reference: the same ramps in 64 pieces; steps half as long have about a quarter of the error.
#[test]
fn ramps_are_second_order() {
    let p = EcmParameters::generic_nmc_5ah();
    let trace = |pieces: u32| {
        let mut c = cell(p.clone());
        let ramp = |k: u32| {
            let from = c.current_a();
            let to = 4.0 + 4.0 * f64::from(k * 7919 % 401) / 400.0 - 6.0 * f64::from(k % 3);
            for j in 1..=pieces {
                let share = f64::from(j) / f64::from(pieces);
                c.ramp_current(from + share * (to - from), 1.0 / f64::from(pieces)).unwrap();
            }
            [c.voltage_v(), c.core_temperature_c()]
        };
        (0..400).map(ramp).collect::<Vec<_>>()
    };
    let [halves, quarters, fine] = [2, 4, 64].map(trace);
    let largest = |coarse: &[[f64; 2]], n: usize| {
        coarse.iter().zip(&fine).map(|(a, b)| (a[n] - b[n]).abs()).fold(0.0, f64::max)
    };
    for (n, bound) in [(0, 2e-6), (1, 5e-4)] {
        let (half, quarter) = (largest(&halves, n), largest(&quarters, n));
        assert!(half > 3.5 * quarter, "{half:e} with halves, {quarter:e} with quarters");
        close(half, 0.0, bound);
    }
}

/// Reference: the same profile step by step.
#[test]
fn a_run_is_its_steps() {
    let mut plain = flat(&[(0.02, 12.0), (0.01, 300.0)]);
    plain.ocv_v = Table1::new(vec![0.0, 0.5, 1.0], vec![3.0, 3.5, 4.0]).unwrap();
    let current: Vec<f64> = (0..500).map(|k| f64::from(k * 7919 % 401) / 100.0 - 1.5).collect();
    for p in [plain, flat(&[]), EcmParameters::generic_lfp_2ah3()] {
        for waveform in [Waveform::Held, Waveform::Linear] {
            for dt in [1.0, 7.0] {
                let [mut whole, mut steps] = [(); 2].map(|()| cell(p.clone()));
                whole.set_ambient_c(10.0).unwrap();
                steps.set_ambient_c(10.0).unwrap();
                let mut out = [(); 4].map(|()| vec![0.0; current.len()]);
                let [v, z, c, s] = &mut out;
                let trace =
                    EcmTrace { voltage_v: v, soc: z, core_temperature_c: c, surface_temperature_c: s };
                whole.run(dt, &current, waveform, trace).unwrap();
                for (k, &i) in current.iter().enumerate() {
                    if waveform == Waveform::Held {
                        steps.set_current(i).unwrap();
                        steps.advance(dt).unwrap();
                    } else {
                        steps.ramp_current(i, dt).unwrap();
                    }
                    let step = [
                        steps.voltage_v(),
                        steps.soc(),
                        steps.core_temperature_c(),
                        steps.surface_temperature_c(),
                    ];
                    (0..4).for_each(|n| close(out[n][k], step[n], 1e-12));
                }
                close(whole.voltage_v(), steps.voltage_v(), 1e-12);
                close(whole.heat_w(), steps.heat_w(), 1e-12);
            }
        }
    }
}

/// Reference: Newton's law of cooling, `exp(-K_sa t / (C_c + C_s))` when core and surface are tied together.
#[test]
fn lumped_cooling() {
    let mut p = flat(&[]);
    p.thermal.core_surface_w_per_k = 1e6;
    let mut c = cell(p);
    c.set_ambient_c(-10.0).unwrap();
    for t in [1.0, 99.0, 900.0, 5000.0] {
        let before = c.core_temperature_c();
        run(&mut c, &[(t, 0.0)]);
        let expected = -10.0 + (before + 10.0) * (-0.1 * t / 58.0_f64).exp();
        close(c.core_temperature_c(), expected, 1e-5);
        close(c.surface_temperature_c(), expected, 1e-5);
    }
}

/// Reference: classical Runge-Kutta of fourth order at 1 ms on the two-node equations, and the steady state
/// `T_s = T_a + q / K_sa`, `T_c = T_s + q / K_cs` under constant ohmic heat.
#[test]
fn two_nodes_against_runge_kutta_and_steady_state() {
    let (q, t_a) = (9.0 * 0.03, 10.0);
    let slope = |[c, s]: [f64; 2]| [(q - (c - s)) / 50.0, (c - s - 0.1 * (s - t_a)) / 8.0];
    let mut x = [25.0, 25.0];
    for _ in 0..60_000 {
        let at = |k: [f64; 2], h: f64| [x[0] + h * k[0], x[1] + h * k[1]];
        let k1 = slope(x);
        let k2 = slope(at(k1, 5e-4));
        let k3 = slope(at(k2, 5e-4));
        let k4 = slope(at(k3, 1e-3));
        x = [0, 1].map(|i| x[i] + 1e-3 / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]));
    }
    let mut c = cell(flat(&[]));
    c.set_ambient_c(t_a).unwrap();
    run(&mut c, &[(60.0, 3.0)]);
    close(c.core_temperature_c(), x[0], 1e-10);
    close(c.surface_temperature_c(), x[1], 1e-10);
    run(&mut c, &[(1e6, 3.0)]);
    close(c.surface_temperature_c(), t_a + q / 0.1, 1e-9);
    close(c.core_temperature_c(), t_a + q / 0.1 + q, 1e-9);
}

/// Reference: Bernardi, Pawlikowski and Newman 1985, `q = I (U - V) - I T dU/dT` with discharge positive.
#[test]
fn heat_of_bernardi() {
    let mut p = flat(&[]);
    p.entropic_v_per_k = Table1::constant(2e-4).unwrap();
    let mut c = cell(p);
    c.set_current(2.0).unwrap();
    close(c.heat_w(), 4.0 * 0.03 - 2.0 * 298.15 * 2e-4, 1e-13);
    c.set_current(-2.0).unwrap();
    close(c.heat_w(), 4.0 * 0.04 + 2.0 * 298.15 * 2e-4, 1e-13);
}

/// Reference: the sum of the charge in whole milliampere-seconds, exact in integers, over 1000 h.
#[test]
fn charge_is_conserved_over_1000_h() {
    let mut c = cell(flat(&[]));
    let mut milliampere_seconds = 0_i64;
    for k in 0..3_600_000_i64 {
        let milliampere = (k * 7919) % 4001 - 2000;
        milliampere_seconds += milliampere;
        c.set_current(milliampere as f64 / 1000.0).unwrap();
        c.advance(1.0).unwrap();
    }
    close(c.soc(), 0.5 - milliampere_seconds as f64 / 1000.0 / 7200.0, 1e-14);
}

/// Reference: charge in over charge out equals the coulombic efficiency.
#[test]
fn coulombic_efficiency_acts_on_charge_alone() {
    let mut p = flat(&[]);
    p.coulombic_efficiency = 0.99;
    let mut c = cell(p);
    run(&mut c, &[(720.0, -2.0), (720.0, 2.0)]); // 0.4 Ah each way
    close(c.soc(), 0.5 + 0.2 * 0.99 - 0.2, 1e-14);
}

/// Reference: the same plant under a step cut differently: exactly equal physics where nothing depends on SOC or
/// temperature, equal within the integration error (a few microvolts and a fraction of a millikelvin) for the full cells.
#[test]
fn splitting_a_step_changes_nothing() {
    let mut p = flat(&[(0.02, 12.0), (0.01, 300.0)]);
    (p.hysteresis_gamma, p.hysteresis_v) = (30.0, Table1::constant(0.02).unwrap());
    let (nmc, lfp) = (EcmParameters::generic_nmc_5ah(), EcmParameters::generic_lfp_2ah3());
    for (parameters, volt) in [(p, 1e-12), (nmc, 5e-6), (lfp, 5e-6)] {
        let current = parameters.capacity_ah;
        let [mut whole, mut tenths, mut fine] =
            [cell(parameters.clone()), cell(parameters.clone()), cell(parameters)];
        run(&mut whole, &[(600.0, current)]);
        (0..10).for_each(|_| run(&mut tenths, &[(31.0, current), (29.0, current)]));
        (0..6000).for_each(|_| run(&mut fine, &[(0.1, current)]));
        for other in [tenths, fine] {
            close(whole.soc(), other.soc(), 1e-14);
            close(whole.hysteresis_state(), other.hysteresis_state(), 1e-12);
            close(whole.voltage_v(), other.voltage_v(), volt);
            let [a, b] = [&whole, &other].map(|c| c.core_temperature_c());
            close(a, b, 5e-4);
        }
    }
}

/// Reference: first law. Heat released = heat stored in the nodes + heat given to the surroundings, and open-circuit
/// energy = terminal energy + irreversible heat; all integrals by the trapezoidal rule over steps of 0.1 s.
#[test]
fn energy_balance_closes() {
    let p = EcmParameters::generic_nmc_5ah();
    let thermal = p.thermal;
    let mut c = cell(p.clone());
    c.set_ambient_c(15.0).unwrap();
    let (mut heat, mut given, mut chemical, mut terminal, mut reversible) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let powers = |c: &EcmCell| {
        let current = c.current_a();
        let entropic = p.entropic_v_per_k.at(c.soc()) * (c.core_temperature_c() + 273.15);
        let to_ambient = thermal.surface_ambient_w_per_k * (c.surface_temperature_c() - 15.0);
        let [u, v] = [c.open_circuit_voltage_v(), c.voltage_v()];
        [c.heat_w(), to_ambient, current * u, current * v, -current * entropic]
    };
    for current in [10.0, 0.0, -5.0, 15.0, -2.0] {
        c.set_current(current).unwrap();
        for _ in 0..3000 {
            let before = powers(&c);
            c.advance(0.1).unwrap();
            let after = powers(&c);
            for (k, sum) in
                [&mut heat, &mut given, &mut chemical, &mut terminal, &mut reversible].into_iter().enumerate()
            {
                *sum += 0.05 * (before[k] + after[k]);
            }
        }
    }
    let stored = thermal.core_j_per_k * (c.core_temperature_c() - 25.0)
        + thermal.surface_j_per_k * (c.surface_temperature_c() - 25.0);
    assert!(heat > 1000.0, "the run should warm the cell, gave {heat} J");
    close(stored + given, heat, 1e-7 * heat);
    close(chemical, terminal + heat - reversible, 1e-9 * chemical.abs());
}
