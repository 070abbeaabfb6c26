//! How cells in parallel share a current, in closed form.

use super::cells::Cells;

/// Something that gives `emf_v - ohm * current` at its terminals.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Source {
    pub(super) emf_v: f64,
    pub(super) ohm: f64,
}

/// The cells as straight lines `V = E - R I` around a current, and the groups that they make.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    parallel: usize,
    connection_ohm: Vec<f64>,
    /// Of each cell: voltage without current, then conductance with its connection.
    emf_v: Vec<f64>,
    conductance_s: Vec<f64>,
    group: Vec<Source>,
}

impl Sharing {
    pub(super) fn new(parallel: usize, connection_ohm: Vec<f64>) -> Self {
        let zero = vec![0.0; connection_ohm.len()];
        let group = vec![Source::default(); zero.len() / parallel];
        Self { parallel, connection_ohm, emf_v: zero.clone(), conductance_s: zero, group }
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
        for (conductance, connection) in self.conductance_s.iter_mut().zip(&self.connection_ohm) {
            *conductance = 1.0 / (*conductance + connection);
        }
        let mut string = Source::default();
        let own = self.emf_v.chunks_exact(self.parallel).zip(self.conductance_s.chunks_exact(self.parallel));
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

    /// What `extra_a` (A) through each group on its own, and `common_a` through all, take from the string's voltage.
    pub(super) fn drop_v(&self, extra_a: &[f64], common_a: f64) -> f64 {
        self.group.iter().zip(extra_a).map(|(group, extra)| group.ohm * (extra + common_a)).sum()
    }

    /// Shares `string_a` plus each group's `extra_a` out: `i_k = (E_k - V) g_k` with `V = (sum E g - I) / sum g`.
    pub(super) fn share(&self, string_a: f64, extra_a: &[f64], into_a: &mut [f64]) {
        let own = self.emf_v.chunks_exact(self.parallel).zip(self.conductance_s.chunks_exact(self.parallel));
        let groups = self.group.iter().zip(extra_a).zip(own);
        for (((group, extra), (emf_v, conductance_s)), into_a) in
            groups.zip(into_a.chunks_exact_mut(self.parallel))
        {
            let voltage = group.emf_v - group.ohm * (string_a + extra);
            for ((current, e), g) in into_a.iter_mut().zip(emf_v).zip(conductance_s) {
                *current = (e - voltage) * g;
            }
        }
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
        let p = self.parallel;
        let own = voltage_v
            .chunks_exact(p)
            .zip(current_a.chunks_exact(p))
            .zip(self.connection_ohm.chunks_exact(p).zip(self.conductance_s.chunks_exact(p)));
        for ((into, group), ((v, i), (ohm, g))) in into_v.iter_mut().zip(&self.group).zip(own) {
            let cells = v.iter().zip(i).zip(ohm.iter().zip(g));
            *into = group.ohm * cells.map(|((v, i), (ohm, g))| g * (v - ohm * i)).sum::<f64>();
        }
    }
}
