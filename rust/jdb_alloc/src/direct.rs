//! `Limits`: what direct I/O on an open file requires and does.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use crate::ffi::{self, sys};
use crate::{Error, File, Result};

/// What an aligned request on a file does when the file is open for direct I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectState {
    /// It goes past the page cache.
    Direct,
    /// It is accepted; what happens behind it cannot be detected (FUSE, network, an empty file).
    Unknown,
    /// It is accepted and served by the page cache in silence.
    Buffered,
    /// It is refused.
    Refused,
}

/// Where a value of [`Limits`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Nothing said so; 4096 serves every device known.
    Assumed,
    /// statx(2).
    Statx,
    /// The XFS ioctl.
    Xfs,
    /// The device below.
    Device,
    /// A real read was made.
    Trial,
    /// Known of this kind of file system.
    FileSystem,
    /// [`Limits::override_aligns`].
    Override,
    /// [`Limits::pretend`].
    Pretended,
}

/// What direct I/O on one file requires and does, and how it is known. `Display` gives it in one line.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("jdb-limits-{}", std::process::id()));
/// # std::fs::write(&path, [7u8; 8192])?;
/// let limits = jdb_alloc::probe(&path)?;
/// println!("{limits}"); // direct: memory 512 (statx), write 4096 (statx), read 512 (statx)
/// if let Err(wrong) = limits.check_write(std::ptr::null(), 1000, 0) {
///     println!("{wrong}"); // write refused: length 1000 is 488 past a multiple of 512: use 512 or 1024
/// }
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Limits(Box<sys::jdb_direct>);

/// The limits of the file at `path`, found by opening it for direct I/O and reading a little. Nothing is written.
///
/// # Errors
/// What the system says of the path; ENOTSUP for what is neither a regular file nor a block device.
pub fn probe(path: impl AsRef<Path>) -> Result<Limits> {
    File::open(path)?.limits()
}

impl Limits {
    pub(crate) fn new(limits: sys::jdb_direct) -> Limits {
        Limits(Box::new(limits))
    }

    /// The limits of an open file, best opened with O_DIRECT: then a small read is tried. Nothing is written.
    ///
    /// # Errors
    /// ENOTSUP for what is neither a regular file nor a block device.
    pub fn of(file: impl AsFd) -> Result<Limits> {
        ffi::direct::limits(file.as_fd().as_raw_fd()).map(Limits::new)
    }

    /// The worse of reading and writing.
    pub fn state(&self) -> DirectState {
        state_of(self.0.state)
    }

    /// Of aligned reads.
    pub fn read_state(&self) -> DirectState {
        state_of(self.0.read_state)
    }

    /// Of aligned writes.
    pub fn write_state(&self) -> DirectState {
        state_of(self.0.write_state)
    }

    /// Why the state is what it is, in one sentence.
    pub fn reason(&self) -> String {
        ffi::array_text(&self.0.reason)
    }

    /// What the address of the memory must be a multiple of, in bytes.
    pub fn memory_align(&self) -> usize {
        self.0.memory_align as usize
    }

    /// What offset and length of a read must be multiples of, in bytes.
    pub fn read_align(&self) -> usize {
        self.0.read_align as usize
    }

    /// What offset and length of a write must be multiples of, in bytes.
    pub fn write_align(&self) -> usize {
        self.0.write_align as usize
    }

    /// Bytes below which a read gains nothing.
    pub fn recommended_read_size(&self) -> usize {
        self.0.recommended_read_size as usize
    }

    /// Bytes below which a write may cost a read of the rest of a physical block.
    pub fn recommended_write_size(&self) -> usize {
        self.0.recommended_write_size as usize
    }

    /// Sizes of writes that happen whole or not at all, in bytes: smallest and largest; `None` where there are none.
    pub fn atomic_sizes(&self) -> Option<(usize, usize)> {
        (self.0.atomic_min_size != 0).then_some((self.0.atomic_min_size as usize, self.0.atomic_max_size as usize))
    }

    /// Where the alignments come from: memory, write, read.
    pub fn sources(&self) -> (Source, Source, Source) {
        (source_of(self.0.memory_source), source_of(self.0.write_source), source_of(self.0.read_source))
    }

    /// The caller knows better: alignments of memory, write and read in bytes, powers of two; 0 keeps what is there.
    ///
    /// # Errors
    /// EINVAL for what is no power of two; nothing is changed then.
    pub fn override_aligns(&mut self, memory: u32, write: u32, read: u32) -> Result<()> {
        ffi::direct::overridden(&mut self.0, memory, write, read)
    }

    /// Raises every alignment to at least `align`, so that a laptop finds what a server with larger blocks refuses.
    ///
    /// # Errors
    /// EINVAL for what is no power of two; nothing is changed then.
    pub fn pretend(&mut self, align: u32) -> Result<()> {
        ffi::direct::pretend(&mut self.0, align)
    }

    /// Whether a read of `len` bytes at `offset` to `address` is direct.
    ///
    /// # Errors
    /// What is wrong, by how much, and what would be right.
    pub fn check_read(&self, address: *const u8, len: usize, offset: u64) -> std::result::Result<(), Misaligned> {
        self.check(address, len, offset, false)
    }

    /// Whether a write of `len` bytes from `address` to `offset` is direct.
    ///
    /// # Errors
    /// What is wrong, by how much, and what would be right.
    pub fn check_write(&self, address: *const u8, len: usize, offset: u64) -> std::result::Result<(), Misaligned> {
        self.check(address, len, offset, true)
    }

    fn check(
        &self,
        address: *const u8,
        len: usize,
        offset: u64,
        is_write: bool,
    ) -> std::result::Result<(), Misaligned> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        match ffi::direct::checked(&self.0, address, len, offset, is_write) {
            (0, _) => Ok(()),
            (_, found) => Err(Misaligned(Box::new(found))),
        }
    }

    /// The aligned read around `length` bytes at `offset`.
    ///
    /// # Errors
    /// [`Error::InvalidLayout`] when it would end past the largest offset.
    pub fn plan_read(&self, offset: u64, length: u64) -> Result<ReadPlan> {
        let offset = i64::try_from(offset).map_err(|_| Error::from_code(-ffi::EOVERFLOW))?;
        let plan = ffi::direct::plan_read(self.0.read_align, offset, length)?;
        Ok(ReadPlan { offset: plan.offset as u64, size: plan.size, prefix: plan.prefix, wanted_size: plan.wanted_size })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&ffi::direct::text(&self.0))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Limits({self})")
    }
}

/// An aligned read around wanted bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPlan {
    /// Where to read, in bytes.
    pub offset: u64,
    /// How much, in bytes.
    pub size: u64,
    /// Bytes in front of the wanted ones.
    pub prefix: u64,
    /// Wanted bytes that it brings; less than asked for when one transfer cannot bring all.
    pub wanted_size: u64,
}

/// What is wrong with a request. `Display` gives it in one line, with what would be right.
pub struct Misaligned(Box<sys::jdb_direct_check>);

/// One part of a request: its value and what it must be a multiple of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The value, in bytes.
    pub value: u64,
    /// What it must be a multiple of.
    pub align: u64,
    /// The nearest right value at or below.
    pub below: u64,
    /// The nearest right value at or above.
    pub above: u64,
}

impl Misaligned {
    /// The address, when it is wrong.
    pub fn address(&self) -> Option<Demand> {
        self.demand(sys::JDB_DIRECT_WRONG_ADDRESS, self.0.address)
    }

    /// The offset in the file, when it is wrong.
    pub fn offset(&self) -> Option<Demand> {
        self.demand(sys::JDB_DIRECT_WRONG_OFFSET, self.0.offset)
    }

    /// The length, when it is wrong.
    pub fn length(&self) -> Option<Demand> {
        self.demand(sys::JDB_DIRECT_WRONG_LENGTH, self.0.length)
    }

    fn demand(&self, bit: u32, demand: sys::jdb_direct_demand) -> Option<Demand> {
        (self.0.wrong & bit != 0).then_some(Demand {
            value: demand.value,
            align: demand.align,
            below: demand.below,
            above: demand.above,
        })
    }
}

impl fmt::Display for Misaligned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&ffi::direct::check_text(&self.0))
    }
}

impl fmt::Debug for Misaligned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Misaligned({self})")
    }
}

impl std::error::Error for Misaligned {}

fn state_of(state: u32) -> DirectState {
    match state {
        sys::JDB_DIRECT_STATE_DIRECT => DirectState::Direct,
        sys::JDB_DIRECT_STATE_BUFFERED => DirectState::Buffered,
        sys::JDB_DIRECT_STATE_REFUSED => DirectState::Refused,
        _ => DirectState::Unknown,
    }
}

fn source_of(source: u32) -> Source {
    match source {
        sys::JDB_DIRECT_SOURCE_STATX => Source::Statx,
        sys::JDB_DIRECT_SOURCE_XFS => Source::Xfs,
        sys::JDB_DIRECT_SOURCE_DEVICE => Source::Device,
        sys::JDB_DIRECT_SOURCE_TRIAL => Source::Trial,
        sys::JDB_DIRECT_SOURCE_FILE_SYSTEM => Source::FileSystem,
        sys::JDB_DIRECT_SOURCE_OVERRIDE => Source::Override,
        sys::JDB_DIRECT_SOURCE_PRETENDED => Source::Pretended,
        _ => Source::Assumed,
    }
}
