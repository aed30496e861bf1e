//! The memory behind every [`AlignedBuf`](crate::AlignedBuf): counted, limited, given back.
//!
//! ```
//! let before = jdb_alloc::pages::stats();
//! let buf = jdb_alloc::AlignedBuf::zeroed(1 << 20)?;
//! assert_eq!(jdb_alloc::pages::stats().lent_bytes - before.lent_bytes, 1 << 20);
//! # Ok::<(), jdb_alloc::Error>(())
//! ```

use crate::{Result, ffi};

/// Counts of bytes; each is exact for some moment near the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageStats {
    /// Owned by buffers.
    pub lent_bytes: u64,
    /// Freed and kept for the next allocation.
    pub cached_bytes: u64,
    /// Readable and writable address space.
    pub mapped_bytes: u64,
    /// Address space set aside in all.
    pub reserved_bytes: u64,
    /// The library's own tables.
    pub bookkeeping_bytes: u64,
    /// The limit; 0 means none.
    pub limit_bytes: u64,
}

/// The counts of this process.
pub fn stats() -> PageStats {
    let stats = ffi::pages::stats();
    PageStats {
        lent_bytes: stats.lent_bytes,
        cached_bytes: stats.cached_bytes,
        mapped_bytes: stats.mapped_bytes,
        reserved_bytes: stats.reserved_bytes,
        bookkeeping_bytes: stats.bookkeeping_bytes,
        limit_bytes: stats.limit_bytes,
    }
}

/// How much freed memory is kept, and how long; `None` means the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageOptions {
    /// How long freed memory is kept before it goes back to the system.
    pub delay: Option<std::time::Duration>,
    /// Most bytes of free pages that stay resident, and of the caches that threads share.
    pub dirty_bytes: Option<u64>,
    /// Most bytes that one thread keeps in large runs.
    pub thread_bytes: Option<u64>,
}

/// Sets the options for the process.
///
/// # Errors
/// None is known for options of this type.
pub fn set_options(options: PageOptions) -> Result<()> {
    let delay_ms = options.delay.map_or(0, |delay| match delay.as_millis() {
        0 => ffi::sys::JDB_DELAY_NONE,
        more => u32::try_from(more).unwrap_or(u32::MAX - 1),
    });
    ffi::pages::set_options(delay_ms, options.dirty_bytes.unwrap_or(0), options.thread_bytes.unwrap_or(0))
}

/// Sets the most bytes lent and kept together; `None` means no limit. Past it, allocations fail with
/// [`Error::AllocFailed`](crate::Error::AllocFailed).
///
/// # Errors
/// None is known.
pub fn set_limit(bytes: Option<u64>) -> Result<()> {
    ffi::pages::set_limit(bytes.map_or(0, |bytes| bytes.max(1)))
}

/// Gives all memory that is not lent back to the system; returns the bytes.
pub fn trim() -> u64 {
    ffi::pages::trim()
}

/// Hands the calling thread's cache to the other threads, for a thread that goes idle.
pub fn flush_thread() {
    ffi::pages::flush_thread();
}

/// How much of the page memory is resident: slow, for reports.
///
/// # Errors
/// ENOTSUP where the system has no call for it.
pub fn resident_bytes() -> Result<u64> {
    ffi::pages::resident_bytes()
}
