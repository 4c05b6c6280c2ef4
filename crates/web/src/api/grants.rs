//! Grants: entitlements given by hand.

use crate::auth::{Authorized, Write};
use crate::extract::{Json, Path};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::grants::{GrantEnd, GrantRequest, grant_of};
use paidup_lifecycle::event::PurchaseView;
use paidup_lifecycle::ids::{CustomerId, GrantId};
use paidup_lifecycle::observation::PeriodType;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// An entitlement to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrant {
    /// Which entitlement.
    entitlement: String,
    /// Until when. Neither this nor `duration`: for ever.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// For how long, as ISO 8601 (`P30D`, `P1M`, `PT12H`). A month is 30 days, a year 365.
    #[serde(default)]
    duration: Option<String>,
    /// `promotional` (default) or `trial`.
    #[serde(default)]
    period_type: Option<String>,
}

/// A change of a grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantChange {
    /// The new end; null: for ever. Either this or `duration`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Option<Timestamp>>,
    /// How much later it ends than it would, as ISO 8601.
    #[serde(default)]
    duration: Option<String>,
}

/// Null and absent are not the same.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::<Timestamp>::deserialize(d).map(Some)
}

/// What is read of a `GrantChange`.
enum Change {
    To(Option<Timestamp>),
    By(Duration),
}

impl GrantChange {
    fn read(self) -> Result<Change, Problem> {
        match (self.expires_at, self.duration) {
            (Some(_), Some(_)) => Err(Problem::invalid("/duration", "give expires_at or duration, not both")),
            (Some(end), None) => Ok(Change::To(end)),
            (None, Some(text)) => duration(&text).map(Change::By),
            (None, None) => Err(Problem::invalid("/expires_at", "give expires_at (null: for ever) or duration")),
        }
    }
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrantAnswer {
    /// Its id.
    #[schema(value_type = Option<String>)]
    id: Option<GrantId>,
    /// Who holds it.
    #[schema(value_type = String)]
    customer_id: CustomerId,
    /// What it unlocks.
    entitlements: Vec<String>,
    /// Until when; null: for ever.
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// The grant as the purchase that it is.
    #[schema(value_type = serde_json::Value)]
    purchase: PurchaseView,
}

fn answer(hub: &Hub, purchase: &Purchase) -> GrantAnswer {
    let view = paidup_lifecycle::engine::view(purchase, &hub.store().catalogue());
    GrantAnswer {
        id: grant_of(&purchase.key),
        customer_id: purchase.customer,
        entitlements: view.entitlements.clone(),
        expires_at: view.period.as_ref().and_then(|period| period.ends_at),
        purchase: view,
    }
}

/// The parts of an ISO 8601 duration; years count 365 days and months 30.
fn span(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (days, times) = rest.split_once('T').unwrap_or((rest, ""));
    if days.is_empty() && times.is_empty() {
        return None;
    }
    let part = |text: &str, units: &[(char, u64)]| -> Option<u64> {
        let (mut seconds, mut number, mut next) = (0u64, String::new(), 0usize);
        for letter in text.chars() {
            if letter.is_ascii_digit() {
                number.push(letter);
                continue;
            }
            let place = next + units.get(next..)?.iter().position(|(unit, _)| *unit == letter)?;
            seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(units[place].1)?)?;
            number.clear();
            next = place + 1;
        }
        number.is_empty().then_some(seconds)
    };
    let days = part(days, &[('Y', 365 * 86_400), ('M', 30 * 86_400), ('W', 7 * 86_400), ('D', 86_400)])?;
    let times = part(times, &[('H', 3600), ('M', 60), ('S', 1)])?;
    let seconds = days.checked_add(times)?;
    // A hundred years is for ever, and keeps arithmetic away from the ends of time.
    (1..=100 * 365 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

fn duration(text: &str) -> Result<Duration, Problem> {
    let detail = "an ISO 8601 duration of 1 second to 100 years, such as P30D or PT12H";
    span(text).ok_or_else(|| Problem::invalid("/duration", detail))
}

impl NewGrant {
    fn read(self) -> Result<GrantRequest, Problem> {
        let ends = match (self.expires_at, self.duration) {
            (Some(_), Some(_)) => return Err(Problem::invalid("/duration", "give expires_at or duration, not both")),
            (Some(at), None) => GrantEnd::At(at),
            (None, Some(text)) => GrantEnd::After(duration(&text)?),
            (None, None) => GrantEnd::Never,
        };
        let period_type = match self.period_type.as_deref() {
            None | Some("promotional") => PeriodType::Promotional,
            Some("trial") => PeriodType::Trial,
            Some(_) => return Err(Problem::invalid("/period_type", "promotional or trial")),
        };
        Ok(GrantRequest { entitlement: self.entitlement, ends, period_type })
    }
}

/// Gives a customer an entitlement. The customer is made if unknown.
#[utoipa::path(post, path = "/v1/customers/{id}/grants", tag = "grants", params(("id" = String, Path, description = "Our id or any alias")), request_body = NewGrant,
    responses((status = 201, body = GrantAnswer), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Write>,
    Path(id): Path<String>,
    Json(request): Json<NewGrant>,
) -> Result<Response, Problem> {
    let purchase = hub.on_behalf_of(&caller).grant(&id, request.read()?).await?;
    Ok((StatusCode::CREATED, axum::Json(answer(&hub, &purchase))).into_response())
}

/// Moves a grant's end.
#[utoipa::path(patch, path = "/v1/grants/{id}", tag = "grants", params(("id" = String, Path)), request_body = GrantChange,
    responses((status = 200, body = GrantAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Write>,
    Path(id): Path<String>,
    Json(request): Json<GrantChange>,
) -> Result<axum::Json<GrantAnswer>, Problem> {
    let id: GrantId = id.parse().map_err(|_| Problem::not_found("grant"))?;
    let purchase = match request.read()? {
        Change::To(end) => hub.on_behalf_of(&caller).change_grant(id, end).await?,
        Change::By(span) => hub.on_behalf_of(&caller).extend_grant(id, span).await?,
    };
    Ok(axum::Json(answer(&hub, &purchase)))
}

/// Takes a grant away now.
#[utoipa::path(delete, path = "/v1/grants/{id}", tag = "grants", params(("id" = String, Path)),
    responses((status = 200, body = GrantAnswer), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Write>,
    Path(id): Path<String>,
) -> Result<axum::Json<GrantAnswer>, Problem> {
    let id: GrantId = id.parse().map_err(|_| Problem::not_found("grant"))?;
    let purchase = hub.on_behalf_of(&caller).revoke_grant(id).await?;
    Ok(axum::Json(answer(&hub, &purchase)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_iso_8601() {
        for (text, seconds) in [
            ("P30D", Some(30 * 86_400)),
            ("P1M", Some(30 * 86_400)),
            ("P1Y2M3W4DT5H6M7S", Some((365 + 60 + 21 + 4) * 86_400 + 5 * 3600 + 6 * 60 + 7)),
            ("PT12H", Some(43_200)),
            ("P", None),
            ("PT", None),
            ("30D", None),
            ("P30", None),
            ("P1D1Y", None),
            ("P0D", None),
            ("P101Y", None),
            ("P99999999999999999999Y", None),
        ] {
            assert_eq!(span(text).map(|span| span.as_secs()), seconds, "{text}");
        }
    }
    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(512))]

        /// Whatever a duration says, it is between a second and a hundred years, or none.
        #[test]
        fn any_duration_is_bounded(text in "P?[0-9YMWDTHS]{0,30}") {
            if let Some(span) = span(&text) {
                assert!((1..=100 * 365 * 86_400).contains(&span.as_secs()), "{text}");
            }
        }
    }
}
