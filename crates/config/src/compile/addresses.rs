//! Addresses that the gateway accepts on: each only once.

use std::net::SocketAddr;

use portcullis_yaml::{Diagnostic, Span};

use super::{Compiler, start};
use crate::code;
use crate::raw::top::Top;

/// An address, who has it, and where that is written.
struct Bound<'a> {
    address: SocketAddr,
    owner: &'a str,
    span: Span,
}

impl Compiler<'_, '_> {
    /// Refuses an address that two listeners have, the admin listener included, and a config without listeners.
    pub(super) fn check_addresses(&mut self, top: &Top, file: Span) {
        let admin = top.admin.as_ref().and_then(|admin| Some(("admin", admin.bind.as_ref()?)));
        let listeners = top.listeners.iter().flatten().flat_map(|entry| {
            let name = entry.name.as_str();
            entry.value.bind.iter().map(move |bind| (name, bind))
        });
        let mut seen: Vec<Bound<'_>> = Vec::new();
        for (owner, bind) in listeners.chain(admin) {
            let bound = Bound { address: bind.value, owner, span: bind.span };
            match seen.iter().find(|other| overlap(other.address, bound.address)) {
                Some(first) => self.cx.push(in_use(&bound, first)),
                None => seen.push(bound),
            }
        }
        let none = match &*top.listeners {
            None => !top.listeners.is_broken(),
            Some(listeners) => listeners.is_empty() && !self.has_errors_inside(file),
        };
        if none {
            let message = "there is no listener, so nothing can reach the gateway";
            let help = "for example `listeners: { edge: { bind: \"0.0.0.0:8080\" } }`";
            self.cx.push(Diagnostic::error(code::NO_LISTENER, start(file), message).help(help));
        }
    }
}

fn in_use(bound: &Bound<'_>, first: &Bound<'_>) -> Diagnostic {
    let message = match first.address == bound.address {
        true => format!("the address {} is used twice", bound.address),
        false => format!("the address {} overlaps with {}", bound.address, first.address),
    };
    let note = format!("`{}` has it here", first.owner);
    Diagnostic::error(code::ADDRESS_IN_USE, bound.span, message).related(first.span, note)
}

/// Whether one socket would be in the other's way. Port 0 is another port each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let wide = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same_family = one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || (wide && same_family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_the_system_would_refuse_them() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("[::1]:80", "[::]:80", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(overlap(one.parse().unwrap(), other.parse().unwrap()), expected, "{one} {other}");
        }
    }
}
