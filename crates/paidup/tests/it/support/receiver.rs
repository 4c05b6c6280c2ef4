//! A receiver on loopback that keeps what it is sent and answers as the test says.

use super::PATIENCE;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn event_type(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }
}

#[derive(Default)]
struct Kept {
    requests: Vec<Request>,
    /// Statuses for the next requests; 200 when there are none left.
    answers: VecDeque<u16>,
    /// The status of everything, when set.
    always: Option<u16>,
    /// Nothing is answered.
    held: bool,
}

/// A receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    came: Arc<Notify>,
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let receiver = Receiver { address, kept: Arc::default(), came: Arc::default() };
        let take = receiver.clone();
        let app = axum::Router::new().fallback(move |headers: HeaderMap, bytes: axum::body::Bytes| {
            let take = take.clone();
            async move {
                let answer = take.take(headers, &bytes);
                if take.kept().held {
                    std::future::pending::<()>().await;
                }
                answer
            }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        receiver
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, headers: HeaderMap, bytes: &[u8]) -> (StatusCode, &'static str) {
        let mut kept = self.kept();
        let status = kept.always.or_else(|| kept.answers.pop_front()).unwrap_or(200);
        let body = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        kept.requests.push(Request { headers, bytes: bytes.to_vec(), body });
        drop(kept);
        self.came.notify_waiters();
        (StatusCode::from_u16(status).expect("a status"), "{}")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The statuses of the next requests.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.kept().answers.extend(statuses);
    }

    /// The status of every request from now on; `None`: as `answer` said.
    pub(crate) fn always(&self, status: Option<u16>) {
        self.kept().always = status;
    }

    /// Whether requests from now on are taken and never answered.
    pub(crate) fn hold(&self, held: bool) {
        self.kept().held = held;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.kept().requests.clone()
    }

    /// Waits until at least `count` requests came, and answers all.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> impl Future<Output = Vec<Request>> + use<> {
        let receiver = self.clone();
        let caller = std::panic::Location::caller();
        async move {
            let wait = async {
                loop {
                    let came = receiver.came.notified();
                    let requests = receiver.requests();
                    if requests.len() >= count {
                        return requests;
                    }
                    came.await;
                }
            };
            match tokio::time::timeout(PATIENCE, wait).await {
                Ok(requests) => requests,
                Err(_) => panic!("{} of {count} requests came ({caller})", receiver.requests().len()),
            }
        }
    }
}
