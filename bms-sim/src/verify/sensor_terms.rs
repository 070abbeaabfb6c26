//! What each term of the sensors' errors costs: the same drives and draws with one term alone, and with one term removed.
//!
//! One drive of every data set and temperature, known capacity, a right start that was remembered (a start told as a guess
//! is corrected by the voltage, which on the plateau of LFP costs more than any sensor). Beside that the largest offset of the limit
//! corner, ±0.1 C, both ways: as it is, and where the contactors are never known to be open, so that the sensor's zero cannot
//! be found while no current flows. Left uncorrected, an offset of `o` A moves a counter by `o t / Q` in a time `t`.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::causes::REMEMBERED_STD;
use super::{Progress, VerifyError, again, matrix};
use crate::cell_file::{CellFile, Chemistry};
use crate::plants::SPREAD;
use crate::replay::{ReplayOptions, replay_measured};
use crate::results::{OffsetTrial, Score, SensorTerms, TARGET_POINTS, TermScore};
use crate::sensors::{SensorCorner, SensorModel, SensorTerm, measure_with};
use crate::verify::sets::Drive;

/// Name of sensors without errors.
pub const NONE: &str = "none";
/// Name of the sensors of a corner with every stated term.
pub const ALL: &str = "all";

/// Ambient temperature of the drives that the offset is tried on, in degC.
const OFFSET_AT_C: f64 = 25.0;

/// A corner, a family of chemistries, the sensors.
type Key = (&'static str, &'static str, String);

/// What one drive gives.
type Outcome = (Vec<(Key, Score)>, Option<OffsetTrial>);

/// Runs the experiment.
///
/// # Errors
/// If a drive cannot be read or made again.
pub fn run(
    drives: &[(Drive, &CellFile)],
    seed: u64,
    progress: &dyn Progress,
) -> Result<SensorTerms, VerifyError> {
    let sample = sample(drives);
    progress.stage("sensor terms", sample.len());
    let outcomes: Vec<Outcome> = sample
        .par_iter()
        .map(|drive| {
            let outcome = over_terms(drive, seed)?;
            progress.advance(1);
            Ok(outcome)
        })
        .collect::<Result<_, VerifyError>>()?;
    let mut scores: BTreeMap<Key, Vec<Score>> = BTreeMap::new();
    let mut offsets = Vec::new();
    for (terms, offset) in outcomes {
        for (key, score) in terms {
            scores.entry(key).or_default().push(score);
        }
        offsets.extend(offset);
    }
    let scores: Vec<TermScore> = scores.into_iter().map(|(key, scores)| summary(key, &scores)).collect();
    let verdicts = verdicts(&scores);
    Ok(SensorTerms { scores, offsets, verdicts })
}

/// Profiles that take days: they would cost more time than all others together.
const LONG: [&str; 2] = ["DAY", "WEEK"];

/// One drive of every data set and temperature, another profile at each.
fn sample<'a>(drives: &'a [(Drive, &'a CellFile)]) -> Vec<&'a (Drive, &'a CellFile)> {
    let mut groups: BTreeMap<(&str, i64), Vec<&(Drive, &CellFile)>> = BTreeMap::new();
    let takes = |d: &Drive| {
        let long = d.file.profile.as_deref().is_some_and(|p| LONG.contains(&p));
        d.file.kind.as_deref() != Some(SPREAD) && !long
    };
    for pair in drives.iter().filter(|(d, _)| takes(d)) {
        let ambient_c = pair.0.file.ambient_c.unwrap_or(25.0).round() as i64;
        groups.entry((&pair.0.set.name, ambient_c)).or_default().push(pair);
    }
    groups.into_values().enumerate().filter_map(|(k, of)| of.get(k % of.len()).copied()).collect()
}

fn family(chemistry: Chemistry) -> &'static str {
    if chemistry == Chemistry::Lfp { "LFP" } else { "NMC, NCA" }
}

fn only(term: SensorTerm) -> String {
    format!("only {}", term.name())
}

fn without(term: SensorTerm) -> String {
    format!("all but {}", term.name())
}

fn over_terms(drive: &(Drive, &CellFile), seed: u64) -> Result<Outcome, VerifyError> {
    let loaded = again::load(drive)?;
    let (set, file, cell) = (&drive.0.set.name, &drive.0.file.file, loaded.cell);
    let options = ReplayOptions {
        initial_soc: loaded.reference.first().copied(),
        initial_soc_std: Some(REMEMBERED_STD),
        capacity_ah: Some(loaded.capacity_ah),
        baselines: false,
        ..ReplayOptions::default()
    };
    let replayed = |model: &SensorModel, offset_a: f64, seed: u64, zero_known: bool| {
        let mut measured = measure_with(&loaded.run, model, offset_a, seed);
        if !zero_known {
            measured.contactors_open = None;
        }
        let replayed = replay_measured(cell, measured, &options)?;
        Ok::<_, VerifyError>(again::score(&loaded, &replayed, matrix::EXCLUDED_START_S))
    };
    let family = family(cell.cell.chemistry);
    let mut out = Vec::new();
    let ideal = replayed(&SensorModel::IDEAL, 0.0, 0, true)?;
    for corner in [SensorCorner::Good, SensorCorner::Limit] {
        let seed = matrix::seed(seed, set, file, corner, 0);
        let all = SensorModel::of(corner, loaded.capacity_ah);
        let complete = SensorModel::complete(corner, loaded.capacity_ah);
        let mut add = |name: String, score: Option<Score>| {
            out.extend(score.map(|score| ((corner.name(), family, name), score)));
        };
        add(NONE.into(), ideal);
        add(ALL.into(), replayed(&all, 0.0, seed, true)?);
        for term in SensorTerm::ALL {
            // The terms that the protocol does not state are only tried alone.
            let alone = complete.only(term);
            if alone != SensorModel::IDEAL {
                add(only(term), replayed(&alone, 0.0, seed, true)?);
            }
            if all.without(term) != all {
                add(without(term), replayed(&all.without(term), 0.0, seed, true)?);
            }
        }
    }
    let hours = loaded.run.duration_s() / 3600.0;
    let mut offset = None;
    if drive.0.file.ambient_c.unwrap_or(OFFSET_AT_C) == OFFSET_AT_C && drive.0.present_capacity_ah.is_none() {
        let limit = SensorModel::of(SensorCorner::Limit, loaded.capacity_ah);
        let largest = |zero_known: bool| -> Result<f64, VerifyError> {
            let mut largest = 0.0f64;
            for offset_a in [limit.current_offset_a, -limit.current_offset_a] {
                let score = replayed(&SensorModel::IDEAL, offset_a, 0, zero_known)?;
                largest = largest.max(score.map_or(0.0, |s| s.max_points));
            }
            Ok(largest)
        };
        let offset_c = limit.current_offset_a / loaded.capacity_ah;
        offset = Some(OffsetTrial {
            drive: format!("{set}/{file}"),
            chemistry: cell.cell.chemistry,
            offset_c,
            hours,
            bound_points: 100.0 * offset_c * hours,
            zero_known_points: largest(true)?,
            zero_unknown_points: largest(false)?,
        });
    }
    Ok((out, offset))
}

fn summary((corner, family, sensors): Key, scores: &[Score]) -> TermScore {
    TermScore {
        corner: corner.into(),
        family: family.into(),
        sensors,
        runs: scores.len(),
        missed: scores.iter().filter(|s| s.max_points > TARGET_POINTS).count(),
        max_points: scores.iter().map(|s| s.max_points).fold(0.0, f64::max),
        rmse_points: scores.iter().map(|s| s.rmse_points).sum::<f64>() / scores.len() as f64,
    }
}

/// Which term breaks each corner of each family, in words.
fn verdicts(scores: &[TermScore]) -> Vec<String> {
    let mut out = Vec::new();
    for all in scores.iter().filter(|s| s.sensors == ALL) {
        let of = |name: &str| {
            scores.iter().find(|s| s.corner == all.corner && s.family == all.family && s.sensors == name)
        };
        let head = format!(
            "{} corner, {}: {} of {} drives miss {TARGET_POINTS} points, worst {:.2} (ideal sensors: {} miss, worst {:.2})",
            all.corner,
            all.family,
            all.missed,
            all.runs,
            all.max_points,
            of(NONE).map_or(0, |s| s.missed),
            of(NONE).map_or(0.0, |s| s.max_points)
        );
        let ideal = of(NONE);
        let worse = ideal.is_none_or(|i| all.missed > i.missed || all.max_points > i.max_points);
        // The term whose removal leaves the smallest mean error.
        let best = SensorTerm::ALL
            .iter()
            .filter_map(|t| Some((t, of(&without(*t))?)))
            .min_by(|(_, a), (_, b)| a.rmse_points.total_cmp(&b.rmse_points));
        out.push(match best {
            Some((term, rest)) if all.missed == 0 => format!(
                "{head}. The {} costs most: the mean RMSE is {:.2} with it and {:.2} without.",
                term.name(),
                all.rmse_points,
                rest.rmse_points
            ),
            _ if all.missed == 0 => format!("{head}."),
            Some((term, rest)) if worse && rest.rmse_points < all.rmse_points => {
                let alone = of(&only(*term));
                format!(
                    "{head}. The {} breaks it: alone it makes {} miss (worst {:.2}), without it {} miss (worst {:.2}).",
                    term.name(),
                    alone.map_or(0, |s| s.missed),
                    alone.map_or(0.0, |s| s.max_points),
                    rest.missed,
                    rest.max_points
                )
            }
            _ => format!("{head}. It is not the sensors: ideal ones miss as much."),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sensors: &str, missed: usize, max_points: f64) -> TermScore {
        TermScore {
            corner: "limit".into(),
            family: "LFP".into(),
            sensors: sensors.into(),
            runs: 10,
            missed,
            max_points,
            rmse_points: 0.4 * max_points,
        }
    }

    #[test]
    fn the_term_whose_removal_helps_most_breaks_the_corner() {
        let mut scores = vec![of(ALL, 8, 20.0), of(NONE, 8, 20.0), of("all but current offset", 2, 5.0)];
        assert!(verdicts(&scores)[0].ends_with("ideal ones miss as much."));
        scores[1] = of(NONE, 0, 1.0);
        scores.push(of("all but voltage offset", 7, 19.0));
        scores.push(of("only current offset", 6, 18.0));
        let verdict = verdicts(&scores).pop().unwrap();
        assert!(verdict.contains("The current offset breaks it: alone it makes 6 miss"), "{verdict}");
        assert!(verdict.contains("without it 2 miss (worst 5.00)"), "{verdict}");
        scores[0].missed = 0;
        assert!(
            verdicts(&scores)[0]
                .ends_with("The current offset costs most: the mean RMSE is 8.00 with it and 2.00 without.")
        );
    }
}
