//! The form of a line: text with values in it, or a JSON object.

use std::{collections::BTreeMap, io::Write as _};

use crossdock_routers::format::{self, Token};
use crossdock_xds::envoy_types::pb::google::protobuf::{Struct, Value as Json, value::Kind};

use super::{
    Problems, digits,
    operator::{Line, Operator, Value},
};

/// The most operators and texts of one format.
const MAX_PIECES: usize = 512;

/// The most objects and lists within each other in a JSON format.
const MAX_DEPTH: usize = 16;

/// What Envoy writes when a file access log names no format.
const DEFAULT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" "#,
    r#"%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    "\n",
);

/// A format, compiled.
#[derive(Clone, Debug)]
pub(super) struct Format {
    form: Form,
    /// Leave out what has no value, instead of writing `-` or `null`.
    omit_empty: bool,
}

#[derive(Clone, Debug)]
enum Form {
    Text(Vec<Piece>),
    Json(Node),
}

#[derive(Clone, Debug)]
enum Piece {
    /// What stands between two operators, mostly a few octets.
    Literal(Box<str>, Option<Short>),
    Operator(Operator),
}

/// Few octets, appended without a call to copy them: all eight, and the rest is cut off.
#[derive(Clone, Copy, Debug)]
struct Short {
    octets: [u8; 8],
    len: usize,
}

impl Short {
    fn of(text: &str) -> Option<Self> {
        let mut octets = [0; 8];
        octets
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let len = text.len();
        Some(Self { octets, len })
    }

    fn write(self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        out.extend_from_slice(&self.octets);
        out.truncate(end);
    }
}

#[derive(Clone, Debug)]
enum Node {
    /// The keys are written as JSON, with their colon.
    Object(Vec<(Box<[u8]>, Self)>),
    List(Vec<Self>),
    /// A value that is the same in every line, as JSON.
    Literal(Box<[u8]>),
    Null,
    /// One operator alone: a number stays a number, and what is missing is `null`.
    Typed(Operator),
    /// Text with operators in it: always a string.
    Text(Vec<Piece>),
}

/// Whether the values of a JSON format keep their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Types {
    Kept,
    /// All values become strings: Envoy's older `json_format`.
    Strings,
}

impl Format {
    /// What is used when nothing is configured.
    pub(super) fn standard() -> Self {
        let pieces = pieces(DEFAULT).expect("every operator of the default is supported");
        Self {
            form: Form::Text(pieces),
            omit_empty: false,
        }
    }

    /// A line of text. It ends where `text` ends: the line feed is the format's own.
    pub(super) fn text(text: &str, omit_empty: bool, problems: &mut Problems) -> Option<Self> {
        let pieces = problems.take(pieces(text))?;
        Some(Self {
            form: Form::Text(pieces),
            omit_empty,
        })
    }

    /// An object on a line of its own, with its keys in order.
    pub(super) fn json(
        object: &Struct,
        types: Types,
        omit_empty: bool,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut compiler = Compiler {
            types,
            left: MAX_PIECES,
            problems,
        };
        let node = compiler.object(object, MAX_DEPTH)?;
        Some(Self {
            form: Form::Json(node),
            omit_empty,
        })
    }

    /// Writes the line of one call.
    pub(super) fn write(&self, line: Line<'_>, out: &mut Vec<u8>) {
        let mut writer = Writer {
            line,
            omit_empty: self.omit_empty,
            out,
        };
        match &self.form {
            Form::Text(pieces) => writer.pieces(pieces),
            Form::Json(node) => {
                writer.node(node);
                out.push(b'\n');
            }
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, (String, String)> {
    let tokens = format::parse(text).map_err(|error| {
        (
            format!("the format cannot be read: {error}"),
            "write %OPERATOR% or %%".to_owned(),
        )
    })?;
    if tokens.len() > MAX_PIECES {
        let reason = format!("the format has more than {MAX_PIECES} pieces");
        return Err((reason, "write less into a line".to_owned()));
    }
    let pieces = tokens.into_iter().map(|token| {
        Ok(match token {
            Token::Literal(text) => {
                let short = Short::of(&text);
                Piece::Literal(text, short)
            }
            Token::Operator(operator) => Piece::Operator(Operator::compile(&operator)?),
        })
    });
    pieces.collect()
}

struct Compiler<'p> {
    types: Types,
    left: usize,
    problems: &'p mut Problems,
}

impl Compiler<'_> {
    fn object(&mut self, object: &Struct, depth: usize) -> Option<Node> {
        let depth = self.descend(depth)?;
        let fields: BTreeMap<_, _> = object.fields.iter().collect();
        let mut entries = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let mut key = Vec::new();
            quoted(name, &mut key);
            key.push(b':');
            entries.push((key.into(), self.node(value, depth)?));
        }
        Some(Node::Object(entries))
    }

    fn node(&mut self, value: &Json, depth: usize) -> Option<Node> {
        self.left = self.problems.take(self.left.checked_sub(1).ok_or_else(|| {
            let reason = format!("the format has more than {MAX_PIECES} values");
            (reason, "write less into a line".to_owned())
        }))?;
        Some(match value.kind.as_ref() {
            None | Some(Kind::NullValue(_)) => Node::Null,
            Some(Kind::BoolValue(truth)) => Node::Literal(truth.to_string().into_bytes().into()),
            Some(Kind::NumberValue(number)) => {
                Node::Literal(number.to_string().into_bytes().into())
            }
            Some(Kind::StringValue(text)) => self.string(text)?,
            Some(Kind::StructValue(object)) => self.object(object, depth)?,
            Some(Kind::ListValue(list)) => {
                let depth = self.descend(depth)?;
                let nodes = list.values.iter().map(|value| self.node(value, depth));
                Node::List(nodes.collect::<Option<_>>()?)
            }
        })
    }

    fn string(&mut self, text: &str) -> Option<Node> {
        let mut pieces = self.problems.take(pieces(text))?;
        self.left = self.left.saturating_sub(pieces.len());
        Some(match (pieces.pop(), pieces.is_empty()) {
            (Some(Piece::Operator(operator)), true) if self.types == Types::Kept => {
                Node::Typed(operator)
            }
            (last, _) => {
                pieces.extend(last);
                Node::Text(pieces)
            }
        })
    }

    fn descend(&mut self, depth: usize) -> Option<usize> {
        self.problems.take(depth.checked_sub(1).ok_or_else(|| {
            let reason = format!("the format is more than {MAX_DEPTH} levels deep");
            (reason, "write a flatter object".to_owned())
        }))
    }
}

struct Writer<'w, 'r> {
    line: Line<'r>,
    omit_empty: bool,
    out: &'w mut Vec<u8>,
}

impl Writer<'_, '_> {
    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Literal(_, Some(short)) => short.write(self.out),
                Piece::Literal(text, None) => self.out.extend_from_slice(text.as_bytes()),
                Piece::Operator(operator) => match operator.value(self.line) {
                    Value::Verbatim(text) => self.out.extend_from_slice(text.as_bytes()),
                    value => self.value(value),
                },
            }
        }
    }

    /// The inside of a JSON string: literals are escaped too.
    fn string(&mut self, pieces: &[Piece]) {
        self.out.push(b'"');
        for piece in pieces {
            match piece {
                Piece::Literal(text, _) => escape(text, self.out),
                Piece::Operator(operator) => self.plain(operator),
            }
        }
        self.out.push(b'"');
    }

    fn plain(&mut self, operator: &Operator) {
        self.value(operator.value(self.line));
    }

    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Missing if self.omit_empty => {}
            Value::Missing => self.out.push(b'-'),
            value => write_value(value, self.out),
        }
    }

    /// Writes the node, or nothing at all and says `false`, if it is empty and to be left out.
    fn node(&mut self, node: &Node) -> bool {
        match node {
            Node::Object(entries) => return self.object(entries),
            Node::List(nodes) => return self.list(nodes),
            Node::Literal(json) => self.out.extend_from_slice(json),
            Node::Null => return self.null(),
            Node::Text(pieces) => self.string(pieces),
            Node::Typed(operator) => match operator.value(self.line) {
                Value::Missing => return self.null(),
                value @ Value::Number(_) => write_value(value, self.out),
                value => {
                    self.out.push(b'"');
                    write_value(value, self.out);
                    self.out.push(b'"');
                }
            },
        }
        true
    }

    fn null(&mut self) -> bool {
        if !self.omit_empty {
            self.out.extend_from_slice(b"null");
        }
        !self.omit_empty
    }

    fn object(&mut self, entries: &[(Box<[u8]>, Node)]) -> bool {
        self.out.push(b'{');
        for (key, node) in entries {
            let before = self.out.len();
            self.comma(b'{');
            self.out.extend_from_slice(key);
            if !self.node(node) {
                self.out.truncate(before);
            }
        }
        self.close(b'{', b'}')
    }

    fn list(&mut self, nodes: &[Node]) -> bool {
        self.out.push(b'[');
        for node in nodes {
            let before = self.out.len();
            self.comma(b'[');
            if !self.node(node) {
                self.out.truncate(before);
            }
        }
        self.close(b'[', b']')
    }

    /// Ends what began with `open`, unless there is nothing in it and that is to be left out.
    fn close(&mut self, open: u8, end: u8) -> bool {
        let empty = self.out.last() == Some(&open);
        self.out.push(end);
        !(empty && self.omit_empty)
    }

    /// A comma, unless this is the first within `open`.
    fn comma(&mut self, open: u8) {
        if self.out.last() != Some(&open) {
            self.out.push(b',');
        }
    }
}

/// A value as text, safe within a line and within a JSON string.
fn write_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Missing => {}
        Value::Number(number) | Value::Digits(number) => digits::number(number, out),
        Value::Address(address) => digits::address(address, out),
        Value::Ip(ip) => digits::ip(ip, out),
        Value::Verbatim(text) => escape(text, out),
        Value::Text(text) => escape(&text, out),
        Value::Time(format, moment) => format.write(moment, out),
        Value::Flags(flags, long) => {
            let before = out.len();
            for flag in flags.iter() {
                if out.len() > before {
                    out.push(b',');
                }
                let name = if long { flag.long() } else { flag.short() };
                out.extend_from_slice(name.as_bytes());
            }
            if out.len() == before {
                out.push(b'-');
            }
        }
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// Writes text as the inside of a JSON string. Callers choose what stands in attachments and
/// headers: a line feed or a quotation mark of theirs must not forge a line or a field, in text
/// formats neither.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    // Nearly always there is nothing to do, and octets are looked at faster than characters.
    if is_plain(rest.as_bytes()) {
        return out.extend_from_slice(rest.as_bytes());
    }
    while let Some(at) = rest.find(is_special) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let Some(special) = special.chars().next() else {
            break;
        };
        let _ = match special {
            '"' => out.write_all(br#"\""#),
            '\\' => out.write_all(br"\\"),
            '\n' => out.write_all(br"\n"),
            '\r' => out.write_all(br"\r"),
            '\t' => out.write_all(br"\t"),
            other => write!(out, "\\u{:04x}", u32::from(other)),
        };
        rest = &rest[at + special.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether nothing but printable ASCII stands there that means nothing in JSON; eight octets at a
/// time, as one number.
fn is_plain(octets: &[u8]) -> bool {
    let (eights, rest) = octets.as_chunks();
    let mut last = [b' '; 8];
    last.iter_mut()
        .zip(rest)
        .for_each(|(place, octet)| *place = *octet);
    let odd = |eight: &[u8; 8]| odd_octets(u64::from_ne_bytes(*eight));
    eights
        .iter()
        .fold(odd(&last), |all, eight| all | odd(eight))
        == 0
}

/// The highest bits of the octets that are not printable or mean something in JSON. What stands behind
/// such an octet may have its bit set too.
fn odd_octets(eight: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Bit Twiddling Hacks, "Determine if a word has a zero byte", "... a byte less than n".
    let below = |number: u64, least: u64| number.wrapping_sub(ONES * least) & !number;
    let is = |octet: u8| below(eight ^ (ONES * u64::from(octet)), 1);
    (eight | below(eight, 0x20) | is(0x7f) | is(b'"') | is(b'\\')) & HIGH
}

/// Control characters of ASCII and Latin-1, and the line ends of Unicode.
fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_octets_are_found_wherever_they_stand() {
        for octet in 0..=u8::MAX {
            let plain = matches!(octet, b' '..=b'~') && octet != b'"' && octet != b'\\';
            for len in 1..=24 {
                for at in 0..len {
                    let mut octets = vec![b'~'; len];
                    octets[at] = octet;
                    assert_eq!(is_plain(&octets), plain, "{octet} at {at} of {len}");
                }
            }
        }
        assert!(is_plain(b""));
    }
}
