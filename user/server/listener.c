// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/clock.h"
#include "server/listener.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/sockaddr.h"

#define BATCH 64
#define BATCHES_AT_ONCE 16     /* per event, so that others are not starved */
#define BUFFER_BYTES (4 << 20) /* for bursts during other work */

/* One datagram and its reply. */
struct slot {
	struct sockaddr_storage source;
	_Alignas(struct cmsghdr) char received[128]; /* control messages */
	_Alignas(struct cmsghdr) char sent[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec datagram;
	struct iovec parts[2];
	struct reply reply;
	uint64_t time; /* of receipt, as for latency_count() */
	_Alignas(8) char bytes[ICP_MESSAGE_MAX];
};

/* A datagram for another thread, with what its reply needs. */
struct listener_datagram {
	struct sockaddr_storage source;
	socklen_t source_size;
	_Alignas(struct cmsghdr) char sent[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	size_t sent_size; /* as in struct pending */
	uint64_t time;	  /* as in struct slot */
	size_t size;	  /* bytes */
	_Alignas(8) char bytes[];
};

/* A query that waits for a policy. */
struct pending {
	LIST_ENTRY(pending) link;
	struct listener *listener;
	struct evaluation *evaluation;
	struct icp_header header; /* of the query */
	struct sockaddr_storage source;
	socklen_t source_size;
	_Alignas(struct cmsghdr) char sent[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	size_t sent_size; /* of control messages in `sent`, in bytes */
	uint64_t time;	  /* as in struct slot */
};

_Static_assert(sizeof(struct pending) <= EVALUATION_CONTEXT_MAX, "what waits is bounded");

struct listener {
	int fd;
	__be16 port;
	bool stamped;	    /* receives the time of receipt with each datagram */
	bool for_multicast; /* replies to multicast, of which every socket gets a copy */
	LIST_HEAD(pending_list, pending) pending;
	struct event *event;
	struct responder *responder;
	listener_handover *hand_over;
	void *context;	     /* of hand_over */
	int received;	     /* in this batch */
	bool receive_failed; /* counted by listener_reply() */
	struct mmsghdr in[BATCH];
	struct mmsghdr out[BATCH];
	uint64_t times[BATCH]; /* of the queries to which `out` has the replies */
	struct slot slots[BATCH];
};

static void set_buffer_size(int fd, int forced, int unprivileged)
{
	int bytes = BUFFER_BYTES;

	/* Only CAP_NET_ADMIN may exceed the system's limit. */
	if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, unprivileged, &bytes, sizeof(bytes));
}

static __be16 port_of(const struct sockaddr_storage *address)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): getsockname() fills it */
	return (ICP_FORCE __be16)(address->ss_family == AF_INET6
					  ? ((const struct sockaddr_in6 *)address)->sin6_port
					  : ((const struct sockaddr_in *)address)->sin_port);
}

static struct listener *listener_new(__be16 port, struct error *error)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener) {
		error_set(error, "out of memory");
		return NULL;
	}
	LIST_INIT(&listener->pending);
	listener->fd = -1;
	listener->port = port;
	for (int i = 0; i < BATCH; i++) {
		struct slot *slot = &listener->slots[i];

		slot->datagram.iov_base = slot->bytes;
		slot->datagram.iov_len = ICP_MESSAGE_MAX;
		listener->in[i].msg_hdr.msg_iov = &slot->datagram;
		listener->in[i].msg_hdr.msg_iovlen = 1;
		listener->in[i].msg_hdr.msg_name = &slot->source;
		listener->in[i].msg_hdr.msg_control = slot->received;
	}
	return listener;
}

static struct listener *open_socket(const struct sockaddr_storage *address, bool beside,
				    bool stamped, struct error *error)
{
	bool v6 = address->ss_family == AF_INET6;
	struct listener *listener = listener_new(port_of(address), error);
	char text[SOCKADDR_TEXT_SIZE];
	int on = 1;

	if (!listener)
		return NULL;
	listener->stamped = stamped;
	sockaddr_text(address, text);
	listener->fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0) {
		error_set(error, "listen %s: %s%s", text, strerror(errno),
			  errno == EAFNOSUPPORT ? "; take it out of `listen`" : "");
		listener_close(listener);
		return NULL;
	}
	if (v6)
		setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	set_buffer_size(listener->fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer_size(listener->fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (stamped)
		setsockopt(listener->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (beside)
		setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (setsockopt(listener->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		       v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof(on)))
		error_set(error, "listen %s: %s", text, strerror(errno));
	else if (sockaddr_bind(listener->fd, address, "listen", error) == 0)
		return listener;
	listener_close(listener);
	return NULL;
}

struct listener *listener_open(const struct sockaddr_storage *address, bool stamped,
			       struct error *error)
{
	struct listener *listener = open_socket(address, false, stamped, error);

	if (listener)
		listener->for_multicast = true;
	return listener;
}

struct listener *listener_open_sibling(const struct listener *first, struct error *error)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	int on = 1;

	/*
	 * The first socket was bound without SO_REUSEPORT, so that a second daemon is refused. From
	 * now on only sockets of the same user can join (socket(7)).
	 */
	if (getsockname(first->fd, (struct sockaddr *)&address, &size) ||
	    setsockopt(first->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) {
		error_set(error, "a second socket for an address: %s", strerror(errno));
		return NULL;
	}
	return open_socket(&address, true, first->stamped, error);
}

struct listener *listener_share(const struct listener *first, struct error *error)
{
	struct listener *listener = listener_new(first->port, error);

	if (!listener)
		return NULL;
	listener->for_multicast = first->for_multicast;
	listener->fd = fcntl(first->fd, F_DUPFD_CLOEXEC, 0);
	if (listener->fd >= 0)
		return listener;
	error_set(error, "a second descriptor of a socket: %s", strerror(errno));
	listener_close(listener);
	return NULL;
}

/* The kind of destination address. */
enum delivery {
	DELIVERY_UNICAST,
	DELIVERY_MULTICAST,
	DELIVERY_BROADCAST, /* no reply (R7) */
};

static uint64_t time_of_receipt(struct cmsghdr *header)
{
	struct timespec time;

	memcpy(&time, CMSG_DATA(header), sizeof(time));
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/*
 * Set the source address of the reply: the address that was queried. Return the kind of that. Note the
 * time of receipt.
 */
static enum delivery set_reply_source(struct msghdr *query, struct msghdr *reply, struct slot *slot)
{
	struct cmsghdr *from = (struct cmsghdr *)slot->sent;
	enum delivery delivery = DELIVERY_UNICAST;

	reply->msg_control = NULL;
	reply->msg_controllen = 0;
	slot->time = 0;
	for (struct cmsghdr *to = CMSG_FIRSTHDR(query); to; to = CMSG_NXTHDR(query, to)) {
		if (to->cmsg_level == IPPROTO_IP && to->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(to), sizeof(info));
			/*
			 * ipi_spec_dst is the local address to reply from; only for group addresses
			 * does it differ from the one in the header.
			 */
			if (IN_MULTICAST(ntohl(info.ipi_addr.s_addr)))
				delivery = DELIVERY_MULTICAST;
			else if (info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr)
				return DELIVERY_BROADCAST;
			info.ipi_ifindex = 0;
			from->cmsg_level = IPPROTO_IP;
			from->cmsg_type = IP_PKTINFO;
			from->cmsg_len = CMSG_LEN(sizeof(info));
			memcpy(CMSG_DATA(from), &info, sizeof(info));
			reply->msg_control = from;
			reply->msg_controllen = CMSG_SPACE(sizeof(info));
		} else if (to->cmsg_level == IPPROTO_IPV6 && to->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(to), sizeof(info));
			if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) {
				delivery = DELIVERY_MULTICAST;
				info.ipi6_addr = in6addr_any; /* the kernel chooses */
			} else if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) {
				info.ipi6_ifindex = 0;
			}
			from->cmsg_level = IPPROTO_IPV6;
			from->cmsg_type = IPV6_PKTINFO;
			from->cmsg_len = CMSG_LEN(sizeof(info));
			memcpy(CMSG_DATA(from), &info, sizeof(info));
			reply->msg_control = from;
			reply->msg_controllen = CMSG_SPACE(sizeof(info));
		} else if (to->cmsg_level == SOL_SOCKET && to->cmsg_type == SCM_TIMESTAMPNS) {
			slot->time = time_of_receipt(to);
		}
	}
	return delivery;
}

static void set_reply_parts(struct msghdr *reply, struct iovec parts[2],
			    const struct reply *content)
{
	parts[0].iov_base = (void *)&content->header;
	parts[0].iov_len = sizeof(content->header);
	parts[1].iov_base = (void *)content->payload;
	parts[1].iov_len = content->payload_size;
	reply->msg_iov = parts;
	reply->msg_iovlen = 2;
}

/* --- tracing */

/* Set the destination of the query from the control message that is sent with its reply. */
static void trace_destination(const struct listener *listener, const void *sent, size_t size,
			      struct trace_record *record)
{
	const struct cmsghdr *header = sent;

	record->destination_port = listener->port;
	if (size && header->cmsg_level == IPPROTO_IP) {
		const struct in_pktinfo *info = (const void *)CMSG_DATA(header);

		record->destination[10] = record->destination[11] = 0xff;
		memcpy(record->destination + 12, &info->ipi_spec_dst, 4);
	} else if (size) {
		const struct in6_pktinfo *info = (const void *)CMSG_DATA(header);

		memcpy(record->destination, &info->ipi6_addr, 16);
	}
}

static void trace_decider(const struct responder_outcome *outcome, struct trace_entry *entry)
{
	if (outcome->by_drain) {
		entry->decider = TRACE_BY_DRAIN;
	} else if (outcome->verdict.opcode == ICP_OP_INVALID) {
		entry->decider = TRACE_BY_NONE;
	} else if (outcome->by_rule) {
		entry->decider = TRACE_BY_RULE;
	} else if (outcome->policy) {
		entry->decider = TRACE_BY_POLICY;
		trace_entry_name(entry, outcome->policy->name);
	} else {
		entry->decider = TRACE_BY_DEFAULT;
	}
}

/*
 * Record what became of a query. `sent` are the control messages of its reply, `sent_size` bytes.
 */
static void trace(struct listener *listener, const struct sockaddr_storage *from, const void *sent,
		  size_t sent_size, __be32 number, const char *url, size_t url_length,
		  const struct reply *reply)
{
	struct trace_log *log = listener->responder->trace_log;
	struct trace_entry entry = { 0 };
	struct trace_record *record = &entry.record;
	struct in6_addr source = query_source((const struct sockaddr *)from);

	record->time = clock_kernel_ns();
	record->source_port = port_of(from);
	record->request_number = number;
	record->counter = reply->counter;
	record->verdict =
		reply->counter == ICP_COUNT_ANSWERED ? reply->header.opcode : ICP_OP_INVALID;
	record->url_length = url_length;
	memcpy(record->source, &source, sizeof(record->source));
	memcpy(record->url, url,
	       url_length < sizeof(record->url) ? url_length : sizeof(record->url));
	trace_destination(listener, sent, sent_size, record);
	trace_decider(&reply->outcome, &entry);
	if (!trace_log_put(log, &entry))
		listener->responder->counters[ICP_COUNT_FAILED_TRACE]++;
}

/* Record a datagram, which need not be a query. */
static void trace_datagram(struct listener *listener, const struct sockaddr_storage *from,
			   const void *sent, size_t sent_size, const char *bytes, size_t size,
			   const struct reply *reply)
{
	const struct icp_header *header = (const struct icp_header *)bytes;
	const char *url = bytes + ICP_QUERY_HEADER_SIZE;
	bool has_url = size > ICP_QUERY_HEADER_SIZE + 1 && size <= ICP_MESSAGE_MAX &&
		       header->opcode == ICP_OP_QUERY;

	trace(listener, from, sent, sent_size, size >= ICP_HEADER_SIZE ? header->request_number : 0,
	      url, has_url ? strnlen(url, size - ICP_QUERY_HEADER_SIZE) : 0, reply);
}

/* --- replies */

static void count_unsent(struct responder *responder)
{
	responder->counters[ICP_COUNT_ANSWERED]--;
	responder->counters[ICP_COUNT_FAILED_SEND]++;
}

/* Send the reply to a query that was received at `time`. */
static void send_alone(struct listener *listener, struct msghdr *message, const struct reply *reply,
		       uint64_t time)
{
	struct iovec parts[2];
	ssize_t sent;

	set_reply_parts(message, parts, reply);
	do
		sent = sendmsg(listener->fd, message, 0);
	while (sent < 0 && errno == EINTR);
	message->msg_iov = NULL; /* was on the stack */
	if (sent < 0)
		count_unsent(listener->responder);
	else
		latency_count(&listener->responder->latency, time, clock_ns(CLOCK_REALTIME));
}

/* Send the reply to a query that was pending. */
static void reply_pending(void *context, const struct query *query,
			  const struct chain_decision *decision)
{
	struct pending *pending = context;
	struct responder *responder = pending->listener->responder;
	struct msghdr message = {
		.msg_name = &pending->source,
		.msg_namelen = pending->source_size,
		.msg_control = pending->sent_size ? pending->sent : NULL,
		.msg_controllen = pending->sent_size,
	};
	struct reply reply;

	if (responder_complete(responder, &pending->header, query, decision, &reply))
		send_alone(pending->listener, &message, &reply, pending->time);
	if (trace_log_enabled(responder->trace_log))
		trace(pending->listener, &pending->source, pending->sent, pending->sent_size,
		      pending->header.request_number, query->url, query->length, &reply);
	LIST_REMOVE(pending, link);
	free(pending);
}

/*
 * Store what the reply to a query needs. `message` is the reply except for its content, with at
 * most sizeof(pending->sent) bytes of control messages.
 */
static void add_pending(struct listener *listener, struct evaluation *evaluation,
			const void *header, const struct msghdr *message, uint64_t time)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (!pending) {
		evaluation_cancel(evaluation);
		listener->responder->counters[ICP_COUNT_FAILED_PENDING]++;
		return;
	}
	pending->listener = listener;
	pending->evaluation = evaluation;
	memcpy(&pending->header, header, sizeof(pending->header));
	memcpy(&pending->source, message->msg_name, message->msg_namelen);
	pending->source_size = message->msg_namelen;
	if (message->msg_controllen)
		memcpy(pending->sent, message->msg_control, message->msg_controllen);
	pending->sent_size = message->msg_controllen;
	pending->time = time;
	LIST_INSERT_HEAD(&listener->pending, pending, link);
	evaluation_on_done(evaluation, reply_pending, pending);
}

/* --- datagrams for another thread */

size_t listener_datagram_bytes(const struct listener_datagram *datagram)
{
	return sizeof(*datagram) + datagram->size;
}

static void hand_over(struct listener *listener, const struct slot *slot, size_t size,
		      const struct msghdr *message)
{
	struct listener_datagram *datagram = malloc(sizeof(*datagram) + size);

	if (datagram) {
		datagram->source = slot->source;
		datagram->source_size = message->msg_namelen;
		memcpy(datagram->sent, slot->sent, sizeof(datagram->sent));
		datagram->sent_size = message->msg_controllen;
		datagram->size = size;
		datagram->time = slot->time;
		memcpy(datagram->bytes, slot->bytes, size);
		if (listener->hand_over(listener->context, datagram))
			return; /* cppcheck-suppress memleak; it belongs to the other thread */
	}
	free(datagram);
	listener->responder->counters[ICP_COUNT_FAILED_PENDING]++;
}

void listener_reply_datagram(struct listener *listener, struct listener_datagram *datagram)
{
	struct responder *responder = listener->responder;
	const struct icp_header *header = (const struct icp_header *)datagram->bytes;
	struct msghdr message = {
		.msg_name = &datagram->source,
		.msg_namelen = datagram->source_size,
		.msg_control = datagram->sent_size ? datagram->sent : NULL,
		.msg_controllen = datagram->sent_size,
	};
	struct reply reply;

	if (responder_reply(responder, datagram->bytes, datagram->size,
			    (struct sockaddr *)&datagram->source, &reply))
		send_alone(listener, &message, &reply, datagram->time);
	if (reply.pending)
		add_pending(listener, reply.pending, header, &message, datagram->time);
	else if (trace_log_enabled(responder->trace_log))
		trace_datagram(listener, &datagram->source, datagram->sent, datagram->sent_size,
			       datagram->bytes, datagram->size, &reply);
	free(datagram);
}

/* --- batches */

static bool reply_slot(struct listener *listener, int i, struct msghdr *reply)
{
	struct responder *responder = listener->responder;
	struct slot *slot = &listener->slots[i];
	struct msghdr *query = &listener->in[i].msg_hdr;
	size_t size = listener->in[i].msg_len;
	enum delivery delivery;
	bool answered;

	if (query->msg_flags & MSG_TRUNC)
		size = ICP_MESSAGE_MAX + 1; /* truncated: length unknown */
	delivery = set_reply_source(query, reply, slot);
	if (delivery != DELIVERY_UNICAST && !listener->for_multicast)
		return false;
	if (delivery == DELIVERY_BROADCAST) {
		responder->counters[ICP_COUNT_SILENT_BROADCAST]++;
		return false;
	}
	reply->msg_name = query->msg_name;
	reply->msg_namelen = query->msg_namelen;
	answered = responder_reply(responder, slot->bytes, size, (struct sockaddr *)&slot->source,
				   &slot->reply);
	if (slot->reply.needs_main_thread)
		hand_over(listener, slot, size, reply);
	else if (slot->reply.pending)
		add_pending(listener, slot->reply.pending, slot->bytes, reply, slot->time);
	else if (trace_log_enabled(responder->trace_log))
		trace_datagram(listener, &slot->source, slot->sent, reply->msg_controllen,
			       slot->bytes, size, &slot->reply);
	if (!answered)
		return false;
	set_reply_parts(reply, slot->parts, &slot->reply);
	return true;
}

static void send_replies(struct listener *listener, int count)
{
	int sent = 0;
	uint64_t now;

	while (sent < count) {
		int more = sendmmsg(listener->fd, listener->out + sent, count - sent, 0);

		if (more < 0 && errno == EINTR)
			continue;
		if (more <= 0) { /* the first of these failed: skip it */
			count_unsent(listener->responder);
			listener->times[sent] = 0;
			more = 1;
		}
		sent += more;
	}
	now = count ? clock_ns(CLOCK_REALTIME) : 0;
	for (int i = 0; i < count; i++)
		latency_count(&listener->responder->latency, listener->times[i], now);
}

bool listener_receive(struct listener *listener)
{
	int received;

	for (int i = 0; i < BATCH; i++) {
		listener->in[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_storage);
		listener->in[i].msg_hdr.msg_controllen = sizeof(listener->slots[i].received);
	}
	received = recvmmsg(listener->fd, listener->in, BATCH, MSG_DONTWAIT, NULL);
	listener->receive_failed = received < 0 && errno != EAGAIN && errno != EINTR;
	listener->received = received < 0 ? 0 : received;
	return listener->received > 0 || listener->receive_failed;
}

bool listener_reply(struct listener *listener)
{
	int replies = 0;

	if (listener->receive_failed)
		listener->responder->counters[ICP_COUNT_FAILED_RECEIVE]++;
	for (int i = 0; i < listener->received; i++)
		if (reply_slot(listener, i, &listener->out[replies].msg_hdr))
			listener->times[replies++] = listener->slots[i].time;
	send_replies(listener, replies);
	return listener->received == BATCH;
}

static bool reply_batch(struct listener *listener)
{
	return listener_receive(listener) && listener_reply(listener);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	for (int i = 0; i < BATCHES_AT_ONCE && reply_batch(context); i++)
		;
}

void listener_use(struct listener *listener, struct responder *responder,
		  listener_handover *handover, void *context)
{
	listener->responder = responder;
	listener->hand_over = handover;
	listener->context = context;
}

int listener_fd(const struct listener *listener)
{
	return listener->fd;
}

int listener_start(struct listener *listener, struct event_base *base, struct responder *responder)
{
	listener_use(listener, responder, NULL, NULL);
	listener->event =
		event_new(base, listener->fd, EV_READ | EV_PERSIST, on_readable, listener);
	return listener->event ? event_add(listener->event, NULL) : -1;
}

void listener_drain(struct listener *listener)
{
	if (!listener->responder)
		return; /* the start has failed before it was used */
	/* Bounded: a flood must not keep the daemon from ending. */
	for (int i = 0; i < 1024 && reply_batch(listener); i++)
		;
}

void listener_close(struct listener *listener)
{
	struct pending *pending, *next;

	if (!listener)
		return;
	for (pending = LIST_FIRST(&listener->pending); pending; pending = next) {
		next = LIST_NEXT(pending, link);
		evaluation_cancel(pending->evaluation);
		listener->responder->counters[ICP_COUNT_FAILED_PENDING]++;
		free(pending);
	}
	event_drop(listener->event);
	if (listener->fd >= 0)
		close(listener->fd);
	free(listener);
}
