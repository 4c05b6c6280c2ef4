//! Everything that arrives over HTTP. It never writes by itself: reads go to the store, writes go to the hub.
//!
//! `intake` takes store notifications, `api` has one file per resource, `operations` answers load balancers. Errors are
//! problem+json (`problem`). A route cannot exist without its entry in `/openapi.json`: both come from the handler.

mod api;
mod auth;
mod discord;
mod extract;
mod idempotency;
mod intake;
mod operations;
mod paging;
pub mod problem;
mod streams;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use paidup_hub::Hub;
use problem::{Problem, RequestId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use streams::Streams;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(title = "Paidup", description = "A self-hosted subscription event hub. Times are RFC 3339 in UTC, money is integer minor units, errors are RFC 9457 problem+json, lists page by `after` and `limit`."),
    components(schemas(Problem)),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key")).build();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        let bot = ApiKeyValue::with_description(
            "Authorization",
            "An API key with the scope `read`, as Discord's clients send a bot's token: `Bot <key>`",
        );
        components.add_security_scheme("bot", SecurityScheme::ApiKey(ApiKey::Header(bot)));
        let user = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A Discord user's own token, with the scope `identify`"));
        components.add_security_scheme("user", SecurityScheme::Http(user.build()));
        let requirement = utoipa::openapi::security::SecurityRequirement::new("key", Vec::<String>::new());
        document.security = Some(vec![requirement]);
    }
}

fn open_routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(intake::ingest))
        .routes(routes!(api::connect::finish))
        .routes(routes!(api::destinations::public_keys))
        .routes(routes!(api::schemas::list))
        .routes(routes!(api::schemas::get))
        .routes(routes!(operations::livez))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
}

fn api_routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(api::sources::create, api::sources::list))
        .routes(routes!(api::sources::get, api::sources::change, api::sources::delete))
        .routes(routes!(api::sources::kinds))
        .routes(routes!(api::sources::test))
        .routes(routes!(api::lookups::list))
        .routes(routes!(api::lookups::retry))
        .routes(routes!(api::lookups::questions))
        .routes(routes!(api::reconciles::begin))
        .routes(routes!(api::reconciles::list))
        .routes(routes!(api::reconciles::get))
        .routes(routes!(api::reconciles::cancel))
        .routes(routes!(api::notifications::list))
        .routes(routes!(api::notifications::body))
        .routes(routes!(api::destinations::create, api::destinations::list))
        .routes(routes!(api::destinations::get, api::destinations::change, api::destinations::delete))
        .routes(routes!(api::destinations::test))
        .routes(routes!(api::destinations::pause))
        .routes(routes!(api::destinations::resume))
        .routes(routes!(api::destinations::preview))
        .routes(routes!(api::destinations::rotate_secret))
        .routes(routes!(api::parked::list))
        .routes(routes!(api::parked::retry))
        .routes(routes!(api::parked::skip))
        .routes(routes!(api::destinations::kinds))
        .routes(routes!(api::connect::begin))
        .routes(routes!(api::backfills::begin, api::backfills::of_destination))
        .routes(routes!(api::backfills::list))
        .routes(routes!(api::backfills::get))
        .routes(routes!(api::backfills::failures))
        .routes(routes!(api::backfills::pause))
        .routes(routes!(api::backfills::resume))
        .routes(routes!(api::backfills::cancel))
        .routes(routes!(api::deliveries::of_event))
        .routes(routes!(api::deliveries::list))
        .routes(routes!(api::events::replay))
        .routes(routes!(api::events::list))
        .routes(routes!(api::replays::begin, api::replays::list))
        .routes(routes!(api::replays::get))
        .routes(routes!(api::replays::pause))
        .routes(routes!(api::replays::resume))
        .routes(routes!(api::replays::cancel))
        .routes(routes!(api::feed::pull))
        .routes(routes!(api::feed::stream))
        .routes(routes!(api::events::get))
        .routes(routes!(api::customers::list))
        .routes(routes!(api::customers::get))
        .routes(routes!(api::customers::entitlements))
        .routes(routes!(api::customers::add_alias))
        .routes(routes!(api::explain::explain))
        .routes(routes!(api::purchases::claim))
        .routes(routes!(api::purchases::transfer))
        .routes(routes!(api::subscribers::get))
        .routes(routes!(api::grants::create))
        .routes(routes!(api::grants::change, api::grants::revoke))
        .routes(routes!(api::catalogue::put_product, api::catalogue::products))
        .routes(routes!(api::catalogue::product, api::catalogue::delete_product))
        .routes(routes!(api::catalogue::put_entitlement, api::catalogue::entitlements))
        .routes(routes!(api::catalogue::delete_entitlement))
        .routes(routes!(api::keys::create, api::keys::list))
        .routes(routes!(api::keys::revoke))
}

/// The document of every route, as `/openapi.json` answers it and `paidup openapi` prints it.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(open_routes())
        .merge(api_routes())
        .nest(discord::PATH, discord::routes())
        .into_openapi()
}

/// The whole surface, for `axum::serve`. `closing` ends the answers that stay open.
pub fn router(hub: Hub, closing: CancellationToken) -> Router {
    let document: Arc<str> = openapi().to_json().unwrap_or_default().into();
    let (open, _) = open_routes().split_for_parts();
    let (api, _) = api_routes().split_for_parts();
    let in_flight = idempotency::InFlight::default();
    let api = api.layer(from_fn_with_state((hub.clone(), in_flight), idempotency::layer));
    let ids = RequestIds::new(hub.chance().seed());
    open.merge(api)
        .merge(discord::router(&hub))
        .route("/openapi.json", axum::routing::get(move || answer_document(document.clone())))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(axum::Extension(Streams::new(closing)))
        .with_state(hub)
        .layer(tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, MAX_REQUEST))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(panicked))
        .layer(from_fn(move |request: Request, next: Next| problem::finish(ids.of(&request), request, next)))
}

/// How long one request may take, its body included: a sender that trickles bytes holds nothing for longer.
const MAX_REQUEST: Duration = Duration::from_secs(60);

/// Serves until `stop` resolves, then finishes the requests that are under way.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    hub.listening_on(listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Answers are small and each is awaited: waiting for more to send would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    });
    let closing = CancellationToken::new();
    let ends_streams = closing.clone();
    let stop = async move {
        stop.await;
        ends_streams.cancel();
    };
    axum::serve(listener, router(hub, closing)).with_graceful_shutdown(stop).await
}

async fn answer_document(document: Arc<str>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document.to_string()).into_response()
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nothing is here; /openapi.json lists every route")
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this route does not take that method; /openapi.json lists them")
}

/// A panic fails one request, not the hub. The panic hook has logged it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this failed inside the hub; its log says why").into_response()
}

/// Names for requests: a start drawn once, then counted.
#[derive(Clone)]
struct RequestIds {
    start: u64,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    /// The longest id that is taken over from the caller.
    const MAX: usize = 64;

    fn new(seed: [u8; 16]) -> RequestIds {
        let mut start = [0; 8];
        start.copy_from_slice(&seed[..8]);
        RequestIds { start: u64::from_be_bytes(start), next: Arc::default() }
    }

    fn of(&self, request: &Request) -> RequestId {
        let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok()).filter(|text| {
            !text.is_empty()
                && text.len() <= Self::MAX
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        });
        match given {
            Some(text) => RequestId(text.to_owned()),
            None => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                RequestId(format!("req_{:016x}{number:08x}", self.start))
            }
        }
    }
}
