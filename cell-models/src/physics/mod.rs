//! Physics models of lithium-ion cells: single particle with electrolyte (SPMe), heat and ageing.

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
