//! Partners in communication: fresh, with a counter that goes on, with a sound check sum.

use super::Scene;
use crate::safety::frame::Heard;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::table::Diagnosis;

/// Counters count from 0 to one below this.
const COUNTS: u8 = 16;
/// Silence in ms that is usual for partners that send by their own clock.
const VEHICLE_MS: u32 = 200;
const CHARGER_MS: u32 = 300;
const INSULATION_MS: u32 = 2000;

/// One partner.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Link {
    counter: Option<u8>,
    silent_ms: u32,
}

impl Link {
    const NEW: Self = Self { counter: None, silent_ms: 0 };

    /// Whether what came may be used.
    fn hear(&mut self, heard: Heard, dt_ms: u16) -> bool {
        let sound = heard.fresh && heard.sound && heard.counter < COUNTS;
        let good = sound && self.counter != Some(heard.counter);
        if sound {
            self.counter = Some(heard.counter);
        }
        self.silent_ms = if good { 0 } else { self.silent_ms.saturating_add(u32::from(dt_ms)) };
        good
    }

    /// It has been silent for longer than `usual_ms`.
    fn lost(self, usual_ms: u32) -> Option<Finding> {
        let finding = Finding { place: None, value: seconds(self.silent_ms), limit: seconds(usual_ms) };
        (self.silent_ms > usual_ms).then_some(finding)
    }
}

#[allow(clippy::cast_precision_loss)] // a time that is told
fn seconds(ms: u32) -> f32 {
    1e-3 * ms as f32
}

/// All partners.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Links {
    front_end: Link,
    current_sensor: Link,
    insulation: Link,
    vehicle: Link,
    charger: Link,
}

/// From whom a frame may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usable {
    pub front_end: bool,
    pub current_sensor: bool,
    pub insulation: bool,
}

impl Links {
    pub(super) const NEW: Self = Self {
        front_end: Link::NEW,
        current_sensor: Link::NEW,
        insulation: Link::NEW,
        vehicle: Link::NEW,
        charger: Link::NEW,
    };

    /// Front end and current sensor have to be heard in every step, the others within their usual time.
    pub(super) fn step<const N: usize, const S: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        ledger: &mut Ledger,
    ) -> Usable {
        let (frame, fitted, dt_ms) = (scene.frame, &scene.settings.fitted, scene.dt_ms);
        let front_end = self.front_end.hear(frame.front_end, dt_ms);
        ledger.report(Diagnosis::FrontEndLost, self.front_end.lost(0));
        let current_sensor = self.current_sensor.hear(frame.current_sensor, dt_ms);
        let other = fitted.second_current && frame.second_current_a.is_finite();
        ledger.report(Diagnosis::CurrentSensorLost, self.current_sensor.lost(0).filter(|_| !other));
        let mut insulation = false;
        if fitted.insulation {
            insulation = self.insulation.hear(frame.insulation_monitor, dt_ms);
            ledger.report(Diagnosis::InsulationMonitorLost, self.insulation.lost(INSULATION_MS));
        }
        if fitted.vehicle {
            self.vehicle.hear(frame.vehicle, dt_ms);
            ledger.report(Diagnosis::VehicleLost, self.vehicle.lost(VEHICLE_MS));
        }
        if scene.context.charging {
            self.charger.hear(frame.charger, dt_ms);
        } else {
            self.charger = Link::NEW;
        }
        ledger.report(Diagnosis::ChargerLost, self.charger.lost(CHARGER_MS));
        Usable { front_end, current_sensor, insulation }
    }
}
