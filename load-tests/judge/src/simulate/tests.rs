//! How often harm is found that is not there, and how often harm that is, in runs drawn from noise that was measured.

use super::*;
use crate::sample::Sample;
use crate::window::Failure;

/// Measured on two shared cores while compilers ran on them; the file says how.
fn noise() -> Noise {
    Noise::measured().unwrap()
}

fn runs_of(effect: Effect, count: u32) -> Outcomes {
    let rules = Rules { resamples: 4000, ..Rules::default() };
    runs(&rules, &noise(), effect, count, 42).unwrap()
}

#[test]
fn twins_are_called_harmful_in_at_most_one_of_a_hundred_runs() {
    let outcomes = runs_of(Effect::None, 200);
    assert!(outcomes.failed <= 2, "{outcomes:?}");
}

#[test]
fn twice_delta_more_cpu_is_found_in_nine_of_ten_runs() {
    let outcomes = runs_of(Effect::CpuByDelta(2.0), 200);
    assert!(outcomes.failed >= 180, "{outcomes:?}");
}

#[test]
fn one_slow_request_in_a_hundred_is_found_in_nine_of_ten_runs() {
    let outcomes = runs_of(Effect::Tail(0.01), 200);
    assert!(outcomes.failed >= 180, "{outcomes:?}");
}

#[test]
fn one_failed_request_in_a_hundred_is_found_in_nine_of_ten_runs() {
    let outcomes = runs_of(Effect::Failed(0.01, Failure::ServerError), 100);
    assert!(outcomes.failed >= 90, "{outcomes:?}");
}

#[test]
fn on_a_noisier_machine_with_held_connections_twins_are_not_harmful_and_half_as_much_memory_more_for_each_is() {
    let noise = Noise::parse(include_str!("../../noise/two-shared-cores-held.csv")).unwrap();
    assert!(noise.pairs().iter().all(|pair| pair.baseline.rss.is_some() && pair.canary.rss.is_some()));
    let rules = Rules { resamples: 4000, ..Rules::default() };
    let of = |effect: Effect| runs(&rules, &noise, effect, 200, 42).unwrap().failed;
    assert!(of(Effect::None) <= 2, "{}", of(Effect::None));
    for harm in [Effect::Rss(1.5), Effect::CpuByDelta(2.0), Effect::Tail(0.01)] {
        assert!(of(harm) >= 180, "{harm:?}: {}", of(harm));
    }
}

#[test]
fn a_duet_calls_no_twins_harmful_and_finds_a_quarter_more_cpu() {
    let rules = Rules { cost_only: true, ..Rules::default() };
    let noise = Noise::measured_in_duets().unwrap();
    let of = |effect: Effect| runs(&rules, &noise, effect, 200, 42).unwrap();
    let (twins, dearer) = (of(Effect::None), of(Effect::Cpu(1.25)));
    assert!(twins.failed <= 2 && twins.passed >= 180, "{twins:?}");
    assert!(dearer.failed >= 190, "{dearer:?}");
}

#[test]
fn the_rate_beside_a_verdict_is_that_of_whole_runs_and_can_be_above_zero() {
    let noise = noise();
    let twins = noise.pairs().get(..20).unwrap();
    assert!(false_alarms(&Rules { resamples: 1000, ..Rules::default() }, twins, 100, 5) <= 1);
    // Who is content with one pair is wrong when an A/A leg misses the largest difference and the first pair has it; with the margins
    // that the twins themselves set none of them would ever lie beyond.
    let rash = Rules { alpha: 0.9, cost_only: true, ..Rules::default() };
    let alarms = false_alarms(&rash, twins, 1000, 5);
    assert!(alarms > 0, "{alarms}");
}

#[test]
fn the_sides_of_a_block_are_exchanged_together() {
    let of = |cpu: f64| Sample { cpu: Some(cpu), ..Sample::default() };
    // All pairs are alike: the canary's place needs more.
    let pairs = vec![Pair { baseline: of(1.0), canary: of(2.0) }; 20];
    let (mut draw, mut random) = (Draw::of(&pairs), Random::new(3));
    let drawn: Vec<bool> = (0..500).map(|_| draw.next_pair(&mut random).canary.cpu > Some(1.5)).collect();
    assert!(drawn.chunks(5).all(|block| block.iter().all(|one| Some(one) == block.first())), "{drawn:?}");
    let worse = drawn.iter().filter(|one| **one).count();
    // 50 of 100 blocks are expected, with a standard deviation of 5.
    assert!((150..=350).contains(&worse), "{worse}");
}

#[test]
fn the_same_seed_gives_the_same_runs() {
    assert_eq!(runs_of(Effect::None, 5), runs_of(Effect::None, 5));
}

#[test]
fn noise_is_read_back_as_it_was_written() {
    let noise = noise();
    assert_eq!(Noise::parse(&Noise::lines(noise.pairs())), Ok(noise));
}

#[test]
fn what_is_no_noise_is_refused() {
    let line = "100,1,0,20000,500,100,0,0,21000,500\n";
    assert!(Noise::parse(&line.repeat(60)).unwrap().pairs().iter().all(|pair| pair.canary.rss.is_none()));
    let with_connections = "100,1,0,20000,500,50,100,0,0,21000,500,60\n".repeat(60);
    assert!(Noise::parse(&with_connections).unwrap().pairs().iter().all(|pair| pair.canary.rss == Some(60.0)));
    assert_eq!(Noise::parse(&line.repeat(59)), Err(BadNoise::TooFew(59)));
    for wrong in [
        "100,1,0\n",
        "100,1,0,1,1,100,1,0,1,1,1\n",
        "100,101,0,1,1,1,1,1,1,1\n",
        "100,1,2,1,1,100,0,0,1,1\n",
        "a,1,0,1,1,100,0,0,1,1\n",
    ] {
        assert_eq!(Noise::parse(&format!("# remark\n{line}{wrong}")), Err(BadNoise::Line(3)), "{wrong}");
    }
}
