//! Builds the C sources under `c/`, or finds the system's library (feature `system`).
//!
//! What dependents get through `links`: `DEP_JDB_ALLOC_INCLUDE`, the directory of `jdb_alloc.h`.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let uring = has_feature("URING");
    if has_feature("SYSTEM") && !has_feature("VENDORED") {
        link_system(uring);
    } else {
        build_sources(uring);
    }
}

fn has_feature(name: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
}

fn link_system(uring: bool) {
    let core = probe("jdb_alloc", "0.2");
    export_includes(&core.include_paths);
    if uring {
        let ring = probe("jdb_uring", "0.2");
        build_ring_glue(&ring.include_paths);
    }
}

fn build_sources(uring: bool) {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("c");
    let (include, sources) = (root.join("include"), root.join("src"));
    let core = sources.join("jdb_alloc_all.c");
    assert!(
        core.is_file(),
        "no C sources under {}: in a git clone this directory is a symbolic link, which git must be allowed to make",
        sources.display()
    );
    let liburing = uring.then(|| probe("liburing", "2.3"));
    let mut build = c_build(&[include.clone(), sources.clone()]);
    build.file(core);
    if let Some(liburing) = &liburing {
        build.files(uring_sources(&sources)).includes(&liburing.include_paths);
    }
    build.compile("jdb_alloc_vendored");
    if let Some(liburing) = &liburing {
        let mut paths = liburing.include_paths.clone();
        paths.push(include.clone());
        build_ring_glue(&paths);
        link_again(liburing); // behind the archives that need it
    }
    export_includes(&[include]);
    watch(&root);
}

/// The flags of the CMake build. `-falign-functions=64`: allocating and freeing are two cache lines each.
fn c_build(includes: &[PathBuf]) -> cc::Build {
    let mut build = cc::Build::new();
    build.std("c11").warnings(false).includes(includes).define("_GNU_SOURCE", None);
    build.flag("-fvisibility=hidden").flag("-pthread");
    build.flag_if_supported("-falign-functions=64");
    if has_feature("CHECKED") {
        build.define("JDB_CHECKED", None);
    }
    if env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_some() {
        build.define("JDB_ASSERTIONS", None);
    }
    build
}

/// What makes a `struct io_uring` of liburing over a ring that another crate opened.
fn build_ring_glue(includes: &[PathBuf]) {
    println!("cargo::rerun-if-changed=ring/ring_over_fd.c");
    c_build(includes).file("ring/ring_over_fd.c").compile("jdb_alloc_ring_over_fd");
}

/// The sources of libjdb_uring, in a fixed order. The core, which `jdb_alloc_all.c` includes, has the rest that they need.
fn uring_sources(sources: &Path) -> Vec<PathBuf> {
    let folder = sources.join("uring");
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect();
    files.push(sources.join("os/linux_uring.c"));
    files.sort();
    files
}

fn probe(name: &str, least: &str) -> pkg_config::Library {
    pkg_config::Config::new()
        .atleast_version(least)
        .probe(name)
        .unwrap_or_else(|error| panic!("{name} {least} or newer is needed: {error}"))
}

fn link_again(library: &pkg_config::Library) {
    for name in &library.libs {
        println!("cargo::rustc-link-lib={name}");
    }
}

fn export_includes(paths: &[PathBuf]) {
    let list: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    println!("cargo::metadata=include={}", list.join(":"));
}

/// Directories too, so that a new file is noticed.
fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_dir() {
        for entry in path.read_dir().expect("a readable directory") {
            watch(&entry.expect("a readable directory").path());
        }
    }
}
