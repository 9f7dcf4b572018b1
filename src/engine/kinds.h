#ifndef ENGINE_KINDS_H
#define ENGINE_KINDS_H

/* Which engines this build has, best first. */

#include "engine/engine.h"

/* The engines of this build, best first, NULL at the end. */
extern const struct engine_kind *const engine_kinds[];

/* The engine of this name, or NULL where this build has none. */
const struct engine_kind *engine_kind_named(const char *name);

#endif
