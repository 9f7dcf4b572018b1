/*
 * CPU time is read from the process's own clock, which counts nanoseconds; the figures in /proc/PID/stat are ticks of
 * ten milliseconds. Memory is read from smaps_rollup, which is exact, or else from statm, which lags by some pages.
 */

#include "load/process.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

static int read_cpu(uint64_t *ns, pid_t pid)
{
	clockid_t clock;
	struct timespec time;
	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) < 0)
		return -ESRCH;
	*ns = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
	return 0;
}

static int read_exact(uint64_t *bytes, pid_t pid)
{
	char path[64], line[256];
	unsigned long long kilobytes;
	int status = -ENODATA;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	while (status < 0 && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "Rss: %llu kB", &kilobytes) == 1) {
			*bytes = kilobytes * 1024;
			status = 0;
		}
	}
	fclose(file);
	return status;
}

static int read_roughly(uint64_t *bytes, pid_t pid)
{
	char path[64];
	unsigned long long size, resident;
	int status = -ENODATA;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	if (fscanf(file, "%llu %llu", &size, &resident) == 2) {
		*bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
		status = 0;
	}
	fclose(file);
	return status;
}

int process_cpu(uint64_t *ns, const pid_t *pids, unsigned count)
{
	*ns = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t one;
		int status = read_cpu(&one, pids[i]);

		if (status < 0)
			return status;
		*ns += one;
	}
	return 0;
}

int process_resident(uint64_t *bytes, const pid_t *pids, unsigned count)
{
	*bytes = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t one;
		int status = read_exact(&one, pids[i]);

		if (status < 0)
			status = read_roughly(&one, pids[i]);
		if (status < 0)
			return status;
		*bytes += one;
	}
	return 0;
}
