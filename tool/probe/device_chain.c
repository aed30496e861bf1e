/* SPDX-License-Identifier: MIT
 *
 * device_chain.c - see device_chain.h.
 */
#include "probe/device_chain.h"

#include "base/invariant.h"
#include "base/text_file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The first line of DIRECTORY/NAME. */
static bool read_attribute(const char *directory, const char *name, char *text, size_t text_size)
{
    char path[2 * PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return text_file_line(path, text, text_size);
}

/* The number in DIRECTORY/NAME; 0 where there is none. */
static uint32_t read_attribute_number(const char *directory, const char *name)
{
    char text[32];
    return read_attribute(directory, name, text, sizeof text) ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* The device that DIRECTORY/dev names. */
static void add_directory(struct device_chain *chain, const char *directory, uint32_t depth)
{
    char text[32];
    unsigned major_number = 0;
    unsigned minor_number = 0;
    if (!read_attribute(directory, "dev", text, sizeof text))
        return;
    char *end = NULL;
    major_number = (unsigned)strtoul(text, &end, 10);
    if (*end != ':')
        return;
    minor_number = (unsigned)strtoul(end + 1, NULL, 10);
    device_chain_add(chain, major_number, minor_number, depth);
}

/* The devices that a mapper or array is made of. */
static void add_slaves(struct device_chain *chain, const char *directory, uint32_t depth)
{
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/slaves", directory);
    DIR *const slaves = opendir(path);
    if (slaves == NULL)
        return;
    for (const struct dirent *entry = readdir(slaves); entry != NULL; entry = readdir(slaves)) {
        char slave[PATH_MAX + 300];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(slave, sizeof slave, "%s/%s", path, entry->d_name);
        add_directory(chain, slave, depth);
    }
    (void)closedir(slaves);
}

/* The device that the file of a loop device lies on. */
static void add_backing(struct device_chain *chain, const char *backing, uint32_t depth)
{
    struct stat stat_of_file;
    if (stat(backing, &stat_of_file) == 0)
        device_chain_add(chain, major(stat_of_file.st_dev), minor(stat_of_file.st_dev), depth);
}

static void read_link_facts(struct device_link *link, const char *directory, const char *disk)
{
    char queue[PATH_MAX + 16];
    char text[8] = "";
    (void)snprintf(queue, sizeof queue, "%s/queue", disk);
    link->logical_size = read_attribute_number(queue, "logical_block_size");
    link->physical_size = read_attribute_number(queue, "physical_block_size");
    link->is_rotational = read_attribute_number(queue, "rotational") != 0;
    if (read_attribute(queue, "dma_alignment", text, sizeof text))
        link->memory_align = (uint32_t)strtoul(text, NULL, 10) + 1;
    (void)read_attribute(directory, "loop/backing_file", link->backing, sizeof link->backing);
    link->is_backing_direct = read_attribute_number(directory, "loop/dio") != 0;
}

void device_chain_add(struct device_chain *chain, uint32_t major_number, uint32_t minor_number, uint32_t depth)
{
    char number[64];
    char directory[PATH_MAX];
    char disk[PATH_MAX];
    (void)snprintf(number, sizeof number, "/sys/dev/block/%u:%u", major_number, minor_number);
    if (chain->count == DEVICE_CHAIN_MAX || realpath(number, directory) == NULL)
        return;
    DIO_ASSERT(chain->count < DEVICE_CHAIN_MAX && depth <= DEVICE_CHAIN_MAX);
    struct device_link *const link = &chain->links[chain->count++];
    memset(link, 0, sizeof *link);
    const char *const name = strrchr(directory, '/');
    (void)snprintf(link->name, sizeof link->name, "%.63s", name != NULL ? name + 1 : "");
    link->depth = depth;
    link->is_partition = read_attribute_number(directory, "partition") != 0;
    memcpy(disk, directory, sizeof disk);
    char *const last = strrchr(disk, '/');
    if (link->is_partition && last != NULL)
        *last = '\0'; /* the disk is the directory that the partition lies in */
    read_link_facts(link, directory, disk);
    if (link->is_partition)
        add_directory(chain, disk, depth + 1);
    add_slaves(chain, directory, depth + 1);
    if (link->backing[0] != '\0')
        add_backing(chain, link->backing, depth + 1);
}

bool device_chain_has_loop(const struct device_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->links[i].backing[0] != '\0')
            return true;
    return false;
}
