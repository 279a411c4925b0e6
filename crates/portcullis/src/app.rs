//! What a binary is made of: filters, seams, sinks, a name.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};

use portcullis_filter::Registry;
use portcullis_filter::seam::Seams;
use portcullis_identity::store::ConsumerStore;
use portcullis_telemetry::RecordSink;
use portcullis_telemetry::metrics::RpcMetrics;

use crate::cli::Cli;
use crate::{commands, output};

/// A gateway binary to be.
pub struct App {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) registry: Registry,
    pub(crate) seams: Seams,
    /// Where what is JSON-RPC's counts.
    pub(crate) rpc: Arc<RpcMetrics>,
    pub(crate) sinks: Vec<Arc<dyn RecordSink>>,
    pub(crate) store: Option<Arc<dyn ConsumerStore>>,
    /// The command line.
    pub(crate) line: Vec<OsString>,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// The gateway as it comes: the built-in filters, and JSON-RPC with its reader of bodies and its caches.
    #[must_use]
    pub fn new() -> Self {
        let (mut seams, rpc) = (Seams::default(), Arc::<RpcMetrics>::default());
        portcullis_rpc::plug(&mut seams, &rpc);
        Self {
            name: "portcullis",
            version: env!("CARGO_PKG_VERSION"),
            registry: portcullis_rpc::register(portcullis_filters::registry()),
            seams,
            rpc,
            sinks: Vec::new(),
            store: None,
            line: Vec::new(),
        }
    }

    /// Names the binary: what `version` and the help say.
    #[must_use]
    pub fn named(mut self, name: &'static str, version: &'static str) -> Self {
        (self.name, self.version) = (name, version);
        self
    }

    /// Adds filters, or puts others in the place of built-in ones.
    #[must_use]
    pub fn registry(mut self, change: impl FnOnce(Registry) -> Registry) -> Self {
        self.registry = change(self.registry);
        self
    }

    /// Plugs in what is no filter: L4 and CONNECT handlers, host and certificate sources, body readers, caches.
    #[must_use]
    pub fn seams(mut self, change: impl FnOnce(&mut Seams)) -> Self {
        change(&mut self.seams);
        self
    }

    /// Adds a sink that gets every finished record.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn RecordSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Plugs in a store of consumers, asked for whom the file does not have.
    #[must_use]
    pub fn consumers(mut self, store: Arc<dyn ConsumerStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Reads the process's command line and does what it says.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Reads a command line, the binary's own name first, and does what it says.
    #[must_use]
    pub fn run(mut self, args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
        let command = Cli::command().name(self.name).version(self.version);
        self.line = args.into_iter().map(Into::into).collect();
        let cli = command.try_get_matches_from(&self.line).and_then(|matches| Cli::from_arg_matches(&matches));
        match cli {
            Ok(cli) => commands::dispatch(self, cli.command),
            Err(error) => {
                let code = if error.use_stderr() { 2 } else { 0 };
                // A terminal that is gone hears nothing.
                drop(error.print());
                ExitCode::from(code)
            }
        }
    }
}

/// Turns a command's outcome into an exit code, its failure into a line.
pub(crate) fn finish(outcome: Result<bool, String>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            output::say(&format!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// How a change ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is done.
    Done,
    /// It was refused, or failed.
    Failed,
    /// It was done, and rolled back meanwhile.
    RolledBack,
    /// It was meant for another config than the one that serves.
    Stale,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::RolledBack => 3,
            Exit::Stale => 4,
        })
    }
}

/// Turns the outcome of a change into an exit code, its failure into a line.
pub(crate) fn finish_change(outcome: Result<Exit, String>) -> ExitCode {
    outcome.map_or_else(|message| finish(Err(message)), ExitCode::from)
}
