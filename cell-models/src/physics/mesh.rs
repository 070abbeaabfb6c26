//! Finite elements on a line: spheres seen along their radius, and the electrolyte across the cell.

/// The most pieces that a step is cut into; above, they grow longer instead.
const MAX_PIECES: f64 = 1e5;

/// How finely the equations are solved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resolution {
    /// Elements along the radius of each particle, 2..=200; they become smaller towards the surface.
    pub particle_elements: usize,
    /// How strongly they do: width of the innermost over the outermost is about its exponential. 0 is uniform.
    pub particle_grading: f64,
    /// Elements across negative electrode, separator and positive electrode, each 2..=200.
    pub electrolyte_elements: [usize; 3],
    /// First step in s after a change of current, above 0. Steps then grow.
    pub first_step_s: f64,
    /// Longest step as a share of the time since the current last changed, above 0.
    pub growth: f64,
    /// Longest step as a change of the mean stoichiometry of either electrode, above 0.
    pub stoichiometry_step: f64,
}

impl Default for Resolution {
    /// What drive cycles sampled at 1 s need: below 1 mV from the converged solution for the built-in sets at -10 degC
    /// and above.
    fn default() -> Self {
        Self {
            particle_elements: 18,
            particle_grading: 3.5,
            electrolyte_elements: [4, 2, 4],
            first_step_s: 1.0,
            growth: 0.25,
            stoichiometry_step: 0.005,
        }
    }
}

impl Resolution {
    /// Every setting `factor` times as fine, for convergence studies.
    #[must_use]
    pub fn refined(self, factor: usize) -> Self {
        let f = factor as f64;
        Self {
            particle_elements: self.particle_elements * factor,
            electrolyte_elements: self.electrolyte_elements.map(|n| n * factor),
            first_step_s: self.first_step_s / f,
            growth: self.growth / f,
            stoichiometry_step: self.stoichiometry_step / f,
            ..self
        }
    }
}

/// How a step is cut into pieces that follow the spreading of a disturbance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    /// Time since the current last changed, in s.
    settled_s: f64,
    dt_s: f64,
    done_s: f64,
    /// Longest piece that charge and the number of pieces allow, in s.
    longest_s: f64,
    shortest_s: f64,
}

/// One piece: its length in s, and the share of the whole step that is done after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) dt_s: f64,
    pub(super) share: f64,
}

impl Pieces {
    /// Cuts `dt_s` seconds. The current last changed `settled_s` ago; `rate_per_s` is the largest rate at which the mean
    /// stoichiometry of an electrode changes.
    pub(super) fn new(r: &Resolution, dt_s: f64, settled_s: f64, rate_per_s: f64) -> Self {
        let shortest_s = dt_s / MAX_PIECES;
        // Infinite without current.
        let longest_s = r.stoichiometry_step / rate_per_s.abs();
        Self { settled_s, dt_s, done_s: 0.0, longest_s, shortest_s }
    }

    /// The next piece; `None` when the step is done.
    #[inline(always)]
    pub(super) fn next(&mut self, r: &Resolution) -> Option<Piece> {
        let left = self.dt_s - self.done_s;
        if left <= 0.0 {
            return None;
        }
        let allowed =
            (r.growth * self.settled_s).max(r.first_step_s).min(self.longest_s).max(self.shortest_s);
        if left <= allowed {
            self.settled_s += left;
            self.done_s = self.dt_s;
            return Some(Piece { dt_s: left, share: 1.0 });
        }
        // The rest in equal pieces, so that none is tiny.
        let dt_s = left / (left / allowed).ceil();
        self.settled_s += dt_s;
        self.done_s += dt_s;
        Some(Piece { dt_s, share: self.done_s / self.dt_s })
    }

    /// Time since the current last changed, after the pieces so far, in s.
    pub(super) fn settled_s(&self) -> f64 {
        self.settled_s
    }
}

/// Mass and stiffness of linear elements between nodes; all arrays are per node or per element in order.
#[derive(Debug, Clone)]
pub(super) struct Mesh {
    /// Diagonal of the mass matrix, per node.
    pub(super) mass_diagonal: Vec<f64>,
    /// Off-diagonal of the mass matrix, per element.
    pub(super) mass_off: Vec<f64>,
    /// Stiffness for a diffusivity of 1, per element.
    pub(super) stiffness: Vec<f64>,
}

impl Mesh {
    pub(super) fn nodes(&self) -> usize {
        self.mass_diagonal.len()
    }

    /// Sum of each row of the mass matrix: the volume that belongs to a node.
    pub(super) fn node_volumes(&self) -> Vec<f64> {
        let mut volume = self.mass_diagonal.clone();
        for (e, off) in self.mass_off.iter().enumerate() {
            volume[e] += off;
            volume[e + 1] += off;
        }
        volume
    }

    /// A sphere of radius 1 in `n` elements; its volume counts as 1/3 (the integral of `r^2`).
    pub(super) fn sphere(n: usize, grading: f64) -> Self {
        let node = |i: usize| {
            let s = i as f64 / n as f64;
            if grading == 0.0 { s } else { (-grading * s).exp_m1() / (-grading).exp_m1() }
        };
        // Integrals of r^2 times the products of the two hat functions of the element from a to b.
        let mut mesh = Self { mass_diagonal: vec![0.0; n + 1], mass_off: vec![], stiffness: vec![] };
        for e in 0..n {
            let (a, b) = (node(e), node(e + 1));
            let h = b - a;
            mesh.mass_diagonal[e] += h * (6.0 * a * a + 3.0 * a * b + b * b) / 30.0;
            mesh.mass_diagonal[e + 1] += h * (a * a + 3.0 * a * b + 6.0 * b * b) / 30.0;
            mesh.mass_off.push(h * (3.0 * a * a + 4.0 * a * b + 3.0 * b * b) / 60.0);
            mesh.stiffness.push((a * a + a * b + b * b) / (3.0 * h));
        }
        mesh
    }

    /// Layers side by side: width, porosity, transport efficiency and elements of each.
    pub(super) fn layers(layers: &[(f64, f64, f64, usize)]) -> Self {
        let mut mesh = Self { mass_diagonal: vec![0.0], mass_off: vec![], stiffness: vec![] };
        for &(width, porosity, efficiency, n) in layers {
            let h = width / n as f64;
            for _ in 0..n {
                *mesh.mass_diagonal.last_mut().expect("starts with a node") += porosity * h / 3.0;
                mesh.mass_diagonal.push(porosity * h / 3.0);
                mesh.mass_off.push(porosity * h / 6.0);
                mesh.stiffness.push(efficiency / h);
            }
        }
        mesh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sphere_and_layers_have_the_right_volume() {
        for grading in [0.0, 4.0] {
            let total: f64 = Mesh::sphere(7, grading).node_volumes().iter().sum();
            assert!((total - 1.0 / 3.0).abs() < 1e-15);
        }
        let total: f64 = Mesh::layers(&[(2.0, 0.5, 1.0, 3), (1.0, 1.0, 1.0, 2)]).node_volumes().iter().sum();
        assert!((total - 2.0).abs() < 1e-15);
    }
}
