// SPDX-License-Identifier: GPL-2.0-or-later
/* Before and after a run: programs, maps, source ports, the attachment. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "icpblast/state.h"

#define DRAWS_MIN (1u << 20) /* 4 MB */
#define DRAWS_MAX (1u << 24)
#define DRAWS_A_QUERY 8

static int ignore_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

static void *map_memory(const struct bpf_map *map, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *memory;

	size = (size + page - 1) / page * page;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/* Size the programs and maps for the longest URL, and load them. */
static int load(struct run *run, struct error *error)
{
	const struct blast_job *job = run->job;
	struct icpblast_bpf *skeleton;
	struct blast_config *config;
	size_t url_size = 0;
	int code;

	libbpf_set_print(ignore_message);
	run->skeleton = skeleton = icpblast_bpf__open();
	if (!skeleton)
		return error_set(error, "cannot open the generator: %s", strerror(errno));
	for (run->draw_count = DRAWS_MIN;
	     run->draw_count < DRAWS_A_QUERY * job->urls.count && run->draw_count < DRAWS_MAX;)
		run->draw_count *= 2;
	config = (struct blast_config *)&skeleton->rodata->config;
	*config = job->config;
	config->draws_mask = run->draw_count - 1;
	config->index_bits = 1;
	while ((1u << config->index_bits) <= job->urls.count)
		config->index_bits++;
	config->slots = 1u << (32 - config->index_bits);
	if (config->slots > BLAST_SLOTS_MAX)
		config->slots = BLAST_SLOTS_MAX;
	config->interval = job->rate ? SECOND * run->generator_count / job->rate : 0;
	for (size_t i = 0; i < job->urls.count; i++)
		if (strlen(job->urls.list[i].text) + 1 > url_size)
			url_size = strlen(job->urls.list[i].text) + 1;
	config->frame_max = blast_headers(config->ipv6, true) + url_size;
	config->url_words = (url_size + ICP_WORD - 1) / ICP_WORD;
	blast_headers_make(config);
	run->query_size = offsetof(struct blast_query, url) + config->url_words * ICP_WORD;
	bpf_map__set_value_size(skeleton->maps.queries, run->query_size);
	bpf_map__set_max_entries(skeleton->maps.queries, job->urls.count);
	bpf_map__set_max_entries(skeleton->maps.slots, config->slots);
	bpf_map__set_max_entries(skeleton->maps.draws, run->draw_count / BLAST_DRAWS_A_LINE);
	bpf_program__set_autoload(skeleton->progs.blast_send, job->sending == BLAST_SENDING_LIVE);
	bpf_program__set_autoload(skeleton->progs.blast_check, !job->path.loopback);
	bpf_program__set_autoload(skeleton->progs.blast_watch, job->path.loopback);
	code = icpblast_bpf__load(skeleton);
	if (code)
		return error_set(error, "the kernel refuses the generator: %s%s", strerror(-code),
				 code == -EPERM ? "; it needs root" : "; it needs Linux 5.18");
	return 0;
}

static int fill(struct run *run, struct error *error)
{
	const struct icpblast_bpf *skeleton = run->skeleton;
	const struct blast_job *job = run->job;

	run->queries = map_memory(skeleton->maps.queries, job->urls.count * run->query_size);
	run->draws = map_memory(skeleton->maps.draws, run->draw_count * sizeof(*run->draws));
	run->slots = map_memory(skeleton->maps.slots,
				skeleton->rodata->config.slots * sizeof(*run->slots));
	if (!run->queries || !run->draws || !run->slots)
		return error_set(error, "cannot map the maps: %s", strerror(errno));
	for (size_t i = 0; i < job->urls.count; i++)
		blast_query_make((struct blast_query *)query_of(run, i), run->query_size,
				 (const struct blast_config *)&skeleton->rodata->config,
				 job->urls.list[i].text,
				 job->config.echo ? BLAST_ALLOWED(ICP_OP_QUERY)
						  : job->urls.list[i].allowed);
	return 0;
}

static int set_senders(struct run *run, struct error *error)
{
	int cpus = libbpf_num_possible_cpus();
	struct blast_sender *each = calloc(cpus, sizeof(*each));
	__u32 zero = 0;
	int result = 0;

	if (!each)
		return error_set(error, "out of memory");
	for (__u32 i = 0; i < run->generator_count; i++)
		each[run->generators[i].core] = blast_sender_of(run, &run->generators[i]);
	if (bpf_map_update_elem(bpf_map__fd(run->skeleton->maps.senders), &zero, each, 0))
		result = error_set(error, "cannot set the generator's state: %s", strerror(errno));
	free(each);
	return result;
}

/*
 * Attach the check: to the interface, in native mode if possible; on the loopback interface, where
 * the responder may have attached its program, to a packet socket.
 */
static int attach(struct run *run, struct error *error)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options);
	const struct blast_path *path = &run->job->path;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = host_to_be16(path->ipv6 ? ETH_P_IPV6 : ETH_P_IP),
		.sll_ifindex = path->ifindex,
	};
	int program, link = -1;

	if (path->loopback) {
		program = bpf_program__fd(run->skeleton->progs.blast_watch);
		run->attachment = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		if (run->attachment < 0 ||
		    setsockopt(run->attachment, SOL_SOCKET, SO_ATTACH_BPF, &program,
			       sizeof(program)) ||
		    bind(run->attachment, (struct sockaddr *)&address, sizeof(address)))
			return error_set(error, "cannot open a packet socket on %s: %s", path->name,
					 strerror(errno));
		return 0;
	}
	program = bpf_program__fd(run->skeleton->progs.blast_check);
	for (unsigned int i = 0; i < 2 && link < 0; i++) {
		options.flags = i == 0 ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
		link = bpf_link_create(program, path->ifindex, BPF_XDP, &options);
		if (link == -EBUSY || link == -EEXIST)
			break;
	}
	if (link == -EBUSY || link == -EEXIST)
		return error_set(
			error,
			"%s: cannot attach the check of the replies: the interface carries "
			"an XDP program already; if another icpblast runs there, end that; "
			"else remove the program with `ip link set dev %s xdpdrv off`, "
			"or with xdpgeneric for xdpdrv if that is its mode",
			path->name, path->name);
	if (link < 0)
		return error_set(error, "%s: cannot attach the check of the replies: %s",
				 path->name, strerror(-link));
	run->attachment = link; /* the attachment ends with this descriptor */
	return 0;
}

/*
 * On the loopback interface replies reach the network stack too, which would return an ICMP error for
 * a port without a socket.
 */
static int bind_ports(struct run *run, struct error *error)
{
	const struct blast_job *job = run->job;

	if (!job->path.loopback)
		return 0;
	run->ports = calloc(job->config.ports, sizeof(*run->ports));
	if (!run->ports)
		return error_set(error, "out of memory");
	for (; run->port_count < job->config.ports; run->port_count++) {
		in_port_t port = htons(job->config.first_port + run->port_count);
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };
		int one = 1;
		int fd = socket(job->path.ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return error_set(error, "socket: %s", strerror(errno));
		run->ports[run->port_count] = fd;
		if (job->path.ipv6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		if (job->path.ipv6 ? bind(fd, (struct sockaddr *)&in6, sizeof(in6))
				   : bind(fd, (struct sockaddr *)&in, sizeof(in))) {
			run->port_count++;
			return error_set(error,
					 "source port %u: %s; choose others with --source-port",
					 ntohs(port), strerror(errno));
		}
	}
	return 0;
}

int blast_setup(struct run *run, struct error *error)
{
	const struct blast_job *job = run->job;

	if (load(run, error) || fill(run, error) || set_senders(run, error) ||
	    bind_ports(run, error) || attach(run, error))
		return -1;
	if (!blast_draw(run->draws, run->draw_count, job->urls.count, job->zipf, job->seed))
		return error_set(error, "out of memory");
	return 0;
}

void blast_teardown(struct run *run)
{
	if (run->attachment >= 0)
		close(run->attachment);
	for (size_t i = 0; i < run->port_count; i++)
		close(run->ports[i]);
	free(run->ports);
	icpblast_bpf__destroy(run->skeleton);
}
