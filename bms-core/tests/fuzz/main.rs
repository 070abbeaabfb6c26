//! The whole core and every decoder against arbitrary bytes: no panic, limits respected, no latched fault lost.
//!
//! A short run is among the normal tests. A long one, with the number of steps and the seed of choice:
//! `BMS_FUZZ_STEPS=10000000 BMS_FUZZ_SEED=1 cargo test --release -p bms-core --test fuzz long_run -- --ignored --nocapture`

mod decoders;
mod ends;
mod random;
mod rules;
mod world;

use std::collections::BTreeMap;

use bms_core::controller::{Controller, ControllerState, MemoryPart};
use bms_core::safety::ledger::Status;
use bms_core::safety::mode::Mode;
use bms_core::safety::table::{COUNT, Diagnosis, TABLE};
use bms_core::soc::Estimated;
use bms_core::store::{Store, fingerprint};
use bms_core::tuning::Tuning;

use random::Random;
use rules::Rules;
use world::{KEY, M, MODEL, N, S, World, models, settings};

/// What a run came by: a run that never closed a contactor has shown nothing.
#[derive(Debug, Default)]
struct Seen {
    steps: u64,
    in_mode: BTreeMap<Mode, u64>,
    /// How often each diagnosis began to react.
    reacted: Vec<u64>,
    unlocked: u64,
    restored: u64,
    /// Steps in which a fault stood for longer than its FTTI (less the contactor), checked against open contactors.
    timed: BTreeMap<&'static str, u64>,
}

/// The memory over a power loss: what comes back is what was, or nothing at all.
fn power_cycle<'a>(
    controller: &Controller<'a, N, S, M>,
    settings: &bms_core::controller::ControllerSettings<'a>,
    random: &mut Random,
) -> Controller<'a, N, S, M> {
    type State = ControllerState<N, S>;
    let state = controller.state();
    let print = fingerprint(&MODEL, &Tuning::NMC);
    let (store, _) = Store::<State>::load(print, &[], &[]);
    let mut bytes = [0; Store::<State>::SLOT_LEN];
    store.save(&state, &mut bytes).expect("a state that came out of the core is sound");
    let broken = random.one_in(8);
    if broken {
        let k = random.below(bytes.len() as u32) as usize;
        bytes[k] ^= 1 << random.below(8);
    }
    let (_, loaded) = Store::<State>::load(print, &bytes, &[]);
    assert_eq!(loaded.value.is_none(), broken, "{:?}", loaded.problems);
    let Some(back) = loaded.value else {
        let start = Estimated { value: 0.6, std: 0.3 };
        let new = Controller::new(models(), &Tuning::NMC, settings, 5.0, start).expect("sound settings");
        return new.with_damaged_store();
    };
    assert_eq!(back.latched, state.latched);
    let new = Controller::restore(models(), &Tuning::NMC, settings, back).expect("sound settings");
    assert_eq!(new.safety().ledger().latched(), state.latched, "a latched fault was lost with the power");
    new
}

fn run(seed: u64, steps: u64) -> Seen {
    let mut random = Random::new(seed);
    let settings = settings();
    let start = Estimated { value: 0.6, std: 0.02 };
    let mut controller =
        Controller::<N, S, M>::new(models(), &Tuning::NMC, &settings, 5.0, start).expect("sound settings");
    let mut world = World::new();
    let mut rules = Rules::new();
    let mut seen = Seen { reacted: vec![0; COUNT], ..Seen::default() };
    let mut before = [Status::Clear; COUNT];
    for step in 0..steps {
        if random.one_in(4_000) {
            controller = power_cycle(&controller, &settings, &mut random);
            rules.power_came_back();
            seen.restored += 1;
        }
        if random.one_in(50_000) {
            let parts = [MemoryPart::Settings, MemoryPart::Tables, MemoryPart::Mode, MemoryPart::Detected];
            controller.corrupt(parts[random.below(4) as usize]);
        }
        let (input, dt_ms) = world.next(&mut random, controller.decision().contactors);
        rules.before(&controller, &input, dt_ms);
        controller.step(&input, dt_ms);
        if let Err(broken) = rules.after(&controller, &input, &mut seen.timed) {
            panic!("seed {seed}, step {step}: {broken}\n{input:?}\n{:?}", controller.decision());
        }

        seen.steps += 1;
        *seen.in_mode.entry(controller.decision().mode).or_default() += 1;
        let ledger = controller.safety().ledger();
        for ((status, e), count) in before.iter_mut().zip(&TABLE).zip(&mut seen.reacted) {
            let now = ledger.status(e.id);
            *count += u64::from(now == Status::Reacting && *status != Status::Reacting);
            *status = now;
        }
        seen.unlocked += u64::from(input.service_key == Some(KEY) && rules.unlocks());
        // A controller with a damaged table never works again: a new one, as after a repair.
        if ledger.status(Diagnosis::MemoryCorrupt) == Status::Reacting && random.one_in(300) {
            controller =
                Controller::new(models(), &Tuning::NMC, &settings, 5.0, start).expect("sound settings");
            rules.power_came_back();
        }
    }
    seen
}

fn report(seed: u64, seen: &Seen) {
    let reacted = seen.reacted.iter().filter(|n| **n > 0).count();
    println!("seed {seed}: {} steps, {reacted} of {COUNT} diagnoses reacted", seen.steps);
    println!("  steps in each mode: {:?}", seen.in_mode);
    println!("  unlocked {}, power lost {}", seen.unlocked, seen.restored);
    println!("  steps with a fault older than its FTTI and open contactors: {:?}", seen.timed);
    let never = TABLE.iter().zip(&seen.reacted).filter(|(_, n)| **n == 0).map(|(e, _)| e.name);
    println!("  never reacted: {:?}", never.collect::<Vec<_>>());
}

#[test]
fn arbitrary_measurements_leave_the_core_sound() {
    let seen = run(1, 300_000);
    report(1, &seen);
    let share = |mode: Mode| seen.in_mode.get(&mode).copied().unwrap_or(0) as f64 / seen.steps as f64;
    // The run has been everywhere that matters.
    assert!(share(Mode::Drive) > 0.02 && share(Mode::Charge) > 0.003, "{:?}", seen.in_mode);
    assert!(share(Mode::Error) > 0.05 && share(Mode::Precharge) > 0.001, "{:?}", seen.in_mode);
    assert!(seen.reacted.iter().filter(|n| **n > 0).count() > 60);
    assert!(seen.unlocked > 50 && seen.restored > 5);
    assert!(seen.timed.len() == rules::TIMED && seen.timed.values().all(|n| *n > 20), "{:?}", seen.timed);
}

/// As many steps as are asked for.
#[test]
#[ignore = "minutes"]
fn long_run() {
    let number =
        |name: &str, default: u64| std::env::var(name).map_or(default, |n| n.parse().expect("a number"));
    let (seed, steps) = (number("BMS_FUZZ_SEED", 1), number("BMS_FUZZ_STEPS", 10_000_000));
    report(seed, &run(seed, steps));
}
