//! What derived code calls. Not meant to be called by hand, so that the derived code stays small and this can change.

use crate::code;
use crate::cx::Cx;
use crate::decode::{Decode, DecodeFields, Form};
use crate::diag::Diagnostic;
use crate::node::{Entry, Node, Value, abbreviated};
use crate::suggest::suggest;

pub use crate::schema::{ObjectSchema, Property, VariantSchema, enum_schema};
pub use serde_json::{Map, Value as Json, json};

const MAP: Form = Form::new("a map", &["{ key: value }"]);

/// How many keys a message lists.
const LISTED: usize = 16;

/// Reads the value of an entry. An error about the value as a whole is shown at the key if it is about a missing
/// key, and with the field's own example if there is one.
pub fn decode_entry<T: Decode>(entry: &Entry, cx: &mut Cx<'_>, example: Option<&str>) -> Option<T> {
    decode_entry_with(entry, cx, example, T::decode)
}

/// As [`decode_entry`], by a function.
pub fn decode_entry_with<T>(
    entry: &Entry,
    cx: &mut Cx<'_>,
    example: Option<&str>,
    decode: impl FnOnce(&Node, &mut Cx<'_>) -> Option<T>,
) -> Option<T> {
    let mark = cx.diagnostics().mark();
    let value = decode(&entry.value, cx);
    if value.is_some() {
        return value;
    }
    for diagnostic in cx.diagnostics().since_mut(mark) {
        if diagnostic.span != entry.value.span {
            continue;
        }
        if diagnostic.code == code::MISSING_KEY {
            diagnostic.span = entry.key.span;
        } else if let Some(example) = example
            && matches!(diagnostic.code, code::WRONG_TYPE | code::INVALID_VALUE)
        {
            diagnostic.help = Some(format!("for example `{}: {example}`", entry.key.text));
        }
    }
    None
}

/// The value of a key that is left out: what the type is without it, or the error that it is missing.
pub fn missing<T: Decode>(node: &Node, cx: &mut Cx<'_>, name: &str, example: Option<&str>) -> Option<T> {
    T::default_missing().or_else(|| missing_key(node, cx, name, example))
}

/// The error that a key is missing.
pub fn missing_key<T>(node: &Node, cx: &mut Cx<'_>, name: &str, example: Option<&str>) -> Option<T> {
    let diagnostic = Diagnostic::error(code::MISSING_KEY, node.span, format!("the key `{name}` is missing"));
    cx.fail(match example {
        Some(example) => diagnostic.help(format!("for example `{name}: {example}`")),
        None => diagnostic.help(format!("add `{name}: …`")),
    })
}

/// An entry with a value: a key with nothing after it counts as left out where leaving it out is allowed.
#[must_use]
pub fn present(entry: Option<&Entry>) -> Option<&Entry> {
    entry.filter(|entry| entry.value.value != Value::Null)
}

/// Adds a field to an encoded map, unless it is nothing. `None` when the field has no written form.
#[must_use]
pub fn encode_field(map: &mut Map<String, Json>, name: &str, value: Option<Json>) -> Option<()> {
    let value = value?;
    if !value.is_null() {
        map.insert(name.to_owned(), value);
    }
    Some(())
}

/// Adds the fields of a flattened value to an encoded map.
#[must_use]
pub fn encode_flat(map: &mut Map<String, Json>, value: Option<Json>) -> Option<()> {
    if let Json::Object(fields) = value? {
        map.extend(fields);
    }
    Some(())
}

/// The encoded form of a variant under its key.
#[must_use]
pub fn encode_keyed(name: &str, value: Option<Json>) -> Option<Json> {
    value.map(|value| json!({ (name): value }))
}

/// A schema with a description, unless that is empty.
#[must_use]
pub fn described(mut schema: Json, description: &str) -> Json {
    if let (Json::Object(fields), false) = (&mut schema, description.is_empty()) {
        fields.insert("description".to_owned(), json!(description));
    }
    schema
}

/// A struct from a map: refuses unknown keys, and an empty map if the type denies it.
pub fn decode_struct<T: DecodeFields>(node: &Node, cx: &mut Cx<'_>, deny_empty: bool) -> Option<T> {
    let Value::Map(entries) = &node.value else { return not_a_map::<T>(node, cx) };
    for entry in entries.iter().filter(|entry| !T::accepts(&entry.key.text)) {
        unknown_key::<T>(entry, cx);
    }
    if deny_empty && entries.is_empty() {
        let diagnostic = Diagnostic::error(code::MISSING_KEY, node.span, "at least one key is needed here");
        return cx.fail(diagnostic.help(listed(&keys::<T>())));
    }
    T::decode_fields(node, cx)
}

/// A struct without fields: `{}` or nothing.
pub fn decode_unit<T>(node: &Node, cx: &mut Cx<'_>, value: T) -> Option<T> {
    match &node.value {
        Value::Null => Some(value),
        Value::Map(entries) => {
            for entry in entries {
                let message = format!("unknown key `{}`", abbreviated(&entry.key.text));
                cx.push(Diagnostic::error(code::UNKNOWN_KEY, entry.key.span, message).help("no keys are taken here"));
            }
            Some(value)
        }
        Value::Scalar(_) | Value::Seq(_) | Value::Invalid => cx.wrong_type(node, &Form::new("an empty map", &["{}"])),
    }
}

fn not_a_map<T: DecodeFields>(node: &Node, cx: &mut Cx<'_>) -> Option<T> {
    if node.value == Value::Invalid {
        return None;
    }
    let message = format!("expected {}, found {}", MAP.what, node.describe());
    let help = match &node.value {
        Value::Null => format!("write `{{}}` to take all defaults; {}", listed(&keys::<T>())),
        Value::Scalar(_) | Value::Seq(_) | Value::Map(_) | Value::Invalid => listed(&keys::<T>()),
    };
    cx.fail(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help))
}

fn unknown_key<T: DecodeFields>(entry: &Entry, cx: &mut Cx<'_>) {
    let keys = keys::<T>();
    let message = format!("unknown key `{}`", abbreviated(&entry.key.text));
    let suggestion = suggest(&entry.key.text, keys.iter().copied());
    let diagnostic = Diagnostic::error(code::UNKNOWN_KEY, entry.key.span, message);
    cx.push(diagnostic.help_suggest(suggestion, || listed(&keys)));
}

fn keys<T: DecodeFields>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    T::keys(&mut keys);
    keys
}

fn listed(keys: &[&str]) -> String {
    if keys.is_empty() {
        return "no keys are taken here".to_owned();
    }
    let shown: Vec<String> = keys.iter().take(LISTED).map(|key| format!("`{key}`")).collect();
    let more = if keys.len() > LISTED { ", …" } else { "" };
    let verb = if keys.len() == 1 { "key is" } else { "keys are" };
    format!("the {verb} {}{more}", shown.join(", "))
}

/// A form of an enum.
#[derive(Debug)]
pub struct Variant {
    /// The word or key; empty for a form without one.
    pub name: &'static str,
    /// How it is written.
    pub kind: Kind,
}

/// How a form of an enum is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word.
    Word,
    /// A map with one key; a word if what is under the key may be empty.
    Keyed,
    /// A value without a word, told by its shape.
    Bare(Shape),
}

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any value but nothing.
    Any,
    /// A scalar.
    Scalar,
    /// A map.
    Map,
    /// A list.
    Seq,
}

/// Which form of an enum was found, and where its value is.
#[derive(Debug)]
pub struct Choice<'n> {
    /// The form, by its place in the list.
    pub index: usize,
    /// Where its value is.
    pub input: Input<'n>,
}

/// Where the value of a form is.
#[derive(Debug, Clone, Copy)]
pub enum Input<'n> {
    /// The whole node: a word, or a form without a word.
    Whole(&'n Node),
    /// Under the key.
    Under(&'n Entry),
    /// Left out: the word stands alone.
    LeftOut(&'n Node),
}

/// Finds the form of an enum that a node is written in, or reports that it is none.
pub fn choose<'n>(node: &'n Node, cx: &mut Cx<'_>, variants: &[Variant]) -> Option<Choice<'n>> {
    let named = |name: &str| {
        let mut all = variants.iter().enumerate();
        all.find(|(_, variant)| variant.name == name && !matches!(variant.kind, Kind::Bare(_)))
    };
    let bare = |shape: Shape| {
        let fits = |variant: &Variant| matches!(variant.kind, Kind::Bare(s) if s == shape || s == Shape::Any);
        let index = variants.iter().position(fits)?;
        Some(Choice { index, input: Input::Whole(node) })
    };
    let found = match &node.value {
        Value::Invalid => return None,
        Value::Null => None,
        Value::Seq(_) => bare(Shape::Seq),
        Value::Scalar(scalar) => match named(scalar.text()) {
            Some((index, Variant { kind: Kind::Keyed, .. })) => Some(Choice { index, input: Input::LeftOut(node) }),
            Some((index, _)) => Some(Choice { index, input: Input::Whole(node) }),
            None => bare(Shape::Scalar),
        },
        Value::Map(entries) => match entries.as_slice() {
            [entry] => match named(&entry.key.text) {
                Some((index, Variant { kind: Kind::Keyed, .. })) => Some(Choice { index, input: Input::Under(entry) }),
                Some((index, variant)) => {
                    word_takes_nothing(entry, cx, variant);
                    Some(Choice { index, input: Input::Whole(node) })
                }
                None => bare(Shape::Map),
            },
            _ => bare(Shape::Map),
        },
    };
    found.or_else(|| no_form(node, cx, variants))
}

/// `word: {}` and `word:` are the word; anything under it is refused.
fn word_takes_nothing(entry: &Entry, cx: &mut Cx<'_>, variant: &Variant) {
    let empty = match &entry.value.value {
        Value::Null | Value::Invalid => true,
        Value::Map(entries) => entries.is_empty(),
        Value::Scalar(_) | Value::Seq(_) => false,
    };
    if !empty {
        let message = format!("`{}` takes no settings", variant.name);
        let help = format!("write `{}` alone", variant.name);
        cx.push(Diagnostic::error(code::WRONG_TYPE, entry.value.span, message).help(help));
    }
}

fn no_form<T>(node: &Node, cx: &mut Cx<'_>, variants: &[Variant]) -> Option<T> {
    let names = || variants.iter().map(|variant| variant.name).filter(|name| !name.is_empty());
    let diagnostic = match &node.value {
        Value::Scalar(scalar) if names().next().is_some() => {
            let message = format!("unknown value `{}`", abbreviated(scalar.shown()));
            let diagnostic = Diagnostic::error(code::UNKNOWN_VALUE, node.span, message);
            diagnostic.help_suggest(suggest(scalar.shown(), names()), || expected(variants))
        }
        Value::Map(entries) => match entries.as_slice() {
            [entry] => {
                let message = format!("unknown key `{}`", abbreviated(&entry.key.text));
                let diagnostic = Diagnostic::error(code::UNKNOWN_KEY, entry.key.span, message);
                diagnostic.help_suggest(suggest(&entry.key.text, names()), || expected(variants))
            }
            [first, second, ..] => {
                let message = "only one key may stand here";
                let diagnostic = Diagnostic::error(code::CONFLICTING_KEYS, second.key.span, message);
                diagnostic.related(first.key.span, "the first is here").help(expected(variants))
            }
            [] => Diagnostic::error(code::MISSING_KEY, node.span, "a key is missing").help(expected(variants)),
        },
        Value::Scalar(_) | Value::Null | Value::Seq(_) | Value::Invalid => {
            let message = format!("expected {}, found {}", expected_shape(variants), node.describe());
            Diagnostic::error(code::WRONG_TYPE, node.span, message).help(expected(variants))
        }
    };
    cx.fail(diagnostic)
}

/// Every form, for the help.
fn expected(variants: &[Variant]) -> String {
    let form = |variant: &Variant| match variant.kind {
        Kind::Word => format!("`{}`", variant.name),
        Kind::Keyed => format!("`{}: …`", variant.name),
        Kind::Bare(Shape::Any) => "a value".to_owned(),
        Kind::Bare(Shape::Scalar) => "a single value".to_owned(),
        Kind::Bare(Shape::Map) => "a map".to_owned(),
        Kind::Bare(Shape::Seq) => "a list".to_owned(),
    };
    let forms: Vec<String> = variants.iter().map(form).collect();
    match forms.as_slice() {
        [one] => format!("write {one}"),
        _ => format!("write one of {}", forms.join(", ")),
    }
}

fn expected_shape(variants: &[Variant]) -> &'static str {
    let has = |kind: Kind| variants.iter().any(|variant| variant.kind == kind);
    let word = has(Kind::Word) || has(Kind::Bare(Shape::Scalar));
    let map = has(Kind::Keyed) || has(Kind::Bare(Shape::Map));
    match (word, map) {
        (true, true) => "a single value or a map",
        (true, false) => "a single value",
        (false, true) => "a map",
        (false, false) => "a value",
    }
}

/// Reads what stands under the key of a form, or the form itself.
pub fn payload<T>(
    choice: Input<'_>,
    cx: &mut Cx<'_>,
    name: &str,
    decode: impl Fn(&Node, &mut Cx<'_>) -> Option<T>,
) -> Option<T> {
    let empty = |cx: &mut Cx<'_>, node: &Node| cx.probe(|cx| decode(&Node::empty_map(node.span), cx));
    match choice {
        Input::Whole(node) => decode(node, cx),
        Input::Under(entry) if entry.value.value == Value::Null => {
            let value = empty(cx, &entry.value);
            value.or_else(|| decode_entry_with(entry, cx, None, &decode))
        }
        Input::Under(entry) => decode_entry_with(entry, cx, None, &decode),
        Input::LeftOut(node) => empty(cx, node).or_else(|| {
            let message = format!("`{name}` needs settings");
            let help = format!("write `{name}: …` with its settings");
            cx.fail(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help))
        }),
    }
}

/// Finds the one form of a flattened enum among the keys of a map.
pub fn choose_key<'n>(node: &'n Node, cx: &mut Cx<'_>, variants: &[Variant]) -> Option<Choice<'n>> {
    let named = |entry: &'n Entry| {
        let index = variants.iter().position(|variant| variant.name == &*entry.key.text)?;
        Some(Choice { index, input: Input::Under(entry) })
    };
    let mut found = node.entries().iter().filter_map(|entry| Some((entry, named(entry)?)));
    let Some((first, choice)) = found.next() else {
        let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
        let message = format!("one of the keys `{}` is needed", names.join("`, `"));
        return cx.fail(Diagnostic::error(code::MISSING_KEY, node.span, message));
    };
    for (second, _) in found {
        let message = format!("`{}` and `{}` cannot stand together", first.key.text, second.key.text);
        let diagnostic = Diagnostic::error(code::CONFLICTING_KEYS, second.key.span, message);
        cx.push(diagnostic.related(first.key.span, "the first is here").help("keep one of them"));
    }
    Some(choice)
}

/// Reports what a conversion into a checked type says.
pub fn convert<R, T>(node: &Node, cx: &mut Cx<'_>, raw: R) -> Option<T>
where
    T: TryFrom<R>,
    T::Error: std::fmt::Display,
{
    match T::try_from(raw) {
        Ok(value) => Some(value),
        Err(error) => cx.fail(Diagnostic::error(code::INVALID_VALUE, node.span, error.to_string())),
    }
}

impl<T: DecodeFields> DecodeFields for Option<T> {
    fn accepts(key: &str) -> bool {
        T::accepts(key)
    }

    fn keys(out: &mut Vec<&'static str>) {
        T::keys(out);
    }

    fn decode_fields(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.entries().iter().any(|entry| T::accepts(&entry.key.text)) {
            T::decode_fields(node, cx).map(Some)
        } else {
            Some(None)
        }
    }

    fn schema_fields(schemas: &mut crate::SchemaGen, object: &mut ObjectSchema) {
        object.optional(|object| T::schema_fields(schemas, object));
    }
}
