//! Whether the file says what serves.
//!
//! Files are looked at, not watched: a gateway that was told not to watch drifts too. They are read again only when they are
//! not what they were.

use parking_lot::Mutex;
use std::time::SystemTime;

use serde_json::{Value, json};

use portcullis_telemetry::timestamp::timestamp;

use crate::files::State;
use crate::reload::Served;
use crate::world::World;

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Drift(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The files as they were when they were read last.
    files: Option<State>,
    /// The fingerprint of their texts.
    texts: String,
    /// That of the texts of the files that were tried last, and not taken.
    refused: Option<String>,
    told: Option<Told>,
}

/// How the file differs from what serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) since: SystemTime,
    pub(crate) why: Why,
    pub(crate) says: String,
}

/// Why the file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It has errors, or could not be put to work.
    FileRefused,
    /// Something else was applied.
    Applied,
    /// It was changed, and not read.
    FileChanged,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::FileRefused => "file_refused",
            Self::Applied => "applied",
            Self::FileChanged => "file_changed",
        }
    }
}

impl Drift {
    /// Of a process that has just read its files: nobody needs to read them again until they change.
    pub(crate) fn new(files: State, served: &Served) -> Self {
        if served.fallen.is_some() {
            return Self::default();
        }
        Self(Mutex::new(Known { files: Some(files), texts: served.texts.clone(), ..Known::default() }))
    }

    /// The files with these texts were tried and not taken.
    pub(crate) fn refused(&self, texts: &str) {
        self.0.lock().refused = Some(texts.to_owned());
    }

    /// Compares the files with what serves.
    pub(crate) fn look(&self, world: &World, served: &Served) {
        let mut known = self.0.lock();
        if known.files.as_ref().is_none_or(|files| files.now() != *files) {
            let (sources, files) = world.on_disk();
            (known.texts, known.files) = (sources.fingerprint(), Some(files));
        }
        let told = (known.texts != served.texts).then(|| known.tell(world, served));
        if told.is_some() != known.told.is_some() {
            match &told {
                Some(told) => log::warn!("config: {}", told.says),
                None => log::info!("config: the file says again what serves"),
            }
        }
        world.metrics.changes().set_drift(told.is_some());
        known.told = told;
    }

    /// How the file differs, as far as anybody has looked.
    pub(crate) fn told(&self) -> Option<Told> {
        self.0.lock().told.clone()
    }
}

impl Known {
    fn tell(&self, world: &World, served: &Served) -> Told {
        let file = world.path.display();
        let id = served.id;
        let (why, says) = if self.refused.as_ref() == Some(&self.texts) {
            (Why::FileRefused, format!("{file} cannot be used as it is; generation {id} serves"))
        } else if matches!(served.trigger, "api" | "rollback" | "trial") {
            let says = format!("generation {id} was applied by {} and {file} says something else", served.who);
            (Why::Applied, says)
        } else {
            (Why::FileChanged, format!("{file} was changed and not read; generation {id} serves"))
        };
        let since = self.told.as_ref().map_or_else(SystemTime::now, |told| told.since);
        Told { since, why, says }
    }
}

impl Told {
    pub(crate) fn to_json(&self) -> Value {
        json!({ "since": timestamp(self.since), "why": self.why.as_str(), "says": self.says })
    }
}
