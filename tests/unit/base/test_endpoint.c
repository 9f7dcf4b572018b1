/* Where to listen or connect. No name is looked up that is not in every system's own table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/endpoint.h"

#define MAX 8
#define LISTEN true
#define CONNECT false

static void check_one(const char *text, uint16_t port_default, bool to_listen, const char *right)
{
	struct endpoint endpoints[MAX];
	struct address address;
	char written[ADDRESS_TEXT];
	const char *why = "";
	int count = endpoint_read(endpoints, MAX, text, port_default, to_listen, &why);

	if (count != 1)
		fail_msg("\"%s\": %d, %s", text, count, why != NULL ? why : "no reason");
	address_of(&address, &endpoints[0].address);
	assert_string_equal(address_write(written, &address), right);
}

static const char *why_not(const char *text, uint16_t port_default, bool to_listen)
{
	struct endpoint endpoints[MAX];
	const char *why = NULL;
	int count = endpoint_read(endpoints, MAX, text, port_default, to_listen, &why);

	if (count != -1)
		fail_msg("\"%s\" was read, and ought not to be", text);
	assert_non_null(why);
	return why;
}

static const char *everywhere(void)
{
	int probe = socket(AF_INET6, SOCK_STREAM, 0);

	if (probe >= 0)
		close(probe);
	return probe >= 0 ? "[::]:6666" : "0.0.0.0:6666";
}

static void a_port_alone(void **state)
{
	(void)state;
	check_one("6666", 0, LISTEN, everywhere());
	check_one(":6666", 0, LISTEN, everywhere());
	check_one("6666", 1234, LISTEN, everywhere());
	check_one("6666", 0, CONNECT, "127.0.0.1:6666");
	check_one(":6666", 0, CONNECT, "127.0.0.1:6666");
	check_one("65535", 0, CONNECT, "127.0.0.1:65535");
	check_one("0006666", 0, CONNECT, "127.0.0.1:6666");
}

static void an_address_and_a_port(void **state)
{
	(void)state;
	for (int to_listen = 0; to_listen < 2; to_listen++) {
		check_one("192.0.2.1:6666", 0, to_listen, "192.0.2.1:6666");
		check_one("127.0.0.1:1", 0, to_listen, "127.0.0.1:1");
		check_one("[::1]:6666", 0, to_listen, "[::1]:6666");
		check_one("[2001:db8::1]:6666", 0, to_listen, "[2001:db8::1]:6666");
		check_one("[192.0.2.1]:6666", 0, to_listen, "192.0.2.1:6666");
	}
	check_one("0.0.0.0:6666", 0, LISTEN, "0.0.0.0:6666");
	check_one("[::]:6666", 0, LISTEN, "[::]:6666");
	check_one("127.0.0.1:0", 0, LISTEN, "127.0.0.1:0");
	check_one("0", 0, LISTEN, strcmp(everywhere(), "[::]:6666") == 0 ? "[::]:0" : "0.0.0.0:0");
}

static void a_port_left_out(void **state)
{
	(void)state;
	check_one("192.0.2.1", 6666, CONNECT, "192.0.2.1:6666");
	check_one("[2001:db8::1]", 6666, CONNECT, "[2001:db8::1]:6666");
	check_one("192.0.2.1:7", 6666, CONNECT, "192.0.2.1:7");
	assert_non_null(strstr(why_not("192.0.2.1", 0, CONNECT), "port"));
	assert_non_null(strstr(why_not("[::1]", 0, LISTEN), "port"));
	assert_non_null(strstr(why_not("localhost", 0, LISTEN), "port"));
}

static void a_name(void **state)
{
	struct endpoint endpoints[MAX];
	const char *why;

	(void)state;
	for (int to_listen = 0; to_listen < 2; to_listen++) {
		int count = endpoint_read(endpoints, MAX, "localhost:6666", 0, to_listen, &why);

		assert_in_range(count, 1, MAX);
		for (int i = 0; i < count; i++) {
			struct address address;
			char text[ADDRESS_TEXT];

			address_of(&address, &endpoints[i].address);
			address_write(text, &address);
			assert_true(strcmp(text, "127.0.0.1:6666") == 0 ||
				    strcmp(text, "[::1]:6666") == 0);
		}
	}
	assert_int_equal(endpoint_read(endpoints, 1, "localhost:6666", 0, CONNECT, &why), 1);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"", "empty"},
		{":", "port"},
		{"127.0.0.1:", "port"},
		{"127.0.0.1:x", "port"},
		{"127.0.0.1:-1", "port"},
		{"127.0.0.1:+1", "port"},
		{"127.0.0.1: 1", "port"},
		{"65536", "port"},
		{"127.0.0.1:65536", "port"},
		{"127.0.0.1:99999999999999999999999999", "port"},
		{"127.0.0.1:6666x", "port"},
		{"18446744073709558282", "port"},
		{"::1", "brackets"},
		{"::1:6666", "brackets"},
		{"2001:db8::1:6666", "brackets"},
		{"[::1", "brackets"},
		{"[::1]6666", "brackets"},
		{"[]:6666", "brackets"},
		{"[::1]:", "port"},
		{"unix:", "path"},
		{"[::1]x:6666", "brackets"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int to_listen = 0; to_listen < 2; to_listen++) {
			const char *why = why_not(cases[i].text, 6666, to_listen);

			if (strstr(why, cases[i].word) == NULL)
				fail_msg("\"%s\": \"%s\" does not speak of its %s", cases[i].text,
					 why, cases[i].word);
		}
	}
	assert_non_null(strstr(why_not("127.0.0.1:0", 0, CONNECT), "from 1"));
}

/* None of these is a name that anyone would be asked for. */
static void what_is_no_name(void **state)
{
	(void)state;
	assert_non_null(strstr(why_not("a..b:6666", 0, CONNECT), "no such name"));
	assert_non_null(strstr(why_not("a..b:6666", 0, LISTEN), "no such name"));
	assert_non_null(strstr(why_not("[1:2:3]:6666", 0, CONNECT), "no such name"));
}

static void a_name_that_is_too_long(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 6, ":6666");
	assert_non_null(strstr(why_not(text, 0, CONNECT), "too long"));
}

static void a_path(void **state)
{
	struct endpoint endpoint;
	const struct sockaddr_un *address = (const struct sockaddr_un *)&endpoint.address;
	const char *why;

	(void)state;
	for (int to_listen = 0; to_listen < 2; to_listen++) {
		memset(&endpoint, 0xff, sizeof(endpoint));
		assert_int_equal(endpoint_read(&endpoint, 1, "unix:/run/lifeline.sock", 6666,
					       to_listen, &why),
				 1);
		assert_int_equal(address->sun_family, AF_UNIX);
		assert_string_equal(address->sun_path, "/run/lifeline.sock");
		assert_int_equal(endpoint.len, offsetof(struct sockaddr_un, sun_path) +
						       strlen("/run/lifeline.sock") + 1);
	}
}

static void a_path_as_long_as_can_be(void **state)
{
	struct endpoint endpoint;
	const char *why;
	char text[200] = "unix:/";

	(void)state;
	memset(text + 6, 'x', 106);
	assert_int_equal(endpoint_read(&endpoint, 1, text, 0, LISTEN, &why), 1);
	assert_string_equal(((const struct sockaddr_un *)&endpoint.address)->sun_path, text + 5);
	text[112] = 'x';
	assert_non_null(strstr(why_not(text, 0, LISTEN), "too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_alone),
		cmocka_unit_test(an_address_and_a_port),
		cmocka_unit_test(a_port_left_out),
		cmocka_unit_test(a_name),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(what_is_no_name),
		cmocka_unit_test(a_name_that_is_too_long),
		cmocka_unit_test(a_path),
		cmocka_unit_test(a_path_as_long_as_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
