//! Requests, and what became of them on both sides of a proxy.

use std::fmt;

/// A header: its name in lower case and its value.
pub(crate) type Field = (String, String);

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1, or 1.0 where the request says so.
    One,
    /// HTTP/2 by prior knowledge.
    Two,
}

/// A request as its client writes it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) version: Version,
    pub(crate) method: String,
    /// The target: a path with its query.
    pub(crate) path: String,
    pub(crate) authority: String,
    pub(crate) headers: Vec<Field>,
    pub(crate) body: String,
    /// The line behind the target in HTTP/1.
    pub(crate) protocol: &'static str,
}

/// A GET of a path, over HTTP/1.1.
pub(crate) fn get(path: &str) -> Ask {
    Ask {
        version: Version::One,
        method: "GET".into(),
        path: path.into(),
        authority: "example.org".into(),
        headers: Vec::new(),
        body: String::new(),
        protocol: "HTTP/1.1",
    }
}

/// A call of a gRPC method, over HTTP/2.
pub(crate) fn grpc(path: &str) -> Ask {
    get(path)
        .method("POST")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body("\0\0\0\0\0")
        .two()
}

impl Ask {
    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// What stands in `host` or `:authority`; nothing for HTTP/1.0 without a host.
    pub(crate) fn to(mut self, authority: &str) -> Self {
        self.authority = authority.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What the host is to do: see `host.rs`.
    pub(crate) fn want(self, what: &str) -> Self {
        self.header("x-want", what)
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    /// Over HTTP/2.
    pub(crate) fn two(mut self) -> Self {
        self.version = Version::Two;
        self
    }

    /// Over HTTP/1.0.
    pub(crate) fn ten(mut self) -> Self {
        self.protocol = "HTTP/1.0";
        self
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            Version::One => self.protocol,
            Version::Two => "HTTP/2",
        };
        let Self {
            method,
            path,
            authority,
            headers,
            body,
            ..
        } = self;
        write!(
            f,
            "{version} {method} {authority} {path} {headers:?} {body:?}"
        )
    }
}

/// What a client was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Interim answers.
    pub(crate) interim: Vec<u16>,
    /// The status, 0 for none.
    pub(crate) status: u16,
    pub(crate) headers: Vec<Field>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<Field>,
    /// The answer broke off.
    pub(crate) broken: bool,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// What a host got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which host it was.
    pub(crate) host: String,
    pub(crate) protocol: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authority: String,
    pub(crate) headers: Vec<Field>,
    pub(crate) body: String,
}

/// What became of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) told: Told,
    pub(crate) seen: Vec<Seen>,
}

/// The first value of a header.
pub(crate) fn find<'f>(fields: &'f [Field], name: &str) -> Option<&'f str> {
    fields
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
}
