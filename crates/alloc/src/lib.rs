//! The allocator of the gateway's binaries: mimalloc.
//!
//! The published crate `mimalloc` names the alignment of every block, and mimalloc then asks itself whether the block is
//! aligned as it is: 67 instructions for a block that takes about 20 otherwise. Rust asks for at most 16 bytes' alignment almost
//! always, which every block of that size has.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use libmimalloc_sys as mi;

/// What mimalloc aligns every block to that is at least as large (`MI_MAX_ALIGN_SIZE`; `max_align_t` of C).
const ALIGNED: usize = 16;

/// mimalloc as a global allocator.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: portcullis_alloc::Allocator = portcullis_alloc::Allocator;
/// # fn main() {}
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocator;

/// Whether every block of this size is aligned so.
const fn is_aligned(size: usize, align: usize) -> bool {
    align <= ALIGNED && align <= size
}

// SAFETY: mimalloc's blocks are valid for their size, stay where they are, and are freed once by whoever has them;
// it answers null where there is no memory, and does not unwind. Alignment is argued at each call.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if is_aligned(size, align) {
            // SAFETY: any size is allowed; the block is aligned enough by its size.
            return unsafe { mi::mi_malloc(size) }.cast();
        }
        // SAFETY: an alignment of a layout is a power of two.
        unsafe { mi::mi_malloc_aligned(size, align) }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if is_aligned(size, align) {
            // SAFETY: as in `alloc`.
            return unsafe { mi::mi_zalloc(size) }.cast();
        }
        // SAFETY: as in `alloc`.
        unsafe { mi::mi_zalloc_aligned(size, align) }.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller has the block from this allocator, and lets go of it.
        unsafe { mi::mi_free(block.cast::<c_void>()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (block, align) = (block.cast::<c_void>(), layout.align());
        if is_aligned(size, align) {
            // SAFETY: the caller has the block from this allocator; the new one is aligned enough by its size.
            return unsafe { mi::mi_realloc(block, size) }.cast();
        }
        // SAFETY: as above; an alignment of a layout is a power of two.
        unsafe { mi::mi_realloc_aligned(block, size, align) }.cast()
    }
}

#[cfg(test)]
mod tests;
