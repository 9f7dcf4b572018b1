#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

/* Where to listen or connect, as people write it. Any thread; names are looked up, which may take its time. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
	struct sockaddr_storage address;
	socklen_t len;
};

/*
 * Reads "6666" or ":6666" (every address to listen at, this host to connect to), "192.0.2.1:6666", "[::1]:6666",
 * "name:6666" or "unix:/path" into socket addresses, best first; `port_default` other than 0 stands in for a port that
 * is left out. Port 0 is for listening only. Every address is one endpoint: that of IPv6, to be opened for both, or that of
 * IPv4 where the system has no IPv6. Returns how many (at most `max`), or -1 with `*why` set to constant text that says what is wrong.
 */
int endpoint_read(struct endpoint *endpoints, size_t max, const char *text, uint16_t port_default,
		  bool to_listen, const char **why);

#endif
