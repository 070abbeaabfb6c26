//! Plant models of battery cells.
