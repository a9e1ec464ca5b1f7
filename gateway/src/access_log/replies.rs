//! The gateway's own answers in the words of formats: `local_reply_config`.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use crossdock_framework::{
    edits::Edit,
    log::Record,
    status::Status,
    stream::{Replies, Rewrite},
};
use crossdock_routers::Problem;
use crossdock_xds::envoy_types::pb::envoy::{
    config::core::v3::{
        HeaderValueOption, SubstitutionFormatString, header_value_option::HeaderAppendAction,
        substitution_format_string::Format as Substitution,
    },
    extensions::filters::network::http_connection_manager::v3::{LocalReplyConfig, ResponseMapper},
};

use super::{Problems, data, filter::Filter, format::Format, operator::Line, substitution};

/// The longest text of a mapper, and the most mappers.
const MAX_BODY: usize = 64 * 1024;
const MAX_MAPPERS: usize = 1000;

/// What becomes of answers.
#[derive(Debug)]
struct LocalReplies {
    mappers: Vec<Mapper>,
    body: Option<Body>,
}

/// What becomes of some answers.
#[derive(Debug)]
struct Mapper {
    filter: Filter,
    http: Option<u16>,
    text: Option<Arc<str>>,
    body: Option<Body>,
    headers: Vec<Header>,
}

#[derive(Debug)]
struct Body {
    format: Format,
    kind: Box<str>,
}

#[derive(Debug)]
struct Header {
    name: Box<str>,
    value: Format,
    action: HeaderAppendAction,
    keep_empty: bool,
}

/// Compiles what a connection manager says of local replies; `None` where it says nothing.
///
/// # Errors
///
/// Every problem, with a path such as `local_reply_config.mappers[0].filter`.
pub(crate) fn local_replies(
    config: Option<&LocalReplyConfig>,
) -> Result<Option<Replies>, Vec<Problem>> {
    let Some(config) = config else {
        return Ok(None);
    };
    let mut problems = Problems::default();
    let replies = problems.within("local_reply_config", |problems| {
        if config.mappers.len() > MAX_MAPPERS {
            let reason = format!("there are over {MAX_MAPPERS} mappers");
            problems.add(reason, "use fewer");
        }
        let mappers = config.mappers.iter().take(MAX_MAPPERS).enumerate();
        let mappers = mappers.map(|(ix, given)| {
            problems.within(&format!("mappers[{ix}]"), |problems| {
                mapper(given, problems)
            })
        });
        let mappers: Vec<_> = mappers.collect();
        let body = problems.within("body_format", |problems| {
            body(config.body_format.as_ref(), problems)
        });
        Some(LocalReplies {
            mappers: mappers.into_iter().collect::<Option<_>>()?,
            body: body?,
        })
    });
    match replies {
        Some(replies) if problems.list.is_empty() => Ok(Some(Replies(Arc::new(replies)))),
        _ => Err(problems.list),
    }
}

fn mapper(given: &ResponseMapper, problems: &mut Problems) -> Option<Mapper> {
    let filter = problems.within("filter", |problems| {
        Filter::compile(given.filter.as_ref(), problems)
    });
    let text = problems.within("body", |problems| match &given.body {
        None => Some(None),
        Some(source) => {
            let text = problems.take(data(source))?;
            if text.len() > MAX_BODY {
                let reason = format!("the text is longer than {MAX_BODY} octets");
                return problems.refuse(reason, "write less");
            }
            Some(Some(text.into()))
        }
    });
    let body = problems.within("body_format_override", |problems| {
        body(given.body_format_override.as_ref(), problems)
    });
    let headers = given.headers_to_add.iter().enumerate();
    let headers: Vec<_> = headers
        .map(|(ix, given)| {
            let field = format!("headers_to_add[{ix}].header");
            problems.within(&field, |problems| header(given, problems))
        })
        .collect();
    let http = given.status_code.map(|code| code.value);
    Some(Mapper {
        filter: filter?,
        // Envoy's rules keep it from 200 to 599.
        http: http.and_then(|code| u16::try_from(code).ok()),
        text: text?,
        body: body?,
        headers: headers.into_iter().collect::<Option<_>>()?,
    })
}

fn body(given: Option<&SubstitutionFormatString>, problems: &mut Problems) -> Option<Option<Body>> {
    let Some(given) = given else {
        return Some(None);
    };
    let usual = match given.format {
        Some(Substitution::JsonFormat(_)) => "application/json",
        _ => "text/plain",
    };
    let kind = match given.content_type.as_str() {
        "" => usual,
        kind => kind,
    };
    if !kind.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        let reason = "the content type is no text of ASCII";
        return problems.within("content_type", |problems| {
            problems.refuse(reason, "correct it")
        });
    }
    Some(Some(Body {
        format: substitution(Some(given), problems)?,
        kind: kind.into(),
    }))
}

fn header(given: &HeaderValueOption, problems: &mut Problems) -> Option<Header> {
    let Some(header) = &given.header else {
        return problems.refuse("there is no header", "give key and value");
    };
    let name = header.key.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        let reason = format!("'{name}' is no name of a header");
        return problems.within("key", |problems| problems.refuse(reason, "correct it"));
    }
    let raw = String::from_utf8_lossy(&header.raw_value);
    let text = match header.value.as_str() {
        "" => &raw,
        text => text,
    };
    let value = problems.within("value", |problems| Format::text(text, true, problems));
    #[expect(deprecated, reason = "Envoy's users still set it")]
    let action = match given.append.map(|append| append.value) {
        Some(true) => HeaderAppendAction::AppendIfExistsOrAdd,
        Some(false) => HeaderAppendAction::OverwriteIfExistsOrAdd,
        None => given.append_action(),
    };
    Some(Header {
        name: name.into(),
        value: value?,
        action,
        keep_empty: given.keep_empty_value,
    })
}

impl Rewrite for LocalReplies {
    fn rewrite(&self, record: &Record<'_>, status: &mut Status) {
        let text = status.text.clone();
        let mut line = Line {
            record,
            connection: None,
            reply: Some(&text),
            now: SystemTime::now(),
        };
        let mapper = self
            .mappers
            .iter()
            .find(|mapper| mapper.filter.passes(line));
        let Some(mapper) = mapper else {
            return form(self.body.as_ref(), line, status);
        };
        let own;
        if let Some(text) = &mapper.text {
            own = Arc::clone(text);
            line.reply = Some(&own);
            status.text = Cow::Owned((**text).to_owned());
        }
        for header in &mapper.headers {
            header.add(line, status);
        }
        let Some(http) = mapper.http.filter(|http| *http != status.http) else {
            return form(mapper.body.as_ref().or(self.body.as_ref()), line, status);
        };
        status.http = http;
        status.renamed = true;
        // Formats tell the status that the caller gets.
        let record = Record { http, ..*record };
        let line = Line {
            record: &record,
            ..line
        };
        form(mapper.body.as_ref().or(self.body.as_ref()), line, status);
    }
}

/// Writes the answer's text.
fn form(body: Option<&Body>, line: Line<'_>, status: &mut Status) {
    let Some(body) = body else { return };
    let mut out = Vec::new();
    body.format.write(line, &mut out);
    status.text = Cow::Owned(String::from_utf8_lossy(&out).into_owned());
    status.kind = Some(body.kind.clone());
}

impl Header {
    fn add(&self, line: Line<'_>, status: &mut Status) {
        let mut out = Vec::new();
        self.value.write(line, &mut out);
        if out.is_empty() && !self.keep_empty {
            return;
        }
        let (name, value) = (self.name.clone(), String::from_utf8_lossy(&out).into());
        status.headers.push(match self.action {
            HeaderAppendAction::AppendIfExistsOrAdd => Edit::Append(name, value),
            HeaderAppendAction::AddIfAbsent => Edit::AddIfAbsent(name, value),
            HeaderAppendAction::OverwriteIfExistsOrAdd => Edit::Set(name, value),
            HeaderAppendAction::OverwriteIfExists => Edit::OverwriteIfExists(name, value),
        });
    }
}
