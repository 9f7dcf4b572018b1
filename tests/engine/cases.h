#ifndef TESTS_ENGINE_CASES_H
#define TESTS_ENGINE_CASES_H

/* The cases of the contract test. Each takes a state that it does not use. */

void one_client_is_answered(void **state);
void two_hundred_clients_are_answered(void **state);
void two_hundred_clients_are_answered_by_an_engine_that_lingers(void **state);
void split_and_glued_bytes_are_heard_in_order(void **state);
void one_byte_at_a_time_is_heard_in_order(void **state);
void ten_thousand_lines_in_one_write_are_answered(void **state);
void a_slow_reader_loses_nothing_and_gets_nothing_twice(void **state);
void a_client_that_is_held_is_not_received_from_until_it_is_released(void **state);
void a_client_that_does_not_read_is_held_and_goes_on_when_it_has_read(void **state);
void unix_sockets_are_served_too(void **state);

void a_half_closed_client_gets_its_replies(void **state);
void an_end_that_the_worker_keeps_is_told_once(void **state);
void a_reset_after_an_end_is_told(void **state);
void a_reset_is_told_after_the_bytes_before_it(void **state);
void a_reset_of_a_client_that_is_held_is_told(void **state);
void a_client_that_is_answered_and_resets_is_heard_to_its_last_byte(void **state);
void clients_that_vanish_at_once_are_all_closed(void **state);
void close_from_both_sides_at_once_is_told_once(void **state);
void close_says_all_that_is_owed_though_much_was_not_read(void **state);
void the_last_text_reaches_a_client_that_goes_on_talking(void **state);
void drop_closes_at_once(void **state);
void drop_closes_a_client_that_does_not_read(void **state);
void stale_names_do_nothing(void **state);

void a_refused_newcomer_reads_the_refusal_and_the_end(void **state);
void a_full_table_refuses_and_has_room_again(void **state);
void without_descriptors_newcomers_are_told_and_the_others_served(void **state);
void newcomers_wait_while_the_doors_are_shut(void **state);
void finish_while_busy_ends_everybody_and_run(void **state);
void close_without_run_leaves_nothing(void **state);
void an_idle_client_costs_next_to_nothing(void **state);
void the_kernel_is_asked_and_told_about_the_peer(void **state);

void wake_from_other_threads_leads_to_turns(void **state);
void no_wake_is_lost_in_a_busy_turn(void **state);
void turns_come_when_they_were_asked_for_and_not_all_the_time(void **state);
void everybody_is_heard_before_a_turn_is_whole(void **state);
void newcomers_are_heard_before_a_turn_is_whole(void **state);
void few_newcomers_are_heard_before_a_turn_is_whole(void **state);
void a_flood_is_heard_before_a_turn_is_whole_however_busy(void **state);
void turns_are_whole_now_and_then_however_busy(void **state);
void a_server_that_was_stopped_answers_everybody(void **state);

#endif
