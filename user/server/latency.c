// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/latency.h"

/* Squid waits 5 ms. */
const uint64_t latency_bounds[LATENCY_BUCKETS] = { 50000,   100000,  250000,   500000,	 1000000,
						   2500000, 5000000, 10000000, 25000000, 50000000 };

void latency_count(struct latency *latency, uint64_t received, uint64_t now)
{
	unsigned int bucket = 0;

	if (!received || now < received)
		return;
	now -= received;
	while (bucket < LATENCY_BUCKETS && now > latency_bounds[bucket])
		bucket++;
	latency->counts[bucket]++;
	latency->sum += now;
}

void latency_add(struct latency *sum, const struct latency *more)
{
	for (unsigned int i = 0; i <= LATENCY_BUCKETS; i++)
		sum->counts[i] += more->counts[i];
	sum->sum += more->sum;
}
