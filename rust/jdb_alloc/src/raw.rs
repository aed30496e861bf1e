//! `RawIoBuf`: the original's view of memory, three words copied by value.

use std::fmt;
use std::ptr::NonNull;

use crate::{ALIGNMENT, Error, Result};

/// A view of memory that it does not own: pointer, length, capacity, copied by value into asynchronous I/O.
///
/// **Prefer [`Frame`](crate::Frame), [`Chunk`](crate::Chunk) and [`AlignedBuf`](crate::AlignedBuf)**: they own their memory, go
/// into every runtime by value as this view does, and need no `unsafe`. This type is here so that programs written for
/// `jdb_alloc` 0.1 build. Its contract is the original's, and cannot be checked by the compiler.
///
/// # The promise of a view
/// Whoever makes a view by an `unsafe` function promises, for this view and every copy, until the last is gone and no I/O runs
/// on it: the memory is alive; nobody else writes it, and no two copies are used at once where one of them writes
/// ([`RawIoBuf::as_mut_slice`], a read); the first `len` bytes are initialised, the length of [`RawIoBuf::with_len`] included.
/// Functions without `unsafe` rely on that.
///
/// The layout is that of C's `jdb_raw`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawIoBuf {
    ptr: *mut u8,
    len: usize,
    cap: usize,
}

// SAFETY: the view is three words; who may touch the memory behind it is the promise of whoever made it (see the type).
unsafe impl Send for RawIoBuf {}
// SAFETY: as above.
unsafe impl Sync for RawIoBuf {}

impl RawIoBuf {
    /// A view to read into: length 0.
    ///
    /// # Safety
    /// [The promise of a view](RawIoBuf#the-promise-of-a-view): `ptr` is valid for `cap` bytes for as long as the view or a copy
    /// of it is used, and aligned for direct I/O where it is used for that.
    #[inline(always)]
    pub const unsafe fn new(ptr: *mut u8, cap: usize) -> Self {
        RawIoBuf { ptr, len: 0, cap }
    }

    /// The same view with another length, at most the capacity (the original did not look). The bytes up to there are
    /// initialised: as in the original the compiler does not ask for `unsafe` here, but for the view.
    #[inline(always)]
    pub const fn with_len(mut self, len: usize) -> Self {
        self.len = if len < self.cap { len } else { self.cap };
        self
    }

    /// A view of its three words; the length is at most the capacity.
    ///
    /// # Safety
    /// As [`RawIoBuf::new`]; the first `len` bytes are initialised.
    #[inline(always)]
    pub const unsafe fn from_raw_parts(ptr: NonNull<u8>, len: usize, cap: usize) -> Self {
        RawIoBuf { ptr: ptr.as_ptr(), len: 0, cap }.with_len(len)
    }

    /// A view of a slice, to write from: length and capacity are the slice's.
    ///
    /// # Not sound
    /// The original has this function without `unsafe`, and it stays for its users. The view forgets the borrow: it can be
    /// used after the slice is gone, and from several threads at once.
    ///
    /// ```compile_fail
    /// # // What the compiler refuses with the sound way: the buffer is moved into the I/O.
    /// let buf = jdb_alloc::AlignedBuf::zeroed(4096).unwrap();
    /// let in_flight = buf;
    /// println!("{}", buf.len());
    /// ```
    ///
    /// The sound way is to own the memory: an [`AlignedBuf`](crate::AlignedBuf), a [`Frame`](crate::Frame), or
    /// [`AlignedBuf::into_chunks`](crate::AlignedBuf::into_chunks) for parts of one buffer; each goes into I/O by value and
    /// comes back with the result. Where it has to be a view, [`RawIoBuf::new`] is the same with the promise in the caller's
    /// hands.
    #[inline(always)]
    #[deprecated(since = "0.2.0", note = "forgets the borrow of the slice; use AlignedBuf, Frame or Chunk by value")]
    pub fn from_slice(slice: &mut [u8]) -> Self {
        RawIoBuf { ptr: slice.as_mut_ptr(), len: slice.len(), cap: slice.len() }
    }

    /// A part to read into: length 0, capacity `len`.
    ///
    /// # Safety
    /// As for the view itself.
    ///
    /// # Panics
    /// When the part is outside the capacity or its address is no multiple of 4096, in every build (the original looked in
    /// debug builds alone). [`RawIoBuf::try_slice`] returns the error.
    #[inline]
    pub unsafe fn slice(self, offset: usize, len: usize) -> Self {
        self.part(offset, len).unwrap_or_else(|error| panic!("RawIoBuf::slice({offset}, {len}): {error}"))
    }

    /// As [`RawIoBuf::slice`] with length `len`: to write from.
    ///
    /// # Safety
    /// As for the view itself; the part is initialised.
    ///
    /// # Panics
    /// As [`RawIoBuf::slice`].
    #[inline]
    pub unsafe fn slice_data(self, offset: usize, len: usize) -> Self {
        self.part(offset, len)
            .unwrap_or_else(|error| panic!("RawIoBuf::slice_data({offset}, {len}): {error}"))
            .with_len(len)
    }

    /// As [`RawIoBuf::slice`], returning what it would panic with.
    ///
    /// # Safety
    /// As for the view itself.
    ///
    /// # Errors
    /// ERANGE when the part is outside the capacity, then EINVAL when the address is no multiple of 4096.
    #[inline]
    pub unsafe fn try_slice(self, offset: usize, len: usize) -> Result<Self> {
        self.part(offset, len)
    }

    #[inline]
    fn part(self, offset: usize, len: usize) -> Result<Self> {
        if offset > self.cap || len > self.cap - offset {
            return Err(Error::from_code(-crate::ffi::ERANGE));
        }
        if (self.ptr as usize).wrapping_add(offset) & (ALIGNMENT - 1) != 0 {
            return Err(Error::from_code(-crate::ffi::EINVAL));
        }
        Ok(RawIoBuf { ptr: self.ptr.wrapping_add(offset), len: 0, cap: len })
    }

    /// As [`RawIoBuf::slice`] without any check.
    ///
    /// # Safety
    /// As for the view itself; `offset + len` is at most the capacity.
    #[inline(always)]
    pub unsafe fn slice_unchecked(self, offset: usize, len: usize) -> Self {
        // SAFETY: the caller's promise.
        RawIoBuf { ptr: unsafe { self.ptr.add(offset) }, len: 0, cap: len }
    }

    /// Bytes that are data.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Bytes that may be read into.
    #[inline(always)]
    pub const fn cap(&self) -> usize {
        self.cap
    }

    /// Whether the length is 0.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte.
    #[inline(always)]
    pub const fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    /// The first byte, to write.
    #[inline(always)]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// The data. Sound as long as the promise of the view holds (see the type).
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the promise of whoever made the view; the length is at most the capacity.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The data, to change. Sound as long as the promise of the view holds (see the type).
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
    }

    /// Sets the length.
    ///
    /// # Safety
    /// The first `len` bytes are initialised.
    ///
    /// # Panics
    /// When `len` is more than the capacity, in every build.
    #[inline(always)]
    pub unsafe fn set_len(&mut self, len: usize) {
        assert!(len <= self.cap, "RawIoBuf::set_len({len}) with a capacity of {}", self.cap);
        self.len = len;
    }
}

impl fmt::Debug for RawIoBuf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RawIoBuf").field("ptr", &self.ptr).field("len", &self.len).field("cap", &self.cap).finish()
    }
}
