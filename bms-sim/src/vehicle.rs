//! A car between a speed trace and one cell of its battery.
//!
//! ```text
//! F = m (1 + λ) dv/dt + ½ ρ CdA v² + m g Crr        (no rolling resistance at standstill)
//! P = F v / η          while F v ≥ 0
//!   = max(η_r F v, -P_r)  while it brakes
//!   + auxiliaries
//! ```
//!
//! with the mean speed of each second and its change over it: the longitudinal model of any textbook, e.g. L. Guzzella and
//! A. Sciarretta, *Vehicle Propulsion Systems*, 3rd ed., 2013, chapter 2. The road is flat.

/// A battery car. Only longitudinal, without gears or slip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vehicle {
    /// Mass in kg.
    pub mass_kg: f64,
    /// What rotates, as a share of the mass.
    pub rotating_share: f64,
    /// Drag coefficient times frontal area in m2.
    pub drag_area_m2: f64,
    /// Coefficient of rolling resistance.
    pub rolling: f64,
    /// From the battery to the wheels, 0..1.
    pub drive_efficiency: f64,
    /// From the wheels back to the battery, 0..1, with what the friction brakes take.
    pub regen_efficiency: f64,
    /// Largest power into the battery in W.
    pub regen_limit_w: f64,
    /// Electronics and lights in W.
    pub auxiliary_w: f64,
    /// Heating or cooling of the cabin in W per K away from [`Vehicle::COMFORT_C`].
    pub cabin_w_per_k: f64,
}

/// Density of air in kg/m3 (20 degC, sea level).
const AIR_KG_PER_M3: f64 = 1.2;
/// Standard gravity in m/s2.
const GRAVITY_M_PER_S2: f64 = 9.806_65;

impl Vehicle {
    /// Ambient temperature at which the cabin needs nothing, in degC.
    pub const COMFORT_C: f64 = 21.0;

    /// A mid-size battery car. All numbers are assumptions in the usual range: no particular car, nothing fitted.
    pub const MIDSIZE: Self = Self {
        mass_kg: 1800.0,
        rotating_share: 0.04,
        drag_area_m2: 0.58,
        rolling: 0.010,
        drive_efficiency: 0.88,
        regen_efficiency: 0.70,
        regen_limit_w: 70_000.0,
        auxiliary_w: 400.0,
        cabin_w_per_k: 35.0,
    };

    /// A van with nothing switched on, for FUDS. Assumptions.
    pub const VAN: Self = Self {
        mass_kg: 2700.0,
        rotating_share: 0.04,
        drag_area_m2: 1.9,
        rolling: 0.011,
        drive_efficiency: 0.80,
        regen_efficiency: 0.50,
        regen_limit_w: 30_000.0,
        auxiliary_w: 0.0,
        cabin_w_per_k: 0.0,
    };

    /// Battery power in W over a second in which the speed goes from `from` to `to` (m/s), positive on discharge.
    ///
    /// ```
    /// use bms_sim::vehicle::Vehicle;
    ///
    /// let standing_w = Vehicle::MIDSIZE.battery_power_w(0.0, 0.0, Vehicle::COMFORT_C);
    /// assert_eq!(standing_w, Vehicle::MIDSIZE.auxiliary_w);
    /// ```
    #[must_use]
    pub fn battery_power_w(&self, from: f64, to: f64, ambient_c: f64) -> f64 {
        let speed = 0.5 * (from + to);
        let inertia_n = self.mass_kg * (1.0 + self.rotating_share) * (to - from);
        let drag_n = 0.5 * AIR_KG_PER_M3 * self.drag_area_m2 * speed * speed;
        let rolling_n = self.mass_kg * GRAVITY_M_PER_S2 * self.rolling;
        // At standstill all but the rolling resistance is zero, and so is the speed it is multiplied with.
        let wheel_w = (inertia_n + drag_n + rolling_n) * speed;
        let drive_w = if wheel_w >= 0.0 {
            wheel_w / self.drive_efficiency
        } else {
            (wheel_w * self.regen_efficiency).max(-self.regen_limit_w)
        };
        drive_w + self.auxiliary_w + self.cabin_w_per_k * (ambient_c - Self::COMFORT_C).abs()
    }

    /// The same for each second of a speed trace in m/s: one value fewer than speeds.
    #[must_use]
    pub fn powers_w(&self, speeds_m_per_s: &[f64], ambient_c: f64) -> Vec<f64> {
        speeds_m_per_s.windows(2).map(|v| self.battery_power_w(v[0], v[1], ambient_c)).collect()
    }
}

/// How a pack is made of equal cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLayout {
    /// Cells in series.
    pub series: usize,
    /// Cells in parallel.
    pub parallel: usize,
}

impl PackLayout {
    /// The layout that comes nearest to a voltage and an energy, at least one cell each way.
    #[must_use]
    pub fn nearest(pack_v: f64, pack_wh: f64, cell_v: f64, cell_ah: f64) -> Self {
        // A float beyond the integers, or none, becomes the nearest of them or 0.
        let at_least_one = |x: f64| (x.round() as usize).max(1);
        let series = at_least_one(pack_v / cell_v);
        Self { series, parallel: at_least_one(pack_wh / (series as f64 * cell_v * cell_ah)) }
    }

    /// Number of cells.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.series * self.parallel
    }

    /// Each cell's part of the pack's power in W.
    #[must_use]
    pub fn cell_power_w(&self, pack_w: f64) -> f64 {
        pack_w / self.cells() as f64
    }

    /// Current of a cell in A at a cell voltage in V, for the pack's power in W.
    #[must_use]
    pub fn cell_current_a(&self, pack_w: f64, cell_v: f64) -> f64 {
        self.cell_power_w(pack_w) / cell_v
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::speed::Cycle;

    const PLAIN: Vehicle = Vehicle {
        mass_kg: 1000.0,
        rotating_share: 0.0,
        drag_area_m2: 0.5,
        rolling: 0.01,
        drive_efficiency: 0.8,
        regen_efficiency: 0.5,
        regen_limit_w: 4000.0,
        auxiliary_w: 300.0,
        cabin_w_per_k: 10.0,
    };

    #[test]
    fn powers_are_those_of_a_hand_calculation() {
        // 20 m/s: drag 0.6 · 0.5 · 400 = 120 N, rolling 98.0665 N; 218.0665 · 20 / 0.8 = 5451.66 W.
        let steady = PLAIN.battery_power_w(20.0, 20.0, Vehicle::COMFORT_C);
        assert!((steady - 5451.6625 - 300.0).abs() < 1e-6, "{steady}");
        // 9 to 11 m/s: 2000 + 30 + 98.0665 N at 10 m/s.
        let accelerating = PLAIN.battery_power_w(9.0, 11.0, Vehicle::COMFORT_C);
        assert!((accelerating - 21_280.665 / 0.8 - 300.0).abs() < 1e-6, "{accelerating}");
        // 11 to 10 m/s: -1000 + 33.075 + 98.0665 N at 10.5 m/s is -9123 W; half of it is more than the limit.
        let braking = PLAIN.battery_power_w(11.0, 10.0, Vehicle::COMFORT_C);
        assert!((braking + 4000.0 - 300.0).abs() < 1e-9, "{braking}");
        let gentle = PLAIN.battery_power_w(10.5, 10.0, Vehicle::COMFORT_C);
        let by_hand = 0.5 * (-500.0 + 0.3 * 10.25f64.powi(2) + 98.0665) * 10.25;
        assert!((gentle - by_hand - 300.0).abs() < 1e-6, "{gentle}");
        assert_eq!(PLAIN.battery_power_w(0.0, 0.0, 1.0), 500.0);
    }

    #[test]
    fn a_mid_size_car_needs_what_such_cars_need() {
        for (cycle, low, high) in
            [(Cycle::CltcP, 10.0, 14.5), (Cycle::Wltc3, 13.0, 18.0), (Cycle::Us06, 15.0, 23.0)]
        {
            let speeds = cycle.speeds_m_per_s();
            let km = speeds.iter().sum::<f64>() / 1000.0;
            let kwh = Vehicle::MIDSIZE.powers_w(&speeds, 23.0).iter().sum::<f64>() / 3.6e6;
            let per_100_km = 100.0 * kwh / km;
            assert!((low..high).contains(&per_100_km), "{}: {per_100_km} kWh/100 km", cycle.name());
        }
    }

    #[test]
    fn a_pack_divides_its_power() {
        let layout = PackLayout::nearest(350.0, 60_000.0, 3.7, 5.0);
        assert_eq!(layout, PackLayout { series: 95, parallel: 34 });
        assert!((layout.cell_power_w(95.0 * 34.0 * 2.0) - 2.0).abs() < 1e-12);
        assert!((layout.cell_current_a(95.0 * 34.0 * 2.0, 4.0) - 0.5).abs() < 1e-12);
        assert_eq!(PackLayout::nearest(1.0, 1.0, 3.7, 5.0).cells(), 1);
    }
}
