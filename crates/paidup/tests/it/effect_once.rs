//! What a repeat does at a vendor that lets a repeat do nothing: Intercom's contacts are known by their external id, its
//! events by contact, name and second. A conversation is held with the stand-in call by call, without a socket, so that each
//! of its calls can be lost on the way there or back.

use paidup_destinations::{Answer, CallFailure, Destination, LoggedEvent, Memory, Moment, Step, Upstreams, Verdict};
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::intercom::{Fault, IntercomOptions, Report, Workspace};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn now() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().expect("a time")
}

fn intercom(workspace: &Workspace) -> Box<dyn Destination> {
    let settings = serde_json::value::to_raw_value(&json!({"access_token": workspace.token()})).expect("JSON");
    let upstreams = Upstreams {
        discord_api: "https://discord.com/api/v10".to_owned(),
        intercom_api: Some("http://intercom.example".to_owned()),
        public_url: "https://hub.example".to_owned(),
    };
    let definition = paidup_destinations::definition("intercom").expect("a kind");
    (definition.open)(&settings, &upstreams).expect("a destination")
}

fn logged(event_type: EventType) -> LoggedEvent {
    let event = sample::event(event_type, Store::AppStore);
    let json = serde_json::to_vec(&event).expect("JSON").into();
    LoggedEvent { partition: 0, position: 1, event: Arc::new(event), json }
}

/// One attempt; answers its verdict and how many calls it made. What is to be remembered is put into `memory`.
fn attempt(
    workspace: &Workspace,
    destination: &dyn Destination,
    event: &LoggedEvent,
    memory: &mut Memory,
) -> (Verdict, usize) {
    let moment = Moment { now: now(), attempt: 1, waiting: 0 };
    let events = std::slice::from_ref(event);
    let mut conversation = destination.deliver(events, memory, moment).expect("a conversation");
    let (mut last, mut calls) = (None, 0);
    loop {
        match conversation.next(last.as_ref()) {
            Step::Call { request, .. } => {
                calls += 1;
                let response = workspace.answer(&request).response;
                last = Some(response.map_or(Answer::Failed(CallFailure::TimedOut), Answer::Response));
            }
            Step::Remember(kept) => *memory = kept,
            Step::Learn(_) | Step::Join(_, _) => {}
            Step::Finish(verdict) => return (verdict, calls),
        }
    }
}

fn workspace() -> Workspace {
    Workspace::new(IntercomOptions { clock: Clock::manual(now().as_millis()), ..IntercomOptions::default() })
}

/// Delivers until it is delivered; answers the report and the attempts.
fn deliver(workspace: &Workspace, event: &LoggedEvent, forgets: bool) -> (Report, usize) {
    let destination = intercom(workspace);
    let mut memory = Memory::default();
    for attempts in 1..10 {
        if let (Verdict::Delivered, _) = attempt(workspace, &*destination, event, &mut memory) {
            return (workspace.report(), attempts);
        }
        if forgets {
            memory = Memory::default();
        }
    }
    panic!("never delivered: {:?}", workspace.report())
}

/// Each call of the first delivery is lost, before it acts or after, and answered with nonsense: with what was remembered and
/// without, there is one contact and one event in the end.
#[test]
fn a_lost_call_makes_no_second_contact_and_no_second_event() {
    let event = logged(EventType::SubscriptionRenewed);
    let calls = {
        let workspace = workspace();
        let (verdict, calls) = attempt(&workspace, &*intercom(&workspace), &event, &mut Memory::default());
        assert_eq!(verdict, Verdict::Delivered);
        calls
    };
    // Looked up, created (refused: the attributes are not there), five attributes, created again, told.
    assert!(calls >= 8, "{calls}");
    for fault in [Fault::Lost, Fault::Hang, Fault::Nonsense, Fault::Status(503), Fault::Status(408)] {
        for lost in 0..calls {
            for forgets in [false, true] {
                let name = format!("{fault:?} at call {lost}, forgets: {forgets}");
                let workspace = workspace();
                if lost > 0 {
                    // Calls before it go well.
                    workspace.fail_next(u32::try_from(lost).expect("few"), Fault::Slow(Duration::ZERO));
                }
                workspace.fail_next(1, fault);
                let (report, attempts) = deliver(&workspace, &event, forgets);
                assert_eq!((report.contacts, report.events), (1, 1), "{name}: {report:?}");
                assert_eq!(attempts, 2, "{name}");
                let acted = lost + 1 == calls && matches!(fault, Fault::Lost | Fault::Nonsense);
                // Told twice, and counted by Intercom once.
                assert_eq!(report.repeats, u64::from(acted), "{name}");
                assert_eq!(report.violations, Vec::<String>::new(), "{name}");
            }
        }
    }
}

/// Two events of one second and one name are two, also when the second one is repeated.
#[test]
fn a_repeat_in_a_busy_second_is_still_one_event() {
    let workspace = workspace();
    let destination = intercom(&workspace);
    let mut memory = Memory::default();
    let first = logged(EventType::SubscriptionRenewed);
    let mut second = (*first.event).clone();
    second.id.0[15] ^= 1;
    let second = LoggedEvent { event: Arc::new(second), ..first.clone() };
    assert_eq!(attempt(&workspace, &*destination, &first, &mut memory).0, Verdict::Delivered);
    workspace.fail_next(1, Fault::Lost);
    let (verdict, calls) = attempt(&workspace, &*destination, &second, &mut memory);
    assert!(matches!(verdict, Verdict::Retry { counts: true, .. }) && calls == 1, "{verdict:?}");
    assert_eq!(attempt(&workspace, &*destination, &second, &mut memory).0, Verdict::Delivered);
    // And a replay of the first.
    assert_eq!(attempt(&workspace, &*destination, &first, &mut memory).0, Verdict::Delivered);
    let report = workspace.report();
    assert_eq!((report.events, report.repeats), (2, 2), "{report:?}");
    let seconds: Vec<i64> = workspace.events().iter().map(|event| event.created_at).collect();
    assert_eq!(seconds[1], seconds[0] + 1);
}
