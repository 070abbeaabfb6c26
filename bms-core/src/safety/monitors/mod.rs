//! The monitors: each looks at one subject of a frame and reports to the [`Ledger`].

use super::frame::Frame;
use super::ledger::Ledger;
use super::settings::SafetySettings;
use super::{Context, Readings, SensorPlaces};
use crate::measurement::Reading;

mod cells;
mod current;
mod electrics;
mod health;
mod links;
mod runaway;
mod senses;
mod temperature;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "tests/thresholds.rs"]
mod thresholds;

/// What coolant, air and boards can be (degC).
const PART_C: [f32; 2] = [-60.0, 150.0];

/// What every monitor sees of a step.
struct Scene<'f, const N: usize, const S: usize> {
    settings: &'f SafetySettings,
    frame: &'f Frame<N, S>,
    context: &'f Context,
    dt_ms: u16,
    dt_s: f32,
    usable: links::Usable,
}

impl<const N: usize, const S: usize> Scene<'_, N, S> {
    /// Error in A that a current sensor may have.
    fn current_error_a(&self) -> f32 {
        self.settings.grade.current_share * self.settings.grade.current_full_a
    }

    /// Number of cells.
    #[allow(clippy::cast_precision_loss, clippy::unused_self)] // far below 2^24
    fn cells(&self) -> f32 {
        N as f32
    }
}

/// Share of news that a low-pass takes in within a step.
fn share(dt_s: f32, time_s: f32) -> f32 {
    dt_s / (time_s + dt_s)
}

/// One step of a low-pass; a mean that is not known starts at `x`.
fn low_pass(mean: f32, x: f32, share: f32) -> f32 {
    if mean.is_nan() { x } else { mean + (x - mean) * share }
}

/// The state of all monitors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Monitors<'a, const N: usize, const S: usize> {
    places: SensorPlaces<'a>,
    links: links::Links,
    voltage: senses::voltage::VoltageSense<N>,
    current: senses::current::CurrentSense,
    temperature: senses::temperature::TemperatureSense<S>,
    limits: current::CurrentLimits,
    runaway: runaway::Runaway<N, S>,
}

impl<'a, const N: usize, const S: usize> Monitors<'a, N, S> {
    pub(super) const fn new(places: SensorPlaces<'a>) -> Self {
        Self {
            places,
            links: links::Links::NEW,
            voltage: senses::voltage::VoltageSense::NEW,
            current: senses::current::CurrentSense::NEW,
            temperature: senses::temperature::TemperatureSense::NEW,
            limits: current::CurrentLimits::NEW,
            runaway: runaway::Runaway::NEW,
        }
    }

    pub(super) fn slept(&mut self) {
        self.temperature.slept();
    }

    pub(super) fn step(
        &mut self,
        settings: &SafetySettings,
        frame: &Frame<N, S>,
        context: &Context,
        dt_ms: u16,
        ledger: &mut Ledger,
    ) -> Readings<N, S> {
        let nobody = links::Usable { front_end: false, current_sensor: false, insulation: false };
        let dt_s = 1e-3 * f32::from(dt_ms);
        let mut scene = Scene { settings, frame, context, dt_ms, dt_s, usable: nobody };
        scene.usable = self.links.step(&scene, ledger);

        let seen = self.voltage.see(&scene);
        let current = self.current.step(&scene, seen.typical_v, ledger);
        let current_a = current.current_a.valid();
        let warmth = self.temperature.step(&scene, self.places.sensors, ledger);
        let rise = runaway::typical_rise(&warmth);
        let warms = |cell| runaway::warms(&self.places, &warmth, rise, cell);
        let cell_voltage_v = self.voltage.step(&scene, &seen, current_a, warms, ledger);

        cells::check(settings, &seen.at_limits, ledger);
        self.limits.step(&scene, (current_a, current.pulse_a), ledger);
        temperature::check(&scene, &warmth, current_a, ledger);
        self.runaway.step(&scene, (&self.places, &seen, &warmth), ledger);
        senses::voltage::check_pack(&scene, seen.sum_v, ledger);
        electrics::check(&scene, (seen.sum_v, current_a), ledger);

        let [lo_c, hi_c] = PART_C;
        let celsius = |c: f32| Reading::within(c, lo_c, hi_c);
        let board_c = celsius(frame.board_c);
        health::check(&scene, board_c, (&cell_voltage_v, current_a), ledger);
        Readings {
            cell_voltage_v,
            sensors_c: warmth.map(|w| w.reading),
            current_a: current.current_a,
            mean_current_a: current.mean_current_a,
            inlet_c: celsius(frame.inlet_c),
            outlet_c: celsius(frame.outlet_c),
            ambient_c: celsius(frame.ambient_c),
            board_c,
        }
    }
}
