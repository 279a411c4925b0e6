//! Settings of `compress`.

use portcullis_types::ByteSize;
use portcullis_yaml::{Cx, Decode, Form, Node, SchemaGen, decode_with};
use serde_json::{Value as Json, json};

use super::encoder::Coding;

/// Compression of answers, by what the client accepts. Left as they are: answers that are encoded already, partial
/// (206), without a body, marked `Cache-Control: no-transform`, smaller than `min_size`, or of another type. Do not
/// compress what mixes secrets with what a client sends: its size tells about the secret (BREACH).
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct CompressConfig {
    /// The codings to offer, in the order of preference: the client's weights come first.
    #[config(default = Codings::default())]
    pub algorithms: Codings,
    /// The smallest body that is worth it, by Content-Length. An answer without one is compressed, and flushed with
    /// each chunk, so that a live stream is not held up.
    #[config(default = ByteSize::kib(1))]
    pub min_size: ByteSize,
    /// The media types to compress: `text/html`, `text/*`, or `+json` for all types that end so.
    #[config(default = MediaTypes::default())]
    pub types: MediaTypes,
    /// How hard to try.
    #[config(default)]
    pub level: Levels,
}

/// Levels of compression. A higher one takes more time for fewer bytes; the defaults suit answers that are made for
/// each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub struct Levels {
    /// gzip, 1 to 9.
    #[config(default = Level(6))]
    pub gzip: Level<9>,
    /// Brotli, 1 to 11.
    #[config(default = Level(4))]
    pub br: Level<11>,
    /// zstd, 1 to 19.
    #[config(default = Level(3))]
    pub zstd: Level<19>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { gzip: Level(6), br: Level(4), zstd: Level(3) }
    }
}

/// A level from 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level<const MAX: u8>(u8);

impl<const MAX: u8> Level<MAX> {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// A level; `None` out of its range.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level >= 1 && level <= MAX { Some(Self(level)) } else { None }
    }
}

impl<const MAX: u8> Decode for Level<MAX> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let level = u8::decode(node, cx)?;
        Self::new(level).or_else(|| {
            let message = format!("`{level}` is out of range: expected a level from 1 to {MAX}");
            cx.error(portcullis_yaml::code::INVALID_VALUE, node.span, message);
            None
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": "integer", "title": "level", "minimum": 1, "maximum": MAX })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.0))
    }
}

/// Codings in the order of preference, never none, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codings(Box<[Coding]>);

impl Codings {
    /// The codings.
    #[must_use]
    pub fn as_slice(&self) -> &[Coding] {
        &self.0
    }
}

impl Default for Codings {
    fn default() -> Self {
        Self([Coding::Zstd, Coding::Br, Coding::Gzip].into())
    }
}

impl Decode for Codings {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let codings = Vec::<Coding>::decode(node, cx)?;
        let twice =
            (1..codings.len()).any(|at| codings.get(at).is_some_and(|it| codings.iter().take(at).any(|b| b == it)));
        if codings.is_empty() || twice {
            let message = "expected one or several codings, each once";
            cx.error(portcullis_yaml::code::INVALID_VALUE, node.span, message);
            return None;
        }
        Some(Self(codings.into()))
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        json!({ "type": "array", "items": Coding::schema(schemas), "minItems": 1, "uniqueItems": true })
    }

    fn encode(&self) -> Option<Json> {
        Some(self.0.iter().map(|coding| json!(coding.name())).collect())
    }
}

/// Media types, RFC 9110 section 8.3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTypes(Box<[MediaType]>);

/// A media type or a group of them; lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum MediaType {
    /// `text/html`.
    Exact(Box<str>),
    /// `text/*`, as `text/`.
    Under(Box<str>),
    /// `+json`.
    Suffix(Box<str>),
}

const DEFAULT_TYPES: [&str; 10] = [
    "text/*",
    "+json",
    "+xml",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/x-ndjson",
    "application/wasm",
    "font/ttf",
    "font/otf",
];

impl Default for MediaTypes {
    fn default() -> Self {
        Self(DEFAULT_TYPES.iter().filter_map(|text| MediaType::parse(text).ok()).collect())
    }
}

impl MediaTypes {
    /// Whether a Content-Type is one of these.
    #[must_use]
    pub fn name(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        self.0.iter().any(|media_type| media_type.is(essence))
    }
}

impl MediaType {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match (text.strip_prefix('+'), text.split_once('/')) {
            (Some(suffix), _) if token(suffix) => Ok(Self::Suffix(text.into())),
            (_, Some((main, "*"))) if token(main) => Ok(Self::Under(format!("{main}/").into())),
            (_, Some((main, sub))) if token(main) && token(sub) => Ok(Self::Exact(text.into())),
            _ => Err(String::new()),
        }
    }

    fn is(&self, essence: &str) -> bool {
        match self {
            Self::Exact(exact) => essence.eq_ignore_ascii_case(exact),
            Self::Under(prefix) => essence.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix)),
            Self::Suffix(suffix) => {
                let start = essence.len().checked_sub(suffix.len());
                start.and_then(|at| essence.get(at..)).is_some_and(|it| it.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

const TYPE: Form = Form::new("a media type", &["text/html", "text/*", "+json"]);

impl Decode for MediaType {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &TYPE, Self::parse)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        TYPE.string_schema()
    }

    fn encode(&self) -> Option<Json> {
        Some(match self {
            Self::Exact(text) | Self::Suffix(text) => json!(text),
            Self::Under(prefix) => json!(format!("{prefix}*")),
        })
    }
}

impl Decode for MediaTypes {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Vec::decode(node, cx).map(|types| Self(types.into()))
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        Vec::<MediaType>::schema(schemas)
    }

    fn encode(&self) -> Option<Json> {
        self.0.iter().map(Decode::encode).collect()
    }
}
