/* Marks mail that was sent in bulk, reports bulk mail that nobody can unsubscribe from (RFC 2369), holds that of some lists.
 *
 * Nothing is freed: each message gets a fresh copy of the configured filter, and the host drops it whole. */
#define _GNU_SOURCE /* strcasestr */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail_filter.h"
#include "settings.h"

#define LISTS_MAX 64

typedef mail_filter_string_t string;
typedef popgate_filter_mail_borrow_message_t message;
typedef exports_popgate_filter_filter_verdict_t verdict;
typedef exports_popgate_filter_filter_failure_t failure;

/* What `configure` made of the settings. */
static double points = 1;
static const char *held[LISTS_MAX];
static size_t held_count;

static string text(const char *chars) {
    string string;
    mail_filter_string_dup(&string, chars);
    return string;
}

/* The decoded value of a header field, NULL if there is none. A NUL ends it early, which no list needs. */
static char *header(message message, const char *name) {
    string wanted = text(name), value;
    if (!popgate_filter_mail_method_message_header(message, &wanted, &value))
        return NULL;
    char *chars = malloc(value.len + 1);
    if (!chars)
        abort();
    memcpy(chars, value.ptr, value.len);
    chars[value.len] = 0;
    return chars;
}

/* Fills the error that the operator reads. */
static bool refuse(string *error, const char *key, const char *fault) {
    char line[256];
    snprintf(line, sizeof line, key ? "`%s`: %s" : "%s%s", key ? key : "", fault);
    *error = text(line);
    return false;
}

bool exports_popgate_filter_filter_configure(string *settings, string *error) {
    struct reader reader = {(const char *)settings->ptr, (const char *)settings->ptr + settings->len, NULL};
    held_count = 0;
    for (bool first = true; next_member(&reader, '{', '}', first); first = false) {
        const char *key = read_key(&reader);
        if (strcmp(key, "points") == 0) {
            points = read_number(&reader);
        } else if (strcmp(key, "hold") == 0) {
            for (bool first = true; next_member(&reader, '[', ']', first); first = false) {
                if (held_count == LISTS_MAX)
                    return refuse(error, key, "there are more than 64 lists");
                held[held_count++] = read_text(&reader);
            }
        } else if (!reader.fault) {
            char fault[128];
            snprintf(fault, sizeof fault, "unknown key `%.64s`; there are `hold` and `points`", key);
            return refuse(error, NULL, fault);
        }
        if (reader.fault)
            return refuse(error, key, reader.fault);
    }
    return at_end(&reader) || refuse(error, NULL, reader.fault);
}

/* Whether the List-Id (RFC 2919), as in `Deals of the day <deals.shop.example>`, is one that is to be held. */
static bool is_held(char *list) {
    char *start = strrchr(list, '<');
    list = start ? start + 1 : list;
    list[strcspn(list, ">")] = 0;
    for (size_t index = 0; index < held_count; index++)
        if (strcasecmp(list, held[index]) == 0)
            return true;
    return false;
}

static bool is_bulk(const char *precedence) {
    return precedence && (strcasecmp(precedence, "bulk") == 0 || strcasecmp(precedence, "list") == 0);
}

static bool can_unsubscribe(const char *field) {
    return field && (strcasestr(field, "<https:") || strcasestr(field, "<mailto:"));
}

bool exports_popgate_filter_filter_filter(popgate_filter_mail_own_message_t own, verdict *verdict, failure *failure) {
    message message = popgate_filter_mail_borrow_message(own);
    char *list = header(message, "List-Id");
    if (list && is_held(list)) {
        verdict->tag = EXPORTS_POPGATE_FILTER_FILTER_VERDICT_HOLD;
        verdict->val.hold = text("it is from a mailing list that is not wanted here");
        return true;
    }
    verdict->tag = EXPORTS_POPGATE_FILTER_FILTER_VERDICT_PASS;
    bool bulk = list || is_bulk(header(message, "Precedence"));
    string name = text("X-Bulk"), value = text(list ? "list" : "bulk"), refused;
    /* What the sender wrote there must not pass for a result. */
    bool good = bulk ? popgate_filter_mail_method_message_set_header(message, &name, &value, &refused)
                     : popgate_filter_mail_method_message_remove_header(message, &name, &refused);
    if (good && bulk && !can_unsubscribe(header(message, "List-Unsubscribe"))) {
        string symbol = text("NO_UNSUBSCRIBE"), why = text("bulk mail without a way to unsubscribe");
        good = popgate_filter_mail_method_message_report(message, &symbol, points, NULL, &why, &refused);
    }
    if (!good) {
        failure->tag = EXPORTS_POPGATE_FILTER_FILTER_FAILURE_MESSAGE;
        failure->val.message = refused;
    }
    return good;
}
