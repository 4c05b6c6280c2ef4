//! Connecting a destination by OAuth. What is begun with a key is finished by a browser that has none: a state that
//! nobody can guess ties the two together. It is good once and for ten minutes, belongs to the key that asked for it, and
//! is worth nothing once that key is revoked.
//!
//! What was begun is kept in memory: whoever is on the vendor's page while the hub starts again begins anew. Nothing here
//! asks which kind it is: what differs is in its `Connector`.

use crate::destinations::{DestinationChange, DestinationView, NewDestination};
use crate::keys::{Principal, Scope};
use crate::{Hub, HubError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paidup_destinations::Answer;
use paidup_destinations::connect::{App, Connection, Connector, Exchange, ExchangeStep, connector};
use paidup_lifecycle::ids::{ApiKeyId, DestinationId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::Start;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;

/// How long a person may take on the vendor's page.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// Most that are begun and not finished; a person begins one at a time.
const MAX_BEGUN: usize = 100;
/// How long one call of the exchange may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most calls of an exchange; more is a mistake of ours.
const MAX_CALLS: usize = 8;
/// Longest code. Vendors' are far shorter.
const MAX_CODE: usize = 2_048;

/// What was begun and is not finished yet, by the digest of its state.
#[derive(Default)]
pub(crate) struct Begun(Mutex<HashMap<[u8; 32], Wish>>);

/// What is to be connected.
struct Wish {
    connector: &'static Connector,
    what: What,
    /// The key that asked; `None`: the admin key.
    key: Option<ApiKeyId>,
    until: Timestamp,
}

/// A new destination, or one that is connected again.
enum What {
    New { name: String, config: Map<String, Value> },
    Again(DestinationId),
}

/// A connection that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Where a browser must go.
    pub url: String,
    /// Until when it must be back.
    pub until: Timestamp,
    /// What must be registered with the vendor as the address to come back to.
    pub redirect_uri: String,
}

/// A destination that was connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// It.
    pub view: DestinationView,
    /// With whom, for people.
    pub account: String,
}

impl Hub {
    /// Begins to connect a new destination of a kind.
    pub fn begin_connect(
        &self,
        caller: &Principal,
        kind: &str,
        name: &str,
        config: &RawValue,
    ) -> Result<Begin, HubError> {
        crate::grants::check_name("name", name)?;
        let Ok(config) = serde_json::from_str(config.get()) else {
            return Err(HubError::refused(422, "/config", "must be an object"));
        };
        self.begin(caller, kind, What::New { name: name.to_owned(), config })
    }

    /// Begins to connect a destination again: with another account, or after its token was revoked.
    pub async fn begin_reconnect(&self, caller: &Principal, id: DestinationId) -> Result<Begin, HubError> {
        let kind = self.destination_record(id).await?.kind;
        self.begin(caller, &kind, What::Again(id))
    }

    fn begin(&self, caller: &Principal, kind: &str, what: What) -> Result<Begin, HubError> {
        let (connector, app) = self.connector(kind)?;
        let redirect_uri = format!("{}/v1/destinations/{kind}/callback", self.public_url());
        if !redirect_uri.starts_with("https://") && !self.config().oauth_apps.iter().any(|one| one.is_elsewhere) {
            let detail =
                "the browser is sent back to https addresses only: set PAIDUP_PUBLIC_URL to this hub's https address";
            return Err(HubError::refused(409, "", detail));
        }
        let state = URL_SAFE_NO_PAD.encode(self.chance().key());
        let url = (connector.consent)(app, &state, &redirect_uri)
            .map_err(|error| HubError::refused(409, "", &error.detail))?;
        let now = self.clock().now();
        let until = now.plus(GOOD_FOR);
        let mut begun = self.begun().0.lock();
        begun.retain(|_, wish| wish.until > now);
        if begun.len() >= MAX_BEGUN {
            return Err(HubError::refused(
                409,
                "",
                "too many connections are begun and not finished; wait ten minutes",
            ));
        }
        begun.insert(digest(&state), Wish { connector, what, key: caller.key, until });
        Ok(Begin { url: url.into(), until, redirect_uri })
    }

    /// The connector of a kind, and the operator's app for it.
    fn connector(&self, kind: &str) -> Result<(&'static Connector, &App), HubError> {
        let Some(connector) = connector(kind) else {
            return Err(HubError::refused(404, "", "destinations of this type are not connected this way"));
        };
        match self.config().oauth_apps.iter().find(|one| one.kind == kind) {
            Some(one) => Ok((connector, &one.app)),
            None => {
                let settings = kind.to_ascii_uppercase();
                let detail = format!(
                    "set PAIDUP_{settings}_CLIENT_ID and PAIDUP_{settings}_CLIENT_SECRET to those of your app first; or create \
                     the destination with a private access token, which needs neither"
                );
                Err(HubError::refused(409, "", &detail))
            }
        }
    }

    /// Finishes what was begun with that state: exchanges the code, makes the destination or gives it its new token.
    pub async fn finish_connect(&self, kind: &str, state: &str, code: &str) -> Result<Connected, HubError> {
        // Taken before anything else: a state is good once, whatever comes of it.
        let wish = self.begun().0.lock().remove(&digest(state));
        let wish = wish.filter(|wish| wish.connector.kind == kind && wish.until > self.clock().now());
        let Some(wish) = wish else {
            let detail =
                "this connection was not begun here, was finished already, or took more than ten minutes; begin again";
            return Err(HubError::refused(401, "state", detail));
        };
        if !self.still_may_write(wish.key).await? {
            let detail = "the key that began this connection was revoked meanwhile or may not write any more";
            return Err(HubError::refused(403, "", detail));
        }
        if code.is_empty() || code.len() > MAX_CODE {
            return Err(HubError::refused(
                400,
                "code",
                "there is no code: agree on the vendor's page, and begin again",
            ));
        }
        let (connector, app) = self.connector(kind)?;
        let connection = self.exchange((connector.exchange)(app, code, &self.upstreams())).await?;
        let account = connection.account.clone();
        let view = match wish.what {
            What::New { name, config } => self.connect_new(kind, &name, config, connection).await?,
            What::Again(id) => self.connect_again(id, connection).await?,
        };
        tracing::info!(destination.id = %view.id, "destination connected");
        Ok(Connected { view, account })
    }

    async fn exchange(&self, mut exchange: Box<dyn Exchange>) -> Result<Connection, HubError> {
        let mut answer: Option<Answer> = None;
        for _ in 0..MAX_CALLS {
            match exchange.next(answer.as_ref()) {
                ExchangeStep::Call(request) => answer = Some(self.outbound().call(request, TIMEOUT).await),
                ExchangeStep::Done(connection) => return Ok(connection),
                ExchangeStep::Refused(reason) => return Err(HubError::refused(422, "", &reason.0)),
            }
        }
        Err(HubError::refused(422, "", "the exchange did not end"))
    }

    async fn connect_new(
        &self,
        kind: &str,
        name: &str,
        mut config: Map<String, Value>,
        connection: Connection,
    ) -> Result<DestinationView, HubError> {
        config.extend(connection.settings);
        let config = raw(&Value::Object(config))?;
        let new = NewDestination {
            kind,
            name,
            config: &config,
            filter: None,
            order: None,
            start: Start::Now,
            max_backlog: None,
            lane_policy: None,
            keep_trying: None,
        };
        Ok(self.create_destination(new).await?.view)
    }

    async fn connect_again(&self, id: DestinationId, connection: Connection) -> Result<DestinationView, HubError> {
        // Masked secrets that are sent back stay as they are, so nothing needs to be opened for this.
        let mut config = self.show_destination(id).await?.config;
        if let Some(config) = config.as_object_mut() {
            config.extend(connection.settings);
        }
        let config = raw(&config)?;
        self.update_destination(id, DestinationChange { config: Some(&config), ..DestinationChange::default() }).await
    }

    async fn still_may_write(&self, key: Option<ApiKeyId>) -> Result<bool, HubError> {
        let Some(id) = key else { return Ok(true) };
        let now = self.clock().now();
        let keys = self.store().keys().await?;
        let kept = keys.iter().find(|key| key.id == id && key.expires_at.is_none_or(|at| at > now));
        let writes = |name: &String| matches!(name.parse(), Ok(Scope::Write | Scope::Admin));
        Ok(kept.is_some_and(|key| key.scopes.iter().any(writes)))
    }
}

fn digest(state: &str) -> [u8; 32] {
    Sha256::digest(state.as_bytes()).into()
}

fn raw(value: &Value) -> Result<Box<RawValue>, HubError> {
    RawValue::from_string(value.to_string()).map_err(|_| HubError::refused(422, "/config", "must be an object"))
}
