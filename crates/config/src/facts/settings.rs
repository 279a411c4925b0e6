//! Facts of everything that is not a listener, a cluster or a host.

use portcullis_snapshot::Settings;
use portcullis_snapshot::settings::{Admin, History, Role, Store};

use super::Facts;
use super::consumers::say_consumers;
use super::limits::say_overload;
use super::logs;
use crate::compile::TOKEN;

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
    say_history(settings.history.as_ref(), &mut facts);
    if let Some(admin) = &settings.admin {
        say_admin(admin, &mut facts);
    }
    settings.logs.iter().for_each(|log| logs::say_log(log, &mut facts));
    if let Some(tracing) = &settings.tracing {
        super::tracing::say_tracing(tracing, &mut facts);
    }
    say_consumers(settings, &mut facts);
    super::slos::say_slos(&settings.slos, &mut facts);
    facts
}

fn say_admin(admin: &Admin, facts: &mut Facts) {
    facts.say_some("admin.bind", admin.bind);
    for token in &admin.tokens {
        if (&*token.name, token.role) == (TOKEN, Role::Admin) {
            facts.hide("admin.token", &token.secret);
        } else {
            facts.hide(format!("admin.tokens.{}.token", token.name), &token.secret);
            facts.say(format!("admin.tokens.{}.role", token.name), token.role.as_str());
        }
    }
    if let Some(tls) = &admin.tls {
        facts.say_list("admin.tls.certificates", &tls.certificates);
        facts.hide("admin.tls", tls.fingerprint);
        if let Some(path) = &tls.client_ca {
            facts.say("admin.tls.client_ca", path);
            facts.hide(format!("admin.tls.client_ca.{path}"), tls.clients_fingerprint);
        }
    }
    for (subject, role) in &admin.clients {
        facts.say(format!("admin.clients.{subject}"), role.as_str());
    }
    if let Some(socket) = &admin.socket {
        facts.say("admin.socket.path", socket.path.display());
        facts.say("admin.socket.mode", socket.mode);
        facts.say_some("admin.socket.role", socket.role.map(Role::as_str));
    }
    facts.say_some("admin.audit.file", admin.audit.as_ref().map(|path| path.display()));
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

/// A folder that nobody named is not said: it stands where the file stands.
fn say_history(history: Option<&History>, facts: &mut Facts) {
    let Some(history) = history else { return facts.say("history", "off") };
    if !history.implied {
        facts.say("history.path", history.path.display());
    }
    facts.say("history.keep", history.keep);
    facts.say_bytes("history.bytes", history.bytes.0);
}
