//! Heating by the cells' own current: how much may flow to and fro, and what heat it makes.

use crate::math::bound;
use crate::predict::{Ahead, Hold, PulseModel, Start};
use crate::soc::Estimated;
use crate::sop::{Binding, Margin, Slack, largest, lesser, resolution};

/// Growth of the resistance per K below the coldest row of the tables: the Arrhenius law with 40 kJ/mol at -20 degC.
const COLDER_PER_K: f32 = 0.075;

/// A drive that sends current to and fro between the pack and something that stores it for a moment.
///
/// Square waves whose charge comes out even: `discharge_a` for a share `charge_a / (discharge_a + charge_a)` of the
/// period, `charge_a` for the rest. What the pack itself feeds to the pulses comes from a little more time of discharge, at
/// the same amplitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pulses {
    /// Largest amplitude at the pack's terminals in A.
    pub current_a: f32,
    /// Frequency in Hz. The tables' resistances are those of half a second and more: well above 10 Hz the double layers
    /// carry part of the current and the heat stays below the predicted one.
    pub frequency_hz: f32,
    /// Largest ratio of the two amplitudes, 1 and more. Cold cells have more room below than above their open-circuit
    /// voltage, and an even wave would waste it.
    pub largest_ratio: f32,
    /// Losses outside the cells over the mean power that goes to and fro.
    pub drive_loss: f32,
}

impl Pulses {
    /// Longest half wave in s.
    fn half_wave_s(&self) -> f32 {
        self.largest_ratio / ((1.0 + self.largest_ratio) * self.frequency_hz)
    }
}

/// What a pulse must not exceed in any cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PulseBounds {
    /// Lowest and highest cell voltage in V.
    pub voltage_v: [f32; 2],
    /// No half wave of discharge below the first SOC, none of charge above the second (fractions).
    pub soc: [f32; 2],
    /// What the prediction may be wrong by.
    pub margin: Margin,
}

/// Largest amplitudes of a pulse in one cell, and what binds them.
///
/// At the end of a half wave from rest the cell with the least room has to stay inside its limits:
///
/// ```text
/// v_low - k (R0 i + Rct i_ct asinh(i / i_ct)) - v1(t) - v2(t) >= v_min     discharge, cell with the least voltage
/// v_high + ... <= v_max,  φ_negative >= margin                             charge, cell with the most
/// ```
///
/// with the worst state, resistances and temperature that [`Margin`] allows for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PulseLimit {
    /// Discharge current in A per cell.
    pub discharge_a: f32,
    /// What binds it.
    pub discharge_by: Binding,
    /// Charge current in A per cell (a magnitude).
    pub charge_a: f32,
    /// What binds it.
    pub charge_by: Binding,
}

/// Tables and states of the cells that bind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) model: PulseModel<'a>,
    /// The negative electrode as a cell of `2 V - φ`.
    pub(super) negative: Option<PulseModel<'a>>,
    pub(super) lowest: Start,
    pub(super) highest: Start,
}

/// The cells at one temperature, with the currents that they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) limit: PulseLimit,
    cells: [Ahead<'a>; 2],
    /// Open-circuit voltage of the lowest cell in V.
    pub(super) open_v: f32,
}

impl<'a> Node<'a> {
    /// `None` when a state is no state of a cell.
    pub(super) fn new(
        cells: &Cells<'a>,
        bounds: &PulseBounds,
        drive: Option<(Pulses, f32)>,
        temperature_c: f32,
    ) -> Option<Self> {
        let here = |start: &Start| {
            let mut start = *start;
            start.at.temperature_c = temperature_c;
            start
        };
        let (lowest, highest) = (here(&cells.lowest), here(&cells.highest));
        let ahead = [Ahead::new(&cells.model, &lowest, None)?, Ahead::new(&cells.model, &highest, None)?];
        let limit = match drive {
            Some((drive, most_a)) => {
                limit(cells, (&lowest, &highest), bounds, drive.half_wave_s(), most_a).unwrap_or_default()
            }
            None => PulseLimit::default(),
        };
        let open_v = bound(ahead[0].voltage_v(0.0), 0.5, 10.0);
        Some(Self { limit, cells: ahead, open_v })
    }

    /// Amplitudes (discharge, charge) in A per cell at a share of what is allowed, beside a load of `load_a` per cell.
    pub(super) fn amplitudes(&self, drive: &Pulses, load_a: f32, share: f32) -> (f32, f32) {
        let discharge_a = bound(self.limit.discharge_a - load_a, 0.0, 1e6);
        let charge_a = bound(self.limit.charge_a, 0.0, drive.largest_ratio * discharge_a);
        let discharge_a = bound(discharge_a, 0.0, drive.largest_ratio * charge_a);
        (share * discharge_a, share * charge_a)
    }

    /// Heat in W per cell (mean of the two cells), and mean power in W per cell that goes to and fro.
    pub(super) fn heat_w(&self, discharge_a: f32, charge_a: f32) -> (f32, f32) {
        if !(discharge_a > 1e-6 && charge_a > 1e-6) {
            return (0.0, 0.0);
        }
        // Half of the mean magnitude of the current.
        let half_a = discharge_a * charge_a / (discharge_a + charge_a);
        let drop_v = |cell: &Ahead<'_>| cell.voltage_v(-charge_a) - cell.voltage_v(discharge_a);
        let [low, high] = &self.cells;
        let heat_w = 0.5 * half_a * (drop_v(low) + drop_v(high));
        (bound(heat_w, 0.0, 1e6), 2.0 * half_a * self.open_v)
    }
}

/// The state at its worse end for a load of this sign, with resistances that many times as large.
fn worst(start: &Start, margin: &Margin, sign: f32, colder: f32) -> Start {
    let mut worst = margin.worst(start, sign);
    // The last scale is a resistance that came on top, not one of the tables.
    for scale in worst.scales.iter_mut().take(3) {
        scale.value *= colder;
    }
    worst
}

fn limit(
    cells: &Cells<'_>,
    (lowest, highest): (&Start, &Start),
    bounds: &PulseBounds,
    half_wave_s: f32,
    most_a: f32,
) -> Option<PulseLimit> {
    let margin = &bounds.margin;
    let outside_k = cells.model.cell.outside_by_k(lowest.at.temperature_c - margin.temperature_k);
    let cold = lowest.at.temperature_c < 0.0;
    let colder = if cold { libm::expf(COLDER_PER_K * bound(outside_k, 0.0, 60.0)) } else { 1.0 };
    let low = worst(lowest, margin, 1.0, colder);
    let high = worst(highest, margin, -1.0, colder);
    let surface = 1.0 + margin.surface_share;
    let weakest = Ahead::new(&cells.model, &low, None)?.with_surface(surface);
    let fullest = Ahead::new(&cells.model, &high, None)?.with_surface(surface);
    let electrode = match &cells.negative {
        Some(model) => {
            let mut own = high;
            own.at.error_v = Estimated::default();
            (own.at.v1, own.at.v2, own.at.hysteresis) = (0.0, 0.0, 0.0);
            // What the cell's resistance has grown by is mostly film, which lithium does not see.
            let as_new = |value| Estimated { value: value * (1.0 + margin.drop_share) * colder, std: 0.0 };
            own.scales = [1.0, 1.0, 1.0, 0.0].map(as_new);
            let ahead = Ahead::new(model, &own, None)?.with_surface(surface);
            Some((ahead, model.cell.tables().v_max - margin.plating_v))
        }
        None => None,
    };
    // The voltage at the end of a half wave; no number where there is none.
    let end_v = |cell: &Ahead<'_>, current_a: f32| {
        let mut cell = *cell;
        cell.advance(Hold::Current(current_a), current_a, half_wave_s)
            .map_or(f32::NAN, |_| cell.voltage_v(current_a))
    };
    let [v_min, v_max] = bounds.voltage_v;
    let [soc_min, soc_max] = bounds.soc;
    let search = |slack: &dyn Fn(f32) -> Slack| largest(most_a, Binding::Current, resolution(most_a), slack);
    // Written so that a NaN meets its limit.
    let (discharge_a, discharge_by) = if weakest.soc >= soc_min {
        search(&|i| Slack { left: end_v(&weakest, i) - v_min, by: Binding::Voltage })
    } else {
        (0.0, Binding::Soc)
    };
    let (charge_a, charge_by) = if fullest.soc <= soc_max {
        search(&|i| {
            let left = v_max - end_v(&fullest, -i);
            let plating = electrode.as_ref().map_or(f32::INFINITY, |(e, e_max)| e_max - end_v(e, -i));
            let plates = plating.is_nan() || plating < left;
            let by = if left >= 0.0 && plates { Binding::Plating } else { Binding::Voltage };
            Slack { left: lesser(left, plating), by }
        })
    } else {
        (0.0, Binding::Soc)
    };
    Some(PulseLimit { discharge_a, discharge_by, charge_a, charge_by })
}
