//! Resistances and time constants from pulse tests, by separable least squares.
//!
//! For given time constants the model voltage is linear in every entry of the resistance tables, because each RC
//! voltage is the sum of responses to `φ(z, T) i`, one for each node of the table. The inner problem is therefore a
//! linear least-squares problem over whole runs (pulses, discharges between them, relaxation), regularised to be
//! smooth along SOC and bounded below by zero; only the time constants and the current scale of the charge transfer are
//! found by Levenberg-Marquardt (Golub and Pereyra 1973, "The differentiation of pseudo-inverses and nonlinear least
//! squares problems whose variables separate").

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, Owned};

/// Columns of the resistance tables: SOC 0..=1 in steps of 5 %.
pub const CIRCUIT_COLUMNS: usize = 21;

/// Kinds of linear unknowns.
const KINDS: usize = 5;
const DELTA: usize = 0;
const R0: usize = 1;
const RCT: usize = 2;
const R1: usize = 3;
const R2: usize = 4;

/// One run prepared for the fit.
#[derive(Debug, Clone, Default)]
pub struct FitRun {
    /// Where it comes from.
    pub source: String,
    /// Nominal temperature in degC.
    pub temperature_c: f64,
    /// Step to each sample in s.
    pub dt_s: Vec<f64>,
    /// Mean current over the step in A, positive on discharge.
    pub mean_a: Vec<f64>,
    /// Current at the sample in A.
    pub current_a: Vec<f64>,
    /// SOC at the sample.
    pub soc: Vec<f64>,
    /// Temperature at the sample in degC.
    pub cell_c: Vec<f64>,
    /// Open-circuit voltage with hysteresis minus measured voltage, in V: what the circuit has to explain.
    pub drop_v: Vec<f64>,
    /// Weight of the squared residual.
    pub weight: Vec<f64>,
    /// True where the record has a gap and the RC pairs are taken as settled.
    pub gap: Vec<bool>,
}

/// The nonlinear part at one temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Fast time constant in s.
    pub tau1_s: f64,
    /// Slow time constant in s.
    pub tau2_s: f64,
    /// Current scale of the charge transfer in A; `None` leaves that term out.
    pub i_ct_a: Option<f64>,
}

/// Nodes of the tables.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// Temperatures in degC, ascending.
    pub temperature_c: Vec<f64>,
    /// Nonlinear part at each temperature.
    pub shape: Vec<Shape>,
}

/// The linear unknowns, found.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Correction of the open-circuit voltage in V per temperature and column.
    pub delta_v: Vec<Vec<f64>>,
    /// R0, Rct, R1, R2 in ohm per temperature and column.
    pub r_ohm: [Vec<Vec<f64>>; 4],
}

/// Strength of the regularisation.
#[derive(Debug, Clone, Copy)]
pub struct Smoothing {
    /// Typical current in A, which makes ohms comparable with volts.
    pub typical_a: f64,
    /// Weight of the second difference of the resistances along SOC.
    pub resistance: f64,
    /// Weight of the second difference of the open-circuit correction along SOC.
    pub delta: f64,
    /// Weight that pulls the open-circuit correction to zero.
    pub delta_ridge: f64,
}

impl Nodes {
    fn bracket(&self, t: f64) -> (usize, f64) {
        let n = self.temperature_c.len();
        if n == 1 {
            return (0, 0.0);
        }
        let k = self.temperature_c.partition_point(|&x| x <= t).clamp(1, n - 1) - 1;
        let (a, b) = (self.temperature_c[k], self.temperature_c[k + 1]);
        (k, ((t - a) / (b - a)).clamp(0.0, 1.0))
    }

    fn shape_at(&self, t: f64) -> Shape {
        let (k, f) = self.bracket(t);
        let a = self.shape[k];
        let Some(b) = self.shape.get(k + 1).filter(|_| f > 0.0) else { return a };
        let mix = |x: f64, y: f64| (x.ln() * (1.0 - f) + y.ln() * f).exp();
        let i_ct_a = match (a.i_ct_a, b.i_ct_a) {
            (Some(x), Some(y)) => Some(mix(x, y)),
            (x, y) => x.or(y),
        };
        Shape { tau1_s: mix(a.tau1_s, b.tau1_s), tau2_s: mix(a.tau2_s, b.tau2_s), i_ct_a }
    }

    fn unknowns(&self) -> usize {
        KINDS * self.temperature_c.len() * CIRCUIT_COLUMNS
    }

    fn index(&self, kind: usize, t: usize, s: usize) -> usize {
        (kind * self.temperature_c.len() + t) * CIRCUIT_COLUMNS + s
    }

    /// The up to four nodes around a point, with their weights.
    pub(super) fn around(&self, t: f64, soc: f64) -> [(usize, f64); 4] {
        let x = (soc.clamp(0.0, 1.0)) * (CIRCUIT_COLUMNS - 1) as f64;
        let s = (x as usize).min(CIRCUIT_COLUMNS - 2);
        let fs = x - s as f64;
        let (k, ft) = self.bracket(t);
        let base = k * CIRCUIT_COLUMNS + s;
        let up = if ft > 0.0 { base + CIRCUIT_COLUMNS } else { base };
        [
            (base, (1.0 - ft) * (1.0 - fs)),
            (base + 1, (1.0 - ft) * fs),
            (up, ft * (1.0 - fs)),
            (up + 1, ft * fs),
        ]
    }
}

/// Calls `row(run, sample, sparse row of A)` for every sample, in order.
fn for_each_row(nodes: &Nodes, runs: &[FitRun], mut row: impl FnMut(&FitRun, usize, &[(usize, f64)])) {
    let block = nodes.temperature_c.len() * CIRCUIT_COLUMNS;
    for run in runs {
        let mut x1 = vec![0.0; block];
        let mut x2 = vec![0.0; block];
        let mut active: Vec<usize> = Vec::with_capacity(block);
        let mut entries: Vec<(usize, f64)> = Vec::with_capacity(64);
        for k in 0..run.dt_s.len() {
            let shape = nodes.shape_at(run.cell_c[k]);
            let around = nodes.around(run.cell_c[k], run.soc[k]);
            if run.gap[k] {
                for &n in &active {
                    x1[n] = 0.0;
                    x2[n] = 0.0;
                }
                active.clear();
            } else {
                let (a1, a2) = ((-run.dt_s[k] / shape.tau1_s).exp(), (-run.dt_s[k] / shape.tau2_s).exp());
                active.retain(|&n| {
                    x1[n] *= a1;
                    x2[n] *= a2;
                    x2[n].abs() > 1e-7 || x1[n].abs() > 1e-7
                });
                let i = run.mean_a[k];
                if i != 0.0 {
                    for (n, w) in around {
                        if w > 0.0 {
                            x1[n] += (1.0 - a1) * w * i;
                            x2[n] += (1.0 - a2) * w * i;
                            if !active.contains(&n) {
                                active.push(n);
                            }
                        }
                    }
                }
            }
            if run.weight[k] <= 0.0 {
                continue;
            }
            entries.clear();
            let i = run.current_a[k];
            for (n, w) in around {
                if w == 0.0 {
                    continue;
                }
                entries.push((DELTA * block + n, -w));
                if i != 0.0 {
                    entries.push((R0 * block + n, w * i));
                    if let Some(scale) = shape.i_ct_a {
                        entries.push((RCT * block + n, w * scale * (i / scale).asinh()));
                    }
                }
            }
            for &n in &active {
                if x1[n].abs() > 1e-7 {
                    entries.push((R1 * block + n, x1[n]));
                }
                if x2[n].abs() > 1e-7 {
                    entries.push((R2 * block + n, x2[n]));
                }
            }
            row(run, k, &entries);
        }
    }
}

/// Solves the linear problem; `None` if nothing determines it.
///
/// Where the active set has not settled after eight passes, the last solution counts, without its negative entries.
fn solve(nodes: &Nodes, runs: &[FitRun], smoothing: &Smoothing) -> Option<DVector<f64>> {
    let n = nodes.unknowns();
    let mut ata = DMatrix::<f64>::zeros(n, n);
    let mut atb = DVector::<f64>::zeros(n);
    for_each_row(nodes, runs, |run, k, entries| {
        let w = run.weight[k];
        let y = run.drop_v[k];
        for (p, &(a, va)) in entries.iter().enumerate() {
            atb[a] += w * va * y;
            for &(b, vb) in &entries[p..] {
                let (lo, hi) = if a <= b { (a, b) } else { (b, a) };
                ata[(hi, lo)] += w * va * vb;
            }
        }
    });
    regularise(nodes, smoothing, &mut ata);
    // Active set: what would be negative is held at zero.
    let mut held = vec![false; n];
    let block = nodes.temperature_c.len() * CIRCUIT_COLUMNS;
    let mut last = None;
    for _ in 0..8 {
        let mut lhs = ata.clone();
        for (k, &h) in held.iter().enumerate() {
            if h {
                lhs[(k, k)] += 1e9;
            }
        }
        let x = lhs.cholesky()?.solve(&atb);
        let mut more = false;
        for k in block..n {
            if x[k] < -1e-9 && !held[k] {
                held[k] = true;
                more = true;
            }
        }
        last = Some(x.map_with_location(|k, _, v| if k >= block { v.max(0.0) } else { v }));
        if !more {
            break;
        }
    }
    last
}

fn regularise(nodes: &Nodes, smoothing: &Smoothing, ata: &mut DMatrix<f64>) {
    let i2 = smoothing.typical_a * smoothing.typical_a;
    let mut add = |terms: &[(usize, f64)], w: f64| {
        for &(a, va) in terms {
            for &(b, vb) in terms {
                if a >= b {
                    ata[(a, b)] += w * va * vb;
                }
            }
        }
    };
    for kind in 0..KINDS {
        for t in 0..nodes.temperature_c.len() {
            let (second, first, level) = if kind == DELTA {
                (smoothing.delta, smoothing.delta * 0.05, smoothing.delta_ridge)
            } else {
                (
                    smoothing.resistance * i2,
                    smoothing.resistance * 0.1 * i2,
                    if kind == R2 { 1e-6 * i2 } else { 1e-9 * i2 },
                )
            };
            for s in 0..CIRCUIT_COLUMNS {
                let at = |d: usize| nodes.index(kind, t, s + d);
                add(&[(at(0), 1.0)], level + 1e-12);
                if s + 1 < CIRCUIT_COLUMNS {
                    add(&[(at(0), -1.0), (at(1), 1.0)], first);
                }
                if s + 2 < CIRCUIT_COLUMNS {
                    add(&[(at(0), 1.0), (at(1), -2.0), (at(2), 1.0)], second);
                }
            }
        }
    }
}

/// Solves for the tables with all time constants given.
///
/// Returns `None` if the data determine nothing (no usable sample).
#[must_use]
pub fn fit_tables(nodes: &Nodes, runs: &[FitRun], smoothing: &Smoothing) -> Option<Tables> {
    let x = solve(nodes, runs, smoothing)?;
    let table = |kind: usize| -> Vec<Vec<f64>> {
        (0..nodes.temperature_c.len())
            .map(|t| (0..CIRCUIT_COLUMNS).map(|s| x[nodes.index(kind, t, s)]).collect())
            .collect()
    };
    Some(Tables { delta_v: table(DELTA), r_ohm: [table(R0), table(RCT), table(R1), table(R2)] })
}

/// Measured minus modelled voltage of every sample of any runs (zero where the weight is zero), under given tables.
#[must_use]
pub fn unexplained(nodes: &Nodes, runs: &[FitRun], tables: &Tables) -> Vec<Vec<f64>> {
    let kinds = std::iter::once(&tables.delta_v).chain(&tables.r_ohm);
    let x = DVector::from_iterator(nodes.unknowns(), kinds.flatten().flatten().copied());
    residuals(nodes, runs, &x)
}

/// Measured minus modelled voltage of every sample (zero where the weight is zero).
fn residuals(nodes: &Nodes, runs: &[FitRun], x: &DVector<f64>) -> Vec<Vec<f64>> {
    let mut out: Vec<Vec<f64>> = runs.iter().map(|r| vec![0.0; r.dt_s.len()]).collect();
    let mut which = 0;
    for_each_row(nodes, runs, |run, k, entries| {
        while !std::ptr::eq(run, &raw const runs[which]) {
            which += 1;
        }
        let drop: f64 = entries.iter().map(|&(n, v)| v * x[n]).sum();
        out[which][k] = drop - run.drop_v[k];
    });
    out
}

/// Range of the nonlinear parameters.
const TAU1_RANGE: (f64, f64) = (3.0, 90.0);
const TAU2_RANGE: (f64, f64) = (80.0, 4000.0);
/// Current scale of the charge transfer in C.
const I_CT_RANGE: (f64, f64) = (0.05, 6.0);

/// The time constants of a shape that lie at an end of their range, in words; `None` if all are well inside.
#[must_use]
pub fn at_bound(shape: &Shape) -> Option<String> {
    let at = |name: &str, tau: f64, range: (f64, f64)| {
        let near = tau < 1.02 * range.0 || tau > 0.98 * range.1;
        near.then(|| format!("{name} = {tau:.1} s at the end of its range of {} to {} s", range.0, range.1))
    };
    let found =
        [at("tau1", shape.tau1_s, TAU1_RANGE), at("tau2", shape.tau2_s, TAU2_RANGE)].into_iter().flatten();
    let words = found.collect::<Vec<_>>().join(", ");
    (!words.is_empty()).then_some(words)
}

struct ShapeProblem<'a> {
    temperature_c: f64,
    runs: &'a [FitRun],
    smoothing: Smoothing,
    capacity_ah: f64,
    with_ct: bool,
    p: DVector<f64>,
}

fn from_unbounded(p: f64, range: (f64, f64)) -> f64 {
    let f = 1.0 / (1.0 + (-p).exp());
    (range.0.ln() + (range.1.ln() - range.0.ln()) * f).exp()
}

impl ShapeProblem<'_> {
    fn shape(&self, p: &DVector<f64>) -> Shape {
        Shape {
            tau1_s: from_unbounded(p[0], TAU1_RANGE),
            tau2_s: from_unbounded(p[1], TAU2_RANGE),
            i_ct_a: self.with_ct.then(|| from_unbounded(p[2], I_CT_RANGE) * self.capacity_ah),
        }
    }

    fn weighted_residuals(&self, p: &DVector<f64>) -> Option<DVector<f64>> {
        let nodes = Nodes { temperature_c: vec![self.temperature_c], shape: vec![self.shape(p)] };
        let x = solve(&nodes, self.runs, &self.smoothing)?;
        let r = residuals(&nodes, self.runs, &x);
        let weighted = self.runs.iter().zip(&r).flat_map(|(run, r)| {
            run.weight.iter().zip(r).filter(|(w, _)| **w > 0.0).map(|(w, r)| w.sqrt() * r)
        });
        Some(DVector::from_iterator(
            self.runs.iter().map(|r| r.weight.iter().filter(|w| **w > 0.0).count()).sum(),
            weighted,
        ))
    }
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for ShapeProblem<'_> {
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;
    type ParameterStorage = Owned<f64, Dyn>;

    fn set_params(&mut self, p: &DVector<f64>) {
        self.p.copy_from(p);
    }

    fn params(&self) -> DVector<f64> {
        self.p.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        self.weighted_residuals(&self.p)
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let r0 = self.weighted_residuals(&self.p)?;
        let step = 0.05;
        let mut jacobian = DMatrix::zeros(r0.len(), self.p.len());
        for k in 0..self.p.len() {
            let mut p = self.p.clone();
            p[k] += step;
            jacobian.set_column(k, &((self.weighted_residuals(&p)? - &r0) / step));
        }
        Some(jacobian)
    }
}

/// Finds time constants (and the current scale of the charge transfer, where it explains the pulses clearly better) at
/// one temperature. Returns the shape and the weighted residual sum of squares.
///
/// With `curved_always`, the charge transfer is fitted even where it explains little: between a temperature with it and one
/// without, neither its resistance nor the ohmic one can be interpolated.
#[must_use]
pub fn fit_shape(
    temperature_c: f64,
    runs: &[FitRun],
    smoothing: &Smoothing,
    capacity_ah: f64,
    curved_always: bool,
) -> Option<(Shape, f64)> {
    let attempt = |with_ct: bool, start: &[f64]| {
        let problem = ShapeProblem {
            temperature_c,
            runs,
            smoothing: *smoothing,
            capacity_ah,
            with_ct,
            p: DVector::from_row_slice(start),
        };
        let (problem, report) = LevenbergMarquardt::new()
            .with_ftol(1e-4)
            .with_xtol(1e-3)
            .with_gtol(1e-8)
            .with_patience(6)
            .minimize(problem);
        (problem.shape(&problem.p), report.objective_function)
    };
    let (linear, cost) = attempt(false, &[0.0, 0.0]);
    let (curved, cost_ct) = attempt(true, &[0.0, 0.0, 0.0]);
    let best = if curved_always || cost_ct < 0.9 * cost { (curved, cost_ct) } else { (linear, cost) };
    best.1.is_finite().then_some(best)
}
