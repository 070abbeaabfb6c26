//! Prints what the ageing parameters do: storage for a year, and full cycles.

#[path = "../tests/support/ageing.rs"]
mod support;

use std::time::Instant;

use cell_models::physics::SpmeCell;
use cell_models::Plant;

fn main() {
    println!("Capacity lost in percent after a year of storage, and what the film adds in mOhm");
    println!("| Cell | 10 degC, 50 % | 25 degC, 0 % | 25 degC, 50 % | 25 degC, 100 % | 45 degC, 50 % | 45 degC, 100 % |");
    for (name, p) in support::cells() {
        print!("| {name} |");
        for (celsius, soc) in [(10.0, 0.5), (25.0, 0.0), (25.0, 0.5), (25.0, 1.0), (45.0, 0.5), (45.0, 1.0)] {
            let (left, cell) = support::store(&p, soc, celsius, 4);
            print!(" {:.1}, {:.1} |", 100.0 * (1.0 - left[3]), 1e3 * cell.film_resistance_ohm());
        }
        println!();
    }
    println!("Full cycles to 80 %, and the state there");
    println!("| Cell | rates | degC | cycles | lithium lost % | of it film | negative, positive material lost % | film mOhm |");
    for (name, p) in support::cells() {
        for (rates, celsius) in [([1.0, 1.0], 25.0), ([1.0, 1.0], 45.0), ([0.33, 1.0], 25.0), ([1.0, 1.0], -10.0), ([0.33, 0.33], -10.0)] {
            let start = Instant::now();
            let factor = if celsius < 0.0 { 10.0 } else { 40.0 };
            match support::cycles_to(&p, rates, celsius, 0.8, factor, 300) {
                Ok((n, cell)) => {
                    let w = cell.wear();
                    println!(
                        "| {name} | {rates:?} | {celsius} | {n:.0} | {:.1} | {:.1} | {:.1}, {:.1} | {:.1} | {:?} {:.3}",
                        100.0 * w.lithium,
                        100.0 * w.film_lithium,
                        100.0 * w.negative_material,
                        100.0 * w.positive_material,
                        1e3 * cell.film_resistance_ohm(),
                        start.elapsed(), cell.capacity_ah()
                    );
                }
                Err(e) => println!("| {name} | {rates:?} | {celsius} | {e} |"),
            }
        }
        let mut cell = SpmeCell::new(p.clone(), 0.0, 25.0).expect("valid");
        print!("{name}: anode 25C C/3 {:.3} ", support::cycle(&mut cell, 0.33, 1.0).unwrap());
        print!("1C {:.3} ", support::cycle(&mut cell, 1.0, 1.0).unwrap());
        let mut cell = SpmeCell::new(p.clone(), 0.0, -10.0).expect("valid");
        println!("-10C 1C {:?}", support::cycle(&mut cell, 1.0, 1.0));
    }
}
