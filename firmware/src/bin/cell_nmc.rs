//! See [`firmware::app`].
#![cfg_attr(target_os = "none", no_std, no_main)]

firmware::program!(firmware::unit::cell::Cell<firmware::unit::cell::Nmc>);
