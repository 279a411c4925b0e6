//! Facts of everything that is not a listener, a cluster or a host.

use portcullis_snapshot::Settings;
use portcullis_snapshot::settings::{AccessLogFormat, Store};

use super::Facts;
use super::consumers::say_consumers;
use super::limits::say_overload;

/// The facts of the settings as a whole.
pub(crate) fn settings(settings: &Settings) -> Facts {
    let mut facts = Facts::default();
    facts.say("server_name", &settings.server_name);
    facts.say_list("trusted_networks", &settings.trusted_networks);
    facts.say_duration("drain.delay", settings.drain_delay);
    facts.say_duration("drain.timeout", settings.drain_timeout);
    facts.say_duration("drain.idle", settings.drain_idle);
    facts.say_duration("drain.streams", settings.drain_streams);
    say_overload(&settings.overload, &mut facts);
    facts.say("generations", settings.generations);
    facts.say("threads", settings.threads);
    facts.say("recent_requests", settings.recent_requests);
    facts.say("observe", settings.observe);
    facts.say_list("dns.resolvers", &settings.dns.resolvers);
    facts.say_duration("dns.timeout", settings.dns.timeout);
    facts.say_duration("dns.least_refresh", settings.dns.least_refresh);
    facts.say_duration("dns.most_refresh", settings.dns.most_refresh);
    if let Some(store) = &settings.store {
        say_store(store, &mut facts);
    }
    if let Some(admin) = &settings.admin {
        facts.say("admin.bind", admin.bind);
        if let Some(token) = &admin.token {
            facts.hide("admin.token", token);
        }
    }
    if let Some(log) = &settings.access_log {
        match &log.path {
            Some(path) => facts.say("access_log.path", path.display()),
            None => facts.say("access_log.stdout", true),
        }
        facts.say(
            "access_log.format",
            match log.format {
                AccessLogFormat::Json => "json",
                AccessLogFormat::Text => "text",
            },
        );
        facts.say_bytes("access_log.buffer", log.buffer as u64);
        facts.say("access_log.query", log.query);
    }
    say_consumers(settings, &mut facts);
    facts
}

fn say_store(store: &Store, facts: &mut Facts) {
    facts.say("store.path", store.path.display());
    if store.implied {
        return;
    }
    facts.say_duration("store.journal.window", store.journal.window);
    facts.say_bytes("store.journal.rotate", store.journal.rotate.0);
    facts.say_duration("store.journal.rotate_after", store.journal.rotate_after);
    facts.say("store.journal.keep", store.journal.keep);
    let Some(redis) = &store.redis else { return };
    facts.say_list("store.redis.url", &redis.places);
    if let Some(user) = &redis.user {
        facts.say("store.redis.user", user);
    }
    if let Some(password) = &redis.password {
        facts.hide("store.redis.password", password);
    }
    if let Some(name) = &redis.tls.server_name {
        facts.say("store.redis.tls.server_name", name);
    }
    if let Some(ca) = &redis.tls.ca {
        facts.hide("store.redis.tls.ca", ca);
    }
    if let Some(client) = &redis.tls.client {
        facts.hide("store.redis.tls.cert", client);
    }
    facts.say("store.redis.prefix", &redis.prefix);
    facts.say_duration("store.redis.timeout", redis.timeout);
    facts.say_duration("store.redis.forget_after", redis.forget_after);
}
