//! Thermal runaway by the rule of GB 38031-2025, C.5.3.7: (a) the voltage has fallen by more than 25 % of what it was, (b) the
//! temperature has reached the highest working temperature, (c) it rises by 1 K/s or more for more than 3 s; runaway is
//! (a or b) and c. The table's debounce is the 3 s. (From a secondary source: to be checked against the standard.)
//!
//! A cell without a sensor cannot show (b) and (c). It is in runaway when its voltage has collapsed and the sensors next to
//! it warm up faster than those of the rest of the pack, or, far from any sensor, when the pack voltage confirms the collapse:
//! no wire and no converter is to blame then, and a cell that lost a quarter of its voltage burns inside.

use super::senses::temperature::Warmth;
use super::senses::voltage::{Seen, pack_error_v, trimmed_mean};
use super::{Scene, low_pass, share};
use crate::math::abs;
use crate::safety::SensorPlaces;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::table::Diagnosis;

/// Rise in K/s, and share of the voltage that is left: the rule's.
const RISE_K_PER_S: f32 = 1.0;
const COLLAPSED: f32 = 0.75;
/// A collapse has ended above this share.
const RECOVERED: f32 = 0.8;
/// Sensors next to a cell rise by themselves when they are this much faster than the others (K/s).
const NEARBY_K_PER_S: f32 = 0.05;
/// Time constant in s of the voltage that cells had before.
const BEFORE_S: f32 = 60.0;
/// Most collapsed cells that are looked at in a step.
const LOOKED_AT: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Runaway<const N: usize, const S: usize> {
    pub(super) collapsed: [bool; N],
    before_v: f32,
    /// Sensors that showed a runaway when they were last heard.
    burning: [bool; S],
}

/// How much faster the sensors nearest to `cell` rise than the others, in K/s; `typical` is how fast these do.
pub(super) fn rise_nearby(places: &SensorPlaces<'_>, all: &[Warmth], typical: f32, cell: u16) -> f32 {
    let mut nearest = (u16::MAX, f32::NEG_INFINITY);
    for (at, warmth) in places.sensor_cells.iter().zip(all).take(places.sensors) {
        let far = at.abs_diff(cell);
        if warmth.raw_c.is_nan() || far > nearest.0 {
            continue;
        }
        let rise = warmth.slow_k_per_s - typical;
        nearest = if far < nearest.0 { (far, rise) } else { (far, nearest.1.max(rise)) };
    }
    nearest.1
}

/// How fast most sensors rise in K/s; 0 if there are too few to tell.
pub(super) fn typical_rise(all: &[Warmth]) -> f32 {
    let seen = all.iter().filter(|w| !w.raw_c.is_nan());
    trimmed_mean(seen.map(|w| w.slow_k_per_s)).unwrap_or(0.0)
}

/// Whether the surroundings of a cell warm up by themselves.
pub(super) fn warms(places: &SensorPlaces<'_>, all: &[Warmth], typical: f32, cell: u16) -> bool {
    rise_nearby(places, all, typical, cell) > NEARBY_K_PER_S
}

impl<const N: usize, const S: usize> Runaway<N, S> {
    pub(super) const NEW: Self = Self { collapsed: [false; N], before_v: f32::NAN, burning: [false; S] };

    /// Whether the pack voltage shows that a cell which reads `collapsed_v` has indeed collapsed: with what it had before the
    /// sum would be another. Only where one cell's voltage is more than the sensors' errors.
    fn confirmed(&self, scene: &Scene<'_, N, S>, seen: &Seen<N>, collapsed_v: f32) -> bool {
        let error_v = pack_error_v(scene.settings, scene.cells());
        let mut sum_v = 0.0;
        for reading in &seen.plausible {
            let Some(v) = reading.valid() else { return false };
            sum_v += v;
        }
        let pack_v = scene.frame.pack_voltage_v;
        scene.settings.fitted.pack_voltage
            && abs(pack_v - sum_v) <= error_v
            && pack_v + 2.0 * error_v < sum_v - collapsed_v + self.before_v
    }

    pub(super) fn step(
        &mut self,
        scene: &Scene<'_, N, S>,
        (places, seen, all): (&SensorPlaces<'_>, &Seen<N>, &[Warmth; S]),
        ledger: &mut Ledger,
    ) {
        if !scene.usable.front_end {
            return;
        }
        if let Some(typical_v) = seen.typical_v {
            // Down slowly, up at once: a load of seconds is not what the cells had before.
            let slow_v = low_pass(self.before_v, typical_v, share(scene.dt_s, BEFORE_S));
            self.before_v = slow_v.max(typical_v);
        }
        let [collapsed_v, recovered_v] = [COLLAPSED * self.before_v, RECOVERED * self.before_v];
        for (collapsed, reading) in self.collapsed.iter_mut().zip(&seen.plausible) {
            // A channel that is lost after a collapse was burnt: it stays as it was.
            let Some(v) = reading.valid() else { continue };
            *collapsed = v < if *collapsed { recovered_v } else { collapsed_v };
        }

        let mut found = None;
        let sensors = (0_u16..).zip(places.sensor_cells).zip(all).zip(&mut self.burning);
        for (((place, cell), warmth), burning) in sensors.take(places.sensors) {
            if !warmth.raw_c.is_nan() {
                let fallen = self.collapsed.get(usize::from(*cell)).is_some_and(|c| *c);
                let hot = warmth.raw_c >= scene.settings.highest_working_c;
                *burning = (fallen || hot) && warmth.fast_k_per_s >= RISE_K_PER_S;
            }
            if *burning && found.is_none() {
                let (value, limit) = (warmth.fast_k_per_s, RISE_K_PER_S);
                found = Some(Finding { place: Some(place), value, limit });
            }
        }
        ledger.report(Diagnosis::ThermalRunaway, found);

        let typical = typical_rise(all);
        let collapsed = self.collapsed;
        let cells = (0_u16..).zip(&collapsed).filter(|(_, c)| **c).take(LOOKED_AT);
        let found = cells.map(|(cell, _)| (cell, rise_nearby(places, all, typical, cell))).find_map(
            |(cell, rise)| {
                let finding = |value, limit| Finding { place: Some(cell), value, limit };
                if rise > NEARBY_K_PER_S {
                    return Some(finding(rise, NEARBY_K_PER_S));
                }
                let reading = seen.plausible.get(usize::from(cell)).and_then(|r| r.valid());
                reading.filter(|v| self.confirmed(scene, seen, *v)).map(|v| finding(v, collapsed_v))
            },
        );
        ledger.report(Diagnosis::ThermalRunawayNearby, found);
    }
}
