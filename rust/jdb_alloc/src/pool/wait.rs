//! Waiting for frames in a future.
//!
//! A future that has to wait shares a [`Waiting`] with the pool's queue. Which of the two, future or callback, comes second
//! is decided under a mutex, so a frame that is handed over to a future that is gone goes back:
//!
//! ```text
//!   Waiting --callback--> Done      --future polled--> its frames
//!                                   --future dropped-> frames go back
//!           --dropped---> Abandoned --cancel found it queued--> no callback comes
//!                                   --callback----------------> frames go back
//! ```

use std::cell::UnsafeCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Frame, PoolRef};
use crate::ffi::{self, pool::Lent, sys};
use crate::{Error, Result};

enum State {
    Waiting(Waker),
    Done,
    Abandoned,
}

/// What future and queue share. It never moves: the pool has its address.
struct Waiting {
    state: Mutex<State>,
    entry: UnsafeCell<sys::jdb_pool_wait>,
    frames: UnsafeCell<Box<[sys::jdb_frame]>>,
    pool: PoolRef,
}

// SAFETY: `entry` is the pool's, under its lock; `frames` are the pool's until the callback, then of whoever found `Done`.
unsafe impl Send for Waiting {}
// SAFETY: as above.
unsafe impl Sync for Waiting {}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the frames are still to come; then `waker` is what is woken. Nothing is locked while a waker is cloned or
    /// dropped: the old one may put a frame, and so serve this wait.
    fn waits_with(&self, waker: &Waker) -> bool {
        match &*self.state() {
            State::Waiting(known) if known.will_wake(waker) => return true,
            State::Waiting(_) => {}
            _ => return false,
        }
        let next = State::Waiting(waker.clone());
        let mut state = self.state();
        if !matches!(*state, State::Waiting(_)) {
            return false;
        }
        let before = std::mem::replace(&mut *state, next);
        drop(state);
        drop(before);
        true
    }

    /// # Safety
    /// The pool has handed the frames over, and nobody has taken them.
    unsafe fn take_frames(&self) -> Vec<Frame> {
        // SAFETY: the caller's promise.
        let frames = unsafe { &*self.frames.get() };
        // SAFETY: filled by the pool.
        frames.iter().map(|frame| Frame::new(self.pool.clone(), unsafe { Lent::of(frame) })).collect()
    }
}

/// The pool's callback. It runs on the thread whose put brought the last frame, and may put itself.
unsafe extern "C" fn on_frames(wait: *mut sys::jdb_pool_wait) {
    // SAFETY: `user` is the count that `start` gave to the queue.
    let waiting = unsafe { Arc::from_raw((*wait).user.cast::<Waiting>()) };
    let before = {
        let mut state = waiting.state();
        let next = if matches!(*state, State::Abandoned) { State::Abandoned } else { State::Done };
        std::mem::replace(&mut *state, next)
    };
    match before {
        State::Waiting(waker) => waker.wake(),
        // SAFETY: handed over just now, and the future is gone.
        State::Abandoned => drop(unsafe { waiting.take_frames() }),
        State::Done => unreachable!("one callback for one wait"),
    }
}

/// A wait for `count` frames; the form that both futures share.
struct Wait {
    pool: PoolRef,
    count: u32,
    waiting: Option<Arc<Waiting>>,
}

impl Wait {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<Frame>>> {
        let Some(waiting) = &self.waiting else { return self.start(context) };
        if waiting.waits_with(context.waker()) {
            return Poll::Pending;
        }
        // SAFETY: `Done`, as this future was not dropped; taken here and nowhere else, as `waiting` goes.
        let frames = unsafe { waiting.take_frames() };
        self.waiting = None;
        Poll::Ready(Ok(frames))
    }

    fn start(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<Frame>>> {
        if let Err(error) = self.pool.check_count(self.count) {
            return Poll::Ready(Err(error));
        }
        self.pool.put_unpinned();
        let empty = sys::jdb_frame { ptr: std::ptr::null_mut(), index: 0, gen_: 0 };
        let waiting = Arc::new(Waiting {
            state: Mutex::new(State::Waiting(context.waker().clone())),
            entry: UnsafeCell::new(ffi::pool::wait_init(on_frames, std::ptr::null_mut())),
            frames: UnsafeCell::new(vec![empty; self.count as usize].into_boxed_slice()),
            pool: self.pool.clone(),
        });
        let of_queue = Arc::into_raw(Arc::clone(&waiting));
        // SAFETY: nobody else has the entry yet; it and the frames stay in place, as the queue's count keeps them.
        let code = unsafe {
            (*waiting.entry.get()).user = of_queue.cast_mut().cast();
            let frames = (*waiting.frames.get()).as_mut_ptr();
            ffi::pool::wait_start(self.pool.raw, waiting.entry.get(), frames, self.count)
        };
        if code == -ffi::EAGAIN {
            self.waiting = Some(waiting);
            return Poll::Pending;
        }
        // SAFETY: no callback will come, so the queue's count is ours again.
        drop(unsafe { Arc::from_raw(of_queue) });
        if code != 0 {
            return Poll::Ready(Err(Error::from_code(code)));
        }
        // SAFETY: filled by the call.
        Poll::Ready(Ok(unsafe { waiting.take_frames() }))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        let before = std::mem::replace(&mut *waiting.state(), State::Abandoned);
        let was_done = matches!(before, State::Done);
        drop(before); // the waker, while nothing is locked: it may put a frame, and so serve this wait
        if was_done {
            // SAFETY: handed over, and this future takes nothing any more.
            drop(unsafe { waiting.take_frames() });
            return;
        }
        // SAFETY: the entry was started, and is alive.
        if unsafe { ffi::pool::wait_cancel(self.pool.raw, waiting.entry.get()) } {
            // SAFETY: it was queued: no callback will come, so the queue's count is ours.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(&waiting)) };
        }
    }
}

/// The future of [`Pool::get`](crate::Pool::get). It allocates only when it has to wait.
#[must_use = "a future does nothing unless it is polled"]
pub struct Get(Wait);

impl Get {
    pub(super) fn new(pool: PoolRef) -> Get {
        Get(Wait { pool, count: 1, waiting: None })
    }
}

impl Future for Get {
    type Output = Result<Frame>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.waiting.is_none() {
            match self.0.pool.get() {
                Ok(frame) => return Poll::Ready(Ok(Frame::new(self.0.pool.clone(), frame))),
                Err(error) if !error.is_empty_pool() => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
        self.0.poll(context).map(|result| result.map(|mut frames| frames.pop().expect("one frame was asked for")))
    }
}

/// The future of [`Pool::get_many`](crate::Pool::get_many).
#[must_use = "a future does nothing unless it is polled"]
pub struct GetMany(Wait);

impl GetMany {
    pub(super) fn new(pool: PoolRef, count: u32) -> GetMany {
        GetMany(Wait { pool, count, waiting: None })
    }
}

impl Future for GetMany {
    type Output = Result<Vec<Frame>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.count == 0 {
            return Poll::Ready(Ok(Vec::new()));
        }
        self.0.poll(context)
    }
}
