/*
 * test_free_port.c - the ports that servers of tests get (tests/support/free_port.h).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/free_port.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_FIRST = 32768 }; /* unless the machine was told otherwise */

static int listen_at(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(listen(descriptor, 1), 0);
    return descriptor;
}

static void test_free_port__lies_below_those_of_clients(void) {
    for (int i = 0; i < 100; i++) {
        int port = free_port();
        CU_ASSERT_TRUE_FATAL(port >= 1024 && port < CLIENTS_FIRST);
        (void)close(listen_at(port));
    }
}

static void test_free_port__is_another_one_each_time(void) {
    static bool s_had[FREE_PORT_FIRST + FREE_PORT_COUNT];
    for (int i = 0; i < 1000; i++) {
        int port = free_port();
        CU_ASSERT_TRUE_FATAL(port != 0);
        CU_ASSERT_FALSE_FATAL(s_had[port]);
        s_had[port] = true;
    }
}

/* As many as there are: the one that is taken would be among them. */
static void test_free_port__passes_over_those_that_are_taken(void) {
    int taken = free_port();
    int descriptor = listen_at(taken);
    for (int i = 0; i < FREE_PORT_COUNT; i++) {
        CU_ASSERT_NOT_EQUAL_FATAL(free_port(), taken);
    }
    (void)close(descriptor);
}

static const struct test_case k_cases[] = {
    {"a port lies below those of clients", test_free_port__lies_below_those_of_clients},
    {"a port is another one each time", test_free_port__is_another_one_each_time},
    {"ports that are taken are passed over", test_free_port__passes_over_those_that_are_taken},
};

TEST_SUITE_MAIN("free_port", k_cases)
