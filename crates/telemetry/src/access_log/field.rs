//! The members of a record's JSON object, by name: what a sink may include or leave out.

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)*) => {
        /// A member of a record's JSON object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Field {
            $($(#[$doc])* $variant,)*
        }

        impl Field {
            /// Every member, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in the object; stable.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The member's key with the comma before it and the colon behind it.
            pub(super) const fn key(self) -> Key {
                let text = match self { $(Self::$variant => concat!(",\"", $name, "\":"),)* };
                Key { text, bit: 1 << self as u8 }
            }
        }
    };
}

fields! {
    /// When it arrived.
    Time "time";
    /// `request` or `connection`.
    Kind "kind";
    /// Its id.
    Id "id";
    /// The generation it ran on.
    Generation "generation";
    /// The listener's name.
    Listener "listener";
    /// The client's address.
    Client "client";
    /// The version of TLS.
    Tls "tls";
    /// The name that TLS asked for.
    Sni "sni";
    /// How the client spoke.
    Protocol "protocol";
    /// The method.
    Method "method";
    /// `http` or `https`.
    Scheme "scheme";
    /// The host that was asked for.
    Host "host";
    /// The path.
    Path "path";
    /// The query without secrets.
    Query "query";
    /// User-Agent.
    UserAgent "user_agent";
    /// The virtual host's name.
    VirtualHost "virtual_host";
    /// The route's name.
    Route "route";
    /// The route it went on as.
    FallbackRoute "fallback_route";
    /// Who called.
    Consumer "consumer";
    /// What was decided.
    Action "action";
    /// The cluster that was decided on.
    Cluster "cluster";
    /// The status that was sent.
    Status "status";
    /// The status that the upstream gave.
    UpstreamStatus "upstream_status";
    /// Why it failed.
    Reason "reason";
    /// Whose fault that is.
    Fault "fault";
    /// What is known of this failure.
    Detail "detail";
    /// The filter that answered.
    AnsweredBy "answered_by";
    /// What else happened.
    Flags "flags";
    /// Time in queues.
    QueueMs "queue_ms";
    /// Time to connect.
    ConnectMs "connect_ms";
    /// Time to the first byte.
    FirstByteMs "first_byte_ms";
    /// Time in all.
    TotalMs "total_ms";
    /// Bytes of the request's body.
    BytesIn "bytes_in";
    /// Bytes of the answer's body.
    BytesOut "bytes_out";
    /// Endpoints that were considered.
    Endpoints "endpoints";
    /// How many more.
    EndpointsMore "endpoints_more";
    /// What was tried.
    Attempts "attempts";
    /// How many more.
    AttemptsMore "attempts_more";
    /// Why it was not tried again.
    NotRetried "not_retried";
    /// Why it went to another cluster.
    Failover "failover";
    /// What became of the second attempt beside the first.
    Hedged "hedged";
    /// The trace.
    TraceId "trace_id";
    /// Facts of filters.
    Notes "notes";
    /// Header fields of the request that the sink lists.
    Headers "headers";
}

/// A key with all that stands around it, of a literal that needs no escaping.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) text: &'static str,
    /// The member's place in a [`FieldSet`]; 0 for a member of an inner object, which is always written.
    pub(super) bit: u64,
}

impl Key {
    /// The key of an inner object's member.
    pub(super) const fn inner(text: &'static str) -> Self {
        Self { text, bit: 0 }
    }
}

/// Some of the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldSet(u64);

impl FieldSet {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// Only these.
    #[must_use]
    pub fn only(fields: impl IntoIterator<Item = Field>) -> Self {
        Self(fields.into_iter().fold(0, |set, field| set | field.key().bit))
    }

    /// All but these.
    #[must_use]
    pub fn all_but(fields: impl IntoIterator<Item = Field>) -> Self {
        Self(!Self::only(fields).0)
    }

    /// The same and one more.
    #[must_use]
    pub const fn with(self, field: Field) -> Self {
        Self(self.0 | field.key().bit)
    }

    /// Whether a member is one of them.
    #[must_use]
    pub const fn has(self, field: Field) -> bool {
        self.0 & field.key().bit != 0
    }

    pub(super) const fn shows(self, key: Key) -> bool {
        key.bit == 0 || self.0 & key.bit != 0
    }
}

const _: () = assert!(Field::ALL.len() <= 64, "a set of members is 64 bits");
