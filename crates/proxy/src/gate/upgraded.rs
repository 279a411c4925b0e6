//! A connection that a filter's handler speaks on: the 101 is sent, and the raw stream is the handler's to its end.
//!
//! Nothing of Pingora's session is left by then. The connection keeps its place among the connections, and its request
//! keeps its place among the streams and its record, until the handler returns, however that is.

use bytes::BytesMut;
use pingora_http::ResponseHeader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use tokio::io::AsyncWriteExt;

use portcullis_filter::seam::{EndStream, StreamEnd, UpgradedStream};
use portcullis_types::{ProxyError, Reason};

use super::conn::Conn;
use super::head::ANSWER_TIMEOUT;
use super::io::DownstreamIo;
use crate::service::Granted;

/// Serves a stream to its end.
pub(super) async fn serve(mut io: Box<DownstreamIo>, conn: &Arc<Conn>, granted: Granted) {
    let Granted { mut ctx, head, handler, cluster } = granted;
    let (cut, end) = ctx.become_own_stream();
    if !say(&mut io, &head).await {
        ctx.record.status = 0;
        return ctx.end_stream(StreamEnd { error: Some(Reason::ClientClosed.into()), ..StreamEnd::default() });
    }
    drop(head);
    io.give_away();
    let notes = ctx.notes.clone();
    let stream = UpgradedStream { io, downstream: conn.downstream.clone(), id: ctx.facts.id, cluster, notes, end };
    let mut ended = caught(handler.serve(stream), &cut).await;
    // What ended it on the wire is the better word.
    ended.error = conn.take_fault().or(ended.error);
    ctx.end_stream(ended);
}

/// Sends the head; whether it left.
async fn say(io: &mut DownstreamIo, head: &ResponseHeader) -> bool {
    let bytes = written(head);
    let writing = async {
        io.write_all(&bytes).await?;
        io.flush().await
    };
    matches!(tokio::time::timeout(ANSWER_TIMEOUT, writing).await, Ok(Ok(())))
}

fn written(head: &ResponseHeader) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(512);
    bytes.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A handler that panics ends its own stream and nothing else; one that does not end when it must is dropped.
async fn caught(serving: impl Future<Output = StreamEnd>, cut: &EndStream) -> StreamEnd {
    let mut serving = Box::pin(serving);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))) {
        Ok(Poll::Pending) => cut.poll_cut(cx).map(|()| StreamEnd::default()),
        Ok(ended) => ended,
        Err(_) => {
            let error = ProxyError::with_detail(Reason::Internal, "the handler of the stream failed");
            Poll::Ready(StreamEnd { error: Some(error), ..StreamEnd::default() })
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_upgrade_is_written_with_its_fields() {
        let mut head = ResponseHeader::build(101, None).unwrap();
        head.insert_header("Sec-WebSocket-Accept", "x").unwrap();
        head.insert_header("Connection", "Upgrade").unwrap();
        let bytes = written(&head);
        let text = std::str::from_utf8(&bytes).unwrap();
        let (first, fields) = text.split_once("\r\n").unwrap();
        assert_eq!(first, "HTTP/1.1 101 Switching Protocols");
        assert_eq!(fields.to_ascii_lowercase(), "sec-websocket-accept: x\r\nconnection: upgrade\r\n\r\n");
    }

    #[tokio::test]
    async fn a_handler_that_panics_ends_with_a_reason() {
        let cut = EndStream::default();
        let ended = caught(async { panic!("a fault of the handler") }, &cut).await;
        assert_eq!(ended.error.map(|error| error.reason), Some(Reason::Internal));
        let ended = caught(async { StreamEnd { bytes_in: 7, ..StreamEnd::default() } }, &cut).await;
        assert_eq!((ended.error, ended.bytes_in), (None, 7));
        cut.tell(Reason::KeyUnknown.into());
        cut.cut();
        assert_eq!(caught(std::future::pending(), &cut).await.bytes_in, 0, "one that does not end is dropped");
    }
}
