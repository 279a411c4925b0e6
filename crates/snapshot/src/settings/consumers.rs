//! What the config says of who may call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Format, HashSecret, throttle, token};

/// Where consumers come from, and what is done with those who fail to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumers {
    /// The file; `None` when they all come from a store that the binary plugs in.
    pub file: Option<ConsumersFile>,
    /// What their keys are hashed with.
    pub secret: HashSecret,
    /// How failures are throttled.
    pub throttle: throttle::Rules,
}

/// A file of consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumersFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
}

/// Whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The config's word for it.
    pub name: String,
    /// What its tokens are held to.
    pub rules: token::Rules,
    /// Where its keys are.
    pub keys: KeySource,
    /// How many checked tokens are remembered.
    pub remember: usize,
}

/// Where the keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file that was read with the config.
    File(PathBuf, token::KeySet),
    /// At a URL, fetched again and again.
    Url(KeyUrl),
}

/// A URL of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUrl {
    /// `http` or `https`.
    pub url: http::Uri,
    /// How often it is fetched.
    pub refresh: Duration,
    /// The CAs that its server is checked against, PEM; the system's when there are none.
    pub authorities: Option<Arc<str>>,
}
