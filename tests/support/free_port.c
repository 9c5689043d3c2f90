/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP = 7919 }; /* has no divisor in common with FREE_PORT_COUNT: so many steps meet each port once */

static bool is_free(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool free = descriptor >= 0 && bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return free;
}

/* Where a process begins: at random, so that programs that run at once rarely meet, and elsewhere in a child. */
static unsigned begin_at(void) {
    unsigned random = 0;
    const void *bytes = (const void *)getauxval(AT_RANDOM); /* 16 of them, of this program's start */
    if (bytes != NULL) {
        memcpy(&random, bytes, sizeof random);
    }
    return (random ^ ((unsigned)getpid() * 2654435761u)) % FREE_PORT_COUNT;
}

/* see tests/support/free_port.h */
int free_port(void) {
    static atomic_uint s_count;
    unsigned first = begin_at();
    for (int i = 0; i < FREE_PORT_COUNT; i++) {
        unsigned count = atomic_fetch_add_explicit(&s_count, 1, memory_order_relaxed) % FREE_PORT_COUNT;
        int port = FREE_PORT_FIRST + (int)((first + count * STEP) % FREE_PORT_COUNT);
        if (is_free(port)) {
            return port;
        }
    }
    return 0;
}
