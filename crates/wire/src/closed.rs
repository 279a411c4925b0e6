//! The shape all error enums of this crate share, so that no rule is left without a name and a sentence.

/// Defines a closed error enum: `Variant, "stable_name", "sentence";` per rule.
macro_rules! closed_error {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident, $stable:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
        }

        impl $name {
            /// Every rule, in the order it is documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable snake_case name, for logs and metric labels.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $stable,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl std::error::Error for $name {}
    };
}
