//! The client against small servers on the loopback: slow, huge, redirecting, breaking off, talking nonsense.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves each connection with `behave` once its request's head has arrived.
async fn serve<F, Fut>(behave: F) -> SocketAddr
where
    F: Fn(TcpStream, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut piece = [0; 1024];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => head.extend_from_slice(&piece[..count]),
                }
            }
            tokio::spawn(behave(stream, String::from_utf8_lossy(&head).into_owned()));
        }
    });
    address
}

async fn serve_text(text: String) -> SocketAddr {
    let text = Arc::new(text);
    serve(move |mut stream, _| {
        let text = Arc::clone(&text);
        async move {
            // A client that has read enough hangs up.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn open_client() -> Client {
    Client::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()], &[])).unwrap()
}

fn get(url: String) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

const LONG: Duration = Duration::from_secs(20);

async fn call(client: &Client, address: SocketAddr) -> Answer {
    client.call(get(format!("http://{address}/")), LONG).await
}

fn response(answer: Answer) -> http::Response<Bytes> {
    match answer {
        Answer::Response(response) => response,
        Answer::Failed(failure) => panic!("no answer: {failure}"),
    }
}

fn failure(answer: Answer) -> CallFailure {
    match answer {
        Answer::Response(response) => panic!("answered {}", response.status()),
        Answer::Failed(failure) => failure,
    }
}

#[tokio::test]
async fn an_answer_arrives_whole_and_packed_bodies_stay_packed() {
    let address = serve_text(
        "HTTP/1.1 201 Created\r\ncontent-encoding: gzip\r\nx-note: kept\r\ncontent-length: 5\r\n\r\nhello".into(),
    )
    .await;
    let answer = response(call(&open_client(), address).await);
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["x-note"], "kept");
    assert_eq!(answer.body().as_ref(), b"hello");
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_with_the_clients_own_host_and_length() {
    let address = serve(|mut stream, head| async move {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let request = http::Request::post(format!("http://{address}/hook?x=1"))
        .header("host", "elsewhere.example")
        .header("content-length", "99")
        .header("x-mine", "1")
        .body(Bytes::from_static(b"abc"))
        .unwrap();
    let answer = response(open_client().call(request, LONG).await);
    let head = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}")), "{head}");
    // Not a bare number: the port may have it in it.
    assert!(head.contains("content-length: 3") && !head.contains("content-length: 99"), "{head}");
    assert!(head.contains("x-mine: 1") && head.contains("user-agent: Paidup/"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn a_huge_body_is_cut_and_huge_headers_are_refused() {
    let huge = serve_text(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_000_000))).await;
    assert_eq!(response(call(&open_client(), huge).await).body().len(), MAX_BODY);
    let bound = open_client().call_up_to(get(format!("http://{huge}/")), LONG, 100_000).await;
    assert_eq!(response(bound).body().len(), 100_000);

    let long = serve_text(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(MAX_HEADER_BYTES))).await;
    assert_eq!(failure(call(&open_client(), long).await), CallFailure::BadAnswer);
    let many: String = (0..MAX_HEADERS + 1).map(|n| format!("x{n}: 1\r\n")).collect();
    let many = serve_text(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await;
    assert_eq!(failure(call(&open_client(), many).await), CallFailure::BadAnswer);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let target = serve_text("HTTP/1.1 200 OK\r\n\r\nfollowed".into()).await;
    let address =
        serve_text(format!("HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n")).await;
    assert_eq!(response(call(&open_client(), address).await).status(), 302);
}

#[tokio::test]
async fn silence_ends_at_the_time_limit() {
    let silent = serve(|stream, _| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let url = format!("http://{silent}/");
    let answer = open_client().call(get(url), Duration::from_millis(50)).await;
    assert_eq!(failure(answer), CallFailure::TimedOut);

    let stops_midway = serve(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let answer = open_client().call(get(format!("http://{stops_midway}/")), Duration::from_millis(50)).await;
    assert_eq!(failure(answer), CallFailure::TimedOut);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let breaks = serve_text(String::new()).await;
    let nonsense = serve_text("SMTP says hello\r\n\r\n".into()).await;
    let short = serve_text("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".into()).await;
    let no_tls = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            // Held open: a connection that is reset would be another failure.
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                held.push(stream);
            }
        });
        address
    };
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let cases = [
        ("breaks off", format!("http://{breaks}/"), CallFailure::ConnectionLost),
        ("breaks off within the body", format!("http://{short}/"), CallFailure::ConnectionLost),
        ("nonsense", format!("http://{nonsense}/"), CallFailure::BadAnswer),
        ("nobody listens", format!("http://{closed}/"), CallFailure::NotConnected),
        ("no TLS there", format!("https://{no_tls}/"), CallFailure::TlsFailed),
        ("private literal", "http://10.0.0.1/".into(), CallFailure::AddressRefused),
        ("no such name", "http://name.invalid/".into(), CallFailure::NameNotFound),
    ];
    let client = open_client();
    for (name, url, expected) in cases {
        assert_eq!(failure(client.call(get(url), LONG).await), expected, "{name}");
    }
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses_unless_its_origin_is_an_exception() {
    let address = serve_text("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()).await;
    let url = format!("http://localhost:{}/", address.port());
    let parsed = Url::parse(&url).unwrap();

    let strict = Client::new(Guard::default()).unwrap();
    assert_eq!(failure(strict.call(get(url.clone()), LONG).await), CallFailure::AddressRefused);
    assert_eq!(strict.check(parsed.clone()).await, Err(CallFailure::AddressRefused));
    assert_eq!(strict.check(Url::parse("http://name.invalid/").unwrap()).await, Err(CallFailure::NameNotFound));

    assert_eq!(response(open_client().call(get(url.clone()), LONG).await).status(), 200);
    assert_eq!(open_client().check(parsed.clone()).await, Ok(()));

    let excepted = Client::new(Guard::new(Vec::new(), &[&url])).unwrap();
    assert_eq!(response(excepted.call(get(url.clone()), LONG).await).status(), 200);
    assert_eq!(excepted.check(parsed).await, Ok(()));
    let other = serve_text("HTTP/1.1 200 OK\r\n\r\n".into()).await;
    let other = format!("http://localhost:{}/", other.port());
    assert_eq!(failure(excepted.call(get(other), LONG).await), CallFailure::AddressRefused);
}

/// Sends `first`, then `again` without end.
async fn serve_for_ever(first: &'static str, again: &'static str) -> SocketAddr {
    serve(move |mut stream, _| async move {
        if stream.write_all(first.as_bytes()).await.is_err() {
            return;
        }
        let again = again.repeat(64 * 1024 / again.len());
        while stream.write_all(again.as_bytes()).await.is_ok() {}
    })
    .await
}

#[tokio::test]
async fn answers_without_end_are_cut_or_refused() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    // A body of gigabytes, packed so that it would be more: what was read is enough.
    let body = serve_for_ever("HTTP/1.1 500 Oops\r\ncontent-encoding: gzip\r\n\r\n", "\x1f\x08").await;
    let answer = response(call(&open_client(), body).await);
    assert_eq!((answer.status().as_u16(), answer.body().len()), (500, MAX_BODY));
    let chunks = serve_for_ever("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n").await;
    assert_eq!(response(call(&open_client(), chunks).await).body().len(), MAX_BODY);
    for (name, first, again) in [
        ("headers", OK, "x-more: and more\r\n"),
        ("one header", "HTTP/1.1 200 OK\r\nx: ", "x"),
        ("a status line", "HTTP/1.1 200 ", "O"),
        ("no line at all", "", "x"),
    ] {
        let address = serve_for_ever(first, again).await;
        let failure = failure(open_client().call(get(format!("http://{address}/")), LONG).await);
        assert!(matches!(failure, CallFailure::BadAnswer | CallFailure::ConnectionLost), "{name}: {failure:?}");
    }
    // Bytes that say nothing and end nothing: the time limit does.
    let zeros = serve_for_ever("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0").await;
    let answer = open_client().call(get(format!("http://{zeros}/")), Duration::from_millis(300)).await;
    assert_eq!(failure(answer), CallFailure::TimedOut);
}

#[tokio::test]
async fn answers_that_trickle_end_at_the_time_limit() {
    for (name, first) in [
        ("nothing yet", ""),
        ("within the headers", "HTTP/1.1 200 OK\r\nx: "),
        ("within the body", "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"),
    ] {
        let address = serve(move |mut stream, _| async move {
            if stream.write_all(first.as_bytes()).await.is_err() {
                return;
            }
            while stream.write_all(b"H").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let answer = open_client().call(get(format!("http://{address}/")), Duration::from_millis(300)).await;
        assert_eq!(failure(answer), CallFailure::TimedOut, "{name}");
    }
}

/// A resolver that answers what a test has laid ready, one after another; the last one again and again.
fn scripted(answers: &[&[&str]]) -> (LookUp, Arc<std::sync::atomic::AtomicUsize>) {
    let answers: Vec<Vec<SocketAddr>> = answers
        .iter()
        .map(|addresses| addresses.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect())
        .collect();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let names: LookUp = Arc::new(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answer = answers[number.min(answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    });
    (names, asked)
}

/// A name that was public when it was checked and leads inward when it is called.
#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_at_every_connection_and_connected_to_as_judged() {
    let address = serve_text("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()).await;
    let url = format!("http://changing.example:{}/", address.port());
    let parsed = Url::parse(&url).unwrap();
    let (names, _) = scripted(&[&["8.8.8.8"], &["127.0.0.1"]]);
    let client = Client::resolving(Guard::default(), names).unwrap();
    assert_eq!(client.check(parsed.clone()).await, Ok(()));
    assert_eq!(failure(client.call(get(url.clone()), LONG).await), CallFailure::AddressRefused);
    assert_eq!(client.check(parsed.clone()).await, Err(CallFailure::AddressRefused));

    // Of several addresses only those that may be reached are tried; what was judged is what is connected to.
    let loopback = Guard::new(vec!["127.0.0.1/32".parse().unwrap()], &[]);
    let (names, asked) = scripted(&[&["10.0.0.1", "127.0.0.1", "::1"], &["10.0.0.1"]]);
    let client = Client::resolving(loopback, names).unwrap();
    assert_eq!(response(client.call(get(url.clone()), LONG).await).status(), 200);
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1, "one look for one connection");
    assert_eq!(failure(client.call(get(url), LONG).await), CallFailure::AddressRefused, "and another for the next");
}
