//! Changes that rules ask for, made to heads of HTTP messages.

use crossdock_framework::edits::{Edit, Edits};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request, response,
    uri::{Authority, PathAndQuery},
};

/// Changes a request.
///
/// # Errors
///
/// When a name or a value cannot stand in a head; the text names it.
pub(crate) fn request(head: &mut request::Parts, edits: &Edits) -> Result<(), String> {
    for edit in edits.iter() {
        match edit.name() {
            ":path" => match edit {
                Edit::Set(_, path) => set_path(head, path)?,
                _ => return Err(impossible(edit)),
            },
            ":authority" | "host" => match edit {
                Edit::Set(_, authority) => set_authority(head, authority)?,
                _ => return Err(impossible(edit)),
            },
            ":method" => match edit {
                Edit::Set(_, method) => {
                    head.method =
                        Method::from_bytes(method.as_bytes()).map_err(|_| impossible(edit))?;
                }
                _ => return Err(impossible(edit)),
            },
            name if name.starts_with(':') => return Err(impossible(edit)),
            _ => field(&mut head.headers, edit)?,
        }
    }
    Ok(())
}

/// Changes a response.
///
/// # Errors
///
/// When a name or a value cannot stand in a head; the text names it.
pub(crate) fn response(head: &mut response::Parts, edits: &Edits) -> Result<(), String> {
    for edit in edits.iter() {
        match (edit.name(), edit) {
            (":status", Edit::Set(_, status)) => {
                head.status = status.parse().map_err(|_| impossible(edit))?;
            }
            (name, _) if name.starts_with(':') => return Err(impossible(edit)),
            _ => field(&mut head.headers, edit)?,
        }
    }
    Ok(())
}

/// Gives a request another path and query.
pub(crate) fn set_path(head: &mut request::Parts, path: &str) -> Result<(), String> {
    let path: PathAndQuery = path
        .parse()
        .map_err(|error| format!("the path '{path}' cannot be sent: {error}"))?;
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(path);
    if parts.authority.is_none() {
        parts.scheme = None;
    }
    head.uri = Uri::from_parts(parts).map_err(|error| error.to_string())?;
    Ok(())
}

/// Gives a request another authority, where it stands.
pub(crate) fn set_authority(head: &mut request::Parts, authority: &str) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!("the authority '{authority}' cannot be sent: {error}")
    };
    if head.uri.authority().is_some() {
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        let parsed: Authority = authority.parse().map_err(|error| wrong(&error))?;
        parts.authority = Some(parsed);
        head.uri = Uri::from_parts(parts).map_err(|error| wrong(&error))?;
    } else {
        let value = HeaderValue::from_str(authority).map_err(|error| wrong(&error))?;
        head.headers.insert(header::HOST, value);
    }
    Ok(())
}

fn field(headers: &mut HeaderMap, edit: &Edit) -> Result<(), String> {
    let name = HeaderName::from_bytes(edit.name().as_bytes()).map_err(|_| impossible(edit))?;
    let checked = |value: &str| {
        HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("the value of '{name}' cannot be sent: it has control characters"))
    };
    match edit {
        Edit::Set(_, value) => {
            headers.insert(&name, checked(value)?);
        }
        Edit::Append(_, value) => {
            headers.append(&name, checked(value)?);
        }
        Edit::AddIfAbsent(_, value) if !headers.contains_key(&name) => {
            headers.insert(&name, checked(value)?);
        }
        Edit::OverwriteIfExists(_, value) if headers.contains_key(&name) => {
            headers.insert(&name, checked(value)?);
        }
        Edit::AddIfAbsent(..) | Edit::OverwriteIfExists(..) => {}
        Edit::Remove(_) => {
            headers.remove(&name);
        }
    }
    Ok(())
}

fn impossible(edit: &Edit) -> String {
    format!("an HTTP message cannot carry the change {edit:?}")
}
