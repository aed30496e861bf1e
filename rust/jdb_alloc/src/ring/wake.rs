//! What wakes a thread that waits in its ring: an eventfd, which the ring polls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::thread::{self, ThreadId};

/// Shared by the ring's thread and every waker.
#[derive(Clone)]
pub(super) struct WakeEvent(Arc<WakeSource>);

pub(super) struct WakeSource {
    is_woken: AtomicBool,
    event: File,
    /// The ring's thread, which does not sleep while it wakes itself.
    thread: ThreadId,
}

impl WakeEvent {
    /// POLLIN.
    pub(super) const POLL_MASK: u32 = libc::POLLIN as u32;

    pub(super) fn new() -> io::Result<WakeEvent> {
        // SAFETY: plain numbers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor.
        let event = unsafe { File::from_raw_fd(fd) };
        Ok(WakeEvent(Arc::new(WakeSource { is_woken: AtomicBool::new(false), event, thread: thread::current().id() })))
    }

    pub(super) fn source(&self) -> Arc<WakeSource> {
        Arc::clone(&self.0)
    }

    /// Before a poll, which sees what was done before every wake-up that this takes back: a plain store would let the poll's
    /// loads overtake it.
    pub(super) fn reset(&self) {
        self.0.is_woken.swap(false, Ordering::AcqRel);
    }

    pub(super) fn set(&self) {
        self.0.is_woken.store(true, Ordering::Release);
    }

    pub(super) fn is_woken(&self) -> bool {
        self.0.is_woken.load(Ordering::Acquire)
    }

    /// Takes the event's count, so that the next poll waits.
    pub(super) fn clear(&self) {
        // Nothing to read is as good.
        let _ = (&self.0.event).read(&mut [0; 8]);
    }
}

impl AsRawFd for WakeEvent {
    fn as_raw_fd(&self) -> RawFd {
        self.0.event.as_raw_fd()
    }
}

impl Wake for WakeSource {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) && thread::current().id() != self.thread {
            // A count at its maximum would be an error, and the event is set then.
            let _ = (&self.event).write(&1u64.to_ne_bytes());
        }
    }
}
