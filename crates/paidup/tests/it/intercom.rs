//! Contacts and events in Intercom: the whole program against a stand-in that refuses what Intercom refuses.

use crate::support::{TestHub, at, observation, start};
use http::Request;
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::intercom::{Contact, Fault, Intercom, IntercomOptions};
use paidup_simulator::standins::limits::Limit;
use serde_json::{Value, json};
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";
/// What every workspace gets.
const ATTRIBUTES: [(&str, &str); 5] = [
    ("latest_store", "string"),
    ("latest_entitlement", "string"),
    ("expires_at", "date"),
    ("subscription_status", "string"),
    ("paidup_customer_url", "string"),
];

/// A hub, a workspace, and one clock for both.
struct World {
    hub: TestHub,
    intercom: Intercom,
    clock: Clock,
    source: String,
    /// `/v1/destinations/{id}`
    path: String,
}

impl World {
    /// `config` besides the token; attributes are there already.
    async fn new(config: Value) -> World {
        let world = World::empty(config, IntercomOptions::default().limit).await;
        for (name, data_type) in ATTRIBUTES {
            world.ask("POST", "/data_attributes", json!({"name": name, "model": "contact", "data_type": data_type}));
        }
        world
    }

    /// The same with a workspace that has no attributes.
    async fn empty(config: Value, limit: Limit) -> World {
        let clock = Clock::manual(at(FROM).as_millis());
        let options = IntercomOptions { limit, clock: clock.clone(), ..IntercomOptions::default() };
        let intercom = Intercom::start(options).await.expect("a stand-in");
        let hub = TestHub::start_with(FROM, &settings(&intercom.api_url())).await;
        let source = hub.source("generic", json!({})).await;
        hub.map("pro_monthly", &["pro"]).await;
        let mut all = json!({"access_token": intercom.token()});
        if let (Some(all), Some(more)) = (all.as_object_mut(), config.as_object()) {
            all.extend(more.clone());
        }
        let body = json!({"type": "intercom", "name": "support", "config": all});
        let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
        assert_eq!(made["order"], "customer", "a contact is one thing");
        assert!(!made.to_string().contains(intercom.token()), "the token is not shown");
        let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
        World { hub, intercom, clock, source, path }
    }

    /// A call of somebody else to the workspace.
    fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.intercom.token()))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("intercom-version", "2.14")
            .body(body.to_string().into())
            .expect("a request");
        let answer = self.intercom.answer(&request).response.expect("an answer");
        assert!(answer.status().is_success(), "{method} {path}: {:?}", answer.body());
        serde_json::from_slice(answer.body()).unwrap_or(Value::Null)
    }

    async fn buy(&self, id: &str, customer: &str) {
        self.hub.observe(&self.source, start(id, customer, &format!("sub-{customer}"), FROM, TO)).await;
    }

    async fn tell(&self, id: &str, at: &str, reason: &str, customer: &str, more: Value) {
        self.hub.observe(&self.source, observation(id, at, reason, &format!("sub-{customer}"), more)).await;
    }

    fn names(&self) -> Vec<String> {
        self.intercom.events().into_iter().map(|event| event.name).collect()
    }

    fn contact(&self, external_id: &str) -> Contact {
        self.intercom.contact(external_id).unwrap_or_else(|| panic!("no contact {external_id}"))
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.hub.clock.advance(by);
    }

    /// Waits until the workspace has these events, and moves the clock on for retries.
    async fn until_told(&self, expected: &[&str]) {
        self.hub
            .until(&format!("{expected:?}"), async |_| {
                let names = self.names();
                assert!(names.len() <= expected.len(), "{names:?}");
                if names == expected {
                    return Some(());
                }
                self.advance(Duration::from_secs(30));
                None
            })
            .await;
        self.settled().await;
    }

    /// Waits until the destination has nothing left to do.
    async fn settled(&self) {
        let done = async |hub: &TestHub| {
            if hub.get(&self.path).await["behind"] == 0 {
                let open = hub.get("/v1/deliveries?state=retrying").await;
                return open["data"].as_array().is_some_and(Vec::is_empty).then_some(());
            }
            self.advance(Duration::from_secs(30));
            None
        };
        self.hub.until("everything to be settled", done).await;
    }

    async fn stop(self) {
        assert_eq!(self.intercom.report().violations, Vec::<String>::new());
        self.hub.stop().await;
    }
}

/// The stand-in is on loopback: reached because the operator named its very origin, and nothing else there is.
fn settings(api_url: &str) -> [(&'static str, &str); 2] {
    [("PAIDUP_INTERCOM_API_URL", api_url), ("PAIDUP_ALLOW_PRIVATE_TARGETS", "")]
}

const BOUGHT: &str = "rc_initial_purchase_event";
const CANCELLED: &str = "rc_cancellation_event";

#[tokio::test]
async fn a_customer_becomes_a_contact_before_the_event_is_told() {
    let world = World::new(json!({})).await;
    world.buy("n1", "user-1").await;
    world.until_told(&[BOUGHT]).await;
    let contact = world.contact("user-1");
    let shows = &contact.custom_attributes;
    let customer = world.hub.get("/v1/customers/user-1").await;
    let url = format!("http://{}/customers/{}", world.hub.address, customer["id"].as_str().expect("an id"));
    let expected = json!({
        "latest_store": "STRIPE", "latest_entitlement": "pro", "subscription_status": "active",
        "expires_at": at(TO).as_seconds(), "paidup_customer_url": url,
    });
    assert_eq!(json!(shows), expected);
    let told = &world.intercom.events()[0];
    assert_eq!(told.external_id.as_deref(), Some("user-1"));
    assert_eq!(told.created_at, at(FROM).as_seconds());
    let said = json!({
        "product_identifier": "pro_monthly", "store": "STRIPE", "environment": "production", "entitlement": "pro",
        "expires_at": at(TO).as_seconds(), "app_id": world.source,
    });
    assert_eq!(json!(told.metadata), said);
    // Looked up, made, told: and from then on the contact is known.
    let before = world.intercom.report().calls;
    assert_eq!(before, 3 + ATTRIBUTES.len() as u64);
    world.tell("n2", "2026-01-02T00:00:00Z", "renewal_disabled", "user-1", json!({"will_renew": false})).await;
    world.until_told(&[BOUGHT, CANCELLED]).await;
    assert_eq!(world.contact("user-1").custom_attributes["subscription_status"], "cancelled");
    assert_eq!(world.intercom.events()[1].metadata["cancellation_reason"], "UNSUBSCRIBE");
    assert_eq!(world.intercom.report().calls, before + 2, "what changed is written, and the event is told");
    // Renewal on again is no event of Intercom's, but the contact shows it.
    world.tell("n3", "2026-01-03T00:00:00Z", "renewal_enabled", "user-1", json!({"will_renew": true})).await;
    world
        .hub
        .until("the status", async |_| {
            (world.contact("user-1").custom_attributes["subscription_status"] == "active").then_some(())
        })
        .await;
    world.settled().await;
    assert_eq!(world.intercom.report().calls, before + 3);
    assert_eq!(world.intercom.report().contacts, 1);
    world.stop().await;
}

#[tokio::test]
async fn a_contact_that_is_there_is_used_and_keeps_what_it_has() {
    let world = World::new(json!({})).await;
    world.ask("POST", "/contacts", json!({"role": "user", "external_id": "user-1", "name": "Ada"}));
    world.ask("POST", "/contacts", json!({"role": "user", "external_id": "user-2"}));
    world.intercom.archive("user-2");
    world.buy("n1", "user-1").await;
    world.until_told(&[BOUGHT]).await;
    world.buy("n2", "user-2").await;
    world.until_told(&[BOUGHT, BOUGHT]).await;
    let ada = world.contact("user-1");
    assert_eq!((&ada.fields["name"], &ada.custom_attributes["subscription_status"]), (&json!("Ada"), &json!("active")));
    let archived = world.contact("user-2");
    assert!(!archived.archived, "it is unarchived");
    assert_eq!(archived.custom_attributes["subscription_status"], "active");
    assert_eq!(world.intercom.report().contacts, 2);
    // Archived between two events: it is found out by the refusal.
    world.intercom.archive("user-1");
    world.tell("n3", "2026-01-02T00:00:00Z", "renewal_disabled", "user-1", json!({"will_renew": false})).await;
    world.until_told(&[BOUGHT, BOUGHT, CANCELLED]).await;
    assert!(!world.contact("user-1").archived);
    assert_eq!(world.intercom.report().contacts, 2);
    world.stop().await;
}

#[tokio::test]
async fn a_missing_contact_is_waited_for_or_passed_over() {
    let waiting = World::new(json!({"missing_contact": "wait"})).await;
    waiting.buy("n1", "user-1").await;
    waiting.hub.until("the first look", async |_| (waiting.intercom.report().refused >= 1).then_some(())).await;
    let another = async |_: &TestHub| {
        // Not before the first one has landed does the hub know when to look again.
        waiting.advance(Duration::from_secs(30));
        (waiting.intercom.report().refused >= 2).then_some(())
    };
    waiting.hub.until("another look", another).await;
    assert_eq!(waiting.names(), Vec::<String>::new());
    waiting.ask("POST", "/contacts", json!({"role": "user", "external_id": "user-1"}));
    waiting.until_told(&[BOUGHT]).await;
    assert_eq!(waiting.intercom.report().contacts, 1);
    waiting.stop().await;

    let skipping = World::new(json!({"missing_contact": "skip"})).await;
    skipping.buy("n1", "user-1").await;
    skipping.settled().await;
    assert_eq!(skipping.intercom.report().contacts, 0);
    skipping.ask("POST", "/contacts", json!({"role": "user", "external_id": "user-1"}));
    skipping.tell("n2", "2026-01-02T00:00:00Z", "renewal_disabled", "user-1", json!({"will_renew": false})).await;
    skipping.until_told(&[CANCELLED]).await;
    skipping.stop().await;
}

#[tokio::test]
async fn attributes_are_made_when_the_workspace_has_none() {
    let world = World::empty(json!({}), IntercomOptions::default().limit).await;
    world.buy("n1", "user-1").await;
    world.until_told(&[BOUGHT]).await;
    let list = world.ask("GET", "/data_attributes?model=contact", Value::Null);
    let made: Vec<(&str, &str)> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["custom"] == true)
        .map(|one| (one["name"].as_str().unwrap_or_default(), one["data_type"].as_str().unwrap_or_default()))
        .collect();
    let mut expected = ATTRIBUTES;
    expected.sort_unstable();
    let mut made = made;
    made.sort_unstable();
    assert_eq!(made, expected);
    assert_eq!(world.contact("user-1").custom_attributes.len(), ATTRIBUTES.len());
    world.stop().await;
}

#[tokio::test]
async fn a_token_that_is_taken_away_switches_off_and_nothing_is_lost() {
    let world = World::new(json!({})).await;
    world.intercom.revoke_tokens();
    world.buy("n1", "user-1").await;
    let off = async |hub: &TestHub| (hub.get(&world.path).await["state"] == "switched_off").then_some(());
    world.hub.until("the switch", off).await;
    let reason = world.hub.get(&world.path).await["state_reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("set a new `access_token`") && !reason.contains(world.intercom.token()), "{reason}");
    world.buy("n2", "user-2").await;
    world.intercom.restore_token();
    world.hub.api("POST", &format!("{}/resume", world.path), json!({})).await.expect(200);
    world.until_told(&[BOUGHT, BOUGHT]).await;
    assert_eq!(world.intercom.report().repeats, 0);
    world.stop().await;
}

#[tokio::test]
async fn an_outage_at_every_call_repeats_nothing_that_intercom_counts() {
    let world = World::new(json!({})).await;
    let troubles = [
        Fault::Status(503),
        Fault::Status(429),
        Fault::Status(408),
        // It happened, but the answer is not Intercom's: it is asked again, and Intercom knows the repeat.
        Fault::Nonsense,
        Fault::Nonsense,
        Fault::Nonsense,
    ];
    for fault in troubles {
        world.intercom.fail_next(1, fault);
    }
    world.buy("n1", "user-1").await;
    world.until_told(&[BOUGHT]).await;
    let report = world.intercom.report();
    assert_eq!((report.contacts, report.events), (1, 1));
    let deliveries = world.hub.get("/v1/deliveries").await;
    let attempts = deliveries["data"][0]["attempts"].as_array().expect("attempts").len();
    assert!(attempts >= 4, "a rate limit is no failed attempt, the rest is: {deliveries}");
    world.stop().await;
}

/// Four calls in ten seconds, and an event takes three: the hub waits by itself and never runs into the limit.
#[tokio::test]
async fn a_rate_limit_is_kept_and_not_run_into() {
    let world = World::empty(json!({}), Limit { calls: 4, span_ms: 10_000 }).await;
    world.buy("n1", "user-1").await;
    for n in 2..=6 {
        let (off, reason) = if n % 2 == 0 { (false, "renewal_disabled") } else { (true, "renewal_enabled") };
        let at = format!("2026-01-0{n}T00:00:00Z");
        world.tell(&format!("n{n}"), &at, reason, "user-1", json!({"will_renew": off})).await;
    }
    world.until_told(&[BOUGHT, CANCELLED, CANCELLED, CANCELLED]).await;
    let report = world.intercom.report();
    assert_eq!((report.limited, report.avoidable), (0, 0), "{report:?}");
    assert!(report.calls >= 15, "{report:?}");
    world.stop().await;
}

/// The limit is the workspace's, and other apps of it call too: nobody can know, so a 429 comes. The hub waits for the end of
/// the window, asks nothing meanwhile, and counts no attempt as failed.
#[tokio::test]
async fn a_window_that_others_have_used_up_is_waited_for_and_is_no_failure() {
    let world = World::new(json!({})).await;
    let before = world.intercom.report().calls;
    world.intercom.others_call(4_166);
    world.buy("n1", "user-1").await;
    world.hub.until("the refusal", async |_| (world.intercom.report().limited == 1).then_some(())).await;
    world.until_told(&[BOUGHT]).await;
    let report = world.intercom.report();
    assert_eq!((report.limited, report.avoidable, report.calls - before), (1, 0, 4), "{report:?}");
    let delivered = async |hub: &TestHub| {
        // Attempts are saved by the clock.
        world.advance(Duration::from_secs(1));
        let row = hub.get("/v1/deliveries?state=delivered").await["data"][0].clone();
        row["attempts"].as_array().map(|attempts| attempts.iter().map(|one| one["status"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(world.hub.until("the attempt", delivered).await, [json!(202)], "the refusal is no attempt");
    world.stop().await;
}

/// A workspace takes 120 names: the event is given up with what to do, what the contact shows is written all the same.
#[tokio::test]
async fn a_name_too_many_is_given_up_with_what_to_do() {
    let world = World::new(json!({})).await;
    world.ask("POST", "/contacts", json!({"role": "user", "external_id": "somebody"}));
    for number in 0..120 {
        let event = json!({"event_name": format!("theirs-{number}"), "created_at": 1, "user_id": "somebody"});
        world.ask("POST", "/events", event);
    }
    world.buy("n1", "user-1").await;
    let failed = async |hub: &TestHub| {
        world.advance(Duration::from_secs(1));
        let failed = hub.get("/v1/deliveries?state=failed").await["data"][0].clone();
        (!failed.is_null()).then_some(failed)
    };
    let failed = world.hub.until("the end", failed).await;
    let why = failed["attempts"][0]["detail"].as_str().unwrap_or_default();
    assert!(why.contains("archive some under Settings > Data > Events"), "{failed}");
    assert_eq!(world.contact("user-1").custom_attributes["subscription_status"], "active");
    world.settled().await;
    world.stop().await;
}

#[tokio::test]
async fn a_restart_repeats_nothing() {
    let world = World::new(json!({})).await;
    world.buy("n1", "user-1").await;
    world.until_told(&[BOUGHT]).await;
    let World { hub, intercom, clock, source, path } = world;
    let hub = hub.restart_with(&settings(&intercom.api_url())).await;
    let world = World { hub, intercom, clock, source, path };
    let before = world.intercom.report().calls;
    world.tell("n2", "2026-01-02T00:00:00Z", "renewal_disabled", "user-1", json!({"will_renew": false})).await;
    world.until_told(&[BOUGHT, CANCELLED]).await;
    let report = world.intercom.report();
    assert_eq!((report.contacts, report.events, report.repeats), (1, 2, 0));
    assert_eq!(report.calls, before + 2, "the contact is remembered: what changed is written, and the event is told");
    world.stop().await;
}

/// Two subscriptions that begin in the same second: Intercom would take the second event for a repeat of the first.
#[tokio::test]
async fn two_purchases_of_one_second_are_two_events_and_one_status() {
    let world = World::new(json!({})).await;
    world.hub.observe(&world.source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    world.hub.observe(&world.source, start("n2", "user-1", "sub-2", FROM, TO)).await;
    world.until_told(&[BOUGHT, BOUGHT]).await;
    let at = |place: usize| world.intercom.events()[place].created_at;
    assert_eq!((at(0), at(1)), (crate::support::at(FROM).as_seconds(), crate::support::at(FROM).as_seconds() + 1));
    // One of them ends: the customer is still a subscriber.
    let ended =
        observation("n3", "2026-01-05T00:00:00Z", "expired", "sub-2", json!({"expiration_reason": "UNSUBSCRIBE"}));
    world.hub.observe(&world.source, ended).await;
    world.hub.until("the end", async |_| world.names().contains(&"rc_expiration_event".to_owned()).then_some(())).await;
    world.settled().await;
    let shows = world.contact("user-1").custom_attributes;
    assert_eq!((&shows["subscription_status"], &shows["latest_entitlement"]), (&json!("active"), &json!("pro")));
    assert_eq!(shows["expires_at"], crate::support::at(TO).as_seconds());
    world.stop().await;
}

#[tokio::test]
async fn a_transfer_brings_both_contacts_up_to_date() {
    let world = World::new(json!({})).await;
    world.ask("POST", "/contacts", json!({"role": "user", "external_id": "user-2"}));
    world.buy("n1", "user-1").await;
    world.until_told(&[BOUGHT]).await;
    let moved = json!({"transfer_to": "user-2"});
    world.tell("n2", "2026-01-02T00:00:00Z", "transferred", "user-1", moved).await;
    world
        .hub
        .until("the new owner", async |_| {
            world.contact("user-2").custom_attributes.contains_key("subscription_status").then_some(())
        })
        .await;
    world.settled().await;
    assert_eq!(world.contact("user-2").custom_attributes["latest_entitlement"], "pro");
    let former = world.contact("user-1").custom_attributes;
    let kept: Vec<&str> = former.keys().map(String::as_str).collect();
    assert_eq!(kept, ["latest_store", "paidup_customer_url"], "what was the purchase's is cleared");
    assert_eq!(world.names(), [BOUGHT], "a transfer is no event of Intercom's");
    world.stop().await;
}

#[tokio::test]
async fn the_set_up_is_looked_at_and_a_preview_shows_every_call() {
    let world = World::empty(json!({"region": "us"}), IntercomOptions::default().limit).await;
    let test = world.hub.api("POST", &format!("{}/test", world.path), json!({})).await.expect(200);
    assert_eq!(test["delivered"], true, "{test}");
    let findings: Vec<&str> =
        test["findings"].as_array().expect("findings").iter().filter_map(|found| found["text"].as_str()).collect();
    assert!(findings[0].starts_with("Connected to the workspace"), "{findings:?}");
    assert!(findings.iter().any(|text| text.starts_with("Data attributes made: latest_store, ")), "{findings:?}");
    let report = world.intercom.report();
    assert_eq!((report.contacts, report.events), (0, 0), "a look leaves nothing behind");
    world.intercom.archive_attribute("expires_at");
    let test = world.hub.api("POST", &format!("{}/test", world.path), json!({})).await.expect(200);
    assert_eq!(test["delivered"], false, "{test}");
    assert!(test["explanation"].as_str().unwrap_or_default().contains("expires_at is archived"), "{test}");
    world.intercom.revoke_tokens();
    let test = world.hub.api("POST", &format!("{}/test", world.path), json!({})).await.expect(200);
    assert_eq!((&test["delivered"], &test["status"]), (&json!(false), &json!(401)), "{test}");
    assert!(!test.to_string().contains(world.intercom.token()));
    let calls = world.intercom.report().calls;
    let preview = world.hub.api("POST", &format!("{}/preview", world.path), json!({})).await.expect(200);
    let methods: Vec<&str> =
        preview["requests"].as_array().expect("requests").iter().filter_map(|one| one["method"].as_str()).collect();
    assert_eq!(methods, ["GET", "PUT", "POST"], "{preview}");
    assert!(!preview.to_string().contains(world.intercom.token()));
    assert_eq!(world.intercom.report().calls, calls, "a preview sends nothing");
    world.stop().await;
}

#[tokio::test]
async fn a_contact_is_found_by_its_address_and_anonymous_customers_may_be_passed_over() {
    let world = World::new(json!({"match_by": "email", "anonymous": "skip"})).await;
    world.ask("POST", "/contacts", json!({"role": "user", "external_id": "crm-77", "email": "ada@example.com"}));
    // Search knows new contacts only after a while.
    world.advance(Duration::from_secs(600));
    let mut nobody = start("n1", "", "sub-0", FROM, TO);
    nobody.as_object_mut().expect("an object").remove("customer_id");
    world.hub.observe(&world.source, nobody).await;
    let mut ada = start("n2", "user-1", "sub-1", FROM, TO);
    ada["attributes"] = json!({"$email": "ada@example.com"});
    world.hub.observe(&world.source, ada).await;
    world.until_told(&[BOUGHT]).await;
    assert_eq!(world.intercom.report().contacts, 1, "the one that was there");
    assert_eq!(world.intercom.events()[0].external_id.as_deref(), Some("crm-77"));
    assert_eq!(world.contact("crm-77").custom_attributes["subscription_status"], "active");
    world.stop().await;
}
