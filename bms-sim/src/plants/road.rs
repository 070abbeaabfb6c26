//! Drives: a cycle over and over until the cell is empty or gives no more, within the voltage limits.

use cell_models::physics::SpmeCell;
use cell_models::{Label, Plant, PlantError, hold, simulate};

use super::TestError;
use super::laboratory::{SET_AT_C, SET_C, SOAK_S};
use crate::data::Run;

/// SOC at which a drive begins and ends.
const FROM_TO: [f64; 2] = [0.95, 0.05];
/// Rest at its beginning and its end in s.
const RESTS_S: [usize; 2] = [120, 1200];
/// The vehicle takes back current in proportion over so many volts before a limit …
const DERATE_V: f64 = 0.1;
/// … and between these surface temperatures in degC.
const DERATE_C: [f64; 2] = [55.0, 65.0];
/// Halvings in the search for what the vehicle may take.
const HALVINGS: usize = 12;
/// A drive ends when a cycle gives less than this share of the discharge asked for.
const ENOUGH: f64 = 0.35;
/// Longest drive in s.
const LONGEST_S: usize = 6 * 3600;

/// A drive without anybody looking on.
pub(super) fn drive(
    cell: SpmeCell,
    nominal_ah: f64,
    ambient_c: f64,
    rates_c: &[f64],
) -> Result<Run, TestError> {
    drive_seen(cell, nominal_ah, ambient_c, rates_c, |_, _| ())
}

/// A drive from a full and rested cell that is first brought to 95 % at 25 degC and soaked; `rates_c` are the currents of
/// one cycle in multiples of the nominal capacity per hour, one a second.
///
/// Current is linear between the 1 s samples. The run tells the plant's own SOC as the truth. `seen` looks at the cell and
/// the run so far after every second of driving.
pub(super) fn drive_seen(
    mut cell: SpmeCell,
    nominal_ah: f64,
    ambient_c: f64,
    rates_c: &[f64],
    mut seen: impl FnMut(&SpmeCell, &Run),
) -> Result<Run, TestError> {
    let [from, to] = FROM_TO;
    let set_s = (cell.soc() - from) * cell.capacity_ah() / (SET_C * nominal_ah) * 3600.0;
    cell.set_ambient_c(SET_AT_C)?;
    simulate(&mut cell, hold(Label::SocStep, SET_C * nominal_ah, set_s, 1.0))?;
    cell.set_current(0.0)?;
    cell.set_ambient_c(ambient_c)?;
    cell.advance(SOAK_S)?;

    let mut trip = Trip::new(cell, ambient_c);
    let [before_s, after_s] = RESTS_S;
    trip.rest(before_s)?;
    let asked: f64 = rates_c.iter().map(|r| r.max(0.0) * nominal_ah).sum();
    'drive: while trip.seconds() < LONGEST_S && asked > 0.0 {
        let mut given = 0.0;
        for rate_c in rates_c {
            given += trip.second(rate_c * nominal_ah)?.max(0.0);
            seen(&trip.cell, &trip.run);
            if trip.cell.soc() <= to {
                break 'drive;
            }
        }
        if given < ENOUGH * asked {
            break;
        }
    }
    trip.rest(after_s)?;
    Ok(trip.run)
}

/// A cell on the road and what was logged of it.
struct Trip {
    cell: SpmeCell,
    ambient_c: f64,
    run: Run,
}

impl Trip {
    fn new(cell: SpmeCell, ambient_c: f64) -> Self {
        let column = || Some(Vec::new());
        let run = Run {
            mean_current_a: column(),
            temperature_c: column(),
            ambient_c: column(),
            soc_true: column(),
            ..Run::default()
        };
        let mut trip = Self { cell, ambient_c, run };
        trip.log(0.0);
        trip
    }

    fn seconds(&self) -> usize {
        self.run.len()
    }

    fn rest(&mut self, seconds: usize) -> Result<(), PlantError> {
        for _ in 0..seconds {
            let from_a = self.cell.current_a();
            self.cell.ramp_current(0.0, 1.0)?;
            self.log(0.5 * from_a);
        }
        Ok(())
    }

    /// One second towards a current in A; returns the one that was given.
    fn second(&mut self, wanted_a: f64) -> Result<f64, PlantError> {
        let from_a = self.cell.current_a();
        let [warm_c, hot_c] = DERATE_C;
        let cool = ((hot_c - self.cell.surface_temperature_c()) / (hot_c - warm_c)).clamp(0.0, 1.0);
        self.cell = derated(&self.cell, cool * wanted_a)?;
        let to_a = self.cell.current_a();
        self.log(0.5 * (from_a + to_a));
        Ok(to_a)
    }

    fn log(&mut self, mean_a: f64) {
        let (cell, run) = (&self.cell, &mut self.run);
        run.time_s.push(run.time_s.len() as f64);
        run.current_a.push(cell.current_a());
        run.voltage_v.push(cell.voltage_v());
        for (column, value) in [
            (&mut run.mean_current_a, mean_a),
            (&mut run.temperature_c, cell.surface_temperature_c()),
            (&mut run.ambient_c, self.ambient_c),
            (&mut run.soc_true, cell.soc()),
        ] {
            column.get_or_insert_default().push(value);
        }
    }
}

/// The cell a second later, with as much of the wanted current (A) as the limits leave: all of it 0.1 V or more before
/// the limit, nothing at the limit, in proportion between.
fn derated(cell: &SpmeCell, wanted_a: f64) -> Result<SpmeCell, PlantError> {
    let [v_min, v_max] = cell.voltage_limits_v();
    let with = |share: f64| -> Result<(SpmeCell, f64), PlantError> {
        let mut next = cell.clone();
        next.ramp_current(share * wanted_a, 1.0)?;
        let room_v = if wanted_a > 0.0 { next.voltage_v() - v_min } else { v_max - next.voltage_v() };
        Ok((next, (room_v / DERATE_V).clamp(0.0, 1.0)))
    };
    // A model driven beyond its bounds has no room left, either.
    if let Ok((next, allowed)) = with(1.0)
        && (allowed >= 1.0 || wanted_a == 0.0)
    {
        return Ok(next);
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let share = 0.5 * (low + high);
        match with(share) {
            Ok((_, allowed)) if allowed >= share => low = share,
            _ => high = share,
        }
    }
    with(low).map(|(next, _)| next)
}

#[cfg(test)]
mod tests {
    use cell_models::physics::sets;

    use super::*;

    #[test]
    fn a_cold_cell_keeps_its_limits_and_counts_every_ampere() {
        let cell = SpmeCell::new(sets::okane2022(), 1.0, 25.0).unwrap().without_ageing();
        // Hard acceleration and braking, more than a cell at -10 degC can take.
        let cycle: Vec<f64> = (0..120).map(|s| if s % 20 < 14 { 3.0 } else { -2.0 }).collect();
        let capacity_ah = cell.capacity_ah();
        let run = drive(cell, 5.0, -10.0, &cycle).unwrap();
        let soc = run.soc_true.clone().unwrap();
        assert!((soc[0] - 0.95).abs() < 1e-3, "{}", soc[0]);
        let driven = RESTS_S[0]..run.len() - RESTS_S[1];
        let [low, high] = sets::okane2022().voltage_limits_v;
        assert!(run.voltage_v[driven.clone()].iter().all(|v| (low - 1e-3..=high + 1e-3).contains(v)));
        assert!(run.current_a[driven].iter().any(|i| *i > -9.9 && *i < 14.9), "something is derated");
        let counted = run.discharged_ah().last().unwrap() / capacity_ah;
        assert!((soc[0] - soc.last().unwrap() - counted).abs() < 1e-4, "{counted}");
    }
}
