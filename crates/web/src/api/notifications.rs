//! What sources received, for the operator: above all what nobody understood.

use crate::auth::{Authorized, Read};
use crate::extract::{Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_lifecycle::ids::{NotificationId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{KeptNotification, NotificationOutcome, NotificationQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which notifications to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationFilter {
    /// A source's id.
    source: Option<String>,
    /// `observed`, `test`, `unknown`, `informative`.
    outcome: Option<String>,
    /// `next_cursor` of the page before.
    after: Option<String>,
    /// Rows on the page, 1 to 200; 50 when absent.
    limit: Option<String>,
}

/// What a source received.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationAnswer {
    /// Our id.
    #[schema(value_type = String)]
    id: NotificationId,
    /// Who received it.
    #[schema(value_type = String)]
    source_id: SourceId,
    /// The store's own id.
    external_id: String,
    /// The store's name of its type.
    label: String,
    /// Our time.
    #[schema(value_type = String)]
    received_at: Timestamp,
    /// What came of it.
    #[schema(value_type = String)]
    outcome: NotificationOutcome,
    /// The purchase that it was about.
    #[schema(value_type = Option<String>)]
    purchase_id: Option<PurchaseId>,
}

impl From<KeptNotification> for NotificationAnswer {
    fn from(kept: KeptNotification) -> NotificationAnswer {
        NotificationAnswer {
            id: kept.id,
            source_id: kept.source_id,
            external_id: kept.external_id,
            label: kept.label,
            received_at: kept.received_at,
            outcome: kept.outcome,
            purchase_id: kept.purchase_id,
        }
    }
}

/// Lists notifications, newest first. `?outcome=unknown` shows those of types that this version does not know.
#[utoipa::path(get, path = "/v1/notifications", tag = "sources", params(NotificationFilter),
    responses((status = 200, body = List<NotificationAnswer>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(filter): Query<NotificationFilter>,
) -> Result<axum::Json<List<NotificationAnswer>>, Problem> {
    let page = Page { after: filter.after, limit: filter.limit };
    let limit = page.limit()?;
    let query = NotificationQuery {
        source: super::events::word("source", filter.source.as_deref())?,
        outcome: super::events::word("outcome", filter.outcome.as_deref())?,
        before: page.after()?,
        limit,
    };
    let rows = hub.store().notifications(query).await?;
    Ok(axum::Json(List::keyed(rows.into_iter().map(|(number, kept)| (number, kept.into())).collect(), limit)))
}

/// The bytes that were received.
#[utoipa::path(get, path = "/v1/notifications/{id}/body", tag = "sources", params(("id" = String, Path)),
    responses((status = 200, description = "Byte for byte what the store sent", body = String, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub(crate) async fn body(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: NotificationId = id.parse().map_err(|_| Problem::not_found("notification"))?;
    let kept = hub.store().notification(id).await?.ok_or_else(|| Problem::not_found("notification"))?;
    let bytes = hub.received_bytes(&kept).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, bytes).into_response())
}
