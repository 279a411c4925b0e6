//! `history:`.

use portcullis_types::ByteSize;
use portcullis_yaml::{Decode, Spanned};

/// Whether the generations that were tried are kept.
#[derive(Debug, Decode)]
pub(crate) enum HistoryWord {
    /// They are forgotten when the gateway ends, and nothing can be rolled back.
    Off,
    /// They are kept.
    #[config(map)]
    Kept(RawHistory),
}

/// The history of the config: who changed what and when, with the texts, for `history`, `rollback` and `run --last-good`.
#[derive(Debug, Decode)]
pub(crate) struct RawHistory {
    /// The folder, relative to the file that says so; each gateway has one of its own. Read at start only. Default: `history`
    /// in the directory of the `store`, which is `data` where nothing is said.
    pub(crate) path: Option<Spanned<String>>,
    /// How many generations are kept, 10 to 10000; the oldest beyond it are deleted. Default: 200.
    pub(crate) keep: Option<Spanned<u32>>,
    /// How many bytes they may take together, 1MiB to 16GiB. Default: 64MiB.
    pub(crate) bytes: Option<Spanned<ByteSize>>,
}
