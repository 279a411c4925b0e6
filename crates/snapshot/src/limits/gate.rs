//! The places of one limit, and the queue behind them. See the module above.

use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

use portcullis_balance::{Answer, LimitPolicy, Limiter, Offer, Permit, Priority, QueuePolicy, WaitQueue};
use portcullis_telemetry::Bound;

use super::atomics::{AtomicU32, AtomicUsize, Mutex, Ordering, fence};

/// What became of a request that asked for a place.
#[derive(Debug)]
#[must_use = "a place that is dropped is given back"]
pub enum Admission {
    /// It may go on.
    Entered(Place),
    /// It waits.
    Waits(Waiting),
    /// There is no room, not even to wait.
    Refused(Refused),
}

/// Why a request got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No place is free, and nobody may wait.
    Full,
    /// As many wait as may.
    QueueFull,
    /// It waited for as long as it may.
    TimedOut,
    /// It waited, and something more important took its place in the queue.
    Displaced,
}

impl Refused {
    /// The detail in the answer and the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "requests",
            Self::QueueFull => "queue_full",
            Self::TimedOut => "queue_timeout",
            Self::Displaced => "queue_displaced",
        }
    }
}

/// What a waiting request is told.
#[derive(Debug)]
enum Told {
    Enter(Place),
    Displaced,
}

type Waiter = oneshot::Sender<Told>;

struct Queue {
    waiting: WaitQueue<Waiter>,
    policy: QueuePolicy,
    /// Waiters whose futures are gone and that are still listed: they go when they are half of the list.
    gone: usize,
}

impl Queue {
    fn sweep(&mut self) {
        self.waiting.retain(|waiter| !waiter.is_closed());
        self.gone = 0;
    }
}

/// The places of one limit, and who waits for one.
pub struct Gate {
    limiter: ArcSwap<Limiter>,
    queue: Mutex<Queue>,
    /// How many are listed in the queue, for a look without the lock.
    listed: AtomicUsize,
    /// What the endpoints take together, as the last that came saw it.
    most: AtomicU32,
    shown: Arc<Bound>,
    queued: Arc<Bound>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("in_flight", &self.in_flight()).field("limit", &self.limit()).finish()
    }
}

impl Gate {
    /// A gate without a limit so far. What is in flight and who waits is shown in the two bounds.
    #[must_use]
    pub fn new(shown: Arc<Bound>, queued: Arc<Bound>, now: Instant) -> Self {
        let policy = super::NO_QUEUE;
        Self {
            limiter: ArcSwap::new(Limiter::new(LimitPolicy::Fixed(u32::MAX), now)),
            queue: Mutex::new(Queue { waiting: WaitQueue::new(policy), policy, gone: 0 }),
            listed: AtomicUsize::new(0),
            most: AtomicU32::new(u32::MAX),
            shown,
            queued,
        }
    }

    /// Another limit and another queue for those in flight, those that wait and those that come.
    pub fn set_policy(self: &Arc<Self>, policy: LimitPolicy, queue: QueuePolicy, now: Instant) {
        let limiter = self.limiter.load().with_policy(policy, now);
        self.shown.set_limit(u64::from(limiter.limit()));
        self.limiter.store(limiter);
        self.queued.set_limit(queue.capacity as u64);
        {
            let mut held = self.queue.lock();
            held.policy = queue;
            held.waiting.set_policy(queue);
        }
        self.hand_on();
    }

    /// Requests in flight against the limit, as it is exported.
    #[must_use]
    pub const fn shown(&self) -> &Arc<Bound> {
        &self.shown
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.limiter.load().in_flight()
    }

    /// The limit now; an adaptive one moves.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limiter.load().limit()
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.queued.used()
    }

    /// Asks for a place, with this bound beside the limit: what the endpoints take together.
    pub fn admit(self: &Arc<Self>, now: Instant, priority: Priority, most: u32) -> Admission {
        if self.most.load(Ordering::Relaxed) != most {
            self.most.store(most, Ordering::Relaxed);
        }
        if self.listed.load(Ordering::SeqCst) == 0
            && let Some(place) = self.enter(priority)
        {
            return Admission::Entered(place);
        }
        self.admit_slowly(now, priority)
    }

    /// A place where one is free now and nobody waits for it. What is not given is no refusal: nobody is turned away.
    pub fn try_enter(self: &Arc<Self>, priority: Priority) -> Option<Place> {
        (self.listed.load(Ordering::SeqCst) == 0).then(|| self.enter(priority)).flatten()
    }

    /// Under the queue's lock: before those that are less important, behind the others.
    fn admit_slowly(self: &Arc<Self>, now: Instant, priority: Priority) -> Admission {
        let mut queue = self.queue.lock();
        if queue.waiting.most_important().is_none_or(|first| first < priority)
            && let Some(place) = self.enter(priority)
        {
            return Admission::Entered(place);
        }
        if queue.policy.capacity == 0 {
            drop(queue);
            self.shown.refuse();
            return Admission::Refused(Refused::Full);
        }
        // Each waiter has a timer of its own, so those that are taken out here are on their way out.
        while queue.waiting.expire(now).is_some() {}
        if queue.gone > 0 && queue.waiting.len() >= queue.policy.capacity {
            queue.sweep();
        }
        let (waiter, told) = oneshot::channel();
        let offer = queue.waiting.offer(now, priority, waiter);
        self.note_length(&queue);
        let timeout = queue.policy.timeout;
        drop(queue);
        match offer {
            Offer::Full(_) => {
                self.queued.refuse();
                return Admission::Refused(Refused::QueueFull);
            }
            Offer::Waits => {}
            // Its future may be gone.
            Offer::Displaced(other) => drop(other.send(Told::Displaced)),
        }
        self.queued.add(1);
        // A place may have been given back before this one was seen to wait.
        self.hand_on();
        Admission::Waits(Waiting { gate: self.clone(), told: Some(told), timeout })
    }

    fn enter(self: &Arc<Self>, priority: Priority) -> Option<Place> {
        let permit = self.limiter.load().admit_below(priority, self.most.load(Ordering::Relaxed))?;
        self.shown.add(1);
        Some(Place { gate: self.clone(), permit: Some(permit) })
    }

    fn note_length(&self, queue: &Queue) {
        self.listed.store(queue.waiting.len(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Lets in who waits, for as long as there are places.
    fn hand_on(self: &Arc<Self>) {
        loop {
            let mut queue = self.queue.lock();
            let Some(first) = queue.waiting.most_important() else { return };
            let Some(place) = self.enter(first) else { return };
            let next = queue.waiting.next(Instant::now());
            self.note_length(&queue);
            drop(queue);
            let Some(waiter) = next else { return place.leave_quietly() };
            // Who is gone leaves the place to the next.
            if let Err(Told::Enter(place)) = waiter.send(Told::Enter(place)) {
                place.leave_quietly();
            }
        }
    }

    /// A waiting request's future has ended without an answer.
    fn left(&self) {
        let mut queue = self.queue.lock();
        queue.gone += 1;
        if queue.gone * 2 >= queue.waiting.len() {
            queue.sweep();
        }
        self.note_length(&queue);
    }
}

/// A place in flight, given back when it is dropped.
#[derive(Debug)]
#[must_use = "the request counts only while its place is held"]
pub struct Place {
    gate: Arc<Gate>,
    permit: Option<Permit>,
}

impl Place {
    /// Gives it back with what an adaptive limit learns from: how long the answer took, and what it said.
    pub fn finish(mut self, now: Instant, latency: Duration, answer: Answer) {
        if let Some(permit) = self.permit.take() {
            permit.finish(now, latency, answer);
            self.gate.shown.set_limit(u64::from(self.gate.limit()));
            self.given_back();
        }
    }

    /// Whether it is a place of this gate.
    #[must_use]
    pub fn is_of(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.gate, gate)
    }

    /// Gives it back without a look at who waits: the caller looks.
    fn leave_quietly(mut self) {
        drop(self.permit.take());
        self.gate.shown.sub(1);
    }

    fn given_back(&self) {
        self.gate.shown.sub(1);
        // Before it is asked who waits, the place must be seen to be free: whoever begins to wait asks in the other order.
        fence(Ordering::SeqCst);
        if self.gate.listed.load(Ordering::SeqCst) > 0 {
            self.gate.hand_on();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            drop(permit);
            self.given_back();
        }
    }
}

/// A request that waits for a place. Dropped, it leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    gate: Arc<Gate>,
    told: Option<oneshot::Receiver<Told>>,
    timeout: Duration,
}

impl Waiting {
    /// Waits, for no longer than the queue allows and than this.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn wait(&mut self, at_most: Duration) -> Result<Place, Refused> {
        let Some(told) = &mut self.told else { return Err(Refused::TimedOut) };
        let answer = match tokio::time::timeout(self.timeout.min(at_most), &mut *told).await {
            Ok(answer) => answer.ok(),
            Err(_) => {
                told.close();
                told.try_recv().ok()
            }
        };
        let refused = match answer {
            Some(Told::Enter(place)) => {
                self.told = None;
                self.gate.queued.sub(1);
                return Ok(place);
            }
            Some(Told::Displaced) => Refused::Displaced,
            None => Refused::TimedOut,
        };
        self.gate.queued.refuse();
        Err(refused)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(mut told) = self.told.take() else { return };
        told.close();
        self.gate.queued.sub(1);
        // A place that came at the last moment goes on to the next.
        drop(told.try_recv());
        self.gate.left();
    }
}
