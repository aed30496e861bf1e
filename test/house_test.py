#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps the house rules of CONTRIBUTING.md. Every finding says what to do.

    test/house_test.py            all rules
    test/house_test.py folders    one rule
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(os.environ.get("JDB_SOURCE_DIR") or Path(__file__).resolve().parent.parent)
BUILD = Path(os.environ.get("JDB_BUILD_DIR") or ROOT / "build")
sys.path.insert(0, str(ROOT / "man"))
sys.dont_write_bytecode = True
import headers  # noqa: E402

# ---- Which folder uses which --------------------------------------------------------------------------------------

# The folders of src/, bottom up: a folder includes its own files and those of the folders before it.
FOLDERS = ["base", "os", "page", "pin", "view", "arena", "pool", "direct", "file", "stream", "uring"]
TOOL_FOLDERS = ["base", "cat", "cp", "probe", "sum"]
PEERS = {"cat", "cp", "probe", "sum"}  # the commands of the tool do not use each other

# The folder that each public header belongs to. Adapters to other runtimes are in the folder of uring, C++ is above all.
HEADER_FOLDERS = {
    "jdb_alloc/base.h": "base",
    "jdb_alloc/pages.h": "page",
    "jdb_alloc/profile.h": "page",
    "jdb_alloc/pin.h": "pin",
    "jdb_alloc/raw.h": "view",
    "jdb_alloc/buf.h": "view",
    "jdb_alloc/arena.h": "arena",
    "jdb_alloc/pool.h": "pool",
    "jdb_alloc/direct.h": "direct",
    "jdb_alloc/file.h": "file",
    "jdb_alloc/stream.h": "stream",
    "jdb_alloc.h": "uring",
    "jdb_alloc/uring.h": "uring",
    "jdb_alloc/uring_group.h": "uring",
    "jdb_alloc/aio.h": "uring",
    "jdb_alloc/uv.h": "uring",
    "jdb_alloc/iov.h": "uring",
    "jdb_alloc.hpp": "C++",
    "jdb_alloc/file.hpp": "C++",
    "jdb_alloc/uring.hpp": "C++",
    "jdb_alloc/uring_group.hpp": "C++",
    "jdb_alloc/containers.hpp": "C++",
}
ADAPTERS = {"jdb_alloc/uring.h", "jdb_alloc/uring_group.h", "jdb_alloc/aio.h", "jdb_alloc/uv.h", "jdb_alloc/iov.h"}  # may name types of the platform

# What a header of the core may include from outside: no platform type stands in a core header.
CORE_HEADER_INCLUDES = {"errno.h", "limits.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h"}

# What a source of the core outside of src/os may include from outside.
SOURCE_INCLUDES = CORE_HEADER_INCLUDES | {"inttypes.h", "pthread.h", "stdarg.h", "stdatomic.h", "stdio.h", "threads.h"}

# What these include as well: notes to memory checkers, and the widest stores of the processor.
MORE_INCLUDES = {
    "src/base/memcheck.h": {"sanitizer/asan_interface.h", "valgrind/memcheck.h"},
    "src/base/zero.c": {"immintrin.h"},
}

# What the same may call outside of the library. None of these enters the kernel.
OUTSIDE_CALLS = {
    "abort", "fprintf", "fputs", "memchr", "memcmp", "memcpy", "memmove", "memset", "snprintf", "stderr", "strcmp",
    "strlen", "strncmp", "__cpu_model", "vsnprintf", "strchr", "strstr", "strtoul", "strtoull", "strtoll",
    "pthread_getspecific", "pthread_key_create", "pthread_mutex_destroy", "pthread_mutex_init", "pthread_mutex_lock",
    "pthread_mutex_trylock", "pthread_mutex_unlock", "pthread_once", "pthread_setspecific", "pthread_atfork",
}

# ---- Words ---------------------------------------------------------------------------------------------------------

# Terms that the field does not have, and what to say instead: (pattern, where, remedy). Where: the beginnings of file names,
# "" for all. The patterns leave ordinary English alone: "tells X from Y", "in turn", "beside the stack".
TOLD = r"\btold\b(?! (?:not )?to\b| the\b)"
TELL = r"\btells?\b(?! (?:the|[A-Z])| \S.{0,60}\b(?:from|apart)\b)"
BESIDE = r"\bbeside\b(?=\s*(?:[.,;:)]|\*/|$|(?:is|was|when|still|and|happens|has|had|on|for)\b))|\bbeside_\w+"
OWN_TERMS = [
    (r"(?<![a-z])doors?(?![a-z])", ("",), "uring, the uring object, or adapter"),
    (TOLD, ("",), "reported, detected, or known"),
    (TELL, ("",), "reports, detects, shows, or knows"),
    (r"\bmend(?:s|ed|ing)?\b", ("",), "fix"),
    (r"\baloud\b", ("",), "with the reason printed"),
    (r"\bwarm\b(?![ -]up)", ("",), "cached or dirty"),
    (BESIDE, ("",), "hot slot"),
    (r"\bthe truth about\b", ("",), "direct I/O limits, verified"),
    (r"\bfloor \d", ("",), "the folder, which src/README.md has"),
    (r"\b(?:last|a|two|next|this) turns?\b|\bthat turn\b|\bturn_ms\b", ("src/", "include/"), "decay epoch"),
    (r"(?<![a-z])ticks?(?![a-z])", ("src/", "include/"), "decay poll"),
    (r"\bloose\b", ("src/", "include/", "docs/", "test/"), "on the free list"),
    (r"\bsettle[sd]?\b", ("src/pool/", "docs/pool.md"), "rebatch"),
    (r"\bma[dk](?:e|es|ing) (?:and|or|nor) drop", ("",), "allocated and freed"),
    (r"\bsize that cannot be\b", ("",), "size overflow"),
    (r"\bwith an intent\b", ("",), "with a policy (require, prefer, off)"),
    (r"unreserve_commit|\bjdb__\w*renew\b", ("",), "remap_fresh, decommit_to_reserved"),
    (r"\bverdict|\bpump", ("tool/", "man/", "script/"), "outcome, copy_pass"),
]

BANNED_CALLS = {
    "strcpy": "memcpy with a known size", "strcat": "snprintf into the rest of the array",
    "strncpy": "memcpy with a known size, or snprintf", "strncat": "snprintf into the rest of the array",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "strchr, or strsep on a copy",
    "atoi": "strtol with its end checked", "atol": "strtol with its end checked", "atoll": "strtoll with its end checked",
    "atof": "strtod with its end checked", "scanf": "fgets and strtol", "alloca": "a fixed array or a jdb_buf",
    "rand": "a generator with a printed seed", "srand": "a generator with a printed seed",
    "mktemp": "mkstemp", "tmpnam": "mkstemp", "tempnam": "mkstemp", "asctime": "strftime", "ctime": "strftime",
    "gmtime": "gmtime_r", "localtime": "localtime_r", "signal": "sigaction", "usleep": "nanosleep",
    "bzero": "memset", "bcopy": "memmove", "index": "strchr", "vfork": "posix_spawn",
}
LEFTOVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
VAGUE_NAMES = re.compile(r"(^|[_-])(utils?|helpers?|misc|managers?|common|stuff)([_-]|$)")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|root|home/\w+)/")
FUNCTION_LINES_MAX = 70
ALL_IN_ONE = "src/jdb_alloc_all.c"  # includes every source of the core
STACK_DRAWING = "docs/drawings/stack.dot"

findings = []


def found(place, remedy):
    findings.append(f"{place}: {remedy}")


def tracked(*suffixes):
    """Files of the project, in git or about to be; those that are gone from the tree are not."""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, text=True)
    names = listing.stdout.split("\0") if listing.returncode == 0 else []
    if not names:  # not a clone: an unpacked archive
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
        names = [name for name in names if not name.startswith(("build/", "build-", ".git/"))]
    names = sorted({name for name in names if name and (ROOT / name).is_file()})
    return [name for name in names if not suffixes or name.endswith(suffixes)]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def code_only(text):
    """C without comments and strings; line numbers stay."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match.group(0)), text, flags=re.S)


def includes(name):
    for number, line in enumerate(read(name).split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


# ---- Rules ---------------------------------------------------------------------------------------------------------

def folder_of(name):
    """The folder that a file of src/ or include/ belongs to, or None."""
    if name.startswith("include/"):
        return HEADER_FOLDERS.get(name[len("include/"):])
    parts = Path(name).parts
    return parts[1] if len(parts) == 3 and parts[1] in FOLDERS else None


def is_system(name):
    """Whether a file is one of those that make system calls."""
    return name.startswith("src/os/")


def rule_folders():
    """Each file lies in a folder and includes only its own folder or those below it."""
    ranks = {folder: rank for rank, folder in enumerate([*FOLDERS, "C++"])}
    for name in tracked(".c", ".h", ".hpp"):
        if not name.startswith(("src/", "include/")) or name == ALL_IN_ONE:
            continue
        folder = folder_of(name)
        if folder is None:
            found(name, "lies in no folder of the list at the head of test/house_test.py: put it where its noun belongs, or "
                  "add the folder to the list and to src/README.md")
            continue
        for number, own, target in includes(name):
            if own:
                target_folder = HEADER_FOLDERS.get(target, HEADER_FOLDERS.get("jdb_alloc/" + target)) \
                    or folder_of("src/" + target)
                if target_folder is None:
                    found(f"{name}:{number}", f'"{target}" lies in no folder: system headers go in <>, ours are '
                          '"folder/name.h"')
                elif ranks[target_folder] > ranks[folder]:
                    found(f"{name}:{number}", f"{folder} includes {target} of {target_folder}, which lies above it: move what "
                          "is needed down, or the caller up")
            elif name.startswith("include/") and name[len("include/"):] not in ADAPTERS and folder != "C++" \
                    and target not in CORE_HEADER_INCLUDES:
                found(f"{name}:{number}", f"a header of the core includes <{target}>: no platform type in a core header; "
                      "use fixed-width integers, or put it in an adapter")


def used_folders():
    """For each folder of src/ the others that its sources and public headers include."""
    uses = {folder: set() for folder in FOLDERS}
    for name in tracked(".c", ".h"):
        folder = folder_of(name) if name.startswith(("src/", "include/jdb_alloc/")) and name != ALL_IN_ONE else None
        for _, own, target in includes(name) if folder in uses else ():
            other = HEADER_FOLDERS.get(target, HEADER_FOLDERS.get("jdb_alloc/" + target)) or folder_of("src/" + target)
            if own and other in FOLDERS[:FOLDERS.index(folder)]:  # what lies above is a finding of rule_folders()
                uses[folder].add(other)
    return uses


def not_by_others(folder, uses):
    """The folders used, but for those that one of them uses in turn."""
    def reached(start):
        return uses[start].union(*(reached(other) for other in uses[start]))
    return uses[folder].difference(*(reached(other) for other in uses[folder]))


def rule_drawing():
    """The table of src/README.md and the arrows of docs/drawings/stack.dot are what the folders include."""
    uses = used_folders()
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", read("src/README.md"), re.M)
    for folder, cell in rows:
        wanted = [other for other in FOLDERS if other in uses.get(folder, ())]
        if folder in uses and [other for other in cell.split(", ") if other in FOLDERS] != wanted:
            found("src/README.md", f"{folder}/ uses {', '.join(wanted)}: say so in its row")
    for folder in FOLDERS:
        if folder not in dict(rows):
            found("src/README.md", f"has no row for {folder}/")
    drawn = {(user, used) for used, user in re.findall(r"^\s*(\w+) -> (\w+);", read(STACK_DRAWING), re.M) if user in uses}
    real = {(folder, other) for folder in FOLDERS for other in not_by_others(folder, uses)}
    for user, used in sorted(real - drawn):
        found(STACK_DRAWING, f"lacks '{used} -> {user};': {user} includes {used}; then docs/drawings/make.sh")
    for user, used in sorted(drawn - real):
        found(STACK_DRAWING, f"has '{used} -> {user};', which no include makes, or others lead there: take it out")


def rule_one_source():
    """src/jdb_alloc_all.c includes every source of the core, once."""
    included = [target for _, own, target in includes(ALL_IN_ONE) if own]
    core = [name[len("src/"):] for name in tracked(".c") if name.startswith("src/") and name != ALL_IN_ONE
            and folder_of(name) != "uring" and "uring" not in name]
    for target in sorted(set(core) - set(included)):
        found(ALL_IN_ONE, f"lacks {target}: include it")
    for target in sorted(set(included) - set(core)):
        found(ALL_IN_ONE, f"includes {target}, which is no source of the core")
    for target in sorted({target for target in included if included.count(target) > 1}):
        found(ALL_IN_ONE, f"includes {target} twice")


def rule_tool():
    """The commands of dio use public headers and tool/base, and not each other."""
    for name in tracked(".c", ".h"):
        if not name.startswith("tool/") or name == "tool/main.c":
            continue
        folder = Path(name).parts[1]
        if folder not in TOOL_FOLDERS:
            found(name, "lies in no folder of tool/: one of " + ", ".join(TOOL_FOLDERS))
            continue
        for number, own, target in includes(name):
            top = Path(target).parts[0]
            if own and top in TOOL_FOLDERS and top != folder and (top in PEERS or folder == "base"):
                found(f"{name}:{number}", f"tool/{folder} includes {target}: what both need goes into tool/base")
            elif own and top not in TOOL_FOLDERS and not target.startswith("jdb_alloc"):
                found(f"{name}:{number}", f'includes "{target}": the tool uses public headers and its own, as "folder/name.h"')


def is_instrumented():
    """Whether the build carries more than our code."""
    cache = (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(r"JDB_SANITIZE:STRING=.|INTERPROCEDURAL_OPTIMIZATION:\w+=(ON|TRUE|true)|--coverage", cache) is not None


def rule_system():
    """System calls and malloc are in src/os alone: by includes, and by what the built objects call."""
    for name in tracked(".c", ".h"):
        if not name.startswith("src/") or is_system(name) or name == ALL_IN_ONE or folder_of(name) == "uring":
            continue
        for number, own, target in includes(name):
            if not own and target not in SOURCE_INCLUDES | MORE_INCLUDES.get(name, set()):
                found(f"{name}:{number}", f"includes <{target}>: what it is for goes through src/os/os.h")
    if is_instrumented():
        print("skipped: calls of the built objects (this build is instrumented)")
        return
    directory = BUILD / "CMakeFiles/jdb_alloc_static.dir/src"
    objects = sorted(directory.glob("*/*.o"))
    if not objects or shutil.which("nm") is None:
        print(f"skipped: calls of the built objects ({directory} or nm is not there)")
        return
    for path in objects:
        name = "src/" + str(path.relative_to(directory))[:-len(".o")]
        listing = subprocess.run(["nm", "-u", path], capture_output=True, text=True, check=True).stdout
        for symbol in re.findall(r"^\s+U (\S+)", listing, re.M):
            symbol = re.sub(r"^__(\w+)_chk$", r"\1", symbol)
            if is_system(name) or symbol.startswith(("jdb_", "__stack_chk", "_GLOBAL_OFFSET", "__tls")):
                continue
            if symbol not in OUTSIDE_CALLS:
                found(name, f"calls {symbol}(): add a function to src/os/os.h and src/os/linux.c that returns -errno "
                      "and can be made to fail; a pure function goes into OUTSIDE_CALLS of test/house_test.py")


def rule_systems():
    """What src/os/os.h declares is defined for Linux and for other systems."""
    declared = set(re.findall(r"^[a-z]\w*(?: \w+)*[ *]+(jdb__os_\w+)\(", code_only(read("src/os/os.h")), re.M))
    declared -= {"jdb__os_fault", "jdb__os_topology"}  # defined by the tests
    for name, sources in (("src/os/linux.c", "src/os/linux"), ("src/os/posix.c", "src/os/posix")):
        code = "".join(code_only(read(source)) for source in tracked(".c") if source.startswith(sources))
        for function in sorted(declared - set(re.findall(r"^[a-z]\w*(?: \w+)*[ *]+(jdb__os_\w+)\(", code, re.M))):
            found(name, f"lacks {function}() of src/os/os.h: define it; what only Linux has returns -ENOTSUP in posix.c")


def rule_functions():
    """No function is longer than 70 lines."""
    ctags = shutil.which("ctags")
    if ctags is None or b"Universal" not in subprocess.run([ctags, "--version"], capture_output=True).stdout:
        print("skipped: function lengths (no universal-ctags; script/bootstrap installs it)")
        return
    names = tracked(".c", ".h", ".hpp", ".cpp")
    listing = subprocess.run([ctags, "-o", "-", "--kinds-C=f", "--kinds-C++=f", "--fields=+ne", "-L", "-"], cwd=ROOT,
                             input="\n".join(names), capture_output=True, text=True, check=True).stdout
    for line in listing.split("\n"):
        match = re.match(r'(\S+)\t(\S+)\t.*\bline:(\d+).*\bend:(\d+)', line)
        if match and int(match.group(4)) - int(match.group(3)) + 1 > FUNCTION_LINES_MAX:
            length = int(match.group(4)) - int(match.group(3)) + 1
            found(f"{match.group(2)}:{match.group(3)}", f"{match.group(1)}() has {length} lines, {FUNCTION_LINES_MAX} at "
                  "most: keep the control flow here and move steps into functions with names")


def rule_calls():
    """No function that cannot be used safely."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED_CALLS) + r")\s*\(")
    for name in tracked(".c", ".h", ".hpp", ".cpp"):
        for number, line in enumerate(code_only(read(name)).split("\n"), 1):
            for match in pattern.finditer(line):
                found(f"{name}:{number}", f"{match.group(1)}() is banned: use {BANNED_CALLS[match.group(1)]}")


def rule_words():
    """No leftovers, no vague file names, no paths of one machine, one licence line in each source."""
    for name in tracked():
        if not name.endswith((".svg", ".png", ".json", ".csv")) and name != "test/house_test.py":
            for number, line in enumerate(read(name).split("\n"), 1):
                if LEFTOVERS.search(line):
                    found(f"{name}:{number}", "a leftover: do it now, or say in prose what holds today")
                if MACHINE_PATHS.search(line):
                    found(f"{name}:{number}", "a path of one machine: make it relative or take it from the environment")
        for part in Path(name).parts:
            if VAGUE_NAMES.search(Path(part).stem.lower()):
                found(name, f"'{part}' says nothing: name the file after the one noun that it holds")
        source = name.endswith((".c", ".h", ".hpp", ".cpp", ".py")) or re.match(r"(test|bench|fuzz)/.*\.sh$", name)
        if source and "SPDX-License-Identifier: MIT" not in "".join(read(name).split("\n")[:3]):
            found(name, "begin the file with 'SPDX-License-Identifier: MIT'")


def rule_terms():
    """The words are those of the field, not our own."""
    patterns = [(re.compile(pattern, 0 if pattern == TELL else re.I), where, instead) for pattern, where, instead in OWN_TERMS]
    for name in tracked():
        if name in ("test/house_test.py", "test/house_break_test.py", "LICENSE") or name.startswith("bench/results/") \
                or name.endswith((".svg", ".png", ".json", ".csv")):
            continue
        for number, line in enumerate(read(name).split("\n"), 1):
            for pattern, where, instead in patterns:
                match = pattern.search(line) if name.startswith(where) else None
                if match:
                    found(f"{name}:{number}", f"'{match.group(0)}' is a term of our own: say {instead}")


def rule_version():
    """The changelog begins with the version of base.h, and base.h agrees with itself."""
    base = read("include/jdb_alloc/base.h")
    text = re.search(r'JDB_VERSION_STRING "([^"]+)"', base).group(1)
    numbers = ".".join(re.search(rf"JDB_VERSION_{part} (\d+)", base).group(1) for part in ("MAJOR", "MINOR", "PATCH"))
    if text != numbers:
        found("include/jdb_alloc/base.h", f"JDB_VERSION_STRING is {text}, its numbers are {numbers}: make them one")
    entry = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M)
    if entry is None or entry.group(1) != text:
        found("CHANGELOG.md", f"the first entry must be '## {text}', the version of base.h")


def rule_reference():
    """Every public function is documented, with the version that brought it and no second form of error."""
    for path in headers.all_headers(ROOT / "include"):
        header = headers.parse(path)
        name = path.relative_to(ROOT)
        for function in header.undocumented:
            found(f"{name}:{function.line}", f"{function.name}() has no comment: say arguments with units, errors, who owns "
                  "what, thread safety, 'Since X.Y.'")
        for _, entries in header.sections:
            for entry in entries:
                if isinstance(entry, headers.Entry) and not re.search(r"\bSince\s+\d+\.\d+", entry.text):
                    found(f"{name}:{entry.line}", f"the comment of {', '.join(entry.names)} lacks 'Since X.Y.'")


# Functions of the headers of io_uring that have no form for C++: readers and writers have none.
NOT_CXX = {"jdb_uring_engine_open"}


def rule_forms():
    """Each function of the headers of io_uring that can fail has its two forms for C++."""
    for name in ("uring", "uring_group"):
        forms = code_only(read(f"include/jdb_alloc/{name}.hpp"))
        functions = headers.parse(ROOT / f"include/jdb_alloc/{name}.h").functions
        names = {function.name for function in functions}
        for function in functions:
            is_later = function.name.replace("uring_", "uring_prep_", 1) in names  # prep with JDB_URING_LATER
            if function.prototype.startswith("int ") and not is_later and function.name not in NOT_CXX \
                    and not re.search(rf"\b{function.name}\(", forms):
                found(f"include/jdb_alloc/{name}.h:{function.line}", f"{function.name}() has no form in {name}.hpp: add a "
                      "template there, and a line to the list of test/uring_hpp_test.cpp")


def compile_alone(job):
    compiler, standard, header, define = job
    if header in ADAPTERS | {"jdb_alloc.h"} or header.endswith(".hpp"):  # they name types of the platform
        define = [*define, "-D_GNU_SOURCE"]
    language = "c++" if "++" in standard else "c"
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror", "-fsyntax-only"]
    source = f'#include "{header}"\n#include "{header}"\nint jdb_alone(void);\nint jdb_alone(void) {{ return 0; }}\n'
    run = subprocess.run([compiler, "-x", language, f"-std={standard}", *flags, *define, "-I", ROOT / "include", "-"],
                         input=source, capture_output=True, text=True)
    return job, run


def rule_alone():
    """Each public header compiles alone, as C11 and as C++17, with gcc and clang."""
    needs = {"uring.h": "liburing.h", "uring_group.h": "liburing.h", "aio.h": "libaio.h", "uv.h": "uv.h", "uring.hpp": "liburing.h", "uring_group.hpp": "liburing.h", "jdb_alloc.hpp": None}
    jobs = []
    pairs = [(c, s) for c, s in (("gcc", "c11"), ("clang", "c11"), ("g++", "c++17"), ("clang++", "c++17"))]
    for compiler, standard in pairs:
        if shutil.which(compiler) is None:
            print(f"skipped: headers alone with {compiler} (not installed)")
            continue
        for path in headers.all_headers(ROOT / "include") + sorted((ROOT / "include").rglob("*.hpp")):
            need = needs.get(path.name)
            if need and subprocess.run([compiler, "-xc", "-E", "-"], input=f"#include <{need}>\n", text=True,
                                       capture_output=True).returncode != 0:
                print(f"skipped: {path.name} alone with {compiler} (no <{need}>)")
            elif not (path.suffix == ".hpp" and "++" not in standard):
                header = str(path.relative_to(ROOT / "include"))
                jobs += [(compiler, standard, header, []), (compiler, standard, header, ["-DJDB_CHECKED"])]
    with ThreadPoolExecutor(2) as pool:
        for (compiler, standard, header, _), run in pool.map(compile_alone, jobs):
            if run.returncode != 0:
                first = next((line for line in run.stderr.split("\n") if "error" in line), run.stderr[:200])
                found(f"include/{header}", f"does not compile alone as {standard} with {compiler}: {first}")


def exported(library):
    listing = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library], capture_output=True,
                             text=True, check=True).stdout
    return dict(re.findall(r"^\S+ [TDBRVW] (\w+)@@?(\S+)", listing, re.M))


def compare_symbols(library, names_since, where, map_name):
    symbols = exported(library)
    for name in sorted(set(names_since) - set(symbols)):
        found(where[name], f"{name}() is declared and not exported: add it to {map_name}, or define it")
    for name in sorted(set(symbols) - set(names_since)):
        found(map_name, f"{name} is exported and no public header documents it: document it, or take it out of the map")
    for name in sorted(set(symbols) & set(names_since)):
        if symbols[name].split("_")[-1] != names_since[name]:
            found(where[name], f"{name}() says Since {names_since[name]}, the map has it in {symbols[name]}: make them agree")


def documented(paths):
    since, where = {}, {}
    for path in paths:
        header = headers.parse(path)
        for _, entries in header.sections:
            for entry in entries:
                for function in entry.functions if isinstance(entry, headers.Entry) else []:
                    version = re.search(r"\bSince\s+(\d+\.\d+)", entry.text)
                    if function.exported:
                        since[function.name] = version.group(1) if version else "?"
                        where[function.name] = f"{path.relative_to(ROOT)}:{function.line}"
    return since, where


def rule_symbols():
    """The libraries export what their headers document, in the version that the comments say; nothing else."""
    libraries = [("libjdb_alloc.so", "src/jdb_alloc.map", headers.core_headers(ROOT / "include")),
                 ("libjdb_uring.so", "src/jdb_uring.map", sorted((ROOT / "include/jdb_alloc").glob("uring*.h")))]
    for library, map_name, paths in libraries:
        if not all(path.exists() for path in paths) or not (ROOT / map_name).exists():
            continue
        if not (BUILD / library).exists():
            print(f"skipped: symbols of {library} (not in {BUILD})")
            continue
        compare_symbols(BUILD / library, *documented(paths), map_name)


def rule_archives():
    """The static libraries define names that begin with jdb_ alone: others may be names of the program's own."""
    for name in ("libjdb_alloc.a", "libjdb_uring.a"):
        archive = BUILD / name
        if not archive.exists() or shutil.which("nm") is None or is_instrumented():
            print(f"skipped: symbols of {name} ({archive} or nm is not there, or the build is instrumented)")
            continue
        listing = subprocess.run(["nm", "-gA", "--defined-only", archive], capture_output=True, text=True, check=True).stdout
        for member, symbol in re.findall(r":(\S+?)\.c\.o:\S+ \w (\S+)", listing):
            if not symbol.startswith("jdb_"):
                found(f"src/{member}.c", f"{symbol} may clash with a name of the program: make it static, or call it "
                      f"jdb__{symbol}")


def rule_links():
    """Links of a page to files of the tree lead to a file."""
    for name in tracked(".md"):
        for number, line in enumerate(read(name).split("\n"), 1):
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", line):
                if target.startswith("plots/"):  # script/bench writes them
                    continue
                if not (ROOT / name).parent.joinpath(target).exists():
                    found(f"{name}:{number}", f"links to {target}, which is not in the tree: fix the link or remove it")


STATIC_TLS_MAX = 64  # bytes; more may not be there for a library that dlopen brings in


def rule_library():
    """The core needs libc alone, stays when dlclose() is called, and takes at most 64 bytes of static TLS."""
    library = BUILD / "libjdb_alloc.so"
    if not library.exists() or shutil.which("readelf") is None or is_instrumented():
        print(f"skipped: form of the library ({library} or readelf is not there, or the build is instrumented)")
        return
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    segments = subprocess.run(["readelf", "-lW", library], capture_output=True, text=True, check=True).stdout
    for needed in re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic):
        if not re.match(r"(libc|ld-linux.*|ld-musl.*)\.so", needed):
            found("CMakeLists.txt", f"libjdb_alloc needs {needed}: the core needs libc and nothing else")
    if "NODELETE" not in dynamic:
        found("CMakeLists.txt", "libjdb_alloc lacks -z nodelete: memory that is lent would lose its code at dlclose()")
    tls = re.search(r"^\s+TLS\s+\S+ \S+ \S+ \S+ 0x([0-9a-f]+)", segments, re.M)
    if tls and int(tls.group(1), 16) > STATIC_TLS_MAX:
        found("src", f"libjdb_alloc takes {int(tls.group(1), 16)} bytes of TLS, {STATIC_TLS_MAX} at most: keep one pointer per "
              "thread and map what is behind it")


def rule_manual():
    """Every public function has its page in the manual, and the pages are clean."""
    with tempfile.TemporaryDirectory() as output:
        subprocess.run([sys.executable, "-B", ROOT / "man/make_man.py", ROOT, output], check=True)
        pages = Path(output) / "man3"
        for path in headers.all_headers(ROOT / "include"):
            for function in headers.parse(path).functions:
                if not (pages / f"{function.name}.3").exists():
                    found(f"{path.relative_to(ROOT)}:{function.line}", f"{function.name}() has no page: man/make_man.py "
                          "does not read its comment; give it the form that the head of man/headers.py shows")
        if shutil.which("mandoc") is None:
            print("skipped: form of the manual (no mandoc; script/bootstrap installs it)")
            return
        real = [page for page in sorted(pages.glob("*.3")) if not page.read_text(encoding="utf-8").startswith(".so")]
        real += sorted((ROOT / "man").glob("*.1"))
        lint = subprocess.run(["mandoc", "-Tlint", *real], capture_output=True, text=True).stdout
        for line in lint.split("\n"):
            if line and "referenced manual not found" not in line:
                found("man", f"{line}: change the comment in the header, or man/make_man.py")


RULES = [rule_folders, rule_drawing, rule_one_source, rule_tool, rule_system, rule_systems, rule_functions, rule_calls,
         rule_words, rule_terms, rule_version, rule_reference, rule_forms, rule_alone, rule_symbols, rule_archives, rule_library, rule_manual,
         rule_links]


def main():
    wanted = sys.argv[1:]
    for rule in RULES:
        name = rule.__name__[len("rule_"):]
        if wanted and name not in wanted:
            continue
        before = len(findings)
        rule()
        result = "ok" if len(findings) == before else f"{len(findings) - before} findings"
        print(f"{name}: {result} - {rule.__doc__.strip()}", flush=True)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
