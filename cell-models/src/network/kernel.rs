//! The loops over nodes, and what a cell does in a substep.

use pulp::{Simd, WithSimd};

use super::{Actuation, CellNode, MAX_SUBSTEP_S, ThermalNetwork};

/// Core and surface that level out with a shorter time constant in s are one node in effect.
const TIED_S: f64 = 0.1;

/// What a substep does to the two nodes of each cell: rise in K per W into core or surface.
#[derive(Debug, Clone, Default)]
pub(super) struct CellResponse {
    /// Core per W into the core.
    pub(super) core: Vec<f64>,
    /// Either per W into the other.
    pub(super) cross: Vec<f64>,
    /// Surface per W into the surface.
    pub(super) surface: Vec<f64>,
}

/// All substeps of a step, to be dispatched to the best instruction set of this machine. Gives the sum of the cells' heat
/// in W, and that of the powers in W lost to the surroundings in all substeps.
pub(super) struct Substeps<'a> {
    pub(super) network: &'a mut ThermalNetwork,
    pub(super) heat_w: &'a [f64],
    pub(super) actuation: &'a Actuation<'a>,
    pub(super) ambient_c: f64,
    pub(super) substeps: u64,
}

impl WithSimd for Substeps<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> [f64; 2] {
        let mut out_w = 0.0;
        for _ in 0..self.substeps {
            out_w += self.network.substep(self.heat_w, self.actuation, self.ambient_c);
        }
        [sum(self.heat_w), out_w]
    }
}

/// Are all values within the limits? To be dispatched to the best instruction set, without a branch per value.
pub(super) struct Within<'a> {
    pub(super) values: &'a [f64],
    pub(super) low: f64,
    pub(super) high: f64,
}

impl WithSimd for Within<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> bool {
        self.values.iter().fold(true, |ok, &v| ok & (v >= self.low) & (v <= self.high))
    }
}

/// Coolant that keeps a share of its temperature and takes another from the plate.
#[inline]
pub(super) fn hold_and_take(coolant: &mut [f64], plate: &[f64], keep: f64, take: f64) {
    coolant.iter_mut().zip(plate).for_each(|(w, p)| *w = keep * *w + take * p);
}

/// Adds what comes from the inlet; the coolant is then as it is at the end of the substep, and heats the plate.
#[inline]
pub(super) fn add_inlet(
    coolant: &mut [f64],
    rise: &[f64],
    inlet_c: f64,
    plate: &[f64],
    plate_gain_w: &mut [f64],
    w_per_k: f64,
) {
    for (((w, rise), p), gain) in coolant.iter_mut().zip(rise).zip(plate).zip(plate_gain_w) {
        *w += rise * inlet_c;
        *gain += w_per_k * (*w - p);
    }
}

/// The cells' substep, from the heat in their cores and what their surfaces gain from elsewhere, in W.
// Not `inline(always)`: the optimiser then still knows that the slices do not overlap, and runs it in vectors.
#[inline]
pub(super) fn update_cells(
    core: &mut [f64],
    surface: &mut [f64],
    heat_w: &[f64],
    gain_w: &[f64],
    link_w_per_k: &[f64],
    response: &CellResponse,
) {
    let temperatures = core.iter_mut().zip(surface);
    let sources = heat_w.iter().zip(gain_w).zip(link_w_per_k);
    let responses = response.core.iter().zip(&response.cross).zip(&response.surface);
    for (((c, s), ((heat, gain), link)), ((own, cross), shell)) in temperatures.zip(sources).zip(responses) {
        let inner = link * (*c - *s);
        let (to_core, to_surface) = (heat - inner, gain + inner);
        *c += own * to_core + cross * to_surface;
        *s += cross * to_core + shell * to_surface;
    }
}

/// The sum, in eight partial sums, so that it runs in vectors.
#[inline(always)]
pub(super) fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (blocks, rest) = values.as_chunks::<8>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, v)| *lane += v);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest.iter().sum::<f64>()
}

/// Rise in K of a cell's nodes after `dt_s` per W that flowed into them at its start, core and surface exchanging heat:
/// core by core, either by the other, surface by surface.
///
/// The two nodes together warm by `dt / (C_c + C_s)` per W; their difference decays with
/// `l = K (1/C_c + 1/C_s)`, of which `(1 - exp(-l dt)) / l` is left of a constant drive.
pub(super) fn pair_response(cell: &CellNode, dt_s: f64) -> [f64; 3] {
    let (c, s) = (cell.core_j_per_k, cell.surface_j_per_k);
    let rate = cell.core_surface_w_per_k * (1.0 / c + 1.0 / s);
    let drive_s = -(-rate * dt_s).exp_m1() / rate;
    let whole = c + s;
    [(dt_s + drive_s * s / c) / whole, (dt_s - drive_s) / whole, (dt_s + drive_s * c / s) / whole]
}

/// Shares out the heat capacity evenly where core and surface level out faster than anyone looks.
pub(super) fn join_if_tied(cell: &mut CellNode) {
    let (c, s) = (cell.core_j_per_k, cell.surface_j_per_k);
    if cell.core_surface_w_per_k * (1.0 / c + 1.0 / s) * TIED_S > 1.0 {
        (cell.core_j_per_k, cell.surface_j_per_k) = (0.5 * (c + s), 0.5 * (c + s));
    }
}

/// Longest substep in s in which conductances of `w_per_k` on a cell's surface keep half of its excess temperature.
///
/// After a substep the surface's own temperature has the weight `1 - (M_ss - M_cs) K - M_ss G` (M: [`pair_response`]);
/// the last term may be half of what the first two leave.
pub(super) fn longest_substep_s(cell: &CellNode, w_per_k: f64) -> f64 {
    let fits = |dt_s: f64| {
        let [_, cross, surface] = pair_response(cell, dt_s);
        1.0 - (surface - cross) * cell.core_surface_w_per_k >= 2.0 * surface * w_per_k
    };
    if fits(MAX_SUBSTEP_S) {
        return MAX_SUBSTEP_S;
    }
    let (mut low, mut high) = (0.0, MAX_SUBSTEP_S);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
