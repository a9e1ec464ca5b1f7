//! Upgrades and tunnels: the heads that ask for them and agree to them, in the words of each version
//! of HTTP.
//!
//! Between reading and writing there is one form, that of HTTP/1: `GET` with `upgrade`, answered by
//! 101. HTTP/2's extended CONNECT (RFC 8441) becomes it before any rule looks, as in Envoy, so that
//! rules and logs see one kind of WebSocket. CONNECT itself is the same in both versions.

mod socket;

use ::h2::ext::Protocol;
use crossdock_framework::status::{Cause, Status};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request, response};
use ring::digest;

use crate::grpc_web::base64;
pub(crate) use socket::{Gate, Inlet, Opener, Socket, finish, serve};

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
const ACCEPT: HeaderName = header::SEC_WEBSOCKET_ACCEPT;

/// What a key is hashed with (RFC 6455 section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Says of a request that its body is what follows the answer, and of whom: an extension of the
/// head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An HTTP/1 client, whose whole connection becomes the tunnel.
    Connection,
    /// An HTTP/2 client, whose stream does.
    Stream,
}

impl Wanted {
    /// What a request wants, if it is a tunnel.
    pub(crate) fn of(head: &request::Parts) -> Option<Self> {
        head.extensions.get().copied()
    }
}

/// Turns extended CONNECT into an upgrade. `false` for a plain CONNECT.
pub(crate) fn receive(head: &mut request::Parts) -> Result<bool, &'static str> {
    head.extensions.insert(Wanted::Stream);
    if head.headers.contains_key(header::CONTENT_LENGTH) {
        return Err("a CONNECT with a body");
    }
    let Some(protocol) = head.extensions.remove::<Protocol>() else {
        return Ok(false);
    };
    let protocol = HeaderValue::from_str(protocol.as_str());
    let protocol = protocol.map_err(|_| ":protocol is not a token")?;
    head.method = Method::GET;
    head.headers.insert(header::UPGRADE, protocol);
    Ok(true)
}

/// Makes an upgrade one that an HTTP/1 host reads. Says which key was made up, where the client gave
/// none.
pub(crate) fn ask_h1(headers: &mut HeaderMap, random: (u64, u64)) -> Option<HeaderValue> {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    let web_socket = headers
        .get(header::UPGRADE)
        .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !web_socket || headers.contains_key(KEY) {
        return None;
    }
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&random.0.to_be_bytes());
    nonce[8..].copy_from_slice(&random.1.to_be_bytes());
    let key = HeaderValue::try_from(base64::encode(&nonce)).expect("base64 is ASCII");
    headers.insert(KEY, key.clone());
    Some(key)
}

/// Looks at the answer of an HTTP/1 host to a key that was made up, and takes its digest away, which
/// is not for the client.
///
/// # Errors
///
/// When the host has not answered that key (RFC 6455 section 4.1).
pub(crate) fn check_accept(headers: &mut HeaderMap, key: &HeaderValue) -> Result<(), &'static str> {
    match headers.remove(ACCEPT) {
        Some(accept) if accept == accept_of(key) => Ok(()),
        _ => Err("it accepts another WebSocket than was asked for"),
    }
}

/// Makes an upgrade an extended CONNECT. Says to what, if there is one.
///
/// # Errors
///
/// When HTTP/2 cannot say it.
pub(crate) fn ask_h2(head: &mut request::Parts) -> Result<Option<HeaderValue>, Status> {
    let Some(upgrade) = head.headers.remove(header::UPGRADE) else {
        return Ok(None);
    };
    if Wanted::of(head).is_none() {
        let text = "an upgrade whose request has a body cannot be told to an HTTP/2 host";
        return Err(Status::new(Cause::BadRequest, text));
    }
    let protocol = upgrade.to_str().unwrap_or_default();
    // In HTTP/2 the token is what is registered, which is in lower case.
    let protocol = Protocol::from(protocol.to_ascii_lowercase().as_str());
    head.method = Method::CONNECT;
    head.extensions.insert(protocol);
    Ok(Some(upgrade))
}

/// Makes the answer of an HTTP/2 host to an extended CONNECT that to an upgrade.
pub(crate) fn receive_answer(head: &mut response::Parts, upgrade: HeaderValue) {
    if head.status.is_success() {
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        head.headers.insert(header::UPGRADE, upgrade);
    }
}

/// Whether an answer agrees to the tunnel that was asked for.
pub(crate) fn agrees(asked: &Method, status: StatusCode) -> bool {
    match *asked == Method::CONNECT {
        true => status.is_success(),
        false => status == StatusCode::SWITCHING_PROTOCOLS,
    }
}

/// Makes an agreement one that an HTTP/2 client reads.
pub(crate) fn agree_h2(head: &mut response::Parts) {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        head.status = StatusCode::OK;
    }
    head.headers.remove(header::UPGRADE);
    head.headers.remove(header::CONTENT_LENGTH);
}

/// Makes an agreement one that an HTTP/1 client reads, who gave this key.
pub(crate) fn agree_h1(head: &mut response::Parts, key: Option<&HeaderValue>) {
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let upgrade = HeaderValue::from_static("upgrade");
    head.headers.insert(header::CONNECTION, upgrade);
    if let Some(key) = key
        && !head.headers.contains_key(ACCEPT)
    {
        // A host that speaks HTTP/2 need not know of keys (RFC 8441 section 5).
        head.headers.insert(ACCEPT, accept_of(key));
    }
}

/// What a key is accepted with (RFC 6455 section 4.2.2).
fn accept_of(key: &HeaderValue) -> HeaderValue {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(KEY_SUFFIX);
    HeaderValue::try_from(base64::encode(hash.finish().as_ref())).expect("base64 is ASCII")
}

/// The key that an HTTP/1 client gave.
pub(crate) fn key(head: &request::Parts) -> Option<HeaderValue> {
    head.headers.get(KEY).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_accepted_as_the_standard_says() {
        // RFC 6455 section 1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_made_up_for_hosts_that_need_one() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let key = ask_h1(&mut headers, (1, 2)).expect("made up");
        assert_eq!(key, "AAAAAAAAAAEAAAAAAAAAAg==");
        assert_eq!(headers[KEY], key);
        assert_eq!(headers[header::CONNECTION], "upgrade");
        // The client's own stays.
        assert_eq!(ask_h1(&mut headers, (3, 4)), None);
        assert_eq!(headers[KEY], key);
        let mut answer = HeaderMap::new();
        assert!(check_accept(&mut answer, &key).is_err());
        answer.insert(ACCEPT, HeaderValue::from_static("other"));
        assert!(check_accept(&mut answer, &key).is_err());
        answer.insert(ACCEPT, accept_of(&key));
        assert_eq!(check_accept(&mut answer, &key), Ok(()));
        assert!(answer.is_empty());
    }
}
