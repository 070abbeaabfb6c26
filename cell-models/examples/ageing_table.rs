//! Prints what the ageing parameters do: storage for a year, full cycles, cold charging. The tables in the documentation
//! of `physics/ageing.rs` come from here.

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/support/ageing.rs"]
mod support;

use cell_models::physics::SpmeCell;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("Capacity lost in a year of storage in %\n");
    println!("| Cell | 10 degC, 50 % | 25 degC, 50 % | 25 degC, 100 % | 45 degC, 50 % | 45 degC, 100 % |");
    println!("|---|---|---|---|---|---|");
    for (name, p) in support::cells() {
        print!("| {name} |");
        for (celsius, soc) in [(10.0, 0.5), (25.0, 0.5), (25.0, 1.0), (45.0, 0.5), (45.0, 1.0)] {
            let (left, _) = support::store(&p, soc, celsius, 4);
            print!(" {:.1} |", 100.0 * (1.0 - left[3]));
        }
        println!();
    }
    println!(
        "\nFull cycles to 80 %; there, of the new cell's in %: lithium lost, active material lost (negative, positive)\n"
    );
    println!(
        "| Cell | charge, discharge | degC | cycles | lithium | material | lowest anode potential, new, in V |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, p) in support::cells().into_iter().skip(1) {
        for (rates, celsius) in
            [([1.0, 1.0], 25.0), ([1.0, 1.0], 45.0), ([0.33, 1.0], 25.0), ([1.0, 1.0], -10.0)]
        {
            let factor = if celsius < 0.0 { 10.0 } else { 40.0 };
            let (cycles, cell) = support::cycles_to(&p, rates, celsius, 0.8, factor, 300)?;
            let mut new = SpmeCell::new(p.clone(), 0.0, celsius)?;
            let lowest_v = support::cycle(&mut new, rates[0], rates[1])?;
            let w = cell.wear();
            println!(
                "| {name} | {}C, {}C | {celsius} | {cycles:.0} | {:.1} | {:.1}, {:.1} | {lowest_v:.3} |",
                rates[0],
                rates[1],
                100.0 * w.lithium,
                100.0 * w.negative_material,
                100.0 * w.positive_material,
            );
        }
    }
    Ok(())
}
