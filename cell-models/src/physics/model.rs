//! A cell's parameters made ready for running: everything that can be worked out once.

use super::ageing::AgeingParameters;
use super::function::{Arrhenius, Function};
use super::mesh::{Mesh, Resolution};
use super::parameters::{Electrode, PhysicsParameters};
use super::tabulated::{Curve, FARADAY, KELVIN, Property};
use crate::error::{ParameterError, check, check_not_negative, check_positive};

/// Concentrations in mol/m3 between which the electrolyte's properties are tabulated; straight on beyond.
const ELECTROLYTE_RANGE: [f64; 2] = [0.0, 4000.0];
/// Diffusivity and conductivity of the electrolyte are at least this share of those of the rested cell.
const ELECTROLYTE_FLOOR: f64 = 1e-3;
/// Open-circuit potentials are cut off here, in V: fitted formulas run away near stoichiometry 0 and 1.
const OCP_RANGE: [f64; 2] = [-1.0, 7.0];

/// One electrode, ready for running.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// Charge in A s that changes the mean stoichiometry by 1.
    pub(super) capacity_as: f64,
    /// 1 / radius^2.
    pub(super) per_radius_squared: f64,
    pub(super) diffusivity: Property,
    pub(super) diffusivity_integral: Property,
    /// Reaction rate constant at the reference temperature and its Arrhenius law.
    pub(super) rate: Property,
    pub(super) exponent: f64,
    /// Turns `k sqrt(...)` into twice the exchange current of the whole electrode in A.
    pub(super) twice_exchange_a: f64,
    /// Surface of all particles in m2.
    pub(super) surface_m2: f64,
    /// Volume of the electrode in m3.
    pub(super) volume_m3: f64,
    pub(super) ocp_v: Curve,
    pub(super) entropic_v_per_k: Curve,
    pub(super) hysteresis: Option<Branches>,
    /// Resistance of the solid as the mean potential sees it, in ohm.
    pub(super) solid_ohm: f64,
    /// Stoichiometry of the full and of the empty cell when new.
    pub(super) full_empty: [f64; 2],
}

/// Open-circuit potential in V on either branch, and how fast the cell moves from one to the other.
#[derive(Debug, Clone)]
pub(super) struct Branches {
    pub(super) lithiation_v: Curve,
    pub(super) delithiation_v: Curve,
    pub(super) decay: f64,
}

/// The electrolyte, ready for running.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    pub(super) mesh: Mesh,
    /// Elements in negative electrode, separator and positive electrode.
    pub(super) elements: [usize; 3],
    /// Share of the thickness that each layer has.
    pub(super) width_shares: [f64; 3],
    /// Lithium that the reactions bring to each node, in mol/(m2 s) per A of cell current.
    pub(super) reaction: Vec<f64>,
    /// Ionic current through the middle of each element over Faraday's constant, in mol/(m2 s) per A.
    pub(super) ionic: Vec<f64>,
    pub(super) initial: f64,
    /// Integral of the diffusivity over concentration.
    pub(super) diffusivity_integral: Property,
    pub(super) conductivity: Property,
    pub(super) transference: Property,
    pub(super) factor: Property,
    /// Multiplies 1 / conductivity to give the resistance in ohm: over the cell, and from the negative electrode's mean
    /// to the separator.
    pub(super) ohm_per_resistivity: f64,
    pub(super) negative_ohm_per_resistivity: f64,
}

/// Everything the kernel reads; shared by all cells of a kind.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) parameters: PhysicsParameters,
    pub(super) resolution: Resolution,
    pub(super) particle: Mesh,
    /// Volume share of each node of a particle; they add up to 1.
    pub(super) shell_shares: Vec<f64>,
    /// Negative, positive.
    pub(super) sides: [Side; 2],
    pub(super) solution: Solution,
    pub(super) contact_ohm: f64,
    pub(super) reference_k: f64,
    pub(super) ageing: Option<AgeingParameters>,
}

impl Model {
    pub(super) fn new(p: PhysicsParameters, resolution: Resolution) -> Result<Self, ParameterError> {
        check_resolution(&resolution)?;
        let area = p.electrode_area_m2 * p.electrode_pairs;
        check_positive("electrode area times pairs", area)?;
        check_positive("nominal capacity in Ah", p.nominal_capacity_ah)?;
        let [low, high] = p.voltage_limits_v;
        check("upper voltage limit", high, "above the lower limit", |v| v > low)?;
        check_not_negative("contact resistance", p.contact_resistance_ohm)?;
        check("reference temperature in K", p.reference_temperature_k, "above 200", |v| v > 200.0)?;
        p.thermal.validate()?;
        p.ageing.as_ref().map_or(Ok(()), AgeingParameters::validate)?;
        let particle = Mesh::sphere(resolution.particle_elements, resolution.particle_grading);
        let shell_shares = particle.node_volumes().iter().map(|v| 3.0 * v).collect();
        let sides = [
            Side::new(&p.negative, area, p.reference_temperature_k, [1, 0])?,
            Side::new(&p.positive, area, p.reference_temperature_k, [0, 1])?,
        ];
        let solution = Solution::new(&p, area, &resolution)?;
        Ok(Self {
            contact_ohm: p.contact_resistance_ohm,
            reference_k: p.reference_temperature_k,
            ageing: p.ageing.clone(),
            parameters: p,
            resolution,
            particle,
            shell_shares,
            sides,
            solution,
        })
    }
}

fn check_resolution(r: &Resolution) -> Result<(), ParameterError> {
    let counts = r.electrolyte_elements.iter().chain([&r.particle_elements]);
    for &n in counts {
        check("number of elements", n as f64, "between 2 and 200", |v| (2.0..=200.0).contains(&v))?;
    }
    check("grading of the particle elements", r.particle_grading, "between 0 and 12", |v| {
        (0.0..=12.0).contains(&v)
    })?;
    check_positive("first step in s", r.first_step_s)?;
    check_positive("growth of the step", r.growth)?;
    check_positive("step of the stoichiometry", r.stoichiometry_step)
}

fn check_share(name: &'static str, value: f64) -> Result<(), ParameterError> {
    check(name, value, "above 0 and at most 1", |v| v > 0.0 && v <= 1.0)
}

impl Side {
    /// `full_empty` says which end of the window belongs to the full and to the empty cell.
    fn new(
        e: &Electrode,
        area: f64,
        reference_k: f64,
        full_empty: [usize; 2],
    ) -> Result<Self, ParameterError> {
        check_positive("electrode thickness in m", e.thickness_m)?;
        check_positive("particle radius in m", e.particle_radius_m)?;
        check_share("active fraction of an electrode", e.active_fraction)?;
        check_positive("largest concentration in mol/m3", e.max_concentration_mol_per_m3)?;
        check_positive("conductivity of an electrode in S/m", e.conductivity_s_per_m)?;
        check("reaction exponent", e.reaction_exponent, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
        let [low, high] = e.stoichiometry_window;
        check("lower end of a stoichiometry window", low, "between 0 and 1", |v| (0.0..1.0).contains(&v))?;
        check("upper end of a stoichiometry window", high, "above the lower end, at most 1", |v| {
            v > low && v <= 1.0
        })?;
        let positive = "finite and above 0";
        let property =
            |name, law: &Arrhenius| Property::new(name, law, reference_k, [0.0, 1.0], positive, |v| v > 0.0);
        let ocp = |name, f: &Function| curve(name, f, reference_k, OCP_RANGE);
        let volume_m3 = area * e.thickness_m;
        let surface_m2 = 3.0 * e.active_fraction / e.particle_radius_m * volume_m3;
        let equilibrium = ocp("open-circuit potential", &e.ocp_v)?;
        let hysteresis = match &e.hysteresis {
            None => None,
            Some(h) => {
                check_not_negative("decay rate of the OCP hysteresis", h.decay)?;
                Some(Branches {
                    lithiation_v: ocp("open-circuit potential on lithiation", &h.lithiation_v)?,
                    delithiation_v: ocp("open-circuit potential on delithiation", &h.delithiation_v)?,
                    decay: h.decay,
                })
            }
        };
        let diffusivity = property("diffusivity in a particle", &e.diffusivity_m2_per_s)?;
        Ok(Self {
            capacity_as: FARADAY * volume_m3 * e.active_fraction * e.max_concentration_mol_per_m3,
            per_radius_squared: e.particle_radius_m.powi(-2),
            diffusivity_integral: diffusivity.integral(),
            diffusivity,
            rate: property("reaction rate constant", &e.reaction_rate_mol_per_m2_s)?,
            exponent: e.reaction_exponent,
            twice_exchange_a: 2.0 * FARADAY * surface_m2,
            surface_m2,
            volume_m3,
            ocp_v: equilibrium,
            entropic_v_per_k: curve("entropic coefficient", &e.entropic_v_per_k, reference_k, [-1.0, 1.0])?,
            hysteresis,
            solid_ohm: e.thickness_m / (3.0 * e.conductivity_s_per_m * area),
            full_empty: full_empty.map(|i| e.stoichiometry_window[i]),
        })
    }
}

/// A curve over stoichiometry 0..1, cut off at `[low, high]`.
fn curve(
    name: &'static str,
    f: &Function,
    reference_k: f64,
    [low, high]: [f64; 2],
) -> Result<Curve, ParameterError> {
    let intervals = if matches!(f, Function::Constant(_)) { 1 } else { 4096 };
    // Formulas may have a pole at the very ends.
    let inside = |x: f64| x.clamp(1e-9, 1.0 - 1e-9);
    for i in 0..=intervals {
        let value = f.at(inside(f64::from(i) / f64::from(intervals)), reference_k);
        if value.is_nan() {
            check(name, value, "a number at every stoichiometry from 0 to 1", |_| true)?;
        }
    }
    Ok(Curve::new(0.0, 1.0, intervals as usize, |x| f.at(inside(x), reference_k).clamp(low, high)))
}

impl Solution {
    fn new(p: &PhysicsParameters, area: f64, resolution: &Resolution) -> Result<Self, ParameterError> {
        let layers = [
            (p.negative.thickness_m, p.negative.porosity, p.negative.transport_efficiency),
            (p.separator.thickness_m, p.separator.porosity, p.separator.transport_efficiency),
            (p.positive.thickness_m, p.positive.porosity, p.positive.transport_efficiency),
        ];
        for (width, porosity, efficiency) in layers {
            check_positive("thickness of a layer in m", width)?;
            check_share("porosity", porosity)?;
            check_share("transport efficiency", efficiency)?;
        }
        let elements = resolution.electrolyte_elements;
        let mut reaction = vec![0.0];
        let mut ionic = vec![];
        for (k, &n) in elements.iter().enumerate() {
            // Current goes over into the electrolyte in the negative electrode and leaves it in the positive one.
            let [start, rise] = [[0.0, 1.0], [1.0, 0.0], [1.0, -1.0]][k];
            let half = 0.5 * rise / (n as f64 * FARADAY * area);
            for e in 0..n {
                *reaction.last_mut().expect("starts with a node") += half;
                reaction.push(half);
                ionic.push((start + rise * (e as f64 + 0.5) / n as f64) / (FARADAY * area));
            }
        }
        let e = &p.electrolyte;
        check_positive("electrolyte concentration in mol/m3", e.initial_concentration_mol_per_m3)?;
        let reference_k = p.reference_temperature_k;
        let rested = e.initial_concentration_mol_per_m3;
        // Formulas fitted to what was measured may fall below 0 far from it.
        let positive = |name, law: &Arrhenius| {
            check_positive(name, law.at_reference.at(rested, reference_k))?;
            Property::new(name, law, reference_k, ELECTROLYTE_RANGE, "finite", |_| true)
                .map(|property| property.with_floor(ELECTROLYTE_FLOOR, rested))
        };
        let number = |name, f: &Function| {
            Property::new(
                name,
                &Arrhenius::new(f.clone(), 0.0),
                reference_k,
                ELECTROLYTE_RANGE,
                "finite",
                |_| true,
            )
        };
        let [negative, separator, positive_layer] =
            layers.map(|(width, _, efficiency)| width / (efficiency * area));
        let thickness: f64 = layers.iter().map(|l| l.0).sum();
        Ok(Self {
            mesh: Mesh::layers(&[0, 1, 2].map(|k| {
                let (width, porosity, efficiency) = layers[k];
                (width, porosity, efficiency, elements[k])
            })),
            elements,
            width_shares: layers.map(|l| l.0 / thickness),
            reaction,
            ionic,
            initial: e.initial_concentration_mol_per_m3,
            diffusivity_integral: positive("diffusivity of the electrolyte", &e.diffusivity_m2_per_s)?
                .integral(),
            conductivity: positive("conductivity of the electrolyte", &e.conductivity_s_per_m)?,
            transference: number("transference number", &e.transference)?,
            factor: number("thermodynamic factor", &e.thermodynamic_factor)?,
            ohm_per_resistivity: negative / 3.0 + separator + positive_layer / 3.0,
            negative_ohm_per_resistivity: negative / 3.0,
        })
    }
}

/// Kelvin from degC.
pub(super) fn kelvin(celsius: f64) -> f64 {
    celsius + KELVIN
}
