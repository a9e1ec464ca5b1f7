//! `/logging`: the levels of the process's own log.

use super::{Server, query::Query, reply::Reply};

/// Envoy's names of levels.
const LEVELS: [&str; 7] = [
    "trace", "debug", "info", "warning", "error", "critical", "off",
];

/// What can have a level of its own: the parts of the program.
const LOGGERS: [&str; 7] = [
    "crossdock_bolt",
    "crossdock_dubbo",
    "crossdock_framework",
    "crossdock_gateway",
    "crossdock_hessian",
    "crossdock_routers",
    "crossdock_xds",
];

const USAGE: &str = "\
usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
";

/// Shows the levels, after changing them as the parameters say.
pub(super) fn page(server: &Server, query: &Query) -> Reply {
    let mut levels = Levels::parse(&server.log_level.current());
    for (name, value) in query.iter() {
        let changed = match name {
            "level" => levels.set_all(value),
            "paths" => value.split(',').try_for_each(|pair| {
                let (logger, level) = pair.split_once(':').ok_or("a path without its level")?;
                levels.set(logger, level)
            }),
            logger => levels.set(logger, value),
        };
        if let Err(reason) = changed {
            return Reply::bad_request(format!("error: {reason}\n\n{USAGE}"));
        }
    }
    if query.iter().next().is_some()
        && let Err(reason) = server.log_level.set(&levels.directives())
    {
        return Reply::bad_request(format!("error: {reason}\n\n{USAGE}"));
    }
    Reply::text(levels.list())
}

/// A level for everything, and those of loggers that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Levels {
    all: &'static str,
    own: Vec<(String, &'static str)>,
}

impl Levels {
    /// Reads directives such as `info,crossdock_xds=debug`; what is finer than a logger is left
    /// out.
    fn parse(directives: &str) -> Self {
        let mut levels = Self {
            all: "off",
            own: Vec::new(),
        };
        for directive in directives.split(',') {
            match directive.split_once('=') {
                None => levels.all = known(directive).unwrap_or(levels.all),
                Some((logger, level)) => {
                    levels
                        .own
                        .extend(known(level).map(|level| (logger.to_owned(), level)));
                }
            }
        }
        levels
    }

    fn set_all(&mut self, level: &str) -> Result<(), &'static str> {
        self.all = known(level).ok_or("unknown logger level")?;
        self.own.clear();
        Ok(())
    }

    fn set(&mut self, logger: &str, level: &str) -> Result<(), &'static str> {
        if !LOGGERS.contains(&logger) {
            return Err("unknown logger name");
        }
        let level = known(level).ok_or("unknown logger level")?;
        self.own.retain(|(known, _)| known != logger);
        self.own.push((logger.to_owned(), level));
        Ok(())
    }

    /// As the log takes them.
    fn directives(&self) -> String {
        let own = self
            .own
            .iter()
            .map(|(logger, level)| format!(",{logger}={}", directive(level)));
        own.fold(directive(self.all).to_owned(), |all, own| all + &own)
    }

    fn list(&self) -> String {
        let mut text = String::from("active loggers:\n");
        for logger in LOGGERS {
            let own = self.own.iter().find(|(known, _)| known == logger);
            let level = own.map_or(self.all, |(_, level)| level);
            text.push_str(&format!("  {logger}: {level}\n"));
        }
        text
    }
}

/// The level of this name, in Envoy's spelling or in that of the log.
fn known(level: &str) -> Option<&'static str> {
    let level = level.to_ascii_lowercase();
    let level = if level == "warn" {
        "warning"
    } else {
        level.as_str()
    };
    LEVELS.into_iter().find(|known| *known == level)
}

fn directive(level: &'static str) -> &'static str {
    match level {
        "warning" => "warn",
        "critical" => "error",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_written() {
        let mut levels = Levels::parse("crossdock_xds=debug,warn");
        assert_eq!(levels.directives(), "warn,crossdock_xds=debug");
        levels
            .set("crossdock_bolt", "critical")
            .expect("both are known");
        levels
            .set("crossdock_xds", "trace")
            .expect("both are known");
        assert_eq!(
            levels.directives(),
            "warn,crossdock_bolt=error,crossdock_xds=trace"
        );
        assert!(
            levels
                .list()
                .contains("  crossdock_bolt: critical\n  crossdock_dubbo: warning\n")
        );
        levels.set_all("OFF").expect("it is known");
        assert_eq!(levels, Levels::parse("off"));
    }

    #[test]
    fn unknown_names_change_nothing() {
        let mut levels = Levels::parse("info");
        assert_eq!(levels.set("http", "info"), Err("unknown logger name"));
        assert_eq!(
            levels.set("crossdock_xds", "loud"),
            Err("unknown logger level")
        );
        assert_eq!(levels.set_all("loud"), Err("unknown logger level"));
        assert_eq!(levels, Levels::parse("info"));
    }
}
