//! Facts of who may call. Of the consumers themselves nothing: they change without the config.

use portcullis_snapshot::Settings;
use portcullis_snapshot::settings::{Issuer, KeySource};

use super::Facts;

pub(super) fn say_consumers(settings: &Settings, facts: &mut Facts) {
    if let Some(consumers) = &settings.consumers {
        facts.say_some("consumers.file", consumers.file.as_ref().map(|file| file.path.display()));
        // A keyed hash of nothing tells two secrets apart and says neither.
        facts.hide("consumers.secret", consumers.secret.hash(&[]).to_string());
        let throttle = &consumers.throttle;
        facts.say_duration("consumers.throttle.window", throttle.window);
        facts.say("consumers.throttle.failures", throttle.failures);
        facts.say_duration("consumers.throttle.first", throttle.first);
        facts.say_duration("consumers.throttle.longest", throttle.longest);
        facts.say_duration("consumers.throttle.ban", throttle.ban);
        facts.say("consumers.throttle.tracked", throttle.tracked);
        facts.say("consumers.throttle.v4_prefix", throttle.v4_prefix);
        facts.say("consumers.throttle.v6_prefix", throttle.v6_prefix);
    }
    settings.issuers.iter().for_each(|issuer| say_issuer(issuer, facts));
}

fn say_issuer(issuer: &Issuer, facts: &mut Facts) {
    let key = |key: &str| format!("tokens.{}.{key}", issuer.name);
    facts.say(key("issuer"), issuer.rules.issuer());
    facts.say_list(key("audiences"), issuer.rules.audiences());
    facts.say_duration(key("clock_skew"), issuer.rules.skew());
    if let Some(longest) = issuer.rules.longest() {
        facts.say_duration(key("longest"), longest);
    }
    facts.say(key("remember"), issuer.remember);
    match &issuer.keys {
        KeySource::File(path, keys) => {
            facts.say(key("keys.file"), path.display());
            // Public keys, but long ones: whether they are others is all that is said.
            facts.hide(key("keys"), format!("{keys:?}"));
        }
        KeySource::Url(source) => {
            facts.say(key("keys.url"), &source.url);
            facts.say_duration(key("keys.refresh"), source.refresh);
            if let Some(authorities) = &source.authorities {
                facts.hide(key("keys.ca"), authorities);
            }
        }
    }
}
