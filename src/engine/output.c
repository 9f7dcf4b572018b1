/* Slices are laid out as struct iovec is, and given to the kernel as they are. */

#include "engine/output.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static_assert(sizeof(struct engine_slice) == sizeof(struct iovec), "a slice is an iovec");
static_assert(offsetof(struct engine_slice, bytes) == offsetof(struct iovec, iov_base), "in place");
static_assert(offsetof(struct engine_slice, len) == offsetof(struct iovec, iov_len), "in place");

size_t output_len(const struct engine_slice *slices, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += slices[i].len;
	return len;
}

static ssize_t send_many(int fd, const struct engine_slice *slices, size_t count)
{
	struct iovec pieces[ENGINE_SLICES];
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};

	assert(count <= ENGINE_SLICES);
	memcpy(pieces, slices, count * sizeof(*slices));
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t output_send(int fd, const struct engine_slice *slices, size_t count)
{
	ssize_t took;

	do {
		if (count == 1)
			took = send(fd, slices[0].bytes, slices[0].len,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		else
			took = send_many(fd, slices, count);
	} while (took < 0 && errno == EINTR);
	if (took >= 0)
		return took;
	/* ENOBUFS is no room for now, as EAGAIN is: the peer has done nothing. */
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -errno;
}
