// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes a test of a fuzz target: a main() that runs the target over every file of its corpus, one
 * test each, and prints TAP. The corpus of NAME_fuzz is tests/fuzz/corpus/NAME, seen from the root
 * of the repository, or the directory given as the argument.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* -1: the file cannot be read */
static int replay(const char *directory, const char *name)
{
	static unsigned char data[1 << 20];
	char path[4096];
	unsigned char *copy;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file)
		return -1;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* Memory of just that size: what reads beyond it is seen by the sanitizer. */
	copy = malloc(size ? size : 1);
	if (!copy)
		return -1;
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	char directory[256];
	struct dirent **entries;
	int failed = 0, count;

	if (argc > 1)
		snprintf(directory, sizeof(directory), "%s", argv[1]);
	else
		snprintf(directory, sizeof(directory), "tests/fuzz/corpus/%.*s",
			 (int)strcspn(program_invocation_short_name, "_"),
			 program_invocation_short_name);
	count = scandir(directory, &entries, is_file, alphasort);
	if (count <= 0) {
		printf("1..0\nBail out! no corpus in %s; run this at the root of the repository\n",
		       directory);
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		int result = replay(directory, entries[i]->d_name);

		failed += result != 0;
		printf("%sok %d - %s\n", result ? "not " : "", i + 1, entries[i]->d_name);
		fflush(stdout);
		free(entries[i]);
	}
	free(entries);
	return failed != 0;
}
