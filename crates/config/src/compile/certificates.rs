//! Certificates and keys, read from files that the config names. An error stands at the file that is at fault.

use rustls::pki_types::CertificateDer;
use std::sync::Arc;

use portcullis_yaml::{Diagnostic, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::tls::{self, Identity, IdentityError};

/// The places of a certificate and of its key.
#[derive(Clone, Copy)]
struct Places {
    cert: Span,
    key: Span,
}

impl Compiler<'_, '_> {
    /// A file that a place names, read as text; PEM is text.
    fn pem(&mut self, path: &Spanned<String>) -> Option<String> {
        let resolved = self.cx.resolve(path.span, &path.value);
        self.cx.read_or_report(&resolved, path.span)
    }

    /// A certificate with its key. One that has expired is only worth a warning: it is better than none.
    pub(super) fn identity(&mut self, cert: &Spanned<String>, key: &Spanned<String>) -> Option<Identity> {
        let (chain, secret) = (self.pem(cert), self.pem(key));
        let places = Places { cert: cert.span, key: key.span };
        match tls::identity(chain?.as_bytes(), secret?.as_bytes()) {
            Err(error) => self.cx.fail(identity_error(&error, places)),
            Ok(identity) => {
                if identity.not_after < self.now {
                    let message = format!("the certificate `{}` has expired", cert.value);
                    self.cx.push(Diagnostic::warning(code::CERTIFICATE_EXPIRED, cert.span, message));
                }
                Some(identity)
            }
        }
    }

    /// The text of a PEM file of CAs, each one usable.
    pub(super) fn authorities_text(&mut self, path: &Spanned<String>) -> Option<Arc<str>> {
        self.authorities(path)?;
        self.pem(path).map(Arc::from)
    }

    /// The CAs of a PEM file, each one usable.
    pub(super) fn authorities(&mut self, path: &Spanned<String>) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.pem(path)?;
        let places = Places { cert: path.span, key: path.span };
        let read = tls::certificates(pem.as_bytes());
        let usable = read.and_then(|read| tls::client_verifier(&read, true).map(|_| read));
        usable.map_err(|error| self.cx.push(identity_error(&error, places))).ok()
    }
}

fn identity_error(error: &IdentityError, places: Places) -> Diagnostic {
    match error {
        IdentityError::NoCertificate | IdentityError::Certificate(_) => {
            Diagnostic::error(code::CERTIFICATE_INVALID, places.cert, error.to_string())
        }
        IdentityError::NoKey | IdentityError::Key(_) => {
            Diagnostic::error(code::KEY_INVALID, places.key, error.to_string())
        }
        IdentityError::Mismatch => Diagnostic::error(code::KEY_MISMATCH, places.key, error.to_string())
            .related(places.cert, "the certificate is here"),
    }
}
