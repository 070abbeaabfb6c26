//! Calls every public function of `bms-core` on inputs that the compiler knows nothing about. Its panic handler calls a
//! function that does not exist, so that a program made from it links only if no panic is reachable.
#![no_std]

mod bus;

use core::fmt::{Display, Write};
use core::hint::black_box;
use core::panic::PanicInfo;

use bms_core::balance::active::{ActiveBalancer, ActiveLimits, Meet};
use bms_core::balance::passive::{BalanceLimits, Balancer};
use bms_core::balance::{Activity, BalanceCell, BalanceCommand, BalanceError, BalanceInput, BalanceState};
use bms_core::bms::{self, Bms, BmsError, BmsState, Models, Output, Request, Sample};
use bms_core::cell::{CellModel, CellTables, CircuitPoint, OcvPoint, ParameterError};
use bms_core::charge::ChargeCounter;
use bms_core::charging::{
    ChargeCommand, ChargeController, ChargeInput, ChargeMemory, ChargeSettings, ChargeSettingsError,
};
use bms_core::climate::{
    Climate, ClimateCommand, ClimateError, ClimateInput, ClimateLedger, ClimateSettings,
};
use bms_core::clock::StepClock;
use bms_core::controller::{self, Controller, ControllerError, ControllerState, MemoryPart};
use bms_core::energy::{self, Energy};
use bms_core::estimator::{CellEstimate, CellEstimator, CellState};
use bms_core::leak::{Leak, LeakError, LeakLimits, LeakMonitor, LeakSample};
use bms_core::measurement::{Measurement, Reading, Validity};
use bms_core::pack::{self, PackEstimator, PackMeasurement, PackState, Spread};
use bms_core::parameters::{self, Chemistry, Parameters, ParametersError};
use bms_core::predict::{Heat, Hold, PulseModel, Start, Surface};
use bms_core::preheat::{
    Plan, PreheatCommand, PreheatError, PreheatInput, PreheatReport, Preheater, Refusal, Settings,
};
use bms_core::pulse::{PulseObserver, PulseState};
use bms_core::resistance::new_cell_ohm;
use bms_core::safety::contactors::OpeningRules;
use bms_core::safety::frame::Frame;
use bms_core::safety::ledger::{DiagnosisSet, Finding};
use bms_core::safety::limits::LimitSettings;
use bms_core::safety::link;
use bms_core::safety::settings::{SafetySettings, SafetySettingsError};
use bms_core::safety::table::{Diagnosis, Level, Reaction};
use bms_core::safety::{Context, Readings, Safety, SensorPlaces};
use bms_core::soc::{Estimate, Estimated, OperatingPoint, SocEstimator, SocState, Status};
use bms_core::sop::{self, Limits, NegativeElectrode, NegativeState, PowerState, Publisher};
use bms_core::store::{Loaded, Problem, Reader, Store, Stored, Writer, crc32, fingerprint};
use bms_core::temperatures::{CellTemperatures, Layout, LayoutError, SensorTrims, TemperatureInput};
use bms_core::thermal::{CoreEstimator, ThermalParameterError, ThermalParameters, loss_w};
use bms_core::tuning::Tuning;
use bms_core::ud::{N, UdCovariance};

#[cfg(feature = "break-with-alloc")]
extern crate alloc;

unsafe extern "C" {
    /// Defined nowhere.
    fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never linked, hence never called.
    unsafe { a_panic_is_reachable() }
}

/// Everything that a caller can hand over; nothing is known about any of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    tables: CellTables<'a>,
    number: [f32; 8],
    states: [[f32; N]; 2],
    index: usize,
    milliseconds: u32,
    sample: Measurement,
}

/// What all cells of a pack share.
#[repr(C)]
pub struct Shared<'a> {
    model: CellModel<'a>,
    tuning: Tuning,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_measurement(inputs: &Inputs<'_>) -> Measurement {
    let [v, i, t, mean, lo, hi, ..] = inputs.number;
    let mut sample = Measurement::new(v, i, t).with_mean_current(mean);
    black_box((sample.voltage_v.valid(), sample.voltage_v.validity() == Validity::Valid));
    sample.current_a = Reading::within(i, lo, hi);
    sample.temperature_c = black_box([Reading::MISSING, Reading::rejected(t), sample.temperature_c])
        .get(inputs.index)
        .copied()
        .unwrap_or_default();
    sample
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_charge_and_clock(
    inputs: &Inputs<'_>,
    counter: &mut ChargeCounter,
    clock: &mut StepClock,
) {
    counter.add_coulomb(inputs.number[0]);
    black_box((counter.ampere_hours(), counter.microcoulombs()));
    counter.set_ampere_hours(inputs.number[1]);
    black_box(clock.step_s(inputs.milliseconds));
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_covariance(inputs: &Inputs<'_>, p: &mut UdCovariance) {
    let [a, b] = &inputs.states;
    *p = UdCovariance::diagonal(*a);
    p.propagate(a, b);
    p.add_noise(inputs.index, inputs.number[0]);
    black_box(p.projected_variance(b));
    black_box(p.update(b, inputs.number[1]));
    p.cap_last(inputs.number[2]);
    p.sanitise();
    black_box((p.variance(inputs.index), p.factors()));
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_model(inputs: &Inputs<'_>) -> bool {
    match CellModel::new(inputs.tables) {
        Ok(model) => proof_look_ups(inputs, &model),
        Err(e) => proof_errors(e),
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_look_ups(inputs: &Inputs<'_>, model: &CellModel<'_>) -> bool {
    let [t, z, w, v, i, ..] = inputs.number;
    let point: CircuitPoint = model.circuit(t, z);
    let age = model.age(w);
    let ocv: OcvPoint = model.ocv(t, z, &age);
    black_box((point.instant_drop(i), ocv, model.ocv_slope(t, z, w, &age), model.soc_from_ocv(t, v, &age)));
    black_box(model.tables());
    model.outside_by_k(t) > 5.0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_soc_new<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    estimator: &mut SocEstimator<'a>,
) -> bool {
    let [capacity, soc, ..] = inputs.number;
    match SocEstimator::new(&shared.model, &shared.tuning, capacity, soc) {
        Ok(e) => *estimator = e,
        Err(e) => return proof_errors(e),
    }
    true
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_soc_step(
    inputs: &Inputs<'_>,
    estimator: &mut SocEstimator<'_>,
    out: &mut Estimate,
) -> f32 {
    *out = estimator.step(&inputs.sample, inputs.number[0]);
    black_box((estimator.covariance().factors(), out.status.contains(Status::FULL), out.status.bits()));
    black_box(*estimator == black_box(*estimator));
    estimator.raw_soc()
}

/// What predictions start from; nothing is known about any of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Ahead {
    limits: Limits,
    start: Start,
    heat: Heat,
    hold: [Hold; 2],
}

/// `rows` and `gain` are as long as the caller says.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_sop(
    inputs: &Inputs<'_>,
    shared: &Shared<'_>,
    (rows, gain): (&[f32], &[[f32; 2]]),
    ahead: &Ahead,
    publisher: &mut Publisher,
) -> PowerState {
    let [v, i, dt, rise, ..] = inputs.number;
    let model = PulseModel { cell: &shared.model, surface: Surface { temperature_c: rows, gain } };
    let at: OperatingPoint = ahead.start.at;
    let mut pulses = PulseObserver::new(model);
    pulses.step(&at, Some(v), i, dt);
    let mut pulses = PulseObserver::restore(model, black_box(pulses.rested().state()));
    pulses.step(&at, None, i, dt);
    let mut negative = NegativeElectrode::restore(model, black_box(NegativeElectrode::new(model).state()));
    negative.step(&at, i, dt);
    let (free, full) = (black_box(pulses.start(&at)), Limits::of_cell(&shared.model, v, i));
    let alone = sop::power(&model, &full, &free, None);
    let pair = [&free, &ahead.start];
    let string = sop::power_of_string(&model, &ahead.limits, pair, Some(&negative));
    let both = string.tighter(&black_box(alone));
    *publisher = Publisher::new(rise, dt, v);
    black_box((publisher.step(both.safe.discharge[0].power_w, dt), publisher.published()));
    black_box(both.best.charge[2].power_by.code());
    both
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_energy(inputs: &Inputs<'_>, shared: &Shared<'_>, ahead: &Ahead) -> [Energy; 2] {
    let [v, z, i, full, ..] = inputs.number;
    let model = PulseModel::from(&shared.model);
    let start = Start::from(ahead.start.at);
    let [load, _] = ahead.hold;
    [
        energy::remaining(&model, &start, load, v, z, Some(ahead.heat)),
        energy::to_full(&model, &ahead.start, i, full, v, z, None),
    ]
}

/// What a charge goes by; nothing is known about any of it.
pub struct Charging<'a> {
    settings: ChargeSettings<'a>,
    memory: ChargeMemory,
    input: ChargeInput,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_charging<'a>(
    shared: &'a Shared<'a>,
    charging: &Charging<'a>,
    control: &mut ChargeController<'a>,
) -> ChargeCommand {
    let negative = PulseModel::from(&shared.model);
    match ChargeController::restore(&shared.model, charging.settings, Some(negative), charging.memory) {
        Ok(new) => *control = new,
        Err(e) => proof_charging_error(e),
    }
    black_box(ChargeController::new(&shared.model, charging.settings, None).is_ok());
    let command = control.step(&charging.input);
    black_box((control.memory(), command.state.code(), command.limited_by.code()));
    command
}

#[inline(never)]
fn proof_charging_error(e: ChargeSettingsError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_cell_new<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    cell: &mut CellEstimator<'a>,
) -> bool {
    let [soc, q, q_std, r, r_std, ..] = inputs.number;
    let known = |value, std| Estimated { value, std };
    let made = match inputs.index {
        0 => CellEstimator::new(&shared.model, &shared.tuning, soc),
        1 => CellEstimator::aged(&shared.model, &shared.tuning, soc, known(q, q_std), known(r, r_std)),
        _ => CellEstimator::starting_at(
            &shared.model,
            &shared.tuning,
            known(soc, r_std),
            known(q, q_std),
            known(r, r_std),
        ),
    };
    match made {
        Ok(e) => *cell = e,
        Err(e) => return proof_errors(e),
    }
    true
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_cell_step(
    inputs: &Inputs<'_>,
    shared: &Shared<'_>,
    cell: &mut CellEstimator<'_>,
    out: &mut CellEstimate,
) -> f32 {
    let [dt_s, t, z, ..] = inputs.number;
    black_box(cell.step(&inputs.sample, dt_s));
    *out = cell.step_cooled(&inputs.sample, inputs.sample.voltage_v, dt_s);
    black_box(cell.operating_point());
    let (capacity, resistance) = (cell.capacity_tracker(), cell.resistance_tracker());
    black_box((capacity.soh_q(), capacity.windows(), resistance.soh_r(), resistance.blocks()));
    black_box((resistance.scale_at(&shared.model, t, z), new_cell_ohm(&shared.model, t, z)));
    black_box(*cell == black_box(*cell));
    cell.soc_estimator().raw_soc()
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_pack_new<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    pack: &mut PackEstimator<'a, 96>,
) -> bool {
    let [capacity, soc, ..] = inputs.number;
    black_box(PackEstimator::<96>::new(&shared.model, &shared.tuning, capacity, soc).is_ok());
    let start = Estimated { value: soc, std: inputs.number[2] };
    match PackEstimator::starting_at(&shared.model, &shared.tuning, capacity, start) {
        Ok(p) => *pack = p,
        Err(e) => return proof_errors(e),
    }
    true
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_pack_step(
    inputs: &Inputs<'_>,
    sample: &PackMeasurement<96>,
    pack: &mut PackEstimator<'_, 96>,
) -> f32 {
    *pack = pack.with_spread(Spread { soc_std: inputs.number[4], ..Spread::TYPICAL });
    black_box(pack.set_capacity(inputs.number[3]).is_ok());
    if let Err(e) = pack.bleed(inputs.index, inputs.number[1]) {
        black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
    }
    black_box(pack.step(sample, inputs.number[0]));
    black_box((pack.cell(inputs.index), pack.operating_point(inputs.index)));
    pack.estimate().usable_ah + pack.reference().raw_soc()
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_leak(
    inputs: &Inputs<'_>,
    sample: &LeakSample<96>,
    monitor: &mut LeakMonitor<96>,
    out: &mut Leak,
) -> usize {
    let [capacity_ah, per_month, significance, largest_soc_std, ..] = inputs.number;
    match LeakMonitor::new(capacity_ah, LeakLimits { per_month, significance, largest_soc_std }) {
        Ok(new) => *monitor = new,
        Err(e) => proof_leak_error(e),
    }
    monitor.add(sample);
    *out = monitor.cell(inputs.index).unwrap_or_default();
    monitor.leaky().count()
}

#[inline(never)]
fn proof_leak_error(e: LeakError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

/// Balancers with whatever limits a caller has, and their commands.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Balance<'a> {
    input: BalanceInput<'a, 96>,
    limits: (BalanceLimits, ActiveLimits),
    cell: pack::CellEstimate,
    passive: Balancer<96>,
    active: ActiveBalancer<96>,
    out: [BalanceCommand<96>; 3],
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_balance(inputs: &Inputs<'_>, b: &mut Balance<'_>, memory: &mut [&mut [u8]; 3]) -> f32 {
    let [one, two, bytes] = memory;
    let (store, loaded): (_, Loaded<BalanceState<96>>) = Store::load(3, one, two);
    let made = match loaded.value {
        Some(state) => Balancer::restore(b.limits.0, state)
            .and_then(|p| ActiveBalancer::restore(b.limits.1, state).map(|a| (p, a))),
        None => Balancer::new(b.limits.0).and_then(|p| ActiveBalancer::new(b.limits.1).map(|a| (p, a))),
    };
    match made {
        Ok((passive, active)) => (b.passive, b.active) = (passive, active),
        Err(e) => proof_balance_error(e),
    }
    let mut cells = *b.input.cells;
    if let Some(c) = cells.get_mut(inputs.index) {
        *c = BalanceCell::new(&b.cell, inputs.sample.voltage_v, inputs.number[0]);
    }
    let input = BalanceInput { cells: &cells, ..b.input };
    let (meet, activity) =
        if inputs.index == 0 { (Meet::Full, Activity::Charging) } else { (Meet::Empty, input.activity) };
    b.out = [
        b.passive.step(&BalanceInput { activity, ..input }),
        b.passive.sleep(&input, inputs.number[1]),
        b.active.step(&input, meet),
    ];
    black_box((b.out[0].on(), b.active.worth(), store.save(b.passive.state(), bytes).is_ok()));
    b.active.state().remaining_ah(inputs.index)
}

#[inline(never)]
fn proof_balance_error(e: BalanceError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_core(
    inputs: &Inputs<'_>,
    shared: &Shared<'_>,
    cell: &SocEstimator<'_>,
    whole: &mut CellEstimator<'_>,
    core: &mut CoreEstimator,
) -> f32 {
    let [core_j_per_k, surface_j_per_k, core_surface_k_per_w, surface_ambient_k_per_w, ..] = inputs.number;
    let [.., core_surface_std, sensor_std_k, dt_s] = inputs.number;
    let parameters = ThermalParameters {
        core_j_per_k,
        surface_j_per_k,
        core_surface_k_per_w,
        surface_ambient_k_per_w,
        core_surface_std,
        sensor_std_k,
    };
    match CoreEstimator::new(parameters) {
        Ok(new) => *core = new,
        Err(e) => proof_thermal_error(e),
    }
    match whole.with_core(parameters) {
        Ok(new) => *whole = new,
        Err(e) => proof_thermal_error(e),
    }
    let heat_w = loss_w(&shared.model, &cell.operating_point());
    black_box(core.step(inputs.sample.temperature_c, inputs.sample.voltage_v, heat_w, dt_s));
    core.estimate().core_c.value
}

#[inline(never)]
fn proof_thermal_error(e: ThermalParameterError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

/// What the temperatures of a pack come from, and what is made of them; nothing is known about any of it.
pub struct Warmth<'a> {
    layout: Layout<'a>,
    sample: TemperatureInput<96, 24, 12>,
    pack: CellTemperatures<'a, 96, 24, 12>,
    settings: ClimateSettings,
    input: ClimateInput<12>,
    climate: Climate<12>,
    command: ClimateCommand<12>,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_temperatures(inputs: &Inputs<'_>, warmth: &mut Warmth<'_>) -> Option<f32> {
    match CellTemperatures::new(warmth.layout) {
        Ok(new) => warmth.pack = new,
        Err(e) => proof_layout_error(e),
    }
    if black_box(inputs.index) == 1 {
        warmth.pack = warmth.pack.without_trim();
    }
    black_box(warmth.pack.step(&warmth.sample, inputs.number[0]));
    let trims: SensorTrims<24> = black_box(*warmth.pack.trims());
    warmth.pack = warmth.pack.with_trims(trims);
    warmth.input.temperatures = warmth.pack.temperatures().summary;
    let [channel, ..] = inputs.milliseconds.to_le_bytes();
    warmth.pack.channel_cooling(channel)
}

#[inline(never)]
fn proof_layout_error(e: LayoutError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_climate(inputs: &Inputs<'_>, warmth: &mut Warmth<'_>) -> f32 {
    match Climate::new(warmth.settings) {
        Ok(new) => warmth.climate = new,
        Err(e) => proof_climate_error(e),
    }
    warmth.command = *warmth.climate.step(&warmth.input, inputs.number[0]);
    let ledger = black_box(*warmth.climate.ledger());
    warmth.climate = warmth.climate.with_ledger(ledger);
    warmth.climate.command().flow_l_per_min + ledger.total_wh()
}

#[inline(never)]
fn proof_climate_error(e: ClimateError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_preheat<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    settings: &Settings,
    input: &PreheatInput,
    out: &mut (PreheatCommand, PreheatReport, Plan),
) -> u8 {
    let plain = Settings::new(&shared.model, settings.pack, settings.means);
    let model = PulseModel::from(&shared.model);
    black_box(Preheater::new(model, None, black_box(plain)).is_ok());
    let mut preheater = match Preheater::new(model, Some(model), *settings) {
        Ok(new) => black_box(new),
        Err(e) => return u8::from(proof_preheat_error(e)),
    };
    black_box(preheater.pulse_limit(input, inputs.number[0]));
    out.0 = preheater.step(input);
    out.1 = preheater.report();
    out.2 = preheater.present_plan();
    black_box(out.2.mix.sum());
    preheater.plan(input).map_or_else(Refusal::code, |_| 0)
}

#[inline(never)]
fn proof_preheat_error(e: PreheatError) -> bool {
    write!(Sink(0), "{}", &e as &dyn Display).is_ok()
}

/// A whole pack and what goes into it; nothing is known about any of it.
pub struct Whole<'a> {
    settings: bms::Settings<'a>,
    state: BmsState<96, 24>,
    sample: Sample<96, 24, 12>,
    request: Request,
    safety: SafetySettings,
    negative: bool,
    bms: Bms<'a, 96, 24, 12>,
    output: Output<96, 12>,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_bms<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    whole: &mut Whole<'a>,
    memory: &mut [&mut [u8]; 3],
) -> f32 {
    let pulse = PulseModel::from(&shared.model);
    let models = Models { cell: &shared.model, pulse, negative: whole.negative.then_some(pulse) };
    let start = Estimated { value: inputs.number[1], std: inputs.number[2] };
    match Bms::new(models, &shared.tuning, &whole.settings, inputs.number[3], start) {
        Ok(new) => whole.bms = new,
        Err(e) => proof_bms_error(e),
    }
    match Bms::restore(models, &shared.tuning, &whole.settings, whole.state) {
        Ok(new) => whole.bms = black_box(new),
        Err(e) => proof_bms_error(e),
    }
    whole.output = whole.bms.step(&whole.sample, &whole.request, inputs.number[0]);
    whole.state = whole.bms.state();
    let [a, b, bytes] = memory;
    let (mut store, loaded) =
        Store::<BmsState<96, 24>>::load(fingerprint(&shared.model, &shared.tuning), a, b);
    if let Some(state) = loaded.value {
        whole.state = state;
    }
    black_box((store.save(&whole.state, bytes).is_ok(), store.confirm(a).is_ok()));
    let b = &whole.bms;
    black_box((b.estimate(), b.pack(), b.temperatures(), b.temperature_estimator(), b.climate_ledger()));
    black_box(b.preheat_report());
    whole.output.charge.current_a
}

/// The controller around the whole pack; nothing is known about any of it.
pub struct Protected<'a> {
    safety: &'a SafetySettings,
    opening: OpeningRules,
    limits: LimitSettings,
    state: ControllerState<96, 24>,
    input: controller::Input<96, 24, 12>,
    part: MemoryPart,
    controller: Controller<'a, 96, 24, 12>,
    decision: controller::Decision<96, 12>,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_controller_step<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    bms: &bms::Settings<'a>,
    protected: &mut Protected<'a>,
    memory: &mut [&mut [u8]; 3],
) -> f32 {
    let pulse = PulseModel::from(&shared.model);
    let models = Models { cell: &shared.model, pulse, negative: None };
    let start = Estimated { value: inputs.number[1], std: inputs.number[2] };
    let mut settings = black_box(controller::ControllerSettings::new(protected.safety, *bms, 1));
    (settings.opening, settings.limits) = (protected.opening, protected.limits);
    match Controller::new(models, &shared.tuning, &settings, inputs.number[3], start) {
        Ok(new) => protected.controller = black_box(new).with_damaged_store(),
        Err(e) => proof_controller_error(e),
    }
    match Controller::restore(models, &shared.tuning, &settings, protected.state) {
        Ok(new) => protected.controller = black_box(new),
        Err(e) => proof_controller_error(e),
    }
    let c = &mut protected.controller;
    c.slept(inputs.number[4]);
    c.corrupt(protected.part);
    protected.decision = *c.step(&protected.input, inputs.milliseconds as u16);
    protected.state = c.state();
    let c = &protected.controller;
    black_box((c.decision(), c.safety().ledger(), c.bms(), c.readings(), c.contactors()));
    for detection in c.safety().ledger().detections() {
        black_box((detection, detection.id.condition(), detection.id.entry()));
    }
    let [a, b, bytes] = memory;
    let (store, loaded) = Store::<ControllerState<96, 24>>::load(1, a, b);
    if let Some(state) = loaded.value {
        protected.state = state;
    }
    black_box(store.save(&protected.state, bytes).is_ok());
    let heard = link::check(a, inputs.index as u16);
    black_box(link::protect(b, inputs.index as u16, link::next_counter(heard.counter)));
    protected.decision.limits.charge.current_a
}

#[inline(never)]
fn proof_controller_error(e: ControllerError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[inline(never)]
fn proof_bms_error(e: BmsError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_parameters(shared: &Shared<'_>, whole: &Whole<'_>, words: &mut [u32]) -> f32 {
    let pulse = PulseModel::from(&shared.model);
    let models = Models { cell: &shared.model, pulse, negative: whole.negative.then_some(pulse) };
    type Known<'a> = Parameters<'a, 96, 24, 12>;
    let controller = controller::ControllerSettings::new(&whole.safety, whole.settings, 1);
    if let Err(e) = parameters::write(&models, Chemistry::Lfp, &controller, 5.0, 12, words) {
        proof_parameters_error(e);
    }
    match Known::parse(words) {
        Ok(known) => {
            black_box((known.models(), known.controller(), known.tuning()));
            known.capacity_ah()
        }
        Err(e) => {
            proof_parameters_error(e);
            0.0
        }
    }
}

#[inline(never)]
fn proof_parameters_error(e: ParametersError) {
    black_box(write!(Sink(0), "{}", &e as &dyn Display).is_ok());
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_store<'a>(
    inputs: &Inputs<'_>,
    shared: &'a Shared<'a>,
    memory: &mut [&mut [u8]; 3],
    cell: &mut SocEstimator<'a>,
) -> bool {
    type Record = (SocState, [Option<f32>; 4], (u64, bool, i64));
    let print = fingerprint(&shared.model, &shared.tuning);
    let [a, b, bytes] = memory;
    let (mut store, loaded): (_, Loaded<Record>) = Store::load(print, a, b);
    black_box((loaded.problems, loaded.from, loaded.fell_back(), crc32(bytes)));
    if let Some((state, ..)) = loaded.value {
        *cell = SocEstimator::restore(&shared.model, &shared.tuning, state);
    }
    let record: Record = (cell.state(), [Some(inputs.number[0]); 4], (1, true, -1));
    black_box(store.save(&record, bytes)).is_ok_and(|_| store.confirm(a).is_ok())
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_learnt<'a>(
    shared: &'a Shared<'a>,
    memory: &mut [&mut [u8]; 3],
    cell: &mut CellEstimator<'a>,
    pack: &mut PackEstimator<'a, 96>,
    monitor: &mut LeakMonitor<96>,
) -> bool {
    type Cell = (CellState, PulseState, NegativeState);
    let [a, b, bytes] = memory;
    let (store, loaded): (_, Loaded<Cell>) = Store::load(1, a, b);
    let mut saved = false;
    if let Some((state, pulses, negative)) = loaded.value {
        *cell = CellEstimator::restore(&shared.model, &shared.tuning, state);
        saved = store.save(&(cell.state(), black_box(pulses), black_box(negative)), bytes).is_ok();
    }
    let (store, loaded): (_, Loaded<(PackState<96>, LeakMonitor<96>)>) = Store::load(2, a, b);
    if let Some((state, leaks)) = loaded.value {
        *pack = PackEstimator::restore(&shared.model, &shared.tuning, state);
        *monitor = leaks;
    }
    saved &= store.save(&(pack.state(), *monitor), bytes).is_ok();
    let (store, loaded): (_, Loaded<(SensorTrims<24>, ClimateLedger)>) = Store::load(3, a, b);
    loaded.value.is_none_or(|value| store.save(&value, bytes).is_ok()) && saved
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn proof_encoding(inputs: &Inputs<'_>, memory: &mut [&mut [u8]; 3]) -> bool {
    let [a, b, _] = memory;
    let mut to = Writer::new(a);
    inputs.states.encode(&mut to);
    inputs.milliseconds.encode(&mut to);
    black_box(to.fits());
    match <([[f32; N]; 2], u8, u16)>::decode(&mut Reader::new(b)) {
        Ok(value) => black_box(value).1 == 0,
        Err(problem) => proof_problem(problem),
    }
}

#[inline(never)]
fn proof_problem(problem: Problem) -> bool {
    write!(Sink(0), "{}", black_box(&problem) as &dyn Display).is_ok()
}

/// A sink for text, to prove that errors can be shown.
struct Sink(u8);

impl Write for Sink {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for b in s.bytes() {
            self.0 = black_box(self.0 ^ b);
        }
        Ok(())
    }
}

#[inline(never)]
fn proof_errors(e: ParameterError) -> bool {
    write!(Sink(0), "{}", black_box(&e) as &dyn Display).is_ok()
}

/// Protection of a pack; nothing is known about any of it.
pub struct Protection<'a> {
    settings: SafetySettings,
    places: SensorPlaces<'a>,
    frame: Frame<96, 24>,
    context: Context,
    readings: Readings<96, 24>,
    latched: DiagnosisSet,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn proof_safety_step(inputs: &Inputs<'_>, p: &mut Protection<'_>) -> u32 {
    let [number, ..] = inputs.milliseconds.to_le_bytes();
    match Safety::<96, 24>::new(&p.settings, p.places, &p.latched) {
        Ok(mut safety) => {
            let mut dt_ms = 0_u16;
            while black_box(inputs.index) > usize::from(dt_ms) {
                black_box(&mut p.frame);
                p.readings = safety.step(&p.frame, &p.context, dt_ms);
                dt_ms = dt_ms.wrapping_add(black_box(1));
            }
            let ledger = safety.ledger_mut();
            if let Some(id) = Diagnosis::from_number(number) {
                let [value, limit, ..] = inputs.number;
                ledger.report(id, Some(Finding { place: Some(dt_ms), value, limit }));
                black_box((
                    id.condition(),
                    id.entry().reaction_time_ms(),
                    ledger.status(id),
                    ledger.detection(id),
                ));
            }
            ledger.acknowledge();
            ledger.unlock();
            black_box((ledger.reacts(Reaction::Open), ledger.reason(Reaction::Tell)));
            black_box(ledger.level() == Some(Level::Fatal));
            black_box((
                ledger.detected().is_empty(),
                ledger.detections().count(),
                ledger.detected().iter().count(),
            ));
            p.latched = ledger.latched();
            black_box(safety.settings());
            safety.ledger().now_ms()
        }
        Err(e) => proof_safety_error(e),
    }
}

#[inline(never)]
fn proof_safety_error(e: SafetySettingsError) -> u32 {
    u32::from(write!(Sink(0), "{}", black_box(&e) as &dyn Display).is_ok())
}

/// Reaches all of the above; the linker starts here and drops what cannot be reached.
#[unsafe(no_mangle)]
pub extern "C" fn proof_entry<'a>(
    inputs: &mut Inputs<'_>,
    shared: &'a Shared<'a>,
    counter: &mut ChargeCounter,
    clock: &mut StepClock,
    covariance: &mut UdCovariance,
    cell: &mut SocEstimator<'a>,
    pack: &mut PackEstimator<'a, 96>,
    pack_sample: &PackMeasurement<96>,
    out: &mut Estimate,
    memory: &mut [&mut [u8]; 3],
    leak_sample: &LeakSample<96>,
    monitor: &mut LeakMonitor<96>,
    leak: &mut Leak,
    core: &mut CoreEstimator,
    whole: &mut (CellEstimator<'a>, CellEstimate),
    ahead: &Ahead,
    publisher: &mut Publisher,
    preheat: &mut (Settings, PreheatInput, (PreheatCommand, PreheatReport, Plan)),
    balance: &mut Balance<'_>,
    warmth: &mut Warmth<'_>,
    charging: &Charging<'a>,
    control: &mut ChargeController<'a>,
    everything: &mut Whole<'a>,
    bus: &mut bus::Bus<'_>,
    protected: &mut Protected<'a>,
    protection: &mut Protection<'_>,
    words: &mut [u32; 8192],
) -> f32 {
    let [bytes, buffer, _] = &mut *memory;
    bus::proof_can(bus, bytes);
    bus::proof_wire(bus, bytes, buffer);
    inputs.sample = proof_measurement(inputs);
    proof_charge_and_clock(inputs, counter, clock);
    proof_covariance(inputs, covariance);
    black_box(proof_model(inputs));
    black_box(proof_soc_new(inputs, shared, cell));
    black_box(proof_soc_step(inputs, cell, out));
    black_box(proof_store(inputs, shared, memory, cell));
    black_box(proof_encoding(inputs, memory));
    black_box(proof_cell_new(inputs, shared, &mut whole.0));
    black_box(proof_cell_step(inputs, shared, &mut whole.0, &mut whole.1));
    black_box(proof_sop(inputs, shared, black_box((&[], &[])), ahead, publisher));
    black_box(proof_energy(inputs, shared, ahead));
    black_box(proof_charging(shared, charging, control));
    black_box(proof_pack_new(inputs, shared, pack));
    black_box(proof_leak(inputs, leak_sample, monitor, leak));
    black_box(proof_balance(inputs, balance, memory));
    black_box(proof_core(inputs, shared, cell, &mut whole.0, core));
    black_box(proof_preheat(inputs, shared, &preheat.0, &preheat.1, &mut preheat.2));
    black_box(proof_temperatures(inputs, warmth));
    black_box(proof_climate(inputs, warmth));
    black_box(proof_bms(inputs, shared, everything, memory));
    black_box(proof_controller_step(inputs, shared, &everything.settings, protected, memory));
    bus::proof_report(&protected.controller, bus);
    black_box(proof_safety_step(inputs, protection));
    black_box(proof_parameters(shared, everything, words));
    black_box(proof_learnt(shared, memory, &mut whole.0, pack, monitor));
    #[cfg(feature = "break-with-index")]
    black_box(inputs.number[inputs.index]);
    #[cfg(feature = "break-with-alloc")]
    black_box(alloc::vec![0u8; inputs.index]);
    proof_pack_step(inputs, pack_sample, pack)
}

/// What the compiler calls for moves of memory, byte by byte and volatile so that it does not turn into a call of
/// itself.
mod memory {
    /// # Safety
    /// As C's `memcpy`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
        for k in 0..n {
            // SAFETY: the caller's promise.
            unsafe { to.add(k).write_volatile(from.add(k).read_volatile()) };
        }
        to
    }

    /// # Safety
    /// As C's `memmove`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
        if to.cast_const() <= from {
            // SAFETY: the caller's promise.
            return unsafe { memcpy(to, from, n) };
        }
        for k in (0..n).rev() {
            // SAFETY: the caller's promise.
            unsafe { to.add(k).write_volatile(from.add(k).read_volatile()) };
        }
        to
    }

    /// # Safety
    /// As C's `memset`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: i32, n: usize) -> *mut u8 {
        for k in 0..n {
            // SAFETY: the caller's promise.
            unsafe { to.add(k).write_volatile(value as u8) };
        }
        to
    }

    /// # Safety
    /// As C's `memcmp`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
        for k in 0..n {
            // SAFETY: the caller's promise.
            let (x, y) = unsafe { (a.add(k).read_volatile(), b.add(k).read_volatile()) };
            if x != y {
                return i32::from(x) - i32::from(y);
            }
        }
        0
    }

    /// # Safety
    /// As `memcmp`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { memcmp(a, b, n) }
    }
}
