//! Everything that operators said by the API for a while: of endpoints, of networks, of caps. One list, and each thing on
//! it has somebody who did it, a reason and an end.
//!
//! What is in effect is held by those who act by it (the endpoints of a cluster, the throttle, the ledger); this is the
//! book that says who did it, keeps it over a restart, and says when it is over. It is saved before the call that changed
//! it is answered; where it cannot be, that is said, and what was asked for is in effect all the same.

use parking_lot::Mutex;
use portcullis_identity::Identities;
use portcullis_snapshot::Snapshot;
use portcullis_types::quantity::format_about;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

use crate::api::{bans, caps, endpoints, moment, seconds};

/// Those that are over and still told.
const ENDED: usize = 100;
/// The clock of the wall may jump: it is looked at this often.
const LOOK: Duration = Duration::from_secs(30);
/// The file's name, and the form of what is in it.
const FILE: &str = "overrides.json";
const VERSION: u32 = 1;

/// What kind of thing is overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Endpoint,
    Ban,
    Cap,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Ban => "ban",
            Self::Cap => "cap",
        }
    }
}

/// An override.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) kind: Kind,
    /// What is overridden; one of a kind has one override at most.
    pub(crate) target: String,
    /// What is done to it.
    pub(crate) action: String,
    pub(crate) who: String,
    pub(crate) reason: String,
    /// Milliseconds since 1970.
    pub(crate) since: u64,
    pub(crate) ends: u64,
    /// The cluster, of an endpoint.
    pub(crate) cluster: Option<String>,
    /// The body of the call, to make it again.
    pub(crate) ask: Value,
    /// The end on the clock that does not jump, for what goes by that one.
    #[serde(skip)]
    pub(crate) until: Option<Instant>,
}

impl Made {
    /// How long it still lasts.
    fn left(&self, now: Instant) -> Duration {
        match self.until {
            Some(until) => until.saturating_duration_since(now),
            None => Duration::from_millis(self.ends.saturating_sub(millis(SystemTime::now()))),
        }
    }

    fn says(&self) -> String {
        format!("{} {}: {} by {}: {}", self.kind.as_str(), self.target, self.action, self.who, self.reason)
    }

    fn told(&self, now: Instant) -> Value {
        let left = self.left(now);
        json!({
            "kind": self.kind.as_str(),
            "target": self.target,
            "action": self.action,
            "who": self.who,
            "reason": self.reason,
            "since": moment(time(self.since)),
            "ends": moment(time(self.ends)),
            "ends_in_seconds": seconds(left),
            "says": format!("{}; for another {}", self.says(), format_about(left)),
        })
    }
}

/// An override that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ended {
    #[serde(flatten)]
    made: Made,
    /// Milliseconds since 1970.
    ended: u64,
    /// How it came.
    how: String,
}

impl Ended {
    fn told(&self) -> Value {
        let Made { kind, target, action, who, reason, since, ends, .. } = &self.made;
        json!({
            "kind": kind.as_str(),
            "target": target,
            "action": action,
            "who": who,
            "reason": reason,
            "since": moment(time(*since)),
            "ends": moment(time(*ends)),
            "ended": moment(time(self.ended)),
            "how": self.how,
        })
    }
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Held {
    version: u32,
    live: Vec<Made>,
    ended: VecDeque<Ended>,
}

impl Held {
    fn end(&mut self, made: Made, how: String) {
        self.ended.truncate(ENDED - 1);
        self.ended.push_front(Ended { made, ended: millis(SystemTime::now()), how });
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Overrides {
    held: Mutex<Held>,
    changed: Notify,
    folder: Option<PathBuf>,
    /// Why the file is not what is held; one saves at a time.
    trouble: Mutex<Option<String>>,
    saving: tokio::sync::Mutex<()>,
    /// Another process keeps them from now on.
    left: AtomicBool,
}

impl Overrides {
    /// Reads what was saved in a folder, and saves there from now on; without a folder nothing lasts. A file that cannot
    /// be read is put aside, and said.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> Self {
        let read = folder.map(|folder| read(&folder.join(FILE)));
        let (held, trouble) = match read {
            None => (Held::default(), None),
            Some(Ok(held)) => (held, None),
            Some(Err(error)) => {
                log::error!("overrides of before are lost: {error}");
                (Held::default(), Some(error))
            }
        };
        let folder = folder.map(Path::to_owned);
        Self { held: Mutex::new(held), folder, trouble: Mutex::new(trouble), ..Self::default() }
    }

    /// Those of the process before this one where no folder keeps them.
    ///
    /// # Errors
    /// A sentence: the other process's are of another form.
    pub fn of(carried: Value) -> Result<Self, String> {
        let held = serde_json::from_value::<Held>(carried).map_err(|error| error.to_string())?;
        Ok(Self { held: Mutex::new(held), ..Self::default() })
    }

    /// What another process needs beside the folder; `None` where the folder has all.
    #[must_use]
    pub fn carried(&self) -> Option<Value> {
        let held = self.folder.is_none().then(|| self.held.lock().clone())?;
        serde_json::to_value(Held { version: VERSION, ..held }).ok()
    }

    /// Leaves them to another process, once what is being saved is: nothing is saved any more, and operators are told to ask
    /// again.
    pub async fn leave(&self) {
        let _saving = self.saving.lock().await;
        self.left.store(true, SeqCst);
    }

    /// The other process does not take them: what holds here is saved again.
    pub async fn take_back(&self) {
        self.left.store(false, SeqCst);
        self.keep().await;
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left.load(SeqCst)
    }

    /// Puts what was saved to work again, before anything serves; says what is over meanwhile, and what cannot be put to
    /// work any more.
    pub fn restore(&self, snapshot: &Snapshot, identities: &Identities) {
        let mut held = self.held.lock();
        let now = millis(SystemTime::now());
        for mut made in std::mem::take(&mut held.live) {
            let left = Duration::from_millis(made.ends.saturating_sub(now));
            // What has less than a second left cannot be made for so short.
            if left < Duration::from_secs(1) {
                log::info!("override: {} is over, its time was up while the gateway did not run", made.says());
                held.end(made, "its time was up while the gateway did not run".to_owned());
                continue;
            }
            let again = match made.kind {
                Kind::Endpoint => endpoints::again(snapshot, &mut made, left),
                Kind::Ban => bans::again(identities, &made),
                Kind::Cap => caps::again(snapshot, &made),
            };
            match again {
                Ok(()) => {
                    log::warn!("override: {} holds again, for another {}", made.says(), format_about(left));
                    held.live.push(made);
                }
                Err(why) => {
                    log::warn!("override: {} cannot be put to work again: {why}", made.says());
                    held.end(made, format!("it could not be put to work again: {why}"));
                }
            }
        }
        if self.folder.is_none() && snapshot.settings.admin.is_some() {
            log::info!("overrides by the admin API end with this process: the config has no `store` to keep them in");
        }
    }

    /// Says what is over when it is, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        loop {
            let (ended, next) = self.sweep(Instant::now());
            if ended {
                self.keep().await;
            }
            let pause = next.map_or(LOOK, |next| next.min(LOOK));
            // Either way it is looked again.
            drop(tokio::time::timeout(pause, self.changed.notified()).await);
        }
    }

    /// Takes out what is over, and says when the next one is.
    fn sweep(&self, now: Instant) -> (bool, Option<Duration>) {
        let mut held = self.held.lock();
        let ended: Vec<Made> = held.live.extract_if(.., |made| made.left(now).is_zero()).collect();
        let any = !ended.is_empty();
        for made in ended {
            log::info!("override: {} is over, its time is up", made.says());
            held.end(made, "its time is up".to_owned());
        }
        (any, held.live.iter().map(|made| made.left(now)).min())
    }

    /// An override is in effect, in the place of one for the same.
    pub(crate) fn made(&self, made: Made) {
        let mut held = self.held.lock();
        let same = |other: &mut Made| (other.kind, &other.target) == (made.kind, &made.target);
        let replaced: Vec<Made> = held.live.extract_if(.., same).collect();
        for before in replaced {
            held.end(before, format!("{} made another", made.who));
        }
        held.live.push(made);
        drop(held);
        self.changed.notify_one();
    }

    /// An override was taken back. All whose target fits are.
    pub(crate) fn taken_back(&self, kind: Kind, target: &str, who: &str) {
        let mut held = self.held.lock();
        let fits = |made: &mut Made| made.kind == kind && made.target == target;
        let ended: Vec<Made> = held.live.extract_if(.., fits).collect();
        for made in ended {
            log::info!("override: {} was taken back by {who}", made.says());
            held.end(made, format!("{who} took it back"));
        }
        drop(held);
        self.changed.notify_one();
    }

    /// Saves what is held, where there is a place for it. `false` when another process keeps it by now, which may not have
    /// heard of the last change.
    pub(crate) async fn keep(&self) -> bool {
        let _saving = self.saving.lock().await;
        if self.is_left() {
            return false;
        }
        let Some(folder) = self.folder.clone() else { return true };
        let held = Held { version: VERSION, ..self.held.lock().clone() };
        let saved = tokio::task::spawn_blocking(move || save(&folder, &held)).await;
        let saved = saved.unwrap_or_else(|error| Err(io::Error::other(error)));
        let trouble = saved.err().map(|error| error.to_string());
        if let Some(error) = &trouble {
            log::error!("overrides cannot be saved, and would not outlive this process: {error}");
        }
        *self.trouble.lock() = trouble;
        true
    }

    /// What is in effect, soonest to end first; with `ended`, what is over, latest first.
    pub(crate) fn told(&self, ended: bool) -> Value {
        let now = Instant::now();
        let held = self.held.lock();
        // What is over and not swept yet is over all the same.
        let mut live: Vec<&Made> = held.live.iter().filter(|made| !made.left(now).is_zero()).collect();
        live.sort_by_key(|made| made.left(now));
        let mut told = json!({
            "overrides": live.iter().map(|made| made.told(now)).collect::<Vec<_>>(),
            "lasts_over_a_restart": self.folder.is_some() && self.trouble.lock().is_none(),
            "trouble": *self.trouble.lock(),
        });
        if let Some(told) = told.as_object_mut().filter(|_| ended) {
            told.insert("ended".to_owned(), held.ended.iter().map(Ended::told).collect());
        }
        told
    }
}

fn read(path: &Path) -> Result<Held, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Held::default()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let held = serde_json::from_slice::<Held>(&text).map_err(|error| error.to_string());
    let held = held.and_then(|held| match held.version {
        VERSION => Ok(held),
        other => Err(format!("its version is {other}, and {VERSION} is known")),
    });
    held.map_err(|why| {
        let aside = path.with_extension("json.unreadable");
        let moved = match fs::rename(path, &aside) {
            Ok(()) => format!("it is put aside as {}", aside.display()),
            Err(error) => format!("and it cannot be put aside: {error}"),
        };
        format!("{} cannot be understood: {why}; {moved}", path.display())
    })
}

/// Writes the whole file beside the old one, and puts it in its place once it is on the disk.
fn save(folder: &Path, held: &Held) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (path, fresh) = (folder.join(FILE), folder.join("overrides.json.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(held)?)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(folder)?.sync_all()
}

pub(crate) fn millis(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(target: &str, ends: u64) -> Made {
        Made {
            kind: Kind::Ban,
            target: target.to_owned(),
            action: "ban".to_owned(),
            who: "ci".to_owned(),
            reason: "abuse".to_owned(),
            since: 0,
            ends,
            cluster: None,
            ask: json!({}),
            until: None,
        }
    }

    fn later() -> u64 {
        millis(SystemTime::now()) + 3_600_000
    }

    #[tokio::test]
    async fn what_is_held_is_read_again_by_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let overrides = Overrides::open(Some(&folder));
        overrides.made(made("10.0.0.0/8", later()));
        overrides.made(made("10.0.0.0/8", later()));
        overrides.keep().await;
        let told = Overrides::open(Some(&folder)).told(true);
        assert_eq!(told["overrides"].as_array().unwrap().len(), 1, "one for one target: {told}");
        assert_eq!((&told["overrides"][0]["who"], &told["ended"][0]["how"]), (&json!("ci"), &json!("ci made another")));
        assert_eq!(told["lasts_over_a_restart"], json!(true));
        assert!(!folder.join("overrides.json.new").exists());
    }

    #[tokio::test]
    async fn what_was_left_is_not_written_over_and_goes_on_without_a_folder_too() {
        let dir = tempfile::tempdir().unwrap();
        let overrides = Overrides::open(Some(dir.path()));
        overrides.leave().await;
        overrides.made(made("10.0.0.0/8", later()));
        assert!(!overrides.keep().await, "who asked is told to ask again");
        assert!(!dir.path().join(FILE).exists() && overrides.carried().is_none());
        overrides.take_back().await;
        assert!(dir.path().join(FILE).exists() && overrides.keep().await);
        let overrides = Overrides::default();
        overrides.made(made("10.0.0.0/8", later()));
        let next = Overrides::of(overrides.carried().unwrap()).unwrap();
        let target = |overrides: &Overrides| overrides.told(false)["overrides"][0]["target"].clone();
        assert_eq!(target(&next), target(&overrides));
        assert!(Overrides::of(json!({ "version": 1 })).is_err());
    }

    #[tokio::test]
    async fn one_that_cannot_be_saved_is_said_and_holds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let overrides = Overrides::open(Some(&file.join("data")));
        overrides.made(made("10.0.0.0/8", later()));
        overrides.keep().await;
        let told = overrides.told(false);
        assert_eq!((told["overrides"].as_array().unwrap().len(), &told["lasts_over_a_restart"]), (1, &json!(false)));
        assert!(told["trouble"].is_string(), "{told}");
    }

    #[test]
    fn a_file_that_is_none_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["{", r#"{"version":2,"live":[],"ended":[]}"#] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let overrides = Overrides::open(Some(dir.path()));
            assert!(overrides.told(false)["trouble"].as_str().unwrap().contains("put aside"));
            assert_eq!(fs::read_to_string(dir.path().join("overrides.json.unreadable")).unwrap(), text);
        }
    }

    #[test]
    fn what_is_over_is_told_with_how_it_ended() {
        let overrides = Overrides::default();
        overrides.made(made("10.0.0.0/8", 5));
        overrides.made(made("11.0.0.0/8", later()));
        overrides.made(made("12.0.0.0/8", later()));
        overrides.taken_back(Kind::Ban, "12.0.0.0/8", "ops");
        overrides.taken_back(Kind::Cap, "11.0.0.0/8", "ops");
        assert_eq!(overrides.told(false)["overrides"].as_array().unwrap().len(), 1);
        let (ended, next) = overrides.sweep(Instant::now());
        assert!(ended && next.is_some_and(|next| next > Duration::from_secs(3_500)), "{next:?}");
        let told = overrides.told(true);
        assert_eq!(told["overrides"][0]["target"], json!("11.0.0.0/8"));
        let how = |at: usize| told["ended"][at]["how"].as_str().unwrap().to_owned();
        assert_eq!((how(0), how(1)), ("its time is up".to_owned(), "ops took it back".to_owned()));
        assert_eq!(overrides.told(false).get("ended"), None);
        for n in 0..200 {
            overrides.made(made(&n.to_string(), 5));
        }
        overrides.sweep(Instant::now());
        assert_eq!(overrides.told(true)["ended"].as_array().unwrap().len(), ENDED);
    }
}
