//! What the gateway relies on in Pingora's pool of idle connections, which is our change (`vendor/README.md`).

use std::collections::HashSet;
use std::net::SocketAddr as InetAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::Peer;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// A peer whose key is chosen: two of them may collide.
#[derive(Debug, Clone)]
struct Keyed(SocketAddr, u64);

impl std::fmt::Display for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Peer for Keyed {
    fn address(&self) -> &SocketAddr {
        &self.0
    }
    fn tls(&self) -> bool {
        false
    }
    fn sni(&self) -> &str {
        ""
    }
    fn reuse_hash(&self) -> u64 {
        self.1
    }
}

async fn listen() -> (TcpListener, InetAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection to the peer, and its other side.
async fn connection(pool: &TransportConnector, listener: &TcpListener, peer: &Keyed) -> (Stream, TcpStream) {
    let (ours, theirs) = tokio::join!(pool.new_stream(peer), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

/// Which connection it is.
fn port(stream: &Stream) -> u16 {
    let digest = stream.get_socket_digest().unwrap();
    digest.local_addr().unwrap().as_inet().unwrap().port()
}

async fn taken(pool: &TransportConnector, peer: &Keyed) -> Option<u16> {
    pool.reused_stream(peer).await.map(|stream| port(&stream))
}

#[tokio::test]
async fn hands_out_the_connection_that_was_put_last() {
    let (listener, address) = listen().await;
    let (pool, peer) = (TransportConnector::new(None), Keyed(address.into(), 1));
    let mut open = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..3 {
        let (ours, theirs) = connection(&pool, &listener, &peer).await;
        ports.push(port(&ours));
        open.push(theirs);
        pool.release_stream(ours, 1, None);
    }
    for expected in ports.into_iter().rev() {
        assert_eq!(taken(&pool, &peer).await, Some(expected));
    }
    assert_eq!(taken(&pool, &peer).await, None);
}

#[tokio::test]
async fn a_full_pool_closes_what_was_put_first_whatever_its_key() {
    let (listener, address) = listen().await;
    let evicted = Arc::new(AtomicUsize::new(0));
    let mut options = ConnectorOptions::new(2);
    let count = evicted.clone();
    options.keepalive_pool_callback = Some(Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let pool = TransportConnector::new(Some(options));
    let peers = [1, 2, 1].map(|key| Keyed(address.into(), key));
    let mut other_sides = Vec::new();
    let mut ports = Vec::new();
    for peer in &peers {
        let (ours, theirs) = connection(&pool, &listener, peer).await;
        ports.push(port(&ours));
        other_sides.push(theirs);
        pool.release_stream(ours, peer.1, None);
    }
    assert_eq!(evicted.load(Ordering::SeqCst), 1);
    assert_eq!(other_sides[0].read(&mut [0]).await.unwrap(), 0, "the first is closed");
    assert_eq!(taken(&pool, &peers[0]).await, Some(ports[2]));
    assert_eq!(taken(&pool, &peers[0]).await, None);
    assert_eq!(taken(&pool, &peers[1]).await, Some(ports[1]));
}

#[tokio::test]
async fn never_hands_out_a_connection_past_its_time() {
    let (listener, address) = listen().await;
    let (pool, peer) = (TransportConnector::new(None), Keyed(address.into(), 1));
    let (ours, mut theirs) = connection(&pool, &listener, &peer).await;
    pool.release_stream(ours, 1, Some(Duration::ZERO));
    assert_eq!(taken(&pool, &peer).await, None);
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0, "it is closed");
}

#[tokio::test]
async fn closes_a_connection_past_its_time_that_nobody_asks_for() {
    let (listener, address) = listen().await;
    let (pool, peer) = (TransportConnector::new(None), Keyed(address.into(), 1));
    let (ours, mut theirs) = connection(&pool, &listener, &peer).await;
    pool.release_stream(ours, 1, Some(Duration::from_millis(1)));
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn passes_over_a_connection_that_was_closed() {
    let (listener, address) = listen().await;
    let (pool, peer) = (TransportConnector::new(None), Keyed(address.into(), 1));
    let (good, _open) = connection(&pool, &listener, &peer).await;
    let (mut bad, closed) = connection(&pool, &listener, &peer).await;
    drop(closed);
    assert_eq!(bad.read(&mut [0]).await.unwrap(), 0);
    let expected = port(&good);
    pool.release_stream(good, 1, None);
    pool.release_stream(bad, 1, None);
    assert_eq!(taken(&pool, &peer).await, Some(expected));
}

#[tokio::test]
async fn two_peers_of_one_key_do_not_share_a_connection() {
    let (listener, address) = listen().await;
    let (_elsewhere, other) = listen().await;
    let pool = TransportConnector::new(None);
    let (here, there) = (Keyed(address.into(), 1), Keyed(other.into(), 1));
    let (ours, _open) = connection(&pool, &listener, &here).await;
    pool.release_stream(ours, 1, None);
    assert_eq!(taken(&pool, &there).await, None);
}

#[test]
fn a_pool_outlives_the_runtime_that_watched_over_it() {
    let pool = TransportConnector::new(None);
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, address) = listen().await;
            let peer = Keyed(address.into(), 1);
            let (ours, mut theirs) = connection(&pool, &listener, &peer).await;
            pool.release_stream(ours, 1, Some(Duration::from_millis(1)));
            assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0, "somebody looks after it");
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gives_no_connection_to_two_at_once() {
    const TASKS: usize = 16;
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    let pool = Arc::new(TransportConnector::new(Some(ConnectorOptions::new(TASKS))));
    let (in_use, all) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(Mutex::new(HashSet::new())));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (pool, in_use, all) = (pool.clone(), in_use.clone(), all.clone());
            tokio::spawn(async move {
                let peer = Keyed(address.into(), 1);
                for _ in 0..500 {
                    let (stream, _) = pool.get_stream(&peer).await.unwrap();
                    let port = port(&stream);
                    assert!(in_use.lock().unwrap().insert(port), "{port} is in use");
                    all.lock().unwrap().insert(port);
                    tokio::task::yield_now().await;
                    in_use.lock().unwrap().remove(&port);
                    pool.release_stream(stream, 1, Some(Duration::from_secs(60)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(all.lock().unwrap().len() <= TASKS);
}
