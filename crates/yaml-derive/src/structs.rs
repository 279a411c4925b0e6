//! Code for structs.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{DataStruct, DeriveInput, Fields, FieldsNamed, Generics, Type, parse_quote};

use crate::attrs::ContainerAttrs;
use crate::fields::{self, Field};
use crate::names::docs;

/// The type that code is made for.
pub(crate) struct Target<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: Generics,
    pub(crate) docs: String,
    pub(crate) attrs: ContainerAttrs,
}

impl<'a> Target<'a> {
    pub(crate) fn new(input: &'a DeriveInput) -> syn::Result<Self> {
        let mut generics = input.generics.clone();
        for parameter in generics.type_params_mut() {
            parameter.bounds.push(parse_quote!(::portcullis_yaml::Decode));
        }
        let attrs = ContainerAttrs::parse(&input.attrs)?;
        Ok(Self { ident: &input.ident, generics, docs: docs(&input.attrs), attrs })
    }

    /// `impl Decode` around the bodies of its methods.
    pub(crate) fn implement(&self, methods: &TokenStream) -> TokenStream {
        let ident = self.ident;
        let (impl_generics, type_generics, clause) = self.generics.split_for_impl();
        quote! {
            #[automatically_derived]
            impl #impl_generics ::portcullis_yaml::Decode for #ident #type_generics #clause {
                #methods
            }
        }
    }

    /// `impl DecodeFields` around the bodies of its methods.
    pub(crate) fn implement_fields(&self, methods: &TokenStream) -> TokenStream {
        let ident = self.ident;
        let (impl_generics, type_generics, clause) = self.generics.split_for_impl();
        quote! {
            #[automatically_derived]
            impl #impl_generics ::portcullis_yaml::DecodeFields for #ident #type_generics #clause {
                #methods
            }
        }
    }

    /// The call of the hook on `__value`.
    pub(crate) fn validate(&self) -> TokenStream {
        self.attrs.validate.as_ref().map(|path| quote!(#path(&__value, __node, __cx);)).unwrap_or_default()
    }

    /// `decode` with the hook after an expression that gives an `Option<Self>`.
    pub(crate) fn decode_method(&self, decode: &TokenStream) -> TokenStream {
        let validate = self.validate();
        quote! {
            fn decode(
                __node: &::portcullis_yaml::Node,
                __cx: &mut ::portcullis_yaml::Cx<'_>,
            ) -> ::core::option::Option<Self> {
                let __value: Self = (#decode)?;
                #validate
                ::core::option::Option::Some(__value)
            }
        }
    }

    /// `schema` as a definition of the type's name.
    pub(crate) fn definition(&self, make: &TokenStream) -> TokenStream {
        let name = crate::names::plain(self.ident);
        quote! {
            fn schema(__schemas: &mut ::portcullis_yaml::SchemaGen) -> ::portcullis_yaml::Json {
                __schemas.define::<Self>(#name, |__schemas| #make)
            }
        }
    }
}

pub(crate) fn expand(input: &DeriveInput, data: &DataStruct) -> syn::Result<TokenStream> {
    let target = Target::new(input)?;
    if let Some(code) = converted(&target) {
        return Ok(code);
    }
    match &data.fields {
        Fields::Named(fields) => named(&target, fields),
        Fields::Unnamed(fields) => match fields.unnamed.iter().collect::<Vec<_>>().as_slice() {
            [field] => Ok(transparent(&target, &field.ty)),
            _ => Err(syn::Error::new_spanned(fields, "a struct with several unnamed fields has no form in a config")),
        },
        Fields::Unit => Ok(unit(&target)),
    }
}

/// `try_from` and `from_str`, for structs and enums alike.
pub(crate) fn converted(target: &Target<'_>) -> Option<TokenStream> {
    if let Some(raw) = &target.attrs.try_from {
        let decode = target.decode_method(&quote! {
            <#raw as ::portcullis_yaml::Decode>::decode(__node, __cx)
                .and_then(|__raw| ::portcullis_yaml::support::convert::<#raw, Self>(__node, __cx, __raw))
        });
        return Some(target.implement(&quote! {
            #decode
            fn schema(__schemas: &mut ::portcullis_yaml::SchemaGen) -> ::portcullis_yaml::Json {
                <#raw as ::portcullis_yaml::Decode>::schema(__schemas)
            }
        }));
    }
    if !target.attrs.from_str {
        return None;
    }
    let what = target.attrs.expected.clone().unwrap_or_else(|| format!("a {}", crate::names::snake_case(target.ident)));
    let examples = target.attrs.example.iter();
    let form = quote!(::portcullis_yaml::Form::new(#what, &[#(#examples),*]));
    let description = &target.docs;
    let decode = target.decode_method(&quote!(::portcullis_yaml::decode_from_str::<Self>(__node, __cx, &#form)));
    Some(target.implement(&quote! {
        #decode
        fn schema(_: &mut ::portcullis_yaml::SchemaGen) -> ::portcullis_yaml::Json {
            ::portcullis_yaml::support::described(#form.string_schema(), #description)
        }
    }))
}

fn named(target: &Target<'_>, named: &FieldsNamed) -> syn::Result<TokenStream> {
    let all = Field::all(named)?;
    let (accepts, keys, schema) = (fields::accepts(&all), fields::keys(&all), fields::schema(&all));
    let body = fields::decode(&all, &target.validate());
    let encode = fields::encode(&all, |ident| quote!(&self.#ident));
    let (description, deny_empty) = (&target.docs, target.attrs.deny_empty);
    let definition = target.definition(&quote! {{
        let mut __object = ::portcullis_yaml::ObjectSchema::new();
        <Self as ::portcullis_yaml::DecodeFields>::schema_fields(__schemas, &mut __object);
        __object.finish(#description, #deny_empty)
    }});
    let fields_impl = target.implement_fields(&quote! {
        fn accepts(__key: &str) -> bool { #accepts }
        fn keys(__out: &mut ::std::vec::Vec<&'static str>) { #keys }
        fn decode_fields(
            __node: &::portcullis_yaml::Node,
            __cx: &mut ::portcullis_yaml::Cx<'_>,
        ) -> ::core::option::Option<Self> {
            #body
        }
        fn schema_fields(
            __schemas: &mut ::portcullis_yaml::SchemaGen,
            __object: &mut ::portcullis_yaml::ObjectSchema,
        ) {
            #schema
        }
    });
    let decode_impl = target.implement(&quote! {
        fn decode(
            __node: &::portcullis_yaml::Node,
            __cx: &mut ::portcullis_yaml::Cx<'_>,
        ) -> ::core::option::Option<Self> {
            ::portcullis_yaml::support::decode_struct(__node, __cx, #deny_empty)
        }
        #definition
        fn encode(&self) -> ::core::option::Option<::portcullis_yaml::Json> { #encode }
    });
    Ok(quote!(#fields_impl #decode_impl))
}

fn transparent(target: &Target<'_>, ty: &Type) -> TokenStream {
    let description = &target.docs;
    let decode = target.decode_method(&quote! {
        <#ty as ::portcullis_yaml::Decode>::decode(__node, __cx).map(Self)
    });
    target.implement(&quote! {
        #decode
        fn schema(__schemas: &mut ::portcullis_yaml::SchemaGen) -> ::portcullis_yaml::Json {
            ::portcullis_yaml::support::described(<#ty as ::portcullis_yaml::Decode>::schema(__schemas), #description)
        }
        fn encode(&self) -> ::core::option::Option<::portcullis_yaml::Json> {
            ::portcullis_yaml::Decode::encode(&self.0)
        }
    })
}

fn unit(target: &Target<'_>) -> TokenStream {
    let description = &target.docs;
    let decode = target.decode_method(&quote!(::portcullis_yaml::support::decode_unit(__node, __cx, Self)));
    let definition = target.definition(&quote! {
        ::portcullis_yaml::ObjectSchema::new().finish(#description, false)
    });
    target.implement(&quote! {
        #decode
        #definition
        fn encode(&self) -> ::core::option::Option<::portcullis_yaml::Json> {
            ::core::option::Option::Some(::portcullis_yaml::Json::Object(::portcullis_yaml::support::Map::new()))
        }
    })
}
