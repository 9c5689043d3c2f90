/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/loopback.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address_of(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* see tests/support/loopback.h */
int loopback_listen(int backlog, int *port) {
    struct sockaddr_in address = address_of(0);
    socklen_t len = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, len) != 0 ||
        listen(descriptor, backlog) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&address, &len) != 0) {
        (void)close(descriptor);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return descriptor;
}

/* see tests/support/loopback.h */
int loopback_connect(int port) {
    struct sockaddr_in address = address_of(port);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(descriptor);
        return -1;
    }
    return descriptor;
}

/* see tests/support/loopback.h */
bool loopback_send(int descriptor, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(descriptor, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}
