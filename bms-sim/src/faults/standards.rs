//! Procedures of standards.
