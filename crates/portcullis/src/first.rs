//! The first generation of a process: that of the file, or the last good one of the history where the file has errors and
//! the operator allows it.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{Candidate, Loaded};
use portcullis_snapshot::Settings;
use portcullis_snapshot::settings::History as Folder;
use portcullis_types::GenerationId;
use portcullis_yaml::{Diagnostics, SourceMap, render_text};

use crate::boot::First;
use crate::consumers::Prepared;
use crate::files::State;
use crate::history::History;
use crate::output::{self, count};
use crate::sources::Sources;
use crate::upgrade::Newcomer;
use crate::world::{Texts, World};

/// How many good generations are tried, the latest first.
const TRIED: usize = 5;

/// A config that can be made into a generation.
struct Right {
    candidate: Candidate,
    consumers: Prepared,
    map: SourceMap,
    watched: State,
}

/// How a process begins.
struct Start {
    trigger: &'static str,
    /// The number that its first generation's is above.
    above: u64,
}

/// A config that cannot.
struct Wrong {
    /// All errors, with their places.
    says: String,
    settings: Option<Box<Settings>>,
    watched: State,
}

/// The first generation, perhaps of a process that follows another; what is wrong with the config is said. With `fallback`
/// the last good generation stands in for a file with errors, out of the folder in it if there is one.
pub(crate) fn load(world: &World, fallback: Option<Option<&Path>>, before: Option<&Newcomer>) -> Option<First> {
    let applied = before.and_then(Newcomer::applied);
    let start = Start {
        trigger: if before.is_some() { "upgrade" } else { "start" },
        above: before.map_or(0, Newcomer::generation),
    };
    let made = read(world, applied.as_ref().map_or(Texts::Files, Texts::Kept)).and_then(|right| {
        let settings = right.candidate.checked().settings().clone();
        let watched = right.watched.clone();
        let history = History::open(settings.history.as_ref(), world.metrics.clone());
        let wrong = |says| Wrong { says, settings: Some(Box::new(settings)), watched };
        make(world, right, history, &start).map_err(wrong)
    });
    match (made, fallback) {
        (Ok(first), _) => Some(First { applied, ..first }),
        (Err(wrong), Some(folder)) => last_good(world, wrong, folder, start.above),
        (Err(_), None) => {
            output::say(&format!("{}: not started", world.path.display()));
            None
        }
    }
}

fn read(world: &World, texts: Texts<'_>) -> Result<Right, Wrong> {
    let (Loaded { candidate, settings, mut diagnostics, sources: map, .. }, watched) = world.read(texts);
    let mut found = Diagnostics::new();
    let ready = candidate.and_then(|candidate| {
        let consumers = world.prepare_consumers(candidate.checked(), &mut found)?;
        Some((candidate, consumers))
    });
    found.sorted().into_iter().for_each(|one| diagnostics.push(one.clone()));
    let says = render_text(&diagnostics, &map);
    if !diagnostics.is_empty() {
        output::say(&says);
    }
    match ready {
        Some((candidate, consumers)) => Ok(Right { candidate, consumers, map, watched }),
        None => {
            let errors = count(diagnostics.error_count(), "error");
            output::say(&format!("{}: {errors}", world.path.display()));
            Err(Wrong { says, settings: settings.map(Box::new), watched })
        }
    }
}

fn make(world: &World, right: Right, history: History, start: &Start) -> Result<First, String> {
    let Right { candidate, consumers, map, watched } = right;
    let checked = candidate.checked().clone();
    let sources = Sources::of(&map, &world.path);
    let stamp = (GenerationId(history.number(start.above)), start.trigger);
    match world.activate(candidate, None, stamp) {
        Ok(snapshot) => {
            let (snapshot, consumers) = (Arc::new(snapshot), Some(consumers));
            Ok(First { snapshot, checked, watched, consumers, sources, applied: None, history, fallen: None })
        }
        Err(diagnostics) => {
            let says = render_text(&diagnostics, &map);
            output::say(&says);
            Err(says)
        }
    }
}

/// The last good generation of the history that can be started.
fn last_good(world: &World, wrong: Wrong, folder: Option<&Path>, above: u64) -> Option<First> {
    let Wrong { says, settings, watched } = wrong;
    let usual = || {
        let folder = world.path.parent().unwrap_or_else(|| Path::new(""));
        let path = folder.join("data").join(Folder::FOLDER);
        Folder { path, keep: Folder::KEEP, bytes: Folder::BYTES, implied: true }
    };
    let mut settings = settings.and_then(|settings| settings.history).unwrap_or_else(usual);
    if let Some(folder) = folder {
        folder.clone_into(&mut settings.path);
    }
    let history = History::open(Some(&settings), world.metrics.clone());
    let metas = history.metas();
    for meta in metas.iter().filter(|meta| meta.is_good()).take(TRIED) {
        let number = meta.number;
        let Ok(entry) = history.entry(number) else { continue };
        let Ok(mut right) = read(world, Texts::Kept(&entry.sources)) else { continue };
        // The broken file is what is waited for.
        right.watched = watched;
        let file = world.path.display();
        log::error!("{file} HAS ERRORS AND IS NOT USED: generation {number} of the history, the last good one, starts");
        let first = make(world, right, history, &Start { trigger: "last_good", above }).ok()?;
        return Some(First { fallen: Some((number, says)), ..first });
    }
    output::say(&format!("{}: no good generation in {}: not started", world.path.display(), settings.path.display()));
    None
}
