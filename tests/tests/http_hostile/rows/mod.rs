//! Requests byte by byte: what each is answered, what a host sees of it, and what becomes of the
//! connection.

mod framing;
mod heads;
mod lines;
mod targets;

use serde_json::json;

use crate::Scene;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It takes the next request.
    Open,
    Closed,
}

/// One request, or several, as bytes.
#[derive(Clone, Debug)]
struct Row {
    send: Vec<u8>,
    /// The statuses of all answers.
    answers: Vec<u16>,
    /// What the host sees.
    seen: Vec<String>,
    /// The host sees all of that or nothing, and that maybe later.
    broken: bool,
    after: After,
}

impl Row {
    /// Passed on, as the host saw it.
    fn passes(send: impl AsRef<[u8]>, seen: &str) -> Self {
        Self {
            send: send.as_ref().to_vec(),
            answers: vec![200],
            seen: vec![seen.to_owned()],
            broken: false,
            after: After::Open,
        }
    }

    /// Answered with this status; the host sees nothing, and the connection is closed.
    fn refused(status: u16, send: impl AsRef<[u8]>) -> Self {
        Self {
            send: send.as_ref().to_vec(),
            answers: vec![status],
            seen: Vec::new(),
            broken: false,
            after: After::Closed,
        }
    }

    /// As [`Row::refused`], but the host may have seen the beginning of it.
    fn breaks(send: impl AsRef<[u8]>, seen: &str) -> Self {
        Self {
            seen: vec![format!("{seen} (broken off)")],
            broken: true,
            ..Self::refused(400, send)
        }
    }

    fn and(mut self, status: u16, seen: &str) -> Self {
        self.answers.push(status);
        if !seen.is_empty() {
            self.seen.push(seen.to_owned());
        }
        self
    }

    fn then(mut self, after: After) -> Self {
        self.after = after;
        self
    }
}

/// Goes through the rows, and tells all that are not as they should be.
#[track_caller]
fn go(scene: &Scene, rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let problem = play(scene, row);
        if let Some(problem) = problem {
            wrong.push(format!(
                "{}\n    {problem}",
                row.send[..row.send.len().min(200)].escape_ascii()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

fn play(scene: &Scene, row: &Row) -> Option<String> {
    let mut client = scene.client();
    client.send(&row.send);
    let head = row.send.starts_with(b"HEAD ");
    let mut answers = Vec::new();
    while answers.len() < row.answers.len()
        && let Some(answer) = client.answer(head)
    {
        // An invitation to go on is no answer.
        if answer.status != 100 {
            answers.push(answer);
        }
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    if statuses != row.answers {
        return Some(format!(
            "answered {statuses:?} instead of {:?}",
            row.answers
        ));
    }
    match row.after {
        After::Open => {
            let next = "GET /next HTTP/1.1\r\nhost: h\r\n\r\n";
            client.send(next.as_bytes());
            let next = client.answer(false).map(|answer| answer.status);
            if next != Some(200) {
                return Some(format!("the next request is answered with {next:?}"));
            }
        }
        After::Closed => {
            let rest = client.rest();
            if !rest.is_empty() {
                return Some(format!("more comes: {}", rest.escape_ascii()));
            }
            let told = answers.last().and_then(|last| last.field("connection"));
            if told.is_some_and(|told| told != "close") {
                return Some(format!("connection: {told:?} before it is closed"));
            }
            // Everything that was sent to the host before has reached it when this has.
            let mut other = scene.client();
            other.call("GET /next HTTP/1.1\r\nhost: h\r\n\r\n");
        }
    }
    // The end of a connection takes a moment to reach a host.
    let mut seen = Vec::new();
    for _ in 0..if row.broken { 15 } else { 100 } {
        seen.append(&mut scene.backend.take());
        seen.retain(|seen| seen != "GET /next ");
        if seen.len() >= row.seen.len() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let fine = seen == row.seen || (row.broken && seen.is_empty());
    (!fine).then(|| format!("the host saw {seen:?} instead of {:?}", row.seen))
}

#[test]
fn every_row_is_answered_as_it_should_be() {
    let scene = Scene::start(json!({}));
    let all = [
        lines::rows(),
        framing::rows(),
        heads::rows(),
        targets::rows(),
    ];
    go(&scene, &all.concat());
    assert_eq!(scene.gateway.stat("http.rpc.downstream_rq_active"), 0);
}
