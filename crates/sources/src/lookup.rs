//! What a source wants to know from its store before it can say more, and what it can tell without asking.
//!
//! To the hub a lookup is two texts. It is committed with the notification that needs it, waits in the database, is asked
//! with retries, and its answer is kept, journaled and read like a notification: all that reading needs stands in the
//! answer's id, so a rebuild needs no network. Where a store cannot be asked, clues that the source gathered from other
//! notifications answer in its stead.

use paidup_lifecycle::observation::PurchaseKey;
use paidup_lifecycle::time::Timestamp;

/// Something to be looked up. The same name and context is the same lookup, however often it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What is looked up, in the source's words and without spaces, e.g. `invoice/in_123`. At most [`Lookup::MAX_NAME`].
    pub name: String,
    /// What the answer is wanted for, in the source's words: it is read with it. At most [`Lookup::MAX_CONTEXT`].
    pub context: String,
    /// Why, for the operator.
    pub why: &'static str,
    /// Not wanted when this purchase is known by then: its own notification has come.
    pub unless_known: Option<PurchaseKey>,
}

impl Lookup {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 512;
    /// The longest context, in bytes: a few facts of an object, never a whole one.
    pub const MAX_CONTEXT: usize = 4096;

    /// Whether it can be kept: longer ones are a mistake of the store, and dropped.
    #[must_use]
    pub fn fits(&self) -> bool {
        let is_name = !self.name.is_empty() && self.name.len() <= Lookup::MAX_NAME && !self.name.contains(' ');
        is_name && self.context.len() <= Lookup::MAX_CONTEXT
    }
}

/// What would answer every lookup of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clue {
    /// The lookups' name.
    pub name: String,
    /// The answer's body.
    pub answer: String,
}

/// Two ids of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The customer's id in the app.
    pub customer: String,
    /// The customer's id in the store.
    pub store_customer: String,
}

/// The external id under which the answer to a question is kept. `read_kept` knows an answer by it, and finds the moment
/// that the answer is about in it, because most answers carry none.
#[must_use]
pub fn answer_id(asked_at: Timestamp, store_purchase_id: &str) -> String {
    format!("answer/{}/{store_purchase_id}", asked_at.as_millis())
}

/// What stands before the id of an answer that was asked for to compare: what it tells was found by us.
const RECONCILED: &str = "reconcile/";

/// The id of an answer that was asked for to compare (`Source::reconcile`), from [`answer_id`]'s or [`looked_up_id`]'s.
#[must_use]
pub fn reconciled_id(id: &str) -> String {
    format!("{RECONCILED}{id}")
}

/// Whether an answer was asked for to compare.
#[must_use]
pub fn is_reconciled_id(external_id: &str) -> bool {
    let is_answer = || parse_answer_id(external_id).is_some() || parse_looked_up_id(external_id).is_some();
    external_id.starts_with(RECONCILED) && is_answer()
}

fn without_reconciled(external_id: &str) -> &str {
    external_id.strip_prefix(RECONCILED).unwrap_or(external_id)
}

/// The inverse of [`answer_id`], whether it was asked for to compare or not; `None` for a notification.
#[must_use]
pub fn parse_answer_id(external_id: &str) -> Option<(Timestamp, &str)> {
    let external_id = without_reconciled(external_id);
    let (millis, store_purchase_id) = external_id.strip_prefix("answer/")?.split_once('/')?;
    Some((Timestamp::from_millis(millis.parse().ok()?).ok()?, store_purchase_id))
}

/// The external id under which the answer to a lookup is kept.
#[must_use]
pub fn looked_up_id(asked_at: Timestamp, name: &str, context: &str) -> String {
    format!("lookup/{}/{name} {context}", asked_at.as_millis())
}

/// The inverse of [`looked_up_id`], whether it was asked for to compare or not: when it was asked, its name and its
/// context. `None` for anything else.
#[must_use]
pub fn parse_looked_up_id(external_id: &str) -> Option<(Timestamp, &str, &str)> {
    let external_id = without_reconciled(external_id);
    let (millis, rest) = external_id.strip_prefix("lookup/")?.split_once('/')?;
    let (name, context) = rest.split_once(' ')?;
    Some((Timestamp::from_millis(millis.parse().ok()?).ok()?, name, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_id_says_what_was_asked() {
        let at: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let id = looked_up_id(at, "invoice/in_1", r#"{"a": "b c/d"}"#);
        assert_eq!(parse_looked_up_id(&id), Some((at, "invoice/in_1", r#"{"a": "b c/d"}"#)));
        assert_eq!(parse_looked_up_id("evt_1"), None);
        assert_eq!(parse_looked_up_id(&answer_id(at, "sub_1")), None);
        assert_eq!(parse_answer_id(&answer_id(at, "sub/1")), Some((at, "sub/1")));
        assert_eq!(parse_answer_id(&id), None);
        let answer = answer_id(at, "sub/1");
        assert_eq!(parse_answer_id(&reconciled_id(&answer)), Some((at, "sub/1")));
        assert_eq!(parse_looked_up_id(&reconciled_id(&id)), parse_looked_up_id(&id));
        for (name, id, expected) in [
            ("an answer", answer.clone(), false),
            ("one to compare", reconciled_id(&answer), true),
            ("a lookup to compare", reconciled_id(&id), true),
            ("a store's own id", reconciled_id("evt_1"), false),
        ] {
            assert_eq!(is_reconciled_id(&id), expected, "{name}");
        }
    }
}
