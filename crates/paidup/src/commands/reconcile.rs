//! `paidup reconcile`: compares what is known of a source with its store, through the running hub, and shows what is found.

use super::running_hub::RunningHub;
use anyhow::{Result, bail};
use paidup_hub::config::Config;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// How often the hub is asked.
const LOOK: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A source's id: begins to compare it and follows that. Or a run's id (rcn_...): follows that one.
    id: String,
    /// Compares the store's lists from this time on (RFC 3339). Default: since the source was last heard, less a day.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Asks about all purchases, those too that are over for long.
    #[arg(long)]
    all: bool,
    /// Only begins it, or says how it stands, and does not wait for its end.
    #[arg(long)]
    no_wait: bool,
    /// Ends a run (by its id).
    #[arg(long, conflicts_with_all = ["since", "all"])]
    cancel: bool,
    /// As JSON: one line each time something has changed, the last one at its end.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// What is to be asked of the hub first.
    fn first_call(&self) -> Result<(&'static str, String, Option<Value>)> {
        if self.id.starts_with("src_") {
            if self.cancel {
                bail!("--cancel takes the id of a run (rcn_...), not of a source");
            }
            let mut body = json!({"purchases": if self.all { "all" } else { "open" }});
            if let Some(since) = &self.since {
                body["since"] = since.as_str().into();
            }
            return Ok(("POST", format!("/v1/sources/{}/reconcile", self.id), Some(body)));
        }
        if !self.id.starts_with("rcn_") {
            bail!("{} is the id of neither a source (src_...) nor a run (rcn_...)", self.id);
        }
        if self.since.is_some() || self.all {
            bail!("--since and --all are for a new run: name a source (src_...)");
        }
        Ok(match self.cancel {
            true => ("POST", format!("/v1/reconciles/{}/cancel", self.id), None),
            false => ("GET", format!("/v1/reconciles/{}", self.id), None),
        })
    }
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let (method, path, body) = arguments.first_call()?;
    let hub = RunningHub::find(&config)?;
    let mut stand = hub.call(method, &path, body.as_ref()).await?;
    let path = format!("/v1/reconciles/{}", stand["id"].as_str().unwrap_or_default());
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
    let waits_for_nobody = arguments.no_wait || arguments.cancel;
    let went_well = stand["state"] == "done" && stand["failed"] == 0;
    Ok(if went_well || waits_for_nobody { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a run stands, in one line.
fn in_words(stand: &Value) -> String {
    let text = |name: &str| stand[name].as_str().unwrap_or_default();
    let number = |name: &str| stand[name].as_u64().unwrap_or(0);
    let (asked, different) = (number("asked"), number("different"));
    let mut words = format!("{} {}: {asked} answers, {different} differences", text("id"), text("state"));
    if number("failed") > 0 {
        words.push_str(&format!(", {} could not be asked ({})", number("failed"), text("last_error")));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_stands() {
        let done = json!({"id": "rcn_1", "state": "done", "asked": 7, "different": 2, "failed": 0, "last_error": null});
        assert_eq!(in_words(&done), "rcn_1 done: 7 answers, 2 differences");
        let failed =
            json!({"id": "rcn_1", "state": "running", "asked": 0, "different": 0, "failed": 3, "last_error": "503"});
        assert_eq!(in_words(&failed), "rcn_1 running: 0 answers, 0 differences, 3 could not be asked (503)");
    }

    #[test]
    fn an_id_says_what_is_asked() {
        let arguments = |id: &str, cancel: bool, since: Option<&str>| Arguments {
            id: id.to_owned(),
            since: since.map(str::to_owned),
            all: false,
            no_wait: false,
            cancel,
            json: false,
        };
        let table = [
            ("src_1", false, None, Some(("POST", "/v1/sources/src_1/reconcile"))),
            ("src_1", false, Some("2026-01-01T00:00:00Z"), Some(("POST", "/v1/sources/src_1/reconcile"))),
            ("rcn_1", false, None, Some(("GET", "/v1/reconciles/rcn_1"))),
            ("rcn_1", true, None, Some(("POST", "/v1/reconciles/rcn_1/cancel"))),
            ("rcn_1", false, Some("2026-01-01T00:00:00Z"), None),
            ("src_1", true, None, None),
            ("dst_1", false, None, None),
        ];
        for (id, cancel, since, expected) in table {
            let call = arguments(id, cancel, since).first_call().ok();
            assert_eq!(
                call.as_ref().map(|(method, path, _)| (*method, path.as_str())),
                expected,
                "{id} {cancel} {since:?}"
            );
        }
    }
}
