//! gRPC-Web (the gRPC project's PROTOCOL-WEB).

pub(crate) mod base64;
