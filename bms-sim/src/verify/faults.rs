//! Target 9 of the acceptance protocol: every fault answered in its fault-tolerant time, no false trip in normal driving.

use serde::{Deserialize, Serialize};

use super::health::Figure;
use super::{Options, Progress};
use crate::closed_loop::ClosedLoopError;
use crate::faults::{self, Campaign, Effort};
use crate::report::faults::campaign_table;
use crate::results::TargetOutcome;

/// What the campaign came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultScore {
    /// Cases in which a danger came up.
    pub cases: usize,
    /// Kinds of faults.
    pub kinds: usize,
    /// Cases that were not answered in time.
    pub missed: usize,
    /// Hours of normal driving.
    pub driven_h: f64,
    /// Diagnoses without a reason.
    pub false_trips: usize,
    /// Least share of the allowed time that was left, in percent.
    pub least_margin_percent: f64,
    /// The table, as it is printed.
    pub table: String,
}

impl FaultScore {
    /// Of a campaign.
    #[must_use]
    pub fn of(campaign: &Campaign) -> Self {
        Self {
            cases: campaign.dangerous(),
            kinds: campaign.rows().len(),
            missed: campaign.missed().count(),
            driven_h: campaign.driven_h(),
            false_trips: campaign.false_trips(),
            least_margin_percent: campaign.least_margin_percent(),
            table: campaign_table(campaign),
        }
    }

    /// The figures that must not grow.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |what: &str, value: usize| Figure {
            name: format!("faults: {what}"),
            value: value as f64,
            unit: "",
            plants: true,
        };
        vec![figure("missed", self.missed), figure("false trips", self.false_trips)]
    }

    /// Target 9.
    #[must_use]
    pub fn outcomes(&self) -> [TargetOutcome; 2] {
        let count = |name: &str, measured: usize, detail: String| TargetOutcome {
            number: 9,
            name: name.into(),
            measured: measured as f64,
            limit: 0.0,
            unit: "cases".into(),
            met: measured == 0,
            detail,
        };
        let missed = format!(
            "{} cases of {} kinds of faults; least share of the time that was left {:.0} %",
            self.cases, self.kinds, self.least_margin_percent
        );
        let trips = format!("{:.0} h of normal driving (1000 h with `bms faults --full`)", self.driven_h);
        [
            count(
                "faults not found and answered within their fault-tolerant time, limit sensors",
                self.missed,
                missed,
            ),
            count("false trips, limit sensors", self.false_trips, trips),
        ]
    }
}

/// Runs what belongs to the verification.
///
/// # Errors
/// When a pack or the core's settings cannot be used.
pub fn run(options: &Options, progress: &dyn Progress) -> Result<FaultScore, ClosedLoopError> {
    let effort = if options.full { Effort::DEFAULT } else { Effort::BRIEF };
    let effort = Effort { seed: options.seed, ..effort };
    Ok(FaultScore::of(&faults::run(&effort, "", progress)?))
}
