//! Every call into the C library. Nothing else in the crate names a C function, so a change of the C interface is a change of
//! this file (and of `ring/ffi.rs` for io_uring).
//!
//! The functions are as thin as can be: they turn return codes into [`Result`] and keep C's ownership rules in their safety
//! sections.

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

pub(crate) use jdb_alloc_sys as sys;

use crate::{Error, Result};

// Numbers of Linux, which other systems share up to 34; those above are asked for by name where they differ.
pub(crate) const EAGAIN: c_int = if cfg!(target_os = "macos") { 35 } else { 11 };
pub(crate) const ENOMEM: c_int = 12;
pub(crate) const EBUSY: c_int = 16;
pub(crate) const EINVAL: c_int = 22;
pub(crate) const ERANGE: c_int = 34;
pub(crate) const EOVERFLOW: c_int = if cfg!(target_os = "macos") { 84 } else { 75 };
pub(crate) const ENOBUFS: c_int = if cfg!(target_os = "macos") { 55 } else { 105 };
pub(crate) const ETIMEDOUT: c_int = if cfg!(target_os = "macos") { 60 } else { 110 };
#[cfg(all(feature = "uring", target_os = "linux"))]
pub(crate) const ECANCELED: c_int = 125;

/// 0 or more is success.
#[inline]
pub(crate) fn check(code: c_int) -> Result<()> {
    if code >= 0 { Ok(()) } else { Err(failed(code)) }
}

#[cold]
fn failed(code: c_int) -> Error {
    Error::from_code(code)
}

/// A word that C has just stored, loaded with its own size. Left alone, the compiler copies two words by one load of 16 bytes,
/// which waits until both stores have left the store buffer: 5 ns of the 10 that a buffer took.
///
/// # Safety
/// Valid for a read, and initialised.
#[inline(always)]
unsafe fn word<T: Copy>(at: *const T) -> T {
    // SAFETY: the caller's promise.
    unsafe { at.read_volatile() }
}

/// The `size` field of a struct that carries its size.
pub(crate) const fn size_of_u32<T>() -> u32 {
    size_of::<T>() as u32
}

pub(crate) fn strerror(code: c_int) -> &'static str {
    // SAFETY: a static string, never NULL.
    crate::error::text_of(unsafe { CStr::from_ptr(sys::jdb_strerror(code)) })
}

pub(crate) fn version() -> u32 {
    // SAFETY: no argument.
    unsafe { sys::jdb_version() }
}

/// What a C function of snprintf's form writes.
pub(crate) fn formatted(write: impl Fn(*mut std::ffi::c_char, usize) -> c_int) -> String {
    let mut text = vec![0u8; write(ptr::null_mut(), 0).max(0) as usize + 1];
    write(text.as_mut_ptr().cast(), text.len());
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
    String::from_utf8_lossy(&text).into_owned()
}

/// A text that the library keeps for ever; empty for NULL. Only for pointers that the library filled in.
pub(crate) fn static_text(text: *const std::ffi::c_char) -> &'static str {
    // SAFETY: reports of the library hold NULL or static strings.
    if text.is_null() { "" } else { crate::error::text_of(unsafe { CStr::from_ptr(text) }) }
}

/// The text in a fixed array of a C struct.
pub(crate) fn array_text(array: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = array.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn c_path(path: &std::path::Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::from_code(-EINVAL))
}

/// Buffers. `jdb_buf` is the layout of [`AlignedBuf`](crate::AlignedBuf).
pub(crate) mod buf {
    use super::*;

    type Words = sys::jdb_buf;

    #[inline(always)]
    fn made(make: impl FnOnce(*mut Words) -> c_int) -> Result<Words> {
        let mut words = MaybeUninit::<Words>::uninit();
        let at = words.as_mut_ptr();
        check(make(at))?;
        // SAFETY: a constructor fills all three words.
        Ok(unsafe {
            Words { ptr: word(&raw const (*at).ptr), len: word(&raw const (*at).len), cap: word(&raw const (*at).cap) }
        })
    }

    #[inline]
    pub(crate) fn with_cap(cap: usize) -> Result<Words> {
        // SAFETY: the constructor takes room for three words.
        made(|words| unsafe { sys::jdb_buf_with_cap(words, cap) })
    }

    pub(crate) fn with_cap_aligned(cap: usize, align: usize) -> Result<Words> {
        // SAFETY: as above.
        made(|words| unsafe { sys::jdb_buf_with_cap_aligned(words, cap, align) })
    }

    pub(crate) fn with_max(cap: usize, max: usize) -> Result<Words> {
        // SAFETY: as above.
        made(|words| unsafe { sys::jdb_buf_with_max(words, cap, max) })
    }

    #[inline]
    pub(crate) fn zeroed(size: usize) -> Result<Words> {
        // SAFETY: as above.
        made(|words| unsafe { sys::jdb_buf_zeroed(words, size) })
    }

    #[inline]
    pub(crate) fn page() -> Result<Words> {
        // SAFETY: as above.
        made(|words| unsafe { sys::jdb_buf_page(words) })
    }

    pub(crate) fn try_clone(from: &Words) -> Result<Words> {
        // SAFETY: as above; the source is a buffer.
        made(|words| unsafe { sys::jdb_buf_try_clone(from, words) })
    }

    #[inline]
    pub(crate) fn free(words: &mut Words) {
        // SAFETY: the words are a buffer, or are detected not to be one, which aborts.
        unsafe { sys::jdb_buf_drop(words) }
    }

    pub(crate) fn reserve(words: &mut Words, additional: usize) -> Result<()> {
        // SAFETY: the words are a buffer.
        check(unsafe { sys::jdb_buf_reserve(words, additional) })
    }

    pub(crate) fn shrink(words: &mut Words) -> Result<()> {
        // SAFETY: the words are a buffer.
        check(unsafe { sys::jdb_buf_shrink(words) })
    }

    pub(crate) fn refit_tail(words: &mut Words, data_len: usize, align: usize) -> Result<usize> {
        let mut kept = 0;
        // SAFETY: the words are a buffer.
        check(unsafe { sys::jdb_buf_refit_tail(words, data_len, align, &mut kept) })?;
        Ok(kept)
    }
}

/// Arenas.
pub(crate) mod arena {
    use super::*;

    /// # Safety
    /// Pointers in the options are valid for the call; nothing else refers to memory of the caller.
    pub(crate) unsafe fn new(options: &sys::jdb_arena_options) -> Result<NonNull<sys::jdb_arena>> {
        let mut arena = ptr::null_mut();
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_arena_new(options, &mut arena) })?;
        Ok(NonNull::new(arena).expect("an arena on success"))
    }

    /// # Safety
    /// The arena is alive, and this is the last use of it where it returns `Ok`.
    pub(crate) unsafe fn free(arena: NonNull<sys::jdb_arena>) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_arena_free(arena.as_ptr()) })
    }

    /// # Safety
    /// The arena is alive. So for the functions below.
    pub(crate) unsafe fn grow(arena: NonNull<sys::jdb_arena>, frame_count: u32) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_arena_grow(arena.as_ptr(), frame_count) })
    }

    /// # Safety
    /// The arena is alive, and nobody uses the frames.
    pub(crate) unsafe fn decommit(arena: NonNull<sys::jdb_arena>, first: u32, count: u32) -> Result<u64> {
        let mut bytes = 0;
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_arena_decommit(arena.as_ptr(), first, count, &mut bytes) })?;
        Ok(bytes)
    }

    pub(crate) unsafe fn frame_size(arena: NonNull<sys::jdb_arena>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_arena_frame_size(arena.as_ptr()) as usize }
    }

    pub(crate) unsafe fn stride(arena: NonNull<sys::jdb_arena>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_arena_stride(arena.as_ptr()) as usize }
    }

    pub(crate) unsafe fn frame_count(arena: NonNull<sys::jdb_arena>) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_arena_frame_count(arena.as_ptr()) }
    }

    pub(crate) unsafe fn max_frame_count(arena: NonNull<sys::jdb_arena>) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_arena_max_frame_count(arena.as_ptr()) }
    }

    #[cfg(feature = "uring")]
    pub(crate) unsafe fn base(arena: NonNull<sys::jdb_arena>) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_arena_base(arena.as_ptr()) }
    }

    pub(crate) unsafe fn report(arena: NonNull<sys::jdb_arena>) -> Result<Box<sys::jdb_arena_report>> {
        let mut report =
            Box::new(sys::jdb_arena_report { size: size_of_u32::<sys::jdb_arena_report>(), ..Default::default() });
        // SAFETY: the caller's promise; the report carries its size.
        check(unsafe { sys::jdb_arena_get_report(arena.as_ptr(), &mut *report) })?;
        Ok(report)
    }

    pub(crate) fn report_text(report: &sys::jdb_arena_report) -> String {
        // SAFETY: room for `size` bytes at `text`.
        formatted(|text, size| unsafe { sys::jdb_arena_report_format(report, text, size) })
    }
}

/// Pools. Every function needs a pool that is alive, and but for `free` may be called from any thread.
pub(crate) mod pool {
    use super::*;

    pub(crate) type Raw = NonNull<sys::jdb_pool>;

    /// A frame that is lent. Index and generation are one word, because two halves that are stored and then loaded as one (to be
    /// copied, or passed to C) wait for the store buffer, as in [`word`].
    #[derive(Clone, Copy)]
    pub(crate) struct Lent {
        pub(crate) ptr: NonNull<u8>,
        handle: u64,
    }

    impl Lent {
        /// # Safety
        /// `frame` was filled by the library.
        #[inline(always)]
        pub(crate) unsafe fn of(frame: *const sys::jdb_frame) -> Lent {
            // SAFETY: the caller's promise; a frame that is lent has an address.
            unsafe {
                let (index, gen_) = (word(&raw const (*frame).index), word(&raw const (*frame).gen_));
                let ptr = NonNull::new_unchecked(word(&raw const (*frame).ptr));
                Lent { ptr, handle: u64::from(index) | (u64::from(gen_) << 32) }
            }
        }

        #[inline(always)]
        pub(crate) fn index(self) -> u32 {
            self.handle as u32
        }

        #[inline(always)]
        pub(crate) fn generation(self) -> u32 {
            (self.handle >> 32) as u32
        }
    }

    /// # Safety
    /// The arena is alive and outlives the pool.
    pub(crate) unsafe fn new(arena: NonNull<sys::jdb_arena>, options: &sys::jdb_pool_options) -> Result<Raw> {
        let mut pool = ptr::null_mut();
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pool_new(arena.as_ptr(), options, &mut pool) })?;
        Ok(NonNull::new(pool).expect("a pool on success"))
    }

    /// # Safety
    /// No other call on the pool is under way, and this is the last one where it returns `Ok`.
    pub(crate) unsafe fn free(pool: Raw) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pool_free(pool.as_ptr()) })
    }

    pub(crate) unsafe fn extend(pool: Raw) -> Result<u32> {
        let mut count = 0;
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pool_extend(pool.as_ptr(), &mut count) })?;
        Ok(count)
    }

    #[inline]
    pub(crate) unsafe fn get(pool: Raw) -> Result<Lent> {
        let mut frame = MaybeUninit::<sys::jdb_frame>::uninit();
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pool_get(pool.as_ptr(), frame.as_mut_ptr()) })?;
        // SAFETY: filled on success.
        Ok(unsafe { Lent::of(frame.as_ptr()) })
    }

    pub(crate) unsafe fn get_n(pool: Raw, count: u32) -> Result<Vec<Lent>> {
        let mut frames: Vec<sys::jdb_frame> = Vec::with_capacity(count as usize);
        // SAFETY: the caller's promise; there is room for `count` handles.
        check(unsafe { sys::jdb_pool_get_n(pool.as_ptr(), count, frames.as_mut_ptr()) })?;
        // SAFETY: all are filled on success.
        unsafe { frames.set_len(count as usize) };
        // SAFETY: as above.
        Ok(frames.iter().map(|frame| unsafe { Lent::of(frame) }).collect())
    }

    pub(crate) unsafe fn get_wait(pool: Raw, deadline_ns: u64) -> Result<Lent> {
        let mut frame = MaybeUninit::<sys::jdb_frame>::uninit();
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pool_get_wait(pool.as_ptr(), 1, deadline_ns, ptr::null_mut(), frame.as_mut_ptr()) })?;
        // SAFETY: filled on success.
        Ok(unsafe { Lent::of(frame.as_ptr()) })
    }

    #[inline]
    pub(crate) unsafe fn put(pool: Raw, lent: Lent) -> c_int {
        let frame = sys::jdb_frame { ptr: lent.ptr.as_ptr(), index: lent.index(), gen_: lent.generation() };
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_pool_put(pool.as_ptr(), frame) }
    }

    pub(crate) fn wait_init(
        on_frames: unsafe extern "C" fn(*mut sys::jdb_pool_wait),
        user: *mut c_void,
    ) -> sys::jdb_pool_wait {
        let mut wait = MaybeUninit::uninit();
        // SAFETY: room for an entry, which the function fills.
        unsafe {
            sys::jdb_pool_wait_init(wait.as_mut_ptr(), Some(on_frames), user);
            wait.assume_init()
        }
    }

    /// # Safety
    /// `wait` and `frames` stay in place until the callback has begun or [`wait_cancel`] has returned true.
    pub(crate) unsafe fn wait_start(
        pool: Raw,
        wait: *mut sys::jdb_pool_wait,
        frames: *mut sys::jdb_frame,
        count: u32,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_pool_wait_start(pool.as_ptr(), wait, count, frames) }
    }

    /// Whether the entry was queued: no callback will come.
    ///
    /// # Safety
    /// The entry was started.
    pub(crate) unsafe fn wait_cancel(pool: Raw, wait: *mut sys::jdb_pool_wait) -> bool {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_pool_wait_cancel(pool.as_ptr(), wait) == 0 }
    }

    pub(crate) unsafe fn stats(pool: Raw) -> Result<sys::jdb_pool_stats> {
        let mut stats = sys::jdb_pool_stats { size: size_of_u32::<sys::jdb_pool_stats>(), ..Default::default() };
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pool_get_stats(pool.as_ptr(), &mut stats) })?;
        Ok(stats)
    }

    pub(crate) fn clock_ns() -> u64 {
        // SAFETY: no argument.
        unsafe { sys::jdb_clock_ns() }
    }
}

/// Pins.
pub(crate) mod pin {
    use super::*;

    /// # Safety
    /// Nobody frees the memory during the call.
    pub(crate) unsafe fn pin(ptr: *const u8, size: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_pin(ptr.cast(), size) })
    }

    /// # Safety
    /// The range was pinned.
    pub(crate) unsafe fn unpin(ptr: *const u8, size: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_unpin(ptr.cast(), size) })
    }

    pub(crate) fn is_pinned(ptr: *const u8, size: usize) -> bool {
        // SAFETY: any address may be asked about.
        unsafe { sys::jdb_is_pinned(ptr.cast(), size) }
    }
}

/// Files.
pub(crate) mod file {
    use super::*;

    pub(crate) type Raw = NonNull<sys::jdb_file>;
    pub(crate) type RawReport = Box<sys::jdb_file_report>;

    pub(crate) fn new_report() -> RawReport {
        Box::new(sys::jdb_file_report { size: size_of_u32::<sys::jdb_file_report>(), ..Default::default() })
    }

    pub(crate) fn open(
        path: &CStr,
        options: &sys::jdb_file_options,
        report: &mut sys::jdb_file_report,
    ) -> (c_int, Option<Raw>) {
        let mut file = ptr::null_mut();
        // SAFETY: all three are valid for the call.
        let code = unsafe { sys::jdb_file_open(path.as_ptr(), options, report, &mut file) };
        (code, NonNull::new(file))
    }

    /// # Safety
    /// The file is open, so for all below; this is the last call.
    pub(crate) unsafe fn close(file: Raw) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_file_close(file.as_ptr()) })
    }

    /// # Safety
    /// `view` may be written within its capacity.
    pub(crate) unsafe fn read(
        file: Raw,
        view: &mut sys::jdb_raw,
        offset: i64,
        report: &mut sys::jdb_file_report,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_file_read_full(file.as_ptr(), view, offset, report) }
    }

    pub(crate) unsafe fn write(file: Raw, data: &[u8], offset: i64, report: &mut sys::jdb_file_report) -> c_int {
        // SAFETY: the caller's promise; the library reads the bytes only.
        unsafe { sys::jdb_file_write_full(file.as_ptr(), view_of(data), offset, report) }
    }

    pub(crate) unsafe fn write_atomic(file: Raw, data: &[u8], offset: i64, report: &mut sys::jdb_file_report) -> c_int {
        // SAFETY: as above.
        unsafe { sys::jdb_file_write_atomic(file.as_ptr(), view_of(data), offset, report) }
    }

    pub(crate) unsafe fn write_zeros(file: Raw, offset: i64, size: u64, report: &mut sys::jdb_file_report) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_file_write_zeros(file.as_ptr(), offset, size, report) }
    }

    pub(crate) unsafe fn truncate(file: Raw, size: i64) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_file_truncate(file.as_ptr(), size) })
    }

    pub(crate) unsafe fn sync(file: Raw, durability: u32) -> Result<()> {
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_file_sync(file.as_ptr(), durability) })
    }

    /// The first error that the file keeps, or 0.
    pub(crate) unsafe fn error(file: Raw) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_file_error(file.as_ptr()) }
    }

    pub(crate) unsafe fn clear_error(file: Raw) {
        // SAFETY: the caller's promise. It fails for NULL alone.
        unsafe { sys::jdb_file_clear_error(file.as_ptr()) };
    }

    pub(crate) fn sync_directory(path: &CStr) -> Result<()> {
        // SAFETY: a string.
        check(unsafe { sys::jdb_file_sync_directory(path.as_ptr()) })
    }

    pub(crate) unsafe fn limits(file: Raw) -> Result<sys::jdb_direct> {
        let mut limits = direct::empty();
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_file_limits(file.as_ptr(), &mut limits) })?;
        Ok(limits)
    }

    pub(crate) unsafe fn modes(file: Raw) -> (u32, u32) {
        // SAFETY: the caller's promise.
        unsafe { (sys::jdb_file_read_mode(file.as_ptr()), sys::jdb_file_write_mode(file.as_ptr())) }
    }

    pub(crate) unsafe fn reason(file: Raw) -> String {
        // SAFETY: the caller's promise; a string that lives as long as the file.
        unsafe { CStr::from_ptr(sys::jdb_file_reason(file.as_ptr())).to_string_lossy().into_owned() }
    }

    pub(crate) unsafe fn descriptor(file: Raw) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { sys::jdb_file_descriptor(file.as_ptr()) }
    }

    pub(crate) unsafe fn size(file: Raw) -> Result<i64> {
        let mut size = 0;
        // SAFETY: the caller's promise.
        check(unsafe { sys::jdb_file_size(file.as_ptr(), &mut size) })?;
        Ok(size)
    }

    fn view_of(data: &[u8]) -> sys::jdb_raw {
        sys::jdb_raw { ptr: data.as_ptr().cast_mut(), len: data.len(), cap: data.len() }
    }
}

/// Limits of direct I/O, and plans.
pub(crate) mod direct {
    use super::*;

    pub(crate) fn empty() -> sys::jdb_direct {
        sys::jdb_direct { size: size_of_u32::<sys::jdb_direct>(), ..Default::default() }
    }

    pub(crate) fn limits(fd: c_int) -> Result<sys::jdb_direct> {
        let mut limits = empty();
        // SAFETY: the struct carries its size; a bad descriptor is an error.
        check(unsafe { sys::jdb_direct_limits(fd, &mut limits) })?;
        Ok(limits)
    }

    pub(crate) fn overridden(limits: &mut sys::jdb_direct, memory: u32, write: u32, read: u32) -> Result<()> {
        // SAFETY: limits that were filled.
        check(unsafe { sys::jdb_direct_override(limits, memory, write, read) })
    }

    pub(crate) fn pretend(limits: &mut sys::jdb_direct, align: u32) -> Result<()> {
        // SAFETY: limits that were filled.
        check(unsafe { sys::jdb_direct_pretend(limits, align) })
    }

    pub(crate) fn text(limits: &sys::jdb_direct) -> String {
        // SAFETY: room for `size` bytes at `text`.
        formatted(|text, size| unsafe { sys::jdb_direct_format(limits, text, size) })
    }

    /// The code, and what was found where it is 0 or -EINVAL with something wrong.
    pub(crate) fn checked(
        limits: &sys::jdb_direct,
        address: *const u8,
        len: usize,
        offset: i64,
        is_write: bool,
    ) -> (c_int, sys::jdb_direct_check) {
        let mut found = sys::jdb_direct_check { size: size_of_u32::<sys::jdb_direct_check>(), ..Default::default() };
        let view = sys::jdb_raw { ptr: address.cast_mut(), len, cap: len };
        // SAFETY: pure arithmetic on the words.
        let code = unsafe {
            if is_write {
                sys::jdb_direct_check_write(limits, view, offset, &mut found)
            } else {
                sys::jdb_direct_check_read(limits, view, offset, &mut found)
            }
        };
        (code, found)
    }

    pub(crate) fn check_text(found: &sys::jdb_direct_check) -> String {
        // SAFETY: room for `size` bytes at `text`.
        formatted(|text, size| unsafe { sys::jdb_direct_check_format(found, text, size) })
    }

    pub(crate) fn plan_read(align: u32, offset: i64, length: u64) -> Result<sys::jdb_read_plan> {
        let mut plan = sys::jdb_read_plan::default();
        // SAFETY: pure arithmetic.
        check(unsafe { sys::jdb_plan_read(align, offset, length, &mut plan) })?;
        Ok(plan)
    }
}

/// The page memory of the process.
pub(crate) mod pages {
    use super::*;

    pub(crate) fn stats() -> sys::jdb_page_stats {
        let mut stats = sys::jdb_page_stats { size: size_of_u32::<sys::jdb_page_stats>(), ..Default::default() };
        // SAFETY: the struct carries its size.
        unsafe { sys::jdb_get_page_stats(&mut stats) };
        stats
    }

    pub(crate) fn set_options(delay_ms: u32, dirty_bytes: u64, thread_bytes: u64) -> Result<()> {
        let options = sys::jdb_page_options {
            size: size_of_u32::<sys::jdb_page_options>(),
            delay_ms,
            dirty_bytes,
            thread_bytes,
            ..Default::default()
        };
        // SAFETY: the struct carries its size.
        check(unsafe { sys::jdb_set_page_options(&options) })
    }

    pub(crate) fn set_limit(bytes: u64) -> Result<()> {
        // SAFETY: no callback.
        check(unsafe { sys::jdb_set_limit(bytes, None, ptr::null_mut()) })
    }

    pub(crate) fn trim() -> u64 {
        // SAFETY: no argument.
        unsafe { sys::jdb_trim() }
    }

    pub(crate) fn flush_thread() {
        // SAFETY: no argument.
        unsafe { sys::jdb_thread_flush() }
    }

    pub(crate) fn resident_bytes() -> Result<u64> {
        let mut bytes = 0;
        // SAFETY: room for the result.
        check(unsafe { sys::jdb_resident_bytes(&mut bytes) })?;
        Ok(bytes)
    }
}
