# SPDX-License-Identifier: MIT
"""The steps of script/test: what is built, what is run on it, and how many minutes it may take."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build-logs"
CORES = os.cpu_count() or 2
QUICK, DEFAULT, LONG = "quick", "default", "long"
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}


class Result:
    """What a step found: counts, the reason of every skip, and the seconds of every test."""

    def __init__(self):
        self.passed, self.failed, self.skips, self.times = 0, [], [], []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips
        self.times += other.times


class Step(NamedTuple):
    name: str
    budgets: dict  # tier -> minutes; a tier that is not there does not run the step
    run: callable  # (log file, tier) -> Result


class Failed(Exception):
    pass


def command(log, words, env=None, cwd=ROOT):
    """Runs a command, its output in the log."""
    words = [str(word) for word in words]
    log.write("$ " + " ".join(words) + "\n")
    log.flush()
    run = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, cwd=cwd, stdin=subprocess.DEVNULL,
                         env={**os.environ, **(env or {})})
    if run.returncode != 0:
        raise Failed(f"exit code {run.returncode}: {' '.join(words)[:200]}")


def files(*patterns):
    listing = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True)
    names = listing.stdout.split() if listing.returncode == 0 else []
    return names or [str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob("[!b]*/**/" + pattern)]


def one(passed=1):
    result = Result()
    result.passed = passed
    return result


def skipped(reason):
    result = Result()
    result.skips.append(reason)
    return result


# ---- Tests of a build ------------------------------------------------------------------------------------------

def count_case(case, result):
    """One ctest test: its cmocka cases where it has any, else itself."""
    name = case.get("name")
    output = case.findtext("system-out") or ""
    good = len(re.findall(r"^\[ +OK \] ", output, re.M))
    # Not the line above the list of them, which cmocka 1.1.7 begins with the name of the group.
    one_case = r"(?!(?:\S+: )?\d+ test)(?:\S+: )?(\S+)"
    bad = sorted(set(re.findall(r"^\[  FAILED  \] " + one_case, output, re.M)))
    inner = sorted(set(re.findall(r"^\[  SKIPPED \] " + one_case, output, re.M)))
    status = case.get("status")
    if status == "run":
        result.passed += good if good + len(inner) else 1
        result.skips += [f"{name}: {skip}" for skip in inner]
    elif case.find("skipped") is not None or status in ("notrun", "disabled"):
        lines = [line for line in output.strip().split("\n") if line.strip()]
        reasons = [line for line in lines if re.search("skip", line, re.I)] or lines[-1:]
        result.skips.append(f"{name}: {reasons[-1].strip() if reasons else 'no reason given'}")
    else:
        result.passed += good
        result.failed += [f"{name}: {one_case}" for one_case in bad] or [name]
    # What a passed script could not do, in its own words.
    if status == "run" and not inner:
        result.skips += [f"{name}: {line}" for line in re.findall(r"^skipped: (.+)$", output, re.M)]


def run_tests(log, build, tier, env=None, select=()):
    report = build / "junit.xml"
    report.unlink(missing_ok=True)
    words = ["ctest", "--test-dir", build, "--output-on-failure", "-j", CORES, "--output-junit", report,
             "--test-output-size-passed", "4000000", "--test-output-size-failed", "4000000", *select]
    log.write("$ " + " ".join(map(str, words)) + f"   # JDB_TEST_TIER={tier}\n")
    log.flush()
    subprocess.run([str(word) for word in words], stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, stdin=subprocess.DEVNULL,
                   env={**os.environ, **SANITIZERS, "JDB_TEST_TIER": tier, "CTEST_OUTPUT_ON_FAILURE": "1", **(env or {})})
    result = Result()
    for case in xml.parse(report).getroot().iter("testcase"):
        count_case(case, result)
        result.times.append((float(case.get("time") or 0), case.get("name")))
    if not result.passed and not result.failed and not result.skips:
        raise Failed("no test was found")
    return result


def configure(log, preset, *options):
    build = ROOT / f"build-{preset}"
    command(log, ["cmake", "--preset", preset, *options])
    command(log, ["cmake", "--build", build])
    return build


def built_and_tested(preset, tier_of, select=(), env=None, options=()):
    """A step: build a preset, run its tests. tier_of: the tier of the tests in each tier of the run."""
    def run(log, tier):
        build = configure(log, preset, *options)
        return run_tests(log, build, tier_of.get(tier, tier), env, select)
    return run


# ---- Steps without ctest -----------------------------------------------------------------------------------------

# What these tools find depends on their version: other versions are skipped, so that a newer system is no failure.
LINT_VERSIONS = {"clang-format": "14", "cppcheck": "2.10", "clang-tidy": "14"}


def other_version(tool):
    """None where the tool has the version that its step is written for, else the reason to skip the step."""
    if shutil.which(tool) is None:
        return f"no {tool}; script/bootstrap installs it"
    text = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"\d+(\.\d+)*", text)
    wanted = LINT_VERSIONS[tool]
    if version and (version.group(0) + ".").startswith(wanted + "."):
        return None
    return f"{tool} {version.group(0) if version else '?'}: its findings differ between versions, the step wants {wanted}"


def format_step(log, _tier):
    if reason := other_version("clang-format"):
        return skipped(reason)
    command(log, ["clang-format", "--dry-run", "-Werror", *files("*.c", "*.h", "*.cpp", "*.hpp")])
    return one()


def cppcheck_step(log, _tier):
    if reason := other_version("cppcheck"):
        return skipped(reason)
    command(log, ["cppcheck", "--enable=warning,performance,portability", "--error-exitcode=1", "--inline-suppr", "--quiet",
                  "--std=c11", "--language=c", "-j", CORES, "-Iinclude", "-Isrc", "-Itool", "-D__GNUC__", "-D__linux__",
                  "-D_GNU_SOURCE", "--suppress=missingIncludeSystem", *files("src/*.c", "tool/*.c")])
    return one()


def tidy_step(log, _tier):
    if reason := other_version("clang-tidy"):
        return skipped(reason)
    build = ROOT / "build-clang-debug"  # with assertions: the analyzer takes them for what always holds
    command(log, ["cmake", "--preset", "clang-debug"])
    sources = [re.escape(str(ROOT / name)) + "$" for name in files("src/*.c", "tool/*.c")
               if not re.search("os/posix|jdb_alloc_all", name)]
    command(log, ["run-clang-tidy", "-quiet", "-p", build, "-j", CORES, *sources])
    return one()


OTHER_LIBRARIES = re.compile(r"#include [<\"](liburing|libaio|uv|xxhash|json-c|seccomp|fuse|dlfcn|jdb_alloc/(uring|aio|uv))\b")


# What qemu-user cannot show: a failure of these cases there is a skip with this reason.
NOT_EMULATED = {
    "works_under_a_low_address_limit": "the emulator does not honour RLIMIT_AS",
    "no_memory_is_enomem_and_leaves_the_buffer_empty": "the emulator does not honour RLIMIT_AS",
    "zeroed_gibibyte_is_not_touched": "the emulator's own tables grow and its clock is not ours",
    "copy_dropped_twice_aborts": "the emulator adds a line of its own when a program aborts",
    "changed_words_abort": "the emulator adds a line of its own when a program aborts",
    "interior_run_aborts": "the emulator adds a line of its own when a program aborts",
    "foreign_memory_aborts": "the emulator adds a line of its own when a program aborts",
    "a_child_of_fork_is_refused": "the emulator grants MADV_WIPEONFORK and does nothing",
}


SMOKE = {"base_test", "plan_test", "raw_test", "regions_test"}


NOT_ON_MUSL = {
    "making_survives_each_failing_call": "musl's malloc maps pages of its own, and the case counts mappings",
}


def port_step(compiler, runner, flags):
    """A step: the core and its tests for another architecture or C library, linked statically. In the
    emulator, which keeps gigabytes of tables for the addresses that the heap sets aside, only the tests of SMOKE run
    outside of the long tier; the others are compiled."""
    def run(log, tier):
        if shutil.which(compiler) is None or (runner and shutil.which(runner) is None):
            return skipped(f"no {compiler}{' or ' + runner if runner else ''}; script/bootstrap --long installs it")
        build = ROOT / f"build-{compiler}"
        build.mkdir(exist_ok=True)
        common = [compiler, "-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-DJDB_FAULTS", "-DJDB_ASSERTIONS",
                  "-pthread", "-static", "-Iinclude", "-Isrc", "-Itest", "-Itest/port", *flags]
        core = [name for name in files("src/*.c") if not re.search("os/posix|uring|jdb_alloc_all", name)]
        objects = [build / name.replace("/", "-").replace(".c", ".o") for name in [*core, "test/faults.c"]]
        for source, target in zip([*core, "test/faults.c"], objects):
            command(log, [*common, "-c", source, "-o", target])
        result = Result()
        for source in files("test/*_test.c"):
            if OTHER_LIBRARIES.search((ROOT / source).read_text(encoding="utf-8")):
                continue
            if runner and tier != LONG and Path(source).stem not in SMOKE:
                command(log, [*common, "-c", source, "-o", build / (Path(source).stem + ".o")])
                continue
            result.add(port_test(log, [*common, source, *objects], build / Path(source).stem, runner, tier))
        return result
    return run


def port_test(log, compile_words, program, runner, tier):
    result = Result()
    name = program.name
    try:
        command(log, [*compile_words, "-o", program])
        run = subprocess.run([*([runner] if runner else []), program], cwd=program.parent, capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=3600 if tier == LONG else 300, errors="replace",
                             env={**os.environ, "JDB_TEST_TIER": NEXT_LOWER[tier], "JDB_TEST_EMULATOR": runner or ""})
    except (Failed, subprocess.TimeoutExpired) as failure:
        result.failed.append(f"{name}: {failure}")
        return result
    log.write(f"--- {name}: exit code {run.returncode}\n{run.stdout}{run.stderr}\n")
    result.passed += len(re.findall(r"^\[ +OK \] ", run.stdout, re.M))
    for case in re.findall(r"^\[  FAILED  \] (\S+)", run.stdout, re.M):
        reason = NOT_EMULATED.get(case) if runner else NOT_ON_MUSL.get(case)
        if reason:
            result.skips.append(f"{name}: {case}: {reason}")
        else:
            result.failed.append(f"{name}: {case}")
    result.skips += [f"{name}: {case}" for case in re.findall(r"^\[  SKIPPED \] (\S+)", run.stdout, re.M)]
    if run.returncode == 77:
        result.skips.append(f"{name}: {(run.stdout + run.stderr).strip()[-200:]}")
    elif run.returncode != 0 and not result.failed and not result.skips:
        result.failed.append(f"{name}: exit code {run.returncode}")
    return result


def valgrind_step(log, tier):
    """The tests in memcheck: what it says of memory that is lent, given back, or leaked."""
    build = configure(log, "debug")
    result = Result()
    for program in sorted(build.glob("test/*_test")):
        if program.name.startswith("uring"):
            continue
        words = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
                 "--child-silent-after-fork=yes", program]
        log.write("$ " + " ".join(map(str, words)) + "\n")
        log.flush()
        run = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=build,
                             env={**os.environ, "JDB_TEST_TIER": QUICK})
        if run.returncode == 77:
            result.skips.append(f"{program.name}: not here")
        elif run.returncode != 0:
            result.failed.append(f"{program.name}: exit code {run.returncode}")
        else:
            result.passed += 1
    return result


def abi_step(log, tier):
    """The binary interface against that of the last release; before a release also that each breach is found."""
    words = [ROOT / "script/abi", *(["--strict"] if tier == LONG else [])]
    run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    log.write(run.stdout)
    log.flush()
    if run.returncode == 77:
        return skipped(re.search("skipped: (.*)", run.stdout).group(1))
    if run.returncode != 0:
        raise Failed(f"exit code {run.returncode}: script/abi")
    if tier != LONG:
        return one()
    command(log, ["test/abi_break.sh"])
    return one(3)


def debian_step(release):
    """A step: the two commands of the README in a fresh Debian."""
    def run(log, _tier):
        if os.geteuid() != 0 or shutil.which("debootstrap") is None:
            return skipped(f"{release} from nothing: needs root and debootstrap; script/bootstrap --long installs it")
        command(log, ["script/in_debian", release])
        return one(2)
    return run


def packages_step(release):
    """A step: the Debian packages, built in one fresh Debian, installed, used and purged in another."""
    def run(log, _tier):
        if os.geteuid() != 0 or shutil.which("debootstrap") is None:
            return skipped(f"packages in {release}: needs root and debootstrap; script/bootstrap --long installs it")
        command(log, ["script/debian_packages", "--chroot", release])
        return one(4)
    return run


CARGO_LEAST = (1, 85)  # rust-version of the crates
CARGO_TESTS = (1, 93)  # compio-buf 0.8.3 needs it, without saying so: for the feature compio, and for the tests
CARGO_PACKAGES_WORKSPACES = (1, 90)  # one crate of a workspace needs the other, which no registry has yet
CLIPPY = (1, 95)  # its findings differ between versions
RUST_FEATURES = ("compio", "compio-07", "compio-driver", "tokio-uring", "monoio", "bytes", "uring", "checked")


def cargo_version(*words):
    """Numbers of the version of cargo or of one of its commands, or None where it is not there."""
    if shutil.which("cargo") is None:
        return None
    run = subprocess.run(["cargo", *words, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    match = re.match(r"\w+ (?:0\.)?(1)\.(\d+)", run.stdout)  # clippy 0.1.95 is that of Rust 1.95
    return (int(match.group(1)), int(match.group(2))) if run.returncode == 0 and match else None


def rust_lint(log, env):
    """Format and clippy, without features and with all."""
    result, rust = Result(), ROOT / "rust"
    if cargo_version("fmt") is None:
        result.skips.append("cargo fmt (no rustfmt; script/bootstrap installs it, or rustup component add rustfmt)")
    else:
        command(log, ["cargo", "fmt", "--check"], env, rust)
    clippy = cargo_version("clippy")
    if clippy != CLIPPY:
        found = f"version {clippy[0]}.{clippy[1]}" if clippy else "none here"
        result.skips.append(f"cargo clippy ({found}; its findings differ between versions, the step wants {CLIPPY[0]}.{CLIPPY[1]})")
        return result
    for features in ([], ["--all-features"]):
        command(log, ["cargo", "clippy", "--locked", "--all-targets", *features, "--", "-D", "warnings"], env, rust)
    return result


def rust_tests(log, words, env, harness=()):
    """cargo test: counts the cases, and lists what they skipped."""
    begin = os.fstat(log.fileno()).st_size
    command(log, ["cargo", "test", "--locked", *words, "--", "--show-output", *harness], env, ROOT / "rust")
    with open(log.name, encoding="utf-8", errors="replace") as written:
        written.seek(begin)
        output = written.read()
    result = one(sum(int(count) for count in re.findall(r"^test result: ok\. (\d+) passed", output, re.M)))
    result.skips += sorted(set(re.findall(r"^skipped: (.+)$", output, re.M)))
    return result


def rust_package(log, version, env):
    """The tarballs of the crates have every C source, and build. They are unpacked here: cargo's own check unpacks a dependency
    once for each version, so it would build against an older tarball of the same one."""
    if version < CARGO_PACKAGES_WORKSPACES:
        return skipped(f"cargo package (cargo {version[0]}.{version[1]}, and a workspace needs 1.90)")
    command(log, ["cargo", "package", "--locked", "--allow-dirty", "--no-verify", "--workspace", "--exclude", "jdb_alloc-bench"],
            env, ROOT / "rust")
    number = re.search(r'^version = "(.+)"$', (ROOT / "rust/Cargo.toml").read_text(encoding="utf-8"), re.M).group(1)
    packages, unpacked = Path(env["CARGO_TARGET_DIR"]) / "package", Path(env["CARGO_TARGET_DIR"]) / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    for name in ("jdb-alloc-sys", "jdb_alloc"):
        command(log, ["tar", "-xzf", packages / f"{name}-{number}.crate", "-C", unpacked])
    sources = unpacked / f"jdb-alloc-sys-{number}"
    missing = [name for name in files("src/*.c", "src/*.h", "include/*.h") if not (sources / "c" / name).is_file()]
    if missing:
        raise Failed(f"the tarball of jdb-alloc-sys lacks {missing}")
    patch = f"patch.crates-io.jdb-alloc-sys.path='{sources}'"
    for features in ([], ["--all-features"]):
        command(log, ["cargo", "build", "--offline", "--config", patch, "--lib", "--example", "first", *features], env,
                unpacked / f"jdb_alloc-{number}")
    return one()


def rust_long(log, env):
    """What takes minutes: every feature alone, the tests optimised and under ASan, the benchmarks as far as they build."""
    result = Result()
    rust = ROOT / "rust"
    for feature in RUST_FEATURES:
        command(log, ["cargo", "clippy", "--locked", "-p", "jdb_alloc", "--all-targets", "--features", feature, "--", "-D", "warnings"],
                env, rust)
    result.add(rust_tests(log, ["--release", "--all-features"], env))
    command(log, ["cargo", "bench", "--locked", "-p", "jdb_alloc-bench", "--no-run"], env, rust)
    if cargo_version("+nightly") is None:
        result.skips.append("ASan (no nightly toolchain)")
        return result
    target = f"{os.uname().machine}-unknown-linux-gnu"
    asan = {**env, "RUSTUP_TOOLCHAIN": "nightly", "RUSTFLAGS": "-Zsanitizer=address", "CC": "clang",
            "CFLAGS": "-fsanitize=address", "CARGO_TARGET_DIR": str(ROOT / "build-rust" / "asan")}
    # A permanent pool is never freed, nor is memory that the kernel may write to when its ring cannot be waited for; and
    # LeakSanitizer does not look for pointers in memory that the pool maps.
    result.add(rust_tests(log, ["--target", target, "--features", "compio-07,bytes,uring", "-p", "jdb_alloc", "--tests"], asan,
                          ["--skip", "permanent", "--skip", "stays_pinned"]))
    return result


def rust_without_tests(log, version, env):
    """An older compiler: the crates build with every feature that it can have."""
    features = [feature for feature in RUST_FEATURES if feature not in ("compio", "compio-driver")]
    command(log, ["cargo", "build", "--locked", "-p", "jdb_alloc", "--lib", "--features", ",".join(features)], env, ROOT / "rust")
    result = one()
    result.skips.append(f"cargo test (cargo {version[0]}.{version[1]}: the crates build, and the runtimes of the tests need "
                        f"{CARGO_TESTS[0]}.{CARGO_TESTS[1]})")
    return result


def rust_step(log, tier):
    """The crates: format, clippy, documentation, tests without features and with all, bindings, tarballs."""
    if shutil.which("cargo") is None:  # rustup's directory is on the PATH of login shells alone
        os.environ["PATH"] += os.pathsep + str(Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin")
    version = cargo_version()
    if version is None or version < CARGO_LEAST:
        found = "no cargo" if version is None else f"cargo {version[0]}.{version[1]}"
        return skipped(f"{found}; the crates need {CARGO_LEAST[0]}.{CARGO_LEAST[1]} (rustup.rs)")
    rust = ROOT / "rust"
    env = {"CARGO_TARGET_DIR": str(ROOT / "build-rust"), "CARGO_TERM_COLOR": "never", "CARGO_INCREMENTAL": "0",
           "CARGO_PROFILE_DEV_DEBUG": "line-tables-only"}
    try:
        command(log, ["cargo", "fetch", "--locked"], env, rust)
    except Failed:
        return skipped("the crates registry is not reachable, or rust/Cargo.lock is old: cargo fetch --locked")
    if version < CARGO_TESTS:
        return rust_without_tests(log, version, env)
    result = rust_lint(log, env)
    command(log, ["cargo", "doc", "--locked", "--no-deps", "--all-features"], {**env, "RUSTDOCFLAGS": "-D warnings"}, rust)
    result.add(rust_tests(log, ["-p", "jdb_alloc"], env))
    result.add(rust_tests(log, ["--all-features"], env))
    result.add(rust_package(log, version, env))
    if tier == LONG:
        result.add(rust_long(log, env))
    return result


# ---- Python --------------------------------------------------------------------------------------------------------

PYTHON_NEEDS = "import setuptools, pip, wheel, numpy, pytest, sys, sysconfig, pathlib; " \
    "assert sys.version_info >= (3, 11), 'older than Python 3.11'; " \
    "assert (pathlib.Path(sysconfig.get_path('include')) / 'Python.h').is_file(), 'no Python.h'"


def python_that_builds():
    """An interpreter that has all that the package's tests need, or None and what the last one lacks."""
    reason = "no python3"
    for name in ("python3", "/usr/bin/python3"):
        if shutil.which(name) is None:
            continue
        run = subprocess.run([name, "-c", PYTHON_NEEDS], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode == 0:
            return name, None
        reason = run.stderr.strip().split("\n")[-1]
    return None, reason


def python_step(log, _tier):
    """The Python package: its wheel, built from a copy without the rest of the tree, and its tests with NumPy."""
    python, reason = python_that_builds()
    if python is None:
        return skipped(f"python/: {reason}; script/bootstrap installs what Debian has")
    build = ROOT / "build-python"
    shutil.rmtree(build, ignore_errors=True)
    shutil.copytree(ROOT / "python", build / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    env = {"PYTHONDONTWRITEBYTECODE": "1", "CC": "ccache cc" if shutil.which("ccache") else "cc",
           "CFLAGS": "-Wall -Wextra -Werror -Wno-missing-field-initializers -Wno-cast-function-type"}
    command(log, [python, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", build, build / "source"], env)
    wheels = list(build.glob("*-abi3-*.whl"))
    if len(wheels) != 1:
        raise Failed(f"one wheel of the stable ABI expected, there are {wheels}")
    command(log, [python, "-m", "zipfile", "-e", wheels[0], build / "site"])
    report = build / "junit.xml"
    command(log, [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", build / "source/tests"],
            {**env, "PYTHONPATH": str(build / "site"), "JDB_TEST_DIR": str(build)})
    suite = xml.parse(report).getroot().find("testsuite")
    result = one(int(suite.get("tests")) - int(suite.get("skipped")))
    result.skips += [f"{case.get('name')}: {case.find('skipped').get('message')}" for case in suite.iter("testcase")
                     if case.find("skipped") is not None]
    return result


def tree_state():
    listing = subprocess.run(["git", "status", "--porcelain", "--ignored=no"], cwd=ROOT, capture_output=True, text=True)
    return listing.stdout if listing.returncode == 0 else None


TREE_BEFORE = tree_state()


def clean_step(log, _tier):
    """Nothing that ran has left anything in the source tree."""
    if TREE_BEFORE is None:
        return skipped("not a git clone: whether the tree stayed clean is not known")
    after = tree_state()
    log.write(after)
    if after != TREE_BEFORE:
        raise Failed("the tests left something in the source tree, see git status")
    return one()


# ---- The tiers -----------------------------------------------------------------------------------------------------

ONCE = ("-LE", "once")  # without the tests that do not depend on how the code was built
LINUX_ONLY = "^(arena|aio|bounds|buffer_pool|cat|cp|dio|direct|examples|file|hpp|huge|iov|log|mapping|matrix|page|pool|probe|revoke|stream|stress|sum|system|uring|uv|wal)"  # tests of what only Linux has
NEXT_LOWER = {QUICK: QUICK, DEFAULT: QUICK, LONG: DEFAULT}
STEPS = [
    Step("format", {QUICK: 0.2, DEFAULT: 0.2, LONG: 0.2}, format_step),
    Step("gcc", {QUICK: 2.5, DEFAULT: 10, LONG: 120}, built_and_tested("release", {})),
    Step("asan", {DEFAULT: 3, LONG: 120}, built_and_tested("asan", NEXT_LOWER, ONCE)),
    Step("tsan", {DEFAULT: 3, LONG: 120}, built_and_tested("tsan", NEXT_LOWER, ONCE)),
    Step("checked", {DEFAULT: 1.5, LONG: 60}, built_and_tested("checked", NEXT_LOWER, ONCE)),
    Step("clang", {DEFAULT: 1.5, LONG: 60}, built_and_tested("clang", NEXT_LOWER, ONCE)),
    Step("cppcheck", {DEFAULT: 0.5, LONG: 1}, cppcheck_step),
    Step("tidy", {DEFAULT: 2.5, LONG: 4}, tidy_step),
    Step("posix", {DEFAULT: 1, LONG: 30}, built_and_tested("posix", NEXT_LOWER, (*ONCE, "-E", LINUX_ONLY))),
    Step("aarch64", {DEFAULT: 0.7, LONG: 60}, port_step("aarch64-linux-gnu-gcc", "qemu-aarch64-static", [])),
    Step("musl", {DEFAULT: 0.7, LONG: 30}, port_step("musl-gcc", None, [
        "-idirafter", "/usr/include", "-idirafter", f"/usr/include/{os.uname().machine}-linux-gnu"])),
    Step("rust", {DEFAULT: 3, LONG: 30}, rust_step),
    Step("python", {DEFAULT: 1, LONG: 1}, python_step),
    Step("abi", {DEFAULT: 1.5, LONG: 5}, abi_step),
    Step("valgrind", {LONG: 120}, valgrind_step),
    Step("packages12", {LONG: 15}, packages_step("bookworm")),
    Step("packages13", {LONG: 15}, packages_step("trixie")),
    Step("debian12", {LONG: 90}, debian_step("bookworm")),
    Step("debian13", {LONG: 90}, debian_step("trixie")),
    Step("clean", {QUICK: 0.1, DEFAULT: 0.1, LONG: 0.1}, clean_step),
]


def failure_lines(path):
    """The lines of a log that show why its step failed: those with an error in them, the end of what each failed test printed,
    and the last lines."""
    log = path.read_text(encoding="utf-8", errors="replace")
    lines = log.split("\n")
    errors = [line for line in lines[:-20] if re.search(r"\berror\b", line, re.IGNORECASE)][:40]
    tests = re.findall(r"^ *\d+/\d+ Test .*\*\*\*(?:Failed|Timeout|Exception).*\n(?:(?! *(?:\d+/\d+ Test|Start +\d+:)).*\n)*",
                       log, re.M)
    return [*errors, *[line for test in tests for line in [test.split("\n")[0], *test.rstrip().split("\n")[1:][-40:]]],
            *lines[-20:]]


def run_step(step, tier, total):
    LOGS.mkdir(exist_ok=True)
    path = LOGS / f"{step.name}.log"
    begin = time.monotonic()
    result = Result()
    with open(path, "w", encoding="utf-8", errors="replace") as log:
        try:
            result = step.run(log, tier)
        except Failed as failure:
            result.failed.append(f"{step.name}: {failure}")
        except FileNotFoundError as absent:
            result.failed.append(f"{step.name}: {absent.filename} is not there; script/bootstrap names what to install")
    minutes = (time.monotonic() - begin) / 60
    budget = step.budgets[tier] if tier in step.budgets else max(step.budgets.values())
    status = "FAILED" if result.failed else "ok" if result.passed else "skipped"
    over = "  over its budget" if minutes > budget else ""
    print(f"{status:8}{step.name:10}{minutes:6.1f} of {budget:g} min   {result.passed} passed, {len(result.failed)} failed, "
          f"{len(result.skips)} skipped{over}", flush=True)
    if result.failed:
        print("\n".join("    " + line for line in [*failure_lines(path), f"all of it: {path.relative_to(ROOT)}"]), flush=True)
    result.times = [(seconds, f"{step.name}: {name}") for seconds, name in result.times]
    result.skips = [f"{step.name}: {reason}" for reason in result.skips]
    result.failed = [reason if reason.startswith(step.name) else f"{step.name}: {reason}" for reason in result.failed]
    total.add(result)


def summary(total, minutes, limit):
    slowest = sorted(total.times, reverse=True)[:10]
    if slowest:
        print("\nThe slowest tests, seconds (tests run side by side):")
        for seconds, name in slowest:
            print(f"  {seconds:6.1f}  {name}")
    if total.skips:
        print("\nSkipped, with the reason:")
        for reason, count in sorted({reason: total.skips.count(reason) for reason in total.skips}.items()):
            print(f"  {reason}" + (f" ({count} times)" if count > 1 else ""))
    if total.failed:
        print("\nFailed:")
        for reason in total.failed:
            print(f"  {reason}")
    print(f"\n{minutes:.1f} minutes" + (f" of {limit:g}" if limit else ""))
    print(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skips)} skipped", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="script/test")
    tiers = parser.add_mutually_exclusive_group()
    tiers.add_argument("--quick", dest="tier", action="store_const", const=QUICK)
    tiers.add_argument("--long", dest="tier", action="store_const", const=LONG)
    parser.add_argument("--only", action="append", choices=[step.name for step in STEPS])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    tier = options.tier or DEFAULT
    steps = [step for step in STEPS if step.name in options.only] if options.only else \
        [step for step in STEPS if tier in step.budgets]
    if options.list:
        for step in steps:
            print(f"{step.name:10}{step.budgets.get(tier, max(step.budgets.values())):6g} min")
        return 0
    if shutil.which("ccache"):
        for name, value in (("CMAKE_C_COMPILER_LAUNCHER", "ccache"), ("CMAKE_CXX_COMPILER_LAUNCHER", "ccache"),
                            ("CCACHE_BASEDIR", str(ROOT)), ("CCACHE_NOHASHDIR", "1")):
            os.environ.setdefault(name, value)
    begin = time.monotonic()
    total = Result()
    for step in steps:
        run_step(step, tier if tier in step.budgets or not options.only else max(step.budgets), total)
    summary(total, (time.monotonic() - begin) / 60, {QUICK: 3, DEFAULT: 25}.get(tier))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
