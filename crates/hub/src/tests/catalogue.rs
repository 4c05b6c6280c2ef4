use super::*;
use crate::catalogue::NewProduct;
use paidup_lifecycle::event::EventType::EntitlementsChanged;

pub(super) fn product(id: &str, entitlements: &[&str]) -> NewProduct {
    NewProduct {
        product_id: id.to_owned(),
        store: None,
        name: None,
        entitlements: entitlements.iter().map(|id| (*id).to_owned()).collect(),
        rank: None,
        group: None,
    }
}

#[tokio::test]
async fn mapping_a_product_tells_those_who_bought_it_before() {
    let test = TestHub::new().await;
    test.buy("user-1", "one").await;
    test.buy("user-2", "two").await;
    assert_eq!(test.active("user-1").await, [""; 0]);
    let known = test.hub.store().catalogue();
    assert!(known.products.values().any(|known| known.product_id == "pro_monthly"), "unknown ones are made unmapped");
    assert!(test.hub.metrics_text().await.contains("paidup_products_unmapped 1"));
    let before = test.events().await.len();
    let dry = test.hub.put_product(product("pro_monthly", &["pro"]), true).await.unwrap();
    assert_eq!((dry.affected, test.hub.store().catalogue().revision), (2, known.revision), "a dry run only counts");
    test.map().await;
    let events = test.events().await;
    assert_eq!(types(&events[before..]), [EntitlementsChanged; 2]);
    assert_eq!(events[before].entitlements.activated, ["pro"]);
    assert_eq!((test.active("user-1").await, test.active("user-2").await.len()), (vec!["pro".to_owned()], 1));
    test.hub.sweep().await.unwrap();
    assert_eq!(test.events().await.len(), before + 2, "a sweep that finds nothing says nothing");
    test.hub.delete_entitlement("pro").await.unwrap();
    test.hub.sweep().await.unwrap();
    assert_eq!(test.active("user-2").await, [""; 0]);
    assert_eq!(test.hub.delete_product("none", None).await.unwrap_err().status(), 404);
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_restart_finishes_what_a_change_began() {
    let test = TestHub::new().await;
    test.buy("user-1", "one").await;
    test.hub.put_product(product("pro_monthly", &["pro"]), false).await.unwrap();
    let test = test.restart().await;
    assert_eq!(test.active("user-1").await, [""; 0]);
    test.hub.sweep().await.unwrap();
    assert_eq!(test.active("user-1").await, ["pro"]);
}

#[tokio::test]
async fn a_product_that_nobody_mapped_causes_no_sweep() {
    let test = TestHub::new().await;
    test.map().await;
    let swept = test.hub.store().meta("catalogue_swept").await.unwrap();
    let now = test.clock.now();
    let mut body = bought(now, now.plus(DAY), "user-1", "sub");
    body["product_id"] = "other".into();
    let revision = test.hub.store().catalogue().revision;
    test.send(&body).await;
    assert_eq!(test.hub.store().catalogue().revision, revision + 1);
    test.hub.sweep().await.unwrap();
    assert_eq!(test.hub.store().meta("catalogue_swept").await.unwrap(), swept);
    test.hub.put_product(product("other", &["beta"]), false).await.unwrap();
    test.hub.sweep().await.unwrap();
    assert_ne!(test.hub.store().meta("catalogue_swept").await.unwrap(), swept);
    assert_eq!(test.active("user-1").await, ["beta"], "whoever maps it finds no placeholder in the way");
}
