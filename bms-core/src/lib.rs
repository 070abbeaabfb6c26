//! Battery state estimation for controllers.
#![no_std]
#![forbid(unsafe_code)]
