//! Listeners of a generation.

use std::sync::Arc;

use portcullis_filter::StateStore;
use portcullis_filter::seam::ConnectHandler;
use portcullis_snapshot::tls::{CertificateTable, DynamicCertificates, TlsListener};
use portcullis_snapshot::{Listener, ListenerKind, ProxyProtocol, Snapshot};
use portcullis_yaml::{Diagnostic, Diagnostics};

use super::Environment;
use crate::code;
use crate::facts::{Facts, hash_of};
use crate::plan::{KindPlan, ListenerPlan, TlsPlan};
use crate::tls::{self, ServerParts, Tickets};

/// The listeners in the order of their plans.
pub(super) fn listeners(
    plans: &[ListenerPlan],
    previous: Option<&Snapshot>,
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Arc<Listener>> {
    let mut listeners = Vec::with_capacity(plans.len());
    for plan in plans {
        match listener(plan, environment) {
            Ok(fresh) => {
                let before = previous.and_then(|previous| {
                    previous.listeners.iter().find(|before| before.name == fresh.name && unchanged(before, &fresh))
                });
                listeners.push(before.cloned().unwrap_or_else(|| Arc::new(fresh)));
            }
            Err(message) => diagnostics.push(Diagnostic::error(code::CERTIFICATE_INVALID, plan.span, message)),
        }
    }
    listeners
}

/// Makes the TLS of each listener, to hear what is wrong.
pub(super) fn rehearse(plans: &[ListenerPlan], state: &StateStore, diagnostics: &mut Diagnostics) {
    let certificates = Arc::default();
    for plan in plans {
        if let Some(Err(message)) = plan.tls.as_ref().map(|tls| make_tls(plan, tls, (state, &certificates))) {
            diagnostics.push(Diagnostic::error(code::CERTIFICATE_INVALID, plan.span, message));
        }
    }
}

fn listener(plan: &ListenerPlan, environment: &Environment<'_>) -> Result<Listener, String> {
    let seams = environment.seams;
    let missing = |name: &str| format!("this binary has no handler `{name}`");
    let kind = match &plan.kind {
        KindPlan::Http { http1, http2 } => ListenerKind::Http { http1: *http1, http2: *http2 },
        KindPlan::Handler(name) => ListenerKind::L4(seams.l4.get(name.as_str()).cloned().ok_or_else(|| missing(name))?),
    };
    let connect = plan.connect.as_deref();
    let connect = connect.map(|name| seams.connect.get(name).cloned().ok_or_else(|| missing(name))).transpose()?;
    Ok(Listener {
        name: plan.name.clone(),
        bind: plan.bind.clone(),
        kind,
        tls: plan.tls.as_ref().map(|tls| tls_listener(plan, tls, environment)).transpose()?,
        limits: plan.limits.clone(),
        proxy_protocol: plan.proxy_protocol.as_ref().map(|from| ProxyProtocol { from: from.clone() }),
        connect,
        half_close: plan.half_close,
        metrics: environment.metrics.listener(&plan.name),
    })
}

/// TLS of a listener: the very same as before when nothing of it changed, certificates and keys included.
fn tls_listener(plan: &ListenerPlan, tls: &TlsPlan, environment: &Environment<'_>) -> Result<Arc<TlsListener>, String> {
    let mut facts = Facts::default();
    tls.say(&mut facts);
    let key = format!("listeners/{}/tls/{:016x}", plan.name, hash_of(&(facts, alpn(plan))));
    let made = make_tls(plan, tls, (environment.state, environment.certificates))?;
    Ok(environment.state.get_or_insert(&key, || made))
}

fn make_tls(
    plan: &ListenerPlan,
    tls: &TlsPlan,
    (state, dynamic): (&StateStore, &Arc<DynamicCertificates>),
) -> Result<TlsListener, String> {
    let identities = tls.identities.iter().map(|(_, identity)| (identity.names.clone(), identity.key.clone()));
    let certificates = Arc::new(CertificateTable::new(identities.collect(), dynamic.clone()));
    let verifier = tls.client.as_ref().map(|client| tls::client_verifier(&client.authorities, client.required));
    let clients = tls.client.as_ref().map(|client| (&client.authorities, client.required));
    let tickets = format!("listeners/{}/tickets/{:016x}", plan.name, hash_of(&clients));
    let parts = ServerParts {
        resolver: certificates.clone(),
        verifier: verifier.transpose().map_err(|error| error.to_string())?,
        only_tls13: tls.only_tls13,
        alpn: alpn(plan),
        tickets: Some(state.get_or_insert(&tickets, Tickets::new)),
    };
    let without_aes = tls::server_config(parts).map_err(|error| error.to_string())?;
    let mut server = without_aes.clone();
    server.ignore_client_order = true;
    let (server, without_aes) = (Arc::new(server), Arc::new(without_aes));
    Ok(TlsListener { server, without_aes, certificates, client_auth: tls.client.is_some() })
}

fn alpn(plan: &ListenerPlan) -> Vec<Vec<u8>> {
    match plan.kind {
        KindPlan::Handler(_) => Vec::new(),
        KindPlan::Http { http1, http2 } => {
            let offered = [(http2, "h2"), (http1, "http/1.1")];
            offered.iter().filter(|(on, _)| *on).map(|(_, name)| name.as_bytes().to_vec()).collect()
        }
    }
}

/// Whether a listener of the generation before is just what is wanted.
fn unchanged(before: &Listener, fresh: &Listener) -> bool {
    let kind = match (&before.kind, &fresh.kind) {
        (ListenerKind::Http { http1, http2 }, ListenerKind::Http { http1: one, http2: two }) => {
            (http1, http2) == (one, two)
        }
        (ListenerKind::L4(before), ListenerKind::L4(fresh)) => Arc::ptr_eq(before, fresh),
        (ListenerKind::Http { .. } | ListenerKind::L4(_), _) => false,
    };
    let tls = match (&before.tls, &fresh.tls) {
        (None, None) => true,
        (Some(before), Some(fresh)) => Arc::ptr_eq(before, fresh),
        (Some(_), None) | (None, Some(_)) => false,
    };
    kind && tls
        && before.bind == fresh.bind
        && before.limits == fresh.limits
        && before.proxy_protocol == fresh.proxy_protocol
        && before.half_close == fresh.half_close
        && same_handler(before.connect.as_ref(), fresh.connect.as_ref())
}

fn same_handler(before: Option<&Arc<dyn ConnectHandler>>, fresh: Option<&Arc<dyn ConnectHandler>>) -> bool {
    match (before, fresh) {
        (None, None) => true,
        (Some(before), Some(fresh)) => Arc::ptr_eq(before, fresh),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
