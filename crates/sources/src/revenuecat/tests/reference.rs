//! RevenueCat's own samples, where they are on this machine: every one is taken in, and what it says is what its page says.

use super::*;
use std::path::Path;

/// A sample's name and the events of its observation as the first word on the purchase; `-`: none, and a note.
const SAMPLES: [(&str, &str); 20] = [
    ("billing_issue", "ACTIVATE PAYMENT_FAILED"),
    ("cancellation", "ACTIVATE RENEWAL_DISABLED"),
    ("cancellation_refund", ""),
    ("envelope_example", "ACTIVATE SUBSCRIPTION_STARTED PROMOTIONAL_OFFER_STARTED"),
    ("experiment_enrollment", "-"),
    ("expiration", ""),
    ("initial_purchase", "ACTIVATE SUBSCRIPTION_STARTED"),
    ("invoice_issuance", "-"),
    ("non_renewing_purchase", "ACTIVATE ONE_TIME_PURCHASED"),
    ("product_change", "ACTIVATE PLAN_CHANGE_SCHEDULED"),
    ("refund_reversed", "ACTIVATE REFUND_REVERSED"),
    ("renewal", "ACTIVATE SUBSCRIPTION_RENEWED"),
    ("subscription_extended", "ACTIVATE"),
    ("subscription_paused", "ACTIVATE SUBSCRIPTION_WILL_PAUSE"),
    ("temporary_entitlement_grant", "-"),
    ("transfer", "transfer"),
    ("trial_cancelled", "ACTIVATE RENEWAL_DISABLED"),
    ("trial_started", "ACTIVATE SUBSCRIPTION_STARTED TRIAL_STARTED"),
    ("uncancellation", "ACTIVATE RENEWAL_ENABLED"),
    ("virtual_currency_transaction", "-"),
];

#[test]
fn the_vendors_own_samples_are_taken_and_say_what_their_page_says() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or(default, Into::into).join("samples/revenuecat");
    if !folder.is_dir() {
        eprintln!("NOT CHECKED: RevenueCat's samples are not at {}", folder.display());
        return;
    }
    let source = open();
    for (name, expected) in SAMPLES {
        let body = std::fs::read(folder.join(format!("webhook_{name}.json"))).unwrap();
        let reading = verify(source.as_ref(), &body).unwrap_or_else(|error| panic!("{name}: {error:?}")).reading;
        let told = match (reading.observations.is_empty(), reading.transfers.is_empty(), reading.note.is_some()) {
            (false, true, false) => golden::play(reading.observations)[0].join(" "),
            (true, false, false) => "transfer".to_owned(),
            (true, true, true) => "-".to_owned(),
            odd => panic!("{name}: {odd:?}"),
        };
        assert_eq!(told, expected, "{name}");
    }
    let all = std::fs::read_dir(&folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("webhook_"));
    assert_eq!(all.count(), SAMPLES.len(), "every sample is in the table");
}
