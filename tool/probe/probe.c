/* SPDX-License-Identifier: MIT
 *
 * probe.c - `dio probe`: the command line, and the exit code.
 */
#include "probe/probe.h"

#include "base/options.h"
#include "probe/probe_print.h"

#include <getopt.h>
#include <stdio.h>

#define ARENA_SIZE_DEFAULT ((int64_t)1 << 30)

static const char probe_help[] = "usage: dio probe [OPTION...] [PATH...]\n"
                                 "Show what direct I/O requires of files and block devices, whether it happens\n"
                                 "there, and what this machine allows. Only reads, unless --write-test is given.\n"
                                 "\n"
                                 "      --write-test   also write to a temporary file without a name, in the\n"
                                 "                     directory of PATH; never to PATH itself, never for a device\n"
                                 "      --arena=SIZE   memory to be registered with io_uring, for the advice on\n"
                                 "                     limits (default 1G; takes K, M, G, T)\n"
                                 "      --json         print one JSON object\n"
                                 "      --help         print this\n"
                                 "\n"
                                 "Printed for each path: whether requests bypass the page cache, why, and the\n"
                                 "source of that; file system and devices below; what address, offset and length\n"
                                 "must and should be multiples of; trial reads; uncached, atomic and polled I/O.\n"
                                 "\n"
                                 "Exit codes: 0 every path is direct, 1 a path could not be probed, 2 usage, 3 a\n"
                                 "path is not direct, 6 unknown (FUSE, network, a directory without --write-test);\n"
                                 "the smallest of 1, 3 and 6 that holds. See dio-probe(1).\n";

struct probe_options {
    int64_t arena_size;
    bool is_json;
    bool is_write_test;
    bool is_help;
};

static int parse_options(struct probe_options *options, struct outcome *outcome, int argc, char **argv)
{
    enum { WRITE_TEST = 256, ARENA, JSON, HELP };
    static const struct option long_options[] = {
        {"write-test", no_argument, NULL, WRITE_TEST},
        {"arena", required_argument, NULL, ARENA},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    *options = (struct probe_options){.arena_size = ARENA_SIZE_DEFAULT};
    static const char short_options[] = ":h";
    opterr = 0;
    for (int option = 0; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
        switch (option) {
        case WRITE_TEST:
            options->is_write_test = true;
            break;
        case ARENA:
            if (option_parse_size(outcome, "arena", optarg, &options->arena_size) != 0)
                return outcome->exit_code;
            break;
        case JSON:
            options->is_json = true;
            break;
        case HELP:
        case 'h':
            options->is_help = true;
            break;
        default:
            return option_fail(outcome, "probe", short_options, option, argv);
        }
    }
    return 0;
}

static int exit_code_of(const struct path_facts *facts)
{
    if (facts->error != 0 || (facts->write.is_made && facts->write.error != 0))
        return DIO_EXIT_FAILED;
    if (facts->limits.state == JDB_DIRECT_STATE_DIRECT)
        return 0;
    return facts->limits.state == JDB_DIRECT_STATE_UNKNOWN ? DIO_EXIT_UNKNOWN : DIO_EXIT_NOT_DIRECT;
}

/* The smaller one of two exit codes, as far as they are not 0. */
static int graver(int a, int b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

int probe_main(int argc, char **argv)
{
    static struct path_facts path; /* large: paths and a chain of devices */
    static struct machine_facts machine;
    struct probe_options options;
    struct outcome outcome = {0};
    int exit_code = 0;
    if (parse_options(&options, &outcome, argc, argv) != 0) {
        (void)fprintf(stderr, "dio probe: %s\n", outcome.text);
        return outcome.exit_code;
    }
    if (options.is_help)
        return fputs(probe_help, stdout) < 0 ? DIO_EXIT_FAILED : 0;
    struct json_object *const root = options.is_json ? probe_json_start() : NULL;
    int print_err = 0;
    for (int i = optind; i < argc; i++) {
        path_facts_find(&path, argv[i], options.is_write_test);
        DIO_ASSERT(!path.write.is_made || options.is_write_test); /* R1 */
        exit_code = graver(exit_code, exit_code_of(&path));
        if (root != NULL)
            probe_json_add(root, &path);
        else
            print_err |= probe_table_path(&path);
    }
    machine_facts_find(&machine, (uint64_t)options.arena_size);
    print_err |= root != NULL ? probe_json_end(root, &machine, exit_code) : probe_table_machine(&machine);
    if (print_err == 0)
        return exit_code;
    (void)fputs("dio probe: cannot print the result on standard output\n", stderr);
    return DIO_EXIT_FAILED;
}
