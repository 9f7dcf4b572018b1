#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/options.h"

/*
 * Serves until SIGTERM or SIGINT, then drains. The exit status: 0 drained, 1 could not serve (an error was printed).
 * A second signal ends the process at once. Called once, by the main thread, before there are others.
 */
int serve(const struct options *options);

#endif
