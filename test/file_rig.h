/* SPDX-License-Identifier: MIT
 *
 * file_rig.h - a real file for the tests of adapters: known bytes, written extents, O_DIRECT. Behind <cmocka.h>.
 */
#ifndef JDB_TEST_FILE_RIG_H
#define JDB_TEST_FILE_RIG_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK ((size_t)4096)

static inline uint8_t rig_byte(size_t offset)
{
    return (uint8_t)(offset * 7 + offset / 256 + 1);
}

/* A nameless file of size bytes in the working directory, every extent written, open for direct I/O; -1: none here. */
static inline int rig_file(size_t size)
{
    char path[] = "file_rig.XXXXXX";
    const int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    uint8_t *const bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = rig_byte(i);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fsync(fd), 0);
    free(bytes);
    const int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    unlink(path);
    close(fd);
    return direct;
}

/* [ptr, ptr + size) are the bytes of the file from offset on. */
static inline void rig_assert(const uint8_t *ptr, size_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(ptr[i], rig_byte(offset + i));
}

#endif
