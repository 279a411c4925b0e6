//! The gateway as the admin API sees it.

use async_trait::async_trait;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use portcullis_admin::{
    By, Change, Changed, Control, EndTrial, Readiness, ReloadEntry, SinkLine, Stale, UpgradeAsk, Upgraded, Usage,
    UsageAsk,
};
use portcullis_config::Diff;
use portcullis_health::{Facts, Finding, Kind, RoomFacts, Severity};
use portcullis_proxy::{Gateway, OverloadState};

use crate::counting::Counting;
use crate::history::told;
use crate::keeping;
use crate::lifecycle::{Lifecycle, Step};
use crate::logs::Logs;
use crate::reload::{Reloader, Trigger};
use crate::slos::Slos;
use crate::standing;
use crate::upgrade::Upgrader;

/// The running gateway. The reloader is there once everything else is: it serves the API as well as uses it.
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) slos: Arc<Slos>,
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
        self.reloader.get().map(|reloader| reloader.history.reloads()).unwrap_or_default()
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
            found: self.slos.found().into_iter().chain(self.changes()).collect(),
            ..Facts::default()
        }
    }

    fn slos(&self) -> Value {
        self.slos.told(&self.gateway.generations().current(), SystemTime::now())
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

    fn standing(&self) -> Value {
        self.reloader.get().map_or(Value::Null, |reloader| standing::told(reloader))
    }

    async fn generations(&self) -> Vec<Value> {
        self.ask(|reloader| Ok(reloader.history.metas().iter().map(told::row).collect())).await.unwrap_or_default()
    }

    async fn generation(&self, number: u64) -> Result<Value, String> {
        self.ask(move |reloader| reloader.history.entry(number).map(|entry| told::whole(&entry))).await
    }

    async fn compare(&self, from: u64, to: u64) -> Result<Diff, String> {
        self.ask(move |reloader| told::compare(&reloader.world, &reloader.history, (from, to))).await
    }

    async fn last_good(&self) -> Result<u64, String> {
        let texts = |reloader: &Reloader| reloader.history.last_good(Some(&reloader.served().texts));
        self.ask(move |reloader| texts(reloader).map(|entry| entry.meta.number)).await
    }

    fn trial(&self) -> Value {
        self.reloader.get().map_or(Value::Null, |reloader| reloader.trials.shown())
    }

    async fn end_trial(&self, how: EndTrial, by: By) -> Result<String, String> {
        let reloader = self.reloader.get().ok_or("the gateway is starting")?;
        reloader.end_trial(how, by).await
    }

    async fn change(&self, change: Change, by: By) -> Result<Changed, Stale> {
        match self.reloader.get() {
            Some(reloader) => reloader.change(Trigger::Api, change, by).await,
            // The API is served before the start is over only for an instant; who comes then comes too early.
            None => {
                let serves = self.gateway.generations().current();
                let current = serves.origin.hash.clone();
                Err(Stale { current, generation: serves.id, who: "the start".to_owned(), at: serves.created })
            }
        }
    }
}

impl Running {
    /// What is to be known of the config: that it is not the file's, and that a change is on trial.
    fn changes(&self) -> Vec<Finding> {
        let Some(reloader) = self.reloader.get() else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(why) = reloader.served().fallen {
            let says = "the file had errors at the start, so the last good generation serves";
            let first = why.lines().next().unwrap_or_default().to_owned();
            found.push(Finding::new(Kind::Config, "last_good", Severity::Degraded, says).known_by(first));
        }
        if let Some(drift) = reloader.drift.told() {
            found.push(Finding::new(Kind::Config, "drift", Severity::Degraded, drift.says));
        }
        if let Some(says) = reloader.trials.says() {
            found.push(Finding::new(Kind::Trial, "", Severity::Information, says));
        }
        found
    }

    /// Asks what reads files: not on a worker's thread.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reloader) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let reloader = self.reloader.get().cloned().ok_or("the gateway is starting")?;
        let asking = tokio::task::spawn_blocking(move || ask(&reloader)).await;
        asking.map_err(|error| error.to_string())?
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
