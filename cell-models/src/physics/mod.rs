//! Physics models of lithium-ion cells: single particle with electrolyte (SPMe), heat and ageing.

mod ageing;
mod balance;
pub mod bpx;
mod expression;
mod function;
mod parameters;
pub mod sets;

pub use ageing::{ActiveMaterialLoss, AgeingParameters, LithiumPlating, SeiGrowth};
pub use balance::Balance;
pub use expression::Expression;
pub use function::{Arrhenius, Function};
pub use parameters::{Electrode, Electrolyte, OcpHysteresis, PhysicsParameters, Separator};
