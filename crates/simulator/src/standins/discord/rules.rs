//! What a webhook message may look like: the limits of Discord's pages "Webhook", "Message" and "User", and the nested
//! tree of errors that answers a breach (code 50035).
//!
//! Files, polls and multipart bodies are not played. Unknown fields are ignored, as Discord does.

use serde_json::{Map, Value, json};

/// Why a body is refused, with the answer's JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// 50109: not JSON.
    NotJson,
    /// 50006: nothing to show.
    Empty,
    /// 50035: the list of what is wrong where.
    Form(Faults),
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults(Vec<(Vec<String>, &'static str, String)>);

impl Faults {
    pub(in crate::standins) fn add(&mut self, path: &[&str], code: &'static str, message: impl Into<String>) {
        self.0.push((path.iter().map(|&part| part.to_owned()).collect(), code, message.into()));
    }

    /// The codes with their places, e.g. `embeds.0.title BASE_TYPE_MAX_LENGTH`.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.0.iter().map(|(path, code, _)| format!("{} {code}", path.join("."))).collect()
    }

    /// The `errors` tree of version 8 and later.
    #[must_use]
    pub fn tree(&self) -> Value {
        let mut root = Map::new();
        for (path, code, message) in &self.0 {
            let mut node = &mut root;
            for part in path {
                let next = node.entry(part.clone()).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(next) = next else { unreachable!("every node of the tree is an object") };
                node = next;
            }
            let list = node.entry("_errors").or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(json!({"code": code, "message": message}));
            }
        }
        Value::Object(root)
    }

    /// The flat form of version 6, which a path without a version still gives.
    #[must_use]
    pub fn flat(&self) -> Value {
        let mut root: Map<String, Value> = Map::new();
        for (path, _, message) in &self.0 {
            let key = path.first().cloned().unwrap_or_else(|| "_misc".to_owned());
            let list = root.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(Value::String(message.clone()));
            }
        }
        Value::Object(root)
    }
}

/// Whether a `User-Agent` is of the form that Discord asks of every client: `DiscordBot (url, version)`.
pub(in crate::standins) fn is_agent(agent: &str) -> bool {
    let about = agent.strip_prefix("DiscordBot (").and_then(|rest| rest.split_once(')')).map(|(about, _)| about);
    about
        .and_then(|about| about.split_once(", "))
        .is_some_and(|(url, version)| url.starts_with("http") && !version.trim().is_empty())
}

const MAX_CONTENT: usize = 2_000;
const MAX_EMBEDS: usize = 10;
const MAX_FIELDS: usize = 25;
const MAX_EMBEDS_SUM: usize = 6_000;
const MAX_URL: usize = 2_048;
const MAX_COLOR: i64 = 0xFF_FFFF;
const MAX_MENTIONS: usize = 100;
const MAX_THREAD_NAME: usize = 100;
const MAX_TAGS: usize = 5;
/// SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS and IS_COMPONENTS_V2: all that a webhook may set.
const FLAGS: u64 = 1 << 2 | 1 << 12 | 1 << 15;
const IS_COMPONENTS_V2: u64 = 1 << 15;

/// What only a new message takes.
const OF_NEW: [&str; 5] = ["username", "avatar_url", "tts", "thread_name", "applied_tags"];

/// Checks the body of a new message. What comes back is the message as Discord would keep it.
pub fn check(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let Ok(Value::Object(message)) = serde_json::from_slice::<Value>(body) else { return Err(Refusal::NotJson) };
    let mut faults = Faults::default();
    username(&mut faults, &message);
    link(&mut faults, message.get("avatar_url"), &["avatar_url"]);
    boolean(&mut faults, &message, "tts");
    text(&mut faults, &message, "thread_name", &["thread_name"], Length { min: 0, max: MAX_THREAD_NAME });
    tags(&mut faults, message.get("applied_tags"));
    let components = shown_parts(&mut faults, &message)?;
    let shown = trimmed_length(message.get("content")) > 0 || filled(message.get("embeds")) || components > 0;
    if shown { Ok(message) } else { Err(Refusal::Empty) }
}

/// Checks the body of an edit: what it does not name stays. ASSUMPTION: fields of new messages are ignored, as unknown ones
/// are; an edit that empties all that it names is refused as empty.
pub fn check_edit(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let Ok(Value::Object(mut message)) = serde_json::from_slice::<Value>(body) else { return Err(Refusal::NotJson) };
    message.retain(|key, _| !OF_NEW.contains(&key.as_str()));
    let components = shown_parts(&mut Faults::default(), &message)?;
    let named = ["content", "embeds", "components"].iter().any(|part| message.contains_key(*part));
    let shown = trimmed_length(message.get("content")) > 0 || filled(message.get("embeds")) || components > 0;
    if shown || !named { Ok(message) } else { Err(Refusal::Empty) }
}

/// Checks what new messages and edits have in common, on top of the faults that were found; counts the components.
fn shown_parts(faults: &mut Faults, message: &Map<String, Value>) -> Result<usize, Refusal> {
    text(faults, message, "content", &["content"], Length { min: 0, max: MAX_CONTENT });
    mentions(faults, message.get("allowed_mentions"));
    embeds(faults, message.get("embeds"));
    let components = list(faults, message.get("components"), &["components"], 40);
    let v2 = flags(faults, message.get("flags"));
    if v2 && ["content", "embeds", "poll"].iter().any(|part| filled(message.get(*part))) {
        faults.add(
            &["content"],
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
            "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
        );
    }
    if faults.0.is_empty() { Ok(components) } else { Err(Refusal::Form(std::mem::take(faults))) }
}

/// The tags of a forum post.
fn tags(faults: &mut Faults, value: Option<&Value>) {
    list(faults, value, &["applied_tags"], MAX_TAGS);
    for (place, id) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
        snowflake(faults, id, &["applied_tags", &place.to_string()]);
    }
}

fn snowflake(faults: &mut Faults, id: &Value, path: &[&str]) {
    let good = id.as_str().is_some_and(|id| id.parse::<u64>().is_ok()) || id.is_u64();
    if !good {
        faults.add(path, "NUMBER_TYPE_COERCE", format!("Value {id} is not snowflake."));
    }
}

#[derive(Clone, Copy)]
struct Length {
    min: usize,
    max: usize,
}

/// ASSUMPTION: Discord does not say what it counts; UTF-16 code units are never fewer than what it may count. White space
/// around is trimmed before counting (its page says so).
fn trimmed_length(value: Option<&Value>) -> usize {
    value.and_then(Value::as_str).map_or(0, |text| text.trim().encode_utf16().count())
}

fn filled(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => true,
    }
}

/// Checks an optional text; `min` above 0 makes it a required one.
fn text(faults: &mut Faults, from: &Map<String, Value>, key: &str, path: &[&str], length: Length) -> usize {
    match from.get(key) {
        None | Some(Value::Null) if length.min > 0 => faults.add(path, "BASE_TYPE_REQUIRED", "This field is required"),
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if length.min > 0 && text.trim().is_empty() => {
            faults.add(path, "BASE_TYPE_REQUIRED", "This field is required");
        }
        Some(value @ Value::String(_)) => {
            let count = trimmed_length(Some(value));
            if count > length.max {
                let message = format!("Must be {} or fewer in length.", length.max);
                faults.add(path, "BASE_TYPE_MAX_LENGTH", message);
            }
            return count;
        }
        Some(other) => faults.add(path, "STRING_TYPE_CONVERT", format!("Could not interpret \"{other}\" as string.")),
    }
    0
}

fn username(faults: &mut Faults, message: &Map<String, Value>) {
    let path = ["username"];
    let Some(Value::String(name)) = message.get("username") else {
        text(faults, message, "username", &path, Length { min: 0, max: 80 });
        return;
    };
    let count = name.trim().encode_utf16().count();
    if !(1..=80).contains(&count) {
        faults.add(&path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 80 in length.");
    }
    let lower = name.to_lowercase();
    for word in ["discord", "clyde", "@", "#", ":", "```"] {
        if lower.contains(word) {
            faults.add(&path, "USERNAME_INVALID_CONTAINS", format!("Username cannot contain \"{word}\""));
        }
    }
    if ["everyone", "here"].contains(&lower.trim()) {
        faults.add(&path, "USERNAME_INVALID", format!("Username cannot be \"{}\"", lower.trim()));
    }
}

fn boolean(faults: &mut Faults, from: &Map<String, Value>, key: &str) {
    match from.get(key) {
        None | Some(Value::Null | Value::Bool(_)) => {}
        Some(_) => faults.add(&[key], "BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
    }
}

fn flags(faults: &mut Faults, flags: Option<&Value>) -> bool {
    match flags {
        None | Some(Value::Null) => false,
        Some(value) => match value.as_u64() {
            Some(bits) if bits & !FLAGS == 0 => bits & IS_COMPONENTS_V2 != 0,
            // ASSUMPTION: the code's name; that other flags cannot be set is documented.
            _ => {
                faults.add(&["flags"], "MESSAGE_FLAGS_INVALID", "Only some flags can be set.");
                false
            }
        },
    }
}

fn link(faults: &mut Faults, value: Option<&Value>, path: &[&str]) {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.len() > MAX_URL => {
            faults.add(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {MAX_URL} or fewer in length."));
        }
        Some(Value::String(text)) => {
            let good = url::Url::parse(text)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "attachment") && url.has_host());
            if !good {
                faults.add(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.");
            }
        }
        Some(other) => faults.add(path, "STRING_TYPE_CONVERT", format!("Could not interpret \"{other}\" as string.")),
    }
}

/// The length of an optional list, which is checked against its bound.
fn list(faults: &mut Faults, value: Option<&Value>, path: &[&str], max: usize) -> usize {
    match value {
        None | Some(Value::Null) => 0,
        Some(Value::Array(list)) => {
            if list.len() > max {
                faults.add(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."));
            }
            list.len()
        }
        Some(_) => {
            faults.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
            0
        }
    }
}

fn mentions(faults: &mut Faults, value: Option<&Value>) {
    let mentions = match value {
        None | Some(Value::Null) => return,
        Some(Value::Object(mentions)) => mentions,
        Some(_) => {
            return faults.add(
                &["allowed_mentions"],
                "DICT_TYPE_CONVERT",
                "Only dictionaries may be used in a DictType",
            );
        }
    };
    list(faults, mentions.get("parse"), &["allowed_mentions", "parse"], 3);
    let parsed: Vec<&str> =
        mentions.get("parse").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (place, word) in parsed.iter().enumerate() {
        if !["users", "roles", "everyone"].contains(word) {
            let path = ["allowed_mentions", "parse", &place.to_string()];
            faults.add(&path, "BASE_TYPE_CHOICES", "Value must be one of ('users', 'roles', 'everyone').");
        }
    }
    for key in ["users", "roles"] {
        let count = list(faults, mentions.get(key), &["allowed_mentions", key], MAX_MENTIONS);
        if count > 0 && parsed.contains(&key) {
            let message = format!("parse:[\"{key}\"] and {key}: [ids...] are mutually exclusive.");
            faults.add(&["allowed_mentions"], "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
        }
        let ids = mentions.get(key).and_then(Value::as_array).into_iter().flatten();
        for (place, id) in ids.enumerate() {
            snowflake(faults, id, &["allowed_mentions", key, &place.to_string()]);
        }
    }
}

fn embeds(faults: &mut Faults, value: Option<&Value>) {
    list(faults, value, &["embeds"], MAX_EMBEDS);
    let mut sum = 0;
    for (place, embed) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = place.to_string();
        match embed {
            Value::Object(embed) => sum += check_embed(faults, embed, &place),
            _ => faults.add(&["embeds", &place], "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
        }
    }
    if sum > MAX_EMBEDS_SUM {
        let message = format!("Embed size exceeds maximum size of {MAX_EMBEDS_SUM}");
        faults.add(&["embeds"], "MAX_EMBED_SIZE_EXCEEDED", message);
    }
}

/// Checks an embed; gives the characters that count into the sum.
fn check_embed(faults: &mut Faults, embed: &Map<String, Value>, place: &str) -> usize {
    let at = |key: &'static str| ["embeds", place, key];
    let mut sum = text(faults, embed, "title", &at("title"), Length { min: 0, max: 256 });
    sum += text(faults, embed, "description", &at("description"), Length { min: 0, max: 4_096 });
    link(faults, embed.get("url"), &at("url"));
    if let Some(color) = embed.get("color").filter(|color| !color.is_null()) {
        match color.as_i64() {
            None => faults.add(&at("color"), "NUMBER_TYPE_COERCE", format!("Value {color} is not int.")),
            Some(number) if number < 0 => {
                faults.add(&at("color"), "NUMBER_TYPE_MIN", "int value should be greater than or equal to 0.");
            }
            Some(number) if number > MAX_COLOR => {
                let message = format!("int value should be less than or equal to {MAX_COLOR}.");
                faults.add(&at("color"), "NUMBER_TYPE_MAX", message);
            }
            Some(_) => {}
        }
    }
    if let Some(timestamp) = embed.get("timestamp").filter(|timestamp| !timestamp.is_null()) {
        let good = timestamp.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
        if !good {
            let message = format!("Could not parse {timestamp}. Should be ISO8601.");
            faults.add(&at("timestamp"), "DATE_TIME_TYPE_PARSE", message);
        }
    }
    for (part, key, max) in [("footer", "text", 2_048), ("author", "name", 256)] {
        if let Some(Value::Object(inner)) = embed.get(part) {
            sum += text(faults, inner, key, &["embeds", place, part, key], Length { min: 1, max });
        }
    }
    for part in ["image", "thumbnail"] {
        if let Some(Value::Object(inner)) = embed.get(part) {
            link(faults, inner.get("url"), &["embeds", place, part, "url"]);
        }
    }
    sum + fields(faults, embed.get("fields"), place)
}

fn fields(faults: &mut Faults, value: Option<&Value>, embed: &str) -> usize {
    list(faults, value, &["embeds", embed, "fields"], MAX_FIELDS);
    let mut sum = 0;
    for (place, field) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = place.to_string();
        let Value::Object(field) = field else {
            let path = ["embeds", embed, "fields", &place];
            faults.add(&path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
            continue;
        };
        for (key, max) in [("name", 256), ("value", 1_024)] {
            sum += text(faults, field, key, &["embeds", embed, "fields", &place, key], Length { min: 1, max });
        }
    }
    sum
}
