//! How cells in parallel share a current, in closed form.

use pulp::{Arch, Simd, WithSimd};

use super::cells::Cells;
use crate::ecm_batch::WHOLE_BLOCKS;

/// Something that gives `emf_v - ohm * current` at its terminals.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Source {
    pub(super) emf_v: f64,
    pub(super) ohm: f64,
}

/// The cells as straight lines `V = E - R I` around a current, and the groups that they make.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    arch: Arch,
    parallel: usize,
    connection_ohm: Vec<f64>,
    /// Of each cell: voltage without current, then conductance with its connection; with room for whole blocks.
    emf_v: Vec<f64>,
    conductance_s: Vec<f64>,
    group: Vec<Source>,
}

impl Sharing {
    pub(super) fn new(parallel: usize, connection_ohm: Vec<f64>) -> Self {
        let zero = vec![0.0; connection_ohm.len().next_multiple_of(WHOLE_BLOCKS)];
        let group = vec![Source::default(); connection_ohm.len() / parallel];
        Self { arch: Arch::new(), parallel, connection_ohm, emf_v: zero.clone(), conductance_s: zero, group }
    }

    pub(super) fn connection_ohm(&self) -> &[f64] {
        &self.connection_ohm
    }

    /// Linearises the cells around `current_a` for a step of `dt_s` seconds; the current `inner_a` flows in each cell on
    /// top of what its terminals show. The whole string from end to end, without busbars.
    pub(super) fn linearise(
        &mut self,
        cells: &mut Cells,
        current_a: &[f64],
        inner_a: Option<&[f64]>,
        dt_s: f64,
    ) -> Source {
        cells.linearise(current_a, dt_s, &mut self.emf_v, &mut self.conductance_s);
        if let Some(inner_a) = inner_a {
            for ((emf, ohm), inner) in self.emf_v.iter_mut().zip(&self.conductance_s).zip(inner_a) {
                *emf -= ohm * inner;
            }
        }
        let Self { arch, parallel, connection_ohm, emf_v, conductance_s, group } = self;
        arch.dispatch(Task {
            parallel: *parallel,
            work: Join { connection_ohm, emf_v, conductance_s, group },
        })
    }

    /// What `extra_a` (A) through each group on its own, and `common_a` through all, take from the string's voltage.
    pub(super) fn drop_v(&self, extra_a: &[f64], common_a: f64) -> f64 {
        self.group.iter().zip(extra_a).map(|(group, extra)| group.ohm * (extra + common_a)).sum()
    }

    /// Shares `string_a` plus each group's `extra_a` out: `i_k = (E_k - V) g_k` with `V = (sum E g - I) / sum g`.
    pub(super) fn share(&self, string_a: f64, extra_a: &[f64], into_a: &mut [f64]) {
        let Self { arch, parallel, emf_v, conductance_s, group, .. } = self;
        let work = Share { emf_v, conductance_s, group, string_a, extra_a, into_a };
        arch.dispatch(Task { parallel: *parallel, work });
    }

    /// Share of each cell in a change of its group's current.
    pub(super) fn shares(&self, into: &mut [f64]) {
        let own = self.conductance_s.chunks_exact(self.parallel);
        for ((into, own), group) in into.chunks_exact_mut(self.parallel).zip(own).zip(&self.group) {
            into.iter_mut().zip(own).for_each(|(share, g)| *share = g * group.ohm);
        }
    }

    /// Voltages between the nodes of the groups from those of the cells: what the cells would settle on at once if they
    /// still differed.
    pub(super) fn group_voltage_v(&self, voltage_v: &[f64], current_a: &[f64], into_v: &mut [f64]) {
        if self.parallel == 1 {
            let cells = voltage_v.iter().zip(current_a).zip(&self.connection_ohm);
            into_v.iter_mut().zip(cells).for_each(|(into, ((v, i), ohm))| *into = v - ohm * i);
            return;
        }
        let Self { arch, parallel, connection_ohm, conductance_s, group, .. } = self;
        let work = Settle { connection_ohm, conductance_s, group, voltage_v, current_a, into_v };
        arch.dispatch(Task { parallel: *parallel, work });
    }
}

/// Work on groups of `parallel` cells, to be compiled for each instruction set and for the usual sizes of a group.
trait Work {
    type Output;

    fn with_groups_of(self, parallel: usize) -> Self::Output;
}

struct Task<W> {
    parallel: usize,
    work: W,
}

impl<W: Work> WithSimd for Task<W> {
    type Output = W::Output;

    // Inlined with a known number the loops within a group unroll.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> W::Output {
        match self.parallel {
            1 => self.work.with_groups_of(1),
            2 => self.work.with_groups_of(2),
            3 => self.work.with_groups_of(3),
            4 => self.work.with_groups_of(4),
            any => self.work.with_groups_of(any),
        }
    }
}

/// From cells to groups and the string. Takes the resistance of each cell in `conductance_s`.
struct Join<'a> {
    connection_ohm: &'a [f64],
    emf_v: &'a [f64],
    conductance_s: &'a mut [f64],
    group: &'a mut [Source],
}

impl Work for Join<'_> {
    type Output = Source;

    #[inline(always)]
    fn with_groups_of(self, parallel: usize) -> Source {
        for (conductance, connection) in self.conductance_s.iter_mut().zip(self.connection_ohm) {
            *conductance = 1.0 / (*conductance + connection);
        }
        let mut string = Source::default();
        let own = self.emf_v.chunks_exact(parallel).zip(self.conductance_s.chunks_exact(parallel));
        for (group, (emf_v, conductance_s)) in self.group.iter_mut().zip(own) {
            let (mut weighted, mut total) = (0.0, 0.0);
            for (e, g) in emf_v.iter().zip(conductance_s) {
                weighted += e * g;
                total += g;
            }
            let ohm = 1.0 / total;
            *group = Source { emf_v: weighted * ohm, ohm };
            string.emf_v += group.emf_v;
            string.ohm += ohm;
        }
        string
    }
}

struct Share<'a> {
    emf_v: &'a [f64],
    conductance_s: &'a [f64],
    group: &'a [Source],
    string_a: f64,
    extra_a: &'a [f64],
    into_a: &'a mut [f64],
}

impl Work for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn with_groups_of(self, parallel: usize) {
        let own = self.emf_v.chunks_exact(parallel).zip(self.conductance_s.chunks_exact(parallel));
        let groups = self.group.iter().zip(self.extra_a).zip(own);
        for (((group, extra), (emf_v, conductance_s)), into_a) in
            groups.zip(self.into_a.chunks_exact_mut(parallel))
        {
            let voltage = group.emf_v - group.ohm * (self.string_a + extra);
            for ((current, e), g) in into_a.iter_mut().zip(emf_v).zip(conductance_s) {
                *current = (e - voltage) * g;
            }
        }
    }
}

struct Settle<'a> {
    connection_ohm: &'a [f64],
    conductance_s: &'a [f64],
    group: &'a [Source],
    voltage_v: &'a [f64],
    current_a: &'a [f64],
    into_v: &'a mut [f64],
}

impl Work for Settle<'_> {
    type Output = ();

    #[inline(always)]
    fn with_groups_of(self, parallel: usize) {
        let cells = self.voltage_v.chunks_exact(parallel).zip(self.current_a.chunks_exact(parallel));
        let wiring =
            self.connection_ohm.chunks_exact(parallel).zip(self.conductance_s.chunks_exact(parallel));
        let groups = self.into_v.iter_mut().zip(self.group);
        for ((into, group), ((v, i), (ohm, g))) in groups.zip(cells.zip(wiring)) {
            let mut weighted = 0.0;
            for ((v, i), (ohm, g)) in v.iter().zip(i).zip(ohm.iter().zip(g)) {
                weighted += g * (v - ohm * i);
            }
            *into = weighted * group.ohm;
        }
    }
}
