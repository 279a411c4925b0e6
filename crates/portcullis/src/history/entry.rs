//! An entry of the history: a generation that was tried, as it lies in a file.
//!
//! A file is a line with lengths and checksums, a line of JSON with what a list shows, and a line of JSON with the rest. So a
//! list reads the beginnings of files alone, and a file that was cut or changed is known for what it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::sources::Sources;

/// What the first line begins with: what it is, and the version of the form.
const MAGIC: &str = "portcullis-history 1";
/// The longest first line.
pub(super) const HEADER: usize = 96;
/// The longest second line: names, notes and summaries are bounded, so a longer one is not ours.
pub(super) const META: usize = 64 * 1024;

/// How a generation fared that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is being put to work; where the process that did it is gone, the process ended at that.
    Trying,
    /// It served.
    Applied,
    /// It has errors.
    Refused,
    /// It could not be put to work.
    Failed,
}

impl Fate {
    const ALL: [Self; 4] = [Self::Trying, Self::Applied, Self::Refused, Self::Failed];

    /// The word in files and answers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "unfinished",
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fate| fate.as_str() == word)
    }
}

/// What somebody or something found of a generation later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether a rollback may go there by itself.
    pub(crate) good: bool,
    /// As a sentence.
    pub(crate) says: String,
}

/// What a list shows of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The generation.
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    pub(crate) who: String,
    /// `start`, `last_good`, `signal`, `watch`, `api` or `rollback`.
    pub(crate) trigger: String,
    pub(crate) note: Option<String>,
    pub(crate) fate: Fate,
    pub(crate) verdict: Option<Verdict>,
    /// The hash of all that was read for it; `None` when it has errors.
    pub(crate) hash: Option<String>,
    /// The fingerprint of its texts.
    pub(crate) texts: String,
    /// One line.
    pub(crate) summary: String,
    /// The generation whose texts it has, when it was rolled back to.
    pub(crate) of: Option<u64>,
}

/// A generation that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) meta: Meta,
    /// What it changed against the one before, a line each.
    pub(crate) diff: String,
    /// What was wrong with it.
    pub(crate) says: String,
    pub(crate) sources: Sources,
}

/// Why a file is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("it is no entry of a history")]
    Foreign,
    #[error("it was cut or changed")]
    Changed,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    meta: (usize, u32),
    body: (usize, u32),
    /// Bytes of the line itself.
    own: usize,
}

impl Header {
    /// Reads the beginning of a file.
    pub(super) fn read(start: &[u8]) -> Result<Self, Broken> {
        let end = start.iter().take(HEADER).position(|byte| *byte == b'\n').ok_or(Broken::Foreign)?;
        let line = start.get(..end).and_then(|line| str::from_utf8(line).ok()).ok_or(Broken::Foreign)?;
        let words: Vec<&str> = line.strip_prefix(MAGIC).ok_or(Broken::Foreign)?.split_whitespace().collect();
        let length = |word: &str| word.parse().map_err(|_| Broken::Changed);
        let sum = |word: &str| u32::from_str_radix(word, 16).map_err(|_| Broken::Changed);
        let [meta, meta_sum, body, body_sum] = words.as_slice() else { return Err(Broken::Changed) };
        let (meta, body) = ((length(meta)?, sum(meta_sum)?), (length(body)?, sum(body_sum)?));
        if meta.0 > META { Err(Broken::Changed) } else { Ok(Self { meta, body, own: end + 1 }) }
    }

    /// How long the whole file is.
    pub(super) const fn whole(&self) -> u64 {
        (self.own as u64).saturating_add(self.meta.0 as u64).saturating_add(self.body.0 as u64).saturating_add(2)
    }

    fn part(bytes: &[u8], from: usize, (length, sum): (usize, u32)) -> Result<&[u8], Broken> {
        let end = from.checked_add(length).ok_or(Broken::Changed)?;
        let part = bytes.get(from..end).ok_or(Broken::Changed)?;
        if crc32fast::hash(part) == sum { Ok(part) } else { Err(Broken::Changed) }
    }

    /// The second line of a file, of which at least so much is there.
    pub(super) fn meta(&self, start: &[u8]) -> Result<Meta, Broken> {
        let part = Self::part(start, self.own, self.meta)?;
        let value = serde_json::from_slice(part).map_err(|_| Broken::Changed)?;
        Meta::from_json(&value).ok_or(Broken::Changed)
    }
}

impl Entry {
    /// As a file has it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let meta = self.meta.to_json().to_string();
        let body = json!({ "diff": self.diff, "says": self.says, "sources": self.sources.to_json() }).to_string();
        let sum = |text: &str| crc32fast::hash(text.as_bytes());
        let header = format!("{MAGIC} {} {:08x} {} {:08x}", meta.len(), sum(&meta), body.len(), sum(&body));
        format!("{header}\n{meta}\n{body}\n").into_bytes()
    }

    /// Out of a file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        let header = Header::read(bytes)?;
        let meta = header.meta(bytes)?;
        let part = Header::part(bytes, header.own + header.meta.0 + 1, header.body)?;
        let body: Value = serde_json::from_slice(part).map_err(|_| Broken::Changed)?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(Broken::Changed);
        let sources = body.get("sources").and_then(Sources::from_json).ok_or(Broken::Changed)?;
        Ok(Self { meta, diff: text("diff")?, says: text("says")?, sources })
    }
}

impl Meta {
    /// Whether a rollback may go there by itself.
    pub(crate) fn is_good(&self) -> bool {
        self.fate == Fate::Applied && self.verdict.as_ref().is_none_or(|verdict| verdict.good)
    }

    /// As files and answers have it; times in milliseconds since 1970.
    pub(crate) fn to_json(&self) -> Value {
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        json!({
            "generation": self.number,
            "at_unix_ms": u64::try_from(since).unwrap_or(u64::MAX),
            "who": self.who,
            "trigger": self.trigger,
            "note": self.note,
            "outcome": self.fate.as_str(),
            "verdict": self.verdict.as_ref().map(|verdict| json!({ "good": verdict.good, "says": verdict.says })),
            "hash": self.hash,
            "texts": self.texts,
            "summary": self.summary,
            "of": self.of,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let some = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let verdict = value.get("verdict").filter(|verdict| !verdict.is_null()).map(|verdict| {
            let says = verdict.get("says")?.as_str()?.to_owned();
            Some(Verdict { good: verdict.get("good")?.as_bool()?, says })
        });
        Some(Self {
            number: value.get("generation")?.as_u64()?,
            at: UNIX_EPOCH.checked_add(Duration::from_millis(value.get("at_unix_ms")?.as_u64()?))?,
            who: some("who")?,
            trigger: some("trigger")?,
            note: some("note"),
            fate: Fate::parse(&some("outcome")?)?,
            verdict: match verdict {
                Some(verdict) => Some(verdict?),
                None => None,
            },
            hash: some("hash"),
            texts: some("texts")?,
            summary: some("summary")?,
            of: value.get("of").and_then(Value::as_u64),
        })
    }
}
