/*
 * scenarios_secrets.c - secrets of the host's own: sealed, open, read, idle, closed, too large for a slot.
 *
 * Slots that hold bytes are counted in every dump against the statistics.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE_BYTES = 9000 };

/* The secret, whose source the library wipes; len may be more than the 32 bytes asked for. */
static struct ael_secret *user_secret(struct world *world, size_t len) {
    struct ael_secret *secret = NULL;
    uint8_t *source = calloc(1, len);
    if (EXPECT(source != NULL && world_ask(world, WIRE_KEY_USER, source))) {
        (void)EXPECT_STATUS(ael_secret_new(source, len, &secret), AEL_OK);
    }
    free(source);
    return secret;
}

static bool read_through(struct ael_secret *secret) {
    struct ael_secret_reader *reader = NULL;
    uint8_t part[7]; /* of which no half is ever together */
    size_t n = 0;
    enum ael_status status = ael_secret_reader_new(secret, &reader);
    while (status == AEL_OK) {
        status = ael_secret_reader_read(reader, part, sizeof part, &n);
        explicit_bzero(part, sizeof part);
    }
    ael_secret_reader_free(reader);
    return EXPECT_STATUS(status, AEL_EOF);
}

static bool life_of(struct world *world, size_t len) {
    struct ael_secret *secret = user_secret(world, len);
    struct ael_secret_access access;
    bool good = secret != NULL && world_stand_still(world, "a secret that was made", 0) &&
                EXPECT_STATUS(ael_secret_access_begin(secret, &access), AEL_OK) &&
                world_stand_still(world, "a secret that is open", 0) &&
                EXPECT_STATUS(ael_secret_access_end(&access), AEL_OK) &&
                world_stand_still(world, "a secret that was open", 0) && read_through(secret) &&
                world_stand_still(world, "a secret that was read", 0) &&
                EXPECT_STATUS(ael_secret_close(secret), AEL_OK) &&
                world_stand_still(world, "a secret that was closed", 0);
    ael_secret_release(secret);
    return good;
}

static bool life(struct world *world) {
    return world_configure(world) && life_of(world, 32);
}

static bool large_life(struct world *world) {
    return world_configure(world) && life_of(world, LARGE_BYTES);
}

/* More of them than slots, so each opening takes a slot from another. */
static bool many(struct world *world) {
    enum { SECRETS = 100 };
    struct ael_secret *secrets[SECRETS] = {NULL};
    bool good = world_configure(world);
    for (size_t i = 0; good && i < SECRETS; i++) {
        struct ael_secret_access access;
        secrets[i] = user_secret(world, 32 + i % 5);
        good = secrets[i] != NULL && EXPECT_STATUS(ael_secret_access_begin(secrets[i], &access), AEL_OK) &&
               EXPECT_STATUS(ael_secret_access_end(&access), AEL_OK);
    }
    good = good && world_stand_still(world, "with more secrets than slots", 0);
    for (size_t i = 0; i < SECRETS; i++) {
        ael_secret_release(secrets[i]);
    }
    return good && world_stand_still(world, "after their release", 0);
}

#define OF(name_, run_, level_, backing_, place_)                                                            \
    {                                                                                                        \
        .name = name_, .run = run_, .level = AEL_PROTECTION_##level_, .backing = AEL_BACKING_##backing_,     \
        .place = PLANT_##place_, .own_factory = true                                                         \
    }

static const struct scenario k_list[] = {
    OF("secret/strict", life, STRICT, MEMFD_SECRET, HEAP),
    OF("secret/strict_anonymous", life, STRICT, ANONYMOUS, STACK),
    OF("secret/leased", life, LEASED, MEMFD_SECRET, FREED),
    OF("secret/leased_anonymous", life, LEASED, ANONYMOUS, CLOSED),
    OF("secret/large", large_life, STRICT, MEMFD_SECRET, HEAP),
    OF("secret/large_anonymous", large_life, STRICT, ANONYMOUS, MAPPED),
    OF("secret/many", many, STRICT, ANONYMOUS, FREED),
};

const struct scenario_table k_scenarios_secrets = {k_list, sizeof k_list / sizeof k_list[0]};
