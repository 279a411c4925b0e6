//! Addresses, and waiting.
//!
//! Each test process has a loopback address of its own, made of its process id, and hands out ports on it by counting.
//! So a port that is picked now is still free when the gateway binds it, whatever other tests run beside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How often a condition that cannot be waited for is looked at.
const GLANCE: Duration = Duration::from_millis(5);

static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

/// The loopback address of this process.
#[must_use]
pub fn own_ip() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 64 + (high & 0x3f), middle, low))
}

/// Another one, for what needs the same port twice.
#[must_use]
pub fn other_ip() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 128 + (high & 0x3f), middle, low))
}

/// An address that nobody else gets.
#[must_use]
pub fn address() -> SocketAddr {
    SocketAddr::new(own_ip(), NEXT_PORT.fetch_add(1, Ordering::Relaxed))
}

/// Asks until there is an answer.
///
/// # Panics
/// When there is none within [`PATIENCE`]; `what` says what was waited for.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(GLANCE);
    }
    panic!("waited in vain for {what}");
}
