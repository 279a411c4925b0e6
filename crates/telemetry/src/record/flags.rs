//! What else happened to a request, as a small set of names.

macro_rules! flags {
    ($($(#[$doc:meta])* $variant:ident, $name:literal;)*) => {
        /// Something that happened on the way, beside the outcome.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Flag {
            $($(#[$doc])* $variant,)*
        }

        impl Flag {
            /// Every flag, in the order a log writes them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in a log; stable.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

flags! {
    /// Another attempt was made after one failed.
    Retried, "retried";
    /// A second attempt ran beside the first.
    Hedged, "hedged";
    /// Another cluster than the decided one answered.
    FailedOver, "failed_over";
    /// The fallback of its route took it.
    Fallback, "fallback";
    /// A copy went to another cluster.
    Mirrored, "mirrored";
    /// The connection became a stream (WebSocket, CONNECT).
    Upgraded, "upgraded";
    /// The answer came from a cache.
    Cached, "cached";
    /// The answer had begun and could not be finished.
    Aborted, "aborted";
    /// The gateway was draining when it arrived.
    Draining, "draining";
    /// A fault was injected.
    FaultInjected, "fault_injected";
    /// Pingora answered by itself; the gateway saw only the end.
    Unparsed, "unparsed";
    /// Who sent it is told apart from the others, and perhaps served by a generation on trial.
    OnTrial, "on_trial";
    /// A text or a list of this record was cut at its bound.
    Truncated, "truncated";
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// Adds a flag.
    pub const fn set(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    /// Whether a flag is set.
    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// Whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags that are set, in the order of [`Flag::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.iter().copied().filter(move |flag| self.has(*flag))
    }
}
