//! What is used is what the records say, to the byte, whatever happens between: refusals, batches, streams that break
//! off, reloads, restarts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use parking_lot::Mutex;
use portcullis_caps::{Amount, Spender};
use portcullis_filter::chain::Link;
use portcullis_filter::{Completed, Filter, Phase, Phases, Response};
use portcullis_store::{Keeper, Kept, Saved, StoreOptions, Totals, UsageQuery, read_usage};

use super::*;

/// By consumer and method: requests, credits and bytes.
type Sums = BTreeMap<(Arc<str>, String), [u64; 3]>;

/// Writes down what a record of each request would say.
struct Records(Arc<Mutex<Sums>>);

impl Filter for Records {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::Logging)
    }

    fn logging(&self, completed: &Completed<'_>, _: &mut ()) {
        // What was refused has no spender.
        if completed.notes.get::<Spender>().is_none() {
            return;
        }
        let id = completed.notes.get::<Caller>().map(|caller| Arc::clone(&caller.id)).unwrap();
        let mut sums = self.0.lock();
        let mut add = |method: &str, amounts: [u64; 3]| {
            if amounts != [0; 3] {
                let sum = sums.entry((Arc::clone(&id), method.to_owned())).or_default();
                sum.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
            }
        };
        let body = completed.facts.body.as_deref();
        let calls: Vec<&str> = match body.and_then(|body| body.calls()) {
            Some(calls) => (0..calls).map(|call| name(body.and_then(|body| body.method(call)))).collect(),
            None => vec!["(http)"],
        };
        calls.iter().for_each(|method| add(method, [1, price(method), 0]));
        let whole = if let [method] = calls.as_slice() { method } else { "(batch)" };
        add(whole, [0, 0, completed.bytes_in + completed.bytes_out]);
    }
}

/// What a method is counted as.
fn name(method: Option<&str>) -> &str {
    match method {
        Some("getBlock") => "getBlock",
        Some(method) if method.starts_with("get") => "get*",
        Some(_) | None => "(other)",
    }
}

fn price(method: &str) -> u64 {
    match method {
        "getBlock" => 10,
        "get*" => 2,
        _ => 3,
    }
}

const PLANS: [&str; 2] = [
    "plans: { free: { rate: 40/s, credits: 3, methods: { getBlock: { credits: 10 }, 'get*': { credits: 2 } } } }",
    "plans: { free: { rate: 50/s, bytes: { rate: 10KB/s }, credits: 3, methods: { getBlock: { credits: 10 }, \
     'get*': { credits: 2, concurrency: 3 } } } }",
];

const METHODS: [&[&str]; 5] =
    [&["getBlock"], &["getSlot", "getBlock"], &["sendTransaction"], &[""], &["getSlot", "getSlot", "simulate"]];

/// The nth request: by one of seven consumers, of every kind.
fn request(nth: usize) -> Exchange {
    let id = ["a", "b", "c", "d", "e", "f", "g"][nth % 7];
    let exchange = Exchange::post("http://h/", vec![b'q'; nth % 50]).shared(caller(id, "free"));
    let mut response = Response::new(http::StatusCode::OK);
    response.body = vec![b'r'; nth % 90].into();
    let exchange = exchange.answer(response);
    match nth % 11 {
        0 => exchange.field("content-type", "application/grpc").answer_chunk("more"),
        1 => exchange.answer_chunk("more").disconnects(),
        2 => exchange.fails(Reason::UpstreamReset),
        3..=7 => exchange.peeked(Arc::new(Calls(METHODS[nth % METHODS.len()]))),
        _ => exchange,
    }
}

/// A process: a gateway, and the store that keeps what its ledger has.
struct Process {
    gateway: Gateway,
    keeper: Keeper,
}

impl Process {
    fn start(directory: &Path, millis: &Arc<AtomicU64>) -> Self {
        let saved = Saved::default();
        let options = LedgerOptions { saved: Some(saved.lookup()), shards: 4, ..LedgerOptions::default() };
        let gateway = Gateway::with(options, Arc::clone(millis));
        let options = StoreOptions { save_every: Duration::from_millis(50), ..StoreOptions::at(directory) };
        let kept = Kept::open(&options, &saved, gateway.caps.now()).unwrap();
        let (caps, names) = (&gateway.caps, Arc::clone(&gateway.caps));
        let names = Arc::new(move |id| names.method_name(id).into());
        let keeper = Keeper::start(kept, caps.ledger(), names, Arc::clone(caps.clock())).unwrap();
        Self { gateway, keeper }
    }

    /// Loads a config anew.
    fn chain(&self, generation: usize, records: &Arc<Mutex<Sums>>) -> Chain {
        let recording = Link::new("records", Records(Arc::clone(records)));
        self.gateway.with_link(PLANS[generation % PLANS.len()], recording)
    }

    /// Waits until the usage that it tells of is the sums of the records.
    fn tells(&self, records: &Sums) {
        let told = || sums_of(&self.keeper.usage(&UsageQuery::default()).unwrap());
        let until = Instant::now() + Duration::from_secs(10);
        while told() != *records && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(told(), *records);
    }
}

/// How many of the requests of a range, every second one from the first, are answered.
fn serve(chain: &Chain, numbers: impl Iterator<Item = usize>, millis: &AtomicU64) -> usize {
    crate::testing::block_on(async {
        let mut answered = 0;
        for nth in numbers {
            millis.fetch_add(2, Ordering::Relaxed);
            answered += usize::from(request(nth).run(chain).await.status == 200);
        }
        answered
    })
}

fn sums_of(totals: &Totals) -> Sums {
    let of = |(id, methods): (&String, &BTreeMap<String, Amount>)| {
        let id: Arc<str> = id.as_str().into();
        let sum = |(method, sum): (&String, &Amount)| {
            ((Arc::clone(&id), method.clone()), [sum.requests, sum.credits, sum.bytes])
        };
        methods.iter().map(sum).collect::<Vec<_>>()
    };
    totals.consumers.iter().flat_map(of).collect()
}

#[test]
fn what_a_million_requests_use_is_what_their_records_say_to_the_byte_with_restarts_between() {
    const REQUESTS: usize = 1_000_000;
    const PROCESSES: usize = 10;
    const GENERATIONS: usize = 10;
    const SOME: usize = REQUESTS / PROCESSES / GENERATIONS;
    let directory = tempfile::tempdir().unwrap();
    let (records, millis) = (Arc::new(Mutex::new(Sums::new())), Arc::new(AtomicU64::new(0)));
    let (mut answered, mut running) = (0, None::<Process>);
    for nth in 0..PROCESSES {
        // Every second start is an upgrade: the process before goes on for a while, and has the store meanwhile.
        let mut before = running.take();
        if nth % 2 == 0 {
            drop(before.take());
        }
        let process = running.insert(Process::start(directory.path(), &millis));
        for generation in 0..GENERATIONS {
            let chain = process.chain(generation, &records);
            let others = before.as_ref().map(|before| before.chain(generation, &records));
            let numbers = |first: usize| {
                let from = (nth * GENERATIONS + generation) * SOME;
                (from + first..from + SOME).step_by(2)
            };
            answered += std::thread::scope(|scope| {
                let other = scope.spawn(|| serve(others.as_ref().unwrap_or(&chain), numbers(1), &millis));
                serve(&chain, numbers(0), &millis) + other.join().unwrap()
            });
            drop(before.take());
        }
        process.tells(&records.lock());
    }
    drop(running);
    let records = records.lock();
    let totals = read_usage(&StoreOptions::at(directory.path()).journal(), &UsageQuery::default()).unwrap();
    assert_eq!(sums_of(&totals), *records);
    assert_eq!((totals.unreadable, totals.repeated), (0, 0));
    assert!((REQUESTS / 20..REQUESTS * 9 / 10).contains(&answered), "some are refused: {answered}");
    let calls = |of: &str| records.iter().filter(|((_, method), _)| method == of).map(|(_, [calls, ..])| calls).sum();
    let [block, other]: [u64; 2] = [calls("getBlock"), calls("get*")];
    assert!(block > 1_000 && other > 1_000, "methods of all prices: {block}, {other}");
}
