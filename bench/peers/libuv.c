/* A server by libuv: one loop, one buffer for all, and replies written at once where the socket takes them. */

#include "answer.h"

#include <uv.h>

static char buffer[RECEIVE_BYTES];

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *to)
{
	(void)handle, (void)size;
	*to = uv_buf_init(buffer, sizeof(buffer));
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void on_read(uv_stream_t *client, ssize_t len, const uv_buf_t *from)
{
	struct answer answer;
	uv_buf_t reply;

	if (len == 0)
		return;
	if (len < 0) {
		uv_close((uv_handle_t *)client, on_closed);
		return;
	}
	answer = answer_to(from->base, (size_t)len);
	reply = uv_buf_init((char *)(uintptr_t)answer.bytes, (unsigned)answer.len);
	if ((answer.len > 0 && uv_try_write(client, &reply, 1) != (int)answer.len) || answer.stop)
		uv_close((uv_handle_t *)client, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
	uv_tcp_t *client = malloc(sizeof(*client));

	if (status < 0 || client == NULL) {
		free(client);
		return;
	}
	uv_tcp_init(listener->loop, client);
	if (uv_accept(listener, (uv_stream_t *)client) == 0)
		uv_read_start((uv_stream_t *)client, on_alloc, on_read);
	else
		uv_close((uv_handle_t *)client, on_closed);
}

int main(int argc, char **argv)
{
	int fd = answer_listen(argc, argv, SOCK_NONBLOCK);
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;

	uv_tcp_init(loop, &listener);
	if (uv_tcp_open(&listener, fd) < 0 ||
	    uv_listen((uv_stream_t *)&listener, 4096, on_connection) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	return uv_run(loop, UV_RUN_DEFAULT);
}
