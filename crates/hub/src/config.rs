//! Settings of the program: `PAIDUP_*` in the environment, over the file named with `--config`, over defaults.
//!
//! [`SETTINGS`] is the one list of names; help texts and `docs/settings` are printed from it. Sources and destinations
//! are not settings: they live in the database.

use crate::claims::RestorePolicies;
use crate::secrets::Secret;
use ipnet::IpNet;
use paidup_destinations::connect::App;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::dialects::discord::Numbering;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// One setting, for people.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the environment; in the file the same in lower case without `PAIDUP_`.
    pub name: &'static str,
    /// What it is when nobody says; empty: nothing.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Never shown; may be given as `<NAME>_FILE`, the path of a file that holds it.
    pub secret: bool,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help, secret: false }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: "", help, secret: true }
}

/// ASSUMPTION: workspaces of all regions begin here; Intercom does not say.
const INTERCOM_OAUTH: &str = "https://app.intercom.com/oauth";

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("PAIDUP_LISTEN", "127.0.0.1:8484", "address and port to listen on; port 0 takes a free one"),
    Setting {
        name: "PAIDUP_DATABASE_URL",
        default: "sqlite:paidup.db",
        help: "sqlite:PATH or postgres://...",
        secret: true, // a postgres URL carries a password
    },
    setting(
        "PAIDUP_PUBLIC_URL",
        "",
        "how the outside reaches this hub; used in links, intake URLs and log-in. Default: from listen",
    ),
    secret(
        "PAIDUP_ADMIN_KEY",
        "root API key, at least 16 characters. Default: made at first start in paidup.admin-key beside the database",
    ),
    secret(
        "PAIDUP_MASTER_KEY",
        "64 hexadecimal digits or at least 32 characters; encrypts stored credentials. Default: made at first start in paidup.key beside the database",
    ),
    setting(
        "PAIDUP_ALLOW_PRIVATE_TARGETS",
        "",
        "networks that outgoing calls may reach although they are private, e.g. 127.0.0.0/8,10.1.0.0/16",
    ),
    setting("PAIDUP_DISCORD_API_URL", "https://discord.com/api/v10", "where Discord's API is"),
    setting("PAIDUP_DISCORD_GATEWAY_URL", "wss://gateway.discord.gg", "where Discord's gateway is"),
    setting("PAIDUP_INTERCOM_API_URL", "", "where Intercom's API is. Default: by the destination's region"),
    setting("PAIDUP_INTERCOM_OAUTH_URL", INTERCOM_OAUTH, "the page on which people agree to connect Intercom"),
    setting(
        "PAIDUP_INTERCOM_CLIENT_ID",
        "",
        "client id of your Intercom app, to connect by OAuth instead of by an access token",
    ),
    secret("PAIDUP_INTERCOM_CLIENT_SECRET", "client secret of your Intercom app"),
    setting("PAIDUP_STRIPE_API_URL", "https://api.stripe.com", "where Stripe's API is"),
    setting("PAIDUP_PLAY_API_URL", "https://androidpublisher.googleapis.com", "where Google Play's developer API is"),
    setting("PAIDUP_GOOGLE_OAUTH_URL", "https://oauth2.googleapis.com/token", "where Google hands out access tokens"),
    setting(
        "PAIDUP_GOOGLE_KEYS_URL",
        "",
        "where Google publishes the keys that it signs pushes with. Default: https://www.googleapis.com/oauth2/v3/certs, or /oauth2/v3/certs beside PAIDUP_GOOGLE_OAUTH_URL when that is set",
    ),
    setting("PAIDUP_APPSTORE_API_URL", "", "where the App Store Server API is. Default: Apple's, by environment"),
    setting("PAIDUP_AMAZON_RVS_URL", "https://appstore-sdk.amazon.com", "where Amazon's receipt verification is"),
    setting(
        "PAIDUP_AMAZON_SNS_URL",
        "",
        "the one origin that certificates of SNS messages may come from. Default: https://sns.<region>.amazonaws.com",
    ),
    setting(
        "PAIDUP_DISCORD_STATUS_NUMBERING",
        "contract",
        "numbers of a subscription's status in Discord's shape. contract: ACTIVE 0, ENDING 1, INACTIVE 2; discord: ACTIVE 0, INACTIVE 1, ENDING 2",
    ),
    setting(
        "PAIDUP_RESTORE_POLICY",
        "transfer",
        "what becomes of a purchase that another customer claims. transfer: it moves; transfer_if_inactive: unless it is an active subscription; keep: it stays and the claim is refused; share: the two customers become one",
    ),
    setting("PAIDUP_RESTORE_POLICY_SANDBOX", "", "the same for sandbox purchases. Default: as PAIDUP_RESTORE_POLICY"),
    setting(
        "PAIDUP_TEMPORARY_ENTITLEMENT_HOURS",
        "0",
        "for how many hours, up to 24, a customer has what a claimed product unlocks while its store cannot be asked; 0: not at all",
    ),
    setting(
        "PAIDUP_RECONCILE_HOURS",
        "24",
        "how often what is known is compared with each store, in hours, up to 8760; 0: only by command, also not at start nor when a source is silent",
    ),
    setting("PAIDUP_LOG", "info", "which log lines are written, e.g. warn or info,paidup_hub=debug"),
    setting("PAIDUP_LOG_FORMAT", "text", "text or json"),
    setting(
        "PAIDUP_RETENTION_NOTIFICATIONS_DAYS",
        "0",
        "for how many days what sources received is kept, byte for byte, up to 36500; 0: for ever. Without it `rebuild` cannot fold the journal",
    ),
    setting(
        "PAIDUP_RETENTION_EVENTS_DAYS",
        "0",
        "for how many days events are kept, up to 36500; 0: for ever. One that a destination has yet to be told is kept in any case",
    ),
    setting(
        "PAIDUP_RETENTION_ATTEMPTS_DAYS",
        "30",
        "for how many days attempts of deliveries are kept, up to 36500; 0: for ever",
    ),
];

/// Where Google's keys are. <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

closed_set! {
    /// How log lines look.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// For collectors.
        Json = "json",
    }
}

/// Why the program does not start. Names the setting, never a secret's value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A name that is no setting.
    #[error("unknown setting {name}{}", .nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default())]
    Unknown {
        /// As written.
        name: String,
        /// The known one that it resembles.
        nearest: Option<&'static str>,
    },
    /// A value that does not fit.
    #[error("{name}: {problem}")]
    Invalid {
        /// Which setting.
        name: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A setting is given twice, as itself and as a file.
    #[error("{0} and {0}_FILE are both set; keep one")]
    Twice(&'static str),
    /// A file cannot be read.
    #[error("cannot read {path}: {problem}")]
    File {
        /// Which.
        path: String,
        /// Why.
        problem: String,
    },
}

/// An address of a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where.
    pub url: Url,
    /// The operator pointed it there: its exact origin may be reached although it is private.
    pub overridden: bool,
}

/// Vendors' addresses. `None`: the kind decides (by region, by environment).
#[derive(Debug, Clone)]
pub struct Upstreams {
    /// Discord's API.
    pub discord_api: Upstream,
    /// Discord's gateway.
    pub discord_gateway: Upstream,
    /// Intercom's API.
    pub intercom_api: Option<Upstream>,
    /// Stripe's API.
    pub stripe_api: Upstream,
    /// Google Play's API.
    pub play_api: Upstream,
    /// Google's tokens.
    pub google_oauth: Upstream,
    /// Google's keys.
    pub google_keys: Upstream,
    /// App Store Server API.
    pub appstore_api: Option<Upstream>,
    /// Amazon's receipts.
    pub amazon_rvs: Upstream,
    /// SNS certificates. `None`: AWS's own, by region.
    pub amazon_sns: Option<Upstream>,
}

impl Upstreams {
    /// Those that the operator pointed elsewhere.
    #[must_use]
    pub fn overridden(&self) -> Vec<&Url> {
        [
            Some(&self.discord_api),
            Some(&self.discord_gateway),
            self.intercom_api.as_ref(),
            Some(&self.stripe_api),
            Some(&self.play_api),
            Some(&self.google_oauth),
            Some(&self.google_keys),
            self.appstore_api.as_ref(),
            Some(&self.amazon_rvs),
            self.amazon_sns.as_ref(),
        ]
        .into_iter()
        .flatten()
        .filter(|upstream| upstream.overridden)
        .map(|upstream| &upstream.url)
        .collect()
    }
}

/// The operator's app with a vendor, for connecting destinations of a kind by OAuth.
#[derive(Clone)]
pub struct OAuthApp {
    /// The kind of destination.
    pub kind: &'static str,
    /// The app.
    pub app: App,
    /// The operator named another page to agree on: it may be a local one.
    pub is_elsewhere: bool,
}

/// All settings, checked.
#[derive(Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Which database; may carry a password.
    pub database_url: Secret<String>,
    /// How the outside reaches us, without a slash at the end; `None`: from the address that we listen on.
    pub public_url: Option<Url>,
    /// Root API key; `None`: from its file.
    pub admin_key: Option<Secret<String>>,
    /// Master key; `None`: from its file.
    pub master_key: Option<Secret<[u8; 32]>>,
    /// Private networks that may be called.
    pub allow_private_targets: Vec<IpNet>,
    /// Vendors.
    pub upstreams: Upstreams,
    /// Apps for connecting by OAuth.
    pub oauth_apps: Vec<OAuthApp>,
    /// Discord's status numbers.
    pub discord_status_numbering: Numbering,
    /// What becomes of purchases that another customer claims.
    pub restore: RestorePolicies,
    /// For how long a customer has what was claimed while its store cannot be asked; `None`: not at all.
    pub temporary_entitlement: Option<Duration>,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
    /// How often what is known is compared with each store; `None`: only by command.
    pub reconcile_every: Option<Duration>,
    /// How long what is kept.
    pub retention: Retention,
}

/// How long what is kept; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// What sources received.
    pub notifications: Option<Duration>,
    /// The log.
    pub events: Option<Duration>,
    /// Tries at delivering.
    pub attempts: Option<Duration>,
}

impl Config {
    /// Reads `environment` (all variables; those without `PAIDUP_` are not ours) over `file` over defaults.
    pub fn load(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Config, ConfigError> {
        let mut values = Values::default();
        if let Some(path) = file {
            for (name, value) in read_file(path)? {
                values.set(&name, value)?;
            }
        }
        let mut over = Values::default();
        for (name, value) in environment {
            if name.starts_with("PAIDUP_") {
                over.set(&name, value)?;
            }
        }
        values.0.extend(over.0);
        values.check()
    }

    /// The folder where key files lie: beside the database, or here when that is a server.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        let Some(path) = self.database_url.expose().strip_prefix("sqlite:") else { return PathBuf::from(".") };
        let path = Path::new(path.split('?').next().unwrap_or(path).trim_start_matches("//"));
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        }
    }

    /// The public URL when the hub listens on `bound`, without a slash at the end.
    #[must_use]
    pub fn public_url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{bound}"),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        match Values::default().check() {
            Ok(config) => config,
            Err(error) => unreachable!("a default of SETTINGS does not fit: {error}"),
        }
    }
}

#[derive(Default)]
struct Values(BTreeMap<&'static str, String>);

impl Values {
    fn set(&mut self, name: &str, value: String) -> Result<(), ConfigError> {
        if let Some(known) = SETTINGS.iter().find(|setting| setting.name == name) {
            return self.insert(known.name, value);
        }
        let of_file = name.strip_suffix("_FILE");
        if let Some(known) = SETTINGS.iter().find(|setting| setting.secret && Some(setting.name) == of_file) {
            let read = std::fs::read_to_string(&value)
                .map_err(|error| ConfigError::File { path: value, problem: error.to_string() })?;
            return self.insert(known.name, read.trim_end().to_owned());
        }
        Err(ConfigError::Unknown { name: name.chars().take(80).collect(), nearest: nearest(name) })
    }

    fn insert(&mut self, name: &'static str, value: String) -> Result<(), ConfigError> {
        match self.0.insert(name, value) {
            Some(_) => Err(ConfigError::Twice(name)),
            None => Ok(()),
        }
    }

    /// The value or its default; empty is the same as absent.
    fn get(&self, name: &'static str) -> (&str, bool) {
        match self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()) {
            Some(value) => (value, true),
            None => (SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default), false),
        }
    }

    fn parse<T>(&self, name: &'static str, wanted: &str) -> Result<T, ConfigError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let (value, _) = self.get(name);
        value.parse().map_err(|error| invalid(name, format!("{value:?} is not {wanted}: {error}")))
    }

    fn url(&self, name: &'static str, schemes: &[&str]) -> Result<Option<Upstream>, ConfigError> {
        let (value, overridden) = self.get(name);
        if value.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(value).map_err(|error| invalid(name, format!("{value:?} is not a URL: {error}")))?;
        if !schemes.contains(&url.scheme()) || url.host().is_none() {
            return Err(invalid(name, format!("{value:?} must be a URL that starts with {}", schemes.join(" or "))));
        }
        Ok(Some(Upstream { url, overridden }))
    }

    fn upstream(&self, name: &'static str, schemes: &[&str]) -> Result<Upstream, ConfigError> {
        self.url(name, schemes)?.ok_or_else(|| invalid(name, "must not be empty".to_owned()))
    }

    /// An address without a path means its `/token`.
    fn google_tokens(&self, schemes: &[&str]) -> Result<Upstream, ConfigError> {
        let mut tokens = self.upstream("PAIDUP_GOOGLE_OAUTH_URL", schemes)?;
        if tokens.url.path() == "/" {
            tokens.url.set_path("/token");
        }
        Ok(tokens)
    }

    /// Whoever points Google's tokens elsewhere has its keys there too.
    fn google_keys(&self, schemes: &[&str]) -> Result<Upstream, ConfigError> {
        if let Some(keys) = self.url("PAIDUP_GOOGLE_KEYS_URL", schemes)? {
            return Ok(keys);
        }
        let mut keys = self.upstream("PAIDUP_GOOGLE_OAUTH_URL", schemes)?;
        if !keys.overridden {
            keys.url = Url::parse(GOOGLE_KEYS).expect("a constant URL");
        }
        keys.url.set_path("/oauth2/v3/certs");
        Ok(keys)
    }

    /// A number of days; 0: for ever.
    fn days(&self, name: &'static str) -> Result<Option<Duration>, ConfigError> {
        match self.parse::<u64>(name, "a number of days")? {
            0 => Ok(None),
            days @ 1..=36_500 => Ok(Some(Duration::from_secs(days * 86_400))),
            days => Err(invalid(name, format!("{days} is more than 36500"))),
        }
    }

    fn reconcile_every(&self) -> Result<Option<Duration>, ConfigError> {
        const NAME: &str = "PAIDUP_RECONCILE_HOURS";
        match self.parse::<u64>(NAME, "a number of hours")? {
            0 => Ok(None),
            hours @ 1..=8_760 => Ok(Some(Duration::from_secs(hours * 3_600))),
            hours => Err(invalid(NAME, format!("{hours} is more than 8760"))),
        }
    }

    fn check(&self) -> Result<Config, ConfigError> {
        const HTTP: &[&str] = &["http", "https"];
        const WS: &[&str] = &["ws", "wss"];
        Ok(Config {
            listen: self.parse("PAIDUP_LISTEN", "an address and port such as 127.0.0.1:8484")?,
            database_url: self.database_url()?,
            public_url: self.url("PAIDUP_PUBLIC_URL", HTTP)?.map(|upstream| upstream.url),
            admin_key: self.admin_key()?,
            master_key: self.master_key()?,
            allow_private_targets: self.networks("PAIDUP_ALLOW_PRIVATE_TARGETS")?,
            upstreams: Upstreams {
                discord_api: self.upstream("PAIDUP_DISCORD_API_URL", HTTP)?,
                discord_gateway: self.upstream("PAIDUP_DISCORD_GATEWAY_URL", WS)?,
                intercom_api: self.url("PAIDUP_INTERCOM_API_URL", HTTP)?,
                stripe_api: self.upstream("PAIDUP_STRIPE_API_URL", HTTP)?,
                play_api: self.upstream("PAIDUP_PLAY_API_URL", HTTP)?,
                google_oauth: self.google_tokens(HTTP)?,
                google_keys: self.google_keys(HTTP)?,
                appstore_api: self.url("PAIDUP_APPSTORE_API_URL", HTTP)?,
                amazon_rvs: self.upstream("PAIDUP_AMAZON_RVS_URL", HTTP)?,
                amazon_sns: self.url("PAIDUP_AMAZON_SNS_URL", HTTP)?,
            },
            oauth_apps: self.intercom_app(HTTP)?.into_iter().collect(),
            discord_status_numbering: self.parse("PAIDUP_DISCORD_STATUS_NUMBERING", "a known numbering")?,
            restore: self.restore()?,
            temporary_entitlement: self.hours("PAIDUP_TEMPORARY_ENTITLEMENT_HOURS")?,
            log: self.get("PAIDUP_LOG").0.to_owned(),
            log_format: self.parse("PAIDUP_LOG_FORMAT", "a known format")?,
            reconcile_every: self.reconcile_every()?,
            retention: Retention {
                notifications: self.days("PAIDUP_RETENTION_NOTIFICATIONS_DAYS")?,
                events: self.days("PAIDUP_RETENTION_EVENTS_DAYS")?,
                attempts: self.days("PAIDUP_RETENTION_ATTEMPTS_DAYS")?,
            },
        })
    }

    /// A number of hours of a day; 0: none.
    fn hours(&self, name: &'static str) -> Result<Option<Duration>, ConfigError> {
        match self.parse::<u64>(name, "a number of hours")? {
            0 => Ok(None),
            hours @ 1..=24 => Ok(Some(Duration::from_secs(hours * 3600))),
            hours => Err(invalid(name, format!("{hours} is more than 24"))),
        }
    }

    fn restore(&self) -> Result<RestorePolicies, ConfigError> {
        let production = self.parse("PAIDUP_RESTORE_POLICY", "a known policy")?;
        let sandbox = match self.get("PAIDUP_RESTORE_POLICY_SANDBOX").0 {
            "" => production,
            _ => self.parse("PAIDUP_RESTORE_POLICY_SANDBOX", "a known policy")?,
        };
        Ok(RestorePolicies { production, sandbox })
    }

    fn intercom_app(&self, schemes: &[&str]) -> Result<Option<OAuthApp>, ConfigError> {
        let consent = self.upstream("PAIDUP_INTERCOM_OAUTH_URL", schemes)?;
        let (id, secret) = (self.get("PAIDUP_INTERCOM_CLIENT_ID").0, self.get("PAIDUP_INTERCOM_CLIENT_SECRET").0);
        match (id, secret) {
            ("", "") => Ok(None),
            ("", _) => {
                Err(invalid("PAIDUP_INTERCOM_CLIENT_ID", "is missing: the secret alone opens nothing".to_owned()))
            }
            (_, "") => {
                Err(invalid("PAIDUP_INTERCOM_CLIENT_SECRET", "is missing: the id alone opens nothing".to_owned()))
            }
            (id, secret) => {
                let (client_id, client_secret) = (id.to_owned(), secret.to_owned());
                let app = App { consent_page: consent.url.into(), client_id, client_secret };
                Ok(Some(OAuthApp { kind: "intercom", app, is_elsewhere: consent.overridden }))
            }
        }
    }

    fn database_url(&self) -> Result<Secret<String>, ConfigError> {
        let (value, _) = self.get("PAIDUP_DATABASE_URL");
        if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| value.starts_with(scheme)) {
            return Ok(Secret::new(value.to_owned()));
        }
        Err(invalid("PAIDUP_DATABASE_URL", "must start with sqlite: or postgres://".to_owned()))
    }

    fn admin_key(&self) -> Result<Option<Secret<String>>, ConfigError> {
        let (value, given) = self.get("PAIDUP_ADMIN_KEY");
        if given && value.chars().count() < 16 {
            return Err(invalid("PAIDUP_ADMIN_KEY", "must have at least 16 characters".to_owned()));
        }
        Ok(given.then(|| Secret::new(value.to_owned())))
    }

    fn master_key(&self) -> Result<Option<Secret<[u8; 32]>>, ConfigError> {
        let (value, given) = self.get("PAIDUP_MASTER_KEY");
        if !given {
            return Ok(None);
        }
        crate::secrets::parse_master_key(value).map(Some).ok_or_else(|| {
            invalid(
                "PAIDUP_MASTER_KEY",
                "must be 64 hexadecimal digits, or a text of at least 32 characters".to_owned(),
            )
        })
    }

    fn networks(&self, name: &'static str) -> Result<Vec<IpNet>, ConfigError> {
        let (value, _) = self.get(name);
        value
            .split([',', ' '])
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse().map_err(|_| invalid(name, format!("{part:?} is not a network such as 127.0.0.0/8")))
            })
            .collect()
    }
}

fn invalid(name: &'static str, problem: String) -> ConfigError {
    ConfigError::Invalid { name, problem }
}

fn nearest(name: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(setting.name, name), setting.name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let problem = |problem: String| ConfigError::File { path: path.display().to_string(), problem };
    let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    // The parser's own message would quote the line, which may hold a secret.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        problem(format!("line {line}: {}", error.message()))
    })?;
    let mut values = Vec::with_capacity(table.len());
    for (name, value) in table {
        let value = plain(&value).ok_or_else(|| problem(format!("{name} must be a text, number, or list of texts")))?;
        values.push((format!("PAIDUP_{}", name.to_ascii_uppercase()), value));
    }
    Ok(values)
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(parts) => {
            parts.iter().map(plain).collect::<Option<Vec<String>>>().map(|parts| parts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), None)
    }

    fn error(pairs: &[(&str, &str)]) -> String {
        load(pairs).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn defaults_fit() {
        let config = load(&[("HOME", "/root")]).unwrap();
        assert_eq!(config.listen.port(), 8484);
        assert_eq!(config.data_dir(), Path::new("."));
        assert!(config.upstreams.overridden().is_empty());
        assert_eq!(config.public_url("127.0.0.1:9".parse().unwrap()), "http://127.0.0.1:9");
    }

    #[test]
    fn mistakes_are_named() {
        for (name, pairs, expected) in [
            ("typo", [("PAIDUP_LISTN", "x")], "unknown setting PAIDUP_LISTN; did you mean PAIDUP_LISTEN?"),
            ("far off", [("PAIDUP_ZZZZ9", "x")], "unknown setting PAIDUP_ZZZZ9"),
            ("address", [("PAIDUP_LISTEN", "here")], "PAIDUP_LISTEN: \"here\" is not an address and port"),
            ("network", [("PAIDUP_ALLOW_PRIVATE_TARGETS", "10.0.0.0/8,ten")], "\"ten\" is not a network"),
            ("short key", [("PAIDUP_ADMIN_KEY", "tooshort")], "PAIDUP_ADMIN_KEY: must have at least 16 characters"),
            ("scheme", [("PAIDUP_DISCORD_API_URL", "ftp://x")], "must be a URL that starts with http or https"),
            ("half an app", [("PAIDUP_INTERCOM_CLIENT_SECRET", "tooshort")], "PAIDUP_INTERCOM_CLIENT_ID: is missing"),
            ("numbering", [("PAIDUP_DISCORD_STATUS_NUMBERING", "live")], "known: contract discord"),
            ("hours", [("PAIDUP_TEMPORARY_ENTITLEMENT_HOURS", "25")], "25 is more than 24"),
            ("policy", [("PAIDUP_RESTORE_POLICY_SANDBOX", "give")], "known: transfer transfer_if_inactive keep share"),
            ("database", [("PAIDUP_DATABASE_URL", "mysql://u:secret@h")], "must start with sqlite: or postgres://"),
            ("no file for plain ones", [("PAIDUP_LISTEN_FILE", "x")], "unknown setting PAIDUP_LISTEN_FILE"),
        ] {
            let message = error(&pairs);
            assert!(message.contains(expected), "{name}: {message}");
            assert!(!message.contains("tooshort") && !message.contains("secret@"), "{name} shows a secret");
        }
    }

    #[test]
    fn environment_goes_over_file_and_secrets_may_lie_in_files() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, "a key of many letters\n").unwrap();
        let file = dir.path().join("paidup.toml");
        std::fs::write(
            &file,
            format!(
                "listen = \"0.0.0.0:1\"\nretention_attempts_days = 7\nadmin_key_file = {key:?}\n\
                 allow_private_targets = [\"10.0.0.0/8\", \"127.0.0.0/8\"]\n"
            ),
        )
        .unwrap();
        let env = [("PAIDUP_LISTEN".to_owned(), "0.0.0.0:2".to_owned())];
        let config = Config::load(env, Some(&file)).unwrap();
        assert_eq!((config.listen.port(), config.retention.attempts), (2, Some(Duration::from_secs(7 * 86_400))));
        assert_eq!(config.allow_private_targets.len(), 2);
        assert_eq!(config.admin_key.unwrap().expose(), "a key of many letters");
        std::fs::write(&file, "lisen = \"0.0.0.0:1\"").unwrap();
        let wrong = Config::load([], Some(&file)).err().unwrap().to_string();
        assert_eq!(wrong, "unknown setting PAIDUP_LISEN; did you mean PAIDUP_LISTEN?");
    }

    #[test]
    fn key_files_lie_beside_the_database() {
        for (url, dir) in [
            ("sqlite:paidup.db", "."),
            ("sqlite:/var/lib/paidup/hub.db", "/var/lib/paidup"),
            ("sqlite:///var/lib/hub.db?x=1", "/var/lib"),
            ("sqlite:data/hub.db", "data"),
            ("postgres://h/db", "."),
        ] {
            assert_eq!(load(&[("PAIDUP_DATABASE_URL", url)]).unwrap().data_dir(), Path::new(dir), "{url}");
        }
    }
}
