//! Published parameter sets of real cells.
//!
//! | Name | Cell |
//! |---|---|
//! | [`chen2020`] | LG M50, 21700, graphite-SiOx / NMC811, 5 Ah: room temperature only |
//! | [`okane2022`] | the same cell, with temperature dependence, film growth and plating |
//! | [`oregan2022`] | LG M50T, 21700, graphite-SiOx / NMC811, 5 Ah: rich temperature dependence |
//! | [`mohtat2020`] | pouch, graphite / NMC532, 5 Ah |
//! | [`kim2011`] | pouch, graphite / NCA, 0.43 Ah |
//! | [`prada2013`] | A123 26650, graphite / LFP, 2.3 Ah, with hysteresis |
//!
//! # How the numbers were taken
//!
//! The values are those of the papers, as the parameter files of PyBaMM 26.10 state them, so that a cell can be compared
//! with PyBaMM's; each set says what it adds. They were brought to this crate's form as follows.
//!
//! * Transport efficiency is porosity to the Bruggeman exponent, and the effective conductivity of an electrode is
//!   `sigma (1 - porosity)^b`: what PyBaMM's default models do. Explicit transport efficiencies in its files go unused.
//! * An exchange-current density `m sqrt(c_e c_s (c_max - c_s))` becomes `k = m c_max sqrt(c_e0) / F`.
//! * The stoichiometry windows follow from the lithium of the published initial concentrations and from the voltage
//!   limits ([`PhysicsParameters::balance`]), at the reference temperature.
//! * The thermal nodes are [`Thermal::lumped`]: the heat capacity is the mean over the layers times the cell's volume. For
//!   a core that is warmer than the surface put one of the formats in, such as [`Thermal::cylinder`].
//! * Double layers, mechanics and the current collectors' ohmic drop are left out.

mod chen2020;
mod kim2011;
mod mohtat2020;
mod okane2022;
mod oregan2022;
mod prada2013;

pub use chen2020::chen2020;
pub use kim2011::kim2011;
pub use mohtat2020::mohtat2020;
pub use okane2022::okane2022;
pub use oregan2022::oregan2022;
pub use prada2013::prada2013;

use super::tabulated::FARADAY;
use super::{Arrhenius, Function, PhysicsParameters};
use crate::thermal::Thermal;

/// A built-in parameter set.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name that [`by_name`] knows.
    pub name: &'static str,
    /// One line: chemistry, size, what it is good for.
    pub title: &'static str,
    build: fn() -> PhysicsParameters,
}

impl Entry {
    /// The parameters.
    pub fn parameters(&self) -> PhysicsParameters {
        (self.build)()
    }
}

const ALL: [Entry; 6] = [
    Entry {
        name: "chen2020",
        title: "LG M50 21700, graphite-SiOx/NMC811, 5 Ah, 25 degC only",
        build: chen2020,
    },
    Entry { name: "kim2011", title: "pouch, graphite/NCA, 0.43 Ah", build: kim2011 },
    Entry { name: "mohtat2020", title: "pouch, graphite/NMC532, 5 Ah", build: mohtat2020 },
    Entry {
        name: "okane2022",
        title: "LG M50 21700, graphite-SiOx/NMC811, 5 Ah, with film growth and plating",
        build: okane2022,
    },
    Entry {
        name: "oregan2022",
        title: "LG M50T 21700, graphite-SiOx/NMC811, 5 Ah, rich temperature dependence",
        build: oregan2022,
    },
    Entry { name: "prada2013", title: "A123 26650, graphite/LFP, 2.3 Ah, with hysteresis", build: prada2013 },
];

/// All built-in sets, in alphabetical order.
pub fn all() -> &'static [Entry] {
    &ALL
}

/// The set of this name, such as `"okane2022"`.
///
/// ```
/// use cell_models::physics::sets;
/// let cell = sets::by_name("prada2013").ok_or("no such set")?;
/// assert_eq!(cell.nominal_capacity_ah, 2.3);
/// # Ok::<(), &str>(())
/// ```
pub fn by_name(name: &str) -> Option<PhysicsParameters> {
    ALL.iter().find(|e| e.name == name).map(Entry::parameters)
}

/// A formula of ours. The tests validate every set, so none is refused; if one were, validation would name it.
fn formula(text: &str) -> Function {
    Function::expression(text).unwrap_or(Function::Constant(f64::NAN))
}

/// The rate constant of `m sqrt(c_e c_s (c_max - c_s))` with `m` in (A/m2) (m3/mol)^1.5.
fn rate(m: f64, c_max: f64, c_e0: f64, activation_j_per_mol: f64) -> Arrhenius {
    Arrhenius::new(m * c_max * c_e0.sqrt() / FARADAY, activation_j_per_mol)
}

/// One thermal node from layers of thickness in m, density in kg/m3 and specific heat capacity in J/(kg K).
fn lumped(
    layers: &[[f64; 3]],
    volume_m3: f64,
    cooled_area_m2: f64,
    heat_transfer_w_per_m2_k: f64,
) -> Thermal {
    let total: f64 = layers.iter().map(|l| l[0]).sum();
    let heat: f64 = layers.iter().map(|l| l[0] * l[1] * l[2]).sum();
    Thermal::lumped(heat / total * volume_m3, heat_transfer_w_per_m2_k * cooled_area_m2)
}

/// The cell with the windows that follow from published stoichiometries (negative, positive) of one state. The tests
/// see to it that every set can be balanced.
fn balanced(cell: PhysicsParameters, stoichiometries: [f64; 2]) -> PhysicsParameters {
    let lithium = cell.lithium_ah_at(stoichiometries[0], stoichiometries[1]);
    cell.clone().with_lithium_ah(lithium).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_valid_and_named() {
        for entry in all() {
            let p = entry.parameters();
            p.validate().unwrap_or_else(|e| panic!("{}: {e}", entry.name));
            assert!(!p.title.is_empty() && !p.source.is_empty());
            assert_eq!(by_name(entry.name), Some(p));
        }
        assert!(all().windows(2).all(|w| w[0].name < w[1].name));
        assert_eq!(by_name("nobody1900"), None);
    }
}
