//! The memory that a ring's operations own.

use crate::contents::sealed::Memory;
use crate::ffi::sys;
use crate::{AlignedBuf, Chunk, Frame, SharedFrame};

/// Any of the types, in a slot of the ring.
pub enum AnyMemory {
    Buf(AlignedBuf),
    Chunk(Chunk),
    Frame(Frame),
    Shared(SharedFrame),
}

impl AnyMemory {
    pub(super) fn view(&mut self) -> sys::jdb_raw {
        let (ptr, len, cap) = match self {
            AnyMemory::Buf(memory) => (memory.as_mut_ptr(), memory.len(), memory.cap()),
            AnyMemory::Chunk(memory) => (memory.as_mut_ptr(), memory.len(), memory.cap()),
            AnyMemory::Frame(memory) => (memory.as_mut_ptr(), memory.len(), memory.cap()),
            AnyMemory::Shared(memory) => (memory.as_ptr().cast_mut(), memory.len(), memory.cap()),
        };
        sys::jdb_raw { ptr, len, cap }
    }

    /// # Safety
    /// A read wrote the first `len` bytes.
    pub(super) unsafe fn set_read(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                AnyMemory::Buf(memory) => memory.set_read(len),
                AnyMemory::Chunk(memory) => memory.set_read(len),
                AnyMemory::Frame(memory) => memory.set_read(len),
                AnyMemory::Shared(_) => unreachable!("nothing is read into a shared frame"),
            }
        }
    }
}

mod sealed {
    pub trait Sealed: Sized + 'static {
        fn into_any(self) -> super::AnyMemory;
        fn from_any(any: super::AnyMemory) -> Self;
    }
}

/// Memory that a [`Ring`](super::Ring) reads into or writes from: [`AlignedBuf`], [`Chunk`], [`Frame`], and [`SharedFrame`] to
/// write from. Implemented by this crate alone.
pub trait RingMemory: sealed::Sealed {}

impl<M: sealed::Sealed> RingMemory for M {}

macro_rules! impl_ring_memory {
    ($($type:ident: $variant:ident),*) => {$(
        impl sealed::Sealed for $type {
            fn into_any(self) -> AnyMemory {
                AnyMemory::$variant(self)
            }
            fn from_any(any: AnyMemory) -> Self {
                match any {
                    AnyMemory::$variant(memory) => memory,
                    _ => unreachable!("what went into the slot comes out"),
                }
            }
        }
    )*};
}

impl_ring_memory!(AlignedBuf: Buf, Chunk: Chunk, Frame: Frame, SharedFrame: Shared);
