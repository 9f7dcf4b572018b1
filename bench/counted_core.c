/* For bench/instructions: messages of the pure core, counted by callgrind between the two marks. */

#include <stdio.h>
#include <valgrind/callgrind.h>

#include "pure.h"

#define SESSIONS 1000
#define ROUNDS 30

static void round_of(struct pure *pure, const char *bytes, size_t len)
{
	pure_woke(pure, NS_PER_MS);
	for (uint32_t slot = 0; slot < pure->count; slot++)
		pure_receive(pure, slot, bytes, len);
	pure_turned(pure, NS_PER_S);
}

int main(void)
{
	static const char message[] = "beat\n";
	struct pure pure;

	pure_open(&pure, SESSIONS);
	pure_woke(&pure, NS_PER_MS);
	for (uint32_t slot = 0; slot < pure.count; slot++)
		pure_accept(&pure, slot);
	round_of(&pure, message, sizeof(message) - 1);
	CALLGRIND_TOGGLE_COLLECT;
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(&pure, message, sizeof(message) - 1);
	CALLGRIND_TOGGLE_COLLECT;
	printf("%u\n", SESSIONS * ROUNDS);
	pure_close(&pure);
	return 0;
}
