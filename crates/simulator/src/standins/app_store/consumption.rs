//! "Send Consumption Information": the body's fields and their values, in both versions.

use super::answer::{self, Answer};
use serde_json::Value;

/// Fields of version 1 that hold a number, with the largest.
const V1_NUMBERS: [(&str, u64); 8] = [
    ("accountTenure", 7),
    ("consumptionStatus", 3),
    ("deliveryStatus", 5),
    ("lifetimeDollarsPurchased", 7),
    ("lifetimeDollarsRefunded", 7),
    ("platform", 2),
    ("playTime", 7),
    ("userStatus", 4),
];
/// Values of `deliveryStatus` in version 2.
const DELIVERY: [&str; 5] = [
    "DELIVERED",
    "UNDELIVERED_QUALITY_ISSUE",
    "UNDELIVERED_WRONG_ITEM",
    "UNDELIVERED_SERVER_OUTAGE",
    "UNDELIVERED_OTHER",
];
/// Values of `refundPreference` in version 2.
const PREFERENCE: [&str; 3] = ["DECLINE", "GRANT_FULL", "GRANT_PRORATED"];
/// All of it, in thousandths of a percent.
const WHOLE: u64 = 100_000;

/// Checks a body of version 1 (`/inApps/v1/...`): everything but the preference is required.
pub(super) fn check_v1(body: &Value) -> Result<(), Answer> {
    check_common(body)?;
    let fits = |value: &Value, most: u64| value.as_u64().is_some_and(|value| value <= most);
    let numbers = V1_NUMBERS.iter().all(|(name, most)| fits(&body[*name], *most));
    let preference = body["refundPreference"].is_null() || fits(&body["refundPreference"], 3);
    if numbers && preference && body["appAccountToken"].is_string() { Ok(()) } else { Err(answer::BAD_REQUEST) }
}

/// Checks a body of version 2 (`/inApps/v2/...`).
pub(super) fn check_v2(body: &Value) -> Result<(), Answer> {
    check_common(body)?;
    if !body["deliveryStatus"].as_str().is_some_and(|value| DELIVERY.contains(&value)) {
        return Err(answer::INVALID_DELIVERY);
    }
    let (used, preference) = (&body["consumptionPercentage"], &body["refundPreference"]);
    let used = used.is_null() || used.as_u64().is_some_and(|value| value <= WHOLE);
    let preference = preference.is_null() || preference.as_str().is_some_and(|value| PREFERENCE.contains(&value));
    let known =
        ["customerConsented", "deliveryStatus", "sampleContentProvided", "consumptionPercentage", "refundPreference"];
    let only_known = body.as_object().is_some_and(|body| body.keys().all(|name| known.contains(&name.as_str())));
    if used && preference && only_known { Ok(()) } else { Err(answer::BAD_REQUEST) }
}

fn check_common(body: &Value) -> Result<(), Answer> {
    if body["customerConsented"] != true {
        return Err(answer::INVALID_CONSENT);
    }
    if body["sampleContentProvided"].is_boolean() { Ok(()) } else { Err(answer::INVALID_SAMPLE) }
}
