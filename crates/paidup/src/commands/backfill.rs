//! `paidup backfill`: brings a destination up to date for all customers, through the running hub, and shows how far it is.

use super::running_hub::RunningHub;
use anyhow::{Result, bail};
use paidup_hub::config::Config;
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How often the hub is asked.
const LOOK: Duration = Duration::from_secs(1);
/// Failures that are printed at the end.
const SHOWN: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A destination's id: begins a back-fill of it and follows it. Or a back-fill's id: follows that one.
    id: String,
    /// Only begins it, or says how it stands, and does not wait for its end.
    #[arg(long)]
    no_wait: bool,
    /// Goes on with a paused back-fill (by its id).
    #[arg(long, conflicts_with_all = ["pause", "cancel"])]
    resume: bool,
    /// Holds a back-fill (by its id).
    #[arg(long, conflicts_with = "cancel")]
    pause: bool,
    /// Ends a back-fill (by its id).
    #[arg(long)]
    cancel: bool,
    /// As JSON: one line each time something has changed, the last one at its end.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// What is to be asked of the hub first.
    fn first_call(&self) -> Result<(&'static str, String)> {
        let action = match (self.resume, self.pause, self.cancel) {
            (true, _, _) => Some("resume"),
            (_, true, _) => Some("pause"),
            (_, _, true) => Some("cancel"),
            (false, false, false) => None,
        };
        if self.id.starts_with("dst_") {
            return match action {
                None => Ok(("POST", format!("/v1/destinations/{}/backfills", self.id))),
                Some(action) => bail!("--{action} takes the id of a back-fill (bkf_...), not of a destination"),
            };
        }
        if !self.id.starts_with("bkf_") {
            bail!("{} is the id of neither a destination (dst_...) nor a back-fill (bkf_...)", self.id);
        }
        Ok(match action {
            None => ("GET", format!("/v1/backfills/{}", self.id)),
            Some(action) => ("POST", format!("/v1/backfills/{}/{action}", self.id)),
        })
    }
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let (method, path) = arguments.first_call()?;
    let hub = RunningHub::find(&config)?;
    let mut stand = hub.call(method, &path, None).await?;
    let mut line = Line::new(arguments.json);
    line.show(&stand)?;
    let path = format!("/v1/backfills/{}", text(&stand, "id"));
    while !arguments.no_wait && stand["state"] == "running" {
        tokio::time::sleep(LOOK).await;
        stand = hub.call("GET", &path, None).await?;
        line.show(&stand)?;
    }
    line.end()?;
    if !arguments.json && stand["failed"] != 0 {
        let failures = hub.call("GET", &format!("{path}/failures?limit={SHOWN}"), None).await?;
        for one in failures["data"].as_array().into_iter().flatten() {
            println!("  {}  {}", text(one, "customer_id"), text(one, "reason"));
        }
    }
    let waits_for_nobody = arguments.no_wait || arguments.pause || arguments.cancel;
    let went_well = stand["state"] == "done" && stand["failed"] == 0;
    Ok(if went_well || waits_for_nobody { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text<'a>(stand: &'a Value, name: &str) -> &'a str {
    stand[name].as_str().unwrap_or_default()
}

/// How a back-fill stands, in one line.
fn in_words(stand: &Value) -> String {
    let number = |name: &str| stand[name].as_u64().unwrap_or(0);
    let (done, total) = (number("done"), number("total"));
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    let mut words = format!("{} {}: {done} of {total} ({percent} %)", text(stand, "id"), text(stand, "state"));
    for (name, what) in [("failed", "failed"), ("skipped", "skipped")] {
        if number(name) > 0 {
            words.push_str(&format!(", {} {what}", number(name)));
        }
    }
    if let (Some(pace), Some(eta)) = (stand["per_minute"].as_u64(), stand["eta"].as_str()) {
        words.push_str(&format!(", {pace} a minute, through at {eta}"));
    }
    if let Some(reason) = stand["reason"].as_str() {
        words.push_str(&format!("; {reason}"));
    }
    words
}

/// A line that is written over on a terminal, and begun anew elsewhere.
struct Line {
    as_json: bool,
    terminal: bool,
    last: Value,
    width: usize,
}

impl Line {
    fn new(as_json: bool) -> Line {
        Line { as_json, terminal: std::io::stdout().is_terminal() && !as_json, last: Value::Null, width: 0 }
    }

    fn show(&mut self, stand: &Value) -> Result<()> {
        // The pace and the end move all the time; progress is what counts.
        let key = |stand: &Value| (stand["state"].clone(), stand["done"].clone(), stand["reason"].clone());
        if key(&self.last) == key(stand) {
            return Ok(());
        }
        self.last = stand.clone();
        let mut out = std::io::stdout().lock();
        if self.as_json {
            writeln!(out, "{stand}")?;
        } else if self.terminal {
            let words = in_words(stand);
            write!(out, "\r{words:<width$}", width = self.width)?;
            self.width = words.chars().count();
        } else {
            writeln!(out, "{}", in_words(stand))?;
        }
        Ok(out.flush()?)
    }

    fn end(&self) -> Result<()> {
        if self.terminal {
            writeln!(std::io::stdout())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_how_it_stands() {
        let running = json!({
            "id": "bkf_1", "state": "running", "done": 250, "total": 1000, "failed": 3, "skipped": 0,
            "per_minute": 500, "eta": "2026-01-01T00:01:30Z", "reason": null
        });
        let table = [
            (running, "bkf_1 running: 250 of 1000 (25 %), 3 failed, 500 a minute, through at 2026-01-01T00:01:30Z"),
            (
                json!({"id": "bkf_1", "state": "paused", "done": 0, "total": 9, "reason": "why"}),
                "bkf_1 paused: 0 of 9 (0 %); why",
            ),
            (json!({"id": "bkf_1", "state": "done", "done": 0, "total": 0}), "bkf_1 done: 0 of 0 (100 %)"),
        ];
        for (stand, expected) in table {
            assert_eq!(in_words(&stand), expected);
        }
    }

    #[test]
    fn an_id_says_what_is_asked() {
        let arguments = |id: &str, action: &str| Arguments {
            id: id.to_owned(),
            no_wait: false,
            resume: action == "resume",
            pause: action == "pause",
            cancel: action == "cancel",
            json: false,
        };
        let table = [
            ("dst_1", "", Some(("POST", "/v1/destinations/dst_1/backfills"))),
            ("bkf_1", "", Some(("GET", "/v1/backfills/bkf_1"))),
            ("bkf_1", "resume", Some(("POST", "/v1/backfills/bkf_1/resume"))),
            ("bkf_1", "pause", Some(("POST", "/v1/backfills/bkf_1/pause"))),
            ("bkf_1", "cancel", Some(("POST", "/v1/backfills/bkf_1/cancel"))),
            ("dst_1", "cancel", None),
            ("evt_1", "", None),
        ];
        for (id, action, expected) in table {
            let call = arguments(id, action).first_call().ok();
            assert_eq!(call.as_ref().map(|(method, path)| (*method, path.as_str())), expected, "{id} {action}");
        }
    }
}
