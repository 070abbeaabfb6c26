//! What a laboratory finds out about a cell beside its electrical circuit: heat, and the negative electrode.

use bms_core::predict::SURFACE_S;
use cell_models::physics::SpmeCell;
use cell_models::{Plant as _, PlantError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cell_file::CellFile;
use crate::data::Run;
use crate::identify::ocv;
use crate::identify::plan::{Plan, PulseTest};
use crate::identify::{IdentifyError, identify};

/// The three-electrode cell is written down as this much less the negative electrode's potential, in V.
pub const REFERENCE_V: f64 = 2.0;

/// What a reference electrode in the cell would have shown during a test: the test's run with [`REFERENCE_V`] less the
/// potential of the negative electrode as its voltage.
///
/// `cell` is the cell that the test began with, full and rested at 25 degC.
///
/// # Errors
/// The plant's own.
pub fn three_electrode(cell: &SpmeCell, run: &Run) -> Result<Run, PlantError> {
    let mut cell = cell.clone();
    let mut out = run.clone();
    for k in 0..run.len() {
        if let Some(ambient_c) = run.ambient_c.as_ref().and_then(|a| a.get(k)) {
            cell.set_ambient_c(*ambient_c)?;
        }
        cell.set_current(run.current_a[k])?;
        cell.advance(run.dt_s(k))?;
        out.voltage_v[k] = REFERENCE_V - cell.anode_potential_v().unwrap_or(REFERENCE_V);
    }
    // Graphite is flat where the cell is full: the start is marked so that it is taken for full.
    if let Some(first) = out.voltage_v.first_mut() {
        *first = REFERENCE_V;
    }
    Ok(out)
}

/// The plan of the negative electrode: that of the cell with three-electrode runs in place of its runs.
///
/// # Errors
/// The plant's own.
pub fn negative_plan(plan: &Plan, cell: &SpmeCell) -> Result<Plan, PlantError> {
    let seen = |run: &Run| three_electrode(cell, run);
    let mut out = plan.clone();
    out.name = format!("{}, negative electrode", plan.name);
    out.voltage_limits_v = Some([0.2, REFERENCE_V]);
    for test in &mut out.ocv {
        test.runs = test.runs.iter().map(seen).collect::<Result<_, _>>()?;
    }
    for test in out.pulses.iter_mut().chain(&mut out.discharges) {
        *test = PulseTest { temperature_c: test.temperature_c, run: seen(&test.run)? };
    }
    Ok(out)
}

/// Heat capacity in J/K and conductance to the surroundings in W/K from full discharges: least squares of
/// `C ΔT = ∫ i (OCV - v) dt - G ∫ (T - T_ambient) dt` over all samples.
///
/// `None` when the discharges do not warm the cell.
#[must_use]
pub fn heat(plan: &Plan, cell: &CellFile) -> Option<[f64; 2]> {
    let t25 = cell.tables.temperature_c.iter().position(|t| *t >= 24.9)?;
    let open = cell.tables.ocv_v.get(t25)?;
    // Normal equations of q = C x + G y.
    let (mut xx, mut xy, mut yy, mut xq, mut yq) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for test in &plan.discharges {
        let run = &test.run;
        let (Some(cell_c), Some(ambient_c)) = (&run.temperature_c, &run.ambient_c) else { continue };
        let Some(start) = (0..run.len()).find(|&k| run.current_a[k] > 0.01 * cell.cell.capacity_ah) else {
            continue;
        };
        let removed = run.discharged_ah();
        let (mut q, mut y) = (0.0, 0.0);
        for k in start..run.len() {
            let dt = run.dt_s(k);
            let soc = 1.0 - removed[k] / cell.cell.capacity_ah;
            q += run.current_a[k] * (ocv::at(open, soc) - run.voltage_v[k]) * dt;
            y += (cell_c[k] - ambient_c[k]) * dt;
            let x = cell_c[k] - cell_c[start];
            (xx, xy, yy, xq, yq) =
                (xx + x * x * dt, xy + x * y * dt, yy + y * y * dt, xq + x * q * dt, yq + y * q * dt);
        }
    }
    let determinant = xx * yy - xy * xy;
    let found = [(xq * yy - yq * xy) / determinant, (yq * xx - xq * xy) / determinant];
    (found[0] > 0.0 && found[1].is_finite()).then_some([found[0], found[1].max(0.0)])
}

/// Columns of the negative electrode's potential over its coordinate -0.1..=1.1.
const NEGATIVE_COLUMNS: usize = 121;
/// Gains of a surface that are tried at 25 degC, in SOC per (1/h √s): from none to what a coarse graphite has.
const GAINS: [f64; 6] = [0.0, 0.001, 0.002, 0.004, 0.007, 0.011];
/// Elsewhere they are tried as multiples of the gain at the next temperature: diffusion slows down in the cold.
const COLDER: [f64; 5] = [1.0, 1.3, 1.7, 2.2, 2.8];

/// A cell file together with its surfaces: what predictions of power work with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseFile {
    /// Temperatures in degC.
    pub temperature_c: Vec<f32>,
    /// Gains of the positive and the negative electrode (`bms_core::predict::Surface`).
    pub gain: Vec<[f32; 2]>,
    /// What is left beside the surfaces.
    pub file: CellFile,
}

/// The pulse tables of a cell and of its negative electrode, from the same tests and the same with a reference electrode.
///
/// The gains are searched, at each temperature apart, for what leaves the pulses explained best.
///
/// # Errors
/// If one of the two cannot be identified.
pub fn pulse_files(plan: &Plan, negative: &Plan) -> Result<[PulseFile; 2], IdentifyError> {
    let (cell, electrode) = (identify(plan)?, identify(negative)?);
    let own = Curves { open: at_25(&electrode).to_vec(), negative: vec![0.0; 2] };
    let temperatures = temperatures(plan);
    let capacity_ah = cell.cell.capacity_ah;
    let of_electrode = gains(negative, &own, &temperatures, capacity_ah, |_, g| [g, 0.0]);
    let both = Curves { open: at_25(&cell).to_vec(), negative: negative_v(&electrode) };
    let of_cell = gains(plan, &both, &temperatures, capacity_ah, |t, g| [g, of_electrode.at(t)[0]]);
    Ok([both.fit(plan, capacity_ah, &of_cell)?, own.fit(negative, capacity_ah, &of_electrode)?])
}

fn temperatures(plan: &Plan) -> Vec<f64> {
    let mut out: Vec<f64> = plan.pulses.iter().map(|p| p.temperature_c).collect();
    out.sort_by(f64::total_cmp);
    out.dedup();
    out
}

/// Gains over temperature (degC, ascending).
#[derive(Debug, Clone, Default)]
struct Gains(Vec<(f64, [f64; 2])>);

impl Gains {
    fn at(&self, t: f64) -> [f64; 2] {
        let above = self.0.partition_point(|(x, _)| *x < t);
        match (above.checked_sub(1).and_then(|k| self.0.get(k)), self.0.get(above)) {
            (Some((t0, a)), Some((t1, b))) => {
                let w = (t - t0) / (t1 - t0);
                [a[0] + (b[0] - a[0]) * w, a[1] + (b[1] - a[1]) * w]
            }
            (Some((_, g)), None) | (None, Some((_, g))) => *g,
            (None, None) => [0.0; 2],
        }
    }

    fn set(&mut self, t: f64, gain: [f64; 2]) {
        self.0.retain(|(x, _)| *x != t);
        self.0.push((t, gain));
        self.0.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
}

/// The gains that leave the pulses explained best: first at 25 degC, then from there to the cold and to the heat.
fn gains(
    plan: &Plan,
    curves: &Curves,
    temperatures: &[f64],
    capacity_ah: f64,
    with: impl Fn(f64, f64) -> [f64; 2] + Sync,
) -> Gains {
    let mut found = Gains::default();
    let mut search = |t: f64, tried: &[f64]| -> f64 {
        let here = at_temperature(plan, t);
        let left: Vec<f64> = tried
            .par_iter()
            .map(|g| {
                let mut gains = found.clone();
                gains.set(t, with(t, *g));
                // Gains under which nothing sensible is left are none.
                identify(&curves.taken_off(&here, capacity_ah, &gains)).map_or(f64::INFINITY, |file| {
                    let pulses = file.fit.iter().flat_map(|f| &f.pulses);
                    pulses.map(|p| p.rmse_v * p.rmse_v).sum()
                })
            })
            .collect();
        let best = lowest(tried, &left);
        found.set(t, with(t, best));
        best
    };
    let middle = temperatures.iter().position(|t| *t >= 24.5).unwrap_or(0);
    let at_middle = search(temperatures[middle], &GAINS);
    let mut gain = at_middle;
    for &t in temperatures[..middle].iter().rev() {
        gain = search(t, &COLDER.map(|r| r * gain));
    }
    gain = at_middle;
    for &t in &temperatures[middle + 1..] {
        gain = search(t, &COLDER.map(|r| gain / r));
    }
    found
}

/// Where values over ascending (or descending) places are lowest: the vertex of the parabola around the lowest one.
fn lowest(x: &[f64], y: &[f64]) -> f64 {
    let Some(k) = (0..y.len()).min_by(|a, b| y[*a].total_cmp(&y[*b])) else { return 0.0 };
    if k == 0 || k + 1 >= y.len() || !(y[k - 1].is_finite() && y[k + 1].is_finite()) {
        return x[k];
    }
    let (a, b) = (x[k] - x[k - 1], x[k] - x[k + 1]);
    let (fa, fb) = (y[k] - y[k - 1], y[k] - y[k + 1]);
    let below = a * fb - b * fa;
    if below == 0.0 { x[k] } else { x[k] - 0.5 * (a * a * fb - b * b * fa) / below }
}

/// Open-circuit voltage of a cell file at 25 degC.
fn at_25(file: &CellFile) -> &[f64] {
    let t = &file.tables;
    let nearest = (0..t.temperature_c.len())
        .min_by(|a, b| (t.temperature_c[*a] - 25.0).abs().total_cmp(&(t.temperature_c[*b] - 25.0).abs()));
    nearest.and_then(|k| t.ocv_v.get(k)).map_or(&[], Vec::as_slice)
}

/// The negative electrode's potential over -0.1..=1.1 of the cell's SOC.
fn negative_v(electrode: &CellFile) -> Vec<f64> {
    let open = at_25(electrode);
    let at = |k: usize| -0.1 + 1.2 * k as f64 / (NEGATIVE_COLUMNS - 1) as f64;
    (0..NEGATIVE_COLUMNS).map(|k| REFERENCE_V - ocv::at(open, at(k))).collect()
}

/// The pulses of a plan at one temperature, without its discharges.
fn at_temperature(plan: &Plan, t: f64) -> Plan {
    let pulses = plan.pulses.iter().filter(|p| (p.temperature_c - t).abs() < 0.5).cloned().collect();
    Plan { pulses, discharges: Vec::new(), ..plan.clone() }
}

/// What the surfaces act on.
struct Curves {
    open: Vec<f64>,
    /// Potential of the negative electrode over -0.1..=1.1.
    negative: Vec<f64>,
}

impl Curves {
    /// What the open-circuit voltage loses when the surfaces have lost `[p, n]` of SOC.
    fn change_v(&self, soc: f64, [p, n]: [f64; 2]) -> f64 {
        let open = |z: f64| ocv::at(&self.open, z.clamp(-0.05, 1.05));
        let negative = |z: f64| ocv::at(&self.negative, (z + 0.1) / 1.2);
        open(soc - p) - open(soc) + negative(soc - p) - negative(soc - n)
    }

    /// Pulse tables with these gains.
    fn fit(&self, plan: &Plan, capacity_ah: f64, gains: &Gains) -> Result<PulseFile, IdentifyError> {
        let mut file = identify(&self.taken_off(plan, capacity_ah, gains))?;
        if self.negative.len() == NEGATIVE_COLUMNS {
            file.tables.negative_v.clone_from(&self.negative);
        }
        let (temperature_c, gain) = gains.0.iter().map(|(t, g)| (*t as f32, g.map(|x| x as f32))).unzip();
        Ok(PulseFile { file, temperature_c, gain })
    }

    /// The same plan with what the surfaces do taken off its pulses and discharges: what the circuit has to explain.
    fn taken_off(&self, plan: &Plan, capacity_ah: f64, gains: &Gains) -> Plan {
        let mut out = plan.clone();
        let beside_v = plan.voltage_limits_v.map_or(0.0, |[lo, _]| lo - BESIDE_V);
        for test in out.pulses.iter_mut().chain(&mut out.discharges) {
            let run = &mut test.run;
            let removed = run.discharged_ah();
            let mut q = [0.0; 3];
            for k in 1..run.len() {
                let dt = run.dt_s(k);
                let mean_a = run.mean_current_a.as_ref().map_or(run.current_a[k], |m| m[k]);
                for (q, tau_s) in q.iter_mut().zip(SURFACE_S.map(f64::from)) {
                    let a = (-dt / tau_s).exp();
                    *q = a * *q + (1.0 - a) * tau_s.sqrt() * mean_a / capacity_ah;
                }
                let sum: f64 = q.iter().sum();
                let cell_c = run.temperature_c.as_ref().map_or(test.temperature_c, |t| t[k]);
                let shift = gains.at(cell_c).map(|g| (g * sum).clamp(-0.5, 0.5));
                run.voltage_v[k] -= self.change_v(1.0 - removed[k] / capacity_ah, shift);
            }
            for k in beside_pulses(run) {
                run.voltage_v[k] = beside_v;
            }
        }
        out
    }
}

/// A voltage so far below the lower limit does not count in the fit, the current does.
const BESIDE_V: f64 = 0.06;
/// A stage up to this long (s) belongs to the pulses.
const PULSE_S: f64 = 61.0;

/// Rows that are beside the pulses of a test: long rests but for their last rows, and the discharges between levels.
fn beside_pulses(run: &Run) -> Vec<usize> {
    let mut out = Vec::new();
    let mut start = 0;
    for k in 1..=run.len() {
        if k < run.len() && run.current_a[k] == run.current_a[start] {
            continue;
        }
        let rest = run.current_a[start] == 0.0;
        if run.time_s[k - 1] - run.time_s[start] > PULSE_S {
            // The end of a rest tells the open-circuit voltage.
            let counted = if rest { 2 } else { 0 };
            out.extend(start.max(1)..(k - 1).saturating_sub(counted).max(start.max(1)));
        }
        start = k;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertex_of_a_parabola_is_found() {
        let x = [0.0, 1.0, 2.0, 4.0];
        let y = x.map(|x: f64| (x - 1.7).powi(2));
        assert!((lowest(&x, &y) - 1.7).abs() < 1e-12);
        assert_eq!(lowest(&x, &[1.0, 2.0, 3.0, 4.0]), 0.0);
        assert_eq!(lowest(&x, &[f64::INFINITY, 2.0, 3.0, 4.0]), 1.0);
    }

    #[test]
    fn pulses_count_and_what_is_beside_them_does_not() {
        let mut run = Run::default();
        let mut stage = |current_a: f64, seconds: usize| {
            for _ in 0..seconds {
                run.time_s.push(run.time_s.len() as f64);
                run.current_a.push(current_a);
            }
        };
        stage(0.0, 100);
        stage(5.0, 30);
        stage(0.0, 40);
        stage(1.0, 500);
        let beside = beside_pulses(&run);
        assert!(!beside.contains(&0) && beside.contains(&50) && !beside.contains(&99), "{beside:?}");
        assert!((100..170).all(|k| !beside.contains(&k)) && beside.contains(&400));
    }
}
