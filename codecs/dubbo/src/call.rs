//! The body of a call: who is called, the arguments passed over, the attachments behind them.
//!
//! Source: `DubboCodec.encodeRequestData` and `DecodeableRpcInvocation` of Apache Dubbo. A body is
//! protocol version, interface, service version, method, parameter descriptors, one value for each
//! descriptor, and the map of attachments.

use std::borrow::Cow;

use crossdock_framework::notes::Notes;

use crate::{
    body::{Malformed, Values},
    head::Serialization,
    noted,
    plain::{self, Name},
};

const NO_NAME: Malformed = Malformed::Dubbo("a call has no interface or no method");
const DESCRIPTORS: Malformed = Malformed::Dubbo("the parameter descriptors are malformed");

/// The first strings of a call.
#[derive(Clone, Debug)]
pub(crate) struct Call<'f> {
    /// Version of the Dubbo protocol: `2.0.2` from every modern Java.
    pub(crate) protocol: Option<Name<'f>>,
    pub(crate) interface: Name<'f>,
    /// Version of the service.
    pub(crate) version: Option<Name<'f>>,
    /// The method as it is called: `$invoke` for a generic call.
    pub(crate) method: Name<'f>,
    /// The method that a generic call names in its first argument.
    pub(crate) generic: Option<Name<'f>>,
    /// Where in the body the next value stands.
    rest: usize,
}

impl<'f> Call<'f> {
    /// Reads the strings of a call, as far as they are not noted. `None` for a serialization that is
    /// not read.
    pub(crate) fn read(
        serialization: Serialization,
        body: &'f [u8],
        notes: &Notes,
    ) -> Option<Result<Self, Malformed>> {
        let call = match noted::strings(serialization, body, notes) {
            Some(strings) => Self::of(
                strings.texts.map(|text| text.map(Name::Ascii)),
                strings.rest,
            ),
            None => Self::walk(Values::at(serialization, body, 0)?),
        };
        let with_generic = |mut call: Self| {
            if matches!(call.method.octets(), b"$invoke" | b"$invokeAsync") {
                call.generic = Values::at(serialization, body, call.rest).and_then(generic_method);
            }
            call
        };
        Some(call.map(with_generic))
    }

    fn walk(mut values: Values<'f>) -> Result<Self, Malformed> {
        let mut texts = [None, None, None, None];
        for text in &mut texts {
            *text = values.text()?.map(Name::Text);
        }
        Self::of(texts, values.pos())
    }

    fn of(texts: [Option<Name<'f>>; 4], rest: usize) -> Result<Self, Malformed> {
        match texts {
            [protocol, Some(interface), version, Some(method)] => Ok(Self {
                protocol,
                interface,
                version,
                method,
                generic: None,
                rest,
            }),
            _ => Err(NO_NAME),
        }
    }

    /// The method that is really called.
    pub(crate) fn real_method(&self) -> &Name<'f> {
        self.generic.as_ref().unwrap_or(&self.method)
    }

    /// The parameter descriptors, and the values behind the arguments: the attachments.
    pub(crate) fn attachments(
        &self,
        serialization: Serialization,
        body: &'f [u8],
    ) -> Option<Result<(Cow<'f, str>, Values<'f>), Malformed>> {
        let mut values = Values::at(serialization, body, self.rest)?;
        let passed = pass_arguments(&mut values);
        Some(passed.map(|text| (text, values)))
    }

    /// Where in the body the attachments begin; `None` when what stands in front of them cannot be
    /// read.
    pub(crate) fn attachments_at(
        &self,
        serialization: Serialization,
        body: &'f [u8],
    ) -> Option<usize> {
        let arguments = body.get(self.rest..)?;
        if serialization == Serialization::HESSIAN2
            && let Some(behind) = behind_plain_arguments(arguments)
        {
            return Some(body.len() - behind.len());
        }
        let mut values = Values::at(serialization, body, self.rest)?;
        pass_arguments(&mut values).ok()?;
        Some(values.pos())
    }
}

/// What stands behind the descriptors and the arguments, when all of them are scalars.
fn behind_plain_arguments(arguments: &[u8]) -> Option<&[u8]> {
    let (descriptors, mut rest) = plain::hessian_text(arguments)?;
    for _ in 0..count(descriptors.octets())? {
        rest = plain::skip_scalar(rest)?;
    }
    Some(rest)
}

/// The first argument of a generic call.
fn generic_method(mut values: Values<'_>) -> Option<Name<'_>> {
    match descriptors(&mut values).ok()? {
        (_, 0) => None,
        _ => values.text().ok()?.map(Name::Text),
    }
}

fn pass_arguments<'f>(values: &mut Values<'f>) -> Result<Cow<'f, str>, Malformed> {
    let (text, count) = descriptors(values)?;
    for _ in 0..count {
        values.skip()?;
    }
    Ok(text)
}

/// The parameter descriptors and how many arguments follow.
///
/// Dubbox writes an int in front: below zero it says that descriptors follow, else it is the
/// number of arguments and there are none.
fn descriptors<'f>(values: &mut Values<'f>) -> Result<(Cow<'f, str>, usize), Malformed> {
    if let Some(count) = values.int_if_next()?
        && let Ok(count) = usize::try_from(count)
    {
        return Ok((Cow::Borrowed(""), count));
    }
    let text = values.text()?.unwrap_or_default();
    let count = count(text.as_bytes()).ok_or(DESCRIPTORS)?;
    Ok((text, count))
}

/// How many parameters JVM descriptors such as `I[JLjava/lang/String;` describe.
fn count(descriptors: &[u8]) -> Option<usize> {
    let mut rest = descriptors;
    let mut count = 0;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'[' => continue,
            b'V' | b'Z' | b'B' | b'C' | b'D' | b'F' | b'I' | b'J' | b'S' => {}
            b'L' => {
                let end = rest.iter().position(|&octet| octet == b';')?;
                rest = rest.get(end + 1..)?;
            }
            _ => return None,
        }
        count += 1;
    }
    (!descriptors.ends_with(b"[")).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted() {
        for (text, expected) in [
            ("", Some(0)),
            ("I", Some(1)),
            ("[[Ljava/lang/String;", Some(1)),
            ("JD[I[[Ljava/lang/String;Z", Some(5)),
            ("Lcom/acme/Order;Ljava/util/List;Ljava/util/Map;", Some(3)),
            ("Ljava/lang/String", None),
            ("X", None),
            ("I[", None),
        ] {
            assert_eq!(count(text.as_bytes()), expected, "{text}");
        }
    }
}
