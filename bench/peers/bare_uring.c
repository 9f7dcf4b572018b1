/*
 * The floor for `uring`: multishot accept and receive, a ring of provided buffers, deferred task work, and no completion
 * for a send that went well. No state for a client at all.
 *
 * Ideas: wait=N and us=US (wait for so many completions or so long), ring (the ring's own descriptor is registered),
 * poll (a receive is armed without trying first), coop (cooperative instead of deferred task work), direct (sockets
 * have no descriptors but places in the ring's table).
 */

#include "answer.h"

#include <liburing.h>
#include <sys/mman.h>

#define ENTRIES 1024
#define COMPLETIONS 8192
#define BUFFERS 1024 /* a power of two */
#define GROUP 0

enum {
	ACCEPTED,
	RECEIVED,
	SENT
};

static unsigned wait_for, wait_us, registered, poll_first, cooperative, direct;
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;

static struct io_uring_sqe *take_entry(void)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

	if (entry == NULL) {
		io_uring_submit(&ring);
		entry = io_uring_get_sqe(&ring);
	}
	return entry;
}

static void mark(struct io_uring_sqe *entry, int what, int fd)
{
	io_uring_sqe_set_data64(entry, (uint64_t)what << 32 | (uint32_t)fd);
}

static void arm_accept(int listener)
{
	struct io_uring_sqe *entry = take_entry();

	if (direct)
		io_uring_prep_multishot_accept_direct(entry, listener, NULL, NULL, 0);
	else
		io_uring_prep_multishot_accept(entry, listener, NULL, NULL, 0);
	mark(entry, ACCEPTED, listener);
}

static void arm_receive(int fd)
{
	struct io_uring_sqe *entry = take_entry();

	io_uring_prep_recv_multishot(entry, fd, NULL, 0, 0);
	entry->flags |= IOSQE_BUFFER_SELECT | (direct ? IOSQE_FIXED_FILE : 0);
	entry->ioprio |= poll_first ? IORING_RECVSEND_POLL_FIRST : 0;
	entry->buf_group = GROUP;
	mark(entry, RECEIVED, fd);
}

static void say(int fd, struct answer answer)
{
	struct io_uring_sqe *entry = take_entry();

	io_uring_prep_send(entry, fd, answer.bytes, answer.len, MSG_NOSIGNAL | MSG_WAITALL);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS | (direct ? IOSQE_FIXED_FILE : 0);
	mark(entry, SENT, fd);
	if (!answer.stop)
		return;
	/* The receive that is armed ends by it, and then the descriptor is closed. */
	entry = take_entry();
	io_uring_prep_shutdown(entry, fd, SHUT_RDWR);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS | (direct ? IOSQE_FIXED_FILE : 0);
	mark(entry, SENT, fd);
}

static void end(int fd)
{
	struct io_uring_sqe *entry;

	if (!direct) {
		close(fd);
		return;
	}
	entry = take_entry();
	io_uring_prep_close_direct(entry, (unsigned)fd);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	mark(entry, SENT, fd);
}

static void give_back(unsigned id, unsigned at)
{
	io_uring_buf_ring_add(buffers, memory + (size_t)id * RECEIVE_BYTES, RECEIVE_BYTES,
			      (unsigned short)id, BUFFERS - 1, (int)at);
}

static void on_received(int fd, int result, unsigned flags)
{
	if (flags & IORING_CQE_F_BUFFER) {
		unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;

		if (result > 0) {
			struct answer answer =
				answer_to(memory + (size_t)id * RECEIVE_BYTES, (size_t)result);

			if (answer.len > 0)
				say(fd, answer);
		}
		give_back(id, 0);
		io_uring_buf_ring_advance(buffers, 1);
	}
	if (result <= 0 && result != -ENOBUFS)
		end(fd);
	else if (!(flags & IORING_CQE_F_MORE))
		arm_receive(fd);
}

static void on_completion(const struct io_uring_cqe *completion)
{
	int what = (int)(io_uring_cqe_get_data64(completion) >> 32);
	int fd = (int)(uint32_t)io_uring_cqe_get_data64(completion);

	if (what == RECEIVED) {
		on_received(fd, completion->res, completion->flags);
	} else if (what == ACCEPTED) {
		if (completion->res >= 0)
			arm_receive(completion->res);
		if (!(completion->flags & IORING_CQE_F_MORE))
			arm_accept(fd);
	}
}

static void *reserve(size_t size)
{
	void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return bytes;
}

static void open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQSIZE |
			 (cooperative ? IORING_SETUP_COOP_TASKRUN : IORING_SETUP_DEFER_TASKRUN),
		.cq_entries = COMPLETIONS,
	};
	struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = GROUP};
	int status = io_uring_queue_init_params(ENTRIES, &ring, &params);

	buffers = reserve(BUFFERS * sizeof(struct io_uring_buf));
	memory = reserve((size_t)BUFFERS * RECEIVE_BYTES);
	registration.ring_addr = (uint64_t)(uintptr_t)buffers;
	if (status == 0)
		status = io_uring_register_buf_ring(&ring, &registration, 0);
	if (status == 0 && direct)
		status = io_uring_register_files_sparse(&ring, 20000);
	if (status == 0 && registered)
		status = io_uring_register_ring_fd(&ring) == 1 ? 0 : -EINVAL;
	if (status < 0) {
		fprintf(stderr, "bare_uring: %s\n", strerror(-status));
		exit(1);
	}
	io_uring_buf_ring_init(buffers);
	for (unsigned i = 0; i < BUFFERS; i++)
		give_back(i, i);
	io_uring_buf_ring_advance(buffers, BUFFERS);
}

static void read_ideas(int argc, char **argv)
{
	wait_for = answer_idea(argc, argv, "wait");
	wait_us = answer_idea(argc, argv, "us");
	registered = answer_idea(argc, argv, "ring");
	poll_first = answer_idea(argc, argv, "poll");
	cooperative = answer_idea(argc, argv, "coop");
	direct = answer_idea(argc, argv, "direct");
}

/* Waits for one completion; or for several, but not long, and for one where none came. */
static void wait_for_some(void)
{
	struct __kernel_timespec patience = {.tv_nsec = wait_us * 1000LL};
	struct io_uring_cqe *completion;

	if (wait_for < 2 ||
	    io_uring_submit_and_wait_timeout(&ring, &completion, wait_for, &patience, NULL) < 0) {
		if (wait_for < 2 || io_uring_cq_ready(&ring) == 0)
			io_uring_submit_and_wait(&ring, 1);
	}
}

int main(int argc, char **argv)
{
	int listener = answer_listen(argc, argv, 0);

	read_ideas(argc, argv);
	open_ring();
	arm_accept(listener);
	puts("ready");
	fflush(stdout);
	while (true) {
		struct io_uring_cqe *completion;
		unsigned head, count = 0;

		wait_for_some();
		io_uring_for_each_cqe(&ring, head, completion)
		{
			on_completion(completion);
			count++;
		}
		io_uring_cq_advance(&ring, count);
	}
}
