//! What the owning buffers have in common: a pointer, a length, a capacity, and bytes that only the owner reaches.

/// Implements the methods and traits of the contents for a type with fields `ptr`, `len` and `cap`: the memory, which is valid
/// for `cap` bytes and whose first `len` bytes are initialised.
macro_rules! impl_contents {
    ($type:ident, $name:literal) => {
        impl $type {
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

            /// The first byte, to write.
            #[inline(always)]
            pub fn as_mut_ptr(&mut self) -> *mut u8 {
                self.ptr.as_ptr()
            }

            /// Sets the length to 0.
            #[inline(always)]
            pub fn clear(&mut self) {
                self.len = 0;
            }

            /// Cuts the length to `len`; a longer one changes nothing.
            #[inline(always)]
            pub fn truncate(&mut self, len: usize) {
                self.len = self.len.min(len);
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
                assert!(len <= self.cap, concat!($name, "::set_len({}) with a capacity of {}"), len, self.cap);
                self.len = len;
            }

            /// Appends `data`. Never moves the memory.
            ///
            /// # Errors
            /// [`Error::Overflow`](crate::Error::Overflow) when it does not fit; nothing is changed then.
            #[inline]
            pub fn extend(&mut self, data: &[u8]) -> crate::Result<()> {
                let room = self.spare_mut();
                if data.len() > room.len() {
                    return Err(crate::Error::Overflow(self.len.saturating_add(data.len()), self.cap));
                }
                // SAFETY: the room is ours alone, so `data` lies elsewhere, and it is large enough.
                unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), room.as_mut_ptr().cast(), data.len()) };
                self.len += data.len();
                Ok(())
            }

            /// Makes the length `len`: shorter by cutting, longer by bytes of `value`. Never moves the memory.
            ///
            /// # Errors
            /// [`Error::Overflow`](crate::Error::Overflow) when `len` is more than the capacity; nothing is changed then.
            pub fn resize(&mut self, len: usize, value: u8) -> crate::Result<()> {
                if len > self.cap {
                    return Err(crate::Error::Overflow(len, self.cap));
                }
                if let Some(more) = len.checked_sub(self.len) {
                    self.spare_mut()[..more].fill(std::mem::MaybeUninit::new(value));
                }
                self.len = len;
                Ok(())
            }

            /// Appends zero bytes until the length is a multiple of `align`, as a direct write wants it.
            ///
            /// # Errors
            /// [`Error::Overflow`](crate::Error::Overflow) when there is no room; nothing is changed then.
            ///
            /// # Panics
            /// When `align` is 0.
            pub fn pad_to(&mut self, align: usize) -> crate::Result<()> {
                let wanted = self.len.checked_next_multiple_of(align).unwrap_or(usize::MAX);
                self.resize(wanted, 0)
            }

            /// The memory behind the data.
            #[inline]
            pub fn spare_mut(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
                // SAFETY: within the capacity, and reached by this owner alone.
                unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr().add(self.len).cast(), self.cap - self.len) }
            }

            /// All of the memory, initialised or not.
            #[inline]
            #[allow(dead_code)] // what of it is used depends on the features
            pub(crate) fn whole_mut(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
                // SAFETY: as above.
                unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr().cast(), self.cap) }
            }
        }

        impl std::ops::DerefMut for $type {
            #[inline]
            fn deref_mut(&mut self) -> &mut [u8] {
                // SAFETY: the first `len` bytes are initialised, and reached by this owner alone.
                unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
            }
        }

        impl AsMut<[u8]> for $type {
            #[inline]
            fn as_mut(&mut self) -> &mut [u8] {
                self
            }
        }

        impl crate::contents::sealed::Memory for $type {
            fn view_mut(&mut self) -> (*mut u8, usize) {
                (self.ptr.as_ptr(), self.cap)
            }
            unsafe fn set_read(&mut self, len: usize) {
                // SAFETY: the caller's promise.
                unsafe { self.set_len(len) }
            }
        }
        impl crate::Memory for $type {}

        crate::contents::impl_readable!($type);
    };
}

/// Implements reading for a type with fields `ptr`, `len` and `cap` as above.
macro_rules! impl_readable {
    ($type:ident) => {
        // SAFETY: the owner alone reaches the memory, or nobody writes it; the library's calls are for any thread.
        unsafe impl Send for $type {}
        // SAFETY: a shared reference only reads.
        unsafe impl Sync for $type {}

        impl std::ops::Deref for $type {
            type Target = [u8];
            #[inline]
            fn deref(&self) -> &[u8] {
                // SAFETY: the first `len` bytes are initialised, and not written while this borrow lasts.
                unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
            }
        }

        impl AsRef<[u8]> for $type {
            #[inline]
            fn as_ref(&self) -> &[u8] {
                self
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.debug_struct(stringify!($type)).field("len", &self.len).field("cap", &self.cap).finish()
            }
        }
    };
}

pub(crate) use {impl_contents, impl_readable};

/// What only this crate implements and calls.
pub(crate) mod sealed {
    /// Memory that a read fills.
    pub trait Memory {
        /// The first byte, and how many there are.
        fn view_mut(&mut self) -> (*mut u8, usize);
        /// # Safety
        /// The first `len` bytes were written by the read.
        unsafe fn set_read(&mut self, len: usize);
    }
}
