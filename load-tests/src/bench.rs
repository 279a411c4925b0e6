//! What `make bench` has the rig do, as commands of the rig.

use crate::contenders::Contender;
use crate::process::find;
use crate::report::progress;

/// What `rig bars` does: the commands of the first table of bars in `docs/performance.md`, of what is shipped.
pub const BARS: [&str; 7] = [
    "speed --contenders envoy,usual,logged,full,bare,haproxy --rounds 6 --seconds 1 --connections 32",
    "speed --contenders envoy,usual,haproxy --rounds 6 --seconds 1 --connections 256",
    "speed --contenders pingap,usual,envoy,bare,haproxy --rounds 6 --seconds 1 --connections 32",
    "speed --contenders haproxy,usual,nginx --rounds 8 --seconds 1 --connections 32 --body 102400",
    "handshakes --rounds 6 --seconds 1",
    "handshakes --full --rounds 6 --seconds 1",
    "gatekeeper --rounds 12 --seconds 1 --latency-rounds 0 --requests 0",
];

/// What `rig all` does. Other proxies need fewer rounds: nothing is decided by a few percent there.
pub const ALL: [&str; 17] = [
    "speed",
    "speed --contenders haproxy,usual,full --rounds 8 --seconds 2 --connections 32 --body 102400",
    "handshakes",
    "handshakes --full",
    "handshakes --hybrid --contenders usual",
    "instructions",
    "instructions --contenders plain,counted,watched",
    "memory",
    "tunnels",
    "reload",
    "start",
    "scenes",
    "scenes --scenes pausing,slow --rounds 3 --seconds 8 --knob 'hedge: {}'",
    "gatekeeper",
    "flood",
    "generator",
    "speed --contenders bare,plain,usual,full,nginx,haproxy,envoy,pingap,praxis --rounds 8 --seconds 2 --connections 32,256",
];

/// Others than the gateway and bare Pingora, without which there is nothing to measure, and what installs them.
const OTHERS: [(Contender, &str); 5] = [
    (Contender::Nginx, "scripts/setup bench"),
    (Contender::Haproxy, "scripts/setup bench"),
    (Contender::Envoy, "scripts/setup bench"),
    (Contender::Pingap, "scripts/rivals"),
    (Contender::Praxis, "scripts/rivals"),
];

/// What may be missing on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// Who is measured.
    Contender(Contender),
    /// What asks.
    Wrk,
}

/// Whether it is there; if not, it is said what installs it.
#[must_use]
pub fn is_installed(needed: Needed) -> bool {
    let (name, source, there) = match needed {
        Needed::Wrk => ("wrk".to_owned(), "scripts/setup bench", find("wrk").is_some()),
        Needed::Contender(contender) => {
            let Some((_, source)) = OTHERS.iter().find(|(other, _)| *other == contender) else { return true };
            (contender.to_string(), *source, contender.program().is_some())
        }
    };
    if !there {
        progress(&format!("{name} is not installed and left out: {source}"));
    }
    there
}
