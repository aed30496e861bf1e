/* SPDX-License-Identifier: MIT
 *
 * tier.h - how much work a test does: quick, default or long, from JDB_TEST_TIER; less under sanitizers.
 */
#ifndef JDB_TEST_TIER_H
#define JDB_TEST_TIER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TIER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TIER_SANITIZED 1
#endif
#endif
#ifndef TIER_SANITIZED
#define TIER_SANITIZED 0
#endif

#ifdef JDB_CHECKED
#define TIER_CHECKED 1
#else
#define TIER_CHECKED 0
#endif

/* Whether the program runs in an emulator of user programs, which keeps few of the kernel's promises about mappings and
 * fork(), and needs memory for addresses that are only set aside. */
static inline bool tier_is_emulated(void)
{
    const char *const emulator = getenv("JDB_TEST_EMULATOR");
    return emulator != NULL && emulator[0] != '\0';
}

/* One of three amounts of work. A slow build (sanitized, checked) takes the quick one unless asked for the long. */
static inline uint64_t tier_pick(uint64_t quick, uint64_t standard, uint64_t full)
{
    const char *const tier = getenv("JDB_TEST_TIER");
    if (tier != NULL && strcmp(tier, "long") == 0)
        return TIER_SANITIZED ? standard : full;
    if (TIER_SANITIZED || TIER_CHECKED || (tier != NULL && strcmp(tier, "quick") == 0))
        return quick;
    return standard;
}

/* Whether memory and time may be measured: sanitizers and the checked build keep memory of their own. */
static inline bool tier_is_measurable(void)
{
    return !TIER_SANITIZED && !TIER_CHECKED;
}

#endif
