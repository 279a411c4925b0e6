//! Broken rules of a request head by our name for them.

use portcullis_types::Reason;
use portcullis_wire::head::HeadError;

/// The reason a broken rule of an HTTP/1 head is answered with.
#[must_use]
pub const fn of_head(error: HeadError) -> Reason {
    use HeadError as E;
    match error {
        E::HeadTooLarge | E::TooManyFields => Reason::HeadTooLarge,
        E::TargetTooLong => Reason::TargetTooLong,
        E::VersionUnsupported | E::Http09 => Reason::VersionUnsupported,
        E::ExpectationUnsupported => Reason::ExpectationFailed,
        E::HostMissing | E::HostRepeated | E::HostInvalid | E::HostUserinfo | E::HostDisagrees => Reason::HostInvalid,
        E::ContentLengthInvalid
        | E::ContentLengthRepeated
        | E::ContentLengthDiffers
        | E::ContentLengthWithTransferEncoding
        | E::TransferEncodingNotChunked
        | E::TransferEncodingRepeated
        | E::TransferEncodingOnHttp10
        | E::FramingLookalike
        | E::ContentNotAllowed => Reason::MalformedFraming,
        E::Incomplete
        | E::BytesAfterHead
        | E::BareLf
        | E::BareCr
        | E::ControlByte
        | E::LeadingWhitespace
        | E::RepeatedEmptyLines
        | E::TlsOnPlainPort
        | E::BadPreface
        | E::RequestLineSpacing
        | E::MethodInvalid
        | E::MethodTooLong
        | E::TargetInvalid
        | E::TargetFragment
        | E::TargetForm
        | E::TargetAuthority
        | E::TargetUserinfo
        | E::SchemeUnsupported
        | E::VersionInvalid
        | E::ObsFold
        | E::SpaceBeforeColon
        | E::FieldNameInvalid
        | E::FieldNameEmpty
        | E::FieldWithoutColon
        | E::ConnectionInvalid
        | E::ConnectionNominatesFraming
        | E::ConnectionNominatesEndToEnd
        | E::TooManyConnectionOptions => Reason::MalformedRequest,
    }
}
