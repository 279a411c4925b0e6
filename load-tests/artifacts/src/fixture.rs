//! A report with everything in it, names of an enemy among them.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_judge::growth::{Growth, Point as Moment, Slope};
use portcullis_judge::instructions::{Instructions, Twins};
use portcullis_judge::random::Random;
use portcullis_judge::scalability::{Law, Point as Throughput};
use portcullis_judge::window::{Histogram, Machine, Readings, Schedule, Side, Window};
use portcullis_judge::{Finding, Judge, OnInconclusive, Pair, Rules, Sample, Step};

use crate::report::{
    Environment, Look, Measured, Metric, Outcome, Part, Report, Scalability, SceneResult, Series, Subject, VERSION,
    WindowPair,
};
use crate::rulers::Ruler;

/// What a name may be.
pub(crate) const HOSTILE: &str = "</title><script>alert('x')</script>\u{1b}[31m | `rm` \"&amp;";

fn window(number: u64, cpu: f64, random: &mut Random) -> Window {
    let requests = 2000;
    let beyond = random.below(4) as u64;
    let cpu = Duration::from_secs_f64(25e-6 * cpu * (0.97 + random.unit() * 0.06) * requests as f64);
    let latency = Histogram::new((0..200).map(|step| (300_000 + step * step * 400, 10)));
    Window::new(Readings {
        requests,
        succeeded: requests,
        beyond_slo: beyond,
        cpu_ns: u64::try_from(cpu.as_nanos()).ok(),
        rss_bytes: Some(30 << 20),
        rss_before_bytes: Some(29 << 20),
        connections: 64,
        latency,
        seconds: 2.0,
        began: number as f64 * 2.5,
        schedule: Some(Schedule { planned: requests, late: 3, very_late: 0, capped: 0 }),
        machine: Machine { steal: 0.01, neighbour_cpu: random.unit() * 0.5, run_queue_wait_ns: 1_000_000 },
        ..Readings::default()
    })
    .unwrap()
}

fn judged() -> (Judge, Vec<WindowPair>, Vec<WindowPair>) {
    let mut random = Random::new(9);
    let mut judge = Judge::new(Rules { resamples: 1000, ..Rules::default() }, 7).unwrap();
    let (mut twins, mut pairs) = (Vec::new(), Vec::new());
    for number in 0.. {
        let (first, cpu, list) = match judge.step() {
            Step::Twins(first) => (first, 1.0, &mut twins),
            Step::Compare(first) => (first, 1.25, &mut pairs),
            Step::End => break,
        };
        // Every second pair is a round of a ruler, which needs half of what the baseline needs.
        let rulers =
            if number % 2 == 0 { vec![("nginx".to_owned(), window(number * 2, 0.5, &mut random))] } else { Vec::new() };
        let pair = WindowPair {
            first,
            baseline: window(number * 2, 1.0, &mut random),
            canary: window(number * 2 + 1, cpu, &mut random),
            rulers: BTreeMap::from_iter(rulers),
        };
        judge.push(Pair { baseline: Sample::of(&pair.baseline), canary: Sample::of(&pair.canary) });
        list.push(pair);
    }
    (judge, twins, pairs)
}

fn scene() -> SceneResult {
    let metric = |name: &str, kept: Option<bool>| Metric {
        name: name.to_owned(),
        unit: "requests/s".to_owned(),
        measured: Some(Measured { value: 41_234.5, low: Some(40_000.0), high: Some(42_000.0) }),
        found: kept.map(|_| HOSTILE.to_owned()),
        criterion: kept.map(|_| "at least 40,000".to_owned()),
        kept,
        excused: None,
        rationale: kept.map(|_| HOSTILE.to_owned()),
        rollback: kept.map(|_| HOSTILE.to_owned()),
        hotfix: None,
    };
    let excused = Metric { excused: Some("others had the core".to_owned()), ..metric("excused", Some(false)) };
    let doubted = Metric { excused: Some("the tool measured too little".to_owned()), ..metric("doubted", Some(true)) };
    let mut random = Random::new(5);
    let look = |ended: u32| Look { ended: f64::from(ended), seconds: 1.0, steal: 0.1, ..Look::default() };
    let windows = (0..9).map(|number| Part {
        name: if number == 0 { HOSTILE.to_owned() } else { format!("round {number}") },
        load: (number < 8).then(|| window(number, 1.0, &mut random)),
        looks: (0..3).map(look).collect(),
    });
    SceneResult {
        name: HOSTILE.to_owned(),
        outcome: Outcome::Failed,
        seconds: 12.5,
        seed: 3,
        metrics: vec![metric(HOSTILE, Some(false)), metric("kept", Some(true)), metric("seen", None), excused, doubted],
        notes: vec![HOSTILE.to_owned()],
        windows: windows.collect(),
    }
}

fn scalability() -> Scalability {
    let throughput = |n: f64| 9_000.0 * n / (1.0 + 0.04 * (n - 1.0) + 0.0004 * n * (n - 1.0));
    let levels = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
    let points: Vec<Throughput> =
        levels.into_iter().map(|n| Throughput { concurrency: n, throughput: throughput(n) }).collect();
    let law = Law::fit(&points, 50, &mut Random::new(1)).unwrap();
    Scalability { points, law: Some(law) }
}

fn series() -> Series {
    let points: Vec<Moment> =
        (0..60).map(|n| Moment { seconds: f64::from(n), value: 3e7 + 5000.0 * f64::from(n) }).collect();
    let growth = Growth { what: "growth_rss".to_owned(), slope: Slope::of(&points).unwrap(), cap: 1e9 };
    Series { name: "resident memory".to_owned(), unit: "bytes".to_owned(), points, growth: Some(growth) }
}

/// The report.
pub(crate) fn report() -> Report {
    let (judge, twins, pairs) = judged();
    let counts = Twins { baseline: [89_900.0, 90_100.0], canary: [112_000.0, 112_000.0] };
    let instructions = Instructions::of(counts, 1.05);
    let growth = series().growth.unwrap();
    let findings = vec![
        Finding::Instructions(instructions),
        Finding::Growth { baseline: None, canary: growth },
        Finding::Scene { name: HOSTILE.to_owned(), baseline: Some(true), canary: true, text: HOSTILE.to_owned() },
    ];
    assert!(pairs.iter().any(|pair| pair.first == Side::Canary));
    let rulers = vec![
        Ruler {
            missed: 1,
            missed_last: Some(HOSTILE.to_owned()),
            ..Ruler::measured("nginx", Some("1.22.1".to_owned()), &twins, &pairs)
        },
        Ruler::left_out("Envoy", None, HOSTILE),
    ];
    Report {
        version: VERSION,
        tool: "portcullis-load 0.1.0".to_owned(),
        began: "2026-01-01T00:00:00Z".to_owned(),
        seconds: 170.0,
        seed: 7,
        plan: format!("edge {HOSTILE}"),
        plan_digest: Some("0123".to_owned()),
        duet: false,
        command: format!("portcullis-load judge --canary '{HOSTILE}'"),
        environment: Environment {
            system: "linux 6.1.0".to_owned(),
            cpu: "a processor".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            load_average: 3.2,
            virtualised: true,
        },
        baseline: Subject { what: "portcullis run".to_owned(), revision: Some("abc1234".to_owned()) },
        canary: Some(Subject { what: HOSTILE.to_owned(), revision: None }),
        judgement: Some(judge.judgement(findings)),
        inconclusive: OnInconclusive::Fail,
        twins,
        pairs,
        rulers,
        scenes: vec![scene()],
        scalability: Some(scalability()),
        series: vec![series()],
    }
}

/// The same with nothing in it that may be left out.
pub(crate) fn little() -> Report {
    Report {
        canary: None,
        judgement: None,
        twins: Vec::new(),
        pairs: Vec::new(),
        plan_digest: None,
        rulers: Vec::new(),
        scenes: Vec::new(),
        scalability: None,
        series: Vec::new(),
        ..report()
    }
}
