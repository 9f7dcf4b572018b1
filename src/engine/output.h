#ifndef ENGINE_OUTPUT_H
#define ENGINE_OUTPUT_H

/* Giving slices to a socket. For engines that send by themselves. Any thread. */

#include <stddef.h>
#include <sys/types.h>

#include "engine/engine.h"

/* The bytes of all slices. */
size_t output_len(const struct engine_slice *slices, size_t count);

/*
 * Gives them to the kernel without waiting and without SIGPIPE. Returns how many bytes it took, 0 where there is no
 * room, or a negative errno.
 */
ssize_t output_send(int fd, const struct engine_slice *slices, size_t count);

#endif
