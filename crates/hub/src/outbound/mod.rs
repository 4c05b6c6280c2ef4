//! The only HTTP client: everything that leaves the hub goes through [`Outbound::call`].
//!
//! Each address is judged by [`guard`] after its name was resolved and before the connection is made, and the connection
//! is made to just that address, so a name cannot change its mind in between. No redirects, no proxies from the
//! environment, no decompression, bounded answers, one time limit over everything. It knows nothing about events: what
//! an answer means is the destination's business.

pub mod guard;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use guard::{Guard, Ruling};
use http::header;
use paidup_destinations::{Answer, CallFailure};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Most bytes of an answer's body that are read when the caller names no other bound.
pub const MAX_BODY: usize = 64 * 1024;
/// Most bytes of names and values of an answer's headers; more is no answer that we would trust.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// Connecting, TLS included, may take this long within the call's own time limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept open to one host between calls: as many as the busiest destination uses side by side.
const IDLE_PER_HOST: usize = 64;
/// How long they are kept: below the 60 s after which common load balancers drop them without a word.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// Who makes calls. The hub's [`Client`]; in tests a script.
pub trait Outbound: Send + Sync {
    /// Makes the call within `timeout`, name look-up included, and reads at most `max_body` bytes of the answer's body;
    /// the rest is cut.
    fn call_up_to(
        &self,
        request: http::Request<Bytes>,
        timeout: Duration,
        max_body: usize,
    ) -> BoxFuture<'static, Answer>;

    /// The same with [`MAX_BODY`].
    fn call(&self, request: http::Request<Bytes>, timeout: Duration) -> BoxFuture<'static, Answer> {
        self.call_up_to(request, timeout, MAX_BODY)
    }

    /// Whether a URL may be called as far as can be told now: `AddressRefused` when it leads to private or reserved
    /// addresses only, `NameNotFound` when the name does not resolve now.
    fn check(&self, url: Url) -> BoxFuture<'static, Result<(), CallFailure>>;
}

/// Resolves a name. The machine's resolver; in tests a script.
type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Calls over the network.
pub struct Client {
    guard: Arc<Guard>,
    names: LookUp,
    /// For names: judges what they resolve to.
    guarded: reqwest::Client,
    /// For literal addresses and origins that were judged already.
    trusted: reqwest::Client,
}

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct SetupError(#[from] reqwest::Error);

impl Client {
    /// Opens the client; makes `ring` the process's TLS provider when there is none yet.
    pub fn new(guard: Guard) -> Result<Client, SetupError> {
        Client::resolving(guard, Arc::new(|host| Box::pin(resolve(host))))
    }

    fn resolving(guard: Guard, names: LookUp) -> Result<Client, SetupError> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guard = Arc::new(guard);
        let resolver = |guard| Names { guard, names: Arc::clone(&names) };
        let guarded = builder().dns_resolver(resolver(Some(Arc::clone(&guard)))).build()?;
        let trusted = builder().dns_resolver(resolver(None)).build()?;
        Ok(Client { guard, names, guarded, trusted })
    }
}

#[allow(clippy::disallowed_methods)] // the one exception
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_FOR)
        .tcp_nodelay(true)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_BYTES as u32)
        .user_agent(concat!("Paidup/", env!("CARGO_PKG_VERSION")))
}

impl Outbound for Client {
    fn call_up_to(
        &self,
        request: http::Request<Bytes>,
        timeout: Duration,
        max_body: usize,
    ) -> BoxFuture<'static, Answer> {
        let mut request = match reqwest::Request::try_from(request) {
            Ok(request) => request,
            // Only a URI without scheme or host cannot be converted.
            Err(_) => return refuse(CallFailure::NotConnected),
        };
        for ours in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
            request.headers_mut().remove(ours);
        }
        let client = match self.guard.rule(request.url()) {
            Ruling::Trusted => self.trusted.clone(),
            Ruling::Resolve => self.guarded.clone(),
            Ruling::Refused => return refuse(CallFailure::AddressRefused),
        };
        Box::pin(async move {
            match tokio::time::timeout(timeout, exchange(client, request, max_body)).await {
                Ok(Ok(response)) => Answer::Response(response),
                Ok(Err(failure)) => Answer::Failed(failure),
                Err(_) => Answer::Failed(CallFailure::TimedOut),
            }
        })
    }

    fn check(&self, url: Url) -> BoxFuture<'static, Result<(), CallFailure>> {
        let (guard, names) = (Arc::clone(&self.guard), Arc::clone(&self.names));
        Box::pin(async move {
            match guard.rule(&url) {
                Ruling::Trusted => Ok(()),
                Ruling::Refused => Err(CallFailure::AddressRefused),
                Ruling::Resolve => match tokio::time::timeout(
                    CONNECT_TIMEOUT,
                    look_up(&names, url.host_str().unwrap_or_default().to_owned(), Some(guard)),
                )
                .await
                {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(failure)) if failure.is::<Refused>() => Err(CallFailure::AddressRefused),
                    Ok(Err(_)) | Err(_) => Err(CallFailure::NameNotFound),
                },
            }
        })
    }
}

fn refuse(failure: CallFailure) -> BoxFuture<'static, Answer> {
    Box::pin(std::future::ready(Answer::Failed(failure)))
}

async fn exchange(
    client: reqwest::Client,
    request: reqwest::Request,
    max_body: usize,
) -> Result<http::Response<Bytes>, CallFailure> {
    let mut response = client.execute(request).await.map_err(|error| failure_of(&error))?;
    let header_bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if header_bytes > MAX_HEADER_BYTES || response.headers().len() > MAX_HEADERS {
        return Err(CallFailure::BadAnswer);
    }
    let mut answer = http::Response::new(Bytes::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    while body.len() < max_body {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(max_body - body.len())]),
            Ok(None) => break,
            Err(error) => return Err(failure_of(&error)),
        }
    }
    *answer.body_mut() = body.freeze();
    Ok(answer)
}

/// Resolves names; with a guard, keeps only the addresses that it permits.
struct Names {
    guard: Option<Arc<Guard>>,
    names: LookUp,
}

/// All addresses of a name are private or reserved.
#[derive(Debug, thiserror::Error)]
#[error("every address of the name is private or reserved")]
struct Refused;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, names) = (self.guard.clone(), Arc::clone(&self.names));
        Box::pin(async move {
            let addresses = look_up(&names, name.as_str().to_owned(), guard).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn resolve(host: String) -> std::io::Result<Vec<SocketAddr>> {
    // Port 0: the HTTP client puts the URL's port in its place.
    Ok(tokio::net::lookup_host((host, 0)).await?.collect())
}

async fn look_up(
    names: &LookUp,
    host: String,
    guard: Option<Arc<Guard>>,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found = names(host).await?;
    let permitted = |address: &SocketAddr| guard.as_ref().is_none_or(|guard| guard.permits(address.ip()));
    let kept: Vec<SocketAddr> = found.iter().copied().filter(permitted).collect();
    if kept.is_empty() && !found.is_empty() { Err(Box::new(Refused)) } else { Ok(kept) }
}

/// Says in our words why there is no answer. The error's own text may hold the URL, which may be a secret: it goes
/// nowhere.
fn failure_of(error: &reqwest::Error) -> CallFailure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.is::<Refused>() {
            return CallFailure::AddressRefused;
        }
        if let Some(found) = current.downcast_ref::<hyper::Error>()
            && (found.is_parse() || found.is_parse_status())
        {
            return CallFailure::BadAnswer;
        }
        if current.is::<rustls::Error>() {
            return CallFailure::TlsFailed;
        }
        // An I/O error passes over the error inside of it and names that one's cause.
        cause = match current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => current.source(),
        };
    }
    if error.is_timeout() {
        CallFailure::TimedOut
    } else if error.is_dns() {
        CallFailure::NameNotFound
    } else if error.is_connect() {
        CallFailure::NotConnected
    } else {
        CallFailure::ConnectionLost
    }
}

#[cfg(test)]
mod tests;
