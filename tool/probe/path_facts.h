/* SPDX-License-Identifier: MIT
 *
 * path_facts.h - all that `dio probe` finds out about one path.
 */
#ifndef DIO_PATH_FACTS_H
#define DIO_PATH_FACTS_H

#include "probe/device_chain.h"
#include "probe/mount_facts.h"

#include <jdb_alloc/direct.h>

/* A request that was made to see its result. */
struct trial {
    const char *name; /* "512 bytes", "address + 1" */
    bool is_made;
    int64_t result; /* bytes, or a negative errno */
};

#define READ_TRIAL_COUNT 5
#define WRITE_TRIAL_COUNT 5

/* What writing to a temporary file showed; only with --write-test. */
struct write_facts {
    bool is_made;
    int error; /* negative errno of making the file; 0 = it was made */
    struct trial trials[WRITE_TRIAL_COUNT];
    int64_t written_pages; /* pages of 4096 bytes that were written in one direct write */
    int64_t dirtied_pages; /* pages that the whole system dirtied meanwhile: /proc/vmstat; -1 = unknown */
};

struct path_facts {
    const char *path;
    int error;          /* negative errno that ended the probe; 0 = none */
    const char *failed; /* what failed: "cannot open it" */
    bool is_directory;
    bool is_device;
    bool is_on_temporary; /* limits and trials are those of the temporary file */
    int direct_error;     /* of open with O_DIRECT; 0 = it was accepted */
    struct mount_facts mount;
    struct device_chain chain;
    jdb_direct limits;
    struct trial reads[READ_TRIAL_COUNT];
    struct trial uncached; /* RWF_DONTCACHE */
    struct trial polled;   /* IORING_SETUP_IOPOLL */
    struct write_facts write;
};

/* Fill facts. Only reads; with is_write_test a temporary file is made in the directory of the path (in the path
 * itself, if it is a directory), never for a device. R1, R3. */
void path_facts_find(struct path_facts *facts, const char *path, bool is_write_test);

#endif
