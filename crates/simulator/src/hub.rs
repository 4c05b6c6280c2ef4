//! The hub as its own customers see it: the few calls of its API that the simulator needs.

use serde_json::Value;
use std::time::Duration;

/// What the hub answered when it did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No connection, or no answer in time.
    #[error("the hub does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// It answered with an error.
    #[error("the hub refused {what} with {status}: {detail}")]
    Refused {
        /// Method and path.
        what: String,
        /// HTTP status.
        status: u16,
        /// The `detail` of its problem, or the beginning of the body.
        detail: String,
    },
    /// It answered 2xx with something that the contract does not allow.
    #[error("the answer to {what} has no {missing}")]
    Unexpected {
        /// Method and path.
        what: String,
        /// What should be there.
        missing: &'static str,
    },
}

/// Largest answer that is read.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long a single call may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A hub and a key for it.
#[derive(Clone)]
pub struct HubApi {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl HubApi {
    /// The hub at `url` (without a slash at the end, or with one).
    #[must_use]
    pub fn new(client: reqwest::Client, url: &str, key: &str) -> HubApi {
        HubApi { client, url: url.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }

    /// The hub's own address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET`; `None` for 404.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, HubError> {
        match self.call(self.client.get(format!("{}{path}", self.url)), format!("GET {path}")).await {
            Ok(value) => Ok(Some(value)),
            Err(HubError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, HubError> {
        let request = self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        self.call(request.body(body.to_string()), format!("POST {path}")).await
    }

    async fn call(&self, request: reqwest::RequestBuilder, what: String) -> Result<Value, HubError> {
        let request = request.bearer_auth(&self.key).timeout(LIMIT);
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(HubError::Unexpected { what, missing: "bound: it is longer than 16 MiB" });
            }
            body.extend_from_slice(&piece);
        }
        let value = serde_json::from_slice::<Value>(&body).ok();
        if status.is_success() {
            return value
                .or_else(|| body.is_empty().then_some(Value::Null))
                .ok_or(HubError::Unexpected { what, missing: "JSON" });
        }
        let detail =
            value.and_then(|problem| problem["detail"].as_str().or(problem["title"].as_str()).map(str::to_owned));
        let detail = detail.unwrap_or_else(|| String::from_utf8_lossy(&body).chars().take(300).collect());
        Err(HubError::Refused { what, status: status.as_u16(), detail })
    }
}

fn unreachable(error: reqwest::Error) -> HubError {
    HubError::Unreachable(error.without_url())
}
