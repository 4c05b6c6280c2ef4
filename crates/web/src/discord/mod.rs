//! Discord's API for app subscriptions, served for the purchases of every store, so that a bot or library that reads
//! subscriptions from Discord reads all of them from here by another base address. Purchases as Discord's objects are
//! `paidup_lifecycle::dialects::discord`; this folder has the HTTP side of it: Discord's parameters, errors and limits.
//!
//! `form` reads parameters, `refusal` writes errors, `limits` counts calls, `objects` is the JSON. docs/discord-api.md
//! is the operators' page.

mod entitlements;
mod form;
mod limits;
mod objects;
mod refusal;
mod subscriptions;

use crate::problem::Problem;
use axum::Router;
use axum::extract::{MatchedPath, OriginalUri, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use limits::Limits;
use paidup_hub::Hub;
use paidup_hub::discord_users::Bearer;
use paidup_hub::keys::Scope;
use paidup_lifecycle::customer::{Customer, DISCORD_ALIAS};
use paidup_lifecycle::ids::digest16;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_store::StoreError;
use refusal::Refusal;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where it is.
pub(crate) const PATH: &str = "/discord/api/v10";
/// The same under other names. What has no version is version 6 at Discord, whose errors look otherwise; here it is 10.
const ALSO: [&str; 2] = ["/discord/api/v9", BASE];
const BASE: &str = "/discord/api";

/// The routes with their documents, below [`PATH`].
pub(crate) fn routes() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(subscriptions::list))
        .routes(routes!(subscriptions::one))
        .routes(routes!(entitlements::list))
        .routes(routes!(entitlements::one))
        .routes(routes!(entitlements::skus))
}

/// The routes with who may call them and how often, in every version.
pub(crate) fn router(hub: &Hub) -> Router<Hub> {
    let (routes, _) = routes().split_for_parts();
    let (hub, limits) = (hub.clone(), Arc::new(Limits::default()));
    let gate = from_fn(move |request: Request, next: Next| gate(hub.clone(), limits.clone(), request, next));
    let routes = routes.route_layer(gate).method_not_allowed_fallback(method_not_allowed).fallback(not_found);
    ALSO.into_iter().fold(Router::new().nest(PATH, routes.clone()), |all, path| all.nest(path, routes.clone()))
}

async fn method_not_allowed() -> Refusal {
    Refusal::plain(StatusCode::METHOD_NOT_ALLOWED)
}

async fn not_found(OriginalUri(uri): OriginalUri) -> Refusal {
    let below = uri.path().strip_prefix(BASE).unwrap_or_default().trim_start_matches('/');
    let version = below.split('/').next().and_then(|part| part.strip_prefix('v')).unwrap_or_default();
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    match is_version && !["9", "10"].contains(&version) {
        true => Refusal::new(StatusCode::BAD_REQUEST, 50041, "Invalid API version provided"),
        false => Refusal::plain(StatusCode::NOT_FOUND),
    }
}

/// Who calls, as far as the answer depends on it.
#[derive(Clone, Copy)]
struct Caller {
    /// May see the country of a purchase. Discord shows it to private OAuth scopes alone; here it takes the scope `admin`.
    sees_country: bool,
    /// The Discord user who asks for what is theirs, with their own token; `None`: a key, which reads everybody's.
    user: Option<Snowflake>,
}

/// Whose calls are counted together: a key's or a user's.
struct Known {
    id: [u8; 16],
    caller: Caller,
}

/// Lets in who may read, counts the call, and sees to it that every answer is of Discord's kind.
async fn gate(hub: Hub, limits: Arc<Limits>, mut request: Request, next: Next) -> Response {
    let known = match authenticate(&hub, request.headers()).await {
        Ok(known) => known,
        Err(refusal) => return refusal.into_response(),
    };
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let turn = limits.take(known.id, &route, hub.clock().now());
    let mut response = if turn.is_limited() {
        turn.refuse()
    } else {
        request.extensions_mut().insert(known.caller);
        next.run(request).await
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = Refusal::from(problem).into_response();
    }
    turn.write(response.headers_mut());
    response
}

/// `Authorization: Bot <key>` with the scope `read`, or `Bearer <token>` with a Discord user's own token.
async fn authenticate(hub: &Hub, headers: &HeaderMap) -> Result<Known, Refusal> {
    let unauthorized = || Refusal::plain(StatusCode::UNAUTHORIZED);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, secret) = given.and_then(|value| value.split_once(' ')).ok_or_else(unauthorized)?;
    let secret = secret.trim();
    if secret.is_empty() {
        return Err(unauthorized());
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return user(hub, secret).await;
    }
    if !scheme.eq_ignore_ascii_case("bot") {
        return Err(unauthorized());
    }
    let principal = hub.authenticate(secret).await.map_err(Problem::from)?.ok_or_else(unauthorized)?;
    if !principal.may(Scope::Read) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, 50001, "Missing Access"));
    }
    let caller = Caller { sees_country: principal.may(Scope::Admin), user: None };
    Ok(Known { id: principal.key.map_or([0; 16], |key| key.0), caller })
}

/// The user whose token it is. One of our own keys is none, and is not shown to Discord.
async fn user(hub: &Hub, token: &str) -> Result<Known, Refusal> {
    if hub.authenticate(token).await.map_err(Problem::from)?.is_some() {
        return Err(Refusal::plain(StatusCode::UNAUTHORIZED));
    }
    match hub.discord_bearer(token).await {
        Bearer::User(user) => {
            let id = digest16(&[b"discord user", user.to_string().as_bytes()]);
            Ok(Known { id, caller: Caller { sees_country: false, user: Some(user) } })
        }
        Bearer::Unknown => Err(Refusal::plain(StatusCode::UNAUTHORIZED)),
        Bearer::Unreachable(after) => Err(Refusal::unavailable(after)),
    }
}

impl Caller {
    /// Refuses a user's token where Discord takes a bot's only.
    fn must_be_a_bot(self) -> Result<(), Refusal> {
        match self.user {
            None => Ok(()),
            Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, 50001, "Missing Access")),
        }
    }

    /// The customer that `asked` names. A user has one: the customer that is linked to the account.
    async fn customer(self, hub: &Hub, asked: Snowflake) -> Result<Option<Customer>, Refusal> {
        match self.user {
            None => Ok(customer_of(hub, asked).await?),
            Some(user) if user == asked => Ok(linked_to(hub, user).await?),
            Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, 50001, "Missing Access")),
        }
    }
}

/// The customer who is linked to that Discord account.
async fn linked_to(hub: &Hub, account: Snowflake) -> Result<Option<Customer>, StoreError> {
    let native = account.to_string();
    for alias in [format!("{DISCORD_ALIAS}{native}"), native] {
        let found = hub.store().customer(&alias).await?;
        if found.as_ref().is_some_and(|customer| customer.discord_id() == Some(account)) {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The customer whom Discord's clients call `user_id`: by the linked account, or by the snowflake that is ours.
async fn customer_of(hub: &Hub, user_id: Snowflake) -> Result<Option<Customer>, StoreError> {
    match linked_to(hub, user_id).await? {
        Some(customer) => Ok(Some(customer)),
        None => hub.store().customer_by_snowflake(user_id).await,
    }
}
