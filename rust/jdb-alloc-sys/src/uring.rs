// Written by tests/bindings.rs from the C headers; JDB_WRITE_BINDINGS=1 writes it anew.
use crate::{jdb_arena, jdb_engine, jdb_engine_options, jdb_file, jdb_frame, jdb_pool, jdb_raw};
/// A ring of liburing.
#[repr(C)]
pub struct io_uring {
    _private: [u8; 0],
}
/// A submission queue entry, by the kernel's layout.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct io_uring_sqe {
    pub bytes: [u8; 64],
}
/// A completion queue entry, by the kernel's layout.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct io_uring_cqe {
    pub user_data: u64,
    pub res: i32,
    pub flags: u32,
}
/// As in `sys/uio.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct iovec {
    pub iov_base: *mut ::core::ffi::c_void,
    pub iov_len: usize,
}
unsafe extern "C" {
    /// A ring object over a descriptor, for registering only: `ring/ring_over_fd.c`.
    pub fn jdb_rust_ring_over_fd(ring_fd: ::core::ffi::c_int, ret_ring: *mut *mut io_uring) -> ::core::ffi::c_int;
    pub fn jdb_rust_ring_free(ring: *mut io_uring);
}

pub const JDB_DIRECT_REASON_SIZE: u32 = 192;
pub const JDB_DIRECT_TEXT_SIZE: u32 = 320;
pub const JDB_URING_NEED_NONE: u32 = 0;
pub const JDB_URING_NEED_UNKNOWN: u32 = 1;
pub const JDB_URING_NEED_OVER: u32 = 2;
pub const JDB_URING_RESUME: u32 = 1;
pub const JDB_URING_SYNC_DATA: u32 = 1;
pub const JDB_URING_SYNC_FILE: u32 = 2;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_budget {
    _unused: [u8; 0],
}
unsafe extern "C" {
    pub fn jdb_budget_new(max_bytes: u64, ret_budget: *mut *mut jdb_budget) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_budget_free(budget: *mut jdb_budget) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_budget_set_max(budget: *mut jdb_budget, max_bytes: u64) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_budget_stats {
    pub size: u32,
    pub pool_count: u32,
    pub max_bytes: u64,
    pub used_bytes: u64,
    pub peak_bytes: u64,
    pub wanted_bytes: u64,
    pub taken_bytes: u64,
    pub refused_count: u64,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_budget_stats"][::core::mem::size_of::<jdb_budget_stats>() - 88usize];
    ["Alignment of jdb_budget_stats"][::core::mem::align_of::<jdb_budget_stats>() - 8usize];
    ["Offset of field: jdb_budget_stats::size"][::core::mem::offset_of!(jdb_budget_stats, size) - 0usize];
    ["Offset of field: jdb_budget_stats::pool_count"][::core::mem::offset_of!(jdb_budget_stats, pool_count) - 4usize];
    ["Offset of field: jdb_budget_stats::max_bytes"][::core::mem::offset_of!(jdb_budget_stats, max_bytes) - 8usize];
    ["Offset of field: jdb_budget_stats::used_bytes"][::core::mem::offset_of!(jdb_budget_stats, used_bytes) - 16usize];
    ["Offset of field: jdb_budget_stats::peak_bytes"][::core::mem::offset_of!(jdb_budget_stats, peak_bytes) - 24usize];
    ["Offset of field: jdb_budget_stats::wanted_bytes"]
        [::core::mem::offset_of!(jdb_budget_stats, wanted_bytes) - 32usize];
    ["Offset of field: jdb_budget_stats::taken_bytes"]
        [::core::mem::offset_of!(jdb_budget_stats, taken_bytes) - 40usize];
    ["Offset of field: jdb_budget_stats::refused_count"]
        [::core::mem::offset_of!(jdb_budget_stats, refused_count) - 48usize];
    ["Offset of field: jdb_budget_stats::reserved"][::core::mem::offset_of!(jdb_budget_stats, reserved) - 56usize];
};
unsafe extern "C" {
    pub fn jdb_budget_get_stats(budget: *mut jdb_budget, stats: *mut jdb_budget_stats) -> ::core::ffi::c_int;
}
pub const JDB_DIRECT_STATE_DIRECT: _bindgen_ty_1 = 1;
pub const JDB_DIRECT_STATE_UNKNOWN: _bindgen_ty_1 = 2;
pub const JDB_DIRECT_STATE_BUFFERED: _bindgen_ty_1 = 3;
pub const JDB_DIRECT_STATE_REFUSED: _bindgen_ty_1 = 4;
pub type _bindgen_ty_1 = ::core::ffi::c_uint;
pub const JDB_DIRECT_SOURCE_ASSUMED: _bindgen_ty_2 = 1;
pub const JDB_DIRECT_SOURCE_STATX: _bindgen_ty_2 = 2;
pub const JDB_DIRECT_SOURCE_XFS: _bindgen_ty_2 = 3;
pub const JDB_DIRECT_SOURCE_DEVICE: _bindgen_ty_2 = 4;
pub const JDB_DIRECT_SOURCE_TRIAL: _bindgen_ty_2 = 5;
pub const JDB_DIRECT_SOURCE_FILE_SYSTEM: _bindgen_ty_2 = 6;
pub const JDB_DIRECT_SOURCE_OVERRIDE: _bindgen_ty_2 = 7;
pub const JDB_DIRECT_SOURCE_PRETENDED: _bindgen_ty_2 = 8;
pub type _bindgen_ty_2 = ::core::ffi::c_uint;
pub const JDB_DIRECT_WRONG_ADDRESS: _bindgen_ty_3 = 1;
pub const JDB_DIRECT_WRONG_OFFSET: _bindgen_ty_3 = 2;
pub const JDB_DIRECT_WRONG_LENGTH: _bindgen_ty_3 = 4;
pub type _bindgen_ty_3 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_read_plan {
    pub offset: i64,
    pub size: u64,
    pub prefix: u64,
    pub wanted_size: u64,
    pub align: u64,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_read_plan"][::core::mem::size_of::<jdb_read_plan>() - 56usize];
    ["Alignment of jdb_read_plan"][::core::mem::align_of::<jdb_read_plan>() - 8usize];
    ["Offset of field: jdb_read_plan::offset"][::core::mem::offset_of!(jdb_read_plan, offset) - 0usize];
    ["Offset of field: jdb_read_plan::size"][::core::mem::offset_of!(jdb_read_plan, size) - 8usize];
    ["Offset of field: jdb_read_plan::prefix"][::core::mem::offset_of!(jdb_read_plan, prefix) - 16usize];
    ["Offset of field: jdb_read_plan::wanted_size"][::core::mem::offset_of!(jdb_read_plan, wanted_size) - 24usize];
    ["Offset of field: jdb_read_plan::align"][::core::mem::offset_of!(jdb_read_plan, align) - 32usize];
    ["Offset of field: jdb_read_plan::reserved"][::core::mem::offset_of!(jdb_read_plan, reserved) - 40usize];
};
unsafe extern "C" {
    pub fn jdb_plan_read(align: u32, offset: i64, length: u64, ret_plan: *mut jdb_read_plan) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_read_step {
    pub next_offset: i64,
    pub next_size: u64,
    pub next_skip: u64,
    pub filled_size: u64,
    pub valid_size: u64,
    pub is_done: u32,
    pub is_eof: u32,
    pub is_stalled: u32,
    pub reserved0: u32,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_read_step"][::core::mem::size_of::<jdb_read_step>() - 72usize];
    ["Alignment of jdb_read_step"][::core::mem::align_of::<jdb_read_step>() - 8usize];
    ["Offset of field: jdb_read_step::next_offset"][::core::mem::offset_of!(jdb_read_step, next_offset) - 0usize];
    ["Offset of field: jdb_read_step::next_size"][::core::mem::offset_of!(jdb_read_step, next_size) - 8usize];
    ["Offset of field: jdb_read_step::next_skip"][::core::mem::offset_of!(jdb_read_step, next_skip) - 16usize];
    ["Offset of field: jdb_read_step::filled_size"][::core::mem::offset_of!(jdb_read_step, filled_size) - 24usize];
    ["Offset of field: jdb_read_step::valid_size"][::core::mem::offset_of!(jdb_read_step, valid_size) - 32usize];
    ["Offset of field: jdb_read_step::is_done"][::core::mem::offset_of!(jdb_read_step, is_done) - 40usize];
    ["Offset of field: jdb_read_step::is_eof"][::core::mem::offset_of!(jdb_read_step, is_eof) - 44usize];
    ["Offset of field: jdb_read_step::is_stalled"][::core::mem::offset_of!(jdb_read_step, is_stalled) - 48usize];
    ["Offset of field: jdb_read_step::reserved0"][::core::mem::offset_of!(jdb_read_step, reserved0) - 52usize];
    ["Offset of field: jdb_read_step::reserved"][::core::mem::offset_of!(jdb_read_step, reserved) - 56usize];
};
unsafe extern "C" {
    pub fn jdb_plan_read_start(plan: *const jdb_read_plan, ret_step: *mut jdb_read_step) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_plan_read_step(
        plan: *const jdb_read_plan,
        result: i64,
        file_size: i64,
        step: *mut jdb_read_step,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_range {
    pub offset: i64,
    pub size: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_range"][::core::mem::size_of::<jdb_range>() - 16usize];
    ["Alignment of jdb_range"][::core::mem::align_of::<jdb_range>() - 8usize];
    ["Offset of field: jdb_range::offset"][::core::mem::offset_of!(jdb_range, offset) - 0usize];
    ["Offset of field: jdb_range::size"][::core::mem::offset_of!(jdb_range, size) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_read_group {
    pub plan: jdb_read_plan,
    pub first: usize,
    pub count: usize,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_read_group"][::core::mem::size_of::<jdb_read_group>() - 88usize];
    ["Alignment of jdb_read_group"][::core::mem::align_of::<jdb_read_group>() - 8usize];
    ["Offset of field: jdb_read_group::plan"][::core::mem::offset_of!(jdb_read_group, plan) - 0usize];
    ["Offset of field: jdb_read_group::first"][::core::mem::offset_of!(jdb_read_group, first) - 56usize];
    ["Offset of field: jdb_read_group::count"][::core::mem::offset_of!(jdb_read_group, count) - 64usize];
    ["Offset of field: jdb_read_group::reserved"][::core::mem::offset_of!(jdb_read_group, reserved) - 72usize];
};
unsafe extern "C" {
    pub fn jdb_plan_reads(
        align: u32,
        ranges: *const jdb_range,
        range_count: usize,
        max_percent: u32,
        max_size: u64,
        ret_groups: *mut jdb_read_group,
        ret_group_count: *mut usize,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_write_piece {
    pub offset: i64,
    pub size: u64,
    pub skip: u64,
    pub length: u64,
    pub source: u64,
    pub old_size: u64,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_write_piece"][::core::mem::size_of::<jdb_write_piece>() - 64usize];
    ["Alignment of jdb_write_piece"][::core::mem::align_of::<jdb_write_piece>() - 8usize];
    ["Offset of field: jdb_write_piece::offset"][::core::mem::offset_of!(jdb_write_piece, offset) - 0usize];
    ["Offset of field: jdb_write_piece::size"][::core::mem::offset_of!(jdb_write_piece, size) - 8usize];
    ["Offset of field: jdb_write_piece::skip"][::core::mem::offset_of!(jdb_write_piece, skip) - 16usize];
    ["Offset of field: jdb_write_piece::length"][::core::mem::offset_of!(jdb_write_piece, length) - 24usize];
    ["Offset of field: jdb_write_piece::source"][::core::mem::offset_of!(jdb_write_piece, source) - 32usize];
    ["Offset of field: jdb_write_piece::old_size"][::core::mem::offset_of!(jdb_write_piece, old_size) - 40usize];
    ["Offset of field: jdb_write_piece::reserved"][::core::mem::offset_of!(jdb_write_piece, reserved) - 48usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_write_plan {
    pub head: jdb_write_piece,
    pub body: jdb_write_piece,
    pub tail: jdb_write_piece,
    pub final_size: i64,
    pub written_size: i64,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_write_plan"][::core::mem::size_of::<jdb_write_plan>() - 240usize];
    ["Alignment of jdb_write_plan"][::core::mem::align_of::<jdb_write_plan>() - 8usize];
    ["Offset of field: jdb_write_plan::head"][::core::mem::offset_of!(jdb_write_plan, head) - 0usize];
    ["Offset of field: jdb_write_plan::body"][::core::mem::offset_of!(jdb_write_plan, body) - 64usize];
    ["Offset of field: jdb_write_plan::tail"][::core::mem::offset_of!(jdb_write_plan, tail) - 128usize];
    ["Offset of field: jdb_write_plan::final_size"][::core::mem::offset_of!(jdb_write_plan, final_size) - 192usize];
    ["Offset of field: jdb_write_plan::written_size"][::core::mem::offset_of!(jdb_write_plan, written_size) - 200usize];
    ["Offset of field: jdb_write_plan::reserved"][::core::mem::offset_of!(jdb_write_plan, reserved) - 208usize];
};
unsafe extern "C" {
    pub fn jdb_plan_write(
        align: u32,
        offset: i64,
        length: u64,
        file_size: i64,
        ret_plan: *mut jdb_write_plan,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_write_step {
    pub next_offset: i64,
    pub next_size: u64,
    pub next_skip: u64,
    pub done_size: u64,
    pub is_done: u32,
    pub is_stalled: u32,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_write_step"][::core::mem::size_of::<jdb_write_step>() - 56usize];
    ["Alignment of jdb_write_step"][::core::mem::align_of::<jdb_write_step>() - 8usize];
    ["Offset of field: jdb_write_step::next_offset"][::core::mem::offset_of!(jdb_write_step, next_offset) - 0usize];
    ["Offset of field: jdb_write_step::next_size"][::core::mem::offset_of!(jdb_write_step, next_size) - 8usize];
    ["Offset of field: jdb_write_step::next_skip"][::core::mem::offset_of!(jdb_write_step, next_skip) - 16usize];
    ["Offset of field: jdb_write_step::done_size"][::core::mem::offset_of!(jdb_write_step, done_size) - 24usize];
    ["Offset of field: jdb_write_step::is_done"][::core::mem::offset_of!(jdb_write_step, is_done) - 32usize];
    ["Offset of field: jdb_write_step::is_stalled"][::core::mem::offset_of!(jdb_write_step, is_stalled) - 36usize];
    ["Offset of field: jdb_write_step::reserved"][::core::mem::offset_of!(jdb_write_step, reserved) - 40usize];
};
unsafe extern "C" {
    pub fn jdb_plan_write_start(
        align: u32,
        piece: *const jdb_write_piece,
        ret_step: *mut jdb_write_step,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_plan_write_step(
        align: u32,
        piece: *const jdb_write_piece,
        result: i64,
        step: *mut jdb_write_step,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_vector_plan {
    pub count: usize,
    pub last_size: usize,
    pub total_size: u64,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_vector_plan"][::core::mem::size_of::<jdb_vector_plan>() - 40usize];
    ["Alignment of jdb_vector_plan"][::core::mem::align_of::<jdb_vector_plan>() - 8usize];
    ["Offset of field: jdb_vector_plan::count"][::core::mem::offset_of!(jdb_vector_plan, count) - 0usize];
    ["Offset of field: jdb_vector_plan::last_size"][::core::mem::offset_of!(jdb_vector_plan, last_size) - 8usize];
    ["Offset of field: jdb_vector_plan::total_size"][::core::mem::offset_of!(jdb_vector_plan, total_size) - 16usize];
    ["Offset of field: jdb_vector_plan::reserved"][::core::mem::offset_of!(jdb_vector_plan, reserved) - 24usize];
};
unsafe extern "C" {
    pub fn jdb_plan_vector(
        align: u32,
        memory_align: u32,
        views: *const jdb_raw,
        count: usize,
        is_write: bool,
        ret_plan: *mut jdb_vector_plan,
    ) -> ::core::ffi::c_int;
}
pub const JDB_FILE_READ: _bindgen_ty_4 = 1;
pub const JDB_FILE_WRITE: _bindgen_ty_4 = 2;
pub const JDB_FILE_CREATE: _bindgen_ty_4 = 4;
pub const JDB_FILE_EXCLUSIVE: _bindgen_ty_4 = 8;
pub const JDB_FILE_TRUNCATE: _bindgen_ty_4 = 16;
pub type _bindgen_ty_4 = ::core::ffi::c_uint;
pub const JDB_FILE_DIRECT_PREFER: _bindgen_ty_5 = 0;
pub const JDB_FILE_DIRECT_REQUIRE: _bindgen_ty_5 = 1;
pub const JDB_FILE_DIRECT_OFF: _bindgen_ty_5 = 2;
pub type _bindgen_ty_5 = ::core::ffi::c_uint;
pub const JDB_FILE_MODE_DIRECT: _bindgen_ty_6 = 1;
pub const JDB_FILE_MODE_UNKNOWN: _bindgen_ty_6 = 2;
pub const JDB_FILE_MODE_UNCACHED: _bindgen_ty_6 = 3;
pub const JDB_FILE_MODE_BUFFERED: _bindgen_ty_6 = 4;
pub type _bindgen_ty_6 = ::core::ffi::c_uint;
pub const JDB_FILE_TAIL_BUFFERED: _bindgen_ty_7 = 1;
pub const JDB_FILE_TAIL_READ_MODIFY_WRITE: _bindgen_ty_7 = 2;
pub type _bindgen_ty_7 = ::core::ffi::c_uint;
pub const JDB_FILE_DURABLE_NONE: _bindgen_ty_8 = 0;
pub const JDB_FILE_DURABLE_DATA: _bindgen_ty_8 = 1;
pub const JDB_FILE_DURABLE_SYNC: _bindgen_ty_8 = 2;
pub type _bindgen_ty_8 = ::core::ffi::c_uint;
pub const JDB_FILE_ACCEPT_UNKNOWN: _bindgen_ty_9 = 1;
pub const JDB_FILE_NO_COPY: _bindgen_ty_9 = 2;
pub const JDB_FILE_NO_UNCACHED: _bindgen_ty_9 = 4;
pub const JDB_FILE_TAKE_FD: _bindgen_ty_9 = 8;
pub type _bindgen_ty_9 = ::core::ffi::c_uint;
pub const JDB_ENGINE_AUTO: _bindgen_ty_10 = 0;
pub const JDB_ENGINE_SYNCHRONOUS: _bindgen_ty_10 = 1;
pub const JDB_ENGINE_THREADS: _bindgen_ty_10 = 2;
pub const JDB_ENGINE_URING: _bindgen_ty_10 = 3;
pub const JDB_ENGINE_OTHER: _bindgen_ty_10 = 4;
pub type _bindgen_ty_10 = ::core::ffi::c_uint;
pub const JDB_ENGINE_ONE_THREAD: _bindgen_ty_11 = 1;
pub type _bindgen_ty_11 = ::core::ffi::c_uint;
pub const JDB_STREAM_BACKWARD: _bindgen_ty_12 = 1;
pub const JDB_STREAM_READ_HOLES: _bindgen_ty_12 = 2;
pub const JDB_STREAM_PADDED: _bindgen_ty_12 = 4;
pub type _bindgen_ty_12 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_uring {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_uring_options {
    pub size: u32,
    pub slot_count: u32,
    pub first_slot: u32,
    pub uses_caller_table: u32,
    pub region_size: u64,
    pub reserved: [u64; 5usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_options"][::core::mem::size_of::<jdb_uring_options>() - 64usize];
    ["Alignment of jdb_uring_options"][::core::mem::align_of::<jdb_uring_options>() - 8usize];
    ["Offset of field: jdb_uring_options::size"][::core::mem::offset_of!(jdb_uring_options, size) - 0usize];
    ["Offset of field: jdb_uring_options::slot_count"][::core::mem::offset_of!(jdb_uring_options, slot_count) - 4usize];
    ["Offset of field: jdb_uring_options::first_slot"][::core::mem::offset_of!(jdb_uring_options, first_slot) - 8usize];
    ["Offset of field: jdb_uring_options::uses_caller_table"]
        [::core::mem::offset_of!(jdb_uring_options, uses_caller_table) - 12usize];
    ["Offset of field: jdb_uring_options::region_size"]
        [::core::mem::offset_of!(jdb_uring_options, region_size) - 16usize];
    ["Offset of field: jdb_uring_options::reserved"][::core::mem::offset_of!(jdb_uring_options, reserved) - 24usize];
};
unsafe extern "C" {
    pub fn jdb_uring_open(
        ring: *mut io_uring,
        options: *const jdb_uring_options,
        ret_uring: *mut *mut jdb_uring,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_clone(
        from: *const jdb_uring,
        ring: *mut io_uring,
        ret_uring: *mut *mut jdb_uring,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_close(uring: *mut jdb_uring) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_abandon(uring: *mut jdb_uring) -> u64;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_uring_range_options {
    pub size: u32,
    pub is_atomic: u32,
    pub overlap_size: u64,
    pub release_tag: u64,
    pub reserved: [u64; 5usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_range_options"][::core::mem::size_of::<jdb_uring_range_options>() - 64usize];
    ["Alignment of jdb_uring_range_options"][::core::mem::align_of::<jdb_uring_range_options>() - 8usize];
    ["Offset of field: jdb_uring_range_options::size"][::core::mem::offset_of!(jdb_uring_range_options, size) - 0usize];
    ["Offset of field: jdb_uring_range_options::is_atomic"]
        [::core::mem::offset_of!(jdb_uring_range_options, is_atomic) - 4usize];
    ["Offset of field: jdb_uring_range_options::overlap_size"]
        [::core::mem::offset_of!(jdb_uring_range_options, overlap_size) - 8usize];
    ["Offset of field: jdb_uring_range_options::release_tag"]
        [::core::mem::offset_of!(jdb_uring_range_options, release_tag) - 16usize];
    ["Offset of field: jdb_uring_range_options::reserved"]
        [::core::mem::offset_of!(jdb_uring_range_options, reserved) - 24usize];
};
unsafe extern "C" {
    pub fn jdb_uring_add(
        uring: *mut jdb_uring,
        ptr: *const ::core::ffi::c_void,
        size: usize,
        options: *const jdb_uring_range_options,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_remove(uring: *mut jdb_uring, ptr: *const ::core::ffi::c_void) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_add_arena(
        uring: *mut jdb_uring,
        arena: *mut jdb_arena,
        options: *const jdb_uring_range_options,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_refresh(uring: *mut jdb_uring, ptr: *const ::core::ffi::c_void) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_decommit(
        uring: *mut jdb_uring,
        arena: *mut jdb_arena,
        first: u32,
        count: u32,
        registers_again: bool,
        ret_bytes: *mut u64,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_uring_reason {
    pub reason: *const ::core::ffi::c_char,
    pub remedy: *const ::core::ffi::c_char,
    pub err: i32,
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_reason"][::core::mem::size_of::<jdb_uring_reason>() - 24usize];
    ["Alignment of jdb_uring_reason"][::core::mem::align_of::<jdb_uring_reason>() - 8usize];
    ["Offset of field: jdb_uring_reason::reason"][::core::mem::offset_of!(jdb_uring_reason, reason) - 0usize];
    ["Offset of field: jdb_uring_reason::remedy"][::core::mem::offset_of!(jdb_uring_reason, remedy) - 8usize];
    ["Offset of field: jdb_uring_reason::err"][::core::mem::offset_of!(jdb_uring_reason, err) - 16usize];
    ["Offset of field: jdb_uring_reason::reserved"][::core::mem::offset_of!(jdb_uring_reason, reserved) - 20usize];
};
impl Default for jdb_uring_reason {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_uring_explain(err: ::core::ffi::c_int) -> jdb_uring_reason;
}
unsafe extern "C" {
    pub fn jdb_uring_explain_ring(err: ::core::ffi::c_int) -> jdb_uring_reason;
}
unsafe extern "C" {
    pub fn jdb_uring_explain_op(err: ::core::ffi::c_int) -> jdb_uring_reason;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_uring_range {
    pub size: u32,
    pub region_count: u32,
    pub registered_count: u32,
    pub first_error: i32,
    pub range_bytes: u64,
    pub registered_bytes: u64,
    pub region_size: u64,
    pub overlap_size: u64,
    pub is_tagged: u32,
    pub reserved: [u32; 7usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_range"][::core::mem::size_of::<jdb_uring_range>() - 80usize];
    ["Alignment of jdb_uring_range"][::core::mem::align_of::<jdb_uring_range>() - 8usize];
    ["Offset of field: jdb_uring_range::size"][::core::mem::offset_of!(jdb_uring_range, size) - 0usize];
    ["Offset of field: jdb_uring_range::region_count"][::core::mem::offset_of!(jdb_uring_range, region_count) - 4usize];
    ["Offset of field: jdb_uring_range::registered_count"]
        [::core::mem::offset_of!(jdb_uring_range, registered_count) - 8usize];
    ["Offset of field: jdb_uring_range::first_error"][::core::mem::offset_of!(jdb_uring_range, first_error) - 12usize];
    ["Offset of field: jdb_uring_range::range_bytes"][::core::mem::offset_of!(jdb_uring_range, range_bytes) - 16usize];
    ["Offset of field: jdb_uring_range::registered_bytes"]
        [::core::mem::offset_of!(jdb_uring_range, registered_bytes) - 24usize];
    ["Offset of field: jdb_uring_range::region_size"][::core::mem::offset_of!(jdb_uring_range, region_size) - 32usize];
    ["Offset of field: jdb_uring_range::overlap_size"]
        [::core::mem::offset_of!(jdb_uring_range, overlap_size) - 40usize];
    ["Offset of field: jdb_uring_range::is_tagged"][::core::mem::offset_of!(jdb_uring_range, is_tagged) - 48usize];
    ["Offset of field: jdb_uring_range::reserved"][::core::mem::offset_of!(jdb_uring_range, reserved) - 52usize];
};
unsafe extern "C" {
    pub fn jdb_uring_get_range(
        uring: *const jdb_uring,
        ptr: *const ::core::ffi::c_void,
        ret_range: *mut jdb_uring_range,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_uring_region {
    pub size: u32,
    pub slot: i32,
    pub ptr: *const u8,
    pub region_bytes: u64,
    pub why: jdb_uring_reason,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_region"][::core::mem::size_of::<jdb_uring_region>() - 80usize];
    ["Alignment of jdb_uring_region"][::core::mem::align_of::<jdb_uring_region>() - 8usize];
    ["Offset of field: jdb_uring_region::size"][::core::mem::offset_of!(jdb_uring_region, size) - 0usize];
    ["Offset of field: jdb_uring_region::slot"][::core::mem::offset_of!(jdb_uring_region, slot) - 4usize];
    ["Offset of field: jdb_uring_region::ptr"][::core::mem::offset_of!(jdb_uring_region, ptr) - 8usize];
    ["Offset of field: jdb_uring_region::region_bytes"]
        [::core::mem::offset_of!(jdb_uring_region, region_bytes) - 16usize];
    ["Offset of field: jdb_uring_region::why"][::core::mem::offset_of!(jdb_uring_region, why) - 24usize];
    ["Offset of field: jdb_uring_region::reserved"][::core::mem::offset_of!(jdb_uring_region, reserved) - 48usize];
};
impl Default for jdb_uring_region {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_uring_get_region(
        uring: *const jdb_uring,
        ptr: *const ::core::ffi::c_void,
        index: u32,
        ret_region: *mut jdb_uring_region,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_uring_need {
    pub size: u32,
    pub verdict: u32,
    pub huge_verdict: u32,
    pub is_exempt: u32,
    pub need_bytes: u64,
    pub need_huge_bytes: u64,
    pub limit_bytes: u64,
    pub hard_limit_bytes: u64,
    pub own_bytes: u64,
    pub region_count: u32,
    pub reserved: [u32; 9usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_need"][::core::mem::size_of::<jdb_uring_need>() - 96usize];
    ["Alignment of jdb_uring_need"][::core::mem::align_of::<jdb_uring_need>() - 8usize];
    ["Offset of field: jdb_uring_need::size"][::core::mem::offset_of!(jdb_uring_need, size) - 0usize];
    ["Offset of field: jdb_uring_need::verdict"][::core::mem::offset_of!(jdb_uring_need, verdict) - 4usize];
    ["Offset of field: jdb_uring_need::huge_verdict"][::core::mem::offset_of!(jdb_uring_need, huge_verdict) - 8usize];
    ["Offset of field: jdb_uring_need::is_exempt"][::core::mem::offset_of!(jdb_uring_need, is_exempt) - 12usize];
    ["Offset of field: jdb_uring_need::need_bytes"][::core::mem::offset_of!(jdb_uring_need, need_bytes) - 16usize];
    ["Offset of field: jdb_uring_need::need_huge_bytes"]
        [::core::mem::offset_of!(jdb_uring_need, need_huge_bytes) - 24usize];
    ["Offset of field: jdb_uring_need::limit_bytes"][::core::mem::offset_of!(jdb_uring_need, limit_bytes) - 32usize];
    ["Offset of field: jdb_uring_need::hard_limit_bytes"]
        [::core::mem::offset_of!(jdb_uring_need, hard_limit_bytes) - 40usize];
    ["Offset of field: jdb_uring_need::own_bytes"][::core::mem::offset_of!(jdb_uring_need, own_bytes) - 48usize];
    ["Offset of field: jdb_uring_need::region_count"][::core::mem::offset_of!(jdb_uring_need, region_count) - 56usize];
    ["Offset of field: jdb_uring_need::reserved"][::core::mem::offset_of!(jdb_uring_need, reserved) - 60usize];
};
unsafe extern "C" {
    pub fn jdb_uring_get_need(
        uring: *const jdb_uring,
        ptr: *const ::core::ffi::c_void,
        size: usize,
        options: *const jdb_uring_range_options,
        ret_need: *mut jdb_uring_need,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
pub struct jdb_uring_op {
    pub view: jdb_raw,
    pub offset: i64,
    pub rw_flags: u32,
    pub sqe_flags: u8,
    pub guards: u8,
    pub is_eof: u8,
    pub is_partial: u8,
    pub fd: i32,
    pub state: u32,
    pub uring: *mut jdb_uring,
    pub pin: *mut ::core::ffi::c_void,
    pub align: u32,
    pub splits: u32,
    pub moved_size: usize,
    pub asked_size: usize,
    pub next_size: usize,
    pub flight_size: usize,
    pub views: *mut jdb_raw,
    pub iovs: *mut iovec,
    pub view_count: u32,
    pub retry_count: u32,
    pub flight_range: *mut ::core::ffi::c_void,
    pub next_guard: *mut jdb_uring_op,
    pub file_size: i64,
    pub mode: u32,
    pub process: u32,
    pub file: *mut jdb_file,
    pub file_errors: u64,
    pub bounce: *mut u8,
    pub bounce_size: usize,
    pub reserved: [u64; 8usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_op"][::core::mem::size_of::<jdb_uring_op>() - 256usize];
    ["Alignment of jdb_uring_op"][::core::mem::align_of::<jdb_uring_op>() - 8usize];
    ["Offset of field: jdb_uring_op::view"][::core::mem::offset_of!(jdb_uring_op, view) - 0usize];
    ["Offset of field: jdb_uring_op::offset"][::core::mem::offset_of!(jdb_uring_op, offset) - 24usize];
    ["Offset of field: jdb_uring_op::rw_flags"][::core::mem::offset_of!(jdb_uring_op, rw_flags) - 32usize];
    ["Offset of field: jdb_uring_op::sqe_flags"][::core::mem::offset_of!(jdb_uring_op, sqe_flags) - 36usize];
    ["Offset of field: jdb_uring_op::guards"][::core::mem::offset_of!(jdb_uring_op, guards) - 37usize];
    ["Offset of field: jdb_uring_op::is_eof"][::core::mem::offset_of!(jdb_uring_op, is_eof) - 38usize];
    ["Offset of field: jdb_uring_op::is_partial"][::core::mem::offset_of!(jdb_uring_op, is_partial) - 39usize];
    ["Offset of field: jdb_uring_op::fd"][::core::mem::offset_of!(jdb_uring_op, fd) - 40usize];
    ["Offset of field: jdb_uring_op::state"][::core::mem::offset_of!(jdb_uring_op, state) - 44usize];
    ["Offset of field: jdb_uring_op::uring"][::core::mem::offset_of!(jdb_uring_op, uring) - 48usize];
    ["Offset of field: jdb_uring_op::pin"][::core::mem::offset_of!(jdb_uring_op, pin) - 56usize];
    ["Offset of field: jdb_uring_op::align"][::core::mem::offset_of!(jdb_uring_op, align) - 64usize];
    ["Offset of field: jdb_uring_op::splits"][::core::mem::offset_of!(jdb_uring_op, splits) - 68usize];
    ["Offset of field: jdb_uring_op::moved_size"][::core::mem::offset_of!(jdb_uring_op, moved_size) - 72usize];
    ["Offset of field: jdb_uring_op::asked_size"][::core::mem::offset_of!(jdb_uring_op, asked_size) - 80usize];
    ["Offset of field: jdb_uring_op::next_size"][::core::mem::offset_of!(jdb_uring_op, next_size) - 88usize];
    ["Offset of field: jdb_uring_op::flight_size"][::core::mem::offset_of!(jdb_uring_op, flight_size) - 96usize];
    ["Offset of field: jdb_uring_op::views"][::core::mem::offset_of!(jdb_uring_op, views) - 104usize];
    ["Offset of field: jdb_uring_op::iovs"][::core::mem::offset_of!(jdb_uring_op, iovs) - 112usize];
    ["Offset of field: jdb_uring_op::view_count"][::core::mem::offset_of!(jdb_uring_op, view_count) - 120usize];
    ["Offset of field: jdb_uring_op::retry_count"][::core::mem::offset_of!(jdb_uring_op, retry_count) - 124usize];
    ["Offset of field: jdb_uring_op::flight_range"][::core::mem::offset_of!(jdb_uring_op, flight_range) - 128usize];
    ["Offset of field: jdb_uring_op::next_guard"][::core::mem::offset_of!(jdb_uring_op, next_guard) - 136usize];
    ["Offset of field: jdb_uring_op::file_size"][::core::mem::offset_of!(jdb_uring_op, file_size) - 144usize];
    ["Offset of field: jdb_uring_op::mode"][::core::mem::offset_of!(jdb_uring_op, mode) - 152usize];
    ["Offset of field: jdb_uring_op::process"][::core::mem::offset_of!(jdb_uring_op, process) - 156usize];
    ["Offset of field: jdb_uring_op::file"][::core::mem::offset_of!(jdb_uring_op, file) - 160usize];
    ["Offset of field: jdb_uring_op::file_errors"][::core::mem::offset_of!(jdb_uring_op, file_errors) - 168usize];
    ["Offset of field: jdb_uring_op::bounce"][::core::mem::offset_of!(jdb_uring_op, bounce) - 176usize];
    ["Offset of field: jdb_uring_op::bounce_size"][::core::mem::offset_of!(jdb_uring_op, bounce_size) - 184usize];
    ["Offset of field: jdb_uring_op::reserved"][::core::mem::offset_of!(jdb_uring_op, reserved) - 192usize];
};
impl Default for jdb_uring_op {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_uring_prep_read(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_write(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_read_any(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
        bounce: jdb_raw,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_readv(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_writev(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_write_sync(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
        sync: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_writev_sync(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
        sync: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_sync(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        sync: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_allocate(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        fd: ::core::ffi::c_int,
        mode: u32,
        offset: i64,
        size: u64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_read_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        file: *mut jdb_file,
        view: jdb_raw,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_write_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        file: *mut jdb_file,
        view: jdb_raw,
        offset: i64,
        durability: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_readv_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        file: *mut jdb_file,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep_writev_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        sqe: *mut io_uring_sqe,
        file: *mut jdb_file,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
        durability: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_read(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_read_any(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
        bounce: jdb_raw,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_write(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_readv(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_writev(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_write_sync(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        view: jdb_raw,
        offset: i64,
        sync: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_writev_sync(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        fd: ::core::ffi::c_int,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
        sync: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_read_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        file: *mut jdb_file,
        view: jdb_raw,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_write_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        file: *mut jdb_file,
        view: jdb_raw,
        offset: i64,
        durability: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_readv_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        file: *mut jdb_file,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_writev_file(
        uring: *mut jdb_uring,
        op: *mut jdb_uring_op,
        file: *mut jdb_file,
        views: *mut jdb_raw,
        view_count: u32,
        iovs: *mut iovec,
        offset: i64,
        durability: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_prep(op: *mut jdb_uring_op, sqe: *mut io_uring_sqe) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_done_size(op: *const jdb_uring_op) -> usize;
}
unsafe extern "C" {
    pub fn jdb_uring_complete(op: *mut jdb_uring_op, res: i32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_release(op: *mut jdb_uring_op) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_run(op: *mut jdb_uring_op) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_in_flight(uring: *const jdb_uring) -> u64;
}
unsafe extern "C" {
    pub fn jdb_uring_cancel(op: *mut jdb_uring_op, user_data: u64, sqe: *mut io_uring_sqe) -> ::core::ffi::c_int;
}
pub type jdb_uring_completion =
    ::core::option::Option<unsafe extern "C" fn(context: *mut ::core::ffi::c_void, cqe: *const io_uring_cqe)>;
unsafe extern "C" {
    pub fn jdb_uring_drain(
        uring: *mut jdb_uring,
        deadline_ns: u64,
        cancels: bool,
        on_completion: jdb_uring_completion,
        context: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_engine_open(
        options: *const jdb_engine_options,
        ret_engine: *mut *mut jdb_engine,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_of_engine(engine: *const jdb_engine) -> *mut jdb_uring;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_uring_stats {
    pub size: u32,
    pub table_error: i32,
    pub slot_count: u32,
    pub slots_used: u32,
    pub is_cloned: u32,
    pub has_vectored: u32,
    pub fixed_count: u64,
    pub plain_count: u64,
    pub fixed_bytes: u64,
    pub plain_bytes: u64,
    pub resume_count: u64,
    pub reserved: [u64; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_stats"][::core::mem::size_of::<jdb_uring_stats>() - 112usize];
    ["Alignment of jdb_uring_stats"][::core::mem::align_of::<jdb_uring_stats>() - 8usize];
    ["Offset of field: jdb_uring_stats::size"][::core::mem::offset_of!(jdb_uring_stats, size) - 0usize];
    ["Offset of field: jdb_uring_stats::table_error"][::core::mem::offset_of!(jdb_uring_stats, table_error) - 4usize];
    ["Offset of field: jdb_uring_stats::slot_count"][::core::mem::offset_of!(jdb_uring_stats, slot_count) - 8usize];
    ["Offset of field: jdb_uring_stats::slots_used"][::core::mem::offset_of!(jdb_uring_stats, slots_used) - 12usize];
    ["Offset of field: jdb_uring_stats::is_cloned"][::core::mem::offset_of!(jdb_uring_stats, is_cloned) - 16usize];
    ["Offset of field: jdb_uring_stats::has_vectored"]
        [::core::mem::offset_of!(jdb_uring_stats, has_vectored) - 20usize];
    ["Offset of field: jdb_uring_stats::fixed_count"][::core::mem::offset_of!(jdb_uring_stats, fixed_count) - 24usize];
    ["Offset of field: jdb_uring_stats::plain_count"][::core::mem::offset_of!(jdb_uring_stats, plain_count) - 32usize];
    ["Offset of field: jdb_uring_stats::fixed_bytes"][::core::mem::offset_of!(jdb_uring_stats, fixed_bytes) - 40usize];
    ["Offset of field: jdb_uring_stats::plain_bytes"][::core::mem::offset_of!(jdb_uring_stats, plain_bytes) - 48usize];
    ["Offset of field: jdb_uring_stats::resume_count"]
        [::core::mem::offset_of!(jdb_uring_stats, resume_count) - 56usize];
    ["Offset of field: jdb_uring_stats::reserved"][::core::mem::offset_of!(jdb_uring_stats, reserved) - 64usize];
};
unsafe extern "C" {
    pub fn jdb_uring_get_stats(uring: *const jdb_uring, ret_stats: *mut jdb_uring_stats) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_uring_group {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_uring_group_options {
    pub size: u32,
    pub group_id: u32,
    pub frame_count: u32,
    pub is_incremental: u32,
    pub reserved: [u64; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_group_options"][::core::mem::size_of::<jdb_uring_group_options>() - 64usize];
    ["Alignment of jdb_uring_group_options"][::core::mem::align_of::<jdb_uring_group_options>() - 8usize];
    ["Offset of field: jdb_uring_group_options::size"][::core::mem::offset_of!(jdb_uring_group_options, size) - 0usize];
    ["Offset of field: jdb_uring_group_options::group_id"]
        [::core::mem::offset_of!(jdb_uring_group_options, group_id) - 4usize];
    ["Offset of field: jdb_uring_group_options::frame_count"]
        [::core::mem::offset_of!(jdb_uring_group_options, frame_count) - 8usize];
    ["Offset of field: jdb_uring_group_options::is_incremental"]
        [::core::mem::offset_of!(jdb_uring_group_options, is_incremental) - 12usize];
    ["Offset of field: jdb_uring_group_options::reserved"]
        [::core::mem::offset_of!(jdb_uring_group_options, reserved) - 16usize];
};
#[repr(C)]
pub struct jdb_uring_piece {
    pub view: jdb_raw,
    pub frame: jdb_frame,
    pub is_shared: u32,
    pub reserved32: u32,
    pub reserved: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_uring_piece"][::core::mem::size_of::<jdb_uring_piece>() - 64usize];
    ["Alignment of jdb_uring_piece"][::core::mem::align_of::<jdb_uring_piece>() - 8usize];
    ["Offset of field: jdb_uring_piece::view"][::core::mem::offset_of!(jdb_uring_piece, view) - 0usize];
    ["Offset of field: jdb_uring_piece::frame"][::core::mem::offset_of!(jdb_uring_piece, frame) - 24usize];
    ["Offset of field: jdb_uring_piece::is_shared"][::core::mem::offset_of!(jdb_uring_piece, is_shared) - 40usize];
    ["Offset of field: jdb_uring_piece::reserved32"][::core::mem::offset_of!(jdb_uring_piece, reserved32) - 44usize];
    ["Offset of field: jdb_uring_piece::reserved"][::core::mem::offset_of!(jdb_uring_piece, reserved) - 48usize];
};
impl Default for jdb_uring_piece {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_uring_group_open(
        ring: *mut io_uring,
        pool: *mut jdb_pool,
        options: *const jdb_uring_group_options,
        ret_group: *mut *mut jdb_uring_group,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_group_close(group: *mut jdb_uring_group) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_group_select(group: *mut jdb_uring_group, sqe: *mut io_uring_sqe) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_group_take(
        group: *mut jdb_uring_group,
        cqe: *const io_uring_cqe,
        ret_piece: *mut jdb_uring_piece,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_group_give(group: *const jdb_uring_group, piece: *mut jdb_uring_piece) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_group_refill(group: *mut jdb_uring_group) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_uring_group_is_incremental(group: *const jdb_uring_group) -> bool;
}
unsafe extern "C" {
    pub fn jdb_uring_group_in_flight(group: *const jdb_uring_group) -> u64;
}
