#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

/* What a run has shown, for people or for programs. */

#include <stdbool.h>
#include <stdio.h>

#include "load/load.h"

void report_write(FILE *to, const struct load_plan *plan, const struct load_result *result);
void report_write_json(FILE *to, const struct load_plan *plan, const struct load_result *result);

/* One line on a terminal that is written over again; NULL ends it. */
void report_progress(const struct load_plan *plan, const struct load_progress *progress);

/* Whether every message was answered as expected, and there were any. */
bool report_is_good(const struct load_plan *plan, const struct load_result *result);

#endif
