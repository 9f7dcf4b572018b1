#ifndef CLI_CONNECT_PIPE_H
#define CLI_CONNECT_PIPE_H

#include "cli/connect_loop.h"

/* Says what comes from standard input until the conversation is over. 0, or -errno. */
int connect_pipe_run(struct connect_loop *loop) __attribute__((warn_unused_result));

#endif
