//! A message read to its last octet, for people and for tools; nothing here is on the path of a
//! call.

use std::time::Duration;

use crossdock_framework::{
    frame::{Frame, Head as _, Kind},
    notes::Notes,
    view::RoutingView as _,
};

use crate::{
    body::{Malformed, Values},
    call::Call,
    head::{HEADER_LEN, Head, status},
    plain::Name,
    reply::BodyFlag,
    view::View,
};

/// Everything that a message says besides its arguments, and whether its body is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Version of the Dubbo protocol that a call claims, such as `2.0.2`.
    pub protocol_version: Option<String>,
    /// Interface of a call.
    pub service: Option<String>,
    /// Method of a call, as it is on the wire: `$invoke` for a generic call.
    pub method: Option<String>,
    /// Method that a generic call names in its first argument.
    pub generic_method: Option<String>,
    /// Version of the service, as it is on the wire.
    pub version: Option<String>,
    /// Parameter descriptors of a call.
    pub descriptors: Option<String>,
    /// Attachments in the order of the wire; those that are neither text, number nor boolean are
    /// left out.
    pub attachments: Vec<(String, String)>,
    /// The attachment `timeout`.
    pub timeout: Option<Duration>,
    /// Text of an event: `R` or `W`.
    pub event: Option<String>,
    /// First value of a response with status 20: 0 to 5.
    pub body_flag: Option<u8>,
    /// Text of a response with another status.
    pub text: Option<String>,
    /// Whether the body was walked to its last octet. A body in a serialization that is not read
    /// counts as walked.
    pub walked: bool,
    /// Why it was not.
    pub error: Option<String>,
}

/// Reads all of `frame`.
pub fn inspect(frame: &Frame<Head>) -> Inspection {
    let body = frame.bytes.get(HEADER_LEN..).unwrap_or_default();
    let mut seen = Inspection::default();
    match seen.read(frame.head, body) {
        Ok(()) => seen.walked = true,
        Err(error) => seen.error = Some(error.to_string()),
    }
    seen.timeout = View::new(frame).timeout();
    seen
}

const LEFT_OVER: Malformed = Malformed::Dubbo("octets are left over behind the last value");

impl Inspection {
    fn read(&mut self, head: Head, body: &[u8]) -> Result<(), Malformed> {
        let Some(mut values) = Values::at(head.serialization(), body, 0) else {
            return Ok(());
        };
        match head.kind() {
            Kind::Request | Kind::Oneway => {
                let Some(behind) = self.call(head, body)? else {
                    return Ok(());
                };
                values = behind;
                self.attachments(&mut values)?;
            }
            Kind::Response if head.status() == status::OK => {
                let flag = BodyFlag::read(&mut values)?;
                self.body_flag = Some(flag.0);
                if flag.has_value() {
                    values.skip()?;
                }
                if flag.has_attachments() {
                    self.attachments(&mut values)?;
                }
            }
            Kind::Response => self.text = values.text()?.map(Into::into),
            _ => self.event = values.text()?.map(Into::into),
        }
        match values.at_end() {
            true => Ok(()),
            false => Err(LEFT_OVER),
        }
    }

    /// Reads a call up to its attachments.
    fn call<'f>(&mut self, head: Head, body: &'f [u8]) -> Result<Option<Values<'f>>, Malformed> {
        let Some(call) = Call::read(head.serialization(), body, &Notes::default()).transpose()?
        else {
            return Ok(None);
        };
        let text = |name: &Name<'_>| name.as_str().to_owned();
        self.protocol_version = call.protocol.as_ref().map(text);
        self.service = Some(text(&call.interface));
        self.method = Some(text(&call.method));
        self.generic_method = call.generic.as_ref().map(text);
        self.version = call.version.as_ref().map(text);
        let Some((descriptors, behind)) =
            call.attachments(head.serialization(), body).transpose()?
        else {
            return Ok(None);
        };
        self.descriptors = Some(descriptors.into());
        Ok(Some(behind))
    }

    fn attachments(&mut self, values: &mut Values<'_>) -> Result<(), Malformed> {
        let Some(mut entries) = values.map()? else {
            return Ok(());
        };
        while let Some(entry) = entries.next()? {
            if let (Some(key), Some(value)) = (entry.key, entry.value.to_cow()) {
                self.attachments.push((key.to_cow().into(), value.into()));
            }
        }
        Ok(())
    }
}
