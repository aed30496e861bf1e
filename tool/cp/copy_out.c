/* SPDX-License-Identifier: MIT
 *
 * copy_out.c - see copy_out.h.
 */
#include "cp/copy_out.h"

#include "base/clock.h"
#include "base/input.h"
#include "base/output.h"
#include "base/progress.h"
#include "base/sizes.h"

#include <stdio.h>

static void copy_all(struct input *input, struct outcome *outcome, bool is_quiet)
{
    struct progress progress = {0};
    progress_start(&progress, "copy", input->total, !is_quiet);
    while (input_next(input, outcome) == 0 && input->len != 0) {
        if (output_write(outcome, input->ptr, input->len) != 0)
            break;
        progress_add(&progress, (int64_t)input->len);
    }
    progress_end(&progress);
}

static void print_line(const struct input *input, double seconds)
{
    char rate[SIZE_TEXT_SIZE];
    const double time = seconds > 0 ? seconds : 1e-9;
    (void)fprintf(stderr, "%lld bytes to standard output in %.2f s, %s/s; read %s\n", (long long)input->done, seconds,
                  size_text((int64_t)((double)input->done / time), rate), jdb_file_mode_name(input_mode(input)));
}

int copy_out(const struct copy_options *options)
{
    const struct input_options wanted = {
        .offset = options->offset, .length = options->length, .require = options->require};
    struct outcome outcome = {0};
    struct input input;
    const double started = seconds_now();
    if (input_open(&input, &outcome, options->source, &wanted) == 0 && input_refuse_output(&input, &outcome) == 0)
        copy_all(&input, &outcome, options->quiet);
    if (outcome.exit_code == 0 && !options->quiet)
        print_line(&input, seconds_now() - started);
    input_close(&input);
    if (outcome.exit_code != 0)
        (void)fprintf(stderr, "dio cp: %s\n", outcome.text);
    return outcome.exit_code;
}
