#ifndef PRESENCE_NAME_HASH_H
#define PRESENCE_NAME_HASH_H

/*
 * SipHash-2-4 (Aumasson, Bernstein): whoever does not know the seed can choose no names that collide, and learns
 * nothing of a text from its hash. Pure, any thread.
 */

#include <stddef.h>
#include <stdint.h>

uint64_t name_hash(const uint8_t seed[16], const void *bytes, size_t len);

#endif
