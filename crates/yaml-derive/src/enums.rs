//! Code for enums.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{DataEnum, DeriveInput, Fields, Type};

use crate::attrs::VariantAttrs;
use crate::fields::{self, Field};
use crate::names::{docs, plain, snake_case};
use crate::structs::{Target, converted};

/// A variant with what it says.
struct Form<'a> {
    ident: &'a Ident,
    /// Empty for one without a word.
    name: String,
    docs: String,
    bare: Option<&'static str>,
    fields: FormFields<'a>,
}

enum FormFields<'a> {
    None,
    One(&'a Type),
    /// Named fields, and the struct that is made for them.
    Named(Vec<Field<'a>>, Ident, &'a syn::FieldsNamed),
}

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let target = Target::new(input)?;
    if let Some(code) = converted(&target) {
        return Ok(code);
    }
    let forms: Vec<Form<'_>> =
        data.variants.iter().map(|variant| Form::new(&target, variant)).collect::<syn::Result<_>>()?;
    let helpers = forms.iter().filter_map(Form::helper);
    let decode = target.decode_method(&decode(&forms, &quote!(choose)));
    let description = &target.docs;
    let variants = forms.iter().map(Form::schema);
    let definition = target.definition(&quote! {{
        let __variants = ::std::vec![#(#variants),*];
        ::portcullis_yaml::enum_schema(__schemas, #description, __variants)
    }});
    let encode = forms.iter().map(Form::encode);
    let encode = if forms.is_empty() { quote!(match *self {}) } else { quote!(match self { #(#encode)* }) };
    let decode_impl = target.implement(&quote! {
        #decode
        #definition
        fn encode(&self) -> ::core::option::Option<::portcullis_yaml::Json> { #encode }
    });
    let flat = forms.iter().all(|form| form.bare.is_none() && !matches!(form.fields, FormFields::None));
    let fields_impl = if flat && !forms.is_empty() { flattened(&target, &forms) } else { TokenStream::new() };
    Ok(quote! {
        const _: () = {
            #(#helpers)*
            #decode_impl
            #fields_impl
        };
    })
}

impl<'a> Form<'a> {
    fn new(target: &Target<'_>, variant: &'a syn::Variant) -> syn::Result<Self> {
        let attrs = VariantAttrs::parse(&variant.attrs)?;
        let refuse = |message: &str| Err(syn::Error::new_spanned(variant, message));
        let fields = match &variant.fields {
            Fields::Unit if attrs.bare.is_some() => return refuse("a variant without a word needs a field"),
            Fields::Unit => FormFields::None,
            Fields::Unnamed(fields) => match fields.unnamed.iter().collect::<Vec<_>>().as_slice() {
                [field] => FormFields::One(&field.ty),
                _ => return refuse("a variant has one unnamed field, named fields, or none"),
            },
            Fields::Named(_) if !target.generics.params.is_empty() => {
                return refuse("a variant with named fields cannot stand in a generic enum; use a struct of its own");
            }
            Fields::Named(fields) => {
                let helper = format_ident!("{}{}", plain(target.ident), plain(&variant.ident));
                FormFields::Named(Field::all(fields)?, helper, fields)
            }
        };
        let word = attrs.rename.unwrap_or_else(|| snake_case(&variant.ident));
        let name = if attrs.bare.is_some() { String::new() } else { word };
        Ok(Self { ident: &variant.ident, name, docs: docs(&variant.attrs), bare: attrs.bare, fields })
    }

    /// A struct with the variant's named fields, which derives everything that a struct does.
    fn helper(&self) -> Option<TokenStream> {
        let FormFields::Named(_, helper, fields) = &self.fields else { return None };
        let (docs, fields) = (&self.docs, fields.named.iter());
        Some(quote! {
            #[doc = #docs]
            #[derive(::portcullis_yaml::Decode)]
            struct #helper { #(#fields),* }
        })
    }

    fn payload(&self) -> Option<TokenStream> {
        match &self.fields {
            FormFields::None => None,
            FormFields::One(ty) => Some(quote!(#ty)),
            FormFields::Named(_, helper, _) => Some(quote!(#helper)),
        }
    }

    /// A `support::Variant`.
    fn variant(&self) -> TokenStream {
        let name = &self.name;
        let kind = match (self.bare, &self.fields) {
            (Some(shape), _) => {
                let shape = format_ident!("{shape}");
                quote!(Bare(::portcullis_yaml::support::Shape::#shape))
            }
            (None, FormFields::None) => quote!(Word),
            (None, FormFields::One(_) | FormFields::Named(..)) => quote!(Keyed),
        };
        quote! {
            ::portcullis_yaml::support::Variant { name: #name, kind: ::portcullis_yaml::support::Kind::#kind }
        }
    }

    /// The arm that reads the variant once it was chosen.
    fn arm(&self, index: usize) -> TokenStream {
        let (ident, name) = (self.ident, &self.name);
        let Some(payload) = self.payload() else {
            return quote!(#index => ::core::option::Option::Some(Self::#ident),);
        };
        let build = match &self.fields {
            FormFields::Named(fields, ..) => {
                let fields: Vec<&Ident> = fields.iter().map(|field| field.ident).collect();
                quote!(|__fields: #payload| Self::#ident { #(#fields: __fields.#fields),* })
            }
            FormFields::None | FormFields::One(_) => quote!(Self::#ident),
        };
        quote! {
            #index => ::portcullis_yaml::support::payload(
                __choice.input, __cx, #name, <#payload as ::portcullis_yaml::Decode>::decode,
            ).map(#build),
        }
    }

    /// A `VariantSchema`.
    fn schema(&self) -> TokenStream {
        let (name, docs) = (&self.name, &self.docs);
        let payload = match self.payload() {
            Some(ty) => quote!(::core::option::Option::Some(<#ty as ::portcullis_yaml::Decode>::schema(__schemas))),
            None => quote!(::core::option::Option::None),
        };
        quote!(::portcullis_yaml::VariantSchema { name: #name, description: #docs, payload: #payload })
    }

    /// The arm that writes the variant.
    fn encode(&self) -> TokenStream {
        let (ident, name) = (self.ident, &self.name);
        let (pattern, value) = match &self.fields {
            FormFields::None => {
                return quote!(Self::#ident => ::core::option::Option::Some(::portcullis_yaml::Json::from(#name)),);
            }
            FormFields::One(_) => (quote!((__inner)), quote!(::portcullis_yaml::Decode::encode(__inner))),
            FormFields::Named(fields, ..) => {
                let idents: Vec<&Ident> = fields.iter().map(|field| field.ident).collect();
                let bound: Vec<Ident> = (0..idents.len()).map(|at| format_ident!("__field{at}")).collect();
                let find = |wanted: &Ident| {
                    let pairs = idents.iter().zip(&bound);
                    pairs.filter(|(ident, _)| **ident == wanted).map(|(_, bound)| quote!(#bound)).collect()
                };
                let value = fields::encode(fields, find);
                (quote!({ #(#idents: #bound),* }), quote!((|| #value)()))
            }
        };
        let encoded =
            if self.bare.is_some() { value } else { quote!(::portcullis_yaml::support::encode_keyed(#name, #value)) };
        quote!(Self::#ident #pattern => #encoded,)
    }
}

/// An expression that chooses a form by `support::#choose` and reads it.
fn decode(forms: &[Form<'_>], choose: &TokenStream) -> TokenStream {
    let variants = forms.iter().map(Form::variant);
    let arms = forms.iter().enumerate().map(|(index, form)| form.arm(index));
    quote! {{
        let __choice = ::portcullis_yaml::support::#choose(__node, __cx, &[#(#variants),*])?;
        match __choice.index {
            #(#arms)*
            _ => ::core::option::Option::None,
        }
    }}
}

/// An enum whose variants are keys can stand among the other keys of a map.
fn flattened(target: &Target<'_>, forms: &[Form<'_>]) -> TokenStream {
    let names: Vec<&String> = forms.iter().map(|form| &form.name).collect();
    let decode = decode(forms, &quote!(choose_key));
    let validate = target.validate();
    let properties = forms.iter().filter_map(|form| {
        let (name, docs, payload) = (&form.name, &form.docs, form.payload()?);
        Some(quote! {
            let __schema = <#payload as ::portcullis_yaml::Decode>::schema(__schemas);
            __object.property(
                ::portcullis_yaml::Property {
                    name: #name,
                    description: #docs,
                    default: ::core::option::Option::None,
                    example: ::core::option::Option::None,
                    required: false,
                },
                __schema,
            );
        })
    });
    target.implement_fields(&quote! {
        fn accepts(__key: &str) -> bool { [#(#names),*].contains(&__key) }
        fn keys(__out: &mut ::std::vec::Vec<&'static str>) { __out.extend([#(#names),*]); }
        fn decode_fields(
            __node: &::portcullis_yaml::Node,
            __cx: &mut ::portcullis_yaml::Cx<'_>,
        ) -> ::core::option::Option<Self> {
            let __value: Self = (#decode)?;
            #validate
            ::core::option::Option::Some(__value)
        }
        fn schema_fields(
            __schemas: &mut ::portcullis_yaml::SchemaGen,
            __object: &mut ::portcullis_yaml::ObjectSchema,
        ) {
            #(#properties)*
            __object.one_of(&[#(#names),*]);
        }
    })
}
