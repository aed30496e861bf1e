//! `Pool`: lends the frames of an arena.

mod frame;
mod wait;

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use frame::{Frame, SharedFrame};
pub use wait::{Get, GetMany};

use crate::ffi::{self, pool::Lent, sys};
use crate::{Arena, Error, Result};

/// Lends the frames of an [`Arena`] to tasks and threads. Cloning it is cheap.
///
/// ```
/// use jdb_alloc::Pool;
///
/// let pool = Pool::new(4096, 2)?;
/// let mut frame = pool.try_get()?;
/// frame.extend(b"page")?;
/// let second = pool.try_get()?;
/// assert!(pool.try_get().unwrap_err().is_empty_pool());
/// drop(frame); // goes back
/// assert!(pool.try_get().is_ok());
/// # drop(second);
/// # Ok::<(), jdb_alloc::Error>(())
/// ```
///
/// `pool.get().await` waits until a frame comes back, first come, first served. Dropping the future cancels the wait, so the
/// timeouts of any runtime work on it. A waker that panics when the frame comes ends the program, as C calls it.
#[derive(Clone)]
pub struct Pool(PoolRef);

/// A counted reference to a pool, or an uncounted one to a permanent pool.
pub(crate) struct PoolRef(NonNull<PoolMemory>);

pub(crate) struct PoolMemory {
    raw: ffi::pool::Raw,
    frame_size: usize,
    is_permanent: bool,
    /// Frames that were dropped while pinned, and how many there are: they are put by the first call that finds them
    /// unpinned.
    pinned_count: AtomicUsize,
    pinned: Mutex<Vec<Lent>>,
    /// Pins of frames that have ended, ever.
    unpin_count: AtomicUsize,
    /// Counts of `SharedFrame`s, by index of the frame. Where there is none the word is 0 or old.
    shares: Box<[AtomicU32]>,
    arena: Arena,
}

// SAFETY: any thread may call the pool's functions; the rest are atomics, a mutex and plain values.
unsafe impl Send for PoolMemory {}
// SAFETY: as above.
unsafe impl Sync for PoolMemory {}
// SAFETY: a reference to memory that any thread may use and free.
unsafe impl Send for PoolRef {}
// SAFETY: as above.
unsafe impl Sync for PoolRef {}

impl std::ops::Deref for PoolRef {
    type Target = PoolMemory;
    #[inline(always)]
    fn deref(&self) -> &PoolMemory {
        // SAFETY: counted, or permanent.
        unsafe { self.0.as_ref() }
    }
}

/// Permanent pools: Arcs that nobody gives back. They stand here so that leak checkers see that they are meant to stay.
static PERMANENT: Mutex<Vec<PoolRef>> = Mutex::new(Vec::new());

impl PoolRef {
    fn new(memory: PoolMemory) -> PoolRef {
        let pool = PoolRef(NonNull::new(Arc::into_raw(Arc::new(memory)).cast_mut()).expect("an Arc is not NULL"));
        if pool.is_permanent {
            PERMANENT.lock().unwrap_or_else(PoisonError::into_inner).push(pool.clone());
        }
        pool
    }
}

impl Clone for PoolRef {
    #[inline(always)]
    fn clone(&self) -> PoolRef {
        if !self.is_permanent {
            // SAFETY: the pointer is an Arc's, and this reference is counted.
            unsafe { Arc::increment_strong_count(self.0.as_ptr()) };
        }
        PoolRef(self.0)
    }
}

impl Drop for PoolRef {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.is_permanent {
            // SAFETY: the count of this reference.
            unsafe { Arc::decrement_strong_count(self.0.as_ptr()) };
        }
    }
}

impl Drop for PoolMemory {
    fn drop(&mut self) {
        self.put_unpinned();
        // SAFETY: the last reference: no call is under way, and every frame is back but for the pinned ones.
        if unsafe { ffi::pool::free(self.raw) }.is_err() {
            // Something is pinned still: the kernel may write there, so pool and arena stay.
            std::mem::forget(self.arena.clone());
        }
    }
}

impl PoolMemory {
    #[inline]
    fn get(&self) -> Result<Lent> {
        // SAFETY: the pool is alive.
        match unsafe { ffi::pool::get(self.raw) } {
            Ok(frame) => Ok(frame),
            Err(error) => self.get_after(error),
        }
    }

    /// ERANGE before room for so many handles is allocated.
    fn check_count(&self, count: u32) -> Result<()> {
        if count > self.arena.max_frame_count() { Err(Error::from_code(-ffi::ERANGE)) } else { Ok(()) }
    }

    #[cold]
    fn get_after(&self, error: Error) -> Result<Lent> {
        if self.put_unpinned() == 0 {
            return Err(error);
        }
        // SAFETY: the pool is alive.
        unsafe { ffi::pool::get(self.raw) }
    }

    #[inline]
    fn put(&self, frame: Lent) {
        // SAFETY: the pool is alive.
        let code = unsafe { ffi::pool::put(self.raw, frame) };
        if code != 0 {
            self.keep_refused(code, frame);
        }
        if self.pinned_count.load(Ordering::Relaxed) != 0 {
            self.put_unpinned();
        }
    }

    /// A pinned frame is put later. In a child of fork() the frames are the parent's, and nothing is put.
    #[cold]
    fn keep_refused(&self, code: i32, frame: Lent) {
        debug_assert!(code == -ffi::EBUSY || code == -1, "a frame is put once, where it was got: {code}");
        if code == -ffi::EBUSY {
            let mut frames = self.pinned_frames();
            frames.push(frame);
            self.pinned_count.fetch_add(1, Ordering::SeqCst); // under the lock, so that no count is below what is taken
        }
    }

    fn pinned_frames(&self) -> MutexGuard<'_, Vec<Lent>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After the end of a pin of a frame.
    pub(crate) fn put_after_unpin(&self) {
        self.unpin_count.fetch_add(1, Ordering::SeqCst);
        self.put_unpinned();
    }

    /// Puts the frames that were dropped while pinned and are pinned no more; returns how many.
    fn put_unpinned(&self) -> usize {
        let mut put_count = 0;
        while self.pinned_count.load(Ordering::SeqCst) != 0 {
            let unpin_count = self.unpin_count.load(Ordering::SeqCst);
            put_count += self.put_kept();
            // A pin that ended after its frame was tried, and before it was kept again, left it to this thread.
            if self.unpin_count.load(Ordering::SeqCst) == unpin_count {
                break;
            }
        }
        put_count
    }

    /// Tries each of the frames that are kept. Callbacks of waiters run in a put, and may come back here: the lock is not held
    /// meanwhile.
    fn put_kept(&self) -> usize {
        let kept = {
            let mut frames = self.pinned_frames();
            self.pinned_count.fetch_sub(frames.len(), Ordering::Relaxed);
            std::mem::take(&mut *frames)
        };
        let mut put_count = 0;
        for frame in kept {
            // SAFETY: the pool is alive.
            match unsafe { ffi::pool::put(self.raw, frame) } {
                0 => put_count += 1,
                code => self.keep_refused(code, frame),
            }
        }
        put_count
    }
}

/// What a frame is filled with zeros for before it is lent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZeroPolicy {
    /// Nothing: it holds what was last written to it, in memory that is not initialised as far as Rust knows.
    #[default]
    Never,
    /// The bytes between the frame's size and the next frame, which a write of whole blocks takes along.
    Tail,
    /// All of it.
    Always,
}

/// Options of a pool: see [`Pool::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct PoolBuilder {
    arena: Arena,
    zero: ZeroPolicy,
    thread_frames: u32,
    is_permanent: bool,
}

impl PoolBuilder {
    /// What is zeroed before a frame is lent again. Default: nothing.
    pub fn zero(mut self, policy: ZeroPolicy) -> Self {
        self.zero = policy;
        self
    }

    /// Most frames that one thread's cache keeps, 2 to 64.
    pub fn thread_frames(mut self, count: u32) -> Self {
        self.thread_frames = count;
        self
    }

    /// The pool is never freed, so its frames need no count of references: two atomic operations less for each frame.
    pub fn permanent(mut self, wanted: bool) -> Self {
        self.is_permanent = wanted;
        self
    }

    /// Makes the pool.
    ///
    /// # Errors
    /// EBUSY when another pool lends the arena's frames; [`Error::AllocFailed`].
    pub fn build(self) -> Result<Pool> {
        let options = sys::jdb_pool_options {
            size: ffi::size_of_u32::<sys::jdb_pool_options>(),
            zero_policy: match self.zero {
                ZeroPolicy::Never => sys::JDB_POOL_ZERO_NEVER,
                ZeroPolicy::Tail => sys::JDB_POOL_ZERO_TAIL,
                ZeroPolicy::Always => sys::JDB_POOL_ZERO_ALWAYS,
            },
            thread_frames: self.thread_frames,
            ..Default::default()
        };
        let most = self.arena.max_frame_count() as usize;
        // SAFETY: the pool keeps the arena.
        let raw = unsafe { ffi::pool::new(self.arena.raw(), &options) }?;
        Ok(Pool(PoolRef::new(PoolMemory {
            raw,
            frame_size: self.arena.frame_size(),
            is_permanent: self.is_permanent,
            pinned_count: AtomicUsize::new(0),
            pinned: Mutex::new(Vec::new()),
            unpin_count: AtomicUsize::new(0),
            shares: (0..most).map(|_| AtomicU32::new(0)).collect(),
            arena: self.arena,
        })))
    }
}

impl Pool {
    /// A pool of `frame_count` frames of `frame_size` bytes, in an arena of its own.
    ///
    /// # Errors
    /// As [`ArenaBuilder::build`](crate::ArenaBuilder::build).
    pub fn new(frame_size: usize, frame_count: u32) -> Result<Pool> {
        Pool::over(&Arena::new(frame_size, frame_count)?)
    }

    /// A pool over an arena; one at a time.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    pub fn over(arena: &Arena) -> Result<Pool> {
        Pool::builder(arena).build()
    }

    /// A pool with options.
    pub fn builder(arena: &Arena) -> PoolBuilder {
        PoolBuilder { arena: arena.clone(), zero: ZeroPolicy::Never, thread_frames: 0, is_permanent: false }
    }

    /// The arena that the frames lie in.
    pub fn arena(&self) -> &Arena {
        &self.0.arena
    }

    /// Lends also the frames that the arena has grown by; returns how many the pool has now.
    ///
    /// # Errors
    /// None is known for a pool of this process.
    pub fn extend(&self) -> Result<u32> {
        // SAFETY: the pool is alive.
        unsafe { ffi::pool::extend(self.0.raw) }
    }

    /// A frame, without waiting.
    ///
    /// # Errors
    /// EAGAIN when every frame is lent: [`Error::is_empty_pool`].
    #[inline]
    pub fn try_get(&self) -> Result<Frame> {
        let frame = self.0.get()?;
        Ok(Frame::new(self.0.clone(), frame))
    }

    /// `count` frames at once or none, without waiting.
    ///
    /// # Errors
    /// EAGAIN when so many are not there; ERANGE when the pool has fewer.
    pub fn try_get_many(&self, count: u32) -> Result<Vec<Frame>> {
        self.0.check_count(count)?;
        self.0.put_unpinned();
        // SAFETY: the pool is alive.
        let frames = unsafe { ffi::pool::get_n(self.0.raw, count) }?;
        Ok(frames.into_iter().map(|frame| Frame::new(self.0.clone(), frame)).collect())
    }

    /// A frame, when one is there. Dropping the future cancels the wait.
    ///
    /// The future ends with an error only where the pool has no frame at all.
    pub fn get(&self) -> Get {
        Get::new(self.0.clone())
    }

    /// `count` frames at once, when so many are there. Dropping the future cancels the wait. Give back what you hold before you
    /// wait for more, or two tasks wait for each other.
    ///
    /// The future ends with ERANGE where the pool has fewer frames.
    pub fn get_many(&self, count: u32) -> GetMany {
        GetMany::new(self.0.clone(), count)
    }

    /// A frame; blocks the thread until one is there.
    ///
    /// # Errors
    /// ERANGE when the pool has no frame at all.
    pub fn get_blocking(&self) -> Result<Frame> {
        self.wait_until(sys::JDB_DEADLINE_NONE)
    }

    /// As [`Pool::get_blocking`], for at most `timeout`.
    ///
    /// # Errors
    /// ETIMEDOUT, never early: [`Error::is_timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<Frame> {
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.wait_until(ffi::pool::clock_ns().saturating_add(ns))
    }

    /// As [`Pool::get_blocking`], until `deadline`.
    ///
    /// # Errors
    /// As [`Pool::get_timeout`].
    pub fn get_deadline(&self, deadline: Instant) -> Result<Frame> {
        self.get_timeout(deadline.saturating_duration_since(Instant::now()))
    }

    fn wait_until(&self, deadline_ns: u64) -> Result<Frame> {
        self.0.put_unpinned();
        // SAFETY: the pool is alive.
        let frame = unsafe { ffi::pool::get_wait(self.0.raw, deadline_ns) }?;
        Ok(Frame::new(self.0.clone(), frame))
    }

    /// Counts of the pool.
    ///
    /// # Errors
    /// None is known for a pool of this process.
    pub fn stats(&self) -> Result<PoolStats> {
        // SAFETY: the pool is alive.
        let stats = unsafe { ffi::pool::stats(self.0.raw) }?;
        Ok(PoolStats {
            frame_count: stats.frame_count,
            lent_count: stats.lent_count,
            cached_count: stats.cached_count,
            waiter_count: stats.waiter_count,
            wait_count: stats.wait_count,
            cancel_count: stats.cancel_count,
            timeout_count: stats.timeout_count,
            aside_count: stats.aside_count,
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pool").field("arena", &self.0.arena).finish()
    }
}

/// Counts of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Frames of the pool.
    pub frame_count: u32,
    /// Of them lent.
    pub lent_count: u32,
    /// Of them in caches of threads.
    pub cached_count: u32,
    /// Tasks and threads that wait now.
    pub waiter_count: u32,
    /// Waits that were queued, ever.
    pub wait_count: u64,
    /// Of them cancelled.
    pub cancel_count: u64,
    /// Of them ended by their deadline.
    pub timeout_count: u64,
    /// Frames whose generations are used up, set aside until no other frame is free.
    pub aside_count: u64,
}
