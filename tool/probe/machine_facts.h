/* SPDX-License-Identifier: MIT
 *
 * machine_facts.h - what the machine and this user's limits allow: io_uring, locked memory, huge pages, NUMA.
 */
#ifndef DIO_MACHINE_FACTS_H
#define DIO_MACHINE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUGE_SIZE_MAX 8

struct huge_facts {
    uint64_t page_size; /* bytes */
    uint64_t total;     /* pages in the pool */
    uint64_t free;
};

struct machine_facts {
    char kernel[128];
    uint64_t page_size;
    int uring_error;        /* negative errno of making a ring; 0 = it works */
    char uring_hint[256];   /* why not, and what to change; empty where it works */
    int64_t uring_disabled; /* sysctl kernel.io_uring_disabled; -1 = there is none */
    int64_t seccomp_mode;   /* of this process: 0 none, 2 filter; -1 = unknown */
    uint64_t memlock_soft;  /* bytes; UINT64_MAX = unlimited */
    uint64_t memlock_hard;
    bool has_ipc_lock;     /* CAP_IPC_LOCK: the limit does not apply */
    uint64_t memlock_need; /* bytes of locked memory that registering the arena takes */
    char thp[64];          /* "always", "madvise", "never"; empty = unknown */
    struct huge_facts huge[HUGE_SIZE_MAX];
    size_t huge_count;
    uint32_t node_count; /* NUMA nodes online; 0 = unknown */
};

/* Fill facts. arena_size: bytes of memory to be registered with io_uring. */
void machine_facts_find(struct machine_facts *facts, uint64_t arena_size);

#endif
