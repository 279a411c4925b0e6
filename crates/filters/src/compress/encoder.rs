//! Streaming encoders behind one face: bytes in, what is ready of the encoded bytes out.
//!
//! Invariant: an encoder holds a bounded amount of memory whatever the length of the body: windows are 256 KiB at
//! most (the 32 KiB of gzip apart), and the output buffer is handed out with each chunk.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_yaml::Decode;
use std::io::{self, Write};

use super::config::Levels;

/// The window of Brotli and zstd, as the logarithm of its size: 256 KiB. It bounds what one answer holds in memory.
const WINDOW_LOG: u32 = 18;

/// A content coding (RFC 9110 section 8.4.1) that the filter speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Decode)]
pub enum Coding {
    /// zstd, RFC 8878.
    Zstd,
    /// Brotli, RFC 7932.
    Br,
    /// gzip, RFC 1952.
    Gzip,
}

impl Coding {
    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The name that recipients take for the same.
    pub(super) const fn alias(self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("x-gzip"),
            Self::Zstd | Self::Br => None,
        }
    }
}

/// An encoder in the middle of a body.
pub(super) enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Br(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// Begins a body.
    ///
    /// # Errors
    /// When zstd has no memory for its context.
    pub(super) fn new(coding: Coding, levels: Levels) -> io::Result<Self> {
        match coding {
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), i32::from(levels.zstd.get()))?;
                encoder.set_parameter(zstd::stream::raw::CParameter::WindowLog(WINDOW_LOG))?;
                Ok(Self::Zstd(encoder))
            }
            Coding::Br => {
                let quality = u32::from(levels.br.get());
                let encoder = brotli::CompressorWriter::new(Vec::new(), 4096, quality, WINDOW_LOG);
                Ok(Self::Br(Box::new(encoder)))
            }
            Coding::Gzip => Ok(Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(u32::from(levels.gzip.get()))))),
        }
    }

    /// Encodes a chunk. With `flush`, all of it can be decoded from what was handed out so far.
    ///
    /// # Errors
    /// When the encoder fails; writing to memory does not.
    pub(super) fn chunk(&mut self, chunk: &[u8], flush: bool) -> io::Result<Bytes> {
        let writer = self.writer();
        writer.write_all(chunk)?;
        if flush {
            writer.flush()?;
        }
        Ok(std::mem::take(self.ready()).into())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When the encoder fails; writing to memory does not.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Br(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Br(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        }
    }

    fn ready(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Br(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }
}
