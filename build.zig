// SPDX-License-Identifier: MIT
//
// For Zig 0.17: zig build [-Dtarget=aarch64-linux-musl] [-Doptimize=Debug] [-During=false] [--prefix DIR]
//
// The core is one source. Those of libjdb_uring, and the version, are read from where CMake has them. Zig's own rule for shared
// libraries has no -z nodelete and a SONAME of the first number alone, so `zig cc` links them: lib/NAME.so.X.Y, and lib/NAME.so
// for the linker, a text that names it. The artifacts for other packages are the static libraries, jdb_alloc and jdb_uring.
const std = @import("std");

const version = between(@embedFile("include/jdb_alloc/base.h"), "JDB_VERSION_STRING \"", "\"");
const soversion = version[0..std.mem.lastIndexOfScalar(u8, version, '.').?]; // before 1.0: docs/abi.md
const rules = between(@embedFile("CMakeLists.txt"), "function(jdb_uring name kind core)", "endfunction()");
const uring_sources = between(rules, "set(sources ", ")");
const uring_shared_sources = between(rules, "list(APPEND sources ", ")"); // a static one is linked with the core, which has them
const flags = [_][]const u8{ "-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-falign-functions=64" };

fn between(text: []const u8, comptime begin: []const u8, comptime end: []const u8) []const u8 {
    @setEvalBranchQuota(1_000_000);
    const start = std.mem.indexOf(u8, text, begin).? + begin.len;
    return text[start..][0..std.mem.indexOf(u8, text[start..], end).?];
}

const Options = struct {
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
};

pub fn build(b: *std.Build) void {
    const options: Options = .{
        .target = b.standardTargetOptions(.{}),
        .optimize = b.option(std.builtin.OptimizeMode, "optimize", "ReleaseFast unless said otherwise") orelse .ReleaseFast,
    };
    const has_uring = b.option(bool, "uring", "libjdb_uring; unless said otherwise, where pkg-config finds liburing") orelse
        finds_liburing(b, options.target);

    const core = add_static(b, "jdb_alloc", "jdb_alloc_all.c", options);
    core.installHeadersDirectory(b.path("include"), "", .{ .include_extensions = &.{ ".h", ".hpp" } });
    b.installArtifact(core);
    const core_shared = add_shared(b, "jdb_alloc", core, options);
    if (has_uring) {
        const uring = add_static(b, "jdb_uring", uring_sources, options);
        b.installArtifact(uring);
        const whole = add_static(b, "jdb_uring_shared", uring_sources ++ " " ++ uring_shared_sources, options);
        const link = add_shared(b, "jdb_uring", whole, options);
        link.run.addFileArg(core_shared.library);
        link.run.addArg("-luring");
    }
}

fn finds_liburing(b: *std.Build, target: std.Build.ResolvedTarget) bool {
    var code: u8 = 0;
    if (!target.query.isNative()) return false;
    _ = b.runAllowFail(&.{ "pkg-config", "--exists", "liburing >= 2.3" }, &code, .ignore) catch return false;
    return true;
}

/// A static library of sources of src/, whose names are separated by spaces and line ends.
fn add_static(b: *std.Build, name: []const u8, sources: []const u8, options: Options) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .target = options.target,
        .optimize = options.optimize,
        .link_libc = true,
        .pic = true,
        .sanitize_c = .off,
    });
    module.addIncludePath(b.path("include"));
    module.addIncludePath(b.path("src"));
    var names = std.mem.tokenizeAny(u8, sources, " \n");
    while (names.next()) |source|
        module.addCSourceFile(.{ .file = b.path(b.fmt("src/{s}", .{source})), .flags = &flags });
    return b.addLibrary(.{ .name = name, .root_module = module, .linkage = .static });
}

const Shared = struct {
    run: *std.Build.Step.Run,
    library: std.Build.LazyPath,
};

/// The shared library of what is in `archive`, with the symbols of its map.
fn add_shared(b: *std.Build, name: []const u8, archive: *std.Build.Step.Compile, options: Options) Shared {
    const file = b.fmt("lib{s}.so.{s}", .{ name, soversion });
    const run = b.addSystemCommand(&.{ b.graph.zig_exe, "cc", "-shared", "-pthread", "-Wl,-z,nodelete", "-Wl,-z,defs" });
    if (!options.target.query.isNative())
        run.addArgs(&.{ "-target", options.target.query.zigTriple(b.allocator) catch @panic("OOM") });
    run.addArg(b.fmt("-Wl,-soname,{s}", .{file}));
    run.addPrefixedFileArg("-Wl,--version-script=", b.path(b.fmt("src/{s}.map", .{name})));
    run.addArg("-Wl,--whole-archive");
    run.addFileArg(archive.getEmittedBin());
    run.addArgs(&.{ "-Wl,--no-whole-archive", "-o" });
    const library = run.addOutputFileArg(file);
    const link_name = b.fmt("lib{s}.so", .{name});
    const text = b.addWriteFiles().add(link_name, b.fmt("INPUT({s})\n", .{file}));
    b.getInstallStep().dependOn(&b.addInstallLibFile(library, file).step);
    b.getInstallStep().dependOn(&b.addInstallLibFile(text, link_name).step);
    return .{ .run = run, .library = library };
}
