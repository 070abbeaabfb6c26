//! The filter's constants: one frozen set per chemistry, for all temperatures, ages, profiles and start errors.
//!
//! Found by a search over part of the drives (`examples/tune.rs` and `verify::split` of the simulator name them); the
//! rest is scored on its own. Where the search had no opinion, the value is what the cell or the sensor suggests.

/// Constants of the estimator. Standard deviations describe the cell and the sensors, not the wishes of whoever tunes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Standard deviation of the start SOC (fraction).
    pub initial_soc_std: f32,
    /// Standard deviation of the current sensor's offset, in multiples of the capacity per hour (C-rate).
    pub current_bias_std_c: f32,
    /// Random walk of that offset, C-rate per square root of an hour.
    pub current_bias_walk_c: f32,
    /// Noise of one reading of the current sensor while the contactors are open (C-rate).
    pub zero_current_std_c: f32,
    /// Gain error of the current sensor (and of the capacity), as a share of the charge that passes.
    pub charge_gain_std: f32,
    /// White noise of one voltage reading in V.
    pub voltage_noise_v: f32,
    /// Error of the instantaneous voltage drop, as a share of it.
    pub drop_error: f32,
    /// Readings closer together than this share their error (s).
    pub white_interval_s: f32,
    /// Factor on the identified slow model error of the cell file.
    pub model_error_scale: f32,
    /// Share of the offset's voltage drop that the filter takes as evidence of it (0..=1).
    pub bias_voltage_share: f32,
    /// The overpotential that counts, in multiples of the one that the circuit explains.
    pub overpotential_cap: f32,
    /// Error of the fast RC pair as a share of the overpotential.
    pub fast_error: f32,
    /// Error of the slow RC pair as a share of the overpotential.
    pub slow_error: f32,
    /// Standard deviation of the resistance against the tables (ratio).
    pub resistance_std: f32,
    /// Correlation time of the resistance's deviation (s).
    pub resistance_time_s: f32,
    /// Slow model error as a share of the overpotential.
    pub polarisation_error: f32,
    /// Slow model error as an error along the SOC axis (fraction): the table's own SOC is not exact.
    pub axis_error_soc: f32,
    /// Growth of that error per unit of lost capacity: ageing ages the electrodes against each other.
    pub ageing_axis_error: f32,
    /// Correlation time of the slow model error under load (s).
    pub model_error_time_s: f32,
    /// Correlation length of the slow model error in SOC (fraction).
    pub model_error_length_soc: f32,
    /// Process noise of the hysteresis state per unit of charge throughput (fraction of full).
    pub hysteresis_noise: f32,
    /// Part of the way from the lower cut-off to the open-circuit voltage below which a loaded cell's voltage is not used.
    pub collapse_share: f32,
    /// How long after such a voltage none is used (s).
    pub collapse_hold_s: f32,
    /// Innovation gate in standard deviations.
    pub gate_sigma: f32,
    /// Seconds of rejected innovations after which the filter widens and takes the voltage in again.
    pub gate_recovery_s: f32,
    /// Currents below this count as rest (C-rate, after the learnt offset).
    pub rest_current_c: f32,
    /// Rest at 25 degC after which the voltage counts as open-circuit voltage (s); doubles for every 15 K colder.
    pub rest_time_s: f32,
    /// Standard deviation of the open-circuit table after such a rest (V).
    pub rest_voltage_std_v: f32,
    /// Standard deviation of SOC = 1 at the end of a full charge (fraction).
    pub full_soc_std: f32,
    /// Charge current below which a charge at the upper voltage limit is full (C-rate).
    pub full_current_c: f32,
    /// Time between two voltage updates (s); samples in between are counted and predicted.
    pub update_period_s: f32,
    /// Which parts are switched on; all of them, except in ablations.
    pub parts: Parts,
}

/// Parts of the estimator that an ablation can switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Hysteresis state.
    pub hysteresis: bool,
    /// Current-bias state.
    pub bias: bool,
    /// Correlated model error; without it the same variance counts as white noise.
    pub correlated_error: bool,
    /// Rest and full-charge anchors.
    pub anchors: bool,
    /// Resistance tracking.
    pub resistance: bool,
}

impl Parts {
    /// Everything on.
    pub const ALL: Self =
        Self { hysteresis: true, bias: true, correlated_error: true, anchors: true, resistance: true };
}

impl Tuning {
    /// Layered oxides with a sloping open-circuit voltage (NMC, LCO).
    pub const NMC: Self = Self {
        initial_soc_std: 0.189,
        current_bias_std_c: 0.0345,
        current_bias_walk_c: 0.000146,
        zero_current_std_c: 0.002,
        charge_gain_std: 0.00649,
        voltage_noise_v: 0.0132,
        drop_error: 0.152,
        white_interval_s: 23.2,
        bias_voltage_share: 0.0134,
        overpotential_cap: 4.15,
        fast_error: 1.0,
        slow_error: 0.136,
        resistance_std: 0.08,
        resistance_time_s: 269.0,
        model_error_scale: 0.05,
        polarisation_error: 0.182,
        axis_error_soc: 0.00189,
        ageing_axis_error: 0.1,
        model_error_time_s: 7250.0,
        model_error_length_soc: 0.491,
        hysteresis_noise: 1.79,
        collapse_share: 0.348,
        collapse_hold_s: 167.0,
        rest_voltage_std_v: 0.0091,
        gate_sigma: 4.5,
        rest_time_s: 1190.0,
        gate_recovery_s: 30.0,
        rest_current_c: 0.005,
        full_soc_std: 0.01,
        full_current_c: 0.05,
        update_period_s: 1.0,
        parts: Parts::ALL,
    };
    /// Nickel cobalt aluminium oxide.
    pub const NCA: Self = Self::NMC;
    /// Lithium iron phosphate.
    pub const LFP: Self = Self {
        initial_soc_std: 0.2,
        current_bias_std_c: 0.0478,
        current_bias_walk_c: 0.000113,
        zero_current_std_c: 0.002,
        charge_gain_std: 0.002,
        voltage_noise_v: 0.02,
        drop_error: 0.8,
        white_interval_s: 40.0,
        bias_voltage_share: 0.212,
        overpotential_cap: 6.0,
        fast_error: 0.14,
        slow_error: 0.0669,
        resistance_std: 0.6,
        resistance_time_s: 2340.0,
        model_error_scale: 0.0656,
        polarisation_error: 0.0868,
        axis_error_soc: 0.0221,
        ageing_axis_error: 0.0652,
        model_error_time_s: 19900.0,
        model_error_length_soc: 0.5,
        hysteresis_noise: 0.0154,
        collapse_share: 0.388,
        collapse_hold_s: 900.0,
        rest_voltage_std_v: 0.00596,
        gate_sigma: 4.0,
        rest_time_s: 3600.0,
        ..Self::NMC
    };
}
