//! Calendar time in UTC, as `%START_TIME(FORMAT)%` writes it.

pub(crate) use crossdock_routers::format::TimeFormat;
