//! Which listener a connection would come in by.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_types::{Downstream, Scheme, TlsInfo};
use portcullis_wire::host::parse_authority;

use super::finding::ListenerTrial;
use super::question::Question;
use crate::Snapshot;
use crate::listener::{Listener, ListenerKind};
use crate::route::Place;

/// How well a listener fits: the best one is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It cannot be.
    No,
    /// It speaks the scheme, on another port: something in front of it may map the port.
    Scheme,
    /// It speaks the scheme on the URL's port.
    Port,
    /// The question names it.
    Named,
}

/// A listener, and where it accepts.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) listener: &'a Listener,
    /// The addresses that are bound, where the gateway runs; else those of the config.
    bind: &'a [SocketAddr],
}

/// Every listener's trial, and the one that takes the connection.
pub(super) fn find<'a>(
    snapshot: &'a Snapshot,
    question: &Question,
    bound: &'a [(String, Vec<SocketAddr>)],
) -> (Vec<ListenerTrial>, Option<Found<'a>>) {
    let port = port(question);
    let found = |listener: &'a Arc<Listener>| {
        let bound = bound.iter().find(|(name, _)| name == listener.name.as_str());
        Found { listener, bind: bound.map_or(&listener.bind, |(_, addresses)| addresses) }
    };
    let judged: Vec<_> =
        snapshot.listeners.iter().map(found).map(|found| (found, judge(found, question, port))).collect();
    let best = judged.iter().map(|(_, (fit, _))| *fit).max().filter(|fit| *fit > Fit::No);
    let winner = judged.iter().position(|(_, (fit, _))| Some(*fit) == best);
    let trial = |(at, (found, (fit, why))): (usize, &(Found<'_>, (Fit, String)))| ListenerTrial {
        name: found.listener.name.to_string(),
        bind: found.bind.iter().map(ToString::to_string).collect(),
        takes: winner == Some(at),
        why: if winner.is_some() && winner != Some(at) && *fit > Fit::No {
            "could take it as well; another fits better or comes first".to_owned()
        } else {
            why.clone()
        },
        at: snapshot.places.listeners.get(at).map(Place::at),
    };
    let trials = judged.iter().enumerate().map(trial).collect();
    (trials, winner.and_then(|at| judged.get(at)).map(|(found, _)| *found))
}

fn port(question: &Question) -> u16 {
    let named = parse_authority(question.authority.as_bytes()).ok().and_then(|authority| authority.port);
    named.unwrap_or_else(|| question.scheme.default_port())
}

fn judge(Found { listener, bind }: Found<'_>, question: &Question, port: u16) -> (Fit, String) {
    if let Some(name) = &question.listener {
        return if listener.name.as_str() == name {
            (Fit::Named, "it was named in the question".to_owned())
        } else {
            (Fit::No, "another listener was named in the question".to_owned())
        };
    }
    match &listener.kind {
        ListenerKind::L4(_) => return (Fit::No, "carries connections that are not HTTP".to_owned()),
        ListenerKind::Http { .. } => {}
    }
    match (question.scheme, listener.tls.is_some()) {
        (Scheme::Https, false) => return (Fit::No, "speaks plain text; the request is https".to_owned()),
        (Scheme::Http, true) => return (Fit::No, "speaks TLS; the request is http".to_owned()),
        (Scheme::Https, true) | (Scheme::Http, false) => {}
    }
    if bind.iter().any(|address| address.port() == port) {
        return (Fit::Port, format!("speaks {} on port {port}", speaks(listener)));
    }
    (Fit::Scheme, format!("speaks {}, if port {port} leads to it", speaks(listener)))
}

fn speaks(listener: &Listener) -> &'static str {
    if listener.tls.is_some() { "TLS" } else { "plain text" }
}

/// The facts of the connection as they would be.
pub(super) fn downstream(found: Option<Found<'_>>, question: &Question, host: &str) -> Downstream {
    let peer = SocketAddr::new(question.client, 0);
    let local = found.and_then(|found| found.bind.first().copied());
    let listener = found.map(|found| found.listener);
    let tls = (question.scheme == Scheme::Https).then(|| TlsInfo {
        sni: Some(question.sni.clone().unwrap_or_else(|| host.to_owned())),
        version: "TLSv1.3",
        cipher: "TLS13_AES_128_GCM_SHA256",
        client: question.certificate.clone(),
        client_auth: listener.and_then(|listener| listener.tls.as_ref()).is_some_and(|tls| tls.client_auth),
    });
    Downstream {
        listener: listener.map_or_else(|| "none".into(), |listener| listener.name.clone()),
        peer,
        socket_peer: peer,
        local: local.unwrap_or_else(|| SocketAddr::new(question.client, 0)),
        tls: tls.map(Arc::new),
    }
}
