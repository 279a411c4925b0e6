//! The process's own log: lines on standard error. `RUST_LOG` chooses what is said; `info` by default.

use env_logger::{Builder, Env};
use std::io::Write as _;

/// What is said when `RUST_LOG` does not speak. Pingora tells failures that have a record already, and rustls warns of each
/// handshake in which a client says something odd, such as an address for a name: clients must not fill a log.
const DEFAULT: &str =
    "info,pingora_core=error,pingora_proxy=error,pingora_pool=error,h2=error,hyper=error,rustls=error";

/// Starts the log. A second call changes nothing.
pub(crate) fn start() {
    let started = Builder::from_env(Env::default().default_filter_or(DEFAULT))
        .format(|out, record| {
            let level = record.level();
            let style = out.default_level_style(level);
            let at = out.timestamp_millis();
            writeln!(out, "{at} {style}{level:5}{style:#} {}", record.args())
        })
        .try_init();
    // A team's binary may have a logger of its own.
    drop(started);
}
