//! The params of a call as they are given: the kinds of the first few, and what the config object says.

use crate::json::{Cursor, JsonError, JsonFault, Key, Kind, MAX_DEPTH, Span};

/// How many params are told apart; no method has more.
pub const MAX_LEADING: usize = 4;

/// One param.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leading {
    /// `null`.
    Null,
    /// A whole number that is not negative.
    Whole,
    /// A string.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
    /// Anything else.
    Other,
}

impl Leading {
    /// Whether it is of this shape.
    pub(super) const fn is(self, shape: super::Shape) -> bool {
        use super::Shape;
        match shape {
            Shape::Text => matches!(self, Self::Text),
            Shape::Number => matches!(self, Self::Whole),
            Shape::List => matches!(self, Self::List),
            Shape::Config => matches!(self, Self::Object),
            Shape::ConfigOrText => matches!(self, Self::Object | Self::Text),
            Shape::NumberOrConfig => matches!(self, Self::Whole | Self::Object),
        }
    }
}

/// What the gateway reads of a config object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config<'a> {
    /// `commitment`.
    pub commitment: Option<&'a str>,
    /// `minContextSlot`.
    pub min_context_slot: Option<u64>,
    /// Whether it names an `epoch`.
    pub epoch: bool,
    /// Whether one of these stands there twice, is written with escapes, or is of another kind: what the node makes of it
    /// is not known then.
    pub unclear: bool,
}

/// The params of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a> {
    leading: [Option<Leading>; MAX_LEADING],
    count: usize,
    by_name: bool,
    config: Option<Config<'a>>,
}

impl<'a> Params<'a> {
    /// Reads params that the scanner passed: an array or an object as JSON text, `None` when there are none.
    #[must_use]
    pub fn read(text: Option<&'a [u8]>) -> Self {
        let mut params = Self::default();
        let Some(text) = text else { return params };
        let mut cursor = Cursor::within(text, MAX_DEPTH);
        // The text was walked already, so it is sound; what was not read of it is left at its default.
        let read = match cursor.kind() {
            Ok(Kind::Array) => cursor.elements(|cursor| params.element(cursor, text)),
            _ => Err(JsonError { at: 0, fault: JsonFault::Value }),
        };
        params.by_name = read.is_err();
        params
    }

    /// What stands at a place; `None` past the last.
    #[must_use]
    pub fn leading(&self, place: usize) -> Option<Leading> {
        self.leading.get(place).copied().flatten()
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether they are given by name, as no Solana node takes them.
    #[must_use]
    pub const fn by_name(&self) -> bool {
        self.by_name
    }

    /// The config object: the last object among them, which stands last where a method takes two.
    #[must_use]
    pub const fn config(&self) -> Option<&Config<'a>> {
        self.config.as_ref()
    }

    fn element(&mut self, cursor: &mut Cursor<'_>, text: &'a [u8]) -> Result<(), JsonError> {
        let kind = cursor.kind()?;
        let given = if kind == Kind::Object {
            let mut config = Config::default();
            cursor.members(|cursor, key| config.member(cursor, text, key))?;
            self.config = Some(config);
            Leading::Object
        } else {
            let (_, span) = cursor.value()?;
            leading(kind, span.of(text))
        };
        if let Some(place) = self.leading.get_mut(self.count) {
            *place = Some(given);
        }
        self.count += 1;
        Ok(())
    }
}

fn leading(kind: Kind, text: &[u8]) -> Leading {
    match kind {
        Kind::Null => Leading::Null,
        Kind::Number if text.iter().all(u8::is_ascii_digit) => Leading::Whole,
        Kind::String => Leading::Text,
        Kind::Array => Leading::List,
        Kind::Object => Leading::Object,
        Kind::Bool | Kind::Number => Leading::Other,
    }
}

impl<'a> Config<'a> {
    fn member(&mut self, cursor: &mut Cursor<'_>, text: &'a [u8], key: Key) -> Result<(), JsonError> {
        self.unclear |= key.escaped;
        match key.span.of(text) {
            b"commitment" => self.commitment(cursor, text),
            b"minContextSlot" => self.min_context_slot(cursor, text),
            b"epoch" => {
                let (kind, _) = cursor.value()?;
                self.unclear |= self.epoch;
                self.epoch = kind == Kind::Number;
                Ok(())
            }
            _ => cursor.value().map(drop),
        }
    }

    fn commitment(&mut self, cursor: &mut Cursor<'_>, text: &'a [u8]) -> Result<(), JsonError> {
        let kind = cursor.kind()?;
        let given = if kind == Kind::String {
            let word = cursor.string()?;
            self.unclear |= word.escaped;
            Some(word.span.str_of(text))
        } else {
            cursor.value()?;
            self.unclear |= kind != Kind::Null;
            None
        };
        self.unclear |= self.commitment.is_some();
        self.commitment = given.or(self.commitment);
        Ok(())
    }

    fn min_context_slot(&mut self, cursor: &mut Cursor<'_>, text: &'a [u8]) -> Result<(), JsonError> {
        let (kind, span) = cursor.value()?;
        let slot = whole(span, text);
        self.unclear |= self.min_context_slot.is_some() || (slot.is_none() && kind != Kind::Null);
        // Of two the greater, since an endpoint that has it has the other as well.
        self.min_context_slot = self.min_context_slot.max(slot);
        Ok(())
    }
}

fn whole(span: Span, text: &[u8]) -> Option<u64> {
    span.str_of(text).parse().ok()
}
