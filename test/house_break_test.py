#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks each house rule in a copy of the project and checks that test/house_test.py finds it and says what to do."""
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
PARTS = ("include", "src", "tool", "test", "man", "docs/drawings", "CHANGELOG.md")


def append(name, text):
    def change(copy):
        with open(copy / name, "a", encoding="utf-8") as file:
            file.write(text)
    return change


def create(name, text):
    def change(copy):
        (copy / name).write_text(text, encoding="utf-8")
    return change


def replace(name, old, new):
    def change(copy):
        text = (copy / name).read_text(encoding="utf-8")
        assert re.search(old, text), f"nothing to break: {old} is not in {name}"
        (copy / name).write_text(re.sub(old, new, text, count=1), encoding="utf-8")
    return change


SPDX = "/* SPDX-License-Identifier: MIT */\n"
LONG_FUNCTION = "static int long_one(int n)\n{\n" + "    n++;\n" * 68 + "    return n;\n}\n"
ORDINARY = """/* The lowest bit tells an object from a table. The kernel was told to keep them, and told the caller so.
 * This tells AddressSanitizer what is lent, and tells them apart. A slot beside the stack; amend, recommend.
 * The calls fail in turn; turn the result into a length. The indoor pool settles by itself.
 * Made of pages, dropped at the end. Near the truth.
 * With a warm-up round. The front of the queue.
 * It moves with intent.
 * The floor of the scale.
 * Loosely coupled. */
"""
PROTOTYPE = r"JDB_API uint32_t jdb_version\(void\);"

# rule, what is broken, the change, what the finding must say
BREAKS = [
    ("folders", "a lower folder includes a higher one", append("src/page/heap.c", '#include "view/buf.h"\n'),
     r'src/page/heap\.c:\d+: "view/buf\.h" lies in no folder|page includes view/buf\.h of view'),
    ("folders", "a header below includes one above", append("include/jdb_alloc/pages.h", '#include "buf.h"\n'),
     r"pages\.h:\d+: page includes buf\.h of view, which lies above it: move"),
    ("folders", "a file in no folder", create("src/attic.c", SPDX), r"src/attic\.c: lies in no folder"),
    ("folders", "a platform header in a core header", append("include/jdb_alloc/buf.h", "#include <sys/uio.h>\n"),
     r"buf\.h:\d+: a header of the core includes <sys/uio\.h>"),
    ("drawing", "an include that is not drawn", append("src/direct/plan.c", '#include "pin/pin_mark.h"\n'),
     r"stack\.dot: lacks 'pin -> direct;': direct includes pin"),
    ("drawing", "an arrow that no include makes", replace("docs/drawings/stack.dot", "arena -> pool;", r"\g<0>\n    pool -> file;"),
     r"stack\.dot: has 'pool -> file;', which no include makes"),
    ("drawing", "a row that lacks a folder", replace("src/README.md", ", pool, file \\|", ", file |"),
     r"src/README\.md: stream/ uses base, os, view, arena, pool, file: say so"),
    ("one_source", "a source that the one source lacks", create("src/view/attic.c", SPDX), r"lacks view/attic\.c: include it"),
    ("tool", "one command uses another", append("tool/cp/copy.c", '#include "probe/probe.h"\n'),
     r"tool/cp/copy\.c:\d+: tool/cp includes probe/probe\.h: what both need"),
    ("system", "a system header outside of src/os", append("src/view/buf.c", "#include <sys/mman.h>\n"),
     r"src/view/buf\.c:\d+: includes <sys/mman\.h>: what it is for goes through src/os/os\.h"),
    ("systems", "a call that only Linux has", append("src/os/os.h", "int jdb__os_only_here(int fd);\n"),
     r"src/os/posix\.c: lacks jdb__os_only_here\(\) of src/os/os\.h: define it"),
    ("functions", "a function of 72 lines", append("src/view/raw.c", LONG_FUNCTION), r"long_one\(\) has 72 lines, 70 at most"),
    ("calls", "a call that cannot be bounded", append("src/view/raw.c", "void f(char *a) { strcpy(a, a); }\n"),
     r"src/view/raw\.c:\d+: strcpy\(\) is banned: use memcpy"),
    ("calls", "a call of a word in a comment is none", append("src/view/raw.c", "/* strcpy(a, b) */\n"), None),
    ("words", "a leftover", append("src/view/raw.c", "/* TO" "DO: later */\n"), r"src/view/raw\.c:\d+: a leftover"),
    ("words", "a vague file name", create("src/page/page_utils.c", SPDX), r"src/page/page_utils\.c: 'page_utils\.c' says nothing"),
    ("words", "no licence line", create("src/attic.c", "int x;\n"), r"src/attic\.c: begin the file with 'SPDX"),
    ("words", "a path of one machine", append("src/view/raw.c", "/* /ro" "ot/x */\n"), r"src/view/raw\.c:\d+: a path of one machine"),
    ("terms", "a word of our own", create("src/view/attic.h", SPDX + "/* Whether it is lent is told by the do" "or. */\n"),
     r"src/view/attic\.h:2: 'door' is a term of our own: say uring(?s:.*)attic\.h:2: 'told' is a term of our own: say reported"),
    ("terms", "the same words in ordinary English", create("src/view/attic.h", SPDX + ORDINARY + "/* me" "nd */\n"),
     r"\A(?!(?s:.*)attic\.h:[2-9]:)(?s:.*)attic\.h:10: 'mend' is a term of our own: say fix"),
    ("version", "a changelog behind", replace("CHANGELOG.md", r"## [\d.]+", "## 0.0.9"), r"the first entry must be '## "),
    ("version", "two versions in base.h", replace("include/jdb_alloc/base.h", r"JDB_VERSION_PATCH \d+", "JDB_VERSION_PATCH 77"),
     r"JDB_VERSION_STRING is [\d.]+, its numbers are"),
    ("reference", "a function without a comment",
     replace("include/jdb_alloc/base.h", PROTOTYPE, r"\g<0>\n\nJDB_API int jdb_bare(void);"), r"jdb_bare\(\) has no comment: say"),
    ("reference", "a function without its version", replace("include/jdb_alloc/base.h", r"Since 0\.1\. \*/", "*/"),
     r"the comment of \w+ lacks 'Since"),
    ("forms", "a function without a form for C++",
     append("include/jdb_alloc/uring.h", "/* Since 0.2. */\nJDB_API int jdb_uring_new(void);\n"),
     r"jdb_uring_new\(\) has no form in uring\.hpp"),
    ("alone", "a header that needs another", append("include/jdb_alloc/base.h", "static inline off_t f(void) { return 0; }\n"),
     r"base\.h: does not compile alone as c11 with gcc"),
    ("symbols", "a documented function that is not exported",
     replace("include/jdb_alloc/base.h", PROTOTYPE, r"\g<0>\n\n/* jdb_gone - x. Since 0.1. */\nJDB_API int jdb_gone(void);"),
     r"jdb_gone\(\) is declared and not exported: add it to src/jdb_alloc\.map"),
    ("symbols", "an exported function that no header has", replace("include/jdb_alloc/base.h", PROTOTYPE, ""),
     r"jdb_version is exported and no public header documents it"),
    ("symbols", "a version that the map does not have",
     replace("include/jdb_alloc/base.h", r"Since 0\.1\. \*/\nJDB_API uint32_t", "Since 0.7. */\nJDB_API uint32_t"),
     r"jdb_version\(\) says Since 0\.7, the map has it in JDB_0\.1"),
]


def run(rule, copy):
    return subprocess.run([sys.executable, "-B", copy / "test/house_test.py", rule], capture_output=True, text=True,
                          env={**os.environ, "JDB_SOURCE_DIR": str(copy), "JDB_BUILD_DIR": str(BUILD)})


def break_rule(breakage):
    rule, what, change, wanted = breakage
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "project"
        for part in PARTS:
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part if source.is_dir() else copy)
        change(copy)
        result = run(rule, copy)
        if wanted is None:
            good = result.returncode == 0
        else:
            good = result.returncode == 1 and re.search(wanted, result.stdout)
        return f"{rule}: {what}", good, result.stdout + result.stderr


def main():
    failures = 0
    usable = [breakage for breakage in BREAKS
              if (breakage[0] != "symbols" or (BUILD / "libjdb_alloc.so").exists())
              and (breakage[0] != "functions" or shutil.which("ctags"))]
    with ThreadPoolExecutor(2) as pool:
        for name, good, output in pool.map(break_rule, usable):
            print(f"[       OK ] {name}" if good else f"[  FAILED  ] {name.replace(' ', '_')}\n{output}")
            failures += not good
    print(f"{len(usable)} ways to break a rule, {failures} not found")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
