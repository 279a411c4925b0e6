//! Which endpoints may be chosen now: compiled from health when health changes, read by every choice.
//!
//! Each tier is one priority, or the part of one that stands in the gateway's own zone, or the rest of it. A choice
//! begins with the tier that its random bits fall to, and goes on to the others in order when that has none untried. Of what
//! falls to the own zone a part goes on at once while that is full, see [`crate::spill`].

use std::fmt;
use std::time::Instant;

use portcullis_types::Percent;

use crate::number::whole;
use crate::ring::Ring;
use crate::spill::Spill;
use crate::tier::{Member, Tier};
use crate::tuning::{Tuning, ZonePreference};

/// The endpoints of one priority, whatever their health; drained ones are not among them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) priority: u8,
    pub(crate) members: Box<[Member]>,
    /// In how many zones they stand.
    pub(crate) zones: usize,
    /// Present when the algorithm hashes.
    pub(crate) ring: Option<Ring>,
    /// What leaves the gateway's own zone.
    pub(crate) spill: Spill,
}

/// What a set takes when heights leave it nothing: it is never empty for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resort {
    /// There is no need: endpoints keep up, or heights are not followed.
    #[default]
    Usual,
    /// All that pass their checks are behind; the highest of them are used.
    Behind,
    /// None passes its checks; all are used.
    Last,
}

impl fmt::Display for Resort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "endpoints that keep up are used",
            Self::Behind => "all endpoints that pass their checks are behind, so the highest of them are used",
            Self::Last => "no endpoint passes its checks, so all are used",
        })
    }
}

/// The tiers in the order they are used in. None of them is empty.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) tiers: Box<[Tier]>,
    pub(crate) resort: Resort,
    /// Since when the first tier is the first.
    pub(crate) since: Instant,
}

/// All of the requests, as a share.
pub(crate) const WHOLE: u64 = 1 << 32;

impl Rotation {
    pub(crate) fn empty(now: Instant) -> Self {
        Self { tiers: Box::default(), resort: Resort::Usual, since: now }
    }

    /// The place of the tier that these random bits begin with, each as likely as its share.
    pub(crate) fn first(&self, random: u64) -> usize {
        match self.tiers.first() {
            Some(first) if first.until < WHOLE => {
                // The low half: the high one goes into the draw of an endpoint.
                let point = random & (WHOLE - 1);
                self.tiers.iter().position(|tier| point < tier.until).unwrap_or(0)
            }
            Some(_) | None => 0,
        }
    }
}

/// What rotations are compiled from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// In the order of their priorities.
    pub(crate) groups: &'a [Group],
    pub(crate) threshold: Percent,
    pub(crate) tuning: &'a Tuning,
}

/// A group as it is to be used.
struct Use<'a> {
    at: usize,
    group: &'a Group,
    members: Vec<Member>,
    forced: bool,
}

impl Plan<'_> {
    /// Compiles the groups.
    ///
    /// Priorities with at least the threshold of available endpoints come first. When none has as much and the
    /// threshold is not 0, the one with the greatest share is used whole: that is the panic.
    pub(crate) fn compile(&self, available: impl Fn(u32) -> bool) -> Box<[Tier]> {
        let (mut enough, mut short) = (Vec::new(), Vec::new());
        let mut best: Option<(usize, Share)> = None;
        for (at, group) in self.groups.iter().enumerate() {
            let members: Vec<Member> = group.members.iter().copied().filter(|member| available(member.index)).collect();
            let share = Share { available: members.len(), of: group.members.len() };
            if best.is_none_or(|(_, best)| share.is_more_than(best)) {
                best = Some((at, share));
            }
            if !members.is_empty() {
                let uses = if share.reaches(self.threshold) { &mut enough } else { &mut short };
                uses.push(Use { at, group, members, forced: false });
            }
        }
        if enough.is_empty()
            && self.threshold > Percent::default()
            && let Some((at, _)) = best
        {
            short.retain(|used| used.at != at);
            let all = |group| Use { at, group, members: group.members.to_vec(), forced: true };
            enough.extend(self.groups.get(at).map(all));
        }
        enough.append(&mut short);
        self.share_out(&enough)
    }

    /// Gives each use its share of the requests, by its capacity and in order, and splits it by zone.
    fn share_out(&self, uses: &[Use<'_>]) -> Box<[Tier]> {
        let capacities: Vec<f64> = uses.iter().map(|used| self.capacity(used)).collect();
        // When all together are short, each carries its part of what is missing.
        let all: f64 = capacities.iter().sum::<f64>().min(1.0);
        let (mut left, mut tiers) = (1.0, Vec::new());
        for (used, capacity) in uses.iter().zip(capacities) {
            let share = if all > 0.0 { (capacity / all).min(left) } else { left };
            left -= share;
            self.split(used, share, &mut tiers);
        }
        let mut until = 0.0;
        for tier in &mut tiers {
            until += tier.share;
            tier.until = whole((until * WHOLE as f64).round());
        }
        // Rounding must not leave a gap at the end that falls to the first.
        if let Some(last) = tiers.iter_mut().rev().find(|tier| tier.share > 0.0) {
            last.until = WHOLE;
        }
        tiers.into_boxed_slice()
    }

    fn capacity(&self, used: &Use<'_>) -> f64 {
        match self.tuning.overprovisioning {
            Some(factor) if !used.forced => factor.capacity(weight(&used.members), weight(&used.group.members) as f64),
            Some(_) | None => 1.0,
        }
    }

    fn split(&self, used: &Use<'_>, share: f64, tiers: &mut Vec<Tier>) {
        let tier = |members: &[Member], share: f64| {
            let mut tier = Tier::new(used.at, used.group.priority, members);
            (tier.forced, tier.share) = (used.forced, share);
            tier
        };
        let (home, away): (Vec<Member>, Vec<Member>) = used.members.iter().copied().partition(|member| member.local);
        match &self.tuning.zone {
            Some(preference) if !home.is_empty() && !away.is_empty() => {
                let kept = share * self.at_home(used.group, preference, &home);
                let mut own = tier(&home, kept);
                own.home = true;
                tiers.extend([own, tier(&away, share - kept)]);
            }
            Some(_) | None => tiers.push(tier(&used.members, share)),
        }
    }

    /// The part of the requests that the endpoints of the gateway's own zone can carry.
    fn at_home(&self, group: &Group, preference: &ZonePreference, home: &[Member]) -> f64 {
        let part = preference
            .traffic
            .map_or_else(|| 1.0 / group.zones.max(1) as f64, |traffic| f64::from(traffic.millionths()) * 1e-6);
        let due = weight(&group.members) as f64 * part;
        self.tuning.overprovisioning.unwrap_or_default().capacity(weight(home), due)
    }
}

fn weight(members: &[Member]) -> u64 {
    members.iter().map(|member| u64::from(member.weight)).sum()
}

/// So many of so many, compared without a division.
#[derive(Debug, Clone, Copy)]
struct Share {
    available: usize,
    of: usize,
}

impl Share {
    const fn is_more_than(self, other: Self) -> bool {
        self.available * other.of > other.available * self.of
    }

    const fn reaches(self, threshold: Percent) -> bool {
        self.available as u64 * 1_000_000 >= threshold.millionths() as u64 * self.of as u64
    }
}
