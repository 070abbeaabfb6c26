use super::*;
use crate::scenario::PackFacts;

/// A score with this main value for its packs, and what else such a scenario has.
pub(crate) fn scored(
    target: u32,
    scenario: &str,
    values: &[f64],
    others: &[(Quantity, f64)],
) -> ControlScore {
    let main = if target == 8 { Quantity::SpreadAtEnd } else { Quantity::DeltaT };
    let others = others
        .iter()
        .filter_map(|(q, v)| Reached::of(*q, &[*v]).map(|r| Reached { packs: values.len(), ..r }));
    ControlScore {
        target,
        scenario: scenario.into(),
        title: format!("Target {target}: {scenario}"),
        pack: "pack".into(),
        variant: "whole control".into(),
        whole: true,
        acts: true,
        main,
        limit: if target == 8 { 1.0 } else { 2.0 },
        lowest_allowed_v: 2.5,
        packs: values.len(),
        stopped: 0,
        values: values.to_vec(),
        reached: Reached::of(main, values).into_iter().chain(others).collect(),
    }
}

/// One scenario of each kind, all of them met, and one without a part.
pub(crate) fn scores() -> Vec<ControlScore> {
    use Quantity as Q;
    let charged = [(Q::ChargeTime, 29.0), (Q::Anode, 2.0)];
    let warmed =
        [(Q::HeatingRate, 1.6), (Q::SpecificHeatingRate, 1.1), (Q::HeatingCop, 0.8), (Q::SocSpent, 0.1)];
    let balanced =
        [(Q::SpreadAtStart, 5.0), (Q::EvenAfter, 60.0), (Q::BalancingEnergy, 900.0), (Q::LowestVoltage, 3.2)];
    let mut all = vec![
        scored(6, "target6_fast_charge", &[1.2, 1.8, 1.5], &charged),
        scored(6, cases::APART, &[3.0, 4.0], &[]),
        scored(7, "target7_preheat", &[1.9, 1.7], &warmed),
        scored(8, "target8_balance_nmc", &[0.8, 0.7], &balanced),
        scored(8, cases::EVEN, &[0.1, 0.2], &[(Q::BalancingEnergy, 0.0), (Q::LowestVoltage, 3.2)]),
    ];
    let without = ControlScore { variant: "passive".into(), whole: false, ..all[0].clone() };
    all.insert(1, ControlScore { values: vec![3.0, 5.0, 4.0], ..without });
    all
}

#[test]
fn the_bad_side_counts() {
    let values: Vec<f64> = (1..=200).map(f64::from).collect();
    let high = Reached::of(Quantity::DeltaT, &values).unwrap();
    assert_eq!([high.median, high.p95, high.worst], [100.0, 190.0, 200.0]);
    let low = Reached::of(Quantity::HeatingRate, &values).unwrap();
    assert_eq!([low.median, low.p95, low.worst], [101.0, 11.0, 1.0]);
    assert!((high.mean - 100.5).abs() < 1e-9 && high.packs == 200);
    let one = Reached::of(Quantity::DeltaT, &[3.0]).unwrap();
    assert_eq!([one.median, one.p95, one.worst], [3.0; 3]);
    assert!(Reached::of(Quantity::DeltaT, &[]).is_none());
}

#[test]
fn figures_grow_when_things_get_worse() {
    let value = |s: &ControlScore, end: &str| {
        let found = s.figures().into_iter().find(|f| f.name.ends_with(end));
        found.unwrap_or_else(|| panic!("{end}")).value
    };
    let of = |q, v| scored(6, "x", &[1.0], &[(q, v)]);
    for (q, end, good, bad) in [
        (Quantity::HeatingRate, "warming by 30 K", 1.6, 1.4),
        (Quantity::Anode, "below 0 V by", 3.0, -3.0),
        (Quantity::ChargeTime, "10 to 80 %", 29.0, 31.0),
    ] {
        assert!(value(&of(q, bad), end) > value(&of(q, good), end), "{end}");
    }
    assert!((value(&scored(6, "x", &[1.0, 2.5], &[]), "largest ΔT") - 2.5).abs() < 1e-12);
    let part = ControlScore { whole: false, ..scored(6, "x", &[1.0], &[]) };
    assert!(part.figures().is_empty(), "only the whole control is bounded");
    assert!(scored(6, "x", &[1.0], &[]).figures().iter().all(|f| f.plants));
}

#[test]
fn targets_are_met_by_every_pack_or_missed() {
    let met = |scores: &[ControlScore]| -> Vec<(u32, bool)> {
        outcomes(scores).iter().map(|t| (t.number, t.met)).collect()
    };
    let good = scores();
    assert_eq!(met(&good), [(6, true), (6, false), (6, true), (7, true), (8, true), (8, true)]);
    let mut bad = good.clone();
    bad[0] = scored(6, "target6_fast_charge", &[1.2, 2.1], &[(Quantity::ChargeTime, 31.0)]);
    bad[3] = scored(7, "target7_preheat", &[1.9], &[(Quantity::HeatingRate, 1.4)]);
    bad[4] = scored(8, "target8_balance_nmc", &[0.5], &[(Quantity::LowestVoltage, 2.4)]);
    bad[5] = scored(8, cases::EVEN, &[0.1], &[(Quantity::BalancingEnergy, 20.0)]);
    assert!(met(&bad).iter().all(|(_, met)| !met), "{:?}", outcomes(&bad));
    // A pack that never got to 80 %, and one that the plant stopped.
    let mut never = good.clone();
    never[0].reached[1].packs = 2;
    assert!(!met(&never)[2].1);
    let mut stopped = good;
    stopped[0].values.pop();
    stopped[0].stopped = 1;
    assert!(!met(&stopped)[0].1);
    assert!(outcomes(&[]).is_empty());
}

#[test]
fn scenarios_and_packs_are_built_in() {
    for case in CASES {
        let scenario = case.scenario().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let file = PackFile::parse(case.pack.text, case.pack.name.as_ref()).unwrap();
        scenario
            .check_against(&PackFacts::of(&file).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(
            scenario.pack.file_name(),
            std::path::Path::new(case.pack.name).file_name(),
            "{}",
            case.name
        );
        let [whole, passive, ..] = case.variants else { panic!("{}: too few variants", case.name) };
        assert!(whole.whole() && !passive.whole() && passive.name.starts_with("passive"), "{}", case.name);
        for variant in &case.variants[1..] {
            let mut control = scenario.control;
            (variant.change)(&mut control);
            assert_ne!(control, scenario.control, "{}: {}", case.name, variant.name);
        }
    }
}
