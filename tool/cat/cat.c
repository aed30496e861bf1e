/* SPDX-License-Identifier: MIT
 *
 * cat.c - see cat.h.
 */
#include "cat/cat.h"

#include "base/input.h"
#include "base/options.h"
#include "base/output.h"

#include <getopt.h>
#include <stdio.h>

static const char cat_help[] = "usage: dio cat [OPTION...] FILE...\n"
                               "Write files and block devices to standard output with direct I/O: the page\n"
                               "cache stays as it is. '-' is standard input.\n"
                               "\n"
                               "      --offset=N    begin at byte N of FILE          (sizes take K, M, G, T)\n"
                               "      --length=N    write N bytes instead of all up to the end\n"
                               "      --require     fail (exit code 3) where FILE cannot do direct I/O\n"
                               "      --help        print this\n"
                               "\n"
                               "--offset and --length are of each FILE. Reads run ahead of the output; holes of\n"
                               "a file are not read. A FILE that cannot be read does not keep the next from\n"
                               "being written.\n"
                               "\n"
                               "Exit codes: 0 all written, 1 failed, 2 usage, 3 not direct, 5 FILE shrank: that\n"
                               "of the first failure. See dio-cat(1).\n";

struct cat_options {
    struct input_options input;
    bool is_help;
};

static int parse_options(struct cat_options *options, struct outcome *outcome, int argc, char **argv)
{
    enum { OFFSET = 256, LENGTH, REQUIRE, HELP };
    static const struct option long_options[] = {
        {"offset", required_argument, NULL, OFFSET},
        {"length", required_argument, NULL, LENGTH},
        {"require", no_argument, NULL, REQUIRE},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    static const char short_options[] = ":";
    *options = (struct cat_options){.input.length = -1};
    opterr = 0;
    for (int option = 0; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
        if (option == OFFSET)
            (void)option_parse_size(outcome, "offset", optarg, &options->input.offset);
        else if (option == LENGTH)
            (void)option_parse_size(outcome, "length", optarg, &options->input.length);
        else if (option == REQUIRE)
            options->input.require = true;
        else if (option == HELP)
            options->is_help = true;
        else
            (void)option_fail(outcome, "cat", short_options, option, argv);
    }
    if (outcome->exit_code == 0 && !options->is_help && optind == argc)
        (void)outcome_fail(outcome, DIO_EXIT_USAGE, 0, "no FILE is named; see dio cat --help");
    return outcome->exit_code;
}

static int cat_file(const struct cat_options *options, const char *path)
{
    struct outcome outcome = {0};
    struct input input;
    if (input_open(&input, &outcome, path, &options->input) == 0 && input_refuse_output(&input, &outcome) == 0) {
        while (input_next(&input, &outcome) == 0 && input.len != 0) {
            if (output_write(&outcome, input.ptr, input.len) != 0)
                break;
        }
    }
    input_close(&input);
    if (outcome.exit_code != 0)
        (void)fprintf(stderr, "dio cat: %s\n", outcome.text);
    return outcome.exit_code;
}

int cat_main(int argc, char **argv)
{
    struct cat_options options;
    struct outcome outcome = {0};
    if (parse_options(&options, &outcome, argc, argv) != 0) {
        (void)fprintf(stderr, "dio cat: %s\n", outcome.text);
        return outcome.exit_code;
    }
    if (options.is_help) {
        (void)fputs(cat_help, stdout);
        return output_flush("cat", 0);
    }
    int exit_code = 0;
    for (int i = optind; i < argc; i++) {
        const int failed = cat_file(&options, argv[i]);
        exit_code = exit_code != 0 ? exit_code : failed;
    }
    return exit_code;
}
