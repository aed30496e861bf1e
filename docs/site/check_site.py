#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the web site that was made: script/site --check.

    docs/site/check_site.py SOURCE_DIR SITE_DIR

Every link, anchor and image of every page leads somewhere in the site; every public function and type of include/, as ctags
finds them, has an anchor; nothing is loaded from elsewhere. In Chromium each page is loaded narrow, and some of them wide and
dark too: no message of the console, nothing wider than the screen, pictures of SITE_DIR-pictures/ that are not blank, dark
where they should be; the search finds a function, and a Chinese word.
"""
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import browser  # noqa: E402
from PIL import Image, ImageStat  # noqa: E402

SOURCE, SITE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PICTURES = SITE.with_name(SITE.name + "-pictures")
# Loaded in every form, with a picture: one page of each kind.
SHOWN = ["index.html", "zh/index.html", "docs/design.html", "docs/benchmarks.html", "docs/glossary.html", "zh/docs/tuning.html",
         "include/jdb_alloc/pool.h.html", "include/jdb_alloc/uring.hpp.html", "man/dio-cp.1.html", "examples/wal.c.html"]
FORMS = {"wide": (1280, 900, "light"), "narrow": (390, 844, "light"), "dark": (1280, 900, "dark"), "narrow_dark": (390, 844, "dark")}
LIGHT_MIN, DARK_MAX = 170, 90  # mean brightness of a picture, of 255
COLOURS_MIN = 30               # a blank page has one, a page of text has the shades of its letters
SEARCHES = [("index.html", "jdb_pool_get", "include/jdb_alloc/pool.h.html#jdb_pool_get"),
            ("zh/index.html", "帧池", "zh/index.html"), ("docs/pool.html", "stale handle", "html")]

findings = []


def found(place, words):
    findings.append(f"{place}: {words}")


# ---- Links -----------------------------------------------------------------------------------------------------------

class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.language = [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "html":
            self.language = values.get("lang", "")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        for kind in ("src", "href"):
            if tag in ("img", "script", "link") and kind in values and not values[kind].startswith("data:"):
                self.loaded.append(values[kind])


def check_links(pages):
    for path, page in pages.items():
        name = path.relative_to(SITE)
        for anchor in {anchor for anchor in page.ids if page.ids.count(anchor) > 1}:
            found(name, f"has the anchor {anchor} more than once")
        if page.language != ("zh-Hans" if name.parts[0] == "zh" else "en"):
            found(name, f"has lang={page.language!r}")
        for target in page.loaded:
            if re.match(r"[a-z]+:|//", target):
                found(name, f"loads {target} from elsewhere")
        for target in [link for link in page.links + page.loaded if not re.match(r"[a-z]+:|//", link)]:
            file, _, anchor = unquote(target).partition("#")
            goal = (path.parent / file).resolve() if file else path
            if not goal.is_file():
                found(name, f"links to {target}, which is not there")
            elif anchor and anchor not in pages[goal].ids:
                found(name, f"links to {target}, which has no such anchor")


# ---- Names -----------------------------------------------------------------------------------------------------------

def public_names(header):
    """The functions, types and constants of a header, as ctags sees it; what begins with jdb__ is not for users."""
    cxx = header.suffix == ".hpp"
    kinds = ["--languages=C++", "--map-C++=+.hpp", "--kinds-C++=cst"] if cxx else ["--languages=C", "--map-C=+.h", "--kinds-C=pfte"]
    listing = subprocess.run(["ctags", "-I", "JDB_API,JDB_INLINE,JDB_MUST_USE", "--output-format=json", "--fields=+sZ", *kinds, "-o", "-",
                              header], capture_output=True, text=True, check=True).stdout
    names = {json.loads(line)["name"] for line in listing.split("\n") if line}
    return {name for name in names if (cxx and not name.startswith("__anon")) or re.match(r"(?:jdb|JDB)_(?!_)", name)}


def check_names(pages):
    count = 0
    for header in sorted([*SOURCE.glob("include/**/*.h"), *SOURCE.glob("include/**/*.hpp")]):
        path = SITE / f"{header.relative_to(SOURCE)}.html"
        if path not in pages:
            found(header.relative_to(SOURCE), "has no page")
            continue
        ids = {anchor.split("::")[-1] for anchor in pages[path].ids}
        names = public_names(header)
        count += len(names)
        for name in sorted(names - ids):
            found(header.relative_to(SOURCE), f"{name} has no anchor on its page")
    return count


# ---- In a browser ----------------------------------------------------------------------------------------------------

# The width of the screen is given: innerWidth of a telephone's page grows with what is too wide.
TOO_WIDE = """(screen => {
    const wide = document.documentElement.scrollWidth;
    if (wide <= screen) return "";
    const all = [...document.querySelectorAll("main *")].filter(part => part.getBoundingClientRect().right > screen &&
        !part.closest("pre, .table"));
    return wide + " pixels wide" + (all.length ? ", by <" + all[0].tagName.toLowerCase() + "> " + all[0].textContent.slice(0, 40) : "");
})(%d)"""


def check_picture(name, form, data):
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    brightness = ImageStat.Stat(picture.convert("L")).mean[0]
    if len(picture.getcolors(1 << 24)) < COLOURS_MIN:
        found(name, f"{form}: the picture is blank")
    if brightness > DARK_MAX if FORMS[form][2] == "dark" else brightness < LIGHT_MIN:
        found(name, f"{form}: mean brightness {brightness:.0f} of 255")


def check_form(chromium, form, names):
    chromium.form(*FORMS[form])
    for name in names:
        for complaint in chromium.visit(SITE / name):
            found(name, f"{form}: {complaint}")
        too_wide = chromium.value(TOO_WIDE % FORMS[form][0])
        if too_wide:
            found(name, f"{form}: {too_wide}")
        if chromium.value("[...document.images].some(image => image.loading !== 'lazy' && !image.naturalWidth)"):
            found(name, f"{form}: an image is not drawn")
        if name in SHOWN:
            data = chromium.picture()
            (PICTURES / f"{name.replace('/', '_').removesuffix('.html')}.{form}.png").write_bytes(data)
            check_picture(name, form, data)


SEARCH = """new Promise(resolve => {
    const field = document.getElementById("page-words"), list = document.getElementById("page-found");
    field.focus();
    field.value = %s;
    field.dispatchEvent(new Event("input"));
    let tries = 500;
    const look = () => list.hidden && --tries ? setTimeout(look, 20) : resolve((list.querySelector("a") || {}).href || "nothing");
    look();
})"""

CUT_OFF = """(() => {
    const box = document.getElementById("page-found").getBoundingClientRect();
    return box.left < 0 || box.right > %d;
})()"""


def check_search(chromium):
    chromium.form(*FORMS["narrow"])
    for name, words, goal in SEARCHES:
        chromium.visit(SITE / name)
        first = unquote(chromium.value(SEARCH % json.dumps(words)))
        if goal not in first:
            found(name, f"the search for {words!r} finds {first} first")
        if chromium.value(CUT_OFF % FORMS["narrow"][0]):
            found(name, "the results of the search are cut off by the edge of the screen")
        (PICTURES / f"search_{name.replace('/', '_').removesuffix('.html')}.png").write_bytes(chromium.picture())
        for complaint in chromium.complaints():
            found(name, complaint)


def main():
    pages = {path: Page(path) for path in sorted(SITE.rglob("*.html"))}
    if not pages:
        sys.exit(f"site: no pages in {SITE}")
    check_links(pages)
    links = sum(len(page.links) + len(page.loaded) for page in pages.values())
    names = check_names(pages)
    for name in set(SHOWN) - {str(path.relative_to(SITE)) for path in pages}:
        sys.exit(f"site: {name} is not there, and its picture is wanted: see SHOWN in docs/site/check_site.py")
    PICTURES.mkdir(exist_ok=True)
    every = [str(path.relative_to(SITE)) for path in pages]
    with browser.Browser() as chromium:
        for form in FORMS:
            check_form(chromium, form, every if form == "narrow" else SHOWN)
        check_search(chromium)
    for finding in findings:
        print(f"site: {finding}")
    print(f"{len(pages)} pages, {links} links, {names} names, {len(list(PICTURES.glob('*.png')))} pictures in {PICTURES.name}/: "
          f"{len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
