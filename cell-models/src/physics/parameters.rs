//! What describes a lithium-ion cell to the physics models.

use super::ageing::AgeingParameters;
use super::function::{Arrhenius, Function};
use crate::error::{ParameterError, check, check_not_negative, check_positive};
use crate::thermal::Thermal;

/// Everything that describes a lithium-ion cell to the physics models, in SI units.
///
/// The quantities are those of the BPX standard (Battery Parameter eXchange, Faraday Institution), plus what it has no
/// place for: contact resistance, ageing, two thermal nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicsParameters {
    /// One line: chemistry, size, maker.
    pub title: String,
    /// Where the numbers come from: authors, year, title; what was assumed.
    pub source: String,
    /// Nominal capacity in Ah, above 0: what a C-rate refers to.
    pub nominal_capacity_ah: f64,
    /// Lower and upper voltage limit in V.
    pub voltage_limits_v: [f64; 2],
    /// Temperature in K at which the `at_reference` values hold.
    pub reference_temperature_k: f64,
    /// Area of one electrode pair in m2.
    pub electrode_area_m2: f64,
    /// Number of electrode pairs in parallel in the cell.
    pub electrode_pairs: f64,
    /// Negative electrode (graphite).
    pub negative: Electrode,
    /// Separator.
    pub separator: Separator,
    /// Positive electrode.
    pub positive: Electrode,
    /// Electrolyte.
    pub electrolyte: Electrolyte,
    /// Resistance of tabs, contacts and current collectors in ohm, not negative.
    pub contact_resistance_ohm: f64,
    /// Thermal nodes of the whole cell.
    pub thermal: Thermal,
    /// How the cell ages; `None` for a cell that does not.
    pub ageing: Option<AgeingParameters>,
}

/// A porous electrode with one kind of particle.
#[derive(Debug, Clone, PartialEq)]
pub struct Electrode {
    /// Thickness in m.
    pub thickness_m: f64,
    /// Volume fraction of electrolyte, 0..1.
    pub porosity: f64,
    /// Share of the bulk transport that the pores leave, 0..1 (porosity to the Bruggeman exponent).
    pub transport_efficiency: f64,
    /// Effective electronic conductivity of the electrode in S/m (pores and path already counted).
    pub conductivity_s_per_m: f64,
    /// Volume fraction of active material, 0..1. The surface per volume is `3 active_fraction / radius`.
    pub active_fraction: f64,
    /// Particle radius in m.
    pub particle_radius_m: f64,
    /// Concentration of lithium at stoichiometry 1 in mol/m3.
    pub max_concentration_mol_per_m3: f64,
    /// Stoichiometries at the two voltage limits, the smaller one first. The full cell (negative electrode at its upper
    /// one, positive at its lower one) sets how much lithium the cell holds.
    pub stoichiometry_window: [f64; 2],
    /// Diffusivity of lithium in the particle in m2/s, over stoichiometry.
    pub diffusivity_m2_per_s: Arrhenius,
    /// Open-circuit potential in V against lithium, over stoichiometry, at the reference temperature.
    pub ocp_v: Function,
    /// Entropic coefficient dU/dT in V/K, over stoichiometry.
    pub entropic_v_per_k: Function,
    /// Reaction rate constant `k` in mol/(m2 s) (a number, not a function of `x`).
    ///
    /// The exchange-current density is `j0 = F k (c_e / c_e0)^(1-a) x^a (1 - x)^(1-a)` with the surface stoichiometry `x`
    /// and `a` = [`Electrode::reaction_exponent`].
    pub reaction_rate_mol_per_m2_s: Arrhenius,
    /// Exponent `a` of the exchange-current density, 0.5 in nearly all sets. (The overpotential is symmetric always.)
    pub reaction_exponent: f64,
    /// Branches of the open-circuit potential, where it has hysteresis.
    pub hysteresis: Option<OcpHysteresis>,
}

/// Branches of an open-circuit potential and how fast the material moves between them.
///
/// `U = (1 + h)/2 U_delithiation + (1 - h)/2 U_lithiation` and `dh/dt = d k |x'| (1 -+ h)/2`-like decay towards +1 while
/// lithium leaves the particles and -1 while it enters; the equation stands at
/// `SpmeCell`.
#[derive(Debug, Clone, PartialEq)]
pub struct OcpHysteresis {
    /// Open-circuit potential in V while lithium enters (the lower branch).
    pub lithiation_v: Function,
    /// Open-circuit potential in V while lithium leaves (the upper branch).
    pub delithiation_v: Function,
    /// Decay rate per stoichiometry moved, not negative.
    pub decay: f64,
}

/// The separator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Separator {
    /// Thickness in m.
    pub thickness_m: f64,
    /// Volume fraction of electrolyte, 0..1.
    pub porosity: f64,
    /// Share of the bulk transport that the pores leave, 0..1.
    pub transport_efficiency: f64,
}

/// The electrolyte; functions of its concentration `x` in mol/m3 and of `T`.
#[derive(Debug, Clone, PartialEq)]
pub struct Electrolyte {
    /// Concentration of the rested cell in mol/m3.
    pub initial_concentration_mol_per_m3: f64,
    /// Share of the current that the lithium ions carry.
    pub transference: Function,
    /// Thermodynamic factor, 1 for an ideal solution.
    pub thermodynamic_factor: Function,
    /// Diffusivity in the bulk in m2/s.
    pub diffusivity_m2_per_s: Arrhenius,
    /// Conductivity in the bulk in S/m.
    pub conductivity_s_per_m: Arrhenius,
}

const SHARE: &str = "above 0 and below 1";
const AT_MOST_1: &str = "above 0 and at most 1";

fn check_share(name: &'static str, value: f64) -> Result<(), ParameterError> {
    check(name, value, SHARE, |v| v > 0.0 && v < 1.0)
}

fn check_up_to_1(name: &'static str, value: f64) -> Result<(), ParameterError> {
    check(name, value, AT_MOST_1, |v| v > 0.0 && v <= 1.0)
}

/// Checks an electrode; a macro, so that a message names the electrode and yet needs no memory.
macro_rules! check_electrode {
    ($side:literal, $electrode:expr, $t_ref:expr) => {{
        let (e, t): (&Electrode, f64) = ($electrode, $t_ref);
        let [low, high] = e.stoichiometry_window;
        check_positive(concat!($side, " electrode: thickness in m"), e.thickness_m)?;
        check_share(concat!($side, " electrode: porosity"), e.porosity)?;
        check_up_to_1(concat!($side, " electrode: transport efficiency"), e.transport_efficiency)?;
        check_positive(concat!($side, " electrode: conductivity in S/m"), e.conductivity_s_per_m)?;
        let room = 1.0 - e.porosity + 1e-9;
        check(
            concat!($side, " electrode: active fraction"),
            e.active_fraction,
            "above 0 and at most what the pores leave",
            |v| v > 0.0 && v <= room,
        )?;
        check_positive(concat!($side, " electrode: particle radius in m"), e.particle_radius_m)?;
        check_positive(
            concat!($side, " electrode: maximum concentration in mol/m3"),
            e.max_concentration_mol_per_m3,
        )?;
        check(concat!($side, " electrode: lower stoichiometry"), low, "0..1", |v| (0.0..=1.0).contains(&v))?;
        check(
            concat!($side, " electrode: upper stoichiometry"),
            high,
            "above the lower stoichiometry and at most 1",
            |v| v > low && v <= 1.0,
        )?;
        check(concat!($side, " electrode: reaction exponent"), e.reaction_exponent, SHARE, |v| {
            v > 0.0 && v < 1.0
        })?;
        let rate = &e.reaction_rate_mol_per_m2_s;
        let rate_name = concat!($side, " electrode: reaction rate constant in mol/(m2 s)");
        check_positive(rate_name, rate.at_reference.at(low, t))?;
        check(rate_name, rate.at_reference.at(high, t), "a number, the same for every stoichiometry", |v| {
            v == rate.at_reference.at(low, t)
        })?;
        check(
            concat!($side, " electrode: activation energy of the reaction in J/mol"),
            rate.activation_j_per_mol,
            "finite",
            |_| true,
        )?;
        check(
            concat!($side, " electrode: activation energy of the diffusivity in J/mol"),
            e.diffusivity_m2_per_s.activation_j_per_mol,
            "finite",
            |_| true,
        )?;
        for k in 0..=20 {
            let x = low + (high - low) * f64::from(k) / 20.0;
            check_positive(
                concat!($side, " electrode: diffusivity in m2/s within the window"),
                e.diffusivity_m2_per_s.at_reference.at(x, t),
            )?;
            let ocp = concat!($side, " electrode: open-circuit potential in V within the window");
            check(ocp, e.ocp_v.at(x, t), "finite", |_| true)?;
            let entropic = concat!($side, " electrode: entropic coefficient in V/K within the window");
            check(entropic, e.entropic_v_per_k.at(x, t), "finite", |_| true)?;
            if let Some(h) = &e.hysteresis {
                let branch = concat!($side, " electrode: branch of the open-circuit potential in V");
                let lower = h.lithiation_v.at(x, t);
                check(branch, lower, "finite", |_| true)?;
                check(branch, h.delithiation_v.at(x, t), "not below the branch of lithiation", |v| {
                    v >= lower
                })?;
            }
        }
        if let Some(h) = &e.hysteresis {
            check_not_negative(concat!($side, " electrode: decay of the hysteresis"), h.decay)?;
        }
    }};
}

impl PhysicsParameters {
    /// The same cell, which ages as given (in place of how it aged so far).
    ///
    /// ```
    /// use cell_models::physics::{AgeingParameters, SpmeCell, sets};
    /// use cell_models::Plant;
    ///
    /// let new = sets::mohtat2020();
    /// let ageing = AgeingParameters::nmc_graphite(&new);
    /// let mut cell = SpmeCell::new(new.with_ageing(ageing), 1.0, 45.0)?;
    /// let capacity_ah = cell.capacity_ah();
    /// for _ in 0..24 * 90 {
    ///     cell.advance(3600.0)?;
    /// }
    /// assert!(cell.capacity_ah() < 0.99 * capacity_ah);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_ageing(mut self, ageing: AgeingParameters) -> Self {
        self.ageing = Some(ageing);
        self
    }

    /// Checks every number, and every function within the stoichiometry windows (or from half to one and a half times the
    /// electrolyte's initial concentration) at the reference temperature.
    ///
    /// ```
    /// use cell_models::physics::sets;
    /// let mut cell = sets::chen2020();
    /// cell.validate()?;
    /// cell.positive.porosity = 1.3;
    /// assert!(cell.validate().unwrap_err().to_string().starts_with("positive electrode: porosity = 1.3 refused"));
    /// # Ok::<(), cell_models::ParameterError>(())
    /// ```
    ///
    /// # Errors
    /// The first parameter that is out of its documented range.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let [low, high] = self.voltage_limits_v;
        let t = self.reference_temperature_k;
        check_positive("nominal capacity in Ah", self.nominal_capacity_ah)?;
        check("lower voltage limit in V", low, "finite", |_| true)?;
        check("upper voltage limit in V", high, "finite and above the lower limit", |v| v > low)?;
        check("reference temperature in K", t, "200..400", |v| (200.0..=400.0).contains(&v))?;
        check_positive("electrode area in m2", self.electrode_area_m2)?;
        check("number of electrode pairs", self.electrode_pairs, "at least 1", |v| v >= 1.0)?;
        check_electrode!("negative", &self.negative, t);
        check_electrode!("positive", &self.positive, t);
        check_positive("separator: thickness in m", self.separator.thickness_m)?;
        check_up_to_1("separator: porosity", self.separator.porosity)?;
        check_up_to_1("separator: transport efficiency", self.separator.transport_efficiency)?;
        self.electrolyte.validate(t)?;
        check_not_negative("contact resistance in ohm", self.contact_resistance_ohm)?;
        self.thermal.validate()?;
        let (n, p) = (self.negative.stoichiometry_window, self.positive.stoichiometry_window);
        let empty = self.open_circuit_voltage_v(n[0], p[1]);
        check(
            "open-circuit voltage in V of the full cell",
            self.open_circuit_voltage_v(n[1], p[0]),
            "above that of the empty cell",
            |v| v > empty,
        )?;
        self.ageing.as_ref().map_or(Ok(()), AgeingParameters::validate)
    }
}

impl Electrolyte {
    fn validate(&self, t: f64) -> Result<(), ParameterError> {
        let c0 = self.initial_concentration_mol_per_m3;
        check_positive("electrolyte: initial concentration in mol/m3", c0)?;
        for (name, law) in [
            ("electrolyte: activation energy of the diffusivity in J/mol", &self.diffusivity_m2_per_s),
            ("electrolyte: activation energy of the conductivity in J/mol", &self.conductivity_s_per_m),
        ] {
            check(name, law.activation_j_per_mol, "finite", |_| true)?;
        }
        for k in 0..=10 {
            let c = c0 * (0.5 + 0.1 * f64::from(k));
            check_positive(
                "electrolyte: diffusivity in m2/s",
                self.diffusivity_m2_per_s.at_reference.at(c, t),
            )?;
            check_positive(
                "electrolyte: conductivity in S/m",
                self.conductivity_s_per_m.at_reference.at(c, t),
            )?;
            check("electrolyte: transference number", self.transference.at(c, t), "below 1", |v| v < 1.0)?;
            check_positive("electrolyte: thermodynamic factor", self.thermodynamic_factor.at(c, t))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Function, sets};
    use super::*;

    #[test]
    fn validation_names_the_first_parameter_out_of_range() {
        type Break = fn(&mut PhysicsParameters);
        let cases: [(Break, &str); 12] = [
            (|p| p.nominal_capacity_ah = 0.0, "nominal capacity in Ah"),
            (|p| p.voltage_limits_v = [4.2, 2.5], "upper voltage limit in V"),
            (|p| p.electrode_pairs = f64::NAN, "number of electrode pairs"),
            (|p| p.negative.active_fraction = 0.76, "negative electrode: active fraction"),
            (|p| p.positive.stoichiometry_window = [0.9, 0.3], "positive electrode: upper stoichiometry"),
            (
                |p| p.negative.ocp_v = Function::expression("log(-x)").unwrap(),
                "negative electrode: open-circuit potential in V within the window",
            ),
            (
                |p| p.positive.reaction_rate_mol_per_m2_s.at_reference = Function::expression("x").unwrap(),
                "positive electrode: reaction rate constant in mol/(m2 s)",
            ),
            (|p| p.separator.transport_efficiency = -0.1, "separator: transport efficiency"),
            (|p| p.electrolyte.transference = 1.5.into(), "electrolyte: transference number"),
            (
                |p| p.electrolyte.conductivity_s_per_m.at_reference = 0.0.into(),
                "electrolyte: conductivity in S/m",
            ),
            (|p| p.contact_resistance_ohm = -1.0, "contact resistance in ohm"),
            (|p| p.thermal.core_j_per_k = 0.0, "core heat capacity"),
        ];
        for (spoil, expected) in cases {
            let mut p = sets::chen2020();
            spoil(&mut p);
            match p.validate() {
                Err(ParameterError::OutOfRange { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn validation_covers_ageing() {
        let mut p = sets::okane2022();
        p.validate().unwrap();
        if let Some(sei) = p.ageing.as_mut().and_then(|a| a.sei.as_mut()) {
            sei.initial_thickness_m = 0.0;
        }
        assert!(p.validate().unwrap_err().to_string().starts_with("film: initial thickness"));
    }
}
