// SPDX-License-Identifier: GPL-2.0-or-later
/* The file of a saved policy: what is changed can be undone. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"
#include "config/dropin.h"

static char directory[] = "/tmp/xdp-icp-drop-in-XXXXXX", path[64];

static struct drop_in *open_file(void)
{
	struct error error;
	struct drop_in *file = drop_in_open(path, "a b", &error);

	if (!file)
		fail_msg("%s", error.text);
	return file;
}

static void save(const struct drop_in *file, const char *verdict)
{
	struct policy_spec *spec = policy_spec_new("a b", "test");
	struct error error;

	policy_spec_add(spec, "kind", "prefix", "test");
	policy_spec_add(spec, "verdict", verdict, "test");
	if (drop_in_save(file, spec, &error))
		fail_msg("%s", error.text);
	policy_spec_free(spec);
}

static void undo(struct drop_in *file)
{
	struct error error;

	if (drop_in_undo(file, &error))
		fail_msg("%s", error.text);
	drop_in_free(file);
}

/* Expect the saved policy to have a verdict, or NULL: there is none. */
static void assert_saved(const char *verdict)
{
	struct drop_in *file = open_file();
	struct config *read;
	struct error error;

	assert_int_equal(drop_in_existed(file), verdict != NULL);
	drop_in_free(file);
	assert_int_equal(config_load(path, NULL, &read, &error), 0);
	assert_int_equal(read->policy_count, verdict != NULL);
	if (verdict)
		assert_string_equal(policy_spec_find(read->policies[0], "verdict")->values[0].text,
				    verdict);
	config_free(read);
}

TEST(a_change_is_undone)
{
	struct drop_in *file;
	struct error error;
	FILE *out;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/c", directory);
	out = fopen(path, "w");
	fclose(out);

	file = open_file();
	save(file, "hit");
	assert_saved("hit");
	undo(file);
	assert_saved(NULL);

	file = open_file();
	save(file, "hit");
	drop_in_free(file);
	file = open_file();
	save(file, "denied");
	assert_saved("denied");
	undo(file);
	assert_saved("hit");

	file = open_file();
	assert_int_equal(drop_in_remove(file, &error), 0);
	assert_saved(NULL);
	undo(file);
	assert_saved("hit");

	assert_int_equal(unlink(formatted("%s.d/a%%20b.conf", path)), 0);
	assert_int_equal(rmdir(formatted("%s.d", path)), 0); /* nothing else is left */
	unlink(path);
	rmdir(directory);
}

/* An operator would take them to count, but the daemon's user may write the file. */
TEST(a_file_has_policies_alone)
{
	static const struct {
		const char *text, *message;
	} files[] = {
		{ "# a\nlisten = \"127.0.0.1\"\n",
		  "*.conf:2: 'listen': only policies are allowed *" },
		{ "include = \"/nowhere\"\n", "*.conf:1: 'include': only policies are allowed *" },
		{ "cluster \"c\" {\netcd = \"http://[::1]:1\"\n}\n",
		  "*.conf:1: 'cluster': only policies *" },
	};
	char file[] = "/tmp/xdp-icp-drop-in-XXXXXX.conf";
	struct config *config;
	struct error error;

	assert_int_not_equal(close(mkstemps(file, 5)), -1);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *out = fopen(file, "w");

		fputs(files[i].text, out);
		fclose(out);
		assert_int_equal(config_load_drop_in(file, &config, &error), -1);
		if (fnmatch(files[i].message, error.text, 0))
			fail_msg("'%s' is not '%s'", error.text, files[i].message);
	}
	unlink(file);
}
