//! `Arena`: one region of memory cut into equal frames.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::ffi::{self, sys};
use crate::{Cause, Error, Result};

/// One region of memory cut into equal frames, which a [`Pool`](crate::Pool) lends. Cloning it is cheap; the memory goes
/// back to the system when the last clone, pool and frame is gone.
///
/// ```
/// use jdb_alloc::{Arena, Pages};
///
/// let arena = Arena::builder(16384, 64).pages(Pages::Best).prefault(true).build()?;
/// for wish in arena.report()?.wishes() {
///     assert!(wish.is_obtained || !wish.reason.is_empty()); // what the system refused, and why
/// }
/// # Ok::<(), jdb_alloc::Error>(())
/// ```
#[derive(Clone)]
pub struct Arena(Arc<ArenaMemory>);

pub(crate) struct ArenaMemory(NonNull<sys::jdb_arena>);

// SAFETY: any thread may call any function of an arena.
unsafe impl Send for ArenaMemory {}
// SAFETY: as above.
unsafe impl Sync for ArenaMemory {}

impl Drop for ArenaMemory {
    fn drop(&mut self) {
        // SAFETY: the last owner. An arena that is pinned or held stays: leaked memory is better than a write into memory that
        // belongs to somebody else.
        let _ = unsafe { ffi::arena::free(self.0) };
    }
}

/// What kind of pages to ask for; what cannot be had falls to the next smaller kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pages {
    /// Small pages.
    #[default]
    Small,
    /// Transparent huge pages, where the system finds them.
    Transparent,
    /// Pages of 2 MiB that the administrator reserved.
    Huge2M,
    /// Pages of 1 GiB that the administrator reserved.
    Huge1G,
    /// The largest that fits, for each part.
    Best,
}

/// Where the memory of an arena should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numa {
    /// On the nodes of the mask and no other; bit n is node n.
    Bind(u64),
    /// On the lowest node of the mask first.
    Prefer(u64),
    /// On the nodes of the mask in turn.
    Interleave(u64),
}

/// Options of an arena: see [`Arena::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ArenaBuilder {
    frame_size: usize,
    frame_count: u32,
    max_frame_count: u32,
    align: usize,
    pages: Pages,
    numa: Option<Numa>,
    flags: u32,
    requires_all: bool,
    name: Option<String>,
}

impl ArenaBuilder {
    /// What every frame's address is a multiple of: a power of two from 512 to 1 GiB. Default: 4096.
    pub fn align(mut self, align: usize) -> Self {
        self.align = align;
        self
    }

    /// Sets address space aside, so that the arena can grow to so many frames. Default: no growth.
    pub fn max_frame_count(mut self, count: u32) -> Self {
        self.max_frame_count = count;
        self
    }

    /// The kind of pages. Default: small.
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// The nodes that the memory should be on.
    pub fn numa(mut self, numa: Numa) -> Self {
        self.numa = Some(numa);
        self
    }

    /// Makes every frame resident at the start and at growth.
    pub fn prefault(self, wanted: bool) -> Self {
        self.flag(sys::JDB_ARENA_PREFAULT, wanted)
    }

    /// Locks the memory, within RLIMIT_MEMLOCK.
    pub fn lock(self, wanted: bool) -> Self {
        self.flag(sys::JDB_ARENA_LOCK, wanted)
    }

    /// Leaves the memory out of core dumps.
    pub fn dont_dump(self, wanted: bool) -> Self {
        self.flag(sys::JDB_ARENA_DONTDUMP, wanted)
    }

    /// Fails when any wish is refused, instead of going without it.
    pub fn require_all(mut self, wanted: bool) -> Self {
        self.requires_all = wanted;
        self
    }

    /// A name for `/proc/self/maps`, 64 bytes at most: letters, digits, space and `-_.:/`.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    fn flag(mut self, flag: u32, wanted: bool) -> Self {
        self.flags = if wanted { self.flags | flag } else { self.flags & !flag };
        self
    }

    /// Makes the arena. What the system refuses is left out and stands in [`Arena::report`], unless it was required.
    ///
    /// # Errors
    /// [`Error::AllocFailed`], [`Error::InvalidLayout`]; EINVAL for an option out of range; ENOTSUP when a required wish was
    /// refused.
    pub fn build(self) -> Result<Arena> {
        let name = self.name.as_deref().map(CString::new).transpose().map_err(|_| Error::from_code(-ffi::EINVAL))?;
        let mut options = sys::jdb_arena_options {
            size: ffi::size_of_u32::<sys::jdb_arena_options>(),
            flags: self.flags,
            frame_size: self.frame_size as u64,
            frame_align: self.align as u64,
            frame_count: self.frame_count,
            max_frame_count: self.max_frame_count,
            pages: match self.pages {
                Pages::Small => sys::JDB_ARENA_PAGES_NONE,
                Pages::Transparent => sys::JDB_ARENA_PAGES_THP,
                Pages::Huge2M => sys::JDB_ARENA_PAGES_HUGETLB_2M,
                Pages::Huge1G => sys::JDB_ARENA_PAGES_HUGETLB_1G,
                Pages::Best => sys::JDB_ARENA_PAGES_BEST,
            },
            required: if self.requires_all { sys::JDB_ARENA_REQUIRE_ALL } else { 0 },
            name: name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr()),
            ..Default::default()
        };
        let (policy, nodes) = match self.numa {
            None => (sys::JDB_ARENA_NUMA_NONE, 0),
            Some(Numa::Bind(nodes)) => (sys::JDB_ARENA_NUMA_BIND, nodes),
            Some(Numa::Prefer(nodes)) => (sys::JDB_ARENA_NUMA_PREFER, nodes),
            Some(Numa::Interleave(nodes)) => (sys::JDB_ARENA_NUMA_INTERLEAVE, nodes),
        };
        options.numa_policy = policy;
        options.numa_nodes[0] = nodes;
        // SAFETY: the name lives until the call returns; no foreign memory.
        let arena = unsafe { ffi::arena::new(&options) }?;
        Ok(Arena(Arc::new(ArenaMemory(arena))))
    }
}

impl Arena {
    /// An arena of `frame_count` frames of `frame_size` bytes, on small pages.
    ///
    /// # Errors
    /// As [`ArenaBuilder::build`].
    pub fn new(frame_size: usize, frame_count: u32) -> Result<Arena> {
        Arena::builder(frame_size, frame_count).build()
    }

    /// An arena with options.
    pub fn builder(frame_size: usize, frame_count: u32) -> ArenaBuilder {
        ArenaBuilder {
            frame_size,
            frame_count,
            max_frame_count: 0,
            align: 0,
            pages: Pages::Small,
            numa: None,
            flags: 0,
            requires_all: false,
            name: None,
        }
    }

    pub(crate) fn raw(&self) -> NonNull<sys::jdb_arena> {
        self.0.0
    }

    /// Bytes that a frame holds.
    pub fn frame_size(&self) -> usize {
        // SAFETY: the arena is alive, as it is for all below.
        unsafe { ffi::arena::frame_size(self.raw()) }
    }

    /// Bytes from one frame to the next.
    pub fn stride(&self) -> usize {
        // SAFETY: as above.
        unsafe { ffi::arena::stride(self.raw()) }
    }

    /// Frames usable now.
    pub fn frame_count(&self) -> u32 {
        // SAFETY: as above.
        unsafe { ffi::arena::frame_count(self.raw()) }
    }

    /// Frames that address space is set aside for.
    pub fn max_frame_count(&self) -> u32 {
        // SAFETY: as above.
        unsafe { ffi::arena::max_frame_count(self.raw()) }
    }

    /// Makes frames usable until there are `frame_count` in all; nothing moves. A pool lends them after
    /// [`Pool::extend`](crate::Pool::extend).
    ///
    /// # Errors
    /// ERANGE above the maximum; [`Error::AllocFailed`].
    pub fn grow(&self, frame_count: u32) -> Result<()> {
        // SAFETY: as above.
        unsafe { ffi::arena::grow(self.raw(), frame_count) }
    }

    /// What was obtained, as opposed to asked for. Slow: the system walks its page tables.
    ///
    /// # Errors
    /// None is known for an arena of this process.
    pub fn report(&self) -> Result<ArenaReport> {
        // SAFETY: as above.
        Ok(ArenaReport(unsafe { ffi::arena::report(self.raw()) }?))
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Arena")
            .field("frame_size", &self.frame_size())
            .field("frame_count", &self.frame_count())
            .finish()
    }
}

/// What an arena obtained. `Display` gives it as text for people.
pub struct ArenaReport(Box<sys::jdb_arena_report>);

// SAFETY: a plain value; its pointers are to static strings.
unsafe impl Send for ArenaReport {}
// SAFETY: as above.
unsafe impl Sync for ArenaReport {}

/// One wish of an arena's options, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// "pages", "fork", "dump", "name", "numa", "prefault", "lock" or "memfd".
    pub name: &'static str,
    /// Why less was obtained, with the remedy; empty when all was.
    pub reason: &'static str,
    /// What was asked for, in the wish's own unit; 0 when nothing was.
    pub asked: u64,
    /// What was obtained, in the same unit.
    pub obtained: u64,
    /// The system's refusal.
    pub refusal: Option<Cause>,
    /// Whether all that was asked for was obtained.
    pub is_obtained: bool,
}

impl ArenaReport {
    /// Bytes that can be used.
    pub fn usable_bytes(&self) -> u64 {
        self.0.usable_bytes
    }

    /// Bytes that are resident.
    pub fn resident_bytes(&self) -> u64 {
        self.0.resident_bytes
    }

    /// Bytes that are resident and locked.
    pub fn locked_bytes(&self) -> u64 {
        self.0.locked_bytes
    }

    /// Bytes on huge pages of any kind.
    pub fn huge_bytes(&self) -> u64 {
        self.0.hugetlb_1g_bytes + self.0.hugetlb_2m_bytes + self.0.thp_bytes
    }

    /// Bytes registered with rings.
    pub fn held_bytes(&self) -> u64 {
        self.0.held_bytes
    }

    /// Every wish.
    pub fn wishes(&self) -> impl Iterator<Item = Wish> + '_ {
        self.0.items.iter().take(self.0.item_count as usize).map(|item| Wish {
            name: ffi::static_text(item.name),
            reason: ffi::static_text(item.reason),
            asked: item.asked,
            obtained: item.obtained,
            refusal: (item.err != 0).then(|| Cause::new(item.err)),
            is_obtained: item.is_obtained != 0,
        })
    }
}

impl fmt::Display for ArenaReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&ffi::arena::report_text(&self.0))
    }
}

impl fmt::Debug for ArenaReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ArenaReport({self})")
    }
}
