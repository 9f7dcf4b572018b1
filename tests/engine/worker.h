#ifndef TESTS_ENGINE_WORKER_H
#define TESTS_ENGINE_WORKER_H

/* The calls up; the worker that is given with them is a struct rig. */

#include "engine/engine.h"

extern const struct engine_calls worker_calls;

#endif
