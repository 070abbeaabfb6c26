//! Packs of simulated cells: the same every time, and within bounds.

use bms_sim::packs::{PackError, PackOptions, run};
use bms_sim::plants::Plant;

fn options() -> PackOptions {
    PackOptions { packs: 1, days: 4, ambients_c: vec![25.0], compare: true, ..PackOptions::default() }
}

#[test]
fn every_cell_of_a_pack_is_known_and_the_leaky_one_is_found() {
    let plant = Plant::by_name("kim2011").expect("a plant of this name");
    let outcomes = run(&[plant], &options()).unwrap();
    let o = &outcomes[0];
    println!("{o:#?}");
    assert_eq!((outcomes.len(), o.cells), (1, 100));
    assert!(o.bms.max_points < 1.5 && o.bms.rmse_points < 0.3 && o.bms.coverage > 0.99, "{:?}", o.bms);
    assert!(o.weakest_max_points < 1.5 && o.fullest_max_points < 1.5 && o.pack_soc_max_points < 2.0);
    // Light filters must not be worse than full ones.
    let full = o.full_filters.unwrap();
    assert!(o.bms.rmse_points < full.rmse_points, "{full:?}");
    assert!(o.capacity_rmse_percent < 0.3 * o.capacity_spread_percent, "{}", o.capacity_rmse_percent);
    assert!(o.current_offset_max_a < 0.005, "{}", o.current_offset_max_a);
    let leak = o.leak.unwrap();
    assert!(leak.detected_h.is_some_and(|h| h < 100.0), "{leak:?}");
    assert!((leak.estimated_a / leak.true_a - 1.0).abs() < 0.2, "{leak:?}");
    assert_eq!(o.false_leaks, 0);
}

#[test]
fn the_same_options_give_the_same_outcome_and_nothing_is_an_error() {
    let plant = Plant::by_name("okane2022").expect("a plant of this name");
    let short = PackOptions { days: 1, compare: false, ..options() };
    let go = |options: &PackOptions| run(&[plant], options);
    assert_eq!(go(&short).unwrap(), go(&short).unwrap());
    assert_ne!(go(&short).unwrap(), go(&PackOptions { seed: 2, ..short.clone() }).unwrap());
    for nothing in [
        PackOptions { packs: 0, ..short.clone() },
        PackOptions { days: 0, ..short.clone() },
        PackOptions { ambients_c: vec![], ..short },
    ] {
        assert!(matches!(go(&nothing), Err(PackError::Nothing(_))));
    }
}
