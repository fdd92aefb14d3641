/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of texts (URLs, patterns) of policies: values of the policy under a plural key (`urls`) or
 * a singular one (`url`), or the lines of a `file`, each optionally followed by a TAB and a verdict
 * of its own. In the file, blank lines and lines that begin with # are skipped, and a line may end
 * with CR LF.
 */
#ifndef XDP_ICP_TEXT_LIST_H
#define XDP_ICP_TEXT_LIST_H

#include "lib/byteset.h"
#include "lib/error.h"
#include "icp.h"
#include "policy/policy.h"
#include "policy/spec.h"

/* Bytes of a text that messages show; for printf's %.*s. */
#define TEXT_SHOWN 200

/* Where the texts of a policy come from. */
struct text_list {
	const struct policy_spec *spec;
	const char *plural;
	const char *singular;
	struct policy *policy; /* whose verdict is the default, and which notes the file */
};

struct text_entry {
	const char *text; /* valid during the call; NUL-terminated, but may contain NULs */
	size_t length;	  /* bytes */
	enum icp_opcode verdict;
	unsigned int tag; /* identifies the place for text_list_error() */
};

/* Add an entry to `context`. Returns -1 with an error (see text_list_error) to stop reading. */
typedef int (*text_list_add)(void *context, const struct text_list *list,
			     const struct text_entry *entry, struct error *error);

/*
 * Call `add` for all entries, those in the policy before those in the file. Returns -1 with an
 * error that names the place: no list at all, an unreadable file, a missing or unknown verdict.
 */
int text_list_read(const struct text_list *list, text_list_add add, void *context,
		   struct error *error);

/*
 * Finish a set whose members were appended with the tags of the list's entries. `what` is the name
 * of an entry in messages. Returns -1 with an error: a text with two verdicts, or out of memory.
 */
int text_list_finish_set(const struct text_list *list, struct byteset *set, const char *what,
			 struct error *error);

/* Set an error about the entry with that tag, its place before the text. Returns -1. */
int text_list_error(const struct text_list *list, unsigned int tag, struct error *error,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
