/* SPDX-License-Identifier: MIT
 *
 * progress.h - a line on a terminal that shows how far a pass is, its rate, and the time left. Nothing in a pipe.
 */
#ifndef DIO_PROGRESS_H
#define DIO_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "copy", "verify" */
    int64_t total;    /* bytes; 0 = not known */
    int64_t done;
    double started;
    double drawn; /* when; 0 = never */
    bool is_shown;
    struct progress *whole; /* of all copies, which this one is a part of; or NULL. Only `copy` counts */
    pthread_mutex_t lock;   /* of a whole */
};

/* Keeps `whole`. is_wanted: and stderr is a terminal. */
void progress_start(struct progress *progress, const char *what, int64_t total, bool is_wanted);

/* What is more than the total was not known before: it raises it. */
void progress_add(struct progress *progress, int64_t bytes);

/* Begin the progress of many copies, whose progress has it as `whole`; any of their threads adds to it. */
void progress_start_whole(struct progress *progress, int64_t total, bool is_wanted);

/* Wipe the line. */
void progress_end(struct progress *progress);

#endif
