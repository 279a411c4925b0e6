//! `caps:`: what holds beside plans.

use portcullis_filters::caps::SetWords;
use portcullis_yaml::{Decode, Named, Spanned};

/// What holds beside plans, for every request that passes a filter `caps`.
#[derive(Debug, Default, Decode)]
#[config(deny_empty)]
pub(crate) struct RawCaps {
    /// For all requests, whosesoever.
    pub(crate) gateway: Option<Spanned<SetWords>>,
    /// For single consumers beside their plans, by id.
    #[config(default)]
    pub(crate) consumers: Named<Spanned<SetWords>>,
}
