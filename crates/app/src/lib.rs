//! The binary `certferry`, as a library so that tests can drive it: config, commands, outputs, wiring.
//!
//! A command reads the config ([`config`]), wires the parts ([`wiring`]), lets the engine work, and prints. Exit codes
//! are in [`Exit`].

#![forbid(unsafe_code)]

mod adoption;
mod api;
mod api_certificate;
mod certbot;
mod cli;
mod commands;
pub mod config;
mod exit;
mod failure;
mod output;
mod private_file;
mod progress;
mod responder_server;
mod status;
pub mod wiring;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use commands::apply::apply_with;
pub use exit::Exit;

use crate::cli::{CertificatesCommand, Command, CommandLine, DnsCommand, GlobalOptions, ImportCommand};
use crate::failure::Failure;

/// The whole program: parses `arguments` (the program's name first), runs the command, prints, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = match CommandLine::try_parse_from(arguments) {
        Ok(command_line) => command_line,
        Err(error) => {
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Healthy };
            return exit.into();
        }
    };
    // Of a daemon the log is all that one sees.
    let is_daemon = matches!(command_line.command, Command::Daemon { .. });
    log_to_stderr(command_line.global.verbose + u8::from(is_daemon));
    // The one TLS stack of the process; libraries that ask for the default get this one too.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let exit = run(command_line).unwrap_or_else(|failure| {
        output::complain(&failure.render());
        failure.exit()
    });
    exit.into()
}

/// The document of `status --output json`, for tests and benches that have no command line.
pub fn status_json(
    desired: &certferry_core::desired::Desired,
    recorded: &certferry_core::recorded::Recorded,
    now: jiff::Timestamp,
) -> String {
    let certificates = status::status(desired, recorded, now);
    serde_json::to_string_pretty(&output::StatusDocument::new(&certificates)).unwrap_or_default()
}

fn run(command_line: CommandLine) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Machine { what: "the runtime could not start".to_owned(), source })?;
    runtime.block_on(async {
        // The daemon ends what it has begun before it stops.
        if let Command::Daemon { every } = &command_line.command {
            return commands::daemon::run(&command_line.global, (*every).into()).await;
        }
        tokio::select! {
            outcome = dispatch(command_line) => outcome,
            () = stop_signal() => Err(Failure::Stopped),
        }
    })
}

async fn dispatch(command_line: CommandLine) -> Result<Exit, Failure> {
    let CommandLine { global, command } = command_line;
    match command {
        Command::Demo => commands::demo::run(&global).await,
        Command::Account(command) => commands::account::run(&global, &command).await,
        Command::Certificates(CertificatesCommand::Export { name, to }) => {
            commands::export::run(&global, &name, &to).await
        }
        Command::Import(ImportCommand::Certbot(arguments)) => commands::import_certbot::run(&global, &arguments).await,
        Command::Dns(DnsCommand::Point(arguments)) => commands::point::run(&global, &arguments).await,
        Command::DeployHook(arguments) => commands::deploy_hook::run(&global, &arguments).await,
        Command::Adopt(asked) => commands::adopt::run(&global, &asked).await,
        Command::Inventory { load_balancer } => commands::inventory::run(&global, &load_balancer).await,
        Command::Revoke(asked) => commands::revoke::run(&global, &asked).await,
        Command::Daemon { every } => commands::daemon::run(&global, every.into()).await,
        Command::Check { online } => commands::check::run(&global, online).await,
        Command::Plan(selection) => commands::plan::run(&global, &selection).await,
        Command::Apply(selection) => commands::apply::run(&global, &selection).await,
        Command::Status => commands::status::run(&global).await,
        Command::History { certificate, limit } => commands::history::run(&global, certificate.as_deref(), limit).await,
        Command::Policy { name } => commands::policy::run(&global, &name),
        Command::Avi(command) => commands::avi::run(&global, command).await,
    }
}

impl GlobalOptions {
    fn load_config(&self) -> Result<config::Config, Failure> {
        Ok(config::load(self.config.as_deref())?)
    }

    fn wants_json(&self) -> bool {
        self.output == cli::Format::Json
    }
}

/// Ends when the process is asked to stop. What was under way is continued by the next run, as after a crash.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = interrupt.await;
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}

fn log_to_stderr(verbose: u8) {
    let (ours, others) = match verbose {
        0 => (LevelFilter::ERROR, LevelFilter::ERROR),
        1 => (LevelFilter::INFO, LevelFilter::WARN),
        _ => (LevelFilter::DEBUG, LevelFilter::WARN),
    };
    let targets = Targets::new().with_target("certferry", ours).with_default(others);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(verbose > 1);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}
