//! LG M50 with temperature dependence and ageing.
//!
//! Sources: S. E. J. O'Kane et al., "Lithium-ion battery degradation: how to model it", Phys. Chem. Chem. Phys. 24 (2022)
//! 7909: activation energies of the particles, ageing. M. Ecker et al., J. Electrochem. Soc. 162 (2015) A1836: activation
//! energies of the negative particles and the electrolyte. C.-H. Chen et al., J. Electrochem. Soc. 167 (2020) 080534: all
//! else, with the measured open-circuit potential of the negative electrode.

use std::sync::Arc;

use super::super::{AgeingParameters, Arrhenius, Function, LithiumPlating, PhysicsParameters, SeiGrowth};
use super::{balanced, chen2020};
use crate::table::Table1;

/// LG M50, 21700, graphite-SiOx / NMC811, 5 Ah, 2.5..4.2 V, with temperature dependence, film growth and lithium plating.
///
/// Values: O'Kane et al. 2022 on top of Chen et al. 2020 ([`chen2020`](super::chen2020())). The negative open-circuit
/// potential is the measured one: a cubic spline through its points, tabulated ten times as densely. The cracking of
/// particles and the loss of active material by stress, which that paper has too, have no place in [`AgeingParameters`].
pub fn okane2022() -> PhysicsParameters {
    let mut cell = chen2020();
    cell.title = "LG M50 21700, graphite-SiOx/NMC811, 5 Ah, with ageing".into();
    cell.source = "O'Kane et al., Phys. Chem. Chem. Phys. 24 (2022) 7909; cell: Chen et al., J. Electrochem. Soc. 167 \
                   (2020) 080534; activation energies: Ecker et al., J. Electrochem. Soc. 162 (2015) A1836; electrolyte: \
                   Nyman et al., Electrochim. Acta 53 (2008) 6356. Values as in PyBaMM 26.10."
        .into();
    cell.negative.ocp_v = Function::Table(Arc::new(spline(&GRAPHITE_OCP_V, 0.000_38)));
    cell.negative.conductivity_s_per_m *= (1.0 - cell.negative.porosity).powf(1.5);
    cell.negative.diffusivity_m2_per_s = Arrhenius::new(3.3e-14, 30.3e3);
    cell.positive.conductivity_s_per_m *= (1.0 - cell.positive.porosity).powf(1.5);
    cell.positive.diffusivity_m2_per_s = Arrhenius::new(4e-15, 25e3);
    cell.electrolyte = chen2020::electrolyte(17e3);
    cell.ageing = Some(AgeingParameters {
        sei: Some(SeiGrowth {
            initial_thickness_m: 5e-9,
            interstitial_mol_per_m_s: 1e-20 * 15.0,
            activation_j_per_mol: 38e3,
            molar_volume_m3_per_mol: 9.585e-5,
            // Two would be right for the usual compound; the paper fitted with one.
            lithium_per_formula: 1.0,
            resistivity_ohm_m: 2e5,
        }),
        plating: Some(LithiumPlating {
            rate_m_per_s: 1e-9,
            transfer: 0.65,
            dead_per_s: 1e-6,
            only_below_zero: false,
        }),
        negative_loss: None,
        positive_loss: None,
    });
    balanced(cell, [29866.0 / 33133.0, 17038.0 / 63104.0])
}

/// Cubic spline through `points` (ascending, at least four), whose third derivative is continuous at the second and the
/// last but one ("not-a-knot"), tabulated at the points and evenly between them, no wider than `step`.
fn spline(points: &[[f64; 2]], step: f64) -> Table1 {
    let n = points.len();
    let h: Vec<f64> = points.windows(2).map(|w| w[1][0] - w[0][0]).collect();
    let slope: Vec<f64> = points.windows(2).zip(&h).map(|(w, h)| (w[1][1] - w[0][1]) / h).collect();
    // Second derivatives m: h0 m0 + 2 (h0 + h1) m1 + h1 m2 = 6 (s1 - s0), with m0 and m(n-1) put in terms of the next two.
    let (mut diagonal, mut right) = (vec![0.0; n], vec![0.0; n]);
    let (first, last) = (h[0] / h[1], h[n - 2] / h[n - 3]);
    let mut upper = vec![0.0; n];
    for i in 1..n - 1 {
        let (mut lower, mut middle) = (h[i - 1], 2.0 * (h[i - 1] + h[i]));
        upper[i] = h[i];
        right[i] = 6.0 * (slope[i] - slope[i - 1]);
        if i == 1 {
            middle += h[0] * (1.0 + first);
            upper[i] -= h[0] * first;
            lower = 0.0;
        }
        if i == n - 2 {
            middle += h[i] * (1.0 + last);
            lower -= h[i] * last;
        }
        let factor = if i == 1 { 0.0 } else { lower / diagonal[i - 1] };
        diagonal[i] = middle - factor * upper[i - 1];
        right[i] -= factor * right[i - 1];
    }
    let mut m = vec![0.0; n];
    for i in (1..n - 1).rev() {
        let above = if i == n - 2 { 0.0 } else { upper[i] * m[i + 1] };
        m[i] = (right[i] - above) / diagonal[i];
    }
    m[0] = (1.0 + first) * m[1] - first * m[2];
    m[n - 1] = (1.0 + last) * m[n - 2] - last * m[n - 3];
    let (mut x, mut y) = (vec![points[0][0]], vec![points[0][1]]);
    for i in 0..n - 1 {
        let pieces = (h[i] / step).ceil().max(1.0);
        let mut k = 1.0;
        while k < pieces {
            let (b, width) = (k / pieces, h[i] * h[i] / 6.0);
            let a = 1.0 - b;
            x.push(points[i][0] + b * h[i]);
            y.push(
                a * points[i][1]
                    + b * points[i + 1][1]
                    + ((a * a * a - a) * m[i] + (b * b * b - b) * m[i + 1]) * width,
            );
            k += 1.0;
        }
        x.push(points[i + 1][0]);
        y.push(points[i + 1][1]);
    }
    Table1 { x, y }
}

/// Measured open-circuit potential of graphite-SiOx (Chen et al. 2020): stoichiometry and V. The first and the last points
/// were added to reach 0 and 1.
#[rustfmt::skip]
const GRAPHITE_OCP_V: [[f64; 2]; 248] = [
    [0.0, 1.817727], [0.0312962, 1.082881], [0.034999, 0.995938], [0.0387018, 0.900234], [0.0424046, 0.796494],
    [0.0461074, 0.733544], [0.0498101, 0.666643], [0.0535129, 0.641371], [0.0572157, 0.598139], [0.0609184, 0.567084],
    [0.0646212, 0.547462], [0.068324, 0.530684], [0.0720268, 0.513047], [0.0757295, 0.493941], [0.0794323, 0.479263],
    [0.083135, 0.460653], [0.0868378, 0.459927], [0.0905405, 0.438015], [0.0942433, 0.424387], [0.0979461, 0.411503],
    [0.1016488, 0.400337], [0.1053516, 0.389571], [0.1090543, 0.377565], [0.1127571, 0.362925], [0.1164598, 0.343571],
    [0.1201626, 0.340631], [0.1238654, 0.322995], [0.1275681, 0.313795], [0.1312709, 0.307954], [0.1349736, 0.292073],
    [0.1386764, 0.286977], [0.1423791, 0.274055], [0.1460819, 0.26705], [0.1497846, 0.258575], [0.1534874, 0.252658],
    [0.1571902, 0.248268], [0.1608929, 0.241434], [0.1645957, 0.233628], [0.1682985, 0.229562], [0.1720012, 0.223702],
    [0.175704, 0.221813], [0.1794067, 0.220897], [0.1831095, 0.219427], [0.1868123, 0.218301], [0.190515, 0.218453],
    [0.1942178, 0.217537], [0.1979206, 0.217194], [0.2016233, 0.216354], [0.2053261, 0.216678], [0.2090289, 0.217384],
    [0.2127316, 0.214693], [0.2164344, 0.215418], [0.2201372, 0.214655], [0.2238399, 0.213548], [0.2275427, 0.21393],
    [0.2312455, 0.210742], [0.2349482, 0.208738], [0.238651, 0.204653], [0.2423538, 0.202057], [0.2460565, 0.197744],
    [0.2497593, 0.194441], [0.2534621, 0.191903], [0.2571649, 0.188505], [0.2608676, 0.185814], [0.2645704, 0.183275],
    [0.2682731, 0.181577], [0.2719759, 0.178141], [0.2756787, 0.175297], [0.2793814, 0.171937], [0.2830842, 0.169342],
    [0.286787, 0.167566], [0.2904897, 0.166097], [0.2941925, 0.16415], [0.2978953, 0.162604], [0.3015981, 0.162241],
    [0.3053008, 0.160027], [0.3090036, 0.158271], [0.3127064, 0.158805], [0.3164091, 0.155522], [0.3201119, 0.155809],
    [0.3238147, 0.152201], [0.3275174, 0.151113], [0.3312202, 0.149873], [0.334923, 0.148746], [0.3386258, 0.14678],
    [0.3423285, 0.146208], [0.3460313, 0.145559], [0.3497341, 0.143898], [0.3534369, 0.143593], [0.3571396, 0.142428],
    [0.3608424, 0.140386], [0.3645452, 0.138821], [0.3682479, 0.139546], [0.3719507, 0.13947], [0.3756535, 0.137809],
    [0.3793563, 0.139737], [0.383059, 0.136989], [0.3867618, 0.135233], [0.3904646, 0.134412], [0.3941674, 0.13529],
    [0.3978701, 0.13508], [0.4015729, 0.136473], [0.4052757, 0.136015], [0.4089784, 0.134355], [0.4126812, 0.133476],
    [0.416384, 0.134832], [0.4200868, 0.132751], [0.4237895, 0.132866], [0.4274923, 0.132637], [0.4311951, 0.134564],
    [0.4348978, 0.134717], [0.4386006, 0.133954], [0.4423034, 0.134488], [0.4460061, 0.133476], [0.4497089, 0.13298],
    [0.4534117, 0.132598], [0.4571144, 0.133381], [0.4608172, 0.133095], [0.4645199, 0.132751], [0.4682227, 0.134431],
    [0.4719254, 0.133152], [0.4756282, 0.132713], [0.479331, 0.133018], [0.4830337, 0.132789], [0.4867365, 0.132255],
    [0.4904393, 0.133171], [0.494142, 0.132637], [0.4978448, 0.131873], [0.5015476, 0.132656], [0.5052504, 0.132503],
    [0.5089531, 0.133247], [0.5126559, 0.132045], [0.5163586, 0.132427], [0.5200614, 0.132331], [0.5237642, 0.131988],
    [0.5274669, 0.132541], [0.5311697, 0.131453], [0.5348725, 0.13298], [0.5385752, 0.131682], [0.542278, 0.131358],
    [0.5459807, 0.13235], [0.5496835, 0.131205], [0.5533863, 0.1309], [0.557089, 0.131091], [0.5607918, 0.130823],
    [0.5644945, 0.130117], [0.5681973, 0.129869], [0.5719001, 0.129926], [0.5756028, 0.12943], [0.5793056, 0.12796],
    [0.5830084, 0.128628], [0.5867111, 0.126567], [0.5904139, 0.127349], [0.5941166, 0.125097], [0.5978194, 0.121108],
    [0.6015222, 0.118398], [0.605225, 0.112442], [0.6089277, 0.113072], [0.6126305, 0.109216], [0.6163332, 0.106831],
    [0.620036, 0.10433], [0.6237388, 0.105304], [0.6274416, 0.10057], [0.6311443, 0.099501], [0.6348471, 0.098547],
    [0.6385499, 0.099215], [0.6422527, 0.095416], [0.6459554, 0.099806], [0.6496582, 0.098661], [0.653361, 0.095607],
    [0.6570638, 0.097554], [0.6607666, 0.096123], [0.6644693, 0.094309], [0.6681721, 0.096619], [0.6718749, 0.09366],
    [0.6755777, 0.095225], [0.6792804, 0.095359], [0.6829832, 0.093164], [0.686686, 0.0945], [0.6903888, 0.093088],
    [0.6940916, 0.093431], [0.6977943, 0.09324], [0.7014971, 0.093508], [0.7051999, 0.093393], [0.7089026, 0.092916],
    [0.7126054, 0.09303], [0.7163082, 0.09263], [0.720011, 0.09324], [0.7237137, 0.092611], [0.7274165, 0.092496],
    [0.7311193, 0.092401], [0.734822, 0.092534], [0.7385248, 0.092095], [0.7422276, 0.092343], [0.7459303, 0.09366],
    [0.7496331, 0.093336], [0.7533359, 0.093221], [0.7570387, 0.092649], [0.7607415, 0.092534], [0.7644442, 0.092439],
    [0.768147, 0.092305], [0.7718498, 0.093107], [0.7755525, 0.091656], [0.7792553, 0.091599], [0.7829581, 0.092076],
    [0.7866609, 0.091752], [0.7903636, 0.091771], [0.7940664, 0.092362], [0.7977692, 0.09242], [0.801472, 0.093202],
    [0.8051747, 0.092], [0.8088775, 0.091675], [0.8125803, 0.093221], [0.816283, 0.091904], [0.8199858, 0.091675],
    [0.8236886, 0.092859], [0.8273914, 0.091809], [0.8310941, 0.091503], [0.8347969, 0.091866], [0.8384997, 0.092019],
    [0.8422024, 0.093202], [0.8459052, 0.091313], [0.849608, 0.091179], [0.8533107, 0.091332], [0.8570135, 0.090893],
    [0.8607163, 0.090587], [0.8644191, 0.090511], [0.8681219, 0.090339], [0.8718246, 0.090415], [0.8755274, 0.091122],
    [0.8792302, 0.089461], [0.882933, 0.089996], [0.8866357, 0.089213], [0.8903385, 0.088812], [0.8940413, 0.087972],
    [0.897744, 0.087094], [0.9014468, 0.085033], [0.902, 0.084982], [0.9117778, 0.084088], [0.9215556, 0.083193],
    [0.9313333, 0.082298], [0.9411111, 0.081404], [0.9508889, 0.080509], [0.9606667, 0.079614], [0.9704444, 0.07872],
    [0.9802222, 0.077825], [0.99, 0.07693], [1.0, 0.076015],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spline_of_a_cubic_is_that_cubic() {
        let cubic = |x: f64| 1.0 + x - 3.0 * x * x + 2.0 * x * x * x;
        let points: Vec<[f64; 2]> = [0.0, 0.2, 0.25, 0.5, 0.7, 1.0].iter().map(|&x| [x, cubic(x)]).collect();
        let table = spline(&points, 0.01);
        assert!(table.x.len() >= 101 && Table1::new(table.x.clone(), table.y.clone()).is_ok());
        for (x, y) in table.x.iter().zip(&table.y) {
            assert!((y - cubic(*x)).abs() < 1e-12, "{x}");
        }
    }
}
