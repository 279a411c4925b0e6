//! Blocks of every size and alignment.

use super::*;

const SIZES: [usize; 18] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 40, 72, 136, 1_000, 1_024, 1_040, 70_000, 5_000_000];
const ALIGNS: [usize; 8] = [1, 2, 8, 16, 32, 64, 128, 4096];

/// The block is aligned, is zero if it should be, keeps what is written, and takes it along when it grows or shrinks.
fn check(size: usize, align: usize, zeroed: bool) {
    let layout = Layout::from_size_align(size, align).unwrap();
    // SAFETY: sizes are not zero; every block is written within its size and freed once, with its last layout.
    unsafe {
        let block = if zeroed { Allocator.alloc_zeroed(layout) } else { Allocator.alloc(layout) };
        assert!(!block.is_null());
        assert_eq!(block.addr() % align, 0, "{size} bytes, aligned to {align}");
        if zeroed {
            assert!((0..size).all(|at| block.add(at).read() == 0), "{size} bytes are zero");
        }
        for at in 0..size {
            block.add(at).write((at % 251) as u8);
        }
        let mut old = (block, size);
        for new in [size * 3, size.div_ceil(2), size + 1] {
            let moved = Allocator.realloc(old.0, Layout::from_size_align(old.1, align).unwrap(), new);
            assert_eq!(moved.addr() % align, 0, "{size} bytes made {new}, aligned to {align}");
            let kept = size.div_ceil(2).min(new);
            assert!((0..kept).all(|at| moved.add(at).read() == (at % 251) as u8), "{size} bytes made {new}");
            old = (moved, new);
        }
        Allocator.dealloc(old.0, Layout::from_size_align(old.1, align).unwrap());
    }
}

#[test]
fn blocks_are_aligned_and_keep_what_is_in_them() {
    for size in SIZES {
        for align in ALIGNS {
            check(size, align, false);
            check(size, align, true);
        }
    }
}

#[test]
fn blocks_that_live_side_by_side_are_aligned_and_apart() {
    for size in 1..=2_048usize {
        let align = if size >= 16 { 16 } else { 1 << size.ilog2() };
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: sizes are not zero; every block is freed once, with its layout.
        unsafe {
            let blocks: Vec<*mut u8> = (0..40).map(|_| Allocator.alloc(layout)).collect();
            let mut starts: Vec<usize> = blocks.iter().map(|block| block.addr()).collect();
            starts.sort_unstable();
            assert!(starts.iter().all(|start| start % align == 0), "{size} bytes, aligned to {align}");
            assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= size), "{size} bytes, apart");
            blocks.into_iter().for_each(|block| Allocator.dealloc(block, layout));
        }
    }
}
