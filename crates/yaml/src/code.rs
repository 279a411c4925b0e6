//! The stable codes of this crate's diagnostics. Code that checks what a config means adds its own.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*
    };
}

codes! {
    /// The text is not YAML, or uses a part of YAML that is not taken.
    SYNTAX = "syntax";
    /// A text, tree or expansion is larger than [`crate::Limits`] allows.
    TOO_LARGE = "too_large";
    /// A key stands twice in a map, or a name in two files.
    DUPLICATE_KEY = "duplicate_key";
    /// A key that the map does not take.
    UNKNOWN_KEY = "unknown_key";
    /// A key that the map needs.
    MISSING_KEY = "missing_key";
    /// Keys of which only one may stand.
    CONFLICTING_KEYS = "conflicting_keys";
    /// A list where a map is needed, a word where a number is needed.
    WRONG_TYPE = "wrong_type";
    /// The right kind of value, but not one that can be read: `5 parsecs`.
    INVALID_VALUE = "invalid_value";
    /// A word that is none of those that may stand here.
    UNKNOWN_VALUE = "unknown_value";
    /// `${NAME}` without a value and without a default.
    UNSET_VARIABLE = "unset_variable";
    /// `${` that is not followed by a name and `}`.
    BAD_EXPANSION = "bad_expansion";
    /// A file that cannot be read.
    FILE_UNREADABLE = "file_unreadable";
    /// A file that includes itself, is included twice, or too deep.
    INCLUDE = "include";
    /// A pattern under `include` that matches no file (a warning).
    INCLUDE_EMPTY = "include_empty";
    /// The same key stands in two files and cannot be merged.
    MERGE_CONFLICT = "merge_conflict";
}
