//! What the tests here share: clients and nodes at the ends of pipes in memory, and a cluster of such nodes.

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_http::RequestHeader;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use portcullis_filter::Notes;
use portcullis_filter::seam::Io;
use portcullis_filter::seam::{
    EndStream, Ending, StreamEnd, UpgradedStream, UpstreamRequest, UpstreamResponse, UpstreamStream, Upstreams,
};
use portcullis_types::{ClusterName, Downstream, EndpointName, ProxyError, Reason, RequestId};

use super::config::{ClientSettings, WebsocketConfig};
use super::frame::{Decoder, Event, Opcode, Role, frame, masked};
use super::handshake;
use super::hub::{Hub, Hubs};
use super::session::Session;
use crate::counted::Scrape;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(3600);

/// The settings that these YAML lines give.
pub(crate) fn settings(yaml: &str) -> WebsocketConfig {
    config(yaml).unwrap_or_else(|report| panic!("{report}"))
}

/// The settings that these YAML lines give, or the report.
pub(crate) fn config(yaml: &str) -> Result<WebsocketConfig, String> {
    let loader = portcullis_yaml::MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = portcullis_yaml::load("test.yaml".as_ref(), &loader);
    let config = loaded.decode(&loader, None);
    let report = portcullis_yaml::render_text(&loaded.diagnostics, &loaded.sources);
    config.filter(|_| !loaded.diagnostics.has_errors()).ok_or(report)
}

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    decoder: Decoder,
    role: Role,
    unread: Vec<u8>,
}

impl Peer {
    fn new(io: DuplexStream, role: Role) -> Self {
        Self { io, decoder: Decoder::new(role, 1 << 26), role, unread: Vec::new() }
    }

    pub(crate) async fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let bytes = match self.role {
            Role::Server => frame(opcode, payload).into_vec(),
            Role::Client => {
                let mut bytes = Vec::new();
                masked(opcode, payload, [1, 2, 3, 4], &mut bytes);
                bytes
            }
        };
        self.io.write_all(&bytes).await.expect("the other end reads");
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_frame(Opcode::Text, text.as_bytes()).await;
    }

    /// What comes next; `None` at the end of the connection.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            let mut bytes = self.unread.as_slice();
            let event = self.decoder.feed(&mut bytes).expect("right frames");
            self.unread = bytes.to_vec();
            if event.is_some() {
                return event;
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(LONG, self.io.read(&mut buffer)).await.expect("something comes");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The next text, as JSON; pings are answered on the way.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// The next text.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.event().await.expect("the connection lasts") {
                Event::Text(text) => return String::from_utf8(text.to_vec()).expect("UTF-8"),
                Event::Ping(payload) => self.send_frame(Opcode::Pong, &payload).await,
                Event::Pong(_) => {}
                other @ (Event::Binary(_) | Event::Close(_)) => panic!("not a text: {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes, past whatever comes before it; `None` when none comes.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.event().await? {
                Event::Close(code) => return code,
                Event::Text(_) | Event::Binary(_) | Event::Ping(_) | Event::Pong(_) => {}
            }
        }
    }
}

/// A client and its session.
pub(crate) struct TestClient {
    pub(crate) peer: Peer,
    pub(crate) session: JoinHandle<StreamEnd>,
    pub(crate) end: EndStream,
}

impl TestClient {
    /// Asks, with id 1.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) {
        self.peer.send(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()).await;
    }

    /// Asks, and returns the result.
    pub(crate) async fn result(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params).await;
        let answer = self.peer.json().await;
        assert_eq!(answer["id"], 1, "{answer}");
        answer["result"].clone()
    }

    /// The error that comes.
    pub(crate) async fn error(&mut self) -> Value {
        let answer = self.peer.json().await;
        assert!(answer["error"].is_object(), "{answer}");
        answer["error"].clone()
    }
}

/// A node's end of a connection to it.
pub(crate) struct Node {
    pub(crate) name: EndpointName,
    pub(crate) peer: Peer,
    next: u64,
}

impl Node {
    /// The next request.
    pub(crate) async fn request(&mut self) -> Value {
        self.peer.json().await
    }

    /// Answers a request.
    pub(crate) async fn answer(&mut self, request: &Value, result: Value) {
        self.peer.send(&json!({"jsonrpc": "2.0", "result": result, "id": request["id"]}).to_string()).await;
    }

    /// Answers a request with an error, as it is written.
    pub(crate) async fn refuse(&mut self, request: &Value, error: &str) {
        self.peer.send(&format!("{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":{}}}", request["id"])).await;
    }

    /// Takes a request to subscribe by this method, and grants it: the number.
    pub(crate) async fn grant(&mut self, method: &str) -> u64 {
        let request = self.request().await;
        assert_eq!(request["method"], method, "{request}");
        self.next += 1;
        let number = self.next;
        self.answer(&request, json!(number)).await;
        number
    }

    pub(crate) async fn notify(&mut self, method: &str, number: u64, result: Value) {
        let params = json!({"result": result, "subscription": number});
        self.peer.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await;
    }
}

/// A cluster of nodes in memory.
pub(crate) struct Cluster {
    /// By name, and whether it takes connections.
    endpoints: Mutex<Vec<(EndpointName, bool)>>,
    accepted: mpsc::UnboundedSender<Node>,
    /// Whom each dial avoided.
    pub(crate) avoided: Mutex<Vec<Vec<EndpointName>>>,
    capacity: usize,
}

#[async_trait]
impl Upstreams for Cluster {
    async fn call(&self, _: &ClusterName, _: UpstreamRequest) -> Result<UpstreamResponse, ProxyError> {
        Err(Reason::Internal.into())
    }

    async fn upgrade(
        &self,
        _: &ClusterName,
        header: RequestHeader,
        avoid: &[EndpointName],
    ) -> Result<UpstreamStream, ProxyError> {
        self.avoided.lock().push(avoid.to_vec());
        let up: Vec<EndpointName> =
            self.endpoints.lock().iter().filter(|(_, up)| *up).map(|(name, _)| name.clone()).collect();
        let other = up.iter().find(|name| !avoid.contains(name)).or(up.first());
        let endpoint = other.cloned().ok_or(ProxyError::new(Reason::NoHealthyUpstream))?;
        let header = handshake::accept(&header).expect("a right handshake");
        let (ours, theirs) = duplex(self.capacity);
        let peer = Peer::new(theirs, Role::Server);
        let _nobody_looks = self.accepted.send(Node { name: endpoint.clone(), peer, next: 100 });
        Ok(UpstreamStream { header, io: Box::new(ours), endpoint })
    }
}

/// A gateway's hub between clients and a cluster.
pub(crate) struct World {
    pub(crate) cluster: Arc<Cluster>,
    nodes: mpsc::UnboundedReceiver<Node>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) settings: Arc<ClientSettings>,
    pub(crate) scrape: Scrape,
}

impl World {
    /// With endpoints `a`, `b` and `c`, of which `a` is dialled first, and one line.
    pub(crate) fn new(yaml: &str) -> Self {
        let config = settings(&format!("connections: 1\n{yaml}"));
        let (accepted, nodes) = mpsc::unbounded_channel();
        let endpoints = ["a", "b", "c"].map(|name| (EndpointName::from(name), true));
        let cluster = Arc::new(Cluster {
            endpoints: Mutex::new(endpoints.to_vec()),
            accepted,
            avoided: Mutex::default(),
            capacity: 1 << 16,
        });
        let upstreams: Arc<dyn Upstreams> = cluster.clone();
        let (scrape, metrics) = crate::counted::metrics();
        let hub = Hubs::default().get(config.hub.key(ClusterName::from("rpc")), &upstreams, &metrics);
        Self { cluster, nodes, hub, settings: config.client, scrape }
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.cluster.endpoints.lock().iter_mut().for_each(|(_, is_up)| *is_up = up);
    }

    /// A client.
    pub(crate) fn client(&self) -> TestClient {
        self.client_with(Notes::default(), 1 << 16)
    }

    /// A client, of which the filters before said something, and whose connection takes so many bytes unread.
    pub(crate) fn client_with(&self, notes: Notes, capacity: usize) -> TestClient {
        let (ours, theirs) = duplex(capacity);
        let (end, ended) = EndStream::new();
        let stream = upgraded(ours, notes, ended);
        let session = tokio::spawn(Session::new(stream, Arc::clone(&self.hub), Arc::clone(&self.settings)).run());
        TestClient { peer: Peer::new(theirs, Role::Client), session, end }
    }

    /// A client to which a subscription was granted, by a connection that is new to its node.
    pub(crate) async fn subscribed(&mut self, method: &str, params: Value) -> Subscribed {
        let mut client = self.client();
        client.ask(method, params).await;
        let mut node = self.node().await;
        let upstream = node.grant(method).await;
        let number = client.peer.json().await["result"].clone();
        Subscribed { client, node, upstream, number }
    }

    /// The next connection that a node gets; its heartbeat is granted as number 1.
    pub(crate) async fn node(&mut self) -> Node {
        let mut node = self.silent_node().await;
        let request = node.request().await;
        assert_eq!(request["method"], "slotSubscribe", "{request}");
        node.answer(&request, json!(1)).await;
        node
    }

    /// The next connection that a node gets.
    pub(crate) async fn silent_node(&mut self) -> Node {
        tokio::time::timeout(LONG, self.nodes.recv()).await.expect("a dial").expect("a cluster")
    }
}

/// Both ends of a subscription.
pub(crate) struct Subscribed {
    pub(crate) client: TestClient,
    pub(crate) node: Node,
    /// Its number at the node.
    pub(crate) upstream: u64,
    /// The client's number of it.
    pub(crate) number: Value,
}

/// An upgraded connection.
pub(crate) fn upgraded(io: impl Io + 'static, notes: Notes, end: Ending) -> UpgradedStream {
    let address = "192.0.2.1:1".parse().expect("an address");
    let downstream =
        Downstream { listener: "test".into(), peer: address, socket_peer: address, local: address, tls: None };
    UpgradedStream { io: Box::new(io), downstream: Arc::new(downstream), id: RequestId(1), cluster: None, notes, end }
}
