//! Reading measured runs and data-set folders.
