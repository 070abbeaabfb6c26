//! Where the energy went.

use std::ops::Sub;

use serde::Serialize;

use super::Values;

const SECONDS_PER_HOUR: f64 = 3600.0;

/// Energy in Wh since the start of a run or a phase, each item at least 0 except the drive.
///
/// Pump, chiller, heater, films and pulses are what they took, whoever fed them; `mains_wh` is how much of that the mains
/// did. Balancing is lost inside the pack; the cells' heat has that of the pulses in it, but not the losses of their drive.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Bill {
    /// Given to the vehicle or load, less what came back while driving: at the terminals without the pack's own machines and
    /// pulses.
    pub drive_wh: f64,
    /// Charged, at the terminals without the pack's own machines.
    pub charge_wh: f64,
    /// Pump.
    pub pump_wh: f64,
    /// Chiller.
    pub chiller_wh: f64,
    /// Heater in the coolant.
    pub heater_wh: f64,
    /// Heating films.
    pub film_wh: f64,
    /// Lost by heating with the cells' own current.
    pub pulse_wh: f64,
    /// Lost by balancing.
    pub balancing_wh: f64,
    /// What of pump, chiller, heater, films and pulses came from the mains.
    pub mains_wh: f64,
    /// Heat of the cells.
    pub cell_heat_wh: f64,
    /// Heat that the chiller moved.
    pub chiller_heat_wh: f64,
}

impl Bill {
    /// Adds a step of `dt_s`; `charges` tells whether the phase puts charge into the pack on purpose.
    pub(super) fn add(&mut self, values: &Values, charges: bool, dt_s: f64) {
        let hours = dt_s / SECONDS_PER_HOUR;
        // What is not known costs nothing.
        let energy = |power_w: f64| if power_w.is_finite() { power_w * hours } else { 0.0 };
        let machines_w = values.pump_w + values.chiller_w + values.heater_w + values.film_w + values.pulse_w;
        let from_pack_w = if values.from_mains { 0.0 } else { machines_w };
        let net_w = values.power_w - from_pack_w;
        if charges {
            self.charge_wh -= energy(net_w);
        } else {
            self.drive_wh += energy(net_w);
        }
        self.pump_wh += energy(values.pump_w);
        self.chiller_wh += energy(values.chiller_w);
        self.heater_wh += energy(values.heater_w);
        self.film_wh += energy(values.film_w);
        self.pulse_wh += energy(values.pulse_w);
        self.balancing_wh += energy(values.balancing_w);
        self.mains_wh += energy(machines_w - from_pack_w);
        self.cell_heat_wh += energy(values.cell_heat_w);
        self.chiller_heat_wh += energy(values.chiller_heat_w);
    }

    /// What warming took: heater, films, pulses and pump.
    #[must_use]
    pub fn heating_wh(&self) -> f64 {
        self.heater_wh + self.film_wh + self.pulse_wh + self.pump_wh
    }

    /// Every item with its name for tables and plots.
    #[must_use]
    pub const fn items(&self) -> [(&'static str, f64); 8] {
        [
            ("drive or load", self.drive_wh),
            ("charge", self.charge_wh),
            ("pump", self.pump_wh),
            ("chiller", self.chiller_wh),
            ("heater", self.heater_wh),
            ("films", self.film_wh),
            ("pulse heating", self.pulse_wh),
            ("balancing", self.balancing_wh),
        ]
    }
}

impl Sub for Bill {
    type Output = Self;

    fn sub(self, from: Self) -> Self {
        Self {
            drive_wh: self.drive_wh - from.drive_wh,
            charge_wh: self.charge_wh - from.charge_wh,
            pump_wh: self.pump_wh - from.pump_wh,
            chiller_wh: self.chiller_wh - from.chiller_wh,
            heater_wh: self.heater_wh - from.heater_wh,
            film_wh: self.film_wh - from.film_wh,
            pulse_wh: self.pulse_wh - from.pulse_wh,
            balancing_wh: self.balancing_wh - from.balancing_wh,
            mains_wh: self.mains_wh - from.mains_wh,
            cell_heat_wh: self.cell_heat_wh - from.cell_heat_wh,
            chiller_heat_wh: self.chiller_heat_wh - from.chiller_heat_wh,
        }
    }
}
