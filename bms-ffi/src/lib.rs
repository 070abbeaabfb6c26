//! The C interface of [`bms_core`]: a static library with a header, `include/bms.h`.
//!
//! ```text
//! memory of the caller ─► bms_init(parameters) ─► bms_t ─► bms_step(input) ─► output
//!                                                   ├─► bms_cell, bms_detections, … (getters)
//!                                                   └─► bms_save / bms_confirm, bms_restore: two slots of EEPROM or flash
//! ```
//!
//! Nothing is allocated and nothing is global: a program may hold as many BMS as it has memory for. The library is built for
//! one size of pack ([`sizes`]); header and library are compared when it starts ([`bms_init`]). Parameters are a block that
//! `bms export --pack PACK.toml --c` writes ([`bms_core::parameters`]); it stays where it is, as the tables are used in place.
//!
//! All unsafe code of the project is in this crate. Its rules: every pointer that comes in is compared with null; a `bms_t`
//! is recognised by a mark at its beginning before anything else in it is looked at; C structures are read as plain numbers,
//! of which every bit pattern is allowed.
#![cfg_attr(not(test), no_std)]
#![allow(non_camel_case_types)]

pub mod sizes;
pub mod types;

mod convert;
mod memory;

use core::ffi::{c_char, c_void};

use bms_core::safety::table::{Diagnosis, TABLE};
use bms_core::soc::Estimated;
use bms_core::store::Slot;

use self::memory::{Handle, Pack, with};
use self::sizes::{CELLS, MODULES, SENSORS};
use self::types::{bms_cell_t, bms_detection_t, bms_input_t, bms_output_t, bms_status_t};
use bms_status_t::{BMS_MEMORY, BMS_NO_SUCH, BMS_NULL, BMS_OK, BMS_OTHER_BUILD, BMS_STORE};

/// A battery management system in memory of the caller; what is inside is nobody's business.
pub struct bms_t {
    _inside: [u8; 0],
}

impl core::fmt::Debug for bms_t {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("bms_t")
    }
}

/// Room in bytes that a BMS needs at most; [`bms_memory_size`] tells exactly.
pub const BMS_MEMORY_SIZE: usize = 16384 + 512 * CELLS + 256 * SENSORS + 64 * MODULES;
/// Alignment in bytes of its memory.
pub const BMS_MEMORY_ALIGN: usize = 8;
/// Room in bytes of one slot for the state at most; [`bms_record_size`] tells exactly.
pub const BMS_RECORD_SIZE: usize = 1024 + 192 * CELLS + 16 * SENSORS;

const _: () = assert!(size_of::<Pack>() <= BMS_MEMORY_SIZE && align_of::<Pack>() <= BMS_MEMORY_ALIGN);
const _: () = assert!(memory::RECORD_LEN <= BMS_RECORD_SIZE);

/// Version of the library, as `MAJOR.MINOR.PATCH`.
#[unsafe(no_mangle)]
pub extern "C" fn bms_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Bytes that a BMS needs.
#[unsafe(no_mangle)]
pub extern "C" fn bms_memory_size() -> usize {
    size_of::<Pack>()
}

/// Bytes of one slot for the state.
#[unsafe(no_mangle)]
pub extern "C" fn bms_record_size() -> usize {
    memory::RECORD_LEN
}

/// What the library was built for, to be compared with the header's `BMS_BUILD`.
#[unsafe(no_mangle)]
pub extern "C" fn bms_build() -> u32 {
    build()
}

const fn build() -> u32 {
    let [cells, sensors, modules] = [CELLS as u32, SENSORS as u32, MODULES as u32];
    cells << 20 | sensors << 8 | modules
}

/// Makes a BMS.
///
/// `memory` (`size` bytes, aligned to `BMS_MEMORY_ALIGN`) must stay where it is and be touched by nobody else as long as
/// `*bms` is used. `parameters` are `words` words as `bms export` writes them; they must stay, too, and may lie in flash.
/// `build` is `BMS_BUILD`. The mean state of charge is known as `soc` (fraction) with the standard deviation `soc_std`, where
/// no state is restored.
///
/// # Safety
/// The pointers are null, or point to as much memory as is said, which is not used by anybody else meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_init(
    memory: *mut c_void,
    size: usize,
    parameters: *const u32,
    words: usize,
    build: u32,
    soc: f32,
    soc_std: f32,
    bms: *mut *mut bms_t,
) -> bms_status_t {
    if memory.is_null() || parameters.is_null() || bms.is_null() {
        return BMS_NULL;
    }
    // SAFETY: not null, and the caller says that it points to a place for a pointer.
    unsafe { bms.write(core::ptr::null_mut()) };
    if build != self::build() {
        return BMS_OTHER_BUILD;
    }
    if size < size_of::<Pack>() || !memory.cast::<Pack>().is_aligned() || !parameters.is_aligned() {
        return BMS_MEMORY;
    }
    // SAFETY: not null, aligned, and the caller says that so many words are there and stay.
    let block: &'static [u32] = unsafe { core::slice::from_raw_parts(parameters, words) };
    let place = memory.cast::<Pack>();
    let start = Estimated { value: soc, std: soc_std };
    // SAFETY: not null, aligned, large enough, and the caller says that nobody else uses it.
    match unsafe { Pack::make(place, block, start) } {
        Ok(()) => {
            // SAFETY: as above.
            unsafe { bms.write(place.cast()) };
            BMS_OK
        }
        Err(status) => status,
    }
}

/// One step, `dt_ms` milliseconds after the one before; ten times a second or more often. Every number in `input` may be
/// anything. `output` is written in any case.
///
/// # Safety
/// `bms` is null or from [`bms_init`]; the others are null or point to their structures.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_step(
    bms: *mut bms_t,
    input: *const bms_input_t,
    dt_ms: u16,
    output: *mut bms_output_t,
) -> bms_status_t {
    if input.is_null() || output.is_null() {
        return BMS_NULL;
    }
    // SAFETY: not null; plain numbers, of which every bit pattern is one.
    let input = unsafe { &*input };
    let step = |bms: &mut Handle| {
        let decision = *bms.controller_mut().step(&convert::input(input), dt_ms);
        let told = convert::output(&decision, bms.controller());
        // SAFETY: not null, and the caller says that it points to a structure.
        unsafe { output.write(told) };
        BMS_OK
    };
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, step) }
}

/// So many seconds went by without a step (sleep).
///
/// # Safety
/// `bms` is null or from [`bms_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_slept(bms: *mut bms_t, seconds: f32) -> bms_status_t {
    let slept = |bms: &mut Handle| {
        bms.controller_mut().slept(seconds);
        BMS_OK
    };
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, slept) }
}

/// What is known of one cell, counted from 0.
///
/// # Safety
/// `bms` is null or from [`bms_init`]; `cell` is null or points to its structure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_cell(bms: *mut bms_t, number: usize, cell: *mut bms_cell_t) -> bms_status_t {
    if cell.is_null() {
        return BMS_NULL;
    }
    let get = |bms: &mut Handle| {
        let Some(known) = convert::cell(bms.controller(), number) else { return BMS_NO_SUCH };
        // SAFETY: not null, and the caller says that it points to a structure.
        unsafe { cell.write(known) };
        BMS_OK
    };
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, get) }
}

/// Writes up to `room` detected faults, in the order of their numbers, and how many there are to `count` (which may be more).
///
/// # Safety
/// `bms` is null or from [`bms_init`]; `detections` is null or points to `room` structures; `count` is null or points to a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_detections(
    bms: *mut bms_t,
    detections: *mut bms_detection_t,
    room: usize,
    count: *mut usize,
) -> bms_status_t {
    if count.is_null() || (detections.is_null() && room > 0) {
        return BMS_NULL;
    }
    let get = |bms: &mut Handle| {
        let mut all = 0;
        for detection in bms.controller().safety().ledger().detections() {
            if all < room {
                // SAFETY: there is room for so many.
                unsafe { detections.add(all).write(convert::detection(&detection)) };
            }
            all += 1;
        }
        // SAFETY: not null, and the caller says that it points to a number.
        unsafe { count.write(all) };
        BMS_OK
    };
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, get) }
}

/// Writes the name of a diagnosis to `name`, ended by 0 and cut to `room` bytes.
///
/// # Safety
/// `name` is null or points to `room` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_diagnosis_name(id: u8, name: *mut c_char, room: usize) -> bms_status_t {
    if name.is_null() || room == 0 {
        return BMS_NULL;
    }
    let Some(id) = Diagnosis::from_number(id) else { return BMS_NO_SUCH };
    let text = id.entry().name.as_bytes();
    let most = room - 1;
    for (k, byte) in text.iter().take(most).chain(&[0]).enumerate() {
        // SAFETY: `k` is at most `room - 1`.
        unsafe { name.add(k).write(*byte as c_char) };
    }
    BMS_OK
}

/// How many diagnoses there are.
#[unsafe(no_mangle)]
pub extern "C" fn bms_diagnoses() -> usize {
    TABLE.len()
}

/// Goes on from the newer sound record of two slots; with none the BMS stays as it is, says so as a diagnosis, and this
/// returns `BMS_STORE`. To be called after [`bms_init`], before the first step. A slot may be null where there is none.
///
/// # Safety
/// `bms` is null or from [`bms_init`]; the slots are null or point to [`bms_record_size`] bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_restore(bms: *mut bms_t, slot_a: *const u8, slot_b: *const u8) -> bms_status_t {
    // SAFETY: null or as many bytes as the caller says.
    let slots = [slot_a, slot_b].map(|slot| unsafe { memory::bytes(slot, memory::RECORD_LEN) });
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, |bms| bms.restore(slots)) }
}

/// Writes what is to be kept to `record` ([`bms_record_size`] bytes), and to `slot` which slot it belongs in (0 or 1). Write it
/// there in ascending order, read it back and give that to [`bms_confirm`].
///
/// # Safety
/// `bms` is null or from [`bms_init`]; `record` is null or points to `size` bytes, `slot` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_save(
    bms: *mut bms_t,
    record: *mut u8,
    size: usize,
    slot: *mut u8,
) -> bms_status_t {
    if record.is_null() || slot.is_null() {
        return BMS_NULL;
    }
    if size < memory::RECORD_LEN {
        return BMS_MEMORY;
    }
    // SAFETY: not null, and the caller says that so many bytes are there.
    let record = unsafe { core::slice::from_raw_parts_mut(record, memory::RECORD_LEN) };
    let save = |bms: &mut Handle| match bms.save(record) {
        Some(to) => {
            // SAFETY: not null, and the caller says that it points to a number.
            unsafe { slot.write(matches!(to, Slot::B).into()) };
            BMS_OK
        }
        None => BMS_STORE,
    };
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, save) }
}

/// Compares what was read back from the slot with what was written. Only then the next save goes to the other slot.
///
/// # Safety
/// `bms` is null or from [`bms_init`]; `record` is null or points to [`bms_record_size`] bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bms_confirm(bms: *mut bms_t, record: *const u8) -> bms_status_t {
    if record.is_null() {
        return BMS_NULL;
    }
    // SAFETY: not null, and as many bytes as the caller says.
    let record = unsafe { memory::bytes(record, memory::RECORD_LEN) };
    // SAFETY: null or from `bms_init`.
    unsafe { with(bms, |bms| bms.confirm(record)) }
}

/// Never reached (`proofs` shows it); the linker wants one.
#[cfg(all(feature = "staticlib", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
