//! What came of each play, and of all together: a table of mutant by scene.

use std::time::Duration;

use portcullis_mutants::Mutant;
use serde_json::{Value as Json, json};

use crate::suite::outcome::{Outcome, Status};
use crate::tool::Ended;

use super::Play;
use super::finder::{Finder, meant};

/// What came of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A fault, before who is meant to find it, and its criterion does not hold.
    Caught,
    /// The same, and all criteria hold.
    Missed,
    /// A fault, before somebody else, and a criterion that does not hold.
    Told,
    /// The same, and all criteria hold.
    NotTold,
    /// No fault, and all criteria hold.
    Sound,
    /// No fault, and a criterion that does not hold.
    FalseAlarm,
    /// It could not be told.
    Unclear,
}

impl Found {
    /// By a finder that found this. Who is meant to find a fault catches it by the criterion that is meant for it: what else does
    /// not hold at that moment may be the machine's affair.
    fn of(play: Play, outcome: &Outcome) -> Self {
        match (play.mutant, outcome.status()) {
            (_, Status::Invalid) => Self::Unclear,
            (None, Status::Failed) => Self::FalseAlarm,
            (None, Status::Passed) => Self::Sound,
            (Some(mutant), status) if play.is_meant() => match status {
                Status::Failed if outcome.misses(meant(mutant)) => Self::Caught,
                Status::Failed | Status::Invalid => Self::Unclear,
                Status::Passed => Self::Missed,
            },
            (Some(_), Status::Failed) => Self::Told,
            (Some(_), Status::Passed) => Self::NotTold,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Missed => "missed",
            Self::Told => "told",
            Self::NotTold => "not told",
            Self::Sound => "passes",
            Self::FalseAlarm => "false alarm",
            Self::Unclear => "cannot tell",
        }
    }
}

/// A play that is over.
#[derive(Debug, Clone)]
pub(super) struct Played {
    play: Play,
    found: Found,
    /// What does not hold, or why it could not be told, each with what was found.
    by: Vec<String>,
    took: Duration,
}

impl Played {
    pub(super) fn new(play: Play, outcome: &Outcome, took: Duration) -> Self {
        let mut by = outcome.complaints();
        if let Some(mutant) = play.mutant {
            by.sort_by_key(|complaint| !complaint.contains(meant(mutant)));
        }
        Self { play, found: Found::of(play, outcome), by, took }
    }

    /// Whether it is to be played again: what another scene says of a fault decides nothing.
    pub(super) fn is_open(&self) -> bool {
        self.found == Found::Unclear && (self.play.mutant.is_none() || self.play.is_meant())
    }

    /// For people, while it goes on.
    pub(super) fn line(&self) -> String {
        let mut line = format!("  {} in {:.0} s", self.found.name(), self.took.as_secs_f64());
        for by in &self.by {
            line.push_str("\n    ");
            line.push_str(by);
        }
        line
    }

    /// For machines.
    pub(super) fn json(&self) -> Json {
        json!({
            "mutant": self.play.name(),
            "scene": self.play.finder.name(),
            "meant": self.play.is_meant(),
            "found": self.found.name(),
            "by": self.by,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

/// All plays: a line for each mutant, a column for each scene, and below it by what was told what was told.
pub(super) fn markdown(played: &[Played]) -> String {
    let (mut scenes, mut mutants): (Vec<Finder>, Vec<Option<Mutant>>) = (Vec::new(), Vec::new());
    for Played { play, .. } in played {
        if !scenes.contains(&play.finder) {
            scenes.push(play.finder);
        }
        if !mutants.contains(&play.mutant) {
            mutants.push(play.mutant);
        }
    }
    let mut text = "| mutant |".to_owned();
    scenes.iter().for_each(|scene| text.push_str(&format!(" `{}` |", scene.name())));
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(scenes.len())));
    for mutant in mutants {
        text.push_str(&format!("| `{}` |", mutant.map_or("none", Mutant::name)));
        for finder in &scenes {
            text.push_str(&format!(" {} |", cell(played, Play { finder: *finder, mutant })));
        }
        text.push('\n');
    }
    text.push('\n');
    for Played { play, found, by, .. } in played {
        if let Some(by) = by.first() {
            text.push_str(&format!("- `{}`, `{}`: {}: {by}\n", play.name(), play.finder.name(), found.name()));
        }
    }
    text
}

/// What came of all plays of a kind: `passes 3 of 3`. Of who is meant to find a fault it is bold.
fn cell(played: &[Played], play: Play) -> String {
    let all: Vec<Found> = played.iter().filter(|one| one.play == play).map(|one| one.found).collect();
    let mut kinds: Vec<Found> = Vec::new();
    for found in &all {
        if !kinds.contains(found) {
            kinds.push(*found);
        }
    }
    let count = |kind: &Found| all.iter().filter(|found| *found == kind).count();
    let told = |kind: &Found| match play.mutant {
        None => format!("{} {} of {}", kind.name(), count(kind), all.len()),
        Some(_) => kind.name().to_owned(),
    };
    let told: Vec<String> = kinds.iter().map(told).collect();
    match (told.is_empty(), play.is_meant()) {
        (true, _) => "–".to_owned(),
        (false, true) => format!("**{}**", told.join(", ")),
        (false, false) => told.join(", "),
    }
}

/// How all ended: passed only when every mutant is caught by who is meant to, nobody cries wolf, and each passes most plays without a
/// fault. What others say of a fault decides nothing.
pub(super) fn ended(played: &[Played]) -> Ended {
    let any = |kinds: &[Found]| played.iter().any(|one| kinds.contains(&one.found));
    if any(&[Found::Missed, Found::FalseAlarm]) {
        return Ended::Missed;
    }
    let open = |one: &Played| match one.play.mutant {
        Some(_) => one.play.is_meant() && one.found != Found::Caught,
        None => {
            let same = || played.iter().filter(|other| other.play == one.play);
            2 * same().filter(|other| other.found == Found::Sound).count() <= same().count()
        }
    };
    // Of who has not shown that it passes without a fault nothing is shown.
    let is_shown = |one: &Played| played.iter().any(|other| other.play == Play { mutant: None, ..one.play });
    if played.is_empty() || played.iter().any(open) || !played.iter().all(is_shown) {
        Ended::Invalid
    } else {
        Ended::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: Option<Mutant> = Some(Mutant::BurstOffByOne);

    fn played(scene: &'static str, mutant: Option<Mutant>, outcome: &Outcome) -> Played {
        Played::new(Play { finder: Finder::Scene(scene), mutant }, outcome, Duration::from_secs(7))
    }

    fn outcome(holds: bool) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.expect("a saved burst: exactly 25 are let in", holds, "26 were");
        outcome
    }

    #[test]
    fn who_is_caught_missed_or_wrongly_accused_decides_and_then_what_could_not_be_told() {
        let (holds, fails) = (outcome(true), outcome(false));
        let unclear = Outcome::invalid("the tool was late");
        let mut other = Outcome::default();
        other.expect("race: its p99 at most 50 ms", false, "99 ms");
        let keys = |mutant, outcome| played("keys", mutant, outcome);
        let beside = |mutant, outcome| played("retries", mutant, outcome);
        for (plays, ends) in [
            (vec![keys(None, &holds), keys(FAULT, &fails)], Ended::Passed),
            (vec![keys(None, &fails), keys(FAULT, &fails)], Ended::Missed),
            (vec![keys(None, &holds), keys(None, &fails), keys(FAULT, &fails)], Ended::Missed),
            (vec![keys(None, &holds), keys(FAULT, &holds)], Ended::Missed),
            (vec![keys(None, &holds), keys(FAULT, &unclear)], Ended::Invalid),
            (vec![keys(None, &holds), keys(FAULT, &other)], Ended::Invalid),
            (vec![keys(None, &unclear), keys(FAULT, &holds)], Ended::Missed),
            // Most of the plays without a fault must pass.
            (vec![keys(None, &holds), keys(None, &unclear), keys(None, &holds), keys(FAULT, &fails)], Ended::Passed),
            (vec![keys(None, &holds), keys(None, &unclear), keys(FAULT, &fails)], Ended::Invalid),
            (vec![keys(FAULT, &fails)], Ended::Invalid),
            (Vec::new(), Ended::Invalid),
        ] {
            assert_eq!(ended(&plays), ends, "{plays:?}");
            // Another scene changes nothing, whatever it says.
            for said in [&holds, &fails, &unclear] {
                let beside = [beside(None, &holds), beside(FAULT, said)];
                let ends = if plays.is_empty() { Ended::Passed } else { ends };
                assert_eq!(ended(&[plays.as_slice(), &beside].concat()), ends, "{plays:?} {said:?}");
            }
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_mutant_and_a_column_for_each_scene() {
        let (holds, fails) = (outcome(true), outcome(false));
        let text = markdown(&[
            played("keys", None, &holds),
            played("keys", None, &holds),
            played("retries", None, &holds),
            played("retries", None, &Outcome::invalid("late")),
            played("keys", FAULT, &fails),
            played("retries", FAULT, &holds),
            played("retries", Some(Mutant::LostRetryBudget), &holds),
        ]);
        let expected = "| mutant | `keys` | `retries` |\n\
                        |---|---|---|\n\
                        | `none` | passes 2 of 2 | passes 1 of 2, cannot tell 1 of 2 |\n\
                        | `burst_off_by_one` | **caught** | not told |\n\
                        | `lost_retry_budget` | – | **missed** |\n\n\
                        - `none`, `retries`: cannot tell: late\n\
                        - `burst_off_by_one`, `keys`: caught: a saved burst: exactly 25 are let in: 26 were\n";
        assert_eq!(text, expected);
    }
}
