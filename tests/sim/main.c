/*
 * sim [--seeds N] [--from K] [--jobs J] [--seed S] [-v]: worlds by the thousand, each from one seed. The first that is not
 * as it should be prints its seed, and the same seed fails again in the same way.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/world.h"

/* Processor time that one world may take: one that goes round in circles is a fault. */
#define WORLD_CPU_S 60

static uint64_t current_seed;

static void on_too_long(int signal)
{
	(void)signal;
	fprintf(stderr, "seed %llu does not come to an end\n", (unsigned long long)current_seed);
	_exit(1);
}

static void bound(void)
{
	const struct itimerval limit = {.it_value = {.tv_sec = WORLD_CPU_S}};

	setitimer(ITIMER_PROF, &limit, NULL);
}

static uint64_t run_range(uint64_t from, uint64_t count, unsigned job, unsigned jobs, bool talks)
{
	uint64_t verdicts = 0;

	for (uint64_t i = job; i < count; i += jobs) {
		current_seed = from + i;
		bound();
		verdicts += world_run(from + i, false);
		if (talks && job == 0 && i / jobs % 500 == 0) {
			printf("%llu of %llu worlds\n", (unsigned long long)i,
			       (unsigned long long)count);
			fflush(stdout);
		}
	}
	return verdicts;
}

/* Each job is a process, so that a failed assertion ends only one of them; its seed is on standard error. */
static int run_jobs(uint64_t from, uint64_t count, unsigned jobs)
{
	int failed = 0;

	for (unsigned job = 0; job < jobs; job++) {
		pid_t child = fork();

		if (child == 0) {
			run_range(from, count, job, jobs, true);
			fflush(stdout);
			_exit(0);
		}
	}
	for (unsigned job = 0; job < jobs; job++) {
		int status;

		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			failed++;
	}
	return failed;
}

static void on_abort(int signal)
{
	(void)signal;
	dprintf(STDERR_FILENO, "seed %llu: an assertion failed\n",
		(unsigned long long)current_seed);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seeds", required_argument, NULL, 'n'}, {"from", required_argument, NULL, 'f'},
		{"jobs", required_argument, NULL, 'j'},	 {"seed", required_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},	 {0},
	};
	uint64_t seeds = 1000, from = 1, seed = 0;
	unsigned jobs = 1;
	bool verbose = false;
	int option, failed;

	while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		if (option == 'n')
			seeds = strtoull(optarg, NULL, 10);
		else if (option == 'f')
			from = strtoull(optarg, NULL, 10);
		else if (option == 'j')
			jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'v')
			verbose = true;
		else
			return 2;
	}
	signal(SIGPROF, on_too_long);
	signal(SIGABRT, on_abort);
	if (seed != 0) {
		current_seed = seed;
		printf("%llu verdicts\n", (unsigned long long)world_run(seed, verbose));
		return 0;
	}
	failed = run_jobs(from, seeds, jobs > 0 ? jobs : 1);
	if (failed == 0)
		printf("%llu worlds as they should be\n", (unsigned long long)seeds);
	return failed == 0 ? 0 : 1;
}
