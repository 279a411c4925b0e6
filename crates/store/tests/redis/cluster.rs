//! A cluster of three masters: pools are spread over it, follow their slots, and a part of it that is away is an outage
//! for the part.

use std::time::{Duration, Instant};

use portcullis_store::LinkState;
use redis::Commands;

use crate::kit::{Gateway, Plan};
use crate::server::Redis;

struct Cluster(Vec<Redis>);

/// Waits until something holds, looking again and again.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} did not come to hold");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Cluster {
    fn start() -> Self {
        let servers: Vec<Redis> = (0..3).map(|_| Redis::start_clustered()).collect();
        for (server, slots) in servers.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            server.command(&format!("CLUSTER ADDSLOTSRANGE {slots}"));
        }
        for (server, other) in servers.iter().zip(&servers[1..]) {
            let bus = other.run_command::<Vec<String>>("CONFIG GET cluster-port")[1].clone();
            server.command(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port));
        }
        let cluster = Self(servers);
        cluster.until_whole();
        cluster
    }

    fn until_whole(&self) {
        until("a whole cluster", || {
            self.0.iter().all(|server| {
                let info: String = server.run_command("CLUSTER INFO");
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
        });
    }

    /// Keys of pools on each server.
    fn keys(&self) -> Vec<usize> {
        self.0.iter().map(|server| server.run_command::<usize>("DBSIZE")).collect()
    }
}

fn consumers() -> impl Iterator<Item = String> {
    (0..60).map(|nth| format!("consumer-{nth}"))
}

#[test]
fn pools_are_spread_and_a_master_that_dies_is_an_outage_until_it_is_back() {
    let mut cluster = Cluster::start();
    let mut gateway = Gateway::start(&[cluster.0[0].url()]);
    gateway.until_leased("leases");
    assert!(consumers().all(|id| gateway.ask(Plan::Local, &id)));
    until("pools everywhere", || cluster.keys().iter().all(|keys| *keys > 5));
    let link = gateway.link();
    assert!(link.cluster && link.nodes.iter().filter(|node| node.used).count() == 3, "{link:?}");
    cluster.0[1].kill();
    let out = gateway.load_until("an outage", Duration::from_secs(20), |gateway, seen| {
        seen.local && !gateway.is_linked() && gateway.link().state > LinkState::Moved
    });
    // Whoever's pool it is that is away, the plan's policy serves.
    let served = consumers().filter(|id| gateway.ask(Plan::Local, id)).count();
    println!("out after {out:?}, {served} of 60 at once, {:?}", gateway.link().state);
    cluster.0[1].start_again();
    cluster.until_whole();
    let back = gateway.until_leased("leases of the whole cluster");
    println!("back after {back:?}, p99 of decisions {:?}", gateway.p99());
    assert!(out < Duration::from_secs(6) && back < Duration::from_secs(10), "out {out:?}, back {back:?}");
    assert!(gateway.p99() < Duration::from_millis(1));
}

/// The slot of a consumer's pool, and the pool's key.
fn pool_of(cluster: &Cluster, id: &str) -> Option<(usize, String)> {
    cluster.0.iter().enumerate().find_map(|(nth, server)| {
        let keys: Vec<String> = server.connection().keys(format!("*{id}")).unwrap();
        keys.into_iter().next().map(|key| (nth, key))
    })
}

#[test]
fn a_slot_that_moves_takes_its_pools_with_it_and_nobody_notices() {
    let cluster = Cluster::start();
    let mut gateway = Gateway::start(&[cluster.0[2].url()]);
    gateway.until_leased("leases");
    let mut spent = 0;
    let mut spend = |gateway: &mut Gateway, until: u64| {
        gateway.load_until("the quota spent", Duration::from_secs(20), |gateway, _| {
            spent += u64::from(gateway.ask(Plan::Quota, "mover"));
            spent >= until
        });
    };
    spend(&mut gateway, 200);
    let (from, key) = pool_of(&cluster, "mover").unwrap();
    let to = (from + 1) % 3;
    let slot: u16 = cluster.0[from].run_command(&format!("CLUSTER KEYSLOT {key}"));
    let [from_id, to_id] = [from, to].map(|nth| cluster.0[nth].run_command::<String>("CLUSTER MYID"));
    cluster.0[to].command(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
    cluster.0[from].command(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    spend(&mut gateway, 300);
    let keys: Vec<String> = cluster.0[from].run_command(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
    for key in &keys {
        cluster.0[from].command(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", cluster.0[to].port));
    }
    // The slot is still the first one's, and the pool is with the second: words are redirected one by one.
    spend(&mut gateway, 500);
    for nth in [to, from, 3 - from - to] {
        cluster.0[nth].command(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    }
    spend(&mut gateway, 950);
    assert_eq!(pool_of(&cluster, "mover").map(|(nth, _)| nth), Some(to));
    let mut refused = 0;
    gateway.load_until("the end of the quota", Duration::from_secs(20), |gateway, _| {
        let admitted = gateway.ask(Plan::Quota, "mover");
        spent += u64::from(admitted);
        refused = if admitted { 0 } else { refused + 1 };
        refused > 1_500
    });
    assert!((980..=1_055).contains(&spent), "{spent} of 1000: the pool kept its counts");
    assert!(gateway.is_linked());
}
