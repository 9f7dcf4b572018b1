#ifndef LOAD_PROCESS_H
#define LOAD_PROCESS_H

/* What the system says about a running process: the CPU time of all its threads, and its memory. Any thread. */

#include <stdint.h>
#include <sys/types.h>

/* CPU time of all threads of all these processes, ended ones too, in nanoseconds. 0, or -ESRCH where one is not there. */
int process_cpu(uint64_t *ns, const pid_t *pids, unsigned count)
	__attribute__((warn_unused_result));

/* Bytes of memory in RAM of all these. 0, or a negative errno. */
int process_resident(uint64_t *bytes, const pid_t *pids, unsigned count)
	__attribute__((warn_unused_result));

#endif
