//! How the state of an estimator is kept over a power-off, and which of its numbers are possible.

use super::{EdgeRegression, Estimate, Estimated, Pending, SocState, Status, StuckVoltage, check_capacity};
use crate::cell::{Age, CircuitPoint, SOC_RANGE};
use crate::charge::ChargeCounter;
use crate::math::abs;
use crate::store::{Problem, Reader, Stored, Writer, stored};
use crate::ud::UdCovariance;

stored!(Pending {
    dt_s: f32 => |p| (0.0..=1e7).contains(&p.dt_s),
    soc_throughput: f32 => |p| (0.0..=1e13).contains(&p.soc_throughput),
    // What the absurdest readings give; beyond it sums overflow.
    lost_soc_variance: f32 => |p| (0.0..=1e30).contains(&p.lost_soc_variance),
});

stored!(EdgeRegression {
    average: Option<(f32, f32)>,
    excess: f32 => |e| abs(e.excess) <= 5.1 * e.weight,
    weight: f32 => |e| e.weight >= 0.0,
});

stored!(StuckVoltage { voltage: f32, slow_drop_v: f32, contradictions: u8 });

/// Flags that there are.
impl Stored for Status {
    const KIND: u32 = u16::KIND;
    const ENCODED_LEN: usize = u16::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        self.0.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let status = Self(u16::decode(from)?);
        if Self::ALL.contains(status) { Ok(status) } else { Err(Problem::Impossible("status")) }
    }
}

stored!(Estimate {
    soc: Estimated,
    current_bias_a: Estimated,
    predicted_v: f32,
    innovation_v: f32,
    model_error_v: f32,
    mean_current_a: f32,
    resistance_scale: f32,
    instant_scale: f32,
    hysteresis: f32,
    status: Status,
});

/// The count must be within the range of SOC that the filter holds it to; a little more is rounding.
fn soc_possible(s: &SocState) -> bool {
    let soc = s.remaining.ampere_hours() / s.capacity_ah;
    soc > SOC_RANGE.0 - 1e-3 && soc < SOC_RANGE.1 + 1e-3
}

// Limits are those that the filter keeps; where it keeps none, any number that a sensor can give.
stored!(SocState {
    capacity_ah: f32 => |s| check_capacity(s.capacity_ah).is_ok(),
    age: Age,
    remaining: ChargeCounter => soc_possible,
    v1: f32 => |s| abs(s.v1) <= 5.0,
    v2: f32 => |s| abs(s.v2) <= 5.0,
    hysteresis: f32 => |s| abs(s.hysteresis) <= 1.001,
    error_v: f32 => |s| abs(s.error_v) <= 1.0,
    resistance_excess: f32 => |s| s.resistance_excess >= -0.6 && s.resistance_excess <= 4.0,
    bias_c: f32 => |s| abs(s.bias_c) <= 1e3,
    overpotential_v: f32 => |s| s.overpotential_v >= 0.0 && s.overpotential_v <= 2.0,
    fixed_variance: f32 => |s| s.fixed_variance >= 0.0 && s.fixed_variance <= 1.0,
    covariance: UdCovariance,
    circuit: CircuitPoint,
    looked_up: Option<(f32, f32)>,
    edges: EdgeRegression,
    temperature_c: f32 => |s| abs(s.temperature_c) <= 1e6,
    current_a: f32 => |s| abs(s.current_a) <= 1e6,
    current_lost_s: f32 => |s| s.current_lost_s >= 0.0,
    pending: Pending,
    started: bool,
    rest_s: f32 => |s| s.rest_s >= 0.0,
    rested_at: Option<f32>,
    full_s: f32 => |s| s.full_s >= 0.0,
    rejected_s: f32 => |s| s.rejected_s >= 0.0,
    blind_s: f32 => |s| s.blind_s >= 0.0,
    light_s: f32 => |s| s.light_s >= 0.0,
    stuck: StuckVoltage,
    // Only what an update can leave behind.
    held: Status => |s| Status::HELD.contains(s.held),
    last_predicted_v: f32,
    last_innovation_v: f32,
});
