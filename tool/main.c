/* SPDX-License-Identifier: MIT
 *
 * main.c - dio: direct I/O for people. Finds the command; the commands do the work.
 */
#include "copy.h"
#include "probe.h"
#include "verdict.h"

#include <jdb_alloc.h>

#include <stdio.h>
#include <string.h>

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

int main(int argc, char **argv)
{
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
