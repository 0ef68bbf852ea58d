//! Short time slices for long work. Who shares a CPU with it, a reader perhaps, waits a tenth of a millisecond at a time
//! instead of the several milliseconds that the kernel gives to a thread that computes. Linux 6.12 and later hear it;
//! elsewhere nothing changes.

use std::marker::PhantomData;

/// While it lives, the thread that made it runs in short slices. It stays on that thread.
pub struct ShortSlices {
    #[cfg(target_os = "linux")]
    former: Option<libc::sched_attr>,
    _of_this_thread: PhantomData<*const ()>,
}

#[cfg(target_os = "linux")]
impl ShortSlices {
    /// The shortest that the kernel takes.
    const SLICE_NS: u64 = 100_000;

    pub fn begin() -> ShortSlices {
        let former = current().filter(|former| former.sched_policy == libc::SCHED_OTHER as u32);
        if let Some(former) = former {
            set(libc::sched_attr { sched_runtime: Self::SLICE_NS, ..former });
        }
        ShortSlices { former, _of_this_thread: PhantomData }
    }
}

#[cfg(target_os = "linux")]
impl Drop for ShortSlices {
    fn drop(&mut self) {
        if let Some(former) = self.former {
            set(former);
        }
    }
}

/// How the calling thread is scheduled.
#[cfg(target_os = "linux")]
fn current() -> Option<libc::sched_attr> {
    // SAFETY: plain numbers, of which all zeros are valid ones.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `size` bytes.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    (got == 0).then_some(attributes)
}

/// A refusal changes nothing, and costs nothing but time.
#[cfg(target_os = "linux")]
fn set(attributes: libc::sched_attr) {
    // SAFETY: the kernel reads as many bytes as the attributes say they have.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(not(target_os = "linux"))]
impl ShortSlices {
    pub fn begin() -> ShortSlices {
        ShortSlices { _of_this_thread: PhantomData }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A thread gets back what it had.
    #[test]
    fn restored() {
        let before = current().unwrap().sched_runtime;
        let slices = ShortSlices::begin();
        let during = current().unwrap().sched_runtime;
        drop(slices);
        assert_eq!(current().unwrap().sched_runtime, before);
        // An older kernel has no slices of a thread's own.
        assert!(during == ShortSlices::SLICE_NS || during == before, "{during}");
        println!("{before} {during}");
    }
}
