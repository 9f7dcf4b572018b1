#ifndef CLI_CONNECT_SIGNALS_H
#define CLI_CONNECT_SIGNALS_H

/*
 * Signals, as something to poll. The first SIGINT, SIGTERM or SIGHUP asks to end; the second ends the process at once,
 * with the terminal as it was found. There is one of this in a process.
 */

#include <stdbool.h>

/* 0, or -errno. */
int connect_signals_open(void) __attribute__((warn_unused_result));
void connect_signals_close(void);

/* Becomes readable when there is something to take. */
int connect_signals_fd(void);

/* Whether the end was asked for. */
bool connect_signals_end(void);

/* Whether the terminal has another size, or is ours again, since the last call. */
bool connect_signals_redraw(void);

#endif
