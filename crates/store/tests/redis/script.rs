//! The script, run by a server on the test's own clock.

use std::time::Duration;

use portcullis_caps::{Ask, Budget, Grant, Stake};
use redis::Connection;

/// The script as it is in the gateway, but for the clock, which is the last argument.
const SCRIPT: &str =
    concat!("local function clock() return tonumber(ARGV[#ARGV]) end\n", include_str!("../../src/redis/pool.lua"));

/// Pools in a server.
pub(crate) struct Scripted {
    connection: Connection,
    digest: String,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

impl Scripted {
    pub(crate) fn new(mut connection: Connection) -> Self {
        let digest = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query(&mut connection).unwrap();
        Self { connection, digest }
    }

    /// What the pool of a key answers at a time, in microseconds.
    pub(crate) fn ask(&mut self, key: &str, micros: u64, ask: &Ask, stake: &Stake) -> Option<Grant> {
        let Stake { budget, terms, present } = stake;
        let (kind, most, count, per) = match budget {
            Budget::Rate(bucket) => ("rate", bucket.burst(), u64::from(bucket.fraction().0), bucket.fraction().1),
            Budget::Quota(limit) => ("quota", *limit, 0, 0),
        };
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.digest).arg(1).arg(key);
        command.arg(present.known).arg(present.heard).arg(nanos(present.gone_after)).arg(kind);
        for number in [most, count, per, terms.most, terms.lease(), nanos(terms.ttl), 1_000_000_000, ask.gateway.0] {
            command.arg(number);
        }
        for number in [ask.life, ask.word, ask.before, ask.spent, ask.heard, ask.allowance, ask.share, ask.want, micros]
        {
            command.arg(number);
        }
        let answer: Vec<Option<[u64; 3]>> = command.query(&mut self.connection).unwrap();
        let (life, word) = (ask.life, ask.word);
        answer[0].map(|[allowance, left, share]| Grant { life, word, allowance, left, share })
    }
}
