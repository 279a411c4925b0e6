//! `/api/consumers`: how many there are and how their last load went; one of them by its id. Never a key, nor the hash of
//! one.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

use portcullis_identity::identities::{Outcome, Report};
use portcullis_identity::{Consumer, Identities};

use super::{json as answer, seconds};
use crate::control::AdminState;
use crate::problem::{Kind, Problem};

/// Counts, the last load, the issuers of tokens.
pub(crate) async fn show(State(state): State<Arc<AdminState>>) -> Response {
    answer(&told(&state.identities))
}

/// A consumer.
pub(crate) async fn one(State(state): State<Arc<AdminState>>, Path(id): Path<String>) -> Response {
    let book = state.identities.book();
    match book.directory.by_id(&id) {
        Some(consumer) => answer(&consumer_told(consumer)),
        None => Problem::new(Kind::NotFound).detail(format!("the file has no consumer `{id}`")).into_response(),
    }
}

fn told(identities: &Identities) -> Value {
    let (book, status) = (identities.book(), identities.status());
    let pairs = |counts: Vec<(&'static str, u64)>| {
        let seen = counts.into_iter().filter(|(_, count)| *count > 0);
        seen.map(|(name, count)| (name.to_owned(), json!(count))).collect::<serde_json::Map<_, _>>()
    };
    let issuers = book.issuers.iter().map(|issuer| {
        let keys = issuer.verifier().map_or(0, |verifier| verifier.keys().len());
        json!({ "name": issuer.name(), "issuer": issuer.issuer(), "keys": keys })
    });
    json!({
        "consumers": book.directory.len(),
        "keys": book.directory.keys(),
        "plans": book.directory.plans().iter().map(|plan| plan.name()).collect::<Vec<_>>(),
        "bytes": book.directory.heap_bytes(),
        "serves_since": status.serves_since.map(|since| since.to_string()),
        "last_load": status.last.as_ref().map(load),
        "loads": { "loaded": status.loaded, "refused": status.refused },
        "issuers": issuers.collect::<Vec<_>>(),
        "callers": pairs(identities.counts().admitted().collect()),
        "failures": pairs(identities.counts().failures().collect()),
    })
}

/// How many there are and how their last load went; null before the first.
pub(super) fn glance(identities: &Identities) -> Value {
    let (book, status) = (identities.book(), identities.status());
    let last = status.last.as_ref();
    last.map_or(
        Value::Null,
        |last| json!({ "consumers": book.directory.len(), "keys": book.directory.keys(), "last_load": load(last) }),
    )
}

/// How a load went.
pub(crate) fn load(report: &Report) -> Value {
    let outcome = match report.outcome {
        Outcome::Loaded => "loaded",
        Outcome::Refused => "refused",
    };
    json!({ "at": report.at.to_string(), "took_seconds": seconds(report.took), "outcome": outcome, "says": report.says })
}

fn consumer_told(consumer: &Consumer) -> Value {
    let keys = consumer.keys().iter().map(|key| {
        json!({
            "label": consumer.label(&key.hash),
            "not_after": key.not_after.time().map(|end| end.to_string()),
        })
    });
    let restrictions = consumer.restrictions().map(portcullis_identity::consumer::Restrictions::told);
    let lists = restrictions.map(|lists| {
        let list = |(name, values): (&'static str, Vec<String>)| (name.to_owned(), json!(values));
        lists.into_iter().filter(|(_, values)| !values.is_empty()).map(list).collect::<serde_json::Map<_, _>>()
    });
    let tokens = consumer.token_subjects().iter().map(|one| json!({ "issuer": one.issuer, "subject": one.subject }));
    json!({
        "id": consumer.id(),
        "plan": consumer.plan().name(),
        "disabled": consumer.is_disabled(),
        "keys": keys.collect::<Vec<_>>(),
        "only_from": lists,
        "jwt": tokens.collect::<Vec<_>>(),
        "certificates": consumer.certificate_subjects(),
    })
}
