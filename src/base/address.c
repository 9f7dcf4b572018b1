/* The address of a peer, taken from the system's form of it and written for people. */

#include "base/address.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static_assert(sizeof(struct address) == 20, "every client has one");

static void of_ipv4(struct address *address, const struct sockaddr_in *from)
{
	address->family = ADDRESS_IPV4;
	address->port = ntohs(from->sin_port);
	memcpy(address->bytes, &from->sin_addr, 4);
}

static void of_ipv6(struct address *address, const struct sockaddr_in6 *from)
{
	address->port = ntohs(from->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&from->sin6_addr)) {
		address->family = ADDRESS_IPV4;
		memcpy(address->bytes, from->sin6_addr.s6_addr + 12, 4);
		return;
	}
	address->family = ADDRESS_IPV6;
	memcpy(address->bytes, &from->sin6_addr, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&from->sin6_addr) && from->sin6_scope_id < 256)
		address->scope = (uint8_t)from->sin6_scope_id;
}

void address_of(struct address *address, const struct sockaddr_storage *from)
{
	*address = (struct address){.family = ADDRESS_NONE};
	switch (from->ss_family) {
	case AF_INET:
		of_ipv4(address, (const struct sockaddr_in *)from);
		break;
	case AF_INET6:
		of_ipv6(address, (const struct sockaddr_in6 *)from);
		break;
	case AF_UNIX:
		address->family = ADDRESS_UNIX;
		break;
	default:
		break;
	}
}

static void write_ipv6(char text[ADDRESS_TEXT], const struct address *address)
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, address->bytes, host, sizeof(host));
	if (address->scope != 0)
		snprintf(text, ADDRESS_TEXT, "[%s%%%u]:%u", host, address->scope, address->port);
	else
		snprintf(text, ADDRESS_TEXT, "[%s]:%u", host, address->port);
}

const char *address_write(char text[ADDRESS_TEXT], const struct address *address)
{
	char host[INET_ADDRSTRLEN];

	switch ((enum address_family)address->family) {
	case ADDRESS_IPV4:
		inet_ntop(AF_INET, address->bytes, host, sizeof(host));
		snprintf(text, ADDRESS_TEXT, "%s:%u", host, address->port);
		break;
	case ADDRESS_IPV6:
		write_ipv6(text, address);
		break;
	case ADDRESS_UNIX:
		strcpy(text, "unix");
		break;
	case ADDRESS_NONE:
		strcpy(text, "nowhere");
		break;
	}
	return text;
}
