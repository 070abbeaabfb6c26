//! Which drives the estimator's constants were tuned on, and which were kept for the verdict.
//!
//! Identification never sees a drive. The constants in `bms_core::tuning` were searched for (`examples/tune.rs`) on the
//! drives named here and on no others; every figure is published for the rest on its own.

/// Whether a drive was used to tune: set as in `Case::dataset`, file as in `Case::file`.
#[must_use]
pub fn tuned_on(dataset: &str, file: &str) -> bool {
    let any = |names: &[&str]| names.iter().any(|n| file.contains(n));
    if dataset.ends_with("lg_18650hg2") {
        any(&["US06", "Mixed1", "Mixed2"])
    } else if dataset.ends_with("panasonic_ncr18650pf") {
        any(&["Cycle_1"])
    } else if dataset.ends_with("plett_esc") {
        any(&["05C_dyn", "45C_dyn"])
    } else if dataset.ends_with("soh090_mixed") {
        true
    } else if dataset.contains("nmc_m50/soh100") || dataset.contains("lfp_bpx/soh100") {
        any(&["US06", "CLTC", "p25C_DAY"])
    } else if dataset.starts_with("plant/") {
        any(&["US06"]) && any(&["m10C", "p25C"])
    } else {
        false
    }
}
