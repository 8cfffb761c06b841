/* replay.c - gives every file of the named folders to a fuzz target, once.
 *
 * Linked with one tests/fuzz/x_fuzz.c in place of libFuzzer, so that the ordinary test run holds
 * what fuzzing found.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX_BYTES = 1 << 20 };

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return -1;
	uint8_t *room = malloc(INPUT_MAX_BYTES);
	size_t n = room ? fread(room, 1, INPUT_MAX_BYTES, f) : 0;
	fclose(f);
	/* An exact copy, so that a sanitizer sees a read past the end. */
	uint8_t *exact = malloc(n ? n : 1);
	if (room && exact) {
		memcpy(exact, room, n);
		LLVMFuzzerTestOneInput(exact, n);
	}
	free(exact);
	free(room);
	return 0;
}

static long replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	if (!dir)
		return 0;
	long n = 0;
	for (struct dirent *e; (e = readdir(dir));) {
		char path[4096];
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (replay_file(path) == 0)
			n++;
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	long n = 1;
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		n += replay_folder(argv[i]);
	printf("[  PASSED  ] %ld input(s).\n", n);
	return 0;
}
