//! From lab data to a scored state of charge.

pub mod cell_file;
pub mod data;
pub mod report;
pub mod results;
