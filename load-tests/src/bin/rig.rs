//! The command line of the rig. `rig bars` and `rig all` are what `make bench` runs.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum as _};
use portcullis_engine::tls::Group;
use portcullis_load::bench::{ALL, BARS, Needed, is_installed};
use portcullis_load::contenders::{self, Before, Certificate, Contender, Place, Sessions, Terminating};
use portcullis_load::gatekeeper::{self, Keeper, Who, Work};
use portcullis_load::memory::Idle;
use portcullis_load::process::{Process, Program, find, free_address};
use portcullis_load::report::{progress, say};
use portcullis_load::scenes::{self, Player, SceneName};
use portcullis_load::speed::Plan;
use portcullis_load::{Failure, generators, instructions, memory, reload, speed, start};

/// Bytes of the answers that the origin has in its config.
const SMALL: usize = 123;

/// Measures the gateway's process beside bare Pingora and other proxies.
#[derive(Debug, Parser)]
struct Arguments {
    /// The core of the proxy.
    #[arg(long, global = true, default_value_t = 1)]
    core: u32,
    /// The core of load tool and origin.
    #[arg(long, global = true, default_value_t = 0)]
    other_core: u32,
    /// Where configs, logs and callgrind's files go, and stay. Default: a folder that is deleted.
    #[arg(long, global = true)]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    command: What,
}

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
enum What {
    /// CPU per request, in turns, of those that have proved that they do the work.
    Speed {
        /// Who takes part. Ratios are to the first.
        #[arg(long, value_delimiter = ',', default_value = "bare,plain,full")]
        contenders: Vec<Contender>,
        /// Rounds.
        #[arg(long, default_value_t = 40)]
        rounds: usize,
        /// Seconds of a window.
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Connections.
        #[arg(long, value_delimiter = ',', default_value = "32,256")]
        connections: Vec<u32>,
        /// Bytes of the origin's answers.
        #[arg(long, default_value_t = SMALL)]
        body: usize,
    },
    /// CPU per connection over TLS 1.3, in turns: a handshake and one request on each. `wrk` resumes its sessions by the tickets
    /// that it gets, so nearly all handshakes have a key exchange and no certificate.
    Handshakes {
        /// Who takes part. Ratios are to the first.
        #[arg(long, value_delimiter = ',', default_value = "nginx,usual,haproxy")]
        contenders: Vec<Contender>,
        /// Rounds.
        #[arg(long, default_value_t = 12)]
        rounds: usize,
        /// Seconds of a window.
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Connections at a time.
        #[arg(long, default_value_t = 32)]
        connections: u32,
        /// Full handshakes: every client is new, and each handshake is checked to be none that was resumed.
        #[arg(long)]
        full: bool,
        /// The same with clients that exchange keys by X25519 with ML-KEM-768. nginx and `HAProxy` need OpenSSL 3.5 for it.
        #[arg(long)]
        hybrid: bool,
    },
    /// Memory per idle WebSocket that is tunnelled to an origin.
    Tunnels {
        /// Who takes part.
        #[arg(long, value_delimiter = ',', default_value = "usual,full")]
        contenders: Vec<Contender>,
        /// WebSockets.
        #[arg(long, default_value_t = 9000)]
        connections: usize,
    },
    /// Instructions and allocations per request.
    Instructions {
        /// Who takes part. Ratios are to the first.
        #[arg(long, value_delimiter = ',', default_value = "bare,plain,full")]
        contenders: Vec<Contender>,
        /// Requests of the shorter run.
        #[arg(long, default_value_t = 2000)]
        requests: u32,
    },
    /// Memory per idle keep-alive connection.
    Memory {
        /// Who takes part.
        #[arg(long, value_delimiter = ',', default_value = "bare,plain,full")]
        contenders: Vec<Contender>,
        /// Connections.
        #[arg(long, default_value_t = 15_000)]
        connections: usize,
    },
    /// Reloads under load, and how long one takes.
    Reload {
        /// Reloads under load.
        #[arg(long, default_value_t = 100)]
        reloads: u32,
        /// Reloads that are timed.
        #[arg(long, default_value_t = 20)]
        timed: u32,
        /// Routes of the config whose reloads are timed.
        #[arg(long, default_value_t = 10_000)]
        routes: usize,
    },
    /// How long a start takes until the gateway is ready.
    Start {
        /// The gateway. Default: the one beside the rig.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// Routes of the config.
        #[arg(long, default_value_t = 1000)]
        routes: usize,
        /// Starts that count.
        #[arg(long, default_value_t = 20)]
        starts: u32,
    },
    /// What clients see while replicas are slow, killed, failing or down, beside other proxies. Bars are printed.
    Scenes {
        /// Which ones.
        #[arg(long, value_delimiter = ',', default_value = "slow,kill-get,kill-post,failing,hanging,outage")]
        scenes: Vec<SceneName>,
        /// Who plays. Default: all that are installed.
        #[arg(long, value_delimiter = ',')]
        players: Vec<Player>,
        /// Rounds.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Seconds of a window that count.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// A line for the gateway's cluster, such as `balance: round_robin`. May be repeated.
        #[arg(long = "knob")]
        knobs: Vec<String>,
    },
    /// An API key out of 100,000, a rate for each, a route by the method of JSON-RPC, log and metrics: who pays what.
    Gatekeeper {
        /// Who takes part. Ratios are to the first.
        #[arg(long, value_delimiter = ',', default_value = "portcullis,haproxy,envoy")]
        keepers: Vec<Who>,
        /// Rounds of CPU per request.
        #[arg(long, default_value_t = 12)]
        rounds: usize,
        /// Seconds of a window.
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Connections.
        #[arg(long, default_value_t = 32)]
        connections: u32,
        /// Rounds of latency at 60 % of what the first can do; 0 for none.
        #[arg(long, default_value_t = 6)]
        latency_rounds: usize,
        /// Requests of the shorter run under callgrind, for the first alone; 0 for none.
        #[arg(long, default_value_t = 1000)]
        requests: u32,
    },
    /// A flood of bad keys from 10,000 addresses: what it does to the p99 of those with good ones.
    Flood {
        /// Good calls a second.
        #[arg(long, default_value_t = 500.0)]
        rate: f64,
        /// Bad keys a second.
        #[arg(long, default_value_t = 1000.0)]
        flood: f64,
        /// Rounds; each has a window alone and one beside the flood.
        #[arg(long, default_value_t = 6)]
        rounds: usize,
        /// Seconds of a window.
        #[arg(long, default_value_t = 5)]
        seconds: u32,
    },
    /// CPU per request of the load tool itself, beside `wrk`: closed loops on one nginx, in turns. Here `--core` is the generator's, and
    /// `--other-core` nginx's.
    Generator {
        /// Rounds.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Seconds of a window.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Connections.
        #[arg(long, default_value_t = 32)]
        connections: u32,
        /// The tool sends in an open loop of so many requests a second in place of its closed one; `wrk` has none.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
    },
    /// What the bars at the top of docs/performance.md are about, as it is measured there: with PORTCULLIS_BIN=target/dist/portcullis,
    /// since bars are for what is shipped.
    Bars,
    /// All parts, other proxies included where they are installed.
    All,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let kept = arguments.keep.unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&kept)?;
    let place = Place { folder: std::path::absolute(kept)?, core: arguments.core, other: arguments.other_core };
    let commands = if matches!(arguments.command, What::All) {
        several(&ALL, &is_installed)?
    } else if matches!(arguments.command, What::Bars) {
        let gateway = contenders::gateway().ok_or("portcullis is not built")?;
        say(&measured(&gateway, std::env::var_os("PORTCULLIS_BIN").is_some()))?;
        several(&BARS, &is_installed)?
    } else {
        vec![arguments.command]
    };
    commands.iter().try_for_each(|command| run(command, &place))
}

/// What the bars are measured of, for who reads the tables.
fn measured(gateway: &Path, named: bool) -> String {
    let whose = if named { "as PORTCULLIS_BIN says" } else { "beside the rig, since PORTCULLIS_BIN names no other" };
    format!("Measured: `{}`, {whose}.\n", gateway.display())
}

/// These commands, without contenders that are not there, and without what would compare with one that is not.
fn several(commands: &[&str], is_there: &dyn Fn(Needed) -> bool) -> Result<Vec<What>, Failure> {
    let mut found = Vec::new();
    for words in commands {
        let mut command = parse(words)?;
        let stays = match &mut command {
            What::Speed { contenders, .. } | What::Handshakes { contenders, .. } => {
                first_stays(contenders, |contender| is_there(Needed::Contender(*contender)))
            }
            What::Gatekeeper { keepers, .. } => {
                first_stays(keepers, |keeper| is_there(Needed::Contender(keeper.contender())))
            }
            What::Generator { .. } => [Needed::Wrk, Needed::Contender(Contender::Nginx)].into_iter().all(is_there),
            What::Tunnels { .. }
            | What::Instructions { .. }
            | What::Memory { .. }
            | What::Reload { .. }
            | What::Start { .. }
            | What::Scenes { .. }
            | What::Flood { .. }
            | What::Bars
            | What::All => true,
        };
        if stays {
            found.push(command);
        } else {
            progress(&format!("left out: rig {words}"));
        }
    }
    Ok(found)
}

/// Leaves out who is not there, and says whether the first is, to whom the others' ratios are.
fn first_stays<T: Copy + PartialEq>(list: &mut Vec<T>, is_there: impl Fn(&T) -> bool) -> bool {
    let first = list.first().copied();
    list.retain(is_there);
    list.first().copied() == first
}

/// A command as a shell reads it, where nothing but single quotes is special.
fn parse(words: &str) -> Result<What, Failure> {
    let parts = words.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    Ok(Arguments::try_parse_from(std::iter::once("rig").chain(words))?.command)
}

fn run(what: &What, place: &Place) -> Result<(), Failure> {
    match what {
        What::Speed { contenders, rounds, seconds, connections, body } => {
            run_speed(contenders, plan(*rounds, *seconds, connections), *body, place)
        }
        What::Handshakes { contenders, rounds, seconds, connections, full, hybrid } => {
            let sessions = match (full, hybrid) {
                (_, true) => Sessions::New(Group::Hybrid),
                (true, false) => Sessions::New(Group::X25519),
                (false, false) => Sessions::Resumed,
            };
            run_handshakes(contenders, sessions, plan(*rounds, *seconds, &[*connections]), place)
        }
        What::Tunnels { contenders, connections } => {
            let (_origin, address) = echo_origin(place)?;
            let command = format!("rig tunnels --contenders {} --connections {connections}", words(contenders));
            let table = memory::run(Idle::Tunnel, contenders, *connections, place, address)?;
            table.print("Memory per idle WebSocket", &command)
        }
        What::Instructions { contenders, requests } => {
            let origin = contenders::origin(place)?;
            let command = format!("rig instructions --contenders {} --requests {requests}", words(contenders));
            let table = instructions::run(&before(contenders, origin.address), *requests, place)?;
            table.print("Instructions and allocations per request", &command)
        }
        What::Memory { contenders, connections } => {
            let origin = contenders::origin(place)?;
            let command = format!("rig memory --contenders {} --connections {connections}", words(contenders));
            let table = memory::run(Idle::KeptAlive, contenders, *connections, place, origin.address)?;
            table.print("Memory per idle keep-alive connection", &command)
        }
        What::Reload { reloads, timed, routes } => run_reload([*reloads, *timed], *routes, place),
        What::Start { binary, routes, starts } => {
            let given = binary.iter().map(|path| format!(" --binary {}", path.display())).collect::<String>();
            let command = format!("rig start{given} --routes {routes} --starts {starts}");
            let plan = start::Plan { binary: binary.clone(), routes: *routes, starts: *starts };
            start::run(&plan, place)?.print("From the start to ready", &command)
        }
        What::Scenes { scenes, players, rounds, seconds, knobs } => run_scenes(
            scenes::Plan {
                scenes: scenes.clone(),
                players: players.clone(),
                rounds: *rounds,
                seconds: *seconds,
                knobs: knobs.clone(),
            },
            place,
        ),
        What::Gatekeeper { keepers, rounds, seconds, connections, latency_rounds, requests } => run_gatekeeper(
            keepers,
            &plan(*rounds, *seconds, &[*connections]),
            [*latency_rounds, usize::try_from(*requests)?],
            place,
        ),
        What::Flood { rate, flood, rounds, seconds } => {
            let plan = gatekeeper::FloodPlan { rate: *rate, flood: *flood, rounds: *rounds, seconds: *seconds };
            let command = format!("rig flood --rate {rate} --flood {flood} --rounds {rounds} --seconds {seconds}");
            gatekeeper::flood(&plan, place)?.print("A flood of bad keys from 10,000 addresses", &command)
        }
        What::Generator { rounds, seconds, connections, rate } => {
            let open = rate.iter().map(|rate| format!(" --rate {rate}")).collect::<String>();
            let command =
                format!("rig generator --rounds {rounds} --seconds {seconds} --connections {connections}{open}");
            let plan = generators::Plan { rounds: *rounds, seconds: *seconds, connections: *connections, rate: *rate };
            generators::run(&plan, place)?.print("CPU per request of who asks", &command)
        }
        What::All | What::Bars => Ok(()),
    }
}

/// A plan whose contenders are to come.
fn plan<E>(rounds: usize, seconds: u32, connections: &[u32]) -> Plan<E> {
    Plan { contenders: Vec::new(), rounds, seconds, connections: connections.to_vec(), restart_every: 10 }
}

fn run_speed(contenders: &[Contender], plan: Plan<Before>, body: usize, place: &Place) -> Result<(), Failure> {
    let connections: Vec<String> = plan.connections.iter().map(ToString::to_string).collect();
    let command = format!(
        "rig speed --contenders {} --rounds {} --seconds {} --connections {} --body {body}",
        words(contenders),
        plan.rounds,
        plan.seconds,
        connections.join(",")
    );
    contenders::prove(contenders, place)?.print("CPU per request: each does its work", &command)?;
    let origin = if body == SMALL { contenders::origin(place)? } else { contenders::origin_of(place, body)? };
    let plan = Plan { contenders: before(contenders, origin.address), ..plan };
    speed::run(&plan, place)?.print("CPU per request", &command)
}

fn run_handshakes(
    contenders: &[Contender],
    sessions: Sessions,
    plan: Plan<Terminating>,
    place: &Place,
) -> Result<(), Failure> {
    let origin = contenders::origin(place)?;
    let certificate = Certificate::new(&place.folder)?;
    let terminating = |contender: &Contender| Terminating {
        contender: *contender,
        origin: origin.address,
        certificate: certificate.clone(),
        sessions,
    };
    let connections: Vec<String> = plan.connections.iter().map(ToString::to_string).collect();
    let command = format!(
        "rig handshakes --contenders {} --rounds {} --seconds {} --connections {}{}",
        words(contenders),
        plan.rounds,
        plan.seconds,
        connections.join(","),
        match sessions {
            Sessions::Resumed => "",
            Sessions::New(Group::X25519) => " --full",
            Sessions::New(Group::Hybrid) => " --hybrid",
        }
    );
    let plan = Plan { contenders: contenders.iter().map(terminating).collect(), ..plan };
    speed::run(&plan, place)?.print("CPU per connection over TLS", &command)
}

fn run_gatekeeper(
    who: &[Who],
    plan: &Plan<Keeper>,
    [latency_rounds, requests]: [usize; 2],
    place: &Place,
) -> Result<(), Failure> {
    let work = Work::new(place)?;
    let keepers: Vec<Keeper> = who.iter().map(|who| Keeper { who: *who, work: Arc::clone(&work) }).collect();
    let names: Vec<String> = who.iter().map(|who| format!("{who:?}").to_lowercase()).collect();
    let command = format!(
        "rig gatekeeper --keepers {} --rounds {} --seconds {} --latency-rounds {latency_rounds} --requests {requests}",
        names.join(","),
        plan.rounds,
        plan.seconds
    );
    gatekeeper::prove(&keepers, place)?.print("Gatekeeper: each does its work", &command)?;
    let plan = Plan { contenders: keepers.clone(), ..plan.clone() };
    if plan.rounds > 0 {
        speed::run(&plan, place)?.print("Gatekeeper: CPU per request", &command)?;
    }
    if requests > 0 {
        let first = keepers.get(..1).unwrap_or_default();
        let table = instructions::run(first, u32::try_from(requests)?, place)?;
        table.print("Gatekeeper: instructions and allocations per request", &command)?;
    }
    if latency_rounds > 0 {
        let plan = gatekeeper::LatencyPlan { keepers, share: 0.6, rounds: latency_rounds, seconds: plan.seconds };
        gatekeeper::latency(&plan, place)?.print("Gatekeeper: latency at 60 % of what the first can do", &command)?;
    }
    Ok(())
}

fn run_scenes(mut plan: scenes::Plan, place: &Place) -> Result<(), Failure> {
    if plan.players.is_empty() {
        let there = |player: &Player| {
            let there = player.program().is_some();
            if !there {
                progress(&format!("{player} is not installed and left out: scripts/setup bench"));
            }
            there
        };
        plan.players = Player::value_variants().iter().copied().filter(there).collect();
    }
    let names: Vec<String> =
        plan.scenes.iter().filter_map(SceneName::to_possible_value).map(|name| name.get_name().to_owned()).collect();
    let knobs: String = plan.knobs.iter().map(|knob| format!(" --knob '{knob}'")).collect();
    let command =
        format!("rig scenes --scenes {} --rounds {} --seconds {}{knobs}", names.join(","), plan.rounds, plan.seconds);
    scenes::run(&plan, place, &command)
}

fn run_reload([reloads, timed]: [u32; 2], routes: usize, place: &Place) -> Result<(), Failure> {
    let (_origin, address) = echo_origin(place)?;
    let command = format!("rig reload --reloads {reloads} --timed {timed} --routes {routes}");
    reload::under_load(reloads, place, address)?.print("Reloads under load", &command)?;
    reload::apply_time(timed, routes, place, address)?.print("How long a reload takes", &command)
}

/// The sample origin, which echoes WebSockets.
fn echo_origin(place: &Place) -> Result<(Process, SocketAddr), Failure> {
    let address = free_address()?;
    let program = find("origin").ok_or("the sample origin is not built")?;
    let words: Vec<OsString> = vec![program.into(), format!("rig={address}").into()];
    let mut process =
        Process::start(&Program { words, core: Some(place.other), log: place.folder.join("Origin.out") })?;
    process.ready(address, "/")?;
    Ok((process, address))
}

fn before(contenders: &[Contender], origin: SocketAddr) -> Vec<Before> {
    contenders.iter().map(|contender| Before { contender: *contender, origin }).collect()
}

fn words(contenders: &[Contender]) -> String {
    let words: Vec<String> = contenders.iter().map(|contender| format!("{contender:?}").to_lowercase()).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/performance.md");

    #[test]
    fn what_is_run_together_is_understood() {
        for words in BARS.iter().chain(&ALL) {
            assert!(parse(words).is_ok(), "{words}: {}", parse(words).unwrap_err());
        }
    }

    #[test]
    fn what_is_not_installed_is_left_out_and_the_rest_is_run() {
        let others = |needed: Needed| match needed {
            Needed::Wrk => false,
            Needed::Contender(contender) => {
                let own = [Contender::Bare, Contender::Plain, Contender::Usual, Contender::Logged, Contender::Full];
                own.contains(&contender)
            }
        };
        // Of the bars what is compared with others is left out, and the gatekeeper is alone.
        let bars = several(&BARS, &others).unwrap();
        assert!(
            matches!(&bars[..], [What::Gatekeeper { keepers, .. }] if keepers[..] == [Who::Portcullis]),
            "{bars:?}"
        );
        let all = several(&ALL, &others).unwrap();
        assert!(!all.iter().any(|command| matches!(command, What::Generator { .. })), "{all:?}");
        let handshakes = all.iter().filter_map(|command| {
            let What::Handshakes { contenders, .. } = command else { return None };
            Some(contenders.as_slice())
        });
        assert_eq!(handshakes.collect::<Vec<_>>(), [[Contender::Usual]], "those to nginx are left out");
        // Without Envoy alone.
        let without_envoy = |needed| needed != Needed::Contender(Contender::Envoy);
        let bars = several(&BARS, &without_envoy).unwrap();
        let keepers = bars.iter().find_map(|command| {
            let What::Gatekeeper { keepers, .. } = command else { return None };
            Some(keepers.as_slice())
        });
        assert_eq!(keepers, Some(&[Who::Portcullis, Who::Haproxy][..]));
        assert_eq!((bars.len(), several(&ALL, &|_| true).unwrap().len()), (BARS.len() - 2, ALL.len()));
    }

    #[test]
    fn bars_say_what_they_are_measured_of() {
        let path = Path::new("target/dist/portcullis");
        assert_eq!(measured(path, true), "Measured: `target/dist/portcullis`, as PORTCULLIS_BIN says.\n");
        assert!(measured(path, false).contains("PORTCULLIS_BIN names no other"));
        // What is shipped is not taken for the release build in the file that keeps both.
        let script = include_str!("../../../scripts/bench");
        let heading = |command: &str| script.lines().any(|line| line.contains("echo '## ") && line.contains(command));
        assert!(heading("/rig\" bars") && heading("/rig\" all"), "{script}");
    }

    /// Every command of the docs is one that is understood.
    #[test]
    fn understands_what_the_docs_say() {
        let pages = [PAGE, include_str!("../../README.md")];
        // What stands between backticks is code.
        let spans = pages.iter().flat_map(|page| page.split('`').skip(1).step_by(2));
        let named = spans.filter_map(|span| Some(span.split_at(span.find("rig ")?)));
        let commands: Vec<&str> = named.filter(|(before, _)| ends_a_path(before)).map(|(_, command)| command).collect();
        assert!(commands.len() >= 25, "{commands:?}");
        // And so is what is indented, up to what is said of it.
        let lines = pages.iter().flat_map(|page| page.lines()).filter(|line| line.starts_with("    "));
        let lines = lines.filter_map(|line| line.split('#').next()).filter(|line| !line.contains('`'));
        let indented: Vec<&str> = lines
            .filter_map(|line| Some(line.split_at(line.find("rig ")?)))
            .filter(|(before, _)| before.ends_with("target/release/"))
            .map(|(_, command)| command.trim())
            .collect();
        assert!(indented.len() >= 12 && indented.contains(&"rig flood"), "{indented:?}");
        for command in commands.into_iter().chain(indented) {
            let parsed = parse(command.strip_prefix("rig ").unwrap());
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }

    /// Whether the name of a program may follow.
    fn ends_a_path(text: &str) -> bool {
        text.is_empty() || text.ends_with([' ', '/', '\n'])
    }

    #[test]
    fn the_table_of_bars_has_the_commands_that_bars_runs() {
        let table = PAGE.split("\n## ").find(|part| part.starts_with("Bars\n")).unwrap();
        for words in BARS {
            assert!(table.contains(&format!("`rig {words}`")), "{words}");
        }
    }
}
