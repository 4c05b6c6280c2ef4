//! The requests: where they go, who they say they are from, and their bodies' frame.

use super::coalesce::Parts;
use super::embed::Embed;
use super::{Settings, Style};
use crate::settings::fault;
use crate::{Poison, SettingsError, Upstreams};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use serde_json::{Value, json};
use url::Url;

const MAX_URL: usize = 2048;
const MAX_TOKEN: usize = 200;
/// A snowflake has at most 20 digits.
const MAX_ID: usize = 20;
const MAX_USERNAME: usize = 80;

/// Hosts that Discord's clients give out.
const HOSTS: &[&str] = &["discord.com", "discordapp.com"];
const CLIENTS: &[&str] = &["", "ptb.", "canary.", "www."];

/// RevenueCat's sender, from its samples.
const REVENUECAT_NAME: &str = "RevenueCat";
const REVENUECAT_AVATAR: &str = "https://app.revenuecat.com/favicon-96x96.png";

/// Where messages go. No `Debug`: the address holds the token.
pub(super) struct Target {
    id: String,
    token: String,
    /// `https://discord.com/api/v10/webhooks/{id}/{token}`
    base: String,
    thread_id: Option<String>,
    user_agent: HeaderValue,
}

impl Target {
    /// From the pasted URL; requests go to the operator's Discord address whatever form was pasted, because a path
    /// without version is served by an old one.
    pub(super) fn new(settings: &Settings, upstreams: &Upstreams) -> Result<Target, SettingsError> {
        let api = upstreams.discord_api.trim_end_matches('/');
        let pasted = Pasted::parse(&settings.url, api)?;
        let thread_id = match (&settings.thread_id, pasted.thread_id) {
            (Some(id), _) if is_id(id) => Some(id.clone()),
            (Some(_), _) => return Err(fault("/thread_id", format!("must be 1 to {MAX_ID} digits"))),
            (None, pasted) => pasted,
        };
        if thread_id.is_some() && settings.post_per.is_some() {
            return Err(fault("/post_per", "messages go into one thread (`thread_id`), or into posts: not both"));
        }
        let base = format!("{api}/webhooks/{}/{}", pasted.id, pasted.token);
        // The parts are digits and letters, so only the operator's address can be at fault.
        let _: Uri = base.parse().map_err(|_| fault("", "PAIDUP_DISCORD_API_URL is not a valid address"))?;
        let user_agent = user_agent(&upstreams.public_url);
        Ok(Target { id: pasted.id, token: pasted.token, base, thread_id, user_agent })
    }

    /// The webhook's id, which is public.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The webhook's credential.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The thread that the settings name.
    pub(super) fn thread_id(&self) -> Option<&str> {
        self.thread_id.as_deref()
    }

    /// A new message, in a thread if one is given.
    pub(super) fn post(&self, thread_id: Option<&str>, body: &Value) -> Result<Request<Bytes>, Poison> {
        let thread = thread_id.map(|id| format!("&thread_id={id}")).unwrap_or_default();
        self.request(Method::POST, &format!("{}?wait=true{thread}", self.base), body)
    }

    /// Another text for a message that the webhook has posted.
    pub(super) fn edit(
        &self,
        message_id: &str,
        thread_id: Option<&str>,
        body: &Value,
    ) -> Result<Request<Bytes>, Poison> {
        let thread = thread_id.map(|id| format!("?thread_id={id}")).unwrap_or_default();
        self.request(Method::PATCH, &format!("{}/messages/{message_id}{thread}", self.base), body)
    }

    fn request(&self, method: Method, uri: &str, body: &Value) -> Result<Request<Bytes>, Poison> {
        let body = serde_json::to_vec(body).map_err(|_| Poison("the message cannot be written as JSON".to_owned()))?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().map_err(|_| Poison("the address is not valid".to_owned()))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        Ok(request)
    }
}

/// What a pasted URL holds.
struct Pasted {
    id: String,
    token: String,
    thread_id: Option<String>,
}

impl Pasted {
    fn parse(text: &str, api: &str) -> Result<Pasted, SettingsError> {
        let wrong = |detail: &str| fault("/url", detail.to_owned());
        if text.len() > MAX_URL {
            return Err(fault("/url", format!("longer than {MAX_URL} bytes")));
        }
        let url = Url::parse(text.trim())
            .map_err(|_| wrong("not a URL; copy the webhook's URL from Discord (channel settings, Integrations)"))?;
        let host = url.host_str().unwrap_or_default();
        let is_discord =
            CLIENTS.iter().any(|client| host.strip_prefix(client).is_some_and(|rest| HOSTS.contains(&rest)));
        // A stand-in's own address is fine where the operator pointed Discord's to it.
        let is_upstream = Url::parse(api).is_ok_and(|api| api.origin() == url.origin());
        if !(is_discord && matches!(url.scheme(), "http" | "https") || is_upstream) {
            return Err(wrong(
                "not a Discord webhook: the host must be discord.com (or discordapp.com, ptb. or canary.)",
            ));
        }
        let path: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        let parts = match path.as_slice() {
            [rest @ .., "webhooks", id, token] if is_api(rest) => Some((*id, *token)),
            _ => None,
        };
        let Some((id, token)) = parts else {
            return Err(wrong("must have the form https://discord.com/api/webhooks/{id}/{token}"));
        };
        if !is_id(id) {
            return Err(wrong("the webhook's id must be 1 to 20 digits"));
        }
        let is_token = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if token.len() > MAX_TOKEN || !token.bytes().all(is_token) {
            return Err(wrong("the webhook's token may only have letters, digits, `_` and `-`"));
        }
        let thread = url.query_pairs().find(|(name, _)| name == "thread_id").map(|(_, id)| id.into_owned());
        if thread.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(wrong("`thread_id` must be 1 to 20 digits"));
        }
        Ok(Pasted { id: id.to_owned(), token: token.to_owned(), thread_id: thread })
    }
}

/// `api` or `api/v10`; anything for a stand-in, whose base may have a path of its own.
fn is_api(parts: &[&str]) -> bool {
    match parts {
        [.., "api"] => true,
        [.., "api", version] => {
            version.strip_prefix('v').is_some_and(|n| n.len() <= 3 && n.bytes().all(|c| c.is_ascii_digit()))
        }
        _ => false,
    }
}

/// Whether it is one of Discord's ids.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
}

/// Discord asks for this form; other agents may be blocked (40333).
fn user_agent(public_url: &str) -> HeaderValue {
    let version = env!("CARGO_PKG_VERSION");
    let named = HeaderValue::from_str(&format!("DiscordBot ({public_url}, {version})"));
    named.ok().filter(|_| !public_url.is_empty()).unwrap_or_else(|| {
        HeaderValue::from_static(concat!(
            "DiscordBot (https://github.com/paidup/paidup, ",
            env!("CARGO_PKG_VERSION"),
            ")"
        ))
    })
}

/// The hub's address as links use it: without a slash at the end, and without what would end a link.
pub(super) fn linkable(public_url: &str) -> Option<String> {
    let url = Url::parse(public_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let text = url.as_str().trim_end_matches('/').replace('(', "%28").replace(')', "%29");
    (text.len() <= 512).then_some(text)
}

/// The frame of a body: who it is from.
pub(super) struct Sender {
    username: Option<String>,
    avatar_url: Option<String>,
}

impl Sender {
    pub(super) fn new(settings: &Settings) -> Result<Sender, SettingsError> {
        if let Some(name) = &settings.username {
            check_username(name).map_err(|detail| fault("/username", detail))?;
        }
        if let Some(text) = &settings.avatar_url {
            let valid = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !valid || text.len() > MAX_URL {
                return Err(fault("/avatar_url", format!("must be an http(s) URL of at most {MAX_URL} bytes")));
            }
        }
        let (name, avatar) = match settings.style {
            Style::Default | Style::Text => (None, None),
            Style::RevenuecatEmbed => (Some(REVENUECAT_NAME), Some(REVENUECAT_AVATAR)),
        };
        Ok(Sender {
            username: settings.username.clone().or(name.map(str::to_owned)),
            avatar_url: settings.avatar_url.clone().or(avatar.map(str::to_owned)),
        })
    }

    /// The body of an edit: all that the message shows, so that nothing of an earlier look stays. Edits recompute mentions
    /// with default rules unless they are told again that nobody is pinged.
    pub(super) fn edited(parts: &Parts) -> Value {
        let (content, embeds) = match parts {
            Parts::Embeds(embeds) => (Value::Null, embeds.iter().map(Embed::to_json).collect()),
            Parts::Content(text) => (json!(text), json!([])),
        };
        json!({ "allowed_mentions": { "parse": [] }, "content": content, "embeds": embeds })
    }

    /// The whole body of a new message. Nobody is ever pinged.
    pub(super) fn body(&self, parts: &Parts) -> Value {
        let mut body = json!({ "allowed_mentions": { "parse": [] } });
        match parts {
            Parts::Embeds(embeds) => body["embeds"] = embeds.iter().map(Embed::to_json).collect(),
            Parts::Content(text) => body["content"] = json!(text),
        }
        if let Some(name) = &self.username {
            body["username"] = json!(name);
        }
        if let Some(url) = &self.avatar_url {
            body["avatar_url"] = json!(url);
        }
        body
    }
}

/// Discord refuses these at delivery (`USERNAME_INVALID`); better now than then.
fn check_username(name: &str) -> Result<(), String> {
    let length = super::markdown::units(name.trim());
    if !(1..=MAX_USERNAME).contains(&length) {
        return Err(format!("must have 1 to {MAX_USERNAME} characters"));
    }
    let lower = name.to_lowercase();
    for word in ["discord", "clyde", "@", "#", ":", "```"] {
        if lower.contains(word) {
            return Err(format!("Discord refuses sender names that contain `{word}`"));
        }
    }
    if matches!(lower.trim(), "everyone" | "here") {
        return Err("Discord refuses this sender name".to_owned());
    }
    Ok(())
}
