//! An upgrade that a filter granted: the request leaves Pingora's phases, and goes on as a stream that the gate serves.
//!
//! Pingora's session is given back without an answer: its buffers would cost more than the stream itself. The request's
//! context goes with the stream, so that its record stays open, and another that is spent takes its place here.

use http::header::{CONNECTION, CONTENT_LENGTH, SERVER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, StatusCode};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use std::sync::Arc;

use portcullis_filter::Source;
use portcullis_filter::seam::{Upgrade, UpgradeHandler};
use portcullis_snapshot::request::action;
use portcullis_snapshot::{Action, Snapshot};
use portcullis_telemetry::record::Flag;
use portcullis_types::{ClusterName, ProxyError, Reason};

use super::context::Ctx;
use super::{limits, response};
use crate::gate::conn::CONN;

/// What the gate needs to serve a stream.
pub(crate) struct Granted {
    /// The request. Its record is completed when the stream ends.
    pub(crate) ctx: Box<Ctx>,
    /// The head of the 101.
    pub(crate) head: ResponseHeader,
    /// Who speaks.
    pub(crate) handler: Box<dyn UpgradeHandler>,
    /// The cluster that the route decided on.
    pub(crate) cluster: Option<ClusterName>,
}

/// Takes a place among the streams of the route; says which cluster the route decided on.
pub(super) fn prepare(
    request: &RequestHeader,
    ctx: &mut Ctx,
    snapshot: &Snapshot,
) -> Result<Option<ClusterName>, ProxyError> {
    limits::take_stream(ctx)?;
    let chosen = ctx.notes.cluster.clone();
    let decided = ctx.route.as_deref().and_then(|route| match &route.action {
        Action::Forward(forward) => {
            let index = action::cluster(&forward.target, &ctx.facts.view(request), &ctx.notes, ctx.facts.id);
            snapshot.cluster(index).map(|cluster| cluster.name.clone())
        }
        Action::Redirect(_) | Action::Respond(_) => None,
    });
    Ok(chosen.or(decided))
}

/// Hands the request over to the gate, which gets the connection when Pingora is done with it.
pub(super) async fn hand_over(
    session: &mut Session,
    ctx: &mut Box<Ctx>,
    (upgrade, cluster): (Upgrade, Option<ClusterName>),
) -> Result<()> {
    let Upgrade { response: mut head, handler } = upgrade;
    let filtered = response::filters(session.req_header(), &mut head, ctx, Source::Gateway).await;
    filtered.and_then(|()| switching(&mut head)).map_err(|error| ctx.fail(error))?;
    ctx.record.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
    ctx.record.flags.set(Flag::Upgraded);
    let no_client = || ProxyError::with_detail(Reason::Internal, "an upgrade without a connection");
    let conn = CONN.try_with(Arc::clone).map_err(|_| ctx.fail(no_client()))?;
    let spent = Ctx::spent(&ctx.core);
    let ctx = std::mem::replace(ctx, Box::new(spent));
    conn.set_granted(Box::new(Granted { ctx, head, handler, cluster }));
    // Pingora gives the stream back only when it thinks that the connection goes on.
    session.set_keepalive(Some(1));
    session.set_keepalive_reuses_remaining(None);
    Ok(())
}

/// Writes what makes a head one that switches protocols (RFC 9110 section 7.8).
fn switching(head: &mut ResponseHeader) -> Result<(), ProxyError> {
    let invalid = |_| ProxyError::with_detail(Reason::Internal, "the head of an upgrade");
    head.set_status(StatusCode::SWITCHING_PROTOCOLS).map_err(invalid)?;
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, SERVER] {
        drop(head.remove_header(&name));
    }
    head.insert_header(CONNECTION, HeaderValue::from_static("Upgrade")).map_err(invalid)?;
    head.insert_header(UPGRADE, HeaderValue::from_static("websocket")).map_err(invalid)
}
