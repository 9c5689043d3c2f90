/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/watcher.h"

#include "tests/residency/cores.h"
#include "tests/residency/inside.h"
#include "tools/residency/key_chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HITS_PRINTED = 8, MEASURED_PRINTED = 2, ENVIRON_MAX = 512 };

struct watch {
    const struct scenario *scenario;
    struct watch_totals *totals;
    char folder[64];
    pid_t child;
    int to_child;
    int from_child;
    uint8_t keys[WIRE_KEYS][RESIDENCY_KEY_BYTES];
    struct residency_chain chain;
    struct inside inside;
    struct residency_needles needles;
    bool dumped_core;
    int state; /* of the child, once it is waited for */
    /* of one look */
    unsigned look;
    size_t outside;
    size_t planted;
    size_t environ_hits;
};

/* -- the child -- */

static bool write_master_key(struct watch *watch) {
    char path[128];
    snprintf(path, sizeof path, "%s/master.key", watch->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good =
        fd >= 0 && write(fd, watch->keys[WIRE_KEY_MASTER], RESIDENCY_KEY_BYTES) == RESIDENCY_KEY_BYTES;
    return fd >= 0 && close(fd) == 0 && good;
}

static void write_hex(const uint8_t *key, char *out) {
    for (size_t i = 0; i < RESIDENCY_KEY_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", key[i]);
    }
}

/* A program started anew has nothing of ours in its memory. */
static void become_child(const struct watch *watch, int in, int out) {
    char numbers[2][16];
    char key[128] = "AEL_RESIDENCY_KEY=";
    char *environment[ENVIRON_MAX] = {NULL};
    size_t count = 0;
    snprintf(numbers[0], sizeof numbers[0], "%d", in);
    snprintf(numbers[1], sizeof numbers[1], "%d", out);
    write_hex(watch->keys[WIRE_KEY_MASTER], key + strlen(key));
    if (watch->scenario->key_in_environ) {
        environment[count++] = key;
    }
    for (char **each = environ; *each != NULL && count + 1 < ENVIRON_MAX; each++) {
        environment[count++] = *each;
    }
    (void)fcntl(in, F_SETFD, 0);
    (void)fcntl(out, F_SETFD, 0);
    execle(
        "/proc/self/exe", "residency_matrix", "--child", watch->scenario->name, watch->folder, numbers[0],
        numbers[1], (char *)NULL, environment);
    _exit(EXIT_FAILURE);
}

static bool start(struct watch *watch) {
    int down[2];
    int up[2];
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
        return false;
    }
    fflush(NULL);
    watch->child = fork();
    if (watch->child == 0) {
        become_child(watch, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    watch->to_child = down[1];
    watch->from_child = up[0];
    return watch->child > 0;
}

static void tidy(const struct watch *watch) {
    DIR *folder = opendir(watch->folder);
    for (struct dirent *entry = NULL; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(watch->folder);
}

/* -- a look -- */

static bool gather_needles(struct watch *watch) {
    residency_needles_clear(&watch->needles);
    size_t sealed = residency_chain_open(&watch->chain, watch->keys[WIRE_KEY_MASTER]);
    if (sealed > 0) {
        printf("\n    %zu keys that were told cannot be opened", sealed);
    }
    return sealed == 0 && residency_add_key(&watch->needles, "plant", watch->keys[WIRE_KEY_PLANT]) &&
           residency_add_key(&watch->needles, "master", watch->keys[WIRE_KEY_MASTER]) &&
           residency_add_key(&watch->needles, "user", watch->keys[WIRE_KEY_USER]) &&
           residency_chain_add_keys(&watch->chain, &watch->needles) &&
           inside_add_secrets(&watch->inside, &watch->needles);
}

static void print_hit(const struct watch *watch, const struct residency_hit *hit) {
    const struct residency_mapping *mapping = hit->mapping;
    printf(
        "\n    %s: %s %u, %s, at %#" PRIx64 " of %" PRIx64 "-%" PRIx64 " %s %s",
        (watch->look & WIRE_LOOK_MEASURE) != 0 ? "measured" : "found",
        watch->needles.labels[hit->needle->secret], (unsigned)hit->needle->secret,
        residency_form_name((enum residency_form)hit->needle->form), hit->address, mapping->start,
        mapping->end, mapping->flags, mapping->name);
}

static void take_hit(void *context, const struct residency_hit *hit) {
    struct watch *watch = context;
    if (hit->needle->secret == 0) {
        watch->planted++;
    } else if (hit->place == RESIDENCY_ENVIRON) {
        watch->environ_hits++;
    } else if (
        inside_holds(&watch->inside, hit->address) ||
        ((watch->look & WIRE_LOOK_NO_DUMP) != 0 && hit->place == RESIDENCY_PROTECTED)) {
        watch->totals->inside++;
    } else if (
        watch->outside++ < ((watch->look & WIRE_LOOK_MEASURE) != 0 ? MEASURED_PRINTED : HITS_PRINTED)) {
        print_hit(watch, hit);
    }
}

static bool judge(struct watch *watch) {
    struct watch_totals *totals = watch->totals;
    bool measured = (watch->look & WIRE_LOOK_MEASURE) != 0;
    bool good = true;
    totals->outside += measured ? 0 : watch->outside;
    totals->measured += measured ? watch->outside : 0;
    totals->planted += watch->planted;
    totals->environ_hits += watch->environ_hits;
    if ((watch->look & WIRE_LOOK_PLANT) != 0 && watch->planted == 0) {
        printf("\n    the planted copy was missed");
        good = false;
    }
    if (((watch->look & WIRE_LOOK_ENVIRON) != 0) != (watch->environ_hits > 0)) {
        printf("\n    %zu copies in the environment", watch->environ_hits);
        good = false;
    }
    return good && (measured || watch->outside == 0);
}

static void begin_look(struct watch *watch, unsigned look) {
    watch->look = look;
    watch->outside = watch->planted = watch->environ_hits = 0;
    watch->totals->looks++;
}

static bool scan(struct watch *watch, const struct wire_message *message, struct residency_result *result) {
    char path[128];
    if ((message->number & WIRE_LOOK_GCORE) == 0) {
        return residency_scan_process(message->pid, &watch->needles, take_hit, watch, result);
    }
    return cores_by_debugger(message->pid, watch->folder, path) &&
           residency_scan_core(path, &watch->needles, take_hit, watch, result);
}

static bool look(struct watch *watch, const struct wire_message *message) {
    struct residency_result result;
    bool dumped = (message->number & WIRE_LOOK_NO_DUMP) == 0;
    if (!dumped) {
        inside_drop(&watch->inside);
    }
    begin_look(watch, message->number);
    bool good = gather_needles(watch) && (!dumped || inside_check(&watch->inside, &watch->needles));
    if (!good || !scan(watch, message, &result)) {
        printf("\n    %s: cannot be looked at: %s", message->text, strerror(errno));
        return false;
    }
    watch->totals->secrets = watch->needles.secrets;
    watch->totals->bytes_scanned += result.bytes_scanned;
    for (size_t i = 0; i < watch->inside.count; i++) {
        watch->totals->bytes_inside += watch->inside.pages[i].len;
    }
    good = judge(watch);
    if (!good) {
        printf("\n    that was: %s", message->text);
    }
    return write(watch->to_child, "", 1) == 1 && good;
}

/* The child is dead afterwards. What the kernel left out of the dump is not there to be found. */
static bool look_at_core(struct watch *watch, const struct wire_message *message) {
    char path[128];
    struct residency_result result;
    watch->dumped_core = true;
    begin_look(watch, WIRE_LOOK_PLANT);
    if (!gather_needles(watch) || !inside_check(&watch->inside, &watch->needles) ||
        waitpid(watch->child, &watch->state, 0) != watch->child) {
        return false;
    }
    if (!WIFSIGNALED(watch->state) || !cores_by_kernel(watch->folder, message->pid, path)) {
        printf("\n    there is no core dump of the kernel's in the child's folder");
        return false;
    }
    size_t inside = watch->totals->inside;
    bool good = residency_scan_core(path, &watch->needles, take_hit, watch, &result) && judge(watch);
    watch->totals->secrets = watch->needles.secrets;
    watch->totals->bytes_scanned += result.bytes_scanned;
    if (watch->totals->inside > inside) {
        printf("\n    protected pages are in the kernel's dump");
    }
    return good && watch->totals->inside == inside;
}

/* -- what the child tells -- */

static struct ael_bytes bytes_of(const void *data, size_t len) {
    return (struct ael_bytes){data, len};
}

static bool take_counts(struct watch *watch, const struct wire_message *message, const uint8_t *payload) {
    if (message->len != sizeof watch->inside.counts) {
        return false;
    }
    memcpy(&watch->inside.counts, payload, sizeof watch->inside.counts);
    return true;
}

/* Takes over the payload. */
static bool take(struct watch *watch, const struct wire_message *message, uint8_t *payload) {
    bool good = false;
    if (message->type == WIRE_PAGES) {
        return inside_take(&watch->inside, message, payload);
    }
    if (message->type == WIRE_ROW) {
        good = residency_chain_add_row(
            &watch->chain, bytes_of(message->text, strlen(message->text)), bytes_of(payload, message->len));
    } else if (message->type == WIRE_RECORD) {
        good = residency_chain_add_record(&watch->chain, bytes_of(payload, message->len));
    } else if (message->type == WIRE_GIVE) {
        good =
            message->number < WIRE_KEYS &&
            write(watch->to_child, watch->keys[message->number], RESIDENCY_KEY_BYTES) == RESIDENCY_KEY_BYTES;
    } else if (message->type == WIRE_COUNTS) {
        good = take_counts(watch, message, payload);
    } else if (message->type == WIRE_LOOK) {
        good = look(watch, message);
    } else if (message->type == WIRE_DUMPING) {
        good = look_at_core(watch, message);
    }
    free(payload);
    return good;
}

static bool listen_to_child(struct watch *watch) {
    struct wire_message message;
    bool good = true;
    while (good && wire_read(watch->from_child, &message, sizeof message)) {
        uint8_t *payload = malloc(message.len + 1);
        good = payload != NULL && wire_read(watch->from_child, payload, message.len) &&
               take(watch, &message, payload);
        if (!good) {
            printf("\n    at message %u of the child", message.type);
        }
    }
    return good;
}

static bool ended_well(struct watch *watch) {
    if (watch->dumped_core) {
        return true;
    }
    if (waitpid(watch->child, &watch->state, 0) != watch->child || !WIFEXITED(watch->state) ||
        WEXITSTATUS(watch->state) != EXIT_SUCCESS) {
        printf("\n    the child ended with %#x", (unsigned)watch->state);
        return false;
    }
    return true;
}

static void clear(struct watch *watch) {
    inside_clear(&watch->inside);
    residency_needles_clear(&watch->needles);
    residency_chain_clear(&watch->chain);
    explicit_bzero(watch->keys, sizeof watch->keys);
    tidy(watch);
}

/* see tests/residency/watcher.h */
bool watch_scenario(const struct scenario *scenario, struct watch_totals *totals) {
    static struct watch watch;
    watch = (struct watch){.scenario = scenario, .totals = totals, .folder = "/tmp/ael-residency-XXXXXX"};
    *totals = (struct watch_totals){.looks = 0};
    if (mkdtemp(watch.folder) == NULL || getrandom(watch.keys, sizeof watch.keys, 0) != sizeof watch.keys) {
        return false;
    }
    bool good = write_master_key(&watch) && start(&watch);
    if (good) {
        good = listen_to_child(&watch);
        close(watch.to_child);
        close(watch.from_child);
        good = ended_well(&watch) && good;
    }
    clear(&watch);
    if (totals->looks == 0) {
        printf("\n    nothing was looked at");
    }
    return good && totals->looks > 0;
}
