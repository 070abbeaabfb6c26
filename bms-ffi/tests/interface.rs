//! The C functions, called as C would.

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use bms_core::bms::Models;
use bms_core::cell::CellModel;
use bms_core::controller::ControllerSettings;
use bms_core::example;
use bms_core::parameters::{Chemistry, write};
use bms_core::predict::PulseModel;
use bms_ffi::sizes::{CELLS, MODULES, SENSORS};
use bms_ffi::types::bms_status_t::{self, *};
use bms_ffi::types::{bms_cell_t, bms_detection_t, bms_heard_t, bms_input_t, bms_output_t};
use bms_ffi::{
    BMS_MEMORY_SIZE, BMS_RECORD_SIZE, bms_build, bms_cell, bms_confirm, bms_detections, bms_diagnoses,
    bms_diagnosis_name, bms_init, bms_memory_size, bms_record_size, bms_restore, bms_save, bms_slept,
    bms_step, bms_t, bms_version,
};

const KEY: u32 = 0x1234_5678;

/// Parameters of a pack of the example's cells, for the sizes that the library was built for.
fn block() -> Vec<u32> {
    let cell = CellModel::new(example::NMC_5AH).unwrap();
    let places = [example::PLACE; CELLS];
    let sensor_cells: [u16; SENSORS] = std::array::from_fn(|k| (k * CELLS / SENSORS) as u16);
    let settings = example::pack(&cell, &places, &sensor_cells);
    let models = Models { cell: &cell, pulse: PulseModel::from(&cell), negative: None };
    let mut words = vec![0; 65_536];
    let controller = ControllerSettings::new(&example::SAFETY, settings, KEY);
    let used = write(&models, Chemistry::Nmc, &controller, 5.0, MODULES as u16, &mut words).unwrap();
    words.truncate(used);
    words
}

struct Bms {
    _memory: Vec<u64>,
    _parameters: Vec<u32>,
    bms: *mut bms_t,
    input: bms_input_t,
    output: bms_output_t,
    count: u8,
    link_v: f32,
}

fn zeroed<T: Copy>() -> T {
    // SAFETY: used for plain C structures only, of which all zeros is one.
    unsafe { std::mem::zeroed() }
}

fn init(memory: &mut [u64], parameters: &[u32], build: u32, bms: &mut *mut bms_t) -> bms_status_t {
    // SAFETY: as much memory as is said.
    unsafe {
        bms_init(
            memory.as_mut_ptr().cast(),
            8 * memory.len(),
            parameters.as_ptr(),
            parameters.len(),
            build,
            0.5,
            0.05,
            bms,
        )
    }
}

impl Bms {
    fn new() -> Self {
        let (mut memory, parameters) = (vec![0_u64; bms_memory_size().div_ceil(8)], block());
        let mut bms = null_mut();
        assert_eq!(init(&mut memory, &parameters, bms_build(), &mut bms), BMS_OK);
        let mut input: bms_input_t = zeroed();
        input.cell_voltage_v = [3.66; CELLS];
        input.sensor_c = [25.0; SENSORS];
        input.insulation_ohm = 1e8;
        (input.inlet_c, input.outlet_c, input.ambient_c, input.board_c) = (25.0, 25.0, 25.0, 25.0);
        input.pack_voltage_v = 3.66 * CELLS as f32;
        input.fused_voltage_v = input.pack_voltage_v;
        input.mean_current_a = f32::NAN;
        input.interlock_closed = 1;
        Self { _memory: memory, _parameters: parameters, bms, input, output: zeroed(), count: 0, link_v: 0.0 }
    }

    fn step(&mut self) -> bms_status_t {
        let told = self.output.contactor;
        if told[1] == 1 && (told[0] == 1 || told[2] == 1) {
            self.link_v += 0.7 * (self.input.pack_voltage_v - self.link_v);
        }
        self.input.link_voltage_v = self.link_v;
        self.input.contactor_closed = told;
        self.count = (self.count + 1) % 16;
        let heard = bms_heard_t { fresh: 1, counter: self.count, sound: 1 };
        self.input.front_end = heard;
        (self.input.current_sensor, self.input.vehicle, self.input.charger) = (heard, heard, heard);
        self.input.insulation_monitor = heard;
        // SAFETY: from `bms_init`, and two structures.
        unsafe { bms_step(self.bms, &raw const self.input, 100, &raw mut self.output) }
    }

    fn detections(&self) -> Vec<bms_detection_t> {
        let mut found = [zeroed(); 128];
        let mut count = 0;
        // SAFETY: from `bms_init`, and room for 128.
        let status = unsafe { bms_detections(self.bms, found.as_mut_ptr(), found.len(), &raw mut count) };
        assert_eq!(status, BMS_OK);
        found[..count].to_vec()
    }
}

#[test]
fn it_closes_gives_power_and_opens_for_a_fault() {
    let mut b = Bms::new();
    b.input.wish = 2;
    for _ in 0..60 {
        assert_eq!(b.step(), BMS_OK);
    }
    assert_eq!(b.output.contactor, [1, 1, 0]);
    assert!(b.output.discharge_a > 1.0 && b.output.charge_a > 0.0 && b.output.level == 0);
    assert!((b.output.soc - 0.5).abs() < 0.1 && b.output.soc_std > 0.0);
    b.input.cell_voltage_v[3] = 4.4;
    for _ in 0..12 {
        b.step();
    }
    assert_eq!((b.output.contactor, b.output.level), ([0; 3], 3));
    let found = b.detections();
    let name = |id: u8| {
        let mut name = [0; 64];
        // SAFETY: room for 64.
        assert_eq!(unsafe { bms_diagnosis_name(id, name.as_mut_ptr(), name.len()) }, BMS_OK);
        // SAFETY: ended by 0.
        unsafe { CStr::from_ptr(name.as_ptr()) }.to_str().unwrap().to_owned()
    };
    let high = found.iter().find(|d| name(d.id) == "CellVoltageHighFatal").expect("it was detected");
    assert_eq!((high.place, high.value), (3, 4.4));
}

#[test]
fn a_cell_is_told_and_one_that_is_not_there_is_not() {
    let mut b = Bms::new();
    b.step();
    let mut cell: bms_cell_t = zeroed();
    // SAFETY: from `bms_init`, and a structure.
    unsafe {
        assert_eq!(bms_cell(b.bms, CELLS - 1, &raw mut cell), BMS_OK);
        assert_eq!(bms_cell(b.bms, CELLS, &raw mut cell), BMS_NO_SUCH);
        assert_eq!(bms_cell(b.bms, 0, null_mut()), BMS_NULL);
    }
    assert!((cell.capacity_ah - 5.0).abs() < 0.1 && (cell.core_c - 25.0).abs() < 3.0);
}

#[test]
fn what_is_saved_is_restored() {
    let mut b = Bms::new();
    for _ in 0..30 {
        b.step();
    }
    let (mut record, mut slot) = (vec![0_u8; bms_record_size()], 9);
    // SAFETY: from `bms_init`; as many bytes as are said.
    unsafe {
        assert_eq!(bms_slept(b.bms, 3600.0), BMS_OK);
        assert_eq!(bms_save(b.bms, record.as_mut_ptr(), record.len(), &raw mut slot), BMS_OK);
        assert_eq!(bms_confirm(b.bms, record.as_ptr()), BMS_OK);
        let mut again = Bms::new();
        assert_eq!(bms_restore(again.bms, record.as_ptr(), null()), BMS_OK);
        again.step();
        assert!((again.output.soc - b.output.soc).abs() < 0.02);
        record[40] ^= 1;
        let mut broken = Bms::new();
        assert_eq!(bms_restore(broken.bms, record.as_ptr(), null()), BMS_STORE);
        broken.step();
        assert!(!broken.detections().is_empty());
        assert_eq!(bms_confirm(b.bms, record.as_ptr()), BMS_STORE);
        assert_eq!(bms_save(b.bms, record.as_mut_ptr(), 10, &raw mut slot), BMS_MEMORY);
    }
    assert!(slot <= 1);
}

#[test]
fn wrong_calls_are_told_and_do_no_harm() {
    let parameters = block();
    let mut memory = vec![0_u64; BMS_MEMORY_SIZE / 8];
    let mut bms = null_mut();
    assert_eq!(init(&mut memory, &parameters, bms_build() + 1, &mut bms), BMS_OTHER_BUILD);
    assert_eq!(init(&mut memory[..100], &parameters, bms_build(), &mut bms), BMS_MEMORY);
    assert_eq!(init(&mut memory, &parameters[..20], bms_build(), &mut bms), BMS_NOT_PARAMETERS);
    let mut damaged = parameters.clone();
    damaged[60] ^= 1 << 7;
    assert_eq!(init(&mut memory, &damaged, bms_build(), &mut bms), BMS_DAMAGED_PARAMETERS);
    assert!(bms.is_null());
    let (mut input, mut output): (bms_input_t, bms_output_t) = (zeroed(), zeroed());
    // SAFETY: null is allowed; memory without a BMS is recognised.
    unsafe {
        assert_eq!(bms_step(null_mut(), &raw const input, 100, &raw mut output), BMS_NULL);
        let nobody = memory.as_mut_ptr().cast();
        assert_eq!(bms_step(nobody, &raw const input, 100, &raw mut output), BMS_NOT_INITIALISED);
        assert_eq!(init(&mut memory, &parameters, bms_build(), &mut bms), BMS_OK);
        assert_eq!(bms_step(bms, null(), 100, &raw mut output), BMS_NULL);
        // Any bits.
        input.cell_voltage_v = [f32::NAN; CELLS];
        (input.wish, input.contactor_closed) = (200, [255; 3]);
        assert_eq!(bms_step(bms, &raw const input, u16::MAX, &raw mut output), BMS_OK);
        assert_eq!(bms_diagnosis_name(bms_diagnoses() as u8, [0].as_mut_ptr(), 1), BMS_NO_SUCH);
        assert!(CStr::from_ptr(bms_version()).to_str().unwrap().contains('.'));
    }
    assert_eq!((output.contactor, output.discharge_a), ([0; 3], 0.0));
    assert!(bms_record_size() <= BMS_RECORD_SIZE);
}
