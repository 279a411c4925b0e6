//! `limits:` of clusters and routes, `priority:`, and `overload:`.

use portcullis_types::{ByteSize, Percent};
use portcullis_yaml::{Decode, Spanned};
use std::time::Duration;

/// What a cluster takes at once. What does not fit waits, then is refused with 503 `overloaded`.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawClusterLimits {
    /// Requests in flight, of the whole cluster, 1 to 1000000; with `adaptive`, the most that it may come to. Default:
    /// no bound.
    pub(crate) requests: Option<Spanned<u32>>,
    /// Requests in flight to one endpoint, 1 to 1000000; WebSockets and retries count too. On HTTP/1 this bounds its
    /// active connections. Default: no bound.
    pub(crate) per_endpoint: Option<Spanned<u32>>,
    /// Whether the limit follows latency: it grows while answers take as long as without queueing, and shrinks when
    /// they take longer. Default: false.
    pub(crate) adaptive: Option<bool>,
    /// Requests that may wait for a place, 0 to 100000; 0 refuses at once. Default: 256.
    pub(crate) queue: Option<Spanned<u32>>,
    /// How long a request may wait for a place. Default: 500ms.
    pub(crate) queue_timeout: Option<Spanned<Duration>>,
    /// WebSockets and event streams at once, 1 to 1000000. They do not count as requests. Default: no bound.
    pub(crate) streams: Option<Spanned<u32>>,
}

/// What a route takes at once. What does not fit is refused with 503 `overloaded`.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawRouteLimits {
    /// Requests in flight, 1 to 1000000. Default: no bound.
    pub(crate) requests: Option<Spanned<u32>>,
    /// WebSockets and event streams at once, 1 to 1000000. They do not count as requests. Default: no bound.
    pub(crate) streams: Option<Spanned<u32>>,
}

/// How important a route's requests are. Under overload the least important are refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawPriority {
    /// May be refused whenever it is tight: prefetches, batches. Fills a limit to 80% at most.
    Sheddable,
    /// Everything that says nothing.
    Normal,
    /// People wait for it.
    Important,
    /// Refused last: health, administration, payments.
    Critical,
}

/// When the process itself refuses work. The least important requests go first: each of the four priorities has more
/// room than the one below it.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawOverload {
    /// The memory from which sheddable requests are refused: bytes, a share such as `80%` of what the process may have
    /// (its cgroup's limit, else the machine's memory), or `off`. Each priority above has a sixteenth more. Default: 80%.
    pub(crate) memory: Option<Spanned<RawMemory>>,
    /// How late the event loop may run, for half a second without a break, before sheddable requests are refused; 0 for
    /// no bound. Each priority above has twice as much. Default: 50ms.
    pub(crate) event_loop_delay: Option<Spanned<Duration>>,
    /// Client connections of all listeners together; 0 for no bound. Default: half of the descriptors that the process
    /// may open.
    pub(crate) connections: Option<Spanned<u32>>,
}

/// A bound on memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RawMemory {
    Off,
    Share(Percent),
    Bytes(ByteSize),
}

impl std::str::FromStr for RawMemory {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let share = text.ends_with('%').then(|| text.parse().map(Self::Share).ok()).flatten();
        let bytes = || text.parse().ok().filter(|bytes: &ByteSize| bytes.0 > 0).map(Self::Bytes);
        share.or_else(bytes).ok_or("it is no share, no size and not `off`")
    }
}

impl Decode for RawMemory {
    fn decode(node: &portcullis_yaml::Node, cx: &mut portcullis_yaml::Cx<'_>) -> Option<Self> {
        portcullis_yaml::decode_from_str(node, cx, &memory())
    }

    fn schema(_: &mut portcullis_yaml::SchemaGen) -> serde_json::Value {
        memory().string_schema()
    }
}

const fn memory() -> portcullis_yaml::Form {
    portcullis_yaml::Form::new("an amount of memory", &["80%", "2GiB", "off"])
}
