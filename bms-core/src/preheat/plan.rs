//! Which means to use and how much of each: all mixes are run to the target, and the cheapest in time wins.

use super::pulses::Node;
use super::{ByMeans, Preheater, Refusal, Sane};
use crate::math::{bound, sqrt};

/// Stretches of temperature between the start and the target.
const STRETCHES: u8 = 12;
/// Levels of each means: 0, 1/3, 2/3, 1.
const LEVELS: u8 = 4;
const MIXES: usize = 64;
/// A mix counts as in time when it is predicted to need this share of the time, since predictions are this much off.
const IN_TIME: f32 = 0.85;
/// A mix is kept until it is predicted to need this share of the time …
const STILL_IN_TIME: f32 = 0.95;
/// … or the best one is better by more than this factor.
const KEEP: f32 = 1.1;
/// By what share the heat of a warmer cell is less per K: its resistance falls (Arrhenius law with 20 kJ/mol at -10 degC).
const EVENS_PER_K: f32 = 0.035;

/// What is going to be done, with what result.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Plan {
    /// Share of each means' largest power (of the pulses: amplitude), 0..=1.
    pub mix: ByMeans,
    /// Time to the target in s.
    pub time_s: f32,
    /// The time suffices.
    pub in_time: bool,
    /// How long the start could be put off in s; 0 when the time is short.
    pub spare_s: f32,
    /// Energy of each means in Wh.
    pub energy_wh: ByMeans,
    /// Part of it from the pack itself, as a share of its charge.
    pub soc_spent: f32,
    /// Mean heating rate of the coldest cell in K/min.
    pub rate_k_per_min: f32,
    /// Spread of the cores at the end in K, if the other means heat evenly.
    pub spread_k: f32,
}

/// Electrical powers of the whole pack in W, and the amplitudes of the pulses in A per cell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Powers {
    pub(super) electrical_w: ByMeans,
    pub(super) discharge_a: f32,
    pub(super) charge_a: f32,
    /// Heat that arrives in the cells and what warms along, and what of it the pulses make.
    pub(super) heat_w: f32,
    pub(super) pulse_heat_w: f32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    time_s: f32,
    energy_j: ByMeans,
    pack_j: f32,
    open_v: f32,
    spread_k: f32,
    stuck: bool,
}

/// The levels of mix `k`.
fn levels(k: u8) -> ByMeans {
    let level = |k: u8| f32::from(k % LEVELS) / f32::from(LEVELS - 1);
    ByMeans { coolant: level(k), film: level(k / LEVELS), pulse: level(k / LEVELS / LEVELS) }
}

impl Preheater<'_> {
    /// What these levels make of the supply there is; within all limits.
    pub(super) fn powers(&self, node: &Node<'_>, level: &ByMeans, sane: &Sane) -> Powers {
        let (means, cells) = (&self.settings.means, self.cells());
        let coolant_w = means.coolant.map_or(0.0, |c| level.coolant * c.power_w);
        let film_w = means.films.map_or(0.0, |f| level.film * f.power_w);
        let [v_min, _] = self.settings.bounds.voltage_v;
        // Heaters that the pack feeds load it beside the pulses.
        let lowest_v = if v_min > 0.1 { v_min } else { 0.1 };
        let fed_w = (coolant_w + film_w - sane.external_w).max(0.0).min(sane.pack_w);
        let load_a = fed_w / (cells * lowest_v);
        let pulses = |share: f32| {
            let Some(drive) = &means.pulses else { return (0.0, 0.0, 0.0, 0.0) };
            let (discharge_a, charge_a) = node.amplitudes(drive, load_a, share);
            let (heat_w, circulated_w) = node.heat_w(discharge_a, charge_a);
            (discharge_a, charge_a, cells * heat_w, cells * drive.drive_loss * circulated_w)
        };
        let allowed_w = sane.external_w + sane.pack_w;
        let mut share = 1.0;
        // The share that uses the supply up if heat goes with the square of the current, then one that surely keeps to it:
        // heat grows with the current or faster, so that what is cut by a share cuts the power by at least as much.
        for _ in 0..2 {
            let (.., heat_w, lost_w) = pulses(share * level.pulse);
            let linear_w = share * (coolant_w + film_w) + lost_w;
            let total_w = linear_w + heat_w;
            if total_w > allowed_w {
                let square = linear_w * linear_w + 4.0 * heat_w * allowed_w;
                let quadratic = 2.0 * allowed_w / (linear_w + sqrt(square));
                share *= if share < 1.0 { allowed_w / total_w } else { bound(quadratic, 0.0, 0.9999) };
            }
        }
        let (discharge_a, charge_a, pulse_heat_w, lost_w) = pulses(share * level.pulse);
        let pulse_w = pulse_heat_w + lost_w;
        let (coolant_w, film_w) = (share * coolant_w, share * film_w);
        let heat_w = means.coolant.map_or(0.0, |c| c.efficiency * coolant_w)
            + means.films.map_or(0.0, |f| f.efficiency * film_w)
            + pulse_heat_w;
        let electrical_w = ByMeans { coolant: coolant_w, film: film_w, pulse: pulse_w };
        Powers { electrical_w, discharge_a, charge_a, heat_w, pulse_heat_w }
    }

    /// Share of the pulses that the spread leaves: the fold-back's, or the one at which the pulses make as much of it as the
    /// cells even out, which the fold-back ends at.
    fn unfolded(&self, node: &Node<'_>, level: &ByMeans, sane: &Sane, spread_k: f32) -> f32 {
        let pack = &self.settings.pack;
        let fold = self.settings.fold(spread_k);
        let uneven = sane.resistance_spread - EVENS_PER_K * spread_k;
        if fold >= 1.0 || level.pulse <= 0.0 {
            return fold;
        }
        if uneven <= 0.0 {
            // The pulses make none, and what there is goes.
            return 1.0;
        }
        let cells_j_per_k = self.cells() * (pack.cell_j_per_k + pack.extra_j_per_k);
        let full_w = self.powers(node, level, sane).pulse_heat_w;
        let even_w = cells_j_per_k * spread_k / (pack.evening_s * uneven);
        // Heat goes with the square of the current.
        bound(sqrt(even_w / full_w.max(1e-3)), fold, 1.0)
    }

    /// Time and energy of every mix to the target.
    fn tallies(&self, sane: &Sane) -> [Tally; MIXES] {
        let s = &self.settings;
        let start = Tally { spread_k: sane.hottest_c - sane.coldest_c, ..Tally::default() };
        let mut tallies = [start; MIXES];
        let step_k = (sane.target_c - sane.coldest_c) / f32::from(STRETCHES);
        let cells_j_per_k = self.cells() * (s.pack.cell_j_per_k + s.pack.extra_j_per_k);
        for stretch in 0..STRETCHES {
            let temperature_c = sane.coldest_c + (f32::from(stretch) + 0.5) * step_k;
            let node = self.node(sane, temperature_c);
            let loss_w = s.pack.loss_w_per_k * (temperature_c - sane.ambient_c);
            for (k, tally) in (0u8..).zip(&mut tallies) {
                let Some(node) = &node else {
                    tally.stuck = true;
                    continue;
                };
                let mut level = levels(k);
                level.pulse *= self.unfolded(node, &level, sane, tally.spread_k);
                let powers = self.powers(node, &level, sane);
                let net_w = powers.heat_w - loss_w;
                let along = s.means.coolant.filter(|_| level.coolant > 0.0).map_or(0.0, |c| c.loop_j_per_k);
                let dt_s = (cells_j_per_k + along) * step_k / net_w;
                // Also false for NaN.
                if !(net_w > 0.0 && dt_s < 1e6) {
                    tally.stuck = true;
                    continue;
                }
                let total_w = powers.electrical_w.sum();
                tally.time_s += dt_s;
                tally.energy_j = tally.energy_j.add_times(&powers.electrical_w, dt_s);
                tally.pack_j += (total_w - sane.external_w).max(0.0) * dt_s;
                tally.open_v = node.open_v;
                // Warmer by their resistance and by what the pulses bring, less by what they are warmer already.
                let pulsed_k = powers.pulse_heat_w * dt_s / cells_j_per_k;
                let uneven = sane.resistance_spread - EVENS_PER_K * tally.spread_k;
                let spread_k = (tally.spread_k + uneven * pulsed_k) / (1.0 + dt_s / s.pack.evening_s);
                tally.spread_k = bound(spread_k, 0.0, 250.0);
            }
        }
        tallies
    }

    /// The best mix, or the one to keep if it is nearly as good.
    pub(super) fn choose(&self, sane: &Sane, keep: Option<u8>) -> Result<(u8, Plan), Refusal> {
        let s = &self.settings;
        if sane.hottest_c >= s.hottest_c {
            return Err(Refusal::Hot);
        }
        if sane.coldest_c >= sane.target_c {
            let plan = Plan { in_time: true, spare_s: sane.time_left_s, ..Plan::default() };
            return Ok((0, plan));
        }
        if sane.external_w + sane.pack_w <= 0.0 {
            return Err(if sane.soc <= s.reserve_soc { Refusal::Soc } else { Refusal::Supply });
        }
        let spent = |t: &Tally| {
            let pack_j = 3600.0 * self.cells() * t.open_v * sane.capacity_ah;
            if pack_j > 0.0 { t.pack_j / pack_j } else { 1.0 }
        };
        // The mix to keep has it a little easier.
        let in_time = |k: u8, t: &Tally| {
            let share = if keep == Some(k) { STILL_IN_TIME } else { IN_TIME };
            t.time_s <= share * sane.time_left_s
        };
        let cost = |k: u8, t: &Tally| {
            // The pack's own energy is range, and has to be charged again: it counts double.
            let cost = if in_time(k, t) { t.energy_j.sum() + t.pack_j } else { t.time_s };
            if keep == Some(k) { cost / KEEP } else { cost }
        };
        let mut best: Option<(u8, Tally)> = None;
        let mut arrives = false;
        for (k, t) in (0u8..).zip(&self.tallies(sane)) {
            if t.stuck {
                continue;
            }
            arrives = true;
            if t.pack_j > 0.0 && sane.soc - spent(t) < s.reserve_soc {
                continue;
            }
            let better = best.is_none_or(|(b, other)| match (in_time(k, t), in_time(b, &other)) {
                (true, false) => true,
                (false, true) => false,
                _ => cost(k, t) < cost(b, &other),
            });
            if better {
                best = Some((k, *t));
            }
        }
        let Some((k, t)) = best else {
            return Err(if arrives { Refusal::Soc } else { Refusal::Unreachable });
        };
        let plan = Plan {
            mix: levels(k),
            time_s: t.time_s,
            in_time: in_time(k, &t),
            spare_s: (IN_TIME * sane.time_left_s - t.time_s).max(0.0),
            energy_wh: ByMeans::default().add_times(&t.energy_j, 1.0 / 3600.0),
            soc_spent: spent(&t),
            rate_k_per_min: 60.0 * (sane.target_c - sane.coldest_c) / t.time_s.max(1e-3),
            spread_k: t.spread_k,
        };
        Ok((k, plan))
    }
}
