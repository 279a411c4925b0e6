//! Processes: started on a core, measured through `/proc`, ended by their own id.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Failure;
use crate::client::{Answer, Client};

/// How long a process may take until it answers. Under valgrind everything is fifty times slower.
const START: Duration = Duration::from_secs(90);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What to start.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// The core it runs on; `None` for any.
    pub core: Option<u32>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A running process, ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// Nanoseconds on a core, all threads together.
    pub nanoseconds: u64,
}

/// What the threads of a process have run and waited, by their ids.
#[derive(Debug, Clone, Default)]
pub struct Turns(BTreeMap<OsString, Turn>);

/// Nanoseconds: on a core, and ready to run while somebody else had it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// On a core.
    pub ran: u64,
    /// Ready to run.
    pub waited: u64,
}

/// What all threads of a process have run and waited so far.
///
/// # Errors
///
/// When it has ended.
pub fn used(id: u32) -> Result<Turn, Failure> {
    let add = |sum: Turn, turn: &Turn| Turn { ran: sum.ran + turn.ran, waited: sum.waited + turn.waited };
    Ok(threads(id)?.values().fold(Turn::default(), add))
}

/// A process and those that it started, and those that these did, as far as they live: a server may have its work done by others.
#[must_use]
pub fn family(id: u32) -> Vec<u32> {
    let of = |entry: fs::DirEntry| {
        let child = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // A name may have blanks and parentheses; behind the last one stand the state and the starter.
        let starter = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        Some((child, starter))
    };
    let all: Vec<(u32, u32)> = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect();
    let mut ids = vec![id];
    let mut seen = 0;
    while let Some(starter) = ids.get(seen).copied() {
        seen += 1;
        ids.extend(all.iter().filter(|(_, by)| *by == starter).map(|(child, _)| *child));
    }
    ids
}

/// Ends a process at once.
///
/// # Errors
///
/// When there is none of this id.
pub fn end(id: u32) -> Result<(), Failure> {
    let id = Pid::from_raw(i32::try_from(id)?).ok_or("no process has the id 0")?;
    Ok(rustix::process::kill_process(id, rustix::process::Signal::KILL)?)
}

/// Moves all threads of these processes to a core; those that they start follow.
///
/// # Errors
///
/// When the first of them has ended, or there is no such core.
pub fn move_to(ids: &[u32], core: u32) -> Result<(), Failure> {
    let core = usize::try_from(core)?;
    if core >= CpuSet::MAX_CPU {
        return Err(format!("no core {core}").into());
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    for (place, process) in ids.iter().enumerate() {
        let tasks = match fs::read_dir(format!("/proc/{process}/task")) {
            Ok(tasks) => tasks,
            // A child may have ended.
            Err(_) if place > 0 => continue,
            Err(error) => return Err(error.into()),
        };
        for task in tasks {
            let Ok(task) = task else { continue };
            let id: i32 = task.file_name().to_str().unwrap_or_default().parse()?;
            match sched_setaffinity(Pid::from_raw(id), &cores) {
                // A thread may end between the listing and the move.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(format!("core {core}: {error}").into()),
            }
        }
    }
    Ok(())
}

/// What each thread of a process has run and waited so far, by its id.
fn threads(id: u32) -> Result<BTreeMap<OsString, Turn>, Failure> {
    let mut turns = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{id}/task"))? {
        let path = task?.path();
        // A thread may end between the listing and the look.
        let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        if let (Some(Ok(ran)), Some(Ok(waited))) = (numbers.next(), numbers.next()) {
            turns.insert(path.file_name().unwrap_or_default().to_owned(), Turn { ran, waited });
        }
    }
    Ok(turns)
}

impl Turns {
    /// Those of several processes that share one core. A process that has ended has none.
    #[must_use]
    pub fn of(ids: &[u32]) -> Self {
        Self(ids.iter().filter_map(|id| threads(*id).ok()).flatten().collect())
    }

    /// What all of their threads have run and waited since an earlier look, but for those that have ended.
    #[must_use]
    pub fn since(&self, before: &Self) -> Turn {
        self.0.iter().fold(Turn::default(), |sum, (id, now)| {
            let then = before.0.get(id).copied().unwrap_or_default();
            Turn {
                ran: sum.ran + now.ran.saturating_sub(then.ran),
                waited: sum.waited + now.waited.saturating_sub(then.waited),
            }
        })
    }

    /// How long some thread waited since an earlier look while none of the process's own threads had the one core that
    /// all of them share. Threads that wait for each other do not count.
    #[must_use]
    pub fn kept_out_since(&self, before: &Self) -> Duration {
        let since = |id: &OsString, now: &Turn| {
            let then = before.0.get(id).copied().unwrap_or_default();
            Turn { ran: now.ran.saturating_sub(then.ran), waited: now.waited.saturating_sub(then.waited) }
        };
        let turns: Vec<Turn> = self.0.iter().map(|(id, now)| since(id, now)).collect();
        let ran: u64 = turns.iter().map(|turn| turn.ran).sum();
        let kept_out = turns.iter().map(|turn| turn.waited.saturating_sub(ran - turn.ran)).max();
        Duration::from_nanos(kept_out.unwrap_or_default())
    }
}

impl Process {
    /// Starts a program. It ends with the rig, whatever ends the rig.
    ///
    /// # Errors
    ///
    /// When the program cannot be run.
    pub fn start(program: &Program) -> Result<Self, Failure> {
        let log = File::options().create(true).append(true).open(&program.log)?;
        let core = program.core.map(|core| ["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(core.into_iter().flatten())
            .args(&program.words)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Its id. `setpriv` and `taskset` become the program, they do not start it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// It and those that it started.
    #[must_use]
    pub fn family(&self) -> Vec<u32> {
        family(self.id())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn lives(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("it ended at once: {status}").into()),
        }
    }

    /// Waits until a GET is answered with 200.
    ///
    /// # Errors
    ///
    /// When the process ended, or time is up.
    pub fn ready(&mut self, at: SocketAddr, path: &str) -> Result<(), Failure> {
        self.ready_when(&|| Client::connect(at)?.get(path))
    }

    /// Waits until a question is answered with 200.
    ///
    /// # Errors
    ///
    /// When the process ended, or time is up.
    pub fn ready_when(&mut self, ask: &dyn Fn() -> Result<Answer, Failure>) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            let answer = ask().map(|answer| answer.status);
            if matches!(answer, Ok(200)) {
                return Ok(());
            }
            self.lives()?;
            if start.elapsed() > START {
                return Err(format!("no answer of status 200: {answer:?}").into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What it has used so far.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn cpu(&self) -> Result<Cpu, Failure> {
        let nanoseconds = used(self.id())?.ran;
        if nanoseconds == 0 { Err("this kernel does not count in schedstat".into()) } else { Ok(Cpu { nanoseconds }) }
    }

    /// How many descriptors it has open.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn descriptors(&self) -> Result<usize, Failure> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.id()))?.count())
    }

    /// How many threads it has.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn threads(&self) -> Result<usize, Failure> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.id()))?.count())
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>, Failure> {
        Ok(self.child.try_wait()?)
    }

    /// What each of its threads has run and waited so far.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn turns(&self) -> Result<Turns, Failure> {
        threads(self.id()).map(Turns)
    }

    /// CPU time of the thread that it began with, in nanoseconds: a gateway of one thread serves on it.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn main_thread_cpu(&self) -> Result<u64, Failure> {
        let threads = threads(self.id())?;
        let first = threads.get(OsStr::new(&self.id().to_string()));
        first.map(|turn| turn.ran).ok_or_else(|| "it has ended".into())
    }

    /// Bytes of memory that it holds.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn resident(&self) -> Result<u64, Failure> {
        resident(self.id())
    }

    /// Bytes of memory that are its own: no file's, and counted page by page. What `resident` says may be off by some dozens
    /// of pages, since the kernel adds up what each thread has noted when it has noted enough.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn anonymous(&self) -> Result<u64, Failure> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id()))?;
        kibibytes(&rollup, "Anonymous:").ok_or_else(|| "no Anonymous in smaps_rollup".into())
    }

    /// Tells it to read its config again.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn hang_up(&self) -> Result<(), Failure> {
        self.signal("HUP")
    }

    /// Sends it a signal by name.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn signal(&self, name: &str) -> Result<(), Failure> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err("the signal did not arrive".into()) }
    }
}

/// Bytes of memory that a process holds.
///
/// # Errors
///
/// When it has ended.
pub fn resident(id: u32) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    kibibytes(&status, "VmRSS:").ok_or_else(|| "no VmRSS".into())
}

/// The bytes of a line like `VmRSS:  12 kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// How long a process may take to write what it has counted of itself.
const COUNTS: Duration = Duration::from_secs(10);

impl Drop for Process {
    fn drop(&mut self) {
        // For `scripts/profile`: what is built to count its own branches writes the counts when it ends by itself.
        if std::env::var_os("LLVM_PROFILE_FILE").is_some() && self.signal("TERM").is_ok() {
            let until = Instant::now() + COUNTS;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
        }
        // Both fail only when the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A loopback address with a port that was free a moment ago.
///
/// # Errors
///
/// When there is none.
pub fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Raises the limit of open files of the rig, and so of what it starts, to what it may be.
///
/// # Errors
///
/// When `prlimit` cannot be run.
pub fn raise_file_limit() -> Result<(), Failure> {
    let hard = hard_limit()?;
    let id = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={hard}:{hard}")]).status()?;
    if status.success() { Ok(()) } else { Err("the limit of open files cannot be raised".into()) }
}

/// How many files the rig, and what it starts, may have open at most.
///
/// # Errors
///
/// When `/proc` is not that of Linux.
pub fn most_files() -> Result<usize, Failure> {
    let hard = hard_limit()?;
    if hard == "unlimited" { Ok(usize::MAX) } else { Ok(hard.parse()?) }
}

fn hard_limit() -> Result<String, Failure> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).ok_or("no limit of open files")?;
    let hard = line.split_whitespace().nth(4).ok_or("no hard limit of open files")?;
    Ok(hard.to_owned())
}

/// The program of this name: beside the rig's own binary, else on the `PATH`.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers stand where only root's PATH leads.
    let system = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(system).map(|folder| folder.join(name));
    beside.into_iter().chain(folders).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_wait_for_each_other_are_not_kept_out() {
        let turns = |list: &[(u64, u64)]| {
            let one = |(at, &(ran, waited)): (usize, &(u64, u64))| (at.to_string().into(), Turn { ran, waited });
            Turns(list.iter().enumerate().map(one).collect())
        };
        let before = turns(&[(100, 10), (5, 0)]);
        let check = |after: &[(u64, u64)], expected: u64| {
            assert_eq!(turns(after).kept_out_since(&before), Duration::from_nanos(expected), "{after:?}");
        };
        // One has ended, one is new.
        let after = Turns(
            [(OsString::from("1"), Turn { ran: 7, waited: 4 }), (OsString::from("2"), Turn { ran: 1, waited: 1 })]
                .into(),
        );
        assert_eq!(after.since(&before), Turn { ran: 3, waited: 5 });
        check(&[(100, 10), (5, 0)], 0);
        // The second waited for the first.
        check(&[(180, 10), (5, 80)], 0);
        check(&[(180, 10), (5, 90)], 10);
        // The first was kept out by a stranger, but for the time that the second ran.
        check(&[(150, 60), (15, 0)], 40);
        // A thread that was not there before.
        check(&[(100, 10), (5, 0), (0, 7)], 7);
    }

    #[test]
    fn a_family_has_children_and_theirs_and_a_stranger_has_none() {
        let folder = std::env::temp_dir().join(format!("portcullis-engine-family-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        // Two shells, each waiting for what it started.
        let words = ["sh", "-c", "sh -c 'sleep 600 & wait' & wait"].map(Into::into).to_vec();
        let process = Process::start(&Program { words, core: None, log }).unwrap();
        let start = Instant::now();
        let name = |id: &u32| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        while !process.family().iter().any(|id| name(id) == "sleep\n") {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(LOOK);
        }
        let family = process.family();
        assert_eq!((family.len(), family.first()), (3, Some(&process.id())), "{family:?}");
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let core = allowed.split([',', '-']).next().unwrap();
        move_to(&family, core.parse().unwrap()).unwrap();
        for id in family.iter().skip(1) {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
            assert!(status.contains(&format!("Cpus_allowed_list:\t{core}\n")), "{status}");
            assert!(Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success());
        }
        assert_eq!(super::family(u32::MAX), [u32::MAX]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn who_has_ended_has_no_turns_and_what_all_threads_used_is_their_sum() {
        let own = std::process::id();
        assert!(Turns::of(&[u32::MAX]).0.is_empty());
        let (before, turns, after) = (used(own).unwrap(), Turns::of(&[own, u32::MAX]), used(own).unwrap());
        let ran: u64 = turns.0.values().map(|turn| turn.ran).sum();
        assert!(ran > 0 && (before.ran..=after.ran).contains(&ran), "{before:?} {ran} {after:?}");
    }
}
