//! Writes what the simulated Google Play, Amazon and Discord push for a small population, what vouches for it, and every forgery into a
//! folder, for checks by other programs (`scripts/store-signatures-check`).
//!
//! Usage: `store_samples FOLDER [CUSTOMERS] [SEED]`

use paidup_simulator::calendar::Calendar;
use paidup_simulator::edge::Clock;
use paidup_simulator::lives::Told;
use paidup_simulator::population::{Population, PopulationOptions};
use paidup_simulator::stores::amazon::Amazon;
use paidup_simulator::stores::discord::{self, Discord};
use paidup_simulator::stores::forgery::Forgery;
use paidup_simulator::stores::play::{self, Play};
use paidup_simulator::stores::{Played, amazon};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: store_samples FOLDER [CUSTOMERS] [SEED]")?);
    let customers = arguments.next().map_or(Ok(30), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let options = PopulationOptions { customers, seed, ..PopulationOptions::default() };

    let package_name: Arc<str> = Arc::from("com.example.paidup");
    let play = Play::new(play::wire::App { package_name: Arc::clone(&package_name), is_tested: false }, true);
    let told = write(&folder.join("play"), &play, options)?;
    let first = told.iter().find_map(Told::play).ok_or("Google told nothing")?;
    forge(&folder.join("play"), &play::forgeries::all(&play, first, Clock::System.now_ms()))?;
    let about = json!({
        "keys": play.google().key_set(), "audience": play::AUDIENCE, "email": play::PUSH_ACCOUNT,
        "credentials": play.credentials()
    });
    std::fs::write(folder.join("play/about.json"), about.to_string())?;

    // An odd seed signs with version 1, an even one with version 2.
    for (name, seed) in [("amazon-1", 1), ("amazon-2", 2)] {
        let app = amazon::wire::App { package_name: Arc::clone(&package_name), is_beta: false };
        let amazon = Amazon::new(seed, app, true)?;
        let told = write(&folder.join(name), &amazon, options)?;
        let first = told.iter().find_map(Told::amazon).ok_or("Amazon told nothing")?;
        forge(&folder.join(name), &amazon::forgeries::all(&amazon, first)?)?;
        std::fs::write(
            folder.join(name).join("genuine/confirmation.json"),
            amazon.confirmation(Clock::System.now_ms()),
        )?;
        std::fs::write(folder.join(name).join("certificate.pem"), amazon.certificate())?;
        let about = json!({"topic_arn": amazon.topic_arn(), "origin": amazon.origin()});
        std::fs::write(folder.join(name).join("about.json"), about.to_string())?;
    }

    let discord = Discord::new(seed, discord::wire::App::of_seed(seed));
    let told = write(&folder.join("discord"), &discord, options)?;
    let first = told.iter().find_map(|told| told.discord()?.event.as_ref()).ok_or("Discord told nothing")?;
    let now = Clock::System.now_ms();
    forge(&folder.join("discord"), &discord::forgeries::all(&discord, first, now))?;
    let ping = discord.ping();
    std::fs::write(folder.join("discord/genuine/ping.json"), &ping)?;
    std::fs::write(folder.join("discord/genuine/ping.headers"), lines(&discord.headers(&ping, now)))?;
    let about = json!({"application_id": discord.app().id.to_string(), "public_key": discord.public_key()});
    std::fs::write(folder.join("discord/about.json"), about.to_string())?;
    Ok(())
}

/// Everything that this store tells, each with its headers.
fn write(folder: &Path, store: &dyn Played, options: PopulationOptions) -> Result<Vec<Told>, Box<dyn Error>> {
    std::fs::create_dir_all(folder.join("genuine"))?;
    let now = Clock::System.now_ms();
    let told: Vec<Told> =
        Population::new(options, Calendar::new(now - 3_600_000, 432_000.0), vec![store.shop()]).collect();
    for (number, told) in told.iter().enumerate().filter(|(_, told)| !told.is_silent()) {
        let body = store.body(&told.said)?;
        let headers = store.headers(&body, now);
        let name = format!("genuine/{number:05}-{:?}", told.turn);
        std::fs::write(folder.join(format!("{name}.json")), &body)?;
        std::fs::write(folder.join(format!("{name}.headers")), lines(&headers))?;
    }
    Ok(told)
}

fn forge(folder: &Path, forgeries: &[Forgery]) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder.join("forged"))?;
    for forgery in forgeries {
        let name = forgery.name.replace(' ', "-");
        std::fs::write(folder.join(format!("forged/{name}.json")), &forgery.body)?;
        std::fs::write(folder.join(format!("forged/{name}.headers")), lines(&forgery.headers))?;
    }
    Ok(())
}

fn lines(headers: &[(&str, String)]) -> String {
    // A header that stands there twice reads as one with a comma.
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        all.entry(name).and_modify(|all| *all = format!("{all}, {value}")).or_insert_with(|| value.clone());
    }
    json!(all).to_string()
}
