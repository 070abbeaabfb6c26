//! Physics models of lithium-ion cells: the single particle with electrolyte (SPMe), with heat and ageing.
//!
//! # Parts
//!
//! | Part | What it is for |
//! |---|---|
//! | [`SpmeCell`] | one cell, a [`Plant`](crate::Plant) |
//! | [`SpmeBatch`] | many cells of one kind at once |
//! | [`sets`] | published parameter sets of real cells |
//! | [`bpx`] | parameters from and to the Battery Parameter eXchange format |
//! | [`PhysicsParameters`] and its parts | what describes a cell |
//! | [`Wear`], [`WearKind`] | cells that have aged, or are made so |
//! | [`AgeingParameters`] | how a cell ages with time and use |
//! | [`Resolution`] | how finely the equations are solved |
//!
//! # Equations
//!
//! Indices: n and p for the negative and positive electrode, s for the separator. With the current `I` (A, positive on
//! discharge), the electrode area `A` (all pairs), thicknesses `L`, Faraday's and the gas constant `F` and `R`, and the
//! core temperature `T` in K:
//!
//! | Equation | Meaning |
//! |---|---|
//! | `dx/dt = (1/r^2) d/dr (r^2 D(x, T) dx/dr)` | stoichiometry in one particle per electrode, of radius `R_k` |
//! | `D dx/dr = -+ (I + I_side) R_k / (3 F A L eps c_max)` at the surface | lithium leaves n and enters p on discharge |
//! | `eps_e dc/dt = d/dy (B D_e(c, T) dc/dy - t_+ i/F) + a j/F` | electrolyte across the cell; `B` is the transport efficiency; current goes over evenly in each electrode |
//! | `j0 = F k(T) (c/c0)^(1-a) x^a (1 - x)^(1-a)` | exchange-current density, `x` at the surface |
//! | `eta = (2 R T/F) asinh(j / (2 j0))` | Butler-Volmer with equal transfer coefficients, inverted; `j = I / (A a L)` |
//! | `U = U_p(x_p) - U_n(x_n) + (T - T_ref) (dU_p/dT - dU_n/dT)` | open-circuit voltage of the surfaces |
//! | `eta_c = (2 R T/F) (1 - t_+) f (mean_p ln c - mean_n ln c)` | concentration voltage of the electrolyte |
//! | `R_e = (L_n/(3 B_n) + L_s/B_s + L_p/(3 B_p)) / (kappa A)` | its resistance, `kappa` at the mean concentration; the solids' is `L/(3 sigma A)` each |
//! | `V = U - eta_p - eta_n + eta_c - I (R_e + R_solid + R_contact + R_film)` | terminal voltage |
//! | `U_k = (1 + h)/2 U_delith + (1 - h)/2 U_lith` | open-circuit potential with hysteresis |
//! | `dh/dt = (decay/2) abs(dx/dt) (+-1 - h)` | its state, towards +1 while lithium leaves the material |
//! | `q = I (U - V) - I T dU/dT` | heat in W: reaction, Joule, hysteresis and entropic |
//! | `q_mix = -F sum N integral(D abs(grad c)^2 dU/dc)` | heat of mixing, if asked for ([`SpmeCell::with_heat_of_mixing`]) |
//!
//! Every transport and kinetic parameter follows Arrhenius' law, times a function of stoichiometry or concentration (and
//! of `T` where the source has such). The two thermal nodes are those of [`Thermal`](crate::Thermal). Film growth, plating
//! and loss of active material are explained at [`AgeingParameters`].
//!
//! **Truth.** [`Plant::capacity_ah`](crate::Plant::capacity_ah) is what the cell gives at C/20 (of its nominal capacity)
//! and 25 degC from rest at its upper voltage limit down to the lower one; the plant measures it on a copy of itself when
//! it is made and whenever ageing has moved it by 0.02 %. [`Plant::soc`](crate::Plant::soc) is 1 less the charge removed
//! since full over that.
//!
//! # How they are solved
//!
//! Linear finite elements along the radius (graded towards the surface) and across the electrolyte, with the consistent
//! mass matrix: lithium is kept to rounding. The diffusivity of an element is its mean between the concentrations at its
//! ends. In time a two-stage Runge-Kutta method, second order and L-stable. Both are shown to converge in second order
//! (`tests/physics.rs`). Steps are cut into pieces that start at 1 s after a change of current and then grow with the time
//! since; see [`Resolution`]. Means over an electrode have the end correction of Euler and Maclaurin.
//!
//! # Range of validity
//!
//! One particle stands for an electrode, and current goes over evenly along its thickness. That is good while the
//! electrolyte is not exhausted and the reaction spreads out: within a few mV of the full model (DFN) for drives at 25
//! degC, ten times as much in the cold or at 2C with thick electrodes. `ACCURACY.md` beside this crate's manifest has the
//! differences to PyBaMM's SPMe and DFN, case by case. The electrolyte's concentration is held above 0.1 % of the rested
//! one where its logarithm is taken, open-circuit potentials are cut off at -1 and 7 V, and properties of the electrolyte
//! are tabulated up to 4000 mol/m3. Over-charge and over-discharge have no reactions of their own.
//!
//! # Sources
//!
//! * S. G. Marquis, V. Sulzer, R. Timms, C. P. Please, S. J. Chapman, "An Asymptotic Derivation of a Single Particle Model
//!   with Electrolyte", *J. Electrochem. Soc.* 166 (2019) A3693: the model, here with averaged logarithms as PyBaMM has it.
//! * V. Sulzer, S. G. Marquis, R. Timms, M. Robinson, S. J. Chapman, "Python Battery Mathematical Modelling (PyBaMM)",
//!   *J. Open Res. Softw.* 9 (2021) 14: the reference.
//! * J. Börjesson Axén, H. Ekström, E. Widenkvist Zetterström, G. Lindbergh, "Evaluation of hysteresis expressions in a
//!   lumped voltage prediction model of a `NiMH` battery system in stationary storage applications", *J. Energy Storage* 48
//!   (2022) 103985: hysteresis with one state.
//! * R. Alexander, "Diagonally Implicit Runge-Kutta Methods for Stiff O.D.E.'s", *SIAM J. Numer. Anal.* 14 (1977) 1006.
//! * J. Newman, K. E. Thomas-Alyea, *Electrochemical Systems*, 3rd ed., Wiley, 2004: the full model.

mod ageing;
mod balance;
mod batch;
mod block;
pub mod bpx;
mod expression;
mod function;
mod lanes;
mod mesh;
mod model;
mod parameters;
pub mod sets;
mod spme;
mod tabulated;
mod wear;

pub use ageing::{ActiveMaterialLoss, AgeingParameters, LithiumPlating, SeiGrowth};
pub use balance::Balance;
pub use batch::{SpmeBatch, SpmeBatchCell};
pub use expression::Expression;
pub use function::{Arrhenius, Function};
pub use mesh::Resolution;
pub use parameters::{Electrode, Electrolyte, OcpHysteresis, PhysicsParameters, Separator};
pub use spme::SpmeCell;
pub use wear::{Wear, WearKind};
