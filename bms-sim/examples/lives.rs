//! Prints check-ups of lives.
//!
//! ```text
//! cargo run --release -p bms-sim --example lives -- mohtat2020 0.8 0.4 good 4 1 temperate
//! ```
//!
//! takes a plant, the SOC charged and driven to, the sensors, how much faster ageing runs, a seed, and
//! the weather (`temperate` or `chamber`).

use std::error::Error;

use bms_sim::lives::{Habit, KnownCell, Life, Weather, live};
use bms_sim::sensors::SensorCorner;
use clap::ValueEnum;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plant, charge_to, drive_to, sensors, faster, seed, weather] = &arguments[..] else {
        return Err("usage: lives PLANT CHARGE_TO DRIVE_TO SENSORS FASTER SEED WEATHER".into());
    };
    let life = Life {
        plant: plant.clone(),
        habit: Habit { charge_to: charge_to.parse()?, drive_to: drive_to.parse()? },
        weather: if weather == "chamber" { Weather::CHAMBER } else { Weather::TEMPERATE },
        sensors: SensorCorner::from_str(sensors, true)?,
        seed: seed.parse()?,
        faster: faster.parse()?,
        longest_days: 1000,
    };
    let start = std::time::Instant::now();
    let cell = KnownCell::identified(plant)?;
    println!("identified in {:.1} s", start.elapsed().as_secs_f64());
    let outcome = live(&life, &cell)?;
    println!("  day cycles |  SOH_Q   est  err (std) |  SOH_R   est  err% (std) | SOC max | windows");
    for c in &outcome.check_ups {
        println!(
            "{:5} {:6.1} | {:6.2} {:6.2} {:+5.2} ({:.2}) | {:6.3} {:6.3} {:+5.2} ({:.2}) | {:5.2} | {}",
            c.day,
            c.cycles,
            100.0 * c.soh_q,
            100.0 * c.soh_q_estimated,
            c.soh_q_points(),
            100.0 * c.soh_q_std,
            c.soh_r,
            c.soh_r_estimated,
            c.soh_r_percent(),
            100.0 * c.soh_r_std / c.soh_r,
            c.soc_max_points,
            c.windows
        );
    }
    println!(
        "largest: SOH_Q {:.2} points, SOH_R {:.2} %, SOC {:.2} points; {:.1} s",
        outcome.soh_q_max_points().unwrap_or(f64::NAN),
        outcome.soh_r_max_percent().unwrap_or(f64::NAN),
        outcome.soc_max_points().unwrap_or(f64::NAN),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
