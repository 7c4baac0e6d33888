// SPDX-License-Identifier: GPL-2.0-only
/*
 * A reproducer that is hard on init. Its first argument says how:
 *
 *   look         tell in JSON what it finds: working folder, PATH, what stdin gives, its other arguments
 *   lines N      print N lines of 99 bytes, then a line of JSON
 *   long         print one line of 3000 bytes, then another one
 *   bytes        print every byte but the newline, on stderr, without a newline
 *   orphan       leave a child in a session of its own that holds on to stdout, and end
 *   hang         take no notice of SIGTERM, and don't end
 *   signal N     die of signal N
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void look(int argc, char **argv)
{
	char folder[256], byte;

	printf("{\"cwd\":\"%s\",\"path\":\"%s\",\"stdin\":%d,\"args\":[", getcwd(folder, sizeof(folder)), getenv("PATH"),
	       (int)read(STDIN_FILENO, &byte, 1));
	for (int i = 2; i < argc; i++)
		printf("%s\"%s\"", i > 2 ? "," : "", argv[i]);
	printf("]}\n");
}

static void print_lines(int number)
{
	for (int i = 0; i < number; i++)
		printf("%098d\n", i);
	printf("{\"lines\":%d}\n", number);
}

static void print_bytes(void)
{
	for (int byte = 0; byte < 256; byte++)
		if (byte != '\n')
			putc(byte, stderr);
}

static void leave_orphan(void)
{
	printf("before\n");
	fflush(stdout);
	if (fork() == 0) {
		setsid();
		for (;;)
			pause();
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	if (!strcmp(how, "look")) {
		look(argc, argv);
	} else if (!strcmp(how, "lines")) {
		print_lines(atoi(argv[2]));
	} else if (!strcmp(how, "long")) {
		printf("%03000d\nafter it\n", 0);
	} else if (!strcmp(how, "bytes")) {
		print_bytes();
	} else if (!strcmp(how, "orphan")) {
		leave_orphan();
	} else if (!strcmp(how, "hang")) {
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	} else if (!strcmp(how, "signal")) {
		raise(atoi(argv[2]));
	}
	return 0;
}
