//! Values of header changes: plain text, or a format string that knows the call.

use std::fmt::Write as _;

use crossdock_framework::{
    edits::{Edits, Effect},
    route::Facts,
    view::{Key, RoutingView},
};

use super::Side;
use crate::{
    format::{self, Operator, Token},
    problem::{Place, Problems},
};

/// The value of a header change.
#[derive(Debug)]
pub(super) enum Value {
    Plain(Box<str>),
    Formatted(Box<[Piece]>),
}

/// A piece of a formatted value.
#[derive(Debug)]
pub(super) enum Piece {
    Text(Box<str>),
    /// A header of the request or the response; nothing if it has none.
    Header {
        side: Side,
        name: Box<str>,
        otherwise: Option<Box<str>>,
        max_len: Option<usize>,
    },
    RemoteAddress,
    RemoteIp,
    LocalPort,
    Protocol,
}

/// What a value is evaluated in.
pub(super) struct Scene<'s> {
    /// Which message is changed.
    pub(super) side: Side,
    /// The message as it came.
    pub(super) message: &'s dyn RoutingView,
    /// What the caller sent.
    pub(super) request: &'s dyn RoutingView,
    pub(super) facts: &'s Facts,
    /// What has been changed of `message` so far.
    pub(super) edits: &'s Edits,
}

const KNOWN: &str = "use REQ, RESP, PROTOCOL, DOWNSTREAM_REMOTE_ADDRESS, \
                     DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT or DOWNSTREAM_LOCAL_PORT, or %% for \
                     the character itself";

impl Value {
    /// The value of a format string.
    pub(super) fn compile(text: &str, place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let tokens = match format::parse(text) {
            Ok(tokens) => tokens,
            Err(error) => {
                problems.add(place, error.to_string(), KNOWN);
                return None;
            }
        };
        let mut pieces = Vec::with_capacity(tokens.len());
        for token in tokens {
            match token {
                Token::Literal(text) => pieces.push(Piece::Text(text)),
                Token::Operator(operator) => match Piece::compile(&operator) {
                    Ok(piece) => pieces.push(piece),
                    Err((reason, cure)) => problems.add(place, reason, cure),
                },
            }
        }
        Some(match &mut pieces[..] {
            [] => Self::Plain("".into()),
            [Piece::Text(text)] => Self::Plain(std::mem::take(text)),
            _ => Self::Formatted(pieces.into()),
        })
    }

    /// The value for the call at hand.
    pub(super) fn evaluate(&self, scene: &Scene<'_>) -> Box<str> {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Formatted(pieces) => {
                let mut out = String::new();
                pieces.iter().for_each(|piece| piece.write(scene, &mut out));
                out.into()
            }
        }
    }
}

impl Piece {
    fn compile(operator: &Operator) -> Result<Self, (String, &'static str)> {
        let name = &*operator.name;
        let side = match name {
            "REQ" => Side::Request,
            "RESP" => Side::Response,
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"
            | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => return Ok(Self::RemoteIp),
            "DOWNSTREAM_LOCAL_PORT" => return Ok(Self::LocalPort),
            "PROTOCOL" => return Ok(Self::Protocol),
            "DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => {
                return Ok(Self::RemoteAddress);
            }
            _ => {
                return Err((
                    format!("the operator {name} is not known to header changes"),
                    KNOWN,
                ));
            }
        };
        let names = operator.args.as_deref().and_then(format::header_names);
        let (header, otherwise) = names.ok_or_else(|| {
            let reason = format!("{name} does not name a header");
            (reason, "write %REQ(NAME)% or %REQ(NAME?ALTERNATIVE)%")
        })?;
        Ok(Self::Header {
            side,
            name: header,
            otherwise,
            max_len: operator.max_len,
        })
    }

    fn write(&self, scene: &Scene<'_>, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Header {
                side,
                name,
                otherwise,
                max_len,
            } => {
                let otherwise = || {
                    otherwise
                        .as_deref()
                        .and_then(|name| scene.header(*side, name))
                };
                let value = scene.header(*side, name).or_else(otherwise);
                out.push_str(format::cut(value.as_deref().unwrap_or_default(), *max_len));
            }
            Self::RemoteAddress => {
                if let Some(source) = scene.facts.source {
                    let _ = write!(out, "{source}");
                }
            }
            Self::RemoteIp => {
                if let Some(source) = scene.facts.source {
                    let _ = write!(out, "{}", source.ip());
                }
            }
            Self::LocalPort => {
                let _ = write!(out, "{}", scene.facts.port);
            }
            Self::Protocol => out.push_str(scene.request.protocol()),
        }
    }
}

impl Scene<'_> {
    /// The value of a header with the changes so far.
    fn header(&self, side: Side, name: &str) -> Option<String> {
        let key = Key::from_header_name(name);
        if side != self.side {
            return match side {
                Side::Request => self.request.get(key).map(Into::into),
                Side::Response => None,
            };
        }
        let current = self.message.get(key);
        match self.edits.effect(name, current.as_deref()) {
            Effect::Keep => current.map(Into::into),
            Effect::Remove => None,
            Effect::Become(value) => Some(value),
        }
    }
}
