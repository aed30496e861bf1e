//! tokio-uring 0.5.

use tokio_uring::buf::{IoBuf, IoBufMut};

use crate::{AlignedBuf, Chunk, Frame, RawIoBuf, SharedFrame};

macro_rules! impl_io_buf {
    ($($type:ident),*) => {$(
        // SAFETY: the memory stays where it is when the value moves, and the first `len` bytes are initialised.
        #[cfg_attr(docsrs, doc(cfg(feature = "tokio-uring")))]
        unsafe impl IoBuf for $type {
            #[inline(always)]
            fn stable_ptr(&self) -> *const u8 {
                self.as_ptr()
            }

            #[inline(always)]
            fn bytes_init(&self) -> usize {
                self.len()
            }

            #[inline(always)]
            fn bytes_total(&self) -> usize {
                self.cap()
            }
        }
    )*};
}

macro_rules! impl_io_buf_mut {
    ($($type:ident),*) => {$(
        // SAFETY: as above.
        #[cfg_attr(docsrs, doc(cfg(feature = "tokio-uring")))]
        unsafe impl IoBufMut for $type {
            #[inline(always)]
            fn stable_mut_ptr(&mut self) -> *mut u8 {
                self.as_mut_ptr()
            }

            #[inline(always)]
            unsafe fn set_init(&mut self, pos: usize) {
                // SAFETY: the caller's promise. As the runtime's own buffers, it does not shrink.
                if self.len() < pos {
                    unsafe { self.set_len(pos) }
                }
            }
        }
    )*};
}

impl_io_buf!(AlignedBuf, Chunk, Frame, SharedFrame, RawIoBuf);
impl_io_buf_mut!(AlignedBuf, Chunk, Frame, RawIoBuf);
