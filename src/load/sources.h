#ifndef LOAD_SOURCES_H
#define LOAD_SOURCES_H

/*
 * The addresses to connect from. One address has some 28,000 ports towards one server; a loopback server is reached
 * from as many addresses of 127.0.0.0/8 as that takes. Any thread, once it is made.
 */

#include <stdint.h>

#include "base/endpoint.h"

#define SOURCES_MAX 1024

struct sources {
	unsigned count; /* 0: the system chooses */
	struct sockaddr_storage addresses[SOURCES_MAX];
	socklen_t len;
};

/* For so many connections at once to `target`; `ports` is how many one address has. */
void sources_init(struct sources *sources, const struct endpoint *target, uint32_t clients,
		  uint32_t ports);

/* Adds an address that the user has named. 0, -EINVAL, or -ENOSPC. */
int sources_add(struct sources *sources, const char *text) __attribute__((warn_unused_result));

/* How many ports the system gives to one address. */
uint32_t sources_ports(void);

/* Binds a new socket to the address of this client. 0, or a negative errno. */
int sources_bind(const struct sources *sources, int fd, uint32_t client)
	__attribute__((warn_unused_result));

#endif
