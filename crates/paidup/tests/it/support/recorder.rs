//! A far side on loopback that keeps whole requests and answers as a test says.

use axum::http;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) type Sent = http::Request<Bytes>;
pub(crate) type Said = http::Response<Bytes>;

/// An answer.
pub(crate) fn said(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Said {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).expect("an answer")
}

/// Keeps what it is sent.
#[derive(Clone)]
pub(crate) struct Recorder {
    address: SocketAddr,
    kept: Arc<Mutex<Vec<Sent>>>,
}

impl Recorder {
    pub(crate) async fn start(answer: impl Fn(&Sent) -> Said + Send + Sync + 'static) -> Recorder {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let recorder = Recorder { address: listener.local_addr().expect("an address"), kept: Arc::default() };
        let (keep, answer) = (recorder.clone(), Arc::new(answer));
        let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let (keep, answer) = (keep.clone(), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1024 * 1024).await.expect("a body");
                let sent = http::Request::from_parts(parts, body);
                let said = answer(&sent);
                keep.kept.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
                said.map(axum::body::Body::from)
            }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        recorder
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
