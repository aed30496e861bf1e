//! io_uring with registered frames, over the crate [io-uring](https://docs.rs/io-uring).
//!
//! ```
//! use jdb_alloc::{Pool, ring::Ring};
//!
//! # let path = std::env::temp_dir().join(format!("jdb-ring-{}", std::process::id()));
//! # std::fs::write(&path, [7u8; 8192])?;
//! let pool = Pool::new(4096, 64)?;
//! let ring = Ring::new(64)?;
//! ring.register(pool.arena())?; // reads and writes of its frames are READ_FIXED and WRITE_FIXED from now on
//! let file = ring.file(std::fs::File::open(&path)?);
//! ring.block_on(async {
//!     let (result, frame) = file.read_at(pool.get().await?, 4096).await;
//!     assert_eq!((result?, frame.len(), frame[0]), (4096, 4096, 7));
//!     Ok::<(), jdb_alloc::Error>(())
//! })?;
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Ring`] belongs to one thread. Every operation owns its buffer and its file until the kernel is done with them: a future
//! that is dropped while its read is in flight asks for the read to be cancelled, and the frame goes back to its pool with the
//! completion. What was read until then is not resumed. Dropping the ring waits for what is in flight. A child of fork() must
//! neither use nor drop a ring of its parent.

mod ffi;
mod memory;
mod wake;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use io_uring::{IoUring, opcode, squeue, types};

use crate::error::Origin;
use crate::{Arena, Cause, Durability, Error, Memory, Result};
pub(crate) use ffi::explain;
use ffi::{Operation, Outcome, Registry};
use memory::AnyMemory;
pub use memory::RingMemory;
use wake::WakeEvent;

/// `user_data` of entries that are no operation.
const CANCEL: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;

/// `user_data` of an operation: its slot, and which use of the slot it is, so that a late cancel meets no other operation.
fn tag_of(slot: usize, generation: u32) -> u64 {
    (u64::from(generation) << 32) | slot as u64
}

/// A ring of one thread, with a table of registered frames. Cloning it is cheap.
#[derive(Clone)]
pub struct Ring(Rc<RefCell<Inner>>);

/// Fields are dropped in this order: the registry wants the ring alive.
struct Inner {
    registry: Registry,
    ring: IoUring,
    /// Operations keep their place in memory while slots are added.
    #[expect(clippy::vec_box, reason = "an operation must not move while it is started")]
    slots: Vec<Box<Slot>>,
    free: Vec<usize>,
    in_flight: usize,
    /// Registered with the ring; kept until the registry is gone.
    arenas: Vec<Arena>,
    wake: WakeEvent,
}

#[derive(Default)]
struct Slot {
    op: Operation,
    memory: Option<AnyMemory>,
    file: Option<Rc<OwnedFd>>,
    waker: Option<Waker>,
    result: Option<Result<usize>>,
    /// The future is gone.
    is_abandoned: bool,
    generation: u32,
}

/// What is dropped or woken once the ring is not borrowed: both may run code that uses it.
#[derive(Default)]
struct Finished {
    wakers: Vec<Waker>,
    memories: Vec<AnyMemory>,
}

impl Finished {
    fn finish(self) {
        drop(self.memories);
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

/// What was registered of an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Regions that the arena makes.
    pub region_count: u32,
    /// Of them registered; frames in the others are read and written without.
    pub registered_count: u32,
    /// Why the first of the others is not.
    pub refusal: Option<Cause>,
}

/// Counts of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Entries with a registered buffer.
    pub fixed_count: u64,
    /// And without.
    pub plain_count: u64,
    /// Bytes completed through a registered buffer.
    pub fixed_bytes: u64,
    /// And without.
    pub plain_bytes: u64,
    /// Short results that were resumed.
    pub resume_count: u64,
    /// Operations in flight, those of dropped futures included.
    pub in_flight: usize,
}

impl Ring {
    /// A ring with room for `entries` submissions at once.
    ///
    /// # Errors
    /// What io_uring_setup(2) said.
    pub fn new(entries: u32) -> Result<Ring> {
        let ring = IoUring::new(entries).map_err(system_error)?;
        // SAFETY: the ring is dropped behind the registry.
        let registry = unsafe { Registry::new(ring.as_raw_fd()) }?;
        let wake = WakeEvent::new().map_err(system_error)?;
        let mut inner =
            Inner { registry, ring, slots: Vec::new(), free: Vec::new(), in_flight: 0, arenas: Vec::new(), wake };
        inner.arm_wake();
        Ok(Ring(Rc::new(RefCell::new(inner))))
    }

    /// Registers the frames of an arena, so that reads and writes of them need no mapping of pages. What the kernel refuses (more
    /// than RLIMIT_MEMLOCK, above all) is no error: these frames go without, and the result says why.
    ///
    /// # Errors
    /// EEXIST when it was registered before.
    pub fn register(&self, arena: &Arena) -> Result<Registration> {
        let mut inner = self.0.borrow_mut();
        let obtained = inner.registry.add(arena)?;
        inner.arenas.push(arena.clone());
        Ok(Registration {
            region_count: obtained.region_count,
            registered_count: obtained.registered_count,
            refusal: (obtained.first_error != 0).then(|| Cause::of(-obtained.first_error.abs(), Origin::Registration)),
        })
    }

    /// A regular file or block device to read and write through the ring. What has no offsets (a pipe, a socket) is not for
    /// this: a short read is resumed from its last aligned offset, as files want it.
    pub fn file(&self, file: impl Into<OwnedFd>) -> RingFile {
        RingFile { ring: self.clone(), fd: Rc::new(file.into()) }
    }

    /// Runs a future to its end on this thread, driving the ring meanwhile. Futures of other threads may wake it.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let wake = self.0.borrow().wake.clone();
        let waker = Waker::from(wake.source());
        let mut future = pin!(future);
        loop {
            wake.reset();
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                wake.set(); // for a future around this one that was woken meanwhile
                return output;
            }
            // At least once, so that a future that wakes itself does not keep others from being submitted.
            loop {
                let least = usize::from(!wake.is_woken());
                if let Err(error) = self.drive(least) {
                    // The kernel refuses to be waited for: there is nothing left to drive, and no way to say so to the future.
                    panic!("io_uring_enter: {error}");
                }
                if wake.is_woken() {
                    break;
                }
            }
        }
    }

    /// Submits what was started, waits for at least `least` completions (of anything, wake-ups included), and wakes the futures
    /// that are done. For event loops: the ring's descriptor is readable when there are completions.
    ///
    /// # Errors
    /// What io_uring_enter(2) said, but for EINTR.
    pub fn drive(&self, least: usize) -> Result<()> {
        let mut finished = Finished::default();
        let result = self.0.borrow_mut().drive(least, &mut finished);
        finished.finish();
        result
    }

    /// Counts of the ring.
    pub fn stats(&self) -> RingStats {
        let inner = self.0.borrow();
        let stats = inner.registry.stats();
        RingStats {
            fixed_count: stats.fixed_count,
            plain_count: stats.plain_count,
            fixed_bytes: stats.fixed_bytes,
            plain_bytes: stats.plain_bytes,
            resume_count: stats.resume_count,
            in_flight: inner.in_flight,
        }
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.borrow().ring.as_raw_fd()
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ring({:?})", self.stats())
    }
}

fn system_error(error: io::Error) -> Error {
    Error::from_code(-error.raw_os_error().unwrap_or(crate::ffi::EINVAL))
}

impl Inner {
    fn arm_wake(&mut self) {
        let entry = opcode::PollAdd::new(types::Fd(self.wake.as_raw_fd()), WakeEvent::POLL_MASK).build();
        // Without room in the queue it is pushed behind a submission; the event's descriptor lives as long as the ring.
        self.push(entry.user_data(WAKE)).expect("a ring takes an entry");
    }

    /// Queues an entry, submitting others where the queue is full.
    fn push(&mut self, entry: squeue::Entry) -> Result<()> {
        // SAFETY: what an operation's entry names is kept in its slot until the completion; the event is the ring's.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.submit(0)?;
        }
        Ok(())
    }

    fn submit(&mut self, least: usize) -> Result<()> {
        match self.ring.submit_and_wait(least) {
            Ok(_) => Ok(()),
            // EINTR: a signal. EBUSY and EAGAIN: the kernel wants completions to be taken first.
            Err(error) if matches!(error.raw_os_error(), Some(4 | 11 | 16)) => Ok(()),
            Err(error) => Err(system_error(error)),
        }
    }

    fn drive(&mut self, least: usize, finished: &mut Finished) -> Result<()> {
        let result = self.submit(least);
        while let Some(completion) = { self.ring.completion().next() } {
            match completion.user_data() {
                CANCEL => {}
                WAKE => {
                    self.wake.clear();
                    self.arm_wake();
                }
                tag => self.complete((tag & u64::from(u32::MAX)) as usize, completion.result(), finished),
            }
        }
        result
    }

    fn start(
        &mut self,
        file: &Rc<OwnedFd>,
        mut memory: AnyMemory,
        offset: u64,
        kind: Kind,
        waker: &Waker,
    ) -> std::result::Result<usize, (Error, AnyMemory)> {
        let Ok(offset) = i64::try_from(offset) else {
            return Err((Error::from_code(-crate::ffi::EOVERFLOW), memory));
        };
        let slot = self.free_slot();
        let (view, fd) = (memory.view(), file.as_raw_fd());
        let op = &mut self.slots[slot].op;
        // SAFETY: the memory is moved into the slot below, and stays there until the completion.
        let started = unsafe {
            match kind {
                Kind::Read => self.registry.start_read(op, fd, view, offset),
                Kind::Write(durability) => self.registry.start_write(op, fd, view, offset, durability),
            }
        };
        self.slots[slot].generation = self.slots[slot].generation.wrapping_add(1) % (u32::MAX / 2);
        let entry = started.map(|()| self.entry(slot));
        if let Err(error) = entry.and_then(|entry| self.push(entry)) {
            Registry::withdraw(&mut self.slots[slot].op);
            self.free.push(slot);
            return Err((error, memory));
        }
        let kept = &mut self.slots[slot];
        (kept.memory, kept.file, kept.waker) = (Some(memory), Some(Rc::clone(file)), Some(waker.clone()));
        (kept.result, kept.is_abandoned) = (None, false);
        self.in_flight += 1;
        Ok(slot)
    }

    fn entry(&mut self, slot: usize) -> squeue::Entry {
        let kept = &mut self.slots[slot];
        Registry::entry(&mut kept.op).user_data(tag_of(slot, kept.generation))
    }

    fn free_slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Box::default());
            self.slots.len() - 1
        })
    }

    fn complete(&mut self, slot: usize, result: i32, finished: &mut Finished) {
        let kept = &mut self.slots[slot];
        let done = match Registry::complete(&mut kept.op, result) {
            Outcome::Done(done) => done,
            Outcome::Resume => {
                let entry = self.entry(slot);
                match self.push(entry) {
                    Ok(()) => return,
                    Err(error) => {
                        Registry::withdraw(&mut self.slots[slot].op);
                        Err(error)
                    }
                }
            }
        };
        self.in_flight -= 1;
        let kept = &mut self.slots[slot];
        kept.file = None;
        if kept.is_abandoned {
            finished.memories.extend(kept.memory.take());
            self.free.push(slot);
            return;
        }
        kept.result = Some(done);
        finished.wakers.extend(kept.waker.take());
    }

    /// The result and the memory of an operation that is done.
    fn take(&mut self, slot: usize) -> Option<(Result<usize>, AnyMemory, usize)> {
        let kept = &mut self.slots[slot];
        let result = kept.result.take()?;
        let memory = kept.memory.take().expect("kept until it is taken");
        let read_len = kept.op.view.len;
        self.free.push(slot);
        Some((result, memory, read_len))
    }

    /// The future is gone. What is in flight is asked to be cancelled; the memory stays until the completion. What is returned
    /// is to be dropped once the ring is not borrowed.
    fn abandon(&mut self, slot: usize) -> (Option<Waker>, Option<AnyMemory>) {
        let kept = &mut self.slots[slot];
        let waker = kept.waker.take();
        if kept.result.take().is_some() {
            self.free.push(slot);
            return (waker, kept.memory.take());
        }
        kept.is_abandoned = true;
        let cancel = Registry::cancel_entry(&mut kept.op, tag_of(slot, kept.generation)).user_data(CANCEL);
        // A cancel that cannot be queued is not needed: the operation completes in its own time.
        let _ = self.push(cancel);
        (waker, None)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // No future is left: each holds the ring. What is in flight was abandoned.
        let mut finished = Finished::default();
        while self.in_flight > 0 {
            if self.drive(1, &mut finished).is_err() {
                // Not to be waited for: the kernel may write still, so this memory is never given back.
                std::mem::forget(std::mem::take(&mut self.slots));
                break;
            }
        }
        finished.finish();
    }
}

/// A regular file or block device on a [`Ring`].
#[derive(Clone)]
pub struct RingFile {
    ring: Ring,
    fd: Rc<OwnedFd>,
}

impl RingFile {
    /// Reads from `offset` into the whole capacity; the length becomes the bytes read, which are fewer at the end of the file
    /// alone. The memory comes back with the result.
    pub fn read_at<M: RingMemory + Memory>(&self, memory: M, offset: u64) -> Transfer<M> {
        Transfer { file: self.clone(), stage: Stage::New(memory, offset), kind: Kind::Read }
    }

    /// Writes the data, all of it, to `offset`. The memory comes back with the result.
    pub fn write_at<M: RingMemory>(&self, memory: M, offset: u64) -> Transfer<M> {
        self.write_sync_at(memory, offset, Durability::None)
    }

    /// As [`RingFile::write_at`], and the file is synced when every byte is written: what is written is durable when the future
    /// ends well. After an error of the sync, what the file has of these and of earlier writes is not known: write them again. A
    /// sync is made once, and its EINTR and EAGAIN are errors as any other.
    pub fn write_sync_at<M: RingMemory>(&self, memory: M, offset: u64, durability: Durability) -> Transfer<M> {
        Transfer { file: self.clone(), stage: Stage::New(memory, offset), kind: Kind::Write(durability) }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write(Durability),
}

enum Stage<M> {
    New(M, u64),
    Started(usize),
    Over,
}

/// A read or write of a [`RingFile`]: the result, and the memory back. It starts when it is first polled.
#[must_use = "a future does nothing unless it is polled"]
pub struct Transfer<M: RingMemory> {
    file: RingFile,
    stage: Stage<M>,
    kind: Kind,
}

impl<M: RingMemory> Unpin for Transfer<M> {}

impl<M: RingMemory> Future for Transfer<M> {
    type Output = (Result<usize>, M);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut inner = this.file.ring.0.borrow_mut();
        let slot = match std::mem::replace(&mut this.stage, Stage::Over) {
            Stage::Over => panic!("polled after its end"),
            Stage::Started(slot) => slot,
            Stage::New(memory, offset) => {
                match inner.start(&this.file.fd, memory.into_any(), offset, this.kind, context.waker()) {
                    Ok(slot) => {
                        this.stage = Stage::Started(slot);
                        return Poll::Pending;
                    }
                    Err((error, memory)) => return Poll::Ready((Err(error), M::from_any(memory))),
                }
            }
        };
        let Some((result, mut memory, read_len)) = inner.take(slot) else {
            this.stage = Stage::Started(slot);
            let before = inner.slots[slot].waker.replace(context.waker().clone());
            drop(inner); // a waker that goes may use the ring
            drop(before);
            return Poll::Pending;
        };
        if matches!(this.kind, Kind::Read) {
            // SAFETY: the kernel wrote so many bytes.
            unsafe { memory.set_read(read_len) };
        }
        Poll::Ready((result, M::from_any(memory)))
    }
}

impl<M: RingMemory> Drop for Transfer<M> {
    fn drop(&mut self) {
        if let Stage::Started(slot) = self.stage {
            let abandoned = self.file.ring.0.borrow_mut().abandon(slot);
            drop(abandoned); // the ring is not borrowed: what this wakes or drops may use it
        }
    }
}
