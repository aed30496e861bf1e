# SPDX-License-Identifier: MIT
"""What the site says by itself, in both languages, and the order of its pages."""

LANGUAGES = ("en", "zh")

WORDS = {
    "en": {"menu": "Menu", "search": "Search", "none": "Nothing found", "contents": "On this page", "other": "中文",
           "skip": "Skip to the text", "pages": "Pages", "only": ""},
    "zh": {"menu": "目录", "search": "搜索", "none": "没有找到", "contents": "本页内容", "other": "English",
           "skip": "跳到正文", "pages": "页面", "only": "本页只有英文。"},
}

# Groups of pages: their titles, and the pages in the order to read them in. A page is a file of the tree; what is not listed
# here and is linked from a page becomes a page without a place in the navigation.
GROUPS = [
    ("Start", "入门", [
        ("README.md", "Overview", "概述"),
        ("docs/first_program.md", "A first program", "第一个程序"),
        ("docs/life_cycle.md", "Life cycle", "生命周期"),
        ("docs/tuning.md", "Tuning", "调优"),
        ("docs/abi.md", "Compatibility", "兼容性"),
        ("docs/benchmarks.md", "Benchmarks", "性能测试"),
        ("docs/history.md", "History", "历史"),
    ]),
    ("Reference", "参考手册", [(f"include/{name}", name.split("/")[-1], name.split("/")[-1]) for name in (
        "jdb_alloc.h", "jdb_alloc/base.h", "jdb_alloc/raw.h", "jdb_alloc/buf.h", "jdb_alloc/pages.h", "jdb_alloc/profile.h",
        "jdb_alloc/pin.h", "jdb_alloc/arena.h", "jdb_alloc/pool.h", "jdb_alloc/direct.h", "jdb_alloc/file.h",
        "jdb_alloc/stream.h", "jdb_alloc/uring.h", "jdb_alloc/uring_group.h", "jdb_alloc/aio.h", "jdb_alloc/uv.h",
        "jdb_alloc/iov.h", "jdb_alloc.hpp", "jdb_alloc/containers.hpp", "jdb_alloc/file.hpp", "jdb_alloc/uring.hpp",
        "jdb_alloc/uring_group.hpp")]),
    ("The tool dio", "命令行工具 dio", [(f"man/{name}.1", name.replace("-", " "), name.replace("-", " ")) for name in (
        "dio", "dio-probe", "dio-cp", "dio-cat", "dio-sum")]),
    ("Other languages", "其他语言", [
        ("rust/README.md", "Rust", "Rust"),
        ("docs/rust_names.md", "Names of the Rust crate", "Rust 名称对照"),
        ("python/README.md", "Python", "Python"),
    ]),
    ("Inside", "内部结构", [
        ("docs/design.md", "Design", "设计"),
        ("docs/glossary.md", "Glossary", "术语表"),
        ("docs/pool.md", "Pools", "帧池"),
        ("docs/uring.md", "io_uring", "io_uring"),
        ("docs/porting.md", "Porting", "移植"),
        ("src/README.md", "Folders of the source", "源码目录"),
    ]),
    ("Project", "项目", [
        ("CHANGELOG.md", "Changelog", "更新日志"),
        ("CONTRIBUTING.md", "Contributing", "参与开发"),
        ("docs/testing.md", "Testing", "测试"),
        ("docs/releasing.md", "Releasing", "发布"),
        ("SECURITY.md", "Security", "安全"),
        ("LICENSE", "License", "许可证"),
    ]),
]


def listed():
    """Every page of the navigation, as paths of the tree."""
    return [path for _, _, pages in GROUPS for path, _, _ in pages]
