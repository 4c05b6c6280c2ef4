//! Who calls: `Authorization: Bearer <key>`. A handler names the scope that it needs by its argument.
//!
//! `admin` may do everything; `write` includes `read`.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use paidup_hub::Hub;
use paidup_hub::keys::{Principal, Scope};
use std::marker::PhantomData;

/// A scope as a type, so that a handler's signature says what it needs.
pub(crate) trait Needs: Send + Sync {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($(#[$meta:meta])* $name:ident = $scope:ident),+ $(,)?) => {$(
        $(#[$meta])*
        pub(crate) struct $name;
        impl Needs for $name { const SCOPE: Scope = Scope::$scope; }
    )+};
}

needs! {
    /// May read.
    Read = Read,
    /// May change.
    Write = Write,
    /// May do everything.
    Admin = Admin,
}

/// A caller whose key has the scope.
pub(crate) struct Authorized<N: Needs>(pub(crate) Principal, pub(crate) PhantomData<N>);

/// The key of a request; `None` when it has none or none that can be read.
#[must_use]
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

impl<N: Needs> FromRequestParts<Hub> for Authorized<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, Problem> {
        let Some(key) = bearer(&parts.headers) else {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "send a key: `Authorization: Bearer <key>`"));
        };
        let principal = hub.authenticate(key).await?.ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "this key is not known, was revoked or has expired")
        })?;
        if !principal.may(N::SCOPE) {
            let detail = format!("this key lacks the scope `{}`", N::SCOPE);
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(Authorized(principal, PhantomData))
    }
}
