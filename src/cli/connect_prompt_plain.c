/* The prompt where there is no libedit: the terminal's own line editing, and no history. */

#include "cli/connect_prompt.h"

#include <stdio.h>

#include "cli/connect_pipe.h"

#define PROMPT "> "

void connect_prompt_above(const char *line)
{
	printf("\r%*s\r%s\n" PROMPT, (int)sizeof(PROMPT), "", line);
	fflush(stdout);
}

void connect_prompt_run(struct connect_loop *loop)
{
	fputs(PROMPT, stdout);
	fflush(stdout);
	if (connect_pipe_run(loop) < 0)
		connect_show_error(&loop->show, "out of memory");
	printf("\r%*s\r", (int)sizeof(PROMPT), "");
	fflush(stdout);
}
