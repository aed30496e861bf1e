//! Bindings to [jdb_alloc](https://docs.rs/jdb_alloc), a C library of memory for direct I/O: page-aligned buffers,
//! arenas, pools of frames, limits and files of direct I/O, and (feature `uring`) buffers registered with io_uring.
//!
//! Use the crate `jdb_alloc` for a safe interface; this one has the C names as they are. The C headers are the reference;
//! `DEP_JDB_ALLOC_INCLUDE` gives their directory to build scripts of dependents.
//!
//! * By default the C sources in this crate are built with `cc`. No libclang and no cmake is needed.
//! * Feature `system` links the installed library, found by pkg-config; `vendored` overrides it.
//! * Feature `uring` adds `jdb_uring_*` and needs liburing 2.3 or newer.
//! * Feature `checked` builds the library's checked form, which detects misuse that release builds do not.
#![no_std]

#[allow(missing_docs, non_camel_case_types, clippy::all)]
mod bindings;
pub use bindings::*;

/// io_uring with registered buffers.
#[cfg(feature = "uring")]
#[allow(missing_docs, non_camel_case_types, clippy::all)]
pub mod uring;

/// Bytes of a page, on every platform.
pub const JDB_PAGE_SIZE: usize = 4096;

/// Alignment of every buffer, on every platform.
pub const JDB_ALIGNMENT: usize = JDB_PAGE_SIZE;

/// A wait without a deadline.
pub const JDB_DEADLINE_NONE: u64 = u64::MAX;
