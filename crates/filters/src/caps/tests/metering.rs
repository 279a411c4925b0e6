//! What is used is what the records say, to the byte, whatever happens between: refusals, batches, streams that break
//! off, reloads, restarts.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use portcullis_caps::{MethodId, Spender};
use portcullis_filter::chain::Link;
use portcullis_filter::{Completed, Filter, Phase, Phases, Response};

use super::*;

/// By consumer and method: requests and credits; and bytes.
type Sums = BTreeMap<(String, String), [u64; 3]>;

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
        let id = completed.notes.get::<Caller>().map(|caller| caller.id.to_string()).unwrap_or_default();
        let mut sums = self.0.lock();
        let mut add = |method: &str, amounts: [u64; 3]| {
            let sum = sums.entry((id.clone(), method.to_owned())).or_default();
            sum.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
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

#[test]
fn what_is_used_is_what_the_records_say() {
    const REQUESTS: usize = 40_000;
    let records = Arc::new(Mutex::new(Sums::new()));
    let mut used = Sums::new();
    let (mut answered, mut gateway) = (0, Gateway::new());
    for from in (0..REQUESTS).step_by(2_000) {
        if from % 10_000 == 0 {
            // A restart: what was not taken is taken at its end.
            gateway = Gateway::new();
        }
        let recording = Link::new("records", Records(Arc::clone(&records)));
        let chain = gateway.with_link(PLANS[from / 2_000 % 2], recording);
        let millis = &gateway.millis;
        let run_some = |first: usize| {
            (from + first..from + 2_000)
                .step_by(2)
                .filter(|nth| {
                    millis.fetch_add(2, Ordering::Relaxed);
                    run(&chain, request(*nth)).status == 200
                })
                .count()
        };
        answered += std::thread::scope(|scope| {
            let other = scope.spawn(|| run_some(1));
            run_some(0) + other.join().unwrap()
        });
        for (id, method, amounts) in gateway.used() {
            let sum = used.entry((id, method)).or_default();
            sum.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
        }
    }
    let mut records = records.lock().clone();
    records.retain(|_, amounts| *amounts != [0; 3]);
    assert_eq!(used, records);
    assert!((REQUESTS / 20..REQUESTS * 9 / 10).contains(&answered), "some are refused: {answered}");
    assert_eq!(gateway.caps.method_name(MethodId::BATCH), "(batch)");
}
