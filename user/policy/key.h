/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The settings of policies that group URLs by a key: `key` and `query`. */
#ifndef XDP_ICP_POLICY_KEY_H
#define XDP_ICP_POLICY_KEY_H

#include "lib/error.h"
#include "policy/spec.h"
#include "url_key.h"

/* Entries of a kind's table of settings. */
#define POLICY_KEY_SETTINGS                                                                        \
	{ "key",                                                                                   \
	  "the part of the URL that counts: url, host, host+N, path or path+N directories" },      \
	{                                                                                          \
		"query", "whether the query counts, if the key is 'url' or 'path'; default true"   \
	}

/* Parse the name of a form, such as host+2. -1: it is none. The query counts. */
int url_key_parse(const char *name, struct url_key_form *form);

/* Read both settings; without `key` the whole URL counts. Returns -1 with an error. */
int policy_spec_key(const struct policy_spec *spec, struct url_key_form *form, struct error *error);

#endif
