//! What Apple sent, or tried to send: how far back it goes and page by page.
//! <https://developer.apple.com/documentation/appstoreserverapi/get-notification-history>

use super::Wanted;
use crate::Lookup;
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// How far back Apple's history goes, less a day: the first date of a walk must still be allowed when the store can only be
/// asked hours later.
const BACK_IN_PRODUCTION: Duration = Duration::from_secs(179 * 86_400);
const BACK_IN_SANDBOX: Duration = Duration::from_secs(29 * 86_400);

/// A longer time is walked through in slices of this length, side by side: pages follow one another, so one walk through
/// half a year of a large app would take a day, and would begin anew where a token expires.
const SLICE: Duration = Duration::from_secs(86_400);

/// Most pages of a slice, 20 notifications each. A million subscriptions give about 50,000 a day.
const MAX_PAGES: u32 = 25_000;

/// How often a walk begins anew because Apple does not take its token any more.
const MAX_RESTARTS: u32 = 3;

/// The longest token that is taken. Apple's have 36 characters.
pub(super) const MAX_TOKEN: usize = 1_024;

/// A page of a walk. It says which request it is; the token of a page beyond the first is the lookup's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app_store) struct Page {
    /// Only what Apple could not deliver.
    pub(super) only_failures: bool,
    /// In milliseconds since 1970, as all dates of this API.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) restarts: u32,
    pub(super) number: u32,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.only_failures { "failures" } else { "all" };
        write!(f, "{which}/{}/{}/{}.{}", self.start, self.end, self.restarts, self.number)
    }
}

impl Page {
    pub(super) fn parse(text: &str) -> Option<Page> {
        let mut parts = text.splitn(4, '/');
        let only_failures = match parts.next()? {
            "failures" => true,
            "all" => false,
            _ => return None,
        };
        let (start, end) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (restarts, number) = parts.next()?.split_once('.')?;
        Some(Page { only_failures, start, end, restarts: restarts.parse().ok()?, number: number.parse().ok()? })
    }

    pub(super) fn path(&self, token: &str) -> String {
        let place = "/inApps/v1/notifications/history";
        match token {
            "" => place.to_owned(),
            token => {
                let query: String = url_encoded(token);
                format!("{place}?paginationToken={query}")
            }
        }
    }

    pub(super) fn body(&self) -> String {
        let mut body = json!({"startDate": self.start, "endDate": self.end});
        if self.only_failures {
            body["onlyFailures"] = json!(true);
        }
        body.to_string()
    }

    /// The page behind this one. `None`: there are more than can be.
    pub(super) fn next(self, environment: Environment, token: &str) -> Option<Lookup> {
        let number = self.number.checked_add(1).filter(|number| *number < MAX_PAGES)?;
        let why = "the next page of what Apple sent";
        Wanted::History(environment, Page { number, ..self }).lookup(token.to_owned(), why)
    }

    /// The same walk from its beginning. `None`: it began anew too often.
    pub(super) fn again(self, environment: Environment) -> Option<Lookup> {
        let restarts = self.restarts.checked_add(1).filter(|restarts| *restarts <= MAX_RESTARTS)?;
        let why = "Apple no longer took the token of a page, so the walk begins anew";
        Wanted::History(environment, Page { restarts, number: 0, ..self }).lookup(String::new(), why)
    }
}

/// Everything but letters, digits and `-_.~` in percent form (RFC 3986).
fn url_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The first pages of everything since `since`.
pub(in crate::app_store) fn first_pages(
    environments: &[Environment],
    only_failures: bool,
    since: Timestamp,
    now: Timestamp,
) -> Vec<Lookup> {
    let mut pages = Vec::new();
    for environment in environments {
        let back = match environment {
            Environment::Production => BACK_IN_PRODUCTION,
            Environment::Sandbox => BACK_IN_SANDBOX,
        };
        let mut start = since.max(now.minus(back));
        while start < now {
            // A last piece of less than a day goes with the slice before it.
            let end = if now.since(start) < SLICE * 2 { now } else { start.plus(SLICE) };
            let (from, to) = (start.as_millis(), end.as_millis());
            let page = Page { only_failures, start: from, end: to, restarts: 0, number: 0 };
            let why = "comparing with what Apple sent, or could not deliver";
            pages.extend(Wanted::History(*environment, page).lookup(String::new(), why));
            start = end;
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn pages(environments: &[Environment], since: &str, now: &str) -> Vec<Page> {
        let lookups = first_pages(environments, false, at(since), at(now));
        let page = |lookup: &Lookup| match Wanted::of_name(&lookup.name) {
            Some(Wanted::History(_, page)) => page,
            other => panic!("{other:?}"),
        };
        lookups.iter().map(page).collect()
    }

    #[test]
    fn a_walk_covers_its_time_without_gaps_and_goes_no_further_back_than_apple() {
        let both = [Environment::Production, Environment::Sandbox];
        for (name, since, count) in [
            ("an hour", "2026-06-30T23:00:00Z", 1),
            ("less than two days", "2026-06-29T00:00:01Z", 1),
            ("two days", "2026-06-29T00:00:00Z", 2),
            ("ten days and a half", "2026-06-20T12:00:00Z", 10),
            ("a year", "2025-07-01T00:00:00Z", 179),
            ("nothing", "2026-07-01T00:00:00Z", 0),
        ] {
            let found = pages(&both[..1], since, "2026-07-01T00:00:00Z");
            assert_eq!(found.len(), count, "{name}");
            assert!(found.windows(2).all(|pair| pair[0].end == pair[1].start), "{name}");
            assert!(found.last().is_none_or(|last| last.end == at("2026-07-01T00:00:00Z").as_millis()), "{name}");
        }
        assert_eq!(pages(&both, "2025-07-01T00:00:00Z", "2026-07-01T00:00:00Z").len(), 179 + 29);
    }

    #[test]
    fn a_walk_ends() {
        let page = Page { only_failures: false, start: 1, end: 2, restarts: 0, number: 0 };
        let next = page.next(Environment::Production, "token").unwrap();
        assert_eq!((next.name.as_str(), next.context.as_str()), ("history/production/all/1/2/0.1", "token"));
        assert_eq!(Page { number: MAX_PAGES - 1, ..page }.next(Environment::Production, "token"), None);
        let again = Page { number: 7, ..page }.again(Environment::Production).unwrap();
        assert_eq!((again.name.as_str(), again.context.as_str()), ("history/production/all/1/2/1.0", ""));
        assert_eq!(Page { restarts: MAX_RESTARTS, ..page }.again(Environment::Production), None);
    }

    #[test]
    fn a_token_cannot_leave_its_place() {
        let page = Page { only_failures: true, start: 1, end: 2, restarts: 0, number: 1 };
        assert_eq!(page.path(""), "/inApps/v1/notifications/history");
        assert_eq!(page.path("a-1_b.c~"), "/inApps/v1/notifications/history?paginationToken=a-1_b.c~");
        assert_eq!(page.path("a&b=c/ü"), "/inApps/v1/notifications/history?paginationToken=a%26b%3Dc%2F%C3%BC");
        let body: serde_json::Value = serde_json::from_str(&page.body()).unwrap();
        assert_eq!(body, json!({"startDate": 1, "endDate": 2, "onlyFailures": true}));
    }
}
