//! One call to a store and what its answer means: tokens, refusals, and how long to leave it alone.

use super::Desk;
use super::desk::Heard;
use crate::Hub;
use crate::sources::Opened;
use bytes::Bytes;
use http::header;
use paidup_destinations::{Answer, retry_after};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Refusal, Source, Wanted};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long one call may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes: a page of a list, of some hundred objects.
pub(super) const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(crate) struct NoAnswer {
    /// For the operator; never contains a secret.
    pub(crate) detail: String,
    /// The store does not know what it was asked for: asking again changes nothing.
    pub(crate) is_final: bool,
    /// Not again before, as the store says.
    pub(crate) after: Option<Duration>,
    /// It is a failed try; else the store only wants to be left alone.
    pub(crate) counts: bool,
    /// What it tells of the store.
    pub(super) heard: Heard,
}

impl NoAnswer {
    /// The store does not accept our credentials.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.heard, Heard::Refusal(_))
    }

    /// Nothing that the store did.
    pub(crate) fn later(detail: &str) -> NoAnswer {
        NoAnswer {
            detail: detail.to_owned(),
            is_final: false,
            after: None,
            counts: true,
            heard: Heard::Nothing(detail.to_owned()),
        }
    }
}

/// No answer, or none that is one.
pub(super) fn failed(detail: &str) -> NoAnswer {
    NoAnswer::later(detail)
}

/// Our credentials were refused.
pub(super) fn refused(detail: &str) -> NoAnswer {
    NoAnswer { heard: Heard::Refusal(detail.to_owned()), ..NoAnswer::later(detail) }
}

impl Hub {
    /// Makes one call, with the source's token where its store wants one. A token that is not taken is fetched anew, once.
    pub(super) async fn call_store(
        &self,
        opened: &Opened,
        desk: &Desk,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, NoAnswer> {
        let mut not = None;
        loop {
            let bearer = self.bearer(opened, desk, not.as_ref()).await?;
            let mut call = request.clone();
            if let Some(bearer) = &bearer {
                call.headers_mut().insert(header::AUTHORIZATION, bearer.clone());
            }
            let response = match self.outbound().call_up_to(call, TIMEOUT, MAX_ANSWER).await {
                Answer::Response(response) => response,
                Answer::Failed(failure) => return Err(failed(&failure.to_string())),
            };
            let is_refused = response.status() == http::StatusCode::UNAUTHORIZED;
            if bearer.is_none() || !is_refused || not.is_some() {
                return Ok(response);
            }
            not = bearer;
        }
    }
}

/// The answer's body, or what is there in its stead.
pub(super) fn judge(
    source: &dyn Source,
    wanted: &Wanted<'_>,
    response: &http::Response<Bytes>,
    now: Timestamp,
) -> Result<Bytes, NoAnswer> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.body().clone());
    }
    let detail = format!("the store answered {}", status.as_u16());
    let said = source.ask_again_at(response.headers(), now).map(|at| at.since(now));
    let after = said.or_else(|| retry_after(response.headers(), now));
    let refusal = catch_unwind(AssertUnwindSafe(|| source.refused(wanted, status, response.body())));
    match refusal.unwrap_or(Refusal::Later) {
        Refusal::Answer(body) => Ok(body),
        Refusal::Final => Err(NoAnswer { is_final: true, heard: Heard::Answer, ..failed(&detail) }),
        Refusal::Credentials => Err(refused(&format!("{detail}: it does not accept the source's credentials"))),
        Refusal::Later => {
            let is_busy = status == http::StatusCode::TOO_MANY_REQUESTS || after.is_some();
            let heard = match (is_busy, status.is_server_error()) {
                (true, _) => Heard::Busy(after, detail.clone()),
                (false, true) => Heard::Nothing(detail.clone()),
                (false, false) => Heard::Answer,
            };
            Err(NoAnswer { after, counts: status != http::StatusCode::TOO_MANY_REQUESTS, heard, ..failed(&detail) })
        }
    }
}
