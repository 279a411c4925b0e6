//! Code for named fields: of a struct, or of a variant.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{FieldsNamed, Type};

use crate::attrs::FieldAttrs;
use crate::names::{docs, plain};

/// A named field with what it says.
pub(crate) struct Field<'a> {
    pub(crate) ident: &'a Ident,
    ty: &'a Type,
    name: String,
    docs: String,
    attrs: FieldAttrs,
}

impl<'a> Field<'a> {
    pub(crate) fn all(fields: &'a FieldsNamed) -> syn::Result<Vec<Self>> {
        fields.named.iter().filter_map(|field| Some(Self::one(field, field.ident.as_ref()?))).collect()
    }

    fn one(field: &'a syn::Field, ident: &'a Ident) -> syn::Result<Self> {
        let attrs = FieldAttrs::parse(&field.attrs)?;
        if attrs.flatten && (attrs.default.is_some() || attrs.rename.is_some() || attrs.with.is_some()) {
            return Err(syn::Error::new_spanned(ident, "`flatten` takes no `default`, `rename` or `with`"));
        }
        let name = attrs.rename.clone().unwrap_or_else(|| plain(ident));
        Ok(Self { ident, ty: &field.ty, name, docs: docs(&field.attrs), attrs })
    }

    fn example(&self) -> TokenStream {
        match &self.attrs.example {
            Some(example) => quote!(::core::option::Option::Some(#example)),
            None => quote!(::core::option::Option::None),
        }
    }

    /// The value from its entry, an `Option<&Entry>`.
    fn decode(&self, slot: &Ident) -> TokenStream {
        let Self { ty, name, .. } = self;
        let example = self.example();
        if self.attrs.flatten {
            return quote!(<#ty as ::portcullis_yaml::DecodeFields>::decode_fields(__node, __cx));
        }
        let read = match &self.attrs.with {
            Some(path) => quote! {
                ::portcullis_yaml::support::decode_entry_with(__entry, __cx, #example, #path::decode)
            },
            None => quote!(::portcullis_yaml::support::decode_entry::<#ty>(__entry, __cx, #example)),
        };
        let (slot, missing) = match (&self.attrs.default, &self.attrs.with) {
            (Some(default), _) => (
                quote!(::portcullis_yaml::support::present(#slot)),
                quote! {{ let __default: #ty = #default; ::core::option::Option::Some(__default) }},
            ),
            (None, Some(_)) => {
                (quote!(#slot), quote!(::portcullis_yaml::support::missing_key(__node, __cx, #name, #example)))
            }
            (None, None) => {
                (quote!(#slot), quote!(::portcullis_yaml::support::missing::<#ty>(__node, __cx, #name, #example)))
            }
        };
        quote! {
            match #slot {
                ::core::option::Option::Some(__entry) => #read,
                ::core::option::Option::None => #missing,
            }
        }
    }

    fn schema(&self) -> TokenStream {
        let Self { ty, name, docs, .. } = self;
        if self.attrs.flatten {
            return quote!(<#ty as ::portcullis_yaml::DecodeFields>::schema_fields(__schemas, __object););
        }
        let example = self.example();
        let schema = match &self.attrs.with {
            Some(path) => quote!(#path::schema(__schemas)),
            None => quote!(<#ty as ::portcullis_yaml::Decode>::schema(__schemas)),
        };
        let (default, required) = match (&self.attrs.default, &self.attrs.with) {
            (Some(default), None) => (
                quote! {{ let __default: #ty = #default; ::portcullis_yaml::Decode::encode(&__default) }},
                quote!(false),
            ),
            (Some(_), Some(_)) => (quote!(::core::option::Option::None), quote!(false)),
            (None, Some(_)) => (quote!(::core::option::Option::None), quote!(true)),
            (None, None) => (
                quote!(::core::option::Option::None),
                quote!(<#ty as ::portcullis_yaml::Decode>::default_missing().is_none()),
            ),
        };
        quote! {
            let __schema = #schema;
            __object.property(
                ::portcullis_yaml::Property {
                    name: #name,
                    description: #docs,
                    default: #default,
                    example: #example,
                    required: #required,
                },
                __schema,
            );
        }
    }

    /// Adds the field to the `__map` of an encoded value; `value` is a reference to the field.
    fn encode(&self, value: &TokenStream) -> TokenStream {
        let name = &self.name;
        if self.attrs.flatten {
            return quote!(::portcullis_yaml::support::encode_flat(&mut __map, ::portcullis_yaml::Decode::encode(#value))?;);
        }
        quote! {
            ::portcullis_yaml::support::encode_field(&mut __map, #name, ::portcullis_yaml::Decode::encode(#value))?;
        }
    }
}

/// The body of `accepts`.
pub(crate) fn accepts(fields: &[Field<'_>]) -> TokenStream {
    let names = fields.iter().filter(|field| !field.attrs.flatten).map(|field| &field.name);
    let flattened = fields.iter().filter(|field| field.attrs.flatten).map(|field| field.ty);
    quote! {
        [#(#names),*].contains(&__key) #(|| <#flattened as ::portcullis_yaml::DecodeFields>::accepts(__key))*
    }
}

/// The body of `keys`: in the order of the fields, so that messages list them as the docs do.
pub(crate) fn keys(fields: &[Field<'_>]) -> TokenStream {
    let add = fields.iter().map(|Field { name, ty, attrs, .. }| {
        if attrs.flatten {
            quote!(<#ty as ::portcullis_yaml::DecodeFields>::keys(__out);)
        } else {
            quote!(__out.push(#name);)
        }
    });
    quote!(#(#add)*)
}

/// The body of `decode_fields`, for `Self { … }`.
pub(crate) fn decode(fields: &[Field<'_>], validate: &TokenStream) -> TokenStream {
    let slots: Vec<Ident> = (0..fields.len()).map(|at| format_ident!("__slot{at}")).collect();
    let values: Vec<Ident> = (0..fields.len()).map(|at| format_ident!("__field{at}")).collect();
    let own = || fields.iter().zip(&slots).filter(|(field, _)| !field.attrs.flatten);
    let own_slots = own().map(|(_, slot)| slot);
    let arms = own().map(|(Field { name, .. }, slot)| quote!(#name => #slot = ::core::option::Option::Some(__entry),));
    let decoded = fields.iter().zip(&slots).map(|(field, slot)| field.decode(slot));
    let idents = fields.iter().map(|field| field.ident);
    quote! {
        #(let mut #own_slots: ::core::option::Option<&::portcullis_yaml::Entry> = ::core::option::Option::None;)*
        for __entry in __node.entries() {
            match &*__entry.key.text {
                #(#arms)*
                _ => {}
            }
        }
        #(let #values = #decoded;)*
        let __value = Self { #(#idents: #values?),* };
        #validate
        ::core::option::Option::Some(__value)
    }
}

/// The body of `schema_fields`.
pub(crate) fn schema(fields: &[Field<'_>]) -> TokenStream {
    fields.iter().map(Field::schema).collect()
}

/// An expression of type `Option<Json>`: the fields as a map. `value` gives a reference to a field.
pub(crate) fn encode(fields: &[Field<'_>], value: impl Fn(&Ident) -> TokenStream) -> TokenStream {
    if fields.iter().any(|field| field.attrs.with.is_some()) {
        return quote!(::core::option::Option::None);
    }
    let added = fields.iter().map(|field| field.encode(&value(field.ident)));
    quote! {{
        let mut __map = ::portcullis_yaml::support::Map::new();
        #(#added)*
        ::core::option::Option::Some(::portcullis_yaml::Json::Object(__map))
    }}
}
