//! Connections to an endpoint that speak WebSocket: opened by a handshake over HTTP/1.1, and never pooled.
//!
//! The fields of the handshake are the caller's, and so is it to judge `Sec-WebSocket-Accept`. What is given counts as
//! in flight to its endpoint, and among the streams of the cluster, until it is dropped.

use bytes::{Buf, BytesMut};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, StatusCode};
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use rand::RngExt as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use portcullis_balance::{Answer, Ask, Choice, EndpointIdx};
use portcullis_filter::seam::UpstreamStream;
use portcullis_snapshot::request::action;
use portcullis_snapshot::{Cluster, Members};
use portcullis_telemetry::metrics::{EndpointMetrics, InFlight};
use portcullis_telemetry::{Bound, Held};
use portcullis_types::{EndpointName, ProxyError, Reason, Retry};

use super::{attempt, full};
use crate::core::Core;
use crate::gate::raw::Rewound;
use crate::reasons::{Progress, of_upstream_side};
use crate::service::connection;

/// The most bytes of the heads that may come before the connection is upgraded.
const HEAD_BYTES: usize = 16 * 1024;
/// The most fields of one.
const HEAD_FIELDS: usize = 64;
/// Endpoints that are asked at most.
const ATTEMPTS: usize = 4;

/// What is held as long as a stream is open.
struct Places {
    _choice: Choice,
    _in_flight: Option<InFlight>,
    _stream: Option<Held>,
}

/// An upgraded connection.
struct Upgraded {
    io: Rewound<Stream>,
    _places: Places,
}

/// Opens a connection to an endpoint that is none of `avoid`, unless there is no other.
pub(super) async fn open(
    core: &Core,
    cluster: &Arc<Cluster>,
    header: &RequestHeader,
    avoid: &[EndpointName],
) -> Result<UpstreamStream, ProxyError> {
    let bound = cluster.limits.as_ref().filter(|limits| limits.rules.streams.is_some());
    let held = bound.map(|limits| Bound::try_hold(&limits.streams, 1).ok_or_else(|| full("streams"))).transpose()?;
    let members = cluster.fleet.members();
    let mut tried: Vec<EndpointIdx> = Vec::new();
    let mut skip: Vec<EndpointIdx> = named(&members, avoid).collect();
    loop {
        let ask = Ask { skip: &skip, ..Ask::new(Instant::now(), rand::rng().random()) };
        let mut choice = members.endpoints.choose(&ask).map_err(|none| {
            ProxyError::with_detail(Reason::NoHealthyUpstream, none.to_string()).retry_after(action::RETRY_AFTER)
        })?;
        let index = choice.index();
        tried.push(index);
        skip.push(index);
        let error = match try_one(core, cluster, &mut choice, header).await {
            Ok((head, io)) => {
                let in_flight =
                    members.metrics.get(index.get()).filter(|_| core.observes()).map(EndpointMetrics::begin);
                let endpoint = choice.endpoint().spec().name.clone();
                let places = Places { _choice: choice, _in_flight: in_flight, _stream: held };
                return Ok(UpstreamStream { header: head, io: Box::new(Upgraded { io, _places: places }), endpoint });
            }
            Err(error) => error,
        };
        // Nothing was done by a handshake that failed: any other endpoint may be asked.
        let others = members.endpoints.available() > tried.len() && tried.len() < ATTEMPTS;
        let again = matches!(error.reason.retry(), Retry::Unsent | Retry::Idempotent);
        if !others || !again {
            return Err(error);
        }
    }
}

/// The places of endpoints by their names.
fn named<'a>(members: &'a Members, names: &'a [EndpointName]) -> impl Iterator<Item = EndpointIdx> + 'a {
    let all = members.endpoints.endpoints().iter().enumerate();
    all.filter(|(_, endpoint)| names.contains(&endpoint.spec().name))
        .filter_map(|(at, _)| members.endpoints.index_at(at))
}

async fn try_one(
    core: &Core,
    cluster: &Cluster,
    choice: &mut Choice,
    header: &RequestHeader,
) -> Result<(ResponseHeader, Rewound<Stream>), ProxyError> {
    let (started, timeouts) = (Instant::now(), &cluster.timeouts);
    let mut peer = connection(cluster, choice.address(), timeouts.connect);
    // Whatever is spoken to the cluster else, a WebSocket begins with HTTP/1.1.
    peer.options.alpn = ALPN::H1;
    let shaken = shake(core, cluster, &peer, (header, timeouts.first_byte)).await;
    let now = Instant::now();
    let took: Duration = now.saturating_duration_since(started);
    match &shaken {
        Ok((head, _)) if head.status == StatusCode::SWITCHING_PROTOCOLS => choice.answered(now, took, Answer::Good),
        Ok((head, _)) => choice.answered(now, took, Answer::of_status(head.status.as_u16())),
        Err(error) => choice.failure(now, error.reason),
    }
    let (head, io) = shaken?;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        let detail = format!("{} in place of an upgrade", head.status.as_u16());
        return Err(ProxyError::with_detail(Reason::UpstreamMalformed, detail));
    }
    Ok((head, io))
}

async fn shake(
    core: &Core,
    cluster: &Cluster,
    peer: &HttpPeer,
    (header, patience): (&RequestHeader, Duration),
) -> Result<(ResponseHeader, Rewound<Stream>), ProxyError> {
    let connected = core.lines.raw.new_stream(peer).await;
    let mut stream = connected.map_err(|error| ProxyError::new(of_upstream_side(&error, Progress::Connecting)))?;
    let asked = written(header, cluster, peer)?;
    let shaking = async {
        stream.write_all(&asked).await.map_err(|_| ProxyError::new(Reason::UpstreamReset))?;
        stream.flush().await.map_err(|_| ProxyError::new(Reason::UpstreamReset))?;
        answer(&mut stream).await
    };
    let late = |_| ProxyError::new(Reason::UpstreamFirstByteTimeout);
    let (head, behind) = tokio::time::timeout(patience, shaking).await.map_err(late)??;
    Ok((head, Rewound::new(behind, stream)))
}

/// The head as bytes.
fn written(header: &RequestHeader, cluster: &Cluster, peer: &HttpPeer) -> Result<BytesMut, ProxyError> {
    let invalid = |_| ProxyError::with_detail(Reason::Internal, "the head of an own upgrade");
    let mut head = header.clone();
    attempt::host(&mut head, cluster, peer)?;
    head.insert_header(CONNECTION, HeaderValue::from_static("Upgrade")).map_err(invalid)?;
    head.insert_header(UPGRADE, HeaderValue::from_static("websocket")).map_err(invalid)?;
    let mut bytes = BytesMut::with_capacity(512);
    for part in [head.method.as_str().as_bytes(), b" ", head.raw_path(), b" HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part);
    }
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}

/// Reads the head of the answer, and what came behind it.
async fn answer(stream: &mut Stream) -> Result<(ResponseHeader, BytesMut), ProxyError> {
    let mut bytes = BytesMut::with_capacity(1024);
    let mut seen = 0;
    loop {
        if let Some((head, len)) = parsed(&bytes)? {
            bytes.advance(len);
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok((head, bytes));
            }
            continue;
        }
        if seen >= HEAD_BYTES {
            return Err(ProxyError::with_detail(Reason::UpstreamMalformed, "the head of an upgrade is too large"));
        }
        let read = stream.read_buf(&mut bytes).await.map_err(|_| ProxyError::new(Reason::UpstreamReset))?;
        if read == 0 {
            return Err(Reason::UpstreamReset.into());
        }
        seen += read;
    }
}

/// A whole head at the beginning of the bytes, and its length.
fn parsed(bytes: &[u8]) -> Result<Option<(ResponseHeader, usize)>, ProxyError> {
    let malformed = || ProxyError::with_detail(Reason::UpstreamMalformed, "the head of an upgrade");
    let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = response.parse(bytes).map_err(|_| malformed())? else { return Ok(None) };
    let status = response.code.ok_or_else(malformed)?;
    let mut head = ResponseHeader::build(status, Some(response.headers.len())).map_err(|_| malformed())?;
    for field in response.headers.iter() {
        head.append_header(field.name.to_owned(), field.value).map_err(|_| malformed())?;
    }
    Ok(Some((head, len)))
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_to_its_end_and_no_further() {
        let bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX: 1\r\nX: 2\r\n\r\n\x81\x00";
        assert!(parsed(&bytes[..20]).unwrap().is_none());
        let (head, len) = parsed(bytes).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), bytes.len() - len), (101, 2));
        assert_eq!(head.headers.get_all("x").iter().count(), 2);
        assert!(parsed(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
    }
}
