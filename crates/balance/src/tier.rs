//! The endpoints of one priority that may be chosen now, compiled for drawing by weight.
//!
//! Weights lie end to end on a line of `total` units; a unit names an endpoint. A random unit is a weighted draw. To
//! take turns, units are visited with a stride near the golden section of the line and coprime to it: each unit is
//! visited once a period, so shares are exact, and by the three-gap theorem the visits to each endpoint are spread
//! about evenly. That is smooth weighted round robin with one atomic counter and no memory of a schedule.

use crate::random::below;
use crate::rotation::WHOLE;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Tier {
    /// Which group of the set this was compiled from.
    pub(crate) group: usize,
    pub(crate) priority: u8,
    /// Whether health was ignored.
    pub(crate) forced: bool,
    /// Whether these stand in the gateway's own zone, and the next tier is the rest of the priority.
    pub(crate) home: bool,
    /// Which part of the requests begins here, and where that part ends when the parts of all tiers are laid end to
    /// end over [`crate::rotation::WHOLE`].
    pub(crate) share: f64,
    pub(crate) until: u64,
    /// Places in the set.
    members: Box<[u32]>,
    /// Where each member's stretch of the line ends; empty when all weights are equal, since then the unit is the
    /// position.
    ends: Box<[u32]>,
    /// For each stretch of `1 << shift` units, the position that its first unit belongs to, and one more at the end:
    /// so that a unit is found in a step or two. Empty when all weights are equal.
    index: Box<[u32]>,
    shift: u32,
    /// Units on the line: weights over their greatest common divisor.
    total: u32,
    stride: u32,
    /// Weights before that division, for fair shares.
    weight: u64,
    /// A bit for each endpoint of the set.
    bits: Box<[u64]>,
}

/// One endpoint of a group: its place in the set, and its weight, which is not 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) index: u32,
    pub(crate) weight: u32,
    /// Whether it stands in the gateway's own zone.
    pub(crate) local: bool,
}

impl Tier {
    /// Compiles a tier. The weights of a group sum to no more than `u32::MAX`, which the set has made sure of.
    pub(crate) fn new(group: usize, priority: u8, members: &[Member]) -> Self {
        let divisor = members.iter().fold(0, |divisor, member| gcd(divisor, member.weight)).max(1);
        let mut total = 0_u32;
        let ends: Vec<u32> = members
            .iter()
            .map(|member| {
                total = total.saturating_add(member.weight / divisor);
                total
            })
            .collect();
        let equal = members.iter().all(|member| member.weight == divisor);
        let ends = if equal { Box::default() } else { ends.into_boxed_slice() };
        let (index, shift) = index(&ends, total);
        Self {
            group,
            priority,
            forced: false,
            home: false,
            share: 1.0,
            until: WHOLE,
            members: members.iter().map(|member| member.index).collect(),
            ends,
            index,
            shift,
            total,
            stride: stride(total),
            weight: members.iter().map(|member| u64::from(member.weight)).sum(),
            bits: bits(members),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) const fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn member(&self, position: usize) -> Option<u32> {
        self.members.get(position).copied()
    }

    pub(crate) fn contains(&self, index: u32) -> bool {
        self.bits.get((index / 64) as usize).is_some_and(|word| (word >> (index % 64)) & 1 == 1)
    }

    /// The position drawn by these random bits, each with the chance its weight gives.
    pub(crate) fn draw(&self, random: u64) -> usize {
        self.position(below(random, self.total))
    }

    /// The position whose turn it is.
    pub(crate) fn turn(&self, turn: u64) -> usize {
        let total = u64::from(self.total.max(1));
        let unit = (turn % total) * u64::from(self.stride) % total;
        // A remainder by a u32 is a u32.
        self.position(u32::try_from(unit).unwrap_or(0))
    }

    fn position(&self, unit: u32) -> usize {
        if self.ends.is_empty() {
            return unit as usize;
        }
        let stretch = (unit >> self.shift) as usize;
        let at = |stretch: usize| self.index.get(stretch).map_or(0, |position| *position as usize);
        let (from, to) = (at(stretch), at(stretch + 1));
        let among = self.ends.get(from..to).unwrap_or_default();
        from + among.partition_point(|end| *end <= unit)
    }

    /// The first member from this position on, round the end, that will do.
    pub(crate) fn walk(&self, from: usize, mut will_do: impl FnMut(u32) -> bool) -> Option<u32> {
        let (before, after) = self.members.split_at_checked(from)?;
        after.iter().chain(before).copied().find(|index| will_do(*index))
    }
}

/// The index of a line whose stretches end there, with about as many entries as there are stretches.
fn index(ends: &[u32], total: u32) -> (Box<[u32]>, u32) {
    if ends.is_empty() {
        return (Box::default(), 0);
    }
    let wanted = u32::try_from(ends.len()).unwrap_or(u32::MAX);
    let shift = (total / wanted).max(1).ilog2();
    let position = |stretch: u64| {
        let unit = (stretch << shift).min(u64::from(total));
        u32::try_from(ends.partition_point(|end| u64::from(*end) <= unit)).unwrap_or(u32::MAX)
    };
    let stretches = u64::from(total.saturating_sub(1) >> shift) + 1;
    ((0..=stretches).map(position).collect(), shift)
}

fn bits(members: &[Member]) -> Box<[u64]> {
    let words = members.iter().map(|member| member.index as usize / 64 + 1).max().unwrap_or(0);
    let mut bits = vec![0_u64; words];
    for member in members {
        if let Some(word) = bits.get_mut(member.index as usize / 64) {
            *word |= 1 << (member.index % 64);
        }
    }
    bits.into_boxed_slice()
}

pub(crate) const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A number near the golden section of `total` and coprime to it: of those within reach, the one whose visits are
/// spread best. The measure is the sum of the quotients in Euclid's algorithm, which bounds how far a share can run
/// ahead of its due; the nearest number alone may be a bad one (119 of 198 comes round to its neighbour in 5 steps).
fn stride(total: u32) -> u32 {
    // 2^32 over the golden ratio.
    let golden = (u64::from(total) * 2_654_435_769) >> 32;
    let golden = u32::try_from(golden).unwrap_or(1).max(1);
    let near = golden.saturating_sub(REACH).max(1)..=golden.saturating_add(REACH).min(total.max(1));
    let graded =
        near.filter_map(|stride| unevenness(total, stride).map(|grade| (grade, stride.abs_diff(golden), stride)));
    graded.min().map_or(1, |(_, _, stride)| stride)
}

/// How far from the golden section a stride is sought. Among 33 neighbours some are coprime to any 32-bit total.
const REACH: u32 = 16;

/// The sum of the quotients in Euclid's algorithm; `None` when the two are not coprime.
const fn unevenness(mut a: u32, mut b: u32) -> Option<u64> {
    let mut sum = 0;
    while b != 0 {
        sum += (a / b) as u64;
        (a, b) = (b, a % b);
    }
    if a == 1 { Some(sum) } else { None }
}

#[cfg(test)]
mod tests;
