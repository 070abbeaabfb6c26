//! The monitors: each looks at one subject of a frame and reports to the [`Ledger`].

use super::frame::Frame;
use super::ledger::Ledger;
use super::settings::SafetySettings;
use super::{Context, Readings, SensorPlaces};
use crate::measurement::Reading;

mod cells;

/// What any cell voltage and any temperature can be.
const CELL_V: [f32; 2] = [-0.5, 6.0];
const TEMPERATURE_C: [f32; 2] = [-60.0, 150.0];

/// The state of all monitors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Monitors<'a, const N: usize, const S: usize> {
    places: SensorPlaces<'a>,
}

impl<'a, const N: usize, const S: usize> Monitors<'a, N, S> {
    pub(super) const fn new(places: SensorPlaces<'a>) -> Self {
        Self { places }
    }

    pub(super) fn step(
        &mut self,
        settings: &SafetySettings,
        frame: &Frame<N, S>,
        _context: &Context,
        _dt_ms: u16,
        ledger: &mut Ledger,
    ) -> Readings<N, S> {
        let _ = self.places;
        let readings = plausible(settings, frame);
        cells::check(settings, &readings.cell_voltage_v, ledger);
        readings
    }
}

/// Readings that can be, each by itself.
fn plausible<const N: usize, const S: usize>(
    settings: &SafetySettings,
    frame: &Frame<N, S>,
) -> Readings<N, S> {
    let [lo_v, hi_v] = CELL_V;
    let [lo_c, hi_c] = TEMPERATURE_C;
    let celsius = |c: f32| Reading::within(c, lo_c, hi_c);
    let full_a = settings.grade.current_full_a;
    let amperes = |a: f32| Reading::within(a, -full_a, full_a);
    Readings {
        cell_voltage_v: frame.cell_voltage_v.map(|v| Reading::within(v, lo_v, hi_v)),
        sensors_c: frame.sensors_c.map(celsius),
        current_a: amperes(frame.current_a),
        mean_current_a: amperes(frame.mean_current_a),
        inlet_c: celsius(frame.inlet_c),
        outlet_c: celsius(frame.outlet_c),
        ambient_c: celsius(frame.ambient_c),
        board_c: celsius(frame.board_c),
    }
}
