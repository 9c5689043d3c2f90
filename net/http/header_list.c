/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/header_list.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>
#include <strings.h>

static const char k_component[] = "net/http";
static const char k_token_marks[] = "!#$%&'*+-.^_`|~"; /* beside letters and digits: RFC 9110, 5.6.2 */

enum { OWN_HEADERS = 2 };

static bool is_token(struct ael_bytes name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char byte = name.data[i];
        bool plain =
            (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        if (!plain && (byte == '\0' || strchr(k_token_marks, byte) == NULL)) {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_value(struct ael_bytes value) {
    for (size_t i = 0; i < value.len; i++) {
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static enum ael_status append(struct ael_buf *text, const char *bytes, size_t len) {
    return ael_buf_append(text, (struct ael_bytes){(const uint8_t *)bytes, len});
}

/* "name: value", or "name;", which is how libcurl is told of an empty value. */
static enum ael_status append_header(struct ael_buf *text, const struct ael_http_header *header) {
    AEL_TRY(ael_buf_append(text, header->name));
    AEL_TRY(header->value.len == 0 ? append(text, ";", 1) : append(text, ": ", 2));
    AEL_TRY(ael_buf_append(text, header->value));
    return append(text, "", 1);
}

/* The lines one behind the other, each with its NUL. */
static enum ael_status write_lines(struct ael_buf *text, const struct ael_http_request *request) {
    bool has_type = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct ael_http_header *header = &request->headers[i];
        static const char k_type[] = "content-type";
        has_type = has_type || (header->name.len == sizeof k_type - 1 &&
                                strncasecmp((const char *)header->name.data, k_type, sizeof k_type - 1) == 0);
        AEL_TRY(append_header(text, header));
    }
    AEL_TRY(append(text, "Expect:", sizeof "Expect:"));
    return has_type ? AEL_OK : append(text, "Content-Type:", sizeof "Content-Type:");
}

static void link_lines(struct ael_http_header_list *list) {
    char *line = (char *)list->text.data;
    const char *end = line + list->text.len;
    for (struct curl_slist *node = list->first; line < end; node++) {
        node->data = line;
        line += strlen(line) + 1;
        node->next = line < end ? node + 1 : NULL;
    }
}

/* see net/http/header_list.h */
enum ael_status ael_http_header_list_init(
    struct ael_http_header_list *list, const struct ael_http_request *request, struct ael_error *err) {
    *list = (struct ael_http_header_list){.text = AEL_BUF_INIT};
    for (size_t i = 0; i < request->header_count; i++) {
        if (!is_token(request->headers[i].name) || !is_value(request->headers[i].value)) {
            return ael_error_set(
                err, AEL_E_ARGUMENT, 0, k_component,
                "header %zu has a name or a value that HTTP does not allow", i);
        }
    }
    enum ael_status status = write_lines(&list->text, request);
    if (status == AEL_OK) {
        list->first = ael_alloc_array(request->header_count + OWN_HEADERS, sizeof *list->first);
    }
    if (list->first == NULL) {
        ael_http_header_list_clear(list);
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a request");
    }
    link_lines(list);
    return AEL_OK;
}

/* see net/http/header_list.h */
void ael_http_header_list_clear(struct ael_http_header_list *list) {
    ael_free(list->first);
    list->first = NULL;
    ael_buf_clear(&list->text);
}
