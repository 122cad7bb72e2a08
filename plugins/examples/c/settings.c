#include "settings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void skip_space(struct reader *reader) {
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at))
        reader->at++;
}

static void fail(struct reader *reader, const char *fault) {
    if (!reader->fault)
        reader->fault = fault;
    reader->at = reader->end;
}

/* Takes this character if it is the next one. */
static bool take(struct reader *reader, char wanted) {
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

bool next_member(struct reader *reader, char open, char close, bool first) {
    if (first && !take(reader, open)) {
        fail(reader, open == '[' ? "a list was expected" : "a table was expected");
        return false;
    }
    if (take(reader, close))
        return false;
    if (!first && !take(reader, ','))
        fail(reader, "this is no JSON");
    return !reader->fault;
}

char *read_key(struct reader *reader) {
    char *key = read_text(reader);
    if (!reader->fault && !take(reader, ':'))
        fail(reader, "this is no JSON");
    return key;
}

/* What stands behind a backslash; 0 for what is not supported. */
static char unescaped(struct reader *reader) {
    const char *escapes = "\"\\/bfnrt", *meanings = "\"\\/\b\f\n\r\t";
    char escape = reader->at < reader->end ? *reader->at++ : 0;
    const char *known = escape ? strchr(escapes, escape) : NULL;
    if (known)
        return meanings[known - escapes];
    if (escape != 'u' || reader->end - reader->at < 4)
        return 0;
    char digits[5] = {0};
    memcpy(digits, reader->at, 4);
    reader->at += 4;
    char *end;
    unsigned long code = strtoul(digits, &end, 16);
    return *end == 0 && code < 0x80 ? (char)code : 0;
}

char *read_text(struct reader *reader) {
    if (!take(reader, '"')) {
        fail(reader, "a text was expected");
        return "";
    }
    char *text = malloc((size_t)(reader->end - reader->at) + 1), *to = text;
    if (!text)
        abort();
    while (reader->at < reader->end && *reader->at != '"') {
        char next = *reader->at++;
        if (next == '\\')
            next = unescaped(reader);
        if (!next) {
            fail(reader, "the text has an escape that is not supported");
            break;
        }
        *to++ = next;
    }
    *to = 0;
    if (!reader->fault && !take(reader, '"'))
        fail(reader, "this is no JSON");
    return text;
}

double read_number(struct reader *reader) {
    skip_space(reader);
    /* The settings are not terminated by NUL, and a number is short. */
    char digits[64] = {0}, *end;
    size_t length = 0;
    while (reader->at < reader->end && length < sizeof digits - 1 && strchr("+-.0123456789eE", *reader->at))
        digits[length++] = *reader->at++;
    double number = strtod(digits, &end);
    if (length == 0 || *end)
        fail(reader, "a number was expected");
    return number;
}

bool at_end(struct reader *reader) {
    skip_space(reader);
    if (reader->at < reader->end)
        fail(reader, "this is no JSON");
    return !reader->fault;
}
