// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "xdp/device.h"
#include "xdp/attach.h"
#include "xdp/bpflog.h"
#include "xdp/namespace.h"
#include "xdp/pins.h"
#include "xdp/skeleton.h"
#include "lib/log.h"

/* --- preconditions: privileges, kernel version, device */

enum kernel_result kernel_check_available(struct error *error)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 18))) {
		error_set(error,
			  "kernel %s is too old: reading a query in XDP needs 5.18 "
			  "(bpf_xdp_load_bytes)",
			  name.release);
		return KERNEL_UNAVAILABLE;
	}
	if (geteuid() != 0) {
		error_set(error, "no privileges to load a BPF program; run it as root");
		return KERNEL_UNAVAILABLE;
	}
	return KERNEL_OK;
}

static enum kernel_result check_device(const char *interface, unsigned int *ifindex,
				       struct error *error)
{
	*ifindex = if_nametoindex(interface);
	if (*ifindex == 0) {
		error_set(error,
			  "interface %s: no such device in this network namespace; `ip link` lists "
			  "the devices",
			  interface);
		return KERNEL_NO_DEVICE;
	}
	if (!device_is_ethernet(interface)) {
		error_set(error,
			  "interface %s: not Ethernet; attach to the device below it, or let the "
			  "daemon reply alone",
			  interface);
		return KERNEL_NO_MODE;
	}
	return KERNEL_OK;
}

/* --- maps of a previous load */

/* The pins of a previous load, if any. */
struct former {
	bool exists;
	bool fits;	  /* same ABI version and large enough */
	uint32_t abi;	  /* version */
	uint32_t control; /* map id */
	struct kernel_sizes sizes;
	int rules; /* fd, or -1 */
	uint32_t ifindex[RECORDED_MAX];
	size_t interfaces;
};

static void former_read(struct former *former, const struct kernel_load *load)
{
	struct map_abi version = { 0 };
	uint32_t key = 0;
	int fd = pin_open(load->pin_dir, PIN_ABI);

	*former = (struct former){ .rules = -1, .exists = !pin_dir_is_empty(load->pin_dir) };
	if (!former->exists)
		return;
	if (fd >= 0) {
		bpf_map_lookup_elem(fd, &key, &version);
		close(fd);
	}
	former->abi = version.version;
	fd = pin_open_any(load->pin_dir, PIN_CONTROL);
	if (fd >= 0) {
		former->control = map_id(fd);
		close(fd);
	}
	fd = pin_open(load->pin_dir, PIN_INTERFACES);
	if (fd >= 0) {
		former->interfaces = recorded_interfaces(fd, former->ifindex);
		close(fd);
	}
	former->rules = pin_open_any(load->pin_dir, PIN_RULES);
	if (former->abi != ICP_MAP_ABI)
		return;
	former->sizes = pin_sizes(load->pin_dir);
	former->fits = former->sizes.rules >= load->sizes.rules && former->sizes.prefixes &&
		       former->sizes.prefixes >= load->sizes.prefixes_needed &&
		       former->sizes.sources >= load->sizes.sources_needed &&
		       former->sizes.recents >= load->sizes.recents_needed &&
		       former->sizes.verdicts == load->sizes.verdicts;
}

/* Write why the existing maps cannot be reused. */
static void former_describe(const struct former *former, const struct kernel_load *load,
			    char text[192])
{
	if (!former->abi)
		snprintf(text, 192, "are incomplete, or were not made by the loader");
	else if (former->abi != ICP_MAP_ABI)
		snprintf(text, 192, "are of ABI version %u (this is %d)", former->abi, ICP_MAP_ABI);
	else
		snprintf(text, 192,
			 "hold %u rules, %u prefixes, %u sources, %u recent keys, %u verdicts (%u, "
			 "%u, %u, %u, %u are required)",
			 former->sizes.rules, former->sizes.prefixes, former->sizes.sources,
			 former->sizes.recents, former->sizes.verdicts, load->sizes.rules,
			 load->sizes.prefixes, load->sizes.sources, load->sizes.recents,
			 load->sizes.verdicts);
}

static void copy_rules(struct former *former, const struct pin_dir *pin_dir)
{
	struct pinned_rules *source = pinned_rules_adopt(former->rules);
	struct pinned_rules *target = NULL;
	struct error error;

	error_set(&error, "out of memory");
	if (!source || pinned_rules_at(pin_dir, &target, &error) ||
	    pinned_rules_copy(source, target, &error))
		log_write(LOG_WARNING, "rules are lost: %s", error.text);
	pinned_rules_close(target);
	if (source) {
		pinned_rules_close(source);
		former->rules = -1;
	}
}

/* --- loading */

/*
 * Pin the maps of a loaded skeleton that are not pinned yet, and give all pins to the daemon's
 * user.
 */
static enum kernel_result pin_maps(const struct xdp_icp *skeleton, const struct kernel_load *load,
				   struct error *error)
{
	for (int pin = 0; pin < PIN_MAX; pin++) {
		int map = skeleton_map(skeleton, pin);
		int err = pin_create(load->pin_dir, pin, map);

		if (!err)
			err = pin_chown(load->pin_dir, pin, map, load->owner, load->group);
		if (!err)
			continue;
		error_set(error, "%s/%s: cannot be pinned for uid %u: %s", load->pin_dir->path,
			  pin_names[pin], load->owner,
			  err == -ELOOP ? "another process has replaced the pin" : strerror(-err));
		return KERNEL_FAILED;
	}
	return KERNEL_OK;
}

static enum kernel_result load_failed(int err, const struct kernel_load *load, struct error *error)
{
	if (err == -EPERM) {
		error_set(error,
			  "the kernel refuses to load a BPF program (%s%s%s): this needs root "
			  "with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
			  strerror(EPERM), kernel_cause[0] ? ": " : "", kernel_cause);
		return KERNEL_UNAVAILABLE;
	}
	error_set(error,
		  "the XDP program cannot be loaded with %u rules and %u prefixes: %s%s%s; "
		  "-v shows the kernel's messages",
		  load->sizes.rules, load->sizes.prefixes, strerror(-err),
		  kernel_cause[0] ? ": " : "", kernel_cause);
	return KERNEL_FAILED;
}

/* Mark chains that were never written as disabled, as kernel_disable_chain() does. */
static void close_chains(int chain)
{
	struct map_chain closed = { .first_gate = RANK_NONE };

	for (uint32_t slot = 0; slot < 2; slot++) {
		struct map_chain old = { 0 };

		if (bpf_map_lookup_elem(chain, &slot, &old) == 0 && old.generation == 0)
			bpf_map_update_elem(chain, &slot, &closed, BPF_ANY);
	}
}

/*
 * Create or reuse the maps in `load->pin_dir` and attach. A program that uses the previous control
 * map is ours to replace.
 */
static enum kernel_result load_and_attach(const struct kernel_load *load, unsigned int ifindex,
					  struct former *former, bool new_maps, struct error *error)
{
	bool is_ours_alone = new_maps || !former->exists || load->pin_dir->locked;
	uint32_t controls[2] = { 0, former->control };
	struct map_abi version = { ICP_MAP_ABI };
	enum kernel_result result;
	struct xdp_icp *skeleton;
	uint32_t key = 0;
	int err;

	/* A first instance creates the maps; its code is compared with what is attached. */
	skeleton = skeleton_open(load->pin_dir, &load->sizes, true, error);
	if (!skeleton)
		return KERNEL_FAILED;
	err = xdp_icp__load(skeleton);
	if (err) {
		result = load_failed(err, load, error);
		goto out;
	}
	bpf_map_update_elem(bpf_map__fd(skeleton->maps.abi), &key, &version, BPF_ANY);
	/* Not beside a daemon, which may activate the half meanwhile. */
	if (is_ours_alone)
		close_chains(bpf_map__fd(skeleton->maps.chain));
	result = pin_maps(skeleton, load, error);
	if (result != KERNEL_OK)
		goto out;
	if (new_maps && former->rules >= 0)
		copy_rules(former, load->pin_dir);
	controls[0] = map_id(bpf_map__fd(skeleton->maps.control));
	result = kernel_attach(load, ifindex, bpf_program__fd(skeleton->progs.xdp_icp),
			       bpf_map__fd(skeleton->maps.interfaces), controls, error);
	if (result == KERNEL_OK && is_ours_alone)
		kernel_note_namespace(bpf_map__fd(skeleton->maps.control));
out:
	xdp_icp__destroy(skeleton);
	return result;
}

static enum kernel_result load_in_turn(const struct kernel_load *asked, struct error *error);

/* Replace the program on the other interfaces, where it still uses the old maps. */
static void load_elsewhere(const struct kernel_load *asked, unsigned int done,
			   const struct former *former, struct error *error)
{
	struct kernel_load load = *asked;

	for (size_t i = 0; i < former->interfaces; i++) {
		char name[IF_NAMESIZE];

		if (former->ifindex[i] == done || !if_indextoname(former->ifindex[i], name))
			continue;
		load.interface = name;
		if (kernel_detach(former->ifindex[i], former->control, &load.mode) &&
		    load_in_turn(&load, error) != KERNEL_OK)
			log_write(LOG_ERR, "%s", error->text);
	}
}

/*
 * Remove what an interrupted load that was replacing maps has left. Its program is attached
 * already, or still, and nothing else leads to it.
 */
static void remove_interrupted(const struct pin_dir *pin_dir, unsigned int ifindex)
{
	struct error ignored;
	struct pin_dir *dir = pin_dir_sibling(pin_dir, false, &ignored);
	uint32_t recorded[RECORDED_MAX];
	int control, interfaces;
	enum config_mode mode;
	size_t count;

	/* A daemon may have its own pins there. */
	if (!dir || pin_dir_lock(dir, &ignored)) {
		pin_dir_close(dir);
		return;
	}
	control = pin_open_any(dir, PIN_CONTROL);
	interfaces = pin_open(dir, PIN_INTERFACES);
	count = interfaces < 0 ? 0 : recorded_interfaces(interfaces, recorded);
	if (control >= 0) {
		kernel_detach(ifindex, map_id(control), &mode);
		for (size_t i = 0; i < count; i++)
			kernel_detach(recorded[i], map_id(control), &mode);
		close(control);
	}
	if (interfaces >= 0)
		close(interfaces);
	pins_remove(dir);
	pin_dir_remove(dir);
	pin_dir_close(dir);
}

/* Create new maps beside unsuitable ones, which stay until the load has succeeded. */
static enum kernel_result replace(const struct kernel_load *asked, unsigned int ifindex,
				  struct former *former, struct error *error)
{
	struct kernel_load load = *asked;
	enum kernel_result result;
	char text[192];

	former_describe(former, &load, text);
	if (!load.pin_dir->locked) {
		error_set(error, "%s: the maps there %s, and a daemon uses them; stop it first",
			  load.pin_dir->path, text);
		return KERNEL_OCCUPIED;
	}
	log_write(LOG_NOTICE, "%s: replacing the maps there, which %s", load.pin_dir->path, text);
	load.pin_dir = pin_dir_sibling(asked->pin_dir, true, error);
	if (!load.pin_dir)
		return KERNEL_FAILED;
	result = load_and_attach(&load, ifindex, former, true, error);
	if (result == KERNEL_OK && pins_move(load.pin_dir, asked->pin_dir, error)) {
		result = KERNEL_FAILED; /* the next load removes what is left */
	} else if (result == KERNEL_OK) {
		load_elsewhere(asked, ifindex, former, error);
	} else {
		pins_remove(load.pin_dir);
		pin_dir_remove(load.pin_dir);
	}
	pin_dir_close(load.pin_dir);
	return result;
}

static enum kernel_result load_in_turn(const struct kernel_load *asked, struct error *error)
{
	struct kernel_load load = *asked;
	enum kernel_result result;
	struct former former;
	unsigned int ifindex;

	result = kernel_check_namespace(load.pin_dir, error);
	if (result == KERNEL_OK)
		result = check_device(load.interface, &ifindex, error);
	if (result != KERNEL_OK)
		return result;

	if (load.pin_dir->locked)
		remove_interrupted(load.pin_dir, ifindex);
	former_read(&former, &load);
	if (former.exists && !former.fits) {
		result = replace(&load, ifindex, &former, error);
	} else {
		if (former.exists)
			load.sizes = former.sizes;
		result = load_and_attach(&load, ifindex, &former, false, error);
		/* Without the turn, they may be another process's that found none either. */
		if (result != KERNEL_OK && !former.exists && load.pin_dir->turn >= 0)
			pins_remove(load.pin_dir);
	}
	if (former.rules >= 0)
		close(former.rules);
	return result;
}

enum kernel_result kernel_load(const struct kernel_load *load, struct error *error)
{
	bool has_turn = load->pin_dir->turn >= 0;
	enum kernel_result result;

	bpf_log_init();
	result = kernel_check_available(error);
	if (result != KERNEL_OK)
		return result;
	pin_dir_take_turn(load->pin_dir);
	/* The process that had the turn before may have removed what it did not complete. */
	if (!load->pin_dir->locked && pin_dir_renew(load->pin_dir, load->owner, error))
		result = KERNEL_FAILED;
	else
		result = load_in_turn(load, error);
	if (!has_turn)
		pin_dir_end_turn(load->pin_dir);
	return result;
}
