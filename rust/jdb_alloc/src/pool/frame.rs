//! `Frame`: lent by a pool to one owner; `SharedFrame`: to several readers.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::PoolRef;
use crate::contents::{impl_contents, impl_readable};
use crate::ffi::{self, pool::Lent};
use crate::{Pinned, Result};

/// A frame of a [`Pool`](crate::Pool), owned: nobody else reaches its memory, and dropping it gives it back.
///
/// It goes into the reads and writes of every supported runtime by value, and comes back with the result. When the future of a
/// read is dropped, the runtime keeps the frame until the kernel is done with it, and gives it back then.
///
/// A new frame has length 0; what is in it is not initialised ([`ZeroPolicy::Always`](crate::ZeroPolicy) and
/// [`Frame::resize`] fill it).
pub struct Frame {
    ptr: NonNull<u8>,
    len: usize,
    cap: usize,
    lent: Lent,
    pool: PoolRef,
}

impl_contents!(Frame, "Frame");

impl Frame {
    #[inline(always)]
    pub(super) fn new(pool: PoolRef, lent: Lent) -> Frame {
        Frame { ptr: lent.ptr, len: 0, cap: pool.frame_size, lent, pool }
    }

    /// The number of the frame in its arena.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.lent.index()
    }

    /// Which lending of the frame this is.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        self.lent.generation()
    }

    /// Makes it readable by many: while it is written to disk, or as [`Bytes`](https://docs.rs/bytes) of a value in it. Nothing
    /// is copied and nothing is allocated.
    #[inline]
    pub fn freeze(self) -> SharedFrame {
        let parts = ManuallyDrop::new(self);
        // SAFETY: moved out of, and not used again.
        let pool = unsafe { std::ptr::read(&parts.pool) };
        pool.shares[parts.lent.index() as usize].store(1, Ordering::Relaxed);
        SharedFrame { ptr: parts.ptr, len: parts.len, cap: parts.cap, lent: parts.lent, pool }
    }

    /// Pins the memory: from now on the frame does not go back to the pool, dropped or not, before the pin is dropped. For system
    /// calls of your own; the runtimes' reads and writes need no pin, because they own the frame.
    ///
    /// # Errors
    /// EBUSY at millions of pins at once.
    pub fn pin(&self) -> Result<Pinned> {
        Pinned::new(self.ptr, self.cap, Some(self.pool.clone()))
    }

    /// Gives the memory back to the system while the frame stays lent; returns the bytes. The length is 0 then, and what is
    /// read is zero.
    ///
    /// # Errors
    /// EBUSY when it is pinned or registered with a ring; ENOTSUP on reserved huge pages. Nothing is changed then.
    pub fn decommit(&mut self) -> Result<u64> {
        // SAFETY: the frame is ours alone.
        let bytes = unsafe { ffi::arena::decommit(self.pool.arena.raw(), self.lent.index(), 1) }?;
        self.len = 0;
        Ok(bytes)
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        self.pool.put(self.lent);
    }
}

/// A frame that many read, made by [`Frame::freeze`]. Cloning it counts; the last one gives the frame back.
///
/// A page cache writes a page to disk from a clone while readers go on with theirs, and no byte is copied.
pub struct SharedFrame {
    ptr: NonNull<u8>,
    len: usize,
    cap: usize,
    lent: Lent,
    pool: PoolRef,
}

impl_readable!(SharedFrame);

impl SharedFrame {
    #[inline(always)]
    fn count(&self) -> &AtomicU32 {
        &self.pool.shares[self.lent.index() as usize]
    }

    /// Bytes that are data.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory.
    #[inline(always)]
    pub fn cap(&self) -> usize {
        self.cap
    }

    /// Whether the length is 0.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const u8 {
        self.ptr.as_ptr()
    }

    /// The number of the frame in its arena.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.lent.index()
    }

    /// How many there are now; others may be cloned or dropped meanwhile.
    pub fn share_count(&self) -> u32 {
        self.count().load(Ordering::Relaxed)
    }

    /// The frame, to write again, when this is the only one left.
    ///
    /// # Errors
    /// The same when others read it.
    pub fn try_thaw(self) -> std::result::Result<Frame, SharedFrame> {
        // A count of 1 is ours: nobody can clone what nobody else has. Acquire: what the others read was before.
        if self.count().load(Ordering::Acquire) != 1 {
            return Err(self);
        }
        let parts = ManuallyDrop::new(self);
        // SAFETY: moved out of, and not used again.
        let pool = unsafe { std::ptr::read(&parts.pool) };
        Ok(Frame { ptr: parts.ptr, len: parts.len, cap: parts.cap, lent: parts.lent, pool })
    }

    /// As [`Frame::pin`].
    ///
    /// # Errors
    /// As there.
    pub fn pin(&self) -> Result<Pinned> {
        Pinned::new(self.ptr, self.cap, Some(self.pool.clone()))
    }
}

impl Clone for SharedFrame {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.count().fetch_add(1, Ordering::Relaxed);
        if before > u32::MAX / 2 {
            std::process::abort(); // a count that wraps would free memory in use, as in Arc
        }
        SharedFrame { pool: self.pool.clone(), ..*self }
    }
}

impl Drop for SharedFrame {
    #[inline]
    fn drop(&mut self) {
        if self.count().fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        self.pool.put(self.lent);
    }
}
