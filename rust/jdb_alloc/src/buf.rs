//! `AlignedBuf`: an owning buffer of whole pages.

use std::alloc::{Layout, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::contents::impl_contents;
use crate::ffi::{self, sys};
use crate::{ALIGNMENT, Error, RawIoBuf, Result};

/// An owning buffer of whole pages, aligned for direct I/O, that goes into the reads and writes of every supported runtime by
/// value.
///
/// Address and capacity are multiples of 4096 at least. Memory comes from the C library's page allocator, straight from mmap;
/// no header lies in or before it.
///
/// ```
/// use jdb_alloc::AlignedBuf;
///
/// let mut buf = AlignedBuf::with_cap(5000)?; // two pages
/// buf.extend(b"hello")?;
/// buf.pad_to(4096)?;
/// assert_eq!((buf.len(), buf.cap()), (4096, 8192));
/// # Ok::<(), jdb_alloc::Error>(())
/// ```
#[repr(C)]
pub struct AlignedBuf {
    // The order is that of C's jdb_buf.
    ptr: NonNull<u8>,
    len: usize,
    cap: usize,
}

const _: () = assert!(
    size_of::<AlignedBuf>() == size_of::<sys::jdb_buf>() && align_of::<AlignedBuf>() == align_of::<sys::jdb_buf>()
);

impl_contents!(AlignedBuf, "AlignedBuf");

impl AlignedBuf {
    #[inline(always)]
    fn from_words(words: sys::jdb_buf) -> AlignedBuf {
        debug_assert!(!words.ptr.is_null() && words.len <= words.cap && words.cap % ALIGNMENT == 0);
        // SAFETY: constructors of the library that succeed give memory.
        AlignedBuf { ptr: unsafe { NonNull::new_unchecked(words.ptr) }, len: words.len, cap: words.cap }
    }

    #[inline(always)]
    fn words(&mut self) -> &mut sys::jdb_buf {
        // SAFETY: the layouts are the same (asserted above), and every use leaves a valid buffer or ends this one.
        unsafe { &mut *(self as *mut AlignedBuf).cast::<sys::jdb_buf>() }
    }

    /// A buffer of at least `cap` bytes, length 0; the capacity is rounded up to whole pages, one at least. The memory is not
    /// initialised.
    ///
    /// # Errors
    /// [`Error::AllocFailed`]; [`Error::InvalidLayout`] when `cap` cannot be.
    #[inline]
    pub fn with_cap(cap: usize) -> Result<Self> {
        ffi::buf::with_cap(cap).map(Self::from_words)
    }

    /// As [`AlignedBuf::with_cap`], address and capacity multiples of `align`: a power of two, 4096 or more.
    ///
    /// # Errors
    /// As there; EINVAL for another `align`.
    pub fn with_cap_aligned(cap: usize, align: usize) -> Result<Self> {
        ffi::buf::with_cap_aligned(cap, align).map(Self::from_words)
    }

    /// As [`AlignedBuf::with_cap`], with an address range of `max` bytes set aside: up to it, [`AlignedBuf::reserve`] never
    /// moves the buffer and copies nothing. Address space is set aside, not memory.
    ///
    /// # Errors
    /// As there; EINVAL when `max` is less than `cap`.
    pub fn with_max(cap: usize, max: usize) -> Result<Self> {
        ffi::buf::with_max(cap, max).map(Self::from_words)
    }

    /// A buffer of `size` zero bytes. Fresh memory is known to be zero and not touched, so a gibibyte costs microseconds.
    ///
    /// # Errors
    /// As [`AlignedBuf::with_cap`].
    #[inline]
    pub fn zeroed(size: usize) -> Result<Self> {
        ffi::buf::zeroed(size).map(Self::from_words)
    }

    /// One page of zero bytes.
    ///
    /// # Errors
    /// As [`AlignedBuf::with_cap`].
    #[inline]
    pub fn page() -> Result<Self> {
        ffi::buf::page().map(Self::from_words)
    }

    /// One page that is not initialised, length 0.
    ///
    /// # Errors
    /// As [`AlignedBuf::with_cap`].
    #[inline]
    pub fn page_uninit() -> Result<Self> {
        Self::with_cap(crate::PAGE_SIZE)
    }

    /// The capacity cut into views of `chunk` bytes, length 0, for a pool of frames. What does not fill a chunk is left out.
    /// [`AlignedBuf::into_chunks`] is the same without `unsafe`.
    ///
    /// # Safety
    /// The buffer outlives every view, and nobody else touches the memory of a view that is in use.
    ///
    /// # Panics
    /// When `chunk` is no positive multiple of 4096, in every build.
    pub unsafe fn slice_into_raws(&self, chunk: usize) -> impl Iterator<Item = RawIoBuf> + '_ {
        assert_chunk(chunk);
        // SAFETY: each part lies within the capacity; the rest is the caller's promise.
        (0..self.cap / chunk).map(move |index| unsafe { RawIoBuf::new(self.ptr.as_ptr().add(index * chunk), chunk) })
    }

    /// The buffer cut into owned parts of `chunk` bytes, length 0. The memory is freed when the last part is dropped. The
    /// last part is shorter where the capacity is no multiple of `chunk`.
    ///
    /// # Panics
    /// When `chunk` is no positive multiple of 4096.
    pub fn into_chunks(self, chunk: usize) -> impl ExactSizeIterator<Item = Chunk> {
        assert_chunk(chunk);
        let (ptr, whole) = (self.ptr, self.cap);
        let owner = Arc::new(self);
        (0..whole.div_ceil(chunk)).map(move |index| {
            let offset = index * chunk;
            // SAFETY: within the capacity. No other part covers these bytes, and nobody reaches the owner's.
            let ptr = unsafe { ptr.add(offset) };
            Chunk { ptr, len: 0, cap: chunk.min(whole - offset), _owner: Arc::clone(&owner) }
        })
    }

    /// A view of the whole buffer.
    ///
    /// # Safety
    /// The buffer outlives the view and every I/O on it, and nobody else touches the memory meanwhile. Passing the buffer
    /// itself to a runtime needs no such promise.
    #[inline(always)]
    pub unsafe fn as_raw(&mut self) -> RawIoBuf {
        // SAFETY: the caller's promise.
        unsafe { RawIoBuf::from_raw_parts(self.ptr, self.len, self.cap) }
    }

    /// As [`AlignedBuf::as_raw`], from a shared reference.
    ///
    /// # Safety
    /// As there; latches order the accesses.
    #[inline(always)]
    pub unsafe fn as_raw_view(&self) -> RawIoBuf {
        // SAFETY: the caller's promise.
        unsafe { RawIoBuf::from_raw_parts(self.ptr, self.len, self.cap) }
    }

    /// Hands the memory over: pointer, length, capacity. [`AlignedBuf::from_raw_parts`] takes it back.
    #[inline(always)]
    pub fn into_raw_parts(self) -> (NonNull<u8>, usize, usize) {
        let parts = ManuallyDrop::new(self);
        (parts.ptr, parts.len, parts.cap)
    }

    /// Takes back what [`AlignedBuf::into_raw_parts`] handed over.
    ///
    /// # Safety
    /// The parts came from there, and nothing else uses them. Others make the drop abort where the library can detect it.
    #[inline(always)]
    pub unsafe fn from_raw_parts(ptr: NonNull<u8>, len: usize, cap: usize) -> Self {
        AlignedBuf { ptr, len, cap }
    }

    /// A copy with the same length and capacity.
    ///
    /// # Errors
    /// [`Error::AllocFailed`].
    pub fn try_clone(&self) -> Result<Self> {
        ffi::buf::try_clone(&sys::jdb_buf { ptr: self.ptr.as_ptr(), len: self.len, cap: self.cap })
            .map(Self::from_words)
    }

    /// Makes room for `additional` bytes behind the data. The buffer may move: in place where it can be, else by moving page
    /// tables (copying below 128 KiB).
    ///
    /// # Errors
    /// [`Error::AllocFailed`], [`Error::InvalidLayout`]; [`Error::Overflow`] past the maximum of [`AlignedBuf::with_max`];
    /// EBUSY when it is pinned and would have to move. Nothing is changed then.
    pub fn reserve(&mut self, additional: usize) -> Result<()> {
        if additional <= self.cap - self.len {
            return Ok(());
        }
        let (wanted, cap) = (self.len.saturating_add(additional), self.cap);
        ffi::buf::reserve(self.words(), additional).map_err(|error| match error.errno() {
            ffi::ENOBUFS => Error::Overflow(wanted, cap),
            _ => error,
        })
    }

    /// Gives back the whole pages behind the data; one page stays. Does not move the buffer.
    ///
    /// # Errors
    /// EBUSY when it is pinned; [`Error::AllocFailed`] when the system refuses to split a mapping. Nothing is changed then.
    pub fn shrink(&mut self) -> Result<()> {
        ffi::buf::shrink(self.words())
    }

    /// After a write: keeps only what has to be written again, at the front, and returns how many bytes that are.
    ///
    /// `data_len`: bytes of real data, before padding. The bytes from `data_len` rounded down to `align` move to the front; the
    /// next write starts at that offset, so that a log goes on in the block it stopped in.
    ///
    /// # Errors
    /// [`Error::Overflow`] when `data_len` is more than the length, EINVAL when `align` is no power of two. Nothing is changed
    /// then.
    pub fn refit_tail(&mut self, data_len: usize, align: usize) -> Result<usize> {
        let len = self.len;
        ffi::buf::refit_tail(self.words(), data_len, align).map_err(|error| match error.errno() {
            ffi::ENOBUFS => Error::Overflow(data_len, len),
            _ => error,
        })
    }
}

fn assert_chunk(chunk: usize) {
    assert!(chunk > 0 && chunk % ALIGNMENT == 0, "a chunk of {chunk} bytes is no positive multiple of {ALIGNMENT}");
}

impl Drop for AlignedBuf {
    #[inline]
    fn drop(&mut self) {
        ffi::buf::free(self.words());
    }
}

impl Clone for AlignedBuf {
    /// As [`AlignedBuf::try_clone`]; without memory it ends the program, as `Vec` does.
    fn clone(&self) -> Self {
        self.try_clone().unwrap_or_else(|_| match Layout::from_size_align(self.cap, ALIGNMENT) {
            Ok(layout) => handle_alloc_error(layout),
            Err(_) => unreachable!("a buffer of this capacity exists"),
        })
    }
}

/// A part of a buffer that owns its share: see [`AlignedBuf::into_chunks`].
pub struct Chunk {
    ptr: NonNull<u8>,
    len: usize,
    cap: usize,
    _owner: Arc<AlignedBuf>,
}

impl_contents!(Chunk, "Chunk");
