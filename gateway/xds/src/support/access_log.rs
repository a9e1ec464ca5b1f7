//! Access logs and their formats.

use super::{
    Message,
    Support::{Acts, Harmless, Ignored},
};

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.accesslog.v3.AccessLog",
        fields: &[
            (Acts, &["name", "typed_config"]),
            (Ignored("every call is logged"), &["filter"]),
        ],
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
            (
                Acts,
                &[
                    "text_format",
                    "json_format",
                    "text_format_source",
                    "omit_empty_values",
                ],
            ),
            (
                Harmless("a log line has no content type"),
                &["content_type"],
            ),
            (
                Harmless("the keys keep the order of their names"),
                &["json_format_options"],
            ),
            (
                Ignored("formatters of extensions are not in this version"),
                &["formatters"],
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
            (Ignored("a file is read once"), &["watched_directory"]),
        ],
    },
];
