//! Wrong tokens by client network: who guesses gets one look a second, and is otherwise refused unseen.
//!
//! A fixed table: each network has a few places where it may stand, and takes that of who failed least. Certificates and
//! the Unix socket are not touched by it, so that a flood from the operator's own network does not lock the operator out.

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong tokens at once, before a network has to wait.
const BURST: f64 = 10.0;
/// How fast one is forgotten, each second.
const FORGOTTEN: f64 = 1.0;
/// Places of the table, and how many of them one network may have.
const PLACES: usize = 256;
const WAYS: usize = 4;
/// A network that is refused unseen is said in the audit log this often.
const TELL: Duration = Duration::from_secs(1);

/// Whether a token is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is.
    Yes,
    /// Too many were wrong.
    No {
        /// So many were refused since it was said last; `None` when that is not long ago.
        untold: Option<u64>,
    },
}

#[derive(Debug, Clone)]
struct Place {
    network: IpAddr,
    failures: f64,
    at: Instant,
    untold: u64,
    told: Option<Instant>,
}

impl Place {
    fn failures(&self, now: Instant) -> f64 {
        (self.failures - now.saturating_duration_since(self.at).as_secs_f64() * FORGOTTEN).max(0.0)
    }

    fn is_full(&self, now: Instant) -> bool {
        // One more must fit.
        self.failures(now) > BURST - 1.0
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Failures {
    hashing: RandomState,
    places: Mutex<Vec<Option<Place>>>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { hashing: RandomState::default(), places: Mutex::new(vec![None; PLACES]) }
    }
}

impl Failures {
    /// Whether a token from this address is looked at.
    pub(crate) fn look(&self, address: IpAddr, now: Instant) -> Look {
        self.with(address, |set, network| {
            let full = set.iter_mut().flatten().find(|place| place.network == network && place.is_full(now));
            let Some(place) = full else { return Look::Yes };
            place.untold += 1;
            let due = place.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL);
            let untold = due.then(|| {
                place.told = Some(now);
                std::mem::take(&mut place.untold)
            });
            Look::No { untold }
        })
    }

    /// A token from this address was wrong.
    pub(crate) fn wrong(&self, address: IpAddr, now: Instant) {
        self.with(address, |set, network| {
            if let Some(place) = set.iter_mut().flatten().find(|place| place.network == network) {
                (place.failures, place.at) = (place.failures(now) + 1.0, now);
                return;
            }
            let weight = |place: &&mut Option<Place>| place.as_ref().map_or(-1.0, |place| place.failures(now));
            if let Some(place) = set.iter_mut().min_by(|one, other| weight(one).total_cmp(&weight(other))) {
                *place = Some(Place { network, failures: 1.0, at: now, untold: 0, told: None });
            }
        });
    }

    fn with<R: From<Nothing>>(&self, address: IpAddr, work: impl FnOnce(&mut [Option<Place>], IpAddr) -> R) -> R {
        let network = network(address);
        let sets = PLACES / WAYS;
        let set = usize::try_from(self.hashing.hash_one(network) % sets as u64).unwrap_or(0);
        let mut places = self.places.lock();
        match places.chunks_exact_mut(WAYS).nth(set) {
            Some(set) => work(set, network),
            None => Nothing.into(),
        }
    }
}

/// What is said of a set that is not there, which cannot be.
struct Nothing;

impl From<Nothing> for Look {
    fn from(_: Nothing) -> Self {
        Self::Yes
    }
}

impl From<Nothing> for () {
    fn from(_: Nothing) -> Self {}
}

/// IPv4 by the address, IPv6 by /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_guesses_gets_one_look_a_second() {
        let (failures, start) = (Failures::default(), Instant::now());
        let (guesser, other): (IpAddr, IpAddr) = ([203, 0, 113, 7].into(), [203, 0, 113, 8].into());
        for _ in 0..10 {
            assert_eq!(failures.look(guesser, start), Look::Yes);
            failures.wrong(guesser, start);
        }
        assert_eq!(failures.look(guesser, start), Look::No { untold: Some(1) });
        assert_eq!(failures.look(guesser, start), Look::No { untold: None });
        assert_eq!(failures.look(other, start), Look::Yes, "its neighbour is not touched");
        let later = start + Duration::from_millis(1001);
        assert_eq!(failures.look(guesser, later), Look::Yes);
        failures.wrong(guesser, later);
        assert_eq!(failures.look(guesser, later), Look::No { untold: Some(2) }, "one a second, and what was not said");
    }

    #[test]
    fn many_networks_take_no_more_room() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..10_000_u32 {
            failures.wrong(IpAddr::V4(n.into()), now);
        }
        assert_eq!(failures.places.lock().len(), PLACES);
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        (0..10).for_each(|_| failures.wrong(one, now));
        assert!(matches!(failures.look("2001:db8::2".parse().unwrap(), now), Look::No { .. }), "IPv6 counts by /64");
    }
}
