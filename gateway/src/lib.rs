//! The gateway: command line, configuration, listeners, workers, admin endpoint.
//!
//! The way of a connection: `listen` accepts it and hands it to a worker, `arrive` chooses its
//! filter chain and shakes hands, `serve` finds out its protocol, and the framework's relay serves
//! it to its end.
#![forbid(unsafe_code)]

mod access_log;
mod admin;
mod args;
mod arrive;
mod chains;
mod compile;
mod discovery;
mod dns;
mod example;
mod health;
mod listen;
mod listeners;
mod logging;
mod proxied;
mod quickstart;
mod rpc_stats;
mod run;
mod sample;
mod serve;
mod server;
mod settings;
mod tcp;
mod tls;
mod validate;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use crossdock_xds::{
    Loss,
    bootstrap::{self, Options},
    discovery::Options as FileOptions,
};

use crate::{
    access_log::Flush,
    args::{Cli, Command, Config, Mode, Serve},
    example::Then,
    run::{CannotStart, Gateway},
    server::ProcessSettings,
};

/// The program: parses the command line, does what it says, and returns its exit code: 0 for
/// success, 1 for a configuration or an address that cannot be used, 2 for a wrong command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Validate { config }) => validate::validate(&config),
        Some(Command::Quickstart {
            print_config: true, ..
        }) => quickstart::print_config(),
        Some(Command::Quickstart {
            print_proto: true, ..
        }) => quickstart::print_proto(),
        Some(Command::Quickstart { once, .. }) => {
            on_show(1, |settings| quickstart::run(settings, once))
        }
        Some(Command::Example { list: true, .. } | Command::Example { name: None, .. }) => {
            example::list()
        }
        Some(Command::Example {
            name: Some(name),
            print_config: true,
            ..
        }) => example::print_config(&name),
        Some(Command::Example {
            name: Some(name),
            serve,
            prometheus,
            ..
        }) => {
            let then = match serve {
                true => Then::Serve(prometheus.as_deref()),
                false => Then::End,
            };
            on_show(2, |settings| example::run(&name, settings, then))
        }
        None if cli.serve.mode != Mode::Serve => validate::validate(&cli.serve.config),
        None => serve_file(&cli.serve),
    }
}

/// Serves a configuration to the end of the process.
fn serve_file(args: &Serve) -> ExitCode {
    let log_level = match logging::start(&args.log_level) {
        Ok(level) => level,
        Err(text) => return refuse(&[text]),
    };
    let loaded =
        match bootstrap::load_with(args.config.config_path.as_deref(), &options(&args.config)) {
            Ok(loaded) => loaded,
            Err(rejected) => {
                let problems = validate::all_problems(rejected);
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                return refuse(&lines);
            }
        };
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    for unused in &loaded.unused {
        match unused.loss {
            Loss::Function => tracing::warn!("{unused}"),
            Loss::Nothing => tracing::info!("{unused}"),
        }
    }
    let settings = ProcessSettings {
        concurrency: args.workers(),
        drain_time: args.drain_time(),
        flush: args.flush(),
        log_level,
        files: discovery_options(&args.config),
    };
    if let Some(path) = &args.admin_address_path
        && let Err(error) = access_log::can_write(path)
    {
        let path = path.display();
        return refuse(&[format!(
            "cannot write {path}: {error}; give --admin-address-path a file that this process may \
             write"
        )]);
    }
    on_runtime(async {
        let gateway = match Gateway::start(loaded, settings).await {
            Ok(gateway) => gateway,
            Err(CannotStart(lines)) => return refuse(&lines),
        };
        for listener in gateway.bound() {
            tracing::info!("listener '{}' at {}", listener.name, listener.address);
        }
        if let Some(address) = gateway.admin_address() {
            tracing::info!("admin endpoint at http://{address}");
            if let Some(path) = &args.admin_address_path
                && let Err(error) = std::fs::write(path, address.to_string())
            {
                return refuse(&[format!("cannot write {}: {error}", path.display())]);
            }
        }
        gateway.serve().await
    })
}

/// Runs something that prints a table, with a log that does not disturb it.
fn on_show<F: Future<Output = ExitCode>>(
    workers: usize,
    show: impl FnOnce(ProcessSettings) -> F,
) -> ExitCode {
    let log_level = match logging::start("warn") {
        Ok(level) => level,
        Err(text) => return refuse(&[text]),
    };
    let settings = ProcessSettings {
        concurrency: workers,
        drain_time: Duration::from_secs(5),
        flush: Flush::default(),
        log_level,
        files: discovery_options(&Config::default()),
    };
    on_runtime(show(settings))
}

/// Runs the program's own tasks to the end: accepting, DNS, the admin endpoint.
fn on_runtime(program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(program);
            // A name that is being looked up does not hold the end of the process up.
            runtime.shutdown_background();
            code
        }
        Err(error) => refuse(&[format!("cannot start: {error}")]),
    }
}

fn options(config: &Config) -> Options {
    Options {
        config_yaml: config.config_yaml.clone(),
        allow_unknown_fields: config.allow_unknown_static_fields || config.allow_unknown_fields,
        ..file_options()
    }
}

/// How files with resources are read.
fn discovery_options(config: &Config) -> FileOptions {
    FileOptions {
        extensions: file_options().extensions,
        reject_unknown_fields: config.reject_unknown_dynamic_fields,
    }
}

/// How a bootstrap file is read that no argument says anything of.
fn file_options() -> Options {
    Options {
        extensions: crossdock_filters::Registry::standard().extensions(),
        ..Options::default()
    }
}

/// Tells the operator why nothing was started.
fn refuse(lines: &[String]) -> ExitCode {
    for line in lines {
        eprintln!("error: {line}");
    }
    ExitCode::FAILURE
}
