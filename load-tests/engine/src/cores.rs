//! Who runs where: the server under test has a core of its own, and the tool with its origin has the others.
//!
//! What shares a core takes turns: a tool that waits for its server's turn to end is late, and says nothing of the server.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// Leaves the first core to the server under test: the calling thread, and what it starts from now on, runs on the others.
/// Says which core that is; `None` where there is only one, and nothing is changed then.
///
/// # Errors
///
/// When the kernel refuses.
pub fn leave_one() -> Result<Option<u32>, Failure> {
    let all = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
    let Some(first) = cores.next() else { return Ok(None) };
    let mut others = CpuSet::new();
    cores.for_each(|core| others.set(core));
    if others.count() == 0 {
        return Ok(None);
    }
    sched_setaffinity(None, &others)?;
    Ok(Some(u32::try_from(first)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_that_is_left_is_not_used_by_what_is_started() {
        // A thread of its own: others of this process stay where they are.
        std::thread::spawn(|| {
            let before = sched_getaffinity(None).unwrap();
            let left = leave_one().unwrap();
            assert_eq!(left.is_some(), before.count() > 1);
            let inherited = std::thread::spawn(|| sched_getaffinity(None).unwrap()).join().unwrap();
            let expected = if left.is_some() { before.count() - 1 } else { 1 };
            assert_eq!(inherited.count(), expected);
            assert!(left.is_none_or(|core| !inherited.is_set(core as usize)));
        })
        .join()
        .unwrap();
    }
}
