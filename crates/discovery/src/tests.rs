//! Sources are followed from a thread of their own, for as long as somebody names them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portcullis_balance::{SetOptions, Tuning};
use portcullis_filter::seam::{EndpointSink, EndpointSource, FoundEndpoint};
use portcullis_snapshot::{Dns, Fleet, FleetPlan, Fleets, Mould, Part, SourceKey};
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::ClusterName;

use super::{Discovery, FIRST_ANSWERS, survey};

fn fleets() -> Arc<Fleets> {
    Fleets::new(Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap()))
}

fn fleet(fleets: &Arc<Fleets>, key: &SourceKey) -> Arc<Fleet> {
    let parts = vec![Part::Fed { feed: fleets.feed(key), mould: Mould::default() }];
    let plan = FleetPlan { parts, options: SetOptions::default(), tuning: Tuning::default(), subsets: Vec::new() };
    fleets.fleet(&ClusterName::from("web"), plan, None, Instant::now()).unwrap()
}

fn other(of: &str) -> SourceKey {
    SourceKey::Other { source: "toy".into(), of: of.into() }
}

fn addresses(fleet: &Fleet) -> Vec<String> {
    fleet.members().endpoints.endpoints().iter().map(|endpoint| endpoint.spec().address.to_string()).collect()
}

/// Counts who follows it; answers with the address that it is asked for, or fails, or never says anything.
#[derive(Default)]
struct Toy {
    followers: Arc<AtomicU32>,
}

struct Follower(Arc<AtomicU32>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl EndpointSource for Toy {
    async fn follow(&self, of: &str, sink: &dyn EndpointSink) -> Result<(), String> {
        self.followers.fetch_add(1, Ordering::SeqCst);
        let _follower = Follower(self.followers.clone());
        match of {
            "silent" => std::future::pending().await,
            "broken" => Err("it is broken".to_owned()),
            address => {
                sink.found(vec![FoundEndpoint::new(address.parse().unwrap())]);
                std::future::pending().await
            }
        }
    }
}

fn discovery(fleets: &Arc<Fleets>) -> (Discovery, Arc<AtomicU32>) {
    let toy = Arc::new(Toy::default());
    let followers = toy.followers.clone();
    (Discovery::new(fleets.clone(), BTreeMap::from([("toy", toy as Arc<dyn EndpointSource>)])), followers)
}

/// Waits for the thread of the sources, which drops a follower in its own time.
async fn until_let_go(followers: &AtomicU32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while followers.load(Ordering::SeqCst) > 0 {
        assert!(Instant::now() < deadline, "it is still followed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn first_answers_are_waited_for_and_silence_only_for_a_while() {
    let fleets = fleets();
    let (discovery, _) = discovery(&fleets);
    let [good, bad] = ["10.0.0.1:80", "broken"].map(|of| fleet(&fleets, &other(of)));
    discovery.follow(&Dns::default());
    let started = Instant::now();
    discovery.settle().await;
    assert!(started.elapsed() < FIRST_ANSWERS, "a failure is an answer too");
    assert_eq!((addresses(&good), addresses(&bad)), (vec!["10.0.0.1:80".to_owned()], vec![]));
    let status = bad.plan().feeds().next().unwrap().status(Instant::now());
    assert_eq!((status.as_str(), status.failing.unwrap().1.as_str()), ("failing", "it is broken"));
    let _silent = fleet(&fleets, &other("silent"));
    discovery.follow(&Dns::default());
    let started = Instant::now();
    discovery.settle().await;
    assert!((FIRST_ANSWERS..FIRST_ANSWERS * 4).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_source_is_followed_once_and_let_go_when_no_cluster_names_it() {
    let fleets = fleets();
    let (discovery, followers) = discovery(&fleets);
    let both = [fleet(&fleets, &other("10.0.0.1:80")), fleet(&fleets, &other("10.0.0.1:80"))];
    discovery.follow(&Dns::default());
    discovery.follow(&Dns::default());
    discovery.settle().await;
    assert_eq!(followers.load(Ordering::SeqCst), 1);
    assert!(both.iter().all(|fleet| addresses(fleet) == ["10.0.0.1:80"]));
    drop(both);
    discovery.follow(&Dns::default());
    until_let_go(&followers).await;
}

#[tokio::test]
async fn a_feed_that_somebody_held_for_a_moment_is_let_go_without_another_look() {
    let fleets = fleets();
    let (discovery, followers) = discovery(&fleets);
    let fleet = fleet(&fleets, &other("10.0.0.1:80"));
    discovery.follow(&Dns::default());
    discovery.settle().await;
    let held = fleets.feeds();
    drop(fleet);
    discovery.follow(&Dns::default());
    assert_eq!(followers.load(Ordering::SeqCst), 1, "somebody holds it");
    drop(held);
    until_let_go(&followers).await;
}

#[tokio::test]
async fn a_survey_says_of_each_source_why_it_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| SourceKey::File { path: PathBuf::from(dir.path()).join(name).into() };
    std::fs::write(dir.path().join("good.yaml"), "[10.0.0.1:80]").unwrap();
    std::fs::write(dir.path().join("bad.yaml"), "[10.0.0.1]").unwrap();
    let keys = [file("good.yaml"), file("bad.yaml"), file("none.yaml"), other("10.0.0.1:80")];
    let answers = survey(&keys, &Dns::default(), Duration::from_secs(5)).await;
    let words = ["", "endpoint 1: `10.0.0.1` is not", "cannot be read", ""];
    for (answer, word) in answers.iter().zip(words) {
        assert_eq!(answer.is_ok(), word.is_empty(), "{answer:?}");
        assert!(answer.as_ref().err().is_none_or(|why| why.contains(word)), "{answer:?}");
    }
}
