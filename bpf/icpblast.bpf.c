// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * icpblast in the kernel: a generator, which BPF_PROG_RUN calls with live frames, and a check of the
 * replies, which is attached where they come in and takes them out of the way.
 *
 * The generator shares the core with what is measured, so it must be cheap and disturb the caches
 * little: the choice of queries is drawn beforehand, and the draws are walked from one end to the
 * other, which the processor prefetches; only a query's URL and its sums have to be fetched. The
 * check comes at most one batch later and finds the query still in the cache.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "icpblast.h"

#define PACKET_SIZE_MAX (BLAST_FRAME_MAX + 64) /* bytes: a reply may be padded */

const volatile struct blast_config config;

/* All are sized before they are loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct blast_query);
} queries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct blast_draws);
} draws SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct blast_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct blast_sender);
} senders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct blast_counts);
} counts SEC(".maps");

struct room {
	__u8 bytes[PACKET_SIZE_MAX + 4 * ICP_WORD];
} __attribute__((aligned(8)));

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

/* --- the generator */

/*
 * Is it time for the next query? Little of what was missed while the core was busy is made up for.
 */
ICP_INLINE bool due(struct blast_sender *sender)
{
	__u64 now = bpf_ktime_get_ns();

	if (now < sender->next)
		return false;
	if (now - sender->next > 16 * config.interval)
		sender->next = now;
	sender->next += config.interval;
	return true;
}

/* The slot of a query that is timed, or 0. */
ICP_INLINE __u32 sample(struct blast_sender *sender, struct blast_counts *count, __u32 index)
{
	struct blast_slot *slot;
	__u32 key;

	if (config.sample == 0 || ++sender->unsampled < config.sample)
		return 0;
	sender->unsampled = 0;
	key = sender->slot;
	sender->slot = key + 1 < sender->end_slot ? key + 1 : sender->first_slot;
	slot = bpf_map_lookup_elem(&slots, &key);
	if (!slot)
		return 0;
	count->sent_sampled++;
	slot->index = index;
	slot->time = bpf_ktime_get_ns();
	return key;
}

/* The query of draw number `draw`, from 0 on; after the last the draws begin again. */
ICP_INLINE const struct blast_query *drawn(__u32 draw, __u32 *index)
{
	const struct blast_draws *some;
	__u32 line;

	draw &= config.draws_mask;
	line = draw / BLAST_DRAWS_A_LINE;
	some = bpf_map_lookup_elem(&draws, &line);
	if (!some)
		return NULL;
	*index = some->index[draw % BLAST_DRAWS_A_LINE];
	return bpf_map_lookup_elem(&queries, index);
}

/* All headers but the last two bytes are whole words of 4. */
ICP_INLINE void copy_headers(void *frame, __u32 size)
{
	const volatile __u32 *from = (const volatile __u32 *)config.headers;
	__u32 *to = frame;
	__u32 i;

	for (i = 0; i < BLAST_HEADERS_MAX / sizeof(*to); i++) {
		if (i >= size / sizeof(*to))
			break;
		to[i] = from[i];
	}
	*(__u16 *)(frame + size - 2) = ((const volatile __u16 *)config.headers)[size / 2 - 1];
}

SEC("xdp")
int blast_send(struct xdp_md *ctx)
{
	__u32 headers = blast_headers(config.ipv6, true);
	const struct blast_query *query;
	struct blast_sender *sender;
	struct blast_counts *count;
	__u32 zero = 0, index, number, size, port;
	void *data, *end;

	sender = bpf_map_lookup_elem(&senders, &zero);
	count = bpf_map_lookup_elem(&counts, &zero);
	if (!sender || !count || sender->budget == 0 || (config.interval && !due(sender)))
		return XDP_DROP;

	query = drawn(sender->draw++, &index);
	if (!query)
		return XDP_DROP;
	size = query->url_size;
	if (size > config.url_words * ICP_WORD)
		return XDP_DROP;
	ICP_BOUNDED(size); /* or both comparisons become one that tells the verifier nothing */
	if (size == 0)
		return XDP_DROP;
	/* Frames come back as the last receiver has left them: all of it is written anew. */
	if ((headers + size < config.frame_max &&
	     bpf_xdp_adjust_tail(ctx, (int)(headers + size) - (int)config.frame_max)) ||
	    bpf_xdp_store_bytes(ctx, headers, (void *)query->url, size))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + headers > end)
		return XDP_DROP;
	copy_headers(data, headers);

	number = query->allowed ? sample(sender, count, index) : 0;
	number = number << config.index_bits | (index + 1);
	port = sender->port;
	sender->port = port + 1 < config.ports ? port + 1 : 0;
	blast_finish(data, config.ipv6, query, config.first_port + port, number);
	sender->budget--;
	count->sent++;
	if (query->allowed == 0)
		count->sent_unanswerable++;
	return XDP_TX;
}

/* --- the check */

ICP_INLINE bool mac_is(const __u8 *mac, const volatile __u8 *wanted)
{
	for (int i = 0; i < ETH_ALEN; i++)
		if (mac[i] != wanted[i])
			return false;
	return true;
}

ICP_INLINE bool addresses_are(const __u32 *source, const __u32 *destination)
{
	for (int i = 0; i < 4; i++)
		if (source[i] != config.address[i] || destination[i] != config.own[i])
			return false;
	return true;
}

/* What the IP header says about a frame; `size` is the size of IP's payload in bytes. */
struct ip_said {
	bool ours;  /* UDP from the responder */
	bool plain; /* no options, no fragment */
	bool good_sum;
	__u32 size;
	__u64 pseudo; /* the addresses' part of the pseudo-header */
};

ICP_INLINE struct ip_said read_ipv4(const struct iphdr *ip)
{
	struct ip_said said = { 0 };
	__u64 sum = 0;

	for (int i = 0; i < 5; i++)
		sum += ((const __u32 *)ip)[i];
	said.ours = ip->version == 4 && ip->protocol == IPPROTO_UDP &&
		    ip->saddr == config.address[3] && ip->daddr == config.own[3];
	said.plain = ip->ihl == 5 && !(ip->frag_off & host_to_be16(0xbfff));
	said.good_sum = checksum_is_full(sum);
	said.size = be16_to_host(ip->tot_len) - sizeof(*ip);
	said.pseudo = (__u64)ip->saddr + ip->daddr;
	return said;
}

ICP_INLINE struct ip_said read_ipv6(const struct ipv6hdr *ip)
{
	const __u32 *source = ip->saddr.in6_u.u6_addr32;
	const __u32 *destination = ip->daddr.in6_u.u6_addr32;
	struct ip_said said = { 0 };

	said.ours = ip->version == 6 && ip->nexthdr == IPPROTO_UDP &&
		    addresses_are(source, destination);
	said.plain = said.good_sum = true;
	said.size = be16_to_host(ip->payload_len);
	for (int i = 0; i < 4; i++)
		said.pseudo += (__u64)source[i] + destination[i];
	return said;
}

/* Is the text `url` of `size` bytes the query's? Both begin at a word. */
ICP_INLINE bool same_url(const text_word *url, const text_word *wanted, __u32 size)
{
	__u32 whole = size / ICP_WORD;
	__u64 differ = 0;

	for (__u32 i = 0; i < BLAST_URL_WORDS; i++) {
		if (i >= config.url_words || i >= whole)
			break;
		differ |= url[i] ^ wanted[i];
	}
	ICP_BOUNDED(size); /* what the verifier learned about `whole` in the loop misleads it */
	whole = size / ICP_WORD;
	if (whole < config.url_words)
		differ |= word_first_bytes(url[whole] ^ wanted[whole], size % ICP_WORD);
	return differ == 0;
}

ICP_INLINE void note_latency(struct blast_counts *count, __u64 latency)
{
	__u32 exponent = 0, bucket;
	__u64 rest = latency;

	for (__u32 bits = 32; bits; bits /= 2) {
		if (rest >> bits) {
			rest >>= bits;
			exponent += bits;
		}
	}
	bucket = latency;
	if (exponent >= BLAST_SUB_BITS)
		bucket = ((exponent - BLAST_SUB_BITS) << BLAST_SUB_BITS) +
			 (latency >> (exponent - BLAST_SUB_BITS));
	if (bucket >= BLAST_BUCKETS)
		bucket = BLAST_BUCKETS - 1;
	ICP_BOUNDED(bucket);
	if (bucket < BLAST_BUCKETS)
		count->latency[bucket]++;
	if (latency <= config.deadline)
		count->in_time++;
}

/*
 * Take the time of a reply to a sampled query. Returns false if it had one already. If the slot
 * belongs to another query by now, the reply is very late: it counts as good, and has no time.
 */
ICP_INLINE bool take_slot(struct blast_counts *count, __u32 key, __u32 index)
{
	struct blast_slot *slot = bpf_map_lookup_elem(&slots, &key);
	__u64 sent;

	if (!slot || slot->index != index)
		return slot != NULL;
	sent = slot->time;
	if (sent == 0)
		return false;
	slot->time = 0;
	note_latency(count, bpf_ktime_get_ns() - sent);
	return true;
}

/* Return how the reply in `room` counts; BLAST_FAULT_MAX: good. `said` is from its IP header. */
ICP_INLINE enum blast_fault judge(struct blast_counts *count, struct room *room,
				  const struct ip_said *said, __u32 frame_size)
{
	__u32 header_size = config.echo ? ICP_QUERY_HEADER_SIZE : ICP_HEADER_SIZE;
	__u32 offset = blast_udp_offset(config.ipv6);
	__u8 *frame = room->bytes + blast_lead(config.ipv6, config.echo);
	const struct ethhdr *ethernet = (const struct ethhdr *)frame;
	const struct udphdr *udp = (const struct udphdr *)(frame + offset);
	const struct icp_header *header = (const struct icp_header *)(udp + 1);
	const struct blast_query *query;
	__u32 number, index, slot, size;
	__u64 pseudo, sum;

	if (!said->plain || !mac_is(ethernet->h_source, config.mac) ||
	    !mac_is(ethernet->h_dest, config.own_mac))
		return BLAST_FAULT_HEADER;
	size = said->size;
	if (be16_to_host(udp->len) != size || offset + size > frame_size ||
	    be16_to_host(header->length) != size - sizeof(*udp))
		return BLAST_FAULT_LENGTH;
	if (!said->good_sum)
		return BLAST_FAULT_IP_CHECKSUM;
	if (header->version != ICP_VERSION)
		return BLAST_FAULT_VERSION;
	number = be32_to_host(header->request_number);
	index = (number & ((1u << config.index_bits) - 1)) - 1;
	slot = number >> config.index_bits;
	query = bpf_map_lookup_elem(&queries, &index);
	if (!query || slot >= config.slots)
		return BLAST_FAULT_NUMBER;
	if (size != sizeof(*udp) + header_size + query->url_size)
		return BLAST_FAULT_LENGTH;
	if (header->options || header->option_data)
		return BLAST_FAULT_OPTIONS;
	if (!same_url((const text_word *)((const __u8 *)(udp + 1) + header_size),
		      (const text_word *)query->url, query->url_size))
		return BLAST_FAULT_URL;

	/* The URL is the query's, so its sum is too. */
	pseudo = said->pseudo + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
		 (ICP_FORCE __u16)udp->len;
	sum = pseudo + query->url_sum;
	for (__u32 i = 0; i < (sizeof(*udp) + ICP_QUERY_HEADER_SIZE) / 4; i++) {
		if (i >= (sizeof(*udp) + header_size) / 4)
			break;
		sum += ((const __u32 *)udp)[i];
	}
	if (!udp->check ||
	    (!checksum_is_full(sum) && !checksum_is_partial((ICP_FORCE __u16)udp->check, pseudo)))
		return BLAST_FAULT_UDP_CHECKSUM;
	if (header->opcode >= BLAST_OPCODES || !(query->allowed & BLAST_ALLOWED(header->opcode)))
		return BLAST_FAULT_OPCODE;
	if (slot && !take_slot(count, slot, index))
		return BLAST_FAULT_TWICE;
	if (!checksum_is_full(sum))
		count->unsummed++;
	return BLAST_FAULT_MAX;
}

/* Look at a frame in `room`. Returns false if it is not from the responder. */
ICP_INLINE bool check(struct room *room, __u32 size)
{
	__u32 offset = blast_udp_offset(config.ipv6);
	const __u8 *frame = room->bytes + blast_lead(config.ipv6, config.echo);
	const struct ethhdr *ethernet = (const struct ethhdr *)frame;
	const struct udphdr *udp = (const struct udphdr *)(frame + offset);
	__be16 ethertype = host_to_be16(config.ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	struct blast_counts *count;
	enum blast_fault fault;
	struct ip_said said;
	__u32 zero = 0, opcode;

	if (ethernet->h_proto != ethertype)
		return false;
	if (config.ipv6)
		said = read_ipv6((const struct ipv6hdr *)(ethernet + 1));
	else
		said = read_ipv4((const struct iphdr *)(ethernet + 1));
	if (!said.ours || udp->source != config.port ||
	    (__u16)(be16_to_host(udp->dest) - config.first_port) >= config.ports)
		return false;
	count = bpf_map_lookup_elem(&counts, &zero);
	if (!count)
		return false;
	fault = judge(count, room, &said, size);
	if (fault < BLAST_FAULT_MAX) {
		count->bad[fault]++;
		return true;
	}
	opcode = ((const struct icp_header *)(udp + 1))->opcode;
	if (opcode < BLAST_OPCODES)
		count->good[opcode]++;
	return true;
}

ICP_INLINE __u32 shortest(void)
{
	return blast_udp_offset(config.ipv6) + sizeof(struct udphdr) + ICP_HEADER_SIZE;
}

/* On an interface: replies end here, all else goes up. */
SEC("xdp")
int blast_check(struct xdp_md *ctx)
{
	__u32 size = (__u32)(ctx->data_end - ctx->data);
	struct room *room;
	__u32 zero = 0;

	room = bpf_map_lookup_elem(&rooms, &zero);
	if (!room || size > PACKET_SIZE_MAX)
		return XDP_PASS;
	ICP_BOUNDED(size);
	if (size < shortest() ||
	    bpf_xdp_load_bytes(ctx, 0, room->bytes + blast_lead(config.ipv6, config.echo), size))
		return XDP_PASS;
	return check(room, size) ? XDP_DROP : XDP_PASS;
}

/* On a packet socket, where the responder has the interface's one place for XDP: observes only. */
SEC("socket")
int blast_watch(struct __sk_buff *skb)
{
	__u32 size = skb->len;
	struct room *room;
	__u32 zero = 0;

	room = bpf_map_lookup_elem(&rooms, &zero);
	if (!room || size > PACKET_SIZE_MAX)
		return 0;
	ICP_BOUNDED(size);
	if (size < shortest() ||
	    bpf_skb_load_bytes(skb, 0, room->bytes + blast_lead(config.ipv6, config.echo), size))
		return 0;
	check(room, size);
	return 0; /* of the packet, nothing is kept for the socket */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
