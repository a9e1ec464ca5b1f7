//! What stands between percent signs: a question about an ended call, and its answer.

mod names;

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use crossdock_framework::{
    flags::Flags,
    log::Record,
    protocol::{PeerCertificate, Tls},
    view::Key,
};
use crossdock_routers::{
    format::{self, cut},
    query_parameter,
};
use crossdock_xds::envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;

use super::{Connection, outcome, time::TimeFormat};
use crate::tcp::Outcome;

/// The most octets of one value; attachments may be as long as a frame.
pub(super) const MAX_VALUE: usize = 8192;

/// A question about a call.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    what: What,
    max_len: usize,
}

#[derive(Clone, Debug)]
enum What {
    /// Known when the format is compiled: the environment, the name of the machine.
    Fixed(Option<Box<str>>),
    Header(Source, Header),
    Time(Instant, TimeFormat),
    Number(fn(Line<'_>) -> Option<u64>),
    Text(for<'r> fn(Line<'r>) -> Option<&'r str>),
    Made(fn(Line<'_>) -> Option<String>),
    Details,
    Reply,
    /// The path, with its query or without: before rewrites, after them, or the earlier one.
    Path {
        query: bool,
        original: Original,
    },
    Query(Box<str>),
    /// The time between two moments of a call, in so many parts of a second.
    Between(Point, Point, u64),
    VirtualCluster,
    List(for<'r> fn(Line<'r>) -> Option<&'r [Box<str>]>),
    Flags {
        long: bool,
    },
    Address(fn(Line<'_>) -> Option<SocketAddr>),
    Ip(fn(Line<'_>) -> Option<IpAddr>),
    GrpcStatus {
        number: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Request,
    RequestWithoutQuery,
    Response,
    Trailers,
}

/// A header, and the one to take when it is missing.
#[derive(Clone, Debug)]
struct Header {
    name: Name,
    alternative: Option<Name>,
    /// It is the one that Envoy adds to every response.
    service_time: bool,
}

/// The name of a header in lower case, and the word that it stands for.
#[derive(Clone, Debug)]
struct Name {
    text: Box<str>,
    word: Word,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Authority,
    Path,
    HttpMethod,
    Scheme,
    Header,
}

impl Name {
    fn new(text: Box<str>) -> Self {
        let word = match Key::from_header_name(&text) {
            Key::Authority => Word::Authority,
            Key::Path => Word::Path,
            Key::HttpMethod => Word::HttpMethod,
            Key::Scheme => Word::Scheme,
            Key::Header(_) => Word::Header,
        };
        Self { text, word }
    }

    fn key(&self) -> Key<'_> {
        match self.word {
            Word::Authority => Key::Authority,
            Word::Path => Key::Path,
            Word::HttpMethod => Key::HttpMethod,
            Word::Scheme => Key::Scheme,
            Word::Header => Key::Header(&self.text),
        }
    }
}

/// Which path is meant where rules have rewritten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Original {
    Only,
    Never,
    IfThere,
}

/// A moment of a call (`%COMMON_DURATION%`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The first byte of the request, and its last one: the clock starts when it is complete.
    Request,
    /// The request is given to a connection to the host.
    Sent,
    /// The head of the answer is there.
    Answer,
    /// The last byte of the answer has left.
    End,
}

impl Point {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "DS_RX_BEG" | "DS_RX_END" => Self::Request,
            "US_TX_BEG" | "US_TX_END" => Self::Sent,
            "US_RX_BEG" | "DS_TX_BEG" => Self::Answer,
            "US_RX_END" | "DS_TX_END" => Self::End,
            _ => return None,
        })
    }

    /// The time from the beginning of the call.
    fn at(self, record: &Record<'_>) -> Option<Duration> {
        match self {
            Self::Request => Some(Duration::ZERO),
            Self::Sent => record.sent_after,
            Self::Answer => answered_after(record),
            Self::End => Some(record.duration),
        }
    }
}

/// The time from the beginning of a call to the head of the host's answer.
fn answered_after(record: &Record<'_>) -> Option<Duration> {
    record.response?;
    Some((record.sent_after? + record.upstream?).min(record.duration))
}

#[derive(Clone, Copy, Debug)]
enum Instant {
    /// When the request was complete.
    Start,
    /// Now.
    Emit,
}

/// The answer to an [`Operator`].
pub(super) enum Value<'r> {
    /// There is none.
    Missing,
    Number(u64),
    /// A number that is a text by its kind, as the value of a header.
    Digits(u64),
    Text(Cow<'r, str>),
    /// A text that stands in text formats as it is, whatever is in it.
    Verbatim(&'r str),
    /// By their long or short names, each after the first with a comma before it.
    Flags(Flags, bool),
    Address(SocketAddr),
    Ip(IpAddr),
    Time(&'r TimeFormat, SystemTime),
}

/// An ended call or a connection, and when its line is written.
#[derive(Clone, Copy)]
pub(super) struct Line<'r> {
    pub(super) record: &'r Record<'r>,
    /// The connection that `record` stands for; `None` for a call.
    pub(super) connection: Option<&'r Connection<'r>>,
    /// The text of the answer that is being made; `None` for a line of a log.
    pub(super) reply: Option<&'r str>,
    pub(super) now: SystemTime,
}

impl<'r> Line<'r> {
    /// Which moment of its life the line is about.
    pub(super) fn moment(self) -> AccessLogType {
        self.connection
            .map_or(AccessLogType::DownstreamEnd, |connection| connection.kind)
    }

    /// What has become of the connection that the line is about.
    fn outcome(self) -> Option<&'r Outcome> {
        self.connection.map(|connection| connection.outcome)
    }

    /// Where the call is from, by what is trusted to know.
    fn source(self) -> SocketAddr {
        self.record.facts.source.unwrap_or(self.record.ends.peer)
    }

    fn tls(self) -> Option<&'r Tls> {
        self.record.facts.tls.as_deref()
    }

    fn peer(self) -> Option<&'r PeerCertificate> {
        self.tls()?.peer.as_ref()
    }

    /// A time that only a call has.
    fn of_call(self, time: Option<Duration>) -> Option<u64> {
        time.filter(|_| self.connection.is_none()).map(millis)
    }
}

impl Operator {
    /// The operator of this name.
    ///
    /// # Errors
    ///
    /// The reason and the cure.
    pub(super) fn compile(operator: &format::Operator) -> Result<Self, (String, String)> {
        let name = operator.name.as_ref();
        let what = names::meaning(name, operator.args.as_deref())?;
        let max_len = operator.max_len.unwrap_or(MAX_VALUE).min(MAX_VALUE);
        Ok(Self { what, max_len })
    }

    /// The answer for one call.
    pub(super) fn value<'r>(&'r self, line: Line<'r>) -> Value<'r> {
        let record = line.record;
        match &self.what {
            What::Fixed(value) => self.text(value.as_deref().map(Cow::Borrowed)),
            // A framed answer has a header of that name from no gateway, and need not be searched.
            What::Header(Source::Response, header) if header.tells_own(record) => {
                header.own(record)
            }
            What::Header(source, header) => match header.find(*source, record) {
                None if *source == Source::Response => header.own(record),
                found => self.text(found),
            },
            What::Time(Instant::Start, format) => Value::Time(format, line.now - record.duration),
            What::Time(Instant::Emit, format) => Value::Time(format, line.now),
            What::Number(number) => number(line).map_or(Value::Missing, Value::Number),
            What::Text(text) => self.text(text(line).map(Cow::Borrowed)),
            What::Made(made) => self.text(made(line).map(Cow::Owned)),
            What::Path { query, original } => self.text(path(record, *query, *original)),
            What::Query(name) => {
                let path = record.request.get(Key::Path);
                let value = path.as_deref().and_then(|path| query_parameter(path, name));
                self.text(value.map(|value| Cow::Owned(value.to_owned())))
            }
            What::Between(from, to, parts) => {
                let times = from.at(record).zip(to.at(record));
                let time = times.and_then(|(from, to)| to.checked_sub(from));
                let parts_of = |time: Duration| time.as_nanos() / u128::from(1_000_000_000 / parts);
                let time = time.filter(|_| line.connection.is_none());
                let number = time.and_then(|time| u64::try_from(parts_of(time)).ok());
                number.map_or(Value::Missing, Value::Number)
            }
            What::VirtualCluster => {
                let name = record
                    .table
                    .and_then(|(table, route)| table.virtual_cluster(route, record.request));
                self.text(name.map(Cow::Borrowed))
            }
            What::Reply => line.reply.map_or(Value::Missing, Value::Verbatim),
            What::Details => self.text(outcome::details(record)),
            What::List(list) => {
                let list = list(line).filter(|list| !list.is_empty());
                self.text(list.map(|list| list.join(",").into()))
            }
            What::Flags { long } => Value::Flags(record.flags, *long),
            What::Address(address) => address(line).map_or(Value::Missing, Value::Address),
            What::Ip(ip) => ip(line).map_or(Value::Missing, Value::Ip),
            What::GrpcStatus { number } => {
                let status = outcome::grpc_status(record);
                self.text(status.map(|status| match number {
                    true => status,
                    false => outcome::grpc_name(&status).map_or(status, Cow::Borrowed),
                }))
            }
        }
    }

    fn text<'r>(&self, text: Option<Cow<'r, str>>) -> Value<'r> {
        match text {
            None => Value::Missing,
            Some(Cow::Borrowed(text)) => Value::Text(Cow::Borrowed(cut(text, Some(self.max_len)))),
            Some(Cow::Owned(mut text)) => {
                text.truncate(cut(&text, Some(self.max_len)).len());
                Value::Text(Cow::Owned(text))
            }
        }
    }
}

impl Header {
    fn find<'r>(&self, source: Source, record: &'r Record<'_>) -> Option<Cow<'r, str>> {
        let view = match source {
            Source::Response | Source::Trailers => record.response?,
            Source::Request | Source::RequestWithoutQuery => record.request,
        };
        let get = |name: &Name| match source {
            Source::Trailers => view.trailer(&name.text),
            _ => view.get(name.key()),
        };
        let found = get(&self.name).or_else(|| get(self.alternative.as_ref()?));
        match source {
            Source::RequestWithoutQuery => found.map(without_query),
            Source::Request | Source::Response | Source::Trailers => found,
        }
    }

    /// Whether what is asked for is told by the gateway alone.
    fn tells_own(&self, record: &Record<'_>) -> bool {
        self.service_time
            && record.upstream.is_some()
            && !record.request.protocol().starts_with("HTTP")
    }

    /// What Envoy adds to every response as a header; a framed response carries no such header,
    /// but formats ask for it.
    fn own(&self, record: &Record<'_>) -> Value<'static> {
        let time = record.upstream.filter(|_| self.service_time);
        time.map_or(Value::Missing, |time| Value::Digits(millis(time)))
    }
}

fn path<'r>(record: &'r Record<'_>, query: bool, original: Original) -> Option<Cow<'r, str>> {
    const NAME: &str = "x-envoy-original-path";
    let former = || record.request.get(Key::Header(NAME));
    let path = match original {
        Original::Only => former(),
        Original::Never => record.request.get(Key::Path),
        Original::IfThere => former().or_else(|| record.request.get(Key::Path)),
    };
    match query {
        true => path,
        false => path.map(without_query),
    }
}

fn without_query(path: Cow<'_, str>) -> Cow<'_, str> {
    let end = path.find('?').unwrap_or(path.len());
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(&path[..end]),
        Cow::Owned(mut path) => {
            path.truncate(end);
            Cow::Owned(path)
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
