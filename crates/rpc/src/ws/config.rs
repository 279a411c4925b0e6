//! Settings of `rpc_websocket`.

use http::uri::PathAndQuery;
use portcullis_policy::matcher::{RpcMethod, RpcMethods};
use portcullis_types::{ByteSize, ClusterName};
use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, SchemaGen, Spanned, code, decode_from_str};
use serde_json::Value as Json;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::hub::HubKey;
use super::table::Terms;
use crate::solana;

#[cfg(test)]
mod tests;

/// Settings of `rpc_websocket`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebsocketConfig {
    /// The cluster, in place of the route's.
    pub to: Option<Spanned<String>>,
    /// What clients share.
    pub hub: HubSettings,
    /// What each client may; shared with the clients, who outlive the generation.
    pub client: Arc<ClientSettings>,
}

/// What of the settings says which hub a client shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    path: PathAndQuery,
    lines: u8,
    message: usize,
    terms: Terms,
}

impl HubSettings {
    /// The hub for a cluster.
    #[must_use]
    pub fn key(&self, cluster: ClusterName) -> HubKey {
        let Self { path, lines, message, terms } = self.clone();
        HubKey { cluster, path, lines, message, terms }
    }
}

/// What each client may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// What it may call besides subscriptions.
    pub calls: Calls,
    /// The most subscriptions.
    pub subscriptions: u32,
    /// The most requests that wait for an upstream.
    pub pending: u32,
    /// The largest message.
    pub frame: usize,
    /// The most bytes that wait for it to read.
    pub buffer: usize,
    /// The silence after which it is pinged.
    pub ping: Duration,
    /// The silence after which it is given up.
    pub idle: Duration,
    /// Credits for each notification.
    pub credits: u64,
}

/// Methods besides those of subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// Whether those of a Solana node are among them.
    solana: bool,
    more: Option<RpcMethods>,
}

impl Calls {
    fn new(words: &[CallWord]) -> Self {
        let named = words.iter().filter_map(|word| match word {
            CallWord::Solana => None,
            CallWord::Method(method) => Some(method.clone()),
        });
        Self { solana: words.contains(&CallWord::Solana), more: RpcMethods::new(named) }
    }

    /// Whether a method is among them.
    #[must_use]
    pub fn has(&self, method: &str) -> bool {
        (self.solana && solana::method(method).is_some()) || self.more.as_ref().is_some_and(|more| more.has(method))
    }
}

/// `solana`, a method, or a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CallWord {
    Solana,
    Method(RpcMethod),
}

const CALL: Form = Form::new("`solana`, a method or a pattern for some", &["solana", "getSlot", "get*"]);

impl FromStr for CallWord {
    type Err = <RpcMethod as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "solana" { Ok(Self::Solana) } else { text.parse().map(Self::Method) }
    }
}

impl Decode for CallWord {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_from_str(node, cx, &CALL)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        CALL.string_schema()
    }
}

/// Whether clients that may have lost notifications stay connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
enum Gaps {
    /// Their connections are closed with 1012.
    Close,
    /// They stay, and are told nothing.
    Tolerate,
}

/// Terminates WebSockets that speak JSON-RPC with Solana's subscriptions. Identical subscriptions of all clients share one
/// upstream; when that fails, they move to another endpoint under the same numbers. Requests that do not ask for an upgrade
/// go on.
#[derive(Decode)]
struct WebsocketSettings {
    /// The cluster whose endpoints are subscribed to; the route's own when left out.
    #[config(example = "rpc-pubsub")]
    to: Option<Spanned<String>>,
    /// The path of the handshake with an endpoint; it may have a query.
    #[config(default = Path::default())]
    path: Path,
    /// What may be called besides subscriptions, and is passed on to the upstream of these: methods, patterns such as
    /// `get*`, and `solana` for the methods of a Solana node, which is the default. Any other is answered -32601.
    #[config(example = "[getSlot, getHealth]")]
    calls: Option<Vec<CallWord>>,
    /// How many subscriptions a connection may hold, besides what the caller's plan says.
    #[config(default = Subscriptions(100))]
    subscriptions: Subscriptions,
    /// How many requests of a connection may wait for an upstream at once; nothing more is read from it while they do.
    #[config(default = Pending(32))]
    pending: Pending,
    /// The largest message of a client. A node of agave closes the connection on which more than 4 KiB come at once, and
    /// many clients share that one, so a larger value is for other endpoints.
    #[config(default = Frame(ByteSize(4096)))]
    frame: Frame,
    /// How many bytes may wait for a client to read. One that lets more pile up is closed with 1013.
    #[config(default = Buffer(ByteSize(256 * 1024)))]
    buffer: Buffer,
    /// How long a client may be silent before it is pinged.
    #[config(default = Time(Duration::from_secs(30)))]
    ping: Time,
    /// How long a client may be silent, pinged or not, before it is given up.
    #[config(default = Time(Duration::from_secs(90)))]
    idle: Time,
    /// How long an upstream is kept whose slots are silent, or another subscription of it that always speaks.
    #[config(default = Silence(Duration::from_secs(85)))]
    silence: Silence,
    /// How long a request waits for an upstream and its answer.
    #[config(default = Time(Duration::from_secs(30)))]
    timeout: Time,
    /// How long clients stay connected while no endpoint of the cluster can be reached.
    #[config(default = Time(Duration::from_secs(15)))]
    outage: Time,
    /// What becomes of clients for whom notifications may be lost when an upstream fails.
    #[config(default = Gaps::Close)]
    gaps: Gaps,
    /// How many connections to the cluster all its subscriptions are spread over.
    #[config(default = Connections(4))]
    connections: Connections,
    /// The largest message of an upstream: a block with all its transactions has several MiB.
    #[config(default = Message(ByteSize(32 * 1024 * 1024)))]
    message: Message,
    /// Credits that each notification takes from the caller's plan.
    #[config(default = 0)]
    credits: u64,
}

/// A value of a type, within bounds.
macro_rules! bounded {
    ($name:ident, $of:ty, $what:literal, $examples:expr, $fits:expr) => {
        struct $name($of);

        impl Decode for $name {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let form = Form::new($what, &$examples);
                let fits: fn(&$of) -> bool = $fits;
                let value = <$of>::decode(node, cx)?;
                if fits(&value) { Some(Self(value)) } else { cx.invalid(node, &form, None) }
            }

            fn schema(schemas: &mut SchemaGen) -> Json {
                <$of>::schema(schemas)
            }

            fn encode(&self) -> Option<Json> {
                self.0.encode()
            }
        }
    };
}

bounded!(Subscriptions, u32, "a number from 1 to 10000", ["100", "1000"], |it| (1..=10_000).contains(it));
bounded!(Pending, u32, "a number from 1 to 1024", ["32", "64"], |it| (1..=1024).contains(it));
bounded!(Connections, u8, "a number from 1 to 64", ["4", "8"], |it| (1..=64).contains(it));
bounded!(Frame, ByteSize, "a size from `64B` to `1MiB`", ["4KiB", "64KiB"], |it| (64..=1 << 20).contains(&it.0));
bounded!(Buffer, ByteSize, "a size from `4KiB` to `64MiB`", ["256KiB", "1MiB"], |it| {
    (4 << 10..=64 << 20).contains(&it.0)
});
bounded!(Message, ByteSize, "a size from `4KiB` to `256MiB`", ["1MiB", "32MiB"], |it| {
    (4 << 10..=256 << 20).contains(&it.0)
});
bounded!(Silence, Duration, "a duration from `5s` to `1h`", ["85s", "2m"], |it| (5..=3600).contains(&it.as_secs()));
bounded!(Time, Duration, "a duration from `1s` to `1h`", ["15s", "1m"], |it| (1..=3600).contains(&it.as_secs()));
bounded!(Path, String, "a path that begins with `/`", ["/", "/ws"], |it| parse_path(it).is_some());

impl Default for Path {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

fn parse_path(text: &str) -> Option<PathAndQuery> {
    text.starts_with('/').then(|| text.parse().ok()).flatten()
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

impl Decode for WebsocketConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = WebsocketSettings::decode(node, cx)?;
        if settings.ping.0 >= settings.idle.0 {
            let message = "a client would be given up before it was pinged";
            let help = "make `idle` longer than `ping`, so that there is time for a pong";
            return cx.fail(Diagnostic::error(code::INVALID_VALUE, node.span, message).help(help));
        }
        let terms = Terms {
            timeout: settings.timeout.0,
            silence: settings.silence.0,
            outage: settings.outage.0,
            tolerate_gaps: settings.gaps == Gaps::Tolerate,
        };
        let client = ClientSettings {
            calls: Calls::new(settings.calls.as_deref().unwrap_or(&[CallWord::Solana])),
            subscriptions: settings.subscriptions.0,
            pending: settings.pending.0,
            frame: bytes(settings.frame.0),
            buffer: bytes(settings.buffer.0),
            ping: settings.ping.0,
            idle: settings.idle.0,
            credits: settings.credits,
        };
        let path = parse_path(&settings.path.0)?;
        let hub = HubSettings { path, lines: settings.connections.0, message: bytes(settings.message.0), terms };
        Some(Self { to: settings.to, hub, client: Arc::new(client) })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        WebsocketSettings::schema(schemas)
    }
}
