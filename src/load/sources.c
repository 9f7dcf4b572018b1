/* Ports are left to the kernel until the connection is made (IP_BIND_ADDRESS_NO_PORT): only then it knows which are free. */

#include "load/sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool is_loopback(const struct endpoint *target)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&target->address;

	return target->address.ss_family == AF_INET && ntohl(ipv4->sin_addr.s_addr) >> 24 == 127;
}

void sources_init(struct sources *sources, const struct endpoint *target, uint32_t clients,
		  uint32_t ports)
{
	uint32_t count = (clients + ports - 1) / ports;

	memset(sources, 0, sizeof(*sources));
	if (!is_loopback(target) || count < 2)
		return;
	sources->count = count < SOURCES_MAX ? count : SOURCES_MAX;
	sources->len = sizeof(struct sockaddr_in);
	for (unsigned i = 0; i < sources->count; i++) {
		struct sockaddr_in *ipv4 = (struct sockaddr_in *)&sources->addresses[i];

		ipv4->sin_family = AF_INET;
		ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
	}
}

int sources_add(struct sources *sources, const char *text)
{
	struct sockaddr_storage *address = &sources->addresses[sources->count];
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;
	socklen_t len;

	if (sources->count == SOURCES_MAX)
		return -ENOSPC;
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		len = sizeof(*ipv4);
	} else if (inet_pton(AF_INET6, text, &ipv6->sin6_addr) == 1) {
		ipv6->sin6_family = AF_INET6;
		len = sizeof(*ipv6);
	} else {
		return -EINVAL;
	}
	if (sources->count > 0 && len != sources->len)
		return -EINVAL;
	sources->len = len;
	sources->count++;
	return 0;
}

uint32_t sources_ports(void)
{
	unsigned first = 32768, last = 60999;
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (file != NULL) {
		if (fscanf(file, "%u %u", &first, &last) != 2 || last < first)
			first = 32768, last = 60999;
		fclose(file);
	}
	/* The last few are hard to find when all others are taken, and other programs want some as well. */
	return (last - first + 1) - (last - first + 1) / 100;
}

int sources_bind(const struct sources *sources, int fd, uint32_t client)
{
	const int on = 1;

	if (sources->count == 0)
		return 0;
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sources->addresses[client % sources->count],
		 sources->len) < 0)
		return -errno;
	return 0;
}
