//! The memory of compio's own pool of buffers.

use std::alloc::{Layout, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use compio_driver::BufferAllocator;

use crate::{ALIGNMENT, AlignedBuf};

/// Pages of this library as the memory of compio's pool of buffers, aligned for direct I/O:
/// `ProactorBuilder::buffer_pool_allocator::<PageAllocator>()`.
#[cfg_attr(docsrs, doc(cfg(feature = "compio-driver")))]
#[derive(Debug, Clone, Copy)]
pub struct PageAllocator;

impl BufferAllocator for PageAllocator {
    fn allocate(len: u32) -> NonNull<MaybeUninit<u8>> {
        match AlignedBuf::with_cap(len as usize) {
            Ok(buf) => buf.into_raw_parts().0.cast(),
            Err(_) => handle_alloc_error(layout(len)),
        }
    }

    unsafe fn deallocate(ptr: NonNull<MaybeUninit<u8>>, len: u32) {
        let capacity = layout(len).size();
        // SAFETY: from `allocate` with the same length, which is rounded up to whole pages there too.
        drop(unsafe { AlignedBuf::from_raw_parts(ptr.cast(), 0, capacity) });
    }
}

/// The layout that `AlignedBuf::with_cap` gives.
fn layout(len: u32) -> Layout {
    let capacity = (len as usize).next_multiple_of(ALIGNMENT).max(ALIGNMENT);
    Layout::from_size_align(capacity, ALIGNMENT).expect("4 GiB fit an address space of 64 bits")
}
