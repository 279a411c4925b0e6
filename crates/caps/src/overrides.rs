//! What an administrator lifts or multiplies in an emergency, until it expires.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::policy::Scope;

/// Whose caps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Everything that one consumer has by itself, from whatever scope it comes. What it shares with others stays.
    Consumer(Arc<str>),
    /// Everything that a plan says, for all its consumers.
    Plan(Arc<str>),
}

/// What happens to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They refuse nothing. What is spent is counted: a quota that is exceeded meanwhile stays so afterwards, a bucket
    /// is empty at worst.
    Lift,
    /// Their rates, bursts, quotas and numbers at once are multiplied by thousandths.
    Multiply(NonZeroU32),
}

/// One override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Whose caps.
    pub target: Target,
    /// Which of them, by the name in a 429; `None` for all.
    pub cap: Option<Arc<str>>,
    /// What happens to them.
    pub effect: Effect,
    /// The second since 1970 from which it is over.
    pub until: u64,
    /// Why, for whoever lists them.
    pub reason: Arc<str>,
}

/// The overrides that are set. Few: they are searched one after another, and only while there are any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides(Vec<Override>);

impl Overrides {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are not over.
    pub(crate) fn live(&self, unix: u64) -> impl Iterator<Item = &Override> {
        self.0.iter().filter(move |one| one.until > unix)
    }

    /// With one more, in the place of one for the same caps.
    pub(crate) fn with(&self, one: Override, unix: u64) -> Self {
        let others = self.live(unix).filter(|other| (&other.target, &other.cap) != (&one.target, &one.cap));
        Self(others.cloned().chain([one.clone()]).collect())
    }

    /// Without those for these caps, and without those that are over.
    pub(crate) fn without(&self, target: &Target, cap: Option<&str>, unix: u64) -> Self {
        Self(self.live(unix).filter(|one| &one.target != target || one.cap.as_deref() != cap).cloned().collect())
    }

    /// What happens to a cap of a set. A consumer's override comes before its plan's, one cap's before all caps'.
    pub(crate) fn effect(&self, unix: u64, consumer: Option<&str>, cap: (Scope, &str, &str)) -> Option<Effect> {
        let (scope, set, label) = cap;
        let meant = |one: &&Override| {
            one.cap.as_deref().is_none_or(|cap| cap == label)
                && match &one.target {
                    Target::Consumer(id) => consumer == Some(&**id),
                    Target::Plan(name) => scope == Scope::Plan && set == &**name,
                }
        };
        let rank = |one: &&Override| (matches!(one.target, Target::Consumer(_)), one.cap.is_some());
        self.live(unix).filter(meant).max_by_key(rank).map(|one| one.effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_that_is_not_over_holds() {
        let times = |n: u32| Effect::Multiply(NonZeroU32::new(n * 1000).unwrap());
        let one = |target: Target, cap: Option<&str>, effect, until| Override {
            target,
            cap: cap.map(Arc::from),
            effect,
            until,
            reason: "incident".into(),
        };
        let (plan, acme) = (Target::Plan("free".into()), Target::Consumer("acme".into()));
        let all = [
            one(plan.clone(), None, times(2), 100),
            one(plan.clone(), Some("rate"), times(3), 100),
            one(acme.clone(), None, times(4), 50),
            one(acme.clone(), Some("rate"), Effect::Lift, 50),
        ];
        let set = all.into_iter().fold(Overrides::default(), |set, one| set.with(one, 0));
        for (unix, consumer, cap, expected) in [
            (0, Some("acme"), (Scope::Plan, "free", "rate"), Some(Effect::Lift)),
            (0, Some("acme"), (Scope::Route, "archive", "route.each.rate"), Some(times(4))),
            (50, Some("acme"), (Scope::Plan, "free", "rate"), Some(times(3))),
            (0, Some("other"), (Scope::Plan, "free", "quota.month"), Some(times(2))),
            (0, Some("other"), (Scope::Plan, "pro", "rate"), None),
            (0, None, (Scope::Route, "free", "rate"), None),
            (100, Some("acme"), (Scope::Plan, "free", "rate"), None),
        ] {
            assert_eq!(set.effect(unix, consumer, cap), expected, "{unix} {consumer:?} {cap:?}");
        }
        assert_eq!(set.without(&acme, Some("rate"), 0).live(0).count(), 3);
        assert_eq!(set.without(&acme, Some("rate"), 60).live(0).count(), 2, "what is over goes too");
        assert_eq!(set.with(one(plan, None, times(9), 100), 0).live(0).count(), 4, "replaced");
    }
}
