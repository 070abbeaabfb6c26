//! Cells from and to BPX files (Battery Parameter eXchange, Faraday Institution), version 1.x in JSON.
//!
//! ```
//! use cell_models::physics::{bpx, sets};
//!
//! let text = bpx::to_json(&sets::chen2020(), &bpx::Extras::default())?;
//! let imported = bpx::from_json(&text)?;
//! assert!(imported.warnings.is_empty());
//! assert_eq!(imported.parameters.negative.ocp_v, sets::chen2020().negative.ocp_v);
//! # Ok::<(), cell_models::physics::bpx::BpxError>(())
//! ```
//!
//! # Reading
//!
//! * A file must hold all that a model with electrolyte needs (`Model` `DFN`, `SPMe`, or a complete `Partial`).
//! * A field that BPX 1.1 does not have is an error that names its path, as it is in the `bpx` package: it may be a
//!   misspelling. `User-defined` is free.
//! * Files before 1.0 are converted as the `bpx` package does, with a warning.
//! * What is optional and missing is put in: activation energies and entropic coefficients are 0; the reference temperature
//!   is 298.15 K, the electrolyte's concentration 1000 mol/m3, the heat transfer coefficient 10 W/(m2 K), and volume, surface
//!   and heat capacity are guessed from the layers, each with a warning.
//! * An open-circuit voltage that leaves the cut-off voltages by more than 1 mV at the stoichiometry limits is a warning.
//! * Tables are sorted. Beyond their ends they keep their last value.
//! * Blended electrodes are an error.
//!
//! # Writing
//!
//! What BPX has no field for goes into `User-defined`, under the name that PyBaMM has for it where there is one: contact
//! resistance, a thermodynamic factor other than 1, a transference number that is not constant, the exponents of the
//! exchange currents, the two thermal nodes and ageing; it is read back from there. Other programs may pass over it.
//! Volume, density and the like are put in where not given (see [`Body`]), as other programs ask for them.
//!
//! A formula that contains `T`, or a function that BPX lacks, is an error that names the quantity;
//! [`arrhenius_approximation`] helps with the former.
//!
//! Sources: BPX standard v1.1, <https://github.com/FaradayInstitution/BPX>; the schema of the PyPI package `bpx` 1.1.1.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::tabulated::GAS;
use super::{
    ActiveMaterialLoss, AgeingParameters, Arrhenius, Electrode, Electrolyte, Function, LithiumPlating,
    OcpHysteresis, PhysicsParameters, SeiGrowth, Separator,
};
use crate::error::{ParameterError, check_not_negative};
use crate::thermal::Thermal;

/// The version of BPX that [`to_json`] writes.
pub const VERSION: &str = "1.1.1";

/// How far the open-circuit voltage may leave the cut-off voltages without a warning, in V.
const VOLTAGE_TOLERANCE_V: f64 = 1e-3;
/// Heat transfer coefficient in W/(m2 K) of a file that has none: still air.
const DEFAULT_HEAT_TRANSFER: f64 = 10.0;
/// Specific heat capacity in J/(kg K) where none is known, and heat capacity in J/(m3 K).
const DEFAULT_SPECIFIC_HEAT: f64 = 1000.0;
const DEFAULT_VOLUMETRIC_HEAT: f64 = 2.2e6;

const USER_DEFINED: &str = "Parameterisation/User-defined";
const CONTACT: &str = "Contact resistance [Ohm]";
const FACTOR: &str = "Thermodynamic factor";
const TRANSFERENCE: &str = "Cation transference number";
/// Functions of the concentration have names of their own, since PyBaMM stumbles over functions under the names above.
const FACTOR_LAW: &str = "Thermodynamic factor over electrolyte concentration";
const TRANSFERENCE_LAW: &str = "Cation transference number over electrolyte concentration";
const EXPONENT: [&str; 2] = ["Negative electrode reaction exponent", "Positive electrode reaction exponent"];
const NODES: [&str; 4] = [
    "Core heat capacity [J.K-1]",
    "Surface heat capacity [J.K-1]",
    "Core-surface thermal conductance [W.K-1]",
    "Surface-ambient thermal conductance [W.K-1]",
];
const SEI: [&str; 6] = [
    "Initial SEI thickness [m]",
    "SEI lithium interstitial diffusivity times concentration [mol.m-1.s-1]",
    "SEI growth activation energy [J.mol-1]",
    "SEI partial molar volume [m3.mol-1]",
    "Ratio of lithium moles to SEI moles",
    "SEI resistivity [Ohm.m]",
];
const PLATING: [&str; 3] = [
    "Lithium plating kinetic rate constant [m.s-1]",
    "Lithium plating transfer coefficient",
    "Dead lithium decay constant [s-1]",
];
/// 1 for yes; left out for no.
const ONLY_BELOW_ZERO: &str = "Lithium plating below 0 V only";
const LOSS: [[&str; 2]; 2] = [
    [
        "Negative electrode loss of active material per stoichiometry",
        "Negative electrode loss of active material activation energy [J.mol-1]",
    ],
    [
        "Positive electrode loss of active material per stoichiometry",
        "Positive electrode loss of active material activation energy [J.mol-1]",
    ],
];

/// What is wrong with a BPX file, or with a cell for one. Paths have their parts separated by `/`.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum BpxError {
    /// The text is not JSON; says where.
    #[error("not JSON: {0}")]
    Json(String),
    /// `Header/BPX` holds no version number, or one that is not 0.x or 1.x.
    #[error("BPX version {0} not known: 0.x and 1.x can be read")]
    Version(String),
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A field that BPX does not have.
    #[error("{0} is no field of BPX 1.1: misspelt? (your own ones go into Parameterisation/User-defined)")]
    UnknownField(String),
    /// A field holds the wrong kind of value.
    #[error("{path} must be {expected}")]
    Type {
        /// Which field.
        path: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A formula or table is refused.
    #[error("{path}: {problem}")]
    Function {
        /// Which field.
        path: String,
        /// Why.
        problem: ParameterError,
    },
    /// The file is for the single-particle model without electrolyte.
    #[error(
        "the file is for a single-particle model (SPM): {0} missing, which a model with electrolyte needs"
    )]
    SingleParticleOnly(String),
    /// An electrode of several active materials.
    #[error("{0}: electrodes blended of several materials are not supported")]
    Blended(String),
    /// A number is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// BPX cannot hold a quantity.
    #[error("{quantity} cannot be written to BPX: {reason}")]
    NotRepresentable {
        /// Which quantity.
        quantity: &'static str,
        /// Why.
        reason: &'static str,
    },
}

/// What [`from_json`] found in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The cell, valid.
    pub parameters: PhysicsParameters,
    /// All else.
    pub extras: Extras,
    /// What was assumed, converted or looks odd: sentences for the user.
    pub warnings: Vec<String>,
}

/// What a BPX file holds beside the parameters of the cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    /// `Header/Description`, empty where there is none.
    pub description: String,
    /// Size and weight of the cell. After reading all is there, guessed where need be.
    pub body: Body,
    /// The state to begin with.
    pub state: State,
    /// Measurements, by name.
    pub validation: BTreeMap<String, Experiment>,
    /// What the author of the file added, without what this crate reads.
    pub user_defined: BTreeMap<String, UserValue>,
}

/// Size and weight of a cell as BPX has them, where known.
///
/// When a cell is written, missing numbers are put in so that the products are those of its thermal nodes: density times
/// specific heat capacity times volume is the heat capacity, and the heat transfer coefficient times the surface is the
/// conductance to the surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Body {
    /// Surface that is cooled in m2.
    pub external_surface_area_m2: Option<f64>,
    /// Volume in m3.
    pub volume_m3: Option<f64>,
    /// Mean density in kg/m3.
    pub density_kg_per_m3: Option<f64>,
    /// Mean specific heat capacity in J/(kg K).
    pub specific_heat_j_per_kg_k: Option<f64>,
}

/// The `State` of a BPX file, where given. The electrolyte's concentration is with the cell's parameters instead.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct State {
    /// State of charge, 0..1.
    pub initial_soc: Option<f64>,
    /// Temperature of the cell in K.
    pub initial_temperature_k: Option<f64>,
    /// Hysteresis state of the negative electrode.
    pub initial_negative_hysteresis: Option<f64>,
    /// Hysteresis state of the positive electrode.
    pub initial_positive_hysteresis: Option<f64>,
    /// Temperature of the surroundings in K.
    pub ambient_temperature_k: Option<f64>,
    /// Heat transfer coefficient in W/(m2 K).
    pub heat_transfer_w_per_m2_k: Option<f64>,
    /// How far the cell is aged. The cell's parameters are those of the new cell: it has not been applied to them.
    pub degradation: Option<Degradation>,
}

/// How far a cell is aged, as the file has it: usually shares of the new cell's, 0..1 (the schema sets no unit).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degradation {
    /// Loss of lithium inventory (`LLI`).
    pub lithium_loss: f64,
    /// Loss of active material of the negative electrode (`LAM`).
    pub negative_loss: f64,
    /// Loss of active material of the positive electrode.
    pub positive_loss: f64,
}

/// A measurement to compare a model with.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Time in s.
    pub time_s: Vec<f64>,
    /// Current in A, positive on discharge. (In the files it has the opposite sign, after the standard's examples.)
    pub current_a: Vec<f64>,
    /// Terminal voltage in V.
    pub voltage_v: Vec<f64>,
    /// Temperature in K, where measured.
    pub temperature_k: Option<Vec<f64>>,
}

/// A value of `User-defined`.
#[derive(Debug, Clone, PartialEq)]
pub enum UserValue {
    /// A number, formula or table.
    Function(Function),
    /// Text: only a field called `description` may hold it.
    Text(String),
    /// A group of further values.
    Group(BTreeMap<String, Self>),
}

/// Reads a BPX file.
///
/// # Errors
/// When the text is not a BPX file that describes a whole cell; see the module's text on reading.
pub fn from_json(text: &str) -> Result<Imported, BpxError> {
    let value: Value = serde_json::from_str(text).map_err(|e| BpxError::Json(e.to_string()))?;
    let mut warnings = Vec::new();
    let mut root = Section::new("", value)?;
    let mut header = root.section("Header")?;
    let legacy = is_legacy(&mut header, &mut warnings)?;
    let title = header.text("Title")?.unwrap_or_else(|| "cell from a BPX file without a title".into());
    let description = header.text("Description")?.unwrap_or_default();
    let source = header.text("References")?.unwrap_or_default();
    let model = header.text("Model")?.ok_or_else(|| header.missing("Model"))?;
    if !["SPM", "SPMe", "DFN", "Partial"].contains(&model.as_str()) {
        return Err(BpxError::Type { path: header.path("Model"), expected: "SPM, SPMe, DFN or Partial" });
    }
    header.finish()?;

    let mut file = root.section("Parameterisation")?;
    let lacking = ["Electrolyte", "Separator"].iter().filter(|k| !file.has(k)).copied().collect::<Vec<_>>();
    if !lacking.is_empty() && file.has("Negative electrode") && file.has("Positive electrode") {
        return Err(BpxError::SingleParticleOnly(lacking.join(" and ")));
    }
    let mut cell = file.section("Cell")?;
    let mut electrolyte = file.section("Electrolyte")?;
    let mut state = root.optional_section("State")?;
    if legacy {
        state = Some(legacy_state(&mut cell, &mut electrolyte)?);
    }
    let (state, concentration) = read_state(state, &mut warnings)?;
    let initial_concentration_mol_per_m3 = concentration.unwrap_or_else(|| {
        warnings.push("the electrolyte's initial concentration is missing: 1000 mol/m3 assumed".into());
        1000.0
    });
    let validation = match root.optional_section("Validation")? {
        Some(section) => read_validation(section)?,
        None => BTreeMap::new(),
    };
    root.finish()?;

    let reference_temperature_k = match cell.optional_number("Reference temperature [K]")? {
        Some(t) => t,
        None => {
            warnings.push("the reference temperature is missing: 298.15 K assumed".into());
            298.15
        }
    };
    let mut user = match file.optional_section("User-defined")? {
        Some(section) => read_user_defined(section)?,
        None => BTreeMap::new(),
    };
    let known = UserDefined::take(&mut user)?;
    let mut negative = read_electrode(file.section("Negative electrode")?, &mut warnings)?;
    let mut positive = read_electrode(file.section("Positive electrode")?, &mut warnings)?;
    negative.reaction_exponent = known.exponents[0];
    positive.reaction_exponent = known.exponents[1];
    let mut layer = file.section("Separator")?;
    let separator = Separator {
        thickness_m: layer.number("Thickness [m]")?,
        porosity: layer.number("Porosity")?,
        transport_efficiency: layer.number("Transport efficiency")?,
    };
    layer.finish()?;
    let mut parameters = PhysicsParameters {
        title,
        source,
        nominal_capacity_ah: cell.number("Nominal cell capacity [A.h]")?,
        voltage_limits_v: [
            cell.number("Lower voltage cut-off [V]")?,
            cell.number("Upper voltage cut-off [V]")?,
        ],
        reference_temperature_k,
        electrode_area_m2: cell.number("Electrode area [m2]")?,
        electrode_pairs: cell.number("Number of electrode pairs connected in parallel to make a cell")?,
        negative,
        separator,
        positive,
        electrolyte: Electrolyte {
            initial_concentration_mol_per_m3,
            transference: {
                let constant = electrolyte.number("Cation transference number")?;
                known.transference.unwrap_or(Function::Constant(constant))
            },
            thermodynamic_factor: known.thermodynamic_factor.unwrap_or(Function::Constant(1.0)),
            diffusivity_m2_per_s: electrolyte.law("Diffusivity")?,
            conductivity_s_per_m: electrolyte.law("Conductivity")?,
        },
        contact_resistance_ohm: known.contact_resistance_ohm,
        thermal: Thermal::lumped(1.0, 1.0),
        ageing: known.ageing,
    };
    electrolyte.finish()?;
    let mut body = Body {
        external_surface_area_m2: cell.optional_number("External surface area [m2]")?,
        volume_m3: cell.optional_number("Volume [m3]")?,
        density_kg_per_m3: cell.optional_number("Density [kg.m-3]")?,
        specific_heat_j_per_kg_k: cell.optional_number("Specific heat capacity [J.K-1.kg-1]")?,
    };
    cell.finish()?;
    file.finish()?;
    let mut state = state;
    // Two negative ones would make a positive heat capacity.
    for (name, value) in [
        ("external surface area in m2", body.external_surface_area_m2),
        ("volume in m3", body.volume_m3),
        ("density in kg/m3", body.density_kg_per_m3),
        ("specific heat capacity in J/(kg K)", body.specific_heat_j_per_kg_k),
        ("heat transfer coefficient in W/(m2 K)", state.heat_transfer_w_per_m2_k),
    ] {
        value.map_or(Ok(()), |v| check_not_negative(name, v))?;
    }
    let lumped = guess_thermal(&parameters, &mut body, &mut state, known.nodes.is_none(), &mut warnings);
    parameters.thermal = known.nodes.unwrap_or(lumped);
    parameters.validate()?;
    check_cut_offs(&parameters, &mut warnings);
    let extras = Extras { description, body, state, validation, user_defined: user };
    Ok(Imported { parameters, extras, warnings })
}

/// Writes a cell as a BPX file, with what the file shall hold beside its parameters (`Extras::default()` for nothing).
///
/// # Errors
/// When a parameter is out of range, or is one that BPX cannot hold; see the module's text on writing.
pub fn to_json(cell: &PhysicsParameters, extras: &Extras) -> Result<String, BpxError> {
    cell.validate()?;
    if cell.electrode_pairs.fract() != 0.0 || cell.electrode_pairs > 1e9 {
        return Err(BpxError::NotRepresentable {
            quantity: "the number of electrode pairs",
            reason: "it must be whole there; scale the electrode area instead",
        });
    }
    let (mut body, mut state) = (extras.body, extras.state);
    fill_body(cell, &mut body, &mut state);
    let mut header = json!({ "BPX": VERSION, "Model": "DFN", "Title": cell.title });
    if !extras.description.is_empty() {
        header["Description"] = json!(extras.description);
    }
    if !cell.source.is_empty() {
        header["References"] = json!(cell.source);
    }
    let mut cell_section = json!({
        "Electrode area [m2]": cell.electrode_area_m2,
        "Number of electrode pairs connected in parallel to make a cell": cell.electrode_pairs as u64,
        "Lower voltage cut-off [V]": cell.voltage_limits_v[0],
        "Upper voltage cut-off [V]": cell.voltage_limits_v[1],
        "Nominal cell capacity [A.h]": cell.nominal_capacity_ah,
        "Reference temperature [K]": cell.reference_temperature_k,
    });
    for (key, value) in [
        ("External surface area [m2]", body.external_surface_area_m2),
        ("Volume [m3]", body.volume_m3),
        ("Density [kg.m-3]", body.density_kg_per_m3),
        ("Specific heat capacity [J.K-1.kg-1]", body.specific_heat_j_per_kg_k),
    ] {
        put(&mut cell_section, key, value);
    }
    let y = &cell.electrolyte;
    let t = cell.reference_temperature_k;
    let electrolyte = json!({
        TRANSFERENCE: y.transference.at(y.initial_concentration_mol_per_m3, t),
        "Diffusivity [m2.s-1]": function("the electrolyte's diffusivity", &y.diffusivity_m2_per_s.at_reference)?,
        "Diffusivity activation energy [J.mol-1]": y.diffusivity_m2_per_s.activation_j_per_mol,
        "Conductivity [S.m-1]": function("the electrolyte's conductivity", &y.conductivity_s_per_m.at_reference)?,
        "Conductivity activation energy [J.mol-1]": y.conductivity_s_per_m.activation_j_per_mol,
    });
    let mut file = json!({
        "Header": header,
        "Parameterisation": {
            "Cell": cell_section,
            "Electrolyte": electrolyte,
            "Negative electrode": write_electrode(&cell.negative, &NEGATIVE)?,
            "Positive electrode": write_electrode(&cell.positive, &POSITIVE)?,
            "Separator": {
                "Thickness [m]": cell.separator.thickness_m,
                "Porosity": cell.separator.porosity,
                "Transport efficiency": cell.separator.transport_efficiency,
            },
            "User-defined": write_user_defined(cell, &extras.user_defined)?,
        },
        "State": write_state(&state, y.initial_concentration_mol_per_m3),
    });
    if !extras.validation.is_empty() {
        let experiments: Map<String, Value> =
            extras.validation.iter().map(|(name, e)| (name.clone(), write_experiment(e))).collect();
        file["Validation"] = Value::Object(experiments);
    }
    serde_json::to_string_pretty(&file).map_err(|e| BpxError::Json(e.to_string()))
}

/// The cell with every formula in `T` replaced by what BPX can hold: a table at the reference temperature and, for
/// diffusivities and conductivities, an activation energy. The second value names what was replaced.
///
/// A table has 201 points, over stoichiometries 0..1 or concentrations up to three times the initial one. The activation
/// energy makes the law exact between 10 and 40 degC at the electrolyte's initial concentration (or in the middle of the
/// stoichiometry window). Transference number, thermodynamic factor and potentials lose their dependence on temperature.
pub fn arrhenius_approximation(cell: &PhysicsParameters) -> (PhysicsParameters, Vec<&'static str>) {
    let mut new = cell.clone();
    let mut replaced = Vec::new();
    let t_ref = cell.reference_temperature_k;
    let c0 = cell.electrolyte.initial_concentration_mol_per_m3;
    let mut freeze = |name: &'static str, f: &mut Function, end: f64| {
        if f.depends_on_temperature() {
            let x: Vec<f64> = (0..=200).map(|k| end * f64::from(k) / 200.0).collect();
            let y: Vec<f64> = x.iter().map(|&x| f.at(x, t_ref)).collect();
            // Where a formula has no value at its ends (a power of 0), the table begins or ends inside.
            let points = x.into_iter().zip(y).filter(|(_, y)| y.is_finite()).unzip();
            let (x, y): (Vec<f64>, Vec<f64>) = points;
            if let Ok(table) = Function::table(x, y) {
                *f = table;
                replaced.push(name);
            }
        }
    };
    let fit = |law: &mut Arrhenius, x: f64| {
        let (cold, warm) = (283.15, 313.15);
        let ratio = law.at_reference.at(x, warm) / law.at_reference.at(x, cold);
        if law.at_reference.depends_on_temperature() && ratio.is_finite() && ratio > 0.0 {
            law.activation_j_per_mol += GAS * ratio.ln() / (1.0 / cold - 1.0 / warm);
        }
    };
    let y = &mut new.electrolyte;
    fit(&mut y.diffusivity_m2_per_s, c0);
    fit(&mut y.conductivity_s_per_m, c0);
    freeze("the electrolyte's diffusivity", &mut y.diffusivity_m2_per_s.at_reference, 3.0 * c0);
    freeze("the electrolyte's conductivity", &mut y.conductivity_s_per_m.at_reference, 3.0 * c0);
    freeze("the transference number", &mut y.transference, 3.0 * c0);
    freeze("the thermodynamic factor", &mut y.thermodynamic_factor, 3.0 * c0);
    for (e, names) in [(&mut new.negative, &NEGATIVE), (&mut new.positive, &POSITIVE)] {
        let middle = 0.5 * (e.stoichiometry_window[0] + e.stoichiometry_window[1]);
        fit(&mut e.diffusivity_m2_per_s, middle);
        freeze(names.diffusivity, &mut e.diffusivity_m2_per_s.at_reference, 1.0);
        freeze(names.ocp, &mut e.ocp_v, 1.0);
        freeze(names.entropic, &mut e.entropic_v_per_k, 1.0);
        if let Some(h) = &mut e.hysteresis {
            freeze(names.lithiation, &mut h.lithiation_v, 1.0);
            freeze(names.delithiation, &mut h.delithiation_v, 1.0);
        }
    }
    (new, replaced)
}

// ---------------------------------------------------------------------------------------------------- reading

/// A JSON object that knows its path and what was taken from it.
struct Section {
    path: String,
    fields: Map<String, Value>,
}

impl Section {
    fn new(path: &str, value: Value) -> Result<Self, BpxError> {
        match value {
            Value::Object(fields) => Ok(Self { path: path.into(), fields }),
            _ => {
                let path = if path.is_empty() { "the file".into() } else { path.into() };
                Err(BpxError::Type { path, expected: "an object in braces" })
            }
        }
    }

    fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}/{key}", self.path) }
    }

    fn missing(&self, key: &str) -> BpxError {
        BpxError::Missing(self.path(key))
    }

    fn has(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|v| !v.is_null())
    }

    /// Takes a field out; null counts as missing.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.fields.remove(key).filter(|v| !v.is_null())
    }

    fn optional_section(&mut self, key: &str) -> Result<Option<Self>, BpxError> {
        let path = self.path(key);
        self.take(key).map(|v| Self::new(&path, v)).transpose()
    }

    fn section(&mut self, key: &str) -> Result<Self, BpxError> {
        self.optional_section(key)?.ok_or_else(|| self.missing(key))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, BpxError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(BpxError::Type { path: self.path(key), expected: "a text" }),
        }
    }

    fn optional_number(&mut self, key: &str) -> Result<Option<f64>, BpxError> {
        let path = self.path(key);
        self.take(key).map(|v| as_number(&path, &v)).transpose()
    }

    fn number(&mut self, key: &str) -> Result<f64, BpxError> {
        self.optional_number(key)?.ok_or_else(|| self.missing(key))
    }

    fn numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>, BpxError> {
        let path = self.path(key);
        self.take(key).map(|v| as_numbers(&path, &v)).transpose()
    }

    fn optional_function(&mut self, key: &str) -> Result<Option<Function>, BpxError> {
        let path = self.path(key);
        self.take(key).map(|v| as_function(&path, &v)).transpose()
    }

    fn function(&mut self, key: &str) -> Result<Function, BpxError> {
        self.optional_function(key)?.ok_or_else(|| self.missing(key))
    }

    /// `Diffusivity` or `Conductivity` with its activation energy.
    fn law(&mut self, name: &str) -> Result<Arrhenius, BpxError> {
        let unit = if name == "Diffusivity" { "m2.s-1" } else { "S.m-1" };
        Ok(Arrhenius {
            at_reference: self.function(&format!("{name} [{unit}]"))?,
            activation_j_per_mol: self
                .optional_number(&format!("{name} activation energy [J.mol-1]"))?
                .unwrap_or(0.0),
        })
    }

    /// Refuses what was not taken.
    fn finish(self) -> Result<(), BpxError> {
        match self.fields.iter().find(|(_, v)| !v.is_null()) {
            Some((key, _)) => Err(BpxError::UnknownField(self.path(key))),
            None => Ok(()),
        }
    }
}

fn as_number(path: &str, value: &Value) -> Result<f64, BpxError> {
    value.as_f64().ok_or_else(|| BpxError::Type { path: path.into(), expected: "a number" })
}

fn as_numbers(path: &str, value: &Value) -> Result<Vec<f64>, BpxError> {
    let list = value.as_array().ok_or(BpxError::Type { path: path.into(), expected: "a list of numbers" })?;
    list.iter().map(|v| as_number(path, v)).collect()
}

/// A number, a formula or a table.
fn as_function(path: &str, value: &Value) -> Result<Function, BpxError> {
    let refused = |problem| BpxError::Function { path: path.into(), problem };
    match value {
        Value::Number(_) => as_number(path, value).map(Function::Constant),
        Value::String(text) => {
            let function = Function::expression(text).map_err(refused)?;
            if function.depends_on_temperature() {
                return Err(BpxError::Type { path: path.into(), expected: "a formula in x only, without T" });
            }
            Ok(function)
        }
        Value::Object(_) => {
            let mut table = Section::new(path, value.clone())?;
            let x = table.numbers("x")?.ok_or_else(|| table.missing("x"))?;
            let y = table.numbers("y")?.ok_or_else(|| table.missing("y"))?;
            table.finish()?;
            if x.len() != y.len() {
                return Err(BpxError::Type {
                    path: path.into(),
                    expected: "a table with x and y of the same length",
                });
            }
            let mut points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (x, y) = points.into_iter().unzip();
            Function::table(x, y).map_err(refused)
        }
        _ => Err(BpxError::Type { path: path.into(), expected: "a number, a formula or a table of x and y" }),
    }
}

/// Takes the version; whether it is before 1.0.
fn is_legacy(header: &mut Section, warnings: &mut Vec<String>) -> Result<bool, BpxError> {
    let version = match header.take("BPX") {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => {
            warnings.push(format!(
                "the BPX version is a number ({number}); it should be a text such as \"1.1.0\""
            ));
            number.to_string()
        }
        Some(_) => {
            return Err(BpxError::Type { path: header.path("BPX"), expected: "a version such as \"1.1.0\"" });
        }
        None => return Err(header.missing("BPX")),
    };
    match version.trim().split('.').next().unwrap_or("") {
        "0" => {
            warnings.push(format!(
                "BPX {version} converted to 1.x: state of charge 1, temperatures as far as given, the thermal \
                 conductivity dropped; changes in what parameters mean are not corrected"
            ));
            Ok(true)
        }
        "1" => Ok(false),
        _ => Err(BpxError::Version(version)),
    }
}

/// The `State` that a file before 1.0 amounts to: what has moved there since, as the `bpx` package converts it.
fn legacy_state(cell: &mut Section, electrolyte: &mut Section) -> Result<Section, BpxError> {
    let ambient = cell.optional_number("Ambient temperature [K]")?;
    let initial = cell.optional_number("Initial temperature [K]")?;
    let reference = cell.fields.get("Reference temperature [K]").and_then(Value::as_f64);
    let ambient = ambient.or(reference).unwrap_or(298.15);
    cell.take("Thermal conductivity [W.m-1.K-1]");
    let mut conditions =
        json!({ "Initial state-of-charge": 1, "Initial temperature [K]": initial.unwrap_or(ambient) });
    let concentration = electrolyte.optional_number("Initial concentration [mol.m-3]")?;
    put(&mut conditions, "Initial electrolyte concentration [mol.m-3]", concentration);
    let environment = json!({ "Ambient temperature [K]": ambient });
    Section::new("State", json!({ "Initial conditions": conditions, "Thermal environment": environment }))
}

/// The state and the electrolyte's concentration.
fn read_state(
    section: Option<Section>,
    warnings: &mut Vec<String>,
) -> Result<(State, Option<f64>), BpxError> {
    let mut state = State::default();
    let mut concentration = None;
    let Some(mut section) = section else {
        return Ok((state, None));
    };
    if let Some(mut s) = section.optional_section("Initial conditions")? {
        state.initial_soc = s.optional_number("Initial state-of-charge")?;
        state.initial_temperature_k = s.optional_number("Initial temperature [K]")?;
        concentration = s.optional_number("Initial electrolyte concentration [mol.m-3]")?;
        state.initial_negative_hysteresis =
            s.optional_number("Initial hysteresis state: Negative electrode")?;
        state.initial_positive_hysteresis =
            s.optional_number("Initial hysteresis state: Positive electrode")?;
        s.finish()?;
    }
    if let Some(mut s) = section.optional_section("Thermal environment")? {
        state.ambient_temperature_k = s.optional_number("Ambient temperature [K]")?;
        state.heat_transfer_w_per_m2_k = s.optional_number("Heat transfer coefficient [W.m-2.K-1]")?;
        s.finish()?;
    }
    if let Some(mut s) = section.optional_section("Degradation")? {
        let degradation = Degradation {
            lithium_loss: s.number("LLI")?,
            negative_loss: s.number("LAM: Negative electrode")?,
            positive_loss: s.number("LAM: Positive electrode")?,
        };
        s.finish()?;
        if degradation != (Degradation { lithium_loss: 0.0, negative_loss: 0.0, positive_loss: 0.0 }) {
            warnings.push(
                "the file says how far the cell is aged: the parameters are still the new cell's".into(),
            );
        }
        state.degradation = Some(degradation);
    }
    section.finish()?;
    Ok((state, concentration))
}

fn read_validation(section: Section) -> Result<BTreeMap<String, Experiment>, BpxError> {
    let mut experiments = BTreeMap::new();
    for (name, value) in section.fields {
        let mut s = Section::new(&format!("{}/{name}", section.path), value)?;
        let mut required = |key: &str| s.numbers(key)?.ok_or_else(|| s.missing(key));
        let time_s = required("Time [s]")?;
        let current_a = required("Current [A]")?.into_iter().map(|i| -i).collect();
        let voltage_v = required("Voltage [V]")?;
        let temperature_k = s.numbers("Temperature [K]")?;
        let experiment = Experiment { time_s, current_a, voltage_v, temperature_k };
        let n = experiment.time_s.len();
        let lengths = [
            experiment.current_a.len(),
            experiment.voltage_v.len(),
            experiment.temperature_k.as_ref().map_or(n, Vec::len),
        ];
        if lengths != [n; 3] {
            return Err(BpxError::Type { path: s.path, expected: "lists of the same length" });
        }
        s.finish()?;
        experiments.insert(name, experiment);
    }
    Ok(experiments)
}

fn read_electrode(mut s: Section, warnings: &mut Vec<String>) -> Result<Electrode, BpxError> {
    if s.has("Particle") {
        return Err(BpxError::Blended(s.path));
    }
    if !s.has("Porosity") && !s.has("Transport efficiency") && !s.has("Conductivity [S.m-1]") {
        let what = format!("{}: porosity, transport efficiency and conductivity", s.path);
        return Err(BpxError::SingleParticleOnly(what));
    }
    let particle_radius_m = s.number("Particle radius [m]")?;
    let lithiation = s.optional_function("OCP (lithiation) [V]")?;
    let delithiation = s.optional_function("OCP (delithiation) [V]")?;
    let decay = s.optional_number("OCP hysteresis decay constant")?;
    let hysteresis = match (lithiation, delithiation, decay) {
        (Some(lithiation_v), Some(delithiation_v), Some(decay)) => {
            Some(OcpHysteresis { lithiation_v, delithiation_v, decay })
        }
        (None, None, None) => None,
        _ => {
            warnings.push(format!(
                "{}: hysteresis left out, as it needs both branches of the potential and the decay constant",
                s.path
            ));
            None
        }
    };
    let electrode = Electrode {
        thickness_m: s.number("Thickness [m]")?,
        porosity: s.number("Porosity")?,
        transport_efficiency: s.number("Transport efficiency")?,
        conductivity_s_per_m: s.number("Conductivity [S.m-1]")?,
        active_fraction: s.number("Surface area per unit volume [m-1]")? * particle_radius_m / 3.0,
        particle_radius_m,
        max_concentration_mol_per_m3: s.number("Maximum concentration [mol.m-3]")?,
        stoichiometry_window: [s.number("Minimum stoichiometry")?, s.number("Maximum stoichiometry")?],
        diffusivity_m2_per_s: s.law("Diffusivity")?,
        ocp_v: s.function("OCP [V]")?,
        entropic_v_per_k: s
            .optional_function("Entropic change coefficient [V.K-1]")?
            .unwrap_or(Function::Constant(0.0)),
        reaction_rate_mol_per_m2_s: Arrhenius::new(
            s.number("Reaction rate constant [mol.m-2.s-1]")?,
            s.optional_number("Reaction rate constant activation energy [J.mol-1]")?.unwrap_or(0.0),
        ),
        reaction_exponent: 0.5,
        hysteresis,
    };
    s.finish()?;
    Ok(electrode)
}

fn read_user_defined(section: Section) -> Result<BTreeMap<String, UserValue>, BpxError> {
    let mut values = BTreeMap::new();
    for (key, value) in section.fields {
        let path = format!("{}/{key}", section.path);
        let is_table = |o: &Map<String, Value>| o.len() == 2 && o.contains_key("x") && o.contains_key("y");
        let user = match value {
            Value::Null => continue,
            Value::String(text) if key == "description" => UserValue::Text(text),
            Value::Object(fields) if !is_table(&fields) => {
                UserValue::Group(read_user_defined(Section { path, fields })?)
            }
            value => UserValue::Function(as_function(&path, &value)?),
        };
        values.insert(key, user);
    }
    Ok(values)
}

/// What this crate keeps in `User-defined`.
struct UserDefined {
    contact_resistance_ohm: f64,
    thermodynamic_factor: Option<Function>,
    transference: Option<Function>,
    exponents: [f64; 2],
    nodes: Option<Thermal>,
    ageing: Option<AgeingParameters>,
}

impl UserDefined {
    /// Takes them out. A group of numbers counts only if complete.
    fn take(user: &mut BTreeMap<String, UserValue>) -> Result<Self, BpxError> {
        fn function(user: &mut BTreeMap<String, UserValue>, key: &str) -> Result<Option<Function>, BpxError> {
            match user.remove(key) {
                None => Ok(None),
                Some(UserValue::Function(f)) => Ok(Some(f)),
                Some(_) => {
                    let path = format!("{USER_DEFINED}/{key}");
                    Err(BpxError::Type { path, expected: "a number, a formula or a table of x and y" })
                }
            }
        }
        fn number(user: &mut BTreeMap<String, UserValue>, key: &str) -> Result<Option<f64>, BpxError> {
            match function(user, key)? {
                None => Ok(None),
                Some(Function::Constant(value)) => Ok(Some(value)),
                Some(_) => {
                    Err(BpxError::Type { path: format!("{USER_DEFINED}/{key}"), expected: "a number" })
                }
            }
        }
        fn group<const N: usize>(
            user: &mut BTreeMap<String, UserValue>,
            keys: [&str; N],
        ) -> Result<Option<[f64; N]>, BpxError> {
            if !keys.iter().all(|k| user.contains_key(*k)) {
                return Ok(None);
            }
            let mut values = [0.0; N];
            for (value, key) in values.iter_mut().zip(keys) {
                *value = number(user, key)?.unwrap_or(0.0);
            }
            Ok(Some(values))
        }
        let nodes = group(user, NODES)?.map(|[core, surface, inner, outer]| Thermal {
            core_j_per_k: core,
            surface_j_per_k: surface,
            core_surface_w_per_k: inner,
            surface_ambient_w_per_k: outer,
        });
        let sei = group(user, SEI)?.map(|v| SeiGrowth {
            initial_thickness_m: v[0],
            interstitial_mol_per_m_s: v[1],
            activation_j_per_mol: v[2],
            molar_volume_m3_per_mol: v[3],
            lithium_per_formula: v[4],
            resistivity_ohm_m: v[5],
        });
        let only_below_zero = number(user, ONLY_BELOW_ZERO)?.is_some_and(|v| v != 0.0);
        let plating = group(user, PLATING)?.map(|[rate_m_per_s, transfer, dead_per_s]| LithiumPlating {
            rate_m_per_s,
            transfer,
            dead_per_s,
            only_below_zero,
        });
        let mut loss = |k: usize| {
            let values = group(user, LOSS[k])?;
            Ok::<_, BpxError>(values.map(|[per_stoichiometry, activation_j_per_mol]| ActiveMaterialLoss {
                per_stoichiometry,
                activation_j_per_mol,
            }))
        };
        let (negative_loss, positive_loss) = (loss(0)?, loss(1)?);
        let ages = sei.is_some() || plating.is_some() || negative_loss.is_some() || positive_loss.is_some();
        Ok(Self {
            contact_resistance_ohm: number(user, CONTACT)?.unwrap_or(0.0),
            thermodynamic_factor: match function(user, FACTOR_LAW)? {
                Some(law) => Some(law),
                None => function(user, FACTOR)?,
            },
            transference: function(user, TRANSFERENCE_LAW)?,
            exponents: [number(user, EXPONENT[0])?.unwrap_or(0.5), number(user, EXPONENT[1])?.unwrap_or(0.5)],
            nodes,
            ageing: ages.then_some(AgeingParameters { sei, plating, negative_loss, positive_loss }),
        })
    }
}

/// Volume in m3 of the layers of the cell, without collectors and case.
fn layers_m3(cell: &PhysicsParameters) -> f64 {
    let thickness = cell.negative.thickness_m + cell.separator.thickness_m + cell.positive.thickness_m;
    thickness * cell.electrode_area_m2 * cell.electrode_pairs
}

/// Surface in m2 of a cube: the least that a box of this volume can have.
fn cube_m2(volume_m3: f64) -> f64 {
    6.0 * volume_m3.cbrt().powi(2)
}

/// One thermal node from what the file says; what it does not say is guessed and put in. Warns if `loud`.
fn guess_thermal(
    cell: &PhysicsParameters,
    body: &mut Body,
    state: &mut State,
    loud: bool,
    warnings: &mut Vec<String>,
) -> Thermal {
    let mut guessed = Vec::new();
    let mut guess = |what: &'static str, field: &mut Option<f64>, value: f64| {
        *field.get_or_insert_with(|| {
            guessed.push(what);
            value
        })
    };
    let volume = guess("volume (the layers')", &mut body.volume_m3, layers_m3(cell));
    let area = &mut body.external_surface_area_m2;
    let area = guess("external surface area (a cube's)", area, cube_m2(volume));
    let specific = &mut body.specific_heat_j_per_kg_k;
    let specific = guess("specific heat capacity (1000 J/(kg K))", specific, DEFAULT_SPECIFIC_HEAT);
    let density =
        guess("density (2.2 MJ/(m3 K))", &mut body.density_kg_per_m3, DEFAULT_VOLUMETRIC_HEAT / specific);
    let transfer = &mut state.heat_transfer_w_per_m2_k;
    let transfer = guess("heat transfer coefficient (10 W/(m2 K))", transfer, DEFAULT_HEAT_TRANSFER);
    if loud && !guessed.is_empty() {
        warnings.push(format!("the cell's heat needs what is missing; guessed: {}", guessed.join(", ")));
    }
    Thermal::lumped(density * specific * volume, transfer * area)
}

/// As the `bpx` package: warns only where the stoichiometries reach beyond the voltages.
fn check_cut_offs(cell: &PhysicsParameters, warnings: &mut Vec<String>) {
    let (n, p) = (cell.negative.stoichiometry_window, cell.positive.stoichiometry_window);
    let [lower, upper] = cell.voltage_limits_v;
    let (empty, full) = (cell.open_circuit_voltage_v(n[0], p[1]), cell.open_circuit_voltage_v(n[1], p[0]));
    if full - upper > VOLTAGE_TOLERANCE_V {
        warnings.push(format!(
            "the stoichiometry limits give {full:.4} V for the full cell, above the cut-off {upper} V"
        ));
    }
    if empty - lower < -VOLTAGE_TOLERANCE_V {
        warnings.push(format!(
            "the stoichiometry limits give {empty:.4} V for the empty cell, below the cut-off {lower} V"
        ));
    }
}

// ---------------------------------------------------------------------------------------------------- writing

/// What the functions of an electrode are called in messages.
struct Names {
    diffusivity: &'static str,
    ocp: &'static str,
    entropic: &'static str,
    lithiation: &'static str,
    delithiation: &'static str,
}

const NEGATIVE: Names = Names {
    diffusivity: "the negative electrode's diffusivity",
    ocp: "the negative electrode's potential",
    entropic: "the negative electrode's entropic coefficient",
    lithiation: "the negative electrode's potential on lithiation",
    delithiation: "the negative electrode's potential on delithiation",
};
const POSITIVE: Names = Names {
    diffusivity: "the positive electrode's diffusivity",
    ocp: "the positive electrode's potential",
    entropic: "the positive electrode's entropic coefficient",
    lithiation: "the positive electrode's potential on lithiation",
    delithiation: "the positive electrode's potential on delithiation",
};

fn put(object: &mut Value, key: &str, value: Option<f64>) {
    if let Some(value) = value {
        object[key] = json!(value);
    }
}

fn function(quantity: &'static str, f: &Function) -> Result<Value, BpxError> {
    match f {
        Function::Constant(value) => Ok(json!(value)),
        Function::Table(table) => Ok(json!({ "x": table.x, "y": table.y })),
        Function::Expression(e) if e.uses_temperature() => Err(BpxError::NotRepresentable {
            quantity,
            reason: "its formula contains T, and formulas of BPX know x only",
        }),
        Function::Expression(e) if !e.is_bpx() => Err(BpxError::NotRepresentable {
            quantity,
            reason: "its formula has a function other than exp, tanh and cosh",
        }),
        Function::Expression(e) => Ok(json!(plain(e.text()))),
    }
}

/// A formula as the `bpx` package takes it: on one line, with a digit before each decimal point.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for c in text.trim().chars() {
        if c == '.' && !last.is_ascii_digit() {
            out.push('0');
        }
        out.push(if c.is_ascii_whitespace() { ' ' } else { c });
        last = c;
    }
    out
}

fn write_electrode(e: &Electrode, names: &Names) -> Result<Value, BpxError> {
    let mut section = json!({
        "Thickness [m]": e.thickness_m,
        "Porosity": e.porosity,
        "Transport efficiency": e.transport_efficiency,
        "Conductivity [S.m-1]": e.conductivity_s_per_m,
        "Minimum stoichiometry": e.stoichiometry_window[0],
        "Maximum stoichiometry": e.stoichiometry_window[1],
        "Maximum concentration [mol.m-3]": e.max_concentration_mol_per_m3,
        "Particle radius [m]": e.particle_radius_m,
        "Surface area per unit volume [m-1]": 3.0 * e.active_fraction / e.particle_radius_m,
        "Diffusivity [m2.s-1]": function(names.diffusivity, &e.diffusivity_m2_per_s.at_reference)?,
        "Diffusivity activation energy [J.mol-1]": e.diffusivity_m2_per_s.activation_j_per_mol,
        "OCP [V]": function(names.ocp, &e.ocp_v)?,
        "Entropic change coefficient [V.K-1]": function(names.entropic, &e.entropic_v_per_k)?,
        // Validation has seen to it that the rate constant is the same for every stoichiometry.
        "Reaction rate constant [mol.m-2.s-1]": e.reaction_rate_mol_per_m2_s.at_reference.at(0.5, 298.15),
        "Reaction rate constant activation energy [J.mol-1]": e.reaction_rate_mol_per_m2_s.activation_j_per_mol,
    });
    if let Some(h) = &e.hysteresis {
        section["OCP (lithiation) [V]"] = function(names.lithiation, &h.lithiation_v)?;
        section["OCP (delithiation) [V]"] = function(names.delithiation, &h.delithiation_v)?;
        section["OCP hysteresis decay constant"] = json!(h.decay);
    }
    Ok(section)
}

/// Completes size, weight and heat transfer so that their products are the thermal nodes'.
fn fill_body(cell: &PhysicsParameters, body: &mut Body, state: &mut State) {
    let heat = cell.thermal.core_j_per_k + cell.thermal.surface_j_per_k;
    let volume = *body.volume_m3.get_or_insert(layers_m3(cell));
    let area = *body.external_surface_area_m2.get_or_insert(cube_m2(volume));
    match (body.density_kg_per_m3, body.specific_heat_j_per_kg_k) {
        (Some(density), None) => body.specific_heat_j_per_kg_k = Some(heat / (density * volume)),
        (None, specific) => {
            let specific = specific.unwrap_or(DEFAULT_SPECIFIC_HEAT);
            body.specific_heat_j_per_kg_k = Some(specific);
            body.density_kg_per_m3 = Some(heat / (specific * volume));
        }
        (Some(_), Some(_)) => {}
    }
    state.heat_transfer_w_per_m2_k.get_or_insert(cell.thermal.surface_ambient_w_per_k / area);
}

fn write_state(state: &State, concentration: f64) -> Value {
    let mut conditions = json!({ "Initial electrolyte concentration [mol.m-3]": concentration });
    put(&mut conditions, "Initial state-of-charge", state.initial_soc);
    put(&mut conditions, "Initial temperature [K]", state.initial_temperature_k);
    put(&mut conditions, "Initial hysteresis state: Negative electrode", state.initial_negative_hysteresis);
    put(&mut conditions, "Initial hysteresis state: Positive electrode", state.initial_positive_hysteresis);
    let mut environment = json!({});
    put(&mut environment, "Ambient temperature [K]", state.ambient_temperature_k);
    put(&mut environment, "Heat transfer coefficient [W.m-2.K-1]", state.heat_transfer_w_per_m2_k);
    let mut value = json!({ "Initial conditions": conditions, "Thermal environment": environment });
    if let Some(d) = &state.degradation {
        value["Degradation"] = json!({
            "LLI": d.lithium_loss,
            "LAM: Negative electrode": d.negative_loss,
            "LAM: Positive electrode": d.positive_loss,
        });
    }
    value
}

fn write_experiment(e: &Experiment) -> Value {
    let current: Vec<f64> = e.current_a.iter().map(|i| -i).collect();
    let mut value = json!({ "Time [s]": e.time_s, "Current [A]": current, "Voltage [V]": e.voltage_v });
    if let Some(temperature) = &e.temperature_k {
        value["Temperature [K]"] = json!(temperature);
    }
    value
}

fn write_user_defined(
    cell: &PhysicsParameters,
    user: &BTreeMap<String, UserValue>,
) -> Result<Value, BpxError> {
    let mut value = write_user_values(user)?;
    // Always, since PyBaMM looks for it.
    value[CONTACT] = json!(cell.contact_resistance_ohm);
    let y = &cell.electrolyte;
    if y.thermodynamic_factor != Function::Constant(1.0) {
        let constant = matches!(y.thermodynamic_factor, Function::Constant(_));
        let key = if constant { FACTOR } else { FACTOR_LAW };
        value[key] = function("the thermodynamic factor", &y.thermodynamic_factor)?;
    }
    if !matches!(y.transference, Function::Constant(_)) {
        value[TRANSFERENCE_LAW] = function("the transference number", &y.transference)?;
    }
    for (key, e) in EXPONENT.iter().zip([&cell.negative, &cell.positive]) {
        if e.reaction_exponent != 0.5 {
            value[key] = json!(e.reaction_exponent);
        }
    }
    let mut put_all = |keys: &[&str], values: &[f64]| {
        for (key, number) in keys.iter().zip(values) {
            value[key] = json!(number);
        }
    };
    let t = &cell.thermal;
    put_all(&NODES, &[t.core_j_per_k, t.surface_j_per_k, t.core_surface_w_per_k, t.surface_ambient_w_per_k]);
    if let Some(ageing) = &cell.ageing {
        if let Some(s) = &ageing.sei {
            put_all(
                &SEI,
                &[
                    s.initial_thickness_m,
                    s.interstitial_mol_per_m_s,
                    s.activation_j_per_mol,
                    s.molar_volume_m3_per_mol,
                    s.lithium_per_formula,
                    s.resistivity_ohm_m,
                ],
            );
        }
        if let Some(p) = &ageing.plating {
            put_all(&PLATING, &[p.rate_m_per_s, p.transfer, p.dead_per_s]);
            if p.only_below_zero {
                put_all(&[ONLY_BELOW_ZERO], &[1.0]);
            }
        }
        for (keys, loss) in LOSS.iter().zip([&ageing.negative_loss, &ageing.positive_loss]) {
            if let Some(l) = loss {
                put_all(keys, &[l.per_stoichiometry, l.activation_j_per_mol]);
            }
        }
    }
    Ok(value)
}

fn write_user_values(values: &BTreeMap<String, UserValue>) -> Result<Value, BpxError> {
    let mut object = Map::new();
    for (key, value) in values {
        let value = match value {
            UserValue::Function(f) => function("a user-defined value", f)?,
            UserValue::Text(text) if key == "description" => json!(text),
            UserValue::Text(_) => {
                return Err(BpxError::NotRepresentable {
                    quantity: "a user-defined text",
                    reason: "only one named \"description\" may be a text",
                });
            }
            UserValue::Group(group) => write_user_values(group)?,
        };
        object.insert(key.clone(), value);
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::super::sets;
    use super::*;

    /// The two without their active fractions, which differ in the last digit after a round trip.
    fn assert_same(mut a: PhysicsParameters, b: &PhysicsParameters) {
        for (ours, theirs) in [(&mut a.negative, &b.negative), (&mut a.positive, &b.positive)] {
            assert!((ours.active_fraction - theirs.active_fraction).abs() < 4e-16);
            ours.active_fraction = theirs.active_fraction;
        }
        assert_eq!(&a, b);
    }

    fn chen() -> Value {
        serde_json::from_str(&to_json(&sets::chen2020(), &Extras::default()).unwrap()).unwrap()
    }

    fn error_of(change: impl FnOnce(&mut Value)) -> BpxError {
        let mut file = chen();
        change(&mut file);
        from_json(&file.to_string()).unwrap_err()
    }

    #[test]
    fn sets_survive_the_round_trip() {
        for entry in sets::all() {
            let set = entry.parameters();
            let (cell, replaced) = arrhenius_approximation(&set);
            match to_json(&set, &Extras::default()) {
                Ok(_) => {
                    assert!(replaced.is_empty(), "{}", entry.name);
                    assert_eq!(cell, set);
                }
                Err(BpxError::NotRepresentable { quantity, .. }) => {
                    assert_eq!(quantity, "the electrolyte's diffusivity", "{}", entry.name);
                    assert!(["kim2011", "oregan2022"].contains(&entry.name) && replaced.contains(&quantity));
                }
                Err(e) => panic!("{}: {e}", entry.name),
            }
            let imported = from_json(&to_json(&cell, &Extras::default()).unwrap()).unwrap();
            assert_same(imported.parameters, &cell);
            assert_eq!(imported.warnings, Vec::<String>::new());
            assert!(imported.extras.user_defined.is_empty());
        }
    }

    #[test]
    fn all_that_has_no_field_survives_too() {
        let mut cell = sets::okane2022();
        cell.contact_resistance_ohm = 0.003;
        cell.electrode_pairs = 12.0;
        cell.negative.reaction_exponent = 0.6;
        cell.electrolyte.transference = Function::expression("0.3 - 1e-5 * x").unwrap();
        cell.electrolyte.thermodynamic_factor = Function::expression("1 + .5e-3 *\n x").unwrap();
        cell.positive.hysteresis = Some(OcpHysteresis {
            lithiation_v: 3.3.into(),
            delithiation_v: Function::table(vec![0.0, 1.0], vec![3.4, 3.35]).unwrap(),
            decay: 12.5,
        });
        cell.thermal = Thermal::cylinder(0.021, 0.07, 2e6, 1.0, 15.0);
        cell.ageing.as_mut().unwrap().positive_loss =
            Some(ActiveMaterialLoss { per_stoichiometry: 1e-4, activation_j_per_mol: 2e4 });
        let group = BTreeMap::from([("of mine".to_string(), UserValue::Function(7.0.into()))]);
        let extras = Extras {
            description: "as it is".into(),
            body: Body {
                external_surface_area_m2: Some(0.0053),
                volume_m3: Some(2.4e-5),
                density_kg_per_m3: Some(2800.0),
                specific_heat_j_per_kg_k: Some(800.0),
            },
            state: State {
                initial_soc: Some(0.5),
                initial_temperature_k: Some(290.0),
                initial_negative_hysteresis: Some(0.1),
                initial_positive_hysteresis: Some(-1.0),
                ambient_temperature_k: Some(280.0),
                heat_transfer_w_per_m2_k: Some(15.0),
                degradation: Some(Degradation {
                    lithium_loss: 0.1,
                    negative_loss: 0.02,
                    positive_loss: 0.03,
                }),
            },
            validation: BTreeMap::from([(
                "1C".to_string(),
                Experiment {
                    time_s: vec![0.0, 1.0],
                    current_a: vec![5.0, 5.0],
                    voltage_v: vec![4.1, 4.0],
                    temperature_k: Some(vec![298.0, 298.1]),
                },
            )]),
            user_defined: BTreeMap::from([
                ("description".to_string(), UserValue::Text("what follows is mine".into())),
                ("a group".to_string(), UserValue::Group(group)),
            ]),
        };
        let text = to_json(&cell, &extras).unwrap();
        let imported = from_json(&text).unwrap();
        assert_eq!(imported.extras, extras);
        assert_eq!(imported.warnings.len(), 1, "{:?}", imported.warnings); // the cell is aged
        assert!(imported.warnings[0].contains("aged"));
        // The package wants formulas on one line, and digits before the point.
        cell.electrolyte.thermodynamic_factor = Function::expression("1 + 0.5e-3 *  x").unwrap();
        assert_same(imported.parameters, &cell);
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["Validation"]["1C"]["Current [A]"], json!([-5.0, -5.0]));
    }

    #[test]
    fn refusals_name_the_place() {
        let param = |section: &'static str, key: &'static str, value: Value| {
            error_of(move |f| f["Parameterisation"][section][key] = value).to_string()
        };
        assert_eq!(
            param("Negative electrode", "Porosty", json!(0.3)),
            "Parameterisation/Negative electrode/Porosty is no field of BPX 1.1: misspelt? (your own ones go into \
             Parameterisation/User-defined)"
        );
        assert_eq!(
            param("Cell", "Electrode area [m2]", json!("big")),
            "Parameterisation/Cell/Electrode area [m2] must be a number"
        );
        assert_eq!(
            param("Cell", "Nominal cell capacity [A.h]", Value::Null),
            "Parameterisation/Cell/Nominal cell capacity [A.h] is missing"
        );
        assert!(
            param("Positive electrode", "OCP [V]", json!("4.2 - y"))
                .starts_with("Parameterisation/Positive electrode/OCP [V]: formula refused at character 7")
        );
        assert!(param("Positive electrode", "OCP [V]", json!("4.2 - T")).ends_with("without T"));
        assert!(
            param("Positive electrode", "OCP [V]", json!({"x": [0, 1], "y": [1]})).ends_with("same length")
        );
        assert!(param("Positive electrode", "OCP [V]", json!({"x": [0, 0], "y": [1, 2]})).contains("ascend"));
        assert!(param("Positive electrode", "OCP [V]", json!(true)).ends_with("a table of x and y"));
        assert!(
            param("Separator", "Porosity", json!(-0.1)).starts_with("separator: porosity = -0.1 refused")
        );
        assert!(
            param("User-defined", "mine", json!([1]))
                .starts_with("Parameterisation/User-defined/mine must be")
        );
        assert!(param("User-defined", CONTACT, json!("x")).ends_with("must be a number"));
        assert!(matches!(
            error_of(|f| f["Parameterisation"]["Negative electrode"]["Particle"] = json!({"Primary": {}})),
            BpxError::Blended(path) if path == "Parameterisation/Negative electrode"
        ));
        assert_eq!(
            error_of(|f| {
                f["Header"]["Model"] = json!("SPM");
                f["Parameterisation"]["Electrolyte"] = Value::Null;
                f["Parameterisation"]["Separator"] = Value::Null;
            })
            .to_string(),
            "the file is for a single-particle model (SPM): Electrolyte and Separator missing, which a model with \
             electrolyte needs"
        );
        assert!(
            matches!(error_of(|f| f["Header"]["BPX"] = json!("2.0")), BpxError::Version(v) if v == "2.0")
        );
        assert!(matches!(error_of(|f| f["Header"]["Model"] = json!("P2D")), BpxError::Type { .. }));
        assert!(
            matches!(error_of(|f| f["Extra"] = json!(1)), BpxError::UnknownField(path) if path == "Extra")
        );
        assert!(matches!(
            error_of(|f| f["Validation"] = json!({"a": {"Time [s]": [0], "Current [A]": [], "Voltage [V]": [1]}})),
            BpxError::Type { path, .. } if path == "Validation/a"
        ));
        for text in ["", "[]", "3", "{", "{\"Header\": 1}", &"[".repeat(10_000)] {
            assert!(from_json(text).is_err());
        }
        let mut cell = sets::chen2020();
        cell.electrode_pairs = 1.5;
        let error = to_json(&cell, &Extras::default()).unwrap_err().to_string();
        assert!(error.starts_with("the number of electrode pairs cannot be written to BPX"), "{error}");
        cell = sets::chen2020();
        cell.positive.ocp_v = Function::expression("4.5 - sqrt(x)").unwrap();
        let error = to_json(&cell, &Extras::default()).unwrap_err().to_string();
        assert!(error.starts_with("the positive electrode's potential cannot be written"), "{error}");
    }

    #[test]
    fn two_negative_numbers_are_no_heat_capacity() {
        let refused = error_of(|file| {
            file["Parameterisation"]["User-defined"] = json!({});
            file["Parameterisation"]["Cell"]["Density [kg.m-3]"] = json!(-2000);
            file["Parameterisation"]["Cell"]["Volume [m3]"] = json!(-2e-5);
        });
        assert!(refused.to_string().starts_with("volume in m3 = -0.00002 refused"), "{refused}");
    }

    #[test]
    fn what_is_left_out_is_put_in_with_a_warning() {
        let mut file = chen();
        let cell = file["Parameterisation"]["Cell"].as_object_mut().unwrap();
        cell.retain(|k, _| {
            !["Volume", "Density", "External", "Specific", "Reference"].iter().any(|s| k.starts_with(s))
        });
        file["Parameterisation"]["User-defined"] = Value::Null;
        file["State"] = Value::Null;
        file["Parameterisation"]["Cell"]["Upper voltage cut-off [V]"] = json!(4.19);
        file["Parameterisation"]["Negative electrode"]["OCP (lithiation) [V]"] = json!(0.1);
        let Imported { parameters: p, extras, warnings } = from_json(&file.to_string()).unwrap();
        for word in
            ["concentration", "reference temperature", "hysteresis left out", "guessed", "above the cut-off"]
        {
            assert_eq!(warnings.iter().filter(|w| w.contains(word)).count(), 1, "{word}: {warnings:?}");
        }
        assert_eq!(warnings.len(), 5);
        let volume = extras.body.volume_m3.unwrap();
        let heat = p.thermal.core_j_per_k + p.thermal.surface_j_per_k;
        assert!((heat / volume - DEFAULT_VOLUMETRIC_HEAT).abs() < 1.0);
        assert_eq!(extras.state.heat_transfer_w_per_m2_k, Some(10.0));
        // Once read, all is there: written and read again it is the same, without these warnings.
        let again = from_json(&to_json(&p, &extras).unwrap()).unwrap();
        assert_same(again.parameters, &p);
        assert_eq!((again.extras, again.warnings.len()), (extras, 1));
    }

    #[test]
    fn files_before_1_0_are_converted() {
        let mut file = chen();
        file["Header"]["BPX"] = json!(0.4);
        file["State"] = Value::Null;
        file["Parameterisation"]["Cell"]["Ambient temperature [K]"] = json!(288.15);
        file["Parameterisation"]["Cell"]["Thermal conductivity [W.m-1.K-1]"] = json!(2.0);
        file["Parameterisation"]["Electrolyte"]["Initial concentration [mol.m-3]"] = json!(1100);
        let imported = from_json(&file.to_string()).unwrap();
        assert_eq!(imported.parameters.electrolyte.initial_concentration_mol_per_m3, 1100.0);
        let state = imported.extras.state;
        assert_eq!(state.initial_soc, Some(1.0));
        assert_eq!((state.ambient_temperature_k, state.initial_temperature_k), (Some(288.15), Some(288.15)));
        assert_eq!(imported.warnings.len(), 2, "{:?}", imported.warnings); // version is a number, converted
        // The same fields are errors in a file of 1.x.
        file["Header"]["BPX"] = json!("1.0.0");
        assert!(matches!(from_json(&file.to_string()), Err(BpxError::UnknownField(_))));
    }

    #[test]
    fn approximation_keeps_the_law_where_it_was_fitted() {
        let cell = sets::kim2011();
        let (new, replaced) = arrhenius_approximation(&cell);
        assert_eq!(replaced, ["the electrolyte's diffusivity", "the electrolyte's conductivity"]);
        let at = |law: &Arrhenius, x: f64, t: f64| {
            let factor = law.activation_j_per_mol / GAS * (1.0 / 298.15 - 1.0 / t);
            law.at_reference.at(x, t) * factor.exp()
        };
        for t in [283.15, 298.15, 313.15] {
            for c in [600.0, 1200.0, 1800.0] {
                let (exact, ours) = (
                    at(&cell.electrolyte.conductivity_s_per_m, c, t),
                    at(&new.electrolyte.conductivity_s_per_m, c, t),
                );
                let tolerance = if c == 1200.0 { 0.01 } else { 0.1 };
                assert!((ours / exact - 1.0).abs() < tolerance, "{t} K, {c} mol/m3: {ours} {exact}");
            }
        }
    }
}
