#ifndef TESTS_ENGINE_CLIENT_H
#define TESTS_ENGINE_CLIENT_H

/* A client of the engine under test: a blocking socket on the main thread. Everything asserts. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

struct client {
	int fd;
	uint16_t port;
	uint64_t lines;	 /* bytes of lines heard so far */
	uint64_t said;	 /* bytes */
	uint64_t digest; /* of all that was said */
};

/* Connects. `receive_buffer` is SO_RCVBUF; 0: the system's. */
struct client client_open(struct rig *rig, int receive_buffer);

void client_say(struct client *client, const char *text);
void client_say_bytes(struct client *client, const char *bytes, size_t len);

/* Says a byte as often as the socket takes it without waiting, at most `limit` times. Returns how often. */
size_t client_say_while_it_goes(struct client *client, char byte, size_t limit);

/* Reads that many bytes of the numbered lines, and that they are the next ones. */
void client_hear_bytes(struct client *client, uint64_t bytes);
void client_hear_lines(struct client *client, uint64_t lines);

/* Reads exactly this text. */
void client_hear_text(struct client *client, const char *text);

/* Reads until the end of the stream, and that nothing comes before it. */
void client_hear_end(struct client *client);

/* Reads whatever comes until the stream ends or is reset. */
void client_hear_out(struct client *client);

/* Says a LF and reads the line that answers it. */
void client_talk(struct client *client);

/* Waits until the server's host has all that was said, and the end of the stream where it was `shut`. */
void client_await_acknowledged(struct client *client, bool shut);

/* How much of what was said the server's host has by now. */
uint64_t client_acknowledged(struct client *client);

void client_shut(struct client *client); /* no more is said */
void client_close(struct client *client);
void client_reset(struct client *client); /* closes with a reset */

#endif
