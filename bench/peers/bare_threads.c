/* The floor for `threads`: a thread for each client, which blocks. */

#include "answer.h"

#include <pthread.h>

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char bytes[RECEIVE_BYTES];
	ssize_t len;

	while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		struct answer answer = answer_to(bytes, (size_t)len);

		if (answer.len > 0 &&
		    send(fd, answer.bytes, answer.len, MSG_NOSIGNAL) != (ssize_t)answer.len)
			break;
		if (answer.stop)
			break;
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = answer_listen(argc, argv, 0);
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	puts("ready");
	fflush(stdout);
	while (true) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 &&
		    pthread_create(&thread, &attributes, serve, (void *)(intptr_t)fd) != 0)
			close(fd);
	}
}
