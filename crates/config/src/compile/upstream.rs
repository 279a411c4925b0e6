//! TLS to a cluster.

use std::sync::Arc;

use portcullis_policy::HostName;
use portcullis_snapshot::{ClientPair, SourceKey, UpstreamTls};
use portcullis_yaml::{Diagnostic, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::plan::{AddressPlan, EndpointPlan};
use crate::raw::clusters::{RawUpstreamTls, RawUpstreamTlsMap};

/// A chain and a key, DER.
pub(super) type ClientIdentity = Arc<ClientPair>;

impl Compiler<'_, '_> {
    /// `Some(None)` for `tls: false`; `None` after an error.
    pub(super) fn upstream_tls(
        &mut self,
        raw: &Spanned<RawUpstreamTls>,
        endpoints: &[EndpointPlan],
    ) -> Option<Option<UpstreamTls>> {
        let defaults = RawUpstreamTlsMap::default();
        let map = match &raw.value {
            RawUpstreamTls::Switch(false) => return Some(None),
            RawUpstreamTls::Switch(true) => &defaults,
            RawUpstreamTls::Map(map) => map,
        };
        let server_name = self.server_name_of(raw, map, endpoints);
        let ca = map.ca.as_ref().map(|path| self.authorities(path));
        let client = self.client_identity(map.cert.as_ref(), map.key.as_ref());
        let ca = ca.map_or(Some(None), |ca| ca.map(Some))?;
        Some(Some(UpstreamTls {
            server_name: server_name?,
            verify: map.verify.unwrap_or(true),
            ca: ca.map(|ca| ca.iter().map(|one| one.as_ref().to_vec()).collect()),
            client: client?,
        }))
    }

    /// The name that is verified: as written, or the host of the first endpoint. Without a name nothing could be
    /// verified, and an empty one must never reach the TLS library.
    fn server_name_of(
        &mut self,
        raw: &Spanned<RawUpstreamTls>,
        map: &RawUpstreamTlsMap,
        endpoints: &[EndpointPlan],
    ) -> Option<String> {
        if let Some(name) = &map.server_name {
            return self.said_server_name(name);
        }
        match endpoints.first().map(|endpoint| &endpoint.address) {
            Some(AddressPlan::Source(SourceKey::Name { host, .. })) => Some(host.to_string()),
            Some(AddressPlan::Socket(_) | AddressPlan::Source(_)) => {
                let message = "the name to verify is missing: the first endpoint is not a name";
                let help = "add `server_name: api.internal`, a name that the endpoints' certificates are for";
                self.cx.fail(Diagnostic::error(yaml_code::MISSING_KEY, raw.span, message).help(help))
            }
            // Reported where the endpoints are.
            None => None,
        }
    }

    /// A name to verify, as written.
    pub(super) fn said_server_name(&mut self, name: &Spanned<String>) -> Option<String> {
        match name.value.parse::<HostName>() {
            Ok(checked) => Some(checked.as_str().trim_matches(['[', ']']).to_owned()),
            Err(error) => {
                let message = format!("`{}` is not a server name: {error}", name.value);
                self.cx.fail(Diagnostic::error(code::NAME_INVALID, name.span, message))
            }
        }
    }

    /// The gateway's own certificate for a server that asks for one; `None` after an error.
    pub(super) fn client_identity(
        &mut self,
        cert: Option<&Spanned<String>>,
        key: Option<&Spanned<String>>,
    ) -> Option<Option<ClientIdentity>> {
        let (cert, key) = match (cert, key) {
            (None, None) => return Some(None),
            (Some(cert), Some(key)) => (cert, key),
            (Some(alone), None) | (None, Some(alone)) => {
                let message = "`cert` and `key` go together: one of them is missing";
                return self.cx.fail(Diagnostic::error(yaml_code::MISSING_KEY, alone.span, message));
            }
        };
        let identity = self.identity(cert, key)?;
        let chain = identity.key.cert.iter().map(|one| one.as_ref().to_vec()).collect();
        Some(Some(Arc::new((chain, identity.secret))))
    }
}
