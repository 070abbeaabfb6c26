//! Results as one number: equal exactly (but for one in four thousand million) if every bit of every result is.

use bms_core::bms::Output;
use bms_core::controller::Decision;
use bms_core::safety::limits::DirectionLimit;
use bms_core::soc::{Estimate, Estimated};
use bms_core::sop::PowerLimits;
use bms_core::store::{Stored, Writer};

/// FNV-1a over words (Fowler, Noll, Vo: "The FNV Non-Cryptographic Hash Algorithm", IETF draft).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub u32);

impl Default for Digest {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Digest {
    /// Takes in a word.
    pub fn word(&mut self, word: u32) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// Takes in the bits of a number; all that are none are the same.
    pub fn number(&mut self, x: f32) {
        self.word(if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() });
    }

    /// Takes in many numbers.
    pub fn numbers(&mut self, all: &[f32]) {
        all.iter().for_each(|x| self.number(*x));
    }

    /// Takes in a value and its standard deviation.
    pub fn estimated(&mut self, e: &Estimated) {
        self.numbers(&[e.value, e.std]);
    }

    /// Takes in all that the filter tells.
    pub fn estimate(&mut self, e: &Estimate) {
        self.estimated(&e.soc);
        self.estimated(&e.current_bias_a);
        self.numbers(&[e.predicted_v, e.innovation_v, e.model_error_v, e.mean_current_a]);
        self.numbers(&[e.resistance_scale, e.instant_scale, e.hysteresis]);
        self.word(u32::from(e.status.bits()));
    }

    /// Takes in limits of power and current.
    pub fn power(&mut self, p: &PowerLimits) {
        for limit in p.discharge.iter().chain(&p.charge) {
            self.numbers(&[limit.power_w, limit.current_a]);
            self.word(limit.power_by as u32);
            self.word(limit.current_by as u32);
        }
    }

    /// Takes in everything that was decided.
    pub fn decision<const N: usize, const M: usize>(&mut self, d: &Decision<N, M>) {
        d.contactors.iter().for_each(|closed| self.word(u32::from(*closed)));
        for word in [d.position as u32, d.mode as u32, u32::from(d.alarm), d.lock as u32] {
            self.word(word);
        }
        self.word(d.level.map_or(u32::MAX, |level| level as u32));
        self.word(d.reason.map_or(u32::MAX, |reason| reason as u32));
        let mut limit = |l: &DirectionLimit| {
            self.numbers(&[l.current_a, l.power_w]);
            self.word(l.by as u32);
        };
        limit(&d.limits.discharge);
        limit(&d.limits.charge);
        self.commands(&d.bms);
    }

    /// Takes in every command of estimators and controls.
    pub fn commands<const N: usize, const M: usize>(&mut self, o: &Output<N, M>) {
        self.numbers(&[o.climate.flow_l_per_min, o.climate.chiller_w, o.climate.heater_w]);
        self.numbers(&o.climate.film_w);
        self.word(u32::from(o.climate.reverse));
        self.word(o.climate.action as u32);
        self.word(o.climate.limit as u32);
        self.numbers(&[o.preheat.coolant_w, o.preheat.film_w, o.preheat.discharge_a, o.preheat.charge_a]);
        self.numbers(&[o.preheat.frequency_hz, o.preheat.pulse_w]);
        self.numbers(&[o.charge.current_a, o.charge.pack_voltage_limit_v]);
        self.number(o.charge.time_to_end_s.unwrap_or(-1.0));
        self.word(u32::from(o.charge.state.code()));
        self.word(u32::from(o.charge.limited_by.code()));
        self.numbers(&o.balance.current_a);
        self.numbers(&o.balance.moved_ah);
        self.numbers(&[o.balance.hold_s, o.balance.loss_w, o.balance.lost_wh, o.balance.to_lose_wh]);
        self.number(o.balance.finish_s.unwrap_or(-1.0));
        self.word(o.balance.status as u32);
        self.power(&o.power.best);
        self.power(&o.power.safe);
    }

    /// Takes in everything that would be kept over a sleep, by way of `scratch`, which must be long enough.
    pub fn stored<T: Stored>(&mut self, value: &T, scratch: &mut [u8]) {
        let mut writer = Writer::new(scratch);
        value.encode(&mut writer);
        self.word(u32::from(writer.fits()));
        for four in scratch.chunks_exact(4).take(T::ENCODED_LEN.div_ceil(4)) {
            self.word(four.first_chunk().map_or(0, |four| u32::from_le_bytes(*four)));
        }
    }
}
