//! Why each criterion has the bound that it has, and what is done when it is missed: `BASELINE.md` says both.

/// Why something is asked, and what is done when it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reason {
    /// Why this, and why so much of it.
    pub(super) why: &'static str,
    /// When one goes back because of it.
    pub(super) rollback: &'static str,
    /// When going back does not do.
    pub(super) hotfix: &'static str,
}

/// Whom it harms, which decides what is done: see "Back, or forward" in docs/production-ready.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Requests fail, bytes are wrong, somebody hangs.
    Served,
    /// Somebody gets more than is theirs, or less.
    Caps,
    /// Requests are late.
    Late,
    /// Something grows until it is out.
    Grows,
    /// It costs more, and nobody feels it yet.
    Dearer,
    /// Nobody can see what happens.
    Blind,
    /// It says something of the tool alone.
    Tool,
}

impl Harm {
    const fn remedy(self) -> [&'static str; 2] {
        match self {
            Self::Served => [
                "once is enough: users lose requests as long as it serves",
                "the build that serves misses it too, so going back loses as many",
            ],
            Self::Caps => [
                "once is enough: what was let in cannot be taken back",
                "the build that serves miscounts too; until the fix, lower the caps by what is let in besides",
            ],
            Self::Late => [
                "missed in two runs on a quiet machine, and kept there by the build that serves",
                "both miss it and an objective burns; until the fix, more replicas",
            ],
            Self::Grows => [
                "within hours, before the bound is passed; take an incident first",
                "both grow: restarts, one replica at a time, buy the time for the fix",
            ],
            Self::Dearer => [
                "at the next quiet hour, or at once where fewer replicas than the peak needs would be left",
                "what is dearer cannot be taken back; until the fix, more replicas",
            ],
            Self::Blind => [
                "at the next quiet hour; at once where alerts rest on it",
                "both are blind: fix it before the next change that would need to be seen",
            ],
            Self::Tool => ["never by itself: the load was not there, so nothing was measured", "never by itself"],
        }
    }
}

/// A reason for the criteria of a scene that contain these words; of any scene where none is named.
type Known = (&'static str, &'static str, &'static str, Harm);

/// The first that fits counts.
const KNOWN: [Known; 73] = [
    ("", "lives and answers to the end", "a crash or a hang takes all connections with it", Harm::Served),
    ("", "something is asked", "of no requests nothing fails", Harm::Tool),
    ("", "nothing fails", "its origin answers each of them, so whoever fails one is the gateway", Harm::Served),
    ("", "no request fails", "to change a config is no reason to lose a request", Harm::Served),
    ("reload", "WebSocket", "what a client misses on a subscription it never gets", Harm::Served),
    ("reload", "in flight", "who was let in is answered by the config that let him in", Harm::Served),
    ("redis", "is spoken to", "a gateway that stays alone shares no caps until somebody restarts it", Harm::Caps),
    ("faults", "the fault shows", "a fault that nobody meets shows nothing of who does", Harm::Tool),
    ("", "the books of", "a request that one of the three does not know of was lost, doubled or made up", Harm::Blind),
    ("", "client and gateway count the same", "alerts count what the gateway counts", Harm::Blind),
    (
        "steady",
        "p99 at most",
        "below 60 % a queue is short; at 80 % it is some dozen turns of a shared core that is taken away for 30 ms at times",
        Harm::Late,
    ),
    ("steady", "some rate is held", "a tenth of a closed loop's rate is far below what any core holds", Harm::Late),
    (
        "",
        "at no rate anything fails",
        "who is asked for too much may be late or refuse, and nothing else: a cut cannot be told from a crash",
        Harm::Served,
    ),
    ("saturation", "/s are held", "the lowest rate of the search, a fortieth of what one core holds", Harm::Late),
    (
        "saturation",
        "below the one that was found",
        "the best of many windows is lucky by some percent; a limit that is lost by a tenth is none",
        Harm::Late,
    ),
    (
        "capacity",
        "of a closed loop's is held",
        "an open loop costs up to half as much again per request, and stalls of the machine take some of the rest",
        Harm::Late,
    ),
    (
        "crowd",
        "ten turns",
        "who waits for all others once is answered after a turn; ten are far beyond any fair order",
        Harm::Late,
    ),
    (
        "crowd",
        "times one among 32",
        "caches and wakeups cost some tenths more; twice is work that grows with the number of connections",
        Harm::Dearer,
    ),
    ("fanout", "clients can subscribe", "it is a tenth of what a listener takes", Harm::Served),
    ("fanout", "once, in order", "clients of a chain cannot see that a notification is missing", Harm::Served),
    (
        "fanout",
        "that do not read: memory",
        "each may keep 512 KiB, and allocators keep some beside it; without the bound they would keep all that is published",
        Harm::Grows,
    ),
    ("fanout", "that do not read are left", "who is not left keeps its buffer for ever", Harm::Grows),
    (
        "fanout",
        "share subscriptions upstream",
        "one for each worker and kind: a subscription for each client is what upstreams charge for",
        Harm::Dearer,
    ),
    ("", "has a record", "abuse is found in records, and what has none cannot be charged", Harm::Blind),
    ("fanout", "comes back as it was", "a tunnel may not look into what it passes on", Harm::Served),
    ("fanout", "heard every message once", "a message that is doubled is done twice", Harm::Served),
    ("bodies", "what arrives is what was sent", "a changed byte may be noticed by nobody for weeks", Harm::Served),
    (
        "bodies",
        "memory grows by at most",
        "a body is streamed: windows and buffers of some connections, never the body itself",
        Harm::Grows,
    ),
    ("slow", "it is calm", "who waits for a slow client sleeps: 4 % of a core is some timers", Harm::Dearer),
    (
        "slow",
        "that do not read",
        "an answer that is not read holds 512 KiB of buffers on its way through, both sides together",
        Harm::Grows,
    ),
    ("slow", "that trickle a head", "a head that is not over in 64 KiB and its time is none", Harm::Grows),
    (
        "slow",
        "trickles a head",
        "they had three times the time of a head; who is not left holds a place for ever",
        Harm::Grows,
    ),
    ("slow", "the origin has heard", "a head that is not over asks for nothing", Harm::Blind),
    (
        "",
        "three times that alone",
        "abuse of one network moves others no further than a busy second does; 30 ms is a turn of a shared core",
        Harm::Late,
    ),
    (
        "headers",
        "nothing that is malformed",
        "what parsers read differently is how requests are smuggled",
        Harm::Served,
    ),
    (
        "headers",
        "no more streams reach",
        "a stream that is reset at once may cost the origin its work, and never two",
        Harm::Served,
    ),
    (
        "headers",
        "memory grows by at most",
        "a head may have 32 KiB; buffers are twice that, and the connection's own state beside it",
        Harm::Grows,
    ),
    ("headers", "has every attack", "who defends against a flood must see which", Harm::Blind),
    ("descriptors", "who was connected", "a lack of descriptors is nobody's fault who needs none", Harm::Served),
    ("descriptors", "given back", "16 are pools and timers; more are lost at each shortage", Harm::Grows),
    (
        "descriptors",
        "does not spin",
        "a quarter of a core is 20 tries a second and the log; a loop that spins takes all of it",
        Harm::Dearer,
    ),
    (
        "descriptors",
        "no endpoint is blamed",
        "an endpoint that is taken out for it makes a shortage an outage",
        Harm::Served,
    ),
    ("descriptors", "told descriptors_exhausted", "who is on call must find the cause, not the symptom", Harm::Blind),
    ("descriptors", "can be taken", "where some are left there is no shortage", Harm::Tool),
    ("descriptors", "served by chance", "a connection that was accepted by a leak shows one", Harm::Grows),
    ("descriptors", "", "a shortage is said, and not so often that the log fills the disk", Harm::Blind),
    ("pool", "none fails", "a queue answers everybody within its time: served, or refused", Harm::Served),
    ("pool", "at once", "the bound is what keeps an upstream alive that can do no more", Harm::Served),
    ("pool", "can do is done", "a queue that leaves a fifth of the upstream idle refuses for nothing", Harm::Dearer),
    ("pool", "longer than the queue allows", "the queue's time, the service's, and 50 ms of a shared core", Harm::Late),
    ("", "is refused", "where nobody is refused the bound is not reached, and nothing was shown of it", Harm::Served),
    ("pool", "every refusal is", "alerts on overload count these", Harm::Blind),
    (
        "reload",
        "counters",
        "a rate over a counter that went back is wrong for as long as the window of the alert",
        Harm::Blind,
    ),
    (
        "",
        "exactly",
        "nothing comes back to it meanwhile, so one more is a race and one less is counted twice",
        Harm::Caps,
    ),
    (
        "storm",
        "memory returns",
        "two configs and the requests between them; what stays of each reload is a leak",
        Harm::Grows,
    ),
    (
        "storm",
        "and is never more",
        "a few generations of 1,000 routes at once, which are 20 MiB each at most",
        Harm::Grows,
    ),
    ("storm", "generation lives", "one that never ends keeps its caps, its pools and its memory", Harm::Grows),
    ("", "last is in force", "who changes a config must be able to rely on it", Harm::Served),
    ("", "reloads", "a config that is not taken over is a change that somebody believes in", Harm::Served),
    (
        "upgrade",
        "upgrades are done",
        "an upgrade that does not end leaves two processes, and who is on call with them",
        Harm::Served,
    ),
    ("faults", "answered", "a silence is retried by clients until it is a storm", Harm::Served),
    (
        "faults",
        "all is well",
        "a second is some health checks and reconnects; longer is a breaker that does not close",
        Harm::Served,
    ),
    (
        "retries",
        "more than clients send",
        "a fifth more is what an upstream in trouble may be asked for; amplification beyond it makes trouble an outage",
        Harm::Served,
    ),
    ("retries", "some are tried again", "where none is tried again the budget was not asked", Harm::Tool),
    ("records", "one line in the log", "a log that lacks lines cannot answer who did what", Harm::Blind),
    (
        "records",
        "more than without the gateway",
        "a record is handed over and not waited for; the median over rounds of a shared machine moves by 1 to 2 %",
        Harm::Late,
    ),
    (
        "keys",
        "no key gets more",
        "the definition of a token bucket, exact to the one that a fraction makes",
        Harm::Caps,
    ),
    (
        "",
        "good caller's p99",
        "callers who keep to their caps are served beside abuse; four turns and a stall of a shared core",
        Harm::Late,
    ),
    (
        "redis",
        "let in",
        "a lease is what each gateway may hand out before it asks again; two gateways, two leases",
        Harm::Caps,
    ),
    (
        "redis",
        "p99.9",
        "below Redis's own timeout of 100 ms: one request that waited for it would be beyond",
        Harm::Late,
    ),
    (
        "",
        "stay behind",
        "pools are empty again by then, and 8 are timers and threads on their way out; one lost of each fifty connections is 40 in the small form",
        Harm::Grows,
    ),
    (
        "",
        "left behind of a thousand",
        "at 1,000 requests a second it is 22 MB a day; what rings and pools hold moves by less",
        Harm::Grows,
    ),
    (
        "",
        "beyond the cap",
        "what a machine sized by docs/production-ready.md has left beside its connections for a day without anybody's eye on it",
        Harm::Grows,
    ),
];

impl Reason {
    /// The reason of a scene's criterion. What is not known of is told by its kind alone.
    pub(super) fn of(scene: &str, criterion: &str, kind: &str) -> Self {
        let fits = |(of, words, ..): &&Known| (of.is_empty() || *of == scene) && criterion.contains(words);
        let (why, harm) = match KNOWN.iter().find(fits) {
            Some((.., why, harm)) => (*why, *harm),
            None => match kind {
                "timing" => ("beyond it users notice", Harm::Late),
                "resource" => ("more is not what docs/production-ready.md sizes a machine for", Harm::Grows),
                _ => ("each is a request, a byte or a promise that somebody relies on", Harm::Served),
            },
        };
        let [rollback, hotfix] = harm.remedy();
        Self { why, rollback, hotfix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SCENES;

    /// What no criterion says any more is not kept.
    #[test]
    fn every_reason_is_one_of_a_criterion_that_is_there() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite");
        let folders = [folder.clone(), folder.join("fanout"), folder.join("headers"), folder.join("redis")];
        let mut sources = String::new();
        for folder in folders {
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.is_file() && path.file_name().unwrap() != "reasons.rs" {
                    sources.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        for (scene, words, why, _) in KNOWN {
            assert!(sources.contains(words), "no criterion has `{words}`");
            assert!(scene.is_empty() || SCENES.iter().any(|one| one.name == scene), "{scene}");
            assert!(!why.is_empty() && !why.ends_with('.'), "{why}");
        }
    }

    #[test]
    fn a_reason_is_the_criterions_own_and_no_sentence_of_the_scene() {
        let of = |scene, criterion| Reason::of(scene, criterion, "count");
        let [one, other] = [
            of("slow", "everybody has a record, slow ones too"),
            of("bodies", "1.0 MiB up: what arrives is what was sent"),
        ];
        assert!(one.why.contains("abuse") && other.why.contains("changed byte"), "{one:?} {other:?}");
        assert_ne!(one.rollback, other.rollback);
        assert!(Reason::of("a", "b", "timing").why.contains("notice"));
        for scene in SCENES {
            assert!(KNOWN.iter().all(|(_, _, why, _)| *why != scene.what));
        }
    }
}
