//! Instructions of one filter step, ours and hand-written C (`peers/filter.c`), on the same inputs: `peers RECORDING`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this runs on the board only");
}

#[cfg(target_os = "none")]
mod on_board {
    use bms_core::ud::{N, UdCovariance};
    use firmware::board::{self, Counter};
    use firmware::record::{HEADER_LEN, LEN, Record, header, sample};

    /// Open-circuit voltage over SOC in steps of 5 %, an NMC cell at 25 degC.
    static OCV: [f32; 21] = [
        3.000, 3.245, 3.380, 3.455, 3.508, 3.545, 3.575, 3.598, 3.620, 3.643, 3.668, 3.700, 3.742, 3.790,
        3.838, 3.885, 3.935, 3.990, 4.045, 4.105, 4.180,
    ];
    const CAPACITY_AH: f32 = 5.0;
    const R0: f32 = 0.030;

    /// Parameters of four states, as in C.
    #[repr(C)]
    struct Parameters4 {
        k: f32,
        a1: f32,
        b1: f32,
        a2: f32,
        b2: f32,
        r: f32,
        q: [f32; 4],
        ocv: *const f32,
    }

    /// Four states: SOC, v1, v2, R0.
    #[repr(C)]
    #[derive(Clone)]
    struct Hand4 {
        x: [f32; 4],
        p: [f32; 10],
    }

    /// Parameters of seven states, as in C.
    #[repr(C)]
    struct Parameters7 {
        decay: [f32; N],
        coupling: [f32; 3],
        noise: [f32; N],
        r: f32,
        k: f32,
        b1: f32,
        b2: f32,
        capacity: f32,
        r0: f32,
        m: f32,
        share: f32,
        ocv: *const f32,
    }

    /// C: seven states and 28 elements of the covariance.
    #[repr(C)]
    #[derive(Clone)]
    struct Plain7 {
        x: [f32; N],
        p: [f32; 28],
    }

    /// C: seven states and the covariance's factors.
    #[repr(C)]
    #[derive(Clone)]
    struct Ud7 {
        x: [f32; N],
        u: [f32; 21],
        d: [f32; N],
    }

    /// Ours.
    #[derive(Clone)]
    struct Ours7 {
        x: [f32; N],
        covariance: UdCovariance,
    }

    unsafe extern "C" {
        fn hand4_step_fused(e: *mut Hand4, m: *const Parameters4, i: f32, v: f32);
        fn hand4_step_plain(e: *mut Hand4, m: *const Parameters4, i: f32, v: f32);
        fn plain7_step_fused(e: *mut Plain7, m: *const Parameters7, i: f32, v: f32);
        fn plain7_step_plain(e: *mut Plain7, m: *const Parameters7, i: f32, v: f32);
        fn ud7_step_fused(e: *mut Ud7, m: *const Parameters7, i: f32, v: f32);
        fn ud7_step_plain(e: *mut Ud7, m: *const Parameters7, i: f32, v: f32);
    }

    const A1: f32 = 0.935_507;
    const A2: f32 = 0.994_459_87;
    const K: f32 = 1.0 / (3600.0 * CAPACITY_AH);
    const FOUR: Parameters4 = Parameters4 {
        k: K,
        a1: A1,
        b1: 0.012 * (1.0 - A1),
        a2: A2,
        b2: 0.020 * (1.0 - A2),
        r: 4e-6,
        q: [1e-10, 1e-8, 1e-8, 1e-12],
        ocv: OCV.as_ptr(),
    };
    const SEVEN: Parameters7 = Parameters7 {
        decay: [1.0, A1, A2, 0.999, 0.9995, 0.9999, 1.0],
        coupling: [1.0 / 3600.0, -(1.0 - A1) * 0.012 * CAPACITY_AH, -(1.0 - A2) * 0.020 * CAPACITY_AH],
        noise: [1e-10, 1e-8, 1e-8, 1e-5, 1e-8, 1e-9, 1e-12],
        r: 4e-4,
        k: K,
        b1: FOUR.b1,
        b2: FOUR.b2,
        capacity: CAPACITY_AH,
        r0: R0,
        m: 0.006,
        share: 0.5,
        ocv: OCV.as_ptr(),
    };
    const VARIANCES: [f32; N] = [0.04, 4e-6, 2.5e-5, 0.36, 1e-4, 0.04, 1e-6];

    #[inline(always)]
    fn ocv(soc: f32) -> (f32, f32) {
        let s = (soc * 20.0).max(0.0).min(19.999);
        let j = s as usize;
        match OCV.get(j..) {
            Some([lo, hi, ..]) => {
                let step = hi - lo;
                (lo + (s - j as f32) * step, step * 20.0)
            }
            _ => (0.0, 0.0),
        }
    }

    fn hand4(e: &mut Hand4, m: &Parameters4, i: f32, v: f32) {
        let [x0, x1, x2, r0] = e.x;
        let [q00, q01, q02, q03, q11, q12, q13, q22, q23, q33] = e.p;
        let (a1, a2) = (m.a1, m.a2);
        let (soc, v1, v2) = (x0 - m.k * i, a1 * x1 + m.b1 * i, a2 * x2 + m.b2 * i);
        let (p00, p01, p02, p03) = (q00 + m.q[0], q01 * a1, q02 * a2, q03);
        let (p11, p12, p13) = (q11 * a1 * a1 + m.q[1], q12 * a1 * a2, q13 * a1);
        let (p22, p23, p33) = (q22 * a2 * a2 + m.q[2], q23 * a2, q33 + m.q[3]);
        let (u, d) = ocv(soc);
        let er = v - (u - v1 - v2 - r0 * i);
        let (h0, h1) = (p00 * d - p01 - p02 - p03 * i, p01 * d - p11 - p12 - p13 * i);
        let (h2, h3) = (p02 * d - p12 - p22 - p23 * i, p03 * d - p13 - p23 - p33 * i);
        let g = 1.0 / (h0 * d - h1 - h2 - h3 * i + m.r);
        let (k0, k1, k2, k3) = (h0 * g, h1 * g, h2 * g, h3 * g);
        e.x = [soc + k0 * er, v1 + k1 * er, v2 + k2 * er, r0 + k3 * er];
        e.p = [
            p00 - k0 * h0,
            p01 - k0 * h1,
            p02 - k0 * h2,
            p03 - k0 * h3,
            p11 - k1 * h1,
            p12 - k1 * h2,
            p13 - k1 * h3,
            p22 - k2 * h2,
            p23 - k2 * h3,
            p33 - k3 * h3,
        ];
    }

    fn ours7(e: &mut Ours7, m: &Parameters7, i: f32, v: f32) {
        let [soc, v1, v2, hys, err, res, bias] = e.x;
        let [_, a1, a2, ah, ae, ar, _] = m.decay;
        let a = i - bias * m.capacity;
        let (soc, v1, v2) = (soc - m.k * a, a1 * v1 + m.b1 * a, a2 * v2 + m.b2 * a);
        let hys = ah * hys + if a > 0.0 { ah - 1.0 } else { 1.0 - ah };
        let (err, res) = (ae * err, ar * res);
        let (u, slope) = ocv(soc);
        let (drop, scale) = (m.r0 * a + v1 + v2, 1.0 + res);
        let h = [slope, -scale, -scale, m.m, 1.0, -drop, m.share * scale * m.r0 * m.capacity];
        let innovation = v - (u + m.m * hys + err - scale * drop);
        let [c0, c1, c2] = m.coupling;
        e.covariance.propagate(&m.decay, &[c0, c1, c2, 0.0, 0.0, 0.0, 0.0]);
        let [q0, q1, q2, q3, q4, q5, q6] = m.noise;
        // One by one, as `bms_core::soc` does.
        e.covariance.add_noise(0, q0);
        e.covariance.add_noise(1, q1);
        e.covariance.add_noise(2, q2);
        e.covariance.add_noise(3, q3);
        e.covariance.add_noise(4, q4);
        e.covariance.add_noise(5, q5);
        e.covariance.add_noise(6, q6);
        let gain = e.covariance.update(&h, m.r);
        e.x = [soc, v1, v2, hys, err, res, bias];
        for (x, k) in e.x.iter_mut().zip(gain) {
            *x += k * innovation;
        }
    }

    fn measure<E: Clone>(
        name: &str,
        recording: &[u8],
        mut filter: E,
        step: fn(&mut E, f32, f32),
        soc: fn(&E) -> f32,
    ) -> f32 {
        let file = board::File::open(recording);
        let Some((count, _)) = header(&file.read::<HEADER_LEN>()) else { board::fail("not a recording") };
        let mut next: (E, f32, f32) = (filter.clone(), 0.0, 0.0);
        let counter = Counter::new(&mut next);
        let mut sum = 0u64;
        let count = count.min(4000);
        for _ in 0..count {
            let Record { current_a, voltage_v, .. } = sample(&file.read::<LEN>());
            next = (filter.clone(), current_a, voltage_v);
            sum += u64::from(counter.count(&mut next, |(e, i, v)| step(e, *i, *v)));
            filter = next.0.clone();
        }
        board::print(name);
        board::print(" ");
        board::print_number((sum / u64::from(count.max(1))) as u32);
        board::print("\n");
        soc(&filter)
    }

    #[cortex_m_rt::entry]
    fn main() -> ! {
        let arguments = board::Arguments::get();
        let [r, _] = arguments.two();
        let four =
            Hand4 { x: [0.9, 0.0, 0.0, 0.04], p: [0.04, 0.0, 0.0, 0.0, 1e-4, 0.0, 0.0, 1e-4, 0.0, 1e-4] };
        let x = [0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut plain = Plain7 { x, p: [0.0; 28] };
        for (k, v) in VARIANCES.iter().enumerate() {
            plain.p.iter_mut().skip(k * (k + 3) / 2).take(1).for_each(|p| *p = *v);
        }
        let ud = Ud7 { x, u: [0.0; 21], d: VARIANCES };
        let ours = Ours7 { x, covariance: UdCovariance::diagonal(VARIANCES) };
        // SAFETY (all): the C functions read and write what they are given, of the same layout.
        let four_socs = [
            measure(
                "c_hand4_fused",
                r,
                four.clone(),
                |e, i, v| unsafe { hand4_step_fused(e, &FOUR, i, v) },
                |e| e.x[0],
            ),
            measure(
                "c_hand4",
                r,
                four.clone(),
                |e, i, v| unsafe { hand4_step_plain(e, &FOUR, i, v) },
                |e| e.x[0],
            ),
            measure("rust_hand4", r, four, |e, i, v| hand4(e, &FOUR, i, v), |e| e.x[0]),
        ];
        let seven_socs = [
            measure(
                "c_plain7_fused",
                r,
                plain.clone(),
                |e, i, v| unsafe { plain7_step_fused(e, &SEVEN, i, v) },
                |e| e.x[0],
            ),
            measure(
                "c_plain7",
                r,
                plain,
                |e, i, v| unsafe { plain7_step_plain(e, &SEVEN, i, v) },
                |e| e.x[0],
            ),
            measure(
                "c_ud7_fused",
                r,
                ud.clone(),
                |e, i, v| unsafe { ud7_step_fused(e, &SEVEN, i, v) },
                |e| e.x[0],
            ),
            measure("c_ud7", r, ud, |e, i, v| unsafe { ud7_step_plain(e, &SEVEN, i, v) }, |e| e.x[0]),
            measure("rust_ud7", r, ours, |e, i, v| ours7(e, &SEVEN, i, v), |e| e.x[0]),
        ];
        for socs in [&four_socs[..], &seven_socs[..]] {
            for soc in socs {
                let first = socs.first().copied().unwrap_or(f32::NAN);
                if !((soc - first).abs() < 1e-3) {
                    board::fail("the filters do not agree");
                }
            }
        }
        board::exit(true)
    }
}
