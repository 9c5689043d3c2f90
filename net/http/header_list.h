/*
 * net/http/header_list.h - the headers of a request in the form that libcurl takes, in memory that is wiped.
 * Layer: net.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_HEADER_LIST_H
#define AEL_NET_HTTP_HEADER_LIST_H

#include "net/http/http.h"

#include <curl/curl.h>

struct ael_http_header_list {
    struct curl_slist *first; /* an array, linked */
    struct ael_buf text;
};

/**
 * Makes the list, with what libcurl would add by itself taken out (Expect; a Content-Type that nobody gave).
 *
 * @return AEL_OK; AEL_E_ARGUMENT (a name that is no token, a value with a control character);
 *         AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_http_header_list_init(
    struct ael_http_header_list *list, const struct ael_http_request *request, struct ael_error *err);

/** Wipes and releases; a zeroed or cleared one is accepted. */
void ael_http_header_list_clear(struct ael_http_header_list *list);

#endif /* AEL_NET_HTTP_HEADER_LIST_H */
