//! Settings of `api_key`.

use http::{HeaderName, HeaderValue};
use portcullis_identity::credential::{BasicPart, PathTemplate, Places};
use portcullis_yaml::{
    Cx, Decode, Diagnostic, Form, Node, OneOrMany, SchemaGen, Spanned, code, decode_from_str, decode_with,
};
use serde_json::Value as Json;

/// Settings of `api_key`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyConfig {
    /// Where keys stand.
    pub places: Places,
    /// Whether a request without a key goes on.
    pub optional: bool,
    /// What a refused client is asked for (RFC 9110 section 11.6.1).
    pub challenge: HeaderValue,
}

/// Finds the consumer that a request's key belongs to, and holds it to the consumer's restrictions. The key is taken out
/// of the request, whatever comes of it. Needs `consumers` at the top of the config.
#[derive(Decode)]
struct ApiKeySettings {
    /// Where a key may stand: `query`, `header`, `bearer`, `basic`, `path`. Default: the first three, and `path` and
    /// `basic` where they are given.
    places: Option<OneOrMany<Spanned<PlaceWord>>>,
    /// The query parameter's name.
    #[config(example = "api-key")]
    query: Option<Spanned<ParameterName>>,
    /// The field's name.
    #[config(example = "x-api-key")]
    header: Option<Spanned<HeaderName>>,
    /// The path whose segment `{key}` is the key; `*` stands for any one segment before it. The segment is taken out
    /// before the route is chosen when the filter is a host's.
    #[config(example = "/v1/{key}")]
    path: Option<Spanned<PathWord>>,
    /// Which part of Basic credentials is the key.
    basic: Option<Spanned<BasicWord>>,
    /// Whether a request without a key goes on, to be known by another filter or to stay unknown. A key that is there
    /// must be good all the same.
    #[config(default = false)]
    optional: bool,
}

/// A place for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
enum PlaceWord {
    /// A query parameter.
    Query,
    /// A field.
    Header,
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: Basic`.
    Basic,
    /// A segment of the path.
    Path,
}

impl PlaceWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Header => "header",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Path => "path",
        }
    }
}

/// A part of Basic credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
enum BasicWord {
    /// The user name; the password is not looked at.
    User,
    /// The password; the user name is not looked at.
    Password,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PathWord(PathTemplate);

const PATH: Form = Form::new("a path with a key in it", &["/v1/{key}", "/*/{key}", "/{key}"]);

impl Decode for PathWord {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_from_str(node, cx, &PATH).map(Self)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        PATH.string_schema()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ParameterName(Box<str>);

const PARAMETER: Form = Form::new("the name of a query parameter", &["api-key"]);

impl Decode for ParameterName {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &PARAMETER, |text| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
            let right = (1..=64).contains(&text.len()) && text.bytes().all(plain);
            if right { Ok(Self(text.into())) } else { Err("letters, digits, `-`, `_`, `.` and `~` only".to_owned()) }
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        PARAMETER.string_schema()
    }
}

impl Decode for ApiKeyConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = ApiKeySettings::decode(node, cx)?;
        settings.check(cx)?;
        let places = settings.places();
        let challenge = match (places.bearer, places.basic.is_some()) {
            (_, false) => "Bearer realm=\"api\"",
            (true, true) => "Bearer realm=\"api\", Basic realm=\"api\", charset=\"UTF-8\"",
            (false, true) => "Basic realm=\"api\", charset=\"UTF-8\"",
        };
        Some(Self { places, optional: settings.optional, challenge: HeaderValue::from_static(challenge) })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        ApiKeySettings::schema(schemas)
    }
}

impl ApiKeySettings {
    fn has(&self, place: PlaceWord) -> bool {
        match &self.places {
            Some(places) => places.iter().any(|one| one.value == place),
            None => match place {
                PlaceWord::Query | PlaceWord::Header | PlaceWord::Bearer => true,
                PlaceWord::Basic => self.basic.is_some(),
                PlaceWord::Path => self.path.is_some(),
            },
        }
    }

    /// What is said of a place belongs to a place that is used, and a path has no default.
    fn check(&self, cx: &mut Cx<'_>) -> Option<()> {
        let said = [
            (PlaceWord::Query, self.query.as_ref().map(|one| one.span)),
            (PlaceWord::Header, self.header.as_ref().map(|one| one.span)),
            (PlaceWord::Path, self.path.as_ref().map(|one| one.span)),
            (PlaceWord::Basic, self.basic.as_ref().map(|one| one.span)),
        ];
        for (place, span) in said {
            if let Some(span) = span.filter(|_| !self.has(place)) {
                let message = format!("`places` leaves `{}` out, so this would mean nothing", place.word());
                return cx.fail(Diagnostic::error(code::CONFLICTING_KEYS, span, message));
            }
        }
        let wanted = self.places.as_ref().and_then(|places| places.iter().find(|one| one.value == PlaceWord::Path));
        if let Some(place) = wanted.filter(|_| self.path.is_none()) {
            let diagnostic = Diagnostic::error(code::MISSING_KEY, place.span, "which segment of the path is the key?");
            return cx.fail(diagnostic.help("add `path: \"/v1/{key}\"`"));
        }
        Some(())
    }

    fn places(&self) -> Places {
        let usual = Places::default();
        let query = self.query.as_ref().map_or(usual.query, |name| Some(name.value.0.clone()));
        let header = self.header.as_ref().map_or(usual.header, |name| Some(name.value.clone()));
        let basic = self.basic.as_ref().map_or(BasicPart::User, |part| match part.value {
            BasicWord::User => BasicPart::User,
            BasicWord::Password => BasicPart::Password,
        });
        Places {
            query: query.filter(|_| self.has(PlaceWord::Query)),
            path: self.path.as_ref().map(|path| path.value.0.clone()),
            header: header.filter(|_| self.has(PlaceWord::Header)),
            bearer: self.has(PlaceWord::Bearer),
            basic: self.has(PlaceWord::Basic).then_some(basic),
            ..usual
        }
    }
}
