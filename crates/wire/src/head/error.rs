//! The rules a request head can break.

closed_error! {
    /// Why a request head was refused.
    pub enum HeadError {
        Incomplete, "head_incomplete", "the head does not end in a blank line";
        BytesAfterHead, "bytes_after_head", "bytes follow the blank line that ends the head";
        HeadTooLarge, "head_too_large", "the head is larger than its limit";
        TooManyFields, "too_many_fields", "the head has more fields than its limit";
        BareLf, "bare_lf", "a line ends in LF without CR";
        BareCr, "bare_cr", "a CR is not followed by LF";
        ControlByte, "control_byte", "the head holds a control byte";
        LeadingWhitespace, "leading_whitespace", "whitespace stands before the request line";
        RepeatedEmptyLines, "repeated_empty_lines", "more than one empty line stands before the request line";
        TlsOnPlainPort, "tls_on_plain_port", "a TLS handshake was sent to a plain listener";
        BadPreface, "bad_preface", "the HTTP/2 preface is not complete";
        Http09, "http_09", "the request line has no version: HTTP/0.9";
        RequestLineSpacing, "request_line_spacing", "the parts of the request line are not separated by single spaces";
        MethodInvalid, "method_invalid", "the method is not a token";
        MethodTooLong, "method_too_long", "the method is longer than 32 bytes";
        TargetInvalid, "target_invalid", "the target holds a byte that must be percent-encoded";
        TargetFragment, "target_fragment", "the target holds a fragment";
        TargetTooLong, "target_too_long", "the target is longer than its limit";
        TargetForm, "target_form", "the form of the target does not fit the method";
        TargetAuthority, "target_authority", "the authority in the target is not a valid host and port";
        TargetUserinfo, "target_userinfo", "the authority in the target holds userinfo";
        SchemeUnsupported, "scheme_unsupported", "the scheme of the target is neither http nor https";
        VersionInvalid, "version_invalid", "the version is not HTTP/ and two digits";
        VersionUnsupported, "version_unsupported", "the version is neither HTTP/1.0 nor HTTP/1.1";
        ObsFold, "obs_fold", "a line begins with whitespace";
        SpaceBeforeColon, "space_before_colon", "whitespace stands between a field name and its colon";
        FieldNameInvalid, "field_name_invalid", "a field name is not a token";
        FieldNameEmpty, "field_name_empty", "a field has no name";
        FieldWithoutColon, "field_without_colon", "a field line has no colon";
        HostMissing, "host_missing", "an HTTP/1.1 request has no Host";
        HostRepeated, "host_repeated", "Host stands more than once";
        HostInvalid, "host_invalid", "the value of Host is not a valid host and port";
        HostUserinfo, "host_userinfo", "the value of Host holds userinfo";
        HostDisagrees, "host_disagrees", "the authority in the target and Host disagree";
        ContentLengthInvalid, "content_length_invalid", "Content-Length is not a number of bytes below 2^63";
        ContentLengthRepeated, "content_length_repeated", "Content-Length is given more than once, with one value";
        ContentLengthDiffers, "content_length_differs", "Content-Length is given more than once, with several values";
        ContentLengthWithTransferEncoding, "content_length_with_transfer_encoding",
            "Content-Length and Transfer-Encoding stand together";
        TransferEncodingNotChunked, "transfer_encoding_not_chunked",
            "Transfer-Encoding is anything but one final `chunked`";
        TransferEncodingRepeated, "transfer_encoding_repeated", "Transfer-Encoding stands more than once";
        TransferEncodingOnHttp10, "transfer_encoding_on_http10", "Transfer-Encoding stands in an HTTP/1.0 request";
        FramingLookalike, "framing_lookalike", "a field name differs from a framing field by `_` alone";
        ConnectionInvalid, "connection_invalid", "Connection is not a list of tokens";
        ConnectionNominatesFraming, "connection_nominates_framing",
            "Connection nominates Host, Content-Length or Transfer-Encoding";
        ConnectionNominatesEndToEnd, "connection_nominates_end_to_end",
            "Connection nominates a field that is for every recipient";
        TooManyConnectionOptions, "too_many_connection_options", "Connection has more than 8 options";
        ExpectationUnsupported, "expectation_unsupported", "Expect asks for anything but 100-continue";
        ContentNotAllowed, "content_not_allowed", "a CONNECT or TRACE request has content";
    }
}
