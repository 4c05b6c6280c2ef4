//! Testing the line from a store: the source says which calls to make and what their answers mean, this makes them.
//! Nothing of it is kept, but for the test notification that the store may send, which arrives like every other.

use crate::{Hub, HubError};
use bytes::Bytes;
use paidup_destinations::Answer;
use paidup_lifecycle::ids::SourceId;
use paidup_sources::{Finding, Gravity, Heard, Step, Testing};
use std::time::Duration;

/// Most calls of one test.
const MOST_CALLS: usize = 50;
/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a test may wait between two calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineReport {
    /// Whether the line works. `None`: a person has to test it, at the store.
    pub works: Option<bool>,
    /// In words.
    pub explanation: String,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl LineReport {
    fn of(findings: Vec<Finding>) -> LineReport {
        let works = findings.iter().all(|finding| finding.gravity != Gravity::Problem);
        let explanation = if works { "the line from the store works" } else { "something has to be mended" };
        LineReport { works: Some(works), explanation: explanation.to_owned(), findings }
    }
}

impl Hub {
    /// Tests the line from a store, or says how a person tests it.
    pub async fn test_source(&self, id: SourceId) -> Result<LineReport, HubError> {
        let opened = self.sources().get(id);
        let opened = opened.ok_or_else(|| HubError::refused(404, "", "there is no such source"))?;
        let mut test = match opened.source.test() {
            Testing::Calls(test) => test,
            Testing::ByHand(explanation) => {
                return Ok(LineReport { works: None, explanation, findings: Vec::new() });
            }
        };
        let mut heard = None;
        for _ in 0..MOST_CALLS {
            match test.next(heard.take(), self.clock().now()) {
                Step::Done(findings) => return Ok(LineReport::of(findings)),
                Step::Call { after, request } => {
                    self.clock().sleep(after.min(LONGEST_PAUSE)).await;
                    heard = Some(self.hear(request).await);
                }
            }
        }
        let text = "the test takes more calls than it may".to_owned();
        Ok(LineReport::of(vec![Finding { gravity: Gravity::Problem, text }]))
    }

    async fn hear(&self, request: http::Request<Bytes>) -> Heard {
        match self.outbound().call(request, TIMEOUT).await {
            Answer::Response(response) => Heard::Answer(response),
            Answer::Failed(failure) => Heard::Nothing(failure.to_string()),
        }
    }
}
