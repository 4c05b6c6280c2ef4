//! Short-lived access tokens: one for each source, fetched when there is none, kept as long as it is valid, thrown away
//! when the store does not take it. Never written, never logged.

use super::Desk;
use super::exchange::{MAX_ANSWER, NoAnswer, TIMEOUT, failed, refused};
use crate::Hub;
use crate::sources::Opened;
use http::header::HeaderValue;
use paidup_destinations::Answer;
use paidup_lifecycle::time::Timestamp;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// After a failure the token's server is left alone for this long.
const PAUSE: Duration = Duration::from_secs(5);
/// No token is kept for longer, whatever its server says.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    token: Option<(HeaderValue, Timestamp)>,
    failed: Option<(Timestamp, NoAnswer)>,
}

impl Hub {
    /// The header that goes with every call; `None`: this store wants none. `not` was refused.
    pub(super) async fn bearer(
        &self,
        opened: &Opened,
        desk: &Desk,
        not: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, NoAnswer> {
        let mut kept = desk.token.lock().await;
        let now = self.clock().now();
        if desk.token_is_stale.swap(false, Ordering::AcqRel) {
            *kept = Kept::default();
        }
        if let Some((token, until)) = &kept.token
            && *until > now
            && not != Some(token)
        {
            return Ok(Some(token.clone()));
        }
        kept.token = None;
        let request = catch_unwind(AssertUnwindSafe(|| opened.source.token_request(now)));
        let Some(request) = request.map_err(|_| NoAnswer::later("the token's request cannot be made"))? else {
            return Ok(None);
        };
        if let Some((at, why)) = &kept.failed
            && now.since(*at) < PAUSE
        {
            return Err(why.clone());
        }
        match self.fetch_token(opened, request).await {
            Ok((token, valid_for)) => {
                let until = self.clock().now().plus(valid_for.min(LONGEST));
                *kept = Kept { token: Some((token.clone(), until)), failed: None };
                Ok(Some(token))
            }
            Err(why) => {
                kept.failed = Some((self.clock().now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn fetch_token(
        &self,
        opened: &Opened,
        request: http::Request<bytes::Bytes>,
    ) -> Result<(HeaderValue, Duration), NoAnswer> {
        let response = match self.outbound().call_up_to(request, TIMEOUT, MAX_ANSWER).await {
            Answer::Response(response) => response,
            Answer::Failed(failure) => return Err(failed(&format!("no access token: {failure}"))),
        };
        let status = response.status();
        if !status.is_success() {
            let detail = format!("no access token: its server answered {}", status.as_u16());
            // Every refusal of ours is about who we are; what its server cannot do now, it can later.
            let is_ours = status.is_client_error() && status != http::StatusCode::TOO_MANY_REQUESTS;
            return Err(if is_ours { refused(&detail) } else { failed(&detail) });
        }
        let read = catch_unwind(AssertUnwindSafe(|| opened.source.token(response.body())));
        let token = match read {
            Ok(Ok(token)) => token,
            Ok(Err(rejection)) => return Err(failed(&format!("no access token: {}", rejection.reason))),
            Err(_) => return Err(failed("no access token: its answer cannot be read")),
        };
        let header = HeaderValue::from_str(&format!("Bearer {}", token.bearer));
        let mut header = header.map_err(|_| failed("no access token: what came is none"))?;
        header.set_sensitive(true);
        Ok((header, token.valid_for))
    }
}
