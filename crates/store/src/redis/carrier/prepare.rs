//! What is sent in one tick, and to whom.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Carrier, Tick};
use crate::redis::flight::{Flight, Job, Said, WORDS};
use crate::redis::node::Node;
use crate::redis::trouble::{LinkState, Trouble};
use crate::redis::words::Word;

/// How often who has which slots is asked without a reason, and with one.
const REFRESH: Duration = Duration::from_secs(5);
const REFRESH_STALE: Duration = Duration::from_millis(200);
/// How often a replica is asked whether it was promoted.
const ROLE: Duration = Duration::from_millis(250);

impl Carrier {
    pub(super) fn prepare(&mut self, word: &str, tick: &mut Tick) -> BTreeMap<String, Flight> {
        self.choose_master();
        let used = self.used();
        let mut flights = BTreeMap::new();
        for address in &used {
            match self.nodes.get(address).map(|node| (node.open(), node)) {
                Some((Some(open), _)) => drop(flights.insert(address.clone(), Flight::to(address, open))),
                Some((None, node)) => tick.trouble(node.trouble(address)),
                None => tick.trouble(Trouble::new(LinkState::Unreachable, format!("{address}: not known"))),
            }
        }
        if used.is_empty() {
            tick.trouble(self.why_none());
        }
        if self.map.as_ref().is_some_and(|map| !map.is_whole()) {
            tick.trouble(Trouble::new(LinkState::ClusterDown, "the cluster has slots without a server"));
            self.stale = true;
        }
        self.prepare_asks(tick, &mut flights);
        let times = (nanos(self.options.ttl), nanos(self.options.gone_after));
        match self.owner(self.members_slot).map(str::to_owned).and_then(|owner| flights.get_mut(&owner)) {
            Some(flight) => flight.members(&self.members_key, self.gateway.0, word, times),
            None if tick.trouble.is_some() => {}
            None => tick.trouble(Trouble::new(LinkState::ClusterDown, "no server for the table of gateways")),
        }
        flights.values_mut().filter(|flight| flight.len() == 0).for_each(|flight| flight.plain(Job::Ping));
        self.prepare_looks(&mut flights);
        flights
    }

    /// The words of this tick. None before it is known which gateways there are, or while nobody could answer.
    fn prepare_asks(&self, tick: &mut Tick, flights: &mut BTreeMap<String, Flight>) {
        let Some(present) = self.present.filter(|_| !flights.is_empty()) else { return };
        let mut said = Vec::new();
        for ask in self.ledger.lease_asks((self.clock)(), self.gateway) {
            match Word::of(&self.options.prefix, &ask) {
                Some(word) => said.push(Said { ask, word }),
                None => {
                    self.ledger.lease_answer(&ask.key, None);
                    tick.trouble(Trouble::new(LinkState::Failed, "a cap is larger than what can be shared, 2^52"));
                }
            }
        }
        // In a cluster a command concerns one slot, and one that moves is asked word by word.
        let mut groups: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (place, said) in said.iter().enumerate() {
            let slot = if self.map.is_some() { self.slot_of_tag(said.word.tag) } else { 0 };
            groups.entry(slot).or_default().push(place);
        }
        for (slot, places) in groups {
            let Some(flight) = self.owner(slot).and_then(|owner| flights.get_mut(owner)) else { continue };
            let at_once = if self.moving.contains_key(&slot) { 1 } else { WORDS };
            for places in places.chunks(at_once) {
                let words: Vec<&Word> = places.iter().filter_map(|place| Some(&said.get(*place)?.word)).collect();
                flight.ask(present, slot, (places.to_vec(), &words));
            }
        }
        tick.counts.asks = said.len() as u64;
        tick.said = said.into_iter().map(Some).collect();
    }

    fn slot_of_tag(&self, tag: u16) -> u16 {
        self.slots.get(usize::from(tag)).copied().unwrap_or(0)
    }

    /// Asks who has which slots, or which replica was promoted, when it is time.
    fn prepare_looks(&mut self, flights: &mut BTreeMap<String, Flight>) {
        let now = Instant::now();
        let is_due = |last: Option<Instant>, every: Duration| last.is_none_or(|last| now - last >= every);
        if self.map.is_some() {
            if is_due(self.refreshed, if self.stale { REFRESH_STALE } else { REFRESH }) {
                self.refreshed = Some(now);
                // One after the other, since one may be cut off from the rest.
                let up: Vec<&String> =
                    self.nodes.iter().filter(|(_, node)| node.open().is_some()).map(|(at, _)| at).collect();
                let nth = usize::try_from(rand::random::<u32>()).unwrap_or(0).checked_rem(up.len());
                if let Some((address, open)) = nth
                    .and_then(|nth| up.get(nth))
                    .and_then(|address| Some(((*address).clone(), self.nodes.get(*address)?.open()?)))
                {
                    flights.entry(address.clone()).or_insert_with(|| Flight::to(&address, open)).plain(Job::Slots);
                }
            }
        } else if is_due(self.roles_asked, ROLE) {
            self.roles_asked = Some(now);
            for (address, node) in &self.nodes {
                if let Some(open) = node.open().filter(|open| !open.is_master) {
                    flights.entry(address.clone()).or_insert_with(|| Flight::to(address, open)).plain(Job::Role);
                }
            }
        }
    }

    /// The second way of words whose slot is on its way to another server.
    pub(super) fn prepare_redirected(&self, tick: &mut Tick) -> BTreeMap<String, Flight> {
        let mut flights: BTreeMap<String, Flight> = BTreeMap::new();
        let Some(present) = self.present else { return flights };
        let said: Vec<Option<Said>> = std::mem::take(&mut tick.said);
        for (address, places) in std::mem::take(&mut tick.redirected) {
            let Some(open) = self.nodes.get(&address).and_then(Node::open) else { continue };
            let flight = flights.entry(address.clone()).or_insert_with(|| Flight::to(&address, open));
            for place in places {
                if let Some(Some(one)) = said.get(place) {
                    let slot = self.slot_of_tag(one.word.tag);
                    flight.plain(Job::Asking);
                    flight.ask(present, slot, (vec![place], &[&one.word]));
                }
            }
        }
        tick.said = said;
        flights
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min((1 << 52) - 1)
}
