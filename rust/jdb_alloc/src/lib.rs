#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arena;
mod buf;
mod contents;
mod direct;
mod error;
mod ffi;
mod file;
pub mod pages;
mod pinned;
mod pool;
mod raw;
#[cfg(all(feature = "uring", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "uring")))]
pub mod ring;
mod runtime;

pub use arena::{Arena, ArenaBuilder, ArenaReport, Numa, Pages, Wish};
pub use buf::{AlignedBuf, Chunk};
pub use direct::{Demand, DirectState, Limits, Misaligned, ReadPlan, Source, probe};
pub use error::{Cause, Error, Result};
pub use file::{Direct, Durability, File, FileReport, Mode, OpenOptions, Tail, sync_directory};
pub use pinned::{Pinned, is_pinned};
pub use pool::{Frame, Get, GetMany, Pool, PoolBuilder, PoolStats, SharedFrame, ZeroPolicy};
pub use raw::RawIoBuf;
#[cfg(all(feature = "compio-driver", target_os = "linux"))]
pub use runtime::PageAllocator;

/// Bytes of a page, on every platform.
pub const PAGE_SIZE: usize = 4096;

/// Alignment of every buffer in bytes, on every platform.
pub const ALIGNMENT: usize = 4096;

/// Version of the C library that runs: major, minor, patch.
pub fn library_version() -> (u32, u32, u32) {
    let version = ffi::version();
    (version / 1_000_000, version / 1000 % 1000, version % 1000)
}

#[cfg(doc)]
#[doc = include_str!("../FROM_0.1.md")]
pub mod from_0_1 {}

/// Memory that a read fills: [`AlignedBuf`], [`Chunk`], [`Frame`]. Implemented by this crate alone.
pub trait Memory: contents::sealed::Memory {}
