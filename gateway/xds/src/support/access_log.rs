//! Access logs and their formats.

use super::{
    Message,
    Support::{Acts, Harmless, Judged},
};

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.accesslog.v3.AccessLog",
        fields: &[(Judged, &["filter"]), (Acts, &["name", "typed_config"])],
    },
    Message {
        name: "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        fields: &[(
            Acts,
            &[
                "path",
                "log_format",
                "format",
                "json_format",
                "typed_json_format",
            ],
        )],
    },
    Message {
        name: "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        fields: &[(Acts, &["log_format"])],
    },
    Message {
        name: "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
        fields: &[(Acts, &["log_format"])],
    },
    Message {
        name: "envoy.config.core.v3.SubstitutionFormatString",
        fields: &[
            (Judged, &["formatters"]),
            (
                Acts,
                &[
                    "text_format",
                    "json_format",
                    "text_format_source",
                    "omit_empty_values",
                    // Of local replies; a log line has none.
                    "content_type",
                ],
            ),
            (
                Harmless("the keys keep the order of their names"),
                &["json_format_options"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.DataSource",
        fields: &[
            (
                Acts,
                &[
                    "filename",
                    "inline_bytes",
                    "inline_string",
                    "environment_variable",
                ],
            ),
            (
                Harmless("files of certificates are watched themselves, others are read once"),
                &["watched_directory"],
            ),
        ],
    },
];
