/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arrays that grow by one element at a time: a plain pointer and a count, both zero when empty, to
 * be released with free(). The allocation follows from the count: the next power of two.
 */
#ifndef XDP_ICP_VEC_H
#define XDP_ICP_VEC_H

#include <stdlib.h>

/* Return the array with room for another element of `size` bytes. NULL: out of memory. */
static inline void *vec_reserve(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? 2 * count : 1, size);
}

/*
 * Append an uninitialised element and return its address. NULL: out of memory, array and count
 * unchanged. Evaluates its arguments several times.
 */
#define vec_append(array, count)                                                                   \
	({                                                                                         \
		__typeof__(array) vec_grown = vec_reserve(array, count, sizeof(*(array)));         \
                                                                                                   \
		if (vec_grown)                                                                     \
			(array) = vec_grown;                                                       \
		vec_grown ? &(array)[(count)++] : NULL;                                            \
	})

#endif
