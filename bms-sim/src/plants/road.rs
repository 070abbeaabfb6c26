//! What a car does to a cell: drives, parking and charging within the cell's limits.

use cell_models::physics::SpmeCell;
use cell_models::{Label, Plant, PlantError, hold, simulate};

use super::TestError;
use super::laboratory::{SET_AT_C, SET_C, SOAK_S};
use crate::data::Run;
use crate::profiles::Leg;

/// SOC at which a drive ends.
const EMPTY: f64 = 0.05;
/// The vehicle takes back current in proportion over so many volts before a limit …
const DERATE_V: f64 = 0.1;
/// … and between these surface temperatures in degC.
const DERATE_C: [f64; 2] = [55.0, 65.0];
/// Halvings in the search for what the vehicle may take.
const HALVINGS: usize = 12;
/// A drive ends when a cycle gives less than this share of the discharge asked for.
const ENOUGH: f64 = 0.35;
/// Longest drive and longest charge in s.
const LONGEST_S: f64 = 18.0 * 3600.0;
/// Largest charging rate (multiples of the nominal capacity per hour) over the surface temperature in degC, straight between:
/// what a charger allows against plating. Assumed; such tables are makers' secrets.
const CHARGE_C: [(f64, f64); 6] =
    [(-20.0, 0.1), (-10.0, 0.15), (0.0, 0.3), (10.0, 0.7), (20.0, 1.4), (30.0, 2.5)];
/// A charge ends below this rate: the cell is full, or too cold.
const LEAST_CHARGE_C: f64 = 0.02;
/// A parked vehicle logs every second for so long (s) …
const AWAKE_S: usize = 60;
/// … and then once in so many seconds.
const ASLEEP_S: usize = 60;

/// Brings a full and rested cell to the SOC `from` at 25 degC, soaks it, and does with it what the legs say.
///
/// Current is linear between samples. The run tells the plant's own SOC as the truth, and when the contactors were open.
pub(super) fn drive(
    cell: SpmeCell,
    nominal_ah: f64,
    ambient_c: f64,
    from: f64,
    legs: &[Leg],
) -> Result<Run, TestError> {
    drive_seen(cell, nominal_ah, ambient_c, from, legs, |_, _| ())
}

/// The same with somebody looking on: `seen` is shown the cell and the run so far after every second of a drive or charge.
pub(super) fn drive_seen(
    mut cell: SpmeCell,
    nominal_ah: f64,
    ambient_c: f64,
    from: f64,
    legs: &[Leg],
    seen: impl FnMut(&SpmeCell, &Run),
) -> Result<Run, TestError> {
    let set_s = (cell.soc() - from) * cell.capacity_ah() / (SET_C * nominal_ah) * 3600.0;
    cell.set_ambient_c(SET_AT_C)?;
    simulate(&mut cell, hold(Label::SocStep, SET_C * nominal_ah, set_s, 1.0))?;
    cell.set_current(0.0)?;
    cell.set_ambient_c(ambient_c)?;
    cell.advance(SOAK_S)?;
    let mut trip = Trip::new(cell, nominal_ah, ambient_c, seen);
    for leg in legs {
        match leg {
            Leg::Park { seconds } => trip.park(*seconds)?,
            Leg::Drive { power_w, times } => trip.cycle(power_w, *times)?,
            Leg::Charge { stages } => trip.charge(stages)?,
        }
    }
    Ok(trip.run)
}

/// A cell on the road and what was logged of it.
struct Trip<S> {
    cell: SpmeCell,
    nominal_ah: f64,
    ambient_c: f64,
    run: Run,
    seen: S,
}

impl<S: FnMut(&SpmeCell, &Run)> Trip<S> {
    fn new(cell: SpmeCell, nominal_ah: f64, ambient_c: f64, seen: S) -> Self {
        let mut trip = Self { cell, nominal_ah, ambient_c, run: Run::default(), seen };
        trip.log(0.0, 0.0, true);
        trip
    }

    fn elapsed_s(&self) -> f64 {
        self.run.time_s.last().copied().unwrap_or_default()
    }

    /// Contactors open once the current is down.
    fn park(&mut self, seconds: usize) -> Result<(), PlantError> {
        let awake = seconds.min(AWAKE_S);
        let asleep = (seconds - awake) / ASLEEP_S;
        let steps = std::iter::repeat_n(1.0, awake).chain(std::iter::repeat_n(ASLEEP_S as f64, asleep));
        for dt_s in steps {
            let from_a = self.cell.current_a();
            self.cell.ramp_current(0.0, dt_s)?;
            self.log(dt_s, 0.5 * from_a, from_a == 0.0);
        }
        Ok(())
    }

    /// Cell powers in W, one a second, over and over; until the cell is empty or gives too little of what is asked.
    fn cycle(&mut self, power_w: &[f64], times: usize) -> Result<(), PlantError> {
        let end_s = self.elapsed_s() + LONGEST_S;
        for _ in 0..times {
            let (mut asked, mut given) = (0.0, 0.0);
            for power_w in power_w {
                if self.cell.soc() <= EMPTY || self.elapsed_s() >= end_s {
                    return Ok(());
                }
                // A controller knows the voltage of a moment ago.
                let wanted_a = power_w / self.cell.voltage_v();
                asked += wanted_a.max(0.0);
                given += self.second(wanted_a)?.max(0.0);
            }
            if given <= ENOUGH * asked {
                break;
            }
        }
        Ok(())
    }

    fn charge(&mut self, stages: &[(f64, f64)]) -> Result<(), PlantError> {
        let end_s = self.elapsed_s() + LONGEST_S;
        for (until, rate_c) in stages {
            while self.cell.soc() < *until && self.elapsed_s() < end_s {
                let allowed_c = rate_c.min(charge_limit_c(self.cell.surface_temperature_c()));
                if -self.second(-allowed_c * self.nominal_ah)? < LEAST_CHARGE_C * self.nominal_ah {
                    return Ok(());
                }
            }
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
        self.log(1.0, 0.5 * (from_a + to_a), false);
        (self.seen)(&self.cell, &self.run);
        Ok(to_a)
    }

    fn log(&mut self, dt_s: f64, mean_a: f64, contactors_open: bool) {
        let time_s = self.elapsed_s() + dt_s;
        let (cell, run) = (&self.cell, &mut self.run);
        run.time_s.push(time_s);
        run.current_a.push(cell.current_a());
        run.voltage_v.push(cell.voltage_v());
        run.contactors_open.get_or_insert_default().push(contactors_open);
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

/// Largest charging rate at a temperature in degC, in multiples of the nominal capacity per hour.
fn charge_limit_c(temperature_c: f64) -> f64 {
    let [mut below, ..] = CHARGE_C;
    for above in CHARGE_C {
        if temperature_c < above.0 {
            let share = if above.0 > below.0 { (temperature_c - below.0) / (above.0 - below.0) } else { 0.0 };
            return below.1 + share * (above.1 - below.1);
        }
        below = above;
    }
    below.1
}

/// The cell a second later, with as much of the wanted current (A) as the limits leave: all of it 0.1 V or more before
/// the limit, nothing at the limit, in proportion between.
pub(crate) fn derated(cell: &SpmeCell, wanted_a: f64) -> Result<SpmeCell, PlantError> {
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

    fn cell() -> SpmeCell {
        SpmeCell::new(sets::okane2022(), 1.0, 25.0).unwrap().without_ageing()
    }

    #[test]
    fn a_cold_cell_keeps_its_limits_and_counts_every_ampere() {
        // Hard acceleration and braking, more than a cell at -10 degC can take.
        let power_w = (0..120).map(|s| if s % 20 < 14 { 55.0 } else { -35.0 }).collect();
        let legs = [
            Leg::Park { seconds: 120 },
            Leg::Drive { power_w, times: usize::MAX },
            Leg::Park { seconds: 1200 },
        ];
        let capacity_ah = cell().capacity_ah();
        let run = drive(cell(), 5.0, -10.0, 0.95, &legs).unwrap();
        let soc = run.soc_true.clone().unwrap();
        assert!((soc[0] - 0.95).abs() < 1e-3, "{}", soc[0]);
        let open = run.contactors_open.clone().unwrap();
        let driven: Vec<usize> = (0..run.len()).filter(|&k| !open[k]).collect();
        let [low, high] = sets::okane2022().voltage_limits_v;
        assert!(
            driven.len() > 120
                && driven.iter().all(|&k| (low - 1e-3..=high + 1e-3).contains(&run.voltage_v[k]))
        );
        let given_w = |k: &usize| run.current_a[*k] * run.voltage_v[*k];
        // All of it would be 55 W or -35 W, and more than 40 W a second after it was asked for.
        let derated = |w: f64| (1.0..40.0).contains(&w) || (-25.0..-1.0).contains(&w);
        assert!(driven.iter().any(|k| derated(given_w(k))), "something is derated");
        assert!(
            (0..run.len()).all(|k| !open[k] || run.current_a[k] == 0.0),
            "open contactors carry no current"
        );
        let counted = run.discharged_ah().last().unwrap() / capacity_ah;
        assert!((soc[0] - soc.last().unwrap() - counted).abs() < 1e-4, "{counted}");
    }

    #[test]
    fn a_charge_goes_up_to_its_last_stage_and_slower_in_the_cold() {
        let legs = [Leg::Park { seconds: 120 }, Leg::Charge { stages: vec![(0.3, 1.0), (0.4, 0.5)] }];
        let largest = |ambient_c| {
            let run = drive(cell(), 5.0, ambient_c, 0.2, &legs).unwrap();
            let end = run.soc_true.as_ref().and_then(|s| s.last()).copied().unwrap();
            assert!((end - 0.4).abs() < 1e-3, "{end}");
            (run.current_a.iter().copied().fold(0.0, f64::min), run.duration_s())
        };
        let (warm_a, warm_s) = largest(25.0);
        let (cold_a, cold_s) = largest(0.0);
        assert!((warm_a + 5.0).abs() < 1e-6, "{warm_a} A");
        // It warms up, so that the second stage gets what it asks for.
        assert!(cold_a > -2.501 && cold_s > 1.5 * warm_s, "{cold_a} A, {cold_s} s");
    }

    #[test]
    fn the_charge_limit_is_straight_between_its_points() {
        assert_eq!((charge_limit_c(-40.0), charge_limit_c(60.0)), (0.1, 2.5));
        assert!((charge_limit_c(5.0) - 0.5).abs() < 1e-12 && (charge_limit_c(0.0) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn a_parked_vehicle_logs_seldom_and_for_the_whole_time() {
        let run = drive(cell(), 5.0, 25.0, 0.5, &[Leg::Park { seconds: 3600 }]).unwrap();
        assert_eq!((run.len(), run.duration_s()), (1 + 60 + 59, 3600.0));
        assert!(run.contactors_open.unwrap().iter().all(|open| *open));
    }
}
