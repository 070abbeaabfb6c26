//! What can be wrong with a scenario that can be read.

use super::fault::{FaultKind, MessageError, SignalError};
use super::phase::{Phase, Task};
use super::quantity::Ambient;
use super::{Control, Expect, FORMAT_VERSION, PackFacts, Scenario, ScenarioError, SocSpread, Start};

/// Temperatures in degC beyond which nothing here is valid.
const TEMPERATURES_C: std::ops::RangeInclusive<f64> = -50.0..=80.0;
/// Fastest car in km/h that the vehicle model is used for.
const TOP_SPEED_KMH: f64 = 200.0;
/// Points of state of charge that the core can be told wrongly.
const MOST_WRONG_POINTS: f64 = 50.0;

type Checked = Result<(), ScenarioError>;

fn invalid<T>(at: impl Into<String>, reason: impl Into<String>) -> Result<T, ScenarioError> {
    Err(ScenarioError::Invalid { at: at.into(), reason: reason.into() })
}

/// Checks of the values of one table.
struct Place<'a>(&'a str);

impl Place<'_> {
    fn require(&self, right: bool, reason: impl FnOnce() -> String) -> Checked {
        if right { Ok(()) } else { invalid(self.0, reason()) }
    }

    fn fraction(&self, name: &str, value: f64) -> Checked {
        self.require((0.0..=1.0).contains(&value), || {
            format!("{name} = {value}: a fraction from 0 to 1 is asked for (0.8 for 80 %)")
        })
    }

    fn temperature(&self, name: &str, value: f64) -> Checked {
        self.require(TEMPERATURES_C.contains(&value), || {
            let (low, high) = (TEMPERATURES_C.start(), TEMPERATURES_C.end());
            format!("{name} = {value}: a temperature from {low} to {high} degC is asked for")
        })
    }

    fn positive(&self, name: &str, value: f64) -> Checked {
        self.require(value.is_finite() && value > 0.0, || format!("{name} = {value}: must be above 0"))
    }

    fn finite(&self, name: &str, value: f64) -> Checked {
        self.require(value.is_finite(), || format!("{name} = {value}: must be a finite number"))
    }

    fn each(&self, values: &[(&str, Option<f64>)], check: impl Fn(&Self, &str, f64) -> Checked) -> Checked {
        values.iter().try_for_each(|(name, value)| value.map_or(Ok(()), |v| check(self, name, v)))
    }

    /// Whether number `k` is among `count` things.
    fn among(&self, name: &str, k: usize, count: usize) -> Checked {
        self.require(k < count, || match count {
            0 => format!("{name} = {k}: the pack has none"),
            _ => format!("{name} = {k}: the pack has {count}, counted from 0 to {}", count - 1),
        })
    }
}

impl Scenario {
    /// Checks what the file alone tells.
    pub(super) fn check(&self) -> Checked {
        let top = Place("scenario");
        top.require(self.format_version == FORMAT_VERSION, || {
            format!("format_version = {}: this program reads version {FORMAT_VERSION}", self.format_version)
        })?;
        top.require(!self.title.trim().is_empty(), || "title is empty".into())?;
        top.temperature("ambient_c", self.ambient_c)?;
        top.require(!self.phases.is_empty(), || "there is no [[phase]]: nothing would happen".into())?;
        check_start(&self.start)?;
        check_control(&self.control)?;
        for (k, phase) in self.phases.iter().enumerate() {
            check_phase(&Place(&phase_place(k, phase)), phase)?;
        }
        for (k, fault) in self.faults.iter().enumerate() {
            check_fault(&Place(&fault_place(k, &fault.what)), &fault.what)?;
        }
        check_expect(&self.expect)
    }

    /// Checks what only the pack can tell: whether cells, sensors, channels and modules are there.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`] with the phase or fault.
    pub fn check_against(&self, pack: &PackFacts) -> Checked {
        for (k, phase) in self.phases.iter().enumerate() {
            if let Task::Constant { until_cell_v: Some(v), .. } = phase.task {
                let [low, high] = pack.cell_limits_v;
                Place(&phase_place(k, phase)).require((low..=high).contains(&v), || {
                    format!("until_cell_v = {v}: the cells are used between {low} and {high} V")
                })?;
            }
        }
        for (k, fault) in self.faults.iter().enumerate() {
            let at = fault_place(k, &fault.what);
            let place = Place(&at);
            match fault.what {
                FaultKind::BlockedChannel { channel, .. } => place.among("channel", channel, pack.channels),
                FaultKind::TemperatureOffset { sensor, .. } | FaultKind::TemperatureLost { sensor } => {
                    place.among("sensor", sensor, pack.temperature_sensors)
                }
                FaultKind::VoltageOffset { cell, .. }
                | FaultKind::VoltageLost { cell }
                | FaultKind::BleedStuck { cell } => place.among("cell", cell, pack.series),
                FaultKind::CellVoltage { cell, error } => {
                    place.among("cell", cell, pack.series)?;
                    among_others(&place, error, pack.series)
                }
                FaultKind::Temperature { sensor, error } => {
                    place.among("sensor", sensor, pack.temperature_sensors)?;
                    among_others(&place, error, pack.temperature_sensors)
                }
                FaultKind::Leak { cell, .. }
                | FaultKind::WeakCell { cell, .. }
                | FaultKind::InternalShort { cell, .. }
                | FaultKind::Runaway { cell, .. } => place.among("cell", cell, pack.series * pack.parallel),
                FaultKind::FilmOff { module } => place.among("module", module, pack.modules),
                FaultKind::CurrentOffset { .. }
                | FaultKind::HeaterOff {}
                | FaultKind::ChillerOff {}
                | FaultKind::PumpOff {}
                | FaultKind::ChargerLost { .. }
                | FaultKind::ExternalShort { .. }
                | FaultKind::Insulation { .. }
                | FaultKind::FuseBlown {}
                | FaultKind::ContactorStuck { .. }
                | FaultKind::PrechargeOhm { .. }
                | FaultKind::HeaterStuck { .. }
                | FaultKind::InterlockOpen {}
                | FaultKind::ChargerIgnores { .. }
                | FaultKind::LoadIgnores { .. }
                | FaultKind::Current { .. }
                | FaultKind::PackVoltage { .. }
                | FaultKind::Message { .. }
                | FaultKind::Memory { .. }
                | FaultKind::LateSteps { .. } => Ok(()),
            }?;
        }
        Ok(())
    }
}

fn phase_place(k: usize, phase: &Phase) -> String {
    format!("phase {} ({})", k + 1, phase.task.kind())
}

fn fault_place(k: usize, fault: &FaultKind) -> String {
    format!("fault {} ({})", k + 1, fault.kind())
}

fn check_start(start: &Start) -> Checked {
    let place = Place("[start]");
    place.fraction("soc", start.soc)?;
    if let Some(SocSpread::Std(spread) | SocSpread::Linear(spread)) = start.soc_spread {
        place.fraction("soc_spread", spread)?;
    }
    place.each(&[("temperature_c", start.temperature_c)], Place::temperature)?;
    let wrong = start.core_soc_error_points;
    place.require(wrong.abs() <= MOST_WRONG_POINTS, || {
        format!("core_soc_error_points = {wrong}: at most {MOST_WRONG_POINTS} points either way")
    })
}

fn check_control(control: &Control) -> Checked {
    let targets = control.targets;
    Place("[control.targets]").each(
        &[
            ("drive_c", targets.drive_c),
            ("fast_charge_c", targets.fast_charge_c),
            ("charge_c", targets.charge_c),
            ("park_c", targets.park_c),
        ],
        Place::temperature,
    )
}

fn check_phase(place: &Place<'_>, phase: &Phase) -> Checked {
    if let Some(ambient) = phase.ambient_c {
        ambient.values().try_for_each(|t| place.temperature("ambient_c", t))?;
        place
            .require(matches!(ambient, Ambient::Constant(_)) || phase.task.duration_s().is_some(), || {
                "ambient_c changes from one value to another, so the phase needs a duration".into()
            })?;
    }
    place.require(phase.task.duration_s().is_none_or(|s| s > 0.0), || "its duration is 0".into())?;
    let has_end = |ends: bool, by: &str| place.require(ends, || format!("nothing ends it: give {by}"));
    match &phase.task {
        Task::Drive { until_soc, .. } => place.each(&[("until_soc", *until_soc)], Place::fraction),
        Task::Motorway { speed_kmh, until_soc, duration } => {
            place.positive("speed_kmh", *speed_kmh)?;
            place.require(*speed_kmh <= TOP_SPEED_KMH, || {
                format!("speed_kmh = {speed_kmh}: at most {TOP_SPEED_KMH}")
            })?;
            has_end(duration.is_some() || until_soc.is_some(), "duration or until_soc")?;
            place.each(&[("until_soc", *until_soc)], Place::fraction)
        }
        Task::Constant { power_w, current_a, c_rate, duration, until_soc, until_cell_v } => {
            let given = [("power_w", *power_w), ("current_a", *current_a), ("c_rate", *c_rate)];
            let count = given.iter().filter(|(_, v)| v.is_some()).count();
            place.require(count == 1, || {
                format!("give exactly one of power_w, current_a and c_rate ({count} are given)")
            })?;
            place.each(&given, Place::finite)?;
            let ends = duration.is_some() || until_soc.is_some() || until_cell_v.is_some();
            has_end(ends, "duration, until_soc or until_cell_v")?;
            place.each(&[("until_soc", *until_soc)], Place::fraction)?;
            place.each(&[("until_cell_v", *until_cell_v)], Place::positive)
        }
        Task::Charge { charger_c_rate, charger_kw, until_soc, .. } => {
            let limits = [("charger_c_rate", *charger_c_rate), ("charger_kw", *charger_kw)];
            place.each(&limits, Place::positive)?;
            place.each(&[("until_soc", *until_soc)], Place::fraction)
        }
        Task::Preheat { target_c, .. } => place.temperature("target_c", *target_c),
        Task::Park { awake, plugged, .. } => place.require(*awake || !plugged, || {
            "plugged = true needs awake = true: a sleeping core switches nothing on".into()
        }),
        Task::Balance { .. } => Ok(()),
    }
}

fn check_fault(place: &Place<'_>, fault: &FaultKind) -> Checked {
    match *fault {
        FaultKind::BlockedChannel { share, .. } => place.fraction("share", share),
        FaultKind::TemperatureOffset { offset_k, .. } => place.finite("offset_k", offset_k),
        FaultKind::VoltageOffset { offset_v, .. } => place.finite("offset_v", offset_v),
        FaultKind::CurrentOffset { offset_a } => place.finite("offset_a", offset_a),
        FaultKind::Leak { current_a, .. } => place.positive("current_a", current_a),
        FaultKind::WeakCell { capacity_factor, resistance_factor, .. } => {
            place.positive("capacity_factor", capacity_factor)?;
            place.require(capacity_factor <= 1.0, || {
                format!("capacity_factor = {capacity_factor}: at most 1")
            })?;
            place.positive("resistance_factor", resistance_factor)
        }
        FaultKind::ChargerLost { duration } => place.positive("duration", duration.0),
        FaultKind::InternalShort { ohm, .. }
        | FaultKind::ExternalShort { ohm }
        | FaultKind::Insulation { ohm } => place.positive("ohm", ohm),
        FaultKind::PrechargeOhm { ohm } => {
            place.require(ohm > 0.0, || format!("ohm = {ohm}: must be above 0"))
        }
        FaultKind::HeaterStuck { power_w } => place.positive("power_w", power_w),
        FaultKind::ChargerIgnores { current_a } => place.positive("current_a", current_a),
        FaultKind::LoadIgnores { current_a } => place.finite("current_a", current_a),
        FaultKind::LateSteps { every_ms } => place.positive("every_ms", f64::from(every_ms)),
        FaultKind::CellVoltage { error, .. } => check_signal(place, error, Signal::Cell),
        FaultKind::Temperature { error, .. } => check_signal(place, error, Signal::Many),
        FaultKind::Current { error, .. } | FaultKind::PackVoltage { error } => {
            check_signal(place, error, Signal::Single)
        }
        FaultKind::Message { error: MessageError::OneIn(n), .. } => {
            place.positive("error.one_in", f64::from(n))
        }
        FaultKind::TemperatureLost { .. }
        | FaultKind::VoltageLost { .. }
        | FaultKind::HeaterOff {}
        | FaultKind::FilmOff { .. }
        | FaultKind::ChillerOff {}
        | FaultKind::PumpOff {}
        | FaultKind::Runaway { .. }
        | FaultKind::FuseBlown {}
        | FaultKind::ContactorStuck { .. }
        | FaultKind::BleedStuck { .. }
        | FaultKind::InterlockOpen {}
        | FaultKind::Message { .. }
        | FaultKind::Memory { .. } => Ok(()),
    }
}

/// What a wrong reading is swapped with must be there.
fn among_others(place: &Place<'_>, error: SignalError, count: usize) -> Checked {
    match error {
        SignalError::SwappedWith(other) => place.among("error.swapped_with", other, count),
        _ => Ok(()),
    }
}

fn check_signal(place: &Place<'_>, error: SignalError, of: Signal) -> Checked {
    match error {
        SignalError::Jump(by) | SignalError::Drift(by) => place.finite("error", by),
        SignalError::Noise(std) => place.positive("error.noise", std),
        SignalError::SwappedWith(_) => place
            .require(of != Signal::Single, || "error.swapped_with: there is none to be swapped with".into()),
        SignalError::Reversed => {
            place.require(of == Signal::Cell, || "error = \"reversed\": only a cell voltage can be".into())
        }
        SignalError::Stuck | SignalError::OpenWire | SignalError::Lost => Ok(()),
    }
}

/// What kind of reading is wrong: that of a cell, one of many others, or one alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Cell,
    Many,
    Single,
}

fn check_expect(expect: &Expect) -> Checked {
    let place = Place("[expect]");
    place.each(
        &[
            ("max_delta_t_k", expect.max_delta_t_k),
            ("min_heating_rate_c_per_min", expect.min_heating_rate_c_per_min),
            ("max_soc_spread_points", expect.max_soc_spread_points),
            ("max_charge_10_80_s", expect.max_charge_10_80_s),
            ("min_cell_v", expect.min_cell_v),
            ("max_cell_v", expect.max_cell_v),
            ("max_soc_error_points", expect.max_soc_error_points),
            ("max_duration_s", expect.max_duration_s),
        ],
        Place::positive,
    )?;
    place.each(&[("max_core_c", expect.max_core_c), ("min_anode_v", expect.min_anode_v)], Place::finite)?;
    place.each(&[("min_end_soc", expect.min_end_soc)], Place::fraction)
}
