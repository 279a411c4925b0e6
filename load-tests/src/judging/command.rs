//! The command `judge`.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_artifacts::report::VERSION;
use portcullis_artifacts::{Report, Subject as Named};
use portcullis_judge::simulate::Noise;
use portcullis_judge::{Exit, Finding, Judgement, Pair, Rules, Sample};

use portcullis_engine::origin::Origin;
use portcullis_engine::proof;

use crate::Failure;
use crate::process::{find, most_files};

use super::arguments::{Inconclusive, RUNS};
use super::conduct::{Conduct, Conducted, conduct};
use super::held;
use super::live::{Live, Source};
use super::load::Load;
use super::local::Local;
use super::metrics::Select;
use super::progress::{Progress, note};
use super::rulers::Rulers;
use super::subject::{Subject, Url};
use super::{allocations, flames, instructions, output};

pub use super::arguments::JudgeArguments;

/// Judges, and leaves the reports behind.
///
/// # Errors
///
/// When the arguments say what cannot be done, or a file cannot be written.
pub fn judge(arguments: &JudgeArguments) -> Result<Exit, Failure> {
    let rules = arguments.rules.rules(arguments.duet, arguments.live.live, arguments.are_commands())?;
    arguments.find_programs()?;
    let began = jiff::Timestamp::now().to_string();
    let start = Instant::now();
    let environment = output::environment();
    let folder = tempfile::tempdir()?;
    let mut local = if arguments.live.live { None } else { Some(arguments.local(folder.path())?) };
    let runs = if arguments.rules.inconclusive == Inconclusive::Retry { RUNS } else { 1 };
    let (run, judgement) = until_told(runs, arguments.rules.seed, &mut |seed| match &mut local {
        Some(local) => measure(arguments, local, &rules, seed),
        None => watch(arguments, &rules, seed),
    })?;
    if let Some(path) = &arguments.noise {
        write_noise(&run, path)?;
    }
    let [baseline, canary] = arguments.named();
    let can_be_drawn = run.can_go_on(&judgement.findings);
    let report = Report {
        version: VERSION,
        tool: format!("portcullis-load {}", env!("CARGO_PKG_VERSION")),
        began,
        seconds: start.elapsed().as_secs_f64(),
        seed: judgement.seed,
        plan: arguments.plan(),
        plan_digest: run.plan_digest,
        duet: arguments.duet,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        environment,
        baseline,
        canary: Some(canary),
        judgement: Some(judgement),
        inconclusive: arguments.rules.inconclusive.into(),
        twins: run.twins,
        pairs: run.pairs,
        rulers: run.rulers,
        scenes: Vec::new(),
        scalability: None,
        series: Vec::new(),
    };
    output::write(&report, &arguments.out)?;
    output::summary(&report)?;
    if let Some(local) = local.as_mut().filter(|_| can_be_drawn) {
        draw(arguments, local);
    }
    Ok(report.exit())
}

/// Runs with one seed after the other until something is told, at most so often.
fn until_told(
    mut runs: u32,
    mut seed: u64,
    measure: &mut dyn FnMut(u64) -> Result<Conducted, Failure>,
) -> Result<(Conducted, Judgement), Failure> {
    loop {
        let mut run = measure(seed)?;
        let judgement = run.judge.judgement(std::mem::take(&mut run.findings));
        runs = runs.saturating_sub(1);
        if !judgement.is_open() || runs == 0 {
            return Ok((run, judgement));
        }
        note(&format!("{}: {}; once more with another seed", judgement.verdict, judgement.reason));
        seed = seed.wrapping_add(1);
    }
}

fn watch(arguments: &JudgeArguments, rules: &Rules, seed: u64) -> Result<Conducted, Failure> {
    let live = arguments.live(rules, seed)?;
    let mut progress = Progress::new(live.every);
    live.watch(&mut |judge, elapsed| progress.tell(judge, elapsed))
}

fn measure(arguments: &JudgeArguments, local: &mut Local, rules: &Rules, seed: u64) -> Result<Conducted, Failure> {
    let how = Conduct {
        rules: rules.clone(),
        seed,
        restart_every: arguments.load.restart_every,
        rulers_every: arguments.rulers_every,
        duet: arguments.duet,
    };
    note("measuring a stall that is known, to see whether this can be believed");
    if let Some(flaw) = proof::prove()?.flaw() {
        let run = Conducted::invalid(&how, &format!("the load tool could not prove itself: {flaw}"))?;
        let rulers = local.rulers.results(&run);
        return Ok(Conducted { rulers, ..run });
    }
    let mut progress = Progress::new(arguments.length_of_a_pair(local));
    let mut run = conduct(&how, local, &mut |judge, elapsed| progress.tell(judge, elapsed))?;
    run.rulers = local.rulers.results(&run);
    run.plan_digest = Some(local.load.digest(local.hold));
    local.stop();
    if arguments.instructions && run.can_go_on(&run.findings) {
        note("counting instructions");
        match instructions::count([&local.baseline, &local.canary], (&*local).into(), rules.instructions) {
            Ok(counted) => run.findings.push(Finding::Instructions(counted)),
            Err(failure) => run.judge.cannot_tell(&format!("instructions could not be counted: {failure}")),
        }
    }
    Ok(run)
}

/// Draws what was asked for besides. The verdict is told already, and nothing of it changes.
fn draw(arguments: &JudgeArguments, local: &mut Local) {
    let out = &arguments.out;
    if arguments.flames {
        note("drawing flame graphs");
        if let Err(failure) = flames::record(local, out) {
            note(&format!("there are no flame graphs: {failure}"));
        }
        local.stop();
    }
    if arguments.allocations {
        note("counting allocations");
        if let Err(failure) = allocations::record(local, out) {
            note(&format!("there are no flame graphs of allocations: {failure}"));
        }
    }
}

/// A core beside this one; the same where there is no other.
const fn other_core(core: u32, cores: u32) -> u32 {
    match (core, cores) {
        (_, 0 | 1) => core,
        (0, _) => 1,
        (core, _) => core - 1,
    }
}

fn write_noise(run: &Conducted, path: &Path) -> Result<(), Failure> {
    let pair = |pair: &portcullis_artifacts::WindowPair| Pair {
        baseline: Sample::of(&pair.baseline),
        canary: Sample::of(&pair.canary),
    };
    let pairs: Vec<Pair> = run.twins.iter().map(pair).collect();
    std::fs::write(path, Noise::lines(&pairs)).map_err(|error| format!("{}: {error}", path.display()).into())
}

impl JudgeArguments {
    /// Whether both sides are processes that this tool starts.
    fn are_commands(&self) -> bool {
        let is_command = |text: &String| matches!(Subject::parse(text), Ok(Subject::Command(_)));
        [&self.baseline, &self.canary].into_iter().all(|side| side.as_ref().is_some_and(is_command))
    }

    /// Looks for what is asked for besides, before anything is measured.
    fn find_programs(&self) -> Result<(), Failure> {
        for (asked, flag, program, word) in [
            (self.instructions, "--instructions", "valgrind", "canary"),
            (self.flames, "--flames", "perf", "bench"),
            (self.allocations, "--allocations", "valgrind", "canary"),
        ] {
            if asked && !self.are_commands() {
                return Err(format!("{flag} wants two sides that are commands").into());
            }
            if asked && find(program).is_none() {
                return Err(format!("{flag}: {program} is not installed (scripts/setup {word})").into());
            }
        }
        Ok(())
    }

    fn local(&self, folder: &Path) -> Result<Local, Failure> {
        let side = |text: &Option<String>| Subject::parse(text.as_deref().unwrap_or_default());
        let file = match &self.plan {
            Some(file) => file.clone(),
            None => self.load.plan(folder)?,
        };
        if self.load.path.contains(char::is_whitespace) || !self.load.path.starts_with('/') {
            return Err("--path begins with a slash and has no white space".into());
        }
        let (baseline, canary) = (side(&self.baseline)?, side(&self.canary)?);
        if self.duet && !self.are_commands() {
            return Err("--duet compares CPU time, which is known of commands alone".into());
        }
        let load = Load::read(&file)?;
        let can_be_ruled = load.is_plain() && matches!(baseline, Subject::Command(_));
        if !(self.rulers.is_empty() || can_be_ruled) {
            return Err("--rulers want a baseline that is a command, and a plan in plain HTTP/1.1".into());
        }
        let cores = u32::try_from(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))?;
        let core = self.load.core.unwrap_or(cores.saturating_sub(1));
        let own = if self.load.origin.is_none() { Some(Origin::start("{\"load\":\"test\"}")?) } else { None };
        let origin = self.load.origin.or_else(|| own.as_ref().map(Origin::address)).ok_or("no origin")?;
        let rulers = Rulers::named(&self.rulers);
        let hold = held::count(self.load.hold, 2 + rulers.asked(), most_files()?)?;
        crate::process::raise_file_limit()?;
        // A connection is held by a GET.
        let hold = if load.is_plain() { hold } else { 0 };
        Ok(Local {
            baseline,
            canary,
            load,
            hold,
            path: self.load.path.clone(),
            core,
            other: other_core(core, cores),
            folder: folder.to_owned(),
            origin,
            _own: own,
            begin: Instant::now(),
            running: Vec::new(),
            rulers,
        })
    }

    /// How long a pair takes at least, on average: what is told before the first is over.
    fn length_of_a_pair(&self, local: &Local) -> Duration {
        let window = local.load.length();
        let rulers = window * u32::try_from(local.rulers.asked()).unwrap_or_default() / self.rulers_every;
        rulers + if self.duet { window } else { window * 2 }
    }

    fn live(&self, rules: &Rules, seed: u64) -> Result<Live, Failure> {
        let live = &self.live;
        let token = std::env::var("PORTCULLIS_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
        let source = |url: &Option<String>, labels: &str| -> Result<Source, Failure> {
            let mut url = Url::parse(url.as_deref().unwrap_or_default())?;
            if url.path == "/" {
                url.path = "/metrics".to_owned();
            }
            Ok(Source { url, select: Select::parse(labels)?, token: token.clone() })
        };
        let (baseline, canary) = (
            source(&live.baseline_metrics, &live.baseline_labels)?,
            source(&live.canary_metrics, &live.canary_labels)?,
        );
        if baseline == canary {
            return Err("baseline and canary are the same: name another URL, or labels that tell them apart".into());
        }
        let every = Duration::try_from_secs_f64(live.every)?.max(Duration::from_millis(100));
        let objective = Duration::from_millis(self.load.objective);
        let most_memory = live.most_memory.map(|mebibytes| mebibytes.saturating_mul(1 << 20));
        Ok(Live { baseline, canary, every, objective, most_memory, rules: rules.clone(), seed })
    }

    fn plan(&self) -> String {
        let load = &self.load;
        match &self.plan {
            _ if self.live.live => {
                format!("live, a window every {} s, objective {} ms", self.live.every, load.objective)
            }
            Some(file) => file.display().to_string(),
            None => format!(
                "{} requests/s of {}, windows of {} s, objective {} ms",
                load.rate, load.path, load.window, load.objective
            ),
        }
    }

    fn named(&self) -> [Named; 2] {
        let live = |url: &Option<String>, labels: &str| {
            let url = url.clone().unwrap_or_default();
            if labels.is_empty() { url } else { format!("{url} {{{labels}}}") }
        };
        let what = if self.live.live {
            [
                live(&self.live.baseline_metrics, &self.live.baseline_labels),
                live(&self.live.canary_metrics, &self.live.canary_labels),
            ]
        } else {
            [self.baseline.clone().unwrap_or_default(), self.canary.clone().unwrap_or_default()]
        };
        let [baseline, canary] = what;
        [
            Named { what: baseline, revision: self.baseline_revision.clone() },
            Named { what: canary, revision: self.canary_revision.clone() },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_judge::instructions::{Instructions, Twins};
    use portcullis_judge::{Judge, Verdict};

    /// A run that has compared nothing, or has found what a canary breaks.
    fn run(seed: u64, harm: bool) -> Conducted {
        let mut run = Conducted::with(Judge::new(Rules::default(), seed).unwrap());
        if harm {
            run.findings.push(Finding::Scene {
                name: "lives".to_owned(),
                baseline: Some(true),
                canary: false,
                text: String::new(),
            });
        }
        run
    }

    #[test]
    fn what_is_not_told_is_run_again_with_another_seed_and_not_for_ever() {
        for (runs, told_at, seeds) in [(1, 9, &[7][..]), (3, 9, &[7, 8, 9]), (3, 8, &[7, 8]), (3, 7, &[7])] {
            let mut asked = Vec::new();
            let (_, judgement) = until_told(runs, 7, &mut |seed| {
                asked.push(seed);
                Ok(run(seed, seed == told_at))
            })
            .unwrap();
            assert_eq!((asked.as_slice(), Some(&judgement.seed)), (seeds, seeds.last()));
            let told = seeds.contains(&told_at);
            assert_eq!(judgement.verdict == Verdict::Inconclusive, !told, "{}", judgement.reason);
        }
        assert!(until_told(3, 1, &mut |_| Err("no plan".into())).is_err());
    }

    #[test]
    fn counts_that_tell_nothing_are_no_end_of_it_and_what_cannot_be_counted_is() {
        let twins = Twins { baseline: [100.0, 108.0], canary: [100.0; 2] };
        let counted = || Ok::<_, &str>(Finding::Instructions(Instructions::of(twins, 1.05)));
        for (found, times) in [(counted(), 3), (Err("it does not start under callgrind"), 1)] {
            let mut asked = 0;
            let (_, judgement) = until_told(3, 7, &mut |seed| {
                asked += 1;
                let mut run = run(seed, false);
                match found.clone() {
                    Ok(finding) => run.findings.push(finding),
                    Err(why) => run.judge.cannot_tell(why),
                }
                Ok(run)
            })
            .unwrap();
            assert_eq!((judgement.verdict, asked), (Verdict::Invalid, times), "{}", judgement.reason);
        }
    }

    #[test]
    fn the_other_core_is_another_where_there_is_one() {
        for (core, cores, other) in [(0, 1, 0), (1, 2, 0), (0, 2, 1), (7, 8, 6), (3, 0, 3)] {
            assert_eq!(other_core(core, cores), other, "{core} of {cores}");
        }
    }
}
