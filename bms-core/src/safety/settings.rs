//! Limits of the protection.

/// Three limits of one quantity, each further out than the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Where it is told.
    pub information: f32,
    /// Where it is derated.
    pub warning: f32,
    /// Where the pack is switched off.
    pub fatal: f32,
}

impl Levels {
    /// Levels in this order.
    #[must_use]
    pub const fn new(information: f32, warning: f32, fatal: f32) -> Self {
        Self { information, warning, fatal }
    }
}

/// What parts there are, which a pack may have or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitted {
    /// A second current sensor.
    pub second_current: bool,
    /// A measurement of the pack voltage beside that of the cells.
    pub pack_voltage: bool,
    /// Voltages behind the fuse and of the link.
    pub link_voltage: bool,
    /// An insulation monitor.
    pub insulation: bool,
    /// Auxiliary contacts of the contactors.
    pub auxiliary_contacts: bool,
    /// A vehicle that sends requests with counter and check sum.
    pub vehicle: bool,
    /// A flow meter in the coolant.
    pub flow: bool,
    /// A measurement of the heaters' power.
    pub heater_power: bool,
}

/// How exact the sensors are at worst: thresholds of plausibility leave room for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SensorGrade {
    /// Of a cell voltage in V.
    pub cell_voltage_v: f32,
    /// Of the pack voltage as a share of its full scale.
    pub pack_voltage_share: f32,
    /// Of the current as a share of its full scale.
    pub current_share: f32,
    /// Full scale of the current in A.
    pub current_full_a: f32,
    /// Of a temperature in K.
    pub temperature_k: f32,
}

impl SensorGrade {
    /// The limits of GB/T 38661-2020 (from memory: to be checked against the standard): 10 mV, 1 %, 2 %, 2 K.
    #[must_use]
    pub const fn limit(current_full_a: f32) -> Self {
        Self {
            cell_voltage_v: 0.010,
            pack_voltage_share: 0.01,
            current_share: 0.02,
            current_full_a,
            temperature_k: 2.0,
        }
    }
}

/// Precharge and contactors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContactorSettings {
    /// Current in A above which contactors must not open, since their arc may not end; a fatal fault opens them all the
    /// same when the current has not fallen in time.
    pub breaking_a: f32,
    /// Share of the pack voltage that the link must reach.
    pub precharged_share: f32,
    /// Current in A below which the link counts as charged.
    pub precharged_a: f32,
    /// Time in ms that a precharge may take.
    pub precharge_ms: u16,
    /// Time in ms that a contactor takes to close or open, with its auxiliary contact.
    pub travel_ms: u16,
    /// Precharges that may follow one another before the resistor has to cool down.
    pub precharges: u8,
    /// Time in s in which the resistor forgets one precharge.
    pub cool_down_s: u16,
}

/// Everything that the protection is told about the pack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SafetySettings {
    /// Parts that there are.
    pub fitted: Fitted,
    /// Sensors.
    pub grade: SensorGrade,
    /// Longest time in ms between two steps; later ones are told and, three times as late, answered.
    pub period_ms: u16,
    /// Highest cell voltage in V.
    pub cell_high_v: Levels,
    /// Lowest cell voltage in V.
    pub cell_low_v: Levels,
    /// Deep discharge in V.
    pub deep_discharge_v: f32,
    /// Continuous discharge current in A.
    pub discharge_a: Levels,
    /// Pulse discharge current in A, fatal.
    pub pulse_discharge_a: f32,
    /// Continuous charge current in A, positive.
    pub charge_a: Levels,
    /// Pulse charge current in A, positive, fatal.
    pub pulse_charge_a: f32,
    /// Temperatures in degC while discharged.
    pub discharge_hot_c: Levels,
    /// See [`Self::discharge_hot_c`]; falling.
    pub discharge_cold_c: Levels,
    /// Temperatures in degC while charged.
    pub charge_hot_c: Levels,
    /// See [`Self::charge_hot_c`]; falling.
    pub charge_cold_c: Levels,
    /// Difference between the hottest and the coldest sensor in K.
    pub spread_k: Levels,
    /// Rise in K/s: warning, fatal.
    pub rise_k_per_s: [f32; 2],
    /// Highest working temperature in degC, for the rule on thermal runaway.
    pub highest_working_c: f32,
    /// Difference of the states of charge (fraction): information, warning.
    pub imbalance: [f32; 2],
    /// Insulation in ohm per volt of the pack: warning, fatal.
    pub insulation_ohm_per_v: [f32; 2],
    /// Resistance in ohm of one cell with its connection, for what a current does to its voltage; the largest that is sound.
    pub cell_ohm: f32,
    /// Capacity of a cell in Ah.
    pub capacity_ah: f32,
    /// Highest temperature of the balancing board in degC.
    pub board_hot_c: f32,
    /// Contactors.
    pub contactors: ContactorSettings,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SafetySettingsError {
    /// A number is not finite, or not one that the quantity can have.
    Impossible(&'static str),
    /// Levels are not in order, or two limits contradict one another.
    Order(&'static str),
}

impl core::fmt::Display for SafetySettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Impossible(what) => write!(f, "protection: `{what}` is not a number that it can have"),
            Self::Order(what) => write!(f, "protection: the levels of `{what}` are not in order"),
        }
    }
}

impl core::error::Error for SafetySettingsError {}

impl SafetySettings {
    /// For packs of the NMC example cell of 5 Ah, one in parallel, with every part fitted: for documentation and tests.
    ///
    /// ```
    /// use bms_core::safety::settings::SafetySettings;
    /// assert_eq!(SafetySettings::EXAMPLE_NMC_5AH.check(), Ok(()));
    /// ```
    pub const EXAMPLE_NMC_5AH: Self = Self {
        fitted: Fitted {
            second_current: true,
            pack_voltage: true,
            link_voltage: true,
            insulation: true,
            auxiliary_contacts: true,
            vehicle: true,
            flow: true,
            heater_power: true,
        },
        grade: SensorGrade::limit(50.0),
        period_ms: 100,
        cell_high_v: Levels::new(4.19, 4.22, 4.25),
        cell_low_v: Levels::new(3.0, 2.8, 2.5),
        deep_discharge_v: 1.5,
        discharge_a: Levels::new(11.0, 13.0, 15.0),
        pulse_discharge_a: 25.0,
        charge_a: Levels::new(8.0, 9.0, 10.0),
        pulse_charge_a: 15.0,
        discharge_hot_c: Levels::new(50.0, 55.0, 60.0),
        discharge_cold_c: Levels::new(-15.0, -20.0, -30.0),
        charge_hot_c: Levels::new(45.0, 50.0, 55.0),
        charge_cold_c: Levels::new(5.0, 0.0, -20.0),
        spread_k: Levels::new(10.0, 15.0, 25.0),
        rise_k_per_s: [0.1, 1.0],
        highest_working_c: 60.0,
        imbalance: [0.05, 0.10],
        insulation_ohm_per_v: [500.0, 100.0],
        cell_ohm: 0.06,
        capacity_ah: 5.0,
        board_hot_c: 95.0,
        contactors: ContactorSettings {
            breaking_a: 20.0,
            precharged_share: 0.95,
            precharged_a: 1.0,
            precharge_ms: 1000,
            travel_ms: 50,
            precharges: 3,
            cool_down_s: 60,
        },
    };

    /// Checks that every limit can be and that levels are in order: an over-voltage limit below the one before it would
    /// switch off without a warning, one that is NaN would never.
    ///
    /// # Errors
    /// [`SafetySettingsError`] names the setting.
    pub fn check(&self) -> Result<(), SafetySettingsError> {
        use SafetySettingsError::{Impossible, Order};
        let possible = |name, ok: bool| if ok { Ok(()) } else { Err(Impossible(name)) };
        let rising = |name, l: Levels, lo: f32, hi: f32| {
            possible(name, l.information >= lo && l.fatal <= hi)?;
            if l.information <= l.warning && l.warning <= l.fatal { Ok(()) } else { Err(Order(name)) }
        };
        let falling = |name, l: Levels, lo: f32, hi: f32| {
            possible(name, l.information <= hi && l.fatal >= lo)?;
            if l.information >= l.warning && l.warning >= l.fatal { Ok(()) } else { Err(Order(name)) }
        };
        rising("cell_high_v", self.cell_high_v, 0.1, 10.0)?;
        falling("cell_low_v", self.cell_low_v, 0.0, 10.0)?;
        if self.cell_low_v.information >= self.cell_high_v.information {
            return Err(Order("cell_low_v"));
        }
        possible("deep_discharge_v", (-0.1..=self.cell_low_v.fatal).contains(&self.deep_discharge_v))?;
        rising("discharge_a", self.discharge_a, 1e-3, 1e4)?;
        rising("charge_a", self.charge_a, 1e-3, 1e4)?;
        let pulses = [
            ("pulse_discharge_a", self.pulse_discharge_a, self.discharge_a),
            ("pulse_charge_a", self.pulse_charge_a, self.charge_a),
        ];
        for (name, pulse_a, levels) in pulses {
            possible(name, pulse_a.is_finite() && pulse_a <= 1e4)?;
            // Beyond its full scale a sensor could not tell.
            if pulse_a < levels.fatal || pulse_a > self.grade.current_full_a {
                return Err(Order(name));
            }
        }
        rising("discharge_hot_c", self.discharge_hot_c, -40.0, 120.0)?;
        falling("discharge_cold_c", self.discharge_cold_c, -60.0, 60.0)?;
        rising("charge_hot_c", self.charge_hot_c, -40.0, 120.0)?;
        falling("charge_cold_c", self.charge_cold_c, -60.0, 60.0)?;
        rising("spread_k", self.spread_k, 0.1, 100.0)?;
        let pair = |name, [first, second]: [f32; 2], lo: f32, hi: f32| {
            possible(name, (lo..=hi).contains(&first) && (lo..=hi).contains(&second))
        };
        pair("rise_k_per_s", self.rise_k_per_s, 1e-3, 100.0)?;
        pair("imbalance", self.imbalance, 1e-3, 1.0)?;
        for (name, [first, second]) in [("rise_k_per_s", self.rise_k_per_s), ("imbalance", self.imbalance)] {
            if first > second {
                return Err(Order(name));
            }
        }
        pair("insulation_ohm_per_v", self.insulation_ohm_per_v, 1.0, 1e6)?;
        if self.insulation_ohm_per_v[0] < self.insulation_ohm_per_v[1] {
            return Err(Order("insulation_ohm_per_v"));
        }
        possible("highest_working_c", (0.0..=150.0).contains(&self.highest_working_c))?;
        possible("cell_ohm", self.cell_ohm > 0.0 && self.cell_ohm <= 10.0)?;
        possible("capacity_ah", self.capacity_ah > 0.0 && self.capacity_ah <= 1e5)?;
        possible("board_hot_c", (0.0..=200.0).contains(&self.board_hot_c))?;
        possible("period_ms", (1..=60_000).contains(&self.period_ms))?;
        let g = &self.grade;
        possible("grade.cell_voltage_v", (0.0..=0.1).contains(&g.cell_voltage_v))?;
        possible("grade.pack_voltage_share", (0.0..=0.1).contains(&g.pack_voltage_share))?;
        possible("grade.current_share", (0.0..=0.1).contains(&g.current_share))?;
        possible("grade.current_full_a", g.current_full_a > 0.0 && g.current_full_a <= 1e4)?;
        possible("grade.temperature_k", (0.0..=10.0).contains(&g.temperature_k))?;
        let c = &self.contactors;
        possible("contactors.breaking_a", c.breaking_a > 0.0 && c.breaking_a <= 1e4)?;
        possible("contactors.precharged_share", (0.5..=1.0).contains(&c.precharged_share))?;
        possible("contactors.precharged_a", c.precharged_a > 0.0 && c.precharged_a <= 1e3)?;
        // No contactor moves in no time; one that takes longer than a second is none for a pack.
        possible("contactors.travel_ms", (1..=1000).contains(&c.travel_ms))?;
        possible("contactors.precharge_ms", (1..=30_000).contains(&c.precharge_ms))?;
        if c.precharge_ms <= c.travel_ms {
            // It would be over before its contactor has closed.
            return Err(Order("contactors.precharge_ms"));
        }
        possible("contactors.precharges", (1..=100).contains(&c.precharges))?;
        possible("contactors.cool_down_s", (1..=3600).contains(&c.cool_down_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut SafetySettings, f32);

    /// Every number at its ends, beyond them, and none at all; the name in the error is that of the setting.
    #[test]
    fn every_number_has_its_range() {
        let good = SafetySettings::EXAMPLE_NMC_5AH;
        assert_eq!(good.check(), Ok(()));
        let full_a = good.grade.current_full_a;
        let ranges: [(&str, Change, f32, f32); 32] = [
            ("cell_high_v", |s, x| s.cell_high_v.fatal = x, 4.22, 10.0),
            ("cell_low_v", |s, x| s.cell_low_v.information = x, 2.8, 4.189),
            ("cell_low_v", |s, x| s.cell_low_v.warning = x, 2.5, 3.0),
            ("deep_discharge_v", |s, x| s.deep_discharge_v = x, -0.1, 2.5),
            ("discharge_a", |s, x| s.discharge_a.information = x, 1e-3, 13.0),
            ("charge_a", |s, x| s.charge_a.information = x, 1e-3, 9.0),
            ("pulse_discharge_a", |s, x| s.pulse_discharge_a = x, 15.0, full_a),
            ("pulse_charge_a", |s, x| s.pulse_charge_a = x, 10.0, full_a),
            ("discharge_hot_c", |s, x| s.discharge_hot_c.information = x, -40.0, 55.0),
            ("discharge_hot_c", |s, x| s.discharge_hot_c.fatal = x, 55.0, 120.0),
            ("discharge_cold_c", |s, x| s.discharge_cold_c.information = x, -20.0, 60.0),
            ("discharge_cold_c", |s, x| s.discharge_cold_c.fatal = x, -60.0, -20.0),
            ("charge_hot_c", |s, x| s.charge_hot_c.information = x, -40.0, 50.0),
            ("charge_cold_c", |s, x| s.charge_cold_c.fatal = x, -60.0, 0.0),
            ("spread_k", |s, x| s.spread_k.information = x, 0.1, 15.0),
            ("spread_k", |s, x| s.spread_k.fatal = x, 15.0, 100.0),
            ("rise_k_per_s", |s, x| s.rise_k_per_s[0] = x, 1e-3, 1.0),
            ("rise_k_per_s", |s, x| s.rise_k_per_s[1] = x, 0.1, 100.0),
            ("imbalance", |s, x| s.imbalance[0] = x, 1e-3, 0.1),
            ("imbalance", |s, x| s.imbalance[1] = x, 0.05, 1.0),
            ("insulation_ohm_per_v", |s, x| s.insulation_ohm_per_v[0] = x, 100.0, 1e6),
            ("insulation_ohm_per_v", |s, x| s.insulation_ohm_per_v[1] = x, 1.0, 500.0),
            ("highest_working_c", |s, x| s.highest_working_c = x, 0.0, 150.0),
            ("cell_ohm", |s, x| s.cell_ohm = x, 1e-9, 10.0),
            ("capacity_ah", |s, x| s.capacity_ah = x, 1e-9, 1e5),
            ("board_hot_c", |s, x| s.board_hot_c = x, 0.0, 200.0),
            ("grade.cell_voltage_v", |s, x| s.grade.cell_voltage_v = x, 0.0, 0.1),
            ("grade.pack_voltage_share", |s, x| s.grade.pack_voltage_share = x, 0.0, 0.1),
            ("grade.temperature_k", |s, x| s.grade.temperature_k = x, 0.0, 10.0),
            ("contactors.breaking_a", |s, x| s.contactors.breaking_a = x, 1e-9, 1e4),
            ("contactors.precharged_share", |s, x| s.contactors.precharged_share = x, 0.5, 1.0),
            ("contactors.precharged_a", |s, x| s.contactors.precharged_a = x, 1e-9, 1e3),
        ];
        for (name, change, lo, hi) in ranges {
            let with = |x: f32| {
                let mut s = good;
                change(&mut s, x);
                s.check()
            };
            assert_eq!((with(lo), with(hi)), (Ok(()), Ok(())), "{name} {lo} {hi}");
            let step = |x: f32| 1e-3 * x.abs().max(1e-3);
            for x in [lo - step(lo), hi + step(hi), f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let named = |e: SafetySettingsError| match e {
                    SafetySettingsError::Impossible(n) | SafetySettingsError::Order(n) => n,
                };
                assert_eq!(with(x).map_err(named), Err(name), "{name} {x}");
            }
        }
        // Zero is none of a thing that divides.
        let zeros: [(&str, Change); 5] = [
            ("cell_ohm", |s, x| s.cell_ohm = x),
            ("capacity_ah", |s, x| s.capacity_ah = x),
            ("grade.current_full_a", |s, x| s.grade.current_full_a = x),
            ("contactors.breaking_a", |s, x| s.contactors.breaking_a = x),
            ("contactors.precharged_a", |s, x| s.contactors.precharged_a = x),
        ];
        for (name, change) in zeros {
            let mut s = good;
            (s.pulse_discharge_a, s.pulse_charge_a) = (15.0, 10.0);
            change(&mut s, 0.0);
            assert!(s.check().is_err(), "{name}");
        }
        // A sensor's full scale bounds the pulses, and has a range of its own.
        let mut wide = good;
        (wide.grade.current_full_a, wide.pulse_discharge_a) = (1e4, 1e4);
        assert_eq!(wide.check(), Ok(()));
        for full_a in [1.1e4, f32::INFINITY] {
            wide.grade.current_full_a = full_a;
            assert_eq!(wide.check(), Err(SafetySettingsError::Impossible("grade.current_full_a")));
        }
        wide.pulse_discharge_a = 1.1e4;
        assert_eq!(wide.check(), Err(SafetySettingsError::Impossible("pulse_discharge_a")));
        // Levels that are the same are in order.
        let mut same = good;
        (same.cell_high_v, same.cell_low_v) = (Levels::new(4.2, 4.2, 4.2), Levels::new(3.0, 3.0, 3.0));
        (same.rise_k_per_s, same.imbalance) = ([1.0; 2], [0.1; 2]);
        same.insulation_ohm_per_v = [100.0; 2];
        assert_eq!(same.check(), Ok(()));
        same.cell_low_v = same.cell_high_v;
        assert_eq!(same.check(), Err(SafetySettingsError::Order("cell_low_v")));
        let mut contactors = good;
        (contactors.contactors.travel_ms, contactors.contactors.precharge_ms) = (100, 100);
        assert_eq!(contactors.check(), Err(SafetySettingsError::Order("contactors.precharge_ms")));
        contactors.contactors.precharge_ms = 101;
        assert_eq!(contactors.check(), Ok(()));
        // Middle levels count, too.
        for broken in
            [Levels::new(4.19, 4.18, 4.25), Levels::new(4.19, 4.26, 4.25), Levels::new(4.19, f32::NAN, 4.25)]
        {
            let s = SafetySettings { cell_high_v: broken, ..good };
            assert_eq!(s.check(), Err(SafetySettingsError::Order("cell_high_v")));
        }
        for broken in
            [Levels::new(3.0, 3.1, 2.5), Levels::new(3.0, 2.4, 2.5), Levels::new(3.0, f32::NAN, 2.5)]
        {
            let s = SafetySettings { cell_low_v: broken, ..good };
            assert_eq!(s.check(), Err(SafetySettingsError::Order("cell_low_v")));
        }
    }
}
