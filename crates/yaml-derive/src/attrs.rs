//! The `#[config(…)]` attributes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Path, Type};

/// What a type says.
#[derive(Default)]
pub(crate) struct ContainerAttrs {
    pub(crate) deny_empty: bool,
    pub(crate) validate: Option<Path>,
    pub(crate) try_from: Option<Type>,
    pub(crate) from_str: bool,
    pub(crate) expected: Option<String>,
    pub(crate) example: Option<String>,
}

/// What a field says.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    pub(crate) default: Option<TokenStream>,
    pub(crate) rename: Option<String>,
    pub(crate) flatten: bool,
    pub(crate) example: Option<String>,
    pub(crate) with: Option<Path>,
}

/// What a variant says.
#[derive(Default)]
pub(crate) struct VariantAttrs {
    pub(crate) rename: Option<String>,
    /// The variant of `support::Shape`, for a variant without a word.
    pub(crate) bare: Option<&'static str>,
}

fn each(attrs: &[Attribute], mut take: impl FnMut(&ParseNestedMeta<'_>) -> syn::Result<()>) -> syn::Result<()> {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("config")) {
        attr.parse_nested_meta(|meta| take(&meta))?;
    }
    Ok(())
}

fn string(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<String>> {
    Ok(Some(meta.value()?.parse::<LitStr>()?.value()))
}

fn is(meta: &ParseNestedMeta<'_>, name: &str) -> bool {
    meta.path.is_ident(name)
}

impl ContainerAttrs {
    pub(crate) fn parse(attrs: &[Attribute]) -> syn::Result<Self> {
        let mut out = Self::default();
        each(attrs, |meta| {
            if is(meta, "deny_empty") {
                out.deny_empty = true;
            } else if is(meta, "validate") {
                out.validate = Some(meta.value()?.parse()?);
            } else if is(meta, "try_from") {
                out.try_from = Some(meta.value()?.parse()?);
            } else if is(meta, "from_str") {
                out.from_str = true;
            } else if is(meta, "expected") {
                out.expected = string(meta)?;
            } else if is(meta, "example") {
                out.example = string(meta)?;
            } else {
                return Err(
                    meta.error("expected `deny_empty`, `validate`, `try_from`, `from_str`, `expected` or `example`")
                );
            }
            Ok(())
        })?;
        Ok(out)
    }
}

impl FieldAttrs {
    pub(crate) fn parse(attrs: &[Attribute]) -> syn::Result<Self> {
        let mut out = Self::default();
        each(attrs, |meta| {
            if is(meta, "default") {
                out.default = Some(default(meta)?);
            } else if is(meta, "rename") {
                out.rename = string(meta)?;
            } else if is(meta, "flatten") {
                out.flatten = true;
            } else if is(meta, "example") {
                out.example = string(meta)?;
            } else if is(meta, "with") {
                out.with = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error("expected `default`, `rename`, `flatten`, `example` or `with`"));
            }
            Ok(())
        })?;
        Ok(out)
    }
}

fn default(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    if !meta.input.peek(syn::Token![=]) {
        return Ok(quote!(::core::default::Default::default()));
    }
    let expr: Expr = meta.value()?.parse()?;
    let is_text = matches!(&expr, Expr::Lit(ExprLit { lit: Lit::Str(_), .. }));
    Ok(if is_text { quote!(::core::convert::Into::into(#expr)) } else { quote!(#expr) })
}

impl VariantAttrs {
    pub(crate) fn parse(attrs: &[Attribute]) -> syn::Result<Self> {
        let mut out = Self::default();
        each(attrs, |meta| {
            if is(meta, "rename") {
                out.rename = string(meta)?;
            } else if is(meta, "untagged") {
                out.bare = Some(out.bare.unwrap_or("Any"));
            } else if is(meta, "scalar") {
                out.bare = Some("Scalar");
            } else if is(meta, "map") {
                out.bare = Some("Map");
            } else if is(meta, "seq") {
                out.bare = Some("Seq");
            } else {
                return Err(meta.error("expected `rename`, `untagged`, `scalar`, `map` or `seq`"));
            }
            Ok(())
        })?;
        Ok(out)
    }
}
