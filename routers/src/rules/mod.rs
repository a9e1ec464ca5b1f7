//! The rules of a route, each compiled from its message and asked about one request.

pub(crate) mod cookie;
pub(crate) mod header;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod regex;
pub(crate) mod template;
pub(crate) mod text;
