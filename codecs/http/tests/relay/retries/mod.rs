//! Retries of streamed calls.

mod asked;
mod bodies;
mod times;
mod words;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::{ClusterMetric, RetryLimit},
    retry::{BackOff, RetryOn, RetryPolicy},
    route::AttemptCount,
    worker::spawn,
};
use http::Request;
use tokio::time::sleep;

use crate::{
    peer::{H2Answer, H2Client, Host, Message, Peer, fields, reply},
    rig::{QUIET, Rig, Setup, eventually, run},
};

const GET: &str = "GET /x HTTP/1.1\r\nhost: h\r\n\r\n";

/// A policy of these words, without a pause.
fn policy(words: &[&str], retries: u8) -> RetryPolicy {
    let words = words.iter().map(|word| RetryOn::word(word).expect(word));
    RetryPolicy {
        on: words.fold(RetryOn::NEVER, |all, word| all | word),
        retries,
        back_off: BackOff::new(Duration::ZERO, None),
        ..RetryPolicy::default()
    }
}

fn retrying(host: &Host, words: &[&str], retries: u8) -> Setup {
    let mut setup = Setup::to(host);
    setup.way.retry = Some(Arc::new(policy(words, retries)));
    setup
}

/// What a host does with a request.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Answers with this status and these further fields.
    Says(u16, &'static str),
    /// Closes the connection.
    Closes,
    /// Answers with what is no HTTP.
    Babbles,
    /// Begins an answer and closes the connection.
    Breaks,
}

/// Lets a host do these things, one with each request, and afterwards the last again and again.
/// Gives the requests that it has got.
fn play(host: Host, script: &[Does]) -> Rc<RefCell<Vec<Message>>> {
    let got = Rc::new(RefCell::new(Vec::new()));
    let (seen, script) = (Rc::clone(&got), script.to_vec());
    spawn(async move {
        loop {
            let up = host.accept().await;
            let (seen, script) = (Rc::clone(&seen), script.clone());
            spawn(act(up, seen, script));
        }
    });
    got
}

async fn act(mut up: Peer, seen: Rc<RefCell<Vec<Message>>>, script: Vec<Does>) {
    while let Some(request) = up.next_message().await {
        let at = seen.borrow().len().min(script.len() - 1);
        seen.borrow_mut().push(request);
        match script[at] {
            Does::Says(status, more) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 3\r\n{more}\r\nans");
                up.send(head).await;
            }
            Does::Closes => return,
            Does::Babbles => up.send("what?\r\n\r\n").await,
            Does::Breaks => {
                up.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
                    .await;
                return;
            }
        }
    }
}
