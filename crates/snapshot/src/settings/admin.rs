//! `admin:`: where the admin API is served, and who may do what there.

use rustls::ServerConfig;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What somebody may do; each role has those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look: everything that changes nothing.
    Read,
    /// Also what passes or can be taken back.
    Operate,
    /// Everything.
    Admin,
}

impl Role {
    /// The word in the config and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it accepts; `None` for the socket alone.
    pub bind: Option<SocketAddr>,
    /// TLS on that address.
    pub tls: Option<AdminTls>,
    /// Bearer tokens. Without any, and without clients, only a loopback address may be bound.
    pub tokens: Vec<AdminToken>,
    /// Roles by the subjects of client certificates, RFC 4514 text.
    pub clients: Vec<(String, Role)>,
    /// The Unix socket.
    pub socket: Option<AdminSocket>,
    /// The file of the audit log.
    pub audit: Option<PathBuf>,
}

impl Admin {
    /// Whether the address is for whoever reaches it: a loopback one, then.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.clients.is_empty()
    }
}

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Who has it.
    pub name: Arc<str>,
    /// The token.
    pub secret: String,
    /// What its holder may do.
    pub role: Role,
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminToken").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// TLS of the admin listener.
#[derive(Clone)]
pub struct AdminTls {
    /// What a handshake is made with.
    pub server: Arc<ServerConfig>,
    /// Equal for equal certificates, keys and settings.
    pub fingerprint: u64,
    /// Equal for equal CAs of clients: a certificate that was verified against others counts no more.
    pub clients_fingerprint: u64,
    /// The certificate files, as written.
    pub certificates: Vec<String>,
    /// The file of the clients' CAs, as written.
    pub client_ca: Option<String>,
}

impl fmt::Debug for AdminTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AdminTls");
        shown.field("certificates", &self.certificates).field("client_ca", &self.client_ca).finish_non_exhaustive()
    }
}

impl PartialEq for AdminTls {
    fn eq(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.fingerprint, one.clients_fingerprint);
        key(self) == key(other)
    }
}

impl Eq for AdminTls {}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSocket {
    /// Where.
    pub path: PathBuf,
    /// Who may connect.
    pub mode: SocketMode,
    /// What users other than root and the gateway's own may do; `None` for nothing.
    pub role: Option<Role>,
}

/// File permissions, the lowest nine bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub u32);

impl Default for SocketMode {
    /// Read and write for its owner.
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| digits && *bits <= 0o777);
        bits.map(Self).ok_or("expected permissions in octal, 0000 to 0777")
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_has_no_special_bits() {
        let check = |text: &str, expected: Option<u32>| {
            assert_eq!(text.parse::<SocketMode>().ok().map(|mode| mode.0), expected, "{text}");
        };
        check("0600", Some(0o600));
        check("660", Some(0o660));
        check("0777", Some(0o777));
        check("1777", None);
        check("0o600", None);
        check("+600", None);
        check("0888", None);
        check("60", None);
        assert_eq!(SocketMode(0o60).to_string(), "0060");
    }

    #[test]
    fn roles_are_ordered_and_a_token_is_not_shown() {
        assert!(Role::Read < Role::Operate && Role::Operate < Role::Admin);
        let token = AdminToken { name: "ci".into(), secret: "s3cret".to_owned(), role: Role::Read };
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
