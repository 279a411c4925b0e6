//! `admin:`.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_snapshot::settings::{Admin, AdminSocket, AdminTls, AdminToken, Role};
use portcullis_snapshot::tls::CertificateTable;
use portcullis_yaml::{Diagnostic, NamedEntry, Span, Spanned, code as yaml_code};

use super::{Compiler, start};
use crate::code;
use crate::facts::hash_of;
use crate::raw::admin::{RawAdmin, RawAdminSocket, RawAdminTls, RawRole};
use crate::raw::listeners::RawTlsVersion;
use crate::tls::{self, ServerParts};

/// The name of the token that has none.
pub(crate) const TOKEN: &str = "token";

impl Compiler<'_, '_> {
    /// What is said of the admin listener; `file` is a place in the main file.
    pub(super) fn admin(&mut self, admin: &RawAdmin, file: Span) -> Option<Admin> {
        let tls = admin.tls.as_ref().map(|tls| self.admin_tls(tls));
        let compiled = Admin {
            bind: admin.bind.map(|bind| bind.value),
            tls: tls.map_or(Some(None), |tls| tls.map(Some))?,
            tokens: self.admin_tokens(admin),
            clients: admin.clients.iter().flat_map(|clients| clients.value.iter().map(client)).collect(),
            socket: admin.socket.as_ref().map(|socket| self.admin_socket(socket)),
            audit: admin.audit.as_ref().map(|audit| self.cx.resolve(audit.file.span, &audit.file.value)),
        };
        self.check_admin_is_somewhere(admin, file);
        self.check_admin_clients(admin);
        if let Some(bind) = admin.bind.filter(|bind| !bind.value.ip().to_canonical().is_loopback()) {
            self.check_admin_beyond_loopback(&compiled, bind.span);
        }
        Some(compiled)
    }

    fn admin_tokens(&mut self, admin: &RawAdmin) -> Vec<AdminToken> {
        let old = admin.token.as_ref().map(|token| (TOKEN, token, Role::Admin));
        let named = admin.tokens.iter().flatten();
        let named = named.map(|entry| (entry.name.as_str(), &entry.value.value.token, role(entry.value.value.role)));
        let mut seen: HashMap<&str, (&str, Span)> = HashMap::new();
        let mut tokens = Vec::new();
        for (name, secret, role) in old.into_iter().chain(named) {
            self.check_name(name, secret.span, "token");
            let text = secret.value.expose();
            let same = seen.get(text).copied();
            let same = same.or_else(|| seen.values().copied().find(|(other, _)| *other == name));
            if let Some((other, span)) = same {
                let message = match other == name {
                    true => format!("two tokens have the name `{name}`"),
                    false => format!("`{name}` is the same token as `{other}`, so nobody could tell who came"),
                };
                self.cx.push(
                    Diagnostic::error(code::TOKEN_TWICE, secret.span, message).related(span, "the other is here"),
                );
            }
            seen.insert(text, (name, secret.span));
            tokens.push(AdminToken { name: name.into(), secret: text.to_owned(), role });
        }
        tokens
    }

    fn admin_tls(&mut self, raw: &Spanned<RawAdminTls>) -> Option<AdminTls> {
        let certificates = &raw.certificates;
        if certificates.value.is_empty() && !self.has_errors_inside(certificates.span) {
            let message = "no certificate is named, so every handshake would fail";
            self.cx.error(code::CERTIFICATE_INVALID, certificates.span, message);
        }
        let read =
            certificates.value.iter().map(|raw| Some((raw.cert.value.clone(), self.identity(&raw.cert, &raw.key)?)));
        let identities: Vec<_> = read.collect();
        let authorities = raw.client_ca.as_ref().map(|path| self.authorities(path));
        let identities: Vec<_> = identities.into_iter().collect::<Option<_>>()?;
        let authorities = authorities.map_or(Some(None), |authorities| authorities.map(Some))?;
        let only_tls13 = raw.min_version == Some(RawTlsVersion::Tls13);
        let verifier = authorities.as_ref().map(|authorities| tls::client_verifier(authorities, false));
        let prints: Vec<u64> = identities.iter().map(|(_, identity)| identity.fingerprint).collect();
        let names = identities.iter().map(|(_, identity)| (identity.names.clone(), identity.key.clone())).collect();
        let made = verifier.transpose().map_err(|error| error.to_string()).and_then(|verifier| {
            // Without tickets: a session that is resumed would keep a certificate that counts no more.
            let resolver = Arc::new(CertificateTable::new(names, Arc::default()));
            let parts = ServerParts { resolver, verifier, only_tls13, alpn: vec![b"http/1.1".to_vec()], tickets: None };
            tls::server_config(parts).map_err(|error| error.to_string())
        });
        match made {
            Err(error) => self.cx.fail(Diagnostic::error(code::CERTIFICATE_INVALID, raw.span, error)),
            Ok(server) => Some(AdminTls {
                server: Arc::new(server),
                fingerprint: hash_of(&(prints, only_tls13)),
                clients_fingerprint: hash_of(&authorities),
                certificates: identities.into_iter().map(|(path, _)| path).collect(),
                client_ca: raw.client_ca.as_ref().map(|path| path.value.clone()),
            }),
        }
    }

    fn admin_socket(&mut self, raw: &RawAdminSocket) -> AdminSocket {
        if raw.path.value.is_empty() {
            let diagnostic =
                Diagnostic::error(yaml_code::INVALID_VALUE, raw.path.span, "the path of the socket is empty");
            self.cx.push(diagnostic.help("for example `path: /run/portcullis/admin.sock`"));
        }
        AdminSocket {
            path: self.cx.resolve(raw.path.span, &raw.path.value),
            mode: raw.mode.as_ref().map(|mode| mode.0).unwrap_or_default(),
            role: raw.role.map(role),
        }
    }

    /// What belongs to the address needs one, and there must be an address or a socket.
    fn check_admin_is_somewhere(&mut self, admin: &RawAdmin, file: Span) {
        if admin.bind.is_some() {
            return;
        }
        if admin.socket.is_none() && !self.has_errors_inside(file) {
            let message = "the admin listener has neither an address nor a socket";
            let help = "add `bind: \"127.0.0.1:9901\"` or `socket: { path: /run/portcullis/admin.sock }`";
            self.cx.push(Diagnostic::error(yaml_code::MISSING_KEY, start(file), message).help(help));
        }
        let token = admin.tokens.iter().flatten().next().map(|entry| ("tokens", entry.span));
        let token = token.or(admin.token.as_ref().map(|token| ("token", token.span)));
        for (key, span) in token.into_iter().chain(admin.tls.as_ref().map(|tls| ("tls", tls.span))) {
            let message = format!("`{key}` is for an address, and `bind` does not name one");
            let help = "users of the socket are known by their user ids";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(help));
        }
    }

    /// Roles of certificates need CAs that these are verified against, and the other way round.
    fn check_admin_clients(&mut self, admin: &RawAdmin) {
        let authorities = admin.tls.as_ref().and_then(|tls| tls.value.client_ca.as_ref());
        let clients = admin.clients.as_ref();
        let conflict = match (authorities, clients) {
            (None, Some(clients)) => Some((
                clients.span,
                "`clients` needs the CAs that certificates are verified against",
                "add `tls: { client_ca: … }`",
            )),
            (Some(path), clients) if clients.is_none_or(|clients| clients.value.is_empty()) => Some((
                path.span,
                "no client has a role, so a certificate would be good for nothing",
                "add `clients: { \"CN=…\": read }`",
            )),
            (Some(_) | None, _) => None,
        };
        if let Some((span, message, help)) = conflict {
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(help));
        }
    }

    fn check_admin_beyond_loopback(&mut self, admin: &Admin, bind: Span) {
        let at = admin.bind.map(|bind| bind.to_string()).unwrap_or_default();
        if admin.is_open() {
            let message =
                format!("the admin listener on {at} can be reached from elsewhere and asks nobody who they are");
            let help = "add `token: \"file:admin.token\"`, or bind a loopback address such as `127.0.0.1:9901`";
            self.cx.push(Diagnostic::error(code::ADMIN_OPEN, bind, message).help(help));
        } else if admin.tls.is_none() {
            let message = format!("tokens reach the admin listener on {at} in plain text");
            let help = "add `tls`, or bind a loopback address and let something before it speak TLS";
            self.cx.push(Diagnostic::warning(code::ADMIN_PLAIN, bind, message).help(help));
        }
    }
}

fn client(entry: &NamedEntry<Spanned<RawRole>>) -> (String, Role) {
    (entry.name.clone(), role(entry.value.value))
}

const fn role(raw: RawRole) -> Role {
    match raw {
        RawRole::Read => Role::Read,
        RawRole::Operate => Role::Operate,
        RawRole::Admin => Role::Admin,
    }
}
