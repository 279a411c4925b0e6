//! The gateway as the admin API sees it.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use portcullis_admin::{Change, Changed, Control, Readiness, ReloadEntry, SinkLine, Stale, Usage, UsageAsk};
use portcullis_health::{Facts, RoomFacts};
use portcullis_proxy::{Gateway, OverloadState};

use crate::counting::Counting;
use crate::keeping;
use crate::logs::Logs;
use crate::reload::{Reloader, Trigger};
use crate::slos::Slos;

/// The running gateway. The reloader is there once everything else is: it serves the API as well as uses it.
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) slos: Arc<Slos>,
    pub(crate) reloader: OnceLock<Arc<Reloader>>,
}

#[async_trait]
impl Control for Running {
    fn readiness(&self) -> Readiness {
        match (self.gateway.is_ready(), self.reloader.get()) {
            (false, _) => Readiness::Draining,
            (true, None) => Readiness::Starting,
            (true, Some(_)) if !self.gateway.has_room() => Readiness::Overloaded,
            (true, Some(_)) => Readiness::Ready,
        }
    }

    fn addresses(&self) -> Vec<(String, Vec<SocketAddr>)> {
        self.gateway.addresses()
    }

    fn history(&self) -> Vec<ReloadEntry> {
        self.reloader.get().map(|reloader| reloader.history.entries()).unwrap_or_default()
    }

    fn overload(&self) -> Value {
        let now = self.gateway.overload();
        let shown = |[used, limit, refused]: [u64; 3]| json!({ "used": used, "limit": limit, "refused": refused });
        json!({
            "refuses": now.refuses,
            "memory_bytes": shown(now.memory),
            "event_loop_delay_microseconds": shown(now.event_loop_delay),
            "connections": shown(now.connections),
            "streams": self.gateway.streams(),
        })
    }

    fn store(&self) -> Value {
        self.counting.keeper().map_or(Value::Null, |keeper| keeping::shown(keeper))
    }

    fn facts(&self) -> Facts {
        let status = self.counting.keeper().map(|keeper| keeper.status());
        let overload = self.gateway.overload();
        let [used, limit, _] = overload.connections;
        Facts {
            burns: self.slos.burns(&self.gateway.generations().current(), SystemTime::now()),
            store: status.as_ref().map(|status| keeping::store_facts(&status.saving)),
            link: status.as_ref().and_then(|status| status.redis.as_ref()).map(keeping::link_facts),
            refuses: overload.refuses.map(|priority| refuses(priority, &overload)),
            rooms: vec![RoomFacts { name: "connections of the gateway".to_owned(), used, limit }],
            found: self.slos.found().into_iter().collect(),
            ..Facts::default()
        }
    }

    fn slos(&self) -> Value {
        self.slos.told(&self.gateway.generations().current(), SystemTime::now())
    }

    fn sinks(&self) -> Vec<SinkLine> {
        self.logs.lines()
    }

    async fn usage(&self, asked: UsageAsk) -> Result<Usage, String> {
        let counting = self.counting.clone();
        let told = tokio::task::spawn_blocking(move || counting.usage(&asked)).await;
        told.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn change(&self, change: Change) -> Result<Changed, Stale> {
        match self.reloader.get() {
            Some(reloader) => reloader.change(Trigger::Api, change).await,
            // The API is served before the start is over only for an instant; who comes then comes too early.
            None => Err(Stale { current: self.gateway.generations().peek().origin.hash.clone() }),
        }
    }
}

/// What the guards refuse, and why.
fn refuses(priority: &str, state: &OverloadState) -> String {
    let [memory, most, _] = state.memory;
    let [delay, longest, _] = state.event_loop_delay;
    format!(
        "requests of priority {priority} and below are refused: {memory} of {most} bytes, the event loop is {delay} us late of \
         {longest}"
    )
}
