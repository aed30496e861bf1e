/* SPDX-License-Identifier: MIT
 *
 * random.h - random numbers that a printed seed brings back: JDB_TEST_SEED=N repeats a run.
 */
#ifndef JDB_TEST_RANDOM_H
#define JDB_TEST_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The seed of this run, printed so that a failure can be repeated. */
static inline uint64_t random_seed(const char *what)
{
    const char *const given = getenv("JDB_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t fresh = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : fresh;
    printf("%s: JDB_TEST_SEED=%llu\n", what, (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* splitmix64: every state is a good one. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 to bound - 1; bound > 0. */
static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return random_next(state) % bound;
}

/* Log-uniform: each doubling from least to most (powers of two, least < most) is as likely as any other. */
static inline uint64_t random_log_uniform(uint64_t *state, uint64_t least, uint64_t most)
{
    const unsigned doublings = (unsigned)__builtin_ctzll(most) - (unsigned)__builtin_ctzll(least);
    const uint64_t floor = least << random_below(state, doublings);
    return floor + random_below(state, floor + 1);
}

#endif
