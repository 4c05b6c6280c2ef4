//! Writes signed notifications of a small population, their root and every forgery into a folder, for checks by other
//! programs (`scripts/apple-library-check`).
//!
//! Usage: `apple_samples FOLDER [CUSTOMERS] [SEED]`

use paidup_simulator::calendar::{Calendar, DAY};
use paidup_simulator::edge::Clock;
use paidup_simulator::population::{Population, PopulationOptions, Shop};
use paidup_simulator::stores::app_store::wire::App;
use paidup_simulator::stores::app_store::{AppStore, forgeries};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: apple_samples FOLDER [CUSTOMERS] [SEED]")?);
    let customers = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;

    let app =
        App { bundle_id: Arc::from("com.example.paidup"), app_apple_id: 1_470_000_001, environment: "Production" };
    let store = AppStore::new(app.clone())?;
    let start = Clock::System.now_ms() - DAY;
    let options = PopulationOptions { customers, seed, ..PopulationOptions::default() };
    let population = Population::new(options, Calendar::new(start, 432_000.0), vec![Shop::AppStore(app.clone())]);

    for name in ["genuine", "forged"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    std::fs::write(folder.join("root.der"), store.root_der())?;
    let about = serde_json::json!({"bundle_id": &*app.bundle_id, "app_apple_id": app.app_apple_id});
    std::fs::write(folder.join("app.json"), about.to_string())?;
    let mut some = None;
    for (number, told) in population.enumerate() {
        let name = format!("{number:05}-{:?}.json", told.turn);
        let Some(said) = told.app_store() else { continue };
        std::fs::write(folder.join("genuine").join(name), store.body(said)?)?;
        some = some.or(said.renewal.is_some().then(|| said.clone()));
    }
    let some = some.ok_or("the population told nothing")?;
    for forgery in forgeries::all(&store, &some)? {
        let name = format!("{}.json", forgery.name.replace(' ', "-"));
        std::fs::write(folder.join("forged").join(name), forgery.body)?;
    }
    Ok(())
}
