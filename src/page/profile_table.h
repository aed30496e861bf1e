/* SPDX-License-Identifier: MIT
 *
 * profile_table.h - the samples that are live, by the address of their buffer; and stacks, each with the samples that were
 * taken there: those that are live, and those that were when the most bytes were.
 *
 * Every function takes the profile's lock. Stacks are never removed.
 */
#ifndef JDB_PROFILE_TABLE_H
#define JDB_PROFILE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_FRAMES_MAX 30u
#define PROFILE_SAMPLES_MAX (UINT32_C(1) << 16)
#define PROFILE_STACKS_MAX (UINT32_C(1) << 13)

struct profile_sample {
    uintptr_t address;
    uint64_t size;  /* bytes of the buffer */
    uint64_t bytes; /* that the sample stands for */
    uint64_t taken_ms;
};

/* Buffers and bytes, as samples stand for them. */
struct profile_sum {
    uint64_t count;
    uint64_t bytes;
};

struct profile_stack {
    struct profile_sum live;
    struct profile_sum peak;
    uint32_t depth;
    uint32_t next; /* of those with the same low bits of a hash */
    void *frames[PROFILE_FRAMES_MAX];
};

/* Make the tables, the first time. -ENOMEM. */
int jdb__profile_open(void);

/* A sample was taken, or its buffer is sampled already and has grown. False: no room. */
bool jdb__profile_add(const struct profile_sample *sample, void *const *frames, unsigned depth);

/* Its buffer is freed. False: there is none at that address. */
bool jdb__profile_remove(uintptr_t address, struct profile_sample *ret_sample);

/* Its buffer has moved. False: there is none, or one is at the new address already, and the bytes of both are its. */
bool jdb__profile_rename(uintptr_t from, uintptr_t to);

/* All samples together, at the peak or live. */
struct profile_sum jdb__profile_total(bool is_peak);

/* The stack of a number; false: there is none, and none of a higher number. */
bool jdb__profile_stack(uint32_t number, struct profile_stack *ret_stack);

#endif
