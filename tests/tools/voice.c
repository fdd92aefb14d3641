// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A helper that replies by a file (words.h): voice WORDS DIRECTORY. While the file `hold` exists in
 * the directory, each question creates a file NAME there, and waits until it is renamed to NAME.go;
 * if to NAME.lost, the helper replies with an invalid line.
 */
#include <fcntl.h>
#include <unistd.h>

#include "words.h"

static const char *directory;

static bool exists(const char *name, const char *suffix)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	return access(path, F_OK) == 0;
}

/* Returns true if the reply must be invalid. */
static bool wait_for_leave(void)
{
	static unsigned int number;
	char name[64], path[4200];

	snprintf(name, sizeof(name), "question-%d-%u", getpid(), number++);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
	while (!exists(name, ".go") && !exists(name, ".lost")) {
		usleep(2000);
		if (getppid() == 1)
			exit(1);
	}
	return exists(name, ".lost");
}

int main(int argc, char **argv)
{
	char *line = NULL, verdict[32];
	size_t room = 0;

	if (argc != 3)
		return 1;
	directory = argv[2];
	while (getline(&line, &room, stdin) > 0) {
		char *source = strchr(line, ' ');

		if (!source)
			return 1;
		*source++ = '\0';
		source[strcspn(source, "\n")] = '\0';
		words_find(argv[1], line, source, verdict);
		puts(exists("hold", "") && wait_for_leave() ? "lost" : verdict);
		fflush(stdout);
	}
	free(line);
	return 0;
}
