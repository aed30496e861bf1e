/* SPDX-License-Identifier: MIT
 *
 * sum.c - see sum.h.
 */
#include "sum/sum.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/input.h"
#include "base/json_write.h"
#include "base/options.h"
#include "base/output.h"
#include "base/progress.h"
#include "sum/list.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char sum_help[] = "usage: dio sum [OPTION...] [FILE...]\n"
                               "Print digests of files and block devices, read with direct I/O: the page cache\n"
                               "stays as it is, and what is checked is what the device has. '-' is standard\n"
                               "input, as is no FILE.\n"
                               "\n"
                               "  -a, --algorithm=NAME   xxh128 (default: fast, against accidents) or sha256\n"
                               "  -c, --check            read 'DIGEST  NAME' lines from each FILE and compare;\n"
                               "                         the length of a digest says which algorithm\n"
                               "      --require          fail (exit code 3) where FILE cannot do direct I/O\n"
                               "      --json             print one JSON object\n"
                               "  -q, --quiet            no progress; with --check print only what differs\n"
                               "      --help             print this\n"
                               "\n"
                               "The output is that of xxh128sum and sha256sum, which can check it.\n"
                               "\n"
                               "Exit codes: 0 all is well, 1 a file cannot be read, 2 usage, 3 not direct, 4 a\n"
                               "digest differs, 5 FILE shrank: that of the first failure. See dio-sum(1).\n";

struct sum_options {
    struct input_options input;
    enum digest_kind kind;
    bool is_check;
    bool is_json;
    bool is_quiet;
    bool is_help;
};

struct sum {
    struct sum_options options;
    struct json_object *json; /* with --json; else NULL */
    struct json_object *files;
    int exit_code; /* of the first failure */
};

/* What one file has. */
struct file_sum {
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;
    double seconds;
    uint32_t mode; /* JDB_FILE_MODE_x; 0: standard input */
};

/* ---- One file ----------------------------------------------------------------------------------------------- */

static int read_all(struct input *input, struct digest *digest, struct outcome *outcome, bool shows_progress)
{
    struct progress progress = {0};
    progress_start(&progress, "sum", input->total, shows_progress && input->total > 0);
    while (input_next(input, outcome) == 0 && input->len != 0) {
        digest_add(digest, input->ptr, input->len);
        progress_add(&progress, (int64_t)input->len);
    }
    progress_end(&progress);
    return outcome->exit_code;
}

static int sum_file(const struct sum *sum, struct outcome *outcome, const char *path, enum digest_kind kind,
                    struct file_sum *result)
{
    struct input input;
    struct digest digest;
    const double started = seconds_now();
    if (input_open(&input, outcome, path, &sum->options.input) == 0 && digest_begin(&digest, outcome, kind) == 0) {
        const int failed = read_all(&input, &digest, outcome, !sum->options.is_quiet && !sum->options.is_json);
        digest_end(&digest, failed == 0 ? result->digest : NULL);
    }
    result->size = input.done;
    result->seconds = seconds_now() - started;
    result->mode = input_mode(&input);
    input_close(&input);
    return outcome->exit_code;
}

/* ---- Results ------------------------------------------------------------------------------------------------ */

static void add_json(const struct sum *sum, const struct outcome *outcome, const char *name, enum digest_kind kind,
                     const struct file_sum *result)
{
    struct json_object *const file = json_write_element(sum->files);
    json_write_text(file, "name", name);
    json_write_text(file, "algorithm", digest_name(kind));
    json_write_text_or_null(file, "digest", result->digest);
    json_write_int(file, "bytes", result->size);
    json_write_real(file, "seconds", result->seconds);
    json_write_text_or_null(file, "mode", result->mode != 0 ? jdb_file_mode_name(result->mode) : "");
    json_write_int(file, "exit_code", outcome->exit_code);
    json_write_text_or_null(file, "error", outcome->text);
}

/* One file is done. What failed is printed, and the first failure is the exit code. */
static void finish_file(struct sum *sum, const struct outcome *outcome, const char *name, enum digest_kind kind,
                        const struct file_sum *result)
{
    if (outcome->exit_code != 0)
        (void)fprintf(stderr, "dio sum: %s\n", outcome->text);
    if (sum->exit_code == 0)
        sum->exit_code = outcome->exit_code;
    if (sum->options.is_json)
        add_json(sum, outcome, name, kind, result);
}

static void print_file(struct sum *sum, const char *name)
{
    struct outcome outcome = {0};
    struct file_sum result = {0};
    const enum digest_kind kind = sum->options.kind;
    if (sum_file(sum, &outcome, name, kind, &result) == 0 && !sum->options.is_json)
        list_print(result.digest, name);
    finish_file(sum, &outcome, name, kind, &result);
}

/* ---- Check -------------------------------------------------------------------------------------------------- */

static void print_checked(const char *name, const char *result)
{
    escape_print(stdout, "%s: %s", name, result);
    (void)putchar('\n');
}

static void check_line(struct sum *sum, const struct list_line *line)
{
    struct outcome outcome = {0};
    struct file_sum result = {0};
    if (sum_file(sum, &outcome, line->name, line->kind, &result) == 0 && strcmp(result.digest, line->digest) != 0)
        (void)outcome_fail(&outcome, DIO_EXIT_DIFFERENT, 0,
                           "'%s' has %s %s, not %s as listed; one of the two has changed or is damaged", line->name,
                           digest_name(line->kind), result.digest, line->digest);
    if (!sum->options.is_json && (outcome.exit_code != 0 || !sum->options.is_quiet))
        print_checked(line->name, outcome.exit_code == 0 ? "OK" : "FAILED");
    finish_file(sum, &outcome, line->name, line->kind, &result);
}

static void check_fail(struct sum *sum, const char *path, const char *cause)
{
    escape_print(stderr, "dio sum: cannot check '%s': %s", path, cause);
    (void)fputc('\n', stderr);
    if (sum->exit_code == 0)
        sum->exit_code = DIO_EXIT_FAILED;
}

static void check_stream(struct sum *sum, FILE *list, const char *path)
{
    char *text = NULL;
    size_t room = 0;
    size_t good = 0;
    size_t bad = 0;
    for (ssize_t size; (size = getline(&text, &room, list)) >= 0;) {
        struct list_line line;
        if (size > 0 && text[size - 1] == '\n')
            text[size - 1] = '\0';
        if (list_parse(text, &line)) {
            check_line(sum, &line);
            good++;
        } else {
            bad++;
        }
    }
    char cause[96];
    if (ferror(list))
        check_fail(sum, path, strerror(errno));
    else if (bad != 0 || good == 0) {
        (void)snprintf(cause, sizeof cause, "%zu of %zu lines are not 'DIGEST  NAME'", bad, good + bad);
        check_fail(sum, path, good + bad != 0 ? cause : "it has no line");
    }
    free(text);
}

static void check_list(struct sum *sum, const char *path)
{
    if (input_is_standard(path)) {
        check_stream(sum, stdin, "standard input");
        return;
    }
    FILE *const list = fopen(path, "re");
    if (list == NULL) {
        check_fail(sum, path, strerror(errno));
        return;
    }
    check_stream(sum, list, path);
    (void)fclose(list);
}

/* ---- The command -------------------------------------------------------------------------------------------- */

static int parse_kind(struct sum_options *options, struct outcome *outcome, const char *name)
{
    options->kind = digest_by_name(name);
    if (options->kind != DIGEST_KINDS)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "--algorithm=%s is unknown; choose xxh128 or sha256", name);
}

static int parse_options(struct sum_options *options, struct outcome *outcome, int argc, char **argv)
{
    enum { REQUIRE = 256, JSON, HELP };
    static const struct option long_options[] = {
        {"algorithm", required_argument, NULL, 'a'},
        {"check", no_argument, NULL, 'c'},
        {"require", no_argument, NULL, REQUIRE},
        {"json", no_argument, NULL, JSON},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    static const char short_options[] = ":a:cq";
    *options = (struct sum_options){.input.length = -1};
    opterr = 0;
    for (int option = 0; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
        if (option == 'a')
            (void)parse_kind(options, outcome, optarg);
        else if (option == 'c')
            options->is_check = true;
        else if (option == REQUIRE)
            options->input.require = true;
        else if (option == JSON)
            options->is_json = true;
        else if (option == 'q')
            options->is_quiet = true;
        else if (option == HELP)
            options->is_help = true;
        else
            (void)option_fail(outcome, "sum", short_options, option, argv);
    }
    return outcome->exit_code;
}

static void run(struct sum *sum, int argc, char **argv)
{
    if (sum->options.is_json) {
        sum->json = json_write_begin();
        sum->files = json_write_list(sum->json, "files");
    }
    void (*const each)(struct sum *, const char *) = sum->options.is_check ? check_list : print_file;
    if (optind == argc)
        each(sum, "-");
    for (int i = optind; i < argc; i++)
        each(sum, argv[i]);
    if (sum->json != NULL) {
        json_write_int(sum->json, "exit_code", sum->exit_code);
        json_write_end(sum->json);
    }
}

int sum_main(int argc, char **argv)
{
    struct sum sum = {0};
    struct outcome outcome = {0};
    if (parse_options(&sum.options, &outcome, argc, argv) != 0) {
        (void)fprintf(stderr, "dio sum: %s\n", outcome.text);
        return outcome.exit_code;
    }
    if (sum.options.is_help)
        (void)fputs(sum_help, stdout);
    else
        run(&sum, argc, argv);
    return output_flush("sum", sum.exit_code);
}
