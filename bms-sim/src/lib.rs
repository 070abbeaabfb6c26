//! From lab data to a scored state of charge.

pub mod baselines;
pub mod cell_file;
pub mod closed_loop;
pub mod data;
pub mod design;
pub mod faults;
pub mod firmware;
pub mod identify;
pub mod known;
pub mod lives;
pub mod metrics;
pub mod model;
pub mod pack_file;
pub mod packs;
pub mod plants;
pub mod profiles;
pub mod recording;
pub mod reference;
pub mod replay;
pub mod report;
pub mod results;
pub mod scenario;
pub mod sensors;
pub mod sop;
pub mod vehicle;
pub mod verify;
