//! The emulated board (mps2-an386): semihosting, timer, stack; and the program that runs on it.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use crate::app::{RESULT_LEN, learnt};
use crate::record::{self, HEADER_LEN, LEN};
use crate::search::{Range, walk};
use crate::unit::Unit;

/// Memory for one value that lives as long as the program; each may be filled by one part of the program only.
#[derive(Debug)]
pub struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: there is one core, and no interrupt uses a slot.
unsafe impl<T> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// Nothing in it.
    #[allow(clippy::declare_interior_mutable_const)] // the start value of statics
    pub const EMPTY: Self = Self(UnsafeCell::new(MaybeUninit::uninit()));

    /// Fills it, once.
    #[inline(never)]
    fn fill(&'static self, value: T) -> &'static mut T {
        // SAFETY: `run` fills every slot once, before anything else borrows from it.
        unsafe { (*self.0.get()).write(value) }
    }
}

/// One semihosting request (ARM "Semihosting for AArch32 and AArch64", IHI 0100).
fn call(operation: u32, argument: *const u32) -> u32 {
    let mut r0 = operation;
    // SAFETY: the debugger reads and writes only what the request's arguments name.
    unsafe { asm!("bkpt 0xab", inout("r0") r0, in("r1") argument, options(nostack)) };
    r0
}

const OPEN: u32 = 0x01;
const WRITE0: u32 = 0x04;
const READ: u32 = 0x06;
const COMMAND_LINE: u32 = 0x15;
const EXIT: u32 = 0x18;

/// Ends the program with success or failure.
pub fn exit(success: bool) -> ! {
    let reason: u32 = if success { 0x2_0026 } else { 0x2_0023 };
    loop {
        call(EXIT, reason as *const u32);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(false)
}

/// A stack that grew into the statics ends here, too.
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    fail("hard fault")
}

/// Prints a text.
pub fn print(text: &str) {
    // Requests want a zero at the end; pieces of some length fit a small buffer.
    for piece in text.as_bytes().chunks(63) {
        let mut line = [0u8; 64];
        for (to, from) in line.iter_mut().zip(piece) {
            *to = *from;
        }
        call(WRITE0, line.as_ptr().cast());
    }
}

/// Prints a whole number.
pub fn print_number(mut n: u32) {
    let mut digits = [0u8; 11];
    for place in digits.iter_mut().rev().skip(1) {
        *place = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            let used = digits.iter().skip_while(|d| **d == 0);
            let mut line = [0u8; 11];
            for (to, from) in line.iter_mut().zip(used) {
                *to = *from;
            }
            call(WRITE0, line.as_ptr().cast());
            return;
        }
    }
}

/// Prints ` name=number`.
fn print_pair(name: &str, n: u32) {
    print(" ");
    print(name);
    print("=");
    print_number(n);
}

/// Ends the program with a message.
pub fn fail(why: &str) -> ! {
    print("FAILED: ");
    print(why);
    print("\n");
    exit(false)
}

/// A file of the host.
#[derive(Debug)]
pub struct File(u32);

impl File {
    /// Opens it, or ends the program.
    #[must_use]
    pub fn open(name: &[u8]) -> Self {
        let mut path = [0u8; 240];
        for (to, from) in path.iter_mut().take(239).zip(name) {
            *to = *from;
        }
        // Mode 1: `rb`.
        let arguments = [path.as_ptr() as u32, 1, name.len().min(239) as u32];
        let handle = call(OPEN, arguments.as_ptr());
        if handle == u32::MAX {
            fail("a file cannot be opened");
        }
        Self(handle)
    }

    /// The next bytes; ends the program if there are fewer.
    #[must_use]
    pub fn read<const L: usize>(&self) -> [u8; L] {
        let mut bytes = [0u8; L];
        let arguments = [self.0, bytes.as_mut_ptr() as u32, L as u32];
        // The request tells how many bytes are left over.
        if call(READ, arguments.as_ptr()) != 0 {
            fail("a file is too short");
        }
        black_box(bytes)
    }
}

/// Time of the emulated board's timer (CMSDK APB timer 0, 25 MHz, counts down).
#[cfg(not(feature = "stm32f407"))]
mod timer {
    const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
    const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
    const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;

    /// Starts it.
    pub(super) fn start() {
        // SAFETY: these are the registers of a timer that nothing else uses.
        unsafe {
            RELOAD.write_volatile(u32::MAX);
            VALUE.write_volatile(u32::MAX);
            CONTROL.write_volatile(1);
        }
    }

    /// Ticks, running down.
    pub(super) fn ticks() -> u32 {
        // SAFETY: as in `start`.
        unsafe { VALUE.read_volatile() }
    }

    /// Instructions between two moments: under `-icount shift=7` one takes 128 ns, 3.2 ticks.
    pub(super) fn between(from: u32, to: u32) -> u32 {
        ((u64::from(from.wrapping_sub(to)) * 10 + 16) / 32) as u32
    }
}

/// Cycles of a real core (DWT of the ARMv7-M architecture); the emulator's reads zero.
#[cfg(feature = "stm32f407")]
mod timer {
    const DEBUG: *mut u32 = 0xe000_edfc as *mut u32;
    const CONTROL: *mut u32 = 0xe000_1000 as *mut u32;
    const CYCLES: *mut u32 = 0xe000_1004 as *mut u32;

    /// Starts it.
    pub(super) fn start() {
        // SAFETY: these are the registers of a counter that nothing else uses.
        unsafe {
            DEBUG.write_volatile(DEBUG.read_volatile() | 1 << 24);
            CYCLES.write_volatile(0);
            CONTROL.write_volatile(CONTROL.read_volatile() | 1);
        }
    }

    /// Cycles, running up.
    pub(super) fn ticks() -> u32 {
        // SAFETY: as in `start`.
        unsafe { CYCLES.read_volatile() }
    }

    /// Cycles between two moments.
    pub(super) fn between(from: u32, to: u32) -> u32 {
        to.wrapping_sub(from)
    }
}

#[inline(never)]
fn nothing<T>(value: &mut T) {
    black_box(value);
}

#[inline(never)]
fn step<U: Unit>(unit: &mut U) {
    unit.step();
    black_box(unit);
}

#[inline(never)]
fn timed<T>(value: &mut T, what: impl Fn(&mut T)) -> u32 {
    let from = timer::ticks();
    what(black_box(value));
    timer::between(from, timer::ticks())
}

/// Counts instructions.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// What a call of nothing takes.
    around: u32,
}

impl Counter {
    /// Starts the timer.
    pub fn new<T>(value: &mut T) -> Self {
        timer::start();
        let mut around = u32::MAX;
        for _ in 0..8 {
            around = around.min(timed(value, nothing));
        }
        Self { around }
    }

    /// Instructions of `what`.
    pub fn count<T>(&self, value: &mut T, what: impl Fn(&mut T)) -> u32 {
        timed(value, what).saturating_sub(self.around)
    }

    fn step<U: Unit>(&self, unit: &mut U) -> u32 {
        self.count(unit, step)
    }
}

/// The stack: filled with a pattern that whoever uses it overwrites.
mod stack {
    use core::arch::asm;

    const PATTERN: u32 = 0xa5a5_5a5a;

    unsafe extern "C" {
        static __sheap: u32;
    }

    fn bottom() -> *mut u32 {
        // The end of all statics, by the linker script.
        (&raw const __sheap).cast_mut()
    }

    #[inline(always)]
    fn pointer() -> u32 {
        let sp: u32;
        // SAFETY: reads a register.
        unsafe { asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
        sp
    }

    /// Fills all that is free.
    #[inline(never)]
    pub(super) fn paint() {
        let mut at = bottom();
        // Below the stack pointer nothing is in use; a little is left to this function.
        let end = pointer() - 64;
        while (at as u32) < end {
            // SAFETY: between the statics and the stack pointer.
            unsafe { at.write_volatile(PATTERN) };
            at = at.wrapping_add(1);
        }
    }

    /// Bytes that were used below this call since [`paint`].
    #[inline(never)]
    pub(super) fn used() -> u32 {
        let mut at = bottom();
        let end = pointer();
        // SAFETY: between the statics and the stack pointer.
        while (at as u32) < end && unsafe { at.read_volatile() } == PATTERN {
            at = at.wrapping_add(1);
        }
        end - at as u32
    }
}

/// The command line.
#[derive(Debug)]
pub struct Arguments([u8; 512]);

impl Arguments {
    /// As the emulator was given it; ends the program without one.
    #[must_use]
    pub fn get() -> Self {
        let mut line = [0u8; 512];
        let block = [line.as_mut_ptr() as u32, line.len() as u32];
        if call(COMMAND_LINE, block.as_ptr()) != 0 {
            fail("no command line");
        }
        Self(black_box(line))
    }

    /// The first two words after the program's name; ends the program if there are fewer.
    #[must_use]
    pub fn two(&self) -> [&[u8]; 2] {
        let mut words = self.0.split(|b| *b == b' ' || *b == 0).filter(|w| !w.is_empty()).skip(1);
        let (Some(one), Some(other)) = (words.next(), words.next()) else { fail("two arguments are needed") };
        [one, other]
    }
}

/// The program.
pub fn run<U: Unit>(
    models: &'static Slot<U::Models>,
    unit: &'static Slot<U>,
    spare: &'static [Slot<U>; 3],
) -> ! {
    let arguments = Arguments::get();
    let [recording, results] = arguments.two();
    let file = File::open(recording);
    let Some((count, soc)) = record::header(&file.read::<HEADER_LEN>()) else { fail("not a recording") };
    let Some(made) = U::models() else { fail("the tables are refused") };
    let models = models.fill(made);
    stack::paint();
    let Some(made) = make::<U>(models, soc) else { fail("the settings are refused") };
    let at_start = stack::used();
    let unit = unit.fill(made);
    if results == b"search" {
        search(unit, spare, &file, count);
    }
    compare(unit, &file, &File::open(results), count, at_start);
}

#[inline(never)]
fn make<U: Unit>(models: &'static U::Models, soc: f32) -> Option<U> {
    U::new(models, soc)
}

fn compare<U: Unit>(unit: &mut U, samples: &File, results: &File, count: u32, at_start: u32) -> ! {
    let counter = Counter::new(unit);
    let (mut range, mut sum) = (Range::default(), 0u64);
    stack::paint();
    for k in 0..count {
        unit.prepare(&record::sample(&samples.read::<LEN>()));
        let counted = counter.step(unit);
        range.see(counted);
        sum += u64::from(counted);
        let mut here = [0u8; RESULT_LEN];
        let bits = [unit.soc().to_bits(), digest(unit, learnt(k, count))];
        for (to, from) in here.iter_mut().zip(bits.iter().flat_map(|b| b.to_le_bytes())) {
            *to = from;
        }
        if here != results.read::<RESULT_LEN>() {
            print_pair("step", k);
            fail(" results differ from the host's");
        }
    }
    print(U::NAME);
    print_pair("steps", count);
    print_pair("mean", (sum / u64::from(count.max(1))) as u32);
    print_pair("least", range.least);
    print_pair("most", range.most);
    print_pair("cells", U::CELLS);
    print_pair("ram", U::RAM);
    stack::paint();
    step(unit);
    print_pair("stack", stack::used());
    print_pair("stack_start", at_start);
    print_pair("soc_ppm", (unit.soc() * 1e6) as u32);
    print_pair("mode", unit.mode());
    print(" equal to the host bit for bit\n");
    exit(true)
}

#[inline(never)]
fn digest<U: Unit>(unit: &U, learnt: bool) -> u32 {
    unit.digest(learnt)
}

/// Walks begin at so many places of the recording.
const WALKS: u32 = 6;

fn search<U: Unit>(unit: &mut U, spare: &'static [Slot<U>; 3], samples: &File, count: u32) -> ! {
    let [mut a, mut b, mut c] = spare.each_ref().map(|slot| slot.fill(unit.clone()));
    let counter = Counter::new(unit);
    let mut range = Range::default();
    let every = (count / WALKS).max(1);
    let mut deepest = 0;
    for k in 0..count {
        unit.prepare(&record::sample(&samples.read::<LEN>()));
        if k % every == 0 {
            stack::paint();
            let mut count = |u: &mut U| counter.step(u);
            walk(unit, k, [&mut a, &mut b, &mut c], &mut count, &mut range);
            deepest = stack::used().max(deepest);
        }
        unit.step();
    }
    print(U::NAME);
    print_pair("searched", range.steps);
    print_pair("least", range.least);
    print_pair("most", range.most);
    print_pair("stack", deepest);
    print("\n");
    exit(true)
}
