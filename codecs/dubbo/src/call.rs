//! The body of a call: who is called, the arguments passed over, the attachments behind them.
//!
//! Source: `DubboCodec.encodeRequestData` and `DecodeableRpcInvocation` of Apache Dubbo. A body is
//! protocol version, interface, service version, method, parameter descriptors, one value for each
//! descriptor, and the map of attachments.

use std::borrow::Cow;

use crate::{
    body::{Malformed, Values},
    head::Serialization,
};

const NO_NAME: Malformed = Malformed::Dubbo("a call has no interface or no method");
const DESCRIPTORS: Malformed = Malformed::Dubbo("the parameter descriptors are malformed");

/// The first strings of a call.
#[derive(Clone, Debug)]
pub(crate) struct Call<'f> {
    /// Version of the Dubbo protocol: `2.0.2` from every modern Java.
    pub(crate) protocol: Option<Cow<'f, str>>,
    pub(crate) interface: Cow<'f, str>,
    /// Version of the service.
    pub(crate) version: Option<Cow<'f, str>>,
    /// The method as it is called: `$invoke` for a generic call.
    pub(crate) method: Cow<'f, str>,
    /// The method that a generic call names in its first argument.
    pub(crate) generic: Option<Cow<'f, str>>,
    /// Where in the body the next value stands.
    rest: usize,
}

impl<'f> Call<'f> {
    /// Reads the strings of a call. `None` for a serialization that is not read.
    pub(crate) fn read(
        serialization: Serialization,
        body: &'f [u8],
    ) -> Option<Result<Self, Malformed>> {
        let values = Values::at(serialization, body, 0)?;
        Some(Self::read_from(values))
    }

    fn read_from(mut values: Values<'f>) -> Result<Self, Malformed> {
        let protocol = values.text()?;
        let interface = values.text()?.ok_or(NO_NAME)?;
        let version = values.text()?;
        let method = values.text()?.ok_or(NO_NAME)?;
        let rest = values.pos();
        let generic = match method.as_ref() {
            "$invoke" | "$invokeAsync" => generic_method(values),
            _ => None,
        };
        Ok(Self {
            protocol,
            interface,
            version,
            method,
            generic,
            rest,
        })
    }

    /// The method that is really called.
    pub(crate) fn real_method(&self) -> &Cow<'f, str> {
        self.generic.as_ref().unwrap_or(&self.method)
    }

    /// The parameter descriptors, and the values behind the arguments: the attachments.
    pub(crate) fn attachments(
        &self,
        serialization: Serialization,
        body: &'f [u8],
    ) -> Option<Result<(Cow<'f, str>, Values<'f>), Malformed>> {
        let values = Values::at(serialization, body, self.rest)?;
        Some(past_arguments(values))
    }
}

/// The first argument of a generic call.
fn generic_method(mut values: Values<'_>) -> Option<Cow<'_, str>> {
    match descriptors(&mut values).ok()? {
        (_, 0) => None,
        _ => values.text().ok()?,
    }
}

fn past_arguments<'f>(mut values: Values<'f>) -> Result<(Cow<'f, str>, Values<'f>), Malformed> {
    let (text, count) = descriptors(&mut values)?;
    for _ in 0..count {
        values.skip()?;
    }
    Ok((text, values))
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
    let count = count(&text).ok_or(DESCRIPTORS)?;
    Ok((text, count))
}

/// How many parameters JVM descriptors such as `I[JLjava/lang/String;` describe.
fn count(descriptors: &str) -> Option<usize> {
    let mut rest = descriptors.as_bytes();
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
    (!descriptors.ends_with('[')).then_some(count)
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
            assert_eq!(count(text), expected, "{text}");
        }
    }
}
