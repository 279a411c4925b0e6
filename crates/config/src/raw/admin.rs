//! `admin:`.

use portcullis_yaml::{Decode, Named, Secret, Spanned};
use std::net::SocketAddr;

use super::listeners::{RawCertificate, RawTlsVersion};
use super::words::SocketModeWord;

/// The admin listener: health, metrics, status, the configuration and the last requests.
#[derive(Debug, Decode)]
pub(crate) struct RawAdmin {
    /// The address to accept on, such as `127.0.0.1:9901`. Left out, there is only the `socket`.
    pub(crate) bind: Option<Spanned<SocketAddr>>,
    /// A bearer token with the role `admin` and the name `token`. On any address but a loopback one there must be a token
    /// or a client certificate that has a role.
    pub(crate) token: Option<Spanned<Secret>>,
    /// Bearer tokens by the names of who has them.
    pub(crate) tokens: Option<Named<Spanned<RawAdminToken>>>,
    /// TLS. Left out, the address speaks plain text.
    pub(crate) tls: Option<Spanned<RawAdminTls>>,
    /// Roles of client certificates, by their subject as the filter `client_certificate` has it, such as `CN=deploy`.
    pub(crate) clients: Option<Spanned<Named<Spanned<RawRole>>>>,
    /// A Unix socket beside the address, for who is on this machine.
    pub(crate) socket: Option<RawAdminSocket>,
    /// Where it is written down who did what.
    pub(crate) audit: Option<RawAudit>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawRole {
    /// Look: everything that changes nothing, `explain` and dry runs included.
    Read,
    /// Also what passes or can be taken back: endpoints, bans, overrides of caps, another look at the file.
    Operate,
    /// Everything: another config too.
    Admin,
}

/// A bearer token.
#[derive(Debug, Decode)]
pub(crate) struct RawAdminToken {
    /// The token itself, better as `file:PATH` or `${VARIABLE}`.
    pub(crate) token: Spanned<Secret>,
    /// What its holder may do.
    pub(crate) role: RawRole,
}

/// TLS of the admin listener.
#[derive(Debug, Decode)]
pub(crate) struct RawAdminTls {
    /// Certificates with their keys, chosen by server name. The first answers clients that name none or an unknown one.
    pub(crate) certificates: Spanned<Vec<Spanned<RawCertificate>>>,
    /// A PEM file with the CAs that client certificates are verified against. A client may come without one, and then
    /// needs a token. Left out, clients are not asked.
    pub(crate) client_ca: Option<Spanned<String>>,
    /// The least version of TLS. Default: "1.2".
    pub(crate) min_version: Option<RawTlsVersion>,
}

/// The admin API on a Unix socket.
#[derive(Debug, Decode)]
pub(crate) struct RawAdminSocket {
    /// Where, relative to the file that says so. Its folder must be there, and not be writable by everybody.
    pub(crate) path: Spanned<String>,
    /// Who may connect, as file permissions. Default: "0600".
    pub(crate) mode: Option<SocketModeWord>,
    /// What users other than root and the gateway's own may do. Default: nothing.
    pub(crate) role: Option<RawRole>,
}

/// The audit log.
#[derive(Debug, Decode)]
pub(crate) struct RawAudit {
    /// The file to append to, a line of JSON for each, relative to the file that says so.
    pub(crate) file: Spanned<String>,
}
