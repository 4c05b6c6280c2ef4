use super::*;
use crate::grants::{GrantEnd, GrantRequest, grant_of};
use paidup_lifecycle::event::EventType::*;
use paidup_lifecycle::observation::PeriodType;

fn pro(ends: GrantEnd, period_type: PeriodType) -> GrantRequest {
    GrantRequest { entitlement: "pro".to_owned(), ends, period_type }
}

#[tokio::test]
async fn a_grant_runs_is_extended_and_ends_by_date() {
    let test = TestHub::new().await;
    let grant = test.hub.grant("user-1", pro(GrantEnd::After(DAY * 3), PeriodType::Promotional)).await.unwrap();
    let id = grant_of(&grant.key).unwrap();
    assert_eq!(test.active("user-1").await, ["pro"], "the entitlement is made with it");
    assert_eq!(types(&test.events().await), [Activate, PromoGranted]);
    test.pass(DAY).await;
    test.hub.change_grant(id, Some(test.clock.now().plus(DAY * 4))).await.unwrap();
    test.pass(DAY * 3).await;
    assert_eq!(test.active("user-1").await, ["pro"], "the first end has passed and does not count any more");
    test.pass(DAY + DAY).await;
    assert_eq!(test.active("user-1").await, [""; 0]);
    let events = test.events().await;
    assert_eq!(types(&events)[2..], [Activate, SubscriptionDeferred, Deactivate, SubscriptionTerminated]);
    assert_eq!(events.last().unwrap().occurred_at, at("2026-01-06T00:00:00Z"), "it ended when it was agreed to");
    assert_eq!(test.hub.revoke_grant(id).await.unwrap_err().status(), 409);
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_grant_is_extended_by_a_span_and_two_at_once_both_count() {
    let test = TestHub::new().await;
    let began = test.clock.now();
    let grant = test.hub.grant("user-1", pro(GrantEnd::After(DAY * 3), PeriodType::Promotional)).await.unwrap();
    let id = grant_of(&grant.key).unwrap();
    let (one, other) = tokio::join!(test.hub.extend_grant(id, DAY), test.hub.extend_grant(id, DAY * 2));
    let ends = [one.unwrap(), other.unwrap()].map(|grant| grant.facets.period.unwrap().value.ends_at.unwrap());
    assert_eq!(ends.iter().max(), Some(&began.plus(DAY * 6)));
    test.hub.change_grant(id, None).await.unwrap();
    assert_eq!(test.hub.extend_grant(id, DAY).await.unwrap_err().status(), 409, "what never ends cannot end later");
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_grant_is_taken_away() {
    let test = TestHub::new().await;
    let grant = test.hub.grant("user-1", pro(GrantEnd::Never, PeriodType::Promotional)).await.unwrap();
    assert_eq!(grant.facets.period.as_ref().unwrap().value.ends_at, None);
    test.clock.advance(DAY);
    test.hub.revoke_grant(grant_of(&grant.key).unwrap()).await.unwrap();
    assert_eq!(types(&test.events().await)[2..], [Deactivate, PromoRevoked]);
    assert_eq!(test.active("user-1").await, [""; 0]);
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_trial_grant_is_converted_by_what_is_bought() {
    let test = TestHub::new().await;
    test.map().await;
    test.hub.grant("user-1", pro(GrantEnd::After(DAY * 7), PeriodType::Trial)).await.unwrap();
    test.clock.advance(DAY);
    test.buy("user-1", "sub").await;
    let told = types(&test.events().await);
    assert!(told.contains(&TrialStarted) && told.contains(&TrialConverted), "{told:?}");
    assert_eq!(test.active("user-1").await, ["pro"]);
    test.pass(DAY * 10).await;
    assert!(!types(&test.events().await).contains(&TrialNotConverted));
    test.check_rebuild().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let test = TestHub::new().await;
    let past = GrantEnd::At(test.clock.now());
    for (name, customer, request, expected) in [
        ("past", "user-1", pro(past, PeriodType::Promotional), 422),
        ("paid", "user-1", pro(GrantEnd::Never, PeriodType::Normal), 422),
        ("no name", "", pro(GrantEnd::Never, PeriodType::Promotional), 422),
        ("no such customer", "cus_00000000000000000000000000", pro(GrantEnd::Never, PeriodType::Promotional), 404),
    ] {
        assert_eq!(test.hub.grant(customer, request).await.unwrap_err().status(), expected, "{name}");
    }
    let unknown = paidup_lifecycle::ids::GrantId([1; 16]);
    assert_eq!(test.hub.change_grant(unknown, None).await.unwrap_err().status(), 404);
    assert!(test.events().await.is_empty());
}
