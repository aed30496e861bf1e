# SPDX-License-Identifier: MIT
"""Public headers as HTML. What a header says is read by man/headers.py, its paragraphs by man/make_man.py."""
import html
import json
import re
import subprocess

import headers
import make_man
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

NAME = re.compile(r"\b\w+\.(?:hpp|h)\b|\b(?:jdb|JDB)_\w+\b(?:\(\))?|(?<!\w)-E[A-Z0-9]{3,}\b")


def coloured(code, language):
    """Lines of HTML without a frame: names and comments in classes of pygments."""
    return highlight(code, get_lexer_by_name(language, stripnl=False), HtmlFormatter(nowrap=True)).rstrip("\n")


def code_block(code, language, link, style=""):
    """Code with its public names linked."""
    words = coloured(code, language) if language else html.escape(code)
    words = re.sub(r'(?<=">)(?:jdb|JDB)_\w+(?=</span>)', lambda match: link(match.group(0), match.group(0)), words)
    return f'<pre class="code {style}"><code>{words}</code></pre>'


def linked(text, link):
    """Prose of a comment: names in it are code, and links where they are public."""
    pieces, end = [], 0
    for match in NAME.finditer(text):
        word = match.group(0)
        code = f'<code class="error">{word}</code>' if word.startswith("-") else f"<code>{word}</code>"
        pieces += [html.escape(text[end:match.start()]), link(word.removesuffix("()"), code)]
        end = match.end()
    return "".join(pieces) + html.escape(text[end:])


def prose(text, link):
    """The words of a comment."""
    parts = []
    for literal, block in make_man.paragraphs(text):
        while block and not block[-1].strip():
            block.pop()
        if make_man.is_list(block):
            items = "".join(f"<li>{linked(item, link)}</li>" for item in make_man.items_of(block))
            parts.append(f"<ul>{items}</ul>")
        elif literal:
            indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
            code = "\n".join(line[indent:] for line in block)
            parts.append(code_block(code, "c" if ";" in code else "", link))
        else:
            parts.append(f"<p>{linked(' '.join(line.strip() for line in block), link)}</p>")
    return "\n".join(parts)


def prototype(function):
    """Each argument on a line of its own where one line would be long."""
    if len(function.prototype) <= 80:
        return function.prototype + ";"
    match = re.match(r"(.*?jdb_\w+\s*\()(.*)\)$", function.prototype)
    return match.group(1) + "\n    " + ",\n    ".join(make_man.split_arguments(match.group(2))) + ");"


def constants(code):
    """The names that an enumeration or a run of #define gives."""
    blank = re.sub(r"/\*.*?\*/|//[^\n]*", "", code, flags=re.S)
    return re.findall(r"^(?:\s+|#define )(JDB_\w+)", blank, re.M)


def names_of(item):
    """All names whose place is this entry of a header; the first one is the entry's own."""
    if isinstance(item, headers.Type):
        return [item.name, *(name for name in constants(item.code) if name != item.name)]
    return list(item.names)


def anchors(names):
    """A place for each name but the first, which the heading has."""
    return "".join(f'<span id="{name}"></span>' for name in names[1:])


def entry(item, link):
    names = names_of(item)
    if isinstance(item, headers.Type):
        title, words, codes = item.name, item.text, [item.code]
    else:
        title = ", ".join(item.names)
        words = re.sub(rf"^{item.names[0]}(\(\))?\s+-\s+", "", item.text) if len(item.names) == 1 else item.text
        words = re.sub(r"^[a-z](?=[a-z]* )", lambda first: first.group(0).upper(), words)
        codes = ["\n".join(prototype(function) for function in item.functions)] if item.functions else []
    blocks = "".join(code_block(code, "c", link, "declaration") for code in codes)
    return (f'<section class="entry">{anchors(names)}<h3 id="{names[0]}"><code>{title.replace(", ", ",</code> <code>")}</code></h3>\n'
            f"{blocks}\n{prose(words, link)}</section>")


def numbered(header):
    """A name that two blocks share (JDB_ARENA_x) is a place of the first one alone: the others get a number."""
    seen, sections = {}, []
    for title, items in header.sections:
        fresh = []
        for item in items:
            if isinstance(item, headers.Type):
                seen[item.name] = seen.get(item.name, 0) + 1
                item = item._replace(name=item.name + (f"-{seen[item.name]}" if seen[item.name] > 1 else ""))
            fresh.append(item)
        sections.append((title, fresh))
    return header._replace(sections=sections)


def page(header, link):
    """The body of a header's page."""
    include = header.path.name if header.path.name == "jdb_alloc.h" else f"jdb_alloc/{header.path.name}"
    parts = [f"<h1>{header.path.name}</h1>", f'<p class="purpose">{linked(header.purpose, link)}</p>',
             code_block(f"#include <{include}>", "c", link), prose(header.text, link)]
    for title, items in header.sections:
        parts += [f'<h2 id="{slug(title)}">{html.escape(title)}</h2>'] if title else []
        parts += [entry(item, link) for item in items]
    return "\n".join(parts)


def slug(title):
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


# ---- C++, and sources: the text itself is the page -------------------------------------------------------------------

def places(path):
    """(line, name) of the classes and functions of a C++ header, by ctags."""
    listing = subprocess.run(["ctags", "--output-format=json", "--languages=C++", "--map-C++=+.hpp", "--kinds-C++=cstf",
                              "--fields=+nsZ", "-o", "-", path], capture_output=True, text=True, check=True).stdout
    tags = [json.loads(line) for line in listing.split("\n") if line]
    return [(tag["line"], f"{tag['scope']}::{tag['name']}".removeprefix("jdb::") if "scope" in tag else tag["name"])
            for tag in sorted(tags, key=lambda tag: tag["line"]) if not tag["name"].startswith(("__anon", "~", "operator"))]


def source_page(path, title, link):
    """The body of the page of a source: its head comment where it is a public C++ header, then its text."""
    text = path.read_text(encoding="utf-8")
    parts, found = [f"<h1>{html.escape(title)}</h1>"], []
    if path.suffix == ".hpp":
        head = re.match(r"/\*.*?\*/\n?", text, re.S).group(0)
        words = re.sub(r"^SPDX-License-Identifier: \S+\s*", "", headers.strip_comment(head))
        purpose, _, rest = words.partition("\n\n")
        parts += [f'<p class="purpose">{linked(re.sub(r"^[^ ]+ - ", "", " ".join(purpose.split())), link)}</p>',
                  prose(rest, link), '<h2 id="source">Source</h2>']
        found = places(path)
        text = text[len(head):]
        found = [(line - head.count("\n"), name) for line, name in found]
    language = {".c": "c", ".h": "c", ".hpp": "cpp", ".cpp": "cpp", ".sh": "sh", ".py": "python", ".rs": "rust"}.get(path.suffix, "")
    lines = (coloured(text, language) if language else html.escape(text)).split("\n")
    seen = set()
    for line, name in found:
        if name not in seen:
            lines[line - 1] = f'<span id="{name}" class="place"></span>' + lines[line - 1]
            seen.add(name)
    body = re.sub(r'(?<=">)(?:jdb|JDB)_\w+(?=</span>)', lambda match: link(match.group(0), match.group(0)), "\n".join(lines))
    parts.append(f'<pre class="code"><code>{body}</code></pre>')
    return "\n".join(parts)
