/* The settings: one JSON object of texts, numbers and lists of texts, which is what most filters need. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

/* Where in the JSON the reader is, and what is wrong with it; `fault` is NULL while nothing is. */
struct reader {
    const char *at;
    const char *end;
    const char *fault;
};

/* Steps into an object or a list, and says whether there is a (further) member in it. `first` is true for the first call. */
bool next_member(struct reader *reader, char open, char close, bool first);

/* The key of the next member of an object. */
char *read_key(struct reader *reader);

/* A text. It must not have NUL in it; \u escapes are read for ASCII only, since popgate writes others as they are. */
char *read_text(struct reader *reader);

double read_number(struct reader *reader);

/* True at the end of all, false with a fault where more follows. */
bool at_end(struct reader *reader);

#endif
