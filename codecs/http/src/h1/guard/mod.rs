//! A second reading of every HTTP/1 connection, of its bytes before hyper has them, that refuses
//! what two parsers could read differently (RFC 9112 sections 2.2, 5, 6.3, 7.1 and 11.2).
//!
//! hyper frames messages; the guard only follows that framing and says no. Lines are judged when
//! they are complete: a head, a chunk's size line and trailers are held back until then, and nothing
//! of a refused head is passed on. Bytes of bodies are not looked at.

mod fields;
mod start;
#[cfg(test)]
mod tests;
mod wire;

use std::{cell::Cell, rc::Rc};

use fields::Fields;
use memchr::memchr;
pub(crate) use wire::{Guarded, Notes};

/// The longest line with the size of a chunk, extensions included.
const SIZE_LINE: usize = 4 * 1024;

/// Bytes of chunk extensions in one message.
const EXTENSIONS: usize = 16 * 1024;

/// Bytes of trailers.
const TRAILERS: usize = 16 * 1024;

/// Bytes of a head beside names, values and target: what separates them.
const SEPARATORS: usize = 2 * 1024;

/// Empty lines before a request (RFC 9112 section 2.2 wants one to be ignored).
const EMPTY_LINES: u32 = 4;

/// Interim answers before the final one.
const INTERIM: u32 = 16;

/// Why a connection goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What a client is answered.
    pub(crate) status: u16,
    /// What is wrong.
    pub(crate) why: &'static str,
    /// Whether the head had been passed on: the message breaks off within its body.
    pub(crate) within: bool,
}

impl Refusal {
    /// The reason as access logs have it, in Envoy's words where it has one of its own.
    pub(crate) fn name(self) -> &'static str {
        match (self.status, self.why) {
            (431, TOO_MANY_FIELDS) => "http1.too_many_headers",
            (431, _) => "http1.headers_too_large",
            (501, _) => "http1.invalid_transfer_encoding",
            (_, TWO_LENGTHS) => "http1.content_length_and_chunked_not_allowed",
            _ => "http1.codec_error",
        }
    }

    fn of(status: u16, why: &'static str) -> Self {
        Self {
            status,
            why,
            within: false,
        }
    }
}

const TOO_MANY_FIELDS: &str = "too many fields";
const TWO_LENGTHS: &str = "both Content-Length and Transfer-Encoding";

/// 400 Bad Request.
fn bad<T>(why: &'static str) -> Result<T, Refusal> {
    Err(Refusal::of(400, why))
}

/// What the next answer of a host belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nothing was asked: every byte is one too many.
    #[default]
    Nothing,
    /// A request whose answer has a body.
    Answer,
    /// HEAD.
    Head,
    /// An upgrade, which may turn the connection into something else.
    Upgrade,
    /// CONNECT, likewise.
    Tunnel,
}

/// The largest head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Fields.
    pub(crate) fields: u32,
    /// Bytes of names, values and the target.
    pub(crate) bytes: u32,
}

impl Limits {
    /// The bytes that a head may have on the wire.
    pub(crate) fn longest(self) -> usize {
        self.bytes as usize + SEPARATORS
    }
}

#[derive(Debug)]
enum Side {
    Requests,
    Answers(Rc<Cell<Awaited>>),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// A body, or a chunk, of so many more bytes.
    Length(u64),
    Size,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Nothing, until what was asked for is decided: an upgrade.
    Pause,
    /// Anything until the end of the connection.
    Open,
}

/// Follows one direction of a connection.
#[derive(Debug)]
pub(crate) struct Guard {
    side: Side,
    limits: Limits,
    state: State,
    /// Where in what is held the first incomplete line begins, and how far that has been searched.
    line: usize,
    searched: usize,
    empty_lines: u32,
    interim: u32,
    extensions: usize,
    fields: Fields,
    refusal: Option<Refusal>,
}

impl Guard {
    /// For what a client sends.
    pub(crate) fn of_requests(limits: Limits) -> Self {
        Self::new(Side::Requests, limits)
    }

    /// For what a host sends.
    pub(crate) fn of_answers(limits: Limits, awaited: &Rc<Cell<Awaited>>) -> Self {
        Self::new(Side::Answers(Rc::clone(awaited)), limits)
    }

    fn new(side: Side, limits: Limits) -> Self {
        Self {
            side,
            limits,
            state: State::Head,
            line: 0,
            searched: 0,
            empty_lines: 0,
            interim: 0,
            extensions: 0,
            fields: Fields::default(),
            refusal: None,
        }
    }

    /// Why nothing more is passed.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What was asked for has been declined: the next message follows. `false` if nothing was.
    pub(crate) fn resume(&mut self) -> bool {
        let paused = self.state == State::Pause;
        if paused {
            self.state = State::Head;
        }
        paused
    }

    /// How many of these bytes may be passed on. The others are to be shown again, with what comes
    /// after them; after a refusal they are of no use.
    pub(crate) fn judge(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while self.refusal.is_none()
            && let Some(rest) = bytes.get(passed..)
            && !rest.is_empty()
        {
            let taken = match self.state {
                State::Open => rest.len(),
                State::Pause => return passed,
                State::Length(left) => {
                    let taken = self.take(rest, left, State::Length);
                    if self.state == State::Length(0) {
                        self.end_message();
                    }
                    taken
                }
                State::Chunk(left) => {
                    let taken = self.take(rest, left, State::Chunk);
                    if self.state == State::Chunk(0) {
                        self.state = State::ChunkEnd;
                    }
                    taken
                }
                State::Head | State::Size | State::ChunkEnd | State::Trailers => {
                    let lines = self.judge_lines(rest);
                    lines.unwrap_or_else(|refusal| {
                        self.refusal = Some(Refusal {
                            within: self.state != State::Head,
                            ..refusal
                        });
                        0
                    })
                }
            };
            passed += taken;
            if taken == 0 {
                break;
            }
        }
        passed
    }

    fn take(&mut self, rest: &[u8], left: u64, state: fn(u64) -> State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        self.state = state(left - taken as u64);
        taken
    }

    /// Judges lines until something may be passed on; 0 if more has to come first.
    fn judge_lines(&mut self, held: &[u8]) -> Result<usize, Refusal> {
        if let Side::Answers(awaited) = &self.side
            && self.state == State::Head
            && awaited.get() == Awaited::Nothing
        {
            return bad("bytes that belong to no request");
        }
        while let Some(at) = memchr(b'\n', held.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + at;
            let line = held.get(self.line..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return bad("a line ends with LF alone");
            };
            self.line = end + 1;
            self.searched = self.line;
            if self.judge_line(line)? {
                self.line = 0;
                self.searched = 0;
                return Ok(end + 1);
            }
        }
        self.searched = held.len();
        self.judge_length(held)?;
        Ok(0)
    }

    /// Whether what is incomplete may still grow.
    fn judge_length(&self, held: &[u8]) -> Result<(), Refusal> {
        let (most, status, why) = match self.state {
            State::Head => (self.limits.longest(), 431, "the head is too long"),
            State::Size => (SIZE_LINE, 400, "a chunk extension is too long"),
            State::ChunkEnd => {
                // Not to wait for the end of a line that never comes.
                if !b"\r\n".starts_with(held) {
                    return bad("a chunk does not end where its size says");
                }
                return Ok(());
            }
            _ => (TRAILERS, 400, "the trailers are too long"),
        };
        match held.len() > most {
            true => Err(Refusal::of(status, why)),
            false => Ok(()),
        }
    }

    /// Judges one line; `true` if everything up to its end may be passed on.
    fn judge_line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        match self.state {
            State::Head => return self.judge_head_line(line),
            State::Size => self.begin_chunk(line)?,
            State::ChunkEnd => {
                if !line.is_empty() {
                    return bad("a chunk does not end where its size says");
                }
                self.state = State::Size;
            }
            _ => {
                if !line.is_empty() {
                    let limits = Limits {
                        bytes: TRAILERS as u32,
                        ..self.limits
                    };
                    self.fields.judge_trailer(line, limits)?;
                    return Ok(false);
                }
                self.end_message();
            }
        }
        Ok(true)
    }

    fn judge_head_line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        if self.fields.began {
            if !line.is_empty() {
                self.fields.judge(line, self.limits)?;
                return Ok(false);
            }
            self.end_head()?;
            return Ok(true);
        }
        if line.is_empty() && matches!(self.side, Side::Requests) {
            self.empty_lines += 1;
            if self.empty_lines > EMPTY_LINES {
                return bad("too many empty lines before a request");
            }
            return Ok(true);
        }
        match self.side {
            Side::Requests => start::request(line, &mut self.fields)?,
            Side::Answers(_) => start::answer(line, &mut self.fields)?,
        }
        self.fields.judge_size(self.limits)?;
        Ok(false)
    }

    /// The empty line after a head: what follows it.
    fn end_head(&mut self) -> Result<(), Refusal> {
        let fields = std::mem::take(&mut self.fields);
        fields.judge_framing()?;
        self.empty_lines = 0;
        self.extensions = 0;
        let body = match &self.side {
            Side::Requests => {
                self.fields.switches = fields.switches;
                self.state = fields.body().unwrap_or(State::Length(0));
                None
            }
            Side::Answers(awaited) => Some(after_answer(&fields, awaited.get())?),
        };
        match body {
            Some(None) => {
                self.interim += 1;
                if self.interim > INTERIM {
                    return bad("too many interim answers");
                }
                self.state = State::Head;
                return Ok(());
            }
            Some(Some(state)) => self.state = state,
            None => {}
        }
        if self.state == State::Length(0) {
            self.end_message();
        }
        Ok(())
    }

    fn end_message(&mut self) {
        let switches = std::mem::take(&mut self.fields).switches;
        self.interim = 0;
        self.state = match switches {
            true => State::Pause,
            false => State::Head,
        };
        if let Side::Answers(awaited) = &self.side {
            awaited.set(Awaited::Nothing);
        }
    }

    fn begin_chunk(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let digits = digits.count();
        let (digits, extension) = line.split_at_checked(digits).unwrap_or((line, b""));
        if digits.is_empty() || digits.len() > 16 {
            return bad("the size of a chunk is not a number");
        }
        if !matches!(extension.first(), None | Some(b';')) {
            return bad("the size of a chunk is followed by something else");
        }
        if fields::has_control(extension) {
            return bad("a chunk extension has control characters");
        }
        self.extensions += extension.len();
        if line.len() > SIZE_LINE || self.extensions > EXTENSIONS {
            return bad("a chunk extension is too long");
        }
        let size = digits.iter().fold(0_u64, |size, digit| {
            size << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or_default())
        });
        self.state = match size {
            0 => State::Trailers,
            size => State::Chunk(size),
        };
        Ok(())
    }
}

/// What follows the head of an answer; nothing where another head does.
fn after_answer(fields: &Fields, awaited: Awaited) -> Result<Option<State>, Refusal> {
    match fields.status {
        101 if awaited == Awaited::Upgrade => return Ok(Some(State::Open)),
        101 => return bad("it switches protocols, which nobody asked for"),
        100..200 if fields.body().is_some() => return bad("an interim answer with a body"),
        100..200 => return Ok(None),
        200..300 if awaited == Awaited::Tunnel => return Ok(Some(State::Open)),
        204 | 304 => return Ok(Some(State::Length(0))),
        _ if awaited == Awaited::Head => return Ok(Some(State::Length(0))),
        _ => {}
    }
    Ok(Some(fields.body().unwrap_or(State::Open)))
}
