//! One delivery: a message is posted, or edited; in the channel, in a thread, or in a forum post that begins with it.
//!
//! What Discord contradicts is put right once in a delivery: a message that is gone or cannot be changed is posted anew, a
//! post that is gone, archived or locked is made anew. Editing the same twice changes nothing, so a repeat is harmless there;
//! a post whose answer was lost may stand twice.
//! <https://discord.com/developers/docs/resources/webhook#edit-webhook-message>

use super::budget;
use super::notes::{Lines, Notes, Told};
use super::verdict;
use super::wire::{Target, is_id};
use crate::{Answer, Conversation, Poison, Reason, Step, Verdict};
use bytes::Bytes;
use http::Request;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Edits of older messages have a limit of their own.
const OLD: Duration = Duration::from_secs(3600);

/// Where new messages go.
pub(super) enum Place {
    /// The webhook's channel, or the thread that the settings name.
    Channel,
    /// A post of a forum: the one that is remembered, or a new one of this title.
    Post {
        /// At most 100 characters.
        title: String,
        /// Ids of its tags.
        tags: Vec<String>,
    },
}

/// What is posted.
pub(super) struct Draft {
    /// The body of a new message.
    pub(super) body: Value,
    pub(super) place: Place,
    /// The message is one that is edited later.
    pub(super) followed: Option<Followed>,
}

/// A message about one purchase.
pub(super) struct Followed {
    pub(super) purchase: String,
    /// The body of an edit that says the same.
    pub(super) edited: Value,
    pub(super) seq: u64,
    pub(super) lines: Lines,
}

/// The moment of a delivery.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub(super) now: Timestamp,
    pub(super) attempt: u32,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Post,
    Edit,
}

/// Discord's message, as far as it matters.
#[derive(Deserialize)]
struct MessageBody {
    id: String,
    channel_id: String,
}

pub(super) struct Posting {
    target: Arc<Target>,
    draft: Draft,
    when: When,
    notes: Notes,
    /// As the hub knows the notes.
    kept: Notes,
    asked: Option<Asked>,
    /// What is put right once.
    reposted: bool,
    moved: bool,
    /// Steps that follow from the last answer.
    steps: VecDeque<Step>,
}

impl Posting {
    /// Begins with the first call. An error: the message cannot be written.
    pub(super) fn new(target: Arc<Target>, draft: Draft, notes: Notes, when: When) -> Result<Posting, Poison> {
        let kept = notes.clone();
        let steps = VecDeque::new();
        let mut posting =
            Posting { target, draft, when, notes, kept, asked: None, reposted: false, moved: false, steps };
        let first = if posting.known().is_some() { Asked::Edit } else { Asked::Post };
        posting.ask(first)?;
        Ok(posting)
    }

    /// The message that stands already.
    fn known(&self) -> Option<&Told> {
        self.draft.followed.as_ref().and_then(|followed| self.notes.told(&followed.purchase))
    }

    fn ask(&mut self, call: Asked) -> Result<(), Poison> {
        let mut budgets =
            vec![budget::global(), budget::webhook(self.target.id()), budget::channel_of(self.target.id())];
        let request = match (call, self.known(), &self.draft.followed) {
            (Asked::Edit, Some(told), Some(followed)) => {
                if self.is_old(&told.id) {
                    budgets.push(budget::old_edits_of(self.target.id()));
                }
                let thread = told.thread.as_deref().or(self.target.thread_id());
                self.target.edit(&told.id, thread, &followed.edited)?
            }
            (Asked::Post | Asked::Edit, _, _) => self.new_message()?,
        };
        self.asked = Some(call);
        self.steps.push_back(Step::Call { request, budgets });
        Ok(())
    }

    fn new_message(&self) -> Result<Request<Bytes>, Poison> {
        match &self.draft.place {
            Place::Channel => self.target.post(self.target.thread_id(), &self.draft.body),
            Place::Post { title, tags } => match self.notes.thread() {
                Some(thread) => self.target.post(Some(thread), &self.draft.body),
                None => {
                    let mut body = self.draft.body.clone();
                    body["thread_name"] = json!(title);
                    if !tags.is_empty() {
                        body["applied_tags"] = json!(tags);
                    }
                    self.target.post(None, &body)
                }
            },
        }
    }

    fn is_old(&self, message: &str) -> bool {
        message.parse().is_ok_and(|id: Snowflake| self.when.now.since(id.time()) > OLD)
    }

    /// What follows from an answer.
    fn hear(&mut self, call: Asked, answer: &Answer) -> Result<(), Poison> {
        if let Some(again) = self.put_right(call, verdict::code(answer)) {
            self.steps.extend(verdict::window_of(answer, self.target.id()).map(|hint| Step::Learn(vec![hint])));
            self.remember();
            return self.ask(again);
        }
        let (hints, verdict) = verdict::of(answer, self.target.id(), self.when.attempt, self.when.now);
        if !hints.is_empty() {
            self.steps.push_back(Step::Learn(hints));
        }
        if verdict == Verdict::Delivered {
            self.note(call, answer);
        }
        self.remember();
        self.steps.push_back(Step::Finish(verdict));
        Ok(())
    }

    /// The call with which a refusal is put right, if it is one of those and was not put right already.
    fn put_right(&mut self, call: Asked, code: Option<i64>) -> Option<Asked> {
        let in_own_post = matches!(self.draft.place, Place::Post { .. }) && self.notes.thread().is_some();
        let stood_in = self.known().and_then(|told| told.thread.clone());
        match (call, code?) {
            // The message is gone, of another webhook, in a thread that is put away (a message takes it out again, an edit
            // does not), or too many old ones were edited.
            (Asked::Edit, 10_008 | 50_005 | 50_083 | 160_005 | 30_046) => {}
            (Asked::Edit, 10_003) if stood_in.is_some() => {
                if self.notes.thread() == stood_in.as_deref() {
                    self.notes.keep_thread(None);
                }
            }
            (Asked::Post, 10_003 | 10_008 | 50_083 | 160_005) if in_own_post && !self.moved => {
                self.moved = true;
                self.notes.keep_thread(None);
                return Some(Asked::Post);
            }
            (Asked::Post | Asked::Edit, _) => return None,
        }
        if let Some(followed) = &self.draft.followed {
            self.notes.forget_message(&followed.purchase);
        }
        (!std::mem::replace(&mut self.reposted, true)).then_some(Asked::Post)
    }

    /// Keeps where the message stands now.
    fn note(&mut self, call: Asked, answer: &Answer) {
        let Answer::Response(response) = answer else { return };
        let body = serde_json::from_slice::<MessageBody>(response.body()).ok();
        let sound = body.filter(|body| is_id(&body.id) && is_id(&body.channel_id));
        let place = match (call, sound) {
            (Asked::Edit, _) => self.known().map(|told| (told.id.clone(), told.thread.clone())),
            (Asked::Post, None) => None,
            (Asked::Post, Some(body)) => match &self.draft.place {
                Place::Channel => {
                    let channel = budget::channel(&body.channel_id);
                    self.steps.push_back(Step::Join(budget::channel_of(self.target.id()), channel));
                    Some((body.id, None))
                }
                Place::Post { .. } => {
                    self.notes.keep_thread(Some(body.channel_id.clone()));
                    Some((body.id, Some(body.channel_id)))
                }
            },
        };
        if let Some(((id, thread), followed)) = place.zip(self.draft.followed.as_ref()) {
            let told = Told { id, thread, seq: followed.seq, lines: followed.lines.clone() };
            self.notes.keep_message(&followed.purchase, told);
        }
    }

    fn remember(&mut self) {
        if self.notes != self.kept {
            self.kept = self.notes.clone();
            self.steps.push_back(Step::Remember(self.notes.memory()));
        }
    }
}

impl Conversation for Posting {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        if let Some(step) = self.steps.pop_front() {
            return step;
        }
        let heard = match (self.asked.take(), answer) {
            (Some(call), Some(answer)) => self.hear(call, answer),
            (_, _) => Err(Poison("asked for a step that there is not".to_owned())),
        };
        if let Err(Poison(reason)) = heard {
            return Step::Finish(Verdict::GiveUp(Reason(reason)));
        }
        // Whatever was heard, something follows from it.
        self.steps.pop_front().unwrap_or_else(|| Step::Finish(Verdict::GiveUp(Reason("nothing follows".to_owned()))))
    }
}

/// A delivery that has nothing to say.
pub(super) struct Nothing(pub(super) &'static str);

impl Conversation for Nothing {
    fn next(&mut self, _answer: Option<&Answer>) -> Step {
        Step::Finish(Verdict::Skip(Reason(self.0.to_owned())))
    }
}
