#ifndef PEERS_ANSWER_H
#define PEERS_ANSWER_H

/*
 * What all peers have in common, so that they differ in nothing but how they wait, receive and send: a reply for each
 * end of line, and `stop` answered with `stop` and the end. A line that comes in pieces is answered right; a `stop`
 * that comes in pieces, or behind other lines, is not recognised, which no client of the benchmarks tries.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES 4096
#define REPLY "keep alive\n"
#define REPLY_LEN (sizeof(REPLY) - 1)

struct answer {
	const char *bytes;
	size_t len;
	bool stop; /* close after it */
};

static char answer_block[RECEIVE_BYTES * REPLY_LEN];

static inline struct answer answer_to(const char *bytes, size_t len)
{
	size_t lines = 0;

	if (len == 5 && memcmp(bytes, "stop\n", 5) == 0)
		return (struct answer){"stop\n", 5, true};
	for (const char *at = bytes; (at = memchr(at, '\n', len - (size_t)(at - bytes))) != NULL;
	     at++)
		lines++;
	return (struct answer){answer_block, lines * REPLY_LEN, false};
}

static inline void answer_init(void)
{
	struct rlimit limit;

	for (size_t i = 0; i < RECEIVE_BYTES; i++)
		memcpy(answer_block + i * REPLY_LEN, REPLY, REPLY_LEN);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * An idea that is tried: `NAME` or `NAME=NUMBER` among the words behind the port. Its number, 1 where it has none, 0
 * where it was not asked for. Without any, a peer is what it is measured as.
 */
static inline unsigned answer_idea(int argc, char **argv, const char *name)
{
	size_t len = strlen(name);

	for (int i = 2; i < argc; i++) {
		if (strncmp(argv[i], name, len) != 0)
			continue;
		if (argv[i][len] == '\0')
			return 1;
		if (argv[i][len] == '=')
			return (unsigned)atoi(argv[i] + len + 1);
	}
	return 0;
}

/* A listening socket at the loopback port that the command line names. Ends the program where there is none. */
static inline int answer_listen(int argc, char **argv, int flags)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	if (argc < 2) {
		fprintf(stderr, "usage: %s PORT [IDEA...]\n", argv[0]);
		exit(2);
	}
	answer_init();
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4096) < 0) {
		perror(argv[0]);
		exit(1);
	}
	return fd;
}

#endif
