//! Lets a hub compare each of its sources with the store, through the hub's API, and waits for the end.

use crate::hub::{HubApi, HubError};
use crate::setup::MadeSource;
use crate::stores::StoreKind;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What came of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Which store.
    pub store: StoreKind,
    /// `done`; `none` where the hub cannot ask this store; what the hub calls it otherwise.
    pub state: String,
    /// Answers that came.
    pub asked: u64,
    /// Of them, those that changed something.
    pub different: u64,
    /// What could not be asked.
    pub failed: u64,
    /// What came of the last of those.
    pub last_error: Option<String>,
}

impl Reconciled {
    /// Everything was asked and answered, or there is nothing to ask.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.failed == 0 && matches!(self.state.as_str(), "done" | "none")
    }
}

/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(100);

/// One run for each source, all at the same time, over all purchases and everything since `since_ms`.
pub async fn reconcile(
    hub: &HubApi,
    sources: &[MadeSource],
    since_ms: i64,
    patience: Duration,
) -> Result<Vec<Reconciled>, HubError> {
    let since = jiff::Timestamp::from_millisecond(since_ms).unwrap_or_default().to_string();
    let mut begun = Vec::with_capacity(sources.len());
    for source in sources {
        let body = json!({"since": since, "purchases": "all"});
        let run = match hub.post(&format!("/v1/sources/{}/reconcile", source.id), &body).await {
            Ok(run) => run,
            // It cannot ask its store, or is a hub that cannot compare.
            Err(HubError::Refused { status: 404 | 405 | 422, .. }) => Value::Null,
            Err(error) => return Err(error),
        };
        begun.push((source.store, run));
    }
    let until = Instant::now() + patience;
    let mut ended = Vec::with_capacity(begun.len());
    for (store, mut run) in begun {
        while run["state"] == "running" && Instant::now() < until {
            sleep(LOOK).await;
            let path = format!("/v1/reconciles/{}", run["id"].as_str().unwrap_or_default());
            run = hub.get(&path).await?.unwrap_or_default();
        }
        ended.push(read(store, &run));
    }
    Ok(ended)
}

fn read(store: StoreKind, run: &Value) -> Reconciled {
    let number = |name: &str| run[name].as_u64().unwrap_or_default();
    Reconciled {
        store,
        state: run["state"].as_str().unwrap_or("none").to_owned(),
        asked: number("asked"),
        different: number("different"),
        failed: number("failed"),
        last_error: run["last_error"].as_str().map(str::to_owned),
    }
}
