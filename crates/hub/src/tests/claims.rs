//! Claims: what an app's backend says that a customer bought, and whose it is then.

use super::*;
use crate::claims::{ClaimAnswer, RestorePolicy, Restored};
use crate::error::HubError;
use paidup_sources::Claim;
use paidup_store::claims::ClaimState;

const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn signed(body: &Value) -> Claim {
    Claim { signed_transaction: Some(body.to_string()), ..Claim::default() }
}

fn token(token: &str) -> Claim {
    Claim { purchase_token: Some(token.to_owned()), ..Claim::default() }
}

fn subscription(id: &str) -> Claim {
    Claim { subscription_id: Some(id.to_owned()), ..Claim::default() }
}

/// A hub with a store that can be asked, and the purchases in its words.
struct Shop {
    test: TestHub,
    store: SourceId,
}

impl Shop {
    async fn new() -> Shop {
        Shop::with(RestorePolicies::default()).await
    }

    async fn with(restore: RestorePolicies) -> Shop {
        let test = TestHub::with_restore(restore).await;
        test.map().await;
        let store = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
        Shop { test, store }
    }

    fn body(&self, purchase: &str) -> Value {
        let now = self.test.clock.now();
        json!({"purchase": purchase, "at": now, "until": now.plus(MONTH)})
    }

    async fn claim(&self, customer: &str, claim: &Claim) -> Result<ClaimAnswer, HubError> {
        self.test.clock.advance(Duration::from_millis(1));
        self.test.hub.claim_purchase(customer, self.store, claim).await
    }

    /// Claims what must be decided at once; answers what became of each purchase.
    async fn claimed(&self, customer: &str, claim: &Claim) -> Vec<Restored> {
        let answer = self.claim(customer, claim).await.unwrap();
        assert!(answer.pending.is_none(), "{answer:?}");
        answer.purchases.into_iter().map(|(_, restored)| restored).collect()
    }

    /// The store tells of a purchase by itself.
    async fn tells(&self, body: &Value) {
        self.test.clock.advance(Duration::from_millis(1));
        if self.test.hub.proof_keys().at(self.test.clock.now()).0.is_empty() {
            self.test.script.ready.lock().push_back((200, "right".to_owned()));
        }
        let mut headers = http::HeaderMap::new();
        headers.insert("x-proof", "right".parse().unwrap());
        let raw = RawRequest { headers, body: body.to_string().into() };
        self.test.hub.intake(self.store, raw, &Sender::Anonymous).await.unwrap();
    }

    fn answers(&self, status: u16, body: &Value) {
        self.test.script.ready.lock().push_back((status, body.to_string()));
    }

    async fn told_since(&self, count: usize) -> Vec<String> {
        self.test.told_since(count).await
    }

    async fn count(&self) -> usize {
        self.test.events().await.len()
    }
}

#[tokio::test]
async fn a_proof_that_speaks_for_itself_binds_at_once() {
    let shop = Shop::new().await;
    let proof = signed(&shop.body("one"));
    assert_eq!(shop.claimed("user-1", &proof).await, [Restored::Bound]);
    assert_eq!(shop.test.active("user-1").await, ["pro"]);
    assert_eq!(shop.told_since(0).await, ["user-1 ACTIVATE", "user-1 SUBSCRIPTION_STARTED"], "no transfer");
    let count = shop.count().await;
    assert_eq!(shop.claimed("user-1", &proof).await, [Restored::AlreadyTheirs]);
    assert_eq!(shop.count().await, count);
    let found = shop.test.hub.store().customer("user-1").await.unwrap().unwrap();
    assert!(shop.test.hub.store().claims_of("user-1", 10).await.unwrap().is_empty(), "nothing is left of it");
    assert_eq!(found.holdings.len(), 1);
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn a_purchase_that_nobody_identified_has_is_the_claimants_without_a_transfer_to_revenuecat() {
    let shop = Shop::new().await;
    shop.tells(&shop.body("one")).await;
    shop.tells(&shop.body("two")).await;
    let anonymous = shop.test.events().await[0].customer.id.to_string();
    assert_eq!(shop.claimed("user-1", &subscription("one")).await, [Restored::Bound]);
    let count = shop.count().await;
    assert_eq!(count, 4, "the customer got a name; nothing moved");
    assert_eq!(shop.claimed("user-1", &subscription("two")).await, [Restored::Bound]);
    let events = shop.test.events().await;
    let moved = &events[count..];
    assert_eq!(
        types(moved),
        [
            EventType::Deactivate,
            EventType::SubscriptionTransferred,
            EventType::Activate,
            EventType::SubscriptionReceived
        ]
    );
    assert!(moved.iter().all(|event| event.details.merged == Some(true)));
    let options = paidup_lifecycle::dialects::revenuecat::Options::default();
    let told = moved.iter().flat_map(|event| paidup_lifecycle::dialects::revenuecat::messages(event, &options));
    assert_eq!(told.count(), 0, "RevenueCat tells nothing of a merge");
    let store = shop.test.hub.store();
    let user = store.customer("user-1").await.unwrap().unwrap();
    assert_eq!(store.customer(&anonymous).await.unwrap().unwrap().id, user.id);
    assert_eq!(store.customer(&events[2].customer.id.to_string()).await.unwrap().unwrap().id, user.id);
    assert_eq!(user.holdings.len(), 2);
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn each_policy_says_what_becomes_of_anothers_purchase() {
    use RestorePolicy::{Keep, Share, Transfer, TransferIfInactive};
    let over = |shop: &Shop| json!({"purchase": "one", "at": shop.test.clock.now(), "until": shop.test.clock.now()});
    for (policy, is_over, expected) in [
        (Transfer, false, Some(Restored::Transferred)),
        (TransferIfInactive, false, None),
        (TransferIfInactive, true, Some(Restored::Transferred)),
        (Keep, false, None),
        (Keep, true, None),
        (Share, false, Some(Restored::Shared)),
    ] {
        for environment in ["PRODUCTION", "SANDBOX"] {
            // The other environment has the opposite policy.
            let other = if policy == Keep { Transfer } else { Keep };
            let restore = match environment {
                "PRODUCTION" => RestorePolicies { production: policy, sandbox: other },
                _ => RestorePolicies { production: other, sandbox: policy },
            };
            let name = format!("{policy} {environment} over: {is_over}");
            let shop = Shop::with(restore).await;
            let mut body = shop.body("one");
            body["environment"] = environment.into();
            shop.claimed("user-1", &signed(&body)).await;
            if is_over {
                let mut over = over(&shop);
                over["environment"] = environment.into();
                shop.test.clock.advance(Duration::from_secs(1));
                shop.tells(&over).await;
            }
            let count = shop.count().await;
            let answer = shop.claim("user-2", &signed(&body)).await;
            let told = shop.told_since(count).await;
            match (expected, answer) {
                (Some(expected), Ok(answer)) => {
                    assert_eq!(answer.purchases[0].1, expected, "{name}");
                    let owner = shop.test.hub.store().customer("user-2").await.unwrap().unwrap().id;
                    assert_eq!(answer.purchases[0].0.customer, owner, "{name}");
                    let moves = told.iter().filter(|line| line.ends_with("SUBSCRIPTION_RECEIVED")).count();
                    assert_eq!(moves, usize::from(!is_over), "{name}: {told:?}");
                }
                (None, Err(error)) => {
                    assert_eq!(error.status(), 409, "{name}: {error}");
                    assert!(error.to_string().contains("belongs to another customer"), "{name}: {error}");
                    assert_eq!(told, Vec::<String>::new(), "{name}");
                    assert_eq!(shop.test.hub.store().customer("user-2").await.unwrap(), None, "{name}: nobody is made");
                }
                (expected, answer) => panic!("{name}: {expected:?} {answer:?}"),
            }
            let one = shop.test.hub.store().customer("user-1").await.unwrap().unwrap().id;
            let two = shop.test.hub.store().customer("user-2").await.unwrap().map(|two| two.id);
            assert_eq!(two == Some(one), policy == Share, "{name}");
            shop.test.check_rebuild().await;
        }
    }
}

#[tokio::test]
async fn a_rebuild_folds_with_the_policy_of_then() {
    let shop = Shop::with(RestorePolicies { production: RestorePolicy::Keep, ..RestorePolicies::default() }).await;
    let proof = signed(&shop.body("one"));
    shop.claimed("user-1", &proof).await;
    shop.claim("user-2", &proof).await.unwrap_err();
    // The same journal under a hub whose operator has changed the setting since.
    let Shop { test, .. } = shop;
    let test = test.restart().await;
    assert_eq!(test.hub.config().restore, RestorePolicies::default());
    test.check_rebuild().await;
}

#[tokio::test]
async fn the_store_is_asked_and_its_answer_binds() {
    let shop = Shop::new().await;
    shop.answers(200, &json!({"purchase": "deeper", "until": shop.test.clock.now(), "says": "more"}));
    shop.answers(200, &shop.body("one"));
    assert_eq!(shop.claimed("user-1", &token("tok")).await, [Restored::Bound], "two steps");
    assert_eq!(*shop.test.script.called.lock(), ["https://store.test/token/tok", "https://store.test/token/deeper"]);
    assert_eq!(shop.test.active("user-1").await, ["pro"]);
    let claim = &shop.test.hub.store().claims_of("user-1", 10).await.unwrap()[0];
    assert_eq!((claim.state, claim.lookups.len()), (ClaimState::Settled, 0));
    assert_eq!(shop.test.hub.store().lookups(10).await.unwrap(), []);
    shop.answers(200, &shop.body("one"));
    assert_eq!(shop.claimed("user-1", &token("tok")).await, [Restored::AlreadyTheirs], "asked again");
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_binds_when_it_does_even_after_a_restart() {
    let shop = Shop::new().await;
    let answer = shop.claim("user-1", &token("tok")).await.unwrap();
    let pending = answer.pending.unwrap();
    assert_eq!((pending.lookups.len(), pending.lookups[0].attempts), (1, 1));
    assert!(pending.lookups[0].last_error.is_some());
    assert_eq!(shop.test.hub.store().customer("user-1").await.unwrap(), None);
    let again = shop.claim("user-1", &token("tok")).await.unwrap().pending.unwrap();
    assert_eq!(again.id, pending.id, "one claim");
    let Shop { test, store } = shop;
    let shop = Shop { test: test.restart().await, store };
    shop.test.clock.advance(Duration::from_secs(3600));
    shop.answers(200, &shop.body("one"));
    shop.test.hub.ask_due().await.unwrap();
    assert_eq!(shop.test.active("user-1").await, ["pro"]);
    assert_eq!(shop.told_since(0).await, ["user-1 ACTIVATE", "user-1 SUBSCRIPTION_STARTED"]);
    assert_eq!(shop.test.hub.store().claim(pending.id).await.unwrap().unwrap().state, ClaimState::Settled);
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn two_customers_who_wait_for_one_purchase_are_dealt_with_in_turn() {
    for (policy, holder, kept) in [(RestorePolicy::Transfer, "user-2", false), (RestorePolicy::Keep, "user-1", true)] {
        let shop = Shop::with(RestorePolicies { production: policy, sandbox: policy }).await;
        let first = shop.claim("user-1", &subscription("one")).await.unwrap().pending.unwrap();
        assert!(first.notification && first.lookups.is_empty());
        let second = shop.claim("user-2", &subscription("one")).await.unwrap().pending.unwrap();
        shop.tells(&shop.body("one")).await;
        assert_eq!(shop.test.active(holder).await, ["pro"], "{policy}");
        let store = shop.test.hub.store();
        for id in [first.id, second.id] {
            assert_eq!(store.claim(id).await.unwrap().unwrap().state, ClaimState::Settled, "{policy}");
        }
        let later = shop.claim("user-2", &subscription("one")).await;
        assert_eq!(later.is_err_and(|error| error.status() == 409), kept, "{policy}");
        shop.test.check_rebuild().await;
    }
}

#[tokio::test]
async fn what_the_store_does_not_know_is_refused_in_words_and_ends_the_claim() {
    let shop = Shop::new().await;
    shop.answers(404, &json!({}));
    let refused = shop.claim("user-1", &token("unknown")).await.unwrap_err();
    assert_eq!(refused.status(), 422);
    assert!(refused.to_string().contains("the store answered 404"), "{refused}");
    let claim = &shop.test.hub.store().claims_of("user-1", 10).await.unwrap()[0];
    assert_eq!(claim.state, ClaimState::Refused);
    shop.answers(200, &json!({"purchase": "x", "until": "2026-01-01T00:00:00Z", "says": "unknown"}));
    let empty = shop.claim("user-1", &token("empty")).await.unwrap_err();
    assert!(empty.to_string().contains("names no purchase"), "{empty}");

    let waits = shop.claim("user-1", &subscription("never")).await.unwrap().pending.unwrap();
    shop.test.clock.advance(DAY * 3);
    assert_eq!(shop.test.hub.end_old_claims().await.unwrap(), 0);
    assert_eq!(shop.test.hub.store().claim(waits.id).await.unwrap().unwrap().state, ClaimState::Waiting);
    shop.test.clock.advance(Duration::from_secs(1));
    shop.test.hub.end_old_claims().await.unwrap();
    assert_eq!(shop.test.hub.store().claim(waits.id).await.unwrap().unwrap().state, ClaimState::Refused);
    shop.test.clock.advance(DAY * 31);
    assert_eq!(shop.test.hub.end_old_claims().await.unwrap(), 3, "forgotten after a month");
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn what_cannot_be_claimed_is_refused_with_its_reason() {
    let shop = Shop::new().await;
    let forged = Claim { signed_transaction: Some("forged".to_owned()), ..Claim::default() };
    let panics = Claim { product_id: Some("panic".to_owned()), ..Claim::default() };
    let missing = paidup_lifecycle::ids::CustomerId([3; 16]).to_string();
    for (what, customer, claim, status, words) in [
        ("forged", "user-1", &forged, 401, "signature"),
        ("a source that panics", "user-1", &panics, 500, "failed on this proof"),
        ("one of our ids that nobody has", &*missing, &subscription("one"), 404, "no such customer"),
        ("everybody", "undefined", &subscription("one"), 422, "would be everybody"),
        ("turned text", "user\u{202e}1", &subscription("one"), 422, "direction of text"),
        ("control characters", "user\n1", &subscription("one"), 422, "control characters"),
    ] {
        let refused = shop.claim(customer, claim).await.unwrap_err();
        assert_eq!(refused.status(), status, "{what}: {refused}");
        assert!(refused.to_string().contains(words), "{what}: {refused}");
    }
    let other = shop.test.hub.claim_purchase("user-1", SourceId([9; 16]), &subscription("one")).await.unwrap_err();
    assert_eq!(other.status(), 422);
    assert_eq!(shop.count().await, 0);
}

/// A claim that says what was bought, for which something may be given meanwhile.
fn token_of(name: &str, product: &str) -> Claim {
    Claim { product_id: Some(product.to_owned()), ..token(name) }
}

async fn revenuecats(test: &TestHub, since: usize) -> Vec<String> {
    use paidup_lifecycle::dialects::revenuecat::{Options, messages};
    let events = test.events().await;
    let told = events[since..].iter().flat_map(|event| messages(event, &Options::default()));
    told.map(|message| message.rc_type.to_string()).collect()
}

#[tokio::test]
async fn a_store_that_is_down_keeps_nobody_out_and_confirms_silently() {
    let shop = Shop::new().await;
    let waits = shop.claim("user-1", &token_of("tok", "pro_monthly")).await.unwrap().pending.unwrap();
    assert!(waits.temporary.is_some());
    assert_eq!(shop.test.active("user-1").await, ["pro"]);
    assert_eq!(shop.told_since(0).await, ["user-1 ACTIVATE", "user-1 TEMPORARY_ENTITLEMENT_GRANTED"]);
    assert_eq!(revenuecats(&shop.test, 0).await, ["TEMPORARY_ENTITLEMENT_GRANT"]);
    let again = shop.claim("user-1", &token_of("tok", "pro_monthly")).await.unwrap().pending.unwrap();
    assert_eq!((again.temporary, shop.count().await), (waits.temporary, 2), "once");
    shop.test.clock.advance(Duration::from_secs(3600));
    shop.answers(200, &shop.body("one"));
    shop.test.hub.ask_due().await.unwrap();
    assert_eq!(
        shop.told_since(2).await,
        ["user-1 ACTIVATE", "user-1 SUBSCRIPTION_STARTED", "user-1 DEACTIVATE"],
        "access never flickers"
    );
    let last = shop.test.events().await.pop().unwrap();
    assert_eq!(
        (last.edge, last.entitlements.active.clone()),
        (Some(paidup_lifecycle::event::Edge::Replaced), vec!["pro".to_owned()])
    );
    assert_eq!(revenuecats(&shop.test, 2).await, ["INITIAL_PURCHASE"]);
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn what_was_given_ends_when_the_store_knows_nothing_or_says_nothing() {
    let shop = Shop::new().await;
    shop.claim("user-1", &token_of("none", "pro_monthly")).await.unwrap();
    shop.test.clock.advance(Duration::from_secs(3600));
    shop.answers(404, &json!({}));
    shop.test.hub.ask_due().await.unwrap();
    assert_eq!(shop.told_since(2).await, ["user-1 DEACTIVATE"]);
    assert_eq!(revenuecats(&shop.test, 2).await, ["EXPIRATION"]);
    assert_eq!(shop.test.active("user-1").await, Vec::<String>::new());
    let refused = shop.claim("user-1", &token_of("none", "pro_monthly")).await.unwrap();
    assert!(refused.pending.is_some_and(|pending| pending.temporary.is_none()), "once for each claim");

    shop.claim("user-2", &token_of("silent", "pro_monthly")).await.unwrap();
    let count = shop.count().await;
    shop.test.pass(Duration::from_secs(3600 * 12)).await;
    assert_eq!(shop.told_since(count).await, ["user-2 DEACTIVATE"], "after its hours");
    shop.answers(200, &shop.body("late"));
    shop.test.hub.ask_due().await.unwrap();
    assert_eq!(shop.told_since(count + 1).await[..2], ["user-2 ACTIVATE", "user-2 SUBSCRIPTION_STARTED"]);
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn nobody_lives_on_temporary_entitlements() {
    let shop = Shop::new().await;
    for product in ["pro_weekly", "pro_yearly", "pro_daily"] {
        shop.test.hub.put_product(catalogue::product(product, &["pro"]), false).await.unwrap();
    }
    let given = async |customer: &str, name: &str, product: &str| {
        let pending = shop.claim(customer, &token_of(name, product)).await.unwrap().pending.unwrap();
        pending.temporary.is_some()
    };
    assert!(!given("user-1", "0", "unmapped").await, "it unlocks nothing");
    assert!(given("user-1", "1", "pro_monthly").await);
    assert!(!given("user-1", "2", "pro_monthly").await, "it runs");
    assert!(given("user-1", "3", "pro_weekly").await && given("user-1", "4", "pro_yearly").await);
    assert!(!given("user-1", "5", "pro_daily").await, "three in a week");
    assert!(given("user-2", "5", "pro_daily").await);
    let without = shop.claim("user-3", &token("6")).await.unwrap().pending.unwrap();
    assert!(without.temporary.is_none(), "nobody said what was bought");
    shop.test.pass(DAY * 8).await;
    assert!(given("user-1", "7", "pro_monthly").await, "a week later");
    shop.test.check_rebuild().await;
}

#[tokio::test]
async fn two_who_claim_one_purchase_within_a_millisecond_are_both_dealt_with() {
    let shop = Shop::new().await;
    let (hub, store) = (&shop.test.hub, shop.store);
    let reply = |body: &Value| {
        shop.test.script.reply("https://store.test/token/tok", Reply::Answer(200, body.to_string()));
    };
    reply(&shop.body("one"));
    assert_eq!(shop.claimed("user-1", &token("tok")).await, [Restored::Bound]);
    // The clock has not moved: the store's answer is the one that is known.
    let answer = hub.claim_purchase("user-2", store, &token("tok")).await.unwrap();
    let pending = answer.pending.unwrap();
    assert_eq!(pending.lookups.len(), 1);
    for _ in 0..3 {
        hub.ask_due().await.unwrap();
    }
    assert_eq!(shop.test.script.calls().len(), 2, "it waits for another moment");
    shop.test.clock.advance(Duration::from_secs(1));
    hub.ask_due().await.unwrap();
    assert_eq!(hub.store().claim(pending.id).await.unwrap().unwrap().state, ClaimState::Settled);
    assert_eq!(shop.test.active("user-2").await, ["pro"], "transferred, as the policy says");
    assert_eq!(hub.store().lookups(10).await.unwrap(), []);
    shop.test.check_rebuild().await;
}
