/* SPDX-License-Identifier: MIT
 *
 * device_chain.h - the devices below a file, its own first: partition, disk, mapper, loop device, and the device of its file.
 */
#ifndef DIO_DEVICE_CHAIN_H
#define DIO_DEVICE_CHAIN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_CHAIN_MAX 16

struct device_link {
    char name[64];          /* "vda1", "dm-0", "loop3" */
    uint32_t depth;         /* 0: the file's own device; 1: below it */
    uint32_t logical_size;  /* bytes; 0 = unknown, here and below */
    uint32_t physical_size; /* bytes */
    uint32_t memory_align;  /* bytes: dma_alignment + 1 */
    bool is_partition;      /* its sizes are those of the disk */
    bool is_rotational;
    char backing[PATH_MAX]; /* of a loop device: the file; empty for others */
    bool is_backing_direct; /* the loop device reads and writes its file with O_DIRECT */
};

struct device_chain {
    struct device_link links[DEVICE_CHAIN_MAX];
    size_t count;
};

/* Add the device and all below it, from sysfs; stops when the chain is full. Nothing is added for a number that no block
 * device has. */
void device_chain_add(struct device_chain *chain, uint32_t major, uint32_t minor, uint32_t depth);

/* Whether a loop device is in the chain. */
bool device_chain_has_loop(const struct device_chain *chain);

#endif
