//! Facts of limits and of the process's guards.

use portcullis_balance::LimitPolicy;
use portcullis_snapshot::LimitRules;
use portcullis_snapshot::settings::{MemoryBound, Overload};
use portcullis_types::ByteSize;

use super::Facts;

pub(super) fn say_limits(rules: &LimitRules, facts: &mut Facts) {
    match rules.requests {
        None => {}
        Some(LimitPolicy::Fixed(requests)) => facts.say("limits.requests", requests),
        Some(LimitPolicy::Adaptive(policy)) => {
            facts.say("limits.adaptive", true);
            facts.say("limits.requests", policy.max);
        }
    }
    facts.say_some("limits.per_endpoint", rules.per_endpoint);
    if let Some(queue) = rules.queue {
        facts.say("limits.queue", queue.capacity);
        facts.say_duration("limits.queue_timeout", queue.timeout);
    }
    facts.say_some("limits.streams", rules.streams);
}

pub(super) fn say_overload(overload: &Overload, facts: &mut Facts) {
    match overload.memory {
        MemoryBound::Off => facts.say("overload.memory", "off"),
        MemoryBound::Share(share) => facts.say("overload.memory", share),
        MemoryBound::Bytes(bytes) => facts.say("overload.memory", ByteSize(bytes)),
    }
    facts.say_duration("overload.event_loop_delay", overload.event_loop_delay.unwrap_or_default());
    facts.say_some("overload.connections", overload.connections);
}
