//! The gateway: main, the command line, the wiring, and the library that a team's own binary starts from.
//!
//! A platform team's `main` is a few lines, and has the whole command line:
//!
//! ```no_run
//! use portcullis::App;
//!
//! fn main() -> std::process::ExitCode {
//!     App::new()
//!         .named("edge-gateway", env!("CARGO_PKG_VERSION"))
//!         // .registry(|registry| registry.with::<MyFilter>())
//!         // .seams(|seams| seams.hosts = Some(std::sync::Arc::new(MySites)))
//!         .main()
//! }
//! ```
//!
//! A binary should set a global allocator of its own; this crate's does. Invariants: a reload is tried by one code
//! path whoever asks for it, one at a time; what a command prints goes to standard output, what it has to say about
//! itself to standard error; exit codes are 0 for yes, 1 for no, 2 for a command line that cannot be read, 3 for a change
//! that was rolled back meanwhile, 4 for one that was meant for another config than the one that serves.

mod app;
mod boot;
mod cli;
mod client;
mod commands;
mod consumers;
mod control;
mod counting;
mod descriptors;
mod drift;
mod effect;
mod files;
mod first;
mod history;
mod keeping;
mod life;
mod lifecycle;
mod logging;
mod logs;
mod output;
mod reload;
mod run;
mod slos;
mod sources;
mod standing;
mod systemd;
mod traffic;
mod trial;
mod upgrade;
mod watch;
mod world;

#[cfg(test)]
mod tests;

pub use app::App;

/// The extension boundary: `Filter`, phases, registry, seams, the test kit.
pub use portcullis_filter as filter;
/// The built-in filters.
pub use portcullis_filters as filters;
/// Who calls: consumers, and the trait of a store that has them.
pub use portcullis_identity as identity;
/// Records and the sinks that take them.
pub use portcullis_telemetry as telemetry;
/// The words everyone shares.
pub use portcullis_types as types;
/// Settings of filters: `Decode` and its derive.
pub use portcullis_yaml as yaml;
