//! What rules and filters may ask of any protocol: HTTP-shaped words, no HTTP types.

use std::{borrow::Cow, time::Duration};

/// A request or response as rules see it. Nothing is parsed until it is asked for.
///
/// | word | Dubbo2 | Bolt / SOFARPC | gRPC, HTTP |
/// |---|---|---|---|
/// | [`Key::Authority`] | interface | service name up to the first `:` | `:authority` |
/// | [`Key::Path`] | `/<interface>/<method>` | `/<interface>/<method>` | `:path` |
/// | [`Key::HttpMethod`] | `POST` | `POST` | `:method` |
/// | [`Key::Header`] | attachment, or `x-dubbo-…` | header map entry, or `x-sofa-…` | header |
///
/// `None` means that the frame has no such word, or that it cannot be read (an opaque
/// serialisation, a malformed body). An unreadable request matches only rules that ask for nothing.
pub trait RoutingView {
    /// The value of one word.
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>>;

    /// The name of the service without any decoration, such as `com.acme.OrderService`.
    fn service(&self) -> Option<Cow<'_, str>> {
        self.get(Key::Authority)
    }

    /// The method of the service that is called; for a generic call the real one.
    fn method(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The caller's own deadline, where reading it costs a walk through the body (Dubbo's
    /// attachment `timeout`). Deadlines of the fixed header stand in
    /// [`Head::timeout`](crate::frame::Head::timeout).
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Whether whoever has received the message found that its sender may ask for retries and times
    /// in `x-envoy-…` headers.
    fn is_trusted(&self) -> bool {
        false
    }

    /// The value of one word; of a header that stands more than once, the first.
    fn first(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let joined = self.get(key)?;
        // Only several values that are joined have a comma between them.
        if let Key::Header(name) = key
            && joined.contains(',')
        {
            let mut first = None;
            self.headers(&mut |other, value| {
                if first.is_none() && other.eq_ignore_ascii_case(name) {
                    first = Some(value.to_owned());
                }
            });
            return first.map(Cow::Owned).or(Some(joined));
        }
        Some(joined)
    }

    /// A trailer by its name in lower case, of an answer that has come to its end.
    fn trailer(&self, name: &str) -> Option<Cow<'_, str>> {
        let _ = name;
        None
    }

    /// Calls `each` with every header that the message carries, in wire order.
    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        let _ = each;
    }

    /// The name of the protocol for logs and metrics, such as `dubbo`.
    fn protocol(&self) -> &'static str;
}

/// A word that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'k> {
    /// The service that is called.
    Authority,
    /// `/<service>/<method>`, or the path and query of an HTTP request.
    Path,
    /// The HTTP method; `POST` for every RPC protocol.
    HttpMethod,
    /// `http` or `https`.
    Scheme,
    /// A header by its name in lower case. Names of RPC attachments are compared ignoring ASCII
    /// case, because Envoy's rules only know lower-case names. Several values of one header are
    /// joined with `,`; [`RoutingView::headers`] tells them apart.
    Header(&'k str),
}

impl<'k> Key<'k> {
    /// The word that Envoy's configuration calls `name`: a pseudo header such as `:path`, or a
    /// header. `name` is in lower case.
    pub fn from_header_name(name: &'k str) -> Self {
        match name {
            ":authority" | "host" => Self::Authority,
            ":path" => Self::Path,
            ":method" => Self::HttpMethod,
            ":scheme" => Self::Scheme,
            other => Self::Header(other),
        }
    }
}

/// A request of which nothing can be read: what a rule sees of opaque bytes.
#[derive(Clone, Copy, Debug)]
pub struct Opaque {
    /// The protocol that carried it.
    pub protocol: &'static str,
}

impl RoutingView for Opaque {
    fn get(&self, _: Key<'_>) -> Option<Cow<'_, str>> {
        None
    }

    fn protocol(&self) -> &'static str {
        self.protocol
    }
}
