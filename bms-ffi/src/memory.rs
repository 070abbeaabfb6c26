//! A BMS in memory of the caller: parameters, the controller that borrows them, the store.

use core::mem::MaybeUninit;

use bms_core::controller::{Controller, ControllerState};
use bms_core::parameters::{Parameters, ParametersError};
use bms_core::soc::Estimated;
use bms_core::store::{Slot, Store, fingerprint};

use crate::bms_t;
use crate::sizes::{CELLS, MODULES, SENSORS};
use crate::types::bms_status_t::{
    self, BMS_BAD_PARAMETER, BMS_DAMAGED_PARAMETERS, BMS_NOT_INITIALISED, BMS_NOT_PARAMETERS, BMS_NULL,
    BMS_OK, BMS_OTHER_PACK, BMS_STORE,
};

type State = ControllerState<CELLS, SENSORS>;
pub(crate) type Core = Controller<'static, CELLS, SENSORS, MODULES>;
type Known = Parameters<'static, CELLS, SENSORS, MODULES>;

/// Bytes of one slot.
pub(crate) const RECORD_LEN: usize = Store::<State>::SLOT_LEN;

/// What memory of a BMS begins with; anything else is not one.
const MARK: u32 = u32::from_le_bytes(*b"bmsT");

/// A BMS. It borrows from itself: `controller` from `known`, so it must not move, and `known` must not change. No reference to
/// the whole is ever made, only to one field at a time.
#[repr(C)]
pub(crate) struct Pack {
    mark: u32,
    known: MaybeUninit<Known>,
    controller: MaybeUninit<Core>,
    store: MaybeUninit<Store<State>>,
}

impl Pack {
    /// Fills `place`; only then its mark is set.
    ///
    /// # Safety
    /// `place` is aligned, valid for writes, used by nobody else, and does not move from here on.
    pub(crate) unsafe fn make(
        place: *mut Self,
        block: &'static [u32],
        start: Estimated,
    ) -> Result<(), bms_status_t> {
        // SAFETY: valid for writes. No reference to the whole is made: fields are reached one by one.
        let (known, controller, store) = unsafe {
            (&raw mut (*place).mark).write(0);
            (
                (&raw mut (*place).known).cast::<Known>(),
                (&raw mut (*place).controller).cast::<Core>(),
                (&raw mut (*place).store).cast::<Store<State>>(),
            )
        };
        let parsed = Known::parse(block).map_err(|e| match e {
            ParametersError::Damaged => BMS_DAMAGED_PARAMETERS,
            ParametersError::OtherPack => BMS_OTHER_PACK,
            ParametersError::NotParameters | ParametersError::Version(_) | ParametersError::Length => {
                BMS_NOT_PARAMETERS
            }
            _ => BMS_BAD_PARAMETER,
        })?;
        // SAFETY: valid for writes, aligned as a field. From here on it is only read, as long as the BMS lives.
        let known: &'static Known = unsafe {
            known.write(parsed);
            &*known
        };
        let made = Core::new(known.models(), known.tuning(), &known.controller(), known.capacity_ah(), start)
            .map_err(|_| BMS_BAD_PARAMETER)?;
        let print = fingerprint(known.models().cell, known.tuning());
        let (empty, _) = Store::<State>::load(print, &[], &[]);
        // SAFETY: as above.
        unsafe {
            controller.write(made);
            store.write(empty);
            (&raw mut (*place).mark).write(MARK);
        }
        Ok(())
    }
}

/// A BMS that was filled.
pub(crate) struct Handle(*mut Pack);

impl Handle {
    pub(crate) fn controller(&self) -> &Core {
        // SAFETY: filled; only this field is borrowed, for as long as the handle.
        unsafe { &*(&raw const (*self.0).controller).cast() }
    }

    pub(crate) fn controller_mut(&mut self) -> &mut Core {
        // SAFETY: as above, and nobody else uses the BMS meanwhile.
        unsafe { &mut *(&raw mut (*self.0).controller).cast() }
    }

    fn store_mut(&mut self) -> &mut Store<State> {
        // SAFETY: as above.
        unsafe { &mut *(&raw mut (*self.0).store).cast() }
    }

    fn known(&self) -> &'static Known {
        // SAFETY: filled, never changed, and lives as long as the BMS.
        unsafe { &*(&raw const (*self.0).known).cast() }
    }

    pub(crate) fn restore(&mut self, [a, b]: [&[u8]; 2]) -> bms_status_t {
        let known = self.known();
        let print = fingerprint(known.models().cell, known.tuning());
        let (store, loaded) = Store::<State>::load(print, a, b);
        *self.store_mut() = store;
        let settings = known.controller();
        let restored = loaded
            .value
            .and_then(|state| Core::restore(known.models(), known.tuning(), &settings, state).ok());
        match restored {
            Some(controller) => {
                *self.controller_mut() = controller;
                BMS_OK
            }
            None => {
                *self.controller_mut() = self.controller().with_damaged_store();
                BMS_STORE
            }
        }
    }

    pub(crate) fn save(&mut self, record: &mut [u8]) -> Option<Slot> {
        let state = self.controller().state();
        self.store_mut().save(&state, record).ok()
    }

    pub(crate) fn confirm(&mut self, record: &[u8]) -> bms_status_t {
        if self.store_mut().confirm(record).is_ok() { BMS_OK } else { BMS_STORE }
    }
}

/// Bytes that C points to; none for null.
///
/// # Safety
/// `from` is null or points to `length` bytes that nobody changes meanwhile.
pub(crate) unsafe fn bytes<'a>(from: *const u8, length: usize) -> &'a [u8] {
    if from.is_null() {
        return &[];
    }
    // SAFETY: not null, and the caller says that so many are there.
    unsafe { core::slice::from_raw_parts(from, length) }
}

/// Does something with a BMS, if it is one.
///
/// # Safety
/// `bms` is null or was valid memory of a BMS when `bms_init` saw it, which nobody else uses meanwhile.
pub(crate) unsafe fn with(bms: *mut bms_t, work: impl FnOnce(&mut Handle) -> bms_status_t) -> bms_status_t {
    let pack = bms.cast::<Pack>();
    if pack.is_null() {
        return BMS_NULL;
    }
    if !pack.is_aligned() {
        return BMS_NOT_INITIALISED;
    }
    // SAFETY: not null, aligned, readable; a plain number. It is set last, so the rest is filled.
    if unsafe { (&raw const (*pack).mark).read() } == MARK {
        work(&mut Handle(pack))
    } else {
        BMS_NOT_INITIALISED
    }
}
