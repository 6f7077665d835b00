// JSON, written and read: as much of it as a plugin needs. Nothing is freed: an instance lives for one call.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A text that grows.
typedef struct {
  char *data;
  size_t len, size;
} text_t;

void text_add(text_t *text, const char *data, size_t len);
void text_put(text_t *text, const char *literal);
// `printf` for what has no strings of others in it.
void text_print(text_t *text, const char *format, ...);
// A JSON string, in its quotes.
void text_quote(text_t *text, const char *data, size_t len);

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT } json_kind_t;

typedef struct json json_t;
struct json {
  json_kind_t kind;
  text_t text;          // a string's; not ended by a zero, and may hold one
  double number;        // a number's
  text_t key;           // where this is a member of an object
  json_t *first, *next; // what a list or an object holds
};

// The JSON's value; NULL if it is none, not UTF-8, or deeper than any answer.
json_t *json_parse(const char *data, size_t len);
// A member, an element, a string: NULL if there is none. Each takes NULL, so that they can be chained.
json_t *json_get(json_t *value, const char *key);
json_t *json_first(json_t *value);
text_t *json_string(json_t *value);
// Whether it is a whole number that is not negative.
bool json_count(json_t *value, uint64_t *count);

#endif
