/* SPDX-License-Identifier: MIT
 *
 * copy_options.c - see copy_options.h.
 */
#include "cp/copy_options.h"

#include "base/input.h"
#include "base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

const char copy_help[] = "usage: dio cp [OPTION...] SRC... DST\n"
                         "Copy a file or block device with direct I/O: past the page cache, durable at\n"
                         "the end, whole or not at all under its final name. '-' is standard input,\n"
                         "or output. Where DST is a directory the copies go into it.\n"
                         "      --verify         read DST back and compare it (exit code 4: different)\n"
                         "      --resume         continue an interrupted copy; checks what is there\n"
                         "  -r, --recursive      copy directories with all they hold, files in parallel\n"
                         "  -p, --preserve       keep mode, access control list, owner and times\n"
                         "      --offset=N       begin at byte N of SRC          (sizes take K, M, G, T)\n"
                         "      --length=N       copy N bytes instead of all up to the end\n"
                         "      --require        fail (exit code 3) where a side cannot do direct I/O\n"
                         "      --uncached       use the page cache but leave nothing in it\n"
                         "      --buffered       use the page cache\n"
                         "      --in-place       write into DST itself, for hard links; not atomic\n"
                         "      --force          allow a block device as DST, unless it is in use\n"
                         "      --block-size=N   bytes of a transfer: a power of two, 4K to 64M\n"
                         "      --depth=N        transfers in flight, 1 to 1024\n"
                         "      --engine=NAME    auto, uring or pread\n"
                         "      --json           print the result as one JSON object\n"
                         "  -q, --quiet          print errors only\n"
                         "Exit codes: 0 copied, 1 failed, 2 usage, 3 not direct, 4 different, 5 SRC\n"
                         "shrank, 128+N ended by signal N. After 1 to 5 DST is untouched; after a signal\n"
                         "the part file .DST.dio-part stays for --resume. See dio-cp(1).\n";

enum {
    OPTION_VERIFY = 256,
    OPTION_RESUME,
    OPTION_OFFSET,
    OPTION_LENGTH,
    OPTION_REQUIRE,
    OPTION_UNCACHED,
    OPTION_BUFFERED,
    OPTION_IN_PLACE,
    OPTION_FORCE,
    OPTION_BLOCK_SIZE,
    OPTION_DEPTH,
    OPTION_ENGINE,
    OPTION_JSON,
    OPTION_HELP,
};

static const char short_options[] = ":pqr";

static const struct option long_options[] = {
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"resume", no_argument, NULL, OPTION_RESUME},
    {"recursive", no_argument, NULL, 'r'},
    {"preserve", no_argument, NULL, 'p'},
    {"offset", required_argument, NULL, OPTION_OFFSET},
    {"length", required_argument, NULL, OPTION_LENGTH},
    {"require", no_argument, NULL, OPTION_REQUIRE},
    {"uncached", no_argument, NULL, OPTION_UNCACHED},
    {"buffered", no_argument, NULL, OPTION_BUFFERED},
    {"in-place", no_argument, NULL, OPTION_IN_PLACE},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"block-size", required_argument, NULL, OPTION_BLOCK_SIZE},
    {"depth", required_argument, NULL, OPTION_DEPTH},
    {"engine", required_argument, NULL, OPTION_ENGINE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static int parse_block_size(struct outcome *outcome, const char *text, int64_t *ret_size)
{
    int64_t size = 0;
    if (option_parse_size(outcome, "block-size", text, &size) != 0)
        return outcome->exit_code;
    if (size < BLOCK_SIZE_MIN || size > BLOCK_SIZE_MAX || (size & (size - 1)) != 0)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "--block-size=%s is not a power of two from 4K to 64M", text);
    *ret_size = size;
    return 0;
}

static int parse_depth(struct outcome *outcome, const char *text, int64_t *ret_depth)
{
    int64_t depth = 0;
    if (option_parse_size(outcome, "depth", text, &depth) != 0)
        return outcome->exit_code;
    if (depth < 1 || depth > DEPTH_MAX)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "--depth=%s is not a number from 1 to %d", text, DEPTH_MAX);
    *ret_depth = depth;
    return 0;
}

static int parse_engine(struct outcome *outcome, const char *text, enum queue_engine *ret_engine)
{
    static const char *const names[] = {[QUEUE_AUTO] = "auto", [QUEUE_URING] = "uring", [QUEUE_PREAD] = "pread"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_engine = (enum queue_engine)i;
            return 0;
        }
    }
    return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "--engine=%s is unknown; choose auto, uring or pread", text);
}

/* The options that take no value. */
static bool set_flag(struct copy_options *options, int option)
{
    switch (option) {
    case OPTION_VERIFY:
        return options->verify = true;
    case OPTION_RESUME:
        return options->resume = true;
    case 'p':
        return options->preserve = true;
    case 'r':
        return options->recursive = true;
    case OPTION_REQUIRE:
        return options->require = true;
    case OPTION_UNCACHED:
        options->best_mode = SIDE_UNCACHED;
        return true;
    case OPTION_BUFFERED:
        options->best_mode = SIDE_BUFFERED;
        return true;
    case OPTION_IN_PLACE:
        return options->in_place = true;
    case OPTION_FORCE:
        return options->force = true;
    case OPTION_JSON:
        return options->json = true;
    case 'q':
        return options->quiet = true;
    case OPTION_HELP:
        return options->help = true;
    default:
        return false;
    }
}

static int set_value(struct copy_options *options, struct outcome *outcome, int option, const char *text)
{
    switch (option) {
    case OPTION_OFFSET:
        return option_parse_size(outcome, "offset", text, &options->offset);
    case OPTION_LENGTH:
        return option_parse_size(outcome, "length", text, &options->length);
    case OPTION_BLOCK_SIZE:
        return parse_block_size(outcome, text, &options->block_size);
    case OPTION_DEPTH:
        return parse_depth(outcome, text, &options->depth);
    case OPTION_ENGINE:
        return parse_engine(outcome, text, &options->engine);
    default:
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "unknown option; see dio cp --help");
    }
}

static const char *side_mode_option(enum side_mode mode)
{
    return mode == SIDE_UNCACHED ? "--uncached" : "--buffered";
}

static int check_together(const struct copy_options *options, struct outcome *outcome)
{
    const int64_t threads = options->recursive || options->source_count > 1 ? TREE_THREADS : 1;
    if (options->block_size * options->depth * threads > MEMORY_MAX)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                            "--block-size times --depth%s is %" PRId64
                            " bytes, more than 1 GiB; make one of them smaller",
                            threads > 1 ? " times the threads" : "", options->block_size * options->depth * threads);
    if (options->require && options->best_mode != SIDE_DIRECT)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                            "--require asks for direct I/O, --uncached and --buffered exclude it; choose one");
    if (options->resume && options->in_place)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                            "--in-place has no part file that --resume could continue; leave one of them out");
    return 0;
}

/* The option that was given and that a copy with standard input or output does not have; NULL: none. */
static const char *stream_misfit(const struct copy_options *options)
{
    const bool is_out = options->to_stream;
    const struct {
        bool is_given;
        const char *name;
    } misfits[] = {
        {options->resume, "--resume"},
        {options->preserve, "--preserve"},
        {options->from_stream && options->offset != 0, "--offset"},
        {options->from_stream && options->length >= 0, "--length"},
        {is_out && options->verify, "--verify"},
        {is_out && options->in_place, "--in-place"},
        {is_out && options->force, "--force"},
        {is_out && options->json, "--json"},
        {is_out && options->best_mode != SIDE_DIRECT, side_mode_option(options->best_mode)},
        {is_out && options->block_size != 0, "--block-size"},
        {is_out && options->depth != 0, "--depth"},
        {is_out && options->engine != QUEUE_AUTO, "--engine"},
    };
    for (size_t i = 0; i < sizeof misfits / sizeof misfits[0]; i++) {
        if (misfits[i].is_given)
            return misfits[i].name;
    }
    return NULL;
}

/* What is of one file alone. */
static int check_many(const struct copy_options *options, struct outcome *outcome)
{
    if (!options->recursive && options->source_count == 1)
        return 0;
    if (options->offset != 0 || options->length >= 0 || options->force || options->in_place)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "%s is of one file; leave it out, or copy the files one by one",
                            options->offset != 0   ? "--offset"
                            : options->length >= 0 ? "--length"
                            : options->force       ? "--force"
                                                   : "--in-place");
    for (int i = 0; i <= options->source_count; i++) {
        if (input_is_standard(options->sources[i]))
            return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                                "'-' is possible where one file is copied; './-' names a file");
    }
    return 0;
}

static int check_stream(const struct copy_options *options, struct outcome *outcome)
{
    if (!options->from_stream && !options->to_stream)
        return 0;
    if (options->from_stream && options->to_stream)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "SRC and DST are both '-', so there is no file; use cat");
    const char *const misfit = stream_misfit(options);
    if (misfit == NULL)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "%s is not possible where %s is standard %s; leave it out", misfit,
                        options->from_stream ? "SRC" : "DST", options->from_stream ? "input" : "output");
}

int copy_options_parse(struct copy_options *options, struct outcome *outcome, int argc, char **argv)
{
    *options = (struct copy_options){.length = -1, .target_directory = AT_FDCWD};
    opterr = 0;
    optind = 1;
    for (int option = 0; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return option_fail(outcome, "cp", short_options, option, argv);
        if (!set_flag(options, option) && set_value(options, outcome, option, optarg) != 0)
            return outcome->exit_code;
    }
    if (options->help)
        return 0;
    if (argc - optind < 2)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                            "two names are needed, SRC and DST; %d given; see dio cp --help", argc - optind);
    options->sources = argv + optind;
    options->source_count = argc - optind - 1;
    options->source = argv[optind];
    options->target = argv[argc - 1];
    if (check_many(options, outcome) != 0)
        return outcome->exit_code;
    options->from_stream = input_is_standard(options->source);
    options->to_stream = input_is_standard(options->target);
    if (check_stream(options, outcome) != 0)
        return outcome->exit_code;
    return check_together(options, outcome);
}
