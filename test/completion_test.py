#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The completions of dio for bash and zsh offer what dio COMMAND --help prints, no more and no less, in shells that run."""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(os.environ["JDB_SOURCE_DIR"])
DIO = Path(os.environ["JDB_BUILD_DIR"]) / "tool/dio"
COMPLETION = SOURCE / "tool/completion"
COMMANDS = ("cp", "cat", "sum", "probe")
failures = []


def check(name, is_good, reason=""):
    print(f"[{'       OK' if is_good else '  FAILED '} ] {name}")
    if not is_good:
        failures.append(name)
        print(f"    {reason}")


def same(name, offered, wanted):
    check(name, set(offered) == set(wanted), f"offered only: {sorted(set(offered) - set(wanted))}; "
          f"in the help only: {sorted(set(wanted) - set(offered))}")


def help_options(*command):
    """The options in the first column of the help; --help itself is always there."""
    text = subprocess.run([DIO, *command, "--help"], capture_output=True, text=True, check=True).stdout
    options = {"--help"}
    for column in re.findall(r"^ {2,6}(-[-\w=, ]+?)(?: {2,}|$)", text, re.M):
        options |= {word.split("=")[0] for word in column.split(", ")}
    return options


def bash(*words):
    """What bash offers after these words; the last one is being typed."""
    script = f"""source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dio
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    run = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION / "dio.bash", *words], capture_output=True,
                         text=True, check=True)
    return run.stdout.split()


def bash_cases():
    for command in COMMANDS:
        offered = {word.rstrip("=") for word in bash("dio", command, "-")}
        same(f"bash_offers_the_options_of_{command}", offered, help_options(command))
    same("bash_offers_the_commands", bash("dio", ""), {*COMMANDS, "--help", "--version"})
    same("bash_completes_a_value", bash("dio", "cp", "--engine", "=", "u"), {"uring"})
    same("bash_completes_a_value_begun", bash("dio", "sum", "--algorithm", "="), {"xxh128", "sha256"})
    same("bash_completes_a_file", bash("dio", "cat", str(DIO)[:-1]), {str(DIO)})
    same("bash_offers_nothing_for_a_number", bash("dio", "cp", "--depth", "="), set())


class Zsh:
    """A zsh on a terminal of its own, into which keys are typed."""

    def __init__(self, directory):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.environ.update(TERM="dumb", HOME=directory, PS1="", PROMPT="")
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.ask(f"fpath=({COMPLETION} $fpath); autoload -Uz compinit; compinit -D -u; LISTMAX=1000; "
                 "zstyle ':completion:*' list-grouped no; stty cols 160 rows 60; setopt no_auto_menu; PROMPT='<'zle'>'\n", "<zle>")

    def ask(self, keys, until):
        """Types keys; the output up to a pattern, or what came in 20 seconds. Before the prompt the terminal would take the keys."""
        os.write(self.fd, keys.encode())
        output, end = "", time.monotonic() + 20
        while not re.search(until, output, re.S) and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                output += os.read(self.fd, 65536).decode(errors="replace")
        return output

    def offers(self, line):
        """The listing that two tabs make after a line; the line is erased, and a print shows that it ended."""
        return self.ask(line + "\t\t" + "\x15print do''ne\n", "done\r\n.*<zle>")

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def zsh_cases():
    if shutil.which("zsh") is None:
        print("skipped: the completion in zsh (no zsh)")
        return
    with tempfile.TemporaryDirectory() as directory:
        shell = Zsh(directory)
        for command in COMMANDS:
            offered = set(re.findall(r"(?<![\w-])(--?[a-z][a-z0-9-]*)(?=[ =]|\s+--\s)", shell.offers(f"dio {command} -")))
            same(f"zsh_offers_the_options_of_{command}", offered - {"-"}, help_options(command))
        listing = shell.offers("dio ")
        check("zsh_offers_the_commands", all(re.search(rf"^{command} +--", listing, re.M) for command in COMMANDS), listing)
        listing = shell.offers("dio cp --engine=")
        check("zsh_completes_a_value", all(name in listing for name in ("auto", "uring", "pread")), listing)
        shell.close()


if not DIO.is_file():
    print("skipped: no dio in this build")
    sys.exit(77)
bash_cases()
zsh_cases()
sys.exit(1 if failures else 0)
