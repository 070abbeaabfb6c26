//! The inner loop of a batch: plain loops over arrays of fixed length that the compiler turns into vector code, once
//! for each instruction set.

use pulp::{Simd, WithSimd};

use crate::ecm::{EcmParameters, KELVIN, MAX_RC_PAIRS, REFERENCE_TEMPERATURE_C};
use crate::table::Table1;
use crate::thermal::Propagator;

/// Cells in a block: whole vectors of any width, and few enough to stay in the first cache.
pub(super) const BLOCK: usize = 64;
/// Room for the values of a curve; a power of two, so that masking an index keeps it inside.
const POINTS: usize = 1024;
const MAX_SEGMENTS: usize = 1000;
/// Added to a number, leaves its nearest integer in the last bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// What belongs to each cell; the lengths are whole blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    pub(super) soc: Vec<f64>,
    rc: [Vec<f64>; MAX_RC_PAIRS],
    pub(super) hysteresis: Vec<f64>,
    pub(super) core: Vec<f64>,
    pub(super) surface: Vec<f64>,
    pub(super) voltage: Vec<f64>,
    /// Heat in W, mean over the last step.
    pub(super) heat: Vec<f64>,
    /// SOC per A s.
    pub(super) per_as: Vec<f64>,
    pub(super) resistance: Vec<f64>,
    ambient: Vec<f64>,
    /// The ambient temperature of all cells if it is the same: saves reading the above.
    one_ambient: Option<f64>,
    /// Whether the core temperatures come from outside: then the thermal nodes rest.
    pub(super) imposed: bool,
}

impl Lanes {
    pub(super) fn push(&mut self, per_as: f64, resistance: f64, soc: f64, temperature_c: f64) {
        if self.soc.is_empty() {
            self.one_ambient = Some(temperature_c);
        }
        self.one_ambient = self.one_ambient.filter(|&t| t == temperature_c);
        self.soc.push(soc);
        self.rc.iter_mut().for_each(|v| v.push(0.0));
        self.hysteresis.push(0.0);
        for temperature in [&mut self.core, &mut self.surface, &mut self.ambient] {
            temperature.push(temperature_c);
        }
        self.voltage.push(0.0);
        self.heat.push(0.0);
        self.per_as.push(per_as);
        self.resistance.push(resistance);
    }

    pub(super) fn blocks(&self) -> usize {
        self.soc.len() / BLOCK
    }

    pub(super) fn set_ambient(&mut self, ambient_c: &[f64]) {
        let Some(&last) = ambient_c.last() else { return };
        self.ambient.fill(last);
        self.ambient[..ambient_c.len()].copy_from_slice(ambient_c);
        self.one_ambient = ambient_c.iter().all(|&t| t == last).then_some(last);
    }
}

/// Tables over SOC on a common grid of equal distances, as straight lines `a + b x` over `x` counted in grid distances.
#[derive(Debug, Clone)]
pub(super) struct Curves {
    start: f64,
    per_soc: f64,
    segments: f64,
    ocv: [[f64; POINTS]; 2],
    entropic: [[f64; POINTS]; 2],
    hysteresis: [[f64; POINTS]; 2],
    /// Whether there is any hysteresis or entropic heat.
    full: bool,
}

impl Curves {
    pub(super) fn new(p: &EcmParameters) -> Self {
        let tables = [&p.ocv_v, &p.entropic_v_per_k, &p.hysteresis_v];
        let knots = || tables.iter().filter(|t| t.x.len() > 1).flat_map(|t| t.x.iter().copied());
        let (low, high) = (knots().fold(f64::MAX, f64::min), knots().fold(f64::MIN, f64::max));
        let (start, span) = if low < high { (low, high - low) } else { (0.0, 1.0) };
        let on_grid = |n: usize| {
            knots().all(|x| {
                let place = (x - start) / span * n as f64;
                (place - place.round()).abs() < 1e-9
            })
        };
        let segments = (1..=MAX_SEGMENTS).find(|&n| on_grid(n)).unwrap_or(MAX_SEGMENTS);
        let lines = |table: &Table1| {
            let at = |k: usize| table.at(start + span * (k as f64 / segments as f64));
            let mut lines = [[0.0; POINTS]; 2];
            let [starts, slopes] = &mut lines;
            for (k, (start, slope)) in starts.iter_mut().zip(slopes).enumerate().take(segments) {
                *slope = at(k + 1) - at(k);
                *start = at(k) - k as f64 * *slope;
            }
            // The last point belongs to the line before it or to this level one.
            lines[0][segments] = at(segments);
            lines
        };
        let none = |table: &Table1| table.y.iter().all(|&y| y == 0.0);
        Self {
            start,
            per_soc: segments as f64 / span,
            segments: segments as f64,
            ocv: lines(&p.ocv_v),
            entropic: lines(&p.entropic_v_per_k),
            hysteresis: lines(&p.hysteresis_v),
            full: !(none(&p.entropic_v_per_k) && none(&p.hysteresis_v) && p.hysteresis_gamma == 0.0),
        }
    }

    /// Place on the grid, and the number of the line there.
    #[inline(always)]
    fn locate(&self, soc: f64) -> (f64, usize) {
        let x = (soc - self.start) * self.per_soc;
        let x = if x > 0.0 { x } else { 0.0 };
        let x = if x < self.segments { x } else { self.segments };
        // At a grid point either neighbour may come out; both say the same there.
        (x, (x - 0.5 + MAGIC).to_bits() as usize & (POINTS - 1))
    }
}

#[inline(always)]
fn on([a, b]: &[[f64; POINTS]; 2], (x, k): (f64, usize)) -> f64 {
    a[k] + b[k] * x
}

/// Coefficients of one step length.
#[derive(Debug, Clone, Default)]
pub(super) struct Coefficients {
    pub(super) thermal: Propagator,
    /// For tables that say the same everywhere.
    pub(super) fixed: FixedCoefficients,
    /// For all others.
    pub(super) blocks: Vec<BlockCoefficients>,
}

impl Coefficients {
    pub(super) fn for_blocks(blocks: usize) -> Self {
        Self { blocks: vec![BlockCoefficients::default(); blocks], ..Self::default() }
    }
}

/// For a cell with the common resistances.
#[derive(Debug, Clone, Default)]
pub(super) struct FixedCoefficients {
    pub(super) r0: [f64; 2],
    /// Decay and gain in ohm.
    pub(super) rc: [[f64; 2]; MAX_RC_PAIRS],
}

/// With the resistances of each cell.
#[derive(Debug, Clone)]
pub(super) struct BlockCoefficients {
    pub(super) r0: [[f64; BLOCK]; 2],
    pub(super) rc: [[[f64; BLOCK]; 2]; MAX_RC_PAIRS],
    /// Where the tables were looked up.
    pub(super) soc: [f64; BLOCK],
    pub(super) core: [f64; BLOCK],
    pub(super) stale: bool,
}

impl Default for BlockCoefficients {
    fn default() -> Self {
        let zero = [0.0; BLOCK];
        Self { r0: [zero; 2], rc: [[zero; 2]; MAX_RC_PAIRS], soc: zero, core: zero, stale: false }
    }
}

/// One step.
pub(super) struct Input<'a> {
    pub(super) own: Option<&'a [f64]>,
    pub(super) shared_a: f64,
    pub(super) dt_s: f64,
    pub(super) tolerance: [f64; 2],
}

/// What a step found.
pub(super) struct Outcome {
    pub(super) finite: bool,
    /// Some block is stale.
    pub(super) refresh: bool,
}

/// A step of all lanes, to be dispatched to the best instruction set of this machine.
pub(super) struct Step<'a> {
    pub(super) parameters: &'a EcmParameters,
    pub(super) curves: &'a Curves,
    pub(super) lanes: &'a mut Lanes,
    pub(super) coefficients: &'a mut Coefficients,
    pub(super) input: Input<'a>,
}

impl WithSimd for Step<'_> {
    type Output = Outcome;

    // Inlined into a function that has the instruction set switched on; the compiler does the rest.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Outcome {
        match (self.parameters.rc.len(), self.curves.full, !self.coefficients.blocks.is_empty()) {
            (0, false, false) => blocks::<S, 0, false, false>(simd, self),
            (1, false, false) => blocks::<S, 1, false, false>(simd, self),
            (2, false, false) => blocks::<S, 2, false, false>(simd, self),
            (_, false, false) => blocks::<S, 3, false, false>(simd, self),
            (0, true, false) => blocks::<S, 0, true, false>(simd, self),
            (1, true, false) => blocks::<S, 1, true, false>(simd, self),
            (2, true, false) => blocks::<S, 2, true, false>(simd, self),
            (_, true, false) => blocks::<S, 3, true, false>(simd, self),
            (0, _, true) => blocks::<S, 0, true, true>(simd, self),
            (1, _, true) => blocks::<S, 1, true, true>(simd, self),
            (2, _, true) => blocks::<S, 2, true, true>(simd, self),
            (_, _, true) => blocks::<S, 3, true, true>(simd, self),
        }
    }
}

#[inline(always)]
fn blocks<S: Simd, const PAIRS: usize, const FULL: bool, const TABLES: bool>(
    simd: S,
    step: Step<'_>,
) -> Outcome {
    let Step { parameters: p, curves, lanes, coefficients, input } = step;
    let Coefficients { thermal, fixed, blocks } = coefficients;
    let known = Known { thermal, fixed, dt_s: input.dt_s, tolerance: input.tolerance };
    let mut padded = [input.shared_a; BLOCK];
    // Against 0 degC the idle thermal nodes keep imposed temperatures to the last bit.
    let one_ambient = if lanes.imposed { Some(0.0) } else { lanes.one_ambient };
    let ambient_shared = [one_ambient.unwrap_or_default(); BLOCK];
    let [rc1, rc2, rc3] = &mut lanes.rc;
    let mut outcome = Outcome { finite: true, refresh: false };
    let mut no_table = BlockCoefficients::default();
    for b in 0..lanes.soc.len() / BLOCK {
        let current: &[f64; BLOCK] = match input.own.map(|own| &own[b * BLOCK..]) {
            None => &padded,
            Some(own) => match own.first_chunk() {
                Some(whole) => whole,
                None => {
                    padded = [0.0; BLOCK];
                    padded[..own.len()].copy_from_slice(own);
                    &padded
                }
            },
        };
        let own_ambient = lanes.ambient.as_chunks::<BLOCK>().0;
        let ambient = if one_ambient.is_some() { &ambient_shared } else { &own_ambient[b] };
        let table = if TABLES { &mut blocks[b] } else { &mut no_table };
        let soc = &mut lanes.soc.as_chunks_mut::<BLOCK>().0[b];
        let hysteresis = &mut lanes.hysteresis.as_chunks_mut::<BLOCK>().0[b];
        let core = &mut lanes.core.as_chunks_mut::<BLOCK>().0[b];
        let surface = &mut lanes.surface.as_chunks_mut::<BLOCK>().0[b];
        let voltage = &mut lanes.voltage.as_chunks_mut::<BLOCK>().0[b];
        let heat = &mut lanes.heat.as_chunks_mut::<BLOCK>().0[b];
        let per_as = &lanes.per_as.as_chunks::<BLOCK>().0[b];
        let resistance = &lanes.resistance.as_chunks::<BLOCK>().0[b];
        let rc1 = &mut rc1.as_chunks_mut::<BLOCK>().0[b];
        let rc2 = &mut rc2.as_chunks_mut::<BLOCK>().0[b];
        let rc3 = &mut rc3.as_chunks_mut::<BLOCK>().0[b];
        let [spoiled, moved_far] = block::<S, PAIRS, FULL, TABLES>(
            simd, p, curves, &known, table, current, ambient, per_as, resistance, soc, rc1, rc2, rc3,
            hysteresis, core, surface, voltage, heat,
        );
        outcome.finite &= !spoiled;
        if TABLES && moved_far {
            table.stale = true;
            outcome.refresh = true;
        }
    }
    outcome
}

/// Marks the blocks of which a cell's temperature is further from where its tables were looked up than the tolerance; says
/// whether any is.
pub(super) struct Compare<'a> {
    pub(super) core: &'a [f64],
    pub(super) blocks: &'a mut [BlockCoefficients],
    pub(super) tolerance_k: f64,
}

impl WithSimd for Compare<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let mut moved = false;
        for (block, core) in self.blocks.iter_mut().zip(self.core.as_chunks::<BLOCK>().0) {
            let far = core
                .iter()
                .zip(&block.core)
                .fold(0_u64, |far, (a, b)| far | u64::from((a - b).abs() > self.tolerance_k));
            block.stale |= far != 0;
            moved |= block.stale;
        }
        moved
    }
}

/// What is the same for all blocks.
struct Known<'a> {
    thermal: &'a Propagator,
    fixed: &'a FixedCoefficients,
    dt_s: f64,
    tolerance: [f64; 2],
}

/// One block, once for each instruction set `S`, so that each has a single caller to be inlined into (by the optimiser,
/// which then still knows that the arguments do not overlap; `inline(always)` would lose that). Says whether a reading is not finite and whether a cell has moved beyond the tolerance.
#[expect(
    clippy::too_many_arguments,
    reason = "the compiler knows of arguments alone that they do not overlap"
)]
#[inline]
fn block<S: Simd, const PAIRS: usize, const FULL: bool, const TABLES: bool>(
    _: S,
    p: &EcmParameters,
    curves: &Curves,
    known: &Known<'_>,
    table: &BlockCoefficients,
    current: &[f64; BLOCK],
    ambient: &[f64; BLOCK],
    per_as: &[f64; BLOCK],
    resistance: &[f64; BLOCK],
    soc: &mut [f64; BLOCK],
    rc1: &mut [f64; BLOCK],
    rc2: &mut [f64; BLOCK],
    rc3: &mut [f64; BLOCK],
    hysteresis: &mut [f64; BLOCK],
    core: &mut [f64; BLOCK],
    surface: &mut [f64; BLOCK],
    voltage: &mut [f64; BLOCK],
    released: &mut [f64; BLOCK],
) -> [bool; 2] {
    let fixed = known.fixed;
    let ([[cc, cs], [sc, ss]], [core_per_w, surface_per_w]) = (known.thermal.free, known.thermal.forced);
    let charge_as = [known.dt_s, p.coulombic_efficiency * known.dt_s];
    let (mut spoiled, mut moved_far) = (0_u64, 0_u64);
    let (r0, rc) = (fixed.r0, fixed.rc);
    let [tolerance_soc, tolerance_k] = known.tolerance;
    let through_per_soc = p.hysteresis_gamma * known.dt_s;
    for l in 0..BLOCK {
        let i = current[l];
        let (charging, scaled) = (i < 0.0, i * resistance[l]);
        let moved = i * (if charging { charge_as[1] } else { charge_as[0] }) * per_as[l];
        let z = soc[l] - moved;
        soc[l] = z;
        let ohmic = if TABLES {
            let [discharge, charge] = [table.r0[0][l], table.r0[1][l]];
            i * if charging { charge } else { discharge }
        } else {
            scaled * if charging { r0[1] } else { r0[0] }
        };
        let (mut before, mut after) = (0.0, 0.0);
        let mut pair = |v: &mut f64, k: usize| {
            before += *v;
            *v = if TABLES {
                table.rc[k][0][l] * *v + table.rc[k][1][l] * i
            } else {
                rc[k][0] * *v + rc[k][1] * scaled
            };
            after += *v;
        };
        if PAIRS > 0 {
            pair(&mut rc1[l], 0);
        }
        if PAIRS > 1 {
            pair(&mut rc2[l], 1);
        }
        if PAIRS > 2 {
            pair(&mut rc3[l], 2);
        }
        let place = curves.locate(z);
        let mut open_circuit = on(&curves.ocv, place);
        let mut per_a = ohmic + 0.5 * (before + after);
        let mut entropic = 0.0;
        if FULL {
            let (m, h) = (on(&curves.hysteresis, place), hysteresis[l]);
            let through = through_per_soc * per_as[l] * i.abs();
            let settled = if charging { 1.0 } else { -1.0 };
            let next = settled + (h - settled) * vector_decay(through);
            hysteresis[l] = next;
            entropic = on(&curves.entropic, place);
            per_a -= m * (0.5 * (h + next)) + (core[l] + KELVIN) * entropic;
            open_circuit += m * next;
        }
        let heat = i * per_a;
        released[l] = heat;
        let (c, s) = (core[l] - ambient[l], surface[l] - ambient[l]);
        let hot = ambient[l] + (cc * c + cs * s + core_per_w * heat);
        core[l] = hot;
        surface[l] = ambient[l] + (sc * c + ss * s + surface_per_w * heat);
        if FULL {
            open_circuit += (hot - REFERENCE_TEMPERATURE_C) * entropic;
        }
        let v = open_circuit - (ohmic + after);
        voltage[l] = v;
        // Carries into the sign if all bits of the exponent are set: infinity or NaN.
        spoiled |= ((v + hot).to_bits() & !(1 << 63)) + (1 << 52);
        if TABLES {
            moved_far |= u64::from((z - table.soc[l]).abs() > tolerance_soc);
            moved_far |= u64::from((hot - table.core[l]).abs() > tolerance_k);
        }
    }
    [spoiled >> 63 != 0, moved_far != 0]
}

/// What the voltage at the end of a step would be at any current: `emf - ohm * current`, to be dispatched as [`Step`].
pub(super) struct Linearise<'a> {
    pub(super) parameters: &'a EcmParameters,
    pub(super) curves: &'a Curves,
    pub(super) lanes: &'a Lanes,
    pub(super) coefficients: &'a Coefficients,
    /// The currents whose directions choose the ohmic resistance, in A; one for each cell.
    pub(super) current_a: &'a [f64],
    pub(super) dt_s: f64,
    /// The answers, with room for whole blocks.
    pub(super) emf_v: &'a mut [f64],
    pub(super) ohm: &'a mut [f64],
}

impl WithSimd for Linearise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.curves.full, self.coefficients.blocks.is_empty()) {
            (false, true) => lines::<S, false, false>(simd, self),
            (false, false) => lines::<S, false, true>(simd, self),
            (true, true) => lines::<S, true, false>(simd, self),
            (true, false) => lines::<S, true, true>(simd, self),
        }
    }
}

#[inline(always)]
fn lines<S: Simd, const FULL: bool, const TABLES: bool>(simd: S, step: Linearise<'_>) {
    let Linearise { parameters: p, curves, lanes, coefficients, current_a, dt_s, emf_v, ohm } = step;
    let no_table = BlockCoefficients::default();
    let [rc1, rc2, rc3] = &lanes.rc;
    let lines = emf_v.as_chunks_mut().0.iter_mut().zip(ohm.as_chunks_mut().0);
    for (b, (own, (emf, ohm))) in current_a.chunks(BLOCK).zip(lines).enumerate() {
        let table = if TABLES { &coefficients.blocks[b] } else { &no_table };
        let mut padded = [0.0; BLOCK];
        let current = own.first_chunk().unwrap_or_else(|| {
            padded[..own.len()].copy_from_slice(own);
            &padded
        });
        let rc_v = [block_of(rc1, b), block_of(rc2, b), block_of(rc3, b)];
        let (per_as, resistance) = (block_of(&lanes.per_as, b), block_of(&lanes.resistance, b));
        let (soc, core) = (block_of(&lanes.soc, b), block_of(&lanes.core, b));
        let hysteresis = block_of(&lanes.hysteresis, b);
        line::<S, FULL, TABLES>(
            simd,
            p,
            curves,
            &coefficients.fixed,
            table,
            dt_s,
            current,
            per_as,
            resistance,
            soc,
            rc_v,
            hysteresis,
            core,
            emf,
            ohm,
        );
    }
}

/// [`Linearise`] for one block; a function of its own as [`block`] is.
#[expect(
    clippy::too_many_arguments,
    reason = "the compiler knows of arguments alone that they do not overlap"
)]
#[inline]
fn line<S: Simd, const FULL: bool, const TABLES: bool>(
    _: S,
    p: &EcmParameters,
    curves: &Curves,
    fixed: &FixedCoefficients,
    table: &BlockCoefficients,
    dt_s: f64,
    current: &[f64; BLOCK],
    per_as: &[f64; BLOCK],
    resistance: &[f64; BLOCK],
    soc: &[f64; BLOCK],
    rc_v: [&[f64; BLOCK]; MAX_RC_PAIRS],
    hysteresis: &[f64; BLOCK],
    core: &[f64; BLOCK],
    emf: &mut [f64; BLOCK],
    ohm: &mut [f64; BLOCK],
) {
    // Voltage per SOC and per A s of charge, by direction.
    let [discharge, charge] = [curves.per_soc * dt_s, curves.per_soc * p.coulombic_efficiency * dt_s];
    let r0 = fixed.r0;
    for l in 0..BLOCK {
        let charging = current[l] < 0.0;
        let place = curves.locate(soc[l]);
        let mut u = on(&curves.ocv, place);
        if FULL {
            u += on(&curves.hysteresis, place) * hysteresis[l];
            u += (core[l] - REFERENCE_TEMPERATURE_C) * on(&curves.entropic, place);
        }
        emf[l] = u;
        let ohmic = if TABLES {
            let [discharge, charge] = [table.r0[0][l], table.r0[1][l]];
            if charging { charge } else { discharge }
        } else {
            resistance[l] * if charging { r0[1] } else { r0[0] }
        };
        let per_as = per_as[l] * if charging { charge } else { discharge };
        ohm[l] = ohmic + curves.ocv[1][place.1] * per_as;
    }
    for (k, v) in rc_v.iter().enumerate().take(p.rc.len()) {
        let [decay, gain] = fixed.rc[k];
        let [own_decay, own_gain] = &table.rc[k];
        for l in 0..BLOCK {
            let (decay, gain) =
                if TABLES { (own_decay[l], own_gain[l]) } else { (decay, gain * resistance[l]) };
            emf[l] -= decay * v[l];
            ohm[l] += gain;
        }
    }
}

#[inline(always)]
fn block_of(all: &[f64], b: usize) -> &[f64; BLOCK] {
    &all.as_chunks::<BLOCK>().0[b]
}

/// `exp(-x)` for `x >= 0` without a branch: a series and six squarings, within 1e-12.
#[inline(always)]
fn vector_decay(x: f64) -> f64 {
    // Beyond 32 nothing is left that counts.
    let y = (if x < 32.0 { x } else { 32.0 }) * (1.0 / 64.0);
    let tail = 1.0 - y * (1.0 / 6.0) * (1.0 - y * (1.0 / 7.0) * (1.0 - y * (1.0 / 8.0)));
    let tail = 1.0 - y * (1.0 / 3.0) * (1.0 - y * (1.0 / 4.0) * (1.0 - y * (1.0 / 5.0) * tail));
    let mut e = 1.0 - y * (1.0 - y * (1.0 / 2.0) * tail);
    for _ in 0..6 {
        e *= e;
    }
    e
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_decay_is_the_exponential() {
        for k in 0..4000 {
            let x = f64::from(k) * 0.01;
            assert!((vector_decay(x) - (-x).exp()).abs() < 1e-12, "at {x}");
        }
        assert_eq!(vector_decay(0.0), 1.0);
    }

    #[test]
    fn curves_say_what_the_tables_say() {
        let p = EcmParameters::generic_lfp_2ah3();
        let curves = Curves::new(&p);
        assert_eq!(curves.segments, 100.0);
        for k in -100..1200 {
            let soc = f64::from(k) * 1e-3;
            let place = curves.locate(soc);
            assert!((on(&curves.ocv, place) - p.ocv_v.at(soc)).abs() < 1e-12, "at {soc}");
            assert!((on(&curves.hysteresis, place) - p.hysteresis_v.at(soc)).abs() < 1e-12, "at {soc}");
        }
    }
}
