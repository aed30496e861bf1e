//! compio-buf 0.7, which jdb_alloc 0.1 was written for. `set_buf_init` sets the length exactly, as the original does.

use compio_buf_07::{IoBuf, IoBufMut, SetBufInit};

use crate::{AlignedBuf, Chunk, Frame, RawIoBuf, SharedFrame};

macro_rules! impl_io_buf {
    ($($type:ident),*) => {$(
        // SAFETY: the length is at most the capacity, of memory that stays where it is when the value moves.
        #[cfg_attr(docsrs, doc(cfg(feature = "compio-07")))]
        unsafe impl IoBuf for $type {
            #[inline(always)]
            fn as_buf_ptr(&self) -> *const u8 {
                self.as_ptr()
            }

            #[inline(always)]
            fn buf_len(&self) -> usize {
                self.len()
            }

            #[inline(always)]
            fn buf_capacity(&self) -> usize {
                self.cap()
            }
        }
    )*};
}

macro_rules! impl_io_buf_mut {
    ($($type:ident),*) => {$(
        // SAFETY: as above.
        #[cfg_attr(docsrs, doc(cfg(feature = "compio-07")))]
        unsafe impl IoBufMut for $type {
            #[inline(always)]
            fn as_buf_mut_ptr(&mut self) -> *mut u8 {
                self.as_mut_ptr()
            }
        }

        #[cfg_attr(docsrs, doc(cfg(feature = "compio-07")))]
        impl SetBufInit for $type {
            #[inline(always)]
            unsafe fn set_buf_init(&mut self, len: usize) {
                // SAFETY: the caller's promise.
                unsafe { self.set_len(len) }
            }
        }
    )*};
}

impl_io_buf!(AlignedBuf, Chunk, Frame, SharedFrame, RawIoBuf);
impl_io_buf_mut!(AlignedBuf, Chunk, Frame, RawIoBuf);
