//! Facets merge in any order and any number, and the engine takes whatever is said, in any order. The data are lines of
//! JSON: facets, or observations, `tick` and `unanswered`.

use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::engine::{Context, Input, advance};
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::observation::{Facets, Observation};
use paidup_lifecycle::purchase::Purchase;
use serde_json::Value;
use std::time::Duration;

/// The most lines that are looked at.
const MAX_LINES: usize = 12;

/// A line's words are told apart from other lines': two that say different things never have the same stamp.
fn stamped(line: usize, text: &str) -> Option<Value> {
    fn stamp(value: &mut Value, line: usize) {
        match value {
            Value::Object(fields) => {
                if let Some(by) = fields.get_mut("stamp").and_then(|stamp| stamp.get_mut("by")) {
                    *by = format!("line {line}").into();
                }
                fields.values_mut().for_each(|value| stamp(value, line));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| stamp(value, line)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value = serde_json::from_str(text).ok()?;
    stamp(&mut value, line);
    Some(value)
}

fn lines(data: &[u8]) -> Vec<(usize, &str)> {
    let text = std::str::from_utf8(data).unwrap_or_default();
    text.lines().take(MAX_LINES).enumerate().collect()
}

fn merged<'a>(all: impl Iterator<Item = &'a Facets>) -> Facets {
    let mut known = Facets::default();
    for facets in all {
        known.absorb(facets);
    }
    known
}

/// The target of merging. What is merged is what was said at one moment, never a sum of such: a sum would connect a period
/// with a product that was not said together with it.
pub(crate) fn facets(data: &[u8]) {
    let read = |(line, text)| stamped(line, text).and_then(|value| serde_json::from_value::<Facets>(value).ok());
    let all: Vec<Facets> = lines(data).into_iter().filter_map(read).collect();
    let known = merged(all.iter());
    assert_eq!(merged(all.iter().rev()), known, "backwards");
    assert_eq!(merged(all.iter().chain(&all)), known, "twice");
    for said in &all {
        let mut again = known.clone();
        assert!(!again.absorb(said) && again == known, "nothing is new in what was said before");
    }
    let json = serde_json::to_vec(&known).expect("facets are JSON");
    assert_eq!(serde_json::from_slice::<Facets>(&json).ok().as_ref(), Some(&known));
}

fn context<'a>(catalogue: &'a Catalogue, can_ask: bool, input: &Input) -> Context<'a> {
    let owner = match input {
        Input::Observed(observation) => observation.facets.owner.as_ref().and_then(|owner| owner.value.as_ref()),
        Input::Tick | Input::Unanswered | Input::Moved { .. } | Input::CatalogueChanged { .. } | Input::Converted => {
            None
        }
    };
    Context {
        catalogue,
        can_ask,
        owner: owner.map(|name| CustomerId::derive(&[name.as_bytes()])),
        price_follows: !can_ask,
        had_before: false,
        owner_ids: &[],
        new_owner_ids: &[],
        merges: false,
    }
}

/// The target of the engine. The first line says when it is, in milliseconds.
pub(crate) fn engine(data: &[u8]) {
    let all = lines(data);
    let Some((_, first)) = all.first() else { return };
    let mut now = paidup_lifecycle::time::Timestamp::from_millis_clamped(first.parse().unwrap_or(1_767_225_600_000));
    let inputs: Vec<Input> = all.iter().skip(1).filter_map(|(line, text)| input(*line, text)).collect();
    let Some(first) = inputs.iter().find_map(observation) else { return };
    let catalogue = Catalogue::default();
    for can_ask in [false, true] {
        let mut purchase = Purchase::new(first.key.clone(), first.store, CustomerId([1; 16]));
        for input in &inputs {
            if observation(input).is_some_and(|observation| observation.key != first.key) {
                continue;
            }
            let before = purchase.seq;
            let outcome = advance(purchase, input, &context(&catalogue, can_ask, input), now);
            assert_eq!(outcome.purchase.seq, before + outcome.events.len() as u64, "numbered without gaps");
            assert_eq!(outcome.purchase.next_deadline, outcome.next_deadline);
            purchase = outcome.purchase;
            let json = serde_json::to_vec(&purchase).expect("a purchase is JSON");
            assert_eq!(
                serde_json::from_slice::<Purchase>(&json).ok().as_ref(),
                Some(&purchase),
                "kept and found again"
            );
            now = now.plus(Duration::from_secs(3_600));
        }
        // The clock comes to an end: ticks at every deadline lead to one that has none, or to the far future.
        for _ in 0..64 {
            let Some(deadline) = purchase.next_deadline else { break };
            now = now.max(deadline);
            purchase = advance(purchase, &Input::Tick, &context(&catalogue, can_ask, &Input::Tick), now).purchase;
        }
        // What is said all over again is no news.
        let facets = merged(inputs.iter().filter_map(observation).map(|observation| &observation.facets));
        assert!(facets == merged(inputs.iter().rev().filter_map(observation).map(|observation| &observation.facets)));
    }
}

fn observation(input: &Input) -> Option<&Observation> {
    match input {
        Input::Observed(observation) => Some(observation),
        Input::Tick | Input::Unanswered | Input::Moved { .. } | Input::CatalogueChanged { .. } | Input::Converted => {
            None
        }
    }
}

fn input(line: usize, text: &str) -> Option<Input> {
    match text {
        "tick" => Some(Input::Tick),
        "unanswered" => Some(Input::Unanswered),
        _ => serde_json::from_value(stamped(line, text)?).ok().map(Input::Observed),
    }
}
