//! Plant models of battery cells: simulated cells whose inner truth is known, so that a battery management system can be
//! judged against it. The crate depends on no BMS and is usable alone.
//!
//! # Parts
//!
//! | Part | What it is for |
//! |---|---|
//! | [`Plant`] | what every model offers: set a current, let time pass, read voltage, temperatures and the truth |
//! | [`EcmCell`], [`EcmParameters`] | equivalent-circuit cell, with two ready (made-up) example cells |
//! | [`EcmBatch`], [`BatchCell`] | thousands to millions of such cells in one call per step, vectorised |
//! | [`SupercapCell`], [`SupercapParameters`] | supercapacitor cell with two branches and leakage, with a typical one of 3000 F |
//! | [`physics`] | lithium-ion cells by the single-particle model with electrolyte, with heat, ageing and published parameters |
//! | [`pack`] | batteries of such cells: series and parallel, busbars, contactors, precharge, fuse, isolation |
//! | [`network`] | thermal network of a pack: cells, plates, coolant in channels, heaters, and the devices that drive it |
//! | [`balancing`] | balancing hardware: bleed resistors, active balancers, switched capacitors |
//! | [`Hppc`], [`slow_cycle`], [`Drive`], [`hold`] | test profiles: iterators of [`Step`] |
//! | [`simulate`] | puts any plant through any profile within its voltage limits, gives a [`Recording`] |
//! | [`Table1`], [`Table2`], [`Thermal`] | building blocks |
//!
//! # Example
//!
//! ```
//! use cell_models::{EcmCell, EcmParameters, Hppc, Plant, simulate};
//!
//! // A full cell at 25 degC, through a pulse test.
//! let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 1.0, 25.0)?;
//! let recording = simulate(&mut cell, Hppc::new(5.0).steps()?)?;
//! assert!(cell.soc() < 0.1);
//! for k in (0..recording.len()).step_by(3600) {
//!     println!("{:6.0} s  {:5.2} A  {:.3} V  {}", recording.time_s[k], recording.current_a[k],
//!         recording.voltage_v[k], recording.label[k]);
//! }
//!
//! // Or step by step: 5 A of charge for 10 s.
//! cell.set_current(-5.0)?;
//! cell.advance(10.0)?;
//! println!("{} V, {} degC", cell.voltage_v(), cell.surface_temperature_c());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Conventions
//!
//! Current is positive on discharge. SOC is a fraction of the true capacity. Temperatures are in degC in the interface.
//! A name carries its unit: `current_a`, `dt_s`, `core_temperature_c`. Bad input is an error that leaves the state as it
//! was ([`PlantError`], [`ParameterError`]); nothing panics. All numbers are `f64` and every run is reproducible.
//!
//! # Equivalent circuit
//!
//! With current `I` (A), capacity `Q` (Ah), SOC `z`, core temperature `T` (K; 298.15 K is the reference of `U`):
//!
//! | Equation | Meaning |
//! |---|---|
//! | `dz/dt = -eta I / (3600 Q)` | charge balance; `eta` = 1 on discharge, the coulombic efficiency on charge |
//! | `U = U_25(z) + (T - 298.15) dU/dT(z)` | open-circuit voltage in V, `dU/dT` in V/K |
//! | `dv_k/dt = (R_k I - v_k) / tau_k` | voltage in V of RC pair k, `R_k` in ohm, `tau_k` in s, both over (T, z) |
//! | `dh/dt = -(abs(I) gamma / (3600 Q)) (h + sign(I))` | hysteresis state, towards -1 on discharge, 1 on charge |
//! | `V = U + M(z) h - I R_0 - sum v_k` | terminal voltage; `M` in V, `R_0` over (T, z), one for each direction |
//! | `q = I (U - V) - I T dU/dT` | heat in W: irreversible (with hysteresis) and entropic |
//! | `C_c dT_c/dt = q - K_cs (T_c - T_s)` | core temperature; `C` in J/K, `K` in W/K |
//! | `C_s dT_s/dt = K_cs (T_c - T_s) - K_sa (T_s - T_a)` | surface temperature, `T_a` is the ambient one |
//!
//! The entropic term is subtracted because discharge is positive: where `dU/dT` is above 0, discharge cools the cell.
//!
//! Charge, RC pairs and hysteresis are integrated exactly for a constant or linearly changing current
//! ([`Plant::ramp_current`]) and constant parameters, the thermal nodes for constant heat, so no step is too long to be
//! stable. Steps above 5 s or 0.1 % of SOC are cut into pieces, so that
//! parameters and heat follow SOC and temperature within the step (above 100 000 pieces these grow longer instead).
//!
//! Beyond SOC 0 and 1 the charge balance goes on, but all tables keep their edge values: over-discharge and over-charge
//! are not modelled. Nor are ageing, self-discharge and the heat of the charge that an efficiency below 1 loses.
//!
//! Speed, against plain C of the same circuit measured side by side (`benches/plants_vs_c.sh`): [`EcmCell::run`] takes a
//! whole profile, and is at its best where the tables say the same everywhere and steps are equal; [`EcmBatch`] trades
//! documented bounds of accuracy for vectors.
//!
//! # Sources
//!
//! * G. L. Plett, *Battery Management Systems, Volume I: Battery Modeling*, Artech House, 2015: circuit, exact
//!   discretisation (its chapter 2), hysteresis. Here `h` decays by `abs(I)`, without `eta`, and there is no
//!   instantaneous hysteresis.
//! * D. Bernardi, E. Pawlikowski, J. Newman, "A General Energy Balance for Battery Systems", *J. Electrochem. Soc.* 132
//!   (1985) 5: the heat.
//! * *Battery Test Manual For Electric Vehicles*, Idaho National Laboratory, INL/EXT-15-34184: the pulse test.

pub mod balancing;
mod ecm;
mod ecm_batch;
mod error;
mod load;
pub mod network;
pub mod pack;
pub mod physics;
mod piece;
mod plant;
mod profile;
pub mod runaway;
mod supercap;
mod table;
mod thermal;

pub use ecm::{EcmCell, EcmParameters, EcmTrace, MAX_RC_PAIRS, REFERENCE_TEMPERATURE_C, RcPair, Waveform};
pub use ecm_batch::{BATCH_TOLERANCE_K, BATCH_TOLERANCE_SOC, BatchCell, EcmBatch};
pub use error::{ParameterError, PlantError};
pub use load::Load;
pub use plant::{MAX_CURRENT_A, Plant};
pub use profile::{Drive, Hppc, Label, Recording, Step, hold, simulate, slow_cycle};
pub use supercap::{SupercapCell, SupercapParameters};
pub use table::{Table1, Table2};
pub use thermal::Thermal;
