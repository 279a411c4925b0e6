//! Which servers there are, and which of them keep pools.

use std::time::Instant;

use super::{Carrier, Tick};
use crate::redis::node::Node;
use crate::redis::place::Place;
use crate::redis::slots::SlotMap;
use crate::redis::trouble::{LinkState, Trouble};

impl Carrier {
    /// Goes on with connections, and learns from new ones.
    pub(super) async fn connect(&mut self, tick: &mut Tick) {
        let now = Instant::now();
        let mut made = 0;
        for (address, node) in &mut self.nodes {
            match node.progress(now).await {
                None => {}
                Some(Err(trouble)) => {
                    tick.counts.timeouts += u64::from(trouble.state == LinkState::Slow);
                    self.stale = true;
                }
                Some(Ok(())) => {
                    made += 1;
                    let slots = node.open().and_then(|open| open.slots.as_ref());
                    let map = slots.and_then(|slots| SlotMap::read(slots, address));
                    if self.map.is_none() || (self.stale && map.is_some()) {
                        self.map = map;
                    }
                }
            }
        }
        self.status.lock().connections += made;
        self.follow_map(now);
    }

    /// Has a node for each master of the cluster, and none that is neither that nor named by the config.
    pub(super) fn follow_map(&mut self, now: Instant) {
        let Some(map) = &self.map else { return };
        let masters = map.masters();
        self.nodes.retain(|address, _| self.seeds.contains_key(address) || masters.contains(&address.as_str()));
        for address in masters {
            if !self.nodes.contains_key(address)
                && let Some(place) = self.place_of(address)
            {
                self.nodes.insert(address.to_owned(), Node::new(place, self.options.timeout, now));
            }
        }
    }

    /// How a server is reached that a cluster named: as the first of the config.
    fn place_of(&self, address: &str) -> Option<Place> {
        self.seeds.values().next()?.other(address)
    }

    /// Who keeps a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        match &self.map {
            Some(map) => map.owner(slot),
            None => self.master.as_deref(),
        }
    }

    /// Those that keep pools, all of which have to answer.
    pub(super) fn used(&self) -> Vec<String> {
        match &self.map {
            Some(map) => map.masters().into_iter().map(str::to_owned).collect(),
            None => self.master.iter().cloned().collect(),
        }
    }

    /// Stays with the master there is while it is one.
    pub(super) fn choose_master(&mut self) {
        let is_good = |node: &Node| node.open().is_some_and(|open| open.is_master);
        let stays = self.master.as_ref().and_then(|address| self.nodes.get(address)).is_some_and(is_good);
        if !stays && self.map.is_none() {
            let other = self.nodes.iter().find(|(_, node)| is_good(node)).map(|(address, _)| address.clone());
            // One that is away is waited for, unless another took over.
            self.master = other.or_else(|| self.master.take().filter(|address| self.is_not_replica(address)));
        }
    }

    fn is_not_replica(&self, address: &str) -> bool {
        self.nodes.get(address).is_some_and(|node| node.open().is_none_or(|open| open.is_master))
    }

    /// Why there is nobody to ask.
    pub(super) fn why_none(&self) -> Trouble {
        let replica = self.nodes.iter().find(|(_, node)| node.open().is_some());
        if let Some((address, _)) = replica {
            return Trouble::new(LinkState::ReadOnly, format!("{address} is a replica, and no master is known"));
        }
        let worst = self.nodes.iter().max_by_key(|(_, node)| node.state());
        worst.map_or_else(Trouble::strange, |(address, node)| node.trouble(address))
    }
}
