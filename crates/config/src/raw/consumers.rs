//! `consumers:` and `tokens:`.

use portcullis_yaml::{Decode, OneOrMany, Secret, Spanned};
use std::time::Duration;

/// Who may call, and what is done with those who fail to be one.
#[derive(Debug, Decode)]
pub(crate) struct RawConsumers {
    /// The file of consumers, relative to the file that says so: `.yaml` or `.yml` for a YAML list, `.ndjson` or `.jsonl`
    /// for a JSON object a line. It is read again whenever it changes, without a new generation; one with an error leaves
    /// the consumers as they are. Left out, they all come from a store that the binary plugs in.
    #[config(example = "consumers.yaml")]
    pub(crate) file: Option<Spanned<String>>,
    /// What keys are hashed with: 64 hex digits, as `portcullis key secret` makes them. The same on every gateway that
    /// shares the file; with another one, no key of it is known.
    #[config(example = "file:keys.secret")]
    pub(crate) secret: Spanned<Secret>,
    /// How failures to say who calls are throttled, by network.
    pub(crate) throttle: Option<RawThrottle>,
}

/// How failures are throttled: who fails too often is answered at once, for longer each time. Good keys pass.
#[derive(Debug, Decode)]
pub(crate) struct RawThrottle {
    /// The time that failures are counted over. Default: 1m.
    pub(crate) window: Option<Spanned<Duration>>,
    /// Failures within it that are let be, 1 to 1000000. Default: 20.
    pub(crate) failures: Option<Spanned<u32>>,
    /// The first penalty; each one after it is twice as long. Default: 1s.
    pub(crate) first: Option<Spanned<Duration>>,
    /// The longest penalty before a ban. Default: 64s.
    pub(crate) longest: Option<Spanned<Duration>>,
    /// How long a network bans itself. Default: 15m.
    pub(crate) ban: Option<Spanned<Duration>>,
    /// Networks that are counted exactly, 512 to 1000000; each takes about 100 bytes. Default: 16384.
    pub(crate) tracked: Option<Spanned<u32>>,
    /// Bits of an IPv4 address that are one network, 8 to 32. Default: 24.
    pub(crate) v4_prefix: Option<Spanned<u32>>,
    /// Bits of an IPv6 address that are one network, 16 to 128. Default: 48.
    pub(crate) v6_prefix: Option<Spanned<u32>>,
}

/// An issuer whose JSON Web Tokens are taken.
#[derive(Debug, Decode)]
pub(crate) struct RawIssuer {
    /// Its name, as its tokens have it in `iss`.
    #[config(example = "https://login.example.com")]
    pub(crate) issuer: Spanned<String>,
    /// The names that tokens for this gateway have in `aud`: one of them must be there.
    #[config(example = "rpc")]
    pub(crate) audiences: Spanned<OneOrMany<String>>,
    /// Where its public keys are.
    pub(crate) keys: Spanned<RawKeys>,
    /// How far clocks may differ, at most 5m. Default: 30s.
    pub(crate) clock_skew: Option<Spanned<Duration>>,
    /// The longest that a token may still be good; one that is good for longer is refused. Default: 1d.
    pub(crate) longest: Option<Spanned<Duration>>,
    /// Checked tokens that are remembered, so that a signature is checked once, 0 to 1000000. Default: 16384.
    pub(crate) remember: Option<Spanned<u32>>,
}

/// Where the public keys of an issuer are: a JSON Web Key Set, in a file or at a URL.
#[derive(Debug, Decode)]
pub(crate) struct RawKeys {
    /// The file, relative to the file that says so. It is read again whenever it changes.
    #[config(example = "jwks.json")]
    pub(crate) file: Option<Spanned<String>>,
    /// The URL, `https` or `http`. Its last good answer is kept while it does not answer.
    #[config(example = "https://login.example.com/.well-known/jwks.json")]
    pub(crate) url: Option<Spanned<String>>,
    /// How often the URL is fetched, 5s or more; a token that names a key which is not there has it fetched sooner, at
    /// most every 5s. Default: 10m.
    pub(crate) refresh: Option<Spanned<Duration>>,
    /// The CAs that the URL's server is checked against, a PEM file. Default: the system's.
    pub(crate) ca: Option<Spanned<String>>,
}
