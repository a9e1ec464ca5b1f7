//! Values of header changes and rewrites: plain text, or a format string that knows the call.

use std::borrow::Cow;

use crossdock_framework::{
    edits::{Edit, Edits},
    route::Scene,
    view::Key,
};

use super::{Side, operator::Piece};
use crate::{
    format::{self, Token},
    problem::{Place, Problems},
};

/// A text that may depend on the call.
#[derive(Debug)]
pub(crate) enum Value {
    /// The same for every call.
    Plain(Box<str>),
    /// Made of pieces.
    Formatted(Box<[Piece]>, Missing),
}

/// What stands for something that a call does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing, as in header changes.
    Nothing,
    /// `-`, as in logs.
    Dash,
}

/// What a value is evaluated in.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'s> {
    /// Which message is changed.
    pub(crate) side: Side,
    /// The call.
    pub(crate) scene: &'s Scene<'s>,
    /// What has been changed of the message so far.
    pub(crate) edits: &'s Edits,
}

impl Value {
    /// The value of a format string that is evaluated while the message of `side` is changed.
    pub(crate) fn compile(
        side: Side,
        text: &str,
        missing: Missing,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let tokens = match format::parse(text) {
            Ok(tokens) => tokens,
            Err(error) => {
                let cure = "write %% for the character itself, or %OPERATOR%";
                problems.add(place, error.to_string(), cure);
                return None;
            }
        };
        let mut pieces = Vec::with_capacity(tokens.len());
        for token in tokens {
            match token {
                Token::Literal(text) => pieces.push(Piece::Text(text)),
                Token::Operator(operator) => match Piece::compile(side, &operator) {
                    Ok(piece) => pieces.push(piece),
                    Err((reason, cure)) => problems.add(place, reason, cure),
                },
            }
        }
        Some(match &mut pieces[..] {
            [] => Self::Plain("".into()),
            [Piece::Text(text)] => Self::Plain(std::mem::take(text)),
            _ => Self::Formatted(pieces.into(), missing),
        })
    }

    /// The value for the call at hand.
    pub(crate) fn evaluate(&self, sight: &Sight<'_>) -> Box<str> {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Formatted(pieces, missing) => {
                let mut out = String::new();
                for piece in pieces {
                    let before = out.len();
                    piece.write(sight, &mut out);
                    if out.len() == before && *missing == Missing::Dash {
                        out.push('-');
                    }
                }
                out.into()
            }
        }
    }
}

impl<'s> Sight<'s> {
    /// The first value of a header of one message with the changes so far. Pseudo headers go by
    /// their names with a colon.
    pub(crate) fn first(&self, side: Side, name: &str) -> Option<Cow<'s, str>> {
        let key = Key::from_header_name(name);
        if side == self.side {
            return first(self.edits, name, self.scene.message.first(key));
        }
        match side {
            Side::Request => self.scene.request.first(key),
            Side::Response => None,
        }
    }
}

/// The first value of a header after `edits`, given the one before.
fn first<'e>(
    edits: &'e Edits,
    name: &str,
    mut value: Option<Cow<'e, str>>,
) -> Option<Cow<'e, str>> {
    for edit in edits.iter().filter(|edit| edit.name() == name) {
        match edit {
            Edit::Set(_, new) => value = Some(Cow::Borrowed(new)),
            Edit::Append(_, new) | Edit::AddIfAbsent(_, new) if value.is_none() => {
                value = Some(Cow::Borrowed(new));
            }
            Edit::OverwriteIfExists(_, new) if value.is_some() => value = Some(Cow::Borrowed(new)),
            Edit::Append(..) | Edit::AddIfAbsent(..) | Edit::OverwriteIfExists(..) => {}
            Edit::Remove(_) => value = None,
        }
    }
    value
}
