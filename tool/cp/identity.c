/* SPDX-License-Identifier: MIT
 *
 * identity.c - see identity.h.
 */
#include "cp/identity.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <xxhash.h>

/* linux/fs.h has it since Linux 6.9. */
struct file_system_uuid {
    uint8_t size;
    uint8_t bytes[16];
};
#define GET_FILE_SYSTEM_UUID _IOR(0x15, 0, struct file_system_uuid)

/* As the kernel packs the number of a device into f_fsid: huge_encode_dev() in linux/kdev_t.h. */
static uint32_t packed(dev_t device)
{
    return (minor(device) & 0xff) | major(device) << 8 | (minor(device) & ~0xffu) << 12;
}

/* XFS, FAT and others give the number of the device for an identity. */
static uint64_t id_of_statfs(int fd, const struct stat *file)
{
    struct statfs found;
    uint32_t id[2];
    if (fstatfs(fd, &found) != 0)
        return 0;
    memcpy(id, &found.f_fsid, sizeof id);
    const int is_device = id[1] == 0 && id[0] == packed(file->st_dev);
    return is_device ? 0 : (uint64_t)id[1] << 32 | id[0];
}

static uint64_t id_of_uuid(int fd)
{
    struct file_system_uuid uuid;
    if (ioctl(fd, GET_FILE_SYSTEM_UUID, &uuid) != 0 || uuid.size > sizeof uuid.bytes)
        return 0;
    return XXH3_64bits(uuid.bytes, uuid.size);
}

uint64_t identity_of_file_system(int fd, const struct stat *file)
{
    const uint64_t id = id_of_statfs(fd, file);
    return id != 0 ? id : id_of_uuid(fd);
}

/* Not each is in the linux/magic.h of older systems. */
#define EXFAT_TYPE 0x2011bab0u
#define CIFS_TYPE 0xff534d42u
#define SMB2_TYPE 0xfe534d42u

bool identity_inodes_last(int fd)
{
    struct statfs found;
    if (fstatfs(fd, &found) != 0)
        return true;
    switch ((uint32_t)found.f_type) {
    case MSDOS_SUPER_MAGIC:
    case FUSE_SUPER_MAGIC:
    case EXFAT_TYPE:
    case CIFS_TYPE:
    case SMB2_TYPE:
        return false;
    default:
        return true;
    }
}
