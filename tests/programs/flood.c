/* PID 1 that floods the console for ever: with what its first argument says. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

int main(int argc, char **argv)
{
	static unsigned char block[4096];
	const char *how = argc > 1 ? argv[1] : "lines";
	uint32_t state = 2463534242U;

	memset(block, 'x', sizeof(block));
	if (!strcmp(how, "zeros"))
		memset(block, 0, sizeof(block));
	for (;;) {
		size_t at;

		for (at = 0; !strcmp(how, "rubbish") && at < sizeof(block); at++)
			block[at] = (unsigned char)next(&state);
		for (at = 0; !strcmp(how, "lines") && at < sizeof(block); at += 2)
			block[at] = '\n';
		if (write(1, block, sizeof(block)) < 0)
			pause();
	}
}
