//! The bindings that are checked in are what bindgen makes of the headers.
//!
//! `JDB_WRITE_BINDINGS=1 cargo test -p jdb-alloc-sys --test bindings` writes them anew.

use std::path::{Path, PathBuf};

const HEAD: &str = "// Written by tests/bindings.rs from the C headers; JDB_WRITE_BINDINGS=1 writes it anew.\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn builder(header: &str) -> bindgen::Builder {
    bindgen::Builder::default()
        .header(root().join("c/include").join(header).display().to_string())
        .clang_args(["-std=c11", "-I", &root().join("c/include").display().to_string()])
        .use_core()
        .allowlist_item("(jdb|JDB)_.*")
        .blocklist_item("JDB_(VERSION.*|.*_INIT|INLINE|API)")
        .generate_inline_functions(true)
        .generate_comments(false)
        .derive_default(true)
        .layout_tests(true)
        .prepend_enum_name(false)
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("a version of Rust"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .formatter(bindgen::Formatter::Rustfmt)
}

fn text_of(builder: bindgen::Builder) -> String {
    format!("{HEAD}{}", builder.disable_header_comment().generate().expect("bindings"))
}

fn compare(name: &str, fresh: &str) {
    let path = root().join("src").join(name);
    if std::env::var_os("JDB_WRITE_BINDINGS").is_some() {
        std::fs::write(&path, fresh).expect("a writable source tree");
    }
    let kept = std::fs::read_to_string(&path).expect("bindings in the source tree");
    let differs = kept.lines().zip(fresh.lines()).position(|(old, new)| old != new);
    assert!(
        kept == fresh,
        "src/{name} is not what bindgen makes of the headers, from line {}: JDB_WRITE_BINDINGS=1 writes it anew",
        differs.map_or(kept.lines().count().min(fresh.lines().count()), |line| line) + 1
    );
}

/// bindgen panics where libclang is missing; that is a skip, not a failure.
fn has_libclang() -> bool {
    let found = std::panic::catch_unwind(bindgen::clang_version).is_ok();
    if !found {
        println!("skipped: bindings (no libclang)");
    }
    found
}

#[test]
fn core_bindings_are_fresh() {
    if has_libclang() {
        compare("bindings.rs", &text_of(builder("jdb_alloc.h")));
    }
}

#[test]
fn uring_bindings_are_fresh() {
    if !has_libclang() {
        return;
    }
    let uring = builder("jdb_alloc/uring_group.h")
        .blocklist_item("jdb_(raw|buf|arena|pool|frame|pin|unpin|is_pinned|strerror|version|page|file|direct|clock|engine|reader|writer|stream)(_.*)?")
        .blocklist_item("JDB_(ARENA|PAGE|ALIGNMENT|POOL|DEADLINE|ENGINE|STREAM).*")
        .blocklist_type("(u)?int.*_t|size_t|iovec|io_uring|io_uring_sqe|io_uring_cqe")
        .raw_line("use crate::{jdb_arena, jdb_engine, jdb_engine_options, jdb_file, jdb_frame, jdb_pool, jdb_raw};")
        .raw_line("/// A ring of liburing.\n#[repr(C)]\npub struct io_uring {\n    _private: [u8; 0],\n}")
        .raw_line("/// A submission queue entry, by the kernel's layout.\n#[repr(C, align(8))]\n#[derive(Clone, Copy)]\npub struct io_uring_sqe {\n    pub bytes: [u8; 64],\n}")
        .raw_line("/// A completion queue entry, by the kernel's layout.\n#[repr(C)]\n#[derive(Debug, Clone, Copy)]\npub struct io_uring_cqe {\n    pub user_data: u64,\n    pub res: i32,\n    pub flags: u32,\n}")
        .raw_line("/// As in `sys/uio.h`.\n#[repr(C)]\n#[derive(Debug, Clone, Copy)]\npub struct iovec {\n    pub iov_base: *mut ::core::ffi::c_void,\n    pub iov_len: usize,\n}")
        .raw_line("unsafe extern \"C\" {\n    /// A ring object over a descriptor, for registering only: `ring/ring_over_fd.c`.\n    pub fn jdb_rust_ring_over_fd(ring_fd: ::core::ffi::c_int, ret_ring: *mut *mut io_uring) -> ::core::ffi::c_int;\n    pub fn jdb_rust_ring_free(ring: *mut io_uring);\n}");
    compare("uring.rs", &text_of(uring));
}
