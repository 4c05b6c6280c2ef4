//! What Intercom's answers mean: for the conversation, for the delivery, and for the budget.
//!
//! <https://developers.intercom.com/docs/references/rest-api/errors/http-responses> and `error-codes`, "Rate Limiting".
//! An error of Intercom is JSON of type `error.list`; whatever else comes with a status is from something in between, and
//! is tried again.

use super::contact::contact_id;
use crate::answers::{MAX_WAIT, no_answer, retry, retry_after, status_words, wait};
use crate::{Answer, BudgetHint, BudgetKey, Reason, Verdict};
use bytes::Bytes;
use http::header::LINK;
use http::{HeaderMap, Response, StatusCode};
use paidup_lifecycle::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Windows are 10 s long. A clock that is off must not stop everything for longer than this.
const MAX_WINDOW: Duration = Duration::from_secs(60);
/// A 429 that does not say how long: one whole window.
const UNTOLD: Duration = Duration::from_secs(10);
/// How much of Intercom's message goes into a reason, in characters.
const MAX_SAID: usize = 200;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Me,
    Find,
    Search,
    Create,
    Update,
    Unarchive,
    Tell,
    ListAttributes,
    AddAttribute,
}

impl Call {
    /// As in "Intercom answered 404 to ...".
    const fn words(self) -> &'static str {
        match self {
            Call::Me => "who the token belongs to",
            Call::Find => "looking up the contact",
            Call::Search => "searching the contact",
            Call::Create => "creating the contact",
            Call::Update => "updating the contact",
            Call::Unarchive => "unarchiving the contact",
            Call::Tell => "the event",
            Call::ListAttributes => "listing data attributes",
            Call::AddAttribute => "creating a data attribute",
        }
    }

    /// The permission that it needs, as the Developer Hub names it.
    pub(super) const fn permission(self) -> &'static str {
        match self {
            Call::Me => "Read admins",
            Call::Find => "Read one user and one company",
            Call::Search => "Read and list users and companies",
            Call::Create | Call::Update | Call::Unarchive => "Write users and companies",
            Call::Tell => "Write events",
            Call::ListAttributes | Call::AddAttribute => "Write data attributes",
        }
    }
}

/// What an answer says, as far as a conversation goes on from it. Those that may be the end carry the verdict for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// 2xx, with its JSON; null for an empty body.
    Fine(Value),
    /// 404.
    NotFound(Verdict),
    /// 409: a contact has this external id already.
    Taken { id: Option<String>, is_archived: bool, verdict: Verdict },
    /// 410: the contact is part of another one now.
    Merged { into: Option<String>, verdict: Verdict },
    /// 400: a custom attribute does not exist in the workspace.
    NoAttribute(Verdict),
    /// 400: an attribute of this name exists already.
    Exists(Verdict),
    /// Nothing to go on from.
    Over(Verdict),
}

impl Reply {
    /// The end that it is when the conversation cannot go on from it. None: it is no end by itself.
    pub(super) fn verdict(self) -> Option<Verdict> {
        match self {
            Reply::Fine(_) => None,
            Reply::NotFound(verdict)
            | Reply::Taken { verdict, .. }
            | Reply::Merged { verdict, .. }
            | Reply::NoAttribute(verdict)
            | Reply::Exists(verdict)
            | Reply::Over(verdict) => Some(verdict),
        }
    }
}

/// `{"type": "error.list", "request_id": ..., "errors": [{"code", "message", "field"}]}`
#[derive(Debug, Default, Deserialize)]
struct ErrorList {
    #[serde(default)]
    request_id: Option<String>,
    errors: Vec<ErrorItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorItem {
    code: Option<String>,
    message: Option<String>,
}

/// What an answer to `call` says.
pub(super) fn reply(call: Call, answer: &Answer, now: Timestamp) -> Reply {
    let response = match answer {
        Answer::Response(response) => response,
        Answer::Failed(failure) => return Reply::Over(no_answer(*failure)),
    };
    let status = response.status();
    let words = format!("Intercom answered {} to {}", status_words(status), call.words());
    if status.is_success() {
        return fine(response, &words);
    }
    if status.is_redirection() {
        return Reply::Over(retry(None, format!("{words}: redirects are not followed; check `region`")));
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let after = [retry_after(response.headers(), now), window_left(response.headers(), now)];
        let after = after.into_iter().flatten().max().unwrap_or(UNTOLD);
        return Reply::Over(wait(Some(after), "rate limited by Intercom; goes on by itself"));
    }
    match serde_json::from_slice::<ErrorList>(response.body()) {
        Ok(list) if !list.errors.is_empty() => refused(call, response, &list, &words),
        // An empty 401 is still one: nobody but Intercom asks for the token.
        Ok(_) | Err(_) if status == StatusCode::UNAUTHORIZED && response.body().is_empty() => {
            Reply::Over(unauthorized(&words))
        }
        Ok(_) | Err(_) => {
            let after = retry_after(response.headers(), now);
            Reply::Over(retry(after, format!("{words} without Intercom's error body")))
        }
    }
}

fn fine(response: &Response<Bytes>, words: &str) -> Reply {
    if response.body().trim_ascii().is_empty() {
        return Reply::Fine(Value::Null);
    }
    match serde_json::from_slice::<Value>(response.body()) {
        Ok(body) if body.is_object() => Reply::Fine(body),
        Ok(_) | Err(_) => {
            Reply::Over(retry(None, format!("{words}, but the answer is not Intercom's: something stands in between")))
        }
    }
}

/// A 2xx that lacks what it must have.
pub(super) fn nonsense(call: Call) -> Verdict {
    retry(None, format!("the answer to {} is not Intercom's: something stands in between", call.words()))
}

/// A refusal in Intercom's own words.
fn refused(call: Call, response: &Response<Bytes>, list: &ErrorList, words: &str) -> Reply {
    let status = response.status();
    let first = list.errors.first();
    let message = first.and_then(|error| error.message.as_deref()).unwrap_or_default();
    let code = first.and_then(|error| error.code.as_deref()).unwrap_or("no code");
    let head = head(words, code, message, list.request_id.as_deref());
    let give_up = |head: String| Verdict::GiveUp(Reason(head));
    match status.as_u16() {
        400 if is_unknown_attribute(message) => Reply::NoAttribute(give_up(head)),
        400 if call == Call::AddAttribute && message.contains("already have") => Reply::Exists(give_up(head)),
        401 => Reply::Over(unauthorized(&head)),
        403 => Reply::Over(Verdict::SwitchOff(Reason(format!(
            "{head}. The app lacks the permission \"{}\" (or the plan does not have it): grant it in Intercom's Developer \
             Hub under Configure > Authentication, then resume",
            call.permission()
        )))),
        404 => Reply::NotFound(retry(None, head)),
        408 => Reply::Over(retry(None, head)),
        409 => Reply::Taken {
            id: id_in(message),
            is_archived: message.to_ascii_lowercase().contains("archived"),
            verdict: retry(None, head),
        },
        410 => Reply::Merged { into: canonical(response.headers()), verdict: retry(None, head) },
        422 if message.contains("active event names") => Reply::Over(give_up(format!(
            "{head}. The workspace has as many event names as Intercom allows (120): archive some under Settings > Data > \
             Events, or give this event the name of one that exists"
        ))),
        400 | 405 | 406 | 413 | 415 | 422 => Reply::Over(give_up(head)),
        _ => Reply::Over(retry(None, head)),
    }
}

/// `Intercom answered 404 Not Found to the event (not_found): User Not Found [request abc]`
fn head(words: &str, code: &str, message: &str, request_id: Option<&str>) -> String {
    let clean = |text: &str, most: usize| -> String { text.chars().filter(|c| !c.is_control()).take(most).collect() };
    let request = request_id.map(|id| format!(" [request {}]", clean(id, 64))).unwrap_or_default();
    format!("{words} ({}): {}{request}", clean(code, 64), clean(message, MAX_SAID))
}

fn unauthorized(head: &str) -> Verdict {
    Verdict::SwitchOff(Reason(format!(
        "{head}. The access token is wrong, or the app was uninstalled: set a new `access_token`, then resume"
    )))
}

/// "Custom attribute '<name>' does not exist" (the wording is seen, not documented).
fn is_unknown_attribute(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("custom attribute") && message.contains("does not exist")
}

/// "A contact matching those details already exists with id=5ba682d23d7cf92bef87bfd4"
fn id_in(message: &str) -> Option<String> {
    let rest = message.split("id=").nth(1)?;
    let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '-' && one != '_').unwrap_or(rest.len());
    contact_id(&rest[..end])
}

/// `Link: </contacts/{id}>; rel="canonical"`
fn canonical(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let is_canonical = |part: &&str| part.contains("canonical");
    let target = link.split(',').find(is_canonical)?.split_once('<')?.1.split_once('>')?.0;
    contact_id(target.rsplit_once("/contacts/")?.1)
}

/// What the headers say of the budget.
pub(super) fn hint(answer: &Answer, key: &BudgetKey, now: Timestamp) -> Option<BudgetHint> {
    let Answer::Response(response) = answer else { return None };
    let headers = response.headers();
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        let resets_after = window_left(headers, now).unwrap_or(UNTOLD);
        return Some(BudgetHint { key: key.clone(), remaining: Some(0), resets_after });
    }
    let remaining = number(headers, "x-ratelimit-remaining").and_then(|left| u32::try_from(left).ok())?;
    Some(BudgetHint { key: key.clone(), remaining: Some(remaining), resets_after: window_left(headers, now)? })
}

/// Until the window ends, at least one second: the header has whole ones.
fn window_left(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let ends = number(headers, "x-ratelimit-reset")?;
    let ends = Timestamp::from_millis(ends.checked_mul(1000)?).ok()?;
    let left = ends.since(now);
    // Beyond any window: the clocks differ, or it is a number of something else.
    Some(if left > MAX_WINDOW { UNTOLD } else { left.max(Duration::from_secs(1)) }.min(MAX_WAIT))
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
