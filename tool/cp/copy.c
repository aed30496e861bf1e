/* SPDX-License-Identifier: MIT
 *
 * copy.c - see copy.h.
 */
#include "cp/copy.h"

#include "base/interrupt.h"
#include "base/output.h"
#include "cp/copy_file.h"
#include "cp/copy_out.h"
#include "cp/note.h"
#include "cp/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void print_result(const struct copy *copy)
{
    const struct outcome *const outcome = &copy->outcome;
    const struct target *const target = &copy->target;
    if (!copy->options.quiet && !copy->options.json && outcome->exit_code == 0) {
        report_notes(&copy->report, &copy->source, &target->side);
        report_line(&copy->report, &copy->source, &target->side);
    }
    if (outcome->exit_code != 0)
        (void)fprintf(stderr, "dio cp: %s\n", outcome->text);
    if (copy->report.part_is_kept)
        note_print("what was copied is kept in '%s'; continue with --resume", target->part.path);
    if (outcome->exit_code != 0 && target->is_in_place && target->existed && target->is_written)
        note_print("'%s' was written in place and holds a part of the copy; copy again to complete it", target->path);
    if (copy->options.json)
        report_json(&copy->report, &copy->options, outcome, &copy->source, &target->side);
}

static int copy_one(const struct copy_options *options)
{
    static struct copy copy; /* large */
    struct queue queue = {0};
    copy_file(&copy, options, &queue, NULL);
    print_result(&copy);
    queue_close(&queue);
    copy_file_close(&copy);
    return copy.outcome.exit_code;
}

/* One SRC and a DST that is a directory: the name in it. *ret_path, which the caller frees, takes the place of DST. */
static int name_in_directory(struct copy_options *options, struct outcome *outcome, char **ret_path)
{
    if (!tree_is_directory(options->target) || tree_is_directory(options->source))
        return 0;
    *ret_path = tree_join(options->target, tree_name(options->source));
    if (*ret_path == NULL)
        return outcome_fail(outcome, DIO_EXIT_FAILED, 0, "no memory for the names of files");
    options->target = *ret_path;
    return 0;
}

static int copy_all(struct copy_options *options, struct outcome *outcome)
{
    char *path = NULL;
    if (options->to_stream)
        return copy_out(options);
    interrupt_catch();
    if (options->recursive || options->source_count > 1)
        return tree_copy(options);
    if (!options->from_stream && name_in_directory(options, outcome, &path) != 0)
        return outcome->exit_code;
    const int exit_code = copy_one(options);
    free(path);
    return exit_code;
}

int copy_main(int argc, char **argv)
{
    struct copy_options options;
    struct outcome outcome = {0};
    if (copy_options_parse(&options, &outcome, argc, argv) != 0) {
        (void)fprintf(stderr, "dio cp: %s\n", outcome.text);
        return outcome.exit_code;
    }
    if (options.help) {
        (void)fputs(copy_help, stdout);
        return output_flush("cp", 0);
    }
    options.mask = umask(0); /* read once, before there are threads */
    (void)umask(options.mask);
    const int exit_code = output_flush("cp", copy_all(&options, &outcome));
    if (outcome.exit_code != 0)
        (void)fprintf(stderr, "dio cp: %s\n", outcome.text);
    if (exit_code > DIO_EXIT_SIGNAL)
        interrupt_die();
    return exit_code;
}
