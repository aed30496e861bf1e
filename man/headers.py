# SPDX-License-Identifier: MIT
"""Reads the public headers: their comments are the one source of the reference documentation.

The form that is read:
  - the comment at the head of a file: "name.h - purpose", then prose
  - an entry: a comment that stands right above the functions it describes, or one that begins with their names
    ("jdb_buf_len, jdb_buf_cap - the words of the buffer")
  - types: "typedef struct ... name;", opaque ones too, and function types, with the comment above them
"""
import os
import re
from pathlib import Path
from typing import NamedTuple

DECLARATION = re.compile(r"^(?:JDB_API|JDB_INLINE|static inline)\b[^;{}#]*?\b(jdb_\w+)\s*\([^;{]*?\)\s*[;{]", re.M)
NAME_LIST = re.compile(r"((?:\s*,?\s*(?:and\s+)?(?:jdb|JDB)_\w+(?:\(\))?)+)\s+-\s")


class Function(NamedTuple):
    name: str
    prototype: str  # one line, without JDB_API and ';'
    line: int
    exported: bool  # has a symbol in the library


class Entry(NamedTuple):
    names: list  # functions and macros that the comment describes
    functions: list
    text: str
    line: int


class Header(NamedTuple):
    path: Path
    purpose: str
    text: str
    sections: list  # (title, [Entry or Type]) in reading order
    functions: list
    undocumented: list


class Type(NamedTuple):
    name: str
    code: str
    text: str
    line: int


def strip_comment(comment):
    """The words of a /* comment */, without its stars; indentation inside is kept."""
    body = re.sub(r"\*/$", "", comment.strip())[2:]
    lines = [re.sub(r"^\s*\* ?", "", line) if number else line.lstrip(" ") for number, line in enumerate(body.split("\n"))]
    return "\n".join(line.rstrip() for line in lines).strip("\n").rstrip()


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def prototype_of(match):
    one_line = re.sub(r"\s+", " ", match.group(0)[:-1]).strip()
    return re.sub(r"^(JDB_API|JDB_INLINE|static inline) (JDB_MUST_USE )?", "", one_line)


def functions_of(text, blank):
    """Every public function, found where comments are blanked out so that prose is never code."""
    return [
        (match.start(), match.end(), Function(match.group(1), prototype_of(match), line_of(text, match.start()),
                                              not match.group(0).startswith("static inline")))
        for match in DECLARATION.finditer(blank)
    ]


def names_of(comment_text):
    """The names that an entry begins with: "jdb_a, jdb_b - ..."; also after a full stop: "... jdb_c - ..."."""
    names = []
    for match in NAME_LIST.finditer(" " + comment_text):
        before = comment_text[: max(match.start() - 1, 0)].rstrip()
        if before == "" or before.endswith((".", ":")):
            names += re.findall(r"(?:jdb|JDB)_\w+", match.group(1))
    return names


def type_above(text, comments, start):
    """The comment that ends right above `start`, as text."""
    for comment in comments:
        if comment.end() <= start and text[comment.end():start].strip(" \t") == "\n":
            return strip_comment(comment.group(0))
    return ""


def types_of(text, blank, comments):
    found = []
    for match in re.finditer(r"^typedef (?:struct|union) \w*\s*\{.*?^\} (\w+);|^typedef [^;{]*\(\*(\w+)\)[^;]*;"
                             r"|^typedef struct \w+ (\w+);[^\n]*", blank, re.M | re.S):
        code = text[match.start():match.end()].rstrip()
        found.append((match.start(), Type(match.group(match.lastindex), code,
                                          type_above(text, comments, match.start()), line_of(text, match.start()))))
    return found + constants_of(text, blank, comments)


def family(names):
    """What constants have in common: JDB_X_A and JDB_X_B are JDB_X_x."""
    if len(names) == 1:
        return names[0]
    prefix = os.path.commonprefix(names)
    return prefix[:prefix.rfind("_") + 1] + "x"


def constants_of(text, blank, comments):
    """Enumerations, and runs of #define with a comment above. Macros of compilers are not for the reader."""
    found = []
    for match in re.finditer(r"^enum(?: \w+)?\s*\{(.*?)^\};|(?:^#define JDB_\w+ [^\n\\]+\n)+", blank, re.M | re.S):
        code = text[match.start():match.end()].rstrip()
        names = re.findall(r"^(?:\s+|#define )(JDB_\w+)", blank[match.start():match.end()], re.M)
        words = type_above(text, comments, match.start())
        if names and words and "__attribute__" not in code and "inline" not in code and names_of(words) == []:
            found.append((match.start(), Type(family(names), code, words, line_of(text, match.start()))))
    return found


def parse(path):
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    comments = list(re.finditer(r"/\*.*?\*/", text, re.S))
    blank = re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)
    functions = functions_of(text, blank)
    by_name = {function.name: function for _, _, function in functions}

    head = strip_comment(comments[0].group(0))
    head = re.sub(r"^SPDX-License-Identifier: \S+\s*", "", head)
    title, _, rest = head.partition("\n\n")
    title = re.sub(r"\s+", " ", title)
    purpose = re.sub(r"^\S+ - ", "", title)

    sections = [("", [])]
    seen = set()
    pieces = [(comment.start(), "comment", comment) for comment in comments[1:]]
    pieces += [(start, "type", found) for start, found in types_of(text, blank, comments)]
    for _, kind, piece in sorted(pieces, key=lambda item: item[0]):
        if kind == "type":
            sections[-1][1].append(piece)
            continue
        words = strip_comment(piece.group(0))
        title_match = re.fullmatch(r"-+ (.+?) -+", words)
        if title_match:
            sections.append((title_match.group(1), []))
            continue
        attached = attached_functions(text, piece.end(), functions)
        names = names_of(words)
        described = [function for function in attached]
        described += [by_name[name] for name in names if name in by_name and by_name[name] not in described]
        macros = [name for name in names if name not in by_name and name.startswith("JDB_")]
        if not described and not macros:
            continue
        seen.update(function.name for function in described)
        sections[-1][1].append(Entry([function.name for function in described] + macros, described, words,
                                     line_of(text, piece.start())))
    every = [function for _, _, function in functions]
    return Header(path, purpose, rest, [section for section in sections if section[1]], every,
                  [function for function in every if function.name not in seen])


def attached_functions(text, end, functions):
    """The functions that follow a comment without an empty line or other code between."""
    attached = []
    for start, stop, function in functions:
        if start >= end and text[end:start].strip(" \t") == "\n":
            attached.append(function)
            end = stop
            if text[stop - 1] == "{":
                break
    return attached


def core_headers(include):
    """The headers whose functions libjdb_alloc exports."""
    top = (Path(include) / "jdb_alloc.h").read_text(encoding="utf-8")
    return [Path(include) / name for name in re.findall(r'^#include "(jdb_alloc/\w+\.h)"', top, re.M)]


def all_headers(include):
    return [Path(include) / "jdb_alloc.h"] + sorted((Path(include) / "jdb_alloc").glob("*.h"))
