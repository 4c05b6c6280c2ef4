//! What the clock waits for.

use super::*;
use crate::claims::{ClaimRecord, ClaimState};
use crate::records::{ClueRecord, LookupRecord, QuestionRecord};
use crate::*;
use bytes::Bytes;
use paidup_lifecycle::ids::{ClaimId, LookupId};
use paidup_lifecycle::purchase::Purchase;

cases! {
    deadlines_come_earliest_first_and_once,
    stale_deadlines_are_never_due,
    forgotten_deadlines_are_gone,
    thousands_of_stale_deadlines_hide_nothing,
    questions_wait_one_per_purchase,
    postponing_does_not_bring_an_answered_question_back,
    lookups_wait_once_and_are_given_up,
    a_clue_wakes_what_waits_for_it,
    what_is_due_is_found_by_source,
    what_waits_is_counted_by_source,
    a_lookup_that_was_given_up_is_tried_again,
    old_clues_are_forgotten,
    claims_wait_for_what_they_wait_for_and_end,
}

async fn put(store: &dyn Store, name: &str, deadline: Option<i64>) -> Purchase {
    let mut bought = purchase(name, &customer("user-1"));
    bought.next_deadline = deadline.map(at);
    let deadlines = deadline.map(|second| (at(second), bought.id)).into_iter().collect();
    save(store, Changes { purchases: vec![bought.clone()], deadlines, ..Changes::default() }).await;
    bought
}

async fn deadlines_come_earliest_first_and_once(store: Arc<dyn Store>) {
    assert_eq!(store.next_deadline().await.unwrap(), None);
    let (late, early) = (put(&*store, "late", Some(30)).await, put(&*store, "early", Some(10)).await);
    put(&*store, "early", Some(10)).await;
    put(&*store, "none", None).await;
    assert_eq!(store.next_deadline().await.unwrap(), Some(at(10)));
    assert_eq!(store.due_deadlines(at(9), 10).await.unwrap(), []);
    assert_eq!(store.due_deadlines(at(10), 10).await.unwrap(), [(at(10), early.id)]);
    assert_eq!(store.due_deadlines(at(99), 10).await.unwrap(), [(at(10), early.id), (at(30), late.id)]);
    assert_eq!(store.due_deadlines(at(99), 1).await.unwrap(), [(at(10), early.id)]);
}

async fn stale_deadlines_are_never_due(store: Arc<dyn Store>) {
    put(&*store, "moved", Some(10)).await;
    let moved = put(&*store, "moved", Some(20)).await;
    put(&*store, "dropped", Some(5)).await;
    put(&*store, "dropped", None).await;
    // Told of, but not the purchase's own.
    let deadlines = vec![(at(1), moved.id), (at(2), PurchaseId([1; 16]))];
    save(&*store, Changes { deadlines, ..Changes::default() }).await;
    assert_eq!(store.next_deadline().await.unwrap(), Some(at(20)));
    assert_eq!(store.due_deadlines(at(15), 10).await.unwrap(), []);
    assert_eq!(store.due_deadlines(at(99), 10).await.unwrap(), [(at(20), moved.id)]);
    // Back to a time that it had before.
    put(&*store, "moved", Some(10)).await;
    assert_eq!(store.due_deadlines(at(15), 10).await.unwrap(), [(at(10), moved.id)]);
}

async fn forgotten_deadlines_are_gone(store: Arc<dyn Store>) {
    let one = put(&*store, "one", Some(10)).await;
    let two = put(&*store, "two", Some(11)).await;
    store.forget_deadlines(vec![(at(10), one.id), (at(10), PurchaseId([1; 16]))]).await.unwrap();
    assert_eq!(store.due_deadlines(at(99), 10).await.unwrap(), [(at(11), two.id)]);
}

async fn thousands_of_stale_deadlines_hide_nothing(store: Arc<dyn Store>) {
    let bought = purchase("busy", &customer("user-1"));
    let moved = |second| Purchase { next_deadline: Some(at(second)), ..bought.clone() };
    save(&*store, Changes { purchases: (1..=2500).map(moved).collect(), ..Changes::default() }).await;
    assert_eq!(store.due_deadlines(at(9999), 10).await.unwrap(), [(at(2500), bought.id)]);
    assert_eq!(store.next_deadline().await.unwrap(), Some(at(2500)));
}

fn question(name: &str, ask_at: i64) -> QuestionRecord {
    QuestionRecord {
        purchase_id: purchase(name, &customer("user-1")).id,
        source_id: SOURCE,
        store_purchase_id: name.to_owned(),
        why: "its end is near".to_owned(),
        asked_since: at(1),
        ask_at: at(ask_at),
        attempts: 0,
        last_error: None,
    }
}

async fn questions_wait_one_per_purchase(store: Arc<dyn Store>) {
    let (one, two) = (question("one", 10), question("two", 5));
    save(&*store, Changes { questions: vec![one.clone(), two.clone()], ..Changes::default() }).await;
    assert_eq!(store.due_questions(SOURCE, at(9), 10).await.unwrap(), vec![two.clone()]);
    assert_eq!(store.questions(10).await.unwrap(), [two.clone(), one.clone()]);
    assert_eq!(store.questions(1).await.unwrap(), vec![two.clone()]);
    let again = question("two", 20);
    save(&*store, Changes { questions: vec![again.clone()], ..Changes::default() }).await;
    assert_eq!(store.questions(10).await.unwrap(), [one.clone(), again]);
    // Answered and asked anew in one commit: the new one waits.
    let anew = question("one", 30);
    let (answered, questions) = (vec![one.purchase_id, two.purchase_id], vec![anew.clone()]);
    save(&*store, Changes { answered, questions, ..Changes::default() }).await;
    assert_eq!(store.questions(10).await.unwrap(), [anew]);
}

async fn postponing_does_not_bring_an_answered_question_back(store: Arc<dyn Store>) {
    let mut asked = question("one", 10);
    save(&*store, Changes { questions: vec![asked.clone()], ..Changes::default() }).await;
    asked.attempts = 1;
    asked.ask_at = at(60);
    asked.last_error = Some("503".to_owned());
    store.postpone_question(asked.clone()).await.unwrap();
    assert_eq!(store.questions(10).await.unwrap(), vec![asked.clone()]);
    save(&*store, Changes { answered: vec![asked.purchase_id], ..Changes::default() }).await;
    store.postpone_question(asked).await.unwrap();
    assert_eq!(store.questions(10).await.unwrap(), []);
}

fn lookup(name: &str, ask_at: Option<i64>) -> LookupRecord {
    LookupRecord {
        id: LookupId::derive(&[name.as_bytes()]),
        source_id: SOURCE,
        name: name.to_owned(),
        context: "what for".to_owned(),
        why: "a refund".to_owned(),
        unless_known: None,
        asked_since: at(1),
        ask_at: ask_at.map(at),
        attempts: 0,
        last_error: None,
        reconciles: false,
    }
}

async fn lookups_wait_once_and_are_given_up(store: Arc<dyn Store>) {
    let (one, two) = (lookup("one", Some(10)), lookup("two", Some(5)));
    save(&*store, Changes { lookups: vec![one.clone(), two.clone()], ..Changes::default() }).await;
    let again = lookup("one", Some(2));
    save(&*store, Changes { lookups: vec![again], ..Changes::default() }).await;
    assert_eq!(store.due_lookups(SOURCE, at(9), 10).await.unwrap(), vec![two.clone()]);
    assert_eq!(store.due_lookups(SOURCE, at(10), 10).await.unwrap(), [two.clone(), one.clone()]);
    let given_up = LookupRecord { ask_at: None, attempts: 1, last_error: Some("404".to_owned()), ..two.clone() };
    store.postpone_lookup(given_up.clone()).await.unwrap();
    assert_eq!(store.due_lookups(SOURCE, at(99), 10).await.unwrap(), vec![one.clone()]);
    let mut all = store.lookups(10).await.unwrap();
    all.sort_by_key(|lookup| lookup.name.clone());
    assert_eq!(all, [one.clone(), given_up]);
    save(&*store, Changes { looked_up: vec![one.id], ..Changes::default() }).await;
    store.postpone_lookup(LookupRecord { attempts: 1, ..one }).await.unwrap();
    store.forget_lookup(two.id).await.unwrap();
    assert_eq!(store.lookups(10).await.unwrap(), []);
}

async fn a_clue_wakes_what_waits_for_it(store: Arc<dyn Store>) {
    let tried = lookup("one", Some(10));
    save(&*store, Changes { lookups: vec![tried.clone()], ..Changes::default() }).await;
    assert_eq!(store.clue(SOURCE, "one").await.unwrap(), None);
    let clue = ClueRecord { source_id: SOURCE, name: "one".to_owned(), answer: "{}".into() };
    save(&*store, Changes { clues: vec![clue], ..Changes::default() }).await;
    assert_eq!(store.clue(SOURCE, "one").await.unwrap(), Some("{}".into()));
    // The try that was under way did not see it, and does not put the lookup to sleep.
    store.postpone_lookup(LookupRecord { ask_at: Some(at(9_999)), attempts: 1, ..tried }).await.unwrap();
    assert_eq!(store.due_lookups(SOURCE, at(1_000), 10).await.unwrap().len(), 1);
}

const OTHER: SourceId = SourceId([0x77; 16]);

async fn what_is_due_is_found_by_source(store: Arc<dyn Store>) {
    assert_eq!(store.sources_due(at(99)).await.unwrap(), []);
    let other = QuestionRecord { source_id: OTHER, ..question("other", 7) };
    let given_up = LookupRecord { source_id: SourceId([0x99; 16]), ..lookup("never", None) };
    let questions = vec![question("one", 10), question("two", 11), other.clone()];
    save(&*store, Changes { questions, lookups: vec![lookup("three", Some(5)), given_up], ..Changes::default() }).await;
    assert_eq!(store.sources_due(at(4)).await.unwrap(), []);
    assert_eq!(store.sources_due(at(5)).await.unwrap(), [SOURCE]);
    let mut both = [SOURCE, OTHER];
    both.sort_unstable();
    assert_eq!(store.sources_due(at(7)).await.unwrap(), both, "each once, and none of what was given up");
    assert_eq!(store.due_questions(OTHER, at(99), 10).await.unwrap(), [other]);
    assert_eq!(store.due_questions(SOURCE, at(99), 1).await.unwrap(), [question("one", 10)]);
    assert_eq!(store.due_lookups(OTHER, at(99), 10).await.unwrap(), []);
}

async fn what_waits_is_counted_by_source(store: Arc<dyn Store>) {
    assert_eq!(store.waiting(SOURCE).await.unwrap(), Waiting::default());
    let failed = LookupRecord { last_error: Some("503".to_owned()), ..lookup("one", Some(60)) };
    let given_up = LookupRecord { asked_since: at(-5), last_error: Some("404".to_owned()), ..lookup("two", None) };
    let questions = vec![QuestionRecord { asked_since: at(3), ..question("three", 10) }];
    let lookups = vec![LookupRecord { asked_since: at(2), ..failed }, given_up];
    save(&*store, Changes { questions, lookups, ..Changes::default() }).await;
    let expected =
        Waiting { questions: 1, lookups: 1, given_up: 1, oldest: Some(at(2)), last_error: Some("503".to_owned()) };
    assert_eq!(store.waiting(SOURCE).await.unwrap(), expected);
    assert_eq!(store.waiting(OTHER).await.unwrap(), Waiting::default());
}

async fn a_lookup_that_was_given_up_is_tried_again(store: Arc<dyn Store>) {
    let given_up = LookupRecord { attempts: 7, last_error: Some("404".to_owned()), ..lookup("one", None) };
    save(&*store, Changes { lookups: vec![given_up.clone()], ..Changes::default() }).await;
    assert_eq!(store.lookup(given_up.id).await.unwrap().as_ref(), Some(&given_up));
    let again = store.retry_lookup(given_up.id, at(50)).await.unwrap().unwrap();
    assert_eq!((again.ask_at, again.asked_since, again.attempts), (Some(at(50)), at(50), 8));
    assert_eq!(store.due_lookups(SOURCE, at(50), 10).await.unwrap(), vec![again]);
    assert_eq!(store.retry_lookup(LookupId([3; 16]), at(50)).await.unwrap(), None);
    assert_eq!(store.lookup(LookupId([3; 16])).await.unwrap(), None);
}

async fn old_clues_are_forgotten(store: Arc<dyn Store>) {
    let clue = |name: &str| ClueRecord { source_id: SOURCE, name: name.to_owned(), answer: "{}".into() };
    for second in 0..1200 {
        let journal = Some(journal(&[], second));
        save(&*store, Changes { journal, clues: vec![clue(&second.to_string())], ..Changes::default() }).await;
    }
    // Written again: it counts from then on.
    save(&*store, Changes { journal: Some(journal(&[], 5_000)), clues: vec![clue("0")], ..Changes::default() }).await;
    assert_eq!(store.prune_clues(at(1_100)).await.unwrap(), 1_099);
    assert_eq!(store.clue(SOURCE, "1099").await.unwrap(), None);
    assert_eq!(store.clue(SOURCE, "1100").await.unwrap(), Some("{}".into()));
    assert_eq!(store.clue(SOURCE, "0").await.unwrap(), Some("{}".into()));
    assert_eq!(store.prune_clues(at(1_100)).await.unwrap(), 0);
}

async fn claims_wait_for_what_they_wait_for_and_end(store: Arc<dyn Store>) {
    let named = customer("user-1");
    let known = put(&*store, "known", None).await;
    let aliases = vec![("user-1".to_owned(), named.id)];
    save(&*store, Changes { customers: vec![named.clone()], aliases, ..Changes::default() }).await;
    let looked_up = lookup("one", Some(10));
    let claim = |number: u8, second: i64| ClaimRecord {
        id: ClaimId([number; 16]),
        source_id: looked_up.source_id,
        customer: "user-1".to_owned(),
        claimed_at: at(second),
        state: ClaimState::Waiting,
        state_since: at(second),
        lookups: [looked_up.id].into(),
        purchases: [].into(),
        body: Bytes::from_static(b"{}"),
    };
    let early = claim(1, 1);
    let late = ClaimRecord { lookups: [].into(), purchases: [PurchaseId([7; 16]), known.id].into(), ..claim(2, 2) };
    let changes =
        Changes { claims: vec![early.clone(), late.clone()], lookups: vec![looked_up.clone()], ..Changes::default() };
    save(&*store, changes).await;
    assert_eq!(store.claim(early.id).await.unwrap(), Some(early.clone()));
    assert_eq!(store.claims_of("user-1", 10).await.unwrap(), [late.clone(), early.clone()]);
    assert_eq!(store.claims_waiting(at(2), 10).await.unwrap(), vec![early.clone()]);
    assert_eq!(store.claims_waiting_for(looked_up.id).await.unwrap(), vec![early.clone()]);
    let ids = [looked_up.id, LookupId([9; 16])].into();
    assert_eq!(store.lookups_by_id(ids).await.unwrap(), vec![looked_up.clone()]);

    let before = look(&*store, Wants { claims_for: vec![looked_up.id], ..Wants::default() }).await;
    assert_eq!(before.claims.into_values().collect::<Vec<_>>(), vec![early.clone()]);
    assert_eq!(before.aliases.get("user-1"), Some(&named.id), "the claim's customer comes along");
    let before = look(&*store, Wants { purchases: vec![known.id], ..Wants::default() }).await;
    assert!(before.claims.is_empty(), "a purchase that is known was dealt with");
    let before = look(&*store, Wants { purchases: vec![PurchaseId([7; 16])], ..Wants::default() }).await;
    assert_eq!(before.claims.into_values().collect::<Vec<_>>(), vec![late.clone()]);

    let ended = ClaimRecord {
        state: ClaimState::Settled,
        state_since: at(5),
        lookups: [].into(),
        body: Bytes::from_static(b"[]"),
        ..early.clone()
    };
    save(&*store, Changes { claims: vec![ended.clone()], ..Changes::default() }).await;
    assert_eq!(store.claim(early.id).await.unwrap(), Some(ended));
    assert_eq!(store.claims_waiting_for(looked_up.id).await.unwrap(), []);
    assert_eq!(store.claims_waiting(at(99), 10).await.unwrap(), vec![late.clone()]);
    assert_eq!(store.prune_claims(at(5)).await.unwrap(), 0);
    assert_eq!(store.prune_claims(at(6)).await.unwrap(), 1);
    assert_eq!(store.claims_of("user-1", 10).await.unwrap(), [late], "one that waits is never pruned");
}
