/* SPDX-License-Identifier: MIT
 *
 * main.c - dio: direct I/O for people. Finds the command; the commands do the work.
 */
#include "cp/copy.h"
#include "probe/probe.h"
#include "base/verdict.h"

#include <jdb_alloc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] = "usage: dio COMMAND [OPTION...] [ARGUMENT...]\n"
                           "Direct I/O: file I/O past the page cache.\n"
                           "\n"
                           "  dio cp SRC DST       copy a file or block device with direct I/O\n"
                           "  dio probe PATH...    tell the truth about direct I/O on files and devices\n"
                           "\n"
                           "  dio COMMAND --help   the options of a command\n"
                           "  dio --version        the version of dio and of the library it runs with\n"
                           "\n"
                           "See dio(1).\n";

static int print_version(void)
{
    const unsigned library = jdb_version();
    return printf("dio %s (libjdb_alloc %u.%u.%u)\n", JDB_VERSION_STRING, library / 1000000, library / 1000 % 1000,
                  library % 1000) < 0;
}

/* A standard descriptor that is closed would be the number of the next file that is opened, and messages would be written
 * into it. Read only, so that a result that cannot be printed is still a failure. */
static int fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0)
            return -errno;
    }
    return 0;
}

int main(int argc, char **argv)
{
    /* Nobody would hear why: the descriptor that is closed may be that of messages. */
    if (fill_standard() != 0)
        return DIO_EXIT_FAILED;
    const char *const command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "cp") == 0)
        return copy_main(argc - 1, argv + 1);
    if (strcmp(command, "probe") == 0)
        return probe_main(argc - 1, argv + 1);
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0)
        return fputs(help, stdout) < 0;
    if (strcmp(command, "--version") == 0)
        return print_version();
    if (command[0] == '\0')
        (void)fputs(help, stderr);
    else
        (void)fprintf(stderr, "dio: there is no command '%s'; see dio --help\n", command);
    return DIO_EXIT_USAGE;
}
