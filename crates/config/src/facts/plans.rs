//! Facts of a set of caps: a cap by its name, in words.

use portcullis_caps::{Cap, CapSet, Outage};

use super::Facts;

pub(crate) fn caps(set: &CapSet) -> Facts {
    let spec = set.spec();
    let mut facts = Facts::default();
    say_caps(&mut facts, "", &spec.each);
    say_caps(&mut facts, "shared.", &spec.shared);
    facts.say_some("credits", spec.credits);
    for rule in &spec.methods {
        facts.say_some(format!("methods.{}.credits", rule.pattern), rule.credits);
        say_caps(&mut facts, &format!("methods.{}.", rule.pattern), &rule.each);
        say_caps(&mut facts, &format!("shared.methods.{}.", rule.pattern), &rule.shared);
    }
    facts.say("shadow", spec.shadow);
    facts.say(
        "outage",
        match spec.outage {
            Outage::LocalShare => "local_share",
            Outage::Refuse => "refuse",
        },
    );
    facts
}

fn say_caps(facts: &mut Facts, before: &str, caps: &[Cap]) {
    for cap in caps {
        let shadow = if cap.is_in_shadow() { ", in shadow" } else { "" };
        let gateways = cap.terms().map(|terms| {
            let [ahead, ttl] = [terms.ahead, terms.ttl].map(portcullis_types::quantity::format_duration);
            let (most, overdraft) = (terms.most, terms.overdraft);
            format!(", shared by gateways by leases of {most} and {overdraft} overdrawn, {ahead} ahead, for {ttl}")
        });
        facts.say(
            format!("{before}{}", cap.name()),
            format_args!("{}{}{shadow}", cap.limit(), gateways.unwrap_or_default()),
        );
    }
}
