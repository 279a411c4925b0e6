//! Copies of requests to a second cluster. A copy never delays the request, and its answer is thrown away.
//!
//! The copy is sent once the request's own body has passed; a body over [`MIRROR_BODY_LIMIT`] is not copied, and how
//! many copies may be under way is bounded. Both are counted.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use rand::RngExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

use portcullis_balance::{Ask, Choice};
use portcullis_snapshot::route::MIRROR_BODY_LIMIT;
use portcullis_snapshot::{Action, Cluster, Snapshot};
use portcullis_telemetry::record::Flag;

use super::context::Ctx;

/// Copies under way at once.
const MAX_COPIES: usize = 256;
/// How long a copy may take.
const COPY_TIMEOUT: Duration = Duration::from_secs(10);

/// A copy that is being made.
pub(crate) struct Copy {
    cluster: Arc<Cluster>,
    head: Option<Box<RequestHeader>>,
    body: BytesMut,
}

/// Sends copies.
pub(crate) struct Mirrors {
    connector: Connector,
    places: Arc<Semaphore>,
    dropped: AtomicU64,
}

impl Mirrors {
    fn dropped(&self, cause: &str) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        log::debug!("a mirrored request was dropped: {cause}");
    }
}

impl Default for Mirrors {
    fn default() -> Self {
        Self {
            connector: Connector::new(None),
            places: Arc::new(Semaphore::new(MAX_COPIES)),
            dropped: AtomicU64::new(0),
        }
    }
}

/// Decides whether this request is copied.
pub(super) fn prepare(request: &RequestHeader, ctx: &mut Ctx, snapshot: &Snapshot) {
    let Some(Action::Forward(forward)) = ctx.route.as_deref().map(|route| &route.action) else { return };
    let Some(mirror) = &forward.mirror else { return };
    let upgrade = request.headers.contains_key(http::header::UPGRADE);
    if upgrade || !mirror.share.contains_hash(rand::rng().random()) {
        return;
    }
    let Some(cluster) = snapshot.cluster(mirror.cluster).cloned() else { return };
    ctx.body.copy = Some(Copy { cluster, head: None, body: BytesMut::new() });
}

/// Takes the head as it goes upstream; the last attempt's counts.
pub(super) fn take_head(request: &RequestHeader, ctx: &mut Ctx) {
    if let Some(copy) = &mut ctx.body.copy {
        copy.head = Some(Box::new(request.clone()));
        copy.body.clear();
    }
}

/// Takes a chunk of the body, and sends the copy at its end.
pub(super) fn take_body(chunk: Option<&Bytes>, end: bool, ctx: &mut Ctx) {
    let Some(copy) = &mut ctx.body.copy else { return };
    copy.body.extend_from_slice(chunk.map(AsRef::as_ref).unwrap_or_default());
    if copy.body.len() > MIRROR_BODY_LIMIT {
        ctx.body.copy = None;
        ctx.core.mirrors.dropped("body_too_large");
    } else if end && let Some(copy) = ctx.body.copy.take() {
        ctx.record.flags.set(Flag::Mirrored);
        send(copy, ctx);
    }
}

fn send(copy: Copy, ctx: &Ctx) {
    let core = ctx.core.clone();
    let Ok(place) = core.mirrors.places.clone().try_acquire_owned() else {
        core.mirrors.dropped("too_many");
        return;
    };
    ctx.core.tasks.spawn(async move {
        let sending = tokio::time::timeout(COPY_TIMEOUT, exchange(&core.mirrors.connector, copy));
        if !matches!(sending.await, Ok(Some(()))) {
            core.mirrors.dropped("failed");
        }
        drop(place);
    });
}

/// One copy, to the end of its answer's head.
async fn exchange(connector: &Connector, copy: Copy) -> Option<()> {
    let Copy { cluster, head, body } = copy;
    let mut head = head?;
    // The copy is whole, so it has a length, and waits for nobody's 100.
    drop(head.remove_header(&TRANSFER_ENCODING));
    drop(head.remove_header(&EXPECT));
    if !body.is_empty() {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len())).ok()?;
    }
    let choice = cluster.fleet.members().endpoints.choose(&Ask::new(Instant::now(), rand::rng().random())).ok()?;
    let peer = peer(&cluster, &choice);
    let (mut session, _) = connector.get_http_session(&peer).await.ok()?;
    session.write_request_header(head).await.ok()?;
    session.write_request_body(body.freeze(), true).await.ok()?;
    session.finish_request_body().await.ok()?;
    session.read_response_header().await.ok()?;
    finish(session).await;
    Some(())
}

/// The answer is not wanted: its stream or connection ends here.
async fn finish(mut session: HttpSession) {
    session.shutdown().await;
}

fn peer(cluster: &Cluster, choice: &Choice) -> HttpPeer {
    super::target::connection(cluster, choice.address(), cluster.timeouts.connect)
}
