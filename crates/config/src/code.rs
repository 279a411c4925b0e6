//! The stable codes of what this crate finds. Those of reading YAML are in `portcullis_yaml::code`.
//!
//! Every code has an example under `conf/bad`; a test fails when one is missing.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*

        /// Every code of this crate.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

codes! {
    /// `version` is not 1.
    UNSUPPORTED_VERSION = "unsupported_version";
    /// There is no listener.
    NO_LISTENER = "no_listener";
    /// Two listeners, or a listener and the admin listener, have one address.
    ADDRESS_IN_USE = "address_in_use";
    /// A number or a duration outside of its range.
    OUT_OF_RANGE = "out_of_range";
    /// A listener's protocols do not fit its transport.
    PROTOCOL_CONFLICT = "protocol_conflict";
    /// A listener's setting that means nothing beside another.
    SETTING_CONFLICT = "setting_conflict";
    /// A name of a handler that the binary does not have.
    UNKNOWN_HANDLER = "unknown_handler";
    /// A name of a cache that the binary does not have.
    UNKNOWN_CACHE = "unknown_cache";
    /// A certificate that cannot be read.
    CERTIFICATE_INVALID = "certificate_invalid";
    /// A private key that cannot be read.
    KEY_INVALID = "key_invalid";
    /// A private key of another certificate.
    KEY_MISMATCH = "key_mismatch";
    /// A certificate whose time is over (a warning).
    CERTIFICATE_EXPIRED = "certificate_expired";
    /// The admin listener is reachable from elsewhere and has no token.
    ADMIN_OPEN = "admin_open";
    /// A cluster without endpoints.
    NO_ENDPOINT = "no_endpoint";
    /// An endpoint that stands twice in a cluster.
    DUPLICATE_ENDPOINT = "duplicate_endpoint";
    /// An address that is none.
    ADDRESS_INVALID = "address_invalid";
    /// A source of endpoints that the binary does not have.
    UNKNOWN_SOURCE = "unknown_source";
    /// An endpoints' file that cannot be used as it is (a warning; it is followed all the same).
    ENDPOINTS_FILE = "endpoints_file";
    /// A name that has no address, or gave none in time (a warning; it is resolved again and again).
    NAME_UNRESOLVED = "name_unresolved";
    /// Endpoints that do not make a set, for example when their weights are too large.
    ENDPOINTS_INVALID = "endpoints_invalid";
    /// No weight is above 0.
    WEIGHTS_ZERO = "weights_zero";
    /// A failover chain that names a cluster twice, or its own.
    FAILOVER_INVALID = "failover_invalid";
    /// A name of a route that the host does not have.
    UNKNOWN_ROUTE = "unknown_route";
    /// A fallback that does nothing, or two things at once, or goes round, or to a copy that no cache holds.
    FALLBACK_INVALID = "fallback_invalid";
    /// A field that means something else already.
    HEADER_TAKEN = "header_taken";
    /// A name of a cluster that is none.
    UNKNOWN_CLUSTER = "unknown_cluster";
    /// A cluster that no route names (a warning).
    UNUSED_CLUSTER = "unused_cluster";
    /// A name of a host that is none.
    UNKNOWN_HOST = "unknown_host";
    /// A host's name that stands twice.
    DUPLICATE_HOST = "duplicate_host";
    /// A host without routes.
    NO_ROUTE = "no_route";
    /// Two routes of a host have one name.
    DUPLICATE_ROUTE = "duplicate_route";
    /// A route that can never be taken (a warning).
    SHADOWED_ROUTE = "shadowed_route";
    /// A setting that means nothing with the route's action.
    ACTION_SETTING = "action_setting";
    /// A path, template or condition that is none.
    MATCHER_INVALID = "matcher_invalid";
    /// A regular expression that is none.
    REGEX_INVALID = "regex_invalid";
    /// A body matcher, in a binary that does not read bodies.
    BODY_MATCHER_UNAVAILABLE = "body_matcher_unavailable";
    /// A rewrite that is none.
    REWRITE_INVALID = "rewrite_invalid";
    /// A rewrite or redirect uses a parameter that the route's template does not have.
    UNKNOWN_PARAM = "unknown_param";
    /// A redirect that is none.
    REDIRECT_INVALID = "redirect_invalid";
    /// An answer that is none: its status or a field.
    RESPONSE_INVALID = "response_invalid";
    /// A secret for keys that is none.
    KEYS_SECRET = "keys_secret";
    /// A file of consumers that cannot be used.
    CONSUMERS_INVALID = "consumers_invalid";
    /// An issuer of tokens that is none.
    ISSUER_INVALID = "issuer_invalid";
    /// Plans that no filter holds anybody to (a warning).
    PLANS_IDLE = "plans_idle";
    /// A plan that is none (of consumers in a file a warning).
    UNKNOWN_PLAN = "unknown_plan";
    /// Calls whose methods nobody looks for, where plans speak of methods (a warning).
    METHODS_UNREAD = "methods_unread";
    /// A filter that the binary does not have.
    UNKNOWN_FILTER = "unknown_filter";
    /// A filter that could not be made of its settings.
    FILTER_FAILED = "filter_failed";
    /// More filters in a list than a chain takes.
    TOO_MANY_FILTERS = "too_many_filters";
    /// A name that is not a token.
    NAME_INVALID = "name_invalid";
}
