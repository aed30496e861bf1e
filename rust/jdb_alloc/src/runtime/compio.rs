//! compio-buf 0.8. Vectored I/O takes a `Vec`, an array or a tuple of these.

use std::mem::MaybeUninit;

use compio_buf::{IoBuf, IoBufMut, ReserveError, SetLen};

use crate::{AlignedBuf, Chunk, Frame, RawIoBuf, SharedFrame};

macro_rules! impl_readable {
    ($($type:ident),*) => {$(
        #[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
        impl IoBuf for $type {
            #[inline(always)]
            fn as_init(&self) -> &[u8] {
                self
            }
        }
    )*};
}

macro_rules! impl_set_len {
    ($($type:ident),*) => {$(
        #[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
        impl SetLen for $type {
            #[inline(always)]
            unsafe fn set_len(&mut self, len: usize) {
                // SAFETY: the caller's promise.
                unsafe { $type::set_len(self, len) }
            }
        }
    )*};
}

impl_readable!(AlignedBuf, Chunk, Frame, SharedFrame);
impl_set_len!(AlignedBuf, Chunk, Frame, RawIoBuf);

#[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
impl IoBufMut for Chunk {
    #[inline(always)]
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        self.whole_mut()
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
impl IoBufMut for Frame {
    #[inline(always)]
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        self.whole_mut()
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
impl IoBufMut for AlignedBuf {
    #[inline(always)]
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        self.whole_mut()
    }

    /// Grows the buffer: see [`AlignedBuf::reserve`].
    fn reserve(&mut self, additional: usize) -> Result<(), ReserveError> {
        AlignedBuf::reserve(self, additional).map_err(|error| ReserveError::ReserveFailed(Box::new(error)))
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
impl IoBuf for RawIoBuf {
    #[inline(always)]
    fn as_init(&self) -> &[u8] {
        self.as_slice()
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "compio")))]
impl IoBufMut for RawIoBuf {
    #[inline(always)]
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the promise of whoever made the view.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), self.cap()) }
    }
}
