//! Every failure that somebody else names, by our name for it: one exhaustive function per source.

use std::io;

use pingora_core::{Error, ErrorSource, ErrorType};

use portcullis_types::Reason;

/// Linux says so when the process, or the machine, has no descriptors left (errno(3)).
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// How far an exchange with an upstream had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No connection yet.
    Connecting,
    /// Connected; no head of an answer yet.
    Waiting,
    /// The answer's head is here.
    Answering,
}

/// The reason of an error that came out of Pingora.
#[expect(clippy::wildcard_enum_match_arm, reason = "Pingora has many kinds of error; the rest are told by their side")]
pub(crate) fn of_pingora(error: &Error, progress: Progress) -> Reason {
    if lacks_descriptors(error) {
        return Reason::DescriptorsExhausted;
    }
    match error.esource() {
        ErrorSource::Upstream => of_upstream(error, progress),
        ErrorSource::Downstream => of_downstream(error),
        ErrorSource::Internal | ErrorSource::Unset => match error.etype() {
            ErrorType::InvalidHTTPHeader => Reason::MalformedRequest,
            _ => Reason::Internal,
        },
    }
}

/// The reason of an error of the client's side.
#[expect(clippy::wildcard_enum_match_arm, reason = "Pingora has many kinds of error; the rest are told by their side")]
pub(crate) fn of_downstream(error: &Error) -> Reason {
    if is_malformed_stream(error) {
        return Reason::MalformedFraming;
    }
    match error.etype() {
        ErrorType::ReadTimedout => Reason::BodyTimeout,
        ErrorType::WriteTimedout => Reason::ClientTooSlow,
        ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 => Reason::MalformedRequest,
        _ => Reason::ClientClosed,
    }
}

/// The reason of an error of a connection that the gateway opened by itself.
pub(crate) fn of_upstream_side(error: &Error, progress: Progress) -> Reason {
    if lacks_descriptors(error) { Reason::DescriptorsExhausted } else { of_upstream(error, progress) }
}

/// Whether the process has no descriptors left, or the machine: no endpoint is to blame for that.
fn lacks_descriptors(error: &Error) -> bool {
    let code = error.root_cause().downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    code.is_some_and(|code| [EMFILE, ENFILE].contains(&code))
}

/// Whether our HTTP/2 layer reset a client's stream because its content broke a rule (RFC 9113 section 8.1.1).
fn is_malformed_stream(error: &Error) -> bool {
    let h2 = error.root_cause().downcast_ref::<h2::Error>();
    h2.is_some_and(|h2| h2.is_reset() && h2.is_library() && h2.reason() == Some(h2::Reason::PROTOCOL_ERROR))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "Pingora has many kinds of error; the rest are told by their side")]
fn of_upstream(error: &Error, progress: Progress) -> Reason {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Reason::UpstreamConnectTimeout,
        ErrorType::ConnectRefused => Reason::UpstreamConnectRefused,
        ErrorType::ConnectNoRoute | ErrorType::BindError | ErrorType::SocketError | ErrorType::ConnectError => {
            Reason::UpstreamConnectFailed
        }
        ErrorType::InvalidCert => Reason::UpstreamCertificateInvalid,
        ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError => of_handshake(error),
        ErrorType::ReadTimedout if progress == Progress::Answering => Reason::UpstreamIdleTimeout,
        ErrorType::ReadTimedout => Reason::UpstreamFirstByteTimeout,
        ErrorType::WriteTimedout => Reason::UpstreamWriteTimeout,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::InvalidH2 | ErrorType::H2Downgrade => {
            Reason::UpstreamMalformed
        }
        ErrorType::H2Error => of_h2(error, progress),
        _ if progress == Progress::Answering => Reason::UpstreamIncomplete,
        _ => Reason::UpstreamReset,
    }
}

/// A certificate that does not verify is told from a handshake that fails otherwise by rustls' own words: Pingora keeps
/// its error as text alone.
fn of_handshake(error: &Error) -> Reason {
    let invalid = error.to_string().contains("invalid peer certificate");
    if invalid { Reason::UpstreamCertificateInvalid } else { Reason::UpstreamTlsFailed }
}

fn of_h2(error: &Error, progress: Progress) -> Reason {
    let h2 = error.root_cause().downcast_ref::<h2::Error>();
    match h2.and_then(h2::Error::reason) {
        Some(h2::Reason::REFUSED_STREAM) => Reason::UpstreamRefusedStream,
        Some(h2::Reason::PROTOCOL_ERROR) if h2.is_some_and(|error| !error.is_remote()) => Reason::UpstreamMalformed,
        _ if progress == Progress::Answering => Reason::UpstreamIncomplete,
        _ => Reason::UpstreamReset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the connector wraps what `socket` says.
    fn connecting(code: i32) -> Box<Error> {
        let socket =
            Error::because(ErrorType::SocketError, "failed to create socket", io::Error::from_raw_os_error(code));
        Error::because(ErrorType::InternalError, "Fail to connect", socket).into_up()
    }

    #[test]
    fn a_lack_of_descriptors_is_no_endpoints_fault() {
        for (code, ours) in [(EMFILE, true), (ENFILE, true), (13, false)] {
            let error = connecting(code);
            for reason in [of_pingora(&error, Progress::Connecting), of_upstream_side(&error, Progress::Connecting)] {
                assert_eq!(reason == Reason::DescriptorsExhausted, ours, "{code}: {reason}");
            }
        }
    }
}
