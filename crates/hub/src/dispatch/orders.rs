//! What people want of a destination's loop: told to it in between its own work, answered when it is so.

use super::run::Dispatcher;
use super::settle::{Place, Standing};
use paidup_destinations::LoggedEvent;
use paidup_lifecycle::ids::EventId;
use tokio::sync::oneshot;

/// What people want of a loop.
pub enum Order {
    /// Deliver this event again; the answer comes when the wish is durable.
    Replay(Box<LoggedEvent>, oneshot::Sender<()>),
    /// How does an event stand?
    Look(u64, oneshot::Sender<Standing>),
    /// Try this event now if its lane waits for it; when the destination is down, probe now. Answers how it stood.
    Hasten(u64, oneshot::Sender<Place>),
    /// Give this event up if its lane waits for it; the answer, how it stood, comes when that is durable.
    GiveUp {
        /// Its place in the log.
        position: u64,
        /// Its id.
        event_id: EventId,
        /// Why, for people.
        why: String,
        /// Told then.
        answer: oneshot::Sender<Place>,
    },
}

/// What is told when something is durable.
pub(super) type Confirm = Box<dyn FnOnce() + Send>;

impl Dispatcher {
    /// Whoever gave an order may have gone: nobody minds when an answer is not heard.
    pub(super) fn obey(&mut self, order: Order) {
        let now = self.port.clock.now();
        match order {
            Order::Replay(event, confirm) => {
                let in_its_turn = event.position > self.book.read_to() && self.target.wants(&event);
                if !in_its_turn {
                    self.book.replay(*event, now);
                }
                self.confirm_when_saved(move || _ = confirm.send(()));
            }
            Order::Look(position, answer) => _ = answer.send(self.book.standing(position)),
            Order::Hasten(position, answer) => {
                let place = self.book.place(position);
                if let Place::First { .. } = place {
                    self.book.hasten(position);
                    self.breaker.hasten(now);
                }
                _ = answer.send(place);
            }
            Order::GiveUp { position, event_id, why, answer } => {
                let place = self.give_up_by_hand(position, event_id, why, now);
                self.confirm_when_saved(move || _ = answer.send(place));
            }
        }
    }

    /// At once, when everything is saved.
    fn confirm_when_saved(&mut self, confirm: impl FnOnce() + Send + 'static) {
        if self.book.unsaved() > 0 {
            self.confirms.push(Box::new(confirm));
        } else {
            confirm();
        }
    }
}
