//! From lab data to a scored state of charge.

pub mod data;
