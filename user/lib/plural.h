/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef XDP_ICP_PLURAL_H
#define XDP_ICP_PLURAL_H

#include <stddef.h>

/* Return the noun that suits a count: "1 policy", "2 policies". */
static inline const char *plural(size_t count, const char *one, const char *several)
{
	return count == 1 ? one : several;
}

#endif
