#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the web site from the headers, the documents and the manual of the tool: script/site.

    docs/site/make_site.py SOURCE_DIR OUTPUT_DIR

A page has the path of its file in the tree, with .html behind it; a README is the index of its folder. Each page stands twice:
in English, and under zh/ with the Chinese navigation and start page. Nothing is loaded from elsewhere, and the search is a
list of the sections that the page looks through, so a copy on disk works as well as one on a server. MkDocs, of which Debian 12
has 1.4, was not taken: its search divides no Chinese into words and needs a server.
"""
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(sys.argv[1]).resolve()
sys.path[1:1] = [str(ROOT / "man"), str(ROOT / "docs/site")]
import headers  # noqa: E402
import navigation  # noqa: E402
import reference  # noqa: E402
from markdown_it import MarkdownIt  # noqa: E402
from pygments.formatters import HtmlFormatter  # noqa: E402

README = {"en": "README.md", "zh": "README.zh.md"}
IMAGES = {".svg", ".png"}


def address(path, language):
    """Where the page of a file is, from the top of the site."""
    if path in README.values():
        return "zh/index.html" if path == README["zh"] or language == "zh" else "index.html"
    place = path[:-len("README.md")] + "index.html" if path.endswith("/README.md") else path.removesuffix(".md") + ".html"
    return ("zh/" if language == "zh" else "") + place


class Site:
    def __init__(self, output):
        self.output = output
        self.headers = {f"include/{path.relative_to(ROOT / 'include')}": reference.numbered(headers.parse(path))
                        for path in headers.all_headers(ROOT / "include")}
        self.names = {}  # public name -> (page, anchor)
        for path, header in self.headers.items():
            self.names[header.path.name] = (path, "")
            for name in [name for _, items in header.sections for item in items for name in reference.names_of(item)]:
                self.names.setdefault(name, (path, name))
        for path in sorted((ROOT / "include").rglob("*.hpp")):
            self.names[path.name] = (str(path.relative_to(ROOT)), "")
        self.images = set()
        self.search = {language: [] for language in navigation.LANGUAGES}

    def linker(self, page, language):
        """A function that makes a public name a link, from this page."""
        def link(name, words):
            target, anchor = self.names.get(name, (None, None))
            if target is None or (target == page and not anchor):
                return words
            return f'<a href="{self.relative(address(page, language), address(target, language))}{"#" * bool(anchor)}{anchor}">{words}</a>'
        return link

    @staticmethod
    def relative(from_address, to_address):
        return os.path.relpath(to_address, os.path.dirname(from_address) or ".")

    def resolve(self, page, language, target):
        """The address of a link of a Markdown page, and the page that it leads to, if it is one of the tree."""
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            return target, None
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path))
        here = address(page, language)
        if not (ROOT / path).is_file():
            sys.exit(f"site: {page} links to {target}, which is no file: fix the link")
        if Path(path).suffix in IMAGES:
            self.images.add(path)
            return self.relative(here, path), None
        goal = "en" if page == README["zh"] and path == README["en"] else language
        return self.relative(here, address(path, goal)) + (f"#{anchor}" if anchor else ""), path


# ---- Markdown --------------------------------------------------------------------------------------------------------

def markdown(site, path, language):
    """The body of a Markdown page, and the pages it links to."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    link, seen, linked = site.linker(path, language), {}, set()
    text = (ROOT / path).read_text(encoding="utf-8")
    text = re.sub(r"\[([^\]]+)\]\(\w+(?:::\w+)+\)", r"\1", text)  # links that only rustdoc understands
    tokens = parser.parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            name = reference.slug("".join(child.content for child in tokens[number + 1].children))
            seen[name] = seen.get(name, -1) + 1
            token.attrSet("id", name + (f"-{seen[name]}" if seen[name] else ""))
        for attribute, child in [(kind, child) for child in token.children or () for kind in ("href", "src")
                                 if child.attrGet(kind) is not None]:
            goal, page = site.resolve(path, language, child.attrGet(attribute))
            child.attrSet(attribute, goal)
            linked |= {page} - {None}
            if attribute == "src":
                child.attrSet("loading", "lazy")
        in_link = False
        for child in token.children or ():
            in_link = child.type == "link_open" or (in_link and child.type != "link_close")
            name = child.content.removesuffix("()")
            if child.type == "code_inline" and not in_link and name in site.names:
                child.type, child.content = "html_inline", link(name, f"<code>{html.escape(child.content)}</code>")
        if token.type == "fence":
            kind = {"c": "c", "cpp": "cpp", "sh": "sh", "rust": "rust", "toml": "toml", "python": "python"}.get(token.info.strip(), "")
            token.type, token.content = "html_block", reference.code_block(token.content.rstrip("\n"), kind, link) + "\n"
    return parser.renderer.render(tokens, parser.options, {}), linked


# ---- The manual of the tool ------------------------------------------------------------------------------------------

def manual(path):
    """A page of the manual; links to pages of other manuals are words."""
    body = subprocess.run(["mandoc", "-T", "html", "-O", "fragment,man=%N.%S.html", ROOT / path], capture_output=True, text=True,
                          check=True).stdout
    ours = {f"{page.name}.html" for page in (ROOT / "man").glob("*.1")}
    body = re.sub(r'<a class="Xr" href="([^"]*)"([^>]*)>(.*?)</a>',
                  lambda match: match.group(0) if match.group(1) in ours else match.group(3), body, flags=re.S)
    body = re.sub(r'<table class="(?:head|foot)">.*?</table>', "", body, flags=re.S)
    body = body.replace("<h2", "<h3").replace("</h2>", "</h3>").replace("<h1", "<h2").replace("</h1>", "</h2>")
    title = Path(path).stem.replace("-", " ")
    return f"<h1>{title}</h1>\n{body}"


# ---- Pages -----------------------------------------------------------------------------------------------------------

def body_of(site, path, language):
    """The text of a page, the language that it is written in, and the pages that it links to."""
    link = site.linker(path, language)
    if path == README["en"] and language == "zh":
        body, linked = markdown(site, README["zh"], language)
        return body, "zh", linked
    if path.endswith(".md"):
        body, linked = markdown(site, path, language)
        return body, "en", linked
    if path in site.headers:
        return reference.page(site.headers[path], link), "en", set()
    if path.startswith("man/"):
        return manual(path), "en", set()
    return reference.source_page(ROOT / path, path.removeprefix("include/"), link), "en", set()


def plain(words):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", words))).strip()


def framed_tables(body):
    """A wide table scrolls in a frame of its own, not the page."""
    body = re.sub(r"<table\b", '<div class="table" tabindex="0"><table', body)
    return body.replace("</table>", "</table></div>")


def headings(body):
    """(level, anchor, title) of a page, in order; of a source the places in it."""
    found = [(int(level), anchor, plain(title)) for level, anchor, title in
             re.findall(r'<h([23])[^>]*? id="([^"]+)"[^>]*>(.*?)</h\1>', body, re.S)]
    return found + [(3, anchor, anchor) for anchor in re.findall(r'<span id="([^"]+)" class="place">', body)]


def sections(path, body):
    """(anchor, title, text) of each part of a page, for the search."""
    marks = list(re.finditer(r'<h[23][^>]*? id="([^"]+)"[^>]*>(.*?)</h[23]>|<span id="([^"]+)" class="place"></span>', body, re.S))
    ends = [mark.start() for mark in marks] + [len(body)]
    yield "", plain(re.search(r"<h1[^>]*>(.*?)</h1>", body, re.S).group(1)) if "<h1" in body else path, plain(body[:ends[0]])
    for mark, end in zip(marks, ends[1:]):
        yield (mark.group(1) or mark.group(3), plain(mark.group(2) or mark.group(3)), plain(body[mark.end():end]))


def contents(body, words):
    items = "".join(f'<li class="level{level}"><a href="#{anchor}">{html.escape(title)}</a></li>'
                    for level, anchor, title in headings(body))
    if items.count("<li") < 3:
        return "", ""
    return (f'<details class="contents"><summary>{words["contents"]}</summary><ul>{items}</ul></details>',
            f'<aside class="contents" aria-label="{words["contents"]}"><h2>{words["contents"]}</h2><ul>{items}</ul></aside>')


def navigation_of(path, language):
    here, parts = address(path, language), []
    for english, chinese, pages in navigation.GROUPS:
        parts.append(f"<h2>{chinese if language == 'zh' else english}</h2><ul>")
        for target, in_english, in_chinese in pages:
            current = ' aria-current="page"' if target == path else ""
            title = in_chinese if language == "zh" else in_english
            parts.append(f'<li><a href="{Site.relative(here, address(target, language))}"{current}>{title}</a></li>')
        parts.append("</ul>")
    return "".join(parts)


FRAME = """<!doctype html>
<html lang="{html_language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="stylesheet" href="{root}site.css">
<link rel="icon" href="data:,">
<link rel="alternate" hreflang="{other_language}" href="{other}">
</head>
<body data-root="{root}" data-language="{language}" data-none="{none}">
<a class="skip" href="#page-content">{skip}</a>
<header>
<a class="home" href="{home}">jdb_alloc</a>
<a class="menu" href="#page-navigation">{menu}</a>
<form role="search"><input type="search" id="page-words" placeholder="{search}" aria-label="{search}" autocomplete="off">
<ol id="page-found" aria-live="polite" hidden></ol></form>
<a class="other" lang="{other_language}" hreflang="{other_language}" href="{other}">{other_name}</a>
</header>
<div class="columns">
<main id="page-content" lang="{text_language}">
{note}{short_contents}
{body}
</main>
{long_contents}
<nav id="page-navigation" aria-label="{pages}">{navigation}</nav>
</div>
<script src="{root}search.js"></script>
</body>
</html>
"""
HTML_LANGUAGE = {"en": "en", "zh": "zh-Hans"}


def write_page(site, path, language):
    """Writes a page and returns the pages that it links to."""
    words = navigation.WORDS[language]
    body, written_in, linked = body_of(site, path, language)
    body = framed_tables(body)
    here, other = address(path, language), "zh" if language == "en" else "en"
    found = list(sections(path, body))
    title = found[0][1]
    short, long = contents(body, words)
    text = FRAME.format(
        html_language=HTML_LANGUAGE[language], other_language=HTML_LANGUAGE[other], text_language=HTML_LANGUAGE[written_in],
        title=html.escape(title if title == "jdb_alloc" else f"{title} – jdb_alloc"), root=Site.relative(here, ".") + "/",
        language=language, home=Site.relative(here, address("README.md", language)), menu=words["menu"], search=words["search"],
        none=words["none"], skip=words["skip"], pages=words["pages"], other=Site.relative(here, address(path, other)),
        other_name=words["other"], navigation=navigation_of(path, language), body=body, short_contents=short, long_contents=long,
        note=f'<p class="note" lang="zh-Hans">{words["only"]}</p>' if written_in != language else "")
    place = site.output / here
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    site.search[language] += [[here + (f"#{anchor}" if anchor else ""), heading, title, content]
                              for anchor, heading, content in found]
    return linked


def colours():
    """The colours of code, for a light and a dark screen."""
    light = HtmlFormatter(style="tango").get_style_defs(".code")
    dark = HtmlFormatter(style="monokai").get_style_defs(".code")
    keep = re.compile(r"^\.code \.\w+ \{", re.M)
    rules = ["\n".join(re.sub(r"background-color: #\w+;?|border: [^;}]*;?", "", line) for line in style.split("\n") if keep.match(line))
             for style in (light, dark)]
    return f"{rules[0]}\n@media (prefers-color-scheme: dark) {{\n{rules[1]}\n}}\n"


def main():
    output = Path(sys.argv[2])
    shutil.rmtree(output, ignore_errors=True)
    site = Site(output)
    missing = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} | set(site.headers)
    missing |= {str(path.relative_to(ROOT)) for path in [*(ROOT / "include").rglob("*.hpp"), *(ROOT / "man").glob("*.1")]}
    missing -= set(navigation.listed())
    if missing:
        sys.exit(f"site: no place for {', '.join(sorted(missing))}: give it one in docs/site/navigation.py")
    waiting, done = navigation.listed(), set(README.values()) - {README["en"]}
    while waiting:
        path = waiting.pop(0)
        if path in done:
            continue
        done.add(path)
        for language in navigation.LANGUAGES:
            waiting += sorted(write_page(site, path, language))
    for image in site.images:
        (output / image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / image, output / image)
    style = (ROOT / "docs/site/site.css").read_text(encoding="utf-8") + colours()
    (output / "site.css").write_text(style, encoding="utf-8")
    shutil.copy(ROOT / "docs/site/search.js", output / "search.js")
    for language, entries in site.search.items():
        listing = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
        (output / f"search_{language}.js").write_text(f"window.sections={listing};\n", encoding="utf-8")
    print(f"{output}: {len(done) - 1} pages in {len(navigation.LANGUAGES)} languages")


if __name__ == "__main__":
    main()
