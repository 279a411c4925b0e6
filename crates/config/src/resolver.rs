//! Endpoint names to addresses, in a bounded time.
//!
//! Names are resolved when a generation is made, all at once. A name that gives no address in time is an error at
//! its place in the file; it never delays a request.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A host and a port to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The host name.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
}

/// What became of a [`Target`]: its addresses, sorted, at least one; or a sentence for the operator.
pub type Resolved = Result<Vec<SocketAddr>, String>;

/// Where addresses come from.
pub trait Resolver: Send + Sync {
    /// Resolves all targets, in order, within the resolver's own bound of time.
    fn resolve(&self, targets: &[Target]) -> Vec<Resolved>;
}

/// The system's resolver, in a few threads.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver {
    /// How long all targets together may take.
    pub timeout: Duration,
}

impl Default for SystemResolver {
    /// Five seconds.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5) }
    }
}

/// Threads that resolve at once. One that hangs in the system's resolver ends when that gives up.
const THREADS: usize = 8;

impl Resolver for SystemResolver {
    fn resolve(&self, targets: &[Target]) -> Vec<Resolved> {
        let late = || Err(format!("no answer within {}", portcullis_types::quantity::format_duration(self.timeout)));
        let mut answers: Vec<Resolved> = targets.iter().map(|_| late()).collect();
        let deadline = Instant::now() + self.timeout;
        let queue = Arc::new(Mutex::new(targets.iter().cloned().enumerate().collect::<Vec<_>>()));
        let (sender, receiver) = mpsc::channel();
        for _ in 0..THREADS.min(targets.len()) {
            let (queue, sender) = (queue.clone(), sender.clone());
            std::thread::spawn(move || work(&queue, &sender));
        }
        drop(sender);
        while let Ok((at, answer)) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Some(slot) = answers.get_mut(at) {
                *slot = answer;
            }
        }
        if let Ok(mut queue) = queue.lock() {
            queue.clear();
        }
        answers
    }
}

fn work(queue: &Mutex<Vec<(usize, Target)>>, sender: &mpsc::Sender<(usize, Resolved)>) {
    let next = || queue.lock().ok()?.pop();
    while let Some((at, target)) = next() {
        if sender.send((at, lookup(&target))).is_err() {
            return;
        }
    }
}

fn lookup(target: &Target) -> Resolved {
    let found = (&*target.host, target.port).to_socket_addrs().map_err(|error| error.to_string())?;
    one_family(found)
}

/// The addresses of one family, IPv4 where there is any: `localhost` means 127.0.0.1 and not ::1 as well.
fn one_family(found: impl Iterator<Item = SocketAddr>) -> Resolved {
    let (v4, v6): (BTreeSet<_>, BTreeSet<_>) = found.partition(SocketAddr::is_ipv4);
    let chosen = if v4.is_empty() { v6 } else { v4 };
    if chosen.is_empty() { Err("the name has no address".to_owned()) } else { Ok(chosen.into_iter().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn prefers_ipv4_and_sorts() {
        for (found, chosen) in [
            (&["[::1]:80", "127.0.0.1:80"][..], &["127.0.0.1:80"][..]),
            (&["10.0.0.2:1", "10.0.0.1:1", "10.0.0.2:1"], &["10.0.0.1:1", "10.0.0.2:1"]),
            (&["[::2]:1", "[::1]:1"], &["[::1]:1", "[::2]:1"]),
        ] {
            assert_eq!(one_family(addresses(found).into_iter()), Ok(addresses(chosen)));
        }
        assert!(one_family(std::iter::empty()).is_err());
    }

    #[test]
    fn resolves_in_order() {
        let targets = [1, 2, 3].map(|port| Target { host: Arc::from("127.0.0.1"), port });
        let answers = SystemResolver::default().resolve(&targets);
        let expected = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|text| Ok(addresses(&[text])));
        assert_eq!(answers, expected);
    }
}
