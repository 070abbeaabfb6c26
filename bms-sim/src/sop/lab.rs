//! What a laboratory finds out about a cell beside its electrical circuit: heat, and the negative electrode.

use cell_models::physics::SpmeCell;
use cell_models::{Plant as _, PlantError};

use crate::cell_file::CellFile;
use crate::data::Run;
use crate::identify::ocv;
use crate::identify::plan::{Plan, PulseTest};

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
