use super::*;
use crate::standins::limits::Limit;
use serde_json::{Value, json};

const AGENT: &str = "DiscordBot (https://github.com/paidup/paidup, 0.1)";
const START: i64 = 1_767_225_600_000;

struct Fixture {
    discord: Discord,
    clock: Clock,
    client: reqwest::Client,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Fixture {
    async fn new() -> Fixture {
        let clock = Clock::manual(START);
        let options = DiscordOptions { clock: clock.clone(), keep: 3, ..DiscordOptions::default() };
        Fixture { discord: Discord::start(options).await.unwrap(), clock, client: crate::edge::client().unwrap() }
    }

    fn base(&self, webhook: &Webhook) -> String {
        format!("{}/webhooks/{}/{}", self.discord.api_url(), webhook.id, webhook.token)
    }

    async fn post(&self, webhook: &Webhook, body: &Value) -> Got {
        self.post_to(&format!("{}?wait=true", self.base(webhook)), body).await
    }

    async fn post_in(&self, webhook: &Webhook, thread: u64, body: &Value) -> Got {
        self.post_to(&format!("{}?wait=true&thread_id={thread}", self.base(webhook)), body).await
    }

    /// `query` is empty or begins with `?`.
    async fn edit(&self, webhook: &Webhook, message: &str, query: &str, body: &Value) -> Got {
        let request = self.client.patch(format!("{}/messages/{message}{query}", self.base(webhook)));
        let request = request.header("user-agent", AGENT).header("content-type", "application/json");
        got(request.body(body.to_string())).await.unwrap()
    }

    async fn post_to(&self, url: &str, body: &Value) -> Got {
        let request = self.client.post(url).header("user-agent", AGENT).header("content-type", "application/json");
        got(request.body(body.to_string())).await.unwrap()
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

async fn got(request: reqwest::RequestBuilder) -> Result<Got, reqwest::Error> {
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.bytes().await?;
    Ok(Got { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn header<'a>(got: &'a Got, name: &str) -> &'a str {
    got.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn hello() -> Value {
    json!({"content": "hello"})
}

/// (name, body, expected: empty for accepted, `not json`, `empty`, or the faults)
type Case = (&'static str, Value, &'static str);

fn bodies() -> Vec<Case> {
    [embed_bodies(), other_bodies()].concat()
}

fn embed_bodies() -> Vec<Case> {
    let embed = |embed: Value| json!({"embeds": [embed]});
    let field = |name: &str, value: &str| json!({"name": name, "value": value});
    let long = |count: usize| "x".repeat(count);
    vec![
        ("content", hello(), ""),
        ("longest content", json!({"content": long(2000)}), ""),
        ("too long content", json!({"content": long(2001)}), "content BASE_TYPE_MAX_LENGTH"),
        ("white space is trimmed before counting", json!({"content": format!("  {}  ", long(2000))}), ""),
        ("two units of UTF-16 each", json!({"content": "😺".repeat(1001)}), "content BASE_TYPE_MAX_LENGTH"),
        ("content of another type", json!({"content": {}}), "content STRING_TYPE_CONVERT"),
        ("nothing", json!({}), "empty"),
        ("white space only", json!({"content": " \n"}), "empty"),
        ("no embeds", json!({"embeds": []}), "empty"),
        ("a list", json!([]), "not json"),
        ("embed", embed(json!({"description": "d", "color": 5_763_719, "timestamp": "2023-10-26T17:21:32Z"})), ""),
        ("eleven embeds", json!({"embeds": vec![json!({"title": "t"}); 11]}), "embeds BASE_TYPE_MAX_LENGTH"),
        ("ten embeds", json!({"embeds": vec![json!({"title": "t"}); 10]}), ""),
        ("title", embed(json!({"title": long(257)})), "embeds.0.title BASE_TYPE_MAX_LENGTH"),
        ("description", embed(json!({"description": long(4097)})), "embeds.0.description BASE_TYPE_MAX_LENGTH"),
        ("footer", embed(json!({"footer": {"text": long(2049)}})), "embeds.0.footer.text BASE_TYPE_MAX_LENGTH"),
        ("author", embed(json!({"author": {"name": long(257)}})), "embeds.0.author.name BASE_TYPE_MAX_LENGTH"),
        ("26 fields", embed(json!({"fields": vec![field("a", "b"); 26]})), "embeds.0.fields BASE_TYPE_MAX_LENGTH"),
        ("empty field value", embed(json!({"fields": [field("a", "")]})), "embeds.0.fields.0.value BASE_TYPE_REQUIRED"),
        (
            "field name",
            embed(json!({"fields": [field(&long(257), "b")]})),
            "embeds.0.fields.0.name BASE_TYPE_MAX_LENGTH",
        ),
        (
            "field value",
            embed(json!({"fields": [field("a", &long(1025))]})),
            "embeds.0.fields.0.value BASE_TYPE_MAX_LENGTH",
        ),
        ("colour below", embed(json!({"title": "t", "color": -1})), "embeds.0.color NUMBER_TYPE_MIN"),
        ("colour above", embed(json!({"title": "t", "color": 0x100_0000})), "embeds.0.color NUMBER_TYPE_MAX"),
        ("colour as text", embed(json!({"title": "t", "color": "red"})), "embeds.0.color NUMBER_TYPE_COERCE"),
        (
            "timestamp",
            embed(json!({"title": "t", "timestamp": "yesterday"})),
            "embeds.0.timestamp DATE_TIME_TYPE_PARSE",
        ),
        ("link", embed(json!({"title": "t", "url": "javascript:alert(1)"})), "embeds.0.url URL_TYPE_INVALID_URL"),
        ("6000 in sum", json!({"embeds": [{"description": long(4000)}, {"description": long(2000)}]}), ""),
        (
            "6001 in sum",
            json!({"embeds": [{"description": long(4000)}, {"title": "t", "description": long(2000)}]}),
            "embeds MAX_EMBED_SIZE_EXCEEDED",
        ),
    ]
}

fn other_bodies() -> Vec<Case> {
    let long = |count: usize| "x".repeat(count);
    vec![
        ("quiet", json!({"content": "a", "allowed_mentions": {"parse": []}}), ""),
        (
            "mention",
            json!({"content": "a", "allowed_mentions": {"parse": ["all"]}}),
            "allowed_mentions.parse.0 BASE_TYPE_CHOICES",
        ),
        (
            "mention twice",
            json!({"content": "a", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}),
            "allowed_mentions MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
        (
            "mentions",
            json!({"content": "a", "allowed_mentions": {"roles": vec!["1"; 101]}}),
            "allowed_mentions.roles BASE_TYPE_MAX_LENGTH",
        ),
        (
            "no id",
            json!({"content": "a", "allowed_mentions": {"roles": ["admins"]}}),
            "allowed_mentions.roles.0 NUMBER_TYPE_COERCE",
        ),
        ("post of a forum", json!({"content": "a", "thread_name": long(100), "applied_tags": ["1"]}), ""),
        ("title of a post", json!({"content": "a", "thread_name": long(101)}), "thread_name BASE_TYPE_MAX_LENGTH"),
        ("tags", json!({"content": "a", "applied_tags": vec!["1"; 6]}), "applied_tags BASE_TYPE_MAX_LENGTH"),
        ("no tag", json!({"content": "a", "applied_tags": ["x"]}), "applied_tags.0 NUMBER_TYPE_COERCE"),
        ("name", json!({"content": "a", "username": "Paidup"}), ""),
        (
            "name of Discord",
            json!({"content": "a", "username": "Paidup for dIscord"}),
            "username USERNAME_INVALID_CONTAINS",
        ),
        ("name of a bot of old", json!({"content": "a", "username": "Clyde"}), "username USERNAME_INVALID_CONTAINS"),
        ("name of everyone", json!({"content": "a", "username": "Everyone"}), "username USERNAME_INVALID"),
        ("empty name", json!({"content": "a", "username": ""}), "username BASE_TYPE_BAD_LENGTH"),
        ("long name", json!({"content": "a", "username": long(81)}), "username BASE_TYPE_BAD_LENGTH"),
        ("flags", json!({"content": "a", "flags": 64}), "flags MESSAGE_FLAGS_INVALID"),
        ("silent", json!({"content": "a", "flags": 4096}), ""),
    ]
}

fn verdict(body: &Value) -> String {
    match rules::check(body.to_string().as_bytes()) {
        Ok(_) => String::new(),
        Err(rules::Refusal::NotJson) => "not json".to_owned(),
        Err(rules::Refusal::Empty) => "empty".to_owned(),
        Err(rules::Refusal::Form(faults)) => faults.list().join(", "),
    }
}

#[test]
fn bodies_are_held_to_the_documented_limits() {
    for (name, body, expected) in bodies() {
        assert_eq!(verdict(&body), expected, "{name}");
    }
}

/// Discord's OpenAPI document, which is not part of this repository.
fn document() -> Option<Value> {
    let fallback = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let folder = std::env::var("PAIDUP_REFERENCE_DIR").unwrap_or_else(|_| fallback.to_owned());
    let Ok(text) = std::fs::read(format!("{folder}/openapi/discord.json")) else {
        eprintln!("NOT CHECKED: {folder}/openapi/discord.json is not there");
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

fn validator(document: &Value, name: &str) -> jsonschema::Validator {
    let schema = json!({
        "$ref": format!("#/components/schemas/{name}"),
        "components": document["components"],
    });
    jsonschema::validator_for(&schema).unwrap()
}

/// Whatever the stand-in accepts must be valid under Discord's own schema; what it refuses may be valid (the document does
/// not tell the sum, for example).
#[test]
fn what_is_accepted_is_valid_under_discords_own_schema() {
    let Some(document) = document() else { return };
    let (new, edit) = (
        validator(&document, "IncomingWebhookRequestPartial"),
        validator(&document, "IncomingWebhookUpdateRequestPartial"),
    );
    let mut refused = 0;
    for (name, body, expected) in bodies() {
        if expected.is_empty() && name != "white space is trimmed before counting" {
            assert!(new.is_valid(&body), "{name}: {:?}", new.iter_errors(&body).next());
        }
        if rules::check_edit(body.to_string().as_bytes()).is_ok() && name != "white space is trimmed before counting" {
            assert!(edit.is_valid(&body), "{name}, edited: {:?}", edit.iter_errors(&body).next());
        }
        refused += usize::from(!new.is_valid(&body));
    }
    assert!(refused > 10, "the schema refuses something: {refused}");
}

#[tokio::test]
async fn answers_are_valid_under_discords_own_schema() {
    let Some(document) = document() else { return };
    let f = Fixture::new().await;
    f.discord.make_forum(8, true);
    let (channel, forum) = (f.discord.add_webhook(7), f.discord.add_webhook(8));
    let message = f.post(&channel, &json!({"embeds": [{"title": "t"}]})).await;
    let id = message.body["id"].as_str().unwrap().to_owned();
    let edited = f.edit(&channel, &id, "", &hello()).await;
    let posted = f.post(&forum, &json!({"content": "a", "thread_name": "t", "applied_tags": ["1"]})).await;
    let webhook = got(f.client.get(f.base(&channel)).header("user-agent", AGENT)).await.unwrap();
    // Not one with a tree of faults: their codes are words in Discord's answers and on its page, numbers in the document.
    let refused = f.post(&channel, &json!({})).await;
    let gone = f.edit(&channel, "1", "", &hello()).await;
    let mut limited = f.post(&channel, &hello()).await;
    // The document wants a code; the page says that only some have one, and the page holds.
    limited.body["code"] = json!(0);
    for (name, status, got, schema) in [
        ("message", 200, message, "MessageResponse"),
        ("edit", 200, edited, "MessageResponse"),
        ("post", 200, posted, "MessageResponse"),
        ("webhook", 200, webhook, "GuildIncomingWebhookResponse"),
        ("refused", 400, refused, "ErrorResponse"),
        ("gone", 404, gone, "ErrorResponse"),
        ("limited", 429, limited, "RatelimitedResponse"),
    ] {
        assert_eq!(got.status, status, "{name}");
        let validator = validator(&document, schema);
        let errors: Vec<String> = validator.iter_errors(&got.body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?} in {}", got.body);
    }
}

#[tokio::test]
async fn answers_have_discords_codes_and_shapes() {
    let f = Fixture::new().await;
    let webhook = f.discord.add_webhook(7);
    let base = format!("{}/webhooks/{}/{}", f.discord.api_url(), webhook.id, webhook.token);

    let stored = f.post(&webhook, &json!({"embeds": [{"description": "d"}], "username": "Paidup"})).await;
    assert_eq!(
        (stored.status, &stored.body["channel_id"], &stored.body["author"]["username"]),
        (200, &json!("7"), &json!("Paidup"))
    );
    let id = stored.body["id"].as_str().unwrap().to_owned();
    assert_eq!(f.post_to(&base, &hello()).await.status, 204, "without wait");
    assert_eq!(f.discord.messages().iter().map(Message::text).collect::<Vec<_>>(), ["d", "hello"]);

    let nested = f.post(&webhook, &json!({"embeds": [{"title": "x".repeat(300)}]})).await;
    let fault = json!({"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."});
    assert_eq!((nested.status, &nested.body["code"]), (400, &json!(50_035)));
    assert_eq!(nested.body["errors"], json!({"embeds": {"0": {"title": {"_errors": [fault]}}}}));
    let old = base.replace("/api/v10", "/api");
    let flat = f.post_to(&old, &json!({"embeds": [{"title": "x".repeat(300)}]})).await;
    assert_eq!(flat.body, json!({"embeds": ["Must be 256 or fewer in length."]}));

    f.pass(2_000);
    assert_eq!(f.post(&webhook, &json!({})).await.body["code"], 50_006);
    assert_eq!(f.post(&webhook, &json!([])).await.body["code"], 50_109);
    let edited = f.edit(&webhook, &id, "", &hello()).await;
    assert_eq!((&edited.body["content"], edited.body["edited_timestamp"].is_string()), (&json!("hello"), true));
    let gone = f.client.delete(format!("{base}/messages/1")).header("user-agent", AGENT);
    assert_eq!(got(gone).await.unwrap().body["code"], 10_008);
    let about = f.client.get(&base).header("user-agent", AGENT);
    assert_eq!(got(about).await.unwrap().body["type"], 1);

    f.pass(2_000);
    let unknown = f.post(&Webhook { id: 1, ..webhook.clone() }, &hello()).await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!(10_015)));
    let stranger = f.post(&Webhook { token: "wrong".to_owned(), ..webhook.clone() }, &hello()).await;
    assert_eq!((stranger.status, &stranger.body["code"]), (401, &json!(50_027)));
    let agent =
        f.client.post(&base).header("user-agent", "curl/8").header("content-type", "application/json").body("{}");
    assert_eq!(got(agent).await.unwrap().body["code"], 40_333);
    let kind = f.client.post(&base).header("user-agent", AGENT).header("content-type", "text/plain").body("{}");
    assert_eq!(got(kind).await.unwrap().body["code"], 50_035);
    let report = f.discord.report();
    assert_eq!((report.stored, report.refused, report.unauthorized, report.violations.len()), (2, 5, 1, 1));
}

#[tokio::test]
async fn five_calls_in_two_seconds_then_wait_as_told() {
    let f = Fixture::new().await;
    let webhook = f.discord.add_webhook(7);
    for left in (0..5).rev() {
        let got = f.post(&webhook, &hello()).await;
        assert_eq!((got.status, header(&got, "x-ratelimit-remaining")), (200, left.to_string().as_str()));
        assert_eq!(header(&got, "x-ratelimit-limit"), "5");
        f.pass(100);
    }
    let limited = f.post(&webhook, &hello()).await;
    assert_eq!((limited.status, header(&limited, "x-ratelimit-scope")), (429, "user"));
    assert_eq!(limited.body, json!({"message": "You are being rate limited.", "retry_after": 1.5, "global": false}));
    assert_eq!((header(&limited, "retry-after"), header(&limited, "x-ratelimit-reset-after")), ("2", "1.500"));
    assert_eq!(f.discord.report().avoidable, 1, "Remaining 0 had been told");
    // Another webhook has a bucket of its own.
    let other = f.discord.add_webhook(8);
    assert_eq!(f.post(&other, &hello()).await.status, 200);
    f.pass(1_500);
    assert_eq!(f.post(&webhook, &hello()).await.status, 200);
    assert_eq!(f.discord.report().avoidable, 1);
}

#[tokio::test]
async fn webhooks_of_one_channel_share_thirty_calls_a_minute() {
    let f = Fixture::new().await;
    let webhooks: Vec<_> = (0..2).map(|_| f.discord.add_webhook(7)).collect();
    for call in 0..30 {
        assert_eq!(f.post(&webhooks[call % 2], &hello()).await.status, 200, "call {call}");
        f.pass(500);
    }
    let limited = f.post(&webhooks[0], &hello()).await;
    assert_eq!((limited.status, header(&limited, "x-ratelimit-scope")), (429, "shared"));
    assert_eq!(header(&limited, "retry-after"), "45");
    assert_ne!(header(&limited, "x-ratelimit-remaining"), "0", "a shared refusal leaves the own bucket open");
    assert_eq!(f.discord.report().avoidable, 0, "nothing had foretold it");
    f.post(&webhooks[0], &hello()).await;
    assert_eq!(f.discord.report().avoidable, 1, "now it was told");
    f.pass(45_000);
    assert_eq!(f.post(&webhooks[0], &hello()).await.status, 200);
}

#[tokio::test]
async fn a_deleted_webhook_must_never_be_called_again() {
    let f = Fixture::new().await;
    let webhook = f.discord.add_webhook(7);
    f.discord.delete_webhook(&webhook);
    assert_eq!(f.post(&webhook, &hello()).await.body["code"], 10_015);
    assert!(f.discord.report().violations.is_empty());
    f.post(&webhook, &hello()).await;
    assert_eq!(f.discord.report().violations.len(), 1);
}

#[tokio::test]
async fn the_address_is_limited_as_a_whole_and_blocked_when_it_does_not_listen() {
    let clock = Clock::manual(START);
    let limits = Limits {
        global: Limit { calls: 3, span_ms: 1_000 },
        invalid: Limit { calls: 2, span_ms: 1_000 },
        block_ms: 5_000,
        ..Limits::default()
    };
    let options = DiscordOptions { clock: clock.clone(), limits, ..DiscordOptions::default() };
    let f = Fixture { discord: Discord::start(options).await.unwrap(), clock, client: crate::edge::client().unwrap() };
    let webhook = f.discord.add_webhook(7);
    for _ in 0..3 {
        assert_eq!(f.post(&webhook, &hello()).await.status, 200);
    }
    for _ in 0..2 {
        let global = f.post(&webhook, &hello()).await;
        assert_eq!(
            (global.status, header(&global, "x-ratelimit-global"), &global.body["global"]),
            (429, "true", &json!(true))
        );
        assert_eq!(header(&global, "x-ratelimit-limit"), "");
    }
    f.pass(2_000);
    let blocked = f.post(&webhook, &hello()).await;
    assert_eq!((blocked.status, header(&blocked, "retry-after"), &blocked.body["code"]), (429, "", &json!(0)));
    f.pass(5_000);
    assert_eq!(f.post(&webhook, &hello()).await.status, 200);
}

#[tokio::test]
async fn forums_and_threads_are_kept_apart() {
    let f = Fixture::new().await;
    f.discord.make_forum(8, false);
    f.discord.make_forum(9, true);
    let (channel, forum, tagged) = (f.discord.add_webhook(7), f.discord.add_webhook(8), f.discord.add_webhook(9));
    let (thread, elsewhere) = (f.discord.add_thread(7, "sales"), f.discord.add_thread(70, "not here"));
    let titled = |title: &str| json!({"content": "hello", "thread_name": title});
    let first = f.post(&forum, &titled("anna")).await;
    let post: u64 = first.body["channel_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(f.discord.threads().iter().find(|one| one.id == post).map(|one| one.name.as_str()), Some("anna"));
    // (name, webhook, thread, body, status, code)
    let table = [
        ("in a post", &forum, Some(post), hello(), 200, 0),
        ("in a thread", &channel, Some(thread), hello(), 200, 0),
        ("no post named", &forum, None, hello(), 400, 220_001),
        ("an empty title is none", &forum, None, titled(" "), 400, 220_001),
        ("both", &forum, Some(post), titled("anna"), 400, 220_002),
        ("a post where there is no forum", &channel, None, titled("anna"), 400, 220_003),
        ("a thread of another channel", &channel, Some(elsewhere), hello(), 404, 10_003),
        ("without the tag that is needed", &tagged, None, titled("anna"), 400, 40_067),
    ];
    for (name, webhook, thread, body, status, code) in table {
        let got = match thread {
            Some(thread) => f.post_in(webhook, thread, &body).await,
            None => f.post(webhook, &body).await,
        };
        assert_eq!((got.status, got.body["code"].as_u64().unwrap_or(0)), (status, code), "{name}");
        f.pass(2_000);
    }
    f.discord.archive_thread(post);
    assert_eq!(f.post_in(&forum, post, &hello()).await.status, 200, "a message un-archives it");
    assert!(f.discord.threads().iter().all(|thread| !thread.archived));
    f.discord.lock_thread(post);
    assert_eq!(f.post_in(&forum, post, &hello()).await.body["code"], 160_005);
    f.discord.archive_thread(post);
    assert_eq!(f.post_in(&forum, post, &hello()).await.body["code"], 50_083);
    f.discord.delete_thread(post);
    assert_eq!(f.post_in(&forum, post, &hello()).await.body["code"], 10_003);
}

#[tokio::test]
async fn edits_find_only_what_is_there_and_old_messages_seldom() {
    let f = Fixture::new().await;
    f.discord.make_forum(8, false);
    let (channel, forum) = (f.discord.add_webhook(7), f.discord.add_webhook(8));
    let id = |got: &Got| got.body["id"].as_str().unwrap().to_owned();
    let message = id(&f.post(&channel, &hello()).await);
    let posted = f.post(&forum, &json!({"content": "hello", "thread_name": "anna"})).await;
    let (in_post, post) = (id(&posted), posted.body["channel_id"].as_str().unwrap().to_owned());
    let there = format!("?thread_id={post}");
    assert_eq!(f.edit(&forum, &in_post, &there, &hello()).await.status, 200);
    assert_eq!(f.edit(&forum, &in_post, "", &hello()).await.body["code"], 10_008, "not without its thread");
    assert_eq!(f.edit(&channel, &in_post, "", &hello()).await.body["code"], 10_008, "not by another webhook");
    assert_eq!(f.edit(&channel, &message, "", &json!({"content": ""})).await.body["code"], 50_006);
    f.discord.archive_thread(post.parse().unwrap());
    assert_eq!(f.edit(&forum, &in_post, &there, &hello()).await.body["code"], 50_083, "an edit does not un-archive");
    f.discord.delete_thread(post.parse().unwrap());
    assert_eq!(f.edit(&forum, &in_post, &there, &hello()).await.body["code"], 10_003);
    f.pass(3_600_001);
    for _ in 0..3 {
        assert_eq!(f.edit(&channel, &message, "", &hello()).await.status, 200);
    }
    let limited = f.edit(&channel, &message, "", &hello()).await;
    assert_eq!((limited.status, &limited.body["code"]), (429, &json!(30_046)));
    assert_eq!((header(&limited, "retry-after"), f.discord.report().avoidable), ("20", 0));
    assert_eq!(f.post(&channel, &hello()).await.status, 200, "new messages go on");
    f.pass(2_000);
    f.edit(&channel, &message, "", &hello()).await;
    assert_eq!(f.discord.report().avoidable, 1, "that was told");
    f.pass(20_000);
    assert_eq!(f.edit(&channel, &message, "", &hello()).await.status, 200);
    f.discord.delete_message(message.parse().unwrap());
    assert_eq!(f.edit(&channel, &message, "", &hello()).await.body["code"], 10_008);
    assert_eq!((f.discord.report().stored, f.discord.report().edited), (3, 5));
}

#[test]
fn it_answers_the_same_without_an_address() {
    let options = DiscordOptions { clock: Clock::manual(START), ..DiscordOptions::default() };
    let discord = Discord::in_memory(options);
    let webhook = discord.add_webhook(7);
    let url = format!("{}/webhooks/{}/{}?wait=true", discord.api_url(), webhook.id, webhook.token);
    let request = http::Request::post(url).header("user-agent", AGENT).header("content-type", "application/json");
    let request = request.body(Bytes::from(hello().to_string())).unwrap();
    let answer = discord.call(&request).unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-ratelimit-remaining"]), (200, &"4".parse().unwrap()));
    assert_eq!(discord.messages()[0].text(), "hello");
    discord.fail(Fault::Reset, 1);
    assert!(discord.call(&request).is_none());
    let elsewhere = http::Request::put(discord.api_url()).body(Bytes::new()).unwrap();
    assert_eq!(discord.call(&elsewhere).unwrap().status(), 404);
}

#[tokio::test]
async fn faults_come_when_asked_for() {
    let f = Fixture::new().await;
    let webhook = f.discord.add_webhook(7);
    let table = [
        (Fault::BadGateway, 502, ""),
        (Fault::ServerError, 500, ""),
        (Fault::Global(Duration::from_millis(1_250)), 429, "2"),
        (Fault::Shared(Duration::from_secs(1_337)), 429, "1337"),
        (Fault::Blocked, 429, ""),
        (Fault::SlowAfterStoring(Duration::from_millis(1)), 200, ""),
    ];
    for (fault, status, retry_after) in table {
        f.discord.fail(fault, 1);
        let got = f.post(&webhook, &hello()).await;
        assert_eq!((got.status, header(&got, "retry-after")), (status, retry_after), "{fault:?}");
    }
    f.discord.fail(Fault::Reset, 1);
    let url = format!("{}/webhooks/{}/{}", f.discord.api_url(), webhook.id, webhook.token);
    assert!(got(f.client.post(url).header("user-agent", AGENT).body("{}")).await.is_err());
    assert_eq!(f.discord.report().stored, 1, "only the slow one was stored");
    for _ in 0..4 {
        f.pass(1_400_000);
        assert_eq!(f.post(&webhook, &hello()).await.status, 200, "faults end");
    }
    assert_eq!(f.discord.messages().len(), 3, "only the last are kept");
}
