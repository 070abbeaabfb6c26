//! What must hold in every step, looked at from outside: from the raw frame and from what is decided.

use std::collections::BTreeMap;

use bms_core::controller::{Controller, Input};
use bms_core::measurement::Reading;
use bms_core::safety::contactors::{Lock, Position};
use bms_core::safety::frame::{Frame, MINUS, PLUS};
use bms_core::safety::ledger::{DiagnosisSet, Status};
use bms_core::safety::table::{ACTUATION_MS, Diagnosis, Latch, Level, PERIOD_MS, Reaction, TABLE};

use crate::world::{CHARGE_A, DISCHARGE_A, KEY, M, N, S, SAFETY};

/// A fault that can be seen in a frame without any knowledge of the monitors, and the diagnosis whose FTTI holds for it.
struct Timed {
    name: &'static str,
    id: Diagnosis,
    /// It begins with a pack that is connected.
    connected: bool,
    holds: fn(&Frame<N, S>) -> bool,
}

fn sound_cells(f: &Frame<N, S>) -> bool {
    f.cell_voltage_v.iter().all(|v| (0.0..6.0).contains(v)) && f.front_end.fresh && f.front_end.sound
}

const FAULTS: [Timed; 7] = [
    Timed {
        name: "over-voltage",
        id: Diagnosis::CellVoltageHighFatal,
        connected: false,
        holds: |f| sound_cells(f) && f.cell_voltage_v.iter().any(|v| *v > SAFETY.cell_high_v.fatal),
    },
    Timed {
        name: "under-voltage",
        id: Diagnosis::CellVoltageLowFatal,
        connected: false,
        holds: |f| sound_cells(f) && f.cell_voltage_v.iter().any(|v| *v < SAFETY.cell_low_v.fatal),
    },
    Timed {
        name: "a cell voltage is no number",
        id: Diagnosis::CellVoltageLost,
        connected: false,
        holds: |f| f.cell_voltage_v.iter().any(|v| v.is_nan()),
    },
    Timed {
        name: "interlock open",
        id: Diagnosis::InterlockOpen,
        connected: false,
        holds: |f| !f.interlock_closed,
    },
    Timed {
        name: "front end silent",
        id: Diagnosis::FrontEndLost,
        connected: false,
        holds: |f| !f.front_end.fresh || !f.front_end.sound,
    },
    Timed {
        name: "all cells hot",
        id: Diagnosis::DischargeHotFatal,
        connected: true,
        holds: |f| f.sensors_c.iter().all(|c| *c > SAFETY.discharge_hot_c.fatal && *c < 150.0),
    },
    Timed {
        name: "pulse of current",
        id: Diagnosis::DischargePulseFatal,
        connected: false,
        holds: |f| {
            [f.current_a, f.second_current_a].iter().all(|a| *a > SAFETY.pulse_discharge_a && *a < 50.0)
        },
    },
];
/// Number of faults that are timed.
pub(crate) const TIMED: usize = FAULTS.len();

pub(crate) struct Rules {
    latched: DiagnosisSet,
    detected: DiagnosisSet,
    position: Position,
    acknowledges: bool,
    unlocks: bool,
    /// For how long each fault has been there without a break, in ms.
    since_ms: [u32; TIMED],
}

impl Rules {
    pub(crate) fn new() -> Self {
        Self {
            latched: DiagnosisSet::default(),
            detected: DiagnosisSet::default(),
            position: Position::Open,
            acknowledges: false,
            unlocks: false,
            since_ms: [0; TIMED],
        }
    }

    /// A controller that was restored: what waits for an acknowledgement only may be gone, contactors are open.
    pub(crate) fn power_came_back(&mut self) {
        *self = Self::new();
    }

    /// The last step unlocked what was latched.
    pub(crate) const fn unlocks(&self) -> bool {
        self.unlocks
    }

    /// Notes what there was before a step.
    pub(crate) fn before(
        &mut self,
        controller: &Controller<'_, N, S, M>,
        input: &Input<N, S, M>,
        dt_ms: u16,
    ) {
        let ledger = controller.safety().ledger();
        (self.latched, self.detected) = (ledger.latched(), ledger.detected());
        self.position = controller.decision().position;
        // What is not heard soundly counts for nothing.
        let vehicle = input.frame.vehicle;
        self.acknowledges = input.acknowledge && vehicle.fresh && vehicle.sound;
        self.unlocks = input.service_key == Some(KEY) && self.position == Position::Open;
        for (since_ms, fault) in self.since_ms.iter_mut().zip(&FAULTS) {
            // Reaction times hold for steps in time only.
            let connected = controller.decision().contactors.contains(&true);
            let counts = (fault.holds)(&input.frame)
                && (connected || !fault.connected || *since_ms > 0)
                && u32::from(dt_ms) <= PERIOD_MS;
            *since_ms = if counts { *since_ms + u32::from(dt_ms) } else { 0 };
        }
    }

    /// What is broken after it.
    pub(crate) fn after(
        &self,
        controller: &Controller<'_, N, S, M>,
        input: &Input<N, S, M>,
        timed: &mut BTreeMap<&'static str, u64>,
    ) -> Result<(), String> {
        let rule = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let (ledger, d) = (controller.safety().ledger(), controller.decision());

        // No latched fault is lost.
        for e in &TABLE {
            let may_end = match e.latch {
                Latch::None => true,
                Latch::Acknowledge => self.acknowledges || self.unlocks,
                Latch::Service => self.unlocks,
            };
            let lost = self.detected.contains(e.id) && ledger.status(e.id) < Status::Detected;
            rule(may_end || !lost, &format!("`{}` was forgotten", e.name))?;
        }
        let still = self.latched.iter().all(|id| self.unlocks || ledger.latched().contains(id));
        rule(still, "a fault that a workshop has to unlock was forgotten")?;

        // Nothing closes on a fault.
        let closes = self.position == Position::Open && d.position != Position::Open;
        let free =
            d.lock == Lock::Free && !ledger.reacts(Reaction::Open) && !ledger.reacts(Reaction::StayOpen);
        rule(!closes || free, "contactors close on a fault")?;
        rule(!d.contactors[PLUS] || d.contactors[MINUS], "plus alone is closed")?;
        rule(d.position != Position::Open || d.contactors == [false; 3], "open, but told to close")?;

        // What lasts as long as its FTTI has opened them.
        for (since_ms, fault) in self.since_ms.iter().zip(&FAULTS) {
            if *since_ms + ACTUATION_MS >= fault.id.entry().ftti_ms {
                rule(d.contactors == [false; 3], &format!("{} for {since_ms} ms", fault.name))?;
                *timed.entry(fault.name).or_default() += 1;
            }
        }

        // Limits.
        let magnitude = |x: f32, most: f32| (0.0..=most).contains(&x);
        let [discharge, charge] = [d.limits.discharge, d.limits.charge];
        rule(magnitude(discharge.current_a, DISCHARGE_A), "discharge limit")?;
        rule(magnitude(charge.current_a, CHARGE_A), "charge limit")?;
        rule(magnitude(discharge.power_w, 1e4) && magnitude(charge.power_w, 1e4), "power limit")?;
        rule(magnitude(d.bms.charge.current_a, charge.current_a), "charge request above the charge limit")?;
        let fault = ledger.level() == Some(Level::Fatal);
        let off = fault || d.position != Position::Closed || !d.mode.works();
        rule(!off || (discharge.current_a, charge.current_a) == (0.0, 0.0), "limits without a sound pack")?;
        rule(!off || (discharge.power_w, charge.power_w) == (0.0, 0.0), "power without a sound pack")?;
        let commands = [
            d.bms.climate.flow_l_per_min,
            d.bms.climate.chiller_w,
            d.bms.climate.heater_w,
            d.bms.climate.film_w[0],
            d.bms.preheat.coolant_w,
            d.bms.preheat.film_w,
            d.bms.preheat.charge_a,
            d.bms.preheat.discharge_a,
        ];
        rule(commands.iter().all(|x| magnitude(*x, 1e5)), "a command is no number")?;
        rule(!fault || d.bms.climate.heater_w == 0.0 && d.bms.climate.film_w == [0.0], "heats with a fault")?;
        rule(d.bms.balance.current_a.iter().all(|a| a.is_finite()), "balancing current")?;
        rule(!fault || !d.bms.balance.current_a.iter().any(|a| *a != 0.0), "balances with a fault")?;

        // What may be used is what was read, and can be.
        let r = controller.readings();
        let can_be = |x: &Reading, lo: f32, hi: f32| x.valid().is_none_or(|x| (lo..=hi).contains(&x));
        rule(r.cell_voltage_v.iter().all(|v| can_be(v, -0.5, 6.0)), "cell reading")?;
        rule(r.sensors_c.iter().all(|c| can_be(c, -60.0, 150.0)), "temperature reading")?;
        // A tenth above full scale is still measured.
        rule(can_be(&r.current_a, -55.0, 55.0), "current reading")?;
        let raw = r.cell_voltage_v.iter().zip(&input.frame.cell_voltage_v);
        rule(raw.into_iter().all(|(v, raw)| v.valid().is_none_or(|v| v == *raw)), "a reading was made up")?;
        let soc = controller.bms().estimate().soc;
        rule((0.0..=1.0).contains(&soc.value) && soc.std.is_finite(), "SOC")
    }
}
