//! Conductances between nodes, sorted so that the regular ones run as plain vector loops.

/// Links (from + k, to + k) for k = 0.. with one conductance each.
#[derive(Debug, Clone)]
struct Run {
    from: usize,
    to: usize,
    w_per_k: Vec<f64>,
}

/// A link that fits into no run.
#[derive(Debug, Clone, Copy)]
struct Single {
    from: u32,
    to: u32,
    w_per_k: f64,
}

/// Conductances between nodes of two kinds, or of the same.
#[derive(Debug, Clone)]
pub(super) struct Links {
    runs: Vec<Run>,
    singles: Vec<Single>,
}

/// A run shorter than this is no quicker than its links one by one.
const SHORTEST_RUN: usize = 8;
/// Links missing in a run that are filled with a conductance of 0.
const LARGEST_GAP: usize = 4;

impl Links {
    /// Links (from, to, W/K); those of the same pair add up.
    pub(super) fn new(links: impl IntoIterator<Item = (usize, usize, f64)>) -> Self {
        let mut links: Vec<_> = links.into_iter().filter(|l| l.2 > 0.0).collect();
        links.sort_by_key(|&(from, to, _)| (from.wrapping_sub(to), from));
        let mut runs: Vec<Run> = Vec::new();
        for (from, to, w_per_k) in links {
            if let Some(run) = runs.last_mut()
                && from.wrapping_sub(to) == run.from.wrapping_sub(run.to)
                && from - run.from <= run.w_per_k.len() + LARGEST_GAP
            {
                let k = from - run.from;
                if k >= run.w_per_k.len() {
                    run.w_per_k.resize(k + 1, 0.0);
                }
                run.w_per_k[k] += w_per_k;
            } else {
                runs.push(Run { from, to, w_per_k: vec![w_per_k] });
            }
        }
        let (runs, short): (Vec<_>, Vec<_>) = runs.into_iter().partition(|r| r.w_per_k.len() >= SHORTEST_RUN);
        let mut singles = Vec::new();
        for run in short {
            for (k, &w_per_k) in run.w_per_k.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                singles.push(Single { from: (run.from + k) as u32, to: (run.to + k) as u32, w_per_k });
            }
        }
        singles.sort_by_key(|s| (s.from, s.to));
        Self { runs, singles }
    }

    /// Adds what flows over the links between nodes of the same kind with the given temperatures to their gain in W.
    #[inline(always)]
    pub(super) fn exchange_within(&self, t: &[f64], gain_w: &mut [f64]) {
        for run in &self.runs {
            let n = run.w_per_k.len();
            let (from, to) = (&t[run.from..][..n], &t[run.to..][..n]);
            // Two passes, as both ends lie in the same array.
            for (((gain, g), a), b) in gain_w[run.from..][..n].iter_mut().zip(&run.w_per_k).zip(from).zip(to)
            {
                *gain += g * (b - a);
            }
            for (((gain, g), a), b) in gain_w[run.to..][..n].iter_mut().zip(&run.w_per_k).zip(from).zip(to) {
                *gain -= g * (b - a);
            }
        }
        for link in &self.singles {
            let (from, to) = (link.from as usize, link.to as usize);
            let flow = link.w_per_k * (t[to] - t[from]);
            gain_w[from] += flow;
            gain_w[to] -= flow;
        }
    }

    /// The same between nodes of two kinds.
    #[inline(always)]
    pub(super) fn exchange(
        &self,
        t_from: &[f64],
        t_to: &[f64],
        gain_from_w: &mut [f64],
        gain_to_w: &mut [f64],
    ) {
        for run in &self.runs {
            let n = run.w_per_k.len();
            let temperatures = t_from[run.from..][..n].iter().zip(&t_to[run.to..][..n]);
            let gains = gain_from_w[run.from..][..n].iter_mut().zip(&mut gain_to_w[run.to..][..n]);
            for (((a, b), (gain_a, gain_b)), g) in temperatures.zip(gains).zip(&run.w_per_k) {
                let flow = g * (b - a);
                *gain_a += flow;
                *gain_b -= flow;
            }
        }
        for link in &self.singles {
            let (from, to) = (link.from as usize, link.to as usize);
            let flow = link.w_per_k * (t_to[to] - t_from[from]);
            gain_from_w[from] += flow;
            gain_to_w[to] -= flow;
        }
    }
}
