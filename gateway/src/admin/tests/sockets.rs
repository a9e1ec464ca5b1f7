//! The endpoint on a socket, with peers of every kind.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    super::connections::{Limits, serve_within},
    *,
};

/// Nothing in here takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

struct Endpoint {
    address: std::net::SocketAddr,
    fixture: Fixture,
    task: JoinHandle<()>,
}

impl Endpoint {
    async fn start(limits: Limits) -> Self {
        let fixture = Fixture::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(serve_within(listener, Arc::clone(&fixture.server), limits));
        Self {
            address,
            fixture,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("the endpoint listens")
    }

    /// Sends octets and reads to the end of the connection.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request).await.expect("it is taken");
        read_all(&mut socket).await
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_all(socket: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut octets)).await;
    // A reset is an end as well.
    let _ = read.expect("the connection ends");
    String::from_utf8(octets).expect("UTF-8")
}

/// Reads one answer with a body of known length.
async fn read_answer(socket: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let done = |octets: &[u8]| {
        let text = std::str::from_utf8(octets).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        (body.len() >= length.parse().ok()?).then(|| text.to_owned())
    };
    for _ in 0..1000 {
        if let Some(text) = done(&octets) {
            return text;
        }
        let read = tokio::time::timeout(PATIENCE, socket.read_buf(&mut octets)).await;
        assert_ne!(
            read.expect("in time").expect("no error"),
            0,
            "it ended too early"
        );
    }
    panic!("an answer of so many pieces");
}

#[tokio::test]
async fn raw_expressions_are_understood() {
    let endpoint = Endpoint::start(Limits::DEFAULT).await;
    let answer = endpoint
        .exchange(
            b"GET /stats?usedonly&filter=^(cluster_manager\\.cds|listener_manager\\.lds)\\.\
              (update_success|update_rejected)$ HTTP/1.1\r\nHost: 127.0.0.1:15000\r\n\
              Connection: close\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.ends_with(
            "\r\n\r\ncluster_manager.cds.update_success: 1\n\
             listener_manager.lds.update_success: 1\n"
        ),
        "{answer}"
    );
    for header in [
        "content-type: text/plain; charset=UTF-8",
        "x-content-type-options: nosniff",
    ] {
        assert!(answer.lines().any(|line| line == header), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let endpoint = Endpoint::start(Limits::DEFAULT).await;
    let mut socket = endpoint.connect().await;
    for _ in 0..3 {
        socket
            .write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("it is taken");
        assert!(read_answer(&mut socket).await.ends_with("\r\n\r\nLIVE\n"));
    }
    socket
        .write_all(b"HEAD /ready HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("it is taken");
    socket.shutdown().await.expect("it is open");
    let answer = read_all(&mut socket).await;
    assert!(
        answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn pilot_agents_drain_is_understood() {
    let mut endpoint = Endpoint::start(Limits::DEFAULT).await;
    let answer = endpoint
        .exchange(
            b"POST /drain_listeners?graceful HTTP/1.1\r\nHost: localhost:15000\r\n\
              Content-Type: \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert!(answer.ends_with("\r\n\r\nOK\n"), "{answer}");
    assert_eq!(
        endpoint.fixture.orders.try_recv(),
        Ok(Order::Drain {
            exit: false,
            scope: DrainScope::All
        })
    );
}

#[tokio::test]
async fn bodies_are_not_read() {
    let endpoint = Endpoint::start(Limits::DEFAULT).await;
    let mut socket = endpoint.connect().await;
    let head = b"POST /ready HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n";
    socket.write_all(head).await.expect("it is taken");
    let answer = read_all(&mut socket).await;
    assert!(answer.ends_with("LIVE\n"), "{answer}");
}

#[tokio::test]
async fn long_heads_and_nonsense_are_refused() {
    let endpoint = Endpoint::start(Limits::DEFAULT).await;
    let long = format!(
        "GET /ready HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = endpoint.exchange(long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = endpoint.exchange(b"\xda\xbb\xc2\x00\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

fn short() -> Limits {
    Limits {
        connections: 2,
        head_time: Duration::from_millis(50),
        life: Duration::from_secs(60),
        end: Duration::from_millis(50),
    }
}

#[tokio::test]
async fn slow_and_silent_peers_are_let_go() {
    let endpoint = Endpoint::start(short()).await;
    let (mut slow, mut silent) = (endpoint.connect().await, endpoint.connect().await);
    slow.write_all(b"GET /ready HT").await.expect("it is taken");
    // Both hold all places that there are; a third is served when they are gone.
    let answer = endpoint
        .exchange(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.ends_with("LIVE\n"), "{answer}");
    assert!(!read_all(&mut slow).await.contains("LIVE"));
    assert_eq!(read_all(&mut silent).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_let_go_after_its_answer() {
    let endpoint = Endpoint::start(short()).await;
    let mut socket = endpoint.connect().await;
    socket
        .write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("it is taken");
    let answer = read_all(&mut socket).await;
    assert!(answer.ends_with("LIVE\n"), "{answer}");
}

#[tokio::test]
async fn a_peer_that_never_reads_is_let_go() {
    let life = Duration::from_millis(50);
    let endpoint = Endpoint::start(Limits {
        connections: 1,
        life,
        ..short()
    })
    .await;
    // A name of such length makes an answer that is longer than what sockets buffer.
    let label = "x".repeat(1024 * 1024);
    let registry = &endpoint.fixture.server.registry;
    registry.group::<ClusterMetric>("cluster", &label);
    let mut deaf = endpoint.connect().await;
    deaf.write_all(b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("it is taken");
    let answer = endpoint
        .exchange(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.ends_with("LIVE\n"), "{answer}");
}
