//! The gateway as the admin API sees it.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use portcullis_admin::{
    Change, Changed, Control, Readiness, ReloadEntry, SinkLine, Stale, UpgradeAsk, Upgraded, Usage, UsageAsk,
};
use portcullis_proxy::Gateway;

use crate::counting::Counting;
use crate::keeping;
use crate::lifecycle::{Lifecycle, Step};
use crate::logs::Logs;
use crate::reload::{Reloader, Trigger};
use crate::upgrade::Upgrader;

/// The running gateway. The reloader is there once everything else is: it serves the API as well as uses it.
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) reloader: OnceLock<Arc<Reloader>>,
    pub(crate) upgrader: OnceLock<Arc<Upgrader>>,
}

#[async_trait]
impl Control for Running {
    fn readiness(&self) -> Readiness {
        match (self.gateway.is_ready(), self.reloader.get()) {
            (false, _) => Readiness::Draining,
            (true, None) => Readiness::Starting,
            (true, Some(_)) if self.lifecycle.step() == Step::Leaving => Readiness::Leaving,
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

    fn lifecycle(&self) -> Value {
        self.lifecycle.shown()
    }

    async fn upgrade(&self, asked: UpgradeAsk) -> Result<Upgraded, String> {
        match self.upgrader.get() {
            Some(upgrader) => upgrader.upgrade(asked).await,
            None => Err("this process is starting".to_owned()),
        }
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
