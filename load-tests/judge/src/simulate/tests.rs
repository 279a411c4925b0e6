//! How often harm is found that is not there, and how often harm that is, in runs drawn from noise that was measured.

use super::*;
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
fn a_duet_calls_no_twins_harmful_and_finds_a_quarter_more_cpu() {
    let rules = Rules { cost_only: true, ..Rules::default() };
    let noise = Noise::measured_in_duets().unwrap();
    let of = |effect: Effect| runs(&rules, &noise, effect, 200, 42).unwrap();
    let (twins, dearer) = (of(Effect::None), of(Effect::Cpu(1.25)));
    assert!(twins.failed <= 2 && twins.passed >= 180, "{twins:?}");
    assert!(dearer.failed >= 190, "{dearer:?}");
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
    assert!(Noise::parse(&line.repeat(60)).is_ok());
    assert_eq!(Noise::parse(&line.repeat(59)), Err(BadNoise::TooFew(59)));
    for wrong in ["100,1,0\n", "100,101,0,1,1,1,1,1,1,1\n", "100,1,2,1,1,100,0,0,1,1\n", "a,1,0,1,1,100,0,0,1,1\n"] {
        assert_eq!(Noise::parse(&format!("# remark\n{line}{wrong}")), Err(BadNoise::Line(3)), "{wrong}");
    }
}
