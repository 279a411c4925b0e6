//! What answers mean.

use std::time::Instant;

use portcullis_caps::Present;
use redis::{ServerError, Value};

use super::{Carrier, Tick};
use crate::redis::flight::{Job, Landed};
use crate::redis::node::{Node, is_master};
use crate::redis::slots::{SlotMap, redirect};
use crate::redis::trouble::{LinkState, Trouble};
use crate::redis::words::grant;

impl Carrier {
    /// What a server answered.
    pub(super) fn land(&mut self, landed: Landed, tick: &mut Tick) {
        let Landed { address, answers, trouble, sent, took, .. } = landed;
        let mut worst: Option<Trouble> = trouble;
        for (job, value) in answers {
            if let Err(trouble) = self.hear(&address, job, value, tick)
                && worst.as_ref().is_none_or(|worst| worst.state < trouble.state)
            {
                worst = Some(trouble);
            }
        }
        if let Some(sent) = sent {
            tick.sent = Some(tick.sent.map_or(sent.nanos, |earliest| earliest.min(sent.nanos)));
            tick.counts.round_trip = tick.counts.round_trip.max(Some(took));
        }
        let is_used = self.map.is_some() || self.master.as_deref() == Some(&address);
        let Some(node) = self.nodes.get_mut(&address) else { return };
        match worst {
            None => node.answered(),
            Some(trouble) => {
                tick.counts.timeouts += u64::from(trouble.state == LinkState::Slow);
                if trouble.breaks() {
                    node.broken(&trouble, Instant::now());
                    self.stale = true;
                } else {
                    node.troubled(&trouble);
                }
                if is_used {
                    tick.trouble(Trouble { says: format!("{address}: {}", trouble.says), ..trouble });
                }
            }
        }
    }

    /// What one answer means.
    fn hear(&mut self, address: &str, job: Job, value: Value, tick: &mut Tick) -> Result<(), Trouble> {
        if let Value::ServerError(error) = &value {
            return self.hear_error(address, job, error, tick);
        }
        match job {
            Job::Members => {
                let Value::Array(numbers) = value else { return Err(Trouble::strange()) };
                let [Value::Int(known), Value::Int(heard)] = numbers.as_slice() else { return Err(Trouble::strange()) };
                let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
                let (known, heard) = (number(*known).max(1), number(*heard).max(1));
                self.present = Some(Present { known, heard, gone_after: self.options.gone_after });
            }
            Job::Asks(places, _) => {
                let Value::Array(grants) = value else { return Err(Trouble::strange()) };
                for (place, answer) in places.into_iter().zip(&grants) {
                    let Some(said) = tick.said.get_mut(place).and_then(Option::take) else { continue };
                    let grant = grant(&said.ask.ask, answer);
                    tick.counts.grants += u64::from(grant.is_some());
                    self.ledger.lease_answer(&said.ask.key, grant.as_ref());
                }
            }
            Job::Role => {
                let is_master = is_master(&value)?;
                self.nodes
                    .get_mut(address)
                    .and_then(Node::open_mut)
                    .into_iter()
                    .for_each(|open| open.is_master = is_master);
            }
            Job::Slots => {
                self.map = Some(SlotMap::read(&value, address).ok_or_else(Trouble::strange)?);
                self.moving.clear();
                self.stale = false;
                self.follow_map(Instant::now());
            }
            Job::Ping | Job::Asking => {}
        }
        Ok(())
    }

    fn hear_error(&mut self, address: &str, job: Job, error: &ServerError, tick: &mut Tick) -> Result<(), Trouble> {
        let detail = error.details().unwrap_or_default();
        match (error.code(), redirect(detail, address)) {
            ("MOVED", Some((slot, to))) => {
                self.stale = true;
                self.map.as_mut().into_iter().for_each(|map| map.moved(slot, &to));
                self.follow_map(Instant::now());
            }
            ("ASK", Some((slot, to))) => {
                self.moving.insert(slot, to.clone());
                if let Job::Asks(places, _) = job {
                    tick.redirected.push((to, places));
                }
                // It is on its way; nothing is wrong.
                return Ok(());
            }
            ("TRYAGAIN", _) => {
                if let Job::Asks(_, slot) = job {
                    self.moving.insert(slot, String::new());
                }
                return Ok(());
            }
            ("READONLY", _) => {
                self.stale = true;
                self.nodes
                    .get_mut(address)
                    .and_then(Node::open_mut)
                    .into_iter()
                    .for_each(|open| open.is_master = false);
            }
            ("CLUSTERDOWN", _) => self.stale = true,
            _ => {}
        }
        Err(error.into())
    }
}
