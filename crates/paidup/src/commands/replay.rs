//! `paidup replay`: tells events again, through the running hub, and follows how far that is.

use super::running_hub::RunningHub;
use anyhow::{Result, bail};
use paidup_hub::config::Config;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// How often the hub is asked.
const LOOK: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// An event's id (evt_...): tells that one. A replay's id (rpl_...): follows that one. Absent: what the options name.
    id: Option<String>,
    /// Only to this destination (dst_...). Default: every one that is served; each is told what its filter wants.
    #[arg(long, value_name = "ID")]
    destination: Option<String>,
    /// Only events detected at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events detected before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only of these types, separated by commas.
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Only of this customer (id or alias).
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only of this purchase (pur_...).
    #[arg(long, value_name = "ID")]
    purchase: Option<String>,
    /// Only what was given up and has not arrived since.
    #[arg(long)]
    failed: bool,
    /// At most so many events a minute. Default: 3,000.
    #[arg(long, value_name = "N")]
    per_minute: Option<u32>,
    /// Holds a replay (by its id).
    #[arg(long, conflicts_with_all = ["resume", "cancel"])]
    pause: bool,
    /// Goes on with a paused replay (by its id).
    #[arg(long, conflicts_with = "cancel")]
    resume: bool,
    /// Ends a replay (by its id).
    #[arg(long)]
    cancel: bool,
    /// Only begins it, or says how it stands, and does not wait for its end.
    #[arg(long)]
    no_wait: bool,
    /// As JSON: one line each time something has changed, the last one at its end.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// What the options say of a new replay.
    fn wanted(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let texts = [
            ("destination", &self.destination),
            ("from", &self.from),
            ("to", &self.to),
            ("customer", &self.customer),
            ("purchase", &self.purchase),
        ];
        body.extend(texts.iter().filter_map(|(name, text)| Some(((*name).to_owned(), json!(text.as_ref()?)))));
        if !self.types.is_empty() {
            body.insert("types".to_owned(), json!(self.types));
        }
        if self.failed {
            body.insert("only".to_owned(), json!("failed"));
        }
        body.extend(self.per_minute.map(|most| ("per_minute".to_owned(), json!(most))));
        body
    }

    /// What is to be asked of the hub first.
    fn first_call(&self) -> Result<(&'static str, String, Option<Value>)> {
        let change = [(self.pause, "pause"), (self.resume, "resume"), (self.cancel, "cancel")];
        let change = change.into_iter().find_map(|(is_set, name)| is_set.then_some(name));
        let wanted = self.wanted();
        match (self.id.as_deref(), change) {
            (None, Some(change)) => bail!("--{change} takes the id of a replay (rpl_...)"),
            (None, None) if wanted.is_empty() => {
                bail!(
                    "what is to be told again? Name an event (evt_...), or a range with --from, --type, --customer, --destination, --failed"
                )
            }
            (None, None) => Ok(("POST", "/v1/replays".to_owned(), Some(wanted.into()))),
            (Some(id), None) if id.starts_with("evt_") => {
                if let Some(other) = wanted.keys().find(|name| *name != "destination") {
                    let option = if other == "only" { "failed".to_owned() } else { other.replace('_', "-") };
                    bail!("--{option} is for a range: leave out the event's id");
                }
                Ok(("POST", format!("/v1/events/{id}/replay"), Some(wanted.into())))
            }
            (Some(id), _) if !id.starts_with("rpl_") => {
                bail!("{id} is the id of neither an event (evt_...) nor a replay (rpl_...)")
            }
            (Some(_), _) if !wanted.is_empty() => {
                bail!("a replay stays as it was begun; cancel it and begin another one")
            }
            (Some(id), Some(change)) => Ok(("POST", format!("/v1/replays/{id}/{change}"), None)),
            (Some(id), None) => Ok(("GET", format!("/v1/replays/{id}"), None)),
        }
    }
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let (method, path, body) = arguments.first_call()?;
    let hub = RunningHub::find(&config)?;
    let mut stand = hub.call(method, &path, body.as_ref()).await?;
    if path.ends_with("/replay") {
        println!("{}", if arguments.json { stand.to_string() } else { told_to(&stand) });
        return Ok(ExitCode::SUCCESS);
    }
    let path = format!("/v1/replays/{}", stand["id"].as_str().unwrap_or_default());
    let mut last = String::new();
    loop {
        let line = if arguments.json { stand.to_string() } else { in_words(&stand) };
        if line != last {
            println!("{line}");
            last = line;
        }
        if arguments.no_wait || stand["state"] != "running" {
            break;
        }
        tokio::time::sleep(LOOK).await;
        stand = hub.call("GET", &path, None).await?;
    }
    let waits_for_nobody = arguments.no_wait || arguments.cancel || arguments.pause;
    Ok(if stand["state"] == "done" || waits_for_nobody { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who is told one event again.
fn told_to(answer: &Value) -> String {
    let names = answer["destinations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return "no destination wants it".to_owned();
    }
    format!("told again: {}", names.join(" "))
}

/// How a replay stands, in one line.
fn in_words(stand: &Value) -> String {
    let text = |name: &str| stand[name].as_str().unwrap_or_default();
    let number = |name: &str| stand[name].as_u64().unwrap_or(0);
    format!(
        "{} {}: {} told again, {} of {} events looked at",
        text("id"),
        text("state"),
        number("told"),
        number("looked_at"),
        number("total")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_line_says_how_it_stands() {
        let stand = json!({"id": "rpl_1", "state": "running", "told": 7, "looked_at": 40, "total": 100});
        assert_eq!(in_words(&stand), "rpl_1 running: 7 told again, 40 of 100 events looked at");
        assert_eq!(told_to(&json!({"destinations": ["dst_1", "dst_2"]})), "told again: dst_1 dst_2");
        assert_eq!(told_to(&json!({"destinations": []})), "no destination wants it");
    }

    #[test]
    fn the_options_say_what_is_asked() {
        let call = |line: &str| {
            let words = ["replay"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
            Line::try_parse_from(words).ok()?.arguments.first_call().ok()
        };
        for (line, expected) in [
            ("evt_1", Some(("POST", "/v1/events/evt_1/replay", json!({})))),
            ("evt_1 --destination dst_1", Some(("POST", "/v1/events/evt_1/replay", json!({"destination": "dst_1"})))),
            ("--type TEST,ACTIVATE", Some(("POST", "/v1/replays", json!({"types": ["TEST", "ACTIVATE"]})))),
            (
                "--from 2026-01-01T00:00:00Z --customer user-1 --per-minute 60",
                Some((
                    "POST",
                    "/v1/replays",
                    json!({"from": "2026-01-01T00:00:00Z", "customer": "user-1", "per_minute": 60}),
                )),
            ),
            ("--failed", Some(("POST", "/v1/replays", json!({"only": "failed"})))),
            ("evt_1 --failed", None),
            ("rpl_1", Some(("GET", "/v1/replays/rpl_1", Value::Null))),
            ("rpl_1 --cancel", Some(("POST", "/v1/replays/rpl_1/cancel", Value::Null))),
            ("rpl_1 --pause", Some(("POST", "/v1/replays/rpl_1/pause", Value::Null))),
            ("rpl_1 --resume", Some(("POST", "/v1/replays/rpl_1/resume", Value::Null))),
            ("", None),
            ("--cancel", None),
            ("rpl_1 --pause --resume", None),
            ("rpl_1 --type TEST", None),
            ("evt_1 --type TEST", None),
            ("dst_1", None),
        ] {
            let found = call(line);
            let found = found.map(|(method, path, body)| (method, path, body.unwrap_or_default()));
            let expected = expected.map(|(method, path, body)| (method, path.to_owned(), body));
            assert_eq!(found, expected, "{line}");
        }
    }
}
