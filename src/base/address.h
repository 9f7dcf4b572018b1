#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

/* The address of a peer, in 20 bytes. Any thread. */

#include <stdint.h>

struct sockaddr_storage;

enum address_family {
	ADDRESS_NONE,
	ADDRESS_IPV4,
	ADDRESS_IPV6,
	ADDRESS_UNIX
};

struct address {
	uint8_t bytes[16];
	uint16_t port;	/* in host order */
	uint8_t family; /* enum address_family */
	uint8_t scope;	/* link-local IPv6: the interface's index where it is below 256 */
};

/* An IPv4 address mapped into IPv6 becomes IPv4. */
void address_of(struct address *address, const struct sockaddr_storage *from);

/*
 * "192.0.2.1:4711", "[2001:db8::1]:4711", "[fe80::1%2]:4711", "unix"; "nowhere" where there is none. Needs ADDRESS_TEXT
 * bytes. Returns text.
 */
#define ADDRESS_TEXT 64
const char *address_write(char text[ADDRESS_TEXT], const struct address *address);

#endif
