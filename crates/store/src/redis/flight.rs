//! What is sent to one server in one tick, and what comes back.

use std::time::{Duration, Instant};

use portcullis_caps::{LeaseAsk, Moment, Present};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};

use super::node::{Open, send};
use super::trouble::Trouble;
use super::words::{Word, command};
use crate::keeper::Clock;

/// Words in one command: a script that runs for a millisecond at most.
pub(crate) const WORDS: usize = 32;
/// Commands in one pipeline.
const COMMANDS: usize = 32;

/// A word with its place among the asks of a tick.
pub(crate) struct Said {
    pub(crate) ask: LeaseAsk,
    pub(crate) word: Word,
}

/// What one command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Job {
    /// The gateway is there.
    Members,
    /// Words, by their places, of one slot.
    Asks(Vec<usize>, u16),
    /// What precedes words that a server is asked to answer though their slot is only on its way to it.
    Asking,
    /// Whether the server is there.
    Ping,
    /// Whether it is a master.
    Role,
    /// Who has which slots.
    Slots,
}

/// The commands for one server.
pub(crate) struct Flight {
    pub(crate) address: String,
    connection: MultiplexedConnection,
    scripts: (String, String),
    jobs: Vec<(Job, Cmd)>,
}

/// What came of it.
pub(crate) struct Landed {
    pub(crate) address: String,
    /// Each job with its answer; the rest has none.
    pub(crate) answers: Vec<(Job, Value)>,
    pub(crate) unanswered: Vec<Job>,
    pub(crate) trouble: Option<Trouble>,
    /// When the last pipeline that was answered was sent.
    pub(crate) sent: Option<Moment>,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Flight {
    pub(crate) fn to(address: &str, open: &Open) -> Self {
        Self {
            address: address.to_owned(),
            connection: open.line.connection.clone(),
            scripts: (open.pool.clone(), open.members.clone()),
            jobs: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Says words, which have one slot.
    pub(crate) fn ask(&mut self, present: Present, slot: u16, (places, words): (Vec<usize>, &[&Word])) {
        let command = command(&self.scripts.0, present, words);
        self.jobs.push((Job::Asks(places, slot), command));
    }

    /// Says that the gateway is there, or that it leaves.
    pub(crate) fn members(&mut self, key: &str, gateway: u64, word: &str, (ttl, gone_after): (u64, u64)) {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.scripts.1).arg(1).arg(key).arg(gateway).arg(word).arg(ttl).arg(gone_after);
        self.jobs.push((Job::Members, command));
    }

    pub(crate) fn plain(&mut self, job: Job) {
        let mut command = redis::cmd(match job {
            Job::Role => "ROLE",
            Job::Slots => "CLUSTER",
            Job::Asking => "ASKING",
            Job::Ping | Job::Members | Job::Asks(..) => "PING",
        });
        if job == Job::Slots {
            command.arg("SLOTS");
        }
        self.jobs.push((job, command));
    }

    /// Sends all, a pipeline at a time, each within the timeout.
    pub(crate) async fn fly(self, timeout: Duration, clock: Clock) -> Landed {
        let Self { address, mut connection, jobs, .. } = self;
        let (answers, unanswered) = (Vec::with_capacity(jobs.len()), Vec::new());
        let mut landed = Landed { address, answers, unanswered, trouble: None, sent: None, took: Duration::ZERO };
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let mut pipeline = Pipeline::new();
            let mut names = Vec::new();
            for (job, command) in jobs.by_ref().take(COMMANDS) {
                pipeline.add_command(command);
                names.push(job);
            }
            let (sent, began) = (clock(), Instant::now());
            match send(&mut connection, &pipeline, timeout).await {
                Ok(values) if values.len() == names.len() => {
                    landed.answers.extend(names.into_iter().zip(values));
                    (landed.sent, landed.took) = (Some(sent), began.elapsed());
                }
                other => {
                    landed.trouble = Some(other.err().unwrap_or_else(Trouble::strange));
                    landed.unanswered = names;
                    landed.unanswered.extend(jobs.map(|(job, _)| job));
                    break;
                }
            }
        }
        landed
    }
}
