//! Bounds on what one HTTP/2 client may send, and the counts they are held against.

use std::time::Duration;

closed_error! {
    /// How a client abused its HTTP/2 connection.
    pub enum H2Abuse {
        PrefaceInvalid, "h2_preface_invalid", "the connection does not begin with the HTTP/2 preface";
        RapidReset, "h2_rapid_reset", "the client resets too many streams (CVE-2023-44487)";
        ProvokedResets, "h2_provoked_resets", "the client makes us reset too many streams (CVE-2025-8671)";
        SettingsFlood, "h2_settings_flood", "the client sends too many SETTINGS (CVE-2019-9515)";
        PingFlood, "h2_ping_flood", "the client sends too many PINGs (CVE-2019-9512)";
        PriorityFlood, "h2_priority_flood", "the client sends too many PRIORITY frames (CVE-2019-9513)";
        WindowUpdateFlood, "h2_window_update_flood", "the client sends too many WINDOW_UPDATEs for the data it gets";
        EmptyFrameFlood, "h2_empty_frame_flood", "the client sends too many empty frames (CVE-2019-9518)";
        UnknownFrameFlood, "h2_unknown_frame_flood", "the client sends too many frames that ask for nothing";
        ContinuationFlood, "h2_continuation_flood", "a header block has too many CONTINUATIONs (CVE-2024-27316)";
        HeaderBlockTooLarge, "h2_header_block_too_large", "a header block is larger than its limit";
    }
}

/// Bounds per connection. Rates are counts in one window of time; windows do not overlap, so that twice the count
/// may pass around the edge of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct H2Limits {
    /// Length of the window that the counts below are for.
    pub window: Duration,
    /// RST_STREAM from the client.
    pub resets: u32,
    /// RST_STREAM that we sent because the client broke a rule.
    pub provoked_resets: u32,
    /// SETTINGS, acknowledgements not counted.
    pub settings: u32,
    /// PING, acknowledgements not counted.
    pub pings: u32,
    /// PRIORITY and PRIORITY_UPDATE.
    pub priorities: u32,
    /// WINDOW_UPDATE beyond those earned by the data we sent.
    pub window_updates: u32,
    /// WINDOW_UPDATE earned by each DATA frame we send, whenever the client uses them.
    pub window_updates_per_data: u32,
    /// DATA, HEADERS and CONTINUATION without payload that end nothing.
    pub empty_frames: u32,
    /// Frames of unknown type, GOAWAY, PUSH_PROMISE, and acknowledgements.
    pub other_frames: u32,
    /// CONTINUATIONs of one header block.
    pub continuations: u32,
    /// Payload bytes of one header block, compressed, padding included.
    pub header_block: u32,
}

impl Default for H2Limits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            resets: 500,
            provoked_resets: 200,
            settings: 100,
            pings: 1_000,
            priorities: 2_000,
            window_updates: 2_000,
            window_updates_per_data: 10,
            empty_frames: 100,
            other_frames: 1_000,
            continuations: 16,
            header_block: 64 * 1024,
        }
    }
}

/// Frames the client sent over the life of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct H2Counts {
    /// DATA.
    pub data: u64,
    /// HEADERS: the streams opened, and trailers.
    pub headers: u64,
    /// PRIORITY and PRIORITY_UPDATE.
    pub priorities: u64,
    /// RST_STREAM.
    pub resets: u64,
    /// SETTINGS.
    pub settings: u64,
    /// PING.
    pub pings: u64,
    /// WINDOW_UPDATE.
    pub window_updates: u64,
    /// CONTINUATION.
    pub continuations: u64,
    /// All others.
    pub other: u64,
}
