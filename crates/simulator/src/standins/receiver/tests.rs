use super::*;
use serde_json::json;

const START: i64 = 1_767_225_600_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn start() -> (Receiver, Clock, reqwest::Client) {
    let clock = Clock::manual(START);
    let options = ReceiverOptions { clock: clock.clone(), ..ReceiverOptions::new(SECRET) };
    (Receiver::start(options).await.unwrap(), clock, crate::edge::client().unwrap())
}

fn event(id: &str, lane: &str, seq: u64) -> String {
    let purchase = json!({"store_purchase_id": lane, "state": "active"});
    json!({"id": id, "type": "ACTIVATE", "seq": seq, "purchase": purchase, "entitlements": {"active": ["pro"]}})
        .to_string()
}

fn sign(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(&secret[6..]).unwrap());
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes())))
}

async fn send(url: &str, client: &reqwest::Client, seconds: i64, signature: &str, id: &str, body: &str) -> u16 {
    let request = client.post(url).header("webhook-id", id).header("webhook-timestamp", seconds.to_string());
    let request = request.header("webhook-signature", signature).body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

/// The example of the Standard Webhooks specification.
#[tokio::test]
async fn the_published_example_is_accepted() {
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let options = ReceiverOptions { clock: Clock::manual(1_614_265_330_000), ..ReceiverOptions::new(SECRET) };
    let receiver = Receiver::start(options).await.unwrap();
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let client = crate::edge::client().unwrap();
    assert_eq!(send(&receiver.url(), &client, 1_614_265_330, signature, id, r#"{"test": 2432232314}"#).await, 204);
    assert_eq!((receiver.report().received, receiver.report().other), (1, 1));
}

#[tokio::test]
async fn only_right_and_fresh_signatures_count() {
    let (receiver, _clock, client) = start().await;
    let now = START / 1000;
    let body = event("evt_1", "p", 1);
    let right = sign(SECRET, "evt_1", now, &body);
    let other = sign("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "evt_1", now, &body);
    let table = [
        ("right", now, right.clone(), "evt_1", 204),
        ("one of two, while a secret rotates", now, format!("{other} {right}"), "evt_1", 204),
        ("wrong secret", now, other.clone(), "evt_1", 401),
        ("another version", now, right.replacen("v1,", "v2,", 1), "evt_1", 401),
        ("another id", now, right.clone(), "evt_2", 401),
        ("another time", now + 1, right.clone(), "evt_1", 401),
        ("too old", now - 301, sign(SECRET, "evt_1", now - 301, &body), "evt_1", 401),
        ("too new", now + 301, sign(SECRET, "evt_1", now + 301, &body), "evt_1", 401),
        ("as old as may be", now - 300, sign(SECRET, "evt_1", now - 300, &body), "evt_1", 204),
        ("no signature", now, String::new(), "evt_1", 401),
    ];
    for (name, seconds, signature, id, expected) in table {
        assert_eq!(send(&receiver.url(), &client, seconds, &signature, id, &body).await, expected, "{name}");
    }
    let report = receiver.report();
    assert_eq!((report.received, report.distinct, report.repeats, report.bad_signature), (3, 1, 2, 7));
}

#[tokio::test]
async fn lanes_show_repeats_gaps_and_disorder() {
    let (receiver, clock, client) = start().await;
    receiver.note_sent("a");
    clock.advance(Duration::from_millis(40));
    for (id, lane, seq) in [("1", "a", 1), ("2", "a", 2), ("2", "a", 2), ("5", "a", 5), ("4", "a", 4), ("6", "b", 1)] {
        let body = event(id, lane, seq);
        let now = START / 1000;
        assert_eq!(send(&receiver.url(), &client, now, &sign(SECRET, id, now, &body), id, &body).await, 204);
    }
    let expected =
        Report { received: 6, distinct: 5, repeats: 1, out_of_order: 1, missing_seq: 1, lanes: 2, ..Report::default() };
    assert_eq!(receiver.report(), expected);
    assert_eq!(receiver.seen("a").unwrap().events["ACTIVATE"], 4);
    assert_eq!(receiver.seen("a").unwrap().active, ["pro"]);
    assert_eq!(receiver.latency_ms(100.0).map(f64::round), Some(40.0));
}

#[tokio::test]
async fn faults_are_spread_evenly_and_end() {
    let (receiver, _clock, client) = start().await;
    let now = START / 1000;
    let mut statuses = Vec::new();
    for (faults, calls) in [
        (Faults { fail_percent: 25, ..Faults::default() }, 8),
        (Faults { forget_percent: 50, ..Faults::default() }, 4),
        (Faults { gone: true, ..Faults::default() }, 1),
        (Faults::default(), 1),
    ] {
        receiver.set_faults(faults);
        for _ in 0..calls {
            let id = format!("evt_{}", statuses.len());
            let body = event(&id, "p", statuses.len() as u64 + 1);
            statuses.push(send(&receiver.url(), &client, now, &sign(SECRET, &id, now, &body), &id, &body).await);
        }
    }
    let count = |status| statuses.iter().filter(|&&one| one == status).count();
    assert_eq!((count(500), count(410), count(204)), (4, 1, 9), "{statuses:?}");
    assert_eq!(receiver.report().received, 11, "2 of 8 failed before, 2 of 4 after they were noted");
    assert_eq!(receiver.report().faults, 5);
}

#[tokio::test]
async fn a_secret_must_be_one() {
    for secret in ["", "secret", "whsec_%"] {
        assert!(
            matches!(Receiver::start(ReceiverOptions::new(secret)).await, Err(ReceiverError::Secret)),
            "{secret:?}"
        );
    }
}
