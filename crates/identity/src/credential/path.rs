//! A key as a segment of the path, where a template says it stands.

use std::str::FromStr;

/// Segments that must be, `*` for any, and `{key}` for the key: `/v1/{key}`, `/*/{key}`. What follows is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    /// The segments before the key; `None` for any.
    before: Box<[Option<Box<str>>]>,
}

/// The text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a path that ends with `/{{key}}`, such as `/v1/{{key}}` or `/*/{{key}}`")]
pub struct TemplateError;

impl PathTemplate {
    /// The key's segment, as it stands in the path; `None` when the path is another, or ends before it.
    pub(super) fn key<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let fits = self.before.iter().all(|wanted| {
            segments.next().is_some_and(|segment| wanted.as_ref().is_none_or(|wanted| **wanted == *segment))
        });
        segments.next().filter(|_| fits)
    }

    /// Which segment of a path that fits is the key's, from 0.
    pub(super) fn place(&self, path: &str) -> Option<usize> {
        self.key(path).map(|_| self.before.len())
    }
}

impl FromStr for PathTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let before = text.strip_suffix("/{key}").ok_or(TemplateError)?;
        if before.is_empty() {
            return Ok(Self { before: Box::default() });
        }
        let segments = before.strip_prefix('/').ok_or(TemplateError)?.split('/');
        let read = |segment: &str| match segment {
            "*" => Ok(None),
            _ if segment.is_empty() || segment.contains(['{', '}', '*', '?', '#', '%']) => Err(TemplateError),
            _ => Ok(Some(segment.into())),
        };
        segments.map(read).collect::<Result<_, _>>().map(|before| Self { before })
    }
}
