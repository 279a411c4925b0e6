//! Who calls: consumers, their keys and tokens, and what is done with those who fail to say who they are.
//!
//! Pure: every function takes the time, nothing here reads a clock, opens a file or a socket, or starts a thread. (One
//! exception is random numbers, which ECDSA signatures need and `aws-lc-rs` fetches by itself.)
//!
//! A request meets the pieces in this order:
//!
//! 1. [`credential`]: what it carries, if anything, from the configured places; and the request without it.
//! 2. [`throttle`]: whether its network is banned by an operator.
//! 3. [`directory`]: the consumer of a key, of a client certificate; [`token`] first for a JWT.
//! 4. [`check`]: whether this consumer may call now, from there, this host, with this method.
//! 5. On failure [`throttle`] again, and one public answer: [`failure`].
//! 6. [`issue`]: a short-lived token that tells the upstream who it was.
//!
//! [`identities`] holds all of it for a running gateway, replaced piece by piece while requests read it.
//!
//! ```
//! use portcullis_identity::check::{Facts, check};
//! use portcullis_identity::credential::{Parts, Places};
//! use portcullis_identity::directory::Limits;
//! use portcullis_identity::{ApiKey, Directory, Format, HashSecret, Timestamp};
//!
//! let (secret, key) = (HashSecret::from_bytes([1; 32]), ApiKey::from_entropy([2; 32]));
//! let hash = secret.hash(key.as_str().as_bytes());
//! let file = format!(r#"{{"id":"acme","plan":"free","keys":[{{"hash":"{hash}"}}],"hosts":["rpc.example.com"]}}"#);
//! let nobody = Directory::new(7);
//! let (directory, _) = nobody.rebuild_from(Format::Ndjson, &mut file.as_bytes(), Limits::default())?;
//!
//! let query = format!("api-key={}&a=1", key.as_str());
//! let parts = Parts { path: "/", query: Some(&query), headers: &http::HeaderMap::new() };
//! let places = Places::default();
//! let found = places.extract(parts)?.ok_or("no credential")?;
//! let caller = directory.lookup(&secret, found.text.as_bytes()).ok_or("nobody's key")?;
//! let facts = Facts {
//!     now: Timestamp::from_seconds(1_800_000_000),
//!     client: [203, 0, 113, 9].into(),
//!     host: "rpc.example.com",
//!     origin: None,
//!     method: "POST",
//! };
//! assert_eq!(check(caller.consumer, caller.not_after, &facts), Ok(()));
//! let stripped = places.strip(parts, Some(found.text.as_bytes()));
//! assert_eq!(stripped.query.as_deref(), Some("a=1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing that is a secret has a `Debug` that shows it, and no error repeats a value that may be one.

mod bounded;
mod caller;
pub mod check;
pub mod consumer;
pub mod credential;
pub mod directory;
pub mod failure;
pub mod identities;
pub mod issue;
pub mod key;
pub mod laws;
pub mod store;
pub mod throttle;
pub mod time;
pub mod token;

pub use caller::Caller;
pub use consumer::{Consumer, ConsumerSpec, Format};
pub use directory::{Directory, Found};
pub use failure::Failure;
pub use identities::Identities;
pub use key::{ApiKey, HashSecret, KeyHash};
pub use time::{Expiry, Timestamp};
