/* SPDX-License-Identifier: MIT
 *
 * progress.c - see progress.h.
 */
#include "base/progress.h"

#include "base/clock.h"
#include "base/sizes.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECONDS_BETWEEN_DRAWS 0.1
#define WIDTH_WITHOUT_BAR 56 /* columns of the figures, at most */
#define BAR_WIDTH_MAX 60

void progress_start(struct progress *progress, const char *what, int64_t total, bool is_wanted)
{
    *progress = (struct progress){.what = what,
                                  .total = total,
                                  .started = seconds_now(),
                                  .is_shown = is_wanted && isatty(STDERR_FILENO) == 1,
                                  .whole = progress->whole};
}

void progress_start_whole(struct progress *progress, int64_t total, bool is_wanted)
{
    progress->whole = NULL;
    progress_start(progress, "copy", total, is_wanted);
    (void)pthread_mutex_init(&progress->lock, NULL);
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "0:07", "12:34", "2:03:04". */
static void format_time(double seconds, char *text, size_t text_size)
{
    const unsigned whole = seconds < 0 ? 0 : seconds > 3.6e6 ? 3600000 : (unsigned)(seconds + 0.5);
    if (whole >= 3600)
        (void)snprintf(text, text_size, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
    else
        (void)snprintf(text, text_size, "%u:%02u", whole / 60, whole % 60);
}

static void draw_unknown(const struct progress *progress, double seconds)
{
    char done[SIZE_TEXT_SIZE];
    char speed[SIZE_TEXT_SIZE];
    const double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    (void)fprintf(stderr, "\r%-6s %s  %s/s\033[K", progress->what, size_text(progress->done, done),
                  size_text((int64_t)rate, speed));
}

static void draw_known(const struct progress *progress, double seconds)
{
    const double part = (double)progress->done / (double)progress->total;
    const double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    char done[SIZE_TEXT_SIZE];
    char total[SIZE_TEXT_SIZE];
    char speed[SIZE_TEXT_SIZE];
    char left[24] = "-:--";
    if (rate > 0)
        format_time((double)(progress->total - progress->done) / rate, left, sizeof left);

    char bar[BAR_WIDTH_MAX + 1] = "";
    const int room = terminal_width() - WIDTH_WITHOUT_BAR;
    const int width = room > BAR_WIDTH_MAX ? BAR_WIDTH_MAX : room;
    for (int i = 0; i < width; i++)
        bar[i] = i < (int)(part * width) ? '#' : '.';
    (void)fprintf(stderr, "\r%-6s %3d%% %s%s%s of %s  %s/s  %s left\033[K", progress->what, (int)(part * 100), bar,
                  width > 0 ? " " : "", size_text(progress->done, done), size_text(progress->total, total),
                  size_text((int64_t)rate, speed), left);
}

static void draw(struct progress *progress, double now)
{
    const double seconds = now - progress->started;
    if (progress->total == 0)
        draw_unknown(progress, seconds);
    else
        draw_known(progress, seconds);
    (void)fflush(stderr);
    progress->drawn = now;
}

static void add_to_whole(struct progress *whole, int64_t bytes)
{
    (void)pthread_mutex_lock(&whole->lock);
    progress_add(whole, bytes);
    (void)pthread_mutex_unlock(&whole->lock);
}

void progress_add(struct progress *progress, int64_t bytes)
{
    if (progress->whole != NULL && strcmp(progress->what, "copy") == 0)
        add_to_whole(progress->whole, bytes);
    progress->done += bytes;
    DIO_ASSERT(bytes > 0);
    if (progress->total != 0)
        progress->total = larger(progress->total, progress->done);
    if (!progress->is_shown)
        return;
    const double now = seconds_now();
    if (now - progress->drawn >= SECONDS_BETWEEN_DRAWS || progress->done == progress->total)
        draw(progress, now);
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown && progress->drawn > 0)
        (void)fputs("\r\033[K", stderr);
    progress->is_shown = false;
}
