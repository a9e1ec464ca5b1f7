//! Access logs: a line for each ended call or connection, in the words of Envoy's format strings.
//!
//! A worker formats the line into a buffer of its own and leaves it to the file's thread; see
//! [`file`].

mod connection;
mod digits;
mod file;
mod filter;
mod format;
mod operator;
mod outcome;
mod replies;
#[cfg(test)]
mod tests;
mod time;

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::SystemTime,
};

use crossdock_framework::{
    log::{AccessLog, Record},
    time::Moment,
};
use crossdock_routers::Problem;
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::{
            accesslog::v3::{AccessLog as Proto, access_log::ConfigType},
            core::v3::{
                DataSource, SubstitutionFormatString, data_source::Specifier,
                substitution_format_string::Format as Substitution,
            },
        },
        extensions::access_loggers::{
            file::v3::{FileAccessLog, file_access_log},
            stream::v3::{StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log},
        },
    },
    google::protobuf::Any,
};
use prost::{Message, Name};

pub(crate) use self::{
    connection::Connection,
    file::{Files, Flush, can_write},
    replies::local_replies,
    time::TimeFormat,
};
use self::{
    file::{Output, Target},
    filter::Filter,
    format::{Format, Types},
    operator::Line,
};

/// Compiles the access logs of a connection manager and opens their files.
///
/// Known are the loggers `file`, `stdout` and `stderr` with text and JSON formats, and the filters
/// that need nothing but the call's outcome. Differences from Envoy: in a value, control
/// characters, quotation marks and backslashes are escaped as in JSON, also in text formats; a
/// value is cut after 8 KiB; the keys of JSON are sorted.
///
/// # Errors
///
/// Every problem, with a path such as `access_log[0].filter`.
pub(crate) fn compile(
    logs: &[Proto],
    files: &Files,
) -> Result<Vec<Arc<dyn AccessLog>>, Vec<Problem>> {
    let logs = of_connections(logs, files)?.into_iter();
    Ok(logs.map(|log| log as Arc<dyn AccessLog>).collect())
}

/// Compiles the access logs of a listener or of a `tcp_proxy`, as [`compile`] does.
///
/// # Errors
///
/// Every problem, with a path such as `access_log[0].filter`.
pub(crate) fn of_connections(logs: &[Proto], files: &Files) -> Result<Vec<Arc<Log>>, Vec<Problem>> {
    let mut problems = Problems::default();
    let compiled: Vec<_> = logs
        .iter()
        .enumerate()
        .filter_map(|(ix, log)| {
            problems.within(&format!("access_log[{ix}]"), |problems| {
                one(log, files, problems)
            })
        })
        .collect();
    match problems.list.is_empty() {
        true => Ok(compiled),
        false => Err(problems.list),
    }
}

fn one(log: &Proto, files: &Files, problems: &mut Problems) -> Option<Arc<Log>> {
    let filter = problems.within("filter", |problems| {
        Filter::compile(log.filter.as_ref(), problems)
    });
    let plan = problems.within("typed_config", |problems| match &log.config_type {
        Some(ConfigType::TypedConfig(any)) => logger(any, problems),
        None => problems.refuse(
            "the access log says not where to write",
            "give a typed_config",
        ),
    });
    let (filter, (target, format)) = (filter?, plan?);
    let output = files.open(target).map_err(|error| {
        let cure = "give a path that this process may append to".to_owned();
        (format!("the file cannot be opened: {error}"), cure)
    });
    let output = problems.within("typed_config.path", |problems| problems.take(output))?;
    Some(Arc::new(Log {
        filter,
        format,
        output,
    }))
}

/// Where a logger writes, and what.
fn logger(any: &Any, problems: &mut Problems) -> Option<(Target, Format)> {
    let name = any
        .type_url
        .rsplit_once('/')
        .map_or(any.type_url.as_str(), |(_, name)| name);
    if name == FileAccessLog::full_name() {
        let file: FileAccessLog = decode(any, problems)?;
        if file.path.is_empty() {
            return problems.refuse("the access log has no path", "give a path");
        }
        let format = file_format(file.access_log_format, problems)?;
        return Some((Target::of_path(&file.path), format));
    }
    let (target, format) = if name == StdoutAccessLog::full_name() {
        let stream: StdoutAccessLog = decode(any, problems)?;
        let format = stream.access_log_format;
        let format = format.map(|stdout_access_log::AccessLogFormat::LogFormat(format)| format);
        (Target::Stdout, format)
    } else if name == StderrAccessLog::full_name() {
        let stream: StderrAccessLog = decode(any, problems)?;
        let format = stream.access_log_format;
        let format = format.map(|stderr_access_log::AccessLogFormat::LogFormat(format)| format);
        (Target::Stderr, format)
    } else {
        let cure = "use the access logger file, stdout or stderr";
        return problems.refuse(
            format!("access logs of type {name} are not supported"),
            cure,
        );
    };
    let format = problems.within("log_format", |problems| {
        substitution(format.as_ref(), problems)
    });
    Some((target, format?))
}

fn decode<M: Message + Default>(any: &Any, problems: &mut Problems) -> Option<M> {
    problems.take(
        M::decode(any.value.as_slice())
            .map_err(|error| (format!("not a message of its type: {error}"), String::new())),
    )
}

#[expect(deprecated, reason = "files in use still carry the older fields")]
fn file_format(
    format: Option<file_access_log::AccessLogFormat>,
    problems: &mut Problems,
) -> Option<Format> {
    use file_access_log::AccessLogFormat as Given;
    match format {
        None => Some(Format::standard()),
        Some(Given::LogFormat(format)) => problems.within("log_format", |problems| {
            substitution(Some(&format), problems)
        }),
        Some(Given::Format(text)) => problems.within("format", |problems| match text.as_str() {
            "" => Some(Format::standard()),
            text => Format::text(text, false, problems),
        }),
        Some(Given::JsonFormat(object)) => problems.within("json_format", |problems| {
            Format::json(&object, Types::Strings, false, problems)
        }),
        Some(Given::TypedJsonFormat(object)) => problems.within("typed_json_format", |problems| {
            Format::json(&object, Types::Kept, false, problems)
        }),
    }
}

#[expect(deprecated, reason = "files in use still carry the older fields")]
fn substitution(
    format: Option<&SubstitutionFormatString>,
    problems: &mut Problems,
) -> Option<Format> {
    let Some(given) = format else {
        return Some(Format::standard());
    };
    // These two are part of Envoy by now, and of `operator`.
    const BUILT_IN: [&str; 2] = [
        "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery",
        "envoy.extensions.formatter.metadata.v3.Metadata",
    ];
    for (ix, formatter) in given.formatters.iter().enumerate() {
        let url = formatter
            .typed_config
            .as_ref()
            .map_or("", |any| any.type_url.as_str());
        if !BUILT_IN.iter().any(|name| url.ends_with(name)) {
            let reason = format!("the formatter '{}' is not supported", formatter.name);
            problems.within(&format!("formatters[{ix}]"), |problems| {
                problems.add(reason, "remove it, and the operators that it adds");
            });
        }
    }
    let omit = given.omit_empty_values;
    match &given.format {
        None => Some(Format::standard()),
        Some(Substitution::TextFormat(text)) => {
            problems.within("text_format", |problems| Format::text(text, omit, problems))
        }
        Some(Substitution::TextFormatSource(source)) => {
            problems.within("text_format_source", |problems| {
                let text = problems.take(data(source))?;
                Format::text(&text, omit, problems)
            })
        }
        Some(Substitution::JsonFormat(object)) => problems.within("json_format", |problems| {
            Format::json(object, Types::Kept, omit, problems)
        }),
    }
}

/// The text of a data source.
fn data(source: &DataSource) -> Result<String, (String, String)> {
    let refused = |reason: String, cure: &str| (reason, cure.to_owned());
    match source.specifier.as_ref() {
        Some(Specifier::InlineString(text)) => Ok(text.clone()),
        Some(Specifier::InlineBytes(octets)) => String::from_utf8(octets.clone())
            .map_err(|error| refused(format!("not UTF-8: {error}"), "use inline_string")),
        Some(Specifier::Filename(name)) => std::fs::read_to_string(name)
            .map_err(|error| refused(format!("{name}: {error}"), "give a file that can be read")),
        Some(Specifier::EnvironmentVariable(name)) => std::env::var(name)
            .map_err(|error| refused(format!("{name}: {error}"), "set the variable")),
        None => Err(refused("there is no text".to_owned(), "use inline_string")),
    }
}

/// One access log.
#[derive(Debug)]
pub(crate) struct Log {
    filter: Filter,
    format: Format,
    output: Arc<Output>,
}

thread_local! {
    /// Lines take shape here, one at a time.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The end of the call whose line was written last, and what the calendar said then: calls that
    /// end in one turn of their worker end at one moment.
    static LAST: Cell<Option<(Moment, SystemTime)>> = const { Cell::new(None) };
}

/// A line buffer that has grown beyond this is made smaller again.
const LINE_KEPT: usize = 64 * 1024;

impl AccessLog for Log {
    fn log(&self, record: &Record<'_>) {
        self.write(record, None);
    }
}

impl Log {
    /// Takes a connection.
    pub(crate) fn connection(&self, connection: &Connection<'_>) {
        self.write(&connection.record(), Some(connection));
    }

    fn write(&self, record: &Record<'_>, connection: Option<&Connection<'_>>) {
        let line = Line {
            record,
            connection,
            reply: None,
            now: match connection {
                None => calendar(record),
                Some(_) => SystemTime::now(),
            },
        };
        if !self.filter.passes(line) {
            return;
        }
        LINE.with_borrow_mut(|text| {
            text.clear();
            self.format.write(line, text);
            self.output.push(text);
            text.shrink_to(LINE_KEPT);
        });
    }
}

/// What the calendar says at the end of a call.
fn calendar(record: &Record<'_>) -> SystemTime {
    let end = record.began.after(record.duration);
    if let Some((_, now)) = LAST.get().filter(|last| last.0 == end) {
        return now;
    }
    let now = SystemTime::now();
    LAST.set(Some((end, now)));
    now
}

/// What is wrong, with the field that is looked at.
#[derive(Debug, Default)]
struct Problems {
    path: String,
    list: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, reason: impl Into<String>, cure: impl Into<String>) {
        self.list.push(Problem {
            path: self.path.clone(),
            reason: reason.into(),
            cure: cure.into(),
        });
    }

    fn refuse<T>(&mut self, reason: impl Into<String>, cure: impl Into<String>) -> Option<T> {
        self.add(reason, cure);
        None
    }

    fn take<T>(&mut self, result: Result<T, (String, String)>) -> Option<T> {
        result.map_err(|(reason, cure)| self.add(reason, cure)).ok()
    }

    /// Looks at a field of the field that is looked at.
    fn within<T>(&mut self, field: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(field);
        let found = look(self);
        self.path.truncate(length);
        found
    }
}
