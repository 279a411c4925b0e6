//! Frames of RFC 6455, without IO: bytes in, messages out, and the other way round.
//!
//! The reader is strict: what a peer may not send ends the connection with the close code that names why. Its memory is
//! what came of the one message it is in the middle of, at most the bound it was given; between messages it holds
//! nothing. Extensions are never agreed on, so that the reserved bits are always zero.

mod decode;
mod encode;
mod head;
mod mask;
#[cfg(test)]
mod tests;
mod utf8;

pub use decode::{Decoder, Event, Role, Violation};
pub use encode::{FrameHead, close, control, frame, head, masked};
pub use head::Opcode;
