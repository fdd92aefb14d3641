/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map `recent`: copies of the stores (recent/store.h) of a chain's policies on what was seen lately.
 * All in the main thread.
 *
 * A store is copied as it changes, and what was in it before is copied in steps. As long as a copy is not
 * complete, or if an entry could not be written, the kernel passes up what depends on the store. What a
 * store that is no longer in use has left in the map is removed in steps too.
 */
#ifndef XDP_ICP_KERNEL_RECENTS_H
#define XDP_ICP_KERNEL_RECENTS_H

#include "chain/chain.h"
#include "maps.h"
#include "recent/store.h"
#include "recent/table.h"

struct shared_map;

struct recents {
	struct recent_table table; /* in the map */
	uint32_t slots;
	struct recent_mirror mirror;
	struct recent_store *stores[RECENTS_MAX]; /* of the active chain, with references */
	struct map_watch *watch;		  /* of that chain */
	uint32_t unswept;			  /* slots that may have entries of other stores */
};

/* The map must stay open until recents_close(). */
void recents_open(struct recents *recents, const struct shared_map *map);
void recents_close(struct recents *recents);

/*
 * Begin to copy the stores of a chain (NULL: of none) that is about to become active, and write to
 * its lease which are complete. recents_end_switch() must follow, with the result.
 */
void recents_begin_switch(struct recents *recents, const struct chain *chain,
			  struct recent_store *next[RECENTS_MAX], struct map_watch *watch);
void recents_end_switch(struct recents *recents, struct recent_store *next[RECENTS_MAX],
			struct map_watch *watch, bool active);

/* Return the number of keys in the stores. */
uint32_t recents_count(const struct recents *recents);

/* Copy at most `most` more keys, and remove some that are no store's. Returns whether all is done. */
bool recents_step(struct recents *recents, size_t most);

#endif
