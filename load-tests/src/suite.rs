//! Scenes over the gateway's own binary and the tool's own origin, each with criteria, a bounded time and a seed.
//!
//! A scene says what must hold: nothing fails while a config is reloaded, no caller gets more than its cap and the stated
//! bound, memory stays where it is. In every scene what was sent adds up (sent = succeeded + refused + failed), and is
//! reconciled with the gateway's counters and with the origin's.
//!
//! Invariants: everything is on the loopback interface; what a scene starts ends with it; a gateway that ends by itself or answers
//! nobody has failed, whatever became of the scene; the machine excuses nothing but lateness, in the window that it is about; a scene
//! that does not end in time, and has found no failure until then, is INVALID.

mod allocator;
mod bodies;
mod books;
mod capacity;
mod capped;
mod consumers;
mod crowd;
mod descriptors;
mod fanout;
mod faults;
mod headers;
mod keys;
mod kit;
mod mutants;
mod outcome;
mod part;
mod pool;
mod rates;
mod reasons;
mod records;
mod redis;
mod reload;
mod retries;
mod saturation;
mod served;
mod slow;
mod soak;
mod started;
mod steady;
mod storm;
mod upgrade;
mod workloads;

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use portcullis_engine::{cores, process, proof};
use serde_json::{Value as Json, json};

use crate::Failure;
use crate::report::{progress, say};
use crate::tool::Ended;
use crate::tool::progress::{Progress, Steps, shown};
use crate::tool::prove::as_json;

pub use mutants::{Hunt, hunt};
pub use soak::parse_length;

use kit::Stage;
use outcome::{Notes, Outcome, Status};

/// Which scenes are played.
#[derive(Debug, Clone)]
pub struct Which {
    /// Short and small.
    pub small: bool,
    /// The length of the soak's load, in place of its own.
    pub soak: Option<Duration>,
    /// Only these; none for all.
    pub only: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The gateway's binary.
    pub gateway: Option<PathBuf>,
    /// Where results go.
    pub out: PathBuf,
}

/// A scene.
#[derive(Clone, Copy)]
struct Scene {
    name: &'static str,
    /// What it guards, in a sentence.
    what: &'static str,
    /// How long it may take, small and full.
    bound: [Duration; 2],
    play: Play,
}

impl Scene {
    /// How long it may take. What a soak's load is longer or shorter than it is by itself, its bound is too.
    fn limit(&self, small: bool, soak: Option<Duration>) -> Duration {
        let [short, full] = self.bound;
        let limit = if small { short } else { full };
        match soak {
            Some(length) if self.name == SOAK => limit.saturating_sub(soak::length(small, None)).saturating_add(length),
            _ => limit,
        }
    }
}

/// The scene whose length can be said.
const SOAK: &str = "soak";

/// Plays a scene, and writes down what it finds.
type Play = fn(&Stage, &Notes) -> Result<(), Failure>;

/// How long a gateway that lives may take for an answer of whatever kind, when its scene is given up.
const ANSWERS: Duration = Duration::from_secs(10);

/// How long a scene that was given up may take to see that its gateways have ended.
const GRACE: Duration = Duration::from_secs(15);

const fn bound(small: u64, full: u64) -> [Duration; 2] {
    [Duration::from_secs(small), Duration::from_secs(full)]
}

/// All scenes.
const SCENES: [Scene; 21] = [
    Scene {
        name: "steady",
        what: "open loop at 30, 60 and 80 % of capacity",
        bound: bound(120, 900),
        play: steady::steady,
    },
    Scene {
        name: "saturation",
        what: "what it holds: doubled, bisected to 3 %, confirmed three times",
        bound: bound(150, 900),
        play: saturation::saturation,
    },
    Scene {
        name: "capacity",
        what: "what one core holds, and what a request costs it, by workload",
        bound: bound(300, 1800),
        play: capacity::capacity,
    },
    Scene { name: "crowd", what: "closed loops of 32 and 256", bound: bound(60, 300), play: crowd::crowd },
    Scene {
        name: "fanout",
        what: "notifications to many WebSockets: none lost, doubled or out of order; slow readers bounded",
        bound: bound(90, 600),
        play: fanout::fanout,
    },
    Scene {
        name: "bodies",
        what: "bodies both ways: the hash is right, memory bounded",
        bound: bound(120, 900),
        play: bodies::bodies,
    },
    Scene {
        name: "slow",
        what: "slow loris and slow readers cost others nothing",
        bound: bound(90, 300),
        play: slow::slow,
    },
    Scene {
        name: "headers",
        what: "floods of heads, on HTTP/1 and HTTP/2: refused, memory bounded, good callers unmoved",
        bound: bound(90, 300),
        play: headers::headers,
    },
    Scene {
        name: "descriptors",
        what: "no descriptors are left: no busy loop, who is connected goes on, all is well afterwards",
        bound: bound(60, 120),
        play: descriptors::descriptors,
    },
    Scene {
        name: "pool",
        what: "more requests than the upstream may have: refused in time, none hangs",
        bound: bound(60, 300),
        play: pool::pool,
    },
    Scene { name: "reload", what: "a reload every second: nothing fails", bound: bound(60, 600), play: reload::reload },
    Scene {
        name: "storm",
        what: "reloads of 1,000 routes without a pause: nothing fails, memory returns",
        bound: bound(120, 900),
        play: storm::storm,
    },
    Scene {
        name: "upgrade",
        what: "another process takes over: nothing fails",
        bound: bound(60, 300),
        play: upgrade::upgrade,
    },
    Scene {
        name: "faults",
        what: "upstreams that reset, hang, are slow, answer 5xx",
        bound: bound(120, 600),
        play: faults::faults,
    },
    Scene {
        name: "retries",
        what: "an upstream that answers 503: tried again within the budget, and no more",
        bound: bound(60, 300),
        play: retries::retries,
    },
    Scene {
        name: "records",
        what: "every request has its line in the log, and nobody waits for it",
        bound: bound(90, 900),
        play: records::records,
    },
    Scene {
        name: "keys",
        what: "many keys, races and bursts: no more than the caps, and good callers unmoved",
        bound: bound(90, 600),
        play: keys::keys,
    },
    Scene {
        name: "redis",
        what: "Redis slow, gone, killed and back, under load: no request waits for it",
        bound: bound(90, 600),
        play: redis::redis,
    },
    Scene {
        name: "churn",
        what: "connections that come and go leave nothing behind",
        bound: bound(60, 300),
        play: soak::churn,
    },
    Scene {
        name: "allocator",
        what: "bodies of all sizes come and go: memory returns",
        bound: bound(90, 600),
        play: allocator::allocator,
    },
    Scene {
        name: SOAK,
        what: "memory, descriptors and threads do not grow",
        bound: bound(240, 4 * 3600),
        play: soak::soak,
    },
];

/// Plays scenes, prints what came of each, and leaves `scenes.json` and the reports: `result.json`, `junit.xml`, `BASELINE.md`,
/// `report.html`.
///
/// # Errors
///
/// When a scene is not known, the gateway is not found, or nothing can be written.
pub fn play(which: &Which) -> Result<Ended, Failure> {
    if which.only.iter().any(|name| name == "list") {
        let lines: String = SCENES.iter().map(|scene| format!("{:<11} {}\n", scene.name, scene.what)).collect();
        say(&lines)?;
        return Ok(Ended::Passed);
    }
    let scenes = chosen(&which.only)?;
    if which.soak.is_some() && !scenes.iter().any(|scene| scene.name == SOAK) {
        return Err("--soak says how long the scene `soak` is, which --only leaves out".into());
    }
    process::raise_file_limit()?;
    std::fs::create_dir_all(&which.out)?;
    let out = std::path::absolute(&which.out)?;
    let gateway = which.gateway.clone().or_else(|| process::find("portcullis"));
    let gateway =
        gateway.filter(|file| file.is_file()).ok_or("the gateway's binary is not there: build it, or say --gateway")?;
    // A core for the gateway, the others for the tool, its origins and Redis: as the rig does.
    let core = cores::leave_one()?;
    let (began, start) = (jiff::Timestamp::now().to_string(), Instant::now());
    let mut results = Vec::new();
    let limit = |scene: &Scene| scene.limit(which.small, which.soak);
    let mut steps = Steps::new(&scenes.iter().map(limit).collect::<Vec<_>>());
    for (turn, scene) in scenes.iter().enumerate() {
        let (limit, left) = (limit(scene), shown(steps.left(None)));
        let name = format!("{} ({} of {})", scene.name, turn + 1, scenes.len());
        progress(&format!("{name}, at most {}; about {left} to go in all: {}", shown(limit), scene.what));
        steps.begin(limit);
        let stage = Stage::new(&out.join(scene.name), &gateway, which.small, which.seed)?.on(core).soaking(which.soak);
        let proof = proof::prove()?;
        let began = Instant::now();
        let telling = Progress::step(&name, limit, &steps)?;
        let mut outcome = bounded(scene.play, stage, limit);
        drop(telling);
        steps.end(limit, began.elapsed());
        outcome.proven(&proof);
        say(&outcome.text(scene.name, began.elapsed()))?;
        results.push((scene, began.elapsed(), outcome, as_json(&proof)));
    }
    let json = results.iter().map(|(scene, took, outcome, proof)| {
        let mut json = outcome.json(scene.name, scene.what, *took);
        // An object takes it.
        json.as_object_mut().map(|json| json.insert("proof".to_owned(), proof.clone()));
        json
    });
    let json: Vec<Json> = json.collect();
    let mut json = json!({
        "format": "portcullis-load/scenes/1",
        "seed": which.seed,
        "small": which.small,
        "soak_seconds": which.soak.map(|length| length.as_secs_f64()),
        "core": core,
        "scenes": json,
    });
    crate::judging::scenes::leave(&json, &gateway, &began, start.elapsed().as_secs_f64(), &out)?;
    // What curves are drawn from is in `result.json`.
    let scenes = json.get_mut("scenes").and_then(Json::as_array_mut).into_iter().flatten();
    scenes.filter_map(Json::as_object_mut).for_each(|scene| drop(scene.remove("windows")));
    std::fs::write(out.join("scenes.json"), format!("{json:#}\n"))?;
    let worst = results.iter().map(|(_, _, outcome, _)| outcome.status()).max().unwrap_or(Status::Passed);
    Ok(match worst {
        Status::Passed => Ended::Passed,
        Status::Invalid => Ended::Invalid,
        Status::Failed => Ended::Missed,
    })
}

fn chosen(only: &[String]) -> Result<Vec<Scene>, Failure> {
    if let Some(stranger) = only.iter().find(|name| !SCENES.iter().any(|scene| scene.name == **name)) {
        let names = SCENES.map(|scene| scene.name).join(", ");
        return Err(format!("there is no scene `{stranger}`, there are {names}").into());
    }
    Ok(SCENES.into_iter().filter(|scene| only.is_empty() || only.iter().any(|name| name == scene.name)).collect())
}

/// Plays a scene that ends in time, or is given up: then its gateways are ended, so that it does not go on under the next ones.
fn bounded(play: Play, stage: Stage, limit: Duration) -> Outcome {
    let (done, wait) = mpsc::channel();
    let (notes, started, folder) = (Notes::default(), stage.started.clone(), stage.folder.clone());
    let written = notes.clone();
    std::thread::spawn(move || {
        if let Err(failure) = play(&stage, &written) {
            written.invalidate(&failure.to_string());
        }
        // Nobody waits for it when its time was up for long.
        done.send(()).ok();
    });
    let ended = wait.recv_timeout(limit);
    if ended == Err(mpsc::RecvTimeoutError::Timeout) {
        started.look(ANSWERS);
        notes.invalidate(&format!("it did not end within {}", shown(limit)));
    } else if ended.is_err() {
        notes.invalidate("it broke off");
    }
    // What it finds from here on it finds of gateways that were ended.
    let mut outcome = notes.outcome();
    started.tell(&mut outcome);
    started.end(&folder);
    if ended == Err(mpsc::RecvTimeoutError::Timeout) {
        wait.recv_timeout(GRACE).ok();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scenes_that_are_there_are_chosen() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            chosen(&only).map(|scenes| scenes.iter().map(|scene| scene.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), SCENES.len());
        assert_eq!(names(&["soak", "keys"]).unwrap(), ["keys", "soak"]);
        assert!(names(&["sok"]).unwrap_err().to_string().contains("there is no scene `sok`"));
    }

    #[test]
    fn the_soaks_bound_follows_its_length_and_no_other_scenes() {
        let limit = |name: &str, small, soak: Option<u64>| {
            let scene = SCENES.into_iter().find(|scene| scene.name == name).unwrap();
            scene.limit(small, soak.map(|minutes| Duration::from_secs(60 * minutes))).as_secs() / 60
        };
        assert_eq!([limit("soak", true, None), limit("soak", false, None)], [4, 240]);
        assert_eq!([limit("soak", true, Some(45)), limit("soak", false, Some(45))], [48, 105]);
        assert_eq!(limit("soak", false, Some(1440)), 1500);
        assert_eq!(limit("steady", false, Some(45)), limit("steady", false, None));
    }

    #[test]
    fn every_scene_is_told_of_and_what_is_told_of_is_one() {
        let list = include_str!("../../docs/load-tests.md");
        let risks = include_str!("../../docs/production-ready.md");
        for scene in SCENES {
            let name = scene.name;
            assert!(list.contains(&format!("\n| `{name}` |")), "docs/load-tests.md has no {name}");
            assert!(risks.contains(&format!("`{name}`")), "docs/production-ready.md has no {name}");
        }
        // The last column of the risks begins with the scene that guards one.
        let rows = risks
            .split("\n## ")
            .find(|part| part.starts_with("Risks"))
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("| **"));
        let guards: Vec<&str> = rows.map(|row| row.rsplit(" | ").next().unwrap().split('`').nth(1).unwrap()).collect();
        assert!(guards.len() >= 8, "{guards:?}");
        assert!(guards.iter().all(|guard| SCENES.iter().any(|scene| scene.name == *guard)), "{guards:?}");
    }

    #[test]
    fn a_scene_that_does_not_end_is_invalid_and_so_is_one_that_breaks_off() {
        let folder = tempfile::tempdir().unwrap();
        let stage = |name: &str| Stage::new(&folder.path().join(name), "portcullis".as_ref(), true, 1).unwrap();
        let ms = Duration::from_millis;
        let late = bounded(
            |_, notes| {
                notes.count("found before", true, "");
                // It goes on until it is given up.
                while notes.outcome().status() != Status::Invalid {
                    std::thread::yield_now();
                }
                Ok(())
            },
            stage("late"),
            ms(10),
        );
        assert_eq!(late.status(), Status::Invalid);
        let broken = bounded(|_, _| panic!("as the test wants"), stage("broken"), ms(60_000));
        assert_eq!(broken.status(), Status::Invalid);
        let failed = bounded(|_, _| Err("no".into()), stage("failed"), ms(60_000));
        assert_eq!(failed.status(), Status::Invalid);
    }

    #[test]
    fn a_gateway_that_ends_has_failed_however_the_scene_ends() {
        let folder = tempfile::tempdir().unwrap();
        let play = |name: &str, play: Play| {
            let stage = Stage::new(&folder.path().join(name), "portcullis".as_ref(), true, 1).unwrap();
            bounded(play, stage, Duration::from_secs(60))
        };
        fn start(stage: &Stage, script: &str) -> Result<started::Living, Failure> {
            let words = ["sh", "-c", script].map(Into::into).to_vec();
            let program = process::Program { words, core: None, log: stage.folder.join("log") };
            let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
            Ok(stage.started.add(process::Process::start(&program)?, "edge", None, [nowhere, nowhere]))
        }
        let crashed = play("crashed", |stage, notes| {
            let living = start(stage, "kill -SEGV $$")?;
            notes.count("before", true, "");
            while living.resident().is_ok() {
                std::thread::yield_now();
            }
            Err("no metrics".into())
        });
        let text = crashed.text("a", Duration::ZERO);
        assert_eq!(crashed.status(), Status::Failed, "{text}");
        let expected = "FAIL the gateway lives and answers to the end: edge ended by itself: signal: 11";
        assert!(text.contains(expected) && text.contains("INVALID no metrics"), "{text}");
        let lived = play("lived", |stage, _| start(stage, "exec sleep 1000").map(drop));
        assert_eq!(lived.status(), Status::Passed, "{}", lived.text("a", Duration::ZERO));
    }
}
