//! Consumers of another store than the file: asked on a miss, within bounds, and remembered for a while.
//!
//! The store is asked only for what the file does not have. What it answered is kept in a table that never grows,
//! misses as well as hits, so that a key that is tried over and over costs one question a while; so many questions may
//! be open at once, and a network that fails too often asks none. What a store says of a consumer is parsed as a line
//! of the file is, and refused when it is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::bounded::Bounded;
use crate::consumer::{Consumer, ConsumerSpec, FieldError, Plans};
use crate::key::{HashSecret, KeyHash};
use crate::time::Timestamp;

/// What a consumer is looked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought<'a> {
    /// The hash of a key; its text is `b3:` and 64 hex digits.
    Key(&'a KeyHash),
    /// The issuer and the subject of a token that was found good.
    Token {
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// The subject of a client certificate that was found good, RFC 4514 text.
    Certificate(&'a str),
}

/// A store that cannot answer: the request is refused as the gateway's failure, not as the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of consumers cannot answer: {0}")]
pub struct StoreError(pub String);

/// Consumers that are not in the file. A team's binary plugs one in.
#[async_trait]
pub trait ConsumerStore: Send + Sync + 'static {
    /// The consumer that has what is sought, with all its keys; `None` when nobody has it.
    ///
    /// # Errors
    /// The store cannot answer.
    async fn find(&self, sought: Sought<'_>) -> Result<Option<ConsumerSpec>, StoreError>;

    /// Its bounds.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }
}

/// Bounds of asking a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long a consumer is remembered, and with it a key that was revoked since.
    pub found: Duration,
    /// How long it is remembered that nobody has something.
    pub missed: Duration,
    /// Answers that are remembered.
    pub entries: usize,
    /// Questions that may be open at once.
    pub open: usize,
    /// How long one may take.
    pub timeout: Duration,
}

impl Default for Bounds {
    /// 2 s, 5 s, 65,536 answers, 64 questions of at most 1 s.
    fn default() -> Self {
        let (found, missed, timeout) = (Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(1));
        Self { found, missed, entries: 65_536, open: 64, timeout }
    }
}

/// What was remembered of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// This consumer has it.
    Found(Arc<Consumer>),
    /// Nobody has it.
    Nobody,
}

/// A store with what it answered.
pub struct Remote {
    store: Arc<dyn ConsumerStore>,
    bounds: Bounds,
    answers: Bounded<Answer>,
    secret: HashSecret,
    plans: Mutex<Plans>,
    open: AtomicUsize,
}

struct Answer {
    question: KeyHash,
    until: Timestamp,
    found: Option<Arc<Consumer>>,
}

/// A question that may be asked; dropping it makes room for another.
pub struct Question<'a>(&'a Remote);

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Remote {
    /// `secret` is random, once a process: it decides where answers lie in memory.
    #[must_use]
    pub fn new(store: Arc<dyn ConsumerStore>, secret: [u8; 32]) -> Self {
        let bounds = store.bounds();
        Self {
            store,
            bounds,
            answers: Bounded::new(bounds.entries),
            secret: HashSecret::from_bytes(secret),
            plans: Mutex::default(),
            open: AtomicUsize::new(0),
        }
    }

    /// Its bounds.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn ConsumerStore {
        &*self.store
    }

    /// Questions that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// What was answered to this not long ago.
    #[must_use]
    pub fn remembered(&self, sought: Sought<'_>, now: Timestamp) -> Option<Remembered> {
        let question = self.question(sought);
        let [place, _] = question.half();
        self.answers.with(place, |set| {
            let found = set.iter().flatten().find(|answer| answer.question == question && now < answer.until)?;
            Some(found.found.as_ref().map_or(Remembered::Nobody, |found| Remembered::Found(Arc::clone(found))))
        })
    }

    /// Leave to ask; `None` while as many questions are open as may be.
    #[must_use]
    pub fn ask(&self) -> Option<Question<'_>> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let question = Question(self);
        (before < self.bounds.open).then_some(question)
    }

    /// Takes an answer and remembers it.
    ///
    /// # Errors
    /// What is wrong with the consumer; nothing is remembered then.
    pub fn answered(
        &self,
        sought: Sought<'_>,
        answer: Option<ConsumerSpec>,
        now: Timestamp,
    ) -> Result<Option<Arc<Consumer>>, FieldError> {
        if answer.as_ref().is_some_and(|spec| spec.caps.is_some()) {
            let problem = "only the file of consumers can say it: caps are known before a request comes".to_owned();
            return Err(FieldError { key: "caps".to_owned(), problem });
        }
        let found = answer.map(|spec| Consumer::build(spec, &mut self.plans.lock())).transpose()?.map(Arc::new);
        let question = self.question(sought);
        let [place, _] = question.half();
        let until = now.plus(if found.is_some() { self.bounds.found } else { self.bounds.missed });
        let answer = Answer { question, until, found: found.clone() };
        self.answers.with(place, |set| {
            let rank = |place: &&mut Option<Answer>| match place {
                Some(held) if held.question == question => (0, now),
                None => (1, now),
                Some(held) => (2, held.until),
            };
            if let Some(least) = set.iter_mut().min_by_key(rank) {
                *least = Some(answer);
            }
        });
        Ok(found)
    }

    /// Forgets everything of a consumer and every miss, for a store that knows what changed.
    pub fn forget(&self, id: &str) {
        self.answers.for_each(|place| {
            let goes = |answer: &Answer| answer.found.as_ref().is_none_or(|consumer| consumer.id() == id);
            if place.as_ref().is_some_and(goes) {
                *place = None;
            }
        });
    }

    fn question(&self, sought: Sought<'_>) -> KeyHash {
        match sought {
            Sought::Key(hash) => *hash,
            Sought::Token { issuer, subject } => {
                // A length before the parts, so that no two pairs are one text.
                let text = format!("token {} {issuer} {subject}", issuer.len());
                self.secret.hash(text.as_bytes())
            }
            Sought::Certificate(subject) => self.secret.hash(format!("certificate {subject}").as_bytes()),
        }
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("bounds", &self.bounds).field("open", &self.open()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    #[async_trait]
    impl ConsumerStore for Nobody {
        async fn find(&self, _: Sought<'_>) -> Result<Option<ConsumerSpec>, StoreError> {
            Ok(None)
        }

        fn bounds(&self) -> Bounds {
            Bounds { open: 2, ..Bounds::default() }
        }
    }

    fn spec() -> ConsumerSpec {
        ConsumerSpec { id: "acme".to_owned(), plan: "free".to_owned(), ..ConsumerSpec::default() }
    }

    #[test]
    fn answers_are_remembered_for_their_time_and_forgotten_when_told() {
        let remote = Remote::new(Arc::new(Nobody), [1; 32]);
        let now = Timestamp::from_seconds(100);
        let (one, other) = (Sought::Certificate("CN=a"), Sought::Token { issuer: "i", subject: "s" });
        assert_eq!(remote.remembered(one, now), None);
        let found = remote.answered(one, Some(spec()), now).expect("a good consumer").expect("found");
        assert_eq!(remote.answered(other, None, now), Ok(None));
        assert_eq!(remote.remembered(one, now.plus(Duration::from_millis(1999))), Some(Remembered::Found(found)));
        assert_eq!(remote.remembered(one, now.plus(Duration::from_secs(2))), None);
        assert_eq!(remote.remembered(other, now.plus(Duration::from_millis(4999))), Some(Remembered::Nobody));
        assert_eq!(remote.remembered(other, now.plus(Duration::from_secs(5))), None);
        remote.forget("acme");
        assert_eq!((remote.remembered(one, now), remote.remembered(other, now)), (None, None));
    }

    #[test]
    fn a_wrong_consumer_is_refused_and_not_remembered() {
        let remote = Remote::new(Arc::new(Nobody), [1; 32]);
        let now = Timestamp::from_seconds(100);
        let wrong = ConsumerSpec { networks: vec!["nowhere".to_owned()], ..spec() };
        assert!(remote.answered(Sought::Certificate("CN=a"), Some(wrong), now).is_err());
        assert_eq!(remote.remembered(Sought::Certificate("CN=a"), now), None);
    }

    #[test]
    fn so_many_questions_are_open_at_once_and_no_more() {
        let remote = Remote::new(Arc::new(Nobody), [1; 32]);
        let (first, second) = (remote.ask(), remote.ask());
        assert!(first.is_some() && second.is_some() && remote.ask().is_none());
        drop(first);
        assert!(remote.ask().is_some() && remote.open() == 1);
    }
}
