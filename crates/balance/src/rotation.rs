//! Which endpoints may be chosen now: compiled from health when health changes, read by every choice.

use std::time::Instant;

use portcullis_types::Percent;

use crate::ring::Ring;
use crate::tier::{Member, Tier};

/// The endpoints of one priority, whatever their health; drained ones are not among them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) priority: u8,
    pub(crate) members: Box<[Member]>,
    /// Present when the algorithm hashes.
    pub(crate) ring: Option<Ring>,
}

/// The tiers in the order they are used in. None of them is empty.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) tiers: Box<[Tier]>,
    /// Since when the first tier is the first.
    pub(crate) since: Instant,
}

impl Rotation {
    pub(crate) fn empty(now: Instant) -> Self {
        Self { tiers: Box::default(), since: now }
    }

    /// Compiles the groups, which are in the order of their priorities.
    ///
    /// Priorities with at least the threshold of available endpoints come first. When none has as much and the
    /// threshold is not 0, the one with the greatest share is used whole: that is the panic.
    pub(crate) fn compile(groups: &[Group], threshold: Percent, available: impl Fn(u32) -> bool) -> Box<[Tier]> {
        let mut enough = Vec::new();
        let mut short = Vec::new();
        let mut best: Option<(usize, Share)> = None;
        for (at, group) in groups.iter().enumerate() {
            let members: Vec<Member> = group.members.iter().copied().filter(|member| available(member.index)).collect();
            let share = Share { available: members.len(), of: group.members.len() };
            if best.is_none_or(|(_, best)| share.is_more_than(best)) {
                best = Some((at, share));
            }
            if !members.is_empty() {
                let tiers = if share.reaches(threshold) { &mut enough } else { &mut short };
                tiers.push(Tier::new(at, group.priority, &members));
            }
        }
        if enough.is_empty()
            && threshold > Percent::default()
            && let Some((at, _)) = best
        {
            short.retain(|tier| tier.group != at);
            enough.extend(groups.get(at).map(|group| forced(at, group)));
        }
        enough.append(&mut short);
        enough.into_boxed_slice()
    }
}

fn forced(at: usize, group: &Group) -> Tier {
    let mut tier = Tier::new(at, group.priority, &group.members);
    tier.forced = true;
    tier
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
