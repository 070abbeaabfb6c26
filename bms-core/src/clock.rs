//! Time steps from a free-running millisecond counter.

/// Turns a wrapping 32-bit millisecond counter into time steps in seconds.
///
/// The first call gives 0. A counter that wraps after 49.7 days is an ordinary input; a step back looks like a wrap of
/// more than half the range and gives 0, so that a late, reordered sample never runs time backwards or far ahead.
///
/// ```
/// let mut clock = bms_core::clock::StepClock::default();
/// assert_eq!(clock.step_s(u32::MAX - 499), 0.0);
/// assert_eq!(clock.step_s(500), 1.0); // wrapped
/// assert_eq!(clock.step_s(400), 0.0); // reordered
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepClock {
    last_ms: Option<u32>,
}

impl StepClock {
    /// Seconds since the last call's timestamp.
    pub fn step_s(&mut self, now_ms: u32) -> f32 {
        let step = self.last_ms.map_or(0, |last| now_ms.wrapping_sub(last));
        if step > u32::MAX / 2 {
            return 0.0;
        }
        self.last_ms = Some(now_ms);
        // Exact below 2^24 ms (4.6 h); beyond that the rounding is below 1e-7 of the step.
        step as f32 / 1000.0
    }
}
