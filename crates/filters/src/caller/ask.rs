//! Finds a consumer that the file does not have, where a store is plugged in.

use std::sync::Arc;

use portcullis_identity::store::{Question, Remembered, Remote, Sought};
use portcullis_identity::throttle::Throttle;
use portcullis_identity::{Consumer, Failure, Identities, Timestamp};
use portcullis_types::{ProxyError, Reason};
use std::net::IpAddr;

/// Who asks, and when.
pub(crate) struct Asked<'a> {
    pub(crate) identities: &'a Identities,
    pub(crate) throttle: &'a Throttle,
    pub(crate) client: IpAddr,
    pub(crate) now: Timestamp,
}

/// Why nobody was found.
pub(crate) enum Missed {
    /// Nobody has it.
    Nobody,
    /// The network asks no store now.
    Refused(Failure),
    /// The store cannot be asked, or cannot answer.
    Failed(ProxyError),
}

/// The consumer that a store has. Without a store, nobody.
pub(crate) async fn find(asked: &Asked<'_>, sought: Sought<'_>) -> Result<Arc<Consumer>, Missed> {
    let Some(remote) = asked.identities.remote() else { return Err(Missed::Nobody) };
    match remote.remembered(sought, asked.now) {
        Some(Remembered::Found(consumer)) => return Ok(consumer),
        Some(Remembered::Nobody) => return Err(Missed::Nobody),
        None => {}
    }
    if !asked.throttle.standing(asked.client, asked.now).may_verify() {
        return Err(Missed::Refused(Failure::Throttled));
    }
    let Some(question) = remote.ask() else {
        return Err(Missed::Failed(ProxyError::with_detail(Reason::Overloaded, "consumers")));
    };
    match put(remote, &question, sought, asked.now).await {
        Ok(Some(consumer)) => Ok(consumer),
        Ok(None) => Err(Missed::Nobody),
        Err(why) => {
            asked.identities.counts().store_failed();
            log::warn!("consumers: {why}");
            Err(Missed::Failed(ProxyError::with_detail(Reason::Overloaded, "consumers")))
        }
    }
}

async fn put(
    remote: &Remote,
    _open: &Question<'_>,
    sought: Sought<'_>,
    now: Timestamp,
) -> Result<Option<Arc<Consumer>>, String> {
    let timeout = remote.bounds().timeout;
    let answer = tokio::time::timeout(timeout, remote.store().find(sought)).await;
    let answer = answer.map_err(|_| format!("the store did not answer within {timeout:?}"))?;
    let answer = answer.map_err(|error| error.to_string())?;
    remote.answered(sought, answer, now).map_err(|error| format!("the store answered what is no consumer: {error}"))
}
