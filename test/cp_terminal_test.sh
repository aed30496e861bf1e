#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The progress bar: on a terminal, with rate and time left, within its width, wiped at the end; never in a pipe.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
fill src 10000001

# on_terminal COLUMNS ARGUMENT...: dio cp on a pseudo terminal; what it wrote, in the file `screen`. The terminal is held open
# past the end of dio and a last byte is written to it, so that whatever the kernel has under way is read.
on_terminal() {
    python3 - "$@" <<PYTHON
import fcntl, os, pty, struct, subprocess, sys, termios, threading
columns = int(sys.argv[1])
reader, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
screen = b""
def read_all():
    global screen
    while not screen.endswith(b"\0"):
        screen += os.read(reader, 65536)
reading = threading.Thread(target=read_all)
reading.start()
code = subprocess.call(["$dio", "cp", *sys.argv[2:]], stdin=terminal, stdout=terminal, stderr=terminal)
os.write(terminal, b"\0")
reading.join()
open("screen", "wb").write(screen[:-1])
sys.exit(code)
PYTHON
}

shown() {
    on_terminal "$1" --verify --engine=pread --block-size=16K src dst
    cmp src dst
    python3 - "$1" <<'PYTHON'
import re, sys
columns = int(sys.argv[1])
screen = open("screen").read()
frames = [frame for frame in re.split(r"\r|\n", screen.replace("\033[K", "")) if "left" in frame]
assert len(frames) >= 2, screen
for frame in frames:
    assert len(frame) < columns, (len(frame), frame)
    assert re.match(r"(copy|verify) +\d+% [#.]* ?\d.* of 10 MB +[\d.]+ \w+/s +[\d:-]+ left$", frame), frame
assert any(frame.startswith("copy") for frame in frames) and any(frame.startswith("verify") for frame in frames), frames
percents = [int(re.search(r"(\d+)%", frame).group(1)) for frame in frames if frame.startswith("copy")]
assert percents == sorted(percents) and percents[-1] == 100, percents
last = screen.rstrip().split("\n")[-1].split("\r")[-1].replace("\033[K", "")
assert last.startswith("10000001 bytes in "), last
assert ("#" in frames[-1]) == (columns >= 70), frames[-1]
PYTHON
}
check "on 80 columns" shown 80
check "on 56 columns: no room for the bar" shown 56
check "on 200 columns" shown 200

quiet() {
    on_terminal 80 -q src dst
    [ ! -s screen ]
}
check "quiet" quiet

piped() {
    "$dio" cp src dst >out 2>err
    [ -z "$(grep -v '^dio cp: note: frames not registered' err)" ] # a user may lock less than the frames take
    [ "$(wc -l <out)" = 1 ]
    ! grep -q $'\r' out
    grep -Eq "^10000001 bytes in [0-9.]+ s, .*/s; direct: 10000001 read \(all\), 10000001 written \(all\)" out
}
check "none in a pipe" piped
finish
