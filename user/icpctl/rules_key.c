// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/rules_key.h"
#include "maps.h"
#include "lib/pin_dir.h"
#include "lib/shell_quote.h"

static char *line(const char *action, const char *pin_dir, const char *key, const char *value)
{
	char path[PIN_DIR_MAX + sizeof("/rules")], quoted[SHELL_QUOTE_SIZE(sizeof(path))];
	char *text;

	snprintf(path, sizeof(path), "%s/rules", pin_dir);
	if (asprintf(&text, "bpftool map %s pinned %s key hex %s%s%s", action,
		     shell_quote(path, quoted), key, value ? " value hex " : "",
		     value ? value : "") < 0)
		icpctl_must(NULL);
	return text;
}

static void print_json(const struct rule_key *key, const struct rule *rule, const char *update,
		       const char *lookup, const char *delete)
{
	char *key_text = icpctl_hexadecimal(key, sizeof(*key), "");
	char *value_text = rule ? icpctl_hexadecimal(rule, sizeof(*rule), "") : NULL;
	json_t *json = icpctl_must(json_pack("{s:b, s:s, s:s*, s:s*, s:s*, s:s}", "ok", 1, "key",
					     key_text, "value", value_text, "update", update,
					     "lookup", lookup, "delete", delete));

	icpctl_print_json(json);
	json_decref(json);
	free(key_text);
	free(value_text);
}

int rules_key_print(struct icpctl *ctl, const char *pin_dir, const char *prefix, size_t length,
		    enum icp_opcode verdict)
{
	const struct rule rule = { .verdict = verdict };
	bool put = verdict != ICP_OP_INVALID;
	struct rule_key key = { .prefixlen = 8 * (__u32)length };
	char *key_text;
	char *value_text;
	struct error error;
	char *first;
	char *delete;

	if (pin_dir_check(pin_dir, &error))
		return icpctl_fail(ctl, ICPCTL_USAGE, "pin_dir: %s", error.text);
	memcpy(key.text, prefix, length);
	key_text = icpctl_hexadecimal(&key, sizeof(key), " ");
	value_text = icpctl_hexadecimal(&rule, sizeof(rule), " ");
	first = line(put ? "update" : "lookup", pin_dir, key_text, put ? value_text : NULL);
	delete = line("delete", pin_dir, key_text, NULL);
	if (ctl->json)
		print_json(&key, put ? &rule : NULL, put ? first : NULL, put ? NULL : first,
			   delete);
	else
		printf("# %s:\n%s\n# remove:\n%s\n", put ? "insert" : "look up", first, delete);
	free(delete);
	free(first);
	free(value_text);
	free(key_text);
	return ICPCTL_OK;
}
