/* From what people write to socket addresses. Only names go to the system's resolver, and only it may take long. */

#include "base/endpoint.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

/* The longest name in the DNS is 253 characters; a link-local address with its interface is shorter. */
#define HOST_MAX 255

#define UNIX_PREFIX "unix:"

static const char no_port[] = "a port is missing, as in name:6666";

static bool is_number(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") >= len;
}

static int fail(const char **why, const char *text)
{
	*why = text;
	return -1;
}

/*
 * unix:/path
 */

static int read_unix(struct endpoint *endpoint, const char *path, const char **why)
{
	struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;
	size_t len = strlen(path);

	if (len == 0)
		return fail(why, "the path of the socket is missing, as in unix:/run/name.sock");
	if (len >= sizeof(address->sun_path))
		return fail(why, "the path of the socket is too long: it may have 107 bytes");
	memset(endpoint, 0, sizeof(*endpoint));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, len + 1);
	endpoint->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 1;
}

/*
 * Ports and hosts
 */

/* Reads all of `text`. */
static bool read_port(uint16_t *port, const char *text, bool to_listen)
{
	unsigned long number = 0;

	if (!is_number(text, strlen(text)))
		return false;
	for (; *text != '\0' && number <= UINT16_MAX; text++)
		number = number * 10 + (unsigned long)(*text - '0');
	if (number > UINT16_MAX || (number == 0 && !to_listen))
		return false;
	*port = (uint16_t)number;
	return true;
}

/* `port` is NULL where it is left out. */
struct parts {
	const char *host;
	size_t host_len;
	const char *port;
};

/* Parts host and port. Returns what is wrong, or NULL. */
static const char *part(struct parts *parts, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *bracket = strchr(text, ']');

	*parts = (struct parts){.host = text, .host_len = strlen(text)};
	if (text[0] == '[') {
		if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
			return "an address in brackets is [address]:port";
		if (bracket == text + 1)
			return "there is nothing in the brackets";
		parts->host = text + 1;
		parts->host_len = (size_t)(bracket - parts->host);
		parts->port = bracket[1] == ':' ? bracket + 2 : NULL;
	} else if (is_number(text, strlen(text))) {
		parts->host_len = 0;
		parts->port = text;
	} else if (colon != NULL) {
		if (colon != strchr(text, ':'))
			return "an IPv6 address stands in brackets, as in [::1]:6666";
		parts->host_len = (size_t)(colon - text);
		parts->port = colon + 1;
	}
	return NULL;
}

static bool has_ipv6(void)
{
	int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (probe < 0)
		return false;
	close(probe);
	return true;
}

/* Every address to listen at: one socket for IPv6 and IPv4, where there is IPv6. */
static int every_address(struct endpoint *endpoint, uint16_t port)
{
	memset(endpoint, 0, sizeof(*endpoint));
	if (has_ipv6()) {
		struct sockaddr_in6 *address = (struct sockaddr_in6 *)&endpoint->address;

		address->sin6_family = AF_INET6;
		address->sin6_port = htons(port);
		address->sin6_addr = in6addr_any;
		endpoint->len = sizeof(*address);
	} else {
		struct sockaddr_in *address = (struct sockaddr_in *)&endpoint->address;

		address->sin_family = AF_INET;
		address->sin_port = htons(port);
		address->sin_addr.s_addr = htonl(INADDR_ANY);
		endpoint->len = sizeof(*address);
	}
	return 1;
}

static const char *why_not_found(int error)
{
	switch (error) {
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return "there is no such name or address";
	case EAI_AGAIN:
		return "the name cannot be looked up now";
	case EAI_MEMORY:
		return "out of memory";
	default:
		return "the name cannot be looked up";
	}
}

/* An address as it stands is asked for first: the rule for names would leave out [::1] where there is no other IPv6. */
static int look_up(struct addrinfo **found, const char *host, const char *port, bool to_listen)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	int passive = to_listen ? AI_PASSIVE : 0;

	hints.ai_flags = AI_NUMERICSERV | passive | AI_NUMERICHOST;
	if (getaddrinfo(host, port, &hints, found) == 0)
		return 0;
	hints.ai_flags = AI_NUMERICSERV | passive | AI_ADDRCONFIG;
	return getaddrinfo(host, port, &hints, found);
}

static int read_host(struct endpoint *endpoints, size_t max, const struct parts *parts,
		     uint16_t port, bool to_listen, const char **why)
{
	char host[HOST_MAX + 1], service[sizeof("65535")];
	struct addrinfo *found;
	size_t count = 0;

	if (parts->host_len > HOST_MAX)
		return fail(why, "the name is too long");
	memcpy(host, parts->host, parts->host_len);
	host[parts->host_len] = '\0';
	snprintf(service, sizeof(service), "%u", port);

	int error = look_up(&found, parts->host_len > 0 ? host : "127.0.0.1", service, to_listen);

	if (error != 0)
		return fail(why, why_not_found(error));
	for (const struct addrinfo *one = found; one != NULL && count < max; one = one->ai_next) {
		if (one->ai_addrlen > sizeof(endpoints[count].address))
			continue;
		memset(&endpoints[count], 0, sizeof(endpoints[count]));
		memcpy(&endpoints[count].address, one->ai_addr, one->ai_addrlen);
		endpoints[count++].len = one->ai_addrlen;
	}
	freeaddrinfo(found);
	if (count == 0)
		return fail(why, why_not_found(EAI_NONAME));
	return (int)count;
}

int endpoint_read(struct endpoint *endpoints, size_t max, const char *text, uint16_t port_default,
		  bool to_listen, const char **why)
{
	struct parts parts;
	uint16_t port = port_default;

	assert(max > 0);
	*why = NULL;
	if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		return read_unix(endpoints, text + strlen(UNIX_PREFIX), why);
	if (text[0] == '\0')
		return fail(why, "it is empty");
	*why = part(&parts, text);
	if (*why != NULL)
		return -1;
	if (parts.port == NULL && port_default == 0)
		return fail(why, no_port);
	if (parts.port != NULL && !read_port(&port, parts.port, to_listen))
		return fail(why, to_listen ? "a port is a number from 0 to 65535"
					   : "a port is a number from 1 to 65535");
	if (parts.host_len == 0 && to_listen)
		return every_address(endpoints, port);
	return read_host(endpoints, max, &parts, port, to_listen, why);
}
