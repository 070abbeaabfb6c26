//! What the front end of a simulated pack reads: offsets drawn once, noise per sample, steps of the converters, what is wrong
//! with each of them, and the messages that it comes in.

use bms_core::safety::frame::{CONTACTORS, Frame, Heard};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use crate::pack_file::PackFile;
use crate::scenario::{CurrentSensor, MessageError, Partner, SignalError};
use crate::sensors::{FULL_SCALE_C, SensorCorner, SensorModel, quantise};

/// What there is to read of a pack at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a> {
    /// Voltage of every series group in V.
    pub group_voltage_v: &'a [f64],
    /// Temperature under every temperature sensor in degC.
    pub sensed_c: &'a [f64],
    /// Current of the string at this moment and on average since the last reading in A, positive on discharge.
    pub current_a: [f64; 2],
    /// Coolant before and after the pack, air around it, balancing board, in degC.
    pub around_c: [f64; AROUND],
    /// Voltages of the pack: of all cells, behind the fuse, of the link, in V.
    pub pack_v: [f64; VOLTAGES],
    /// The lower insulation resistance in ohm.
    pub insulation_ohm: f64,
    /// The interlock loop is closed.
    pub interlock_closed: bool,
    /// Contactors that are closed, whatever they were told.
    pub contactor_closed: [bool; CONTACTORS],
    /// Coolant flow in L/min.
    pub flow_l_per_min: f64,
    /// Electric power of all heaters in W.
    pub heater_w: f64,
}

/// Temperatures that are read beside those of the cells.
pub const AROUND: usize = 4;
/// Voltages of the pack that are read beside those of the cells.
pub const VOLTAGES: usize = 3;
/// Partners in communication.
pub const PARTNERS: usize = 5;
/// An insulation monitor tells no more than this, in ohm.
const MOST_INSULATION_OHM: f64 = 5e7;
/// What a converter of a cell voltage can tell, in V.
const CELL_RANGE_V: [f64; 2] = [-5.0, 5.5];
/// What is left at an open sense wire in V, and what a broken thermistor reads in degC.
const OPEN_WIRE_V: f64 = 0.05;
const OPEN_WIRE_C: f64 = -90.0;
/// Counters of messages run through so many numbers.
const COUNTS: u8 = 16;

/// What was read: [`Frame`] for a number of cells that is known when the program runs.
#[derive(Debug, Clone)]
pub struct RawFrame {
    /// Voltage of every series group in V.
    pub cell_voltage_v: Vec<f32>,
    /// The front end finds this sense wire open.
    pub wire_open: Vec<bool>,
    /// Every temperature sensor on a cell in degC.
    pub sensors_c: Vec<f32>,
    /// Coolant before and after the pack, air around it, balancing board, in degC.
    pub around_c: [f32; AROUND],
    /// Everything that does not depend on the size.
    pub rest: Frame<0, 0>,
}

impl RawFrame {
    fn nothing(groups: usize, sensed: usize) -> Self {
        Self {
            cell_voltage_v: vec![f32::NAN; groups],
            wire_open: vec![false; groups],
            sensors_c: vec![f32::NAN; sensed],
            around_c: [f32::NAN; AROUND],
            rest: Frame::NOTHING,
        }
    }

    /// For a core of this size; what there is no room for is left out, what there is not stays NaN.
    #[must_use]
    pub fn of_size<const N: usize, const S: usize>(&self) -> Frame<N, S> {
        let mut frame = Frame::NOTHING;
        fill(&mut frame.cell_voltage_v, &self.cell_voltage_v);
        fill(&mut frame.wire_open, &self.wire_open);
        fill(&mut frame.sensors_c, &self.sensors_c);
        [frame.inlet_c, frame.outlet_c, frame.ambient_c, frame.board_c] = self.around_c;
        let Frame {
            current_a,
            mean_current_a,
            second_current_a,
            pack_voltage_v,
            fused_voltage_v,
            link_voltage_v,
            insulation_ohm,
            interlock_closed,
            contactor_closed,
            flow_l_per_min,
            heater_w,
            front_end,
            current_sensor,
            insulation_monitor,
            vehicle,
            charger,
            ..
        } = self.rest;
        Frame {
            current_a,
            mean_current_a,
            second_current_a,
            pack_voltage_v,
            fused_voltage_v,
            link_voltage_v,
            insulation_ohm,
            interlock_closed,
            contactor_closed,
            flow_l_per_min,
            heater_w,
            front_end,
            current_sensor,
            insulation_monitor,
            vehicle,
            charger,
            ..frame
        }
    }
}

fn fill<T: Copy>(into: &mut [T], from: &[T]) {
    into.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
}

/// What is wrong with one reading, and for how long.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    error: SignalError,
    since_s: f64,
    /// What it read when it got stuck.
    held: Option<f64>,
}

impl Wrong {
    /// What becomes of a reading; what concerns more than one is not done here.
    fn apply(&mut self, x: f64, time_s: f64, noise: f64, open: f64) -> f64 {
        match self.error {
            SignalError::Stuck => *self.held.get_or_insert(x),
            SignalError::Jump(by) => x + by,
            SignalError::Drift(rate) => x + rate * (time_s - self.since_s),
            SignalError::OpenWire => open,
            SignalError::Lost => f64::NAN,
            SignalError::Noise(std) => x + std * noise,
            SignalError::SwappedWith(_) | SignalError::Reversed => x,
        }
    }
}

/// Errors of what is read beside the cells, drawn once.
#[derive(Debug, Clone, Copy)]
struct Beside {
    second_gain: f64,
    second_offset_a: f64,
    pack_v: [f64; VOLTAGES],
    insulation: f64,
}

/// Limits of those errors: share of the voltage's full scale, share of the insulation.
const fn beside(corner: SensorCorner) -> [f64; 2] {
    match corner {
        SensorCorner::Ideal => [0.0, 0.0],
        SensorCorner::Good => [0.002, 0.05],
        SensorCorner::Limit => [0.01, 0.15],
    }
}

/// What the sensors of a pack are made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranges {
    /// Capacity of the pack in Ah.
    pub capacity_ah: f64,
    /// Full scale of the current sensors in A.
    pub full_scale_a: f64,
    /// Highest pack voltage in V.
    pub pack_v: f64,
}

impl Ranges {
    /// For a pack of this capacity in Ah.
    #[must_use]
    pub fn of(file: &PackFile, capacity_ah: f64) -> Self {
        let (limits, layout) = (&file.limits, &file.layout);
        let pulse_a = limits.pulse_discharge_a.max(limits.pulse_charge_a) * layout.parallel as f64;
        Self {
            capacity_ah,
            // The corners' errors belong to the first; there are cells for larger currents.
            full_scale_a: (FULL_SCALE_C * capacity_ah).max(ROOM_ABOVE_PULSES * pulse_a),
            pack_v: limits.voltage_v[1] * layout.series as f64,
        }
    }
}

/// A current sensor reaches so far beyond the largest pulse.
const ROOM_ABOVE_PULSES: f64 = 1.5;

/// The sensors of a pack.
#[derive(Debug)]
pub struct PackSensors {
    model: SensorModel,
    ranges: Ranges,
    rng: Pcg64,
    /// For everything beside cells and current, so that those draw what they would without.
    beside_rng: Pcg64,
    beside: Beside,
    time_s: f64,
    voltage_v: Vec<f64>,
    sensed_k: Vec<f64>,
    around_k: [f64; AROUND],
    gain: f64,
    offset_a: f64,
    wrong_voltage: Vec<(usize, Wrong)>,
    wrong_sensed: Vec<(usize, Wrong)>,
    wrong_current: [Option<Wrong>; 2],
    wrong_pack: Option<Wrong>,
    messages: [Option<MessageError>; PARTNERS],
    silent: [bool; PARTNERS],
    /// What the partners that repeat themselves say.
    repeated: Option<RawFrame>,
    counters: [u8; PARTNERS],
    frames: u64,
    frame: RawFrame,
}

impl PackSensors {
    /// Sensors of so many series groups and temperature sensors with the errors of a corner.
    #[must_use]
    pub fn new(corner: SensorCorner, ranges: Ranges, groups: usize, sensed: usize, seed: u64) -> Self {
        let model = SensorModel::of(corner, ranges.capacity_ah);
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut within = |x: f64| x * (2.0 * rng.random::<f64>() - 1.0);
        let voltage_v = (0..groups).map(|_| within(model.voltage_offset_v)).collect();
        let sensed_k = (0..sensed).map(|_| within(model.temperature_offset_k)).collect();
        let around_k = std::array::from_fn(|_| within(model.temperature_offset_k));
        let (gain, offset_a) = (1.0 + within(model.current_gain), within(model.current_offset_a));
        let mut beside_rng = Pcg64::seed_from_u64(seed ^ 0xbe51_de00_0000);
        let mut within = |x: f64| x * (2.0 * beside_rng.random::<f64>() - 1.0);
        let [voltage_share, insulation] = beside(corner);
        let beside = Beside {
            second_gain: 1.0 + within(model.current_gain),
            second_offset_a: within(model.current_offset_a),
            pack_v: std::array::from_fn(|_| within(voltage_share * ranges.pack_v)),
            insulation: 1.0 + within(insulation),
        };
        Self {
            model,
            ranges,
            rng,
            beside_rng,
            beside,
            time_s: 0.0,
            voltage_v,
            sensed_k,
            around_k,
            gain,
            offset_a,
            wrong_voltage: Vec::new(),
            wrong_sensed: Vec::new(),
            wrong_current: [None; 2],
            wrong_pack: None,
            messages: [None; PARTNERS],
            silent: [false; PARTNERS],
            repeated: None,
            counters: [0; PARTNERS],
            frames: 0,
            frame: RawFrame::nothing(groups, sensed),
        }
    }

    /// From now on a temperature sensor reads so much more; a number that there is not changes nothing.
    pub fn shift_temperature(&mut self, sensor: usize, by_k: f64) {
        if let Some(offset) = self.sensed_k.get_mut(sensor) {
            *offset += by_k;
        }
    }

    /// From now on a cell voltage reads so much more in V.
    pub fn shift_voltage(&mut self, group: usize, by_v: f64) {
        if let Some(offset) = self.voltage_v.get_mut(group) {
            *offset += by_v;
        }
    }

    /// From now on the current reads so much more in A.
    pub fn shift_current(&mut self, by_a: f64) {
        self.offset_a += by_a;
    }

    const fn beginning(&self, error: SignalError) -> Wrong {
        Wrong { error, since_s: self.time_s, held: None }
    }

    /// From now on a temperature sensor reads wrongly.
    pub fn spoil_temperature(&mut self, sensor: usize, error: SignalError) {
        self.wrong_sensed.push((sensor, self.beginning(error)));
    }

    /// From now on a cell voltage reads wrongly.
    pub fn spoil_voltage(&mut self, group: usize, error: SignalError) {
        self.wrong_voltage.push((group, self.beginning(error)));
    }

    /// From now on a current sensor reads wrongly.
    pub fn spoil_current(&mut self, sensor: CurrentSensor, error: SignalError) {
        self.wrong_current[sensor as usize] = Some(self.beginning(error));
    }

    /// From now on the pack voltage reads wrongly.
    pub fn spoil_pack_voltage(&mut self, error: SignalError) {
        self.wrong_pack = Some(self.beginning(error));
    }

    /// From now on a partner's messages are wrong.
    pub fn spoil_messages(&mut self, from: Partner, error: MessageError) {
        self.messages[from as usize] = Some(error);
    }

    /// A partner says nothing for the time being, or speaks again.
    pub const fn silence(&mut self, partner: Partner, silent: bool) {
        self.silent[partner as usize] = silent;
    }

    /// One sample of all inputs, `dt_s` after the one before.
    pub fn read(&mut self, truth: &Truth<'_>, dt_s: f64) -> &RawFrame {
        self.time_s += dt_s;
        self.read_cells(truth);
        self.read_currents(truth);
        self.read_beside(truth);
        self.transmit();
        &self.frame
    }

    fn read_cells(&mut self, truth: &Truth<'_>) {
        let (l, rng, out) = (&self.model, &mut self.rng, &mut self.frame);
        let mut noise = |sigma: f64| -> f64 { sigma * Distribution::<f64>::sample(&StandardNormal, rng) };
        let inputs = truth.group_voltage_v.iter().zip(&self.voltage_v);
        for (reading, (v, offset)) in out.cell_voltage_v.iter_mut().zip(inputs) {
            *reading = quantise(v + offset + noise(l.voltage_noise_v), l.voltage_step_v) as f32;
        }
        let celsius = |t: f64| quantise(t, l.temperature_step_k) as f32;
        let inputs = truth.sensed_c.iter().zip(&self.sensed_k);
        for (reading, (t, offset)) in out.sensors_c.iter_mut().zip(inputs) {
            *reading = celsius(t + offset);
        }
        for (reading, (t, offset)) in out.around_c.iter_mut().zip(truth.around_c.iter().zip(&self.around_k)) {
            *reading = celsius(t + offset);
        }
        if !self.wrong_voltage.is_empty() {
            self.spoil_cells();
        }
        let out = &mut self.frame;
        for (k, wrong) in &mut self.wrong_sensed {
            let noise = Distribution::<f64>::sample(&StandardNormal, &mut self.beside_rng);
            match wrong.error {
                SignalError::SwappedWith(other)
                    if *k < out.sensors_c.len() && other < out.sensors_c.len() =>
                {
                    out.sensors_c.swap(*k, other);
                }
                _ => {
                    if let Some(reading) = out.sensors_c.get_mut(*k) {
                        *reading = wrong.apply(f64::from(*reading), self.time_s, noise, OPEN_WIRE_C) as f32;
                    }
                }
            }
        }
    }

    fn spoil_cells(&mut self) {
        let out = &mut self.frame;
        let v = &mut out.cell_voltage_v;
        out.wire_open.fill(false);
        for (k, wrong) in &mut self.wrong_voltage {
            let k = *k;
            let noise = Distribution::<f64>::sample(&StandardNormal, &mut self.beside_rng);
            let Some(own) = v.get(k).copied() else { continue };
            let neighbours = [k.checked_sub(1), Some(k + 1)];
            match wrong.error {
                SignalError::OpenWire => {
                    // The wire between this cell and its neighbour.
                    let other = if k + 1 < v.len() { k + 1 } else { k.saturating_sub(1) };
                    v[other] += own - OPEN_WIRE_V as f32;
                    v[k] = OPEN_WIRE_V as f32;
                    out.wire_open[k] = true;
                }
                SignalError::Reversed => {
                    for other in neighbours.into_iter().flatten() {
                        if let Some(other) = v.get_mut(other) {
                            *other += own;
                        }
                    }
                    v[k] = -own;
                }
                SignalError::SwappedWith(other) if other < v.len() => v.swap(k, other),
                _ => v[k] = wrong.apply(f64::from(own), self.time_s, noise, OPEN_WIRE_V) as f32,
            }
        }
        let [low, high] = CELL_RANGE_V.map(|v| v as f32);
        // A NaN stays one.
        v.iter_mut().for_each(|v| *v = v.clamp(low, high));
    }

    fn read_currents(&mut self, truth: &Truth<'_>) {
        let (l, full_a) = (&self.model, self.ranges.full_scale_a);
        let rng = &mut self.rng;
        let mut noise = |sigma: f64| -> f64 { sigma * Distribution::<f64>::sample(&StandardNormal, rng) };
        let [instant_a, mean_a] = truth.current_a.map(|a| a * self.gain + self.offset_a);
        let instant_a = quantise(instant_a + noise(l.current_noise_a), l.current_step_a);
        let mean_a = mean_a + noise(0.1 * l.current_noise_a);
        let rng = &mut self.beside_rng;
        let mut noise = || -> f64 { Distribution::<f64>::sample(&StandardNormal, rng) };
        let second_a = truth.current_a[0] * self.beside.second_gain + self.beside.second_offset_a;
        let second_a = quantise(second_a + l.current_noise_a * noise(), l.current_step_a);
        let [first, second] = &mut self.wrong_current;
        let mut spoilt = |wrong: &mut Option<Wrong>, a: f64| {
            let a = a.clamp(-full_a, full_a);
            wrong.as_mut().map_or(a, |w| w.apply(a, self.time_s, noise(), 2.0 * full_a))
        };
        let f = &mut self.frame.rest;
        f.current_a = spoilt(first, instant_a) as f32;
        // Both come from the same part.
        f.mean_current_a = match first {
            None => spoilt(&mut None, mean_a) as f32,
            Some(wrong) if matches!(wrong.error, SignalError::Jump(_) | SignalError::Drift(_)) => {
                wrong.apply(mean_a, self.time_s, 0.0, 0.0) as f32
            }
            Some(_) => f.current_a,
        };
        f.second_current_a = spoilt(second, second_a) as f32;
    }

    fn read_beside(&mut self, truth: &Truth<'_>) {
        let [pack_v, fused_v, link_v] = [0, 1, 2].map(|k| truth.pack_v[k] + self.beside.pack_v[k]);
        let pack_v = self.wrong_pack.as_mut().map_or(pack_v, |w| {
            let noise = match w.error {
                SignalError::Noise(_) => Distribution::<f64>::sample(&StandardNormal, &mut self.beside_rng),
                _ => 0.0,
            };
            w.apply(pack_v, self.time_s, noise, 0.0)
        });
        let f = &mut self.frame.rest;
        f.pack_voltage_v = pack_v as f32;
        f.fused_voltage_v = fused_v as f32;
        f.link_voltage_v = link_v as f32;
        f.insulation_ohm = (truth.insulation_ohm * self.beside.insulation).min(MOST_INSULATION_OHM) as f32;
        f.interlock_closed = truth.interlock_closed;
        f.contactor_closed = truth.contactor_closed.map(Some);
        f.flow_l_per_min = truth.flow_l_per_min as f32;
        f.heater_w = truth.heater_w as f32;
    }

    /// The messages in which all of it comes.
    fn transmit(&mut self) {
        self.frames += 1;
        let mut heard = [Heard::default(); PARTNERS];
        let mut silent = [false; PARTNERS];
        let mut repeats = false;
        for (k, (heard, error)) in heard.iter_mut().zip(&self.messages).enumerate() {
            let arrives = match error {
                Some(MessageError::Lost) => false,
                Some(MessageError::OneIn(n)) => self.frames.is_multiple_of(u64::from((*n).max(1))),
                _ => !self.silent[k],
            };
            let frozen = *error == Some(MessageError::Frozen);
            repeats |= frozen;
            silent[k] = !arrives;
            if !frozen && arrives {
                self.counters[k] = (self.counters[k] + 1) % COUNTS;
            }
            *heard = Heard {
                fresh: arrives,
                counter: self.counters[k],
                sound: *error != Some(MessageError::WrongCrc),
            };
        }
        let f = &mut self.frame;
        [
            f.rest.front_end,
            f.rest.current_sensor,
            f.rest.insulation_monitor,
            f.rest.vehicle,
            f.rest.charger,
        ] = heard;
        if repeats {
            let held = self.repeated.get_or_insert_with(|| f.clone());
            let is = |p: Partner| self.messages[p as usize] == Some(MessageError::Frozen);
            if is(Partner::FrontEnd) {
                f.cell_voltage_v.copy_from_slice(&held.cell_voltage_v);
                f.sensors_c.copy_from_slice(&held.sensors_c);
            }
            if is(Partner::CurrentSensor) {
                f.rest.current_a = held.rest.current_a;
                f.rest.mean_current_a = held.rest.mean_current_a;
            }
            if is(Partner::InsulationMonitor) {
                f.rest.insulation_ohm = held.rest.insulation_ohm;
            }
        }
        if silent[Partner::FrontEnd as usize] {
            f.cell_voltage_v.fill(f32::NAN);
            f.sensors_c.fill(f32::NAN);
        }
        if silent[Partner::CurrentSensor as usize] {
            f.rest.current_a = f32::NAN;
            f.rest.mean_current_a = f32::NAN;
        }
        if silent[Partner::InsulationMonitor as usize] {
            f.rest.insulation_ohm = f32::NAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: Ranges = Ranges { capacity_ah: 150.0, full_scale_a: 750.0, pack_v: 400.0 };

    fn truth<'a>(v: &'a [f64], t: &'a [f64]) -> Truth<'a> {
        Truth {
            group_voltage_v: v,
            sensed_c: t,
            current_a: [10.0, 9.0],
            around_c: [20.0, 22.0, 15.0, 30.0],
            pack_v: [350.0, 349.0, 348.0],
            insulation_ohm: 2e6,
            interlock_closed: true,
            contactor_closed: [true, true, false],
            flow_l_per_min: 5.0,
            heater_w: 100.0,
        }
    }

    fn sensors(corner: SensorCorner, cells: usize) -> PackSensors {
        PackSensors::new(corner, RANGES, cells, cells, 1)
    }

    #[test]
    fn ideal_sensors_read_the_truth() {
        let mut s = sensors(SensorCorner::Ideal, 2);
        let r = s.read(&truth(&[3.5, 3.6], &[21.5, 22.0]), 0.1);
        assert_eq!(r.cell_voltage_v, [3.5, 3.6]);
        assert_eq!(r.sensors_c[0], 21.5);
        let f = r.of_size::<2, 3>();
        assert_eq!((f.current_a, f.mean_current_a, f.second_current_a), (10.0, 9.0, 10.0));
        assert_eq!((f.pack_voltage_v, f.fused_voltage_v, f.link_voltage_v), (350.0, 349.0, 348.0));
        assert_eq!((f.board_c, f.insulation_ohm, f.flow_l_per_min), (30.0, 2e6, 5.0));
        assert!(f.sensors_c[2].is_nan() && f.interlock_closed);
        assert_eq!(f.contactor_closed, [Some(true), Some(true), Some(false)]);
        assert!(f.front_end.fresh && f.front_end.sound && f.front_end.counter == 1);
    }

    #[test]
    fn errors_stay_in_the_corner_and_repeat_with_the_seed() {
        let (v, t) = (vec![3.7; 50], vec![25.0; 50]);
        let run = |seed| {
            let mut s = PackSensors::new(SensorCorner::Good, RANGES, 50, 50, seed);
            s.read(&truth(&v, &t), 0.1).clone()
        };
        let (a, b, c) = (run(1), run(1), run(2));
        assert_eq!(a.cell_voltage_v, b.cell_voltage_v);
        assert_ne!(a.cell_voltage_v, c.cell_voltage_v);
        assert_ne!(a.rest.pack_voltage_v, c.rest.pack_voltage_v);
        for t in &a.sensors_c {
            assert!((t - 25.0).abs() < 0.56);
        }
        assert!(a.sensors_c.iter().any(|t| *t > 25.2) && a.sensors_c.iter().any(|t| *t < 24.8));
    }

    #[test]
    fn every_error_shows_as_it_should() {
        let (v, t) = ([3.5, 3.6, 3.7], [20.0, 21.0, 22.0]);
        let of = |cell: SignalError, sensor: SignalError| {
            let mut s = sensors(SensorCorner::Ideal, 3);
            s.read(&truth(&v, &t), 0.0);
            s.spoil_voltage(1, cell);
            s.spoil_temperature(0, sensor);
            s.spoil_current(CurrentSensor::Second, sensor);
            s.read(&truth(&v, &t), 1.0);
            s.read(&truth(&[3.4; 3], &[30.0; 3]), 1.0).clone()
        };
        use SignalError::{Drift, Jump, Lost, Noise, OpenWire, Reversed, Stuck, SwappedWith};
        let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
        let r = of(Stuck, Stuck);
        assert!(near(r.cell_voltage_v[1], 3.6) && near(r.sensors_c[0], 20.0), "{r:?}");
        let r = of(Jump(0.5), Drift(2.0));
        assert!(near(r.cell_voltage_v[1], 3.9) && near(r.sensors_c[0], 34.0), "{r:?}");
        assert!(near(r.rest.second_current_a, 14.0) && near(r.rest.current_a, 10.0), "{r:?}");
        let r = of(OpenWire, OpenWire);
        assert!(near(r.cell_voltage_v[1], 0.05) && r.cell_voltage_v[2] == 5.5 && r.wire_open[1], "{r:?}");
        assert!(near(r.sensors_c[0], -90.0) && near(r.rest.second_current_a, 1500.0), "{r:?}");
        let r = of(Reversed, SwappedWith(2));
        assert!(near(r.cell_voltage_v[1], -3.4) && r.cell_voltage_v[0] == 5.5, "{r:?}");
        let r = of(Lost, Lost);
        assert!(r.cell_voltage_v[1].is_nan() && r.sensors_c[0].is_nan() && r.rest.second_current_a.is_nan());
        let r = of(Noise(0.1), Noise(0.1));
        assert!(r.cell_voltage_v[1] != 3.4 && r.sensors_c[0] != 30.0);
    }

    #[test]
    fn messages_fail_in_their_own_ways() {
        let (v, t) = ([3.5; 2], [20.0; 2]);
        let heard = |error| {
            let mut s = sensors(SensorCorner::Ideal, 2);
            s.spoil_messages(Partner::FrontEnd, error);
            let mut all = Vec::new();
            for k in 0..4 {
                let v = v.map(|v| v + 0.1 * f64::from(k));
                let f = s.read(&truth(&v, &t), 0.1);
                all.push((f.rest.front_end, f.cell_voltage_v[0]));
                assert!(f.rest.vehicle.fresh && f.rest.vehicle.sound);
            }
            all
        };
        assert!(heard(MessageError::Lost).iter().all(|(h, v)| !h.fresh && v.is_nan()));
        assert!(heard(MessageError::Frozen).iter().all(|(h, v)| h.fresh && h.counter == 0 && *v == 3.5));
        assert!(heard(MessageError::WrongCrc).iter().all(|(h, _)| h.fresh && !h.sound));
        let late = heard(MessageError::OneIn(2));
        assert!(!late[0].0.fresh && late[1].0.fresh && late[1].0.counter == 1 && late[3].0.counter == 2);
    }
}
