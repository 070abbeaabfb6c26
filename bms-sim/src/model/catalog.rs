//! Which cells there are.

use std::path::Path;

use cell_models::physics::bpx::{self, Extras};
use cell_models::physics::{PhysicsParameters, sets};
use cell_models::{EcmParameters, Plant, SupercapCell, SupercapParameters};

use super::ModelError;

/// What kind of model a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Single-particle model with electrolyte.
    Physics,
    /// Equivalent circuit.
    Circuit,
    /// Supercapacitor.
    Supercap,
}

impl Family {
    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Physics => "physics",
            Self::Circuit => "circuit",
            Self::Supercap => "supercap",
        }
    }
}

/// The parameters of a cell. A further kind of plant is one more variant here and in [`super::Cell`],
/// an arm in [`super::describe`], and a line in [`known`].
#[derive(Debug, Clone)]
pub enum Parameters {
    /// Of the single-particle model with electrolyte, and what else its BPX file held.
    Physics(Box<PhysicsParameters>, Box<Extras>),
    /// Of the equivalent circuit.
    Circuit(Box<EcmParameters>),
    /// Of the supercapacitor.
    Supercap(Box<SupercapParameters>),
}

/// A cell to simulate.
#[derive(Debug, Clone)]
pub struct Model {
    /// Name of the built-in cell, or of the file without its ending.
    pub name: String,
    /// One line: chemistry, size, maker.
    pub title: String,
    /// Where the numbers come from.
    pub source: String,
    /// What was assumed, converted or looks odd in its file.
    pub warnings: Vec<String>,
    /// All numbers.
    pub parameters: Parameters,
}

impl Model {
    /// What kind of model it is.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.parameters {
            Parameters::Physics(..) => Family::Physics,
            Parameters::Circuit(_) => Family::Circuit,
            Parameters::Supercap(_) => Family::Supercap,
        }
    }

    /// Capacity in Ah that C-rates refer to.
    #[must_use]
    pub fn nominal_capacity_ah(&self) -> f64 {
        match &self.parameters {
            Parameters::Physics(p, _) => p.nominal_capacity_ah,
            Parameters::Circuit(p) => p.capacity_ah,
            // What lies between the limits; no number where the parameters are refused.
            Parameters::Supercap(p) => {
                SupercapCell::new((**p).clone(), 1.0, 25.0).map_or(f64::NAN, |cell| cell.capacity_ah())
            }
        }
    }

    /// Lower and upper voltage limit in V.
    #[must_use]
    pub fn voltage_limits_v(&self) -> [f64; 2] {
        match &self.parameters {
            Parameters::Physics(p, _) => p.voltage_limits_v,
            Parameters::Circuit(p) => p.voltage_limits_v,
            Parameters::Supercap(p) => p.voltage_limits_v,
        }
    }

    /// Electrodes in words, as the title has them (`graphite/LFP`); empty where it does not tell.
    #[must_use]
    pub fn chemistry(&self) -> &str {
        self.title.split(", ").find(|part| part.contains('/')).unwrap_or_default()
    }

    /// Whether the cell has parameters of ageing.
    #[must_use]
    pub fn ages(&self) -> bool {
        matches!(&self.parameters, Parameters::Physics(p, _) if p.ageing.is_some())
    }
}

/// A built-in cell.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The name that [`open`] knows.
    pub name: &'static str,
    build: fn(&str) -> Option<Model>,
}

impl Known {
    /// The cell.
    #[must_use]
    pub fn model(&self) -> Option<Model> {
        (self.build)(self.name)
    }
}

/// All built-in cells.
#[must_use]
pub fn known() -> Vec<Known> {
    let mut all: Vec<Known> =
        sets::all().iter().map(|entry| Known { name: entry.name, build: physics }).collect();
    all.push(Known { name: "generic_lfp_2ah3", build: circuit });
    all.push(Known { name: "generic_nmc_5ah", build: circuit });
    all.push(Known { name: "supercap_3000f", build: supercap });
    // Cells of further kinds go here.
    all
}

fn physics(name: &str) -> Option<Model> {
    let entry = sets::all().iter().find(|e| e.name == name)?;
    let parameters = entry.parameters();
    Some(Model {
        name: name.into(),
        title: entry.title.into(),
        source: parameters.source.clone(),
        warnings: Vec::new(),
        parameters: Parameters::Physics(Box::new(parameters), Box::default()),
    })
}

fn circuit(name: &str) -> Option<Model> {
    let (title, parameters) = match name {
        "generic_nmc_5ah" => ("made-up circuit, like graphite/NMC, 5 Ah", EcmParameters::generic_nmc_5ah()),
        "generic_lfp_2ah3" => {
            ("made-up circuit, like graphite/LFP, 2.3 Ah", EcmParameters::generic_lfp_2ah3())
        }
        _ => return None,
    };
    Some(Model {
        name: name.into(),
        title: title.into(),
        source: "made up for examples: no maker's cell".into(),
        warnings: Vec::new(),
        parameters: Parameters::Circuit(Box::new(parameters)),
    })
}

fn supercap(name: &str) -> Option<Model> {
    Some(Model {
        name: name.into(),
        title: "supercapacitor like the common ones, carbon/carbon, 3000 F".into(),
        source: "typical data sheets and Zubieta & Bonert: no maker's cell".into(),
        warnings: Vec::new(),
        parameters: Parameters::Supercap(Box::new(SupercapParameters::typical_3000f())),
    })
}

/// The cell of this name, or the one in this BPX file (a name that ends in `.json` or leads into a folder).
///
/// # Errors
/// When there is no such cell (the message lists those there are), or the file is refused.
pub fn open(name: &str) -> Result<Model, ModelError> {
    let path = Path::new(name);
    let is_file = name.to_lowercase().ends_with(".json") || path.components().count() > 1;
    if !is_file {
        let all = known();
        let found = all.iter().find(|k| k.name.eq_ignore_ascii_case(name)).and_then(Known::model);
        return found.ok_or_else(|| ModelError::Unknown {
            name: name.into(),
            known: all.iter().map(|k| k.name).collect::<Vec<_>>().join(", "),
        });
    }
    let bytes =
        std::fs::read(path).map_err(|source| ModelError::Unreadable { path: path.to_path_buf(), source })?;
    let refused = |source| ModelError::Bpx { path: path.to_path_buf(), source };
    let text = String::from_utf8(bytes).map_err(|e| refused(bpx::BpxError::Json(e.to_string())))?;
    let imported = bpx::from_json(&text).map_err(refused)?;
    Ok(Model {
        name: path.file_stem().map_or_else(|| "cell".into(), |s| s.to_string_lossy().into_owned()),
        title: imported.parameters.title.clone(),
        source: imported.parameters.source.clone(),
        warnings: imported.warnings,
        parameters: Parameters::Physics(Box::new(imported.parameters), Box::new(imported.extras)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_cell_opens_and_tells_its_chemistry() {
        let all = known();
        assert!(all.len() >= 9);
        for entry in all {
            let model = open(entry.name).unwrap();
            assert_eq!(model.name, entry.name);
            assert!(model.chemistry().contains('/'), "{}: {}", entry.name, model.title);
            assert!(model.nominal_capacity_ah() > 0.0 && !model.source.is_empty());
        }
        assert_eq!(open("Okane2022").unwrap().name, "okane2022");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let text = open("okane").unwrap_err().to_string();
        assert!(text.contains("`okane`") && text.contains("prada2013") && text.contains(".json"), "{text}");
        assert!(open("no/such/file.json").unwrap_err().to_string().starts_with("cannot read no/such"));
    }
}
