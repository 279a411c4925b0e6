//! Names and doc comments of the input.

use proc_macro2::Ident;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// `LeastLoaded` is `least_loaded`, `H2c` is `h2c`.
pub(crate) fn snake_case(ident: &Ident) -> String {
    let mut out = String::new();
    for c in plain(ident).chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The name without `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

/// The doc comment: lines of a paragraph joined by spaces, paragraphs by blank lines.
pub(crate) fn docs(attrs: &[Attribute]) -> String {
    let mut out = String::new();
    let mut paragraph_ended = false;
    for line in attrs.iter().filter_map(doc_line) {
        let line = line.trim();
        if line.is_empty() {
            paragraph_ended = true;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if paragraph_ended { "\n\n" } else { " " });
        }
        paragraph_ended = false;
        out.push_str(line);
    }
    out
}

fn doc_line(attr: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attr.meta else { return None };
    if !meta.path.is_ident("doc") {
        return None;
    }
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value else { return None };
    Some(text.value())
}
