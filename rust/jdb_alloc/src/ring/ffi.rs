//! Every call into the C library's part for io_uring.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};

use io_uring::{opcode, squeue, types};

use crate::error::Origin;
use crate::ffi::{ECANCELED, check, size_of_u32, static_text, sys};
use crate::{Arena, Cause, Durability, Error, Result};
use sys::uring as c;

/// Fixed buffers on a ring that the crate io-uring made.
pub(super) struct Registry {
    table: NonNull<c::jdb_uring>,
    ring: NonNull<c::io_uring>,
}

/// An operation of the library; it must not move while it is started.
pub(super) type Operation = c::jdb_uring_op;

/// What became of an operation.
pub(super) enum Outcome {
    Done(Result<usize>),
    /// A short result: the rest wants another entry.
    Resume,
}

/// What was obtained for one arena.
pub(super) struct Obtained {
    pub(super) region_count: u32,
    pub(super) registered_count: u32,
    pub(super) first_error: c_int,
}

impl Registry {
    /// # Safety
    /// The descriptor is a ring that lives until the registry is dropped.
    pub(super) unsafe fn new(ring_fd: RawFd) -> Result<Registry> {
        let mut ring = ptr::null_mut();
        // SAFETY: room for the result.
        check(unsafe { c::jdb_rust_ring_over_fd(ring_fd, &mut ring) })?;
        let ring = NonNull::new(ring).expect("a ring object on success");
        let mut table = ptr::null_mut();
        // SAFETY: the ring object stays where it is until the table is closed.
        if let Err(error) = check(unsafe { c::jdb_uring_open(ring.as_ptr(), ptr::null(), &mut table) }) {
            // SAFETY: made above, used by nobody.
            unsafe { c::jdb_rust_ring_free(ring.as_ptr()) };
            return Err(error);
        }
        Ok(Registry { table: NonNull::new(table).expect("a table on success"), ring })
    }

    pub(super) fn add(&mut self, arena: &Arena) -> Result<Obtained> {
        let base = self.base(arena);
        // SAFETY: the arena is alive, and kept by the caller while it is registered.
        check(unsafe { c::jdb_uring_add_arena(self.table.as_ptr(), arena.raw().as_ptr(), ptr::null()) })?;
        let mut range = c::jdb_uring_range { size: size_of_u32::<c::jdb_uring_range>(), ..Default::default() };
        // SAFETY: added above.
        check(unsafe { c::jdb_uring_get_range(self.table.as_ptr(), base.cast(), &mut range) })?;
        Ok(Obtained {
            region_count: range.region_count,
            registered_count: range.registered_count,
            first_error: range.first_error,
        })
    }

    fn base(&self, arena: &Arena) -> *const u8 {
        // SAFETY: the arena is alive.
        unsafe { crate::ffi::arena::base(arena.raw()) }
    }

    pub(super) fn stats(&self) -> c::jdb_uring_stats {
        let mut stats = c::jdb_uring_stats { size: size_of_u32::<c::jdb_uring_stats>(), ..Default::default() };
        // SAFETY: the table is open.
        unsafe { c::jdb_uring_get_stats(self.table.as_ptr(), &mut stats) };
        stats
    }

    /// # Safety
    /// `view` stays valid until the operation ends, alone to the kernel for a read.
    pub(super) unsafe fn start_read(
        &mut self,
        op: &mut Operation,
        fd: RawFd,
        view: sys::jdb_raw,
        offset: i64,
    ) -> Result<()> {
        *op = Operation::default();
        // SAFETY: the caller's promise.
        check(unsafe { c::jdb_uring_read(self.table.as_ptr(), op, fd, view, offset) })
    }

    /// # Safety
    /// As [`Registry::start_read`].
    pub(super) unsafe fn start_write(
        &mut self,
        op: &mut Operation,
        fd: RawFd,
        view: sys::jdb_raw,
        offset: i64,
        durability: Durability,
    ) -> Result<()> {
        *op = Operation::default();
        let table = self.table.as_ptr();
        // SAFETY: the caller's promise.
        check(unsafe {
            match durability {
                Durability::None => c::jdb_uring_write(table, op, fd, view, offset),
                Durability::Data => c::jdb_uring_write_sync(table, op, fd, view, offset, c::JDB_URING_SYNC_DATA),
                Durability::All => c::jdb_uring_write_sync(table, op, fd, view, offset, c::JDB_URING_SYNC_FILE),
            }
        })
    }

    /// The entry for what is left of a started operation, which is in flight from now on: [`Registry::withdraw`] it where the
    /// entry is not submitted.
    pub(super) fn entry(op: &mut Operation) -> squeue::Entry {
        let mut sqe = c::io_uring_sqe { bytes: [0; 64] };
        // SAFETY: started; the entry is 64 bytes.
        unsafe { c::jdb_uring_prep(op, &mut sqe) };
        Fields(&sqe.bytes).entry()
    }

    /// The entry that asks the kernel to end the operation in flight whose own entry carries `tag`. Its short results are not
    /// resumed from now on.
    pub(super) fn cancel_entry(op: &mut Operation, tag: u64) -> squeue::Entry {
        let mut sqe = c::io_uring_sqe { bytes: [0; 64] };
        // SAFETY: in flight, on the ring of its table; the entry is 64 bytes.
        let result = check(unsafe { c::jdb_uring_cancel(op, tag, &mut sqe) });
        debug_assert!(result.is_ok(), "in flight: {result:?}");
        opcode::AsyncCancel::new(tag).build()
    }

    pub(super) fn complete(op: &mut Operation, result: i32) -> Outcome {
        // SAFETY: started, and this is the kernel's result.
        let code = unsafe { c::jdb_uring_complete(op, result) };
        if code == c::JDB_URING_RESUME as c_int {
            return Outcome::Resume;
        }
        Outcome::Done(match code {
            // SAFETY: the operation is alive.
            0.. => Ok(unsafe { c::jdb_uring_done_size(op) }),
            _ => Err(Error::Refused(Cause::of(code, Origin::Operation))),
        })
    }

    /// Ends an operation whose entry was not submitted, or that was not started: its memory is not pinned any more.
    pub(super) fn withdraw(op: &mut Operation) {
        // SAFETY: the kernel does not have it.
        if unsafe { c::jdb_uring_release(op) } != 0 {
            // SAFETY: as above; prepared, so this result ends it.
            unsafe { c::jdb_uring_complete(op, -ECANCELED) };
        }
    }
}

/// What an error of the kernel means here, and what to do; `None` for a number that the library does not know.
pub(crate) fn explain(number: c_int, origin: Origin) -> Option<(&'static str, &'static str)> {
    // SAFETY: plain numbers.
    let why = unsafe {
        match origin {
            Origin::Registration => c::jdb_uring_explain(number),
            _ => c::jdb_uring_explain_op(number),
        }
    };
    let remedy = static_text(why.remedy);
    (!remedy.starts_with("none known")).then(|| (static_text(why.reason), remedy))
}

impl Drop for Registry {
    fn drop(&mut self) {
        // SAFETY: the ring is alive still (`new`), and nothing else uses the two.
        unsafe {
            // Refused while operations are in flight: their memory stays pinned for good, as their completions come to nobody.
            if c::jdb_uring_close(self.table.as_ptr()) != 0 {
                c::jdb_uring_abandon(self.table.as_ptr());
            }
            c::jdb_rust_ring_free(self.ring.as_ptr());
        }
    }
}

/// The fields of an entry, where the kernel has them (`struct io_uring_sqe` in linux/io_uring.h).
struct Fields<'a>(&'a [u8; 64]);

impl Fields<'_> {
    fn word<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("within the entry")
    }

    fn entry(&self) -> squeue::Entry {
        let fd = types::Fd(i32::from_ne_bytes(self.word(4)));
        let offset = u64::from_ne_bytes(self.word(8));
        let ptr = u64::from_ne_bytes(self.word(16)) as *mut u8;
        let len = u32::from_ne_bytes(self.word(24));
        let index = u16::from_ne_bytes(self.word(40));
        match self.0[0] {
            opcode::ReadFixed::CODE => opcode::ReadFixed::new(fd, ptr, len, index).offset(offset).build(),
            opcode::WriteFixed::CODE => opcode::WriteFixed::new(fd, ptr, len, index).offset(offset).build(),
            opcode::Read::CODE => opcode::Read::new(fd, ptr, len).offset(offset).build(),
            opcode::Write::CODE => opcode::Write::new(fd, ptr, len).offset(offset).build(),
            opcode::Fsync::CODE => opcode::Fsync::new(fd)
                .flags(types::FsyncFlags::from_bits_retain(u32::from_ne_bytes(self.word(28))))
                .build(),
            other => unreachable!("the library reads, writes and syncs, but this is opcode {other}"),
        }
    }
}
