/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lists of texts (URLs, patterns) that policies are made of: written in the policy itself,
 * under a key in the plural (`urls`) or for a single one in the singular (`url`), or in a `file`
 * that has one a line, optionally with a TAB and its own verdict. In the file, blank lines and
 * lines that begin with # are skipped, and a line may end with CR LF.
 */
#ifndef XDP_ICP_TEXT_LIST_H
#define XDP_ICP_TEXT_LIST_H

#include "lib/error.h"
#include "icp.h"
#include "policy/spec.h"

/* Names in messages are cut to this many bytes; for printf's %.*s. */
#define TEXT_SHOWN 200

/* Where a policy keeps its texts. */
struct text_list {
	const struct policy_spec *spec;
	const char *plural;
	const char *singular;
	enum icp_opcode verdict; /* of texts without their own; ICP_OP_INVALID: they need one */
};

struct text_entry {
	const char *text; /* valid during the call; a NUL follows, but may stand within too */
	size_t length;	  /* bytes */
	enum icp_opcode verdict;
	unsigned int tag; /* by which text_list_error() finds the place again */
};

/* Takes an entry. -1 with an error (see text_list_error) ends the reading. */
typedef int (*text_list_add)(void *context, const struct text_list *list,
			     const struct text_entry *entry, struct error *error);

/*
 * Hands all entries to `take`, those in the policy first. -1 with an error that names the place:
 * there is no list at all, the file cannot be read, a verdict is missing or unknown.
 */
int text_list_read(const struct text_list *list, text_list_add take, void *context,
		   struct error *error);

/* An error about the entry of that tag, with its place before the text. Returns -1. */
int text_list_error(const struct text_list *list, unsigned int tag, struct error *error,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The place of the entry of that tag, FILE:LINE, into a buffer of `size` bytes. */
void text_list_where(const struct text_list *list, unsigned int tag, char *where, size_t size);

#endif
