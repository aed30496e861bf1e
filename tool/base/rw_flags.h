/* SPDX-License-Identifier: MIT
 *
 * rw_flags.h - flags of preadv2(2) and pwritev2(2) that older headers lack.
 */
#ifndef DIO_RW_FLAGS_H
#define DIO_RW_FLAGS_H

#include <sys/uio.h>

#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40 /* since Linux 6.11 */
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* since Linux 6.14 */
#endif

#endif
