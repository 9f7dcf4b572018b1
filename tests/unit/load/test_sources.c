/* Where clients connect from. */

#include "load/sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static struct sources sources;

static struct endpoint at(const char *address)
{
	struct endpoint endpoint = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&endpoint.address;

	ipv4->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, address, &ipv4->sin_addr), 1);
	return endpoint;
}

static uint32_t address_of(unsigned i)
{
	return ntohl(((const struct sockaddr_in *)&sources.addresses[i])->sin_addr.s_addr);
}

static void loopback_takes_what_it_needs(void **state)
{
	struct endpoint loopback = at("127.0.0.1"), another = at("127.9.9.9"),
			far = at("192.0.2.1");

	(void)state;
	sources_init(&sources, &loopback, 28000, 28000);
	assert_int_equal(sources.count, 0);
	sources_init(&sources, &loopback, 28001, 28000);
	assert_int_equal(sources.count, 2);
	assert_int_equal(address_of(0), 0x7f000001);
	assert_int_equal(address_of(1), 0x7f000002);
	sources_init(&sources, &another, 1000 * 1000, 28000);
	assert_int_equal(sources.count, 36);
	sources_init(&sources, &far, 1000 * 1000, 28000);
	assert_int_equal(sources.count, 0);
}

static void named_ones_are_of_one_kind(void **state)
{
	struct endpoint far = at("192.0.2.1");

	(void)state;
	sources_init(&sources, &far, 0, 28000);
	assert_int_equal(sources_add(&sources, "127.0.0.5"), 0);
	assert_int_equal(sources_add(&sources, "127.0.0.6"), 0);
	assert_int_equal(sources.count, 2);
	assert_int_equal(sources_add(&sources, "::1"), -EINVAL);
	assert_int_equal(sources_add(&sources, "localhost"), -EINVAL);
	assert_int_equal(sources_add(&sources, ""), -EINVAL);
	assert_int_equal(sources.count, 2);
}

static void each_client_has_its_own(void **state)
{
	(void)state;
	for (uint32_t client = 0; client < 4; client++) {
		struct sockaddr_in bound;
		socklen_t len = sizeof(bound);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_int_equal(sources_bind(&sources, fd, client), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
		assert_int_equal(ntohl(bound.sin_addr.s_addr), 0x7f000005 + client % 2);
		/* No port yet: many clients may have the same address. */
		assert_int_equal(bound.sin_port, 0);
		close(fd);
	}
	assert_in_range(sources_ports(), 1, 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_takes_what_it_needs),
		cmocka_unit_test(named_ones_are_of_one_kind),
		cmocka_unit_test(each_client_has_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
