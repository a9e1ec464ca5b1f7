//! The command line: Crossdock's own, and Envoy's as far as scripts and pilot-agent carry it.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};

use crate::{access_log::Flush, example};

/// A multi-protocol RPC gateway and service-mesh sidecar, configured as Envoy is.
#[derive(Clone, Debug, Parser)]
#[command(name = "crossdock", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// What else the program can do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a configuration: list every error, and every field that is not acted upon.
    Validate {
        #[command(flatten)]
        config: Config,
    },
    /// Show routing at work, without any file: sample services, the gateway, and calls through it.
    Quickstart {
        /// Exit after the calls; the exit code tells whether they went well.
        #[arg(long)]
        once: bool,
        /// Print the configuration that is used, in Envoy's format, and exit.
        #[arg(long)]
        print_config: bool,
        /// Print the interface of the sample's gRPC service and exit, for grpcurl.
        #[arg(long)]
        print_proto: bool,
    },
    /// Show a policy at work on four protocols: sample services, the gateway, and calls through it;
    /// the exit code tells whether callers and metrics saw what they should.
    Example {
        /// Which one; `all` for one after the other.
        #[arg(required_unless_present = "list", value_parser = PossibleValuesParser::new(example::names()))]
        name: Option<String>,
        /// List the examples and what each shows, and exit.
        #[arg(long)]
        list: bool,
        /// Print the configuration that is used, in Envoy's format, and exit.
        #[arg(long)]
        print_config: bool,
        /// Serve on after the calls, until interrupted.
        #[arg(long)]
        serve: bool,
        /// Write a configuration that has Prometheus scrape the admin endpoints to this file.
        #[arg(long, value_name = "FILE", requires = "serve")]
        prometheus: Option<PathBuf>,
    },
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Config {
    /// The configuration: Envoy's bootstrap, YAML or JSON.
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config_path: Option<PathBuf>,
    /// Configuration merged over the file: fields replace, messages merge, lists are appended.
    #[arg(long, value_name = "YAML")]
    pub(crate) config_yaml: Option<String>,
    /// Report fields that Envoy's API does not have instead of refusing them.
    #[arg(long)]
    pub(crate) allow_unknown_static_fields: bool,
    /// The same as --allow-unknown-static-fields.
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,
    /// Refuse files that are discovered for fields that Envoy's API does not have, instead of
    /// reporting these.
    #[arg(long)]
    pub(crate) reject_unknown_dynamic_fields: bool,
}

/// Serving.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Worker threads; 0 for one for each core.
    #[arg(long, default_value_t = 0)]
    pub(crate) concurrency: usize,
    /// trace, debug, info, warning, error, critical or off; or directives such as
    /// `info,crossdock_framework=debug`.
    #[arg(short = 'l', long, default_value = "info")]
    pub(crate) log_level: String,
    /// Seconds that calls in flight have when the process is asked to end.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    drain_time_s: u64,
    /// `validate` checks the configuration and exits.
    #[arg(long, value_enum, default_value_t = Mode::Serve)]
    pub(crate) mode: Mode,
    /// Milliseconds after which access logs are written at the latest.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    pub(crate) file_flush_interval_msec: u64,
    /// KiB of waiting lines after which access logs are written at once.
    #[arg(long, default_value_t = 64, value_name = "KIB")]
    pub(crate) file_flush_min_size_kb: usize,
    /// Write the address of the admin endpoint to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_address_path: Option<PathBuf>,
    #[command(flatten)]
    envoy: Accepted,
}

impl Serve {
    /// `--drain-time-s`.
    pub(crate) fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_time_s)
    }

    /// `--file-flush-interval-msec` and `--file-flush-min-size-kb`.
    pub(crate) fn flush(&self) -> Flush {
        Flush {
            // Zero would have the files' threads spin.
            interval: Duration::from_millis(self.file_flush_interval_msec.max(1)),
            size: self.file_flush_min_size_kb.saturating_mul(1024).max(1),
        }
    }

    /// `--concurrency`, with 0 resolved.
    pub(crate) fn workers(&self) -> usize {
        match self.concurrency {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }
}

/// What is done with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// It is served.
    Serve,
    /// It is checked.
    Validate,
    /// It is compiled, and nothing is served.
    #[value(name = "init_only")]
    InitOnly,
}

/// Options of Envoy that have no effect here: accepted, so that Crossdock stands in Envoy's place
/// without a wrapper.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Accepted for the sake of Envoy's scripts, without effect")]
struct Accepted {
    #[arg(long)]
    service_cluster: Option<String>,
    #[arg(long)]
    service_node: Option<String>,
    #[arg(long)]
    service_zone: Option<String>,
    #[arg(long)]
    base_id: Option<u32>,
    #[arg(long)]
    use_dynamic_base_id: bool,
    #[arg(long)]
    base_id_path: Option<PathBuf>,
    #[arg(long)]
    restart_epoch: Option<u32>,
    #[arg(long)]
    hot_restart_version: bool,
    #[arg(long)]
    parent_shutdown_time_s: Option<u64>,
    #[arg(long)]
    drain_strategy: Option<String>,
    #[arg(long)]
    disable_hot_restart: bool,
    #[arg(long)]
    skip_hot_restart_on_no_parent: bool,
    #[arg(long)]
    skip_hot_restart_parent_stats: bool,
    #[arg(long)]
    socket_path: Option<String>,
    #[arg(long)]
    socket_mode: Option<String>,
    #[arg(long)]
    local_address_ip_version: Option<String>,
    #[arg(long)]
    component_log_level: Option<String>,
    #[arg(long)]
    log_format: Option<String>,
    #[arg(long)]
    log_format_escaped: bool,
    #[arg(long)]
    log_path: Option<PathBuf>,
    #[arg(long)]
    enable_fine_grain_logging: bool,
    #[arg(long)]
    bootstrap_version: Option<u32>,
    #[arg(long)]
    ignore_unknown_dynamic_fields: bool,
    #[arg(long)]
    skip_deprecated_logs: bool,
    #[arg(long)]
    enable_mutex_tracing: bool,
    #[arg(long)]
    enable_core_dump: bool,
    #[arg(long)]
    cpuset_threads: bool,
    #[arg(long)]
    disable_extensions: Option<String>,
    #[arg(long)]
    stats_tag: Vec<String>,
    #[arg(long)]
    max_obj_name_len: Option<u64>,
    #[arg(long)]
    max_stats: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_pilot_agent_is_understood() {
        let line = "crossdock -c etc/istio/proxy/envoy-rev.json --drain-time-s 45 \
                    --drain-strategy immediate --local-address-ip-version v4 \
                    --file-flush-interval-msec 1000 --disable-hot-restart \
                    --allow-unknown-static-fields --skip-deprecated-logs -l warning \
                    --component-log-level misc:error --concurrency 2";
        let cli = Cli::try_parse_from(line.split_whitespace()).expect("Envoy takes it");
        assert_eq!(cli.serve.drain_time(), Duration::from_secs(45));
        assert_eq!(
            (cli.serve.workers(), cli.serve.log_level.as_str()),
            (2, "warning")
        );
        assert!(cli.serve.config.allow_unknown_static_fields);
    }

    #[test]
    fn scripts_of_old_are_understood() {
        let line = "crossdock --mode validate --config-path=a.yaml --use-dynamic-base-id \
                    --service-cluster c --service-node n --restart-epoch 0";
        let cli = Cli::try_parse_from(line.split_whitespace()).expect("Envoy takes it");
        assert_eq!(cli.serve.mode, Mode::Validate);
    }
}
