/* Takes signals. What they lead to is decided elsewhere, but for the second one. */

#include "cli/connect_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

static int wake[2] = {-1, -1};
static volatile sig_atomic_t ends;
static volatile sig_atomic_t redraw;
static struct termios found;
static bool has_found;

static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};

static void on_signal(int signal)
{
	int error = errno;

	if (signal == SIGWINCH || signal == SIGCONT) {
		redraw = 1;
	} else if (ends++ > 0) {
		if (has_found)
			tcsetattr(STDIN_FILENO, TCSANOW, &found);
		_exit(128 + signal);
	}
	/* Full is as good as written. */
	if (write(wake[1], "", 1) < 0)
		errno = error;
	errno = error;
}

int connect_signals_open(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	if (pipe2(wake, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	has_found = tcgetattr(STDIN_FILENO, &found) == 0;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaction(handled[i], &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	return 0;
}

void connect_signals_close(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaction(handled[i], &action, NULL);
	close(wake[0]);
	close(wake[1]);
	wake[0] = -1;
	wake[1] = -1;
}

int connect_signals_fd(void)
{
	return wake[0];
}

static void drain(void)
{
	char bytes[64];

	while (read(wake[0], bytes, sizeof(bytes)) > 0)
		;
}

bool connect_signals_end(void)
{
	drain();
	return ends > 0;
}

bool connect_signals_redraw(void)
{
	bool was = redraw;

	redraw = 0;
	return was;
}
