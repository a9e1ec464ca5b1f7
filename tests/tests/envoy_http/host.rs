//! Hosts that speak both versions, write down what they got and answer as the request wants.
//!
//! The header `x-want` has words divided by `;`:
//!
//! | word | what the host does |
//! |---|---|
//! | `status=404` | answers with this status |
//! | `header=name:value` | adds a header to its answer |
//! | `body=text` | answers with this body |
//! | `trailer=name:value` | ends its answer with this trailer |
//! | `early=103` | sends this interim answer first |
//! | `reset` | breaks off without an answer |
//! | `cut` | breaks off within the body of its answer |
//! | `silent` | never answers |
//! | `for=2` | all of this holds for the first two attempts at the request; later ones are answered plainly |
//! | `at=p0` | all of this holds at the host of that name; others answer plainly |

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    ask::{Field, Seen, find},
    client::fields,
    wire::Reader,
};

/// Which header names a request, whatever else is changed of it.
pub(crate) const CASE: &str = "x-case";

/// Between the beginning of an answer and the end of its stream.
const PAUSE: Duration = Duration::from_millis(30);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What all hosts got, by the case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<Mutex<HashMap<String, Vec<Seen>>>>);

impl Book {
    fn note(&self, seen: Seen) {
        let case = find(&seen.headers, CASE).unwrap_or_default().to_owned();
        self.0
            .lock()
            .expect("nobody panics with it")
            .entry(case)
            .or_default()
            .push(seen);
    }

    /// How often a case was got.
    fn count(&self, case: &str) -> usize {
        let book = self.0.lock().expect("nobody panics with it");
        book.get(case).map_or(0, Vec::len)
    }

    /// What was got of a case.
    pub(crate) fn take(&self, case: &str) -> Vec<Seen> {
        let mut book = self.0.lock().expect("nobody panics with it");
        book.remove(case).unwrap_or_default()
    }
}

/// Starts a host; it ends with the runtime.
pub(crate) async fn start(name: &str, book: &Book) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let (name, book) = (name.to_owned(), book.clone());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (name, book) = (name.clone(), book.clone());
            tokio::spawn(async move {
                // A proxy may break off as it likes.
                let _ = serve(socket, name, book).await;
            });
        }
    });
    address
}

async fn serve(socket: TcpStream, name: String, book: Book) -> io::Result<()> {
    let (from, to) = socket.into_split();
    let mut reader = Reader::new(from);
    if reader.begins_with(PREFACE).await? {
        let (read, from) = reader.into_parts();
        let socket = tokio::io::join(io::Cursor::new(read).chain(from), to);
        two(socket, name, book).await
    } else {
        one(reader, to, name, book).await
    }
}

/// What a request wants.
#[derive(Debug, Default)]
struct Want {
    status: u16,
    early: Option<u16>,
    headers: Vec<Field>,
    trailers: Vec<Field>,
    body: String,
    end: End,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Whole,
    Reset,
    Cut,
    Silent,
}

impl Want {
    /// What an answer is like that nothing is wanted of.
    fn plain(seen: &Seen) -> Self {
        Self {
            status: 200,
            headers: vec![
                ("x-host".into(), seen.host.clone()),
                ("content-type".into(), "text/plain".into()),
            ],
            body: format!("from {}", seen.host),
            ..Self::default()
        }
    }

    /// What attempt number `attempt` at a request wants, from 0 on.
    fn of(seen: &Seen, attempt: usize) -> Self {
        let mut want = Self::plain(seen);
        let pair = |text: &str| {
            let (name, value) = text.split_once(':').expect("name:value");
            (name.to_owned(), value.to_owned())
        };
        let words = find(&seen.headers, "x-want").unwrap_or_default();
        for word in words.split(';').filter(|word| !word.is_empty()) {
            let (what, value) = word.split_once('=').unwrap_or((word, ""));
            match what {
                "status" => want.status = value.parse().expect("a status"),
                "early" => want.early = value.parse().ok(),
                "header" => want.headers.push(pair(value)),
                "trailer" => want.trailers.push(pair(value)),
                "body" => want.body = value.to_owned(),
                "reset" => want.end = End::Reset,
                "cut" => want.end = End::Cut,
                "silent" => want.end = End::Silent,
                "for" if attempt < value.parse().expect("a number") => {}
                "at" if value == seen.host => {}
                "for" | "at" => return Self::plain(seen),
                other => panic!("no host can do '{other}'"),
            }
        }
        if matches!(want.status, 204 | 304) {
            want.body.clear();
        }
        want
    }
}

async fn one(
    mut reader: Reader<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    name: String,
    book: Book,
) -> io::Result<()> {
    while let Some(head) = reader.head().await? {
        let (body, _, _) = reader.body(&head, false).await?;
        let mut line = head.line.split(' ').map(str::to_owned);
        let mut word = || line.next().unwrap_or_default();
        let seen = Seen {
            host: name.clone(),
            method: word(),
            path: word(),
            protocol: word(),
            authority: find(&head.headers, "host").unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
        };
        let want = Want::of(
            &seen,
            book.count(find(&seen.headers, CASE).unwrap_or_default()),
        );
        let head_only = seen.method == "HEAD";
        book.note(seen);
        match want.end {
            End::Reset => return Ok(()),
            End::Silent => std::future::pending().await,
            End::Whole | End::Cut => {}
        }
        if let Some(early) = want.early {
            let line = format!("HTTP/1.1 {early} Early\r\nlink: </a>\r\n\r\n");
            to.write_all(line.as_bytes()).await?;
        }
        let mut text = format!("HTTP/1.1 {} Status\r\n", want.status);
        for (name, value) in &want.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let more = if want.end == End::Cut { 10 } else { 0 };
        if !matches!(want.status, 204 | 304) {
            let length = want.body.len() + more;
            text.push_str(&format!("content-length: {length}\r\n"));
        }
        text.push_str("\r\n");
        if !head_only {
            text.push_str(&want.body);
        }
        to.write_all(text.as_bytes()).await?;
        if want.end == End::Cut {
            return Ok(());
        }
    }
    Ok(())
}

async fn two(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    name: String,
    book: Book,
) -> io::Result<()> {
    let mut served = h2::server::handshake(socket)
        .await
        .map_err(io::Error::other)?;
    while let Some(Ok((request, respond))) = served.accept().await {
        let (name, book) = (name.clone(), book.clone());
        tokio::spawn(stream(request, respond, name, book));
    }
    Ok(())
}

async fn stream(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    name: String,
    book: Book,
) {
    let (head, mut body) = request.into_parts();
    let mut text = String::new();
    while let Some(Ok(data)) = body.data().await {
        text.push_str(&String::from_utf8_lossy(&data));
        let _ = body.flow_control().release_capacity(data.len());
    }
    let seen = Seen {
        host: name,
        protocol: "HTTP/2".into(),
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        authority: head
            .uri
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers: fields(&head.headers),
        body: text,
    };
    let want = Want::of(
        &seen,
        book.count(find(&seen.headers, CASE).unwrap_or_default()),
    );
    let head_only = seen.method == "HEAD";
    book.note(seen);
    match want.end {
        End::Reset => return respond.send_reset(h2::Reason::INTERNAL_ERROR),
        End::Silent => std::future::pending().await,
        End::Whole | End::Cut => {}
    }
    let mut response = Response::builder().status(want.status);
    for (name, value) in &want.headers {
        response = response.header(name, value);
    }
    let response = response.body(()).expect("a response");
    let empty = want.body.is_empty() || head_only;
    let over = empty && want.trailers.is_empty();
    let Ok(mut stream) = respond.send_response(response, over) else {
        return;
    };
    if over {
        return;
    }
    // The proxy may have given up.
    let _ = stream.send_data(
        Bytes::from(want.body),
        want.trailers.is_empty() && want.end == End::Whole,
    );
    if want.end == End::Cut {
        // Or else the proxy learns of both at once, and whether it passes anything on is chance.
        tokio::time::sleep(PAUSE).await;
        return stream.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let trailers: HeaderMap = want
        .trailers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    if !trailers.is_empty() {
        let _ = stream.send_trailers(trailers);
    }
}
