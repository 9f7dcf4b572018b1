/*
 * Setting up a ring, trying whether it does what the engine relies on, and entering the kernel.
 * Debian's liburing (2.3) has no call to set up a ring of buffers, so it is registered by hand.
 */

#include "engine/uring_ring.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/engine.h"

#define SETUP                                                                                      \
	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |     \
	 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE)
#define FEATURES                                                                                   \
	(IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG |                    \
	 IORING_FEAT_CQE_SKIP)

/* ---- buffers */

static size_t buffers_bytes(void)
{
	return URING_RING_BUFFERS_MAX * sizeof(struct io_uring_buf);
}

static size_t memory_bytes(void)
{
	return (size_t)URING_RING_BUFFERS_MAX * ENGINE_RECEIVE_BYTES;
}

static void *map(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void provide(struct uring_ring *ring, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		io_uring_buf_ring_add(ring->buffers,
				      ring->memory + (size_t)(first + i) * ENGINE_RECEIVE_BYTES,
				      ENGINE_RECEIVE_BYTES, (unsigned short)(first + i),
				      io_uring_buf_ring_mask(URING_RING_BUFFERS_MAX), (int)i);
	io_uring_buf_ring_advance(ring->buffers, (int)count);
}

static int open_buffers(struct uring_ring *ring)
{
	struct io_uring_buf_reg registration = {.ring_entries = URING_RING_BUFFERS_MAX,
						.bgid = URING_RING_GROUP};
	int error;

	ring->memory = map(memory_bytes());
	if (ring->memory == MAP_FAILED)
		return -ENOMEM;
	ring->buffers = map(buffers_bytes());
	if (ring->buffers == MAP_FAILED) {
		error = -ENOMEM;
		goto fail_map;
	}
	registration.ring_addr = (uint64_t)(uintptr_t)ring->buffers;
	error = io_uring_register_buf_ring(&ring->ring, &registration, 0);
	if (error != 0)
		goto fail_register;
	io_uring_buf_ring_init(ring->buffers);
	provide(ring, 0, URING_RING_BUFFERS_FIRST);
	ring->provided = URING_RING_BUFFERS_FIRST;
	return 0;

fail_register:
	munmap(ring->buffers, buffers_bytes());
fail_map:
	munmap(ring->memory, memory_bytes());
	return error;
}

const char *uring_ring_buffer(const struct uring_ring *ring, const struct io_uring_cqe *completion)
{
	uint32_t id = completion->flags >> IORING_CQE_BUFFER_SHIFT;

	assert(completion->flags & IORING_CQE_F_BUFFER && id < ring->provided);
	return ring->memory + (size_t)id * ENGINE_RECEIVE_BYTES;
}

void uring_ring_give_back(struct uring_ring *ring, const struct io_uring_cqe *completion)
{
	if (completion->flags & IORING_CQE_F_BUFFER)
		provide(ring, completion->flags >> IORING_CQE_BUFFER_SHIFT, 1);
}

void uring_ring_grow(struct uring_ring *ring)
{
	uint32_t more = URING_RING_BUFFERS_MAX - ring->provided;

	more = more < ring->provided ? more : ring->provided;
	provide(ring, ring->provided, more);
	ring->provided += more;
}

/* ---- entering */

struct io_uring_sqe *uring_ring_entry(struct uring_ring *ring)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);

	while (entry == NULL) {
		uring_ring_submit(ring);
		entry = io_uring_get_sqe(&ring->ring);
	}
	return entry;
}

void uring_ring_submit(struct uring_ring *ring)
{
	/* Short of memory, or with completions to be taken first: neither lasts, and nothing is lost meanwhile. */
	do
		(void)io_uring_submit(&ring->ring);
	while (!uring_ring_is_submitted(ring));
}

/* What is no failure of the ring: it is told by what has, or has not, been completed. */
static int entered(int result)
{
	switch (-result) {
	case ETIME:
	case EINTR:
	case EAGAIN:
	case EBUSY:
		return 0;
	default:
		return result < 0 ? result : 0;
	}
}

int uring_ring_wait(struct uring_ring *ring, unsigned count, uint64_t ns)
{
	struct __kernel_timespec limit = {.tv_sec = (long long)(ns / NS_PER_S),
					  .tv_nsec = (long long)(ns % NS_PER_S)};
	struct io_uring_cqe *first;

	return entered(io_uring_submit_and_wait_timeout(&ring->ring, &first, count,
							ns == UINT64_MAX ? NULL : &limit, NULL));
}

int uring_ring_look(struct uring_ring *ring)
{
	return entered(io_uring_submit_and_get_events(&ring->ring));
}

bool uring_ring_take(struct uring_ring *ring, struct io_uring_cqe *completion)
{
	struct io_uring *kernels = &ring->ring;
	unsigned head = *kernels->cq.khead;

	if (head == io_uring_smp_load_acquire(kernels->cq.ktail))
		return false;
	memcpy(completion, &kernels->cq.cqes[head & kernels->cq.ring_mask], sizeof(*completion));
	io_uring_cq_advance(kernels, 1);
	return true;
}

bool uring_ring_holds(struct uring_ring *ring, uint64_t mark)
{
	struct io_uring_cqe *completion;
	unsigned head;

	io_uring_for_each_cqe(&ring->ring, head, completion)
	{
		if (completion->user_data == mark && completion->res >= 0)
			return true;
	}
	return false;
}

bool uring_ring_has_more(const struct uring_ring *ring)
{
	return IO_URING_READ_ONCE(*ring->ring.sq.kflags) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* ---- whether it does what the engine relies on */

static bool next_is(struct uring_ring *ring, struct io_uring_cqe *completion)
{
	return uring_ring_wait(ring, 1, NS_PER_S) == 0 && uring_ring_take(ring, completion);
}

/* A multishot receive goes on after each of two pieces, into a provided buffer. */
static bool receives_on_and_on(struct uring_ring *ring, const int ends[2])
{
	struct io_uring_sqe *entry = uring_ring_entry(ring);
	struct io_uring_cqe completion;

	io_uring_prep_recv_multishot(entry, ends[0], NULL, 0, 0);
	entry->flags |= IOSQE_BUFFER_SELECT;
	entry->buf_group = URING_RING_GROUP;
	for (int piece = 0; piece < 2; piece++) {
		/* The first piece is there when the receive is armed, the second comes later. */
		if (send(ends[1], "try", 3, MSG_NOSIGNAL) != 3 || !next_is(ring, &completion))
			return false;
		if (completion.res != 3 || !(completion.flags & IORING_CQE_F_BUFFER) ||
		    !(completion.flags & IORING_CQE_F_MORE) ||
		    memcmp(uring_ring_buffer(ring, &completion), "try", 3) != 0)
			return false;
		uring_ring_give_back(ring, &completion);
	}
	return true;
}

/* A send that comes short says by how much, though its success would have said nothing. */
static bool sends_short_aloud(struct uring_ring *ring, const int ends[2])
{
	size_t len = memory_bytes();
	struct io_uring_sqe *entry = uring_ring_entry(ring);
	struct io_uring_cqe completion;

	io_uring_prep_send(entry, ends[0], ring->memory, len,
			   MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	return next_is(ring, &completion) && completion.res > 0 && (size_t)completion.res < len;
}

static int try_out(struct uring_ring *ring)
{
	int ends[2];
	int error = -ENOSYS;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	if (receives_on_and_on(ring, ends) && sends_short_aloud(ring, ends))
		error = 0;
	close(ends[0]);
	close(ends[1]);
	return error;
}

/* ---- life */

static int open_ring(struct uring_ring *ring, unsigned entries, unsigned completions,
		     unsigned flags)
{
	struct io_uring_params params = {.flags = SETUP | flags, .cq_entries = completions};
	int error;

	memset(ring, 0, sizeof(*ring));
	error = io_uring_queue_init_params(entries, &ring->ring, &params);
	if (error != 0)
		/* These flags are younger than io_uring: to an older kernel they are invalid. */
		return error == -EINVAL ? -ENOSYS : error;
	error = (params.features & FEATURES) == FEATURES ? open_buffers(ring) : -ENOSYS;
	if (error != 0) {
		io_uring_queue_exit(&ring->ring);
		return error;
	}
	ring->is_open = true;
	return 0;
}

struct opening {
	struct uring_ring *ring;
	int error;
};

static void *open_in_thread(void *arg)
{
	struct opening *opening = arg;

	opening->error = open_ring(opening->ring, 8, 64, 0);
	if (opening->error == 0)
		opening->error = try_out(opening->ring);
	uring_ring_close(opening->ring);
	/* Disabled until it is started, by the thread that will run it. */
	if (opening->error == 0)
		opening->error = open_ring(opening->ring, URING_RING_ENTRIES,
					   URING_RING_COMPLETIONS, IORING_SETUP_R_DISABLED);
	return NULL;
}

int uring_ring_open(struct uring_ring *ring)
{
	struct opening opening = {.ring = ring};
	pthread_t thread;
	int error;

	/*
	 * In a thread of its own, because the end of a ring interrupts a system call of the thread that has made it, some
	 * time later, and the caller's are none of our business.
	 */
	error = pthread_create(&thread, NULL, open_in_thread, &opening);
	if (error != 0)
		return -error;
	pthread_join(thread, NULL);
	return opening.error;
}

void uring_ring_close(struct uring_ring *ring)
{
	if (!ring->is_open)
		return;
	io_uring_queue_exit(&ring->ring);
	munmap(ring->buffers, buffers_bytes());
	munmap(ring->memory, memory_bytes());
	ring->is_open = false;
}

int uring_ring_start(struct uring_ring *ring)
{
	/* The library has a call for it, which Debian's forgets to export. */
	int error = io_uring_register((unsigned)ring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
				      NULL, 0);

	if (error < 0)
		return error;
	/* Spares the kernel the look-up of the descriptor at each enter. Where it cannot, nothing is lost. */
	(void)io_uring_register_ring_fd(&ring->ring);
	ring->is_started = true;
	return 0;
}

void uring_ring_stop(struct uring_ring *ring)
{
	/* It is the thread's: nobody else could. */
	if (ring->is_started)
		(void)io_uring_unregister_ring_fd(&ring->ring);
	ring->is_started = false;
}
