/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a fuzz target also a test: compiled with -DREPLAY it has a main() that runs the target
 * over every file of its corpus, one test each, and prints TAP. The corpus is REPLAY_CORPUS,
 * seen from the root of the repository, or the directory given as the argument.
 */
#ifndef XDP_ICP_REPLAY_H
#define XDP_ICP_REPLAY_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef REPLAY
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static int replay_is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* -1: the file cannot be read */
static int replay_file(const char *directory, const char *name)
{
	static uint8_t data[1 << 20];
	char path[4096];
	uint8_t *copy;
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
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : REPLAY_CORPUS;
	struct dirent **entries;
	int count = scandir(directory, &entries, replay_is_file, alphasort);
	int failed = 0;

	if (count <= 0) {
		printf("1..0\nBail out! no corpus in %s; run this at the root of the repository\n",
		       directory);
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		int result = replay_file(directory, entries[i]->d_name);

		failed += result != 0;
		printf("%sok %d - %s\n", result ? "not " : "", i + 1, entries[i]->d_name);
		fflush(stdout);
		free(entries[i]);
	}
	free(entries);
	return failed != 0;
}
#endif

#endif
