//! Contactors, precharge, DC link, fuse and isolation.

use super::sharing::Source;
use crate::error::{ParameterError, check, check_not_negative, check_positive};

/// What describes the switchgear between cells and load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwitchgearParameters {
    /// Resistance of each of the two main contactors in ohm, not negative.
    pub contactor_ohm: f64,
    /// Precharge resistor in ohm, above 0.
    pub precharge_ohm: f64,
    /// Capacitance of the DC link in F, not negative.
    pub link_f: f64,
    /// Resistor across the DC link that discharges it in ohm, above 0; infinite for none.
    pub link_bleed_ohm: f64,
    /// Main fuse, if there is one.
    pub fuse: Option<FuseParameters>,
    /// Isolation resistances from plus and from minus to the chassis in ohm, above 0; infinite for perfect ones.
    pub isolation_ohm: [f64; 2],
}

impl Default for SwitchgearParameters {
    /// Made-up figures of the size that a car of 400 V has: contactors of 0.2 mohm, precharge through 50 ohm into 1 mF, no
    /// fuse, no bleed resistor and perfect isolation.
    fn default() -> Self {
        Self {
            contactor_ohm: 2e-4,
            precharge_ohm: 50.0,
            link_f: 1e-3,
            link_bleed_ohm: f64::INFINITY,
            fuse: None,
            isolation_ohm: [f64::INFINITY; 2],
        }
    }
}

/// A fuse that melts at a given I2t.
///
/// Its state `x` follows `dx/dt = I^2 - I_rated^2` and stays above 0; it melts at `x = melting_a2s`. So it carries its
/// rated current for ever and cools down below it. A simple stand-in for a maker's curve of melting times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FuseParameters {
    /// Current in A that it carries for ever, above 0.
    pub rated_a: f64,
    /// Melting integral in A2 s, above 0.
    pub melting_a2s: f64,
}

/// One of the contactors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contactor {
    /// Main contactor at plus.
    Plus,
    /// Main contactor at minus.
    Minus,
    /// Precharge contactor, in series with its resistor, beside the one at plus.
    Precharge,
}

/// What may be wrong with a contactor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactorFault {
    /// Closed whatever it is told.
    Welded,
    /// Open whatever it is told.
    FailsToClose,
}

/// The way from the cells to the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Open,
    Precharging,
    Closed,
}

/// Contactors, DC link, fuse and isolation of a [`Pack`](super::Pack); a new one is open, its link empty.
#[derive(Debug, Clone)]
pub struct Switchgear {
    parameters: SwitchgearParameters,
    told_closed: [bool; 3],
    fault: [Option<ContactorFault>; 3],
    link_v: f64,
    /// Whether the load was connected in the last step.
    was_closed: bool,
    inrush_a: f64,
    fuse_a2s: f64,
    blown: bool,
    short_ohm: Option<f64>,
}

/// What passed through the precharge resistor.
pub(super) struct Precharge {
    /// Mean current in A.
    pub(super) current_a: f64,
    /// Voltage of the link at the end in V.
    pub(super) link_v: f64,
    /// Heat in W in precharge resistor and contactor.
    pub(super) heat_w: f64,
    /// Mean of the square of the current in A2.
    pub(super) square_a2: f64,
    /// Mean power in W that goes into the link and its bleed resistor.
    pub(super) link_w: f64,
}

impl Switchgear {
    pub(super) fn new(parameters: SwitchgearParameters) -> Result<Self, ParameterError> {
        let p = &parameters;
        check_not_negative("contactor resistance in ohm", p.contactor_ohm)?;
        check_positive("precharge resistor in ohm", p.precharge_ohm)?;
        check_not_negative("capacitance of the DC link in F", p.link_f)?;
        check_to_infinity("bleed resistor in ohm", p.link_bleed_ohm)?;
        if let Some(fuse) = p.fuse {
            check_positive("rated current of the fuse in A", fuse.rated_a)?;
            check_positive("melting integral of the fuse in A2 s", fuse.melting_a2s)?;
        }
        let mut switchgear = Self {
            parameters,
            told_closed: [false; 3],
            fault: [None; 3],
            link_v: 0.0,
            was_closed: false,
            inrush_a: 0.0,
            fuse_a2s: 0.0,
            blown: false,
            short_ohm: None,
        };
        switchgear.set_isolation_ohm(parameters.isolation_ohm)?;
        Ok(switchgear)
    }

    /// The parameters.
    pub fn parameters(&self) -> &SwitchgearParameters {
        &self.parameters
    }

    /// Tells a contactor to close or to open.
    pub fn set(&mut self, contactor: Contactor, closed: bool) {
        self.told_closed[contactor as usize] = closed;
    }

    /// Tells both main contactors to close and the one for precharge to open, or all to open.
    pub fn set_main(&mut self, closed: bool) {
        self.told_closed = [closed, closed, false];
    }

    /// Breaks a contactor, or repairs it.
    pub fn set_fault(&mut self, contactor: Contactor, fault: Option<ContactorFault>) {
        self.fault[contactor as usize] = fault;
    }

    /// Whether a contactor is closed, whatever it was told.
    pub fn is_closed(&self, contactor: Contactor) -> bool {
        match self.fault[contactor as usize] {
            Some(ContactorFault::Welded) => true,
            Some(ContactorFault::FailsToClose) => false,
            None => self.told_closed[contactor as usize],
        }
    }

    /// Sets the isolation resistances from plus and from minus to the chassis in ohm.
    ///
    /// # Errors
    /// When one is not above 0; infinity is allowed.
    pub fn set_isolation_ohm(&mut self, isolation_ohm: [f64; 2]) -> Result<(), ParameterError> {
        for ohm in isolation_ohm {
            check_to_infinity("isolation resistance in ohm", ohm)?;
        }
        self.parameters.isolation_ohm = isolation_ohm;
        Ok(())
    }

    /// Changes the precharge resistor, in ohm: a broken one has infinitely many.
    ///
    /// # Errors
    /// When it is not above 0; infinity is allowed.
    pub fn set_precharge_ohm(&mut self, precharge_ohm: f64) -> Result<(), ParameterError> {
        check_to_infinity("precharge resistor in ohm", precharge_ohm)?;
        self.parameters.precharge_ohm = precharge_ohm;
        Ok(())
    }

    /// Joins the terminals behind the contactors by so many ohm: an external short circuit, which leaves nothing for the
    /// load; `None` takes it away.
    ///
    /// # Errors
    /// When it is not above 0.
    pub fn set_short_ohm(&mut self, short_ohm: Option<f64>) -> Result<(), ParameterError> {
        if let Some(ohm) = short_ohm {
            check_positive("external short circuit in ohm", ohm)?;
        }
        self.short_ohm = short_ohm;
        Ok(())
    }

    /// The external short circuit in ohm, if there is one.
    pub fn short_ohm(&self) -> Option<f64> {
        self.short_ohm
    }

    /// Breaks the fuse, whatever flowed; a pack without one is cut all the same.
    pub fn break_fuse(&mut self) {
        self.blow();
    }

    /// The load discharges the link through so many ohm for `dt_s` seconds while it is not connected to the cells.
    pub fn discharge_link(&mut self, ohm: f64, dt_s: f64) {
        if self.path() == Path::Open {
            self.link_v *= (-dt_s / (ohm * self.parameters.link_f)).exp();
        }
    }

    /// Isolation resistances from plus and from minus to the chassis in ohm.
    pub fn isolation_ohm(&self) -> [f64; 2] {
        self.parameters.isolation_ohm
    }

    /// Whether the fuse has blown; it stays so.
    pub fn fuse_blown(&self) -> bool {
        self.blown
    }

    /// Share of the fuse's melting integral that is used up, 0..1; 0 without a fuse.
    pub fn fuse_used(&self) -> f64 {
        self.parameters.fuse.map_or(0.0, |fuse| self.fuse_a2s / fuse.melting_a2s)
    }

    /// Highest current in A of the last closing of the main contactors, into a link at another voltage; of either sign.
    pub fn inrush_a(&self) -> f64 {
        self.inrush_a
    }

    pub(super) fn path(&self) -> Path {
        let [plus, minus, precharge] =
            [Contactor::Plus, Contactor::Minus, Contactor::Precharge].map(|c| self.is_closed(c));
        match (self.blown || !minus, plus, precharge) {
            (false, true, _) => Path::Closed,
            (false, false, true) => Path::Precharging,
            _ => Path::Open,
        }
    }

    pub(super) fn link_v(&self) -> f64 {
        self.link_v
    }

    /// Resistance of both main contactors in ohm.
    pub(super) fn line_ohm(&self) -> f64 {
        2.0 * self.parameters.contactor_ohm
    }

    pub(super) fn isolation_leak_a(&self, pack_v: f64) -> f64 {
        let [plus, minus] = self.parameters.isolation_ohm;
        pack_v / (plus + minus)
    }

    pub(super) fn closes_now(&self) -> bool {
        !self.was_closed && self.path() == Path::Closed
    }

    /// Equalises the link with the pack at once, through the pack's resistance and the line's.
    pub(super) fn rush(&mut self, pack: Source) {
        let apart_v = pack.emf_v - self.link_v;
        // An ideal pack and line would carry any current; the model gives up at a micro-ohm.
        let ohm = (pack.ohm + self.line_ohm()).max(1e-6);
        self.inrush_a = apart_v / ohm;
        self.fuse_a2s += 0.5 * self.parameters.link_f * apart_v * apart_v / ohm;
        self.was_closed = true;
    }

    /// Time in s until the fuse melts under a current with the mean square `square_a2` (A2).
    pub(super) fn melts_after_s(&self, square_a2: f64) -> Option<f64> {
        let fuse = self.parameters.fuse?;
        let rise = square_a2 - fuse.rated_a * fuse.rated_a;
        let left = fuse.melting_a2s - self.fuse_a2s;
        if left <= 0.0 {
            Some(0.0)
        } else if rise > 0.0 {
            Some(left / rise)
        } else {
            None
        }
    }

    pub(super) fn blow(&mut self) {
        self.blown = true;
        if let Some(fuse) = self.parameters.fuse {
            self.fuse_a2s = fuse.melting_a2s;
        }
    }

    /// Time passes under a current with the mean square `square_a2`.
    pub(super) fn warm_fuse(&mut self, square_a2: f64, dt_s: f64) {
        if let Some(fuse) = self.parameters.fuse.filter(|_| !self.blown) {
            self.fuse_a2s = (self.fuse_a2s + (square_a2 - fuse.rated_a * fuse.rated_a) * dt_s).max(0.0);
        }
    }

    /// The link is on the cells and shows `link_v`.
    pub(super) fn follow(&mut self, link_v: f64) {
        self.link_v = link_v;
    }

    /// The link discharges on its own.
    pub(super) fn leave(&mut self, dt_s: f64) {
        self.was_closed = false;
        let p = &self.parameters;
        let rate = dt_s / (p.link_bleed_ohm * p.link_f);
        self.link_v = if p.link_f > 0.0 { self.link_v * (-rate).exp() } else { 0.0 };
    }

    /// What the precharge of `dt_s` seconds from `pack` does; exact for a constant source.
    pub(super) fn precharge(&self, pack: Source, dt_s: f64) -> Precharge {
        let p = &self.parameters;
        let outer_ohm = p.precharge_ohm + p.contactor_ohm;
        if outer_ohm == f64::INFINITY {
            return Precharge {
                current_a: 0.0,
                link_v: self.link_v,
                heat_w: 0.0,
                square_a2: 0.0,
                link_w: 0.0,
            };
        }
        let (ohm, bleed_s) = (pack.ohm + outer_ohm, 1.0 / p.link_bleed_ohm);
        let loaded = 1.0 + ohm * bleed_s;
        let (end_v, tau_s) = (pack.emf_v / loaded, ohm * p.link_f / loaded);
        // Without capacitance or time the link is where it ends up, or where it was.
        let (left, mean_left, mean_square_left) = if tau_s == 0.0 {
            (0.0, 0.0, 0.0)
        } else if dt_s == 0.0 {
            (1.0, 1.0, 1.0)
        } else {
            let (x, y) = (dt_s / tau_s, 2.0 * dt_s / tau_s);
            ((-x).exp(), -(-x).exp_m1() / x, -(-y).exp_m1() / y)
        };
        let apart_v = self.link_v - end_v;
        let steady_a = (pack.emf_v - end_v) / ohm;
        let start_a = -apart_v / ohm;
        let current_a = steady_a + start_a * mean_left;
        let square_a2 =
            steady_a * steady_a + 2.0 * steady_a * start_a * mean_left + start_a * start_a * mean_square_left;
        Precharge {
            current_a,
            link_v: end_v + apart_v * left,
            heat_w: outer_ohm * square_a2,
            square_a2,
            link_w: pack.emf_v * current_a - ohm * square_a2,
        }
    }
}

fn check_to_infinity(name: &'static str, ohm: f64) -> Result<(), ParameterError> {
    if ohm == f64::INFINITY { Ok(()) } else { check(name, ohm, "above 0; infinity is allowed", |v| v > 0.0) }
}
