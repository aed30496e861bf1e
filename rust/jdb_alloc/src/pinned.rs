//! `Pinned`: memory that the kernel may touch.

use std::ptr::NonNull;

use crate::pool::PoolRef;
use crate::{AlignedBuf, Result, ffi};

/// A pin: while it is there, the memory is neither freed nor moved, whatever becomes of its owner. A buffer or frame that is
/// dropped meanwhile is freed by its last pin.
///
/// ```
/// let pool = jdb_alloc::Pool::new(4096, 1)?;
/// let frame = pool.try_get()?;
/// let pin = frame.pin()?;
/// drop(frame);
/// assert!(pool.try_get().is_err()); // the kernel may touch it still
/// drop(pin);
/// assert!(pool.try_get().is_ok());
/// # Ok::<(), jdb_alloc::Error>(())
/// ```
#[derive(Debug)]
pub struct Pinned {
    ptr: NonNull<u8>,
    size: usize,
    pool: Option<PoolRef>,
}

// SAFETY: any thread may unpin; the memory is not touched through this.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

impl Pinned {
    pub(crate) fn new(ptr: NonNull<u8>, size: usize, pool: Option<PoolRef>) -> Result<Pinned> {
        // SAFETY: the owner is borrowed by the caller during the call.
        unsafe { ffi::pin::pin(ptr.as_ptr(), size) }?;
        Ok(Pinned { ptr, size, pool })
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *const u8 {
        self.ptr.as_ptr()
    }

    /// Bytes that are pinned.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: pinned by `new`, unpinned here alone.
        let unpinned = unsafe { ffi::pin::unpin(self.ptr.as_ptr(), self.size) };
        debug_assert!(unpinned.is_ok(), "unpinned once: {unpinned:?}");
        if let Some(pool) = &self.pool {
            pool.put_after_unpin();
        }
    }
}

impl AlignedBuf {
    /// Pins the memory: dropped or not, it is not freed before the pin is dropped, and does not move. For system calls of
    /// your own; the runtimes' reads and writes need no pin, because they own the buffer.
    ///
    /// # Errors
    /// EBUSY at millions of pins at once.
    pub fn pin(&self) -> Result<Pinned> {
        // SAFETY: not NULL: a buffer always has memory.
        let ptr = unsafe { NonNull::new_unchecked(self.as_ptr().cast_mut()) };
        Pinned::new(ptr, self.cap(), None)
    }
}

/// Whether the buffer or frame that `memory` lies in is pinned at this moment.
pub fn is_pinned(memory: &[u8]) -> bool {
    !memory.is_empty() && ffi::pin::is_pinned(memory.as_ptr(), memory.len())
}

impl std::fmt::Debug for PoolRef {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("PoolRef")
    }
}
