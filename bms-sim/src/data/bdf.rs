//! The Battery Data Format: names of the columns, which of them a run uses, and the sign of the current.

use super::error::DataError;

/// Turns a current of the Battery Data Format (positive on charge) into the one used inside (positive on discharge).
///
/// Zero stays positive zero.
#[must_use]
pub fn discharge_positive_from_bdf(current_a: f64) -> f64 {
    0.0 - current_a
}

/// Turns a current as used inside (positive on discharge) into that of the Battery Data Format (positive on charge).
///
/// Zero stays positive zero.
#[must_use]
pub fn bdf_from_discharge_positive(current_a: f64) -> f64 {
    0.0 - current_a
}

/// What a column of a run measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Time,
    Voltage,
    Current,
    MeanCurrent,
    SurfaceTemperature,
    AmbientTemperature,
    NetCharge,
    Soc,
    StepIndex,
    CRate,
    Power,
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A measured run: time, voltage and current must be there.
    Run,
    /// A load to put on a cell: only the time must be there, and the caller looks for a load.
    Profile,
}

impl Purpose {
    /// The columns that are looked for.
    fn quantities(self) -> &'static [Quantity] {
        match self {
            Self::Run => &Quantity::OF_RUN,
            Self::Profile => &Quantity::OF_PROFILE,
        }
    }

    /// Whether no such file can do without a column.
    fn needs(self, quantity: Quantity) -> bool {
        match self {
            Self::Run => quantity.is_required(),
            Self::Profile => quantity == Quantity::Time,
        }
    }
}

impl Quantity {
    const OF_PROFILE: [Self; 4] = [Self::Time, Self::Current, Self::CRate, Self::Power];
    const OF_RUN: [Self; 9] = [
        Self::Time,
        Self::Voltage,
        Self::Current,
        Self::MeanCurrent,
        Self::SurfaceTemperature,
        Self::AmbientTemperature,
        Self::NetCharge,
        Self::Soc,
        Self::StepIndex,
    ];

    /// Names by which the column goes, the best first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Time => &["Test Time / s", "test_time_second"],
            Self::Voltage => &["Voltage / V", "voltage_volt"],
            Self::Current => &["Current / A", "current_ampere"],
            Self::MeanCurrent => &["mean_current_a"],
            Self::SurfaceTemperature => &[
                "Surface Temperature / degC",
                "surface_temperature_celsius",
                "Temperature T1 / degC",
                "temperature_t1_celsius",
            ],
            Self::AmbientTemperature => &["Ambient Temperature / degC", "ambient_temperature_celsius"],
            Self::NetCharge => &["Net Capacity / Ah", "net_capacity_ah"],
            Self::Soc => &["soc_true", "soc_src"],
            Self::StepIndex => &["Step Index / 1", "step_index", "Step Count / 1", "step_count"],
            Self::CRate => &["C-Rate / 1", "c_rate"],
            Self::Power => &["Power / W", "power_watt"],
        }
    }

    /// Whether no run can do without it.
    pub(super) fn is_required(self) -> bool {
        matches!(self, Self::Time | Self::Voltage | Self::Current)
    }

    /// The preferred name.
    pub(super) fn preferred(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }

    /// Whether a header with another name probably means this quantity.
    fn is_near(self, header: &str) -> bool {
        let quantity = header.split(['/', '[', '(']).next().unwrap_or_default();
        let quantity = quantity.trim().to_lowercase();
        let (parts, whole): (&[&str], &[&str]) = match self {
            Self::Time => (&["time"], &["t", "seconds", "sec"]),
            Self::Voltage => (&["volt", "spannung"], &["v", "u", "ecell"]),
            Self::Current => (&["current", "amp", "strom"], &["i", "a"]),
            _ => (&[], &[]),
        };
        parts.iter().any(|p| quantity.contains(p)) || whole.contains(&quantity.as_str())
    }
}

/// A column that a run uses: what it measures and its position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) quantity: Quantity,
    pub(super) position: usize,
}

/// Finds the columns for a purpose among the headers of a file.
pub(super) fn choose(headers: &[String], file: &str, purpose: Purpose) -> Result<Vec<Choice>, DataError> {
    let mut choices = Vec::new();
    for &quantity in purpose.quantities() {
        let found = quantity.names().iter().find_map(|name| {
            let mut at = headers.iter().enumerate().filter(|(_, h)| h.as_str() == *name);
            at.next().map(|(position, _)| (name, position, at.next().is_some()))
        });
        match found {
            Some((name, _, true)) => {
                return Err(DataError::DuplicateColumn { column: (*name).to_owned(), file: file.to_owned() });
            }
            Some((_, position, false)) => choices.push(Choice { quantity, position }),
            None if purpose.needs(quantity) => {
                return Err(missing(quantity, headers, file));
            }
            None => {}
        }
    }
    Ok(choices)
}

/// The error of a file without a column.
pub(super) fn missing(quantity: Quantity, headers: &[String], file: &str) -> DataError {
    DataError::MissingColumn {
        column: quantity.preferred().to_owned(),
        file: file.to_owned(),
        found: listed(headers),
        hint: hint(quantity, headers),
    }
}

/// Headers for a message, shortened where they are many or long.
fn listed(headers: &[String]) -> String {
    const MOST: usize = 24;
    if headers.iter().all(|h| h.is_empty()) {
        return "none".to_owned();
    }
    let mut names: Vec<String> = headers.iter().take(MOST).map(|h| format!("`{}`", shortened(h))).collect();
    if headers.len() > MOST {
        names.push(format!("and {} more", headers.len() - MOST));
    }
    names.join(", ")
}

/// A text from a file, cut to a length fit for a message, without control characters.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// What the user perhaps meant by another name.
fn hint(quantity: Quantity, headers: &[String]) -> String {
    if let [only] = headers {
        for (separator, name) in [(';', "semicolons"), ('\t', "tabs")] {
            if only.contains(separator) {
                return format!("; the header seems to be separated by {name}, where commas are expected");
            }
        }
    }
    let near: Vec<String> = headers
        .iter()
        .filter(|h| quantity.is_near(h))
        .take(4)
        .map(|h| format!("`{}`", shortened(h)))
        .collect();
    if near.is_empty() {
        return String::new();
    }
    let verb = if near.len() == 1 { "comes" } else { "come" };
    format!("; {} {verb} near: rename the column and convert its unit", near.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn message(names: &[&str]) -> String {
        choose(&headers(names), "hppc.csv", Purpose::Run).map_or_else(|e| e.to_string(), |_| String::new())
    }

    #[test]
    fn a_discharge_current_of_the_format_becomes_positive() {
        assert_eq!(discharge_positive_from_bdf(-2.5), 2.5);
        assert_eq!(bdf_from_discharge_positive(discharge_positive_from_bdf(-2.5)), -2.5);
        assert!(discharge_positive_from_bdf(0.0).is_sign_positive());
    }

    #[test]
    fn preferred_labels_win_over_machine_names() {
        let names =
            ["voltage_volt", "Voltage / V", "Test Time / s", "current_ampere", "Temperature T1 / degC"];
        let choices = choose(&headers(&names), "x.csv", Purpose::Run).expect("all there");
        let at = |q| choices.iter().find(|c| c.quantity == q).map(|c| c.position);
        assert_eq!(at(Quantity::Voltage), Some(1));
        assert_eq!(at(Quantity::Current), Some(3));
        assert_eq!(at(Quantity::SurfaceTemperature), Some(4));
        assert_eq!(at(Quantity::Soc), None);
    }

    #[test]
    fn a_missing_column_lists_what_is_there_and_what_comes_near() {
        assert_eq!(
            message(&["Test Time / s", "Voltage / mV", "Current / A"]),
            "column `Voltage / V` missing in hppc.csv (found: `Test Time / s`, `Voltage / mV`, `Current / A`); \
             `Voltage / mV` comes near: rename the column and convert its unit"
        );
        assert!(message(&["Test Time / s", "voltage", "Current / A"]).contains("`voltage` comes near"));
        assert!(message(&["Test Time / s", "x", "Current / A"]).ends_with("`Current / A`)"));
        assert!(message(&["Test Time / s;Voltage / V;Current / A"]).contains("semicolons"));
        assert!(message(&[""]).contains("(found: none)"));
    }

    #[test]
    fn the_same_column_twice_is_refused() {
        let text = message(&["Test Time / s", "Voltage / V", "Voltage / V", "Current / A"]);
        assert_eq!(text, "column `Voltage / V` appears more than once in hppc.csv");
    }
}
