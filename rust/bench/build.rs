//! Builds the loops in C that the bindings are compared with.

fn main() {
    println!("cargo::rerun-if-changed=src/floor.c");
    let include = std::env::var("DEP_JDB_ALLOC_INCLUDE").expect("jdb-alloc-sys exports its headers");
    cc::Build::new()
        .std("c11")
        .opt_level(3)
        .includes(include.split(':'))
        .file("src/floor.c")
        .compile("jdb_bench_floor");
}
