//! What a client costs while it waits.

use portcullis_filter::Notes;
use portcullis_filter::seam::EndStream;
use serde_json::json;
use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ACCOUNT;
use crate::ws::frame::{Opcode, masked};
use crate::ws::session::Session;
use crate::ws::testing::{World, upgraded};

/// A connection that says one thing and takes everything, and has no memory of its own to speak of.
struct Quiet {
    says: &'static [u8],
    took: Arc<AtomicUsize>,
}

impl AsyncRead for Quiet {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.says.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(std::mem::take(&mut self.says));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Quiet {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.took.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const CLIENTS: usize = 9000;

async fn serve_all(world: &mut World) {
    let text = json!({"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [ACCOUNT]}).to_string();
    let mut says = Vec::new();
    masked(Opcode::Text, text.as_bytes(), [1, 2, 3, 4], &mut says);
    let says: &'static [u8] = says.leak();
    let took = Arc::new(AtomicUsize::new(0));
    let mut ends = Vec::new();
    for _ in 0..CLIENTS {
        let (end, ended) = EndStream::new();
        ends.push(end);
        let io = Quiet { says, took: Arc::clone(&took) };
        let stream = upgraded(io, Notes::default(), ended);
        tokio::spawn(Session::new(stream, Arc::clone(&world.hub), Arc::clone(&world.settings)).run());
    }
    let mut node = world.node().await;
    let upstream = node.grant("accountSubscribe").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let granted = took.swap(0, Ordering::Relaxed);
    assert!(granted > CLIENTS * 40, "{granted}");
    for _ in 0..20 {
        node.notify("accountNotification", upstream, json!({"value": "x".repeat(2000)})).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(took.load(Ordering::Relaxed) > CLIENTS * 20 * 2000);
    std::mem::forget((node, ends));
}

#[test]
fn nine_thousand_clients_with_a_subscription_each_take_little_memory() {
    let info = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new("");
            serve_all(&mut world).await;
            std::mem::forget(world);
        });
        // What is measured is what is held when all is quiet, so it is kept.
        std::mem::forget(runtime);
    });
    let each = info.bytes_current / CLIENTS as i64;
    println!("{each} bytes a client when it waits, {} at most", info.bytes_max / CLIENTS as u64);
    assert!(each < 4096, "{each} bytes a client");
    assert!(info.bytes_max < CLIENTS as u64 * 8192, "{info:?}");
}

#[test]
fn a_notification_costs_a_client_no_allocation_beyond_its_place_in_the_queue() {
    use crate::ws::client::Client;
    use crate::ws::message::Incoming;
    let text = r#"{"method":"slotNotification","params":{"result":{"slot":1},"subscription":1}}"#;
    let Ok(Incoming::Notification(_, notification)) = Incoming::read(text.into()) else { panic!("a notification") };
    let notification = Arc::new(notification);
    let client = Client::new(1 << 20, Arc::default());
    client.hold(1, 0, None);
    assert!(client.granted(1, vec![0].into()));
    let info = allocation_counter::measure(|| {
        for _ in 0..3 {
            assert!(client.notify(1, &notification));
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}
