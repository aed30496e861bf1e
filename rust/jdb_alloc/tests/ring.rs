//! io_uring with registered frames, on a real file opened with O_DIRECT.
#![cfg(all(feature = "uring", target_os = "linux"))]

mod rig;

use std::cell::RefCell;
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use jdb_alloc::ring::Ring;
use jdb_alloc::{AlignedBuf, Arena, Durability, Pool};
use rig::{PAGE, TestFile, filled, has_io_uring, is_filled, page_byte};

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn registered_frames_are_read_and_written_fixed() {
    let test = TestFile::with_pages(16);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let pool = Pool::new(PAGE, 8).unwrap();
    let ring = Ring::new(8).unwrap();
    let registration = ring.register(pool.arena()).unwrap();
    let file = ring.file(direct);
    ring.block_on(async {
        for page in 0..16 {
            let (result, frame) = file.read_at(pool.get().await.unwrap(), (page * PAGE) as u64).await;
            assert_eq!((result.unwrap(), frame.len()), (PAGE, PAGE));
            assert!(is_filled(&frame, page_byte(page)));
        }
        let frame = filled(pool.get().await.unwrap(), 0xaa).freeze();
        let (result, frame) = file.write_at(frame, 3 * PAGE as u64).await;
        assert_eq!((result.unwrap(), frame.share_count()), (PAGE, 1));
        let (result, frame) = file.read_at(pool.get().await.unwrap(), 16 * PAGE as u64).await;
        assert_eq!((result.unwrap(), frame.len()), (0, 0), "the end of the file");
    });
    assert!(is_filled(&test.bytes()[3 * PAGE..4 * PAGE], 0xaa));
    let stats = ring.stats();
    println!("ring: {registration:?} {stats:?}");
    if registration.refusal.is_none() {
        assert_eq!((registration.registered_count, stats.plain_count), (registration.region_count, 0));
        assert_eq!((stats.fixed_count, stats.fixed_bytes), (18, 17 * PAGE as u64));
    }
    assert_eq!((stats.in_flight, pool.stats().unwrap().lent_count), (0, 0));
    assert_eq!(ring.register(pool.arena()).unwrap_err().errno(), libc::EEXIST);
}

#[test]
fn unregistered_memory_goes_plain() {
    let test = TestFile::with_pages(8);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let ring = Ring::new(4).unwrap();
    let file = ring.file(direct);
    ring.block_on(async {
        let (result, buf) = file.read_at(AlignedBuf::with_cap(8 * PAGE).unwrap(), 0).await;
        assert_eq!((result.unwrap(), buf.len(), buf[7 * PAGE]), (8 * PAGE, 8 * PAGE, page_byte(7)));
        for (index, chunk) in buf.into_chunks(2 * PAGE).enumerate() {
            let (result, chunk) = file.read_at(chunk, 2 * (index * PAGE) as u64).await;
            assert_eq!((result.unwrap(), chunk[PAGE]), (2 * PAGE, page_byte(2 * index + 1)));
        }
    });
    assert_eq!((ring.stats().fixed_count, ring.stats().plain_count), (0, 5));
}

#[test]
fn more_operations_than_entries() {
    let test = TestFile::with_pages(64);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let pool = Pool::new(PAGE, 64).unwrap();
    let ring = Ring::new(4).unwrap();
    ring.register(pool.arena()).unwrap();
    let file = ring.file(direct);
    let mut reads: Vec<_> = (0..64).map(|page| file.read_at(pool.try_get().unwrap(), (page * PAGE) as u64)).collect();
    assert!(reads.iter_mut().all(|read| poll_once(read).is_pending()));
    ring.block_on(async {
        for (page, read) in reads.into_iter().enumerate() {
            let (result, frame) = read.await;
            assert!(result.unwrap() == PAGE && is_filled(&frame, page_byte(page)));
        }
    });
}

#[test]
fn errors_bring_the_memory_back() {
    if !has_io_uring() {
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    let directory = ring.file(std::fs::File::open(env!("CARGO_TARGET_TMPDIR")).unwrap());
    ring.block_on(async {
        let (result, frame) = directory.read_at(pool.try_get().unwrap(), 0).await;
        assert_eq!((result.unwrap_err().errno(), frame.len()), (libc::EISDIR, 0));
        let (result, frame) = directory.read_at(frame, u64::MAX).await;
        assert_eq!((result.unwrap_err().errno(), frame.len()), (libc::EOVERFLOW, 0));
        let (result, frame) = directory.read_at(frame, 0).await;
        assert!(result.unwrap_err().cause().remedy().is_none(), "the system's words");
        let (result, frame) = directory.write_at(frame, 0).await;
        assert_eq!((result.unwrap_err().errno(), frame.len()), (libc::EINVAL, 0), "nothing to write");
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}

/// The kernel has the frame while the read is in flight. If dropping the future gave it back, the next owner's bytes would be
/// overwritten by the read.
#[test]
fn dropped_read_keeps_its_frame_until_the_completion() {
    if !has_io_uring() {
        return;
    }
    let (reader, mut writer) = rig::pipe();
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    ring.register(pool.arena()).unwrap();
    let pipe = ring.file(reader);
    let mut read = pipe.read_at(pool.try_get().unwrap(), 0);
    assert!(poll_once(&mut read).is_pending());
    ring.drive(0).unwrap(); // in flight: the pipe is empty
    drop(read);
    let stolen = pool.try_get().map(|frame| filled(frame, 0xee));
    writer.write_all(&[0x11; PAGE]).unwrap(); // the read completes, before the cancel reaches the kernel
    while ring.stats().in_flight > 0 {
        ring.drive(1).unwrap();
    }
    if let Ok(frame) = stolen {
        assert!(is_filled(&frame, 0xee), "corrupted: the read that was dropped wrote into a frame of somebody else");
        panic!("the frame was given back while the kernel had it");
    }
    assert_eq!((pool.stats().unwrap().lent_count, pool.try_get().unwrap().index()), (0, 0));
}

#[test]
fn cancelled_read_gives_its_frame_to_a_waiter() {
    if !has_io_uring() {
        return;
    }
    let (reader, _writer) = rig::pipe();
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    let pipe = ring.file(reader);
    let mut read = pipe.read_at(pool.try_get().unwrap(), 0);
    assert!(poll_once(&mut read).is_pending());
    let frame = ring.block_on(async {
        drop(read); // nothing ever comes from the pipe: the cancel ends it
        pool.get().await.unwrap()
    });
    assert_eq!((frame.index(), ring.stats().in_flight), (0, 0));
}

/// A short result arrives for a read whose future is gone. If it were resumed, behind the only cancel, the operation would wait
/// for the pipe for ever, and so would whoever drops the ring.
#[test]
fn dropped_read_is_not_resumed() {
    if !has_io_uring() {
        return;
    }
    let (reader, mut writer) = rig::pipe();
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    let pipe = ring.file(reader);
    let mut read = pipe.read_at(pool.try_get().unwrap(), 0);
    assert!(poll_once(&mut read).is_pending());
    ring.drive(0).unwrap();
    writer.write_all(&[0x11; 100]).unwrap(); // a short result, before the cancel reaches the kernel
    drop(read);
    let end = Instant::now() + Duration::from_secs(10);
    while ring.stats().in_flight > 0 && Instant::now() < end {
        ring.drive(0).unwrap();
    }
    let (in_flight, resume_count) = (ring.stats().in_flight, ring.stats().resume_count);
    drop(writer); // the end of the pipe ends what is in flight, so that a failure does not hang
    assert_eq!((in_flight, resume_count, pool.stats().unwrap().lent_count), (0, 0, 0));
}

/// In place of the ring's descriptor one that is no ring: the kernel refuses whatever is asked of it.
struct Broken {
    fd: RawFd,
    ring: OwnedFd,
}

impl Broken {
    fn new(ring: &Ring) -> Broken {
        let fd = ring.as_raw_fd();
        let null = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: open descriptors; the second is replaced, and `ring` keeps what it was.
        unsafe {
            let ring = OwnedFd::from_raw_fd(libc::dup(fd));
            assert_eq!(libc::dup2(null.as_raw_fd(), fd), fd);
            Broken { fd, ring }
        }
    }

    fn repair(self) {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::dup2(self.ring.as_raw_fd(), self.fd) }, self.fd);
    }
}

#[test]
fn operation_that_cannot_be_submitted_gives_its_memory_back() {
    if !has_io_uring() {
        return;
    }
    let (reader, _writer) = rig::pipe();
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(1).unwrap(); // its entry is taken by the wake-up, so a read has to submit that first
    let pipe = ring.file(reader);
    let broken = Broken::new(&ring);
    let Poll::Ready((result, frame)) = poll_once(&mut pipe.read_at(pool.try_get().unwrap(), 0)) else {
        panic!("queued where there is no room")
    };
    assert_eq!((result.unwrap_err().errno(), ring.stats().in_flight), (libc::EOPNOTSUPP, 0));
    assert!(!jdb_alloc::is_pinned(&filled(frame, 1)));
    assert_eq!(pool.stats().unwrap().lent_count, 0);
    broken.repair();
}

/// The kernel cannot be asked for completions any more, and may write still: the frame is nobody's from then on.
#[test]
fn memory_in_flight_on_a_ring_that_cannot_be_waited_for_stays_pinned() {
    if !has_io_uring() {
        return;
    }
    let (reader, mut writer) = rig::pipe();
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    ring.register(pool.arena()).unwrap();
    let pipe = ring.file(reader);
    let frame = filled(pool.try_get().unwrap(), 0xee);
    let memory = frame.as_ptr();
    let mut read = pipe.read_at(frame, 0);
    assert!(poll_once(&mut read).is_pending());
    ring.drive(0).unwrap();
    let broken = Broken::new(&ring);
    drop((read, pipe, ring));
    // SAFETY: the arena lives to the end of the test, and nothing is in the pipe yet.
    assert!(jdb_alloc::is_pinned(unsafe { std::slice::from_raw_parts(memory, PAGE) }));
    assert!(pool.try_get().unwrap_err().is_empty_pool());
    writer.write_all(&[0x11; PAGE]).unwrap(); // the kernel's ring is there still, by its other descriptor
    drop(broken.ring);
    assert!(pool.try_get().unwrap_err().is_empty_pool());
}

/// A pipe takes writes and refuses a sync, with EINVAL.
#[test]
fn sync_follows_the_write() {
    let test = TestFile::with_pages(2);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let (reader, writer) = rig::pipe();
    let mut reader = std::fs::File::from(reader);
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    let (file, pipe) = (ring.file(direct), ring.file(writer));
    for (byte, durability) in [(0xa0, Durability::None), (0xa1, Durability::Data), (0xa2, Durability::All)] {
        ring.block_on(async {
            let (result, frame) = file.write_sync_at(filled(pool.get().await.unwrap(), byte), 0, durability).await;
            assert_eq!(result.unwrap(), PAGE);
            let (result, _) = pipe.write_sync_at(frame, 0, durability).await;
            if let Err(error) = &result {
                assert!(error.to_string().contains("direct I/O") && error.cause().remedy().is_some(), "{error}");
            }
            assert_eq!(
                result.map_err(|error| error.errno()),
                match durability {
                    Durability::None => Ok(PAGE),
                    _ => Err(libc::EINVAL),
                }
            );
        });
        let mut sent = vec![0; PAGE];
        reader.read_exact(&mut sent).unwrap();
        assert!(is_filled(&sent, byte) && is_filled(&test.bytes()[..PAGE], byte));
    }
    assert_eq!((ring.stats().in_flight, pool.stats().unwrap().lent_count), (0, 0));
}

#[test]
fn dropping_the_ring_waits_for_what_is_in_flight() {
    let test = TestFile::with_pages(32);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let arena = Arena::new(PAGE, 32).unwrap();
    let pool = Pool::over(&arena).unwrap();
    let ring = Ring::new(32).unwrap();
    ring.register(&arena).unwrap();
    let file = ring.file(direct);
    for page in 0..32 {
        assert!(poll_once(&mut file.read_at(pool.try_get().unwrap(), (page * PAGE) as u64)).is_pending());
    }
    drop((ring, file));
    assert_eq!((pool.stats().unwrap().lent_count, arena.report().unwrap().held_bytes()), (0, 0));
}

thread_local! {
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
}

/// A waker that uses the ring when it is dropped, as one that is the last to hold a task with other transfers does.
struct LastHolder;

impl Wake for LastHolder {
    fn wake(self: Arc<Self>) {}
}

impl Drop for LastHolder {
    fn drop(&mut self) {
        RING.with_borrow(|ring| assert!(ring.as_ref().unwrap().stats().in_flight > 0));
    }
}

#[test]
fn waker_that_goes_may_use_the_ring() {
    if !has_io_uring() {
        return;
    }
    let (reader, _writer) = rig::pipe();
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    RING.set(Some(ring.clone()));
    let mut read = ring.file(reader).read_at(pool.try_get().unwrap(), 0);
    let mut poll = |waker: Waker| Pin::new(&mut read).poll(&mut Context::from_waker(&waker));
    assert!(poll(Waker::from(Arc::new(LastHolder))).is_pending());
    assert!(poll(Waker::noop().clone()).is_pending(), "another waker takes its place");
    assert!(poll(Waker::from(Arc::new(LastHolder))).is_pending());
    drop(read);
    RING.take();
}

/// Runs `body` on a thread of its own, which is left behind where it hangs.
fn within_20_seconds(body: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        body();
        sender.send(()).unwrap();
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(()), "it hangs, or failed");
}

#[test]
fn block_on_within_block_on_keeps_the_wake_up_of_the_outer() {
    if !has_io_uring() {
        return;
    }
    within_20_seconds(|| {
        let ring = Ring::new(4).unwrap();
        let mut polls = 0;
        ring.block_on(std::future::poll_fn(|outer| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            let mut inner_polls = 0;
            ring.block_on(std::future::poll_fn(|inner| {
                inner_polls += 1;
                if inner_polls == 2 {
                    return Poll::Ready(());
                }
                outer.waker().wake_by_ref();
                inner.waker().wake_by_ref();
                Poll::Pending
            }));
            Poll::Pending
        }));
    });
}

/// The future looks at a flag alone, with no lock or fence that would order its look behind the take-back of the wake-up.
#[test]
fn wake_up_while_a_poll_begins_is_not_lost() {
    if !has_io_uring() {
        return;
    }
    within_20_seconds(|| {
        let ring = Ring::new(4).unwrap();
        let (wakers, woken) = mpsc::channel::<(Waker, Arc<AtomicBool>)>();
        let thread = std::thread::spawn(move || {
            for (waker, is_ready) in woken {
                is_ready.store(true, Ordering::Release);
                waker.wake();
            }
        });
        for _ in 0..2000 {
            let is_ready = Arc::new(AtomicBool::new(false));
            let mut is_sent = false;
            ring.block_on(std::future::poll_fn(|context| {
                if !is_sent {
                    is_sent = true;
                    wakers.send((context.waker().clone(), Arc::clone(&is_ready))).unwrap();
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if is_ready.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
            }));
        }
        drop(wakers);
        thread.join().unwrap();
    });
}

#[test]
fn block_on_is_woken_by_another_thread() {
    if !has_io_uring() {
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    let ring = Ring::new(4).unwrap();
    for _ in 0..20 {
        let held = pool.try_get().unwrap();
        let thread = std::thread::spawn({
            let pool = pool.clone();
            move || {
                while pool.stats().unwrap().waiter_count == 0 {
                    std::thread::yield_now();
                }
                drop(held);
            }
        });
        assert_eq!(ring.block_on(pool.get()).unwrap().index(), 0);
        thread.join().unwrap();
    }
}
