//! Arena, Pool, Frame, SharedFrame, Pinned, and waiting for frames.

mod rig;

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use jdb_alloc::{Arena, ArenaReport, Error, Frame, Get, GetMany, Numa, Pages, Pinned, Pool, SharedFrame, ZeroPolicy};
use rig::{PAGE, filled, is_filled};

fn lent(pool: &Pool) -> u32 {
    pool.stats().unwrap().lent_count
}

// ---- Arena ---------------------------------------------------------------------------------------------------------------

#[test]
fn arena_reports_what_was_obtained() {
    let arena =
        Arena::builder(4120, 16).align(512).pages(Pages::Best).prefault(true).name("rust-test").build().unwrap();
    assert_eq!((arena.frame_size(), arena.stride(), arena.frame_count()), (4120, 4608, 16));
    let report = arena.report().unwrap();
    assert!(report.usable_bytes() >= 16 * 4608 && report.resident_bytes() >= 16 * 4608, "{report}");
    let wishes: Vec<_> = report.wishes().collect();
    assert!(wishes.iter().all(|wish| wish.is_obtained || !wish.reason.is_empty()), "{wishes:?}");
    let prefault = wishes.iter().find(|wish| wish.name == "prefault").unwrap();
    assert!(prefault.is_obtained && prefault.obtained > 0 && prefault.refusal.is_none());
    assert!(report.to_string().contains("resident"), "{report}");
}

/// The part of /proc/self/smaps or numa_maps that is about the mapping of an address: from its line to the next mapping's.
#[cfg(target_os = "linux")]
fn lines_of_mapping(file: &str, address: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).ok()?;
    let start_of = |line: &str| usize::from_str_radix(line.split(['-', ' ']).next()?, 16).ok().filter(|at| *at >= PAGE);
    let mut found = None;
    for line in text.lines() {
        match start_of(line) {
            Some(start) if start <= address => found = Some(line.to_owned()),
            Some(_) => break,
            None => found.iter_mut().for_each(|lines| lines.extend(["\n", line])),
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn arena_is_locked_and_left_out_of_dumps() {
    let arena = Arena::builder(PAGE, 4).lock(true).prefault(true).dont_dump(true).build().unwrap();
    let report = arena.report().unwrap();
    let wish_of =
        |name| report.wishes().find(|wish| wish.name == name && wish.asked != 0).expect("a wish that was made");
    let (dump, lock) = (wish_of("dump"), wish_of("lock"));
    let frame = Pool::over(&arena).unwrap().try_get().unwrap();
    let lines = lines_of_mapping("smaps", frame.as_ptr() as usize).unwrap();
    let flags = lines.lines().find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
    assert!(dump.is_obtained && flags.contains(" dd"), "{report} {flags}");
    if !lock.is_obtained {
        println!("skipped: locked memory ({})", lock.reason);
        return;
    }
    assert!(flags.contains(" lo") && report.locked_bytes() >= 4 * PAGE as u64, "{report} {flags}");
    let plain = Arena::builder(PAGE, 4).lock(true).lock(false).dont_dump(true).dont_dump(false).build().unwrap();
    let report = plain.report().unwrap();
    assert!(
        report.locked_bytes() == 0 && report.wishes().all(|wish| wish.name != "dump" || wish.asked == 0),
        "{report}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn arena_is_on_the_nodes_of_its_policy() {
    for (numa, word) in [(Numa::Bind(1), "bind:0"), (Numa::Prefer(1), "prefer"), (Numa::Interleave(1), "interleave:0")]
    {
        let arena = Arena::builder(PAGE, 4).numa(numa).prefault(true).build().unwrap();
        let report = arena.report().unwrap();
        let wish = report.wishes().find(|wish| wish.name == "numa").unwrap();
        let frame = Pool::over(&arena).unwrap().try_get().unwrap();
        match lines_of_mapping("numa_maps", frame.as_ptr() as usize).filter(|_| wish.is_obtained) {
            Some(lines) => assert!(lines.contains(word), "{numa:?}: {lines}"),
            None => println!("skipped: {numa:?} ({})", wish.reason),
        }
    }
    let absent = Arena::builder(PAGE, 1).numa(Numa::Bind(1 << 63)).require_all(true).build();
    assert!(absent.is_err(), "no machine has 64 nodes");
}

#[test]
fn arena_with_a_required_wish_that_is_refused_is_an_error() {
    // No machine has so many pages of 1 GiB set aside.
    let refused = Arena::builder(1 << 30, 4096).pages(Pages::Huge1G).require_all(true).build();
    let error = refused.unwrap_err();
    assert!(matches!(error.errno(), libc::ENOTSUP | libc::ENOMEM), "{error:?}");
}

#[test]
fn arena_options_out_of_range_are_errors() {
    assert_eq!(Arena::new(0, 1).unwrap_err().errno(), libc::EINVAL);
    assert_eq!(Arena::builder(4096, 1).align(1000).build().unwrap_err().errno(), libc::EINVAL);
    assert_eq!(Arena::builder(4096, 1).name("a\0b").build().unwrap_err().errno(), libc::EINVAL);
    assert!(matches!(Arena::new(usize::MAX, 2), Err(Error::InvalidLayout(_) | Error::Refused(_))));
}

#[test]
fn arena_grows_and_its_pool_lends_the_new_frames() {
    let arena = Arena::builder(PAGE, 1).max_frame_count(3).build().unwrap();
    let pool = Pool::over(&arena).unwrap();
    let first = pool.try_get().unwrap();
    assert!(pool.try_get().unwrap_err().is_empty_pool());
    arena.grow(3).unwrap();
    assert_eq!((pool.extend().unwrap(), arena.max_frame_count()), (3, 3));
    let more = pool.try_get_many(2).unwrap();
    assert_eq!(arena.grow(4).unwrap_err().errno(), libc::ERANGE);
    let shared = more.into_iter().next().unwrap().freeze(); // its count lies past the first frames
    drop((first, shared.clone(), shared));
    assert_eq!(lent(&pool), 0);
}

#[test]
fn one_pool_for_an_arena() {
    let arena = Arena::new(PAGE, 1).unwrap();
    let pool = Pool::over(&arena).unwrap();
    assert!(Pool::over(&arena).unwrap_err().is_busy());
    drop(pool);
    assert!(Pool::over(&arena).is_ok());
}

// ---- Frames ----------------------------------------------------------------------------------------------------------------

#[test]
fn frame_owns_its_memory_and_goes_back() {
    let pool = Pool::new(PAGE, 2).unwrap();
    let mut one = pool.try_get().unwrap();
    let two = pool.try_get().unwrap();
    assert_ne!((one.index(), one.as_ptr()), (two.index(), two.as_ptr()));
    assert_eq!((one.len(), one.cap(), one.as_ptr() as usize % PAGE), (0, PAGE, 0));
    one.extend(b"page").unwrap();
    one[0] = b'P';
    assert_eq!(&one[..], b"Page");
    assert!(matches!(one.extend(&[0; PAGE]), Err(Error::Overflow(4100, PAGE))));
    assert!(one.resize(PAGE + 1, 0).is_err());
    one.resize(6, 9).unwrap();
    one.resize(4, 9).unwrap();
    assert_eq!(&one[..], b"Page");
    one.pad_to(512).unwrap();
    assert_eq!((one.len(), is_filled(&one[4..], 0)), (512, true));
    assert_eq!(format!("{one:?}"), "Frame { len: 512, cap: 4096 }");
    let generation = two.generation();
    drop(two);
    assert_ne!(pool.try_get().unwrap().generation(), generation);
    drop(one);
    assert_eq!(lent(&pool), 0);
}

#[test]
fn frame_outlives_pool_and_arena_handles() {
    let frame = Pool::new(PAGE, 4).unwrap().try_get().unwrap();
    let frame = std::thread::spawn(move || filled(frame, 9)).join().unwrap();
    assert!(is_filled(&frame, 9));
}

#[test]
fn owners_and_waits_go_to_other_threads() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    is_send_and_sync::<(Arena, ArenaReport, Pool, Frame, SharedFrame, Pinned, Get, GetMany)>();
}

/// A frame that is forgotten is lent for ever, and keeps pool and arena. At the end it is dropped, for the leak checkers.
#[test]
fn forgotten_frame_is_lent_to_nobody_else() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let mut forgotten = std::mem::ManuallyDrop::new(filled(pool.try_get().unwrap(), 7));
    let memory = forgotten.as_ptr();
    assert!(pool.try_get().unwrap_err().is_empty_pool());
    drop(pool);
    // SAFETY: nothing was freed, and the bytes were written above.
    assert_eq!(unsafe { memory.read_volatile() }, 7);
    // SAFETY: dropped once.
    unsafe { std::mem::ManuallyDrop::drop(&mut forgotten) };
}

#[test]
fn frames_of_a_permanent_pool() {
    let arena = Arena::new(PAGE, 2).unwrap();
    let pool = Pool::builder(&arena).permanent(true).build().unwrap();
    let frame = pool.clone().try_get().unwrap();
    let shared = filled(frame, 3).freeze();
    drop(pool);
    assert!(is_filled(&shared.clone(), 3));
    drop(shared);
}

#[test]
fn zero_policy_keeps_old_data_from_new_owners() {
    let arena = Arena::new(PAGE, 1).unwrap();
    let pool = Pool::builder(&arena).zero(ZeroPolicy::Always).thread_frames(2).build().unwrap();
    drop(filled(pool.try_get().unwrap(), 0xee));
    let mut frame = pool.try_get().unwrap();
    // SAFETY: the pool zeroed all of it.
    unsafe { frame.set_len(PAGE) };
    assert!(is_filled(&frame, 0));
}

/// Frames of 4000 bytes lie 4096 apart: the 96 bytes behind each go to disk with a write of whole blocks.
#[test]
fn zero_policy_tail_clears_what_lies_behind_a_frame() {
    for (policy, tail) in [(ZeroPolicy::Never, 0xee), (ZeroPolicy::Tail, 0)] {
        let arena = Arena::new(4000, 1).unwrap();
        let pool = Pool::builder(&arena).zero(policy).build().unwrap();
        let mut frame = pool.try_get().unwrap();
        assert_eq!((frame.cap(), arena.stride()), (4000, PAGE));
        // SAFETY: the frame is lent, and the stride is its memory.
        unsafe { frame.as_mut_ptr().write_bytes(0xee, PAGE) };
        drop(frame);
        let frame = pool.try_get().unwrap();
        // SAFETY: as above; written before.
        let bytes = unsafe { std::slice::from_raw_parts(frame.as_ptr(), PAGE) };
        assert!(is_filled(&bytes[..4000], 0xee) && is_filled(&bytes[4000..], tail), "{policy:?}");
    }
}

#[test]
fn many_frames_at_once_or_none() {
    let pool = Pool::new(PAGE, 3).unwrap();
    let two = pool.try_get_many(2).unwrap();
    assert!(pool.try_get_many(2).unwrap_err().is_empty_pool());
    for too_many in [4, u32::MAX] {
        assert_eq!(pool.try_get_many(too_many).unwrap_err().errno(), libc::ERANGE);
        assert_eq!(block_on(pool.get_many(too_many)).unwrap_err().errno(), libc::ERANGE);
    }
    drop(two);
    assert_eq!(pool.try_get_many(3).unwrap().len(), 3);
}

#[test]
fn decommitted_frame_reads_zero_and_stays_lent() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let mut frame = filled(pool.try_get().unwrap(), 7);
    assert_eq!((frame.decommit().unwrap(), frame.len(), lent(&pool)), (PAGE as u64, 0, 1));
    // SAFETY: memory that was given back reads as zero.
    unsafe { frame.set_len(PAGE) };
    assert!(is_filled(&frame, 0));
    let pin = frame.pin().unwrap();
    assert!(frame.decommit().unwrap_err().is_busy());
    drop(pin);
}

#[test]
fn spare_memory_behind_the_data() {
    let mut frame = Pool::new(PAGE, 1).unwrap().try_get().unwrap();
    frame.extend(b"abc").unwrap();
    frame.spare_mut()[0].write(b'd');
    assert_eq!(frame.spare_mut().len(), PAGE - 3);
    // SAFETY: one more byte was written.
    unsafe { frame.set_len(4) };
    assert_eq!(&frame[..], b"abcd");
}

// ---- Shared frames -----------------------------------------------------------------------------------------------------------

#[test]
fn shared_frame_goes_back_with_the_last() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let shared = filled(pool.try_get().unwrap(), 5).freeze();
    let others: Vec<SharedFrame> = (0..4).map(|_| shared.clone()).collect();
    assert_eq!((shared.share_count(), shared.len(), shared.cap()), (5, PAGE, PAGE));
    let threads: Vec<_> = others
        .into_iter()
        .map(|other| std::thread::spawn(move || assert!(is_filled(&other, 5) && other.index() == 0)))
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((shared.share_count(), lent(&pool)), (1, 1));
    drop(shared);
    assert_eq!(lent(&pool), 0);
}

#[test]
fn thaw_only_the_last_share() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let shared = filled(pool.try_get().unwrap(), 5).freeze();
    let other = shared.clone();
    let shared = shared.try_thaw().unwrap_err();
    drop(other);
    let mut frame: Frame = shared.try_thaw().unwrap();
    frame[0] = 6;
    assert_eq!((frame[0], frame[1], frame.len()), (6, 5, PAGE));
    // A second life as a shared frame counts anew.
    let again = frame.freeze();
    assert_eq!(again.share_count(), 1);
    drop(again);
    assert_eq!(lent(&pool), 0);
}

// ---- Pins ------------------------------------------------------------------------------------------------------------------------

#[test]
fn pinned_frame_is_freed_by_its_last_pin() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let frame = filled(pool.try_get().unwrap(), 1);
    let pins: Vec<Pinned> = (0..2).map(|_| frame.pin().unwrap()).collect();
    let ptr = frame.as_ptr();
    assert!(jdb_alloc::is_pinned(&frame));
    drop(frame);
    for pin in pins {
        assert!(pool.try_get().unwrap_err().is_empty_pool(), "the kernel may touch it still");
        assert_eq!((pin.as_ptr(), pin.size()), (ptr, PAGE));
        drop(pin);
    }
    assert_eq!(pool.try_get().unwrap().as_ptr(), ptr);
}

#[test]
fn last_unpin_of_a_dropped_frame_serves_a_waiter() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let frame = pool.try_get().unwrap();
    let pin = frame.freeze().pin().unwrap(); // the only share goes at once
    let thread = std::thread::spawn({
        let pool = pool.clone();
        move || pool.get_timeout(Duration::from_secs(20)).unwrap().index()
    });
    while pool.stats().unwrap().waiter_count == 0 {
        std::thread::yield_now();
    }
    drop(pin);
    assert_eq!(thread.join().unwrap(), 0);
}

/// Whichever of the two is second puts the frame: the waiter is served without another call on the pool. A race, so not every
/// run meets it.
#[test]
fn pin_that_ends_while_its_frame_is_dropped_serves_a_waiter() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let (pins, unpins) = mpsc::channel::<Pinned>();
    let turn = Arc::new(AtomicU32::new(0));
    let thread = std::thread::spawn({
        let turn = Arc::clone(&turn);
        move || {
            for pin in unpins {
                turn.store(1, Ordering::Release);
                while turn.load(Ordering::Acquire) != 2 {
                    std::hint::spin_loop();
                }
                drop(pin);
                turn.store(0, Ordering::Release);
            }
        }
    });
    let begin = Instant::now();
    for round in (0..2000).take_while(|_| begin.elapsed() < Duration::from_secs(2)) {
        let frame = pool.try_get().unwrap();
        pins.send(frame.pin().unwrap()).unwrap();
        let (count, waker) = counted();
        let mut get = pin!(pool.get());
        assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        while turn.load(Ordering::Acquire) != 1 {
            std::thread::yield_now();
        }
        turn.store(2, Ordering::Release);
        (0..round % 64).for_each(|_| std::hint::spin_loop());
        drop(frame);
        while turn.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "round {round}: the frame is free, and nobody was woken");
        assert!(get.poll(&mut Context::from_waker(&waker)).is_ready());
    }
    drop(pins);
    thread.join().unwrap();
}

#[test]
fn unpin_by_other_hands_is_found_by_the_next_get() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let frame = pool.try_get().unwrap();
    let ptr = frame.as_ptr();
    // SAFETY: the frame is lent; the range is unpinned below.
    assert_eq!(unsafe { jdb_alloc_sys::jdb_pin(ptr.cast(), PAGE) }, 0);
    drop(frame);
    assert!(pool.try_get().is_err());
    // SAFETY: pinned above.
    assert_eq!(unsafe { jdb_alloc_sys::jdb_unpin(ptr.cast(), PAGE) }, 0);
    assert_eq!(pool.try_get_many(1).unwrap()[0].as_ptr(), ptr);
}

#[test]
fn pinned_buffer_is_freed_by_its_last_pin() {
    let buf = jdb_alloc::AlignedBuf::zeroed(1 << 20).unwrap();
    let (ptr, pin) = (buf.as_ptr(), buf.pin().unwrap());
    drop(buf);
    // SAFETY: the pin keeps the memory readable.
    assert_eq!(unsafe { ptr.read_volatile() }, 0);
    drop(pin);
    assert!(!jdb_alloc::is_pinned(&[]));
}

// ---- Waiting ---------------------------------------------------------------------------------------------------------------------

struct CountedWake(AtomicU32);

impl Wake for CountedWake {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted() -> (Arc<CountedWake>, Waker) {
    let count = Arc::new(CountedWake(AtomicU32::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn get_is_ready_where_a_frame_is_there() {
    let pool = Pool::new(PAGE, 1).unwrap();
    assert_eq!(block_on(pool.get()).unwrap().index(), 0);
    assert_eq!(pool.stats().unwrap().wait_count, 0);
}

#[test]
fn get_waits_for_a_put_and_is_woken_once() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let held = pool.try_get().unwrap();
    let (count, waker) = counted();
    let mut get = pin!(pool.get());
    let mut context = Context::from_waker(&waker);
    assert!(get.as_mut().poll(&mut context).is_pending());
    assert!(get.as_mut().poll(&mut context).is_pending());
    drop(held);
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(pool.try_get().is_err(), "handed over, not to be overtaken");
    let Poll::Ready(Ok(frame)) = get.poll(&mut context) else { panic!("woken without a frame") };
    assert_eq!((frame.index(), lent(&pool)), (0, 1));
}

#[test]
fn get_wakes_the_last_waker() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let held = pool.try_get().unwrap();
    let ((first, first_waker), (second, second_waker)) = (counted(), counted());
    let mut get = pin!(pool.get());
    assert!(get.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    assert!(get.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
    drop(held);
    assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn dropped_get_leaves_the_queue() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let held = pool.try_get().unwrap();
    let (count, waker) = counted();
    let mut first: Get = pool.get();
    let mut second = pin!(pool.get());
    assert!(pin!(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    assert_eq!((pool.stats().unwrap().waiter_count, pool.stats().unwrap().cancel_count), (1, 1));
    drop(held);
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "the second alone");
    assert!(second.poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn dropped_get_that_was_served_gives_the_frame_back() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let held = pool.try_get().unwrap();
    let (_, waker) = counted();
    let mut get = Box::pin(pool.get());
    assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    assert_eq!(lent(&pool), 1);
    drop(get);
    assert_eq!(lent(&pool), 0);
    assert!(pool.try_get().is_ok());
}

/// A waker that holds a frame, as one that is the last to hold a task does.
struct Holder(#[expect(dead_code, reason = "dropped with the waker")] Frame);

impl Wake for Holder {
    fn wake(self: Arc<Self>) {}
}

/// The frame is put between the moment a future is dropped and its cancel: by its own waker, which holds the frame.
#[test]
fn get_that_is_served_while_it_is_dropped_gives_the_frame_back() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let waker = Waker::from(Arc::new(Holder(pool.try_get().unwrap())));
    let mut get = Box::pin(pool.get());
    assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(lent(&pool), 1, "the wait has the last waker");
    drop(get);
    let stats = pool.stats().unwrap();
    assert_eq!((stats.lent_count, stats.waiter_count, stats.cancel_count), (0, 0, 0), "served, not cancelled");
    assert!(pool.try_get().is_ok());
}

/// A poll brings another waker, and the old one puts the frame that the future waits for.
#[test]
fn get_that_is_served_by_the_end_of_its_old_waker() {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let pool = Pool::new(PAGE, 1).unwrap();
        let old = Waker::from(Arc::new(Holder(pool.try_get().unwrap())));
        let mut get = Box::pin(pool.get());
        assert!(get.as_mut().poll(&mut Context::from_waker(&old)).is_pending());
        drop(old);
        let (count, waker) = counted();
        assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let Poll::Ready(Ok(frame)) = get.as_mut().poll(&mut Context::from_waker(&waker)) else { panic!("not served") };
        sender.send((frame.index(), count.0.load(Ordering::SeqCst))).unwrap();
    });
    assert_eq!(
        receiver.recv_timeout(Duration::from_secs(20)),
        Ok((0, 1)),
        "the new waker is woken, and nothing is locked"
    );
}

/// A waker is called from C, which no panic may pass.
#[test]
fn waker_that_panics_ends_the_program() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's own");
        }
    }
    const CHILD: &str = "JDB_TEST_PANICKING_WAKER";
    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let run = child.args(["--exact", "waker_that_panics_ends_the_program"]).env(CHILD, "1").output().unwrap();
        assert_eq!(run.status.signal(), Some(libc::SIGABRT), "{run:?}");
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    let held = pool.try_get().unwrap();
    let waker = Waker::from(Arc::new(Panics));
    let mut get = pin!(pool.get());
    assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(held)));
}

#[test]
fn get_many_waits_for_all() {
    let pool = Pool::new(PAGE, 3).unwrap();
    let mut held = pool.try_get_many(3).unwrap();
    let (count, waker) = counted();
    let mut context = Context::from_waker(&waker);
    let mut get = pin!(pool.get_many(2));
    assert!(get.as_mut().poll(&mut context).is_pending());
    held.pop();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    held.pop();
    let Poll::Ready(Ok(frames)) = get.poll(&mut context) else { panic!("two frames are there") };
    assert_eq!((frames.len(), count.0.load(Ordering::SeqCst)), (2, 1));
    assert!(block_on(pool.get_many(0)).unwrap().is_empty());
    assert_eq!(block_on(pool.get_many(4)).unwrap_err().errno(), libc::ERANGE);
}

#[test]
fn deadlines_are_kept() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let held = pool.get_blocking().unwrap();
    let begin = Instant::now();
    let error = pool.get_timeout(Duration::from_millis(30)).unwrap_err();
    assert!(error.is_timeout() && begin.elapsed() >= Duration::from_millis(30), "{error:?}");
    assert!(pool.get_deadline(begin).unwrap_err().is_timeout());
    drop(held);
    assert!(pool.get_timeout(Duration::ZERO).is_ok());
    assert_eq!(pool.stats().unwrap().timeout_count, 2);
}

/// Tasks of four threads wait for two frames; some give up. No frame is lost, none is in two hands.
#[test]
fn waits_and_cancels_of_many_threads() {
    let pool = Pool::new(PAGE, 2).unwrap();
    let owners: Arc<[AtomicU32; 2]> = Arc::default();
    let threads: Vec<_> = (0..4u32)
        .map(|number| {
            let (pool, owners) = (pool.clone(), Arc::clone(&owners));
            std::thread::spawn(move || {
                for round in 0..500u32 {
                    if round % 3 == number % 3 {
                        let (_, waker) = counted();
                        let mut get = Box::pin(pool.get());
                        drop(get.as_mut().poll(&mut Context::from_waker(&waker)));
                        continue;
                    }
                    let frame = block_on(pool.get()).unwrap();
                    let owner = &owners[frame.index() as usize];
                    assert_eq!(owner.swap(number + 1, Ordering::SeqCst), 0, "one owner at a time");
                    std::thread::yield_now();
                    owner.store(0, Ordering::SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((lent(&pool), pool.try_get_many(2).unwrap().len()), (0, 2));
}
