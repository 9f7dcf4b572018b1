/* In place of console_json.c, in a build without jansson. */

#include "server/console.h"

#include <stddef.h>

const struct console_format *const console_json = NULL;
