//! Talking to the hub that runs with these settings: commands that change something ask it instead of opening its database.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use paidup_destinations::Answer;
use paidup_hub::config::Config;
use paidup_hub::outbound::guard::Guard;
use paidup_hub::outbound::{Client, Outbound};
use paidup_hub::secrets;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// A hub that listens where the settings say.
pub(crate) struct RunningHub {
    base: String,
    key: String,
    client: Client,
}

impl RunningHub {
    /// Finds it by the settings: its address, and the admin key from the settings or its file.
    pub(crate) fn find(config: &Config) -> Result<RunningHub> {
        let base = format!("http://{}", config.listen);
        let key = secrets::existing_admin_key(config.admin_key.as_ref(), &config.data_dir())
            .context("the admin key of the running hub is not to be found")?;
        let client = Client::new(Guard::new(Vec::new(), &[&base]))?;
        Ok(RunningHub { base, key: key.expose().clone(), client })
    }

    /// A path of the API whose parts may hold anything, such as a customer's id.
    pub(crate) fn path(&self, parts: &[&str]) -> Result<String> {
        let mut url = Url::parse(&self.base).context("PAIDUP_LISTEN is no address")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(parts);
        }
        Ok(url.path().to_owned())
    }

    /// One API call; anything but 2xx is an error in the API's own words.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(bytes)?;
        let response = match self.client.call_up_to(request, TIMEOUT, MAX_ANSWER).await {
            Answer::Response(response) => response,
            Answer::Failed(failure) => bail!(
                "no hub answers at {}: {failure}; one must run (paidup serve), and PAIDUP_LISTEN say where it listens",
                self.base
            ),
        };
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        if !response.status().is_success() {
            bail!("{}", answer["detail"].as_str().unwrap_or("the hub refused, without a reason"));
        }
        Ok(answer)
    }
}
