#ifndef CLI_CONNECT_PROMPT_H
#define CLI_CONNECT_PROMPT_H

/*
 * The prompt on a terminal: with line editing and history where libedit is there (connect_prompt_edit.c), else plain
 * (connect_prompt_plain.c). There is one in a process.
 */

#include "cli/connect_loop.h"

/* Reads lines and says them until the conversation is over. */
void connect_prompt_run(struct connect_loop *loop);

/* Shows a line above the prompt, wherever the cursor is. */
void connect_prompt_above(const char *line);

#endif
