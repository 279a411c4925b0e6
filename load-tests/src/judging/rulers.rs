//! Rulers: other proxies before the same origin, whose windows of the same plan stand beside those of the two sides.
//!
//! A ruler passes every request on, with one worker and kept connections on both sides, logs a line of it and sets a field of its answer, as
//! the gateway does by the config of `make canary`. Each time that it
//! was started it must answer a request of each kind as the baseline does. One that cannot is left out, and that is said.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use portcullis_artifacts::{Ruler, WindowPair};

use crate::Failure;
use crate::client::{Answer, Client};
use crate::contenders::Contender;

use super::conduct::Conducted;
use super::load::Load;
use super::progress::note;
use super::subject::{self, Addresses, Running};

/// Rulers as they are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Named {
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
    /// Envoy; the variable ENVOY may say where it is.
    Envoy,
    /// All of them.
    All,
}

/// A proxy that is one.
#[derive(Debug)]
struct One {
    name: &'static str,
    contender: Contender,
    version: Option<String>,
    left_out: Option<String>,
    running: Option<Running>,
}

/// All that were asked for.
#[derive(Debug, Default)]
pub(super) struct Rulers {
    list: Vec<One>,
}

/// Where a ruler is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) load: &'a Load,
    pub(super) folder: &'a Path,
    pub(super) core: u32,
    pub(super) origin: std::net::SocketAddr,
}

impl Rulers {
    /// Those that were named, each once. What is not installed is said and left out.
    pub(super) fn named(names: &[Named]) -> Self {
        let all = [
            (Named::Nginx, "nginx", Contender::NginxLogged),
            (Named::Haproxy, "HAProxy", Contender::HaproxyLogged),
            (Named::Envoy, "Envoy", Contender::EnvoyLogged),
        ];
        let asked = all.into_iter().filter(|(named, ..)| names.contains(named) || names.contains(&Named::All));
        let list = asked.map(|(_, name, contender)| One::new(name, contender, installed(contender))).collect();
        Self { list }
    }

    /// How many were asked for and are installed.
    pub(super) fn asked(&self) -> usize {
        self.list.iter().filter(|one| one.left_out.is_none()).count()
    }

    /// The names of those that stand.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.list.iter().filter(|one| one.running.is_some()).map(|one| one.name).collect()
    }

    /// One that stands.
    pub(super) fn running(&self, name: &str) -> Option<&Running> {
        self.list.iter().find(|one| one.name == name)?.running.as_ref()
    }

    /// Sees to the connections that one holds, before its window.
    pub(super) fn refresh(&mut self, name: &str) {
        let named = self.list.iter_mut().filter(|one| one.name == name);
        named.filter_map(|one| one.running.as_mut()).for_each(|running| running.held.refresh());
    }

    /// Ends all.
    pub(super) fn stop(&mut self) {
        self.list.iter_mut().for_each(|one| one.running = None);
    }

    /// Starts all that can be; `settle` does what a side gets before its first window.
    pub(super) fn start(
        &mut self,
        place: Place<'_>,
        baseline: &Running,
        settle: &dyn Fn(Running) -> Result<Running, Failure>,
    ) {
        for one in self.list.iter_mut().filter(|one| one.left_out.is_none()) {
            let started = one.start(place).and_then(|running| {
                same_answers(place.load, &running, baseline)?;
                settle(running)
            });
            match started {
                Ok(running) => one.running = Some(running),
                Err(failure) => one.leave_out(&failure.to_string()),
            }
        }
    }

    /// What they measured, for the report.
    pub(super) fn results(&self, run: &Conducted) -> Vec<Ruler> {
        self.list.iter().map(|one| one.result(&run.twins, &run.pairs, run)).collect()
    }
}

impl One {
    fn new(name: &'static str, contender: Contender, program: Option<PathBuf>) -> Self {
        // What it does beside passing on is a part of what it is: ratios to another work are ratios to another ruler.
        let version = program.as_deref().and_then(|program| version(contender, program));
        let version = version.map(|version| format!("{version}, with a log and a header"));
        let mut one = Self { name, contender, version, left_out: None, running: None };
        if program.is_none() {
            one.leave_out("it is not installed");
        }
        one
    }

    fn leave_out(&mut self, why: &str) {
        note(&format!("ruler {} is left out: {why}", self.name));
        self.left_out = Some(why.to_owned());
    }

    fn start(&self, Place { load, folder, core, origin }: Place<'_>) -> Result<Running, Failure> {
        let folder = folder.join(format!("ruler-{}", self.name));
        std::fs::create_dir_all(&folder)?;
        let at = Addresses::draw(origin, &folder)?;
        subject::start_words(self.contender.words(&folder, at.serve, origin)?, load, at, core)
    }

    fn result(&self, twins: &[WindowPair], pairs: &[WindowPair], run: &Conducted) -> Ruler {
        let (missed, last) = run.missed.get(self.name).cloned().unzip();
        Ruler {
            left_out: self.left_out.clone(),
            missed: missed.unwrap_or_default(),
            missed_last: last,
            ..Ruler::measured(self.name, self.version.clone(), twins, pairs)
        }
    }
}

/// The program; what the variable for it names need not be there.
fn installed(contender: Contender) -> Option<PathBuf> {
    contender.program().filter(|program| program.is_file())
}

/// Whether a ruler answers a request of each kind as the baseline does.
fn same_answers(load: &Load, ruler: &Running, baseline: &Running) -> Result<(), Failure> {
    for (name, bytes) in load.samples() {
        let ask = |who: &str, running: &Running| -> Result<Answer, Failure> {
            let ask = || {
                let mut client = Client::connect(running.address)?;
                client.send_bytes(&bytes)?;
                client.answer()
            };
            ask().map_err(|failure| format!("{who} answer to request {name:?} cannot be compared: {failure}").into())
        };
        let (expected, found) = (ask("the baseline's", baseline)?, ask("its", ruler)?);
        if let Some(difference) = difference(&expected, &found) {
            return Err(format!("it does not answer request {name:?} as the baseline does: {difference}").into());
        }
    }
    Ok(())
}

fn difference(expected: &Answer, found: &Answer) -> Option<String> {
    let told = |answer: &Answer| format!("status {} with {} bytes", answer.status, answer.body.len());
    let (one, other) = (told(expected), told(found));
    if one != other {
        Some(format!("{other}, not {one}"))
    } else {
        (expected.body != found.body).then(|| format!("{other}, but others than the baseline's"))
    }
}

/// What a program says of its version.
fn version(contender: Contender, program: &Path) -> Option<String> {
    let flag = if contender == Contender::EnvoyLogged { "--version" } else { "-v" };
    let output = Command::new(program).arg(flag).output().ok()?;
    // nginx tells it where errors go.
    let said = [output.stdout, output.stderr].concat();
    version_in(&String::from_utf8_lossy(&said)).map(str::to_owned)
}

/// The first word that begins with two numbers and a dot between them.
fn version_in(text: &str) -> Option<&str> {
    text.split([' ', '/', ':', ',', '\n']).find(|word| {
        let mut parts = word.split('.');
        let mut number =
            || parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        number() && number()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (said, version) in [
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            ("HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/\n", Some("2.6.12-1+deb12u1")),
            ("\n/x/envoy  version: 6f3e9a2/1.40.0/Clean/RELEASE/BoringSSL\n", Some("1.40.0")),
            ("no number\n", None),
        ] {
            assert_eq!(version_in(said), version, "{said}");
        }
    }

    #[test]
    fn answers_are_the_same_in_status_and_every_byte() {
        let answer = |status, body: &str| Answer { status, body: body.into(), closes: false };
        let one = answer(200, "abc");
        assert_eq!(difference(&one, &answer(200, "abc")), None);
        for (other, said) in [
            (answer(204, ""), "status 204 with 0 bytes, not status 200 with 3 bytes"),
            (answer(200, "abd"), "status 200 with 3 bytes, but others than the baseline's"),
        ] {
            assert_eq!(difference(&one, &other).unwrap(), said);
        }
    }

    #[test]
    fn what_is_not_installed_is_left_out_and_said_and_nobody_is_named_twice() {
        let missing = One::new("Envoy", Contender::EnvoyLogged, None);
        assert_eq!(missing.left_out.as_deref(), Some("it is not installed"));
        let names: Vec<&str> = Rulers::named(&[Named::Nginx, Named::All]).list.iter().map(|one| one.name).collect();
        assert_eq!(names, ["nginx", "HAProxy", "Envoy"]);
        assert!(Rulers::named(&[]).list.is_empty());
    }
}
