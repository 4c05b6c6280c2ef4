//! What the clock waits for.

use super::*;
use crate::records::{ClueRecord, LookupRecord, QuestionRecord};
use crate::*;
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
    assert_eq!(store.due_questions(at(9), 10).await.unwrap(), vec![two.clone()]);
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
    }
}

async fn lookups_wait_once_and_are_given_up(store: Arc<dyn Store>) {
    let (one, two) = (lookup("one", Some(10)), lookup("two", Some(5)));
    save(&*store, Changes { lookups: vec![one.clone(), two.clone()], ..Changes::default() }).await;
    let again = lookup("one", Some(2));
    save(&*store, Changes { lookups: vec![again], ..Changes::default() }).await;
    assert_eq!(store.due_lookups(at(9), 10).await.unwrap(), vec![two.clone()]);
    assert_eq!(store.due_lookups(at(10), 10).await.unwrap(), [two.clone(), one.clone()]);
    let given_up = LookupRecord { ask_at: None, attempts: 1, last_error: Some("404".to_owned()), ..two.clone() };
    store.postpone_lookup(given_up.clone()).await.unwrap();
    assert_eq!(store.due_lookups(at(99), 10).await.unwrap(), vec![one.clone()]);
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
    assert_eq!(store.due_lookups(at(1_000), 10).await.unwrap().len(), 1);
}
