/* SPDX-License-Identifier: MIT
 *
 * main.c - dio: finds the command; the commands do the work.
 */
#include "base/escape.h"
#include "base/outcome.h"
#include "cat/cat.h"
#include "cp/copy.h"
#include "probe/probe.h"
#include "sum/sum.h"

#include <jdb_alloc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char main_help[] = "usage: dio COMMAND [OPTION...] [ARGUMENT...]\n"
                                "Direct I/O: file I/O past the page cache.\n"
                                "\n"
                                "  dio cp SRC DST       copy a file or block device with direct I/O\n"
                                "  dio cat FILE...      write files to standard output\n"
                                "  dio sum FILE...      digests of files, and the check of them\n"
                                "  dio probe PATH...    show what direct I/O requires and whether it happens\n"
                                "\n"
                                "  dio COMMAND --help   the options of a command\n"
                                "  dio --version        the versions of dio and of its library\n"
                                "\n"
                                "See dio(1).\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"cp", copy_main}, {"cat", cat_main}, {"sum", sum_main}, {"probe", probe_main}};

static int print_version(void)
{
    const unsigned library = jdb_version();
    return printf("dio %s (libjdb_alloc %u.%u.%u)\n", JDB_VERSION_STRING, library / 1000000, library / 1000 % 1000,
                  library % 1000) < 0;
}

/* The next file that is opened would get the number of a standard descriptor that is closed, and messages would be written
 * into it. Read only, so that a result that cannot be printed is still a failure. */
static int open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0)
            return -errno;
    }
    return 0;
}

static void print_unknown(const char *command)
{
    escape_print(stderr, "dio: unknown command '%s'; see dio --help", command);
    (void)fputc('\n', stderr);
}

int main(int argc, char **argv)
{
    /* Without a message: the descriptor that is closed may be that of messages. */
    if (open_standard() != 0)
        return DIO_EXIT_FAILED;
    const char *const command = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(command, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0)
        return fputs(main_help, stdout) < 0;
    if (strcmp(command, "--version") == 0)
        return print_version();
    if (command[0] == '\0')
        (void)fputs(main_help, stderr);
    else
        print_unknown(command);
    return DIO_EXIT_USAGE;
}
