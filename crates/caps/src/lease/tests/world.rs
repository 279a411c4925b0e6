//! A world of gateways, a store, and a network between them that delays, loses and is cut, millisecond by millisecond.
//!
//! Every machine has its own clock. What was admitted is written down by true time, for the oracle.

use std::collections::BinaryHeap;

use super::*;

/// What happens.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) seed: u64,
    pub(super) budget: Budget,
    pub(super) terms: Terms,
    pub(super) outage: Outage,
    /// Requests per second that come to each gateway.
    pub(super) load: Vec<f64>,
    /// When each gateway's load moves on to the next.
    pub(super) moves: Vec<u64>,
    pub(super) millis: u64,
    /// The longest way of a word, in milliseconds.
    pub(super) delay: u64,
    /// Of a thousand words, so many are lost.
    pub(super) lost: u64,
    /// When each gateway cannot reach the store: gateway, from, until.
    pub(super) cut: Vec<(usize, u64, u64)>,
    /// When the store loses its memory.
    pub(super) forgets: Vec<u64>,
}

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The true times of requests that came, in nanoseconds.
    pub(super) came: Vec<u64>,
    /// And of those admitted.
    pub(super) admitted: Vec<u64>,
    /// What the store knows at the end to be spent, of a quota.
    pub(super) reported: u64,
    /// Admitted while a gateway decided by its own share.
    pub(super) locally: u64,
}

struct Gateway {
    share: Share,
    /// What the ledger's own slot keeps: this gateway alone stays within the cap.
    local: FullAt,
    spent: u64,
    clock: u64,
    /// How fast its clock runs, in millionths.
    pace: u64,
    up_until: u64,
    gateways: u32,
    tick: u64,
    load: f64,
    owed: f64,
}

impl Gateway {
    /// What its clock says.
    fn now(&self, millis: u64) -> u64 {
        self.clock + millis * self.pace
    }
}

/// What is on its way, by when it arrives and in which order it was sent; the earliest is the greatest.
type Flights = BinaryHeap<(std::cmp::Reverse<(u64, u64)>, usize)>;

enum Word {
    There(usize, u64, Option<Ask>),
    Back(usize, u64, u32, Option<Grant>),
}

struct World {
    scene: Scene,
    gateways: Vec<Gateway>,
    pool: Pool,
    members: Members,
    pool_clock: u64,
    flights: Flights,
    words: Vec<Word>,
    random: u64,
    story: Story,
}

/// Milliseconds between two looks of a gateway.
const TICK: u64 = 50;

pub(super) fn play(scene: Scene) -> Story {
    let mut world = World::new(scene);
    for millis in 0..world.scene.millis {
        world.step(millis);
    }
    world.story.reported = world.pool.spent();
    world.story
}

impl World {
    fn new(scene: Scene) -> Self {
        let mut random = scene.seed;
        let gateway = |load: &f64| {
            let clock = draw(&mut random) % 1_000_000 * MILLI;
            Gateway {
                share: Share::new(at(clock), &scene.terms, 0),
                local: FullAt::default(),
                spent: 0,
                clock,
                pace: 999_800 + draw(&mut random) % 400,
                // As if they had run for a while.
                up_until: clock + 1_000 * MILLI,
                gateways: u32::try_from(scene.load.len()).unwrap(),
                tick: draw(&mut random) % TICK,
                load: *load,
                owed: 0.0,
            }
        };
        let gateways: Vec<Gateway> = scene.load.iter().map(gateway).collect();
        let pool_clock = draw(&mut random) % 1_000_000 * MILLI;
        let mut members = Members::default();
        (0..gateways.len() as u64).for_each(|id| members.hear(pool_clock, GatewayId(id)));
        let (pool, story) = (Pool::default(), Story::default());
        Self { scene, gateways, pool, members, pool_clock, flights: Flights::new(), words: Vec::new(), random, story }
    }

    fn step(&mut self, millis: u64) {
        if self.scene.forgets.contains(&millis) {
            // The gateways come back within a second; who is there is known from the config.
            self.pool = Pool::default();
        }
        if self.scene.moves.contains(&millis) {
            let last = self.gateways.last().map_or(0.0, |gateway| gateway.load);
            self.gateways.iter_mut().fold(last, |load, gateway| std::mem::replace(&mut gateway.load, load));
        }
        while let Some((std::cmp::Reverse((at, _)), word)) = self.flights.peek().copied() {
            if at > millis {
                break;
            }
            self.flights.pop();
            self.arrive(millis, word);
        }
        for at in 0..self.gateways.len() {
            self.requests(millis, at);
            if (millis + self.gateways[at].tick).is_multiple_of(TICK) {
                let gateway = &mut self.gateways[at];
                let now = gateway.now(millis);
                let ask = gateway.share.ask(now, GatewayId(at as u64), &self.scene.terms);
                self.send(millis, at, Word::There(at, now, ask));
            }
        }
    }

    fn requests(&mut self, millis: u64, at: usize) {
        let gateway = &mut self.gateways[at];
        gateway.owed += gateway.load / 1_000.0 * 2.0 * fraction(draw(&mut self.random));
        while gateway.owed >= 1.0 {
            gateway.owed -= 1.0;
            self.story.came.push(millis * MILLI);
            let now = gateway.now(millis);
            let link = Link { up_until: gateway.up_until, gateways: gateway.gateways, outage: self.scene.outage };
            let budget = &self.scene.budget;
            let alone = match budget {
                Budget::Rate(bucket) => bucket.check(gateway.local, now, 1).ok(),
                Budget::Quota(limit) => (gateway.spent < *limit).then_some(gateway.local),
            };
            let Some(local) = alone.filter(|_| gateway.share.check(now, 1, budget, &link).is_ok()) else { continue };
            self.story.locally += u64::from(gateway.share.mode(now, &link) == Mode::LocalShare);
            gateway.share.spend(now, 1, budget, &link);
            (gateway.local, gateway.spent) = (local, gateway.spent + 1);
            self.story.admitted.push(millis * MILLI);
        }
    }

    /// Puts a word on its way, unless the way is cut or it is lost.
    fn send(&mut self, millis: u64, at: usize, word: Word) {
        let cut = self.scene.cut.iter().any(|(who, from, until)| *who == at && (*from..*until).contains(&millis));
        if cut || draw(&mut self.random) % 1_000 < self.scene.lost {
            return;
        }
        let arrives = millis + 1 + draw(&mut self.random) % self.scene.delay;
        self.words.push(word);
        let nth = self.words.len() - 1;
        self.flights.push((std::cmp::Reverse((arrives, nth as u64)), nth));
    }

    fn arrive(&mut self, millis: u64, nth: usize) {
        match self.words[nth] {
            Word::There(at, sent, ask) => {
                let now = self.pool_clock + millis * MILLI;
                self.members.hear(now, GatewayId(at as u64));
                let present = self.members.present(now, self.scene.terms.ttl, Duration::from_secs(3_600));
                let stake = Stake { budget: self.scene.budget, terms: self.scene.terms, present };
                let answer = ask.and_then(|ask| self.pool.ask(now, &ask, &stake));
                self.send(millis, at, Word::Back(at, sent, present.known, answer));
            }
            Word::Back(at, sent, known, grant) => {
                let ttl = u64::try_from(self.scene.terms.ttl.as_nanos()).unwrap();
                let gateway = &mut self.gateways[at];
                gateway.up_until = gateway.up_until.max(sent + ttl);
                gateway.gateways = known;
                grant.iter().for_each(|grant| gateway.share.granted(grant, &self.scene.terms));
            }
        }
    }
}

/// SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[expect(clippy::cast_precision_loss, reason = "a random fraction needs no more than 52 bits")]
fn fraction(random: u64) -> f64 {
    (random >> 12) as f64 / (1_u64 << 52) as f64
}
