//! Asking how a known purchase stands, to compare: nobody waits for it, so it takes what the others leave of the store's
//! allowance, and is tried a few times at once instead of waiting in the database.

use super::Heard;
use super::bucket::Turn;
use super::desk::Desk;
use super::exchange::{NoAnswer, judge};
use super::item::{Item, RECONCILES};
use super::settle::Decided;
use crate::Hub;
use crate::sources::Opened;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::Notification;
use paidup_store::StoreError;
use paidup_store::records::QuestionRecord;
use std::sync::Arc;

/// Tries at one purchase: the store's own troubles hold the next one up (see `desk.rs`), so few are enough.
const TRIES: u32 = 3;
/// Times that a store may say that it is asked too much: no failure, and the next try comes when it says. Beyond, it takes no
/// comparison now.
const MAX_BUSY: u32 = 100;

/// What comparing a purchase with its store came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The source cannot ask about it.
    Skipped,
    /// The store said what is known.
    Same,
    /// It said something else, which is decided on.
    Different,
    /// It said nothing of use.
    Failed(String),
}

impl Hub {
    /// Whether the source can ask its store about this purchase.
    pub(crate) fn can_compare(&self, opened: &Opened, purchase: &Purchase) -> bool {
        let now = self.clock().now();
        item_of(opened, purchase, now).request(&*opened.source, now).is_some()
    }

    /// Asks, as soon as the store's allowance has a call to spare, and decides on the answer if it says something new.
    pub(crate) async fn compare_purchase(&self, opened: &Opened, purchase: &Purchase) -> Result<Compared, StoreError> {
        let desk = self.desks().of(opened.record.id);
        let source = &*opened.source;
        let (mut failure, mut tries, mut busy) = (String::new(), 0, 0);
        while tries < TRIES && busy < MAX_BUSY {
            tries += 1;
            let now = self.clock().now();
            let item = item_of(opened, purchase, now);
            let Some(request) = item.request(source, now) else { return Ok(Compared::Skipped) };
            match self.ask_to_compare(opened, &desk, &item, request).await {
                Ok((notifications, asked_at)) => {
                    match self.decide_on(opened.record.id, source, notifications, asked_at).await? {
                        Ok(Decided::News) => return Ok(Compared::Different),
                        Ok(Decided::Confirmed | Decided::Known) => return Ok(Compared::Same),
                        Err(why) => failure = why.detail,
                    }
                }
                Err(why) if why.is_final || why.is_refused() => return Ok(Compared::Failed(why.detail)),
                Err(why) => {
                    if matches!(why.heard, Heard::Busy(..)) {
                        (tries, busy) = (tries - 1, busy + 1);
                    }
                    failure = why.detail;
                }
            }
        }
        Ok(Compared::Failed(failure))
    }

    async fn ask_to_compare(
        &self,
        opened: &Opened,
        desk: &Arc<Desk>,
        item: &Item,
        request: http::Request<bytes::Bytes>,
    ) -> Result<(Vec<Notification>, Timestamp), NoAnswer> {
        let source = &*opened.source;
        let leave = loop {
            match desk.leave(Turn::Spare, source.calls_a_minute(), self.clock().now()) {
                Ok(leave) => break leave,
                Err(wait) => {
                    self.note_wait(opened, desk, wait);
                    self.clock().sleep_until(wait.until()).await;
                }
            }
        };
        let asked_at = self.clock().now();
        let answer = self.call_store(opened, desk, request).await;
        let now = self.clock().now();
        let judged = answer.and_then(|answer| judge(source, &item.wanted(), &answer, now));
        let came = judged.and_then(|body| item.read(source, body, asked_at));
        let heard = came.as_ref().map_or_else(|why| why.heard.clone(), |_| Heard::Answer);
        self.metrics().store_call(opened.definition.kind, heard.word());
        leave.close(&heard, item.number(), now);
        came.map(|notifications| (notifications, asked_at))
    }
}

fn item_of(opened: &Opened, purchase: &Purchase, now: Timestamp) -> Item {
    let question = QuestionRecord {
        purchase_id: purchase.id,
        source_id: opened.record.id,
        store_purchase_id: purchase.newest_id().to_owned(),
        why: RECONCILES.to_owned(),
        asked_since: now,
        ask_at: now,
        attempts: 0,
        last_error: None,
    };
    super::question_about(&*opened.source, question, Some(purchase))
}
