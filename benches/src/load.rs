//! A lean HTTP/1.1 load generator: keep-alive connections, requests made beforehand, one task a connection. It exists
//! because a general client costs more than the hub it measures, on two cores. Loopback only, bounded in count and time.

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a loopback address; any other is refused.
    pub(crate) async fn open(address: SocketAddr) -> Result<Connection> {
        if !address.ip().is_loopback() {
            bail!("load goes to loopback only, not to {address}");
        }
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends the bytes of one request and reads its whole answer; gives status and body length.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head_end, length) = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break (end + 4, content_length(&self.buffer[..end])?);
            }
            self.fill().await?;
        };
        while self.buffer.len() < head_end + length {
            self.fill().await?;
        }
        let status = std::str::from_utf8(self.buffer.get(9..12).context("short answer")?)?.parse()?;
        Ok((status, self.buffer[head_end..head_end + length].to_vec()))
    }

    async fn fill(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn content_length(head: &[u8]) -> Result<usize> {
    for line in std::str::from_utf8(head)?.split("\r\n") {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok(value.trim().parse()?);
        }
    }
    Ok(0)
}

/// The bytes of a request with a body.
pub(crate) fn post(path: &str, key: Option<&str>, body: &[u8]) -> Vec<u8> {
    request("POST", path, key, body)
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, key: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n").into_bytes();
    if let Some(key) = key {
        bytes.extend_from_slice(format!("authorization: Bearer {key}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend_from_slice(
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()).as_bytes(),
        );
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// What a run came to.
pub(crate) struct Outcome {
    /// Answers with the expected status.
    pub(crate) ok: u64,
    /// Other answers, or none.
    pub(crate) failed: u64,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Latencies in microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.ok as f64 / self.elapsed.as_secs_f64()
    }

    /// A percentile in milliseconds.
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        self.latency.value_at_percentile(percentile) as f64 / 1000.0
    }
}

/// How hard.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Connections at the same time.
    pub(crate) connections: usize,
    /// At most so many requests.
    pub(crate) requests: u64,
    /// At most so long.
    pub(crate) duration: Duration,
    /// Requests a second over all connections; `None`: as fast as it goes. With a rate, latency counts from the moment
    /// at which a request was due, so that a stall is not hidden.
    pub(crate) rate: Option<f64>,
}

/// Sends what `make` gives for the numbers 0, 1, 2 ... and expects `status`.
pub(crate) async fn run<F>(address: SocketAddr, plan: Plan, status: u16, make: F) -> Result<Outcome>
where
    F: Fn(u64) -> Vec<u8> + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..plan.connections {
        let (make, next) = (make.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
            let (mut ok, mut failed) = (0u64, 0u64);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= plan.requests || start.elapsed() >= plan.duration {
                    break;
                }
                let bytes = make(number);
                let due = match plan.rate {
                    Some(rate) => {
                        let due = start + Duration::from_secs_f64(number as f64 / rate);
                        tokio::time::sleep_until(due.into()).await;
                        due
                    }
                    None => Instant::now(),
                };
                match connection.call(&bytes).await {
                    Ok((answer, _)) if answer == status => ok += 1,
                    Ok((answer, body)) => {
                        if failed == 0 {
                            eprintln!("unexpected {answer}: {}", String::from_utf8_lossy(&body));
                        }
                        failed += 1;
                    }
                    Err(error) => {
                        if failed == 0 {
                            eprintln!("unexpected: {error:#}");
                        }
                        failed += 1;
                        connection = Connection::open(address).await?;
                    }
                }
                latency.saturating_record(u64::try_from(due.elapsed().as_micros())?.max(1));
            }
            anyhow::Ok((ok, failed, latency))
        }));
    }
    let mut outcome =
        Outcome { ok: 0, failed: 0, elapsed: Duration::ZERO, latency: Histogram::new_with_bounds(1, 60_000_000, 3)? };
    for task in tasks {
        let (ok, failed, latency) = task.await??;
        outcome.ok += ok;
        outcome.failed += failed;
        outcome.latency.add(latency)?;
    }
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}
