use super::*;

#[tokio::test]
async fn an_anonymous_purchase_is_claimed_by_the_first_who_is_named() {
    let test = TestHub::new().await;
    test.map().await;
    let now = test.clock.now();
    let mut body = bought(now, now.plus(DAY * 30), "user-1", "sub");
    body.as_object_mut().unwrap().remove("customer_id");
    test.send(&body).await;
    let anonymous = test.events().await[0].customer.clone();
    assert!(anonymous.anonymous);
    let mut claim = said(now.plus(DAY), "renewal_disabled", "sub");
    claim["customer_id"] = "user-1".into();
    test.send(&claim).await;
    let found = test.hub.store().customer("user-1").await.unwrap().unwrap();
    assert_eq!(found.id, anonymous.id, "the customer gets a name, the purchase does not move");
    assert_eq!(test.told_since(3).await, ["user-1 RENEWAL_DISABLED"]);
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_transfer_is_told_to_both_sides() {
    let test = TestHub::new().await;
    test.map().await;
    test.buy("user-1", "sub").await;
    test.clock.advance(DAY);
    let mut body = said(test.clock.now(), "transferred", "sub");
    body["transfer_to"] = "user-2".into();
    test.send(&body).await;
    assert_eq!(
        test.told_since(3).await,
        ["user-1 DEACTIVATE", "user-1 SUBSCRIPTION_TRANSFERRED", "user-2 ACTIVATE", "user-2 SUBSCRIPTION_RECEIVED"]
    );
    assert_eq!((test.active("user-1").await.len(), test.active("user-2").await), (0, vec!["pro".to_owned()]));
    let mut old = said(at("2026-01-01T00:00:01Z"), "renewal_enabled", "sub");
    old["customer_id"] = "user-1".into();
    test.send(&old).await;
    assert_eq!(test.active("user-2").await, ["pro"], "an older word about the owner does not count");
    test.check_rebuild().await;
}

#[tokio::test]
async fn linking_customers_makes_them_one() {
    let test = TestHub::new().await;
    test.map().await;
    test.buy("user-1", "one").await;
    test.buy("user-2", "two").await;
    let before = test.events().await.len();
    assert_eq!(test.hub.add_alias("nobody", "x").await.unwrap_err().status(), 404);
    let stays = test.hub.add_alias("user-1", "mail-1").await.unwrap();
    assert_eq!(stays.aliases, ["user-1", "mail-1"]);
    assert_eq!(test.hub.add_alias("mail-1", "user-1").await.unwrap(), stays, "the same again changes nothing");
    assert_eq!(test.events().await.len(), before);
    let stays = test.hub.add_alias("user-1", "user-2").await.unwrap();
    assert_eq!(stays.aliases, ["user-1", "mail-1", "user-2"]);
    assert_eq!(stays.holdings.len(), 2);
    assert_eq!(stays.totals.values().sum::<i64>(), 1998);
    assert_eq!(test.hub.store().customer("user-2").await.unwrap().unwrap().id, stays.id);
    let told = test.told_since(before).await;
    assert!(told.iter().any(|line| line.ends_with("SUBSCRIPTION_TRANSFERRED")), "{told:?}");
    assert!(told.iter().any(|line| line.ends_with("SUBSCRIPTION_RECEIVED")), "{told:?}");
    test.clock.advance(DAY);
    test.send(&said(test.clock.now(), "expired", "two")).await;
    let last = test.events().await.last().unwrap().clone();
    assert_eq!(last.customer.id, stays.id, "what comes later belongs to who stayed");
    assert_eq!(last.entitlements.active, ["pro"], "the other purchase still unlocks it");
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_purchase_is_bound_to_a_customer() {
    let test = TestHub::new().await;
    test.map().await;
    test.buy("user-1", "sub").await;
    let bind = async |purchase: &str, customer: &str| {
        test.hub.bind_purchase(test.source, Environment::Production, purchase, customer).await
    };
    assert_eq!(bind("other", "user-2").await.unwrap_err().status(), 404);
    let missing = paidup_lifecycle::ids::CustomerId([3; 16]).to_string();
    assert_eq!(bind("sub", &missing).await.unwrap_err().status(), 404);
    bind("sub", "user-2").await.unwrap();
    assert_eq!(test.active("user-2").await, ["pro"]);
    let count = test.events().await.len();
    bind("sub", "user-2").await.unwrap();
    assert_eq!(test.events().await.len(), count, "the same again changes nothing");
    test.check_rebuild().await;
}
