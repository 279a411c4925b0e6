//! Path templates: `/users/{id}` captures one segment, a final `{*rest}` captures one segment or more.
//!
//! A capture is never empty, so `/users/{id}` does not take `/users/` and `/files/{*rest}` does not take `/files/`.
//! A capture is a whole segment; at most eight are taken, as ranges into the path, without an allocation.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::matcher::path::{PathError, normal_form};

/// The most captures of a template.
pub const MAX_PARAMS: usize = 8;
/// The most segments of a template.
pub(crate) const MAX_SEGMENTS: usize = 32;

/// A compiled template. Clones share it.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    segments: Box<[Segment]>,
    names: Box<[Box<str>]>,
}

/// A segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text, maybe empty after a final slash.
    Literal(Box<str>),
    /// Any one segment that is not empty.
    Param,
    /// Everything from here on, not empty. Only at the end.
    Rest,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace inside a segment.
    #[error("a parameter is a whole segment: `/{{name}}/`, not `{0}`")]
    NotWholeSegment(String),
    /// Not a name.
    #[error("`{0}` is no name for a parameter; use letters, digits and `_`, a letter first")]
    Name(String),
    /// A name twice.
    #[error("the parameter `{0}` stands twice")]
    Twice(String),
    /// `{*rest}` before the end.
    #[error("`{{*{0}}}` takes the rest of the path, so it must come last")]
    RestNotLast(String),
    /// Over eight captures.
    #[error("a template has at most 8 parameters")]
    TooManyParams,
    /// Over 32 segments.
    #[error("a template has at most 32 segments")]
    TooManySegments,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// `text` is no path with whole-segment parameters.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let body = text.strip_prefix('/').ok_or(PathError::NoSlash)?;
        let mut names: Vec<Box<str>> = Vec::new();
        let mut segments = Vec::new();
        let mut rest = None;
        for part in body.split('/') {
            if let Some(name) = rest {
                return Err(TemplateError::RestNotLast(name).into());
            }
            let (segment, name) = segment(part)?;
            if let Some(name) = name {
                if names.contains(&name) {
                    return Err(TemplateError::Twice(name.into()).into());
                }
                rest = (segment == Segment::Rest).then(|| name.to_string());
                names.push(name);
            }
            segments.push(segment);
        }
        if names.len() > MAX_PARAMS {
            return Err(TemplateError::TooManyParams.into());
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(TemplateError::TooManySegments.into());
        }
        let text = write(&segments, &names);
        Ok(Self(Arc::new(Compiled { text: text.into(), segments: segments.into(), names: names.into() })))
    }

    /// The template, its literals in normal form.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The names of the captures, in order.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.0.names
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.0.segments
    }

    /// What a path's segments give to the captures; `None` when it does not match.
    #[must_use]
    pub fn captures(&self, path: &str) -> Option<Params> {
        let mut params = Params::default();
        let mut rest = path.strip_prefix('/');
        for segment in &self.0.segments {
            let text = rest?;
            let start = path.len() - text.len();
            let (part, after) = match text.split_once('/') {
                Some((part, after)) => (part, Some(after)),
                None => (text, None),
            };
            match segment {
                Segment::Literal(expected) if part == &**expected => {}
                Segment::Param if !part.is_empty() => params.push(start..start + part.len())?,
                Segment::Rest if !text.is_empty() => {
                    params.push(start..path.len())?;
                    return Some(params);
                }
                Segment::Literal(_) | Segment::Param | Segment::Rest => return None,
            }
            rest = after;
        }
        rest.is_none().then_some(params)
    }

    /// Whether every path of `inner` is one of this too.
    pub(crate) fn covers(&self, inner: &Self) -> bool {
        let mut theirs = inner.0.segments.iter();
        for ours in &self.0.segments {
            match (ours, theirs.next()) {
                // `{*rest}` takes any segments, but an empty last one only after another.
                (Segment::Rest, Some(Segment::Param | Segment::Rest)) => return true,
                (Segment::Rest, Some(Segment::Literal(text))) => return !text.is_empty(),
                (Segment::Param, Some(Segment::Param)) => {}
                (Segment::Param, Some(Segment::Literal(text))) if !text.is_empty() => {}
                (Segment::Literal(one), Some(Segment::Literal(other))) if one == other => {}
                (Segment::Literal(_) | Segment::Param | Segment::Rest, _) => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether `prefix` (without a final slash) and everything below it is taken: a capture of the rest must begin
    /// inside of the prefix.
    pub(crate) fn covers_prefix(&self, prefix: &str) -> bool {
        let Some(body) = prefix.strip_prefix('/') else { return false };
        let mut parts = body.split('/');
        for ours in &self.0.segments {
            match (ours, parts.next()) {
                (Segment::Rest, Some(part)) => return !part.is_empty(),
                (Segment::Param, Some(part)) if !part.is_empty() => {}
                (Segment::Literal(text), Some(part)) if **text == *part => {}
                (Segment::Literal(_) | Segment::Param | Segment::Rest, _) => return false,
            }
        }
        false
    }
}

fn segment(part: &str) -> Result<(Segment, Option<Box<str>>), PathError> {
    if !part.contains(['{', '}']) {
        let literal = normal_form(&format!("/{part}"))?;
        return Ok((Segment::Literal(literal.trim_start_matches('/').into()), None));
    }
    let inner = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
    let inner = inner.filter(|inner| !inner.contains(['{', '}']));
    let inner = inner.ok_or_else(|| TemplateError::NotWholeSegment(part.to_owned()))?;
    let (segment, name) = match inner.strip_prefix('*') {
        Some(name) => (Segment::Rest, name),
        None => (Segment::Param, inner),
    };
    if !is_name(name) {
        return Err(TemplateError::Name(name.to_owned()).into());
    }
    Ok((segment, Some(name.into())))
}

/// Whether this names a parameter.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn write(segments: &[Segment], names: &[Box<str>]) -> String {
    let mut names = names.iter();
    let mut name = || names.next().map(|name| &**name).unwrap_or_default();
    let parts = segments.iter().map(|segment| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::Param => format!("/{{{}}}", name()),
        Segment::Rest => format!("/{{*{}}}", name()),
    });
    parts.collect()
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Template {}

impl Hash for Template {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text())
    }
}

/// What a template captured: at most eight ranges into the path it was matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params {
    ranges: [(u32, u32); MAX_PARAMS],
    count: u8,
}

impl Params {
    fn push(&mut self, range: Range<usize>) -> Option<()> {
        let range = (u32::try_from(range.start).ok()?, u32::try_from(range.end).ok()?);
        *self.ranges.get_mut(usize::from(self.count))? = range;
        self.count += 1;
        Some(())
    }

    /// How many captures there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The capture of this index in `path`, the path that was matched.
    #[must_use]
    pub fn get<'p>(&self, index: usize, path: &'p str) -> Option<&'p str> {
        let (start, end) = self.ranges.get(..self.len())?.get(index)?;
        path.get(usize::try_from(*start).ok()?..usize::try_from(*end).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_whole_segments_that_are_not_empty() {
        for (template, path, expected) in [
            ("/users/{id}", "/users/42", Some(vec!["42"])),
            ("/users/{id}", "/users/", None),
            ("/users/{id}", "/users", None),
            ("/users/{id}", "/users/42/", None),
            ("/users/{id}/", "/users/42/", Some(vec!["42"])),
            ("/users/{id}/", "/users/42", None),
            ("/users/{id}/posts/{post}", "/users/1/posts/2", Some(vec!["1", "2"])),
            ("/files/{*rest}", "/files/a/b/", Some(vec!["a/b/"])),
            ("/files/{*rest}", "/files/", None),
            ("/files/{*rest}", "/files", None),
            ("/{*rest}", "/", None),
            ("/{a}", "x", None),
            ("/", "/", Some(vec![])),
            ("/{a}/{b}", "/1//2", None),
        ] {
            let params = Template::new(template).unwrap().captures(path);
            let found = params.map(|p| (0..p.len()).map(|n| p.get(n, path).unwrap()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{template} {path}");
        }
    }

    #[test]
    fn refuses_what_is_no_template() {
        for (text, expected) in [
            ("users", PathError::NoSlash),
            ("/{id}.json", TemplateError::NotWholeSegment("{id}.json".to_owned()).into()),
            ("/{{id}}", TemplateError::NotWholeSegment("{{id}}".to_owned()).into()),
            ("/{}", TemplateError::Name(String::new()).into()),
            ("/{1a}", TemplateError::Name("1a".to_owned()).into()),
            ("/{a}/{a}", TemplateError::Twice("a".to_owned()).into()),
            ("/{*a}/b", TemplateError::RestNotLast("a".to_owned()).into()),
            ("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", TemplateError::TooManyParams.into()),
            ("/../{a}", PathError::DotSegment("..".to_owned())),
        ] {
            assert_eq!(Template::new(text), Err(expected), "{text}");
        }
        assert_eq!(Template::new(&"/a".repeat(33)), Err(TemplateError::TooManySegments.into()));
    }

    #[test]
    fn literals_are_normalised_and_parameters_are_not() {
        assert_eq!(Template::new("/%61/{id}").unwrap().text(), "/a/{id}");
    }

    #[test]
    fn a_capture_past_the_end_is_none() {
        assert_eq!(Template::new("/{a}").unwrap().captures("/xyz").unwrap().get(0, "/"), None);
        assert_eq!(Params::default().get(0, "/"), None);
    }
}
