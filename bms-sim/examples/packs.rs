//! Packs of simulated cells and the pack estimator's errors: `packs [DAYS] [PLANT...]`.

use anyhow::Result;
use bms_sim::packs::{PackOptions, run};
use bms_sim::plants::{PLANTS, Plant};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let days = arguments.first().map_or(Ok(PackOptions::default().days), |d| d.parse())?;
    let named: Vec<Plant> = arguments.iter().skip(1).filter_map(|name| Plant::by_name(name)).collect();
    let plants = if named.is_empty() { PLANTS.to_vec() } else { named };
    for outcome in run(
        &plants,
        &PackOptions { days, packs: 2, ambients_c: vec![25.0, -10.0], ..PackOptions::default() },
    )? {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    }
    Ok(())
}
