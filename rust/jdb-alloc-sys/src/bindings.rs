// Written by tests/bindings.rs from the C headers; JDB_WRITE_BINDINGS=1 writes it anew.
pub const JDB_HUGE_PAGES_ON: u32 = 1;
pub const JDB_HUGE_PAGES_OFF: u32 = 2;
pub const JDB_DELAY_NONE: u32 = 4294967295;
pub const JDB_PROFILE_LIVE: u32 = 0;
pub const JDB_PROFILE_PEAK: u32 = 1;
pub const JDB_DIRECT_REASON_SIZE: u32 = 192;
pub const JDB_DIRECT_TEXT_SIZE: u32 = 320;
pub const JDB_ARENA_PAGES_NONE: u32 = 0;
pub const JDB_ARENA_PAGES_THP: u32 = 1;
pub const JDB_ARENA_PAGES_HUGETLB_2M: u32 = 2;
pub const JDB_ARENA_PAGES_HUGETLB_1G: u32 = 3;
pub const JDB_ARENA_PAGES_BEST: u32 = 4;
pub const JDB_ARENA_NUMA_NONE: u32 = 0;
pub const JDB_ARENA_NUMA_BIND: u32 = 1;
pub const JDB_ARENA_NUMA_PREFER: u32 = 2;
pub const JDB_ARENA_NUMA_INTERLEAVE: u32 = 3;
pub const JDB_ARENA_PREFAULT: u32 = 1;
pub const JDB_ARENA_LOCK: u32 = 2;
pub const JDB_ARENA_KEEP_ON_FORK: u32 = 4;
pub const JDB_ARENA_DONTDUMP: u32 = 8;
pub const JDB_ARENA_MEMFD: u32 = 16;
pub const JDB_ARENA_ITEM_PAGES: u32 = 0;
pub const JDB_ARENA_ITEM_FORK: u32 = 1;
pub const JDB_ARENA_ITEM_DUMP: u32 = 2;
pub const JDB_ARENA_ITEM_NAME: u32 = 3;
pub const JDB_ARENA_ITEM_NUMA: u32 = 4;
pub const JDB_ARENA_ITEM_PREFAULT: u32 = 5;
pub const JDB_ARENA_ITEM_LOCK: u32 = 6;
pub const JDB_ARENA_ITEM_MEMFD: u32 = 7;
pub const JDB_ARENA_ITEM_COUNT: u32 = 8;
pub const JDB_ARENA_REQUIRE_ALL: u32 = 255;
pub const JDB_ARENA_REPORT_NODES: u32 = 64;
pub const JDB_POOL_ZERO_NEVER: u32 = 0;
pub const JDB_POOL_ZERO_TAIL: u32 = 1;
pub const JDB_POOL_ZERO_ALWAYS: u32 = 2;
pub const JDB_ENGINE_DEPTH_DEFAULT: u32 = 8;
pub const JDB_ENGINE_DEPTH_MAX: u32 = 1024;
pub const JDB_ENGINE_REASON_SIZE: u32 = 160;
unsafe extern "C" {
    pub fn jdb_strerror(err: ::core::ffi::c_int) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_version() -> u32;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_raw {
    pub ptr: *mut u8,
    pub len: usize,
    pub cap: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_raw"][::core::mem::size_of::<jdb_raw>() - 24usize];
    ["Alignment of jdb_raw"][::core::mem::align_of::<jdb_raw>() - 8usize];
    ["Offset of field: jdb_raw::ptr"][::core::mem::offset_of!(jdb_raw, ptr) - 0usize];
    ["Offset of field: jdb_raw::len"][::core::mem::offset_of!(jdb_raw, len) - 8usize];
    ["Offset of field: jdb_raw::cap"][::core::mem::offset_of!(jdb_raw, cap) - 16usize];
};
impl Default for jdb_raw {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_raw_new(ptr: *mut ::core::ffi::c_void, cap: usize) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_raw_from_raw_parts(ptr: *mut ::core::ffi::c_void, len: usize, cap: usize) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_raw_from_slice(ptr: *mut ::core::ffi::c_void, size: usize) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_raw_with_len(raw: jdb_raw, len: usize) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_raw_is_aligned(raw: jdb_raw, align: usize) -> bool;
}
unsafe extern "C" {
    pub fn jdb_raw_sub(
        raw: jdb_raw,
        offset: usize,
        len: usize,
        align: usize,
        ret_raw: *mut jdb_raw,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_raw_slice(raw: jdb_raw, offset: usize, len: usize, ret_raw: *mut jdb_raw) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_raw_slice_data(raw: jdb_raw, offset: usize, len: usize, ret_raw: *mut jdb_raw) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_raw_slice_unchecked(raw: jdb_raw, offset: usize, len: usize) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_raw_len(raw: jdb_raw) -> usize;
}
unsafe extern "C" {
    pub fn jdb_raw_cap(raw: jdb_raw) -> usize;
}
unsafe extern "C" {
    pub fn jdb_raw_is_empty(raw: jdb_raw) -> bool;
}
unsafe extern "C" {
    pub fn jdb_raw_as_ptr(raw: jdb_raw) -> *const u8;
}
unsafe extern "C" {
    pub fn jdb_raw_as_mut_ptr(raw: jdb_raw) -> *mut u8;
}
unsafe extern "C" {
    pub fn jdb_raw_set_len(raw: *mut jdb_raw, len: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_raw_set_init(raw: *mut jdb_raw, initialised: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_raw_format(raw: *const jdb_raw, text: *mut ::core::ffi::c_char, text_size: usize) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_buf {
    pub ptr: *mut u8,
    pub len: usize,
    pub cap: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_buf"][::core::mem::size_of::<jdb_buf>() - 24usize];
    ["Alignment of jdb_buf"][::core::mem::align_of::<jdb_buf>() - 8usize];
    ["Offset of field: jdb_buf::ptr"][::core::mem::offset_of!(jdb_buf, ptr) - 0usize];
    ["Offset of field: jdb_buf::len"][::core::mem::offset_of!(jdb_buf, len) - 8usize];
    ["Offset of field: jdb_buf::cap"][::core::mem::offset_of!(jdb_buf, cap) - 16usize];
};
impl Default for jdb_buf {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[repr(align(4096))]
#[derive(Debug, Copy, Clone)]
pub struct jdb_page {
    pub bytes: [u8; 4096usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_page"][::core::mem::size_of::<jdb_page>() - 4096usize];
    ["Alignment of jdb_page"][::core::mem::align_of::<jdb_page>() - 4096usize];
    ["Offset of field: jdb_page::bytes"][::core::mem::offset_of!(jdb_page, bytes) - 0usize];
};
impl Default for jdb_page {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_buf_with_cap(buf: *mut jdb_buf, cap: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_with_cap_aligned(buf: *mut jdb_buf, cap: usize, align: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_with_max(buf: *mut jdb_buf, cap: usize, max: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_zeroed(buf: *mut jdb_buf, size: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_page(buf: *mut jdb_buf) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_try_clone(src: *const jdb_buf, dst: *mut jdb_buf) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_drop(buf: *mut jdb_buf);
}
unsafe extern "C" {
    pub fn jdb_buf_into_raw_parts(buf: *mut jdb_buf, ptr: *mut *mut u8, len: *mut usize, cap: *mut usize);
}
unsafe extern "C" {
    pub fn jdb_buf_from_raw_parts(buf: *mut jdb_buf, ptr: *mut u8, len: usize, cap: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_as_raw(buf: *mut jdb_buf) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_buf_as_raw_view(buf: *const jdb_buf) -> jdb_raw;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_raw_iter {
    pub next: *mut u8,
    pub left: usize,
    pub chunk: usize,
    pub reserved: [u64; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_raw_iter"][::core::mem::size_of::<jdb_raw_iter>() - 48usize];
    ["Alignment of jdb_raw_iter"][::core::mem::align_of::<jdb_raw_iter>() - 8usize];
    ["Offset of field: jdb_raw_iter::next"][::core::mem::offset_of!(jdb_raw_iter, next) - 0usize];
    ["Offset of field: jdb_raw_iter::left"][::core::mem::offset_of!(jdb_raw_iter, left) - 8usize];
    ["Offset of field: jdb_raw_iter::chunk"][::core::mem::offset_of!(jdb_raw_iter, chunk) - 16usize];
    ["Offset of field: jdb_raw_iter::reserved"][::core::mem::offset_of!(jdb_raw_iter, reserved) - 24usize];
};
impl Default for jdb_raw_iter {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_buf_slice_into_raws(
        buf: *const jdb_buf,
        chunk: usize,
        ret_iter: *mut jdb_raw_iter,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_raw_iter_next(iter: *mut jdb_raw_iter, ret_frame: *mut jdb_raw) -> bool;
}
unsafe extern "C" {
    pub fn jdb_raw_iter_rest(iter: *const jdb_raw_iter) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_buf_extend(buf: *mut jdb_buf, data: *const ::core::ffi::c_void, size: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_set_len(buf: *mut jdb_buf, len: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_set_init(buf: *mut jdb_buf, initialised: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_truncate(buf: *mut jdb_buf, new_len: usize);
}
unsafe extern "C" {
    pub fn jdb_buf_clear(buf: *mut jdb_buf);
}
unsafe extern "C" {
    pub fn jdb_buf_pad_to(buf: *mut jdb_buf, align: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_refit_tail(
        buf: *mut jdb_buf,
        data_len: usize,
        align: usize,
        ret_kept: *mut usize,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_reserve(buf: *mut jdb_buf, additional: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_shrink(buf: *mut jdb_buf) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_buf_len(buf: *const jdb_buf) -> usize;
}
unsafe extern "C" {
    pub fn jdb_buf_cap(buf: *const jdb_buf) -> usize;
}
unsafe extern "C" {
    pub fn jdb_buf_is_empty(buf: *const jdb_buf) -> bool;
}
unsafe extern "C" {
    pub fn jdb_buf_as_ptr(buf: *const jdb_buf) -> *const u8;
}
unsafe extern "C" {
    pub fn jdb_buf_as_mut_ptr(buf: *mut jdb_buf) -> *mut u8;
}
unsafe extern "C" {
    pub fn jdb_buf_format(buf: *const jdb_buf, text: *mut ::core::ffi::c_char, text_size: usize) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_page_options {
    pub size: u32,
    pub delay_ms: u32,
    pub dirty_bytes: u64,
    pub thread_bytes: u64,
    pub huge_pages: u32,
    pub reserved0: u32,
    pub reserved: [u64; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_page_options"][::core::mem::size_of::<jdb_page_options>() - 56usize];
    ["Alignment of jdb_page_options"][::core::mem::align_of::<jdb_page_options>() - 8usize];
    ["Offset of field: jdb_page_options::size"][::core::mem::offset_of!(jdb_page_options, size) - 0usize];
    ["Offset of field: jdb_page_options::delay_ms"][::core::mem::offset_of!(jdb_page_options, delay_ms) - 4usize];
    ["Offset of field: jdb_page_options::dirty_bytes"][::core::mem::offset_of!(jdb_page_options, dirty_bytes) - 8usize];
    ["Offset of field: jdb_page_options::thread_bytes"]
        [::core::mem::offset_of!(jdb_page_options, thread_bytes) - 16usize];
    ["Offset of field: jdb_page_options::huge_pages"][::core::mem::offset_of!(jdb_page_options, huge_pages) - 24usize];
    ["Offset of field: jdb_page_options::reserved0"][::core::mem::offset_of!(jdb_page_options, reserved0) - 28usize];
    ["Offset of field: jdb_page_options::reserved"][::core::mem::offset_of!(jdb_page_options, reserved) - 32usize];
};
unsafe extern "C" {
    pub fn jdb_set_page_options(options: *const jdb_page_options) -> ::core::ffi::c_int;
}
pub type jdb_limit_callback =
    ::core::option::Option<unsafe extern "C" fn(context: *mut ::core::ffi::c_void, needed: u64) -> bool>;
unsafe extern "C" {
    pub fn jdb_set_limit(
        bytes: u64,
        callback: jdb_limit_callback,
        context: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_trim() -> u64;
}
unsafe extern "C" {
    pub fn jdb_thread_flush();
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_page_stats {
    pub size: u32,
    pub threads: u32,
    pub lent_bytes: u64,
    pub cached_bytes: u64,
    pub thread_bytes: u64,
    pub shared_bytes: u64,
    pub mapped_bytes: u64,
    pub reserved_bytes: u64,
    pub bookkeeping_bytes: u64,
    pub limit_bytes: u64,
    pub map_calls: u64,
    pub unmap_calls: u64,
    pub decommit_calls: u64,
    pub remap_calls: u64,
    pub shared_locks: u64,
    pub moved_bytes: u64,
    pub copied_bytes: u64,
    pub huge_bytes: u64,
    pub reserved: [u64; 7usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_page_stats"][::core::mem::size_of::<jdb_page_stats>() - 192usize];
    ["Alignment of jdb_page_stats"][::core::mem::align_of::<jdb_page_stats>() - 8usize];
    ["Offset of field: jdb_page_stats::size"][::core::mem::offset_of!(jdb_page_stats, size) - 0usize];
    ["Offset of field: jdb_page_stats::threads"][::core::mem::offset_of!(jdb_page_stats, threads) - 4usize];
    ["Offset of field: jdb_page_stats::lent_bytes"][::core::mem::offset_of!(jdb_page_stats, lent_bytes) - 8usize];
    ["Offset of field: jdb_page_stats::cached_bytes"][::core::mem::offset_of!(jdb_page_stats, cached_bytes) - 16usize];
    ["Offset of field: jdb_page_stats::thread_bytes"][::core::mem::offset_of!(jdb_page_stats, thread_bytes) - 24usize];
    ["Offset of field: jdb_page_stats::shared_bytes"][::core::mem::offset_of!(jdb_page_stats, shared_bytes) - 32usize];
    ["Offset of field: jdb_page_stats::mapped_bytes"][::core::mem::offset_of!(jdb_page_stats, mapped_bytes) - 40usize];
    ["Offset of field: jdb_page_stats::reserved_bytes"]
        [::core::mem::offset_of!(jdb_page_stats, reserved_bytes) - 48usize];
    ["Offset of field: jdb_page_stats::bookkeeping_bytes"]
        [::core::mem::offset_of!(jdb_page_stats, bookkeeping_bytes) - 56usize];
    ["Offset of field: jdb_page_stats::limit_bytes"][::core::mem::offset_of!(jdb_page_stats, limit_bytes) - 64usize];
    ["Offset of field: jdb_page_stats::map_calls"][::core::mem::offset_of!(jdb_page_stats, map_calls) - 72usize];
    ["Offset of field: jdb_page_stats::unmap_calls"][::core::mem::offset_of!(jdb_page_stats, unmap_calls) - 80usize];
    ["Offset of field: jdb_page_stats::decommit_calls"]
        [::core::mem::offset_of!(jdb_page_stats, decommit_calls) - 88usize];
    ["Offset of field: jdb_page_stats::remap_calls"][::core::mem::offset_of!(jdb_page_stats, remap_calls) - 96usize];
    ["Offset of field: jdb_page_stats::shared_locks"][::core::mem::offset_of!(jdb_page_stats, shared_locks) - 104usize];
    ["Offset of field: jdb_page_stats::moved_bytes"][::core::mem::offset_of!(jdb_page_stats, moved_bytes) - 112usize];
    ["Offset of field: jdb_page_stats::copied_bytes"][::core::mem::offset_of!(jdb_page_stats, copied_bytes) - 120usize];
    ["Offset of field: jdb_page_stats::huge_bytes"][::core::mem::offset_of!(jdb_page_stats, huge_bytes) - 128usize];
    ["Offset of field: jdb_page_stats::reserved"][::core::mem::offset_of!(jdb_page_stats, reserved) - 136usize];
};
unsafe extern "C" {
    pub fn jdb_get_page_stats(stats: *mut jdb_page_stats) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_page_class_stats {
    pub size: u32,
    pub page_count: u32,
    pub lent_count: u64,
    pub thread_count: u64,
    pub shared_count: u64,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_page_class_stats"][::core::mem::size_of::<jdb_page_class_stats>() - 64usize];
    ["Alignment of jdb_page_class_stats"][::core::mem::align_of::<jdb_page_class_stats>() - 8usize];
    ["Offset of field: jdb_page_class_stats::size"][::core::mem::offset_of!(jdb_page_class_stats, size) - 0usize];
    ["Offset of field: jdb_page_class_stats::page_count"]
        [::core::mem::offset_of!(jdb_page_class_stats, page_count) - 4usize];
    ["Offset of field: jdb_page_class_stats::lent_count"]
        [::core::mem::offset_of!(jdb_page_class_stats, lent_count) - 8usize];
    ["Offset of field: jdb_page_class_stats::thread_count"]
        [::core::mem::offset_of!(jdb_page_class_stats, thread_count) - 16usize];
    ["Offset of field: jdb_page_class_stats::shared_count"]
        [::core::mem::offset_of!(jdb_page_class_stats, shared_count) - 24usize];
    ["Offset of field: jdb_page_class_stats::reserved"]
        [::core::mem::offset_of!(jdb_page_class_stats, reserved) - 32usize];
};
unsafe extern "C" {
    pub fn jdb_get_page_class_stats(page_count: u32, stats: *mut jdb_page_class_stats) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_page_class_count() -> u32;
}
unsafe extern "C" {
    pub fn jdb_resident_bytes(ret_bytes: *mut u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_profile_start(sample_bytes: u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_profile_stop();
}
unsafe extern "C" {
    pub fn jdb_profile_write(path: *const ::core::ffi::c_char, kind: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pin(ptr: *const ::core::ffi::c_void, size: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_unpin(ptr: *const ::core::ffi::c_void, size: usize) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_pin_mark {
    pub ptr: *const ::core::ffi::c_void,
    pub size: usize,
    pub count: *mut ::core::ffi::c_void,
    pub kind: u32,
    pub reserved32: u32,
    pub reserved: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_pin_mark"][::core::mem::size_of::<jdb_pin_mark>() - 40usize];
    ["Alignment of jdb_pin_mark"][::core::mem::align_of::<jdb_pin_mark>() - 8usize];
    ["Offset of field: jdb_pin_mark::ptr"][::core::mem::offset_of!(jdb_pin_mark, ptr) - 0usize];
    ["Offset of field: jdb_pin_mark::size"][::core::mem::offset_of!(jdb_pin_mark, size) - 8usize];
    ["Offset of field: jdb_pin_mark::count"][::core::mem::offset_of!(jdb_pin_mark, count) - 16usize];
    ["Offset of field: jdb_pin_mark::kind"][::core::mem::offset_of!(jdb_pin_mark, kind) - 24usize];
    ["Offset of field: jdb_pin_mark::reserved32"][::core::mem::offset_of!(jdb_pin_mark, reserved32) - 28usize];
    ["Offset of field: jdb_pin_mark::reserved"][::core::mem::offset_of!(jdb_pin_mark, reserved) - 32usize];
};
impl Default for jdb_pin_mark {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_pin_marked(
        ptr: *const ::core::ffi::c_void,
        size: usize,
        ret_mark: *mut jdb_pin_mark,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_unpin_marked(mark: *const jdb_pin_mark) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_is_pinned(ptr: *const ::core::ffi::c_void, size: usize) -> bool;
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
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_direct {
    pub size: u32,
    pub state: u32,
    pub read_state: u32,
    pub write_state: u32,
    pub memory_align: u32,
    pub write_align: u32,
    pub read_align: u32,
    pub state_source: u32,
    pub memory_source: u32,
    pub write_source: u32,
    pub read_source: u32,
    pub recommended_memory_align: u32,
    pub recommended_write_size: u32,
    pub recommended_read_size: u32,
    pub logical_block_size: u32,
    pub physical_block_size: u32,
    pub preferred_block_size: u32,
    pub atomic_min_size: u32,
    pub atomic_max_size: u32,
    pub atomic_segments_count: u32,
    pub file_system: u32,
    pub device_major: u32,
    pub device_minor: u32,
    pub is_device: u32,
    pub is_open_direct: u32,
    pub trial_result: i32,
    pub reason: [::core::ffi::c_char; 192usize],
    pub atomic_max_optimal_size: u32,
    pub is_stable: u32,
    pub reserved: [u64; 5usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_direct"][::core::mem::size_of::<jdb_direct>() - 344usize];
    ["Alignment of jdb_direct"][::core::mem::align_of::<jdb_direct>() - 8usize];
    ["Offset of field: jdb_direct::size"][::core::mem::offset_of!(jdb_direct, size) - 0usize];
    ["Offset of field: jdb_direct::state"][::core::mem::offset_of!(jdb_direct, state) - 4usize];
    ["Offset of field: jdb_direct::read_state"][::core::mem::offset_of!(jdb_direct, read_state) - 8usize];
    ["Offset of field: jdb_direct::write_state"][::core::mem::offset_of!(jdb_direct, write_state) - 12usize];
    ["Offset of field: jdb_direct::memory_align"][::core::mem::offset_of!(jdb_direct, memory_align) - 16usize];
    ["Offset of field: jdb_direct::write_align"][::core::mem::offset_of!(jdb_direct, write_align) - 20usize];
    ["Offset of field: jdb_direct::read_align"][::core::mem::offset_of!(jdb_direct, read_align) - 24usize];
    ["Offset of field: jdb_direct::state_source"][::core::mem::offset_of!(jdb_direct, state_source) - 28usize];
    ["Offset of field: jdb_direct::memory_source"][::core::mem::offset_of!(jdb_direct, memory_source) - 32usize];
    ["Offset of field: jdb_direct::write_source"][::core::mem::offset_of!(jdb_direct, write_source) - 36usize];
    ["Offset of field: jdb_direct::read_source"][::core::mem::offset_of!(jdb_direct, read_source) - 40usize];
    ["Offset of field: jdb_direct::recommended_memory_align"]
        [::core::mem::offset_of!(jdb_direct, recommended_memory_align) - 44usize];
    ["Offset of field: jdb_direct::recommended_write_size"]
        [::core::mem::offset_of!(jdb_direct, recommended_write_size) - 48usize];
    ["Offset of field: jdb_direct::recommended_read_size"]
        [::core::mem::offset_of!(jdb_direct, recommended_read_size) - 52usize];
    ["Offset of field: jdb_direct::logical_block_size"]
        [::core::mem::offset_of!(jdb_direct, logical_block_size) - 56usize];
    ["Offset of field: jdb_direct::physical_block_size"]
        [::core::mem::offset_of!(jdb_direct, physical_block_size) - 60usize];
    ["Offset of field: jdb_direct::preferred_block_size"]
        [::core::mem::offset_of!(jdb_direct, preferred_block_size) - 64usize];
    ["Offset of field: jdb_direct::atomic_min_size"][::core::mem::offset_of!(jdb_direct, atomic_min_size) - 68usize];
    ["Offset of field: jdb_direct::atomic_max_size"][::core::mem::offset_of!(jdb_direct, atomic_max_size) - 72usize];
    ["Offset of field: jdb_direct::atomic_segments_count"]
        [::core::mem::offset_of!(jdb_direct, atomic_segments_count) - 76usize];
    ["Offset of field: jdb_direct::file_system"][::core::mem::offset_of!(jdb_direct, file_system) - 80usize];
    ["Offset of field: jdb_direct::device_major"][::core::mem::offset_of!(jdb_direct, device_major) - 84usize];
    ["Offset of field: jdb_direct::device_minor"][::core::mem::offset_of!(jdb_direct, device_minor) - 88usize];
    ["Offset of field: jdb_direct::is_device"][::core::mem::offset_of!(jdb_direct, is_device) - 92usize];
    ["Offset of field: jdb_direct::is_open_direct"][::core::mem::offset_of!(jdb_direct, is_open_direct) - 96usize];
    ["Offset of field: jdb_direct::trial_result"][::core::mem::offset_of!(jdb_direct, trial_result) - 100usize];
    ["Offset of field: jdb_direct::reason"][::core::mem::offset_of!(jdb_direct, reason) - 104usize];
    ["Offset of field: jdb_direct::atomic_max_optimal_size"]
        [::core::mem::offset_of!(jdb_direct, atomic_max_optimal_size) - 296usize];
    ["Offset of field: jdb_direct::is_stable"][::core::mem::offset_of!(jdb_direct, is_stable) - 300usize];
    ["Offset of field: jdb_direct::reserved"][::core::mem::offset_of!(jdb_direct, reserved) - 304usize];
};
impl Default for jdb_direct {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_direct_limits(fd: ::core::ffi::c_int, ret_limits: *mut jdb_direct) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_direct_override(
        limits: *mut jdb_direct,
        memory_align: u32,
        write_align: u32,
        read_align: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_direct_pretend(limits: *mut jdb_direct, align: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_direct_state_name(state: u32) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_direct_source_name(source: u32) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_direct_format(
        limits: *const jdb_direct,
        text: *mut ::core::ffi::c_char,
        text_size: usize,
    ) -> ::core::ffi::c_int;
}
pub const JDB_DIRECT_WRONG_ADDRESS: _bindgen_ty_3 = 1;
pub const JDB_DIRECT_WRONG_OFFSET: _bindgen_ty_3 = 2;
pub const JDB_DIRECT_WRONG_LENGTH: _bindgen_ty_3 = 4;
pub type _bindgen_ty_3 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_direct_demand {
    pub value: u64,
    pub align: u64,
    pub excess: u64,
    pub below: u64,
    pub above: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_direct_demand"][::core::mem::size_of::<jdb_direct_demand>() - 40usize];
    ["Alignment of jdb_direct_demand"][::core::mem::align_of::<jdb_direct_demand>() - 8usize];
    ["Offset of field: jdb_direct_demand::value"][::core::mem::offset_of!(jdb_direct_demand, value) - 0usize];
    ["Offset of field: jdb_direct_demand::align"][::core::mem::offset_of!(jdb_direct_demand, align) - 8usize];
    ["Offset of field: jdb_direct_demand::excess"][::core::mem::offset_of!(jdb_direct_demand, excess) - 16usize];
    ["Offset of field: jdb_direct_demand::below"][::core::mem::offset_of!(jdb_direct_demand, below) - 24usize];
    ["Offset of field: jdb_direct_demand::above"][::core::mem::offset_of!(jdb_direct_demand, above) - 32usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_direct_check {
    pub size: u32,
    pub wrong: u32,
    pub address: jdb_direct_demand,
    pub offset: jdb_direct_demand,
    pub length: jdb_direct_demand,
    pub is_write: u32,
    pub reserved: [u32; 9usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_direct_check"][::core::mem::size_of::<jdb_direct_check>() - 168usize];
    ["Alignment of jdb_direct_check"][::core::mem::align_of::<jdb_direct_check>() - 8usize];
    ["Offset of field: jdb_direct_check::size"][::core::mem::offset_of!(jdb_direct_check, size) - 0usize];
    ["Offset of field: jdb_direct_check::wrong"][::core::mem::offset_of!(jdb_direct_check, wrong) - 4usize];
    ["Offset of field: jdb_direct_check::address"][::core::mem::offset_of!(jdb_direct_check, address) - 8usize];
    ["Offset of field: jdb_direct_check::offset"][::core::mem::offset_of!(jdb_direct_check, offset) - 48usize];
    ["Offset of field: jdb_direct_check::length"][::core::mem::offset_of!(jdb_direct_check, length) - 88usize];
    ["Offset of field: jdb_direct_check::is_write"][::core::mem::offset_of!(jdb_direct_check, is_write) - 128usize];
    ["Offset of field: jdb_direct_check::reserved"][::core::mem::offset_of!(jdb_direct_check, reserved) - 132usize];
};
unsafe extern "C" {
    pub fn jdb_direct_check_read(
        limits: *const jdb_direct,
        view: jdb_raw,
        offset: i64,
        ret_check: *mut jdb_direct_check,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_direct_check_write(
        limits: *const jdb_direct,
        view: jdb_raw,
        offset: i64,
        ret_check: *mut jdb_direct_check,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_direct_check_format(
        check: *const jdb_direct_check,
        text: *mut ::core::ffi::c_char,
        text_size: usize,
    ) -> ::core::ffi::c_int;
}
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
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_file {
    _unused: [u8; 0],
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
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_file_options {
    pub size: u32,
    pub access: u32,
    pub policy: u32,
    pub tail: u32,
    pub durability: u32,
    pub flags: u32,
    pub permissions: u32,
    pub copy_size: u32,
    pub memory_align: u32,
    pub write_align: u32,
    pub read_align: u32,
    pub pretend_align: u32,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_file_options"][::core::mem::size_of::<jdb_file_options>() - 80usize];
    ["Alignment of jdb_file_options"][::core::mem::align_of::<jdb_file_options>() - 8usize];
    ["Offset of field: jdb_file_options::size"][::core::mem::offset_of!(jdb_file_options, size) - 0usize];
    ["Offset of field: jdb_file_options::access"][::core::mem::offset_of!(jdb_file_options, access) - 4usize];
    ["Offset of field: jdb_file_options::policy"][::core::mem::offset_of!(jdb_file_options, policy) - 8usize];
    ["Offset of field: jdb_file_options::tail"][::core::mem::offset_of!(jdb_file_options, tail) - 12usize];
    ["Offset of field: jdb_file_options::durability"][::core::mem::offset_of!(jdb_file_options, durability) - 16usize];
    ["Offset of field: jdb_file_options::flags"][::core::mem::offset_of!(jdb_file_options, flags) - 20usize];
    ["Offset of field: jdb_file_options::permissions"]
        [::core::mem::offset_of!(jdb_file_options, permissions) - 24usize];
    ["Offset of field: jdb_file_options::copy_size"][::core::mem::offset_of!(jdb_file_options, copy_size) - 28usize];
    ["Offset of field: jdb_file_options::memory_align"]
        [::core::mem::offset_of!(jdb_file_options, memory_align) - 32usize];
    ["Offset of field: jdb_file_options::write_align"]
        [::core::mem::offset_of!(jdb_file_options, write_align) - 36usize];
    ["Offset of field: jdb_file_options::read_align"][::core::mem::offset_of!(jdb_file_options, read_align) - 40usize];
    ["Offset of field: jdb_file_options::pretend_align"]
        [::core::mem::offset_of!(jdb_file_options, pretend_align) - 44usize];
    ["Offset of field: jdb_file_options::reserved"][::core::mem::offset_of!(jdb_file_options, reserved) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_file_report {
    pub size: u32,
    pub mode: u32,
    pub err: i32,
    pub is_eof: u32,
    pub call: *const ::core::ffi::c_char,
    pub done_size: u64,
    pub direct_size: u64,
    pub buffered_size: u64,
    pub copied_size: u64,
    pub request_count: u64,
    pub is_earlier_error: u32,
    pub text: [::core::ffi::c_char; 320usize],
    pub reserved: [u32; 7usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_file_report"][::core::mem::size_of::<jdb_file_report>() - 416usize];
    ["Alignment of jdb_file_report"][::core::mem::align_of::<jdb_file_report>() - 8usize];
    ["Offset of field: jdb_file_report::size"][::core::mem::offset_of!(jdb_file_report, size) - 0usize];
    ["Offset of field: jdb_file_report::mode"][::core::mem::offset_of!(jdb_file_report, mode) - 4usize];
    ["Offset of field: jdb_file_report::err"][::core::mem::offset_of!(jdb_file_report, err) - 8usize];
    ["Offset of field: jdb_file_report::is_eof"][::core::mem::offset_of!(jdb_file_report, is_eof) - 12usize];
    ["Offset of field: jdb_file_report::call"][::core::mem::offset_of!(jdb_file_report, call) - 16usize];
    ["Offset of field: jdb_file_report::done_size"][::core::mem::offset_of!(jdb_file_report, done_size) - 24usize];
    ["Offset of field: jdb_file_report::direct_size"][::core::mem::offset_of!(jdb_file_report, direct_size) - 32usize];
    ["Offset of field: jdb_file_report::buffered_size"]
        [::core::mem::offset_of!(jdb_file_report, buffered_size) - 40usize];
    ["Offset of field: jdb_file_report::copied_size"][::core::mem::offset_of!(jdb_file_report, copied_size) - 48usize];
    ["Offset of field: jdb_file_report::request_count"]
        [::core::mem::offset_of!(jdb_file_report, request_count) - 56usize];
    ["Offset of field: jdb_file_report::is_earlier_error"]
        [::core::mem::offset_of!(jdb_file_report, is_earlier_error) - 64usize];
    ["Offset of field: jdb_file_report::text"][::core::mem::offset_of!(jdb_file_report, text) - 68usize];
    ["Offset of field: jdb_file_report::reserved"][::core::mem::offset_of!(jdb_file_report, reserved) - 388usize];
};
impl Default for jdb_file_report {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_file_open(
        path: *const ::core::ffi::c_char,
        options: *const jdb_file_options,
        ret_report: *mut jdb_file_report,
        ret_file: *mut *mut jdb_file,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_openat(
        directory_fd: ::core::ffi::c_int,
        path: *const ::core::ffi::c_char,
        options: *const jdb_file_options,
        ret_report: *mut jdb_file_report,
        ret_file: *mut *mut jdb_file,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_from_fd(
        fd: ::core::ffi::c_int,
        options: *const jdb_file_options,
        ret_report: *mut jdb_file_report,
        ret_file: *mut *mut jdb_file,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_close(file: *mut jdb_file) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_limits(file: *mut jdb_file, ret_limits: *mut jdb_direct) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_known_limits(file: *const jdb_file, ret_limits: *mut jdb_direct) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_read_mode(file: *const jdb_file) -> u32;
}
unsafe extern "C" {
    pub fn jdb_file_write_mode(file: *const jdb_file) -> u32;
}
unsafe extern "C" {
    pub fn jdb_file_durability(file: *const jdb_file) -> u32;
}
unsafe extern "C" {
    pub fn jdb_file_mode_name(mode: u32) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_file_reason(file: *const jdb_file) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_file_descriptor(file: *const jdb_file) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_size(file: *const jdb_file, ret_size: *mut i64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_find_data(file: *const jdb_file, offset: i64, ret_data: *mut jdb_range) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_preallocate(file: *mut jdb_file, offset: i64, size: u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_read_full(
        file: *mut jdb_file,
        view: *mut jdb_raw,
        offset: i64,
        ret_report: *mut jdb_file_report,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_write_full(
        file: *mut jdb_file,
        view: jdb_raw,
        offset: i64,
        ret_report: *mut jdb_file_report,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_readv(
        file: *mut jdb_file,
        views: *mut jdb_raw,
        view_count: u32,
        offset: i64,
        ret_report: *mut jdb_file_report,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_writev(
        file: *mut jdb_file,
        views: *const jdb_raw,
        view_count: u32,
        offset: i64,
        ret_report: *mut jdb_file_report,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_write_atomic(
        file: *mut jdb_file,
        view: jdb_raw,
        offset: i64,
        ret_report: *mut jdb_file_report,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_write_zeros(
        file: *mut jdb_file,
        offset: i64,
        size: u64,
        ret_report: *mut jdb_file_report,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_truncate(file: *mut jdb_file, size: i64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_sync(file: *mut jdb_file, durability: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_error(file: *const jdb_file) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_clear_error(file: *mut jdb_file) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_file_request {
    pub size: u32,
    pub is_write: u32,
    pub durability: u32,
    pub fd: i32,
    pub is_direct: u32,
    pub rw_flags: u32,
    pub align: u32,
    pub sync: u32,
    pub end_sync: u32,
    pub reserved32: u32,
    pub errors: u64,
    pub reserved: [u64; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_file_request"][::core::mem::size_of::<jdb_file_request>() - 72usize];
    ["Alignment of jdb_file_request"][::core::mem::align_of::<jdb_file_request>() - 8usize];
    ["Offset of field: jdb_file_request::size"][::core::mem::offset_of!(jdb_file_request, size) - 0usize];
    ["Offset of field: jdb_file_request::is_write"][::core::mem::offset_of!(jdb_file_request, is_write) - 4usize];
    ["Offset of field: jdb_file_request::durability"][::core::mem::offset_of!(jdb_file_request, durability) - 8usize];
    ["Offset of field: jdb_file_request::fd"][::core::mem::offset_of!(jdb_file_request, fd) - 12usize];
    ["Offset of field: jdb_file_request::is_direct"][::core::mem::offset_of!(jdb_file_request, is_direct) - 16usize];
    ["Offset of field: jdb_file_request::rw_flags"][::core::mem::offset_of!(jdb_file_request, rw_flags) - 20usize];
    ["Offset of field: jdb_file_request::align"][::core::mem::offset_of!(jdb_file_request, align) - 24usize];
    ["Offset of field: jdb_file_request::sync"][::core::mem::offset_of!(jdb_file_request, sync) - 28usize];
    ["Offset of field: jdb_file_request::end_sync"][::core::mem::offset_of!(jdb_file_request, end_sync) - 32usize];
    ["Offset of field: jdb_file_request::reserved32"][::core::mem::offset_of!(jdb_file_request, reserved32) - 36usize];
    ["Offset of field: jdb_file_request::errors"][::core::mem::offset_of!(jdb_file_request, errors) - 40usize];
    ["Offset of field: jdb_file_request::reserved"][::core::mem::offset_of!(jdb_file_request, reserved) - 48usize];
};
unsafe extern "C" {
    pub fn jdb_file_begin_request(
        file: *mut jdb_file,
        views: *const jdb_raw,
        view_count: u32,
        offset: i64,
        request: *mut jdb_file_request,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_end_request(
        file: *mut jdb_file,
        request: *const jdb_file_request,
        write_err: ::core::ffi::c_int,
        sync_err: ::core::ffi::c_int,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_file_sync_directory(path: *const ::core::ffi::c_char) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_arena {
    _unused: [u8; 0],
}
pub type jdb_arena_progress =
    ::core::option::Option<unsafe extern "C" fn(context: *mut ::core::ffi::c_void, done: u64, total: u64) -> bool>;
pub type jdb_arena_foreign_release = ::core::option::Option<
    unsafe extern "C" fn(context: *mut ::core::ffi::c_void, ptr: *mut ::core::ffi::c_void, size: u64),
>;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_arena_options {
    pub size: u32,
    pub flags: u32,
    pub frame_size: u64,
    pub frame_align: u64,
    pub frame_count: u32,
    pub max_frame_count: u32,
    pub pages: u32,
    pub required: u32,
    pub numa_policy: u32,
    pub prefault_threads: u32,
    pub numa_nodes: [u64; 4usize],
    pub guard_size: u64,
    pub name: *const ::core::ffi::c_char,
    pub progress: jdb_arena_progress,
    pub progress_context: *mut ::core::ffi::c_void,
    pub foreign_ptr: *mut ::core::ffi::c_void,
    pub foreign_size: u64,
    pub foreign_release: jdb_arena_foreign_release,
    pub foreign_context: *mut ::core::ffi::c_void,
    pub report: *mut jdb_arena_report,
    pub reserved: [u64; 8usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_arena_options"][::core::mem::size_of::<jdb_arena_options>() - 216usize];
    ["Alignment of jdb_arena_options"][::core::mem::align_of::<jdb_arena_options>() - 8usize];
    ["Offset of field: jdb_arena_options::size"][::core::mem::offset_of!(jdb_arena_options, size) - 0usize];
    ["Offset of field: jdb_arena_options::flags"][::core::mem::offset_of!(jdb_arena_options, flags) - 4usize];
    ["Offset of field: jdb_arena_options::frame_size"][::core::mem::offset_of!(jdb_arena_options, frame_size) - 8usize];
    ["Offset of field: jdb_arena_options::frame_align"]
        [::core::mem::offset_of!(jdb_arena_options, frame_align) - 16usize];
    ["Offset of field: jdb_arena_options::frame_count"]
        [::core::mem::offset_of!(jdb_arena_options, frame_count) - 24usize];
    ["Offset of field: jdb_arena_options::max_frame_count"]
        [::core::mem::offset_of!(jdb_arena_options, max_frame_count) - 28usize];
    ["Offset of field: jdb_arena_options::pages"][::core::mem::offset_of!(jdb_arena_options, pages) - 32usize];
    ["Offset of field: jdb_arena_options::required"][::core::mem::offset_of!(jdb_arena_options, required) - 36usize];
    ["Offset of field: jdb_arena_options::numa_policy"]
        [::core::mem::offset_of!(jdb_arena_options, numa_policy) - 40usize];
    ["Offset of field: jdb_arena_options::prefault_threads"]
        [::core::mem::offset_of!(jdb_arena_options, prefault_threads) - 44usize];
    ["Offset of field: jdb_arena_options::numa_nodes"]
        [::core::mem::offset_of!(jdb_arena_options, numa_nodes) - 48usize];
    ["Offset of field: jdb_arena_options::guard_size"]
        [::core::mem::offset_of!(jdb_arena_options, guard_size) - 80usize];
    ["Offset of field: jdb_arena_options::name"][::core::mem::offset_of!(jdb_arena_options, name) - 88usize];
    ["Offset of field: jdb_arena_options::progress"][::core::mem::offset_of!(jdb_arena_options, progress) - 96usize];
    ["Offset of field: jdb_arena_options::progress_context"]
        [::core::mem::offset_of!(jdb_arena_options, progress_context) - 104usize];
    ["Offset of field: jdb_arena_options::foreign_ptr"]
        [::core::mem::offset_of!(jdb_arena_options, foreign_ptr) - 112usize];
    ["Offset of field: jdb_arena_options::foreign_size"]
        [::core::mem::offset_of!(jdb_arena_options, foreign_size) - 120usize];
    ["Offset of field: jdb_arena_options::foreign_release"]
        [::core::mem::offset_of!(jdb_arena_options, foreign_release) - 128usize];
    ["Offset of field: jdb_arena_options::foreign_context"]
        [::core::mem::offset_of!(jdb_arena_options, foreign_context) - 136usize];
    ["Offset of field: jdb_arena_options::report"][::core::mem::offset_of!(jdb_arena_options, report) - 144usize];
    ["Offset of field: jdb_arena_options::reserved"][::core::mem::offset_of!(jdb_arena_options, reserved) - 152usize];
};
impl Default for jdb_arena_options {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_arena_new(options: *const jdb_arena_options, ret_arena: *mut *mut jdb_arena) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_map_fd(
        options: *const jdb_arena_options,
        fd: ::core::ffi::c_int,
        ret_arena: *mut *mut jdb_arena,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_free(arena: *mut jdb_arena) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_base(arena: *const jdb_arena) -> *mut u8;
}
unsafe extern "C" {
    pub fn jdb_arena_frame_size(arena: *const jdb_arena) -> u64;
}
unsafe extern "C" {
    pub fn jdb_arena_stride(arena: *const jdb_arena) -> u64;
}
unsafe extern "C" {
    pub fn jdb_arena_frame_count(arena: *const jdb_arena) -> u32;
}
unsafe extern "C" {
    pub fn jdb_arena_max_frame_count(arena: *const jdb_arena) -> u32;
}
unsafe extern "C" {
    pub fn jdb_arena_size(arena: *const jdb_arena) -> u64;
}
unsafe extern "C" {
    pub fn jdb_arena_reserved_size(arena: *const jdb_arena) -> u64;
}
unsafe extern "C" {
    pub fn jdb_arena_frame_at(arena: *const jdb_arena, index: u32, ret_ptr: *mut *mut u8) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_index_of(
        arena: *const jdb_arena,
        ptr: *const ::core::ffi::c_void,
        ret_index: *mut u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_view(
        arena: *const jdb_arena,
        first: u32,
        count: u32,
        ret_view: *mut jdb_raw,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_grow(arena: *mut jdb_arena, frame_count: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_decommit(arena: *mut jdb_arena, first: u32, count: u32, ret_bytes: *mut u64)
    -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_hold(arena: *mut jdb_arena, offset: u64, size: u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_pin(
        arena: *mut jdb_arena,
        offset: u64,
        size: usize,
        ret_mark: *mut jdb_pin_mark,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_arena_pins {
    pub counts: *mut ::core::ffi::c_void,
    pub stride_shift: u32,
    pub reserved: [u32; 5usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_arena_pins"][::core::mem::size_of::<jdb_arena_pins>() - 32usize];
    ["Alignment of jdb_arena_pins"][::core::mem::align_of::<jdb_arena_pins>() - 8usize];
    ["Offset of field: jdb_arena_pins::counts"][::core::mem::offset_of!(jdb_arena_pins, counts) - 0usize];
    ["Offset of field: jdb_arena_pins::stride_shift"][::core::mem::offset_of!(jdb_arena_pins, stride_shift) - 8usize];
    ["Offset of field: jdb_arena_pins::reserved"][::core::mem::offset_of!(jdb_arena_pins, reserved) - 12usize];
};
impl Default for jdb_arena_pins {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_arena_get_pins(arena: *const jdb_arena, ret_pins: *mut jdb_arena_pins) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_unhold(arena: *mut jdb_arena, offset: u64, size: u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_fd(arena: *const jdb_arena) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_arena_item {
    pub name: *const ::core::ffi::c_char,
    pub reason: *const ::core::ffi::c_char,
    pub asked: u64,
    pub obtained: u64,
    pub err: i32,
    pub is_obtained: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_arena_item"][::core::mem::size_of::<jdb_arena_item>() - 40usize];
    ["Alignment of jdb_arena_item"][::core::mem::align_of::<jdb_arena_item>() - 8usize];
    ["Offset of field: jdb_arena_item::name"][::core::mem::offset_of!(jdb_arena_item, name) - 0usize];
    ["Offset of field: jdb_arena_item::reason"][::core::mem::offset_of!(jdb_arena_item, reason) - 8usize];
    ["Offset of field: jdb_arena_item::asked"][::core::mem::offset_of!(jdb_arena_item, asked) - 16usize];
    ["Offset of field: jdb_arena_item::obtained"][::core::mem::offset_of!(jdb_arena_item, obtained) - 24usize];
    ["Offset of field: jdb_arena_item::err"][::core::mem::offset_of!(jdb_arena_item, err) - 32usize];
    ["Offset of field: jdb_arena_item::is_obtained"][::core::mem::offset_of!(jdb_arena_item, is_obtained) - 36usize];
};
impl Default for jdb_arena_item {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_arena_report {
    pub size: u32,
    pub item_count: u32,
    pub usable_bytes: u64,
    pub reserved_bytes: u64,
    pub guard_bytes: u64,
    pub hugetlb_1g_bytes: u64,
    pub hugetlb_2m_bytes: u64,
    pub thp_bytes: u64,
    pub small_bytes: u64,
    pub resident_bytes: u64,
    pub locked_bytes: u64,
    pub held_bytes: u64,
    pub pinned_frames: u64,
    pub facts_err: u64,
    pub node_bytes: [u64; 64usize],
    pub other_node_bytes: u64,
    pub items: [jdb_arena_item; 8usize],
    pub mthp_size: u64,
    pub refused_reason: *const ::core::ffi::c_char,
    pub refused_frame_count: u32,
    pub refused_item: u32,
    pub refused_err: i32,
    pub reserved32: u32,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_arena_report"][::core::mem::size_of::<jdb_arena_report>() - 1008usize];
    ["Alignment of jdb_arena_report"][::core::mem::align_of::<jdb_arena_report>() - 8usize];
    ["Offset of field: jdb_arena_report::size"][::core::mem::offset_of!(jdb_arena_report, size) - 0usize];
    ["Offset of field: jdb_arena_report::item_count"][::core::mem::offset_of!(jdb_arena_report, item_count) - 4usize];
    ["Offset of field: jdb_arena_report::usable_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, usable_bytes) - 8usize];
    ["Offset of field: jdb_arena_report::reserved_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, reserved_bytes) - 16usize];
    ["Offset of field: jdb_arena_report::guard_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, guard_bytes) - 24usize];
    ["Offset of field: jdb_arena_report::hugetlb_1g_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, hugetlb_1g_bytes) - 32usize];
    ["Offset of field: jdb_arena_report::hugetlb_2m_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, hugetlb_2m_bytes) - 40usize];
    ["Offset of field: jdb_arena_report::thp_bytes"][::core::mem::offset_of!(jdb_arena_report, thp_bytes) - 48usize];
    ["Offset of field: jdb_arena_report::small_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, small_bytes) - 56usize];
    ["Offset of field: jdb_arena_report::resident_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, resident_bytes) - 64usize];
    ["Offset of field: jdb_arena_report::locked_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, locked_bytes) - 72usize];
    ["Offset of field: jdb_arena_report::held_bytes"][::core::mem::offset_of!(jdb_arena_report, held_bytes) - 80usize];
    ["Offset of field: jdb_arena_report::pinned_frames"]
        [::core::mem::offset_of!(jdb_arena_report, pinned_frames) - 88usize];
    ["Offset of field: jdb_arena_report::facts_err"][::core::mem::offset_of!(jdb_arena_report, facts_err) - 96usize];
    ["Offset of field: jdb_arena_report::node_bytes"][::core::mem::offset_of!(jdb_arena_report, node_bytes) - 104usize];
    ["Offset of field: jdb_arena_report::other_node_bytes"]
        [::core::mem::offset_of!(jdb_arena_report, other_node_bytes) - 616usize];
    ["Offset of field: jdb_arena_report::items"][::core::mem::offset_of!(jdb_arena_report, items) - 624usize];
    ["Offset of field: jdb_arena_report::mthp_size"][::core::mem::offset_of!(jdb_arena_report, mthp_size) - 944usize];
    ["Offset of field: jdb_arena_report::refused_reason"]
        [::core::mem::offset_of!(jdb_arena_report, refused_reason) - 952usize];
    ["Offset of field: jdb_arena_report::refused_frame_count"]
        [::core::mem::offset_of!(jdb_arena_report, refused_frame_count) - 960usize];
    ["Offset of field: jdb_arena_report::refused_item"]
        [::core::mem::offset_of!(jdb_arena_report, refused_item) - 964usize];
    ["Offset of field: jdb_arena_report::refused_err"]
        [::core::mem::offset_of!(jdb_arena_report, refused_err) - 968usize];
    ["Offset of field: jdb_arena_report::reserved32"][::core::mem::offset_of!(jdb_arena_report, reserved32) - 972usize];
    ["Offset of field: jdb_arena_report::reserved"][::core::mem::offset_of!(jdb_arena_report, reserved) - 976usize];
};
impl Default for jdb_arena_report {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_arena_get_report(arena: *const jdb_arena, report: *mut jdb_arena_report) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_arena_report_format(
        report: *const jdb_arena_report,
        text: *mut ::core::ffi::c_char,
        text_size: usize,
    ) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_pool {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_budget {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_frame {
    pub ptr: *mut u8,
    pub index: u32,
    pub gen_: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_frame"][::core::mem::size_of::<jdb_frame>() - 16usize];
    ["Alignment of jdb_frame"][::core::mem::align_of::<jdb_frame>() - 8usize];
    ["Offset of field: jdb_frame::ptr"][::core::mem::offset_of!(jdb_frame, ptr) - 0usize];
    ["Offset of field: jdb_frame::index"][::core::mem::offset_of!(jdb_frame, index) - 8usize];
    ["Offset of field: jdb_frame::gen_"][::core::mem::offset_of!(jdb_frame, gen_) - 12usize];
};
impl Default for jdb_frame {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_pool_options {
    pub size: u32,
    pub zero_policy: u32,
    pub thread_frames: u32,
    pub user_size: u32,
    pub on_pressure: ::core::option::Option<
        unsafe extern "C" fn(pool: *mut jdb_pool, frame_count: u32, user: *mut ::core::ffi::c_void),
    >,
    pub pressure_user: *mut ::core::ffi::c_void,
    pub grow_frames: u32,
    pub budget: *mut jdb_budget,
    pub reserved: [u32; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_pool_options"][::core::mem::size_of::<jdb_pool_options>() - 64usize];
    ["Alignment of jdb_pool_options"][::core::mem::align_of::<jdb_pool_options>() - 8usize];
    ["Offset of field: jdb_pool_options::size"][::core::mem::offset_of!(jdb_pool_options, size) - 0usize];
    ["Offset of field: jdb_pool_options::zero_policy"][::core::mem::offset_of!(jdb_pool_options, zero_policy) - 4usize];
    ["Offset of field: jdb_pool_options::thread_frames"]
        [::core::mem::offset_of!(jdb_pool_options, thread_frames) - 8usize];
    ["Offset of field: jdb_pool_options::user_size"][::core::mem::offset_of!(jdb_pool_options, user_size) - 12usize];
    ["Offset of field: jdb_pool_options::on_pressure"]
        [::core::mem::offset_of!(jdb_pool_options, on_pressure) - 16usize];
    ["Offset of field: jdb_pool_options::pressure_user"]
        [::core::mem::offset_of!(jdb_pool_options, pressure_user) - 24usize];
    ["Offset of field: jdb_pool_options::grow_frames"]
        [::core::mem::offset_of!(jdb_pool_options, grow_frames) - 32usize];
    ["Offset of field: jdb_pool_options::budget"][::core::mem::offset_of!(jdb_pool_options, budget) - 40usize];
    ["Offset of field: jdb_pool_options::reserved"][::core::mem::offset_of!(jdb_pool_options, reserved) - 48usize];
};
impl Default for jdb_pool_options {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_pool_new(
        arena: *mut jdb_arena,
        options: *const jdb_pool_options,
        ret_pool: *mut *mut jdb_pool,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_extend(pool: *mut jdb_pool, ret_frame_count: *mut u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_user(pool: *const jdb_pool, index: u32) -> *mut ::core::ffi::c_void;
}
unsafe extern "C" {
    pub fn jdb_pool_free(pool: *mut jdb_pool) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_trim(pool: *mut jdb_pool, keep_count: u32, ret_bytes: *mut u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_next_lent(pool: *const jdb_pool, cursor: *mut u32, ret_frame: *mut jdb_frame) -> bool;
}
unsafe extern "C" {
    pub fn jdb_pool_get(pool: *mut jdb_pool, ret_frame: *mut jdb_frame) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_get_n(pool: *mut jdb_pool, frame_count: u32, ret_frames: *mut jdb_frame) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_view(pool: *const jdb_pool, frame: jdb_frame) -> jdb_raw;
}
unsafe extern "C" {
    pub fn jdb_pool_put(pool: *mut jdb_pool, frame: jdb_frame) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_put_n(pool: *mut jdb_pool, frames: *const jdb_frame, frame_count: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_recycle(pool: *mut jdb_pool, old: jdb_frame, ret_frame: *mut jdb_frame) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_get_run(pool: *mut jdb_pool, frame_count: u32, ret_frames: *mut jdb_frame) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_put_run(pool: *mut jdb_pool, frames: *const jdb_frame, frame_count: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_view_run(pool: *const jdb_pool, frames: *const jdb_frame, frame_count: u32) -> jdb_raw;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_pool_owner {
    _unused: [u8; 0],
}
unsafe extern "C" {
    pub fn jdb_pool_owner_new(
        pool: *mut jdb_pool,
        max_frame_count: u32,
        ret_owner: *mut *mut jdb_pool_owner,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_owner_free(owner: *mut jdb_pool_owner) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_owner_set_max(owner: *mut jdb_pool_owner, max_frame_count: u32) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_owner_get(
        owner: *mut jdb_pool_owner,
        frame_count: u32,
        ret_frames: *mut jdb_frame,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_owner_take(
        owner: *mut jdb_pool_owner,
        frames: *const jdb_frame,
        frame_count: u32,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_owner_next(owner: *const jdb_pool_owner, cursor: *mut u32, ret_frame: *mut jdb_frame) -> bool;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_pool_owner_stats {
    pub size: u32,
    pub frame_count: u32,
    pub max_frame_count: u32,
    pub peak_count: u32,
    pub got_count: u64,
    pub refused_count: u64,
    pub reserved: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_pool_owner_stats"][::core::mem::size_of::<jdb_pool_owner_stats>() - 64usize];
    ["Alignment of jdb_pool_owner_stats"][::core::mem::align_of::<jdb_pool_owner_stats>() - 8usize];
    ["Offset of field: jdb_pool_owner_stats::size"][::core::mem::offset_of!(jdb_pool_owner_stats, size) - 0usize];
    ["Offset of field: jdb_pool_owner_stats::frame_count"]
        [::core::mem::offset_of!(jdb_pool_owner_stats, frame_count) - 4usize];
    ["Offset of field: jdb_pool_owner_stats::max_frame_count"]
        [::core::mem::offset_of!(jdb_pool_owner_stats, max_frame_count) - 8usize];
    ["Offset of field: jdb_pool_owner_stats::peak_count"]
        [::core::mem::offset_of!(jdb_pool_owner_stats, peak_count) - 12usize];
    ["Offset of field: jdb_pool_owner_stats::got_count"]
        [::core::mem::offset_of!(jdb_pool_owner_stats, got_count) - 16usize];
    ["Offset of field: jdb_pool_owner_stats::refused_count"]
        [::core::mem::offset_of!(jdb_pool_owner_stats, refused_count) - 24usize];
    ["Offset of field: jdb_pool_owner_stats::reserved"]
        [::core::mem::offset_of!(jdb_pool_owner_stats, reserved) - 32usize];
};
unsafe extern "C" {
    pub fn jdb_pool_owner_get_stats(
        owner: *const jdb_pool_owner,
        stats: *mut jdb_pool_owner_stats,
    ) -> ::core::ffi::c_int;
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
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_pool_wait {
    pub on_frames: ::core::option::Option<unsafe extern "C" fn(wait: *mut jdb_pool_wait)>,
    pub user: *mut ::core::ffi::c_void,
    pub frames: *mut jdb_frame,
    pub next: *mut jdb_pool_wait,
    pub previous: *mut jdb_pool_wait,
    pub frame_count: u32,
    pub state: u32,
    pub is_cancelled: u32,
    pub reserved32: u32,
    pub token: u64,
    pub reserved: [u64; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_pool_wait"][::core::mem::size_of::<jdb_pool_wait>() - 88usize];
    ["Alignment of jdb_pool_wait"][::core::mem::align_of::<jdb_pool_wait>() - 8usize];
    ["Offset of field: jdb_pool_wait::on_frames"][::core::mem::offset_of!(jdb_pool_wait, on_frames) - 0usize];
    ["Offset of field: jdb_pool_wait::user"][::core::mem::offset_of!(jdb_pool_wait, user) - 8usize];
    ["Offset of field: jdb_pool_wait::frames"][::core::mem::offset_of!(jdb_pool_wait, frames) - 16usize];
    ["Offset of field: jdb_pool_wait::next"][::core::mem::offset_of!(jdb_pool_wait, next) - 24usize];
    ["Offset of field: jdb_pool_wait::previous"][::core::mem::offset_of!(jdb_pool_wait, previous) - 32usize];
    ["Offset of field: jdb_pool_wait::frame_count"][::core::mem::offset_of!(jdb_pool_wait, frame_count) - 40usize];
    ["Offset of field: jdb_pool_wait::state"][::core::mem::offset_of!(jdb_pool_wait, state) - 44usize];
    ["Offset of field: jdb_pool_wait::is_cancelled"][::core::mem::offset_of!(jdb_pool_wait, is_cancelled) - 48usize];
    ["Offset of field: jdb_pool_wait::reserved32"][::core::mem::offset_of!(jdb_pool_wait, reserved32) - 52usize];
    ["Offset of field: jdb_pool_wait::token"][::core::mem::offset_of!(jdb_pool_wait, token) - 56usize];
    ["Offset of field: jdb_pool_wait::reserved"][::core::mem::offset_of!(jdb_pool_wait, reserved) - 64usize];
};
impl Default for jdb_pool_wait {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_clock_ns() -> u64;
}
unsafe extern "C" {
    pub fn jdb_pool_get_wait(
        pool: *mut jdb_pool,
        frame_count: u32,
        deadline_ns: u64,
        wait: *mut jdb_pool_wait,
        ret_frames: *mut jdb_frame,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_wait_init(
        wait: *mut jdb_pool_wait,
        on_frames: ::core::option::Option<unsafe extern "C" fn(wait: *mut jdb_pool_wait)>,
        user: *mut ::core::ffi::c_void,
    );
}
unsafe extern "C" {
    pub fn jdb_pool_wait_start(
        pool: *mut jdb_pool,
        wait: *mut jdb_pool_wait,
        frame_count: u32,
        ret_frames: *mut jdb_frame,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_pool_wait_cancel(pool: *mut jdb_pool, wait: *mut jdb_pool_wait) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_pool_stats {
    pub size: u32,
    pub frame_count: u32,
    pub lent_count: u32,
    pub cached_count: u32,
    pub thread_count: u32,
    pub waiter_count: u32,
    pub got_count: u64,
    pub put_count: u64,
    pub empty_count: u64,
    pub refused_count: u64,
    pub batch_count: u64,
    pub steal_count: u64,
    pub wait_count: u64,
    pub timeout_count: u64,
    pub cancel_count: u64,
    pub lateness_max_ns: u64,
    pub aside_count: u64,
    pub recycle_count: u64,
    pub grow_count: u64,
    pub grow_err: u64,
    pub pressure_count: u64,
    pub run_count: u64,
    pub fragmented_count: u64,
    pub bare_count: u64,
    pub grow_wanted_count: u64,
    pub far_count: u64,
    pub reserved: [u64; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_pool_stats"][::core::mem::size_of::<jdb_pool_stats>() - 208usize];
    ["Alignment of jdb_pool_stats"][::core::mem::align_of::<jdb_pool_stats>() - 8usize];
    ["Offset of field: jdb_pool_stats::size"][::core::mem::offset_of!(jdb_pool_stats, size) - 0usize];
    ["Offset of field: jdb_pool_stats::frame_count"][::core::mem::offset_of!(jdb_pool_stats, frame_count) - 4usize];
    ["Offset of field: jdb_pool_stats::lent_count"][::core::mem::offset_of!(jdb_pool_stats, lent_count) - 8usize];
    ["Offset of field: jdb_pool_stats::cached_count"][::core::mem::offset_of!(jdb_pool_stats, cached_count) - 12usize];
    ["Offset of field: jdb_pool_stats::thread_count"][::core::mem::offset_of!(jdb_pool_stats, thread_count) - 16usize];
    ["Offset of field: jdb_pool_stats::waiter_count"][::core::mem::offset_of!(jdb_pool_stats, waiter_count) - 20usize];
    ["Offset of field: jdb_pool_stats::got_count"][::core::mem::offset_of!(jdb_pool_stats, got_count) - 24usize];
    ["Offset of field: jdb_pool_stats::put_count"][::core::mem::offset_of!(jdb_pool_stats, put_count) - 32usize];
    ["Offset of field: jdb_pool_stats::empty_count"][::core::mem::offset_of!(jdb_pool_stats, empty_count) - 40usize];
    ["Offset of field: jdb_pool_stats::refused_count"]
        [::core::mem::offset_of!(jdb_pool_stats, refused_count) - 48usize];
    ["Offset of field: jdb_pool_stats::batch_count"][::core::mem::offset_of!(jdb_pool_stats, batch_count) - 56usize];
    ["Offset of field: jdb_pool_stats::steal_count"][::core::mem::offset_of!(jdb_pool_stats, steal_count) - 64usize];
    ["Offset of field: jdb_pool_stats::wait_count"][::core::mem::offset_of!(jdb_pool_stats, wait_count) - 72usize];
    ["Offset of field: jdb_pool_stats::timeout_count"]
        [::core::mem::offset_of!(jdb_pool_stats, timeout_count) - 80usize];
    ["Offset of field: jdb_pool_stats::cancel_count"][::core::mem::offset_of!(jdb_pool_stats, cancel_count) - 88usize];
    ["Offset of field: jdb_pool_stats::lateness_max_ns"]
        [::core::mem::offset_of!(jdb_pool_stats, lateness_max_ns) - 96usize];
    ["Offset of field: jdb_pool_stats::aside_count"][::core::mem::offset_of!(jdb_pool_stats, aside_count) - 104usize];
    ["Offset of field: jdb_pool_stats::recycle_count"]
        [::core::mem::offset_of!(jdb_pool_stats, recycle_count) - 112usize];
    ["Offset of field: jdb_pool_stats::grow_count"][::core::mem::offset_of!(jdb_pool_stats, grow_count) - 120usize];
    ["Offset of field: jdb_pool_stats::grow_err"][::core::mem::offset_of!(jdb_pool_stats, grow_err) - 128usize];
    ["Offset of field: jdb_pool_stats::pressure_count"]
        [::core::mem::offset_of!(jdb_pool_stats, pressure_count) - 136usize];
    ["Offset of field: jdb_pool_stats::run_count"][::core::mem::offset_of!(jdb_pool_stats, run_count) - 144usize];
    ["Offset of field: jdb_pool_stats::fragmented_count"]
        [::core::mem::offset_of!(jdb_pool_stats, fragmented_count) - 152usize];
    ["Offset of field: jdb_pool_stats::bare_count"][::core::mem::offset_of!(jdb_pool_stats, bare_count) - 160usize];
    ["Offset of field: jdb_pool_stats::grow_wanted_count"]
        [::core::mem::offset_of!(jdb_pool_stats, grow_wanted_count) - 168usize];
    ["Offset of field: jdb_pool_stats::far_count"][::core::mem::offset_of!(jdb_pool_stats, far_count) - 176usize];
    ["Offset of field: jdb_pool_stats::reserved"][::core::mem::offset_of!(jdb_pool_stats, reserved) - 184usize];
};
unsafe extern "C" {
    pub fn jdb_pool_get_stats(pool: *mut jdb_pool, stats: *mut jdb_pool_stats) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_engine_io {
    pub file: *mut jdb_file,
    pub view: jdb_raw,
    pub offset: i64,
    pub is_write: u32,
    pub is_eof: u32,
    pub err: i32,
    pub state: u32,
    pub done_size: u64,
    pub direct_size: u64,
    pub next: *mut jdb_engine_io,
    pub engine_data: *mut ::core::ffi::c_void,
    pub uncached_size: u64,
    pub reserved: [u64; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_engine_io"][::core::mem::size_of::<jdb_engine_io>() - 120usize];
    ["Alignment of jdb_engine_io"][::core::mem::align_of::<jdb_engine_io>() - 8usize];
    ["Offset of field: jdb_engine_io::file"][::core::mem::offset_of!(jdb_engine_io, file) - 0usize];
    ["Offset of field: jdb_engine_io::view"][::core::mem::offset_of!(jdb_engine_io, view) - 8usize];
    ["Offset of field: jdb_engine_io::offset"][::core::mem::offset_of!(jdb_engine_io, offset) - 32usize];
    ["Offset of field: jdb_engine_io::is_write"][::core::mem::offset_of!(jdb_engine_io, is_write) - 40usize];
    ["Offset of field: jdb_engine_io::is_eof"][::core::mem::offset_of!(jdb_engine_io, is_eof) - 44usize];
    ["Offset of field: jdb_engine_io::err"][::core::mem::offset_of!(jdb_engine_io, err) - 48usize];
    ["Offset of field: jdb_engine_io::state"][::core::mem::offset_of!(jdb_engine_io, state) - 52usize];
    ["Offset of field: jdb_engine_io::done_size"][::core::mem::offset_of!(jdb_engine_io, done_size) - 56usize];
    ["Offset of field: jdb_engine_io::direct_size"][::core::mem::offset_of!(jdb_engine_io, direct_size) - 64usize];
    ["Offset of field: jdb_engine_io::next"][::core::mem::offset_of!(jdb_engine_io, next) - 72usize];
    ["Offset of field: jdb_engine_io::engine_data"][::core::mem::offset_of!(jdb_engine_io, engine_data) - 80usize];
    ["Offset of field: jdb_engine_io::uncached_size"][::core::mem::offset_of!(jdb_engine_io, uncached_size) - 88usize];
    ["Offset of field: jdb_engine_io::reserved"][::core::mem::offset_of!(jdb_engine_io, reserved) - 96usize];
};
impl Default for jdb_engine_io {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub const JDB_ENGINE_AUTO: _bindgen_ty_10 = 0;
pub const JDB_ENGINE_SYNCHRONOUS: _bindgen_ty_10 = 1;
pub const JDB_ENGINE_THREADS: _bindgen_ty_10 = 2;
pub const JDB_ENGINE_URING: _bindgen_ty_10 = 3;
pub const JDB_ENGINE_OTHER: _bindgen_ty_10 = 4;
pub type _bindgen_ty_10 = ::core::ffi::c_uint;
pub const JDB_ENGINE_ONE_THREAD: _bindgen_ty_11 = 1;
pub type _bindgen_ty_11 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_engine_options {
    pub size: u32,
    pub kind: u32,
    pub depth: u32,
    pub flags: u32,
    pub reserved: [u64; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_engine_options"][::core::mem::size_of::<jdb_engine_options>() - 64usize];
    ["Alignment of jdb_engine_options"][::core::mem::align_of::<jdb_engine_options>() - 8usize];
    ["Offset of field: jdb_engine_options::size"][::core::mem::offset_of!(jdb_engine_options, size) - 0usize];
    ["Offset of field: jdb_engine_options::kind"][::core::mem::offset_of!(jdb_engine_options, kind) - 4usize];
    ["Offset of field: jdb_engine_options::depth"][::core::mem::offset_of!(jdb_engine_options, depth) - 8usize];
    ["Offset of field: jdb_engine_options::flags"][::core::mem::offset_of!(jdb_engine_options, flags) - 12usize];
    ["Offset of field: jdb_engine_options::reserved"][::core::mem::offset_of!(jdb_engine_options, reserved) - 16usize];
};
unsafe extern "C" {
    pub fn jdb_engine_open(options: *const jdb_engine_options, ret_engine: *mut *mut jdb_engine) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_close(engine: *mut jdb_engine) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_abandon(engine: *mut jdb_engine, deadline_ns: u64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_kind(engine: *const jdb_engine) -> u32;
}
unsafe extern "C" {
    pub fn jdb_engine_depth(engine: *const jdb_engine) -> u32;
}
unsafe extern "C" {
    pub fn jdb_engine_reason(engine: *const jdb_engine) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_engine_in_flight(engine: *const jdb_engine) -> u64;
}
unsafe extern "C" {
    pub fn jdb_engine_kind_name(kind: u32) -> *const ::core::ffi::c_char;
}
unsafe extern "C" {
    pub fn jdb_engine_start(engine: *mut jdb_engine, io: *mut jdb_engine_io) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_is_complete(io: *const jdb_engine_io) -> bool;
}
unsafe extern "C" {
    pub fn jdb_engine_wait(engine: *mut jdb_engine, io: *mut jdb_engine_io) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_wait_any(
        engine: *mut jdb_engine,
        ios: *const *mut jdb_engine_io,
        count: usize,
        deadline_ns: u64,
        ret_io: *mut *mut jdb_engine_io,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_cancel(engine: *mut jdb_engine, io: *mut jdb_engine_io) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_add_arena(engine: *mut jdb_engine, arena: *mut jdb_arena) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_remove_arena(engine: *mut jdb_engine, arena: *mut jdb_arena) -> ::core::ffi::c_int;
}
pub const JDB_STREAM_BACKWARD: _bindgen_ty_12 = 1;
pub const JDB_STREAM_READ_HOLES: _bindgen_ty_12 = 2;
pub const JDB_STREAM_PADDED: _bindgen_ty_12 = 4;
pub type _bindgen_ty_12 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_stream_options {
    pub size: u32,
    pub flags: u32,
    pub offset: i64,
    pub frame_size: u64,
    pub frame_count: u32,
    pub durability: u32,
    pub engine: *mut jdb_engine,
    pub pool: *mut jdb_pool,
    pub preallocate_size: u64,
    pub reserved: [u64; 7usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_stream_options"][::core::mem::size_of::<jdb_stream_options>() - 112usize];
    ["Alignment of jdb_stream_options"][::core::mem::align_of::<jdb_stream_options>() - 8usize];
    ["Offset of field: jdb_stream_options::size"][::core::mem::offset_of!(jdb_stream_options, size) - 0usize];
    ["Offset of field: jdb_stream_options::flags"][::core::mem::offset_of!(jdb_stream_options, flags) - 4usize];
    ["Offset of field: jdb_stream_options::offset"][::core::mem::offset_of!(jdb_stream_options, offset) - 8usize];
    ["Offset of field: jdb_stream_options::frame_size"]
        [::core::mem::offset_of!(jdb_stream_options, frame_size) - 16usize];
    ["Offset of field: jdb_stream_options::frame_count"]
        [::core::mem::offset_of!(jdb_stream_options, frame_count) - 24usize];
    ["Offset of field: jdb_stream_options::durability"]
        [::core::mem::offset_of!(jdb_stream_options, durability) - 28usize];
    ["Offset of field: jdb_stream_options::engine"][::core::mem::offset_of!(jdb_stream_options, engine) - 32usize];
    ["Offset of field: jdb_stream_options::pool"][::core::mem::offset_of!(jdb_stream_options, pool) - 40usize];
    ["Offset of field: jdb_stream_options::preallocate_size"]
        [::core::mem::offset_of!(jdb_stream_options, preallocate_size) - 48usize];
    ["Offset of field: jdb_stream_options::reserved"][::core::mem::offset_of!(jdb_stream_options, reserved) - 56usize];
};
impl Default for jdb_stream_options {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_reader {
    _unused: [u8; 0],
}
unsafe extern "C" {
    pub fn jdb_reader_open(
        file: *mut jdb_file,
        options: *const jdb_stream_options,
        ret_reader: *mut *mut jdb_reader,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_close(reader: *mut jdb_reader) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_stream_view {
    pub ptr: *const u8,
    pub len: usize,
    pub offset: i64,
    pub is_hole: u32,
    pub slot: u32,
    pub serial: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_stream_view"][::core::mem::size_of::<jdb_stream_view>() - 40usize];
    ["Alignment of jdb_stream_view"][::core::mem::align_of::<jdb_stream_view>() - 8usize];
    ["Offset of field: jdb_stream_view::ptr"][::core::mem::offset_of!(jdb_stream_view, ptr) - 0usize];
    ["Offset of field: jdb_stream_view::len"][::core::mem::offset_of!(jdb_stream_view, len) - 8usize];
    ["Offset of field: jdb_stream_view::offset"][::core::mem::offset_of!(jdb_stream_view, offset) - 16usize];
    ["Offset of field: jdb_stream_view::is_hole"][::core::mem::offset_of!(jdb_stream_view, is_hole) - 24usize];
    ["Offset of field: jdb_stream_view::slot"][::core::mem::offset_of!(jdb_stream_view, slot) - 28usize];
    ["Offset of field: jdb_stream_view::serial"][::core::mem::offset_of!(jdb_stream_view, serial) - 32usize];
};
impl Default for jdb_stream_view {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_reader_next(
        reader: *mut jdb_reader,
        max_size: usize,
        ret_view: *mut jdb_stream_view,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_release(reader: *mut jdb_reader, view: *const jdb_stream_view) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_take(
        reader: *mut jdb_reader,
        view: *const jdb_stream_view,
        ret_frame: *mut jdb_frame,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_pool(reader: *const jdb_reader) -> *mut jdb_pool;
}
unsafe extern "C" {
    pub fn jdb_reader_read(reader: *mut jdb_reader, view: *mut jdb_raw) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_peek(reader: *mut jdb_reader, view: *mut jdb_raw) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_seek(reader: *mut jdb_reader, offset: i64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_reader_offset(reader: *const jdb_reader) -> i64;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_reader_stats {
    pub size: u32,
    pub frame_count: u32,
    pub window_size: u64,
    pub request_count: u64,
    pub hit_count: u64,
    pub wait_count: u64,
    pub wait_ns: u64,
    pub read_bytes: u64,
    pub direct_bytes: u64,
    pub used_bytes: u64,
    pub unused_bytes: u64,
    pub hole_bytes: u64,
    pub seek_count: u64,
    pub reserved: [u64; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_reader_stats"][::core::mem::size_of::<jdb_reader_stats>() - 144usize];
    ["Alignment of jdb_reader_stats"][::core::mem::align_of::<jdb_reader_stats>() - 8usize];
    ["Offset of field: jdb_reader_stats::size"][::core::mem::offset_of!(jdb_reader_stats, size) - 0usize];
    ["Offset of field: jdb_reader_stats::frame_count"][::core::mem::offset_of!(jdb_reader_stats, frame_count) - 4usize];
    ["Offset of field: jdb_reader_stats::window_size"][::core::mem::offset_of!(jdb_reader_stats, window_size) - 8usize];
    ["Offset of field: jdb_reader_stats::request_count"]
        [::core::mem::offset_of!(jdb_reader_stats, request_count) - 16usize];
    ["Offset of field: jdb_reader_stats::hit_count"][::core::mem::offset_of!(jdb_reader_stats, hit_count) - 24usize];
    ["Offset of field: jdb_reader_stats::wait_count"][::core::mem::offset_of!(jdb_reader_stats, wait_count) - 32usize];
    ["Offset of field: jdb_reader_stats::wait_ns"][::core::mem::offset_of!(jdb_reader_stats, wait_ns) - 40usize];
    ["Offset of field: jdb_reader_stats::read_bytes"][::core::mem::offset_of!(jdb_reader_stats, read_bytes) - 48usize];
    ["Offset of field: jdb_reader_stats::direct_bytes"]
        [::core::mem::offset_of!(jdb_reader_stats, direct_bytes) - 56usize];
    ["Offset of field: jdb_reader_stats::used_bytes"][::core::mem::offset_of!(jdb_reader_stats, used_bytes) - 64usize];
    ["Offset of field: jdb_reader_stats::unused_bytes"]
        [::core::mem::offset_of!(jdb_reader_stats, unused_bytes) - 72usize];
    ["Offset of field: jdb_reader_stats::hole_bytes"][::core::mem::offset_of!(jdb_reader_stats, hole_bytes) - 80usize];
    ["Offset of field: jdb_reader_stats::seek_count"][::core::mem::offset_of!(jdb_reader_stats, seek_count) - 88usize];
    ["Offset of field: jdb_reader_stats::reserved"][::core::mem::offset_of!(jdb_reader_stats, reserved) - 96usize];
};
unsafe extern "C" {
    pub fn jdb_reader_get_stats(reader: *const jdb_reader, stats: *mut jdb_reader_stats) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_writer {
    _unused: [u8; 0],
}
unsafe extern "C" {
    pub fn jdb_writer_open(
        file: *mut jdb_file,
        options: *const jdb_stream_options,
        ret_writer: *mut *mut jdb_writer,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_writer_append(writer: *mut jdb_writer, view: jdb_raw, ret_offset: *mut i64) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_writer_lend(writer: *mut jdb_writer, ret_view: *mut jdb_raw) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_writer_commit(writer: *mut jdb_writer, size: usize) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_writer_flush(writer: *mut jdb_writer) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_writer_sync(writer: *mut jdb_writer) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_writer_close(writer: *mut jdb_writer) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_writer_status {
    pub size: u32,
    pub err: i32,
    pub end: i64,
    pub written_end: i64,
    pub durable_end: i64,
    pub preallocate_err: i32,
    pub reserved32: u32,
    pub request_count: u64,
    pub wait_count: u64,
    pub sync_count: u64,
    pub group_count: u64,
    pub rewritten_size: u64,
    pub reserved: [u64; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_writer_status"][::core::mem::size_of::<jdb_writer_status>() - 128usize];
    ["Alignment of jdb_writer_status"][::core::mem::align_of::<jdb_writer_status>() - 8usize];
    ["Offset of field: jdb_writer_status::size"][::core::mem::offset_of!(jdb_writer_status, size) - 0usize];
    ["Offset of field: jdb_writer_status::err"][::core::mem::offset_of!(jdb_writer_status, err) - 4usize];
    ["Offset of field: jdb_writer_status::end"][::core::mem::offset_of!(jdb_writer_status, end) - 8usize];
    ["Offset of field: jdb_writer_status::written_end"]
        [::core::mem::offset_of!(jdb_writer_status, written_end) - 16usize];
    ["Offset of field: jdb_writer_status::durable_end"]
        [::core::mem::offset_of!(jdb_writer_status, durable_end) - 24usize];
    ["Offset of field: jdb_writer_status::preallocate_err"]
        [::core::mem::offset_of!(jdb_writer_status, preallocate_err) - 32usize];
    ["Offset of field: jdb_writer_status::reserved32"]
        [::core::mem::offset_of!(jdb_writer_status, reserved32) - 36usize];
    ["Offset of field: jdb_writer_status::request_count"]
        [::core::mem::offset_of!(jdb_writer_status, request_count) - 40usize];
    ["Offset of field: jdb_writer_status::wait_count"]
        [::core::mem::offset_of!(jdb_writer_status, wait_count) - 48usize];
    ["Offset of field: jdb_writer_status::sync_count"]
        [::core::mem::offset_of!(jdb_writer_status, sync_count) - 56usize];
    ["Offset of field: jdb_writer_status::group_count"]
        [::core::mem::offset_of!(jdb_writer_status, group_count) - 64usize];
    ["Offset of field: jdb_writer_status::rewritten_size"]
        [::core::mem::offset_of!(jdb_writer_status, rewritten_size) - 72usize];
    ["Offset of field: jdb_writer_status::reserved"][::core::mem::offset_of!(jdb_writer_status, reserved) - 80usize];
};
unsafe extern "C" {
    pub fn jdb_writer_get_status(writer: *mut jdb_writer, status: *mut jdb_writer_status) -> ::core::ffi::c_int;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct jdb_engine_calls {
    pub size: u32,
    pub kind: u32,
    pub start: ::core::option::Option<
        unsafe extern "C" fn(engine: *mut jdb_engine, io: *mut jdb_engine_io) -> ::core::ffi::c_int,
    >,
    pub wait: ::core::option::Option<unsafe extern "C" fn(engine: *mut jdb_engine, io: *mut jdb_engine_io)>,
    pub cancel: ::core::option::Option<unsafe extern "C" fn(engine: *mut jdb_engine, io: *mut jdb_engine_io)>,
    pub add_arena: ::core::option::Option<
        unsafe extern "C" fn(engine: *mut jdb_engine, arena: *mut jdb_arena) -> ::core::ffi::c_int,
    >,
    pub remove_arena: ::core::option::Option<
        unsafe extern "C" fn(engine: *mut jdb_engine, arena: *mut jdb_arena) -> ::core::ffi::c_int,
    >,
    pub close: ::core::option::Option<unsafe extern "C" fn(engine: *mut jdb_engine)>,
    pub wait_any: ::core::option::Option<
        unsafe extern "C" fn(
            engine: *mut jdb_engine,
            ios: *const *mut jdb_engine_io,
            count: usize,
            deadline_ns: u64,
        ) -> ::core::ffi::c_int,
    >,
    pub abandon:
        ::core::option::Option<unsafe extern "C" fn(engine: *mut jdb_engine, deadline_ns: u64) -> ::core::ffi::c_int>,
    pub reserved: [u64; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_engine_calls"][::core::mem::size_of::<jdb_engine_calls>() - 120usize];
    ["Alignment of jdb_engine_calls"][::core::mem::align_of::<jdb_engine_calls>() - 8usize];
    ["Offset of field: jdb_engine_calls::size"][::core::mem::offset_of!(jdb_engine_calls, size) - 0usize];
    ["Offset of field: jdb_engine_calls::kind"][::core::mem::offset_of!(jdb_engine_calls, kind) - 4usize];
    ["Offset of field: jdb_engine_calls::start"][::core::mem::offset_of!(jdb_engine_calls, start) - 8usize];
    ["Offset of field: jdb_engine_calls::wait"][::core::mem::offset_of!(jdb_engine_calls, wait) - 16usize];
    ["Offset of field: jdb_engine_calls::cancel"][::core::mem::offset_of!(jdb_engine_calls, cancel) - 24usize];
    ["Offset of field: jdb_engine_calls::add_arena"][::core::mem::offset_of!(jdb_engine_calls, add_arena) - 32usize];
    ["Offset of field: jdb_engine_calls::remove_arena"]
        [::core::mem::offset_of!(jdb_engine_calls, remove_arena) - 40usize];
    ["Offset of field: jdb_engine_calls::close"][::core::mem::offset_of!(jdb_engine_calls, close) - 48usize];
    ["Offset of field: jdb_engine_calls::wait_any"][::core::mem::offset_of!(jdb_engine_calls, wait_any) - 56usize];
    ["Offset of field: jdb_engine_calls::abandon"][::core::mem::offset_of!(jdb_engine_calls, abandon) - 64usize];
    ["Offset of field: jdb_engine_calls::reserved"][::core::mem::offset_of!(jdb_engine_calls, reserved) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct jdb_engine {
    pub calls: *const jdb_engine_calls,
    pub mark: u64,
    pub depth: u32,
    pub stream_count: u32,
    pub in_flight_count: u64,
    pub reserved: [u64; 6usize],
    pub reason: [::core::ffi::c_char; 160usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of jdb_engine"][::core::mem::size_of::<jdb_engine>() - 240usize];
    ["Alignment of jdb_engine"][::core::mem::align_of::<jdb_engine>() - 8usize];
    ["Offset of field: jdb_engine::calls"][::core::mem::offset_of!(jdb_engine, calls) - 0usize];
    ["Offset of field: jdb_engine::mark"][::core::mem::offset_of!(jdb_engine, mark) - 8usize];
    ["Offset of field: jdb_engine::depth"][::core::mem::offset_of!(jdb_engine, depth) - 16usize];
    ["Offset of field: jdb_engine::stream_count"][::core::mem::offset_of!(jdb_engine, stream_count) - 20usize];
    ["Offset of field: jdb_engine::in_flight_count"][::core::mem::offset_of!(jdb_engine, in_flight_count) - 24usize];
    ["Offset of field: jdb_engine::reserved"][::core::mem::offset_of!(jdb_engine, reserved) - 32usize];
    ["Offset of field: jdb_engine::reason"][::core::mem::offset_of!(jdb_engine, reason) - 80usize];
};
impl Default for jdb_engine {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn jdb_engine_init(
        engine: *mut jdb_engine,
        calls: *const jdb_engine_calls,
        depth: u32,
        reason: *const ::core::ffi::c_char,
    ) -> ::core::ffi::c_int;
}
unsafe extern "C" {
    pub fn jdb_engine_complete(engine: *mut jdb_engine, io: *mut jdb_engine_io, err: ::core::ffi::c_int);
}
unsafe extern "C" {
    pub fn jdb_engine_run(io: *mut jdb_engine_io) -> ::core::ffi::c_int;
}
