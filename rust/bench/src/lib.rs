//! What the benchmarks share: the loops in C, and the peers behind one interface.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// The loops of `floor.c`.
pub mod floor {
    use jdb_alloc_sys::jdb_pool;
    use std::time::{Duration, Instant};

    unsafe extern "C" {
        fn jdb_bench_buf(round_count: u64, size: usize);
        fn jdb_bench_page(round_count: u64);
        fn jdb_bench_frame(round_count: u64, pool: *mut jdb_pool);
    }

    fn timed(run: impl FnOnce()) -> Duration {
        let begin = Instant::now();
        run();
        begin.elapsed()
    }

    /// Buffers of `size` bytes allocated and freed.
    pub fn buf(rounds: u64, size: usize) -> Duration {
        // SAFETY: the loop keeps to the rules of the library.
        timed(|| unsafe { jdb_bench_buf(rounds, size) })
    }

    /// Zeroed pages allocated and freed.
    pub fn page(rounds: u64) -> Duration {
        // SAFETY: as above.
        timed(|| unsafe { jdb_bench_page(rounds) })
    }

    /// Frames got and put, of an arena that lives as long as the process.
    pub fn frame(rounds: u64) -> Duration {
        let pool = new_pool();
        // SAFETY: the pool is alive.
        timed(|| unsafe { jdb_bench_frame(rounds, pool) })
    }

    fn new_pool() -> *mut jdb_pool {
        use jdb_alloc_sys::{jdb_arena_new, jdb_arena_options, jdb_pool_new};
        let size = size_of::<jdb_arena_options>() as u32;
        let options = jdb_arena_options { size, frame_size: 4096, frame_count: 1024, ..Default::default() };
        let (mut arena, mut pool) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: valid options, room for the results.
        unsafe {
            assert_eq!(jdb_arena_new(&options, &mut arena), 0);
            assert_eq!(jdb_pool_new(arena, std::ptr::null(), &mut pool), 0);
        }
        pool
    }
}

/// Memory of a peer, by the crate's own interface: aligned to 4096.
pub struct PeerBuf<A: GlobalAlloc + 'static> {
    ptr: NonNull<u8>,
    layout: Layout,
    peer: &'static A,
}

// SAFETY: plain memory, and allocators that any thread may use.
unsafe impl<A: GlobalAlloc + Sync + 'static> Send for PeerBuf<A> {}

impl<A: GlobalAlloc + 'static> PeerBuf<A> {
    /// `size` bytes.
    #[inline]
    pub fn new(peer: &'static A, size: usize) -> Self {
        let layout = Layout::from_size_align(size, 4096).expect("a size that can be");
        // SAFETY: the size is not 0.
        PeerBuf { ptr: NonNull::new(unsafe { peer.alloc(layout) }).expect("memory"), layout, peer }
    }

    /// `size` zero bytes.
    #[inline]
    pub fn zeroed(peer: &'static A, size: usize) -> Self {
        let layout = Layout::from_size_align(size, 4096).expect("a size that can be");
        // SAFETY: the size is not 0.
        PeerBuf { ptr: NonNull::new(unsafe { peer.alloc_zeroed(layout) }).expect("memory"), layout, peer }
    }
}

impl<A: GlobalAlloc + 'static> Drop for PeerBuf<A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: from the same peer.
        unsafe { self.peer.dealloc(self.ptr.as_ptr(), self.layout) }
    }
}

/// Time of `rounds` buffers made here and dropped by another thread, 64 at a time.
pub fn across_threads<T: Send>(rounds: u64, make: impl Fn() -> T) -> Duration {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<T>>(4);
    std::thread::scope(|scope| {
        scope.spawn(move || receiver.into_iter().for_each(drop));
        let begin = Instant::now();
        for _ in 0..rounds.div_ceil(64) {
            sender.send((0..64).map(|_| make()).collect()).expect("a receiver");
        }
        drop(sender);
        begin.elapsed()
    })
}
