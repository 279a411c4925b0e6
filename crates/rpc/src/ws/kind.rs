//! The nine subscriptions of a Solana node.

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Changes of an account.
    Account,
    /// Changes of a program's accounts.
    Program,
    /// Logs of transactions.
    Logs,
    /// One transaction's confirmation: notified once, then over.
    Signature,
    /// Slots as they are processed.
    Slot,
    /// What happens to slots, in detail.
    SlotsUpdates,
    /// Blocks.
    Block,
    /// Votes as they are seen in gossip.
    Vote,
    /// Roots.
    Root,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Account,
        Self::Program,
        Self::Logs,
        Self::Signature,
        Self::Slot,
        Self::SlotsUpdates,
        Self::Block,
        Self::Vote,
        Self::Root,
    ];

    /// What the names of its methods begin with.
    const fn stem(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Program => "program",
            Self::Logs => "logs",
            Self::Signature => "signature",
            Self::Slot => "slot",
            Self::SlotsUpdates => "slotsUpdates",
            Self::Block => "block",
            Self::Vote => "vote",
            Self::Root => "root",
        }
    }

    /// The method that begins one.
    #[must_use]
    pub const fn subscribe(self) -> &'static str {
        match self {
            Self::Account => "accountSubscribe",
            Self::Program => "programSubscribe",
            Self::Logs => "logsSubscribe",
            Self::Signature => "signatureSubscribe",
            Self::Slot => "slotSubscribe",
            Self::SlotsUpdates => "slotsUpdatesSubscribe",
            Self::Block => "blockSubscribe",
            Self::Vote => "voteSubscribe",
            Self::Root => "rootSubscribe",
        }
    }

    /// The method that ends one.
    #[must_use]
    pub const fn unsubscribe(self) -> &'static str {
        match self {
            Self::Account => "accountUnsubscribe",
            Self::Program => "programUnsubscribe",
            Self::Logs => "logsUnsubscribe",
            Self::Signature => "signatureUnsubscribe",
            Self::Slot => "slotUnsubscribe",
            Self::SlotsUpdates => "slotsUpdatesUnsubscribe",
            Self::Block => "blockUnsubscribe",
            Self::Vote => "voteUnsubscribe",
            Self::Root => "rootUnsubscribe",
        }
    }

    fn of(method: &str, suffix: &str) -> Option<Self> {
        let stem = method.strip_suffix(suffix)?;
        Self::ALL.into_iter().find(|kind| kind.stem() == stem)
    }

    /// The kind that a method subscribes to.
    #[must_use]
    pub fn of_subscribe(method: &str) -> Option<Self> {
        Self::of(method, "Subscribe")
    }

    /// The kind that a method unsubscribes from.
    #[must_use]
    pub fn of_unsubscribe(method: &str) -> Option<Self> {
        Self::of(method, "Unsubscribe")
    }

    /// The kind that a method notifies of.
    #[must_use]
    pub fn of_notification(method: &str) -> Option<Self> {
        Self::of(method, "Notification")
    }

    /// Whether nothing is lost without a trace when the upstream is another one for a while.
    ///
    /// A signature is asked about again: a node that has the transaction in its status cache (the last 300 roots, two
    /// minutes or so) notifies at once. Slots and roots carry numbers and parents, in which a hole is seen, and the next one
    /// says where the chain stands. Of the others a notification that fell into the hole is lost for good.
    #[must_use]
    pub const fn bears_a_gap(self) -> bool {
        matches!(self, Self::Signature | Self::Slot | Self::SlotsUpdates | Self::Root)
    }

    /// Whether a chain that goes on makes it speak, whatever its parameters are.
    #[must_use]
    pub const fn always_speaks(self) -> bool {
        matches!(self, Self::Slot | Self::SlotsUpdates | Self::Vote | Self::Root)
    }

    /// Whether its first parameter is a text that names what is watched.
    #[must_use]
    pub const fn names_something(self) -> bool {
        matches!(self, Self::Account | Self::Program | Self::Signature)
    }

    /// Whether it has a parameter that may not be left out.
    #[must_use]
    pub const fn needs_params(self) -> bool {
        self.names_something() || matches!(self, Self::Logs | Self::Block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_the_names_of_its_methods() {
        for kind in Kind::ALL {
            assert_eq!(kind.subscribe(), format!("{}Subscribe", kind.stem()));
            assert_eq!(kind.unsubscribe(), format!("{}Unsubscribe", kind.stem()));
            assert_eq!(Kind::of_subscribe(kind.subscribe()), Some(kind));
            assert_eq!(Kind::of_unsubscribe(kind.unsubscribe()), Some(kind));
            assert_eq!(Kind::of_subscribe(kind.unsubscribe()), None);
        }
        for other in ["", "Subscribe", "getSlot", "accountsubscribe", "fooSubscribe", "accountSubscribe "] {
            assert_eq!((Kind::of_subscribe(other), Kind::of_unsubscribe(other)), (None, None), "{other}");
        }
    }
}
