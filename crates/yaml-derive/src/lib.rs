//! Derive macro for portcullis-yaml's Decode.
//!
//! `#[derive(Decode)]` reads a struct from a map and an enum from words and one-key maps, and makes the JSON Schema
//! of both. Doc comments become the descriptions; they are the only place where a key is documented. The attributes
//! are documented at [`macro@Decode`]. Derived code names only `::portcullis_yaml`, so it works in any crate that
//! depends on it.

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, parse_macro_input};

mod attrs;
mod enums;
mod fields;
mod names;
mod structs;

/// Derives `portcullis_yaml::Decode`.
///
/// **Structs** with named fields are maps: unknown keys are refused with a suggestion, each field that is neither an
/// `Option` nor has a default is required. A struct with one unnamed field is what that field is. A struct without
/// fields is `{}` or nothing.
///
/// **Enums**: a variant without fields is its name in snake case. One with a single unnamed field, or with named
/// fields, is a map with that name as its only key, or the name alone if what would stand under it may be empty.
///
/// On fields, `#[config(…)]` takes:
/// - `default`, `default = expression`: the value when the key is left out or empty. A string literal is converted.
/// - `rename = "key"`: another key than the field's name.
/// - `flatten`: the keys of the field's type stand in this map (`DecodeFields`: a derived struct with named fields,
///   an enum in which every variant has fields, or an `Option` of those).
/// - `example = "text"`: a right value, as it would be written; shown in errors and in the schema.
/// - `with = module`: reads by `module::decode(&Node, &mut Cx) -> Option<T>`, described by
///   `module::schema(&mut SchemaGen) -> Json`.
///
/// On variants: `rename = "word"`; `untagged` for one without a word, told from the others by its shape: `scalar`,
/// `map` or `seq` say which, `untagged` alone takes whatever no other variant does.
///
/// On the type:
/// - `validate = path`: called as `path(&T, &Node, &mut Cx)` on a value that was read, to check what it means.
/// - `deny_empty`: an empty map is refused.
/// - `try_from = Type`: reads a `Type` and converts it; the error's text is the message.
/// - `from_str`, with `expected = "a thing"` and `example = "text"`: reads a scalar by `FromStr`.
#[proc_macro_derive(Decode, attributes(config))]
pub fn derive_decode(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let result = match &input.data {
        Data::Struct(data) => structs::expand(&input, data),
        Data::Enum(data) => enums::expand(&input, data),
        Data::Union(_) => Err(syn::Error::new_spanned(&input.ident, "a union cannot be read from a config")),
    };
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}
