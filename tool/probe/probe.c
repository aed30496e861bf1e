/* SPDX-License-Identifier: MIT
 *
 * probe.c - `dio probe`: the command line, and the exit code.
 */
#include "probe/probe.h"

#include "probe/probe_print.h"
#include "base/sizes.h"

#include <getopt.h>
#include <stdio.h>

/* In the order in which they hold when several do. */
#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_NOT_DIRECT 3
#define EXIT_UNKNOWN 6

#define DEFAULT_ARENA_SIZE ((int64_t)1 << 30)

static const char help[] = "usage: dio probe [OPTION...] [PATH...]\n"
                           "Tell the truth about direct I/O on files, directories and block devices, and\n"
                           "what this machine allows. Reads only, unless asked to write.\n"
                           "\n"
                           "      --write-test   also write to a temporary file without a name, beside\n"
                           "                     PATH or in it; never to PATH itself, never for a device\n"
                           "      --arena=SIZE   memory that is to be registered with io_uring, for the\n"
                           "                     advice on limits (default 1G; takes K, M, G, T)\n"
                           "      --json         print one JSON object\n"
                           "      --help         print this\n"
                           "\n"
                           "Told of each path: whether requests go past the page cache, why, and who says\n"
                           "so; file system and devices below; what address, offset and length must and\n"
                           "should be multiples of; trial reads; uncached, atomic and polled I/O.\n"
                           "\n"
                           "Exit codes: 0 all direct, 1 a path could not be probed, 2 usage, 3 a path is\n"
                           "not direct, 6 a path cannot be told (FUSE, network, a directory without\n"
                           "--write-test). Of several the smallest. See dio-probe(1).\n";

struct probe_options {
    int64_t arena_size;
    bool is_json;
    bool is_write_test;
    bool is_help;
};

static int parse(struct probe_options *options, int argc, char **argv)
{
    enum { WRITE_TEST = 256, ARENA, JSON, HELP };
    static const struct option long_options[] = {
        {"write-test", no_argument, NULL, WRITE_TEST},
        {"arena", required_argument, NULL, ARENA},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    *options = (struct probe_options){.arena_size = DEFAULT_ARENA_SIZE};
    for (;;) {
        switch (getopt_long(argc, argv, "h", long_options, NULL)) {
        case -1:
            return EXIT_OK;
        case WRITE_TEST:
            options->is_write_test = true;
            break;
        case ARENA:
            if (size_parse(optarg, &options->arena_size) != 0) {
                (void)fprintf(stderr, "dio probe: '%s' is no size: give bytes, or a number with K, M, G or T\n",
                              optarg);
                return EXIT_USAGE;
            }
            break;
        case JSON:
            options->is_json = true;
            break;
        case HELP:
        case 'h':
            options->is_help = true;
            break;
        default:
            (void)fputs("dio probe: see dio probe --help\n", stderr);
            return EXIT_USAGE;
        }
    }
}

static int exit_code_of(const struct path_facts *facts)
{
    if (facts->error != 0 || (facts->write.is_made && facts->write.error != 0))
        return EXIT_FAILED;
    if (facts->limits.state == JDB_DIRECT_STATE_DIRECT)
        return EXIT_OK;
    return facts->limits.state == JDB_DIRECT_STATE_UNKNOWN ? EXIT_UNKNOWN : EXIT_NOT_DIRECT;
}

static int graver(int a, int b)
{
    return a == EXIT_OK || (b != EXIT_OK && b < a) ? b : a;
}

int probe_main(int argc, char **argv)
{
    static struct path_facts path; /* large: paths and a chain of devices */
    static struct machine_facts machine;
    struct probe_options options;
    int exit_code = parse(&options, argc, argv);
    if (exit_code != EXIT_OK)
        return exit_code;
    if (options.is_help)
        return fputs(help, stdout) < 0 ? EXIT_FAILED : EXIT_OK;
    struct json_object *const root = options.is_json ? probe_json_start() : NULL;
    int print_err = 0;
    for (int i = optind; i < argc; i++) {
        path_facts_find(&path, argv[i], options.is_write_test);
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
    (void)fputs("dio probe: cannot write to standard output\n", stderr);
    return EXIT_FAILED;
}
