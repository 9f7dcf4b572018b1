/* Addresses of peers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/address.h"

static struct sockaddr_storage ipv4(const char *host, uint16_t port)
{
	struct sockaddr_storage from = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&from;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, host, &in->sin_addr), 1);
	return from;
}

static struct sockaddr_storage ipv6(const char *host, uint16_t port, uint32_t scope)
{
	struct sockaddr_storage from = {0};
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&from;

	in->sin6_family = AF_INET6;
	in->sin6_port = htons(port);
	in->sin6_scope_id = scope;
	assert_int_equal(inet_pton(AF_INET6, host, &in->sin6_addr), 1);
	return from;
}

static void check(const struct sockaddr_storage *from, enum address_family family,
		  const char *right)
{
	struct address address;
	char text[ADDRESS_TEXT];

	memset(&address, 0xff, sizeof(address));
	address_of(&address, from);
	assert_int_equal(address.family, family);
	assert_ptr_equal(address_write(text, &address), text);
	assert_string_equal(text, right);
}

static void of_ipv4(void **state)
{
	struct sockaddr_storage from = ipv4("192.0.2.1", 4711);

	(void)state;
	check(&from, ADDRESS_IPV4, "192.0.2.1:4711");
	from = ipv4("255.255.255.255", 65535);
	check(&from, ADDRESS_IPV4, "255.255.255.255:65535");
}

static void of_ipv6(void **state)
{
	struct sockaddr_storage from = ipv6("2001:db8::1", 4711, 0);

	(void)state;
	check(&from, ADDRESS_IPV6, "[2001:db8::1]:4711");
	from = ipv6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 0);
	check(&from, ADDRESS_IPV6, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void of_ipv4_within_ipv6(void **state)
{
	struct sockaddr_storage from = ipv6("::ffff:192.0.2.1", 4711, 0),
				same = ipv4("192.0.2.1", 4711);
	struct address mapped, plain;

	(void)state;
	check(&from, ADDRESS_IPV4, "192.0.2.1:4711");
	address_of(&mapped, &from);
	address_of(&plain, &same);
	assert_memory_equal(&mapped, &plain, sizeof(plain));
}

static void of_a_link(void **state)
{
	struct sockaddr_storage from = ipv6("fe80::1", 4711, 2);

	(void)state;
	check(&from, ADDRESS_IPV6, "[fe80::1%2]:4711");
	from = ipv6("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 255);
	check(&from, ADDRESS_IPV6, "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%255]:65535");
	from = ipv6("fe80::1", 4711, 258);
	check(&from, ADDRESS_IPV6, "[fe80::1]:4711");
	from = ipv6("2001:db8::1", 4711, 2);
	check(&from, ADDRESS_IPV6, "[2001:db8::1]:4711");
}

static void of_others(void **state)
{
	struct sockaddr_storage from = {.ss_family = AF_UNIX};

	(void)state;
	check(&from, ADDRESS_UNIX, "unix");
	from.ss_family = AF_UNSPEC;
	check(&from, ADDRESS_NONE, "nowhere");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_ipv4),
		cmocka_unit_test(of_ipv6),
		cmocka_unit_test(of_ipv4_within_ipv6),
		cmocka_unit_test(of_a_link),
		cmocka_unit_test(of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
