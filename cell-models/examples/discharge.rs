//! Discharges an LG M50 cell at 1C from full to empty and prints a line every five minutes:
//! `cargo run --release -p cell-models --example discharge`.

use cell_models::Plant;
use cell_models::physics::{SpmeCell, sets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A full cell at 25 degC; `sets` has more of them.
    let mut cell = SpmeCell::new(sets::okane2022(), 1.0, 25.0)?;
    let [empty_v, _] = cell.voltage_limits_v();
    cell.set_current(5.0)?; // in A; positive discharges
    println!("  min  voltage/V  surface/degC  SOC/%");
    for second in 0.. {
        if second % 300 == 0 || cell.voltage_v() < empty_v {
            let (minutes, soc) = (f64::from(second) / 60.0, 100.0 * cell.soc());
            println!(
                "{minutes:5.1}  {:9.3}  {:12.1}  {soc:5.1}",
                cell.voltage_v(),
                cell.surface_temperature_c()
            );
        }
        if cell.voltage_v() < empty_v {
            break;
        }
        cell.advance(1.0)?; // in s
    }
    Ok(())
}
