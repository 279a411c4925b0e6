//! What is known of the methods of a Solana node: the 52 that it answers over HTTP.
//!
//! One table, sorted by name, with all that the gateway decides by method: whether a call may be sent twice, which
//! answers may be shared or kept, what its params look like, where commitment `processed` is refused. Subscriptions are not
//! here: a node answers them over WebSocket alone.

mod params;
mod table;
#[cfg(test)]
mod tests;

pub use params::{Config, Leading, MAX_LEADING, Params};
pub use table::METHODS;

/// A method of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What calling it does.
    pub effect: Effect,
    /// What may be kept of its answers.
    pub keep: Keep,
    /// Its params, by place.
    pub params: &'static [Param],
    /// Whether the node refuses commitment `processed`.
    pub no_processed: bool,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads: it may be sent twice, and identical ones in flight may share an answer.
    Read,
    /// It computes on what the caller sent: it may be sent twice, and is shared with nobody.
    Simulate,
    /// It writes: it is never sent twice by the gateway.
    Send,
}

/// For how long an answer may be kept, if it is a result other than null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Not at all.
    Never,
    /// For ever: it cannot change.
    Forever,
    /// For ever where the call asks for commitment `finalized`, for about two slots where it asks for `confirmed`.
    Settled,
    /// The same, where the call names the epoch; without one it speaks of the last, which changes.
    Epoch,
    /// A short time: it changes with the epoch, or with the node's release.
    Short,
    /// One slot, and only in a cache that is asked for it.
    Slot,
}

/// What stands at a place of the params.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// What may stand there.
    pub shape: Shape,
    /// Whether it may be left out, or be null.
    pub optional: bool,
}

/// A kind of parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A string: an address, a signature, a hash, a transaction.
    Text,
    /// A whole number that is not negative.
    Number,
    /// A list.
    List,
    /// A config object.
    Config,
    /// A config object, or the encoding in its place.
    ConfigOrText,
    /// A number, or a config object in its place.
    NumberOrConfig,
}

impl Shape {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a whole number",
            Self::List => "a list",
            Self::Config => "a config object",
            Self::ConfigOrText => "a config object or an encoding",
            Self::NumberOrConfig => "a whole number or a config object",
        }
    }
}

/// The method of a name, exactly as it is written.
#[must_use]
pub fn method(name: &str) -> Option<&'static Method> {
    let place = METHODS.binary_search_by(|method| method.name.cmp(name)).ok()?;
    METHODS.get(place)
}

/// Why params are none of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadParams {
    /// They are given by name.
    #[error("params are given by place, as an array")]
    ByName,
    /// Too few.
    #[error("param {at} is missing: expected {words}", at = .place + 1, words = .shape.words())]
    Missing {
        /// The place of the first that is missing.
        place: usize,
        /// What should be there.
        shape: Shape,
    },
    /// Too many.
    #[error("{given} params; {most} at most")]
    TooMany {
        /// How many there are.
        given: usize,
        /// How many may be.
        most: usize,
    },
    /// One of another kind.
    #[error("param {at}: expected {words}", at = .place + 1, words = .shape.words())]
    Shape {
        /// Its place.
        place: usize,
        /// What should be there.
        shape: Shape,
    },
    /// Commitment `processed`, where the node has no answer at it.
    #[error("Method does not support commitment below `confirmed`")]
    Processed,
}

impl Method {
    /// A light check of the params: how many, of what kinds, and the commitment. What they say is the node's to judge.
    ///
    /// # Errors
    /// The node would refuse them.
    pub fn check(&self, params: &Params<'_>) -> Result<(), BadParams> {
        if params.by_name() {
            return Err(BadParams::ByName);
        }
        if params.count() > self.params.len() {
            return Err(BadParams::TooMany { given: params.count(), most: self.params.len() });
        }
        for (place, param) in self.params.iter().enumerate() {
            let shape = param.shape;
            match params.leading(place) {
                None | Some(Leading::Null) if param.optional => {}
                None => return Err(BadParams::Missing { place, shape }),
                Some(given) if !given.is(shape) => return Err(BadParams::Shape { place, shape }),
                Some(_) => {}
            }
        }
        let processed = params.config().is_some_and(|config| config.commitment == Some("processed"));
        if self.no_processed && processed { Err(BadParams::Processed) } else { Ok(()) }
    }
}
