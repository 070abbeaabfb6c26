//! The weighted whole: one figure per estimator over all cases.
//!
//! Every condition group that is present ([`crate::report::Condition`]: right start, start ±10, …) has the same weight,
//! and within a group every run has the same weight, however long it is:
//!
//! ```text
//! weighted RMSE = sqrt( mean over groups ( mean over the runs of the group ( RMSE² ) ) )
//! ```
//!
//! The same again for the cases of each ambient temperature, rounded to the nearest of the acceptance protocol. Recorded
//! data sets and the plants are weighted apart: neither can hide in the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::condition;
use crate::results::{Case, Score};

/// Ambient temperatures of the acceptance protocol in degC.
pub const TEMPERATURES_C: [f64; 6] = [-20.0, -10.0, 0.0, 10.0, 25.0, 45.0];

/// Weighted figures of the three estimators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    /// The project's own plants rather than the data sets.
    #[serde(default)]
    pub plants: bool,
    /// Rounded ambient temperature in degC; none for the whole.
    pub temperature_c: Option<f64>,
    /// Only the drives that the estimator's constants were not tuned on.
    #[serde(default)]
    pub held_out: bool,
    /// Number of cases.
    pub cases: usize,
    /// Weighted RMSE of `bms-core` in points.
    pub bms_rmse_points: f64,
    /// Weighted RMSE of the coulomb counter in points.
    pub coulomb_counter_rmse_points: f64,
    /// Weighted RMSE of the textbook filter in points.
    pub textbook_ekf_rmse_points: f64,
    /// Largest maximum error of `bms-core` in points.
    pub worst_points: f64,
}

impl Weighted {
    /// What the figures are over.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.temperature_c, self.plants) {
            (Some(t), false) => format!("{t} degC"),
            (Some(t), true) => format!("plants at {t} degC"),
            (None, true) if self.held_out => "plants, held out".into(),
            (None, true) => "plants".into(),
            (None, false) if self.held_out => "held out".into(),
            (None, false) => "whole".into(),
        }
    }
}

/// Of the data sets the whole, what was held out from tuning (if it is not everything), then each temperature from cold
/// to warm; of the plants the same.
#[must_use]
pub fn all(cases: &[Case]) -> Vec<Weighted> {
    let mut out = Vec::new();
    for plants in [false, true] {
        let cases: Vec<&Case> = cases.iter().filter(|c| c.plant == plants).collect();
        let mut add = |temperature_c, held_out, cases: &[&Case]| {
            out.extend(weighted(temperature_c, cases).map(|w| Weighted { plants, held_out, ..w }));
        };
        add(None, false, &cases);
        let held_out: Vec<&Case> = cases.iter().copied().filter(|c| !c.tuned_on).collect();
        if held_out.len() < cases.len() {
            add(None, true, &held_out);
        }
        for t in TEMPERATURES_C {
            let near = |c: &&Case| rounded_temperature(c.temperature_c) == t;
            add(Some(t), false, &cases.iter().copied().filter(near).collect::<Vec<_>>());
        }
    }
    out
}

/// The nearest temperature of the acceptance protocol; the colder one of two equally near.
#[must_use]
pub fn rounded_temperature(temperature_c: f64) -> f64 {
    let distance = |t: f64| (t - temperature_c).abs();
    TEMPERATURES_C.into_iter().fold(TEMPERATURES_C[0], |a, b| if distance(b) < distance(a) { b } else { a })
}

fn weighted(temperature_c: Option<f64>, cases: &[&Case]) -> Option<Weighted> {
    if cases.is_empty() {
        return None;
    }
    let rmse = |score: fn(&Case) -> &Score| {
        let mut groups = BTreeMap::<_, (f64, f64)>::new();
        for case in cases {
            let group = groups.entry(condition(case)).or_default();
            group.0 += score(case).rmse_points.powi(2);
            group.1 += 1.0;
        }
        let mean = groups.values().map(|(sum, n)| sum / n).sum::<f64>() / groups.len() as f64;
        mean.sqrt()
    };
    Some(Weighted {
        plants: false,
        temperature_c,
        held_out: false,
        cases: cases.len(),
        bms_rmse_points: rmse(|c| &c.bms),
        coulomb_counter_rmse_points: rmse(|c| &c.coulomb_counter),
        textbook_ekf_rmse_points: rmse(|c| &c.textbook_ekf),
        worst_points: cases.iter().map(|c| c.bms.max_points).fold(0.0, f64::max),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cell_file::Chemistry;

    pub(crate) fn case(temperature_c: f64, start_error_points: f64, rmse_points: f64) -> Case {
        let score = |f: f64| Score {
            rmse_points: rmse_points * f,
            max_points: 2.0 * rmse_points * f,
            scored_h: 1.0,
            ..Score::default()
        };
        Case {
            dataset: "set".into(),
            chemistry: Chemistry::Nmc,
            measured: false,
            plant: false,
            tuned_on: false,
            age: String::new(),
            temperature_c,
            profile: "US06".into(),
            file: "a.csv".into(),
            start_error_points,
            sensors: "ideal".into(),
            current_offset_a: 0.0,
            capacity_ah: 3.0,
            capacity_known: true,
            draw: 0,
            remembered: true,
            bms: score(1.0),
            coulomb_counter: score(2.0),
            textbook_ekf: score(3.0),
            trace: None,
            trace_file: None,
        }
    }

    #[test]
    fn groups_weigh_the_same_whatever_their_size() {
        let cases =
            [case(25.0, 0.0, 1.0), case(25.0, 0.0, 1.0), case(25.0, 0.0, 1.0), case(-15.0, 30.0, 7.0)];
        let all = all(&cases);
        assert_eq!(all.iter().map(|w| w.temperature_c).collect::<Vec<_>>(), [None, Some(-20.0), Some(25.0)]);
        assert!((all[0].bms_rmse_points - 5.0).abs() < 1e-12);
        assert!((all[0].textbook_ekf_rmse_points - 15.0).abs() < 1e-12);
        assert_eq!((all[0].cases, all[0].worst_points), (4, 14.0));
        let mut plant = case(25.0, 0.0, 2.0);
        plant.plant = true;
        let both = super::all(&[&cases[..], &[plant]].concat());
        assert_eq!(both[..3], all);
        assert_eq!(
            both[3..].iter().map(Weighted::label).collect::<Vec<_>>(),
            ["plants", "plants at 25 degC"]
        );
        assert_eq!((rounded_temperature(40.0), rounded_temperature(5.0)), (45.0, 0.0));
    }
}
