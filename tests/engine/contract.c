/*
 * The contract of engine.h, as a test: engine-contract ENGINE [CASE]. Run once for each engine; what one engine passes and
 * another does not is a fault of one of them, or of the contract.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/kinds.h"
#include "cases.h"
#include "rig.h"
#include "worker.h"

#define SKIPPED 77 /* what Meson takes for a test that could not be run */
#define DESCRIPTORS 16384

static const struct CMUnitTest cases[] = {
	cmocka_unit_test(one_client_is_answered),
	cmocka_unit_test(two_hundred_clients_are_answered),
	cmocka_unit_test(two_hundred_clients_are_answered_by_an_engine_that_lingers),
	cmocka_unit_test(split_and_glued_bytes_are_heard_in_order),
	cmocka_unit_test(one_byte_at_a_time_is_heard_in_order),
	cmocka_unit_test(ten_thousand_lines_in_one_write_are_answered),
	cmocka_unit_test(a_slow_reader_loses_nothing_and_gets_nothing_twice),
	cmocka_unit_test(a_client_that_is_held_is_not_received_from_until_it_is_released),
	cmocka_unit_test(a_client_that_does_not_read_is_held_and_goes_on_when_it_has_read),
	cmocka_unit_test(unix_sockets_are_served_too),

	cmocka_unit_test(a_half_closed_client_gets_its_replies),
	cmocka_unit_test(an_end_that_the_worker_keeps_is_told_once),
	cmocka_unit_test(a_reset_after_an_end_is_told),
	cmocka_unit_test(a_reset_is_told_after_the_bytes_before_it),
	cmocka_unit_test(a_reset_of_a_client_that_is_held_is_told),
	cmocka_unit_test(a_client_that_is_answered_and_resets_is_heard_to_its_last_byte),
	cmocka_unit_test(clients_that_vanish_at_once_are_all_closed),
	cmocka_unit_test(close_from_both_sides_at_once_is_told_once),
	cmocka_unit_test(close_says_all_that_is_owed_though_much_was_not_read),
	cmocka_unit_test(the_last_text_reaches_a_client_that_goes_on_talking),
	cmocka_unit_test(drop_closes_at_once),
	cmocka_unit_test(drop_closes_a_client_that_does_not_read),
	cmocka_unit_test(stale_names_do_nothing),

	cmocka_unit_test(a_refused_newcomer_reads_the_refusal_and_the_end),
	cmocka_unit_test(a_full_table_refuses_and_has_room_again),
	cmocka_unit_test(without_descriptors_newcomers_are_told_and_the_others_served),
	cmocka_unit_test(newcomers_wait_while_the_doors_are_shut),
	cmocka_unit_test(finish_while_busy_ends_everybody_and_run),
	cmocka_unit_test(close_without_run_leaves_nothing),
	cmocka_unit_test(an_idle_client_costs_next_to_nothing),
	cmocka_unit_test(the_kernel_is_asked_and_told_about_the_peer),

	cmocka_unit_test(wake_from_other_threads_leads_to_turns),
	cmocka_unit_test(no_wake_is_lost_in_a_busy_turn),
	cmocka_unit_test(turns_come_when_they_were_asked_for_and_not_all_the_time),
	cmocka_unit_test(everybody_is_heard_before_a_turn_is_whole),
	cmocka_unit_test(newcomers_are_heard_before_a_turn_is_whole),
	cmocka_unit_test(few_newcomers_are_heard_before_a_turn_is_whole),
	cmocka_unit_test(a_flood_is_heard_before_a_turn_is_whole_however_busy),
	cmocka_unit_test(turns_are_whole_now_and_then_however_busy),
	cmocka_unit_test(a_server_that_was_stopped_answers_everybody),
};

/* An engine that this machine or its container forbids says so when it is opened, and is not tested. */
static int try_to_open(void)
{
	struct engine_config config = {.connections_max = 1};
	struct engine *engine = NULL;
	int error = rig_kind->open(&engine, &config, &worker_calls, NULL);

	if (error == 0)
		rig_kind->close(engine);
	return error;
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < DESCRIPTORS) {
		limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	int error;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: %s ENGINE [CASE]\n", argv[0]);
		return 2;
	}
	rig_kind = engine_kind_named(argv[1]);
	if (rig_kind == NULL) {
		printf("this build has no engine %s\n", argv[1]);
		return SKIPPED;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	error = try_to_open();
	if (error == -ENOSYS || error == -EPERM) {
		printf("engine %s cannot work here: %s\n", argv[1], strerror(-error));
		return SKIPPED;
	}
	if (argc == 3)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests_name(argv[1], cases, NULL, NULL);
}
