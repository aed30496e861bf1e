#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/test counts what cmocka prints, of Debian 12 (1.1.5) and of Debian 13 (1.1.7): the case, not the line above the list."""
import os
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(os.environ["JDB_SOURCE_DIR"]) / "script"))
import tiers

failures = 0


def counted(status, word, heading, case):
    element = xml.Element("testcase", name="x_test", status=status)
    lines = ["[       OK ] a", f"[{word}] b", f"[{word}] {heading}1 test(s), listed below:", f"[{word}] {case}"]
    xml.SubElement(element, "system-out").text = "\n".join(lines) + "\n"
    result = tiers.Result()
    tiers.count_case(element, result)
    return result.passed, result.failed, result.skips


for version, heading, case in (("1_1_5", "", "b"), ("1_1_5_group", "", "tests: b"), ("1_1_7", "tests: ", "b")):
    for status, word, wanted in (("run", "  SKIPPED ", (1, [], ["x_test: b"])), ("fail", "  FAILED  ", (1, ["x_test: b"], []))):
        found = counted(status, word, heading, case)
        good = found == wanted
        failures += not good
        print(f"[{'       OK' if good else '  FAILED '} ] {word.strip().lower()}_of_cmocka_{version}" + ("" if good else f": {found}"))
sys.exit(failures != 0)
