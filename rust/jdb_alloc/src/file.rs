//! `File`: a file that reports what it really does.

use std::fmt;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::ffi::{self, sys};
use crate::{Cause, Error, Limits, Memory, Result};

/// A file for direct I/O: any range and any memory, end of file and unaligned ends solved, and a report of what went past the
/// page cache. Calls block; for asynchronous I/O pass buffers to a runtime and use [`Limits`].
///
/// ```
/// use jdb_alloc::{AlignedBuf, Durability, File};
///
/// # let path = std::env::temp_dir().join(format!("jdb-file-{}", std::process::id()));
/// let file = File::options().write(true).create(true).durability(Durability::Data).open(&path)?;
/// file.write_at(b"any length, any offset", 1000)?;
///
/// let mut buf = AlignedBuf::with_cap(4096)?;
/// let report = file.read_at(&mut buf, 1000)?;
/// assert!(report.is_eof() && buf[..] == *b"any length, any offset");
/// println!("{:?}: {}", report.mode(), file.reason());
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), jdb_alloc::Error>(())
/// ```
pub struct File(ffi::file::Raw);

// SAFETY: any number of threads may use one file; closing takes it by value.
unsafe impl Send for File {}
// SAFETY: as above.
unsafe impl Sync for File {}

/// The policy: what is done about direct I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direct {
    /// Direct, else uncached, else buffered, with the reason in the report.
    #[default]
    Prefer,
    /// Direct, or opening fails with the reason.
    Require,
    /// Uncached, else buffered.
    Off,
}

/// What is obtained, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Past the page cache.
    Direct,
    /// O_DIRECT is accepted; what happens behind it cannot be detected.
    Unknown,
    /// Through the page cache and evicted from it.
    Uncached,
    /// The page cache.
    Buffered,
}

/// How the first and last block of a write are written when only a part of them is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tail {
    /// The new bytes alone go through the page cache and are evicted from it. The file has its exact size at every moment.
    #[default]
    Buffered,
    /// The block is read, modified and written directly. The file ends at a multiple of the write alignment, with zeros behind
    /// the data, and the caller keeps the true length. For logs and for devices.
    ReadModifyWrite,
}

/// What has reached stable storage when a write returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing.
    #[default]
    None,
    /// The data and what is needed to read it.
    Data,
    /// Times and the like too.
    All,
}

/// Options of a file: see [`File::options`].
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct OpenOptions(sys::jdb_file_options);

impl OpenOptions {
    fn access(mut self, bit: u32, wanted: bool) -> Self {
        self.0.access = if wanted { self.0.access | bit } else { self.0.access & !bit };
        self
    }

    fn flag(mut self, bit: u32, wanted: bool) -> Self {
        self.0.flags = if wanted { self.0.flags | bit } else { self.0.flags & !bit };
        self
    }

    /// Opened for reading. Default.
    pub fn read(self, wanted: bool) -> Self {
        self.access(sys::JDB_FILE_READ, wanted)
    }

    /// Opened for writing.
    pub fn write(self, wanted: bool) -> Self {
        self.access(sys::JDB_FILE_WRITE, wanted)
    }

    /// Created when it is not there.
    pub fn create(self, wanted: bool) -> Self {
        self.access(sys::JDB_FILE_CREATE, wanted)
    }

    /// Created; EEXIST when it is there.
    pub fn create_new(self, wanted: bool) -> Self {
        self.access(sys::JDB_FILE_CREATE | sys::JDB_FILE_EXCLUSIVE, wanted)
    }

    /// Cut to no bytes.
    pub fn truncate(self, wanted: bool) -> Self {
        self.access(sys::JDB_FILE_TRUNCATE, wanted)
    }

    /// The policy for direct I/O. Default: [`Direct::Prefer`].
    pub fn direct(mut self, wanted: Direct) -> Self {
        self.0.policy = match wanted {
            Direct::Prefer => sys::JDB_FILE_DIRECT_PREFER,
            Direct::Require => sys::JDB_FILE_DIRECT_REQUIRE,
            Direct::Off => sys::JDB_FILE_DIRECT_OFF,
        };
        self
    }

    /// With [`Direct::Require`]: [`Mode::Unknown`] is accepted.
    pub fn accept_unknown(self, wanted: bool) -> Self {
        self.flag(sys::JDB_FILE_ACCEPT_UNKNOWN, wanted)
    }

    /// A request that is not aligned fails with the reason instead of being copied.
    pub fn no_copy(self, wanted: bool) -> Self {
        self.flag(sys::JDB_FILE_NO_COPY, wanted)
    }

    /// How blocks are written of which only a part is new. Default: [`Tail::Buffered`].
    pub fn tail(mut self, tail: Tail) -> Self {
        self.0.tail = match tail {
            Tail::Buffered => sys::JDB_FILE_TAIL_BUFFERED,
            Tail::ReadModifyWrite => sys::JDB_FILE_TAIL_READ_MODIFY_WRITE,
        };
        self
    }

    /// What is durable when a write returns. Default: nothing.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.0.durability = durability_of(durability);
        self
    }

    /// Permissions of a file that is created, before the umask. Default: 0666.
    pub fn permissions(mut self, mode: u32) -> Self {
        self.0.permissions = mode;
        self
    }

    /// Opens a regular file or a block device.
    ///
    /// # Errors
    /// [`Error::File`]: what was tried, what came back, and what to do.
    pub fn open(self, path: impl AsRef<Path>) -> Result<File> {
        let path = ffi::c_path(path.as_ref())?;
        let mut report = ffi::file::new_report();
        match ffi::file::open(&path, &self.0, &mut report) {
            (0, Some(file)) => Ok(File(file)),
            (code, _) => Err(Error::File(Cause::new(code), Box::new(FileReport(report)))),
        }
    }
}

fn durability_of(durability: Durability) -> u32 {
    match durability {
        Durability::None => sys::JDB_FILE_DURABLE_NONE,
        Durability::Data => sys::JDB_FILE_DURABLE_DATA,
        Durability::All => sys::JDB_FILE_DURABLE_SYNC,
    }
}

fn mode_of(mode: u32) -> Mode {
    match mode {
        sys::JDB_FILE_MODE_DIRECT => Mode::Direct,
        sys::JDB_FILE_MODE_UNKNOWN => Mode::Unknown,
        sys::JDB_FILE_MODE_UNCACHED => Mode::Uncached,
        _ => Mode::Buffered,
    }
}

fn offset_of(offset: u64) -> Result<i64> {
    i64::try_from(offset).map_err(|_| Error::from_code(-ffi::EOVERFLOW))
}

impl File {
    /// Opens a file for reading, direct preferred.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<File> {
        File::options().open(path)
    }

    /// Options: reading, direct preferred.
    pub fn options() -> OpenOptions {
        let size = ffi::size_of_u32::<sys::jdb_file_options>();
        OpenOptions(sys::jdb_file_options { size, access: sys::JDB_FILE_READ, ..Default::default() })
    }

    /// Closes the file. This is not a sync. An error may be the only report of lost buffered data; dropping the file ignores it.
    ///
    /// # Errors
    /// The error that [`File::error`] keeps; else that of close(2). The file is closed in every case.
    pub fn close(self) -> Result<()> {
        let file = ManuallyDrop::new(self);
        // SAFETY: the last use.
        unsafe { ffi::file::close(file.0) }
    }

    /// What direct I/O on the file requires and does now.
    ///
    /// # Errors
    /// What the system said.
    pub fn limits(&self) -> Result<Limits> {
        // SAFETY: open, as for all below.
        unsafe { ffi::file::limits(self.0) }.map(Limits::new)
    }

    /// What reads do.
    pub fn read_mode(&self) -> Mode {
        // SAFETY: as above.
        mode_of(unsafe { ffi::file::modes(self.0) }.0)
    }

    /// What writes do.
    pub fn write_mode(&self) -> Mode {
        // SAFETY: as above.
        mode_of(unsafe { ffi::file::modes(self.0) }.1)
    }

    /// Why the modes are what they are, in one sentence.
    pub fn reason(&self) -> String {
        // SAFETY: as above.
        unsafe { ffi::file::reason(self.0) }
    }

    /// Bytes of the file or device.
    ///
    /// # Errors
    /// What the system said.
    pub fn size(&self) -> Result<u64> {
        // SAFETY: as above.
        unsafe { ffi::file::size(self.0) }.map(|size| size as u64)
    }

    /// Reads from `offset` into the whole capacity of `memory`, whose length becomes the bytes read: less than the capacity only
    /// at the end of the file.
    ///
    /// # Errors
    /// [`Error::File`]; the length of `memory` is the bytes that came before.
    pub fn read_at<M: Memory>(&self, memory: &mut M, offset: u64) -> Result<FileReport> {
        let offset = offset_of(offset)?;
        let (ptr, cap) = memory.view_mut();
        let mut view = sys::jdb_raw { ptr, len: 0, cap };
        let mut report = ffi::file::new_report();
        // SAFETY: the memory is borrowed for the call.
        let code = unsafe { ffi::file::read(self.0, &mut view, offset, &mut report) };
        // SAFETY: the call wrote so many bytes, or says so of none.
        unsafe { memory.set_read(if view.len <= cap { view.len } else { 0 }) };
        report_or_error(code, report)
    }

    /// Reads from `offset` into a slice at any address; the report says how many bytes came.
    ///
    /// # Errors
    /// [`Error::File`]; the bytes that came before are in its report.
    pub fn read_slice_at(&self, slice: &mut [u8], offset: u64) -> Result<FileReport> {
        let offset = offset_of(offset)?;
        let mut view = sys::jdb_raw { ptr: slice.as_mut_ptr(), len: 0, cap: slice.len() };
        let mut report = ffi::file::new_report();
        // SAFETY: the slice is borrowed for the call.
        let code = unsafe { ffi::file::read(self.0, &mut view, offset, &mut report) };
        report_or_error(code, report)
    }

    /// Writes all of `data`, at any address and of any length, to any `offset`. Writers of this process need no order for bytes
    /// that do not overlap, whether they extend the file or not.
    ///
    /// # Errors
    /// [`Error::File`]; its report says how many bytes from the start were written, and whether the error is that of an earlier
    /// call, which [`File::error`] keeps.
    pub fn write_at(&self, data: &[u8], offset: u64) -> Result<FileReport> {
        let (offset, mut report) = (offset_of(offset)?, ffi::file::new_report());
        // SAFETY: as above.
        let code = unsafe { ffi::file::write(self.0, data, offset, &mut report) };
        report_or_error(code, report)
    }

    /// Writes all of `data` so that after a crash all is there or none: see [`Limits::atomic_sizes`].
    ///
    /// # Errors
    /// [`Error::File`]: ENOTSUP where the file cannot, EINVAL with the rule that is broken.
    pub fn write_atomic_at(&self, data: &[u8], offset: u64) -> Result<FileReport> {
        let (offset, mut report) = (offset_of(offset)?, ffi::file::new_report());
        // SAFETY: as above.
        let code = unsafe { ffi::file::write_atomic(self.0, data, offset, &mut report) };
        report_or_error(code, report)
    }

    /// Preallocates by writing zeros: a later overwrite changes no metadata. What was in the range is lost.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write_zeros(&self, offset: u64, size: u64) -> Result<FileReport> {
        let (offset, mut report) = (offset_of(offset)?, ffi::file::new_report());
        // SAFETY: as above.
        let code = unsafe { ffi::file::write_zeros(self.0, offset, size, &mut report) };
        report_or_error(code, report)
    }

    /// Sets the size in bytes. Waits for writes of other threads to blocks behind the new end.
    ///
    /// # Errors
    /// What the system said.
    pub fn set_size(&self, size: u64) -> Result<()> {
        // SAFETY: as above.
        unsafe { ffi::file::truncate(self.0, offset_of(size)?) }
    }

    /// Waits until what was written is on stable storage, the device's cache included. With [`Durability::None`] there is nothing
    /// to wait for. Threads that sync at the same time share one sync.
    ///
    /// # Errors
    /// The error that [`File::error`] keeps, without a sync; else what the system said, which is kept from then on. A sync is made
    /// once: EINTR and EAGAIN too may be the error of a write whose bytes are lost, and a second sync would succeed.
    pub fn sync(&self, durability: Durability) -> Result<()> {
        match durability {
            Durability::None => Ok(()),
            // SAFETY: as above.
            _ => unsafe { ffi::file::sync(self.0, durability_of(durability)) },
        }
    }

    /// The first error of a write or of a sync on this file since it was opened or cleared. As long as it is there, durable writes
    /// and syncs return it without doing anything, on all threads: the system reports lost data once, and then treats it as
    /// written.
    pub fn error(&self) -> Option<Cause> {
        // SAFETY: as above.
        let code = unsafe { ffi::file::error(self.0) };
        (code != 0).then(|| Cause::new(code))
    }

    /// Takes responsibility for what [`File::error`] keeps: durable writes and syncs work again.
    ///
    /// Lost are what a failed write did not write, as its report says, and after a failed sync any bytes written since the last
    /// sync that succeeded, but for those of durable writes that succeeded. So stop the writers, clear, write all of these bytes
    /// again from memory (not from the file, whose cached pages may be the only copy), and sync.
    pub fn clear_error(&self) {
        // SAFETY: as above.
        unsafe { ffi::file::clear_error(self.0) }
    }
}

/// Makes the names in a directory durable: after a file was created or renamed there.
///
/// # Errors
/// What the system said.
pub fn sync_directory(path: impl AsRef<Path>) -> Result<()> {
    ffi::file::sync_directory(&ffi::c_path(path.as_ref())?)
}

fn report_or_error(code: i32, report: ffi::file::RawReport) -> Result<FileReport> {
    let report = FileReport(report);
    if code == 0 { Ok(report) } else { Err(Error::File(Cause::new(code), Box::new(report))) }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the last use. `close` reports what is ignored here.
        let _ = unsafe { ffi::file::close(self.0) };
    }
}

impl AsFd for File {
    /// The descriptor that direct requests go to.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as the file is.
        unsafe { BorrowedFd::borrow_raw(ffi::file::descriptor(self.0)) }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("File").field("read_mode", &self.read_mode()).field("write_mode", &self.write_mode()).finish()
    }
}

/// What a call on a [`File`] did.
pub struct FileReport(ffi::file::RawReport);

// SAFETY: a plain value; its only pointer is to a static string.
unsafe impl Send for FileReport {}
// SAFETY: as above.
unsafe impl Sync for FileReport {}

impl FileReport {
    /// The worse mode of reading and writing at the moment of the call.
    pub fn mode(&self) -> Mode {
        mode_of(self.0.mode)
    }

    /// Of a read: fewer bytes than asked for, because the file ended.
    pub fn is_eof(&self) -> bool {
        self.0.is_eof != 0
    }

    /// Bytes moved, from the start of the range.
    pub fn done_size(&self) -> u64 {
        self.0.done_size
    }

    /// Of them past the page cache.
    pub fn direct_size(&self) -> u64 {
        self.0.direct_size
    }

    /// Of them through the page cache.
    pub fn buffered_size(&self) -> u64 {
        self.0.buffered_size
    }

    /// Of the direct ones, copied through aligned memory.
    pub fn copied_size(&self) -> u64 {
        self.0.copied_size
    }

    /// Reads and writes made.
    pub fn request_count(&self) -> u64 {
        self.0.request_count
    }

    /// The error is of another call on the file, which [`File::error`] keeps: with no bytes done nothing was written, else the
    /// bytes are written and not known to be durable.
    pub fn is_earlier_error(&self) -> bool {
        self.0.is_earlier_error != 0
    }

    /// One line: what failed, its error, the cause, and what to do; empty when there is nothing to say.
    pub fn text(&self) -> &str {
        let bytes: &[std::ffi::c_char] = &self.0.text;
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        // SAFETY: c_char has the layout of u8.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), length) };
        std::str::from_utf8(bytes).unwrap_or("?")
    }
}

impl fmt::Debug for FileReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FileReport")
            .field("mode", &self.mode())
            .field("done_size", &self.done_size())
            .field("direct_size", &self.direct_size())
            .field("buffered_size", &self.buffered_size())
            .field("copied_size", &self.copied_size())
            .field("is_eof", &self.is_eof())
            .field("text", &self.text())
            .finish()
    }
}
