//! What happens to requests when a server is stopped, killed, slow, read-only, full of data, full of clients, locked, or
//! gives its place to a replica.

use std::cell::RefCell;
use std::time::Duration;

use portcullis_store::{LinkState, RedisOptions};

use crate::kit::{Gateway, Plan};
use crate::server::{Redis, words};

/// How soon plans decide by their policies, measured: leases and the link end a second after the last word (`ttl`),
/// and what a loaded machine adds.
const OUT: Duration = Duration::from_secs(4);
/// How soon leases are back: a pause of two seconds, a second to connect, a tick, and what a loaded machine adds.
const BACK: Duration = Duration::from_secs(8);

/// A server with a gateway on it goes through an outage and comes back; no request ever waits.
fn outage(redis: &mut Redis, state: LinkState, breaks: impl FnOnce(&mut Redis), heals: impl FnOnce(&mut Redis)) {
    outage_of(RedisOptions::at(&redis.url()), redis, state, breaks, heals);
}

/// The same for a gateway with these options.
pub(crate) fn outage_of(
    options: RedisOptions,
    redis: &mut Redis,
    state: LinkState,
    breaks: impl FnOnce(&mut Redis),
    heals: impl FnOnce(&mut Redis),
) {
    let mut gateway = Gateway::with(options);
    gateway.until_leased("leases at the start");
    breaks(redis);
    let out = gateway.until_out(state);
    heals(redis);
    let back = gateway.until_leased("leases again");
    let p99 = gateway.p99();
    println!("{}: out after {out:?}, back after {back:?}, p99 of decisions {p99:?}", state.as_str());
    assert!(out < OUT && back < BACK, "out after {out:?}, back after {back:?}");
    assert!(p99 < Duration::from_millis(1), "a decision waits: {p99:?}");
    let link = gateway.link();
    assert!(link.last_error.is_some() && link.commands > 0, "{link:?}");
    assert_eq!(gateway.keeper.shutdown().redis.unwrap().state, LinkState::Up);
}

#[test]
fn a_server_that_is_stopped() {
    outage(&mut Redis::start(), LinkState::Slow, |redis| redis.stop(), |redis| redis.go_on());
}

#[test]
fn a_server_that_is_killed_and_started_again() {
    outage(&mut Redis::start(), LinkState::Unreachable, Redis::kill, Redis::start_again);
}

#[test]
fn a_server_that_pauses_its_clients() {
    outage(
        &mut Redis::start(),
        LinkState::Slow,
        |redis| redis.command("CLIENT PAUSE 5000 ALL"),
        // It ends by itself; nothing is heard before that.
        |_| {},
    );
}

#[test]
fn a_server_that_becomes_a_replica() {
    let other = Redis::start();
    let replicate = format!("REPLICAOF 127.0.0.1 {}", other.port);
    outage(
        &mut Redis::start(),
        LinkState::ReadOnly,
        |redis| redis.command(&replicate),
        |redis| redis.command("REPLICAOF NO ONE"),
    );
}

#[test]
fn a_server_without_memory() {
    outage(
        &mut Redis::start(),
        LinkState::OutOfMemory,
        |redis| redis.command("CONFIG SET maxmemory 1"),
        |redis| redis.command("CONFIG SET maxmemory 0"),
    );
}

/// A server lets nobody in any more, but for a connection of before, by which it is opened again.
fn lock_out(state: LinkState, locks: &str, opens: &str) {
    let mut redis = Redis::start();
    let mine = RefCell::new(redis.connection());
    let run = |command: &str| drop(words(command).query::<redis::Value>(&mut *mine.borrow_mut()).unwrap());
    let lock = |_: &mut Redis| {
        run(locks);
        run("CLIENT KILL TYPE normal SKIPME yes");
    };
    outage(&mut redis, state, lock, |_| run(opens));
}

#[test]
fn a_server_that_takes_no_more_clients() {
    lock_out(LinkState::TooManyClients, "CONFIG SET maxclients 1", "CONFIG SET maxclients 100");
}

#[test]
fn a_server_that_wants_a_password() {
    // The last word is an empty one: no password.
    lock_out(LinkState::Denied, "CONFIG SET requirepass secret", "CONFIG SET requirepass ");
}

/// The rights that `docs/store.md` names, with a password.
pub(crate) fn rights(password: &str) -> String {
    let page = include_str!("../../../../docs/store.md");
    let rights = page.lines().find_map(|line| line.strip_prefix("ACL SETUSER portcullis ")).unwrap();
    rights.replace('…', password)
}

#[test]
fn a_user_with_no_more_rights_than_the_handbook_says() {
    let redis = Redis::start();
    redis.command(&format!("ACL SETUSER portcullis {}", rights("secret")));
    redis.command("ACL SETUSER default resetpass >other");
    let (user, password) = (Some("portcullis".to_owned()), Some("secret".to_owned()));
    let mut gateway = Gateway::with(RedisOptions { user, password, ..RedisOptions::at(&redis.url()) });
    gateway.until_leased("leases");
    assert_eq!(gateway.keeper.shutdown().redis.unwrap().last_error, None);
}

#[test]
fn a_server_whose_scripts_were_flushed() {
    let redis = Redis::start();
    let mut gateway = Gateway::start(&[redis.url()]);
    gateway.until_leased("leases at the start");
    redis.command("SCRIPT FLUSH");
    let back = gateway.until_leased("leases again");
    assert!(back < BACK, "{back:?}");
}

/// What was spent is known by who takes over, and reported by who was cut off.
#[test]
fn a_replica_takes_over_and_counts_are_reconciled() {
    let (mut first, second) = (Redis::start(), Redis::start());
    second.command(&format!("REPLICAOF 127.0.0.1 {}", first.port));
    let urls = [first.url(), second.url()];
    let (mut one, mut two) = (Gateway::start(&urls), Gateway::start(&urls));
    one.until_leased("leases of the first gateway");
    two.until_leased("leases of the second gateway");
    let mut spent = [0_u64, 0];
    let mut spend = |gateways: [&mut Gateway; 2], requests: u64| {
        for (gateway, spent) in gateways.into_iter().zip(&mut spent) {
            let until = *spent + requests;
            gateway.load_until("the quota spent", Duration::from_secs(20), |gateway, _| {
                *spent += u64::from(gateway.ask(Plan::Quota, "acme"));
                *spent >= until
            });
        }
    };
    spend([&mut one, &mut two], 200);
    let offset = |redis: &Redis| {
        let info: String = redis.run_command("INFO replication");
        info.lines().any(|line| line.starts_with("slave0:") && line.contains("state=online"))
    };
    assert!(offset(&first), "the replica follows");
    first.kill();
    let out = one.until_out(LinkState::Unreachable);
    // Each spends of its own share meanwhile.
    spend([&mut one, &mut two], 20);
    second.command("REPLICAOF NO ONE");
    let back = one.until_leased("leases of the replica");
    two.until_leased("leases of the replica, the second gateway");
    println!("failover: out after {out:?}, back after {back:?} from the promotion on");
    // The rest: all together get what the quota allows, and at most two leases more.
    let mut refused = 0;
    one.load_until("the end of the quota", Duration::from_secs(30), |one, _| {
        for (nth, gateway) in [&mut *one, &mut two].into_iter().enumerate() {
            let admitted = gateway.ask(Plan::Quota, "acme");
            spent[nth] += u64::from(admitted);
            refused = if admitted { 0 } else { refused + 1 };
        }
        refused > 3_000
    });
    let total: u64 = spent.iter().sum();
    println!("spent {spent:?}");
    assert!((980..=1_000 + 2 * 55).contains(&total), "{total} of 1000");
}
