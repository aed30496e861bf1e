#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the manual from the public headers: one page per header, and a link to it for each function.

    man/make_man.py SOURCE_DIR OUTPUT_DIR      writes OUTPUT_DIR/man3/*.3
"""
import datetime
import os
import re
import sys
import textwrap
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import headers  # noqa: E402

WIDTH = 78
BREAK_BEFORE = re.compile(r"(Returns\b|Any thread\b|Thread safety:|\w+(, \w+)*: )")  # a line that opens a paragraph


def page_name(path):
    return "jdb_alloc" if path.name == "jdb_alloc.h" else f"jdb_{path.stem}"


def escape(text):
    """Literal text: the formatter interprets no backslash, leading dot or leading quote."""
    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![\w-])-(?=\w)", r"\\-", text)
    return re.sub(r"^([.'])", r"\\&\1", text)


def bold_calls(text):
    return re.sub(r"\b([A-Za-z_]\w*)\(\)", r"\\fB\1\\fR()", text)


def one_sentence_per_line(paragraph):
    """mdoc wants each sentence to begin a line; a line stays below 80 bytes."""
    text = re.sub(r"\s+", " ", paragraph).strip()
    for sentence in re.split(r"(?<=[.?!])\s+(?=\S)|(?<=[.?!]\))\s+(?=\S)", text):
        for line in textwrap.wrap(sentence, WIDTH - 20, break_long_words=False, break_on_hyphens=False):
            yield bold_calls(escape(line))


def paragraphs(text):
    """Blocks of lines, each literal (all lines are indented: code, a table) or prose."""
    block, literal = [], None
    for line in text.split("\n") + [""]:
        indented = line.startswith("  ")
        if not line.strip():
            if literal and block:
                block.append("")
                continue
            if block:
                yield literal, block
            block, literal = [], None
            continue
        if literal is not None and (indented != literal or (not indented and BREAK_BEFORE.match(line))):
            yield literal, block
            block = []
        literal = indented
        block.append(line)
    if any(line.strip() for line in block):
        yield literal, block


def is_list(block):
    return any(line.lstrip().startswith("- ") for line in block) and block[0].lstrip().startswith("- ")


def items_of(block):
    items = []
    for line in block:
        if line.lstrip().startswith("- "):
            items.append(line.lstrip()[2:])
        elif line.strip():
            items[-1] += " " + line.strip()
    return items


def body(text, first_paragraph_mark=False):
    """The comment as mdoc."""
    lines, begun = [], first_paragraph_mark
    for literal, block in paragraphs(text):
        while block and not block[-1].strip():
            block.pop()
        if literal and not is_list(block):
            indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
            lines += [".Bd -literal -offset indent"]
            lines += [escape(line[indent:]) if line.strip() else "" for line in block]
            lines += [".Ed"]
        elif is_list(block):
            lines += [".Bl -bullet -compact -offset indent"]
            for item in items_of(block):
                lines += [".It", *one_sentence_per_line(item)]
            lines += [".El"]
        else:
            lines += [".Pp"] if begun else []
            lines += one_sentence_per_line(" ".join(block))
        begun = True
    return lines


def quoted(argument):
    return '"' + argument.replace("\\", "\\e") + '"'


def split_arguments(arguments):
    """At the commas of the outer level."""
    depth, parts, part = 0, [], ""
    for character in arguments:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    return [*parts, part.strip()]


def synopsis_of(function):
    match = re.match(r"(.*?)(jdb_\w+)\s*\((.*)\)$", function.prototype)
    kind, name, arguments = match.group(1).strip(), match.group(2), match.group(3)
    lines = [f".Ft {quoted(kind)}", f".Fo {name}"]
    lines += [f".Fa {quoted(argument)}" for argument in split_arguments(arguments)]
    return [*lines, ".Fc"]


def entry_of(item):
    if isinstance(item, headers.Type):
        text = item.text and body(item.text)
        code = [escape(line.replace("\t", "        ")) for line in item.code.split("\n")]
        return [f".Ss {item.name}", *(text or []), ".Bd -literal", *code, ".Ed"]
    text = item.text
    if len(item.names) == 1:
        text = re.sub(rf"^{item.names[0]}(\(\))?\s+-\s+", "", text)
        text = text[:1].upper() + text[1:]
    return [f".Ss {', '.join(item.names)}", *body(text)]


def page_of(header, names, others, date):
    own = page_name(header.path)
    purpose = re.split(r"(?<=\w)\. ", header.purpose)[0].rstrip(".")
    include = header.path.name if own == "jdb_alloc" else f"jdb_alloc/{header.path.name}"
    core = include == "jdb_alloc.h" or include in {f"jdb_alloc/{path.name}" for path in names["core"]}
    listed = [own] + [function.name for function in header.functions if function.name != own]
    lines = ['.\\" Made from ' + include + " by man/make_man.py; do not edit.",
             f".Dd {date}", f".Dt {own.upper()} 3", ".Os", ".Sh NAME"]
    lines += [f".Nm {name}" + (" ," if name != listed[-1] else "") for name in listed]
    lines += [f".Nd {escape(purpose)}", ".Sh SYNOPSIS"]
    if core:
        lines += [".In jdb_alloc.h"]
    else:
        lines += [f".In {include}"]
    for function in header.functions:
        lines += synopsis_of(function)
    lines += [".Sh DESCRIPTION"]
    rest = header.purpose[len(purpose):].lstrip(". ")
    overview = body((rest + "\n\n" if rest else "") + header.text)
    lines += overview
    for title, items in header.sections:
        for item in items:
            lines += entry_of(item)
    lines += [".Sh SEE ALSO"]
    lines += [f".Xr {other} 3" + (" ," if other != others[-1] else "") for other in others]
    return "\n".join(lines) + "\n"


def release_date(source):
    """The date of the newest entry of the changelog, or of the build: SOURCE_DATE_EPOCH makes it repeatable."""
    entry = re.search(r"^## \S+ \((\d{4})-(\d\d)-(\d\d)\)", (source / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    if entry:
        day = datetime.date(*map(int, entry.groups()))
    else:
        now = os.environ.get("SOURCE_DATE_EPOCH")
        day = datetime.datetime.fromtimestamp(int(now), datetime.timezone.utc).date() if now else datetime.date.today()
    return f"{day:%B} {day.day}, {day.year}"


def main():
    source, output = Path(sys.argv[1]), Path(sys.argv[2]) / "man3"
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("*.3"):
        old.unlink()
    include = source / "include"
    names = {"core": headers.core_headers(include)}
    pages = [headers.parse(path) for path in headers.all_headers(include)]
    titles = {page_name(page.path) for page in pages}
    date = release_date(source)
    for page in pages:
        own = page_name(page.path)
        others = sorted(titles - {own})
        (output / f"{own}.3").write_text(page_of(page, names, others, date), encoding="utf-8")
        for function in page.functions:
            if function.name not in titles:
                (output / f"{function.name}.3").write_text(f".so man3/{own}.3\n", encoding="utf-8")


if __name__ == "__main__":
    main()
