// Copyright 2026 Cloudflare, Inc.
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
// http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

use bytes::{Bytes, BytesMut};

/// A buffer with size limit. When the total amount of data written to the buffer is below the limit
/// all the data will be held in the buffer. Otherwise, the buffer will report to be truncated.
pub struct FixedBuffer {
    buffer: BytesMut,
    // Changed by Portcullis, see vendor/README.md: a body that was read whole elsewhere, and is shared.
    whole: Bytes,
    capacity: usize,
    truncated: bool,
}

impl FixedBuffer {
    pub fn new(capacity: usize) -> Self {
        FixedBuffer {
            buffer: BytesMut::new(),
            whole: Bytes::new(),
            capacity,
            truncated: false,
        }
    }

    /// A body that was read whole. Nothing can follow it.
    // Changed by Portcullis, see vendor/README.md.
    pub fn whole(body: Bytes) -> Self {
        FixedBuffer {
            whole: body,
            ..FixedBuffer::new(0)
        }
    }

    // TODO: maybe store a Vec of Bytes for zero-copy
    pub fn write_to_buffer(&mut self, data: &Bytes) {
        if self.truncated {
            return;
        }

        if self.buffer.len() + data.len() <= self.capacity {
            self.buffer.extend_from_slice(data);
        } else {
            // Buffered data is no longer usable for a retry, so release its allocation.
            self.buffer = BytesMut::new();
            self.whole = Bytes::new();
            self.truncated = true;
        }
    }

    pub fn clear(&mut self) {
        self.truncated = false;
        self.buffer.clear();
        self.whole = Bytes::new();
    }
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == 0 && self.whole.is_empty()
    }
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
    pub fn get_buffer(&self) -> Option<Bytes> {
        // TODO: return None if truncated?
        if !self.whole.is_empty() {
            return Some(self.whole.clone());
        }
        if !self.is_empty() {
            Some(self.buffer.clone().freeze())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_storage_when_truncated() {
        let mut buffer = FixedBuffer::new(4);
        buffer.write_to_buffer(&Bytes::from_static(b"1234"));
        assert!(buffer.buffer.capacity() >= 4);

        buffer.write_to_buffer(&Bytes::from_static(b"5"));

        assert!(buffer.is_truncated());
        assert_eq!(buffer.buffer.capacity(), 0);
        assert!(buffer.get_buffer().is_none());
    }

    #[test]
    fn shares_a_whole_body() {
        let body = Bytes::from(vec![b'a'; 1024]);
        let mut buffer = FixedBuffer::whole(body.clone());
        let replayed = buffer.get_buffer().unwrap();
        assert_eq!(replayed.as_ptr(), body.as_ptr());
        buffer.write_to_buffer(&Bytes::new());
        assert!(!buffer.is_truncated() && !buffer.is_empty());
        buffer.write_to_buffer(&Bytes::from_static(b"more"));
        assert!(buffer.is_truncated() && buffer.get_buffer().is_none());
    }
}
